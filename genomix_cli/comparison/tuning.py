"""Choose the configuration of a classifier, with the same number of trials for every entrant.

Letters: n items, K classes.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Generic, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.classifier import Classifier, D
from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.splits import folds_of, unit_folds
from genomix_cli.comparison.study import Fitted, Floats
from genomix_cli.comparison.tables import plain
from genomix_cli.learning.calibration import (
    at_temperature,
    cautious_temperature,
    fit_temperature,
    log_softmax,
)
from genomix_cli.learning.fit_settings import FitSettings

log = logging.getLogger("genomix")

# Number of folds of a validation part for unbiased predictions; see `_unchosen`.
CHOICE_FOLDS = 5


class Timed(NamedTuple, Generic[D]):
    """A fitted classifier, the summary of its fit, and the duration of the fit."""

    model: Classifier[D]
    fitted: Fitted
    seconds: float


class Tuned(NamedTuple, Generic[D]):
    """The configuration that predicted items it had not learned from best.

    Attributes
    ----------
    arch : dict
        Fields of the configuration.
    log_probability : NDArray
        float64 ``[n, K]`` of those items, from the trial that items of other folds would choose;
        see `_unchosen`.
    nll : float
        Negative log-likelihood of their labels at the best temperature.
    trials : int
        Number of configurations tried.
    fit : Timed, optional
        The model fitted to all training items, if tuning made one.
    """

    arch: dict[str, Any]
    log_probability: Floats
    nll: float
    trials: int
    fit: Timed[D] | None = None


def fit_once(
    entrant: Entrant[D],
    arch: Mapping[str, Any],
    train: D,
    valid: D | None,
    settings: FitSettings,
) -> Timed[D]:
    """Fit a new model with the configuration `arch`."""
    model, started = entrant.build(arch), time.perf_counter()
    fitted = model.fit(train, settings, valid)
    return Timed(model, fitted, time.perf_counter() - started)


def untuned(entrant: Entrant[Any]) -> Tuned[Any]:
    """Return the entrant's own configuration without trying it."""
    return Tuned(dict(entrant.arch), np.empty((0, 0)), math.nan, 1)


def tune_on_folds(
    entrant: Entrant[D], data: D, trials: int, inner_folds: int, settings: FitSettings
) -> Tuned[D]:
    """Try configurations on inner folds, starting with the entrant's own, and return the best.

    A trial is stopped after the first fold at which it is worse than the best trial on the same
    items, so most trials cost one fold.
    """
    fold = folds_of(data, inner_folds, settings.seed)
    best: Tuned[D] | None = None
    whole: list[Floats] = []
    tried = candidates(entrant, trials, settings.seed)
    for i, arch in enumerate(tried):
        limit = None if best is None else best.log_probability
        log_p = _out_of_fold(entrant, arch, data, fold, settings, limit)
        if log_p is None:
            continue
        whole.append(log_p)
        nll = tempered_nll(log_p, data.label)
        log.debug("%s, trial %d: nll %.4f with %s", entrant.model, i + 1, nll, arch)
        if best is None or nll < best.nll:
            best = Tuned(arch, log_p, nll, len(tried))
    assert best is not None
    return best._replace(log_probability=_unchosen(best.log_probability, whole, data.label, fold))


def tune_on_valid(
    entrant: Entrant[D], train: D, valid: D, trials: int, settings: FitSettings
) -> Tuned[D]:
    """Try configurations on a validation part, starting with the entrant's own.

    Each trial's likelihood is taken at its best temperature: calibration follows for every model,
    so it should not decide which one is chosen.
    """
    tried = candidates(entrant, trials, settings.seed)

    def trial(i: int, arch: dict[str, Any]) -> Tuned[D]:
        logs = None if settings.logs is None else settings.logs / f"trial-{i}"
        fit = fit_once(entrant, arch, train, valid, replace(settings, logs=logs))
        log_p = fit.model.log_probability(valid.inputs)
        nll = nll_of(at_temperature(log_p, cautious_temperature(log_p, valid.label)), valid.label)
        fields = ", ".join(f"{name}={value}" for name, value in chosen(entrant, arch).items())
        log.info(
            "%s, trial %d: log loss %.4f, %.0f s%s",
            *(entrant.name, i, nll, fit.seconds, f", {fields}" if fields else ""),
        )
        return Tuned(arch, log_p, nll, len(tried), fit)

    found = list(map(trial, count(1), tried))
    best = min(found, key=lambda tuned: tuned.nll)
    if len(found) == 1:
        return best
    fold = unit_folds(valid.unit, CHOICE_FOLDS, settings.seed)
    whole = [tuned.log_probability for tuned in found]
    held = _unchosen(best.log_probability, whole, valid.label, fold)
    return best._replace(log_probability=held)


def _unchosen(
    best: Floats, trials: Sequence[Floats], label: NDArray[np.int64], fold: NDArray[np.int64]
) -> Floats:
    """Return log-probabilities, float64 ``[n, K]``, that are unbiased enough to calibrate on.

    The best of several trials looks better on the items that selected it than on new items, so
    prediction sets calibrated on them would cover too little. Therefore the items of each fold are
    predicted by the trial that the other folds would select, rescaled to the sharpness of the best.

    Parameters
    ----------
    best : NDArray
        float64 ``[n, K]``, one of the `trials`.
    trials : sequence of NDArray
        float64 ``[n, K]`` each.
    label, fold : NDArray
        int64 ``[n]``.
    """
    held, sharpness = best.copy(), cautious_temperature(best, label)
    for i in np.unique(fold):
        others = fold != i
        chosen = min(trials, key=lambda each: tempered_nll(each[others], label[others]))
        if chosen is not best:
            own = cautious_temperature(chosen[others], label[others])
            held[~others] = log_softmax(chosen[~others] * (sharpness / own))
    return held


def chosen(entrant: Entrant[Any], arch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields in which `arch` differs from the entrant's own configuration."""
    return {key: value for key, value in arch.items() if value != entrant.arch.get(key)}


def candidates(entrant: Entrant[Any], trials: int, seed: int) -> list[dict[str, Any]]:
    """Return the entrant's own configuration and at most `trials` - 1 others to try.

    For a model with a `space` they are draws from it (random search: Bergstra and Bengio 2012,
    JMLR 13:281). For other models they are the listed `trials` that change the configuration.
    """
    own = dict(entrant.arch)
    if entrant.kind.space:
        return [own, *({**own, **draw} for draw in _draws(entrant, trials - 1, seed))]
    tried = [own]
    # Trained weights fix the shape of a model, so all its trials concern learning.
    for fields in entrant.kind.trials if entrant.start else entrant.kind.tries(own):
        arch = {**own, **{key: value for key, value in fields.items() if key not in entrant.fixed}}
        if arch not in tried:
            tried.append(arch)
    return tried[:trials]


def _draws(entrant: Entrant[Any], n: int, seed: int) -> list[dict[str, Any]]:
    """Return `n` draws from the space of a model, or all if the space has fewer."""
    from sklearn.model_selection import ParameterSampler

    space = {k: v for k, v in entrant.kind.space.items() if k not in entrant.fixed}
    lists = [len(values) for values in space.values() if isinstance(values, list | tuple)]
    most = math.prod(lists) if len(lists) == len(space) else math.inf
    n = int(min(n, most)) if space else 0
    return [plain(draw) for draw in ParameterSampler(space, n, random_state=seed)] if n > 0 else []


def _out_of_fold(
    entrant: Entrant[D],
    arch: Mapping[str, Any],
    data: D,
    fold: NDArray[np.int64],
    settings: FitSettings,
    best: Floats | None,
) -> Floats | None:
    """Return out-of-fold log-probabilities ``[n, K]``, or None once the trial is worse."""
    log_p = np.full((len(data), len(data.classes)), np.nan)
    for i in range(int(fold.max()) + 1):
        model = fit_once(entrant, arch, data.take(fold != i), None, settings).model
        log_p[fold == i] = model.log_probability(data.take(fold == i).inputs)
        done = fold <= i
        if best is not None:
            new, old = (tempered_nll(each[done], data.label[done]) for each in (log_p, best))
            if new > old:
                return None
    return log_p


def tempered_nll(log_probability: Floats, label: NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood of labels at the best temperature."""
    return nll_of(at_temperature(log_probability, fit_temperature(log_probability, label)), label)


def nll_of(p: Floats, label: NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood under probabilities ``[n, K]``; inf if NaN."""
    nll = float(-np.log(np.maximum(p[np.arange(len(label)), label], 1e-300)).mean())
    return math.inf if math.isnan(nll) else nll
