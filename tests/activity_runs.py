"""Sequence files with a known activity, and small runs on them, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.sequences import Measurement, Phenotype, Sequences
from genomix_cli.genome.iupac import ANY, encode, reverse_complement
from genomix_cli.sequences.activity.results import ActivitySummary
from genomix_cli.sequences.activity.train import train_activity
from genomix_cli.sequences.requests.train import TrainRequest
from tests.sequence_samples import MOTIFS

LENGTH = 50
MPRA = Measurement("MPRA", "log2 RNA/DNA", "ACGGT", "TTC")
QUICK = {"stem": 8, "motif_width": 7, "width": 8, "epochs": 2, "batch_size": 32, "pair_batch": 8}


def activity(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the number of first motifs minus that of second motifs, on both strands, ``[n]``."""
    total = np.zeros(len(codes))
    for motif, weight in zip(map(encode, MOTIFS[:2]), (1.0, -1.0), strict=True):
        for way in {motif.tobytes(), reverse_complement(motif).tobytes()}:
            word = np.frombuffer(way, np.uint8)
            windows = np.lib.stride_tricks.sliding_window_view(codes, len(word), axis=1)
            total += weight * (windows == word).all(-1).sum(1)
    return total.astype(np.float32)


def drawn(n: int, length: int = LENGTH, seed: int = 0) -> NDArray[np.uint8]:
    """Return random DNA with each motif planted or not, uint8 ``[n, length]``."""
    rng = np.random.default_rng(seed)
    codes = np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (n, length))]
    for motif, low, high in zip(
        map(encode, MOTIFS[:2]), (0, length // 2), (length // 2, length), strict=True
    ):
        for row in np.flatnonzero(rng.random(n) < 0.5):
            at = rng.integers(low, high - len(motif) + 1)
            codes[row, at : at + len(motif)] = motif
    return codes


def measured(n: int = 240, length: int = LENGTH, seed: int = 0) -> Sequences:
    """Return sequences with a class and two activities, each unknown for some sequences."""
    codes, rng = drawn(n, length, seed), np.random.default_rng([seed, 1])
    value = activity(codes)
    liver, stem = (value + 0.3 * rng.normal(size=n).astype(np.float32) for _ in range(2))
    liver[::7] = np.nan
    codes[::10, -1] = ANY
    return Sequences(
        names=np.array([f"s{i}" for i in range(n)]),
        codes=codes,
        group=np.arange(n) // 2,
        split=np.full(n, ""),
        phenotypes=(
            Phenotype("HepG2", None, 2 + 3 * liver),
            Phenotype("stem-cell", None, stem),
            Phenotype("open", ("no", "yes"), (value > 0).astype(np.int16)),
        ),
        measurement=MPRA,
    )


def pairs(n: int = 80, seed: int = 5, length: int = LENGTH) -> Sequences:
    """Return pairs of sequences that differ in one motif, with HepG2's and a teacher's activity."""
    whole = drawn(2 * n, length, seed)
    whole[1::2] = whole[::2]
    at = np.random.default_rng([seed, 2]).integers(0, length - 7, n)
    for row, start in enumerate(at):
        whole[2 * row + 1, start : start + 7] = encode(MOTIFS[0])
    return Sequences(
        names=np.array([f"p{i}" for i in range(2 * n)]),
        codes=whole,
        group=np.arange(2 * n) // 2,
        split=np.full(2 * n, ""),
        phenotypes=(
            Phenotype("HepG2", None, 2 + 3 * activity(whole)),
            Phenotype("teacher", None, 10 * activity(whole)),
        ),
    )


def request(data: Path, folder: Path, **arch: Any) -> TrainRequest:
    """Return a request for a run that takes seconds."""
    return TrainRequest(data, folder, "activity", arch={**QUICK, **arch})


def trained(data: Path, folder: Path, **arch: Any) -> ActivitySummary:
    """Train the run of `request` and return its summary."""
    summary = train_activity(request(data, folder, **arch))
    assert summary is not None
    return summary
