"""Train a model of a cohort with its baselines, and judge all of them on held-out samples."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Floats, Samples, read_samples
from genomix_cli.cohorts.models.base import CohortModel
from genomix_cli.cohorts.models.preprocessing import fit_preprocessor
from genomix_cli.cohorts.requests import TrainRequest
from genomix_cli.cohorts.runs import RunConfig, save_run
from genomix_cli.cohorts.train.batches import (
    TITLE,
    batch_effect,
    batch_folds,
    keeps_batches,
    whole_batches,
)
from genomix_cli.cohorts.train.entrants import check, entrants_of
from genomix_cli.cohorts.train.holdout import FOLDS, hold_out
from genomix_cli.comparison.contest import Contest
from genomix_cli.comparison.entrants import TABLES, Entrant, require
from genomix_cli.comparison.protocol import Trained
from genomix_cli.comparison.results import results
from genomix_cli.comparison.splits import NO_ROWS, Split, check_classes
from genomix_cli.comparison.study import Importance, Study, Wording
from genomix_cli.comparison.summaries import BatchCheck, Results
from genomix_cli.comparison.words import count, with_batches
from genomix_cli.config import to_dict
from genomix_cli.errors import DataError, MissingExtraError, UsageError
from genomix_cli.formats.cohort import Cohort, open_cohort
from genomix_cli.formats.run_folder import PARTS, RunFolder
from genomix_cli.formats.seen import Seen
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.processes import first_process, own_folder
from genomix_cli.provenance import Provenance, settings_of

log = logging.getLogger("genomix")

WORDING = Wording(
    units="patients",
    about="Imputation, scaling and selection are part of it. A sample may lack values or whole "
    "modalities.",
    data="cohort.h5mu",
    answer="A row per sample: the probability of each class (`p:<class>`), the most probable one, "
    "the prediction set, and whether to abstain.",
)
# Number of samples whose attributions are averaged for the feature table.
EXPLAINED = 200


@dataclass(frozen=True)
class CohortContest(Contest[Samples]):
    """A contest of models of a cohort.

    Attributes
    ----------
    request : TrainRequest
    drivers : mapping of str to collection of str
        Planted drivers of each modality of a simulated cohort.
    """

    request: TrainRequest
    drivers: Mapping[str, Collection[str]]
    fold_title: ClassVar[str] = "fold %s"

    def final_split(self) -> Split:
        """Return a split that trains on all samples; inner folds tune and calibrate."""
        return Split("", np.arange(len(self.data)), NO_ROWS, NO_ROWS)

    def importances(self, test: Samples, trained: Trained[Samples]) -> tuple[Importance, ...]:
        """Return mean absolute attributions over held-out samples, if the model has a gradient."""
        from genomix_cli.cohorts.explain.samples import feature_importance

        model = trained.models[0]
        assert isinstance(model, CohortModel)
        seen = test.only([modality.name for modality in model.modalities])
        try:
            some = seen.take(np.arange(min(EXPLAINED, len(test))))
            return feature_importance(model, some, self.drivers)
        except NotImplementedError:
            pass
        except MissingExtraError as error:
            log.warning("no attributions in the report: %s", error)
        return ()

    def save(self, entrant: Entrant[Samples], trained: Trained[Samples], split: Split) -> None:
        """Store the model for ``genomix score``, and the samples of `split` that it has seen."""
        model = trained.models[0]
        assert isinstance(model, CohortModel)
        n_classes = len(self.data.classes)
        config = RunConfig(
            model=entrant.model,
            arch=to_dict(model.config),
            modalities=model.modalities,
            classes=model.classes,
            counts=tuple(map(int, np.bincount(self.data.label[split.train], minlength=n_classes))),
            calibrations=trained.calibrations,
            level=self.rules.level,
            calibration=self.rules.calibration,
            provenance=_provenance(self.request).to_dict(),
        )
        samples = self.data.only([modality.name for modality in model.modalities])
        seen = Seen.of(samples.items(), split.train, split.valid)
        training = fit_preprocessor(samples.take(split.train))
        save_run(self.request.output, model, config, seen, training)


def train_cohort(request: TrainRequest) -> Results:
    """Tune, train and judge the models, and write the run folder.

    The folder holds ``config.json`` and ``model.safetensors`` (read by `score`), ``metrics.json``
    and ``models.tsv``, ``predictions.parquet`` (of held-out samples), ``report.html``,
    ``README.md`` (the model card), ``*_mqc.json`` (for MultiQC), ``timing.json`` and ``train.json``
    (the request). Only the report, ``models.tsv`` and the last two contain times.

    Returns
    -------
    Results
        Contents of ``metrics.json``.

    Raises
    ------
    UsageError
        If a model, preset, field, modality or fold does not exist, or the folder is in use.
    DataError
        If the cohort has no labels, or too few samples of a class.
    MissingExtraError
        If pyarrow or, for networks, Lightning is not installed.
    """
    from genomix_cli.cohorts.explain.attribution import driver_auprc, planted_drivers
    from genomix_cli.report.outputs import stored_results, write_outputs

    check(request.contest)
    if request.repeats > 1 and len(request.rules.seeds) > 1:
        raise UsageError(
            "each repeat already has its own seed", where="--seeds", expected="1 with --repeats"
        )
    require(TABLES)
    with open_cohort(request.cohort) as cohort:
        samples, rows = _labelled(cohort, request)
        entrants = entrants_of(request.contest, samples)
        how = (request.hold_out, request.folds, request.seed, request.repeats)
        by, splits = hold_out(cohort, samples, rows, *how)
        ceilings = _ceilings(cohort, samples, rows, entrants)
        effect = batch_effect(cohort)
        drivers = planted_drivers(cohort)
    settings = FitSettings(
        seed=request.seed,
        device=str(resolve_device(request.device)),
        devices=request.devices,
        threads=request.threads or os.cpu_count() or 1,
        precision=request.precision,
    )
    request = replace(request, output=own_folder(request.output))
    resume = request.resume and first_process()
    folder = RunFolder.open(request.output, _provenance(request), resume=resume)
    if resume and folder.is_finished:
        return stored_results(request.output)
    cache = request.output / PARTS
    held_out = f"{sum(len(split.test) for split in splits):,} of them held out"
    wording = WORDING
    if keeps_batches(samples, splits):
        # Batches are then also the units of the bootstrap and of inner folds.
        samples, wording = samples.united(whole_batches(samples)), replace(WORDING, units="batches")
        effect = None
    counts = f"{len(samples):,} samples in {len(samples.classes)} classes"
    log.info("%s, %s in %s by %s", counts, held_out, count(len(splits), "fold"), by)
    contest = CohortContest(
        samples, entrants, splits, request.rules, settings, cache, request, drivers
    )
    judged = contest.run()
    importances = judged[0][0].importances
    shared = {"data": request.cohort.name, "ceilings": ceilings, "settings": _shown(request)}
    study = contest.study(
        judged,
        wording=wording,
        held_out_by=by,
        importances=importances,
        driver_auprc=driver_auprc(importances),
        **shared,
    )
    outcome = results(study, request.rules.metric)
    beside = None if effect is None or not request.batch_check else _on_batches(contest, shared)
    if effect is not None:
        there = None if beside is None else results(beside, request.rules.metric)
        outcome = with_batches(outcome, BatchCheck(effect, there, wanted=request.batch_check))
    write_outputs(study, outcome, request.output, seed_column=True, beside=beside)
    shutil.rmtree(cache)
    return outcome


def _on_batches(contest: CohortContest, shared: Mapping[str, Any]) -> Study | None:
    """Judge the same entrants with whole batches held out; None if that is impossible."""
    samples = contest.data.united(whole_batches(contest.data))
    splits = batch_folds(samples, contest.request.folds, contest.settings.seed)
    if not splits:
        return None
    log.info(
        "classes follow batches: repeating the evaluation in %d %s (skip it with --no-batch-check)",
        len(splits),
        TITLE,
    )
    cache = contest.cache / "batches"
    entrants = [replace(entrant, control=False) for entrant in contest.entrants]
    again = replace(contest, data=samples, splits=splits, entrants=entrants, cache=cache)
    wording = replace(WORDING, units="batches")
    return again.study(again.judge_all(), wording=wording, held_out_by=TITLE, **shared)


def _labelled(cohort: Cohort, request: TrainRequest) -> tuple[Samples, NDArray[np.int64]]:
    """Return the labelled samples and their rows in the file."""
    samples = read_samples(cohort)
    if request.modalities:
        samples = samples.only(request.modalities)
    rows = np.flatnonzero(samples.label >= 0)
    if not len(rows):
        raise DataError(
            "has no labels", where=request.cohort, hint="prepare it with --clinical and --label"
        )
    if len(rows) < len(samples):
        log.info("left out %s without a label", count(len(samples) - len(rows), "sample"))
    samples = samples.take(rows)
    # Remove classes without a sample, which cannot be learned.
    there, label = np.unique(samples.label, return_inverse=True)
    classes = tuple(samples.classes[k] for k in there)
    samples = replace(samples, classes=classes, label=label)
    check_classes(samples, request.cohort, "patients", 2, "to learn from, and to be judged by")
    return samples, rows


def _ceilings(
    cohort: Cohort, samples: Samples, rows: NDArray[np.int64], entrants: Sequence[Entrant[Samples]]
) -> dict[tuple[str, ...], Floats]:
    """Return the Bayes posterior for the modalities of each entrant, if the file has it."""
    # `samples` lacks classes without a sample.
    columns = [cohort.classes.index(name) for name in samples.classes]
    ceilings = {}
    for subset in dict.fromkeys(entrant.modalities for entrant in entrants):
        posterior = cohort.posterior(subset) if cohort.truth is not None else None
        if posterior is not None:
            ceilings[subset] = np.asarray(posterior[rows][:, columns], np.float64)
    return ceilings


def _provenance(request: TrainRequest) -> Provenance:
    return Provenance.of(_plain(request), {"cohort": request.cohort}, request.seed)


def _shown(request: TrainRequest) -> dict[str, Any]:
    """Return the settings that apply to this run, without those of other kinds of splits."""
    plain = _plain(request)
    if request.hold_out != FOLDS:
        del plain["folds"]
    return plain


def _plain(request: TrainRequest) -> dict[str, Any]:
    """Return the request as JSON data, with file names instead of paths."""
    settings = settings_of(request, ("resume", "device", "threads"))
    return {**settings, "hold_out": Path(request.hold_out).name}
