"""Activity runs as written by ``genomix train``, but with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from genomix_cli.config import to_dict
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.learning.activity import DOMAIN, TASK, ActivityConfig, ActivityModel, Output
from genomix_cli.learning.networks import new_module, weights

UNIT = "log2 RNA/DNA"
OUTPUTS = (
    Output("HepG2", "lentiMPRA", UNIT, "ACGTAC", "TTGA", mean=-0.5, sd=0.8),
    Output("K562", "lentiMPRA", UNIT, "ACGTAC", "TTGA", mean=0.2, sd=1.5),
    Output("open"),
    Output("teacher", unit="SD"),
)


def config(**fields: Any) -> ActivityConfig:
    """Return a small architecture with two measured outputs, a class and a teacher."""
    small = {"length": 60, "members": 2, "stem": 8, "motif_width": 7, "width": 8}
    return ActivityConfig(**{"outputs": OUTPUTS, **small, **fields})


def network(of: ActivityConfig, seed: int = 0) -> ActivityModel:
    """Return a network with random weights, and batch norms with non-zero means."""
    model = new_module(lambda: ActivityModel(of), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(generator=generator)
    return model


def save_activity(folder: Path, seed: int = 0, **fields: Any) -> Path:
    """Write the run folder of an activity network with random weights."""
    folder.mkdir(parents=True)
    arch = config(**fields)
    run = {"task": TASK, "model": TASK, "arch": to_dict(arch), "length": arch.length}
    RunFolder(folder).save(DOMAIN, run, weights(network(arch, seed)))
    return folder
