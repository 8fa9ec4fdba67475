"""Windows for pre-training, drawn evenly from a genome shard and equally often per cell type.

Letters in shapes: M tracks, N bins, S spans, P places, G = S + P queries, H haplotype bases,
O k-mers of a span, or of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from genomix_cli.errors import DataError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.signal import MEASURED, MISSING
from genomix_cli.genome.tracks import rows_in_cell
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.records import inputs
from genomix_cli.variants.requests.train import Masking
from genomix_cli.variants.train.pretrain import masking as mask
from genomix_cli.variants.train.pretrain.metrics import ORDER
from genomix_cli.variants.train.splits import HeldOutRegions

# Number of bases to count at a time.
PIECE = 1000 * inputs.CONTACT_BIN
#: Value of `Draw.hidden` in validation for hidden spans rather than a whole modality.
SPANS = -1

R = TypeVar("R")


class Places(NamedTuple):
    """Windows to draw from.

    Attributes
    ----------
    contig : NDArray
        int64 ``[n]``: index into the shard's contigs.
    start : NDArray
        int64 ``[n]``: on the contact grid; may be negative.
    mostly_unknown, held_out : int
        Number of windows left out because of unknown bases, or because they touch the other part.
    """

    contig: NDArray[np.int64]
    start: NDArray[np.int64]
    mostly_unknown: int
    held_out: int


def find_places(
    shard: Shard, n_bins: int, held: HeldOutRegions, max_n: float, *, valid: bool
) -> Places:
    """Return every window on the contact grid with at least one stored base.

    Parameters
    ----------
    shard : Shard
    n_bins : int
    held : HeldOutRegions
        Training windows lie wholly outside these regions; validation windows lie wholly inside and
        do not overlap.
    max_n : float
        Fraction of unknown bases above which a window is left out; bases not stored are unknown.
    valid : bool

    Raises
    ------
    DataError
        If no window is left; the message says why.
    """
    window = n_bins * inputs.BIN_SIZE
    # Windows of both parts are read with a margin.
    beside = 2 * inputs.MARGIN
    found: list[tuple[int, int]] = []
    unknown = touched = 0
    for index, (name, length) in enumerate(shard.contigs.items()):
        starts, known = _grid(shard, name, length, window)
        free = -window
        for start, bases in zip(starts.tolist(), known.tolist(), strict=True):
            stop = min(start + window, length)
            first = max(start, 0)
            if valid and (start < free or not held.holds(name, first, stop)):
                touched += start >= free
            elif not valid and held.touches(name, first - beside, stop + beside):
                touched += 1
            elif bases < (1 - max_n) * window or not bases:
                unknown += 1
            else:
                found.append((index, start))
                free = start + window
    contig, first = np.array(found, np.int64).reshape(-1, 2).T
    places = Places(contig, first, unknown, touched)
    if not found:
        raise _nothing(shard, places, window, max_n, valid)
    return places


def _nothing(shard: Shard, places: Places, window: int, max_n: float, valid: bool) -> DataError:
    part = "held out" if valid else "left to train on"
    why = f"{places.held_out:,} windows are not wholly in this part, {places.mostly_unknown:,} have"
    return DataError(
        f"no window of {window:,} bases is {part}",
        where=shard.path,
        found=f"{why} more than {max_n:.0%} of unknown bases",
        hint="hold out other parts, raise --max-n, or use shorter windows: --set n_bins=N",
    )


def _grid(
    shard: Shard, contig: str, length: int, window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return starts of the windows that overlap a contig, and the number of known bases in each."""
    if not len(shard.blocks(contig)):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    known = [
        (shard.codes(contig, low, low + PIECE) < UNKNOWN_BASE)
        .reshape(-1, inputs.CONTACT_BIN)
        .sum(1)
        for low in range(0, length, PIECE)
    ]
    width = window // inputs.CONTACT_BIN
    counts = np.concatenate(known)[: -(-length // inputs.CONTACT_BIN)]
    total = np.cumsum(np.pad(counts, (width, width)))
    starts = np.arange(1 - width, len(counts)) * inputs.CONTACT_BIN
    return starts, total[width:-1] - total[: -width - 1]


@dataclass(frozen=True)
class Draw:
    """Drawn window with its cell type.

    Attributes
    ----------
    contig : str
    start : int
    cell : str
    reverse : bool
        Read from the other strand.
    hidden : int
        `SPANS`, or the index of the modality to hide whole; in training, drawn per item.
    """

    contig: str
    start: int
    cell: str
    reverse: bool = False
    hidden: int = SPANS


def draw_epoch(
    places: Places, contigs: Sequence[str], cells: Sequence[str], n: int, seed: int, epoch: int
) -> list[Draw]:
    """Draw the windows of an epoch, which depend only on seed and epoch.

    All cell types are drawn equally often, regardless of their number of tracks.
    """
    rng = np.random.default_rng([seed, epoch])
    which = rng.choice(len(places.start), n, replace=n > len(places.start))
    cell = rng.permutation(np.arange(n) % len(cells))
    reverse = rng.random(n) < 0.5
    return [
        Draw(contigs[int(places.contig[w])], int(places.start[w]), cells[int(c)], bool(r))
        for w, c, r in zip(which, cell, reverse, strict=True)
    ]


def validation_draws(places: Places, shard: Shard, most: int) -> list[Draw]:
    """Return evenly spaced windows in each cell type, at most `most` of them.

    Each window is used once with hidden spans, and once without each modality of the cell type.
    """
    chosen = np.unique(np.linspace(0, len(places.start) - 1, most).round().astype(np.int64))
    contigs = list(shard.contigs)
    modalities = shard.modalities
    of_cell = {cell: rows_in_cell(shard.tracks, cell) for cell in shard.cells}
    return [
        Draw(contigs[int(places.contig[w])], int(places.start[w]), cell, hidden=hidden)
        for w in chosen
        for cell in shard.cells
        for hidden in [SPANS, *(i for i, name in enumerate(modalities) if name in of_cell[cell])]
    ]


class Batch(NamedTuple):
    """Masked windows; a single window has no axis W.

    Attributes
    ----------
    window : Window
        Input of the model.
    queries : Variants
        ``[W, G]``: S hidden spans, then P bases of hidden bins; both alleles are the reference. The
        bases around a place are not hidden, since its tracks are predicted, not its bases.
    kmers : Tensor
        int64 ``[W, S, O]``: k-mer ids inside each span, or of each row; -1 if not predicted.
    signal : Tensor
        float32 ``[W, M, N]``: the tracks before masking.
    scored : Tensor
        bool ``[W, M, N]``: hidden bins that were measured, not bridged.
    bins : Tensor
        int64 ``[W, P]``: bin of each place; -1 if none was left.
    line : Tensor
        float32 ``[W, M, N]``: linear interpolation between the nearest known bins; 0 without any.
    simple : Tensor
        float32 ``[W, M, N]``, in validation: a simple guess, which is `line`, or the mean of the
        other tracks if a whole modality is hidden.
    draw : Tensor
        int64 ``[W, 4]``: epoch, number of the draw, index of the cell type, `Draw.hidden`.
    """

    window: Window
    queries: Variants
    kmers: Tensor
    signal: Tensor
    scored: Tensor
    bins: Tensor
    line: Tensor
    simple: Tensor
    draw: Tensor


@dataclass(frozen=True)
class Reading:
    """Size of a model's input and queries.

    Attributes
    ----------
    n_bins, k, flank : int
        Sizes of the model; `flank` is the number of bases on each side of an allele.
    spans, places : int
        Number of hidden spans, and of bases of hidden bins, to predict in each window.
    span : int
        Bases of a hidden span, at least k.
    """

    n_bins: int
    k: int
    flank: int
    spans: int = 16
    places: int = 16
    span: int = 12

    @property
    def after(self) -> NDArray[np.int64]:
        """Bases from the start of a span to each of its k-mers, int64 ``[O]``."""
        return np.arange(self.span - self.k + 1)

    @property
    def unknown(self) -> int:
        """Number of hidden bases in each k-mer to predict."""
        return self.k

    def masked(self, shard: Shard, masking: Masking, seed: int, *, training: bool) -> MaskedWindows:
        """Return the dataset of masked windows for such a model."""
        return MaskedWindows(shard, masking, self, seed, training=training)

    def hidden(self, item: Batch) -> Hidden:
        """Return the hidden bases to predict in the spans of an item."""
        kmers = item.kmers.numpy()
        asked = np.flatnonzero(kmers[:, 0] >= 0)
        ref, end = item.queries.ref.numpy()[asked], self.flank + self.span
        left, right = ref[:, self.flank - ORDER : self.flank], ref[:, end : end + ORDER]
        return Hidden(kmers[asked], left, right)


class Hidden(NamedTuple):
    """Hidden bases of spans, in the order of the k-mers to predict.

    Attributes
    ----------
    kmers : NDArray
        int64 ``[n, O]``: hidden bases of each k-mer as a number.
    left, right : NDArray
        uint8 ``[n, ORDER]``: known bases on each side, which a Markov chain may use.
    """

    kmers: NDArray[np.int64]
    left: NDArray[np.uint8]
    right: NDArray[np.uint8]


class Asked(NamedTuple):
    """Index of an item: epoch and number of the window in it; validation always has epoch 0."""

    epoch: int
    number: int
    draw: Draw


@dataclass(eq=False)
class Masked(Dataset[Batch], Generic[R]):
    """Masked items of a shard; each depends only on the seed and its index.

    Worker processes therefore need no notice of a new epoch.

    Parameters
    ----------
    shard : Shard
    masking : Masking
    reading : Reading or Rows
        What a model reads of an item.
    seed : int
    training : bool
        If True, draw everything at random; otherwise each draw determines the kind of masking.
    """

    shard: Shard
    masking: Masking
    reading: R
    seed: int
    _: KW_ONLY
    training: bool

    def generator(self, asked: Asked) -> np.random.Generator:
        """Return the generator of an item."""
        return np.random.default_rng([self.seed, asked.epoch, asked.number, int(self.training)])


class MaskedWindows(Masked[Reading]):
    """Masked windows, with their tracks; see `Masked`."""

    def __getitem__(self, asked: Asked) -> Batch:
        epoch, number, draw = asked
        rng = self.generator(asked)
        source = self.shard.in_cell(draw.cell)
        window = inputs.load_window(source, draw.contig, draw.start, self.reading.n_bins)
        if draw.reverse:
            window = inputs.mirrored_window(window)
        measured = window.state == MEASURED
        signal = window.signal.astype(np.float32) * (window.state != MISSING)
        hidden = self._hide(draw, measured, rng)
        scored = hidden & measured
        known = mask.visible(window.state, hidden)
        codes, spans = self._hide_bases(draw, window.codes, rng)
        places = self._places(scored, rng)
        line = mask.interpolate(signal, known)
        simple = line if draw.hidden == SPANS else _mean_of_others(signal, known)
        kmers = self._kmers(window.codes, spans)
        cell = self.shard.cells.index(draw.cell)
        of_draw = np.array([epoch, number, cell, draw.hidden], np.int64)
        return Batch(
            Window(
                to_tensor(codes),
                to_tensor(signal * known),
                to_tensor(known.astype(np.float32)),
                to_tensor(window.contacts),
            ),
            self._queries(window.codes, codes, spans, places),
            *(to_tensor(a) for a in (kmers, signal, scored, places, line, simple, of_draw)),
        )

    def _hide(
        self, draw: Draw, measured: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Return the bins of the tracks to hide, ``[M, N]``."""
        if draw.hidden != SPANS:
            bins = np.zeros_like(measured)
            bins[draw.hidden] = True
            return bins
        rows, n_bins = np.asarray(measured.any(1)), measured.shape[1]
        return mask.hide_tracks(rows, n_bins, self.masking, rng, joint=not self.training)

    def _hide_bases(
        self, draw: Draw, codes: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the masked codes, and the starts of the spans to predict."""
        reading, masking = self.reading, self.masking
        if not masking.share or draw.hidden != SPANS:
            return codes, np.empty(0, np.int64)
        length = reading.n_bins * inputs.BIN_SIZE
        starts = (
            mask.draw_spans(length, reading.span, masking.share, reading.k, rng) + inputs.MARGIN
        )
        clear = mask.clear_spans(codes, starts, reading.span, reading.flank)
        asked = rng.permutation(clear)[: reading.spans]
        return mask.hide_bases(codes, starts, reading.span), asked

    def _places(self, scored: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return hidden bins to predict through the variant stream, away from the window's edge."""
        edge = -(-self.reading.flank // inputs.BIN_SIZE)
        bins = np.flatnonzero(scored[:, edge:-edge].any(0)) + edge
        chosen = rng.permutation(bins)[: self.reading.places]
        out = np.full(self.reading.places if self.masking.track_share else 0, -1, np.int64)
        out[: len(chosen)] = chosen[: len(out)]
        return out

    def _kmers(self, codes: NDArray[np.uint8], spans: NDArray[np.int64]) -> NDArray[np.int64]:
        span, k = self.reading.span, self.reading.k
        n = self.reading.spans if self.masking.share else 0
        ids = np.full((n, span - k + 1), -1, np.int64)
        ids[: len(spans)] = mask.span_kmers(codes, spans, span, k)
        return ids

    def _queries(
        self,
        codes: NDArray[np.uint8],
        masked: NDArray[np.uint8],
        spans: NDArray[np.int64],
        places: NDArray[np.int64],
    ) -> Variants:
        """Return haplotypes as from `inputs.haplotypes`, cut from the window's own bases."""
        flank, span = self.reading.flank, self.reading.span
        n = self.reading.spans if self.masking.share else 0
        # Unused queries are computed at a valid offset, and ignored.
        filled = np.full(n, flank, np.int64)
        filled[: len(spans)] = spans
        bases = mask.middle_of(np.maximum(places, -(-flank // inputs.BIN_SIZE))) + inputs.MARGIN
        around = np.arange(-flank, flank + span)
        of_bases = np.pad(codes, (0, span))[bases[:, None] + around]
        ref = np.concatenate([masked[filled[:, None] + around], of_bases])
        offset = np.concatenate([filled, bases]) - inputs.MARGIN
        length = np.repeat([span, 1], [n, len(bases)])
        return Variants(*map(torch.from_numpy, (offset, ref, ref, length, length)))


def _mean_of_others(signal: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the mean of the known modalities in each bin, ``[M, N]``."""
    mean = (signal * known).sum(0) / np.maximum(known.sum(0), 1)
    return np.repeat(mean[None], len(signal), axis=0).astype(np.float32)


def to_tensor(array: NDArray[np.generic]) -> Tensor:
    """Return a copy as a tensor, since arrays of a shard may be read-only views."""
    return torch.from_numpy(np.array(array, order="C"))
