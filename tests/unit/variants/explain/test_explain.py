"""Attributions add up, fall on the right bases, and leave the model as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from genomix_cli.comparison import explanation
from genomix_cli.genome.alphabet import decode, encode
from genomix_cli.variants.explain.attribution import (
    Attribution,
    Attributor,
    Inputs,
    spread,
    to_inputs,
)
from genomix_cli.variants.explain.explanation import (
    Explanation,
    Row,
    Site,
    haplotype_positions,
    picture,
    rows,
)
from genomix_cli.variants.explain.rollout import cls_rollout
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.records.inputs import (
    MARGIN,
    Allele,
    WindowArrays,
    haplotypes,
    trim_allele,
)

pytest.importorskip("captum")

N_BINS = 400
TRACKS = ("ATAC", "CTCF")
START = 1_000_000
CHANGES = {
    "SNV": ("A", "G"),
    "MNV": ("AC", "GT"),
    "insertion": ("A", "ACGT"),
    "deletion": ("ACG", "A"),
}


class OneWindow:
    """A genome source that knows one window."""

    def __init__(self, codes: np.ndarray) -> None:
        self._codes = codes

    def codes(self, contig: str, start: int, end: int) -> np.ndarray:
        first = START - MARGIN
        return self._codes[start - first : end - first]


@pytest.fixture(autouse=True)
def as_many_steps_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation, "MOST_STEPS", 0)


@pytest.fixture(scope="module")
def model() -> GMT:
    """A tiny GMT with random, enlarged weights: an untrained one is almost linear."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GMT(
            GMTConfig(
                TRACKS,
                n_bins=N_BINS,
                d_model=32,
                n_layers=2,
                n_heads=2,
                d_sequence=8,
                d_local=8,
                allele_strands=2,
            )
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1.65
    return model.eval()


def _window(seed: int = 0) -> WindowArrays:
    rng = np.random.default_rng(seed)
    state = np.ones((2, N_BINS), np.uint8)
    state[1, :100] = 0
    signal = np.where(state, rng.normal(size=(2, N_BINS)), 0).astype(np.float32)
    contacts = rng.normal(size=(4, 4)).astype(np.float32)
    codes = rng.integers(0, 4, N_BINS * 50 + 2 * MARGIN).astype(np.uint8)
    return WindowArrays(codes, signal, state, (contacts + contacts.T) / 2)


def _site(change: str, pos: int = START + 9_977) -> Site:
    """A site whose reference allele is written into the window by `_explain`."""
    ref, alt = CHANGES[change]
    return Site(f"chr1:{pos + 1}:{ref}:{alt}", "chr1", trim_allele(pos, ref, alt))


def _inputs(model: GMT, site: Site, window: WindowArrays) -> tuple[Inputs, Explanation]:
    allele = site.allele
    inside = allele.pos - START + MARGIN
    window.codes[inside : inside + len(allele.ref)] = allele.ref
    around = haplotypes(OneWindow(window.codes), "chr1", [allele], model.flank)
    inputs = to_inputs(window, around, allele.pos - START, torch.device("cpu"))
    return inputs, Explanation(site, START, 0.5, window, around, model.flank, ())


def _explain(
    model: GMT, change: str, baseline: str, **settings: float
) -> tuple[Explanation, Attribution]:
    inputs, explanation = _inputs(model, _site(change), _window())
    attributor = Attributor(model, **{"steps": 32, **settings})  # type: ignore[arg-type]
    attribution = attributor.attribute(inputs, baseline, np.random.default_rng(0))
    return dataclasses.replace(explanation, attributions=(attribution,)), attribution


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("baseline", ["ref", "shuffle"])
def test_attributions_add_up(model: GMT, change: str, baseline: str) -> None:
    _, attribution = _explain(model, change, baseline)
    assert abs(attribution.change) > 1e-4
    assert attribution.error < 0.01
    assert abs(attribution.total - attribution.change) < 0.02 * abs(attribution.change)


def test_steps_are_doubled_until_attributions_add_up(
    model: GMT, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {change: _explain(model, change, "ref", steps=1)[1].error for change in CHANGES}
    assert max(few.values()) > 0.01
    monkeypatch.setattr(explanation, "MOST_STEPS", 1024)
    enough = {change: _explain(model, change, "ref", steps=1)[1].error for change in CHANGES}
    assert max(enough.values()) < 0.01
    monkeypatch.setattr(explanation, "MOST_STEPS", 9)
    assert list(explanation.step_counts(2)) == [2, 4, 8]
    assert list(explanation.step_counts(20)) == [20]


def test_more_steps_leave_less(model: GMT) -> None:
    few, more = (_explain(model, "SNV", "shuffle", steps=n)[1] for n in (2, 16))
    assert abs(few.total - few.change) > 4 * abs(more.total - more.change)


def test_the_change_is_that_of_the_model(model: GMT) -> None:
    """With the baseline ref, the change is the score of the variant minus that with alt = ref."""
    inputs, _ = _inputs(model, _site("SNV"), _window())
    null = inputs.variants._replace(alt=inputs.variants.ref, alt_len=inputs.variants.ref_len)
    with torch.no_grad():
        change = float(model(*inputs) - model(inputs.window, null))
    attribution = Attributor(model, slope=2.0, steps=4).attribute(inputs, "ref")
    assert attribution.change == pytest.approx(2 * change, rel=1e-4)


def test_against_ref_only_the_alternate_allele_matters(model: GMT) -> None:
    explanation, attribution = _explain(model, "SNV", "ref")
    assert not attribution.window.any()
    assert not attribution.ref.any()
    assert not attribution.tracks.any()
    assert attribution.length == 0
    near = np.flatnonzero(attribution.alt) - explanation.flank
    assert (near.min(), near.max()) == (1 - 6, 6 - 1)  # the bases of 6-mers over the variant


def test_a_deletion_falls_on_the_bases_it_removed(model: GMT) -> None:
    explanation, attribution = _explain(model, "deletion", "ref")
    deleted = slice(explanation.flank, explanation.flank + 2)
    assert attribution.ref[deleted].any()
    assert attribution.length != 0


def test_unmeasured_bins_get_nothing(model: GMT) -> None:
    _, attribution = _explain(model, "SNV", "shuffle", steps=2)
    assert not attribution.tracks[1, :100].any()
    assert attribution.tracks[0].all()


def test_shuffles_repeat_with_their_generator(model: GMT) -> None:
    one, two = (_explain(model, "SNV", "shuffle", steps=2)[1] for _ in range(2))
    assert (one.window == two.window).all()


def test_the_model_is_left_as_it_was(model: GMT) -> None:
    before = {name: p.clone() for name, p in model.named_parameters()}
    inputs, _ = _inputs(model, _site("SNV"), _window())
    Attributor(model, steps=2).attribute(inputs, "shuffle", np.random.default_rng(0))
    cls_rollout(model, *inputs)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])
    assert not any(layer.norm_attention._forward_hooks for layer in model.layers)


def test_spread_keeps_the_sum() -> None:
    values = spread(np.array([0, 1, 1]), np.array([6.0, 3.0, -1.0]), 4, 6)
    assert values.tolist() == [1.5, 2.0, 2.0, 2.0, 0.5, 0.0]


def test_a_bin_is_the_sum_of_its_kmers(model: GMT) -> None:
    inputs, _ = _inputs(model, _site("SNV"), _window())
    attributor = Attributor(model, steps=4)
    shuffled = attributor._shuffles(inputs.window.codes, np.random.default_rng(0))
    gradient = torch.randn(N_BINS, 8, generator=torch.Generator().manual_seed(0))
    values = attributor._window_bases(inputs.window.codes, shuffled, gradient)
    with torch.no_grad():
        shuffles = model.embed_window(shuffled).mean(0)
        difference = model.embed_window(inputs.window.codes)[0] - shuffles
    assert values.sum() == pytest.approx(float((difference * gradient).sum()), rel=1e-4)


# Rows


def test_positions_of_an_insertion_and_a_deletion() -> None:
    insertion = Allele(10, encode(""), encode("GG"))
    place = haplotype_positions(insertion, 2, flank=2, size=6)
    assert list(zip(*place, strict=True)) == [
        (8, 9),
        (9, 10),
        (10, 10),
        (10, 10),
        (10, 11),
        (11, 12),
    ]
    deletion = Allele(10, encode("GG"), encode(""))
    place = haplotype_positions(deletion, 0, flank=2, size=4)
    assert list(zip(*place, strict=True)) == [(8, 9), (9, 10), (12, 13), (13, 14)]


@pytest.mark.parametrize("change", CHANGES)
def test_rows_add_up_and_spell_the_genome(model: GMT, change: str) -> None:
    explanation, attribution = _explain(model, change, "shuffle", steps=2)
    table = list(rows(explanation, attribution, TRACKS))
    assert sum(r.attribution for r in table) == pytest.approx(attribution.total)
    window = decode(explanation.window.codes)
    for row in table:
        if row.part in ("window", "ref") and row.base != ".":
            assert window[row.start - START + MARGIN] == row.base
    assert {r.feature for r in table} == {"sequence", *TRACKS} | (
        {"length"} if "tion" in change else set()
    )


def test_rows_are_bases_near_the_variant_and_bins_beyond(model: GMT) -> None:
    explanation, attribution = _explain(model, "SNV", "shuffle", steps=2)
    pos = explanation.site.allele.pos
    window = [r for r in rows(explanation, attribution, TRACKS) if r.part == "window"]
    assert len({r.start for r in window}) == len(window)
    for row in window:
        assert row.end - row.start == (1 if row.base != "." else 50)
        assert (row.base != ".") == (abs(row.start // 50 - pos // 50) <= 4)


# Rollout


def test_rollout_is_the_product_of_all_layers(model: GMT) -> None:
    """Rollout equals the product of full matrices over window and variant tokens."""
    inputs, _ = _inputs(model, _site("SNV"), _window())
    rollout = cls_rollout(model, *inputs)
    expected = _full_rollout(model, inputs)
    assert rollout.bins.sum() + rollout.own.sum() == pytest.approx(1, abs=1e-5)
    assert rollout.bins == pytest.approx(expected[:N_BINS], abs=1e-6)
    assert rollout.own == pytest.approx(expected[N_BINS:], abs=1e-6)


def _full_rollout(model: GMT, inputs: Inputs) -> np.ndarray:
    """Every token of both streams as one sequence; window tokens see no variant tokens."""
    bins = inputs.variants.offset // 50
    with torch.no_grad():
        context = model.window(inputs.window)
        x = context.fused[0]
        tokens = model.alleles(model.embed_alleles(inputs.variants))
        cls = (model.cls + x[bins[0, 0]])[None]
        positions = (model.positions * model.position_scale)[bins[0, 0]]
        y = torch.cat([cls, tokens[0, 0]]) + model.offsets + positions
        total = torch.eye(len(x) + len(y))
        column = torch.arange(N_BINS) // 100
        for layer, prior in zip(model.layers, context.priors, strict=True):
            tokens = torch.cat([x, y])
            q, k, v = layer.attention.project(layer.norm_attention(tokens))
            bias = torch.zeros(len(q), len(tokens), len(tokens))
            bias[:, :N_BINS, :N_BINS] = prior[0][:, column][..., column]
            bias[:, N_BINS:, :N_BINS] = prior[0][:, column[bins[0, 0]], column][:, None]
            bias[:, :N_BINS, N_BINS:] = -torch.inf
            weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias).softmax(-1)
            tokens = tokens + layer.attention.merge(weights @ v)
            tokens = tokens + layer.mlp(layer.norm_mlp(tokens))
            x, y = tokens[:N_BINS], tokens[N_BINS:]
            total = (weights.mean(0) @ total + total) / 2
    return total[N_BINS].numpy()


# Pictures


@pytest.mark.parametrize(
    ("change", "letters", "variant"),
    [("SNV", "G", 1), ("MNV", "GT", 2), ("insertion", "CGT", 3), ("deletion", "CG", 2)],
)
def test_columns_show_both_alleles(model: GMT, change: str, letters: str, variant: int) -> None:
    explanation, attribution = _explain(model, change, "shuffle", steps=2)
    drawn = picture(explanation, TRACKS, "a note")
    assert drawn.letters[drawn.variant] == letters
    assert drawn.variant.stop - drawn.variant.start == variant
    assert len(drawn.letters) == len(drawn.positions) == 2 * model.flank + variant
    assert (np.diff(drawn.positions) <= 1).all()
    window = decode(explanation.window.codes)
    flanks = [
        i for i in range(len(drawn.letters)) if not drawn.variant.start <= i < drawn.variant.stop
    ]
    for i in flanks:
        assert window[drawn.positions[i] - START + MARGIN] == drawn.letters[i]
    shown = range(len(drawn.letters))
    own = sum(
        r.attribution
        for r in rows(explanation, attribution, TRACKS)
        if r.feature == "sequence"
        and r.base != "."
        and drawn.positions[0] <= r.start <= drawn.positions[-1]
    )
    assert sum(drawn.logos[0].heights[i] for i in shown) == pytest.approx(own, abs=1e-6)


@pytest.mark.parametrize("change", ["SNV", "insertion"])
@pytest.mark.parametrize("baseline", ["ref", "shuffle"])
def test_a_picture_is_drawn(model: GMT, change: str, baseline: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from genomix_cli.variants.explain.plots import draw

    explanation, _ = _explain(model, change, baseline, steps=2)
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    for path in (one, two):
        draw(picture(explanation, TRACKS, "a note"), path)
    assert one.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert one.read_bytes() == two.read_bytes()


def test_rows_are_named_tuples_of_plain_values(model: GMT) -> None:
    explanation, attribution = _explain(model, "SNV", "ref", steps=2)
    row = next(rows(explanation, attribution, TRACKS))
    assert isinstance(row, Row)
    assert [type(v) for v in row] == [str, str, int, int, str, float]
