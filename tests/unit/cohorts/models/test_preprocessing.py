"""Preprocessing learned on training samples and applied to new ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genomix_cli.cohorts.dataset import Modality, Samples
from genomix_cli.cohorts.models.preprocessing import (
    CLIP,
    Preprocessor,
    comparable,
    fit_preprocessor,
)
from tests.cohort_samples import easy, with_gaps


def one(values: np.ndarray, kind: str = "expression", **fields) -> Samples:
    """Samples with a single modality."""
    values = np.asarray(values, np.float32)
    features = tuple(f"f{i}" for i in range(values.shape[1]))
    samples = easy(len(values), names=("rna",), widths=(values.shape[1],), shift=0)
    modality = Modality("rna", kind, features, **fields)
    return replace(samples, modalities=(modality,), values={"rna": values})


def test_training_values_have_mean_0_and_variance_1_where_they_are_observed():
    samples = with_gaps(easy(n=300))
    encoded = fit_preprocessor(samples).transform(samples)
    for values, observed in zip(encoded.values, encoded.observed, strict=True):
        assert values.dtype == np.float32
        assert (values[~observed] == 0).all()
        for z, seen in zip(values.T, observed.T, strict=True):
            assert z[seen].mean() == pytest.approx(0, abs=1e-5)
            assert z[seen].std() == pytest.approx(1, abs=1e-5)


def test_observed_is_false_in_all_of_a_modality_that_lacks():
    samples = with_gaps(easy())
    encoded = fit_preprocessor(samples).transform(samples)
    for i, observed in enumerate(encoded.observed):
        assert not observed[~samples.present[:, i]].any()
        assert observed[samples.present[:, i]].mean() > 0.9


def test_new_samples_are_measured_by_the_training_samples_alone():
    train, test = easy(seed=0), easy(seed=1)
    test.values["rna"] += 5
    preprocessor = fit_preprocessor(train)
    together = preprocessor.transform(test)
    alone = preprocessor.transform(test.take(np.array([7])))
    np.testing.assert_array_equal(alone.values[0], together.values[0][[7]])
    assert together.values[0].mean() > 2


def test_features_that_are_constant_or_never_observed_are_left_out():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 5))
    values[:, 1] = 0.1  # not a float32
    values[:, 2] = np.nan
    values[1:, 3] = np.nan
    kept = fit_preprocessor(one(values)).selected[0]
    assert kept.features == ("f0", "f4")


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_do_not_matter(unit):
    values = np.random.default_rng(0).normal(5, 1, size=(50, 4))
    plain, scaled = (fit_preprocessor(one(v)).transform(one(v)) for v in (values, values * unit))
    np.testing.assert_allclose(scaled.flat(), plain.flat(), atol=1e-4)


def test_a_large_mean_does_not_hide_a_small_variance():
    values = np.float32(1e5) + np.random.default_rng(0).normal(size=(200, 1)).astype("f4")
    z = fit_preprocessor(one(values)).transform(one(values)).flat()
    assert z.std() == pytest.approx(1, abs=1e-3)


def test_outliers_are_drawn_in_and_infinity_is_missing():
    samples = easy()
    preprocessor = fit_preprocessor(samples)
    samples.values["rna"][0, 0], samples.values["rna"][1, 0] = 1e6, np.inf
    encoded = preprocessor.transform(samples)
    assert encoded.values[0][0, 0] == CLIP
    assert encoded.observed[0][:2, 0].tolist() == [True, False]
    assert encoded.values[0][1, 0] == 0


def test_fragment_counts_become_log_ratios_within_their_readout():
    rng = np.random.default_rng(0)
    counts = rng.poisson(50, (4, 6)).astype(np.float32)
    readout = ("length", "length", "length", "short", "short", "short")
    modality = Modality("rna", "fragments", tuple("abcdef"), readout)
    found = comparable(counts, modality)
    for part in (slice(0, 3), slice(3, 6)):
        geometric = np.exp(np.log(counts[:, part] + 0.5).mean(1, keepdims=True))
        np.testing.assert_allclose(
            found[:, part], np.log((counts[:, part] + 0.5) / geometric), atol=1e-5
        )


def test_the_depth_of_fragments_does_not_count():
    counts = np.random.default_rng(0).poisson(5000, (3, 40)).astype(np.float32)
    modality = Modality("rna", "fragments", tuple(map(str, range(40))))
    shallow, deep = comparable(counts, modality), comparable(10 * counts, modality)
    np.testing.assert_allclose(shallow, deep, atol=1e-3)
    counts[0, :10] = np.nan
    gaps = comparable(counts, modality)
    assert np.isnan(gaps[0, :10]).all()
    assert gaps[0, 10:].mean() == pytest.approx(0, abs=1e-5)


def test_other_kinds_stay_as_they_are():
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    assert comparable(values, Modality("m", "mutations", tuple("abcd"))) is values


def test_selection_sees_the_training_samples_scaled_and_chooses_in_the_wider_modality():
    seen = []

    def last(values, label, k, seed):
        seen.append((values, label, seed))
        return np.arange(values.shape[1] - k, values.shape[1])

    samples = with_gaps(easy(widths=(8, 4)))
    preprocessor = fit_preprocessor(samples, select=last, top_k=3, seed=11)
    assert [m.features for m in preprocessor.selected] == [
        ("rna4", "rna5", "rna6"),  # rna7 is constant
        ("meth0", "meth1", "meth2"),
    ]
    [(values, label, seed)] = seen
    assert values.shape == (240, 7)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-5)
    assert (label == samples.label).all()
    assert seed == 11


def test_what_is_kept_keeps_its_places():
    samples = one(np.random.default_rng(0).normal(size=(9, 3)), contig=("1", "2", "3"))
    samples.values["rna"][:, 1] = 4
    modality = replace(samples.modalities[0], position=(10, 20, 30))
    [kept] = fit_preprocessor(replace(samples, modalities=(modality,))).selected
    assert (kept.contig, kept.position, kept.readout) == (("1", "3"), (10, 30), ())


def test_state_and_back():
    samples = with_gaps(easy())
    preprocessor = fit_preprocessor(samples)
    again = Preprocessor.restore(samples.modalities, preprocessor.state())
    for a, b in zip(again.transform(samples), preprocessor.transform(samples), strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
