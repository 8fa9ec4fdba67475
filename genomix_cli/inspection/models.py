"""Reports on run folders: models of variants, cohorts and sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genomix_cli.cohorts.inspect.overview import Listing
from genomix_cli.errors import DataError, guarded
from genomix_cli.formats.run_folder import RunFolder, read_json
from genomix_cli.inspection.report import METRICS, Report, provenance_facts, settings_text

if TYPE_CHECKING:
    from genomix_cli.cohorts.runs import RunConfig as CohortRun
    from genomix_cli.variants.trained import ModelConfig

# Metrics shown of a trained classifier; metrics.json has more.
SHOWN_METRICS = ("accuracy", "macro_f1", "auroc", "nll", "calibration_error")


def variant_model(path: Path) -> Report:
    """Describe a model of variants, with its held-out metrics."""
    from genomix_cli.variants.trained import read_config

    config = read_config(path)
    weights = RunFolder(path).weights
    facts: dict[str, Any] = {
        "model": config.model,
        "parameters": _parameters(weights),
        "tracks": [spec.name for spec in config.tracks],
        "assembly": config.assembly or "not stated",
        "architecture": settings_text({k: v for k, v in config.arch.items() if k != "tracks"}),
        "calibrated for": [str(c.conditions) for c in config.usable_calibrations] or "nothing",
        "background": _backgrounds(path, config),
    }
    if config.demonstration:
        facts["purpose"] = "demonstration: not for real conclusions"
    if config.pretrained_only:
        facts["purpose"] = "to start from (--init): pre-trained only"
    # For each part of the data and metric: the interval, and the ceiling for any model.
    with guarded(path / METRICS):
        rows = tuple(
            (part, name, value["value"], value["low"], value["high"], values.get(f"bayes_{name}"))
            for part, values in _metrics(path).items()
            if isinstance(values, dict)
            for name, value in values.items()
            if isinstance(value, dict)
        )
    columns = ("part", "metric", "value", "low", "high", "ceiling")
    held_out = (Listing("held out", columns, rows),) if (path / METRICS).is_file() else ()
    return Report(path, "model", facts | provenance_facts(config.provenance), held_out)


def cohort_model(path: Path) -> Report:
    """Describe a model of cohorts, with its calibrations and held-out metrics."""
    from genomix_cli.cohorts.runs import read_run_config

    config = read_run_config(path)
    facts = {
        "model": config.model,
        "numbers stored": _parameters(RunFolder(path).weights),
        "training samples": sum(config.counts),
        "architecture": settings_text(config.arch),
        "prediction sets": f"cover {config.level:.1%} of each class ({config.calibration})",
        **_headline(path),
    }
    modalities = tuple((m.name, m.kind, len(m.features)) for m in config.modalities)
    classes = tuple(zip(config.classes, config.counts, strict=True))
    tables = (
        Listing("modalities", ("modality", "kind", "features"), modalities),
        Listing("classes", ("class", "training samples"), classes),
        _calibrations(config),
        *_held_out(path),
    )
    return Report(path, "model of cohorts", facts | provenance_facts(config.provenance), tables)


def _calibrations(config: CohortRun) -> Listing:
    """Return a table of temperature and set thresholds, by the modalities that a sample has."""

    def samples(measured: tuple[tuple[bool, ...], ...] | None) -> str:
        names = [[m.name for m in compress(config.modalities, each)] for each in measured or ()]
        return " or ".join(" + ".join(each) or "nothing" for each in names) or "any"

    rows = ((samples(c.measured), c.temperature, *c.thresholds) for c in config.calibrations)
    least = (f"least p of {name}" for name in config.classes)
    return Listing("calibrated for", ("measured", "temperature", *least), tuple(rows))


def sequence_model(path: Path) -> Report:
    """Describe a model of sequences, with its outputs and held-out metrics."""
    from genomix_cli.sequences.runs import read_run

    config = read_run(path).config
    facts: dict[str, Any] = {
        "task": config.task,
        "model": config.model,
        "numbers stored": _parameters(RunFolder(path).weights),
        "length": config.length,
        "sequences": "aligned" if config.columns else "not aligned",
        "architecture": settings_text({k: v for k, v in config.arch.items() if k != "outputs"}),
    }
    if config.label:
        facts |= {"label": config.label, "classes": list(config.classes)}
    if "outputs" in config.arch:
        facts |= _as_scorer(path)
    facts |= _headline(path) | provenance_facts(config.provenance)
    tables = (*_outputs(config.arch), *_held_out(path))
    return Report(path, "model of sequences", facts, tables)


def _as_scorer(path: Path) -> dict[str, Any]:
    """Return the facts that concern an activity or profile network as a scorer of variants."""
    from genomix_cli.variants.trained import read_config

    config = read_config(path)
    names = config.activity.averaged if config.activity else ()
    return {
        "scores variants by": list(names) or "nothing",
        "background": _backgrounds(path, config),
    }


def _backgrounds(path: Path, config: ModelConfig) -> list[str] | str:
    """Describe the background variants whose scores are stored beside the weights."""
    from genomix_cli.provenance import sha256
    from genomix_cli.variants.score.background import load_backgrounds

    digest = sha256(RunFolder(path).weights)
    return list(map(str, load_backgrounds(path, digest, config.conditions()))) or "none"


def _outputs(arch: Mapping[str, Any]) -> tuple[Listing, ...]:
    """Return a table of the outputs of an activity or profile network, if it is one."""
    if "outputs" not in arch:
        return ()
    columns = ("name", "assay", "unit", "category", "left", "right")
    rows = tuple(tuple(output.get(name, "") for name in columns) for output in arch["outputs"])
    titles = ("output", "assay", "unit", "log-odds of", "left", "right")
    return (Listing("outputs", titles, rows),)


def _metrics(path: Path) -> dict[str, Any]:
    file = path / METRICS
    return read_json(file) if file.is_file() else {}


def _held_out(path: Path) -> tuple[Listing, ...]:
    """Return a table of held-out metrics of a classifier and its baselines, one row per model."""
    with guarded(path / METRICS):
        outcomes = _metrics(path).get("outcomes", [])
        if not outcomes:
            return ()
        names = [name for name in SHOWN_METRICS if name in outcomes[0]["metrics"]]
        rows = tuple(
            (outcome["name"], *(outcome["metrics"][name]["interval"]["value"] for name in names))
            for outcome in outcomes
        )
    return (Listing("held out", ("model", *names), rows),)


def _headline(path: Path) -> dict[str, Any]:
    """Return the result of the comparison with baselines, and its warnings, in words."""
    metrics = _metrics(path)
    facts = {"result": metrics.get("headline"), "mind": metrics.get("warnings")}
    return {name: text for name, text in facts.items() if text}


def _parameters(weights: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, "np") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot be read: {error}", where=weights) from error
    return sum(map(math.prod, shapes))
