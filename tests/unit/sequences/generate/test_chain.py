"""A denoiser's start is the exact answer of the chain of each sequence's class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import Phenotype, open_sequences, write_sequences
from genomix_cli.learning.networks import new_module
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.generate import likelihood
from genomix_cli.sequences.generate.chain import ChainStart, chain_posterior
from genomix_cli.sequences.generate.checkpoint import load_diffusion
from genomix_cli.sequences.generate.learning import DiffusionOptions
from genomix_cli.sequences.generate.likelihood import Chains, evidence_of, fit_chains
from genomix_cli.sequences.generate.markov import MarkovChain, fit_markov
from genomix_cli.sequences.generate.model import HIDDEN, PRESETS, Denoiser, DenoiserConfig
from genomix_cli.sequences.generate.train import read_data
from genomix_cli.sequences.requests.train import TrainRequest
from tests.diffusion_runs import trained, two_classes

ORDER, LENGTH = 2, 9
SHAPE = {"channels": 8, "kernel": 3, "blocks": 1, "width": 16, "heads": 2, "layers": 1}


def drawn(seed: int) -> MarkovChain:
    rng = np.random.default_rng(seed)
    return MarkovChain(tuple(rng.dirichlet([0.5] * 4, 4**j) for j in range(ORDER + 1)))


#: Two classes, and what they have in common.
CHAINS = Chains(drawn(0), (drawn(1), drawn(2)))


def some_hidden(n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(3)
    bases = rng.integers(0, 4, (n, LENGTH))
    return np.where(rng.random(bases.shape) < 0.6, HIDDEN, bases)


def expected(bases: np.ndarray, label: list[int]) -> np.ndarray:
    evidence = evidence_of(bases, 0)
    rows = [CHAINS.of(k).posterior(evidence[i : i + 1])[0] for i, k in enumerate(label)]
    return np.stack(rows)


def test_each_sequence_has_the_chain_of_its_class() -> None:
    start = ChainStart(ORDER, 2)
    start.take(CHAINS.tables(ORDER))
    bases, label = some_hidden(), [0, 1, -1, 1, 0, -1]
    logits = start(torch.from_numpy(bases), torch.tensor(label))
    np.testing.assert_allclose(logits.exp(), expected(bases, label), atol=1e-5)


def test_sequences_shorter_than_the_order_have_a_start_too() -> None:
    bases = np.array([[HIDDEN, 2]])
    evidence = torch.from_numpy(evidence_of(bases, 0)).float()
    tables = [torch.from_numpy(table)[None].float() for table in CHAINS.pooled.tables]
    first, second = (table.numpy()[0] for table in tables[:2])
    both = first[0] * second[:, 2]
    np.testing.assert_allclose(
        chain_posterior(tables, evidence)[0, 0], both / both.sum(), rtol=1e-5
    )


def test_a_denoiser_that_has_learned_nothing_answers_as_the_chain() -> None:
    config = DenoiserConfig(LENGTH, (0, 2), **SHAPE, chain=ORDER)
    denoiser = new_module(lambda: Denoiser(config), 0).eval()
    assert denoiser.chain is not None
    denoiser.chain.take(CHAINS.tables(ORDER))
    bases, label = some_hidden(3), [1, -1, 0]
    # The first condition is a number, of which there is no chain.
    values = torch.tensor([[0.3, 1], [0.5, torch.nan], [torch.nan, 0]])
    with torch.no_grad():
        p = denoiser(torch.from_numpy(bases), values).softmax(-1)
    np.testing.assert_allclose(p, expected(bases, label), atol=1e-5)


def test_without_classes_all_have_the_same_chain() -> None:
    config = DenoiserConfig(LENGTH, (), **SHAPE, chain=ORDER)
    denoiser = new_module(lambda: Denoiser(config), 0).eval()
    assert denoiser.chain is not None
    denoiser.chain.take(Chains(CHAINS.pooled).tables(ORDER))
    bases = some_hidden(3)
    with torch.no_grad():
        p = denoiser(torch.from_numpy(bases), torch.empty(3, 0)).softmax(-1)
    np.testing.assert_allclose(p, expected(bases, [-1, -1, -1]), atol=1e-5)


def test_a_run_keeps_the_chains_of_its_training_part(tmp_path: Path) -> None:
    data = two_classes(tmp_path / "two.h5")
    trained(data, tmp_path / "run", epochs=1)
    denoiser = load_diffusion(tmp_path / "run").denoiser
    request = TrainRequest(data=data, output=tmp_path / "other", task="diffuse")
    rows = read_data(request, DiffusionOptions()).split.train
    part = open_sequences(data).take(rows)
    order = PRESETS["tiny"]["chain"]
    fitted = fit_chains(part.codes, part.label()[1], strands=True, order=order).tables(order)
    assert denoiser.chain is not None
    for kept, table in zip(denoiser.chain.tables, fitted, strict=True):
        assert torch.equal(kept, table)


def test_a_run_fits_its_chains_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    def fit(codes: NDArray[np.uint8], order: int, **options: Any) -> MarkovChain:
        counted.append(len(codes))
        return fit_markov(codes, order, **options)

    monkeypatch.setattr(likelihood, "fit_markov", fit)
    trained(two_classes(tmp_path / "two.h5", 80), tmp_path / "run", epochs=1)
    pooled, *by_class = counted
    assert len(by_class) == 2
    assert sum(by_class) == pooled


def test_chains_are_of_the_first_condition_with_categories(tmp_path: Path) -> None:
    data = two_classes(tmp_path / "two.h5", 80)
    sequences = open_sequences(data)
    half = Phenotype("half", ("a", "b"), (np.arange(80) // 2 % 2).astype(np.int16))
    several = replace(sequences, phenotypes=(*sequences.phenotypes, half))
    write_sequences(data, several, Provenance.of({}, {}))
    request = TrainRequest(data=data, output=tmp_path / "run", task="diffuse")
    job = read_data(request, DiffusionOptions(conditions=("size", "half", "class")))
    np.testing.assert_array_equal(job.label, half.values)
    only_number = read_data(request, DiffusionOptions(conditions=("size",)))
    np.testing.assert_array_equal(only_number.label, sequences.label("class")[1])


def test_runs_of_versions_before_have_no_chain() -> None:
    denoiser = new_module(lambda: Denoiser(DenoiserConfig(LENGTH, **SHAPE)), 0)
    assert denoiser.chain is None
    assert not [name for name in denoiser.state_dict() if "chain" in name]


def test_sites_far_from_each_other_have_no_chain(tmp_path: Path) -> None:
    data = two_classes(tmp_path / "sites.h5", aligned=True)
    trained(data, tmp_path / "run", epochs=1)
    assert load_diffusion(tmp_path / "run").denoiser.chain is None
    with pytest.raises(UsageError, match="--set chain: a chain needs contiguous sequences"):
        trained(data, tmp_path / "no", arch={"chain": 3})
    assert not (tmp_path / "no").exists()
