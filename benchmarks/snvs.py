"""Make SNVs at random places of a genome, or select real ones that are far apart.

python benchmarks/snvs.py GENOME.fa[.gz] OUT.vcf [--spacing 600] [--seed 1]
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genomix_cli.genome.alphabet import BASES, UNKNOWN_BASE
from genomix_cli.genome.fasta import Fasta

#: Bases per variant in one person's whole genome: about 5 million in 3 Gb.
SPACING = 600


class SNV(NamedTuple):
    """A single-nucleotide variant; `pos` is 1-based as in a VCF."""

    contig: str
    pos: int
    ref: str
    alt: str


def made_up(
    fasta: Path, contig: str, start: int, end: int, seed: int, spacing: int = SPACING
) -> list[SNV]:
    """Return one SNV per `spacing` bases of a stretch, at random positions that are not N, sorted.

    Parameters
    ----------
    fasta : Path
    contig : str
    start, end : int
        The stretch, 0-based and half-open.
    seed : int
    spacing : int
    """
    rng = np.random.default_rng(seed)
    with Fasta(fasta) as reference:
        codes = reference.fetch(contig, start, end).astype(int)
    known = np.flatnonzero(codes < UNKNOWN_BASE)
    offsets = np.sort(rng.choice(known, len(known) // spacing, replace=False))
    alts = (codes[offsets] + rng.integers(1, 4, len(offsets))) % 4
    return [
        SNV(contig, int(start + offset + 1), BASES[codes[offset]], BASES[alt])
        for offset, alt in zip(offsets, alts, strict=True)
    ]


def far_apart(vcf: Path, distance: int, most: int) -> list[SNV]:
    """Return SNVs of a VCF at least `distance` apart: all, or `most` of them, evenly spread."""
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
    """Write a VCF of these SNVs."""
    rows = [f"{v.contig}\t{v.pos}\t.\t{v.ref}\t{v.alt}\t.\t.\t.\n" for v in snvs]
    head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    path.write_text(head + "".join(rows))


def main() -> None:
    """Write SNVs over a whole genome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fasta", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--spacing", type=int, default=SPACING)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with Fasta(options.fasta) as reference:
        lengths = dict(reference.lengths)
    snvs = [
        snv
        for number, (contig, length) in enumerate(lengths.items())
        for snv in made_up(options.fasta, contig, 0, length, options.seed + number, options.spacing)
    ]
    write_vcf(options.output, snvs)


if __name__ == "__main__":
    main()
