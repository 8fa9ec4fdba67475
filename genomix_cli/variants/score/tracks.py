"""Scores along the genome for a browser: a bedGraph and a bigWig of each field.

The header of a bigWig lists its contigs in the order of its entries, which is known only at the
end. The bedGraph is therefore written while alleles are scored, and converted afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.genome.bigwig_writer import new_bigwig
from genomix_cli.genome.vcf.reader import MISSING
from genomix_cli.outputs import atomic_path, make_folder
from genomix_cli.variants.records.matching import Row
from genomix_cli.variants.score.tags import Tag

NOTE = "##Note=of alleles at one position the value of largest magnitude, with its sign"
# Lines of a bedGraph to read at a time.
CHUNK = 100_000


class ScoreTracks:
    """Writer of bedGraphs for alleles sorted by position.

    Parameters
    ----------
    columns : sequence of int
        Indices of the fields of a row to write.
    files : sequence of TextIO
        One file for each of these fields.
    """

    def __init__(self, columns: Sequence[int], files: Sequence[TextIO]) -> None:
        self.contigs: dict[str, None] = {}
        self._columns, self._files = columns, files
        self._place: tuple[str, int] | None = None
        self._last = ("", 0)
        self._alleles: list[Row] = []

    def passed(
        self, places: Iterable[tuple[str, object, int]], rows: Iterable[Row]
    ) -> Iterator[Row]:
        """Yield the rows unchanged, writing each position once all its alleles have passed.

        Parameters
        ----------
        places : iterable of (str, Allele, int)
            Contig, allele and POS (1-based) of each.
        rows : iterable of (tuple of str)
            Values of each.

        Raises
        ------
        DataError
            If the alleles are not sorted.
        """
        for (contig, _, pos), row in zip(places, rows, strict=True):
            if (contig, pos) != self._place:
                self.flush()
                self._go_on_to(contig, pos)
            self._alleles.append(row)
            yield row

    def _go_on_to(self, contig: str, pos: int) -> None:
        """Move to the next position; refuse a return to an earlier contig or position.

        A VCF that spells a contig in two ways may come back to it.
        """
        last, at = self._last
        if contig in self.contigs and (contig != last or pos < at):
            raise DataError(
                f"is not sorted: {contig}:{pos} follows {last}:{at}",
                where="--bigwig",
                expected="contigs with one spelling each, and sorted positions",
            )
        self._place = self._last = contig, pos
        self.contigs[contig] = None

    def flush(self) -> None:
        """Write the current position."""
        if self._place is None:
            return
        contig, pos = self._place
        place = f"{contig}\t{pos - 1}\t{pos}\t"
        for column, file in zip(self._columns, self._files, strict=True):
            texts = [row[column] for row in self._alleles if row[column] != MISSING]
            if texts:
                file.write(f"{place}{strongest(texts)}\n")
        self._place, self._alleles = None, []


def strongest(texts: Sequence[str]) -> str:
    """Return the number with the largest magnitude; the first in case of a tie."""
    return texts[0] if len(texts) == 1 else max(texts, key=lambda text: abs(float(text)))


@contextmanager
def score_tracks(
    folder: Path | None, tags: Sequence[Tag], lengths: Mapping[str, int], made: Sequence[str]
) -> Iterator[ScoreTracks | None]:
    """Open the score tracks of a run; the files appear when the block ends without error.

    Parameters
    ----------
    folder : Path or None
        Output folder, created if missing. With None, nothing is written.
    tags : sequence of Tag
        Fields of a row. Each numeric field gets a file ``KEY.bedgraph`` and a ``KEY.bw``.
    lengths : mapping of str to int
        Lengths of the contigs, in bases.
    made : sequence of str
        Lines that describe how the scores were made.
    """
    if folder is None:
        yield None
        return
    columns = [i for i, tag in enumerate(tags) if tag.kind == "Float"]
    with ExitStack() as stack:
        stack.enter_context(_folder(folder))
        drafts = [
            stack.enter_context(atomic_path(folder / f"{tags[i].key}.bedgraph")) for i in columns
        ]
        with ExitStack() as opened:
            files = [opened.enter_context(draft.open("w")) for draft in drafts]
            for file in files:
                file.writelines(f"{line}\n" for line in (*made, NOTE))
            tracks = ScoreTracks(columns, files)
            yield tracks
            tracks.flush()
        ordered = {contig: lengths[contig] for contig in (*tracks.contigs, *lengths)}
        for i, draft in zip(columns, drafts, strict=True):
            with new_bigwig(folder / f"{tags[i].key}.bw", ordered) as bigwig:
                for part in _stretches(draft):
                    bigwig.add(*part)


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Create a folder if it is missing; after an error, remove it again if it is empty."""
    is_new = not path.exists()
    make_folder(path)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                path.rmdir()
        raise


def _stretches(
    bedgraph: Path,
) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.float32]]]:
    """Yield contig, starts and values of a single-base bedGraph, part by part."""
    with bedgraph.open() as file:
        rows = (line.rstrip("\n").split("\t") for line in file if not line.startswith("#"))
        for contig, of_contig in groupby(rows, key=itemgetter(0)):
            while part := list(islice(of_contig, CHUNK)):
                _, starts, _, values = zip(*part, strict=True)
                yield contig, np.array(starts, np.int64), np.array(values, np.float32)
