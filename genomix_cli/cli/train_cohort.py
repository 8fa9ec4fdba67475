"""``genomix train`` of a cohort: a model beside its baselines, judged on samples held out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from genomix_cli.cli.options import (
    Config,
    Device,
    Quiet,
    Seed,
    Threads,
    Verbose,
    parse_fields,
    parse_names,
    parse_pairs,
    parse_value,
)
from genomix_cli.cli.summary import print_results
from genomix_cli.errors import UsageError
from genomix_cli.registry import COHORT_MODELS

_NAMES = ", ".join(COHORT_MODELS)


def train_cohort(
    cohort: Annotated[Path, typer.Argument(help="Cohort (.h5mu).", metavar="COHORT.h5mu")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder to write.")],
    model: Annotated[str, typer.Option(help=f"{_NAMES}.")] = "omics-transformer",
    preset: Annotated[str, typer.Option(help="Of the model; default: its first.")] = "",
    arch: Annotated[
        list[str] | None,
        typer.Option("--set", help="Field of the model, as focal=2; it is then not tuned; repeat."),
    ] = None,
    modalities: Annotated[
        str, typer.Option(help="Modalities to learn from, comma-separated; default: all.")
    ] = "",
    baselines: Annotated[
        str, typer.Option(help="Models to compare with, comma-separated; all, or none.")
    ] = "logistic,late-fusion,best-single",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=A,B,... or modalities=A,A+B,...: a row of the table for each; repeat."
        ),
    ] = None,
    hold_out: Annotated[
        str, typer.Option(help="folds, batch, or a table of samples and folds ('train': never).")
    ] = "folds",
    folds: Annotated[int, typer.Option(min=2, help="Outer folds.")] = 5,
    inner_folds: Annotated[int, typer.Option(min=2, help="Folds inside, for tuning.")] = 3,
    trials: Annotated[
        int,
        typer.Option(min=1, help="Configurations tried for each model and fold; 1: its default."),
    ] = 5,
    seeds: Annotated[
        int, typer.Option(min=1, help="Seeds of the last fit, for its own spread.")
    ] = 1,
    calibration: Annotated[
        str,
        typer.Option(
            help="cross (predictions out of the inner folds) or split (a fifth is set aside)."
        ),
    ] = "cross",
    level: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Coverage of the prediction sets.")
    ] = 0.9,
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="Also fit to shuffled labels.")
    ] = True,
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run in this folder stopped.")
    ] = False,
    device: Device = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs, or processes on a CPU, that share each batch.")
    ] = 1,
    threads: Threads = 0,
    seed: Seed = 0,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Tune, train and judge a model of a cohort beside its baselines; patients stay together."""
    if calibration not in ("cross", "split"):
        raise UsageError(
            "unknown", where="--calibration", expected="cross or split", found=calibration
        )
    import torch

    from genomix_cli.cohorts.requests import Contest, TrainRequest
    from genomix_cli.cohorts.train.classifiers import train_cohort
    from genomix_cli.comparison.rules import Rules
    from genomix_cli.learning.processes import first_process

    if threads:
        torch.set_num_threads(threads)
    contest = Contest(
        model=model,
        preset=preset,
        arch=parse_fields(arch),
        vary=_variations(vary),
        baselines=_baselines(baselines),
        control=control,
    )
    rules = Rules(trials, inner_folds, level, calibration, tuple(range(seed, seed + seeds)))
    found = train_cohort(
        TrainRequest(
            cohort=cohort,
            output=output,
            contest=contest,
            modalities=parse_names(modalities),
            hold_out=hold_out,
            folds=folds,
            rules=rules,
            device=device,
            devices=devices,
            threads=threads,
            precision=precision,
            seed=seed,
            resume=resume,
        )
    )
    if first_process():
        print_results(found)


def _baselines(value: str) -> tuple[str, ...]:
    if value != "all":
        return () if value == "none" else parse_names(value)
    from importlib.util import find_spec

    # The one that needs an extra of its own; asked for by name, its absence is an error.
    return tuple(name for name in COHORT_MODELS if name != "lightgbm" or find_spec(name))


def _variations(values: list[str] | None) -> dict[str, tuple[Any, ...]]:
    """``top_k=300,500`` as numbers, ``modalities=a,a+b`` as text."""
    return {
        name: tuple(parse_value(each) for each in parse_names(listed))
        for name, listed in parse_pairs(values, "--vary", "A,B,...").items()
    }
