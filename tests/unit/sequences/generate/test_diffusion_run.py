"""A diffusion run from file to report, and what is generated from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import open_sequences, write_sequences
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.generate import profiles
from genomix_cli.sequences.generate.checkpoint import load_diffusion
from genomix_cli.sequences.generate.model import Denoiser
from genomix_cli.sequences.generate.simulate import simulate_sequences
from genomix_cli.sequences.generate.train import DiffusionSummary, start_from, train_diffusion
from genomix_cli.sequences.requests.simulate import SimulateRequest
from genomix_cli.sequences.requests.train import TrainRequest
from tests.diffusion_runs import CLASSES, LENGTH, generate, trained, two_classes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_classes(tmp_path_factory.mktemp("data") / "two.h5")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DiffusionSummary]:
    folder = tmp_path_factory.mktemp("run") / "diffusion"
    return folder, trained(data, folder)


def test_the_folder_is_whole(run: tuple[Path, DiffusionSummary]) -> None:
    folder, summary = run
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["headline"] == summary.headline
    names = [row["name"] for row in metrics["likelihoods"]]
    assert names[:3] == ["diffusion", "diffusion, no condition", "Markov chain, order 0"]
    assert {row["rate"] for row in metrics["restored"]} == {0.05, 0.15, 0.3, 0.5, 0.7}
    page = (folder / "report.html").read_text()
    assert summary.headline in page
    value = summary.likelihoods[0].nats.text().partition(" ")[0]
    assert f"<b>{value}</b><span>diffusion [" in page
    assert "<li><span>Best Markov chain</span>" in page
    assert (folder / "README.md").read_text().startswith("# Diffusion of two.h5")
    assert len(summary.curve) == 3


def test_the_condition_makes_sequences_cheaper(run: tuple[Path, DiffusionSummary]) -> None:
    nats = {row.name: row.nats.value for row in run[1].likelihoods}
    # The entropy of a base given its class, and of one without.
    assert nats["diffusion"] == pytest.approx(1.19, abs=0.05)
    assert nats["diffusion"] < nats["Markov chain, order 0"] - 0.1
    by_class = next(nats[name] for name in nats if "each class" in name)
    assert by_class == pytest.approx(1.19, abs=0.03)


def test_it_generates_what_it_was_asked_for(run: tuple[Path, DiffusionSummary]) -> None:
    share = {
        name: profiles.gc(generate(run[0], {"class": name}, 100, steps=6)).mean()
        for name in CLASSES
    }
    assert share["poor"] < 0.35
    assert share["rich"] > 0.65
    strong = profiles.gc(generate(run[0], {"class": "rich"}, 100, steps=6, guidance=3)).mean()
    assert strong > share["rich"]


def test_seed_and_number_say_what_is_generated(run: tuple[Path, DiffusionSummary]) -> None:
    first, again = (generate(run[0], {"class": "rich"}, 5, steps=3, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    more = generate(run[0], {"class": "rich"}, 9, steps=3, seed=4)
    np.testing.assert_array_equal(first, more[:5])
    assert (generate(run[0], {"class": "rich"}, 5, steps=3, seed=5) != first).any()


def test_unknown_conditions_are_refused(run: tuple[Path, DiffusionSummary]) -> None:
    with pytest.raises(UsageError, match="poor, rich"):
        generate(run[0], {"class": "middling"}, 1)
    with pytest.raises(UsageError, match="expected class, found size"):
        generate(run[0], {"size": 1}, 1)


def test_hidden_bases_are_filled_in_and_others_stay(
    run: tuple[Path, DiffusionSummary], data: Path, tmp_path: Path
) -> None:
    whole = open_sequences(data).take(np.arange(20))
    codes = whole.codes.copy()
    codes[:, 3:9] = 15
    codes[:, 10] = 5  # R
    damaged, output = tmp_path / "damaged.h5", tmp_path / "restored.h5"
    write_sequences(damaged, replace(whole, codes=codes), Provenance.of({}, {}))
    summary = simulate_sequences(SimulateRequest(run[0], output, denoise=damaged, device="cpu"))
    assert summary.changed == 20 * 7
    found = open_sequences(output)
    kept = np.ones(LENGTH, bool)
    kept[[3, 4, 5, 6, 7, 8, 10]] = False
    np.testing.assert_array_equal(found.codes[:, kept], codes[:, kept])
    assert np.isin(found.codes[:, 10], [1, 4]).all()
    rich = whole.label()[1] == 1
    assert np.isin(found.codes[rich, 3:9], [2, 4]).mean() > 0.8
    assert found.names.tolist() == whole.names.tolist()


def test_a_file_without_the_condition_is_restored_with_that_asked_for(
    run: tuple[Path, DiffusionSummary],
    data: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = open_sequences(data).take(np.arange(20))
    hidden = replace(whole, codes=np.full_like(whole.codes, 15), phenotypes=(), default_label="")
    write_sequences(tmp_path / "hidden.h5", hidden, Provenance.of({}, {}))
    request = SimulateRequest(
        run[0], tmp_path / "o.h5", denoise=tmp_path / "hidden.h5", device="cpu", force=True
    )
    for name, strong in (("poor", False), ("rich", True)):
        simulate_sequences(replace(request, conditions=(name,)))
        share = np.isin(open_sequences(tmp_path / "o.h5").codes, [2, 4]).mean()
        assert (share > 0.5) == strong
    assert not caplog.text
    simulate_sequences(request)
    assert "hidden.h5 has no class, so its sequences are restored without it" in caplog.text
    known = replace(request, denoise=data, conditions=("rich",))
    with pytest.raises(UsageError, match=r"--condition: .*two.h5 already has class; leave it out"):
        simulate_sequences(known)


def test_wrong_bases_are_doubted(
    run: tuple[Path, DiffusionSummary], data: Path, tmp_path: Path
) -> None:
    request = SimulateRequest(run[0], tmp_path / "o.h5", denoise=data, error_rate=0.6, device="cpu")
    assert simulate_sequences(request).changed > 0
    certain = replace(request, output=tmp_path / "p.h5", error_rate=1e-6)
    assert simulate_sequences(certain).changed == 0


def test_numbers_are_conditions_too_and_aligned_columns_come_back(
    tmp_path: Path,
) -> None:
    aligned = two_classes(tmp_path / "aligned.h5", aligned=True)
    summary = trained(aligned, tmp_path / "run", conditions=["class", "size"], epochs=1)
    assert not summary.strands
    request = SimulateRequest(
        tmp_path / "run", tmp_path / "o.h5", 6, ("rich", "size=0.5"), steps=2, device="cpu"
    )
    simulate_sequences(request)
    found = open_sequences(tmp_path / "o.h5")
    assert found.columns is not None
    assert found.columns.pos.tolist() == [10 * site for site in range(LENGTH)]
    np.testing.assert_allclose(found.phenotype("size").values, 0.5, atol=1e-5)
    model = load_diffusion(tmp_path / "run")
    assert [condition.kind for condition in model.conditions] == [2, 0]


def test_a_run_starts_from_the_weights_of_another(
    run: tuple[Path, DiffusionSummary], tmp_path: Path
) -> None:
    taken = load_diffusion(run[0]).denoiser.state_dict()
    longer = Denoiser(replace(load_diffusion(run[0]).denoiser.config, length=50))
    before = {name: value.clone() for name, value in longer.state_dict().items()}
    start_from(longer, run[0])
    after = longer.state_dict()
    assert torch.equal(after["stem.weight"], taken["stem.weight"])
    # Positions of other sequences do not fit.
    assert torch.equal(after["position"], before["position"])
    with pytest.raises(UsageError, match="not a run folder"):
        start_from(longer, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"conditions": ["colour"]}}, "no phenotype 'colour'"),
        ({"options": {"epoch": 3}}, "unknown key 'epoch'"),
        ({"preset": "huge"}, "no such preset"),
        ({"hold_out": "folds:3"}, "diffuse is evaluated on one split only"),
    ],
)
def test_mistakes_are_told(data: Path, tmp_path: Path, change: dict, said: str) -> None:
    request = TrainRequest(data=data, output=tmp_path / "run", task="diffuse")
    with pytest.raises(UsageError, match=said):
        train_diffusion(replace(request, **change))
    assert not (tmp_path / "run").exists()
