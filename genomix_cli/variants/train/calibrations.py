"""Calibrations of a model for each set of inputs that users may have.

Without some of its tracks, a model's logits have a different mean and spread. Each such condition
therefore has its own calibration, fitted to the validation part with these inputs withheld.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from genomix_cli.comparison.metrics.binary import calibration_error
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.learning.calibration import fit_platt
from genomix_cli.progress import track
from genomix_cli.variants.conditions import Calibration, Conditions
from genomix_cli.variants.train.controls import withhold
from genomix_cli.variants.train.dataset import Batch
from genomix_cli.variants.train.splits import Rows, thin
from genomix_cli.variants.train.task import Predictions

log = logging.getLogger("genomix")

#: Largest number of variants to fit, and to test, each calibration for fewer inputs.
VARIANTS = 8_000

#: Function that returns logits of rows of the variant table, after altering each batch.
Predict = Callable[[Rows, Callable[[Batch], Batch]], Predictions]


@dataclass(frozen=True)
class Fitted:
    """Calibration and its error on held-out variants.

    Attributes
    ----------
    calibration : Calibration
    variants : int
        Number of labelled variants used in the fit.
    error : float
        Expected calibration error on held-out variants; NaN if none is labelled.
    """

    calibration: Calibration
    variants: int
    error: float = float("nan")

    def plain(self) -> dict[str, Any]:
        """Return plain data for ``metrics.json``."""
        return {
            "inputs": str(self.calibration.conditions),
            "variants": self.variants,
            **self.calibration.platt._asdict(),
            "test_ece": self.error if np.isfinite(self.error) else None,
        }


def fewer_inputs(given: Conditions) -> list[Conditions]:
    """Return the subsets of the training inputs that users may have.

    These are all tracks, none, all but one, and each one alone, both with and without contacts if
    the training had any.
    """
    tracks = given.tracks or ()
    kept: list[tuple[str, ...]] = [tracks, ()]
    kept += [tuple(name for name in tracks if name != lacking) for lacking in tracks]
    kept += [(name,) for name in tracks]
    contacts = (True, False) if given.contacts else (given.contacts,)
    return [given.with_inputs(names, each) for each in contacts for names in dict.fromkeys(kept)]


def fit_calibrations(
    predict: Predict,
    shard: Shard,
    given: Conditions,
    valid: Rows,
    test: Rows,
    predictions: dict[str, Predictions],
) -> tuple[Fitted, ...]:
    """Fit a calibration for each set of inputs; return none if there are no labels.

    Parameters
    ----------
    predict : callable
    shard : Shard
    given : Conditions
        Conditions of the training.
    valid, test : NDArray
        int64: rows to fit to, and to test on; `test` may be empty.
    predictions : dict of str to Predictions
        Predictions for ``valid`` and, if present, ``test``, under the conditions of the training.
    """
    label = shard.variants.label
    if not np.isfinite(label[valid]).any():
        return ()
    fitted = []
    for conditions in track(fewer_inputs(given), "calibrating", unit="sets of inputs"):
        own = dict(predictions)
        if conditions != given:
            kept = conditions.tracks or ()
            lacking = [i for i, name in enumerate(shard.modalities) if name not in kept]
            alter = partial(withhold, tracks=lacking, contacts=not conditions.contacts)
            parts = {"valid": valid, "test": test}
            own = {name: predict(_some(label, parts[name]), alter) for name in predictions}
        fitted.append(_fit(conditions, label, **own))
    _report(fitted)
    return tuple(fitted)


def _report(fitted: list[Fitted]) -> None:
    """Log how many calibrations are usable, and which inputs get no probabilities."""
    usable = [each for each in fitted if each.calibration.keeps_order]
    worst = max(usable, key=lambda each: np.nan_to_num(each.error), default=None)
    if worst is not None and np.isfinite(worst.error):
        said = "calibrated for %d sets of inputs; largest error on the test part %.3f (%s)"
        log.info(said, len(usable), worst.error, worst.calibration.conditions)
    if not fitted[0].calibration.keeps_order:
        log.warning(
            "the model ranks the validation part the other way round, so it gives no "
            "probabilities, and these metrics are of scores before calibration; train it longer"
        )
    turned = [each.calibration for each in fitted[1:] if not each.calibration.keeps_order]
    if turned:
        log.warning(
            "no probabilities from %s: with these inputs the validation part ranks the other way "
            "round",
            " | ".join(str(each.conditions) for each in turned),
        )


def _some(label: np.ndarray, rows: Rows) -> Rows:
    """Return a subset of rows to fit to, or all rows if the subset lacks one of the classes."""
    some = thin(rows, VARIANTS)
    known = label[some][np.isfinite(label[some])] > 0.5
    return some if known.any() and not known.all() else rows


def _fit(
    conditions: Conditions, label: np.ndarray, valid: Predictions, test: Predictions | None = None
) -> Fitted:
    known = np.isfinite(label[valid.row])
    platt = fit_platt(valid.logit[known], label[valid.row][known])
    n, error = int(known.sum()), float("nan")
    if test is not None:
        known = np.isfinite(label[test.row])
        truth, logit = label[test.row][known], test.logit[known]
        error = calibration_error(truth, platt.apply(logit)) if known.any() else error
    return Fitted(Calibration(platt, conditions), n, error)
