"""Evaluate a trained model on held-out variants: metrics, controls, and a table of predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import Bootstrap, resampling_units
from genomix_cli.comparison.metrics import binary
from genomix_cli.comparison.tables import plain
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.learning.calibration import Platt
from genomix_cli.variants.train.controls import CONTROLS
from genomix_cli.variants.train.dataset import Batch
from genomix_cli.variants.train.splits import Rows
from genomix_cli.variants.train.task import Predictions, VariantTask, predict

BOOTSTRAPS = 200
# Largest number of variants to run the controls on.
CONTROL_VARIANTS = 8_000

BINARY = {
    "auroc": binary.auroc,
    "auprc": binary.auprc,
    "brier": binary.brier,
    "ece": binary.calibration_error,
}
QUANTITATIVE = {"pearson": binary.pearson, "spearman": binary.spearman}


def frame(shard: Shard, part: str, predictions: Predictions, platt: Platt) -> pd.DataFrame:
    """Return predictions as a table with one row per variant; `pos` is 1-based."""
    table, rows = shard.variants, predictions.row
    known = ("group", "label", "effect", "probability")
    columns = {
        **allele_columns(shard, rows),
        **{name: getattr(table, name)[rows] for name in known},
    }
    scores = {"logit": predictions.logit, "score": platt.apply(predictions.logit)}
    return pd.DataFrame({"part": part, **columns, **scores})


def allele_columns(shard: Shard, rows: Rows) -> dict[str, NDArray[Any]]:
    """Return columns that identify alleles, trimmed as stored in the shard; `pos` is 1-based."""
    table = shard.variants
    return {
        "contig": np.array(list(shard.contigs))[table.contig[rows]],
        "pos": table.pos[rows] + 1,
        "ref": np.char.decode(table.ref[rows]),
        "alt": np.char.decode(table.alt[rows]),
        "tissue": np.array([*shard.tissues, ""])[table.tissue[rows]],
    }


def metrics_of(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return each metric that the labels of :func:`frame` allow, with its interval.

    The Bayes ceiling is included if the true probabilities are known.
    """
    units = resampling_units(table["contig"].to_numpy(), table["pos"].to_numpy())
    metrics: dict[str, Any] = {"variants": len(table), "intervals_by": units.kind}
    known = np.isfinite(table["label"].to_numpy())
    if known.any():
        metrics |= dict(_binary(table[known], units.ids[known], seed))
    measured = np.isfinite(table["effect"].to_numpy())
    if measured.any():
        metrics |= dict(_quantitative(table[measured], units.ids[measured], seed))
    return metrics


def _binary(table: pd.DataFrame, units: Rows, seed: int) -> Iterator[tuple[str, Any]]:
    label, score = table["label"].to_numpy(), table["score"].to_numpy()
    truth = table["probability"].to_numpy()
    yield "labelled", len(table)
    yield "prevalence", float((label > 0.5).mean())
    bootstrap = Bootstrap(units, BOOTSTRAPS, seed)
    for name, function in BINARY.items():
        yield name, plain(bootstrap.interval(function, label, score))
        if np.isfinite(truth).all():
            yield f"bayes_{name}", function(label, truth)
    group = table["group"].to_numpy()
    if len(np.unique(group)) > 1:  # with a single group it would equal the AUROC
        ranking = partial(binary.ranking_accuracy, groups=group)
        yield "ranking_accuracy", plain(bootstrap.interval(ranking, label, score))


def _quantitative(table: pd.DataFrame, units: Rows, seed: int) -> Iterator[tuple[str, Any]]:
    effect, logit = table["effect"].to_numpy(), table["logit"].to_numpy()
    yield "measured", len(table)
    bootstrap = Bootstrap(units, BOOTSTRAPS, seed)
    for name, function in QUANTITATIVE.items():
        yield name, plain(bootstrap.interval(function, effect, logit))
    yield "ranking", binary.ranking_accuracy(effect, logit, table["group"].to_numpy())


def controls(
    task: VariantTask, shard: Shard, rows: Rows, loader: Callable[[], Iterable[Batch]], seed: int
) -> dict[str, Any]:
    """Return the AUROC of labelled rows, without alteration and under each control."""
    table = shard.variants
    units = resampling_units(table.contig[rows], table.pos[rows])
    bootstrap = Bootstrap(units.ids, BOOTSTRAPS, seed)
    results: dict[str, Any] = {"variants": len(rows)}
    for name, alter in {"as_is": lambda batch: batch, **CONTROLS}.items():
        logit = predict(task, loader(), alter).logit
        results[name] = plain(bootstrap.interval(binary.auroc, table.label[rows], logit))
    return results
