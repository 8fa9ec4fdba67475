"""Compare runs on the same held-out variants, from their predictions.tsv, with the first run.

    python benchmarks/paired.py RUN RUN [RUN ...]

Prints a Markdown table for the variants that all runs tested: AUROC and AUPRC with 95 % intervals
over loci of 100 kb, the first run minus each other run under the same draws, the Bayes ceiling if
it is known, and how much of the gap between another run and the ceiling the first run closes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from genomix_cli.comparison.bootstrap import Bootstrap, resampling_units
from genomix_cli.comparison.intervals import Interval, interval_of
from genomix_cli.comparison.metrics.binary import auprc, auroc

DRAWS = 1000
KEYS = ["contig", "pos", "ref", "alt"]


def predictions(run: str) -> pd.DataFrame:
    """Return the labelled variants of the test part, sorted."""
    types = {"ref": str, "alt": str}
    path = Path(run) / "predictions.tsv"
    table = pd.read_csv(path, sep="\t", dtype=types, keep_default_na=False, na_values={"label": ""})
    table = table[(table["part"] == "test") & table["label"].notna()]
    return table.sort_values(KEYS).reset_index(drop=True)


def show(value: Interval) -> str:
    """Return a value with its interval as text."""
    return f"{value.value:.4f} [{value.low:.4f}, {value.high:.4f}]"


def main() -> None:
    """Read the predictions, compare them, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+")
    tables = {Path(run).name: predictions(run) for run in parser.parse_args().runs}
    indexed = [table.set_index(KEYS).index for table in tables.values()]
    common = indexed[0]
    for other in indexed[1:]:
        common = common.intersection(other)
    tables = {run: table.set_index(KEYS).loc[common].reset_index() for run, table in tables.items()}
    (name, first), *_ = tables.items()
    label, ours = first["label"].to_numpy(), first["logit"].to_numpy()
    units = resampling_units(first["contig"].to_numpy(), first["pos"].to_numpy())
    truth = pd.to_numeric(first["probability"], errors="coerce").to_numpy()
    known = bool(np.isfinite(truth).all())
    bootstrap = Bootstrap(units.ids, DRAWS)
    # AUPRC takes ties together, so break ties of the true probabilities at random.
    coin = truth + 1e-9 * np.random.default_rng(0).random(len(truth))
    print(f"{len(first):,} variants, prevalence {label.mean():.4f}, {units.n_units} {units.kind}\n")
    print(f"| model | AUROC | AUPRC | AUROC of {name} less this | of the gap to the ceiling |")
    print("|---|---|---|---|---|")
    if known:
        print(f"| Bayes ceiling | {auroc(label, truth):.4f} | {auprc(label, coin):.4f} | | |")
    for run, table in tables.items():
        score = table["logit"].to_numpy()
        scores = [bootstrap.interval(metric, label, score) for metric in (auroc, auprc)]
        less, closed = "", ""
        if run != name:
            less = show(bootstrap.difference(auroc, label, ours, score))
            if known:
                closed = show(share(label, ours, score, truth, bootstrap))
        print(f"| {run} | {show(scores[0])} | {show(scores[1])} | {less} | {closed} |")


def share(
    label: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    ceiling: np.ndarray,
    bootstrap: Bootstrap,
) -> Interval:
    """Return (ours - theirs) / (ceiling - theirs) in AUROC, under the same draws of loci."""

    def closed(w: np.ndarray) -> float:
        a, b, c = (auroc(label, s, weights=w) for s in (ours, theirs, ceiling))
        return (a - b) / (c - b)

    return interval_of(bootstrap.replicates(closed))


if __name__ == "__main__":
    main()
