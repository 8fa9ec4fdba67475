"""Tables that ``genomix explain`` prints: columns without any content are left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from genomix_cli.cli import explain

EXPLAINED = {"variant": "chr1:5:A:G", "baseline": "ref", "change": 0.5, "error": 0.0, "motif": ""}
REGION = {"region": "chr1:1-9", "field": "GENOMIX_DA", "substitutions": 27}


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("probability", "motifs", "header"),
    [
        (float("nan"), None, "variant\tbaseline\tchange\tcompleteness error"),
        (0.25, None, "variant\tp\tbaseline\tchange\tcompleteness error"),
        # That no motif was found is an answer.
        (float("nan"), "consensus", "variant\tbaseline\tchange\tcompleteness error\tmotif"),
    ],
)
def test_models_of_activity_have_no_probability(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    probability: float,
    motifs: str | None,
    header: str,
) -> None:
    rows = [SimpleNamespace(**EXPLAINED, probability=probability)]
    monkeypatch.setattr(
        "genomix_cli.variants.explain.alleles.explain_variants", lambda request: rows
    )
    request: Any = SimpleNamespace(
        saturation=SimpleNamespace(asked=False), motifs=SimpleNamespace(source=motifs)
    )
    explain.explain_variants(request)
    lines = printed(capsys)
    assert lines[0] == header
    assert len(lines[1].split("\t")) == len(header.split("\t"))


@pytest.mark.parametrize(("measured", "columns"), [(None, 3), ("effects.tsv", 6)])
def test_regions_without_measured_effects_are_compared_with_none(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    measured: str | None,
    columns: int,
) -> None:
    r = 0.5 if measured else float("nan")
    rows = [SimpleNamespace(**REGION, measured=27 if measured else 0, pearson=r, spearman=r)]
    monkeypatch.setattr("genomix_cli.variants.explain.region.explain_regions", lambda request: rows)
    request: Any = SimpleNamespace(saturation=SimpleNamespace(asked=True, measured=measured))
    explain.explain_variants(request)
    assert [len(line.split("\t")) for line in printed(capsys)] == [columns, columns]
