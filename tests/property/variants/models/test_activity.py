"""Variants of every kind, at the ends of contigs too, score as the plain networks say."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.genome.alphabet import encode
from genomix_cli.variants.models.activity import Activity
from genomix_cli.variants.models.base import Variants
from genomix_cli.variants.records.inputs import Allele
from genomix_cli.variants.score.doctor import MadeUpGenome
from genomix_cli.variants.score.engine import Engine
from genomix_cli.variants.score.reading import Target
from tests.random_activity import config, network

GENOME = MadeUpGenome((), 200)
LENGTH = GENOME.contigs["made-up"]
MODEL = Activity(network(config())).eval()


class Plain(Activity):
    """The same model by the sum of its definition."""

    def differences(self, variants: Variants) -> torch.Tensor:
        ref, alt = (self.probabilities(codes) for codes in (variants.ref, variants.alt))
        return self.activity(alt) - self.activity(ref)

    def substitutions(self, variants: Variants) -> torch.Tensor:
        return self.differences(variants)


@st.composite
def alleles(draw: st.DrawFn) -> Allele:
    """Half substitutions of one base; else whatever has no base in common."""
    pos = draw(st.integers(0, LENGTH - 1))
    count = draw(st.sampled_from([1, 1, 1, 0, 2, 50]))
    ref = GENOME.codes("made-up", pos, min(pos + count, LENGTH))
    alt = draw(st.sampled_from("ACGT")) if count == 1 else draw(st.text("ACGT", max_size=50))
    return Allele(pos, ref, encode(alt))


@settings(max_examples=20, deadline=None)
@given(st.lists(alleles(), min_size=1, max_size=12))
def test_every_kind_of_variant_is_scored_as_defined(some: list[Allele]) -> None:
    targets = [Target("made-up", allele, 0) for allele in some]
    found, plain = (
        Engine(model, GENOME, torch.device("cpu")).score(targets).differences
        for model in (MODEL, Plain(MODEL.network).eval())
    )
    np.testing.assert_allclose(found, plain, atol=1e-5)
    same = [np.array_equal(allele.ref, allele.alt) for allele in some]
    assert (found[same] == 0).all()
