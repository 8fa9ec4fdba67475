"""Copy number along the genome: means, gains and losses, heat map, single samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import heat, marks
from genomix_cli.cohorts.figures.genome import GenomeAxis
from genomix_cli.cohorts.figures.values import column_means, unit
from genomix_cli.cohorts.figures.view import Matrix, View, members, shown_classes
from genomix_cli.report import canvas
from genomix_cli.report.canvas import Picture

# log2 ratios beyond it are gains or losses; of calls, all but 0 are.
THRESHOLD = 0.2
# Largest number of classes with a panel.
PANELS = 16
# Colours of 0 to 5 and more true copies, as usual for losses, neutral and gains.
STATE_COLOURS = ("#053061", "#4393C3", "#7F7F7F", "#F4A582", "#D6604D", "#67001F")
STATE_NAMES = ("0 copies", "1", "2", "3", "4", "5 or more")
# Number of columns of a heat map along the genome.
WIDTH = 1_200
# Axes, class, its values ``[n, d]``, and the places of the features.
Panel = tuple[Any, str, Matrix, GenomeAxis]
# Number of samples to show one by one.
SINGLE = 3


def threshold(each: View) -> float:
    """Return the value beyond which values are gains or losses."""
    return THRESHOLD if each.kind.name == "copy_number" else 0.5


def panels(views: Sequence[View], names: Sequence[str]) -> tuple[Any, list[Panel]]:
    """Return a figure with a panel for each class (row) and cohort (column)."""
    size = (0.9 + _width(views), 0.7 + 1.02 * len(names))
    figure, axes = canvas.grid(len(names), len(views), size, sharey=True)
    drawn = []
    for row, name in zip(axes, names, strict=True):
        for ax, each in zip(row, views, strict=True):
            here = each.values[members(each, name)]
            drawn.append((ax, name, here, each.places))
            each.places.decorate(ax, labels=ax in axes[-1])
            if not len(here):
                text = {"ha": "center", "va": "center", "color": canvas.GREY}
                ax.text(0.5, 0.72, "no samples", transform=ax.transAxes, **text)
        _name_row(row[0], name, views)
    for ax, each in zip(axes[-1], views, strict=True):
        ax.set_xlabel(each.places.label)
    marks.name_columns(axes, views)
    return figure, drawn


def _width(views: Sequence[View]) -> float:
    """Return the inches that genomes side by side need."""
    return 9.5 if len(views) == 1 else 6.8 * len(views)


def _name_row(ax: Any, name: str, views: Sequence[View]) -> None:
    """Write a class and its samples left of a panel, breaking a long name at its last blank."""
    text = canvas.short(name)
    cut = text.rfind(" ", 0, 17)
    if len(text) > 16 and cut > 0:
        text = text[:cut] + "\n" + text[cut + 1 :]
    counts = marks.counts_of(name, views)
    position = {"xytext": (-38, 0), "xycoords": "axes fraction", "textcoords": "offset points"}
    ax.annotate(f"{text}\n(n = {counts})", (0, 0.5), ha="right", va="center", **position)


def profile(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw the mean over the samples of a class along the genome."""
    names = shown_classes(views, PANELS)
    figure, drawn = panels(views, names)
    for ax, _, here, places in drawn:
        if len(here):
            x, y = places.steps(column_means(here)[places.columns])
            ax.fill_between(x, 0, np.maximum(y, 0), color=canvas.GAIN, lw=0)
            ax.fill_between(x, 0, np.minimum(y, 0), color=canvas.LOSS, lw=0)
        ax.axhline(0, color=canvas.INK, lw=0.6)
    _symmetric(figure.axes)
    figure.supylabel(f"mean {unit(views[0])}", fontsize=8.5)
    caption = f"{views[0].modality}: mean profile of each class along the genome."
    return Picture("profile", genome_caption(caption, views), figure)


def gains_and_losses(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw the fraction of a class's samples with a gain (up) and a loss (down)."""
    names = shown_classes(views, PANELS)
    figure, drawn = panels(views, names)
    for ax, _, here, places in drawn:
        for sign, colour in ((1, canvas.GAIN), (-1, canvas.LOSS)):
            if len(here):
                beyond = np.where(np.isfinite(here), sign * here > threshold(views[0]), np.nan)
                x, y = places.steps(100 * column_means(beyond)[places.columns])
                ax.fill_between(x, 0, sign * y, color=colour, lw=0)
        ax.axhline(0, color=canvas.INK, lw=0.6)
    _symmetric(figure.axes)
    for ax in figure.axes:
        ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    figure.supylabel("samples with a loss | gain (%)", fontsize=8.5)
    limit = f"beyond ±{THRESHOLD}" if views[0].kind.name == "copy_number" else "other than 0"
    caption = (
        f"{views[0].modality}: percentage of samples of a class with a gain (red, up) or a loss "
        f"(blue, down), {unit(views[0])} {limit}."
    )
    return Picture("gains_losses", genome_caption(caption, views), figure)


def _symmetric(axes: Sequence[Any]) -> None:
    """Give all panels one scale, symmetric about 0."""
    high = max(float(np.abs(ax.get_ylim()).max()) for ax in axes)
    for ax in axes:
        ax.set_ylim(-high, high)


def genome_caption(caption: str, views: Sequence[View]) -> str:
    """Return a caption that also says what the figure leaves out."""
    left_out = sum(each.places.left_out for each in views)
    named = f"{left_out:,} features without genome coordinates are left out." if left_out else ""
    fewer = f"Shown: the {PANELS} largest classes." if len(shown_classes(views)) > PANELS else ""
    return marks.joined(caption, named, fewer, marks.notes(views))


def heat_map(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw samples, grouped by class, along the genome."""
    names = shown_classes(views)
    size = (0.9 + _width(views), heat.height_of(views, names) + 0.5)
    figure, axes = canvas.grid(1, len(views), size)
    scale = heat.value_scale(views)
    for ax, each in zip(axes[0], views, strict=True):
        places = each.places
        rows = heat.grouped_rows(each, names, heat.alike(each.values[:, places.columns]))
        picture = places.sampled(each.values[rows.order], WIDTH)
        extent = (*places.ends, len(picture) - 0.5, -0.5)
        image = marks.heat(ax, picture, *scale, extent=extent)
        heat.class_strip(ax, rows, pens)
        places.decorate(ax)
        ax.set_xlabel(places.label)
    beside = {"fraction": 0.03, "pad": 0.01, "aspect": 30, "shrink": 0.6}
    marks.colour_bar(figure, image, axes[0], unit(views[0]), **beside)
    marks.name_columns(axes, views)
    caption = (
        f"{views[0].modality}: samples grouped by class, within a class by Ward's clustering; "
        "grey: missing, or no feature nearby."
    )
    return Picture("heatmap", genome_caption(caption, views), figure)


def single_samples(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw profiles of single samples: dots, and their levels."""
    telling = [telling_samples(each) for each in views]
    rows = max(map(len, telling))
    figure, axes = canvas.grid(rows, len(views), (0.7 + _width(views), 0.6 + 1.6 * rows))
    for column, each, samples in zip(axes.T, views, telling, strict=True):
        for ax in column:
            each.places.decorate(ax, labels=ax is column[-1])
        for ax, sample in zip(column, samples, strict=False):
            _draw_sample(ax, each, sample)
        column[-1].set_xlabel(each.places.label)
    figure.supylabel(unit(views[0]), fontsize=8.5)
    _state_legend(figure, any(each.states is not None for each in views), views[0])
    if len(views) > 1:
        for ax, each in zip(axes[0], views, strict=True):
            canvas.head(ax, f"{canvas.short(each.cohort, 30)}: {ax.get_title('left')}")
    caption = (
        f"{views[0].modality} of single samples: from each of the {rows} most altered classes, "
        "the sample at the 80th percentile of spread. Colours: "
        + ("true copy number." if views[0].states is not None else "gains and losses.")
    )
    return Picture("samples", genome_caption(caption, views), figure)


def telling_samples(each: View) -> list[int]:
    """Return from each of the three most variable classes a sample at the 80th percentile."""
    spread = np.nan_to_num(np.nanstd(np.where(np.isfinite(each.values), each.values, 0), axis=1))
    ranked: list[tuple[float, int]] = []
    for name in shown_classes([each]):
        here = np.flatnonzero(members(each, name))
        order = here[np.argsort(spread[here], kind="stable")]
        sample = int(order[int(0.8 * (len(order) - 1))])
        ranked.append((-float(np.median(spread[here])), sample))
    return [sample for _, sample in sorted(ranked)[:SINGLE]]


def _draw_sample(ax: Any, each: View, sample: int) -> None:
    places = each.places
    values = each.values[sample, places.columns]
    states = _states(each, sample)[places.columns]
    colours = np.array(STATE_COLOURS)[states]
    size = 9 if len(values) < 1_000 else 3
    ax.scatter(places.middles, values, s=size, c=colours, lw=0)
    if each.states is not None:
        _levels(ax, places, values, states)
    ax.axhline(0, color=canvas.GREY, lw=0.6, zorder=0.5)
    name = each.classes.names[each.classes.codes[sample]]
    ax.set_title(f"{each.samples[sample]}, {canvas.short(name)}", loc="left", fontsize=8.5)


def _states(each: View, sample: int) -> NDArray[np.intp]:
    """Return the colour of each feature: true copies if known, else loss, neutral, gain."""
    if each.states is not None:
        known = np.nan_to_num(each.states[sample], nan=2)
        return np.clip(known, 0, len(STATE_COLOURS) - 1).astype(np.intp)
    values = np.nan_to_num(each.values[sample])
    return np.where(values > threshold(each), 4, np.where(values < -threshold(each), 1, 2))


def _levels(
    ax: Any, places: GenomeAxis, values: NDArray[np.float32], states: NDArray[np.intp]
) -> None:
    """Draw the median of each run of one state on one chromosome, as a line."""
    starts = [start for start, _ in places.chromosomes.values()]
    contig = np.searchsorted(starts, places.left, "right") if starts else 0 * states
    breaks = np.flatnonzero((np.diff(states) != 0) | (np.diff(contig) != 0)) + 1
    for run in np.split(np.arange(len(states)), breaks):
        if np.isfinite(values[run]).any():
            level = float(np.nanmedian(values[run]))
            ends = places.left[run[0]], places.right[run[-1]]
            ax.plot(ends, (level, level), color="black", lw=1.3, solid_capstyle="butt")


def _state_legend(figure: Any, known: bool, each: View) -> None:
    from matplotlib.lines import Line2D

    colours: Sequence[str] = STATE_COLOURS
    names: Sequence[str] = STATE_NAMES
    if not known:
        limit = f" (beyond ±{THRESHOLD})" if each.kind.name == "copy_number" else ""
        colours, names = (STATE_COLOURS[1], STATE_COLOURS[4]), (f"loss{limit}", f"gain{limit}")
    handles = [Line2D([], [], color=colour, marker="o", ls="", ms=4) for colour in colours]
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
