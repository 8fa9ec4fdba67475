"""The generative models of cohorts against closed forms and brute force."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import logsumexp

from genomix_cli.cohorts.simulate.blocks import Blocks
from genomix_cli.cohorts.simulate.copy_number import CopyNumber, CopyNumberParameters, cut_arms
from genomix_cli.cohorts.simulate.drivers import Drivers
from genomix_cli.cohorts.simulate.emissions import (
    BetaBinomialEmission,
    BetaEmission,
    GaussianEmission,
)
from genomix_cli.cohorts.simulate.fragments import (
    LONG,
    SHORT,
    FragmentParameters,
    Fragments,
)
from genomix_cli.cohorts.simulate.levels import Levels, beta_levels, lognormal_levels
from genomix_cli.cohorts.simulate.methylation import Methylation, MethylationParameters
from genomix_cli.cohorts.simulate.shared import (
    Interaction,
    Samples,
    Shared,
    batch_law,
    class_codes,
    draw_samples,
)
from genomix_cli.errors import UsageError
from genomix_cli.genome.arms import Arm, arms

ONE = Levels(np.array([0.7]), np.array([1.0]))
TWO = Levels(np.array([0.4, 0.8]), np.array([0.3, 0.7]))


def shared(
    purity: Levels = ONE, classes: int = 2, batches: int = 1, pairs: tuple[Interaction, ...] = ()
) -> Shared:
    names = tuple("abcdef"[:classes])
    prior = np.arange(classes, 0, -1) / np.arange(1, classes + 1).sum()
    return Shared(names, prior, purity, batch_law(classes, batches, 0.3), pairs)


def drivers(shared: Shared, of_class: list[int], penetrance: float, background: float) -> Drivers:
    units = len(of_class)
    return Drivers(
        "x",
        shared,
        np.array(of_class),
        np.full(units, -1),
        np.full(units, penetrance),
        np.full(units, background),
    )


@pytest.mark.parametrize(("a", "b", "nodes"), [(6.0, 4.0, 12), (2.0, 2.0, 5), (0.5, 3.0, 8)])
def test_levels_have_the_moments_of_the_beta_law(a: float, b: float, nodes: int) -> None:
    levels = beta_levels(a, b, nodes)
    for order in range(1, 2 * nodes):
        expected = stats.beta(a, b).moment(order)
        assert_allclose(levels.weights @ levels.values**order, expected, rtol=1e-8)


def test_levels_of_the_tumour_fraction_have_its_median_and_spread() -> None:
    levels = lognormal_levels(0.01, 1.0, 15)
    assert_allclose(levels.weights @ np.log(levels.values), np.log(0.01), atol=1e-9)
    assert_allclose(levels.weights @ (np.log(levels.values) - np.log(0.01)) ** 2, 1, rtol=1e-2)
    assert levels.values.max() <= 0.95


def test_two_gaussians_have_the_closed_form_posterior() -> None:
    """One feature, one state per class: the posterior is logistic in x."""
    law = shared()
    mean, sd = np.array([1.0, 3.0]), 0.8
    emission = GaussianEmission(np.array([0]), 1, mean.reshape(1, 2, 1, 1), np.array([sd]))
    blocks = Blocks(drivers(law, [1], 1.0, 0.0), np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    x = np.linspace(-2, 6, 41)
    found = blocks.log_likelihood([(emission, x[:, None])], len(x)) + law.log_prior()
    posterior = np.exp(found[:, 1] - np.logaddexp(found[:, 0], found[:, 1])).ravel()
    log_odds = np.log(law.prior[1] / law.prior[0]) + (mean[1] - mean[0]) * (x - mean.mean()) / sd**2
    assert_allclose(posterior, 1 / (1 + np.exp(-log_odds)), atol=1e-6)


@pytest.mark.parametrize("kind", ["beta", "gaussian", "betabinomial"])
def test_emissions_are_the_densities_they_say(kind: str) -> None:
    rng = np.random.default_rng(1)
    mean = rng.uniform(0.1, 0.9, (3, 2, 2, 2))
    unit = np.array([0, 0, 1])
    phi = np.array([20.0, 12.0, 50.0])
    each_phi = phi.reshape(3, 1, 1, 1)
    if kind == "beta":
        emission, values = BetaEmission(unit, 2, mean, phi), rng.uniform(0.05, 0.95, (5, 3))
        law = stats.beta(mean * each_phi, (1 - mean) * each_phi)
        each = [law.logpdf(row.reshape(3, 1, 1, 1)) for row in values]
    elif kind == "gaussian":
        sd = np.array([0.5, 1.0, 2.0])
        emission, values = GaussianEmission(unit, 2, mean, sd), rng.normal(0, 1, (5, 3))
        each = [
            stats.norm(mean, sd.reshape(3, 1, 1, 1)).logpdf(row.reshape(3, 1, 1, 1))
            for row in values
        ]
    else:
        emission = BetaBinomialEmission(unit, mean, phi, 9.0)
        depth = rng.integers(1, 20, (5, 3))
        k = rng.binomial(depth, 0.4)
        values = k + 1j * depth
        each = [
            stats.betabinom(d, mean * each_phi, (1 - mean) * each_phi).logpmf(x)
            - np.log(_choose(d, x))
            for x, d in ((k[i].reshape(3, 1, 1, 1), depth[i].reshape(3, 1, 1, 1)) for i in range(5))
        ]
    for u in range(2):
        expected = np.stack([found[unit == u].sum(0) for found in each])
        assert_allclose(emission.log_likelihood(values, u), expected, atol=1e-9)
    missing = np.full_like(values, np.nan)
    assert_allclose(emission.log_likelihood(missing, 0), 0)


def _choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    from scipy.special import comb

    return comb(n, k)


def test_blocks_are_a_mixture_over_states() -> None:
    """The likelihood equals the sum over every assignment of states to two blocks."""
    law = shared(TWO, classes=3)
    rng = np.random.default_rng(2)
    mean = rng.uniform(0.1, 0.9, (4, 3, 2, 1))
    unit = np.array([0, 0, 1, 1])
    emission = BetaEmission(unit, 2, mean, np.full(4, 15.0))
    quiet, active = rng.dirichlet(np.ones(3), 2), rng.dirichlet(np.ones(3), 2)
    blocks = Blocks(drivers(law, [2, -1], 0.7, 0.1), quiet, active)
    x = rng.uniform(0.1, 0.9, (3, 4))
    found = np.broadcast_to(blocks.log_likelihood([(emission, x)], 3), (3, 3, 2, 1))
    for i, y, p in product(range(3), range(3), range(2)):
        total = 0.0
        for states in product(range(3), repeat=2):
            rate = [0.7 if y == 2 else 0.1, 0.1]
            prior = np.prod(
                [rate[u] * active[u, s] + (1 - rate[u]) * quiet[u, s] for u, s in enumerate(states)]
            )
            m = np.array([mean[j, states[unit[j]], p, 0] for j in range(4)])
            total += prior * np.prod(stats.beta(m * 15, (1 - m) * 15).pdf(x[i]))
        assert_allclose(found[i, y, p, 0], np.log(total), rtol=1e-9)


@pytest.fixture
def two_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = (Arm("1p", "chr1", 0, 30_000_000), Arm("1q", "chr1", 30_000_000, 50_000_000))
    monkeypatch.setattr("genomix_cli.cohorts.simulate.copy_number.arms", lambda: pieces)


def test_forward_algorithm_is_the_sum_over_all_paths(two_arms: None) -> None:
    """The sum runs over all 12^3 paths of an arm of three bins and all 12^2 of an arm of two."""
    law = shared(TWO, classes=2, batches=2)
    parameters = CopyNumberParameters(
        features=5, drivers=1, ploidy=(2.0, 3.0), ploidy_weights=(0.6, 0.4), gc=(0.0, 0.2)
    )
    model = CopyNumber(parameters, law, np.random.default_rng(3))
    rng = np.random.default_rng(4)
    samples = draw_samples(law, 2, rng)
    ratios = model.draw(samples, rng, {}).values
    ratios[1, 3] = np.nan
    found = model.log_likelihood({"copy_number": ratios}, 2)
    found = np.broadcast_to(found, (2, 2, 2, 2))
    expected = np.array(
        [
            [[[_by_paths(model, row, y, p, b) for b in (0, 1)] for p in (0, 1)] for y in (0, 1)]
            for row in ratios
        ]
    )
    # Factors that no class changes are left out: compare differences.
    assert_allclose(
        found - found[:, :1, :1, :1], np.log(expected / expected[:, :1, :1, :1]), atol=1e-5
    )


def _by_paths(model: CopyNumber, ratios: np.ndarray, y: int, p: int, b: int) -> float:
    settings = model.parameters
    total = 0.0
    for h, weight in enumerate(settings.ploidy_weights):
        for g, amplitude in enumerate(settings.gc):
            likelihood = weight * model.amplitude_law[b, g]
            for arm in range(2):
                likelihood *= _arm_by_paths(model, ratios, arm, y, p, h, amplitude)
            total += likelihood
    return total


def _arm_by_paths(
    model: CopyNumber, ratios: np.ndarray, arm: int, y: int, p: int, h: int, amplitude: float
) -> float:
    settings, bins = model.parameters, np.flatnonzero(model.arm == arm)
    rates = model.drivers.rates(arm)
    rate = rates[y] if len(rates) > 1 else rates[0]
    share, stays = (settings.focal, 1 - settings.focal), model.stays(arm)
    mean = model.mean[:, p, h] + amplitude * model.wave[bins, None]
    shown = stats.t(settings.freedom, mean, settings.noise).pdf(ratios[bins, None])
    shown = np.where(np.isnan(shown), 1, shown).tolist()
    total = 0.0
    for kind, weight in ((0, 1 - rate), (int(model.direction[arm]), rate)):
        law = model.law[kind, h]
        for path in product(product(range(6), range(2)), repeat=len(bins)):
            (c, length), chance = path[0], weight
            chance *= law[c] * share[length]
            for before, after in pairwise(path):
                chance *= _step(law, share, stays, before, after)
            for (c, _), row in zip(path, shown, strict=True):
                chance *= row[c]
            total += chance
    return total


def _step(law, share, stays, before, after) -> float:  # type: ignore[no-untyped-def]
    """Probability of the next bin's copy number and length class."""
    (_, l0), (c1, l1) = before, after
    return float(stays[l0] * (before == after) + (1 - stays[l0]) * law[c1] * share[l1])


def test_ratios_far_from_every_state_have_a_likelihood_too() -> None:
    """Fitted noise may be so small that all likelihoods would be 0 in float32."""
    law = shared(beta_levels(5, 3, 6))
    settings = CopyNumberParameters(noise=0.007, freedom=50.0)
    model = CopyNumber(settings, law, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    samples = draw_samples(law, 20, rng)
    ratios = model.draw(samples, rng, {}).values
    ratios[0, :3] = 9.0
    with np.errstate(all="raise", under="ignore"):
        found = model.log_likelihood({"copy_number": ratios}, 20)
    assert np.isfinite(found).all()
    # With so little noise the purity of a sample is as good as known.
    of_purity = logsumexp(found[..., 0], 1)  # [n, P]
    assert_array_equal(of_purity.argmax(1), samples.purity)


def test_segments_of_the_path_are_where_copies_change() -> None:
    law = shared(beta_levels(5, 3, 6))
    model = CopyNumber(CopyNumberParameters(features=200), law, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    drawn = model.draw(draw_samples(law, 50, rng), rng, {})
    state, segment = drawn.layers["state"], drawn.layers["segment"]
    new_arm = np.diff(model.arm) != 0
    assert (np.diff(segment, axis=1)[:, new_arm] == 1).all()
    changes = np.diff(state, axis=1) != 0
    assert_allclose(np.diff(segment, axis=1)[:, ~new_arm], changes[:, ~new_arm])


def test_focal_and_broad_segments_have_their_lengths() -> None:
    """Segment lengths show in how often the next bin of 1.4 Mb has the same copy number."""
    law = shared(beta_levels(5, 3, 6))
    rng = np.random.default_rng(2)
    for focal, length in ((1.0, 8.0), (0.0, 40.0)):
        settings = CopyNumberParameters(features=2000, focal=focal, drivers=0, lengths=(8.0, 40.0))
        model = CopyNumber(settings, law, np.random.default_rng(1))
        drawn = model.draw(draw_samples(law, 100, rng), rng, {})
        inside = np.diff(model.arm) == 0
        state = drawn.layers["state"]
        same = (state[:, 1:] == state[:, :-1])[:, inside].mean()
        # By chance the next segment has the same copy number.
        weights = np.array(settings.ploidy_weights) / sum(settings.ploidy_weights)
        again = float(weights @ (model.law[0] ** 2).sum(1))
        stays = np.exp(-2794.1 / 2000 / length)
        assert_allclose(same, stays + (1 - stays) * again, atol=0.01)


def test_segments_have_the_frequencies_of_their_law() -> None:
    law = shared(beta_levels(5, 3, 6))
    settings = CopyNumberParameters(features=300, drivers=0, ploidy=(2.0,), ploidy_weights=(1.0,))
    model = CopyNumber(settings, law, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    state = model.draw(draw_samples(law, 2000, rng), rng, {}).layers["state"]
    found = np.bincount(state.ravel(), minlength=6) / state.size
    assert_allclose(found, model.law[0, 0], atol=0.006)
    # 0.85 at two copies, 0.12 a copy away, 0.02 two away on either side, 0.01 three away above.
    assert_allclose(model.law[0, 0] * 1.14, [0.02, 0.12, 0.85, 0.12, 0.02, 0.01], atol=1e-9)


def test_bins_are_shared_out_by_length() -> None:
    bins = cut_arms(arms(), 110)
    assert len(bins) == 110
    assert {piece.arm for piece in bins} == set(range(39))
    lengths = np.array([b.end - b.start for b in bins])
    assert lengths.sum() == sum(arm.length for arm in arms())
    with pytest.raises(UsageError, match="fewer copy-number bins"):
        cut_arms(arms(), 20)


def test_copy_ratio_is_that_of_ichorcna() -> None:
    model = CopyNumber(CopyNumberParameters(), shared(TWO), np.random.default_rng(1))
    ploidy = model.parameters.ploidy.index(3.0)
    # Purity .8, 5 copies, ploidy 3: (.8 x 5 + .4) / (.8 x 3 + .4)
    assert_allclose(model.mean[5, 1, ploidy], np.log2(4.4 / 2.8))
    assert_allclose(model.mean[2, :, model.parameters.ploidy.index(2.0)], 0, atol=1e-12)


def test_fragments_are_a_mixture_of_dirichlet_multinomials() -> None:
    settings = FragmentParameters(first=140, last=179, width=10, nodes=3, concentration=50.0)
    model = Fragments(settings, shared(classes=3), np.random.default_rng(1))
    counts = np.array([[3.0, 5, 2, 1], [0, 9, 4, 0]])
    found = model.log_likelihood({"fragmentomics": counts}, 2)[:, :, 0, 0]
    expected = np.zeros((2, 3))
    for i, y in product(range(2), range(3)):
        expected[i, y] = np.log(
            sum(
                weight
                * stats.dirichlet_multinomial(
                    50 * model.spectra[f, 0, y], int(counts[i].sum())
                ).pmf(counts[i].astype(int))
                for f, weight in enumerate(model.fraction.weights)
            )
        )
    assert_allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-9)
    assert_allclose(model.log_likelihood({"fragmentomics": np.full((1, 4), np.nan)}, 1), 0)


def test_delfi_counts_add_up_to_the_histogram() -> None:
    settings = FragmentParameters(delfi=True, delfi_bin=50_000_000)
    model = Fragments(settings, shared(), np.random.default_rng(1))
    rng = np.random.default_rng(2)
    values = model.draw(draw_samples(model.shared, 5, rng), rng, {}).values
    frame = model.features()
    length = frame["length"].to_numpy()
    for readout, (start, end) in (("short", SHORT), ("long", LONG)):
        lengths = (frame["readout"] == "length") & (length >= start) & (length < end)
        assert_allclose(
            values[:, (frame["readout"] == readout).to_numpy()].sum(1),
            values[:, lengths.to_numpy()].sum(1),
        )


def test_delfi_needs_bins_that_end_at_its_borders() -> None:
    with pytest.raises(UsageError, match=r"edges at 100, 151 and 221.*none at"):
        Fragments(
            FragmentParameters(delfi=True, first=50, width=7),
            shared(),
            np.random.default_rng(1),
        )


def test_spectra_peak_where_the_literature_has_them() -> None:
    model = Fragments(FragmentParameters(), shared(), np.random.default_rng(1))
    normal, tumour = model.normal, model._tumours()[0]
    lengths = np.arange(50, 401)
    assert abs(lengths[normal.argmax()] - 167) <= 2
    assert all(140 <= lengths[row.argmax()] <= 152 for row in tumour)
    # The second nucleosome: a local maximum near 330.
    second = normal[(lengths > 280)]
    assert abs(lengths[lengths > 280][second.argmax()] - 330) <= 3
    # The ladder: maxima about 10.4 bp apart between 90 and 150.
    ladder = tumour[0][(lengths >= 90) & (lengths <= 140)]
    peaks = np.flatnonzero((ladder[1:-1] > ladder[:-2]) & (ladder[1:-1] > ladder[2:]))
    assert len(peaks) >= 3
    assert_allclose(np.diff(peaks).mean(), 10.4, atol=1.0)
    # Tumour DNA is shorter.
    assert (tumour @ lengths < normal @ lengths).all()


def test_methylation_is_bimodal() -> None:
    law = shared(beta_levels(6, 4, 8))
    model = Methylation(MethylationParameters(features=500), law, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    values = model.draw(draw_samples(law, 200, rng), rng, {}).values
    low, middle, high = np.histogram(values, [0, 1 / 3, 2 / 3, 1])[0] / values.size
    assert low > 1.5 * middle
    assert high > 1.5 * middle


def test_methylation_of_drivers_follows_class_and_purity() -> None:
    law = shared(TWO, classes=2)
    settings = MethylationParameters(features=300, drivers=60, penetrance=0.99, background=0.0)
    model = Methylation(settings, law, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    samples = draw_samples(law, 400, rng)
    values = model.draw(samples, rng, {}).values
    frame = model.features()
    own = ((frame["driver_class"] == "a") & (frame["direction"] == "hyper")).to_numpy()
    a = samples.label == 0
    low, high = (values[a & (samples.purity == p)][:, own].mean() for p in (0, 1))
    off = values[~a][:, own].mean()
    assert off < low < high


def test_codes_tell_the_classes_apart() -> None:
    codes = np.array(class_codes([0.4, 0.3, 0.2, 0.1], 2))
    assert len(np.unique(codes, axis=1).T) == 4
    assert np.array(class_codes([0.5, 0.5], 3)).tolist() == [[0, 1]] * 3


def test_an_interaction_is_seen_by_both_modalities_together_alone() -> None:
    pair = Interaction("first", "second", (0, 1))
    law = shared(pairs=(pair,))
    samples = Samples(
        np.array([0, 0, 1, 1]), np.zeros(4, int), np.zeros(4, int), np.array([[0], [1], [0], [1]])
    )
    assert samples.shown(law, "first", 0).tolist() == [0, 1, 0, 1]
    assert samples.shown(law, "second", 0).tolist() == [0, 1, 1, 0]
    # What each modality shows, seen without noise, on the axis of the bit.
    first = np.log(np.array([[0.9, 0.1]])).reshape(1, 1, 1, 1, 2)
    second = np.log(np.array([[0.2, 0.8]])).reshape(1, 1, 1, 1, 2)
    both = first + law.in_bits(second, "second") + law.log_prior()
    chance = np.exp(both).sum((2, 3, 4))[0] / law.prior
    assert_allclose(chance, [(0.9 * 0.2 + 0.1 * 0.8) / 2, (0.9 * 0.8 + 0.1 * 0.2) / 2])


def test_batches_follow_the_class_as_far_as_they_are_confounded() -> None:
    assert_allclose(batch_law(2, 4, 0.0), 0.25)
    assert_allclose(batch_law(3, 3, 1.0), np.eye(3))
    law = replace(shared(classes=3), batch=batch_law(3, 3, 0.5))
    samples = draw_samples(law, 20_000, np.random.default_rng(1))
    found = np.array(
        [[(samples.batch[samples.label == y] == b).mean() for b in range(3)] for y in range(3)]
    )
    assert_allclose(found, law.batch, atol=0.03)
