"""Attention rollout of a GMT: the bins that a variant's [CLS] reads. It is not an attribution.

Letters in shapes: N bins, S tokens of the window, T of the variant, d width, H heads, e = d/H,
C contact bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.gmt import GMT, Layer
from genomix_cli.variants.models.layout import BINS_PER_CONTACT
from genomix_cli.variants.records.inputs import BIN_SIZE


class Rollout(NamedTuple):
    """Attention shares of the final [CLS], which sum to 1.

    Attributes
    ----------
    bins : NDArray
        float64 ``[N]``: share of each bin of the window.
    own : NDArray
        float64 ``[T]``: shares of the variant's own tokens, [CLS] first.
    """

    bins: NDArray[np.float64]
    own: NDArray[np.float64]


@torch.no_grad()
def cls_rollout(model: GMT, window: Window, variants: Variants) -> Rollout:
    """Follow the [CLS] of one variant back through the attention of every layer.

    After Abnar and Zuidema 2020 (doi:10.18653/v1/2020.acl-main.385): attention averaged over heads,
    with half of each step for the residual branch. Only the row of [CLS] is propagated, from the
    last layer to the first, which avoids an array of layers x N x N.

    Parameters
    ----------
    model : GMT
        In evaluation mode.
    window, variants
        One window with one variant.
    """
    with _recorded(model) as streams:
        context = model.window(window)
        model.variants(context, variants)
    layout, place = model.layout, variants.offset.flatten() // BIN_SIZE
    column = layout.contact_bin  # of each token
    row = place // BINS_PER_CONTACT
    tokens = streams[0].variant.shape[0]
    own = torch.eye(tokens, device=column.device)[0]
    read = torch.zeros(len(column), device=column.device)
    for layer, stream, prior in reversed(
        list(zip(model.layers, streams, context.priors, strict=True))
    ):
        bias = prior[0][..., column]  # [H, C, S]
        if read.any():
            read = (read + _through_window(layer, stream.window, bias[:, column], read)) / 2
        to_window, to_own = _read_weights(layer, stream, bias[:, row])
        read = read + own @ to_window / 2
        own = (own + own @ to_own) / 2
    bins = layout.spread(read, 0) / layout.log_bins.exp()[column[layout.token]]
    return Rollout(bins.double().cpu().numpy(), own.double().cpu().numpy())


class _Streams(NamedTuple):
    """Inputs of one layer's attention: window ``[S, d]`` and variant ``[T, d]`` tokens."""

    window: Tensor
    variant: Tensor


@contextmanager
def _recorded(model: GMT) -> Iterator[list[_Streams]]:
    """Collect the normalised inputs of every layer, window stream first."""
    seen: list[list[Tensor]] = [[] for _ in model.layers]

    def keep(index: int) -> Any:
        return lambda module, args, output: seen[index].append(output)

    handles = [
        layer.norm_attention.register_forward_hook(keep(i)) for i, layer in enumerate(model.layers)
    ]
    streams: list[_Streams] = []
    try:
        yield streams
    finally:
        for handle in handles:
            handle.remove()
    streams += [_Streams(window[0], variant[0, 0]) for window, variant in seen]


def _through_window(layer: Layer, x: Tensor, bias: Tensor, weights: Tensor) -> Tensor:
    """Propagate weights ``[S]`` from a layer's output to its input, one head at a time."""
    q, k, _ = layer.attention.project(x)
    out = torch.zeros_like(weights)
    for head in range(len(q)):
        logits = q[head] @ k[head].T * q.shape[-1] ** -0.5 + bias[head]
        out += weights @ logits.softmax(-1)
    return out / len(q)


def _read_weights(layer: Layer, stream: _Streams, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean attention of the variant's tokens to the window and to each other.

    The shapes are ``[T, S]`` and ``[T, T]``.
    """
    q, own, _ = layer.attention.project(stream.variant)
    _, shared, _ = layer.attention.project(stream.window)
    scale = q.shape[-1] ** -0.5
    outer = q @ shared.transpose(-1, -2) * scale + bias  # [H, T, S]
    inner = q @ own.transpose(-1, -2) * scale  # [H, T, T]
    weights = torch.cat([outer, inner], dim=-1).softmax(-1).mean(0)
    return weights[:, : outer.shape[-1]], weights[:, outer.shape[-1] :]
