"""The request to prepare a sequence file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from genomix_cli.comparison.rules import HELD_OUT
from genomix_cli.errors import UsageError
from genomix_cli.options import RARE, Option, option, parse_names
from genomix_cli.shared_options import Force, Seed, Stats

TABLE = "Table of phenotypes"


def parse_adaptors(text: str) -> tuple[str, str]:
    """Parse ``LEFT,RIGHT`` to the bases on both sides; either may be empty."""
    left, comma, right = text.upper().replace("U", "T").partition(",")
    if not comma or set(left + right) - set("ACGT"):
        raise UsageError(
            "not bases for two sides",
            where="--adaptors",
            expected="LEFT,RIGHT, e.g. AGGACC,CATTGC",
            found=text,
        )
    return left, right


def parse_strands(texts: list[str]) -> tuple[tuple[str, str], ...]:
    """Parse texts ``PLUS,MINUS`` to pairs of names."""
    pairs = tuple(map(parse_names, texts))
    for text, pair in zip(texts, pairs, strict=True):
        if len(set(pair)) != 2 or len(pair) != 2:
            raise UsageError("not two tracks", where="--strands", expected="PLUS,MINUS", found=text)
    return pairs  # type: ignore[return-value]


@dataclass(frozen=True)
class PrepareRequest:
    """Request to prepare a sequence file from FASTA, a table, or genotypes."""

    inputs: Annotated[
        tuple[Path, ...],
        Option(
            "FASTA, VCF, BCF or table of sequences; -: VCF from stdin",
            argument=True,
            metavar="INPUT...",
        ),
    ]
    output: Annotated[Path, Option("File to write (HDF5)", "-o --output", writes=True)]
    table: Path | None = option(
        None,
        "Phenotypes (TSV, CSV), by sequence or person",
        "--table",
        old="--samples",
        metavar="TABLE",
        panel=TABLE,
    )
    id_column: str | None = option(
        None, "Column with the ids", shown="sample, id, ..., else the first", rare=True
    )
    sequence_column: str | None = option(
        None, "Column with the sequences", shown="sequence", panel=""
    )
    make_ids: bool = option(
        False, "Number the sequences, where their ids are not unique", rare=True
    )
    label: str | None = option(None, "Column with the classes to learn by default", panel=TABLE)
    group: str | None = option(
        None,
        "Column with groups that folds keep together, e.g. family; for windows "
        "also contig, or block (1 Mb)",
        shown="each by itself; with --track: block",
    )
    split: str | None = option(None, "Column with the split: train, validation or test")
    keep: tuple[str, ...] = option(
        (), "Column to keep as a phenotype; repeatable", shown="all", rare=True
    )
    categorical: tuple[str, ...] = option(
        (), "Numeric column to treat as categories; repeatable", rare=True
    )
    numeric: tuple[str, ...] = option((), "Column that must be numeric; repeatable", rare=True)
    allow_unmatched: bool = option(
        False, "Keep sequences without a row as unlabelled, and ignore unused rows", rare=True
    )
    window: int | None = option(
        None, "Length of each window or region, in bases", min=1, panel="Of a FASTA"
    )
    stride: int | None = option(
        None, "Distance between the starts of windows, in bases", min=1, shown="--window", rare=True
    )
    bed: Path | None = option(None, "Extract these regions, with their names and strands")
    max_n: float = option(0.5, "Skip windows with a larger fraction of N", min=0, max=1, rare=True)
    tracks: Mapping[str, Path] = option(
        {},
        "bigWig to learn, e.g. ATAC@K562=a.bw; repeatable",
        "--track -t",
        metavar="NAME=FILE",
        panel="Tracks over a FASTA",
    )
    top: float = option(
        0.02,
        "Without --bed: fraction of windows with the most signal to take for each track",
        min=0.0001,
        max=1,
        rare=True,
    )
    background: int = option(
        1, "Background windows of similar GC for each window with signal", min=0, rare=True
    )
    uncovered: Literal["missing", "zero"] = option(
        "missing", "How to read bases without data", rare=True
    )
    profiles: bool = option(False, "Also keep the signal per base (--task profile)")
    strands: tuple[tuple[str, str], ...] = option(
        (),
        "The two strand-specific tracks of one experiment; repeatable",
        metavar="PLUS,MINUS",
        parse=parse_strands,
        shown="tracks are unstranded",
        rare=True,
    )
    haplotypes: str = option(
        "auto",
        "yes: two sequences per person; no: one with IUPAC letters; auto: two if phased",
        choices=("auto", "yes", "no"),
        open=True,
        metavar="HOW",
        panel="Of a VCF",
    )
    flank: int = option(0, "Bases of --fasta to add on each side of a site", min=0)
    fasta: Path | None = option(None, "Reference FASTA", "--fasta -f", env="GENOMIX_FASTA")
    regions: str | None = option(None, "Use sites in chr1:1000-2000,chr2", "--regions -r")
    regions_file: Path | None = option(
        None, "The same from a file: BED, or CHROM POS [END]", "--regions-file -R", rare=True
    )
    max_missing: float = option(
        1.0, "Largest fraction of missing genotypes at a site", min=0, max=1, rare=True
    )
    min_maf: float = option(
        0.0, "Smallest minor allele frequency of a site", min=0, max=0.5, rare=True
    )
    like: Path | None = option(None, "Use the same sites as this file and its models")
    assay: str = option(
        "", "Assay that produced the measurements, e.g. lentiMPRA", panel="Measurement", rare=True
    )
    unit: str = option("", "Unit of the measurements, e.g. 'log2 RNA/DNA'", rare=True)
    adaptors: tuple[str, str] = option(
        ("", ""),
        "Bases of the construct on the left and right of each sequence",
        metavar="LEFT,RIGHT",
        commas=True,
        parse=parse_adaptors,
        shown="none",
        rare=True,
    )
    valid_contigs: tuple[str, ...] = option(
        (), "Contigs whose windows form the validation split", commas=True, panel=HELD_OUT
    )
    test_contigs: tuple[str, ...] = option(
        (), "Contigs whose windows form the test split", commas=True
    )
    assembly: str = option("", "Name of the assembly, stored with the data", panel="", rare=True)
    seed: Annotated[Seed, RARE] = 0
    force: Force = False
    stats: Annotated[Stats, RARE] = None
