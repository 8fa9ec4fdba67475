"""Encoders of other people: what they read and give, and what is wrong with a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genomix_cli.errors import DataError, GenomixError, MissingExtraError, UsageError
from genomix_cli.genome.alphabet import encode
from genomix_cli.learning.encoders.base import TRUST
from genomix_cli.learning.encoders.opening import open_encoder
from tests.random_encoder import WIDTH, WINDOW, Lookup, save_hugging_face, save_program, words


def some(rows: int = 3, bases: int = WINDOW, seed: int = 1) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 4, (rows, bases), dtype=np.uint8))


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return save_hugging_face(tmp_path_factory.mktemp("models") / "esm-3mers")


@pytest.fixture
def copied(hugging_face: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(hugging_face, tmp_path / "copy"))


def altered(folder: Path, name: str, **changes: Any) -> Path:
    data = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(data | changes))
    return folder


# --- Programs ------------------------------------------------------------------------------------


def test_a_program_reads_one_hot_bases_and_gives_the_middle_and_the_mean(tmp_path: Path) -> None:
    encoder, codes = open_encoder(str(save_program(tmp_path))), some()
    hot = torch.eye(5)[codes.long()][..., :4].transpose(1, 2)
    places = torch.jit.load(str(tmp_path / "encoder.pt"))(hot)  # [3, 16, F]
    given = encoder(codes)
    assert given.shape == (3, 2 * WIDTH)
    assert given.requires_grad is False
    torch.testing.assert_close(given[:, :WIDTH], places[:, 8])
    torch.testing.assert_close(given[:, WIDTH:], places.mean(1))
    assert encoder.window(0) == encoder.window(WINDOW) == WINDOW
    assert encoder.width(WINDOW) == WIDTH


@pytest.mark.parametrize(("k", "stride"), [(1, 0), (3, 0), (3, 1)])
def test_a_program_reads_words(tmp_path: Path, k: int, stride: int) -> None:
    tokens = {word: 5 + i for i, word in enumerate(words(k))}
    spec = {"tokens": tokens, "unknown": 3, "before": [1], "after": [2], "stride": stride}
    folder = save_program(tmp_path, Lookup(5 + 4**k), window=30, **spec)
    encoder = open_encoder(str(folder))
    letters = "ACGTTGCANACGTACGATCGATTTAGCAGC"
    step = stride or k
    parts = [letters[i : i + k] for i in range(0, 30 - k + 1, step)]
    numbers = [tokens.get(part, 3) for part in parts]
    read = encoder.inputs(torch.from_numpy(encode(letters))[None])  # type: ignore[attr-defined]
    assert read[0].tolist() == [1, *numbers, 2]
    vectors = torch.jit.load(str(folder / "encoder.pt")).layer.weight
    given = encoder(torch.from_numpy(encode(letters))[None])[0]
    own = numbers[len(numbers) * 15 // 30]
    torch.testing.assert_close(given[:WIDTH], vectors[own])
    torch.testing.assert_close(given[WIDTH:], vectors[numbers].mean(0))


def test_channels_may_come_first_and_pooled_features_are_taken(tmp_path: Path) -> None:
    class Channels(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :3]

    class Pooled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(-1)

    codes = some(2)
    hot = torch.eye(5)[codes.long()][..., :3]  # [2, B, 3]
    first = open_encoder(str(save_program(tmp_path / "a", Channels(), channels_first=True)))(codes)
    torch.testing.assert_close(first, torch.cat([hot[:, WINDOW // 2], hot.mean(1)], 1))
    pooled = open_encoder(str(save_program(tmp_path / "b", Pooled())))(codes)
    torch.testing.assert_close(pooled[:, :3], hot.mean(1))
    torch.testing.assert_close(pooled[:, :4], pooled[:, 4:])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"window": 0}, r"'window' is 0, not int from 1"),
        ({"colour": 1}, r"unknown key 'colour'"),
        ({"program": "gone.pt"}, r"gone.pt: no such program"),
        ({"tokens": {"A": 0, "C": 1, "G": 2}}, r"do not cover the alphabet: 1 are missing, e.g. T"),
        ({"tokens": {"A": 0, "CG": 1}}, r"not words of one length .*found 1, 2"),
        ({"tokens": {"A": 0, "C": 1, "G": 2, "T": -1}}, r"whole numbers from 0"),
        ({"program": "encoder.pt2"}, rf"may hold code .*not run; .*export {TRUST}=folder"),
    ],
)
def test_what_is_wrong_with_a_program_is_one_line(
    tmp_path: Path, spec: dict[str, Any], message: str
) -> None:
    folder = save_program(tmp_path / "folder", **spec)
    (folder / "encoder.pt2").write_bytes(b"")
    with pytest.raises(GenomixError, match=message) as raised:
        open_encoder(str(folder))
    assert "\n" not in raised.value.line()


def test_a_damaged_program_and_another_window_are_refused(tmp_path: Path) -> None:
    folder = save_program(tmp_path)
    with pytest.raises(UsageError, match=r"does not read 64 bases \(expected 128\)"):
        open_encoder(str(folder)).window(64)
    (folder / "encoder.pt").write_bytes(b"not a program")
    with pytest.raises(DataError, match=r"the program cannot be read"):
        open_encoder(str(folder)).width(WINDOW)


def test_an_exported_program_runs_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.transpose(1, 2)

    folder = save_program(tmp_path / "mine", program="encoder.pt2")
    shape = {"x": {0: torch.export.Dim("v", min=1, max=4096)}}
    program = torch.export.export(Own(), (torch.zeros(2, 4, WINDOW),), dynamic_shapes=shape)
    torch.export.save(program, folder / "encoder.pt2")
    monkeypatch.setenv(TRUST, "another")
    with pytest.raises(UsageError, match="not run"):
        open_encoder(str(folder))
    monkeypatch.setenv(TRUST, "another,mine")
    codes = some()
    hot = torch.eye(4)[codes.long()]
    given = open_encoder(str(folder))(codes)
    torch.testing.assert_close(given, torch.cat([hot[:, WINDOW // 2], hot.mean(1)], 1))


# --- Folders of Hugging Face ---------------------------------------------------------------------


def test_the_middle_token_and_the_mean_of_all_are_those_of_the_model(hugging_face: Path) -> None:
    from transformers import EsmModel

    model = EsmModel.from_pretrained(hugging_face, add_pooling_layer=False).eval()
    vocabulary = (hugging_face / "vocab.txt").read_text().split()
    letters = "ACGTTGCATACGTACGATCGATTTAGCAGCTTA"
    ids = [3, *(vocabulary.index(letters[i : i + 3]) for i in range(0, 33, 3))]
    with torch.inference_mode():
        hidden = model(torch.tensor([ids]), torch.ones(1, 12)).last_hidden_state[0]
    given = open_encoder(str(hugging_face))(torch.from_numpy(encode(letters))[None])[0]
    torch.testing.assert_close(given[:WIDTH], hidden[1 + 16 // 3], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(given[WIDTH:], hidden[1:].mean(0), atol=1e-5, rtol=1e-4)


def test_rows_of_other_lengths_in_tokens_do_not_touch_each_other(hugging_face: Path) -> None:
    """An unknown base is a separate token, and so are the bases around it."""
    encoder, codes = open_encoder(str(hugging_face)), some(4, 60)
    codes[1, 7] = codes[2, 40:50] = 4
    together = encoder(codes)
    for row, features in zip(codes, together, strict=True):
        torch.testing.assert_close(encoder(row[None])[0], features, atol=1e-5, rtol=1e-4)


def test_a_window_of_unknown_bases_keeps_to_the_positions(hugging_face: Path) -> None:
    encoder, codes = open_encoder(str(hugging_face)), some(1, 240)
    codes[0, :100] = 4  # 100 tokens instead of 34
    ids, middle, (inside,) = encoder._tokens(["N" * 100 + "ACG" * 60])  # type: ignore[attr-defined]
    assert ids.shape == (1, 100)
    assert (inside.start, inside.stop) == (1, 100)
    word = encoder._words[ids[0, middle[0]]]  # type: ignore[attr-defined]
    assert word == "ACG"
    assert encoder(codes).isfinite().all()


def test_it_takes_the_window_that_its_positions_hold(hugging_face: Path) -> None:
    encoder = open_encoder(str(hugging_face))
    assert encoder.window(0) == 99
    assert encoder.window(297) == 297
    with pytest.raises(UsageError, match=r"300 bases is 101 tokens .*at most 100, the positions"):
        encoder.window(300)


@pytest.mark.parametrize("letters", ["ACGN", "AC"])
def test_a_tokenizer_without_a_base_is_refused(tmp_path: Path, letters: str) -> None:
    pytest.importorskip("transformers")
    lacking = ", ".join(base for base in "ACGT" if base not in letters)
    folder = save_hugging_face(tmp_path, letters=letters)
    with pytest.raises(DataError, match=rf"its tokenizer does not know {lacking} \("):
        open_encoder(str(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 16}, r"of another shape"),
        ({"num_hidden_layers": 3}, r"of \d+ weights 16 missing, as encoder.layer.2"),
        ({"num_hidden_layers": 1}, r"16 left over, as esm.encoder.layer.1"),
    ],
)
def test_weights_of_another_architecture_are_refused(
    copied: Path, changes: dict[str, int], message: str
) -> None:
    encoder = open_encoder(str(altered(copied, "config.json", **changes)))
    with pytest.raises(DataError, match=rf"another architecture than EsmModel .*{message}"):
        encoder.width(60)


def test_pickled_weights_are_not_read(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"no weights in safetensors \(found pytorch_model.bin\)"):
        open_encoder(str(copied))


def with_own_code(folder: Path) -> Path:
    """A kind of model that only the folder's own code knows."""
    (folder / "own.py").write_text(
        "from transformers import EsmConfig, EsmModel\n"
        "class OwnConfig(EsmConfig):\n    model_type = 'own'\n"
        "class OwnModel(EsmModel):\n    config_class = OwnConfig\n"
    )
    code = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    return altered(folder, "config.json", model_type="own", auto_map=code)


def test_code_of_a_folder_runs_only_where_it_is_named(
    copied: Path, hugging_face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder, codes = with_own_code(copied), some(2, 60)
    with pytest.raises(UsageError, match=rf"code of its own \(own.*; .*export {TRUST}=copy"):
        open_encoder(str(folder))
    monkeypatch.setenv(TRUST, "copy")
    torch.testing.assert_close(
        open_encoder(str(folder))(codes), open_encoder(str(hugging_face))(codes)
    )
    altered(folder, "config.json", auto_map={"AutoModel": "somebody/else--own.OwnModel"})
    with pytest.raises(DataError, match=r"code of another repository, .*nothing is downloaded"):
        open_encoder(str(folder))


def test_a_kind_that_nobody_knows_is_refused(copied: Path) -> None:
    with pytest.raises(DataError, match="does not know: mystery"):
        open_encoder(str(altered(copied, "config.json", model_type="mystery")))


# --- Both ----------------------------------------------------------------------------------------


def test_no_folder_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no encoder is set; --set encoder=FOLDER"):
        open_encoder("")
    with pytest.raises(UsageError, match="no such encoder"):
        open_encoder(str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="is not the folder of an encoder"):
        open_encoder(str(tmp_path))


def test_without_transformers_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr("genomix_cli.learning.encoders.hugging_face.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"genomix-toolkit\[encoders\]"):
        open_encoder(str(tmp_path))


def test_the_digest_is_that_of_what_it_reads(tmp_path: Path) -> None:
    folder = save_program(tmp_path)
    before = open_encoder(str(folder)).digest
    (folder / "README.md").write_text("notes")
    assert open_encoder(str(folder)).digest == before
    altered(folder, "encoder.json", unknown=7)
    assert open_encoder(str(folder)).digest != before
