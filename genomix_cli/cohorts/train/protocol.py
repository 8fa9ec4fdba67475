"""Nested cross-validation: tune, fit and calibrate on some samples, judge on others.

Letters: n samples, S seeds, M modalities, K classes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Floats, Samples
from genomix_cli.cohorts.models.base import CohortModel
from genomix_cli.cohorts.requests import Rules
from genomix_cli.cohorts.runs import build
from genomix_cli.cohorts.train.entrants import Entrant
from genomix_cli.cohorts.train.splits import folds_of
from genomix_cli.cohorts.train.tuning import tune
from genomix_cli.comparison.fold_cache import load_kept, save_kept
from genomix_cli.comparison.study import FoldFit, Importance, Outcome
from genomix_cli.learning.calibration import at_temperature, fit_temperature
from genomix_cli.learning.conformal import class_thresholds, prediction_sets
from genomix_cli.learning.fit_settings import FitSettings

log = logging.getLogger("genomix")

# Share of the training samples that `split` sets aside for calibration.
CALIBRATION_FOLDS = 5


class Trained(NamedTuple):
    """A fitted, calibrated model.

    Attributes
    ----------
    models : list of CohortModel
        One per seed.
    fit : FoldFit
    thresholds : NDArray
        ``[K]``.
    parameters, trials : int
    """

    models: list[CohortModel]
    fit: FoldFit
    thresholds: Floats
    parameters: int
    trials: int


@dataclass(frozen=True)
class Part:
    """What one entrant did on one outer fold.

    Attributes
    ----------
    fit : FoldFit
    rows : NDArray
        int64 ``[t]``: samples held out.
    log_probability : NDArray
        float64 ``[S, t, K]``, before the temperature.
    thresholds : NDArray
        ``[K]``.
    parameters, trials : int
    attention : NDArray, optional
        float32 ``[t, M, M]``.
    shuffled : NDArray, optional
        float64 ``[t, K]``.
    importances : tuple of Importance
    """

    fit: FoldFit
    rows: NDArray[np.int64]
    log_probability: Floats
    thresholds: Floats
    parameters: int
    trials: int
    attention: NDArray[np.float32] | None = None
    shuffled: Floats | None = None
    importances: tuple[Importance, ...] = field(default=())


def train_entrant(
    samples: Samples, entrant: Entrant, rules: Rules, setting: FitSettings, fold: str
) -> Trained:
    """Tune, fit and calibrate on `samples`, all of which have a label."""
    samples = samples.only(entrant.modalities)
    learning, aside = _set_aside(samples, rules)
    tuned = tune(
        learning,
        entrant.model,
        entrant.arch,
        fixed=entrant.fixed,
        trials=rules.trials,
        inner_folds=rules.inner_folds,
        setting=replace(setting, logs=None),
    )
    models, fitted, seconds = [], None, 0.0
    for seed in rules.seeds:
        model, started = build(entrant.model, tuned.arch), time.perf_counter()
        this = model.fit(learning, replace(setting, seed=seed))
        if fitted is None:
            fitted, seconds = this, time.perf_counter() - started
        models.append(model)
    assert fitted is not None
    held, label = tuned.log_probability, learning.label
    if aside is not None:
        held, label = models[0].log_probability(aside), aside.label
    temperature = fit_temperature(held, label)
    chosen = {key: value for key, value in tuned.arch.items() if value != entrant.arch.get(key)}
    fit = FoldFit(fold, chosen, tuned.nll, temperature, seconds, fitted.curve, fitted.converged)
    thresholds = class_thresholds(at_temperature(held, temperature), label, rules.level)
    return Trained(models, fit, thresholds, fitted.parameters, tuned.trials)


def _set_aside(samples: Samples, rules: Rules) -> tuple[Samples, Samples | None]:
    if rules.calibration == "cross":
        return samples, None
    fold = folds_of(samples, CALIBRATION_FOLDS, rules.seeds[0])
    return samples.take(fold != 0), samples.take(fold == 0)


def judge(
    samples: Samples,
    held_out: NDArray[np.bool_],
    entrant: Entrant,
    rules: Rules,
    setting: FitSettings,
    fold: str,
) -> tuple[Part, Trained]:
    """One entrant on one outer fold: learn from the others, predict those held out."""
    train, test = samples.take(~held_out), samples.take(held_out).only(entrant.modalities)
    trained = train_entrant(train, entrant, rules, setting, fold)
    log_p = np.stack([model.log_probability(test) for model in trained.models])
    shuffled = None
    if entrant.control:
        wrong = replace(samples, label=shuffled_labels(samples, setting.seed))
        shuffled = _shuffled(wrong.take(~held_out), test, entrant, trained, setting)
    part = Part(
        trained.fit,
        np.flatnonzero(held_out),
        log_p,
        trained.thresholds,
        trained.parameters,
        trained.trials,
        trained.models[0].attention(test),
        shuffled,
    )
    return part, trained


def shuffled_labels(samples: Samples, seed: int) -> NDArray[np.int64]:
    """Labels ``[n]`` dealt anew among all samples, those held out too.

    A model trained on some of them can say nothing of the others, whichever direction it happens to
    take; judged by the true labels it could seem to, since classes lie along few directions.
    """
    return np.random.default_rng([seed, 1]).permutation(samples.label)


def _shuffled(
    train: Samples, test: Samples, entrant: Entrant, trained: Trained, setting: FitSettings
) -> Floats:
    """Probabilities after training on labels that say nothing ``[t, K]``."""
    model = build(entrant.model, {**entrant.arch, **trained.fit.chosen})
    model.fit(train.only(entrant.modalities), replace(setting, logs=None))
    return np.exp(model.log_probability(test))


def outcome(samples: Samples, entrant: Entrant, rules: Rules, parts: Sequence[Part]) -> Outcome:
    """All folds of an entrant, in the order of the samples."""
    n, k = len(samples), len(samples.classes)
    calibrated = np.full((len(rules.seeds), n, k), np.nan)
    raw, shuffled = calibrated.copy(), np.full((n, k), np.nan)
    sets = np.zeros((n, k), bool)
    for part in parts:
        raw[:, part.rows] = at_temperature(part.log_probability, 1.0)
        calibrated[:, part.rows] = at_temperature(part.log_probability, part.fit.temperature)
        sets[part.rows] = prediction_sets(calibrated[0, part.rows], part.thresholds)
        if part.shuffled is not None:
            shuffled[part.rows] = part.shuffled
    return Outcome(
        name=entrant.name,
        model=entrant.model,
        modalities=entrant.modalities,
        main=entrant.main,
        trials=parts[0].trials,
        parameters=parts[-1].parameters,
        probability=calibrated,
        uncalibrated=raw,
        sets=sets,
        folds=tuple(part.fit for part in parts),
        attention=_attention(samples, parts),
        shuffled=shuffled if parts[0].shuffled is not None else None,
    )


def _attention(samples: Samples, parts: Sequence[Part]) -> NDArray[np.float32] | None:
    """Mean over the held-out samples of each class ``[K, M, M]``; NaN where nobody has both."""
    found = [part.attention for part in parts if part.attention is not None]
    if not found:
        return None
    joined = np.concatenate(found)
    label = samples.label[np.concatenate([part.rows for part in parts])]
    means = np.full((len(samples.classes), *joined.shape[1:]), np.nan, np.float32)
    for k in np.unique(label):
        own = joined[label == k]
        seen = np.isfinite(own)
        total = np.where(seen, own, 0).sum(0)
        means[k] = np.divide(total, seen.sum(0), out=means[k], where=seen.any(0))
    return means


def save_part(path: Path, part: Part) -> None:
    """Keep a fold, so that an interrupted run can go on."""
    plain = {
        "parameters": part.parameters,
        "trials": part.trials,
        "importances": [asdict(importance) for importance in part.importances],
    }
    names = ("rows", "log_probability", "thresholds", "attention", "shuffled")
    save_kept(path, part.fit, plain, {name: getattr(part, name) for name in names})


def load_part(path: Path) -> Part:
    """What :func:`save_part` kept."""
    found = load_kept(path)
    importances = tuple(Importance(**importance) for importance in found.pop("importances"))
    return Part(**found, importances=importances)
