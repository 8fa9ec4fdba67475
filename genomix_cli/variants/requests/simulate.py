"""Requests to simulate genomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.options import Option, option
from genomix_cli.shared_options import Force, Seed

# Contigs, and the length of each.
SIZES = {
    "tiny": (2, 300_000),
    "small": (4, 1_000_000),
    "medium": (6, 5_000_000),
    "large": (10, 10_000_000),
}


@dataclass(frozen=True)
class SimulationRequest:
    """Request to simulate a genome with contigs named chr1, chr2, ..."""

    out_dir: Annotated[Path, Option("Folder to create", "-o --output", argument=True, writes=True)]
    contigs: int = 2
    contig_length: int = 300_000
    variants_per_kb: float = option(4.0, "Variants per 1000 bp")
    motifs: Path | None = option(
        None, "Motifs to plant, in MEME format", metavar="MEME", shown="12 built-in families"
    )
    rule: str = option(
        "full",
        "Rule that sets the labels: full, or contact (open chromatin in contact "
        "with an active promoter)",
        choices=("full", "contact"),
    )
    placement: str = option(
        "balanced",
        "Where variants are dense: balanced (equally in and beside elements), or sites",
        choices=("balanced", "sites"),
    )
    seed: Seed = 0
    force: Force = False

    @property
    def lengths(self) -> dict[str, int]:
        """Length (bp) of each contig by name."""
        return {f"chr{i + 1}": self.contig_length for i in range(self.contigs)}
