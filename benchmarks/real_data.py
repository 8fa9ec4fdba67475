"""Make one genome of real data: chr22, DHS and MPRA constructs, with tracks, labels and parts.

    python benchmarks/real_data.py DATA WORK

DATA holds hg38_chr22/, dhs_dnadiffusion/, satmut_kircher2019/ and
udacha_allele_specific_accessibility/. Written into WORK:

genome.fa      chr22; dhs_train, dhs_valid (chr2), dhs_test (chr1): sequences of 200 bp, each beside
               its dinucleotide shuffle, 50 N between them; sat_ELEMENT: a construct each
tracks/*.bw    accessibility of K562, GM12878, MCF7, H3K27ac of K562 and CTCF of GM12878 on chr22;
               DNase of K562, hESC, HepG2, GM12878 on the DHS (1 where open in the cell, else 0)
labels.tsv     Kircher: effect |log2|, label 1 at p < 1e-5 and |log2| >= 0.2, 0 at p > 0.1;
               UDACHA on chr22 and in DHS: effect |comb_es|, label 1 at p < 0.01, 0 at p > 0.2
variants.vcf   the alleles of labels.tsv
pretrain.bed, valid.bed, test.bed
               held out in pre-training; for validation and for testing in fine-tuning
Loci are split, not rows: the test part is every fifth Mb of chr22, the DHS of chr1, and every third
of the 21 loci of Kircher in alphabetical order until there are nine experiments.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyBigWig

from genomix_cli.genome.alphabet import decode, encode
from genomix_cli.genome.shuffle import dinucleotide_shuffle

LENGTH, PITCH = 200, 250
PARTS = {"training": "dhs_train", "validation": "dhs_valid", "test": "dhs_test"}
CELLS = {
    "K562_ENCLB843GMH": "K562",
    "hESCT0_ENCLB449ZZZ": "hESC",
    "HepG2_ENCLB029COU": "HepG2",
    "GM12878_ENCLB441ZZZ": "GM12878",
}
TRACKS = {
    "ATAC@K562": "acc.K562.chr22.bw",
    "ATAC@GM12878": "acc.GM12878.chr22.bw",
    "ATAC@MCF7": "acc.MCF7.chr22.bw",
    "H3K27ac@K562": "derived.K562.H3K27ac.ABCregions.readsPerKb.chr22.bw",
    "CTCF@GM12878": "lifted.CTCF_ChIP.MACS3test.fragcov.chr22.bw",
}
UDACHA = {
    "HepG2__hepatoblastoma_.atac.tsv.gz": "HepG2",
    "HepG2__hepatoblastoma_.dnase.tsv.gz": "HepG2",
    "K562__myelogenous_leukemia_.atac.tsv.gz": "K562",
}
# Elements whose assays were all done in one cell line.
HEPG2, K562 = ("F9", "LDLR", "LDLR.2", "SORT1", "SORT1-flip", "SORT1.2"), ("PKLR-24h", "PKLR-48h")
#: Four experiments were done in HEL 92.1.7, an erythroleukaemia line like K562, which other models
#: know (Kircher et al. 2019, table 1).
HEL = ("BCL11A", "GP1BA", "HBB", "HBG1")
CELL = {**dict.fromkeys(HEPG2, "HepG2"), **dict.fromkeys((*K562, *HEL), "K562")}
BLOCK, EVERY = 1_000_000, 5
TEST_EXPERIMENTS = 9
VALID_LOCI = ("F9", "MSMB", "ZFAND3")


class Dhs(NamedTuple):
    """A DHS sequence: its place in hg38 (start -1 if not known exactly), and in our genome."""

    contig: str
    start: int
    sequence: str
    cell: str
    part: str
    slot: int


class Label(NamedTuple):
    """A row of labels.tsv; `pos` is 1-based."""

    contig: str
    pos: int
    ref: str
    alt: str
    label: str
    effect: float
    group: str
    tissue: str


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a gzipped TSV."""
    with gzip.open(path, "rt") as handle:
        yield from csv.DictReader(handle, delimiter="\t")


def read_dhs(data: Path) -> list[Dhs]:
    """Return every DHS, in random order within its part."""
    rng = np.random.default_rng(0)
    file = next((data / "dhs_dnadiffusion").glob("*.txt.gz"))
    rows = list(rows_of(file))
    rng.shuffle(rows)
    slots = dict.fromkeys(PARTS.values(), 0)
    found = []
    for row in rows:
        part = PARTS[row["data_label"]]
        low, high, summit = int(row["start"]), int(row["end"]), int(row["summit"])
        # Around the summit, inside the DHS. For narrower DHS, the authors' rule is not known.
        start = min(max(summit - LENGTH // 2, low), high - LENGTH) if high - low >= LENGTH else -1
        sequence = row["sequence"].upper()
        found.append(Dhs(row["chr"], start, sequence, CELLS[row["TAG"]], part, slots[part]))
        slots[part] += 1
    return found


def write_genome(data: Path, work: Path, dhs: list[Dhs]) -> dict[str, int]:
    """Write the FASTA; return the length of each contig."""
    rng = np.random.default_rng(1)
    lengths = {}
    with open(work / "genome.fa", "w") as out:

        def put(name: str, sequence: str) -> None:
            lengths[name] = len(sequence)
            out.write(f">{name}\n")
            out.writelines(sequence[i : i + 100] + "\n" for i in range(0, len(sequence), 100))

        with gzip.open(data / "hg38_chr22" / "chr22.fa.gz", "rt") as chr22:
            next(chr22)
            put("chr22", "".join(line.strip() for line in chr22))
        for part in PARTS.values():
            words = []
            for found in (d for d in dhs if d.part == part):
                shuffled = dinucleotide_shuffle(encode(found.sequence), rng)
                words += [found.sequence, decode(shuffled)]
            gap = "N" * (PITCH - LENGTH)
            put(part, gap.join(words) + gap)
        for name, sequence in constructs(data).items():
            put(f"sat_{name}", sequence)
    return lengths


def constructs(data: Path) -> dict[str, str]:
    """Return the sequence of each element of Kircher et al."""
    found: dict[str, str] = {}
    for line in (data / "satmut_kircher2019" / "element_sequences.hg38.fa").read_text().split("\n"):
        if line.startswith(">"):
            name = line[1:].split()[0]
            found[name] = ""
        elif line:
            found[name] += line.strip().upper()
    return found


def write_track(path: Path, lengths: dict[str, int], intervals: dict[str, np.ndarray]) -> None:
    """Write a bigWig of intervals float ``[n, 3]`` (start, end, value), with 0 between them."""
    with pyBigWig.open(str(path), "w") as out:
        out.addHeader(list(lengths.items()))
        for contig, given in intervals.items():
            edges = np.concatenate([[[0, 0, 0]], given, [[lengths[contig], lengths[contig], 0]]])
            gaps = [(a[1], b[0], 0.0) for a, b in pairwise(edges) if b[0] > a[1]]
            rows = np.concatenate([given, np.array(gaps).reshape(-1, 3)])
            rows = rows[np.argsort(rows[:, 0], kind="stable")]
            start, end = rows[:, :2].astype(np.int64).T
            out.addEntries(
                [contig] * len(rows), start.tolist(), ends=end.tolist(), values=rows[:, 2].tolist()
            )


def write_tracks(data: Path, work: Path, dhs: list[Dhs], lengths: dict[str, int]) -> None:
    """Write all tracks, with 0 where a track has no signal on a contig that it measures."""
    folder = work / "tracks"
    folder.mkdir(exist_ok=True)
    for name, file in TRACKS.items():
        with pyBigWig.open(str(data / "hg38_chr22" / "tracks" / file)) as source:
            write_track(
                folder / f"{name}.bw", lengths, {"chr22": np.array(source.intervals("chr22"))}
            )
    for cell in CELLS.values():
        intervals = {}
        for part in PARTS.values():
            starts = np.array(
                [2 * PITCH * d.slot for d in dhs if d.part == part and d.cell == cell]
            )
            starts.sort()
            intervals[part] = np.column_stack([starts, starts + LENGTH, np.ones(len(starts))])
        write_track(folder / f"DNase@{cell}.bw", lengths, intervals)


def kircher(data: Path) -> Iterator[Label]:
    """Yield labels of saturation mutagenesis; deletions get the base before them, as in a VCF."""
    folder, sequences = data / "satmut_kircher2019", constructs(data)
    with open(folder / "elements_summary.tsv", newline="") as table:
        elements = csv.DictReader(table, delimiter="\t")
        start = {row["element"]: int(row["start"]) for row in elements}
    for row in rows_of(folder / "elements.tsv.gz"):
        name = row["Element"]
        if row["Release"] != "GRCh38" or not row["Pos"].isdigit():
            continue
        at = int(row["Pos"]) - start[name]
        ref, alt, sequence = row["Ref"], row["Alt"], sequences[name]
        if not 0 <= at < len(sequence) or sequence[at] != ref:
            continue
        if alt == "-":
            # Deleting any base of a run gives the same allele: move it to the first one.
            while at and sequence[at - 1] == ref:
                at -= 1
            if at == 0 or sequence[at - 1] == "N":
                continue
            at, ref, alt = at - 1, sequence[at - 1 : at + 1], sequence[at - 1]
        effect, p = abs(float(row["Coefficient"])), float(row["pValue"])
        label = "1" if p < 1e-5 and effect >= 0.2 else "0" if p > 0.1 else "NA"
        tissue = "HepG2" if name in HEPG2 else "K562" if name in K562 else "other"
        yield Label(f"sat_{name}", at + 1, ref, alt, label, effect, name, tissue)


def udacha(data: Path, dhs: list[Dhs]) -> Iterator[Label]:
    """Yield labels of allele-specific accessibility, on chr22 and in DHS with a known place."""
    by_place = {}
    for found in dhs:
        for offset in range(LENGTH) if found.start >= 0 else ():
            by_place[found.contig, found.start + offset] = found
    for file, tissue in UDACHA.items():
        for row in rows_of(data / "udacha_allele_specific_accessibility" / file):
            place = row["#chr"], int(row["start"])
            effect, p = abs(float(row["comb_es"])), float(row["comb_pval"])
            label = "1" if p < 0.01 else "0" if p > 0.2 else "NA"
            rest = (row["ref"], row["alt"], label, effect, f"udacha_{tissue}", tissue)
            if place in by_place:
                found = by_place[place]
                offset = place[1] - found.start
                if found.sequence[offset] == row["ref"]:
                    yield Label(found.part, 2 * PITCH * found.slot + offset + 1, *rest)
            if place[0] == "chr22":
                yield Label("chr22", place[1] + 1, *rest)


def locus(experiment: str) -> str:
    """Return the locus of an experiment; experiments on one element share it."""
    return experiment.replace("-", ".").split(".")[0].replace("ZRSh", "ZRS")


def write_parts(work: Path, lengths: dict[str, int]) -> None:
    """Write the held-out regions as BED files."""
    experiments = [name.removeprefix("sat_") for name in lengths if name.startswith("sat_")]
    test: list[str] = []
    loci = sorted({locus(name) for name in experiments})
    for name in loci[::3]:
        test += [e for e in experiments if locus(e) == name]
        if len(test) >= TEST_EXPERIMENTS:
            break
    blocks = range((EVERY - 1) * BLOCK, lengths["chr22"], EVERY * BLOCK)
    held = [("chr22", b, min(b + BLOCK, lengths["chr22"])) for b in blocks]
    tested = [*held, *(whole(f"sat_{e}", lengths) for e in test), whole("dhs_test", lengths)]
    valid = [whole(f"sat_{e}", lengths) for e in VALID_LOCI] + [whole("dhs_valid", lengths)]
    write_bed(work / "test.bed", tested)
    write_bed(work / "valid.bed", valid)
    constructs_too = [whole(f"sat_{e}", lengths) for e in experiments]
    kept = [*held, whole("dhs_valid", lengths), whole("dhs_test", lengths), *constructs_too]
    write_bed(work / "pretrain.bed", kept)


def whole(contig: str, lengths: dict[str, int]) -> tuple[str, int, int]:
    """Return a contig from end to end as an interval."""
    return contig, 0, lengths[contig]


def write_bed(path: Path, intervals: list[tuple[str, int, int]]) -> None:
    """Write intervals to a BED file, sorted."""
    path.write_text("".join(f"{c}\t{start}\t{end}\n" for c, start, end in sorted(intervals)))


def write_labels(work: Path, labels: list[Label], lengths: dict[str, int]) -> None:
    """Write labels.tsv and variants.vcf; of two rows of an allele in a tissue, keep the first."""
    first = {}
    for row in labels:
        first.setdefault((*row[:4], row.tissue), row)
    order = {name: i for i, name in enumerate(lengths)}
    kept = sorted(first.values(), key=lambda row: (order[row.contig], row.pos, row.ref, row.alt))
    with open(work / "labels.tsv", "w") as out:
        out.write("\t".join(Label._fields) + "\n")
        out.writelines("\t".join(map(str, row)) + "\n" for row in kept)
    with open(work / "variants.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n")
        out.writelines(f"##contig=<ID={c},length={n}>\n" for c, n in lengths.items())
        out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for key in dict.fromkeys(row[:4] for row in kept):
            out.write("{}\t{}\t.\t{}\t{}\t.\t.\t.\n".format(*key))
    print(f"{len(labels):,} labels, {len(kept):,} kept")


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    dhs = read_dhs(options.data)
    lengths = write_genome(options.data, options.work, dhs)
    write_tracks(options.data, options.work, dhs, lengths)
    write_parts(options.work, lengths)
    labels = [*kircher(options.data), *udacha(options.data, dhs)]
    write_labels(options.work, labels, lengths)


if __name__ == "__main__":
    main()
