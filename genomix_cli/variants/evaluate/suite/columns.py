"""Scores of other tools: INFO columns of a VCF, matched to the shard by allele."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.progress import track
from genomix_cli.variants.records.inputs import MAX_SHIFT, Allele, place_allele
from genomix_cli.variants.records.labels import info_numbers

Key = tuple[str, int, bytes, bytes]
_BASES = frozenset("ACGTN")


def read_columns(
    vcf: Path, keys: Sequence[str], shard: Shard, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Read INFO keys for rows of the variant table, float64 ``[n]``; NaN without a value.

    Indels match wherever they are written: they are placed as the shard has placed its own.

    Raises
    ------
    DataError
        If the VCF cannot be read, a value is no number, or none of the rows has one.
    """
    wanted = _wanted(shard, rows)
    names = ContigNames(shard.contigs, shard.path)
    columns = {key: np.full(len(rows), np.nan) for key in keys}
    with VcfReader(vcf) as reader:
        for record in track(reader, f"reading {vcf.name}"):
            contig = names.find(record.chrom)
            if contig is None:
                continue
            matches = [
                wanted.get(_placed(shard, contig, record.pos - 1, record.ref, alt), ())
                for alt in record.alts
            ]
            if not any(matches):
                continue
            for key in keys:
                for at, value in zip(matches, info_numbers(reader, record, key), strict=True):
                    columns[key][list(at)] = value
    for key, values in columns.items():
        if np.isnan(values).all():
            raise DataError(f"no test variant has {key}", where=vcf)
    return columns


def _wanted(shard: Shard, rows: NDArray[np.int64]) -> dict[Key, list[int]]:
    """Index of each allele among the rows, once per tissue."""
    table, names = shard.variants, list(shard.contigs)
    wanted: dict[Key, list[int]] = {}
    for at, row in enumerate(rows):
        key = names[table.contig[row]], int(table.pos[row]), table.ref[row], table.alt[row]
        wanted.setdefault((key[0], key[1], bytes(key[2]), bytes(key[3])), []).append(at)
    return wanted


def _placed(shard: Shard, contig: str, pos: int, ref: str, alt: str) -> Key:
    """Key of an allele as the table of a shard has it."""
    ref, alt = ref.upper(), alt.upper()
    if len(ref) == 1 == len(alt) or not _BASES.issuperset(ref + alt):
        return contig, pos, ref.encode(), alt.encode()
    first = max(0, pos - MAX_SHIFT)
    letters = decode(shard.codes(contig, first, pos + len(ref)))
    allele: Allele = place_allele(pos, ref, alt, letters, first)
    return contig, allele.pos, decode(allele.ref).encode(), decode(allele.alt).encode()
