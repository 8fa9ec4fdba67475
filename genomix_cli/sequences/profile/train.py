"""Train a BPNet on base-resolution signal, and judge it on held-out windows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.comparison.entrants import require
from genomix_cli.comparison.splits import Split
from genomix_cli.comparison.tables import plain, write_rows
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.learning.activity import Output
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.networks import MONITOR, learn, new_module, weights
from genomix_cli.learning.processes import first_process
from genomix_cli.learning.profiles import UNIT, ProfileConfig, ProfileModel
from genomix_cli.sequences.activity import results as activity
from genomix_cli.sequences.activity.learning import CORRELATION
from genomix_cli.sequences.activity.results import Point
from genomix_cli.sequences.profile import results
from genomix_cli.sequences.profile.learning import ProfileLearning, ProfileTask
from genomix_cli.sequences.profile.page import profile_card, write_profile_page
from genomix_cli.sequences.profile.predict import TASK, model_of, window_answers
from genomix_cli.sequences.profile.results import ProfileSummary
from genomix_cli.sequences.profile.windows import Profiled, middle, observed, read_profiled
from genomix_cli.sequences.requests.train import ProfileOptions, TrainRequest
from genomix_cli.sequences.runs import RunConfig, read_run, save_run, seen_of
from genomix_cli.sequences.train.folder import last_checkpoint, open_folder, shape_to_take
from genomix_cli.sequences.train.splits import one_split

log = logging.getLogger("genomix")

MODEL = "bpnet"
PRESETS: dict[str, dict[str, Any]] = {
    "mini": {"width": 24, "n_dilated": 6},
    "paper": {"width": 64, "n_dilated": 9},
}
# Fields in which the run to start from may differ; convolutions do not depend on the length.
FREE = ("outputs", "opposite", "length", "profile", "summary", "controls", "control_opposite")
PREDICT_BATCH = 64


@dataclass(frozen=True)
class Job:
    """A training job for a profile network.

    Attributes
    ----------
    request : TrainRequest
    learning : ProfileLearning
    config : ProfileConfig
    data : Profiled
    held_out_by : str
    split : Split
    counts : NDArray
        float32 ``[all windows, K]``: counts of the bases in the middle; NaN if unknown.
    shift : int
        Largest random shift of a window in training, in bases.
    start : ProfileModel, optional
        The network to start from.
    """

    request: TrainRequest
    learning: ProfileLearning
    config: ProfileConfig
    data: Profiled
    held_out_by: str
    split: Split
    counts: NDArray[np.float32]
    shift: int
    start: ProfileModel | None


def train_profile(request: TrainRequest) -> ProfileSummary | None:
    """Train, judge on the held-out part beside simple baselines, and write the run folder.

    It holds ``config.json`` and ``model.safetensors``, ``metrics.json`` and ``models.tsv``,
    ``predictions.tsv`` (log counts of held-out windows), ``training.tsv`` (a row per epoch),
    ``report.html``, ``README.md`` (the model card), ``train.json`` and ``checkpoints/``.

    Returns
    -------
    ProfileSummary or None
        None in worker processes of a distributed training.

    Raises
    ------
    UsageError
        If presets, fields, tracks or ways to hold out do not exist, or the folder is in use.
    DataError
        If the file cannot be read, or has no base-resolution signal to learn.
    MissingExtraError
        If Lightning or matplotlib is not installed.
    """
    require({"matplotlib": "cohorts"})
    setting = replace(request.setting, device=str(resolve_device(request.setting.device)))
    job = read_job(replace(request, setting=setting))
    folder = open_folder(request)
    model = new_module(lambda: ProfileModel(job.config), setting.seed)
    if job.start is not None:
        begin(model, job.start)
    points = _learn(model, job)
    if not first_process():
        return None
    tested = job.data.windows(job.split.test)
    found = [window_answers(model, batch).counts for _, batch in tested.blocks()]
    answers = torch.cat(found).numpy()
    summary = _judge(model, job, answers, points)
    _write(summary, model, job, answers)
    made = request.provenance()
    run = RunConfig.of(TASK, MODEL, to_dict(job.config), job.data.sequences, made)
    save_run(folder, run, weights(model), seen_of(job.data.sequences, job.split, request.init))
    return summary


def read_job(request: TrainRequest) -> Job:
    """Read and check all inputs before a folder is created."""
    options = from_dict(ProfileOptions, request.options, where="options of profile")
    start = None if request.init is None else model_of(read_run(request.init, TASK))
    fields, shape = request.parted(ProfileLearning)
    learning = from_dict(ProfileLearning, fields, where="--set")
    names = options.tracks or tuple(filter(None, [request.label]))
    data = read_profiled(request.data, names, options.controls)
    length = data.sequences.length
    shift = length // 10 if learning.shift is None else learning.shift
    size = shape.get("profile", length - 2 * shift)
    if not isinstance(size, int) or not 0 < size <= length - 2 * shift:
        raise UsageError(
            f"the sequences are too short for a profile of {size} bases, shifted by up to {shift}",
            where="--set",
            expected=f"profile + 2 x shift of at most {length:,} bases",
        )
    counts = _counts(data, size)
    how, seed = request.hold_out, request.setting.seed
    known = np.where(np.isfinite(counts).any(1), 0, -1)
    by, split = one_split(data.sequences, known, how, seed, request.task)
    outputs = tuple(_outputs(data, counts[split.train], request))
    facts = {"outputs": outputs, "opposite": data.opposite, "length": length}
    facts |= {"controls": data.control_names, "control_opposite": data.control_opposite}
    taken = {} if start is None else shape_to_take(start.config, FREE, request, shape)
    asked = replace(request, arch={**taken, **shape})
    own = {"profile": size}
    config = asked.config(ProfileConfig, PRESETS, facts, defaults=own, learning=ProfileLearning)
    return Job(request, learning, config, data, by, split, counts, shift, start)


def begin(model: ProfileModel, start: ProfileModel) -> None:
    """Copy the convolutions of `start`, and the parts of its heads for outputs of the same name."""
    model.body.load_state_dict(start.body.state_dict())
    theirs = [output.name for output in start.config.outputs]
    mine = [output.name for output in model.config.outputs]
    taken = [name for name in mine if name in theirs]
    to, of = [mine.index(name) for name in taken], [theirs.index(name) for name in taken]
    # Profile weights are [channels, outputs, bases], all others [outputs, ...].
    own, its = model.state_dict(), start.state_dict()
    own["profile.weight"][:, to] = its["profile.weight"][:, of]
    names = ["profile.bias", "counts.weight", "counts.bias"]
    if model.config.controls and model.config.controls == start.config.controls:
        names += ["control_profile.weight", "control_counts.weight"]
    for name in names:
        own[name][to] = its[name][of]
    log.info("initialised the convolutions, and the heads of %s", ", ".join(taken) or "no output")


def _counts(data: Profiled, size: int) -> NDArray[np.float32]:
    """Return the total counts of the central bases of all windows, ``[n, K]``."""
    every = data.windows(np.arange(len(data.sequences)))
    totals = [observed(middle(batch.signal, size)).total for _, batch in every.blocks()]
    return torch.cat(totals).numpy()


def _outputs(
    data: Profiled, counts: NDArray[np.float32], request: TrainRequest
) -> Iterator[Output]:
    """Yield an output per track, with mean and standard deviation of its log counts."""
    for name, column in zip(data.names, counts.T, strict=True):
        values = np.log1p(column[np.isfinite(column)].astype(np.float64))
        if not len(values) or values.min() == values.max():
            what = f"{name} does not vary among the windows to learn from"
            raise DataError(what, where=request.data)
        assay = data.sequences.measurement.assay
        yield Output(name, assay, UNIT, mean=float(values.mean()), sd=float(values.std()))


def _learn(model: ProfileModel, job: Job) -> tuple[Point, ...]:
    """Train the network, and return its curve."""
    request, split = job.request, job.split
    mean = torch.from_numpy(np.nanmean(job.counts[split.train], 0))
    result = learn(
        ProfileTask(model, mean, job.learning.alpha, job.shift),
        job.data.windows(split.train),
        job.data.windows(split.valid),
        job.learning,
        request.setting,
        predict_batch=PREDICT_BATCH,
        folder=request.output,
        resume=last_checkpoint(request),
        warmup=job.learning.warmup,
        quiet=False,
    )
    return tuple(
        Point(1, i + 1, p["train_loss"], p[CORRELATION], p[MONITOR])
        for i, p in enumerate(result.history)
    )


def _judge(
    model: ProfileModel, job: Job, answers: NDArray[np.float32], points: tuple[Point, ...]
) -> ProfileSummary:
    request, split, sequences = job.request, job.split, job.data.sequences
    config, seed = job.config, request.setting.seed
    truth = np.log1p(job.counts)
    judged = activity.judge(config.outputs, truth, answers[None], sequences, split, seed)
    mean = results.mean_profile(job.data.windows(split.train), config.profile)
    found = results.shapes(model, job.data.windows(split.test), mean, seed)
    groups = sequences.group[split.test]
    shapes = results.judge_shapes(job.data.names, found, groups, seed)
    return ProfileSummary(
        folder=request.output.name,
        data=request.data.name,
        held_out_by=job.held_out_by,
        counts={name: len(getattr(split, name)) for name in ("train", "valid", "test")},
        preset=request.preset or next(iter(PRESETS)),
        parameters=sum(p.numel() for p in model.parameters()),
        length=config.length,
        profile=config.profile,
        controls=config.controls,
        headline=f"{activity.headline(judged)} {results.headline(shapes)}",
        warnings=tuple(activity.warnings(groups, judged)),
        outputs=judged,
        shapes=shapes,
        curve=points,
    )


def _write(
    summary: ProfileSummary, model: ProfileModel, job: Job, answers: NDArray[np.float32]
) -> None:
    """Write all outputs except the model: tables, report and card."""
    folder = RunFolder(job.request.output)
    folder.write_json("metrics.json", plain(summary))
    write_rows(summary.rows(), folder.path / "models.tsv")
    write_rows(list(map(asdict, summary.curve)), folder.path / "training.tsv")
    samples = job.data.sequences.names[job.split.test]
    truth = np.log1p(job.counts[job.split.test])
    rows = activity.prediction_rows(samples, job.data.names, truth, answers)
    write_rows(list(rows), folder.path / "predictions.tsv")
    windows = job.data.windows(job.split.test)
    write_profile_page(folder.path / "report.html", summary, truth, answers, model, windows)
    folder.write_text("README.md", profile_card(summary))
