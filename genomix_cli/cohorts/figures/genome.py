"""The genome as an axis: chromosomes side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.genome.intervals import canonical
from genomix_cli.report.canvas import GREY

MEGABASE = 1e6
# Largest distance beyond its own ends that a feature is drawn (bp).
REACH = 5e6


@dataclass(frozen=True)
class GenomeAxis:
    """Positions of features on the axis.

    A feature extends halfway to its neighbours, but at most `REACH` beyond its own ends, so that a
    single probe does not colour an arm.

    Attributes
    ----------
    columns : NDArray
        intp ``[k]``: the features in the order of the axis.
    left, right : NDArray
        float64 ``[k]``: ends of each (Mb, or features if they have no positions).
    chromosomes : dict of str to tuple of float
        Start and end.
    left_out : int
        Features without a position, if others have one.
    """

    columns: NDArray[np.intp]
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    chromosomes: dict[str, tuple[float, float]]
    left_out: int

    @property
    def label(self) -> str:
        """Label of the axis."""
        return "chromosome" if self.chromosomes else "features in file order"

    @property
    def ends(self) -> tuple[float, float]:
        """Start and end of the axis."""
        return float(self.left[0]), float(self.right[-1])

    @property
    def middles(self) -> NDArray[np.float64]:
        """Middle of each feature."""
        return (self.left + self.right) / 2

    def steps(self, values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return a step line that is level over each feature; `values` are in axis order."""
        gap = np.append(self.left[1:] > self.right[:-1] + 1e-6, False)
        x = np.column_stack([self.left, self.right, self.right]).ravel()
        return x, np.column_stack([values, values, np.where(gap, np.nan, values)]).ravel()

    def sampled(self, matrix: NDArray[Any], width: int) -> NDArray[Any]:
        """Return image columns ``[n, width]``: the feature at each position, else NaN."""
        places = np.linspace(*self.ends, 2 * width + 1)[1::2]
        nearest = np.clip(np.searchsorted(self.left, places, "right") - 1, 0, len(self.left) - 1)
        covered = places <= self.right[nearest]
        return np.where(covered, matrix[:, self.columns[nearest]], np.nan)

    def decorate(self, ax: Any, labels: bool = True) -> None:
        """Draw boundaries and names of the chromosomes."""
        low, high = self.ends
        ax.set_xlim(low, high)
        if not self.chromosomes:
            ax.tick_params(axis="x", labelbottom=labels)
            return
        for start, _ in list(self.chromosomes.values())[1:]:
            ax.axvline(start, color=GREY, lw=0.4, zorder=0.5)
        ax.set_xticks([])
        if labels:
            named = _with_room(self.chromosomes, high - low, ax)
            ax.set_xticks([sum(self.chromosomes[n]) / 2 for n in named], named)
            ax.tick_params(axis="x", length=0, labelsize=7)


def _with_room(chromosomes: dict[str, tuple[float, float]], total: float, ax: Any) -> list[str]:
    """Return the chromosomes whose names do not overlap the previous one."""
    # Characters are about 0.06 inches wide at this size.
    width = ax.figure.get_figwidth() * ax.get_position().width
    named, end = [], -np.inf
    for name, (start, stop) in chromosomes.items():
        centre, half = (start + stop) / 2, total * 0.045 * (len(name) + 0.4) / max(width, 1)
        if centre - half >= end:
            named.append(name)
            end = centre + half
    return named


def _order(name: str) -> tuple[int, str]:
    """Return a sort key: numbers, then X, Y, MT and all others."""
    if name.isdigit():
        return int(name), ""
    return {"X": 1000, "Y": 1001, "MT": 1002}.get(name, 2000), name


def has_places(features: pd.DataFrame) -> bool:
    """Return True if any feature has a position in the genome."""
    return {"contig", "start", "end"} <= {*features} and bool(_placed(features).any())


def _placed(features: pd.DataFrame) -> NDArray[np.bool_]:
    contig = features["contig"].astype(str)
    start = features["start"].astype(float).to_numpy()
    named = contig.notna() & ~contig.isin(["", "nan", "None", "<NA>", "."])
    return named.to_numpy() & np.isfinite(start) & (start >= 0)


def genome_axis(features: pd.DataFrame) -> GenomeAxis:
    """Return the axis of features: by position, or in file order if they have none."""
    if not has_places(features):
        order = np.arange(len(features))
        return GenomeAxis(order, order.astype(float), (order + 1).astype(float), {}, 0)
    rows = np.flatnonzero(_placed(features))
    contig = np.array([canonical(str(name)) for name in features["contig"].iloc[rows]])
    start = np.asarray(features["start"], float)[rows]
    end = np.maximum(np.asarray(features["end"], float)[rows], start + 1)
    columns, cells, offset = [], [], 0.0
    chromosomes: dict[str, tuple[float, float]] = {}
    for name in sorted(set(contig), key=_order):
        here = np.flatnonzero(contig == name)
        here = here[np.lexsort((end[here], start[here]))]
        ends = _cells(start[here], end[here]) / MEGABASE
        ends += offset - ends[0, 0]
        columns.append(rows[here])
        cells.append(ends)
        chromosomes[str(name)] = offset, float(ends[1].max())
        offset = float(ends[1].max())
    left, right = np.concatenate(cells, axis=1)
    return GenomeAxis(np.concatenate(columns), left, right, chromosomes, len(features) - len(rows))


def _cells(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ends ``[2, k]`` of a chromosome's features: halfway to near neighbours."""
    reach = np.maximum.accumulate(end)
    middles = (np.minimum(reach[:-1], start[1:]) + start[1:]) / 2
    left = np.concatenate([start[:1], np.maximum(middles, start[1:] - REACH)])
    right = np.concatenate([np.minimum(middles, reach[:-1] + REACH), reach[-1:]])
    return np.array([left, np.maximum(left, right)])
