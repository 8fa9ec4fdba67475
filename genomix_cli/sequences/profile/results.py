"""Evaluation of predicted profiles on held-out windows, beside the mean profile and controls.

Letters: n held-out windows, B windows of a batch, K tracks, O bases of a profile, M models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import Interval, interval_of
from genomix_cli.learning.profiles import ProfileModel
from genomix_cli.sequences.activity.results import (
    BOOTSTRAPS,
    Judged,
    OutputResult,
    Point,
    listed,
    metric_rows,
    verdicts,
)
from genomix_cli.sequences.profile.predict import window_answers
from genomix_cli.sequences.profile.windows import Observed, Windows, middle, observed

NETWORK, MEAN, ANOTHER, UNIFORM = "network", "mean profile", "of another window", "uniform"
MODELS = (NETWORK, MEAN, ANOTHER, UNIFORM)
TITLES = {"gain": "nats per count", "jsd": "Jensen-Shannon"}
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShapeResult:
    """Evaluation of the profiles of one track on held-out windows.

    Attributes
    ----------
    output : str
        Name of the track.
    windows : int
        Number of held-out windows with any count.
    rows : tuple of Judged
        The network, the mean training profile, the network's profile of another held-out window,
        and the uniform profile. Metrics: ``gain``, log-likelihood gain over the uniform profile in
        nats per count; ``jsd``, mean Jensen-Shannon divergence from the measured profile in bits.
    less_mean, less_another : Interval
        Paired difference in gain: the network minus the mean profile, or minus its profiles of
        other windows.
    """

    output: str
    windows: int
    rows: tuple[Judged, ...]
    less_mean: Interval
    less_another: Interval


@dataclass(frozen=True)
class ProfileSummary:
    """Result of training, equal to ``metrics.json``.

    Attributes
    ----------
    folder, data : str
        Names of the run folder and of the file.
    held_out_by : str
    counts : dict of str to int
        Number of windows of the file in each part.
    preset : str
    parameters : int
    length, profile : int
        Number of bases read, and number of central bases whose signal is predicted.
    controls : tuple of str
        Control tracks given to the network.
    headline : str
    warnings : tuple of str
    outputs : tuple of OutputResult
        Results for the log counts of each track.
    shapes : tuple of ShapeResult
        Results for the profiles of each track.
    curve : tuple of Point
    """

    folder: str
    data: str
    held_out_by: str
    counts: dict[str, int]
    preset: str
    parameters: int
    length: int
    profile: int
    controls: tuple[str, ...]
    headline: str
    warnings: tuple[str, ...]
    outputs: tuple[OutputResult, ...]
    shapes: tuple[ShapeResult, ...]
    curve: tuple[Point, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return table rows, one per metric, model and track."""
        return metric_rows([*self.outputs, *self.shapes])


class Shapes(NamedTuple):
    """Agreement of profiles with the measured signal.

    Attributes
    ----------
    gain : NDArray
        float64 ``[M, n, K]``: log-likelihood of the counts minus that under a uniform profile.
    jsd : NDArray
        float64 ``[M, n, K]``: Jensen-Shannon divergence in bits; NaN without counts.
    reads : NDArray
        float64 ``[n, K]``: measured counts.
    """

    gain: Floats
    jsd: Floats
    reads: Floats


def mean_profile(windows: Windows, size: int) -> Tensor:
    """Return the mean share of each base in the counts of windows, float32 ``[K, O]``.

    A uniform profile is added as one more window, so that no base has probability 0.
    """
    total = torch.full((len(windows.tracks), size), 1 / size, dtype=torch.float64)
    n = torch.ones((len(windows.tracks), 1))
    for _, batch in windows.blocks():
        seen = observed(middle(batch.signal, size))
        reads = seen.counts.sum(-1, keepdim=True)
        total += (seen.counts / reads.clamp(min=1e-30)).sum(0)
        n += (reads > 0).sum(0)
    return (total / n).float()


def shapes(model: ProfileModel, windows: Windows, mean: Tensor, seed: int) -> Shapes:
    """Return the agreement of the profiles of all models with each window.

    Parameters
    ----------
    model : ProfileModel
        In evaluation mode.
    windows : Windows
        The held-out windows.
    mean : Tensor
        float32 ``[K, O]``: from :func:`mean_profile`.
    seed : int
        Seed for choosing the other window of the control.
    """
    shape = len(MODELS), len(windows), len(windows.tracks)
    gain, jsd, reads = np.zeros(shape), np.zeros(shape), np.zeros(shape[1:])
    order = np.random.default_rng(seed).permutation(len(windows))
    for where, batch in windows.blocks(order):
        seen = observed(middle(batch.signal, model.config.profile))
        own = window_answers(model, batch).profile
        uniform = torch.zeros(())
        for m, log_p in enumerate((own, mean.log(), own.roll(1, 0), uniform)):
            gain[m, order[where]], jsd[m, order[where]] = fit(log_p, seen)
        reads[order[where]] = seen.counts.sum(-1)
    return Shapes(gain, jsd, reads)


def fit(log_p: Tensor, seen: Observed) -> tuple[Tensor, Tensor]:
    """Return gain and divergence of profiles that broadcast to ``[B, K, O]``, ``[B, K]`` each."""
    log_p, known = log_p.expand(seen.counts.shape).double(), seen.known
    log_p = log_p.masked_fill(~known, -torch.inf).log_softmax(-1).masked_fill(~known, 0)
    counts, n_known = seen.counts.double(), known.sum(-1, keepdim=True)
    gain = (counts * (log_p + n_known.double().log())).sum(-1)
    p, q = log_p.exp().where(known, torch.zeros(()).to(log_p)), counts / counts.sum(-1, True)
    half = (p + q) / 2
    bits = (torch.xlogy(p, p / half) + torch.xlogy(q, q / half)).nansum(-1) / 2 / np.log(2)
    return gain, bits.masked_fill(counts.sum(-1) == 0, torch.nan)


def judge_shapes(
    names: Sequence[str], found: Shapes, groups: NDArray[np.int64], seed: int
) -> tuple[ShapeResult, ...]:
    """Evaluate the profiles of every track.

    Parameters
    ----------
    names : sequence of str
        Names of the K tracks.
    found : Shapes
    groups : NDArray
        int64 ``[n]``: group of each window.
    seed : int
    """
    return tuple(
        _judged(name, Shapes(*(each[..., k] for each in found)), groups, seed)
        for k, name in enumerate(names)
    )


def _judged(name: str, found: Shapes, groups: NDArray[np.int64], seed: int) -> ShapeResult:
    rows = np.flatnonzero(found.reads > 0)
    reads, bootstrap = found.reads[rows], Bootstrap(groups[rows], BOOTSTRAPS, seed)

    def per_read(gain: Floats) -> Interval:
        return interval_of(bootstrap.replicates(lambda w: _ratio(w @ gain, w @ reads)))

    def mean(values: Floats) -> Interval:
        return interval_of(bootstrap.replicates(lambda w: _ratio(w @ values, w.sum())))

    gain, jsd = found.gain[:, rows], found.jsd[:, rows]
    own, mean_gain, another, _ = gain
    judged = (
        Judged(model, model != NETWORK, {"gain": per_read(gain[m]), "jsd": mean(jsd[m])})
        for m, model in enumerate(MODELS)
    )
    less = per_read(own - mean_gain), per_read(own - another)
    return ShapeResult(name, len(rows), tuple(judged), *less)


def _ratio(above: Any, below: Any) -> float:
    return float(above / below) if below else float("nan")


def headline(results: Sequence[ShapeResult]) -> str:
    """Return sentences on the quality of the profiles, even if baselines are as good."""
    found = []
    for result in results:
        own, mean = (row.metrics["gain"].value for row in result.rows[:2])
        text = f"{result.output} ({own:.3f} against {mean:.3f} nats per count)"
        found.append((result.less_mean.sign, text))
    told = verdicts(found, "In profile shape, the network", "the mean profile")
    alike = [result.output for result in results if result.less_another.sign < 1]
    if alike:
        told.append(
            f"For {listed(alike)}, profiles do not fit their own windows significantly better than "
            "other windows."
        )
    return " ".join(told)
