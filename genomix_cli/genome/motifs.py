"""Transcription-factor motifs: matrices, MEME files and scores of sites on both strands.

Letters: K motifs, w motif width, n sequences or positions, H haplotype length, S start offsets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome import iupac
from genomix_cli.genome.tables import open_text, short_lines

PSEUDO_PROBABILITY = 0.005
MIN_THRESHOLD_BITS = 6.5
#: Log-odds scores are multiples of this, which makes float32 sums exact in any order of addition:
#: results are the same bytes with any BLAS and any number of threads.
SCORE_STEP = 2.0**-10
#: Score of a base that is not A, C, G or T: no motif site contains one.
UNKNOWN_BASE_BITS = -128.0

_CONSENSUS_SHARE = 0.91
_BATCH_SCORES = 4_000_000
_GROUP = 64
_SCAN_PIECE = 1_000_000

#: Published consensus sequences of twelve well-known families.
CONSENSUS = {
    "CTCF": "NCCASYAGRKGGCRSN",
    "AP1": "RTGASTCAYN",
    "GATA": "NWGATAARN",
    "ETS": "NACCGGAAGTN",
    "NRF1": "YGCGCATGCGCR",
    "SP1": "NGGGGCGGGGY",
    "FOXA": "TRTTTACWYN",
    "HNF4": "RGKNCAAAGTCCAN",
    "CREB": "NTGACGTCAN",
    "MEF2": "NCTAWWWATAGN",
    "RUNX": "NTGTGGTTWN",
    "TEAD": "NRCATTCCWN",
}


@dataclass(frozen=True, eq=False)
class Motif:
    """Motif as a position probability matrix.

    Attributes
    ----------
    name : str
    probabilities : float64[w, 4]
        Probability of A, C, G and T at each position; every row sums to 1.
    accession : str
        Identifier in its collection; empty if it has only a name.
    """

    name: str
    probabilities: NDArray[np.float64]
    accession: str = ""

    @property
    def width(self) -> int:
        """Width of the motif (bp)."""
        return len(self.probabilities)

    @cached_property
    def log_odds(self) -> NDArray[np.float32]:
        """Log-odds against equal base frequencies, float32[w, 4], bits in steps of `SCORE_STEP`."""
        p = self.probabilities + PSEUDO_PROBABILITY
        bits = np.log2(p / p.sum(axis=1, keepdims=True) / 0.25)
        return (np.round(bits / SCORE_STEP) * SCORE_STEP).astype(np.float32)

    @cached_property
    def threshold(self) -> float:
        """Score that a site must reach (bits): 10th percentile of sampled sites, at least 6.5."""
        sites = self.sample(np.random.default_rng(0), 2000)
        scores = self.log_odds[np.arange(self.width), sites].sum(axis=1)
        return max(MIN_THRESHOLD_BITS, float(np.quantile(scores, 0.1, method="lower")))

    @property
    def max_score(self) -> float:
        """Score of the best possible site (bits)."""
        return float(self.log_odds.max(axis=1).sum())

    @property
    def least_p(self) -> float:
        """Share of random sequences, of equal base frequencies, that have the best score."""
        best = self.probabilities == self.probabilities.max(axis=1, keepdims=True)
        return float((best.sum(axis=1) / 4).prod())

    def sample(self, rng: np.random.Generator, n: int = 1) -> NDArray[np.uint8]:
        """Draw `n` sites from the matrix, on the forward strand, as codes uint8[n, w]."""
        cumulative = self.probabilities.cumsum(axis=1)[:, :3]
        draws = rng.random((n, self.width, 1))
        return (draws > cumulative).sum(axis=2).astype(np.uint8)


class Hits(NamedTuple):
    """Motif sites in a sequence, sorted by start, then motif, then strand.

    Attributes
    ----------
    start : int64[n]
        First base (0-based), on the forward strand in either orientation.
    motif : int64[n]
        Index into the motifs that were given.
    reverse : bool[n]
        True if the motif matches the reverse strand.
    score : float32[n]
        Log-odds (bits).
    """

    start: NDArray[np.int64]
    motif: NDArray[np.int64]
    reverse: NDArray[np.bool_]
    score: NDArray[np.float32]


def from_consensus(name: str, consensus: str) -> Motif:
    """Return the motif of an IUPAC consensus.

    The bases of each letter share a probability of 0.91, and the other bases share the rest.
    """
    inside = iupac.composition()[iupac.encode(consensus)] > 0
    n_inside = inside.sum(1, keepdims=True)
    outside = (1 - _CONSENSUS_SHARE) / np.maximum(1, 4 - n_inside)
    rows = np.where(inside, _CONSENSUS_SHARE / n_inside, outside)
    return Motif(name, rows / rows.sum(1, keepdims=True))


def default_motifs() -> tuple[Motif, ...]:
    """Return the motifs of the twelve families in `CONSENSUS`."""
    return tuple(from_consensus(name, consensus) for name, consensus in CONSENSUS.items())


def read_meme(path: Path) -> tuple[Motif, ...]:
    """Read motifs in MEME (minimal) text format, plain or gzipped.

    A motif is named by its alternate name if it has one (``CTCF`` in ``MOTIF MA0139.2 CTCF``), and
    by its identifier otherwise.

    Raises
    ------
    DataError
        If the file cannot be read, or does not hold DNA motifs in MEME format.
    """
    if not Path(path).exists():
        raise DataError("cannot be read: No such file or directory", where=path)
    with open_text(path) as handle:
        lines = enumerate([line.rstrip("\n") for line in short_lines(handle, path)], 1)
    motifs: list[Motif] = []
    name = accession = ""
    for number, line in lines:
        fields = line.split()
        if line.startswith("MOTIF") and len(fields) > 1:
            name, accession = (fields[2], fields[1]) if len(fields) > 2 else (fields[1], "")
        elif line.startswith("letter-probability matrix"):
            matrix = _read_matrix(lines, line, f"{path}:{number}")
            motifs.append(Motif(name, matrix, accession))
    if not motifs:
        raise DataError(
            "holds no motif",
            where=path,
            expected="MEME text with 'letter-probability matrix' blocks",
        )
    return tuple(motifs)


def scan(codes: NDArray[np.uint8], motifs: Sequence[Motif]) -> Hits:
    """Return every site on either strand that reaches its motif's threshold.

    Parameters
    ----------
    codes : uint8[n]
        A0 C1 G2 T3, anything else 4.
    motifs : sequence of Motif
    """
    pieces = [Hits(*(np.empty(0, dtype) for dtype in (np.int64, np.int64, bool, np.float32)))]
    for index, motif in enumerate(motifs):
        for reverse in (False, True):
            pieces += _scan_strand(codes, motif, index, reverse)
    columns: list[NDArray[Any]] = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    hits = Hits(*columns)
    order = np.lexsort((hits.reverse, hits.motif, hits.start))
    return Hits(*(column[order] for column in columns))


def best_scores(
    haplotypes: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    flank: int,
    motifs: Sequence[Motif],
) -> NDArray[np.float32]:
    """Return the best score of each motif among sites on either strand that overlap an allele.

    A site [s, s + w) overlaps the allele [a, b) if ``s < b`` and ``s + w > a``. For an empty allele
    (of a deletion), these are the sites that span the junction.

    Parameters
    ----------
    haplotypes : uint8[n, H]
        `flank` bases, the allele, `flank` bases, then padding with 4 up to H.
    lengths : int64[n]
        Length of each allele in bases.
    flank : int
        At least the largest motif width minus 1.
    motifs : sequence of Motif

    Returns
    -------
    float32[n, K]
        Bits; ``-inf`` where no site fits.
    """
    n, size = haplotypes.shape
    n_starts = size - flank
    best = np.full((n, len(motifs)), -np.inf, np.float32)
    # In groups, to bound memory for large collections.
    for first in range(0, len(motifs), _GROUP):
        some = motifs[first : first + _GROUP]
        weights = _placed(some, size, flank, n_starts)
        batch = max(64, _BATCH_SCORES // weights.shape[1])
        for low in range(0, n, batch):
            rows = slice(low, low + batch)
            one_hot = np.eye(5, dtype=np.float32)[haplotypes[rows]].reshape(-1, size * 5)
            scores = (one_hot @ weights).reshape(-1, len(some), 2, n_starts)
            beyond = np.arange(n_starts) >= flank + lengths[rows, None]
            scores = np.where(beyond[:, None, None], np.float32(-np.inf), scores)
            best[rows, first : first + len(some)] = scores.max(axis=(2, 3))
    best[best < UNKNOWN_BASE_BITS / 2] = -np.inf
    return best


def _placed(motifs: Sequence[Motif], size: int, flank: int, n_starts: int) -> NDArray[np.float32]:
    """Return the scores of both strands of each motif at each start offset, float32[5 H, K 2 S].

    The product of one-hot haplotypes and this matrix gives all scores by one matrix multiplication.
    Offsets at which a motif cannot overlap the allele, or would leave the haplotype, hold
    `UNKNOWN_BASE_BITS` for every base.
    """
    weights = np.zeros((size, 5, len(motifs), 2, n_starts), np.float32)
    for k, motif in enumerate(motifs):
        for strand, matrix in enumerate(_strands(motif)):
            for start in range(n_starts):
                if start + motif.width > size or start + motif.width <= flank:
                    weights[start, :, k, strand, start] = UNKNOWN_BASE_BITS
                else:
                    weights[start : start + motif.width, :, k, strand, start] = matrix
    return weights.reshape(size * 5, -1)


def _strands(motif: Motif) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return scores of A, C, G, T and unknown for the forward and reverse strand, float32[w, 5]."""
    unknown = np.full((motif.width, 1), UNKNOWN_BASE_BITS, np.float32)
    forward = motif.log_odds
    return np.hstack([forward, unknown]), np.hstack([forward[::-1, ::-1], unknown])


def _scan_strand(
    codes: NDArray[np.uint8], motif: Motif, index: int, reverse: bool
) -> Iterator[Hits]:
    matrix = _strands(motif)[reverse]
    n_starts = len(codes) - motif.width + 1
    for low in range(0, n_starts, _SCAN_PIECE):
        n = min(_SCAN_PIECE, n_starts - low)
        scores = np.zeros(n, np.float32)
        for i, row in enumerate(matrix):
            scores += row[codes[low + i : low + i + n]]
        start = np.flatnonzero(scores >= motif.threshold)
        n = len(start)
        yield Hits(start + low, np.full(n, index), np.full(n, reverse), scores[start])


def _read_matrix(lines: Iterator[tuple[int, str]], header: str, where: str) -> NDArray[np.float64]:
    """Read the matrix after a ``letter-probability matrix:`` line.

    The format makes the keys of that line optional. A matrix without ``w`` ends at the first line
    that is not four numbers.
    """
    declared = dict(pairwise(header.replace("=", " ").split()))
    if declared.get("alength", "4") != "4":
        found = f"alength= {declared['alength']}"
        raise DataError("not a DNA motif", where=where, expected="alength= 4", found=found)
    width = int(declared["w"]) if declared.get("w", "").isdigit() else None
    rows: list[list[float]] = []
    while len(rows) != width:
        row = _numbers(next(lines, (0, "end"))[1])
        if row is None or (rows and not row):
            break
        if row:
            rows.append(row)
    _check_matrix(rows, width, where)
    matrix = np.array(rows)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _numbers(line: str) -> list[float] | None:
    """Return the four numbers of a line, an empty list for an empty line, None for any other."""
    try:
        row = [float(field) for field in line.split()]
    except ValueError:
        return None
    return row if len(row) in (0, 4) else None


def _check_matrix(rows: list[list[float]], width: int | None, where: str) -> None:
    if not rows or len(rows) != (width or len(rows)):
        expected = f"{width or 1} rows of four numbers"
        raise DataError(
            "the motif is cut short", where=where, expected=expected, found=str(len(rows))
        )
    for row in rows:
        if not (min(row) >= 0 and math.isclose(sum(row), 1, abs_tol=0.05)):
            found = " ".join(f"{p:g}" for p in row)
            raise DataError(
                "not probabilities", where=where, expected="four that sum to 1", found=found
            )


def check_widths(motifs: Sequence[Motif], limit: int, where: object) -> None:
    """Refuse motifs wider than `limit`.

    Raises
    ------
    UsageError
        If a motif is too wide; the message names the widest.
    """
    widest = max(motifs, key=lambda motif: motif.width)
    if widest.width > limit:
        raise UsageError(
            f"motif {widest.name} is too wide",
            where=where,
            expected=f"at most {limit} bp",
            found=f"{widest.width} bp",
        )
