"""Read counts of cell-free DNA fragments with one record per line: lengths and DELFI bins.

Matrices (samples x lengths, or bins named as in ``chr1:0-5000000:short``) are read like any
other: see `genomix_cli.cohorts.prepare.modality.feature_table`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genomix_cli.cohorts.prepare.modality import Modality, feature_table
from genomix_cli.cohorts.prepare.records import BINS, LENGTHS, codes, read_records
from genomix_cli.errors import DataError
from genomix_cli.formats.cohort import KINDS

FRAGMENTS = KINDS["fragments"]
# Longer than any cell-free DNA: the column must hold something else.
_LONGEST = 100_000


def read_lengths(name: str, path: Path) -> Modality:
    """Read a histogram of lengths with the columns sample, length and count.

    Lengths that are absent for a sample count as 0. The features are all lengths from the shortest
    to the longest, in base pairs.

    Raises
    ------
    DataError
        With file and line: a length or count that is not valid, or a repeated length.
    """
    records = read_records(path, LENGTHS)
    row, samples = records.codes("sample")
    length = records.positions("length")
    if length.max() > _LONGEST:
        i = int(length.argmax())
        where, found = records.at(i, "length"), str(length[i])
        expected = f"base pairs, {_LONGEST} at most"
        raise DataError("not a length", where=where, expected=expected, found=found)
    count = records.values("count", FRAGMENTS)
    first = int(length.min())
    lengths = np.arange(first, int(length.max()) + 1)
    cell = row * len(lengths) + length - first
    records.refuse_repeats(cell)
    values = np.zeros((len(samples), len(lengths)), np.float32)
    values.reshape(-1)[cell] = count
    features = feature_table([str(bp) for bp in lengths], FRAGMENTS)
    return Modality(name, FRAGMENTS, samples, features, values, path)


def read_bins(name: str, path: Path) -> Modality:
    """Read short (100-150 bp) and long (151-220 bp) counts, one record per sample and bin.

    The columns are sample, contig, start, end (0-based, half-open), short and long, as in DELFI
    (Cristiano et al. 2019, doi:10.1038/s41586-019-1272-6). Bins that are absent for a sample are
    missing values.

    Raises
    ------
    DataError
        With file and line: a position or count that is not valid, or a repeated bin.
    """
    records = read_records(path, BINS)
    row, samples = records.codes("sample")
    records.codes("contig")
    start, end = records.positions("start"), records.positions("end")
    contigs = records.columns["contig"]
    regions = [f"{c}:{s}-{e}" for c, s, e in zip(contigs, start, end, strict=True)]
    column, names = codes(regions)
    records.refuse_repeats(row * len(names) + column)
    values = np.full((len(samples), len(names), 2), np.nan, np.float32)
    for i, readout in enumerate(("short", "long")):
        values[row, column, i] = records.values(readout, FRAGMENTS)
    features = [f"{region}:{readout}" for region in names for readout in ("short", "long")]
    table = feature_table(features, FRAGMENTS)
    return Modality(name, FRAGMENTS, samples, table, values.reshape(len(samples), -1), path)
