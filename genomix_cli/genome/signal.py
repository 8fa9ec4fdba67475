"""Normalisation of tracks to a common scale: quantiles, z-scores, and gaps.

A :class:`TrackSpec` records the distribution that a model saw in training. A :class:`Normaliser`
brings other files of the same assay to that scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

BIN_SIZE = 50
CLIP = 10.0
# A track with a smaller standard deviation is constant except for rounding.
MIN_SD = 1e-3
# Decimals of quantiles, mean and sd: finer than float16, and short as text.
DECIMALS = 6

Uncovered = Literal["missing", "zero"]

# States of a bin: not measured, measured, or in a short gap that was interpolated linearly between
# the measured bins on both sides.
MISSING, MEASURED, BRIDGED = 0, 1, 2


class Signal(NamedTuple):
    """Normalised signal of one or all tracks over consecutive bins.

    Attributes
    ----------
    value : NDArray
        z-scores, ``[track, bin]`` or ``[bin]``; 0 where missing. float32 from raw files, float16
        from a shard.
    state : NDArray
        uint8, same shape as `value`: `MISSING`, `MEASURED` or `BRIDGED`. Models see all bins that
        are not missing.
    """

    value: NDArray[Any]
    state: NDArray[np.uint8]


@dataclass(frozen=True)
class TrackSpec:
    """Reference distribution of a track.

    Attributes
    ----------
    name : str
        Name given to ``--track NAME=FILE``; for a track of a model, the modality. See
        `genomix_cli.genome.tracks`.
    quantiles : tuple of float
        1001 evenly spaced quantiles of log1p(bin mean) over covered bins.
    mean, sd : float
        Mean and standard deviation of the same distribution.
    """

    name: str
    quantiles: tuple[float, ...]
    mean: float
    sd: float

    def __post_init__(self) -> None:
        levels = np.array([*self.quantiles, self.mean, self.sd], np.float64)
        is_sound = len(self.quantiles) == 1001 and np.isfinite(levels).all() and self.sd > 0
        if not is_sound or (np.diff(levels[:-2]) < 0).any():
            raise ValueError(f"the reference of {self.name} is no distribution")

    @classmethod
    def of(cls, name: str, bin_quantiles: NDArray[np.floating]) -> TrackSpec:
        """Return the spec of a track that is its own reference.

        Parameters
        ----------
        name : str
        bin_quantiles : NDArray
            ``[1001]`` quantiles of bin means, from :meth:`BigWig.distribution`.
        """
        levels = log_signal(np.asarray(bin_quantiles, np.float64)).round(DECIMALS)
        # Equal shares of bins lie between adjacent quantiles, so average over their midpoints.
        middle = (levels[1:] + levels[:-1]) / 2
        sd = max(float(middle.std().round(DECIMALS)), MIN_SD)
        return cls(name, tuple(levels.tolist()), float(middle.mean().round(DECIMALS)), sd)

    def called(self, name: str) -> TrackSpec:
        """Return the same distribution under another name."""
        return self if name == self.name else replace(self, name=name)


def log_signal(mean: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return sign(x) log(1 + abs(x)), which keeps the sign of log-ratio tracks; float64."""
    mean = np.asarray(mean, np.float64)
    return np.sign(mean) * np.log1p(np.abs(mean))


class Normaliser:
    """Transformation of one file's bin means to the scale of a reference.

    The steps are log1p; quantile normalisation, which maps the file's quantiles to those of the
    reference, linearly in between (Bolstad et al. 2003, doi:10.1093/bioinformatics/19.2.185);
    z-scores by mean and sd of the reference; and interpolation of short gaps.

    Parameters
    ----------
    spec : TrackSpec
        Reference.
    own_quantiles : NDArray, optional
        ``[1001]`` quantiles of this file's bin means over covered bins. If None, the file is its
        own reference.
    max_gap_bins : int
        Uncovered runs between covered bins are interpolated linearly up to this length.
    uncovered : {"missing", "zero"}
        Whether bins without data are unknown or count as measured zeros.
    """

    def __init__(
        self,
        spec: TrackSpec,
        own_quantiles: NDArray[np.floating] | None = None,
        *,
        max_gap_bins: int,
        uncovered: Uncovered,
    ) -> None:
        self.spec = spec
        self.max_gap_bins = max_gap_bins
        self.uncovered = uncovered
        target = np.array(spec.quantiles)
        own = target if own_quantiles is None else log_signal(own_quantiles).round(DECIMALS)
        self._own, self._target = _quantile_map(own, target)

    def scale(self, mean: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return bin means of this file as z-scores of the reference, clipped to ±10, float32."""
        level = np.interp(log_signal(mean), self._own, self._target)
        z = (level - self.spec.mean) / self.spec.sd
        return np.clip(z, -CLIP, CLIP).astype(np.float32)

    def apply(self, mean: NDArray[np.floating], covered: NDArray[np.bool_]) -> Signal:
        """Normalise consecutive bins.

        An uncovered run that touches either end of the array is not interpolated, so pass at least
        ``max_gap_bins + 1`` more bins than needed on both sides.

        Parameters
        ----------
        mean : NDArray
            Mean over the covered bases, float ``[bin]``; ignored where not covered.
        covered : NDArray
            bool ``[bin]``.
        """
        # Most bins of most tracks are not covered, so logarithms are taken only of the others.
        known = np.flatnonzero(covered)
        zero = self.scale(np.zeros(1))[0] if self.uncovered == "zero" else np.float32(0)
        value = np.full(len(mean), zero, np.float32)
        value[known] = self.scale(mean[known])
        if self.uncovered == "zero":
            return Signal(value, np.full(len(mean), MEASURED, np.uint8))
        return Signal(value, bridge(value, covered, self.max_gap_bins))


def _quantile_map(
    own: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return strictly increasing levels of a file, and the reference level of each.

    Ties, of which counts have many, share the mean of their reference levels. Zero stays zero;
    otherwise, an uncovered bin read as 0 would get the level of the smallest covered bin.
    """
    levels, first, count = np.unique(own, return_index=True, return_counts=True)
    means = np.add.reduceat(target, first) / count
    # Rounding can make means of equal numbers differ in the last bit, and so break the order.
    means = np.maximum.accumulate(means)
    if levels[0] > 0:
        levels = np.concatenate([[0.0], levels])
        means = np.concatenate([[min(0.0, means[0])], means])
    return levels, means


def bridge(
    value: NDArray[np.float32], covered: NDArray[np.bool_], max_gap_bins: int
) -> NDArray[np.uint8]:
    """Interpolate short uncovered runs of `value` in place, linearly between adjacent bins.

    Parameters
    ----------
    value : NDArray
        float32 ``[bin]``.
    covered : NDArray
        bool ``[bin]``.
    max_gap_bins : int
        Longest run that is filled; runs at either end of the array never are.

    Returns
    -------
    NDArray
        uint8 ``[bin]``: `MEASURED` where covered, `BRIDGED` where filled, else `MISSING`.
    """
    edges = np.flatnonzero(np.diff(covered.astype(np.int8), prepend=1, append=1))
    starts, ends = edges[::2], edges[1::2]
    short = (ends - starts <= max_gap_bins) & (starts > 0) & (ends < len(covered))
    steps = np.zeros(len(covered) + 1, np.int8)
    steps[starts[short]] = 1
    steps[ends[short]] -= 1
    fill = np.flatnonzero(np.cumsum(steps[:-1]))
    state = np.where(covered, MEASURED, MISSING).astype(np.uint8)
    if len(fill):
        known = np.flatnonzero(covered)
        value[fill] = np.interp(fill, known, value[known])
        state[fill] = BRIDGED
    return state
