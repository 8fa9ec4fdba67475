"""Retrieval of the phenotypes that fit a sequence, and of the sequences that fit phenotypes.

Letters: n sequences, M distinct profiles, P phenotypes, B batch, d width, p of what is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

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
from genomix_cli.genome.parquet import Column
from genomix_cli.learning.devices import resolve_device
from genomix_cli.progress import track
from genomix_cli.sequences.models.alignment import AlignConfig, Alignment, PhenotypeSpec
from genomix_cli.sequences.runs import StoredRun, check_fits, read_run
from genomix_cli.sequences.train.learning import PREDICT_BATCH

if TYPE_CHECKING:
    import pandas as pd

FIRST = (1, 5, 10)
DRAWS = 500
# Profiles of a sequence that cross-attention ranks anew.
RANKED_ANEW = 10
# Puts those before all others.
_AHEAD = 1e4


class Compared(NamedTuple):
    """Similarity of each sequence and each profile: float64 ``[n, M]``, larger is better.

    Attributes
    ----------
    similarity : NDArray
        Cosine of the towers' vectors.
    match : NDArray
        Probability by cross-attention that they belong together, of each sequence's most similar
        profiles; NaN for the others.
    ranked : NDArray
        Those anew by both: ``log p(match)`` plus the similarity over the temperature.
    """

    similarity: NDArray[np.float64]
    match: NDArray[np.float64]
    ranked: NDArray[np.float64]


class Recall(NamedTuple):
    """Share of queries with a right answer among the first k, and what chance gives."""

    k: int
    share: Interval
    chance: float


class Recalls(NamedTuple):
    """Both ways: profiles of a sequence, and sequences of a profile."""

    to_profiles: tuple[Recall, ...]
    to_sequences: tuple[Recall, ...]


@dataclass(frozen=True)
class Retrieved:
    """Tables of what was retrieved.

    Attributes
    ----------
    profiles : DataFrame
        For each sequence the most similar profiles: ``sequence``, ``rank``, a column per phenotype,
        ``similarity``, ``match``.
    sequences : DataFrame
        For each profile the most similar sequences: ``profile``, a column per phenotype, ``rank``,
        ``sequence``, ``similarity``.
    """

    profiles: pd.DataFrame
    sequences: pd.DataFrame

    @property
    def columns(self) -> list[Column]:
        """Columns of `profiles`."""
        kinds: dict[str, Literal["int", "float"]] = {"i": "int", "f": "float"}
        return [
            Column(str(name), kinds.get(dtype.kind, "str"))
            for name, dtype in self.profiles.dtypes.items()
        ]

    @property
    def rows(self) -> Iterator[tuple[str, ...]]:
        """Rows of `profiles` as text; nothing for what is missing."""
        for row in self.profiles.itertuples(index=False):
            yield tuple(_text(value) for value in row)


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def compare(
    module: Alignment, codes: NDArray[np.uint8], values: NDArray[np.float32], say: str = ""
) -> Compared:
    """Compare every sequence with every profile.

    Parameters
    ----------
    module : Alignment
        Module in evaluation mode.
    codes : NDArray
        uint8 ``[n, L]``.
    values : NDArray
        float32 ``[M, P]``: profiles as the tower takes them.
    say : str
        Title of the progress; empty: none is shown.
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
    """Recall both ways, with 95 % bootstrap intervals over groups of sequences.

    Parameters
    ----------
    score, right : NDArray
        float64 and bool ``[n, M]``.
    group : NDArray
        int64 ``[n]``: what is drawn.
    seed : int
    """
    every = Bootstrap(group, DRAWS, seed).matrix()
    first = _first(score, right)
    found = np.array([every @ (first < k) / every.sum(1) for k in FIRST])
    order = np.argsort(-score.T, axis=1, kind="stable")
    back = _found(order, right.T, every)
    return Recalls(_recalls(found, right), _recalls(back, right.T))


def _recalls(shares: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Recall, ...]:
    """From shares ``[k, 1 + D]``, of the data and of the draws."""
    return tuple(
        Recall(k, interval_of(share), _chance(right, k))
        for k, share in zip(FIRST, shares, strict=True)
    )


def _first(score: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Place of the first right answer of each query, from 0; past the end where none is right."""
    order = np.argsort(-score, axis=1, kind="stable")
    hit = np.take_along_axis(right, order, 1)
    return np.where(hit.any(1), hit.argmax(1), score.shape[1])


def _found(
    order: NDArray[np.intp], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of profiles with a right sequence among the first of each k ``[k, D]``.

    A sequence that was drawn twice takes two places. A profile of which none was drawn is not
    asked for.
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
    """Recall of a random order: for each query 1 - C(N - r, k) / C(N, k), those without r left out.

    r right ones of N: the hypergeometric probability of at least one among the first k.
    """
    n, numbers = right.shape[1], right.sum(1)
    k = min(k, n)
    asked = numbers[numbers > 0]
    none = [comb(n - int(r), k) / comb(n, k) for r in asked]
    return float(1 - np.mean(none)) if none else float("nan")


def agree(values: NDArray[np.float32], profiles: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return True where profiles agree in all that both are known of: bool ``[n, M]``."""
    fits = np.ones((len(values), len(profiles)), bool)
    for own, other in zip(values.T, profiles.T, strict=True):
        gap = np.isnan(own)[:, None] | np.isnan(other)
        fits &= gap | (own[:, None] == other)
    return fits


def distinct(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Profiles that occur ``[M, P]``, and how often; those of whom nothing is known left out."""
    known = values[~np.isnan(values).all(1)]
    # NaN equals nothing, itself included.
    plain = np.where(np.isnan(known), np.float32(-np.inf), known)
    found, counts = np.unique(plain, axis=0, return_counts=True)
    return np.where(np.isneginf(found), np.float32(np.nan), found), counts.astype(np.int64)


def load_alignment(
    stored: StoredRun, device: str = "cpu"
) -> tuple[Alignment, tuple[PhenotypeSpec, ...], NDArray[np.float32]]:
    """The module of a run in evaluation mode, its phenotypes, and the profiles it knows.

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
        with torch.random.fork_rng(devices=[]):
            module = Alignment(phenotypes, from_dict(AlignConfig, arch, where=stored.path))
        weights = {name: torch.from_numpy(np.array(a)) for name, a in stored.state.items()}
        module.load_state_dict(weights)
        profiles = np.array(
            [[np.nan if v is None else v for v in row] for row in facts["profiles"]], np.float32
        ).reshape(-1, len(phenotypes))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError("is damaged: the parts of the run do not fit", where=stored.path) from error
    return module.to(resolve_device(device)).eval(), phenotypes, profiles


def retrieve(
    run_folder: Path,
    sequences: Sequences,
    where: object = None,
    *,
    device: str = "cpu",
    top: int = 10,
) -> Retrieved:
    """The profiles most similar to each sequence, and the sequences most similar to each profile.

    Profiles are those of the training sequences.

    Parameters
    ----------
    run_folder : Path
        Run folder of the task ``align``.
    sequences : Sequences
    where : object, optional
        Their file, for messages.
    device : str
    top : int
        Number of profiles, or sequences, of each.

    Raises
    ------
    UsageError
        If the folder is no run of alignment.
    DataError
        If it cannot read these sequences, or is damaged.
    """
    stored = read_run(run_folder, "align")
    check_fits(stored.config, sequences, where)
    module, phenotypes, profiles = load_alignment(stored, device)
    compared = compare(module, sequences.codes, profiles, "comparing")
    names = sequences.names.astype(str)
    columns = in_words(profiles, phenotypes)
    return Retrieved(
        _of_sequences(compared, names, columns, top), _of_profiles(compared, names, columns, top)
    )


def in_words(
    profiles: NDArray[np.float32], phenotypes: tuple[PhenotypeSpec, ...]
) -> dict[str, list[Any]]:
    """Each phenotype's values in its own terms, None where unknown."""
    found: dict[str, list[Any]] = {}
    for spec, values in zip(phenotypes, profiles.T.astype(np.float64), strict=True):
        gap = np.isnan(values)
        if spec.categories is None:
            numbers = np.round(values * spec.sd + spec.mean, 6)
            found[spec.name] = [None if g else float(v) for v, g in zip(numbers, gap, strict=True)]
        else:
            found[spec.name] = [
                None if g else spec.categories[int(v)]
                for v, g in zip(np.nan_to_num(values), gap, strict=True)
            ]
    return found


def _of_sequences(
    found: Compared, names: NDArray[Any], columns: dict[str, list[Any]], top: int
) -> pd.DataFrame:
    import pandas as pd

    order = np.argsort(-found.ranked, axis=1, kind="stable")[:, :top]
    rows = np.repeat(np.arange(len(order)), order.shape[1])
    which = order.ravel()
    table: dict[str, Any] = {
        "sequence": names[rows],
        "rank": np.tile(np.arange(1, order.shape[1] + 1), len(order)),
    }
    table |= {name: [values[i] for i in which] for name, values in columns.items()}
    table |= {"similarity": found.similarity[rows, which], "match": found.match[rows, which]}
    return pd.DataFrame(table)


def _of_profiles(
    found: Compared, names: NDArray[Any], columns: dict[str, list[Any]], top: int
) -> pd.DataFrame:
    import pandas as pd

    order = np.argsort(-found.similarity.T, axis=1, kind="stable")[:, :top]
    rows = np.repeat(np.arange(len(order)), order.shape[1])
    which = order.ravel()
    table: dict[str, Any] = {"profile": rows + 1}
    table |= {name: [values[i] for i in rows] for name, values in columns.items()}
    table |= {
        "rank": np.tile(np.arange(1, order.shape[1] + 1), len(order)),
        "sequence": names[which],
        "similarity": found.similarity[which, rows],
    }
    return pd.DataFrame(table)
