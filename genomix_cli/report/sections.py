"""The tables of the report, as HTML.

Letters: K classes, M modalities.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.study import Study
from genomix_cli.comparison.summaries import OutcomeResult, Results
from genomix_cli.comparison.words import BEATS, BELOW

# Metrics of the first table, beside the main one.
FIRST = ("accuracy", "macro_f1", "auroc", "nll")
FEATURES = 30
# Tables with more columns than this are set smaller.
TIGHT = 12
# What the columns of the table of everything are called.
HEADS = {name: metric.title for name, metric in METRICS.items()}
# Weighted recall is accuracy.
ALL = [name for name in METRICS if name != "weighted_recall"]
TITLES = [HEADS[name] for name in ALL]


class Html(str):
    """Text that is markup already."""


def cell(value: Any) -> str:
    """A cell of a table: text at the left, numbers at the right, nothing as a dash."""
    if isinstance(value, Html):
        return f"<td>{value}</td>"
    if isinstance(value, str):
        return f'<td class="text">{html.escape(value)}</td>'
    return f"<td>{number(value)}</td>"


def number(value: Any) -> str:
    """A number to three digits behind the point; a count with its thousands."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return f"{value:.1e}" if 0 < abs(value) < 5e-4 else f"{value:.3f}"


def interval(value: Interval | None, sign: bool = False) -> Html:
    """A value over its interval."""
    if value is None or np.isnan(value.value):
        return Html("–")
    first, _, rest = value.text(sign=sign).partition(" ")
    return Html(f"{first}<br><small>{rest}</small>" if rest else first)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], marked: Iterable[int] = ()) -> str:
    """A table; `marked` rows stand out."""
    strong, rows = set(marked), [list(row) for row in rows]
    texts = [any(_is_text(row[i]) for row in rows) for i in range(len(columns))]
    header = "".join(
        f"<th{_class('text' * text)}>{html.escape(name)}</th>"
        for name, text in zip(columns, texts, strict=True)
    )
    body = "".join(
        f"<tr{_class('main' * (i in strong))}>{''.join(map(cell, row))}</tr>\n"
        for i, row in enumerate(rows)
    )
    kind = _class("tight" * (len(columns) > TIGHT))
    return (
        f'<div class="wide"><table{kind}><thead><tr>{header}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>\n"
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Html)


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def paragraph(text: str) -> str:
    """A paragraph of explanation."""
    return f'<p class="note">{html.escape(text)}</p>\n'


def verdict(row: OutcomeResult, results: Results) -> Html:
    """What is said of a model beside its difference."""
    if row.against_best is None:
        return Html("best baseline" if row.name == results.best else "–")
    kind = {BEATS: "good", BELOW: "bad"}.get(row.against_best.verdict, "level")
    return Html(f'<span class="{kind}">{row.against_best.verdict}</span>')


def _marked(results: Results) -> list[int]:
    return [i for i, row in enumerate(results.outcomes) if row.main]


def models(study: Study, results: Results) -> str:
    """The table of models."""
    several = len({row.modalities for row in results.outcomes}) > 1
    seeds = len(results.seeds) > 1
    names = list(dict.fromkeys((results.metric, *FIRST)))
    columns = ["model", *(["saw"] if several else []), *(HEADS[name] for name in names)]
    if results.best is not None:
        columns += [f"{HEADS[results.metric]} less best baseline", "verdict"]
    columns += [f"{HEADS[results.metric]}, seeds"] if seeds else []
    columns += ["trials a fold", "seconds a fit", "parameters"]

    def row(outcome: OutcomeResult) -> list[Any]:
        cells: list[Any] = [outcome.name, *([" + ".join(outcome.modalities)] if several else [])]
        cells += [interval(outcome.metrics[name].interval) for name in names]
        if results.best is not None:
            against = outcome.against_best
            cells += [interval(against.differences[results.metric] if against else None, sign=True)]
            cells += [verdict(outcome, results)]
        score = outcome.metrics[results.metric]
        cells += [Html(f"{score.seed_mean:.3f} ± {score.seed_sd:.3f}")] if seeds else []
        return [*cells, outcome.trials, _seconds(outcome.seconds), outcome.parameters]

    return table(columns, map(row, results.outcomes), _marked(results)) + paragraph(
        _legend(results)
    )


def _seconds(value: float) -> Html:
    return Html("–" if np.isnan(value) else f"{value:.2f}" if value < 10 else f"{value:,.0f}")


def _legend(results: Results) -> str:
    text = (
        f"Brackets: 95 % interval of {results.draws:,} bootstrap draws of "
        f"{results.units:,} {results.unit_name} ({results.samples:,} samples held out), seed "
        f"{results.seeds[0]}; differences are paired. "
    )
    if len(results.seeds) > 1:
        text += f"± is the SD over {len(results.seeds)} seeds, apart from that. "
    if results.best is not None:
        text += (
            f"The best baseline is the one with the best {HEADS[results.metric]} on these same "
            "samples, which flatters it: the comparison is conservative. “Beats” and “below” stand "
            "only where the interval excludes 0; they are not corrected for the number of rows. "
        )
    return text + "Trials: configurations tried in each outer fold, the same folds for all."


def everything(study: Study, results: Results) -> str:
    """Every metric of every model, and its difference to the best baseline."""
    rows, apart = [], []
    for outcome in results.outcomes:
        rows.append([outcome.name, *(interval(outcome.metrics[name].interval) for name in ALL)])
        if outcome.against_best is not None:
            found = outcome.against_best.differences
            apart.append([outcome.name, *(interval(found[name], sign=True) for name in ALL)])
    text = table(["model", *TITLES], rows, _marked(results))
    if apart:
        text += f"<h3>less the best baseline, {html.escape(results.best or '')}</h3>\n"
        text += table(["model", *TITLES], apart)
    if len(results.seeds) > 1:
        text += "<h3>mean ± SD over seeds</h3>\n"
        text += table(["model", *TITLES], map(_over_seeds, results.outcomes))
    return text + paragraph(
        "Macro: plain mean over classes; weighted: by their samples (weighted recall is accuracy). "
        "AUROC and AUPRC: mean of each class against the rest. Brier score: summed over classes, 0 "
        "to 2. Calibration error: of the predicted class, 15 bins of equal mass; noise alone makes "
        "it larger than 0. Less is "
        "better of log loss, Brier score and calibration error."
    )


def _over_seeds(row: OutcomeResult) -> list[Any]:
    scores = [row.metrics[name] for name in ALL]
    return [
        row.name,
        *(Html(f"{s.seed_mean:.3f}<br><small>± {s.seed_sd:.3f}</small>") for s in scores),
    ]


def ceilings(study: Study, results: Results) -> str:
    """Models against the Bayes rule of what they saw."""
    rows = [
        [
            outcome.name,
            " + ".join(outcome.ceiling.modalities),
            interval(outcome.ceiling.accuracy),
            interval(outcome.ceiling.accuracy_gap, sign=True),
            interval(outcome.ceiling.nll),
            interval(outcome.ceiling.nll_gap, sign=True),
            Html('<span class="bad">leak</span>' if outcome.ceiling.leak else "no"),
        ]
        for outcome in results.outcomes
        if outcome.ceiling is not None
    ]
    if not rows:
        return ""
    columns = ("model", "saw", "Bayes accuracy", "model less Bayes")
    columns += ("Bayes log loss", "model less Bayes", "above it")  # type: ignore[assignment]
    return table(columns, rows) + paragraph(
        "The cohort is simulated, so the best that anyone can do with these modalities is known. A "
        "model above it by more than chance allows (2.5 % over all rows together) has found a leak."
    )


def classes(study: Study, results: Results) -> str:
    """The classes, as the first main model and the best baseline see them."""
    text = ""
    for row in _two(results):
        rows = []
        for each in row.classes:
            found = (interval(value) for value in each.metrics.values())
            rows.append([each.name, each.support, *found, interval(each.coverage)])
        columns = ("class", "samples", "precision", "recall", "F1", "AUROC", "AUPRC", "coverage")
        text += f"<h3>{html.escape(row.name)}</h3>\n" + table(columns, rows)
    return text + paragraph(
        f"Coverage: share of a class's samples whose prediction set holds it; "
        f"{study.level:.0%} is promised (Wilson's interval)."
    )


def _two(results: Results) -> list[OutcomeResult]:
    main = [row for row in results.outcomes if row.main][:1]
    return main + [row for row in results.outcomes if row.name == results.best and not row.main]


def sets(study: Study, results: Results) -> str:
    """Prediction sets of every model."""
    rows = [
        [row.name, interval(s.coverage), s.size, s.singletons, s.empty]
        for row in results.outcomes
        for s in (row.sets,)
    ]
    columns = ("model", "coverage", "classes in a set", "sets of one class", "empty sets")
    return table(columns, rows, _marked(results)) + paragraph(
        f"Conformal prediction sets that are to hold the right class of {study.level:.0%} of the "
        "samples of every class. A sample whose set is empty, or has several classes, is one to "
        "abstain from."
    )


def control(study: Study, results: Results) -> str:
    """Models that learned from shuffled labels."""
    rows = [
        [
            row.name,
            interval(c.accuracy),
            c.majority,
            interval(c.balanced_accuracy),
            c.chance,
            Html('<span class="bad">yes</span>' if c.above else "no"),
        ]
        for row in results.outcomes
        for c in (row.shuffled,)
        if c is not None
    ]
    if not rows:
        return ""
    columns = ("model", "accuracy", "largest class", "balanced accuracy", "chance", "above chance")
    return table(columns, rows) + paragraph(
        "All labels dealt anew among the samples, and everything repeated: no better than chance, "
        "or the labels reach the model some other way."
    )


def features(study: Study, results: Results) -> str:
    """The features that matter most to the first main model."""
    if not study.importances:
        return ""
    top = study.importances[:FEATURES]
    known = any(each.driver is not None for each in top)
    largest = max((each.importance for each in top), default=0) or 1
    rows = []
    for i, each in enumerate(top):
        width = 7 * each.importance / largest
        bar = f'<span class="scale"><span class="bar" style="width:{width:.2f}rem"></span></span>'
        row = [Html(str(i + 1)), each.modality, each.feature, each.importance, Html(bar)]
        rows.append([*row, "driver" if each.driver else ""] if known else row)
    columns = ["", "modality", "feature", "importance", "", *(["simulated as"] if known else [])]
    text = table(columns, rows) + paragraph(
        "Mean absolute Integrated Gradients over held-out samples of the first fold, in logits of "
        f"the predicted class; the first {len(top)} of {len(study.importances):,} features."
    )
    if study.driver_auprc:
        shares = [(m, *pair) for m, pair in study.driver_auprc.items()]
        text += table(("modality", "AUPRC of attributions", "share of drivers (chance)"), shares)
    return text


def folds(study: Study, results: Results) -> str:
    """What was chosen, fold by fold, for the models that are shown in full."""
    tested = {fold: int((study.fold == fold).sum()) for fold in dict.fromkeys(study.fold) if fold}
    wanted, text = {row.name for row in _two(results)}, ""
    for outcome in study.outcomes:
        if outcome.name not in wanted:
            continue
        rows = [
            [
                *(fit.fold, tested.get(fit.fold, 0), fit.tuning_nll, fit.temperature),
                *(_seconds(fit.seconds), fit.converged),
                ", ".join(f"{key} {_said(value)}" for key, value in fit.chosen.items()),
            ]
            for fit in outcome.folds
        ]
        columns = ("fold", "samples", "log loss, tuning", "temperature", "seconds", "converged")
        text += f"<h3>{html.escape(outcome.name)}</h3>\n" + table((*columns, "chosen"), rows)
    return text


def settings(study: Study, results: Results) -> str:
    """The settings of the request."""
    plain = {
        "held out by": study.held_out_by,
        "calibration": study.calibration,
        "sets are to cover": f"{study.level:.0%}",
        "seeds": ", ".join(map(str, study.seeds)),
        **study.settings,
    }
    return table(("setting", "value"), [(str(k), _said(v)) for k, v in plain.items()])


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_said, value))
    return "–" if value is None else str(value)


def data(study: Study, results: Results) -> str:
    """How many samples of each class were tested."""
    rows = [
        (
            name,
            int((study.label == k).sum()),
            results.counts[k],
            results.counts[k] / results.samples,
        )
        for k, name in enumerate(study.classes)
    ]
    return table(("class", "samples with a label", "tested", "share of tested"), rows)
