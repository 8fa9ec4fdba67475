"""The folder of a run: opened once, resumed under the same settings, read back whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.provenance import Provenance

STATE = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3, np.int64)}
CONFIG = {"model": "m", "level": 0.5}


def asked(**settings: Any) -> Provenance:
    config = {"seed": 0, "resume": False, "device": "cpu", "fit": {"epochs": 1, "rate": 0.1}}
    return Provenance("genomix train", config | settings, 0, {"shard a.h5": "1f"})


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    RunFolder(tmp_path).save("cohorts", CONFIG, STATE)
    stored = RunFolder(tmp_path).load("cohorts")
    assert stored.config == CONFIG
    assert stored.state["n"].shape == ()
    assert all(np.array_equal(stored.state[name], STATE[name]) for name in STATE)
    assert not list(tmp_path.glob(".*"))
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o044


def test_weights_without_a_digest_are_still_read(tmp_path: Path) -> None:
    """Runs of format version 1, and variant runs without a domain, have no digest."""
    RunFolder(tmp_path).save("variants", CONFIG, STATE)
    path = tmp_path / "config.json"
    data = json.loads(path.read_text())
    del data["weights_sha256"], data["config_sha256"], data["domain"]
    path.write_text(json.dumps(data | {"format_version": 1}))
    assert RunFolder(tmp_path).load("variants").config == CONFIG


@pytest.mark.parametrize("at", [10, -1])
def test_a_changed_byte_is_refused(tmp_path: Path, at: int) -> None:
    RunFolder(tmp_path).save("cohorts", CONFIG, STATE)
    path = tmp_path / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"do not belong to config\.json"):
        RunFolder(tmp_path).load("cohorts")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    RunFolder(tmp_path).save("cohorts", CONFIG, {"w": np.array([1, value], np.float32)})
    with pytest.raises(DataError, match="not finite: w"):
        RunFolder(tmp_path).load("cohorts")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "is not a genomix model"),
        ({"format_version": 99}, r"newer genomix.*version 2 or less.*found 99"),
        ({"format_version": "x"}, "newer genomix"),
        ({"domain": "sequences"}, "is a model of sequences"),
    ],
)
def test_other_configurations_are_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    RunFolder(tmp_path).save("cohorts", CONFIG, STATE)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=said):
        RunFolder(tmp_path).config("cohorts")


def test_a_new_run_wants_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    RunFolder.open(folder, asked(), resume=False)
    with pytest.raises(UsageError, match=r"is not empty.*add --resume"):
        RunFolder.open(folder, asked(), resume=False)
    with pytest.raises(UsageError, match="is not empty") as caught:
        RunFolder.open(folder, asked(seed=1), resume=False)
    assert "--resume" not in caught.value.line()
    with pytest.raises(UsageError, match="no run to resume"):
        RunFolder.open(tmp_path / "other", asked(), resume=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"fit": {"epochs": 1, "rate": 0.9}}, r"fit\.rate"),
        ({"more": 1}, "more"),
        ({"epochs": 7}, "epochs"),
    ],
)
def test_a_run_goes_on_under_its_own_settings_alone(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    RunFolder.open(tmp_path / "run", asked(), resume=False)
    before = (tmp_path / "run" / "train.json").read_bytes()
    with pytest.raises(UsageError, match=rf"started with other settings: {named}"):
        RunFolder.open(tmp_path / "run", asked(**change), resume=True)
    for same in (asked(resume=True, device="cuda"), asked(fit={"epochs": 9, "rate": 0.1})):
        RunFolder.open(tmp_path / "run", same, resume=True)
    assert (tmp_path / "run" / "train.json").read_bytes() == before


def test_a_finished_run_is_told_unless_more_epochs_are_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def told(**settings: Any) -> bool:
        caplog.clear()
        with caplog.at_level("INFO", logger="genomix"):
            RunFolder.open(tmp_path / "run", asked(**settings), resume=True)
        return "is a finished run: nothing is left to train" in caplog.text

    folder = RunFolder.open(tmp_path / "run", asked(), resume=False)
    assert not told()
    folder.write_json("metrics.json", {})
    assert told()
    assert not told(fit={"epochs": 9, "rate": 0.1})
    (folder.path / "parts").mkdir()
    assert not told()
    assert not folder.is_finished


def test_other_inputs_are_another_run(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "run", asked(), resume=False)
    other = Provenance("genomix train", asked().config, 0, {"shard a.h5": "2e"})
    with pytest.raises(UsageError, match=r"other settings: shard a\.h5"):
        RunFolder.open(tmp_path / "run", other, resume=True)


def test_a_run_without_a_checkpoint_starts_over(tmp_path: Path) -> None:
    folder = RunFolder.open(tmp_path / "run", asked(), resume=False)
    assert folder.checkpoint(resume=True) is None
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    assert folder.checkpoint(resume=True) == checkpoint
    assert folder.checkpoint(resume=False) is None
