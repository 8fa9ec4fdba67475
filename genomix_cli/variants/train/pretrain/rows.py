"""Rows of bases to pre-train on, for a model that reads k-mers and no window.

A hidden base hides every k-mer that contains it, so that neighbours cannot reveal it. The model
predicts the k-mers that contain a whole span, or lie wholly inside one.

Letters in shapes: R rows, B bases of a row, T its k-mers, S spans of a row, O k-mers of a span.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.errors import UsageError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.alphabet import kmer_ids, reverse_complement
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.records.inputs import BIN_SIZE
from genomix_cli.variants.requests.train import Masking
from genomix_cli.variants.train.pretrain import masking as mask
from genomix_cli.variants.train.pretrain.metrics import ORDER
from genomix_cli.variants.train.pretrain.sampling import Asked, Batch, Hidden, Masked, to_tensor


@dataclass(frozen=True)
class Rows:
    """Size of the rows that a model reads, and of the spans hidden in them.

    Attributes
    ----------
    n_bins : int
        Bins of the window that rows are drawn from.
    bases, k, stride : int
        B, the k-mer length, and the step between k-mers, 1 or k.
    span : int
        Bases of a hidden span, a multiple of `stride`.
    rows : int
        R, the number of rows.
    """

    n_bins: int
    bases: int
    k: int
    stride: int
    span: int
    rows: int = 16

    def __post_init__(self) -> None:
        window = self.n_bins * BIN_SIZE
        if self.bases > window:
            raise UsageError(
                f"sequences of {self.bases:,} bases do not fit into a window of {window:,}",
                where="--set n_bins",
                expected=f"at least {-(-self.bases // BIN_SIZE)}",
                found=str(self.n_bins),
            )
        if self.span % self.stride or self.span > self.bases - 2 * self.k:
            multiple = f"a multiple of {self.stride}, " if self.stride > 1 else ""
            raise UsageError(
                "cannot hide spans of that length",
                where="--span",
                expected=f"{multiple}at most {self.bases - 2 * self.k} of {self.bases} bases",
                found=str(self.span),
            )

    @property
    def after(self) -> NDArray[np.int64]:
        """Bases from the start of a span to the hidden part of each k-mer, int64 ``[O]``."""
        n = abs(self.span - self.k) // self.stride + 1
        return self.stride * np.arange(n) if self.span > self.k else np.zeros(n, np.int64)

    @property
    def unknown(self) -> int:
        """Number of hidden bases in each k-mer to predict."""
        return min(self.span, self.k)

    def masked(self, shard: Shard, masking: Masking, seed: int, *, training: bool) -> MaskedRows:
        """Return the dataset of masked rows for such a model."""
        return MaskedRows(shard, masking, self, seed, training=training)

    def spans(self, share: float) -> int:
        """Return the number of spans that hide about `share` of a row's k-mers."""
        n_kmers = (self.bases - self.k) // self.stride + 1
        return round(share * n_kmers * self.stride / (self.span + self.k - self.stride))

    def hidden(self, item: Batch) -> Hidden:
        """Return the hidden bases to predict in the spans of an item."""
        shape = (-1, len(self.after))
        asked = (item.kmers >= 0).numpy()
        kmers = item.kmers.numpy()[asked].reshape(shape)
        if self.span < self.k:  # take the bases of the span, at the end of its first k-mer
            kmers = np.repeat(kmers[:, :1] % 4**self.span, shape[1], axis=1)
        row, token = (each.reshape(shape)[:, 0] for each in np.nonzero(asked))
        start = token * self.stride + max(0, self.k - self.span)
        bases, around = item.queries.ref.numpy(), np.arange(ORDER)
        left = bases[row[:, None], start[:, None] - ORDER + around]
        return Hidden(kmers, left, bases[row[:, None], start[:, None] + self.span + around])


class MaskedRows(Masked[Rows]):
    """Masked rows of bases; see `Masked`."""

    def __getitem__(self, asked: Asked) -> Batch:
        epoch, number, draw = asked
        rng = self.generator(asked)
        reading = self.reading
        length = reading.n_bins * BIN_SIZE
        codes = self.shard.codes(draw.contig, draw.start, draw.start + length)
        if draw.reverse:
            codes = reverse_complement(codes)
        start = rng.integers(0, length - reading.bases + 1, reading.rows)
        rows = codes[start[:, None] + np.arange(reading.bases)]
        hidden, kmers = zip(*(self._hide(row, rng) for row in rows), strict=True)
        ref, one = to_tensor(np.stack(hidden)), torch.ones(reading.rows, dtype=torch.int64)
        of_draw = np.array([epoch, number, 0, draw.hidden], np.int64)
        none = torch.zeros(0, 0)
        return Batch(
            window=Window(torch.zeros(0, dtype=torch.uint8), none, none, none),
            queries=Variants(to_tensor(start), ref, ref, one, one),
            kmers=to_tensor(np.stack(kmers)),
            signal=none,
            scored=none.bool(),
            bins=torch.zeros(0, dtype=torch.int64),
            line=none,
            simple=none,
            draw=to_tensor(of_draw),
        )

    def _hide(
        self, row: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return a row with spans hidden, and the ids to predict, ``[T]``; -1 elsewhere."""
        reading = self.reading
        step, k, span = reading.stride, reading.k, reading.span
        # Stay away from the ends so that each span has all its k-mers and known bases beside it.
        starts = k + step * mask.place_spans(
            (reading.bases - 2 * k) // step,
            span // step,
            reading.spans(self.masking.share),
            k // step,
            rng,
        )
        ids = kmer_ids(row, k)[::step].astype(np.int64)
        first = starts - max(0, k - span)
        tokens = first[:, None] // step + np.arange(len(reading.after))
        # A span with an unknown k-mer is hidden but not predicted.
        tokens = tokens[(ids[tokens] < 4**k).all(1)]
        asked = np.full_like(ids, -1)
        asked[tokens] = ids[tokens]
        return mask.hide_bases(row, starts, span), asked
