"""The encoder: what is hidden, what is soft, what a stem sees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from genomix_cli.errors import UsageError
from genomix_cli.genome.iupac import ANY, HIDDEN, composition, encode
from genomix_cli.sequences.models.encoder import (
    KMERS,
    PRESETS,
    Encoder,
    EncoderConfig,
    KmerStem,
    LocusStem,
    MotifStem,
)
from tests.sequence_samples import genotypes

SMALL = {"width": 16, "layers": 1, "motifs": 8, "motif_width": 5, "sites": 8}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def made(stem: str, length: int = 40, **more: int) -> Encoder:
    return Encoder(EncoderConfig(**{**SMALL, "length": length, "stem": stem, **more})).eval()  # type: ignore[arg-type]


def drawn(n: int = 5, length: int = 40) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(1, 16, (n, length), np.uint8))


@pytest.mark.parametrize("stem", ["kmers", "motifs", "loci"])
def test_soft_bases_give_what_letters_give(stem: str) -> None:
    encoder, codes = made(stem), drawn()
    if stem == "loci":  # which leaves unknown ones out
        codes[codes == ANY] = 1
    p = torch.from_numpy(composition())[codes.long()]
    torch.testing.assert_close(encoder.soft(p), encoder(codes), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stem", ["kmers", "motifs", "loci"])
def test_blocks_and_padding_change_no_shape(stem: str) -> None:
    encoder, codes = made(stem, 45, block=4, across=1), drawn(3, 45)
    assert encoder(codes).shape == (3, 16)
    assert encoder.read(codes)[1].shape == (3, encoder.stem.n_tokens, 16)


def test_padding_of_the_last_block_is_not_attended_to() -> None:
    """Tokens of a full first block do not depend on the second block."""
    encoder = made("kmers", 12, block=8)
    codes = drawn(2, 12)
    other = codes.clone()
    other[:, -1] = 1
    first, second = encoder.read(codes)[1], encoder.read(other)[1]
    torch.testing.assert_close(first[:, :8], second[:, :8])
    assert not torch.allclose(first[:, 8:], second[:, 8:])


def test_an_ambiguous_3_mer_is_the_mean_of_what_it_may_be() -> None:
    stem = KmerStem(EncoderConfig(length=3, width=4))
    ambiguous, first, second = (torch.from_numpy(encode(s)[None]) for s in ("ARG", "AAG", "AGG"))
    expected = (stem(first).tokens + stem(second).tokens) / 2
    torch.testing.assert_close(stem(ambiguous).tokens, expected)


def test_a_hidden_base_makes_its_3_mers_the_mask() -> None:
    stem = KmerStem(EncoderConfig(length=5, width=4))
    codes = torch.from_numpy(encode("ACGTA")[None].copy())
    codes[0, 0] = HIDDEN
    found = stem(codes).tokens
    torch.testing.assert_close(found[0, 0], stem.embedding[KMERS])
    assert not torch.allclose(found[0, 1], stem.embedding[KMERS])


def test_what_is_unknown_of_aligned_sequences_says_nothing() -> None:
    codes = genotypes(n=60, sites=40).codes
    encoder = made("loci")
    assert isinstance(encoder.stem, LocusStem)
    encoder.stem.learn_columns(codes)
    nothing = torch.full((1, 40), ANY, dtype=torch.uint8)
    assert float(encoder.stem(nothing).tokens.detach().abs().max()) == 0
    assert float(encoder.stem(torch.zeros_like(nothing)).tokens.detach().abs().max()) == 0
    assert float(encoder.stem.scale[-1]) == 0  # the same base in all
    mean = encoder.stem.mean.numpy()
    known = codes[:, 0] != ANY
    np.testing.assert_allclose(mean[0], composition()[codes[known, 0]].mean(0), atol=1e-6)


def test_motifs_are_found_wherever_they_are() -> None:
    stem = MotifStem(EncoderConfig(length=32, stem="motifs", width=4, motifs=6, motif_width=5))
    stem.eval()
    codes = torch.from_numpy(encode("A" * 12 + "GATAA" + "A" * 15)[None].copy())
    moved = torch.roll(codes, 4, dims=1)
    torch.testing.assert_close(stem(codes).tokens[:, 1:5], stem(moved).tokens[:, 2:6])


def test_every_preset_builds_and_the_published_one_has_its_size() -> None:
    for fields in PRESETS.values():
        Encoder(EncoderConfig(**{"length": 600, **fields}))  # type: ignore[arg-type]
    encoder = Encoder(EncoderConfig(length=514, **PRESETS["genomai"]))
    count = sum(p.numel() for p in encoder.parameters())
    assert abs(count - 734_213) < 0.07 * 734_213


def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(UsageError, match="width 30 is not a multiple of heads 4"):
        Encoder(EncoderConfig(length=40, width=30))
    with pytest.raises(UsageError, match="too short"):
        Encoder(EncoderConfig(length=2))
