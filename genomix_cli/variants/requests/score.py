"""Requests to score variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from genomix_cli.errors import UsageError
from genomix_cli.genome.tracks import cells, of_one_cell
from genomix_cli.options import RARE, Option, option, parse_pairs
from genomix_cli.shared_options import (
    GENOME,
    RUNNING,
    TRACK,
    Contacts,
    Device,
    MultiQC,
    Stats,
    Threads,
    TrainedModel,
)

#: Value of ``--cell`` that scores in each of several cell types.
ALL_CELLS = "all"
DEFAULT_MODEL = "gmt-mini"
#: Model trained on simulated genomes, with their motifs and chromatin.
SIMULATED_MODEL = "gmt-mini-sim"
RECORDS = "Records"
CheckRef = Literal["w", "e", "x"]


class Part(NamedTuple):
    """One of `total` parts of the input; `number` counts from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Parse ``i/n``.

        Raises
        ------
        UsageError
            If the text has another form, or `i` is not in ``1..n``.
        """
        number, slash, total = text.partition("/")
        if slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total):
            return cls(int(number), int(total))
        raise UsageError("not a part", where="--shard", expected="I/N, e.g. 1/8", found=text)


def tracks_by_cell(values: list[str]) -> dict[str, Path]:
    """Parse ``NAME=FILE`` pairs; return files by modality, or by full name if cells differ."""
    pairs = {name: Path(path) for name, path in parse_pairs(values, "--track").items()}
    return pairs if len(cells(pairs)) > 1 else of_one_cell(pairs)


TracksByCell = Annotated[Mapping[str, Path], replace(TRACK, parse=tracks_by_cell, unless="genome")]
Uncovered = Annotated[
    Literal["missing", "zero"] | None,
    Option(
        "How to read bases without signal", shown="as in training", panel=GENOME, unless="genome"
    ),
]


@dataclass(frozen=True)
class GenomeFiles:
    """Files of sequence, tracks and contacts, either raw or as a shard."""

    fasta: Path | None = option(
        None, "Reference FASTA", "--fasta -f", env="GENOMIX_FASTA", panel=GENOME, unless="genome"
    )
    tracks: TracksByCell = field(default_factory=dict)
    contacts: Contacts = None
    uncovered: Annotated[Uncovered, RARE] = None
    shard: Path | None = option(
        None,
        "Shard instead of --fasta, --track and --contacts",
        "--genome -g",
        metavar="SHARD.h5",
    )
    cell: str = option(
        "",
        "Cell type to predict (activity models) or to use of a shard; or all",
    )

    def check(self) -> None:
        """Refuse files without a reference.

        Raises
        ------
        UsageError
        """
        if self.fasta is None and self.shard is None:
            raise UsageError(
                "no reference",
                hint="give --fasta, set GENOMIX_FASTA, or put `fasta` under [score] "
                "in the file of --config or GENOMIX_CONFIG",
            )


@dataclass(frozen=True)
class ScoreRequest:
    """Request to score variants."""

    vcf: Path | None = option(
        None, "VCF, VCF.gz or BCF; -: standard input", argument=True, metavar="VCF"
    )
    genome: GenomeFiles = field(default_factory=GenomeFiles)
    output: Path = option(
        Path("-"),
        "VCF, VCF.gz, BCF, TSV, TSV.gz or Parquet, by extension; -: standard output",
        "-o --output",
        writes=True,
    )
    output_type: str | None = option(
        None,
        "v: VCF, z: VCF.gz, u: uncompressed BCF, b: BCF, t: TSV",
        "-O --output-type",
        shown="from the extension",
        metavar="v|z|u|b|t",
        rare=True,
    )
    write_index: bool = option(False, "Also index the output", "-W --write-index")
    model: TrainedModel = DEFAULT_MODEL
    check_ref: CheckRef = option(
        "w",
        "If REF is wrong: warn, error or exclude",
        panel=RECORDS,
    )
    regions: str | None = option(None, "Records with POS in chr1:1000-2000,chr2", "--regions -r")
    regions_file: Path | None = option(
        None, "The same from a file: BED, or CHROM POS [END]", "--regions-file -R", rare=True
    )
    all_snvs: bool = option(
        False,
        "Score all SNVs of --regions or the FASTA, not a VCF",
        panel=RECORDS,
    )
    shard: Part | None = option(
        None,
        "Score part I of N; records near each other share a part; `bcftools concat` joins them",
        metavar="I/N",
        parse=Part.parse,
        rare=True,
    )
    resume: bool = option(False, "Resume an interrupted run with the same -o")
    mode: Literal["auto", "shared", "centred"] = option(
        "auto",
        "Windows: shared (many variants), centred (few), or auto: by density",
        panel="How to score",
        rare=True,
    )
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "Numerical precision; auto: bf16 on a GPU, fp32 on a CPU", rare=True
    )
    both_strands: bool = option(
        False, "Average the scores of both strands, at twice the cost", rare=True
    )
    save_background: bool = option(
        False,
        "Store these scores in the model -m as the background of GENOMIX_PCT and GENOMIX_PHRED",
        writes="background.safetensors",
    )
    background: str = option(
        "",
        "Rank among the stored background whose name contains this, e.g. common",
        shown="the one stored last",
        rare=True,
    )
    lookup: tuple[Path, ...] = option(
        (),
        "Reuse scores of this Parquet or indexed VCF.gz, BCF or TSV.gz; repeatable",
        metavar="FILE",
    )
    genes: Path | None = option(
        None,
        "Annotate the nearest gene start, part of a transcript, and promoter in contact",
        metavar="GTF",
        panel="Columns beside the score",
    )
    known: tuple[Path, ...] = option(
        (),
        "Annotate ID, CLNSIG and AF from this indexed VCF.gz or BCF; repeatable",
        metavar="FILE",
    )
    fields: str = option(
        "",
        "Outputs of an activity model to write beside GENOMIX_DA: comma-separated names, or all",
        metavar="NAMES",
        rare=True,
    )
    quantiles: bool = option(
        False,
        "Also write how each score of an allele ranks among its cell types or outputs",
        rare=True,
    )
    bigwig: Path | None = option(
        None,
        "Folder for a bedGraph and a bigWig of each score, strongest per "
        "position; needs a sorted VCF",
        metavar="DIR",
        writes=True,
        rare=True,
        panel="Genome browser",
    )
    device: Device = "auto"
    devices: str = option(
        "", "GPUs that share the work: a number, or indices such as 0,2", panel=RUNNING, rare=True
    )
    threads: Threads = 0
    stats: Annotated[Stats, RARE] = None
    multiqc: Annotated[MultiQC, RARE] = None

    @property
    def is_read_once(self) -> bool:
        """True for a pipe: standard input, or a shell's ``<(...)``."""
        if self.vcf is None:
            return False
        return str(self.vcf) == "-" or (self.vcf.exists() and not self.vcf.is_file())
