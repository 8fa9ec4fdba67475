"""Two cohorts side by side: distances against scipy's and against closed forms."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp, norm

from genomix_cli.cohorts.inspect import compare as module
from genomix_cli.cohorts.inspect.compare import (
    Distance,
    compare,
    fragment_lengths,
    ks_distance,
    listing,
    marginals,
)
from genomix_cli.errors import DataError
from genomix_cli.formats.cohort import open_cohort
from tests.cohort_files import modality, write_cohort

pytest.importorskip("mudata")


def cohort_of(path: Path, name: str = "m", kind: str = "expression", **values: object) -> Path:
    """A cohort of one modality; `values` is its matrix, `var` its features' columns."""
    matrix = np.asarray(values["values"])
    rows = [f"s{i}" for i in range(len(matrix))]
    var = values.get("var")
    return write_cohort(path, {name: modality(matrix, kind, rows, var)}, {"sample": rows})  # type: ignore[arg-type]


def compared(first: Path, second: Path) -> dict[str, Distance]:
    with open_cohort(first) as here, open_cohort(second) as there:
        return {distance.of: distance for distance in compare(here, there)}


@pytest.mark.parametrize("sizes", [(1, 1), (5, 9), (100, 1), (200, 300)])
def test_the_distance_is_scipys(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    for a, b in (
        (rng.normal(size=sizes[0]), rng.normal(0.3, 2, size=sizes[1])),
        (rng.integers(0, 4, sizes[0]), rng.integers(1, 5, sizes[1])),
    ):
        assert ks_distance(a, b) == pytest.approx(ks_2samp(a, b).statistic, abs=1e-12)


def test_the_distance_of_nothing() -> None:
    assert ks_distance(np.zeros(0), np.ones(3)) is None
    assert ks_distance(np.zeros(3), np.ones(3)) == 1


def test_marginals_are_numpys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    # Far from zero: sums of squares that were not shifted would lose the SD in float32.
    values = rng.normal(30_000, 0.5, (50, 7)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 3] = np.nan
    values[0] = np.nan
    # Pieces of three rows.
    monkeypatch.setattr(
        "genomix_cli.cohorts.inspect.pieces.pieces.__kwdefaults__", {"where": "X", "size": 21}
    )
    with open_cohort(cohort_of(tmp_path / "c.h5mu", values=values)) as cohort:
        found = marginals(cohort, "m")
    wide = values.astype(float)
    kept = np.delete(wide, 3, axis=1)
    np.testing.assert_allclose(found.feature_means, np.nanmean(kept, axis=0))
    np.testing.assert_allclose(found.feature_sds, np.nanstd(kept, axis=0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(found.sample_means, np.nanmean(wide[1:], axis=1))
    np.testing.assert_array_equal(np.sort(found.values), np.sort(wide[np.isfinite(wide)]))


def test_a_shift_of_a_normal_has_the_distance_of_the_closed_form(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    first = cohort_of(tmp_path / "a.h5mu", values=rng.normal(0, 1, (400, 100)))
    # Other samples and features: only the modality's name is shared.
    second = cohort_of(tmp_path / "b.h5mu", values=rng.normal(1, 1, (300, 90)))
    found = compared(first, second)
    # sup |F(x) - F(x - 1)| is at x = 1/2.
    assert found["all values"].ks == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.01)
    assert found["feature means"].ks == 1
    assert found["sample means"].ks == 1
    assert found["feature SDs"].ks is not None
    assert found["feature SDs"].ks < 0.25
    assert found["all values"].halves is not None
    assert found["all values"].halves < 0.02
    assert found["all values"].here == pytest.approx(0, abs=0.02)
    assert found["all values"].there == pytest.approx(1, abs=0.02)


def test_a_cohort_beside_itself(tmp_path: Path) -> None:
    path = cohort_of(tmp_path / "a.h5mu", values=np.random.default_rng(0).random((20, 5)))
    found = compared(path, path)
    assert [distance.ks for distance in found.values()] == [0, 0, 0, 0]
    assert found == compared(path, path)


def test_many_values_are_drawn_and_the_distance_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    first = cohort_of(tmp_path / "a.h5mu", values=rng.normal(0, 1, (500, 60)))
    second = cohort_of(tmp_path / "b.h5mu", values=rng.normal(0.5, 1, (500, 60)))
    whole = compared(first, second)["all values"].ks
    monkeypatch.setattr(module, "POOLED_VALUES", 10_000)
    with open_cohort(first) as cohort:
        assert len(marginals(cohort, "m").values) == pytest.approx(10_000, rel=0.05)
    assert compared(first, second)["all values"].ks == pytest.approx(whole, abs=0.03)


def test_fragment_lengths_by_hand(tmp_path: Path) -> None:
    var = {"length": [100.0, 110.0, np.nan]}
    a = cohort_of(tmp_path / "a.h5mu", "f", "fragments", values=[[8, 2, 50], [4, 6, 50]], var=var)
    # Ascending, whatever the order of the file; a sample without fragments counts for nothing.
    turned = {"length": [110.0, 100.0, 120.0]}
    b = cohort_of(tmp_path / "b.h5mu", "f", "fragments", values=[[2, 1, 1], [0, 0, 0]], var=turned)
    with open_cohort(a) as cohort:
        lengths = fragment_lengths(cohort, "f")
    assert lengths is not None
    assert lengths.length.tolist() == [100, 110]
    assert lengths.share == pytest.approx([0.6, 0.4])
    found = compared(a, b)["fragment lengths"]
    # Cumulative .6, 1, 1 against .25, .75, 1.
    assert found.ks == pytest.approx(0.35)
    assert (found.here, found.there) == (100, 110)


def test_what_only_one_has_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["s", "t"]
    one = modality([[0.5], [0.4]], "methylation", rows)
    two = modality([[0.5], [0.4]], "methylation_m", rows)
    both = {"meth": one, "expr": modality([[5], [4]], "expression", rows)}
    first = write_cohort(tmp_path / "a.h5mu", both, {"sample": rows})
    other = {"meth": two, "expr": both["expr"]}
    second = write_cohort(tmp_path / "b.h5mu", other, {"sample": rows})
    with caplog.at_level(logging.WARNING, "genomix"):
        logging.getLogger("genomix").propagate = True
        assert {d.modality for d in compared(first, second).values()} == {"expr"}
    assert "meth is not compared: it is methylation here and methylation_m there" in caplog.text


def test_nothing_in_common(tmp_path: Path) -> None:
    first = cohort_of(tmp_path / "a.h5mu", "m", values=[[1.0]])
    second = cohort_of(tmp_path / "b.h5mu", "n", values=[[1.0]])
    with pytest.raises(DataError, match=r"has no modality to compare .*m \(expression\)"):
        compared(first, second)


def test_the_table(tmp_path: Path) -> None:
    table = listing((Distance("m", "all values", 0.5, 0.1, 1.0, 2.0),), "real", "made")
    assert table.title.startswith("real beside made")
    assert table.rows == (("m", "all values", 0.5, 0.1, 1.0, 2.0),)
    assert len(table.columns) == len(table.rows[0])
