"""Encoders of trained runs, and the embeddings of sequences.

Every run with an encoder stores its weights under ``encoder.``, whatever the task.

Letters: n sequences, L bases, d width of the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.motifs import Motif, read_meme
from genomix_cli.learning import motifs
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.networks import set_weights, stored_module
from genomix_cli.sequences.models.base import State
from genomix_cli.sequences.models.encoder import Encoder, EncoderConfig, shape_of
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import StoredRun, check_fits, read_run
from genomix_cli.sequences.train.learning import PREDICT_BATCH

ENCODER = "encoder."
# Tasks whose runs may have an encoder.
TASKS = ("contrast", "align", "classify")


class Start(NamedTuple):
    """Weights or motifs that an encoder starts from.

    Attributes
    ----------
    config : mapping
        Shape of a trained encoder; empty if there is none.
    state : dict of str to NDArray
        Its weights.
    motifs : tuple of Motif
        Motifs that the filters of a new encoder start from.
    """

    config: Mapping[str, Any]
    state: State
    motifs: tuple[Motif, ...] = ()

    def untrained(self) -> Start:
        """Return the start of an encoder before any training."""
        return Start({}, {}, self.motifs)


def encoder_of(stored: StoredRun, device: str = "cpu") -> Encoder:
    """Return the encoder of a run, in evaluation mode.

    Raises
    ------
    UsageError
        If the run has no encoder.
    DataError
        If the weights do not fit.
    """
    config = from_dict(EncoderConfig, _shape(stored), where=stored.path)
    try:
        encoder = stored_module(lambda: Encoder(config), _own(stored))
    except (ValueError, RuntimeError, MemoryError) as error:
        problem = "the weights do not fit the configuration"
        raise DataError(problem, where=stored.path) from error
    return encoder.to(resolve_device(device)).eval()


def _own(stored: StoredRun) -> State:
    state = {
        name.removeprefix(ENCODER): array
        for name, array in stored.state.items()
        if name.startswith(ENCODER)
    }
    if not state:
        raise UsageError(
            "has no encoder",
            where=stored.path,
            expected="a run of contrast or align, or a classifier that is a transformer",
            found=f"{stored.config.task}, {stored.config.model}",
        )
    return state


def _shape(stored: StoredRun) -> dict[str, Any]:
    return {"length": stored.config.length, **shape_of(stored.config.arch)}


def _load(encoder: nn.Module, state: State, where: Path) -> None:
    try:
        set_weights(encoder, state)
    except RuntimeError as error:
        raise DataError("the weights do not fit the configuration", where=where) from error


def start_from(request: TrainRequest, sequences: Sequences) -> Start:
    """Return the encoder of the run that ``--init`` names, checked against the data, or the motifs.

    Raises
    ------
    UsageError
        If the run has no encoder, or motifs are given too.
    DataError
        If it was trained on sequences with another length or other columns.
    """
    meme = request.options.get("motifs")
    if request.init is None:
        return Start({}, {}, () if meme is None else tuple(read_meme(meme)))
    if meme is not None:
        raise UsageError("the run given by --init already has filters", where="--motifs")
    stored = read_run(request.init, *TASKS)
    check_fits(stored.config, sequences, request.data)
    return Start(_shape(stored), _own(stored))


def begin(encoder: Encoder, start: Start, train: NDArray[np.uint8], request: TrainRequest) -> None:
    """Load the weights to start from, or let a new encoder learn its columns and take motifs.

    Raises
    ------
    UsageError
        If the requested encoder has another shape than the one to start from.
    """
    if not start.state:
        encoder.stem.learn_columns(train)
        if start.motifs and encoder.stem.filters is not None:
            motifs.start_from(encoder.stem.filters, start.motifs)
        return
    own = to_dict(encoder.config)
    # Dropout is not part of the shape.
    other = [k for k, v in start.config.items() if k != "dropout" and own[k] != v]
    if other:
        raise UsageError(
            "the encoder of --init has another shape", where="--init", found=", ".join(other)
        )
    _load(encoder, start.state, Path(str(request.init)))


def embed(encoder: Encoder, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the embedding of each sequence, float32 ``[n, d]``.

    Parameters
    ----------
    encoder : Encoder
        Encoder in evaluation mode, so that the vector of a sequence does not depend on others.
    codes : NDArray
        uint8 ``[n, L]``; may be memory-mapped.
    """
    device = encoder.norm.weight.device
    vectors = np.empty((len(codes), encoder.config.width), np.float32)
    with torch.inference_mode():
        for start in range(0, len(codes), PREDICT_BATCH):
            rows = slice(start, start + PREDICT_BATCH)
            batch = torch.from_numpy(np.array(codes[rows])).to(device)
            vectors[rows] = encoder(batch).float().cpu().numpy()
    return vectors
