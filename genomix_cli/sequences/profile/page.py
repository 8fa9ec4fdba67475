"""Report page and model card of a profile network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.learning.profiles import ProfileModel
from genomix_cli.report.canvas import COLOURS, GREY, Picture, by_epoch, grid, head, short
from genomix_cli.report.page import Signed, render, write_page
from genomix_cli.sequences.activity.page import models_figure, output_cards, single_figure, table
from genomix_cli.sequences.activity.results import Point
from genomix_cli.sequences.profile.predict import window_answers
from genomix_cli.sequences.profile.results import NETWORK, TITLES, ProfileSummary, ShapeResult
from genomix_cli.sequences.profile.windows import Windows, middle, observed

# Largest numbers of tracks in the figure of profiles, and of windows per track.
SHOWN, EXAMPLES = 3, 3


def write_profile_page(
    path: Path,
    summary: ProfileSummary,
    truth: NDArray[np.float32],
    counts: NDArray[np.float32],
    model: ProfileModel,
    windows: Windows,
) -> None:
    """Write the page; the same content gives the same bytes.

    Parameters
    ----------
    path : Path
    summary : ProfileSummary
    truth, counts : NDArray
        float32 ``[n, K]``: log counts of held-out windows, measured (NaN where unknown) and
        predicted.
    model : ProfileModel
        In evaluation mode.
    windows : Windows
        The held-out windows.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    write_page(
        "profile.html.j2",
        path,
        title=f"{summary.data}: profiles",
        sub=(
            f"{summary.counts['train']:,} training windows, {summary.counts['test']:,} held "
            f"out by {summary.held_out_by}; {summary.parameters:,} parameters"
        ),
        headline=summary.headline,
        cards=output_cards(summary.outputs),
        warnings=summary.warnings,
        summary=summary,
        table=table,
        shape_table=shape_table,
        models_figure=models_figure,
        single_figure=lambda: single_figure(summary.outputs, truth, counts),
        examples_figure=lambda: _examples_figure(summary, truth, counts, model, windows),
        training_figure=_training_figure,
    )


def profile_card(summary: ProfileSummary) -> str:
    """Return the text of ``README.md``, in Markdown."""
    return render("profile.md.j2", summary=summary, table=table, shape_table=shape_table)


def shape_table(results: Sequence[ShapeResult]) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of the profile metrics of all tracks and models."""
    columns = ["output", "model", *TITLES.values(), "minus mean profile", "minus another window"]
    rows = [
        [
            *(result.output, row.model),
            *(row.metrics[name] for name in TITLES),
            *(
                Signed(each if row.model == NETWORK else None)
                for each in (result.less_mean, result.less_another)
            ),
        ]
        for result in results
        for row in result.rows
    ]
    return columns, rows


def _examples_figure(
    summary: ProfileSummary,
    truth: NDArray[np.float32],
    counts: NDArray[np.float32],
    model: ProfileModel,
    windows: Windows,
) -> Picture:
    """Draw measured and predicted profiles along the windows with most counts."""
    shown = summary.shapes[:SHOWN]
    figure, axes = grid(len(shown), EXAMPLES, (2.5 * EXAMPLES + 0.4, 1.5 * len(shown) + 0.3))
    at = np.arange(summary.profile) - summary.profile // 2
    for k, result in enumerate(shown):
        most = np.argsort(-np.nan_to_num(truth[:, k], nan=-1), kind="stable")[:EXAMPLES]
        batch = windows.batch(most)
        seen = observed(middle(batch.signal, summary.profile))
        expected = window_answers(model, batch).profile.softmax(-1)
        expected = expected * torch.from_numpy(counts[most]).expm1()[..., None]
        for ax, measured, predicted in zip(axes[k], seen.counts, expected, strict=False):
            ax.fill_between(at, measured[k].numpy(), color=GREY, alpha=0.5, lw=0)
            ax.plot(at, predicted[k].numpy(), color=COLOURS[0], lw=0.9)
        head(axes[k, 0], short(result.output))
    for ax in axes[-1]:
        ax.set_xlabel("bases from the centre")
    caption = (
        f"The {EXAMPLES} held-out windows with the highest counts of each track shown: measured "
        "(grey) and predicted (line) counts."
    )
    return Picture("profiles", caption, figure)


def _training_figure(curve: Sequence[Point]) -> Picture:
    """Draw the training and validation loss by epoch."""
    figure, axes = grid(1, 2, (7.4, 2.6))
    epochs = [point.epoch for point in curve]
    line: dict[str, Any] = {"marker": "o", "ms": 3, "lw": 1.1}
    left, right = axes[0]
    left.plot(epochs, [p.train_loss for p in curve], color=GREY, label="training", **line)
    valid = [-(p.log_likelihood or 0.0) for p in curve]
    left.plot(epochs, valid, color=COLOURS[0], label="validation", **line)
    right.plot(epochs, [p.pearson for p in curve], color=COLOURS[0], **line)
    head(left, "loss, in units of the mean counts")
    head(right, "mean r of log counts, validation")
    left.legend()
    by_epoch(left, right)
    caption = (
        "Training: mean over an epoch, on either strand and shifted. Validation: both strands."
    )
    return Picture("training", caption, figure)
