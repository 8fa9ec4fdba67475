"""Contrastive pre-training of an encoder: two views of a sequence get similar embeddings.

Letters: B batch, L bases, d width of the encoder, p width of the compared vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.config import Count, Positive
from genomix_cli.sequences.models.encoder import Encoder, EncoderConfig
from genomix_cli.sequences.pretrain.objectives import Temperature
from genomix_cli.sequences.pretrain.views import Views
from genomix_cli.sequences.train.learning import Learning


@dataclass(frozen=True)
class ContrastConfig(Learning, Views, EncoderConfig):
    """Configuration of the encoder, the views, training and evaluation.

    Attributes
    ----------
    projection : int
        p.
    temperature : float
        Initial value; the temperature is learned.
    paper_rates : bool
        True to also train with the rates that GenomAI states, for the report.
    """

    projection: Count = 128
    temperature: Positive = 0.1
    paper_rates: bool = False


class Contrastive(nn.Module):
    """Encoder and projection head (Chen et al. 2020, arXiv:2002.05709).

    The head is used in training only; embeddings are the encoder's output before the head. With the
    preset `genomai`, the number of parameters is within 5 % of the 734,213 that GenomAI v2 states.

    Parameters
    ----------
    config : ContrastConfig
    """

    def __init__(self, config: ContrastConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.head = head(config.width, config.projection)
        self.scale = Temperature(config.temperature)

    def forward(self, codes: Tensor) -> Tensor:
        """Return unit vectors ``[B, p]`` of sets of bases uint8 ``[B, L]`` or shorter."""
        return F.normalize(self.head(self.encoder(codes)).float(), dim=-1)


def head(width: int, projection: int) -> nn.Sequential:
    """Build the head from an embedding ``[B, d]`` to the compared vector ``[B, p]``."""
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, projection))
