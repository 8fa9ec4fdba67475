"""Run everything that needs a GPU, in under eight minutes, for a JSON and the docs' tables.

    python benchmarks/gpu.py OUT.json [--device cuda] [--precision bf16] [--dry]
    python benchmarks/gpu.py OUT.json --table

Each stage runs in its own process with a time limit in seconds. A stage that exceeds its limit is
stopped, and the others go on. OUT.json is rewritten after every stage, so an interruption loses
only the remaining stages. `--dry` runs all stages at tiny sizes on a CPU.

doctor
    Scores of `gmt-mini-sim` and `gmt-mini`, compared with those stored with them.
peak
    The rate of a large matrix product in this precision, the reference for fractions of peak.
mini, base, paper
    Time of a window, of a variant in a full window, and of a variant in its own window
    (`benchmarks/presets.py`).
training
    A training step of `paper` with checkpointing (`benchmarks/training_memory.py`).
VCF with mini, with paper
    `genomix score` on 200,000 SNVs, one per 600 bp, from end to end. Genome, VCF and weights are
    generated before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import presets
import torch
import training_memory
from scale import SPARSE, records, write_genome, write_model, write_vcf

from genomix_cli.learning.devices import resolve_device
from genomix_cli.variants.models.gmt import PRESETS
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score.doctor import examine
from genomix_cli.variants.score.vcf import score_variants

VARIANTS, FEW = 200_000, 200
#: Size of the square matrices, and number of products per time measurement.
SIZE, PRODUCTS = 8192, 20
SECONDS_BETWEEN_LOOKS = 0.2
MIB = 2**20
#: Model size of a dry run.
TINY = {"n_bins": 400, "d_model": 16, "n_layers": 1, "n_heads": 2, "d_sequence": 8, "d_local": 8}

Found = dict[str, Any]


class Stage(NamedTuple):
    """A stage: name, time limit in seconds, and function."""

    name: str
    budget: float
    run: Callable[[argparse.Namespace], Found]


def doctor(options: argparse.Namespace) -> Found:
    """Return the verdict of `genomix doctor`."""
    models = ("gmt-mini",) if options.dry else ("gmt-mini-sim", "gmt-mini")
    return {m: asdict(examine(m, options.device, options.precision)) for m in models}


def peak(options: argparse.Namespace) -> Found:
    """Measure the FLOP/s of a product of two large matrices, best of five."""
    device = resolve_device(options.device)
    size, count = (256, 2) if options.dry else (SIZE, PRODUCTS)
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    one, two = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(count):
            torch.mm(one, two)
        wait(device)
        rates.append(2 * size**3 * count / (time.perf_counter() - start))
    return {"flops": max(rates[1:]), "size": size}


def costs(preset: str, options: argparse.Namespace) -> Found:
    """Measure the seconds of a window and of a variant."""
    device = resolve_device(options.device)
    found = presets.cost(fields(preset, options), device, options.precision)
    return {**found._asdict(), "genome_minutes": presets.minutes(found), **memory(device)}


def training(options: argparse.Namespace) -> Found:
    """Measure a training step of `paper`: one window, 128 variants."""
    case = training_memory.Case("paper", 400 if options.dry else 2000, 1, 128, True)
    told = argparse.Namespace(
        device=options.device, threads=1, steps=2 if options.dry else 5,
        precision="bf16-mixed" if options.precision == "bf16" else "32-true",
    )  # fmt: skip
    found = training_memory.cost(case, told, **(TINY if options.dry else {}))
    return {"step": found.seconds, "memory_mib": found.memory}


def end_to_end(preset: str, options: argparse.Namespace) -> Found:
    """Score a VCF."""
    logging.disable()
    device, count = resolve_device(options.device), FEW if options.dry else VARIANTS
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        bases = write_genome(work / "genome.fa", SPARSE * count)
        vcf = write_vcf(work / "in.vcf", records(bases, count, None, SPARSE))
        write_model(work / "model", **fields(preset, options))
        request = ScoreRequest(
            vcf, GenomeFiles(work / "genome.fa"), work / "out.vcf.gz", model=str(work / "model"),
            device=options.device, precision=options.precision,
        )  # fmt: skip
        with watched(device) as used:
            start = time.perf_counter()
            done = score_variants(request)
            seconds = time.perf_counter() - start
    return {
        "variants": done.scored, "windows": done.windows, "seconds": seconds,
        "stages": done.seconds, "utilisation": sum(used) / len(used) if used else None,
        **memory(device),
    }  # fmt: skip


def fields(preset: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a preset's configuration, small ones for a dry run."""
    return {**PRESETS[preset], **(TINY if options.dry else {})}


def wait(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory(device: torch.device) -> Found:
    """Return peak memory in MiB: of PyTorch on a GPU, else of the process."""
    on_gpu = device.type == "cuda"
    most = torch.cuda.max_memory_allocated(device) / MIB if on_gpu else training_memory.resident()
    return {"memory_mib": most}


@contextmanager
def watched(device: torch.device) -> Iterator[list[int]]:
    """Sample the GPU utilisation in percent; empty if it is not available."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            try:
                seen.append(torch.cuda.utilization(device))
            except (ImportError, ModuleNotFoundError, RuntimeError):
                return

    thread = threading.Thread(target=look, daemon=True)
    if device.type == "cuda":
        thread.start()
    try:
        yield seen
    finally:
        over.set()


STAGES = (
    Stage("doctor", 45, doctor),
    Stage("peak", 25, peak),
    Stage("mini", 40, partial(costs, "mini")),
    Stage("base", 50, partial(costs, "base")),
    Stage("paper", 80, partial(costs, "paper")),
    Stage("training", 60, training),
    Stage("VCF with mini", 70, partial(end_to_end, "mini")),
    Stage("VCF with paper", 100, partial(end_to_end, "paper")),
)


def within(stage: Stage, options: argparse.Namespace) -> Found:
    """Run a stage in its own process, which is stopped at its time limit."""
    # Fork, so that imports are paid once; this process has not used a GPU or started threads.
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(stage, options, theirs))
    start = time.perf_counter()
    child.start()
    theirs.close()
    try:
        if ours.poll(stage.budget):
            found = ours.recv()
        else:
            found = {"failed": f"ran past its budget of {stage.budget:g} s"}
    except EOFError:
        found = {"failed": "its process died, perhaps for lack of memory"}
    child.kill()
    child.join()
    return {"took": round(time.perf_counter() - start, 1), **found}


def _answer(stage: Stage, options: argparse.Namespace, end: Any) -> None:
    try:
        found = stage.run(options)
    except Exception as error:  # other stages may still succeed
        traceback.print_exc()
        found = {"failed": f"{type(error).__name__}: {error}"}
    end.send(found)


def table(data: Found) -> str:
    """Return the tables of docs/benchmarks.md."""
    stages, rows = data["stages"], []
    most = stages.get("peak", {}).get("flops")
    rows.append(f"{data['device']}, PyTorch {data['torch']}, {data['precision']}")
    if most:
        rows[-1] += f"; peak {most / 1e12:,.3g} TFLOP/s (measured)"
    rows += ["", "| preset | M parameters | ms/window | of the peak | ms/variant |"]
    rows[-1] += " ms/isolated variant | MiB | 5 M variants, min |"
    rows.append("|---|---|---|---|---|---|---|---|")
    for preset in PRESETS:
        s = stages.get(preset, {})
        if "window" in s:
            share = f"{s['rate'] / most:.0%}" if most else "-"
            rows.append(
                f"| {preset} | {s['parameters'] / 1e6:.1f} | {1e3 * s['window']:.3g} | {share} "
                f"| {1e3 * s['variant']:.3g} | {1e3 * s['isolated']:.3g} | {s['memory_mib']:,.0f} "
                f"| {s['genome_minutes']:,.1f} |"
            )
    rows += ["", "| what | seconds | variants/s | MiB | GPU at work |", "|---|---|---|---|---|"]
    s = stages.get("training", {})
    if "step" in s:
        step = f"{s['step']:.3g} | - | {s['memory_mib']:,.0f} | - |"
        rows.append(f"| training step of `paper`, checkpointing | {step}")
    for preset in PRESETS:
        s = stages.get(f"VCF with {preset}", {})
        if "variants" in s:
            used = "-" if s["utilisation"] is None else f"{s['utilisation']:.0f} %"
            rows.append(
                f"| VCF of {s['variants']:,} SNVs, `{preset}` | {s['seconds']:.1f} "
                f"| {s['variants'] / s['seconds']:,.0f} | {s['memory_mib']:,.0f} | {used} |"
            )
    for name, s in stages.items():
        rows += [f"\n{name}: {s['failed']}"] if "failed" in s else []
    for model, s in stages.get("doctor", {}).items():
        if isinstance(s, dict):
            sound = "sound" if s["sound"] else "; ".join(s["problems"])
            rows.append(f"\n`doctor` of {model}: {sound} ({s['difference']:.1e} SD off)")
    return "\n".join(rows)


def save(path: Path, data: Found) -> None:
    """Write the results atomically."""
    draft = path.with_name(f".{path.name}.partial")
    draft.write_text(json.dumps(data, indent=2) + "\n")
    os.replace(draft, path)


def device_of(options: argparse.Namespace) -> Found:
    """Return the name of the device, found in a separate process."""
    device = resolve_device(options.device)
    on_gpu = device.type == "cuda"
    return {"device": torch.cuda.get_device_name(device) if on_gpu else str(device)}


def main() -> None:
    """Run the stages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--stages", nargs="+", choices=[s.name for s in STAGES])
    parser.add_argument("--budget", type=float, help="seconds of each stage, in place of its own")
    parser.add_argument("--dry", action="store_true", help="tiny sizes, on a CPU")
    parser.add_argument("--table", action="store_true", help="print the tables of OUT.json")
    options = parser.parse_args()
    if not options.table:
        if options.dry:
            options.device = "cpu"
        data: Found = {
            **within(Stage("device", 60, device_of), options),
            **{"torch": torch.__version__, "precision": options.precision, "dry": options.dry},
            "stages": {},
        }
        if "failed" in data:
            raise SystemExit(data["failed"])
        for stage in STAGES:
            if options.stages is None or stage.name in options.stages:
                stage = stage._replace(budget=options.budget or stage.budget)
                data["stages"][stage.name] = within(stage, options)
                save(options.output, data)
                print(f"{stage.name}: {data['stages'][stage.name]['took']} s", flush=True)
    print(table(json.loads(options.output.read_text())))


if __name__ == "__main__":
    main()
