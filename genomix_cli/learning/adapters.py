"""Fine-tuning of a pre-trained model: the whole model, its head, or low-rank adapters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genomix_cli.errors import UsageError

Mode = Literal["full", "head", "lora"]


class Learnable(NamedTuple):
    """Number of trainable parameters and of all parameters; both include adapters."""

    learn: int
    total: int


class LowRank(nn.Module):
    """Low-rank adapter W + alpha / r B A, with B initially 0 (LoRA, Hu et al. 2021).

    See arXiv:2106.09685. Deviation: r is capped at the smaller side of W.

    Parameters
    ----------
    weight : Tensor
        ``[out, in]``.
    rank : int
        r.
    alpha : float
        Scale of the adapter.
    generator : torch.Generator
        Generator of the initial A, on the CPU.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        rank = min(rank, n_out, n_in)
        self.scale = alpha / rank
        down = (2 * torch.rand(rank, n_in, generator=generator) - 1) / math.sqrt(n_in)
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(n_out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight, ``[out, in]``."""
        return weight + self.scale * (self.up @ self.down)


def adapt(
    module: nn.Module,
    mode: Mode,
    rank: int = 8,
    alpha: float = 16.0,
    head: Sequence[str] | None = None,
    *,
    generator: torch.Generator | None = None,
) -> Learnable:
    """Choose which parameters of a module are trained, in place; its outputs do not change.

    Running statistics of batch normalisation are updated in every mode.

    Parameters
    ----------
    module : nn.Module
    mode : str
        ``full`` trains everything; ``head`` trains only the head; ``lora`` trains the head and
        low-rank adapters on the frozen weights of all other linear layers. The module's
        ``frozen_parts``, if any, stay frozen in every mode.
    rank, alpha : int, float
        Rank and scale of the adapters.
    head : sequence of str, optional
        Names of the parameters and submodules that make up the head; default: the module's
        ``head_parameters``.
    generator : torch.Generator, optional
        Generator of the adapters' initial weights; default: one seeded with 0.

    Returns
    -------
    Learnable

    Raises
    ------
    UsageError
        If the mode, rank, alpha or a name in `head` is invalid, or the module is already adapted.
    """
    if mode not in get_args(Mode):
        raise UsageError(
            "unknown way to adapt", expected=" or ".join(get_args(Mode)), found=str(mode)
        )
    if is_adapted(module):
        raise UsageError("already has low-rank adapters", where=type(module).__name__)
    frozen: Sequence[str] = getattr(module, "frozen_parts", ())
    names = () if mode == "full" else _head(module, head)
    for name, parameter in module.named_parameters():
        learns = mode == "full" or _within(name, names)
        parameter.requires_grad_(learns and not _within(name, frozen))
    if mode == "lora":
        generator = generator or torch.Generator().manual_seed(0)
        _add_adapters(module, rank, alpha, [*names, *frozen], generator)
    return learnable(module)


def merge(module: nn.Module) -> None:
    """Fold adapters into the weights, in place, and make all parameters trainable.

    The outputs of the module do not change.
    """
    for part in module.modules():
        if not _has_adapter(part):
            continue
        assert isinstance(part, nn.Linear)
        parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)
        # Restore the original order, weight before bias, of parameters and state dict.
        bias = part.bias
        del part.bias
        part.register_parameter("bias", bias)
    module.requires_grad_(True)


def is_adapted(module: nn.Module) -> bool:
    """Return True if a layer of the module has an adapter."""
    return any(_has_adapter(part) for part in module.modules())


def learnable(module: nn.Module) -> Learnable:
    """Count the trainable and all parameters of a module."""
    counts = [(p.numel() * p.requires_grad, p.numel()) for p in module.parameters()]
    return Learnable(sum(learn for learn, _ in counts), sum(total for _, total in counts))


def _has_adapter(part: nn.Module) -> bool:
    if not parametrize.is_parametrized(part, "weight"):
        return False
    assert isinstance(part.parametrizations, nn.ModuleDict)
    return any(isinstance(p, LowRank) for p in part.parametrizations["weight"].children())


def _add_adapters(
    module: nn.Module, rank: int, alpha: float, head: Sequence[str], generator: torch.Generator
) -> None:
    if rank < 1 or not alpha > 0:
        raise UsageError(f"adapters of rank {rank} and alpha {alpha:g} change nothing")
    # A list, since registering an adapter adds a module.
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.Linear) and not _within(name, head):
            adapter = LowRank(part.weight, rank, alpha, generator)
            parametrize.register_parametrization(part, "weight", adapter)


def _head(module: nn.Module, head: Sequence[str] | None) -> Sequence[str]:
    names = getattr(module, "head_parameters", ()) if head is None else head
    if not names:
        raise UsageError(
            f"{type(module).__name__} does not declare its head", hint="use --tune full"
        )
    known = [name for name, _ in module.named_parameters()]
    missing = [head for head in names if not any(_within(name, [head]) for name in known)]
    if missing:
        raise UsageError(f"{type(module).__name__} has no {', '.join(missing)}")
    return names


def _within(name: str, prefixes: Sequence[str]) -> bool:
    """Return True if a dotted name equals one of the prefixes, or lies inside one."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
