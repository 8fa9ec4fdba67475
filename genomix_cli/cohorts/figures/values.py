"""Distributions of values: density, features' means and deviations, principal components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import marks
from genomix_cli.cohorts.figures.view import CLASSES, Grouping, View, members, shown_classes
from genomix_cli.report import canvas
from genomix_cli.report.canvas import Picture

# Largest number of values in a density.
DENSITY_VALUES = 2_000_000
BINS = 80
# Up to this many distinct whole numbers are counted singly, like calls, and not in bins.
WHOLE = 30
# Number of the most variable features in the principal components.
PCA_FEATURES = 2_000
BATCHES = 10

UNITS = {
    "methylation": "beta value",
    "methylation_m": "M-value",
    "copy_number": "log2 ratio",
    "copy_number_calls": "copy-number call",
    "fragments": "log10(1 + fragments)",
    "fragment_ratios": "short to long fragments",
    "chromatin": "accessibility (log scale)",
    "expression": "expression (log scale)",
    "mutations": "mutated",
    "other": "value",
}

OTHERS = canvas.Look(canvas.GREY, "-", ".")

Matrix = NDArray[np.float32]


def unit(each: View) -> str:
    """Return the name of a view's values."""
    return UNITS[each.kind.name]


def scaled(each: View) -> Matrix:
    """Return values as they are drawn: counts on a log scale."""
    return np.log10(1 + each.values) if each.kind.name == "fragments" else each.values


def density(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw a histogram of all values, and a density for each class."""
    figure, axes = canvas.grid(len(views), 2, (9.5, 0.4 + 2.8 * len(views)), sharex=True)
    names = shown_classes(views)
    values = [scaled(each) for each in views]
    edges = bin_edges(values, views[0].kind.name == "methylation")
    middles = (edges[1:] + edges[:-1]) / 2
    for row, each, matrix in zip(axes, views, values, strict=True):
        row[0].bar(middles, heights(matrix, edges), np.diff(edges), color="#7A8B99", lw=0)
        for name in names:
            drawn = matrix[members(each, name)]
            if np.isfinite(drawn).any():
                pen = pens[name]
                curve = smooth(heights(drawn, edges))
                marker = pen.marker if len(middles) < BINS else None
                row[1].plot(middles, curve, color=pen.colour, ls=pen.dash, lw=1.4, marker=marker)
        row[0].set_ylabel("density")
        for ax in row:
            ax.set_ylim(bottom=0)
            ax.set_xlim(edges[0], edges[-1])
    for ax in axes[-1]:
        ax.set_xlabel(unit(views[0]))
    marks.name_columns(axes.T, views)
    marks.class_legend(figure, names, views, pens)
    caption = f"Distribution of the values of {views[0].modality}: all (left) and by class (right)."
    return Picture("density", marks.joined(caption, marks.notes(views)), figure)


def bin_edges(values: Sequence[Matrix], fractions: bool) -> NDArray[np.float64]:
    """Return histogram edges: around whole numbers if there are few, else 80 bins."""
    some = np.concatenate([thinned(matrix) for matrix in values])
    if not len(some):
        return np.linspace(0, 1, 3)
    low, high = (0.0, 1.0) if fractions else map(float, np.percentile(some, [0.1, 99.9]))
    if not fractions and high - low <= WHOLE and (some == np.rint(some)).all():
        return np.arange(float(some.min()) - 0.5, float(some.max()) + 1)
    margin = 0.0 if fractions else 0.02 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, BINS + 1)


def thinned(matrix: Matrix, most: int = DENSITY_VALUES) -> NDArray[np.float32]:
    """Return the values that are not missing, or about `most` of them drawn at random."""
    flat = matrix.ravel()
    if flat.size > most:
        flat = flat[np.random.default_rng(0).integers(0, flat.size, most)]
    return flat[np.isfinite(flat)]


def heights(matrix: Matrix, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density in each bin, normalised over all values, also those beyond the edges."""
    some = thinned(matrix)
    counts, _ = np.histogram(some, edges)
    return counts / max(len(some), 1) / np.diff(edges)


def smooth(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth a histogram, keeping what lies at the ends inside."""
    from scipy.ndimage import gaussian_filter1d

    if len(curve) < BINS:
        return curve
    return np.asarray(gaussian_filter1d(curve, 1.0, mode="reflect"))


def moments(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw mean and standard deviation of each feature."""
    size = (0.6 + 3.9 * len(views), 3.4)
    figure, axes = canvas.grid(1, len(views), size, sharex=True, sharey=True)
    for ax, each in zip(axes[0], views, strict=True):
        mean, sd = feature_moments(scaled(each))
        ax.scatter(mean, sd, s=7, color=canvas.COLOURS[0], alpha=0.45, lw=0)
        x, y = trend(mean, sd)
        ax.plot(x, y, color=canvas.COLOURS[1], lw=1.6)
        ax.set_xlabel(f"mean {unit(each)}")
        ax.set_ylim(bottom=0)
    axes[0, 0].set_ylabel("standard deviation")
    marks.name_columns(axes, views)
    caption = f"Each feature of {views[0].modality}: mean and standard deviation over samples;"
    return Picture("mean_sd", marks.joined(caption, "line: running median."), figure)


def feature_moments(matrix: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the features with at least two values."""
    enough = np.isfinite(matrix).sum(axis=0) > 1
    values = matrix[:, enough].astype(float)
    if not enough.any():
        return np.zeros(0), np.zeros(0)
    return np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1)


def trend(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the running median of y over x in 12 equal groups; nothing for few points."""
    order = np.argsort(x, kind="stable")
    if len(order) < 60:
        return np.zeros(0), np.zeros(0)
    parts = np.array_split(order, 12)
    middles = [[np.median(values[part]) for part in parts] for values in (x, y)]
    return np.array(middles[0]), np.array(middles[1])


def components(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture | None:
    """Draw the first two principal components, coloured by class and by batch."""
    drawn = [each for each in views if min(each.values.shape) > 2]
    if not drawn:
        return None
    batched = any(each.batches for each in drawn)
    wide = 2 if batched else 1
    figure, axes = canvas.grid(len(drawn), wide, (4.9 * wide, 0.3 + 3.3 * len(drawn)))
    for row, each in zip(axes, drawn, strict=True):
        places, shares = principal(scaled(each))
        _scatter(row[0], places, frequent(each.classes, CLASSES), pens, "class")
        if each.batches:
            few = frequent(each.batches, BATCHES)
            _scatter(row[1], places, few, marks.looks(few.names[:BATCHES]), "batch")
        for ax in row:
            ax.set_xlabel(f"PC1 ({shares[0]:.0%} of variance)")
            ax.set_ylabel(f"PC2 ({shares[1]:.0%})")
    marks.name_columns(axes.T, drawn)
    caption = (
        f"Principal components of {views[0].modality}, from the {PCA_FEATURES:,} most variable "
        "features (centred, not scaled; missing values replaced by the feature's mean)."
    )
    return Picture("pca", marks.joined(caption, marks.notes(drawn)), figure)


def principal(matrix: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first two principal components.

    Returns
    -------
    places : NDArray
        float64 ``[n, 2]``.
    shares : NDArray
        float64 ``[2]``: fraction of the variance.
    """
    filled = completed(matrix)
    filled = filled[:, most_variable(filled, PCA_FEATURES)]
    filled = filled - filled.mean(axis=0)
    left, spread, right = np.linalg.svd(filled, full_matrices=False)
    # The sign of a component is arbitrary: its largest loading is made positive.
    largest = np.abs(right[:2]).argmax(axis=1)
    signs = np.sign(right[[0, 1], largest])
    return left[:, :2] * spread[:2] * signs, spread[:2] ** 2 / max(float((spread**2).sum()), 1e-12)


def column_means(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of each column, ignoring NaN; NaN if nothing is left."""
    there = np.isfinite(matrix)
    total, count = np.where(there, matrix, 0).sum(axis=0, dtype=float), there.sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def completed(matrix: Matrix) -> NDArray[np.float64]:
    """Return the matrix with each missing value replaced by its feature's mean."""
    return np.where(np.isfinite(matrix), matrix, np.nan_to_num(column_means(matrix)))


def most_variable(filled: NDArray[np.float64], most: int) -> NDArray[np.intp]:
    """Return the most variable features, in their order."""
    chosen = np.argsort(-filled.var(axis=0), kind="stable")[:most]
    return np.sort(chosen)


def frequent(groups: Grouping, most: int) -> Grouping:
    """Return the groups with samples; of many, the most frequent and the rest as one."""
    counts = groups.counts()
    order = np.argsort(-counts, kind="stable")
    shown = np.sort(order[: most if (counts > 0).sum() > most else None])
    shown = shown[counts[shown] > 0]
    names = tuple(groups.names[i] for i in shown)
    new_code = np.full(len(groups.names), len(shown))
    new_code[shown] = np.arange(len(shown))
    rest = int((counts > 0).sum()) - len(shown)
    return Grouping((*names, f"{rest} others") if rest else names, new_code[groups.codes])


def _scatter(
    ax: Any, places: NDArray[np.float64], groups: Grouping, pens: dict[str, Any], title: str
) -> None:
    counts = groups.counts()
    size = 16 if len(places) < 300 else 9
    for i, name in enumerate(groups.names):
        here = groups.codes == i
        if counts[i]:
            pen = pens.get(name, OTHERS)
            label = f"{canvas.short(name)} ({counts[i]:,})"
            style = {"color": pen.colour, "marker": pen.marker, "alpha": 0.7, "lw": 0.4}
            ax.scatter(*places[here].T, s=size, label=label, **style)
    outside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.02), "alignment": "left"}
    tight = {"handletextpad": 0.2, "borderaxespad": 0.2, "markerscale": 1.3}
    ax.legend(title=f"{title} (samples)", **outside, **tight)
