"""Pre-training of transformers over k-mers: what is hidden of a row, and what starts from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from genomix_cli.formats.detect import HDF5
from genomix_cli.genome.alphabet import HIDDEN_BASE, kmer_ids, mask_id
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.variants.models.allele_tokens import KmerEmbedding
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.start import start_from
from genomix_cli.variants.requests.train import PRETRAIN_MONITOR, Masking, PretrainRequest
from genomix_cli.variants.train.pretrain import run as module
from genomix_cli.variants.train.pretrain.networks import RowPretraining
from genomix_cli.variants.train.pretrain.rows import MaskedRows, Rows
from genomix_cli.variants.train.pretrain.run import PretrainTask, pretrain
from genomix_cli.variants.train.pretrain.sampling import SPANS, Asked, Batch, Draw
from genomix_cli.variants.trained import build_model, load_model
from tests.conftest import Ended
from tests.pretraining_shard import FakeShard, pretrain_until_the_second_epoch

N_BINS = 400
SMALL = {"n_bins": N_BINS, "width": 16, "n_layers": 1, "n_heads": 2, "bases": 60, "k": 3}
K_MERS = {"dnabert": {"k": 6, "stride": 1}, "nucleotide-transformer": {"k": 6, "stride": 6}}
SIZES = {
    "one base": Rows(N_BINS, 300, 6, 1, span=1),
    "half a k-mer": Rows(N_BINS, 300, 6, 1, span=3),
    "two k-mers": Rows(N_BINS, 300, 6, 1, span=12),
    "a token": Rows(N_BINS, 300, 6, 6, span=6),
    "two tokens": Rows(N_BINS, 300, 6, 6, span=12),
}


@pytest.fixture(params=SIZES)
def reading(request: pytest.FixtureRequest) -> Rows:
    return SIZES[request.param]


def item_of(shard: Any, reading: Rows, start: int = 20_000, *, reverse: bool = False) -> Batch:
    masking = Masking(track_share=0)
    masked = MaskedRows(shard, masking, reading, 0, training=True)
    return masked[Asked(1, 2, Draw("chr1", start, "", reverse))]


def seen(item: Batch, reading: Rows) -> np.ndarray:
    """Ids of the k-mers that a model is shown, ``[R, T]``."""
    ids = KmerEmbedding(reading.k, 4).ids(item.queries.ref)
    return ids[:, :: reading.stride].numpy()


def test_visible_kmers_spell_no_hidden_base_and_every_other_one(reading: Rows) -> None:
    item = item_of(FakeShard(), reading)
    hidden = item.queries.ref.numpy() == HIDDEN_BASE
    visible = seen(item, reading) < mask_id(reading.k)
    spelled = np.zeros(hidden.shape, bool)
    for token, there in enumerate(visible.T):
        first = token * reading.stride
        spelled[:, first : first + reading.k] |= there[:, None]
    assert hidden.any(1).all()
    assert not (spelled & hidden).any()
    assert (spelled | hidden).all()


def test_about_the_share_of_the_kmers_is_hidden(reading: Rows) -> None:
    hidden = seen(item_of(FakeShard(), reading), reading) == mask_id(reading.k)
    assert hidden.mean() == pytest.approx(0.15, abs=0.03)


def test_what_is_predicted_depends_on_no_hidden_base(reading: Rows) -> None:
    """A genome that differs only in hidden bases gives the same input and other targets."""
    shard, other = FakeShard(), FakeShard()
    item = item_of(shard, reading)
    start = item.queries.offset.numpy()[0] + 20_000
    at = start + np.flatnonzero(item.queries.ref[0].numpy() == HIDDEN_BASE)
    other.sequence["chr1"][at] = (other.sequence["chr1"][at] + 1) % 4
    one, two = item.queries.ref[0], item_of(other, reading).queries.ref[0]
    assert torch.equal(one, two)
    asked = item.kmers[0] >= 0
    assert (item.kmers[0][asked] != item_of(other, reading).kmers[0][asked]).all()


@pytest.mark.parametrize("reverse", [False, True])
def test_asked_are_the_kmers_of_the_genome_that_hold_a_span_or_lie_in_one(
    reading: Rows, reverse: bool
) -> None:
    shard = FakeShard()
    item = item_of(shard, reading, reverse=reverse)
    codes = shard.codes("chr1", 20_000, 20_000 + N_BINS * 50)
    if reverse:
        codes = 3 - codes[::-1]
    rows = codes[item.queries.offset.numpy()[:, None] + np.arange(300)]
    hidden = item.queries.ref.numpy() == HIDDEN_BASE
    np.testing.assert_array_equal(rows[~hidden], item.queries.ref.numpy()[~hidden])
    inside = np.lib.stride_tricks.sliding_window_view(hidden, reading.k, axis=1).sum(-1)
    expected = inside[:, :: reading.stride] == min(reading.k, reading.span)
    kmers = item.kmers.numpy()
    np.testing.assert_array_equal(kmers >= 0, expected)
    ids = kmer_ids(rows, reading.k)[:, :: reading.stride]
    np.testing.assert_array_equal(kmers[expected], ids[expected])


def test_what_is_hidden_of_each_kmer_and_its_neighbours(reading: Rows) -> None:
    shard = FakeShard()
    item = item_of(shard, reading)
    found = reading.hidden(item)
    row, base = np.nonzero(np.diff(item.queries.ref.numpy() == HIDDEN_BASE, axis=1))
    row, start = row[::2], base[::2] + 1
    assert len(found.kmers) == len(row)
    place = 20_000 + item.queries.offset.numpy()[row] + start
    genome = shard.sequence["chr1"]
    np.testing.assert_array_equal(found.left, genome[place[:, None] + np.arange(-3, 0)])
    after = place[:, None] + reading.span + np.arange(3)
    np.testing.assert_array_equal(found.right, genome[after])
    n = reading.unknown
    for offset, kmers in zip(reading.after, found.kmers.T, strict=True):
        bases = genome[place[:, None] + offset + np.arange(n)].astype(int)
        np.testing.assert_array_equal(kmers, bases @ 4 ** np.arange(n)[::-1])


def test_a_span_with_an_unknown_kmer_is_not_asked_for(reading: Rows) -> None:
    shard = FakeShard()
    shard.sequence["chr1"][20_000:40_000:40] = 4
    item = item_of(shard, reading)
    kmers = item.kmers.numpy()
    assert (kmers >= 0).any()
    assert kmers.max() < 4**reading.k
    # Whole spans are asked for, or nothing of them.
    assert (kmers >= 0).sum() % len(reading.after) == 0
    assert len(reading.hidden(item).kmers) == (kmers >= 0).sum() // len(reading.after)


def network_of(name: str, **changes: Any) -> RowPretraining:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(name, {**SMALL, **changes, "tracks": []})
        return RowPretraining(model, model.hidden_span)


@pytest.mark.parametrize("name", K_MERS)
def test_every_part_that_reads_a_haplotype_learns(name: str) -> None:
    network = network_of(name).train()
    request = PretrainRequest(Path("x"), Path("y"), spans_per_window=3)
    reading = network.reading(request)
    masked = MaskedRows(FakeShard(), Masking(track_share=0), reading, 0, training=True)
    draw = Draw("chr1", 20_000, "", hidden=SPANS)
    batch: Batch = default_collate([masked[Asked(0, i, draw)] for i in range(3)])
    losses = PretrainTask(network, 1.0, reading.unknown).losses(batch, torch.Generator())
    losses["loss"].backward()
    assert losses["kmers"].item() == pytest.approx(1.0, abs=0.3)
    still = {n for n, p in network.model.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == {n for n in still if n.startswith(("norm.", "head."))}
    assert network.model.embedding.weight.grad[mask_id(3)].any()


class Shown(torch.nn.Module):
    """Stands for the heads: what they are given."""

    def forward(self, tokens: torch.Tensor, embedding: KmerEmbedding) -> torch.Tensor:
        return tokens[:, 0]


@pytest.mark.parametrize("name", K_MERS)
def test_a_hidden_kmer_is_told_from_its_own_token(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(name)
    reading = network.reading(PretrainRequest(Path("x"), Path("y")))
    batch: Batch = default_collate([item_of(FakeShard(), reading)])
    numbers = torch.arange(-1, batch.kmers.shape[2])[None, :, None]  # -1: [CLS]
    monkeypatch.setattr(network.model, "tokens", lambda rows: numbers.expand(len(rows), -1, 1))
    network.heads = Shown()
    assert torch.equal(network(batch).kmers, (batch.kmers[0] >= 0).nonzero()[:, 1])


def test_positions_start_as_large_as_kmers() -> None:
    model = network_of("dnabert", width=96).model
    kmers = model.embedding(torch.arange(64))
    assert model.positions.std().item() == pytest.approx(kmers.std().item(), rel=0.2)


@pytest.mark.parametrize("name", K_MERS)
def test_learns_what_stands_beside(name: str) -> None:
    """In a genome of one repeated unit, neighbours determine a hidden base; k-mer counts do not."""
    shard: Any = FakeShard()
    unit = np.array([0, 0, 1, 2, 1, 3, 3, 0, 2, 1, 3], np.uint8)
    shard.sequence["chr1"] = np.resize(unit, 200_000)
    network = network_of(name, bases=30).train()
    reading = network.reading(PretrainRequest(Path("x"), Path("y"), spans_per_window=32))
    masked = MaskedRows(shard, Masking(track_share=0), reading, 0, training=True)
    task = PretrainTask(network, 1.0, reading.unknown)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for i in range(250):
        batch = default_collate([masked[Asked(0, i, Draw("chr1", 20_000, ""))]])
        loss = task.losses(batch, torch.Generator())["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    of_kmers = np.log(11) / np.log(64)  # each of the 11 k-mers equally often
    assert np.mean(losses[-20:]) < 0.7 * of_kmers


@pytest.fixture(params=K_MERS)
def asked(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PretrainRequest:
    path = tmp_path / "genome.h5"
    path.write_bytes(b"stands for a shard")
    monkeypatch.setattr(module, "open_shard", lambda _: FakeShard(path=path))
    return PretrainRequest(
        shard=path,
        output=tmp_path / "run",
        model=request.param,
        arch={**SMALL, "dropout": 0.1},
        valid_contigs=("chr2",),
        windows_per_epoch=8,
        valid_windows=2,
        spans_per_window=3,
        fit=FitConfig(epochs=2, patience=0, monitor=PRETRAIN_MONITOR, checkpoint_every=5),
        device="cpu",
    )


def test_a_run_and_the_same_run_interrupted_and_resumed(
    asked: PretrainRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrain(asked)
    assert whole.tracks == ()
    assert [row.name for row in whole.kmers[1:]] == [f"Markov chain of order {i}" for i in range(4)]
    assert len({row.kmers for row in whole.kmers}) == 1
    assert all(1.3 < row.nats_per_base.value < 1.5 for row in whole.kmers[1:])
    metrics = json.loads((asked.output / "metrics.json").read_text())
    assert metrics["model"] == asked.model
    assert metrics["masking"]["span"] == (1 if asked.model == "dnabert" else 3)
    card = (asked.output / "README.md").read_text()
    assert f"# {asked.model} pre-trained on genome.h5" in card
    again = replace(asked, output=tmp_path / "again")
    pretrain_until_the_second_epoch(again, monkeypatch)
    assert pretrain(replace(again, resume=True)).curve == whole.curve
    for name in ("model.safetensors", "heads.safetensors"):
        assert (again.output / name).read_bytes() == (asked.output / name).read_bytes()


def test_training_on_labels_starts_from_it_whatever_the_tracks(asked: PretrainRequest) -> None:
    pretrain(replace(asked, fit=replace(asked.fit, epochs=1)))
    stored = load_model(asked.output).module.state_dict()
    tracks = FakeShard().modalities
    model = build_model(asked.model, {**asked.arch, "tracks": list(tracks)})
    fresh = model.head[0].weight.detach().clone()
    start_from(model, str(asked.output), FakeShard())  # type: ignore[arg-type]
    for name, value in model.state_dict().items():
        if name != "head.0.weight":
            torch.testing.assert_close(value, stored[name])
    features = stored["head.0.weight"].shape[1]
    torch.testing.assert_close(model.head[0].weight[:, :features], stored["head.0.weight"])
    torch.testing.assert_close(model.head[0].weight[:, features:], fresh[:, features:])
    go_on = replace(asked, initial=str(asked.output))
    heads = module._new(FakeShard(tracks=()), go_on).heads  # type: ignore[arg-type]
    first = module._new(FakeShard(tracks=()), asked).heads  # type: ignore[arg-type]
    assert not torch.equal(heads.query[0].weight, first.query[0].weight)


@pytest.mark.parametrize("name", K_MERS)
def test_tracks_in_another_order_give_the_same_score(name: str) -> None:
    one, two = (
        build_model(name, {**SMALL, "tracks": tracks}).eval()
        for tracks in (["ATAC", "CTCF"], ["CTCF", "H3K27ac", "ATAC"])
    )
    two.load_state_dict(two.adopt(one.state_dict(), ("ATAC", "CTCF")))
    signal = torch.randn(1, 2, N_BINS)
    codes = torch.randint(0, 4, (2, 1, 5, 200), dtype=torch.uint8)
    variants = Variants(torch.arange(5)[None] * 900, *codes, *torch.ones(2, 1, 5, dtype=torch.long))
    windows = []
    for rows in ((0, 1), (1, None, 0)):
        tracks = [signal[:, r] if r is not None else torch.zeros(1, N_BINS) for r in rows]
        seen = [torch.full((1, N_BINS), float(r is not None)) for r in rows]
        empty = torch.zeros(0)
        windows.append(Window(empty, torch.stack(tracks, 1), torch.stack(seen, 1), empty))
    with torch.inference_mode():
        torch.testing.assert_close(one(windows[0], variants), two(windows[1], variants))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            "--model bpnet",
            "--model bpnet: cannot be pre-trained (expected gmt or dnabert or "
            "nucleotide-transformer)",
        ),
        ("--model dnabert --track-mask 0.3", "--track-mask: does not apply to dnabert"),
        ("--model dnabert --mask-share 0", "nothing is hidden"),
        ("--model dnabert --gradient-checkpointing", "has no effect on dnabert"),
        ("--model dnabert --span 130", "at most 122 of 128 bases"),
        ("--model nucleotide-transformer --span 4", "a multiple of 3"),
        (
            "--model dnabert --set n_bins=2",
            "--set n_bins: sequences of 128 bases do not fit into a window of 100 (expected at "
            "least 3, found 2)",
        ),
    ],
)
def test_mistakes_are_said_in_a_line(
    options: str,
    said: str,
    genomix_here: Callable[..., Ended],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shard = tmp_path / "genome.h5"
    shard.write_bytes(HDF5[0])
    monkeypatch.setattr(module, "open_shard", lambda _: FakeShard())
    command = f"train {shard} -o {tmp_path / 'run'} --task pretrain --valid-contigs chr2 {options}"
    ended = genomix_here(*command.split())
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert not (tmp_path / "run").exists()
