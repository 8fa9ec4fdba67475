"""The genome as an axis: chromosomes side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures.canvas import GREY
from genomix_cli.genome.intervals import canonical

if TYPE_CHECKING:
    import pandas as pd

MEGABASE = 1e6


@dataclass(frozen=True)
class GenomeAxis:
    """Where features lie on the axis, each reaching halfway to its neighbours.

    Attributes
    ----------
    columns : NDArray
        intp ``[k]``: the features in the order of the axis.
    edges : NDArray
        float64 ``[k + 1]``: where each begins, and the last ends (Mb, or features without places).
    chromosomes : dict of str to tuple of float
        Start and end.
    left_out : int
        Features without a place, where others have one.
    """

    columns: NDArray[np.intp]
    edges: NDArray[np.float64]
    chromosomes: dict[str, tuple[float, float]]
    left_out: int

    @property
    def label(self) -> str:
        """What the axis shows."""
        return "chromosome" if self.chromosomes else "features in file order"

    def steps(self, values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Corners of a line that is level over each feature; `values` are in axis order."""
        x = np.column_stack([self.edges[:-1], self.edges[1:]]).ravel()
        return x, np.repeat(values, 2)

    def sampled(self, matrix: NDArray[Any], width: int) -> NDArray[Any]:
        """Columns ``[n, width]`` of an image: at each place the feature that covers it."""
        ends = self.edges[0], self.edges[-1]
        places = np.linspace(*ends, 2 * width + 1)[1::2]
        found = np.searchsorted(self.edges, places, "right") - 1
        return matrix[:, self.columns[np.clip(found, 0, len(self.columns) - 1)]]

    def decorate(self, ax: Any, labels: bool = True) -> None:
        """Boundaries and names of the chromosomes."""
        low, high = self.edges[0], self.edges[-1]
        ax.set_xlim(low, high)
        if not self.chromosomes:
            return
        for start, _ in list(self.chromosomes.values())[1:]:
            ax.axvline(start, color=GREY, lw=0.4, zorder=0.5)
        ax.set_xticks([])
        if labels:
            named = _with_room(self.chromosomes, high - low, ax)
            ax.set_xticks([sum(self.chromosomes[n]) / 2 for n in named], named)
            ax.tick_params(axis="x", length=0, labelsize=7)


def _with_room(chromosomes: dict[str, tuple[float, float]], total: float, ax: Any) -> list[str]:
    """The chromosomes whose names do not run into the one before."""
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
    """Numbers by size, then X, Y, MT and what else there is."""
    if name.isdigit():
        return int(name), ""
    return {"X": 1000, "Y": 1001, "MT": 1002}.get(name, 2000), name


def has_places(features: pd.DataFrame) -> bool:
    """Whether any feature has a place in the genome."""
    return {"contig", "start", "end"} <= {*features} and bool(_placed(features).any())


def _placed(features: pd.DataFrame) -> NDArray[np.bool_]:
    contig = features["contig"].astype(str)
    start = features["start"].astype(float).to_numpy()
    named = contig.notna() & ~contig.isin(["", "nan", "None", "<NA>", "."])
    return named.to_numpy() & np.isfinite(start) & (start >= 0)


def genome_axis(features: pd.DataFrame) -> GenomeAxis:
    """The axis of features: by contig, start and end, or in file order where they have none."""
    if not has_places(features):
        count = len(features)
        return GenomeAxis(np.arange(count), np.arange(count + 1.0), {}, 0)
    rows = np.flatnonzero(_placed(features))
    contig = [canonical(str(name)) for name in features["contig"].iloc[rows]]
    start = features["start"].to_numpy(float)[rows]
    end = np.maximum(features["end"].to_numpy(float)[rows], start + 1)
    columns, edges, chromosomes, offset = [], [np.zeros(1)], {}, 0.0
    for name in sorted(set(contig), key=_order):
        here = np.flatnonzero(np.array(contig) == name)
        here = here[np.lexsort((end[here], start[here]))]
        cells = _cells(start[here], end[here]) / MEGABASE
        cells += offset - cells[0]
        columns.append(rows[here])
        edges.append(cells[1:])
        chromosomes[name] = offset, float(cells[-1])
        offset = float(cells[-1])
    return GenomeAxis(
        np.concatenate(columns), np.concatenate(edges), chromosomes, len(features) - len(rows)
    )


def _cells(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges ``[k + 1]`` of the features of a chromosome: in the middle of the gaps between them."""
    reach = np.maximum.accumulate(end)
    middles = np.maximum.accumulate((np.minimum(reach[:-1], start[1:]) + start[1:]) / 2)
    return np.concatenate([[start[0]], middles, [max(reach[-1], middles.max(initial=0))]])
