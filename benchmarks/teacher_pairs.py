"""Pairs of real sequences that differ in one to four bases, with what known models say of them.

    python benchmarks/teacher_pairs.py --data DATA --tables TABLES -o PAIRS.tsv [-n N] [--seed S]

A network learns the answers, and above all their differences (distillation). TABLES is what
benchmarks/activity_tables.py made of DATA. Sequences are 200 bp: the rows of lentimpra.tsv and
dhs.tsv to learn from, stretches of two neighbouring tiles of mattioli.tsv, and, a quarter, places
of chr22 (DATA/hg38_chr22). Teachers of activity are ridges on 7-mers, fitted here to the rows of
lentimpra.tsv to learn from, and MPRA-DragoNN (DATA/mpra_dragonn_convmodel, MIT licence); those of
accessibility are ridges on 7-mers fitted to open.tsv, one for each cell type. Each counts by its
weight, in units of the standard deviation of its differences. As in the tables, no sequence shares
24 bases with an element of Kircher et al. 2019.

Written are the columns id, pair, sequence, teacher (of activity), open (of accessibility): two rows
per pair, of which the first is real.
About 10 minutes of one core for 200,000 pairs, most of it MPRA-DragoNN.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from activity_tables import read_chr22, read_table, shares_word
from real_data import constructs
from sequence_peers import (
    DRAGONN,
    Codes,
    Dragonn,
    Function,
    Values,
    fit_ridge,
    fit_ridges,
    stacked,
)

from genomix_cli.genome.alphabet import UNKNOWN_BASE, decode

BASES = 200
#: Share of the pairs that lie anywhere on chr22.
ANYWHERE = 0.25
#: Where bases are changed: MPRA-DragoNN reads the central 145.
FIRST, LAST = 30, 170
#: Chance of a first, second, third and fourth change.
CHANGES = (1.0, 0.3, 0.3, 0.3)
#: Tile 1 of a transcription start site begins with the last bases of tile 2.
TILES_SHARE = 30
#: Pairs drawn beyond those asked for, as some are left out.
SPARE = 0.02


#: Penalty of the ridges of accessibility.
OPEN_ALPHA = 1500.0


class Teacher(NamedTuple):
    """A function of sequences, and its weight in the answer."""

    function: Function
    weight: float


class Pairs(NamedTuple):
    """Real sequences and the same with changes, uint8 ``[n, 200]`` each."""

    real: Codes
    changed: Codes


def main() -> None:
    """Draw the pairs, ask the teachers, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-n", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    pool, chromosome = real_sequences(options.tables), read_chr22(options.data)
    drawn = draw(pool, chromosome, int(options.n * (1 + SPARE)) + 10, rng)
    pairs = without(drawn, constructs(options.data), options.n)
    lentimpra, sites = (
        read_table(options.tables / f"{name}.tsv") for name in ("lentimpra", "open")
    )
    columns = {
        "teacher": teachers_of_activity(options.data, lentimpra),
        "open": teachers_of_accessibility(sites),
    }
    write(options.output, pairs, {name: answers(each, pairs) for name, each in columns.items()})


def real_sequences(tables: Path) -> Codes:
    """Sequences of 200 bp of the parts to learn from, uint8 ``[n, 200]``."""
    parts = [read_table(tables / f"{name}.tsv") for name in ("lentimpra", "dhs", "mattioli")]
    lentimpra, dhs, tiles = (part[part["split"] == "train"] for part in parts)
    two = neighbours(tiles)
    starts = np.arange(len(two)) % (two.shape[1] - BASES + 1)
    inside = two[np.arange(len(two))[:, None], starts[:, None] + np.arange(BASES)]
    return np.concatenate([stacked(lentimpra["sequence"]), stacked(dhs["sequence"]), inside])


def neighbours(tiles: pd.DataFrame) -> Codes:
    """Both tiles of a transcription start site as one stretch, uint8 ``[n, 258]``."""
    by_id = dict(zip(tiles["id"], tiles["sequence"], strict=True))
    joined = []
    for name, second in by_id.items():
        first = by_id.get(name.removesuffix("1") + "2") if name.endswith("__tile1") else None
        if first and first.endswith(second[:TILES_SHARE]):
            joined.append(first + second[TILES_SHARE:])
    return stacked(pd.Series(joined))


def draw(pool: Codes, chromosome: Codes, n: int, rng: np.random.Generator) -> Pairs:
    """Draw `n` pairs, some of the pool and some of the chromosome."""
    anywhere = round(n * ANYWHERE)
    unknown = np.concatenate([[0], np.cumsum(chromosome >= UNKNOWN_BASE)])
    starts = np.flatnonzero(unknown[BASES:] == unknown[:-BASES])
    places = rng.choice(starts, anywhere)[:, None] + np.arange(BASES)
    real = np.concatenate([pool[rng.integers(0, len(pool), n - anywhere)], chromosome[places]])
    real = real[rng.permutation(n)]
    return Pairs(real, changed(real, rng))


def changed(real: Codes, rng: np.random.Generator) -> Codes:
    """Sequences with one to four of their inner bases replaced by another base."""
    out, row = real.copy(), np.arange(len(real))
    for chance in CHANGES:
        at, by = rng.integers(FIRST, LAST, len(real)), rng.integers(1, 4, len(real))
        some = rng.random(len(real)) < chance
        # From the real base, so that a place that is drawn twice does not change back.
        other = (real[row, at] + by) % 4
        out[row[some], at[some]] = other[some]
    return out


def without(drawn: Pairs, elements: dict[str, str], n: int) -> Pairs:
    """The first `n` pairs of which neither sequence shares 24 bases with an element."""
    bad = np.zeros(len(drawn.real), bool)
    for codes in drawn:
        bad |= shares_word(map(decode, codes), elements.values())
    print(f"{bad.sum():,} of {len(bad):,} pairs left out: 24 bases of Kircher")
    kept = np.flatnonzero(~bad)[:n]
    if len(kept) < n:
        raise SystemExit(f"only {len(kept):,} pairs are left of {len(bad):,}")
    return Pairs(drawn.real[kept], drawn.changed[kept])


def teachers_of_activity(data: Path, lentimpra: pd.DataFrame) -> list[Teacher]:
    """Three ridges, which count together as much as MPRA-DragoNN."""
    ridges = fit_ridges(lentimpra[lentimpra["split"] == "train"]).values()
    network = Teacher(Dragonn(data / DRAGONN).both_strands, 1.0)
    return [*(Teacher(ridge, 1 / 3) for ridge in ridges), network]


def teachers_of_accessibility(sites: pd.DataFrame) -> list[Teacher]:
    """A ridge for each cell type: open there, or closed wherever it is known."""
    learned = sites[sites["split"] == "train"]
    teachers = []
    for name in learned.columns[learned.columns.str.startswith("open_")]:
        known = learned[learned[name] != ""]
        opened = (known[name] == "yes").to_numpy(np.float64)
        ridge = fit_ridge(stacked(known["sequence"]), opened, OPEN_ALPHA)
        teachers.append(Teacher(ridge, 1.0))
    return teachers


def answers(teachers: list[Teacher], pairs: Pairs) -> tuple[Values, Values]:
    """Weighted sums of the teachers' answers for real and changed sequences, ``[n]`` each."""
    real, other = np.zeros(len(pairs.real)), np.zeros(len(pairs.real))
    for function, weight in teachers:
        before, after = function(pairs.real), function(pairs.changed)
        scale = weight / (after - before).std()
        real += scale * before
        other += scale * after
    return real, other


def write(path: Path, pairs: Pairs, columns: dict[str, tuple[Values, Values]]) -> None:
    """Two rows per pair, the real sequence first, with a column for each kind of answer."""
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
