"""The steps of a contest: tune, fit and calibrate on training items, predict held-out items.

Letters: n items, t of them held out, S seeds, M modalities, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Generic, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison import tuning
from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.calibrations import Calibration, calibrate, calibrated
from genomix_cli.comparison.classifier import Classifier, D, Data
from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.intervals import interval_of
from genomix_cli.comparison.rules import SPLIT, Rules
from genomix_cli.comparison.splits import Split, folds_of
from genomix_cli.comparison.study import (
    MAJORITY,
    Floats,
    FoldFit,
    Importance,
    MeanAttention,
    Outcome,
)
from genomix_cli.learning.calibration import at_temperature, cautious_temperature, fit_temperature
from genomix_cli.learning.finite import finite
from genomix_cli.learning.fit_settings import FitSettings

# With `SPLIT`, one of this many folds of the training items is set aside to calibrate.
CALIBRATION_FOLDS = 5
# Number of bootstrap draws for mean attention.
DRAWS = 500


class Trained(NamedTuple, Generic[D]):
    """A fitted, calibrated classifier.

    Attributes
    ----------
    models : list of Classifier
        One per seed.
    fit : FoldFit
    calibrations : tuple of Calibration
    parameters, trials : int
    """

    models: list[Classifier[D]]
    fit: FoldFit
    calibrations: tuple[Calibration, ...]
    parameters: int
    trials: int


@dataclass(frozen=True)
class FoldResult:
    """Predictions of one entrant for the items that one split holds out.

    Attributes
    ----------
    fit : FoldFit
    rows : NDArray
        int64 ``[t]``: held-out items.
    log_probability : NDArray
        float64 ``[S, t, K]``, before temperature scaling.
    calibrations : tuple of Calibration
    parameters, trials : int
    attention : NDArray, optional
        float32 ``[t, M, M]``.
    shuffled : NDArray, optional
        float64 ``[t, K]``: probabilities after training on shuffled labels.
    importances : tuple of Importance
    features, vectors : NDArray, optional
        Fields of `Encoding` for the first held-out items.
    alone : dict of str to NDArray
        float64 ``[t, K]``: probabilities from single modalities, if the model has such parts.
    """

    fit: FoldFit
    rows: NDArray[np.int64]
    log_probability: Floats
    calibrations: tuple[Calibration, ...]
    parameters: int
    trials: int
    attention: NDArray[np.float32] | None = None
    shuffled: Floats | None = None
    importances: tuple[Importance, ...] = field(default=())
    features: NDArray[np.float32] | None = None
    vectors: NDArray[np.float32] | None = None
    alone: dict[str, Floats] = field(default_factory=dict)


def judge(
    entrant: Entrant[D], data: D, split: Split, rules: Rules, settings: FitSettings
) -> tuple[FoldResult, Trained[D]]:
    """Train one entrant on one split and predict the held-out items."""
    trained = train_entrant(entrant, *sides(data, split), rules, settings, split.name)
    test = data.take(split.test).only(entrant.modalities)
    shuffled = None
    if entrant.control or (entrant.control is None and not trained.fit.curve):
        wrong = data.relabelled(shuffled_labels(data.label, settings.seed))
        shuffled = _shuffled(entrant, trained, *sides(wrong, split), test, settings)
    log_p = np.stack([model.log_probability(test.inputs) for model in trained.models])
    finite(np.exp(log_p), "a probability", f"{entrant.name} did not learn in fold {split.name}")
    result = FoldResult(
        trained.fit,
        split.test,
        log_p,
        trained.calibrations,
        trained.parameters,
        trained.trials,
        trained.models[0].attention(test.inputs),
        shuffled,
        alone={name: np.exp(p) for name, p in trained.models[0].alone(test.inputs).items()},
    )
    return result, trained


def sides(data: D, split: Split) -> tuple[D, D | None]:
    """Return the training items and the validation items; None if the split has none."""
    return data.take(split.train), data.take(split.valid) if len(split.valid) else None


def train_entrant(
    entrant: Entrant[D],
    train: D,
    valid: D | None,
    rules: Rules,
    settings: FitSettings,
    fold: str = "",
) -> Trained[D]:
    """Tune, fit and calibrate an entrant without using any held-out item.

    With a validation part `valid`, the best trial is the model and is calibrated on `valid`.
    Without one, trials are compared on inner folds of `train`. The best configuration is then
    fitted again for each seed, and calibrated on the out-of-fold predictions or on items set aside
    (`Rules.calibration`). A single trial with items set aside needs no inner folds.
    """
    train = train.only(entrant.modalities)
    if valid is not None:
        train = entrant.augment(train) if entrant.augment else train
        tuned = tuning.tune_on_valid(entrant, train, valid, rules.trials, settings)
        assert tuned.fit is not None
        fits, held, by = [tuned.fit], tuned.log_probability, valid.only(entrant.modalities)
        temperature_of = cautious_temperature
    else:
        train, aside = _set_aside(train, rules)
        settings = replace(settings, logs=None)  # several fits must not share a folder
        alone = aside is not None and rules.trials == 1
        tuned = (
            tuning.untuned(entrant)
            if alone
            else tuning.tune_on_folds(entrant, train, rules.trials, rules.inner_folds, settings)
        )
        fits = [
            tuning.fit_once(entrant, tuned.arch, train, None, replace(settings, seed=seed))
            for seed in rules.seeds
        ]
        held, by = tuned.log_probability, train
        if aside is not None:
            held, by = fits[0].model.log_probability(aside.inputs), aside
            tuned = tuned._replace(nll=tuning.tempered_nll(held, by.label)) if alone else tuned
        temperature_of = fit_temperature
    first, different = fits[0], tuning.chosen(entrant, tuned.arch)
    curve, converged = first.fitted.curve, first.fitted.converged
    calibrations = calibrate(held, by.label, by.measured, rules.level, temperature_of)
    temperature = calibrations[0].temperature
    fit = FoldFit(fold, different, tuned.nll, temperature, first.seconds, curve, converged)
    models = [each.model for each in fits]
    return Trained(models, fit, calibrations, first.fitted.parameters, tuned.trials)


def _set_aside(data: D, rules: Rules) -> tuple[D, D | None]:
    """Return the items to learn from, and the items set aside to calibrate, or None."""
    if rules.calibration != SPLIT:
        return data, None
    fold = folds_of(data, CALIBRATION_FOLDS, rules.seeds[0])
    return data.take(fold != 0), data.take(fold == 0)


def shuffled_labels(label: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return labels, int64 ``[n]``, permuted among all items including held-out ones.

    A model trained on shuffled labels cannot predict the shuffled labels of other items. Judged by
    the true labels it could seem to predict them, since classes differ along few directions and the
    model may learn one of these by chance.
    """
    return np.random.default_rng([seed, 1]).permutation(label)


def _shuffled(
    entrant: Entrant[D],
    trained: Trained[D],
    train: D,
    valid: D | None,
    test: D,
    settings: FitSettings,
) -> Floats:
    """Return probabilities of `test`, float64 ``[t, K]``, after training on shuffled labels."""
    arch = {**entrant.arch, **trained.fit.chosen}
    train, settings = train.only(entrant.modalities), replace(settings, logs=None)
    fit = tuning.fit_once(entrant, arch, train, valid, settings)
    return np.exp(fit.model.log_probability(test.inputs))


def outcome(
    entrant: Entrant[Any], data: Data, n_seeds: int, results: Sequence[FoldResult]
) -> Outcome:
    """Join the results of an entrant over its splits, in the order of the items."""
    n, k = len(data), len(data.classes)
    probability = np.full((n_seeds, n, k), np.nan)
    raw, shuffled = probability.copy(), np.full((n, k), np.nan)
    sets, measured = np.zeros((n, k), bool), data.only(entrant.modalities).measured
    # A fold whose training part lacks a modality has no prediction from it alone; leave it out.
    shared = set.intersection(*(set(result.alone) for result in results))
    alone = {m: np.full((n, k), np.nan) for m in entrant.modalities if m in shared}
    for result in results:
        rows, log_p = result.rows, result.log_probability
        raw[:, rows] = at_temperature(log_p, 1.0)
        scores = [calibrated(each, measured[rows], result.calibrations) for each in log_p]
        probability[:, rows] = [each.probability for each in scores]
        sets[rows] = scores[0].sets
        if result.shuffled is not None:
            shuffled[rows] = result.shuffled
        for name, values in alone.items():
            values[rows] = result.alone[name]
    return Outcome(
        name=entrant.name,
        model=entrant.model,
        modalities=entrant.modalities,
        main=entrant.main,
        trials=results[0].trials,
        parameters=results[-1].parameters,
        probability=probability,
        uncalibrated=raw,
        sets=sets,
        folds=tuple(result.fit for result in results),
        attention=_attention(data, results),
        shuffled=shuffled if results[0].shuffled is not None else None,
        alone=alone,
        kept=~np.any([each.thresholds for one in results for each in one.calibrations], axis=0),
    )


def majority(data: Data, tested: NDArray[np.bool_], n_seeds: int) -> Outcome:
    """Return the baseline that ignores the sample and predicts the class frequencies.

    A model must beat it to have learned anything. The frequencies are those of the held-out items,
    the best that can be predicted without looking at a sample. Frequencies of the training items
    would be easier to beat where a fold is a batch with other class frequencies.

    Parameters
    ----------
    data : Data
    tested : NDArray
        bool ``[n]``: True for items that were held out.
    n_seeds : int
    """
    k = len(data.classes)
    share = np.bincount(data.label[tested], minlength=k) / max(int(tested.sum()), 1)
    p = np.where(tested[:, None], share, np.nan)[None].repeat(n_seeds, 0)
    # A baseline that ignores the sample cannot exclude any class.
    sets = np.ones((len(data), k), bool)
    return Outcome(MAJORITY, MAJORITY, (), False, 0, k, p, p, sets, ())


def _attention(data: Data, results: Sequence[FoldResult]) -> MeanAttention | None:
    """Return mean attention over the held-out items of all splits, overall and per class."""
    of_folds = [result.attention for result in results if result.attention is not None]
    if not of_folds:
        return None
    joined = np.concatenate(of_folds).astype(np.float64)
    rows = np.concatenate([result.rows for result in results])
    seen = np.isfinite(joined).reshape(len(joined), -1)
    values = np.where(seen, joined.reshape(seen.shape), 0)
    every = [np.arange(len(rows))]
    every += [np.flatnonzero(data.label[rows] == k) for k in range(len(data.classes))]

    def means(weights: Floats, own: NDArray[np.int64]) -> Floats:
        count = weights[:, own] @ seen[own]
        mean = np.full(count.shape, np.nan)
        return np.divide(weights[:, own] @ values[own], count, out=mean, where=count > 0)

    blocks = chain([np.ones((1, len(rows)))], Bootstrap(data.unit[rows], DRAWS).blocks())
    drawn = np.concatenate([np.stack([means(w, own) for own in every], 1) for w in blocks])
    columns = drawn.reshape(len(drawn), -1).T  # [(1 + K) M M, 1 + D]
    three = np.array([interval_of(column) for column in columns], np.float32).T
    return MeanAttention(*three.reshape(3, len(every), *joined.shape[1:]))
