"""Factors of a cohort, by expectation maximisation: what samples show beyond single features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.simulate.factors import LOGIT, FactorLaw, FactorParameters
from genomix_cli.cohorts.simulate.methylation import logit
from genomix_cli.cohorts.simulate.shared import Floats, Ints

# Rows of loadings of a modality: more features than these share them, evenly.
MAX_ROWS = 1000
# A factor for as many samples at least, so that few samples get few.
SAMPLES_PER_FACTOR = 20
STEPS = 60
MARGIN = 1e-3
LEAST_NOISE = 0.01


@dataclass(frozen=True)
class Part:
    """A modality in standard units.

    Attributes
    ----------
    measured : Measured
        On the scale of the model, without batches.
    columns : NDArray
        int ``[d]``: columns of it that have rows of loadings.
    centre, scale : NDArray
        float64 ``[d]``.
    values : NDArray
        float64 ``[n, d]`` of all samples, 0 where missing.
    observed : NDArray
        float64 ``[n, d]``: 1 where not missing.
    own : slice
        The modality's factors among all.
    """

    measured: Measured
    columns: Ints
    centre: Floats
    scale: Floats
    values: Floats
    observed: Floats
    own: slice


class Loadings(NamedTuple):
    """Loadings ``[d, w]`` and variance ``[d]`` about them, in standard units."""

    loadings: Floats
    variance: Floats


class Groups(NamedTuple):
    """Mean ``[G, r]`` and covariance ``[G, r, r]`` of the factors in each group of samples."""

    means: Floats
    covariances: Floats


def fit_factors(
    measured: Mapping[str, Measured],
    present: Mapping[str, NDArray[np.bool_]],
    label: Ints,
    factors: int,
) -> tuple[FactorLaw, dict[str, Fitted]]:
    """Estimate :class:`FactorLaw`, and :class:`FactorParameters` of each modality.

    Maximum likelihood by expectation maximisation [1]_, missing values left out, in units of each
    feature's standard deviation, starting from principal components. The covariance of a class is
    shrunk towards the pooled one as if r further samples had that. In the result, a modality's
    factors have mean 0 and covariance 1 over the cohort, the first moves the features most, and
    most features rise with each.

    Parameters
    ----------
    measured, present : mapping
        By modality: the data, and the samples that have them, bool ``[n]``.
    label : NDArray
        int64 ``[n]``, -1 if unknown: such samples are a group of their own that is not kept.
    factors : int
        Factors of a modality, at most: fewer where samples or features are few.

    References
    ----------
    .. [1] Rubin DB, Thayer DT. EM algorithms for ML factor analysis. Psychometrika 1982.
       doi:10.1007/BF02293851
    """
    parts: dict[str, Part] = {}
    for name, each in measured.items():
        first = sum(part.own.stop - part.own.start for part in parts.values())
        parts[name] = _part(name, each, present[name], factors, first)
    group = np.unique(label, return_inverse=True)[1]
    shown, groups = _maximise(list(parts.values()), group)
    share = np.bincount(group) / len(group)
    shown, groups = _principal(list(parts.values()), shown, groups, share)
    known = slice(int(label.min() < 0), None)
    law = FactorLaw(_nested(groups.means[known]), _nested(groups.covariances[known]))
    fitted = {
        name: _fitted(part, own) for (name, part), own in zip(parts.items(), shown, strict=True)
    }
    return law, fitted


def _part(
    name: str, measured: Measured, present: NDArray[np.bool_], factors: int, first: int
) -> Part:
    """Return a modality in standard units; its factors begin at `first`."""
    if name in LOGIT:
        values = logit(np.clip(measured.values, MARGIN, 1 - MARGIN))
        measured = replace(measured, values=values)
    clean = measured.without_batches().values
    d = clean.shape[1]
    columns = np.arange(min(d, MAX_ROWS)) * d // min(d, MAX_ROWS)
    shown = clean[:, columns]
    centre, scale = np.nanmean(shown, 0), np.nanstd(shown, 0)
    values = np.zeros((len(present), len(columns)))
    observed = np.zeros_like(values)
    observed[present] = ~np.isnan(shown)
    values[present] = np.nan_to_num((shown - centre) / scale)
    width = max(min(factors, len(shown) // SAMPLES_PER_FACTOR, len(columns) // 2), 1)
    return Part(measured, columns, centre, scale, values, observed, slice(first, first + width))


def _maximise(parts: list[Part], group: Ints) -> tuple[list[Loadings], Groups]:
    """Return the estimates after all steps."""
    shown = [_components(part) for part in parts]
    r, counts = parts[-1].own.stop, np.bincount(group)
    groups = Groups(np.zeros((len(counts), r)), np.tile(np.eye(r), (len(counts), 1, 1)))
    for _ in range(STEPS):
        z, second = _expected(parts, shown, groups, group)
        shown = [_regressed(part, z[:, part.own], second[:, part.own, part.own]) for part in parts]
        groups = _moments(z, second, group)
    return shown, groups


def _components(part: Part) -> Loadings:
    """Return principal components, signs and all determined by the data."""
    width = part.own.stop - part.own.start
    _, s, axes = np.linalg.svd(part.values, full_matrices=False)
    loadings: Floats = axes[:width].T * s[:width] / np.sqrt(len(part.values))
    return Loadings(loadings, np.maximum(1 - (loadings**2).sum(1), LEAST_NOISE))


def _expected(
    parts: list[Part], shown: list[Loadings], groups: Groups, group: Ints
) -> tuple[Floats, Floats]:
    """Return the first and second moment of each sample's factors, ``[n, r]`` and ``[n, r, r]``."""
    prior = np.linalg.inv(groups.covariances)
    precision = prior[group]
    linear = np.einsum("gij,gj->gi", prior, groups.means)[group]
    for part, (loadings, variance) in zip(parts, shown, strict=True):
        scaled = loadings / variance[:, None]
        outer = (loadings[:, :, None] * scaled[:, None, :]).reshape(len(loadings), -1)
        width = loadings.shape[1]
        precision[:, part.own, part.own] += (part.observed @ outer).reshape(-1, width, width)
        linear[:, part.own] += part.values @ scaled
    covariance = np.linalg.inv(precision)
    z = np.einsum("nij,nj->ni", covariance, linear)
    return z, covariance + z[:, :, None] * z[:, None, :]


def _regressed(part: Part, z: Floats, second: Floats) -> Loadings:
    """Return the regression of each feature on the modality's factors."""
    width = z.shape[1]
    product = part.values.T @ z
    squares = (part.observed.T @ second.reshape(len(z), -1)).reshape(-1, width, width)
    loadings: Floats = np.linalg.solve(squares, product[:, :, None])[:, :, 0].astype(float)
    left = (part.values**2).sum(0) - (loadings * product).sum(1)
    return Loadings(loadings, np.maximum(left / part.observed.sum(0), LEAST_NOISE))


def _moments(z: Floats, second: Floats, group: Ints) -> Groups:
    """Return mean and covariance of each group, the latter shrunk towards the pooled one."""
    counts, r = np.bincount(group), z.shape[1]
    member = np.eye(len(counts))[group].T / counts[:, None]
    means = member @ z
    own = (member @ second.reshape(len(z), -1)).reshape(-1, r, r)
    own -= means[:, :, None] * means[:, None, :]
    pooled = np.tensordot(counts / len(group), own, 1)
    weight = (counts / (counts + r))[:, None, None]
    return Groups(means, weight * own + (1 - weight) * pooled)


def _principal(
    parts: list[Part], shown: list[Loadings], groups: Groups, share: Floats
) -> tuple[list[Loadings], Groups]:
    """Turn each modality's factors to principal axes of mean 0 and covariance 1.

    Values stay the same up to their mean, which the standard units set to 0.
    """
    centre = share @ groups.means
    off = groups.means - centre
    whole = np.tensordot(share, groups.covariances + off[:, :, None] * off[:, None, :], 1)
    turn = np.zeros_like(whole)
    turned = []
    for part, (loadings, variance) in zip(parts, shown, strict=True):
        root = np.linalg.cholesky(whole[part.own, part.own])
        axes = np.linalg.svd(loadings @ root / np.sqrt(variance)[:, None], full_matrices=False)[2]
        axes = axes * np.where((loadings @ root @ axes.T).sum(0) < 0, -1, 1)[:, None]
        turned.append(Loadings(loadings @ root @ axes.T, variance))
        turn[part.own, part.own] = axes @ np.linalg.inv(root)
    covariances = turn @ groups.covariances @ turn.T
    return turned, Groups(off @ turn.T, (covariances + covariances.swapaxes(1, 2)) / 2)


def _fitted(part: Part, shown: Loadings) -> Fitted:
    """Return the parameters of a modality in its own units."""
    parameters = FactorParameters(
        loadings=_nested(shown.loadings * part.scale[:, None]),
        base=_nested(part.centre),
        noise=_nested(part.scale * np.sqrt(shown.variance)),
        features=part.measured.total,
        first=part.own.start,
    )
    width, rows = shown.loadings.shape[1], len(part.columns)
    notes = [f"{width} factors"]
    if rows < part.measured.total:
        notes.append(
            f"loadings of {rows:,} of {part.measured.total:,} features, which others share"
        )
    fitted = Fitted(parameters, ("features", "loadings", "base", "noise", "first"), (*notes,))
    return fitted.with_estimates(**part.measured.batch_sd())


def _nested(values: Floats) -> Any:
    """Return an array as tuples of tuples."""
    return tuple(_nested(row) for row in values) if values.ndim > 1 else tuple(values.tolist())
