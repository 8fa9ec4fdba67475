"""``genomix explain`` of sequences: what their classes rest on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genomix_cli.cli.options import Config, Device, Force, Model, Quiet, Seed, Threads, Verbose
from genomix_cli.cli.score_cohort import set_threads
from genomix_cli.cli.summary import print_table


def explain_sequences(
    sequences: Path,
    model: Model,
    output: Annotated[Path, typer.Option("-o", "--output", help="TSV of attributions to write.")],
    select: Annotated[
        list[str] | None, typer.Option("--names", help="Name of a sequence to explain; repeat.")
    ] = None,
    most: Annotated[
        int, typer.Option("--max-sequences", min=1, help="Explain no more than this, evenly.")
    ] = 20,
    of_class: Annotated[
        str | None, typer.Option("--class", help="Explain this class, not the predicted one.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Steps of the integral.")] = 64,
    baseline: Annotated[
        str,
        typer.Option(help="uniform, mean (of a column), shuffle (of dinucleotides) or auto."),
    ] = "auto",
    summary: Annotated[
        Path | None, typer.Option(help="TSV of the mean |attribution| of each column.")
    ] = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Accept completeness errors above 1 %.")
    ] = False,
    device: Device = "auto",
    threads: Threads = 0,
    seed: Seed = 0,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Attribute the logit of a sequence's class to its bases by Integrated Gradients.

    A row per base, in genome coordinates (1-based) where the file knows them. Attributions add up
    to the change from the baseline: all bases alike, or the mean of the column where sequences are
    aligned; where they miss it by more than 1 % the exit code is 3.
    """
    from genomix_cli.sequences.explain.sequences import explain_sequences as explain
    from genomix_cli.sequences.requests import ExplainRequest

    set_threads(threads)
    lines = explain(
        ExplainRequest(
            sequences=sequences,
            model=model,
            output=output,
            select=tuple(select or ()),
            most=most,
            of_class=of_class,
            steps=steps,
            baseline=baseline,
            summary=summary,
            allow_incomplete=allow_incomplete,
            device=device,
            seed=seed,
            force=force,
        )
    )
    header = ("sequence", "class", "p", "change", "completeness error")
    rows = [
        (s.sample, s.of_class, f"{s.probability:.4f}", f"{s.change:+.3f}", f"{s.error:.2%}")
        for s in lines
    ]
    print_table(header, rows)
