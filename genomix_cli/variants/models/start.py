"""Initialise a model from another: pre-trained, for shorter windows, or part of this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.learning.activity import TASK
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.variants.models.base import VariantModel
from genomix_cli.variants.requests.train import PretrainRequest, TrainRequest
from genomix_cli.variants.trained import (
    LoadedModel,
    build_model,
    load_model,
    model_folder,
    read_config,
)

# Fields in which a model may differ from the model whose weights it starts from.
_CHANGEABLE = (
    "n_bins",
    "centre_bins",
    "allele_strands",
    "tracks",
    "dropout",
    "modality_dropout",
    "tune_activity",
)
_ABLATIONS = ("use_sequence", "use_tracks", "use_contacts")


def new_model(name: str, request: TrainRequest | PretrainRequest, shard: Shard) -> Any:
    """Return a model of a preset with the request's changes, for the tracks of a shard.

    If the model to start from is or contains a sequence-activity network, the new model gets one.

    Raises
    ------
    UsageError
        If the model or preset does not exist, or a field does not fit.
    """
    presets = VARIANT_MODELS.load(name).presets
    if request.preset not in presets:
        raise UsageError(f"{name} has no preset {request.preset!r}", expected=" or ".join(presets))
    arch = {**presets[request.preset], **request.arch, "tracks": list(shard.modalities)}
    if request.initial is not None and "activity" in _fields(name):
        arch = {"activity": _activity_of(request.initial), **arch}
    return build_model(name, arch, where="--set")


def _fields(name: str) -> set[str]:
    return {field.name for field in fields(VARIANT_MODELS.load(name).config_class)}


def _activity_of(initial: str) -> Mapping[str, Any] | None:
    """Return the architecture of a model's sequence-activity network; None if it has none."""
    config = read_config(model_folder(initial))
    if not config.reads_window and config.model != TASK:
        raise UsageError(
            f"is a run of another task: {config.model}",
            where=initial,
            expected=f"a model of variants, or a run of genomix train --task {TASK}",
        )
    return config.arch.get("activity") if config.reads_window else config.arch


def start_from(module: VariantModel, name: str, shard: Shard) -> LoadedModel:
    """Load the weights of `name`, matching tracks by modality; new tracks keep fresh weights.

    Parameters
    ----------
    module : VariantModel
    name : str
        Run folder, or name of a model that ships.
    shard : Shard
        Data to train on.

    Returns
    -------
    LoadedModel
        Source of the weights.

    Raises
    ------
    UsageError
        If `name` has a different kind, preset or architecture; the message names the difference.
    DataError
        If the shard stores one of the model's tracks on another scale.
    """
    loaded = load_model(name)
    tokens: Any = getattr(module, "activity", None)
    if not loaded.module.reads_window and tokens is not None:
        tokens.reader.load_state_dict(loaded.module.state_dict())
        return loaded
    _refuse_another(module, loaded, name)
    _refuse_scale(loaded, shard, name)
    state = loaded.module.state_dict()
    known = tuple(spec.name for spec in loaded.config.tracks)
    if tuple(module.config.tracks) != known:
        try:
            state = module.adopt(state, known)
        except NotImplementedError:
            raise UsageError(
                "has other tracks",
                where=name,
                expected=", ".join(module.config.tracks),
                found=", ".join(known),
            ) from None
    module.load_state_dict(state)
    return loaded


def _refuse_another(module: VariantModel, loaded: LoadedModel, name: str) -> None:
    if not loaded.module.reads_window:
        raise UsageError(
            f"is a sequence network ({loaded.config.model}), which this model cannot use",
            where=name,
            hint=f"only a gmt can start from a run of --task {TASK}: --model gmt",
        )
    own, other = asdict(module.config), asdict(loaded.module.config)
    differ = [
        f"{field}={other.get(field)} instead of {value}"
        for field, value in own.items()
        if field not in (*_CHANGEABLE, *_ABLATIONS) and other.get(field) != value
    ]
    if type(module) is not type(loaded.module):
        differ = [f"a {loaded.config.model}"]
    if differ:
        raise UsageError(
            f"is of another architecture: {', '.join(differ)}",
            where=name,
            hint="use its --model, --preset and --set",
        )


def _refuse_scale(loaded: LoadedModel, shard: Shard, name: str) -> None:
    known = {spec.name: spec for spec in loaded.config.tracks}
    other = [s.name for s in shard.modality_specs if s.name in known and s != known[s.name]]
    if other:
        raise DataError(
            f"{', '.join(other)} is on another scale than in {name}",
            where=shard.path,
            hint=f"prepare it with --normalise-like {name}",
        )
