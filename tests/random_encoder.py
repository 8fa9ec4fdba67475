"""Encoders with random weights, in both formats that genomix reads."""

from __future__ import annotations

import json
import tempfile
import warnings
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genomix_cli.registry import VARIANT_MODELS

WINDOW, WIDTH = 128, 8


class Convolution(nn.Module):
    """Map one-hot bases ``[V, 4, B]`` to ``[V, T, F]``; each token reads its 8 bases and 4 more."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(4, WIDTH, 16, stride=8, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x)).transpose(1, 2)


class Lookup(nn.Module):
    """Map tokens ``[V, T]`` to their embeddings ``[V, T, F]``."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.layer = nn.Embedding(tokens, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        return self.layer(ids)


def save_program(folder: Path, module: nn.Module | None = None, **spec: Any) -> Path:
    """Write a folder with a TorchScript program; `spec` are fields of `ProgramSpec`."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(), torch.device("cpu"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        torch.jit.script(module or Convolution()).save(str(folder / "encoder.pt"))
    given = {"program": "encoder.pt", "window": WINDOW, **spec}
    (folder / "encoder.json").write_text(json.dumps(given))
    return folder


def words(k: int) -> list[str]:
    return ["".join(letters) for letters in product("ACGT", repeat=k)]


def save_hugging_face(folder: Path, k: int = 3, letters: str = "ACGTN", **changes: Any) -> Path:
    """Write an ESM model over k-mers without overlap, as in the Nucleotide Transformer."""
    from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    kmers = [word for word in words(k) if set(word) <= set(letters)]
    vocabulary = ["<unk>", "<pad>", "<mask>", "<cls>", *kmers, *letters]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    settings = {"max_position_embeddings": 102, "num_hidden_layers": 2, **changes}
    config = EsmConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=1,
        mask_token_id=2,
        position_embedding_type="absolute",
        **settings,
    )
    tokenizer = EsmTokenizer(
        str(folder / "vocab.txt"),
        eos_token=None,
        model_max_length=settings["max_position_embeddings"] - 2,
    )
    with torch.random.fork_rng(), torch.device("cpu"):
        torch.manual_seed(0)
        EsmForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def needed_by(name: str) -> dict[str, Any]:
    """Return the fields that a registered model requires, such as the folder of an encoder."""
    frozen = VARIANT_MODELS.load(name).config_class.__name__ == "FrozenConfig"
    return {"encoder": _some_program()} if frozen else {}


@cache
def _some_program() -> str:
    return str(save_program(Path(tempfile.mkdtemp(prefix="genomix-encoder-"))))
