"""Compare models on the same held-out variants, each with the first, by paired bootstrap.

    python benchmarks/compare.py SHARD CONTIG RUN [RUN ...] [--variants 20000]

Prints a Markdown table. The interval of a difference comes from the same draws of loci for both
models; a difference counts only if its interval excludes zero.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from genomix_cli.comparison.bootstrap import Bootstrap, resampling_units
from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.binary import auprc, auroc
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.variants.records.inputs import BIN_SIZE
from genomix_cli.variants.train.dataset import VariantDataset, collate
from genomix_cli.variants.train.task import VariantTask, predict
from genomix_cli.variants.trained import load_model

DRAWS = 1000
BOOSTING = "gradient boosting on tracks"
# Number of variants to train gradient boosting on.
TRAIN = 60_000


def rows_of(shard: Shard, contig: str, most: int) -> np.ndarray:
    """Return labelled rows of a contig: evenly spaced blocks of 500."""
    table = shard.variants
    index = list(shard.contigs).index(contig)
    rows = np.flatnonzero((table.contig == index) & np.isfinite(table.label))
    stretches = np.array_split(rows, max(1, len(rows) // 500))
    keep = np.linspace(0, len(stretches) - 1, max(1, most // 500)).round().astype(int)
    return np.concatenate([stretches[i] for i in np.unique(keep)])


def logits(run: str, shard: Shard, rows: np.ndarray) -> np.ndarray:
    """Return the logits of one model."""
    module = load_model(run).module
    data = VariantDataset(
        shard,
        rows,
        n_bins=module.n_bins,
        core_bins=module.core_bins,
        flank=module.flank,
        max_group=512,
        augment=False,
        seed=0,
    )
    loader = DataLoader(data, collate_fn=collate)
    return predict(VariantTask(module, shard.variants), loader).logit


def boosted_tracks(shard: Shard, contig: str, rows: np.ndarray) -> np.ndarray:
    """Return scores of gradient boosting on track bins, trained on the other contigs."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    table, names = shard.variants, list(shard.contigs)
    others = np.flatnonzero((table.contig != names.index(contig)) & np.isfinite(table.label))
    some = np.sort(np.random.default_rng(0).choice(others, min(TRAIN, len(others)), False))

    def features(which: np.ndarray) -> np.ndarray:
        bins = table.pos[which] // BIN_SIZE
        signal = [
            shard.signal(names[table.contig[row]], b - 3, b + 4).value.ravel()
            for row, b in zip(which, bins, strict=True)
        ]
        return np.stack(signal)

    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(features(some), table.label[some] > 0.5)
    return model.predict_proba(features(rows))[:, 1]


def show(value: Interval) -> str:
    """Return a value with its interval as text."""
    return f"{value.value:.4f} [{value.low:.4f}, {value.high:.4f}]"


def main() -> None:
    """Score the variants with every model, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shard", type=Path)
    parser.add_argument("contig")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--variants", type=int, default=20_000)
    options = parser.parse_args()
    shard = open_shard(options.shard)
    rows = rows_of(shard, options.contig, options.variants)
    table = shard.variants
    label, truth = table.label[rows], table.probability[rows]
    units = resampling_units(table.contig[rows], table.pos[rows])
    bootstrap = Bootstrap(units.ids, DRAWS)
    first = None
    print(f"{len(rows):,} variants, prevalence {label.mean():.4f}, {units.n_units} {units.kind}\n")
    print("| model | AUROC | AUPRC | AUROC of the first less this | AUPRC |\n|---|---|---|---|---|")
    print(f"| Bayes ceiling | {auroc(label, truth):.4f} | {auprc(label, truth):.4f} | | |")
    for run in (*options.runs, BOOSTING):
        if run == BOOSTING:
            score = boosted_tracks(shard, options.contig, rows)
        else:
            score = logits(run, shard, rows)
        scores = [bootstrap.interval(metric, label, score) for metric in (auroc, auprc)]
        cells = [Path(run).name, *map(show, scores), "", ""]
        if first is None:
            first = score
        else:
            less = (bootstrap.difference(metric, label, first, score) for metric in (auroc, auprc))
            cells[3:] = map(show, less)
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
