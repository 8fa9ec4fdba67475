"""What came of pre-training a GMT, for people: a page, and a model card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from genomix_cli.comparison.intervals import Interval
from genomix_cli.report.canvas import Picture, grid, head, looks, short, style
from genomix_cli.report.page import embedded, html_table, write_page
from genomix_cli.variants.train.pretrain.summary import PretrainSummary

HIDDEN = {"spans": "spans of bins", "whole": "the whole modality"}
SIMPLE = {"spans": "line between neighbours", "whole": "mean of the others"}
TRACK_COLUMNS = ("cell type", "modality", "hidden", "bins", "r", "simple guess", "r", "gain")
KMER_COLUMNS = ("", "k-mers", "nats per base", "k-mers told right")


def headline(summary: PretrainSummary) -> str:
    """Whether the model tells more than simple guesses, in one or two sentences."""
    said = []
    for hidden, what in HIDDEN.items():
        rows = [r for r in summary.tracks if r.hidden == hidden and _known(r.gain)]
        if rows:
            better = sum(r.gain.low > 0 for r in rows)
            said.append(
                f"With {what} hidden, {better} of {len(rows)} tracks are told better than by the "
                f"{SIMPLE[hidden]}."
            )
    if summary.kmers:
        own, *chains = summary.kmers
        best = min(chains, key=lambda row: row.nats_per_base.value)
        mine, other = own.nats_per_base, best.nats_per_base
        verb = "not told apart from"
        if mine.high < other.low or mine.low > other.high:
            verb = "less than" if mine.high < other.low else "more than"
        said.append(
            f"A base of a hidden span costs {mine.value:.4f} nats, {verb} the "
            f"{other.value:.4f} of a {best.name} that knows both neighbours."
        )
    return " ".join(said) or "Nothing that was held out could be judged."


def _known(interval: Interval) -> bool:
    return interval.value == interval.value


def track_cells(summary: PretrainSummary) -> Iterable[tuple[str, ...]]:
    """Rows of the table of tracks."""
    for row in summary.tracks:
        yield (
            *(row.cell or "–", row.modality, HIDDEN[row.hidden], f"{row.bins:,}"),
            *(_words(row.r), SIMPLE[row.hidden], _words(row.simple_r)),
            _words(row.gain, sign=True),
        )


def kmer_cells(summary: PretrainSummary) -> Iterable[tuple[str, ...]]:
    """Rows of the table of k-mers."""
    for row in summary.kmers:
        nats = row.nats_per_base
        yield (
            *(row.name, f"{row.kmers:,}"),
            f"{nats.value:.4f} ({nats.low:.4f} to {nats.high:.4f})",
            f"{row.accuracy.value:.2%} ({row.accuracy.low:.2%} to {row.accuracy.high:.2%})",
        )


def _words(interval: Interval, sign: bool = False) -> str:
    return interval.text(sign=sign) if _known(interval) else "–"


def write_pretrain_report(summary: PretrainSummary, path: Path) -> None:
    """One HTML file that needs nothing beside it.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    body = ""
    if summary.tracks:
        body += "<h2>tracks</h2>\n" + html_table(TRACK_COLUMNS, track_cells(summary))
        body += (
            '<p class="note">Pearson correlation with what was measured, over hidden bins of '
            "windows held out; in brackets 95 % intervals of a bootstrap over loci. A line between "
            "the nearest bins left and right is what any smooth track allows.</p>\n"
        )
    if summary.kmers:
        body += "<h2>hidden bases</h2>\n" + html_table(KMER_COLUMNS, kmer_cells(summary))
        body += (
            '<p class="note">Markov chains of the training windows sum over what is hidden between '
            "a k-mer and the known bases on both sides: 1.386 nats are a guess among four.</p>\n"
        )
    with style():
        body += "<h2>training</h2>\n" + embedded(_curve(summary))
    counts = summary.windows
    under = (
        f"{counts['to draw from']:,} windows of {counts['each of bases']:,} bases to draw from, "
        f"{counts['validated on']:,} held out; preset {summary.preset}, "
        f"{summary.parameters:,} parameters"
    )
    title = f"{summary.data}: pre-training"
    write_page(path, title, headline(summary), under, body, summary.notes)


def _curve(summary: PretrainSummary) -> Picture:
    shown = {"r_spans": "r, spans hidden", "r_whole": "r, modality hidden"}
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
    head(right, "correlation, mean over modalities (validation)")
    for ax in (left, right):
        ax.set_xlabel("epoch")
        ax.legend()
        ax.xaxis.get_major_locator().set_params(integer=True)
    caption = (
        "The training loss has a part that validation has not: tracks told from a base's own "
        "surroundings."
    )
    return Picture("curve", caption, figure)


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n\n"


def pretrain_card(summary: PretrainSummary) -> str:
    """The text of ``README.md``, in Markdown."""
    masking = summary.masking
    left = ", ".join(f"{name} {n:,}" for name, n in summary.windows.items())
    text = (
        f"# GMT pre-trained on {summary.data}\n\n{headline(summary)}\n\n## Model\n\nPreset "
        f"`{summary.preset}`, {summary.parameters:,} parameters; it scores no variants before it "
        "is trained on some.\n\n## Data\n\n"
        f"Cell types: {', '.join(short(c) for c in summary.cells if c) or 'not named'}. "
        f"Modalities: {', '.join(summary.modalities) or 'none'}. Windows: {left}.\n\n"
        f"Hidden: {masking.share:.0%} of the bases in spans of {masking.span}, "
        f"{masking.track_share:.0%} of the bins in spans of {masking.shortest} to "
        f"{masking.longest}, or a whole modality.\n\n"
    )
    if summary.tracks:
        text += "## Tracks\n\n" + _markdown(TRACK_COLUMNS, track_cells(summary))
    if summary.kmers:
        text += "## Hidden bases\n\n" + _markdown(KMER_COLUMNS, kmer_cells(summary))
    notes = "".join(f"- {note}\n" for note in summary.notes)
    return text + (
        f"## Use\n\n```\ngenomix train SHARD.h5 --init {summary.folder} -o RUN\n```\n\n"
        f"## Limits\n\n{notes}- Judged on one data set.\n- For research; not a medical device.\n"
    )
