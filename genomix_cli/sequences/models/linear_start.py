"""The linear solution that a network starts from, with its out-of-fold logits.

Letters: n sequences, B batch, L columns, c components, K classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.comparison.splits import folds_of
from genomix_cli.comparison.study import Floats
from genomix_cli.comparison.tuning import nll_of
from genomix_cli.genome.iupac import SETS, composition
from genomix_cli.learning.calibration import at_temperature, cautious_temperature, log_softmax
from genomix_cli.sequences.models.base import Labelled
from genomix_cli.sequences.models.components import Standardised, of_bases, principal, unit_of
from genomix_cli.sequences.models.discriminants import DiscriminantsConfig, discriminants

# Shrinkages of the discriminants to try out of fold.
SHRINKAGES = (0.1, 0.2, 0.5, 0.8)
FOLDS = 5


class LinearPart(nn.Module):
    """Logits as a sum of one weight per base and column; hidden and unknown bases add nothing."""

    composition: Tensor
    mean: Tensor
    weight: Tensor
    intercept: Tensor

    def __init__(self, length: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("composition", torch.from_numpy(composition()), persistent=False)
        self.register_buffer("mean", torch.full((length, 4), 0.25))
        self.register_buffer("weight", torch.zeros(length, 4, n_classes))
        self.register_buffer("intercept", torch.zeros(n_classes))

    def forward(self, codes: Tensor) -> Tensor:
        """Return the logits ``[B, K]`` of sets of bases uint8 ``[B, L]``."""
        known = (codes != 0) & (codes != SETS - 1)
        return self._logits((self.composition[codes.long()] - self.mean) * known[..., None])

    def soft(self, p: Tensor) -> Tensor:
        """Return the same from probabilities of A, C, G and T ``[B, L, 4]``, with a gradient."""
        return self._logits(p - self.mean)

    def _logits(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.flatten(0, 1) + self.intercept


class Start(NamedTuple):
    """A fitted linear solution.

    Attributes
    ----------
    arrays : dict of str to NDArray
        Buffers of `LinearPart`.
    logits : NDArray
        float32 ``[n, K]``: out-of-fold logits of the training sequences. In-sample logits would be
        almost certain and leave a network nothing to learn.
    size : int
        Number of learned parameters.
    """

    arrays: dict[str, NDArray[Any]]
    logits: NDArray[np.float32]
    size: int


def linear_start(train: Labelled, seed: int) -> Start:
    """Fit shrunken linear discriminants on all principal components.

    The shrinkage (Friedman 1989, doi:10.1080/01621459.1989.10478752) and the temperature maximise
    the out-of-fold likelihood of the labels.

    Parameters
    ----------
    train : Labelled
    seed : int
        Seed of the folds.
    """
    codes, n_classes = train.sequences.codes, len(train.classes)
    matrix = Standardised.of(codes, DiscriminantsConfig.rare)
    components = principal(matrix, codes, None, seed)
    unit = unit_of(components.scores, "svm")
    scores, fold = components.scores / unit, _folds(train, seed)

    held_out = {
        shrinkage: _out_of_fold(scores, train.label, fold, n_classes, shrinkage)
        for shrinkage in SHRINKAGES
    }
    tempered = {}
    for shrinkage, logits in held_out.items():
        temperature = cautious_temperature(log_softmax(logits), train.label)
        nll = nll_of(at_temperature(logits, temperature), train.label)
        tempered[shrinkage] = nll, temperature
    shrinkage = min(tempered, key=tempered.__getitem__)
    temperature = tempered[shrinkage][1]
    linear = discriminants(scores, train.label, n_classes, shrinkage)
    arrays = {
        "mean": matrix.mean,
        "weight": of_bases(matrix, components, linear.coefficients / unit) / temperature,
        "intercept": (linear.intercepts / temperature).astype(np.float32),
    }
    size = linear.coefficients.size + linear.intercepts.size
    return Start(arrays, (held_out[shrinkage] / temperature).astype(np.float32), size)


def _folds(train: Labelled, seed: int) -> NDArray[np.int64]:
    """Return the fold of each sequence ``[n]``; a single fold if no class has two groups."""
    label, _ = np.unique(np.stack([train.label, train.unit]), axis=1)
    if np.bincount(label).max() < 2:
        return np.zeros(len(train), np.int64)
    return folds_of(train, FOLDS, seed)


def _out_of_fold(
    scores: Floats,
    label: NDArray[np.int64],
    fold: NDArray[np.int64],
    n_classes: int,
    shrinkage: float,
) -> Floats:
    """Return logits ``[n, K]`` of each sequence, fitted to the other folds.

    The sequences of a class that occurs in only one fold are always fitted to, because the other
    folds do not know it.
    """
    logits = np.empty((len(scores), n_classes))
    for i in np.unique(fold):
        rest = fold != i
        alone = ~rest & ~np.isin(label, label[rest])
        for rows, own in ((rest, ~rest & ~alone), (rest | alone, alone)):
            if own.any():
                linear = discriminants(scores[rows], label[rows], n_classes, shrinkage)
                logits[own] = linear.logits(scores[own])
    return logits
