"""A trained cohort model on disk: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Modality, Samples
from genomix_cli.cohorts.models.base import CohortModel, under
from genomix_cli.cohorts.models.preprocessing import Preprocessor
from genomix_cli.comparison.calibrations import Calibration
from genomix_cli.comparison.scoring import Calibrated
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import CONFIG, RunFolder
from genomix_cli.formats.seen import Seen
from genomix_cli.provenance import named
from genomix_cli.registry import COHORT_MODELS

DOMAIN = "cohorts"
# Prefix of the arrays of `Run.training` among the weights.
TRAINING = "training/"


@dataclass(frozen=True)
class RunConfig:
    """Everything that scoring needs besides the weights.

    Attributes
    ----------
    model : str
        Name in the registry.
    arch : dict
        Fields of the model's configuration class.
    modalities : tuple of Modality
    classes : tuple of str
    counts : tuple of int
        Number of training samples of each class.
    calibrations : tuple of Calibration
        Temperature and thresholds of prediction sets for each combination of measured modalities
        with enough samples; the most frequent combination first.
    level : float
        Share of samples whose prediction set should hold the right class.
    calibration : str
        ``cross`` (out-of-fold) or ``split`` (samples set aside).
    provenance : dict
    """

    model: str
    arch: Mapping[str, Any]
    modalities: tuple[Modality, ...]
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    calibrations: tuple[Calibration, ...]
    level: float
    calibration: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run(Calibrated):
    """A trained model, ready to score.

    Attributes
    ----------
    config : RunConfig
    path : Path
    sha256 : str
        Digest of the weights file.
    training : Preprocessor, optional
        Mean and SD of every feature in training; None in an older run.
    """

    model: CohortModel
    config: RunConfig
    path: Path
    sha256: str
    training: Preprocessor | None = None

    @property
    def name(self) -> str:
        """Name and digest of the run, for outputs."""
        return named(self.path, self.sha256)

    def measured(self, inputs: Samples) -> NDArray[np.bool_]:
        """Return the modalities measured for each sample, bool ``[n, M]``."""
        return inputs.measured


def save_run(
    folder: Path,
    model: CohortModel,
    config: RunConfig,
    seen: Seen | None = None,
    training: Preprocessor | None = None,
) -> None:
    """Write weights, configuration and records of the training samples into an existing folder."""
    values = {} if training is None else training.state()
    state = {**model.state(), **{f"{TRAINING}{name}": array for name, array in values.items()}}
    RunFolder(folder).save(DOMAIN, to_dict(config), state, seen)


def load_run(folder: Path, device: str = "cpu") -> Run:
    """Load a run folder of `genomix train cohort.h5mu`, ready to score.

    Raises
    ------
    UsageError
        If the folder is not a run folder.
    DataError
        If its files are damaged, of a newer version, or do not belong together.
    """
    folder = Path(folder)
    stored = RunFolder(folder).load(DOMAIN)
    config = _config(stored.config, folder / CONFIG)
    kind: type[CohortModel] = COHORT_MODELS.load(config.model)
    values = under(stored.state, TRAINING)
    state = {name: a for name, a in stored.state.items() if not name.startswith(TRAINING)}
    model = kind.restored(config.arch, config.modalities, config.classes, state, folder)
    model.to(device)
    training = Preprocessor.restore(config.modalities, values) if values else None
    return Run(model, config.calibrations, config, folder, stored.sha256, training)


def read_run_config(folder: Path) -> RunConfig:
    """Read and check ``config.json``; raise the same errors as :func:`load_run`."""
    return _config(RunFolder(folder).config(DOMAIN), Path(folder) / CONFIG)


def _config(data: dict[str, Any], where: Path) -> RunConfig:
    try:
        data["modalities"] = tuple(from_dict(Modality, m, where=where) for m in data["modalities"])
        if "temperature" in data:  # an older run with one calibration for all samples
            first = {name: data.pop(name) for name in ("temperature", "thresholds")}
            data["calibrations"] = [{"measured": None, **first}]
        calibrations = (from_dict(Calibration, c, where=where) for c in data["calibrations"])
        data["calibrations"] = tuple(calibrations)
        config = from_dict(RunConfig, data, where=where)
        thresholds = {len(calibration.thresholds) for calibration in config.calibrations}
        if not {len(config.classes)} == {len(config.counts)} == thresholds:
            raise ValueError("its thresholds do not fit its classes")
        return config
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise DataError(f"is damaged: {error}", where=where) from error
