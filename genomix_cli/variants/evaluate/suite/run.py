"""Evaluation from a shard and models to the folder of its report."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from genomix_cli.comparison.bootstrap import few_units
from genomix_cli.comparison.intervals import FloatArray, interval_of
from genomix_cli.comparison.metrics.binary import without_ties
from genomix_cli.errors import DataError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.learning.devices import resolve_device
from genomix_cli.outputs import atomic_path, check_folder
from genomix_cli.report.canvas import style
from genomix_cli.variants.evaluate.suite.baselines.base import BaselineTask
from genomix_cli.variants.evaluate.suite.controls import run_controls
from genomix_cli.variants.evaluate.suite.entrants import (
    Entrant,
    Model,
    open_models,
    score_baselines,
    score_columns,
    score_models,
)
from genomix_cli.variants.evaluate.suite.files import FORMAT, provenance, write_files
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Judge, Truth, shown_measures
from genomix_cli.variants.evaluate.suite.multiqc import write_multiqc
from genomix_cli.variants.evaluate.suite.peaks import Peaks, call_peaks, read_peaks
from genomix_cli.variants.evaluate.suite.report import write_report
from genomix_cli.variants.evaluate.suite.results import (
    Counts,
    EntrantResult,
    Metrics,
    StratumResult,
    Suite,
    SuiteResults,
    headline,
)
from genomix_cli.variants.evaluate.suite.split import Rows, Split, split_rows
from genomix_cli.variants.evaluate.suite.stack import (
    Stack,
    compare_with_members,
    refuse_nothing_to_learn,
    stack,
)
from genomix_cli.variants.evaluate.suite.strata import Stratification, named_groups, stratifications
from genomix_cli.variants.requests.evaluate import SuiteRequest
from genomix_cli.variants.score.tags import DEMONSTRATION

log = logging.getLogger("genomix")

# Bootstrap draws per stratum, few because there are many strata.
STRATUM_DRAWS = 200
# Fewer resampling units than this give rough intervals.
FEW_UNITS = 10


def evaluate_suite(request: SuiteRequest) -> Suite:
    """Evaluate models on held-out variants of a shard, and write the report.

    Parameters
    ----------
    request : SuiteRequest

    Raises
    ------
    UsageError
        If the request is invalid, or the output exists.
    DataError
        If a file cannot be read, a model learned from the test part or reads other tracks, or no
        metric is defined on the test part.
    MissingExtraError
        If scikit-learn or matplotlib is not installed.
    """
    request.check()
    check_folder(request.output, "metrics.json", FORMAT, "an evaluation", force=request.force)
    with style():  # fail early if matplotlib is missing
        pass
    shard = open_shard(request.shard)
    split = split_rows(shard, request)
    models = open_models(request, shard, resolve_device(request.device))
    suite = _evaluate(shard, split, models, request)
    with atomic_path(request.output, force=request.force) as folder:
        folder.mkdir()
        made = provenance(suite.results, request)
        write_files(suite, shard, made, folder)
        write_report(suite, request, made, folder / "report.html")
        write_multiqc(suite.results, request.shard.stem, folder)
    log.info(headline(suite.results))
    return suite


def _evaluate(shard: Shard, split: Split, models: list[Model], request: SuiteRequest) -> Suite:
    truth = truth_of(shard, split.test)
    main = _main_measure(truth, request, shard)
    peaks = read_peaks(request.peaks, shard) if request.peaks else call_peaks(shard, split.train)
    demonstrations = [m.name for m in models if m.loaded.config.demonstration]
    notes = [*split.notes, *(f"{name}: {DEMONSTRATION}" for name in demonstrations)]
    # Entrants that may lack a file or a package come first, to fail early; the slowest come last.
    task = _baseline_task(shard, split, peaks, main, request.seed)
    if request.stack:
        refuse_nothing_to_learn(task, models[0].name)
    columns = [*score_columns(request, task)]
    baselines = [*score_baselines(request.baselines, task, notes)]
    entrants = [*score_models(models, split.test, truth.has_labels), *baselines, *columns]
    made = _stack(models[0], entrants[0], columns, task) if request.stack else None
    entrants += [made.entrant] if made else []
    judge = Judge.of(truth, request.draws, request.seed)
    n_units = judge.bootstrap.n_units
    if request.draws and (few := few_units(n_units, judge.unit_name, FEW_UNITS)):
        notes.append(few)
    for note in notes:
        log.warning(note)
    compared = tuple(_compare(entrants, judge))
    score, seed = entrants[0].score, request.seed
    controls = run_controls(models[0], split.test, score, truth, main, seed, request.draws)
    results = SuiteResults(
        main=main,
        counts=_counts(truth, split),
        contigs=tuple(np.array(list(shard.contigs))[np.unique(truth.contig)].tolist()),
        units=judge.unit_name,
        n_units=n_units,
        draws=request.draws,
        entrants=compared,
        ceiling=_ceiling(judge, seed),
        strata=(),
        groups=(),
        controls=tuple(controls),
        scales=models[0].loaded.module.prior_scales(),
        notes=tuple(notes),
        stack=compare_with_members(made, judge, main) if made else None,
    )
    suite = Suite(results, tuple(entrants), truth, split.test)
    return _with_strata(suite, shard, peaks, request)


def _stack(model: Model, first: Entrant, columns: list[Entrant], task: BaselineTask) -> Stack:
    """Return the stack of the first model and the columns, fitted on the validation part."""
    valid = model.logits(task.valid, f"scoring with {model.name}, for the stack")
    return stack([replace(first, valid=valid), *columns], task)


def truth_of(shard: Shard, rows: Rows) -> Truth:
    """Return the labels and effects of rows of the variant table."""
    columns = {name: getattr(shard.variants, name)[rows] for name in Truth.__dataclass_fields__}
    kinds = {"f": np.float64, "i": np.int64}
    return Truth(**{name: x.astype(kinds[x.dtype.kind]) for name, x in columns.items()})


def _main_measure(truth: Truth, request: SuiteRequest, shard: Shard) -> str:
    """Return AUROC if both labels occur, otherwise Spearman's correlation with the effect."""
    if truth.has_labels:
        return "auroc"
    if truth.has_effects:
        return "spearman" if request.effect == "signed" else "spearman_absolute"
    known = np.isfinite(truth.label)
    positives = int((truth.label[known] > 0.5).sum())
    raise DataError(
        "the labels of the test part do not differ",
        where=shard.path.name,
        expected="positives and negatives, or effects that differ",
        found=f"{positives:,} positives of {int(known.sum()):,} labels",
        hint="choose another part with --test-contigs",
    )


def _baseline_task(
    shard: Shard, split: Split, peaks: Peaks | None, main: str, seed: int
) -> BaselineTask:
    measure = MEASURES[main]
    target = measure.truth(truth_of(shard, np.arange(len(shard.variants.pos))))
    known = np.isfinite(target)
    train, valid = (rows[known[rows]] for rows in (split.train, split.valid))
    is_label = measure.target == "label"
    return BaselineTask(shard, train, valid, split.test, target, is_label, peaks, seed)


def _compare(entrants: list[Entrant], judge: Judge) -> Iterator[EntrantResult]:
    """Yield all metrics of each entrant, and the differences from the first model, paired."""
    measures = {name: m for name, m in MEASURES.items() if m.is_defined(judge.truth)}
    first = entrants[0]
    of_first: dict[str, FloatArray] = {}
    for entrant in entrants:
        metrics: Metrics = {}
        difference: Metrics = {}
        for name, measure in measures.items():
            score = entrant.score_for(measure)
            if score is None:
                continue
            replicates = judge.replicates(measure, score)
            metrics[name] = interval_of(replicates)
            if entrant is first:
                of_first[name] = replicates
            elif name in of_first:
                theirs = of_first[name]
                if entrant.missing:
                    # Compare only on variants that both have scored.
                    own = first.score_for(measure)
                    assert own is not None
                    theirs = judge.replicates(measure, own, np.isfinite(score))
                difference[name] = interval_of(theirs - replicates)
        n = len(entrant.score) - entrant.missing
        about = entrant.name, entrant.kind, entrant.note
        last = entrant.description, entrant.parameters
        yield EntrantResult(*about, n, metrics, difference, *last)


def _ceiling(judge: Judge, seed: int) -> Metrics:
    """Return metrics of the true probabilities, if every labelled variant has one."""
    truth = judge.truth
    known = np.isfinite(truth.label)
    if not truth.has_labels or not np.isfinite(truth.probability[known]).all():
        return {}
    # AUPRC enters tied scores together, which understates the ceiling: break ties at random.
    coin = without_ties(truth.probability, np.random.default_rng(seed))
    scores = {"auprc": coin}
    return {
        name: judge.interval(measure, scores.get(name, truth.probability))
        for name, measure in MEASURES.items()
        if measure.target == "label" and measure.is_defined(truth)
    }


def _counts(truth: Truth, split: Split) -> Counts:
    known = np.isfinite(truth.label)
    return Counts(
        variants=len(truth.pos),
        labelled=int(known.sum()),
        positives=int((truth.label[known] > 0.5).sum()),
        effects=int(np.isfinite(truth.effect).sum()),
        trained_on=len(split.train),
        tuned_on=len(split.valid),
    )


def _with_strata(suite: Suite, shard: Shard, peaks: Peaks | None, request: SuiteRequest) -> Suite:
    """Add the results of the models and their best rival by stratum and by named group."""
    results, truth, rows = suite.results, suite.truth, suite.rows
    rival = results.best_rival
    shown = [e for e in suite.entrants if e.kind == "model" or (rival and e.name == rival.name)]
    names = shown_measures(results.main)

    def metrics_in(
        each: Stratification, names: tuple[str, ...], draws: int
    ) -> Iterator[StratumResult]:
        for index, name in enumerate(each.names):
            inside = each.member == index
            if not inside.any():
                continue
            own = truth.select(inside)
            positives = int((own.label[np.isfinite(own.label)] > 0.5).sum())
            measures = {n: MEASURES[n] for n in names if MEASURES[n].is_defined(own)}
            judge = Judge.of(own, draws, request.seed)
            metrics = {
                e.name: {n: judge.interval(m, e.score[inside]) for n, m in measures.items()}
                for e in shown
                if measures
            }
            yield StratumResult(each.title, name, int(inside.sum()), positives, metrics)

    draws = min(request.draws, STRATUM_DRAWS)
    divisions = stratifications(shard, rows, peaks)
    strata = [stratum for each in divisions for stratum in metrics_in(each, names, draws)]
    groups = named_groups(shard, rows)
    correlations = ("pearson", "pearson_absolute", "spearman_absolute")
    of_groups = correlations if truth.has_effects else names
    named = () if groups is None else metrics_in(groups, of_groups, 0)
    return replace(suite, results=replace(results, strata=tuple(strata), groups=tuple(named)))
