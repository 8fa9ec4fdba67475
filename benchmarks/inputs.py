"""Measure the rate of building model inputs from real chr22 files, as a Markdown table.

    python benchmarks/inputs.py DATA_DIR [--repeats 7]

DATA_DIR holds chr22.fa.gz, variants.chr22.vcf.gz, tracks/ and contacts/ (hg38). Runs on one core.
Every row is timed once in each round, so that a busy machine slows all of them alike; the table has
medians over rounds. "By base" reads pyBigWig's values, the fallback for files whose blocks are
unknown. "One by one" keeps nothing between windows. A shard's windows are views, so their bytes are
not read.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.genome.bigwig import BigWig
from genomix_cli.genome.bigwig_blocks import inflate
from genomix_cli.genome.readahead import ReadAhead
from genomix_cli.genome.source import GenomeSource, RawGenome
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.records.inputs import BIN_SIZE, STRIDE, WINDOW, load_window
from genomix_cli.variants.requests.prepare import PrepareRequest

CONTIG, LENGTH = "chr22", 50_818_468
GENOME_BASES = 3_088_269_832
TRACKS = {
    "ATAC": "acc.K562.chr22.bw",
    "H3K27ac": "derived.K562.H3K27ac.ABCregions.readsPerKb.chr22.bw",
    "CTCF": "lifted.CTCF_ChIP.MACS3test.fragcov.chr22.bw",
}
MORE_TRACKS = {"ATAC 2": TRACKS["ATAC"], "CTCF 2": TRACKS["CTCF"]}
CONTACTS = "rao_chr22_prim.approx_lifted_hg38.50kb.cool"
N_BINS = WINDOW // BIN_SIZE
SPARSE = 10_000_000


class Row(NamedTuple):
    """A timed call, its amount of work, and the row that it is compared with."""

    run: Callable[[], object]
    amount: float
    unit: str
    reference: str | None = None


def inflate_all(track: BigWig) -> None:
    """Read and inflate every block of the contig, and nothing else."""
    blocks = track._blocks
    assert blocks is not None, "not one of the files that are decoded here"
    for _ in blocks._read_blocks(blocks._of_contig(track._numbers[CONTIG])):
        pass


def values_of_bases(track: BigWig) -> None:
    """Read the values of every base with pyBigWig, without binning."""
    for start in range(0, LENGTH, 10_000_000):
        track._file.values(CONTIG, start, min(start + 10_000_000, LENGTH), numpy=True)


def without_blocks(path: Path) -> BigWig:
    """Return a track that is read base by base."""
    track = BigWig(path)
    track._blocks = None
    return track


def bin_rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield rows that bin whole bigWigs."""
    n = -(-LENGTH // BIN_SIZE)
    for path in sorted(folder.glob("*.bw")):
        track, by_base = BigWig(path), without_blocks(path)
        name, mb = f"bins of {path.name}", LENGTH / 1e6
        yield f"{name}: inflate alone", Row(lambda t=track: inflate_all(t), mb, "Mb/s")
        reference = f"{name}: inflate alone"
        yield name, Row(lambda t=track: t.bins(CONTIG, 0, n), mb, "Mb/s", reference)
        values = f"{name}: pyBigWig values"
        yield values, Row(lambda t=track: values_of_bases(t), mb, "Mb/s", name)
        yield f"{name}: by base", Row(lambda t=by_base: t.bins(CONTIG, 0, n), mb, "Mb/s", name)


def raw_genome(data: Path, fasta: Path, tracks: dict[str, str]) -> RawGenome:
    """Return the files opened as `score` reads them."""
    paths = {name: data / "tracks" / file for name, file in tracks.items()}
    contacts = data / "contacts" / CONTACTS
    return RawGenome(fasta, paths, None, contacts, uncovered="missing", max_gap_bins=4)


def windows(source: GenomeSource, starts: range) -> Callable[[], None]:
    """Return a call that loads every window, as models read it."""

    def run() -> None:
        for start in starts:
            load_window(source, CONTIG, start, N_BINS)

    return run


def one_by_one(source: RawGenome) -> RawGenome:
    """Make a genome read windows one by one and tracks by base."""
    for track in source._raw.values():
        track.file._blocks = None
        track._ahead = ReadAhead(track._read, 0)
    source.fasta._ahead = ReadAhead(source.fasta._read, 0)
    return source


def window_rows(data: Path, work: Path) -> Iterator[tuple[str, Row]]:
    """Yield rows that load windows in genome order, and windows far apart."""
    walk, apart = range(0, LENGTH - WINDOW, STRIDE), range(0, LENGTH - WINDOW, SPARSE)
    plain, packed = work / "chr22.fa", work / "chr22.fa.gz"
    sources = {
        "3 tracks": raw_genome(data, plain, TRACKS),
        "3 tracks, bgzipped FASTA": raw_genome(data, packed, TRACKS),
        "5 tracks": raw_genome(data, plain, TRACKS | MORE_TRACKS),
    }
    for name, source in sources.items():
        yield f"windows, {name}", Row(windows(source, walk), len(walk), "windows/s")
    for many, tracks in (("3", TRACKS), ("5", TRACKS | MORE_TRACKS)):
        before, now = one_by_one(raw_genome(data, plain, tracks)), sources[f"{many} tracks"]
        name = f"windows, {many} tracks"
        yield (
            f"{name}: one by one, by base",
            Row(windows(before, walk), len(walk), "windows/s", name),
        )
        name = f"windows 10 Mb apart, {many} tracks"
        yield name, Row(windows(now, apart), len(apart), "windows/s")
        yield (
            f"{name}: one by one, by base",
            Row(windows(before, apart), len(apart), "windows/s", name),
        )


def shard_rows(data: Path, work: Path) -> Iterator[tuple[str, Row]]:
    """Yield rows that load the same windows from a shard."""
    for many, tracks in (("3", TRACKS), ("5", TRACKS | MORE_TRACKS)):
        path = work / f"{many}.h5"
        prepare_variants(
            PrepareRequest(
                vcf=data / "variants.chr22.vcf.gz",
                fasta=work / "chr22.fa",
                output=path,
                tracks={name: data / "tracks" / file for name, file in tracks.items()},
                contacts=data / "contacts" / CONTACTS,
            )
        )
        shard = open_shard(path)
        blocks = np.array(shard._contigs[CONTIG].blocks)
        start, end, _ = blocks[np.argmax(blocks[:, 1] - blocks[:, 0])].tolist()
        starts = range(start + STRIDE, end - WINDOW, STRIDE // 10)
        yield (
            f"windows of a shard, {many} tracks",
            Row(windows(shard, starts), len(starts), "windows/s"),
        )


def measure(rows: dict[str, Row], repeats: int) -> dict[str, float]:
    """Return the median seconds of each row; every round times all rows once."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for round_ in range(repeats + 1):
        for name, row in rows.items():
            start = time.perf_counter()
            row.run()
            if round_:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def show(rows: dict[str, Row], seconds: dict[str, float]) -> None:
    """Print the table, and the time for a whole genome."""
    print(f"Blocks inflated by `{inflate.__module__}`.\n")
    print("| what | rate | time | against |\n|---|---|---|---|")
    for name, row in rows.items():
        ratio = ""
        if row.reference is not None:
            ratio = f"{seconds[name] / seconds[row.reference]:.2f} times `{row.reference}`"
        rate = row.amount / seconds[name]
        print(f"| {name} | {rate:,.0f} {row.unit} | {1e3 * seconds[name]:.1f} ms | {ratio} |")
    whole = seconds[f"bins of {TRACKS['ATAC']}"] * GENOME_BASES / LENGTH
    n = GENOME_BASES / STRIDE
    print(f"\nA whole genome at these rates: {whole:.1f} s for one track to bins,", end=" ")
    for name in ("windows, 3 tracks", "windows, 5 tracks"):
        print(f"{n * seconds[name] / rows[name].amount:.0f} s for {n:,.0f} {name},", end=" ")
    name = "windows of a shard, 5 tracks"
    print(f"{n * seconds[name] / rows[name].amount:.1f} s for as many {name}.")


def prepare_fasta(data: Path, work: Path) -> None:
    """Write the reference, plain and bgzipped."""
    import pysam

    with gzip.open(data / "chr22.fa.gz") as packed, (work / "chr22.fa").open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    pysam.tabix_compress(str(work / "chr22.fa"), str(work / "chr22.fa.gz"))


def main() -> None:
    """Time all rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare_fasta(options.data, work)
        rows = {
            **dict(bin_rows(options.data / "tracks")),
            **dict(window_rows(options.data, work)),
            **dict(shard_rows(options.data, work)),
        }
        show(rows, measure(rows, options.repeats))


if __name__ == "__main__":
    main()
