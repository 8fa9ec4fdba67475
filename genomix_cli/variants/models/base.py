"""What every variant model reads and offers.

Letters: W windows, N bins, M tracks, G variants per window, H haplotype bases, C contact bins.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn


class Window(NamedTuple):
    """Reference windows as tensors.

    Attributes
    ----------
    codes : Tensor
        uint8 ``[W, N * 50 + 2 * MARGIN]``.
    signal : Tensor
        float32 ``[W, M, N]``.
    observed : Tensor
        float32 ``[W, M, N]``, 0 or 1.
    contacts : Tensor
        float32 ``[W, C, C]``.
    """

    codes: Tensor
    signal: Tensor
    observed: Tensor
    contacts: Tensor


class Variants(NamedTuple):
    """Variants of the windows, padded to the same number.

    Attributes
    ----------
    offset : Tensor
        int64 ``[W, G]``: bases from the start of the window.
    ref, alt : Tensor
        uint8 ``[W, G, H]``: haplotypes, see `genomix_cli.variants.records.inputs.Haplotypes`.
    ref_len, alt_len : Tensor
        int64 ``[W, G]``.
    """

    offset: Tensor
    ref: Tensor
    alt: Tensor
    ref_len: Tensor
    alt_len: Tensor


class VariantModel(Protocol):
    """A module that scores variants of a window.

    `window` is called once per window and `variants` any number of times on what it returns;
    the logit of a variant must not depend on the others.
    """

    config: Any
    flank: int
    n_bins: int

    def window(self, window: Window) -> Any:
        """Everything about the window that its variants share."""

    def variants(self, context: Any, variants: Variants) -> Tensor:
        """Logits, float ``[W, G]``."""

    def with_null(self, context: Any, variants: Variants) -> tuple[Tensor, Tensor]:
        """Logits of `variants`, and of no change (alt = ref) at their places."""

    def __call__(self, window: Window, variants: Variants) -> Tensor:
        """Logits of `variants` in `window`, float ``[W, G]``."""


class VariantModule(nn.Module):
    """Base class: ``forward`` is `window` followed by `variants`."""

    def window(self, window: Window) -> Any:
        """See `VariantModel.window`."""
        raise NotImplementedError

    def variants(self, context: Any, variants: Variants) -> Tensor:
        """See `VariantModel.variants`."""
        raise NotImplementedError

    def with_null(self, context: Any, variants: Variants) -> tuple[Tensor, Tensor]:
        """Logits of `variants`, and of no change at their places, float ``[W, G]`` each."""
        null = variants._replace(alt=variants.ref, alt_len=variants.ref_len)
        both = Variants(*(torch.cat(pair, dim=1) for pair in zip(variants, null, strict=True)))
        logits, null_logits = self.variants(context, both).chunk(2, dim=1)
        return logits, null_logits

    def forward(self, window: Window, variants: Variants) -> Tensor:
        """Logits of `variants` in `window`, float ``[W, G]``."""
        return self.variants(self.window(window), variants)
