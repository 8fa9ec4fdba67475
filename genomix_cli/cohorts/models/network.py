"""Networks of cohorts: what they share is how they learn; each says what it computes.

Letters: B batch, M modalities, d features of a modality that are kept, K classes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Floats, Modality, Samples
from genomix_cli.cohorts.models.base import CohortModel, Differentiable, State
from genomix_cli.cohorts.models.objectives import class_weights, focal_loss
from genomix_cli.cohorts.models.preprocessing import (
    Encoded,
    Preprocessor,
    Selector,
    fit_preprocessor,
)
from genomix_cli.cohorts.train.splits import folds_of
from genomix_cli.comparison.study import Epoch, Fitted
from genomix_cli.config import Count, NotNegative, Positive, Share
from genomix_cli.learning.checkpoints import resolve_device
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.loop import fit
from genomix_cli.learning.processes import rank_and_world_size
from genomix_cli.learning.task import FitConfig

PREDICT_BATCH = 512
# The stage in which the whole network learns.
JOINT = "joint"


@dataclass(frozen=True)
class Learning:
    """How a network learns; the configuration of each model adds what it is.

    Attributes
    ----------
    learning_rate, weight_decay : float
        Of AdamW; the rate is the peak of a warm-up and a cosine.
    batch_size : int
    epochs : int
        At most.
    patience : int
        Epochs without a better validation likelihood before it stops; 0: none are too many.
    clip : float
        Norm to clip gradients to.
    modality_dropout : float
        How often a modality that a sample has is hidden in training; one always stays.
    value_dropout : float
        How often a value is.
    focal : float
        Exponent of the focal loss; 0: cross-entropy.
    balanced : bool
        Every class counts the same, however rare.
    smoothing : float
        Share of a label that is spread over all classes.
    members : int
        Networks whose logits are averaged, each with another part of the training samples to stop
        by.
    valid_share : float
        Share of the training samples to stop by; never learned from by that member.
    top_k : int
        Features kept of each modality that has more; 0: all.
    """

    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.01
    batch_size: Count = 128
    epochs: Count = 50
    patience: int = 10
    clip: Positive = 1.0
    modality_dropout: Share = 0.1
    value_dropout: Share = 0.0
    focal: NotNegative = 0.0
    balanced: bool = False
    smoothing: Share = 0.0
    members: Count = 1
    valid_share: Share = 0.15
    top_k: int = 0


class Inputs(NamedTuple):
    """A batch.

    Attributes
    ----------
    values : tuple of Tensor
        float32 ``[B, d]`` of each modality; 0 where missing.
    observed : tuple of Tensor
        bool ``[B, d]``; false in all of a modality that a sample lacks.
    present : Tensor
        bool ``[B, M]``.
    """

    values: tuple[Tensor, ...]
    observed: tuple[Tensor, ...]
    present: Tensor

    def take(self, rows: Tensor) -> Inputs:
        """Some samples."""
        return Inputs(
            tuple(v[rows] for v in self.values),
            tuple(o[rows] for o in self.observed),
            self.present[rows],
        )


class Output(NamedTuple):
    """What a network gives.

    Attributes
    ----------
    logits : Tensor
        ``[B, K]``.
    attention : Tensor, optional
        ``[B, M, M]``, mean over heads: of each modality (row) to each; rows sum to 1.
    penalty : Tensor, optional
        Scalar added to the loss, weighted already.
    """

    logits: Tensor
    attention: Tensor | None = None
    penalty: Tensor | None = None


class Batch(NamedTuple):
    """Inputs with the answer."""

    inputs: Inputs
    label: Tensor


class Predictions(NamedTuple):
    """Of a validation batch, on the CPU."""

    logits: Tensor
    label: Tensor


class Batches:
    """Samples in batches of nearly equal size, in an order of the epoch's own.

    Where several processes share the work, each takes its part of every batch.
    """

    def __init__(
        self, inputs: Inputs, label: Tensor, size: int, order: NDArray[np.int64], shared: bool
    ) -> None:
        self._inputs, self._label = inputs, label
        parts = np.array_split(order, max(1, -(-len(order) // size)))
        rank, world = rank_and_world_size() if shared else (0, 1)
        self._parts = [torch.from_numpy(part[rank::world].copy()) for part in parts]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self._parts:
            yield Batch(self._inputs.take(rows), self._label[rows])


class ClassTask:
    """Labelled samples as a `genomix_cli.learning.task.Task`.

    Parameters
    ----------
    module : nn.Module
        Takes `Inputs`, gives `Output`.
    config : Learning
    weight : Tensor or None
        ``[K]``.
    seed : int
        Of what is hidden.
    """

    def __init__(
        self, module: nn.Module, config: Learning, weight: Tensor | None, seed: int
    ) -> None:
        self.module = module
        self._config = config
        self._weight = weight
        self._seed = seed
        self._generator: torch.Generator | None = None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss and its parts."""
        device = batch.label.device
        if self._generator is None:
            self._generator = torch.Generator(device).manual_seed(self._seed)
        output = self.module(hide(batch.inputs, self._config, self._generator))
        weight = None if self._weight is None else self._weight.to(device)
        config = self._config
        loss = focal_loss(output.logits, batch.label, config.focal, weight, config.smoothing)
        if output.penalty is None:
            return {"loss": loss}
        return {"loss": loss + output.penalty, "classes": loss, "penalty": output.penalty}

    def predict(self, batch: Batch) -> Predictions:
        """Logits, on the CPU."""
        return Predictions(self.module(batch.inputs).logits.float().cpu(), batch.label.cpu())

    def metrics(self, predictions: list[Predictions]) -> dict[str, float]:
        """Mean log-likelihood and accuracy over all validation batches."""
        logits = torch.cat([p.logits for p in predictions])
        label = torch.cat([p.label for p in predictions])
        log_p = torch.log_softmax(logits, -1).gather(1, label[:, None])
        accuracy = (logits.argmax(-1) == label).float().mean()
        return {"log_likelihood": float(log_p.mean()), "accuracy": float(accuracy)}


def hide(inputs: Inputs, config: Learning, generator: torch.Generator) -> Inputs:
    """Some modalities and values as if they had not been measured."""
    present, observed = inputs.present, inputs.observed
    device = present.device
    if config.modality_dropout and present.shape[1] > 1:
        draw = torch.rand(present.shape, generator=generator, device=device)
        # Of the modalities that are there, the one with the largest draw stays in any case.
        most = torch.where(present, draw, -1.0).argmax(1, keepdim=True)
        stays = torch.zeros_like(present).scatter_(1, most, True)
        present = present & ((draw >= config.modality_dropout) | stays)
        observed = tuple(o & present[:, i, None] for i, o in enumerate(observed))
    if config.value_dropout:
        observed = tuple(
            o & (torch.rand(o.shape, generator=generator, device=device) >= config.value_dropout)
            for o in observed
        )
    values = tuple(v * o for v, o in zip(inputs.values, observed, strict=True))
    return Inputs(values, observed, present)


class Part(NamedTuple):
    """Samples to learn from, or to stop by."""

    inputs: Inputs
    label: Tensor


class NetworkModel(CohortModel):
    """A cohort model that is a network; a subclass says which.

    Attributes
    ----------
    select : Selector, optional
        How `top_k` features are chosen.
    """

    config_class: ClassVar[type] = Learning
    needs: ClassVar[Mapping[str, str]] = {"lightning": "train"}
    select: ClassVar[Selector | None] = None

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.device = torch.device("cpu")
        self._preprocessor: Preprocessor | None = None
        self._members: list[nn.Module] = []
        # Whether the last epoch that was allowed was the best one.
        self._improving = False

    @abstractmethod
    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """The network, from `Inputs` to `Output`; `modalities` have the features that are kept.

        Initial weights come from the global generator, which the caller has seeded.
        """

    def learn(
        self, module: nn.Module, train: Part, valid: Part, member: int, setting: FitSettings
    ) -> list[Epoch]:
        """Train a new network; progressive training does more than one :meth:`stage`."""
        return self.stage(module, train, valid, member, setting)

    def stage(
        self,
        module: nn.Module,
        train: Part,
        valid: Part,
        member: int,
        setting: FitSettings,
        *,
        name: str = JOINT,
        epochs: int = 0,
        patience: int | None = None,
    ) -> list[Epoch]:
        """Train `module`, leave in it the weights that validated best, and give its curve."""
        config: Learning = self.config
        seed = setting.seed + 1000 * member
        weight = class_weights(train.label, len(self.classes)) if config.balanced else None
        task = ClassTask(module, config, weight, seed)
        fit_config = FitConfig(
            epochs=epochs or config.epochs,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            clip=config.clip,
            precision=setting.precision,
            patience=config.patience if patience is None else patience,
            monitor="log_likelihood",
            checkpoint_every=0,
            devices=setting.devices,
            quiet=True,
        )

        def loader(epoch: int) -> Batches:
            order = np.random.default_rng([seed, epoch]).permutation(len(train.label))
            return Batches(*train, config.batch_size, order, shared=True)

        every = np.arange(len(valid.label))
        valid_loader = Batches(*valid, PREDICT_BATCH, every, shared=False)
        with TemporaryDirectory(prefix="genomix-") as scratch:
            folder = Path(scratch) if setting.logs is None else setting.logs / f"{name}-{member}"
            result = fit(
                task, loader, valid_loader, fit_config, folder, resolve_device(setting.device), seed
            )
        module.to(setting.device).eval()
        nll = [-point["log_likelihood"] for point in result.history]
        if name == JOINT and int(np.argmin(nll)) == fit_config.epochs - 1:
            self._improving = True
        return [
            Epoch(
                stage=name,
                member=member,
                epoch=i + 1,
                train_loss=point["train_loss"],
                valid_nll=-point["log_likelihood"],
                valid_accuracy=point["accuracy"],
            )
            for i, point in enumerate(result.history)
        ]

    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        config: Learning = self.config
        self.device = resolve_device(setting.device)
        self._preprocessor = fit_preprocessor(
            samples, select=self.select, top_k=config.top_k, seed=setting.seed
        )
        whole = Part(
            tensors(self._preprocessor.transform(samples)), torch.from_numpy(samples.label)
        )
        n_folds = max(2, round(1 / max(config.valid_share, 1e-3)), config.members)
        fold = folds_of(samples, n_folds, setting.seed)
        self._members, self._improving, curve = [], False, []
        for member in range(config.members):
            train, valid = (_part(whole, rows) for rows in (fold != member, fold == member))
            module = self._build(setting.seed + 1000 * member)
            curve += self.learn(module, train, valid, member, setting)
            self._members.append(module.to(self.device).eval())
        parameters = sum(p.numel() for m in self._members for p in m.parameters())
        return Fitted(parameters, tuple(curve), converged=not self._improving)

    def _build(self, seed: int) -> nn.Module:
        assert self._preprocessor is not None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.build(self._preprocessor.kept, len(self.classes))

    def log_probability(self, samples: Samples) -> Floats:
        """Of the mean logit of all members."""
        logits = [output.logits.double().cpu() for output in self._outputs(samples)]
        return torch.log_softmax(torch.cat(logits), dim=-1).numpy()

    def attention(self, samples: Samples) -> NDArray[np.float32] | None:
        """Mean over heads and members."""
        found = [output.attention for output in self._outputs(samples)]
        if any(attention is None for attention in found):
            return None
        joined = torch.cat([a.float().cpu() for a in found if a is not None]).numpy()
        both = samples.present[:, :, None] & samples.present[:, None, :]
        return np.where(both, joined, np.float32(np.nan))

    def _outputs(self, samples: Samples) -> Iterator[Output]:
        """Mean output of all members, batch by batch."""
        assert self._preprocessor is not None
        inputs = tensors(self._preprocessor.transform(samples))
        with torch.inference_mode():
            for rows in torch.arange(len(samples)).split(PREDICT_BATCH):
                batch = _to(inputs.take(rows), self.device)
                yield _mean([member(batch) for member in self._members])

    def to(self, device: str) -> None:
        """Move the networks."""
        self.device = resolve_device(device)
        for member in self._members:
            member.to(self.device)

    def state(self) -> State:
        """Preprocessing, and the weights of each member."""
        assert self._preprocessor is not None
        state = {f"input/{k}": v for k, v in self._preprocessor.state().items()}
        for i, member in enumerate(self._members):
            for name, tensor in member.state_dict().items():
                state[f"member{i}/{name}"] = tensor.detach().cpu().contiguous().numpy()
        return state

    def _restore(self, state: State) -> None:
        learned = {k.removeprefix("input/"): v for k, v in state.items() if k.startswith("input/")}
        self._preprocessor = Preprocessor.restore(self.modalities, learned)
        self._members = []
        for i in range(self.config.members):
            start = f"member{i}/"
            weights = {
                name.removeprefix(start): torch.from_numpy(np.array(array))
                for name, array in state.items()
                if name.startswith(start)
            }
            member = self._build(0)
            member.load_state_dict(weights)
            self._members.append(member.eval())

    def differentiable(self) -> DifferentiableNetwork:
        """The mean logit of all members."""
        assert self._preprocessor is not None
        return DifferentiableNetwork(self._preprocessor, self._members)


class DifferentiableNetwork(Differentiable):
    """See `NetworkModel.differentiable`."""

    def __init__(self, preprocessor: Preprocessor, members: Sequence[nn.Module]) -> None:
        super().__init__(preprocessor)
        self._members = members

    def logits(self, values: Any, observed: Any, present: Any) -> Tensor:
        """Mean logits ``[B, K]``."""
        inputs = Inputs(tuple(values), tuple(observed), present)
        return _mean([member(inputs) for member in self._members]).logits


def tensors(encoded: Encoded) -> Inputs:
    """Encoded samples as tensors that share their memory."""
    return Inputs(
        tuple(map(torch.from_numpy, encoded.values)),
        tuple(map(torch.from_numpy, encoded.observed)),
        torch.from_numpy(encoded.present),
    )


def _part(whole: Part, rows: NDArray[np.bool_]) -> Part:
    index = torch.from_numpy(np.flatnonzero(rows))
    return Part(whole.inputs.take(index), whole.label[index])


def _to(inputs: Inputs, device: torch.device) -> Inputs:
    return Inputs(
        tuple(v.to(device) for v in inputs.values),
        tuple(o.to(device) for o in inputs.observed),
        inputs.present.to(device),
    )


def _mean(outputs: Sequence[Output]) -> Output:
    if len(outputs) == 1:
        return outputs[0]
    logits = torch.stack([output.logits for output in outputs]).mean(0)
    attention = [output.attention for output in outputs if output.attention is not None]
    return Output(logits, torch.stack(attention).mean(0) if attention else None)
