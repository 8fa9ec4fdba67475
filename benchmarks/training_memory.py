"""Measure peak memory and time of a training step of GMT, as a Markdown table.

    python benchmarks/training_memory.py [--device cuda] [--presets mini base paper]
        [--bins 400 2000] [--windows 1 4] [--variants 16 128] [--precision bf16-mixed]
        [--checkpointing no yes] [--steps 3]

A step is forward, backward and AdamW on made-up windows. Each row runs in its own process. On a
GPU, memory is PyTorch's peak allocation; on a CPU, it is the peak resident set of the process minus
the set after importing PyTorch. The time is the median of the steps after the first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from itertools import product
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.memory import is_out_of_memory
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.gmt import GMT, PRESETS, GMTConfig
from genomix_cli.variants.models.layout import BINS_PER_CONTACT
from genomix_cli.variants.records.inputs import BIN_SIZE, MARGIN, MAX_ALLELE

TRACKS = ("ATAC", "H3K27ac", "H3K4me3", "TF")
MIB = 2**20


class Case(NamedTuple):
    """Settings of one row."""

    preset: str
    n_bins: int
    windows: int
    variants: int
    checkpointing: bool


class Cost(NamedTuple):
    """Peak MiB, and seconds of a step."""

    memory: float
    seconds: float


def inputs(model: GMT, case: Case) -> tuple[Window, Variants, Tensor]:
    """Return made-up windows, SNVs and labels."""
    rng = torch.Generator().manual_seed(0)
    w, g, n = case.windows, case.variants, case.n_bins
    width, contacts = 2 * model.flank + MAX_ALLELE, n // BINS_PER_CONTACT
    window = Window(
        torch.randint(0, 4, (w, n * BIN_SIZE + 2 * MARGIN), generator=rng, dtype=torch.uint8),
        torch.randn(w, len(TRACKS), n, generator=rng),
        torch.ones(w, len(TRACKS), n),
        torch.zeros(w, contacts, contacts),
    )
    ref = torch.randint(0, 4, (w, g, width), generator=rng, dtype=torch.uint8)
    alt = ref.clone()
    alt[..., model.flank] = (alt[..., model.flank] + 1) % 4
    one = torch.ones(w, g, dtype=torch.int64)
    offset = torch.randint(0, n * BIN_SIZE, (w, g), generator=rng)
    return (
        window,
        Variants(offset, ref, alt, one, one),
        (torch.rand(w, g, generator=rng) > 0.5) * 1.0,
    )


def resident() -> float:
    """Return the peak resident set of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cost(case: Case, options: argparse.Namespace, **fields: Any) -> Cost:
    """Train for some steps and return the cost; `fields` override those of the preset."""
    device = resolve_device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(options.threads)
    before = resident()
    torch.manual_seed(0)
    config = GMTConfig(TRACKS, **{**PRESETS[case.preset], **fields, "n_bins": case.n_bins})
    model = GMT(config).to(device).train()
    model.gradient_checkpointing = case.checkpointing
    optimiser = torch.optim.AdamW(model.parameters())
    window, variants, label = inputs(model, case)
    window = Window(*(field.to(device) for field in window))
    variants = Variants(*(field.to(device) for field in variants))
    label = label.to(device)
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, options.precision == "bf16-mixed"):
            logits = model(window, variants)
        F.binary_cross_entropy_with_logits(logits.float(), label).backward()
        optimiser.step()
        optimiser.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    if device.type == "cuda":
        return Cost(torch.cuda.max_memory_allocated(device) / MIB, median(seconds[1:] or seconds))
    return Cost(resident() - before, median(seconds[1:] or seconds))


def answer(case: Case, options: argparse.Namespace, end: object) -> None:
    """Send the cost from the child process; None if it did not fit into memory."""
    try:
        found: Cost | None = cost(case, options)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        found = None
    end.send(found)  # type: ignore[attr-defined]


def measure(case: Case, options: argparse.Namespace) -> str:
    """Return one row of the table."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=answer, args=(case, options, theirs))
    child.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:  # killed, most likely for lack of memory
        found = None
    child.join()
    costs = f"{found.memory:,.0f} | {found.seconds:.3g}" if found else "does not fit | -"
    yes = "yes" if case.checkpointing else "no"
    return f"| {case.preset} | {case.n_bins} | {case.windows} | {case.variants} | {yes} | {costs} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=["mini"])
    parser.add_argument("--bins", nargs="+", type=int, default=[400, 1200, 2000])
    parser.add_argument("--windows", nargs="+", type=int, default=[1])
    parser.add_argument("--variants", nargs="+", type=int, default=[16, 128])
    parser.add_argument("--checkpointing", nargs="+", choices=["no", "yes"], default=["no", "yes"])
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    print("| preset | bins | windows | variants per window | checkpointing | MiB | s per step |")
    print("|---|---|---|---|---|---|---|")
    for preset, n_bins, windows, variants, recompute in product(
        options.presets, options.bins, options.windows, options.variants, options.checkpointing
    ):
        case = Case(preset, n_bins, windows, variants, recompute == "yes")
        print(measure(case, options), flush=True)


if __name__ == "__main__":
    main()
