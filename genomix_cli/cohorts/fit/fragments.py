"""Fragmentomics: peaks, shoulder and ladder of length histograms, and variation between people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.simulate.fragments import STAGES, FragmentParameters, Fragments
from genomix_cli.cohorts.simulate.levels import lognormal_levels
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Shared
from genomix_cli.errors import DataError

# Parameters that the mean spectrum determines, with the bounds of the search.
SHAPE = {
    "mono": (150.0, 185.0),
    "mono_sd": (3.0, 30.0),
    "di": (290.0, 370.0),
    "di_sd": (8.0, 60.0),
    "di_share": (0.0, 0.6),
    "short_share": (0.0, 0.9),
    "ladder": (0.0, 0.49),
    "fraction": (0.0, 0.6),
}
# Smallest tumour fraction.
LEAST = 1e-6
CONCENTRATIONS = (10.0, 1e7)


def fit_fragments(measured: Measured) -> Fitted:
    """Estimate :class:`FragmentParameters` from counts of fragments by length.

    - the peaks, the shoulder and the ladder, and the mean tumour fraction: least squares between
      the square roots of the classes' mean spectra and of the model's [1]_. The shapes of the
      tumours' spectra keep their defaults: the simulator has no class without tumour, against
      which a table could show them. So `fraction` is what looks like those shapes, no more.
    - `concentration`: by moments, from how much larger than multinomial the variance of samples
      about their class's mean is [2]_, what the tumour fraction moves left out; `bin_concentration`
      likewise from the bins.
    - `reads`, `reads_sigma`: median, and standard deviation of the logarithm, of a sample's total.

    Raises
    ------
    DataError
        If there is no histogram of lengths.

    References
    ----------
    .. [1] Beran R. Minimum Hellinger distance estimates for parametric models. Ann Stat 1977.
       doi:10.1214/aos/1176343842
    .. [2] Mosimann JE. On the compound multinomial distribution. Biometrika 1962.
       doi:10.1093/biomet/49.1-2.65
    """
    columns, first, last, width = _histogram(measured)
    whole = ~np.isnan(measured.values[:, columns]).any(1)
    counts, label = measured.values[:, columns][whole], measured.label[whole]
    bins = _bins(measured)
    start = FragmentParameters(first=first, last=last, width=width, delfi=bins is not None)
    total = counts.sum(1)
    used, spectra = _spectra(counts, label, len(measured.shared.classes))
    shape = _fit_shape(start, spectra, used, measured.shared)
    reads = total[total > 0]
    note = "the shapes of tumour spectra are not estimated: fraction is relative to them"
    fitted = Fitted(shape, ("first", "last", "width", *SHAPE), (note,)).with_estimates(
        fraction=_median_fraction(shape),
        concentration=_concentration(counts, label, _direction(shape, measured.shared)),
        reads=float(np.median(reads)),
        reads_sigma=float(np.log(reads).std()),
    )
    if bins is None:
        return fitted
    concentrations = [_concentration(part[whole], label, None) for part in bins]
    return fitted.with_estimates(bin_concentration=float(np.mean(concentrations)))


def _histogram(measured: Measured) -> tuple[Ints, int, int, int]:
    """Return the histogram's columns by length, first and last length, and bin width."""
    table = measured.features
    length = table["length"].to_numpy(float) if "length" in table else np.full(len(table), np.nan)
    columns = np.argsort(length, kind="stable")[: int((~np.isnan(length)).sum())]
    if len(columns) < 20:
        raise DataError(
            "has no histogram of fragment lengths",
            where=measured.where,
            expected="20 lengths or more, named like 167 or len_167",
            found=f"{len(columns)} of {len(table)} features",
        )
    sorted_ = length[columns].astype(int)
    steps = np.diff(sorted_)
    width = int(np.bincount(steps).argmax())
    if (steps != width).any():
        gap = int(np.flatnonzero(steps != width)[0])
        raise DataError(
            "lengths are not evenly spaced",
            where=measured.where,
            expected=f"{sorted_[gap] + width} after {sorted_[gap]}",
            found=str(sorted_[gap + 1]),
        )
    return columns, int(sorted_[0]), int(sorted_[-1]) + width - 1, width


def _bins(measured: Measured) -> tuple[Floats, Floats] | None:
    """Return counts of short and of long fragments in bins, if the modality has them."""
    if "readout" not in measured.features:
        return None
    readout = measured.features["readout"].astype(str).to_numpy()
    short, long = (np.nan_to_num(measured.values[:, readout == r]) for r in ("short", "long"))
    return (short, long) if short.shape[1] and long.shape[1] else None


def _spectra(counts: Floats, label: Ints, classes: int) -> tuple[Ints, Floats]:
    """Return the classes present and their mean spectra ``[C, d]``; of all without labels."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    present = np.unique(label[label >= 0])
    if len(present) < 2:
        return np.arange(classes), np.tile(share.mean(0), (classes, 1))
    return present, np.array([share[label == k].mean(0) for k in present])


def _fit_shape(
    start: FragmentParameters, spectra: Floats, used: Ints, shared: Shared
) -> FragmentParameters:
    """Return the nearest parameters; here `fraction` is the mean, not the median."""
    from scipy.optimize import least_squares

    low, high = np.array(list(SHAPE.values())).T

    def away(theta: Floats) -> Floats:
        tried = replace(start, **dict(zip(SHAPE, theta.tolist(), strict=True)))
        return (np.sqrt(_expected(tried, shared)[used]) - np.sqrt(spectra)).ravel()

    median, _ = STAGES[start.stage]
    begin = np.array([getattr(replace(start, fraction=median), name) for name in SHAPE])
    best = least_squares(away, begin, bounds=(low, high), x_scale=high - low)
    return replace(start, **dict(zip(SHAPE, best.x.tolist(), strict=True)))


def _expected(parameters: FragmentParameters, shared: Shared) -> Floats:
    """Return mean spectra ``[K, d]`` at the single tumour fraction of `parameters`."""
    alone = replace(parameters, nodes=1, delfi=False)
    return Fragments(alone, shared, np.random.default_rng(0)).spectra[0, 0]


def _direction(shape: FragmentParameters, shared: Shared) -> Floats:
    """Return the change of the mean spectrum with the tumour fraction ``[d]``."""
    ends = [_expected(replace(shape, fraction=f), shared).mean(0) for f in (0.0, 0.5)]
    return ends[1] - ends[0]


def _median_fraction(shape: FragmentParameters) -> float:
    """Return the median of the tumour fractions whose mean was fitted."""
    from scipy.optimize import brentq

    _, sigma = STAGES[shape.stage]
    mean = shape.fraction or 0.0

    def over(median: float) -> float:
        return lognormal_levels(median, sigma, shape.nodes).mean - mean

    return float(brentq(over, 0, 0.95)) if mean > LEAST else LEAST


def _concentration(counts: Floats, label: Ints, direction: Floats | None) -> float:
    """Estimate the concentration of a Dirichlet-multinomial by moments.

    ``Var(x) = n p (1 - p) (n + c) / (1 + c)``: the variance of x / n over p, summed over features,
    is ``(d - 1) (1 + c / n) / (1 + c)``, less the degrees of freedom that were fitted.
    """
    total = counts.sum(1)
    nonempty = total > 0
    counts, label, total = counts[nonempty], label[nonempty], total[nonempty]
    share = counts / total[:, None]
    squares, expected = [], []
    for k in np.unique(label):
        rows = label == k
        if rows.sum() < 2:
            continue
        mean = share[rows].mean(0)
        used = mean > 0
        away = (share[rows] - mean)[:, used] / np.sqrt(mean[used])
        dimensions = int(used.sum()) - 1
        if direction is not None:
            # Less the component along the direction.
            unit = direction[used] / np.sqrt(mean[used])
            unit = unit / max(float(np.linalg.norm(unit)), 1e-12)
            away = away - np.outer(away @ unit, unit)
            dimensions -= 1
        squares.append((away**2).sum(1))
        expected.append(np.full(rows.sum(), dimensions * (1 - 1 / rows.sum())))
    ratio = np.concatenate(squares).sum() / np.concatenate(expected).sum()
    # E[ratio] = mean((1 + c / n) / (1 + c)), solved for c.
    inverse = float((1 / total).mean())
    if ratio <= inverse:
        return CONCENTRATIONS[1]
    return float(np.clip((1 - ratio) / (ratio - inverse), *CONCENTRATIONS))
