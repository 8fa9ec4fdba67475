"""Compare predicted with true profiles on a simulated genome whose motifs leave footprints.

    python benchmarks/profiles.py WORK [--seed N]

The script makes a genome of 1 Mb with two motifs on either strand, broken copies of them, and reads
of two strands around the intact ones. It prepares the genome, trains a BPNet with a held-out
contig, and scores variants. The true rate of every base is known, so the best possible result is a
row of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import torch

from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.formats.sequences import open_sequences
from genomix_cli.sequences.profile.results import fit
from genomix_cli.sequences.profile.windows import middle, observed

CONTIGS, LENGTH, WINDOW, PROFILE = ("chr1", "chr2", "chr3", "chr4"), 250_000, 400, 320
TEST = "chr4"
MOTIFS = ("TGACTCAG", "CCACCAGGGG")
BASES = np.array(list("ACGT"))
BACKGROUND, SPACING = 0.02, 500
# Reads of an intact motif, and bases from its middle to the summits of the two strands.
READS, SUMMIT, SPREAD = (40.0, 80.0), (6, 15), 4.0


def complement(letters: str) -> str:
    """Return the other strand."""
    return letters[::-1].translate(str.maketrans("ACGT", "TGCA"))


def plant(rng: np.random.Generator) -> np.ndarray:
    """Return random DNA with a motif, intact or broken, about every 500 bases."""
    dna = rng.choice(BASES, LENGTH, p=(0.29, 0.21, 0.21, 0.29))
    for start in range(200, LENGTH - 200, SPACING):
        motif = list(MOTIFS[rng.integers(2)])
        if rng.random() < 0.5:
            at = rng.integers(2, len(motif) - 2)
            motif[at] = complement(motif[at])
        word = "".join(motif)
        word = word if rng.random() < 0.5 else complement(word)
        at = start + rng.integers(0, 300)
        dna[at : at + len(word)] = list(word)
    return dna


def rates(dna: str) -> np.ndarray:
    """Return the true rates, the expected reads of each strand and base ``[2, bases]``."""
    rate = np.full((2, len(dna)), BACKGROUND)
    at = np.arange(len(dna))
    for motif, reads, summit in zip(MOTIFS, READS, SUMMIT, strict=True):
        for word, turned in ((motif, False), (complement(motif), True)):
            start = dna.find(word)
            while start >= 0:
                middle = start + len(word) / 2
                near = slice(max(0, int(middle) - 60), int(middle) + 60)
                # The second strand has fewer reads, so that motifs differ between strands.
                for strand, side, share in ((0, -1, 0.7), (1, 1, 0.3)):
                    strand, side = (1 - strand, -side) if turned else (strand, side)
                    kernel = np.exp(-(((at[near] - middle - side * summit) / SPREAD) ** 2) / 2)
                    rate[strand, near] += reads * share * kernel / kernel.sum()
                start = dna.find(word, start + 1)
    return rate


def write(work: Path, dna: dict[str, str], counts: dict[str, np.ndarray]) -> None:
    """Write the FASTA and a bigWig for each strand."""
    fasta = "".join(f">{name}\n{letters}\n" for name, letters in dna.items())
    (work / "genome.fa").write_text(fasta)
    for strand, name in enumerate(("plus", "minus")):
        with pyBigWig.open(str(work / f"{name}.bw"), "w") as file:
            file.addHeader([(contig, LENGTH) for contig in dna])
            for contig, values in counts.items():
                file.addEntries(contig, 0, values=values[strand].tolist(), span=1, step=1)


def run(*words: object) -> float:
    """Run a command; return its seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "genomix_cli", *map(str, words)], check=True)
    return time.perf_counter() - started


def truth(work: Path, rate: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """Return rows of metrics for the true rates on the held-out windows."""
    data = open_sequences(work / "windows.h5")
    data = data.take(data.split == "test")
    assert data.windows is not None
    assert data.profiles is not None
    beside = (WINDOW - PROFILE) // 2
    expected = np.stack(
        [rate[TEST][:, s + beside : s + beside + PROFILE] for s in data.windows.start.tolist()]
    )
    seen = observed(middle(torch.from_numpy(np.array(data.profiles.signal)), PROFILE))
    gain, jsd = fit(torch.from_numpy(expected).log(), seen)
    rows = []
    for k, name in enumerate(data.profiles.names):
        total, reads = np.log1p(expected[:, k].sum(-1)), seen.total[:, k].numpy()
        values = {
            "pearson": pearson(np.log1p(reads), total),
            "gain": float(gain[:, k].sum() / reads.sum()),
            "jsd": float(jsd[:, k].nanmean()),
        }
        rows += [
            {"output": name, "model": "truth", "metric": m, "value": v} for m, v in values.items()
        ]
    return rows


def variants(work: Path, dna: str, rng: np.random.Generator) -> pd.DataFrame:
    """Write SNVs of the held-out contig, half of them in motifs; return their true changes."""
    inside = {
        start + i
        for motif in MOTIFS
        for word in (motif, complement(motif))
        for start in range(300, LENGTH - 300)
        if dna.startswith(word, start)
        for i in range(len(word))
    }
    chosen = {
        *rng.choice(sorted(inside), 500, replace=False).tolist(),
        *rng.integers(300, LENGTH - 300, 500).tolist(),
    }
    rows, half = [], PROFILE // 2
    for pos in sorted(chosen):
        alt = str(rng.choice([base for base in "ACGT" if base != dna[pos]]))
        near = dna[pos - 300 : pos + 300]
        other = near[:300] + alt + near[301:]
        ref_rate, alt_rate = (
            rates(each)[:, 300 - half : 300 + half].sum(1) for each in (near, other)
        )
        rows.append((TEST, pos + 1, dna[pos], alt, *(np.log1p(alt_rate) - np.log1p(ref_rate))))
    lines = [f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t." for c, p, r, a, *_ in rows]
    head = f"##fileformat=VCFv4.2\n##contig=<ID={TEST},length={LENGTH}>\n"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (work / "variants.vcf").write_text(head + columns + "\n".join(lines) + "\n")
    return pd.DataFrame(rows, columns=["contig", "pos", "ref", "alt", "plus", "minus"])


def main() -> None:
    """Run all steps, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=20261130, help="seed of the genome")
    options = parser.parse_args()
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    dna = {name: "".join(plant(rng)) for name in CONTIGS}
    rate = {name: rates(letters) for name, letters in dna.items()}
    write(work, dna, {name: rng.poisson(each).astype(float) for name, each in rate.items()})
    run(
        *("prepare", "sequences", work / "genome.fa", "--window", WINDOW, "--top", 1, "--profiles"),
        *("-t", f"plus={work / 'plus.bw'}", "-t", f"minus={work / 'minus.bw'}"),
        *("--strands", "plus,minus", "--test-contigs", TEST, "--valid-contigs", "chr3"),
        *("-o", work / "windows.h5", "--force"),
    )
    seconds = run(
        *("train", work / "windows.h5", "--task", "profile", "-o", work / "run", "--seed", 1),
        *("--epochs", 15, "--threads", 1, "--device", "cpu"),
    )
    true_changes = variants(work, dna[TEST], rng)
    run(
        *("score", work / "variants.vcf", "-f", work / "genome.fa", "-m", work / "run"),
        *("-o", work / "scored.vcf", "--device", "cpu"),
    )
    rows = pd.read_csv(work / "run" / "models.tsv", sep="\t")
    rows = pd.concat([rows, pd.DataFrame(truth(work, rate))])
    print(rows.to_string(index=False))
    with pysam.VariantFile(str(work / "scored.vcf")) as file:
        records = list(file)
    for name in ("plus", "minus"):
        found = np.array([record.info[f"GENOMIX_DA_{name}"][0] for record in records])
        real = true_changes[name].to_numpy()
        changed = real != 0
        parts = {"all": real == real, "that change it": changed, "others": ~changed}
        for part, some in parts.items():
            error = np.sqrt(np.mean((found - real)[some] ** 2))
            r = pearson(real[some], found[some])
            print(f"change of {name} in {some.sum()} SNVs {part}: r {r:.3f}, rms {error:.3f}")
    print(f"training: {seconds:.0f} s")


if __name__ == "__main__":
    main()
