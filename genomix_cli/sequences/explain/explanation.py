"""Explained sequences as rows of tables: bases and sites in genome coordinates.

Letters in shapes: n sequences, L bases, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.explanation import Explained, explained
from genomix_cli.comparison.study import Floats
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.iupac import LETTERS
from genomix_cli.genome.vcf.writer import cell
from genomix_cli.sequences.explain.attribution import Attribution
from genomix_cli.sequences.explain.motifs import Covered

COLUMNS = (
    *("sample", "position", "contig", "pos", "strand", "base", "ref", "alt"),
    *("attribution", "class", "probability", "completeness_error"),
)
SITE_COLUMNS = ("position", "contig", "pos", "ref", "alt", "mean_abs_attribution", "mean")
NOTE = (
    "position: base or column of the sequence, from 1; pos: place on the contig, from 1; base: the "
    "letter of the sequence as it is in the file; strand: of the sequence"
)


@dataclass(frozen=True)
class Explanation:
    """Explained sequences with their classes, attributions and motifs.

    Attributes
    ----------
    sequences : Sequences
        The explained sequences.
    classes : tuple of str
    probabilities : NDArray
        float64 ``[n, K]``: calibrated probabilities.
    attribution : Attribution
    motifs : tuple of tuple of Covered
        Motifs that the attribution of each sequence covers; empty if they were not requested.
    """

    sequences: Sequences
    classes: tuple[str, ...]
    probabilities: Floats
    attribution: Attribution
    motifs: tuple[tuple[Covered, ...], ...] = ()

    @property
    def probability(self) -> Floats:
        """Probability of the explained class, float64 ``[n]``."""
        target = self.attribution.target[:, None]
        return np.take_along_axis(self.probabilities, target, axis=1)[:, 0]

    def rows(self) -> tuple[Explained, ...]:
        """Return one summary row per sequence."""
        names = self.sequences.names
        return explained(names, self.classes, self.probability, self.attribution)


class Places(NamedTuple):
    """Genome positions of the bases of a sequence; 0 and empty if unknown.

    Attributes
    ----------
    contig : list of str
        ``[L]``.
    pos : NDArray
        int64 ``[L]``: 1-based.
    strand : str
        ``+``, ``-`` or empty.
    ref, alt : list of str
        ``[L]``: alleles of the columns of aligned sequences.
    """

    contig: list[str]
    pos: NDArray[np.int64]
    strand: str
    ref: list[str]
    alt: list[str]


def places(sequences: Sequences, row: int) -> Places:
    """Return the positions of a sequence's bases in the genome, from its window or columns."""
    n, names = sequences.length, list(sequences.contigs)
    nothing = [""] * n
    if sequences.columns is not None:
        columns = sequences.columns
        contig = [names[i] for i in columns.contig]
        ref = [LETTERS[code] for code in columns.ref]
        alt = [LETTERS[code] if code else "" for code in columns.alt]
        return Places(contig, columns.pos.astype(np.int64) + 1, "+", ref, alt)
    if sequences.windows is None:
        return Places(nothing, np.zeros(n, np.int64), "", nothing, nothing)
    windows = sequences.windows
    start, forward = int(windows.start[row]), windows.strand[row] >= 0
    pos = np.arange(start + 1, start + n + 1)
    contig = [names[int(windows.contig[row])]] * n
    ordered = pos if forward else pos[::-1]
    return Places(contig, ordered, "+" if forward else "-", nothing, nothing)


def attribution_rows(explanation: Explanation) -> Iterator[Sequence[str]]:
    """Yield a row per base of every sequence, in order."""
    sequences = explanation.sequences
    for i, line in enumerate(explanation.rows()):
        where = places(sequences, i)
        end = (cell(line.of_class), f"{line.probability:.6g}", f"{line.error:.3g}")
        for j, value in enumerate(explanation.attribution.values[i]):
            yield (
                cell(line.sample),
                str(j + 1),
                where.contig[j],
                str(where.pos[j]) if where.contig[j] else "",
                where.strand,
                LETTERS[sequences.codes[i, j]],
                where.ref[j],
                where.alt[j],
                f"{value:.6g}",
                *end,
            )


def site_rows(explanation: Explanation) -> Iterator[Sequence[str]]:
    """Yield a row per column, largest mean absolute attribution first."""
    values, where = explanation.attribution.values, places(explanation.sequences, 0)
    size, mean = np.abs(values).mean(0), values.mean(0)
    for j in np.argsort(-size, kind="stable"):
        position = (where.contig[j], str(where.pos[j]), where.ref[j], where.alt[j])
        yield (str(j + 1), *position, f"{size[j]:.6g}", f"{mean[j]:.6g}")
