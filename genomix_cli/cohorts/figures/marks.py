"""Names, legends and stripes of the panels that the figures of cohorts share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures.view import ALL, CLASSES, View, members
from genomix_cli.cohorts.inspect.overview import UNKNOWN
from genomix_cli.report import canvas
from genomix_cli.report.canvas import COLOURS, GREY, Look, head, short

# Name, first position and last position + 1 of a group in a row of samples.
Block = tuple[str, int, int]
# Colours of two cohorts.
FIRST, SECOND = COLOURS[:2]


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each group, for unlabelled samples, and for all samples together."""
    result = canvas.looks(name for name in names if name not in (UNKNOWN, ALL))
    return result | {UNKNOWN: Look(GREY, "-", "x"), ALL: Look(COLOURS[0], "-", "o")}


def name_panels(panels: Sequence[Any], names: Sequence[str]) -> None:
    """Write the cohorts' names over the panels, if there are several."""
    if len(names) > 1:
        for ax, name in zip(panels, names, strict=True):
            head(ax, short(name, 40))


def name_columns(axes: Any, views: Sequence[View]) -> None:
    """Write the names of the views' cohorts over the columns, if there are several."""
    name_panels(axes[0], [each.cohort for each in views])


def blocks_of(names: Sequence[str], counts: Sequence[int]) -> list[Block]:
    """Return the groups that have members, one after the other."""
    stops = np.cumsum(counts).tolist()
    each = zip(names, counts, stops, strict=True)
    return [(name, stop - count, stop) for name, count, stop in each if count]


def heat(
    ax: Any, image: NDArray[Any], colours: Any, low: float, high: float, **options: Any
) -> Any:
    """Draw a matrix as an image without smoothing; NaN as `colours` says."""
    style: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", **options}
    return ax.imshow(np.ma.masked_invalid(image), cmap=colours, vmin=low, vmax=high, **style)


def colour_bar(figure: Any, image: Any, axes: Any, label: str, **options: Any) -> Any:
    """Draw a colour scale without a frame beside a row of panels."""
    bar = figure.colorbar(image, ax=list(axes), **options)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return bar


def slanted_names(ax: Any, names: Sequence[str], longest: int = 22) -> None:
    """Write a name under each column."""
    labels = [short(name, longest) for name in names]
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")


def without_frame(ax: Any) -> None:
    """Leave out ticks and spines."""
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def counts_of(name: str, views: Sequence[View]) -> str:
    """Return the number of samples of a class in each view, as in ``419 | 80``."""
    return " | ".join(f"{members(each, name).sum():,}" for each in views)


def class_legend(figure: Any, names: Sequence[str], views: Sequence[View], pens: Any) -> None:
    """Draw the classes as lines, to the right of everything."""
    from matplotlib.lines import Line2D

    if tuple(names) == (ALL,):
        return
    drawn = [pens[name] for name in names]
    handles = [Line2D([], [], color=pen.colour, ls=pen.dash, lw=1.8) for pen in drawn]
    labels = [f"{short(name)} ({counts_of(name, views)})" for name in names]
    heading = {"title": "class (samples)", "alignment": "left"}
    figure.legend(handles, labels, loc="outside right upper", **heading)


def spread(places: NDArray[np.float64], gap: float, low: float, high: float) -> Any:
    """Return positions at least `gap` apart, moved as little as possible, within the ends.

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
    """Join the sentences of a caption, without empty ones."""
    return " ".join(sentence for sentence in sentences if sentence)


def notes(views: Sequence[View]) -> str:
    """Return a note on the samples and classes drawn, if not all are."""
    names = {name for each in views for name in each.classes.names}
    fewer = f"The {CLASSES} largest of {len(names)} classes." if len(names) > CLASSES else ""
    return joined(*(each.note for each in views), fewer)


def moved(ax: Any, right: float, up: float) -> Any:
    """Return a shift in points, to be added to a transform."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(right / 72, up / 72, ax.figure.dpi_scale_trans)


def stripe(
    ax: Any, x: tuple[float, float], y: tuple[float, float], colour: str, transform: Any
) -> None:
    """Draw a thick line beside an axis, in the colour of one class."""
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"lw": 6, "solid_capstyle": "butt", "clip_on": False}
    ax.add_artist(Line2D(x, y, color=colour, transform=transform, **style))
