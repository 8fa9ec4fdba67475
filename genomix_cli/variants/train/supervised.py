"""Train a variant model on a shard, calibrate it, and test it on held-out variants."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.seen import read_seen
from genomix_cli.learning.adapters import adapt, merge
from genomix_cli.learning.calibration import Platt
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.processes import first_process, rank_and_world_size
from genomix_cli.outputs import atomic_path
from genomix_cli.provenance import Provenance, settings_of
from genomix_cli.variants.models.start import new_model, start_from
from genomix_cli.variants.records.inputs import BIN_SIZE, least_distance
from genomix_cli.variants.records.seen import seen_alleles
from genomix_cli.variants.requests.train import PretrainRequest, TrainRequest
from genomix_cli.variants.score.doctor import write_reference
from genomix_cli.variants.train.calibrations import fit_calibrations
from genomix_cli.variants.train.dataset import Order, VariantDataset, collate
from genomix_cli.variants.train.held_out import CONTROL_VARIANTS, controls, frame, metrics_of
from genomix_cli.variants.train.multiqc import write_multiqc
from genomix_cli.variants.train.objectives import LossWeights
from genomix_cli.variants.train.splits import GenomeSplit, Rows, labelled_rows, split_genome, thin
from genomix_cli.variants.train.task import VariantTask, fit_task, predict
from genomix_cli.variants.trained import model_config, model_folder, save_model

log = logging.getLogger("genomix")

# Metrics that are undefined unless both classes are present.
NEEDS_CLASSES = ("auroc", "auprc")
# Metric that is undefined without effects.
RANKING = "ranking"


def train_variants(request: TrainRequest) -> dict[str, Any]:
    """Train, calibrate on the validation part, and test on the test part.

    Writes into the run folder ``config.json`` and ``model.safetensors`` (for `score`),
    ``metrics.json``, ``predictions.tsv`` of the held-out variants, ``train.json`` (the request),
    ``checkpoints/`` and ``logs/``. With several processes, only the first writes.

    Returns
    -------
    dict
        The content of ``metrics.json``; empty in the other processes.

    Raises
    ------
    UsageError
        If contigs, preset or model do not exist, or the run folder is in use.
    DataError
        If the shard has no labels, or a part lacks positives or negatives.
    """
    shard = open_shard(request.shard)
    # Refuse an unknown device before any work.
    resolve_device(request.device)
    weights = _loss_weights(request)
    with torch.random.fork_rng():
        torch.manual_seed(request.seed)
        module = initial_module(shard, request)
    apart = least_distance(module.n_bins * BIN_SIZE, module.flank)
    held, rows = _labelled_rows(shard, request, apart)
    folder = RunFolder(request.output)
    if first_process():
        provenance = _provenance(request, held)
        folder = RunFolder.open(request.output, provenance, resume=request.resume)
    generator = torch.Generator().manual_seed(request.seed)
    count = adapt(module, request.tune, request.lora_rank, generator=generator)
    log.log(
        logging.INFO if first_process() else logging.DEBUG,
        "training %s (%s parameters, %s learn) on %s variants, %s beside what is held out left out",
        *(request.model, f"{count.total:,}", f"{count.learn:,}"),
        *(f"{len(rows[part]):,}" for part in ("train", "beside")),
    )
    task = VariantTask(module, shard.variants, weights)
    train, valid = (
        _dataset(shard, rows[part], module, request, augment=part == "train")
        for part in ("train", "valid")
    )
    best = fit_task(
        task,
        _loaders(train, request),
        _loaders(valid, request),
        request,
        _advice(request, module),
    )
    if not first_process():
        return {}
    merge(module)
    metrics = _finish(task, shard, rows, held, request)
    metrics["best_validation"] = {request.fit.monitor: best.best, "epochs": best.epochs}
    folder.write_json("metrics.json", metrics)
    write_multiqc(metrics, request.output)
    return metrics


def _loss_weights(request: TrainRequest) -> LossWeights:
    """Return the weights of the terms of the loss.

    Raises
    ------
    UsageError
        If no term is left to learn from, or a penalty is set but no device holds all weights.
    """
    if not (request.bce_weight or request.rank_weight):
        raise UsageError(
            "are both 0, so nothing would be learned", where="--bce-weight, --rank-weight"
        )
    if request.penalty_weight and request.fit.strategy == "fsdp":
        raise UsageError(
            "cannot be combined with fsdp, where no device holds all weights",
            where="--penalty-weight",
            hint="use --weight-decay instead",
        )
    return LossWeights(
        request.bce_weight, request.rank_weight, request.penalty_weight, request.rank_margin
    )


def _advice(request: TrainRequest, module: Any) -> str:
    """Return advice for a run that exhausts memory."""
    windows, variants = request.windows_per_batch, request.variants_per_window
    kb = module.n_bins * BIN_SIZE // 1000
    smaller = (
        f"--windows-per-batch {windows // 2}"
        if windows > 1
        else f"--variants-per-window {max(1, variants // 2)}"
    )
    steps = [smaller]
    if hasattr(module, "gradient_checkpointing") and not request.checkpointing:
        steps.append("--gradient-checkpointing")
    if module.n_bins > 400:
        steps.append(f"--set n_bins={max(400, module.n_bins // 800 * 400)}")
    batch = f"--windows-per-batch {windows} x --variants-per-window {variants} of {kb}-kb windows"
    return f"with {batch}; try {', then '.join(steps)}"


def _finish(
    task: VariantTask, shard: Shard, rows: dict[str, Rows], held: GenomeSplit, request: TrainRequest
) -> dict[str, Any]:
    """Calibrate, save the model, and test it on held-out variants."""

    def loader(part: Rows) -> DataLoader[Any]:
        return _loader(_dataset(shard, part, task.module, request, augment=False), request)

    predictions = {
        part: predict(task, loader(rows[part])) for part in ("valid", "test") if len(rows[part])
    }
    config = model_config(
        *(request.model, task.module, shard, _provenance(request, held)),
        calibrations=(),
        demonstration=request.demonstration,
    )
    fitted = fit_calibrations(
        lambda part, alter: predict(task, loader(part), alter),
        shard,
        config.conditions_on(shard),
        rows["valid"],
        rows["test"],
        predictions,
    )
    config = replace(config, calibrations=tuple(each.calibration for each in fitted))
    seen = seen_alleles(shard, rows["train"], rows["valid"])
    if request.initial is not None:
        seen = seen.joined(read_seen(model_folder(request.initial)))
    save_model(request.output, task.module, config, seen)
    write_reference(request.output)
    # As in `score`, a calibration that turns the order of scores round is not used.
    platt = config.calibration(config.conditions_on(shard)) or Platt()
    frames = {part: frame(shard, part, found, platt) for part, found in predictions.items()}
    write_predictions(request.output / "predictions.tsv", frames.values())
    metrics: dict[str, Any] = {
        part: metrics_of(table, request.seed) for part, table in frames.items()
    }
    metrics["calibrations"] = [each.plain() for each in fitted]
    tested = rows["test"][np.isfinite(shard.variants.label[rows["test"]])]
    if len(tested):
        some = thin(tested, CONTROL_VARIANTS)
        metrics["controls"] = controls(task, shard, some, lambda: loader(some), request.seed)
    return metrics


def _labelled_rows(
    shard: Shard, request: TrainRequest, margin: int
) -> tuple[GenomeSplit, dict[str, Rows]]:
    """Return the rows of the variant table in each part of the split."""
    table = shard.variants
    usable = labelled_rows(shard)
    names = np.array(list(shard.contigs))[table.contig]
    present = [c for c in shard.contigs if (names[usable] == c).any()]
    held = split_genome(request.held_out, present)
    if not held.valid:
        raise UsageError(
            "nothing to validate on",
            where="--valid-contigs",
            expected=f"one or more of {', '.join(present)}, or --valid-regions BED",
        )
    rows = labelled_parts(held, shard, request, margin)
    if request.equal_cells:
        _count_cells(shard, rows["train"])
    return held, rows


def labelled_parts(
    held: GenomeSplit, shard: Shard, request: TrainRequest, margin: int
) -> dict[str, Rows]:
    """Return the rows of each part of a split, at most as many as requested.

    Raises
    ------
    DataError, UsageError
        As `check_parts`.
    """
    table = shard.variants
    names = np.array(list(shard.contigs))[table.contig]
    rows = held.rows(names, table.pos, labelled_rows(shard), margin)
    rows["valid"] = thin(rows["valid"], request.valid_variants)
    rows["test"] = thin(rows["test"], request.test_variants)
    if 0 < request.train_variants < len(rows["train"]):
        rng = np.random.default_rng([request.seed, request.train_variants])
        rows["train"] = np.sort(rng.choice(rows["train"], request.train_variants, replace=False))
    check_parts(table.label, rows, request.fit.monitor, tested=bool(held.test))
    if request.fit.monitor == RANKING and not np.isfinite(table.effect[rows["valid"]]).any():
        raise UsageError(
            "no validation variant has an effect, so ranking cannot be computed",
            where="--monitor",
            hint="for labels: --monitor auroc or auprc",
        )
    return rows


def _count_cells(shard: Shard, train: Rows) -> None:
    """Log the variants per cell type and epoch; refuse fewer than two cell types."""
    tissue = shard.variants.tissue[train]
    numbers, counts = np.unique(tissue[tissue >= 0], return_counts=True)
    if len(numbers) < 2:
        raise UsageError(
            "the variants have fewer than two cell types",
            where="--equal-cells",
            found=", ".join(shard.tissues[number] for number in numbers) or "none named",
            hint="remove it, or name the cell types in the column tissue of prepare "
            "variants --labels",
        )
    log.info(
        "each epoch draws %s variants of each of %d cell types, which have up to %s",
        f"{counts.min():,}",
        len(numbers),
        f"{counts.max():,}",
    )


def check_parts(label: np.ndarray, rows: Mapping[str, Rows], monitor: str, *, tested: bool) -> None:
    """Refuse parts without variants, or without both classes if the monitor needs them.

    Raises
    ------
    DataError
        If a part is incomplete; the message names every such part.
    UsageError
        If there is no label for the monitor.
    """
    if not len(rows["train"]):
        raise UsageError(
            "nothing is left to train on",
            found=f"{len(rows['beside']):,} variants too close to held-out parts",
            hint="hold out fewer or smaller parts",
        )
    problems = []
    for part in ("train", "valid", "test"):
        known = label[rows[part]]
        known = known[np.isfinite(known)]
        positive = int((known > 0.5).sum())
        if not len(rows[part]) and (part != "test" or tested):
            problems.append(f"{part} has no labelled variants")
        elif len(known) and not 0 < positive < len(known):
            missing = "negatives" if positive else "positives"
            problems.append(f"{part} has no {missing} of {len(known):,} labels")
        elif part == "valid" and not len(known) and monitor in NEEDS_CLASSES:
            raise UsageError(
                f"no label is 0 or 1, so {monitor} cannot be computed",
                where="--monitor",
                hint="rank the effects: --monitor ranking",
            )
    if problems:
        raise DataError(
            f"every part needs both classes: {'; '.join(problems)}",
            hint="hold out other contigs or regions",
        )


def initial_module(shard: Shard, request: TrainRequest) -> Any:
    """Return the model before training.

    Raises
    ------
    UsageError
        If the model or preset does not exist, the model to start from is of another kind, or
        --gradient-checkpointing has no effect on the model.
    DataError
        If the shard's tracks have a different scale from those of the model to start from.
    """
    module = new_model(request.model, request, shard)
    if request.initial is not None:
        start_from(module, request.initial, shard)
    allow_checkpointing(module, request)
    return module


def allow_checkpointing(module: Any, request: TrainRequest | PretrainRequest) -> None:
    """Enable gradient checkpointing if the request asks for it.

    Raises
    ------
    UsageError
        If the model does not support it.
    """
    if not request.checkpointing:
        return
    if not hasattr(module, "gradient_checkpointing"):
        raise UsageError(
            f"has no effect on {request.model}",
            where="--gradient-checkpointing",
            hint="to save memory, use a smaller --variants-per-window",
        )
    module.gradient_checkpointing = True


def _provenance(request: TrainRequest, held: GenomeSplit) -> Provenance:
    """Return the provenance; held-out parts are recorded as intervals, not as file names."""
    described = {name: str(part) for name, part in held._asdict().items()}
    settings = {**plain(request), "held_out": described}
    return Provenance.of(settings, {"shard": request.shard}, request.seed)


def plain(request: TrainRequest | PretrainRequest, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """Return a request as JSON data; see :func:`genomix_cli.provenance.settings_of`."""
    settings = settings_of(request, leave_out)
    if settings["initial"]:
        settings["initial"] = Path(settings["initial"]).name
    return settings


def _dataset(
    shard: Shard, rows: Rows, module: Any, request: TrainRequest, *, augment: bool
) -> VariantDataset:
    return VariantDataset(
        shard,
        rows,
        n_bins=module.n_bins,
        core_bins=module.core_bins,
        flank=module.flank,
        max_group=request.variants_per_window,
        augment=augment,
        seed=request.seed,
        negatives=request.negatives,
        equal_cells=request.equal_cells and augment,
    )


def _loaders(dataset: VariantDataset, request: TrainRequest) -> Callable[..., DataLoader[Any]]:
    """Return a function that gives the loader of an epoch.

    All epochs share one loader, which keeps its worker processes alive.
    """
    # Created on first use, because with several devices that happens in another process.
    made = cache(lambda: _loader(dataset, request, rank_and_world_size()))

    def loader(epoch: int = 0) -> DataLoader[Any]:
        dataset.set_epoch(epoch)
        return made()

    return loader


def _loader(
    dataset: VariantDataset, request: TrainRequest, own: tuple[int, int] = (0, 1)
) -> DataLoader[Any]:
    """Return a loader of the part of an epoch that falls to this process; by default all of it."""
    return DataLoader(
        dataset,
        batch_size=request.windows_per_batch,
        sampler=Order(dataset, own),
        collate_fn=collate,
        num_workers=request.workers,
        persistent_workers=request.workers > 0,
        pin_memory=resolve_device(request.device).type == "cuda",
    )


def write_predictions(path: Path, frames: Any) -> None:
    """Write the tables of :func:`genomix_cli.variants.train.held_out.frame` as one file."""
    table = pd.concat(frames)
    with atomic_path(path) as draft:
        table.to_csv(draft, sep="\t", index=False, float_format="%.6g")
