"""Latent variables that the modalities of a sample share: class, purity, batch, interactions.

Letters in shapes, in every file of this folder: n samples, K classes, P purity levels, B batches,
I planted interactions, U units (blocks, bins, genes) of a modality, S hidden states of a unit, d
features. A log-likelihood is an array ``[n, K, P, B, 2, ... 2]`` with an axis of two for each
interaction; an axis on which it does not depend has length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.levels import Levels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Interaction:
    """Exclusive-or between two modalities.

    A fair bit u determines what the first modality shows; the second shows u if `code` of the
    sample's class is 0, and the other value if it is 1. Each modality alone shows a fair coin
    whatever the class; only both together are informative.

    Attributes
    ----------
    first, second : str
        Modalities.
    code : tuple of int
        0 or 1 for each class.
    """

    first: str
    second: str
    code: tuple[int, ...]


@dataclass(frozen=True)
class Shared:
    """Distribution of the latent variables that the modalities share.

    Attributes
    ----------
    classes : tuple of str
    prior : NDArray
        ``[K]``: frequency of each class.
    purity : Levels
        Fraction of tumour cells in a tissue sample.
    batch : NDArray
        ``[K, B]``: probability of each batch given the class.
    interactions : tuple of Interaction
    share : float
        Fraction of each modality's drivers that interactions, not the class, switch on.
    """

    classes: tuple[str, ...]
    prior: Floats
    purity: Levels
    batch: Floats
    interactions: tuple[Interaction, ...]
    share: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """K, P, B."""
        return len(self.classes), len(self.purity), self.batch.shape[1]

    def of(self, modality: str) -> list[int]:
        """Return the interactions in which a modality takes part."""
        return [
            i for i, pair in enumerate(self.interactions) if modality in (pair.first, pair.second)
        ]

    def log_prior(self) -> Floats:
        """Return the log probability of class, purity, batch and bits ``[1, K, P, B, 1, ...]``."""
        with np.errstate(divide="ignore"):
            joint = (
                np.log(self.prior)[:, None, None]
                + np.log(self.purity.weights)[None, :, None]
                + np.log(self.batch)[:, None, :]
            )
        bits = len(self.interactions)
        return joint.reshape(1, *joint.shape, *[1] * bits) - bits * np.log(2)

    def in_bits(self, log_likelihood: Floats, modality: str) -> Floats:
        """Turn axes of what `modality` shows into axes of the interactions' bits.

        In `log_likelihood` ``[n, K, P, B, 2, ...]`` an axis has length 2 if the modality depends on
        the interaction, else length 1.
        """
        for i, pair in enumerate(self.interactions):
            axis = 4 + i
            if pair.second != modality or log_likelihood.shape[axis] == 1:
                continue
            shape = list(log_likelihood.shape)
            shape[1] = len(self.classes)
            shown = np.broadcast_to(log_likelihood, shape)
            flipped = np.array(pair.code, bool).reshape(1, -1, *[1] * (len(shape) - 2))
            log_likelihood = np.where(flipped, np.flip(shown, axis), shown)
        return log_likelihood


@dataclass(frozen=True)
class Samples:
    """Shared latent variables of some samples.

    Attributes
    ----------
    label, purity, batch : NDArray
        int64 ``[n]``: class, level of purity, batch.
    bits : NDArray
        int64 ``[n, I]``.
    """

    label: Ints
    purity: Ints
    batch: Ints
    bits: Ints

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> Samples:
        return Samples(self.label[rows], self.purity[rows], self.batch[rows], self.bits[rows])

    def shown(self, shared: Shared, modality: str, interaction: int) -> Ints:
        """Return what a modality shows of an interaction ``[n]``."""
        pair = shared.interactions[interaction]
        bit = self.bits[:, interaction]
        return bit if modality == pair.first else bit ^ np.array(pair.code)[self.label]


def joined(parts: Sequence[Samples]) -> Samples:
    """Concatenate several draws of samples."""
    each = [(part.label, part.purity, part.batch, part.bits) for part in parts]
    return Samples(*map(np.concatenate, zip(*each, strict=True)))


def draw_samples(shared: Shared, n: int, rng: np.random.Generator) -> Samples:
    """Draw the shared latent variables of `n` samples."""
    label = rng.choice(len(shared.classes), n, p=shared.prior)
    below = np.cumsum(shared.batch, axis=1)[label]
    batch = (rng.random(n)[:, None] > below[:, :-1]).sum(1)
    bits = rng.integers(0, 2, (n, len(shared.interactions)))
    return Samples(label, shared.purity.draw(rng, n), batch, bits)


def batch_law(classes: int, batches: int, confounding: float) -> Floats:
    """Return the probability of each batch given the class ``[K, B]``.

    ``(1 - kappa) / B + kappa [b = y mod B]``: independent at kappa = 0, set by the class at 1.
    """
    preferred = np.eye(batches)[np.arange(classes) % batches]
    return (1 - confounding) / batches + confounding * preferred


def class_codes(prior: Sequence[float], interactions: int) -> list[tuple[int, ...]]:
    """Return for each interaction one bit per class; together they identify the class.

    The bits are those of the class's rank by frequency: each splits the samples about in half.
    """
    classes = len(prior)
    rank = np.argsort(np.argsort(-np.asarray(prior), kind="stable"), kind="stable")
    bits = max((classes - 1).bit_length(), 1)
    return [tuple(int(r >> (i % bits)) & 1 for r in rank) for i in range(interactions)]
