"""A cohort with planted drivers, and run folders of models trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genomix_cli.cohorts.dataset import read_samples
from genomix_cli.cohorts.models.preprocessing import fit_preprocessor
from genomix_cli.cohorts.runs import RunConfig, save_run
from genomix_cli.comparison.calibrations import calibrate
from genomix_cli.config import to_dict
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.formats.cohort_writer import add_samples, add_truth
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS
from tests.cohort_files import modality, write_cohort

CLASSES = ("A", "B, late", "C")
TEMPERATURE = 1.5
WITHOUT_ANY = "S007"


def planted(path: Path, n: int = 120, seed: int = 0) -> Path:
    """Write a cohort whose classes drive three features of ``expression`` and two of ``calls``.

    Every fifth sample lacks the calls, some values are missing, and one sample has no values.
    """
    rng = np.random.default_rng(seed)
    rows = [f"S{i:03d}" for i in range(n)]
    label = np.arange(n) % 3
    expression = rng.normal(5, 1, (n, 8))
    expression[:, :3] += 2 * np.eye(3)[label]
    expression[rng.random(expression.shape) < 0.05] = np.nan
    expression[7] = np.nan
    calls = np.clip(np.rint(rng.normal(0, 0.7, (n, 5))), -2, 2)
    calls[:, :2] = np.clip(calls[:, :2] + np.array([[-1, 0], [0, 1], [1, 0]])[label], -2, 2)
    has = [i for i in range(n) if i % 5 and i != 7]
    drivers = {"driver": [True, True, True, *[False] * 5], "interaction": [-1] * 8}
    crossed = {"driver": [True, False, False, False, False], "interaction": [-1, 0, -1, -1, -1]}
    modalities = {
        "expression": modality(expression, "expression", rows, drivers),
        "calls": modality(calls[has], "copy_number_calls", [rows[i] for i in has], crossed),
    }
    write_cohort(path, modalities, {"sample": rows, "label": [CLASSES[k] for k in label]})
    with h5py.File(path, "r+") as file:
        add_samples(file, {"truth": label[:, None].astype(float)})
        add_truth(file, {"latents": ["class"], "bayes": [], "interactions": []})
    return path


def train(cohort: Path, folder: Path, model: str = "straight", **arch: Any) -> Path:
    """Write a run folder of a model trained on two thirds of a cohort."""
    with open_cohort(cohort) as opened:
        samples = read_samples(opened)
    learned = np.arange(len(samples)) % 9 < 6
    fitted = COHORT_MODELS.load(model).of(arch)
    fitted.fit(samples.take(learned), FitSettings(seed=1))
    rest = samples.take(~learned)
    log_p = fitted.log_probability(rest)
    calibrations = calibrate(log_p, rest.label, rest.measured, 0.8, lambda *_: TEMPERATURE)
    folder.mkdir()
    config = RunConfig(
        model=model,
        arch=to_dict(fitted.config),
        modalities=fitted.modalities,
        classes=fitted.classes,
        counts=tuple(map(int, np.bincount(samples.label[learned]))),
        calibrations=calibrations,
        level=0.8,
        calibration="split",
        provenance={"version": "0", "command": "a test"},
    )
    save_run(folder, fitted, config, training=fit_preprocessor(samples.take(learned)))
    return folder
