"""Training helpers shared by all domains: batches, a call of the fit loop, weights as arrays.

Letters: B batch, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from genomix_cli.config import Count, NotNegative, Positive
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.fit_settings import FitConfig, FitSettings
from genomix_cli.learning.loop import fit
from genomix_cli.learning.processes import rank_and_world_size
from genomix_cli.learning.task import Epoch, FitResult, Task

M = TypeVar("M", bound=nn.Module)

# Name of the stage in which the whole network is trained.
JOINT = "joint"
MONITOR = "log_likelihood"


@dataclass(frozen=True)
class Learning:
    """Training settings; the configuration of each model adds its architecture.

    Attributes
    ----------
    learning_rate, weight_decay : float
        Settings of AdamW; the rate is the peak between warm-up and cosine decay.
    batch_size : int
    epochs : int
        Maximum number of epochs.
    patience : int
        Validations without improvement before training stops; 0 means never stop early.
    clip : float
        Maximum norm of the gradients.
    """

    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.01
    batch_size: Count = 128
    epochs: Count = 10
    patience: int = 0
    clip: Positive = 1.0


class Examples(Protocol):
    """Examples for training or validation."""

    def __len__(self) -> int:
        """Number of examples."""

    def batch(self, rows: NDArray[np.int64]) -> Any:
        """Return the examples at the indices `rows` as a batch for the task."""


class Batches:
    """Examples in batches of nearly equal size, in a given order.

    If `shared`, each process takes its share of every batch.
    """

    def __init__(
        self, examples: Examples, size: int, order: NDArray[np.int64], *, shared: bool
    ) -> None:
        self._examples = examples
        rank, world_size = rank_and_world_size() if shared else (0, 1)
        # Nearly equal sizes, since batch norm fails on a last batch of one example.
        whole = np.array_split(order, max(1, -(-len(order) // size)))
        self._rows = [rows[rank::world_size] for rows in whole]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return map(self._examples.batch, self._rows)


class Predictions(NamedTuple):
    """Logits ``[B, K]`` and labels ``[B]`` of a validation batch, on the CPU."""

    logits: Tensor
    label: Tensor


class ClassTask(ABC):
    """Classification as a `genomix_cli.learning.task.Task`; subclasses unpack their batches.

    Parameters
    ----------
    module : nn.Module
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    @abstractmethod
    def losses(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss under ``"loss"``, and its parts."""

    @abstractmethod
    def answers(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the logits ``[B, K]`` and the labels ``[B]`` of a batch."""

    def predict(self, batch: Any) -> Predictions:
        """Return the logits and labels of a batch, on the CPU."""
        logits, label = self.answers(batch)
        return Predictions(logits.float().cpu(), label.cpu())

    def metrics(self, predictions: list[Predictions]) -> dict[str, float]:
        """Return mean log-likelihood and accuracy over all validation batches."""
        logits = torch.cat([p.logits for p in predictions])
        label = torch.cat([p.label for p in predictions])
        log_p = torch.log_softmax(logits, -1).gather(1, label[:, None])
        accuracy = (logits.argmax(-1) == label).float().mean()
        return {"log_likelihood": float(log_p.mean()), "accuracy": float(accuracy)}


def learn(
    task: Task,
    train: Examples | Callable[[int], Any],
    valid: Examples,
    config: Learning,
    setting: FitSettings,
    *,
    predict_batch: int,
    seed: int | None = None,
    folder: Path | None = None,
    resume: Path | None = None,
    **options: Any,
) -> FitResult:
    """Train `task.module` and leave it in evaluation mode, with the best validated weights.

    Parameters
    ----------
    task : Task
    train : Examples or callable
        Examples, which are shuffled each epoch; or a function from the epoch to its batches.
    valid : Examples
    config : Learning
    setting : FitSettings
    predict_batch : int
        Size of validation batches.
    seed : int, optional
        Seed of the random numbers of each step and of the order of examples; default:
        `setting.seed`.
    folder : Path, optional
        Folder for checkpoints and logs; by default, none are kept.
    resume : Path, optional
        Checkpoint to resume from.
    **options
        Further fields of `FitConfig`.

    Returns
    -------
    FitResult
    """
    seed = setting.seed if seed is None else seed
    fit_config = FitConfig(
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        clip=config.clip,
        precision=setting.precision,
        patience=config.patience,
        devices=setting.devices,
        **{"monitor": MONITOR, "checkpoint_every": 0, "quiet": True, **options},
    )

    def loader(epoch: int) -> Any:
        if callable(train):
            return train(epoch)
        # Depends only on seed and epoch, so a resumed run sees the same order.
        order = np.random.default_rng([seed, epoch]).permutation(len(train))
        return Batches(train, config.batch_size, order, shared=True)

    device = resolve_device(setting.device)
    valid_loader = Batches(valid, predict_batch, np.arange(len(valid)), shared=False)
    with TemporaryDirectory(prefix="genomix-") as scratch:
        own = folder or Path(scratch)
        arguments = (task, loader, valid_loader, fit_config, own, device, seed, resume)
        result = fit(*arguments, resumable=folder is not None)
    task.module.to(device).eval()
    return result


def curve(result: FitResult, stage: str = JOINT, member: int = 0) -> tuple[Epoch, ...]:
    """Return the training curve of a fit whose task reports ``log_likelihood`` and ``accuracy``."""
    return tuple(
        Epoch(stage, member, i + 1, p["train_loss"], -p["log_likelihood"], p["accuracy"])
        for i, p in enumerate(result.history)
    )


def new_module(build: Callable[[], M], seed: int) -> M:
    """Build a network whose initial weights depend only on the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def weights(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return the weights of a network as arrays, as run folders store them."""
    return {k: v.detach().cpu().contiguous().numpy() for k, v in module.state_dict().items()}


def stored_module(build: Callable[[], M], arrays: Mapping[str, NDArray[Any]]) -> M:
    """Build a network and load its stored weights.

    Raises
    ------
    ValueError
        If the network needs more weights than are stored. The check runs during construction,
        because a damaged size could otherwise exhaust memory or run for hours.
    RuntimeError
        If the weights do not fit the network.
    """
    # Parameters left to register, and their values; with slack for parts registered repeatedly.
    left = [4 * len(arrays) + 1000, 4 * sum(a.size for a in arrays.values()) + 2**20]

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        left[0] -= 1
        left[1] -= 0 if parameter is None else parameter.numel()
        if min(left) < 0:
            raise ValueError("it asks for more weights than are stored")

    hook = register_module_parameter_registration_hook(count)
    try:
        module = new_module(build, 0)
    finally:
        hook.remove()
    set_weights(module, arrays)
    return module


def set_weights(module: nn.Module, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Load weights from copies of arrays, which may be read-only memory maps."""
    module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()})
