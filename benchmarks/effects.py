"""Make small genomes of measured variant effects for `genomix prepare variants`.

    python benchmarks/effects.py udacha DATA WORK --tables TABLES
    python benchmarks/effects.py kircher DATA WORK

DATA holds the public files, and TABLES the output of benchmarks/activity_tables.py on them. For
UDACHA, a contig is a chromosome: its DHS that hold an SNV, joined with 200 N between them, so that
a window holds several and SNVs can be ranked. For Kircher et al., a contig is an element. The
script writes genome.fa, variants.vcf and labels.tsv into WORK. The label is the signed effect, log2
of alternate over reference; the group is the file or the experiment. If an allele has two rows in a
cell type, the first is kept. Kircher is for testing only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from real_data import constructs
from real_variants import kircher
from udacha import CHR22, LENGTH, covered, places, read_sequences, read_udacha

from genomix_cli.genome.alphabet import decode, encode

GAP = 200
COLUMNS = ["contig", "pos", "ref", "alt", "effect", "group", "tissue"]
Codes = NDArray[np.uint8]


def main() -> None:
    """Read the data and write the genome, variants and labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", choices=("udacha", "kircher"))
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--tables", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.source == "udacha":
        if options.tables is None:
            parser.error("udacha needs --tables")
        table, sequences = of_udacha(options.data, options.tables)
    else:
        table, sequences = of_kircher(options.data)
    table = table.drop_duplicates(["contig", "pos", "ref", "alt", "tissue"])
    write(table, sequences, options.work)
    groups = table["group"].value_counts(sort=False)
    print("\n".join(f"{name}: {n:,} SNVs" for name, n in groups.items()))


def of_udacha(data: Path, tables: Path) -> tuple[pd.DataFrame, dict[str, Codes]]:
    """Return the rows on the joined DHS of their chromosomes."""
    sequences = read_sequences(data, tables)
    found = covered(read_udacha(data), places(data, sequences), sequences)
    found = found[found["sequence"] != CHR22]  # chr22 itself is not a DHS
    names = found.drop_duplicates("sequence")[["contig", "sequence"]]
    joined, first = {}, {}
    for chromosome, own in names.groupby("contig", sort=True)["sequence"]:
        for i, name in enumerate(own):
            first[name] = i * (LENGTH + GAP)
        gap = encode("N" * GAP)
        joined[str(chromosome)] = np.concatenate(
            [x for name in own for x in (sequences[name], gap)]
        )
    table = found.assign(pos=found["sequence"].map(first) + found["at"] + 1, group=found["source"])
    return table.assign(tissue=table["source"].str.split().str[0]), joined


def of_kircher(data: Path) -> tuple[pd.DataFrame, dict[str, Codes]]:
    """Return the SNVs of all experiments, each on its element."""
    _, table = kircher(data)
    table = table.assign(contig=table["experiment"], group=table["experiment"], tissue="")
    sequences = {name: encode(bases) for name, bases in constructs(data).items()}
    return table, {name: sequences[name] for name in dict.fromkeys(table["contig"])}


def write(table: pd.DataFrame, sequences: dict[str, Codes], work: Path) -> None:
    """Write the genome, the alleles and their effects."""
    order = {name: i for i, name in enumerate(sequences)}
    table = table.assign(order=table["contig"].map(order)).sort_values(["order", "pos", "alt"])
    with open(work / "genome.fa", "w") as out:
        out.writelines(f">{name}\n{decode(codes)}\n" for name, codes in sequences.items())
    table[COLUMNS].to_csv(work / "labels.tsv", sep="\t", index=False)
    with open(work / "variants.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n")
        out.writelines(f"##contig=<ID={c},length={len(x)}>\n" for c, x in sequences.items())
        out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        alleles = table[["contig", "pos", "ref", "alt"]].drop_duplicates()
        for contig, pos, ref, alt in alleles.itertuples(index=False):
            out.write(f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n")


if __name__ == "__main__":
    main()
