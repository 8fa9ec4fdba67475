"""Report page and model card of an activity network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.intervals import NAN
from genomix_cli.report.canvas import (
    COLOURS,
    GREY,
    Picture,
    by_epoch,
    grid,
    head,
    interval_bar,
    looks,
    rows_alone,
    short,
)
from genomix_cli.report.page import Card, Signed, render, write_page
from genomix_cli.sequences.activity.results import TITLES, ActivitySummary, OutputResult, Point

# Most outputs in the figure of single sequences, and most sequences for each of them.
SHOWN, DOTS = 6, 3000
# Number of outputs with a card at the top of the page.
CARDS = 4
# With at most this many sequences, the dots are larger.
FEW = 200


def write_activity_page(
    path: Path,
    summary: ActivitySummary,
    truth: NDArray[np.float32],
    answers: NDArray[np.float32],
) -> None:
    """Write the page; the same content gives the same bytes.

    Parameters
    ----------
    path : Path
    summary : ActivitySummary
    truth, answers : NDArray
        float32 ``[n, K]``: measured and predicted values of the held-out sequences; NaN if unknown.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    write_page(
        "activity.html.j2",
        path,
        title=f"{summary.data}: activity",
        sub=(
            f"{summary.counts['train']:,} training sequences, {summary.counts['test']:,} held "
            f"out by {summary.held_out_by}; {summary.parameters:,} parameters"
        ),
        headline=summary.headline,
        cards=output_cards(summary.outputs),
        warnings=summary.warnings,
        summary=summary,
        table=table,
        models_figure=models_figure,
        single_figure=lambda: single_figure(summary.outputs, truth, answers),
        training_figure=_training_figure,
    )


def activity_card(summary: ActivitySummary) -> str:
    """Return the text of ``README.md``, in Markdown."""
    return render("activity.md.j2", summary=summary, table=table)


def output_cards(results: Sequence[OutputResult]) -> list[Card]:
    """Return the cards at the top of the page: the network's score on the first outputs."""
    return [
        Card.of(
            f"{TITLES[result.metric]}, {short(result.output)}",
            result.rows[0].metrics[result.metric],
            result.rows[0].model,
        )
        for result in results[:CARDS]
    ]


def table(results: Sequence[OutputResult]) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of the table of all outputs and models."""
    metrics = list(dict.fromkeys(name for each in results for name in each.rows[0].metrics))
    columns = ["output", "model", *(TITLES[name] for name in metrics), "minus ridge"]
    rows = [
        [
            *(result.output, row.model),
            *(row.metrics.get(name, NAN) for name in metrics),
            Signed(result.less_ridge if row is result.rows[0] else None),
        ]
        for result in results
        for row in result.rows
    ]
    return columns, rows


def models_figure(results: Sequence[OutputResult]) -> Picture:
    """Draw the first metric of each model on each output, with its interval."""
    rows = [(result, row) for result in results for row in result.rows]
    rows = [(result, row) for result, row in rows if np.isfinite(row.metrics[result.metric].value)]
    figure, axes = grid(1, 1, (6.4, 0.7 + 0.22 * len(rows)))
    ax = axes[0, 0]
    for i, (result, row) in enumerate(reversed(rows)):
        colour = GREY if row.baseline else COLOURS[0]
        interval_bar(ax, i, row.metrics[result.metric], colour)
    names = [f"{short(result.output)}, {row.model}" for result, row in reversed(rows)]
    ax.set_yticks(range(len(rows)), names)
    ax.set_xlabel(" or ".join(dict.fromkeys(TITLES[result.metric] for result in results)))
    rows_alone(ax)
    caption = "Held-out performance with 95 % intervals. Grey: baselines without a network."
    return Picture("models", caption, figure)


def single_figure(
    results: Sequence[OutputResult], truth: NDArray[np.float32], answers: NDArray[np.float32]
) -> Picture | None:
    """Draw measured against predicted values of the first quantities."""
    numbers = [k for k, each in enumerate(results) if each.unit and each.sequences][:SHOWN]
    if not numbers:
        return None
    columns = min(3, len(numbers))
    lines = -(-len(numbers) // columns)
    figure, axes = grid(lines, columns, (2.5 * columns + 0.4, 2.4 * lines + 0.2))
    for ax in axes.flat[len(numbers) :]:
        ax.set_axis_off()
    for ax, k in zip(axes.flat, numbers, strict=False):
        known = np.flatnonzero(np.isfinite(truth[:, k]))[:DOTS]
        x, y = answers[known, k], truth[known, k]
        size = 3 if len(known) > FEW else 6
        ax.plot(x, y, ".", ms=size, alpha=0.4, color=COLOURS[0], mew=0, rasterized=True)
        ax.axline((float(x.mean()), float(x.mean())), slope=1, color=GREY, lw=0.7)
        head(ax, short(results[k].output))
        ax.set(xlabel="predicted", ylabel=f"measured, {short(results[k].unit)}")
    caption = f"Held-out sequences, {DOTS:,} at most. Line: perfect agreement."
    return Picture("sequences", caption, figure)


def _training_figure(curve: Sequence[Point]) -> Picture:
    """Draw training loss and validation score by epoch, one line per member."""
    figure, axes = grid(1, 2, (7.4, 2.6))
    left, right = axes[0]
    quantity = curve[0].pearson is not None
    for member, pen in looks(str(point.member) for point in curve).items():
        own = [point for point in curve if str(point.member) == member]
        epochs = [point.epoch for point in own]
        values = [point.pearson if quantity else point.log_likelihood for point in own]
        line: dict[str, Any] = {"color": pen.colour, "marker": pen.marker, "ms": 3, "lw": 1.1}
        left.plot(epochs, [point.train_loss for point in own], label=f"member {member}", **line)
        right.plot(epochs, values, **line)
    head(left, "training loss")
    head(right, "mean r, validation" if quantity else "log-likelihood, validation")
    left.legend()
    by_epoch(left, right)
    caption = "Training: mean over an epoch, all files together. Validation: the main file only."
    return Picture("training", caption, figure)
