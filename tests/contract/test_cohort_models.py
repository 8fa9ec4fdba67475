"""Every registered cohort model keeps the same promises."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from sklearn.model_selection import ParameterSampler

from genomix_cli.cohorts.dataset import Samples
from genomix_cli.cohorts.models.base import CohortModel
from genomix_cli.cohorts.runs import RunConfig, load_run, save_run
from genomix_cli.comparison.calibrations import Calibration
from genomix_cli.comparison.clustering import silhouettes
from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.tuning import candidates
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import GenomixError
from genomix_cli.learning.calibration import log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS
from tests.cohort_samples import easy, with_gaps, without
from tests.sizes import each_size

# What makes a fit short, for those that have the field.
SMALL: dict[str, Any] = {
    "epochs": 3,
    "alone_epochs": 3,
    "joint_epochs": 5,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "trees": 20,
    "rounds": 20,
    "folds": 3,
    "strengths": (0.01, 0.1),
}


@pytest.fixture(params=list(COHORT_MODELS))
def name(request: pytest.FixtureRequest) -> str:
    if request.param not in COHORT_MODELS.installed():
        pytest.skip("its package is not installed")
    return str(request.param)


def make(name: str) -> CohortModel:
    model_class = COHORT_MODELS.load(name)
    fields = {field.name for field in dataclasses.fields(model_class.config_class)}
    small = {field: value for field, value in SMALL.items() if field in fields}
    if "rounds" in small and "learning_rate" in small:
        small["learning_rate"] = 0.2
    return model_class(from_dict(model_class.config_class, small))


TRAIN = with_gaps(easy(seed=0))
TEST = easy(seed=1)


@cache
def fitted(name: str) -> CohortModel:
    """Fitted to samples with gaps, once."""
    model = make(name)
    model.fit(TRAIN, FitSettings(seed=3))
    return model


def check(log_p: np.ndarray, samples: Samples) -> None:
    assert log_p.shape == (len(samples), len(samples.classes))
    assert log_p.dtype == np.float64
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(np.logaddexp.reduce(log_p, axis=1), 0, atol=1e-9)


def test_config_round_trips(name: str) -> None:
    model_class = COHORT_MODELS.load(name)
    config = model_class.config_class()
    assert from_dict(model_class.config_class, to_dict(config)) == config


def refused_or_learned(name: str, samples: Samples, **fields: Any) -> None:
    short = {"epochs": 1, "alone_epochs": 1, "joint_epochs": 1, "batch_size": 8}
    short |= {"trees": 3, "rounds": 3}
    model_class = COHORT_MODELS.load(name)
    known = {field.name for field in dataclasses.fields(model_class.config_class)}
    try:
        model = model_class(
            from_dict(
                model_class.config_class,
                {**{key: value for key, value in short.items() if key in known}, **fields},
            )
        )
        model.fit(samples, FitSettings(seed=3))
    except GenomixError:
        return
    check(model.log_probability(samples), samples)


def test_few_samples_of_few_features_are_refused_or_learned(name: str) -> None:
    """Each class has fewer samples than the parts that some models divide it into."""
    refused_or_learned(name, few(8, 1))


@pytest.mark.slow
def test_a_size_is_refused_or_learns(name: str) -> None:
    samples = few(20, 7)
    for n, width in ((8, 2), (17, 1), (40, 100)):
        refused_or_learned(name, few(n, width))
    for field, value in each_size(COHORT_MODELS.load(name).config_class, (-1, 0, 1, 2, 7)):
        refused_or_learned(name, samples, **{field: value})
    if "members" in {f.name for f in dataclasses.fields(COHORT_MODELS.load(name).config_class)}:
        refused_or_learned(name, few(8, 2), members=11)


def few(n: int, width: int) -> Samples:
    """Two classes, the first features of each modality."""
    samples = easy(n=n, widths=(max(width, 5), max(width, 5)))
    cut = [dataclasses.replace(m, features=m.features[:width]) for m in samples.modalities]
    values = {name: x[:, :width] for name, x in samples.values.items()}
    return dataclasses.replace(samples, modalities=tuple(cut), values=values)


def test_every_preset_builds(name: str) -> None:
    model_class = COHORT_MODELS.load(name)
    assert model_class.presets
    for preset in model_class.presets.values():
        model_class(from_dict(model_class.config_class, preset))


@pytest.mark.filterwarnings("ignore:The total space of parameters")
def test_what_tuning_draws_is_a_configuration(name: str) -> None:
    model_class = COHORT_MODELS.load(name)
    if not model_class.space:
        assert candidates(Entrant(name, name, COHORT_MODELS), 5, 0) == [
            {}
        ]  # there is nothing to tune
        return
    drawn = list(ParameterSampler(dict(model_class.space), n_iter=30, random_state=0))
    assert len({str(fields) for fields in drawn}) > 1
    for fields in drawn:
        config = from_dict(model_class.config_class, fields)
        assert from_dict(model_class.config_class, to_dict(config)) == config


def test_learns_what_is_easy(name: str) -> None:
    log_p = fitted(name).log_probability(TEST)
    check(log_p, TEST)
    assert (log_p.argmax(1) == TEST.label).mean() > 0.75  # half are of each class


def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    """Results depend on neither global generators nor threads, and leave the generators alone."""
    first = save(fitted(name).state())
    np.random.seed(12345)  # noqa: NPY002
    torch.manual_seed(999)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    again = make(name)
    # On a busy machine OpenMP waits for its threads a thousand times: a unit test has fewer trees.
    threads = 1 if name == "gradient-boosting" else 2
    again.fit(TRAIN, FitSettings(seed=3, threads=threads))
    assert save(again.state()) == first
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def test_what_is_stored_answers_alike(name: str) -> None:
    model = fitted(name)
    stored = save(model.state())
    again = make(name)
    again.restore(TRAIN.modalities, TRAIN.classes, load(stored))
    found, expected = again.log_probability(TEST), model.log_probability(TEST)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert save(again.state()) == stored


def test_a_run_folder_answers_alike(name: str, tmp_path) -> None:
    model = fitted(name)
    config = RunConfig(
        model=name,
        arch=to_dict(model.config),
        modalities=TRAIN.modalities,
        classes=TRAIN.classes,
        counts=(120, 120),
        calibrations=(Calibration(None, 2.0, (0.1, 0.2)),),
        level=0.9,
        calibration="cross",
    )
    save_run(tmp_path, model, config)
    run = load_run(tmp_path)
    expected = np.exp(log_softmax(model.log_probability(TEST) / 2))
    np.testing.assert_allclose(run.predict(TEST).probability, expected, atol=1e-12)
    assert run.config == config
    assert save(run.model.state()) == save(model.state())


def test_what_is_stored_is_plain(name: str) -> None:
    for array in fitted(name).state().values():
        assert isinstance(array, np.ndarray)
        assert array.dtype != object
        assert array.flags.c_contiguous


@pytest.mark.parametrize("lacking", ["rna", "meth"])
def test_a_modality_may_be_missing_afterwards(name: str, lacking: str) -> None:
    samples = with_gaps(without(TEST, lacking), seed=5)
    log_p = fitted(name).log_probability(samples)
    check(log_p, samples)
    right = log_p.argmax(1) == samples.label
    there = samples.present.any(1)
    assert right[there].mean() > 0.6


def test_nothing_measured_is_no_crash(name: str) -> None:
    samples = without(without(TEST, "rna"), "meth").take(np.arange(3))
    check(fitted(name).log_probability(samples), samples)


def test_an_answer_does_not_depend_on_the_other_samples(name: str) -> None:
    model, samples = fitted(name), with_gaps(TEST, seed=4)
    together = model.log_probability(samples)
    some = np.array([17, 3, 100])
    np.testing.assert_allclose(model.log_probability(samples.take(some)), together[some], atol=1e-5)
    alone = model.log_probability(samples.take(np.array([17])))
    np.testing.assert_allclose(alone, together[[17]], atol=1e-5)


# The published designs, of which the report shows what they make of samples.
ENCODING = {"omics-transformer", "cancer-alpha", "cross-modal-subtype"}


def test_its_vectors_are_of_one_sample_each_and_tell_classes_apart(name: str) -> None:
    model, samples = fitted(name), with_gaps(TEST, seed=4)
    found = model.encoded(samples)
    assert (found is not None) == (name in ENCODING)
    if found is None:
        return
    assert found.features.shape == (len(samples), 12)
    assert len(found.vectors) == len(samples)
    some = model.encoded(samples.take(np.array([17, 3])))
    assert some is not None
    np.testing.assert_allclose(some.vectors, found.vectors[[17, 3]], atol=1e-4)
    rows = silhouettes(found, samples.label, samples.unit, samples.classes)
    assert rows[0].gain.low > 0


def test_leaves_the_samples_as_they_are(name: str) -> None:
    samples = with_gaps(easy(n=60, seed=2))
    before = {key: values.copy() for key, values in samples.values.items()}
    present = samples.present.copy()
    model = make(name)
    model.fit(samples, FitSettings())
    model.log_probability(samples)
    for key, values in before.items():
        np.testing.assert_array_equal(samples.values[key], values)
    np.testing.assert_array_equal(samples.present, present)


def test_one_modality_three_classes_and_one_class_that_is_not_there(name: str) -> None:
    """Three of four known classes occur in training, in unequal numbers."""
    whole = easy(n=320, seed=0, n_classes=4, names=("rna",), widths=(10,), shift=2.5)
    rare = np.flatnonzero(whole.label == 1)[10:]
    kept = np.setdiff1d(np.flatnonzero(whole.label != 2), rare)
    model = make(name)
    model.fit(whole.take(kept), FitSettings())
    log_p = model.log_probability(whole)
    check(log_p, whole)
    often = (whole.label == 0) | (whole.label == 3)
    assert (log_p.argmax(1) == whole.label)[often].mean() > 0.7
    # A network has never been told not to say it, but by its bias.
    assert np.exp(log_p[kept, 2]).mean() < 0.25


def test_gradients_lead_to_what_it_answers(name: str) -> None:
    model, samples = fitted(name), with_gaps(TEST, seed=4)
    if not model.has_gradient():
        with pytest.raises(NotImplementedError):
            model.differentiable()
        return
    inner = model.differentiable()
    encoded = inner.preprocessor.transform(samples)
    assert [len(m.features) for m in inner.preprocessor.selected] == [
        v.shape[1] for v in encoded.values
    ]
    values = tuple(torch.from_numpy(v).requires_grad_() for v in encoded.values)
    observed = tuple(map(torch.from_numpy, encoded.observed))
    logits = inner.logits(values, observed, torch.from_numpy(encoded.present))
    found = torch.log_softmax(logits.detach().double(), -1).numpy()
    np.testing.assert_allclose(found, model.log_probability(samples), atol=1e-4)
    gradients = torch.autograd.grad(logits[:, 0].sum(), values)
    assert all(bool((gradient != 0).any()) for gradient in gradients)
