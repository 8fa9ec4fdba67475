"""Known motifs as the first filters of a network.

Letters: K motifs, m selected motifs, w positions of a filter, n sequences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.genome.motifs import Motif

# Number and length of the random sequences on which thresholds and similarities are measured.
SEQUENCES, LENGTH = 1500, 200
#: Fraction of random positions that a motif occupies.
RARITY = 1e-3
#: Fraction of filters that start from motifs; the others can find what no motif describes.
MOTIF_SHARE = 5 / 6
# Number of motifs to score at once, which limits the memory.
_GROUP = 64


class Filters(NamedTuple):
    """Motifs of one width.

    Attributes
    ----------
    log_odds : Tensor
        float32 ``[m, 4, w]``, nats.
    thresholds : Tensor
        float32 ``[m]``: the score that a fraction `RARITY` of random positions reaches.
    """

    log_odds: Tensor
    thresholds: Tensor


def motif_filters(motifs: Sequence[Motif], n: int, width: int) -> Filters:
    """Select at most `n` motifs that best represent all, each centred in `width` positions.

    Many matrices of a collection are nearly the same. The similarity of two motifs is the
    correlation of how far they occupy random sequences. Each step selects the motif that adds most
    to the sum over all motifs of the similarity to the nearest selected one: the greedy solution of
    facility location (Nemhauser et al. 1978, doi:10.1007/BF01588971).

    Parameters
    ----------
    motifs : sequence of Motif
    n : int
    width : int
        Width of the filters, w; a wider motif keeps its most informative positions.
    """
    filters = torch.from_numpy(np.stack([_fitted(motif, width) for motif in motifs]))
    codes = np.random.default_rng(0).integers(0, 4, (SEQUENCES, LENGTH))
    sequences = F.one_hot(torch.from_numpy(codes), 4).float().transpose(1, 2)
    thresholds, occupied = [], []
    for group in filters.split(_GROUP):
        scores = F.conv1d(sequences, group).transpose(0, 1)
        places = scores.flatten(1)
        threshold = places.kthvalue(int(places.shape[1] * (1 - RARITY)), 1).values
        turned = F.conv1d(sequences, group.flip(1, 2)).transpose(0, 1)
        best = torch.maximum(scores, turned).amax(2)
        thresholds.append(threshold)
        occupied.append(torch.sigmoid(best - threshold[:, None]))
    likeness = torch.corrcoef(torch.cat(occupied)).reshape(len(motifs), len(motifs))
    chosen = _representatives(likeness, n)
    return Filters(filters[chosen], torch.cat(thresholds)[chosen])


def start_from(layer: nn.Sequential, motifs: tuple[Motif, ...]) -> None:
    """Initialise most filters of a convolution with motifs.

    Their weights are as large as random ones, so that they learn as fast. The batch norm that
    follows is shifted so that 0 is the score at which a motif begins to occupy a position. Scores
    above 0 are rare, and these pass the activation. Without the shift every second position passes,
    and random filters do better.

    Parameters
    ----------
    layer : nn.Sequential
        A `torch.nn.Conv1d` of four channels, a `torch.nn.BatchNorm1d`, and any further layers.
    motifs : tuple of Motif
    """
    convolution, norm = layer[0], layer[1]
    assert isinstance(convolution, nn.Conv1d)
    assert isinstance(norm, nn.BatchNorm1d)
    n = round(MOTIF_SHARE * convolution.out_channels)
    odds, thresholds = _filters(motifs, n, convolution.kernel_size[0])
    # Moments of the scores at random positions, with independent, equally frequent bases.
    mean, sd = odds.mean(1).sum(1), odds.var(1, correction=0).sum(1).sqrt()
    with torch.no_grad():
        size = convolution.weight.flatten(1).norm(dim=1).mean() / odds.flatten(1).norm(dim=1)
        convolution.weight[: len(odds)] = odds * size[:, None, None]
        norm.bias[: len(odds)] = (mean - thresholds) / sd


@lru_cache(maxsize=4)
def _filters(motifs: tuple[Motif, ...], n: int, width: int) -> Filters:
    """Return cached `motif_filters`, which take seconds and are needed by every fit."""
    return motif_filters(motifs, n, width)


def _fitted(motif: Motif, width: int) -> NDArray[np.float32]:
    """Return log-odds in nats, float32 ``[4, w]``, with zeros beyond the motif."""
    odds, p = motif.log_odds, motif.probabilities
    if motif.width > width:
        information = (p * np.log2(np.maximum(p, 1e-9) / 0.25)).sum(1)
        first = int(np.convolve(information, np.ones(width), "valid").argmax())
        odds = odds[first : first + width]
    left = (width - len(odds)) // 2
    padded = np.pad(odds, ((left, width - len(odds) - left), (0, 0)))
    return (padded.T * math.log(2)).astype(np.float32)


def _representatives(likeness: Tensor, n: int) -> list[int]:
    """Return the rows of the similarities ``[K, K]`` that together best represent all motifs."""
    reached = torch.zeros(len(likeness))
    chosen: list[int] = []
    while len(chosen) < min(n, len(likeness)):
        gain = (likeness - reached).clamp(min=0).sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        reached = torch.maximum(reached, likeness[chosen[-1]])
    return chosen
