"""HTML report and model card of a pre-trained model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genomix_cli.comparison.intervals import Interval
from genomix_cli.report.canvas import Picture, by_epoch, grid, head, looks, short
from genomix_cli.report.page import Card, Signed, render, write_page
from genomix_cli.variants.train.pretrain.metrics import KmerRow
from genomix_cli.variants.train.pretrain.summary import PretrainSummary

HIDDEN = {"spans": "spans of bins", "whole": "the whole modality"}
SIMPLE = {"spans": "interpolation between neighbours", "whole": "mean of the other tracks"}
TRACK_COLUMNS = ("cell type", "modality", "hidden", "bins", "r", "simple guess", "r", "gain")
KMER_COLUMNS = ("", "k-mers", "nats per base", "k-mers predicted correctly")


def headline(summary: PretrainSummary) -> str:
    """Compare the model with simple guesses in one or two sentences."""
    said = []
    for hidden, what in HIDDEN.items():
        rows = [r for r in summary.tracks if r.hidden == hidden and _known(r.gain)]
        if rows:
            better = sum(r.gain.low > 0 for r in rows)
            said.append(
                f"With {what} hidden, {better} of {len(rows)} tracks are predicted better than by "
                f"the {SIMPLE[hidden]}."
            )
    if summary.kmers:
        own, best = _compared(summary)
        mine, other = own.nats_per_base, best.nats_per_base
        # The intervals are not paired: where they overlap, nothing is said of significance.
        verb = "not clearly different from"
        if mine.high < other.low or mine.low > other.high:
            verb = "better than" if mine.high < other.low else "worse than"
        said.append(
            f"Hidden bases cost {mine.value:.4f} nats each, {verb} the {other.value:.4f} of a "
            f"{best.name} that knows both neighbours."
        )
    return " ".join(said) or "No held-out data allowed an evaluation."


def _compared(summary: PretrainSummary) -> tuple[KmerRow, KmerRow]:
    """Return the k-mer results of the model and of the best Markov chain."""
    own, *chains = summary.kmers
    return own, min(chains, key=lambda row: row.nats_per_base.value)


def _cards(summary: PretrainSummary) -> Iterator[Card]:
    """Yield the cards of key results: hidden bases, and the first tracks with hidden spans."""
    if summary.kmers:
        own, best = _compared(summary)
        yield Card.of("Nats per hidden base", own.nats_per_base, own.name)
        yield Card.of("Best Markov chain", best.nats_per_base, best.name)
    spans = [row for row in summary.tracks if row.hidden == "spans" and _known(row.r)]
    for row in spans[:2]:
        yield Card.of(f"r of hidden {row.modality}", row.r, short(row.cell or ""))


def _known(interval: Interval) -> bool:
    return interval.value == interval.value


def _range(value: Interval, form: str) -> str:
    return f"{value.value:{form}} ({value.low:{form}} to {value.high:{form}})"


def _values(summary: PretrainSummary) -> dict[str, Any]:
    """Return the values shown in the report and the model card."""
    tracks = [
        [
            *(row.cell or "–", row.modality, HIDDEN[row.hidden], row.bins),
            *(row.r, SIMPLE[row.hidden], row.simple_r, Signed(row.gain)),
        ]
        for row in summary.tracks
    ]
    kmers = [
        [row.name, row.kmers, _range(row.nats_per_base, ".4f"), _range(row.accuracy, ".2%")]
        for row in summary.kmers
    ]
    return {
        **{"summary": summary, "headline": headline(summary)},
        **{"track_columns": TRACK_COLUMNS, "track_rows": tracks},
        **{"kmer_columns": KMER_COLUMNS, "kmer_rows": kmers},
    }


def write_pretrain_report(summary: PretrainSummary, path: Path) -> None:
    """Write the HTML report.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    counts = summary.windows
    write_page(
        "pretraining.html.j2",
        path,
        title=f"{summary.data}: pre-training",
        sub=(
            f"{counts['to draw from']:,} training windows of {counts['each of bases']:,} bases, "
            f"{counts['validated on']:,} held out; {summary.model}, preset {summary.preset}, "
            f"{summary.parameters:,} parameters"
        ),
        warnings=summary.notes,
        cards=list(_cards(summary)),
        curve=lambda: _curve(summary),
        **_values(summary),
    )


def pretrain_card(summary: PretrainSummary) -> str:
    """Return the text of ``README.md``, in Markdown."""
    cells = [short(cell) for cell in summary.cells if cell]
    return render("pretraining.md.j2", cells=cells, **_values(summary))


def _curve(summary: PretrainSummary) -> Picture:
    shown = {"r_spans": "r, spans hidden", "r_whole": "r, modality hidden"}
    told = "correlation, mean over modalities"
    if not summary.tracks:
        shown, told = {"nats_per_base": "hidden bases"}, "nats per base"
    figure, axes = grid(1, 2, (7.4, 2.6))
    left, right = axes[0]
    epochs = range(1, len(summary.curve) + 1)
    for (name, look), values in zip(
        looks(("training", "validation")).items(),
        (
            [point["train_loss"] for point in summary.curve],
            [-point["minus_loss"] for point in summary.curve],
        ),
        strict=True,
    ):
        left.plot(epochs, values, color=look.colour, marker=look.marker, ms=3, label=name)
    for key, look in zip(shown, looks(shown.values()).values(), strict=True):
        values = [point[key] for point in summary.curve]
        right.plot(epochs, values, color=look.colour, marker=look.marker, ms=3, label=shown[key])
    head(left, "loss")
    head(right, f"{told} (validation)")
    by_epoch(left, right)
    left.legend()
    right.legend()
    caption = (
        "Training and validation loss. Validation always uses the same windows and hidden bases."
    )
    if summary.tracks:
        caption = (
            "Training and validation loss, and correlation with hidden bins. Only the training "
            "loss includes the prediction of tracks from the sequence around a base."
        )
    return Picture("curve", caption, figure)
