"""Held-out parts of a genome: contigs or regions, and folds of contigs or of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.vcf.regions import END, START, Interval, Regions
from genomix_cli.learning.folds import contig_folds
from genomix_cli.variants.requests.train import HoldOut

Rows = NDArray[np.int64]
CONTIG = "contig"
# Neighbouring rows that stay together when thinning: enough to fill a window, but few enough to
# sample many loci, since differences between loci do not average out within one.
STRETCH = 100


class HeldOutRegions:
    """Parts of a genome that are held out from training.

    Parameters
    ----------
    regions : Regions
    """

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    @classmethod
    def of(
        cls, known: Iterable[str], contigs: Iterable[str], bed: Path | None = None, part: str = ""
    ) -> HeldOutRegions:
        """Hold out whole contigs, and the regions of a BED file.

        Parameters
        ----------
        known : iterable of str
            Contigs of the data; ``chr1`` and ``1`` mean the same.
        contigs : iterable of str
        bed : Path, optional
        part : str
            Name of the part, for messages.

        Raises
        ------
        UsageError
            If a contig is unknown.
        DataError
            If the file cannot be read, or none of its contigs is in the data.
        """
        names = ContigNames(tuple(known), "the data")
        unknown = [name for name in contigs if names.find(name) is None]
        if unknown:
            raise UsageError(
                f"unknown {part} contigs: {', '.join(unknown)}".replace("  ", " "),
                expected=f"some of {', '.join(list(names)[:30])}",
            )
        whole = [Interval(names.require(name), START, END) for name in contigs]
        parts = [] if bed is None else _of_file(bed, names)
        return cls(Regions([*whole, *parts]))

    def __bool__(self) -> bool:
        return bool(self._regions.by_contig)

    def __str__(self) -> str:
        return str(self._regions)

    def inside(self, contig: str, pos: NDArray[np.integer], margin: int = 0) -> NDArray[np.bool_]:
        """Return True for positions inside or within `margin` bases of a region, bool ``[n]``."""
        found = self._regions.find(contig)
        pos = np.asarray(pos, np.int64)
        if found is None:
            return np.zeros(len(pos), np.bool_)
        # Regions are sorted and disjoint, so only the last one that starts by then can match.
        before = np.searchsorted(found[:, 0], pos + margin, side="right") - 1
        return (before >= 0) & (found[before.clip(0), 1] > pos - margin)

    def mask(
        self, names: Iterable[str], contig: NDArray[np.integer], pos: Rows, margin: int = 0
    ) -> NDArray[np.bool_]:
        """Return :meth:`inside` for rows of a table, bool ``[n]``; `contig` indexes `names`."""
        inside = np.zeros(len(pos), np.bool_)
        for index, name in enumerate(names):
            here = np.flatnonzero(contig == index)
            inside[here] = self.inside(name, pos[here], margin)
        return inside

    def touches(self, contig: str, start: int, end: int) -> bool:
        """Return True if an interval shares a base with the held-out part."""
        found = self._regions.find(contig)
        return found is not None and bool(((found[:, 0] < end) & (found[:, 1] > start)).any())

    def holds(self, contig: str, start: int, end: int) -> bool:
        """Return True if an interval lies wholly inside."""
        found = self._regions.find(contig)
        return found is not None and bool(((found[:, 0] <= start) & (found[:, 1] >= end)).any())


def _of_file(bed: Path, names: ContigNames) -> list[Interval]:
    regions = Regions.read(bed)
    known = {name: names.find(name) for name in regions.by_contig}
    found = [
        Interval(own, start, end)
        for name, own in known.items()
        if own is not None
        for start, end in regions.by_contig[name].tolist()
    ]
    if not found:
        raise DataError(
            "none of its contigs is in the data",
            where=bed,
            expected=", ".join(list(names)[:5]),
            found=", ".join(list(known)[:5]),
        )
    return found


class GenomeSplit(NamedTuple):
    """Validation and test parts of a genome."""

    valid: HeldOutRegions
    test: HeldOutRegions

    def rows(
        self, names: NDArray[np.str_], pos: NDArray[np.int64], usable: Rows, margin: int
    ) -> dict[str, Rows]:
        """Return the rows of a table in each part.

        Parameters
        ----------
        names : NDArray
            str ``[n]``: contig of each row.
        pos : NDArray
            int64 ``[n]``.
        usable : NDArray
            int64: usable rows.
        margin : int
            Distance in bases, see `least_distance`. Training rows this close to a held-out region
            are left out, since their window may share a base with a window there. So are validation
            rows this close to a test region.

        Returns
        -------
        dict of str to NDArray
            int64: rows of ``train``, ``valid``, ``test`` and ``beside`` (those left out).
        """
        part = np.full(len(names), "train", "U6")
        for contig in np.unique(names[usable]):
            here = usable[names[usable] == contig]
            # Order matters: test rows take precedence over validation rows nearby.
            for name, out in self._asdict().items():
                part[here[out.inside(contig, pos[here], margin)]] = "beside"
                part[here[out.inside(contig, pos[here])]] = name
        return {name: usable[part[usable] == name] for name in ("train", "valid", "test", "beside")}


class Folds(NamedTuple):
    """Intervals of each fold of a cross-validation."""

    members: tuple[tuple[Interval, ...], ...]

    def write(self, folder: Path) -> list[Path]:
        """Write a BED file for each fold."""
        paths = [folder / f"fold-{i}.bed" for i in range(len(self.members))]
        for path, fold in zip(paths, self.members, strict=True):
            lines = "".join(f"{c}\t{start}\t{end}\n" for c, start, end in fold)
            RunFolder(folder).write_text(path.name, lines)
        return paths


def make_folds(
    n: int, by: str, contig: NDArray[np.str_], pos: NDArray[np.int64], lengths: Mapping[str, int]
) -> Folds:
    """Assign contigs or blocks to folds with about the same number of variants each.

    Parameters
    ----------
    n : int
    by : str
        ``contig``, or a length such as ``1Mb``.
    contig, pos : NDArray
        str and int64 ``[n]``: the labelled variants.
    lengths : mapping of str to int
        Length of each contig.

    Raises
    ------
    UsageError
        If `by` is not a length, or there are fewer units than folds.
    """
    size = max(lengths.values()) if by == CONTIG else parse_length(by)
    units: dict[str, Interval] = {}
    counts: dict[str, int] = {}
    for name, length in lengths.items():
        here = np.bincount(pos[contig == name] // size)
        for block in np.flatnonzero(here).tolist():
            start = block * size
            units[f"{name}:{block}"] = Interval(name, start, min(start + size, length))
            counts[f"{name}:{block}"] = int(here[block])
    members = contig_folds(n, counts)
    return Folds(tuple(tuple(units[unit] for unit in fold) for fold in members))


def parse_length(text: str) -> int:
    """Parse ``1Mb``, ``500kb`` or a number of bases.

    Raises
    ------
    UsageError
        If the text has none of these forms.
    """
    length = re.fullmatch(r"(\d+)([km]?)b?", text.lower(), re.ASCII)
    if length is None or not int(length[1]):
        raise UsageError(
            "not a length",
            where="--fold-by",
            expected="contig, or a length such as 1Mb",
            found=text,
        )
    return int(length[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[length[2]]


def labelled_rows(shard: Shard) -> Rows:
    """Return the rows of the variant table with a label or an effect.

    Raises
    ------
    DataError
        If there are no such rows.
    """
    usable = np.isfinite(shard.variants.label) | np.isfinite(shard.variants.effect)
    if not usable.any():
        hint = "prepare it with --label-info, --effect-info or --labels"
        raise DataError("has no labelled variants", where=shard.path, hint=hint)
    return np.flatnonzero(usable)


def thin(rows: Rows, most: int) -> Rows:
    """Return at most `most` rows as whole, evenly spaced stretches, so that windows stay full."""
    if not most or len(rows) <= most:
        return rows
    size = min(STRETCH, most)
    stretches = np.array_split(rows, -(-len(rows) // size))
    keep = np.linspace(0, len(stretches) - 1, max(1, most // size)).round().astype(int)
    return np.concatenate([stretches[i] for i in np.unique(keep)])


def split_genome(hold_out: HoldOut, known: Iterable[str]) -> GenomeSplit:
    """Return both parts, with contigs spelled as in the data.

    Raises
    ------
    UsageError
        If a contig is unknown, or in both parts.
    DataError
        If a file cannot be read, or has no contig in common with the data.
    """
    known = tuple(known)
    valid = HeldOutRegions.of(known, hold_out.valid_contigs, hold_out.valid_regions, "valid")
    test = HeldOutRegions.of(known, hold_out.test_contigs, hold_out.test_regions, "test")
    both = [
        name
        for name, pairs in test._regions.by_contig.items()
        if any(valid.touches(name, *interval) for interval in pairs.tolist())
    ]
    if both:
        raise UsageError(f"the validation and test parts overlap on {', '.join(both)}")
    return GenomeSplit(valid, test)
