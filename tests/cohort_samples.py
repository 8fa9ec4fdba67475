"""Small cohorts in memory for tests of models, with a known answer."""

from __future__ import annotations

import numpy as np

from genomix_cli.cohorts.dataset import Modality, Samples


def easy(
    n: int = 240,
    seed: int = 0,
    n_classes: int = 2,
    names: tuple[str, ...] = ("rna", "meth"),
    widths: tuple[int, ...] = (8, 6),
    shift: float = 1.5,
) -> Samples:
    """Return samples whose class shifts two features per modality; the last feature is constant.

    Values are normally distributed, none is missing, and no two samples share a patient.
    """
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % n_classes)
    kinds = dict(zip(names, ("expression", "methylation_m", "other"), strict=False))
    values, modalities = {}, []
    for name, width in zip(names, widths, strict=False):
        x = rng.normal(size=(n, width))
        for k in range(n_classes):
            x[label == k, 2 * k : 2 * k + 2] += shift
        x[:, -1] = 7
        values[name] = x.astype(np.float32)
        features = tuple(f"{name}{i}" for i in range(width))
        modalities.append(Modality(name, kinds[name], features))
    return Samples(
        names=np.array([f"S{i}" for i in range(n)]),
        modalities=tuple(modalities),
        values=values,
        present=np.ones((n, len(modalities)), bool),
        classes=tuple(map(str, range(n_classes))),
        label=label.astype(np.int64),
        patient=np.arange(n),
        batch=np.zeros(n, np.int64),
    )


def with_gaps(samples: Samples, seed: int = 1, share: float = 0.05) -> Samples:
    """Return a copy with missing values, in which every fifth sample lacks a modality in turn."""
    rng = np.random.default_rng(seed)
    result = samples.take(np.arange(len(samples)))
    for i, modality in enumerate(result.modalities):
        values = result.values[modality.name]
        values[rng.random(values.shape) < share] = np.nan
        if len(result.modalities) > 1:
            lacks = np.arange(len(samples)) % (5 * len(result.modalities)) == 5 * i
            values[lacks] = np.nan
            result.present[lacks, i] = False
    return result


def without(samples: Samples, name: str) -> Samples:
    """Return a copy in which no sample has this modality."""
    result = samples.take(np.arange(len(samples)))
    result.values[name][:] = np.nan
    result.present[:, [m.name for m in result.modalities].index(name)] = False
    return result
