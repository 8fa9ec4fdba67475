"""Train a variant model on a shard, calibrate it, and test it on held-out contigs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from genomix_cli.errors import DataError, UsageError
from genomix_cli.provenance import Provenance, environment
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.shards.reader import Shard, open_shard
from genomix_cli.training.calibration import Platt, fit_platt
from genomix_cli.training.checkpoints import (
    ModelConfig,
    arch_of,
    build_model,
    load_model,
    resolve_device,
    save_model,
)
from genomix_cli.training.folds import Split, check_classes, split_contigs
from genomix_cli.training.loop import FitConfig, FitResult, fit
from genomix_cli.training.metrics import (
    auprc,
    auroc,
    bootstrap,
    brier,
    calibration_error,
    resampling_units,
)
from genomix_cli.variants.controls import CONTROLS
from genomix_cli.variants.dataset import Batch, VariantDataset, collate
from genomix_cli.variants.doctor import write_reference
from genomix_cli.variants.objectives import variant_loss

log = logging.getLogger("genomix")

BOOTSTRAPS = 200
# Variants that the controls are run on, at most.
CONTROL_VARIANTS = 8_000


@dataclass(frozen=True)
class TrainRequest:
    """What ``genomix train`` was asked for.

    Attributes
    ----------
    shard : Path
        A genome shard with labels.
    output : Path
        Run folder.
    model, preset : str
        Names in the registry and among the model's presets.
    arch : dict
        Fields of the model's configuration that replace the preset's.
    valid_contigs, test_contigs : tuple of str
        Held out for early stopping and calibration, and for the final metrics.
    initial : str, optional
        A model to start from: the same architecture, though its window may be shorter.
    resume : bool
        Go on from the last checkpoint in `output`.
    windows_per_batch, variants_per_window : int
        A batch holds at most their product of variants.
    rank_weight : float
        Weight of the RankNet loss.
    negatives : float
        Share of the negatives that an epoch draws, where positives are rare.
    valid_variants : int
        At most this many variants of the validation contigs are used; 0: all.
    fit : FitConfig
    device : str
    workers : int
        Processes that read; 0: read in the training process.
    seed : int
    demonstration : bool
        Mark the weights as not meant for real conclusions.
    checkpointing : bool
        Recompute the window stream in the backward pass to save memory.
    """

    shard: Path
    output: Path
    model: str = "gmt"
    preset: str = "mini"
    arch: dict[str, Any] = field(default_factory=dict)
    valid_contigs: tuple[str, ...] = ()
    test_contigs: tuple[str, ...] = ()
    initial: str | None = None
    resume: bool = False
    windows_per_batch: int = 1
    variants_per_window: int = 128
    rank_weight: float = 0.3
    negatives: float = 1.0
    valid_variants: int = 0
    fit: FitConfig = field(default_factory=FitConfig)
    device: str = "auto"
    workers: int = 0
    seed: int = 0
    demonstration: bool = False
    checkpointing: bool = False


class Predictions(NamedTuple):
    """Logits of variants by row of the shard's table."""

    row: NDArray[np.int64]
    logit: NDArray[np.float32]


class VariantTask:
    """Labelled variants as a `genomix_cli.training.loop.Task`.

    Parameters
    ----------
    module : nn.Module
        A `VariantModule`.
    labels : NDArray
        float32: label of every row of the table.
    rank_weight : float
    """

    def __init__(self, module: nn.Module, labels: NDArray[np.float32], rank_weight: float) -> None:
        self.module = module
        self.labels = labels
        self.rank_weight = rank_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss and its parts."""
        logits = self.module(batch.window, batch.variants)
        loss = variant_loss(logits, batch.label, batch.group, batch.weight, self.rank_weight)
        return {"loss": loss.total, "bce": loss.bce, "rank": loss.rank}

    def predict(self, batch: Batch) -> Predictions:
        """Logits by row, on the CPU."""
        logits = self.module(batch.window, batch.variants)
        used = batch.row >= 0
        return Predictions(batch.row[used].cpu().numpy(), logits[used].float().cpu().numpy())

    def metrics(self, predictions: list[Predictions]) -> dict[str, float]:
        """AUROC and AUPRC over all validation batches."""
        joined = join(predictions)
        label = self.labels[joined.row]
        return {"auroc": auroc(label, joined.logit), "auprc": auprc(label, joined.logit)}


def join(predictions: list[Predictions]) -> Predictions:
    """Concatenate, in the order of the table."""
    row = np.concatenate([p.row for p in predictions])
    logit = np.concatenate([p.logit for p in predictions])
    order = np.argsort(row, kind="stable")
    return Predictions(row[order], logit[order])


def train_variants(request: TrainRequest) -> dict[str, Any]:
    """Train, calibrate on the validation contigs, and test on the test contigs.

    Writes into the run folder ``config.json`` and ``model.safetensors`` (what `score` reads),
    ``metrics.json``, ``predictions.tsv`` of the held-out contigs, ``train.json`` (the request),
    ``checkpoints/`` and ``logs/``.

    Returns
    -------
    dict
        The content of ``metrics.json``.

    Raises
    ------
    UsageError
        If contigs, preset or model do not exist, or the run folder is in use.
    DataError
        If the shard has no labels, or a part lacks positives or negatives.
    """
    shard = open_shard(request.shard)
    split, rows = _labelled_rows(shard, request)
    rows["valid"] = _thin(rows["valid"], request.valid_variants)
    device = resolve_device(request.device)
    with torch.random.fork_rng():
        torch.manual_seed(request.seed)
        module = _initial_module(shard, request)
    _open_run(request)
    count = sum(p.numel() for p in module.parameters())
    contigs = ", ".join(split.train)
    log.info("training %s (%s parameters) on %s", request.model, f"{count:,}", contigs)
    task = VariantTask(module, shard.variants.label, request.rank_weight)
    best = _fit(task, shard, rows, request, device)
    metrics = _finish(task, shard, rows, request)
    metrics["best_validation"] = {request.fit.monitor: best.best, "epochs": best.epochs}
    _write_json(request.output / "metrics.json", metrics)
    return metrics


def _fit(
    task: VariantTask,
    shard: Shard,
    rows: dict[str, NDArray[np.int64]],
    request: TrainRequest,
    device: torch.device,
) -> FitResult:
    """Train; the task's module ends with the weights that validated best."""
    train = _dataset(shard, rows["train"], task.module, request, augment=True)
    valid = _dataset(shard, rows["valid"], task.module, request, augment=False)
    last = request.output / "checkpoints" / "last.ckpt"
    result = fit(
        task,
        lambda epoch: _loader(train, request, epoch),
        _loader(valid, request, 0),
        request.fit,
        request.output,
        device,
        request.seed,
        last if request.resume else None,
    )
    task.module.to(device).eval()
    return result


def _finish(
    task: VariantTask,
    shard: Shard,
    rows: dict[str, NDArray[np.int64]],
    request: TrainRequest,
) -> dict[str, Any]:
    """Calibrate, save the model, and measure it on the contigs held out."""

    def loader(part: NDArray[np.int64]) -> DataLoader[Any]:
        return _loader(_dataset(shard, part, task.module, request, augment=False), request, 0)

    held_out = {
        part: predict(task, loader(rows[part])) for part in ("valid", "test") if len(rows[part])
    }
    valid = held_out["valid"]
    platt = fit_platt(valid.logit, shard.variants.label[valid.row])
    save_model(request.output, task.module, _model_config(shard, task.module, request, platt))
    write_reference(request.output)
    metrics = _report(shard, held_out, platt, request)
    if len(rows["test"]):
        some = _thin(rows["test"], CONTROL_VARIANTS)
        metrics["controls"] = _controls(task, shard, some, lambda: loader(some), request.seed)
    return metrics


def predict(
    task: VariantTask,
    loader: DataLoader[Any],
    alter: Callable[[Batch], Batch] = lambda batch: batch,
) -> Predictions:
    """Logits of every variant the loader brings, each batch altered first; see `CONTROLS`."""
    device = next(task.module.parameters()).device
    with torch.inference_mode():
        return join([task.predict(_to(alter(batch), device)) for batch in loader])


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    return type(batch)(*(_to(part, device) for part in batch))


def _labelled_rows(
    shard: Shard, request: TrainRequest
) -> tuple[Split, dict[str, NDArray[np.int64]]]:
    """Rows of the variant table in each part of the split."""
    table = shard.variants
    labelled = np.isfinite(table.label)
    if not labelled.any():
        raise DataError(
            "has no labelled variants",
            where=request.shard,
            hint="prepare it with --label-info or --labels",
        )
    names = np.array(list(shard.contigs))[table.contig]
    present = [c for c in shard.contigs if (names == c).any()]
    if not request.valid_contigs:
        raise UsageError(
            "no contigs to validate on",
            where="--valid-contigs",
            expected=f"one or more of {', '.join(present)}",
        )
    split = split_contigs(present, request.valid_contigs, request.test_contigs)
    check_classes(split, names, table.label)
    rows = {
        part: np.flatnonzero(labelled & np.isin(names, contigs))
        for part, contigs in split._asdict().items()
    }
    return split, rows


def _initial_module(shard: Shard, request: TrainRequest) -> Any:
    presets = VARIANT_MODELS.load(request.model).presets
    if request.preset not in presets:
        raise UsageError(
            f"{request.model} has no preset {request.preset!r}", expected=" or ".join(presets)
        )
    arch = {**presets[request.preset], **request.arch, "tracks": list(shard.modalities)}
    module = build_model(request.model, arch)
    if request.initial is not None:
        _load_initial(module, request.initial)
    if request.checkpointing:
        module.gradient_checkpointing = True
    return module


def _load_initial(module: nn.Module, name: str) -> None:
    """Start from the weights of a trained model; the window may be of another length."""
    try:
        module.load_state_dict(load_model(name).module.state_dict())
    except RuntimeError as error:
        raise UsageError(
            "is of another architecture", where=name, hint="use its --model, --preset and --set"
        ) from error


def _open_run(request: TrainRequest) -> None:
    """Create the run folder and say in it what is run."""
    folder = request.output
    if request.resume and not (folder / "train.json").is_file():
        raise UsageError("there is no run to resume", where=folder)
    if not request.resume and folder.exists() and any(folder.iterdir()):
        raise UsageError(
            "is not empty", where=folder, hint="choose another folder, or go on with --resume"
        )
    folder.mkdir(parents=True, exist_ok=True)
    provenance = Provenance.of(_plain(request), {"shard": request.shard}, request.seed)
    _write_json(folder / "train.json", {**provenance.to_dict(), "environment": environment()})


def _plain(request: TrainRequest) -> dict[str, Any]:
    """The request as JSON has it, names of files without their folders."""
    plain = asdict(request)
    for name in ("shard", "output", "initial"):
        plain[name] = plain[name] and Path(plain[name]).name
    return json.loads(json.dumps(plain))


def _dataset(
    shard: Shard, rows: NDArray[np.int64], module: Any, request: TrainRequest, *, augment: bool
) -> VariantDataset:
    return VariantDataset(
        shard,
        rows,
        n_bins=module.n_bins,
        flank=module.flank,
        max_group=request.variants_per_window,
        augment=augment,
        seed=request.seed,
        negatives=request.negatives,
    )


def _loader(dataset: VariantDataset, request: TrainRequest, epoch: int) -> DataLoader[Any]:
    dataset.set_epoch(epoch)
    return DataLoader(
        dataset,
        batch_size=request.windows_per_batch,
        sampler=dataset.order(),
        collate_fn=collate,
        num_workers=request.workers,
    )


def _thin(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` rows: whole stretches, evenly spaced, so that windows stay full."""
    if not most or len(rows) <= most:
        return rows
    stretches = np.array_split(rows, -(-len(rows) // 500))
    keep = np.linspace(0, len(stretches) - 1, max(1, most // 500)).round().astype(int)
    return np.concatenate([stretches[i] for i in np.unique(keep)])


def _model_config(shard: Shard, module: Any, request: TrainRequest, platt: Platt) -> ModelConfig:
    provenance = Provenance.of(_plain(request), {"shard": request.shard}, request.seed)
    return ModelConfig(
        model=request.model,
        arch=arch_of(module),
        tracks=shard.modality_specs,
        uncovered=shard.uncovered,
        max_gap_bins=shard.max_gap_bins,
        calibration=platt,
        assembly=shard.assembly,
        demonstration=request.demonstration,
        provenance=provenance.to_dict(),
    )


def _report(
    shard: Shard, held_out: dict[str, Predictions], platt: Platt, request: TrainRequest
) -> dict[str, Any]:
    """Metrics of each part, and its predictions as a table beside them."""
    metrics: dict[str, Any] = {}
    frames = []
    for part, predictions in held_out.items():
        frame = _frame(shard, part, predictions, platt)
        frames.append(frame)
        metrics[part] = dict(_part_metrics(frame, request.seed))
    table = pd.concat(frames)
    table.to_csv(request.output / "predictions.tsv", sep="\t", index=False, float_format="%.6g")
    return metrics


def _controls(
    task: VariantTask,
    shard: Shard,
    rows: NDArray[np.int64],
    loader: Callable[[], DataLoader[Any]],
    seed: int,
) -> dict[str, Any]:
    """AUROC on some test variants as they are, and under each control."""
    table = shard.variants
    units = resampling_units(table.contig[rows], table.pos[rows])
    controls: dict[str, Any] = {"variants": len(rows)}
    for name, alter in {"as_is": lambda batch: batch, **CONTROLS}.items():
        logit = predict(task, loader(), alter).logit
        rng = np.random.default_rng(seed)
        interval = bootstrap(auroc, table.label[rows], logit, units.ids, BOOTSTRAPS, rng)
        controls[name] = interval._asdict()
    return controls


def _frame(shard: Shard, part: str, predictions: Predictions, platt: Platt) -> pd.DataFrame:
    table, rows = shard.variants, predictions.row
    return pd.DataFrame(
        {
            "part": part,
            "contig": np.array(list(shard.contigs))[table.contig[rows]],
            "pos": table.pos[rows] + 1,
            "ref": np.char.decode(table.ref[rows]),
            "alt": np.char.decode(table.alt[rows]),
            "label": table.label[rows],
            "probability": table.probability[rows],
            "logit": predictions.logit,
            "score": platt.apply(predictions.logit),
        }
    )


def _part_metrics(frame: pd.DataFrame, seed: int) -> Iterator[tuple[str, Any]]:
    """Each metric with its interval; the ceiling too, where the truth is known."""
    label, score = frame["label"].to_numpy(), frame["score"].to_numpy()
    units = resampling_units(frame["contig"].to_numpy(), frame["pos"].to_numpy())
    yield "variants", len(frame)
    yield "prevalence", float(label.mean())
    yield "intervals_by", units.kind
    functions = {"auroc": auroc, "auprc": auprc, "brier": brier, "ece": calibration_error}
    truth = frame["probability"].to_numpy()
    for name, function in functions.items():
        rng = np.random.default_rng(seed)
        yield name, bootstrap(function, label, score, units.ids, BOOTSTRAPS, rng)._asdict()
        if np.isfinite(truth).all():
            yield f"bayes_{name}", function(label, truth)


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
