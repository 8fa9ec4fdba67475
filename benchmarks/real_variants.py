"""Compare a model with peers on the real variants of 29 saturation-mutagenesis experiments.

    python benchmarks/real_variants.py --data DATA --tables TABLES [--model NAME] -o OUT

DATA holds satmut_kircher2019/, mpra_dragonn_convmodel/ and motifs/; TABLES is the output of
benchmarks/activity_tables.py on DATA. The peers include the teachers of gmt-mini
(benchmarks/teacher_pairs.py). The variants are SNVs of Kircher et al. 2019
(doi:10.1038/s41467-019-11526-w) with at least 10 barcodes; the effect is log2 of the allele's
activity over that of the reference. Nothing is fitted to them. `genomix score` reads each element
as a contig, with the SNV in the middle of its window and unknown bases beyond the ends. The peers'
windows stay inside the element, so an activity model has a second row, NAME (inside), for windows
that do too. A model with a score for the experiment's own cell type (GENOMIX_DA_CELL_cell; the cell
types are in `real_data.CELL`) has a third row, NAME (cell): that score, or its mean for the other
experiments. The script writes into OUT: input and output of `genomix score`, scores.tsv with a row
per SNV and a column per model, and experiments.tsv with the correlations. Without --model, it
compares only the peers, to which --peer adds models.

Prints, as Markdown: Pearson's r of score and effect, and of their magnitudes, per experiment; its
mean over all experiments, over the nine of docs/benchmarks.md, and over the six in HepG2; the
model's mean minus each peer's, with 95 % intervals over loci; and controls.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from activity_tables import read_table
from numpy.typing import NDArray
from real_data import CELL, HEPG2, constructs, locus, rows_of
from sequence_peers import BATCH, BOTH, RIDGE_BASES, Snvs, Values, change, peer_scores
from snvs import SNV, write_vcf
from teacher_pairs import ANSWERS, PANELS, Pairs, added, asked

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import interval_of
from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.genome.alphabet import BASES, decode, encode
from genomix_cli.learning.activity import OF_CELL
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.score.tags import ACTIVITY, DIFFERENCE, of_output
from genomix_cli.variants.trained import LoadedModel, load_model

MIN_BARCODES = 10
DRAWS = 2000
NINE = (
    *("BCL11A", "GP1BA", "HNF4A", "LDLR", "LDLR.2"),
    *("MYCrs6983267", "SORT1", "SORT1-flip", "SORT1.2"),
)
SETS: dict[str, Callable[[str], bool]] = {
    "all 29": lambda name: True,
    "the nine": NINE.__contains__,
    "HepG2 six": HEPG2.__contains__,
}
#: Fields of `genomix score`, in order of preference.
FIELDS = (ACTIVITY, DIFFERENCE)
#: The teachers as a model: the columns whose sum is its change in activity, and its name.
TAUGHT, TEACHERS = ("teacher", "open", "motifs"), "teachers"
#: Number of SNVs in the control that swaps their alleles.
SWAPPED = 500


def main() -> None:
    """Score the variants, compare the models, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--model", help="name or folder for `genomix score`")
    parser.add_argument("--peer", action="append", default=[], help="another model; repeat")
    parser.add_argument("--field", help="column of the score", metavar="GENOMIX_...")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    snvs, table = kircher(options.data)
    lentimpra = read_table(options.tables / "lentimpra.tsv")
    scores = peer_scores(options.data, lentimpra, snvs)
    cell = table["experiment"].map(CELL)
    scores |= scores_of(taught(options.data, options.tables, snvs), TEACHERS, cell)
    for model in filter(None, (*options.peer, options.model)):
        field = options.field if model == options.model else None
        name = Path(model).name
        scored = genomix_table(snvs, model, options.output / name)
        scores |= scores_of(scored, name, cell, field)
        if (loaded := load_model(model)).config.activity is not None:
            scores[f"{name} (inside)"] = inside_scores(snvs, loaded)
    table = table.assign(**scores)
    table.to_csv(options.output / "scores.tsv", sep="\t", index=False)
    correlations = per_experiment(table, list(scores))
    correlations.to_csv(options.output / "experiments.tsv", sep="\t")
    print(f"{len(table):,} SNVs, {len(correlations)} experiments\n")
    print_experiments(correlations, list(scores))
    print_means(correlations, list(scores))
    name = Path(options.model).name if options.model else BOTH
    for first in (f"{name} (inside)", f"{name} (cell)", name):
        if first in scores:
            print_differences(correlations, first, [each for each in scores if each != first])
    print_controls(table, list(scores))
    if options.model:
        score = table[name].to_numpy()
        print_swapped(snvs, score, options.model, options.output, options.field)


def kircher(data: Path) -> tuple[Snvs, pd.DataFrame]:
    """Return the SNVs, and their experiment, pos (1-based in the element), ref, alt, effect."""
    elements = constructs(data)
    sequences = {name: encode(bases) for name, bases in elements.items()}
    summary = read_table(data / "satmut_kircher2019" / "elements_summary.tsv")
    start = dict(zip(summary["element"], summary["start"].astype(int), strict=True))
    rows = []
    for row in rows_of(data / "satmut_kircher2019" / "elements.tsv.gz"):
        name, ref, alt = row["Element"], row["Ref"], row["Alt"]
        if row["Release"] != "GRCh38" or not row["Pos"].isdigit() or alt not in tuple(BASES):
            continue
        at = int(row["Pos"]) - start[name]
        if float(row["Barcodes"]) < MIN_BARCODES or not 0 <= at < len(elements[name]):
            continue
        if elements[name][at] == ref:
            rows.append((name, at + 1, ref, alt, float(row["Coefficient"])))
    table = pd.DataFrame(rows, columns=["experiment", "pos", "ref", "alt", "effect"])
    return snvs_of(table, sequences), table


def snvs_of(table: pd.DataFrame, sequences: dict[str, NDArray[np.uint8]]) -> Snvs:
    """Return the SNVs of a table with the columns experiment, pos and alt."""
    names = list(sequences)
    number = {name: i for i, name in enumerate(names)}
    return Snvs(
        names,
        list(sequences.values()),
        table["experiment"].map(number).to_numpy(np.int64),
        table["pos"].to_numpy(np.int64) - 1,
        encode("".join(table["alt"])),
    )


def genomix_table(snvs: Snvs, model: str, folder: Path) -> pd.DataFrame:
    """Run ``genomix score`` on the SNVs, with a contig per sequence; return its table.

    Parameters
    ----------
    snvs : Snvs
    model : str
        Name or run folder.
    folder : Path
        Folder for the input, and for the table that the command writes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fasta, vcf, scored = (folder / name for name in ("elements.fa", "variants.vcf", "scored.tsv"))
    contigs = zip(snvs.names, map(decode, snvs.sequences), strict=True)
    fasta.write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs))
    columns = (snvs.sequence, snvs.at, snvs.ref(), snvs.alt)
    alleles = list(zip(*(column.tolist() for column in columns), strict=True))
    unique = sorted(set(alleles))
    names = [
        SNV(snvs.names[sequence], at + 1, BASES[ref], BASES[alt])
        for sequence, at, ref, alt in unique
    ]
    write_vcf(vcf, names)
    command = [sys.executable, "-m", "genomix_cli", "score", str(vcf), "-f", str(fasta)]
    command += ["-m", model, "--fields", "all"]
    subprocess.run([*command, "-o", str(scored), "-q"], check=True)
    row = {allele: i for i, allele in enumerate(unique)}
    table = pd.read_csv(scored, sep="\t", comment="#", na_values=".")
    return table.iloc[[row[allele] for allele in alleles]].reset_index(drop=True)


def taught(data: Path, tables: Path, snvs: Snvs) -> pd.DataFrame:
    """Return the scores of gmt-mini's teachers for each SNV, in the columns of its scores."""
    panels = [make(data, tables) for make in PANELS.values()]
    opinions = asked(panels, Pairs(*snvs.alleles(RIDGE_BASES)))
    changes = {}
    for name, weights in ANSWERS.items():
        ref, alt = added(opinions, weights)
        changes[name] = (alt - ref) / (alt - ref).std()
    columns = {of_output(name): change for name, change in changes.items()}
    return pd.DataFrame({ACTIVITY: sum(changes[name] for name in TAUGHT), **columns})


def field_of(table: pd.DataFrame, field: str | None = None) -> Values:
    """Return a column of a table of scores, by default the first of `FIELDS` that it has."""
    return table[field or next(name for name in FIELDS if name in table)].to_numpy()


def scores_of(
    table: pd.DataFrame, name: str, cell: pd.Series, field: str | None = None
) -> dict[str, Values]:
    """Return a model's scores and, if it has scores by cell type, those of the matching type.

    Parameters
    ----------
    table : DataFrame
        Scores of SNVs.
    name : str
    cell : Series
        Cell type of each row; NaN if no model knows it.
    field : str, optional
        See `field_of`.
    """
    score = field_of(table, field)
    scores = {name: score}
    own = {each: of_output(each + OF_CELL) for each in cell.dropna().unique()}
    if any(column in table for column in own.values()):
        matched = pd.Series(score)
        for each, column in own.items():
            if column in table:
                matched = matched.mask((cell == each).to_numpy(), table[column])
        scores[f"{name} (cell)"] = matched.to_numpy()
    return scores


def inside_scores(snvs: Snvs, loaded: LoadedModel) -> Values:
    """Return ``GENOMIX_DA`` of each SNV for windows that stay inside the sequence."""
    written = Differences.of(loaded.config.activity)

    @torch.inference_mode()
    def mean(codes: NDArray[np.uint8]) -> Values:
        batches = torch.from_numpy(codes)[None].split(BATCH, 1)
        model = loaded.module
        values = torch.cat([model.activity(model.probabilities(some)) for some in batches], 1)[0]
        return written.mean(values.numpy()).astype(np.float64)

    return change(mean, *snvs.alleles(loaded.module.network.config.length))


def per_experiment(table: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Return Pearson's r per experiment and model, as ``MODEL`` and ``|MODEL|`` (magnitudes)."""
    rows = {}
    for name, some in table.groupby("experiment"):
        effect = some["effect"].to_numpy()
        signed = {model: pearson(effect, some[model]) for model in models}
        sizes = {f"|{model}|": pearson(abs(effect), some[model].abs()) for model in models}
        rows[name] = {"SNVs": len(some), **signed, **sizes}
    return pd.DataFrame.from_dict(rows, orient="index")


def print_experiments(correlations: pd.DataFrame, models: list[str]) -> None:
    """Print a row per experiment: r, and r of magnitudes."""
    print("| experiment | SNVs | " + " | ".join(models) + " |")
    print("|---|---|" + "---|" * len(models))
    for name, row in correlations.iterrows():
        print(f"| {name} | {row['SNVs']:,.0f} | {cells(row, models)} |")


def print_means(correlations: pd.DataFrame, models: list[str]) -> None:
    """Print a row per set of experiments, with each model's mean r."""
    for name, inside in SETS.items():
        some = correlations[correlations.index.map(inside)]
        print(f"| mean of {name} | {some['SNVs'].sum():,.0f} | {cells(some.mean(), models)} |")


def cells(row: pd.Series, models: list[str]) -> str:
    """Return the cells of a row, such as ``.257 / .194`` for each model."""
    return " | ".join(f"{row[model]:.3f} / {row[f'|{model}|']:.3f}" for model in models)


def print_differences(correlations: pd.DataFrame, first: str, others: list[str]) -> None:
    """Print the mean r of the first model minus each other's, under the same draws of loci."""
    print(f"\n| mean r of {first} less that of | " + " | ".join(SETS) + " | all 29, magnitudes |")
    print("|---|" + "---|" * (len(SETS) + 1))
    for other in others:
        shown = [
            mean_over(correlations[first] - correlations[other], inside) for inside in SETS.values()
        ]
        sizes = correlations[f"|{first}|"] - correlations[f"|{other}|"]
        shown.append(mean_over(sizes, SETS["all 29"]))
        print(f"| {other} | {' | '.join(shown)} |")


def mean_over(value: pd.Series, inside: Callable[[str], bool]) -> str:
    """Return the mean over experiments with an interval over loci, as text."""
    some = value[value.index.map(inside)]
    bootstrap = Bootstrap([locus(name) for name in some.index], DRAWS)
    draws = bootstrap.replicates(lambda w: float(w @ some.to_numpy() / w.sum()))
    return interval_of(draws).text(sign=True)


def print_controls(table: pd.DataFrame, models: list[str]) -> None:
    """Print the correlations of scores that are permuted within each experiment."""
    rng = np.random.default_rng(0)
    shuffled = table.copy()
    for rows in table.groupby("experiment").indices.values():
        shuffled.loc[rows, models] = table.loc[rng.permutation(rows), models].to_numpy()
    mean = per_experiment(shuffled, models).mean()
    print("\n| control | " + " | ".join(models) + " |\n|---|" + "---|" * len(models))
    print(f"| permuted inside experiments, mean of all 29 | {cells(mean, models)} |")


def print_swapped(snvs: Snvs, score: Values, model: str, folder: Path, field: str | None) -> None:
    """Print a check of antisymmetry: SNVs reversed, on contigs that carry the alternate allele."""
    some = np.unique(np.linspace(0, len(score) - 1, SWAPPED).round().astype(int))
    carrying = [snvs.sequences[snvs.sequence[i]].copy() for i in some]
    for i, codes in zip(some, carrying, strict=True):
        codes[snvs.at[i]] = snvs.alt[i]
    names = [f"swapped{i}" for i in some]
    back = Snvs(names, carrying, np.arange(len(some)), snvs.at[some], snvs.ref()[some])
    swapped = field_of(genomix_table(back, model, folder / "swapped"), field)
    largest = np.abs(swapped + score[some]).max()
    print(f"\n{len(some)} SNVs the other way round: largest |sum of the two scores| {largest:.3g}")


if __name__ == "__main__":
    main()
