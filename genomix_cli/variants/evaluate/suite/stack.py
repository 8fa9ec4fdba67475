"""Stack of a model and scores of other tools, with weights independent of the test variants.

Letters: n variants, m members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genomix_cli.comparison.intervals import FloatArray, interval_of
from genomix_cli.errors import DataError
from genomix_cli.variants.evaluate.suite.baselines.base import BaselineTask, require_sklearn
from genomix_cli.variants.evaluate.suite.entrants import Entrant
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Judge
from genomix_cli.variants.evaluate.suite.results import Member, Metrics, StackResult

NAME = "stack"


class Stack(NamedTuple):
    """Combined scores as an entrant, with its members and their weights per SD of their scores."""

    entrant: Entrant
    members: tuple[Entrant, ...]
    weights: tuple[float, ...]


def refuse_nothing_to_learn(task: BaselineTask, first: str) -> None:
    """Refuse a stack without validation variants to learn its weights from.

    Raises
    ------
    DataError
        If the validation part does not suffice.
    MissingExtraError
        If scikit-learn is not installed.
    """
    require_sklearn()
    if len(np.unique(task.target[task.valid])) < 2:
        raise DataError(
            "the weights of a stack cannot be fitted",
            where="--stack",
            expected=f"different labels in the validation part of {first}",
            found=f"{len(task.valid):,} labelled variants there",
        )


def stack(members: Sequence[Entrant], task: BaselineTask) -> Stack:
    """Combine members by logistic regression (ridge for quantities) on the validation part.

    The training part would overrate the first model, which has learned from it. A missing score
    counts as the member's mean. Scores are standardised on the validation part, which makes weights
    comparable; the squared penalty is 1.

    After Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1.

    Parameters
    ----------
    members : sequence of Entrant
        Members with scores of the validation part.
    task : BaselineTask
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    valid = np.stack([_valid(member) for member in members], 1)
    mean, scale = np.nanmean(valid, 0), np.nanstd(valid, 0)
    scale = np.where(scale > 0, scale, 1.0)

    def standard(scores: FloatArray) -> FloatArray:
        return np.nan_to_num((scores - mean) / scale)

    target = task.target[task.valid]
    test = standard(np.stack([member.score for member in members], 1))
    if task.is_label:
        model = LogisticRegression(C=1.0, max_iter=1000).fit(standard(valid), target > 0.5)
        score, probability = model.decision_function(test), model.predict_proba(test)[:, 1]
    else:
        model = Ridge(alpha=1.0).fit(standard(valid), target)
        score, probability = model.predict(test), None
    weights = tuple(np.ravel(model.coef_).astype(float).tolist())
    told = ", ".join(f"{m.name} {w:+.2f}" for m, w in zip(members, weights, strict=True))
    note = f"weights per SD, from {len(target):,} validation variants: {told}"
    kind = "logistic regression" if task.is_label else "ridge regression"
    description = f"{kind} on the scores of {' and '.join(m.name for m in members)}"
    return Stack(
        Entrant(NAME, "stack", score, probability, note, description), tuple(members), weights
    )


def _valid(member: Entrant) -> FloatArray:
    assert member.valid is not None
    return member.valid


def compare_with_members(made: Stack, judge: Judge, main: str) -> StackResult:
    """Return the gain of the stack over each member, paired by draws of loci or contigs.

    Each member is compared on the variants that it has scored. The best member is chosen on the
    test part itself, which can only disadvantage the stack.
    """
    members = [
        Member(member.name, weight, _less(made.entrant, member, judge))
        for member, weight in zip(made.members, made.weights, strict=True)
    ]
    best = min(members, key=lambda member: np.nan_to_num(member.less[main].value, nan=np.inf))
    return StackResult(made.entrant.name, tuple(members), best.name)


def _less(entrant: Entrant, member: Entrant, judge: Judge) -> Metrics:
    differences: Metrics = {}
    for name, measure in MEASURES.items():
        own, other = entrant.score_for(measure), member.score_for(measure)
        if own is None or other is None or not measure.is_defined(judge.truth):
            continue
        both = np.isfinite(other)
        replicates = judge.replicates(measure, own, both) - judge.replicates(measure, other, both)
        differences[name] = interval_of(replicates)
    return differences
