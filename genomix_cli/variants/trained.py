"""Trained variant models: configuration, saving and loading."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.detect import model_folder
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.formats.run_folder import CONFIG, WEIGHTS, RunFolder
from genomix_cli.formats.seen import Seen
from genomix_cli.genome.signal import TrackSpec
from genomix_cli.genome.tracks import modalities
from genomix_cli.learning.activity import DOMAIN as ACTIVITY_DOMAIN
from genomix_cli.learning.activity import Predicted
from genomix_cli.learning.calibration import Platt
from genomix_cli.learning.networks import stored_module, weights
from genomix_cli.provenance import Provenance, named
from genomix_cli.registry import BORROWED_MODELS, VARIANT_MODELS
from genomix_cli.variants.conditions import Calibration, Conditions, holding

DOMAIN = "variants"


@dataclass(frozen=True)
class ModelConfig:
    """Everything besides the weights that scoring needs.

    Attributes
    ----------
    model : str
        Name in the registry.
    arch : dict
        Fields of the model's configuration class.
    tracks : tuple of TrackSpec
        Tracks in input order, each with the normalisation used in training.
    uncovered : str
        Meaning of bases without signal: ``"missing"`` or ``"zero"``.
    max_gap_bins : int
        Gaps up to this many bins are interpolated.
    calibrations : tuple of Calibration
        Maps from logit to probability, each with the conditions of its fit.
    assembly : str
        Name of the reference assembly trained on.
    demonstration : bool
        True for weights that are not suitable for real conclusions.
    pretrained_only : bool
        True for weights that can only serve as a start for training, not for scoring.
    provenance : dict
        Provenance of the model.
    """

    model: str
    arch: Mapping[str, Any]
    tracks: tuple[TrackSpec, ...]
    uncovered: str = "missing"
    max_gap_bins: int = 10
    calibrations: tuple[Calibration, ...] = (Calibration(Platt()),)
    assembly: str = ""
    demonstration: bool = False
    pretrained_only: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads_window(self) -> bool:
        """False for a model that reads only haplotypes."""
        return bool(class_of(self.model).reads_window)

    @property
    def activity(self) -> Predicted | None:
        """Architecture of the part that predicts activity; None if there is none."""
        found: Predicted | None = class_of(self.model).activity_of(self.arch)
        return found

    def core_bins(self, folder: Path) -> int:
        """Return the number of central bins whose variants a shared window serves.

        Raises
        ------
        DataError
            If the architecture is not valid for this model.
        """
        config_class = class_of(self.model).config_class
        try:
            return int(from_dict(config_class, self.arch, where=folder / CONFIG).core_bins)
        except UsageError as error:
            raise DataError(f"is damaged: {error}", where=folder / CONFIG) from error

    def conditions(
        self,
        tracks: Collection[str] | None = None,
        *,
        contacts: bool | None = None,
        uncovered: str | None = None,
        **how: Any,
    ) -> Conditions:
        """Return the conditions of scores, as far as the model reads its inputs.

        Parameters
        ----------
        tracks : collection of str, optional
            Given tracks; None means all.
        contacts : bool, optional
            True if a contact map is given.
        uncovered : str, optional
            Meaning of bases without signal; None means as in training.
        **how
            Further fields of `Conditions`.
        """
        read = [spec.name for spec in self.tracks if self.arch.get("use_tracks", True)]
        measured = tuple(name for name in read if tracks is None or name in tracks)
        return Conditions(
            measured,
            contacts if self.arch.get("use_contacts") else False,
            (uncovered or self.uncovered) if measured else None,
            **how,
        )

    def conditions_on(self, shard: Shard) -> Conditions:
        """Return the conditions of scores of a shard's variants."""
        return self.conditions(modalities(shard.measured), contacts=shard.has_contacts)

    def calibration(self, conditions: Conditions) -> Platt | None:
        """Return the usable calibration fitted under these conditions; None without one."""
        found = holding(self.usable_calibrations, conditions)
        return None if found is None else found.platt

    @property
    def usable_calibrations(self) -> tuple[Calibration, ...]:
        """Calibrations that preserve the order of scores."""
        return tuple(each for each in self.calibrations if each.keeps_order)


@dataclass(frozen=True)
class LoadedModel:
    """Model that is ready to score.

    Attributes
    ----------
    module : Any
        Network in evaluation mode, on the requested device.
    config : ModelConfig
    path : Path
        Run folder.
    sha256 : str
        Digest of the weights file.
    """

    module: Any
    config: ModelConfig
    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """Name and digest of the model, for outputs."""
        return named(self.path, self.sha256)


def save_model(
    folder: Path, module: nn.Module, config: ModelConfig, seen: Seen | None = None
) -> None:
    """Write weights, alleles seen in training, and configuration into an existing folder."""
    calibrations = [
        {"platt": c.platt._asdict(), "conditions": asdict(c.conditions)}
        for c in config.calibrations
    ]
    plain = asdict(config) | {"calibrations": calibrations}
    RunFolder(folder).save(DOMAIN, plain, weights(module), seen)


def model_config(
    name: str, module: nn.Module, shard: Shard, provenance: Provenance, **others: Any
) -> ModelConfig:
    """Return the configuration of a model trained on a shard; `others` are further fields."""
    return ModelConfig(
        model=name,
        arch=arch_of(module),
        tracks=shard.modality_specs,
        uncovered=shard.uncovered,
        max_gap_bins=shard.max_gap_bins,
        assembly=shard.assembly,
        provenance=provenance.to_dict(),
        **others,
    )


def refuse_unable(config: ModelConfig, folder: Path) -> None:
    """Refuse to score with a model that was only pre-trained, or that only predicts classes.

    Raises
    ------
    UsageError
        If the model cannot score; the message names the command that trains it.
    """
    activity = config.activity
    if activity is not None and not activity.reported and not config.reads_window:
        raise UsageError(
            "predicts only classes, so it cannot score variants",
            where=folder,
            found=", ".join(output.name for output in activity.outputs),
            hint="train it on quantities, or name the classes to score by: --set "
            "'summary=[\"NAME\"]'",
        )
    if config.pretrained_only:
        raise UsageError(
            "is only pre-trained, so it cannot score yet",
            where=folder,
            hint=f"train it on labelled variants: genomix train SHARD --init {folder}",
        )


def build_model(name: str, arch: Mapping[str, Any], *, where: object = None) -> Any:
    """Construct a registered model from plain data.

    Raises
    ------
    UsageError
        If the model is unknown or its configuration does not fit.
    """
    model_class = class_of(name)
    return model_class(from_dict(model_class.config_class, arch, where=where))


def class_of(name: str) -> Any:
    """Return the class of a model by its name in a registry.

    Raises
    ------
    UsageError
        If the name is unknown.
    """
    return (BORROWED_MODELS if name in BORROWED_MODELS else VARIANT_MODELS).load(name)


def read_config(folder: Path) -> ModelConfig:
    """Read and check ``config.json``.

    Raises
    ------
    DataError
        If the file is damaged, belongs to another domain, or was written by a newer version.
    """
    run, where = RunFolder(folder), folder / CONFIG
    if is_borrowed(folder):
        return _borrowed_config(run.config(ACTIVITY_DOMAIN), where)
    return _config(run.config(DOMAIN), where)


def is_borrowed(folder: Path) -> bool:
    """Return True for a run of ``genomix train`` on sequences that scores variants."""
    return any(RunFolder(folder).is_of(ACTIVITY_DOMAIN, task=task) for task in BORROWED_MODELS)


def _borrowed_config(data: Mapping[str, Any], where: Path) -> ModelConfig:
    """Return the configuration of a sequence network as a variant model."""
    try:
        task, arch, made = data["task"], data["arch"], dict(data.get("provenance", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"is damaged: {error}", where=where) from error
    class_of(task).activity_of(arch, where)
    return ModelConfig(task, arch, (), calibrations=(), provenance=made)


def _platt(data: Mapping[str, Any]) -> Platt:
    found = Platt(**{name: float(value) for name, value in data.items()})
    if not np.isfinite(found).all():
        raise ValueError("the calibration is not finite")
    return found


def _config(data: dict[str, Any], where: Path) -> ModelConfig:
    try:
        data["tracks"] = tuple(from_dict(TrackSpec, t, where=where) for t in data["tracks"])
        first = data.pop("calibration", None)  # written by the first version, for all tracks
        data["calibrations"] = tuple(
            Calibration(_platt(c["platt"]), from_dict(Conditions, c["conditions"], where=where))
            for c in data.get("calibrations", ())
        )
        config = from_dict(ModelConfig, data, where=where)
        if first is None:
            return config
        return replace(config, calibrations=(Calibration(_platt(first), config.conditions()),))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UsageError) as error:
        raise DataError(f"is damaged: {error}", where=where) from error


def load_model(name: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Load a model from a run folder, or one that ships with genomix, ready to score.

    Parameters
    ----------
    name : str or Path
    device : str or torch.device

    Raises
    ------
    UsageError
        If the model does not exist.
    DataError
        If its files are damaged or do not belong together.
    """
    folder = model_folder(str(name))
    where = folder / CONFIG
    if is_borrowed(folder):
        return _load_borrowed(folder, device)
    stored = RunFolder(folder).load(DOMAIN)
    config = _config(stored.config, where)
    try:
        module = stored_module(
            lambda: build_model(config.model, config.arch, where=where), stored.state
        )
    except (ValueError, RuntimeError, MemoryError) as error:
        first, *layers = str(error).splitlines()  # PyTorch lists layers line by line
        reason = "they are of other layers" if layers else first
        raise DataError(
            f"the weights do not fit the configuration: {reason}",
            where=folder / WEIGHTS,
            hint="if another version of genomix trained it, score with that or train it again",
        ) from error
    return LoadedModel(module.to(device).eval(), config, folder, stored.sha256)


def _load_borrowed(folder: Path, device: str | torch.device) -> LoadedModel:
    stored = RunFolder(folder).load(ACTIVITY_DOMAIN)
    config = _borrowed_config(stored.config, folder / CONFIG)
    module = class_of(config.model).stored(config.arch, stored.state, folder)
    return LoadedModel(module.to(device).eval(), config, folder, stored.sha256)


def arch_of(module: Any) -> dict[str, Any]:
    """Return a module's configuration as plain data."""
    return to_dict(module.config)
