"""The contract of variant models: their inputs, their configuration, their base class.

Letters: W windows, N bins, M tracks, G variants per window, H haplotype bases, C contact bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from genomix_cli.config import Extent
from genomix_cli.errors import UsageError
from genomix_cli.learning.activity import Output, Predicted
from genomix_cli.variants.models.sharing import Shared
from genomix_cli.variants.records.inputs import Mode


class Window(NamedTuple):
    """A batch of reference windows.

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


class Answers(NamedTuple):
    """Logits and differences of the variants of a window.

    Attributes
    ----------
    logits, null : Tensor
        float ``[W, G]``: logits of the variants, and of "no change" at their places.
    differences : Tensor
        float ``[W, G, K]``: activity of alt minus that of ref, for each of the model's `outputs`.
        Exactly 0 if alt equals ref; swapping the alleles flips the sign. Averaged over strands.
    """

    logits: Tensor
    null: Tensor
    differences: Tensor


@dataclass(frozen=True)
class VariantConfig:
    """Architecture fields common to all variant models.

    Attributes
    ----------
    tracks : tuple of str
        Names of the tracks, in the order of the input.
    n_bins : int
        Bins of 50 bp in the window.
    use_sequence, use_tracks : bool
        Ablations: an input that is switched off never reaches the model.
    """

    tracks: tuple[str, ...]
    n_bins: Extent = 2000
    use_sequence: bool = True
    use_tracks: bool = True

    @property
    def core_bins(self) -> int:
        """Number of central bins whose variants a shared window serves."""
        return self.n_bins // 2


class VariantModel(nn.Module):
    """A model that scores the variants of a window: ``forward`` is `window`, then `variants`.

    `window` is called once per window and `variants` any number of times on its result. The logit
    of a variant must not depend on the other variants in its batch.

    Parameters
    ----------
    config : VariantConfig
        An instance of `config_class`.

    Attributes
    ----------
    config_class : type
        A frozen dataclass of plain data, derived from `VariantConfig`.
    presets : dict
        Preset name to fields of that class; the first is the default.
    head_parameters : tuple of str
        Names of the submodules and parameters that ``--tune head`` and ``lora`` train in full. If
        empty, only the whole model can be fine-tuned.
    shard_layers : tuple of type
        Layer classes that ``--strategy fsdp`` shards. A layer that is called through methods other
        than ``forward`` lists them in its attribute ``forward_methods``.
    has_attributions : bool
        True for a model that ``genomix explain`` can explain.
    reads_window : bool
        False for a model that reads only the haplotypes; it has `differences` but no logits.
    flank : int
        Bases of each haplotype on either side of the allele; set in ``__init__``.
    n_bins, core_bins : int
        Bins of 50 bp in the window, and in the core of a shared one; 0 without a window.
    outputs : tuple of Output
        Activities for which the model returns `differences`; none by default.
    """

    config_class: ClassVar[type] = VariantConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {"mini": {}}
    head_parameters: ClassVar[tuple[str, ...]] = ()
    shard_layers: ClassVar[tuple[type[nn.Module], ...]] = ()
    has_attributions: ClassVar[bool] = False
    reads_window: ClassVar[bool] = True
    flank: int
    outputs: tuple[Output, ...] = ()

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.n_bins: int = config.n_bins if self.reads_window else 0
        self.core_bins: int = config.core_bins if self.reads_window else 0

    @property
    def uses_all_parameters(self) -> bool:
        """True if every trainable parameter takes part in each step, whatever the batch.

        DDP can then skip its search for unused parameters.
        """
        return False

    @staticmethod
    def activity_of(arch: Mapping[str, Any]) -> Predicted | None:
        """Return the architecture of the network behind `differences`; None if there is none."""
        return None

    def for_mode(self, mode: Mode) -> VariantModel:
        """Return a model with the same weights for shared or for centred windows.

        A centred window may need less computation than one whose variants lie anywhere in its core.
        """
        return self

    def window(self, window: Window) -> Any:
        """Return the encoding of the windows that all their variants share.

        The result is a tensor whose rows are windows, tuples or lists of such tensors, or None if
        nothing is shared.
        """
        raise NotImplementedError

    def variants(self, context: Any, variants: Variants) -> Tensor:
        """Return the logits of the variants, float ``[W, G]``."""
        raise NotImplementedError

    def answers(self, context: Any, variants: Variants, shared: Shared) -> Answers:
        """Return logits and differences of `variants`; only for a model that reads a window."""
        null = map(
            shared.places.pick, variants._replace(alt=variants.ref, alt_len=variants.ref_len)
        )
        both = Variants(*(torch.cat(pair, dim=1) for pair in zip(variants, null, strict=True)))
        logits, null_logits = self.variants(context, both).tensor_split(
            [variants.offset.shape[1]], dim=1
        )
        # A small difference of large numbers needs full precision.
        with torch.autocast(logits.device.type, enabled=False):
            none = logits.new_zeros(*logits.shape, 0)
            differences = self.differences(variants) if self.outputs else none
        return Answers(logits, shared.places.spread(null_logits), differences)

    def differences(self, variants: Variants) -> Tensor:
        """Return the activity of alt minus that of ref for each of K outputs, ``[W, G, K]``.

        Exactly 0 if alt equals ref; swapping the alleles flips the sign. Averaged over strands.
        """
        raise NotImplementedError

    def substitutions(self, variants: Variants) -> Tensor:
        """Return the `differences` of alleles that each substitute one base.

        Most variants are of this kind, and a model may have a faster method for them.
        """
        return self.differences(variants)

    def prior_scales(self) -> tuple[tuple[int, int, float, float], ...]:
        """Return tuples of layer, head (both from 1) and learned scales of distance and contacts.

        Empty for a model without a prior from contacts.
        """
        return ()

    def adopt(self, state: Mapping[str, Tensor], tracks: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the weights of a model trained on other tracks, rearranged for this one.

        Raises
        ------
        NotImplementedError
            If this architecture cannot exchange tracks.
        """
        raise NotImplementedError

    def forward(self, window: Window, variants: Variants) -> Tensor:
        """Return the logits of `variants` in `window`, float ``[W, G]``."""
        return self.variants(self.window(window), variants)


def check(kind: str, problems: Mapping[str, bool]) -> None:
    """Report all problems of a configuration in one error.

    Raises
    ------
    UsageError
        If any of `problems` holds.
    """
    wrong = [problem for problem, holds in problems.items() if holds]
    if wrong:
        raise UsageError(f"invalid {kind}: {', '.join(wrong)}")


def uneven_heads(width: int, n_heads: int, name: str = "width ") -> dict[str, bool]:
    """Return the problem for :func:`check` if the width per head is not an even whole number."""
    return {f"{name}{width} is no multiple of 2 x n_heads={n_heads}": bool(width % (2 * n_heads))}
