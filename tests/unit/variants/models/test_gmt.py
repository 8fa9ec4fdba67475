"""GMT: its promises, and its size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import softplus

from genomix_cli.errors import UsageError
from genomix_cli.genome.alphabet import kmer_ids
from genomix_cli.variants.models.allele_tokens import KmerEmbedding
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.gmt import GMT, PRESETS, ContactPrior, GMTConfig
from genomix_cli.variants.models.sharing import Shared, shared, shared_rows
from genomix_cli.variants.records.inputs import MAX_ALLELE, Haplotypes

TRACKS = ("ATAC", "H3K27ac", "H3K4me3", "CTCF")
SMALL = GMTConfig(
    tracks=TRACKS,
    n_bins=400,
    d_model=32,
    n_layers=2,
    n_heads=2,
    d_sequence=16,
    d_local=16,
    allele_strands=2,
)


def make_model(config: GMTConfig = SMALL) -> GMT:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GMT(config).eval()


def make_window(config: GMTConfig = SMALL, n: int = 1) -> Window:
    rng = torch.Generator().manual_seed(1)
    bins, tracks, contacts = config.n_bins, len(config.tracks), config.n_bins // 100
    return Window(
        torch.randint(0, 5, (n, bins * 50 + 16), generator=rng, dtype=torch.uint8),
        torch.randn(n, tracks, bins, generator=rng),
        (torch.rand(n, tracks, bins, generator=rng) > 0.1).float(),
        torch.randn(n, contacts, contacts, generator=rng),
    )


def make_variants(model: GMT, groups: int, n: int = 1) -> Variants:
    rng = torch.Generator().manual_seed(2)
    width = 2 * model.flank + MAX_ALLELE
    return Variants(
        torch.randint(0, model.n_bins * 50, (n, groups), generator=rng),
        torch.randint(0, 4, (n, groups, width), generator=rng, dtype=torch.uint8),
        torch.randint(0, 4, (n, groups, width), generator=rng, dtype=torch.uint8),
        torch.randint(0, 5, (n, groups), generator=rng),
        torch.randint(0, MAX_ALLELE + 1, (n, groups), generator=rng),
    )


def sharing(variants: Variants) -> Shared:
    """Return what the variants of each window share."""
    offset, *haplotypes = (field.numpy() for field in variants)
    return shared([*map(torch.from_numpy, shared_rows(offset, Haplotypes(*haplotypes)))])


def pick(variants: Variants, index: list[int]) -> Variants:
    return Variants(*(field[:, index] for field in variants))


def test_a_variant_scores_the_same_alone_and_among_100_neighbours() -> None:
    config = GMTConfig(tracks=TRACKS)
    model = make_model(config)
    variants = make_variants(model, 101)
    with torch.inference_mode():
        context = model.window(make_window(config))
        together = model.variants(context, variants)
        alone = model.variants(context, pick(variants, [50]))
    assert together.std() > 0.01
    torch.testing.assert_close(alone[:, 0], together[:, 50], atol=1e-5, rtol=0)


def test_windows_of_a_batch_do_not_see_each_other() -> None:
    model = make_model()
    window, variants = make_window(n=2), make_variants(model, 3, n=2)
    with torch.inference_mode():
        both = model(window, variants)
        first = model(Window(*(f[:1] for f in window)), Variants(*(f[:1] for f in variants)))
    torch.testing.assert_close(first, both[:1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("field", ["codes", "signal", "observed", "contacts"])
def test_every_input_of_the_window_matters(field: str) -> None:
    model, window = make_model(), make_window()
    variants = make_variants(model, 4)
    changed = getattr(window, field).flip(-1)
    with torch.inference_mode():
        before = model(window, variants)
        after = model(window._replace(**{field: changed}), variants)
    assert (before - after).abs().max() > 1e-6


@pytest.mark.parametrize("switch", ["use_sequence", "use_tracks", "use_contacts"])
def test_what_is_switched_off_has_no_influence(switch: str) -> None:
    model = make_model(replace(SMALL, **{switch: False}))
    window, variants = make_window(), make_variants(model, 4)
    altered = {
        "use_sequence": window._replace(codes=window.codes.flip(-1)),
        "use_tracks": window._replace(signal=-window.signal, observed=window.observed.flip(-1)),
        "use_contacts": window._replace(contacts=-window.contacts),
    }[switch]
    if switch == "use_sequence":
        variants = variants._replace(alt=variants.ref)
        other = variants._replace(alt=variants.alt.flip(-1))
    else:
        other = variants
    with torch.inference_mode():
        torch.testing.assert_close(model(window, variants), model(altered, other))


def test_a_missing_track_is_not_a_track_of_zeros() -> None:
    model, window = make_model(), make_window()
    variants = make_variants(model, 4)
    observed = torch.ones_like(window.observed)
    zeros = window._replace(signal=torch.zeros_like(window.signal), observed=observed)
    observed = observed.clone()
    observed[:, 2] = 0
    with torch.inference_mode():
        difference = model(zeros, variants) - model(zeros._replace(observed=observed), variants)
    assert difference.abs().max() > 1e-6


def test_modalities_are_dropped_in_training_only() -> None:
    model = make_model(replace(SMALL, modality_dropout=0.999)).train()
    window = make_window()
    present, contacts = model._drop_modalities(window)
    assert not present.any()
    assert not contacts.any()
    present, contacts = model.eval()._drop_modalities(window)
    assert present.all()
    assert torch.equal(contacts, window.contacts)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    model = make_model(replace(SMALL, modality_dropout=0.0)).train()
    window, variants = make_window(), make_variants(model, 4)
    gradients = []
    for model.gradient_checkpointing in (False, True):
        model.zero_grad()
        model(window, variants).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("k", [3, 6, 8])
def test_kmer_ids_match_the_genome_module(k: int) -> None:
    codes = torch.randint(0, 5, (2, 60), generator=torch.Generator().manual_seed(4))
    ids = KmerEmbedding(k, 4).ids(codes.to(torch.uint8))
    expected = kmer_ids(codes.numpy().astype("uint8"), k).astype("int64")
    assert torch.equal(ids, torch.from_numpy(expected))


def test_embeddings_come_out_at_unit_scale() -> None:
    embedding = KmerEmbedding(6, 64)
    out = embedding(torch.arange(4096))
    assert out.std().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("preset", "millions"), [("mini", 1.596), ("base", 42.35), ("paper", 401.8)]
)
def test_presets_have_the_published_size(preset: str, millions: float) -> None:
    with torch.device("meta"):
        model = GMT(GMTConfig(tracks=TRACKS, **PRESETS[preset]))
    count = sum(p.numel() for p in model.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.002)


def test_all_faults_of_a_configuration_are_said_together() -> None:
    with pytest.raises(UsageError) as caught:
        GMTConfig(tracks=TRACKS, k=9, n_bins=401, radius=25)
    for fault in ("k=9", "n_bins=401", "radius=25"):
        assert fault in str(caught.value)


def test_weights_go_with_their_modality() -> None:
    """With tracks reordered, one removed and one added, the old model's predictions remain."""
    old = make_model()
    names = ("CTCF", "WGBS", "ATAC", "H3K27ac")
    new = make_model(replace(SMALL, tracks=names))
    new.load_state_dict(new.adopt(old.state_dict(), TRACKS))
    window, variants = make_window(), make_variants(old, 4)
    # H3K4me3 is missing for the old model, and WGBS for the new one.
    observed = window.observed.clone()
    observed[:, 2] = 0
    order = [TRACKS.index(n) if n in TRACKS else 2 for n in names]
    seen = Window(window.codes, window.signal[:, order], observed[:, order], window.contacts)
    with torch.inference_mode():
        wider = new.fusion.mix.weight.detach().clone()
        d = SMALL.d_model
        torch.testing.assert_close(wider[:, 3 * d : 4 * d], old.fusion.mix.weight[:, d : 2 * d])
        # An absent track is a token like any other; made the same, the two models agree.
        new.tracks.absent[1] = old.tracks.absent[2]
        new.fusion.embedding[2] = old.fusion.embedding[3]
        new.fusion.mix.weight[:, 2 * d : 3 * d] = old.fusion.mix.weight[:, 3 * d : 4 * d]
        expected = old(window._replace(observed=observed), variants)
        torch.testing.assert_close(new(seen, variants), expected, atol=1e-5, rtol=0)


def test_the_prior_falls_with_distance_and_rises_with_contacts() -> None:
    prior, contacts = ContactPrior(2, 3), make_window().contacts
    away = (torch.arange(4)[:, None] - torch.arange(4)).abs()
    for layer, found in enumerate(prior(contacts)):
        for head in range(3):
            a, b = (softplus(s[layer, head]) for s in (prior.distance_scale, prior.contact_scale))
            expected = -a * torch.log(1.0 + away) + b * contacts
            torch.testing.assert_close(found[:, head], expected)


def test_a_variant_reads_tracks_and_contacts_of_its_own_bin() -> None:
    model, n = make_model(), 3
    variants = make_variants(model, n)._replace(offset=torch.tensor([[10, 10_010, 19_990]]))
    with torch.inference_mode():
        context = model.window(make_window())
        before = model.variants(context, variants)
        for part in ("priors", "fused"):
            changed = [each.clone() for each in context.priors], context.fused.clone()
            for each in changed[0] if part == "priors" else [changed[1].transpose(0, 1)]:
                row = each[:, :, 2] if part == "priors" else each[10_010 // 50]
                row += torch.randn(row.shape, generator=torch.Generator().manual_seed(3))
            after = model.variants(context._replace(priors=changed[0], fused=changed[1]), variants)
            moved = (after - before)[0].abs() > 1e-6
            assert moved.tolist() == [False, True, False], part


def test_what_was_not_observed_has_no_influence() -> None:
    model, window = make_model(), make_window()
    variants = make_variants(model, 4)
    other = torch.where(window.observed > 0, window.signal, 9.0)
    with torch.inference_mode():
        found = model(window._replace(signal=other), variants)
        torch.testing.assert_close(found, model(window, variants))


@pytest.mark.parametrize("length", [0, 1, 7])
def test_kmers_lie_around_both_ends_of_the_allele(length: int) -> None:
    """A k-mer belongs to its middle base."""
    model = make_model()
    middle = model.local.kmer_starts(torch.tensor(length)) + SMALL.k // 2 - model.flank
    radius = SMALL.radius
    expected = [*range(-radius, radius)]
    assert middle.tolist() == [expected, [length - 1 + i for i in expected]]
