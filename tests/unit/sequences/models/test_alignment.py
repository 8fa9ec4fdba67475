"""Alignment: towers that do not see each other, profiles, retrieval against plain counting."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genomix_cli.comparison.splits import Split
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Phenotype, Sequences
from genomix_cli.sequences.models.alignment import (
    AlignConfig,
    Alignment,
    PhenotypeSpec,
    hard_negatives,
    hide_phenotypes,
    same_profile,
)
from genomix_cli.sequences.models.encoder import Encoder, EncoderConfig
from genomix_cli.sequences.pretrain.align import encoded, shuffled, train_alignment, without_unseen
from genomix_cli.sequences.pretrain.attention import covered
from genomix_cli.sequences.pretrain.linear_retrieval import linear_scores
from genomix_cli.sequences.pretrain.probes import ByPart
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import read_run
from genomix_cli.sequences.score.retrieval import agree, compare, distinct, recalls, retrieve
from genomix_cli.sequences.score.sequences import retrieval
from tests.sequence_phenotypes import aligned, unaligned, written

NAN = float("nan")
SPECS = (PhenotypeSpec("kind", ("a", "b", "c")), PhenotypeSpec("level", None, 2.0, 0.5))
SMALL = {
    **{"width": 16, "heads": 2, "sites": 10, "projection": 8, "epochs": 12},
    **{"batch_size": 32, "learning_rate": 0.01, "dropout": 0.0},
}


def module(**fields: object) -> Alignment:
    config = AlignConfig(length=30, width=16, heads=2, layers=1, projection=8, **fields)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Alignment(SPECS, config).eval()


def codes(n: int = 5) -> torch.Tensor:
    return torch.from_numpy(unaligned(n * 2, 30).codes[:n])


class TestModule:
    def test_a_sequence_is_the_same_whatever_its_phenotype(self):
        """Embeddings of a sequence do not depend on the phenotypes that it is compared with."""
        own, own_codes = module(), codes(6)
        values = np.array([[0, 0.5], [1, -1], [2, 0.1]], np.float32)
        found = compare(own, own_codes.numpy(), values)
        turned = compare(own, own_codes.numpy(), values[::-1].copy())
        np.testing.assert_allclose(found.similarity, turned.similarity[:, ::-1], atol=1e-6)
        alone = compare(own, own_codes.numpy(), values[:1])
        np.testing.assert_allclose(found.similarity[:, :1], alone.similarity, atol=1e-6)
        vectors = torch.from_numpy(found.similarity)
        assert float(vectors.std()) > 0

    def test_a_profile_is_the_same_whatever_else_is_in_the_batch(self):
        own = module()
        values = torch.tensor([[0, 0.5], [NAN, 1.0], [2, NAN]])
        together = own.profile(values)[0]
        for i in range(3):
            torch.testing.assert_close(own.profile(values[i : i + 1])[0][0], together[i])
        assert (together.norm(dim=1) - 1).abs().max() < 1e-5
        assert torch.isfinite(together).all()

    def test_every_phenotype_tells(self):
        own = module()
        values = torch.tensor([[0, 0.5], [1, 0.5], [0, 0.9], [NAN, 0.5], [0, NAN]])
        vectors = own.profile(values)[0]
        far = (vectors[:, None] - vectors[None]).norm(dim=-1) + torch.eye(5)
        assert far.min().item() > 1e-3

    def test_attention_is_that_of_the_block(self):
        """Setting the value of one token at a time reads out the attention to it."""
        own = module()
        values = torch.tensor([[0, 0.5], [1, -1.0]])
        tokens = own.profile(values)[1]
        dna = own.dna(codes(2))[2]
        weight = own.attention(tokens, dna)
        assert weight.shape == (2, 2, 28)
        torch.testing.assert_close(weight.sum(-1), torch.ones(2, 2))
        reader = own.reader
        query = reader.query(reader.norm(tokens)).unflatten(-1, (2, 8))
        key = reader.key_value(reader.context_norm(dna))[..., :16].unflatten(-1, (2, 8))
        scores = torch.einsum("bqhe,bnhe->bhqn", query, key) / 8**0.5
        torch.testing.assert_close(weight, scores.softmax(-1).mean(1))

    def test_profiles_are_the_same_or_fit(self):
        values = torch.tensor([[0, NAN], [0, 1.0], [0, NAN], [1, 1.0]])
        same, fits = same_profile(values)
        assert same.tolist() == [[i == j or {i, j} == {0, 2} for j in range(4)] for i in range(4)]
        assert fits[0].tolist() == [True, True, True, False]
        assert fits[1].tolist() == [True, True, True, False]

    def test_one_phenotype_always_stays(self):
        generator = torch.Generator().manual_seed(0)
        values = torch.tensor([[0, 1.0], [NAN, 2.0]]).repeat(500, 1)
        hidden = hide_phenotypes(values, 1.0, generator)
        assert ((~hidden.isnan()).sum(1) == 1).all()
        assert torch.equal(hide_phenotypes(values, 0.0, generator).isnan(), values.isnan())

    def test_negatives_are_wrong_and_alike(self):
        logits = torch.tensor([[9.0, 1.0, 5.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
        allowed = ~torch.eye(3, dtype=torch.bool)
        allowed[1] = False
        draws = [
            hard_negatives(logits, allowed, torch.Generator().manual_seed(i)) for i in range(200)
        ]
        assert draws[0][1].tolist() == [True, False, True]
        wrong = torch.stack([d[0] for d in draws])
        assert (wrong[:, 0] != 0).all()
        assert (wrong[:, 2] != 2).all()
        assert float((wrong[:, 0] == 2).float().mean()) > 0.9


class TestPhenotypes:
    def test_numbers_are_standardised_on_training_alone(self):
        number = Phenotype("x", None, np.array([1, 3, 100, NAN], np.float32))
        category = Phenotype("k", ("a", "b"), np.array([0, 1, -1, 0], np.int16))
        constant = Phenotype("c", ("a", "b"), np.array([0, 0, 1, 1], np.int16))
        specs, values = encoded((number, category, constant), np.array([0, 1]))
        assert [spec.name for spec in specs] == ["x", "k"]
        assert (specs[0].mean, specs[0].sd) == (2, 1)
        np.testing.assert_array_equal(values[:, 0], np.float32([-1, 1, 98, NAN]))
        np.testing.assert_array_equal(values[:, 1], np.float32([0, 1, NAN, 0]))

    def test_phenotypes_that_do_not_differ_are_an_error(self):
        constant = Phenotype("c", ("a", "b"), np.zeros(4, np.int16))
        with pytest.raises(DataError, match="no phenotype varies"):
            encoded((constant,), np.arange(4))

    def test_distinct_profiles_and_who_fits_them(self):
        values = np.float32([[0, 1], [0, NAN], [0, 1], [NAN, NAN], [2, 3]])
        profiles, counts = distinct(values)
        assert sorted(counts.tolist()) == [1, 1, 2]
        assert len(profiles) == 3
        fits = agree(values, np.float32([[0, 1], [2, 3]]))
        assert fits.tolist() == [[True, False]] * 3 + [[True, True], [False, True]]

    def test_groups_get_the_phenotypes_of_another(self):
        values = np.arange(12, dtype=np.float32).reshape(6, 2)
        group = np.array([5, 5, 2, 2, 9, 9])
        found = shuffled(values, group, 0)
        assert (found[0::2] == found[1::2]).all()
        assert {tuple(row) for row in found} == {tuple(values[i]) for i in (0, 2, 4)}


class TestRecall:
    def test_known_ranks(self):
        score = np.array([[3.0, 2, 1, 0, -1, -2], [0, 1, 2, 3, 4, 5]])
        right = np.zeros((2, 6), bool)
        right[0, 0] = right[1, 3] = True
        found = recalls(score, right, np.arange(2), 0)
        assert [r.share.value for r in found.to_profiles] == [0.5, 1, 1]
        assert found.to_profiles[0].chance == pytest.approx(1 / 6)
        assert found.to_profiles[1].chance == pytest.approx(5 / 6)
        # Only two profiles have a right sequence among the two: the first's is first, the other's
        # is first too.
        assert [r.share.value for r in found.to_sequences] == [1, 1, 1]
        assert found.to_sequences[0].chance == pytest.approx(0.5)

    def test_ties_are_not_resolved_in_our_favour(self):
        """If all scores are equal, retrieval is at chance."""
        found = recalls(np.zeros((12, 12)), np.eye(12, dtype=bool), np.arange(12), 0)
        for way in found:
            assert [r.share.value for r in way] == pytest.approx([1 / 12, 5 / 12, 10 / 12])
            assert [r.chance for r in way] == pytest.approx([1 / 12, 5 / 12, 10 / 12])

    def test_chance_is_what_random_scores_give(self):
        rng = np.random.default_rng(0)
        right = rng.random((40, 30)) < 0.1
        right[:, 0] = True
        shares = np.array(
            [
                [
                    r.share.value
                    for way in recalls(rng.random((40, 30)), right, np.arange(40), 0)
                    for r in way
                ]
                for _ in range(15)
            ]
        )
        chance = [
            r.chance for way in recalls(rng.random((40, 30)), right, np.arange(40), 0) for r in way
        ]
        np.testing.assert_allclose(shares.mean(0), chance, atol=0.05)

    def test_intervals_hold_the_value_and_are_of_groups(self):
        rng = np.random.default_rng(1)
        right = np.eye(6, dtype=bool)[rng.integers(0, 6, 60)]
        score = right + rng.normal(0, 1, (60, 6))
        own = recalls(score, right, np.arange(60), 0).to_profiles[0].share
        few = recalls(score, right, np.arange(60) // 20, 0).to_profiles[0].share
        assert own.low < own.value < own.high
        assert own.value == few.value
        assert recalls(score, right, np.arange(60), 0) == recalls(score, right, np.arange(60), 0)


def test_linear_scores_find_a_profile_that_is_there():
    rng = np.random.default_rng(0)
    values = np.stack([rng.integers(0, 3, 300), rng.normal(size=300)], 1).astype(np.float32)
    x = np.column_stack([np.eye(3)[values[:, 0].astype(int)], values[:, 1]]) * 3
    x = (x + rng.normal(0, 0.2, x.shape)).astype(np.float32)
    rows = ByPart(np.arange(200), np.arange(200, 250), np.arange(250, 300))
    profiles = np.float32([[0, 1], [0, -1], [2, 1], [NAN, 0]])
    score = linear_scores(ByPart(*(x[r] for r in rows)), rows, values, SPECS, profiles)
    best = score[:, :3].argmax(1)
    own = values[rows.test]
    sure = (own[:, 0] != 1) & (np.abs(own[:, 1]) > 0.5) & ((own[:, 0] == 0) | (own[:, 1] > 0))
    expected = np.where(own[:, 0] == 2, 2, np.where(own[:, 1] > 0, 0, 1))
    assert (best == expected)[sure].all()


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("kmers", (2, 5)), ("motifs", (1, 19)), ("loci", (20, 30))],
)
def test_tokens_cover_bases(stem, expected):
    encoder = Encoder(EncoderConfig(length=30, stem=stem, width=8, heads=2, layers=0, sites=10))
    assert covered(encoder, 2) == expected


def train(sequences: Sequences, folder: Path, **fields: object) -> TrainRequest:
    path = written(sequences, folder)
    options = {"phenotypes": ("kind",)} if "options" not in fields else fields.pop("options")
    return TrainRequest(path, folder / "run", "align", arch={**SMALL, **fields}, options=options)


def test_a_run_learns_stores_and_retrieves(tmp_path):
    sequences = aligned(160)
    request = train(sequences, tmp_path)
    summary = train_alignment(request)
    towers = summary.retrieval[0]
    assert towers.recalls.to_profiles[0].share.value > 0.8
    assert towers.recalls.to_sequences[0].share.value == 1
    control = summary.retrieval[-1]
    assert control.recalls.to_profiles[0].share.value < 0.7
    metrics = json.loads((request.output / "metrics.json").read_text())
    assert metrics["profiles"] == 3
    first = metrics["retrieval"][0]["recalls"]["to_profiles"][0]
    assert first["k"] == 1
    assert first["share"]["value"] == towers.recalls.to_profiles[0].share.value
    first = (request.output / "report.html").read_text()
    assert "linear baseline" in first
    value = summary.retrieval[0].recalls.to_profiles[0].share.text().partition(" ")[0]
    assert f"<li><span>Recall@1, profile of a sequence</span><b>{value}</b>" in first
    assert "linear baseline" in (request.output / "README.md").read_text()
    with (request.output / "attention.tsv").open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert {row["class"] for row in rows} == {"all", "class0", "class1", "class2"}
    assert sum(float(r["attention"]) for r in rows if r["class"] == "all") == pytest.approx(1, 1e-4)
    assert [int(row["pos"]) for row in rows[:6]] == [0, 100, 200, 300, 400, 500]

    found = retrieve(read_run(request.output), sequences)
    best = found[found["rank"] == 1]
    label = sequences.phenotypes[0]
    names = np.array(label.categories)[label.values]
    assert (best["kind"].to_numpy() == names).mean() > 0.8
    table = retrieval(read_run(request.output), sequences, "cpu")
    assert [kind for _, kind in table.columns] == ["str", "int", "str", "float", "float"]
    rows = list(table.rows)
    assert len(rows) == 480
    assert rows[0][:3] == ("S0", "1", best["kind"].iloc[0])
    # Phenotypes of the sequences that are asked about are not looked at.
    bare = replace(sequences, phenotypes=())
    again = retrieve(read_run(request.output), bare)
    assert again.equals(found)


def test_numbers_alone_and_what_is_missing(tmp_path):
    request = train(
        unaligned(80), tmp_path, epochs=1, layers=1, options={"phenotypes": ("level", "coin")}
    )
    summary = train_alignment(request)
    assert summary.phenotypes == ("level", "coin")
    assert all(np.isfinite(r.share.value) for r in summary.retrieval[0].recalls.to_profiles)
    assert np.isfinite(summary.curve[-1].valid_nll)


def traits(n: int = 400) -> Sequences:
    """Classes that two numbers describe: how rich sequences are in A, and how rich in C."""
    rng = np.random.default_rng(0)
    t = np.repeat(rng.integers(0, 3, (n // 2, 2)), 2, axis=0)
    p = 0.08 + 0.16 * t
    p = np.column_stack([p, np.tile((1 - p.sum(1))[:, None] / 2, 2)])
    base = (rng.random((n, 40))[..., None] > p.cumsum(1)[:, None]).sum(-1).clip(max=3)
    kinds = tuple(f"a{i}c{j}" for i in range(3) for j in range(3))
    numbers = (Phenotype(name, None, t[:, i].astype(np.float32)) for i, name in enumerate("ac"))
    return replace(
        unaligned(n),
        codes=(1 << base).astype(np.uint8),
        phenotypes=(Phenotype("kind", kinds, (3 * t[:, 0] + t[:, 1]).astype(np.int16)), *numbers),
    )


def test_classes_never_learned_from_are_found_by_what_describes_them(tmp_path):
    sequences = traits()
    unseen = ("a1c1", "a2c0")
    request = train(sequences, tmp_path, epochs=1, options={"unseen": unseen})
    summary = train_alignment(request)
    assert summary.phenotypes == ("a", "c")
    assert summary.unseen == unseen
    label = sequences.phenotypes[0].values
    others = int((~np.isin(label, [4, 6])).sum())
    assert summary.counts["test"] > len(sequences) - others
    assert summary.counts["train"] + summary.counts["valid"] < others
    among = {name: {row.name: row for row in rows} for name, rows in summary.zero_shot.items()}
    every, few = among["among all profiles"], among["among profiles never learned from"]
    assert [r.chance for r in every["two towers"].recalls.to_profiles[:2]] == pytest.approx(
        [1 / 9, 5 / 9]
    )
    assert few["two towers"].recalls.to_profiles[0].chance == 1 / 2
    # Linear models of A and of C need not have seen them together.
    assert every["3-mer counts, linear"].recalls.to_profiles[0].share.low > 2 / 9
    assert few["3-mer counts, linear"].recalls.to_profiles[0].share.low > 1 / 2
    assert "a1c1, a2c0" in (request.output / "README.md").read_text()
    assert "never learned from" in (request.output / "report.html").read_text()


def test_what_is_unseen_leaves_training_with_its_groups():
    group = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    unseen = np.array([False, True, False, False, True, True, False, False])
    split = Split("test", np.array([0, 1, 2, 3]), np.array([4, 5]), np.array([6, 7]))
    found = without_unseen(split, unseen, group)
    assert [rows.tolist() for rows in found.parts] == [[2, 3], [], [1, 4, 5, 6, 7]]


def test_classes_that_cannot_be_unseen(tmp_path):
    for names, message in (
        (("a9c9",), "no such class"),
        (tuple(f"a{i}c{j}" for i in range(3) for j in range(3))[:8], "too few classes are left"),
    ):
        with pytest.raises(UsageError, match=message):
            train_alignment(train(traits(), tmp_path, options={"unseen": names}))
    assert not (tmp_path / "run").exists()


def test_mistakes_are_said_in_a_line(tmp_path):
    with pytest.raises(UsageError, match="no phenotype 'other'"):
        train_alignment(train(unaligned(40), tmp_path, options={"phenotypes": ("other",)}))
    bare = replace(unaligned(40), phenotypes=(), default_label="")
    with pytest.raises(DataError, match="has no phenotypes"):
        train_alignment(train(bare, tmp_path, options={}))
    with pytest.raises(UsageError, match="one split"):
        train_alignment(replace(train(unaligned(60), tmp_path), hold_out="folds:3"))
    assert not (tmp_path / "run").exists()
