"""Canvas, lines and colours of all figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genomix_cli.comparison.intervals import Interval
from genomix_cli.errors import from_extra

# Palette of Okabe and Ito, distinct for colour-blind readers; without yellow, too pale on paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))
MARKERS = "o^sDvP*"
GREY, PALE, INK = "#9A9A9A", "#E9E9E9", "#333333"
GAIN, LOSS = "#B2182B", "#2166AC"
LONGEST = 26

STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.06,
    "savefig.dpi": 160,
}


class Look(NamedTuple):
    """Colour, dashes and marker of a group."""

    colour: str
    dash: Any
    marker: str


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : str
        Name of its file, without ``.png``.
    caption : str
    figure : Figure
        Figure of matplotlib.
    """

    name: str
    caption: str
    figure: Any


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each group; beyond seven, colours recur with other dashes and markers."""
    found: dict[str, Look] = {}
    for i, name in enumerate(dict.fromkeys(names)):
        turn, colour = divmod(i, len(COLOURS))
        marker = MARKERS[(colour + turn) % len(MARKERS)]
        found[name] = Look(COLOURS[colour], DASHES[turn % len(DASHES)], marker)
    return found


@contextmanager
def style() -> Iterator[None]:
    """Draw with our own matplotlib settings, regardless of the user's.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with from_extra("matplotlib", "cohorts"):
        import matplotlib
    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **STYLE}
    del settings["backend"]
    with matplotlib.rc_context(settings):
        yield


def grid(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """Return a figure of `size` inches, and its axes ``[rows, columns]``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(picture: Picture, folder: Path) -> Path:
    """Write a picture; the same figure gives the same bytes."""
    path = folder / f"{picture.name}.png"
    picture.figure.savefig(path, format="png", metadata={"Software": None})
    return path


def short(text: str, longest: int = LONGEST) -> str:
    """Return the text, cut to a length that fits."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def head(ax: Any, text: str) -> None:
    """Set a title at the left."""
    ax.set_title(text, loc="left", fontsize=9, fontweight="bold", color=INK)


def by_epoch(*axes: Any) -> None:
    """Label the x axis of training curves, with ticks at whole epochs."""
    for ax in axes:
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)


def interval_bar(ax: Any, y: float, interval: Interval, colour: str) -> None:
    """Draw a value as a dot on its interval, at height `y`."""
    if np.isfinite(interval.low):
        ends = [interval.low, interval.high]
        ax.plot(ends, [y, y], color=colour, lw=2.2, solid_capstyle="butt")
    ax.plot([interval.value], [y], "o", color=colour, ms=5)


def rows_alone(ax: Any) -> None:
    """Remove the left axis of named rows, and draw a grid of values."""
    ax.grid(axis="x", color=PALE, lw=0.6)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
