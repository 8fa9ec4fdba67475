"""Figures of the report.

Letters: n variants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from genomix_cli.comparison.metrics.binary import without_ties
from genomix_cli.report import canvas
from genomix_cli.report.curves import precision_recall, roc
from genomix_cli.report.curves import reliability as reliability_of
from genomix_cli.variants.evaluate.suite.measures import MEASURES, shown_measures
from genomix_cli.variants.evaluate.suite.results import EntrantResult, Metrics, StratumResult, Suite

if TYPE_CHECKING:
    from genomix_cli.variants.evaluate.leaderboard.evaluations import Row
    from genomix_cli.variants.evaluate.suite.entrants import Entrant

WIDTH = 9.0
# Largest number of entrants in a figure of curves.
TOGETHER = 7
KINDS = {"model": canvas.COLOURS[0], "baseline": canvas.GREY, "column": canvas.COLOURS[1]}
KINDS["stack"] = canvas.COLOURS[2]


def forest(
    rows: Sequence[EntrantResult | Row], main: str, ceiling: Metrics, prevalence: float, units: str
) -> canvas.Picture:
    """Draw the main metrics of every entrant with their intervals, and the ceiling."""
    names = [name for name in shown_measures(main) if name in rows[0].metrics]
    figure, axes = canvas.grid(1, len(names), (WIDTH, 0.9 + 0.26 * len(rows)), sharey=True)
    at = np.arange(len(rows))[::-1]
    for ax, name in zip(axes[0], names, strict=True):
        for y, row in zip(at, rows, strict=True):
            canvas.interval_bar(ax, y, row.metrics[name], KINDS[row.kind])
        chance = MEASURES[name].chance
        ax.axvline(
            prevalence if chance is None else chance,
            color=canvas.GREY,
            lw=0.8,
            ls=":",
        )
        if name in ceiling:
            ax.axvline(ceiling[name].value, color="#000000", lw=1.0)
        ax.set_yticks(at, [canvas.short(row.name, 34) for row in rows])
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.set_xlabel(MEASURES[name].title)
        canvas.rows_alone(ax)
    kinds = {row.kind for row in rows}
    caption = f"Metrics with 95 % intervals over {units}. Blue: models"
    caption += "; grey: baselines" if "baseline" in kinds else ""
    caption += "; orange: scores from other tools" if "column" in kinds else ""
    caption += "; green: the stack" if "stack" in kinds else ""
    caption += ". Dotted: chance."
    if ceiling:
        caption += " Black line: the best possible value, that of the true probabilities."
    return canvas.Picture("forest", caption, figure)


def _pens(suite: Suite) -> dict[str, canvas.Look]:
    return canvas.looks(entrant.name for entrant in suite.entrants)


def _first_of(entrants: Sequence[Entrant]) -> str:
    """Return a remark if not all entrants are drawn."""
    more = len(entrants) > TOGETHER
    return f"; the first {TOGETHER} of {len(entrants)}" if more else ""


def curves(suite: Suite) -> canvas.Picture | None:
    """Draw ROC and precision-recall curves of the entrants, and of the truth."""
    results, truth = suite.results, suite.truth
    if MEASURES[results.main].target != "label":
        return None
    # The panels have their full width, so each row of the legend adds to the height.
    rows = -(-(min(len(suite.entrants), TOGETHER) + bool(results.ceiling)) // 2)
    figure, axes = canvas.grid(1, 2, (WIDTH, 4.7 + 0.16 * rows))
    kinds = ((roc, "auroc", "false positive rate", "true positive rate"),)
    kinds += ((precision_recall, "auprc", "recall", "precision"),)  # type: ignore[assignment]
    for ax, (draw, metric, x, y) in zip(axes[0], kinds, strict=True):
        for entrant, found in zip(suite.entrants[:TOGETHER], results.entrants, strict=False):
            known = np.isfinite(truth.label) & np.isfinite(entrant.score)
            line = draw(truth.label[known] > 0.5, entrant.score[known])
            pen = _pens(suite)[entrant.name]
            label = f"{canvas.short(entrant.name, 22)} {found.metrics[metric].value:.3f}"
            ax.plot(line.x, line.y, color=pen.colour, ls=pen.dash, lw=1.3, label=label)
        if metric in results.ceiling:
            known = np.isfinite(truth.label)
            coin = without_ties(truth.probability[known], np.random.default_rng(0))
            line = draw(truth.label[known] > 0.5, coin)
            label = f"ceiling {results.ceiling[metric].value:.3f}"
            ax.plot(line.x, line.y, color="#000000", ls=(0, (4, 1.5)), lw=1.0, label=label)
        ax.set(
            xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=x, ylabel=y, aspect="equal", anchor="N"
        )
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    caption = f"ROC and precision-recall curves, with their areas{_first_of(suite.entrants)}."
    return canvas.Picture("curves", caption, figure)


def reliability(suite: Suite) -> canvas.Picture | None:
    """Draw the frequency of label 1 against its predicted probability."""
    calibrated = [e for e in suite.entrants if e.probability is not None]
    shown = calibrated[:TOGETHER]
    if MEASURES[suite.results.main].target != "label" or not shown:
        return None
    label = suite.truth.label
    known = np.isfinite(label)
    columns = min(len(shown), 3)
    lines = -(-len(shown) // columns)
    figure, axes = canvas.grid(lines, columns, (WIDTH, 2.9 * lines))
    for ax, entrant in zip(axes.flat, shown, strict=False):
        assert entrant.probability is not None
        bins = reliability_of(label[known] > 0.5, entrant.probability[known])
        top = 1.02 * max(bins.probability.max(), bins.high.max())
        ax.plot([0, top], [0, top], color=canvas.GREY, lw=0.8)
        bars = {"color": _pens(suite)[entrant.name].colour, "fmt": "o-", "ms": 3.5, "lw": 1.1}
        ax.errorbar(bins.probability, bins.frequency, bins.errors, **bars)
        ax.set(xlim=(0, top), ylim=(0, top))
        ax.set(xlabel="predicted probability", ylabel="observed frequency")
        canvas.head(ax, canvas.short(entrant.name, 34))
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    caption = (
        "Reliability in bins with equally many variants; on the diagonal, probabilities are "
        f"calibrated. Bars: 95 % intervals (Wilson){_first_of(calibrated)}."
    )
    return canvas.Picture("reliability", caption, figure)


def strata(suite: Suite) -> canvas.Picture | None:
    """Draw the main metric in each stratum for the models and their best rival."""
    main = suite.results.main
    found = [s for s in suite.results.strata if any(main in m for m in s.metrics.values())]
    if not found:
        return None
    shown = list(dict.fromkeys(name for s in found for name in s.metrics))
    pens = canvas.looks(shown)
    height = 0.9 + (0.14 + 0.13 * len(shown)) * len(found)
    figure, axes = canvas.grid(1, 1, (WIDTH, height))
    ax = axes[0, 0]
    ticks, labels = [], []
    for y, stratum in _places(found):
        for i, name in enumerate(shown):
            value = stratum.metrics.get(name, {}).get(main)
            if value is not None:
                canvas.interval_bar(
                    ax, y - 0.7 * (i + 0.5) / len(shown) + 0.35, value, pens[name].colour
                )
        ticks.append(y)
        labels.append(f"{stratum.title}: {canvas.short(stratum.name, 22)} ({stratum.n:,})")
    chance = MEASURES[main].chance
    ax.axvline(chance or 0.0, color=canvas.GREY, lw=0.8, ls=":")
    ax.set_yticks(ticks, labels)
    ax.set_ylim(min(ticks) - 0.6, max(ticks) + 0.6)
    ax.set_xlabel(MEASURES[main].title)
    for name in shown:
        ax.plot([], [], "o-", color=pens[name].colour, ms=5, lw=2.2, label=canvas.short(name, 30))
    figure.legend(loc="outside upper left", ncols=min(len(shown), 4), labelcolor=canvas.INK)
    canvas.rows_alone(ax)
    caption = "Strata in which the metric is defined, with numbers of variants and 95 % intervals."
    return canvas.Picture("strata", caption, figure)


def _places(found: list[StratumResult]) -> Iterator[tuple[float, StratumResult]]:
    """Yield heights and strata from the top down, with a gap between stratifications."""
    y, title = 0.0, found[0].title
    for stratum in found:
        y -= 1.0 if stratum.title == title else 1.5
        title = stratum.title
        yield y, stratum
