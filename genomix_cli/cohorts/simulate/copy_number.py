"""Copy number: a hidden Markov model along each chromosome arm.

A bin has 0 to 5 copies. Segments are focal or broad, each with its own mean length: one state per
copy number would give a single geometric distribution, but real profiles have both whole-arm and
focal events [1]_. The chain restarts on each arm, and the copy number of a segment does not depend
on the previous one, so that the distribution over segments is also that over bins. Where the class
(or an interaction) activates an arm, gains, or losses, are more frequent among its segments. The
log2 ratio of a bin with c copies in a sample of purity p and tumour ploidy h is, as in ichorCNA
[2]_ ::

    mu = gamma log2((p c + 2 (1 - p)) / (p h + 2 (1 - p)))
    x ~ mu + g w[bin] + sigma t(nu)

with a wave w along the genome, like that of GC content, of amplitude g, whose distribution depends
on the batch. Arrays show only a fraction gamma of the ratio [3]_. Ploidy and amplitude are drawn
before the path: given both, the forward algorithm is exact, and they are then summed out.

References
----------
.. [1] Beroukhim R et al. The landscape of somatic copy-number alteration across human cancers.
   Nature 2010. doi:10.1038/nature08822
.. [2] Adalsteinsson VA et al. Scalable whole-exome sequencing of cell-free DNA reveals high
   concordance with metastatic tumors. Nat Commun 2017. doi:10.1038/s41467-017-00965-y
.. [3] Van Loo P et al. Allele-specific copy number analysis of tumors. PNAS 2010.
   doi:10.1073/pnas.1009843107
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.drivers import choose_drivers
from genomix_cli.cohorts.simulate.process import Drawn, Process
from genomix_cli.cohorts.simulate.profiles import smooth_profile
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared
from genomix_cli.config import Count, NotNegative, Positive, Share, Within
from genomix_cli.errors import UsageError
from genomix_cli.genome.arms import Arm, arms

COPIES = 6
QUIET, GAIN, LOSS = range(3)
# Samples at a time, so that the arrays of the forward algorithm stay in the cache.
BATCH = 128
# Floor of a bin's likelihood, of which the best is about 1: smaller ones do not matter, and float32
# would underflow to states that are all impossible.
LEAST = 1e-25


@dataclass(frozen=True)
class CopyNumberParameters:
    """Parameters of the copy-number model.

    Attributes
    ----------
    features : int
        Number of bins on the 39 autosomal arms, allotted by length.
    drivers : int
        Number of driver arms; half of them gains.
    penetrance, background : float
        As for methylation.
    lengths : tuple of float
        Mean length in Mb of focal and of broad segments.
    focal : float
        Fraction of segments that are focal.
    offsets : tuple of float
        Weights of copy numbers 0, 1, 2 ... away from the ploidy, either way, in quiet arms.
    gain_share : float
        Fraction of gains among the events of quiet arms; 1/2 leaves the weights unchanged.
    driven : tuple of float
        Weights in the direction of an active arm's event. Arms that are not drivers are quiet.
    ploidy : tuple of float
        Ploidies.
    ploidy_weights : tuple of float
        Their frequencies.
    gc : tuple of float
        Amplitudes of the wave, equally frequent in the first batch; later batches have the larger
        ones more often.
    response : float
        gamma: 1 for sequencing, about 0.55 for SNP arrays.
    noise, freedom : float
        sigma, log2, and nu.
    """

    features: Count = 110
    drivers: Annotated[int, Within(0)] = 12
    penetrance: Share = 0.6
    background: Share = 0.05
    lengths: tuple[Positive, Positive] = (8.0, 80.0)
    focal: Share = 0.5
    offsets: tuple[NotNegative, ...] = (0.85, 0.12, 0.02, 0.01)
    gain_share: Share = 0.5
    driven: tuple[NotNegative, ...] = (0.15, 0.65, 0.15, 0.05)
    ploidy: tuple[Annotated[float, Within(1, 5)], ...] = (2.0, 3.0, 4.0)
    ploidy_weights: tuple[NotNegative, ...] = (0.65, 0.20, 0.15)
    gc: tuple[NotNegative, ...] = (0.0, 0.05, 0.10)
    response: Positive = 1.0
    noise: Positive = 0.15
    freedom: Positive = 5.0


class Bin(NamedTuple):
    """Bin of an arm: `contig`, 0-based half-open `start` and `end`, and the number of the `arm`."""

    contig: str
    start: int
    end: int
    arm: int


class CopyNumber(Process):
    """log2 ratios of every bin; see the module for the model, Methylation for the arguments."""

    name = kind = "copy_number"
    Parameters = CopyNumberParameters

    def __init__(
        self, parameters: CopyNumberParameters, shared: Shared, rng: np.random.Generator
    ) -> None:
        _check(parameters)
        self.parameters = p = parameters
        self.shared = shared
        self.arms = arms()
        self.bins = cut_arms(self.arms, p.features)
        self.arm = np.array([piece.arm for piece in self.bins])
        self.drivers = choose_drivers(
            shared, self.name, len(self.arms), p.drivers, p.penetrance, p.background, rng
        ).quiet_elsewhere()
        self.direction = rng.choice([GAIN, LOSS], len(self.arms))
        self.wave = smooth_profile(rng, len(self.bins), 1.0)
        self.law = np.stack([self._segment_law(kind) for kind in (QUIET, GAIN, LOSS)])
        self.mean = self._means()
        self.ploidy_law = np.array(p.ploidy_weights) / sum(p.ploidy_weights)
        self.readers: dict[str, Any] = {self.name: None}

    def _segment_law(self, kind: int) -> Floats:
        """Return the distribution of a new segment's copy number, by ploidy ``[H, 6]``."""
        p = self.parameters
        rows = []
        for ploidy in p.ploidy:
            away = np.arange(COPIES) - round(ploidy)
            weights = _at_distance(p.offsets, np.abs(away))
            if kind == QUIET:
                gains = 2 * p.gain_share
                weights *= np.select([away > 0, away < 0], [gains, 2 - gains], 1.0)
            else:
                step = away if kind == GAIN else -away
                weights = np.where(step >= 0, _at_distance(p.driven, np.abs(away)), 0.02 * weights)
            rows.append(weights / weights.sum())
        return np.array(rows)

    def _means(self) -> Floats:
        """Return expected values mu ``[6, P, H]``."""
        copies = np.arange(COPIES).reshape(-1, 1, 1)
        p = self.shared.purity.values.reshape(1, -1, 1)
        ploidy = np.array(self.parameters.ploidy)
        ratio = (p * copies + 2 * (1 - p)) / (p * ploidy + 2 * (1 - p))
        return self.parameters.response * np.log2(ratio)

    @property
    def amplitude_law(self) -> Floats:
        """Return the distribution of the wave's amplitude in each batch ``[B, G]``."""
        batches, amplitudes = self.shared.shape[2], len(self.parameters.gc)
        tilt = np.arange(batches)[:, None] / max(batches - 1, 1)
        weights = np.exp(2 * tilt * np.linspace(0, 1, amplitudes))
        return weights / weights.sum(1, keepdims=True)

    def stays(self, arm: int) -> Floats:
        """Return the probability that a focal, and a broad, segment extends by a bin ``[2]``."""
        piece = next(b for b in self.bins if b.arm == arm)
        return np.exp(-(piece.end - piece.start) / 1e6 / np.array(self.parameters.lengths))

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]) -> Drawn:
        """See :class:`Process`."""
        p, n = self.parameters, len(samples)
        ploidy = rng.choice(len(p.ploidy), n, p=self.ploidy_law)
        below = self.amplitude_law.cumsum(1)[samples.batch]
        amplitude = (rng.random(n)[:, None] > below[:, :-1]).sum(1)
        active = self.drivers.draw(samples, rng)
        state, segment = self._paths(np.where(active, self.direction, QUIET), ploidy, rng)
        hidden[self.name] = state
        mean = self.mean[state, samples.purity[:, None], ploidy[:, None]]
        wave = np.array(p.gc)[amplitude][:, None] * self.wave
        values = mean + wave + p.noise * rng.standard_t(p.freedom, mean.shape)
        values = values.astype(np.float32).astype(float)
        latents = {"ploidy": np.array(p.ploidy)[ploidy], "gc_amplitude": np.array(p.gc)[amplitude]}
        state, segment = state.astype(np.int8), segment.astype(np.int16)
        return Drawn(values, values, {"state": state, "segment": segment}, latents)

    def _paths(self, kind: Ints, ploidy: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Draw copy numbers and segment numbers ``[n, d]`` for the kind of each arm ``[n, A]``."""
        n = len(kind)
        state, segment = np.empty((2, n, len(self.bins)), int)
        copies, focal, number = np.zeros(n, int), np.zeros(n, bool), np.full(n, -1)
        for i, piece in enumerate(self.bins):
            law = self.law[kind[:, piece.arm], ploidy]
            ends = np.ones(n, bool)
            arm_begins = not i or self.bins[i - 1].arm != piece.arm
            if not arm_begins:  # the chain restarts on each arm
                stays = self.stays(piece.arm)
                ends = rng.random(n) > np.where(focal, stays[0], stays[1])
            fresh = (rng.random(n)[:, None] > law.cumsum(1)[:, :-1]).sum(1)
            number = number + (arm_begins | (ends & (fresh != copies)))
            copies = np.where(ends, fresh, copies)
            focal = np.where(ends, rng.random(n) < self.parameters.focal, focal)
            state[:, i], segment[:, i] = copies, number
        return state, segment

    def log_likelihood(self, shown: dict[str, Floats], n: int) -> Floats:
        """See :class:`Process`."""
        batches = [
            {name: values[start : start + BATCH] for name, values in shown.items()}
            for start in range(0, n, BATCH)
        ]
        return np.concatenate(list(map(self._of_batch, batches)))

    def _of_batch(self, shown: dict[str, Floats]) -> Floats:
        """Return :meth:`log_likelihood` for few samples."""
        n = len(next(iter(shown.values())))
        axes = [1] * len(self.shared.interactions)
        total = np.zeros((n, 1, 1, 1, *axes))
        for arm in range(len(self.arms)):
            total = total + self._of_arm(arm, shown)
        # Ploidy and amplitude share the axis of purity: [n, K, P H G, B, ...]
        purities, batches = self.shared.shape[1:]
        combined = len(self.parameters.ploidy) * len(self.parameters.gc)
        total = np.broadcast_to(total, (n, total.shape[1], purities * combined, *total.shape[3:]))
        split = total.reshape(n, total.shape[1], purities, combined, *total.shape[3:])
        # Both are constant along a sample's genome, so they are summed out once, over all arms.
        law = self.ploidy_law[:, None, None] * self.amplitude_law.T
        law = law.reshape(1, 1, 1, combined, batches, *axes)
        highest = split.max(3, keepdims=True)
        return np.log((law * np.exp(split - highest)).sum(3)) + highest.squeeze(3)

    def _of_arm(self, arm: int, shown: dict[str, Floats]) -> Floats:
        """Return the log-likelihood of an arm ``[n, K, P H G, B, 2, ...]``."""
        shows = list(self._emissions(arm, shown))
        rates = self.drivers.rates(arm)
        quiet = self._forward(arm, QUIET, shows)
        if rates.max() == 0:
            return self.drivers.place(quiet[:, None], arm)
        # The arm is active or not as a whole: a mixture of two chains, in logarithms.
        active = self._forward(arm, int(self.direction[arm]), shows)
        highest = np.maximum(quiet, active)
        law = rates.reshape(1, -1, 1, 1)
        quiet, active = (np.exp(each - highest)[:, None] for each in (quiet, active))
        mixed = (1 - law) * quiet + law * active
        with np.errstate(divide="ignore"):
            return self.drivers.place(np.log(mixed) + highest[:, None], arm)

    def _emissions(self, arm: int, shown: dict[str, Floats]) -> Iterator[NDArray[np.float32]]:
        """Yield for each bin of an arm the likelihood of its data ``[6, n, P, H, G, B or 1]``."""
        for i in np.flatnonzero(self.arm == arm).tolist():
            likelihood: Any = np.float32(1)
            for name, values in shown.items():
                if name == self.name:
                    likelihood = likelihood * self._of_ratio(values[:, i], i)
                else:
                    likelihood = likelihood * self._of_reader(self.readers[name], values, i)
            yield np.maximum(likelihood, np.float32(LEAST))

    def _of_ratio(self, ratio: Floats, i: int) -> NDArray[np.float32]:
        """Return the t density of a log2 ratio, up to a factor ``[6, n, P, H, G, 1]``.

        Missing ratios have density 1.
        """
        p = self.parameters
        wave = np.array(p.gc) * self.wave[i]
        expected = (self.mean[:, None, :, :, None] + wave).astype(np.float32)
        away = (ratio.reshape(-1, 1, 1, 1).astype(np.float32) - expected) / np.float32(p.noise)
        power = -(p.freedom + 1) / 2
        away *= away
        away *= np.float32(1 / p.freedom)
        away += np.float32(1)
        density = _power(away, power)
        density[:, np.isnan(ratio)] = 1
        return density[..., None]

    def _of_reader(self, emission: Any, values: Floats, i: int) -> NDArray[np.float32]:
        """Return the likelihood of a bin's genes, up to a factor ``[6, n, P, 1, 1, B]``."""
        log_likelihood = emission.log_likelihood(values, i)
        log_likelihood = log_likelihood - log_likelihood.max((1, 2, 3), keepdims=True)
        likelihood = np.moveaxis(np.exp(log_likelihood), 1, 0).astype(np.float32)
        return likelihood[:, :, :, None, None, :]

    def _forward(self, arm: int, kind: int, shows: list[NDArray[np.float32]]) -> Floats:
        """Return the log-likelihood of an arm for one kind of arm ``[n, P H G, B or 1]``."""
        law = self.law[kind].T.astype(np.float32).reshape(COPIES, 1, 1, -1, 1, 1)
        share = np.array([self.parameters.focal, 1 - self.parameters.focal], np.float32)
        stays = self.stays(arm).astype(np.float32)
        # alpha[length] ``[6, n, P, H, G, B]``: probability of the data so far with the current
        # segment focal (0) or broad (1) and at each copy number. A new segment's copy number does
        # not depend on the last one, so a step costs O(states), not O(states squared).
        alpha = [share[length] * law * shows[0] for length in range(2)]
        scale = _rescale(alpha)
        for show in shows[1:]:
            left = (1 - stays[0]) * alpha[0].sum(0) + (1 - stays[1]) * alpha[1].sum(0)
            entering = left * law
            for length in range(2):
                alpha[length] *= stays[length]
                alpha[length] += share[length] * entering
                alpha[length] *= show
            scale = scale + _rescale(alpha)
        n, purities, ploidies, _, batches = scale.shape
        full = (n, purities, ploidies, len(self.parameters.gc), batches)
        return np.broadcast_to(scale, full).reshape(n, -1, batches)

    def features(self) -> pd.DataFrame:
        """See :class:`Process`."""
        frame = pd.DataFrame(self.bins).join(self.drivers.columns(self.arm))
        frame["arm"] = [self.arms[piece.arm].name for piece in self.bins]
        gain = self.direction[self.arm] == GAIN
        frame["direction"] = np.where(frame["driver"], np.where(gain, "gain", "loss"), "")
        frame.index = [f"{b.contig}:{b.start}-{b.end}" for b in self.bins]
        return frame


def _check(p: CopyNumberParameters) -> None:
    """Refuse parameters that contradict each other."""
    problems = []
    if not p.ploidy or len(p.ploidy) != len(p.ploidy_weights) or not sum(p.ploidy_weights):
        problems.append("ploidy_weights are not one per ploidy, with one above 0")
    if not p.gc:
        problems.append("gc has no amplitude")
    if not (p.offsets and p.offsets[0] and p.driven and sum(p.driven)):
        problems.append("offsets wants a first weight above 0, and driven one anywhere")
    if problems:
        raise UsageError("; ".join(problems), where="copy_number")


def _rescale(alpha: list[NDArray[np.float32]]) -> Floats:
    """Scale the forward variables to sum to 1, in place; return the log of their sum."""
    total = alpha[0].sum(0) + alpha[1].sum(0)
    for part in alpha:
        part /= total
    return np.log(total.astype(float))


def _power(x: NDArray[np.float32], exponent: float) -> NDArray[np.float32]:
    """Return ``x ** exponent``; whole exponents, the usual ones, without a logarithm."""
    if exponent == int(exponent) and -8 <= exponent < 0:  # several times faster than np.power
        inverse = np.reciprocal(x)
        product = inverse.copy()
        for _ in range(int(-exponent) - 1):
            product *= inverse
        return product
    return np.power(x, np.float32(exponent), dtype=np.float32)


def _at_distance(weights: tuple[float, ...], distance: Ints) -> Floats:
    """Return the weight at each distance, 0 beyond the last."""
    return np.append(np.array(weights), 0.0)[np.minimum(distance, len(weights))]


def cut_arms(pieces: tuple[Arm, ...], bins: int) -> list[Bin]:
    """Allot `bins` to arms by length, at least one each, equal within an arm.

    Raises
    ------
    UsageError
        If there are fewer bins than arms.
    """
    if bins < len(pieces):
        raise UsageError(
            "fewer copy-number bins than chromosome arms",
            where="copy_number: features",
            expected=f"{len(pieces)} or more",
            found=str(bins),
        )
    lengths = np.array([arm.length for arm in pieces], float)
    wanted = lengths / lengths.sum() * (bins - len(pieces))
    counts = 1 + np.floor(wanted).astype(int)
    most_left = np.argsort(-(wanted % 1), kind="stable")
    counts[most_left[: bins - counts.sum()]] += 1
    return [
        Bin(arm.contig, start, end, number)
        for number, (arm, count) in enumerate(zip(pieces, counts, strict=True))
        for start, end in pairwise(np.linspace(arm.start, arm.end, count + 1).astype(int).tolist())
    ]
