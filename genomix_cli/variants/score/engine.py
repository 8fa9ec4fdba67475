"""Scores of many alleles: one pass over each window, a few tokens per allele.

Letters in shapes: N bins, G alleles, M tracks, K outputs, A answers of the model for an allele:
its logit and that of no change, if it reads a window, and the difference of each output.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain, islice
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.errors import GenomixError
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.signal import MISSING
from genomix_cli.genome.source import GenomeSource
from genomix_cli.learning.finite import finite
from genomix_cli.variants.models.base import VariantModel, Variants, Window
from genomix_cli.variants.models.sharing import Shared, shared, shared_rows
from genomix_cli.variants.records.inputs import (
    BIN_SIZE,
    Allele,
    Haplotypes,
    WindowArrays,
    centred_start,
    haplotypes,
    load_window,
    mirrored_haplotypes,
    mirrored_offset,
    mirrored_window,
    window_start,
)

T = TypeVar("T")

Mode = Literal["shared", "centred"]
MODES: tuple[Mode, ...] = ("shared", "centred")
Precision = Literal["fp32", "bf16"]
#: Alleles that go through the model together. Only these sizes, so that the GPU chooses its
#: kernels once per size and an allele always meets the same ones: its score is reproducible.
CHUNKS = (1, 4, 16, 64)
#: Windows to read ahead of the model.
AHEAD = 4
#: Windows, or groups of alleles, that the device may work on beside those that we wait for.
LAUNCHED = 1
#: Alleles that are read together for a model without a window; a multiple of each of `CHUNKS`.
TOGETHER = 1024


class Target(NamedTuple):
    """Allele to score.

    Attributes
    ----------
    contig : str
        Name of the contig in the genome source.
    allele : Allele
    core : int
        Index of the stride in which its record lies. Alleles of different cores never share a
        batch, so that a file can be cut between cores without changing any score.
    """

    contig: str
    allele: Allele
    core: int


class Scores(NamedTuple):
    """Scores of some alleles.

    Attributes
    ----------
    logit : NDArray or None
        float32 ``[G]``: log-odds of an effect, before calibration; None from a model without a
        window.
    null : NDArray or None
        float32 ``[G]``: logit of the same position with alt = ref.
    differences : NDArray
        float32 ``[G, K]``: change of each of the model's outputs, if it has any.
    unknown : NDArray
        bool ``[G]``: True where the window, or without one a haplotype, contains N.
    windows : int
        Windows that went through the trunk.
    usable : NDArray
        float64 ``[M + 1]``: the fraction of bins in which each track had a value, and whether the
        contact map knows anything, summed over these windows.
    seconds : dict of str to float
        Time spent in each stage.
    """

    logit: NDArray[np.float32] | None
    null: NDArray[np.float32] | None
    differences: NDArray[np.float32]
    unknown: NDArray[np.bool_]
    windows: int
    usable: NDArray[np.float64]
    seconds: dict[str, float]


class Stopped(Exception):  # not an error: the caller asked for it
    """Raised when the stop flag is set during scoring."""


class Work(NamedTuple):
    """Window and some of its alleles, ready for the device.

    Attributes
    ----------
    rows : NDArray
        int64 ``[G]``: indices of the targets.
    window : tuple of Window
        One per strand; empty if the window is the previous one, or the model reads none.
    variants : tuple of tuple of Variants
        Chunks of alleles, for each strand.
    shared : tuple of Shared
        What the alleles of each chunk share on either strand; empty if the model reads no window.
    unknown : bool or NDArray
        True if the window contains N; without a window bool ``[G]``.
    substitutions : bool
        True if all alleles are known to be substitutions of one base.
    """

    rows: NDArray[np.int64]
    window: tuple[Window, ...]
    variants: tuple[tuple[Variants, ...], ...]
    shared: tuple[Shared, ...]
    unknown: bool | NDArray[np.bool_]
    substitutions: bool = False


@dataclass
class Engine:
    """Score alleles with one model and one genome.

    The score of an allele depends only on the model and on the allele's own window: windows lie
    on a fixed grid or are centred on their allele, and the model does not let alleles see each
    other. Inputs are read and encoded in a thread while the model runs.

    Parameters
    ----------
    model : VariantModel
        In evaluation mode, on `device`.
    source : GenomeSource
        Genome with the model's tracks, in the model's order; used by one thread at a time.
    device : torch.device
    mode : {"shared", "centred"}
        ``shared``: windows on a grid, each allele in the core of one. ``centred``: one
        window for each 50-bp bin, centred on it.
    precision : {"fp32", "bf16"}
    both_strands : bool
        Average the logits of both strands, at twice the cost. Differences of activity are those
        of both strands in any case.
    stop : threading.Event
        Of a thread, or of a process; checked before each window.
    done : object
        Its `value` counts alleles as they are scored: a number that processes share, or not.
    """

    model: VariantModel
    source: GenomeSource
    device: torch.device
    _: KW_ONLY
    mode: Mode = "shared"
    precision: Precision = "fp32"
    both_strands: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    done: Any = field(default_factory=lambda: SimpleNamespace(value=0))

    def __post_init__(self) -> None:
        # The last window of a block is often the first of the next.
        self._place: tuple[str, int] | None = None
        self._contexts: tuple[Any, ...] = ()
        self._unknown = False

    def score(self, targets: Sequence[Target]) -> Scores:
        """Score `targets`, in any order; cheapest when sorted.

        Raises
        ------
        GenomixError
            If a score is not finite.
        Stopped
            If the stop flag is set.
        """
        alone = not self.model.reads_window
        n_logits = 0 if alone else 2
        answers = np.empty((n_logits + len(self.model.outputs), len(targets)), np.float32)
        unknown = np.empty(len(targets), bool)
        usable = np.zeros(1 if alone else len(self.source.tracks) + 1)
        windows, clock = 0, DeviceClock(("genome", "trunk", "alleles"), self.device)
        to_do = self._work_alone(targets, clock) if alone else self._work(targets, clock, usable)
        with (
            self._inference(),
            self._explain_out_of_memory(),
            ahead(to_do, AHEAD) as works,
        ):
            waiting: deque[tuple[Work, OnItsWay]] = deque()

            def take() -> None:
                work, answer = waiting.popleft()
                answers[:, work.rows] = answer.arrived()
                unknown[work.rows] = work.unknown
                self.done.value += len(work.rows)

            for work in works:
                if self.stop.is_set():
                    raise Stopped
                if work.window:
                    windows += 1
                    with clock.on_device("trunk"):
                        self._contexts = ()  # free its memory before the next is computed
                        self._contexts = tuple(map(self.model.window, work.window))
                with clock.on_device("alleles"):
                    waiting.append((work, OnItsWay(self._answers(work))))
                if len(waiting) > LAUNCHED:
                    take()
            while waiting:
                take()
        check = f"check with genomix doctor --device {self.device}"
        answers = finite(answers, "a score", check)
        logit, null = answers[:n_logits] if n_logits else (None, None)
        return Scores(logit, null, answers[n_logits:].T, unknown, windows, usable, clock.read())

    @contextmanager
    def _inference(self) -> Iterator[None]:
        is_bf16 = self.precision == "bf16"
        with (
            torch.inference_mode(),
            # TF32 would make scores differ from one GPU generation to the next.
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
            torch.autocast(self.device.type, torch.bfloat16, enabled=is_bf16),
        ):
            yield

    @contextmanager
    def _explain_out_of_memory(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise GenomixError(
                "not enough memory for a window and its variants",
                where=self.device,
                hint="try --precision bf16, another --device, or a smaller model",
            ) from error

    def _answers(self, work: Work) -> torch.Tensor:
        """Return all answers for the alleles, float32 ``[A, G]``, without waiting for them."""
        found = self._of_window(work) if self.model.reads_window else self._alone(work)
        return found[:, : len(work.rows)]  # without the padding of the last chunk

    def _alone(self, work: Work) -> torch.Tensor:
        model = self.model
        differences = model.substitutions if work.substitutions else model.differences
        # A small difference of large numbers: never in half precision.
        with torch.autocast(self.device.type, enabled=False):
            return torch.cat([differences(chunk)[0] for chunk in work.variants[0]]).float().T

    def _of_window(self, work: Work) -> torch.Tensor:
        """Return logits, those of no change, and differences; logits are means over strands."""
        logits = []
        for context, chunks in zip(self._contexts, work.variants, strict=True):
            found = [
                self.model.answers(context, *chunk)
                for chunk in zip(chunks, work.shared, strict=True)
            ]
            pairs = [torch.cat([each.logits, each.null]) for each in found]
            logits.append(torch.cat(pairs, 1).float())
            if len(logits) == 1:  # differences are those of both strands in any case
                differences = torch.cat([each.differences[0] for each in found]).float().T
        return torch.cat([sum(logits[1:], logits[0]) / len(logits), differences])

    def _work(
        self, targets: Sequence[Target], clock: Clock, usable: NDArray[np.float64]
    ) -> Iterator[Work]:
        """Read and encode one window after another, in the order of the targets."""
        # By window, so that the trunk runs once per window; by core, so that cutting the input
        # into parts does not regroup alleles and thereby change their last bits.
        groups: defaultdict[tuple[str, int, int], list[int]] = defaultdict(list)
        for i, (contig, allele, core) in enumerate(targets):
            groups[contig, start_of(allele.pos, self.model, self.mode), core].append(i)
        for (contig, start, _), index in groups.items():
            with clock("genome"):
                window: tuple[Window, ...] = ()
                if (contig, start) != self._place:
                    self._place, window = (contig, start), self._window(contig, start, usable)
                variants = self._variants(contig, start, [targets[i].allele for i in index])
            yield Work(np.array(index), window, *variants, self._unknown)

    def _work_alone(self, targets: Sequence[Target], clock: Clock) -> Iterator[Work]:
        """Read the haplotypes of one core after another; no allele has a window."""
        groups: defaultdict[tuple[str, int, bool], list[int]] = defaultdict(list)
        for i, (contig, allele, core) in enumerate(targets):
            groups[contig, core, allele.is_substitution].append(i)
        for (contig, _, substitutions), group in groups.items():
            for index in (group[i : i + TOGETHER] for i in range(0, len(group), TOGETHER)):
                with clock("genome"):
                    alleles = [targets[i].allele for i in index]
                    rows = haplotypes(self.source, contig, alleles, self.model.flank)
                    unknown = (rows.ref[:, : 2 * self.model.flank] == UNKNOWN_BASE).any(1)
                    variants = _chunks(np.zeros(len(index), np.int64), rows, self.device)
                yield Work(np.array(index), (), (variants,), (), unknown, substitutions)

    def _window(self, contig: str, start: int, usable: NDArray[np.float64]) -> tuple[Window, ...]:
        arrays = load_window(self.source, contig, start, self.model.n_bins)
        usable[:-1] += (arrays.state != MISSING).mean(1)
        usable[-1] += arrays.contacts.any()
        self._unknown = bool((arrays.codes == UNKNOWN_BASE).any())
        strands = [arrays, mirrored_window(arrays)] if self.both_strands else [arrays]
        return tuple(window_tensors(strand, self.device) for strand in strands)

    def _variants(
        self, contig: str, start: int, alleles: Sequence[Allele]
    ) -> tuple[tuple[tuple[Variants, ...], ...], tuple[Shared, ...]]:
        """Return the alleles in chunks, for each strand, and what those of each chunk share."""
        flank, n_bins = self.model.flank, self.model.n_bins
        offset = np.array([allele.pos - start for allele in alleles], np.int64)
        rows = haplotypes(self.source, contig, alleles, flank)
        strands = [(offset, rows)]
        if self.both_strands:
            mirrored = mirrored_haplotypes(self.source, contig, alleles, flank)
            strands.append((mirrored_offset(offset, rows.ref_len, n_bins), mirrored))
        chunks = tuple(_chunks(*strand, self.device) for strand in strands)
        return chunks, _shared(offset, rows, self.device)


def start_of(pos: int, model: VariantModel, mode: Mode) -> int:
    """Return the start of the window in which a model reads a position."""
    window = model.n_bins * BIN_SIZE
    if mode == "centred":
        return centred_start(pos, window)
    return window_start(pos, window, model.core_bins * BIN_SIZE)


def chosen_precision(asked: str, device: torch.device) -> Any:
    """Return the precision asked for, where ``auto`` is that of the device."""
    return {"auto": "bf16" if device.type == "cuda" else "fp32"}.get(asked, asked)


class OnItsWay:
    """Answers ``[A, G]`` that a device may still owe: the copy waits for them, and we do not."""

    def __init__(self, answers: torch.Tensor) -> None:
        self._host = answers.to("cpu", non_blocking=True)
        self._done = torch.cuda.Event() if answers.is_cuda else None
        if self._done is not None:
            self._done.record(torch.cuda.current_stream(answers.device))

    def arrived(self) -> NDArray[np.float32]:
        """Return the answers, once they are there."""
        if self._done is not None:
            self._done.synchronize()
        return self._host.numpy()


class Clock:
    """Seconds spent in each stage of the work."""

    def __init__(self, stages: Iterable[str]) -> None:
        self.seconds = dict.fromkeys(stages, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


class DeviceClock(Clock):
    """The same, with stages of a device that works through a queue of its own.

    A GPU puts marks into its queue, which are read in the end: to wait for it at each stage would
    leave it idle.
    """

    def __init__(self, stages: Iterable[str], device: torch.device) -> None:
        super().__init__(stages)
        self._device = device
        self._marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def on_device(self, stage: str) -> Iterator[None]:
        """Add what the device spends on the block to `stage`."""
        if self._device.type != "cuda":
            with self(stage):
                yield
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        queue = torch.cuda.current_stream(self._device)  # of another GPU than the first, too
        start.record(queue)
        yield
        end.record(queue)
        self._marks.append((stage, start, end))

    def read(self) -> dict[str, float]:
        """Return the seconds of all stages; waits for the device."""
        for stage, start, end in self._marks:
            end.synchronize()
            self.seconds[stage] += start.elapsed_time(end) / 1000
        self._marks.clear()
        return self.seconds


def window_tensors(arrays: WindowArrays, device: torch.device) -> Window:
    """Return one window as a batch of one on the device."""
    codes, signal, state, contacts = (_tensor(array, device)[None] for array in arrays)
    return Window(codes, signal.float(), (state > 0).float(), contacts.float())


def _tensor(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    # PyTorch warns about tensors over read-only memory, such as a memory-mapped shard.
    return _moved(torch.from_numpy(np.require(array, requirements=["C", "W"])), device)


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on the device; to a GPU it is copied while that works on."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _chunks(
    offset: NDArray[np.int64], rows: Haplotypes, device: torch.device
) -> tuple[Variants, ...]:
    """Return tensors ``[1, G]``, G one of `CHUNKS`; the last is padded with its last allele."""
    parts = list(chunk_rows(len(offset)))
    if not parts:
        return ()
    # Moved together and then cut: a copy for each array, not for each chunk of it.
    padded, sizes = np.concatenate(parts), [len(part) for part in parts]
    moved = [_moved(torch.from_numpy(a[padded])[None], device) for a in (offset, *rows)]
    return tuple(Variants(*part) for part in zip(*(m.split(sizes, 1) for m in moved), strict=True))


def _shared(
    offset: NDArray[np.int64], rows: Haplotypes, device: torch.device
) -> tuple[Shared, ...]:
    """Return what the alleles of each of :func:`_chunks` share."""
    # A GPU chooses its kernels by size, so sizes come in steps there; a CPU does no needless work.
    stepped = device.type != "cpu"
    chunks = [
        shared_rows(offset[part], rows.at(part), stepped=stepped)
        for part in chunk_rows(len(offset))
    ]
    if not chunks:
        return ()
    arrays = list(chain(*chunks))
    moved = _moved(torch.from_numpy(np.concatenate(arrays))[None], device)
    fields = iter(moved.split([len(array) for array in arrays], 1))
    return tuple(shared(tuple(islice(fields, len(chunk)))) for chunk in chunks)


def chunk_rows(count: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each chunk, large ones first; the last is padded with the last row."""
    start = 0
    while start < count:
        rest = count - start
        # A padded chunk costs less than twice as many calls, if it is at least half full.
        half_full = (size for size in CHUNKS if rest <= size <= 2 * rest)
        size = next(half_full, max(size for size in CHUNKS if size <= rest))
        yield np.minimum(np.arange(start, start + size), count - 1)
        start += size


@contextmanager
def ahead(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Iterate over `items` in a thread, at most `depth` ahead of the consumer.

    Errors of the thread are raised where its items are consumed. The thread ends with the block.
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
