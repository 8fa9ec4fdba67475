"""The cohort as a whole: measurements, batches, and the best performance possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import marks
from genomix_cli.cohorts.figures.view import ALL, CLASSES, classes_of
from genomix_cli.cohorts.inspect import overview
from genomix_cli.cohorts.inspect.pieces import draw_rows, pieces
from genomix_cli.formats.cohort import BATCH, Cohort
from genomix_cli.report import canvas
from genomix_cli.report.canvas import Picture

SAMPLES = 1_500
COMBINATIONS = 25
CELLS = 40
THERE = "#2B4C6F"

Named = Sequence[tuple[str, Cohort]]


def missingness(cohorts: Named, pens: dict[str, canvas.Look]) -> Picture:
    """Draw modalities by samples: measured, partly missing, or missing altogether."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("there", ["#BFD3E6", THERE]).with_extremes(
        bad="white"
    )
    rows = max(len(cohort.modalities) for _, cohort in cohorts)
    size = (1.2 + 7.6 * len(cohorts), 1.5 + 0.36 * rows)
    figure, axes = canvas.grid(1, len(cohorts), size)
    for ax, (_, cohort) in zip(axes[0], cohorts, strict=True):
        matrix, blocks = measured(cohort)
        image = marks.heat(ax, np.where(matrix > 0, matrix, np.nan), colours, 0, 1)
        labels = [
            f"{canvas.short(name)} ({cohort.present(name).mean():.0%})"
            for name in cohort.modalities
        ]
        ax.set_yticks(range(len(labels)), labels)
        lines = np.arange(len(labels) + 1) - 0.5
        ax.hlines(lines, -0.5, matrix.shape[1] - 0.5, canvas.GREY, lw=0.5)
        class_bar(ax, blocks, matrix.shape[1], pens)
    _name(axes, cohorts)
    bar = marks.colour_bar(figure, image, axes[0], "values there", fraction=0.02, pad=0.01)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    caption = (
        "Share of each modality's values that are present in each sample, grouped by class; white: "
        "modality not measured. In brackets: share of samples with the modality."
    )
    fewer = f"About {SAMPLES:,} samples at most, drawn at random within classes."
    many = any(len(cohort.obs) > SAMPLES for _, cohort in cohorts)
    return Picture("missingness", marks.joined(caption, fewer if many else ""), figure)


def measured(cohort: Cohort) -> tuple[NDArray[np.float64], list[marks.Block]]:
    """Return the fraction of values present ``[modalities, samples]`` by class; the classes."""
    classes = classes_of(cohort)
    everyone = np.ones(len(cohort.obs), bool)
    keep = draw_rows(np.random.default_rng(0), classes.codes, everyone, SAMPLES)
    shares = np.zeros((len(cohort.modalities), len(cohort.obs)))
    for row, name in zip(shares, cohort.modalities, strict=True):
        for rows, values in pieces(cohort, name, keep):
            row[rows] = np.isfinite(values).sum(axis=1) / max(values.shape[1], 1)
    drawn, codes = shares[:, keep], classes.codes[keep]
    order = np.lexsort((*-drawn[::-1], *-(drawn[::-1] > 0).astype(int), codes))
    return drawn[:, order], marks.blocks_of(classes.names, classes.of(keep).counts().tolist())


def class_bar(
    ax: Any, blocks: Sequence[marks.Block], total: int, pens: dict[str, canvas.Look]
) -> None:
    """Draw a coloured strip below that shows the class of the samples."""
    ax.set_xticks([])
    ax.spines[:].set_visible(False)
    if [name for name, *_ in blocks] == [ALL]:
        ax.set_xlabel(f"{total:,} samples")
        return
    # A fixed number of points below the axis, whatever the height of the panel.
    below = ax.get_xaxis_transform() + marks.moved(ax, 0, -7)
    for name, start, stop in blocks:
        marks.stripe(ax, (start - 0.5, stop - 0.5), (0, 0), pens[name].colour, below)
        if start:
            ax.axvline(start - 0.5, color="white", lw=1.2)
    named = blocks if len(blocks) <= CLASSES else largest_blocks(blocks)
    middles = np.array([(start + stop - 1) / 2 for _, start, stop in named])
    gap = 0.19 * total / (ax.figure.get_figwidth() * ax.get_position().width)
    places = marks.spread(middles, gap, 0, total - 1)
    under = ax.get_xaxis_transform() + marks.moved(ax, 4, -13)
    for position, (name, *_) in zip(places, named, strict=True):
        text = {"ha": "right", "va": "top", "rotation": 35, "rotation_mode": "anchor"}
        label = canvas.short(name, 22)
        ax.text(position, 0, label, transform=under, fontsize=7.5, **text)


def largest_blocks(blocks: Sequence[marks.Block]) -> list[marks.Block]:
    """Return the classes with the most samples, in their order."""
    largest = sorted(blocks, key=lambda block: block[1] - block[2])[:CLASSES]
    return sorted(largest, key=lambda block: block[1])


def annotated_heat(
    ax: Any,
    matrix: NDArray[Any],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    top: float | None = None,
    form: str = "{:,.0f}",
) -> None:
    """Draw a heat map with the number in each cell; NaN stays white."""
    high = top or float(np.nanmax(matrix, initial=0)) or 1.0
    ax.imshow(np.ma.masked_invalid(matrix), cmap="Blues", vmin=0, vmax=1.15 * high, aspect="auto")
    ax.set_yticks(range(len(rows)), [canvas.short(name) for name in rows])
    marks.slanted_names(ax, columns)
    marks.without_frame(ax)
    for (i, j), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            colour = "white" if value > 0.62 * high else canvas.INK
            text = {"ha": "center", "va": "center", "fontsize": 7, "color": colour}
            ax.text(j, i, form.format(value), **text)


def classes_by_batches(cohorts: Named, pens: dict[str, canvas.Look]) -> Picture | None:
    """Draw the samples of each class in each batch, and their association."""
    drawn = [(c, cohort) for c, cohort in cohorts if BATCH in cohort.obs and cohort.classes]
    if not drawn:
        return None
    tables = [largest(*overview.crosstab(cohort)) for _, cohort in drawn]
    wide = [0.55 * len(columns) + 1.2 for _, columns, _ in tables]
    size = sum(wide) + 0.6 * len(wide), max(0.23 * len(rows) for rows, *_ in tables) + 1.6
    figure, axes = canvas.grid(1, len(drawn), size, width_ratios=wide)
    for ax, (called, cohort), (rows, columns, counts) in zip(axes[0], drawn, tables, strict=True):
        annotated_heat(ax, counts, rows, columns)
        association = overview.confounding(cohort)
        title = f"{canvas.short(called, 30)}: " if len(drawn) > 1 else ""
        if association is not None:
            title += f"Cramér's V {association.v:.2f}, corrected {association.v_corrected:.2f}"
        ax.set_title(title, loc="left", fontsize=8.5)
    fewer = f"Shown: at most the {CELLS} largest batches and {CLASSES} largest classes."
    many = any(len(rows) == CELLS or len(columns) == CLASSES for rows, columns, _ in tables)
    caption = (
        "Samples by batch (rows) and class (columns). Cramér's V is 0 if they are independent "
        "and 1 if the batch determines the class."
    )
    return Picture("classes_by_batches", marks.joined(caption, fewer if many else ""), figure)


def largest(
    rows: tuple[str, ...], columns: tuple[str, ...], counts: NDArray[np.int64]
) -> tuple[list[str], list[str], NDArray[np.int64]]:
    """Return the rows and columns with the most samples, in their order."""
    chosen_rows = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:CELLS])
    across = np.sort(np.argsort(-counts.sum(axis=0), kind="stable")[:CLASSES])
    names = [rows[i] for i in chosen_rows], [columns[i] for i in across]
    return *names, counts[np.ix_(chosen_rows, across)]


def missing_by_batch(cohorts: Named, pens: dict[str, canvas.Look]) -> Picture | None:
    """Draw the fraction of the samples of each batch that lack a modality."""
    drawn = [
        (called, cohort)
        for called, cohort in cohorts
        if BATCH in cohort.obs and not all(cohort.present(m).all() for m in cohort.modalities)
    ]
    if not drawn:
        return None
    tables = [overview.absent_by_batch(cohort)[:CELLS] for _, cohort in drawn]
    wide = sum(0.55 * len(cohort.modalities) + 1.6 for _, cohort in drawn)
    high = max(0.23 * len(table) for table in tables)
    figure, axes = canvas.grid(1, len(drawn), (wide + 0.6, high + 1.5))
    for ax, (_, cohort), table in zip(axes[0], drawn, tables, strict=True):
        matrix = 100 * np.array([shares for _, shares in table])
        annotated_heat(ax, matrix, [name for name, _ in table], cohort.modalities, top=100.0)
    _name(axes, drawn)
    caption = "Percentage of the samples of a batch (rows) that lack a modality (columns)."
    return Picture("missing_by_batch", caption, figure)


def overlap(cohorts: Named, pens: dict[str, canvas.Look]) -> Picture:
    """Draw the combinations of modalities and their samples (Lex 2014)."""
    counted = [overview.combinations(cohort)[:COMBINATIONS] for _, cohort in cohorts]
    rows = max(len(cohort.modalities) for _, cohort in cohorts)
    wide = [max(2.2, 0.34 * len(sets)) for sets in counted]
    figure, axes = canvas.grid(
        2,
        len(cohorts),
        (sum(wide) + 1.6 * len(cohorts), 2.2 + 0.27 * rows),
        height_ratios=(2.0, 0.27 * rows + 0.15),
        width_ratios=wide,
        sharex="col",
    )
    for (bars, dots), (_, cohort), sets in zip(axes.T, cohorts, counted, strict=True):
        _upset(bars, dots, cohort.modalities, sets)
    _name(axes, cohorts)
    caption = (
        "Samples with exactly the modalities marked below (UpSet plot, Lex 2014, "
        "10.1109/TVCG.2014.2346248)."
    )
    fewer = f"Shown: the {COMBINATIONS} most frequent combinations."
    many = any(len(overview.combinations(cohort)) > COMBINATIONS for _, cohort in cohorts)
    return Picture("overlap", marks.joined(caption, fewer if many else ""), figure)


def _upset(
    bars: Any, dots: Any, modalities: Sequence[str], sets: Sequence[tuple[tuple[str, ...], int]]
) -> None:
    bars.bar(range(len(sets)), [count for _, count in sets], width=0.6, color=THERE)
    above = {"xytext": (0, 2), "textcoords": "offset points", "ha": "center", "fontsize": 7}
    for i, (_, count) in enumerate(sets):
        bars.annotate(f"{count:,}", (i, count), **above)
    bars.set_ylabel("samples")
    bars.tick_params(axis="x", length=0)
    for i, (names, _) in enumerate(sets):
        marked = [modalities.index(name) for name in names]
        dots.scatter([i] * len(modalities), range(len(modalities)), s=38, color=canvas.PALE)
        dots.plot([i] * len(marked), marked, "o-", color=THERE, ms=6, lw=1.6)
    dots.set(xticks=[], xlim=(-0.6, len(sets) - 0.4), ylim=(len(modalities) - 0.5, -0.5))
    dots.set_yticks(range(len(modalities)), [canvas.short(name) for name in modalities])
    marks.without_frame(dots)


def bayes(cohorts: Named, pens: dict[str, canvas.Look]) -> Picture | None:
    """Draw the Bayes-optimal accuracy of every subset of modalities of a simulated cohort."""
    drawn = [
        (called, cohort, entries)
        for called, cohort in cohorts
        if cohort.truth is not None and (entries := _with_accuracy(cohort.truth))
    ]
    if not drawn:
        return None
    rows = max(len(entries) for *_, entries in drawn)
    letters = max(len(_label(entry)) for *_, entries in drawn for entry in entries)
    size = ((3.4 + 0.062 * letters) * len(drawn), 1.0 + 0.19 * rows)
    figure, axes = canvas.grid(1, len(drawn), size, sharex=True)
    for ax, (_, _, entries) in zip(axes[0], drawn, strict=True):
        _bayes_panel(ax, entries)
    _name(axes, [(called, cohort) for called, cohort, _ in drawn])
    caption = (
        "Accuracy of the Bayes rule given these modalities, with its 95 % interval; cross: "
        "expected from the posteriors. No classifier can be more accurate."
    )
    return Picture("bayes", caption, figure)


def _with_accuracy(truth: dict[str, Any]) -> list[dict[str, Any]]:
    entries = [e for e in truth.get("bayes", ()) if e.get("modalities") and "accuracy" in e]
    return sorted(entries, key=lambda e: (len(e["modalities"]), e["accuracy"]))


def _label(entry: dict[str, Any]) -> str:
    return " + ".join(entry["modalities"])


def _bayes_panel(ax: Any, entries: Sequence[dict[str, Any]]) -> None:
    for i, entry in enumerate(entries):
        accuracy = entry["accuracy"]
        if entry.get("low") is not None and entry.get("high") is not None:
            ax.hlines(i, entry["low"], entry["high"], THERE, lw=1.4)
        ax.plot(accuracy, i, "o", color=THERE, ms=4.5)
        if entry.get("expected") is not None:
            ax.plot(entry["expected"], i, "x", color=marks.SECOND, ms=5, mew=1.2)
    ax.set_yticks(range(len(entries)), [_label(entry) for entry in entries])
    ax.set_ylim(-0.6, len(entries) - 0.4)
    ax.grid(axis="x", color=canvas.PALE, lw=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel("Bayes-optimal accuracy")


def _name(axes: Any, cohorts: Named) -> None:
    marks.name_panels(axes[0], [called for called, _ in cohorts])
