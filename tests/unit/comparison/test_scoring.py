"""Predictions are finite numbers, or an error says so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from genomix_cli.comparison.calibrations import Calibration
from genomix_cli.comparison.explanation import completeness_error
from genomix_cli.comparison.scoring import Calibrated
from genomix_cli.comparison.tuning import nll_of
from genomix_cli.errors import GenomixError


class Answers:
    """A model that answers with its inputs."""

    def log_probability(self, inputs: Any) -> Any:
        return inputs


def scored(log_p: np.ndarray, known: list[bool]) -> np.ndarray:
    calibrated = Calibrated(Answers(), (Calibration(None, 1.0, (0.5, 0.5)),))  # type: ignore[arg-type]
    return calibrated.score(np.array(known), lambda rows: log_p[rows], 2, "items").probability


def test_an_answer_that_is_no_number_is_refused() -> None:
    log_p = np.array([*np.log([[0.25, 0.75], [0.5, 0.5]]), [0, -np.inf]])
    assert np.allclose(scored(log_p, [True, True, True]), [[0.25, 0.75], [0.5, 0.5], [1, 0]])
    log_p[1] = np.nan
    assert np.isnan(scored(log_p, [True, False, True])[1]).all()
    with pytest.raises(GenomixError, match="returned a probability that is not a number"):
        scored(log_p, [True, True, True])


def test_a_trial_that_diverged_is_the_worst() -> None:
    p = np.array([[0.5, 0.5], [np.nan, np.nan]])
    assert nll_of(p, np.array([0, 1])) == math.inf
    assert nll_of(p[:1], np.array([0])) == pytest.approx(math.log(2))


@pytest.mark.parametrize(("total", "change"), [(np.nan, 1.0), (1.0, np.inf)])
def test_an_attribution_that_is_no_number_is_refused(total: float, change: float) -> None:
    assert completeness_error(np.array([1.0]), np.array([1.0])) == 0
    with pytest.raises(GenomixError, match="that is not a number"):
        completeness_error(np.array([0.0, total]), np.array([0.0, change]))
