"""Run engines in a thread of this process, or in one process per device."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.connection import wait
from types import SimpleNamespace
from typing import Any, cast

import torch

from genomix_cli.errors import DataError, GenomixError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.genome.signal import Uncovered
from genomix_cli.genome.source import GenomeSource, RawGenome
from genomix_cli.genome.tracks import require_cell
from genomix_cli.variants.records.inputs import Mode
from genomix_cli.variants.requests.explain import ExplainRequest
from genomix_cli.variants.requests.score import GenomeFiles
from genomix_cli.variants.score.engine import Engine, Precision, Scores
from genomix_cli.variants.score.reading import Target
from genomix_cli.variants.trained import ModelConfig, load_model

# Seconds between two progress updates.
TICK = 0.2


def open_genome(files: GenomeFiles, config: ModelConfig) -> GenomeSource:
    """Open the files as the model reads them.

    Raises
    ------
    UsageError
        If a track is not one of the model's.
    DataError
        If a file cannot be read, or belongs to another genome or scale.
    """
    if files.shard is not None:
        shard = open_shard(files.shard)
        if not config.reads_window:
            return shard
        refuse_other_scale(shard, config)
        return shard.in_cell(require_cell(shard.cells, files.cell))
    return raw_genome(files, config)


def raw_genome(files: GenomeFiles | ExplainRequest, config: ModelConfig) -> RawGenome:
    """Open FASTA, tracks and contacts as the model reads them."""
    assert files.fasta is not None
    return RawGenome(
        files.fasta,
        files.tracks,
        config.tracks,
        files.contacts,
        uncovered=files.uncovered or cast(Uncovered, config.uncovered),
        max_gap_bins=config.max_gap_bins,
    )


def refuse_other_scale(shard: Shard, config: ModelConfig) -> None:
    """Raise DataError if the shard's tracks have a different scale from the model's."""
    specs = shard.modality_specs
    scale = specs, shard.uncovered, shard.max_gap_bins
    if scale != (config.tracks, config.uncovered, config.max_gap_bins):
        names = [", ".join(s.name for s in tracks) for tracks in (config.tracks, specs)]
        raise DataError(
            "its tracks are not on the scale of the model's",
            where=shard.path,
            expected=names[0] if names[0] != names[1] else "the scale the model was trained on",
            found=names[1] if names[0] != names[1] else "another scale of the same tracks",
            hint="run genomix prepare variants with --normalise-like and the model",
        )


@dataclass(frozen=True)
class EngineSpec:
    """Specification from which a process opens its own engine.

    Attributes
    ----------
    model : str
        Run folder, or name of a model that ships with genomix.
    genome : GenomeFiles
    mode : str or None
        None for a model that reads no window.
    precision : str
    both_strands : bool
    """

    model: str
    genome: GenomeFiles
    mode: Mode | None
    precision: Precision
    both_strands: bool

    def open(self, device: torch.device, stop: threading.Event, done: Any) -> Engine:
        """Load the model onto `device` and open the genome."""
        loaded = load_model(self.model, device)
        return Engine(
            loaded.module,
            open_genome(self.genome, loaded.config),
            device,
            mode=self.mode or "shared",
            precision=self.precision,
            both_strands=self.both_strands,
            stop=stop,
            done=done,
        )


class Workers:
    """Pool that scores blocks of alleles in the background.

    Parameters
    ----------
    spec : EngineSpec
    devices : sequence of torch.device
        A single device runs in a thread of this process; several run in one process each.
    """

    def __init__(self, spec: EngineSpec, devices: Sequence[torch.device]) -> None:
        self.count = len(devices)
        self._stop: Any
        self._executor: Executor
        self._engine: Engine | None = None
        self._counts: list[Any]
        if len(devices) == 1:
            self._stop = threading.Event()
            self._counts = [SimpleNamespace(value=0)]
            self._engine = spec.open(devices[0], self._stop, self._counts[0])
            self._executor = ThreadPoolExecutor(1, "genomix-engine")
            return
        # Spawned, not forked: neither CUDA nor HDF5 survives a fork.
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        # Each process has its own counter, so that none waits for another.
        self._counts = [context.Value("q", lock=False) for _ in devices]
        names = context.SimpleQueue()
        for number, device in enumerate(devices):
            names.put((number, str(device)))
        threads = max(1, torch.get_num_threads() // len(devices))
        self._executor = ProcessPoolExecutor(
            len(devices), context, _start, (spec, names, self._stop, self._counts, threads)
        )

    def submit(self, targets: Sequence[Target]) -> Future[Scores]:
        """Start scoring `targets`."""
        score = _score if self._engine is None else self._engine.score
        return self._executor.submit(score, targets)

    @property
    def done(self) -> int:
        """Number of alleles scored so far."""
        return sum(count.value for count in self._counts)

    @staticmethod
    def result(future: Future[Scores], meanwhile: Callable[[], None]) -> Scores:
        """Wait for the scores, calling `meanwhile` regularly.

        Raises
        ------
        GenomixError
            If a process has died; errors raised while scoring are passed on.
        """
        while not futures.wait([future], TICK).done:
            meanwhile()
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise GenomixError(
                "a scoring process has died, perhaps because it ran out of memory",
                where="--devices",
                hint="use fewer devices; --resume continues after the records scored so far",
            ) from error

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after the current windows and release everything."""
        self._stop.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._engine is not None:
            self._engine.source.close()


# Set in a worker process; opens the engine at the first call.
_open_engine: Callable[[], Engine]


def _start(spec: EngineSpec, names: Any, stop: Any, counts: Any, threads: int) -> None:
    global _open_engine
    # Ctrl-C reaches every process of a terminal; only the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    number, device = names.get()
    _open_engine = cache(partial(spec.open, torch.device(device), stop, counts[number]))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is killed; otherwise it would occupy the GPU for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _score(targets: Sequence[Target]) -> Scores:
    # Opening here rather than in _start lets an error reach the caller that waits for scores.
    return _open_engine().score(targets)
