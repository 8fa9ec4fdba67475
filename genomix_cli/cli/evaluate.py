"""``genomix evaluate``: scores against labels, models on a shard, or generated sequences."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genomix_cli.cli.domains import SEQUENCES, VARIANTS, Domain, Verb
from genomix_cli.cli.output import echo, interval_text, metric_table, print_table
from genomix_cli.comparison.requests import EvaluateRequest as ClassRequest
from genomix_cli.comparison.rules import TrainingAccuracy
from genomix_cli.formats.detect import is_evaluation, is_genome_shard, is_scored_classes
from genomix_cli.options import option
from genomix_cli.sequences.requests.evaluate import GeneratedRequest
from genomix_cli.shared_options import Force
from genomix_cli.variants.requests.evaluate import EvaluateRequest as ScoreRequest
from genomix_cli.variants.requests.evaluate import LeaderboardRequest, SuiteRequest

if TYPE_CHECKING:
    from genomix_cli.comparison.evaluate import Evaluation as ClassEvaluation
    from genomix_cli.sequences.generate.results import GeneratedEvaluation
    from genomix_cli.variants.evaluate.leaderboard.board import Board
    from genomix_cli.variants.evaluate.scores import Evaluation
    from genomix_cli.variants.evaluate.suite.results import SuiteResults

log = logging.getLogger("genomix")

SHARDS = Domain("genome shards", "a genome shard", is_genome_shard)
EVALUATIONS = Domain("evaluations", "an evaluation", is_evaluation)
SCORED_CLASSES = Domain("cohorts and sequences", "of samples or sequences", is_scored_classes)
GENERATED = Domain("generated sequences", "a file of sequences", SEQUENCES.owns)

_TITLES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ranking_accuracy": "ranking accuracy",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "pearson": "Pearson r",
    "spearman": "Spearman r",
    "pearson_magnitude": "Pearson r of magnitudes",
    "spearman_magnitude": "Spearman r of magnitudes",
}
# Metrics in the table of a suite, where available.
_SUITE = (
    *("auroc", "auprc", "ranking_accuracy"),
    *("spearman", "spearman_absolute", "pearson", "pearson_in_groups"),
)


@dataclass(frozen=True)
class Files:
    """Files to write the metrics to."""

    output: Path | None = option(None, "TSV of the metrics", "-o --output", writes=True)
    json: Path | None = option(None, "JSON of all results, with provenance", writes=True)
    force: Force = False


@dataclass(frozen=True)
class Scores:
    """Scored variants, and files for their metrics."""

    request: ScoreRequest
    files: Files = field(default_factory=Files)


@dataclass(frozen=True)
class Classes:
    """Predicted classes, and files for their metrics."""

    request: ClassRequest
    files: Files = field(default_factory=Files)


@dataclass(frozen=True)
class Models:
    """Models of variants on a shard."""

    request: SuiteRequest
    suite: bool = option(False, "Evaluate models, as for every shard", hidden=True)


def evaluate_variants(asked: Scores) -> None:
    """Evaluate a scored VCF: AUROC, AUPRC, ranking, calibration, each with an interval.

    95 % intervals come from a bootstrap of whole contigs (of 100-kb loci if there are fewer
    than five), because neighbouring variants are not independent. Ranking accuracy compares
    only variants of the same 50-kb locus, so the location alone does not help. Quantitative
    labels, such as measured effects, are correlated with the scores, and also their magnitudes
    with those of the scores, if the scores have a sign.
    """
    from genomix_cli.variants.evaluate import scores

    evaluation = scores.evaluate_scores(asked.request)
    _write(scores, evaluation, asked.files)
    print_table(*metric_table(evaluation.metrics, _TITLES, digits=4, unknown="nan"), aligned=True)
    echo("\n".join(_variant_lines(evaluation)))


def evaluate_classes(asked: Classes) -> None:
    """Evaluate predicted classes of samples or sequences, each metric with an interval.

    95 % intervals come from a bootstrap of whole patients or groups. For a simulated cohort,
    the Bayes posterior of the modalities that the model saw is shown too: a model better than
    it has found a leak.
    """
    from genomix_cli.comparison import evaluate
    from genomix_cli.comparison.metrics.multiclass import METRICS

    evaluation = evaluate.evaluate_classes(asked.request)
    _write(evaluate, evaluation, asked.files)
    titles = {name: metric.title for name, metric in METRICS.items()}
    print_table(*metric_table(evaluation.metrics, titles), aligned=True)
    echo("")
    print_table(*_class_table(evaluation), aligned=True)
    echo("")
    echo("\n".join(_class_lines(evaluation)))


def evaluate_models(asked: Models) -> None:
    """Evaluate models on a genome shard: baselines, strata, controls, the ceiling.

    Models and baselines are compared on the same held-out variants by paired bootstrap. A model
    that was trained on any of them is refused.
    """
    from genomix_cli.variants.evaluate.suite.run import evaluate_suite

    print_table(*_suite_table(evaluate_suite(asked.request).results), aligned=True)


def join_evaluations(request: LeaderboardRequest) -> None:
    """Join evaluations of the same variants in one leaderboard (HTML, TSV and JSON).

    Each row is a model, a baseline, another tool's score or a stack, with its distance from the
    leader, or from --reference, under the same bootstrap draws. Each shard gets a table of its
    own; evaluations of one shard with different variants or labels are refused.
    """
    from genomix_cli.variants.evaluate.leaderboard.run import make_leaderboard

    boards = make_leaderboard(request)
    for number, board in enumerate(boards):
        if len(boards) > 1:
            echo(f"{chr(10) if number else ''}{board.data}")
        print_table(*_board_table(board), aligned=True)


def evaluate_generated(request: GeneratedRequest) -> None:
    """Compare generated sequences, and Markov chains, with held-out real ones.

    Compares the spectrum of 6-mers, the profiles and GC of single sequences, motifs, the classes
    that a classifier predicts, and the distance to the nearest training sequence.
    """
    from genomix_cli.sequences.generate.evaluate import evaluate_generated as evaluate

    print_generated(evaluate(request))


def _write(module: Any, evaluation: Any, files: Files) -> None:
    """Write the requested files, and print warnings for their reader."""
    for text in evaluation.provenance.warnings:
        if isinstance(text, TrainingAccuracy):
            echo(f"{text}\n")
        else:
            log.warning("%s", text)
    if files.output:
        module.write_tsv(evaluation, files.output, force=files.force)
    if files.json:
        module.write_json(evaluation, files.json, force=files.force)


def _left_out(**reasons: int) -> str:
    """Return the non-zero reasons with their counts, in brackets."""
    told = [f"{count:,} {reason.replace('_', ' ')}" for reason, count in reasons.items() if count]
    return f" ({'; '.join(told)})" if told else ""


def _drawn(draws: int, units: str) -> Iterator[str]:
    if draws:
        yield f"95 % intervals from {draws:,} draws of {units}"


def _variant_lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield the counts."""
    counts = evaluation.counts
    left_out = _left_out(
        without_a_label=counts.unlabelled,
        without_a_score=counts.unscored,
        not_scored_in_the_other_file=counts.not_in_other,
        seen_in_training=counts.seen_in_training,
    )
    yield f"{counts.used:,} of {counts.alleles:,} alleles{left_out}"
    if evaluation.prevalence is not None:
        yield f"{counts.positives:,} positives: prevalence {evaluation.prevalence:.4f}"
    yield from _drawn(evaluation.draws, f"{evaluation.n_units:,} {evaluation.units}")


def _class_lines(evaluation: ClassEvaluation) -> Iterator[str]:
    """Yield the counts and notable findings."""
    counts = evaluation.counts
    left_out = _left_out(
        without_a_label=counts.unlabelled,
        without_a_prediction=counts.unscored,
        not_in_the_other_table=counts.not_in_other,
        seen_in_training=counts.seen_in_training,
    )
    yield f"{counts.used:,} of {counts.samples:,} samples{left_out}"
    if counts.not_in_table:
        yield f"{counts.not_in_table:,} more samples of the data have a label, and no prediction"
    yield from _drawn(evaluation.draws, f"{evaluation.units:,} {evaluation.unit_name}")
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


def _class_table(evaluation: ClassEvaluation) -> tuple[list[str], list[list[str]]]:
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


def _suite_table(results: SuiteResults) -> tuple[list[str], list[list[str]]]:
    from genomix_cli.variants.evaluate.suite.measures import MEASURES

    shown = [name for name in _SUITE if name in results.first.metrics]
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
    return ["model", "kind", *(MEASURES[name].title for name in shown), "first minus this"], rows


def _board_table(board: Board) -> tuple[list[str], list[list[str]]]:
    from genomix_cli.variants.evaluate.suite.measures import MEASURES

    shown = [name for name in _SUITE if name in board.measures]
    rows = [
        [
            row.name,
            row.kind,
            f"{row.n:,}",
            *(interval_text(row.metrics.get(name), 4) for name in shown),
            interval_text(row.behind, 4, sign=True) if row.name != board.reference else "",
        ]
        for row in board.rows
    ]
    titles = (MEASURES[name].title for name in shown)
    behind = "the leader" if board.leads else board.reference
    return ["model", "kind", "variants", *titles, f"behind {behind}"], rows


def print_generated(evaluation: GeneratedEvaluation) -> None:
    """Print a column for each set of sequences, and the headline."""
    from genomix_cli.sequences.generate.entrants import METRICS

    entrants = evaluation.entrants
    rows = [
        [METRICS[name], *(interval_text(each.metrics.get(name), 4) for each in entrants)]
        for name in entrants[0].metrics
    ]
    print_table(["metric", *(each.name for each in entrants)], rows, aligned=True)
    counts = evaluation.counts
    echo("")
    echo(
        f"{counts['compared']:,} generated sequences beside as many held out by "
        f"{evaluation.held_out_by}"
        + (f"; {counts['left_out']:,} left out, to match classes" if counts["left_out"] else "")
    )
    echo(evaluation.headline)


VERB = Verb(
    "evaluate",
    "Evaluate scores, models of variants on a shard, or generated sequences, depending on the "
    "input.",
    {
        "variants": VARIANTS.runs(
            evaluate_variants,
            "genomix evaluate scored.vcf --probability-info PROB",
            "genomix evaluate scored.vcf --vs other.vcf --json metrics.json",
            threads=False,
        ),
        "suite": SHARDS.runs(
            evaluate_models, "genomix evaluate demo.h5 -m run -o suite --test-contigs chr2"
        ),
        "leaderboard": EVALUATIONS.runs(
            join_evaluations, "genomix evaluate suite-gmt suite-cnn -o leaderboard", threads=False
        ),
        "classes": SCORED_CLASSES.runs(
            evaluate_classes,
            "genomix evaluate scores.tsv --data cohort.h5mu",
            "genomix evaluate run",
            threads=False,
        ),
        "generated": GENERATED.runs(
            evaluate_generated, "genomix evaluate new.h5 --real sequences.h5", threads=False
        ),
    },
)
