"""A head on a frozen encoder: what is saved, what is checked, and what learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from genomix_cli.errors import DataError, UsageError
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.frozen import Frozen, FrozenConfig
from genomix_cli.variants.records.inputs import MAX_ALLELE
from genomix_cli.variants.trained import ModelConfig, arch_of, load_model, save_model
from tests.random_encoder import WIDTH, WINDOW, Convolution, save_hugging_face, save_program

TRACKS = ("ATAC", "CTCF")


def make(folder: Path, **changes: Any) -> Frozen:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = FrozenConfig(tracks=TRACKS, n_bins=400, encoder=str(folder), **changes)
        return Frozen(config).eval()


def inputs(model: Frozen, groups: int = 4) -> tuple[Window, Variants]:
    rng = torch.Generator().manual_seed(1)
    window = Window(
        torch.zeros(1, 400 * 50 + 16, dtype=torch.uint8),
        torch.randn(1, 2, 400, generator=rng),
        torch.ones(1, 2, 400),
        torch.zeros(1, 4, 4),
    )
    shape = (1, groups, 2 * model.flank + MAX_ALLELE)
    ref = torch.randint(0, 4, shape, generator=rng, dtype=torch.uint8)
    alt = ref.clone()
    alt[..., model.flank] = (ref[..., model.flank] + 1) % 4
    ones = torch.ones(1, groups, dtype=torch.long)
    return window, Variants(torch.full((1, groups), 10_000), ref, alt, ones, ones)


def test_what_the_encoder_says_of_itself_is_in_the_configuration(tmp_path: Path) -> None:
    model = make(save_program(tmp_path))
    config = model.config
    assert (config.bases, config.width, model.flank) == (WINDOW, WIDTH, WINDOW // 2)
    assert config.encoder == str(tmp_path.resolve())
    assert len(config.digest) == 64


def test_only_the_head_is_a_weight_of_the_model(tmp_path: Path) -> None:
    model = make(save_program(tmp_path))
    assert {name.split(".")[0] for name in model.state_dict()} == {"norm", "scale", "head"}
    window, variants = inputs(model)
    model.train()(window, variants).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_change_of_a_base_reaches_the_head(tmp_path: Path) -> None:
    model = make(save_program(tmp_path))
    window, variants = inputs(model)
    with torch.inference_mode():
        changed = model(window, variants)
        unchanged = model(window, variants._replace(alt=variants.ref))
    assert (changed - unchanged).abs().min() > 1e-4


def test_the_whole_chain_holds_for_a_folder_of_hugging_face(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    model = make(save_hugging_face(tmp_path / "esm"), bases=60)
    run = tmp_path / "run"
    run.mkdir()
    save_model(run, model, ModelConfig("frozen", arch_of(model), ()))
    loaded = load_model(run).module
    with torch.inference_mode():
        assert torch.equal(loaded(*inputs(model)), model(*inputs(model)))


def test_another_encoder_in_its_place_is_refused(tmp_path: Path) -> None:
    folder, run = save_program(tmp_path / "encoder"), tmp_path / "run"
    run.mkdir()
    model = make(folder)
    save_model(run, model, ModelConfig("frozen", arch_of(model), ()))
    other = Convolution()
    torch.nn.init.ones_(other.layer.weight)
    save_program(folder, other)
    with pytest.raises(DataError, match="is not the encoder with which this model was trained"):
        load_model(run)
    folder.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="no such encoder"):
        load_model(run)


def test_a_width_that_is_not_its_own_is_said(tmp_path: Path) -> None:
    model = make(save_program(tmp_path), width=5)
    with pytest.raises(UsageError, match=r"gives 8 features \(expected width=5"):
        model(*inputs(model))
