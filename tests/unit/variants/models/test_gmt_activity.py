"""A network of sequence activity inside GMT: it reads the alleles, and stays as it was learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from genomix_cli.config import to_dict
from genomix_cli.learning.adapters import adapt
from genomix_cli.variants.models.activity import Activity
from genomix_cli.variants.models.base import Variants
from genomix_cli.variants.models.gmt import GMT
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.requests.prepare import PrepareRequest
from genomix_cli.variants.trained import load_model
from tests.conftest import ROOT
from tests.random_activity import OUTPUTS, config, network, save_activity
from tests.unit.variants.models.test_gmt import (
    SMALL,
    make_model,
    make_variants,
    make_window,
    sharing,
)

WITH_ACTIVITY = replace(SMALL, activity=to_dict(config()))


def make(**fields: Any) -> GMT:
    model = make_model(replace(WITH_ACTIVITY, **fields))
    model.activity.reader.network.load_state_dict(network(config()).state_dict())
    with torch.no_grad():  # or the token would hardly be told from rounding
        for parameter in model.activity.token.parameters():
            parameter *= 10
    return model


def substituted(variants: Variants, flank: int) -> Variants:
    """The same variants as substitutions of one base."""
    alt = variants.ref.clone()
    alt[..., flank] = (alt[..., flank] + 1) % 4
    one = torch.ones_like(variants.ref_len)
    return variants._replace(alt=alt, ref_len=one, alt_len=one)


def test_its_differences_are_those_of_the_network() -> None:
    model, alone = make(), Activity(network(config())).eval()
    variants = substituted(make_variants(model, 6), model.flank)
    before = model.flank - alone.flank
    read = variants._replace(ref=variants.ref[..., before:], alt=variants.alt[..., before:])
    with torch.inference_mode():
        assert model.outputs == alone.outputs == OUTPUTS[:2]
        context = model.window(make_window())
        found = model.answers(context, variants, sharing(variants)).differences
        assert torch.equal(found, alone.substitutions(read))
        assert found.all()


def test_the_logit_reads_what_the_network_reads() -> None:
    """Bases beyond the k-mers reach the logit only through the network."""
    model = make()
    variants = substituted(make_variants(model, 6), model.flank)
    far = variants.alt.clone()
    far[..., 1] = (far[..., 1] + 1) % 4
    assert model.flank - 1 > SMALL.radius + 8
    with torch.inference_mode():
        context = model.window(make_window())
        change = model.variants(context, variants._replace(alt=far))
        assert (change - model.variants(context, variants)).abs().max() > 1e-6


@pytest.mark.parametrize("tuned", [False, True])
def test_the_network_learns_only_if_it_is_tuned(tuned: bool) -> None:
    model = make(tune_activity=tuned)
    count = adapt(model, "full")
    parts = dict(model.activity.reader.named_parameters())
    assert count.learn == count.total - sum(p.numel() for p in parts.values()) * (not tuned)
    model.train()
    variants = substituted(make_variants(model, 6), model.flank)
    model(make_window(), variants).square().sum().backward()
    weight = parts["network.members.0.encoder.motifs.weight"]
    assert (weight.grad is not None) == tuned
    assert model.activity.token[0].weight.grad.abs().max() > 0
    statistics = [b for name, b in model.named_buffers() if "running_mean" in name]
    before = network(config()).state_dict()
    assert statistics
    assert torch.equal(statistics[0], before["members.0.encoder.pool.1.running_mean"])


def test_a_frozen_network_reads_alike_in_training() -> None:
    model = make(modality_dropout=0.0).train()
    variants = substituted(make_variants(model, 6), model.flank)
    with torch.no_grad():
        first, second = (model(make_window(), variants) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("mode", ["head", "lora"])
def test_no_way_of_tuning_changes_a_frozen_network(mode: Any) -> None:
    model = make()
    adapt(model, mode)
    assert not any(p.requires_grad for p in model.activity.reader.parameters())
    assert set(model.activity.reader.state_dict()) == set(make().activity.reader.state_dict())


def test_training_takes_the_network_of_a_run_over(genomix_fast: Any, tmp_path: Path) -> None:
    data = ROOT / "test_data"
    request = PrepareRequest(
        data / "variants.vcf.gz", data / "genome.fa.gz", tmp_path / "s.h5", label_info="LABEL"
    )
    prepare_variants(request)
    run = save_activity(tmp_path / "activity")
    train = (
        *("train", tmp_path / "s.h5", "--valid-contigs", "chr2", "--epochs", "1"),
        *("--set", "n_bins=400", "--set", "d_model=16", "--set", "n_layers=1"),
        *("--set", "n_heads=2", "--set", "d_sequence=8", "--set", "d_local=8"),
        *("--train-variants", "64", "--valid-variants", "100"),
    )
    genomix_fast(*train, "--init", run, "-o", tmp_path / "gmt")
    model = load_model(tmp_path / "gmt").module
    own = model.activity.reader.state_dict()
    for name, value in load_model(run).module.state_dict().items():
        assert torch.equal(own[name], value)
    # And what starts from that has it, too.
    genomix_fast(*train, "--init", tmp_path / "gmt", "-o", tmp_path / "again")
    assert load_model(tmp_path / "again").module.config.activity == model.config.activity
    scored = tmp_path / "scored.vcf"
    genomix_fast(
        *("score", data / "variants.vcf.gz", "-f", data / "genome.fa.gz", "-m", tmp_path / "gmt"),
        *("-r", "chr1:1-20000", "-o", scored),
    )
    scored_line = next(line for line in scored.read_text().splitlines() if "_DL=" in line)
    assert all(name in scored_line for name in ("GENOMIX_P=", "GENOMIX_DA=", "GENOMIX_DA_K562="))
