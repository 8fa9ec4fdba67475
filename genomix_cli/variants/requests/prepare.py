"""Requests to prepare genome shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from genomix_cli.options import RARE, Option, option
from genomix_cli.registry import SHARD_LAYOUTS
from genomix_cli.shared_options import GENOME, Contacts, Fasta, Force, MultiQC, Stats, Tracks

NormaliseLike = Annotated[
    str | None,
    Option(
        "Shard or model whose track scaling to reuse", metavar="MODEL", model=True, panel=GENOME
    ),
]
Meaning = Annotated[
    Literal["missing", "zero"] | None,
    Option("How to read bins without data", shown="missing", panel=GENOME),
]
MaxGap = Annotated[
    int | None,
    Option("Interpolate gaps of up to this many bp", min=0, shown="500", panel=GENOME),
]
Assembly = Annotated[str, Option("Name of the assembly, stored with the data", panel=GENOME)]


@dataclass(frozen=True)
class PrepareRequest:
    """Request to make a genome shard from variants."""

    vcf: Annotated[Path, Option("VCF or VCF.gz; -: standard input")]
    fasta: Fasta
    output: Annotated[Path, Option("Shard to write (HDF5)", "-o --output", writes=True)]
    tracks: Tracks = field(default_factory=dict)
    contacts: Contacts = None
    label_info: str | None = option(
        None, "INFO key of the labels, one value per ALT", panel="Labels"
    )
    effect_info: str | None = option(None, "INFO key of quantitative labels, one value per ALT")
    probability_info: str | None = option(
        None, "INFO key of the true probability of each label", rare=True
    )
    labels: Path | None = option(
        None,
        "Table of labels: contig, pos (1-based), ref, alt, label and/or effect; "
        "optionally weight, group, tissue",
        metavar="TSV",
    )
    normalise_like: Annotated[NormaliseLike, RARE] = None
    uncovered: Meaning = None
    max_gap: Annotated[MaxGap, RARE] = None
    flank: int = option(
        100_000, "Bases to keep on each side of each variant", min=1000, panel=GENOME
    )
    layout: str = option(
        "genome",
        "Store each stretch of the genome once, or one window per variant",
        choices=SHARD_LAYOUTS,
        rare=True,
    )
    # The ids of longer k-mers do not fit into uint16.
    k: int = option(6, "k-mer length for --layout windows", min=3, max=7, rare=True)
    assembly: Assembly = ""
    force: Force = False
    stats: Annotated[Stats, RARE] = None
    multiqc: Annotated[MultiQC, RARE] = None


@dataclass(frozen=True)
class PrepareGenomeRequest:
    """Request to make a genome shard of whole contigs, without variants."""

    fasta: Fasta
    output: Annotated[Path, Option("Shard to write (HDF5)", "-o --output", writes=True)]
    tracks: Tracks = field(default_factory=dict)
    contacts: Contacts = None
    contigs: tuple[str, ...] = option((), "Use only these contigs", commas=True)
    normalise_like: NormaliseLike = None
    uncovered: Meaning = None
    max_gap: MaxGap = None
    assembly: Assembly = ""
    force: Force = False
