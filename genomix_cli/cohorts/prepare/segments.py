"""Convert copy-number segments (.seg) to mean log2 ratios of arms or fixed bins, and back."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.prepare.modality import Modality
from genomix_cli.cohorts.prepare.records import SEGMENTS, Records, codes, read_records
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import KINDS
from genomix_cli.genome.arms import ALIASES, ASSEMBLIES, arms
from genomix_cli.genome.intervals import canonical

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("genomix")

ARMS = "arms"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(bp|kb|Mb|)", re.IGNORECASE)
_UNITS = {"": 1, "bp": 1, "kb": 1_000, "mb": 1_000_000}
_SMALLEST_BIN = 10_000
# DNAcopy and others number the sex chromosomes.
_SEX = {"23": "X", "24": "Y"}


def bins_of(bins: str, assembly: str, sex: bool = False) -> pd.DataFrame:
    """Return the bins of an assembly.

    Parameters
    ----------
    bins : str
        ``arms``, or a size such as ``5Mb``, ``500kb`` or ``1000000``; the last bin of a chromosome
        ends with it.
    assembly : str
        hg38 or hg19, or their GRC names.
    sex : bool
        Include X and Y.

    Returns
    -------
    DataFrame
        One row per bin in genome order: `contig`, `start` and `end` (0-based, half-open), indexed
        by name: ``8q``, or ``chr8:0-5000000``.

    Raises
    ------
    UsageError
        If the assembly or the size is not known.
    """
    import pandas as pd

    all_arms = arms(assembly, sex)
    if bins == ARMS:
        rows = [(arm.name, arm.contig, arm.start, arm.end) for arm in all_arms]
    else:
        size = _size(bins)
        lengths = {arm.contig: arm.end for arm in all_arms}
        rows = [
            (f"{contig}:{start}-{end}", contig, start, end)
            for contig, length in lengths.items()
            for start in range(0, length, size)
            for end in [min(start + size, length)]
        ]
    names, *columns = zip(*rows, strict=True)
    table = pd.DataFrame(dict(zip(("contig", "start", "end"), columns, strict=True)))
    return table.astype({"contig": "category"}).set_axis(pd.Index(names, dtype=object))


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if size < _SMALLEST_BIN:
        raise UsageError(
            "not a bin size",
            where="--bins",
            expected=f"arms, or {_SMALLEST_BIN // 1000}kb or more, e.g. 5Mb",
            found=text,
        )
    return size


def read_segments(name: str, path: Path, bins: str, assembly: str, sex: bool = False) -> Modality:
    """Read a .seg file as the mean log2 ratio of each bin.

    Parameters
    ----------
    name : str
        Name of the modality.
    path : Path
        Columns sample, contig, start, end (1-based, both ends belong to the segment) and the mean
        log2 ratio, under the names that DNAcopy, GDC, cBioPortal or Xena give them.
    bins, assembly, sex
        See :func:`bins_of`.

    Raises
    ------
    DataError
        With file and line: a segment that ends before it starts or beyond its chromosome, is there
        twice, or whose mean is no log2 ratio.
    """
    features = bins_of(bins, assembly, sex)
    records = read_records(path, SEGMENTS)
    row, samples = records.codes("sample")
    records.codes("contig")
    start, end = records.positions("start") - 1, records.positions("end")
    mean = records.values("mean", KINDS["copy_number"])
    contig = np.array([_contig(cell) for cell in records.columns["contig"]], object)
    _check(records, contig, start, end, assembly)
    _check_overlap(records, row, codes(contig)[0], start, end)
    known = ~np.isnan(mean)
    values, used = bin_means(
        row[known], contig[known], start[known], end[known], mean[known], features, len(samples)
    )
    notes = {
        "segments": len(mean),
        "segments without a value": int((~known).sum()),
        "segments outside the bins": int((~used).sum()),
        "bins": bins,
        "assembly": ALIASES.get(assembly, assembly),
    }
    return Modality(name, KINDS["copy_number"], samples, features, values, path, notes)


def _contig(name: str) -> str:
    bare = canonical(name)
    return f"chr{_SEX.get(bare, bare)}"


def _check(
    records: Records,
    contig: NDArray[np.object_],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    assembly: str,
) -> None:
    table = ASSEMBLIES[ALIASES.get(assembly, assembly)]
    lengths = {f"chr{name}": length for name, (length, _) in table.items()}
    length = np.array([lengths.get(name, np.iinfo(np.int64).max) for name in contig])
    for wrong, what, hint in (
        (start < 0, "starts before base 1", None),
        (end <= start, "ends before it starts", None),
        (end > length, f"ends beyond {assembly}'s chromosome", "is it another --assembly?"),
    ):
        if wrong.any():
            i = int(wrong.argmax())
            segment = f"{contig[i]}:{start[i] + 1}-{end[i]}"
            raise DataError(f"the segment {what}", where=records.at(i), found=segment, hint=hint)


def _check_overlap(
    records: Records,
    row: NDArray[np.intp],
    contig: NDArray[np.intp],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
) -> None:
    """Refuse a segment that is there twice; warn of those that share more than a base."""
    order = np.lexsort((end, start, contig, row))
    left, right = order[:-1], order[1:]
    beside = (row[left] == row[right]) & (contig[left] == contig[right])
    same = beside & (start[left] == start[right]) & (end[left] == end[right])
    key = np.zeros(len(order), np.intp)
    key[right] = np.cumsum(~same)
    records.refuse_repeats(key)
    # Some callers let a segment begin on the last base of the one before.
    overlaps = right[beside & (start[right] < end[left] - 1)]
    if len(overlaps):
        log.warning(
            "%s: %s segments overlap another segment of the same sample, the "
            "first in line %d; overlaps are averaged",
            *(records.path, f"{len(overlaps):,}", records.lines[overlaps].min()),
        )


def bin_means(
    row: NDArray[np.intp],
    contig: NDArray[np.object_],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    mean: NDArray[np.float64],
    bins: pd.DataFrame,
    n_samples: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the mean of the segments in each bin, weighted by the bases they share with it.

    Parameters
    ----------
    row : NDArray
        int ``[n]``, the sample of each segment.
    contig, start, end, mean : NDArray
        ``[n]``; 0-based, half-open.
    bins : DataFrame
        From :func:`bins_of`: sorted and without overlap on each contig.
    n_samples : int

    Returns
    -------
    values : NDArray
        float32 ``[n_samples, bins]``, NaN if no segment overlaps.
    used : NDArray
        bool ``[n]``: True for segments that overlap a bin.
    """
    total = np.zeros((n_samples, len(bins)))
    bases = np.zeros((n_samples, len(bins)))
    used = np.zeros(len(row), bool)
    bin_contig = np.asarray(bins["contig"], object)
    for name in dict.fromkeys(bin_contig):
        columns = np.flatnonzero(bin_contig == name)
        low, high = (bins[end_].to_numpy()[columns] for end_ in ("start", "end"))
        on_contig = np.flatnonzero(contig == name)
        # All pairs of a segment and a bin that it overlaps: `first` to `last` bin of each segment,
        # laid out flat so that no Python loop runs over segments.
        first = np.searchsorted(high, start[on_contig], side="right")
        n = np.maximum(np.searchsorted(low, end[on_contig], side="left") - first, 0)
        segment = np.repeat(on_contig, n)
        bin_ = np.repeat(first, n) + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        shared = np.minimum(end[segment], high[bin_]) - np.maximum(start[segment], low[bin_])
        cell = row[segment], columns[bin_]
        np.add.at(bases, cell, shared)
        np.add.at(total, cell, shared * mean[segment])
        used[on_contig] = n > 0
    with np.errstate(invalid="ignore"):
        return (total / bases).astype(np.float32), used
