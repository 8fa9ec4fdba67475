"""Pre-train a model on a genome: predict hidden k-mers and hidden bins of tracks.

The loss is the cross-entropy of hidden k-mers, divided by the log of the number of k-mers, plus a
weight times the error of hidden, measured bins of the tracks, where the model reads tracks.

Letters in shapes: W windows, M tracks, N bins, S spans, P places, O k-mers of a span.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from genomix_cli.comparison import tables
from genomix_cli.comparison.bootstrap import resampling_units
from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.errors import UsageError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.formats.run_folder import RunFolder, read_weights
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.networks import set_weights, weights
from genomix_cli.learning.processes import first_process, rank_and_world_size, share
from genomix_cli.learning.task import FitResult
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.variants.models.start import new_model, start_from
from genomix_cli.variants.records.inputs import BIN_SIZE
from genomix_cli.variants.requests.train import PRETRAIN_MONITOR, PretrainRequest
from genomix_cli.variants.train.pretrain import metrics, sampling
from genomix_cli.variants.train.pretrain.networks import Outputs, Pretraining, network_of
from genomix_cli.variants.train.pretrain.rows import Rows
from genomix_cli.variants.train.pretrain.summary import PretrainSummary
from genomix_cli.variants.train.splits import HeldOutRegions
from genomix_cli.variants.train.supervised import allow_checkpointing, plain
from genomix_cli.variants.train.task import fit_task, to_device
from genomix_cli.variants.trained import model_config, save_model

log = logging.getLogger("genomix")

HEADS = "heads.safetensors"
# Errors beyond this many standard deviations count linearly, which keeps peaks from dominating.
FAR = 3.0
# Largest number of windows for estimating the Markov chains.
MAX_COUNTED_WINDOWS = 500
# Settings that may change when a run is resumed.
_FREE = ("resume", "device", "workers", "output", "checkpointing")


def track_error(predicted: Tensor, truth: Tensor, scored: Tensor) -> Tensor:
    """Return the mean squared error of `scored` bins, linear beyond `FAR`; 0 if none is scored."""
    each = 2 * F.huber_loss(predicted.float(), truth, reduction="none", delta=FAR)
    return (each * scored).sum() / scored.sum().clamp(min=1)


class PretrainTask:
    """Pre-training on masked windows as a `genomix_cli.learning.task.Task`.

    Parameters
    ----------
    module : Pretraining
    track_weight : float
    unknown : int
        Number of hidden bases in each k-mer to predict.
    """

    def __init__(self, module: Pretraining, track_weight: float, unknown: int) -> None:
        self.module: nn.Module = module
        self._weight, self._unknown = track_weight, unknown
        self._scale = math.log(4) * module.model.config.k

    @property
    def network(self) -> Pretraining:
        """The module, which the fit loop may wrap or replace."""
        assert isinstance(self.module, Pretraining)
        return self.module

    def losses(self, item: sampling.Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss and its terms."""
        told = self.network(item)
        kmers = self._kmer_nats(told, item)
        kmers = kmers.mean() / self._scale if kmers.numel() else told.bins.sum() * 0
        bins = track_error(told.bins, item.signal, item.scored)
        index = item.bins.clamp(min=0)[:, None].expand(-1, item.signal.shape[1], -1)
        asked = item.scored.gather(2, index) & (item.bins >= 0)[:, None]
        bases = track_error(told.bases, item.signal.gather(2, index), asked)
        loss = kmers + self._weight * (bins + bases)
        return {"loss": loss, "kmers": kmers, "bins": bins, "bases": bases}

    def _kmer_nats(self, told: Outputs, item: sampling.Batch) -> Tensor:
        ids = item.kmers[item.kmers >= 0]
        return F.cross_entropy(told.kmers.float(), ids, reduction="none")

    def predict(self, item: sampling.Batch) -> metrics.Told:
        """Return the predictions for a validation batch."""
        told = self.network(item, bases=False)
        nats = self._kmer_nats(told, item)
        asked = item.kmers >= 0
        right = told.kmers.argmax(-1) == item.kmers[asked]
        window, modality, _ = torch.nonzero(item.scored, as_tuple=True)
        draw = item.draw.cpu().numpy()
        at = window.cpu().numpy()
        of_kmer = torch.nonzero(asked)[:, 0].cpu().numpy()
        numbers = (
            t[item.scored].float().cpu().numpy() for t in (item.signal, told.bins, item.simple)
        )
        tracks = metrics.HiddenTracks(
            draw[at, 1],
            draw[at, 2],
            modality.cpu().numpy(),
            draw[at, 3] != sampling.SPANS,
            *numbers,
        )
        kmers = metrics.HiddenKmers(
            draw[of_kmer, 1], nats.double().cpu().numpy(), right.cpu().numpy()
        )
        return metrics.Told(tracks, kmers)

    def metrics(self, predictions: list[metrics.Told]) -> dict[str, float]:
        """Return the negative loss, nats per base, accuracy and correlations."""
        told = metrics.join(predictions)
        tracks, whole = told.tracks, told.tracks.whole
        far = np.abs(tracks.truth - tracks.model)
        error = np.where(far < FAR, far**2, 2 * FAR * far - FAR**2)
        parts = [error[rows].mean() for rows in (~whole, whole) if rows.any()]
        nats = float(told.kmers.nats.mean()) if len(told.kmers.nats) else math.nan
        loss = 0.0 if math.isnan(nats) else nats / self._scale
        loss += self._weight * float(np.mean(parts)) if parts else 0.0
        values = {PRETRAIN_MONITOR: -loss, "nats_per_base": nats / self._unknown}
        if self.network.model.config.tracks:
            values |= {"r_spans": _mean_r(tracks, ~whole), "r_whole": _mean_r(tracks, whole)}
        return values


def _mean_r(told: metrics.HiddenTracks, rows: NDArray[np.bool_]) -> float:
    """Return the correlation over all cell types, averaged over modalities; NaN without any."""
    each = [
        pearson(told.truth[rows & rows_of_modality], told.model[rows & rows_of_modality])
        for rows_of_modality in (told.modality == m for m in np.unique(told.modality))
    ]
    known = [r for r in each if not math.isnan(r)]
    return float(np.mean(known)) if known else math.nan


class Windows(NamedTuple):
    """Masked windows of a shard.

    Attributes
    ----------
    shard : Shard
    request : PretrainRequest
    reading : Reading or Rows
    train : Places
        Windows to train on.
    valid : list of Draw
        Windows to validate on.
    """

    shard: Shard
    request: PretrainRequest
    reading: sampling.Reading | Rows
    train: sampling.Places
    valid: list[sampling.Draw]

    def masked(self, *, training: bool) -> Dataset[sampling.Batch]:
        """Return the windows to train on, or those to validate on."""
        request = self.request
        return self.reading.masked(self.shard, request.masking, request.seed, training=training)

    def train_draws(self, n: int, epoch: int) -> list[sampling.Draw]:
        """Return `n` windows of an epoch."""
        contigs, cells = list(self.shard.contigs), self.shard.cells
        return sampling.draw_epoch(self.train, contigs, cells, n, self.request.seed, epoch)

    def to_validate(self) -> list[sampling.Asked]:
        """Return the validation items to request from `masked`."""
        return [sampling.Asked(0, i, draw) for i, draw in enumerate(self.valid)]

    def train_loaders(self) -> Callable[[int], DataLoader[Any]]:
        """Return a function that gives the loader of an epoch.

        All epochs share one loader, which keeps its worker processes alive.
        """
        order = Order(self)
        # Created on first use, because with several devices that happens in another process.
        made = cache(lambda: self._loader(order, training=True))

        def loader(epoch: int) -> DataLoader[Any]:
            order.epoch = epoch
            return made()

        return loader

    def valid_loader(self) -> DataLoader[Any]:
        """Return the loader of validation batches."""
        return self._loader(self.to_validate(), training=False)

    def _loader(self, order: Any, *, training: bool) -> DataLoader[Any]:
        return DataLoader(
            self.masked(training=training),
            batch_size=self.request.windows_per_batch,
            sampler=order,
            num_workers=self.request.workers,
            persistent_workers=self.request.workers > 0,
            pin_memory=resolve_device(self.request.device).type == "cuda",
        )


class Order:
    """Sampler of the windows of the current epoch that fall to this process."""

    def __init__(self, windows: Windows) -> None:
        self._windows, self.epoch = windows, 0

    def _asked(self) -> list[sampling.Asked]:
        draws = self._windows.train_draws(self._windows.request.windows_per_epoch, self.epoch)
        asked = [sampling.Asked(self.epoch, i, draw) for i, draw in enumerate(draws)]
        return share(asked, *rank_and_world_size(), pad=True)

    def __len__(self) -> int:
        return len(self._asked())

    def __iter__(self) -> Iterator[sampling.Asked]:
        return iter(self._asked())


def pretrain(request: PretrainRequest) -> PretrainSummary:
    """Pre-train, evaluate on held-out windows, and write the run folder.

    The run folder contains ``config.json`` and ``model.safetensors``, a model that
    ``genomix train --init`` can start from; ``heads.safetensors``, ``metrics.json``,
    ``report.html``, ``README.md`` (the model card), ``train.json``, ``checkpoints/`` and ``logs/``.

    Raises
    ------
    UsageError
        If contigs, preset or fields do not exist, the model cannot be pre-trained, the masking
        leaks, or the run folder is in use.
    DataError
        If a part has no windows.
    """
    network = network_of(request.model)
    shard = open_shard(request.shard)
    if not network.reads_tracks:
        request, shard = _of_bases(request), shard.without_tracks()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        module = _new(shard, request)
    windows = _windows(shard, module, request)
    if first_process():
        RunFolder.open(request.output, _provenance(request), resume=request.resume)
    else:
        log.setLevel(logging.ERROR)
    task = PretrainTask(module, request.track_weight, windows.reading.unknown)
    result = fit_task(
        task,
        windows.train_loaders(),
        windows.valid_loader(),
        request,
        _advice(request, network.reads_tracks),
    )
    summary = _judge(task, windows, result)
    if first_process():
        _write(summary, module, shard, request)
    return summary


def _new(shard: Shard, request: PretrainRequest) -> Pretraining:
    model, network = new_model(request.model, request, shard), network_of(request.model)
    request.masking.check(model.config.k if network.reads_tracks else 1)
    module: Pretraining = network(model, request.masking.span or model.hidden_span)
    if request.initial is not None:
        _start_from(module, request.initial, shard)
    allow_checkpointing(model, request)
    return module


def _of_bases(request: PretrainRequest) -> PretrainRequest:
    """Return the request adapted to a model that reads only bases.

    Raises
    ------
    UsageError
        If an option refers to inputs that the model does not read.
    """
    usual, asked = PretrainRequest(request.shard, request.output), request.masking
    given = {
        "--track-mask": asked.track_share != usual.masking.track_share,
        "--track-weight": request.track_weight != usual.track_weight,
        "--places-per-window": request.places_per_window != usual.places_per_window,
        "--set use_sequence": request.arch.get("use_sequence") is False,
    }
    wrong = [option for option, is_given in given.items() if is_given]
    if wrong:
        raise UsageError(
            f"does not apply to {request.model}, which learns from bases alone",
            where=", ".join(wrong),
        )
    return replace(request, masking=replace(asked, track_share=0.0))


def _start_from(module: Pretraining, name: str, shard: Shard) -> None:
    """Load the weights of a model of the same architecture, including its heads if it has any."""
    loaded = start_from(module.model, name, shard)
    heads = loaded.path / HEADS
    if heads.is_file():
        try:
            set_weights(module.heads, read_weights(heads))
        except RuntimeError:
            log.info("its heads are for spans of another length, so they are initialised anew")


def _windows(shard: Shard, module: Pretraining, request: PretrainRequest) -> Windows:
    reading = module.reading(request)
    if not request.valid_contigs and request.valid_regions is None:
        raise UsageError(
            "nothing to validate on",
            where="--valid-contigs",
            expected=f"one or more of {', '.join(shard.contigs)}; or --valid-regions",
        )
    if shard.tracks and not shard.tells_bridged and first_process():
        log.warning(
            "%s: prepared by an older version, which counts bridged gaps as "
            "measured bins; prepare it again to learn from measured bins only",
            shard.path,
        )
    held = HeldOutRegions.of(shard.contigs, request.valid_contigs, request.valid_regions)
    train, valid = (
        sampling.find_places(shard, reading.n_bins, held, request.max_n, valid=valid)
        for valid in (False, True)
    )
    log.info(
        "%s training windows in each of %d cell types; left out: %s that overlap "
        "held-out parts, %s with more than %.0f %% of unknown bases",
        f"{len(train.start):,}",
        len(shard.cells),
        f"{train.held_out:,}",
        f"{train.mostly_unknown:,}",
        100 * request.max_n,
    )
    if module.reads_tracks and not shard.tracks:
        log.warning("the shard has no tracks, so only k-mers are learned")
    draws = sampling.validation_draws(valid, shard, request.valid_windows)
    request = replace(request, masking=replace(request.masking, span=reading.span))
    return Windows(shard, request, reading, train, draws)


def _advice(request: PretrainRequest, reads_tracks: bool) -> str:
    """Return advice for a run that exhausts memory."""
    windows = request.windows_per_batch
    steps = [f"--windows-per-batch {windows // 2}"] if windows > 1 else []
    if not reads_tracks:
        steps.append(f"--spans-per-window {max(1, request.spans_per_window // 2)}")
        return f"with --windows-per-batch {windows}; try {', then '.join(steps)}"
    if not request.checkpointing:
        steps.append("--gradient-checkpointing")
    steps.append("--set n_bins=400")
    return f"with --windows-per-batch {windows}; try {', then '.join(steps)}"


def _judge(task: PretrainTask, windows: Windows, result: FitResult) -> PretrainSummary:
    """Evaluate the best weights on the held-out windows."""
    shard, request = windows.shard, windows.request
    device = next(task.module.parameters()).device
    with torch.inference_mode():
        batches = track(windows.valid_loader(), "judging")
        told = metrics.join([task.predict(to_device(batch, device)) for batch in batches])
    index = {name: i for i, name in enumerate(shard.contigs)}
    places = [(index[d.contig], max(0, d.start)) for d in windows.valid]
    units = resampling_units(*np.array(places).T).ids
    tracks = metrics.track_rows(told.tracks, units, shard.tracks, request.seed)
    kmers: tuple[metrics.KmerRow, ...] = ()
    if len(told.kmers.nats):
        unknown = windows.reading.unknown
        kmers = (metrics.kmer_row("model", told.kmers, units, unknown, request.seed),)
        kmers += _chains(windows, units)
    return PretrainSummary(
        folder=request.output.name,
        data=request.shard.name,
        model=request.model,
        preset=request.preset,
        parameters=sum(p.numel() for p in task.network.model.parameters()),
        windows={
            "to draw from": len(windows.train.start),
            "each of bases": windows.reading.n_bins * BIN_SIZE,
            "left out: touch what is held out": windows.train.held_out,
            "left out: unknown bases": windows.train.mostly_unknown,
            "validated on": len({(d.contig, d.start) for d in windows.valid}),
        },
        cells=shard.cells,
        modalities=shard.modalities,
        masking=windows.request.masking,
        best={PRETRAIN_MONITOR: result.best, "epochs": result.epochs},
        curve=result.history,
        tracks=tracks,
        kmers=kmers,
        notes=tuple(_notes(tracks, shard, task.network.reads_tracks)),
    )


def _notes(tracks: tuple[metrics.TrackRow, ...], shard: Shard, reads_tracks: bool) -> Iterator[str]:
    if reads_tracks and not shard.tracks:
        yield "there are no tracks, so only k-mers were learned"
    for row in tracks:
        name = f"{row.modality}{'@' if row.cell else ''}{row.cell}"
        if row.hidden == "spans" and math.isnan(row.r.value):
            why = "does not vary" if row.bins else "is nowhere observed"
            yield f"{name} {why} in the windows held out: no correlation"


def _chains(windows: Windows, units: NDArray[np.int64]) -> tuple[metrics.KmerRow, ...]:
    """Evaluate Markov chains fitted to training windows on the same hidden spans."""
    reading, request = windows.reading, windows.request
    length = reading.n_bins * BIN_SIZE
    counts = metrics.count_bases(
        windows.shard.codes(draw.contig, draw.start, draw.start + length)
        for draw in windows.train_draws(MAX_COUNTED_WINDOWS, 0)
    )
    spans, unknown = _hidden_spans(windows), reading.unknown
    chains = (metrics.Markov(counts, order) for order in range(metrics.ORDER + 1))
    told = [metrics.markov_told(chain, spans, reading.span, unknown) for chain in chains]
    return tuple(
        metrics.kmer_row(f"Markov chain of order {order}", each, units, unknown, request.seed)
        for order, each in enumerate(told)
    )


def _hidden_spans(windows: Windows) -> metrics.Spans:
    parts, masked = [], windows.masked(training=False)
    for asked_for in windows.to_validate():
        if asked_for.draw.hidden == sampling.SPANS:
            hidden = windows.reading.hidden(masked[asked_for])
            parts.append((np.full(len(hidden.kmers), asked_for.number), *hidden))
    draw, kmers, left, right = (np.concatenate(each) for each in zip(*parts, strict=True))
    return metrics.Spans(draw, kmers, left, right, windows.reading.after)


def _provenance(request: PretrainRequest) -> Provenance:
    inputs = {"shard": request.shard, "valid_regions": request.valid_regions}
    return Provenance.of({"task": "pretrain", **plain(request, _FREE)}, inputs, request.seed)


def _write(
    summary: PretrainSummary, module: Pretraining, shard: Shard, request: PretrainRequest
) -> None:
    from genomix_cli.variants.train.pretrain.report import pretrain_card, write_pretrain_report

    provenance = _provenance(request)
    config = model_config(request.model, module.model, shard, provenance, pretrained_only=True)
    folder = RunFolder(request.output)
    save_model(folder.path, module.model, config)
    folder.write_weights(HEADS, weights(module.heads))
    folder.write_json("metrics.json", tables.plain(summary))
    folder.write_text("README.md", pretrain_card(summary))
    write_pretrain_report(summary, folder.path / "report.html")
