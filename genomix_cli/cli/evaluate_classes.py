"""``genomix evaluate``: predictions for samples of a cohort, or for sequences, against labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import Config, Force, Quiet, Seed, Verbose
from genomix_cli.cli.summary import interval_text, metric_table, print_table

if TYPE_CHECKING:
    from genomix_cli.comparison.evaluate import Evaluation


def evaluate_classes(
    scored: Path,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "--cohort",
            help="Cohort or sequences with labels, and patients or groups; default: the table's "
            "column label.",
            metavar="FILE",
        ),
    ] = None,
    label: Annotated[str, typer.Option(help="Of sequences: phenotype; default: the file's.")] = "",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Which one, of a table of several; default: the first."),
    ] = None,
    modalities: Annotated[
        str, typer.Option(help="That the model saw, comma-separated, for the Bayes ceiling.")
    ] = "",
    versus: Annotated[
        Path | None, typer.Option("--vs", help="Another table, for paired differences.")
    ] = None,
    versus_model: Annotated[
        str | None,
        typer.Option("--vs-model", help="Which one of --vs, or another of the same table."),
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
    """Say how good predictions of classes are, each metric with an interval.

    Intervals are 95 %, from a bootstrap of whole patients or groups. Where a cohort is simulated,
    the Bayes posterior of the modalities that the model saw is beside it; who is above it has found
    a leak.
    """
    from genomix_cli.comparison.evaluate import evaluate_classes, write_json, write_tsv
    from genomix_cli.comparison.requests import EvaluateRequest

    request = EvaluateRequest(
        scored=scored,
        data=data,
        label=label,
        model=model,
        modalities=tuple(modalities.replace(",", " ").split()),
        versus=versus,
        versus_model=versus_model,
        draws=draws,
        seed=seed,
    )
    evaluation = evaluate_classes(request)
    if output:
        write_tsv(evaluation, output, force=force)
    if json:
        write_json(evaluation, request, json, force=force)
    _render(evaluation)


def _render(evaluation: Evaluation) -> None:
    """Tables on stdout; a terminal gets them drawn."""
    from genomix_cli.comparison.metrics.multiclass import METRICS

    titles = {name: metric.title for name, metric in METRICS.items()}
    print_table(*metric_table(evaluation.metrics, titles), aligned=True)
    typer.echo("")
    print_table(*_class_cells(evaluation), aligned=True)
    typer.echo("")
    for line in _lines(evaluation):
        typer.echo(line)


def _lines(evaluation: Evaluation) -> Iterator[str]:
    """What was counted, and what stands out."""
    counts = evaluation.counts
    left_out = [
        f"{counts.unlabelled:,} without a label" if counts.unlabelled else "",
        f"{counts.unscored:,} without a prediction" if counts.unscored else "",
        f"{counts.not_in_other:,} not in the other table" if counts.not_in_other else "",
    ]
    note = "; ".join(part for part in left_out if part)
    yield f"{counts.used:,} of {counts.samples:,} samples" + (f" ({note})" if note else "")
    if counts.not_in_table:
        yield f"{counts.not_in_table:,} more samples of the data have a label, and no prediction"
    if evaluation.draws:
        drawn = f"{evaluation.draws:,} draws of {evaluation.units:,} {evaluation.unit_name}"
        yield f"95 % intervals from {drawn}"
    sets = evaluation.sets
    if sets is not None:
        yield (
            f"prediction sets hold the right class in {interval_text(sets.coverage)}, with "
            f"{sets.size:.2f} classes; {sets.abstained:.1%} abstained, accuracy of the others "
            f"{interval_text(sets.answered) or 'unknown'}"
        )
    ceiling = evaluation.ceiling
    if ceiling is not None:
        said = "above it: a leak" if ceiling.leak else "not above it"
        yield (
            f"Bayes ceiling given {' + '.join(ceiling.modalities)}: accuracy "
            f"{interval_text(ceiling.accuracy_gap, sign=True)}, log loss "
            f"{interval_text(ceiling.nll_gap, sign=True)}; {said}"
        )


def _class_cells(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    names = list(evaluation.classes[0].metrics)
    rows = [
        [
            *(each.name, f"{each.support:,}"),
            *(interval_text(each.metrics[name]) for name in names),
            *([interval_text(each.coverage)] if evaluation.sets else []),
        ]
        for each in evaluation.classes
    ]
    return ["class", "samples", *names, *(["coverage"] if evaluation.sets else [])], rows
