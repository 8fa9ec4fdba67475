"""Controls of the first model."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.results import Suite
from genomix_cli.variants.train.controls import ShuffledTracks
from genomix_cli.variants.train.dataset import VariantDataset
from tests.suite_shard import rows_of

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


def test_shuffled_tracks_are_those_of_another_place_and_the_sequence_stays(shard: Shard) -> None:
    data = VariantDataset(
        shard,
        rows_of(shard, "chr4"),
        n_bins=200,
        core_bins=100,
        flank=16,
        max_group=12,  # several items share a window
        augment=False,
        seed=0,
    )
    shuffled = ShuffledTracks(data, 0)
    starts = {place.start for place in data.placements}
    donors = {
        start: donor
        for (_, donor), start in zip(
            shuffled.donors, [p.start for p in data.placements], strict=True
        )
    }
    assert set(donors.values()) == starts < set(range(-10_000, 160_000, 50))
    assert len(data) > len(starts)
    item, plain = shuffled[3], data[3]
    donor = next(i for i, p in enumerate(data.placements) if p.start == shuffled.donors[3][1])
    assert np.array_equal(item.window.signal, data[donor].window.signal)
    assert np.array_equal(item.window.codes, plain.window.codes)
    assert np.array_equal(item.row, plain.row)


def test_a_model_that_reads_only_tracks_is_found_out(suite: Suite) -> None:
    found = {control.name: control for control in suite.results.controls}
    plain = found["as_is"].metric.value
    assert plain > 0.65
    for name in ("alleles_swapped", "variant_removed", "contacts_withheld"):
        assert found[name].metric.value == pytest.approx(plain)
    assert found["tracks_withheld"].metric.value == 0.5
    for name in ("tracks_shuffled", "labels_shuffled"):
        assert abs(found[name].metric.value - 0.5) < 0.12
    less = found["tracks_shuffled"].less
    assert less is not None
    assert less.value == pytest.approx(plain - found["tracks_shuffled"].metric.value)
