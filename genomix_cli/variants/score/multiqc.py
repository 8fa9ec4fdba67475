"""MultiQC sections of a scoring run: outcome per allele, distribution of scores, REF audit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genomix_cli.genome.vcf.input import STANDARD_STREAM
from genomix_cli.report.multiqc import (
    COUNT,
    SHARE,
    TEXT,
    Content,
    bars,
    categories,
    lines,
    table,
    write_contents,
)
from genomix_cli.variants.records.alleles import REASONS
from genomix_cli.variants.records.every_snv import NAME
from genomix_cli.variants.requests.score import ScoreRequest
from genomix_cli.variants.score.blocks import ScoreSummary
from genomix_cli.variants.score.tags import ACTIVITY, LOGIT, PROBABILITY

_SCORES = {
    PROBABILITY: ("Probabilities", "GENOMIX_P, calibrated probability of an effect"),
    LOGIT: ("Log-odds", "GENOMIX_LOGIT, log-odds of an effect before calibration"),
    ACTIVITY: ("Changes of activity", "GENOMIX_DA, predicted change of activity"),
}
_HEADERS: dict[str, Content] = {
    "records": {"title": "records", **COUNT},
    "alleles": {"title": "alleles", **COUNT},
    "share": {"title": "scored", "description": "Share of the alleles", **SHARE},
    "ref_mismatches": {
        "title": "REF differs",
        "description": "Records whose REF is not what the FASTA says",
        "format": "{:,.0f}",
        "scale": "Reds",
    },
    "first_mismatch": {"title": "first of them", **TEXT},
    "excluded": {"title": "left out", "description": "Of these records (--check-ref x)", **COUNT},
    "n_in_window": {
        "title": "N in window",
        "description": "Alleles scored in a window that contains N",
        **COUNT,
    },
    "seen_in_training": {"title": "seen", "description": "Alleles seen in training", **COUNT},
    "looked_up": {"title": "looked up", "description": "Scores taken from --lookup", **COUNT},
    "model": {"title": "model", **TEXT},
}


def write_multiqc(summary: ScoreSummary, request: ScoreRequest, folder: Path) -> None:
    """Write the MultiQC sections of a run into a folder."""
    name = sample_name(request)
    contents = {f"{name}.genomix_{part}_mqc.json": c for part, c in sections(summary, name)}
    write_contents(contents, folder)


def sample_name(request: ScoreRequest) -> str:
    """Return the name of the output, or else of the input, without format suffixes."""
    names = (str(path) for path in (request.output, request.vcf or NAME))
    return next((stem(Path(name)) for name in names if name != STANDARD_STREAM), "stdin")


def stem(path: Path) -> str:
    """Return the name of a file without its suffix and any compression suffix."""
    name = path.name.removesuffix(".gz").removesuffix(".bgz")
    return name.rpartition(".")[0] or name


def sections(summary: ScoreSummary, name: str) -> Iterator[tuple[str, Content]]:
    """Yield each section as a part of its file name and its content."""
    row: dict[str, Any] = {key: getattr(summary, key, None) for key in _HEADERS}
    row["share"] = summary.scored / summary.alleles if summary.alleles else None
    yield (
        "score",
        table("genomix_score", "Scoring", "Runs of genomix score.", "Run", _HEADERS, {name: row}),
    )
    yield (
        "alleles",
        bars(
            "genomix_alleles",
            "Alleles",
            "Alleles that genomix score has scored, and why the others have no score.",
            "Alleles",
            categories({"scored": "scored", **REASONS}, "scored"),
            {name: {"scored": summary.scored, **summary.not_scored}},
        ),
    )
    for key in _SCORES:
        found = {
            f"{name}, {cell}" if cell else name: histogram.points()
            for cell, histogram in summary.histograms.items()
            if histogram.key == key and histogram.counts
        }
        if found:
            title, meaning = _SCORES[key]
            axes = (key, "Alleles")
            part = key.lower().replace("genomix_", "scores_")
            yield part, lines(f"genomix_{part}", title, f"{meaning}.", axes, found)
