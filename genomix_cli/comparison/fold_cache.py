"""Results of each entrant and split on disk, from which an interrupted contest resumes."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from genomix_cli.comparison.calibrations import Calibration
from genomix_cli.comparison.protocol import FoldResult
from genomix_cli.comparison.study import FoldFit, Importance
from genomix_cli.config import from_dict
from genomix_cli.learning.task import Epoch
from genomix_cli.outputs import atomic_path

# Prefix of arrays that hold the predictions from one modality alone.
ALONE = "alone:"


def save_result(path: Path, result: FoldResult) -> None:
    """Write a result; arrays that are None are left out."""
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    arrays |= {f"{ALONE}{name}": value for name, value in result.alone.items()}
    plain = {
        "fit": asdict(result.fit),
        "calibrations": [asdict(calibration) for calibration in result.calibrations],
        "parameters": result.parameters,
        "trials": result.trials,
        "importances": [asdict(importance) for importance in result.importances],
    }
    data = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    with atomic_path(path) as draft, open(draft, "wb") as handle:
        np.savez(handle, plain=data, **arrays)  # type: ignore[arg-type]


def load_result(path: Path) -> FoldResult:
    """Read a result written by :func:`save_result`."""
    with np.load(path, allow_pickle=False) as file:
        plain = json.loads(file["plain"].tobytes())
        arrays = {name: file[name] for name in file.files if name != "plain"}
    alone = {n.removeprefix(ALONE): arrays.pop(n) for n in list(arrays) if n.startswith(ALONE)}
    fit, importances = plain.pop("fit"), plain.pop("importances", ())
    curve = tuple(Epoch(**epoch) for epoch in fit.pop("curve"))
    calibrations = plain.pop("calibrations")
    return FoldResult(
        calibrations=tuple(from_dict(Calibration, each, where=path) for each in calibrations),
        fit=FoldFit(**fit, curve=curve),
        importances=tuple(Importance(**importance) for importance in importances),
        alone=alone,
        **plain,
        **arrays,
    )
