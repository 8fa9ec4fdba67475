"""Fragmentomics: lengths of cell-free DNA as a mixture, and where short and long ones come from.

Normal cfDNA peaks at one nucleosome (167 bp) and at two (about 330 bp), with a 10.4-bp ladder
below 150 bp; tumour DNA is shorter, with a peak at 143-150 bp and a stronger ladder [1]_ [2]_. With
tumour fraction f the expected spectrum is ``(1 - f) normal + f tumour[class]``, and ::

    counts ~ DirichletMultinomial(reads, concentration * spectrum)

A plain multinomial would be wrong in a way that matters: at a million reads its sampling error is
so small that any f could be told from any other, and early detection would be solved. Between
people, spectra vary by far more than sampling.

The DELFI readout [3]_ counts short (100-150 bp) and long (151-220 bp) fragments in 5-Mb bins. All
short fragments of a sample, as the histogram counts them, are spread over the bins by a second
Dirichlet-multinomial, and all long ones by a third: the two readouts are of the same fragments,
and add up. Bin weights are those of normal cells mixed with the class's, which have their gains,
losses and open chromatin elsewhere.

The tumour fraction is a plasma sample's own; tissue purity has no part in it, nor has the batch.

References
----------
.. [1] Snyder MW et al. Cell-free DNA comprises an in vivo nucleosome footprint. Cell 2016.
   doi:10.1016/j.cell.2015.11.050
.. [2] Mouliere F et al. Enhanced detection of circulating tumor DNA by fragment size analysis. Sci
   Transl Med 2018. doi:10.1126/scitranslmed.aat4921
.. [3] Cristiano S et al. Genome-wide cell-free DNA fragmentation in patients with cancer. Nature
   2019. doi:10.1038/s41586-019-1272-6
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from genomix_cli.cohorts.simulate.levels import Levels, lognormal_levels
from genomix_cli.cohorts.simulate.process import Drawn, Process
from genomix_cli.cohorts.simulate.profiles import smooth_profile
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared
from genomix_cli.config import Count, NotNegative, Positive, Share
from genomix_cli.errors import UsageError
from genomix_cli.genome.arms import arms

SHORT, LONG = (100, 151), (151, 221)
# Spacing of the ladder, and one of its rungs (bp); others are at 134, 123, 113, 102, 92 and 82.
LADDER, RUNG = 10.4, 144
# Median circulating tumour fraction, and standard deviation of its natural logarithm.
STAGES = {"early": (0.01, 1.0), "late": (0.1, 0.8)}


@dataclass(frozen=True)
class FragmentParameters:
    """Parameters of the fragment model.

    Attributes
    ----------
    first, last, width : int
        Range of the histogram and width of its bins, in bp.
    delfi : bool
        Also count short and long fragments per genomic bin.
    delfi_bin : int
        Size of a genomic bin, bp.
    stage : {"early", "late"}
        Median tumour fraction and spread of its logarithm: .01 and 1, or .1 and .8.
    fraction, fraction_sigma : float, optional
        Median, and standard deviation of the natural logarithm, instead of the stage's.
    nodes : int
        Number of levels of the tumour fraction.
    mono, mono_sd, di, di_sd, di_share : float
        Peaks of normal cfDNA in bp, and the fraction in the second.
    short_share, ladder : float
        Fraction in the broad shoulder below the peak, and the amplitude of its ladder.
    tumour_mono : tuple of float
        Peak of tumour cfDNA: classes are spaced evenly from the first to the second.
    tumour_short_share : tuple of float
        Likewise for its shoulder.
    concentration : float
        Concentration of the histogram: the larger, the less people differ.
    bin_concentration : float
        Concentration of the genomic bins.
    bin_sd : float
        Standard deviation over bins of the log ratio of a class's weights to the normal ones.
    reads, reads_sigma : float
        Median number of fragments, and the standard deviation of its natural logarithm.
    """

    first: Count = 50
    last: Count = 400
    width: Count = 1
    delfi: bool = False
    delfi_bin: Count = 5_000_000
    stage: Literal["early", "late"] = "late"
    fraction: Share | None = None
    fraction_sigma: NotNegative | None = None
    nodes: Count = 12
    mono: Positive = 167.0
    mono_sd: Positive = 9.0
    di: Positive = 330.0
    di_sd: Positive = 25.0
    di_share: Share = 0.10
    short_share: Share = 0.25
    ladder: Share = 0.25
    tumour_mono: tuple[Positive, Positive] = (143.0, 150.0)
    tumour_short_share: tuple[Share, Share] = (0.40, 0.60)
    concentration: Positive = 5000.0
    bin_concentration: Positive = 200_000.0
    bin_sd: NotNegative = 0.1
    reads: Positive = 1e6
    reads_sigma: NotNegative = 0.3


class Fragments(Process):
    """Fragment counts; see the module for the model, Methylation for the arguments.

    An interaction moves the tumour peak of all classes to one end of their range or the other.
    """

    name = "fragmentomics"
    kind = "fragments"
    Parameters = FragmentParameters

    def __init__(
        self, parameters: FragmentParameters, shared: Shared, rng: np.random.Generator
    ) -> None:
        self.parameters = p = parameters
        self.shared = shared
        self.interactions = shared.of(self.name) if shared.share else []
        self.edges = _edges(p)
        self.fraction = _fraction(p)
        self.normal = _spectrum(p, p.mono, p.short_share, p.ladder)
        self.spectra = self._mixed(self.normal, self._tumours())
        self.bins = _bins(p.delfi_bin) if p.delfi else []
        self.weights = self._bin_weights(rng)
        self.readers = {self.name: None}

    def _mixed(self, normal: Floats, tumours: Floats) -> Floats:
        """Mix normal ``[d]`` and tumour ``[V, K, d]`` by fraction: ``[F, V, K, d]``."""
        f = self.fraction.values.reshape(-1, 1, 1, 1)
        return (1 - f) * normal + f * tumours

    def _tumours(self) -> Floats:
        """Return tumour spectra ``[V, K, d]`` for the V values of the interactions' bits."""
        p, classes = self.parameters, len(self.shared.classes)
        share = self.shared.share if self.interactions else 0.0
        ways = []
        for shown in range(2 ** len(self.interactions)):
            # The more the interactions move the peak, the less the class does.
            peaks, shoulders = (
                (1 - share) * np.linspace(*ends, classes) + share * ends[shown.bit_count() % 2]
                for ends in (p.tumour_mono, p.tumour_short_share)
            )
            shapes = zip(peaks, shoulders, strict=True)
            ways.append([_spectrum(p, *shape, 2 * p.ladder) for shape in shapes])
        return np.array(ways)

    def _bin_weights(self, rng: np.random.Generator) -> Floats:
        """Return the distribution of short and long fragments over bins ``[2, F, 1, K, bins]``."""
        if not self.bins:
            return np.zeros((2, len(self.fraction), 1, len(self.shared.classes), 0))
        sizes = np.array([end - start for _, start, end in self.bins], float)
        coverage = sizes * np.exp(smooth_profile(rng, len(sizes), 0.1))
        ratio = smooth_profile(rng, len(sizes), 0.1)
        both = []
        for sign in (1, -1):
            normal = coverage * np.exp(sign * ratio / 2)
            sd = self.parameters.bin_sd
            shift = [smooth_profile(rng, len(sizes), sd) for _ in self.shared.classes]
            tumours = normal * np.exp(np.array(shift))[None]
            normal, tumours = normal / normal.sum(), tumours / tumours.sum(-1, keepdims=True)
            both.append(self._mixed(normal, tumours))
        return np.array(both)

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]) -> Drawn:
        """See :class:`Process`."""
        p = self.parameters
        fraction = self.fraction.draw(rng, len(samples))
        way = np.zeros(len(samples), int)
        for bit, i in enumerate(self.interactions):
            way += samples.shown(self.shared, self.name, i) << bit
        reads = rng.poisson(p.reads * np.exp(rng.normal(0, p.reads_sigma, len(samples))))
        spectrum = self.spectra[fraction, way, samples.label]
        counts = _dirichlet_multinomial(reads, p.concentration * spectrum, rng)
        parts = [counts]
        for readout, (start, end) in enumerate((SHORT, LONG)):
            if self.bins:
                inside = (self.edges[:-1] >= start) & (self.edges[1:] <= end)
                total = counts[:, inside].sum(1)
                weights = self.weights[readout, fraction, 0, samples.label]
                parts.append(_dirichlet_multinomial(total, p.bin_concentration * weights, rng))
        data = np.hstack(parts).astype(float)
        return Drawn(data, data, latents={"tumour_fraction": self.fraction.values[fraction]})

    def log_likelihood(self, shown: dict[str, Floats], n: int) -> Floats:
        """See :class:`Process`."""
        present = ~np.isnan(shown[self.name][:, 0])
        data = np.nan_to_num(shown[self.name])
        width = len(self.edges) - 1
        histogram, short, long = np.split(data, [width, width + len(self.bins)], axis=1)
        total = _log_dirichlet_multinomial(histogram, self.parameters.concentration * self.spectra)
        for weights, counts in zip(self.weights, (short, long), strict=True):
            if self.bins:
                alpha = self.parameters.bin_concentration * weights
                total = total + _log_dirichlet_multinomial(counts, alpha)
        weights = np.log(self.fraction.weights).reshape(1, -1, 1, 1)
        return self._on_axes(_log_sum(total + weights, 1) * present.reshape(-1, 1, 1))

    def _on_axes(self, values: Floats) -> Floats:
        """Reshape ``[n, V, K]`` to ``[n, K, 1, 1, 2, ...]``."""
        n, _, classes = values.shape
        # The lowest bit of V is the first interaction, which is the last axis once V is unfolded.
        values = np.moveaxis(values, 2, 1).reshape(n, classes, *[2] * len(self.interactions))
        values = values.transpose(0, 1, *range(values.ndim - 1, 1, -1))
        axes = [2 if i in self.interactions else 1 for i in range(len(self.shared.interactions))]
        return values.reshape(n, classes, 1, 1, *axes)

    def features(self) -> pd.DataFrame:
        """See :class:`Process`."""
        rows: list[tuple[str, str, float, int, str, int, int]] = [
            (f"len{start}", "length", start, end - start, "", -1, -1)
            for start, end in zip(self.edges[:-1].tolist(), self.edges[1:].tolist(), strict=True)
        ]
        for readout in ("short", "long"):
            rows += [
                (f"{contig}:{start}-{end}:{readout}", readout, np.nan, 0, contig, start, end)
                for contig, start, end in self.bins
            ]
        names = ["name", "readout", "length", "width", "contig", "start", "end"]
        frame = pd.DataFrame(rows, columns=names).set_index("name")
        frame.index.name = None
        # Every length and every bin depends on the class.
        frame["driver"] = True
        return frame


def _fraction(parameters: FragmentParameters) -> Levels:
    """Return the distribution of the tumour fraction."""
    of_stage, own = STAGES[parameters.stage], (parameters.fraction, parameters.fraction_sigma)
    median, sigma = (a if b is None else b for a, b in zip(of_stage, own, strict=True))
    return lognormal_levels(median, sigma, parameters.nodes)


def _edges(parameters: FragmentParameters) -> Ints:
    """Return the edges of the histogram's bins."""
    if parameters.last - parameters.first < parameters.width:
        raise UsageError(
            "fewer than two lengths",
            where="fragmentomics",
            expected="first + width to be at most last",
            found=f"first {parameters.first}, last {parameters.last}, width {parameters.width}",
        )
    edges = np.arange(parameters.first, parameters.last + 2, parameters.width)
    if edges[-1] <= parameters.last:
        edges = np.append(edges, parameters.last + 1)
    missing = [edge for edge in (*SHORT, LONG[1]) if edge not in edges]
    if parameters.delfi and missing:
        raise UsageError(
            "DELFI needs histogram bins that end where short and long fragments do",
            where="fragmentomics",
            expected=f"edges at {SHORT[0]}, {LONG[0]} and {LONG[1]}",
            found=f"none at {', '.join(map(str, missing))}",
            hint="set first, last and width, such as 50, 400 and 1",
        )
    return edges


def _spectrum(p: FragmentParameters, mono: float, short_share: float, ladder: float) -> Floats:
    """Return the distribution over bins: nucleosome peak, laddered shoulder, second peak."""
    lengths = np.arange(p.first, p.last + 1, dtype=float)
    peak = _normal_density(lengths, mono, p.mono_sd)
    # Enzymes cut at each turn of the helix, at the same positions of the nucleosome in all cells.
    wave = 1 + ladder * np.cos(2 * np.pi * (lengths - RUNG) / LADDER) * (lengths < 150)
    shoulder = _normal_density(lengths, mono - 27, 22) * wave
    second = _normal_density(lengths, p.di, p.di_sd)
    parts = [part / part.sum() for part in (peak, shoulder, second)]
    density = (1 - p.di_share) * ((1 - short_share) * parts[0] + short_share * parts[1])
    density = density + p.di_share * parts[2] + 1e-6
    starts = _edges(p)[:-1] - p.first
    return np.add.reduceat(density, starts) / density.sum()


def _normal_density(x: Floats, mean: float, sd: float) -> Floats:
    return np.exp(-(((x - mean) / sd) ** 2) / 2)


def _bins(size: int) -> list[tuple[str, int, int]]:
    """Return bins of the autosomes, none across a centromere or below half the size."""
    return [
        (arm.contig, start, min(start + size, arm.end))
        for arm in arms()
        for start in range(arm.start, arm.end, size)
        if min(start + size, arm.end) - start >= size / 2
    ]


def _dirichlet_multinomial(total: Ints, alpha: Floats, rng: np.random.Generator) -> Ints:
    """Draw counts ``[n, d]`` that sum to `total`."""
    rates = rng.standard_gamma(alpha)
    return rng.multinomial(total, rates / rates.sum(-1, keepdims=True))


def _log_dirichlet_multinomial(counts: Floats, alpha: Floats) -> Floats:
    """Return the log probability ``[n, F, V, K]``, up to terms without alpha ``[F, V, K, d]``."""
    from scipy.special import gammaln

    total = counts.sum(1).reshape(-1, 1, 1, 1)
    whole = alpha.sum(-1)[None]
    log_probability = gammaln(whole) - gammaln(whole + total)
    for feature, count in enumerate(counts.T):
        a = alpha[..., feature][None]
        log_probability = log_probability + gammaln(a + count.reshape(-1, 1, 1, 1)) - gammaln(a)
    return log_probability


def _log_sum(values: Floats, axis: int) -> Floats:
    """Return ``log sum exp`` along an axis."""
    highest = values.max(axis, keepdims=True)
    return np.log(np.exp(values - highest).sum(axis)) + highest.squeeze(axis)
