"""Reference sequence to compare REF with: a FASTA, or the part of one stored in a shard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import ContigNames


class ShardReference:
    """Sequence of a shard with the interface of a FASTA; N where the shard stores nothing."""

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
    """Open the shard if given, otherwise the FASTA.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    if shard is not None:
        return ShardReference(shard)
    assert fasta is not None
    return Fasta(fasta)
