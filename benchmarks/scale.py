"""Whether `genomix score` keeps up and stays small, as a Markdown table.

    python benchmarks/scale.py [--records 1000000] [--threads 1]

Made-up input and a model of almost no size, so that everything else is what is measured: peak
memory at 10 thousand and at `--records` variants, and how fast records go through when none of
them can be scored. Each run is a process of its own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from chr22 import run

from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.trained import ModelConfig, arch_of, save_model

LENGTH = 30_000_000
SPACING = 30
FEW = 10_000
HEADER = (
    "##fileformat=VCFv4.3\n"
    f"##contig=<ID=chr1,length={LENGTH}>\n"
    '##ALT=<ID=DEL,Description="Deletion">\n'
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="Count">\n'
    '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)


def write_genome(path: Path) -> str:
    """A FASTA of one contig of random bases; returns them."""
    bases = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), LENGTH)
    text = bases.tobytes().decode()
    lines = (text[i : i + 60] for i in range(0, LENGTH, 60))
    path.write_text(">chr1\n" + "\n".join(lines) + "\n")
    return text


def write_model(folder: Path) -> None:
    """A GMT without tracks, as small as it can be."""
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = GMT(
            GMTConfig(
                (), n_bins=400, d_model=16, n_layers=1, n_heads=2, d_sequence=8, d_local=8,
                fusion_layers=0,
            )
        )  # fmt: skip
    save_model(folder, module, ModelConfig("gmt", arch_of(module), ()))


def records(bases: str, count: int, alt: str | None) -> Iterator[str]:
    """An SNV every 30 bases, or what `alt` says in its place."""
    for i in range(count):
        pos = 1 + SPACING * i
        ref = bases[pos - 1]
        other = alt or "ACGT"["ACGT".index(ref) - 1]
        info = f"AC={i % 50};AF={i % 997 / 1000}"
        yield f"chr1\t{pos}\trs{1_000_000 + i}\t{ref}\t{other}\t50\tPASS\t{info}\n"


def write_vcf(path: Path, bases: str, count: int, alt: str | None = None) -> Path:
    """A VCF, compressed by its name."""
    data = (HEADER + "".join(records(bases, count, alt))).encode()
    path.write_bytes(gzip.compress(data, 6) if path.suffix == ".gz" else data)
    return path


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=LENGTH // SPACING)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        bases = write_genome(work / "genome.fa")
        write_model(work / "model")
        stats = work / "stats.json"
        common = ["--fasta", str(work / "genome.fa"), "-m", str(work / "model"), "-q"]
        common += ["--threads", str(options.threads), "--device", "cpu", "--stats", str(stats)]
        jobs: list[tuple[str, int, str | None, str, str]] = [
            ("SNVs, scored", FEW, None, "in.vcf", "out.vcf.gz"),
            ("SNVs, scored", options.records, None, "in.vcf", "out.vcf.gz"),
            ("nothing to score", options.records, "<DEL>", "in.vcf", "out.vcf"),
            ("nothing to score", options.records, "<DEL>", "in.vcf", "out.vcf.gz"),
            ("nothing to score", options.records, "<DEL>", "in.vcf.gz", "out.vcf.gz"),
        ]
        print("| what | in | out | records | records/s | peak MiB |\n|---|---|---|---|---|---|")
        for what, count, alt, given, wanted in jobs:
            vcf = write_vcf(work / given, bases, count, alt)
            _, memory = run(["score", str(vcf), "-o", str(work / wanted), *common])
            done = json.loads(stats.read_text())
            rate = done["records"] / done["seconds"]["all"]
            forms = f"{given.partition('.')[2]} | {wanted.partition('.')[2]}"
            print(f"| {what} | {forms} | {count:,} | {rate:,.0f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
