"""Exact probability of each base under a Markov chain, given the known bases.

By the forward-backward algorithm (Rabiner 1989, doi:10.1109/5.18626) with the context as the hidden
state.

Letters in shapes: B batch, L bases, k order, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

BASES = 4
# Smallest probability of a base: next to a known base the others have 0, which has no logarithm.
LEAST = 1e-9


def chain_posterior(tables: Sequence[Tensor], evidence: Tensor) -> Tensor:
    """Return the probability of each base given all observations ``[B, L, 4]``.

    Time and memory grow as ``B L 4^k``.

    Parameters
    ----------
    tables : sequence of Tensor
        For order 0 to k: ``[B, 4^j, 4]`` or ``[1, 4^j, 4]``, probability of A, C, G, T after a
        context; the last base of the context is the least significant.
    evidence : Tensor
        ``[B, L, 4]``: probability of the observation, for each possible true base.
    """
    length = evidence.shape[1]
    at = [tables[min(i, len(tables) - 1)] for i in range(length)]
    forward = [evidence.new_ones(len(evidence), 1)]
    for i in range(length - 1):
        joint = forward[i][:, :, None] * at[i] * evidence[:, i, None]
        forward.append(_scaled(_next_contexts(joint, at[i + 1].shape[1])))
    backward = evidence.new_ones(len(evidence), at[-1].shape[1])
    found = [evidence] * length
    for i in reversed(range(length)):
        # The rest of the sequence depends only on the context after this base.
        later = _contexts_and_base(backward, at[i].shape[1]) * at[i] * evidence[:, i, None]
        found[i] = _scaled((forward[i][:, :, None] * later).sum(1))
        backward = _scaled(later.sum(-1))
    return torch.stack(found, 1)


def _next_contexts(joint: Tensor, contexts: int) -> Tensor:
    """Sum contexts and the base after them ``[B, S, 4]`` into the next contexts ``[B, S']``."""
    # The base that leaves a context is the most significant digit of its number.
    return joint.reshape(len(joint), -1, contexts).sum(1)


def _contexts_and_base(after: Tensor, contexts: int) -> Tensor:
    """Spread values of the next contexts ``[B, S']`` to contexts and the base after them."""
    times = contexts * BASES // after.shape[1]
    return after.repeat(1, times).view(len(after), contexts, BASES)


def _scaled(x: Tensor) -> Tensor:
    return x / x.sum(1, keepdim=True)


class ChainStart(nn.Module):
    """Logits of hidden bases from one Markov chain per class, for a denoiser to correct.

    Parameters
    ----------
    order : int
        k.
    classes : int
        K.
    """

    known: Tensor

    def __init__(self, order: int, classes: int) -> None:
        super().__init__()
        self.order = order
        for j in range(order + 1):
            even = torch.full((classes + 1, BASES**j, BASES), 1 / BASES)
            self.register_buffer(f"order_{j}", even)
        # Row 4 is a hidden base, which may be any.
        known = torch.cat([torch.eye(BASES), torch.ones(1, BASES)])
        self.register_buffer("known", known, persistent=False)

    @property
    def tables(self) -> list[Tensor]:
        """Tables of order 0 to k, float32 ``[K + 1, 4^j, 4]``; the last row pools all classes."""
        return [getattr(self, f"order_{j}") for j in range(self.order + 1)]

    def take(self, tables: Sequence[Tensor]) -> None:
        """Set the tables to fitted ones with the shapes of :attr:`tables`."""
        for own, fitted in zip(self.tables, tables, strict=True):
            own.copy_(fitted)

    @torch.no_grad()
    def forward(self, bases: Tensor, label: Tensor) -> Tensor:
        """Return the logits of A, C, G and T ``[B, L, 4]``.

        Parameters
        ----------
        bases : Tensor
            int64 ``[B, L]``: 0 to 3, and 4 if hidden.
        label : Tensor
            int64 ``[B]``: class, and -1 if unknown.
        """
        tables = [table[label] for table in self.tables]
        return chain_posterior(tables, self.known[bases]).clamp(min=LEAST).log()
