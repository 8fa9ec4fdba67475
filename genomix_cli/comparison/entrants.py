"""The classifiers of a contest, each with its initial configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from typing import Any, Generic

from genomix_cli.comparison.classifier import Classifier, D, State
from genomix_cli.errors import MissingExtraError, UsageError
from genomix_cli.registry import Registry

# The package that writes the table of predictions, and its extra.
TABLES = {"pyarrow": "cohorts"}
# Field of a configuration: the maximum number of epochs.
EPOCHS = "epochs"


@dataclass(frozen=True)
class Entrant(Generic[D]):
    """A classifier that takes part in a contest.

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
        Fields that the user has set and tuning does not change.
    modalities : tuple of str
        Modalities that the classifier sees.
    main : bool
        True for a model that the user asked for, False for a baseline.
    control : bool, optional
        True to train it on shuffled labels too. None to do so only if it does not learn in epochs,
        since it then takes seconds.
    start : dict of str to NDArray
        Trained weights to start from; empty to train from scratch.
    augment : callable, optional
        Function that takes training data and returns augmented training data.
    equip : callable, optional
        Function that gives every new model whatever it needs beyond its configuration.
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
        """Return a new model with the configuration `arch`.

        Raises
        ------
        UsageError
            If the model is unknown or the configuration is not valid for it.
        """
        model = self.kind.of(arch, where=where)
        model.start = self.start
        if self.equip is not None:
            self.equip(model)
        return model


def preset(registry: Registry, model: str, name: str = "") -> dict[str, Any]:
    """Return the fields of a model's preset, by default the first.

    Raises
    ------
    UsageError
        If the model has no preset of that name.
    """
    presets = registry.load(model).presets
    if name and name not in presets:
        raise UsageError(f"{model} has no preset {name!r}", expected=" or ".join(presets))
    return dict(presets[name] if name else next(iter(presets.values())))


def with_epochs(entrants: Iterable[Entrant[D]], epochs: int | None) -> list[Entrant[D]]:
    """Set the maximum number of epochs of all entrants that learn in epochs; None changes nothing.

    Raises
    ------
    UsageError
        If no entrant learns in epochs.
    """
    entrants = list(entrants)
    if epochs is None:
        return entrants
    learn = [any(f.name == EPOCHS for f in fields(each.kind.config_class)) for each in entrants]
    if not any(learn):
        names = ", ".join(each.name for each in entrants)
        raise UsageError("no model learns in epochs", where="--epochs", found=names)
    return [
        replace(each, arch={**each.arch, EPOCHS: epochs}, fixed=each.fixed | {EPOCHS})
        if has
        else each
        for each, has in zip(entrants, learn, strict=True)
    ]


def require(needs: Mapping[str, str]) -> None:
    """Refuse to start where a package is missing, rather than fail after hours of work.

    Parameters
    ----------
    needs : mapping
        Packages, each with the extra that installs it.

    Raises
    ------
    MissingExtraError
        If a package is not installed.
    """
    for package, extra in needs.items():
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)
