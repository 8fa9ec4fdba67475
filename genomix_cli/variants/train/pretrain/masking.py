"""What pre-training hides: spans of bases, and spans of track bins.

Hiding single k-mers would leak: the k-mers that overlap one spell it. Whole spans of bases are
hidden instead, with every k-mer that touches them, and only k-mers wholly inside are asked for.

Letters: M tracks, N bins, L bases of the window, S spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import UsageError
from genomix_cli.genome.alphabet import HIDDEN_BASE, UNKNOWN_BASE, kmer_ids
from genomix_cli.variants.records.inputs import BIN_SIZE

# Of windows with tracks: a whole modality is hidden, or the spans of one modality alone are.
WHOLE, ALONE = 0.5, 0.25


@dataclass(frozen=True)
class Masking:
    """What is hidden of a window.

    Attributes
    ----------
    share : float
        Of the bases; 0 hides none.
    span : int
        Bases of a hidden span; at least k.
    track_share : float
        Of the bins of a track; 0 hides none.
    shortest, longest : int
        Bins of a hidden span of a track.
    """

    share: float = 0.15
    span: int = 12
    track_share: float = 0.15
    shortest: int = 4
    longest: int = 20

    def check(self, k: int) -> None:
        """Refuse what leaks or hides too much.

        Raises
        ------
        UsageError
            Naming everything that is wrong.
        """
        wrong = []
        if self.span < k:
            wrong.append(f"spans of {self.span} bases hold no {k}-mer: at least {k} are needed")
        if not 0 <= self.share <= 0.5:
            wrong.append(f"{self.share:g} of the bases is not between 0 and 0.5")
        if not 0 <= self.track_share <= 0.8:
            wrong.append(f"{self.track_share:g} of the bins is not between 0 and 0.8")
        if not 0 < self.shortest <= self.longest:
            wrong.append(f"no spans of {self.shortest} to {self.longest} bins")
        if not self.share and not self.track_share:
            wrong.append("nothing is hidden")
        if wrong:
            raise UsageError(f"cannot hide: {'; '.join(wrong)}")


def draw_spans(
    length: int, span: int, share: float, apart: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Starts of spans that hide about `share` of `length` bases, evenly likely, in order.

    Parameters
    ----------
    length, span : int
    share : float
    apart : int
        Bases between two spans, at least.
    rng : numpy.random.Generator
    """
    unit = span + apart
    n = min(round(share * length / span), (length + apart) // unit)
    places = rng.choice(length - n * (unit - 1) + apart, n, replace=False)
    return np.asarray(np.sort(places) + np.arange(n) * (unit - 1), np.int64)


def hide_bases(codes: NDArray[np.uint8], starts: NDArray[np.int64], span: int) -> NDArray[np.uint8]:
    """A copy of `codes` with the spans at `starts` hidden."""
    hidden = codes.copy()
    hidden[(starts[:, None] + np.arange(span)).ravel()] = HIDDEN_BASE
    return hidden


def span_kmers(
    codes: NDArray[np.uint8], starts: NDArray[np.int64], span: int, k: int
) -> NDArray[np.int64]:
    """Ids of the k-mers wholly inside each span, int64 ``[S, span - k + 1]``; -1 where there is N.

    `codes` are the bases before any were hidden.
    """
    bases = codes[starts[:, None] + np.arange(span)]
    ids = kmer_ids(bases, k).astype(np.int64)
    return np.where(ids < 4**k, ids, -1)


class HiddenBins(NamedTuple):
    """Hidden bins bool `bins` ``[M, N]``, and the modality that is hidden whole, or -1."""

    bins: NDArray[np.bool_]
    whole: int


def hide_tracks(
    measured: NDArray[np.bool_],
    n_bins: int,
    masking: Masking,
    rng: np.random.Generator,
    *,
    joint: bool = False,
) -> HiddenBins:
    """Draw what to hide of the tracks of a window.

    Spans of all modalities at once, of one alone, or one modality altogether, so that it is
    predicted from the sequence and the others.

    Parameters
    ----------
    measured : NDArray
        bool ``[M]``: modalities with any value in the window.
    n_bins : int
    masking : Masking
    rng : numpy.random.Generator
    joint : bool
        Always spans of all modalities at once, as for validation.
    """
    bins = np.zeros((len(measured), n_bins), np.bool_)
    if not masking.track_share or not measured.any():
        return HiddenBins(bins, -1)
    chosen = int(rng.choice(np.flatnonzero(measured)))
    kind = ALONE if joint else rng.random()
    spans = _bin_spans(n_bins, masking, rng)
    if kind < ALONE:
        bins[chosen] = spans
        return HiddenBins(bins, -1)
    bins[:] = spans
    if kind >= 1 - WHOLE:
        bins[chosen] = True
        return HiddenBins(bins, chosen)
    return HiddenBins(bins, -1)


def hide_modality(n_tracks: int, n_bins: int, which: int) -> HiddenBins:
    """One modality hidden from a whole window, and nothing else."""
    bins = np.zeros((n_tracks, n_bins), np.bool_)
    bins[which] = True
    return HiddenBins(bins, which)


def _bin_spans(n_bins: int, masking: Masking, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Bool ``[N]``: spans of random length until the share is reached."""
    hidden = np.zeros(n_bins, np.bool_)
    while hidden.mean() < masking.track_share:
        length = int(rng.integers(masking.shortest, masking.longest + 1))
        start = int(rng.integers(1 - length, n_bins))
        hidden[max(0, start) : start + length] = True
    return hidden


def interpolate(signal: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Bins that are not known from the nearest known ones left and right, on a line; 0 without any.

    ``[M, N]`` each.
    """
    filled = np.zeros_like(signal)
    index = np.arange(signal.shape[1])
    for row, (values, there) in enumerate(zip(signal, known, strict=True)):
        if there.any():
            filled[row] = np.interp(index, index[there], values[there])
    return filled


def clear_spans(
    codes: NDArray[np.uint8], starts: NDArray[np.int64], span: int, flank: int
) -> NDArray[np.int64]:
    """Those spans whose bases are known and which have `flank` bases on each side of them."""
    inside = (starts >= flank) & (starts + span + flank <= len(codes))
    starts = starts[inside]
    known = (codes[starts[:, None] + np.arange(span)] < UNKNOWN_BASE).all(1)
    return starts[known]


def middle_of(bins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offset in the window of the middle base of bins."""
    return bins * BIN_SIZE + BIN_SIZE // 2
