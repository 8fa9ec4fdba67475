"""Made-up studies for tests of results and reports: probabilities of known quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genomix_cli.cohorts.train.classifiers import WORDING
from genomix_cli.comparison.clustering import Encoding
from genomix_cli.comparison.study import (
    Encoded,
    FoldFit,
    Importance,
    MeanAttention,
    Outcome,
    Study,
)
from genomix_cli.learning.conformal import class_thresholds, prediction_sets
from genomix_cli.learning.task import Epoch

MODALITIES = ("methylation", "copy_number", "fragmentomics", "chromatin")


def softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def study(  # noqa: PLR0913
    *,
    n: int = 400,
    k: int = 3,
    seeds: int = 2,
    folds: int = 3,
    baselines: Sequence[str] = ("logistic", "svm"),
    mains: Sequence[str] = ("omics-transformer",),
    gain: float = 0.3,
    seed: int = 0,
    ceiling: bool = True,
    attention: bool = True,
    curves: bool = True,
    shuffled: bool = True,
    classes: Sequence[str] | None = None,
    **fields: Any,
) -> Study:
    """Return a study with labels, a Bayes posterior, and models that see the posterior with noise.

    Main models have `gain` less noise than the first baseline, and each further baseline has more.
    The last tenth of the samples is never tested.
    """
    rng = np.random.default_rng(seed)
    label = rng.integers(0, k, n)
    bayes = rng.normal(0, 1, (n, k)) * np.sqrt(3.0) + 3.0 * np.eye(k)[label]
    tested = np.arange(n) < n - n // 10
    fold = np.where(tested, np.array([f"fold {i % folds + 1}" for i in range(n)]), "")
    named = [(name, True, 1 - gain) for name in mains]
    named += [(name, False, 1 + 0.2 * i) for i, name in enumerate(baselines)]
    outcomes = []
    for i, (name, main, noise) in enumerate(named):
        logits = np.stack([bayes + rng.normal(0, 2 * noise, (n, k)) for _ in range(seeds)])
        raw, calibrated = softmax(2 * logits), softmax(logits)
        calibrated[:, ~tested] = raw[:, ~tested] = np.nan
        limits = class_thresholds(calibrated[0][tested], label[tested], 0.9)
        chosen = {"learning_rate": 0.001 * (i + 1), "hidden": (64, 64)}
        fits = tuple(
            FoldFit(f"fold {f + 1}", chosen, 0.3, 1.9 + 0.1 * f, 2.5, _curve(main and curves, f))
            for f in range(folds)
        )
        noise_only = softmax(rng.normal(0, 0.1, (n, k)))
        outcomes.append(
            Outcome(
                name=name,
                model=name.split(" ")[0],
                modalities=MODALITIES,
                main=main,
                trials=20,
                parameters=1000 * (i + 1),
                probability=calibrated,
                uncalibrated=raw,
                sets=prediction_sets(np.nan_to_num(calibrated[0]), limits),
                folds=fits,
                attention=_attention(rng, k) if main and attention else None,
                shuffled=noise_only if main and shuffled else None,
            )
        )
    data: dict[str, Any] = {
        "data": "still.h5mu",
        "wording": WORDING,
        "names": np.array([f"S{i:05d}" for i in range(n)]),
        "classes": tuple(classes or (f"class {c}" for c in "ABCDEFGHIJ"[:k])),
        "label": label,
        "shuffled_label": rng.permutation(label),
        "unit": np.arange(n),
        "fold": fold,
        "tested": tested,
        "held_out_by": "stratified folds",
        "level": 0.9,
        "calibration": "cross",
        "seeds": tuple(range(seeds)),
        "outcomes": tuple(outcomes),
        "ceilings": {MODALITIES: softmax(bayes)} if ceiling else {},
        "importances": _importances(rng) if mains else (),
        "encoded": _encoded(label, tested) if mains and curves else None,
        "driver_auprc": dict.fromkeys(MODALITIES, (0.71, 0.25)) if ceiling else {},
        "settings": {"model": "omics-transformer", "folds": folds, "trials": 20},
    }
    return Study(**(data | fields))


def _curve(wanted: bool, fold: int) -> tuple[Epoch, ...]:
    if not wanted:
        return ()
    return tuple(
        Epoch("joint", member, e, 1 / e + 0.05 * fold, 1.1 / e + 0.1, 1 - 0.5 / e)
        for member in range(2)
        for e in range(1, 13)
    )


def _attention(rng: np.random.Generator, k: int) -> MeanAttention:
    mean = rng.dirichlet(np.ones(4), (1 + k, 4)).astype(np.float32)
    return MeanAttention(mean, mean - 0.02, mean + 0.02)


def _encoded(label: np.ndarray, tested: np.ndarray) -> Encoded:
    """Return a hundred samples whose vectors are further apart than their values."""
    rows = np.flatnonzero(tested)[:100]
    noise = np.random.default_rng(5).normal(size=(2, len(rows), label.max() + 1))
    apart = np.eye(label.max() + 1)[label[rows]]
    encoding = Encoding(*(noise + np.array([1, 6]).reshape(2, 1, 1) * apart).astype(np.float32))
    return Encoded(rows, encoding)


def _importances(rng: np.random.Generator) -> tuple[Importance, ...]:
    values = np.sort(rng.exponential(0.1, 60))[::-1]
    return tuple(
        Importance(MODALITIES[i % 4], f"feature_{i}", float(v), bool(rng.random() < 0.4))
        for i, v in enumerate(values)
    )
