"""Overviews of a cohort equal numbers counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.cohorts.inspect.overview import Overview, association, overview
from genomix_cli.cohorts.inspect.pieces import draw_rows, pieces, read_rows
from genomix_cli.formats.cohort import open_cohort
from tests.cohort_files import every_kind, modality, write_cohort

pytest.importorskip("mudata")

NAN = np.nan


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six samples of four patients, two modalities, one sample without a class."""
    beta = [[0.1, NAN, 0.3], [0.2, 0.4, 0.9], [0.5, 0.5, NAN], [0.0, 1.0, 0.25]]
    calls = np.arange(10).reshape(5, 2)
    modalities = {
        "meth": modality(beta, "methylation", ["a", "b", "c", "d"]),
        "expr": modality(calls, "expression", ["b", "c", "d", "e", "f"]),
    }
    obs = {
        "sample": [*"abcdef"],
        "label": ["x", "y", "x", "y", "x", None],
        "batch": ["1", "1", "1", "2", "2", "2"],
        "patient": ["p", "p", "q", "q", "r", "s"],
    }
    return write_cohort(tmp_path_factory.mktemp("cohort") / "small.h5mu", modalities, obs)


def seen(path: Path) -> Overview:
    with open_cohort(path) as cohort:
        return overview(cohort)


def rows(found: Overview, start: str) -> list[tuple[Any, ...]]:
    return next(list(table.rows) for table in found.tables if table.title.startswith(start))


def test_facts(small: Path) -> None:
    assert seen(small).facts == {
        "samples": 6,
        "patients": 4,
        "patients with several samples": 2,
        "modalities": 2,
        "samples with all modalities": 3,
        "classes": 2,
        "samples without a class": 1,
        "batches": 2,
        "simulated": "no",
    }


def test_modalities(small: Path) -> None:
    meth, expr = rows(seen(small), "modalities")
    assert meth[:4] == ("meth", "methylation", 3, 4)
    assert meth[4:] == pytest.approx((2 / 6, 2 / 12, 0.0, 0.35, 1.0))
    assert expr[:4] == ("expr", "expression", 2, 5)
    assert expr[4:] == pytest.approx((1 / 6, 0.0, 0.0, 4.5, 9.0))


def test_which_modalities_samples_have_together(small: Path) -> None:
    assert rows(seen(small), "samples with just") == [
        ("meth + expr", 3, 0.5),
        ("expr", 2, 2 / 6),
        ("meth", 1, 1 / 6),
    ]


def test_classes_and_batches(small: Path) -> None:
    found = seen(small)
    assert rows(found, "classes") == [
        ("x", 3, 0.5, 2, 2),
        ("y", 2, 2 / 6, 2, 2),
        ("(unknown)", 1, 1 / 6, 0, 1),
    ]
    assert rows(found, "batches and") == [("1", 3, 2, 1, 0), ("2", 3, 1, 1, 1)]
    shares = [row[1:] for row in rows(found, "share of a batch")]
    assert np.ravel(shares) == pytest.approx([0, 1 / 3, 2 / 3, 0])


def test_the_unknown_is_no_class_that_could_follow_a_batch(small: Path) -> None:
    (found,) = rows(seen(small), "do classes")
    expected = association(np.array([[2, 1], [1, 1]]))
    assert expected is not None
    assert found == tuple(expected)


def test_association_of_what_is_the_same_and_of_what_is_independent() -> None:
    same = association(np.diag([30, 20, 50]))
    assert same is not None
    assert (same.v, same.v_corrected) == pytest.approx((1, 1), abs=1e-3)
    none = association(np.outer([10, 20, 30], [2, 5]))
    assert none is not None
    assert (none.chi_square, none.v, none.v_corrected) == pytest.approx((0, 0, 0), abs=1e-9)
    assert none.p == pytest.approx(1)


def test_association_against_an_example_worked_by_hand() -> None:
    # Expected 20 in each cell, so chi-square is 4 * 10^2 / 20 = 20, V = sqrt(20 / 80).
    found = association(np.array([[30, 10], [10, 30]]))
    assert found is not None
    assert (found.chi_square, found.freedom, found.v) == pytest.approx((20, 1, 0.5))
    # Bergsma: phi^2 - 1/79 over 2 - 1/79 - 1.
    assert found.v_corrected == pytest.approx(np.sqrt((0.25 - 1 / 79) / (1 - 1 / 79)))
    assert found.sparse == 0


@pytest.mark.parametrize("counts", [[[3, 4]], [[3], [4]], [[3, 0], [4, 0]], [[0, 0], [0, 0]]])
def test_one_class_or_one_batch_has_no_association(counts: list[list[int]]) -> None:
    assert association(np.array(counts)) is None


def test_what_a_simulated_cohort_says(tmp_path: Path) -> None:
    found = seen(every_kind(tmp_path / "c.h5mu"))
    assert found.facts["simulated"] == "yes"
    assert rows(found, "latent")[1] == ("purity", 0.0, 0.5, 1.0)
    assert rows(found, "Bayes") == [
        ("peaks", 0.7, 0.6, 0.8, 0.71, None, None),
        ("peaks + copy", 0.9, None, None, None, 0.97, 0.8),
    ]
    assert rows(found, "interactions") == [("peaks x copy", 2)]


def test_no_labels_no_batches_no_values(tmp_path: Path) -> None:
    modalities = {"m": modality(np.full((3, 2), NAN), "other", [*"abc"])}
    found = seen(write_cohort(tmp_path / "c.h5mu", modalities, {"sample": [*"abc"]}))
    assert found.facts["classes"] == 0
    assert "batches" not in found.facts
    assert rows(found, "modalities") == [("m", "other", 2, 3, 0.0, 1.0, None, None, None)]


def test_pieces_add_up_to_the_matrix(small: Path) -> None:
    with open_cohort(small) as cohort:
        whole = cohort.matrix("expr")
        for size in (1, 4, 100):
            found = list(pieces(cohort, "expr", size=size))
            assert np.concatenate([p.rows for p in found]).tolist() == [1, 2, 3, 4, 5]
            np.testing.assert_array_equal(np.concatenate([p.values for p in found]), whole[1:])
        keep = np.array([True, False, True, False, False, True])
        some = read_rows(cohort, "expr", keep)
        assert some.rows.tolist() == [2, 5]
        np.testing.assert_array_equal(some.values, whole[[2, 5]])
        assert read_rows(cohort, "expr", np.arange(6) == 0).values.shape == (0, 2)


def test_a_draw_keeps_shares_and_the_rare() -> None:
    groups = np.repeat([0, 1, 2], [9_000, 970, 30])
    present = np.ones(10_000, bool)
    present[:100] = False
    keep = draw_rows(np.random.default_rng(0), groups, present, 1_000)
    assert not keep[:100].any()
    assert np.bincount(groups[keep]).tolist() == [899, 98, 25]
    again = draw_rows(np.random.default_rng(0), groups, present, 1_000)
    np.testing.assert_array_equal(keep, again)
    assert (draw_rows(np.random.default_rng(0), groups, present, 9_900) == present).all()
