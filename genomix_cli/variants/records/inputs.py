"""Build the input arrays of a model from variants and a genome.

Scoring, training and explaining share this code, which keeps their inputs identical.

Letters in shapes: V variants, N bins, M tracks, H haplotype bases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import encode, reverse_complement
from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.genome.source import GenomeSource

#: Placement of windows: on a grid, each for many variants, or each centred on its variant.
Mode = Literal["shared", "centred"]
MODES: tuple[Mode, ...] = ("shared", "centred")

WINDOW = 100_000
STRIDE = 50_000
MAX_ALLELE = 50
# Largest distance in bases over which an indel is left-aligned.
MAX_SHIFT = 1000
# Extra bases on each side of the window, so that every bin has all its k-mers (k <= 8).
MARGIN = 8


class Allele(NamedTuple):
    """Allele trimmed to the bases that differ.

    Attributes
    ----------
    pos : int
        0-based position of the first base that differs.
    ref, alt : NDArray
        uint8 codes; empty for a pure insertion or deletion.
    """

    pos: int
    ref: NDArray[np.uint8]
    alt: NDArray[np.uint8]

    @property
    def is_substitution(self) -> bool:
        """True if the allele replaces one base by another."""
        return len(self.ref) == 1 == len(self.alt)


def trim_allele(pos: int, ref: str, alt: str) -> Allele:
    """Trim the bases that both alleles share, suffix first, as in VCF normalisation.

    `pos` is 0-based; bases may be in either case.
    """
    start, ref, alt = _trim(pos, ref.upper(), alt.upper())
    return Allele(start, encode(ref), encode(alt))


def place_allele(pos: int, ref: str, alt: str, reference: str, first: int) -> Allele:
    """Trim an allele, and shift an indel as far left as the sequence allows.

    An indel in a repeat has many spellings. This function gives that of ``bcftools norm`` (Tan et
    al. 2015, doi:10.1093/bioinformatics/btv112), within `MAX_SHIFT` bases and the given reference.

    Parameters
    ----------
    pos : int
        0-based position of `ref`.
    ref, alt : str
        Bases in either case.
    reference : str
        Upper-case bases around `pos`.
    first : int
        0-based position of the first base of `reference`.
    """
    start, ref, alt = _trim(pos, ref.upper(), alt.upper())
    if bool(ref) != bool(alt):
        bases, end = ref or alt, start - first
        farthest = max(0, end - MAX_SHIFT)
        # While the base before the indel equals its last base, rotating the indel by one base to
        # the left spells the same haplotype.
        while end > farthest and reference[end - 1] == bases[-1]:
            bases = bases[-1] + bases[:-1]
            end -= 1
        start = first + end
        ref, alt = (bases, "") if ref else ("", bases)
    return Allele(start, encode(ref), encode(alt))


def _trim(start: int, ref: str, alt: str) -> tuple[int, str, str]:
    shorter, end = min(len(ref), len(alt)), 0
    while end < shorter and ref[-1 - end] == alt[-1 - end]:
        end += 1
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    shorter, shared = shorter - end, 0
    while shared < shorter and ref[shared] == alt[shared]:
        shared += 1
    return start + shared, ref[shared:], alt[shared:]


def window_start(pos: int, window: int, core: int) -> int:
    """Return the start of the shared window whose core contains `pos`; may be negative.

    The core is the middle of a window. Cores tile the contig from its start, so the window of a
    variant never depends on other variants. All arguments are in bases.
    """
    return pos // core * core - (window - core) // 2


def centred_start(pos: int, window: int) -> int:
    """Return the start of the window whose middle bin contains `pos`; may be negative."""
    return pos // BIN_SIZE * BIN_SIZE - window // 2


def least_distance(window: int = WINDOW, flank: int = 0) -> int:
    """Return the distance from which two variants can share no base of their windows.

    Each variant lies in the central half of its window, whatever the offset of the grids, and is
    read with up to `flank` bases and an allele on either side.
    """
    return 2 * max(window * 3 // 4 + MARGIN, flank + 2 * MAX_ALLELE)


class WindowArrays(NamedTuple):
    """Reference window as stored in its source.

    Types are widened later on the device, since casting would dominate the cost here. Arrays of a
    shard may be read-only, non-contiguous views of the file.

    Attributes
    ----------
    codes : NDArray
        uint8 ``[N * 50 + 2 * MARGIN]``.
    signal : NDArray
        ``[M, N]``, normalised; 0 where missing. float32 from raw files, float16 from a shard.
    state : NDArray
        uint8 ``[M, N]``, see `genomix_cli.genome.signal.Signal`.
    contacts : NDArray
        float32 ``[N / 100, N / 100]``: log(observed/expected) between 5-kb bins, 0 if unknown.
    """

    codes: NDArray[np.uint8]
    signal: NDArray[Any]
    state: NDArray[np.uint8]
    contacts: NDArray[np.float32]


def load_window(source: GenomeSource, contig: str, start: int, n_bins: int) -> WindowArrays:
    """Read one window; `start` is a multiple of the bin size and may lie off the contig.

    Contacts are the bins of the map if the window starts on one of them, otherwise weighted means
    of neighbouring bins.
    """
    end = start + n_bins * BIN_SIZE
    signal = source.signal(contig, start // BIN_SIZE, end // BIN_SIZE)
    return WindowArrays(
        source.codes(contig, start - MARGIN, end + MARGIN),
        signal.value,
        signal.state,
        _contacts(source, contig, start, n_bins * BIN_SIZE // CONTACT_BIN),
    )


def _contacts(source: GenomeSource, contig: str, start: int, n: int) -> NDArray[np.float32]:
    """Return contacts between `n` 5-kb intervals from `start`, float32 ``[n, n]``."""
    first, rest = divmod(start, CONTACT_BIN)
    if not rest:
        return source.contacts(contig, start, n)
    bins = source.contacts(contig, first * CONTACT_BIN, n + 1)
    share = rest / CONTACT_BIN
    rows = bins[:-1] * (1 - share) + bins[1:] * share
    means = rows[:, :-1] * (1 - share) + rows[:, 1:] * share
    return means.astype(np.float32)


class Haplotypes(NamedTuple):
    """Bases around each variant on both haplotypes.

    A row holds the `flank` bases before the allele, the allele, and the bases after it.

    Attributes
    ----------
    ref, alt : NDArray
        uint8 ``[V, 2 * flank + MAX_ALLELE]``.
    ref_len, alt_len : NDArray
        int64 ``[V]``: length of each trimmed allele.
    """

    ref: NDArray[np.uint8]
    alt: NDArray[np.uint8]
    ref_len: NDArray[np.int64]
    alt_len: NDArray[np.int64]

    def at(self, rows: Any) -> Haplotypes:
        """Return the rows selected by a slice or an index."""
        return Haplotypes(self.ref[rows], self.alt[rows], self.ref_len[rows], self.alt_len[rows])


def haplotypes(
    source: GenomeSource, contig: str, alleles: Sequence[Allele], flank: int
) -> Haplotypes:
    """Return both haplotypes around `alleles`, all on one contig.

    No allele may be longer than `MAX_ALLELE`; `flank` bases precede each.
    """
    width = 2 * flank + MAX_ALLELE
    ref = np.empty((len(alleles), width), np.uint8)
    alt = np.empty_like(ref)
    pos = np.array([allele.pos for allele in alleles], np.int64)
    ref_len = np.array([len(allele.ref) for allele in alleles], np.int64)
    alt_len = np.array([len(allele.alt) for allele in alleles], np.int64)
    if alleles:
        low = int(pos.min()) - flank
        high = int((pos + ref_len).max()) + width
        codes = source.codes(contig, low, high)
    # Substitutions, the majority, take one vectorised look-up; other variants go one by one.
    is_single = (ref_len == 1) & (alt_len == 1)
    single = np.flatnonzero(is_single)
    if len(single):
        starts = pos[single] - flank - low
        ref[single] = alt[single] = sliding_window_view(codes, width)[starts]
        ref[single, flank] = np.concatenate([alleles[row].ref for row in single.tolist()])
        alt[single, flank] = np.concatenate([alleles[row].alt for row in single.tolist()])
    for row in np.flatnonzero(~is_single).tolist():
        allele = alleles[row]
        left = allele.pos - low
        before = codes[left - flank : left]
        after = codes[left + len(allele.ref) :]
        for out, bases in ((ref, allele.ref), (alt, allele.alt)):
            middle = flank + len(bases)
            out[row, :flank] = before
            out[row, flank:middle] = bases
            out[row, middle:] = after[: width - middle]
    return Haplotypes(ref, alt, ref_len, alt_len)


def mirrored_window(window: WindowArrays) -> WindowArrays:
    """Return the window on the reverse strand."""
    return WindowArrays(
        reverse_complement(window.codes),
        np.ascontiguousarray(window.signal[:, ::-1]),
        np.ascontiguousarray(window.state[:, ::-1]),
        np.ascontiguousarray(window.contacts[::-1, ::-1]),
    )


def mirrored_offset(
    offset: NDArray[np.int64], ref_len: NDArray[np.int64], n_bins: int
) -> NDArray[np.int64]:
    """Return the offsets of alleles in the same window on the reverse strand, int64 ``[V]``.

    A mirrored allele starts at the mirror image of its last reference base. An insertion lies
    before the base at its offset, so its mirror image lies before the base that was to its left.
    """
    return n_bins * BIN_SIZE - (offset + ref_len)


def mirrored_haplotypes(
    source: GenomeSource, contig: str, alleles: Sequence[Allele], flank: int
) -> Haplotypes:
    """Return :func:`haplotypes` on the reverse strand."""
    width = 2 * flank + MAX_ALLELE
    # With `width` bases on the left, the mirrored row is a slice of the longer row.
    long = haplotypes(source, contig, alleles, width)
    return long._replace(
        ref=_mirror(long.ref, long.ref_len + flank, width),
        alt=_mirror(long.alt, long.alt_len + flank, width),
    )


def _mirror(rows: NDArray[np.uint8], first: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return the reverse complement of `width` bases of each row from `first`."""
    part = np.take_along_axis(rows, first[:, None] + np.arange(width), axis=1)
    return reverse_complement(part)
