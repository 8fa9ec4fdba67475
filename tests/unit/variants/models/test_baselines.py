"""The published baselines of variants: their sizes, what they read, and where."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genomix_cli.errors import UsageError
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.basset import BassetConfig
from genomix_cli.variants.models.deepsea import DeepSEAConfig
from genomix_cli.variants.models.enformer import AttentionPooling, EnformerConfig
from genomix_cli.variants.models.epigept import EpiGePTConfig
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
NAMES = ("deepsea", "basset", "enformer", "epigept")
# Each as it is but small.
SMALL: dict[str, dict[str, Any]] = {
    "deepsea": {"widths": (8, 8, 8), "hidden": 16},
    "basset": {"widths": (8, 8, 8), "hidden": 16},
    "enformer": {"bases": 896, "widths": (8,) * 6 + (16,), "n_layers": 1},
    "epigept": {"bases": 900, "widths": (8, 8, 8), "d_tracks": 8, "n_layers": 1},
}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(name: str, **changes: Any) -> Any:
    model_class = VARIANT_MODELS.load(name)
    settings = {"tracks": TRACKS, "n_bins": BINS, **SMALL[name], **changes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model_class(model_class.config_class(**settings)).eval()


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
    ],
)
def test_sizes(name: str, preset: str, count: int) -> None:
    model_class = VARIANT_MODELS.load(name)
    config = model_class.config_class(tracks=TRACKS, **model_class.presets[preset])
    with torch.device("meta"):
        model = model_class(config)
    assert sum(p.numel() for p in model.parameters()) == count


def test_lengths_are_the_published_ones() -> None:
    def paper(name: str) -> Any:
        model_class = VARIANT_MODELS.load(name)
        return model_class.config_class(tracks=TRACKS, **model_class.presets["paper"])

    assert (paper("deepsea").bases, paper("deepsea").places) == (1000, 53)
    assert (paper("basset").bases, paper("basset").places) == (600, 10)
    assert (paper("enformer").token, paper("enformer").bases // 128) == (128, 1536)
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
    ],
    ids=["deepsea", "basset", "enformer", "epigept"],
)
def test_what_does_not_fit_is_said_at_once(
    config_class: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        config_class(tracks=TRACKS, **changes)
