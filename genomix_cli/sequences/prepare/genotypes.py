"""Genotypes of one VCF record: both alleles of each sample in a byte.

The lower four bits hold the set of bases of the first allele, the upper four that of the second. A
genotype of unknown phase has both alleles in each set.

Letters in shapes: n samples.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.genome.iupac import ANY

Bytes = NDArray[np.uint8]

KEY = "GT"
_TAB, _COLON, _SLASH, _BAR, _DOT, _ZERO = b"\t:/|.0"
_GENOTYPE = re.compile(r"[/|]?(0|[1-9]\d*|\.)(?:([/|])(0|[1-9]\d*|\.))?")
# Single digits suffice, because SNVs have at most as many alleles as there are bases.
_PADDING = b"\t" * 4


class Genotypes(NamedTuple):
    """Genotypes of a record.

    Attributes
    ----------
    first, second : NDArray
        uint8 ``[n]``: set of each allele, 15 if missing. Equal for haploid genotypes.
    in_order : NDArray
        bool ``[n]``: True if the order of `first` and `second` is known.
    phased, unphased : int
        Numbers of phased diploid genotypes, and of unphased heterozygous ones.
    """

    first: Bytes
    second: Bytes
    in_order: NDArray[np.bool_]
    phased: int
    unphased: int

    @property
    def packed(self) -> Bytes:
        """Both alleles in one byte, uint8 ``[n]``."""
        both = self.first | self.second
        first = np.where(self.in_order, self.first, both)
        second = np.where(self.in_order, self.second, both)
        return first | second << 4

    @property
    def missing(self) -> float:
        """Fraction of incomplete genotypes."""
        return float(((self.first == ANY) | (self.second == ANY)).mean())

    @property
    def rare(self) -> float:
        """Fraction of the called alleles other than the most frequent one."""
        counts = np.bincount(np.concatenate([self.first, self.second]), minlength=ANY + 1)[:ANY]
        return 1 - float(counts.max()) / max(float(counts.sum()), 1)


def has_genotypes(rest: str) -> bool:
    """Return True if FORMAT begins with GT, as the VCF specification requires.

    `rest` is the part of the line after INFO.
    """
    return rest.startswith(("GT\t", "GT:"))


def parse(rest: str, n: int, alleles: Sequence[int], where: object) -> Genotypes:
    """Read the genotypes of a line.

    Parameters
    ----------
    rest : str
        The line from FORMAT on.
    n : int
        Number of samples.
    alleles : sequence of int
        Set of each allele of the record, REF first.
    where : object
        Position, for messages.

    Raises
    ------
    DataError
        If there are not n genotypes, or one does not have one or two alleles.
    """
    raw = np.frombuffer(rest.encode("utf-8", "surrogateescape") + _PADDING, np.uint8)
    starts = _starts(raw, n, where)
    first, separator, second, after = (raw[starts + i] for i in range(4))
    sets = np.zeros(256, np.uint8)
    sets[_DOT] = ANY
    sets[_ZERO : _ZERO + min(len(alleles), 10)] = alleles[:10]
    haploid = _ends(separator)
    barred = separator == _BAR
    diploid = (barred | (separator == _SLASH)) & _ends(after)
    a, b = sets[first], np.where(haploid, sets[first], sets[second])
    for i in np.flatnonzero(~((haploid | diploid) & (a > 0) & (b > 0))):
        text = raw[starts[i] : _end(raw, starts[i])].tobytes().decode("utf-8", "replace")
        a[i], b[i], haploid[i], barred[i] = _read_one(text, alleles, where)
    called = ~haploid & (a != ANY) & (b != ANY)
    phased = int((called & barred).sum())
    unphased = int((called & ~barred & (a != b)).sum())
    return Genotypes(a, b, barred & ~haploid, phased, unphased)


def _starts(raw: Bytes, n: int, where: object) -> NDArray[np.intp]:
    """Return the start of each sample's field."""
    short = len(raw) - len(_PADDING) == 2 + 4 * n
    if short and (raw[2 : 2 + 4 * n : 4] == _TAB).all():
        return np.arange(3, 3 + 4 * n, 4)
    tabs = np.flatnonzero(raw[: -len(_PADDING)] == _TAB)
    if len(tabs) != n:
        raise DataError(
            "the number of columns differs from the header",
            where=where,
            expected=f"{n:,} samples",
            found=f"{len(tabs):,}",
        )
    return tabs + 1


def _ends(character: Bytes) -> NDArray[np.bool_]:
    return (character == _TAB) | (character == _COLON)


def _end(raw: Bytes, start: int) -> int:
    """Return the end of a genotype."""
    return start + int(np.argmax(_ends(raw[start:])))


def _read_one(text: str, alleles: Sequence[int], where: object) -> tuple[int, int, bool, bool]:
    """Read a genotype of unusual format; return both sets, and if it is haploid and phased."""
    match = _GENOTYPE.fullmatch(text)
    if match is None:
        raise DataError(
            "not a genotype of one or two alleles",
            where=where,
            expected="0/1",
            found=repr(text[:40]),
        )
    numbers = [match[1], match[1] if match[3] is None else match[3]]
    for number in numbers:
        if number != "." and int(number) >= len(alleles):
            raise DataError(
                "a genotype refers to an allele that does not exist",
                where=where,
                expected=f"0 to {len(alleles) - 1}",
                found=text,
            )
    first, second = (ANY if number == "." else alleles[int(number)] for number in numbers)
    return first, second, match[3] is None, match[2] == "|"
