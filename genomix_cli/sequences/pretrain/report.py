"""What came of contrastive pre-training and of alignment, for people: a page, and a model card."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli.learning.task import Epoch
from genomix_cli.report.canvas import (
    GREY,
    Picture,
    grid,
    head,
    looks,
    short,
    style,
)
from genomix_cli.report.page import embedded, html_table, write_page
from genomix_cli.sequences.pretrain.probes import LINEAR, ProbeRow
from genomix_cli.sequences.pretrain.summaries import AlignSummary, ContrastSummary, Probes
from genomix_cli.sequences.score.retrieval import Recall

# Rows of the attention figure.
SHOWN = 6


def contrast_headline(summary: ContrastSummary) -> str:
    """Whether a linear model of plain features wins, in one sentence."""
    if not summary.probes:
        return "There is no label, so nothing says what the encoder has learned."
    return " ".join(_verdict(probes) for probes in summary.probes)


def _verdict(probes: Probes) -> str:
    own = next(r for r in probes.rows if r.features == "pre-trained" and r.classifier == LINEAR)
    best = max((r for r in probes.rows if r.baseline), key=lambda r: r.accuracy.value)
    assert own.less_linear is not None
    low, high = own.less_linear[1:]
    says = _says(low > 0, high < 0)
    return (
        f"On {probes.label} ({probes.classes} classes) a linear probe of the pre-trained encoder "
        f"{says}: accuracy {own.accuracy.text()} against {best.accuracy.text()} "
        f"({best.features})."
    )


def align_headline(summary: AlignSummary) -> str:
    """Whether linear models retrieve better, in one sentence."""
    own = summary.retrieval[0]
    best = max(
        (row for row in summary.retrieval if row.baseline),
        key=lambda row: row.recalls.to_profiles[0].share.value,
    )
    mine, other = own.recalls.to_profiles[0], best.recalls.to_profiles[0]
    says = _says(mine.share.low > other.share.high, mine.share.high < other.share.low)
    return (
        f"From a sequence to its profile the alignment {says}: recall@1 {mine.share.text()} "
        f"against {other.share.text()} ({best.name}); chance is {mine.chance:.3f}."
    )


def _says(better: bool, worse: bool) -> str:
    verb = "beats" if better else "loses to" if worse else "is not told apart from"
    return f"{verb} the best linear baseline"


def write_contrast_report(summary: ContrastSummary, path: Path) -> None:
    """One HTML file that needs nothing beside it.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with style():
        parts = [("training", embedded(_curve(summary.curve)) + _views(summary))]
        for probes in summary.probes:
            body = embedded(_accuracies(probes)) + _probehtml_table(probes)
            body += embedded(_few(probes)) if probes.few else ""
            parts.insert(len(parts) - 1, (f"probes of {probes.label}", body))
    _page(
        summary.data, "contrastive pre-training", contrast_headline(summary), summary, parts, path
    )


def write_align_report(
    summary: AlignSummary, attention: Sequence[Mapping[str, Any]], path: Path
) -> None:
    """One HTML file that needs nothing beside it.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with style():
        parts = [
            ("retrieval", embedded(_recalls(summary)) + _recall_tables(summary)),
            ("attention", embedded(_attention(attention))),
            ("training", embedded(_curve(summary.curve))),
        ]
    _page(summary.data, "DNA and phenotypes", align_headline(summary), summary, parts, path)


def _page(
    data: str,
    title: str,
    headline: str,
    summary: ContrastSummary | AlignSummary,
    parts: Iterable[tuple[str, str]],
    path: Path,
) -> None:
    counts = ", ".join(f"{n:,} {name}" for name, n in summary.counts.items())
    under = (
        f"{counts} sequences, held out by {summary.held_out_by}; preset {summary.preset}, "
        f"{summary.parameters:,} parameters, learned temperature {summary.temperature:.3f}"
    )
    body = "".join(f"<h2>{html.escape(name)}</h2>\n{text}" for name, text in parts)
    write_page(path, f"{data}: {title}", headline, under, body, summary.notes)


def _views(summary: ContrastSummary) -> str:
    rows = [(name.replace("_", " "), str(value)) for name, value in summary.views.items()]
    return html_table(("change of a view", "rate"), rows)


PROBE_COLUMNS = (
    *("features", "classifier", "dimensions", "accuracy", "balanced accuracy"),
    "accuracy less the best linear baseline",
)


def _cells(row: ProbeRow) -> tuple[str, ...]:
    return (
        *(row.features, row.classifier, str(row.dims)),
        *(row.accuracy.text(), row.balanced_accuracy.text()),
        "–" if row.less_linear is None else row.less_linear.text(sign=True),
    )


def _probehtml_table(probes: Probes) -> str:
    note = (
        f'<p class="note">{probes.sequences:,} sequences held out; in brackets 95 % intervals of a '
        "bootstrap over groups. “Untrained” is the same encoder with its first random weights: "
        "what pre-training adds is what is above it.</p>\n"
    )
    return html_table(PROBE_COLUMNS, map(_cells, probes.rows)) + note


def _recall_tables(summary: AlignSummary) -> str:
    text = ""
    for title, way in (
        (f"From a sequence to its profile, among {summary.profiles:,}", "to_profiles"),
        (f"From a profile to its sequences, among {summary.compared:,}", "to_sequences"),
    ):
        rows = [(row.name, getattr(row.recalls, way)) for row in summary.retrieval]
        columns = ["", *(f"recall@{r.k}" for r in rows[0][1])]
        cells = [(name, *(r.share.text() for r in found)) for name, found in rows]
        cells.append(("chance", *(f"{r.chance:.3f}" for r in rows[0][1])))
        text += f"<h3>{html.escape(title)}</h3>\n" + html_table(columns, cells)
    return text + (
        '<p class="note">Share of queries with a right answer among the first k; in brackets 95 % '
        "intervals of a bootstrap over groups. Right is what agrees in all phenotypes known of "
        "both. “Shuffled phenotypes” learned from those of other people.</p>\n"
    )


def _curve(curve: Sequence[Epoch]) -> Picture:
    figure, axes = grid(1, 2, (7.4, 2.6))
    epochs = [point.epoch for point in curve]
    left, right = axes[0]
    look = looks(("training", "validation"))
    for name, values in (
        ("training", [p.train_loss for p in curve]),
        ("validation", [p.valid_nll for p in curve]),
    ):
        left.plot(
            epochs, values, color=look[name].colour, marker=look[name].marker, ms=3, label=name
        )
    right.plot(
        epochs, [p.valid_accuracy for p in curve], color=look["validation"].colour, marker="o", ms=3
    )
    left.legend()
    head(left, "loss")
    head(right, "partner found first (validation)")
    right.set_ylim(0, 1)
    for ax in (left, right):
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    caption = (
        "Loss in nats, and how often the most alike of a validation batch is the right one. The "
        "task is only as hard as the batch is large, and says little of what was learned."
    )
    return Picture("curve", caption, figure)


def _accuracies(probes: Probes) -> Picture:
    rows = list(reversed(probes.rows))
    figure, axes = grid(1, 1, (6.4, 0.6 + 0.24 * len(rows)))
    ax = axes[0, 0]
    look = looks(("learned", "baseline"))
    for i, row in enumerate(rows):
        value, low, high = row.accuracy
        group = look["baseline" if row.baseline else "learned"]
        ax.plot([low, high], [i, i], color=group.colour, lw=1.2)
        ax.plot([value], [i], group.marker, color=group.colour, ms=4)
    names = [
        row.features if row.features == "none" else f"{row.features}, {row.classifier}"
        for row in rows
    ]
    names = ["majority" if name == "none" else name for name in names]
    ax.set_yticks(range(len(rows)), [short(name, 44) for name in names])
    ax.set_xlabel("accuracy")
    caption = f"Accuracy on {probes.label} with 95 % intervals; orange: baselines, no network."
    return Picture("accuracy", caption, figure)


def _few(probes: Probes) -> Picture:
    figure, axes = grid(1, 1, (4.6, 2.8))
    ax = axes[0, 0]
    for name, look in looks(each.features for each in probes.few).items():
        own = [each for each in probes.few if each.features == name]
        shots = [each.shots for each in own]
        ax.errorbar(
            shots,
            [each.mean for each in own],
            [each.sd for each in own],
            color=look.colour,
            marker=look.marker,
            ms=4,
            lw=1.2,
            label=name,
        )
    ax.set_xscale("log")
    ax.set_xticks(sorted({each.shots for each in probes.few}))
    ax.set_xticks([], minor=True)
    ax.get_xaxis().set_major_formatter("{x:.0f}")
    ax.set_xlabel("labelled sequences of each class")
    ax.set_ylabel("accuracy")
    ax.legend()
    return Picture("few", "A linear probe of few labels: mean and spread of ten draws.", figure)


def _recalls(summary: AlignSummary) -> Picture:
    figure, axes = grid(1, 2, (7.8, 2.9), sharey=True)
    ways = (("sequence to profile", "to_profiles"), ("profile to sequences", "to_sequences"))
    for ax, (title, way) in zip(axes[0], ways, strict=True):
        for row, look in zip(
            summary.retrieval, looks(row.name for row in summary.retrieval).values(), strict=True
        ):
            found: tuple[Recall, ...] = getattr(row.recalls, way)
            values = np.array([r.share for r in found])
            error = np.abs(values[:, 1:] - values[:, :1]).T
            ks = range(len(found))
            ax.errorbar(
                ks,
                values[:, 0],
                error,
                color=look.colour,
                marker=look.marker,
                ms=4,
                lw=1,
                label=row.name,
            )
        ax.plot(ks, [r.chance for r in found], color=GREY, ls=":", label="chance")
        head(ax, title)
        ax.set_xlabel("first k")
        ax.set_xticks(ks, [str(r.k) for r in found])
        ax.set_ylim(0, 1.02)
    axes[0, 0].set_ylabel("recall")
    axes[0, 1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return Picture("recall", "Recall at k with 95 % intervals.", figure)


def _attention(rows: Sequence[Mapping[str, Any]]) -> Picture:
    names = list(dict.fromkeys(row["phenotype"] for row in rows))[:SHOWN]
    figure, axes = grid(len(names), 1, (7.4, 0.5 + 1.1 * len(names)), sharex=True)
    for ax, name in zip(axes[:, 0], names, strict=True):
        own = [row for row in rows if row["phenotype"] == name and row["class"] == "all"]
        ax.plot([row["start"] for row in own], [row["times_even"] for row in own], lw=0.9)
        ax.axhline(1, color=GREY, lw=0.7, ls=":")
        head(ax, short(name))
    axes[-1, 0].set_xlabel("first base (or column) of the token")
    caption = (
        "How much each phenotype reads each part of the sequence, in times of even attention. It "
        "says where information flows, not what matters. By class: attention.tsv."
    )
    return Picture("attention", caption, figure)


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _card(title: str, headline: str, summary: ContrastSummary | AlignSummary, body: str) -> str:
    counts = ", ".join(f"{n:,} {name}" for name, n in summary.counts.items())
    return (
        f"# {title} of {summary.data}\n\n{headline}\n\n## Model\n\nPreset `{summary.preset}`, "
        f"{summary.parameters:,} parameters.\n\n## Data\n\n{counts} sequences, held out by "
        f"{summary.held_out_by}.\n\n{body}\n## Limits\n\n- Judged on one data set.\n"
        "- For research; not a medical device.\n"
    )


def contrast_card(summary: ContrastSummary) -> str:
    """The text of ``README.md``, in Markdown."""
    body = ""
    for probes in summary.probes:
        body += f"## Probes of {probes.label}\n\n"
        body += _markdown(PROBE_COLUMNS, map(_cells, probes.rows)) + "\n\n"
    body += (
        f"## Use\n\n```\ngenomix score {summary.data} --model {summary.folder} "
        "-o embeddings.parquet\n```\n"
    )
    return _card("Contrastive pre-training", contrast_headline(summary), summary, body)


def align_card(summary: AlignSummary) -> str:
    """The text of ``README.md``, in Markdown."""
    columns = ("by", "recall@1", "recall@5", "recall@10")
    body = ""
    for title, way in (
        ("profile of a sequence", "to_profiles"),
        ("sequences of a profile", "to_sequences"),
    ):
        rows = [
            (r.name, *(x.share.text() for x in getattr(r.recalls, way))) for r in summary.retrieval
        ]
        chance = (f"{x.chance:.3f}" for x in getattr(summary.retrieval[0].recalls, way))
        body += f"## Finding the {title}\n\n{_markdown(columns, [*rows, ('chance', *chance)])}\n\n"
    body += (
        "Attention says where information flows, not what matters.\n\n"
        f"## Use\n\n```\ngenomix score {summary.data} --model {summary.folder} "
        "-o retrieved.tsv\n```\n"
    )
    return _card("Alignment with phenotypes", align_headline(summary), summary, body)
