"""The whole evaluation, from a shard and models to the folder of its report."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import numpy as np

from genomix_cli.comparison.metrics.binary import without_ties
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.learning.checkpoints import resolve_device
from genomix_cli.provenance import atomic_path
from genomix_cli.report.canvas import style
from genomix_cli.variants.evaluate.suite.baselines.base import BaselineTask
from genomix_cli.variants.evaluate.suite.controls import prior_scales, run_controls
from genomix_cli.variants.evaluate.suite.entrants import (
    Entrant,
    FloatArray,
    Model,
    open_models,
    score_baselines,
    score_columns,
    score_models,
)
from genomix_cli.variants.evaluate.suite.files import FORMAT, write_files
from genomix_cli.variants.evaluate.suite.measures import (
    MEASURES,
    Draws,
    Measure,
    Truth,
    interval,
)
from genomix_cli.variants.evaluate.suite.peaks import Peaks, call_peaks, read_peaks
from genomix_cli.variants.evaluate.suite.report import write_report
from genomix_cli.variants.evaluate.suite.request import SuiteRequest
from genomix_cli.variants.evaluate.suite.results import (
    Counts,
    EntrantResult,
    Metrics,
    StratumResult,
    Suite,
    SuiteResults,
    headline,
)
from genomix_cli.variants.evaluate.suite.strata import Stratification, named_groups, stratifications
from genomix_cli.variants.evaluate.suite.test_split import Parts, Rows, cut_parts

log = logging.getLogger("genomix")

# Draws of each stratum, of which there are many.
STRATUM_DRAWS = 200
# Below this many units intervals are rough.
FEW_UNITS = 10


def evaluate_suite(request: SuiteRequest) -> Suite:
    """Evaluate models on held-out variants of a shard, and write the report.

    Parameters
    ----------
    request : SuiteRequest

    Raises
    ------
    UsageError
        If the request makes no sense, or the output exists.
    DataError
        If a file cannot be read, a model learned from the test part or reads other tracks, or
        nothing can be told apart in the test part.
    MissingExtraError
        Without scikit-learn or matplotlib.
    """
    request.check()
    _check_output(request)
    with style():  # matplotlib is there, or the work would be for nothing
        pass
    shard = open_shard(request.shard)
    parts = cut_parts(shard, request)
    models = open_models(request, shard, resolve_device(request.device))
    suite = _evaluate(shard, parts, models, request)
    with atomic_path(request.output, force=request.force) as folder:
        folder.mkdir()
        write_files(suite, shard, request, folder)
        write_report(suite, request, folder / "report.html")
    log.info(headline(suite.results))
    return suite


def _check_output(request: SuiteRequest) -> None:
    """Before any work: the folder is not there, or is an earlier report that may go."""
    folder = request.output
    if not folder.exists():
        parent = folder.resolve().parent
        if not parent.is_dir():
            raise UsageError("no such folder", where=parent, hint="create it first")
        return
    if not request.force:
        raise UsageError("already exists", where=folder, hint="add --force to replace it")
    try:
        ours = json.loads((folder / "metrics.json").read_text()).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise UsageError("is not an evaluation, so --force does not replace it", where=folder)


def _evaluate(shard: Shard, parts: Parts, models: list[Model], request: SuiteRequest) -> Suite:
    truth = truth_of(shard, parts.test)
    main = _main_measure(truth, request, shard)
    peaks = read_peaks(request.peaks, shard) if request.peaks else call_peaks(shard, parts.train)
    notes = [*parts.notes]
    # What can fail for want of a file or a package comes first, what takes longest last.
    columns = [*score_columns(request, shard, parts.test)]
    baselines = [*score_baselines(*_baselines(shard, parts, peaks, main, request, notes))]
    scored = score_models(models, parts.test, truth.has_labels)
    entrants = [*scored, *baselines, *columns]
    draws = Draws(truth, request.draws, request.seed)
    if request.draws and draws.n_units < FEW_UNITS:
        notes.append(f"only {draws.n_units} {draws.kind} to draw: the intervals are rough")
    for note in notes:
        log.warning(note)
    compared = tuple(_compare(entrants, truth, draws))
    first = entrants[0]
    seed = request.seed
    controls = run_controls(models[0], parts.test, first.score, truth, main, seed, request.draws)
    results = SuiteResults(
        main=main,
        counts=_counts(truth, parts),
        contigs=tuple(np.array(list(shard.contigs))[np.unique(truth.contig)].tolist()),
        units=draws.kind,
        n_units=draws.n_units,
        draws=request.draws,
        entrants=compared,
        ceiling=_ceiling(truth, draws, seed),
        strata=(),
        groups=(),
        controls=tuple(controls),
        scales=prior_scales(models[0].loaded.module),
        notes=tuple(notes),
    )
    results = _with_strata(results, shard, parts, entrants, truth, peaks, request)
    return Suite(results, tuple(entrants), truth, parts.test)


def truth_of(shard: Shard, rows: Rows) -> Truth:
    """Columns of the variant table."""
    table = shard.variants
    return Truth(
        table.contig[rows].astype(np.int64),
        table.pos[rows],
        table.label[rows].astype(np.float64),
        table.effect[rows].astype(np.float64),
        table.group[rows].astype(np.int64),
        table.probability[rows].astype(np.float64),
    )


def _main_measure(truth: Truth, request: SuiteRequest, shard: Shard) -> str:
    """AUROC where there are both labels, else the correlation of ranks with the effect."""
    if truth.has_labels:
        return "auroc"
    if truth.has_effects:
        return "spearman" if request.effect == "signed" else "spearman_absolute"
    known = np.isfinite(truth.label)
    positives = int((truth.label[known] > 0.5).sum())
    raise DataError(
        "the test part has nothing to tell apart",
        where=shard.path.name,
        expected="positives and negatives, or effects that differ",
        found=f"{positives:,} positives of {int(known.sum()):,} labels",
        hint="choose another part with --test-contigs",
    )


def _baselines(
    shard: Shard,
    parts: Parts,
    peaks: Peaks | None,
    main: str,
    request: SuiteRequest,
    notes: list[str],
) -> tuple[tuple[str, ...], BaselineTask]:
    """The baselines that can be had, and what they learn from; what is left out is noted."""
    table, is_label = shard.variants, MEASURES[main].target == "label"
    target = table.label if is_label else table.effect
    target = np.abs(target) if main == "spearman_absolute" else target
    known = np.isfinite(target)
    train, valid = (rows[known[rows]] for rows in (parts.train, parts.valid))
    task = BaselineTask(
        shard, train, valid, parts.test, target.astype(np.float64), is_label, peaks, request.seed
    )
    left_out = set()
    if len(np.unique(target[train])) < 2:
        left_out |= set(request.baselines) - {"nearest-peak"}
    if peaks is None:
        left_out.add("nearest-peak")
    if not shard.modalities:
        left_out.add("tracks")
    kept = tuple(name for name in request.baselines if name not in left_out)
    missing = [name for name in request.baselines if name in left_out]
    if missing:
        notes.append(f"without {', '.join(missing)}: there is nothing they could learn or read")
    return kept, task


def _usable(name: str, measure: Measure, truth: Truth) -> bool:
    has = truth.has_labels if measure.target == "label" else truth.has_effects
    return has and not (name == "ranking_accuracy" and len(np.unique(truth.group)) == 1)


def _compare(entrants: list[Entrant], truth: Truth, draws: Draws) -> Iterator[EntrantResult]:
    """Every metric of every entrant, and the first model's less it under the same draws."""
    measures = {name: m for name, m in MEASURES.items() if _usable(name, m, truth)}
    first = entrants[0]
    own: dict[str, FloatArray] = {}
    for entrant in entrants:
        metrics: Metrics = {}
        difference: Metrics = {}
        for name, measure in measures.items():
            score = entrant.probability if measure.of_probability else entrant.score
            if score is None:
                continue
            found = draws.replicates(measure, score)
            metrics[name] = interval(found)
            if entrant is first:
                own[name] = found
            elif name in own:
                theirs = own[name]
                if entrant.missing:
                    chosen = first.probability if measure.of_probability else first.score
                    assert chosen is not None
                    theirs = draws.replicates(measure, chosen, np.isfinite(score))
                difference[name] = interval(theirs - found)
        n = len(entrant.score) - entrant.missing
        yield EntrantResult(
            entrant.name, entrant.kind, entrant.note, entrant.seconds, n, metrics, difference
        )


def _ceiling(truth: Truth, draws: Draws, seed: int) -> Metrics:
    """Of the true probabilities, where every labelled variant has one."""
    known = np.isfinite(truth.label)
    if not truth.has_labels or not np.isfinite(truth.probability[known]).all():
        return {}
    # AUPRC lets equal scores enter together, which a coin among them would not reach.
    coin = without_ties(truth.probability, np.random.default_rng(seed))
    scores = {"auprc": coin}
    return {
        name: interval(draws.replicates(measure, scores.get(name, truth.probability)))
        for name, measure in MEASURES.items()
        if measure.target == "label" and _usable(name, measure, truth)
    }


def _counts(truth: Truth, parts: Parts) -> Counts:
    known = np.isfinite(truth.label)
    return Counts(
        variants=len(truth.pos),
        labelled=int(known.sum()),
        positives=int((truth.label[known] > 0.5).sum()),
        effects=int(np.isfinite(truth.effect).sum()),
        trained_on=len(parts.train),
        tuned_on=len(parts.valid),
    )


def _with_strata(
    results: SuiteResults,
    shard: Shard,
    parts: Parts,
    entrants: list[Entrant],
    truth: Truth,
    peaks: Peaks | None,
    request: SuiteRequest,
) -> SuiteResults:
    """The strata of the models and of their best rival, and the named groups."""
    rival = results.best_rival
    shown = [e for e in entrants if e.kind == "model" or (rival and e.name == rival.name)]
    draws = min(request.draws, STRATUM_DRAWS)
    names = ("auroc", "auprc") if results.main == "auroc" else ("spearman_absolute", "spearman")
    strata = [
        stratum
        for found in stratifications(shard, parts.test, peaks)
        for stratum in _strata(found, names, shown, truth, draws, request.seed)
    ]
    groups = named_groups(shard, parts.test)
    correlations = ("pearson", "pearson_absolute", "spearman_absolute")
    of_groups = names if results.main == "auroc" and not truth.has_effects else correlations
    found = [] if groups is None else _strata(groups, of_groups, shown, truth, 0, request.seed)
    return SuiteResults(**{**results.__dict__, "strata": tuple(strata), "groups": tuple(found)})


def _strata(
    found: Stratification,
    names: tuple[str, ...],
    shown: list[Entrant],
    truth: Truth,
    draws: int,
    seed: int,
) -> Iterator[StratumResult]:
    """Figures of each stratum that has variants."""
    for index, name in enumerate(found.names):
        inside = found.member == index
        if not inside.any():
            continue
        own = truth.select(inside)
        positives = int((own.label[np.isfinite(own.label)] > 0.5).sum())
        measures = {n: MEASURES[n] for n in names if _usable(n, MEASURES[n], own)}
        drawn = Draws(own, draws, seed)
        metrics = {
            entrant.name: {
                n: interval(drawn.replicates(measure, entrant.score[inside]))
                for n, measure in measures.items()
            }
            for entrant in shown
            if measures
        }
        yield StratumResult(found.title, name, int(inside.sum()), positives, metrics)
