"""Overlay the distributions of two cohorts, whose distances `compare` reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import marks
from genomix_cli.cohorts.figures.values import UNITS
from genomix_cli.cohorts.inspect.compare import NAMES, ks_distance, marginals
from genomix_cli.formats.cohort import Cohort
from genomix_cli.report import canvas
from genomix_cli.report.canvas import Picture

BINS = 60


def marginal_distributions(modality: str, cohorts: Sequence[tuple[str, Cohort]]) -> Picture:
    """Draw densities of both: values, features' means and deviations, samples' means."""
    both = [marginals(cohort, modality) for _, cohort in cohorts]
    figure, axes = canvas.grid(1, len(NAMES), (11.5, 2.9))
    kind = cohorts[0][1].kinds[modality].name
    for ax, name, *parts in zip(axes[0], NAMES.values(), *both, strict=True):
        distance = ks_distance(*parts)
        _overlaid(ax, parts)
        title = "" if distance is None else f"KS {distance:.3f}"
        ax.set_title(f"{name}\n{title}", fontsize=8.5, loc="left")
        ax.set_xlabel(UNITS[kind] if kind != "fragments" else "fragments")
        ax.set_yticks([])
        ax.locator_params(axis="x", nbins=5)
    _legend(figure, [called for called, _ in cohorts])
    caption = (
        f"{modality}: distributions in both cohorts, and their Kolmogorov-Smirnov distance (0: "
        "identical; 1: no overlap)."
    )
    return Picture("beside", caption, figure)


def _overlaid(ax: Any, parts: list[NDArray[np.float64]]) -> None:
    """Draw step histograms on one axis, each of area 1."""
    edges = _edges(np.concatenate(parts))
    for part, colour in zip(parts, (marks.FIRST, marks.SECOND), strict=True):
        if len(part):
            height, _ = np.histogram(part, edges)
            share = height / len(part)
            ax.stairs(share, edges, color=colour, lw=1.4)
            ax.stairs(share, edges, color=colour, alpha=0.16, fill=True)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)


def _edges(both: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(both):
        return np.linspace(0, 1, 3)
    low, high = np.percentile(both, [0.1, 99.9])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _legend(figure: Any, names: list[str]) -> None:
    from matplotlib.lines import Line2D

    colours = (marks.FIRST, marks.SECOND)
    handles = [Line2D([], [], color=colour, lw=2) for colour in colours]
    labels = [canvas.short(name, 40) for name in names]
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
