"""``genomix evaluate``: scores against labels, here of variants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.by_input import GENERATED, SCORED_CLASSES, SHARDS, VARIANTS, add_command
from genomix_cli.cli.options import Config, Force, Quiet, Seed, Verbose
from genomix_cli.cli.summary import metric_table, print_table
from genomix_cli.variants.score.tags import PROBABILITY

if TYPE_CHECKING:
    from genomix_cli.variants.evaluate.scores import Evaluation

_NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ranking_accuracy": "ranking accuracy",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    from genomix_cli.cli.evaluate_classes import evaluate_classes
    from genomix_cli.cli.evaluate_sequences import evaluate_generated
    from genomix_cli.cli.evaluate_suite import evaluate_suite

    add_command(
        app,
        "evaluate",
        {
            VARIANTS: evaluate,
            SHARDS: evaluate_suite,
            SCORED_CLASSES: evaluate_classes,
            GENERATED: evaluate_generated,
        },
        help="Say how good scores are, of variants, of samples or of sequences; or models of "
        "variants on a shard; or generated DNA.",
        argument=typer.Argument(
            help="Scored VCF; genome shard (.h5); scores of samples or sequences (TSV, Parquet, "
            "run folder); or generated sequences (.h5).",
            metavar="SCORED",
        ),
    )


def evaluate(
    scored: Path,
    score_info: Annotated[
        str, typer.Option(help="INFO key of the scores, one per ALT.")
    ] = PROBABILITY,
    label_info: Annotated[str, typer.Option(help="INFO key of the labels, 0 or 1.")] = "LABEL",
    labels: Annotated[
        Path | None,
        typer.Option(help="TSV of labels instead: contig, pos, ref, alt, label."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Labels are quantities; positive above this.")
    ] = None,
    probability_info: Annotated[
        str | None,
        typer.Option(help="INFO key of the labels' true probability: shows the Bayes ceiling."),
    ] = None,
    contigs: Annotated[str, typer.Option(help="Only these, comma-separated.")] = "",
    versus: Annotated[
        Path | None, typer.Option("--vs", help="Another scored VCF, for paired differences.")
    ] = None,
    draws: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Draws for the intervals; 0: none.")
    ] = 1000,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="TSV of the metrics.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="JSON of everything, with provenance.")
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """AUROC, AUPRC, ranking, calibration, each with an interval.

    Intervals are 95 %, from a bootstrap of whole contigs (of 100-kb loci where there are fewer
    than five): neighbours share their surroundings and are no independent evidence. Ranking
    accuracy compares only variants of the same 50-kb locus, so the place alone does not help.
    """
    from genomix_cli.variants.evaluate.scores import evaluate_scores, write_json, write_tsv
    from genomix_cli.variants.requests import EvaluateRequest

    request = EvaluateRequest(
        scored=scored,
        score_info=score_info,
        label_info=label_info,
        labels=labels,
        probability_info=probability_info,
        contigs=tuple(name for name in contigs.replace(",", " ").split()),
        threshold=threshold,
        versus=versus,
        draws=draws,
        seed=seed,
    )
    evaluation = evaluate_scores(request)
    if output:
        write_tsv(evaluation, output, force=force)
    if json:
        write_json(evaluation, request, json, force=force)
    _render(evaluation)


def _render(evaluation: Evaluation) -> None:
    """A table on stdout; a terminal gets it drawn."""
    counts = evaluation.counts
    left_out = [
        f"{counts.unlabelled:,} without a label" if counts.unlabelled else "",
        f"{counts.unscored:,} without a score" if counts.unscored else "",
        f"{counts.not_in_other:,} not scored in the other file" if counts.not_in_other else "",
    ]
    note = "; ".join(part for part in left_out if part)
    lines = [
        f"{counts.used:,} of {counts.alleles:,} alleles" + (f" ({note})" if note else ""),
        f"{counts.positives:,} positives: prevalence {evaluation.prevalence:.4f}",
    ]
    if evaluation.draws:
        lines.append(
            f"95 % intervals from {evaluation.draws:,} draws of "
            f"{evaluation.n_units:,} {evaluation.units}"
        )
    print_table(*metric_table(evaluation.metrics, _NAMES, digits=4, unknown="nan"), aligned=True)
    typer.echo("\n".join(lines))
