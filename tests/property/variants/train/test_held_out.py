"""Over any layout of held-out regions, no base is read for variants of two parts."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.genome.vcf.regions import Interval, Regions
from genomix_cli.variants.records.inputs import (
    BIN_SIZE,
    MARGIN,
    MAX_ALLELE,
    centred_start,
    least_distance,
    window_start,
)
from genomix_cli.variants.train.dataset import VariantDataset
from genomix_cli.variants.train.splits import GenomeSplit, HeldOutRegions

LENGTH = 1_000_000
N_BINS = 400
WINDOW = N_BINS * BIN_SIZE

regions = st.lists(
    st.tuples(st.integers(0, LENGTH), st.integers(1, 200_000)), min_size=0, max_size=3
)


def shard_of(pos: np.ndarray) -> SimpleNamespace:
    """The parts of a shard that placing windows needs."""
    n = len(pos)
    table = SimpleNamespace(
        contig=np.zeros(n, np.int64), pos=pos, label=np.ones(n), tissue=np.full(n, -1)
    )
    return SimpleNamespace(variants=table, contigs={"chr1": LENGTH}, cells=("",), tissues=())


def read(starts: list[int], pos: np.ndarray, flank: int) -> np.ndarray:
    """True for each base that windows and haplotypes hold; a base before the contig is none."""
    out = np.zeros(LENGTH + 2 * WINDOW, bool)
    for start in starts:
        out[max(0, start - MARGIN) : start + WINDOW + MARGIN] = True
    for p in pos.tolist():
        out[max(0, p - flank - MAX_ALLELE) : p + flank + 2 * MAX_ALLELE] = True
    return out


@settings(max_examples=60, deadline=None)
@given(
    regions,
    regions,
    st.integers(0, 2**32 - 1),
    st.integers(0, 100),
    st.sampled_from([100, 40_000]),
    st.sampled_from([100, 200]),
)
def test_no_base_of_a_test_window_is_in_another_part(
    valid: list[tuple[int, int]],
    test: list[tuple[int, int]],
    seed: int,
    epoch: int,
    flank: int,
    core_bins: int,
) -> None:
    pos = np.sort(np.random.default_rng(seed).integers(0, LENGTH, 300))
    shard = shard_of(pos)
    split = GenomeSplit(
        *(HeldOutRegions(Regions(Interval("chr1", s, s + n) for s, n in p)) for p in (valid, test))
    )
    names, everything = np.full(300, "chr1"), np.arange(300)
    rows = split.rows(names, pos, everything, least_distance(WINDOW, flank))
    assert sorted(np.concatenate(list(rows.values())).tolist()) == everything.tolist()
    starts = {}
    for part in ("train", "valid", "test"):
        dataset = VariantDataset(
            *(shard, rows[part]),  # type: ignore[arg-type]
            n_bins=N_BINS,
            core_bins=core_bins,
            flank=flank,
            max_group=8,
            seed=seed,
            augment=part == "train",
        )
        dataset.set_epoch(epoch)
        starts[part] = [placement.start for placement in dataset.placements]
    # As `score` would cut them.
    starts["test"] += [
        start
        for p in pos[rows["test"]].tolist()
        for start in (window_start(p, WINDOW, core_bins * 50), centred_start(p, WINDOW))
    ]
    bases = {part: read(starts[part], pos[rows[part]], flank) for part in starts}
    for one, other in combinations(bases, 2):
        assert not (bases[one] & bases[other]).any(), (one, other)
