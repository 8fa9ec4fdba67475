"""DNABERT with tracks, on both haplotypes.

After Ji et al. 2021 (doi:10.1093/bioinformatics/btab083): overlapping k-mers (k = 6, of 3 to 6) as
tokens of a BERT base (12 layers, 12 heads, 768 wide, 3,072 inside; learned positions, 512 at most),
read at [CLS]. With 6-mers it has 89 million parameters (as counted by Zhou et al. 2024,
arXiv:2306.15006). As in the paper, ``--task pretrain`` hides spans of k k-mers (all that contain
one base), 15 % of the k-mers in total. Without ``--init`` it learns from labels alone. Deviations:
hidden spans keep k bases apart and away from the ends; every hidden k-mer becomes MASK, never
another k-mer or itself; a k-mer's logit comes from its embedding and its bases; all sequences have
one length. The head also sees the k-mer centred on the variant; there is no [SEP]; layers are
pre-norm, and k-mers are embedded as in GMT; an unknown base makes its k-mers unknown; the same
network reads ref and alt, and a separate head sees alt - ref and ref; tracks near the variant
join at that head; dropout is the same for ref and alt. `mini` reads the 3-mers of 128 bp in two
layers.

Letters: V variants, T k-mers, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.config import Count, Extent
from genomix_cli.learning.layers.positions import sinusoidal
from genomix_cli.variants.models.base import check
from genomix_cli.variants.models.kmer_transformer import KmerTransformer, KmerTransformerConfig

EXPANSION = 4


@dataclass(frozen=True)
class DNABERTConfig(KmerTransformerConfig):
    """Architecture of DNABERT."""

    bases: Extent = 128
    k: Count = 3

    def __post_init__(self) -> None:
        few = self.bases < 2 * self.k
        check("DNABERT", {f"bases={self.bases} are too few": few, **self.problems()})


class DNABERT(KmerTransformer):
    """A BERT over overlapping k-mers, shared by both haplotypes.

    Parameters
    ----------
    config : DNABERTConfig
    """

    config_class = DNABERTConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {
            "bases": 516,
            "k": 6,
            "width": 768,
            "n_layers": 12,
            "n_heads": 12,
            "dropout": 0.1,
        },
    }

    def __init__(self, config: DNABERTConfig) -> None:
        own = config.bases // 2 - config.k // 2
        super().__init__(config, stride=1, own=own, block={"expansion": EXPANSION})
        n_tokens = config.bases - config.k + 2
        self.positions = nn.Parameter(0.02 * torch.randn(n_tokens, config.width))

    def start_pretraining(self) -> None:
        """Scale position embeddings to the size of the k-mer embeddings, as in BERT.

        Small positions suffice to encode a haplotype, but predicting a hidden k-mer depends on the
        distances to its neighbours.
        """
        self.positions.data.copy_(2**0.5 * sinusoidal(*self.positions.shape))

    def place(self, tokens: Tensor) -> Tensor:
        """Add the positions to tokens ``[2 V, 1 + T, d]``."""
        return tokens + self.positions
