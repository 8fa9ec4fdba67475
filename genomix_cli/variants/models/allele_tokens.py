"""Tokens of an allele, built from k-mers at base resolution on both haplotypes.

Each haplotype is read around the start of its allele and again around the allele's end. Outside the
allele both haplotypes are identical. Aligned at the start, their left flanks match base by base;
aligned at the end, their right flanks do. An indel therefore never shifts the flanks against each
other.

A motif may lie on either strand. Reading the alleles on both, with the same weights, is as if every
filter knew both orientations of what it finds, so it learns from twice as many examples.

Letters: W windows, G variants per window, P places, U ends that differ, H haplotype bases, r radius
in bases, s strands (1 or 2), w width of the embeddings, d width of the tokens, t tokens of an end,
k k-mer length, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.genome import alphabet
from genomix_cli.variants.models.activity import ActivityTokens
from genomix_cli.variants.models.base import Variants
from genomix_cli.variants.models.sharing import Shared, take
from genomix_cli.variants.records.inputs import BIN_SIZE

#: The k-mers are read around the start of the allele and around its end.
ENDS = 2


class Alleles(NamedTuple):
    """Embeddings of the k-mers around each variant, the input of its tokens.

    Attributes
    ----------
    ref, alt : Tensor
        ``[W, G, 2, 2 r, s w]``: r k-mers on either side of the allele's start, and of its end. With
        two strands, each k-mer is followed by its reverse complement.
    log_length : Tensor
        ``[W, G, 2]``: log(1 + bases) of ref and alt.
    ref_bases, alt_bases : Tensor or None
        ``[W, G, L, 4]``: the haplotypes as read by a sequence-activity network; None without one.
    """

    ref: Tensor
    alt: Tensor
    log_length: Tensor
    ref_bases: Tensor | None = None
    alt_bases: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Alleles:
        """Return a copy with `change` applied to each tensor that is not None."""
        found = self._asdict().items()
        return self._replace(**{name: change(t) for name, t in found if t is not None})


class KmerEmbedding(nn.Module):
    """Xavier-uniform k-mer embeddings with a constant output gain.

    The gain gives the outputs unit variance while the weights stay small, so that AdamW moves
    them fast; re-initialising the weights to unit size instead stalls learning.
    """

    def __init__(self, k: int, width: int) -> None:
        super().__init__()
        self.k = k
        self.weight = nn.Parameter(torch.empty(alphabet.vocabulary_size(k), width))
        nn.init.xavier_uniform_(self.weight)
        self.gain = ((alphabet.vocabulary_size(k) + width) / 2) ** 0.5

    def ids(self, codes: Tensor) -> Tensor:
        """Return k-mer ids at stride 1: ``[..., n]`` -> int64 ``[..., n - k + 1]``.

        A k-mer that contains a hidden base is MASK; otherwise, one with an unknown base is UNKNOWN.
        """
        n = codes.shape[-1] - self.k + 1
        codes = codes.to(torch.int32)
        ids = torch.zeros_like(codes[..., :n])
        highest = torch.zeros_like(ids)
        # A k-mer is a number in base 4, rolled over all positions at once; the highest code among
        # its bases tells whether one is unknown (4) or hidden (5).
        for j in range(self.k):
            base = codes[..., j : j + n]
            ids = ids * 4 + base
            highest = torch.maximum(highest, base)
        ids = ids.masked_fill(highest >= alphabet.UNKNOWN_BASE, alphabet.unknown_id(self.k))
        return ids.masked_fill(highest >= alphabet.HIDDEN_BASE, alphabet.mask_id(self.k)).long()

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings of k-mer ids: ``[...]`` -> ``[..., width]``."""
        return F.embedding(ids, self.weight) * self.gain

    def bin_means(self, ids: Tensor) -> Tensor:
        """Return the mean embedding of each bin: ``[W, N * 50]`` -> ``[W, N, width]``."""
        bags = ids.view(-1, BIN_SIZE)
        # One lookup per bin avoids a [W, N * 50, width] tensor in memory.
        means = F.embedding_bag(bags, self.weight, mode="mean") * self.gain
        return means.view(ids.shape[0], -1, means.shape[-1])

    def logits(self, query: Tensor, bases: Tensor) -> Tensor:
        """Compare queries with the embedding and the bases of every k-mer.

        The bases are compared too because most of the signal in real DNA is in single bases.

        Parameters
        ----------
        query : Tensor
            ``[..., width + 4 k]``.
        bases : Tensor
            ``[4^k, 4 k]``, from `spelled_kmers`.

        Returns
        -------
        Tensor
            ``[..., 4^k]``.
        """
        rows = self.weight[: len(bases)] * (self.gain / self.weight.shape[1])
        return query @ torch.cat([rows, bases], dim=1).T


def spelled_kmers(k: int) -> Tensor:
    """Return the one-hot bases of every k-mer, ``[4^k, 4 k]``."""
    ids = torch.arange(4**k)[:, None]
    bases = ids // 4 ** torch.arange(k - 1, -1, -1) % 4
    return F.one_hot(bases, 4).flatten(1).float()


def mirrored_kmers(k: int) -> Tensor:
    """Return the id of each id's reverse complement, int64 ``[4^k + 2]``."""
    special = [alphabet.mask_id(k), alphabet.unknown_id(k)]
    return torch.from_numpy(np.append(alphabet.reverse_complement_ids(k), special))


class AlleleEmbedding(KmerEmbedding):
    """Embeddings of the k-mers at both ends of an allele.

    Parameters
    ----------
    k, width : int
    strands : int
        2 to embed the reverse complement of every k-mer too; or 1.
    radius : int
        k-mers on either side of an end.
    flank : int
        Bases of each haplotype before the allele, at least as many as the k-mers span.
    """

    mirrored: Tensor

    def __init__(self, k: int, width: int, strands: int, radius: int, flank: int) -> None:
        super().__init__(k, width)
        self.strands, self.radius, self.flank = strands, radius, flank
        self.register_buffer("mirrored", mirrored_kmers(k), persistent=False)

    def alleles(self, variants: Variants) -> Alleles:
        """Return the embeddings of both haplotypes around each variant."""
        ref, alt = (
            self._embedded(self.ids(codes), starts)
            for codes, starts in (
                (variants.ref, self.kmer_starts(variants.ref_len)),
                (variants.alt, self.kmer_starts(variants.alt_len)),
            )
        )
        lengths = torch.stack([variants.ref_len, variants.alt_len], dim=-1)
        return Alleles(ref, alt, torch.log1p(lengths.to(ref.dtype)))

    def _embedded(self, ids: Tensor, starts: Tensor) -> Tensor:
        """Return the embeddings of the k-mers at `starts`, ``[..., 2, 2 r, s w]``."""
        ids = ids[..., None, :].expand(*starts.shape[:-1], -1).gather(-1, starts)
        if self.strands == 1:
            return self(ids)
        return self(torch.stack([ids, self.mirrored[ids]], dim=-1)).flatten(-2)

    def kmer_starts(self, length: Tensor) -> Tensor:
        """Return the starts of the k-mers on a haplotype: ``[...]`` bases -> ``[..., 2, 2 r]``.

        A k-mer belongs to its middle base. Those around the end start one base earlier, which makes
        the start and the end of a substitution identical.
        """
        first = self.flank - self.k // 2 - self.radius
        around = torch.arange(first, first + 2 * self.radius, device=length.device)
        start = around.expand(*length.shape, -1)
        return torch.stack([start, start + length[..., None] - 1], dim=-2)


class AlleleTokens(nn.Module):
    """Tokens of each variant from the k-mers of its haplotypes.

    Parameters
    ----------
    width, d_model : int
        w and d.
    strands : int
        s.
    group : int
        k-mers of a token.
    activity : ActivityTokens, optional
        Adds one token.
    """

    def __init__(
        self,
        width: int,
        d_model: int,
        strands: int,
        group: int,
        activity: ActivityTokens | None = None,
    ) -> None:
        super().__init__()
        w, d = width, d_model
        self.strands, self.group, self.activity = strands, group, activity
        self.conv1 = _Convolution(w, w, 9)
        self.conv2 = _Convolution(w, w, 5)
        self.compare = nn.Sequential(nn.Linear(2 * w, d), nn.GELU())
        self.pool = nn.Linear(2 * d, d)
        self.length = nn.Linear(2, d)

    def forward(self, alleles: Alleles) -> Tensor:
        """Return the tokens, ``[W, G, T - 1, d]``."""
        ref = self._of_both_ends(alleles.ref)
        tokens = self._joined(
            self._compared(ref, self._of_both_ends(alleles.alt) - ref), alleles.log_length
        )
        if self.activity is None:
            return tokens
        return torch.cat([tokens, self.activity(alleles.ref_bases, alleles.alt_bases)], dim=2)

    def with_null(self, alleles: Alleles, shared: Shared) -> tuple[Tensor, Tensor]:
        """Return tokens and differences, computing each distinct end and place only once.

        Returns
        -------
        tokens : Tensor
            ``[W, G + P, T - 1, d]``: tokens of the variants, then of "no change" at each place.
        differences : Tensor
            ``[W, G, K]``: differences in predicted activity; K is 0 without an activity network.
        """
        ref_ends, alt_ends, places = shared.ref_ends, shared.alt_ends, shared.places
        ref = self.features(ref_ends.pick(alleles.ref.flatten(1, 2)))  # [W, U, 2 r, w]
        alt = self.features(alt_ends.pick(alleles.alt.flatten(1, 2)))
        same = take(ref, alt_ends.pick(ref_ends.of))
        changed = alt_ends.spread(self._compared(same, alt - same)).unflatten(1, (-1, ENDS))
        null = ref_ends.spread(self._compared(ref, torch.zeros_like(ref))).unflatten(1, (-1, ENDS))
        log_length = alleles.log_length
        of_places = places.pick(log_length[..., :1].expand_as(log_length))
        ends = torch.cat([changed, places.pick(null)], dim=1)
        tokens = self._joined(ends, torch.cat([log_length, of_places], dim=1))
        if self.activity is None:
            return tokens, tokens.new_zeros(*log_length.shape[:2], 0)
        assert alleles.ref_bases is not None
        assert alleles.alt_bases is not None
        read, differences = self.activity.with_null(alleles.ref_bases, alleles.alt_bases, shared)
        return torch.cat([tokens, read], dim=2), differences

    def _of_both_ends(self, x: Tensor) -> Tensor:
        """Return the features of each end, computing those of a single base only once."""
        start, end = x.unbind(2)
        features = self.features(start)
        differs = (start != end).flatten(2).any(-1)
        of_end = features.clone()
        of_end[differs] = self.features(end[differs])
        return torch.stack([features, of_end], dim=2)

    def features(self, x: Tensor) -> Tensor:
        """Convolve along each strand of a haplotype; the shape ``[..., 2 r, s w]`` is kept."""
        strands = x.flatten(0, -3).chunk(self.strands, dim=-1)
        y = torch.cat(_along_own_strand(strands))
        y = F.gelu(self.conv1(y))
        y = y + F.gelu(self.conv2(y))
        y = torch.cat(_along_own_strand(y.chunk(self.strands)), dim=-1)
        return y.unflatten(0, x.shape[:-2])

    def _compared(self, ref: Tensor, change: Tensor) -> Tensor:
        """Return the tokens of an end of an allele, ``[..., 2 r, s w]`` -> ``[..., t, d]``."""
        ref, change = (x.unflatten(-1, (self.strands, -1)) for x in (ref, change))
        x = self.compare(torch.cat([ref, change], dim=-1))  # [..., 2 r, s, d]
        x = x.unflatten(-3, (-1, self.group)).flatten(-3, -2)  # [..., t, group * s, d]
        return self.pool(torch.cat([x.mean(-2), x.amax(-2)], dim=-1))

    def _joined(self, ends: Tensor, log_length: Tensor) -> Tensor:
        """Put the tokens of both ends side by side, ``[W, G, 2, t, d]`` -> ``[W, G, 2 t, d]``."""
        return ends.flatten(2, 3) + self.length(log_length)[:, :, None]


class _Convolution(nn.Conv1d):
    """A convolution along the last axis but one, ``[R, n, w]`` -> ``[R, n, w]``.

    As a convolution of images one pixel high, with the channels last, it takes two thirds of the
    time on a CPU, and nothing is transposed.
    """

    def forward(self, x: Tensor) -> Tensor:
        image = x[:, None].permute(0, 3, 1, 2)
        padding = (0, self.kernel_size[0] // 2)
        y = F.conv2d(image, self.weight[:, :, None], self.bias, padding=padding)
        return y.permute(0, 2, 3, 1)[:, 0]


def _along_own_strand(strands: Sequence[Tensor]) -> list[Tensor]:
    """Reverse the places of the second strand, if there is one: ``[R, n, w]`` each."""
    return [y.flip(1) if i else y for i, y in enumerate(strands)]
