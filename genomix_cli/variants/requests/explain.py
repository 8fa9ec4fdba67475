"""Requests to explain the scores of variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from genomix_cli.errors import UsageError
from genomix_cli.genome.tracks import of_one_cell
from genomix_cli.options import RARE, Option, option, parse_pairs
from genomix_cli.shared_options import (
    NAME_MOTIFS,
    TRACK,
    AllowIncomplete,
    Contacts,
    Device,
    Fasta,
    Force,
    Page,
    Seed,
    TrainedModel,
)
from genomix_cli.variants.requests.score import DEFAULT_MODEL, RECORDS, Uncovered

MOTIFS = "Motifs"


def tracks_of_one_cell(values: list[str]) -> dict[str, Path]:
    """Parse ``NAME=FILE`` pairs of tracks of a single cell type; return files by modality."""
    pairs = parse_pairs(values, "--track")
    return of_one_cell({name: Path(path) for name, path in pairs.items()})


TracksOfOneCell = Annotated[
    Mapping[str, Path],
    replace(
        TRACK,
        help="bigWig of one cell type, e.g. H3K27ac=k.bw; repeatable",
        parse=tracks_of_one_cell,
        unless="genome",
    ),
]
BASELINES = {"ref": ("ref",), "shuffle": ("shuffle",), "both": ("ref", "shuffle")}


def parse_baselines(text: str) -> tuple[str, ...]:
    """Return the baselines of `--baseline`."""
    if text not in BASELINES:
        expected = " or ".join(BASELINES)
        raise UsageError("unknown baseline", where="--baseline", expected=expected, found=text)
    return BASELINES[text]


@dataclass(frozen=True)
class MotifOptions:
    """Motifs to find in explained variants, and the outputs on them."""

    source: Annotated[str | None, replace(NAME_MOTIFS, panel=MOTIFS)] = None
    p_value: float | None = option(
        None,
        "Largest p-value of a motif site",
        "--motif-p",
        min=1e-12,
        max=0.05,
        shown="1e-4, or more for few motifs",
        rare=True,
        panel=MOTIFS,
    )
    table: Path | None = option(
        None,
        "TSV of the motifs at each allele",
        "--motif-table",
        metavar="TSV",
        writes=True,
        rare=True,
    )
    summary: Path | None = option(
        None,
        "TSV of the motifs enriched where attributions are large",
        "--motif-summary",
        metavar="TSV",
        writes=True,
        rare=True,
    )


@dataclass(frozen=True)
class SaturationOptions:
    """Region or alleles in which to score every substitution, and measured effects."""

    wanted: bool = option(
        False,
        "Score every SNV around each allele, or in --region",
        "--ism",
        panel="Saturation mutagenesis",
    )
    region: str | None = option(
        None,
        "Instead of a VCF, score every SNV in this region",
        metavar="CHR:FROM-TO",
    )
    around: int = option(
        40, "Bases that --ism mutates on each side of an allele", "--ism-around", min=0, rare=True
    )
    measured: Path | None = option(
        None,
        "Measured effects to compare with: contig, pos, ref, alt, effect",
        metavar="TSV",
        rare=True,
    )

    @property
    def asked(self) -> bool:
        """True if substitutions are to be scored, rather than alleles explained."""
        return self.wanted or self.region is not None


@dataclass(frozen=True)
class ExplainRequest:
    """Request to explain the scores of variants, or to mutate a region."""

    fasta: Fasta
    output: Annotated[
        Path,
        Option(
            "TSV; with --ism also VCF, BCF, Parquet",
            "-o --output",
            writes=True,
        ),
    ]
    variants: Path | None = option(
        None, "VCF, unless --region is given", argument=True, metavar="VCF"
    )
    model: TrainedModel = DEFAULT_MODEL
    tracks: TracksOfOneCell = field(default_factory=dict)
    contacts: Contacts = None
    uncovered: Annotated[Uncovered, RARE] = None
    cell: str = option(
        "",
        "Cell type to explain, for activity models",
        shown="as scored in the VCF, else the mean of all",
        rare=True,
    )
    attention: Path | None = option(
        None,
        "TSV of the attention rollout (descriptive only)",
        metavar="TSV",
        writes=True,
        rare=True,
    )
    mutagenesis: Path | None = option(
        None,
        "TSV of the change caused by each substitution, for activity models",
        metavar="TSV",
        writes=True,
        rare=True,
    )
    plot_dir: Path | None = option(
        None,
        "Folder for a figure of each variant or region",
        "--plots",
        old="--plot-dir",
        metavar="DIR",
        writes=True,
    )
    browser: Path | None = option(
        None,
        "Folder for genome browser files and an IGV session",
        metavar="DIR",
        writes=True,
    )
    report: Page = None
    motifs: MotifOptions = field(default_factory=MotifOptions)
    saturation: SaturationOptions = field(default_factory=SaturationOptions)
    select: tuple[str, ...] = option(
        (),
        "Allele to explain, as contig:pos:ref:alt; repeatable",
        "--variants",
        metavar="ALLELE",
        panel=RECORDS,
    )
    top: int | None = option(None, "Explain the N highest-scoring alleles", min=1)
    max_variants: int = option(20, "Explain at most this many variants", min=1, rare=True)
    baselines: tuple[str, ...] = option(
        ("ref",),
        "ref (effect of the variant), shuffle (effect of the locus), or both",
        "--baseline",
        commas=True,
        metavar="HOW",
        parse=parse_baselines,
        panel="",
    )
    steps: int = option(
        64,
        "Integration steps, doubled while too few; ref takes four times as many "
        "where they are cheap",
        min=2,
        rare=True,
    )
    allow_incomplete: Annotated[AllowIncomplete, RARE] = False
    device: Device = "auto"
    seed: Annotated[Seed, RARE] = 0
    force: Force = False
