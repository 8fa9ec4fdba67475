"""Entrants of a contest on a cohort: the model in each of its variations, and the baselines."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from typing import Any

from genomix_cli.cohorts.dataset import Samples
from genomix_cli.cohorts.requests import Contest
from genomix_cli.comparison.entrants import EPOCHS, Entrant, preset, require, with_epochs
from genomix_cli.registry import COHORT_MODELS

# Name in `vary` for the modalities that a model sees, joined by +; not a field of any model.
MODALITIES = "modalities"
# Fields of a model that trains for a minimum number of steps, even if that takes more epochs.
STEPS, STRETCH = "steps", "stretch"


def check(contest: Contest) -> None:
    """Refuse an impossible request before any file is read.

    Raises
    ------
    UsageError
        If a name, preset or field does not exist.
    MissingExtraError
        If a model needs a package that is not installed.
    """
    for combination in _combinations(contest):
        kind = COHORT_MODELS.load(contest.model)
        kind.of({**_start(contest), **combination}, where="--set or --vary")
    for name in (contest.model, *contest.baselines):
        require(COHORT_MODELS.load(name).needs)


def entrants_of(contest: Contest, samples: Samples) -> list[Entrant[Samples]]:
    """Return the model in each variation, then the baselines on all modalities of `samples`.

    Raises
    ------
    UsageError
        If a modality does not exist, or no model learns in the epochs that are asked for.
    """
    every = tuple(modality.name for modality in samples.modalities)
    asked = [samples.only(each.split("+")) for each in contest.vary.get(MODALITIES, ())]
    subsets = [tuple(m.name for m in one.modalities) for one in asked] or [every]
    entrants: list[Entrant[Samples]] = []
    for subset, combination in itertools.product(subsets, _combinations(contest)):
        told = [f"{key}={value}" for key, value in combination.items()]
        told += ["+".join(subset)] if len(subsets) > 1 else []
        entrants.append(
            Entrant(
                " ".join([contest.model, *told]),
                contest.model,
                COHORT_MODELS,
                {**_start(contest), **combination},
                frozenset(contest.arch) | frozenset(combination),
                subset,
                main=True,
                control=contest.control and not entrants,
            )
        )
    entrants += [
        Entrant(name, name, COHORT_MODELS, preset(COHORT_MODELS, name), modalities=every)
        for name in contest.baselines
        if name != contest.model
    ]
    return list(map(_obeying, with_epochs(entrants, contest.epochs)))


def _obeying(entrant: Entrant[Samples]) -> Entrant[Samples]:
    """Return the entrant limited to the epochs that the user has set, unless steps are set too."""
    stretches = any(field.name == STRETCH for field in fields(entrant.kind.config_class))
    if not stretches or EPOCHS not in entrant.fixed or STEPS in entrant.fixed:
        return entrant
    return replace(entrant, arch={STRETCH: False, **entrant.arch})


def _start(contest: Contest) -> dict[str, Any]:
    """Return the fields of the preset, overridden by those that the user has set."""
    return {**preset(COHORT_MODELS, contest.model, contest.preset), **contest.arch}


def _combinations(contest: Contest) -> list[dict[str, Any]]:
    """Return the fields of each variation of the model."""
    fields = {key: values for key, values in contest.vary.items() if key != MODALITIES}
    return [
        dict(zip(fields, values, strict=True)) for values in itertools.product(*fields.values())
    ]
