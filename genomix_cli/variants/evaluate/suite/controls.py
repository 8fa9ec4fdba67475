"""Negative controls: the first model on deliberately wrong inputs and labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from genomix_cli.comparison.intervals import Interval, interval_of
from genomix_cli.variants.evaluate.suite.entrants import FloatArray, Model, Rows
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Judge, Measure, Truth
from genomix_cli.variants.evaluate.suite.results import ControlResult
from genomix_cli.variants.evaluate.suite.split import thin
from genomix_cli.variants.train.controls import CONTROLS, withhold_contacts

# Largest number of variants for the controls.
VARIANTS = 8_000
DRAWS = 200

# Inputs withheld by a control, which select the calibration.
WITHHELD = {
    "tracks_withheld": {"no_tracks": True, "no_contacts": True},
    "contacts_withheld": {"no_contacts": True},
}
#: Alteration and expected result of each control, for the report.
MEANING = {
    "as_is": "the same variants, unaltered",
    "alleles_swapped": "ref and alt exchanged: lower if the model uses the direction of change",
    "variant_removed": "alt = ref: what the position alone predicts",
    "tracks_withheld": "tracks and contacts missing: what the sequence alone predicts",
    "tracks_shuffled": "tracks and contacts of another position: lower if the model uses them",
    "contacts_withheld": "contacts missing, with the same weights: the Hi-C ablation",
    "labels_shuffled": "labels permuted within contigs: near chance, unless labels leak",
}


def run_controls(
    model: Model, rows: Rows, score: FloatArray, truth: Truth, main: str, seed: int, draws: int
) -> Iterator[ControlResult]:
    """Yield the main metric without alteration and under each control, with the same draws.

    Parameters
    ----------
    model : Model
    rows : NDArray
        int64: the test rows.
    score : NDArray
        float64 ``[n]``: the model's logits for the rows.
    truth : Truth
    main : str
        Name of the main metric in `MEASURES`.
    seed, draws : int
    """
    chosen = thin(np.arange(len(rows)), VARIANTS)
    rows, score = rows[chosen], score[chosen]
    judge = Judge.of(truth.select(chosen), min(draws, DRAWS), seed)
    measure = MEASURES[main]
    as_is = judge.replicates(measure, score)

    def result(name: str, logit: FloatArray) -> ControlResult:
        altered = judge.replicates(measure, logit)
        less = interval_of(as_is - altered) if name != "as_is" else None
        p = None
        if measure.target == "label":
            p = model.probability(logit, **WITHHELD.get(name, {}))
        mean = None if p is None else float(p.mean())
        return ControlResult(name, len(rows), interval_of(altered), less, mean)

    yield result("as_is", score)
    for name, alter in CONTROLS.items():
        yield result(name, model.logits(rows, name.replace("_", " "), alter))
    if model.loaded.config.tracks and model.windows(rows) > 1:
        yield result("tracks_shuffled", model.logits(rows, "tracks shuffled", shuffled=seed))
    if model.shard.has_contacts:
        logit = model.logits(rows, "contacts withheld", withhold_contacts)
        yield result("contacts_withheld", logit)
    yield ControlResult("labels_shuffled", len(rows), _labels_shuffled(judge, measure, score, seed))


def _labels_shuffled(judge: Judge, measure: Measure, score: FloatArray, seed: int) -> Interval:
    """Return the metric after permuting labels and effects within each contig."""
    truth, rng = judge.truth, np.random.default_rng(seed)
    label, effect = truth.label.copy(), truth.effect.copy()
    for contig in np.unique(truth.contig):
        for column in (label, effect):
            known = np.flatnonzero((truth.contig == contig) & np.isfinite(column))
            column[known] = column[rng.permutation(known)]
    shuffled = replace(judge, truth=replace(truth, label=label, effect=effect))
    return shuffled.interval(measure, score)
