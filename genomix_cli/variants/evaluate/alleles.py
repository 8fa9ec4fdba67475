"""Alleles to evaluate: scores of a VCF, labels, and scores of another VCF, as columns."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.intervals import canonical
from genomix_cli.genome.vcf.reader import MISSING, Record, VcfReader
from genomix_cli.provenance import facts_of
from genomix_cli.variants.records.labels import AlleleKey, allele_key, info_numbers, read_labels
from genomix_cli.variants.requests.evaluate import EvaluateRequest
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


def read_alleles(request: EvaluateRequest) -> AlleleTable:
    """Read the scores and labels of every allele of the VCF, on the requested contigs.

    Raises
    ------
    DataError, UsageError
        As in :func:`genomix_cli.variants.evaluate.scores.evaluate_scores`.
    """
    labels = None if request.labels is None else read_labels(request.labels)
    others, other_key = None, ""
    if request.versus is not None:
        others, other_key = _read_scores(request.versus, request.score_info)
    with VcfReader(request.scored) as reader:
        made = facts_of(reader.header.meta) if request.score_info.startswith(PREFIX) else {}
        key = _key_in(reader, request.score_info)
        columns = _read_columns(reader, key, request, labels, others)
    if request.contigs and not columns["contig"]:
        raise UsageError(f"no record on {', '.join(request.contigs)}", where=request.scored)
    names = ("label", "score", "p", "other")
    number = {name: np.array(columns[name], np.float64) for name in names}
    _refuse_empty(number, request)
    label = number["label"]
    if request.threshold is not None:
        label = _classes(label, request.threshold)
    quantities = _are_quantities(label, request)
    table = AlleleTable(
        np.array(columns["contig"], np.str_),
        np.array(columns["pos"], np.int64),
        label,
        number["score"],
        _ceiling(number, request),
        number["other"] if request.versus else None,
        made,
        np.array(columns["seen"], np.str_),
        np.array(columns["other_seen"], np.str_) if request.versus else None,
        quantities,
        is_signed(key),
        is_signed(other_key),
        may_be_probability(key) and may_be_probability(other_key),
    )
    return table if quantities else table.magnitudes()


def _read_columns(
    reader: VcfReader,
    key: str,
    request: EvaluateRequest,
    labels: Mapping[AlleleKey, float] | None,
    others: Mapping[AlleleKey, tuple[float, str]] | None,
) -> dict[str, list[Any]]:
    """Return columns with an entry per allele; those that were not asked for stay empty."""
    wanted = {canonical(name) for name in request.contigs}
    names = ("contig", "pos", "label", "score", "p", "other", "seen", "other_seen")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for record in reader:
        if wanted and canonical(record.chrom) not in wanted:
            continue
        keys = [allele_key(record.chrom, record.pos, record.ref, alt) for alt in record.alts]
        columns["contig"] += [record.chrom] * len(keys)
        columns["pos"] += [record.pos - 1] * len(keys)
        columns["score"] += info_numbers(reader, record, key)
        columns["seen"] += _seen(reader, record, key)
        if labels is None:
            columns["label"] += info_numbers(reader, record, request.label_info)
        else:
            columns["label"] += [labels.get(allele, float("nan")) for allele in keys]
        if request.probability_info:
            columns["p"] += info_numbers(reader, record, request.probability_info)
        if others is not None:
            found = [others.get(allele, (float("nan"), "")) for allele in keys]
            columns["other"] += [score for score, _ in found]
            columns["other_seen"] += [part for _, part in found]
    return columns


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
