"""Report pages and model cards of contrastive pre-training and alignment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genomix_cli.comparison.intervals import COMPARES
from genomix_cli.report.page import Card, Signed, render, write_page
from genomix_cli.sequences.pretrain import figures
from genomix_cli.sequences.pretrain.probes import LINEAR, ProbeRow
from genomix_cli.sequences.pretrain.summaries import AlignRow, AlignSummary, ContrastSummary, Probes

BASELINE = "the best linear baseline"
PROBE_COLUMNS = [
    *("features", "classifier", "dimensions", "accuracy", "balanced accuracy"),
    "accuracy minus best linear baseline",
]


def contrast_headline(summary: ContrastSummary) -> str:
    """Return a sentence per label on the encoder against linear models of plain features."""
    if not summary.probes:
        return "Without labels, it was not measured what the encoder has learned."
    return " ".join(_verdict(probes) for probes in summary.probes)


def _verdict(probes: Probes) -> str:
    own, best = _compared(probes)
    assert own.less_linear is not None
    return (
        f"On {probes.label} ({probes.classes} classes) a linear probe of the pre-trained encoder "
        f"{COMPARES[own.less_linear.sign]} {BASELINE}: accuracy {own.accuracy.text()} "
        f"against {best.accuracy.text()} ({best.features})."
    )


def _compared(probes: Probes) -> tuple[ProbeRow, ProbeRow]:
    """Return the linear probe of the encoder, and the best baseline."""
    own = next(r for r in probes.rows if r.features == "pre-trained" and r.classifier == LINEAR)
    return own, max((r for r in probes.rows if r.baseline), key=lambda r: r.accuracy.value)


def _contrast_cards(summary: ContrastSummary) -> Iterator[Card]:
    """Yield the summary cards of the first two labels."""
    for probes in summary.probes[:2]:
        own, best = _compared(probes)
        yield Card.of(f"Accuracy, {probes.label}", own.accuracy, own.features)
        yield Card.of("Best baseline", best.accuracy, best.features)


def align_headline(summary: AlignSummary) -> str:
    """Return a sentence that compares the alignment with linear models."""
    own, best = _aligned(summary)
    mine, other = own.recalls.to_profiles[0], best.recalls.to_profiles[0]
    # The intervals are not paired: where they overlap, nothing is said of significance.
    better, worse = mine.share.low > other.share.high, mine.share.high < other.share.low
    says = COMPARES[better - worse] if better or worse else "is not clearly different from"
    return (
        f"From a sequence to its profile, the alignment {says} {BASELINE}: recall@1 "
        f"{mine.share.text()} against {other.share.text()} ({best.name}); chance is "
        f"{mine.chance:.3f}."
    )


def _aligned(summary: AlignSummary) -> tuple[AlignRow, AlignRow]:
    """Return the row of the alignment and the row of the best baseline."""
    baselines = (row for row in summary.retrieval if row.baseline)
    best = max(baselines, key=lambda row: row.recalls.to_profiles[0].share.value)
    return summary.retrieval[0], best


def _align_cards(summary: AlignSummary) -> Iterator[Card]:
    own, best = _aligned(summary)
    recall = own.recalls.to_profiles[0]
    yield Card.of("Recall@1, profile of a sequence", recall.share, own.name)
    yield Card.of("Best baseline", best.recalls.to_profiles[0].share, best.name)
    yield Card("Chance", f"{recall.chance:.3f}", f"of {summary.profiles:,} profiles")


def write_contrast_report(summary: ContrastSummary, path: Path) -> None:
    """Write the page.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    write_page(
        "contrast.html.j2",
        path,
        title=f"{summary.data}: contrastive pre-training",
        headline=contrast_headline(summary),
        cards=list(_contrast_cards(summary)),
        columns=PROBE_COLUMNS,
        rows_of=_probe_rows,
        views=[(name.replace("_", " "), str(rate)) for name, rate in summary.views.items()],
        **_shared(summary),
    )


def write_align_report(
    summary: AlignSummary, attention: Sequence[Mapping[str, Any]], path: Path
) -> None:
    """Write the page.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    write_page(
        "align.html.j2",
        path,
        title=f"{summary.data}: DNA and phenotypes",
        headline=align_headline(summary),
        cards=list(_align_cards(summary)),
        columns=_recall_columns(summary),
        to_profiles=_recall_rows(summary, "to_profiles"),
        to_sequences=_recall_rows(summary, "to_sequences"),
        zero_shot=_zero_shot(summary),
        attention=attention,
        **_shared(summary),
    )


def _shared(summary: ContrastSummary | AlignSummary) -> dict[str, Any]:
    counts = ", ".join(f"{n:,} {name}" for name, n in summary.counts.items())
    sub = (
        f"{counts} sequences, held out by {summary.held_out_by}; preset {summary.preset}, "
        f"{summary.parameters:,} parameters, learned temperature {summary.temperature:.3f}"
    )
    return {"sub": sub, "warnings": summary.notes, "summary": summary, "pictures": figures}


def _probe_rows(probes: Probes) -> list[list[Any]]:
    return [
        [
            *(row.features, row.classifier, row.dims, row.accuracy, row.balanced_accuracy),
            Signed(row.less_linear),
        ]
        for row in probes.rows
    ]


def _recall_columns(summary: AlignSummary) -> list[str]:
    return ["", *(f"recall@{recall.k}" for recall in summary.retrieval[0].recalls.to_profiles)]


def _zero_shot(summary: AlignSummary) -> dict[str, list[list[Any]]]:
    """Return a table on unseen classes for each set of candidate profiles."""
    classes = ", ".join(summary.unseen)
    return {
        f"Profiles of classes not used in training ({classes}), {among}": _rows(rows, "to_profiles")
        for among, rows in summary.zero_shot.items()
    }


def _recall_rows(summary: AlignSummary, way: str) -> list[list[Any]]:
    return _rows(summary.retrieval, way)


def _rows(retrieval: Sequence[AlignRow], way: str) -> list[list[Any]]:
    rows = [(row.name, getattr(row.recalls, way)) for row in retrieval]
    chance = [recall.chance for recall in rows[0][1]]
    return [*([name, *(r.share for r in recalls)] for name, recalls in rows), ["chance", *chance]]


def contrast_card(summary: ContrastSummary) -> str:
    """Return the text of ``README.md``, in Markdown."""
    return render(
        "encoder.md.j2",
        title="Contrastive pre-training",
        headline=contrast_headline(summary),
        summary=summary,
        columns=PROBE_COLUMNS,
        tables={f"Probes of {p.label}": _probe_rows(p) for p in summary.probes},
        remark="",
        output="embeddings.parquet",
    )


def align_card(summary: AlignSummary) -> str:
    """Return the text of ``README.md``, in Markdown."""
    return render(
        "encoder.md.j2",
        title="Alignment with phenotypes",
        headline=align_headline(summary),
        summary=summary,
        columns=["by", *_recall_columns(summary)[1:]],
        tables={
            "Finding the profile of a sequence": _recall_rows(summary, "to_profiles"),
            "Finding the sequences of a profile": _recall_rows(summary, "to_sequences"),
            **_zero_shot(summary),
        },
        remark="Attention shows where information flows, not what is important.",
        output="retrieved.tsv",
    )
