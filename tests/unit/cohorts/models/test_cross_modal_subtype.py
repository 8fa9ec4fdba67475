"""Cross-modal subtypes: feature tokens, enrichment of the primary stream, selection in the fit.

Letters: B batch, d features, s width of the space.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from genomix_cli.cohorts.dataset import Modality, Samples, read_samples
from genomix_cli.cohorts.models.cross_modal_subtype import (
    CrossModalSubtype,
    CrossModalSubtypeConfig,
    CrossModalSubtypeNetwork,
    Enrichment,
    FeatureTokens,
    primary_of,
)
from genomix_cli.cohorts.models.network import Inputs
from genomix_cli.cohorts.models.preprocessing import fit_preprocessor
from genomix_cli.cohorts.models.selection import elastic_net
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.learning.fit_settings import FitSettings
from tests.cohort_files import every_kind

SMALL = CrossModalSubtypeConfig(space=4, heads=2, width=8, layers=1, epochs=2, batch_size=16)
CNA = Modality("cna", "copy_number_calls", tuple("abc"))
RNA = Modality("rna", "expression", tuple("vwxyz"))
GENES = Modality("genes", "mutations", tuple("klmn"))


def batch(modalities: tuple[Modality, ...], n: int = 6) -> Inputs:
    """Random values; the first sample lacks the last modality, the second a value."""
    draw = torch.Generator().manual_seed(0)
    values = [torch.randn(n, len(m.features), generator=draw) for m in modalities]
    present = torch.ones(n, len(modalities), dtype=torch.bool)
    observed = [torch.ones_like(v, dtype=torch.bool) for v in values]
    if len(modalities) > 1:
        present[0, -1] = observed[-1][0] = False
        values[-1][0] = 0
    observed[0][1, :1] = False
    values[0][1, :1] = 0
    return Inputs(tuple(values), tuple(observed), present)


def network(modalities: tuple[Modality, ...], **changes: Any) -> CrossModalSubtypeNetwork:
    torch.manual_seed(0)
    return CrossModalSubtypeNetwork(replace(SMALL, **changes), modalities, 3)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path = every_kind(Path(tmp_path_factory.mktemp("cohort")) / "a.h5mu", n=60)
    with open_cohort(path) as cohort:
        return read_samples(cohort)


def test_expression_asks_the_others_if_no_other_is_named() -> None:
    empty = replace(RNA, features=())
    assert primary_of((CNA, RNA, GENES), "") == 1
    assert primary_of((CNA, GENES), "") == 0
    assert primary_of((CNA, GENES), "genes") == 1
    assert primary_of((CNA, RNA, GENES), "genes") == 2
    assert primary_of((CNA, RNA, GENES), "no such") == 1
    assert primary_of((empty, GENES), "") == 1
    with pytest.raises(DataError, match="no feature of any modality varies"):
        primary_of((empty,), "")


def test_a_token_is_linear_in_its_value_and_a_missing_value_is_not_0() -> None:
    tokens = FeatureTokens(3, 4)
    tokens.missing.data.fill_(0.5)
    seen = torch.tensor([[True, True, False]])
    found = tokens(torch.tensor([[2.0, 0.0, 0.0]]), seen)[0]
    assert_allclose(found[0].detach(), (tokens.origin + 2 * tokens.direction)[0].detach())
    assert_allclose(found[1].detach(), tokens.origin[1].detach())
    assert_allclose(found[2].detach(), (tokens.origin[2] + 0.5).detach())


def test_enrichment_is_attention_to_the_other_modality() -> None:
    torch.manual_seed(0)
    enrich = Enrichment(4, 2)
    primary, other = torch.randn(3, 5, 4), torch.randn(3, 6, 4)
    reference = torch.nn.MultiheadAttention(4, 2, batch_first=True)
    reference.in_proj_weight.data = torch.cat([enrich.query.weight, enrich.key_value.weight])
    reference.in_proj_bias.data = torch.cat([enrich.query.bias, enrich.key_value.bias])
    reference.out_proj.load_state_dict(enrich.out.state_dict())
    expected = enrich.norm(reference(primary, other, other)[0])
    expected[1] = 0
    found = enrich(primary, other, torch.tensor([True, False, True]))
    assert_allclose(found.detach(), expected.detach(), atol=1e-6)


def test_flattened_a_feature_s_numbers_stand_together_in_the_order_of_features() -> None:
    model = network((RNA, CNA)).eval()
    inputs = batch((RNA, CNA))
    flat: list[torch.Tensor] = []
    model.mlp[0].register_forward_pre_hook(lambda module, args: flat.append(args[0]))
    model(inputs)
    enriched = model.enriched(inputs)
    for feature in range(5):
        assert torch.equal(flat[0][:, feature * 4 : feature * 4 + 4], enriched[:, feature])


def test_what_an_absent_modality_holds_does_not_matter() -> None:
    model = network((RNA, CNA, GENES)).eval()
    inputs = batch((RNA, CNA, GENES))
    before = model(inputs).logits
    inputs.values[2][0] = 9.0
    inputs.observed[2][0] = True
    after = model(inputs).logits
    assert torch.equal(before, after)
    inputs.values[2][3] = 9.0
    assert not torch.equal(model(inputs).logits[3], before[3])


def test_without_the_primary_the_others_still_answer() -> None:
    model = network((RNA, CNA)).eval()
    inputs = batch((RNA, CNA), n=2)
    inputs.present[:, 0] = inputs.observed[0][:] = False
    inputs.present[:, 1] = inputs.observed[1][:] = True
    logits = model(inputs).logits
    assert (logits[0] - logits[1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "modalities", [(CNA,), (RNA, CNA, GENES), (replace(RNA, features=()), GENES, CNA)]
)
def test_gradients_reach_every_parameter(modalities: tuple[Modality, ...]) -> None:
    model = network(modalities, dropout=0.0)
    inputs = batch(modalities)
    for observed in inputs.observed:
        observed[4, :1] = False
    output = model(inputs)
    (output.logits * torch.randn_like(output.logits)).sum().backward()
    assert output.attention is None
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_it_learns_from_the_features_that_the_elastic_net_of_its_fold_chooses(
    samples: Samples,
) -> None:
    model = CrossModalSubtype(replace(SMALL, top_k=4))
    train = samples.take(np.arange(40))
    model.fit(train, FitSettings())
    chosen = fit_preprocessor(train, select=elastic_net, top_k=4)
    kept = model.differentiable().preprocessor.selected
    assert kept == chosen.selected
    assert max(len(modality.features) for modality in kept) == 4
    # Other labels, other features.
    other = CrossModalSubtype(replace(SMALL, top_k=4))
    label = np.random.default_rng(0).permutation(samples.label)
    other.fit(replace(samples, label=label).take(np.arange(40)), FitSettings())
    assert other.differentiable().preprocessor.selected != kept


def test_trained_on_noise_it_is_right_by_chance_on_others() -> None:
    """Thousands of features and labels without meaning: selection outside the fold would show."""
    rng = np.random.default_rng(0)
    n, d = 360, 2000
    own = Modality("rna", "expression", tuple(f"g{i}" for i in range(d)))
    samples = Samples(
        names=np.arange(n).astype(str),
        modalities=(own,),
        values={"rna": rng.normal(size=(n, d)).astype(np.float32)},
        present=np.ones((n, 1), bool),
        classes=("a", "b"),
        label=rng.permutation(np.repeat([0, 1], n // 2)),
        patient=np.arange(n),
        batch=np.zeros(n, np.int64),
    )
    model = CrossModalSubtype(replace(SMALL, top_k=20, epochs=15, learning_rate=3e-3))
    train, test = samples.take(np.arange(80)), samples.take(np.arange(80, n))
    model.fit(train, FitSettings())

    def accuracy(of: Samples) -> float:
        return float((model.log_probability(of).argmax(1) == of.label).mean())

    # 280 held-out samples: standard error .030.
    assert abs(accuracy(test) - 0.5) < 0.1
    assert accuracy(train) > 0.7


@pytest.mark.parametrize("names", [["mRNA"], ["genes", "copy"], ["methylation", "mRNA", "genes"]])
def test_any_subset_of_modalities_will_do(samples: Samples, names: list[str]) -> None:
    model = CrossModalSubtype(SMALL)
    model.fit(samples.only(names), FitSettings())
    assert np.isfinite(model.log_probability(samples.only(names))).all()
    assert model.attention(samples.only(names)) is None


def test_stored_and_restored_it_answers_the_same(samples: Samples) -> None:
    some = samples.only(["methylation", "mRNA"])
    config = replace(SMALL, members=2, top_k=5)
    model = CrossModalSubtype(config)
    model.fit(some, FitSettings(seed=3))
    again = CrossModalSubtype(config)
    again.restore(model.modalities, model.classes, model.state())
    assert_array_equal(again.log_probability(some), model.log_probability(some))
    alone = again.log_probability(some.take(np.array([4])))
    assert_allclose(alone, model.log_probability(some)[[4]], atol=1e-5)


def test_heads_must_divide_the_space() -> None:
    with pytest.raises(UsageError, match="space 5 is not a multiple of heads 2"):
        CrossModalSubtype(CrossModalSubtypeConfig(space=5, heads=2))
