"""``genomix simulate sequences``: DNA out of a diffusion model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import Config, Device, Force, Quiet, Seed, Threads, Verbose
from genomix_cli.errors import UsageError

if TYPE_CHECKING:
    from genomix_cli.sequences.generate.simulate import SimulateSummary

log = logging.getLogger("genomix")


def sequences(
    model: Annotated[Path, typer.Option("--model", "-m", help="Run folder of a diffusion model.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File of sequences to write (.h5).")
    ],
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="Sequences to generate.")] = 1000,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE, or a category as K562; repeat. Default: as often as in training."
        ),
    ] = None,
    guidance: Annotated[
        float,
        typer.Option(min=0, help="1: as the model learned; above: more typical of the condition."),
    ] = 1.0,
    steps: Annotated[
        int, typer.Option(min=0, help="Of sampling; 0: one base at a time, which is exact.")
    ] = 0,
    fasta: Annotated[
        Path | None, typer.Option("--fasta-output", help="Write them as FASTA too.")
    ] = None,
    denoise: Annotated[
        Path | None,
        typer.Option(
            help="Instead: fill in hidden and ambiguous bases of this file.", metavar="FILE.h5"
        ),
    ] = None,
    error_rate: Annotated[
        float,
        typer.Option(min=0, max=0.75, help="Share of its bases that are wrong, with --denoise."),
    ] = 0.0,
    device: Device = "auto",
    threads: Threads = 0,
    seed: Seed = 0,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """DNA of a trained diffusion model, under a condition; or a file's damaged bases restored."""
    if error_rate and not denoise:
        raise UsageError("nothing to restore", where="--error-rate", expected="--denoise FILE.h5")
    if denoise and condition:
        raise UsageError("the file says them itself", where="--condition", hint="leave it out")
    import torch

    from genomix_cli.sequences.generate.simulate import simulate_sequences
    from genomix_cli.sequences.requests import SimulateRequest

    if threads:
        torch.set_num_threads(threads)
    request = SimulateRequest(
        model=model,
        output=output,
        n=n,
        conditions=tuple(condition or ()),
        denoise=denoise,
        error_rate=error_rate,
        fasta=fasta,
        guidance=guidance,
        steps=steps,
        seed=seed,
        device=device,
        force=force,
    )
    _render(simulate_sequences(request), denoise)


def _render(summary: SimulateSummary, denoise: Path | None) -> None:
    said = ", ".join(f"{name} {n:,}" for name, n in summary.counts.items())
    log.info(
        "%s: %s sequences of %s bases%s",
        summary.output,
        f"{summary.n:,}",
        f"{summary.length:,}",
        f" ({said})" if said else "",
    )
    if denoise:
        log.info("%s bases filled in or changed", f"{summary.changed:,}")
