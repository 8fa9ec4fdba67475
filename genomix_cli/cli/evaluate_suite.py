"""``genomix evaluate`` of a genome shard: models on held-out variants, beside baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import (
    Config,
    Device,
    Force,
    Quiet,
    Seed,
    Threads,
    Verbose,
    parse_names,
)
from genomix_cli.cli.summary import interval_text, print_table
from genomix_cli.errors import UsageError
from genomix_cli.registry import VARIANT_BASELINES

if TYPE_CHECKING:
    from genomix_cli.variants.evaluate.suite.results import SuiteResults

# Metrics of the table on stdout, those that there are.
_SHOWN = ("auroc", "auprc", "ranking_accuracy", "spearman", "spearman_absolute", "pearson")


def evaluate_suite(
    shard: Path,
    suite: Annotated[
        bool, typer.Option("--suite", help="What a shard gets anyway; say it where you like.")
    ] = False,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Run folder, or a name that ships; repeat."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the report.")
    ] = None,
    test_contigs: Annotated[
        str, typer.Option(help="Comma-separated; default: those of the first run.")
    ] = "",
    test_regions: Annotated[Path | None, typer.Option(help="BED of the test part.")] = None,
    variants: Annotated[
        int, typer.Option(min=0, help="Test so many, in whole stretches; 0: all.")
    ] = 0,
    trust_runs: Annotated[
        bool, typer.Option("--trust-runs", help="No run has seen the test part, whatever it says.")
    ] = False,
    baselines: Annotated[
        str,
        typer.Option(help=f"{', '.join(VARIANT_BASELINES)}, all, or none."),
    ] = "all",
    train_variants: Annotated[
        int, typer.Option(min=100, help="That the baselines learn from, at most.")
    ] = 60_000,
    peaks: Annotated[
        Path | None,
        typer.Option(help="BED or narrowPeak; default: the strongest bins of a track."),
    ] = None,
    vcf: Annotated[
        Path | None, typer.Option("--vcf", help="With other scores of the variants, in INFO.")
    ] = None,
    info: Annotated[
        list[str] | None, typer.Option("--info", help="Key of one, as CADD_PHRED; repeat.")
    ] = None,
    effect: Annotated[
        str, typer.Option(help="What scores are to follow of quantities: absolute or signed.")
    ] = "absolute",
    draws: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Draws for the intervals; 0: none.")
    ] = 1000,
    device: Device = "auto",
    threads: Threads = 0,
    seed: Seed = 0,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Evaluate models on held-out variants: baselines, strata, controls, and the ceiling.

    Models and baselines are compared on the same variants by paired bootstrap. A model that has
    learned from one of them is refused.
    """
    from genomix_cli.variants.evaluate.suite.run import evaluate_suite as evaluate
    from genomix_cli.variants.requests import SuiteRequest

    if output is None:
        raise UsageError("no folder for the report", where="--output", expected="-o FOLDER")
    chosen = {"all": tuple(VARIANT_BASELINES), "none": ()}
    request = SuiteRequest(
        shard=shard,
        output=output,
        models=tuple(models or ()),
        test_contigs=parse_names(test_contigs),
        test_regions=test_regions,
        variants=variants,
        trust_runs=trust_runs,
        baselines=chosen.get(baselines, parse_names(baselines)),
        train_variants=train_variants,
        peaks=peaks,
        vcf=vcf,
        info=tuple(info or ()),
        effect=effect,  # type: ignore[arg-type]
        draws=draws,
        device=device,
        seed=seed,
        force=force,
    )
    _render(evaluate(request).results)


def _render(results: SuiteResults) -> None:
    """A row per entrant on stdout."""
    from genomix_cli.variants.evaluate.suite.measures import MEASURES

    shown = [name for name in _SHOWN if name in results.first.metrics]
    rows = [
        [
            entrant.name,
            entrant.kind,
            *(interval_text(entrant.metrics.get(name), 4) for name in shown),
            interval_text(entrant.difference.get(results.main), 4, sign=True),
        ]
        for entrant in results.entrants
    ]
    if results.ceiling:
        values = (interval_text(results.ceiling.get(name), 4) for name in shown)
        rows.append(["ceiling", "truth", *values, ""])
    header = ["model", "kind", *(MEASURES[name].title for name in shown), "first less this"]
    print_table(header, rows, aligned=True)
