"""Contents of a cohort file, as facts and small tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.cohorts.inspect.pieces import pieces
from genomix_cli.formats.cohort import BATCH, LABEL, PATIENT, Cohort

UNKNOWN = "(unknown)"
# Largest number of values to take the median of.
MEDIAN_VALUES = 2_000_000


@dataclass(frozen=True)
class Listing:
    """Small table: title, column names, and rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Overview:
    """Contents of a cohort.

    Attributes
    ----------
    facts : dict of str to Any
        Plain data.
    tables : tuple of Listing
    """

    facts: dict[str, Any]
    tables: tuple[Listing, ...]


class Association(NamedTuple):
    """Association of two groupings of the samples.

    Attributes
    ----------
    chi_square : float
        Pearson's statistic.
    freedom : int
        Degrees of freedom.
    p : float
        p-value of no association.
    v : float
        Cramer's V: 0 if independent, 1 if one determines the other.
    v_corrected : float
        V without its bias in small tables (Bergsma 2013, 10.1016/j.jkss.2012.10.002).
    sparse : float
        Fraction of the cells with fewer than 5 expected; above 0.2, p is not reliable.
    """

    chi_square: float
    freedom: int
    p: float
    v: float
    v_corrected: float
    sparse: float


def overview(cohort: Cohort) -> Overview:
    """Return facts and tables of an open cohort; the values are read once, in pieces."""
    return Overview(_facts(cohort), tuple(_tables(cohort)))


def _facts(cohort: Cohort) -> dict[str, Any]:
    obs = cohort.obs
    facts: dict[str, Any] = {"samples": len(obs)}
    if PATIENT in obs:
        several = obs[PATIENT].value_counts()
        facts["patients"] = int((several > 0).sum())
        facts["patients with several samples"] = int((several > 1).sum())
    facts["modalities"] = len(cohort.modalities)
    complete = np.logical_and.reduce([cohort.present(name) for name in cohort.modalities])
    facts["samples with all modalities"] = int(complete.sum())
    facts["classes"] = len(cohort.classes)
    if LABEL in obs:
        facts["samples without a class"] = int(obs[LABEL].isna().sum())
    if BATCH in obs:
        facts["batches"] = len(obs[BATCH].cat.categories)
    facts["simulated"] = "no" if cohort.truth is None else "yes"
    return facts


def _tables(cohort: Cohort) -> Iterator[Listing]:
    yield _modalities(cohort)
    yield _overlap(cohort)
    if LABEL in cohort.obs:
        yield _classes(cohort)
    if BATCH in cohort.obs:
        yield from _batches(cohort)
    if cohort.truth is not None:
        yield from _truth(cohort, cohort.truth)


def _spread(cohort: Cohort, name: str, total: int) -> tuple[int, list[float | None]]:
    """Return missing values of a modality, and its lowest value, median and highest."""
    # The step between values that enter the median shares no factor with common numbers of
    # features, so that it does not keep hitting the same ones.
    step = max(total // MEDIAN_VALUES, 1)
    step += step > 1 and step % 2 == 0
    missing, ends, some = 0, [], []
    for _, values in pieces(cohort, name):
        there = values[~np.isnan(values)]
        missing += values.size - there.size
        if there.size:
            ends += [there.min(), there.max()]
            some.append(there[::step].copy())
    if not some:
        return missing, [None] * 3
    return missing, [float(min(ends)), float(np.median(np.concatenate(some))), float(max(ends))]


def _modalities(cohort: Cohort) -> Listing:
    rows = []
    for name in cohort.modalities:
        samples, features = int(cohort.present(name).sum()), len(cohort.features(name))
        total = samples * features
        missing, spread = _spread(cohort, name, total)
        shares = 1 - samples / max(len(cohort.obs), 1), missing / max(total, 1)
        kind = cohort.kinds[name].name
        rows.append((name, kind, features, samples, *shares, *spread))
    counts = ("modality", "kind", "features", "samples", "without it", "values missing")
    title = "modalities (shares of samples without it, of values missing)"
    return Listing(title, (*counts, "lowest", "median", "highest"), (*rows,))


def combinations(cohort: Cohort) -> list[tuple[tuple[str, ...], int]]:
    """Return combinations of modalities and their number of samples, most frequent first."""
    present = np.array([cohort.present(name) for name in cohort.modalities]).T
    counts = Counter(tuple(compress(cohort.modalities, row)) for row in present)
    return sorted(counts.items(), key=lambda item: (-item[1], -len(item[0]), item[0]))


def _overlap(cohort: Cohort) -> Listing:
    rows = tuple(
        (" + ".join(names) or "none", count, count / len(cohort.obs))
        for names, count in combinations(cohort)
    )
    return Listing("samples with just these modalities", ("modalities", "samples", "share"), rows)


def _names(column: pd.Series) -> NDArray[np.object_]:
    """Return a column of groups as text ``[n]``."""
    # The code of a missing value is -1, the last entry.
    return np.array([*map(str, column.cat.categories), UNKNOWN], object)[column.cat.codes]


def groups(column: pd.Series) -> tuple[str, ...]:
    """Return the groups of a column in the order of its categories, unknown last if it occurs."""
    known = tuple(map(str, column.cat.categories))
    return (*known, UNKNOWN) if column.isna().any() else known


def _classes(cohort: Cohort) -> Listing:
    labels = _names(cohort.obs[LABEL])
    present = [cohort.present(name) for name in cohort.modalities]
    rows = []
    for group in groups(cohort.obs[LABEL]):
        here = labels == group
        per_modality = (int((here & having).sum()) for having in present)
        rows.append((group, int(here.sum()), float(here.mean()), *per_modality))
    columns = ("class", "samples", "share", *(f"with {name}" for name in cohort.modalities))
    return Listing("classes", columns, (*rows,))


def crosstab(cohort: Cohort) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.int64]]:
    """Return batches, classes, and the samples of each pair, ``[batches, classes]``."""
    batch, label = cohort.obs[BATCH], cohort.obs[LABEL]
    counts = Counter(zip(_names(batch), _names(label), strict=True))
    rows, columns = groups(batch), groups(label)
    table = [[counts[row, column] for column in columns] for row in rows]
    return rows, columns, np.array(table, np.int64).reshape(len(rows), len(columns))


def _batches(cohort: Cohort) -> Iterator[Listing]:
    if LABEL in cohort.obs and cohort.classes:
        batches, classes, counts = crosstab(cohort)
        listed = zip(batches, counts.tolist(), strict=True)
        rows = [(batch, sum(row), *row) for batch, row in listed]
        yield Listing("batches and classes", ("batch", "samples", *classes), (*rows,))
        confounded = confounding(cohort)
        if confounded is not None:
            columns = ("chi-square", "df", "p", "Cramer's V", "V, bias-corrected", "cells under 5")
            yield Listing("do classes follow batches", columns, (tuple(confounded),))
    if any(not cohort.present(name).all() for name in cohort.modalities):
        absent = tuple((batch, *shares) for batch, shares in absent_by_batch(cohort))
        title = "share of a batch without the modality"
        yield Listing(title, ("batch", *cohort.modalities), absent)


def absent_by_batch(cohort: Cohort) -> list[tuple[str, tuple[float, ...]]]:
    """Return for each batch the fraction of its samples that lack each modality."""
    names = _names(cohort.obs[BATCH])
    present = np.array([cohort.present(name) for name in cohort.modalities])
    return [
        (group, tuple((1 - present[:, names == group].mean(axis=1)).tolist()))
        for group in groups(cohort.obs[BATCH])
        if (names == group).any()
    ]


def confounding(cohort: Cohort) -> Association | None:
    """Return the association of classes and batches, over samples with both known."""
    batches, classes, counts = crosstab(cohort)
    return association(counts[np.array(batches) != UNKNOWN][:, np.array(classes) != UNKNOWN])


def association(counts: NDArray[np.int64]) -> Association | None:
    """Return the association of rows and columns in a table of counts.

    None if fewer than two rows or columns have samples. `counts` is int64 ``[rows, columns]``.
    """
    from scipy.stats import chi2_contingency

    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        return None
    test = chi2_contingency(counts, correction=False)
    (rows, columns), n = counts.shape, int(counts.sum())
    chi_square, freedom = float(test.statistic), int(test.dof)
    v = np.sqrt(chi_square / n / (min(counts.shape) - 1))
    excess = max(chi_square / n - freedom / (n - 1), 0)
    short = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    corrected = np.sqrt(excess / short) if short > 0 else 0.0
    sparse = float((test.expected_freq < 5).mean())
    return Association(chi_square, freedom, float(test.pvalue), float(v), float(corrected), sparse)


def _truth(cohort: Cohort, truth: dict[str, Any]) -> Iterator[Listing]:
    """Yield what a simulated cohort says about itself; parts may be missing."""
    latents = cohort.latents()
    if latents is not None and len(latents):
        rows = tuple(
            (name, *(float(f(column)) for f in (np.nanmin, np.nanmedian, np.nanmax)))
            for name, column in latents.items()
        )
        yield Listing("latent variables", ("latent", "lowest", "median", "highest"), rows)
    keys = ("accuracy", "low", "high", "expected", "auroc", "late_fusion")
    bayes = tuple(
        (" + ".join(entry["modalities"]), *(entry.get(key) for key in keys))
        for entry in truth.get("bayes", ())
        if entry.get("modalities")
    )
    if bayes:
        columns = ("given", "accuracy", "low", "high", "expected", "AUROC", "late fusion")
        title = "Bayes-optimal: no classifier does better"
        yield Listing(f"{title} (late fusion: single posteriors multiplied)", columns, bayes)
    pairs = Counter(
        " x ".join(map(str, entry["modalities"]))
        for entry in truth.get("interactions", ())
        if "modalities" in entry
    )
    if pairs:
        yield Listing("interactions planted", ("modalities", "number"), tuple(pairs.items()))
