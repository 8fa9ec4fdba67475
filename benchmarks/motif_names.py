"""Measure how often `genomix explain --motifs` names the motif that a variant breaks.

    python benchmarks/motif_names.py FOLDER [--alleles 150] [--motifs consensus] [--baseline ref]

The script writes a simulated genome (2 x 1 Mb, seed 4711) and its scores by `gmt-mini-sim` to
FOLDER, unless they exist. True positives are alleles that break a planted motif at an open site,
have label 1 and a probability of at least .5. `--alleles` of them, evenly spread through the
genome, are explained with few steps (attributions need not be complete to name a motif).

Prints, as Markdown: true positives by planted motif, the share for which the motif is named first,
and the share for which it is named at all.
"""

from __future__ import annotations

import argparse
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pysam

SEED, QUICK = 4711, ("--steps", "16", "--allow-incomplete")


def genomix(*words: object) -> None:
    """Run a command."""
    subprocess.run(["genomix", *map(str, words)], check=True)


def true_positives(scored: Path) -> Iterator[tuple[str, str]]:
    """Yield name and planted motif of each true positive."""
    with pysam.VariantFile(str(scored)) as file:
        for record in file:
            for i, alt in enumerate(record.alts or ()):
                info = {key: record.info[key][i] for key in ("LABEL", "BREAK", "MOTIF")}
                p = record.info["GENOMIX_P"][i]
                if info["LABEL"] and info["BREAK"] > 0.5 and record.info["OPEN"] and p and p >= 0.5:
                    yield f"{record.chrom}:{record.pos}:{record.ref}:{alt}", info["MOTIF"]


def main() -> None:
    """Explain the true positives and count the motifs that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--alleles", type=int, default=150)
    parser.add_argument("--motifs", default="consensus")
    parser.add_argument("--baseline", default="ref")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    genome, scored = options.folder / "genome", options.folder / "scored.vcf"
    if not genome.exists():
        size = ("--contigs", 2, "--contig-length", "1M", "--variants-per-kb", 2)
        size += ("--placement", "sites", "--seed", SEED)
        genomix("simulate", "genome", genome, *size)
    config = ("--config", genome / "genomix.toml")
    if not scored.exists():
        genomix("score", genome / "variants.vcf.gz", *config, "-o", scored)
    positives = list(true_positives(scored))
    chosen = np.linspace(0, len(positives) - 1, min(options.alleles, len(positives)))
    planted = dict(positives[i] for i in chosen.round().astype(int))
    table = options.folder / f"motifs_{options.baseline}.tsv"
    genomix(
        *("explain", scored, *config, *QUICK, "--max-variants", len(planted), "--force"),
        *("--motifs", options.motifs, "--motif-table", table, "--baseline", options.baseline),
        *("--motif-summary", options.folder / f"enriched_{options.baseline}.tsv"),
        *("-o", options.folder / "why.tsv"),
        *(word for name in planted for word in ("--variants", name)),
    )
    report(planted, pd.read_csv(table, sep="\t", comment="#"))


def report(planted: dict[str, str], named: pd.DataFrame) -> None:
    """Print how often the planted motif is named."""
    named["right"] = named.factor == named.variant.map(planted)
    first = set(named.variant[named.right & (named["rank"] == 1)])
    listed = set(named.variant[named.right])
    by_motif = defaultdict(list)
    for name, motif in planted.items():
        by_motif[motif].append((name in first, name in listed))
    rows = {motif: np.array(pairs) for motif, pairs in sorted(by_motif.items())}
    rows["all"] = np.concatenate(list(rows.values()))
    print("| planted motif | true positives | named first | named |\n|---|---|---|---|")
    for motif, pairs in rows.items():
        share = pairs.mean(0)
        print(f"| {motif} | {len(pairs)} | {share[0]:.3f} | {share[1]:.3f} |")


if __name__ == "__main__":
    main()
