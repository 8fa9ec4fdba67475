"""Measure how much each setting of `genomix score` changes scores, as a Markdown table.

    python benchmarks/settings.py VARIANTS.vcf --config GENOMIX.toml [-n 300]
    python benchmarks/settings.py VARIANTS.vcf [-n 300] --fasta GENOME.fa --track ATAC=A.bw ...

Scores the same variants, evenly spaced in the file, with shared windows (the default for many
variants) and with each setting in turn. `P` is GENOMIX_P, `DL` is GENOMIX_DL.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from genomix_cli.genome.vcf.reader import VcfReader

SETTINGS = {
    "--mode centred": ["--mode", "centred"],
    "--both-strands": ["--mode", "shared", "--both-strands"],
    "--precision bf16": ["--mode", "shared", "--precision", "bf16"],
}


def sample(vcf: Path, count: int, target: Path) -> None:
    """Write about `count` records, evenly spaced in the file."""
    with VcfReader(vcf) as reader:
        lines = ["\t".join(record.fields) for record in reader]
        rows = np.unique(np.linspace(0, len(lines) - 1, count).round().astype(int))
        target.write_text(str(reader.header) + "".join(f"{lines[i]}\n" for i in rows))


def scores(vcf: Path, options: list[str], work: Path) -> pd.DataFrame:
    """Return the table of scores."""
    output = work / "scores.tsv"
    command = [sys.executable, "-m", "genomix_cli", "score", str(vcf), "-o", str(output), "-q"]
    subprocess.run([*command, "--device", "cpu", *options], check=True, stderr=subprocess.DEVNULL)
    return pd.read_csv(output, sep="\t", na_values=".", comment="#")


def main() -> None:
    """Run every setting and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vcf", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("-n", type=int, default=300)
    asked, options = parser.parse_known_args()  # pass the other options to genomix score
    options += ["--config", str(asked.config)] if asked.config else []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sample(asked.vcf, asked.n, work / "sample.vcf")
        usual = scores(work / "sample.vcf", [*options, "--mode", "shared"], work)
        print(f"{len(usual)} alleles; P from {usual.GENOMIX_P.min():.3f} to", end=" ")
        print(f"{usual.GENOMIX_P.max():.3f}\n")
        print("| against shared windows | Spearman P | largest P | mean P | Spearman DL |")
        print("|---|---|---|---|---|")
        for setting, more in SETTINGS.items():
            other = scores(work / "sample.vcf", [*options, *more], work)
            change = (other.GENOMIX_P - usual.GENOMIX_P).abs()
            ranks = [usual[k].corr(other[k], "spearman") for k in ("GENOMIX_P", "GENOMIX_DL")]
            figures = [ranks[0], change.max(), change.mean(), ranks[1]]
            print(f"| `{setting}` | " + " | ".join(f"{f:.4f}" for f in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
