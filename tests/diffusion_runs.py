"""A small trained diffusion model for tests: two classes, one rich in G and C."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.sequences import Columns, Phenotype, Sequences, write_sequences
from genomix_cli.genome import iupac
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.generate.checkpoint import load_diffusion
from genomix_cli.sequences.generate.conditions import wanted_values
from genomix_cli.sequences.generate.simulate import draw
from genomix_cli.sequences.generate.train import DiffusionSummary, train_diffusion
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.train.splits import TEST, TRAIN, VALID

CLASSES = ("poor", "rich")
LENGTH = 30


def two_classes(path: Path, n: int = 600, seed: int = 0, *, aligned: bool = False) -> Path:
    """Write sequences whose class sets the GC content; if `aligned`, as sites 10 bases apart."""
    places = np.arange(LENGTH)
    columns = Columns(
        np.zeros(LENGTH, np.int16),
        places * 10,
        places.astype(np.int32),
        np.ones(LENGTH, np.uint8),
        np.full(LENGTH, 2, np.uint8),
    )
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    strong = rng.random((n, LENGTH)) < np.where(label, 0.8, 0.2)[:, None]
    bases = np.where(
        strong, 1 + rng.integers(0, 2, strong.shape), 3 * rng.integers(0, 2, strong.shape)
    )
    sequences = Sequences(
        names=np.array([f"s{i}" for i in range(n)]),
        codes=iupac.from_bases(bases),
        group=np.arange(n),
        split=np.array([TRAIN[0], TRAIN[0], VALID[0], TEST[0]])[np.arange(n) // 2 % 4],
        phenotypes=(
            Phenotype("class", CLASSES, label.astype(np.int16)),
            Phenotype("size", None, rng.random(n).astype(np.float32)),
        ),
        default_label="class",
        **({"columns": columns, "contigs": {"chr1": 999}} if aligned else {}),
    )
    write_sequences(path, sequences, Provenance.of({}, {}))
    return path


def trained(
    data: Path, folder: Path, *, arch: Mapping[str, Any] | None = None, **options: object
) -> DiffusionSummary:
    """Train a run that takes seconds and return its summary."""
    quick = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01, "draws": 2, "judged": 40}
    request = TrainRequest(
        data=data,
        output=folder,
        task="diffuse",
        preset="tiny",
        arch={"channels": 8, "width": 16, "heads": 2, **(arch or {})},
        options={**quick, **options},
    )
    summary = train_diffusion(request)
    assert summary is not None
    return summary


def generate(
    run: Path,
    conditions: Mapping[str, Any],
    n: int,
    *,
    guidance: float = 1.0,
    steps: int = 0,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Generate sequences with a run, uint8 ``[n, L]``."""
    model = load_diffusion(run)
    values = wanted_values(model.conditions, conditions, model.mix, n, seed)
    return draw(model, values, guidance, steps, seed)
