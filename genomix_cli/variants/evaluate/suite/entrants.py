"""Entrants: models, baselines and scores of other tools, all on the same test rows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from genomix_cli.comparison.intervals import FloatArray
from genomix_cli.comparison.metrics.binary import auroc, spearman
from genomix_cli.errors import DataError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.progress import track
from genomix_cli.registry import VARIANT_BASELINES
from genomix_cli.variants.evaluate.suite.baselines.base import Baseline, BaselineTask
from genomix_cli.variants.evaluate.suite.columns import Column, read_columns, read_table
from genomix_cli.variants.evaluate.suite.measures import Measure
from genomix_cli.variants.requests.evaluate import SuiteRequest
from genomix_cli.variants.score.workers import refuse_other_scale
from genomix_cli.variants.train.controls import ShuffledTracks
from genomix_cli.variants.train.dataset import Batch, VariantDataset, collate
from genomix_cli.variants.train.task import VariantTask, predict
from genomix_cli.variants.trained import LoadedModel, load_model, refuse_unable

log = logging.getLogger("genomix")

Rows = NDArray[np.int64]
Kind = Literal["model", "baseline", "column", "stack"]

# Largest number of variants per pass over their window.
GROUP = 512


@dataclass(frozen=True)
class Entrant:
    """Named scores of the test rows.

    Attributes
    ----------
    name : str
    kind : {"model", "baseline", "column", "stack"}
    score : NDArray
        float64 ``[n]``; NaN where missing.
    probability : NDArray, optional
        float64 ``[n]``: probability of label 1.
    note : str
        Choices made by the entrant, or missing inputs.
    description : str
        Explanation of an entrant whose name is not self-explanatory.
    valid : NDArray, optional
        float64: scores of the validation part, if a stack learns from them.
    parameters : int, optional
        Number of parameters of a model.
    seconds : float, optional
        Time to score the test rows, including training for baselines.
    """

    name: str
    kind: Kind
    score: FloatArray
    probability: FloatArray | None = None
    note: str = ""
    description: str = ""
    valid: FloatArray | None = None
    parameters: int | None = None
    seconds: float | None = None

    @property
    def missing(self) -> int:
        """Number of rows without a score."""
        return int(np.isnan(self.score).sum())

    def score_for(self, measure: Measure) -> FloatArray | None:
        """Return the input of a measure: the score, or the probability (None if missing)."""
        return self.probability if measure.of_probability else self.score


@dataclass(frozen=True)
class Model:
    """Model that fits the shard, with its name in the report.

    Attributes
    ----------
    name : str
    loaded : LoadedModel
    shard : Shard
    """

    name: str
    loaded: LoadedModel
    shard: Shard

    def logits(
        self,
        rows: Rows,
        what: str,
        alter: Callable[[Batch], Batch] = lambda batch: batch,
        shuffled: int | None = None,
    ) -> FloatArray:
        """Return logits of rows, float64 ``[n]``, in the order of the table.

        Parameters
        ----------
        rows : NDArray
            int64, sorted.
        what : str
            Name of the step, for the progress bar.
        alter : callable
            Alters each batch before the model sees it.
        shuffled : int, optional
            Seed for shuffling tracks among windows; None leaves them in place.
        """
        module = self.loaded.module
        data = VariantDataset(
            self.shard,
            rows,
            n_bins=module.n_bins,
            core_bins=module.core_bins,
            flank=module.flank,
            max_group=GROUP,
        )
        used: Dataset[Any] = data if shuffled is None else ShuffledTracks(data, shuffled)
        loader = DataLoader(used, collate_fn=collate)
        batches = cast("DataLoader[Any]", track(loader, what, len(data)))
        task = VariantTask(module, self.shard.variants)
        return predict(task, batches, alter).logit.astype(np.float64)

    def probability(
        self, logit: FloatArray, *, no_tracks: bool = False, no_contacts: bool = False
    ) -> FloatArray | None:
        """Return calibrated probabilities; None without a calibration for these inputs."""
        config = self.loaded.config
        given = config.conditions_on(self.shard).without(tracks=no_tracks, contacts=no_contacts)
        platt = config.calibration(given)
        return None if platt is None else platt.apply(logit)

    def windows(self, rows: Rows) -> int:
        """Return the number of distinct windows of the rows."""
        core = self.loaded.module.core_bins * BIN_SIZE
        table = self.shard.variants
        return len(np.unique(table.contig[rows].astype(np.int64) << 40 | table.pos[rows] // core))


def open_models(request: SuiteRequest, shard: Shard, device: torch.device) -> list[Model]:
    """Load the models of a request, and check that they fit the shard.

    Raises
    ------
    UsageError
        If a model does not exist.
    DataError
        If a model is damaged, or reads tracks that the shard lacks.
    """
    models: list[Model] = []
    for name, path in zip(_names(request.models), request.models, strict=True):
        loaded = load_model(path, device)
        refuse_unable(loaded.config, loaded.path)
        refuse_other_scale(shard, loaded.config)
        models.append(Model(name, loaded, shard))
    return models


def _names(paths: tuple[str, ...]) -> list[str]:
    """Return the last components of the paths, or whole paths where names would clash."""
    names = [Path(path).resolve().name if Path(path).exists() else path for path in paths]
    taken = [*VARIANT_BASELINES, "stack", *names]
    return [n if taken.count(n) == 1 else p for n, p in zip(names, paths, strict=True)]


def score_models(models: list[Model], rows: Rows, has_labels: bool) -> Iterator[Entrant]:
    """Yield each model's logits, with calibrated probabilities if there are labels."""
    for model in models:
        start = time.monotonic()
        logit = model.logits(rows, f"scoring with {model.name}")
        probability = model.probability(logit) if has_labels else None
        seconds = time.monotonic() - start
        log.info("%s: %s variants in %.1f s", model.name, f"{len(rows):,}", seconds)
        lacks = has_labels and probability is None
        note = "no calibration for the inputs of this shard that keeps its order" if lacks else ""
        parameters = sum(p.numel() for p in model.loaded.module.parameters())
        yield Entrant(
            model.name,
            "model",
            logit,
            probability,
            note,
            parameters=parameters,
            seconds=seconds,
        )


def score_baselines(
    names: Iterable[str], task: BaselineTask, notes: list[str]
) -> Iterator[Entrant]:
    """Yield each baseline whose inputs are available, fitted on the training part.

    The others are reported in `notes`.
    """
    baselines: dict[str, Baseline] = {name: VARIANT_BASELINES.load(name) for name in names}
    missing = [name for name, each in baselines.items() if not each.can_predict(task)]
    if missing:
        notes.append(f"without {', '.join(missing)}: there is nothing they could learn or read")
    for name, baseline in baselines.items():
        if name in missing:
            continue
        start = time.monotonic()
        score, probability, note = baseline.predict(task)
        seconds = time.monotonic() - start
        log.info("%s: %.1f s%s", name, seconds, f" ({note})" if note else "")
        about = note, baseline.description
        yield Entrant(name, "baseline", score, probability, *about, seconds=seconds)


def score_columns(request: SuiteRequest, task: BaselineTask) -> Iterator[Entrant]:
    """Yield scores from INFO fields and table columns, oriented so that larger means label 1."""
    if request.vcf is not None:
        yield from _score_columns(read_columns, request.vcf, request.info, task, request.stack)
    if request.table is not None:
        yield from _score_columns(read_table, request.table, request.columns, task, request.stack)


def _score_columns(
    read: Callable[..., dict[Column, FloatArray]],
    path: Path,
    names: Iterable[str],
    task: BaselineTask,
    stacked: bool,
) -> Iterator[Entrant]:
    columns = [Column.parse(name) for name in names]
    of_test = read(path, columns, task.shard, task.test)
    to_learn = [column for column in columns if column.direction == "learn"]
    # Learn directions from the training part: test labels would pick the better of two scores.
    of_train = read(path, to_learn, task.shard, task.train, "training") if to_learn else {}
    of_valid = read(path, columns, task.shard, task.valid, "validation") if stacked else {}
    for column, values in of_test.items():
        notes = []
        missing = int(np.isnan(values).sum())
        if missing:
            notes.append(f"{missing:,} of {len(values):,} variants have no value")
            log.warning("%s: %s; it is compared on the other variants", column.name, notes[0])
        is_down, told = column.direction == "down", "declared"
        if column in of_train:
            is_down, told = _is_down(column, of_train[column], task), "learned in training"
        if is_down or column in of_train:
            notes.append(f"{'smaller' if is_down else 'larger'} means more likely 1, {told}")
        sign, valid = -1.0 if is_down else 1.0, of_valid.get(column)
        yield Entrant(
            column.name,
            "column",
            sign * values,
            note="; ".join(notes),
            valid=None if valid is None else sign * valid,
        )


def _is_down(column: Column, values: FloatArray, task: BaselineTask) -> bool:
    """Return True if smaller values go with larger targets of the training rows."""
    known = np.isfinite(values)
    target, values = task.target[task.train][known], values[known]
    quality = auroc(target, values) - 0.5 if task.is_label else spearman(target, values)
    if not abs(quality) > 0:  # also true for NaN
        raise DataError(
            f"the direction of {column.name} cannot be learned from the training variants",
            where="--info, --column",
            found=f"{len(values):,} training variants with a value",
            hint=f"give {column.name}=up or {column.name}=down",
        )
    return bool(quality < 0)
