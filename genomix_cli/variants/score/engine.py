"""Scores of many alleles: one pass over each window, a few tokens per allele.

Letters in shapes: N bins, G alleles, M tracks, K outputs, A values per allele: the logit and the
null logit, if the model reads a window, and the difference of each output.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.errors import GenomixError
from genomix_cli.genome.source import GenomeSource
from genomix_cli.learning.finite import finite
from genomix_cli.variants.models.base import Answers, VariantModel
from genomix_cli.variants.records.inputs import Mode
from genomix_cli.variants.score.clock import DeviceClock
from genomix_cli.variants.score.reading import WINDOWS, Call, Reader, Target, Work, ahead

Precision = Literal["fp32", "bf16"]
#: Passes through the trunk to read ahead of the model.
AHEAD = 4
#: Passes, or groups of alleles, queued on the device beyond those that the host waits for.
LAUNCHED = 1


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
        float32 ``[G, K]``: change of each of the model's outputs; K may be 0.
    unknown : NDArray
        bool ``[G]``: True if the window (or a haplotype, without a window) contains N.
    windows : int
        Windows that went through the trunk.
    usable : NDArray
        float64 ``[M + 1]``: for each track the fraction of bins with a value, then 1 if the contact
        map has any data, all summed over these windows.
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


class Stopped(Exception):  # not an error: requested by the caller
    """Raised when the stop flag is set during scoring."""


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
        Average the logits of both strands, at twice the cost. Differences in activity always
        average both strands.
    stop : threading.Event
        Flag of a thread or a process; checked before each window.
    done : object
        Its `value` counts the alleles scored; it may be shared between processes.
    windows : tuple of int, optional
        Batch sizes of windows, ascending from 1. By default several on a GPU, which one window
        would leave idle, and one on a CPU.
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

    windows: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        sizes = self.windows or ((1,) if self.device.type == "cpu" else WINDOWS)
        self.model = self.model.for_mode(self.mode)
        self._reader = Reader(
            self.model, self.source, self.device, self.mode, self.both_strands, sizes
        )
        self._contexts: tuple[Any, ...] = ()  # encoded windows of the last pass, one per strand

    def score(self, targets: Sequence[Target]) -> Scores:
        """Score `targets` in any order; sorted targets are fastest.

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
        to_do = self._reader.works(targets, clock, usable)
        with self._inference(), self._explain_out_of_memory(), ahead(to_do, AHEAD) as works:
            waiting: deque[tuple[Work, OnItsWay]] = deque()

            def take() -> None:
                work, answer = waiting.popleft()
                answers[:, work.rows] = answer.arrived()[:, work.columns]
                unknown[work.rows] = work.unknown
                self.done.value += len(work.rows)

            for work in works:
                if self.stop.is_set():
                    raise Stopped
                if work.windows:
                    windows += work.n_windows
                    with clock.on_device("trunk"):
                        self._contexts = ()  # free its memory before the next is computed
                        self._contexts = tuple(map(self.model.window, work.windows))
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
        """Return the results of all calls, float32 ``[A, G]``, without synchronising."""
        return self._in_windows(work) if self.model.reads_window else self._alone(work)

    def _alone(self, work: Work) -> torch.Tensor:
        model = self.model
        differences = model.substitutions if work.substitutions else model.differences
        # A small difference of large numbers needs full precision.
        with torch.autocast(self.device.type, enabled=False):
            return torch.cat([differences(c.variants[0])[0] for c in work.calls]).float().T

    def _in_windows(self, work: Work) -> torch.Tensor:
        """Return logits and null logits, averaged over strands, and differences."""
        logits = []
        for strand, context in enumerate(self._contexts):
            found = [self._call(context, call, strand) for call in work.calls]
            pairs = [torch.stack([each.logits, each.null]).flatten(1) for each in found]
            logits.append(torch.cat(pairs, 1).float())
            if strand == 0:  # differences already average both strands
                changes = torch.cat([each.differences.flatten(0, 1) for each in found]).float().T
        return torch.cat([sum(logits[1:], logits[0]) / len(logits), changes])

    def _call(self, context: Any, call: Call, strand: int) -> Answers:
        assert call.shared is not None
        return self.model.answers(_windows_at(context, call.at), call.variants[strand], call.shared)


def _windows_at(context: Any, at: slice | torch.Tensor) -> Any:
    """Select some windows from the result of `VariantModel.window`."""
    if context is None:
        return None
    if isinstance(context, torch.Tensor):
        return context[at]
    parts = [_windows_at(part, at) for part in context]
    return type(context)(*parts) if hasattr(context, "_fields") else parts


def chosen_precision(asked: str, device: torch.device) -> Any:
    """Return the requested precision; ``auto`` depends on the device."""
    return {"auto": "bf16" if device.type == "cuda" else "fp32"}.get(asked, asked)


class OnItsWay:
    """Results ``[A, G]`` in transfer from the device; the host does not wait for the copy."""

    def __init__(self, answers: torch.Tensor) -> None:
        self._host = answers.to("cpu", non_blocking=True)
        self._done = torch.cuda.Event() if answers.is_cuda else None
        if self._done is not None:
            self._done.record(torch.cuda.current_stream(answers.device))

    def arrived(self) -> NDArray[np.float32]:
        """Wait for the transfer and return the results."""
        if self._done is not None:
            self._done.synchronize()
        return self._host.numpy()
