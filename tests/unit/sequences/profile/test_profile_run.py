"""A network of profiles learns the footprint of a motif, and says so with the right numbers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.seen import read_seen
from genomix_cli.formats.sequences import Profiles
from genomix_cli.genome.iupac import reverse_complement
from genomix_cli.learning.profiles import ProfileModel
from genomix_cli.sequences.profile.predict import answers, model_of
from genomix_cli.sequences.profile.results import ProfileSummary
from genomix_cli.sequences.profile.train import begin, read_job, train_profile
from genomix_cli.sequences.profile.windows import read_profiled
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import read_run
from tests.profile_samples import MINUS, MOTIF, PLUS, footprints
from tests.sequence_samples import motifs, write

pytest.importorskip("lightning")

NAMES = ("NEXUS", "NEXUS_2", "ATAC_K562")


def request(data: Path, folder: Path, **changes: Any) -> TrainRequest:
    arch = {"width": 16, "n_dilated": 3, "batch_size": 32, "learning_rate": 0.03, "epochs": 12}
    return TrainRequest(data, folder, "profile", **{"arch": arch, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = replace(footprints(600), split=np.repeat(["train", "valid", "test"], [360, 90, 150]))
    return write(tmp_path_factory.mktemp("data") / "tracks.h5", made)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ProfileSummary]:
    folder = tmp_path_factory.mktemp("runs") / "run"
    summary = train_profile(request(data, folder))
    assert summary is not None
    return folder, summary


def test_it_is_better_than_what_knows_no_sequence(run: tuple[Path, ProfileSummary]) -> None:
    summary = run[1]
    assert (summary.length, summary.profile) == (80, 64)
    assert summary.counts == {"train": 360, "valid": 90, "test": 150}
    assert [result.output for result in summary.outputs] == list(NAMES)
    for counts, shape in zip(summary.outputs, summary.shapes, strict=True):
        network, ridge, mean = counts.rows
        assert network.metrics["pearson"].value > 0.5
        assert network.metrics["explained"].value > mean.metrics["explained"].value
        assert "ridge" in ridge.model
        assert shape.less_mean.sign == shape.less_another.sign == 1
        gain, jsd = (
            {row.model: row.metrics[m].value for row in shape.rows} for m in ("gain", "jsd")
        )
        assert gain["network"] > 0.3
        assert abs(gain["uniform"]) < 1e-9
        assert jsd["network"] < min(jsd["mean profile"], jsd["of another window"])
    assert (
        "In profile shape, the network is better than the mean profile for NEXUS ("
        in summary.headline
    )
    assert "fit their own windows" not in summary.headline


@pytest.mark.parametrize("turned", [False, True])
def test_a_planted_motif_gives_its_footprint(
    run: tuple[Path, ProfileSummary], turned: bool
) -> None:
    model = model_of(read_run(run[0], "profile"))
    rng, at, summit = np.random.default_rng(5), 30, 8
    codes = np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (64, 80))]
    planted = codes.copy()
    planted[:, at : at + len(MOTIF)] = reverse_complement(MOTIF) if turned else MOTIF
    before, after = (answers(model, torch.from_numpy(each)) for each in (codes, planted))
    assert ((after.counts - before.counts).mean(0) > 0.5).all()
    mean = after.profile.softmax(-1).mean(0)
    # The strands change places with the motif's: on the other one all is mirrored.
    places = [at + PLUS, at + MINUS]
    if turned:
        places = [at + len(MOTIF) - 1 - MINUS, at + len(MOTIF) - 1 - PLUS]
    assert [int(mean[k].argmax()) for k in (0, 1)] == [place - summit for place in places]


def test_what_is_written(run: tuple[Path, ProfileSummary], data: Path) -> None:
    folder, summary = run
    names = {path.name for path in folder.iterdir()}
    tables = {"metrics.json", "models.tsv", "predictions.tsv", "training.tsv"}
    assert {"config.json", "model.safetensors", "report.html", "README.md", *tables} <= names
    assert json.loads((folder / "metrics.json").read_text())["headline"] == summary.headline
    rows = list(csv.DictReader((folder / "predictions.tsv").open(), delimiter="\t"))
    assert len(rows) == 150
    measured, predicted = (
        np.array([float(row[f"{what}:NEXUS"]) for row in rows])
        for what in ("measured", "predicted")
    )
    r = summary.outputs[0].rows[0].metrics["pearson"].value
    assert np.corrcoef(measured, predicted)[0, 1] == pytest.approx(r, abs=1e-4)
    profiles = read_profiled(data).sequences.profiles
    assert profiles is not None
    inner = profiles.signal[450:, 0, 8:72]
    share = np.isfinite(inner).mean(-1)
    np.testing.assert_allclose(measured, np.log1p(np.nansum(inner, -1) / share), rtol=1e-4)
    config = json.loads((folder / "config.json").read_text())
    assert (config["task"], config["model"], config["length"]) == ("profile", "bpnet", 80)
    assert config["arch"]["opposite"] == [1, 0, 2]
    assert {each["unit"] for each in config["arch"]["outputs"]} == {"ln(1 + counts)"}
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 4
    assert "of another window" in page


def test_the_same_seed_gives_the_same_weights(data: Path, tmp_path: Path) -> None:
    few = {"width": 4, "n_dilated": 1, "epochs": 1}
    first, second = (tmp_path / name / "run" for name in "ab")
    for folder in (first, second):
        folder.parent.mkdir()
        train_profile(request(data, folder, arch=few))
    for name in ("model.safetensors", "report.html", "metrics.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_some_tracks_are_learned_with_their_other_strand(data: Path, tmp_path: Path) -> None:
    job = read_job(request(data, tmp_path, options={"tracks": ("ATAC@K562",)}))
    assert [output.name for output in job.config.outputs] == ["ATAC_K562"]
    assert job.config.opposite == (0,)
    profiles = job.data.sequences.profiles
    assert profiles is not None
    batch = job.data.windows(np.array([3, 5])).batch(np.array([1, 0]))
    np.testing.assert_array_equal(batch.signal[:, 0], profiles.signal[[5, 3], 2])
    both = read_job(request(data, tmp_path, options={"tracks": ("NEXUS/2", "NEXUS+")}))
    assert both.data.names == ("NEXUS_2", "NEXUS")
    assert both.config.opposite == (1, 0)
    values = np.log1p(both.counts[both.split.train, 0])
    assert both.config.outputs[0].mean == pytest.approx(float(values.mean()), rel=1e-5)
    assert both.config.outputs[0].sd == pytest.approx(float(values.std()), rel=1e-5)


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows whose counts are mostly those of a bias, which a control counts too."""
    made = replace(
        footprints(600, bias=1.0), split=np.repeat(["train", "valid", "test"], [360, 90, 150])
    )
    return write(tmp_path_factory.mktemp("biased") / "tracks.h5", made)


def test_a_control_explains_a_planted_bias(biased: Path, tmp_path: Path) -> None:
    """With equal windows, seed and steps, the network that sees the control is better in both."""
    own = ("NEXUS+", "NEXUS/2")
    found = {}
    for name, controls in (("without", ()), ("with", ("INPUT",))):
        asked = request(biased, tmp_path / name, options={"tracks": own, "controls": controls})
        summary = train_profile(asked)
        assert summary is not None
        assert summary.controls == controls
        found[name] = summary
    for k in range(len(own)):
        without, beside = (found[name].shapes[k].rows[0].metrics for name in ("without", "with"))
        assert beside["gain"].low > without["gain"].high
        assert beside["jsd"].high < without["jsd"].low
        without, beside = (found[name].outputs[k].rows[0].metrics for name in ("without", "with"))
        assert beside["pearson"].low > without["pearson"].high
    card = (tmp_path / "with" / "README.md").read_text()
    assert "evaluated with its controls (INPUT) as input, which `score` does not use" in card
    model = model_of(read_run(tmp_path / "with", "profile"))
    assert model.config.controls == ("INPUT",)
    # It has not forgotten the motif: what the sequence says by itself is still a footprint.
    rng = np.random.default_rng(5)
    codes = np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (40, 80))]
    planted = codes.copy()
    planted[:, 30 : 30 + len(MOTIF)] = MOTIF
    before, after = (answers(model, torch.from_numpy(each)) for each in (codes, planted))
    assert (after.counts - before.counts)[:, 0].mean() > 0.3


def test_what_cannot_be_a_control_is_refused(biased: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"controls": ("input",)}, "--control-tracks: no track 'input'"),
        (
            {"controls": ("NEXUS+",)},
            r"--control-tracks: NEXUS\+ is a control with its other strand alone",
        ),
        ({"controls": ("INPUT",), "tracks": ("INPUT",)}, "INPUT is both a target and a control"),
        ({"controls": ("NEXUS+", "NEXUS/2", "ATAC@K562", "INPUT")}, "no track is left to learn"),
    ):
        with pytest.raises(UsageError, match=message):
            read_job(request(biased, tmp_path / "x", options=options))
    job = read_job(request(biased, tmp_path / "x", options={"controls": ("INPUT",)}))
    assert [output.name for output in job.config.outputs] == list(NAMES)
    batch = job.data.windows(np.array([1, 2])).batch(np.array([0, 1]))
    assert batch.control is not None
    profiles = job.data.sequences.profiles
    assert profiles is not None
    expected = np.nan_to_num(profiles.signal[[1, 2]][:, [3]])
    np.testing.assert_array_equal(batch.control, expected)
    assert np.isnan(profiles.signal[1, 3]).any()


def test_it_goes_on_from_another_run(
    run: tuple[Path, ProfileSummary], data: Path, tmp_path: Path
) -> None:
    """Convolutions and heads of tracks with equal names are reused; other heads start afresh."""
    again = request(data, tmp_path / "next", arch={}, init=run[0])
    some = replace(again, options={"tracks": ("ATAC@K562",)})
    job = read_job(some)
    assert (job.config.width, job.config.n_dilated) == (16, 3)
    start = model_of(read_run(run[0], "profile"))
    taken = ProfileModel(job.config)
    begin(taken, start)
    with torch.no_grad():
        codes = torch.from_numpy(read_profiled(data).sequences.codes[:5].copy())
        mine, its = answers(taken, codes), answers(start, codes)
    torch.testing.assert_close(mine.counts[:, 0], its.counts[:, 2])
    torch.testing.assert_close(mine.profile[:, 0], its.profile[:, 2])
    renamed = replace(job.config, outputs=(replace(job.config.outputs[0], name="other"),))
    fresh = ProfileModel(renamed)
    before = fresh.counts.weight.detach().clone()
    begin(fresh, start)
    torch.testing.assert_close(fresh.counts.weight, before)
    torch.testing.assert_close(fresh.body.state_dict(), start.body.state_dict())


def test_a_run_that_goes_on_has_seen_what_the_first_saw_and_starts_better(
    run: tuple[Path, ProfileSummary], data: Path, tmp_path: Path
) -> None:
    other = replace(footprints(60, seed=9), split=np.repeat(["train", "valid", "test"], 20))
    path = write(tmp_path / "other.h5", other)
    one = {"epochs": 1, "batch_size": 32, "learning_rate": 1e-4}
    folders = tmp_path / "fresh", tmp_path / "next"
    fresh = train_profile(request(path, folders[0], arch={"width": 16, "n_dilated": 3, **one}))
    again = train_profile(request(path, folders[1], arch=one, init=run[0]))
    assert fresh is not None
    assert again is not None
    assert again.curve[0].train_loss < 0.8 * fresh.curve[0].train_loss
    first, both = read_seen(run[0]), read_seen(folders[1])
    assert first is not None
    assert both is not None
    assert np.isin(first.train, both.train).all()
    assert len(both.train) > len(first.train)


def test_a_shape_that_is_not_that_of_the_run_to_start_from_is_refused(
    run: tuple[Path, ProfileSummary], data: Path, tmp_path: Path
) -> None:
    for changes, what in (({"arch": {"width": 8}}, "width"), ({"preset": "paper"}, "the preset")):
        asked = request(data, tmp_path / "x", **{"arch": {}, **changes, "init": run[0]})
        with pytest.raises(UsageError, match=f"--init: cannot change {what} of the run given by"):
            read_job(asked)


def flat(profiles: Profiles) -> Profiles:
    return replace(profiles, signal=np.ones_like(profiles.signal))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"tracks": ("CTCF",)}}, r"no track 'CTCF' \(expected NEXUS\+ or NEXUS/2"),
        ({"options": {"tracks": ("NEXUS+",)}}, "its other strand alone.*add NEXUS/2"),
        (
            {"arch": {"shift": 30, "profile": 30}},
            "the sequences are too short for a profile of 30 bases",
        ),
        ({"arch": {"shift": 40}}, "the sequences are too short for a profile of 0 bases"),
        ({"arch": {"profile": 63}}, "a profile of 63 bases does not fit in the middle"),
        ({"arch": {"alpha": -1}}, "alpha"),
        ({"arch": {"widht": 3}}, "widht"),
        ({"preset": "huge"}, "no such preset"),
        ({"hold_out": "folds:3"}, "profile is evaluated on one split only"),
    ],
)
def test_what_cannot_be_is_refused(
    data: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        train_profile(request(data, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: motifs(60), "has no signal per base.*--profiles"),
        (
            lambda: replace(footprints(60), profiles=flat(footprints(60).profiles)),  # type: ignore[arg-type]
            "NEXUS does not vary among the windows to learn from",
        ),
    ],
    ids=["no profiles", "flat"],
)
def test_files_with_nothing_to_learn_are_refused(
    tmp_path: Path, made: Callable[[], Any], message: str
) -> None:
    path = write(tmp_path / "x.h5", made())
    with pytest.raises(DataError, match=message):
        train_profile(request(path, tmp_path / "run"))
