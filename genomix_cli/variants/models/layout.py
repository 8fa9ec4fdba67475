"""Tokens of a window: each bin of the centre alone, the others in tens.

Letters: N bins, S tokens, C contact bins of 5 kb.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from genomix_cli.variants.records.inputs import BIN_SIZE, CONTACT_BIN

BINS_PER_CONTACT = CONTACT_BIN // BIN_SIZE
#: Bins of a token outside of the centre.
POOLED = 10


class Layout(nn.Module):
    """Bins that become a token.

    What lies far from a variant says where it is and what is near, which needs no 50 bp.

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
        float32 ``[C]``: log of the bins of each token there. Added to attention towards a token, it
        makes that draw as much as its bins would one by one (Bolya et al. 2023, arXiv:2210.09461).
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
        """Return the means of the bins of each token: N along `dim` become S."""
        if not self.beside:
            return x
        left, centre, right = x.split([self.beside, self.centre_bins, self.beside], dim)
        left, right = (part.unflatten(dim, (-1, POOLED)).mean(dim + 1) for part in (left, right))
        return torch.cat([left, centre, right], dim)

    def spread(self, x: Tensor, dim: int) -> Tensor:
        """Give each bin what its token has: S along `dim` become N."""
        return x.index_select(dim, self.token)
