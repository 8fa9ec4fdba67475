"""Tokens of an allele: either strand, either end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from genomix_cli.errors import UsageError
from genomix_cli.genome import alphabet
from genomix_cli.variants.models.allele_tokens import ENDS, Alleles, AlleleTokens, mirrored_kmers
from genomix_cli.variants.models.base import Variants
from genomix_cli.variants.models.gmt import PRESETS, GMTConfig
from tests.unit.variants.models.test_gmt import SMALL, make_model


def substitutions(flank: int, n: int = 5) -> tuple[Variants, Variants]:
    """Return substitutions, and the same on the other strand."""
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 4, (2, 1, n, 2 * flank + 1)).astype(np.uint8)
    rows[1, ..., :flank], rows[1, ..., flank + 1 :] = (
        rows[0, ..., :flank],
        rows[0, ..., flank + 1 :],
    )
    rows[1, ..., flank] = (rows[0, ..., flank] + 1) % 4
    one, offset = torch.ones(1, n, dtype=torch.int64), torch.zeros(1, n, dtype=torch.int64)
    both = rows, alphabet.reverse_complement(rows)
    forward, reverse = (Variants(offset, *map(torch.from_numpy, each), one, one) for each in both)
    return forward, reverse


def test_a_kmer_is_followed_by_what_the_other_strand_reads_there() -> None:
    model = make_model(replace(SMALL, k=5, radius=16))
    forward, reverse = (model.embed_alleles(each) for each in substitutions(model.flank))
    for here, there in ((forward.ref, reverse.ref), (forward.alt, reverse.alt)):
        own, mirrored = here[..., 1:, :].chunk(2, dim=-1)  # the first has no partner
        read, mirrored_there = there[..., 1:, :].flip(-2).chunk(2, dim=-1)
        torch.testing.assert_close(mirrored, read)
        torch.testing.assert_close(own, mirrored_there)
    assert not torch.equal(forward.ref, forward.alt)


def test_filters_see_each_strand_in_its_own_direction() -> None:
    """Swapping the strands and reversing the order changes nothing but the order of the tokens."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokens = AlleleTokens(width=8, d_model=16, strands=2, group=4)
        ref, alt = torch.randn(2, 1, 3, ENDS, 16, 16)
    lengths = torch.zeros(1, 3, 2)

    def mirrored(x: Tensor) -> Tensor:
        return torch.cat(x.flip(-2).chunk(2, dim=-1)[::-1], dim=-1)

    with torch.inference_mode():
        forward = tokens(Alleles(ref, alt, lengths)).unflatten(2, (ENDS, -1))
        reverse = tokens(Alleles(mirrored(ref), mirrored(alt), lengths)).unflatten(2, (ENDS, -1))
    assert forward.std() > 0.01
    torch.testing.assert_close(reverse.flip(3), forward)


def test_only_the_ends_that_differ_are_read_twice() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokens = AlleleTokens(width=8, d_model=16, strands=2, group=4)
        ref, alt = torch.randn(2, 1, 6, ENDS, 16, 16)
    ref[:, :4, 1], alt[:, :3, 1] = ref[:, :4, 0], alt[:, :3, 0]
    rows: list[int] = []
    with torch.inference_mode():
        expected = tokens._compared(
            tokens.features(ref), tokens.features(alt) - tokens.features(ref)
        )
        tokens.conv1.register_forward_hook(lambda _, given, __: rows.append(len(given[0]) // 2))
        found = tokens(Alleles(ref, alt, torch.zeros(1, 6, 2)))
    assert rows == [6, 2, 6, 3]
    length = tokens.length.bias
    torch.testing.assert_close(found, expected.flatten(2, 3) + length)


@pytest.mark.parametrize("k", [3, 6, 7])
def test_mirrored_kmers_are_those_of_the_other_strand(k: int) -> None:
    codes = np.random.default_rng(0).integers(0, 4, 300).astype(np.uint8)
    ids = alphabet.kmer_ids(codes, k).astype(np.int64)
    other = alphabet.kmer_ids(alphabet.reverse_complement(codes), k).astype(np.int64)[::-1]
    mirrored = mirrored_kmers(k).numpy()
    np.testing.assert_array_equal(mirrored[ids], other)
    for special in (alphabet.mask_id(k), alphabet.unknown_id(k)):
        assert mirrored[special] == special


def test_runs_from_before_read_one_strand_and_presets_read_both() -> None:
    assert GMTConfig(("ATAC",)).allele_strands == 1
    assert {preset["allele_strands"] for preset in PRESETS.values()} == {2}
    with pytest.raises(UsageError, match="allele_strands=3 is neither 1 nor 2"):
        GMTConfig(("ATAC",), allele_strands=3)
