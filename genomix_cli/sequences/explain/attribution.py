"""Integrated Gradients for sequence classifiers: the effect of each base on the class.

Sundararajan et al. 2017 (arXiv:1703.01365), over the probabilities of A, C, G and T at every base.
The path is a straight line from a baseline to the sequence (midpoint rule). Attributions are in
logits of the given class, before calibration.

Letters in shapes: n sequences, L bases, S steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.comparison.explanation import STEPS, TOLERANCE, completeness_error, step_counts
from genomix_cli.comparison.study import Floats
from genomix_cli.genome.iupac import HIDDEN, SETS, composition, from_bases, to_bases
from genomix_cli.genome.shuffle import dinucleotide_shuffle
from genomix_cli.sequences.models.base import SequenceClassifier

# Number of shuffled sequences to average for the baseline.
SHUFFLES = 20
# Number of bases to process at a time.
CELLS = 2**18


@dataclass(frozen=True)
class Attribution:
    """Contribution of each base to each sequence's class.

    Attributes
    ----------
    values : NDArray
        float64 ``[n, L]``, in logits.
    target : NDArray
        int64 ``[n]``: the explained class.
    change : NDArray
        float64 ``[n]``: logit of that class minus its logit at the baseline; the attributions
        should sum to it.
    """

    values: Floats
    target: NDArray[np.int64]
    change: Floats

    @property
    def error(self) -> Floats:
        """Completeness error ``[n]``: |sum - change| / max(|change|, 0.1)."""
        return completeness_error(self.values.sum(1), self.change)


def attribute(
    model: SequenceClassifier,
    p: NDArray[np.float32],
    baseline: NDArray[np.float32],
    target: NDArray[np.int64],
    *,
    steps: int = STEPS,
    device: str = "cpu",
) -> Attribution:
    """Attribute the logits of a class to the bases of each sequence.

    If the attributions of a sequence miss the change by more than `TOLERANCE`, the integral is
    repeated with twice as many steps, up to `MOST_STEPS`.

    Parameters
    ----------
    model : SequenceClassifier
        Model on `device`.
    p, baseline : NDArray
        float32 ``[n, L, 4]``: end and start of the paths.
    target : NDArray
        int64 ``[n]``.
    steps : int
    device : str

    Raises
    ------
    NotImplementedError
        If the model has no gradient.
    """
    attribution = Attribution(np.zeros(p.shape[:2]), target, np.zeros(len(p)))
    left = np.arange(len(p))
    for count in step_counts(steps):
        for i in left:
            start, end = (torch.from_numpy(array[i]).to(device) for array in (baseline, p))
            attribution.values[i], attribution.change[i] = _integrate(
                model, start, end, int(target[i]), count
            )
        left = np.flatnonzero(~(attribution.error <= TOLERANCE))
    return attribution


def _integrate(
    model: SequenceClassifier, start: Any, end: Any, target: int, steps: int
) -> tuple[Floats, float]:
    """Return attributions of a sequence ``[L]`` and the change of its logit."""
    places = (torch.arange(steps, device=end.device) + 0.5) / steps
    total = torch.zeros_like(end, dtype=torch.float64)
    for some in places.split(max(1, CELLS // len(end))):
        on_path = (start + some[:, None, None] * (end - start)).requires_grad_()
        logit = model.logits_of(on_path)[:, target].sum()
        total += torch.autograd.grad(logit, on_path)[0].double().sum(0)
    values = (total / steps * (end - start).double()).sum(-1)
    with torch.no_grad():
        first, last = model.logits_of(torch.stack([start, end]))[:, target].double()
    return values.cpu().numpy(), float(last - first)


def compositions(
    codes: NDArray[np.uint8], background: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Return base probabilities ``[n, L, 4]``; unknown bases get their column's mean.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``.
    background : NDArray or None
        float32 ``[L, 4]``; None: equal probabilities, as for N.
    """
    p = composition()[codes]
    unknown = (codes == HIDDEN) | (codes == SETS - 1)
    mean = np.full((codes.shape[1], 4), 0.25, np.float32) if background is None else background
    return np.where(unknown[..., None], mean, p)


def shuffled_mean(
    codes: NDArray[np.uint8], rng: np.random.Generator, times: int = SHUFFLES
) -> NDArray[np.float32]:
    """Return the mean of shuffles that preserve dinucleotide counts, float32 ``[L, 4]``."""
    bases = to_bases(codes)
    drawn = np.stack([dinucleotide_shuffle(bases, rng) for _ in range(times)])
    return compositions(from_bases(drawn), None).mean(0)
