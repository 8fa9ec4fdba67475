"""Tracks on one scale: quantile normalisation, z-scores, and gaps.

What a model saw in training is a :class:`TrackSpec`; a :class:`Normaliser` brings any other
file of that assay to the same scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

BIN_SIZE = 50
CLIP = 10.0
# A track that varies less is constant but for rounding.
MIN_SD = 1e-3
# Decimals of quantiles, mean and sd: far below float16, and the text of a spec stays short.
DECIMALS = 6

Uncovered = Literal["missing", "zero"]

# States of a bin of a track: nothing is known of it, it was measured, or a gap too short to matter
# was filled by a line between the measured bins beside it.
MISSING, MEASURED, BRIDGED = 0, 1, 2


class Signal(NamedTuple):
    """Normalised tracks of a stretch of genome, or one of them.

    Attributes
    ----------
    value : NDArray
        ``[track, bin]`` or ``[bin]``, z-scores; 0 where missing. float32 from raw files, float16
        from a shard.
    state : NDArray
        uint8, as `value`: `MISSING`, `MEASURED` or `BRIDGED`. A model is shown all that is not
        missing.
    """

    value: NDArray[Any]
    state: NDArray[np.uint8]


@dataclass(frozen=True)
class TrackSpec:
    """The reference distribution of a track.

    Attributes
    ----------
    name : str
        As given to ``--track NAME=FILE``, or of a model's track the modality; see
        `genomix_cli.genome.tracks`.
    quantiles : tuple of float
        1001 evenly spaced quantiles of log1p(bin mean) over covered bins.
    mean, sd : float
        Of the same distribution.
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
        """The spec of a track that is its own reference.

        Parameters
        ----------
        name : str
        bin_quantiles : NDArray
            ``[1001]`` quantiles of bin means, as :meth:`BigWig.distribution` gives them.
        """
        levels = log_signal(np.asarray(bin_quantiles, np.float64)).round(DECIMALS)
        # Between two quantiles lie equal shares of the bins: average over their midpoints.
        middle = (levels[1:] + levels[:-1]) / 2
        sd = max(float(middle.std().round(DECIMALS)), MIN_SD)
        return cls(name, tuple(levels.tolist()), float(middle.mean().round(DECIMALS)), sd)

    def called(self, name: str) -> TrackSpec:
        """The same distribution under another name."""
        return self if name == self.name else replace(self, name=name)


def log_signal(mean: NDArray[np.floating]) -> NDArray[np.float64]:
    """log(1 + x), odd about 0, so that log-ratio tracks keep their sign."""
    mean = np.asarray(mean, np.float64)
    return np.sign(mean) * np.log1p(np.abs(mean))


class Normaliser:
    """Bring bin means of one file to the scale of a reference.

    log1p, quantile normalisation (own quantiles to the reference's, linear between them; Bolstad
    et al. 2003, doi:10.1093/bioinformatics/19.2.185), z-score by the reference, gaps bridged.

    Parameters
    ----------
    spec : TrackSpec
        The reference.
    own_quantiles : NDArray, optional
        ``[1001]`` quantiles of this file's bin means over covered bins. None: the file is its own
        reference.
    max_gap_bins : int
        Uncovered runs up to this length, between covered bins, are interpolated linearly.
    uncovered : {"missing", "zero"}
        Whether a bin without data is unknown, or measured to be 0.
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
        """Bin means of this file as z-scores of the reference, clipped to ±10."""
        level = np.interp(log_signal(mean), self._own, self._target)
        z = (level - self.spec.mean) / self.spec.sd
        return np.clip(z, -CLIP, CLIP).astype(np.float32)

    def apply(self, mean: NDArray[np.floating], covered: NDArray[np.bool_]) -> Signal:
        """Normalise consecutive bins.

        An uncovered run that touches either end of the array is not bridged: pass at least
        ``max_gap_bins + 1`` bins more than needed on both sides.

        Parameters
        ----------
        mean : NDArray
            float ``[bin]``, over covered bases; ignored where not covered.
        covered : NDArray
            bool ``[bin]``.
        """
        # Most bins of most tracks are not covered: only the others are worth a logarithm.
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
    """Strictly increasing own levels, each with its reference level.

    Ties (counts have many) share the mean of their reference levels. Zero stays zero, so that an
    uncovered bin read as 0 does not become the smallest covered one.
    """
    levels, first, count = np.unique(own, return_index=True, return_counts=True)
    means = np.add.reduceat(target, first) / count
    # Means of equal numbers may differ in the last bit, which is enough to lose the order.
    means = np.maximum.accumulate(means)
    if levels[0] > 0:
        levels = np.concatenate([[0.0], levels])
        means = np.concatenate([[min(0.0, means[0])], means])
    return levels, means


def bridge(
    value: NDArray[np.float32], covered: NDArray[np.bool_], max_gap_bins: int
) -> NDArray[np.uint8]:
    """Fill short uncovered runs of `value` in place, linearly between the bins beside them.

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
