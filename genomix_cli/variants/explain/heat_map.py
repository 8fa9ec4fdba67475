"""Heat map of every substitution of a region, below letters scaled by importance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.genome.alphabet import BASES, UNKNOWN_BASE, decode
from genomix_cli.report.canvas import GAIN, LOSS
from genomix_cli.report.letters import LINE_COLOUR, draw_letter, limits, new_figure

FloatArray = NDArray[np.float64]

# Bases per row of the figure, and the smallest row width for a short region.
ROW, NARROWEST = 100, 40
# Fraction of values inside the colour scale; the rest are clipped to its ends.
SHOWN = 0.99
NONE_COLOUR, SAME_COLOUR = "#DDDDDD", "#FFFFFF"


@dataclass(frozen=True)
class Saturation:
    """Every substitution of a region.

    Attributes
    ----------
    contig : str
    start : int
        0-based.
    codes : NDArray
        uint8 ``[L]``.
    changes : NDArray
        float64 ``[L, 4]``: predicted change for A, C, G and T at each position; 0 for the reference
        base, NaN where the reference base is unknown.
    measured : NDArray or None
        float64 ``[L, 4]``: measured effects; NaN where nothing was measured.
    unit, note : str
        Unit of the changes, and a note on their origin.
    of_effect : bool
        True if the changes are in log-odds of an effect, in whichever direction.
    explained : NDArray or None
        bool ``[L, 4]``: substitutions to outline.
    """

    contig: str
    start: int
    codes: NDArray[np.uint8]
    changes: FloatArray
    measured: FloatArray | None
    unit: str
    note: str
    of_effect: bool
    explained: NDArray[np.bool_] | None = None

    @property
    def heights(self) -> FloatArray:
        """Return the importance of each base, ``[L]``: the mean effect of its substitutions.

        For activity, this is the mean loss; for an effect, the mean rise of its log-odds.
        """
        mean: FloatArray = np.nan_to_num(self.changes).sum(1) / (len(BASES) - 1)
        return mean if self.of_effect else -mean

    @property
    def strongest(self) -> FloatArray:
        """Return the change of largest magnitude at each position, ``[L]``; NaN if unknown."""
        largest = np.nan_to_num(np.abs(self.changes)).argmax(1)
        strongest: FloatArray = np.take_along_axis(self.changes, largest[:, None], 1)[:, 0]
        return strongest

    def parts(self, size: int) -> Iterator[Saturation]:
        """Yield parts of `size` bases; the last may be shorter."""
        for first in range(0, len(self.codes), size):
            own = slice(first, first + size)
            yield replace(
                self,
                start=self.start + first,
                codes=self.codes[own],
                changes=self.changes[own],
                measured=None if self.measured is None else self.measured[own],
                explained=None if self.explained is None else self.explained[own],
            )


def draw(saturation: Saturation, path: Path) -> None:
    """Draw rows of bases as PNG: letters, predicted changes, and measured changes if any.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    rows = list(saturation.parts(ROW))
    width = min(ROW, max(NARROWEST, len(saturation.codes)))
    maps = {f"predicted change ({saturation.unit})": saturation.changes}
    if saturation.measured is not None:
        maps["measured effect"] = saturation.measured
    heights = [1.1, *[0.62] * len(maps), 0.12]
    figure = new_figure((2 + 0.13 * width, len(rows) * sum(heights) + 1.4), dpi=110)
    panels = figure.subplots(
        len(rows) * len(heights), 1, height_ratios=heights * len(rows), squeeze=False
    )[:, 0]
    figure.suptitle(_title(saturation), fontsize=13, fontweight="bold", x=0.02, ha="left")
    figure.text(0.99, 0.992, saturation.note, fontsize=9, ha="right", va="top")
    colours = {name: _colours(values) for name, values in maps.items()}
    for row, axes in zip(rows, panels.reshape(len(rows), -1), strict=True):
        axes[-1].axis("off")
        _draw_letters(axes[0], row, limits(saturation.heights))
        values = [row.changes] if row.measured is None else [row.changes, row.measured]
        for ax, name, value in zip(axes[1:-1], maps, values, strict=True):
            _draw_map(ax, value, row.codes, colours[name])
            ax.set_ylabel(name.split(" ")[0], fontsize=8)
            if row.explained is not None:
                _outline(ax, row.explained)
        _number(axes[-2], row)
        for ax in axes[:-1]:
            ax.set_xlim(-0.5, width - 0.5)
    for name, scale in reversed(colours.items()):
        bar = figure.colorbar(scale, ax=list(panels), fraction=0.012, pad=0.01, aspect=30)
        bar.set_label(name, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    figure.savefig(path, format="png", metadata={"Software": None})


def _title(saturation: Saturation) -> str:
    first, last = saturation.start + 1, saturation.start + len(saturation.codes)
    title = f"{saturation.contig}:{first:,}-{last:,}    every substitution"
    if saturation.measured is None:
        return title
    both = np.isfinite(saturation.measured) & np.isfinite(saturation.changes)
    r = pearson(saturation.measured[both], saturation.changes[both])
    return f"{title}    r = {r:.2f} with {int(both.sum()):,} measured effects"


def _colours(values: FloatArray) -> Any:
    """Return a colour scale from losses to gains that is robust to outliers."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    known = np.abs(values[np.isfinite(values) & (values != 0)])
    limit = float(np.quantile(known, SHOWN)) if len(known) else 1.0
    colours = LinearSegmentedColormap.from_list("", (LOSS, SAME_COLOUR, GAIN))
    colours.set_bad(NONE_COLOUR)
    return ScalarMappable(Normalize(-(limit or 1.0), limit or 1.0), colours)


def _draw_letters(ax: Any, row: Saturation, y: tuple[float, float]) -> None:
    for column, (letter, height) in enumerate(zip(decode(row.codes), row.heights, strict=True)):
        draw_letter(ax, letter, column, float(height))
    ax.axhline(0, color=LINE_COLOUR, lw=0.6)
    ax.set_ylim(y)
    ax.set_ylabel("importance", fontsize=8)
    ax.tick_params(labelsize=7, labelbottom=False, bottom=False)
    ax.spines[["top", "right", "bottom"]].set_visible(False)


def _draw_map(ax: Any, values: FloatArray, codes: NDArray[np.uint8], colours: Any) -> None:
    """Draw four rows of cells, with a dot for the reference base."""
    known = np.flatnonzero(codes != UNKNOWN_BASE)
    values = values.copy()
    values[known, codes[known]] = 0.0
    edges = np.arange(len(values) + 1) - 0.5, np.arange(len(BASES) + 1) - 0.5
    shown = np.ma.masked_invalid(values.T)
    ax.pcolormesh(*edges, shown, cmap=colours.cmap, norm=colours.norm, linewidth=0)
    ax.scatter(known, codes[known], s=3, color="#555555", linewidths=0)
    ax.set_ylim(len(BASES) - 0.5, -0.5)
    ax.set_yticks(range(len(BASES)), list(BASES))
    ax.tick_params(labelsize=7, labelbottom=False, bottom=False, left=False)
    ax.spines[:].set_visible(False)


def _outline(ax: Any, cells: NDArray[np.bool_]) -> None:
    """Draw a frame around cells."""
    from matplotlib.patches import Rectangle

    for place, base in np.argwhere(cells).tolist():
        ax.add_patch(Rectangle((place - 0.5, base - 0.5), 1, 1, fill=False, ec="#000000", lw=1.2))


def _number(ax: Any, row: Saturation) -> None:
    """Label the axis with 1-based positions."""
    positions = row.start + 1 + np.arange(len(row.codes))
    ticks = np.flatnonzero(positions % 10 == 0)
    ax.set_xticks(ticks, [f"{positions[i]:,}" if positions[i] % 20 == 0 else "" for i in ticks])
    ax.tick_params(labelbottom=True, bottom=True)
