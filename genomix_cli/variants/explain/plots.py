"""Figure of one explained variant: letters scaled by attribution, above the tracks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.report.canvas import GAIN, LOSS
from genomix_cli.report.letters import (
    LINE_COLOUR,
    VARIANT_COLOUR,
    MotifBar,
    draw_letter,
    draw_motifs,
    limits,
    new_figure,
    spell,
)

FloatArray = NDArray[np.float64]

FADED = 0.4
UNOBSERVED_COLOUR = "#EFEFEF"
# Losses, zero, gains: grey in the middle keeps signal without attribution visible.
ATTRIBUTION_COLOURS = (LOSS, "#C9C9C9", GAIN)


@dataclass(frozen=True)
class Logo:
    """One row of letters.

    Attributes
    ----------
    title : str
    heights : NDArray
        float64 ``[columns]``: attribution of each letter.
    """

    title: str
    heights: FloatArray


@dataclass(frozen=True)
class TrackPanel:
    """One track.

    Attributes
    ----------
    name : str
    signal : NDArray
        float32 ``[bins]``, z-scores.
    observed : NDArray
        bool ``[bins]``.
    attribution : NDArray
        float64 ``[bins]``; NaN if not computed.
    """

    name: str
    signal: NDArray[np.float32]
    observed: NDArray[np.bool_]
    attribution: FloatArray


@dataclass(frozen=True)
class Picture:
    """Contents of a figure.

    Attributes
    ----------
    title, subtitle, contig : str
    unit : str
        Unit of the attributions.
    letters : str
        One letter per logo column: the alternate haplotype, and the bases deleted from it.
    positions : NDArray
        int64 ``[columns]``: 0-based position of each letter; an inserted base has the position of
        its neighbour.
    lacking : NDArray
        bool ``[columns]``: letters deleted from the alternate haplotype, drawn faded.
    variant : slice
        Columns of the allele.
    change : str
        Label below the allele, such as ``A > G``.
    logos : tuple of Logo
    pos : int
        0-based position of the variant.
    track_start : int
        Start of the first bin of the tracks.
    tracks : tuple of TrackPanel
    motifs : tuple of MotifBar
    """

    title: str
    subtitle: str
    contig: str
    unit: str
    letters: str
    positions: NDArray[np.int64]
    lacking: NDArray[np.bool_]
    variant: slice
    change: str
    logos: tuple[Logo, ...]
    pos: int
    track_start: int
    tracks: tuple[TrackPanel, ...]
    motifs: tuple[MotifBar, ...] = ()


def draw(picture: Picture, path: Path) -> None:
    """Draw a figure as PNG; see :func:`figure_of`."""
    figure_of(picture).savefig(path, format="png", metadata={"Software": None})


def figure_of(picture: Picture) -> Any:
    """Return the figure of a picture, with 1-based coordinates on its axes.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    n_bars, n_logos = bool(picture.motifs), len(picture.logos)
    heights = [0.24 * len(picture.motifs)] * n_bars
    heights += [1.9] * n_logos + [0.8] * len(picture.tracks)
    figure = new_figure((11, sum(heights) + 1.5), dpi=130)
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    bars, logos, tracks = np.split(axes, (n_bars, n_bars + n_logos))
    figure.suptitle(picture.title, fontsize=13, fontweight="bold", x=0.02, ha="left")
    figure.text(0.98, 0.98, picture.subtitle, fontsize=9, ha="right", va="top")
    for ax in bars:
        draw_motifs(ax, picture.motifs, len(picture.letters))
    _draw_logos(logos, picture)
    figure.align_ylabels(logos)
    if len(tracks):
        _draw_tracks(figure, tracks, picture)
        _join(figure, logos[-1], tracks[0], picture)
    return figure


def _draw_logos(axes: Any, picture: Picture) -> None:
    """Draw rows of letters, one column per base."""
    last = len(picture.letters) - 0.5
    for ax, logo in zip(axes, picture.logos, strict=True):
        ax.axvspan(
            picture.variant.start - 0.5, picture.variant.stop - 0.5, color=VARIANT_COLOUR, lw=0
        )
        columns = zip(picture.letters, logo.heights, picture.lacking, strict=True)
        for column, (letter, height, lacking) in enumerate(columns):
            draw_letter(ax, letter, column, float(height), FADED if lacking else 1.0)
        ax.axhline(0, color=LINE_COLOUR, lw=0.6)
        ax.set(xlim=(-0.5, last), ylim=limits(logo.heights), ylabel=picture.unit)
        ax.set_title(logo.title, loc="left", fontsize=9.5)
        ax.tick_params(labelsize=8, labelbottom=False)
        ax.spines[["top", "right"]].set_visible(False)
    ticks = _round_columns(picture)
    for ax in axes:
        ax.set_xticks(ticks)
    labels = [f"{picture.positions[t] + 1:,}" for t in ticks]
    axes[-1].set_xticks(ticks, labels)
    axes[-1].tick_params(labelbottom=True, pad=14)
    spell(axes[-1], picture.letters, size=7.5)
    middle = (picture.variant.start + picture.variant.stop - 1) / 2
    axes[0].annotate(
        picture.change,
        (middle, 1),
        xycoords=axes[0].get_xaxis_transform(),
        ha="center",
        va="bottom",
        fontsize=10,
        fontweight="bold",
    )


def _round_columns(picture: Picture) -> list[int]:
    """Return the columns at round positions; an insertion does not repeat a position."""
    columns = np.flatnonzero((picture.positions + 1) % 10 == 0)
    _, first = np.unique(picture.positions[columns], return_index=True)
    return columns[first].tolist()


def _draw_tracks(figure: Any, axes: Any, picture: Picture) -> None:
    """Draw signal as bars, coloured by attribution on one scale for all tracks."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    attributions = np.concatenate([t.attribution for t in picture.tracks])
    explained = bool(np.isfinite(attributions).all())
    limit = (float(np.abs(attributions).max()) if explained else 0.0) or 1.0
    colours = ScalarMappable(
        Normalize(-limit, limit), LinearSegmentedColormap.from_list("", ATTRIBUTION_COLOURS)
    )
    for ax, track in zip(axes, picture.tracks, strict=True):
        start = picture.track_start + BIN_SIZE * np.arange(len(track.signal))
        ax.bar(
            start,
            track.signal,
            width=BIN_SIZE,
            align="edge",
            color=colours.to_rgba(np.nan_to_num(track.attribution)),
        )
        _shade_unobserved(ax, start, track.observed)
        ax.axvline(picture.pos + 0.5, color="k", lw=0.8, ls=":", zorder=0)
        ax.axhline(0, color=LINE_COLOUR, lw=0.5)
        ax.set(xlim=(start[0], start[-1] + BIN_SIZE))
        ax.set_ylabel(track.name, rotation=0, ha="right", va="center", fontsize=9)
        ax.tick_params(labelsize=8, labelbottom=False)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].tick_params(labelbottom=True)
    axes[-1].xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes[-1].set_xlabel(picture.contig, fontsize=9)
    if explained:
        bar = figure.colorbar(colours, ax=list(axes), fraction=0.02, pad=0.01, aspect=25)
        bar.set_label(f"attribution per bin ({picture.unit})", fontsize=8)
        bar.ax.tick_params(labelsize=8)


def _shade_unobserved(ax: Any, start: NDArray[np.int64], observed: NDArray[np.bool_]) -> None:
    """Shade the bins that were not measured."""
    edges = np.flatnonzero(np.diff(observed, prepend=True, append=True))
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        ax.axvspan(start[low], start[high - 1] + BIN_SIZE, color=UNOBSERVED_COLOUR, lw=0, zorder=0)
    if not observed.any():
        ax.text(
            0.01,
            0.5,
            "not measured",
            transform=ax.transAxes,
            va="center",
            fontsize=8,
            color="#666666",
        )
        ax.set_yticks([])


def _join(figure: Any, logo: Any, track: Any, picture: Picture) -> None:
    """Draw two lines from the logo to the interval of the tracks that it shows."""
    from matplotlib.patches import ConnectionPatch

    ends = zip((0, 1), (picture.positions[0], picture.positions[-1] + 1), strict=True)
    for corner, position in ends:
        figure.add_artist(
            ConnectionPatch(
                (corner, -0.24),
                (float(position), 1),
                coordsA=logo.transAxes,
                coordsB=track.get_xaxis_transform(),
                color=LINE_COLOUR,
                lw=0.6,
                ls="--",
            )
        )
