"""Save and load a diffusion model.

Letters in shapes: B batch, L bases, C conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli.comparison.tables import plain
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Columns, Sequences
from genomix_cli.learning.networks import stored_module, weights
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.generate.conditions import Condition, Mix
from genomix_cli.sequences.generate.model import Denoiser, DenoiserConfig
from genomix_cli.sequences.runs import RunConfig, read_run, save_run

TASK = "diffuse"


@dataclass(frozen=True)
class Diffusion:
    """A diffusion model that generates sequences.

    Attributes
    ----------
    denoiser : Denoiser
        In evaluation mode, on its device.
    conditions : tuple of Condition
        In the order of the denoiser's input.
    mix : Mix
        Combinations of conditions in the training sequences.
    config : RunConfig
    device : str
    """

    denoiser: Denoiser
    conditions: tuple[Condition, ...]
    mix: Mix
    config: RunConfig
    device: str = "cpu"


def save_diffusion(
    folder: Path,
    denoiser: Denoiser,
    conditions: tuple[Condition, ...],
    mix: Mix,
    sequences: Sequences,
    provenance: Provenance,
) -> None:
    """Write a run folder that :func:`load_diffusion` reads."""
    facts = {"conditions": conditions, "mix": mix.values, "count": mix.weight}
    if sequences.columns is not None:
        # The layout to give to generated sequences that are aligned.
        contigs = list(sequences.contigs.items())
        facts |= {"columns": sequences.columns, "contigs": contigs, "assembly": sequences.assembly}
    label, classes = next(
        ((c.name, c.categories or ()) for c in conditions if c.name == sequences.default_label),
        ("", ()),
    )
    arch = to_dict(denoiser.config)
    config = RunConfig.of(
        TASK, TASK, arch, sequences, provenance, label=label, classes=classes, facts=plain(facts)
    )
    save_run(folder, config, weights(denoiser))


def load_diffusion(folder: Path, device: str = "cpu") -> Diffusion:
    """Read a run folder.

    Raises
    ------
    UsageError
        If the folder does not exist, or holds a model for another task.
    DataError
        If the folder is damaged.
    """
    run = read_run(folder, TASK)
    facts = run.config.facts
    try:
        config = from_dict(DenoiserConfig, run.config.arch)
        denoiser = stored_module(lambda: Denoiser(config), run.state)
        conditions = tuple(from_dict(Condition, each) for each in facts["conditions"])
        values = np.array(facts["mix"], np.float32).reshape(-1, len(conditions))
        mix = Mix(values, np.array(facts["count"], np.int64))
    except (KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise DataError(f"is damaged: {str(error).splitlines()[0]}", where=folder) from error
    return Diffusion(denoiser.to(device).eval(), conditions, mix, run.config, device)


def columns_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of `Sequences` for sequences aligned like the training sequences."""
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
