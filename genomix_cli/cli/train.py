"""``genomix train``: fit a model to variants, to a cohort or to sequences."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from genomix_cli.cli.command import Action, Command
from genomix_cli.cli.domains import COHORTS, SEQUENCES, VARIANTS, Verb
from genomix_cli.cli.output import print_held_out, print_results, print_rows
from genomix_cli.cohorts.requests import TrainRequest as CohortRequest
from genomix_cli.comparison.rules import COMPARISON, HELD_OUT
from genomix_cli.errors import UsageError, require_files
from genomix_cli.options import RARE, option
from genomix_cli.registry import SEQUENCE_TASKS
from genomix_cli.sequences.requests.train import TASKS, TaskOptions
from genomix_cli.sequences.requests.train import TrainRequest as SequenceRequest
from genomix_cli.shared_options import RUNNING, Device, Precision, Seed, Threads
from genomix_cli.variants.requests.train import PretrainRequest
from genomix_cli.variants.requests.train import TrainRequest as VariantRequest

NAMED, FOLDS, BATCH = "named", "folds", "batch"


def parse_folds(hold_out: str) -> int:
    """Return the number of folds; 0 if the held-out parts are named."""
    kind, _, number = hold_out.partition(":")
    if hold_out == NAMED:
        return 0
    if kind != FOLDS or not number.isdecimal() or int(number) < 3:
        expected = f"{NAMED}, or folds:N with 3 or more"
        raise UsageError("unknown", where="--hold-out", expected=expected, found=hold_out)
    return int(number)


@dataclass(frozen=True)
class Labels:
    """Training on labels, once or over folds."""

    request: VariantRequest
    folds: int = option(
        0,
        "named: these contigs and regions; folds:N: each fold in turn",
        "--hold-out",
        parse=parse_folds,
        metavar="HOW",
        shown=NAMED,
        panel=HELD_OUT,
    )
    fold_by: str = option(
        "contig", "Unit of a fold: contig, or blocks of a length such as 1Mb", rare=True
    )


def train_on_labels(asked: Labels) -> None:
    """Train on labelled variants, and print the metrics of what was held out."""
    from genomix_cli.learning.processes import first_process
    from genomix_cli.variants.train.cross_validate import cross_validate
    from genomix_cli.variants.train.supervised import train_variants

    if asked.folds:
        metrics = cross_validate(asked.request, asked.folds, asked.fold_by)
    else:
        metrics = train_variants(asked.request)
    if first_process():
        print_held_out(metrics)


def pretrain_on_genome(request: PretrainRequest) -> None:
    """Pre-train on a genome, and print how well hidden bases and tracks are predicted."""
    from genomix_cli.learning.processes import first_process
    from genomix_cli.variants.train.pretrain.run import pretrain

    summary = pretrain(request)
    if first_process():
        print_rows(summary.rows())


@dataclass(frozen=True)
class CohortTraining:
    """Training on a cohort, with the seeds of the last fit."""

    request: CohortRequest
    seeds: int = option(
        1, "Seeds of the last fit, for its own spread", min=1, panel=COMPARISON, rare=True
    )


def train_on_cohort(asked: CohortTraining) -> None:
    """Tune, train and judge a model of a cohort beside its baselines.

    Patients stay together when samples are held out.
    """
    _require_table(asked.request.hold_out)
    from genomix_cli.cohorts.train.classifiers import train_cohort
    from genomix_cli.learning.processes import first_process

    request = asked.request
    seeds = tuple(range(request.seed, request.seed + asked.seeds))
    request = replace(request, rules=replace(request.rules, seeds=seeds))
    kind, colon, number = request.hold_out.partition(":")
    if kind == FOLDS and colon:
        if not number.isdecimal() or int(number) < 2:
            raise UsageError("not a number of folds", where="--hold-out", found=request.hold_out)
        request = replace(request, hold_out=FOLDS, folds=int(number))
    results = train_cohort(request)
    if first_process():
        print_results(results)


def _require_table(hold_out: str) -> None:
    """Refuse a ``--hold-out`` that names a missing table of folds."""
    try:
        float(hold_out)
    except ValueError:
        if hold_out != BATCH and not re.fullmatch(f"{FOLDS}(:.*)?", hold_out):
            require_files(Path(hold_out))


@dataclass(frozen=True)
class SequenceTraining:
    """Training on sequences; every task adds its own `options`."""

    request: SequenceRequest
    precision: Annotated[Precision, RARE] = "auto"
    device: Device = "auto"
    devices: int = option(
        1, "GPUs, or CPU processes, that share each batch", min=1, panel=RUNNING, rare=True
    )
    threads: Threads = 0
    seed: Seed = 0


def train_on_sequences(asked: Any) -> None:
    """Run the task of a `SequenceTraining`, and print a row per model or result."""
    from genomix_cli.learning.devices import resolve_device
    from genomix_cli.learning.fit_settings import FitSettings
    from genomix_cli.learning.processes import first_process

    request = replace(
        asked.request,
        task=asked.options.task,
        setting=FitSettings(
            seed=asked.seed,
            device=str(resolve_device(asked.device)),
            devices=asked.devices,
            threads=asked.threads or os.cpu_count() or 1,
            precision=asked.precision,
        ),
        options=asked.options.given(),
    )
    result = SEQUENCE_TASKS.load(request.task)(request)
    if not first_process():
        return
    if asked.options.compares_models:
        print_results(result)
    elif result is not None:
        print_rows(result.rows())


def _task(options: type[TaskOptions]) -> Action:
    """Return the action of training on sequences with the options of a task."""
    own = ("options", options, field(default_factory=options))
    request = make_dataclass(options.__name__, [own], bases=(SequenceTraining,), frozen=True)
    return Action(request, train_on_sequences, options.about)


VERB = Verb(
    "train",
    "Train a model of variants, a cohort or sequences, depending on the input.\n\n"
    "To see the options of a domain, name it: `genomix train cohort --help`. Pass the run folder "
    "to `score`, `explain` and `evaluate` as --model.",
    {
        "variants": VARIANTS.with_command(
            Command(
                "Train on a genome shard of `prepare variants` or `prepare genome`.\n\n"
                "Whole contigs or regions are held out. With --task pretrain the model learns to "
                "predict hidden bases and track bins instead of labels.",
                {
                    "labels": Action(Labels, train_on_labels, "labelled variants"),
                    "pretrain": Action(
                        PretrainRequest, pretrain_on_genome, "hidden bases and tracks"
                    ),
                },
                (
                    "genomix prepare variants --vcf test_data/variants.vcf.gz --label-info LABEL "
                    "-f test_data/genome.fa.gz -t ATAC=test_data/ATAC.bw -o demo.h5",
                    "genomix train demo.h5 -o run --valid-contigs chr2 --epochs 1",
                    "genomix train demo.h5 -o pre --valid-contigs chr2 --task pretrain --epochs 1",
                ),
            )
        ),
        "cohort": COHORTS.runs(
            train_on_cohort,
            "genomix simulate cohort -o cohort.h5mu --preset stillwell -n 200",
            "genomix train cohort.h5mu -o run --model mlp --baselines logistic --trials 2",
        ),
        "sequences": SEQUENCES.with_command(
            Command(
                "Train on sequences: classify, pre-train, generate, align, or predict activity or "
                "profiles (--task).\n\n"
                "Groups of sequences are held out together.",
                {options.task: _task(options) for options in TASKS},
                (
                    "genomix train sequences.h5 -o run --model cnn --baselines kmer-logistic",
                    "genomix train sequences.h5 -o pre --task contrast --preset motifs --epochs 1",
                    "genomix train sequences.h5 -o act --task activity --preset tiny --epochs 1",
                ),
            )
        ),
    },
    (
        "genomix train shard.h5 -o run --valid-contigs chr2 --test-contigs chr1",
        "genomix train cohort.h5mu -o run --model omics-transformer",
        "genomix train sequences.h5 -o run --model cnn",
    ),
    prepared=True,
)
