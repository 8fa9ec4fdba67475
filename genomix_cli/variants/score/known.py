"""Annotation of alleles with known variants, as columns beside the score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf.reader import MISSING
from genomix_cli.variants.records.checks import Checked
from genomix_cli.variants.records.matching import AlleleFile, Kind, Row, Wanted, kind_of
from genomix_cli.variants.records.reference import Reference
from genomix_cli.variants.score.context import plain
from genomix_cli.variants.score.tags import PREFIX, Tag

_SIGNIFICANCE, _FREQUENCY = "CLNSIG", "AF"
KNOWN = (
    Tag(PREFIX + "ID", "String", "IDs of the allele in the files of --known, joined by &"),
    Tag(
        PREFIX + _SIGNIFICANCE,
        "String",
        f"Clinical significance ({_SIGNIFICANCE}) in the first of these files that has one",
    ),
    Tag(
        PREFIX + _FREQUENCY,
        "Float",
        f"Allele frequency ({_FREQUENCY}) in the first of these files that has one",
    ),
)


class KnownVariants:
    """Columns for known variants: ID, clinical significance and frequency of an allele.

    Parameters
    ----------
    paths : sequence of Path
        VCF.gz or BCF files with indices, such as those of ClinVar and gnomAD. IDs come from all
        files; each other value comes from the first file that has it.
    reference : Reference

    Attributes
    ----------
    tags : tuple of Tag

    Raises
    ------
    DataError
        If a file cannot be read, has no index, or shares no contig with the reference.
    CheckError
        If a file belongs to another assembly.
    """

    tags = KNOWN

    def __init__(self, paths: Sequence[Path], reference: Reference) -> None:
        self._reference = reference
        self._open = ExitStack()
        self._files: list[KnownFile] = []
        try:
            for path in paths:
                file = KnownFile(path, kind_of(path, "a .vcf.gz or .bcf"))
                self._open.callback(file.close)
                self._files.append(file)
                file.refuse_other_assembly(reference)
        except BaseException:
            self._open.close()
            raise

    def close(self) -> None:
        """Close the files."""
        self._open.close()

    def texts(self, block: Sequence[Checked]) -> Iterator[Sequence[Sequence[str]]]:
        """Yield for each record the texts of each tag, one per ALT; only exact matches count."""
        wanted = Wanted.of(block, self._reference)
        of_files = []
        for file in self._files:
            rows = wanted.rows()
            file.search(wanted, rows, self._reference)
            of_files.append(wanted.in_order(rows))
        found = map(_together, zip(*of_files, strict=True))
        nothing = (MISSING,) * len(self.tags)
        for checked in block:
            of_alts = [nothing if allele is None else next(found) for allele in checked.alleles]
            yield list(zip(*of_alts, strict=True))


class KnownFile(AlleleFile):
    """A VCF of known variants."""

    def __init__(self, path: Path, kind: Kind) -> None:
        if not kind.is_vcf:
            raise DataError("is not a VCF", where=path, expected="a .vcf.gz or .bcf")
        super().__init__(path, kind)

    def rows_of(self, fields: Sequence[str]) -> list[Row | None]:
        """Return ID, significance and frequency of each ALT."""
        entries = dict([entry.partition("=")[::2] for entry in fields[7].split(";")])
        count = fields[self.alt].count(",") + 1
        significance = plain(entries.get(_SIGNIFICANCE, MISSING))
        frequencies = entries.get(_FREQUENCY, MISSING).split(",")
        if len(frequencies) == 1:
            frequencies *= count
        if len(frequencies) != count:
            raise DataError(
                f"{_FREQUENCY} does not say which ALT it belongs to",
                where=self.place(fields),
                expected=f"{count} values, one per ALT",
                found=entries[_FREQUENCY],
            )
        return [(plain(fields[2]), significance, self._number(f, fields)) for f in frequencies]

    def _number(self, text: str, fields: Sequence[str]) -> str:
        try:
            if text == MISSING or 0 <= float(text) <= 1:
                return text
        except ValueError:
            pass
        where, found = self.place(fields), repr(text[:40])
        raise DataError(f"{_FREQUENCY} is not a frequency", where=where, found=found)

    def joined(self, before: Row, row: Row, fields: Sequence[str]) -> Row:
        """Return the merged row of an allele that occurs on two lines."""
        del fields
        return _together((before, row))


def _together(rows: Sequence[Row | None]) -> Row:
    """Return all IDs of the rows, and the first significance and frequency that any gives."""
    ids = dict.fromkeys(row[0] for row in rows if row is not None and row[0] != MISSING)
    first = [
        next((row[i] for row in rows if row is not None and row[i] != MISSING), MISSING)
        for i in (1, 2)
    ]
    return ("&".join(ids) or MISSING, *first)
