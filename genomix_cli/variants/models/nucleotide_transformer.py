"""Nucleotide Transformer, second version, with tracks, on both haplotypes.

After Dalla-Torre et al. 2025 (doi:10.1038/s41592-024-02523-z): 6-mers without overlap as tokens,
12,282 bp at most; pre-norm layers with rotary positions and SwiGLU without biases. The largest of
the second version, "500M", has 29 layers, 16 heads, width 1,024 and inner width 4,096. As in the
paper, ``--task pretrain`` hides 15 % of the tokens. Without ``--init`` it learns from labels alone.
Deviations: no two neighbours are hidden; every hidden token becomes MASK, never another token or
itself; a k-mer's logit comes from its embedding and its bases. Features are [CLS] and the token
with the variant, of the last layer; a 6-mer with an unknown base is one unknown token, not six
single-base tokens; k-mers are embedded as in GMT; the same network reads ref and alt, and a
separate head sees alt - ref and ref; tracks near the variant join at that head; dropout (none in
the paper) is the same for ref and alt. `mini` reads the 3-mers of 189 bp in two layers.

Letters: V variants, T tokens, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from genomix_cli.config import Count, Extent
from genomix_cli.variants.models.base import check
from genomix_cli.variants.models.kmer_transformer import KmerTransformer, KmerTransformerConfig

EXPANSION = 4


@dataclass(frozen=True)
class NucleotideTransformerConfig(KmerTransformerConfig):
    """Architecture of the Nucleotide Transformer.

    Attributes
    ----------
    bases : int
        Bases around the variant, a multiple of `k`. With an odd multiple, the variant lies in the
        middle of a token.
    """

    bases: Extent = 189
    k: Count = 3

    def __post_init__(self) -> None:
        uneven = bool(self.bases % self.k)
        check(
            "Nucleotide Transformer",
            {f"bases={self.bases} is no multiple of k={self.k}": uneven, **self.problems()},
        )


class NucleotideTransformer(KmerTransformer):
    """A transformer over k-mers without overlap, shared by both haplotypes.

    Parameters
    ----------
    config : NucleotideTransformerConfig
    """

    config_class = NucleotideTransformerConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {"bases": 12_282, "k": 6, "width": 1024, "n_layers": 29, "n_heads": 16},
    }

    def __init__(self, config: NucleotideTransformerConfig) -> None:
        own = config.bases // 2 // config.k
        block = {"expansion": EXPANSION, "rotary": True, "gated": True}
        super().__init__(config, stride=config.k, own=own, block=block)
        self.hidden_span = config.k
