"""A trained cohort model on disk: ``config.json`` beside ``model.safetensors``, as everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from genomix_cli.cohorts.dataset import Floats, Modality, Samples
from genomix_cli.cohorts.models.base import CohortModel
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.learning.calibration import at_temperature
from genomix_cli.learning.checkpoints import (
    FORMAT,
    FORMAT_VERSION,
    WEIGHTS,
    read_plain,
    weights_file,
)
from genomix_cli.learning.conformal import prediction_sets
from genomix_cli.provenance import sha256
from genomix_cli.registry import COHORT_MODELS

DOMAIN = "cohorts"


@dataclass(frozen=True)
class RunConfig:
    """Everything beside the weights that scoring needs.

    Attributes
    ----------
    model : str
        Name in the registry.
    arch : dict
        Fields of the model's configuration class.
    modalities : tuple of Modality
    classes : tuple of str
    counts : tuple of int
        Training samples of each class.
    temperature : float
        Logits are divided by it.
    thresholds : tuple of float
        Of the prediction sets, one per class.
    level : float
        Share of samples the sets are to cover.
    calibration : str
        ``cross`` (out-of-fold) or ``split`` (samples set aside).
    provenance : dict
    """

    model: str
    arch: Mapping[str, Any]
    modalities: tuple[Modality, ...]
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    temperature: float
    thresholds: tuple[float, ...]
    level: float
    calibration: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A model ready to score.

    Attributes
    ----------
    model : CohortModel
    config : RunConfig
    path : Path
    sha256 : str
        Digest of the weights file.
    """

    model: CohortModel
    config: RunConfig
    path: Path
    sha256: str

    def probability(self, samples: Samples) -> Floats:
        """Calibrated probabilities ``[n, K]``."""
        return at_temperature(self.model.log_probability(samples), self.config.temperature)

    def sets(self, probability: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Prediction sets bool ``[n, K]``."""
        return prediction_sets(probability, self.config.thresholds)


def build(name: str, arch: Mapping[str, Any], *, where: object = None) -> CohortModel:
    """Construct a registered model from plain data.

    Raises
    ------
    UsageError
        If the model is unknown or its configuration does not fit.
    """
    model_class = COHORT_MODELS.load(name)
    return model_class(from_dict(model_class.config_class, arch, where=where))


def save_run(folder: Path, model: CohortModel, config: RunConfig) -> None:
    """Write weights and configuration into an existing folder."""
    # ascontiguousarray would give a scalar, as batch norm has them, an axis.
    state = {name: np.asarray(array, order="C") for name, array in model.state().items()}
    (folder / WEIGHTS).write_bytes(save(state))
    data = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "domain": DOMAIN,
        **to_dict(config),
        "modalities": [to_dict(modality) for modality in config.modalities],
    }
    (folder / "config.json").write_text(json.dumps(data, indent=1, default=list) + "\n")


def load_run(folder: Path, device: str = "cpu") -> Run:
    """Load a run folder of `genomix train cohort.h5mu`, ready to score.

    Raises
    ------
    UsageError
        If there is none.
    DataError
        If its files are damaged, of a newer version, or do not belong together.
    """
    folder = Path(folder)
    config = read_run_config(folder)
    weights = weights_file(folder)
    model = build(config.model, config.arch, where=folder / "config.json")
    try:
        model.restore(config.modalities, config.classes, load_file(str(weights)))
    except Exception as error:  # safetensors raises its own type, torch RuntimeError
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"the weights do not fit the configuration: {reason}", where=weights
        ) from error
    model.to(device)
    return Run(model, config, folder, sha256(weights))


def read_run_config(folder: Path) -> RunConfig:
    """Read and check ``config.json``.

    Raises
    ------
    UsageError
        If there is none.
    DataError
        If it is damaged, of another kind, or of a newer version.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise UsageError("is not a run folder", where=folder, hint="make one: genomix train")
    data = read_plain(path, DOMAIN)
    try:
        data["modalities"] = tuple(from_dict(Modality, m, where=path) for m in data["modalities"])
        return from_dict(RunConfig, data, where=path)
    except (KeyError, TypeError, UsageError) as error:
        raise DataError(f"is damaged: {error}", where=path) from error
