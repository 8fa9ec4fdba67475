"""Engines at work: one in a thread beside the reading and writing, or one process per device."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from genomix_cli.errors import DataError, GenomixError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.genome.signal import Uncovered
from genomix_cli.genome.source import GenomeSource, RawGenome
from genomix_cli.genome.tracks import require_cell
from genomix_cli.learning.checkpoints import ModelConfig, load_model
from genomix_cli.variants.score.engine import Engine, Flag, Mode, Precision, Scores, Target


@dataclass(frozen=True)
class GenomeFiles:
    """Where sequence, tracks and contacts come from: raw files, or a shard.

    Attributes
    ----------
    fasta : Path, optional
    tracks : mapping of str to Path
        bigWig files by the model's track names; a track not given is masked.
    contacts : Path, optional
        .cool or .mcool.
    uncovered : {"missing", "zero"}, optional
        What bases without signal mean in these files, where not the same as in training.
    shard : Path, optional
        Of ``genomix prepare variants``, instead of all of these.
    cell : str
        Cell type whose tracks to read of a shard; may be left out where it holds one.
    """

    fasta: Path | None = None
    tracks: Mapping[str, Path] = field(default_factory=dict)
    contacts: Path | None = None
    uncovered: Uncovered | None = None
    shard: Path | None = None
    cell: str = ""

    def open(self, config: ModelConfig) -> GenomeSource:
        """Open the files as the model reads them.

        Raises
        ------
        UsageError
            If a track is not one of the model's.
        DataError
            If a file cannot be read, is of another genome, or of another scale.
        """
        if self.shard is not None:
            shard = open_shard(self.shard)
            refuse_other_scale(shard, config)
            return shard.in_cell(require_cell(shard.cells, self.cell))
        assert self.fasta is not None
        return RawGenome(
            self.fasta,
            self.tracks,
            config.tracks,
            self.contacts,
            uncovered=self.uncovered or cast(Uncovered, config.uncovered),
            max_gap_bins=config.max_gap_bins,
        )


def refuse_other_scale(shard: Shard, config: ModelConfig) -> None:
    """Refuse a shard whose tracks are not on the scale of the model's.

    Raises
    ------
    DataError
    """
    specs = shard.modality_specs
    scale = specs, shard.uncovered, shard.max_gap_bins
    if scale != (config.tracks, config.uncovered, config.max_gap_bins):
        names = [", ".join(s.name for s in found) for found in (config.tracks, specs)]
        raise DataError(
            "its tracks are not on the scale of the model's",
            where=shard.path,
            expected=names[0] if names[0] != names[1] else "the scale the model was trained on",
            found=names[1] if names[0] != names[1] else "another scale of the same tracks",
            hint="run genomix prepare variants with --normalise-like and the model",
        )


@dataclass(frozen=True)
class EngineSpec:
    """All that a process needs to open an engine of its own.

    Attributes
    ----------
    model : str
        Run folder, or the name of a model that ships.
    genome : GenomeFiles
    mode, precision : str
    both_strands : bool
    """

    model: str
    genome: GenomeFiles
    mode: Mode
    precision: Precision
    both_strands: bool

    def open(self, device: torch.device, stop: Flag) -> Engine:
        """Load the model onto `device` and open the genome."""
        loaded = load_model(self.model, device)
        source = self.genome.open(loaded.config)
        return Engine(
            loaded.module,
            source,
            device,
            mode=self.mode,
            precision=self.precision,
            both_strands=self.both_strands,
            stop=stop,
        )


NOTHING = Scores(np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, bool), 0, {})


class Workers:
    """Scores blocks of alleles in the background; results are taken in any order.

    Parameters
    ----------
    spec : EngineSpec
    devices : sequence of torch.device
        One: a thread of this process. Several: a process each, which share the blocks.
    """

    def __init__(self, spec: EngineSpec, devices: Sequence[torch.device]) -> None:
        self.count = len(devices)
        self._stop: Any
        self._executor: Executor
        self._engine: Engine | None = None
        if len(devices) == 1:
            self._stop = threading.Event()
            self._engine = spec.open(devices[0], self._stop)
            self._executor = ThreadPoolExecutor(1, "genomix-engine")
            return
        # Not forked: neither CUDA nor HDF5 survives that.
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        names = context.SimpleQueue()
        for device in devices:
            names.put(str(device))
        threads = max(1, torch.get_num_threads() // len(devices))
        self._executor = ProcessPoolExecutor(
            len(devices), context, _start, (spec, names, self._stop, threads)
        )

    def submit(self, targets: Sequence[Target]) -> Future[Scores]:
        """Have `targets` scored."""
        if not targets:
            done: Future[Scores] = Future()
            done.set_result(NOTHING)
            return done
        if self._engine is not None:
            return self._executor.submit(self._engine.score, targets)
        return self._executor.submit(_score, targets)

    @staticmethod
    def result(future: Future[Scores]) -> Scores:
        """Wait for the scores.

        Raises
        ------
        GenomixError
            If a process has died; and whatever was raised while scoring.
        """
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise GenomixError(
                "a process that scores has died, perhaps for want of memory",
                where="--devices",
                hint="use fewer devices; --resume goes on from what is done",
            ) from error

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of everything, at the latest when the windows at hand are done."""
        self._stop.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._engine is not None:
            self._engine.source.close()


class _Process:
    """What a worker process holds: the way to its engine, and the engine once it is needed."""

    spec: EngineSpec
    device: torch.device
    stop: Flag
    engine: Engine | None = None


def _start(spec: EngineSpec, names: Any, stop: Any, threads: int) -> None:
    # Ctrl-C reaches every process of a terminal; the first one says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    _Process.spec, _Process.device, _Process.stop = spec, torch.device(names.get()), stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed tells nobody, and its GPUs would stay occupied."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _score(targets: Sequence[Target]) -> Scores:
    # Opened here, not at the start: an error then reaches whoever waits for the scores.
    if _Process.engine is None:
        _Process.engine = _Process.spec.open(_Process.device, _Process.stop)
    return _Process.engine.score(targets)
