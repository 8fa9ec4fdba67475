"""Pairs of sequences for a network to learn differences from."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sequence_peers import MOTIFS, Codes, gc_content
from teacher_pairs import (
    ANSWERS,
    BASES,
    FIRST,
    LAST,
    PANELS,
    Opinions,
    Pairs,
    Panel,
    added,
    asked,
    columns,
    draw,
    motif_sites,
    neighbours,
    seven_mers,
    without,
    write,
)

from genomix_cli.genome.alphabet import decode, encode

CHROMOSOME = np.concatenate(
    [np.full(500, 4, np.uint8), np.random.default_rng(0).integers(0, 4, 3000).astype(np.uint8)]
)


def some_pairs(n: int, seed: int = 1) -> Pairs:
    rng = np.random.default_rng(seed)
    pool = np.random.default_rng(3).integers(0, 4, (50, BASES)).astype(np.uint8)
    return draw(pool, CHROMOSOME, n, rng)


def test_pairs_differ_in_one_to_four_inner_bases() -> None:
    pairs = some_pairs(2000)
    different = pairs.real != pairs.changed
    assert set(different.sum(1)) == {1, 2, 3, 4}
    inner = np.flatnonzero(different.any(0))
    assert inner.min() >= FIRST
    assert inner.max() < LAST
    assert pairs.changed.max() <= 3


def test_a_quarter_lies_on_the_chromosome_without_unknown_bases() -> None:
    pairs = some_pairs(400)
    text = decode(CHROMOSOME)
    inside = [decode(codes) in text for codes in pairs.real]
    assert sum(inside) == 100
    # Shuffled: not all of them at one end.
    assert 0 < sum(inside[:200]) < 100


def test_a_seed_gives_the_same_pairs() -> None:
    one, same, other = some_pairs(50), some_pairs(50), some_pairs(50, seed=2)
    assert (one.changed == same.changed).all()
    assert (one.real != other.real).any()


def test_pairs_with_bases_of_an_element_are_left_out() -> None:
    drawn = some_pairs(30)
    place = int(np.flatnonzero(drawn.real[4] != drawn.changed[4])[0])
    # 24 bases that the real sequence does not have.
    element = decode(drawn.changed[4][place - 12 : place + 12])
    kept = without(drawn, {"e": element}, 20)
    assert len(kept.real) == 20
    assert not any(element in decode(codes) for codes in np.concatenate(kept))
    with pytest.raises(SystemExit, match="are left of 30"):
        without(drawn, {"e": element}, 30)


def opinions_of(pairs: Pairs) -> Opinions:
    def panel(codes: Codes) -> pd.DataFrame:
        gc = gc_content(codes)
        return pd.DataFrame({"gc": gc, "more": 1000 * gc, "a": (codes == 0).sum(1)})

    return asked([panel], pairs)


def test_teachers_count_by_weight_in_units_of_their_differences() -> None:
    opinions = opinions_of(some_pairs(300))
    alone = added(opinions, {"gc": 1.0})
    assert (alone[1] - alone[0]).std() == pytest.approx(1)
    assert added(opinions, {"more": 1.0})[0] == pytest.approx(alone[0])
    both = added(opinions, {"gc": 2.0, "more": 1.0})
    assert both[1] == pytest.approx(3 * alone[1])
    other = added(opinions, {"a": 0.5})
    assert added(opinions, {"gc": 1.0, "a": 0.5})[0] == pytest.approx(alone[0] + other[0])


def test_every_answer_is_of_teachers_that_there_are() -> None:
    """Every teacher of a field exists in a table or in MPRA-DragoNN."""
    of_tables = [
        "HepG2",
        "WTC11",
        "K562",
        *(f"open_{c}" for c in ("GM12878", "HepG2", "K562", "hESC")),
    ]
    there = {f"{kind} {name}" for kind in ("7-mers", "motifs") for name in of_tables}
    there |= {"MPRA-DragoNN", "MPRA-DragoNN HepG2", "MPRA-DragoNN K562"}
    assert {teacher for weights in ANSWERS.values() for teacher in weights} <= there
    assert {teacher.split()[0] for teacher in there} == set(PANELS)


def test_columns_are_quantities_and_whether_a_place_is_open() -> None:
    table = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "HepG2": ["0.5", "", "-1"],
            "open_K562": ["yes", "no", ""],
        }
    )
    activity, opened = columns(table)
    assert (activity.name, activity.rows.tolist(), activity.value.tolist()) == (
        "HepG2",
        [0, 2],
        [0.5, -1.0],
    )
    assert (opened.name, opened.rows.tolist(), opened.value.tolist()) == (
        "open_K562",
        [0, 1],
        [1, 0],
    )


def test_tiles_of_a_site_are_joined_where_they_overlap() -> None:
    stretch = decode(CHROMOSOME[500:758])
    rows = [("a__tile1", stretch[114:]), ("a__tile2", stretch[:144]), ("b__tile1", stretch[:144])]
    rows += [("c__tile1", stretch[:144]), ("c__tile2", stretch[:144])]
    tiles = pd.DataFrame(rows, columns=["id", "sequence"])
    assert [decode(codes) for codes in neighbours(tiles)] == [stretch]


def test_a_table_has_two_rows_per_pair(tmp_path: Path) -> None:
    pairs = some_pairs(12)
    answer = added(opinions_of(pairs), {"gc": 1.0})
    twice = added(opinions_of(pairs), {"gc": 2.0})
    write(tmp_path / "pairs.tsv", pairs, {"teacher": answer, "open": twice})
    table = pd.read_csv(tmp_path / "pairs.tsv", sep="\t")
    assert list(table) == ["id", "pair", "sequence", "teacher", "open"]
    assert table["pair"].tolist() == [i // 2 for i in range(24)]
    assert table["id"].is_unique
    assert table["sequence"].tolist()[1::2] == [decode(codes) for codes in pairs.changed]
    assert table["teacher"].to_numpy()[::2] == pytest.approx(answer[0], abs=1e-5)
    assert table["open"].to_numpy()[1::2] == pytest.approx(twice[1], abs=1e-5)


@pytest.mark.parametrize("make", [seven_mers, motif_sites])
def test_each_cell_type_has_a_teacher_of_accessibility(
    make: Callable[[Path, Path], Panel], tmp_path: Path
) -> None:
    """Each teacher recognises the motif of its own cell type only."""
    of_a, of_b, of_none = "GATTACA" * 4, "CGTCAGG" * 4, ""
    rng = np.random.default_rng(4)

    def carrying(words: str) -> str:
        return words + decode(rng.integers(0, 4, BASES - len(words)).astype(np.uint8))

    rows = [(carrying(of_a), "train", "yes", "") for _ in range(80)]
    rows += [(carrying(of_none), "train", "no", "no") for _ in range(80)]
    rows += [(carrying(of_b), "train", "", "yes") for _ in range(80)]
    # Not to be learned from: the word on the wrong side.
    rows += [(carrying(of_a), "test", "no", "no") for _ in range(400)]
    sites = pd.DataFrame(rows, columns=["sequence", "split", "open_A", "open_B"])
    sites.to_csv(tmp_path / "open.tsv", sep="\t", index=False)
    activity = sites.rename(columns={"open_A": "HepG2"}).drop(columns="open_B")
    activity.assign(HepG2="0").to_csv(tmp_path / "lentimpra.tsv", sep="\t", index=False)
    (tmp_path / MOTIFS).parent.mkdir()
    with gzip.open(tmp_path / MOTIFS, "wt") as file:
        file.write(meme({"a": "GATTACA", "b": "CGTCAGG", "c": "TTTTTTT"}))
    codes = encode("".join(carrying(words) for words in (of_none, of_a, of_b) * 20))
    answers = make(tmp_path, tmp_path)(codes.reshape(60, -1)).groupby(np.arange(60) % 3).mean()
    kind = answers.columns[0].split()[0]
    for name, own, other in (("A", 1, 2), ("B", 2, 1)):
        answer = answers[f"{kind} open_{name}"]
        assert answer[own] > answer[0] + 0.01
        assert answer[own] > answer[other] + 0.01
    assert answers[f"{kind} HepG2"].to_numpy() == pytest.approx(0, abs=1e-6)


def meme(sites: dict[str, str]) -> str:
    """Motifs that are nearly one word each."""
    text = "MEME version 4\n\nALPHABET= ACGT\n"
    for name, site in sites.items():
        rows = "\n".join(" ".join("0.97" if b == x else "0.01" for b in "ACGT") for x in site)
        text += f"\nMOTIF {name}\nletter-probability matrix: alength= 4 w= {len(site)}\n{rows}\n"
    return text
