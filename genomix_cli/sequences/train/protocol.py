"""Every classifier by the same steps: tune and calibrate on some sequences, judge on others.

Letters: n sequences, t of them held out, K classes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.fold_cache import load_kept, save_kept
from genomix_cli.comparison.study import Fitted, Floats, FoldFit, Outcome
from genomix_cli.config import from_dict
from genomix_cli.errors import MissingExtraError, UsageError
from genomix_cli.learning.calibration import at_temperature, fit_temperature
from genomix_cli.learning.conformal import class_thresholds, prediction_sets
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier, State
from genomix_cli.sequences.train.splits import Split

log = logging.getLogger("genomix")


@dataclass(frozen=True)
class Entrant:
    """A classifier that competes.

    Attributes
    ----------
    name : str
        As the table calls it.
    model : str
        In the registry.
    arch : dict
        Fields of its configuration.
    fixed : frozenset of str
        Fields that tuning leaves alone: those the user has set.
    main : bool
        Asked for, not a baseline.
    start : dict of str to NDArray
        Weights of the encoder that it starts from; empty: from scratch.
    extra : Labelled, optional
        Sequences that join those learned from.
    """

    name: str
    model: str
    arch: Mapping[str, Any]
    fixed: frozenset[str] = field(default=frozenset())
    main: bool = False
    start: State = field(default_factory=dict, repr=False)
    extra: Labelled | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Rules:
    """How every classifier is tuned and judged.

    Attributes
    ----------
    trials : int
        Configurations of each; the first is its preset as it is.
    level : float
        Of the prediction sets.
    control : bool
        Train networks on shuffled labels too; what learns in seconds always is.
    """

    trials: int = 3
    level: float = 0.9
    control: bool = False


class Trained(NamedTuple):
    """A fitted, calibrated classifier.

    Attributes
    ----------
    model : SequenceClassifier
    fit : FoldFit
    thresholds : NDArray
        ``[K]``.
    parameters, trials : int
    """

    model: SequenceClassifier
    fit: FoldFit
    thresholds: Floats
    parameters: int
    trials: int


@dataclass(frozen=True)
class Part:
    """What one entrant did on one split.

    Attributes
    ----------
    fit : FoldFit
    rows : NDArray
        int64 ``[t]``: sequences held out.
    log_probability : NDArray
        float64 ``[t, K]``, before the temperature.
    thresholds : NDArray
        ``[K]``.
    parameters, trials : int
    shuffled : NDArray, optional
        float64 ``[t, K]``: after training on shuffled labels.
    """

    fit: FoldFit
    rows: NDArray[np.int64]
    log_probability: Floats
    thresholds: Floats
    parameters: int
    trials: int
    shuffled: Floats | None = None


def build(name: str, arch: Mapping[str, Any], *, where: object = None) -> SequenceClassifier:
    """A registered classifier from plain data.

    Raises
    ------
    UsageError
        If the model is unknown or its configuration does not fit.
    """
    kind = SEQUENCE_CLASSIFIERS.load(name)
    return kind(from_dict(kind.config_class, arch, where=where))


def preset_of(text: str, *, aligned: bool) -> tuple[str, str, dict[str, Any]]:
    """Name of a model, of its preset, and the preset's fields, from ``model`` or ``model:preset``.

    Without a preset it is the model's first, or, for aligned sequences, ``loci`` if it has that.

    Raises
    ------
    UsageError
        If model or preset do not exist.
    """
    name, _, wanted = text.partition(":")
    presets = SEQUENCE_CLASSIFIERS.load(name).presets
    if not wanted:
        wanted = "loci" if aligned and "loci" in presets else next(iter(presets))
    if wanted not in presets:
        raise UsageError(f"{name} has no preset {wanted!r}", expected=" or ".join(presets))
    return name, wanted, dict(presets[wanted])


def entrant(text: str, *, aligned: bool) -> Entrant:
    """A baseline as it is, from ``model`` or ``model:preset``; see :func:`preset_of`."""
    name, wanted, arch = preset_of(text, aligned=aligned)
    several = len(SEQUENCE_CLASSIFIERS.load(name).presets) > 1
    return Entrant(f"{name} {wanted}" if several else name, name, arch)


def check_extras(names: Iterable[str]) -> None:
    """Before hours of work, not after.

    Raises
    ------
    MissingExtraError
        If a model needs a package that is not installed.
    """
    for name in names:
        for package, extra in SEQUENCE_CLASSIFIERS.load(name).needs.items():
            if find_spec(package) is None:
                raise MissingExtraError(package, extra)


def candidates(one: Entrant, trials: int) -> list[dict[str, Any]]:
    """Configurations to try: the entrant's own, then those of its model that change anything."""
    found = [dict(one.arch)]
    kind = SEQUENCE_CLASSIFIERS.load(one.model)
    for fields in kind.trials if one.start else kind.tries(one.arch):
        changed = {key: value for key, value in fields.items() if key not in one.fixed}
        candidate = {**one.arch, **changed}
        if candidate not in found:
            found.append(candidate)
    return found[:trials]


def fit_once(
    one: Entrant,
    arch: Mapping[str, Any],
    train: Labelled,
    valid: Labelled,
    classes: tuple[str, ...],
    setting: FitSettings,
) -> tuple[SequenceClassifier, Fitted]:
    """A classifier of this configuration, fitted."""
    model = build(one.model, arch)
    if one.start:
        model.start = one.start
    return model, model.fit(train, setting, valid)


def train_entrant(
    one: Entrant,
    train: Labelled,
    valid: Labelled,
    classes: tuple[str, ...],
    rules: Rules,
    setting: FitSettings,
    fold: str = "",
) -> Trained:
    """Try configurations, keep the one most likely on `valid`, calibrate it there.

    Likelihoods are compared at the best temperature of each: a model is not chosen for being
    calibrated, since calibration follows for all. `valid` stops networks too, so temperature and
    sets are a little too sure; of the sequences held out nothing is used.
    """
    best: Trained | None = None
    tried = candidates(one, rules.trials)
    for i, arch in enumerate(tried):
        logs = None if setting.logs is None else setting.logs / f"trial-{i + 1}"
        started = time.perf_counter()
        own = replace(setting, logs=logs)
        model, fitted = fit_once(one, arch, train, valid, classes, own)
        seconds = time.perf_counter() - started
        held = model.log_probability(valid.sequences.codes)
        temperature = cautious_temperature(held, valid.label)
        p = at_temperature(held, temperature)
        nll = _nll(p, valid.label)
        said = {key: value for key, value in arch.items() if value != one.arch.get(key)}
        log.info("%s, trial %d: log loss %.4f, %.0f s %s", one.name, i + 1, nll, seconds, said)
        if best is None or nll < best.fit.tuning_nll:
            fit = FoldFit(fold, said, nll, temperature, seconds, fitted.curve, fitted.converged)
            thresholds = class_thresholds(p, valid.label, rules.level)
            best = Trained(model, fit, thresholds, fitted.parameters, len(tried))
    assert best is not None
    return best


def cautious_temperature(log_probability: Floats, label: NDArray[np.int64]) -> float:
    """`fit_temperature`, as if one more sequence, of a middling margin, had been wrong.

    Where all of few are right, the likelihood would have every later one certain: a rule of
    succession, as Platt's (1999) for two classes.

    Parameters
    ----------
    log_probability : NDArray
        float64 ``[n, K]``.
    label : NDArray
        int64 ``[n]``.
    """
    order = np.sort(log_probability, axis=1)
    margin = order[:, -1] - order[:, -2]
    middle = int(np.argsort(margin, kind="stable")[len(margin) // 2])
    second = int(np.argsort(log_probability[middle], kind="stable")[-2])
    again = np.concatenate([log_probability, log_probability[[middle]]])
    return fit_temperature(again, np.append(label, second))


def _nll(p: Floats, label: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(label)), label], 1e-300)).mean())


def judge(
    one: Entrant,
    data: Labelled,
    split: Split,
    classes: tuple[str, ...],
    rules: Rules,
    setting: FitSettings,
) -> tuple[Part, Trained]:
    """One entrant on one split: learn from some, predict those held out."""
    train, valid = data.take(split.train), data.take(split.valid)
    if one.extra is not None:
        train = train.joined(one.extra)
    trained = train_entrant(one, train, valid, classes, rules, setting, split.name)
    codes = data.sequences.codes[split.test]
    shuffled = None
    if rules.control or not trained.fit.curve:
        wrong = data.relabelled(shuffled_labels(data.label, setting.seed))
        shuffled = _shuffled(one, wrong, split, classes, trained, replace(setting, logs=None))
    part = Part(
        trained.fit,
        split.test,
        trained.model.log_probability(codes),
        trained.thresholds,
        trained.parameters,
        trained.trials,
        shuffled,
    )
    return part, trained


def shuffled_labels(label: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Labels ``[n]`` dealt anew among all sequences, those held out too."""
    return np.random.default_rng([seed, 1]).permutation(label)


def _shuffled(
    one: Entrant,
    wrong: Labelled,
    split: Split,
    classes: tuple[str, ...],
    trained: Trained,
    setting: FitSettings,
) -> Floats:
    """Probabilities after training on labels that say nothing ``[t, K]``."""
    arch = {**one.arch, **trained.fit.chosen}
    parts = wrong.take(split.train), wrong.take(split.valid)
    model, _ = fit_once(one, arch, *parts, classes, setting)
    return np.exp(model.log_probability(wrong.sequences.codes[split.test]))


def outcome(
    one: Entrant, n: int, n_classes: int, saw: tuple[str, ...], parts: Sequence[Part]
) -> Outcome:
    """All splits of an entrant, in the order of the sequences."""
    calibrated = np.full((1, n, n_classes), np.nan)
    raw, shuffled = calibrated.copy(), np.full((n, n_classes), np.nan)
    sets = np.zeros((n, n_classes), bool)
    for part in parts:
        raw[0, part.rows] = at_temperature(part.log_probability, 1.0)
        calibrated[0, part.rows] = at_temperature(part.log_probability, part.fit.temperature)
        sets[part.rows] = prediction_sets(calibrated[0, part.rows], part.thresholds)
        if part.shuffled is not None:
            shuffled[part.rows] = part.shuffled
    return Outcome(
        name=one.name,
        model=one.model,
        modalities=saw,
        main=one.main,
        trials=parts[0].trials,
        parameters=parts[-1].parameters,
        probability=calibrated,
        uncalibrated=raw,
        sets=sets,
        folds=tuple(part.fit for part in parts),
        shuffled=shuffled if parts[0].shuffled is not None else None,
    )


def save_part(path: Path, part: Part) -> None:
    """Keep a split, so that an interrupted run can go on."""
    plain = {"parameters": part.parameters, "trials": part.trials}
    names = ("rows", "log_probability", "thresholds", "shuffled")
    save_kept(path, part.fit, plain, {name: getattr(part, name) for name in names})


def load_part(path: Path) -> Part:
    """What :func:`save_part` kept."""
    return Part(**load_kept(path))
