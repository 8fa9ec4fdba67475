"""Masking for pre-training: spans of bases, and spans of track bins.

Masking single k-mers would leak, since overlapping k-mers reveal their bases. Instead, whole spans
of bases are hidden, together with every k-mer that touches them, and only k-mers that lie wholly
inside are predicted.

Letters in shapes: M tracks, N bins, L bases of the window, S spans.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import HIDDEN_BASE, UNKNOWN_BASE, kmer_ids
from genomix_cli.genome.signal import BIN_SIZE, BRIDGED, MISSING
from genomix_cli.variants.requests.train import Masking

# Fractions of windows with tracks that hide a whole modality, and spans of one modality only.
WHOLE, ALONE = 0.5, 0.25


def draw_spans(
    length: int, span: int, share: float, apart: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return sorted starts of spans that hide about `share` of `length` bases.

    All layouts are equally likely, and spans are at least `apart` bases apart.
    """
    return place_spans(length, span, round(share * length / span), apart, rng)


def place_spans(
    length: int, span: int, n: int, apart: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return sorted starts of `n` spans, or as many as fit, placed as in `draw_spans`."""
    unit = span + apart
    n = min(n, (length + apart) // unit)
    # Shrink each span and its gap to one slot: any choice of distinct slots is a valid layout, and
    # all layouts are equally likely.
    places = rng.choice(length - n * (unit - 1) + apart, n, replace=False)
    return np.asarray(np.sort(places) + np.arange(n) * (unit - 1), np.int64)


def hide_bases(codes: NDArray[np.uint8], starts: NDArray[np.int64], span: int) -> NDArray[np.uint8]:
    """Return a copy of `codes` with the spans at `starts` hidden."""
    hidden = codes.copy()
    hidden[(starts[:, None] + np.arange(span)).ravel()] = HIDDEN_BASE
    return hidden


def span_kmers(
    codes: NDArray[np.uint8], starts: NDArray[np.int64], span: int, k: int
) -> NDArray[np.int64]:
    """Return ids of the k-mers wholly inside each span, ``[S, span - k + 1]``; -1 with an N.

    `codes` are the bases before masking.
    """
    bases = codes[starts[:, None] + np.arange(span)]
    ids = kmer_ids(bases, k).astype(np.int64)
    return np.where(ids < 4**k, ids, -1)


def hide_tracks(
    measured: NDArray[np.bool_],
    n_bins: int,
    masking: Masking,
    rng: np.random.Generator,
    *,
    joint: bool = False,
) -> NDArray[np.bool_]:
    """Draw the track bins to hide in a window, bool ``[M, N]``.

    Hides spans of all modalities at once, spans of one modality, or one whole modality, which must
    then be predicted from the sequence and the other modalities.

    Parameters
    ----------
    measured : NDArray
        bool ``[M]``: modalities with any value in the window.
    n_bins : int
    masking : Masking
    rng : numpy.random.Generator
    joint : bool
        Always hide spans of all modalities at once, as in validation.
    """
    bins = np.zeros((len(measured), n_bins), np.bool_)
    if not masking.track_share or not measured.any():
        return bins
    chosen = int(rng.choice(np.flatnonzero(measured)))
    # [0, ALONE): spans of one modality; [1 - WHOLE, 1): a whole modality; between: joint spans.
    kind = ALONE if joint else rng.random()
    spans = _bin_spans(n_bins, masking, rng)
    bins[chosen if kind < ALONE else slice(None)] = spans
    if kind >= 1 - WHOLE:
        bins[chosen] = True
    return bins


def _bin_spans(n_bins: int, masking: Masking, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw spans of random length until the share is reached, bool ``[N]``."""
    hidden = np.zeros(n_bins, np.bool_)
    while hidden.mean() < masking.track_share:
        length = int(rng.integers(masking.shortest, masking.longest + 1))
        # Spans may extend beyond both ends; otherwise the outer bins would be hidden less often.
        start = int(rng.integers(1 - length, n_bins))
        hidden[max(0, start) : start + length] = True
    return hidden


def visible(state: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where tracks would have a value if the hidden bins had not been measured.

    Bridged bins are interpolated from measured neighbours and would reveal a hidden neighbour, so
    they become missing as well.

    Parameters
    ----------
    state : NDArray
        uint8 ``[M, N]``; see `genomix_cli.genome.signal.Signal`.
    hidden : NDArray
        bool ``[M, N]``.
    """
    n = state.shape[1]
    own, index = state != BRIDGED, np.arange(n)
    left = np.maximum.accumulate(np.where(own, index, 0), axis=1)
    right = np.minimum.accumulate(np.where(own, index, n - 1)[:, ::-1], axis=1)[:, ::-1]
    out = [hidden, *(np.take_along_axis(hidden, beside, 1) for beside in (left, right))]
    return (state != MISSING) & ~np.logical_or.reduce(out)


def interpolate(signal: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Interpolate unknown bins linearly between known neighbours; 0 if none is known.

    Both arguments are ``[M, N]``.
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
    """Return the spans of known bases that have `flank` bases on each side."""
    inside = (starts >= flank) & (starts + span + flank <= len(codes))
    starts = starts[inside]
    known = (codes[starts[:, None] + np.arange(span)] < UNKNOWN_BASE).all(1)
    return starts[known]


def middle_of(bins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the offset in the window of the middle base of each bin."""
    return bins * BIN_SIZE + BIN_SIZE // 2
