"""Random search inside the training samples, with the same number of trials for every model.

Bergstra and Bengio 2012, Random search for hyper-parameter optimization, JMLR 13:281.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Floats, Samples
from genomix_cli.cohorts.runs import build
from genomix_cli.cohorts.train.splits import folds_of
from genomix_cli.learning.calibration import at_temperature, fit_temperature
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS

log = logging.getLogger("genomix")


class Tuned(NamedTuple):
    """The configuration that did best on the inner folds.

    Attributes
    ----------
    arch : dict
        Its fields.
    log_probability : NDArray
        float64 ``[n, K]`` of every training sample, by a model that has not seen it.
    nll : float
        At the best temperature.
    trials : int
        Configurations that were tried.
    """

    arch: dict[str, Any]
    log_probability: Floats
    nll: float
    trials: int


def tune(
    samples: Samples,
    name: str,
    arch: Mapping[str, Any],
    *,
    fixed: frozenset[str] = frozenset(),
    trials: int,
    inner_folds: int,
    setting: FitSettings,
) -> Tuned:
    """Try configurations on inner folds; the first is the model's own default.

    A trial that after any fold is worse than the best one was on the same samples is not gone on
    with, so that most trials cost one fold.

    Parameters
    ----------
    samples : Samples
        All with a label.
    name : str
        Of the model.
    arch : mapping
        Fields of the default.
    fixed : frozenset of str
        Fields that are not to be tuned.
    trials, inner_folds : int
    setting : FitSettings
    """
    fold = folds_of(samples, inner_folds, setting.seed)
    best: Tuned | None = None
    tried = candidates(name, arch, fixed, trials, setting.seed)
    for i, candidate in enumerate(tried):
        limit = None if best is None else best.log_probability
        found = _out_of_fold(samples, fold, name, candidate, setting, limit)
        if found is None:
            continue
        nll = _nll(found, samples.label)
        log.debug("%s, trial %d: nll %.4f with %s", name, i + 1, nll, candidate)
        if best is None or nll < best.nll:
            best = Tuned(candidate, found, nll, len(tried))
    assert best is not None
    return best


def candidates(
    name: str, arch: Mapping[str, Any], fixed: frozenset[str], trials: int, seed: int
) -> list[dict[str, Any]]:
    """The default and `trials` - 1 draws from the model's space; fewer if it has no more."""
    from sklearn.model_selection import ParameterSampler

    space = {k: v for k, v in COHORT_MODELS.load(name).space.items() if k not in fixed}
    lists = [len(values) for values in space.values() if isinstance(values, list | tuple)]
    most = math.prod(lists) if len(lists) == len(space) else math.inf
    count = int(min(trials - 1, most)) if space else 0
    if count < 1:
        return [dict(arch)]
    draws = ParameterSampler(space, count, random_state=seed)
    return [dict(arch), *({**arch, **{k: _plain(v) for k, v in draw.items()}} for draw in draws)]


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, for JSON."""
    return value.item() if isinstance(value, np.generic) else value


def _out_of_fold(
    samples: Samples,
    fold: NDArray[np.int64],
    name: str,
    arch: Mapping[str, Any],
    setting: FitSettings,
    best: Floats | None,
) -> Floats | None:
    """Log-probabilities of all samples ``[n, K]``, or None once the trial has fallen behind."""
    found = np.full((len(samples), len(samples.classes)), np.nan)
    for i in range(int(fold.max()) + 1):
        model = build(name, arch)
        model.fit(samples.take(fold != i), setting)
        found[fold == i] = model.log_probability(samples.take(fold == i))
        done = fold <= i
        label = samples.label[done]
        if best is not None and _nll(found[done], label) > _nll(best[done], label):
            return None
    return found


def _nll(log_probability: Floats, label: NDArray[np.int64]) -> float:
    """Negative log-likelihood at the best temperature: calibration comes later for every model."""
    p = at_temperature(log_probability, fit_temperature(log_probability, label))
    return float(-np.log(np.maximum(p[np.arange(len(label)), label], 1e-300)).mean())
