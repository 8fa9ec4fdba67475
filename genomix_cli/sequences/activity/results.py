"""Evaluation of predicted activity on held-out data, with a k-mer ridge and the mean as baselines.

Letters: n sequences held out, E members, K outputs, D bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import Bootstrap, Metric, few_units
from genomix_cli.comparison.intervals import COMPARES, Interval
from genomix_cli.comparison.metrics.binary import auroc, explained, pearson, spearman
from genomix_cli.comparison.splits import Split
from genomix_cli.comparison.words import FEW_UNITS
from genomix_cli.formats.sequences import Sequences
from genomix_cli.learning.activity import Output
from genomix_cli.progress import track
from genomix_cli.sequences.activity.ridge import fit_ridge

BOOTSTRAPS = 200
# Models are compared by the first metric of each kind.
QUANTITY: Mapping[str, Metric] = {
    "pearson": pearson,
    "spearman": spearman,
    "explained": explained,
}
CLASS: Mapping[str, Metric] = {"auroc": auroc}
TITLES = {
    "pearson": "Pearson r",
    "spearman": "Spearman",
    "explained": "variance explained",
    "auroc": "AUROC",
}
MEAN = "mean"


@dataclass(frozen=True)
class Judged:
    """Metrics of one model for one output.

    Attributes
    ----------
    model : str
    baseline : bool
    metrics : dict of str to Interval
        Metrics by name in `QUANTITY` or `CLASS`.
    """

    model: str
    baseline: bool
    metrics: dict[str, Interval]


@dataclass(frozen=True)
class OutputResult:
    """Metrics of all models for one output, on the held-out sequences.

    Attributes
    ----------
    output : str
        Name of the output.
    assay, unit : str
        The unit is empty for a class.
    sequences : int
        Number of held-out sequences whose value is known.
    rows : tuple of Judged
        The network, its members if there are several, and the baselines.
    less_ridge : Interval
        Paired difference of the first metric: network minus ridge.
    """

    output: str
    assay: str
    unit: str
    sequences: int
    rows: tuple[Judged, ...]
    less_ridge: Interval

    @property
    def metric(self) -> str:
        """Name of the metric that models are compared by."""
        return next(iter(self.rows[0].metrics))

    @property
    def ridge(self) -> Judged:
        """The ridge, the baseline that the network is compared with."""
        return next(row for row in self.rows if row.baseline)


@dataclass(frozen=True)
class Point:
    """Validation of a member after an epoch.

    Members and epochs count from 1. A score is None if there are no outputs of its kind.
    """

    member: int
    epoch: int
    train_loss: float
    pearson: float | None
    log_likelihood: float | None


@dataclass(frozen=True)
class OtherFile:
    """An additional training file, from which nothing was held out.

    Attributes
    ----------
    name : str
    read_as : {"sequences", "pairs"}
    items : int
    outputs : tuple of str
    """

    name: str
    read_as: str
    items: int
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class ActivitySummary:
    """Result of training, equal to ``metrics.json``.

    Attributes
    ----------
    folder, data : str
        Names of the run folder and of the file.
    held_out_by : str
    counts : dict of str to int
        Number of the file's sequences in each part.
    preset : str
    parameters, members : int
    headline : str
    warnings : tuple of str
    outputs : tuple of OutputResult
        Results for the outputs of the file.
    others : tuple of OtherFile
    curve : tuple of Point
    """

    folder: str
    data: str
    held_out_by: str
    counts: dict[str, int]
    preset: str
    parameters: int
    members: int
    headline: str
    warnings: tuple[str, ...]
    outputs: tuple[OutputResult, ...]
    others: tuple[OtherFile, ...]
    curve: tuple[Point, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return table rows, one per metric, model and output."""
        return metric_rows(self.outputs)


class Result(Protocol):
    """Metrics of several models for one output."""

    @property
    def output(self) -> str:
        """Name of the output."""

    @property
    def rows(self) -> tuple[Judged, ...]:
        """The models."""


def metric_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return table rows, one per metric, model and output."""
    return [
        {"output": result.output, "model": row.model, "metric": name, **interval._asdict()}
        for result in results
        for row in result.rows
        for name, interval in row.metrics.items()
    ]


def prediction_rows(
    samples: Iterable[str],
    outputs: Sequence[str],
    truth: NDArray[np.float32],
    answers: NDArray[np.float32],
) -> Iterator[dict[str, Any]]:
    """Yield a row per held-out sample with its measured and predicted values, ``[n, K]`` each."""
    for name, measured, predicted in zip(samples, truth.tolist(), answers.tolist(), strict=True):
        row = {"sample": str(name)}
        for k, output in enumerate(outputs):
            row |= {f"measured:{output}": measured[k], f"predicted:{output}": predicted[k]}
        yield row


def judge(
    outputs: Sequence[Output],
    truth: NDArray[np.float32],
    answers: NDArray[np.float32],
    sequences: Sequences,
    split: Split,
    seed: int,
) -> tuple[OutputResult, ...]:
    """Evaluate every output of the file on its held-out part.

    Parameters
    ----------
    outputs : sequence of Output
        The K outputs.
    truth : NDArray
        float32 ``[all sequences, K]``; NaN where unknown.
    answers : NDArray
        float32 ``[E, n, K]``: each member's predictions for the held-out sequences.
    sequences : Sequences
    split : Split
    seed : int
    """
    return tuple(
        _judged(output, truth[:, k], answers[:, :, k], sequences, split, seed)
        for k, output in enumerate(track(outputs, "judging", unit="outputs"))
    )


def _judged(
    output: Output,
    truth: NDArray[np.float32],
    answers: NDArray[np.float32],
    sequences: Sequences,
    split: Split,
    seed: int,
) -> OutputResult:
    train, valid, test = (rows[np.isfinite(truth[rows])] for rows in split.parts)
    codes, y = sequences.codes, truth.astype(np.float64)
    # All models are evaluated on the same sequences: those whose value is known.
    own = answers[:, np.isfinite(truth[split.test])]
    network = own.mean(0)
    ridge = fit_ridge(codes[train], y[train], codes[valid], y[valid])
    predicted = ridge.predict(codes[test])
    members = {f"member {m}": each for m, each in enumerate(own, 1)} if len(own) > 1 else {}
    models = {
        f"{len(own)} networks" if members else "network": network,
        **members,
        f"{ridge.k}-mer ridge": predicted,
        MEAN: np.full(len(test), y[train].mean()),
    }
    baselines = list(models)[-2:]
    metrics = CLASS if output.is_class else QUANTITY
    bootstrap = Bootstrap(sequences.group[test], BOOTSTRAPS, seed)
    rows = tuple(
        Judged(
            name,
            name in baselines,
            {title: bootstrap.interval(each, y[test], score) for title, each in metrics.items()},
        )
        for name, score in models.items()
    )
    first = next(iter(metrics.values()))
    difference = bootstrap.difference(first, y[test], network, predicted)
    return OutputResult(output.name, output.assay, output.unit, len(test), rows, difference)


def headline(results: Sequence[OutputResult]) -> str:
    """Return a few sentences that compare the network with the ridge, whichever is better."""
    found = []
    for result in results:
        if not result.sequences:
            continue
        own, ridge = (row.metrics[result.metric].value for row in (result.rows[0], result.ridge))
        text = f"{result.output} ({TITLES[result.metric]} {own:.3f} against {ridge:.3f})"
        found.append((result.less_ridge.sign, text))
    told = verdicts(found, "The network", "ridge regression on k-mers")
    return " ".join(told) or "No sequences were held out for evaluation."


def verdicts(found: Iterable[tuple[int, str]], model: str, baseline: str) -> list[str]:
    """Return a sentence about the outputs of each sign of the difference: model minus baseline."""
    found = list(found)
    by_sign = {sign: [text for own, text in found if own == sign] for sign in (1, -1, 0)}
    return [
        f"{model} {COMPARES[sign]} {baseline} for {listed(texts)}."
        for sign, texts in by_sign.items()
        if texts
    ]


def listed(names: Sequence[str], most: int = 4) -> str:
    """Return the first `most` names joined for a sentence, and how many more there are."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def warnings(groups: NDArray[np.int64], results: Sequence[OutputResult]) -> Iterator[str]:
    """Yield warnings that a reader needs before the numbers.

    Parameters
    ----------
    groups : NDArray
        int64 ``[n]``: group of each held-out sequence.
    results : sequence of OutputResult
    """
    if text := few_units(len(np.unique(groups)), "groups of sequences", FEW_UNITS):
        yield text
    few = [result.output for result in results if result.sequences < FEW_UNITS]
    if few:
        yield f"fewer than {FEW_UNITS} held-out sequences for {listed(few)}"
