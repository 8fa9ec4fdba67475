"""A stack of a model and scores of others: what it learns from, and how it is compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.binary import auroc
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.baselines.base import BaselineTask
from genomix_cli.variants.evaluate.suite.entrants import Entrant
from genomix_cli.variants.evaluate.suite.measures import Judge
from genomix_cli.variants.evaluate.suite.results import Member, StackResult, Suite, headline
from genomix_cli.variants.evaluate.suite.run import evaluate_suite, truth_of
from genomix_cli.variants.evaluate.suite.stack import compare_with_members, stack
from genomix_cli.variants.requests.evaluate import SuiteRequest
from tests.suite_shard import rows_of

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


@pytest.fixture
def task(shard: Shard) -> BaselineTask:
    train, valid, test = (rows_of(shard, name) for name in ("chr1", "chr3", "chr4"))
    target = np.asarray(shard.variants.label, np.float64)
    return BaselineTask(shard, train, valid, test, target, True)


def member(task: BaselineTask, name: str, noise: float, seed: int, on_test: float = 1) -> Entrant:
    """A score of the labels plus noise; on the test part the labels may count the other way."""
    rng, target = np.random.default_rng(seed), task.target
    valid, test = (
        target[rows] + rng.normal(0, noise, len(rows)) for rows in (task.valid, task.test)
    )
    test = test if on_test == 1 else on_test * test
    return Entrant(name, "column", test, valid=valid)


def test_two_views_of_the_same_truth_are_better_together(task: BaselineTask) -> None:
    one, two, junk = member(task, "a", 1, 0), member(task, "b", 1, 1), member(task, "c", 99, 2)
    made = stack([one, two, junk], task)
    label = task.target[task.test]
    alone = max(auroc(label, one.score), auroc(label, two.score))
    assert auroc(label, made.entrant.score) > alone + 0.02
    assert made.weights[0] == pytest.approx(made.weights[1], rel=0.3)
    assert abs(made.weights[2]) < 0.2 * made.weights[0]
    probability = made.entrant.probability
    assert probability is not None
    assert probability.mean() == pytest.approx(label.mean(), abs=0.05)
    assert made.entrant.note.startswith(
        f"weights per SD, from {len(task.valid):,} validation variants: a +"
    )
    assert "logistic regression on the scores of a and b and c" in made.entrant.description


def test_weights_do_not_depend_on_the_test_part(task: BaselineTask) -> None:
    first = member(task, "a", 1, 0)
    helpful, harmful = (member(task, "b", 1, 1, sign) for sign in (1, -1))
    as_is, turned = stack([first, helpful], task), stack([first, harmful], task)
    assert as_is.weights == turned.weights
    label = task.target[task.test]
    assert auroc(label, turned.entrant.score) < auroc(label, first.score)
    others = replace(
        task, target=np.where(np.arange(len(task.target)) < task.test[0], task.target, 0)
    )
    assert stack([first, helpful], others).weights == as_is.weights


def test_a_score_that_is_missing_counts_as_the_mean(task: BaselineTask) -> None:
    first, second = member(task, "a", 1, 0), member(task, "b", 1, 1)
    mean = float(second.valid.mean())  # type: ignore[union-attr]
    holes = np.arange(len(task.test)) % 3 == 0
    lacking = replace(second, score=np.where(holes, np.nan, second.score))
    filled = replace(second, score=np.where(holes, mean, second.score))
    found = stack([first, lacking], task).entrant.score
    assert found == pytest.approx(stack([first, filled], task).entrant.score)


def test_quantities_are_stacked_by_ridge_regression(task: BaselineTask) -> None:
    rng = np.random.default_rng(0)
    task = replace(task, target=rng.normal(size=len(task.target)), is_label=False)
    made = stack([member(task, "a", 1, 0), member(task, "b", 1, 1)], task)
    assert made.entrant.probability is None
    assert np.corrcoef(made.entrant.score, task.target[task.test])[0, 1] > 0.75
    assert made.weights[0] == pytest.approx(made.weights[1], rel=0.3)


def test_it_is_compared_with_each_member_on_the_variants_of_both(
    shard: Shard, task: BaselineTask
) -> None:
    truth = truth_of(shard, task.test)
    known = np.isfinite(truth.label)
    one, two = member(task, "one", 1, 0), member(task, "two", 1.2, 1)
    two = replace(two, score=np.where(np.arange(len(two.score)) % 4 == 0, np.nan, two.score))
    made = stack([one, two], task)
    result = compare_with_members(made, Judge.of(truth, 60, seed=0), "auroc")
    both = known & np.isfinite(two.score)
    label, own = truth.label[both], made.entrant.score[both]
    less = {each.name: each.less["auroc"] for each in result.members}
    assert less["two"].value == pytest.approx(auroc(label, own) - auroc(label, two.score[both]))
    assert less["two"].low < less["two"].value < less["two"].high
    assert result.best == min(less, key=lambda name: less[name].value)
    assert result.over_best("auroc") == less[result.best]
    assert [each.weight for each in result.members] == list(made.weights)


@pytest.mark.parametrize(
    ("less", "said"),
    [
        (
            Interval(0.02, 0.01, 0.03),
            "The stack of a and b is better than its best member, b: +0.020",
        ),
        (Interval(0.02, -0.01, 0.05), "does not differ significantly from its best member, b: "),
        (Interval(-0.02, -0.05, -0.01), "is worse than its best member, b: -0.020"),
    ],
)
def test_the_headline_compares_the_stack_with_its_best_member(
    suite: Suite, less: Interval, said: str
) -> None:
    better = Interval(0.3, 0.2, 0.4)
    members = (Member("a", 1.0, {"auroc": better}), Member("b", 0.1, {"auroc": less}))
    made = StackResult("stack", members, "b")
    assert said in headline(replace(suite.results, stack=made))


def with_scores(shard: Shard, path: Path) -> Path:
    """A table of a noisy score of every variant of the shard."""
    table, names = shard.variants, list(shard.contigs)
    usable = [len(r) == 1 == len(a) for r, a in zip(table.ref, table.alt, strict=True)]
    noise = np.random.default_rng(1).normal(0, 0.6, len(table.pos))
    frame = pd.DataFrame(
        {
            "contig": [names[i] for i in table.contig],
            "pos": table.pos + 1,
            "ref": [x.decode() for x in table.ref],
            "alt": [x.decode() for x in table.alt],
            "other": table.label + noise,
        }
    )
    frame[usable].to_csv(path, sep="\t", index=False)
    return path


def test_a_whole_evaluation_with_a_stack(
    shard: Shard, request_: SuiteRequest, tmp_path: Path
) -> None:
    table = with_scores(shard, tmp_path / "scores.tsv")
    request = replace(
        request_, output=tmp_path / "report", table=table, columns=("other",), stack=True
    )
    results = evaluate_suite(request).results
    assert [e.kind for e in results.entrants] == ["model", "baseline", "column", "stack"]
    assert results.stack is not None
    assert results.stack.best == "other"
    assert [e.kind for e in results.rivals] == ["baseline", "column"]
    assert results.best_rival is not None
    assert results.best_rival.name == "other"
    assert results.first.name in results.entrants[-1].description
    data = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert data["stack"]["best_member"] == "other"
    assert data["stack"]["members"][1]["stack_less_this"]["auroc"]["value"] > 0
    assert "The stack of" in data["headline"]
    long = pd.read_csv(tmp_path / "report" / "metrics.tsv", sep="\t", comment="#")
    assert {"stack", "stack less this"} <= set(long["section"])
    predictions = pd.read_csv(tmp_path / "report" / "predictions.tsv", sep="\t", comment="#")
    stacked = auroc(predictions["label"], predictions["stack"])
    assert stacked == pytest.approx(results.entrants[-1].metrics["auroc"].value, abs=1e-3)
    assert "The stack minus each member" in (tmp_path / "report" / "report.html").read_text()


def test_what_cannot_be_stacked_is_one_line(
    shard: Shard, request_: SuiteRequest, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--stack needs scores of other tools"):
        evaluate_suite(replace(request_, stack=True))
    table = with_scores(shard, tmp_path / "scores.tsv")
    both = replace(request_, table=table, stack=True, output=tmp_path / "r")
    with pytest.raises(UsageError, match="a score and an entrant are both called nearest-peak"):
        evaluate_suite(replace(both, columns=("nearest-peak",)))
    everything = replace(both, columns=("other",), test_contigs=("chr3", "chr4"))
    with pytest.raises(DataError, match="weights of a stack cannot be fitted"):
        evaluate_suite(everything)
    assert not (tmp_path / "r").exists()
