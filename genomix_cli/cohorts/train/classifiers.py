"""Train a model of a cohort beside its baselines, and say how good each is on samples held out."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Samples, read_samples
from genomix_cli.cohorts.requests import TrainRequest
from genomix_cli.cohorts.runs import RunConfig, save_run
from genomix_cli.cohorts.train.entrants import Entrant, check, entrants_of
from genomix_cli.cohorts.train.holdout import HeldOut, hold_out
from genomix_cli.cohorts.train.protocol import (
    Part,
    Trained,
    judge,
    load_part,
    outcome,
    save_part,
    shuffled_labels,
    train_entrant,
)
from genomix_cli.comparison.results import Results, results, write_rows
from genomix_cli.comparison.study import Outcome, Study, Wording
from genomix_cli.config import to_dict
from genomix_cli.errors import DataError, MissingExtraError, UsageError
from genomix_cli.formats.cohort import Cohort, open_cohort
from genomix_cli.learning.checkpoints import resolve_device
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.processes import first_process
from genomix_cli.provenance import Provenance, environment

log = logging.getLogger("genomix")

WORDING = Wording(
    units="patients",
    about="Imputation, scaling and selection are part of it. A sample may lack values or whole "
    "modalities.",
    data="cohort.h5mu",
    answer="A row per sample: the probability of each class (`p:<class>`), the most probable one, "
    "the prediction set, and whether to abstain.",
)
# Samples whose attributions make the feature table.
EXPLAINED = 200


def train_cohort(request: TrainRequest) -> Results:
    """Tune, train and judge; write the run folder.

    It holds ``config.json`` and ``model.safetensors`` (what `score` reads), ``metrics.json`` and
    ``models.tsv``, ``predictions.parquet`` (of samples held out), ``report.html``, ``README.md``
    (the model card), ``*_mqc.json`` (for MultiQC), ``timing.json`` and ``train.json`` (the
    request). Only the report, the table and the two last have times in them.

    Returns
    -------
    Results
        What ``metrics.json`` holds.

    Raises
    ------
    UsageError
        If models, presets, fields, modalities or folds do not exist, or the folder is in use.
    DataError
        If the cohort has no labels, or too few of a class.
    MissingExtraError
        If pyarrow or, for networks, Lightning is not installed.
    """
    check(request.contest)
    _check_extras()
    with open_cohort(request.cohort) as cohort:
        samples, kept = _labelled(cohort, request)
        entrants = entrants_of(request.contest, samples)
        held_out = hold_out(cohort, samples, kept, request.hold_out, request.folds, request.seed)
        ceilings = _ceilings(cohort, samples, kept, entrants)
        drivers = _drivers(cohort)
    setting = FitSettings(
        seed=request.seed,
        device=str(resolve_device(request.device)),
        devices=request.devices,
        threads=request.threads or os.cpu_count() or 1,
        precision=request.precision,
    )
    request = replace(request, output=_own_folder(request))
    _open_run(request, samples, held_out)
    parts, last = _compete(samples, held_out, entrants, request, setting, drivers)
    study = _study(request, samples, held_out, entrants, parts, ceilings)
    _final(samples, held_out, entrants, parts, last, request, setting)
    found = results(study)
    _write(study, found, request)
    return found


def _check_extras() -> None:
    """Before hours of work, not after."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("pyarrow", "cohorts") from error


def _labelled(cohort: Cohort, request: TrainRequest) -> tuple[Samples, NDArray[np.int64]]:
    """Samples with a label, and which of the file they are."""
    samples = read_samples(cohort)
    if request.modalities:
        samples = samples.only(request.modalities)
    kept = np.flatnonzero(samples.label >= 0)
    if not len(kept):
        raise DataError(
            "has no labels", where=request.cohort, hint="prepare it with --clinical and --label"
        )
    if len(kept) < len(samples):
        log.info("%s samples without a label are left out", f"{len(samples) - len(kept):,}")
    samples = _without_empty_classes(samples.take(kept))
    patients = [
        len(np.unique(samples.patient[samples.label == k])) for k in range(len(samples.classes))
    ]
    if len(patients) < 2:
        raise DataError(
            "needs at least two classes", where=request.cohort, found=", ".join(samples.classes)
        )
    few = [name for name, count in zip(samples.classes, patients, strict=True) if count < 2]
    if few:
        raise DataError(
            f"class {', '.join(few)} has one patient only",
            where=request.cohort,
            expected="two or more, to learn from one and be judged by the other",
            hint="leave the class out or join it with another",
        )
    return samples, kept


def _without_empty_classes(samples: Samples) -> Samples:
    """Classes that no sample has are not learned."""
    there = np.unique(samples.label)
    if len(there) == len(samples.classes):
        return samples
    classes = tuple(samples.classes[k] for k in there)
    return replace(samples, classes=classes, label=np.searchsorted(there, samples.label))


def _ceilings(
    cohort: Cohort, samples: Samples, kept: NDArray[np.int64], entrants: list[Entrant]
) -> dict[tuple[str, ...], NDArray[np.float64]]:
    """Bayes posterior for the modalities of each entrant, where the file has it."""
    # A class that no sample has is not among those of the samples.
    columns = [cohort.classes.index(name) for name in samples.classes]
    found = {}
    for subset in dict.fromkeys(entrant.modalities for entrant in entrants):
        posterior = cohort.posterior(subset) if cohort.truth is not None else None
        if posterior is not None:
            found[subset] = np.asarray(posterior[kept][:, columns], np.float64)
    return found


def _drivers(cohort: Cohort) -> dict[str, NDArray[np.bool_]]:
    """Planted drivers of each modality, where the cohort was simulated."""
    if cohort.truth is None:
        return {}
    from genomix_cli.cohorts.explain.attribution import planted_drivers

    return planted_drivers(cohort)


def _own_folder(request: TrainRequest) -> Path:
    """Of the processes that train together only the first writes where it was asked to."""
    if first_process():
        return request.output
    log.setLevel(logging.ERROR)
    return Path(tempfile.mkdtemp(prefix="genomix-"))


def _open_run(request: TrainRequest, samples: Samples, held_out: HeldOut) -> None:
    """Create the run folder and say in it what is run."""
    folder, plain = request.output, _plain(request)
    before = folder / "train.json"
    if request.resume:
        if not before.is_file():
            raise UsageError("there is no run to resume", where=folder)
        if json.loads(before.read_text())["config"] != plain:
            raise UsageError(
                "was started with other settings", where=folder, hint="give the same, or a new -o"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise UsageError(
            "is not empty", where=folder, hint="choose another -o, or add --resume to go on with it"
        )
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    provenance = Provenance.of(plain, {"cohort": request.cohort}, request.seed)
    _write_json(before, {**provenance.to_dict(), "environment": environment()})
    log.info(
        "%s samples in %d classes, %s in %d folds by %s",
        f"{len(samples):,}",
        len(samples.classes),
        f"{int((held_out.fold != '').sum()):,} of them held out",
        len(held_out.names),
        held_out.by,
    )


def _plain(request: TrainRequest) -> dict[str, Any]:
    """The request as JSON has it, names of files without their folders."""
    plain = asdict(request)
    for name in ("cohort", "output"):
        plain[name] = Path(plain[name]).name
    plain["hold_out"] = Path(request.hold_out).name
    for name in ("resume", "device", "threads"):
        del plain[name]
    return json.loads(json.dumps(plain))


def _compete(
    samples: Samples,
    held_out: HeldOut,
    entrants: list[Entrant],
    request: TrainRequest,
    setting: FitSettings,
    drivers: Mapping[str, NDArray[np.bool_]],
) -> tuple[list[list[Part]], dict[str, Trained]]:
    """Parts of each entrant; and what was trained last, where one fold is all there is."""
    parts: list[list[Part]] = [[] for _ in entrants]
    last: dict[str, Trained] = {}
    for f, name in enumerate(held_out.names):
        for e, entrant in enumerate(entrants):
            path = request.output / "parts" / f"{e:02d}-{f:02d}.npz"
            if path.is_file():
                parts[e].append(load_part(path))
                continue
            started = time.perf_counter()
            inside = held_out.fold == name
            part, trained = judge(samples, inside, entrant, request.rules, setting, name)
            if e == f == 0:
                part = replace(
                    part, importances=_importances(samples.take(inside), trained, drivers)
                )
            save_part(path, part)
            parts[e].append(part)
            last[entrant.name] = trained
            accuracy = (part.log_probability[0].argmax(1) == samples.label[part.rows]).mean()
            log.info(
                "%s, fold %s: accuracy %.4f after %d trials in %.0f s",
                entrant.name,
                name,
                accuracy,
                part.trials,
                time.perf_counter() - started,
            )
    return parts, last


def _importances(
    test: Samples, trained: Trained, drivers: Mapping[str, NDArray[np.bool_]]
) -> tuple[Any, ...]:
    """Mean absolute attributions of some samples held out, where the model has a gradient."""
    from genomix_cli.cohorts.explain.samples import feature_importance

    model = trained.models[0]
    names = [modality.name for modality in model.modalities]
    try:
        return feature_importance(
            model, test.only(names).take(np.arange(min(EXPLAINED, len(test)))), drivers
        )
    except NotImplementedError:
        return ()
    except MissingExtraError as error:
        log.warning("no attributions in the report: %s", error)
        return ()


def _study(
    request: TrainRequest,
    samples: Samples,
    held_out: HeldOut,
    entrants: list[Entrant],
    parts: list[list[Part]],
    ceilings: dict[tuple[str, ...], NDArray[np.float64]],
) -> Study:
    from genomix_cli.cohorts.explain.attribution import driver_auprc

    outcomes: list[Outcome] = [
        outcome(samples, entrant, request.rules, own)
        for entrant, own in zip(entrants, parts, strict=True)
    ]
    importances = parts[0][0].importances
    return Study(
        data=request.cohort.name,
        wording=WORDING,
        names=samples.names,
        classes=samples.classes,
        label=samples.label,
        shuffled_label=shuffled_labels(samples, request.seed),
        unit=samples.patient,
        fold=held_out.fold,
        tested=held_out.fold != "",
        held_out_by=held_out.by,
        level=request.rules.level,
        calibration=request.rules.calibration,
        seeds=request.rules.seeds,
        outcomes=tuple(outcomes),
        ceilings=ceilings,
        importances=importances,
        driver_auprc=driver_auprc(importances),
        settings=_plain(request),
    )


def _final(
    samples: Samples,
    held_out: HeldOut,
    entrants: list[Entrant],
    parts: list[list[Part]],
    last: dict[str, Trained],
    request: TrainRequest,
    setting: FitSettings,
) -> None:
    """Store the model that `score` will use: of the main ones, that which tuned best.

    It learns from all samples; where a single fold was held out, it is the model of that fold, so
    that those samples stay unseen.
    """
    mains = [i for i, entrant in enumerate(entrants) if entrant.main]
    best = min(mains, key=lambda i: float(np.mean([part.fit.tuning_nll for part in parts[i]])))
    entrant = entrants[best]
    learning = samples
    if len(held_out.names) == 1:
        learning = samples.take(held_out.fold == "")
    trained = last.get(entrant.name) if len(held_out.names) == 1 else None
    if trained is None:
        log.info("%s, to keep: all %s samples", entrant.name, f"{len(learning):,}")
        trained = train_entrant(learning, entrant, request.rules, setting, "")
    model = trained.models[0]
    provenance = Provenance.of(_plain(request), {"cohort": request.cohort}, request.seed)
    config = RunConfig(
        model=entrant.model,
        arch=to_dict(model.config),
        modalities=model.modalities,
        classes=model.classes,
        counts=tuple(map(int, np.bincount(learning.label, minlength=len(samples.classes)))),
        temperature=trained.fit.temperature,
        thresholds=tuple(map(float, trained.thresholds)),
        level=request.rules.level,
        calibration=request.rules.calibration,
        provenance=provenance.to_dict(),
    )
    save_run(request.output, model, config)


def _write(study: Study, found: Results, request: TrainRequest) -> None:
    """Metrics, predictions, report, model card; the parts have done their work."""
    from genomix_cli.report import card, write_multiqc, write_report

    folder = request.output
    metrics = found.to_dict()
    # Times differ from run to run, and the same input is to give the same bytes.
    timing = {row["name"]: row.pop("seconds") for row in metrics["outcomes"]}
    _write_json(folder / "metrics.json", metrics)
    _write_json(folder / "timing.json", timing)
    write_rows(found.rows(), folder / "models.tsv")
    predictions(study).to_parquet(folder / "predictions.parquet", index=False)
    write_multiqc(found, folder)
    write_report(study, found, folder / "report.html")
    (folder / "README.md").write_text(card(study, found))
    shutil.rmtree(folder / "parts")


def predictions(study: Study) -> pd.DataFrame:
    """Predictions of the samples held out, by model and seed; sets are those of the first seed."""
    rows = np.flatnonzero(study.tested)
    classes = np.array(study.classes)
    tables = []
    for each in study.outcomes:
        sets = [",".join(classes[own]) for own in each.sets[rows]]
        for s, seed in enumerate(study.seeds):
            p = each.probability[s, rows]
            columns: dict[str, Any] = {
                "model": each.name,
                "seed": seed,
                "sample": study.names[rows],
                "fold": study.fold[rows],
                "label": classes[study.label[rows]],
                "predicted": classes[p.argmax(1)],
                **{f"p:{name}": p[:, k] for k, name in enumerate(study.classes)},
                "set": sets if s == 0 else None,
            }
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
