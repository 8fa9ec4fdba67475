"""Measure the cost of a window and of a variant for each size of GMT, as a Markdown table.

    python benchmarks/presets.py [--device cuda] [--precision bf16] [--presets mini base paper]
                                 [--centre-bins 0] [--peak 989]

A GMT with random weights scores a made-up genome through `Engine`, as in `genomix score`. `--peak`
is the dense bf16 rate of the card in TFLOP/s (989 for an H200). The last column is the time for 5
million variants at one per 600 bp: windows and variants, without input (`benchmarks/inputs.py`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from statistics import median
from typing import Any, NamedTuple

import torch

from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.learning.devices import resolve_device
from genomix_cli.variants.models.gmt import GMT, PRESETS, GMTConfig
from genomix_cli.variants.records.inputs import WINDOW, Allele
from genomix_cli.variants.score.doctor import MadeUpGenome
from genomix_cli.variants.score.engine import Engine, Precision
from genomix_cli.variants.score.reading import WINDOWS, Target

TRACKS = ("ATAC", "H3K27ac", "H3K4me3", "TF")
GENOME, SPACING, VARIANTS = 3.1e9, 600, 5e6
ROUNDS = 5
#: Number of isolated variants in a round.
ISOLATED = 10


def flops(model: GMT) -> float:
    """Return the floating-point operations of a window of N tokens.

    24 N d^2 + 4 N^2 d per layer; only keys and values in the last layer.
    """
    n, d = len(model.layout.contact_bin), model.config.d_model
    return float((24 * n * d**2 + 4 * n**2 * d) * (model.config.n_layers - 1) + 4 * n * d**2)


def targets(genome: MadeUpGenome, window: int, core: int, device: torch.device) -> list[Target]:
    """Return SNVs at a genome's density, in as many cores as share a pass through the trunk."""
    length = core if device.type == "cpu" else min(WINDOWS[-1] * core, window)
    return [snv(genome, pos, core) for pos in range(window, window + length, SPACING)]


def isolated(genome: MadeUpGenome, window: int) -> list[Target]:
    """Return SNVs that need a window each."""
    return [snv(genome, pos) for pos in range(window // 2, 3 * window // 2, window // ISOLATED)]


def snv(genome: MadeUpGenome, pos: int, core: int = WINDOW) -> Target:
    """Return an SNV at a position."""
    ref = genome.codes("made-up", pos, pos + 1)
    return Target("made-up", Allele(pos, ref, (ref + 1) % 4), pos // core)


def seconds_alone(engine: Engine, snvs: list[Target]) -> float:
    """Return seconds per SNV in its own window, input included; CPU seconds on a CPU."""
    clock = time.process_time if engine.device.type == "cpu" else time.perf_counter
    start = clock()
    engine.score(snvs)
    return (clock() - start) / len(snvs)


class Cost(NamedTuple):
    """Parameters, bases of a core, seconds of a window, of a variant in it or alone, FLOP/s."""

    parameters: int
    core: int
    window: float
    variant: float
    isolated: float
    rate: float


def cost(fields: Mapping[str, Any], device: torch.device, precision: Precision) -> Cost:
    """Measure a GMT with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GMTConfig(TRACKS, **fields)
        model = GMT(config).to(device).eval()
    window, core = (n * BIN_SIZE for n in (config.n_bins, config.core_bins))
    genome = MadeUpGenome(TRACKS, window)
    snvs = targets(genome, window, core, device)
    per_window, per_variant, alone = [], [], []
    for _ in range(ROUNDS + 1):
        engine = Engine(model, genome, device, precision=precision)
        found = engine.score(snvs)
        per_window.append(found.seconds["trunk"] / found.windows)
        per_variant.append(found.seconds["alleles"] / len(snvs))
        one_by_one = Engine(model, genome, device, mode="centred", precision=precision)
        alone.append(seconds_alone(one_by_one, isolated(genome, window)))
    window_s = median(per_window[1:])
    return Cost(
        sum(p.numel() for p in model.parameters()),
        core,
        window_s,
        median(per_variant[1:]),
        median(alone[1:]),
        flops(model) / window_s,
    )


def minutes(found: Cost) -> float:
    """Return the minutes for all variants of a genome and their windows."""
    return (GENOME / found.core * found.window + VARIANTS * found.variant) / 60


def measure(preset: str, options: argparse.Namespace) -> list[str]:
    """Return the cells of one row."""
    fields = PRESETS[preset]
    if options.centre_bins is not None:
        fields = {**fields, "centre_bins": options.centre_bins}
    found = cost(fields, resolve_device(options.device), options.precision)
    rate = found.rate / 1e12
    share = f"{rate:.3g} ({rate / options.peak:.0%})" if options.peak else f"{rate:.3g}"
    return [
        preset,
        f"{found.parameters / 1e6:.1f}",
        f"{1e3 * found.window:.2f}",
        f"{1e3 * found.variant:.4f}",
        f"{1e3 * found.isolated:.2f}",
        share,
        f"{minutes(found):,.0f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--centre-bins", type=int, help="instead of the preset's; 0: the window")
    parser.add_argument("--peak", type=float, default=0.0)
    options = parser.parse_args()
    columns = "preset | M parameters | ms/window | ms/variant | ms/isolated variant"
    print(f"| {columns} | trunk TFLOP/s | 5 M variants, min |")
    print("|---|---|---|---|---|---|---|")
    for preset in options.presets:
        print("| " + " | ".join(measure(preset, options)) + " |", flush=True)


if __name__ == "__main__":
    main()
