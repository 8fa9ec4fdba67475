"""Training shared by several processes, a script for tests/unit/learning/test_strategies.py.

    python shared_training.py FOLDER small|deep

Each process writes the results of every run to FOLDER, as ``<run>-<rank>.pt``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.errors import UsageError
from genomix_cli.learning.adapters import adapt
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.learning.loop import fit
from genomix_cli.learning.processes import rank_and_world_size, share
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.records.inputs import MAX_ALLELE

WIDTH = 6
ONCE = FitConfig(
    epochs=1, learning_rate=1e-2, patience=0, checkpoint_every=0, quiet=True, warmup=0.0
)
DEEP = GMTConfig(
    tracks=("ATAC",),
    n_bins=400,
    d_model=8,
    n_layers=24,
    n_heads=2,
    d_sequence=8,
    d_local=8,
    radius=8,
    modality_dropout=0.0,
)


class Step(nn.Module):
    """A layer with another method that is called besides ``forward``."""

    forward_methods = ("double",)

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(self.linear(x))

    def double(self, x: Tensor) -> Tensor:
        return self(2 * x)


class Steps(nn.Module):
    """Two layers and a scalar parameter."""

    shard_layers = (Step,)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Step(), Step()])
        self.out = nn.Linear(WIDTH, 1)
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.layers
        assert isinstance(second, Step)
        return self.out(second.double(first(x))).squeeze(-1) * self.scale


class Batches:
    """Loader of made-up batches, by number."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[Tensor]]:
        for number in self.numbers:
            rng = torch.Generator().manual_seed(number)
            x = torch.randn(4, WIDTH, generator=rng)
            yield [torch.tensor(number), x, x[:, 0] - x[:, 1]]


class StepsTask:
    """The task of predicting the first coordinate minus the second."""

    shares_validation = True

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.module: nn.Module = Steps()
        self.validated: list[list[int]] = []

    def losses(self, batch: list[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        _, x, y = batch
        return {"loss": F.mse_loss(self.module(x).float(), y.float())}

    def predict(self, batch: list[Tensor]) -> tuple[int, float]:
        return int(batch[0]), -float(self.losses(batch, torch.Generator())["loss"])

    def metrics(self, predictions: list[tuple[int, float]]) -> dict[str, float]:
        predictions = sorted(predictions)
        self.validated.append([number for number, _ in predictions])
        return {"auroc": sum(score for _, score in predictions) / len(predictions)}


def deep_batch(number: int, model: GMT) -> tuple[Window, Variants, Tensor]:
    """Return a window with three variants, and their labels."""
    rng = torch.Generator().manual_seed(number)
    bins, tracks, groups = model.n_bins, len(model.config.tracks), 3
    width = 2 * model.flank + MAX_ALLELE

    def codes(*shape: int) -> Tensor:
        return torch.randint(0, 4, shape, generator=rng, dtype=torch.uint8)

    window = Window(
        codes(1, bins * 50 + 16),
        torch.randn(1, tracks, bins, generator=rng),
        torch.ones(1, tracks, bins),
        torch.randn(1, bins // 100, bins // 100, generator=rng),
    )
    variants = Variants(
        torch.randint(0, bins * 50, (1, groups), generator=rng),
        codes(1, groups, width),
        codes(1, groups, width),
        torch.randint(1, 5, (1, groups), generator=rng),
        torch.randint(1, 5, (1, groups), generator=rng),
    )
    return window, variants, torch.tensor([[0.0, 1.0, 1.0]])


class DeepBatches(Batches):
    """Loader of windows with variants."""

    def __init__(self, numbers: Sequence[int], model: GMT) -> None:
        super().__init__(numbers)
        self.model = model

    def __iter__(self) -> Iterator[Any]:
        for number in self.numbers:
            yield [torch.tensor(number), *deep_batch(number, self.model)]


class DeepTask(StepsTask):
    """The task of training a narrow GMT of 24 layers with checkpointing."""

    def __init__(self, mode: Any = "full") -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.module = GMT(DEEP)
        self.module.gradient_checkpointing = True
        adapt(self.module, mode, rank=2)

    def losses(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        _, window, variants, label = batch
        logits = self.module(window, variants).float()
        return {"loss": F.binary_cross_entropy_with_logits(logits, label.float())}


def train(
    task: StepsTask,
    folder: Path,
    config: FitConfig,
    *,
    numbers: int = 8,
    valid: int = 3,
    resume: Path | None = None,
) -> dict[str, Any]:
    """Train in all processes together, and return the results."""

    def loader(numbers: Sequence[int], *, pad: bool) -> Batches:
        mine = share(numbers, *rank_and_world_size(), pad=pad)
        return DeepBatches(mine, task.module) if isinstance(task.module, GMT) else Batches(mine)

    result = fit(
        task,
        lambda epoch: loader(range(100 * epoch, 100 * epoch + numbers), pad=True),
        lambda: loader(range(10_000, 10_000 + valid), pad=False),
        config,
        folder,
        torch.device("cpu"),
        0,
        resume,
    )
    return {
        "weights": {k: v.clone() for k, v in task.module.state_dict().items()},
        "best": result.best,
        "history": result.history,
        "validated": task.validated,
        "kind": type(task.module).__name__,
    }


def train_deep(folder: Path, two: FitConfig, keep: Callable[[str, Any], None]) -> None:
    """Train with both strategies in every precision, and with adaptors."""
    sized = {"numbers": 2, "valid": 2}
    for strategy in ("ddp", "fsdp"):
        deep = replace(two, strategy=strategy, learning_rate=1e-3)
        for precision in ("32-true", "bf16-mixed", "bf16-true"):
            name = f"deep-{strategy}-{precision}"
            config = replace(deep, precision=precision)
            keep(name, train(DeepTask(), folder / name, config, **sized))
    keep("deep-lora", train(DeepTask("lora"), folder / "deep-lora", deep, **sized))


def main(folder: Path, size: str) -> None:
    """Run all trainings that two processes share."""
    torch.set_num_threads(1)
    two = replace(ONCE, devices=2)

    def keep(name: str, outcome: Any) -> None:
        torch.save(outcome, folder / f"{name}-{os.environ.get('LOCAL_RANK', '0')}.pt")

    if size == "deep":
        train_deep(folder, two, keep)
        return
    for strategy in ("ddp", "fsdp"):
        keep(strategy, train(StepsTask(), folder / strategy, replace(two, strategy=strategy)))
    longer = replace(two, strategy="fsdp", epochs=3, checkpoint_every=1)
    keep("straight", train(StepsTask(), folder / "straight", longer))
    checkpoint = folder / "straight" / "checkpoints" / "epoch=0.ckpt"
    keep("resumed", train(StepsTask(), folder / "resumed", longer, resume=checkpoint))
    try:
        train(StepsTask(), folder / "few", two, valid=1)
    except UsageError as error:
        keep("few", str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
