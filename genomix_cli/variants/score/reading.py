"""Read and encode windows and alleles in batches while the device is at work.

Letters in shapes: W windows of a pass through the trunk, n windows of a call, G alleles of each,
R alleles of some windows, N bins, M tracks.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.signal import MISSING
from genomix_cli.genome.source import GenomeSource
from genomix_cli.variants.models.base import VariantModel, Variants, Window
from genomix_cli.variants.models.sharing import Shared, shared, shared_rows
from genomix_cli.variants.records.inputs import (
    BIN_SIZE,
    Allele,
    Haplotypes,
    Mode,
    WindowArrays,
    centred_start,
    haplotypes,
    load_window,
    mirrored_haplotypes,
    mirrored_offset,
    mirrored_window,
    window_start,
)
from genomix_cli.variants.score.clock import Clock

T = TypeVar("T")

#: Allowed batch sizes of alleles. With few sizes, the GPU selects its kernels once per size and an
#: allele always meets the same kernels, which makes its score reproducible.
CHUNKS = (1, 4, 16, 64)
#: Batch sizes of windows on a GPU. A CPU takes one window at a time, which fits its cache.
WINDOWS = (1, 4, 16)
#: Alleles read at a time for a model without windows; a multiple of every size in `CHUNKS`.
TOGETHER = 1024
#: Contig and start of a window.
Place = tuple[str, int]


class Target(NamedTuple):
    """Allele to score.

    Attributes
    ----------
    contig : str
        Name of the contig in the genome source.
    allele : Allele
    core : int
        Index of the stride that contains its record. Alleles of different cores never share a
        batch, so a file can be cut between cores without changing any score.
    """

    contig: str
    allele: Allele
    core: int


class Call(NamedTuple):
    """Batch of alleles that go through the model together, the same number from each window.

    Attributes
    ----------
    variants : tuple of Variants
        ``[n, G]``, one for each strand.
    at : slice or Tensor
        Indices of their windows, int64 ``[n]``, in the last pass through the trunk.
    shared : Shared or None
        Rows that the alleles share, on either strand; None if the model reads no window.
    """

    variants: tuple[Variants, ...]
    at: slice | torch.Tensor = slice(None)
    shared: Shared | None = None


class Work(NamedTuple):
    """Windows and their alleles, ready for the device.

    Attributes
    ----------
    rows : NDArray
        int64 ``[R]``: indices of the targets.
    columns : NDArray
        int64 ``[R]``: column of each target in the results of all calls.
    windows : tuple of Window
        ``[W]``, one for each strand; empty if the window is the last of the previous pass, or the
        model reads no window.
    n_windows : int
        Number of windows without padding.
    calls : tuple of Call
    unknown : NDArray
        bool ``[R]``: True if the window (or the haplotype, without a window) contains N.
    substitutions : bool
        True if all alleles are known to be substitutions of one base.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    windows: tuple[Window, ...]
    n_windows: int
    calls: tuple[Call, ...]
    unknown: NDArray[np.bool_]
    substitutions: bool = False


class _Strand(NamedTuple):
    """Alleles on one strand: offsets in their windows, and haplotypes, ``[R]``."""

    offset: NDArray[np.int64]
    haplotypes: Haplotypes

    def at(self, rows: NDArray[np.int64]) -> _Strand:
        return _Strand(self.offset[rows], self.haplotypes.at(rows))

    @staticmethod
    def joined(parts: Sequence[_Strand]) -> _Strand:
        fields = zip(*(part.haplotypes for part in parts), strict=True)
        offset = np.concatenate([part.offset for part in parts])
        return _Strand(offset, Haplotypes(*map(np.concatenate, fields)))


class _Group(NamedTuple):
    """Alleles of one core in one window, which share batches with no other alleles.

    Attributes
    ----------
    window : int
        Index of their window in the last pass.
    rows : NDArray
        int64: indices of the targets.
    """

    window: int
    rows: NDArray[np.int64]


@dataclass
class Reader:
    """Reader of the windows and alleles of targets, in batches that suit the device.

    Parameters
    ----------
    model : VariantModel
    source : GenomeSource
        Genome with the model's tracks, in the model's order.
    device : torch.device
    mode : {"shared", "centred"}
    both_strands : bool
    windows : tuple of int
        Allowed batch sizes of windows.
    """

    model: VariantModel
    source: GenomeSource
    device: torch.device
    mode: Mode
    both_strands: bool
    windows: tuple[int, ...]
    # The last window of a block is often the first of the next.
    _last: Place | None = field(default=None, init=False)
    _unknown: dict[Place, bool] = field(default_factory=dict, init=False)

    def works(
        self, targets: Sequence[Target], clock: Clock, usable: NDArray[np.float64]
    ) -> Iterator[Work]:
        """Yield all work in the order of windows, or of cores if the model reads no window.

        Adds the usable fraction of each input to `usable`, see
        `genomix_cli.variants.score.engine.Scores`.
        """
        if not self.model.reads_window:
            yield from self._alone(targets, clock)
            return
        # Group by window so that the trunk runs once per window, and by core so that cutting the
        # input into parts does not regroup alleles, which would change their last bits.
        groups: defaultdict[Place, defaultdict[int, list[int]]]
        groups = defaultdict(lambda: defaultdict(list))
        for i, (contig, allele, core) in enumerate(targets):
            groups[contig, start_of(allele.pos, self.model, self.mode)][core].append(i)
        for places in self._passes(list(groups)):
            cores = [(w, groups[place]) for w, place in enumerate(dict.fromkeys(places))]
            of_pass = [_Group(w, np.array(i)) for w, by_core in cores for i in by_core.values()]
            with clock("genome"):
                is_held, self._last = places == [self._last], places[-1]
                windows = () if is_held else self._windows(places, usable)
                work = self._work(of_pass, places, [targets[i] for g in of_pass for i in g.rows])
            yield work._replace(windows=windows, n_windows=0 if is_held else len(cores))

    def _passes(self, places: list[Place]) -> Iterator[list[Place]]:
        """Yield the windows of each pass through the trunk; the last may repeat as padding."""
        if self._last in places:
            yield [self._last]
            places = [place for place in places if place != self._last]
        for part in chunk_rows(len(places), self.windows):
            yield [places[i] for i in part]

    def _windows(self, places: Sequence[Place], usable: NDArray[np.float64]) -> tuple[Window, ...]:
        arrays = {place: load_window(self.source, *place, self.model.n_bins) for place in places}
        self._unknown = {p: bool((a.codes == UNKNOWN_BASE).any()) for p, a in arrays.items()}
        for each in arrays.values():
            usable[:-1] += (each.state != MISSING).mean(1)
            usable[-1] += each.contacts.any()
        batch = [arrays[place] for place in places]
        strands = [batch, [*map(mirrored_window, batch)]] if self.both_strands else [batch]
        return tuple(window_tensors(strand, self.device) for strand in strands)

    def _work(
        self, groups: Sequence[_Group], places: Sequence[Place], targets: Sequence[Target]
    ) -> Work:
        """Return the alleles of some windows in calls; `targets` are those of the groups."""
        ends = np.cumsum([len(group.rows) for group in groups])
        starts = ends - [len(group.rows) for group in groups]
        strands = self._strands(groups, places, targets, starts)
        # Chunks of the same size from several windows go through the model together.
        by_size: defaultdict[int, list[tuple[int, NDArray[np.int64]]]] = defaultdict(list)
        for group, start in zip(groups, starts.tolist(), strict=True):
            for part in chunk_rows(len(group.rows), CHUNKS):
                by_size[len(part)].append((group.window, start + part))
        batches = [
            [chunks[i] for i in part]
            for chunks in by_size.values()
            for part in chunk_rows(len(chunks), self.windows)
        ]
        unknown = [self._unknown[places[group.window]] for group in groups]
        return Work(
            np.concatenate([group.rows for group in groups]),
            _columns(np.concatenate([rows for batch in batches for _, rows in batch])),
            (),
            0,
            self._calls(batches, strands, len(places)),
            np.repeat(unknown, ends - starts),
        )

    def _strands(
        self,
        groups: Sequence[_Group],
        places: Sequence[Place],
        targets: Sequence[Target],
        starts: NDArray[np.int64],
    ) -> list[_Strand]:
        """Return the alleles of all groups on each strand."""
        parts = []
        for group, first in zip(groups, starts.tolist(), strict=True):
            contig, start = places[group.window]
            alleles = [target.allele for target in targets[first : first + len(group.rows)]]
            parts.append(self._of_group(contig, start, alleles))
        return [_Strand.joined(strand) for strand in zip(*parts, strict=True)]

    def _of_group(self, contig: str, start: int, alleles: Sequence[Allele]) -> list[_Strand]:
        flank, n_bins = self.model.flank, self.model.n_bins
        offset = np.array([allele.pos - start for allele in alleles], np.int64)
        rows = haplotypes(self.source, contig, alleles, flank)
        if not self.both_strands:
            return [_Strand(offset, rows)]
        mirrored = mirrored_haplotypes(self.source, contig, alleles, flank)
        other = mirrored_offset(offset, rows.ref_len, n_bins)
        return [_Strand(offset, rows), _Strand(other, mirrored)]

    def _calls(
        self,
        batches: Sequence[Sequence[tuple[int, NDArray[np.int64]]]],
        strands: Sequence[_Strand],
        n_windows: int,
    ) -> tuple[Call, ...]:
        """Return the tensors of each batch; a batch is a list of chunks (window, rows)."""
        rows = [np.array([rows for _, rows in batch]) for batch in batches]
        variants = [_variants(strand, rows, self.device) for strand in strands]
        # A GPU selects kernels by size, so sizes come in steps there; a CPU computes no padding.
        stepped = self.device.type != "cpu"
        fields = [shared_rows(*strands[0].at(each), stepped=stepped) for each in rows]
        windows = [np.array([window for window, _ in batch]) for batch in batches]
        moved = iter(_all_moved([*chain(*fields), *windows], self.device))
        each_shared = [shared([next(moved) for _ in each]) for each in fields]
        return tuple(
            Call(of_strands, _at(numbers, next(moved), n_windows), what)
            for of_strands, numbers, what in zip(
                zip(*variants, strict=True), windows, each_shared, strict=True
            )
        )

    def _alone(self, targets: Sequence[Target], clock: Clock) -> Iterator[Work]:
        """Yield the work of a model without windows: haplotypes, one core after another."""
        groups: defaultdict[tuple[str, int, bool], list[int]] = defaultdict(list)
        for i, (contig, allele, core) in enumerate(targets):
            groups[contig, core, allele.is_substitution].append(i)
        for (contig, _, substitutions), group in groups.items():
            for index in (group[i : i + TOGETHER] for i in range(0, len(group), TOGETHER)):
                with clock("genome"):
                    alleles = [targets[i].allele for i in index]
                    rows = haplotypes(self.source, contig, alleles, self.model.flank)
                    unknown = (rows.ref[:, : 2 * self.model.flank] == UNKNOWN_BASE).any(1)
                    strand = _Strand(np.zeros(len(index), np.int64), rows)
                    chunks = [part[None] for part in chunk_rows(len(index), CHUNKS)]
                    variants = _variants(strand, chunks, self.device)
                calls = tuple(Call((each,)) for each in variants)
                columns = np.arange(len(index))
                yield Work(np.array(index), columns, (), 0, calls, unknown, substitutions)


def start_of(pos: int, model: VariantModel, mode: Mode) -> int:
    """Return the start of the window in which a model reads a position."""
    window = model.n_bins * BIN_SIZE
    if mode == "centred":
        return centred_start(pos, window)
    return window_start(pos, window, model.core_bins * BIN_SIZE)


def window_tensors(windows: Sequence[WindowArrays], device: torch.device) -> Window:
    """Return a batch of windows on the device."""
    codes, signal, state, contacts = (
        _tensor(field[0][None] if len(field) == 1 else np.stack(field), device)
        for field in zip(*windows, strict=True)
    )
    return Window(codes, signal.float(), (state > 0).float(), contacts.float())


def _tensor(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    # PyTorch warns about tensors over read-only memory, such as a memory-mapped shard.
    return _moved(torch.from_numpy(np.require(array, requirements=["C", "W"])), device)


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on the device; the copy to a GPU is asynchronous."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _all_moved(arrays: Sequence[NDArray[np.int64]], device: torch.device) -> Iterator[torch.Tensor]:
    """Yield integer arrays on the device, transferred in a single copy."""
    flat = _moved(torch.from_numpy(np.concatenate([array.ravel() for array in arrays])), device)
    parts = flat.split([array.size for array in arrays])
    return (part.view(array.shape) for part, array in zip(parts, arrays, strict=True))


def _variants(
    strand: _Strand, batches: Sequence[NDArray[np.int64]], device: torch.device
) -> list[Variants]:
    """Return the alleles of each batch of rows, int64 ``[n, G]``."""
    order = np.concatenate([rows.ravel() for rows in batches])
    offset, rows = strand.at(order)
    moved = [_moved(torch.from_numpy(array), device) for array in (offset, *rows)]
    cut = [array.split([rows.size for rows in batches]) for array in moved]
    return [
        Variants(*(field.view(*rows.shape, *field.shape[1:]) for field in fields))
        for rows, fields in zip(batches, zip(*cut, strict=True), strict=True)
    ]


def _columns(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first index of each row in `order`, which may repeat rows."""
    columns = np.empty(order.max() + 1, np.int64)
    columns[order[::-1]] = np.arange(len(order))[::-1]
    return columns


def _at(windows: NDArray[np.int64], moved: torch.Tensor, n_windows: int) -> slice | torch.Tensor:
    """Return an index for these windows of the last pass: a slice if possible, to avoid a copy."""
    if len(windows) == 1:
        # Count from the end: only the last window of the previous pass may be reused.
        first = int(windows[0]) - n_windows
        return slice(first, first + 1 or None)
    return slice(None) if np.array_equal(windows, np.arange(n_windows)) else moved


def chunk_rows(count: int, sizes: Sequence[int] = CHUNKS) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each chunk, large ones first; the last is padded with the last row."""
    start = 0
    while start < count:
        rest = count - start
        # A padded chunk that is at least half full costs less than twice as many calls.
        half_full = (size for size in sizes if rest <= size <= 2 * rest)
        size = next(half_full, max(size for size in sizes if size <= rest))
        yield np.minimum(np.arange(start, start + size), count - 1)
        start += size


@contextmanager
def ahead(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Prefetch `items` in a thread, at most `depth` ahead of the consumer.

    Errors in the thread are raised where the items are consumed. The thread ends with the block.
    """
    iterator = iter(items)
    end: Any = object()
    with ThreadPoolExecutor(1, "genomix-ahead") as thread:
        waiting = deque(thread.submit(next, iterator, end) for _ in range(depth))

        def take() -> Iterator[T]:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, iterator, end))
                yield item

        try:
            yield take()
        finally:
            thread.shutdown(cancel_futures=True)
