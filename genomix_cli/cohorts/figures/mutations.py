"""Mutated genes: by sample, by class, and their number per sample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.figures import marks
from genomix_cli.cohorts.figures.design import annotated_heat, class_bar
from genomix_cli.cohorts.figures.heat import grouped_rows
from genomix_cli.cohorts.figures.values import column_means
from genomix_cli.cohorts.figures.view import View, members, shown_classes
from genomix_cli.report import canvas
from genomix_cli.report.canvas import Picture

GENES = 20
# Largest number of samples in an oncoplot.
SAMPLES = 1_000
MUTATED, WILD, MISSING = "#4B2E83", "#E4E4E4", "#FFFFFF"


def top_genes(views: Sequence[View]) -> list[NDArray[np.intp]]:
    """Return the most frequently mutated genes; the first view's in all views if possible."""
    shares = [np.nan_to_num(column_means(each.values)) for each in views]
    genes = [np.argsort(-share, kind="stable")[:GENES] for share in shares]
    names = views[0].features.index[genes[0]]
    for i, each in enumerate(views):
        if each.features.index.isin(names).sum() == len(names):
            genes[i] = each.features.index.get_indexer(names)
    return genes


def oncoplot(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw the top genes by samples, grouped by class, with burden and frequencies."""
    genes = min(GENES, max(each.values.shape[1] for each in views))
    size = (0.8 + 8.2 * len(views), 1.9 + 0.2 * genes)
    ratios = {"height_ratios": (1, 0.16 * genes + 0.4), "width_ratios": (6, 1) * len(views)}
    figure, axes = canvas.grid(2, 2 * len(views), size, **ratios)
    names = shown_classes(views)
    for i, (each, top) in enumerate(zip(views, top_genes(views), strict=True)):
        _oncoplot(axes[:, 2 * i : 2 * i + 2], each, top, names, pens)
    marks.name_columns(axes[:, ::2], views)
    caption = (
        f"{views[0].modality}: the {genes} most frequently mutated genes; each column is a sample, "
        "grouped by class. Top: mutated genes per sample. Right: share of samples with a mutation. "
        "White: not tested."
    )
    return Picture("oncoplot", marks.joined(caption, marks.notes(views)), figure)


def _oncoplot(
    axes: Any, each: View, genes: NDArray[np.intp], names: Sequence[str], pens: Any
) -> None:
    from matplotlib.colors import ListedColormap

    (burden, corner), (main, side) = axes
    columns = grouped_rows(each, names, partial(waterfall, each, genes), SAMPLES)
    picture = each.values[np.ix_(columns.order, genes)].T
    colours = ListedColormap([WILD, MUTATED, MISSING])
    marks.heat(main, np.where(np.isfinite(picture), picture, 2), colours, 0, 2)
    main.set_yticks(range(len(genes)), [each.features.index[i] for i in genes], fontstyle="italic")
    main.hlines(np.arange(len(genes) - 1) + 0.5, -0.5, len(columns.order) - 0.5, "white", lw=1)
    main.set_xlim(-0.5, len(columns.order) - 0.5)
    class_bar(main, columns.blocks, len(columns.order), pens)
    counts = np.nansum(each.values[columns.order], axis=1)
    burden.bar(range(len(counts)), counts, width=1, color="#555555", lw=0)
    burden.set(xlim=main.get_xlim(), xticks=[], ylabel="mutated\ngenes")
    burden.set_ylim(0, max(float(np.percentile(counts, 99.5)), 1) if len(counts) else 1)
    share = 100 * column_means(each.values[:, genes])
    side.barh(range(len(genes)), share, color=MUTATED, height=0.75)
    side.set(ylim=main.get_ylim(), yticks=[], xlabel="% of samples")
    corner.set_visible(False)


def waterfall(each: View, genes: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return an order of samples that puts those with the most frequent genes mutated first."""
    keys = np.nan_to_num(each.values[np.ix_(rows, genes)])
    return np.lexsort(-keys.T[::-1])


def gene_frequencies(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw the fraction of each class's samples in which the top genes are mutated."""
    names = [shown_classes([each]) for each in views]
    rows = min(GENES, max(each.values.shape[1] for each in views))
    wide = [0.5 * len(classes) + 1.2 for classes in names]
    size = (sum(wide) + 0.8, 1.4 + 0.2 * rows)
    figure, axes = canvas.grid(1, len(views), size, width_ratios=wide)
    genes = top_genes(views)
    shares = list(map(class_frequencies, views, names, genes))
    high = max(float(np.nanmax(share, initial=0)) for share in shares)
    drawn = zip(axes[0], views, names, genes, shares, strict=True)
    for ax, each, classes, top, share in drawn:
        named = [str(each.features.index[i]) for i in top]
        annotated_heat(ax, 100 * share, named, classes, top=100 * high)
        for label in ax.get_yticklabels():
            label.set_fontstyle("italic")
    marks.name_columns(axes, views)
    caption = f"{views[0].modality}: percentage of samples of a class with a mutation in the gene."
    return Picture("genes", marks.joined(caption, marks.notes(views)), figure)


def class_frequencies(
    each: View, names: Sequence[str], genes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return fractions mutated ``[genes, classes]``; NaN if a class has no samples."""
    values = each.values[:, genes]
    return np.array([column_means(values[members(each, name)]) for name in names]).T


def burden(views: Sequence[View], pens: dict[str, canvas.Look]) -> Picture:
    """Draw the number of mutated genes per sample, by class."""
    names = [shown_classes([each]) for each in views]
    wide = [max(2.6, 0.6 + 0.55 * len(classes)) for classes in names]
    size = (0.5 + sum(wide), 3.6)
    figure, axes = canvas.grid(1, len(views), size, sharey=True, width_ratios=wide)
    rng = np.random.default_rng(0)
    for ax, each, classes in zip(axes[0], views, names, strict=True):
        counts = np.nansum(each.values, axis=1)
        for i, name in enumerate(classes):
            here = counts[members(each, name)]
            if len(here):
                x = i + rng.uniform(-0.28, 0.28, len(here))
                y = here + rng.uniform(-0.3, 0.3, len(here)) * (here > 0)
                ax.scatter(x, y, s=3, color=pens[name].colour, alpha=0.45, lw=0)
                ax.hlines(np.median(here), i - 0.36, i + 0.36, "black", lw=1.6)
        marks.slanted_names(ax, classes)
        ax.set_ylim(bottom=-0.5)
    axes[0, 0].set_ylabel("mutated genes per sample")
    marks.name_columns(axes, views)
    caption = f"{views[0].modality}: mutated genes per sample by class; line: median."
    return Picture("burden", marks.joined(caption, marks.notes(views)), figure)
