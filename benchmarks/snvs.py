"""SNVs for the speed benchmarks: made up at a whole genome's density, or real and far apart."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genomix_cli.genome.alphabet import BASES
from genomix_cli.genome.fasta import Fasta

#: Bases per variant in one person's whole genome: about 5 million in 3 Gb.
SPACING = 600


class SNV(NamedTuple):
    """A single-nucleotide variant; `pos` is 1-based as in a VCF."""

    contig: str
    pos: int
    ref: str
    alt: str


def made_up(fasta: Path, contig: str, start: int, end: int, seed: int) -> list[SNV]:
    """One SNV per `SPACING` bases at random positions of a stretch without N, sorted.

    Parameters
    ----------
    fasta : Path
    contig : str
    start, end : int
        0-based, half-open.
    seed : int
    """
    rng = np.random.default_rng(seed)
    with Fasta(fasta) as reference:
        codes = reference.fetch(contig, start, end).astype(int)
    if codes.max() > 3:
        raise SystemExit(f"{contig}:{start}-{end} has N: take another stretch")
    offsets = np.sort(rng.choice(end - start, (end - start) // SPACING, replace=False))
    alts = (codes[offsets] + rng.integers(1, 4, len(offsets))) % 4
    return [
        SNV(contig, int(start + offset + 1), BASES[codes[offset]], BASES[alt])
        for offset, alt in zip(offsets, alts, strict=True)
    ]


def far_apart(vcf: Path, distance: int, most: int) -> list[SNV]:
    """SNVs of a VCF at least `distance` apart: all, or `most` of them spread over what is there."""
    kept: list[SNV] = []
    with gzip.open(vcf, "rt") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            contig, pos, _, ref, alt = line.split("\t")[:5]
            near = kept and kept[-1].contig == contig and int(pos) - kept[-1].pos < distance
            if len(ref) == len(alt) == 1 and ref in BASES and alt in BASES and not near:
                kept.append(SNV(contig, int(pos), ref, alt))
    if len(kept) <= most:
        return kept
    return [kept[i] for i in np.linspace(0, len(kept) - 1, most).round().astype(int)]


def write_vcf(path: Path, snvs: Iterable[SNV]) -> None:
    """A VCF with nothing but these."""
    rows = [f"{v.contig}\t{v.pos}\t.\t{v.ref}\t{v.alt}\t.\t.\t.\n" for v in snvs]
    head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    path.write_text(head + "".join(rows))
