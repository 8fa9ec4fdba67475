"""Who competes: the model asked for, in each of its variations, and the baselines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from genomix_cli.cohorts.dataset import Samples
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


@dataclass(frozen=True)
class Contest:
    """Who is to compete, before the cohort is known.

    Attributes
    ----------
    model, preset : str
    arch : dict
        Fields that the user has set.
    vary : dict of str to tuple
        Fields, or ``modalities``, and the values they take: an entrant for each combination.
    baselines : tuple of str
    control : bool
        Train the first on shuffled labels too.
    """

    model: str
    preset: str = ""
    arch: Mapping[str, Any] = field(default_factory=dict)
    vary: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    baselines: tuple[str, ...] = ()
    control: bool = True

    def check(self) -> None:
        """Refuse what cannot be, before any file is read.

        Raises
        ------
        UsageError
            If a name, preset or field does not exist.
        MissingExtraError
            If a model needs a package that is not installed.
        """
        for combination in self._combinations():
            build(self.model, {**self._start(), **combination}, where="--set or --vary")
        for name in (self.model, *self.baselines):
            for package, extra in COHORT_MODELS.load(name).needs.items():
                if find_spec(package) is None:
                    raise MissingExtraError(package, extra)

    def entrants(self, samples: Samples) -> list[Entrant]:
        """The model in each variation, then the baselines on all modalities of `samples`.

        Raises
        ------
        UsageError
            If a modality is not there.
        """
        every = tuple(modality.name for modality in samples.modalities)
        asked = [samples.only(each.split("+")) for each in self.vary.get(MODALITIES, ())]
        subsets = [tuple(m.name for m in one.modalities) for one in asked] or [every]
        found: list[Entrant] = []
        for subset, combination in itertools.product(subsets, self._combinations()):
            told = [f"{key}={value}" for key, value in combination.items()]
            told += ["+".join(subset)] if len(subsets) > 1 else []
            found.append(
                Entrant(
                    " ".join([self.model, *told]),
                    self.model,
                    {**self._start(), **combination},
                    frozenset(self.arch) | frozenset(combination),
                    subset,
                    control=self.control and not found,
                )
            )
        return found + [
            Entrant(name, name, preset(name), modalities=every, main=False)
            for name in self.baselines
            if name != self.model
        ]

    def _start(self) -> dict[str, Any]:
        return {**preset(self.model, self.preset), **self.arch}

    def _combinations(self) -> list[dict[str, Any]]:
        fields = {key: values for key, values in self.vary.items() if key != MODALITIES}
        return [
            dict(zip(fields, values, strict=True)) for values in itertools.product(*fields.values())
        ]


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
