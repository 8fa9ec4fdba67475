"""``genomix train`` of sequences: classifiers, pre-training, generation, alignment."""

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
)
from genomix_cli.cli.summary import print_results, print_rows
from genomix_cli.errors import UsageError
from genomix_cli.registry import SEQUENCE_CLASSIFIERS, SEQUENCE_TASKS

_TASKS = ", ".join(SEQUENCE_TASKS)
_NAMES = ", ".join(SEQUENCE_CLASSIFIERS)
CLASSIFY = "classify"
# What tasks do with the phenotypes that are named.
_PHENOTYPES = {"contrast": "probe", "align": "phenotypes", "diffuse": "conditions"}


def train_sequences(
    sequences: Path,
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder to write.")],
    task: Annotated[
        str,
        typer.Option(
            help="classify; contrast (pre-training); diffuse (a model that generates); or align "
            "(DNA with phenotypes)."
        ),
    ] = CLASSIFY,
    model: Annotated[str, typer.Option(help=f"Of classify: {_NAMES}.")] = "transformer",
    preset: Annotated[str, typer.Option(help="Of the model; default: what suits the data.")] = "",
    arch: Annotated[
        list[str] | None,
        typer.Option("--set", help="Field of the model, as epochs=20 or freeze=true; repeat."),
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="Run folder whose encoder to start from.")
    ] = None,
    label: Annotated[
        str, typer.Option(help="Phenotype to learn or to condition on; default: the file's.")
    ] = "",
    baselines: Annotated[
        str,
        typer.Option(help="Models to compare with, as cnn or kmer-logistic:k6; all, none, auto."),
    ] = "auto",
    hold_out: Annotated[
        str,
        typer.Option(help="auto (the file's split, else a quarter), splits, 0.25, or folds:5."),
    ] = "auto",
    trials: Annotated[
        int, typer.Option(min=1, help="Configurations tried for each model; 1: its default.")
    ] = 1,
    few_shot: Annotated[
        str, typer.Option(help="Also learn from so many of each class, as 1,5,10,50.")
    ] = "",
    few_shot_repeats: Annotated[int, typer.Option(min=2, help="Draws of each number.")] = 5,
    augment: Annotated[
        Path | None,
        typer.Option(
            help="Generated sequences that join the training part, as a row of its own.",
            metavar="GENERATED.h5",
        ),
    ] = None,
    phenotypes: Annotated[
        str,
        typer.Option(
            help="Of align and diffuse: which to align or to condition on; of contrast: which to "
            "probe; comma-separated; default: all, the label, the label."
        ),
    ] = "",
    level: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Coverage of the prediction sets.")
    ] = 0.9,
    control: Annotated[
        bool,
        typer.Option("--control/--no-control", help="Also fit networks to shuffled labels."),
    ] = False,
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")
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
    """Learn classes of sequences beside baselines; or pre-train, generate or align (--task).

    Groups of sequences are held out together.
    """
    import os

    import torch

    from genomix_cli.learning.checkpoints import resolve_device
    from genomix_cli.learning.fit_settings import FitSettings
    from genomix_cli.learning.processes import first_process
    from genomix_cli.sequences.requests import TrainRequest

    if threads:
        torch.set_num_threads(threads)
    options: dict[str, Any] = {}
    if phenotypes:
        options = {_PHENOTYPES.get(task, "phenotypes"): parse_names(phenotypes)}
    if task == CLASSIFY:
        options |= {
            "model": model,
            "baselines": _baselines(baselines),
            "trials": trials,
            "few_shot": _counts(few_shot),
            "few_shot_repeats": few_shot_repeats,
            "augment": augment and str(augment),
            "level": level,
            "control": control,
        }
    request = TrainRequest(
        data=sequences,
        output=output,
        task=task,
        preset=preset,
        arch=parse_fields(arch),
        label=label,
        hold_out=hold_out,
        init=Path(init) if init else None,
        setting=FitSettings(
            seed=seed,
            device=str(resolve_device(device)),
            devices=devices,
            threads=threads or os.cpu_count() or 1,
            precision=precision,
        ),
        resume=resume,
        options=options,
    )
    found = SEQUENCE_TASKS.load(task)(request)
    if not first_process():
        return
    if task == CLASSIFY:
        print_results(found)
    elif found is not None:
        print_rows(found.rows())


def _baselines(value: str) -> tuple[str, ...] | None:
    if value == "all":
        return tuple(name for name in SEQUENCE_CLASSIFIERS if name != "transformer")
    return {"auto": None, "none": ()}.get(value, parse_names(value))


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in parse_names(text))
    except ValueError:
        counts = (0,)
    if any(count < 1 for count in counts):
        raise UsageError("no counts", where="--few-shot", expected="as 1,5,10,50", found=text)
    return counts
