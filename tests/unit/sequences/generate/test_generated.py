"""Distances of sets of sequences against closed forms, and generated files beside real ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.comparison.intervals import normal_interval
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Sequences, open_sequences, write_sequences
from genomix_cli.genome import iupac
from genomix_cli.genome.motifs import from_consensus
from genomix_cli.provenance import Provenance, facts_of
from genomix_cli.sequences.generate import profiles
from genomix_cli.sequences.generate.entrants import Entrant, Judge, motif_hits
from genomix_cli.sequences.generate.evaluate import TRAINING, Classifier, evaluate_generated
from genomix_cli.sequences.generate.nearest import Collection
from genomix_cli.sequences.requests.evaluate import GeneratedRequest
from tests.diffusion_runs import CLASSES, two_classes


def random_codes(n: int, length: int, seed: int = 0) -> np.ndarray:
    return iupac.from_bases(np.random.default_rng(seed).integers(0, 4, (n, length)))


@settings(max_examples=30, deadline=None)
@given(st.text("ACGTN", min_size=3, max_size=12), st.integers(1, 3))
def test_strands_have_the_same_kmers_and_none_is_lost(text: str, k: int) -> None:
    codes = iupac.encode(text)[None]
    counts = profiles.kmer_counts(codes, k)
    np.testing.assert_array_equal(counts, profiles.kmer_counts(iupac.reverse_complement(codes), k))
    whole = sum("N" not in text[i : i + k] for i in range(len(text) - k + 1))
    assert counts.sum() == whole
    assert counts.shape[1] == {1: 2, 2: 10, 3: 32}[k]


def test_jensen_shannon_is_between_nothing_and_one_bit() -> None:
    p, q = np.array([1.0, 1, 0, 0]), np.array([0.0, 0, 3, 1])
    assert profiles.jensen_shannon(p, p * 7) == pytest.approx(0)
    assert profiles.jensen_shannon(p, q) == pytest.approx(1)
    half = profiles.jensen_shannon(np.array([1.0, 0]), np.array([1.0, 1]))
    assert half == pytest.approx(0.311278, abs=1e-6)


def test_energy_distance_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((5, 3)).astype("f4"), rng.random((4, 3)).astype("f4") + 1
    tables = profiles.distances(x, y), profiles.distances_inside(x), profiles.distances_inside(y)
    found = profiles.energy(*tables, np.ones((1, 5)), np.ones((1, 4)))[0]

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        return float(
            np.mean(
                [
                    np.linalg.norm(p - q)
                    for i, p in enumerate(a)
                    for j, q in enumerate(b)
                    if not (same and i == j)
                ]
            )
        )

    across = mean(x, y, False)
    assert found == pytest.approx(
        1 - (mean(x, x, True) + mean(y, y, True)) / (2 * across), abs=1e-5
    )


def test_energy_distance_sees_what_the_pooled_spectrum_does_not() -> None:
    """Half A-rich and half C-rich sequences have the same pooled spectrum as mixed ones."""
    rng = np.random.default_rng(0)
    lean = np.repeat([0.1, 0.9], 100)[:, None]
    apart = iupac.from_bases((rng.random((200, 40)) < lean).astype(int))
    mixed = iupac.from_bases((rng.random((200, 40)) < 0.5).astype(int))
    weight = np.ones((1, 200))
    spectra = [profiles.kmer_counts(c, 1).sum(0) for c in (apart, mixed)]
    assert profiles.jensen_shannon(*spectra) < 1e-3
    x, y = (profiles.frequencies(profiles.kmer_counts(c, 1)) for c in (apart, mixed))
    tables = profiles.distances(x, y), profiles.distances_inside(x), profiles.distances_inside(y)
    assert profiles.energy(*tables, weight, weight)[0] > 0.1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(-1, 1))
def test_wasserstein_of_a_shift_is_the_shift(values: list[float], shift: float) -> None:
    x = np.array(values)
    weight = np.ones((1, len(x)))
    found = profiles.wasserstein(x, x + shift, weight, weight)
    assert found[0] == pytest.approx(abs(shift), abs=1e-9)


def test_a_sequence_that_counts_twice_is_there_twice() -> None:
    x, y = np.array([0.1, 0.5]), np.array([0.3, 0.9, 0.2])
    once = profiles.wasserstein(np.repeat(x, [2, 1]), y, np.ones((1, 3)), np.ones((1, 3)))
    twice = profiles.wasserstein(x, y, np.array([[2.0, 1]]), np.ones((1, 3)))
    assert once == pytest.approx(twice)


def test_copies_are_found_on_either_strand_and_after_changes() -> None:
    train = random_codes(50, 100)
    asked = np.stack(
        [
            train[7],
            iupac.reverse_complement(train[8]),
            np.roll(train[9], 3),
            np.concatenate([train[10][:50], train[11][:50]]),
            random_codes(1, 100, 9)[0],
            iupac.encode("N" * 100),
        ]
    )
    found = Collection(train).nearest(asked)
    np.testing.assert_allclose(found[:2], 1)
    assert 0.85 < found[2] < 1
    assert found[3] == pytest.approx(39 / 89)
    assert found[4] < 0.05
    assert found[5] == 0


def test_motifs_are_found_in_their_own_sequence() -> None:
    codes = random_codes(4, 60)
    codes[2, 20:30] = iupac.encode("GATTACAGGC")
    codes[3, 5:15] = iupac.reverse_complement(iupac.encode("GATTACAGGC"))
    hits = motif_hits(codes, [from_consensus("x", "GATTACAGGC")])
    assert hits[:, 0].tolist() == [0, 0, 1, 1]
    # Half at the end of one sequence, half at the start of the next, is no site.
    split = random_codes(2, 60, 3)
    split[0, -5:], split[1, :5] = iupac.encode("GATTA"), iupac.encode("CAGGC")
    assert not motif_hits(split, [from_consensus("x", "GATTACAGGC")]).any()


def test_an_interval_is_the_value_give_or_take_the_spread() -> None:
    replicates = np.append(0.5, np.random.default_rng(0).normal(0.6, 0.01, 500))
    value, low, high = normal_interval(replicates)
    assert value == 0.5
    assert high - value == pytest.approx(1.96 * 0.01, rel=0.1)
    assert value - low == pytest.approx(high - value)


def test_the_same_law_is_no_farther_than_chance() -> None:
    label = np.zeros(150, np.int64)
    real = Entrant("real", random_codes(150, 60, 1), label)
    judge = Judge(real, (), Collection(random_codes(100, 60, 2)), draws=50)
    same = judge.measure(Entrant("same", random_codes(150, 60, 3), label), 0)
    poor = judge.measure(Entrant("poor", np.full((150, 60), 1, np.uint8), label), 1)
    low, high = normal_interval(same["energy"])[1:]
    assert low < 0 < high
    assert poor["spectrum"][0] > 0.9
    assert normal_interval(poor["energy"]).low > 0.3


# files


def _write(path: Path, sequences: Sequences) -> Path:
    write_sequences(path, sequences, Provenance.of({}, {}))
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_classes(tmp_path_factory.mktemp("real") / "real.h5", n=640)


def _classify(codes: np.ndarray) -> np.ndarray:
    strong = profiles.gc(codes)
    return np.log(np.stack([strong, 1 - strong], 1) + 1e-9)


# Its classes in another order than the file's.
BY_GC = Classifier("GC", tuple(reversed(CLASSES)), _classify)


def test_what_is_like_real_is_told_from_what_is_not(real: Path, tmp_path: Path) -> None:
    fresh = two_classes(tmp_path / "fresh.h5", n=160, seed=9)
    request = GeneratedRequest(
        fresh,
        real,
        tsv=tmp_path / "o.tsv",
        json=tmp_path / "o.json",
        report=tmp_path / "o.html",
        draws=40,
    )
    found = evaluate_generated(request, BY_GC)
    by = {each.name: each for each in found.entrants}
    own, chain = by["fresh.h5"], by["Markov chain, order 5"]
    # One chain for both classes does not know which it is asked for.
    assert own.less_chain["spectrum_by_class"].high < 0
    assert own.less_chain["class_accuracy"].low > 0.2
    assert own.metrics["class_accuracy"].low > 0.9
    assert chain.metrics["class_accuracy"].value < 0.75
    by_class = by["Markov chain, order 5, of each class"].metrics["class_accuracy"].value
    assert by_class > chain.metrics["class_accuracy"].value + 0.1
    assert own.less_real["copies"].value == 0
    assert "copies" not in by[TRAINING].metrics
    assert "energy" in by["held-out sequences"].metrics
    assert found.counts["compared"] + found.counts["left_out"] == 160
    assert json.loads((tmp_path / "o.json").read_text())["headline"] == found.headline
    page = (tmp_path / "o.html").read_text()
    assert found.headline in page
    value = found.entrants[0].metrics["spectrum"].text().partition(" ")[0]
    assert f"<li><span>6-mer spectrum</span><b>{value}</b>" in page
    lines = (tmp_path / "o.tsv").read_text().splitlines()
    made = facts_of(lines)
    assert [text.split()[0] for text in made["Input"]] == ["generated", "real"]
    lines = [line for line in lines if not line.startswith("##")]
    assert lines[0].startswith("set\tsequences\tmetric\tvalue\tlow\thigh")
    assert len(lines) == 1 + sum(len(each.metrics) for each in found.entrants)


def test_copies_of_training_are_told(real: Path, tmp_path: Path) -> None:
    train = open_sequences(real)
    train = train.take(np.flatnonzero(train.split == "train")[:80])
    found = evaluate_generated(
        GeneratedRequest(_write(tmp_path / "copies.h5", train), real, draws=20), BY_GC
    )
    copies, real_copies = (found.entrants[i].metrics["copies"] for i in (0, -1))
    assert copies.value == 1 == pytest.approx(copies.high)
    assert 0.9 < copies.low < 0.99
    assert real_copies.value == 0 == pytest.approx(real_copies.low)
    assert real_copies.high > 0
    assert "; more similar to training sequences" in found.headline


def test_motifs_and_the_classifier_of_words(real: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    motifs = tmp_path / "m.meme"
    row = {"A": "1 0 0 0", "C": "0 1 0 0", "G": "0 0 1 0", "T": "0 0 0 1"}
    text = "MEME version 4\n\nALPHABET= ACGT\n"
    for name, word in (("strong", "GGCCG"), ("weak", "TTAAT"), ("both", "CATG")):
        rows = "\n".join(row[letter] for letter in word)
        text += f"\nMOTIF {name}\nletter-probability matrix: alength= 4 w= {len(word)}\n{rows}\n"
    motifs.write_text(text)
    fresh = two_classes(tmp_path / "fresh.h5", n=160, seed=9)
    found = evaluate_generated(GeneratedRequest(fresh, real, motifs=motifs, draws=20))
    own = found.entrants[0].metrics
    assert own["motif_contrast"].value > 0.9
    assert own["motif_rates"].value < 1
    assert own["class_accuracy"].value > 0.8
    assert found.classifier.startswith("logistic regression")
    assert found.motifs == 3


def test_generated_without_classes_are_compared_without(real: Path, tmp_path: Path) -> None:
    fresh = open_sequences(two_classes(tmp_path / "fresh.h5", n=80, seed=9))
    bare = _write(tmp_path / "bare.h5", replace(fresh, phenotypes=(), default_label=""))
    found = evaluate_generated(GeneratedRequest(bare, real, draws=10))
    assert found.classes == ()
    assert not found.classifier
    assert "spectrum_by_class" not in found.entrants[0].metrics


def test_mistakes_are_told(real: Path, tmp_path: Path) -> None:
    fresh = open_sequences(real)
    short = _write(tmp_path / "short.h5", replace(fresh, codes=fresh.codes[:, :20]))
    with pytest.raises(DataError, match="another length"):
        evaluate_generated(GeneratedRequest(short, real))
    few = _write(tmp_path / "few.h5", fresh.take(np.arange(10)))
    with pytest.raises(DataError, match="too few sequences of a class"):
        evaluate_generated(GeneratedRequest(few, real))
    there = tmp_path / "there.tsv"
    there.touch()
    with pytest.raises(UsageError, match="already exists"):
        evaluate_generated(GeneratedRequest(real, real, tsv=there))
    with pytest.raises(DataError, match="does not know every class"):
        evaluate_generated(GeneratedRequest(real, real), BY_GC._replace(classes=("a", "b")))
