"""Small files of sequences with a known answer, for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from genomix_cli.formats.sequences import Columns, Phenotype, Sequences, write_sequences
from genomix_cli.provenance import Provenance


def unaligned(n: int = 240, length: int = 40, n_classes: int = 3, seed: int = 0) -> Sequences:
    """Return random DNA in which each class prefers another base; groups have two sequences."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) // 2 % n_classes).astype(np.int16)
    label = np.repeat(label[::2], 2)[:n]
    p = np.full((n_classes, 4), 0.18)
    p[np.arange(n_classes), np.arange(n_classes) % 4] = 0.46
    draw = rng.random((n, length))
    base = (draw[..., None] > p.cumsum(1)[label][:, None]).sum(-1).clip(max=3)
    number = (label + rng.normal(0, 0.3, n)).astype(np.float32)
    number[::17] = np.nan
    names = tuple(f"class{k}" for k in range(n_classes))
    return Sequences(
        names=np.array([f"S{i}" for i in range(n)]),
        codes=(1 << base).astype(np.uint8),
        group=np.arange(n) // 2,
        split=np.full(n, ""),
        phenotypes=(
            Phenotype("kind", names, label),
            Phenotype("level", None, number),
            Phenotype("coin", ("head", "tail"), rng.integers(-1, 2, n).astype(np.int16)),
        ),
        default_label="kind",
        contigs={"chr1": 1000},
    )


def aligned(n: int = 240, length: int = 60, n_classes: int = 3, seed: int = 0) -> Sequences:
    """Return genotypes with class-specific frequencies of the second allele at every site."""
    rng = np.random.default_rng(seed)
    whole = unaligned(n, length, n_classes, seed)
    label = whole.phenotypes[0].values
    frequency = rng.beta(0.6, 0.6, (n_classes, length))[label]
    alleles = rng.random((2, n, length)) < frequency
    ref, alt = np.full(length, 1, np.uint8), np.full(length, 4, np.uint8)
    codes = np.where(alleles, alt, ref).astype(np.uint8)
    columns = Columns(
        contig=np.zeros(length, np.int16),
        pos=np.arange(length, dtype=np.int64) * 10,
        site=np.arange(length, dtype=np.int32),
        ref=ref,
        alt=alt,
    )
    return replace(whole, codes=codes[0] | codes[1], columns=columns)


def written(sequences: Sequences, folder: Path) -> Path:
    """Write the sequences to a file and return its path."""
    path = folder / "sequences.h5"
    write_sequences(path, sequences, Provenance("test"))
    return path
