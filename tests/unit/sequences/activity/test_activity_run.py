"""A run of activity from files to report, and what is scored with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.seen import read_seen
from genomix_cli.formats.sequences import Phenotype, open_sequences
from genomix_cli.genome.iupac import reverse_complement
from genomix_cli.learning.activity import ActivityConfig, ActivityModel, stored_network
from genomix_cli.sequences.activity.predict import member_answers, model_of
from genomix_cli.sequences.activity.results import ActivitySummary, OutputResult, headline
from genomix_cli.sequences.activity.train import read_job, train_activity
from genomix_cli.sequences.requests.score import ScoreRequest
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import items_of, read_run
from genomix_cli.sequences.score.sequences import score_sequences
from tests.activity_runs import LENGTH, MPRA, drawn, measured, pairs, request, trained
from tests.sequence_samples import genotypes, motifs, write

pytest.importorskip("lightning")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``own.h5``; ``also.h5``, of another length; ``pairs.h5``."""
    folder = tmp_path_factory.mktemp("files")
    write(folder / "own.h5", measured())
    write(folder / "also.h5", measured(60, 40, 9))
    write(folder / "pairs.h5", pairs())
    return folder


def others(files: Path) -> dict[str, tuple[Path, ...]]:
    return {"also": (files / "also.h5",), "pairs": (files / "pairs.h5",)}


@pytest.fixture(scope="module")
def run(files: Path) -> tuple[Path, ActivitySummary]:
    asked = replace(request(files / "own.h5", files / "run", members=2), options=others(files))
    summary = train_activity(asked)
    assert summary is not None
    return files / "run", summary


def network(folder: Path) -> ActivityModel:
    return model_of(read_run(folder, "activity"))


def test_the_folder_is_whole(run: tuple[Path, ActivitySummary]) -> None:
    folder, summary = run
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["headline"] == summary.headline
    assert [each["output"] for each in metrics["outputs"]] == ["HepG2", "stem_cell", "open"]
    models = ["2 networks", "member 1", "member 2", "ridge", "mean"]
    for each in metrics["outputs"]:
        named = [
            row["model"].replace("5-mer ", "").replace("6-mer ", "").replace("7-mer ", "")
            for row in each["rows"]
        ]
        assert named == models
    assert [each["name"] for each in metrics["others"]] == ["also.h5", "pairs.h5"]
    assert [(p["member"], p["epoch"]) for p in metrics["curve"]] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    page = (folder / "report.html").read_text()
    assert summary.headline.replace("&", "&amp;") in page
    assert "also_HepG2" in page
    assert page.count("<img") == 3
    for each in summary.outputs:
        value, _, ends = each.rows[0].metrics[each.metric].text().partition(" ")
        assert f"<b>{value}</b><span>{each.rows[0].model} {ends}</span>" in page
    card = (folder / "README.md").read_text()
    assert card.startswith("# Activity of own.h5")
    assert "80 pairs of pairs.h5: HepG2, teacher; not evaluated here" in card
    table = pd.read_csv(folder / "models.tsv", sep="\t")
    assert set(table["metric"]) == {"pearson", "spearman", "explained", "auroc"}
    assert len(pd.read_csv(folder / "training.tsv", sep="\t")) == 4
    assert [row["model"] for row in summary.rows()] == table["model"].tolist()


def test_the_run_is_what_the_shared_room_reads(run: tuple[Path, ActivitySummary]) -> None:
    config, state, _ = RunFolder(run[0]).load("sequences")
    assert config["task"] == "activity"
    model = stored_network(ActivityConfig, ActivityModel, config["arch"], state, run[0])
    assert model.config.length == config["length"] == LENGTH
    outputs = {output.name: output for output in model.config.outputs}
    assert list(outputs) == [
        *("HepG2", "stem_cell", "open", "also_HepG2", "also_stem_cell", "also_open", "teacher")
    ]
    assert (outputs["HepG2"].assay, outputs["HepG2"].left) == (MPRA.assay, MPRA.left)
    assert (outputs["teacher"].assay, outputs["teacher"].left) == ("", "")
    assert model.config.members == 2
    first, second = (member.heads[0][1].weight for member in model.members)
    assert not torch.equal(first, second)


def test_what_is_judged_is_what_is_scored(run: tuple[Path, ActivitySummary], files: Path) -> None:
    folder, summary = run
    held_out = pd.read_csv(folder / "predictions.tsv", sep="\t", index_col="sample")
    assert len(held_out) == summary.counts["test"]
    result = summary.outputs[0]
    known = held_out[held_out["measured:HepG2"].notna()]
    assert len(known) == result.sequences < len(held_out)
    r = pearson(known["measured:HepG2"], known["predicted:HepG2"])
    assert r == pytest.approx(result.rows[0].metrics["pearson"].value, abs=1e-4)
    output = folder.parent / "scores.tsv"
    score_sequences(ScoreRequest(files / "own.h5", str(folder), output, device="cpu"))
    scores = pd.read_csv(output, sep="\t", comment="#", index_col="sample", keep_default_na=False)
    assert list(scores) == [*(o.name for o in network(folder).config.outputs), "seen"]
    own = scores.loc[held_out.index]
    np.testing.assert_allclose(own["HepG2"], held_out["predicted:HepG2"], rtol=1e-4)
    # A name alone, of another file, is no sign of having been seen.
    assert set(own["seen"]) == {""}
    assert set(scores["seen"]) == {"", "train", "valid"}


def test_both_strands_and_all_members_are_averaged(run: tuple[Path, ActivitySummary]) -> None:
    model, codes = network(run[0]), drawn(6, seed=3)
    answers = member_answers(model, codes, (0, 2))
    assert answers.shape == (2, 6, 2)
    turned = member_answers(model, reverse_complement(codes), (0, 2))
    np.testing.assert_allclose(answers, turned, rtol=1e-4, atol=1e-5)
    p = torch.eye(4)[torch.from_numpy(np.log2(codes).astype(int))]
    with torch.inference_mode():
        both = model.both_strands(p, (0, 2)).numpy()
    np.testing.assert_allclose(answers.mean(0), both, rtol=1e-4, atol=1e-5)


def test_unknown_bases_are_scored_and_none_at_all_is_not(
    run: tuple[Path, ActivitySummary], tmp_path: Path
) -> None:
    some = measured(4)
    codes = some.codes.copy()
    codes[1] = 15
    codes[2, :5] = 15
    data = write(tmp_path / "some.h5", replace(some, codes=codes))
    score_sequences(ScoreRequest(data, str(run[0]), tmp_path / "scores.tsv", device="cpu"))
    scores = pd.read_csv(tmp_path / "scores.tsv", sep="\t", comment="#")
    assert scores["HepG2"].isna().tolist() == [False, True, False, False]


def test_all_that_was_learned_from_has_been_seen(
    run: tuple[Path, ActivitySummary], files: Path
) -> None:
    seen = read_seen(run[0])
    assert seen is not None
    for name in ("also.h5", "pairs.h5"):
        assert set(seen.parts(items_of(open_sequences(files / name)))) == {"train"}
    parts = seen.parts(items_of(open_sequences(files / "own.h5"))).tolist()
    counts = run[1].counts
    assert [parts.count(part) for part in ("train", "valid", "")] == [
        *(counts[part] for part in ("train", "valid", "test"))
    ]


def test_groups_are_held_out_whole(run: tuple[Path, ActivitySummary], files: Path) -> None:
    whole = open_sequences(files / "own.h5")
    names = pd.read_csv(run[0] / "predictions.tsv", sep="\t")["sample"]
    out = np.isin(whole.names, names)
    assert not set(whole.group[out]) & set(whole.group[~out])


def test_a_network_learns_what_was_planted(tmp_path: Path) -> None:
    data = write(tmp_path / "data.h5", measured(500, 30))
    more = {"epochs": 8, "stem": 16, "width": 16, "learning_rate": 0.02}
    summary = trained(data, tmp_path / "run", **more)
    for result in summary.outputs:
        assert result.rows[0].metrics[result.metric].value > 0.5, result.output
    curve = [point.pearson for point in summary.curve]
    assert max(curve) > curve[0] + 0.2


def test_the_same_seed_gives_the_same_bytes_and_members_have_their_own(tmp_path: Path) -> None:
    data = write(tmp_path / "data.h5", measured(80, 30))
    weights = {}
    for name, seed, members in (("a", 0, 1), ("c", 1, 1), ("d", 0, 2)):
        asked = request(data, tmp_path / name, epochs=1, members=members)
        train_activity(replace(asked, setting=replace(asked.setting, seed=seed)))
        weights[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert weights["a"] != weights["c"]
    states = {name: read_run(tmp_path / name).state for name in "ad"}
    for key, array in states["a"].items():
        np.testing.assert_array_equal(states["d"][key], array)
    second = {key.replace("members.1", "members.0"): each for key, each in states["d"].items()}
    other = [key for key, each in states["a"].items() if not np.array_equal(each, second[key])]
    assert any(key.endswith("weight") and "encoder" in key for key in other)


def test_classes_alone(tmp_path: Path) -> None:
    summary = trained(write(tmp_path / "data.h5", motifs(90)), tmp_path / "run")
    assert [result.output for result in summary.outputs] == ["kind_A", "kind_B", "kind_C"]
    assert all(set(row.metrics) == {"auroc"} for each in summary.outputs for row in each.rows)
    assert all(point.pearson is None for point in summary.curve)
    assert (tmp_path / "run" / "report.html").read_text().count("<img") == 2


def test_an_output_of_which_nothing_is_held_out_is_not_judged(tmp_path: Path) -> None:
    data = measured(90)
    split = np.array(["train", "valid", "test"])[np.arange(90) % 3]
    liver, stem, is_open = data.phenotypes
    some = replace(stem, values=np.where(split == "train", stem.values, np.nan).astype("f4"))
    data = replace(data, split=split, group=np.arange(90), phenotypes=(liver, some, is_open))
    summary = trained(write(tmp_path / "data.h5", data), tmp_path / "run")
    judged = summary.outputs[1]
    assert judged.sequences == 0
    assert np.isnan(judged.less_ridge.value)
    assert "stem_cell" not in summary.headline
    assert any("held-out sequences for HepG2 and stem_cell" in text for text in summary.warnings)
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_run_starts_from_another(
    run: tuple[Path, ActivitySummary], files: Path, tmp_path: Path
) -> None:
    data = write(tmp_path / "new.h5", replace(measured(80, 30, seed=4), phenotypes=_of("HepG2")))
    asked = TrainAgain(data, tmp_path / "again", run[0])
    summary = train_activity(asked.request(members=3, learning_rate=1e-9, epochs=1))
    assert summary is not None
    before, after = network(run[0]), network(tmp_path / "again")
    assert after.config.stem == before.config.stem
    for m in range(3):
        mine, theirs = after.members[m], before.members[m % 2]
        for name, weight in mine.heads[0].named_parameters():
            other = dict(theirs.heads[0].named_parameters())[name]
            torch.testing.assert_close(weight, other, atol=1e-6, rtol=0)
        pairs = zip(mine.encoder.parameters(), theirs.encoder.parameters(), strict=True)
        for mine_weight, their_weight in pairs:
            torch.testing.assert_close(mine_weight, their_weight, atol=1e-6, rtol=0)
    # What the first run has seen, the second has.
    seen, first = read_seen(tmp_path / "again"), read_seen(run[0])
    assert seen is not None
    assert first is not None
    assert np.isin(first.train, seen.train).all()


def _of(name: str) -> tuple[Phenotype, ...]:
    return tuple(p for p in measured(80, 30, seed=4).phenotypes if p.name == name)


class TrainAgain:
    def __init__(self, data: Path, folder: Path, init: Path) -> None:
        self._asked = replace(request(data, folder), init=init)

    def request(self, **arch: object) -> TrainRequest:
        learned = {"batch_size": 32}
        return replace(self._asked, arch={**learned, **arch})


def test_another_architecture_cannot_start_from_a_run(
    run: tuple[Path, ActivitySummary], files: Path, tmp_path: Path
) -> None:
    asked = TrainAgain(files / "own.h5", tmp_path / "again", run[0])
    for change in ({"arch": {"width": 9}}, {"preset": "tiny"}):
        with pytest.raises(UsageError, match=r"cannot change .* of the run given by --init"):
            train_activity(replace(asked.request(), **change))
    with pytest.raises(UsageError, match="is not a run folder"):
        train_activity(replace(asked.request(), init=tmp_path))
    assert not (tmp_path / "again").exists()


def test_pairs_of_the_same_name_are_the_same_output(files: Path, tmp_path: Path) -> None:
    asked = replace(request(files / "own.h5", tmp_path / "run"), options=others(files))
    job = read_job(asked)
    assert job.sources[2].outputs == (0, 6)
    own, of_pairs = job.config.outputs[0], job.config.outputs[6]
    whole = open_sequences(files / "pairs.h5")
    target = job.sources[2].target
    values = whole.phenotype("HepG2").values
    np.testing.assert_allclose(target[:, 0], (values - own.mean) / own.sd, atol=1e-5)
    values = whole.phenotype("teacher").values
    np.testing.assert_allclose(target[:, 1], (values - of_pairs.mean) / of_pairs.sd, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"phenotypes": ("colour",)}}, "no phenotype 'colour'"),
        ({"label": "colour"}, "no phenotype 'colour'"),
        ({"arch": {"widht": 3}}, r"unknown key 'widht'; known: members, .*, own_share, .*"),
        ({"arch": {"own_share": 0.0}}, "'own_share' is 0.0, not float above 0"),
        ({"arch": {"outputs": 3}}, "outputs cannot be set: the data decide"),
        ({"arch": {"length": 30}}, "length cannot be set: the data decide"),
        ({"preset": "huge"}, "no such preset"),
        ({"hold_out": "folds:3"}, "activity is evaluated on one split only"),
        ({"hold_out": "splits"}, "no split named test"),
    ],
)
def test_mistakes_are_told(files: Path, tmp_path: Path, change: dict, said: str) -> None:
    asked = replace(request(files / "own.h5", tmp_path / "run"), **change)
    with pytest.raises(UsageError, match=said):
        train_activity(asked)
    assert not (tmp_path / "run").exists()


def test_files_that_do_not_fit_are_told(files: Path, tmp_path: Path) -> None:
    asked = request(files / "own.h5", tmp_path / "run")
    whole = open_sequences(files / "pairs.h5")
    as_class = replace(whole, phenotypes=(replace(measured(160).phenotypes[2], name="HepG2"),))
    elsewhere = replace(whole, measurement=replace(MPRA, left="TTT"))
    for name, pair, said in (
        ("class", as_class, "HepG2 was measured differently in the data"),
        ("construct", elsewhere, "HepG2 was measured differently in the data"),
        ("single", measured(61), "groups are not pairs"),
        ("aligned", genotypes(20, 12), "is aligned"),
    ):
        path = write(tmp_path / f"{name}.h5", pair)
        with pytest.raises(DataError, match=said):
            train_activity(replace(asked, options={"pairs": (path,)}))
    with pytest.raises(DataError, match="two outputs would be called also_HepG2"):
        both = (files / "also.h5", write(tmp_path / "also.h5", measured(60, 40, 10)))
        train_activity(replace(asked, options={"also": both}))
    assert not (tmp_path / "run").exists()


def test_the_headline_says_who_is_better(run: tuple[Path, ActivitySummary]) -> None:
    first = run[1].outputs[0]

    def called(name: str, low: float, high: float) -> OutputResult:
        difference = first.less_ridge._replace(low=low, high=high)
        return replace(first, output=name, less_ridge=difference)

    text = headline([called("a", 0.1, 0.2), called("b", -0.2, -0.1), called("c", -0.1, 0.1)])
    own, ridge = (row.metrics["pearson"].value for row in (first.rows[0], first.ridge))
    values = f"(Pearson r {own:.3f} against {ridge:.3f})"
    assert text == (
        f"The network is better than ridge regression on k-mers for a {values}. "
        f"The network is worse than ridge regression on k-mers for b {values}. "
        f"The network does not differ significantly from ridge regression on k-mers for c {values}."
    )
