"""Controls: what the first model makes of inputs and labels that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch.nn.functional as F

from genomix_cli.comparison.metrics.binary import Interval
from genomix_cli.variants.evaluate.suite.entrants import FloatArray, Model, Rows
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Draws, Measure, Truth, interval
from genomix_cli.variants.evaluate.suite.results import ControlResult
from genomix_cli.variants.evaluate.suite.test_split import thin
from genomix_cli.variants.train.controls import CONTROLS, withhold_contacts

# Variants that the controls are run on, at most.
VARIANTS = 8_000
DRAWS = 200

MEANING = {
    "as_is": "the same variants, nothing altered",
    "alleles_swapped": "ref given as alt and alt as ref: a model that reads direction falls",
    "variant_removed": "alt = ref, the null score: what the place alone tells",
    "tracks_withheld": "tracks and contacts unmeasured: what the sequence alone tells",
    "tracks_shuffled": "tracks and contacts of another place: a model that needs them falls",
    "contacts_withheld": "the Hi-C ablation: the same weights, contacts unknown",
    "labels_shuffled": "labels permuted within contigs: chance, or something leaks",
}


def run_controls(
    model: Model, rows: Rows, score: FloatArray, truth: Truth, main: str, seed: int, draws: int
) -> Iterator[ControlResult]:
    """The main metric as it is and under each control, all under the same draws.

    Parameters
    ----------
    model : Model
    rows : NDArray
        int64: the test rows.
    score : NDArray
        float64 ``[n]``: its logits of them.
    truth : Truth
        Of the test rows.
    main : str
        Name of a measure.
    seed, draws : int
    """
    some = thin(np.arange(len(rows)), VARIANTS)
    rows, score = rows[some], score[some]
    few = Draws(_take(truth, some), min(draws, DRAWS), seed)
    measure = MEASURES[main]
    plain = few.replicates(measure, score)

    def result(name: str, logit: FloatArray) -> ControlResult:
        found = few.replicates(measure, logit)
        less = interval(plain - found) if name != "as_is" else None
        mean = model.loaded.config.calibration.apply(logit).mean() if _is_label(measure) else None
        return ControlResult(name, len(rows), interval(found), less, mean and float(mean))

    yield result("as_is", score)
    for name, alter in CONTROLS.items():
        yield result(name, model.logits(rows, name.replace("_", " "), alter))
    if model.loaded.config.tracks and model.windows(rows) > 1:
        yield result("tracks_shuffled", model.logits(rows, "tracks shuffled", shuffled=seed))
    if model.shard.has_contacts:
        logit = model.logits(rows, "contacts withheld", withhold_contacts)
        yield result("contacts_withheld", logit)
    yield ControlResult("labels_shuffled", len(rows), _labels_shuffled(few, measure, score, seed))


def _is_label(measure: Measure) -> bool:
    return measure.target == "label"


def _take(truth: Truth, rows: Rows) -> Truth:
    inside = np.zeros(len(truth.pos), np.bool_)
    inside[rows] = True
    return truth.select(inside)


def _labels_shuffled(draws: Draws, measure: Measure, score: FloatArray, seed: int) -> Interval:
    """The metric when labels and effects trade places within their contig."""
    truth, rng = draws.truth, np.random.default_rng(seed)
    label, effect = truth.label.copy(), truth.effect.copy()
    for contig in np.unique(truth.contig):
        for column in (label, effect):
            known = np.flatnonzero((truth.contig == contig) & np.isfinite(column))
            column[known] = column[rng.permutation(known)]
    shuffled = Truth(truth.contig, truth.pos, label, effect, truth.group, truth.probability)
    return interval(draws.like(shuffled).replicates(measure, score))


def prior_scales(module: Any) -> tuple[tuple[int, int, float, float], ...]:
    """Layer, head (from 1) and what the prior makes of distance and contacts there.

    The softplus of the scales that were learned, see `ContactPrior`; nothing without a prior.
    """
    prior = getattr(module, "prior", None)
    if prior is None:
        return ()
    distance, contacts = (
        F.softplus(scale.detach().float().cpu()).tolist()
        for scale in (prior.distance_scale, prior.contact_scale)
    )
    return tuple(
        (layer + 1, head + 1, distance[layer][head], contacts[layer][head])
        for layer in range(len(distance))
        for head in range(len(distance[layer]))
    )
