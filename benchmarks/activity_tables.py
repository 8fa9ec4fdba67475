"""Make tables of real sequences and their activity for `genomix prepare sequences`.

    python benchmarks/activity_tables.py --data DATA -o TABLES

DATA holds lentimpra_agarwal2025/, mattioli2019_tss_mpra/, dhs_dnadiffusion/, gue_human/,
hg38_chr22/ and satmut_kircher2019/. Written into TABLES, with columns id, sequence, group, split:

lentimpra.tsv  200 bp; HepG2, WTC11: log2 activity in the cell line's library; K562: in a joint one
mattioli.tsv   144 bp; HUES64, mESC: log2 activity
dhs.tsv        200 bp; cell: the one cell type of four where the site is open
open.tsv       200 bp; open_CELL: yes for the sites of dhs.tsv open in the cell, no for places of
               chr22 with as many G and C that are closed in all known cell types
gue_TASK.tsv   TASK: bound, yes or no (tf0 to tf4, 101 bp), or promoter (prom_core_all 70 bp,
               prom_300_all 300 bp)

Sequences that share 24 bases, on either strand, with an element of Kircher et al. 2019 are left
out, because the variants in those are for testing only. The split is the authors' if it has a
training part. Otherwise it is by a hash of the group (80 % train, 10 % validation, 10 % test), and
sequences that share 24 bases are in one group.
"""

from __future__ import annotations

import argparse
import gzip
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
from numpy.typing import NDArray
from real_data import CELLS, constructs
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from genomix_cli.genome.alphabet import UNKNOWN_BASE, decode, encode, reverse_complement

SHARED = 24
NO_WORD = np.uint64(4**SHARED)
PIECE = 20_000
MATTIOLI_BASES, DHS_BASES = 144, 200
GUE = ("tf0", "tf1", "tf2", "tf3", "tf4", "prom_core_all", "prom_300_all")
#: Number of closed places on chr22 for each open site; their margin to a site or peak; and the
#: fraction of places, those with the strongest signal in a cell type, that are not called closed.
CLOSED, MARGIN, STRONG = 2, 500, 0.2
CHR22, SEED = "chr22", 1
#: Names of the authors' parts in our tables.
PARTS = {"training": "train", "dev": "validation"}


def main() -> None:
    """Write the tables, and print what they hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    elements = constructs(options.data).values()
    tables = {
        "lentimpra": lentimpra(options.data),
        "mattioli": mattioli(options.data),
        "dhs": dhs(options.data),
    }
    tables["open"] = open_sites(options.data, tables["dhs"])
    tables |= {f"gue_{task}": table for task, table in gue(options.data).items()}
    print(f"| table | rows | left out: {SHARED} bases of Kircher | train | validation | test |")
    print("|---|---|---|---|---|---|")
    for name, table in tables.items():
        out = shares_word(table["sequence"], elements)
        kept = table[~out]
        kept.to_csv(options.output / f"{name}.tsv", sep="\t", index=False)
        parts = kept["split"].value_counts()
        cells = [f"{parts[part]:,}" for part in ("train", "validation", "test")]
        print(f"| {name} | {len(kept):,} | {out.sum():,} | {' | '.join(cells)} |", flush=True)


def read_table(path: Path) -> pd.DataFrame:
    """Read a TSV, gzipped or not, with all cells as text."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def read_dhs(data: Path) -> pd.DataFrame:
    """Read the sites of the DHS index, with all cells as text."""
    return read_table(next((data / "dhs_dnadiffusion").glob("*.txt.gz")))


def lentimpra(data: Path) -> pd.DataFrame:
    """Return a row per construct; elements that overlap, in either orientation, are a group."""
    folder = data / "lentimpra_agarwal2025"
    rows = read_table(folder / "lentimpra_sequences.tsv.gz")
    first = rows.drop_duplicates("sequence").set_index("sequence")
    table = pd.DataFrame({"id": first["seq_id"]})
    for cell in ("HepG2", "WTC11"):
        own = rows[rows["library"] == cell].set_index("sequence")["activity"]
        table[cell] = own.reindex(table.index)
    joint = rows[rows["joint_K562"] != ""].drop_duplicates("sequence").set_index("sequence")
    table["K562"] = joint["joint_K562"].reindex(table.index)
    table = table.fillna("").reset_index()
    return arranged(table, linked(first["element"], table["sequence"]))


def mattioli(data: Path) -> pd.DataFrame:
    """Return a row per tile; tiles of one or of overlapping transcription start sites are a group.

    The controls, whose sequences are numbered repeats, are not 144 bp long and stay out.
    """
    rows = read_table(data / "mattioli2019_tss_mpra" / "elements_hESC_mESC.tsv.gz")
    rows = rows[rows["sequence"].str.fullmatch(f"[ACGT]{{{MATTIOLI_BASES}}}")].reset_index()
    random = "random" + rows.groupby("tile_type").cumcount().astype(str)
    table = pd.DataFrame({"id": rows["name"].where(rows["tile_type"] != "RANDOM", random)})
    table["sequence"] = rows["sequence"]
    for cell in ("HUES64", "mESC"):
        table[cell] = np.log2(rows[cell].to_numpy(np.float64)).round(4).astype(str)
    site = table["id"].str.replace("__tile.*", "", regex=True)
    return arranged(table, linked(site, table["sequence"]))


def dhs(data: Path) -> pd.DataFrame:
    """Return sites that are open in exactly one of four cell types."""
    rows = read_dhs(data)
    columns = {"id": rows["dhs_id"], "sequence": rows["sequence"], "cell": rows["TAG"].map(CELLS)}
    return arranged(pd.DataFrame(columns), rows["dhs_id"], rows["data_label"].replace(PARTS))


def open_sites(data: Path, sites: pd.DataFrame) -> pd.DataFrame:
    """Return the sites of ``dhs.tsv``, and closed positions of chr22 with matched GC content.

    Cells for other cell types are empty, since a site may be open there too. Neighbours on chr22
    are in one part.
    """
    chromosome = read_chr22(data)
    starts = closed_starts(data, chromosome)
    wanted = gc_counts(encode("".join(sites["sequence"])), np.arange(len(sites)) * DHS_BASES)
    starts = starts[alike(wanted, gc_counts(chromosome, starts), CLOSED)]
    sequences = [decode(chromosome[start : start + DHS_BASES]) for start in starts]
    names = [f"{CHR22}_{start}" for start in starts]
    block = pd.Series([f"{CHR22}_{start // 1_000_000}" for start in starts])
    closed = arranged(pd.DataFrame({"id": names, "sequence": sequences}), block)
    cells = [f"open_{cell}" for cell in sorted(CELLS.values())]
    closed[cells] = "no"
    opened = sites.drop(columns="cell")
    for cell in cells:
        opened[cell] = np.where("open_" + sites["cell"] == cell, "yes", "")
    return pd.concat([opened, closed], ignore_index=True)


def closed_starts(data: Path, chromosome: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return starts on chr22, every 50 bases, at which no known cell type is open."""
    folder = data / "hg38_chr22" / "tracks"
    barred = chromosome >= UNKNOWN_BASE
    rows = read_dhs(data)
    spans = [rows.loc[rows["chr"] == CHR22, ["start", "end"]].astype(int).to_numpy()]
    for path in sorted(folder.glob("K562.*.narrowPeak.gz")):
        peaks = pd.read_csv(path, sep="\t", header=None, usecols=[0, 1, 2])
        spans.append(peaks.loc[peaks[0] == CHR22, [1, 2]].to_numpy())
    for low, high in np.concatenate(spans):
        barred[max(low - MARGIN, 0) : high + MARGIN] = True
    starts = np.arange(0, len(chromosome) - DHS_BASES, 50)
    free = window_sums(barred, starts) == 0
    for path in sorted(folder.glob("acc.*.chr22.bw")):
        with pyBigWig.open(str(path)) as track:
            values = np.nan_to_num(track.values(CHR22, 0, len(chromosome), numpy=True))
        signal = window_sums(values, starts)
        free &= signal < np.quantile(signal[free], 1 - STRONG)
    return starts[free]


def window_sums(values: NDArray, starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of the 200 values from each start."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.float64)])
    return total[starts + DHS_BASES] - total[starts]


def gc_counts(codes: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of G and C among the 200 bases from each start."""
    return window_sums((codes == 1) | (codes == 2), starts).astype(np.int64)


def alike(wanted: NDArray[np.int64], counts: NDArray[np.int64], times: int) -> NDArray[np.int64]:
    """Return rows of `counts` that have each wanted count `times` as often, if possible."""
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(counts))
    rows = [
        order[counts[order] == count][: times * n]
        for count, n in zip(*np.unique(wanted, return_counts=True), strict=True)
    ]
    return np.sort(np.concatenate(rows))


def read_chr22(data: Path) -> NDArray[np.uint8]:
    """Return the codes of chr22."""
    with gzip.open(data / "hg38_chr22" / "chr22.fa.gz", "rt") as lines:
        return encode("".join(line.strip() for line in lines if not line.startswith(">")))


def gue(data: Path) -> dict[str, pd.DataFrame]:
    """Return a table per task; repeats are kept once, and dropped if their labels differ."""
    rows = read_table(data / "gue_human" / "gue_human.tsv.gz")
    rows["label"] = rows["label"].map({"0": "no", "1": "yes"})
    tables = {}
    for task in GUE:
        some = rows[rows["task"] == task]
        some = some[some.groupby("sequence")["label"].transform("nunique") == 1]
        some = some.drop_duplicates("sequence").reset_index(drop=True)
        table = some[["sequence"]].assign(id=task + "_" + some.index.astype(str))
        table[task] = some["label"]
        own = some["split"].replace(PARTS) if (some["split"] == "train").any() else None
        tables[task] = arranged(table, table["id"], own)
    return tables


def arranged(table: pd.DataFrame, group: pd.Series, parts: pd.Series | None = None) -> pd.DataFrame:
    """Return the table with groups and parts, common columns first."""
    split = group.map(part_of) if parts is None else parts
    table = table.assign(group=group.to_numpy(), split=split.to_numpy())
    first = ["id", "sequence", "group", "split"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def part_of(group: str) -> str:
    """Return the part of a group, the same in every table and run."""
    return {0: "test", 1: "validation"}.get(zlib.crc32(group.encode()) % 10, "train")


def words(sequences: Iterable[str]) -> NDArray[np.uint64]:
    """Return a number for every run of 24 bases in the concatenated sequences, with gaps between.

    uint64 ``[bases and gaps - 23]``, with no gap after the last sequence. A run has the smaller
    number of its two strands, or `NO_WORD` if it has an unknown base, as in a gap.
    """
    codes = encode("N".join(sequences))
    return np.minimum(_numbers(codes), _numbers(reverse_complement(codes))[::-1])


def _numbers(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    count = max(len(codes) - SHARED + 1, 0)
    number = np.zeros(count, np.uint64)
    unknown = np.zeros(count, bool)
    for i in range(SHARED):
        part = codes[i : i + count]
        number = number * np.uint64(4) + (part & 3)
        unknown |= part >= UNKNOWN_BASE
    number[unknown] = NO_WORD
    return number


def shares_word(sequences: Iterable[str], others: Iterable[str]) -> NDArray[np.bool_]:
    """Return True for sequences that share 24 bases with others, on either strand, bool ``[n]``."""
    known = words(others)
    known = known[known != NO_WORD]
    sequences = list(sequences)
    out = np.zeros(len(sequences), bool)
    for low in range(0, len(sequences), PIECE):
        some = sequences[low : low + PIECE]
        found = np.flatnonzero(np.isin(words(some), known))
        out[low + owners(some)[found]] = True
    return out


def owners(sequences: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of the sequence of each base and of the gap after it, int64."""
    return np.repeat(np.arange(len(sequences)), [len(sequence) + 1 for sequence in sequences])


def linked(group: pd.Series, sequences: Sequence[str]) -> pd.Series:
    """Return the groups, merged if they share 24 bases, since such members predict each other.

    A promoter may be in several tiles and several times among the constructs.
    """
    names, own = np.unique(group, return_inverse=True)
    number = words(sequences)
    owner = own[owners(sequences)[: len(number)]]
    order = np.lexsort((owner, number))
    number, owner = number[order], owner[order]
    same = (number[1:] == number[:-1]) & (number[1:] != NO_WORD)
    edges = (np.ones(same.sum(), np.int8), (owner[:-1][same], owner[1:][same]))
    graph = sparse.coo_matrix(edges, shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=False)
    # Names are sorted, so a component takes the first of its names.
    _, first = np.unique(component, return_index=True)
    return pd.Series(names[first][component][own], group.index)


if __name__ == "__main__":
    main()
