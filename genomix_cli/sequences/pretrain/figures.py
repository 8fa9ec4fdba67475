"""Figures of contrastive pre-training and of alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genomix_cli.learning.task import Epoch
from genomix_cli.report.canvas import GREY, Picture, by_epoch, grid, head, looks, short
from genomix_cli.sequences.pretrain.summaries import AlignSummary, Probes
from genomix_cli.sequences.score.retrieval import Recall

# Number of phenotypes in the attention figure.
SHOWN = 6


def curve(points: Sequence[Epoch]) -> Picture:
    """Draw the loss, and the share of partners ranked first, by epoch."""
    figure, axes = grid(1, 2, (7.4, 2.6))
    epochs = [point.epoch for point in points]
    left, right = axes[0]
    train, valid = looks(("training", "validation")).values()
    for name, look, values in (
        ("training", train, [p.train_loss for p in points]),
        ("validation", valid, [p.valid_nll for p in points]),
    ):
        left.plot(epochs, values, color=look.colour, marker=look.marker, ms=3, label=name)
    right.plot(epochs, [p.valid_accuracy for p in points], color=valid.colour, marker="o", ms=3)
    left.legend()
    head(left, "loss")
    head(right, "partner ranked first (validation)")
    right.set_ylim(0, 1)
    by_epoch(left, right)
    caption = (
        "Loss in nats, and how often the partner is the most similar member of a validation "
        "batch. Larger batches make this harder, so it says little about what was learned."
    )
    return Picture("curve", caption, figure)


def accuracies(probes: Probes) -> Picture:
    """Draw the accuracy of each probe with its interval."""
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
        "majority" if row.features == "none" else f"{row.features}, {row.classifier}"
        for row in rows
    ]
    ax.set_yticks(range(len(rows)), [short(name, 44) for name in names])
    ax.set_xlabel("accuracy")
    caption = (
        f"Accuracy on {probes.label} with 95 % intervals. Orange: baselines without a network."
    )
    return Picture("accuracy", caption, figure)


def few(probes: Probes) -> Picture:
    """Draw the accuracy of a linear probe by the number of labels."""
    figure, axes = grid(1, 1, (4.6, 2.8))
    ax = axes[0, 0]
    for name, look in looks(each.features for each in probes.few).items():
        own = [each for each in probes.few if each.features == name]
        values = [each.shots for each in own], [each.mean for each in own], [e.sd for e in own]
        ax.errorbar(*values, color=look.colour, marker=look.marker, ms=4, lw=1.2, label=name)
    ax.set_xscale("log")
    ax.set_xticks(sorted({each.shots for each in probes.few}))
    ax.set_xticks([], minor=True)
    ax.get_xaxis().set_major_formatter("{x:.0f}")
    ax.set(xlabel="labelled sequences per class", ylabel="accuracy")
    ax.legend()
    return Picture("few", "Linear probe trained on few labels: mean and SD over ten draws.", figure)


def recalls(summary: AlignSummary) -> Picture:
    """Draw recall at k in both directions."""
    figure, axes = grid(1, 2, (7.8, 2.9), sharey=True)
    ways = (("sequence to profile", "to_profiles"), ("profile to sequences", "to_sequences"))
    pens = looks(row.name for row in summary.retrieval)
    for ax, (title, way) in zip(axes[0], ways, strict=True):
        for row in summary.retrieval:
            recalls: tuple[Recall, ...] = getattr(row.recalls, way)
            values = np.array([r.share for r in recalls])
            error = np.abs(values[:, 1:] - values[:, :1]).T
            ks, pen = range(len(recalls)), pens[row.name]
            look = {"color": pen.colour, "marker": pen.marker, "ms": 4, "lw": 1}
            ax.errorbar(ks, values[:, 0], error, label=row.name, **look)
        ax.plot(ks, [r.chance for r in recalls], color=GREY, ls=":", label="chance")
        head(ax, title)
        ax.set_xlabel("first k")
        ax.set_xticks(ks, [str(r.k) for r in recalls])
        ax.set_ylim(0, 1.02)
    axes[0, 0].set_ylabel("recall")
    axes[0, 1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return Picture("recall", "Recall at k with 95 % intervals.", figure)


def attention(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Draw the attention of the first phenotypes along the sequence."""
    names = list(dict.fromkeys(row["phenotype"] for row in rows))[:SHOWN]
    figure, axes = grid(len(names), 1, (7.4, 0.5 + 1.1 * len(names)), sharex=True)
    for ax, name in zip(axes[:, 0], names, strict=True):
        own = [row for row in rows if row["phenotype"] == name and row["class"] == "all"]
        ax.plot([row["start"] for row in own], [row["times_even"] for row in own], lw=0.9)
        ax.axhline(1, color=GREY, lw=0.7, ls=":")
        head(ax, short(name))
    axes[-1, 0].set_xlabel("first base (or column) of the token")
    caption = (
        "Attention of each phenotype to each part of the sequence, relative to even attention. It "
        "shows where information flows, not what is important. By class: attention.tsv."
    )
    return Picture("attention", caption, figure)
