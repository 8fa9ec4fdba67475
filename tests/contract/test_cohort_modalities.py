"""Checks of every modality that a cohort can be simulated with."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from genomix_cli.cohorts.simulate.parameters import parse
from genomix_cli.cohorts.simulate.shared import draw_samples
from genomix_cli.formats.cohort import KINDS
from genomix_cli.registry import COHORT_MODALITIES

NAMES = list(COHORT_MODALITIES)


def joint_model(name: str, **more: Any) -> Any:
    settings = {
        "samples": 1,
        "classes": {"a": 3, "b": 2, "c": 1},
        "batches": {"number": 2},
        "modalities": {name: {}},
        **more,
    }
    return parse(settings, "test").build()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_named_as_registered_and_of_a_known_kind(name: str) -> None:
    model = COHORT_MODALITIES.load(name)
    assert model.name == name
    assert model.kind in KINDS


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_default_and_is_documented(name: str) -> None:
    parameters = COHORT_MODALITIES.load(name).Parameters
    assert parameters() == parameters()
    for field in fields(parameters):
        assert re.search(rf"\b{field.name}\b", parameters.__doc__), field.name


@pytest.mark.parametrize("name", NAMES)
def test_its_file_says_the_formula_and_the_source(name: str) -> None:
    text = sys.modules[COHORT_MODALITIES.load(name).__module__].__doc__ or ""
    assert "doi:10." in text
    assert "~" in text or "probability" in text


@pytest.mark.parametrize("name", NAMES)
def test_its_values_are_in_the_domain_of_its_kind(name: str) -> None:
    built = joint_model(name)
    process = built.processes[name]
    rng = np.random.default_rng(1)
    values = process.draw(draw_samples(built.shared, 50, rng), rng, {}).values
    assert values.shape == (50, len(process.features()))
    assert not KINDS[process.kind].outside(values).any()
    assert process.features().index.is_unique


@pytest.mark.parametrize("name", NAMES)
def test_draws_depend_on_the_generator_alone(name: str) -> None:
    drawn = []
    for _ in range(2):
        built = joint_model(name)
        rng = np.random.default_rng(3)
        drawn.append(built.processes[name].draw(draw_samples(built.shared, 20, rng), rng, {}))
    assert_array_equal(drawn[0].values, drawn[1].values)


@pytest.mark.parametrize("name", NAMES)
def test_it_tells_classes_apart_better_than_their_frequencies(name: str) -> None:
    built = joint_model(name)
    rng = np.random.default_rng(1)
    samples = draw_samples(built.shared, 400, rng)
    absent = {name: np.zeros(400, bool)}
    posterior = built.posteriors(built.draw(samples, absent, rng))[(name,)]
    assert (posterior.argmax(1) == samples.label).mean() > 0.55


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_part_in_interactions(name: str) -> None:
    other = "mutations" if name != "mutations" else "chromatin"
    built = joint_model(
        name,
        modalities={name: {}, other: {}},
        interactions={"share": 1.0, "pairs": [[name, other]]},
    )
    rng = np.random.default_rng(1)
    samples = draw_samples(built.shared, 400, rng)
    absent = {key: np.zeros(400, bool) for key in (name, other)}
    found = built.posteriors(built.draw(samples, absent, rng))
    alone, both = (found[key].max(1).mean() for key in ((name,), (name, other)))
    assert both > alone + 0.03


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_says_nothing(name: str) -> None:
    built = joint_model(name)
    process = built.processes[name]
    nothing = np.full((2, len(process.features())), np.nan)
    found = np.broadcast_to(process.log_likelihood({name: nothing}, 2), (2, *built.shared.shape))
    assert np.ptp(found) < 1e-4
