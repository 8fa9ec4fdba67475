"""Probes of a representation for classes: a linear model and k nearest neighbours.

For comparison, the same probes are fitted to plain representations (k-mer counts, principal
components) and to the untrained encoder, which acts as a random projection.

Letters: n sequences, L bases, d features, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.multiclass import replicate
from genomix_cli.errors import from_extra
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.iupac import HIDDEN, SETS, composition, kmer_numbers, spelled

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
NEIGHBOURS = (1, 3, 5, 10, 20, 50)
COMPONENTS = (30, 100)
SHOTS = (1, 5, 10, 50)
# Number of draws of few labelled sequences, and their fixed inverse penalty strength, since there
# are no data to choose it by.
SHOT_DRAWS, SHOT_STRENGTH = 10, 0.1
DRAWS = 1000
METRICS = ("accuracy", "balanced_accuracy")
LINEAR, NEAREST, MAJORITY = "linear", "k-NN", "majority"
# Number of sequences whose k-mers are counted at a time.
COUNTED = 512


class ByPart(NamedTuple):
    """Features or labels of the three parts of a split."""

    train: NDArray
    valid: NDArray
    test: NDArray


@dataclass(frozen=True)
class ProbeRow:
    """Accuracy of a classifier on a representation, for held-out sequences.

    Attributes
    ----------
    features, classifier : str
        Names of both, such as ``pre-trained`` and ``linear``.
    dims : int
        d.
    accuracy, balanced_accuracy : Interval
        Values with bootstrap intervals over groups.
    less_linear : Interval or None
        Accuracy minus that of the best baseline without pre-training, on the same draws; None for
        that baseline itself.
    baseline : bool
        True if the representation needs no pre-training.
    """

    features: str
    classifier: str
    dims: int
    accuracy: Interval
    balanced_accuracy: Interval
    less_linear: Interval | None
    baseline: bool


@dataclass(frozen=True)
class FewShot:
    """Accuracy of a linear probe trained on a few sequences per class, over several draws."""

    features: str
    shots: int
    mean: float
    sd: float


class Candidate(NamedTuple):
    """A classifier with its log-probabilities ``[n, K]`` for the test part."""

    features: str
    classifier: str
    dims: int
    log_probability: NDArray[np.float64]
    baseline: bool


def linear_probe(x: ByPart, y: ByPart, n_classes: int) -> NDArray[np.float64]:
    """Fit logistic regression on standardised features, with the penalty chosen on `valid`.

    Parameters
    ----------
    x : ByPart
        float ``[n, d]`` each.
    y : ByPart
        int64 ``[n]`` each, from 0; every class is in `train`.
    n_classes : int
        K.

    Returns
    -------
    NDArray
        float64 ``[n, K]``: log-probabilities for the test part.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    x = _standardised(x)

    def likelihood(model: Callable[[NDArray], NDArray[np.float64]]) -> float:
        return float(model(x.valid)[np.arange(len(x.valid)), y.valid].mean())

    best = max((logistic(x.train, y.train, c) for c in STRENGTHS), key=likelihood)(x.test)
    assert best.shape[1] == n_classes
    return best


def _standardised(x: ByPart) -> ByPart:
    mean, sd = x.train.mean(0), x.train.std(0)
    sd = np.where(sd > 1e-6, sd, 1.0)
    return ByPart(*((part - mean) / sd for part in x))


def logistic(x: NDArray, y: Integers, strength: float) -> Callable[[NDArray], NDArray[np.float64]]:
    """Fit logistic regression; return a function to log-probabilities ``[n, classes of y]``."""
    with from_extra("scikit-learn", "cohorts"):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    return lambda other: np.asarray(model.predict_log_proba(other), np.float64)


def nearest(x: ByPart, y: ByPart, n_classes: int) -> NDArray[np.float64]:
    """Predict by votes of the k nearest training sequences by cosine, with k chosen on `valid`.

    Returns
    -------
    NDArray
        float64 ``[n, K]``: log share of votes, with half a vote added to each class.
    """
    train, valid, test = (_unit(part) for part in x)
    choices = [k for k in NEIGHBOURS if k <= len(train)]
    votes = _votes(train, y.train, valid, choices, n_classes)
    right = [(v.argmax(1) == y.valid).mean() for v in votes]
    k = choices[int(np.argmax(right))]
    (counts,) = _votes(train, y.train, test, [k], n_classes)
    counts = counts + 0.5
    return np.log(counts / counts.sum(1, keepdims=True))


def _unit(x: NDArray) -> Floats:
    x = x.astype(np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _votes(
    train: Floats, y: Integers, x: Floats, choices: Sequence[int], n_classes: int
) -> list[NDArray[np.float64]]:
    """Return the votes ``[n, K]`` for each k; nearer neighbours count slightly more, so no ties."""
    most = max(choices)
    weight = 1 - 1e-3 * np.arange(most) / most
    result = [np.zeros((len(x), n_classes)) for _ in choices]
    for start in range(0, len(x), COUNTED):
        rows = slice(start, start + COUNTED)
        alike = x[rows] @ train.T
        near = np.argsort(-alike, axis=1, kind="stable")[:, :most]
        own = (y[near][..., None] == np.arange(n_classes)) * weight[:, None]  # [rows, most, K]
        summed = own.cumsum(1)
        for votes, k in zip(result, choices, strict=True):
            votes[rows] = summed[:, k - 1]
    return result


def majority(y: ByPart, n_classes: int) -> NDArray[np.float64]:
    """Return log class frequencies of `train` for every test sequence ``[n, K]``."""
    share = (np.bincount(y.train, minlength=n_classes) + 0.5) / (len(y.train) + n_classes / 2)
    return np.log(np.tile(share / share.sum(), (len(y.test), 1)))


def kmer_shares(codes: NDArray[np.uint8], k: int) -> Floats:
    """Return the share of each k-mer in a sequence, float32 ``[n, 4^k]``.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``. For ``k`` = 3, ambiguous words are shared among their 3-mers; for larger
        k they are left out.
    k : int
    """
    parts = range(0, len(codes), COUNTED)
    count = _threes if k == 3 else _longer
    counts = np.concatenate(
        [np.zeros((0, 4**k), np.float32), *(count(codes[s : s + COUNTED], k) for s in parts)]
    )
    return counts / np.maximum(counts.sum(1, keepdims=True), 1e-12)


def _threes(codes: NDArray[np.uint8], k: int) -> Floats:
    p = composition()
    mixture = np.einsum("xa,yc,zg->xyzacg", p, p, p).reshape(SETS**3, 4**3)
    return _counts(spelled(codes, 3, SETS), SETS**3).astype(np.float32) @ mixture


def _longer(codes: NDArray[np.uint8], k: int) -> Floats:
    ids = kmer_numbers(codes, k)
    return _counts(np.where(ids < 0, 4**k, ids), 4**k + 1)[:, :-1].astype(np.float32)


def _counts(ids: Integers, size: int) -> Integers:
    """Return the count of each number in each row, ``[n, size]``."""
    rows = np.arange(len(ids))[:, None] * size
    return np.bincount((ids + rows).ravel(), minlength=len(ids) * size).reshape(-1, size)


def plain(sequences: Sequences, rows: ByPart) -> ByPart:
    """Return the input of principal components: float32 ``[n, L]`` or ``[n, 4 L]`` of each part.

    For aligned sequences this is the share of non-REF alleles, with -1 for unknown ones, which
    :func:`components` replaces by the mean. For others it is A, C, G and T at every position.
    """
    table = composition()
    columns = sequences.columns

    def of(part: Integers) -> Floats:
        codes = np.asarray(sequences.codes[part])
        if columns is None:
            return table[codes].reshape(len(codes), -1)
        other = (1 - table @ table.T).astype(np.float32)
        # An ambiguous REF counts as partly different from itself.
        dosage = other[codes, columns.ref[None]] if len(codes) else np.zeros(codes.shape, "f4")
        dosage[(codes == HIDDEN) | (codes == SETS - 1)] = -1
        return dosage

    return ByPart(*map(of, rows))


def components(x: ByPart, sizes: Sequence[int], seed: int) -> dict[int, ByPart]:
    """Return several numbers of principal components of centred features, by randomised SVD.

    Parameters
    ----------
    x : ByPart
        float32 ``[n, d]``; -1 where unknown, which becomes the mean of `train`.
    sizes : sequence of int
        Numbers of components; those that the data do not allow are left out.
    seed : int
    """
    from sklearn.decomposition import PCA

    unknown = [part < 0 for part in x]
    known = np.maximum((~unknown[0]).sum(0), 1)
    mean = np.where(unknown[0], 0, x.train).sum(0) / known
    centred = [
        np.where(gap, 0, part - mean).astype(np.float32)
        for part, gap in zip(x, unknown, strict=True)
    ]
    limit = min(centred[0].shape) - 1
    sizes = [size for size in sizes if size <= limit] or [max(limit, 1)]
    pca = PCA(max(sizes), svd_solver="randomized", random_state=seed).fit(centred[0])
    every = [pca.transform(part) for part in centred]
    return {size: ByPart(*(part[:, :size] for part in every)) for size in sizes}


def baselines(sequences: Sequences, rows: ByPart, seed: int) -> dict[str, ByPart]:
    """Return the representations that need no network training, by name."""
    aligned = sequences.aligned
    features = {}
    for k in (3,) if aligned else (3, 6):
        if sequences.length >= k:
            features[f"{k}-mer counts"] = ByPart(
                *(kmer_shares(np.asarray(sequences.codes[part]), k) for part in rows)
            )
    for size, parts in components(plain(sequences, rows), COMPONENTS, seed).items():
        features[f"PCA {size}"] = parts
    return features


def judged(
    candidates: Sequence[Candidate], label: Integers, group: Integers, seed: int
) -> tuple[ProbeRow, ...]:
    """Return accuracies and differences from the best baseline, on the same bootstrap draws."""
    probability = [np.exp(each.log_probability) for each in candidates]
    probability = [p / p.sum(1, keepdims=True) for p in probability]
    replicates = replicate(label, probability, Bootstrap(group, DRAWS, seed), METRICS)
    accuracy = replicates.of_all["accuracy"][:, 0]
    before = [i for i, each in enumerate(candidates) if each.baseline]
    best = max(before, key=lambda i: accuracy[i])
    return tuple(
        ProbeRow(
            *(each.features, each.classifier, each.dims),
            accuracy=replicates.interval(i, "accuracy"),
            balanced_accuracy=replicates.interval(i, "balanced_accuracy"),
            less_linear=None if i == best else replicates.difference(i, best, "accuracy"),
            baseline=each.baseline,
        )
        for i, each in enumerate(candidates)
    )


def few_shots(
    features: dict[str, ByPart], y: ByPart, n_classes: int, seed: int
) -> tuple[FewShot, ...]:
    """Judge linear probes trained on a few sequences per class, the same for all features."""
    # Scaling uses all of `train`, since it needs no labels.
    scaled = {name: _standardised(x) for name, x in features.items()}
    rng = np.random.default_rng([seed, 1])
    counts = np.bincount(y.train, minlength=n_classes)
    result = []
    for shots in SHOTS:
        if shots > counts.min():
            break
        draws = [_draw(y.train, shots, n_classes, rng) for _ in range(SHOT_DRAWS)]
        for name, x in scaled.items():
            right = [_shot(x, y, rows) for rows in draws]
            result.append(FewShot(name, shots, float(np.mean(right)), float(np.std(right))))
    return tuple(result)


def _draw(y: Integers, shots: int, n_classes: int, rng: np.random.Generator) -> Integers:
    of_class = (np.flatnonzero(y == k) for k in range(n_classes))
    return np.concatenate([rng.permutation(rows)[:shots] for rows in of_class])


def _shot(x: ByPart, y: ByPart, rows: Integers) -> float:
    model = logistic(x.train[rows], y.train[rows], SHOT_STRENGTH)
    return float((model(x.test).argmax(1) == y.test).mean())
