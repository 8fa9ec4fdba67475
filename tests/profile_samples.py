"""Windows with a known signal of each base, and profile networks, for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genomix_cli.config import to_dict
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.sequences import Measurement, Phenotype, Profiles, Sequences
from genomix_cli.genome.iupac import encode, reverse_complement
from genomix_cli.learning.activity import DOMAIN, Output
from genomix_cli.learning.networks import new_module, weights
from genomix_cli.learning.profiles import TASK, UNIT, ProfileConfig, ProfileModel
from tests.sequence_samples import motifs

MOTIF = encode("TGACTCAG")
#: Bases from the start of the motif to the summits of the strands of a footprint.
PLUS, MINUS = -3, 10
OUTPUTS = (
    Output("NEXUS_plus", "ChIP-nexus", UNIT, mean=2.0, sd=1.0),
    Output("NEXUS_minus", "ChIP-nexus", UNIT, mean=2.5, sd=2.0),
    Output("ATAC", "ATAC-seq", UNIT, mean=4.0, sd=0.5),
)


def profiled(made: Sequences, seed: int = 0, bias: float = 0.0) -> Sequences:
    """Return sequences with counts of three tracks, in which every motif leaves a footprint.

    The first two tracks are strands with summits on either side of the motif; the third has both
    strands, and a dip. Every seventh window lacks its third track, and in every fifth the first
    bases are unknown. A `bias` is the standard deviation of the logarithm of random factors on the
    rate of each base and of each window. A fourth track counts it; no sequence explains it.
    """
    rng = np.random.default_rng([seed, 9])
    n, length = made.codes.shape
    rate = np.full((n, 3, length), 0.05)
    for turned, codes in ((False, made.codes), (True, reverse_complement(made.codes))):
        views = np.lib.stride_tricks.sliding_window_view(codes, len(MOTIF), axis=1)
        for row, start in zip(*np.nonzero((views == MOTIF).all(-1)), strict=True):
            for track, at in ((0, PLUS), (1, MINUS), (2, PLUS - 2), (2, MINUS + 2)):
                place = start + at
                if 0 <= place < length:
                    place = length - 1 - place if turned else place
                    track = 1 - track if turned and track < 2 else track
                    rate[row, track, place] += 12
    names, opposite = ("NEXUS+", "NEXUS/2", "ATAC@K562"), (1, 0, 2)
    if bias:
        factor = np.exp(rng.normal(0, bias, (n, 1, 1)) + rng.normal(0, bias, (n, 1, length)))
        rate = np.concatenate([(rate + 0.25) * factor, 5 * factor], axis=1)
        names, opposite = (*names, "INPUT"), (*opposite, 3)
    signal = rng.poisson(rate).astype(np.float32)
    signal[::7, 2] = np.nan
    signal[1::5, :, : length // 10] = np.nan
    with np.errstate(invalid="ignore"):
        known = np.isfinite(signal).mean(-1)
        total = np.nansum(signal, -1) / np.maximum(known, 1e-9)
    values = np.where(known >= 0.5, np.log2(1 + total / length), np.nan).astype(np.float32)
    numbers = tuple(Phenotype(name, None, values[:, k]) for k, name in enumerate(names))
    return replace(
        made,
        phenotypes=(*made.phenotypes, *numbers),
        measurement=Measurement("ChIP-nexus, ATAC-seq", "log2(1 + signal)"),
        profiles=Profiles(names, opposite, signal),
    )


def footprints(n: int = 240, length: int = 80, seed: int = 0, bias: float = 0.0) -> Sequences:
    """Return random windows; half have the motif, on either strand, anywhere."""
    rng = np.random.default_rng(seed)
    codes = np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (n, length))]
    for row in range(0, n, 2):
        at = rng.integers(12, length - 12 - len(MOTIF))
        motif = MOTIF if rng.random() < 0.5 else reverse_complement(MOTIF)
        codes[row, at : at + len(MOTIF)] = motif
    order = rng.permutation(n)
    made = motifs(n, length)
    made = replace(made, codes=codes[order], phenotypes=(), default_label="")
    return profiled(made, seed, bias)


def config(**fields: Any) -> ProfileConfig:
    """Return a small architecture for two strands of one track, and one track of both strands."""
    small: dict[str, Any] = {"length": 60, "profile": 44, "width": 8, "n_dilated": 2}
    return ProfileConfig(**{"outputs": OUTPUTS, "opposite": (1, 0, 2), **small, **fields})


def network(of: ProfileConfig, seed: int = 0) -> ProfileModel:
    """Return a network with random weights that tells sequences apart."""
    model = new_module(lambda: ProfileModel(of), seed).eval()
    with torch.no_grad():
        model.counts.weight.mul_(10)
        model.profile.weight.mul_(10)
    return model


def save_profile(folder: Path, seed: int = 0, **fields: Any) -> Path:
    """Write the run folder of a profile network with random weights."""
    folder.mkdir(parents=True)
    arch = config(**fields)
    run = {"task": TASK, "model": "bpnet", "arch": to_dict(arch), "length": arch.length}
    RunFolder(folder).save(DOMAIN, run, weights(network(arch, seed)))
    return folder
