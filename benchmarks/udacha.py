"""Compare models with peers on real allele-specific accessibility, the basis of model choice.

    python benchmarks/udacha.py --data DATA --tables TABLES [--model NAME ...] -o OUT

DATA holds udacha_allele_specific_accessibility/, dhs_dnadiffusion/, hg38_chr22/,
mpra_dragonn_convmodel/ and motifs/; TABLES is the output of benchmarks/activity_tables.py on DATA.
The SNVs are those of UDACHA on chr22, and those inside a sequence of dhs.tsv whose base there is
the reference allele. The effect is log2 of the accessibility of the alternate allele over that of
the reference; an effect is significant at a false discovery rate below .05. An SNV has a row for
each of the three files that contain it. A model with scores for these cell types has a second row,
NAME (cell): the score for the file's own cell type.

Prints, as Markdown: AUROC of the magnitude of the score, significant SNVs against the rest, and
Pearson's r of score and effect, for all and for the significant SNVs; 95 % intervals over
chromosomes, or over loci of 100 kb if there is only one. The table is also written to
OUT/results.tsv, and each SNV to OUT/scores.tsv.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from activity_tables import read_chr22, read_dhs, read_table
from real_data import UDACHA
from real_variants import TEACHERS, genomix_table, scores_of, taught
from sequence_peers import Codes, Snvs, peer_scores

from genomix_cli.comparison.bootstrap import Bootstrap, resampling_units
from genomix_cli.comparison.metrics.binary import auroc, pearson
from genomix_cli.genome.alphabet import encode

LENGTH = 200
MAX_FDR = 0.05
DRAWS = 1000
CHR22 = "chr22"


class Place(NamedTuple):
    """Place of a sequence of the DHS: contig, 0-based start, id."""

    contig: str
    start: int
    name: str


def main() -> None:
    """Score the SNVs, compare the models, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], help="for `genomix score`; repeat")
    parser.add_argument("--field", help="column of the score", metavar="GENOMIX_...")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    sequences = read_sequences(options.data, options.tables)
    table = covered(read_udacha(options.data), places(options.data, sequences), sequences)
    snvs = snvs_of(table, sequences)
    scores = peer_scores(options.data, read_table(options.tables / "lentimpra.tsv"), snvs)
    cell = table["source"].str.split().str[0]
    scores |= scores_of(taught(options.data, options.tables, snvs), TEACHERS, cell)
    for model in options.model:
        name = Path(model).name
        scored = genomix_table(snvs, model, options.output / name)
        scores |= scores_of(scored, name, cell, options.field)
    table.assign(**scores).to_csv(options.output / "scores.tsv", sep="\t", index=False)
    results = pd.DataFrame(rows_of_results(table.assign(**scores), list(scores)))
    results.to_csv(options.output / "results.tsv", sep="\t", index=False)
    print("| " + " | ".join(results.columns) + " |\n" + "|---" * len(results.columns) + "|")
    for row in results.itertuples(index=False):
        print("| " + " | ".join(map(str, row)) + " |")


def read_udacha(data: Path) -> pd.DataFrame:
    """Return all rows: source, contig, pos (1-based), ref, alt, effect, significant."""
    parts = []
    for file in UDACHA:
        rows = read_table(data / "udacha_allele_specific_accessibility" / file)
        # comb_es is the effect of the preferred allele.
        sign = np.where(rows["pref_allele"] == "alt", 1, -1)
        cell, assay = file.split("_")[0], file.split(".")[1]
        columns = {
            "source": f"{cell} {assay}",
            "contig": rows["#chr"],
            "pos": rows["start"].astype(int) + 1,
            "ref": rows["ref"],
            "alt": rows["alt"],
            "effect": sign * rows["comb_es"].astype(float),
            "significant": rows["fdr_comb_pval"].astype(float) < MAX_FDR,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def dhs_start(low: int, high: int, summit: int) -> int:
    """Return the first base (0-based) of the 200 bp of a DHS; right for all 859 on chr22."""
    start = summit - LENGTH // 2
    return low if start <= low else min(start, high - LENGTH)


def places(data: Path, names: Collection[str]) -> list[Place]:
    """Return the places of the sequences with these ids."""
    rows = read_dhs(data)
    rows = rows[rows["dhs_id"].isin(names)]
    starts = map(dhs_start, *(rows[name].astype(int) for name in ("start", "end", "summit")))
    return [Place(*each) for each in zip(rows["chr"], starts, rows["dhs_id"], strict=True)]


def read_sequences(data: Path, tables: Path) -> dict[str, Codes]:
    """Return chr22, and the sequences of dhs.tsv by id."""
    rows = read_table(tables / "dhs.tsv")
    sequences = dict(zip(rows["id"], map(encode, rows["sequence"]), strict=True))
    return {CHR22: read_chr22(data), **sequences}


def covered(table: pd.DataFrame, places: list[Place], sequences: dict[str, Codes]) -> pd.DataFrame:
    """Return the rows that lie on a sequence, with its name, the position and the set of results.

    On chr22, the sequence is the chromosome. If several DHS cover an SNV, the one with the SNV
    nearest to its centre counts.
    """
    near: dict[tuple[str, int], list[Place]] = defaultdict(list)
    for place in places:
        for block in {place.start // LENGTH, (place.start + LENGTH - 1) // LENGTH}:
            near[place.contig, block].append(place)
    rows = []
    for row in table.itertuples():
        at = row.pos - 1
        some = [p for p in near[row.contig, at // LENGTH] if 0 <= at - p.start < LENGTH]
        best = min(some, key=lambda p: abs(at - p.start - LENGTH // 2), default=None)
        if row.contig == CHR22:
            rows.append((row.Index, CHR22, at, CHR22))
        elif best is not None:
            rows.append((row.Index, best.name, at - best.start, "DHS"))
    index, names, at, kind = zip(*rows, strict=True)
    found = table.loc[list(index)].assign(sequence=names, at=at, set=kind)
    ref = encode("".join(found["ref"]))
    agrees = [sequences[s][a] for s, a in zip(found["sequence"], found["at"], strict=True)] == ref
    print(
        f"{len(found):,} rows on a sequence, {agrees.sum():,} with its base as reference allele\n"
    )
    return found[agrees].reset_index(drop=True)


def snvs_of(table: pd.DataFrame, sequences: dict[str, Codes]) -> Snvs:
    """Return the SNVs of the rows, with the sequences that have any."""
    names = list(dict.fromkeys(table["sequence"]))
    number = {name: i for i, name in enumerate(names)}
    return Snvs(
        names,
        [sequences[name] for name in names],
        table["sequence"].map(number).to_numpy(np.int64),
        table["at"].to_numpy(np.int64),
        encode("".join(table["alt"])),
    )


def rows_of_results(table: pd.DataFrame, models: list[str]) -> list[dict[str, str]]:
    """Return a row per set, source and model."""
    sources = {source: table["source"] == source for source in sorted(set(table["source"]))}
    rows = []
    for kind in dict.fromkeys(table["set"]):
        for source, of_source in {"all": np.full(len(table), True), **sources}.items():
            some = table[(table["set"] == kind) & of_source]
            if len(some):
                rows += [result(some, kind, source, model) for model in models]
    return rows


def result(some: pd.DataFrame, kind: str, source: str, model: str) -> dict[str, str]:
    """Return correlations and AUROC of a model on some rows, with intervals."""
    units = resampling_units(some["contig"].to_numpy(), some["pos"].to_numpy())
    bootstrap = Bootstrap(units.ids, DRAWS)
    score, effect = some[model].to_numpy(), some["effect"].to_numpy()
    strong = np.flatnonzero(some["significant"])
    sized = bootstrap.interval(auroc, some["significant"].to_numpy(), np.abs(score))
    signed = bootstrap.interval(pearson, effect, score)
    signed_strong = bootstrap.take(strong).interval(pearson, effect[strong], score[strong])
    return {
        "set": kind,
        "source": source,
        "SNVs": f"{len(some):,}",
        "significant": f"{len(strong):,}",
        "model": model,
        "AUROC of magnitude": sized.text(),
        "r": signed.text(),
        "r, significant": signed_strong.text(),
    }


if __name__ == "__main__":
    main()
