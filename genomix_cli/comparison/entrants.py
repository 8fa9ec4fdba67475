"""The classifiers of a contest, each with the configuration it starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Generic

from genomix_cli.comparison.classifier import Classifier, D, State
from genomix_cli.errors import MissingExtraError, UsageError
from genomix_cli.registry import Registry

# What the table of predictions is written with.
TABLES = {"pyarrow": "cohorts"}


@dataclass(frozen=True)
class Entrant(Generic[D]):
    """A classifier that competes.

    Attributes
    ----------
    name : str
        Name in the tables.
    model : str
        Name in the registry.
    registry : Registry
    arch : mapping
        Fields of the configuration.
    fixed : frozenset of str
        Fields that tuning leaves alone, since the user has set them.
    modalities : tuple of str
        Modalities that it sees.
    main : bool
        True for what was asked for, False for a baseline.
    control : bool, optional
        True to train it on shuffled labels too; None: only if it does not learn in epochs, for then
        it takes seconds.
    start : dict of str to NDArray
        Trained weights to start from; empty: from scratch.
    augment : callable, optional
        Training data to more of it.
    equip : callable, optional
        Gives every new model what it starts from beside its configuration.
    """

    name: str
    model: str
    registry: Registry = field(repr=False)
    arch: Mapping[str, Any] = field(default_factory=dict)
    fixed: frozenset[str] = field(default=frozenset())
    modalities: tuple[str, ...] = ()
    main: bool = False
    control: bool | None = False
    start: State = field(default_factory=dict, repr=False)
    augment: Callable[[D], D] | None = field(default=None, repr=False)
    equip: Callable[[Classifier[D]], None] | None = field(default=None, repr=False)

    @property
    def kind(self) -> type[Classifier[D]]:
        """Class of the model."""
        kind: type[Classifier[D]] = self.registry.load(self.model)
        return kind

    def build(self, arch: Mapping[str, Any], *, where: object = None) -> Classifier[D]:
        """Return a new model of a configuration.

        Raises
        ------
        UsageError
            If the model is unknown or the configuration does not fit.
        """
        model = self.kind.of(arch, where=where)
        model.start = self.start
        if self.equip is not None:
            self.equip(model)
        return model


def preset(registry: Registry, model: str, name: str = "") -> dict[str, Any]:
    """Return the fields of a model's preset, by default of its first.

    Raises
    ------
    UsageError
        If it has none of that name.
    """
    presets = registry.load(model).presets
    if name and name not in presets:
        raise UsageError(f"{model} has no preset {name!r}", expected=" or ".join(presets))
    return dict(presets[name] if name else next(iter(presets.values())))


def require(needs: Mapping[str, str]) -> None:
    """Fail before hours of work, not after, where a package is missing.

    Parameters
    ----------
    needs : mapping
        Packages, and the extra that brings each.

    Raises
    ------
    MissingExtraError
        If one is not installed.
    """
    for package, extra in needs.items():
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)
