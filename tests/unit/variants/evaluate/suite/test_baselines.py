"""Features of baselines against plain counts, and boosting without features."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.comparison.metrics.binary import auroc
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.alphabet import decode
from genomix_cli.variants.evaluate.suite.baselines.base import BaselineTask
from genomix_cli.variants.evaluate.suite.baselines.boosting import (
    _boosted,
    position_features,
    track_features,
)
from genomix_cli.variants.evaluate.suite.baselines.kmers import kmer_changes
from tests.suite_shard import rows_of

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


def test_the_kmers_lost_and_gained_are_those_of_a_plain_count(shard: Shard) -> None:
    rows = rows_of(shard, "chr1")[:60]
    found = np.asarray(kmer_changes(shard, rows).todense())
    table = shard.variants
    lost, gained = np.split(found, 2, axis=1)
    for i, row in enumerate(rows):
        pos, ref, alt = int(table.pos[row]), table.ref[row].decode(), table.alt[row].decode()
        left = decode(shard.codes("chr1", pos - 5, pos))
        right = decode(shard.codes("chr1", pos + len(ref), pos + len(ref) + 5))
        counts = _kmers(left + ref + right)
        for kmer, n in _kmers(left + alt + right).items():
            counts[kmer] = counts.get(kmer, 0) - n
        assert lost[i].sum() == sum(max(n, 0) for n in counts.values())
        assert gained[i].sum() == sum(max(-n, 0) for n in counts.values())


def _kmers(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for i in range(len(text) - 5):
        kmer = text[i : i + 6]
        other = kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))
        found[min(kmer, other)] = found.get(min(kmer, other), 0) + 1
    return found


def test_place_and_tracks_are_read_where_the_variant_is(shard: Shard) -> None:
    rows = rows_of(shard, "chr2")[:40]
    task = BaselineTask(shard, rows, rows, rows, np.zeros(len(shard.variants.pos)), True)
    place = position_features(task, rows)
    pos = shard.variants.pos
    assert place[:, 1] == pytest.approx(pos[rows] / 150_000)
    others = np.setdiff1d(pos[rows_of(shard, "chr2")], pos[rows[7]])
    assert place[7, 3] == np.abs(others - pos[rows[7]]).min()
    tracks = track_features(task, rows)
    own = shard.signal("chr2", int(pos[rows[7]]) // 50, int(pos[rows[7]]) // 50 + 1).value
    assert tracks[7, 3] == own[0, 0]
    assert tracks[7, 10] == own[1, 0]


def test_boosting_bears_tracks_that_were_never_measured(shard: Shard) -> None:
    rows = np.arange(60)
    target = (np.arange(len(shard.variants.pos)) % 2).astype(np.float64)
    task = BaselineTask(shard, rows, rows[:0], rows, target, True, None, 0)

    def partly(which: np.ndarray) -> np.ndarray:
        return np.column_stack([np.full(len(which), np.nan), target[which]])

    assert auroc(target[rows], _boosted(task, partly).score) == 1
    nothing = _boosted(task, lambda which: np.full((len(which), 2), np.nan)).score
    assert (nothing == 0.5).all()
