"""Base of the networks that classify sequences: the training that all of them share.

Letters: n sequences, B batch, L bases, d width, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.comparison.study import Fitted, Floats
from genomix_cli.config import Share
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.genome.iupac import HIDDEN
from genomix_cli.learning import networks
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.motifs import start_from
from genomix_cli.learning.networks import curve, new_module, stored_module, weights
from genomix_cli.learning.task import Epoch
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier, State
from genomix_cli.sequences.train import learning
from genomix_cli.sequences.train.learning import PREDICT_BATCH, Batch, Learning, Part

# Relative gain in likelihood in the last epoch above which training was too short.
IMPROVING = 0.01


@dataclass(frozen=True)
class NetworkConfig(Learning):
    """Training options of a sequence network; each model's configuration adds its architecture.

    Attributes
    ----------
    smoothing : float
        Label smoothing: probability that is spread over all classes.
    hide : float
        Fraction of the bases of a training sequence that are hidden.
    reverse_complement : bool
        True to train on random strands and average the predictions of both; aligned sequences have
        only one.
    """

    smoothing: Share = 0.0
    hide: Share = 0.0
    reverse_complement: bool = True


class Network(nn.Module, ABC):
    """A network from bases to an embedding and to logits.

    Attributes
    ----------
    head : nn.Module
        Maps the embedding ``[B, d]`` to logits ``[B, K]``.
    """

    head: nn.Module

    @property
    def filters(self) -> nn.Sequential | None:
        """The first layer, if it has filters over bases followed by a batch norm; else None."""
        return None

    @abstractmethod
    def embed(self, codes: Tensor) -> Tensor:
        """Return the embedding ``[B, d]`` of sets of bases uint8 ``[B, L]``."""

    @abstractmethod
    def embed_soft(self, p: Tensor) -> Tensor:
        """Return the same from probabilities of A, C, G and T ``[B, L, 4]``, with a gradient."""

    def forward(self, codes: Tensor) -> Tensor:
        """Return the logits ``[B, K]`` of sets of bases ``[B, L]``."""
        return self.head(self.embed(codes))

    def soft(self, p: Tensor) -> Tensor:
        """Return the logits ``[B, K]`` from probabilities of bases ``[B, L, 4]``."""
        return self.head(self.embed_soft(p))


def on_both(function: Callable[[Tensor], Tensor], codes: Tensor, both: bool) -> Tensor:
    """Apply a function to sets of bases; if `both`, return its mean over both strands."""
    if not both:
        return function(codes)
    return (function(codes) + function(learning.opposite(codes))) / 2


class ClassTask(networks.ClassTask):
    """The task of classifying sequences, with random strands and hidden bases in training.

    Parameters
    ----------
    module : Network
    config : NetworkConfig
    known : Tensor, optional
        float32 ``[n, K]``: logits of the training sequences to which the network adds its own.
    """

    def __init__(self, module: Network, config: NetworkConfig, known: Tensor | None = None) -> None:
        super().__init__(module)
        self._config = config
        self._known = known

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the cross-entropy."""
        logits = self.module(varied(batch.codes, self._config, generator))
        if self._known is not None:
            logits = logits + self._known[batch.rows.cpu()].to(logits)
        loss = F.cross_entropy(logits, batch.target, label_smoothing=self._config.smoothing)
        return {"loss": loss}

    def answers(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits of unaltered sequences, and their labels."""
        logits = on_both(self.module, batch.codes, self._config.reverse_complement)
        return logits, batch.target


def varied(codes: Tensor, config: NetworkConfig, generator: torch.Generator) -> Tensor:
    """Return sets of bases ``[B, L]`` augmented for training: random strands, hidden bases."""
    if config.reverse_complement:
        codes = learning.turned(codes, generator)
    if config.hide:
        draw = torch.rand(codes.shape, generator=generator, device=codes.device)
        codes = codes.masked_fill(draw < config.hide, HIDDEN)
    return codes


class NetworkClassifier(SequenceClassifier):
    """A classifier with a network that a subclass builds."""

    config_class: ClassVar[type] = NetworkConfig
    needs: ClassVar[Mapping[str, str]] = {"lightning": "train"}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.device = torch.device("cpu")
        self.module: Network

    @abstractmethod
    def build(self, length: int, n_classes: int) -> Network:
        """Build the network; initial weights come from the global generator, seeded beforehand."""

    def prepare(self, train: Labelled, seed: int) -> NDArray[np.float32] | None:
        """Set the parts of a new network that are not learned by gradient descent.

        Returns
        -------
        NDArray or None
            float32 ``[n, K]``: logits of the training sequences to which the network adds its own.
        """
        return None

    def _fit(self, train: Labelled, valid: Labelled, setting: FitSettings) -> Fitted:
        if train.sequences.aligned:
            self.config = replace(self.config, reverse_complement=False)
        config: NetworkConfig = self.config
        self.device = resolve_device(setting.device)
        self.module = self._built(setting.seed)
        if self.motifs and self.module.filters is not None:
            start_from(self.module.filters, self.motifs)
        known = self.prepare(train, setting.seed)
        result = learning.learn(
            ClassTask(self.module, config, None if known is None else torch.from_numpy(known)),
            Part(train.sequences.codes, train.label),
            Part(valid.sequences.codes, valid.label),
            config,
            setting,
            resume=setting.logs and RunFolder(setting.logs).checkpoint(resume=True),
            quiet=setting.logs is None,
        )
        self.module.to(self.device).eval()
        points = curve(result)
        learned = sum(p.numel() for p in self.module.parameters() if p.requires_grad)
        return Fitted(learned, points, converged=not _still_improving(points, config.epochs))

    def has_filters(self, length: int) -> bool:
        """See the base class."""
        with torch.device("meta"):
            return self.build(length, 2).filters is not None

    def _built(self, seed: int) -> Network:
        return new_module(self._new, seed)

    def _new(self) -> Network:
        return self.build(self.length, len(self.classes))

    def log_probability(self, codes: NDArray[np.uint8]) -> Floats:
        """Return the log-softmax of the logits, computed in batches."""
        logits = [part.double().cpu() for part in self._run(self.module, codes)]
        if not logits:
            return np.empty((0, len(self.classes)))
        return torch.log_softmax(torch.cat(logits), dim=-1).numpy()

    def embedding(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the input of the last layer for each sequence float32 ``[n, d]``."""
        batches = [part.float().cpu() for part in self._run(self.module.embed, codes)]
        return torch.cat(batches).numpy()

    def _run(
        self, function: Callable[[Tensor], Tensor], codes: NDArray[np.uint8]
    ) -> Iterator[Tensor]:
        both = self.config.reverse_complement
        with torch.inference_mode():
            for start in range(0, len(codes), PREDICT_BATCH):
                # Copy, because the codes may be in a read-only memory map.
                batch = torch.from_numpy(np.array(codes[start : start + PREDICT_BATCH]))
                yield on_both(function, batch.to(self.device), both)

    def logits_of(self, p: Any) -> Tensor:
        """See the base class; for the other strand, positions and bases are reversed."""
        logits = self.module.soft(p)
        if not self.config.reverse_complement:
            return logits
        return (logits + self.module.soft(p.flip(1, 2))) / 2

    def to(self, device: str) -> None:
        """Move the network to a device."""
        self.device = resolve_device(device)
        self.module.to(self.device)

    def state(self) -> State:
        """Return the weights of the network."""
        return weights(self.module)

    def _restore(self, state: State) -> None:
        self.module = stored_module(self._new, state)
        self.module.to(self.device).eval()


def _still_improving(points: tuple[Epoch, ...], epochs: int) -> bool:
    """Return True if the last allowed epoch was clearly better than all epochs before."""
    if len(points) < max(epochs, 2):
        return False
    before = min(point.valid_nll for point in points[:-1])
    return points[-1].valid_nll < (1 - IMPROVING) * before
