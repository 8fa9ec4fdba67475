"""Training items: placement, augmentation, padding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.genome.alphabet import decode, encode, reverse_complement
from genomix_cli.genome.signal import Signal
from genomix_cli.variants.records.inputs import CONTACT_BIN, MARGIN
from genomix_cli.variants.train import supervised
from genomix_cli.variants.train.dataset import VariantDataset, collate, place_windows

LENGTH = 100_000
N_BINS = 400
FLANK = 32


class Table(NamedTuple):
    contig: np.ndarray
    pos: np.ndarray
    ref: np.ndarray
    alt: np.ndarray
    label: np.ndarray
    effect: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    tissue: np.ndarray


class FakeShard:
    """One contig of random sequence, with a signal that says where it is."""

    tracks = ("ATAC",)

    def __init__(self, n: int = 60) -> None:
        rng = np.random.default_rng(0)
        self.contigs = {"chr1": LENGTH}
        self.sequence = rng.integers(0, 4, LENGTH).astype(np.uint8)
        pos = np.sort(rng.integers(1_000, LENGTH - 1_000, n))
        ref = [decode(self.sequence[p : p + i % 3]).encode() for i, p in enumerate(pos)]
        alt = [b"ACG"[: (i + 1) % 3] or b"T" for i in range(n)]
        self.variants = Table(
            np.zeros(n, np.int16),
            pos,
            np.array(ref),
            np.array(alt),
            np.ones(n, np.float32),
            np.full(n, np.nan, np.float32),
            np.ones(n, np.float32),
            np.zeros(n, np.int32),
            np.full(n, -1, np.int16),
        )

    cells = ("",)
    tissues = ()

    def in_cell(self, cell: str) -> FakeShard:
        return self

    def codes(self, contig: str, start: int, end: int) -> np.ndarray:
        out = np.full(end - start, 4, np.uint8)
        low, high = max(start, 0), min(end, LENGTH)
        out[low - start : high - start] = self.sequence[low:high]
        return out

    def signal(self, contig: str, first: int, last: int) -> Signal:
        bins = np.arange(first, last)
        inside = (bins >= 0) & (bins < LENGTH // 50)
        return Signal(np.where(inside, bins, 0).astype(np.float32)[None], inside[None])

    def contacts(self, contig: str, start: int, n_bins: int) -> np.ndarray:
        index = start // CONTACT_BIN + np.arange(n_bins)
        return (index[:, None] * 1000 + index).astype(np.float32)


def make(augment: bool, seed: int = 0, max_group: int = 16) -> VariantDataset:
    shard = FakeShard()
    return VariantDataset(
        shard,
        np.arange(len(shard.variants.pos)),
        n_bins=N_BINS,
        core_bins=N_BINS // 2,
        flank=FLANK,
        max_group=max_group,
        augment=augment,
        seed=seed,
    )


@given(
    pos=st.lists(st.integers(0, 10**6), min_size=1, max_size=50),
    steps=st.integers(0, 9),
    most=st.integers(1, 5),
    core=st.sampled_from([10_000, 50_000]),
)
@settings(deadline=None)
def test_every_variant_is_placed_once_in_the_core(
    pos: list[int], steps: int, most: int, core: int
) -> None:
    position = np.array(pos, np.int64)
    contig = np.arange(len(pos)) % 2
    placements = place_windows(
        contig, position, np.arange(len(pos)), 100_000, core, steps * CONTACT_BIN, most, ["a", "b"]
    )
    assert sorted(np.concatenate([p.rows for p in placements])) == list(range(len(pos)))
    for place in placements:
        assert len(place.rows) <= most
        assert place.start % CONTACT_BIN == 0
        assert {"ab"[contig[r]] for r in place.rows} == {place.contig}
        offset = position[place.rows] - place.start
        assert offset.min() >= (100_000 - core) // 2
        assert offset.max() < (100_000 + core) // 2


def test_items_hold_the_window_and_its_variants() -> None:
    data = make(augment=False)
    for index, place in enumerate(data.placements):
        item = data[index]
        for i, row in enumerate(item.row):
            pos = data.shard.variants.pos[row]
            assert item.offset[i] == pos - place.start
            around = item.haplotypes.ref[i, FLANK - 5 : FLANK]
            assert np.array_equal(around, item.window.codes[MARGIN + item.offset[i] - 5 :][:5])


def forward_and_reverse() -> list[tuple]:
    """The same placement on both strands, found by trying seeds."""
    found = []
    plain = make(augment=False)
    for seed in range(20):
        data = make(augment=True, seed=seed)
        for index, place in enumerate(data.placements):
            item = data[index]
            start = data.shard.codes(
                "chr1", place.start - MARGIN, place.start - MARGIN + N_BINS * 50 + 16
            )
            if np.array_equal(item.window.codes, reverse_complement(start)):
                found.append((data, place, item))
        if len(found) > 3:
            return found
    raise AssertionError(f"no reversed item in {len(plain)} placements")


def test_the_other_strand_is_the_reverse_complement_of_the_edited_sequence() -> None:
    for data, place, item in forward_and_reverse():
        table, sequence = data.shard.variants, decode(data.shard.sequence)
        for i, row in enumerate(place.rows):
            pos, ref = int(table.pos[row]), table.ref[row].decode()
            alt = ref if item.row[i] < 0 else table.alt[row].decode()
            edited = sequence[:pos] + alt + sequence[pos + len(ref) :]
            width = item.haplotypes.alt.shape[1]
            end = pos + len(alt) + FLANK
            expected = decode(reverse_complement(encode(edited[end - width : end])))
            assert decode(item.haplotypes.alt[i]) == expected


def test_on_the_other_strand_tracks_contacts_and_offsets_are_mirrored() -> None:
    for data, place, item in forward_and_reverse():
        signal = data.shard.signal("chr1", place.start // 50, place.start // 50 + N_BINS)
        assert np.array_equal(item.window.signal, signal.value[:, ::-1])
        contacts = data.shard.contacts("chr1", place.start, N_BINS // 100)
        assert np.array_equal(item.window.contacts, contacts[::-1, ::-1])
        for i, row in enumerate(place.rows):
            ref = data.shard.variants.ref[row]
            codes = item.window.codes[MARGIN + item.offset[i] :][: len(ref)]
            assert decode(reverse_complement(codes)) == ref.decode()


def test_null_variants_have_no_label_and_no_row() -> None:
    items = [make(True, seed)[i] for seed in range(8) for i in range(len(make(True, seed)))]
    null = [(item, i) for item in items for i in np.flatnonzero(item.row < 0)]
    share = len(null) / sum(len(item.row) for item in items)
    assert 0.003 < share < 0.06
    for item, i in null:
        assert item.label[i] == 0
        assert np.array_equal(item.haplotypes.ref[i], item.haplotypes.alt[i])


def test_the_same_seed_and_epoch_give_the_same_items() -> None:
    first, second = make(True, seed=5), make(True, seed=5)
    for data in (first, second):
        data.set_epoch(3)
    assert first.order() == second.order()
    for a, b in zip(collate([first[0]]).variants, collate([second[0]]).variants, strict=True):
        assert a.equal(b)


def test_epochs_differ() -> None:
    data = make(True, seed=5)
    starts = []
    for epoch in range(6):
        data.set_epoch(epoch)
        starts.append(tuple(p.start for p in data.placements))
    assert len(set(starts)) > 1


@pytest.mark.parametrize("field", ["weight", "label"])
def test_padding_has_no_weight(field: str) -> None:
    data = make(augment=False, max_group=7)
    items = sorted((data[i] for i in range(len(data))), key=lambda item: len(item.row))
    batch = collate([items[0], items[-1]])
    n = len(items[0].row)
    assert n < batch.row.shape[1]
    assert (getattr(batch, field)[0, n:] == 0).all()
    assert (batch.row[0, n:] == -1).all()
    assert batch.window.codes.shape == (2, N_BINS * 50 + 2 * MARGIN)


def test_an_epoch_draws_every_positive_and_a_share_of_the_negatives() -> None:
    shard = FakeShard(600)
    shard.variants.label[:] = np.arange(600) % 5 == 0
    counts = []
    for epoch in range(5):
        data = VariantDataset(
            shard,
            np.arange(600),
            n_bins=N_BINS,
            core_bins=N_BINS // 2,
            flank=FLANK,
            max_group=16,
            augment=True,
            seed=0,
            negatives=0.25,
        )
        data.set_epoch(epoch)
        rows = np.concatenate([place.rows for place in data.placements])
        assert set(range(0, 600, 5)) <= set(rows)
        counts.append(len(rows) - 120)
    assert 80 < np.mean(counts) < 160
    assert len(set(counts)) > 1


def test_an_epoch_has_as_many_variants_of_each_cell_type() -> None:
    shard = FakeShard(100)
    tissue = np.repeat([0, 1, 2, -1], [60, 25, 10, 5]).astype(np.int16)
    shard.variants = shard.variants._replace(tissue=np.random.default_rng(1).permutation(tissue))
    shard.tissues = ("a", "b", "c")
    dataset = VariantDataset(
        *(shard, np.arange(100)),  # type: ignore[arg-type]
        n_bins=N_BINS,
        core_bins=N_BINS // 2,
        flank=FLANK,
        max_group=16,
        augment=True,
        equal_cells=True,
    )
    drawn = []
    for epoch in (0, 1, 1):
        dataset.set_epoch(epoch)
        rows = np.sort(np.concatenate([placement.rows for placement in dataset.placements]))
        assert len(np.unique(rows)) == len(rows)
        found = shard.variants.tissue[rows]
        assert [int((found == i).sum()) for i in (0, 1, 2, -1)] == [10, 10, 10, 5]
        drawn.append(rows.tolist())
    # Others in the next epoch, the same in the same one.
    assert drawn[0] != drawn[1] == drawn[2]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_is_kept_and_its_processes_read_the_epoch_that_is_asked_for(workers: int) -> None:
    request: Any = SimpleNamespace(device="cpu", windows_per_batch=2, workers=workers)
    kept, plain = supervised._loaders(make(True, seed=5), request), make(True, seed=5)
    processes = set()
    for epoch in (0, 1, 4, 1):
        loader = kept(epoch)
        found = [batch.row.tolist() for batch in loader]
        plain.set_epoch(epoch)
        order = plain.order()
        assert len(loader) == len(found) == -(-len(order) // 2)
        assert found == [
            collate([plain[i] for i in order[at : at + 2]]).row.tolist()
            for at in range(0, len(order), 2)
        ]
        if workers:
            processes.add(tuple(worker.pid for worker in loader._iterator._workers))
    assert len(processes) == bool(workers)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batches_for_a_gpu_are_pinned(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "resolve_device", torch.device)
    request: Any = SimpleNamespace(device=device, windows_per_batch=2, workers=0)
    data: Any = SimpleNamespace(augment=False, set_epoch=lambda _: None, order=lambda: [0, 1, 2])
    assert supervised._loader(data, request).pin_memory == (device == "cuda")
