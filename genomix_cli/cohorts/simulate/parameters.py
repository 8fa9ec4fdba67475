"""Parameters of a simulated cohort: presets, a YAML file over them, options over both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli.cohorts.simulate.factors import FACTORED, FactorLaw, FactorParameters
from genomix_cli.cohorts.simulate.joint_model import JointModel
from genomix_cli.cohorts.simulate.levels import beta_levels
from genomix_cli.cohorts.simulate.missing import Missing, MissingParameters
from genomix_cli.cohorts.simulate.shared import Interaction, Shared, batch_law, class_codes
from genomix_cli.config import Count, Positive, Share, from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import require_extra
from genomix_cli.registry import COHORT_MODALITIES

DIFFICULTIES = ("easy", "medium", "hard")
_CHOICES = ("difficulty", "synergy")


@dataclass(frozen=True)
class Purity:
    """Tumour purity ~ Beta(`a`, `b`), on `nodes` nodes of its quadrature."""

    a: Positive = 6.0
    b: Positive = 4.0
    nodes: Count = 12


@dataclass(frozen=True)
class Batches:
    """Number of batches, and how far the class determines them (`confounding`, kappa)."""

    number: Count = 1
    confounding: Share = 0.0


@dataclass(frozen=True)
class Interactions:
    """Exclusive-ors between pairs of modalities, and the `share` of drivers that show them."""

    share: Share = 0.0
    pairs: tuple[Any, ...] = ()


@dataclass(frozen=True)
class CohortParameters:
    """All parameters of a cohort except the seed.

    Attributes
    ----------
    samples : int
    classes : dict of str to float
        Frequency of each class; they need not sum to 1.
    world : int
        Seed of everything common to all samples, so that cohorts of one preset share a ceiling.
    penetrance : float, optional
        Penetrance of all modalities that have one and do not set it.
    purity : Purity
    batches : Batches
    missing : MissingParameters
    interactions : Interactions
    factors : FactorLaw
        Distribution of the factors that modalities with `loadings` show; empty without any.
    modalities : dict of str to dict
        Parameters of each modality; unset ones have their default.
    names : dict of str to str
        Names of modalities in the file, if not the usual ones: as in a real cohort, so that the two
        can be compared.
    """

    samples: Count = 1000
    classes: dict[str, Any] = field(default_factory=lambda: {"A": 0.5, "B": 0.5})
    world: int = 0
    penetrance: Share | None = None
    purity: Purity = field(default_factory=Purity)
    batches: Batches = field(default_factory=Batches)
    missing: MissingParameters = field(default_factory=MissingParameters)
    interactions: Interactions = field(default_factory=Interactions)
    factors: FactorLaw = field(default_factory=FactorLaw)
    modalities: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)

    def called(self, modality: str) -> str:
        """Return the name of a modality in the file."""
        return self.names.get(modality, modality)

    def build(self) -> JointModel:
        """Build the joint model with these parameters."""
        frequency = np.array(list(self.classes.values()), float)
        prior = frequency / frequency.sum()
        pairs = self.interactions.pairs if self.interactions.share else ()
        codes = class_codes(list(prior), len(pairs))
        shared = Shared(
            tuple(self.classes),
            prior,
            beta_levels(self.purity.a, self.purity.b, self.purity.nodes),
            batch_law(len(prior), self.batches.number, self.batches.confounding),
            tuple(Interaction(a, b, code) for (a, b), code in zip(pairs, codes, strict=True)),
            self.interactions.share,
        )
        missing = Missing(self.missing, shared)
        return JointModel(shared, missing, self.modalities, self.world, self.factors)


def presets() -> dict[str, Path]:
    """Return the presets that ship with genomix, by name."""
    folder = Path(str(files("genomix_cli.cohorts.simulate"))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_parameters(
    preset: str | None = None,
    file: Path | None = None,
    *,
    difficulty: str = "medium",
    synergy: bool = False,
    samples: int | None = None,
) -> CohortParameters:
    """Read the parameters of a preset, of a file, or of a file over a preset.

    Raises
    ------
    UsageError
        If the preset or difficulty does not exist, or a parameter is not valid.
    DataError
        If the file is not YAML.
    MissingExtraError
        If the packages for cohorts are not installed.
    """
    require_extra()
    settings: dict[str, Any] = {}
    for path in (_preset(preset), file):
        if path is not None:
            settings = merged(settings, read_yaml(path))
    chosen = _chosen(settings, difficulty, synergy, where=file or f"preset {preset}")
    if samples is not None:
        chosen["samples"] = samples
    return parse(chosen, where=file or f"preset {preset}")


def _preset(name: str | None) -> Path | None:
    if name is None:
        return None
    known = presets()
    if name not in known:
        raise UsageError(
            "unknown preset", where="--preset", expected=" or ".join(known), found=name
        )
    return known[name]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; raise DataError for anything else."""
    import yaml

    try:
        # The parser in C is ten times as fast, on the loadings of a fitted cohort.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content = yaml.load(Path(path).read_text(), Loader=loader)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"is not YAML: {error}", where=path) from error
    if not isinstance(content, dict):
        raise DataError("is not a mapping", where=path, expected="key: value", found=str(content))
    return content


def to_yaml(parameters: CohortParameters) -> str:
    """Return the parameters as text that :func:`read_parameters` can read."""
    import yaml

    return yaml.safe_dump(to_dict(parameters), sort_keys=False, default_flow_style=None)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the entries of `over`, table by table; classes are replaced as a whole."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both and key != "classes" else value
    return result


def _chosen(settings: dict[str, Any], difficulty: str, synergy: bool, where: object) -> Any:
    """Return the settings of one difficulty, with or without synergy."""
    if difficulty not in DIFFICULTIES:
        raise UsageError("unknown difficulty", expected=" or ".join(DIFFICULTIES), found=difficulty)
    layers = [settings]
    if synergy:
        if "synergy" not in settings:
            raise UsageError(
                "the preset has no synergy",
                where=where,
                hint="set interactions: {share: ..., pairs: ...}",
            )
        layers.append(settings["synergy"])
    chosen: dict[str, Any] = {}
    for layer in layers:
        chosen = merged(chosen, {k: v for k, v in layer.items() if k not in _CHOICES})
        chosen = merged(chosen, layer.get("difficulty", {}).get(difficulty, {}))
    return chosen


def parse(settings: dict[str, Any], where: object) -> CohortParameters:
    """Turn plain settings into parameters.

    Parameters
    ----------
    settings : dict
    where : object
        File or preset, for errors.

    Raises
    ------
    UsageError
        Naming all problems of a table together.
    """
    typed, default = dict(settings), CohortParameters()
    for name in ("purity", "batches", "missing", "interactions", "factors"):
        if name in typed:
            table = _mapping(typed[name], where, name)
            typed[name] = from_dict(type(getattr(default, name)), table, where=f"{where}: {name}")
    modalities = _mapping(typed.get("modalities", {}), where, "modalities")
    typed["modalities"] = {
        name: _modality(name, values, settings.get("penetrance"), where)
        for name, values in modalities.items()
    }
    parameters = from_dict(CohortParameters, typed, where=where)
    _check(parameters, where)
    return parameters


def _modality(name: str, settings: Any, penetrance: float | None, where: object) -> Any:
    settings = dict(_mapping(settings or {}, where, name))
    cls = COHORT_MODALITIES.load(name).Parameters
    if name in FACTORED and "loadings" in settings:
        cls = FactorParameters
    if penetrance is not None and any(f.name == "penetrance" for f in fields(cls)):
        settings.setdefault("penetrance", penetrance)
    return from_dict(cls, settings, where=f"{where}: {name}")


def _mapping(value: Any, where: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(
            "is not a table", where=f"{where}: {name}", expected="key: value", found=str(value)
        )
    return value


def _check(parameters: CohortParameters, where: object) -> None:
    """Refuse parameters that contradict each other."""
    problems = []
    frequencies = parameters.classes.values()
    if len(frequencies) < 2:
        problems.append("there are fewer than two classes")
    if not all(isinstance(f, (int, float)) and f > 0 for f in frequencies):
        problems.append("a class is not a name with a frequency above 0")
    if not parameters.modalities:
        problems.append("there are no modalities")
    if parameters.interactions.share and not parameters.interactions.pairs:
        problems.append("interactions have a share, but there are no pairs")
    for pair in parameters.interactions.pairs:
        if len(set(pair)) != 2 or not set(pair) <= set(parameters.modalities):
            problems.append(f"{list(pair)} is no pair of two modalities of the cohort")
    problems += parameters.missing.problems(parameters.modalities)
    problems += _factor_problems(parameters)
    names = [parameters.called(name) for name in parameters.modalities]
    if not all(isinstance(name, str) and not {"/", "+"} & set(name) for name in names):
        problems.append("a name is no text without / and +")
    elif len(set(names)) < len(names) or not set(parameters.names) <= set(parameters.modalities):
        problems.append("names are not one each for modalities of the cohort")
    if problems:
        raise UsageError("; ".join(problems), where=where)


def _factor_problems(parameters: CohortParameters) -> list[str]:
    """Return contradictions between the law of factors and the modalities that show them."""
    shown = {
        name: each
        for name, each in parameters.modalities.items()
        if isinstance(each, FactorParameters)
    }
    problems = parameters.factors.problems(len(parameters.classes)) if shown else []
    if not problems:
        for name, each in shown.items():
            problems += [f"{name} {p}" for p in each.problems(parameters.factors.width)]
    paired = {name for pair in parameters.interactions.pairs for name in pair}
    return problems + [
        f"{name} has loadings, so no interaction" for name in shown if name in paired
    ]
