"""Retrieval of phenotypes for a sequence, and of sequences for phenotypes.

Letters: n sequences, M distinct profiles, P phenotypes, B batch, d width, p width of the compared
vectors, D draws.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import Interval, interval_of
from genomix_cli.config import from_dict
from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Sequences
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.finite import finite
from genomix_cli.learning.networks import stored_module
from genomix_cli.progress import track
from genomix_cli.sequences.models.alignment import AlignConfig, Alignment, PhenotypeSpec
from genomix_cli.sequences.runs import StoredRun
from genomix_cli.sequences.train.learning import PREDICT_BATCH

if TYPE_CHECKING:
    import pandas as pd

FIRST = (1, 5, 10)
DRAWS = 500
# Number of profiles per sequence that cross-attention reranks.
RANKED_ANEW = 10
# Added to their scores so that they rank before all others.
_AHEAD = 1e4


class Compared(NamedTuple):
    """Similarity of each sequence to each profile, float64 ``[n, M]``; larger is better.

    Attributes
    ----------
    similarity : NDArray
        Cosine similarity of the towers' vectors.
    match : NDArray
        Probability of a match by cross-attention, for each sequence's most similar profiles; NaN
        for the others.
    ranked : NDArray
        Score after reranking by both: ``log p(match)`` plus the similarity over the temperature.
    """

    similarity: NDArray[np.float64]
    match: NDArray[np.float64]
    ranked: NDArray[np.float64]


class Recall(NamedTuple):
    """Share of queries with a right answer among the first k, and its value by chance."""

    k: int
    share: Interval
    chance: float


class Recalls(NamedTuple):
    """Recall in both directions: profiles of a sequence, and sequences of a profile."""

    to_profiles: tuple[Recall, ...]
    to_sequences: tuple[Recall, ...]


def compare(
    module: Alignment, codes: NDArray[np.uint8], values: NDArray[np.float32], say: str = ""
) -> Compared:
    """Compare every sequence with every profile.

    Parameters
    ----------
    module : Alignment
        Alignment in evaluation mode.
    codes : NDArray
        uint8 ``[n, L]``.
    values : NDArray
        float32 ``[M, P]``: profiles as encoded for the tower.
    say : str
        Title of the progress bar; empty for none.
    """
    device = module.scale.log_scale.device
    compared = Compared(*(np.full((len(codes), len(values)), np.nan) for _ in Compared._fields))
    with torch.inference_mode():
        vectors, tokens = module.profile(torch.from_numpy(values).to(device))
        parts = range(0, len(codes), PREDICT_BATCH)
        for start in track(parts, say) if say else parts:
            rows = slice(start, start + PREDICT_BATCH)
            batch = torch.from_numpy(np.array(codes[rows])).to(device)
            for whole, part in zip(
                compared, _compared(module, batch, vectors, tokens), strict=True
            ):
                whole[rows] = part.cpu().numpy()
    finite(compared.similarity, "a similarity")
    return compared


def _compared(
    module: Alignment, codes: Tensor, profiles: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    own, embedding, dna = module.dna(codes)
    similarity = own @ profiles.T  # [B, M]
    match = torch.full_like(similarity, torch.nan)
    likeliest = similarity.topk(min(RANKED_ANEW, len(profiles)), dim=1).indices
    for column in likeliest.T:
        logit = module.match(tokens[column], embedding, dna).to(match)
        match.scatter_(1, column[:, None], logit[:, None])
    ranked = similarity.double() * module.scale().double()
    opinion = F.logsigmoid(match.double()) + _AHEAD
    ranked = ranked + torch.where(match.isnan(), torch.zeros_like(ranked), opinion)
    return similarity.double(), match.double().sigmoid(), ranked


def recalls(
    score: NDArray[np.float64], right: NDArray[np.bool_], group: NDArray[np.int64], seed: int
) -> Recalls:
    """Return recall in both directions, with 95 % bootstrap intervals over groups of sequences.

    Parameters
    ----------
    score, right : NDArray
        float64 and bool ``[n, M]``: scores, and which answers are right.
    group : NDArray
        int64 ``[n]``: resampling unit of each sequence.
    seed : int
    """
    every = Bootstrap(group, DRAWS, seed).matrix()
    hit = np.take_along_axis(right, np.argsort(-score, axis=1, kind="stable"), 1)
    # Rank from 0 of the first right answer to each query; past the end if none is right.
    first = np.where(hit.any(1), hit.argmax(1), score.shape[1])
    shares = np.array([every @ (first < k) / every.sum(1) for k in FIRST])
    order = np.argsort(-score.T, axis=1, kind="stable")
    back = _shares_of_profiles(order, right.T, every)
    return Recalls(_recalls(shares, right), _recalls(back, right.T))


def _recalls(shares: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Recall, ...]:
    """Return recalls from shares ``[k, 1 + D]``, of the data and of the draws."""
    return tuple(
        Recall(k, interval_of(share), _chance(right, k))
        for k, share in zip(FIRST, shares, strict=True)
    )


def _shares_of_profiles(
    order: NDArray[np.intp], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of profiles with a right sequence among the first k, for each k ``[k, D]``.

    A sequence that was drawn twice takes two ranks. A profile without a drawn sequence is not a
    query.
    """
    hits, asked = np.zeros((len(FIRST), len(weights))), np.zeros(len(weights))
    for own, fits in zip(order, right, strict=True):
        times = weights[:, own]  # [D, n]
        there = (times > 0) & fits[own]
        before = np.where(there, times.cumsum(1) - times, np.inf).min(1)
        hits += [before < k for k in FIRST]
        asked += np.isfinite(before)
    return hits / np.maximum(asked, 1)


def _chance(right: NDArray[np.bool_], k: int) -> float:
    """Return the mean recall of a random order over queries with a right answer.

    For r right answers of N it is 1 - C(N - r, k) / C(N, k), the hypergeometric probability of at
    least one among the first k.
    """
    n, numbers = right.shape[1], right.sum(1)
    k = min(k, n)
    asked = numbers[numbers > 0]
    none = [comb(n - int(r), k) / comb(n, k) for r in asked]
    return float(1 - np.mean(none)) if none else float("nan")


def agree(values: NDArray[np.float32], profiles: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return True where profiles agree in all phenotypes known for both, bool ``[n, M]``."""
    fits = np.ones((len(values), len(profiles)), bool)
    for own, other in zip(values.T, profiles.T, strict=True):
        gap = np.isnan(own)[:, None] | np.isnan(other)
        fits &= gap | (own[:, None] == other)
    return fits


def distinct(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the distinct profiles ``[M, P]`` and their counts, without wholly unknown ones."""
    known = values[~np.isnan(values).all(1)]
    # NaN does not equal itself.
    plain = np.where(np.isnan(known), np.float32(-np.inf), known)
    found, counts = np.unique(plain, axis=0, return_counts=True)
    return np.where(np.isneginf(found), np.float32(np.nan), found), counts.astype(np.int64)


def load_alignment(
    stored: StoredRun, device: str = "cpu"
) -> tuple[Alignment, tuple[PhenotypeSpec, ...], NDArray[np.float32]]:
    """Return the alignment of a run in evaluation mode, its phenotypes, and its stored profiles.

    Raises
    ------
    DataError
        If the run is damaged.
    """
    facts = stored.config.facts
    try:
        phenotypes = tuple(
            PhenotypeSpec(
                each["name"], each["categories"] and tuple(each["categories"]), *each["scale"]
            )
            for each in facts["phenotypes"]
        )
        arch = {**stored.config.arch, "length": stored.config.length}
        config = from_dict(AlignConfig, arch, where=stored.path)
        module = stored_module(lambda: Alignment(phenotypes, config), stored.state)
        profiles = np.array(facts["profiles"], np.float32).reshape(-1, len(phenotypes))
    except (KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise DataError("is damaged: the parts of the run do not fit", where=stored.path) from error
    return module.to(resolve_device(device)).eval(), phenotypes, profiles


def retrieve(
    stored: StoredRun, sequences: Sequences, device: str = "cpu", top: int = 10
) -> pd.DataFrame:
    """Return the most likely profiles of each sequence, among those in training.

    The columns are ``sequence``, ``rank``, one per phenotype, ``similarity`` and ``match``.

    Parameters
    ----------
    stored : StoredRun
        Run of the task ``align``.
    sequences : Sequences
    device : str
    top : int
        Number of profiles per sequence.

    Raises
    ------
    DataError
        If the run is damaged.
    """
    import pandas as pd

    module, phenotypes, profiles = load_alignment(stored, device)
    compared = compare(module, sequences.codes, profiles, "comparing")
    order = np.argsort(-compared.ranked, axis=1, kind="stable")[:, :top]
    row, rank = (index.ravel() for index in np.indices(order.shape))
    best = order.ravel()
    words = in_words(profiles, phenotypes)
    table: dict[str, Any] = {
        "sequence": sequences.names.astype(str)[row],
        "rank": rank + 1,
        **{name: [values[i] for i in best] for name, values in words.items()},
        "similarity": compared.similarity[row, best],
        "match": compared.match[row, best],
    }
    return pd.DataFrame(table)


def in_words(
    profiles: NDArray[np.float32], phenotypes: tuple[PhenotypeSpec, ...]
) -> dict[str, list[Any]]:
    """Return each phenotype's values as categories or numbers, None where unknown."""
    words: dict[str, list[Any]] = {}
    for spec, values in zip(phenotypes, profiles.T.astype(np.float64), strict=True):
        if spec.categories is None:
            values = np.round(values * spec.sd + spec.mean, 6)
        words[spec.name] = [
            None if np.isnan(v) else spec.categories[int(v)] if spec.categories else float(v)
            for v in values
        ]
    return words
