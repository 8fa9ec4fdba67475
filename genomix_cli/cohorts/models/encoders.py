"""Encoders of Cancer Alpha: each maps the values of one modality and their mask to a vector.

See `cancer_alpha`. Features on an axis (fragment lengths or the genome) are first sorted along it,
whatever the order of the file.

Letters: B batch, d features, C channels, L places on an axis, w width.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Modality

# Marks a position without a feature: a gap in the axis, or between chromosomes, so that
# convolutions stay within one.
EMPTY = -1
# Values read at each step of the recurrence; more of them overfit.
READ = 4
# Largest number of steps of the recurrence along the genome; longer profiles are pooled.
RECURRENT_STEPS = 64


class BatchNorm(nn.BatchNorm1d):
    """Batch norm that uses its running statistics for a batch of one, which has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C]`` or ``[B, C, L]``."""
        if self.training and x.shape[0] == 1:
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(x, mean, variance, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class MLPEncoder(nn.Module):
    """Two dense layers with batch norm and dropout between, a residual, then layer norm."""

    def __init__(self, modality: Modality, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(len(modality.features), width)
        self.second = nn.Sequential(
            BatchNorm(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """``[B, d]`` -> ``[B, w]``; a missing value is the mean."""
        x = self.first(values)
        # The residual keeps linear effects, which are much of what few samples can teach.
        return self.norm(x + self.second(x))


class Track(nn.Module):
    """Arrange features along an axis.

    Parameters
    ----------
    places : NDArray
        int64 ``[C, L]``: the feature at each place of each channel, or `EMPTY`.
    """

    places: Tensor

    def __init__(self, places: NDArray[np.int64]) -> None:
        super().__init__()
        self.register_buffer("places", torch.from_numpy(places), persistent=False)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """Map ``[B, d]`` to ``[B, 2C, L]``: channels of values, and channels of their masks."""
        both = torch.stack([values, observed.to(values.dtype)], 1)
        # EMPTY points to the column added here: 0, and not observed.
        return F.pad(both, (0, 1))[:, :, self.places].flatten(1, 2)


class Stem(nn.Module):
    """First convolution along an axis, with a learned embedding of each position."""

    def __init__(self, places: NDArray[np.int64], channels: int, kernel: int) -> None:
        super().__init__()
        self.track = Track(places)
        self.convolve = nn.Conv1d(2 * len(places), channels, kernel, padding="same")
        self.where = nn.Parameter(0.1 * torch.randn(channels, places.shape[1]))
        self.norm = BatchNorm(channels)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """``[B, d]`` -> ``[B, C, L]``."""
        x = self.convolve(self.track(values, observed)) + self.where
        return F.relu(self.norm(x))


class ResidualConvolution(nn.Module):
    """Convolution, batch norm, ReLU and dropout, added to the input."""

    def __init__(self, channels: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, channels, kernel, padding="same"),
            BatchNorm(channels),
            nn.ReLU(),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, L]``."""
        return x + self.layers(x)


class FragmentEncoder(nn.Module):
    """Convolutions along the fragment lengths, and global average pooling.

    If the modality has short and long fragments in bins (DELFI), a second tower reads them as two
    channels along the genome.
    """

    def __init__(
        self, modality: Modality, width: int, dropout: float, channels: int = 64, kernel: int = 7
    ) -> None:
        super().__init__()
        self.towers = nn.ModuleList(
            FragmentTower(places, channels, kernel, dropout)
            for places in (length_places(modality), bin_places(modality))
            if places.shape[1]
        )
        self.out = nn.Linear(channels * len(self.towers), width)
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """``[B, d]`` -> ``[B, w]``."""
        pooled = [tower(values, observed) for tower in self.towers]
        return self.norm(self.out(torch.cat(pooled, dim=-1)))


class FragmentTower(nn.Module):
    """Convolutions along one axis, and the mean over it."""

    def __init__(
        self, places: NDArray[np.int64], channels: int, kernel: int, dropout: float
    ) -> None:
        super().__init__()
        self.stem = Stem(places, channels, kernel)
        self.blocks = nn.Sequential(
            ResidualConvolution(channels, kernel, dropout),
            ResidualConvolution(channels, kernel, dropout),
        )

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """``[B, d]`` -> ``[B, C]``."""
        pooled: Tensor = self.blocks(self.stem(values, observed)).mean(-1)
        return pooled


class CopyNumberEncoder(nn.Module):
    """Convolutions for local patterns, and a bidirectional recurrence for whole chromosomes.

    The recurrence is a gated recurrent unit (Cho et al. 2014, doi:10.3115/v1/D14-1179).
    """

    def __init__(
        self, modality: Modality, width: int, dropout: float, channels: int = 32, kernel: int = 5
    ) -> None:
        super().__init__()
        places = genome_places(modality)
        length = places.shape[1]
        self.stem = Stem(places, channels, kernel)
        self.block = ResidualConvolution(channels, kernel, dropout)
        self.pool = nn.MaxPool1d(-(-length // RECURRENT_STEPS), ceil_mode=True)
        steps = -(-length // -(-length // RECURRENT_STEPS))
        self.recur = nn.GRU(channels, channels // 2, batch_first=True, bidirectional=True)
        self.read = nn.Linear(channels, READ)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(steps * READ, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """``[B, d]`` -> ``[B, w]``."""
        x = self.pool(self.block(self.stem(values, observed))).transpose(1, 2)  # [B, L, C]
        # Attributions need gradients outside training, where cuDNN has none for a recurrence.
        with torch.backends.cudnn.flags(enabled=self.training):
            x = x + self.recur(x)[0]
        return self.norm(self.out(self.drop(self.read(x).flatten(1))))


def encoder_of(modality: Modality, width: int, dropout: float, *, generic: bool) -> nn.Module:
    """Return the encoder for the modality's kind, or the dense one if `generic`."""
    specific = {
        "fragments": FragmentEncoder,
        # Fragment ratios are values along the genome too.
        "fragment_ratios": CopyNumberEncoder,
        "copy_number": CopyNumberEncoder,
        "copy_number_calls": CopyNumberEncoder,
    }
    encoder = MLPEncoder if generic else specific.get(modality.kind, MLPEncoder)
    made: nn.Module = encoder(modality, width, dropout)
    return made


def genome_places(modality: Modality) -> NDArray[np.int64]:
    """Return features in genome order ``[1, L]``, or in file order if they have no positions."""
    columns = _sorted(modality, range(len(modality.features)))
    return np.array([_parted(modality, columns)], np.int64)


def length_places(modality: Modality) -> NDArray[np.int64]:
    """Return the fragments of each length, shortest first, ``[1, L]``."""
    columns = [i for i, readout in enumerate(_readout(modality)) if readout == "length"]
    return np.array([_sorted(modality, columns)], np.int64)


def bin_places(modality: Modality) -> NDArray[np.int64]:
    """Return the short and long fragments of each bin, in genome order, ``[2, L]``."""
    readout = _readout(modality)
    known = bool(modality.contig and modality.position)
    place_of: dict[tuple[str, int], list[int]] = {}
    nth = {"short": 0, "long": 0}
    for i, name in enumerate(readout):
        if name not in nth:
            continue
        # Without positions, pair short and long bins by their order.
        key = (modality.contig[i], modality.position[i]) if known else ("", nth[name])
        nth[name] += 1
        place_of.setdefault(key, [EMPTY, EMPTY])[name == "long"] = i
    either = {max(pair): pair for pair in place_of.values()}
    columns = _parted(modality, _sorted(modality, list(either)))
    pairs = [either.get(column, [EMPTY, EMPTY]) for column in columns]
    return np.array(pairs, np.int64).reshape(-1, 2).T.copy()


def _readout(modality: Modality) -> tuple[str, ...]:
    return modality.readout or ("length",) * len(modality.features)


def _sorted(modality: Modality, columns: Sequence[int]) -> list[int]:
    """Sort columns by contig, position and name; those without a position last, in file order."""
    if not modality.position:
        return list(columns)
    contig = modality.contig or ("",) * len(modality.features)
    placed = [i for i in columns if modality.position[i] >= 0]
    order = sorted(
        placed, key=lambda i: (_natural(contig[i]), modality.position[i], modality.features[i])
    )
    return order + [i for i in columns if modality.position[i] < 0]


def _parted(modality: Modality, columns: Sequence[int], gap: int = 2) -> list[int]:
    """Return the columns with `gap` empty positions between contigs."""
    contig = modality.contig or ("",) * len(modality.features)
    runs = (list(run) for _, run in itertools.groupby(columns, key=contig.__getitem__))
    # Put a gap before each run except the first.
    return [i for run in runs for i in ([EMPTY] * gap + run)][gap:]


def _natural(contig: str) -> tuple[bool, int, str]:
    """Return a sort key that puts 2 before 10 before X, with or without ``chr``."""
    name = re.sub("^chr", "", contig, flags=re.IGNORECASE)
    return (not name.isdigit(), int(name) if name.isdigit() else 0, name)
