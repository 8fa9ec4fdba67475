"""Fragments of cell-free DNA: their lengths, and the ratio of short to long along the genome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import marks
from genomix_cli.cohorts.figures.copy_number import PANELS, genome_caption, panels
from genomix_cli.cohorts.figures.genome import GenomeAxis
from genomix_cli.cohorts.figures.view import View, members, shown_classes
from genomix_cli.report import canvas
from genomix_cli.report.canvas import Picture

# Lengths of fragments around one and two nucleosomes, and the turn of the helix at which the
# shorter ones are cut, in bp (Snyder 2016, 10.1016/j.cell.2015.11.050).
NUCLEOSOME, DINUCLEOSOME, TURN = 167, 334, 10.4
LADDER = (80.0, 158.0)
# Least number of lengths that show the ladder.
RESOLVED = 40
# Largest number of classes whose ranges can be told apart.
BANDS = 6
# Number of samples to draw behind the median.
THIN_LINES = 40

Float = NDArray[np.float64]


def has_lengths(each: View) -> bool:
    """Return True if at least two features are fragment lengths, and there are fragments."""
    if "length" not in each.features:
        return False
    columns = _of_length(each.features)
    return bool(columns.sum() > 1 and np.nansum(each.values[:, columns]) > 0)


def _of_length(features: pd.DataFrame) -> NDArray[np.bool_]:
    length = np.isfinite(features["length"].to_numpy(float))
    if "readout" in features:
        length &= (features["readout"].astype(str) == "length").to_numpy()
    return length


def length_shares(each: View) -> tuple[Float, Float]:
    """Return the lengths, and the percentage of a sample's fragments at each.

    Returns
    -------
    length : NDArray
        float64 ``[l]``: bp, ascending; the middle of a bin.
    percent : NDArray
        float64 ``[n, l]``: of the sample's fragments, per bp.
    """
    columns = np.flatnonzero(_of_length(each.features))
    length = each.features["length"].to_numpy(float)[columns]
    width = np.ones(len(columns))
    if "width" in each.features:
        width = np.nan_to_num(each.features["width"].to_numpy(float)[columns], nan=1.0)
    order = np.argsort(length, kind="stable")
    counts = np.nan_to_num(each.values[:, columns[order]].astype(float))
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    return (length + (width - 1) / 2)[order], 100 * shares / width[order]


def lengths(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture | None:
    """Draw fragment lengths of each class: median and interquartile range over its samples."""
    drawn = [each for each in views if has_lengths(each)]
    if not drawn:
        return None
    names = shown_classes(drawn)
    shares = [length_shares(each) for each in drawn]
    fine = any(_inside(length).sum() >= RESOLVED for length, _ in shares)
    size = (11.0 if fine else 7.5, 0.5 + 3.3 * len(drawn))
    figure, axes = canvas.grid(len(drawn), 1 + fine, size, width_ratios=(1.35, 1)[: 1 + fine])
    for row, each, (length, percent) in zip(axes, drawn, shares, strict=True):
        for ax in row:
            _curves(ax, each, names, (length, percent), pens)
            ax.set_xlabel("fragment length (bp)")
        _mark_nucleosomes(row[0], length)
        if fine:
            _zoom(row[1], length, percent)
        row[0].set_ylabel("share of fragments (% per bp)")
    marks.name_columns(axes.T, drawn)
    marks.class_legend(figure, names, drawn, pens)
    spread = " and interquartile range (band)" if len(names) <= BANDS else ""
    caption = f"{drawn[0].modality}: fragment lengths by class, median over samples{spread}."
    if fine:
        caption += f" Right: lengths below {NUCLEOSOME} bp, with a dotted line every {TURN} bp."
    return Picture("lengths", marks.joined(caption, marks.notes(drawn)), figure)


def _curves(
    ax: Any, each: View, names: Sequence[str], shares: tuple[Float, Float], pens: Any
) -> None:
    length, percent = shares
    for name in names:
        here = percent[members(each, name)]
        here = here[np.isfinite(here).all(axis=1)]
        if len(here):
            pen = pens[name]
            low, middle, high = np.percentile(here, [25, 50, 75], axis=0)
            if len(names) <= BANDS:
                ax.fill_between(length, low, high, color=pen.colour, alpha=0.18, lw=0)
            ax.plot(length, middle, color=pen.colour, ls=pen.dash, lw=1.3)
    ax.set_xlim(length[0], length[-1])
    ax.set_ylim(bottom=0)


def _mark_nucleosomes(ax: Any, length: Float) -> None:
    for position in (NUCLEOSOME, DINUCLEOSOME):
        if length[0] <= position <= length[-1]:
            ax.axvline(position, color=canvas.GREY, lw=0.8, ls="--", zorder=0.5)
            top = {"xycoords": ax.get_xaxis_transform(), "va": "top", "color": "#555555"}
            offset = {"xytext": (3, -2), "textcoords": "offset points", "fontsize": 7.5}
            ax.annotate(f"{position} bp", (position, 1), **top, **offset)


def _inside(length: Float) -> NDArray[np.bool_]:
    """Return True for the lengths at which the ladder shows."""
    return (length >= LADDER[0]) & (length <= LADDER[1])


def _zoom(ax: Any, length: Float, percent: Float) -> None:
    """Draw the ladder below the nucleosome's peak, with lines a turn of the helix apart."""
    low, high = max(LADDER[0], length[0]), min(LADDER[1], length[-1])
    inside = _inside(length)
    if inside.sum() < RESOLVED:
        ax.set_visible(False)
        return
    top = np.nanpercentile(percent[:, inside], 99.5)
    ax.set(xlim=(low, high), ylim=(0, 1.1 * float(top)))
    first = ladder_peak(length, np.nanmedian(percent, axis=0))
    if first is None:
        return
    for position in first + TURN * np.arange(-8, 3):
        if low < position < high:
            ax.axvline(position, color=canvas.GREY, lw=0.7, ls=":", zorder=0.5)


def ladder_peak(length: Float, curve: Float) -> float | None:
    """Return a peak of the ladder between 120 and 150 bp, from which to place the lines."""
    from scipy.ndimage import uniform_filter1d

    inside = (length >= 100) & (length <= 156)
    if inside.sum() < RESOLVED:
        return None
    ripple = curve - uniform_filter1d(curve, round(TURN))
    bases = length[inside]
    # The phase of the ripple: the one it correlates with most.
    phases = np.arange(0, TURN, 0.1)
    waves = np.cos(2 * np.pi * (bases[:, None] - phases) / TURN)
    return float(phases[np.argmax(ripple[inside] @ waves)] + 13 * TURN)


def short_over_long(each: View) -> tuple[pd.DataFrame, Float] | None:
    """Return the ratio of short to long fragments in each bin, minus the sample's mean.

    Returns
    -------
    features : DataFrame
        contig, start and end of the bins.
    ratio : NDArray
        float64 ``[n, bins]``.
    """
    features = each.features
    if not {"readout", "contig", "start", "end"} <= {*features}:
        return None
    places = ["contig", "start", "end"]
    bins = features[places].assign(column=np.arange(len(features)))
    of_short, of_long = (bins[features["readout"] == readout] for readout in ("short", "long"))
    both = of_short.merge(of_long, on=places, suffixes=("_short", "_long"))
    short, long = (each.values[:, both[f"column_{readout}"]] for readout in ("short", "long"))
    if not np.nansum(long):
        return None
    ratio = np.divide(short, long, out=np.full(short.shape, np.nan), where=long > 0, dtype=float)
    return features.iloc[both["column_short"]], ratio - np.nanmean(ratio, axis=1, keepdims=True)


def ratio_profile(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture | None:
    """Draw short over long fragments along the genome, by class (Cristiano 2019)."""
    drawn = [
        replace(each, features=ratio[0], values=ratio[1].astype(np.float32), states=None)
        for each in views
        if (ratio := short_over_long(each)) is not None
    ]
    if not drawn:
        return None
    names = shown_classes(drawn, PANELS)
    figure, rows = panels(drawn, names)
    for ax, name, values, places in rows:
        _ratios(ax, values[:, places.columns], places, pens[name])
    top = max(float(np.nanpercentile(np.abs(each.values), 99.8)) for each in drawn)
    figure.axes[0].set_ylim(-1.1 * top, 1.1 * top)  # which all share
    figure.supylabel("short / long fragments, centred", fontsize=8.5)
    caption = (
        f"{drawn[0].modality}: short (100-150 bp) over long (151-220 bp) fragments per bin, minus "
        f"the sample's mean: median of the class, and up to {THIN_LINES} of its samples (thin), as "
        "in Cristiano 2019, 10.1038/s41586-019-1272-6."
    )
    return Picture("short_long", genome_caption(caption, drawn), figure)


def _ratios(ax: Any, here: NDArray[Any], places: GenomeAxis, pen: canvas.Look) -> None:
    from matplotlib.collections import LineCollection

    if not len(here):
        return
    middles = places.middles
    starts = [start for start, _ in places.chromosomes.values()]
    # Lines do not cross chromosomes.
    cuts = np.searchsorted(middles, starts[1:])
    thin = [
        np.column_stack(part)
        for line in here[:: max(len(here) // THIN_LINES, 1)][:THIN_LINES]
        for part in zip(np.split(middles, cuts), np.split(line, cuts), strict=True)
    ]
    ax.add_collection(LineCollection(thin, colors=canvas.GREY, linewidths=0.3, alpha=0.5))
    middle = np.nanmedian(here, axis=0)
    for x, y in zip(np.split(middles, cuts), np.split(middle, cuts), strict=True):
        ax.plot(x, y, color=pen.colour, lw=1.3)
    ax.axhline(0, color=canvas.INK, lw=0.4, zorder=0.5)
