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
        float ``[W, G]``: of the variants, and of no change at their places.
    differences : Tensor
        float ``[W, G, K]``: the activity of alt less that of ref, of each of the model's `outputs`.
        Exactly 0 where alt is ref; swapped alleles swap the sign. Both strands count alike.
    """

    logits: Tensor
    null: Tensor
    differences: Tensor


@dataclass(frozen=True)
class VariantConfig:
    """Fields that the architecture of every variant model has.

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
        """Bins in the middle of a shared window whose variants it serves."""
        return self.n_bins // 2


class VariantModel(nn.Module):
    """A model that scores the variants of a window: ``forward`` is `window`, then `variants`.

    `window` is called once per window and `variants` any number of times on its result. The logit
    of a variant must not depend on the others, or its score would change with its company.

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
        Names of the submodules and parameters that ``--tune head`` and ``lora`` train in full;
        without any, only the whole model can be fine-tuned.
    shard_layers : tuple of type
        Classes of layers that ``--strategy fsdp`` shards; a layer called by other methods than
        ``forward`` names them in its own attribute ``forward_methods``.
    has_attributions : bool
        True for a model that ``genomix explain`` can explain.
    reads_window : bool
        False for a model that reads the haplotypes alone: it has `differences`, and no logits.
    flank : int
        Bases of each haplotype on either side of the allele; set in ``__init__``.
    n_bins, core_bins : int
        Bins of 50 bp in the window, and in the middle of a shared one; 0 without a window.
    outputs : tuple of Output
        Activities whose `differences` between the alleles it gives; none by default.
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
        """True if each parameter that learns takes part in every step, whatever the batch.

        DDP then need not look for others, which it does by default.
        """
        return False

    @staticmethod
    def activity_of(arch: Mapping[str, Any]) -> Predicted | None:
        """Return the architecture of what gives the `differences`, from that of the model."""
        return None

    def centred(self) -> VariantModel:
        """Return the model for windows whose variants lie in the middle, with the same weights.

        Such a window may need less than one whose variants lie anywhere in its core.
        """
        return self

    def window(self, window: Window) -> Any:
        """Return everything about the windows that their variants share.

        A tensor whose rows are windows, tuples and lists of such, or None if they share nothing.
        """
        raise NotImplementedError

    def variants(self, context: Any, variants: Variants) -> Tensor:
        """Return the logits of the variants, float ``[W, G]``."""
        raise NotImplementedError

    def answers(self, context: Any, variants: Variants, shared: Shared) -> Answers:
        """Return everything that scoring tells of `variants`; only a model with a window has it."""
        null = map(
            shared.places.pick, variants._replace(alt=variants.ref, alt_len=variants.ref_len)
        )
        both = Variants(*(torch.cat(pair, dim=1) for pair in zip(variants, null, strict=True)))
        logits, null_logits = self.variants(context, both).tensor_split(
            [variants.offset.shape[1]], dim=1
        )
        # A small difference of large numbers: never in half precision.
        with torch.autocast(logits.device.type, enabled=False):
            none = logits.new_zeros(*logits.shape, 0)
            differences = self.differences(variants) if self.outputs else none
        return Answers(logits, shared.places.spread(null_logits), differences)

    def differences(self, variants: Variants) -> Tensor:
        """Return the activity of alt less that of ref, of each of K outputs, ``[W, G, K]``.

        Exactly 0 where alt is ref; swapped alleles swap the sign. Both strands count alike.
        """
        raise NotImplementedError

    def substitutions(self, variants: Variants) -> Tensor:
        """Return the `differences` of alleles that are substitutions of one base each.

        Most variants are; a model may have a faster way for these.
        """
        return self.differences(variants)

    def prior_scales(self) -> tuple[tuple[int, int, float, float], ...]:
        """Return layer, head (both from 1), and the learned scales of distance and contacts there.

        Empty for a model without a prior from contacts.
        """
        return ()

    def adopt(self, state: Mapping[str, Tensor], tracks: Sequence[str]) -> Mapping[str, Tensor]:
        """Rearrange the weights of a model of this architecture that was trained on other tracks.

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
    """Report everything that is wrong with a configuration together.

    Raises
    ------
    UsageError
        If any of `problems` holds.
    """
    wrong = [problem for problem, holds in problems.items() if holds]
    if wrong:
        raise UsageError(f"invalid {kind}: {', '.join(wrong)}")


def uneven_heads(width: int, n_heads: int, name: str = "width ") -> dict[str, bool]:
    """Problem for :func:`check`: heads need an even share of the width, half of it for sines."""
    return {f"{name}{width} is no multiple of 2 x n_heads={n_heads}": bool(width % (2 * n_heads))}
