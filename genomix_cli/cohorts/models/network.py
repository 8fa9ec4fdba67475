"""Base class of cohort networks: shared training; each model builds its own network.

Letters: B batch, M modalities, d features of a modality that are kept, K classes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Floats, Modality, Samples
from genomix_cli.cohorts.models.base import CohortModel, Differentiable, State, under
from genomix_cli.cohorts.models.objectives import class_weights, focal_loss
from genomix_cli.cohorts.models.preprocessing import (
    Encoded,
    Preprocessor,
    Selector,
    fit_preprocessor,
)
from genomix_cli.comparison.clustering import Encoding
from genomix_cli.comparison.splits import folds_of
from genomix_cli.comparison.study import Fitted
from genomix_cli.config import Count, Layers, NotNegative, Share, Whole
from genomix_cli.learning import networks as learning
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.networks import JOINT, Learning, new_module, stored_module, weights
from genomix_cli.learning.task import Epoch

PREDICT_BATCH = 512


@dataclass(frozen=True)
class NetworkConfig(Learning):
    """Training of a network of cohorts; the configuration of each model adds its architecture.

    Attributes
    ----------
    modality_dropout : float
        Probability that a modality of a sample is hidden in training; one always stays.
    value_dropout : float
        Probability that a value is hidden in training.
    focal : float
        Exponent of the focal loss; 0: cross-entropy.
    balanced : bool
        Give every class the same weight, however rare.
    smoothing : float
        Share of a label that is spread over all classes.
    members : int
        Number of networks whose logits are averaged; each uses a different part of the training
        samples for early stopping.
    valid_share : float
        Share of the training samples set aside for early stopping.
    top_k : int
        Number of features selected from each modality that has more; 0 keeps all.
    """

    epochs: Count = 50
    patience: Whole = 10
    modality_dropout: Share = 0.1
    value_dropout: Share = 0.0
    focal: NotNegative = 0.0
    balanced: bool = False
    smoothing: Share = 0.0
    members: Layers = 1
    valid_share: Share = 0.15
    top_k: Whole = 0


class Inputs(NamedTuple):
    """Inputs of a network for a batch of samples.

    Attributes
    ----------
    values : tuple of Tensor
        float32 ``[B, d]`` of each modality; 0 where missing.
    observed : tuple of Tensor
        bool ``[B, d]`` of each modality: True where a value was measured.
    present : Tensor
        bool ``[B, M]``: True if the sample has the modality.
    """

    values: tuple[Tensor, ...]
    observed: tuple[Tensor, ...]
    present: Tensor

    def each(self, change: Callable[[Any], Tensor]) -> Inputs:
        """Return the inputs with `change` applied to every array."""
        values, observed = (tuple(map(change, arrays)) for arrays in self[:2])
        return Inputs(values, observed, change(self.present))

    def take(self, rows: Tensor) -> Inputs:
        """Return some samples."""
        return self.each(lambda tensor: tensor[rows])


class Output(NamedTuple):
    """Output of a network.

    Attributes
    ----------
    logits : Tensor
        ``[B, K]``; in training also ``[B, m, K]`` for members that learn independently.
    attention : Tensor, optional
        ``[B, M, M]``: attention of each modality (row) to each (column), mean over heads; rows sum
        to 1.
    penalty : Tensor, optional
        Scalar to add to the loss, already weighted.
    vector : Tensor, optional
        ``[B, w]``: representation of each sample before the last small network.
    """

    logits: Tensor
    attention: Tensor | None = None
    penalty: Tensor | None = None
    vector: Tensor | None = None


class Batch(NamedTuple):
    """Inputs with labels."""

    inputs: Inputs
    label: Tensor


@dataclass(frozen=True)
class Part:
    """Samples of the training or validation part."""

    inputs: Inputs
    label: Tensor

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: Tensor) -> Part:
        """Return some samples."""
        return Part(self.inputs.take(rows), self.label[rows])

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return some samples as a batch."""
        index = torch.from_numpy(rows.copy())
        return Batch(self.inputs.take(index), self.label[index])


class ClassTask(learning.ClassTask):
    """Labelled samples, with modalities and values hidden in training.

    Parameters
    ----------
    module : nn.Module
        Maps `Inputs` to `Output`.
    config : NetworkConfig
    weight : Tensor or None
        Weight of each class ``[K]``.
    """

    def __init__(self, module: nn.Module, config: NetworkConfig, weight: Tensor | None) -> None:
        super().__init__(module)
        self._config, self._weight = config, weight

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss and its parts."""
        config = self._config
        output = self.module(hide(batch.inputs, config, generator))
        weight = None if self._weight is None else self._weight.to(batch.label.device)
        logits, label = output.logits, batch.label
        if logits.ndim == 3:
            label, logits = label.repeat_interleave(logits.shape[1]), logits.flatten(0, 1)
        loss = focal_loss(logits, label, config.focal, weight, config.smoothing)
        if output.penalty is None:
            return {"loss": loss}
        return {"loss": loss + output.penalty, "classes": loss, "penalty": output.penalty}

    def answers(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits and labels of a batch."""
        return self.module(batch.inputs).logits, batch.label


def hide(inputs: Inputs, config: NetworkConfig, generator: torch.Generator) -> Inputs:
    """Return a batch with some modalities and values as if they had not been measured."""
    present, observed = inputs.present, inputs.observed
    device = present.device
    if config.modality_dropout and present.shape[1] > 1:
        draw = torch.rand(present.shape, generator=generator, device=device)
        # Always keep the present modality with the largest draw.
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


class NetworkModel(CohortModel):
    """A cohort model that is a network; a subclass builds it.

    Attributes
    ----------
    select : Selector, optional
        Function that selects `top_k` features.
    """

    config_class: ClassVar[type] = NetworkConfig
    needs: ClassVar[Mapping[str, str]] = {"lightning": "train"}
    select: ClassVar[Selector | None] = None
    _preprocessor: Preprocessor

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.device = torch.device("cpu")
        self._members: list[nn.Module] = []
        # True if the last allowed epoch was the best one.
        self._improving = False

    @abstractmethod
    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """Build a network from `Inputs` to `Output`; `modalities` hold the selected features.

        Initial weights come from the global generator, which the caller has seeded.
        """

    def learn(
        self, module: nn.Module, train: Part, valid: Part, member: int, setting: FitSettings
    ) -> list[Epoch]:
        """Train a new network in one :meth:`stage`; progressive training overrides this."""
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
        **limits: int,
    ) -> list[Epoch]:
        """Train `module`, restore its best weights by validation, and return the training curve.

        `limits` may override `epochs` and `patience` of the configuration.
        """
        config: NetworkConfig = replace(self.config, **limits)
        seed = setting.seed + 1000 * member
        weight = class_weights(train.label, len(self.classes)) if config.balanced else None
        result = learning.learn(
            ClassTask(module, config, weight),
            train,
            valid,
            config,
            setting,
            predict_batch=PREDICT_BATCH,
            seed=seed,
            folder=None if setting.logs is None else setting.logs / f"{name}-{member}",
        )
        points = learning.curve(result, name, member)
        best = int(np.argmin([point.valid_nll for point in points]))
        self._improving |= name == JOINT and best == config.epochs - 1
        return list(points)

    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        config: NetworkConfig = self.config
        self.device = resolve_device(setting.device)
        self._preprocessor = fit_preprocessor(
            samples, select=self.select, top_k=config.top_k, seed=setting.seed
        )
        whole = Part(
            tensors(self._preprocessor.transform(samples)), torch.from_numpy(samples.label)
        )
        n_folds = max(2, round(1 / max(config.valid_share, 1e-3)), config.members)
        fold = folds_of(samples, n_folds, setting.seed)
        n_folds = int(fold.max()) + 1
        self._members, self._improving, curve = [], False, []
        for member in range(config.members):
            train, valid = (
                whole.take(torch.from_numpy(np.flatnonzero(rows)))
                for rows in (fold != member % n_folds, fold == member % n_folds)
            )
            module = self._build(setting.seed + 1000 * member)
            curve += self.learn(module, train, valid, member, setting)
            self._members.append(module.to(self.device).eval())
        parameters = sum(p.numel() for m in self._members for p in m.parameters())
        return Fitted(parameters, tuple(curve), converged=not self._improving)

    def _build(self, seed: int) -> nn.Module:
        return new_module(self._new, seed)

    def _new(self) -> nn.Module:
        return self.build(self._preprocessor.selected, len(self.classes))

    def log_probability(self, samples: Samples) -> Floats:
        """Return the log-softmax of the logits averaged over members."""
        logits = [output.logits.double().cpu() for output in self._outputs(samples)]
        return torch.log_softmax(torch.cat(logits), dim=-1).numpy()

    def attention(self, samples: Samples) -> NDArray[np.float32] | None:
        """Return attention, mean over heads and members."""
        attentions = [output.attention for output in self._outputs(samples)]
        if any(attention is None for attention in attentions):
            return None
        joined = torch.cat([a.float().cpu() for a in attentions if a is not None]).numpy()
        both = samples.present[:, :, None] & samples.present[:, None, :]
        return np.where(both, joined, np.float32(np.nan))

    def encoded(self, samples: Samples) -> Encoding | None:
        """Return the inputs and the concatenated vectors of all members."""
        vectors = [output.vector for output in self._outputs(samples)]
        if any(vector is None for vector in vectors):
            return None
        inputs = tensors(self._preprocessor.transform(samples))
        joined = torch.cat([vector.float().cpu() for vector in vectors if vector is not None])
        return Encoding(torch.cat(inputs.values, 1).numpy(), joined.numpy())

    def _outputs(self, samples: Samples) -> Iterator[Output]:
        """Return the mean output of all members, batch by batch."""
        inputs = tensors(self._preprocessor.transform(samples))
        with torch.inference_mode():
            for rows in torch.arange(len(samples)).split(PREDICT_BATCH):
                yield self._mean(inputs.take(rows).each(lambda tensor: tensor.to(self.device)))

    def to(self, device: str) -> None:
        """Move the networks to a device."""
        self.device = resolve_device(device)
        for member in self._members:
            member.to(self.device)

    def state(self) -> State:
        """Return the preprocessing and the weights of each member."""
        state = {f"input/{k}": v for k, v in self._preprocessor.state().items()}
        for i, member in enumerate(self._members):
            state |= {f"member{i}/{name}": array for name, array in weights(member).items()}
        return state

    def _restore(self, state: State) -> None:
        self._preprocessor = Preprocessor.restore(self.modalities, under(state, "input/"))
        self._members = []
        for i in range(self.config.members):
            member = stored_module(self._new, under(state, f"member{i}/"))
            self._members.append(member.eval())

    def differentiable(self) -> Differentiable:
        """Return the logits averaged over members as a differentiable function."""

        def logits(values: Any, observed: Any, present: Any) -> Tensor:
            return self._mean(Inputs(tuple(values), tuple(observed), present)).logits

        return Differentiable(self._preprocessor, logits)

    def _mean(self, inputs: Inputs) -> Output:
        """Return the mean output of all members."""
        outputs = [member(inputs) for member in self._members]
        if len(outputs) == 1:
            return outputs[0]
        logits = torch.stack([output.logits for output in outputs]).mean(0)
        attention = [output.attention for output in outputs if output.attention is not None]
        vectors = [output.vector for output in outputs if output.vector is not None]
        return Output(
            logits,
            torch.stack(attention).mean(0) if attention else None,
            # Each member has its own vector space.
            vector=torch.cat(vectors, 1) if vectors else None,
        )


def tensors(encoded: Encoded) -> Inputs:
    """Return encoded samples as tensors that share their memory."""
    return Inputs(*encoded).each(torch.from_numpy)  # type: ignore[arg-type]
