"""Overhead of a training step of GMT beyond its arithmetic, as a Markdown table.

    python benchmarks/training_overhead.py SHARD.h5 [--steps 40] [--rounds 3]

SHARD is that of a simulated genome with four tracks (`benchmarks/weights.sh`). One thread, fp32,
GMT `mini`, two windows of up to 128 variants a step. In turns, from the same weights:

bare
    A PyTorch loop over batches that lie in memory: loss, backward, clipping, AdamW.
fit
    What `genomix train` runs: windows read from the shard, Lightning, logs, a schedule of the
    learning rate. A fit of twice as many steps less one of as many, so that starting, validating
    and saving are left out; the bare loop has the batches of the difference.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset

from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.learning.loop import fit
from genomix_cli.variants.models.gmt import GMT, PRESETS, GMTConfig
from genomix_cli.variants.train.dataset import VariantDataset, collate
from genomix_cli.variants.train.task import VariantTask

WINDOWS, VARIANTS = 2, 128
RATE, CLIP, DECAY = 1e-3, 1.0, 0.01


def made(shard: Shard) -> VariantTask:
    """A task with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VariantTask(GMT(GMTConfig(shard.modalities, **PRESETS["mini"])), shard.variants)


def loader(shard: Shard, steps: int) -> DataLoader[Any]:
    """So many batches of windows spread over the first contig, read as they are asked for."""
    module = made(shard).module
    rows = np.flatnonzero(np.isfinite(shard.variants.label) & (shard.variants.contig == 0))
    data = VariantDataset(
        shard,
        rows,
        n_bins=module.n_bins,
        core_bins=module.core_bins,
        flank=module.flank,
        max_group=VARIANTS,
        augment=True,
    )
    return DataLoader(Subset(data, range(steps * WINDOWS)), WINDOWS, collate_fn=collate)


def bare(shard: Shard, batches: list[Any]) -> float:
    """Seconds of a step."""
    task, generator = made(shard), torch.Generator().manual_seed(0)
    module = task.module.train()
    optimiser = torch.optim.AdamW(module.parameters(), RATE, weight_decay=DECAY)
    start = time.perf_counter()
    for batch in batches:
        optimiser.zero_grad()
        task.losses(batch, generator)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP)
        optimiser.step()
    return (time.perf_counter() - start) / len(batches)


def fitted(shard: Shard, steps: int) -> float:
    """Seconds of a fit of one epoch."""
    task, batches = made(shard), loader(shard, steps)
    config = FitConfig(epochs=1, learning_rate=RATE, weight_decay=DECAY, clip=CLIP, quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        cpu = torch.device("cpu")
        fit(task, lambda epoch: batches, loader(shard, 1), config, Path(folder), cpu, 0)
        return time.perf_counter() - start


def main() -> None:
    """Take turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shard", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shard, n = open_shard(options.shard), options.steps
    start = time.perf_counter()
    batches = list(loader(shard, 2 * n))[n:]
    reading = (time.perf_counter() - start) / (2 * n)
    loops, fits = [], []
    for _ in range(options.rounds):
        loops.append(bare(shard, batches))
        once, twice = (fitted(shard, steps) for steps in (n, 2 * n))
        fits.append((twice - once) / n)
    print("| | ms per step | to the bare loop |\n|---|---|---|")
    for name, seconds in (
        ("bare loop, batches in memory", median(loops)),
        ("reading and encoding the batches", reading),
        ("`genomix train`", median(fits)),
    ):
        print(f"| {name} | {1e3 * seconds:.0f} | {seconds / median(loops):.2f}x |")


if __name__ == "__main__":
    main()
