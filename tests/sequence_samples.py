"""Small files of sequences with a known answer, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genomix_cli.formats.sequences import (
    Columns,
    Phenotype,
    Sequences,
    Windows,
    write_sequences,
)
from genomix_cli.genome.iupac import ANY, encode
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.models.base import Labelled

MOTIFS = ("TGACTCA", "CACGTG", "GATAAGG", "CCAAT")


def motifs(n: int = 240, length: int = 60, n_classes: int = 3, seed: int = 0) -> Sequences:
    """Return random DNA with the motif of its class planted twice on the forward strand.

    The sequences are windows of two contigs. Every tenth has an N.
    """
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % n_classes)
    codes = np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (n, length))]
    for i, k in enumerate(label):
        motif = encode(MOTIFS[k])
        for start in (rng.integers(0, length // 2 - 7), rng.integers(length // 2, length - 7)):
            codes[i, start : start + len(motif)] = motif
    codes[::10, 0] = ANY
    windows = Windows(
        (np.arange(n) % 2).astype(np.int16),
        1000 * np.arange(n, dtype=np.int64),
        np.where(np.arange(n) % 3, 1, -1).astype(np.int8),
    )
    return Sequences(
        names=np.array([f"s{i}" for i in range(n)]),
        codes=codes,
        group=np.arange(n),
        split=np.full(n, ""),
        phenotypes=(_classes(label, n_classes),),
        default_label="kind",
        contigs={"chr1": 0, "chr2": 0},
        windows=windows,
    )


def genotypes(n: int = 240, sites: int = 150, n_classes: int = 3, seed: int = 0) -> Sequences:
    """Return genotypes of people from populations whose allele frequencies have drifted apart.

    One site does not vary, and every tenth genotype of the first site is unknown.
    """
    rng = np.random.default_rng(7)
    ancestral = rng.uniform(0.1, 0.9, sites)
    drift = 0.2
    shape = np.stack([ancestral, 1 - ancestral]) * (1 - drift) / drift
    frequency = np.stack([rng.beta(*shape) for _ in range(n_classes)])
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % n_classes)
    dosage = rng.binomial(2, frequency[label])
    ref = np.where(np.arange(sites) % 2, 1, 2).astype(np.uint8)
    alt = np.where(np.arange(sites) % 2, 4, 8).astype(np.uint8)
    codes = np.choose(dosage, [ref, ref | alt, alt]).astype(np.uint8)
    codes[:, -1] = ref[-1]
    codes[::10, 0] = ANY
    columns = Columns(
        np.zeros(sites, np.int16),
        100 * np.arange(1, sites + 1, dtype=np.int64),
        np.arange(sites, dtype=np.int32),
        ref,
        alt,
    )
    return Sequences(
        names=np.array([f"p{i}" for i in range(n)]),
        codes=codes,
        group=np.arange(n),
        split=np.full(n, ""),
        phenotypes=(_classes(label, n_classes),),
        default_label="kind",
        contigs={"1": 0},
        columns=columns,
    )


def _classes(label: np.ndarray, n_classes: int) -> Phenotype:
    return Phenotype("kind", tuple("ABCDEFGH"[:n_classes]), label.astype(np.int16))


def labelled(sequences: Sequences) -> Labelled:
    """Return the sequences with their classes."""
    classes, label = sequences.label()
    return Labelled(sequences, label, classes)


def write(path: Path, sequences: Sequences) -> Path:
    """Write the sequences to a file and return its path."""
    write_sequences(path, sequences, Provenance("a test"))
    return path
