"""Make pairs of sequences that differ in one to four bases, with the answers of known models.

    python benchmarks/teacher_pairs.py --data DATA --tables TABLES -o PAIRS.tsv [-n N] [--seed S]

A network learns the answers, and above all their differences (distillation). TABLES is the output
of benchmarks/activity_tables.py on DATA. Sequences are 200 bp: the training rows of lentimpra.tsv
and dhs.tsv, stretches of two neighbouring tiles of mattioli.tsv, and (a quarter) places on chr22
(DATA/hg38_chr22). As in the tables, none shares 24 bases with an element of Kircher et al. 2019.

The teachers are ridges on 7-mers and ridges on the sites of JASPAR motifs (DATA/motifs), both
fitted here to the training rows of each column of lentimpra.tsv and open.tsv, and MPRA-DragoNN
(DATA/mpra_dragonn_convmodel, MIT licence). An answer is a sum of teachers with the weights in
`ANSWERS`, each in units of the standard deviation of its differences.

The columns of the output are id, pair, sequence, and those of `ANSWERS` that are requested (by
default all). Each pair has two rows, of which the first is real. 200,000 pairs take about 25
minutes on one core, most of it for motifs and MPRA-DragoNN.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from activity_tables import read_chr22, read_table, shares_word
from numpy.typing import NDArray
from real_data import constructs
from sequence_peers import (
    ALPHA,
    DRAGONN,
    DRAGONN_CELLS,
    MOTIFS,
    Codes,
    Dragonn,
    MotifSites,
    Values,
    fit_ridge,
    fit_sites,
    stacked,
)

from genomix_cli.genome.alphabet import UNKNOWN_BASE, decode
from genomix_cli.genome.motifs import read_meme

BASES = 200
#: Fraction of the pairs that come from anywhere on chr22.
ANYWHERE = 0.25
#: Range of bases that may be changed; MPRA-DragoNN reads the central 145.
FIRST, LAST = 30, 170
#: Probability of a first, second, third and fourth change.
CHANGES = (1.0, 0.3, 0.3, 0.3)
#: Tile 1 of a transcription start site begins with the last bases of tile 2.
TILES_SHARE = 30
#: Fraction of pairs drawn in excess, because some are left out.
SPARE = 0.02

#: Penalty of the 7-mer ridges for accessibility.
OPEN_ALPHA = 1500.0
#: Teachers of each output column, and their weights.
ANSWERS = {
    # Activity in any cell type, with both kinds of teachers weighted equally.
    "teacher": {
        **{f"7-mers {cell}": 1 / 3 for cell in ("HepG2", "WTC11", "K562")},
        "MPRA-DragoNN": 1.0,
    },
    # Accessibility in any cell type.
    "open": {f"7-mers open_{cell}": 1.0 for cell in ("GM12878", "HepG2", "K562", "hESC")},
    # Activity and accessibility by motifs.
    "motifs": {
        **{f"motifs {cell}": 1 / 3 for cell in ("HepG2", "WTC11", "K562")},
        **{f"motifs open_{cell}": 1 / 4 for cell in ("GM12878", "HepG2", "K562", "hESC")},
    },
    # Activity and accessibility in one cell type, weighted equally; WTC11 and hESC are pluripotent.
    **{
        f"{cell}_cell": {
            f"7-mers {cell}": 1.0,
            f"motifs {cell}": 1.0,
            f"MPRA-DragoNN {cell}": 1.0,
            f"7-mers open_{cell}": 1.5,
            f"motifs open_{cell}": 1.5,
        }
        for cell in ("HepG2", "K562")
    },
    "GM12878_cell": {"7-mers open_GM12878": 1.0, "motifs open_GM12878": 1.0},
    "stem_cell": {
        **{f"{kind} WTC11": 1.0 for kind in ("7-mers", "motifs")},
        **{f"{kind} open_hESC": 1.0 for kind in ("7-mers", "motifs")},
    },
}


#: One kind of teachers: maps sequences uint8 ``[n, 200]`` to a column of answers per teacher.
Panel = Callable[[Codes], pd.DataFrame]
#: Number of sequences whose motif sites are held in memory at once.
PIECE = 20_000


class Pairs(NamedTuple):
    """Real sequences and their changed copies, uint8 ``[n, 200]`` each."""

    real: Codes
    changed: Codes


class Opinions(NamedTuple):
    """Answers for real sequences and for their changed copies, a column per teacher."""

    real: pd.DataFrame
    changed: pd.DataFrame


def main() -> None:
    """Draw the pairs, compute the teachers' answers, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-n", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--answers", nargs="+", choices=ANSWERS, default=list(ANSWERS))
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    pool, chromosome = real_sequences(options.tables), read_chr22(options.data)
    drawn = draw(pool, chromosome, int(options.n * (1 + SPARE)) + 10, rng)
    pairs = without(drawn, constructs(options.data), options.n)
    weights = {name: ANSWERS[name] for name in options.answers}
    kinds = {teacher.split()[0] for each in weights.values() for teacher in each}
    panels = [PANELS[kind](options.data, options.tables) for kind in PANELS if kind in kinds]
    opinions = asked(panels, pairs)
    write(options.output, pairs, {name: added(opinions, each) for name, each in weights.items()})


def real_sequences(tables: Path) -> Codes:
    """Return sequences of 200 bp from the training parts, uint8 ``[n, 200]``."""
    parts = [read_table(tables / f"{name}.tsv") for name in ("lentimpra", "dhs", "mattioli")]
    lentimpra, dhs, tiles = (part[part["split"] == "train"] for part in parts)
    two = neighbours(tiles)
    starts = np.arange(len(two)) % (two.shape[1] - BASES + 1)
    inside = two[np.arange(len(two))[:, None], starts[:, None] + np.arange(BASES)]
    return np.concatenate([stacked(lentimpra["sequence"]), stacked(dhs["sequence"]), inside])


def neighbours(tiles: pd.DataFrame) -> Codes:
    """Join both tiles of each transcription start site, uint8 ``[n, 258]``."""
    by_id = dict(zip(tiles["id"], tiles["sequence"], strict=True))
    joined = []
    for name, second in by_id.items():
        first = by_id.get(name.removesuffix("1") + "2") if name.endswith("__tile1") else None
        if first and first.endswith(second[:TILES_SHARE]):
            joined.append(first + second[TILES_SHARE:])
    return stacked(pd.Series(joined))


def draw(pool: Codes, chromosome: Codes, n: int, rng: np.random.Generator) -> Pairs:
    """Draw `n` pairs, some from the pool and some from the chromosome."""
    anywhere = round(n * ANYWHERE)
    unknown = np.concatenate([[0], np.cumsum(chromosome >= UNKNOWN_BASE)])
    starts = np.flatnonzero(unknown[BASES:] == unknown[:-BASES])
    places = rng.choice(starts, anywhere)[:, None] + np.arange(BASES)
    real = np.concatenate([pool[rng.integers(0, len(pool), n - anywhere)], chromosome[places]])
    real = real[rng.permutation(n)]
    return Pairs(real, changed(real, rng))


def changed(real: Codes, rng: np.random.Generator) -> Codes:
    """Return sequences in which one to four inner bases are replaced by another base."""
    out, row = real.copy(), np.arange(len(real))
    for chance in CHANGES:
        at, by = rng.integers(FIRST, LAST, len(real)), rng.integers(1, 4, len(real))
        some = rng.random(len(real)) < chance
        # Relative to the real base, so that a position that is drawn twice does not change back.
        other = (real[row, at] + by) % 4
        out[row[some], at[some]] = other[some]
    return out


def without(drawn: Pairs, elements: dict[str, str], n: int) -> Pairs:
    """Return the first `n` pairs in which neither sequence shares 24 bases with an element."""
    bad = np.zeros(len(drawn.real), bool)
    for codes in drawn:
        bad |= shares_word(map(decode, codes), elements.values())
    print(f"{bad.sum():,} of {len(bad):,} pairs left out: 24 bases of Kircher")
    kept = np.flatnonzero(~bad)[:n]
    if len(kept) < n:
        raise SystemExit(f"only {len(kept):,} pairs are left of {len(bad):,}")
    return Pairs(drawn.real[kept], drawn.changed[kept])


class Column(NamedTuple):
    """A training column of a table: its name, the rows with a value, and their values."""

    name: str
    rows: NDArray[np.int64]
    value: Values


def columns(table: pd.DataFrame) -> list[Column]:
    """Return the quantities of lentimpra.tsv, or 1 (open) and 0 (closed) for open.tsv."""
    found = []
    for name in table.columns[table.columns.isin(ALPHA) | table.columns.str.startswith("open_")]:
        rows = np.flatnonzero(table[name] != "")
        cells = table[name].iloc[rows]
        value = cells.astype(np.float64) if name in ALPHA else cells == "yes"
        found.append(Column(name, rows, value.to_numpy(np.float64)))
    return found


def to_learn_from(tables: Path) -> list[pd.DataFrame]:
    """Return the training rows of lentimpra.tsv and of open.tsv."""
    both = [read_table(tables / f"{name}.tsv") for name in ("lentimpra", "open")]
    return [table[table["split"] == "train"] for table in both]


def seven_mers(data: Path, tables: Path) -> Panel:
    """Fit a ridge on 7-mers for each column."""
    ridges = {}
    for table in to_learn_from(tables):
        codes = stacked(table["sequence"])
        for name, rows, value in columns(table):
            penalty = ALPHA.get(name, OPEN_ALPHA)
            ridges[f"7-mers {name}"] = fit_ridge(codes[rows], value, penalty)
    return lambda other: pd.DataFrame({name: ridge(other) for name, ridge in ridges.items()})


def motif_sites(data: Path, tables: Path) -> Panel:
    """Fit a ridge on motif sites for each column."""
    sites = MotifSites(read_meme(data / MOTIFS))
    ridges = {}
    for table in to_learn_from(tables):
        found = sites(stacked(table["sequence"]))
        for name, rows, value in columns(table):
            ridges[f"motifs {name}"] = fit_sites(found[rows], value)

    def panel(other: Codes) -> pd.DataFrame:
        pieces = (sites(other[low : low + PIECE]) for low in range(0, len(other), PIECE))
        answers = [{name: ridge(piece) for name, ridge in ridges.items()} for piece in pieces]
        return pd.concat(map(pd.DataFrame, answers), ignore_index=True)

    return panel


def dragonn(data: Path, tables: Path) -> Panel:
    """Return MPRA-DragoNN's answers for each cell type, and their mean."""
    network = Dragonn(data / DRAGONN)

    def panel(other: Codes) -> pd.DataFrame:
        answers = pd.DataFrame(network.by_cell(other), columns=DRAGONN_CELLS)
        return answers.add_prefix("MPRA-DragoNN ").assign(**{"MPRA-DragoNN": answers.mean(axis=1)})

    return panel


#: Kinds of teachers, by the first word of their names.
PANELS = {"7-mers": seven_mers, "motifs": motif_sites, "MPRA-DragoNN": dragonn}


def asked(panels: list[Panel], pairs: Pairs) -> Opinions:
    """Return the answers of each teacher for the pairs."""
    return Opinions(*(pd.concat([panel(codes) for panel in panels], axis=1) for codes in pairs))


def added(opinions: Opinions, weights: dict[str, float]) -> tuple[Values, Values]:
    """Return weighted sums of answers for real and for changed sequences, ``[n]`` each."""
    names = list(weights)
    real, changed = (each[names] for each in opinions)
    scale = pd.Series(weights) / (changed - real).std(ddof=0)
    return (real * scale).sum(axis=1).to_numpy(), (changed * scale).sum(axis=1).to_numpy()


def write(path: Path, pairs: Pairs, columns: dict[str, tuple[Values, Values]]) -> None:
    """Write two rows per pair, the real sequence first, with a column per kind of answer."""
    names = np.arange(len(pairs.real)).astype(str)
    halves = []
    for number, (kind, sequences) in enumerate(zip(Pairs._fields, pairs, strict=True)):
        half = {
            "id": np.char.add(names, f"_{kind}"),
            "pair": names,
            "sequence": [decode(codes) for codes in sequences],
        }
        half |= {name: answer[number].round(5) for name, answer in columns.items()}
        halves.append(pd.DataFrame(half))
    pd.concat(halves).sort_index(kind="stable").to_csv(path, sep="\t", index=False)
    print(f"{len(names):,} pairs; SD of answers and of differences:")
    for name, (real, changed) in columns.items():
        print(f"  {name} {real.std():.3f} {(changed - real).std():.3f}")


if __name__ == "__main__":
    main()
