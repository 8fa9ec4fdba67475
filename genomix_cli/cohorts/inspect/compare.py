"""Compare the distributions of two cohorts' modalities.

A simulated cohort and the real one it was fitted to need not share samples or features. So the
comparison is of distributions: of all values, of the features' means and standard deviations, and
of the samples' means, each by the two-sample Kolmogorov-Smirnov distance (0 equal, 1 disjoint).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.inspect.overview import Listing
from genomix_cli.cohorts.inspect.pieces import pieces
from genomix_cli.errors import DataError
from genomix_cli.formats.cohort import Cohort

log = logging.getLogger("genomix")

# Largest number of values to pool; the distance of two such samples is within 0.002 of that of
# all values (95 %: 1.36 sqrt(2 / n)).
POOLED_VALUES = 1_000_000
SEED = 0

FloatArray = NDArray[np.float64]


class Marginals(NamedTuple):
    """Distributions of a modality to compare.

    Attributes
    ----------
    values : NDArray
        float64: all values that are not missing, or a million of them drawn at random.
    feature_means, feature_sds : NDArray
        float64, at most ``[d]``: of the features with two values or more.
    sample_means : NDArray
        float64, at most ``[n]``: of the samples with a value.
    """

    values: FloatArray
    feature_means: FloatArray
    feature_sds: FloatArray
    sample_means: FloatArray


# Names of the distributions in tables, in the order of `Marginals`.
NAMES = {
    "values": "all values",
    "feature_means": "feature means",
    "feature_sds": "feature SDs",
    "sample_means": "sample means",
}


@dataclass(frozen=True)
class Distance:
    """Distance between the distributions of a modality in two cohorts.

    Attributes
    ----------
    modality : str
    of : str
        A value of `NAMES`, or ``fragment lengths``.
    ks : float or None
        Kolmogorov-Smirnov distance; None if one of them has no values.
    halves : float or None
        Distance between two random halves of the first cohort: the effect of chance alone.
    here, there : float or None
        Medians in the first and in the second.
    """

    modality: str
    of: str
    ks: float | None
    halves: float | None
    here: float | None
    there: float | None


def marginals(
    cohort: Cohort, modality: str, keep: NDArray[np.bool_] | None = None, *, seed: int = SEED
) -> Marginals:
    """Return the distributions of a modality, in one pass and bounded memory.

    Parameters
    ----------
    cohort : Cohort
    modality : str
    keep : NDArray, optional
        bool ``[n]``: samples to include.
    seed : int
        Seed for drawing the pooled values.
    """
    rng = np.random.default_rng(seed)
    samples = cohort.present(modality) if keep is None else cohort.present(modality) & keep
    width = len(cohort.features(modality))
    share = min(POOLED_VALUES / max(int(samples.sum()) * width, 1), 1.0)
    pooled, means = [], []
    shift: FloatArray | None = None
    count, first, second = np.zeros((3, width))
    for _, values in pieces(cohort, modality, samples):
        there = ~np.isnan(values)
        some = values[there]
        pooled.append(some if share == 1 else some[rng.random(len(some)) < share])
        filled, counts = np.where(there, values, 0), there.sum(axis=1)
        means.append(filled.sum(axis=1, dtype=float)[counts > 0] / counts[counts > 0])
        if shift is None:
            # Centred, since squares of values far from zero would lose the digits of the SD.
            shift = filled.sum(axis=0, dtype=float) / np.maximum(there.sum(axis=0), 1)
        off = np.where(there, values - shift, 0)
        count += there.sum(axis=0)
        first += off.sum(axis=0)
        second += np.square(off).sum(axis=0)
    enough = count > 1
    if shift is None or not enough.any():
        return Marginals(_joined(pooled), np.zeros(0), np.zeros(0), _joined(means))
    count, first, second = count[enough], first[enough], second[enough]
    variance = (second - first**2 / count) / (count - 1)
    moments = shift[enough] + first / count, np.sqrt(np.maximum(variance, 0))
    return Marginals(_joined(pooled), *moments, _joined(means))


def _joined(parts: list[Any]) -> FloatArray:
    return np.concatenate([np.zeros(0), *parts])


def ks_distance(a: FloatArray, b: FloatArray) -> float | None:
    """Return the two-sample Kolmogorov-Smirnov distance; None if one is empty.

    `scipy.stats.ks_2samp` gives the same, and spends most of its time on an unused p-value.
    """
    if not (len(a) and len(b)):
        return None
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    below = (np.searchsorted(part, both, "right") / len(part) for part in (a, b))
    return float(np.abs(np.subtract(*below)).max())


def compare(here: Cohort, there: Cohort) -> tuple[Distance, ...]:
    """Return the distances of every modality that both have under the same name and kind.

    Raises
    ------
    DataError
        If they share none.
    """
    shared = [name for name in here.modalities if here.kinds[name] == there.kinds.get(name)]
    _say_what_is_left_out(here, there, shared)
    distances: list[Distance] = []
    for name in shared:
        first, second = marginals(here, name), marginals(there, name)
        each = zip(NAMES.values(), first, second, *_halves(here, name), strict=True)
        distances += (_distance(name, *of_and_values) for of_and_values in each)
        lengths = length_distance(here, there, name)
        if lengths is not None:
            distances.append(lengths)
    return tuple(distances)


def _say_what_is_left_out(here: Cohort, there: Cohort, shared: Sequence[str]) -> None:
    def kinds_of(cohort: Cohort) -> str:
        return ", ".join(f"{name} ({kind.name})" for name, kind in cohort.kinds.items())

    if not shared:
        raise DataError(
            "has no modality to compare",
            where=there.path,
            expected=kinds_of(here),
            found=kinds_of(there),
        )
    for name in sorted({*here.modalities, *there.modalities} - {*shared}):
        kinds = [c.kinds[name].name if name in c.kinds else "absent" for c in (here, there)]
        log.warning("%s is not compared: it is %s here and %s there", name, *kinds)


def _halves(cohort: Cohort, modality: str) -> tuple[Marginals, Marginals]:
    """Return the marginals of two random halves of the samples."""
    rows = np.flatnonzero(cohort.present(modality))
    first = np.zeros(len(cohort.obs), bool)
    first[np.random.default_rng(SEED).permutation(rows)[: len(rows) // 2]] = True
    return marginals(cohort, modality, first), marginals(cohort, modality, ~first)


def _distance(modality: str, of: str, *parts: FloatArray) -> Distance:
    first, second, *halves = parts
    medians = (float(np.median(part)) if len(part) else None for part in (first, second))
    return Distance(modality, of, ks_distance(first, second), ks_distance(*halves), *medians)


class Lengths(NamedTuple):
    """Fragment lengths of a cohort: ascending, float64 ``[l]``, and the frequency of each."""

    length: FloatArray
    share: FloatArray


def fragment_lengths(cohort: Cohort, modality: str) -> Lengths | None:
    """Return the mean frequency of fragment lengths over samples; None without lengths."""
    features = cohort.features(modality)
    if cohort.kinds[modality].name != "fragments" or "length" not in features:
        return None
    length = features["length"].to_numpy(float)
    columns = np.flatnonzero(np.isfinite(length))
    columns = columns[np.argsort(length[columns], kind="stable")]
    total, samples = np.zeros(len(columns)), 0
    for _, values in pieces(cohort, modality):
        counts = np.nan_to_num(values[:, columns].astype(float))
        counts = counts[counts.sum(axis=1) > 0]
        total += (counts / counts.sum(axis=1, keepdims=True)).sum(axis=0)
        samples += len(counts)
    return Lengths(length[columns], total / samples) if samples else None


def length_distance(here: Cohort, there: Cohort, modality: str) -> Distance | None:
    """Return the largest difference of the cumulative length distributions."""
    a, b = fragment_lengths(here, modality), fragment_lengths(there, modality)
    if a is None or b is None:
        return None
    both = np.union1d(a.length, b.length)
    curves = [
        np.append(0, np.cumsum(x.share))[np.searchsorted(x.length, both, "right")] for x in (a, b)
    ]
    medians = (float(x.length[np.searchsorted(np.cumsum(x.share), 0.5)]) for x in (a, b))
    ks = float(np.abs(curves[0] - curves[1]).max())
    return Distance(modality, "fragment lengths", ks, None, *medians)


def listing(distances: tuple[Distance, ...], here: str, there: str) -> Listing:
    """Return the distances as a table; `here` and `there` name the cohorts."""
    columns = ("modality", "of", "KS", f"KS of halves of {here}", "median here", "median there")
    rows = tuple((d.modality, d.of, d.ks, d.halves, d.here, d.there) for d in distances)
    return Listing(f"{here} beside {there}: Kolmogorov-Smirnov distances", columns, rows)
