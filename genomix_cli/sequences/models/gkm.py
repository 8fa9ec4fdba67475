"""Gapped k-mers and support vector machines (gkm-SVM), with exact explicit features.

Letters: n sequences, L bases, l bases of a word, of which k are read, N = 4^l words, s features,
K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Fitted, Floats
from genomix_cli.config import Positive, Within
from genomix_cli.errors import UsageError
from genomix_cli.genome.iupac import composition
from genomix_cli.learning.calibration import log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier, State
from genomix_cli.sequences.models.linear import NEVER

MAX_ITERATIONS = 200
# A window of ambiguous letters that can be more words than this is ignored.
MAX_WORDS = 64
# Number of sequences to predict at once.
CHUNK = 4096
# Orthonormal functions of a base: the constant first, then three that sum to 0.
WALSH = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2


@dataclass(frozen=True)
class GkmConfig:
    """Configuration of `GkmSVM`.

    Attributes
    ----------
    l : int
        Length of a word.
    k : int
        Number of its bases that are read, at most `l`; the others are gaps.
    c : float
        Inverse strength of the penalty, relative to the sum of losses.
    both_strands : bool
        True to count the words of both strands; aligned sequences have only one.
    """

    l: Annotated[int, Within(1, 11)] = 10  # noqa: E741 - the paper's letter
    k: Annotated[int, Within(1, 11)] = 6
    c: Positive = 1.0
    both_strands: bool = True

    def __post_init__(self) -> None:
        if self.k > self.l:
            raise UsageError(
                f"k is {self.k}, but words have {self.l} bases", expected="k to be at most l"
            )


class Words(NamedTuple):
    """Words of sequences; those of sequence i run from ``start[i]`` to ``start[i + 1]``.

    Attributes
    ----------
    number : NDArray
        int64: the first base is the most significant digit, A0 C1 G2 T3.
    share : NDArray
        float64: 1, or less if the window can be several words.
    start : NDArray
        int64 ``[n + 1]``.
    """

    number: NDArray[np.int64]
    share: Floats
    start: NDArray[np.int64]


class GkmSVM(SequenceClassifier):
    """Support vector machine on gapped k-mers (gkm-SVM).

    Ghandi et al. 2014, Enhanced regulatory sequence prediction using gapped k-mer features,
    doi:10.1371/journal.pcbi.1003711. The kernel is the paper's with all mismatches: two words that
    differ in m bases share ``C(l - m, k)`` gapped k-mers, a sequence has the words of both strands,
    and the kernel of a sequence with itself is 1. Instead of a matrix over all pairs of sequences,
    each sequence has explicit features whose inner products equal that kernel exactly (see
    `strengths`), so time grows with the number of sequences and not with its square.

    Deviations: the loss is a squared hinge, minimised over all features at once, with a penalty on
    the intercept too; with several classes, there is one machine per class against the rest; a
    window with ambiguous letters is shared among the words that it can be, at most `MAX_WORDS`. The
    cut at d mismatches and the position weights (wgkm) of LS-GKM (Lee 2016,
    doi:10.1093/bioinformatics/btw142) are not implemented.
    """

    config_class = GkmConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"c": 0.1},
        {"l": 8},
        {"c": 10.0},
        {"l": 11, "k": 7},
    )
    needs: ClassVar[Mapping[str, str]] = {"scipy": "cohorts"}

    _weight: NDArray[np.float32]
    _intercept: Floats
    _both: bool

    def _fit(self, train: Labelled, valid: Labelled, setting: FitSettings) -> Fitted:
        config: GkmConfig = self.config
        self._both = config.both_strands and not train.sequences.aligned
        strength = strengths(config.l, config.k)
        counts = self._counts(train.sequences.codes)
        seen = np.unique(train.label)
        self._weight = np.zeros((int((strength > 0).sum()), len(self.classes)), np.float32)
        self._intercept = np.full(len(self.classes), NEVER)
        self._intercept[seen] = 0.0
        converged = True
        # Two classes need one machine, and one class needs none.
        for one in seen[1:] if len(seen) <= 2 else seen:
            side = np.where(train.label == one, 1.0, -1.0)
            weight, bias, ended = _machine(counts, side, strength, config.c)
            self._weight[:, one], self._intercept[one] = weight, bias
            converged &= ended
        if len(seen) == 2:
            for array in (self._weight, self._intercept):
                array[..., seen[1]] /= 2
                array[..., seen[0]] = -array[..., seen[1]]
        self._make_table()
        return Fitted(len(self._weight) * len(seen), converged=converged)

    def _make_table(self) -> None:
        """Compute each word's contribution to each logit, float64 ``[N, K]``, from the weights."""
        strength = strengths(self.config.l, self.config.k)
        scaled = np.zeros((len(strength), self._weight.shape[1]))
        scaled[strength > 0] = strength[strength > 0, None] * self._weight
        self._table = np.stack([walsh(column) for column in scaled.T], axis=1)

    def _counts(self, codes: NDArray[np.uint8]) -> Any:
        """Count the words of sequences: a sparse matrix ``[n, N]`` whose rows have kernel 1."""
        from scipy.sparse import csr_matrix

        config: GkmConfig = self.config
        words = words_of(codes, config.l)
        other = reversed_words(words.number, config.l) if self._both else None
        norm = norms(words, other, config.l, config.k)
        scale = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)
        share = words.share * np.repeat(scale, np.diff(words.start))
        shape = (len(codes), 4**config.l)
        counts = csr_matrix((share, words.number, words.start), shape)
        if other is not None:
            counts = counts + csr_matrix((share, other, words.start), shape)
        return counts

    def log_probability(self, codes: NDArray[np.uint8]) -> Floats:
        """Return the log-softmax of the machines' decision values."""
        result = np.empty((len(codes), len(self.classes)))
        for start in range(0, len(codes), CHUNK):
            logits = self._counts(codes[start : start + CHUNK]) @ self._table + self._intercept
            result[start : start + CHUNK] = log_softmax(logits)
        return result

    def state(self) -> State:
        """Return the feature weights, the intercepts, and the strand setting."""
        return {
            "weight": self._weight,
            "intercept": self._intercept,
            "both": np.array([self._both]),
        }

    def _restore(self, state: State) -> None:
        self._weight, self._intercept = state["weight"], state["intercept"]
        self._both = bool(state["both"][0])
        self._make_table()


def strengths(l: int, k: int) -> Floats:  # noqa: E741
    """Return the square root of the kernel's eigenvalue for each product of base functions ``[N]``.

    The matrix of ``C(l - m, k)`` over all pairs of words is a sum over the sets of k bases that are
    read. Each term is a Kronecker product of an identity for every base that is read and a matrix
    of ones for every other. Products of the functions in `WALSH`, one per base, are its
    eigenvectors: if a of the functions are not constant, the eigenvalue is
    ``C(l - a, k - a) 4^(l - k)``, or 0 if a exceeds k. The transform of a sequence's counts times
    these roots therefore gives features whose inner products are the kernel.
    """
    varying = np.zeros(1, np.int64)
    for _ in range(l):
        varying = (varying[:, None] + (np.arange(4) > 0)).ravel()
    values = [comb(l - a, k - a) * 4.0 ** (l - k) if a <= k else 0.0 for a in range(l + 1)]
    return np.sqrt(np.array(values))[varying]


def walsh(x: Floats) -> Floats:
    """Transform a function of words ``[N]`` into the basis of products; its own inverse."""
    rest = x.size
    while rest > 1:
        # Each iteration transforms the first base and moves it to the end.
        x = (x.reshape(4, -1).T @ WALSH).ravel()
        rest //= 4
    return x


def words_of(codes: NDArray[np.uint8], l: int) -> Words:  # noqa: E741
    """Return the words of each sequence, from sets of bases uint8 ``[n, L]``."""
    n, width = len(codes), max(0, codes.shape[1] - l + 1)
    if not n * width:
        return Words(np.empty(0, np.int64), np.empty(0), np.zeros(n + 1, np.int64))
    member = composition() > 0  # [16, 4]
    several = np.lib.stride_tricks.sliding_window_view(member.sum(1)[codes], l, axis=1).prod(-1)
    row, place = np.nonzero((several > 0) & (several <= MAX_WORDS))
    share, word = 1 / several[row, place], np.zeros(len(row), np.int64)
    for i in range(l):
        # An ambiguous letter turns one word into one for each base that it can be.
        which, base = np.nonzero(member[codes[row, place + i]])
        row, place, share = row[which], place[which], share[which]
        word = 4 * word[which] + base
    return Words(word, share, np.searchsorted(row, np.arange(n + 1)))


def reversed_words(number: NDArray[np.int64], l: int) -> NDArray[np.int64]:  # noqa: E741
    """Return the reverse complement of each word."""
    result = np.zeros_like(number)
    for i in range(l):
        result = 4 * result + 3 - number // 4**i % 4
    return result


def norms(words: Words, other: NDArray[np.int64] | None, l: int, k: int) -> Floats:  # noqa: E741
    """Return the square root of the kernel of each sequence with itself ``[n]``.

    `other` holds the same words on the other strand, if both strands count.
    """
    shared = np.array([comb(l - m, k) for m in range(l + 1)], np.float64)
    number = words.number.astype(np.uint32)
    opposite = None if other is None else other.astype(np.uint32)
    result = np.zeros(len(words.start) - 1)
    for i in range(len(result)):
        own = slice(words.start[i], words.start[i + 1])
        share = words.share[own]
        for column in (number,) if opposite is None else (number, opposite):
            differ = number[own, None] ^ column[None, own]
            mismatches = np.bitwise_count((differ | differ >> 1) & 0x55555555)
            result[i] += share @ shared[mismatches] @ share
    # By symmetry, the words of the other strand contribute the same among themselves.
    return np.sqrt(result if other is None else 2 * result)


def _machine(counts: Any, side: Floats, strength: Floats, c: float) -> tuple[Floats, float, bool]:
    """Minimise ``|w|^2 / 2 + b^2 / 2 + c sum of squared hinges`` for sides -1 and 1 ``[n]``.

    Returns the weights ``[s]`` of the features with non-zero strength, the intercept, and whether
    it converged.
    """
    from scipy.optimize import minimize

    used = np.flatnonzero(strength)
    transposed = counts.T.tocsr()

    def loss(x: Floats) -> tuple[float, Floats]:
        spectrum = np.zeros_like(strength)
        spectrum[used] = strength[used] * x[:-1]
        gap = np.maximum(0, 1 - side * (counts @ walsh(spectrum) + x[-1]))
        slope = -2 * c * side * gap
        own = strength[used] * walsh(transposed @ slope)[used]
        gradient = x + np.append(own, slope.sum())
        return float(x @ x / 2 + c * gap @ gap), gradient

    start = np.zeros(len(used) + 1)
    # As in LinearSVC, the tolerance is relative to the gradient at the start.
    steepest = np.abs(loss(start)[1]).max()
    options = {"maxiter": MAX_ITERATIONS, "gtol": 1e-4 * steepest, "ftol": 1e-9}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return found.x[:-1], float(found.x[-1]), bool(found.nit < MAX_ITERATIONS)
