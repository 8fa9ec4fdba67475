"""Paper, pens and colours: what all pictures share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures.view import ALL, CLASSES, View, members
from genomix_cli.cohorts.overview import UNKNOWN
from genomix_cli.errors import MissingExtraError

# Okabe and Ito's, which the colour-blind tell apart, without yellow, which paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))
MARKERS = "o^sDvP*"
GREY, PALE, INK = "#9A9A9A", "#E9E9E9", "#333333"
GAIN, LOSS = "#B2182B", "#2166AC"
# Of two cohorts.
FIRST, SECOND = COLOURS[:2]
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
    """How a group is drawn."""

    colour: str
    dash: Any
    marker: str


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : str
        Of its file, without ``.png``.
    caption : str
    figure : Figure
        Of matplotlib.
    """

    name: str
    caption: str
    figure: Any


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each group; beyond seven the colours come again, dashed, with another marker."""
    found: dict[str, Look] = {}
    for i, name in enumerate(dict.fromkeys(n for n in names if n not in (UNKNOWN, ALL))):
        turn, colour = divmod(i, len(COLOURS))
        marker = MARKERS[(colour + turn) % len(MARKERS)]
        found[name] = Look(COLOURS[colour], DASHES[turn % len(DASHES)], marker)
    return found | {UNKNOWN: Look(GREY, "-", "x"), ALL: Look(COLOURS[0], "-", "o")}


@contextmanager
def style() -> Iterator[None]:
    """Our own settings of matplotlib, whatever the user's are.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "cohorts") from error
    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **STYLE}
    del settings["backend"]
    with matplotlib.rc_context(settings):
        yield


def grid(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """A figure of `size` inches, and its axes ``[rows, columns]``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(picture: Picture, folder: Path) -> Path:
    """Write a picture; the same figure gives the same bytes."""
    path = folder / f"{picture.name}.png"
    picture.figure.savefig(path, format="png", metadata={"Software": None})
    return path


def short(text: str, longest: int = LONGEST) -> str:
    """A name that fits."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def head(ax: Any, text: str) -> None:
    """A title at the left."""
    ax.set_title(text, loc="left", fontsize=9, fontweight="bold", color=INK)


def name_rows(axes: Any, views: Sequence[View]) -> None:
    """The cohorts' names over the first panel of each row, where there are several."""
    if len(views) > 1:
        for row, each in zip(axes, views, strict=True):
            head(row[0], short(each.cohort, 40))


def name_columns(axes: Any, views: Sequence[View]) -> None:
    """The cohorts' names over the columns, where there are several."""
    if len(views) > 1:
        for ax, each in zip(axes[0], views, strict=True):
            head(ax, short(each.cohort, 40))


def class_label(name: str, views: Sequence[View]) -> str:
    """A class and its samples, as ``LumA (419)``."""
    counts = " | ".join(f"{members(each, name).sum():,}" for each in views)
    return f"{short(name)} ({counts})"


def class_legend(figure: Any, names: Sequence[str], views: Sequence[View], pens: Any) -> None:
    """The classes as lines, to the right of everything."""
    from matplotlib.lines import Line2D

    if tuple(names) == (ALL,):
        return
    handles = [
        Line2D([], [], color=pens[name].colour, ls=pens[name].dash, lw=1.8) for name in names
    ]
    labels = [class_label(name, views) for name in names]
    figure.legend(
        handles, labels, loc="outside right upper", title="class (samples)", alignment="left"
    )


def spread(places: NDArray[np.float64], gap: float, low: float, high: float) -> Any:
    """Places moved as little as it takes to be `gap` apart, ascending, within the ends if they fit.

    Parameters
    ----------
    places : NDArray
        float64 ``[k]``, ascending.
    gap, low, high : float
    """
    moved = np.array(places, float)
    for i in range(len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap if i else low)
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], moved[i + 1] - gap if i + 1 < len(moved) else high)
    return moved


def joined(*sentences: str) -> str:
    """Sentences of a caption, without the empty ones."""
    return " ".join(sentence for sentence in sentences if sentence)


def notes(views: Sequence[View]) -> str:
    """Which samples and classes are drawn, where not all are."""
    names = {name for each in views for name in each.classes.names}
    fewer = f"The {CLASSES} largest of {len(names)} classes." if len(names) > CLASSES else ""
    return joined(*(each.note for each in views), fewer)


def moved(ax: Any, right: float, up: float) -> Any:
    """A shift by so many points, to be added to a transform."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(right / 72, up / 72, ax.figure.dpi_scale_trans)


def stripe(
    ax: Any, x: tuple[float, float], y: tuple[float, float], colour: str, transform: Any
) -> None:
    """A thick line beside an axis, of one class."""
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"lw": 6, "solid_capstyle": "butt", "clip_on": False}
    ax.add_artist(Line2D(x, y, color=colour, transform=transform, **style))
