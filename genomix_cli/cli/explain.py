"""``genomix explain``: why an input scores as it does, here variants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.by_input import COHORTS, SEQUENCES, VARIANTS, add_command
from genomix_cli.cli.options import (
    Config,
    Contacts,
    Device,
    Fasta,
    Force,
    Model,
    Quiet,
    Seed,
    Threads,
    Tracks,
    Uncovered,
    Verbose,
    parse_tracks,
)
from genomix_cli.cli.summary import print_table
from genomix_cli.errors import UsageError
from genomix_cli.genome.tracks import of_one_cell

if TYPE_CHECKING:
    from genomix_cli.variants.explain.alleles import Summary

_BASELINES = {"ref": ("ref",), "shuffle": ("shuffle",), "both": ("ref", "shuffle")}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    from genomix_cli.cli.explain_cohort import explain_cohort
    from genomix_cli.cli.explain_sequences import explain_sequences

    add_command(
        app,
        "explain",
        {VARIANTS: explain, COHORTS: explain_cohort, SEQUENCES: explain_sequences},
        help="Say why variants, the samples of a cohort, or sequences score as they do.",
        argument=typer.Argument(help="VCF, cohort (.h5mu), or sequences (.h5).", metavar="INPUT"),
    )


def explain(
    variants: Path,
    fasta: Fasta,
    output: Annotated[Path, typer.Option("-o", "--output", help="TSV of attributions to write.")],
    model: Model = "gmt-mini-sim",
    track: Tracks = None,
    contacts: Contacts = None,
    uncovered: Uncovered = None,
    select: Annotated[
        list[str] | None,
        typer.Option("--variants", help="contig:pos:ref:alt of an allele to explain; repeat."),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="The N alleles with the highest GENOMIX_P.")
    ] = None,
    max_variants: Annotated[int, typer.Option(min=1, help="Explain no more than this.")] = 20,
    baseline: Annotated[
        str, typer.Option(help="ref (what the variant did), shuffle (why here) or both.")
    ] = "ref",
    steps: Annotated[
        int, typer.Option(min=2, help="Steps of the integral; ref takes four times as many.")
    ] = 64,
    plot_dir: Annotated[
        Path | None, typer.Option(help="Folder for a picture (PNG) of each variant.")
    ] = None,
    attention: Annotated[
        Path | None, typer.Option(help="TSV of the attention rollout; descriptive only.")
    ] = None,
    allow_incomplete: Annotated[
        bool,
        typer.Option("--allow-incomplete", help="Accept completeness errors above 1 %."),
    ] = False,
    device: Device = "auto",
    threads: Threads = 0,
    seed: Seed = 0,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Attribute scores to bases and track bins by Integrated Gradients.

    Attributions are log-odds and add up to the change between baseline and variant; where they
    miss it by more than 1 % the exit code is 3. Each step costs a pass over the window and back
    for the baseline shuffle, and next to nothing for ref.
    """
    if baseline not in _BASELINES:
        raise UsageError(
            "unknown baseline", where="--baseline", expected=" or ".join(_BASELINES), found=baseline
        )
    if uncovered not in (None, "missing", "zero"):
        raise UsageError(
            "not a choice", where="--uncovered", expected="missing or zero", found=uncovered
        )
    import torch

    from genomix_cli.variants.explain.alleles import explain_variants
    from genomix_cli.variants.requests import ExplainRequest

    if threads:
        torch.set_num_threads(threads)
    summaries = explain_variants(
        ExplainRequest(
            variants=variants,
            fasta=fasta,
            model=model,
            output=output,
            tracks=of_one_cell(parse_tracks(track)),
            contacts=contacts,
            uncovered=uncovered,  # type: ignore[arg-type]
            attention=attention,
            plot_dir=plot_dir,
            select=tuple(select or ()),
            top=top,
            max_variants=max_variants,
            baselines=_BASELINES[baseline],
            steps=steps,
            allow_incomplete=allow_incomplete,
            device=device,
            seed=seed,
            force=force,
        )
    )
    _render(summaries)


def _render(summaries: tuple[Summary, ...]) -> None:
    """One line per variant and baseline on stdout."""
    header = ("variant", "p", "baseline", "change", "completeness error")
    rows = [
        (s.variant, f"{s.probability:.4f}", s.baseline, f"{s.change:+.3f}", f"{s.error:.2%}")
        for s in summaries
    ]
    print_table(header, rows)
