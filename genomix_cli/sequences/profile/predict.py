"""Predictions of a network of profiles for whole files.

Letters: n windows, L bases, K tracks.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.formats.run_folder import CONFIG
from genomix_cli.learning.activity import stored_network
from genomix_cli.learning.finite import finite
from genomix_cli.learning.profiles import TASK, Answer, ProfileConfig, ProfileModel
from genomix_cli.sequences.activity.learning import bases
from genomix_cli.sequences.profile.windows import BLOCK, Batch, middle
from genomix_cli.sequences.runs import StoredRun

__all__ = ["TASK", "answers", "log_counts", "model_of", "window_answers"]


def model_of(run: StoredRun, device: str = "cpu") -> ProfileModel:
    """Return the network of a stored run.

    Raises
    ------
    DataError
        If its weights do not fit its configuration.
    """
    where, arch = run.path / CONFIG, run.config.arch
    return stored_network(ProfileConfig, ProfileModel, arch, run.state, where).to(device)


@torch.inference_mode()
def answers(model: ProfileModel, codes: Tensor, control: Tensor | None = None) -> Answer:
    """Return predictions for sequences ``[B, L]``, mean over both strands, on the CPU.

    Without control counts ``[B, J, O]``, predictions are from the sequence alone.

    Raises
    ------
    GenomixError
        If a prediction is not finite.
    """
    device = next(model.parameters()).device
    control = None if control is None else control.to(device)
    answer = model.answers(bases(codes.to(device)), control)
    answer = Answer(*(each.float().cpu() for each in answer))
    for values, what in zip(answer, ("a profile", "a count"), strict=True):
        finite(values.numpy(), what)
    return answer


def window_answers(model: ProfileModel, batch: Batch) -> Answer:
    """Return predictions for windows, with their controls if the network has any."""
    control = None if batch.control is None else middle(batch.control, model.config.profile)
    return answers(model, batch.codes, control)


def log_counts(model: ProfileModel, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return ln(1 + counts) of each track, float32 ``[n, K]``.

    Parameters
    ----------
    model : ProfileModel
        In evaluation mode.
    codes : NDArray
        uint8 ``[n, L]``: sets of bases; may be memory-mapped.
    """
    values = np.empty((len(codes), len(model.config.outputs)), np.float32)
    for start in range(0, len(codes), BLOCK):
        some = slice(start, start + BLOCK)
        values[some] = answers(model, torch.from_numpy(np.array(codes[some]))).counts.numpy()
    return values
