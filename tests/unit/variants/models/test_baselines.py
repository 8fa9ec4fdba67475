"""The published baselines of variants: their sizes, what they read, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genomix_cli.errors import UsageError
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.basenji2 import Basenji2Config
from genomix_cli.variants.models.basset import BassetConfig
from genomix_cli.variants.models.bpnet import BPNetConfig
from genomix_cli.variants.models.deepsea import DeepSEAConfig
from genomix_cli.variants.models.dnabert import DNABERTConfig
from genomix_cli.variants.models.enformer import AttentionPooling, EnformerConfig
from genomix_cli.variants.models.epigept import EpiGePTConfig
from genomix_cli.variants.models.nucleotide_transformer import NucleotideTransformerConfig
from genomix_cli.variants.models.sei import SeiConfig, spline_basis
from genomix_cli.variants.models.siamese import (
    NEAR_BINS,
    PairedDropout,
    RunningScale,
    token_tracks,
    tracks_at,
)
from genomix_cli.variants.records.inputs import MAX_ALLELE

TRACKS = ("ATAC", "H3K27ac", "H3K4me3", "CTCF")
BINS = 400
NAMES = (
    *("deepsea", "basset", "enformer", "epigept"),
    *("bpnet", "sei", "basenji2", "dnabert", "nucleotide-transformer"),
)
# Each as it is but small.
SMALL: dict[str, dict[str, Any]] = {
    "deepsea": {"widths": (8, 8, 8), "hidden": 16},
    "basset": {"widths": (8, 8, 8), "hidden": 16},
    "enformer": {"bases": 896, "widths": (8,) * 6 + (16,), "n_layers": 1},
    "epigept": {"bases": 900, "widths": (8, 8, 8), "d_tracks": 8, "n_layers": 1},
    "bpnet": {"bases": 200, "width": 8, "n_dilated": 2},
    "sei": {"bases": 256, "widths": (8, 8, 8), "dilations": (2,), "hidden": 16},
    "basenji2": {"bases": 896, "widths": (8,) * 6 + (16,), "n_dilated": 2, "pointwise": 16},
    "dnabert": {"width": 16, "n_layers": 1},
    "nucleotide-transformer": {"width": 16, "n_layers": 1},
}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(name: str, **changes: Any) -> Any:
    model_class = VARIANT_MODELS.load(name)
    settings = {"tracks": TRACKS, "n_bins": BINS, **SMALL[name], **changes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_class(model_class.config_class(**settings)).eval()
    for part in model.modules():
        # Some blocks begin as the identity, and would show nothing of what they read.
        if isinstance(part, torch.nn.BatchNorm1d):
            torch.nn.init.ones_(part.weight)
    return model


def make_window() -> Window:
    rng = torch.Generator().manual_seed(1)
    return Window(
        torch.zeros(1, BINS * 50 + 16, dtype=torch.uint8),
        torch.randn(1, len(TRACKS), BINS, generator=rng),
        torch.ones(1, len(TRACKS), BINS),
        torch.zeros(1, 4, 4),
    )


def snvs(model: Any, offset: list[int]) -> Variants:
    """Single-base changes at `offset`, haplotypes of their own."""
    rng = torch.Generator().manual_seed(2)
    shape = (1, len(offset), 2 * model.flank + MAX_ALLELE)
    ref = torch.randint(0, 4, shape, generator=rng, dtype=torch.uint8)
    alt = ref.clone()
    alt[..., model.flank] = (ref[..., model.flank] + 1) % 4
    ones = torch.ones(shape[:2], dtype=torch.long)
    return Variants(torch.tensor([offset]), ref, alt, ones, ones)


def logits(model: Any, window: Window, variants: Variants) -> Tensor:
    with torch.inference_mode():
        return model(window, variants)[0]


@pytest.mark.parametrize(
    ("name", "preset", "count"),
    [
        ("deepsea", "mini", 790_817),
        ("deepsea", "paper", 54_234_145),
        ("basset", "mini", 387_233),
        ("basset", "paper", 6_578_901),
        ("enformer", "mini", 588_737),
        ("enformer", "paper", 287_345_153),
        ("epigept", "mini", 368_849),
        ("epigept", "paper", 90_824_185),
        ("bpnet", "mini", 150_785),
        ("bpnet", "paper", 274_881),
        ("sei", "mini", 425_729),
        ("sei", "paper", 91_989_697),
        ("basenji2", "mini", 384_513),
        ("basenji2", "paper", 27_993_188),
        ("dnabert", "mini", 313_601),
        ("dnabert", "paper", 89_013_761),
        ("nucleotide-transformer", "mini", 374_177),
        ("nucleotide-transformer", "paper", 491_524_353),
    ],
)
def test_sizes(name: str, preset: str, count: int) -> None:
    assert parameters(on_meta(name, preset)) == count


def on_meta(name: str, preset: str, **changes: Any) -> Any:
    """A preset as it is, without memory for its weights."""
    model_class = VARIANT_MODELS.load(name)
    settings = {"tracks": TRACKS, **model_class.presets[preset], **changes}
    with torch.device("meta"):
        return model_class(model_class.config_class(**settings))


def parameters(*parts: torch.nn.Module) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


def test_basenji2_is_as_large_as_published() -> None:
    """With the authors' head of 5,313 tracks, the numbers of parameters agree."""
    model = on_meta("basenji2", "paper")
    head = 1536 * 5313 + 5313
    body = parameters(model.tower, model.dilated, model.last)
    assert round((body + head) / 1e6, 2) == 30.09
    assert model.config.dilations == (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72)


def test_sei_is_as_large_as_published() -> None:
    """With the authors' classifier of 21,907 profiles, the numbers of parameters agree."""
    model, profiles = on_meta("sei", "paper"), 21_907
    classifier = (960 * 16 + 1) * profiles + (profiles + 1) * profiles
    assert parameters(model.stages, model.dilated) + classifier == 889_979_983


def test_the_body_of_bpnet_is_that_of_the_authors() -> None:
    layers = [4 * 25 * 64 + 64, *[3 * 64 * 64 + 64] * 9]
    model = on_meta("bpnet", "paper")
    assert parameters(model.body) == sum(layers)
    assert [part.module[1].dilation[0] for part in model.body[2:]] == [2**i for i in range(1, 10)]


def test_dnabert_is_as_large_as_published() -> None:
    model = on_meta("dnabert", "paper")
    trunk = parameters(model.embedding, model.layers) + model.positions.numel()
    assert round(trunk / 1e6) == 89
    assert model.positions.shape == (512, 768)


@pytest.mark.parametrize(("n_layers", "published"), [(12, 55.9), (22, 97.9)])
def test_nucleotide_transformers_are_as_large_as_published(n_layers: int, published: float) -> None:
    """The two smaller ones; their weights include learned positions and a head of masked tokens."""
    width, vocabulary = 512, 4107
    model = on_meta("nucleotide-transformer", "paper", width=width, n_layers=n_layers)
    head = width * (width + 1) + 2 * width + vocabulary * width + vocabulary
    count = parameters(model.layers) + vocabulary * width + 2050 * width + 2 * width + head
    assert round(count / 1e6, 1) == published


def test_lengths_are_the_published_ones() -> None:
    def paper(name: str) -> Any:
        model_class = VARIANT_MODELS.load(name)
        return model_class.config_class(tracks=TRACKS, **model_class.presets["paper"])

    assert (paper("deepsea").bases, paper("deepsea").places) == (1000, 53)
    assert (paper("basset").bases, paper("basset").places) == (600, 10)
    assert (paper("enformer").token, paper("enformer").bases // 128) == (128, 1536)
    assert (paper("sei").bases, paper("sei").places) == (4096, 256)
    assert (paper("basenji2").token, paper("basenji2").bases // 128) == (128, 1024)
    assert paper("nucleotide-transformer").bases // 6 + 1 == 2048
    assert (paper("epigept").bin, paper("epigept").bases // 128) == (128, 1000)
    assert paper("epigept").width == 968


def test_it_reads_its_bases_and_no_more(name: str) -> None:
    model, window = make(name), make_window()
    variants = snvs(model, [10_000])
    before = logits(model, window, variants)
    beyond, last = variants.alt.clone(), variants.alt.clone()
    beyond[..., model.config.bases :] = 4
    assert torch.equal(logits(model, window, variants._replace(alt=beyond)), before)
    last[..., model.config.bases - 100 : model.config.bases - 20] = 4
    assert not torch.equal(logits(model, window, variants._replace(alt=last)), before)


def test_an_untrained_model_sees_one_base(name: str) -> None:
    model, window = make(name), make_window()
    variants = snvs(model, [9_000, 10_000, 11_000])
    moved = logits(model, window, variants) - logits(
        model, window, variants._replace(alt=variants.ref)
    )
    assert moved.abs().min() > 1e-4


def test_without_sequence_the_alleles_say_nothing(name: str) -> None:
    model, window = make(name, use_sequence=False), make_window()
    variants = snvs(model, [10_000, 10_010])
    before = logits(model, window, variants)
    other = variants._replace(ref=variants.alt, alt=variants.ref.flip(-1))
    assert torch.equal(logits(model, window, other), before)
    silent = window._replace(signal=torch.zeros_like(window.signal))
    assert not torch.equal(logits(model, silent, variants), before)


def test_without_tracks_the_window_says_nothing(name: str) -> None:
    model, window = make(name, use_tracks=False), make_window()
    variants = snvs(model, [10_000])
    silent = window._replace(signal=torch.zeros_like(window.signal))
    assert torch.equal(logits(model, silent, variants), logits(model, window, variants))
    other = variants._replace(alt=variants.ref)
    assert not torch.equal(logits(model, window, other), logits(model, window, variants))


@pytest.mark.parametrize("offset", [0, 30, 5_000, BINS * 50 - 1])
def test_tracks_are_those_of_the_variants_place(name: str, offset: int) -> None:
    model, window = make(name), make_window()
    variants = snvs(model, [offset])
    before = logits(model, window, variants)
    own = offset // 50
    changed = window.signal.clone()
    changed[..., own] += 3
    assert not torch.equal(logits(model, window._replace(signal=changed), variants), before)
    reach = max(NEAR_BINS, model.flank // 50) + 1
    far = (torch.arange(BINS) - own).abs() > reach
    changed = window.signal.masked_fill(far, 9.0)
    assert torch.equal(logits(model, window._replace(signal=changed), variants), before)


def test_tracks_by_place_and_by_token() -> None:
    tracks = torch.arange(10.0).view(1, 1, 10)  # the number of each bin
    places = torch.tensor([[[-60, 0, 49, 50, 499, 600]]])
    assert tracks_at(tracks, places).flatten().tolist() == [0, 0, 0, 1, 9, 9]
    # 3 tokens of 100 bp; the variant at 275 is base 150 of 300: the middle one is 225..324.
    middle = token_tracks(tracks, torch.tensor([[275]]), 300, 100)
    assert middle.shape == (1, 3, 1)
    assert middle.flatten().tolist() == [
        pytest.approx((2 + 3 + 3 + 4) / 4),
        pytest.approx((4 + 5 + 5 + 6) / 4),
        pytest.approx((6 + 7 + 7 + 8) / 4),
    ]


def test_splines_are_those_of_scipy_and_sum_to_one() -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    for places, splines in ((16, 4), (64, 8), (256, 16)):
        basis = spline_basis(places, splines)
        inner = np.linspace(0, places - 1, splines - 2)
        knots = np.concatenate([[0] * 3, inner, [places - 1] * 3])
        expected = interpolate.BSpline(knots, np.eye(splines), 3)(np.arange(places))
        np.testing.assert_allclose(basis, expected, atol=1e-12)
        np.testing.assert_allclose(basis.sum(1), 1)


@pytest.mark.parametrize("name", ["dnabert", "nucleotide-transformer"])
def test_the_token_of_the_variant_is_the_one_it_changes(name: str) -> None:
    model = make(name)
    variants = snvs(model, [10_000])
    tokens = [
        model.embedding.ids(model.read(codes)[0])[:, :: model.stride]
        for codes in (variants.ref, variants.alt)
    ]
    changed = (tokens[0] != tokens[1]).nonzero()[:, 1].tolist()
    assert len(changed) == (model.config.k if name == "dnabert" else 1)
    assert changed[len(changed) // 2] == model.own


def test_attention_pooling_starts_as_a_softmax_of_twice_the_value() -> None:
    pair = torch.tensor([[[1.0, 3.0], [0.5, -2.0]]])
    expected = ((2 * pair).softmax(-1) * pair).sum(-1, keepdim=True)
    with torch.inference_mode():
        torch.testing.assert_close(AttentionPooling(2)(pair), expected)


def test_dropout_hides_the_same_of_ref_and_alt() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dropped = PairedDropout(0.5)(torch.ones(8, 100))
    assert torch.equal(dropped[:4], dropped[4:])
    assert not torch.equal(dropped[0], dropped[1])
    assert dropped.unique().tolist() == [0, 2]
    assert PairedDropout(0.5)(torch.ones(3, 100)).shape == (3, 100)


def test_differences_come_to_one_scale_and_nothing_stays_nothing() -> None:
    scale = RunningScale()
    rng = torch.Generator().manual_seed(0)
    for _ in range(100):
        scale(0.01 * torch.randn(64, 8, generator=rng))
    scale.eval()
    scaled = scale(0.01 * torch.randn(4000, 8, generator=rng))
    assert scaled.square().mean().item() == pytest.approx(1, rel=0.1)
    assert not scale(torch.zeros(2, 8)).any()


def test_no_dropout_of_its_own_is_left(name: str) -> None:
    parts = make(name).modules()
    assert not any(isinstance(part, torch.nn.Dropout) for part in parts)


@pytest.mark.parametrize(
    ("config_class", "changes", "message"),
    [
        (DeepSEAConfig, {"bases": 100, "dropouts": (0.1,)}, "too few.*1 dropouts, not 3"),
        (BassetConfig, {"widths": (8, 8)}, "2 widths, not 3"),
        (EnformerConfig, {"bases": 1000, "n_heads": 5}, "no multiple of 128.*2 x n_heads=5"),
        (EpiGePTConfig, {"bases": 1024, "pools": (5, 5)}, "not equally many.*no multiple of 25"),
        (BPNetConfig, {"bases": 20}, "bases=20 are fewer than 25"),
        (SeiConfig, {"bases": 100, "dropouts": (0.1,)}, "fewer places.*1 dropouts, not 3"),
        (Basenji2Config, {"bases": 1000, "n_dilated": 30}, "no multiple of 128.*more than 24"),
        (DNABERTConfig, {"bases": 4, "k": 9}, "too few.*k=9 is not in 3..8"),
        (NucleotideTransformerConfig, {"bases": 100, "n_heads": 5}, "multiple of k=3.*n_heads=5"),
    ],
    ids=NAMES,
)
def test_what_does_not_fit_is_said_at_once(
    config_class: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        config_class(tracks=TRACKS, **changes)
