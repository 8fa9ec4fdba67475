"""Save and load a diffusion model.

Letters in shapes: B batch, L bases, C conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Columns, Sequences
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.generate.conditions import Condition, Mix
from genomix_cli.sequences.generate.model import Denoiser, DenoiserConfig
from genomix_cli.sequences.runs import RunConfig, columns_digest, read_run, save_run

TASK = "diffuse"


@dataclass(frozen=True)
class Diffusion:
    """Model that generates sequences.

    Attributes
    ----------
    denoiser : Denoiser
        In evaluation mode, on its device.
    conditions : tuple of Condition
        In the order of the denoiser's input.
    mix : Mix
        Mix of the training sequences.
    config : RunConfig
    device : str
    sha256 : str
        Digest of the weights file.
    """

    denoiser: Denoiser
    conditions: tuple[Condition, ...]
    mix: Mix
    config: RunConfig
    device: str = "cpu"
    sha256: str = ""


def build(config: DenoiserConfig, seed: int) -> Denoiser:
    """Return a denoiser with weights from a seed, leaving the global generator unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Denoiser(config)


def save_diffusion(
    folder: Path,
    denoiser: Denoiser,
    conditions: tuple[Condition, ...],
    mix: Mix,
    sequences: Sequences,
    provenance: Provenance,
) -> None:
    """Write a run folder that :func:`load_diffusion` reads."""
    facts = {
        "conditions": [asdict(condition) for condition in conditions],
        "mix": [[_or_none(v) for v in row] for row in mix.values.tolist()],
        "count": mix.weight.tolist(),
        **_layout(sequences),
    }
    label = sequences.default_label if sequences.default_label in _names(conditions) else ""
    classes = next((c.categories or () for c in conditions if c.name == label), ())
    config = RunConfig(
        TASK,
        TASK,
        to_dict(denoiser.config),
        sequences.length,
        columns_digest(sequences.columns, sequences.contigs),
        label,
        classes,
        facts,
        provenance.to_dict(),
    )
    state = {name: tensor.cpu().numpy() for name, tensor in denoiser.state_dict().items()}
    save_run(folder, config, state)


def _names(conditions: tuple[Condition, ...]) -> list[str]:
    return [condition.name for condition in conditions]


def _or_none(value: float) -> float | None:
    """Return None for NaN, which JSON lacks."""
    return None if np.isnan(value) else value


def _layout(sequences: Sequences) -> dict[str, Any]:
    """Return the layout that aligned sequences need when generated."""
    if sequences.columns is None:
        return {}
    columns = {name: values.tolist() for name, values in sequences.columns._asdict().items()}
    return {
        "columns": columns,
        "contigs": list(map(list, sequences.contigs.items())),
        "assembly": sequences.assembly,
    }


def load_diffusion(folder: Path, device: str = "cpu") -> Diffusion:
    """Read a run folder.

    Raises
    ------
    UsageError
        If it does not exist, or is of another task.
    DataError
        If it is damaged.
    """
    run = read_run(folder, TASK)
    facts = run.config.facts
    try:
        denoiser = build(from_dict(DenoiserConfig, run.config.arch), 0)
        state = {name: torch.from_numpy(array) for name, array in run.state.items()}
        denoiser.load_state_dict(state)
        conditions = tuple(from_dict(Condition, each) for each in facts["conditions"])
        values = np.array(facts["mix"], np.float32).reshape(-1, len(conditions))
        mix = Mix(values, np.array(facts["count"], np.int64))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"is damaged: {str(error).splitlines()[0]}", where=folder) from error
    return Diffusion(denoiser.to(device).eval(), conditions, mix, run.config, device, run.sha256)


def columns_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of `Sequences` for sequences aligned like those of training."""
    if "columns" not in facts:
        return {}
    kinds = (np.int16, np.int64, np.int32, np.uint8, np.uint8)
    arrays = (
        np.array(facts["columns"][name], kind)
        for name, kind in zip(Columns._fields, kinds, strict=True)
    )
    return {
        "columns": Columns(*arrays),
        "contigs": {name: int(length) for name, length in facts["contigs"]},
        "assembly": facts["assembly"],
    }
