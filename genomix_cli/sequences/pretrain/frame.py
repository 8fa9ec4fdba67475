"""Steps shared by contrastive pre-training and alignment.

Letters: n sequences, B batch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from genomix_cli.comparison.splits import Split
from genomix_cli.comparison.tables import plain
from genomix_cli.config import to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.sequences import Sequences
from genomix_cli.learning.networks import curve, weights
from genomix_cli.learning.task import Epoch, Task
from genomix_cli.sequences.models.encoder import (
    PRESETS,
    STEMS,
    EncoderConfig,
    check_stem,
    has_filters,
    preset_for,
)
from genomix_cli.sequences.pretrain.summaries import Summary
from genomix_cli.sequences.pretrain.views import Views
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import RunConfig, save_run, seen_of
from genomix_cli.sequences.score.embeddings import Start
from genomix_cli.sequences.train import splits
from genomix_cli.sequences.train.folder import last_checkpoint
from genomix_cli.sequences.train.learning import Learning, Part, learn
from genomix_cli.sequences.train.splits import TEST, VALID

log = logging.getLogger("genomix")

CHECKPOINT_EVERY = 5

C = TypeVar("C", bound=EncoderConfig)


@dataclass(frozen=True)
class Job:
    """A training job for an encoder.

    Attributes
    ----------
    request : TrainRequest
    sequences : Sequences
    start : Start
        Weights to start from.
    held_out_by : str
        What the split is by.
    split : Split
    """

    request: TrainRequest
    sequences: Sequences
    start: Start
    held_out_by: str
    split: Split

    @property
    def seed(self) -> int:
        """Seed of all random numbers."""
        return self.request.setting.seed


class Agreement(NamedTuple):
    """Result of a validation batch.

    Attributes
    ----------
    loss : float
        Sum of the loss over the queries.
    right : int
        Number of queries whose nearest neighbour is a right answer.
    n : int
        Number of queries.
    """

    loss: float
    right: int
    n: int


class EncoderTask:
    """An encoder to train by contrastive learning, as a `genomix_cli.learning.task.Task`.

    Parameters
    ----------
    module : nn.Module
    views : Views
    aligned : bool
    """

    def __init__(self, module: nn.Module, views: Views, aligned: bool) -> None:
        self.module: Any = module
        self._views, self._aligned = views, aligned

    def metrics(self, predictions: list[Agreement]) -> dict[str, float]:
        """Return the negative mean loss, and the share of queries with a right first match."""
        n = sum(p.n for p in predictions)
        return {
            "log_likelihood": -sum(p.loss for p in predictions) / n,
            "accuracy": sum(p.right for p in predictions) / n,
        }


def views_of(config: Views) -> Views:
    """Return only the view rates of a configuration."""
    return Views(**{field.name: getattr(config, field.name) for field in fields(Views)})


def with_preset(request: TrainRequest, sequences: Sequences, start: Start) -> TrainRequest:
    """Choose a preset if none was requested: the shape of `start`, or one that suits the file."""
    request = replace(request, arch=request.changed)
    if request.preset:
        return request
    if start.config:
        shape = {name: value for name, value in start.config.items() if name != "length"}
        return replace(request, preset=next(iter(PRESETS)), arch={**shape, **request.arch})
    preset = preset_for(PRESETS, aligned=sequences.aligned)
    if sequences.aligned:
        log.info("aligned sequences: preset %s", preset)
    return replace(request, preset=preset)


def configuration(
    request: TrainRequest, sequences: Sequences, kind: type[C], known: Mapping[str, Any]
) -> C:
    """Build the configuration from the preset, `known`, and the user's fields.

    Raises
    ------
    UsageError
        If a field does not exist, the stem or views do not suit the sequences, or motifs are given
        for a stem without filters.
    """
    config = request.config(kind, PRESETS, {"length": sequences.length}, defaults=known)
    assert isinstance(config, Views)
    if sequences.aligned and config.reverse_complement:
        raise UsageError(
            "aligned sequences have no reverse strand", where="--set reverse_complement"
        )
    check_stem(config.stem, aligned=sequences.aligned)
    shortest = STEMS[config.stem].least_bases(config)
    if not sequences.aligned and round(config.crop * sequences.length) < shortest:
        raise UsageError(
            "crops are too short for a token",
            where="--set crop",
            expected=f"{shortest} bases or more of {sequences.length}",
            found=f"{config.crop:g}",
        )
    if request.options.get("motifs") and not has_filters(config):
        raise UsageError(
            f"the first layer of preset {request.preset} has no filters",
            where="--motifs",
            hint="" if sequences.aligned else "--preset motifs",
        )
    return config


def class_labels(sequences: Sequences, name: str) -> NDArray[np.int64] | None:
    """Return the class of each sequence ``[n]``; None if neither file nor request has a label."""
    if not (name or sequences.default_label):
        return None
    classes, label = sequences.label(name)
    return label if len(classes) > 1 else None


def one_split(
    sequences: Sequences, label: NDArray[np.int64] | None, request: TrainRequest
) -> tuple[str, Split]:
    """Make a single split; sequences without a label join the training part.

    Raises
    ------
    UsageError
        If several splits are requested.
    DataError
        If a part is too small.
    """
    seed = request.setting.seed
    by, split = splits.one_split(sequences, label, request.hold_out, seed, request.task)
    if len(split.train) < 2 or len(split.valid) < 2:
        raise DataError("too few sequences to contrast", found=f"{len(sequences)}")
    return by, with_unlabelled(split, sequences, label)


def with_unlabelled(split: Split, sequences: Sequences, label: NDArray[np.int64] | None) -> Split:
    """Add sequences without a label to the training part, unless a relative or copy is held out."""
    if label is None or (label >= 0).all():
        return split
    held = np.concatenate([split.valid, split.test])
    group = splits.joined(sequences.group, splits.same_bases(sequences))
    out = np.isin(group, group[held]) | np.isin(sequences.split, (*VALID, *TEST))
    more = np.flatnonzero((label < 0) & ~out)
    left = int((label < 0).sum()) - len(more)
    log.info("training also on %s sequences without a label; %s left out", len(more), left)
    return split._replace(train=np.sort(np.concatenate([split.train, more])))


def some(rows: NDArray[np.int64], most: int, seed: int, what: str) -> NDArray[np.int64]:
    """Draw at most `most` rows, in their order, and log if some are left out."""
    if len(rows) <= most:
        return rows
    log.info(what, f"{most:,}", f"{len(rows):,}")
    return np.sort(np.random.default_rng([seed, len(rows)]).choice(rows, most, replace=False))


def train_encoder(
    task: Task, job: Job, target: NDArray[np.float32] | None, config: Learning, *, keep: bool
) -> tuple[Epoch, ...]:
    """Train `task.module`, and return its curve; checkpoints go to the run folder if `keep`."""
    train, valid = (
        Part(job.sequences.codes[rows], None if target is None else target[rows])
        for rows in (job.split.train, job.split.valid)
    )
    checkpoints: dict[str, Any] = {"quiet": True}
    if keep:
        checkpoints = {"folder": job.request.output, "resume": last_checkpoint(job.request)}
        checkpoints |= {"checkpoint_every": CHECKPOINT_EVERY, "quiet": False}
    return curve(learn(task, train, valid, config, job.request.setting, **checkpoints))


def shared_results(job: Job, module: Any, learned: tuple[Epoch, ...]) -> dict[str, Any]:
    """Return the fields of `Summary`."""
    return {
        "folder": job.request.output.name,
        "data": job.request.data.name,
        "preset": job.request.preset,
        "parameters": sum(p.numel() for p in module.parameters()),
        "counts": {name: len(getattr(job.split, name)) for name in ("train", "valid", "test")},
        "held_out_by": job.held_out_by,
        "temperature": 1 / float(module.scale().detach()),
        "curve": learned,
    }


def save(summary: Summary, module: Any, job: Job, label: str, facts: Mapping[str, Any]) -> None:
    """Write the weights, their configuration and ``metrics.json`` into the run folder."""
    arch = to_dict(module.encoder.config)
    del arch["length"]
    facts = {"temperature": summary.temperature, **facts}
    request, made = job.request, job.request.provenance()
    run = RunConfig.of(
        request.task, request.task, arch, job.sequences, made, label=label, facts=facts
    )
    seen = seen_of(job.sequences, job.split, request.init)
    save_run(request.output, run, weights(module), seen)
    RunFolder(request.output).write_json("metrics.json", plain(summary))
