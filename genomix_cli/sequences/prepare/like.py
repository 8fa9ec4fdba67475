"""Columns of another file, so that a model trained on it can read new people."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import reduce
from operator import or_
from pathlib import Path

import numpy as np

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Columns, open_sequences, provenance_of
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.iupac import decode
from genomix_cli.genome.vcf.reader import Record, VcfReader


class Like:
    """Lookup of sites in the columns of a file of aligned sequences.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    name : str
    contigs : dict of str to int
    columns : Columns
    n_sites : int
    rows : str
        Kind of the file's rows; empty if unknown.

    Raises
    ------
    DataError
        If the file is damaged, or not a file of sequences.
    UsageError
        If its sequences are not aligned.
    """

    def __init__(self, path: Path) -> None:
        sequences = open_sequences(path)
        if sequences.columns is None:
            raise UsageError(
                "its sequences are not aligned", where=path, expected="a file made from a VCF"
            )
        self.name = path.name
        self.contigs = sequences.contigs
        self.columns: Columns = sequences.columns
        self.n_sites = int((self.columns.site >= 0).sum())
        self.rows: str = provenance_of(path).get("config", {}).get("rows", "")
        self._path = path
        self._names = ContigNames(self.contigs, path)
        self._contig: str | None = None
        self._place: dict[int, list[int]] = {}

    def find(
        self, record: Record, sets: Sequence[int], reader: VcfReader, taken: Container[int]
    ) -> int | None:
        """Return the column of a record, or None if the file has no such variant.

        REF must be the same, and the column must have every ALT, because the model has not learned
        other alleles at the position.

        Parameters
        ----------
        record : Record
        sets : sequence of int
            Set of each allele, REF first.
        reader : VcfReader
            For messages.
        taken : container of int
            Columns of other records at this position.

        Raises
        ------
        DataError
            If REF differs.
        """
        if record.chrom != self._contig:
            self._contig = record.chrom
            self._place = self._places(record.chrom)
        free = [place for place in self._place.get(record.pos - 1, ()) if place not in taken]
        if not free:
            return None
        ref = self.columns.ref[free[0]]
        if ref != sets[0]:
            raise DataError(
                f"REF differs from {self.name}",
                where=reader.where(record),
                expected=decode([ref]),
                found=record.ref,
                hint="both must be of the same assembly",
            )
        alternatives = reduce(or_, sets[1:], 0)
        known = [column for column in free if not alternatives & ~int(self.columns.alt[column])]
        # Prefer a column with exactly these alternatives to one with more.
        return min(known, key=lambda column: self.columns.alt[column] != alternatives, default=None)

    def _places(self, contig: str) -> dict[int, list[int]]:
        """Return columns by 0-based position, for the sites of a contig."""
        name = self._names.find(contig)
        if name is None:
            return {}
        columns = self.columns
        number = list(self.contigs).index(name)
        at = np.flatnonzero((columns.contig == number) & (columns.site >= 0))
        places: dict[int, list[int]] = {}
        for pos, column in zip(columns.pos[at].tolist(), at.tolist(), strict=True):
            places.setdefault(pos, []).append(column)
        return places
