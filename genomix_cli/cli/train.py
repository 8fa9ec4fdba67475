"""``genomix train``: fit a model, here to a shard of variants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from genomix_cli.cli.by_input import COHORTS, SEQUENCES, VARIANTS, add_command
from genomix_cli.cli.options import Config, Device, Quiet, Seed, Threads, Verbose
from genomix_cli.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    from genomix_cli.cli.train_cohort import train_cohort
    from genomix_cli.cli.train_sequences import train_sequences

    add_command(
        app,
        "train",
        {VARIANTS: train, COHORTS: train_cohort, SEQUENCES: train_sequences},
        help="Train a model of variants, of a cohort or of sequences: the input says which.",
        argument=typer.Argument(
            help="Genome shard of `prepare variants`, cohort (.h5mu), or file of "
            "`prepare sequences`.",
            metavar="INPUT",
        ),
    )


def train(
    shard: Path,
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder to write.")],
    valid_contigs: Annotated[
        str, typer.Option(help="Contigs for early stopping and calibration, comma-separated.")
    ],
    test_contigs: Annotated[
        str, typer.Option(help="Contigs for the final metrics, comma-separated.")
    ] = "",
    model: Annotated[
        str, typer.Option(help="gmt, or a baseline: cnn, deepsea, basset, enformer, epigept.")
    ] = "gmt",
    preset: Annotated[str, typer.Option(help="mini, base or paper.")] = "mini",
    arch: Annotated[
        list[str] | None,
        typer.Option("--set", help="Field of the architecture, as n_bins=400; repeat."),
    ] = None,
    init: Annotated[str | None, typer.Option(help="Model to start from.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="At most this many.")] = 10,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak rate of AdamW.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="Of AdamW.")] = 0.01,
    rank_weight: Annotated[float, typer.Option(min=0.0, help="Weight of RankNet.")] = 0.3,
    negatives: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the negatives an epoch draws.")
    ] = 1.0,
    windows_per_batch: Annotated[int, typer.Option(min=1, help="Reference windows per batch.")] = 1,
    variants_per_window: Annotated[
        int, typer.Option(min=1, help="Variants of a window per batch, at most.")
    ] = 128,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches per optimiser step.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    monitor: Annotated[str, typer.Option(help="auroc or auprc, on the validation contigs.")] = (
        "auroc"
    ),
    patience: Annotated[
        int, typer.Option(min=0, help="Validations without gain; 0: no limit.")
    ] = 5,
    validations_per_epoch: Annotated[
        int, typer.Option(min=1, help="Validations in each epoch.")
    ] = 1,
    valid_variants: Annotated[
        int, typer.Option(min=0, help="Validation variants at most; 0: all.")
    ] = 0,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Epochs.")] = 5,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time.")
    ] = False,
    demonstration: Annotated[
        bool, typer.Option("--demonstration", help="Mark the weights as not for real conclusions.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Reading processes.")] = 0,
    device: Device = "auto",
    threads: Threads = 0,
    seed: Seed = 0,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Whole contigs are held out for validation and test."""
    settings = parse_settings(arch)
    import torch

    from genomix_cli.training.loop import FitConfig
    from genomix_cli.variants.train import TrainRequest, train_variants

    if threads:
        torch.set_num_threads(threads)
    fit = FitConfig(
        epochs=epochs,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        precision=precision,
        patience=patience,
        monitor=monitor,
        validations_per_epoch=validations_per_epoch,
        checkpoint_every=checkpoint_every,
        accumulate=accumulate,
    )
    metrics = train_variants(
        TrainRequest(
            shard=shard,
            output=output,
            model=model,
            preset=preset,
            arch=settings,
            valid_contigs=_names(valid_contigs),
            test_contigs=_names(test_contigs),
            initial=init,
            resume=resume,
            windows_per_batch=windows_per_batch,
            variants_per_window=variants_per_window,
            rank_weight=rank_weight,
            negatives=negatives,
            valid_variants=valid_variants,
            fit=fit,
            device=device,
            workers=workers,
            seed=seed,
            demonstration=demonstration,
            checkpointing=gradient_checkpointing,
        )
    )
    _render(metrics)


def parse_settings(values: list[str] | None) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; a value is a TOML value, so true, 3 and 0.5 have their types.

    Raises
    ------
    UsageError
        If one is no such pair.
    """
    import tomllib

    settings: dict[str, Any] = {}
    for value in values or []:
        try:
            settings.update(tomllib.loads(value))
        except tomllib.TOMLDecodeError as error:
            raise UsageError(
                "not a setting", where="--set", expected="KEY=VALUE", found=value
            ) from error
    return settings


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _render(metrics: dict[str, Any]) -> None:
    for part in ("valid", "test"):
        for name in ("auroc", "auprc", "brier", "ece"):
            if part in metrics:
                value = metrics[part][name]
                line = (
                    f"{part}\t{name}\t{value['value']:.4f}\t{value['low']:.4f}\t{value['high']:.4f}"
                )
                ceiling = metrics[part].get(f"bayes_{name}")
                typer.echo(line + (f"\t{ceiling:.4f}" if ceiling is not None else ""))
