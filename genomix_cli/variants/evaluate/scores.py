"""Metrics of the scores in a VCF against labels, with intervals."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genomix_cli.comparison import tables
from genomix_cli.comparison.bootstrap import Bootstrap, Metric, few_units, resampling_units
from genomix_cli.comparison.held_out import heed
from genomix_cli.comparison.intervals import MetricResult
from genomix_cli.comparison.metrics import binary
from genomix_cli.errors import DataError
from genomix_cli.provenance import Provenance
from genomix_cli.variants.evaluate.alleles import AlleleTable, read_alleles
from genomix_cli.variants.records.inputs import STRIDE
from genomix_cli.variants.requests.evaluate import EvaluateRequest

log = logging.getLogger("genomix")

#: Suffix of metrics that compare magnitudes, ignoring the sign of an effect.
MAGNITUDES = "_magnitude"
FEW_UNITS = 10


class Counts(NamedTuple):
    """Number of alleles on the requested contigs that were used, or left out by reason."""

    alleles: int
    unlabelled: int
    unscored: int
    not_in_other: int
    used: int
    positives: int
    #: Alleles left out because the model has seen them in training.
    seen_in_training: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Metrics of the scores of alleles.

    Attributes
    ----------
    metrics : tuple of MetricResult
    counts : Counts
    contigs : tuple of str
        Contigs of the alleles used.
    units : str
        Kind of the resampling units.
    n_units : int
    draws : int
    provenance : Provenance
    quantities : bool
        True if the labels are quantities, and the metrics correlations.
    """

    metrics: tuple[MetricResult, ...]
    counts: Counts
    contigs: tuple[str, ...]
    units: str
    n_units: int
    draws: int
    provenance: Provenance = field(default_factory=lambda: Provenance(""))
    quantities: bool = False

    @property
    def prevalence(self) -> float | None:
        """Fraction of positives, which is the AUPRC of chance; None for quantities."""
        return None if self.quantities else self.counts.positives / self.counts.used


def evaluate_scores(request: EvaluateRequest) -> Evaluation:
    """Read scores and labels and evaluate them.

    Raises
    ------
    DataError
        If a file cannot be read, nothing is left to evaluate, or true probabilities are requested
        for quantities.
    UsageError
        If none of the requested contigs is in the file.
    CheckError
        If the model has seen alleles in training, and the request neither leaves out nor includes
        them.
    """
    table = read_alleles(request)
    used, notes = table.usable, [*table.made.get("Warning", ())]
    for part, path in ((table.seen, request.scored), (table.other_seen, request.versus)):
        used, more = heed(part, used, request.seen, "alleles", path)
        notes += more
    left_out = table.usable & ~used
    evaluation = evaluate_alleles(table.select(~left_out), draws=request.draws, seed=request.seed)
    n, counts = int(left_out.sum()), evaluation.counts
    counts = counts._replace(alleles=counts.alleles + n, seen_in_training=n)
    said = {**table.made, "Warning": list(dict.fromkeys(notes))}
    made = tables.request_provenance(request, ("scored", "labels", "versus"), said)
    return replace(evaluation, counts=counts, provenance=made)


def evaluate_alleles(table: AlleleTable, *, draws: int, seed: int) -> Evaluation:
    """Evaluate a table of alleles.

    Ranking accuracy is computed over pairs of variants that share a 50-kb locus. A model that only
    recognises the locus, for example from its tracks, gets half of them right.

    Parameters
    ----------
    table : AlleleTable
        `label` 0, 1 or NaN, or a quantity.
    draws, seed : int

    Raises
    ------
    DataError
        If no allele has both a label and a score, or all labels are the same.
    """
    used, counts = _usable(table)
    # Sorting by score once makes the sort in each bootstrap replicate cheap.
    used = used.select(np.argsort(used.score, kind="stable"))
    units = resampling_units(used.contig, used.pos)
    if draws and (few := few_units(units.n_units, units.kind, FEW_UNITS)):
        log.warning(few)
    bootstrap = Bootstrap(units.ids, draws, seed)
    return Evaluation(
        tuple(_correlations(used, bootstrap) if table.quantities else _rankings(used, bootstrap)),
        counts,
        tuple(np.unique(used.contig).tolist()),
        units.kind,
        units.n_units,
        draws,
        quantities=table.quantities,
    )


def _correlations(table: AlleleTable, bootstrap: Bootstrap) -> Iterator[MetricResult]:
    """Yield correlations of scores with quantities, and of their magnitudes."""
    metrics: dict[str, Metric] = {"pearson": binary.pearson, "spearman": binary.spearman}
    for kind, used in (("", table), (MAGNITUDES, table.magnitudes())):
        for name, metric in metrics.items():
            yield _measure(name + kind, metric, used, bootstrap)


def _rankings(table: AlleleTable, bootstrap: Bootstrap) -> Iterator[MetricResult]:
    """Yield the metrics of scores against binary labels."""
    for name, metric in _metrics(table).items():
        yield _measure(name, metric, table, bootstrap)


def _usable(table: AlleleTable) -> tuple[AlleleTable, Counts]:
    labelled = ~np.isnan(table.label)
    scored = ~np.isnan(table.score)
    compared = scored if table.other is None else ~np.isnan(table.other)
    used = table.select(labelled & scored & compared)
    positives = int((used.label > 0.5).sum())
    counts = Counts(
        alleles=len(labelled),
        unlabelled=int((~labelled).sum()),
        unscored=int((labelled & ~scored).sum()),
        not_in_other=int((labelled & scored & ~compared).sum()),
        used=len(used.label),
        positives=positives,
    )
    if len(np.unique(used.label)) < 2:
        kinds = "different labels" if table.quantities else "both labels"
        classes = f"{positives:,} positives and {counts.used - positives:,} negatives"
        raise DataError(
            f"an evaluation needs scored alleles with {kinds}",
            found=(f"{counts.used:,}" if table.quantities else classes)
            + f" of {counts.alleles:,} alleles: {counts.unlabelled:,} without a label, "
            f"{counts.unscored:,} labelled but without a score"
            + (f", {counts.not_in_other:,} not in the other file" if counts.not_in_other else ""),
        )
    return used, counts


def _metrics(table: AlleleTable) -> dict[str, Metric]:
    contig = np.unique(table.contig, return_inverse=True)[1].astype(np.int64)
    locus = contig * (int(table.pos.max()) // STRIDE + 1) + table.pos // STRIDE
    metrics: dict[str, Metric] = {
        "auroc": binary.auroc,
        "auprc": binary.auprc,
        "ranking_accuracy": partial(binary.ranking_accuracy, groups=locus),
    }
    if not table.calibrated:
        return metrics
    scores = table.score if table.other is None else np.concatenate([table.score, table.other])
    if scores.min() < 0 or scores.max() > 1:
        log.warning(
            "some scores are outside 0..1, so they are not probabilities: "
            "skipping Brier score and calibration error"
        )
        return metrics
    return metrics | {"brier": binary.brier, "calibration_error": binary.calibration_error}


def _measure(name: str, metric: Metric, table: AlleleTable, bootstrap: Bootstrap) -> MetricResult:
    label, ceiling, other, difference = table.label, None, None, None
    if table.probability is not None:
        ceiling = bootstrap.interval(metric, label, table.probability)
    if table.other is not None:
        other = bootstrap.interval(metric, label, table.other)
        difference = bootstrap.difference(metric, label, table.score, table.other)
    score = bootstrap.interval(metric, label, table.score)
    return MetricResult(name, score, ceiling, other, difference)


def write_tsv(evaluation: Evaluation, path: Path, *, force: bool = False) -> None:
    """Write one line per metric; columns that do not apply are empty."""
    rows = [{"metric": metric.name, **metric.cells()} for metric in evaluation.metrics]
    tables.write_rows(rows, path, evaluation.provenance, force=force)


def write_json(evaluation: Evaluation, path: Path, *, force: bool = False) -> None:
    """Write all results and their provenance as JSON."""
    report = {
        "metrics": {metric.name: metric.intervals() for metric in evaluation.metrics},
        "counts": evaluation.counts,
        "prevalence": evaluation.prevalence,
        "contigs": evaluation.contigs,
        "bootstrap": {key: getattr(evaluation, key) for key in ("draws", "units", "n_units")},
        "provenance": evaluation.provenance.to_dict(),
    }
    tables.write_json(report, path, force=force)
