"""Heat maps of samples, grouped by class, by features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import marks
from genomix_cli.cohorts.figures.genome import has_places
from genomix_cli.cohorts.figures.values import completed, most_variable, unit
from genomix_cli.cohorts.figures.view import Matrix, View, members, shown_classes
from genomix_cli.report import canvas
from genomix_cli.report.canvas import Picture

# Largest number of rows of a heat map: with more, a sample is less than a point high.
ROWS = 400
FEATURES = 300


class Rows(NamedTuple):
    """Samples in the order of a heat map.

    Attributes
    ----------
    order : NDArray
        intp ``[r]``.
    blocks : list of tuple
        Name, first row and last row + 1 of each class.
    """

    order: NDArray[np.intp]
    blocks: list[marks.Block]


def grouped_rows(
    each: View,
    names: Sequence[str],
    order: Callable[[NDArray[np.intp]], NDArray[np.intp]],
    most: int = ROWS,
) -> Rows:
    """Return about `most` samples class by class, in proportion to the classes.

    Parameters
    ----------
    each : View
    names : sequence of str
        The classes.
    order : callable
        Maps the samples of a class to their order (positions among them).
    most : int
    """
    rng = np.random.default_rng(0)
    share = min(most / max(len(each.samples), 1), 1)
    rows: list[NDArray[np.intp]] = []
    for name in names:
        here = np.flatnonzero(members(each, name))
        count = min(len(here), max(round(len(here) * share), 3))
        here = np.sort(rng.choice(here, count, replace=False))
        rows.append(here[order(here)])
    blocks = marks.blocks_of(names, list(map(len, rows)))
    return Rows(np.concatenate([np.zeros(0, np.intp), *rows]), blocks)


def alike(matrix: Matrix) -> Callable[[NDArray[np.intp]], NDArray[np.intp]]:
    """Return what puts similar ones together among some rows of a matrix."""
    return lambda rows: leaves(matrix[rows])


def leaves(matrix: Matrix) -> NDArray[np.intp]:
    """Return the order of the rows in Ward's hierarchical clustering."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(matrix) < 3:
        return np.arange(len(matrix))
    return np.asarray(leaves_list(linkage(completed(matrix), "ward")), np.intp)


def class_strip(ax: Any, rows: Rows, pens: dict[str, canvas.Look]) -> None:
    """Draw a coloured strip at the left that shows the class of the rows."""
    total = max(len(rows.order), 1)
    beside = ax.get_yaxis_transform() + marks.moved(ax, -6, 0)
    for name, start, stop in rows.blocks:
        marks.stripe(ax, (0, 0), (start - 0.5, stop - 0.5), pens[name].colour, beside)
        if start:
            ax.axhline(start - 0.5, color="white", lw=1.2)
    middles = np.array([(start + stop - 1) / 2 for _, start, stop in rows.blocks])
    gap = 0.15 * total / (ax.figure.get_figheight() * 0.8)
    left = ax.get_yaxis_transform() + marks.moved(ax, -12, 0)
    places = marks.spread(middles, gap, 0, total - 1)
    for position, (name, *_) in zip(places, rows.blocks, strict=True):
        text = {"ha": "right", "va": "center", "fontsize": 7.5, "color": canvas.INK}
        ax.text(0, position, canvas.short(name), transform=left, **text)
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def height_of(views: Sequence[View], names: Sequence[str]) -> float:
    """Return the inches needed by the rows and the class names beside them."""
    rows = max(min(len(each.samples), ROWS) for each in views)
    return max(2.2 + 0.0065 * rows, 0.2 * len(names) + 1)


def features_heat(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture | None:
    """Draw samples by the most variable features."""
    drawn = [each for each in views if min(each.values.shape) > 1]
    if not drawn:
        return None
    names = shown_classes(drawn)
    size = (0.9 + 5.6 * len(drawn), height_of(drawn, names) + 0.5)
    figure, axes = canvas.grid(1, len(drawn), size)
    scale = value_scale(drawn)
    for ax, each in zip(axes[0], drawn, strict=True):
        columns = feature_order(each)
        rows = grouped_rows(each, names, alike(each.values[:, columns]))
        image = marks.heat(ax, each.values[np.ix_(rows.order, columns)], *scale)
        class_strip(ax, rows, pens)
        placed = "in genome order" if has_places(each.features) else "clustered"
        ax.set_xlabel(f"{len(columns):,} features of most variance, {placed}")
        ax.set_xticks([])
    beside = {"fraction": 0.04, "pad": 0.015, "aspect": 30, "shrink": 0.6}
    marks.colour_bar(figure, image, axes[0], unit(drawn[0]), **beside)
    marks.name_columns(axes, drawn)
    caption = (
        f"{drawn[0].modality}: samples grouped by class (within a class by Ward's clustering) and "
        f"the features of most variance; up to {ROWS} samples; grey: missing."
    )
    return Picture("heatmap", marks.joined(caption, marks.notes(drawn)), figure)


def feature_order(each: View) -> NDArray[np.intp]:
    """Return the most variable features: along the genome, or similar ones together."""
    filled = completed(each.values)
    if has_places(each.features):
        columns = each.places.columns
        return columns[most_variable(filled[:, columns], FEATURES)]
    chosen = most_variable(filled, FEATURES)
    spread = np.maximum(filled[:, chosen].std(axis=0), 1e-9)
    relative = (filled[:, chosen] - filled[:, chosen].mean(axis=0)) / spread
    return chosen[leaves(relative.T.astype(np.float32))]


def value_scale(views: Sequence[View]) -> tuple[Any, float, float]:
    """Return colours and their range: 0 to 1 for beta values, else without outliers."""
    import matplotlib

    kind = views[0].kind.name
    values = np.concatenate([each.values[np.isfinite(each.values)] for each in views])
    if kind == "methylation":
        name, low, high = "RdYlBu_r", 0.0, 1.0
    elif kind in ("methylation_m", "copy_number", "copy_number_calls"):
        high = float(np.percentile(np.abs(values), 98)) or 1.0
        name, low = "RdYlBu_r" if kind == "methylation_m" else "RdBu_r", -high
    else:
        name, (low, high) = "viridis", np.percentile(values, [2, 98]).tolist()
    return matplotlib.colormaps[name].with_extremes(bad=canvas.PALE), low, high
