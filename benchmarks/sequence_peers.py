"""Peers that predict the activity of sequences, and SNVs to compare them with our networks.

Peers: ridge regression on 7-mers, fitted to lentiMPRA (Agarwal et al. 2025,
doi:10.1038/s41586-024-08430-9); MPRA-DragoNN (Movva et al. 2019, doi:10.1371/journal.pone.0218073);
the change in JASPAR motifs; GC. The ridge on motif sites serves only as a teacher.

Letters: n sequences or SNVs, L bases, K motifs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.genome.alphabet import (
    UNKNOWN_BASE,
    canonical_kmers,
    encode,
    kmer_ids,
    reverse_complement,
)
from genomix_cli.genome.motifs import Motif, best_scores, read_meme
from genomix_cli.learning.motifs import motif_filters

Codes = NDArray[np.uint8]
Values = NDArray[np.float64]
#: Maps codes uint8 ``[n, L]`` to a number per sequence, ``[n]``.
Function = Callable[[Codes], Values]

K = 7
#: Penalty on the squared weights, for each column of lentimpra.tsv; both strands share a weight.
ALPHA = {"HepG2": 1500.0, "WTC11": 1000.0, "K562": 500.0}
RIDGE_BASES, DRAGONN_BASES = 200, 145
DRAGONN = Path("mpra_dragonn_convmodel") / "pretrained.hdf5"
#: Cell types of MPRA-DragoNN's outputs, six each. The file does not give their order; compared with
#: rows of lentimpra.tsv measured in both, the first six follow K562 and the others HepG2.
DRAGONN_CELLS = ("K562", "HepG2")
MOTIFS = Path("motifs") / "JASPAR2024_CORE_vertebrates_nonredundant.meme.gz"
BATCH = 256
#: Number of motif positions that are read, smallest score of a site (nats relative to its
#: threshold), and penalty on the weights.
SITE_WIDTH, FAINT, SITES_ALPHA = 19, -6.0, 1000.0
#: Number of sequences to scan at once, which fit into the processor's cache.
SITES_BATCH = 8
#: The strongest peer.
BOTH = "7-mer ridge + MPRA-DragoNN"


class Snvs(NamedTuple):
    """Single-base changes of sequences.

    Attributes
    ----------
    names : list of str
        Names of the sequences.
    sequences : list of NDArray
        uint8 codes ``[L]``, of any lengths.
    sequence, at : NDArray
        int64 ``[n]``: index of each SNV's sequence, and 0-based position in it.
    alt : NDArray
        uint8 ``[n]``: code of the alternate base.
    """

    names: list[str]
    sequences: list[Codes]
    sequence: NDArray[np.int64]
    at: NDArray[np.int64]
    alt: Codes

    def ref(self) -> Codes:
        """Return the codes of the reference alleles, uint8 ``[n]``."""
        pairs = zip(self.sequence, self.at, strict=True)
        return np.array([self.sequences[s][a] for s, a in pairs], np.uint8)

    def alleles(self, width: int) -> tuple[Codes, Codes]:
        """Return windows with the reference and the alternate allele, uint8 ``[n, width]`` each.

        A window is centred on the SNV as far as the sequence allows. A sequence shorter than
        `width` is padded with unknown bases on both sides.
        """
        longer = [padded(codes, width) for codes in self.sequences]
        margin = np.array([pad for _, pad in longer])[self.sequence]
        length = np.array([len(codes) for codes, _ in longer])[self.sequence]
        start = np.clip(self.at + margin - width // 2, 0, length - width)
        pairs = zip(self.sequence, start, strict=True)
        ref = np.stack([longer[s][0][first : first + width] for s, first in pairs])
        alt = ref.copy()
        alt[np.arange(len(alt)), self.at + margin - start] = self.alt
        return ref, alt


def padded(codes: Codes, width: int) -> tuple[Codes, int]:
    """Pad a sequence to `width` bases; return it and the number of unknown bases in front."""
    before = max(width - len(codes), 0) // 2
    after = max(width - len(codes) - before, 0)
    return np.pad(codes, (before, after), constant_values=UNKNOWN_BASE), before


def change(function: Function, ref: Codes, alt: Codes) -> Values:
    """Return the value for `alt` minus that for `ref`, ``[n]``; both are uint8 ``[n, L]``."""
    unique, back = np.unique(ref, axis=0, return_inverse=True)
    return function(alt) - function(unique)[back.reshape(-1)]


def stacked(sequences: pd.Series) -> Codes:
    """Return the codes of sequences of one length, uint8 ``[n, L]``."""
    return encode("".join(sequences)).reshape(len(sequences), -1)


def fit_ridge(codes: Codes, value: NDArray[np.floating], alpha: float) -> Function:
    """Fit ridge regression of values ``[n]`` on k-mer counts of both strands."""
    from scipy import sparse
    from sklearn.linear_model import Ridge

    column, n_columns = canonical_kmers(K)
    # Ids past the k-mers stand for unknown bases, a column that is dropped.
    column = np.concatenate([column, [n_columns, n_columns]])
    ids = column[kmer_ids(codes, K)]
    ends = np.arange(len(ids) + 1) * ids.shape[1]
    ones = np.ones(ids.size, np.float32)
    counts = sparse.csr_matrix((ones, ids.reshape(-1), ends), shape=(len(ids), n_columns + 1))
    counts.sum_duplicates()
    model = Ridge(alpha=alpha, solver="lsqr").fit(counts[:, :n_columns], value)
    weight = np.append(model.coef_, 0.0)[column]
    return lambda other: model.intercept_ + weight[kmer_ids(other, K)].sum(1)


def fit_ridges(table: pd.DataFrame) -> dict[str, Function]:
    """Fit a ridge to each cell type in rows of ``lentimpra.tsv``."""
    ridges = {}
    for cell, alpha in ALPHA.items():
        some = table[table[cell] != ""]
        value = some[cell].to_numpy(np.float64)
        ridges[cell] = fit_ridge(stacked(some["sequence"]), value, alpha)
    return ridges


class MotifSites:
    """Scanner for motifs: the amount of sites of each motif, and the score of the best site."""

    def __init__(self, motifs: Sequence[Motif]) -> None:
        self._filters, thresholds = motif_filters(motifs, len(motifs), SITE_WIDTH)
        self._thresholds = thresholds[:, None]

    @torch.inference_mode()
    def __call__(self, codes: Codes) -> NDArray[np.float32]:
        """Return summed occupancy on both strands, then best margins (nats), ``[n, 2 K]``."""
        one_hot = np.eye(5, 4, dtype=np.float32)
        found = np.empty((len(codes), 2 * len(self._filters)), np.float32)
        for low in range(0, len(codes), SITES_BATCH):
            rows = slice(low, low + SITES_BATCH)
            x = torch.from_numpy(one_hot[codes[rows]]).transpose(1, 2)
            strands = (self._filters, self._filters.flip(1, 2))
            margins = [F.conv1d(x, each, padding="same") - self._thresholds for each in strands]
            occupied = sum(torch.sigmoid(each).sum(-1) for each in margins)
            best = torch.maximum(*(each.amax(-1) for each in margins)).clamp(min=FAINT)
            found[rows] = torch.cat([occupied, best], 1).numpy()
        return found


def fit_sites(sites: NDArray[np.float32], value: NDArray[np.floating]) -> Function:
    """Fit ridge regression of values ``[n]`` on the output of `MotifSites`."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(SITES_ALPHA)).fit(sites, value).predict


class Dragonn(nn.Module):
    """MPRA-DragoNN's ConvModel: three convolutions, each with batch norm, and a linear layer."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        parts: dict[str, Tensor] = {}

        def keep(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                parts["/".join(name.split("/")[-2:])] = torch.tensor(item[()])

        with h5py.File(path) as file:
            file["model_weights" if "model_weights" in file else "/"].visititems(keep)
        self.convolutions = nn.ModuleList(_convolution(parts, i) for i in (1, 2, 3))
        dense = next(name.split("/")[0] for name in parts if name.startswith("dense"))
        # Only the mean of a cell type's six outputs is used.
        self.weight = parts[f"{dense}/kernel:0"].unflatten(1, (len(DRAGONN_CELLS), -1)).mean(2)
        self.bias = parts[f"{dense}/bias:0"].unflatten(0, (len(DRAGONN_CELLS), -1)).mean(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map bases ``[n, 4, 145]`` to the activity in K562 and HepG2, ``[n, 2]``."""
        for convolution, norm in self.convolutions:
            x = norm(F.relu(convolution(x)))
        return x.transpose(1, 2).flatten(1) @ self.weight + self.bias

    @torch.inference_mode()
    def by_cell(self, codes: Codes) -> Values:
        """Return means over both strands for the central 145 of L bases, float64 ``[n, 2]``."""
        first = (codes.shape[1] - DRAGONN_BASES) // 2
        middle = codes[:, first : first + DRAGONN_BASES]
        one_hot = np.eye(5, 4, dtype=np.float32)
        total = np.zeros((len(codes), len(DRAGONN_CELLS)))
        for strand in (middle, reverse_complement(middle)):
            for low in range(0, len(strand), BATCH):
                rows = slice(low, low + BATCH)
                x = torch.from_numpy(one_hot[strand[rows]]).transpose(1, 2)
                total[rows] += self(x).numpy() / 2
        return total

    def both_strands(self, codes: Codes) -> Values:
        """Return the mean of `by_cell` over the cell types, ``[n]``."""
        return self.by_cell(codes).mean(1)


def _convolution(parts: dict[str, Tensor], number: int) -> nn.ModuleList:
    kernel = parts[f"conv1d_{number}/kernel:0"].permute(2, 1, 0)
    convolution = nn.Conv1d(kernel.shape[1], len(kernel), kernel.shape[2])
    convolution.load_state_dict({"weight": kernel, "bias": parts[f"conv1d_{number}/bias:0"]})
    norm = nn.BatchNorm1d(len(kernel), eps=1e-3).eval()
    names = {"weight": "gamma", "bias": "beta"}
    names |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
    stored = {ours: parts[f"batch_normalization_{number}/{n}:0"] for ours, n in names.items()}
    norm.load_state_dict(stored, strict=False)
    return nn.ModuleList([convolution, norm])


def gc_content(codes: Codes) -> Values:
    """Return the number of G and C in each sequence, float64 ``[n]``."""
    return ((codes == 1) | (codes == 2)).sum(1).astype(np.float64)


def motif_change(snvs: Snvs, path: Path) -> Values:
    """Return the change in the best site that touches the SNV, summed over motifs, bits ``[n]``.

    Sites below a motif's threshold count as the threshold, because a site that does not bind cannot
    be lost.
    """
    motifs = read_meme(path)
    flank = max(motif.width for motif in motifs) - 1
    threshold = np.array([motif.threshold for motif in motifs])

    def bits(codes: Codes) -> Values:
        best = best_scores(codes, np.ones(len(codes), np.int64), flank, motifs)
        return np.maximum(best, threshold).sum(1)

    apart = snvs._replace(sequences=[np.pad(s, flank, constant_values=4) for s in snvs.sequences])
    return change(bits, *apart._replace(at=snvs.at + flank).alleles(2 * flank + 1))


def peer_scores(data: Path, table: pd.DataFrame, snvs: Snvs) -> dict[str, Values]:
    """Return each peer's signed change in activity for each SNV, ``[n]``.

    The sign of the motif score is an assumption.

    Parameters
    ----------
    data : Path
        Folder of public files.
    table : DataFrame
        Rows of ``lentimpra.tsv`` to fit the ridges to.
    snvs : Snvs
    """
    pair = snvs.alleles(RIDGE_BASES)
    heads = [change(ridge, *pair) for ridge in fit_ridges(table).values()]
    kmers = np.sum([head / head.std() for head in heads], 0)
    network = change(Dragonn(data / DRAGONN).both_strands, *snvs.alleles(DRAGONN_BASES))
    return {
        "7-mer ridge, three cell types": kmers,
        "MPRA-DragoNN": network,
        BOTH: kmers / kmers.std() + network / network.std(),
        "JASPAR motifs, sum of changes": motif_change(snvs, data / MOTIFS),
        "GC": change(gc_content, *pair),
    }
