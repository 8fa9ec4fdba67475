"""Training of an ensemble of networks on measured activity, and its evaluation on held-out data."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.entrants import require
from genomix_cli.comparison.splits import Split
from genomix_cli.comparison.tables import plain, write_rows
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import WEIGHTS, RunFolder, read_json, read_weights
from genomix_cli.formats.seen import Seen
from genomix_cli.genome.motifs import Motif, read_meme
from genomix_cli.learning.activity import ActivityConfig, ActivityModel, Output
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.motifs import MOTIF_SHARE, Filters, motif_filters
from genomix_cli.learning.networks import MONITOR, learn, new_module, set_weights, weights
from genomix_cli.learning.processes import first_process
from genomix_cli.sequences.activity import results
from genomix_cli.sequences.activity.learning import (
    CORRELATION,
    ActivityLearning,
    ActivityTask,
    Steps,
)
from genomix_cli.sequences.activity.page import activity_card, write_activity_page
from genomix_cli.sequences.activity.predict import TASK, member_answers, model_of
from genomix_cli.sequences.activity.results import ActivitySummary, OtherFile, Point
from genomix_cli.sequences.activity.sources import Learned, Source, read_learned, renamed, without
from genomix_cli.sequences.models.base import State
from genomix_cli.sequences.requests.train import ActivityOptions, TrainRequest
from genomix_cli.sequences.runs import RunConfig, read_run, save_run, seen_of
from genomix_cli.sequences.train.folder import open_folder, shape_to_take
from genomix_cli.sequences.train.learning import PREDICT_BATCH
from genomix_cli.sequences.train.splits import one_split, strandless

log = logging.getLogger("genomix")

PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "tiny": {"stem": 16, "motif_width": 9, "width": 16},
}
# Configuration fields that may differ from those of the run to start from.
FREE = ("outputs", "length", "members", "dropout", "summary", "shown")
# Subfolder for the members, and each member's training curve, which is written last.
MEMBERS, CURVE = "members", "curve.json"


@dataclass(frozen=True)
class Job:
    """An ensemble to train.

    Attributes
    ----------
    request : TrainRequest
    learning : ActivityLearning
    config : ActivityConfig
    own : Learned
        The file to evaluate on; its outputs come first.
    also, pairs : tuple of Learned
    held_out_by : str
    split : Split
    start : ActivityModel, optional
        Model whose weights to start from.
    motifs : tuple of Motif
        Motifs that the first layer starts from, if any.
    """

    request: TrainRequest
    learning: ActivityLearning
    config: ActivityConfig
    own: Learned
    also: tuple[Learned, ...]
    pairs: tuple[Learned, ...]
    held_out_by: str
    split: Split
    start: ActivityModel | None
    motifs: tuple[Motif, ...]

    @cached_property
    def filters(self) -> Filters | None:
        """Motifs as filters of the first layer.

        Computing them takes seconds, so it waits until a member is trained.
        """
        if not self.motifs:
            return None
        n = round(MOTIF_SHARE * self.config.stem)
        return motif_filters(self.motifs, n, self.config.motif_width)

    @property
    def sources(self) -> list[Source]:
        """The file itself, the other files, and the files of pairs, in this order."""
        files = enumerate((self.own, *self.also, *self.pairs))
        return [each.source(number, self.config.outputs) for number, each in files]


def train_activity(request: TrainRequest) -> ActivitySummary | None:
    """Train, compare with a k-mer ridge on the held-out part, and write the run folder.

    The folder holds ``config.json``, ``model.safetensors``, ``metrics.json``, ``models.tsv``,
    ``predictions.tsv`` (held-out sequences), ``training.tsv`` (one row per epoch),
    ``report.html``, ``README.md`` (the model card), ``train.json`` and ``members/``.

    Returns
    -------
    ActivitySummary or None
        None in worker processes of a distributed training.

    Raises
    ------
    UsageError
        If presets, fields, phenotypes or ways to hold out do not exist, the run to start from has
        another architecture, or the folder is in use.
    DataError
        If a file cannot be read, has nothing to learn, or does not fit the others.
    MissingExtraError
        If Lightning or matplotlib is not installed.
    """
    require({"matplotlib": "cohorts"})
    setting = replace(request.setting, device=str(resolve_device(request.setting.device)))
    job = read_job(replace(request, setting=setting))
    open_folder(request)
    state, points = _learn(job)
    if not first_process():
        return None
    model = new_module(lambda: ActivityModel(job.config), setting.seed)
    set_weights(model, state)
    answers = _held_out_answers(model.to(setting.device).eval(), job)
    summary = _judge(model, job, answers, points)
    made = request.provenance()
    run = RunConfig.of(TASK, TASK, to_dict(job.config), job.own.sequences, made)
    _write(summary, job, answers.mean(0))
    save_run(request.output, run, state, _seen(job))
    return summary


def read_job(request: TrainRequest) -> Job:
    """Read and check all inputs, before any folder is made."""
    options = from_dict(ActivityOptions, request.options, where="options of activity")
    fields, shape = request.parted(ActivityLearning)
    learning = from_dict(ActivityLearning, fields, where="--set")
    own = read_learned(request.data, options.phenotypes or tuple(filter(None, [request.label])))
    how, seed = request.hold_out, request.setting.seed
    by, split = one_split(own.sequences, own.strata, how, seed, request.task)
    held_out = own.sequences.codes[np.concatenate([split.valid, split.test])]
    held_out = np.unique(strandless(held_out))
    outputs = list(own.outputs(split.train))
    also = tuple(_other(path, outputs, own, held_out) for path in options.also)
    pairs = tuple(_other(path, outputs, own, held_out, pairs=True) for path in options.pairs)
    start = None if request.init is None else model_of(read_run(request.init, TASK))
    facts = {"outputs": tuple(outputs), "length": own.sequences.length}
    taken = {} if start is None else shape_to_take(start.config, FREE, request, shape)
    asked = replace(request, arch={**taken, **shape})
    config = asked.config(ActivityConfig, PRESETS, facts, learning=ActivityLearning)
    if options.motifs is not None and start is not None:
        raise UsageError("the run given by --init already has filters", where="--motifs")
    motifs = () if options.motifs is None else read_meme(options.motifs)
    return Job(request, learning, config, own, also, pairs, by, split, start, motifs)


def _other(
    path: Path,
    outputs: list[Output],
    own: Learned,
    held_out: NDArray[np.uint64],
    *,
    pairs: bool = False,
) -> Learned:
    """Read another file and append its outputs; pairs may share outputs with the file itself."""
    learned = without(read_learned(path, pairs=pairs), held_out)
    by_name = {output.name: output for output in outputs}
    kept = own.names if pairs else ()
    learned = renamed(learned, by_name, kept)
    for output in learned.outputs(np.unique(learned.items)):
        if output.name not in by_name:
            outputs.append(output)
        else:
            _check_same(output, by_name[output.name], path)
    return learned


def _check_same(output: Output, other: Output, path: Path) -> None:
    """Refuse an output of pairs that is not measured like the main file's output of that name."""
    ends = [(each.left, each.right) for each in (output, other)]
    if output.is_class != other.is_class or (any(ends[0]) and ends[0] != ends[1]):
        raise DataError(
            f"{output.name} was measured differently in the data: as a class, or "
            "in another construct",
            where=path,
            hint="rename the column, or prepare both files in the same way",
        )


def _learn(job: Job) -> tuple[dict[str, NDArray[Any]], tuple[Point, ...]]:
    """Train each member; return the weights and training curves of all."""
    state: dict[str, NDArray[Any]] = {}
    curve: list[Point] = []
    for number in range(job.config.members):
        log.info("network %d of %d", number + 1, job.config.members)
        own, points = _learn_member(job, number)
        prefix = f"members.{number}."
        state |= {name.replace("members.0.", prefix, 1): each for name, each in own.items()}
        curve += points
    return state, tuple(curve)


def _learn_member(job: Job, number: int) -> tuple[State, list[Point]]:
    """Train one network, or read it if an interrupted run has already trained it."""
    request, setting = job.request, job.request.setting
    folder = RunFolder(request.output / MEMBERS / str(number + 1))
    if request.resume and (folder.path / CURVE).is_file():
        points = read_json(folder.path / CURVE)["curve"]
        return read_weights(folder.path / WEIGHTS), [Point(**point) for point in points]
    seed = setting.seed + number
    alone = replace(job.config, members=1)
    module = new_module(lambda: ActivityModel(alone), seed)
    if job.start is not None:
        begin(module, job.start, number)
    if job.filters is not None:
        module.network(0).encoder.start_from(*job.filters)
    sources, n_also = job.sources, len(job.also)
    train = sources[0].of(job.split.train)
    also, pairs = sources[1 : 1 + n_also], sources[1 + n_also :]

    def steps(epoch: int) -> Steps:
        # From seed and epoch alone, so that a resumed run sees the same batches.
        rng = np.random.default_rng([seed, epoch])
        return Steps(train, also, pairs, job.learning, rng)

    result = learn(
        ActivityTask(module, sources, job.learning),
        steps,
        sources[0].of(job.split.valid),
        job.learning,
        setting,
        predict_batch=PREDICT_BATCH,
        seed=seed,
        folder=folder.path,
        resume=folder.checkpoint(request.resume),
        warmup=job.learning.warmup,
        monitor=MONITOR if all(t.is_class for t in job.own.traits) else CORRELATION,
        quiet=False,
    )
    curve = [
        Point(number + 1, i + 1, p["train_loss"], p.get(CORRELATION), p.get(MONITOR))
        for i, p in enumerate(result.history)
    ]
    state = weights(module)
    if first_process():
        folder.write_weights(WEIGHTS, state)
        folder.write_json(CURVE, {"curve": list(map(asdict, curve))})
    return state, curve


def begin(module: ActivityModel, start: ActivityModel, number: int) -> None:
    """Start from a member's encoder, and from its heads for outputs of the same name."""
    mine, theirs = module.network(0), start.network(number % len(start.members))
    mine.encoder.load_state_dict(theirs.encoder.state_dict())
    heads = {o.name: head for o, head in zip(start.config.outputs, theirs.heads, strict=True)}
    taken = [output.name for output in module.config.outputs if output.name in heads]
    for output, head in zip(module.config.outputs, mine.heads, strict=True):
        if output.name in heads:
            head.load_state_dict(heads[output.name].state_dict())
    log.info("initialised the encoder, and the heads of %s", ", ".join(taken) or "no output")


def _held_out_answers(model: ActivityModel, job: Job) -> NDArray[np.float32]:
    """Return the members' predictions for held-out sequences, float32 ``[E, n, K]``."""
    rows = tuple(range(len(job.own.traits)))
    return member_answers(model, job.own.sequences.codes[job.split.test], rows)


def _judge(
    model: ActivityModel, job: Job, answers: NDArray[np.float32], points: tuple[Point, ...]
) -> ActivitySummary:
    request, own, split = job.request, job.own, job.split
    outputs = job.config.outputs[: len(own.traits)]
    judged = results.judge(outputs, own.values, answers, own.sequences, split, request.setting.seed)
    return ActivitySummary(
        folder=request.output.name,
        data=request.data.name,
        held_out_by=job.held_out_by,
        counts={name: len(getattr(split, name)) for name in ("train", "valid", "test")},
        preset=request.preset or next(iter(PRESETS)),
        parameters=sum(p.numel() for p in model.parameters()),
        members=job.config.members,
        headline=results.headline(judged),
        warnings=tuple(results.warnings(own.sequences.group[split.test], judged)),
        outputs=judged,
        others=tuple(
            OtherFile(each.path.name, read_as, len(each.items), each.names)
            for read_as, files in (("sequences", job.also), ("pairs", job.pairs))
            for each in files
        ),
        curve=points,
    )


def _write(summary: ActivitySummary, job: Job, answers: NDArray[np.float32]) -> None:
    """Write everything except the model: tables, report and model card."""
    folder = RunFolder(job.request.output)
    folder.write_json("metrics.json", plain(summary))
    write_rows(summary.rows(), folder.path / "models.tsv")
    write_rows(list(map(asdict, summary.curve)), folder.path / "training.tsv")
    samples, truth = job.own.sequences.names[job.split.test], job.own.values[job.split.test]
    rows = results.prediction_rows(samples, job.own.names, truth, answers)
    write_rows(list(rows), folder.path / "predictions.tsv")
    write_activity_page(folder.path / "report.html", summary, truth, answers)
    folder.write_text("README.md", activity_card(summary))


def _seen(job: Job) -> Seen:
    """Return what the run has seen: of the other files only digests, as their names may clash."""
    seen = seen_of(job.own.sequences, job.split, job.request.init)
    for other in (*job.also, *job.pairs):
        keys = np.unique(other.digests.values[other.items])
        seen = seen.joined(Seen(keys, keys[:0], keys[:0]))
    return seen
