"""Predictions of an activity network for whole files.

Letters: n sequences, L bases, E members, K outputs.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.formats.run_folder import CONFIG
from genomix_cli.learning.activity import (
    TASK,
    ActivityConfig,
    ActivityModel,
    of_both_strands,
    stored_network,
)
from genomix_cli.learning.finite import finite
from genomix_cli.sequences.activity.learning import bases
from genomix_cli.sequences.runs import StoredRun
from genomix_cli.sequences.train.learning import PREDICT_BATCH

__all__ = ["TASK", "member_answers", "model_of"]


def model_of(run: StoredRun, device: str = "cpu") -> ActivityModel:
    """Return the network of a stored run.

    Raises
    ------
    DataError
        If its weights do not fit its configuration.
    """
    where, arch = run.path / CONFIG, run.config.arch
    return stored_network(ActivityConfig, ActivityModel, arch, run.state, where).to(device)


def member_answers(
    model: ActivityModel, codes: NDArray[np.uint8], rows: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return each member's prediction, averaged over both strands.

    Parameters
    ----------
    model : ActivityModel
        In evaluation mode.
    codes : NDArray
        uint8 ``[n, L]``: sets of bases; may be memory-mapped.
    rows : tuple of int
        Numbers of the outputs to predict.

    Returns
    -------
    NDArray
        float32 ``[E, n, K]``, in the units of the outputs.

    Raises
    ------
    GenomixError
        If a prediction is not a number.
    """
    device = next(model.parameters()).device
    answers = np.empty((len(model.members), len(codes), len(rows)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(codes), PREDICT_BATCH):
            some = slice(start, start + PREDICT_BATCH)
            p = bases(torch.from_numpy(np.array(codes[some])).to(device))
            for m in range(len(model.members)):
                mean = of_both_strands(partial(model.member, m, rows=rows), p)
                answers[m, some] = mean.float().cpu().numpy()
    return finite(answers, "an activity")
