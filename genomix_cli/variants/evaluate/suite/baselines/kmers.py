"""Linear baseline on sequence alone: the 6-mers that an allele removes and adds.

Letters: n variants, L bases of a haplotype.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.intervals import FloatArray
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.alphabet import canonical_kmers, encode, kmer_ids
from genomix_cli.variants.evaluate.suite.baselines import base
from genomix_cli.variants.records.inputs import Allele, haplotypes

K = 6
# Candidate inverse strengths of the squared penalty, relative to the sum of losses.
STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3)
MAX_ITERATIONS = 200
# Number of variants whose bases are fetched together.
CHUNK = 2_000


def predict(task: base.BaselineTask) -> base.Prediction:
    """Predict by logistic regression (ridge for quantities) on counts of canonical 6-mers.

    Only 6-mers that touch the allele differ between the haplotypes, so K - 1 bases on each side
    suffice.
    """
    base.require_sklearn()
    fit = _logistic if task.is_label else _ridge
    return base.fit_tuned(
        task, lambda rows: kmer_changes(task.shard, rows), fit, STRENGTHS, "inverse L2 strength"
    )


def kmer_changes(shard: Shard, rows: base.Rows) -> Any:
    """Count how often each 6-mer or its reverse complement is lost and gained.

    Returns
    -------
    scipy.sparse.csr_matrix
        float64 ``[n, 2 * 2080]``: counts lost, then counts gained.
    """
    from scipy.sparse import csr_matrix, hstack, vstack

    parts = [_changes(shard, rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK)]
    change = vstack(parts) if parts else csr_matrix((0, canonical_kmers(K)[1]))
    return hstack([change.maximum(0), (-change).maximum(0)]).tocsr()


def _changes(shard: Shard, rows: base.Rows) -> Any:
    """Return counts on the reference minus those on the alternative, sparse ``[n, 2080]``."""
    from scipy.sparse import vstack

    table, names = shard.variants, list(shard.contigs)
    parts = []
    for contig in np.unique(table.contig[rows]):
        here = rows[table.contig[rows] == contig]  # rows are sorted by contig: order is kept
        alleles = [
            Allele(int(table.pos[r]), encode(table.ref[r]), encode(table.alt[r])) for r in here
        ]
        both = haplotypes(shard, names[contig], alleles, K - 1)
        parts.append(_counts(both.ref, both.ref_len) - _counts(both.alt, both.alt_len))
    return vstack(parts)


def _counts(codes: NDArray[np.uint8], length: NDArray[np.int64]) -> Any:
    """Count canonical 6-mers in haplotypes ``[n, L]`` whose alleles have `length` bases."""
    from scipy.sparse import csr_matrix

    column, size = canonical_kmers(K)
    ids = kmer_ids(codes, K)
    # Ignore padding beyond the flanks of the allele; k-mers with unknown bases have larger ids.
    within = np.arange(ids.shape[1]) < (length + K - 1)[:, None]
    row, start = np.nonzero(within & (ids < 4**K))
    kmers = column[ids[row, start]]
    return csr_matrix((np.ones(len(row)), (row, kmers)), shape=(len(codes), size))


def _scale(x: Any) -> FloatArray:
    """Return the standard deviation of each column of a sparse matrix, 1 where it is 0."""
    mean = np.asarray(x.mean(0)).ravel()
    square = np.asarray(x.multiply(x).mean(0)).ravel()
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return np.where(deviation > 0, deviation, 1.0)


def _scaled(x: Any, scale: FloatArray) -> Any:
    from scipy.sparse import diags

    return x @ diags(1 / scale)


def _logistic(x: Any, y: FloatArray, strength: float) -> base.Predict:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scale = _scale(x)
    model = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(_scaled(x, scale), y > 0.5)
    return lambda other: model.predict_proba(_scaled(other, scale))[:, 1]


def _ridge(x: Any, y: FloatArray, strength: float) -> base.Predict:
    from sklearn.linear_model import Ridge

    scale = _scale(x)
    model = Ridge(alpha=1 / strength, solver="lsqr").fit(_scaled(x, scale), y)
    return lambda other: model.predict(_scaled(other, scale))


KMER_LOGISTIC = base.Baseline(
    predict,
    "logistic regression with a ridge penalty on the 6-mers that the allele takes away and brings",
)
