"""bigWig files for tests, with pyBigWig as the oracle of their bins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyBigWig

from genomix_cli.genome.bigwig import BigWig

# Number of bases to read at once: a whole chromosome would take gigabytes.
STEP = 100_000


def oracle(
    file: pyBigWig.bigWigFile, contig: str, first: int, last: int, bin_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return sum (float64) and number of covered bases per bin, from pyBigWig's values."""
    total, count = np.zeros(last - first), np.zeros(last - first)
    for low in range(first, last, STEP):
        high = min(low + STEP, last)
        end = min(high * bin_size, file.chroms(contig))
        values = np.full((high - low) * bin_size, np.nan, np.float32)
        found = file.values(contig, low * bin_size, end, numpy=True)
        values[: len(found)] = found
        bins = np.nan_to_num(values, nan=0.0).reshape(-1, bin_size)
        total[low - first : high - first] = bins.sum(axis=1, dtype=np.float64)
        known = ~np.isnan(values).reshape(-1, bin_size)
        count[low - first : high - first] = known.sum(axis=1)
    return total, count


def assert_like_pybigwig(
    path: Path,
    *,
    contigs: int | None = None,
    regions: Sequence[tuple[int, int]] = (),
    bin_sizes: Sequence[int] = (50,),
) -> None:
    """Assert that float32 sums, counts, means and coverage equal pyBigWig's bit for bit."""
    file = pyBigWig.open(str(path))
    with BigWig(path) as track:
        names = list(track.lengths) if regions == () else ["chr22"]
        for name in names[:: max(1, len(names) // (contigs or len(names)))]:
            for bin_size in bin_sizes:
                n = -(-track.lengths[name] // bin_size)
                for first, last in regions or [(0, n), (n // 3, n // 3 + 7), (n - 1, n)]:
                    _compare(track, file, name, max(first, 0), min(last, n), bin_size)
    file.close()


def _compare(
    track: BigWig, file: pyBigWig.bigWigFile, name: str, first: int, last: int, bin_size: int
) -> None:
    total, count = oracle(file, name, first, last, bin_size)
    sums = track._sums(name, first, last, bin_size)
    found = (np.zeros(last - first), np.zeros(last - first)) if sums is None else sums
    np.testing.assert_array_equal(found[0].astype(np.float32), total.astype(np.float32))
    np.testing.assert_array_equal(found[1], count)
    bins = track.bins(name, first, last, bin_size)
    mean = (total / np.maximum(count, 1)).astype(np.float32)
    np.testing.assert_array_equal(bins.mean, mean)
    np.testing.assert_array_equal(bins.covered, count > 0)


def many_contigs(path: Path, n: int) -> Path:
    """Write a bigWig of n contigs, one of 1.5 Mb and others of 4 kb, with all kinds of entry."""
    rng = np.random.default_rng(n)
    lengths = {f"c{i}": 4_000 + i if i else 1_500_000 for i in range(n)}
    file = pyBigWig.open(str(path), "w")
    file.addHeader(list(lengths.items()))
    for name, length in lengths.items():
        third = length // 3
        edges = np.sort(rng.choice(np.arange(1, third), third // 9, replace=False))
        starts, ends = edges[:-1:2].tolist(), edges[1::2].tolist()
        values = rng.gamma(1, 9, len(ends)).tolist()
        file.addEntries([name] * len(ends), starts[: len(ends)], ends=ends, values=values)
        variable = (third + np.arange(20, third - 20, 17)).tolist()
        file.addEntries(name, variable, values=rng.normal(size=len(variable)).tolist(), span=11)
        fixed = rng.normal(size=third // 25 - 2)
        file.addEntries(name, 2 * third + 1, values=fixed.tolist(), span=20, step=25)
    file.close()
    return path


def check_bedgraph(bigwig: Path) -> None:
    """Assert that the bedGraph next to a bigWig has exactly the same entries."""
    with pyBigWig.open(str(bigwig)) as file:
        own = [(name, *entry) for name in file.chroms() for entry in file.intervals(name) or ()]
    text = bigwig.with_suffix(".bedgraph").read_text()
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    assert own
    assert [(r[0], int(r[1]), int(r[2]), float(np.float32(r[3]))) for r in rows] == own
