"""Figures of explained sequences: attribution along each, with letters where it is largest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from genomix_cli.comparison.study import Floats
from genomix_cli.report.canvas import GAIN, LOSS, PALE, Picture, grid
from genomix_cli.report.letters import (
    LINE_COLOUR,
    VARIANT_COLOUR,
    MotifBar,
    draw_letter,
    draw_motifs,
    limits,
    spell,
)

# Number of bases drawn as letters; most motif bars above them; most sites that are named.
LETTERS_WIDE, MOST_BARS, MOST_SITES = 100, 5, 6


class Drawn(NamedTuple):
    """Contents of a figure.

    Attributes
    ----------
    title : str
    letters : str
        Letters of the sequence ``[L]``.
    values : NDArray
        float64 ``[L]``: attributions.
    motifs : sequence of MotifBar
        Motifs, with columns counted in bases of the sequence.
    sites : sequence of str
        Names of the columns of aligned sequences ``[L]``; empty for bases.
    """

    title: str
    letters: str
    values: Floats
    motifs: Sequence[MotifBar]
    sites: Sequence[str]


def figure_of(drawn: Drawn) -> Any:
    """Draw the attribution along a sequence, above the letters of its strongest stretch."""
    length = len(drawn.values)
    if drawn.sites:
        figure, axes = grid(1, 1, (10, 2.9))
        _track(axes[0, 0], drawn.values)
        _name_sites(axes[0, 0], drawn)
        axes[0, 0].set_xlabel("column")
    else:
        start = strongest(drawn.values, LETTERS_WIDE)
        stop = min(start + LETTERS_WIDE, length)
        bars = _bars_within(drawn.motifs, start, stop)
        whole = stop - start == length
        heights = [*([] if whole else [0.8]), *([0.26 * len(bars)] if bars else []), 1.5]
        figure, axes = grid(len(heights), 1, (10, sum(heights) + 1.1), height_ratios=heights)
        if not whole:
            _track(axes[0, 0], drawn.values)
            axes[0, 0].axvspan(start + 0.5, stop + 0.5, color=VARIANT_COLOUR, lw=0, zorder=0)
        if bars:
            draw_motifs(axes[-2, 0], bars, stop - start)
        _letters(axes[-1, 0], drawn, start, stop)
    figure.suptitle(drawn.title, x=0.01, ha="left", fontweight="bold", fontsize=10)
    return figure


def strongest(values: Floats, width: int) -> int:
    """Return the start of the stretch with the largest sum of absolute attributions."""
    sums = np.concatenate([[0.0], np.abs(values).cumsum()])
    if len(values) <= width:
        return 0
    return int(np.argmax(sums[width:] - sums[:-width]))


def draw_positions(values: Floats, aligned: bool) -> Picture:
    """Draw the mean absolute attribution ``[L]`` by position."""
    figure, axes = grid(1, 1, (10, 2.2))
    _track(axes[0, 0], values)
    axes[0, 0].set_xlabel("column" if aligned else "position in the sequence")
    axes[0, 0].set_ylabel("mean |attribution|")
    where = "column" if aligned else "position"
    caption = f"Mean absolute attribution of each {where} over the explained sequences."
    return Picture("positions", caption, figure)


def _track(ax: Any, values: Floats) -> None:
    places = np.arange(1, len(values) + 1)
    ax.bar(places, values, width=1.0, color=np.where(values < 0, LOSS, GAIN), lw=0)
    ax.axhline(0, color=LINE_COLOUR, lw=0.5)
    ax.set(xlim=(0.5, len(values) + 0.5), ylim=limits(values))
    ax.set_ylabel("logits")


def _name_sites(ax: Any, drawn: Drawn) -> None:
    """Name the columns with the largest attributions; of neighbours, only the larger one."""
    length, taken = len(drawn.values), list[int]()
    for j in np.argsort(-np.abs(drawn.values), kind="stable").tolist():
        if len(taken) == MOST_SITES or drawn.values[j] == 0:
            break
        if all(abs(j - other) > length / 10 for other in taken):
            taken.append(j)
            value, above = float(drawn.values[j]), drawn.values[j] > 0
            ax.annotate(
                f"{drawn.sites[j]} {drawn.letters[j]}",
                (j + 1, value),
                xytext=(0, 2 if above else -2),
                textcoords="offset points",
                ha="left" if j < length / 2 else "right",
                va="bottom" if above else "top",
                fontsize=7,
            )
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.12 * (high - low), high + 0.12 * (high - low))


def _bars_within(motifs: Sequence[MotifBar], start: int, stop: int) -> list[MotifBar]:
    """Return the first motifs that lie in a stretch, with columns relative to its start."""
    bars = [
        MotifBar(each.text, each.change, each.first - start, each.last - start)
        for each in motifs
        if each.first >= start and each.last < stop
    ]
    return bars[:MOST_BARS]


def _letters(ax: Any, drawn: Drawn, start: int, stop: int) -> None:
    values = drawn.values[start:stop]
    for column, (letter, height) in enumerate(zip(drawn.letters[start:stop], values, strict=True)):
        draw_letter(ax, letter, column, float(height))
    spell(ax, drawn.letters[start:stop], size=6.5)
    ax.axhline(0, color=LINE_COLOUR, lw=0.6)
    ax.set(xlim=(-0.5, stop - start - 0.5), ylim=limits(values), ylabel="logits")
    ticks = [column for column in range(stop - start) if (start + column + 1) % 10 == 0]
    ax.set_xticks(ticks, [f"{start + column + 1:,}" for column in ticks])
    ax.tick_params(axis="x", pad=12, length=0)
    ax.grid(axis="y", color=PALE, lw=0.5)
    ax.set_axisbelow(True)
