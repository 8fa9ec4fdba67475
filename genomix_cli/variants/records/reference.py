"""Sequence that REF is compared with: a FASTA, or the part of one that a shard holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import ContigNames


class ShardReference:
    """Sequence of a shard, read like a FASTA; N where the shard holds nothing."""

    partial = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shard = open_shard(path)
        self.lengths = self._shard.contigs
        self.names = ContigNames(self.lengths, path)

    def fetch(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return base codes, uint8 ``[end - start]``."""
        return self._shard.codes(self.names.require(contig), start, end)

    def letters(self, contig: str, start: int, end: int) -> str:
        """Return the bases of an interval within the contig, upper case."""
        return decode(self.fetch(contig, start, end))

    def __enter__(self) -> ShardReference:
        return self

    def __exit__(self, *_: object) -> None:
        self._shard.close()


Reference = Fasta | ShardReference


def open_reference(fasta: Path | None, shard: Path | None) -> Reference:
    """Open the shard if there is one, else the FASTA.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    if shard is not None:
        return ShardReference(shard)
    assert fasta is not None
    return Fasta(fasta)
