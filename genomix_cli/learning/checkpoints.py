"""A trained model on disk: ``config.json`` beside ``model.safetensors``; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.signal import TrackSpec
from genomix_cli.learning.calibration import Platt
from genomix_cli.provenance import sha256
from genomix_cli.registry import VARIANT_MODELS

FORMAT = "genomix-model"
DOMAIN = "variants"
FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
PRETRAINED = Path(__file__).parent.parent / "pretrained"


@dataclass(frozen=True)
class ModelConfig:
    """Everything beside the weights that scoring needs.

    Attributes
    ----------
    model : str
        Name in the registry.
    arch : dict
        Fields of the model's configuration class.
    tracks : tuple of TrackSpec
        In the order of the input, each with the normalisation that training applied.
    uncovered : str
        Meaning of bases without signal: ``"missing"`` or ``"zero"``.
    max_gap_bins : int
        Gaps up to this length are interpolated.
    calibration : Platt
        Logit to probability.
    assembly : str
        Name of the reference assembly trained on.
    demonstration : bool
        True for weights that are not meant for real conclusions.
    pretrained_only : bool
        True for weights to start training from, which score nothing yet.
    provenance : dict
        How the model was made.
    """

    model: str
    arch: Mapping[str, Any]
    tracks: tuple[TrackSpec, ...]
    uncovered: str = "missing"
    max_gap_bins: int = 10
    calibration: Platt = field(default_factory=lambda: Platt(1.0, 0.0))
    assembly: str = ""
    demonstration: bool = False
    pretrained_only: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to score.

    Attributes
    ----------
    module : Any
        The network, in evaluation mode on the device asked for.
    config : ModelConfig
    path : Path
        Its folder.
    sha256 : str
        Digest of the weights file.
    """

    module: Any
    config: ModelConfig
    path: Path
    sha256: str


def save_model(folder: Path, module: nn.Module, config: ModelConfig) -> None:
    """Write weights and configuration into an existing folder."""
    weights = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    # Written as bytes: the library's own writer makes files that only their owner can read.
    (folder / WEIGHTS).write_bytes(save(weights))
    data = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "domain": DOMAIN,
        **asdict(config),
        "calibration": config.calibration._asdict(),
    }
    (folder / "config.json").write_text(json.dumps(data, indent=1, default=list) + "\n")


def refuse_pretrained(config: ModelConfig, folder: Path) -> None:
    """Refuse to score with a model that was pre-trained only.

    Raises
    ------
    UsageError
        Naming the command that trains it.
    """
    if config.pretrained_only:
        raise UsageError(
            "was pre-trained only, and scores nothing yet",
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
    model_class = VARIANT_MODELS.load(name)
    return model_class(from_dict(model_class.config_class, arch, where=where))


def model_folder(name: str) -> Path:
    """The folder of a model given by path, or by the name of one that ships.

    Raises
    ------
    UsageError
        If there is neither.
    """
    for folder in (Path(name), PRETRAINED / name):
        if (folder / "config.json").is_file():
            return folder
    shipped = sorted(p.parent.name for p in PRETRAINED.glob("*/config.json"))
    raise UsageError(
        "no such model",
        where=name,
        expected=f"a run folder, or one of: {', '.join(shipped) or 'none ships'}",
    )


def read_config(folder: Path) -> ModelConfig:
    """Read and check ``config.json``.

    Raises
    ------
    DataError
        If it is damaged, of another kind, or of a newer version.
    """
    path = folder / "config.json"
    data = read_plain(path, DOMAIN)
    try:
        data["tracks"] = tuple(from_dict(TrackSpec, t, where=path) for t in data["tracks"])
        data["calibration"] = Platt(**data["calibration"])
        return from_dict(ModelConfig, data, where=path)
    except (KeyError, TypeError, UsageError) as error:
        raise DataError(f"is damaged: {error}", where=path) from error


def read_plain(path: Path, domain: str) -> dict[str, Any]:
    """The settings in a ``config.json``, for the class of its domain.

    Raises
    ------
    DataError
        If it cannot be read, is of another format or domain, or of a newer version.
    """
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", where=path) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise DataError("is not a genomix model", where=path, expected=f"format {FORMAT!r}")
    if data.get("domain", DOMAIN) != domain:
        found = data.get("domain", DOMAIN)
        raise DataError(f"is a model of {found}", where=path, expected=f"a model of {domain}")
    if data.get("format_version", 0) > FORMAT_VERSION:
        raise DataError(
            "was written by a newer genomix",
            where=path,
            expected=f"format version {FORMAT_VERSION} or less",
            found=str(data["format_version"]),
            hint="upgrade: pip install -U genomix-toolkit",
        )
    return {k: v for k, v in data.items() if k not in ("format", "format_version", "domain")}


def load_model(name: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Load a run folder, or a model that ships, ready to score.

    Parameters
    ----------
    name : str or Path
    device : str or torch.device

    Raises
    ------
    UsageError
        If there is no such model.
    DataError
        If its files are damaged or do not belong together.
    """
    folder = model_folder(str(name))
    config = read_config(folder)
    weights = weights_file(folder)
    # Building draws initial weights, which are replaced: the caller's generator stays as it was.
    with torch.random.fork_rng(devices=[]):
        module = build_model(config.model, config.arch, where=folder / "config.json")
    try:
        module.load_state_dict(load_file(str(weights)))
    except Exception as error:  # safetensors raises its own type, torch RuntimeError
        reason = str(error).splitlines()[0]
        raise DataError(
            f"the weights do not fit the configuration: {reason}", where=weights
        ) from error
    return LoadedModel(module.to(device).eval(), config, folder, sha256(weights))


def weights_file(folder: Path) -> Path:
    """The weights of a model.

    Raises
    ------
    DataError
        If they are missing.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise DataError("the weights are missing", where=path)
    return path


def arch_of(module: Any) -> dict[str, Any]:
    """The module's configuration as plain data."""
    return to_dict(module.config)


def resolve_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` as a device that is there.

    Raises
    ------
    UsageError
        If the name is unknown or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise UsageError(
            "unknown device", where="--device", expected="auto, cpu, cuda or cuda:N", found=name
        )
    count = torch.cuda.device_count()
    if kind == "cuda" and int(index or 0) >= count:
        raise UsageError(
            "no such GPU", where="--device", expected=f"{count} visible to PyTorch", found=name
        )
    return torch.device(name)


def resolve_devices(device: str, devices: str = "") -> list[torch.device]:
    """The devices that share the work.

    Parameters
    ----------
    device : str
        As for :func:`resolve_device`.
    devices : str
        How many (``"4"``), or the indices of GPUs (``"0,2"`` or ``"3,"``); empty: `device` alone.
        A number of CPUs is a number of processes.

    Raises
    ------
    UsageError
        If they are not there, or nothing of this kind is asked for.
    """
    first = resolve_device(device)
    if not devices:
        return [first]
    wrong = UsageError(
        "no devices", where="--devices", expected="a number, or indices as in 0,2", found=devices
    )
    indices = [part for part in devices.split(",") if part]
    if not indices or not all(index.isdecimal() for index in indices) or ":" in device:
        raise wrong
    if "," not in devices:
        if not int(devices):
            raise wrong
        indices = list(map(str, range(int(devices))))
    if first.type == "cpu":
        return [first] * len(indices)
    return [resolve_device(f"cuda:{index}") for index in indices]
