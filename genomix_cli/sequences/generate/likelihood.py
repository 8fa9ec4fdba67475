"""Likelihood of held-out sequences, and restored bases, for diffusion models and Markov chains.

Letters: n sequences, L bases, C conditions, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.comparison.intervals import Interval, mean_by_group
from genomix_cli.genome import iupac
from genomix_cli.progress import track
from genomix_cli.sequences.generate.markov import ORDER, Floats, MarkovChain, fit_markov
from genomix_cli.sequences.generate.process import Predict, posterior

# Fractions of bases that are hidden or wrong.
RATES = (0.05, 0.15, 0.3, 0.5, 0.7)
# Number of passes in which every base is hidden once, if any base may be wrong.
GROUPS = 8


@dataclass(frozen=True)
class Chains:
    """A Markov chain of all sequences, and one of each class with that chain as its prior.

    Attributes
    ----------
    pooled : MarkovChain
    by_class : tuple of MarkovChain
        Empty without classes.
    """

    pooled: MarkovChain
    by_class: tuple[MarkovChain, ...] = ()

    def of(self, k: int) -> MarkovChain:
        """Return the chain of a class; for -1, the chain of all sequences."""
        return self.by_class[k] if self.by_class and k >= 0 else self.pooled

    def tables(self, order: int) -> list[torch.Tensor]:
        """Return the tables of order 0 to `order`, one row per class and a last row for all.

        Each is float32 ``[K + 1, 4^j, 4]``, as in :class:`ChainStart`.
        """
        each = [chain.lower(order).tables for chain in (*self.by_class, self.pooled)]
        return [torch.from_numpy(np.stack(same)).float() for same in zip(*each, strict=True)]

    def lower(self, order: int) -> Chains:
        """Return the chains of a lower order, fitted to the same data."""
        return Chains(self.pooled.lower(order), tuple(c.lower(order) for c in self.by_class))


def fit_chains(
    codes: NDArray[np.uint8], label: NDArray[np.int64], *, strands: bool, order: int = ORDER
) -> Chains:
    """Fit a chain to all sequences ``[n, L]``, and one to each class of the labels ``[n]``."""
    pooled = fit_markov(codes, order, strands=strands)
    by_class = (
        fit_markov(codes[label == k], order, strands=strands, prior=pooled)
        for k in range(int(label.max(initial=-1)) + 1)
    )
    return Chains(pooled, tuple(by_class))


def per_class(
    label: NDArray[np.int64], compute: Callable[[int, NDArray[np.int64]], Floats]
) -> Floats:
    """Apply `compute` to the rows of each class, and return the results in row order."""
    rows = [np.flatnonzero(label == k) for k in np.unique(label)]
    values = [compute(int(label[some[0]]), some) for some in rows]
    return np.concatenate(values)[np.argsort(np.concatenate(rows))]


@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood per base under a model.

    Attributes
    ----------
    name : str
    nats : Interval
        Nats per base: an upper bound for diffusion, exact for chains.
    less_best_chain : Interval or None
        Difference from the best chain on the same sequences; negative is better.
    """

    name: str
    nats: Interval
    less_best_chain: Interval | None


def likelihoods(
    models: Mapping[str, Floats],
    chains: Chains,
    codes: NDArray[np.uint8],
    label: NDArray[np.int64],
    group: NDArray[np.int64],
) -> list[Likelihood]:
    """Return the likelihoods of diffusion models, from nats per base ``[n]``, and of the chains."""
    known = np.maximum((iupac.to_bases(codes) < 4).sum(1), 1)
    nats: dict[str, Floats] = dict(models)
    for order in range(chains.pooled.order + 1):
        chain = chains.pooled.lower(order)
        nats[f"Markov chain, order {order}"] = -chain.log_likelihood(codes) / known
    if chains.by_class:
        # Choosing the best order on the test sequences favours the chain.
        each = {
            f"Markov chain of each class, order {order}": _by_class(
                chains.lower(order), codes, label
            )
            / known
            for order in range(chains.pooled.order + 1)
        }
        name = min(each, key=lambda name: each[name].mean())
        nats[name] = each[name]
    best = min((name for name in nats if name not in models), key=lambda name: nats[name].mean())
    return [
        Likelihood(
            name,
            mean_by_group(value, group),
            None if name == best else mean_by_group(value - nats[best], group),
        )
        for name, value in nats.items()
    ]


def _by_class(chains: Chains, codes: NDArray[np.uint8], label: NDArray[np.int64]) -> Floats:
    """Return each sequence's nats ``[n]`` under the chain of its class."""
    return per_class(label, lambda k, rows: -chains.of(k).log_likelihood(codes[rows]))


@dataclass(frozen=True)
class Restored:
    """Accuracy of a model that restores hidden or wrong bases.

    Attributes
    ----------
    name : str
    damage : str
        ``hidden`` if the model knows which bases are damaged; ``wrong`` if it does not.
    rate : float
        Fraction of damaged bases.
    accuracy : Interval
        Over the hidden bases, or over all bases if some are wrong.
    """

    name: str
    damage: str
    rate: float
    accuracy: Interval


Posterior = Callable[[Floats], Floats]


def restorers(
    predict: Predict,
    values: NDArray[np.float32],
    chains: Chains,
    label: NDArray[np.int64],
    seed: int,
    device: str,
) -> dict[str, Posterior]:
    """Return, by name, functions from evidence ``[n, L, 4]`` to base probabilities."""

    def by_diffusion(evidence: Floats) -> Floats:
        # If every known base is certain, one pass suffices.
        groups = GROUPS if ((evidence > 0) & (evidence < 1)).any() else 1
        return posterior(predict, evidence, values, groups, seed, device)

    def by_chain(chains: Chains) -> Posterior:
        return lambda evidence: per_class(
            label, lambda k, rows: chains.of(k).posterior(evidence[rows])
        )

    return {
        "diffusion": by_diffusion,
        f"Markov chain, order {chains.pooled.order}": by_chain(chains),
        "most frequent base": by_chain(chains.lower(0)),
    }


def restored(
    ways: Mapping[str, Posterior],
    codes: NDArray[np.uint8],
    group: NDArray[np.int64],
    seed: int,
    rates: Sequence[float] = RATES,
) -> list[Restored]:
    """Return the accuracy of each restorer at each rate of hidden and of wrong bases.

    Parameters
    ----------
    ways : mapping
        Functions from :func:`restorers`.
    codes : NDArray
        uint8 ``[n, L]``; unknown bases are neither damaged nor scored.
    group : NDArray
        int64 ``[n]``.
    seed : int
    rates : sequence of float
    """
    truth = iupac.to_bases(codes)
    found = []
    for i, rate in enumerate(track(rates, "restoring bases")):
        rng = np.random.default_rng([seed, i])
        hit = (rng.random(truth.shape) < rate) & (truth < 4)
        wrong = np.where(hit, (truth + rng.integers(1, 4, truth.shape)) % 4, truth)
        damages = {
            "hidden": (evidence_of(np.where(hit, 4, truth), 0), hit),
            "wrong": (evidence_of(wrong, rate), truth < 4),
        }
        for damage, (evidence, judged) in damages.items():
            for name, way in ways.items():
                right = way(evidence).argmax(-1) == truth
                found.append(Restored(name, damage, rate, _share(right, judged, group)))
        left = _share(wrong == truth, truth < 4, group)
        found.append(Restored("as it is", "wrong", rate, left))
    return found


def evidence_of(bases: NDArray[np.uint8], rate: float) -> Floats:
    """Return the probability of the observed base given each true base ``[..., 4]``; 1 if hidden.

    Parameters
    ----------
    bases : NDArray
        uint8 ``[n, L]``: 0 to 3, 4 hidden.
    rate : float
        Probability that a base is observed as another one; the three others are equally likely.
    """
    table = np.full((5, 4), rate / 3)
    table[range(4), range(4)] = 1 - rate
    table[4] = 1.0
    return table[bases]


def _share(
    right: NDArray[np.bool_], judged: NDArray[np.bool_], group: NDArray[np.int64]
) -> Interval:
    """Return the share of scored bases that are right, with an interval over groups."""
    share = float((right & judged).sum() / max(judged.sum(), 1))
    # The linearised error of a ratio of two sums.
    each = ((right & judged).sum(1) - share * judged.sum(1)) * len(judged) / max(judged.sum(), 1)
    spread = mean_by_group(each, group)
    half = spread.high - spread.value
    return Interval(share, float(share - half), float(share + half))
