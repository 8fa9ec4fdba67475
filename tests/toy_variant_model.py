"""A variant model without training that reads only the first track at the variant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.variants.models.base import VariantConfig, VariantModel, Variants, Window
from genomix_cli.variants.trained import ModelConfig, save_model


@dataclass(frozen=True)
class ToyConfig(VariantConfig):
    """Configuration: `sign` -1 reverses the scores."""

    tracks: tuple[str, ...] = ()
    n_bins: int = 200
    sign: float = 1.0


class Toy(VariantModel):
    """Model whose logit is the signal of the first track in the variant's bin."""

    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.flank = 16
        self.scale = torch.nn.Parameter(torch.tensor(config.sign))

    def window(self, window: Window) -> Tensor:
        return window.signal[:, 0] * window.observed[:, 0]

    def variants(self, context: Any, variants: Variants) -> Tensor:
        return self.scale * context.gather(1, variants.offset // BIN_SIZE)


def save_toy(
    folder: Path, shard: Shard, valid: str = "chr3", test: str = "chr4", **settings: Any
) -> Path:
    """Write a run folder of the toy model that claims to have held out these contigs."""
    folder.mkdir()
    arch = {"tracks": list(shard.modalities), **settings}
    module = Toy(ToyConfig(**{**arch, "tracks": shard.modalities}))
    config = ModelConfig("toy", arch, shard.modality_specs, shard.uncovered, shard.max_gap_bins)
    save_model(folder, module, config)
    held = {"valid_contigs": valid.split(","), "test_contigs": test.split(",")}
    (folder / "train.json").write_text(json.dumps({"config": held}))
    return folder


@contextmanager
def toy_registered() -> Iterator[None]:
    """Register ``toy`` as a model within the block; nested blocks keep it registered."""
    before = dict(VARIANT_MODELS._entries)
    VARIANT_MODELS._entries["toy"] = "tests.toy_variant_model:Toy"
    try:
        yield
    finally:
        VARIANT_MODELS._entries = before
