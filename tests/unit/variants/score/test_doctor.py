"""The doctor: a sound device is trusted, a wrong one is not, whatever is wrong with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genomix_cli.errors import DataError
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.score import doctor
from genomix_cli.variants.score.doctor import ALLELES, FILE, MadeUpGenome, examine, write_reference
from genomix_cli.variants.score.engine import Engine, Scores
from genomix_cli.variants.trained import ModelConfig, arch_of, save_model
from tests.conftest import Ended

SMALL = GMTConfig(
    (), n_bins=400, d_model=32, n_layers=2, n_heads=2, d_sequence=16, d_local=16, fusion_layers=0
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = GMT(SMALL)
    save_model(folder, module, ModelConfig("gmt", arch_of(module), ()))
    write_reference(folder)
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def test_the_machine_that_stored_the_answers_is_sound(model: Path) -> None:
    found = examine(str(model), "cpu", "auto")
    assert found.sound
    assert found.problems == ()
    assert found.precision == "fp32"
    assert found.difference < 1e-4
    assert found.repeated == 0
    assert found.correlation > 0.999999
    assert found.ms_per_window > 0 < found.ms_per_allele


def test_half_precision_is_judged_by_its_own_rounding(model: Path) -> None:
    rounded = examine(str(model), "cpu", "bf16")
    assert rounded.difference > examine(str(model), "cpu", "fp32").difference
    assert rounded.sound == (rounded.problems == ())


def wrong(change: Callable[[Scores, int], Scores]) -> Callable[..., Scores]:
    calls = iter(range(100))
    right = Engine.score

    def score(self: Engine, targets: Any) -> Scores:
        return change(right(self, targets), next(calls))

    return score


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s, _: s._replace(logit=s.logit + 1), "differ from the stored"),
        (lambda s, _: s._replace(null=s.null * 1.5), "differ from the stored"),
        (lambda s, n: s._replace(logit=s.logit + n), "two runs differ"),
        (lambda s, _: s._replace(logit=s.logit + (len(s.logit) == 1)), "alone differs"),
        (lambda s, _: s._replace(logit=s.logit[::-1].copy()), "ranks correlate"),
        (lambda s, _: s._replace(logit=s.logit * np.float32("nan")), "differ from the stored"),
    ],
)
def test_a_device_that_is_wrong_is_not_trusted(
    model: Path, monkeypatch: pytest.MonkeyPatch, change: Any, problem: str
) -> None:
    monkeypatch.setattr(doctor.Engine, "score", wrong(change))
    found = examine(str(model), "cpu", "fp32")
    assert not found.sound
    assert any(problem in text for text in found.problems), found.problems
    assert found.problems == tuple(check.problem for check in found.checks if check.problem)


def test_the_made_up_genome_is_the_same_everywhere() -> None:
    genome = MadeUpGenome(("ATAC",), 20_000)
    # NumPy's promise, written down.
    assert genome.codes("made-up", 0, 12).tolist() == [3, 3, 2, 0, 0, 2, 0, 2, 2, 3, 3, 0]
    np.testing.assert_allclose(genome.signal("made-up", 0, 2).value, [[0.3213, 1.2209]], atol=1e-4)
    again = MadeUpGenome(("ATAC",), 20_000).targets()
    assert [str(t) for t in again] == [str(t) for t in genome.targets()]
    kinds = {(len(t.allele.ref) > 1, len(t.allele.alt) > 1) for t in again}
    assert len(kinds) == 4
    assert genome.codes("made-up", -3, 2).tolist()[:3] == [4, 4, 4]
    assert genome.signal("made-up", 799, 801).state.tolist() == [[1, 0]]
    np.testing.assert_array_equal(
        genome.contacts("made-up", -5_000, 3)[1:, 1:], genome.contacts("made-up", 0, 2)
    )


def test_a_model_of_sequences_is_not_told_to_store_answers(tmp_path: Path) -> None:
    config = {"format": "genomix-model", "format_version": 2, "domain": "sequences"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"is a model of sequences .*of variants") as refused:
        examine(str(tmp_path), "cpu", "fp32")
    assert "--store" not in str(refused.value)


def test_answers_that_cannot_be_used(model: Path) -> None:
    answers = json.loads((model / FILE).read_text())
    (model / FILE).write_text(json.dumps(answers | {"model": "another"}))
    with pytest.raises(DataError, match=r"other weights.*genomix doctor --store"):
        examine(str(model), "cpu", "fp32")
    for logit in ([1.0], [None] * ALLELES, ["x"] * ALLELES, [[1.0]] * ALLELES, 1.0):
        (model / FILE).write_text(json.dumps(answers | {"logit": logit}))
        with pytest.raises(DataError, match=f"{FILE}: cannot be read"):
            examine(str(model), "cpu", "fp32")
    (model / FILE).unlink()
    with pytest.raises(DataError, match=r"no answers are stored.*genomix doctor --store"):
        examine(str(model), "cpu", "fp32")


def test_as_typed(
    model: Path, genomix_here: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / FILE).unlink()
    assert genomix_here("doctor", "--store", "-m", model).code == 0
    ended = genomix_here("doctor", "-m", model, "--device", "cpu")
    assert ended.code == 0
    assert "This device can be trusted." in ended.out
    report = json.loads(genomix_here("doctor", "-m", model, "--device", "cpu", "--json").out)
    assert report["sound"]
    assert report["device"] == "cpu"
    monkeypatch.setattr(doctor.Engine, "score", wrong(lambda s, _: s._replace(logit=s.logit + 1)))
    ended = genomix_here("doctor", "-m", model, "--device", "cpu", "--json")
    assert ended.code == 3
    assert json.loads(ended.out)["sound"] is False
    assert "scores from this device cannot be trusted" in ended.err
