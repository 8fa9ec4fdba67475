"""Measure the overhead of training over the network's arithmetic, as a row of a Markdown table.

    python benchmarks/training_overhead.py [--epochs 3] [--batches 0] [--rounds 3] -- ARGUMENTS

ARGUMENTS are those of `genomix train`. The script intercepts its first fit, and then runs it in
turns from the same weights:

bare
    A PyTorch loop over batches in memory: loss, backward, clipping, AdamW; after each epoch the
    predictions and metrics of the validation part.
fit
    What `genomix train` runs: batches made on demand, Lightning, a learning-rate schedule and
    checkpoints, including set-up and clean-up.
Times are CPU time of one process, which other processes hardly affect. `--batches` makes epochs
shorter.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from genomix_cli.cli.main import app
from genomix_cli.learning import lightning
from genomix_cli.learning.fit_settings import FitConfig


class HeldBack(BaseException):
    """Signal that carries the arguments of a fit; the command does not report it as an error."""


class First:
    """The first batches of a loader, made on demand."""

    def __init__(self, loader: Any, most: int) -> None:
        self.loader, self.most = loader, most or len(loader)

    def __len__(self) -> int:
        return min(self.most, len(self.loader))

    def __iter__(self) -> Any:
        return islice(iter(self.loader), self.most)


def held_back(arguments: list[str]) -> tuple[Any, ...]:
    """Return task, loaders and configuration of the first fit of a command."""

    def run(*fit: Any) -> None:
        raise HeldBack(*fit)

    real, lightning.run = lightning.run, run
    with tempfile.TemporaryDirectory() as folder:
        try:
            app(["train", *arguments, "-o", f"{folder}/run", "-q"], standalone_mode=False)
        except HeldBack as held:
            return held.args
        finally:
            lightning.run = real
    raise SystemExit("nothing was fitted")


def bare(task: Any, epochs: list[list[Any]], valid: list[Any], config: FitConfig) -> None:
    """Train in a plain PyTorch loop."""
    module, generator = task.module, torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(
        module.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    for batches in epochs:
        module.train()
        for batch in batches:
            optimiser.zero_grad()
            task.losses(batch, generator)["loss"].backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), config.clip)
            optimiser.step()
        module.eval()
        with torch.inference_mode():
            task.metrics([task.predict(batch) for batch in valid])


def seconds(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Time both loops in turns, and print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batches", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task, loader, valid, config, _, device, seed, _, _ = held_back(options.arguments)
    config = replace(config, epochs=options.epochs, patience=0, quiet=True, checkpoint_every=0)
    config = replace(config, validations_per_epoch=1)
    start = copy.deepcopy(task.module)

    def first(epoch: int) -> First:
        return First(loader(epoch), options.batches)

    validation = First(valid() if callable(valid) else valid, options.batches)
    validation = First(list(validation), 0)
    epochs = [list(first(epoch)) for epoch in range(options.epochs)]

    def again() -> None:
        task.module = copy.deepcopy(start)

    def fit() -> None:
        with tempfile.TemporaryDirectory() as own:
            folder = Path(own)
            lightning.run(task, first, validation, config, folder, device, seed, None, False)

    loops, fits = [], []
    for _ in range(options.rounds):
        again()
        loops.append(seconds(lambda: bare(task, epochs, validation, config)))
        again()
        fits.append(seconds(fit))
    steps = sum(map(len, epochs))
    each = [1e3 * median(found) / steps for found in (loops, fits)]
    size = sum(p.numel() for p in start.parameters())
    print("| parameters | steps | bare loop, ms a step | `genomix train`, ms a step | ratio |")
    print("|---|---|---|---|---|")
    print(f"| {size:,} | {steps} | {each[0]:.2f} | {each[1]:.2f} | {each[1] / each[0]:.2f} |")


if __name__ == "__main__":
    main()
