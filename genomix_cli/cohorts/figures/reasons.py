"""Contributions of a sample's features to a class, and the model's attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import marks
from genomix_cli.comparison.study import Importance
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
    """Draw a sample as PNG; see :func:`figure_of`.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with canvas.style():
        canvas.save(canvas.Picture(path.stem, "", figure_of(sample)), path.parent)


def figure_of(sample: SampleReasons) -> Any:
    """Return a figure of bars of attributions, and the attention beside them."""
    height = 1.4 + 0.19 * (len(sample.features) + bool(sample.others))
    if sample.attention is None:
        figure, axes = canvas.grid(1, 1, (6.4, height))
    else:
        height = max(height, 3.2)
        figure, axes = canvas.grid(1, 2, (10.2, height), width_ratios=(1.7, 1))
        draw_attention(axes[0, 1], sample.attention, sample.modalities)
    figure.suptitle(sample.title, x=0.01, ha="left", fontweight="bold", fontsize=10)
    figure.text(0.99, 0.99, sample.note, ha="right", va="top", color=canvas.GREY, fontsize=7.5)
    _bars(axes[0, 0], sample)
    return figure


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


def draw_attention(ax: Any, attention: NDArray[Any], modalities: Sequence[str]) -> None:
    """Draw attention ``[M, M]`` from modality (row) to modality, with its numbers."""
    import matplotlib

    colours = matplotlib.colormaps["Blues"].with_extremes(bad=canvas.PALE)
    # Unlike an image, squares are small as a vector graphic.
    edges = np.arange(len(modalities) + 1) - 0.5
    ax.pcolormesh(edges, edges, np.ma.masked_invalid(attention), cmap=colours, vmin=0, vmax=1)
    ax.set(aspect="equal", ylim=edges[[-1, 0]])
    names = [canvas.short(name, 16) for name in modalities]
    marks.slanted_names(ax, names)
    ax.set_yticks(range(len(names)), names)
    marks.without_frame(ax)
    for i, j in np.argwhere(np.isfinite(attention)):
        value = float(attention[i, j])
        style = {"ha": "center", "va": "center", "fontsize": 7.5}
        ax.text(j, i, f"{value:.2f}", color="white" if value > 0.6 else canvas.INK, **style)
    ax.set_title("attention, row to column: descriptive,\nnot a measure of importance", loc="left")


def draw_features(
    features: Sequence[Importance], modalities: Sequence[str], shown: int
) -> canvas.Picture:
    """Draw the mean absolute attribution of the features that have most, with planted drivers.

    Parameters
    ----------
    features : sequence of Importance
        The largest first.
    modalities : sequence of str
    shown : int
        Bars.
    """
    from matplotlib.patches import Patch

    pens, drawn = marks.looks(modalities), features[:shown]
    figure, axes = canvas.grid(1, 1, (7.2, 0.8 + 0.19 * len(drawn)))
    ax, places = axes[0, 0], np.arange(len(drawn))
    sizes = [each.importance for each in drawn]
    ax.barh(places, sizes, color=[pens[each.modality].colour for each in drawn], height=0.75)
    known = any(each.driver is not None for each in features)
    names = [f"{'● ' if each.driver else ''}{canvas.short(each.feature)}" for each in drawn]
    ax.set_yticks(places, names)
    ax.set_ylim(len(drawn) - 0.4, -0.6)
    ax.set_xlabel("mean |attribution| (logits)")
    canvas.rows_alone(ax)
    used = {each.modality for each in drawn}
    named = [name for name in modalities if name in used]
    handles = [Patch(color=pens[name].colour) for name in named]
    ax.legend(handles, list(map(canvas.short, named)), loc="lower right", handlelength=1)
    of = f"{len(drawn)} of {len(features):,}"
    caption = f"The {of} features with the largest mean absolute attribution."
    caption += " ●: drives a class in the simulation." if known else ""
    return canvas.Picture("features", caption, figure)


def draw_modalities(
    shares: Mapping[str, Sequence[float]],
    modalities: Sequence[str],
    attention: NDArray[np.float64] | None,
) -> canvas.Picture:
    """Draw how much of the attribution each modality has, by class, and the mean attention.

    Parameters
    ----------
    shares : mapping
        Of each class the share of each modality.
    modalities : sequence of str
    attention : NDArray, optional
        float64 ``[M, M]``.
    """
    pens = marks.looks(modalities)
    width, columns = (10.2, 2) if attention is not None else (7.2, 1)
    height = max(1.1 + 0.26 * len(shares), 0 if attention is None else 3.2)
    ratios = (1.7, 1)[:columns]
    figure, axes = canvas.grid(1, columns, (width, height), width_ratios=ratios)
    ax, values = axes[0, 0], np.array(list(shares.values()))
    starts, places = values.cumsum(1) - values, np.arange(len(shares))
    for j, name in enumerate(modalities):
        colour = pens[name].colour
        ax.barh(places, values[:, j], left=starts[:, j], color=colour, height=0.7, label=name)
    ax.set_yticks(places, list(map(canvas.short, shares)))
    ax.set(xlim=(0, 1), ylim=(len(shares) - 0.4, -0.6), xlabel="share of the attribution")
    canvas.rows_alone(ax)
    figure.legend(loc="outside upper left", ncols=min(len(modalities), 4), handlelength=1)
    caption = "Share of each modality in the absolute attribution, by class."
    if attention is not None:
        draw_attention(axes[0, 1], attention, modalities)
        caption += " Right: mean attention of the explained samples; rows sum to 1."
    return canvas.Picture("modalities", caption, figure)
