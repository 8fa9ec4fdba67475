"""Tokens of a window: one for each bin of the centre, one for ten bins elsewhere.

Letters: N bins, S tokens, C contact bins of 5 kb.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from genomix_cli.variants.records.inputs import BIN_SIZE, CONTACT_BIN

BINS_PER_CONTACT = CONTACT_BIN // BIN_SIZE
#: Bins per token outside the centre.
POOLED = 10


class Layout(nn.Module):
    """Assignment of bins to tokens.

    Sequence far from a variant gives only coarse context, which does not need a 50-bp resolution.

    Parameters
    ----------
    n_bins, centre_bins : int
        Bins of the window, and of its centre; both on the grid of contact bins.

    Attributes
    ----------
    token : Tensor
        int64 ``[N]``: the token of each bin.
    contact_bin : Tensor
        int64 ``[S]``: the contact bin of each token.
    log_bins : Tensor
        float32 ``[C]``: log of the number of bins per token in each contact bin. Added to the
        attention logit of a token, it gives the token the weight that its bins would have together
        (Bolya et al. 2023, arXiv:2210.09461).
    """

    token: Tensor
    contact_bin: Tensor
    log_bins: Tensor

    def __init__(self, n_bins: int, centre_bins: int) -> None:
        super().__init__()
        self.beside = (n_bins - centre_bins) // 2
        self.centre_bins = centre_bins
        left, centre = self.beside // BINS_PER_CONTACT, centre_bins // BINS_PER_CONTACT
        bins = np.array([POOLED] * left + [1] * centre + [POOLED] * left)
        contact_bin = np.repeat(np.arange(len(bins)), BINS_PER_CONTACT // bins)
        token = np.repeat(np.arange(len(contact_bin)), bins[contact_bin])
        log_bins = np.log(bins).astype(np.float32)
        for name, array in {
            "token": token,
            "contact_bin": contact_bin,
            "log_bins": log_bins,
        }.items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    def pool(self, x: Tensor, dim: int) -> Tensor:
        """Average the bins of each token: size N along `dim` becomes S."""
        if not self.beside:
            return x
        left, centre, right = x.split([self.beside, self.centre_bins, self.beside], dim)
        left, right = (part.unflatten(dim, (-1, POOLED)).mean(dim + 1) for part in (left, right))
        return torch.cat([left, centre, right], dim)

    def spread(self, x: Tensor, dim: int) -> Tensor:
        """Copy the value of each token to its bins: size S along `dim` becomes N."""
        return x.index_select(dim, self.token)
