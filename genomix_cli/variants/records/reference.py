"""What REF is compared with: a FASTA, or the stretches of one that a shard holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import ContigNames


class ShardReference:
    """The sequence of a shard, read as a FASTA is; N where the shard holds nothing.

    Parameters
    ----------
    path : Path
    """

    partial = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shard = open_shard(path)
        self.lengths = self._shard.contigs
        self.names = ContigNames(self.lengths, path)

    def fetch(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Codes of a stretch, uint8 ``[end - start]``."""
        return self._shard.codes(self.names.require(contig), start, end)

    def letters(self, contig: str, start: int, end: int) -> str:
        """Letters of a stretch within the contig, upper case."""
        return decode(self.fetch(contig, start, end))

    def __enter__(self) -> ShardReference:
        return self

    def __exit__(self, *_: object) -> None:
        self._shard.close()


def open_reference(fasta: Path | None, shard: Path | None) -> Fasta | ShardReference:
    """Open one of the two.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    if shard is not None:
        return ShardReference(shard)
    assert fasta is not None
    return Fasta(fasta)
