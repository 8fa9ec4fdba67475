"""``genomix train SHARD --task pretrain``: learn from a genome without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from genomix_cli.cli.summary import print_rows


def pretrain(
    shard: Path,
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder to write.")],
    valid_contigs: Annotated[
        str, typer.Option(help="Contigs that are held out, comma-separated.")
    ] = "",
    valid_regions: Annotated[
        Path | None, typer.Option(help="BED file of regions that are held out.", metavar="BED")
    ] = None,
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
    windows_per_epoch: Annotated[int, typer.Option(min=1, help="Windows drawn.")] = 1000,
    windows_per_batch: Annotated[int, typer.Option(min=1, help="Windows per batch.")] = 4,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches per optimiser step.")] = 1,
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
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak rate of AdamW.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="Of AdamW.")] = 0.01,
    patience: Annotated[int, typer.Option(min=0, help="Epochs without gain; 0: no limit.")] = 0,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Epochs.")] = 5,
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Reading processes.")] = 0,
    device: Device = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs, or processes on a CPU, that share the windows.")
    ] = 1,
    threads: Threads = 0,
    seed: Seed = 0,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Tell hidden bases and hidden tracks of a genome; whole contigs or regions are held out."""
    import torch

    from genomix_cli.training.loop import FitConfig, first_process
    from genomix_cli.variants.masking import Masking
    from genomix_cli.variants.pretrain import MONITOR, PretrainRequest
    from genomix_cli.variants.pretrain import pretrain as run

    if threads:
        torch.set_num_threads(threads)
    found = run(
        PretrainRequest(
            shard=shard,
            output=output,
            preset=preset,
            arch=parse_fields(arch),
            valid_contigs=parse_names(valid_contigs),
            valid_regions=valid_regions,
            initial=init,
            resume=resume,
            masking=Masking(share=mask_share, span=span, track_share=track_mask),
            track_weight=track_weight,
            spans_per_window=spans_per_window,
            places_per_window=places_per_window,
            windows_per_epoch=windows_per_epoch,
            windows_per_batch=windows_per_batch,
            valid_windows=valid_windows,
            max_n=max_n,
            fit=FitConfig(
                epochs=epochs,
                learning_rate=learning_rate,
                weight_decay=weight_decay,
                precision=precision,
                patience=patience,
                monitor=MONITOR,
                checkpoint_every=checkpoint_every,
                accumulate=accumulate,
                devices=devices,
            ),
            device=device,
            workers=workers,
            seed=seed,
            checkpointing=gradient_checkpointing,
        )
    )
    if first_process():
        print_rows(found.rows())
