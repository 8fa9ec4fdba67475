"""Views of sequences: augmentations to which contrastive learning should be invariant.

Each augmentation has a rate; a rate of 0 turns it off. All randomness comes from the generator that
is passed in.

Letters: B batch, L bases, C bases of a crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from genomix_cli.config import Count, Share, Within
from genomix_cli.errors import UsageError
from genomix_cli.genome.iupac import HIDDEN, SETS
from genomix_cli.sequences.train.learning import turned

# Smallest number of bases of a crop: a 3-mer.
SHORTEST = 3


@dataclass(frozen=True)
class Views:
    """Rates of the augmentations of a view; the defaults are those of GenomAI.

    Attributes
    ----------
    mask : float
        Share of bases that is hidden.
    span : int
        Number of consecutive bases hidden together; spans may overlap. At 1, bases are hidden one
        by one. Below 3, a neighbouring 3-mer may reveal a hidden base.
    crop : float
        Share of the sequence that is kept, as one piece. In aligned sequences the rest is hidden
        instead, so that columns keep their positions.
    mutate : float
        Share of bases that is changed to another base.
    reverse_complement : bool
        Take half of the views from the other strand; aligned sequences have one strand.
    """

    mask: Share = 0.15
    span: Count = 6
    crop: Annotated[float, Within(0, 1, above=True)] = 0.8
    mutate: Share = 0.1
    reverse_complement: bool = True


# For genotypes, two views that share few sites can only agree by ancestry. Mutations to rare
# alleles do no harm, since ancestry is spread over thousands of sites (measured:
# docs/contrastive.md).
GENOTYPES = Views(mask=0.5, span=1, crop=1.0, mutate=0.1, reverse_complement=False)


def view(codes: Tensor, views: Views, aligned: bool, generator: torch.Generator) -> Tensor:
    """Return one view of each sequence.

    Parameters
    ----------
    codes : Tensor
        uint8 ``[B, L]``: sets of bases.
    views : Views
    aligned : bool
        True if columns are fixed positions, which must not be moved.
    generator : torch.Generator
        On the device of `codes`.

    Returns
    -------
    Tensor
        uint8 ``[B, C]``; C equals L for aligned sequences.

    Raises
    ------
    UsageError
        If reverse complements of aligned sequences are requested.
    """
    if aligned and views.reverse_complement:
        raise UsageError(
            "aligned sequences have no reverse strand", where="--set reverse_complement=false"
        )
    if views.crop < 1:
        codes = cropped(codes, views.crop, aligned, generator)
    if views.reverse_complement:
        codes = turned(codes, generator)
    if views.mutate:
        codes = mutated(codes, views.mutate, generator)
    return masked(codes, views.mask, views.span, generator) if views.mask else codes


def cropped(codes: Tensor, share: float, hide: bool, generator: torch.Generator) -> Tensor:
    """Return a piece of each sequence ``[B, C]``, or with `hide` the rest hidden ``[B, L]``."""
    n, length = codes.shape
    size = min(max(round(share * length), SHORTEST), length)
    start = torch.randint(0, length - size + 1, (n, 1), generator=generator, device=codes.device)
    if hide:
        place = torch.arange(length, device=codes.device)
        return codes.masked_fill((place < start) | (place >= start + size), HIDDEN)
    return codes.gather(1, start + torch.arange(size, device=codes.device))


def mutated(codes: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Change each base to another with probability `rate`.

    A set of several bases becomes another set of the same size, so that a heterozygote stays one;
    N and hidden bases do not change.
    """
    draw = torch.rand(codes.shape, generator=generator, device=codes.device)
    # A draw below the rate, divided by the rate, is uniform; use it to choose the new base.
    which = ((draw / rate).clamp(max=1) * _N_OTHERS.to(codes.device)[codes.long()]).long()
    other = _OTHERS.to(codes.device)[codes.long(), which.clamp(max=_OTHERS.shape[1] - 1)]
    return torch.where(draw < rate, other, codes)


def masked(codes: Tensor, share: float, span: int, generator: torch.Generator) -> Tensor:
    """Hide spans such that each base, also near the ends, is hidden with probability `share`."""
    n, length = codes.shape
    # A base stays visible if none of the `span` positions from which a span would cover it begins
    # one.
    begins = 1 - (1 - share) ** (1 / span)
    draw = torch.rand((n, length + span - 1), generator=generator, device=codes.device)
    hidden = draw < begins
    if span > 1:
        hidden = F.max_pool1d(hidden.float()[:, None], span, stride=1)[:, 0] > 0
    return codes.masked_fill(hidden, HIDDEN)


def _others() -> tuple[Tensor, Tensor]:
    """Return for each set the others of equal size ``[16, 5]``, and their number ``[16]``."""
    sizes = [code.bit_count() for code in range(SETS)]
    table, counts = torch.zeros(SETS, 5, dtype=torch.uint8), torch.zeros(SETS)
    for code in range(SETS):
        others = [other for other in range(SETS) if sizes[other] == sizes[code] and other != code]
        counts[code] = len(others)
        others += [code] * (5 - len(others))
        table[code] = torch.tensor(others, dtype=torch.uint8)
    return table, counts


_OTHERS, _N_OTHERS = _others()
