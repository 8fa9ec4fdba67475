"""Probabilities of many alleles: one pass over each shared window, a few tokens per allele.

Letters: N bins, G alleles.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.errors import GenomixError
from genomix_cli.genome.source import GenomeSource
from genomix_cli.progress import track
from genomix_cli.training.checkpoints import LoadedModel
from genomix_cli.variants.inputs import (
    BIN_SIZE,
    Allele,
    WindowArrays,
    haplotypes,
    load_window,
    window_start,
)
from genomix_cli.variants.models.base import Variants, Window

#: Alleles that go through the model together. Few shapes, so that an allele's last bits depend as
#: little as possible on its neighbours, and kernels are chosen (or compiled) once for each.
CHUNKS = (1, 16, 64)


class Target(NamedTuple):
    """An allele to score.

    Attributes
    ----------
    contig : str
        As the source spells it.
    allele : Allele
    """

    contig: str
    allele: Allele


class Place(NamedTuple):
    """A window: contig and start."""

    contig: str
    start: int


class Clock:
    """Seconds spent in each stage of the work.

    Attributes
    ----------
    seconds : dict of str to float
    """

    def __init__(self, stages: Sequence[str]) -> None:
        self.seconds = dict.fromkeys(stages, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the block's time to `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


class Engine:
    """Scores alleles with one model and one genome.

    An allele's probability depends on the model and on its own window alone: windows lie on a
    fixed grid, and the model does not let alleles see each other.

    Parameters
    ----------
    model : LoadedModel
    source : GenomeSource
        With the tracks of the model, in its order.
    device : torch.device
        Where the model is.
    clock : Clock
        Counts ``genome``, ``trunk`` and ``alleles``.

    Attributes
    ----------
    windows : int
        Windows that went through the trunk.
    """

    def __init__(
        self, model: LoadedModel, source: GenomeSource, device: torch.device, clock: Clock
    ) -> None:
        self.model = model
        self.source = source
        self.device = device
        self.clock = clock
        self.windows = 0
        # The last window of a block is often the first of the next.
        self._last: tuple[Place, Any] | None = None

    def probabilities(self, targets: Sequence[Target]) -> NDArray[np.float64]:
        """Calibrated probabilities of `targets`, float64 ``[len(targets)]``.

        Raises
        ------
        GenomixError
            If the model gives something that is no number.
        """
        logits = np.empty(len(targets), np.float32)
        groups = self._by_window(targets)
        # TF32 would leave other numbers on one GPU than on the next.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for place, index in track(groups.items(), "scoring windows", len(groups)):
                context = self._context(place)
                for part in chunks(index):
                    alleles = [targets[i].allele for i in part]
                    logits[part] = self._logits(context, place, alleles)
        if not np.isfinite(logits).all():
            raise GenomixError(
                "the model gave something that is no number",
                where=self.model.path,
                hint=f"is it trained, and is {self.device} sound? try --device cpu",
            )
        return self.model.config.calibration.apply(logits)

    def _by_window(self, targets: Sequence[Target]) -> dict[Place, list[int]]:
        """Indices of the targets of each window, windows in the order in which they come."""
        groups: dict[Place, list[int]] = {}
        size = self.model.module.n_bins * BIN_SIZE
        for i, (contig, allele) in enumerate(targets):
            groups.setdefault(Place(contig, window_start(allele.pos, size)), []).append(i)
        return groups

    def _context(self, place: Place) -> Any:
        if self._last is not None and self._last[0] == place:
            return self._last[1]
        self._last = None  # its memory is needed now
        with self.clock("genome"):
            arrays = load_window(self.source, place.contig, place.start, self.model.module.n_bins)
        with self.clock("trunk"):
            context = self.model.module.window(window_tensors(arrays, self.device))
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        self.windows += 1
        self._last = place, context
        return context

    def _logits(self, context: Any, place: Place, alleles: Sequence[Allele]) -> NDArray[np.float32]:
        with self.clock("genome"):
            variants = self._variants(place, alleles)
        with self.clock("alleles"):
            logits = self.model.module.variants(context, variants)[0, : len(alleles)]
            return logits.float().cpu().numpy()

    def _variants(self, place: Place, alleles: Sequence[Allele]) -> Variants:
        """Tensors ``[1, G]``, filled up to a size of `CHUNKS` with the last allele."""
        alleles = [*alleles, *[alleles[-1]] * (chunk_size(len(alleles)) - len(alleles))]
        offsets = np.array([allele.pos - place.start for allele in alleles], np.int64)
        rows = haplotypes(self.source, place.contig, alleles, self.model.module.flank)
        return Variants(
            *(torch.from_numpy(array)[None].to(self.device) for array in (offsets, *rows))
        )


def window_tensors(arrays: WindowArrays, device: torch.device) -> Window:
    """One window as the model reads it (W = 1)."""
    window = Window(
        *(torch.from_numpy(np.ascontiguousarray(array))[None].to(device) for array in arrays)
    )
    return window._replace(observed=window.observed.float())


def chunks(index: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut into parts of the largest size in `CHUNKS`, and what is left into middle ones."""
    _, middle, large = CHUNKS
    start = 0
    while start < len(index):
        size = large if len(index) - start >= large else middle
        yield index[start : start + size]
        start += size


def chunk_size(count: int) -> int:
    """The size in `CHUNKS` that a part is filled up to."""
    return next(size for size in CHUNKS if size >= count)
