"""Report page and model card of a diffusion model."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genomix_cli.learning.task import Epoch
from genomix_cli.report.canvas import COLOURS, DASHES, GREY, Picture, by_epoch, grid, head, looks
from genomix_cli.report.page import Card, render, write_page
from genomix_cli.sequences.generate.likelihood import Restored

if TYPE_CHECKING:
    from genomix_cli.sequences.generate.train import DiffusionSummary


def write_diffusion_page(path: Path, summary: DiffusionSummary) -> None:
    """Write the page; the same content gives the same bytes."""
    write_page(
        "diffusion.html.j2",
        path,
        title=f"{summary.data}: diffusion",
        sub=(
            f"{summary.counts['train']:,} training sequences, {summary.counts['test']:,} held "
            f"out by {summary.held_out_by}; {summary.parameters:,} parameters"
        ),
        headline=summary.headline,
        cards=_cards(summary),
        summary=summary,
        ln2=log(2),
        restored=[
            _restored_table(summary.restored, damage)
            for damage in dict.fromkeys(row.damage for row in summary.restored)
        ],
        restored_figure=_restored_figure,
        training_figure=_training_figure,
    )


def _cards(summary: DiffusionSummary) -> list[Card]:
    """Return the cards on top: nats per base of the model and best chain, and their difference."""
    model = summary.likelihoods[0]
    best = next(row for row in summary.likelihoods if row.less_best_chain is None)
    assert model.less_best_chain is not None
    return [
        Card.of("Nats per base, at most", model.nats, model.name),
        Card.of("Best Markov chain", best.nats, best.name),
        Card.of("Difference", model.less_best_chain, "lower is better", sign=True),
    ]


def diffusion_card(summary: DiffusionSummary) -> str:
    """Return the text of ``README.md``, in Markdown."""
    rows = [(row.name, row.nats) for row in summary.likelihoods]
    return render("diffusion.md.j2", summary=summary, rows=rows)


def _restored_table(
    rows: Sequence[Restored], damage: str
) -> tuple[str, list[str], list[list[Any]]]:
    """Return the damage, its rates, and accuracies by model and rate."""
    accuracy = {(row.name, row.rate): row.accuracy for row in rows if row.damage == damage}
    rates = sorted({rate for _, rate in accuracy})
    names = dict.fromkeys(name for name, _ in accuracy)
    table = [[name, *(accuracy[name, rate] for rate in rates)] for name in names]
    return damage, [f"{rate:.0%}" for rate in rates], table


def _restored_figure(rows: Sequence[Restored]) -> Picture:
    damages = list(dict.fromkeys(row.damage for row in rows))
    pens = looks(row.name for row in rows)
    figure, axes = grid(1, len(damages), (3.6 * len(damages) + 1.6, 2.9))
    for ax, damage in zip(axes.flat, damages, strict=True):
        for name, pen in pens.items():
            own = [row for row in rows if row.damage == damage and row.name == name]
            x, y = [row.rate for row in own], [row.accuracy.value for row in own]
            colour = GREY if name == "as it is" else pen.colour
            ax.plot(x, y, color=colour, marker=pen.marker, ms=3.5, lw=1.1, label=name)
            low, high = [r.accuracy.low for r in own], [r.accuracy.high for r in own]
            ax.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        head(ax, f"{damage} bases")
        ax.set(xlabel="share damaged", ylabel="accuracy")
    handles, labels = axes.flat[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return Picture(
        "restored",
        "Accuracy on held-out sequences by the share of damaged bases. Bands: 95 % intervals.",
        figure,
    )


def _training_figure(curve: Sequence[Epoch]) -> Picture:
    figure, axes = grid(1, 1, (4.6, 2.8))
    ax, epochs = axes[0, 0], [point.epoch for point in curve]
    marker: dict[str, Any] = {"marker": "o", "ms": 3, "lw": 1.1, "color": COLOURS[0]}
    ax.plot(epochs, [p.train_loss for p in curve], ls=DASHES[1], label="training", **marker)
    ax.plot(epochs, [p.valid_nll for p in curve], label="validation", **marker)
    ax.set_ylabel("bound, nats per base")
    by_epoch(ax)
    ax.legend()
    caption = (
        "Likelihood bound. Training: mean over an epoch, with some conditions dropped and the "
        "weights of that time. Validation: averaged weights."
    )
    return Picture("training", caption, figure)
