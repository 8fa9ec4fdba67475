"""Contributions of a sample's features to a class, and the model's attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import marks
from genomix_cli.report import canvas


@dataclass(frozen=True)
class SampleReasons:
    """Contents of a sample's figure.

    Attributes
    ----------
    title, note : str
    modalities : sequence of str
    features : sequence of (str, str, float, float)
        Modality, feature, value and attribution in logits, the largest first.
    others : int
        Number of features that are not drawn one by one.
    rest : float
        Sum of their attributions.
    attention : NDArray or None
        float32 ``[M, M]``; NaN if the sample lacks a modality.
    """

    title: str
    note: str
    modalities: Sequence[str]
    features: Sequence[tuple[str, str, float, float]]
    others: int
    rest: float
    attention: NDArray[np.float32] | None


def draw_sample(sample: SampleReasons, path: Path) -> None:
    """Draw bars of attributions, and the attention beside them, as PNG.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with canvas.style():
        height = 1.4 + 0.19 * (len(sample.features) + bool(sample.others))
        if sample.attention is None:
            figure, axes = canvas.grid(1, 1, (6.4, height))
        else:
            height = max(height, 3.2)
            figure, axes = canvas.grid(1, 2, (10.2, height), width_ratios=(1.7, 1))
            _attention(axes[0, 1], sample)
        figure.suptitle(sample.title, x=0.01, ha="left", fontweight="bold", fontsize=10)
        figure.text(0.99, 0.99, sample.note, ha="right", va="top", color=canvas.GREY, fontsize=7.5)
        _bars(axes[0, 0], sample)
        canvas.save(canvas.Picture(path.stem, "", figure), path.parent)


def _bars(ax: Any, sample: SampleReasons) -> None:
    """Draw a bar for each feature, and one for all others, so that they add up."""
    from matplotlib.patches import Patch

    pens = marks.looks(sample.modalities)
    labels = [f"{canvas.short(name)} = {value:.3g}" for _, name, value, _ in sample.features]
    sizes = [size for *_, size in sample.features]
    colours = [pens[modality].colour for modality, *_ in sample.features]
    if sample.others:
        labels.append(f"{sample.others:,} others")
        sizes.append(sample.rest)
        colours.append(canvas.GREY)
    places = np.arange(len(sizes))
    ax.barh(places, sizes, color=colours, height=0.75)
    ax.axvline(0, color=canvas.INK, lw=0.7)
    ax.set_yticks(places, labels)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(sizes) - 0.4, -0.6)
    ax.set_xlabel("attribution (logits; right: for the class)")
    shown = [name for name in sample.modalities if name in {m for m, *_ in sample.features}]
    handles = [Patch(color=pens[name].colour) for name in shown]
    ax.legend(handles, list(map(canvas.short, shown)), loc="best", handlelength=1)


def _attention(ax: Any, sample: SampleReasons) -> None:
    """Draw attention from modality (row) to modality, with its numbers."""
    import matplotlib

    assert sample.attention is not None
    colours = matplotlib.colormaps["Blues"].with_extremes(bad=canvas.PALE)
    ax.imshow(np.ma.masked_invalid(sample.attention), cmap=colours, vmin=0, vmax=1)
    names = [canvas.short(name, 16) for name in sample.modalities]
    marks.slanted_names(ax, names)
    ax.set_yticks(range(len(names)), names)
    marks.without_frame(ax)
    for i, j in np.argwhere(np.isfinite(sample.attention)):
        value = float(sample.attention[i, j])
        style = {"ha": "center", "va": "center", "fontsize": 7.5}
        ax.text(j, i, f"{value:.2f}", color="white" if value > 0.6 else canvas.INK, **style)
    ax.set_title("attention, row to column: descriptive,\nno measure of importance", loc="left")
