"""Sequence logos: letters scaled by attribution, with bars above them for motifs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import from_extra
from genomix_cli.report.canvas import GAIN, LOSS

# Close to the usual colours of logos, but distinct from the red and blue of the tracks.
BASE_COLOURS = {"A": "#109648", "C": "#255C99", "G": "#F2A900", "T": "#C81D25", "N": "#888888"}
LINE_COLOUR, VARIANT_COLOUR = "#777777", "#FFE9A8"
MOTIF_COLOURS = {"lost": LOSS, "weaker": LOSS, "gained": GAIN, "stronger": GAIN}


@dataclass(frozen=True)
class MotifBar:
    """A motif above the letters.

    Attributes
    ----------
    text, change : str
    first, last : int
        First and last column; may be outside the drawn letters.
    """

    text: str
    change: str
    first: int
    last: int


def new_figure(size: tuple[float, float], dpi: int) -> Any:
    """Return an empty figure of `size` inches.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with from_extra("matplotlib", "explain"):
        from matplotlib.figure import Figure
    return Figure(figsize=size, dpi=dpi, layout="constrained")


def draw_letter(ax: Any, letter: str, column: int, height: float, alpha: float = 1.0) -> None:
    """Draw a letter that fills its column up to `height`; negative ones hang upside down."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    if not height:
        return
    outline = TextPath(
        (0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold")
    )
    box = outline.get_extents()
    fit = (
        Affine2D()
        .translate(-box.x0 - box.width / 2, -box.y0)
        .scale(0.92 / max(box.width, 0.55), height / box.height)
        .translate(column, 0)
    )
    colour = BASE_COLOURS.get(letter, "k")
    ax.add_patch(PathPatch(fit.transform_path(outline), color=colour, alpha=alpha, lw=0))


def spell(ax: Any, letters: str, size: float) -> None:
    """Write the sequence below the axis, where attributions are too small to read."""
    for column, letter in enumerate(letters):
        ax.annotate(
            letter,
            (column, 0),
            xytext=(0, -5),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=size,
            color=BASE_COLOURS.get(letter, "k"),
        )


def limits(heights: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of an axis that holds 0 and all heights, with a margin."""
    low, high = min(0.0, float(heights.min())), max(0.0, float(heights.max()))
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def draw_motifs(ax: Any, motifs: Sequence[MotifBar], columns: int) -> None:
    """Draw a bar for each motif over its letters, the first on top, and name it."""
    for row, motif in enumerate(motifs):
        first, last = max(motif.first, 0) - 0.4, min(motif.last, columns - 1) + 0.4
        colour = MOTIF_COLOURS.get(motif.change, LINE_COLOUR)
        ax.barh(-row, last - first, left=first, height=0.4, color=colour)
        on_right = first + last < columns
        ax.text(
            last + 0.4 if on_right else first - 0.4,
            -row,
            motif.text,
            ha="left" if on_right else "right",
            va="center",
            fontsize=8.5,
            color=colour,
        )
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(0.5 - len(motifs), 0.5))
    ax.axis("off")
