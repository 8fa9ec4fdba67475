"""Cross-validation: each variant is tested once, by a model that never saw its locus."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from genomix_cli.errors import GenomixError, UsageError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.genome.tables import open_table
from genomix_cli.genome.vcf.regions import Regions
from genomix_cli.learning.devices import resolve_device
from genomix_cli.provenance import Provenance
from genomix_cli.variants.records.inputs import BIN_SIZE, least_distance
from genomix_cli.variants.requests.train import HoldOut, TrainRequest
from genomix_cli.variants.train.held_out import metrics_of
from genomix_cli.variants.train.multiqc import write_multiqc
from genomix_cli.variants.train.splits import (
    Folds,
    GenomeSplit,
    HeldOutRegions,
    labelled_rows,
    make_folds,
)
from genomix_cli.variants.train.supervised import (
    initial_module,
    labelled_parts,
    plain,
    train_variants,
    write_predictions,
)

log = logging.getLogger("genomix")

RECORD = "cross_validation.json"
# Text columns of predictions.
TEXT = ["part", "contig", "ref", "alt", "tissue"]
MEANS = (
    *("auroc", "auprc", "ranking_accuracy", "brier", "ece"),
    *("pearson", "spearman", "ranking"),
)


def cross_validate(request: TrainRequest, n_folds: int, by: str) -> dict[str, Any]:
    """Train one model per fold, tested on that fold and early-stopped on the next.

    Writes a run folder per fold (``fold-0``, ...), ``fold-0.bed``, ..., ``predictions.tsv`` of all
    folds, and ``metrics.json``: metrics per fold, their mean and standard deviation over folds, and
    metrics of the pooled predictions with bootstrap intervals.

    Parameters
    ----------
    request : TrainRequest
        Request without held-out parts.
    n_folds : int
    by : str
        ``contig``, or the length of the blocks to assign to folds, such as ``1Mb``.

    Raises
    ------
    UsageError
        If held-out parts are given as well, or there are fewer units than folds.
    DataError
        As in `genomix_cli.variants.train.supervised.train_variants`; also if a fold has no
        positives.
    """
    if request.held_out != HoldOut():
        raise UsageError(
            "the folds already determine what is held out",
            where="--hold-out",
            hint="remove --valid-contigs, --test-contigs and the regions",
        )
    shard = open_shard(request.shard)
    folds = _folds(shard, n_folds, by)
    _check_folds(shard, folds, request)
    paths = _open_folder(request, folds, by)
    results = []
    for i in range(n_folds):
        log.info("fold %d of %d", i + 1, n_folds)
        held_out = HoldOut(valid_regions=paths[(i + 1) % n_folds], test_regions=paths[i])
        folder = request.output / f"fold-{i}"
        done = folder / "metrics.json"
        if not (request.resume and done.is_file()):
            resume = request.resume and (folder / "train.json").is_file()
            fold = replace(request, output=folder, held_out=held_out, resume=resume)
            train_variants(fold)
        results.append(folder)
    return _summarise(request, results)


def _folds(shard: Shard, n_folds: int, by: str) -> Folds:
    table, usable = shard.variants, labelled_rows(shard)
    names = np.array(list(shard.contigs))[table.contig[usable]]
    return make_folds(n_folds, by, names, table.pos[usable], shard.contigs)


def _check_folds(shard: Shard, folds: Folds, request: TrainRequest) -> None:
    """Refuse folds that one of the trainings would refuse, before hours of work on the others."""
    resolve_device(request.device)
    with torch.random.fork_rng():
        module = initial_module(shard, request)
    margin = least_distance(module.n_bins * BIN_SIZE, module.flank)
    held = [HeldOutRegions(Regions(list(fold))) for fold in folds.members]
    for i in range(len(held)):
        split = GenomeSplit(valid=held[(i + 1) % len(held)], test=held[i])
        try:
            labelled_parts(split, shard, request, margin)
        except GenomixError as error:
            if error.where is None:
                error.where = f"fold {i + 1} of {len(held)}"
                error.hint = "use fewer folds, or blocks of another length (--fold-by)"
            raise


def _open_folder(request: TrainRequest, folds: Folds, by: str) -> list[Path]:
    provenance = Provenance.of(
        {**plain(request), "folds": len(folds.members), "fold_by": by},
        {"shard": request.shard},
        request.seed,
    )
    RunFolder.open(request.output, provenance, resume=request.resume, record=RECORD)
    return folds.write(request.output)


def _summarise(request: TrainRequest, folders: list[Path]) -> dict[str, Any]:
    tables = []
    for i, folder in enumerate(folders):
        with open_table(folder / "predictions.tsv") as text:
            table = text.frame()
        columns = table.columns.difference(list(TEXT))
        table[columns] = table[columns].apply(pd.to_numeric)
        tables.append(table.assign(fold=i)[table["part"] == "test"])
    pooled = pd.concat(tables)
    write_predictions(request.output / "predictions.tsv", [pooled])
    by_fold = [metrics_of(table, request.seed) for table in tables]
    metrics = {
        "test": metrics_of(pooled, request.seed),
        "mean": _over_folds(by_fold),
        "folds": by_fold,
    }
    RunFolder(request.output).write_json("metrics.json", metrics)
    write_multiqc(metrics, request.output)
    return metrics


def _over_folds(by_fold: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return mean and sample standard deviation of each metric over the folds that have it."""
    statistics = {}
    for name in MEANS:
        found = [fold[name] for fold in by_fold if name in fold]
        values = np.array([v["value"] if isinstance(v, dict) else v for v in found], np.float64)
        values = values[np.isfinite(values)]
        if len(values) > 1:
            statistics[name] = {
                "mean": float(values.mean()),
                "sd": float(values.std(ddof=1)),
                "folds": len(values),
            }
    return statistics
