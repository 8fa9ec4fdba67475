"""``genomix train``: fit a model, here to a shard of variants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from genomix_cli.cli.by_input import COHORTS, SEQUENCES, VARIANTS, add_command
from genomix_cli.cli.options import Config, Device, Quiet, Seed, Threads, Verbose, parse_names
from genomix_cli.errors import UsageError

TUNES = ("full", "head", "lora")
MONITORS = ("auroc", "auprc", "ranking")
STRATEGIES = ("auto", "ddp", "fsdp")
NAMED = "named"
LABELS, PRETRAIN = "labels", "pretrain"
PRETRAIN_ONLY = (
    *("windows_per_epoch", "mask_share", "span", "track_mask", "track_weight"),
    *("spans_per_window", "places_per_window", "max_n", "valid_windows"),
)
LABELS_ONLY = (
    *("model", "test_contigs", "test_regions", "hold_out", "fold_by", "tune", "lora_rank"),
    *("rank_weight", "rank_margin", "negatives", "variants_per_window", "monitor"),
    *(
        "validations_per_epoch",
        "valid_variants",
        "test_variants",
        "train_variants",
        "demonstration",
    ),
)
METRICS = ("auroc", "auprc", "brier", "ece", "pearson", "spearman")


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
    ctx: typer.Context,
    task: Annotated[
        str,
        typer.Option(help="labels (learn labelled variants), or pretrain (hidden bases, tracks)."),
    ] = LABELS,
    valid_contigs: Annotated[
        str, typer.Option(help="Contigs for early stopping and calibration, comma-separated.")
    ] = "",
    test_contigs: Annotated[
        str, typer.Option(help="Contigs for the final metrics, comma-separated.")
    ] = "",
    valid_regions: Annotated[
        Path | None, typer.Option(help="BED of regions for early stopping and calibration.")
    ] = None,
    test_regions: Annotated[
        Path | None, typer.Option(help="BED of regions for the final metrics.")
    ] = None,
    hold_out: Annotated[
        str, typer.Option(help="named (the contigs and regions above), or folds:5 in turn.")
    ] = NAMED,
    fold_by: Annotated[
        str, typer.Option(help="What folds are made of: contig, or blocks of a length as 1Mb.")
    ] = "contig",
    model: Annotated[
        str, typer.Option(help="gmt, or a baseline: cnn, deepsea, basset, enformer, epigept.")
    ] = "gmt",
    preset: Annotated[str, typer.Option(help="mini, base or paper.")] = "mini",
    arch: Annotated[
        list[str] | None,
        typer.Option("--set", help="Field of the architecture, as n_bins=400; repeat."),
    ] = None,
    init: Annotated[str | None, typer.Option(help="Model to start from.")] = None,
    tune: Annotated[
        str, typer.Option(help="What learns: full, head, or lora (the head and adapters).")
    ] = "full",
    lora_rank: Annotated[int, typer.Option(min=1, help="Rank of the adapters.")] = 8,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="At most this many.")] = 10,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak rate of AdamW.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="Of AdamW.")] = 0.01,
    rank_weight: Annotated[float, typer.Option(min=0.0, help="Weight of RankNet.")] = 0.3,
    rank_margin: Annotated[
        float, typer.Option(min=0.0, help="Effects that differ by no more are not ranked.")
    ] = 0.0,
    negatives: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the negatives an epoch draws.")
    ] = 1.0,
    windows_per_batch: Annotated[int, typer.Option(min=1, help="Reference windows per batch.")] = 1,
    variants_per_window: Annotated[
        int, typer.Option(min=1, help="Variants of a window per batch, at most.")
    ] = 128,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches per optimiser step.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    monitor: Annotated[
        str, typer.Option(help="To stop by: auroc, auprc, or ranking (of effects).")
    ] = "auroc",
    patience: Annotated[
        int, typer.Option(min=0, help="Validations without gain; 0: no limit.")
    ] = 5,
    validations_per_epoch: Annotated[
        int, typer.Option(min=1, help="Validations in each epoch.")
    ] = 1,
    valid_variants: Annotated[
        int, typer.Option(min=0, help="Validation variants at most; 0: all.")
    ] = 0,
    test_variants: Annotated[int, typer.Option(min=0, help="Test variants at most; 0: all.")] = 0,
    train_variants: Annotated[
        int, typer.Option(min=0, help="Training variants at most, at random; 0: all.")
    ] = 0,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Epochs.")] = 5,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time.")
    ] = False,
    demonstration: Annotated[
        bool, typer.Option("--demonstration", help="Mark the weights as not for real conclusions.")
    ] = False,
    windows_per_epoch: Annotated[int, typer.Option(min=1, help="Windows drawn.")] = 1000,
    mask_share: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Share of the bases hidden; 0: none.")
    ] = 0.15,
    span: Annotated[int, typer.Option(min=1, help="Bases of a hidden span; k at least.")] = 12,
    track_mask: Annotated[
        float, typer.Option(min=0.0, max=0.8, help="Share of a track's bins hidden; 0: none.")
    ] = 0.15,
    track_weight: Annotated[
        float, typer.Option(min=0.0, help="Weight of the tracks beside the k-mers.")
    ] = 1.0,
    spans_per_window: Annotated[
        int, typer.Option(min=1, help="Hidden spans that are asked for.")
    ] = 16,
    places_per_window: Annotated[
        int, typer.Option(min=1, help="Bases of hidden bins whose tracks are asked for.")
    ] = 16,
    max_n: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of unknown bases a window may have.")
    ] = 0.1,
    valid_windows: Annotated[
        int, typer.Option(min=1, help="Windows held out that are judged, at most.")
    ] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Reading processes.")] = 0,
    device: Device = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs, or processes on a CPU, that share the work.")
    ] = 1,
    strategy: Annotated[
        str, typer.Option(help="Among several devices: ddp, or fsdp (each holds a part).")
    ] = "auto",
    threads: Threads = 0,
    seed: Seed = 0,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Contigs or regions are held out for validation and test, whole loci at a time.

    With --task pretrain, hidden bases and hidden bins of tracks are learned instead of labels.
    """
    options = dict(locals())
    _refuse_other_task(ctx, task)
    if task == PRETRAIN:
        from genomix_cli.cli.pretrain import pretrain

        pretrain(options)
        return
    settings = parse_settings(arch)
    folds = _folds(hold_out)
    for option, value, known in (
        ("--tune", tune, TUNES),
        ("--monitor", monitor, MONITORS),
        ("--strategy", strategy, STRATEGIES),
    ):
        if value not in known:
            raise UsageError("unknown", where=option, expected=" or ".join(known), found=value)
    import torch

    from genomix_cli.learning.fit_settings import FitConfig
    from genomix_cli.learning.processes import first_process
    from genomix_cli.variants.requests import Holding, TrainRequest
    from genomix_cli.variants.train.cross_validate import cross_validate
    from genomix_cli.variants.train.supervised import train_variants as learn

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
        devices=devices,
        strategy=strategy,
    )
    mode: Any = tune
    request = TrainRequest(
        shard=shard,
        output=output,
        model=model,
        preset=preset,
        arch=settings,
        held_out=Holding(
            parse_names(valid_contigs), parse_names(test_contigs), valid_regions, test_regions
        ),
        initial=init,
        tune=mode,
        lora_rank=lora_rank,
        resume=resume,
        windows_per_batch=windows_per_batch,
        variants_per_window=variants_per_window,
        rank_weight=rank_weight,
        rank_margin=rank_margin,
        negatives=negatives,
        valid_variants=valid_variants,
        test_variants=test_variants,
        train_variants=train_variants,
        fit=fit,
        device=device,
        workers=workers,
        seed=seed,
        demonstration=demonstration,
        checkpointing=gradient_checkpointing,
    )
    metrics = cross_validate(request, folds, fold_by) if folds else learn(request)
    if first_process():
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


def _refuse_other_task(ctx: typer.Context, task: str) -> None:
    """Refuse an option that was typed for the other task."""
    others = {LABELS: PRETRAIN_ONLY, PRETRAIN: LABELS_ONLY}
    if task not in others:
        raise UsageError("unknown", where="--task", expected=" or ".join(others), found=task)
    for name in others[task]:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"means nothing to --task {task}", where=f"--{name.replace('_', '-')}")


def _folds(hold_out: str) -> int:
    """The number of folds; 0 where parts are named."""
    kind, _, number = hold_out.partition(":")
    if hold_out == NAMED:
        return 0
    if kind != "folds" or not number.isdecimal() or int(number) < 3:
        raise UsageError(
            "unknown",
            where="--hold-out",
            expected=f"{NAMED}, or folds:N with 3 or more",
            found=hold_out,
        )
    return int(number)


def _render(metrics: dict[str, Any]) -> None:
    """Part, metric, value, interval, ceiling; over folds: mean and standard deviation."""
    for part in ("valid", "test"):
        for name in METRICS:
            if name in metrics.get(part, {}):
                found = metrics[part][name]
                line = [f"{found[key]:.4f}" for key in ("value", "low", "high")]
                ceiling = metrics[part].get(f"bayes_{name}")
                if ceiling is not None:
                    line.append(f"{ceiling:.4f}")
                typer.echo("\t".join([part, name, *line]))
    for name, found in metrics.get("mean", {}).items():
        typer.echo(f"folds\t{name}\t{found['mean']:.4f}\t{found['sd']:.4f}")
