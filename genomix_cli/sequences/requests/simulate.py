"""The request to generate or restore sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.options import Option, option
from genomix_cli.shared_options import Device, Force, Seed


@dataclass(frozen=True)
class SimulateRequest:
    """Request to generate or restore sequences."""

    model: Annotated[Path, Option("Run folder of a diffusion model", "--model -m", metavar="RUN")]
    output: Annotated[Path, Option("Sequence file to write (.h5)", "-o --output", writes=True)]
    n: int = option(1000, "Number of sequences to generate", "-n --number", min=1)
    conditions: tuple[str, ...] = option(
        (),
        "Condition: NAME=VALUE, or a category such as K562; repeatable",
        "--condition",
        metavar="VALUE",
        shown="drawn as in training",
    )
    denoise: Path | None = option(
        None,
        "Instead, fill in the hidden and ambiguous bases of this file",
        metavar="FILE.h5",
        panel="Restoring",
    )
    error_rate: float = option(0.0, "Fraction of its bases that are wrong", min=0, max=0.75)
    fasta: Path | None = option(
        None, "Also write the sequences as FASTA", "--fasta-output", panel="", writes=True
    )
    guidance: float = option(
        1.0, "Guidance scale; 1: as learned; above 1: more typical of the condition", min=0
    )
    steps: int = option(0, "Sampling steps; 0: one base at a time, which is exact", min=0)
    seed: Seed = 0
    device: Device = "auto"
    force: Force = False
