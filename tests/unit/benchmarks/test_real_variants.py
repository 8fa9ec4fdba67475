"""Metrics of the benchmark on real variants, tested on made-up variants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_data import locus
from real_variants import (
    SETS,
    field_of,
    genomix_table,
    inside_scores,
    mean_over,
    per_experiment,
    scores_of,
    snvs_of,
    taught,
)
from udacha import Place, covered, dhs_start, result

from genomix_cli.genome.alphabet import encode
from genomix_cli.variants.trained import load_model
from tests.random_activity import save_activity

RNG = np.random.default_rng(4)


def test_correlations_are_within_experiments() -> None:
    """Differences between experiments are much larger and must not count."""
    effect = np.concatenate([RNG.normal(size=300), 10 + RNG.normal(size=300)])
    names = np.repeat(["LDLR", "F9"], 300)
    table = pd.DataFrame({"experiment": names, "effect": effect})
    table["true"], table["place"] = effect, np.repeat([0.0, 10.0], 300) + RNG.normal(size=600)
    table["reversed"] = -effect
    r = per_experiment(table, ["true", "place", "reversed"])
    assert r["true"].tolist() == pytest.approx([1, 1])
    assert r["reversed"].tolist() == pytest.approx([-1, -1])
    assert r["|reversed|"].tolist() == pytest.approx([1, 1])
    assert abs(r["place"]).max() < 0.2
    assert r["SNVs"].tolist() == [300, 300]


def test_experiments_of_a_locus_are_drawn_together() -> None:
    """Three experiments on one locus have an interval no narrower than that locus alone would."""
    value = pd.Series([0.1, 0.1, 0.1, 0.3], index=["SORT1", "SORT1.2", "SORT1-flip", "LDLR"])
    assert len({locus(name) for name in value.index}) == 2
    assert mean_over(value, SETS["all 29"]) == "+0.150 [+0.100, +0.300]"
    assert mean_over(value, lambda name: name == "LDLR") == "+0.300"


def test_snvs_are_of_the_sequence_of_their_experiment() -> None:
    table = pd.DataFrame({"experiment": ["b", "a"], "pos": [2, 1], "alt": ["T", "G"]})
    snvs = snvs_of(table, {"a": encode("AC"), "b": encode("GCC")})
    assert [snvs.names[i] for i in snvs.sequence] == ["b", "a"]
    assert snvs.ref().tolist() == [1, 0]
    assert snvs.alt.tolist() == [3, 2]


def test_windows_stay_inside_where_those_of_the_command_would_not(tmp_path: Path) -> None:
    run = save_activity(tmp_path / "run")
    table = pd.DataFrame({"experiment": "a", "pos": [60, 90, 3], "alt": ["A", "G", "T"]})
    bases = "ACGGT" * 30
    assert [bases[at - 1] for at in table["pos"]] == ["T", "T", "G"]
    snvs = snvs_of(table, {"a": encode(bases)})
    by_command = field_of(genomix_table(snvs, str(run), tmp_path / "scored"))
    inside = inside_scores(snvs, load_model(run))
    assert inside[:2] == pytest.approx(by_command[:2], abs=2e-5)
    assert inside[2] != pytest.approx(by_command[2], rel=1e-2)


def test_a_score_of_the_own_cell_type_is_taken_where_there_is_one() -> None:
    table = pd.DataFrame(
        {"GENOMIX_DA": [1.0, 2, 3, 4], "GENOMIX_DA_HepG2_cell": [10.0, 20, 30, 40], "other": 0.0}
    )
    cell = pd.Series(["HepG2", "K562", None, "HepG2"])
    scores = scores_of(table, "m", cell)
    assert scores["m"].tolist() == [1, 2, 3, 4]
    assert scores["m (cell)"].tolist() == [10, 2, 3, 40]
    assert list(scores_of(table.drop(columns="GENOMIX_DA_HepG2_cell"), "m", cell)) == ["m"]
    assert scores_of(table, "m", cell, "other")["m (cell)"].tolist() == [10, 0, 0, 40]


def test_teachers_answer_as_a_model_would(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Columns are scaled by their own spread, and the combined score of three is their mean."""
    weights = {"teacher": 1, "open": 2, "motifs": 3, "HepG2_cell": 1}
    answers = {name: {f"of {name}": w} for name, w in weights.items()}

    def panel(codes: np.ndarray) -> pd.DataFrame:
        counts = [(codes == base).sum(1) * 10.0**base for base in range(4)]
        return pd.DataFrame(dict(zip([f"of {name}" for name in weights], counts, strict=True)))

    monkeypatch.setattr("real_variants.PANELS", {"of": lambda data, tables: panel})
    monkeypatch.setattr("real_variants.ANSWERS", answers)
    table = pd.DataFrame({"experiment": "a", "pos": [1, 2, 3, 4], "alt": ["C", "A", "T", "G"]})
    found = taught(tmp_path, tmp_path, snvs_of(table, {"a": encode("ACGT" * 5)}))
    of_a = np.array([-1, 1, 0, 0])
    assert found["GENOMIX_DA_teacher"].to_numpy() == pytest.approx(of_a / of_a.std())
    assert found["GENOMIX_DA_HepG2_cell"].std(ddof=0) == pytest.approx(1)
    parts = [found[f"GENOMIX_DA_{name}"] for name in ("teacher", "open", "motifs")]
    assert found["GENOMIX_DA"].to_numpy() == pytest.approx(np.sum(parts, 0))
    assert field_of(found).tolist() == found["GENOMIX_DA"].tolist()


@pytest.mark.parametrize(
    ("low", "high", "summit", "start"),
    [
        pytest.param(1000, 1400, 1200, 1100, id="around the summit"),
        pytest.param(1000, 1400, 1380, 1200, id="not past the end"),
        pytest.param(1000, 1400, 1050, 1000, id="not before the start"),
        pytest.param(1000, 1125, 1065, 1000, id="narrow"),
        pytest.param(1000, 1125, 1105, 925, id="narrow, the summit far right"),
    ],
)
def test_where_the_bases_of_a_dhs_start(low: int, high: int, summit: int, start: int) -> None:
    assert dhs_start(low, high, summit) == start


def test_snvs_are_found_on_the_sequence_that_covers_them() -> None:
    """Two sequences cover the first; the second's reference differs; the third lies nowhere."""
    codes = RNG.integers(0, 4, 600).astype(np.uint8)
    sequences = {"left": codes[:200], "right": codes[100:300], "chr22": codes}
    places = [Place("chr1", 1000, "left"), Place("chr1", 1100, "right")]
    bases = "ACGT"
    rows = [
        ("chr1", 1171, bases[codes[170]]),
        ("chr1", 1151, bases[(codes[150] + 1) % 4]),
        ("chr1", 5000, "A"),
        ("chr22", 401, bases[codes[400]]),
        ("chr1", 1121, bases[codes[120]]),
    ]
    table = pd.DataFrame(rows, columns=["contig", "pos", "ref"])
    found = covered(table, places, sequences)
    assert found["sequence"].tolist() == ["right", "chr22", "left"]
    assert found["at"].tolist() == [70, 400, 120]
    assert found["set"].tolist() == ["DHS", "chr22", "DHS"]


def test_a_model_that_knows_the_effects_is_seen_to() -> None:
    effect = RNG.normal(size=200)
    table = pd.DataFrame({"effect": effect, "significant": abs(effect) > 1.5})
    table = table.assign(contig=RNG.choice(list("abcdefg"), 200), pos=1, model=effect)
    row = result(table, "DHS", "all", "model")
    assert row["AUROC of magnitude"].startswith("1.000")
    assert row["r"].startswith("1.000")
