"""Pre-training: which windows, what the model sees of them, and a run that can be resumed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.detect import HDF5
from genomix_cli.genome.signal import BRIDGED, Signal
from genomix_cli.genome.vcf.regions import END, START, Interval, Regions
from genomix_cli.inspection import inspect
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.requests.train import PRETRAIN_MONITOR, Masking, PretrainRequest
from genomix_cli.variants.train.pretrain import run as module
from genomix_cli.variants.train.pretrain.metrics import Markov
from genomix_cli.variants.train.pretrain.networks import WindowPretraining
from genomix_cli.variants.train.pretrain.run import PretrainTask, pretrain, track_error
from genomix_cli.variants.train.pretrain.sampling import (
    SPANS,
    Asked,
    Batch,
    MaskedWindows,
    Reading,
    draw_epoch,
    find_places,
    validation_draws,
)
from genomix_cli.variants.train.splits import HeldOutRegions
from genomix_cli.variants.trained import load_model, read_config, refuse_unable
from tests.conftest import Ended
from tests.pretraining_shard import FakeShard, View, pretrain_until_the_second_epoch

N_BINS, K, FLANK = 400, 6, 24
READING = Reading(N_BINS, K, FLANK, spans=4, places=4)
SMALL = {"n_bins": N_BINS, "d_model": 16, "n_layers": 2, "n_heads": 2}
SMALL |= {"d_sequence": 8, "d_local": 8, "radius": 16}
CHR2 = HeldOutRegions(Regions([Interval("chr2", START, END)]))
NONE = HeldOutRegions(Regions([]))


def windows(shard: FakeShard, *, training: bool = True, epoch: int = 0) -> list[Batch]:
    places = find_places(shard, N_BINS, CHR2, 0.1, valid=not training)
    if training:
        draws = draw_epoch(places, list(shard.contigs), shard.cells, 8, 0, epoch)
    else:
        draws = validation_draws(places, shard, 2)
    masked = MaskedWindows(shard, Masking(), READING, 0, training=training)
    return [masked[Asked(epoch, i, draw)] for i, draw in enumerate(draws)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_is_kept_and_its_processes_read_the_epoch_that_is_asked_for(workers: int) -> None:
    shard: Any = FakeShard()
    places = find_places(shard, N_BINS, CHR2, 0.1, valid=False)
    request: Any = SimpleNamespace(
        **{"seed": 0, "masking": Masking(), "device": "cpu", "workers": workers},
        **{"windows_per_epoch": 8, "windows_per_batch": 3},
    )
    kept = module.Windows(shard, request, READING, places, []).train_loaders()
    processes = set()
    for epoch in (0, 1, 4, 1):
        loader = kept(epoch)
        found, expected = list(loader), windows(shard, epoch=epoch)
        assert len(loader) == len(found) == 3
        for name in ("signal", "kmers", "draw"):
            stacked = torch.cat([getattr(batch, name) for batch in found])
            assert torch.equal(stacked, torch.stack([getattr(item, name) for item in expected]))
        if workers:
            processes.add(tuple(worker.pid for worker in loader._iterator._workers))
    assert len(processes) == bool(workers)


def make_network(shard: FakeShard) -> WindowPretraining:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WindowPretraining(GMT(GMTConfig(shard.modalities, **SMALL)), 12).eval()


def test_windows_to_train_on_touch_nothing_held_out_and_those_to_validate_on_lie_inside() -> None:
    shard = FakeShard(gap=(60_000, 100_000))
    regions = [Interval("chr1", 120_000, 160_000), Interval("chr2", START, END)]
    held = HeldOutRegions(Regions(regions))
    train = find_places(shard, N_BINS, held, 0.1, valid=False)
    assert set(train.contig.tolist()) == {0}
    # Windows are read with some bases beside them.
    assert {0, 40_000, 165_000, 180_000} <= set(train.start.tolist())
    assert not {100_000, 160_000} & set(train.start.tolist())
    assert not any(58_000 + 20_000 < s + 20_000 <= 98_000 for s in train.start.tolist())
    assert not any(100_000 < s < 160_000 for s in train.start.tolist())
    assert train.mostly_unknown > 0
    valid = find_places(shard, N_BINS, held, 0.1, valid=True)
    inside = sorted(zip(valid.contig.tolist(), valid.start.tolist(), strict=True))
    assert inside == [(0, 120_000), (0, 140_000), *((1, s) for s in range(0, 100_000, 20_000))]


def test_known_bases_of_a_window_are_counted_exactly() -> None:
    shard = FakeShard(gap=(61_000, 83_300))
    places = find_places(shard, N_BINS, NONE, 0.3, valid=False)
    kept = {s for c, s in zip(places.contig, places.start, strict=True) if c == 0}
    expected = {
        start
        for start in range(-15_000, 200_000, 5_000)
        if (shard.codes("chr1", start, start + 20_000) < 4).mean() >= 0.7
    }
    assert kept == expected


def test_short_stretches_can_be_learned_from_where_n_is_allowed() -> None:
    shard = FakeShard()
    for sequence in shard.sequence.values():
        sequence[np.arange(len(sequence)) % 1000 >= 200] = 4
    with pytest.raises(DataError, match="more than 10% of unknown bases"):
        find_places(shard, N_BINS, NONE, 0.1, valid=False)
    places = find_places(shard, N_BINS, NONE, 1.0, valid=False)
    draws = draw_epoch(places, list(shard.contigs), shard.cells, 2, 0, 0)
    masked = MaskedWindows(shard, Masking(), READING, 0, training=True)
    item = masked[Asked(0, 0, draws[0])]
    assert (item.kmers[:, 0] >= 0).any()


def test_a_part_without_windows_is_refused() -> None:
    short = HeldOutRegions(Regions([Interval("chr1", 0, 15_000)]))
    with pytest.raises(DataError, match="no window of 20,000 bases is held out"):
        find_places(FakeShard(), N_BINS, short, 0.1, valid=True)
    both = HeldOutRegions(Regions(Interval(name, START, END) for name in ("chr1", "chr2")))
    with pytest.raises(DataError, match="is left to train on"):
        find_places(FakeShard(), N_BINS, both, 0.1, valid=False)


def test_cell_types_come_equally_often_and_epochs_repeat() -> None:
    shard = FakeShard()
    places = find_places(shard, N_BINS, CHR2, 0.1, valid=False)
    draws = draw_epoch(places, list(shard.contigs), shard.cells, 30, 5, 2)
    assert Counter(d.cell for d in draws) == {"A": 15, "B": 15}
    assert draws == draw_epoch(places, list(shard.contigs), shard.cells, 30, 5, 2)
    assert draws != draw_epoch(places, list(shard.contigs), shard.cells, 30, 5, 3)
    assert {d.reverse for d in draws} == {True, False}


def test_validation_asks_only_for_what_a_cell_type_has() -> None:
    shard = FakeShard()
    places = find_places(shard, N_BINS, CHR2, 0.1, valid=True)
    asked = {(d.cell, d.hidden) for d in validation_draws(places, shard, 3)}
    assert asked == {("A", SPANS), ("A", 0), ("A", 1), ("B", SPANS), ("B", 0)}


def test_the_model_sees_nothing_that_it_is_asked_for() -> None:
    shard = FakeShard()
    for item in windows(shard):
        assert not item.window.observed[item.scored].any()
        assert not item.window.signal[item.scored].any()
        assert item.scored.any()
        asked = item.bins[item.bins >= 0]
        assert item.scored[:, asked].any(0).all()
        offset = item.queries.offset.numpy()[:4]
        span = item.window.codes[offset[:, None] + 8 + np.arange(12)]
        assert (span == 5).all()
        ref = item.queries.ref.numpy()
        np.testing.assert_array_equal(ref[:4, FLANK : FLANK + 12], span)


def test_what_is_told_depends_on_nothing_that_is_hidden() -> None:
    shard = FakeShard()
    network = make_network(shard)
    item = windows(shard)[0]
    batch = default_collate([item])
    told = network(batch)
    other = batch._replace(
        signal=batch.signal + 1000 * batch.scored, kmers=(batch.kmers + 1) % 4096
    )
    for one, two in zip(told, network(other), strict=True):
        torch.testing.assert_close(one, two)
    assert told.kmers.shape == (4 * 7, 4096)
    assert told.bins.shape == (1, 2, N_BINS)


def test_tokens_give_the_context_that_scoring_has() -> None:
    shard = FakeShard()
    gmt = make_network(shard).model
    window = default_collate([windows(shard)[1]]).window
    context, tokens = gmt.tokens(window)
    for one, two in zip(context.layers, gmt.window(window).layers, strict=True):
        torch.testing.assert_close(one, two)
    assert tokens.shape == (1, N_BINS, 16)


def test_every_part_that_scores_variants_learns() -> None:
    shard = FakeShard()
    network = make_network(shard).train()
    task = PretrainTask(network, 1.0, K)
    batch: Batch = default_collate(windows(shard))
    losses = task.losses(batch, torch.Generator())
    losses["loss"].backward()
    assert losses["kmers"].item() == pytest.approx(1.0, abs=0.2)
    still = {n for n, p in network.model.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == {n for n in still if n.startswith(("norm.", "head."))}


def test_errors_are_squares_up_to_three_and_lines_beyond() -> None:
    truth = torch.zeros(4)
    predicted, scored = torch.tensor([1.0, 2.0, 4.0, 9.0]), torch.tensor([1, 1, 1, 0]).bool()
    assert track_error(predicted, truth, scored).item() == pytest.approx((1 + 4 + 15) / 3)
    assert track_error(predicted, truth, scored & False).item() == 0


def test_correlation() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50))
    w = rng.integers(0, 3, 50)
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    many = np.repeat(a, w), np.repeat(b, w)
    assert pearson(a, b, weights=w) == pytest.approx(np.corrcoef(*many)[0, 1])
    assert np.isnan(pearson(np.ones(5), np.arange(5)))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_chain_sums_exactly_over_what_is_hidden(order: int) -> None:
    rng = np.random.default_rng(order)
    chain = Markov(rng.integers(1, 50, (64, 4)).astype(float), order)
    left, right, after, span, k = 27, 14, 1, 5, 3
    expected = np.zeros(4**k)
    spelled = [right // 16, right // 4 % 4, right % 4]
    for hidden in product(range(4), repeat=span):
        context, p = left, 1.0
        for base in [*hidden, *spelled]:
            p *= chain.next[context, base]
            context = context * 4 % 64 + base
        kmer = hidden[after : after + k]
        expected[kmer[0] * 16 + kmer[1] * 4 + kmer[2]] += p
    found = chain.posterior(np.array([left]), np.array([right]), after, span, k)
    np.testing.assert_allclose(found[0], expected / expected.sum(), rtol=1e-9)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PretrainRequest:
    path = tmp_path / "genome.h5"
    path.write_bytes(b"stands for a shard")
    monkeypatch.setattr(module, "open_shard", lambda _: FakeShard(path=path))
    fit = FitConfig(
        epochs=2, patience=0, monitor=PRETRAIN_MONITOR, checkpoint_every=5, learning_rate=3e-3
    )
    return PretrainRequest(
        shard=path,
        output=tmp_path / "run",
        arch={**SMALL, "dropout": 0.1},
        valid_contigs=("chr2",),
        windows_per_epoch=8,
        valid_windows=1,
        spans_per_window=4,
        places_per_window=4,
        fit=fit,
        device="cpu",
    )


def test_a_run_and_the_same_run_interrupted_and_resumed(
    asked: PretrainRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrain(asked)
    assert {p.name for p in asked.output.iterdir()} >= {
        *("config.json", "model.safetensors", "heads.safetensors", "metrics.json"),
        *("train.json", "report.html", "README.md", "checkpoints"),
    }
    metrics = json.loads((asked.output / "metrics.json").read_text())
    assert [row["name"] for row in metrics["kmers"]][1:] == [
        f"Markov chain of order {i}" for i in range(4)
    ]
    value = whole.kmers[0].nats_per_base.text().partition(" ")[0]
    page = (asked.output / "report.html").read_text()
    assert f"<li><span>Nats per hidden base</span><b>{value}</b>" in page
    again = replace(asked, output=tmp_path / "again")
    pretrain_until_the_second_epoch(again, monkeypatch)
    with pytest.raises(UsageError, match="other settings"):
        pretrain(replace(again, seed=1, resume=True))
    resumed = pretrain(replace(again, resume=True))
    assert resumed.curve[-1] == whole.curve[-1]
    for name in ("model.safetensors", "heads.safetensors"):
        assert (again.output / name).read_bytes() == (asked.output / name).read_bytes()

    config = read_config(asked.output)
    assert [spec.name for spec in config.tracks] == ["ATAC", "CTCF"]
    with pytest.raises(UsageError, match="only pre-trained"):
        refuse_unable(config, asked.output)
    assert inspect(asked.output).facts["purpose"].endswith("pre-trained only")
    started = module._new(FakeShard(), replace(asked, initial=str(asked.output)))
    first = load_model(asked.output).module.state_dict()
    for name, value in started.model.state_dict().items():
        torch.testing.assert_close(value, first[name])
    other = {**asked.arch, "d_model": 32}
    with pytest.raises(UsageError, match="another architecture"):
        module._new(FakeShard(), replace(asked, arch=other, initial=str(asked.output)))


def test_without_tracks_kmers_alone_are_learned(
    asked: PretrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_shard", lambda _: FakeShard(tracks=()))
    found = pretrain(replace(asked, fit=replace(asked.fit, epochs=1), windows_per_epoch=4))
    assert found.tracks == ()
    assert len(found.kmers) == 5
    assert "only k-mers were learned" in found.notes[0]


def test_only_measured_bins_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = View.signal

    def every_third_bridged(view: View, contig: str, first: int, last: int) -> Signal:
        found = measured(view, contig, first, last)
        found.state[:, ::3] *= BRIDGED
        return found

    monkeypatch.setattr(View, "signal", every_third_bridged)
    shard = FakeShard()
    for training in (True, False):
        for item in windows(shard, training=training):
            bridged = np.arange(N_BINS) % 3 == 0
            # Windows of the other strand begin at the other end.
            scored = item.scored.numpy()
            assert scored.any()
            assert min(scored[:, way].sum() for way in (bridged, bridged[::-1])) == 0


def test_a_shard_that_does_not_tell_bridged_bins_is_named(
    asked: PretrainRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shard = FakeShard()
    shard.tells_bridged = False
    monkeypatch.setattr(module, "open_shard", lambda _: shard)
    monkeypatch.setattr(module, "fit_task", lambda *_: 1 / 0)
    with caplog.at_level("WARNING"), pytest.raises(ZeroDivisionError):
        pretrain(asked)
    assert "counts bridged gaps as measured bins" in caplog.text


def test_a_track_that_is_nowhere_observed_has_no_r(
    asked: PretrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = View.signal

    def signal(view: View, contig: str, first: int, last: int) -> Signal:
        found = measured(view, contig, first, last)
        found.state[1] = 0  # CTCF
        return found

    monkeypatch.setattr(View, "signal", signal)
    shard = FakeShard()
    monkeypatch.setattr(module, "open_shard", lambda _: shard)
    found = pretrain(replace(asked, fit=replace(asked.fit, epochs=1), windows_per_epoch=4))
    assert "CTCF@A is nowhere observed" in " ".join(found.notes)
    metrics = json.loads((asked.output / "metrics.json").read_text())
    named = {(row["cell"], row["modality"]) for row in metrics["tracks"]}
    # There is no CTCF@B, and nothing to say of it.
    assert named == {("A", "ATAC"), ("B", "ATAC"), ("A", "CTCF")}
    missing = [r for r in metrics["tracks"] if (r["cell"], r["modality"]) == ("A", "CTCF")]
    assert missing
    assert all(row["r"]["value"] is None for row in missing)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"valid_contigs": ()}, "nothing to validate on"),
        ({"masking": Masking(span=5)}, "shorter than a 6-mer"),
        ({"preset": "huge"}, "no preset"),
        ({"resume": True}, "no run to resume"),
    ],
    ids=["valid", "span", "preset", "resume"],
)
def test_mistakes_are_said(asked: PretrainRequest, change: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        pretrain(replace(asked, **change))
    assert not asked.output.exists()


def test_options_of_the_command_reach_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genomix_here: Callable[..., Ended]
) -> None:
    class Summary:
        def rows(self) -> list[dict[str, object]]:
            return [{"hidden": "ATAC, spans", "r": 0.5, "simple guess": None}]

    found: list[PretrainRequest] = []
    monkeypatch.setattr(module, "pretrain", lambda request: found.append(request) or Summary())
    options = "--valid-contigs chr1,chr2 --set n_bins=800 --span 8 --mask-share 0.1"
    options += " --track-mask 0.2 --track-weight 3 --max-n 1 --epochs 7 --devices 2"
    options += " --windows-per-epoch 9 --windows-per-batch 3 --gradient-checkpointing --resume"
    (tmp_path / "genome.h5").write_bytes(HDF5[0])
    command = ["train", tmp_path / "genome.h5", "--task", "pretrain", "-o", tmp_path / "run"]
    ended = genomix_here(*command, "--init", "gmt-mini-sim", "--strategy", "fsdp", *options.split())
    assert ended.code == 0, ended.err
    assert "ATAC, spans\t0.5" in ended.out
    (request,) = found
    assert request.valid_contigs == ("chr1", "chr2")
    assert request.arch == {"n_bins": 800}
    assert request.masking == Masking(share=0.1, span=8, track_share=0.2)
    assert (request.track_weight, request.max_n, request.initial) == (3, 1, "gmt-mini-sim")
    assert (request.windows_per_epoch, request.windows_per_batch) == (9, 3)
    assert (request.fit.epochs, request.fit.devices, request.fit.strategy) == (7, 2, "fsdp")
    assert request.fit.monitor == PRETRAIN_MONITOR
    assert request.checkpointing
    assert request.resume


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--task pretrain --negatives 0.5", "--negatives: does not apply to --task pretrain"),
        ("--span 8", "--span: does not apply to --task labels"),
        ("--task both", "--task: unknown"),
    ],
)
def test_options_of_the_other_task_are_refused(
    tmp_path: Path, genomix_here: Callable[..., Ended], options: str, said: str
) -> None:
    ended = genomix_here("train", "genome.h5", "-o", tmp_path / "run", *options.split())
    assert ended.code == 2
    assert said in ended.err
