"""Windows of a genome with base-resolution signal, the input of a network of profiles.

Letters: n windows, B windows of a batch, L bases, K tracks, J control tracks, O bases of a
profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Profiles, Sequences, open_sequences
from genomix_cli.sequences.activity.sources import output_name
from genomix_cli.sequences.prepare.parsed_input import first_twice
from genomix_cli.sequences.prepare.signal import COVERED

# Options that name the tracks.
TRACKS, CONTROLS = "--phenotypes", "--control-tracks"
# Number of windows whose signal is held at a time.
BLOCK = 256


class Batch(NamedTuple):
    """A batch of genome windows.

    Attributes
    ----------
    codes : Tensor
        uint8 ``[B, L]``: sets of bases.
    signal : Tensor
        float32 ``[B, K, L]``; NaN where nothing was measured.
    control : Tensor, optional
        float32 ``[B, J, L]``: counts of control tracks; 0 where nothing was measured.
    """

    codes: Tensor
    signal: Tensor
    control: Tensor | None = None


@dataclass(frozen=True)
class Windows:
    """Training, validation or test windows; the arrays may be memory maps.

    Attributes
    ----------
    codes : NDArray
        uint8 ``[all, L]``.
    signal : NDArray
        float32 ``[all, tracks of the file, L]``.
    tracks : tuple of int
        Indices of the K tracks.
    rows : NDArray
        int64 ``[n]``: indices of the windows among all.
    controls : tuple of int
        Indices of the J control tracks.
    """

    codes: NDArray[np.uint8]
    signal: NDArray[np.float32]
    tracks: tuple[int, ...]
    rows: NDArray[np.int64]
    controls: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the windows in `rows` as tensors."""
        here = self.rows[rows]
        every = self.signal[here]
        signal = torch.from_numpy(np.ascontiguousarray(every[:, list(self.tracks)]))
        batch = Batch(torch.from_numpy(self.codes[here]), signal)
        if not self.controls:
            return batch
        return batch._replace(control=torch.from_numpy(every[:, list(self.controls)]).nan_to_num())

    def blocks(self, order: NDArray[np.int64] | None = None) -> Iterator[tuple[slice, Batch]]:
        """Yield all windows in blocks of nearly equal size, with their slice of `order`."""
        order = np.arange(len(self)) if order is None else order
        edges = np.linspace(0, len(order), max(1, -(-len(order) // BLOCK)) + 1).astype(int)
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            yield slice(first, last), self.batch(order[first:last])


@dataclass(frozen=True)
class Profiled:
    """A file of windows, and its tracks to learn.

    Attributes
    ----------
    sequences : Sequences
    tracks : tuple of int
        Indices of the K tracks in the file.
    names : tuple of str
        Names of the outputs.
    opposite : tuple of int
        Index of each output's other strand; its own index if it has both strands.
    controls : tuple of int
        Indices of the J control tracks in the file.
    control_opposite : tuple of int
        As `opposite`, for the control tracks.
    """

    sequences: Sequences
    tracks: tuple[int, ...]
    names: tuple[str, ...]
    opposite: tuple[int, ...]
    controls: tuple[int, ...] = ()
    control_opposite: tuple[int, ...] = ()

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of the control tracks in the file."""
        assert self.sequences.profiles is not None
        return tuple(self.sequences.profiles.names[track] for track in self.controls)

    def windows(self, rows: NDArray[np.int64]) -> Windows:
        """Return the windows in `rows`."""
        assert self.sequences.profiles is not None
        signal = self.sequences.profiles.signal
        return Windows(self.sequences.codes, signal, self.tracks, rows, self.controls)


def read_profiled(path: Path, names: Sequence[str] = (), controls: Sequence[str] = ()) -> Profiled:
    """Open a file of training windows.

    Parameters
    ----------
    path : Path
    names : sequence of str
        Tracks to learn; by default all except the controls.
    controls : sequence of str
        Control tracks.

    Raises
    ------
    UsageError
        If a track does not exist, lacks its other strand, or is both learned and a control.
    DataError
        If the file is damaged, or has no base-resolution signal.
    """
    sequences = open_sequences(path)
    profiles = sequences.profiles
    if profiles is None:
        raise DataError(
            "has no signal per base",
            where=path,
            hint="genomix prepare sequences GENOME.fa -t NAME=FILE.bw --window 1000 --profiles",
        )
    beside, control_opposite = _chosen(profiles, controls, CONTROLS)
    if twice := [name for name in names if name in controls]:
        raise UsageError(f"{twice[0]} is both a target and a control", where=CONTROLS)
    own = names or [name for name in profiles.names if name not in controls]
    if not own:
        raise UsageError("no track is left to learn", where=CONTROLS)
    tracks, opposite = _chosen(profiles, own, TRACKS)
    outputs = tuple(output_name(profiles.names[track]) for track in tracks)
    if clash := first_twice(outputs):
        raise DataError(f"two outputs would be called {clash}", where=path)
    return Profiled(sequences, tracks, outputs, opposite, beside, control_opposite)


def _chosen(
    profiles: Profiles, names: Sequence[str], where: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the indices of tracks in the file, and of each track's other strand among them."""
    for name in names:
        if name not in profiles.names:
            expected = " or ".join(profiles.names)
            raise UsageError(f"no track {name!r}", where=where, expected=expected)
    tracks = tuple(map(profiles.names.index, dict.fromkeys(names)))
    for track in tracks:
        if profiles.opposite[track] not in tracks:
            used = "learned" if where == TRACKS else "a control"
            what = f"{profiles.names[track]} is {used} with its other strand alone"
            other = profiles.names[profiles.opposite[track]]
            raise UsageError(what, where=where, hint=f"add {other}")
    return tracks, tuple(tracks.index(profiles.opposite[track]) for track in tracks)


class Observed(NamedTuple):
    """Measured counts, and a mask of the measured bases.

    Attributes
    ----------
    counts : Tensor
        float32 ``[B, K, O]``: 0 for bases that were not measured, and for all bases of a window
        with too few measured ones.
    known : Tensor
        bool ``[B, K, O]``: True for measured bases.
    total : Tensor
        float32 ``[B, K]``: counts of all bases, extrapolated to bases that were not measured; NaN
        if less than half were measured.
    """

    counts: Tensor
    known: Tensor
    total: Tensor


def observed(signal: Tensor) -> Observed:
    """Return the measured counts and their mask from the signal of bases ``[B, K, O]``."""
    known = signal.isfinite()
    share = known.float().mean(-1)
    measured = share >= COVERED
    counts = signal.nan_to_num().where(measured[..., None], torch.zeros(()).to(signal))
    total = (counts.sum(-1) / share).masked_fill(~measured, torch.nan)
    return Observed(counts, known, total)


def middle(signal: Tensor, size: int) -> Tensor:
    """Return the signal of the central bases, ``[..., L]`` -> ``[..., size]``."""
    return signal.narrow(-1, (signal.shape[-1] - size) // 2, size)
