"""Metrics of the scores in a VCF against labels, with intervals."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison import tables
from genomix_cli.comparison.bootstrap import Bootstrap, Metric, few_units, resampling_units
from genomix_cli.comparison.held_out import heed
from genomix_cli.comparison.intervals import MetricResult
from genomix_cli.comparison.metrics import binary
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.intervals import canonical
from genomix_cli.genome.vcf.reader import MISSING, Record, VcfReader
from genomix_cli.provenance import Provenance, facts_of
from genomix_cli.variants.records.inputs import STRIDE
from genomix_cli.variants.records.labels import AlleleKey, allele_key, info_numbers, read_labels
from genomix_cli.variants.requests import EvaluateRequest
from genomix_cli.variants.score.tags import (
    PREFIX,
    PROBABILITY,
    SEEN,
    is_signed,
    may_be_probability,
    score_key,
)

log = logging.getLogger("genomix")

FloatArray = NDArray[np.float64]

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


class AlleleTable(NamedTuple):
    """Alleles of a file, with NaN for missing values.

    Attributes
    ----------
    contig : NDArray
        str ``[n]``.
    pos : NDArray
        int64 ``[n]``, 0-based.
    label, score : NDArray
        float64 ``[n]``.
    probability, other : NDArray or None
        float64 ``[n]``: true probability of the label, and score in the other file.
    made : mapping of str to list of str
        Header entries on how the file was scored, by key.
    seen, other_seen : NDArray or None
        str ``[n]``: training part in which the respective model has seen the allele, empty if
        none; None if the file does not record it.
    quantities : bool
        True if labels are quantities; otherwise they are 0 or 1.
    signed, other_signed : bool
        True for scores whose magnitude ranks alleles.
    calibrated : bool
        False for scores that are not probabilities whatever their range.
    """

    contig: NDArray[np.str_]
    pos: NDArray[np.int64]
    label: FloatArray
    score: FloatArray
    probability: FloatArray | None = None
    other: FloatArray | None = None
    made: Mapping[str, list[str]] = MappingProxyType({})
    seen: NDArray[np.str_] | None = None
    other_seen: NDArray[np.str_] | None = None
    quantities: bool = False
    signed: bool = False
    other_signed: bool = False
    calibrated: bool = True

    def magnitudes(self) -> AlleleTable:
        """Return the table with labels and signed scores replaced by their magnitudes."""
        score = np.abs(self.score) if self.signed else self.score
        other = self.other
        if other is not None and self.other_signed:
            other = np.abs(other)
        return self._replace(label=np.abs(self.label), score=score, other=other)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """True for alleles with a label and every score, bool ``[n]``."""
        known = np.isfinite(self.label) & np.isfinite(self.score)
        return known if self.other is None else known & np.isfinite(self.other)

    def select(self, rows: NDArray[Any]) -> AlleleTable:
        """Return the rows selected by a mask or an index."""
        columns: Iterable[Any] = (c[rows] if isinstance(c, np.ndarray) else c for c in self)
        return AlleleTable(*columns)


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


def read_alleles(request: EvaluateRequest) -> AlleleTable:
    """Read the scores and labels of every allele of the VCF, on the requested contigs.

    Raises
    ------
    DataError, UsageError
        As in :func:`evaluate_scores`.
    """
    labels = None if request.labels is None else read_labels(request.labels)
    others, other_key = None, ""
    if request.versus is not None:
        others, other_key = _read_scores(request.versus, request.score_info)
    wanted = {canonical(name) for name in request.contigs}
    contigs: list[str] = []
    columns: dict[str, list[float]] = {"pos": [], "label": [], "score": [], "p": [], "other": []}
    parts: dict[str, list[str]] = {"seen": [], "other": []}
    with VcfReader(request.scored) as reader:
        made = facts_of(reader.header.meta) if request.score_info.startswith(PREFIX) else {}
        key = _key_in(reader, request.score_info)
        for record in reader:
            if wanted and canonical(record.chrom) not in wanted:
                continue
            keys = [allele_key(record.chrom, record.pos, record.ref, a) for a in record.alts]
            contigs += [record.chrom] * len(keys)
            columns["pos"] += [record.pos - 1] * len(keys)
            columns["score"] += info_numbers(reader, record, key)
            parts["seen"] += _seen(reader, record, key)
            if labels is None:
                columns["label"] += info_numbers(reader, record, request.label_info)
            else:
                columns["label"] += [labels.get(key, float("nan")) for key in keys]
            if request.probability_info:
                columns["p"] += info_numbers(reader, record, request.probability_info)
            if others is not None:
                found = [others.get(key, (float("nan"), "")) for key in keys]
                columns["other"] += [score for score, _ in found]
                parts["other"] += [part for _, part in found]
    if wanted and not contigs:
        raise UsageError(f"no record on {', '.join(request.contigs)}", where=request.scored)
    number = {name: np.array(values, np.float64) for name, values in columns.items()}
    _refuse_empty(number, request)
    label = number["label"]
    if request.threshold is not None:
        label = _classes(label, request.threshold)
    quantities = _are_quantities(label, request)
    table = AlleleTable(
        np.array(contigs, np.str_),
        number["pos"].astype(np.int64),
        label,
        number["score"],
        _ceiling(number, request),
        number["other"] if request.versus else None,
        made,
        np.array(parts["seen"], np.str_),
        np.array(parts["other"], np.str_) if request.versus else None,
        quantities,
        is_signed(key),
        is_signed(other_key),
        may_be_probability(key) and may_be_probability(other_key),
    )
    return table if quantities else table.magnitudes()


def _seen(reader: VcfReader, record: Record, key: str) -> list[str]:
    """Return the training part in which the model behind score `key` has seen each ALT."""
    text = record.info(SEEN) if key.startswith(PREFIX) else None
    values = [""] * len(record.alts) if text is None else text.split(",")
    if len(values) != len(record.alts):
        raise DataError(
            f"{SEEN} does not say which ALT it belongs to",
            where=reader.where(record),
            expected=f"{len(record.alts)} values, one per ALT",
            found=text,
        )
    return ["" if value == MISSING else value for value in values]


def _read_scores(path: Path, key: str) -> tuple[dict[AlleleKey, tuple[float, str]], str]:
    """Return score and training part of each allele, and the key of the scores."""
    scores: dict[AlleleKey, tuple[float, str]] = {}
    with VcfReader(path) as reader:
        own = _key_in(reader, key)
        for record in reader:
            values = info_numbers(reader, record, own)
            parts = _seen(reader, record, own)
            for alt, value, part in zip(record.alts, values, parts, strict=True):
                scores[allele_key(record.chrom, record.pos, record.ref, alt)] = value, part
    if np.isnan([score for score, _ in scores.values()]).all():
        raise DataError(f"no allele carries {key}", where=path, hint="run genomix score on it")
    return scores, own


def _key_in(reader: VcfReader, asked: str) -> str:
    """Return the key of the scores of a VCF; logits if `score` could not write probabilities."""
    key = score_key(reader.header.meta) if asked == PROBABILITY else asked
    if key != asked:
        log.warning("%s: %s has no values; evaluating %s instead", reader.name, asked, key)
    return key


def _refuse_empty(number: Mapping[str, FloatArray], request: EvaluateRequest) -> None:
    """Refuse a file without any score, or without any label."""
    if np.isnan(number["score"]).all():
        raise DataError(
            f"no allele carries {request.score_info}",
            where=request.scored,
            hint="run genomix score on it, or name the key of the scores: --score-info",
        )
    if np.isnan(number["label"]).all():
        if request.labels is not None:
            raise DataError(
                f"has a label for none of the {len(number['label']):,} alleles of {request.scored}",
                where=request.labels,
                expected="1-based pos, and ref and alt as in the VCF",
            )
        raise DataError(
            "no allele has a label",
            where=f"INFO {request.label_info} of {request.scored}",
            hint="give them by --label-info KEY or --labels TSV",
        )


def _classes(quantity: FloatArray, threshold: float) -> FloatArray:
    """Return 1 above the threshold and 0 below; say so if large negative quantities become 0."""
    if threshold > 0 and (n := int((quantity < -threshold).sum())):
        log.warning(
            "--threshold %g: %s quantities below %g count as negatives; if their magnitude "
            "matters, give magnitudes as labels",
            threshold,
            f"{n:,}",
            -threshold,
        )
    return np.where(np.isnan(quantity), np.nan, quantity > threshold)


def _are_quantities(label: FloatArray, request: EvaluateRequest) -> bool:
    """Return True unless all labels are 0 or 1; refuse true probabilities for quantities."""
    odd = label[~np.isnan(label) & (label != 0) & (label != 1)]
    if not len(odd):
        return False
    where = request.labels or f"INFO {request.label_info} of {request.scored}"
    if request.probability_info is not None:
        raise DataError(
            "the labels are quantities, which have no true probability",
            where=where,
            expected="0 or 1",
            found=f"{odd[0]:.10g}",
            hint="remove --probability-info, or add --threshold, above which labels are positive",
        )
    log.info(
        "%s: the labels are quantities, so correlations are reported (--threshold "
        "turns them into classes)",
        where,
    )
    return True


def _ceiling(number: Mapping[str, FloatArray], request: EvaluateRequest) -> FloatArray | None:
    """Return the true probabilities, refusing missing ones; None if they are not requested."""
    if request.probability_info is None:
        return None
    counts = ~np.isnan(number["label"]) & ~np.isnan(number["score"])
    missing = int(np.isnan(number["p"][counts]).sum())
    if missing:
        raise DataError(
            f"{missing:,} of {int(counts.sum()):,} labelled alleles lack a true probability",
            where=f"INFO {request.probability_info} of {request.scored}",
            hint="remove --probability-info",
        )
    return number["p"]


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
