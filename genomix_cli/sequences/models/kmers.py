"""Logistic regression on k-mer counts, the baseline of sequence models.

Letters: n sequences, L bases, d k-mers, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Fitted, Floats
from genomix_cli.config import Positive, Within
from genomix_cli.genome.alphabet import canonical_kmers
from genomix_cli.genome.iupac import HIDDEN, SETS, composition, kmer_numbers, spelled
from genomix_cli.learning.calibration import log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier, State
from genomix_cli.sequences.models.linear import Linear, learn_linear

# Number of sequences to count at once, and of distinct ambiguous words.
COUNTED, WORDS = 256, 2048


@dataclass(frozen=True)
class KmerConfig:
    """Configuration of `KmerLogistic`.

    Attributes
    ----------
    k : int
    c : float
        Inverse strength of the penalty, relative to the sum of losses.
    canonical : bool
        True to count a k-mer and its reverse complement as one; aligned sequences have one strand.
    """

    k: Annotated[int, Within(1, 8)] = 6
    c: Positive = 1e-3
    canonical: bool = True


class KmerLogistic(SequenceClassifier):
    """Softmax regression on standardised square roots of k-mer counts.

    The square root makes the variance of a count independent of its mean. A word with ambiguous
    letters counts as a fraction of each k-mer that it can be.
    """

    config_class = KmerConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {"k6": {}, "k3": {"k": 3, "c": 1.0}}
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"c": 1e-2},
        {"c": 3e-4},
        {"c": 1e-1},
        {"c": 10.0},
    )
    needs: ClassVar[Mapping[str, str]] = {"sklearn": "cohorts"}

    _mean: Floats
    _scale: Floats
    _linear: Linear

    def _fit(self, train: Labelled, valid: Labelled, setting: FitSettings) -> Fitted:
        strands = self.config.canonical and not train.sequences.aligned
        k = self.config.k
        # A k-mer and its reverse complement share a column.
        self._classes_of = canonical_kmers(k)[0] if strands else np.arange(4**k)
        x = np.sqrt(self._counts(train.sequences.codes))
        self._mean, sd = x.mean(0), x.std(0)
        self._scale = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 1e-9)
        self._linear = learn_linear(
            (x - self._mean) * self._scale,
            train.label,
            len(self.classes),
            kind="logistic",
            c=self.config.c,
            seed=setting.seed,
        )
        size = self._linear.coefficients.size + self._linear.intercepts.size
        return Fitted(size, converged=self._linear.converged)

    def _counts(self, codes: NDArray[np.uint8]) -> Floats:
        """Return the counts ``[n, d]`` of each k-mer, or of each pair that counts as one."""
        n_columns = int(self._classes_of.max()) + 1
        result = np.zeros((len(codes), n_columns))
        for start in range(0, len(codes), COUNTED):
            counts = count_kmers(codes[start : start + COUNTED], self.config.k)
            rows = np.zeros((n_columns, len(counts)))
            np.add.at(rows, self._classes_of, counts.T)
            result[start : start + COUNTED] = rows.T
        return result

    def log_probability(self, codes: NDArray[np.uint8]) -> Floats:
        """Return the log-softmax of the logits."""
        result = np.empty((len(codes), len(self.classes)))
        for start in range(0, len(codes), COUNTED):
            x = np.sqrt(self._counts(codes[start : start + COUNTED]))
            logits = self._linear.logits((x - self._mean) * self._scale)
            result[start : start + COUNTED] = log_softmax(logits)
        return result

    def state(self) -> State:
        """Return the columns of k-mers, the standardisation of counts, and the coefficients."""
        return {
            "classes_of": self._classes_of,
            "mean": self._mean,
            "scale": self._scale,
            "coefficients": np.ascontiguousarray(self._linear.coefficients),
            "intercepts": self._linear.intercepts,
        }

    def _restore(self, state: State) -> None:
        self._classes_of = state["classes_of"]
        self._mean, self._scale = state["mean"], state["scale"]
        self._linear = Linear(state["coefficients"], state["intercepts"])
        if self._linear.coefficients.shape != (len(self._mean), len(self.classes)):
            raise ValueError("coefficients of other k-mers or classes")


def count_kmers(codes: NDArray[np.uint8], k: int) -> Floats:
    """Count the overlapping k-mers of each sequence.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``: sets of bases. A word that can be several k-mers is shared among them; a
        word with a hidden base does not count.
    k : int

    Returns
    -------
    NDArray
        float64 ``[n, 4^k]``; the first base is the most significant digit, A0 C1 G2 T3.
    """
    counts = np.zeros((len(codes), 4**k))
    numbers = kmer_numbers(codes, k)
    rows, columns = np.nonzero(numbers >= 0)
    np.add.at(counts, (rows, numbers[rows, columns]), 1)
    if (numbers < 0).any():
        _share_out(codes, numbers < 0, k, counts)
    return counts


def _share_out(codes: NDArray[np.uint8], which: NDArray[np.bool_], k: int, counts: Floats) -> None:
    """Add words with ambiguous letters to the counts, working out each distinct word once."""
    rows, columns = np.nonzero(which)
    words = spelled(codes, k, SETS)[rows, columns]
    distinct, index = np.unique(words, return_inverse=True)
    table = composition().astype(np.float64)
    table[HIDDEN] = 0
    times = np.zeros((len(codes), len(distinct)))
    np.add.at(times, (rows, index.reshape(-1)), 1)
    for start in range(0, len(distinct), WORDS):
        some = distinct[start : start + WORDS]
        shares = np.ones((len(some), 1))
        for i in range(k):
            letter = table[some // SETS ** (k - 1 - i) % SETS]
            shares = (shares[:, :, None] * letter[:, None, :]).reshape(len(some), -1)
        counts += times[:, start : start + WORDS] @ shares
