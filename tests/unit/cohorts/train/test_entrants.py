"""Entrants of a contest on a cohort, and what is refused before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from genomix_cli.cohorts.requests import Contest
from genomix_cli.cohorts.train.entrants import check, entrants_of
from genomix_cli.errors import MissingExtraError, UsageError
from tests.toy_model import line_of_samples, toy_registered


@pytest.fixture
def seen() -> Iterator[list[Any]]:
    with toy_registered() as found:
        yield found


def test_a_contest_lists_each_combination_then_the_baselines(seen: list[Any]) -> None:
    contest = Contest(
        "toy",
        arch={"sharpness": 2.0},
        vary={"noise": (0.0, 1.0), "modalities": ("first", "second+first")},
        baselines=("toy", "logistic"),
    )
    found = entrants_of(contest, line_of_samples())
    assert [entrant.name for entrant in found] == [
        "toy noise=0.0 first",
        "toy noise=1.0 first",
        "toy noise=0.0 first+second",
        "toy noise=1.0 first+second",
        "logistic",
    ]
    assert found[1].arch == {"sharpness": 2.0, "noise": 1.0}
    assert found[1].fixed == {"sharpness", "noise"}
    assert [entrant.control for entrant in found] == [True, False, False, False, False]
    assert [entrant.main for entrant in found] == [True] * 4 + [False]


def test_epochs_are_those_of_all_that_learn_in_epochs(seen: list[Any]) -> None:
    contest = Contest("toy", epochs=3, baselines=("mlp", "logistic"))
    toy, mlp, logistic = entrants_of(contest, line_of_samples())
    assert mlp.arch["epochs"] == 3
    assert "epochs" in mlp.fixed
    assert not {"epochs"} & {*toy.arch, *logistic.arch}
    with pytest.raises(UsageError, match=r"--epochs: no model learns in epochs .*toy, logistic"):
        entrants_of(Contest("toy", epochs=3, baselines=("logistic",)), line_of_samples())


def test_epochs_that_the_user_sets_are_never_exceeded(seen: list[Any]) -> None:
    def stretches(contest: Contest) -> list[Any]:
        return [one.arch.get("stretch") for one in entrants_of(contest, line_of_samples())]

    both = ("tab-transformer", "logistic")
    assert stretches(Contest("omics-transformer", baselines=both)) == [None] * 3
    assert stretches(Contest("omics-transformer", epochs=3, baselines=both)) == [False, False, None]
    assert stretches(Contest("omics-transformer", arch={"epochs": 3}, baselines=both)) == [
        *(False, None, None)
    ]
    assert stretches(Contest("tab-transformer", vary={"epochs": (3, 4)})) == [False, False]
    asked = Contest("tab-transformer", arch={"steps": 50}, epochs=3)
    assert stretches(asked) == [None]


def test_a_package_that_is_not_there_is_said_at_once(
    seen: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genomix_cli.comparison.entrants.find_spec", lambda name: None)
    check(Contest("toy", baselines=("logistic",)))
    with pytest.raises(MissingExtraError, match=r"lightning is not installed.*\[train\]"):
        check(Contest("toy", baselines=("logistic", "mlp")))
    with pytest.raises(MissingExtraError, match="lightgbm is not installed"):
        check(Contest("lightgbm"))


@pytest.mark.parametrize(
    ("contest", "message"),
    [
        (Contest("toys"), "unknown cohort model"),
        (Contest("toy", preset="big"), "no preset 'big'"),
        (Contest("toy", arch={"nose": 1}), "unknown key 'nose'"),
        (Contest("toy", vary={"noise": ("loud",)}), "'noise' is 'loud'"),
        (Contest("toy", baselines=("forest",)), "unknown cohort model 'forest'"),
    ],
)
def test_what_does_not_exist_is_refused_before_any_file_is_read(
    seen: list[Any], contest: Contest, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check(contest)
