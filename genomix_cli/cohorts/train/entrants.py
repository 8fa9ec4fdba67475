"""Who competes: the model asked for, in each of its variations, and the baselines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from genomix_cli.cohorts.dataset import Samples
from genomix_cli.cohorts.requests import Contest
from genomix_cli.cohorts.runs import build
from genomix_cli.errors import MissingExtraError, UsageError
from genomix_cli.registry import COHORT_MODELS

# Not a field of any model: which modalities it sees, joined by +.
MODALITIES = "modalities"


@dataclass(frozen=True)
class Entrant:
    """A model on a set of modalities.

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
    modalities : tuple of str
    main : bool
        Asked for, not a baseline.
    control : bool
        Whether to train it on shuffled labels too.
    """

    name: str
    model: str
    arch: Mapping[str, Any]
    fixed: frozenset[str] = field(default=frozenset())
    modalities: tuple[str, ...] = ()
    main: bool = True
    control: bool = False


def preset(model: str, name: str = "") -> dict[str, Any]:
    """Fields of a model's preset, by default its first.

    Raises
    ------
    UsageError
        If it has none of that name.
    """
    presets = COHORT_MODELS.load(model).presets
    if name and name not in presets:
        raise UsageError(f"{model} has no preset {name!r}", expected=" or ".join(presets))
    return dict(presets[name] if name else next(iter(presets.values())))


def check(contest: Contest) -> None:
    """Refuse what cannot be, before any file is read.

    Raises
    ------
    UsageError
        If a name, preset or field does not exist.
    MissingExtraError
        If a model needs a package that is not installed.
    """
    for combination in _combinations(contest):
        build(contest.model, {**_start(contest), **combination}, where="--set or --vary")
    for name in (contest.model, *contest.baselines):
        for package, extra in COHORT_MODELS.load(name).needs.items():
            if find_spec(package) is None:
                raise MissingExtraError(package, extra)


def entrants_of(contest: Contest, samples: Samples) -> list[Entrant]:
    """The model in each variation, then the baselines on all modalities of `samples`.

    Raises
    ------
    UsageError
        If a modality is not there.
    """
    every = tuple(modality.name for modality in samples.modalities)
    asked = [samples.only(each.split("+")) for each in contest.vary.get(MODALITIES, ())]
    subsets = [tuple(m.name for m in one.modalities) for one in asked] or [every]
    found: list[Entrant] = []
    for subset, combination in itertools.product(subsets, _combinations(contest)):
        told = [f"{key}={value}" for key, value in combination.items()]
        told += ["+".join(subset)] if len(subsets) > 1 else []
        found.append(
            Entrant(
                " ".join([contest.model, *told]),
                contest.model,
                {**_start(contest), **combination},
                frozenset(contest.arch) | frozenset(combination),
                subset,
                control=contest.control and not found,
            )
        )
    return found + [
        Entrant(name, name, preset(name), modalities=every, main=False)
        for name in contest.baselines
        if name != contest.model
    ]


def _start(contest: Contest) -> dict[str, Any]:
    return {**preset(contest.model, contest.preset), **contest.arch}


def _combinations(contest: Contest) -> list[dict[str, Any]]:
    fields = {key: values for key, values in contest.vary.items() if key != MODALITIES}
    return [
        dict(zip(fields, values, strict=True)) for values in itertools.product(*fields.values())
    ]
