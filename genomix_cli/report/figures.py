"""Figures of the report, in the style of `genomix inspect`.

Letters: n samples tested, M modalities, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.clustering import projected
from genomix_cli.comparison.metrics.multiclass import CLASS_METRICS, METRICS, Ranked
from genomix_cli.comparison.study import Outcome, Study
from genomix_cli.comparison.summaries import OutcomeResult, Results
from genomix_cli.report.canvas import (
    COLOURS,
    DASHES,
    GREY,
    INK,
    Picture,
    by_epoch,
    grid,
    head,
    interval_bar,
    looks,
    rows_alone,
)
from genomix_cli.report.curves import (
    BINS,
    PER_BIN,
    Line,
    defined,
    macro,
    precision_recall,
    reliability,
    roc,
)

WIDTH = 9.0
MAIN, BEST, BAYES = COLOURS[0], COLOURS[1], "#000000"
# Largest number of main models whose curves share a panel.
TOGETHER = 3


def short(text: str, longest: int = 26) -> str:
    """Return a name shortened in the middle, since names may differ at either end."""
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return f"{text[: longest - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


class Shown(NamedTuple):
    """A model that figures show in full.

    Attributes
    ----------
    outcome : Outcome
    result : OutcomeResult
    colour : str
    """

    outcome: Outcome
    result: OutcomeResult
    colour: str


def shown(study: Study, results: Results) -> list[Shown]:
    """Return the first main model and the best baseline, where they exist."""
    pairs = list(zip(study.outcomes, results.outcomes, strict=True))
    main = [Shown(o, r, MAIN) for o, r in pairs if r.main][:1]
    return main + [Shown(o, r, BEST) for o, r in pairs if r.name == results.best and not r.main]


def overview(results: Results) -> Picture:
    """Draw the main metric of every model with its interval, and its ceiling."""
    rows = results.outcomes
    figure, axes = grid(1, 1, (WIDTH, 0.6 + 0.24 * len(rows)))
    ax, at = axes[0, 0], np.arange(len(rows))[::-1]
    for y, row in zip(at, rows, strict=True):
        colour = MAIN if row.main else BEST if row.name == results.best else GREY
        interval_bar(ax, y, row.metrics[results.metric].interval, colour)
        if row.ceiling is not None and results.metric in ("accuracy", "nll"):
            bayes = getattr(row.ceiling, results.metric).value
            ax.plot([bayes, bayes], [y - 0.38, y + 0.38], color=BAYES, lw=1.2)
    ax.set_yticks(at, [short(row.name, 60) for row in rows])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel(METRICS[results.metric].title)
    rows_alone(ax)
    caption = (
        f"{METRICS[results.metric].title.capitalize()} with 95 % intervals over "
        f"{results.unit_name}. "
        "Blue: requested models; orange: best baseline; grey: other baselines."
    )
    if any(row.ceiling for row in rows):
        caption += " Black ticks: Bayes rule on the same modalities."
    return Picture("overview", caption, figure)


def _rest_curves(
    label: NDArray[np.int64], probability: NDArray[np.float64], draw: Any
) -> dict[int, Line]:
    """Return the curve of each class against the rest; for two classes, only the second."""
    classes = defined(label, probability.shape[1])
    if probability.shape[1] == 2:
        classes = classes[-1:]
    return {k: draw(label == k, probability[:, k]) for k in classes}


def _first(outcome: Outcome, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    return outcome.probability[0][rows]


def curves(study: Study, results: Results) -> Picture | None:
    """Draw ROC and precision-recall curves of models, and of the classes of the first model."""
    rows, label = study.tested, study.label[study.tested]
    drawn = shown(study, results)
    if not drawn or not defined(label, len(study.classes)):
        return None
    two = len(study.classes) == 2
    figure, axes = grid(1 if two else 2, 2, (WIDTH, 3.6 if two else 7.2))
    kinds = ((roc, "false positive rate", "true positive rate", "auroc"),)
    kinds += ((precision_recall, "recall", "precision", "auprc"),)  # type: ignore[assignment]
    for column, (draw, x, y, metric) in enumerate(kinds):
        for name, p, colour, area in _models(study, drawn, metric, results):
            line = macro(list(_rest_curves(label, p, draw).values()))
            dash = DASHES[1] if colour == BAYES else "-"
            axes[0, column].plot(*line, color=colour, ls=dash, lw=1.4, label=f"{name} {area}")
        if not two:
            pens = looks(study.classes)
            found = _rest_curves(label, _first(drawn[0].outcome, rows), draw)
            for k, line in found.items():
                pen = pens[study.classes[k]]
                axes[1, column].plot(*line, color=pen.colour, ls=pen.dash, lw=1.2)
            head(axes[1, column], short(f"classes, {drawn[0].result.name}", 44))
        head(axes[0, column], short(f"{study.classes[-1]}" if two else "mean over classes", 44))
        for ax in axes[:, column]:
            _square(ax, x, y)
        axes[0, column].legend(loc="lower right" if draw is roc else "lower left")
    if not two:
        _class_legend(figure, study, drawn[0].result)
    kind = "" if two else " Top: mean over classes, each against the rest. Bottom: each class."
    return Picture("curves", f"ROC and precision-recall curves, with their areas.{kind}", figure)


def _models(study: Study, drawn: Sequence[Shown], metric: str, results: Results) -> Any:
    """Yield name, probabilities, colour and area of each model, and of the Bayes rule."""
    two, last = len(study.classes) == 2, len(study.classes) - 1
    for each in drawn:
        value = each.result.metrics[metric].interval.value
        value = each.result.classes[last].metrics[metric].value if two else value
        yield (
            short(each.result.name),
            _first(each.outcome, study.tested),
            each.colour,
            f"{value:.3f}",
        )
    for modalities, posterior in study.ceilings.items():
        if drawn and frozenset(modalities) == frozenset(drawn[0].outcome.modalities):
            p, label = np.asarray(posterior[study.tested], np.float64), study.label[study.tested]
            areas = CLASS_METRICS[metric](Ranked(label, p).under())[0]
            value = areas[last] if two else np.nanmean(areas)
            yield "Bayes", p, BAYES, f"{value:.3f}"


def _square(ax: Any, x: str, y: str) -> None:
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=x, ylabel=y, aspect="equal")


def _class_legend(figure: Any, study: Study, result: OutcomeResult) -> None:
    from matplotlib.lines import Line2D

    pens, handles, labels = looks(study.classes), [], []
    for each in result.classes:
        pen = pens[each.name]
        handles.append(Line2D([], [], color=pen.colour, ls=pen.dash))
        areas = (each.metrics[name].value for name in ("auroc", "auprc"))
        said = "  ".join("–" if np.isnan(area) else f"{area:.3f}" for area in areas)
        labels.append(f"{short(each.name, 18)}  {said}")
    figure.legend(
        handles, labels, loc="outside right lower", title="AUROC, AUPRC", alignment="left"
    )


def calibration(study: Study, results: Results) -> Picture | None:
    """Draw reliability before and after temperature scaling."""
    rows, label, drawn = study.tested, study.label[study.tested], shown(study, results)
    if not drawn:
        return None
    figure, axes = grid(1, 2, (WIDTH, 3.6))
    for ax, each in zip(axes[0], drawn, strict=False):
        ax.plot([0, 1], [0, 1], color=GREY, lw=0.8)
        pairs = (
            ("before", GREY, each.outcome.uncalibrated[0][rows], "s"),
            ("after", each.colour, _first(each.outcome, rows), "o"),
        )
        for name, colour, p, marker in pairs:
            top = p.max(1)
            bins = max(min(BINS, len(top) // PER_BIN), 1)
            found = reliability(p.argmax(1) == label, top, bins)
            error = METRICS["calibration_error"](label, p)
            ax.errorbar(
                *(found.probability, found.frequency, found.errors),
                **{"color": colour, "marker": marker, "ms": 4, "lw": 1.2, "elinewidth": 0.7},
                label=f"{name}: {error:.3f}",
            )
        _square(ax, "probability of the predicted class", "observed accuracy")
        ax.legend(loc="upper left")
        head(ax, short(each.result.name, 44))
    for ax in axes[0][len(drawn) :]:
        ax.set_visible(False)
    floor = drawn[0].result.floor
    caption = (
        "Reliability in bins with equally many samples, before and after temperature scaling, with "
        "the calibration error. Bars: 95 % intervals (Wilson). By chance alone, a perfectly "
        f"calibrated {short(drawn[0].result.name)} would have an error of {floor:.3f}."
    )
    return Picture("calibration", caption, figure)


def confusion(study: Study, results: Results) -> Picture | None:
    """Draw the confusion matrix of true and predicted classes."""
    drawn = shown(study, results)
    if not drawn:
        return None
    k = len(study.classes)
    figure, axes = grid(1, 2, (WIDTH, 1.6 + 0.36 * max(k, 5)))
    names = [short(name, 16) for name in study.classes]
    for ax, each in zip(axes[0], drawn, strict=False):
        counts = each.result.confusion
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        _heat(ax, shares, names, names, [[f"{n:,}" for n in row] for row in counts])
        ax.set(xlabel="predicted class", ylabel="true class")
        head(ax, short(each.result.name, 40))
    for ax in axes[0][len(drawn) :]:
        ax.set_visible(False)
    return Picture(
        "confusion", "Numbers of samples. Colour: share of the true class (row).", figure
    )


def _heat(
    ax: Any, values: NDArray[Any], rows: Sequence[str], columns: Sequence[str], texts: Any
) -> None:
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    size = 7 if len(columns) <= 6 and "\n" not in texts[0][0] else 5.5
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            colour = "white" if values[i, j] > 0.6 else INK
            ax.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)
    for side in ax.spines.values():
        side.set_visible(False)


def training(study: Study, results: Results) -> Picture | None:
    """Draw the training loss of the first main model, by stage, member and fold."""
    main = next((outcome for outcome in study.outcomes if outcome.main), None)
    folds = [] if main is None else [fold for fold in main.folds if fold.curve]
    if main is None or not folds:
        return None
    stages = list(dict.fromkeys(point.stage for fold in folds for point in fold.curve))
    columns = min(len(stages), 3)
    lines = -(-len(stages) // columns)
    figure, axes = grid(lines, columns, (max(3.0 * columns, 5.0) + 1.2, 0.5 + 2.5 * lines))
    pens = looks(fold.fold for fold in folds)
    for i, ax in enumerate(axes.flat):
        ax.set_visible(i < len(stages))
        for fold in folds if i < len(stages) else ():
            _learning(ax, [p for p in fold.curve if p.stage == stages[i]], pens[fold.fold].colour)
        if i < len(stages):
            head(ax, short(stages[i], 32))
            ax.set_ylabel("loss")
            by_epoch(ax)
    _folds_legend(figure, pens, [fold.fold for fold in folds])
    caption = (
        f"{main.name}, final fit of each fold (colour) and member. Dashed: training loss; solid: "
        "log loss on validation samples. The two may be different functions."
    )
    return Picture("training", caption, figure)


def _learning(ax: Any, points: Sequence[Any], colour: str) -> None:
    for member in dict.fromkeys(point.member for point in points):
        own = [point for point in points if point.member == member]
        epochs = [point.epoch for point in own]
        marker = "o" if len(own) == 1 else ""
        style: dict[str, Any] = {"color": colour, "lw": 1.0, "marker": marker, "ms": 3}
        ax.plot(epochs, [p.train_loss for p in own], ls=DASHES[1], alpha=0.6, **style)
        ax.plot(epochs, [p.valid_nll for p in own], **style)


def _folds_legend(figure: Any, pens: Any, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    several = list(dict.fromkeys(names))
    handles = [Line2D([], [], color=pens[name].colour) for name in several]
    handles += [Line2D([], [], color=INK, ls=dash) for dash in (DASHES[1], "-")]
    labels = [*(short(name, 18) for name in several), "training", "validation"]
    figure.legend(handles, labels, loc="outside right upper")


def clusters(study: Study, results: Results) -> Picture | None:
    """Draw the samples by two principal components of their values, and of their vectors."""
    if study.encoded is None or not results.silhouettes:
        return None
    rows, encoding = study.encoded
    main = next(row for row in results.outcomes if row.main)
    pens, whole = looks(study.classes), results.silhouettes[0]
    figure, axes = grid(1, 2, (WIDTH, 3.8))
    panels = (("input values of the model", whole.features), (main.name, whole.vectors))
    for ax, x, (name, silhouette) in zip(axes[0], encoding, panels, strict=True):
        points, shares = projected(x)
        for k, pen in enumerate(pens.values()):
            own = points[study.label[rows] == k]
            ax.scatter(*own.T, s=9, lw=0, color=pen.colour, marker=pen.marker, alpha=0.6)
        labels = [f"component {i + 1} ({share:.0%})" for i, share in enumerate(shares)]
        ax.set(xlabel=labels[0], ylabel=labels[1], xticks=[], yticks=[])
        head(ax, f"{short(name, 34)}  {silhouette.text(2)}")
    _marks_legend(figure, pens)
    caption = (
        f"{len(rows):,} samples held out in the first fold, by the first two principal components "
        f"of their input values (left) and of their vectors in {main.name} before its last layers "
        "(right), with the share of variance of each. Titles: mean silhouette in all dimensions, "
        f"with its 95 % interval over {results.unit_name}."
    )
    return Picture("clusters", caption, figure)


def _marks_legend(figure: Any, pens: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=pen.colour, marker=pen.marker, ls="", ms=5) for pen in pens.values()
    ]
    figure.legend(handles, [short(name, 18) for name in pens], loc="outside right upper")


def attention(study: Study, results: Results) -> Picture | None:
    """Draw attention of modality to modality, overall and in each class."""
    main = next((o for o in study.outcomes if o.main and o.attention is not None), None)
    if main is None or main.attention is None:
        return None
    panels = list(zip(("all classes", *study.classes), *main.attention, strict=True))
    m = len(main.modalities)
    # With more modalities, fewer panels per row leave room for a value and its interval in a cell.
    columns = min(len(panels), 3 if m <= 4 else 2)
    lines = -(-len(panels) // columns)
    figure, axes = grid(lines, columns, (WIDTH, lines * (1.3 + 0.3 * max(m, 4))))
    names = [short(name, 12) for name in main.modalities]
    for i, ax in enumerate(axes.flat):
        ax.set_visible(i < len(panels))
        if i < len(panels):
            name, *cells = panels[i]
            texts = [list(map(_with_ends, *row)) for row in zip(*cells, strict=True)]
            left = names if i % columns == 0 else [""] * m
            _heat(ax, np.nan_to_num(cells[0]), left, names, texts)
            head(ax, short(name, 22))
    caption = (
        f"{main.name}: mean attention of each modality (row) to each modality (column) over "
        f"held-out samples, with its 95 % interval over {results.unit_name}. Rows sum to 1; even "
        f"attention would be {1 / m:.2f}. Attention shows where information flows; it does not "
        "measure importance, for which see the attributions of the features."
    )
    return Picture("attention", caption, figure)


def _with_ends(value: float, low: float, high: float) -> str:
    """Return a share with its interval on the next line; empty if unknown."""
    if np.isnan(value):
        return ""
    return f"{value:.2f}" if np.isnan(low) else f"{value:.2f}\n{low:.2f}–{high:.2f}"
