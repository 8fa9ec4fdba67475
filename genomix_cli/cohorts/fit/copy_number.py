"""Copy number: noise, response, states and segments of log2 ratios."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.fit.association import Association
from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.simulate.copy_number import CopyNumber, CopyNumberParameters, cut_arms
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Shared
from genomix_cli.errors import DataError
from genomix_cli.genome.arms import arms

HIGHEST = 0.95
# Bin width and range of the histogram for the marginal likelihood, log2.
STEP, EDGE = 0.01, 4.0
# Samples to fit the segments to, which have tens of thousands of bins.
SAMPLES = 60
ROUNDS = 2
# Least agreement of a wave: real ones reach 0.5 with 300 bins, data without one at most 0.1.
AGREE = 0.3
# Longest segment, Mb: no arm is longer, so longer ones look the same.
LONGEST = 300.0
# Of what the marginal law decides, on the scales of `_to_vector`. With fewer than 3 degrees of
# freedom one draw in a million would be absurd.
RANGES = {
    "response": (-2.0, 0.7),
    "noise": (-5.0, 1.0),
    "freedom": (float(np.log(3)), float(np.log(50))),
    "offset 1": (-8.0, 2.0),
    "offset 2": (-8.0, 2.0),
    "offset 3": (-8.0, 2.0),
    "gain_share": (-4.0, 4.0),
}
# Half-width of the unaltered mode of a bin, in units of noise.
MODE = 1.5


def fit_copy_number(measured: Measured) -> Fitted:
    """Estimate :class:`CopyNumberParameters` from log2 ratios of bins, arms or genes.

    Features are taken in genome order (by position where they have one, else as the file has
    them) and laid out evenly on the arms, as the simulator does.

    - `gc`: each bin's mode over samples is its wave [1]_, the regression of a sample on it its
      amplitude; the three amplitudes are the means of the samples' thirds. 0 in segment means (most
      neighbours equal), and where no wave shows: bins of 10 Mb and more are too few to see one.
    - `response`, `noise`, `freedom`, `offsets`, `gain_share`: the maximum of the likelihood of all
      ratios as if they were independent (a composite likelihood [2]_), with the model's own
      mixture over purity, ploidy and state. Purity and ploidy cannot be told from `response` and
      `offsets` by this and keep their laws.
    - `drivers`, `penetrance`: arms whose mean differs between classes, and by how much; rough.
    - `lengths`, `focal`: the maximum of the model's own likelihood (forward algorithm) of up to 60
      samples, the rest as estimated.

    References
    ----------
    .. [1] Diskin SJ et al. Adjustment of genomic waves in signal intensities from whole-genome SNP
       genotyping platforms. Nucleic Acids Res 2008. doi:10.1093/nar/gkn556
    .. [2] Varin C, Reid N, Firth D. An overview of composite likelihood methods. Statistica Sinica
       2011. https://www.jstor.org/stable/24309261
    """
    arm = _arms_of(measured)
    values = measured.values[:, _genome_order(measured)]
    has_neighbours = measured.total > len(arms())
    is_segmented = bool((np.diff(values, axis=1) == 0).mean() > 0.5)
    wave = Wave(np.zeros(values.shape[1]), np.zeros(len(values)))
    if not is_segmented and agreement(values, _scale(values), arm) > AGREE:
        wave = find_wave(values, _scale(values))
    values = values - wave.amplitude[:, None] * wave.profile
    means = [np.nanmean(values[:, arm == a], 1) for a in range(arm.max() + 1)]
    association = replace(measured, values=np.column_stack(means)).associated()
    parameters = CopyNumberParameters(features=measured.total, gc=_thirds(wave))
    if association is not None:
        parameters = replace(parameters, drivers=int(association.driver.sum()))
    for _ in range(ROUNDS):
        # The marginal fit depends on the penetrance, and the penetrance on the response: alternate.
        parameters = _fit_marginal(values, parameters, measured.shared)
        if association is not None:
            penetrance = _penetrance(association, parameters, measured.shared)
            parameters = replace(parameters, penetrance=penetrance)
    if has_neighbours:
        parameters = _fit_segments(values, parameters, measured.shared)
    estimated = ["features", "gc", "response", "noise", "freedom", "offsets", "gain_share"]
    estimated += ["lengths", "focal"] if has_neighbours else []
    estimated += ["drivers", "penetrance"] if association is not None else []
    notes = _notes(is_segmented, parameters, measured)
    return Fitted(parameters, tuple(estimated), notes)


def _notes(
    is_segmented: bool, parameters: CopyNumberParameters, measured: Measured
) -> tuple[str, ...]:
    theta = _to_vector(parameters)
    low, high = np.array(list(RANGES.values())).T
    ends = np.array(list(RANGES))[(theta < low + 0.01) | (theta > high - 0.01)].tolist()
    if max(parameters.lengths) > 0.99 * LONGEST:
        ends.append("lengths")
    notes = [f"at the end of its range: {name}" for name in ends]
    if is_segmented:
        notes.append(
            "most neighbours are equal, so these are segment means: the model has noise in every "
            "bin, and gets the spread of segments about the states as that"
        )
    if "start" not in measured.features:
        notes.append("features have no positions: the file's order is taken for the genome's")
    return tuple(notes)


def _genome_order(measured: Measured) -> Ints:
    """Return the columns in genome order."""
    table = measured.features
    if not {"contig", "start"} <= set(table.columns):
        return np.arange(len(table))
    rank = {piece.contig: i for i, piece in enumerate(arms(sex=True))}
    contig = np.array([rank.get(str(name), len(rank)) for name in table["contig"]])
    return np.lexsort((table["start"].to_numpy(), contig))


def _arms_of(measured: Measured) -> Ints:
    """Return the arm of each feature when they are laid out evenly."""
    pieces, features = arms(), measured.total
    if features < len(pieces):
        raise DataError(
            "too few copy-number features to simulate the arms of a genome",
            where=measured.where,
            expected=f"{len(pieces)} or more",
            found=str(features),
            hint="bin the segments: --bins arms",
        )
    return np.array([piece.arm for piece in cut_arms(pieces, features)])


class Wave(NamedTuple):
    """Wave along the genome: its `profile` ``[d]`` of unit size, and `amplitude` ``[n]``."""

    profile: Floats
    amplitude: Floats


def _scale(values: Floats) -> float:
    """Estimate the noise from differences of neighbours, which slow changes do not affect.

    The median absolute deviation scaled to a normal distribution, like the derivative log ratio
    spread of arrays.
    """
    steps = np.diff(values, axis=1)
    return float(np.nanmedian(np.abs(steps)) / 0.6745 / np.sqrt(2))


def find_wave(values: Floats, scale: float) -> Wave:
    """Find the wave that samples share in their unaltered bins; `scale` is the noise, log2."""
    profile = np.nanmedian(values, 0)
    amplitude = np.ones(len(values))
    for _ in range(20):
        away = values - amplitude[:, None] * profile
        near = np.abs(away) < MODE * scale
        shown = np.where(near, values, 0.0)
        weight = np.maximum((near * amplitude[:, None] ** 2).sum(0), 1e-9)
        profile = (shown * amplitude[:, None]).sum(0) / weight
        profile = profile - profile.mean()
        size = max(float(profile.std()), 1e-9)
        profile = profile / size
        amplitude = _regression(shown, near, profile)
    sign = 1.0 if np.median(amplitude) >= 0 else -1.0
    return Wave(sign * profile, sign * amplitude)


def agreement(values: Floats, scale: float, arm: Ints) -> float:
    """Measure how far a wave extends through the whole genome, from 0 to 1.

    With the profile of one half of the samples, the amplitudes of the others in the odd arms are
    correlated with those in the even arms. Recurrent events also make a profile, but do not occur
    together like this.

    Parameters
    ----------
    values : NDArray
        ``[n, d]``.
    scale : float
        Noise, log2.
    arm : NDArray
        int ``[d]``.
    """
    first = np.arange(len(values)) % 2 == 0
    odd = arm % 2 == 1
    correlations = []
    for learn, test in ((first, ~first), (~first, first)):
        profile = find_wave(values[learn], scale).profile
        near = np.abs(values[test]) < MODE * scale
        shown = np.where(near, values[test], 0.0)
        sides = [_regression(shown[:, s], near[:, s], profile[s]) for s in (odd, ~odd)]
        correlations.append(np.asarray(np.corrcoef(sides))[0, 1])
    return float(np.nan_to_num(np.mean(correlations)))


def _regression(shown: Floats, near: NDArray[np.bool_], profile: Floats) -> Floats:
    """Return the amplitude of a profile in each sample ``[n]``."""
    return (shown * profile).sum(1) / np.maximum((near * profile**2).sum(1), 1e-9)


def _thirds(wave: Wave) -> tuple[float, ...]:
    """Return the mean amplitude of each third of the samples; a single 0 without a wave."""
    if not wave.amplitude.any():
        return (0.0,)
    parts = np.array_split(np.sort(wave.amplitude), 3)
    return tuple(max(float(part.mean()), 0.0) for part in parts)


def _model(parameters: CopyNumberParameters, shared: Shared) -> CopyNumber:
    return CopyNumber(parameters, shared, np.random.default_rng(0))


def _fit_marginal(
    values: Floats, parameters: CopyNumberParameters, shared: Shared
) -> CopyNumberParameters:
    """Maximise the composite likelihood of single ratios."""
    from scipy.optimize import minimize

    edges = np.arange(-EDGE, EDGE + STEP, STEP)
    counts, _ = np.histogram(np.clip(values[~np.isnan(values)], -EDGE, EDGE - STEP), edges)
    centres = (edges[:-1] + edges[1:]) / 2
    counts, centres = counts[counts > 0], centres[counts > 0]
    share = counts / counts.sum()

    def loss(theta: Floats) -> float:
        tried = _from_vector(theta, parameters)
        return -float(share @ np.log(marginal_density(centres, tried, shared) + 1e-12))

    bounds = list(RANGES.values())
    best = minimize(loss, _to_vector(parameters), method="L-BFGS-B", bounds=bounds)
    return _from_vector(best.x, parameters)


def _to_vector(p: CopyNumberParameters) -> Floats:
    """Return response, noise, freedom, relative offsets and gains on unbounded scales."""
    offsets = np.log(np.array(p.offsets[1:]) / p.offsets[0])
    gains = np.log(p.gain_share / (1 - p.gain_share))
    return np.array([np.log(p.response), np.log(p.noise), np.log(p.freedom), *offsets, gains])


def _from_vector(theta: Floats, p: CopyNumberParameters) -> CopyNumberParameters:
    weights = np.exp(np.array([0.0, *theta[3:6]]))
    response, noise, freedom = np.exp(theta[:3]).tolist()
    offsets = tuple((weights / weights.sum()).tolist())
    gains = float(1 / (1 + np.exp(-theta[6])))
    return replace(
        p, response=response, noise=noise, freedom=freedom, offsets=offsets, gain_share=gains
    )


def marginal_density(x: Floats, p: CopyNumberParameters, shared: Shared) -> Floats:
    """Return the density of a ratio of any bin of any sample, without its wave ``[len(x)]``."""
    from scipy.special import gammaln

    model = _model(p, shared)
    active = _active_share(p, shared)
    kinds = np.array([1 - active, active / 2, active / 2])  # QUIET, GAIN, LOSS
    law = np.tensordot(kinds, model.law, 1)
    # Copies, purity, ploidy.
    weights = (law.T * model.ploidy_law)[:, None, :] * shared.purity.weights[:, None]
    away = (x.reshape(-1, 1) - model.mean.ravel()) / p.noise
    power = np.exp(-(p.freedom + 1) / 2 * np.log1p(away**2 / p.freedom))
    constant = gammaln((p.freedom + 1) / 2) - gammaln(p.freedom / 2)
    constant -= np.log(p.freedom * np.pi) / 2 + np.log(p.noise)
    return power @ weights.ravel() * np.exp(constant)


def _active_share(p: CopyNumberParameters, shared: Shared) -> float:
    """Return the fraction of arms that are active, over samples and arms."""
    drivers = min(p.drivers, len(arms())) / len(arms())
    on = 1 / len(shared.classes)
    return drivers * (on * p.penetrance + (1 - on) * p.background)


def _penetrance(association: Association, p: CopyNumberParameters, shared: Shared) -> float:
    """Return the penetrance whose typical difference between classes is that of the table."""
    model = _model(p, shared)
    mean = np.einsum(
        "lhc,cph,p,h->l", model.law, model.mean, shared.purity.weights, model.ploidy_law
    )
    gain, loss = np.abs(mean[1:] - mean[0])  # than QUIET
    steps = np.where(association.effect > 0, gain, loss)
    return float(min(p.background + association.typical(steps), HIGHEST))


def _fit_segments(
    values: Floats, parameters: CopyNumberParameters, shared: Shared
) -> CopyNumberParameters:
    """Maximise the model's likelihood over segment lengths and the fraction of focal ones."""
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    rows = np.linspace(0, len(values) - 1, min(len(values), SAMPLES)).astype(int)
    shown = values[rows]
    # All arms are quiet here, since the table does not tell which ones the simulator would drive.
    quiet = replace(parameters, drivers=0, gc=(0.0,))
    alone = replace(shared, batch=np.ones((len(shared.classes), 1)), interactions=())

    def loss(theta: Floats) -> float:
        model = _model(_with_lengths(theta, quiet), alone)
        log_likelihood = model.log_likelihood({model.name: shown}, len(shown))[:, 0, :, 0]
        return -float(logsumexp(log_likelihood, 1, b=alone.purity.weights).mean())

    start = np.log([*parameters.lengths, parameters.focal / (1 - parameters.focal)])
    simplex = start + np.vstack([np.zeros(3), np.diag([0.7, 0.7, 1.0])])
    options = {"xatol": 0.02, "fatol": 1e-3, "maxfev": 120, "initial_simplex": simplex}
    best = minimize(loss, start, method="Nelder-Mead", options=options)
    return _with_lengths(best.x, parameters)


def _with_lengths(theta: Floats, p: CopyNumberParameters) -> CopyNumberParameters:
    # Segments shorter than half a bin look the same.
    shortest = sum(arm.length for arm in arms()) / p.features / 2e6
    lengths = np.clip(np.exp(np.minimum(theta[:2], 10)), shortest, LONGEST)
    focal = float(1 / (1 + np.exp(-np.clip(theta[2], -6, 6))))
    if lengths[0] > lengths[1]:
        lengths, focal = lengths[::-1], 1 - focal
    return replace(p, lengths=tuple(lengths.tolist()), focal=focal)
