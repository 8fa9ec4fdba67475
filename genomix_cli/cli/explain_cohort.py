"""``genomix explain`` of a cohort: what its samples' classes rest on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import Config, Device, Force, Model, Quiet, Threads, Verbose
from genomix_cli.cli.score_cohort import set_threads
from genomix_cli.cli.summary import print_table, show

if TYPE_CHECKING:
    from genomix_cli.cohorts.explain.samples import ExplainSummary

log = logging.getLogger("genomix")


def explain_cohort(
    cohort: Path,
    model: Model,
    output: Annotated[Path, typer.Option("-o", "--output", help="TSV of attributions to write.")],
    select: Annotated[
        list[str] | None, typer.Option("--samples", help="Name of a sample to explain; repeat.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="The N samples that the model is surest of.")
    ] = None,
    max_samples: Annotated[int, typer.Option(min=1, help="Explain no more than this.")] = 100,
    of_class: Annotated[
        str | None, typer.Option("--class", help="Explain this class, not the predicted one.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Steps of the integral.")] = 64,
    summary: Annotated[
        Path | None, typer.Option(help="TSV of the mean |attribution| of each feature.")
    ] = None,
    attention: Annotated[
        Path | None, typer.Option(help="TSV of the cross-modal attention; descriptive only.")
    ] = None,
    plot_dir: Annotated[
        Path | None, typer.Option(help="Folder for a picture (PNG) of each sample.")
    ] = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Accept completeness errors above 1 %.")
    ] = False,
    device: Device = "auto",
    threads: Threads = 0,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Attribute the logit of a sample's class to its features by Integrated Gradients.

    The baseline is the mean of the training samples; attributions add up to the change from
    there, and where they miss it by more than 1 % the exit code is 3. On simulated cohorts the
    features that drive the classes are known, and how well they are found is said.
    """
    from genomix_cli.cohorts.explain.samples import explain_cohort as explain_samples
    from genomix_cli.cohorts.requests import ExplainRequest

    set_threads(threads)
    done = explain_samples(
        ExplainRequest(
            cohort=cohort,
            model=model,
            output=output,
            select=tuple(select or ()),
            top=top,
            max_samples=max_samples,
            of_class=of_class,
            steps=steps,
            summary=summary,
            attention=attention,
            plot_dir=plot_dir,
            allow_incomplete=allow_incomplete,
            device=device,
            force=force,
        )
    )
    _render(done)


def _render(done: ExplainSummary) -> None:
    """One line per sample on stdout; how well drivers are found on stderr."""
    header = ("sample", "class", "p", "change", "completeness error")
    rows = [
        (s.sample, s.of_class, f"{s.probability:.4f}", f"{s.change:+.3f}", f"{s.error:.2%}")
        for s in done.samples
    ]
    print_table(header, rows)
    if done.driver_auprc and log.isEnabledFor(logging.INFO):
        show(
            (f"drivers of {name}", f"AUPRC {found:.3f}", f"{share:.3f} by chance")
            for name, (found, share) in done.driver_auprc.items()
        )
