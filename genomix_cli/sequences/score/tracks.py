"""Predicted profiles as bigWig files: counts of each base along the genome.

The value of a base is the counts of its window times the profile's share of the base, as in the
prediction files of BPNet and ChromBPNet. Overlapping windows are averaged.

Letters: n windows, B windows of a batch, K tracks, O bases of a profile, m bases of a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats
from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.bigwig_writer import new_bigwig
from genomix_cli.learning.profiles import ProfileModel
from genomix_cli.outputs import make_folder
from genomix_cli.progress import track
from genomix_cli.sequences.profile.predict import answers
from genomix_cli.sequences.profile.windows import BLOCK


class Stretch(NamedTuple):
    """A run of consecutive bases.

    Attributes
    ----------
    start : int
        0-based.
    values : NDArray
        float64 ``[K, m]``: counts of each base.
    """

    start: int
    values: Floats


def check_placed(sequences: Sequences, where: Path) -> None:
    """Refuse sequences without a position in a genome.

    Raises
    ------
    DataError
        If the sequences have no positions.
    """
    if sequences.windows is None:
        raise DataError(
            "has no genome coordinates, which --bigwig needs",
            where=where,
            hint="genomix prepare sequences GENOME.fa --window 1000, or --regions FILE.bed",
        )


def write_tracks(
    model: ProfileModel, sequences: Sequences, known: NDArray[np.bool_], folder: Path
) -> NDArray[np.float32]:
    """Write ``NAME.bw`` for each track into a folder, which is created if needed.

    Parameters
    ----------
    model : ProfileModel
        In evaluation mode.
    sequences : Sequences
        Windows of a genome.
    known : NDArray
        bool ``[n]``: windows to predict.
    folder : Path

    Returns
    -------
    NDArray
        float32 ``[n, K]``: ln(1 + counts) of each window, as from `log_counts`; NaN if not `known`.
    """
    assert sequences.windows is not None
    make_folder(folder)
    counts = np.full((len(known), len(model.config.outputs)), np.nan, np.float32)
    lengths = _lengths(sequences, model.config.length)
    with ExitStack() as stack:
        files = [
            stack.enter_context(new_bigwig(folder / f"{output.name}.bw", lengths))
            for output in model.config.outputs
        ]
        for number, contig in enumerate(lengths):
            rows = np.flatnonzero(known & (sequences.windows.contig == number))
            rows = rows[np.argsort(sequences.windows.start[rows], kind="stable")]
            for stretch in joined(_predicted(model, sequences, rows, contig, counts)):
                starts = stretch.start + np.arange(stretch.values.shape[1])
                for file, values in zip(files, stretch.values.astype(np.float32), strict=True):
                    file.add(contig, starts, values)
    return counts


def _lengths(sequences: Sequences, length: int) -> dict[str, int]:
    """Return the length of each contig; if the file has none, the end of its last window."""
    assert sequences.windows is not None
    found = {}
    for number, (contig, known) in enumerate(sequences.contigs.items()):
        starts = sequences.windows.start[sequences.windows.contig == number]
        found[contig] = max(known, int(starts.max(initial=-length)) + length, 1)
    return found


def _predicted(
    model: ProfileModel,
    sequences: Sequences,
    rows: NDArray[np.int64],
    contig: str,
    log_counts: NDArray[np.float32],
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield the starts of profiles and their counts ``[B, K, O]`` on the forward strand.

    Log counts of whole windows are stored in `log_counts` ``[n, K]``.
    """
    assert sequences.windows is not None
    size = model.config.profile
    beside = (model.config.length - size) // 2
    for at in track(range(0, len(rows), BLOCK), f"predicting {contig}") if len(rows) else ():
        some = rows[at : at + BLOCK]
        answer = answers(model, torch.from_numpy(np.array(sequences.codes[some])))
        log_counts[some] = answer.counts.numpy()
        counts = (
            answer.profile.double().softmax(-1)
            * answer.counts.double().expm1().clamp(min=0)[..., None]
        )
        turned = counts[:, list(model.config.opposite)].flip(-1)
        forward = torch.from_numpy(sequences.windows.strand[some] >= 0)[:, None, None]
        yield sequences.windows.start[some] + beside, counts.where(forward, turned).numpy()


def joined(blocks: Iterator[tuple[NDArray[np.int64], Floats]]) -> Iterator[Stretch]:
    """Yield runs of bases in order, without overlap; each base has the mean of its profiles.

    Parameters
    ----------
    blocks : iterator of (NDArray, NDArray)
        Starts of profiles, int64 ``[B]``, ascending across all blocks, and their values, float64
        ``[B, K, O]``.
    """
    start, total, covering = 0, np.zeros((0, 0)), np.zeros(0)
    for starts, values in blocks:
        n_tracks, size = values.shape[1:]
        for first, profile in zip(starts.tolist(), values, strict=True):
            # Bases before this profile are complete.
            done = min(max(first - start, 0), len(covering))
            if done:
                yield Stretch(start, total[:, :done] / covering[:done])
            start, total, covering = first, total[:, done:], covering[done:]
            more = size - len(covering)
            total = np.concatenate([total.reshape(n_tracks, -1), np.zeros((n_tracks, more))], 1)
            covering = np.concatenate([covering, np.zeros(more)]) + 1
            total += profile
    if len(covering):
        yield Stretch(start, total / covering)
