"""Absorbing-state diffusion of bases: hiding, loss, likelihood bound, and sampling.

Each base is hidden by time t with probability t and stays hidden (Austin et al. 2021,
arXiv:2107.03006, section 3; Sahoo et al. 2024, arXiv:2406.07524, with the log-linear schedule). The
denoiser gives every hidden base a distribution given the visible ones. With that schedule the
continuous-time bound is ``E_t[1/t sum over hidden of -log p]``. The number of hidden bases at a
uniform t is uniform. With k hidden bases chosen at random, the same bound is therefore

    -log p(x) <= sum_{k=1..L} E[mean over the k hidden of -log p]

(Ou et al. 2024, arXiv:2406.03736; Hoogeboom et al. 2022, arXiv:2110.02037, eq. 4). This form is
used here because it does not divide by a small t. It is the cost of reading the sequence in a
random order, which is why sampling may follow any order too.

Letters in shapes: n sequences, B batch, L bases, C conditions, M draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.genome import iupac
from genomix_cli.progress import track
from genomix_cli.sequences.generate.chain import BASES
from genomix_cli.sequences.generate.model import HIDDEN

# Maps bases int64 [B, L] (4 if hidden) and conditions float32 [B, C] to logits [B, L, 4].
Predict = Callable[[Tensor, Tensor], Tensor]
# Number of sequences at a time. Random numbers are drawn per chunk, so changing it changes results.
CHUNK = 128
# Separate random streams, so that equal seeds do not correlate these draws.
BOUND, FILL, DEAL = 1, 2, 3
_TO_BASE = torch.from_numpy(iupac.to_bases(np.arange(iupac.SETS))).long()


class Noised(NamedTuple):
    """Sequences with some bases hidden.

    Attributes
    ----------
    bases : Tensor
        int64 ``[B, L]``: 0 to 3; 4 if hidden or never known.
    truth : Tensor
        int64 ``[B, L]``: 4 if never known.
    scored : Tensor
        bool ``[B, L]``: hidden but known.
    """

    bases: Tensor
    truth: Tensor
    scored: Tensor


def to_bases(codes: Tensor) -> Tensor:
    """Convert sets uint8 ``[...]`` to bases int64; all but single bases count as hidden (4)."""
    return _TO_BASE.to(codes.device)[codes.long()]


def hide(codes: Tensor, when: Tensor, order: Tensor) -> Noised:
    """Hide a fraction of the bases of each sequence.

    Parameters
    ----------
    codes : Tensor
        uint8 ``[B, L]``: sets of bases.
    when : Tensor
        float ``[B]`` in [0, 1): of the n known bases, ``floor(when n) + 1`` are hidden.
    order : Tensor
        float ``[B, L]``: the bases with the smallest values are hidden.
    """
    truth = to_bases(codes)
    known = truth != HIDDEN
    count = known.sum(1)
    n_hidden = ((when * count).long() + 1).minimum(count)
    rank = order.masked_fill(~known, torch.inf).argsort(1).argsort(1)
    scored = known & (rank < n_hidden[:, None])
    return Noised(truth.masked_fill(scored, HIDDEN), truth, scored)


def surprise(logits: Tensor, noised: Noised) -> Tensor:
    """Return the mean ``-log p`` over the hidden bases of each sequence ``[B]``.

    In nats per base, an estimate of the bound; 0 if no base is known.
    """
    loss = F.cross_entropy(
        logits.float().flatten(0, 1), noised.truth.flatten() % BASES, reduction="none"
    ).view_as(noised.truth)
    return (loss * noised.scored).sum(1) / noised.scored.sum(1).clamp(min=1)


def spread(n: int, offset: Tensor) -> Tensor:
    """Return n times in [0, 1), one in each n-th of the interval: float ``[n]``.

    `offset` is one uniform number that shifts them all.

    Spreading them evenly makes the loss less noisy (Kingma et al. 2021, arXiv:2107.00630, appendix
    I.1).
    """
    return (torch.arange(n, device=offset.device) + offset) / n


def bound(
    predict: Predict,
    codes: NDArray[np.uint8],
    values: NDArray[np.float32],
    draws: int,
    seed: int,
    device: str = "cpu",
) -> NDArray[np.float64]:
    """Estimate the bound by Monte Carlo, spreading the number of hidden bases over the draws.

    Parameters
    ----------
    predict : Predict
    codes : NDArray
        uint8 ``[n, L]``.
    values : NDArray
        float32 ``[n, C]``.
    draws : int
        M; each is one pass over the sequences.
    seed : int
    device : str
    """
    nats = np.zeros(len(codes))
    for low in track(range(0, len(codes), CHUNK), "bounding the likelihood"):
        rows = slice(low, low + CHUNK)
        rng = np.random.default_rng([seed, low, BOUND])
        chunk = torch.from_numpy(np.ascontiguousarray(codes[rows])).to(device)
        offset = rng.random(len(chunk))
        for draw in range(draws):
            when = torch.from_numpy((draw + offset) / draws)
            order = torch.from_numpy(rng.random(chunk.shape, np.float32))
            noised = hide(chunk, when.to(device), order.to(device))
            with torch.inference_mode():
                logits = predict(noised.bases, torch.from_numpy(values[rows]).to(device))
            nats[rows] += surprise(logits, noised).cpu().numpy() / draws
    return nats


def guided(predict: Predict, guidance: float) -> Predict:
    """Apply classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598).

    ``log p_u + w (log p_c - log p_u)``: w = 1 is the conditional model, 0 the unconditional one,
    and w above 1 exaggerates the condition.
    """
    if guidance == 1:
        return predict

    def both(bases: Tensor, values: Tensor) -> Tensor:
        null = torch.full_like(values, torch.nan)
        if guidance == 0:
            return predict(bases, null)
        twice = predict(bases.repeat(2, 1), torch.cat([values, null])).log_softmax(-1)
        conditional, free = twice.chunk(2)
        return free + guidance * (conditional - free)

    return both


def fill(
    predict: Predict,
    codes: NDArray[np.uint8],
    values: NDArray[np.float32],
    steps: int,
    seed: int,
    device: str = "cpu",
) -> NDArray[np.uint8]:
    """Draw every unknown base by ancestral sampling, in a random order for each sequence.

    Drawn bases stay. The bases of one step are drawn independently of each other, so `steps` equal
    to L is exact and fewer steps are faster. An ambiguity letter becomes one of its members.

    Parameters
    ----------
    predict : Predict
    codes : NDArray
        uint8 ``[n, L]``: sets of bases; 0 and 15 are free.
    values : NDArray
        float32 ``[n, C]``.
    steps : int
    seed : int
        Sequences drawn first do not depend on how many follow.
    device : str

    Returns
    -------
    NDArray
        uint8 ``[n, L]``: sets of one base each.
    """
    filled = np.empty_like(codes)
    for low in track(range(0, len(codes), CHUNK), "sampling sequences"):
        rows = slice(low, low + CHUNK)
        rng = np.random.default_rng([seed, low, FILL])
        order = rng.random((CHUNK, codes.shape[1]))[: len(codes[rows])]
        uniform = rng.random((CHUNK, codes.shape[1]))[: len(order)]
        chunk = torch.from_numpy(np.ascontiguousarray(codes[rows])).to(device)
        bases = to_bases(chunk)
        known = torch.from_numpy(values[rows]).to(device)
        for now in _steps(bases.cpu().numpy() == HIDDEN, order, steps):
            with torch.inference_mode():
                logits = predict(bases, known).double().log_softmax(-1)
            drawn = _draw(logits.cpu().numpy(), codes[rows], uniform)
            positions = torch.from_numpy(now).to(device)
            bases = torch.where(positions, torch.from_numpy(drawn).to(device), bases)
        filled[rows] = iupac.from_bases(bases.cpu().numpy())
    return filled


def _steps(
    free: NDArray[np.bool_], order: NDArray[np.float64], steps: int
) -> list[NDArray[np.bool_]]:
    """Return the positions ``[B, L]`` to draw in each step: equally many, in the given order."""
    rank = np.where(free, order, np.inf).argsort(1).argsort(1)
    count = free.sum(1, keepdims=True)
    n_steps = min(steps, int(count.max(initial=0)))
    step = np.where(free, rank * n_steps // np.maximum(count, 1), -1)
    return [step == i for i in range(n_steps)]


def _draw(
    logits: NDArray[np.float64], codes: NDArray[np.uint8], uniform: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Draw bases int64 ``[B, L]`` by inversion, only members of the sets in `codes`."""
    p = np.exp(logits) * allowed(codes)
    cumulative = p.cumsum(-1)
    return (cumulative < uniform[..., None] * cumulative[..., -1:]).sum(-1).clip(max=BASES - 1)


def allowed(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return True for the bases A, C, G and T in a set, bool ``[..., 4]``; all for the set 0."""
    return (np.where(codes == iupac.HIDDEN, iupac.ANY, codes)[..., None] >> np.arange(4) & 1) > 0


def posterior(
    predict: Predict,
    evidence: NDArray[np.float64],
    values: NDArray[np.float32],
    groups: int,
    seed: int,
    device: str = "cpu",
) -> NDArray[np.float64]:
    """Return the probability of each base given all observations, hiding each position once.

    The positions are dealt into `groups`. Each group is hidden together and predicted from the
    others, and the prediction is multiplied by the likelihood of the observation. Positions with
    several equally likely bases are always hidden; positions known for certain never are.

    Parameters
    ----------
    predict : Predict
    evidence : NDArray
        float64 ``[n, L, 4]``: probability of the observation, for each possible true base.
    values : NDArray
        float32 ``[n, C]``.
    groups : int
    seed : int
    device : str

    Returns
    -------
    NDArray
        float64 ``[n, L, 4]``.
    """
    probabilities = np.empty(evidence.shape)
    for low in range(0, len(evidence), CHUNK):
        rows = slice(low, low + CHUNK)
        likelihood = evidence[rows]
        group = (
            np.random.default_rng([seed, low, DEAL]).random(likelihood.shape[:2]).argsort(1)
            % groups
        )
        silent = (likelihood == likelihood.max(-1, keepdims=True)).sum(-1) > 1
        doubted = (likelihood > 0).sum(-1) > 1
        observed = np.where(silent, HIDDEN, likelihood.argmax(-1))
        known = torch.from_numpy(values[rows]).to(device)
        for g in range(groups):
            now = (group == g) & doubted
            bases = torch.from_numpy(np.where(now, HIDDEN, observed)).to(device)
            with torch.inference_mode():
                p = predict(bases, known).double().softmax(-1).cpu().numpy() * likelihood
            probabilities[rows][group == g] = (p / p.sum(-1, keepdims=True))[group == g]
    return probabilities
