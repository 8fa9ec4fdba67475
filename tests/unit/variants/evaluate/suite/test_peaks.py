"""Peaks from a file and from tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.peaks import Peaks, call_peaks, read_peaks
from tests.suite_shard import rows_of

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


def test_distance_to_peaks_from_a_file(shard: Shard, tmp_path: Path) -> None:
    path = tmp_path / "x.narrowPeak"
    path.write_text("chr1\t1000\t2000\tp\t0\t.\t1\t1\t1\t5\n1\t50000\t50100\tq\t0\t.\t1\t1\t1\t5\n")
    peaks = read_peaks(path, shard)
    rows = rows_of(shard, "chr1")
    pos = shard.variants.pos[rows]
    first, second = (
        np.maximum(np.maximum(start - pos, pos - end + 1), 0)
        for start, end in ((1_000, 2_000), (50_000, 50_100))
    )
    plain = np.minimum(first, second)
    assert peaks.distance(shard, rows).tolist() == plain.tolist()
    assert np.isinf(peaks.distance(shard, rows_of(shard, "chr2"))).all()


def test_called_peaks_are_the_strongest_bins(shard: Shard) -> None:
    peaks = call_peaks(shard, rows_of(shard, "chr1"))
    assert isinstance(peaks, Peaks)
    found = peaks.by_cell[""]["chr1"]
    share = (found[:, 1] - found[:, 0]).sum() / 150_000
    assert 0.03 < share <= 0.055
    assert (found[1:, 0] > found[:-1, 1]).all()
