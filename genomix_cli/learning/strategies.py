"""Training on several devices: each holds a copy of the model (DDP) or a shard of it (FSDP).

Lightning's FSDPStrategy works only on GPUs, and its wrapping changes the module permanently. FSDP
therefore uses PyTorch's second implementation, `torch.distributed.fsdp.fully_shard` (Zhao et al.
2023, arXiv:2304.11277), through Lightning's ModelParallelStrategy. The same code then runs on GPUs
(NCCL) and across processes on a CPU (gloo).
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn

from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import STRATEGIES, FitConfig

# Values of Trainer(precision=...); fp16 under FSDP would need gradient scaling across processes.
SHARDED_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")


def check_strategy(
    config: FitConfig, module: nn.Module, device: torch.device, precision: str
) -> None:
    """Refuse a strategy that cannot work, before processes start.

    Raises
    ------
    UsageError
        If the strategy is unknown, or does not suit the model, the devices or the precision.
    """
    if config.strategy not in STRATEGIES:
        expected = " or ".join(STRATEGIES)
        raise UsageError(f"no {config.strategy!r}", where="--strategy", expected=expected)
    if device.type == "cuda" and config.devices > torch.cuda.device_count():
        raise UsageError(
            "more devices than there are",
            where="--devices",
            expected=f"at most {torch.cuda.device_count()}",
            found=str(config.devices),
        )
    if device.type not in ("cpu", "cuda") and config.devices > 1:
        raise UsageError(f"{device.type} devices cannot share a model", where="--devices")
    if config.strategy == "fsdp":
        _check_sharding(config, module, precision)


def _check_sharding(config: FitConfig, module: nn.Module, precision: str) -> None:
    if config.devices < 2:
        raise UsageError(
            "fsdp needs several devices",
            where="--strategy",
            hint="give --devices 2 or more, or leave --strategy at auto",
        )
    if not layers_of(module):
        raise UsageError(
            f"{type(module).__name__} has no layers that fsdp could share",
            where="--strategy",
            hint="use ddp",
        )
    if precision not in SHARDED_PRECISIONS:
        raise UsageError(
            "cannot be combined with fsdp",
            where="--precision",
            expected=" or ".join(SHARDED_PRECISIONS),
            found=precision,
        )


def strategy_of(config: FitConfig, module: nn.Module) -> Any:
    """Return the strategy for `lightning.pytorch.Trainer`.

    DDP searches the graph of every step for unused parameters, which costs time. A module with a
    true attribute ``uses_all_parameters`` skips the search.
    """
    if config.devices == 1:
        return "auto"
    if config.strategy == "fsdp":
        return ModelParallelStrategy(
            data_parallel_size=config.devices,
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
        )
    every = getattr(module, "uses_all_parameters", False)
    return "ddp" if every else "ddp_find_unused_parameters_true"


def layers_of(module: nn.Module) -> list[nn.Module]:
    """Return the layers that FSDP gathers one at a time: those of types in ``shard_layers``."""
    kinds = getattr(module, "shard_layers", ())
    return [part for part in module.modules() if isinstance(part, kinds)]


def shard(module: nn.Module, mesh: Any) -> None:
    """Shard each parameter across the devices of `mesh`, in place.

    The parameters of a layer are gathered while its ``forward`` runs, and those outside all layers
    while ``forward`` of the whole module runs. Other methods of a layer that compute must be listed
    in its ``forward_methods``.
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    _lengthen_scalars(module)
    for layer in layers_of(module):
        fully_shard(layer, mesh=mesh)
        for name in getattr(layer, "forward_methods", ()):
            register_fsdp_forward_method(layer, name)
    fully_shard(module, mesh=mesh)


def _lengthen_scalars(module: nn.Module) -> None:
    """Give scalar parameters an axis of length 1, since sharding needs one.

    `nn.Module.load_state_dict` accepts such a parameter in place of a scalar.
    """
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            if value.ndim == 0:
                long = nn.Parameter(value.detach().reshape(1), requires_grad=value.requires_grad)
                setattr(part, name, long)
