"""Time and memory of the whole chain on real chr22 input, as a Markdown table.

    python benchmarks/chr22.py DATA_DIR

DATA_DIR holds chr22.fa.gz, variants.chr22.vcf.gz, tracks/ and contacts/ (hg38). Each step runs in
its own process. Times are wall seconds; memory is the peak resident set.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

TRACKS = {
    "ATAC": "acc.K562.chr22.bw",
    "H3K27ac": "derived.K562.H3K27ac.ABCregions.readsPerKb.chr22.bw",
    "CTCF": "lifted.CTCF_ChIP.MACS3test.fragcov.chr22.bw",
}
MODEL = "gmt-mini-sim"
CONTACTS = "rao_chr22_prim.approx_lifted_hg38.50kb.cool"


def run(arguments: list[str]) -> tuple[float, float]:
    """Return seconds and MiB of one ``genomix`` process."""
    start = time.perf_counter()
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "genomix_cli", *arguments])
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"genomix {' '.join(arguments)} ended with {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def inputs(data: Path, work: Path) -> list[str]:
    """Return the options for reference, tracks and contacts."""
    fasta = work / "chr22.fa"
    with gzip.open(data / "chr22.fa.gz", "rb") as packed, fasta.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    options = ["--fasta", str(fasta), "--contacts", str(data / "contacts" / CONTACTS)]
    for name, file in TRACKS.items():
        options += ["--track", f"{name}={data / 'tracks' / file}"]
    return options


def steps(data: Path, work: Path, threads: int) -> dict[str, list[str]]:
    """Return the commands, in order."""
    vcf, common = str(data / "variants.chr22.vcf.gz"), inputs(data, work)
    shard, scored, limit = str(work / "chr22.h5"), str(work / "scored.vcf"), str(threads)
    explained = str(work / "explained.tsv")
    return {
        "prepare": ["prepare", "variants", "--vcf", vcf, *common, "-o", shard],
        "score": [
            *["score", vcf, *common, "-m", MODEL, "-o", scored, "--threads", limit],
            *["--device", "cpu", "--stats", str(work / "stats.json")],
        ],
        "explain": [
            *["explain", scored, *common, "-m", MODEL, "-o", explained, "--top", "2"],
            *["--threads", limit],
        ],
    }


def main() -> None:
    """Run every step and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        print("| step | seconds | peak MiB |\n|---|---|---|")
        for name, command in steps(options.data, work, options.threads).items():
            seconds, memory = run([*command, "-q"])
            print(f"| {name} | {seconds:.1f} | {memory:.0f} |", flush=True)
        print(json.dumps(json.loads((work / "stats.json").read_text()), indent=1))


if __name__ == "__main__":
    main()
