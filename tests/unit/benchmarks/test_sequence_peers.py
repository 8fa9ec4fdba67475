"""Peers of our networks, and windows around SNVs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.special import expit
from sequence_peers import (
    Dragonn,
    MotifSites,
    Snvs,
    change,
    fit_ridge,
    fit_sites,
    gc_content,
    motif_change,
)

from genomix_cli.genome.alphabet import encode, reverse_complement
from genomix_cli.genome.motifs import from_consensus

RNG = np.random.default_rng(2)


def some_snvs(lengths: tuple[int, ...], n: int) -> Snvs:
    sequences = [RNG.integers(0, 4, length).astype(np.uint8) for length in lengths]
    sequence = RNG.integers(0, len(lengths), n)
    at = np.array([RNG.integers(0, lengths[s]) for s in sequence])
    ref = np.array([sequences[s][a] for s, a in zip(sequence, at, strict=True)], np.uint8)
    alt = ((ref + RNG.integers(1, 4, n)) % 4).astype(np.uint8)
    return Snvs([f"s{i}" for i in range(len(lengths))], sequences, sequence, at, alt)


def test_windows_hold_the_snv_and_stay_inside() -> None:
    snvs = some_snvs((30, 300), 200)
    ref, alt = snvs.alleles(100)
    different = ref != alt
    assert ref.shape == (200, 100)
    assert different.sum(1).tolist() == [1] * 200
    assert (ref[different] == snvs.ref()).all()
    assert (alt[different] == snvs.alt).all()
    # A sequence that is long enough is never padded, a short one lies in the middle.
    assert (ref[snvs.sequence == 1] < 4).all()
    short = ref[snvs.sequence == 0]
    assert (short[:, :35] == 4).all()
    assert (short[:, 35:65] == snvs.sequences[0]).all()
    central = (snvs.sequence == 1) & (snvs.at >= 50) & (snvs.at < 250)
    assert {np.flatnonzero(row)[0] for row in different[central]} == {50}


def test_a_change_is_exactly_reversed_when_alleles_are_swapped() -> None:
    ref, alt = some_snvs((300,), 50).alleles(60)
    forward, back = change(gc_content, ref, alt), change(gc_content, alt, ref)
    assert (forward == -back).all()
    assert set(forward) == {-1, 0, 1}
    assert not change(gc_content, ref, ref).any()


def test_a_ridge_finds_the_kmer_that_acts_on_either_strand() -> None:
    codes = RNG.integers(0, 4, (600, 60)).astype(np.uint8)
    active = RNG.random(600) < 0.5
    codes[active, 20:27] = encode("GATTACA")
    predict = fit_ridge(codes, active.astype(float), 1.0)
    background = RNG.integers(0, 4, (20, 60)).astype(np.uint8)
    carrying = background.copy()
    carrying[:, 20:27] = encode("GATTACA")
    effect = predict(carrying) - predict(background)
    assert effect.min() > 0.3
    assert predict(reverse_complement(carrying)) == pytest.approx(predict(carrying))
    # Among unknown bases it is all that counts.
    unknown, alone = np.full((2, 1, 60), 4, np.uint8)
    alone[:, 20:27] = encode("GATTACA")
    assert predict(alone) - predict(unknown) > 0.3


def naive_dragonn(parts: dict[str, np.ndarray], codes: np.ndarray) -> np.ndarray:
    """One sequence through the network, by loops over its definition: both cell types."""
    x = np.eye(5, 4)[codes]
    for i in (1, 2, 3):
        kernel, bias = parts[f"conv1d_{i}/kernel:0"], parts[f"conv1d_{i}/bias:0"]
        wide = [np.tensordot(x[j : j + 5], kernel, 2) + bias for j in range(len(x) - 4)]
        norm = {n: parts[f"batch_normalization_{i}/{n}:0"] for n in NORMS}
        scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + 1e-3)
        x = (np.maximum(wide, 0) - norm["moving_mean"]) * scale + norm["beta"]
    outputs = x.reshape(-1) @ parts["dense_1/kernel:0"] + parts["dense_1/bias:0"]
    return np.array([outputs[:6].mean(), outputs[6:].mean()])


NORMS = ("gamma", "beta", "moving_mean", "moving_variance")


def test_dragonn_is_what_its_file_says(tmp_path: Path) -> None:
    channels = (4, 3, 3, 2)
    parts = {}
    for i, (before, after) in enumerate(pairwise(channels), 1):
        parts[f"conv1d_{i}/kernel:0"] = RNG.normal(size=(5, before, after))
        parts[f"conv1d_{i}/bias:0"] = RNG.normal(size=after)
        parts |= {f"batch_normalization_{i}/{n}:0": expit(RNG.normal(size=after)) for n in NORMS}
    parts["dense_1/kernel:0"] = RNG.normal(size=(133 * 2, 12)) / 10
    parts["dense_1/bias:0"] = RNG.normal(size=12)
    with h5py.File(tmp_path / "net.h5", "w") as file:
        for name, values in parts.items():
            layer = name.split("/")[0]
            file[f"model_weights/{layer}/{name}"] = values.astype(np.float32)
    codes = RNG.integers(0, 5, (3, 201)).astype(np.uint8)
    middle = codes[:, 28:173]
    expected = [
        (naive_dragonn(parts, row) + naive_dragonn(parts, reverse_complement(row))) / 2
        for row in middle
    ]
    network = Dragonn(tmp_path / "net.h5")
    assert network.both_strands(codes) == pytest.approx(np.mean(expected, axis=1), rel=1e-4)
    assert network.by_cell(codes) == pytest.approx(np.array(expected), rel=1e-4)


def test_a_broken_motif_is_a_loss(tmp_path: Path) -> None:
    site = "TGACTCA"
    rows = "\n".join(" ".join("0.97" if b == x else "0.01" for b in "ACGT") for x in site)
    path = tmp_path / "motifs.meme"
    header = "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 one\n"
    path.write_text(f"{header}letter-probability matrix: alength= 4 w= 7\n{rows}\n")
    sequence = encode("C" * 3 + site + "C" * 30)
    # The first breaks the site, the second is far from it, the third makes nothing.
    snvs = Snvs(["s"], [sequence], np.zeros(3, int), np.array([3, 30, 0]), encode("CAG"))
    effect = motif_change(snvs, path)
    assert effect[0] < -3
    assert effect[1:].tolist() == [0, 0]


def test_sites_of_motifs_are_counted_on_both_strands() -> None:
    motifs = [from_consensus("one", "TGACTCAGC"), from_consensus("two", "GGGCGGGGT")]
    sites = MotifSites(motifs)
    codes = np.random.default_rng(5).integers(0, 4, (40, 200)).astype(np.uint8)
    plain = sites(codes)
    carrying = codes.copy()
    carrying[:, 20:29], carrying[:, 90:99] = encode("TGACTCAGC"), encode("GCTGAGTCA")
    found = sites(carrying)
    assert found.shape == (40, 4)
    # The order of the motifs is that of `motif_filters`.
    [one] = np.flatnonzero((found - plain)[:, :2].mean(0) > 1)
    assert np.median((found - plain)[:, one]) == pytest.approx(2, abs=0.7)
    assert (found[:, 2 + one] > 0).all()
    assert np.abs((found - plain)[:, 1 - one]).max() < 1
    # To filters in the middle of their width, both strands look alike.
    assert sites(reverse_complement(carrying)) == pytest.approx(found, abs=1e-3)
    # Nothing scores below what is faint, and unknown bases have no site.
    assert found[:, 2:].min() >= -6
    assert sites(np.full((1, 200), 4, np.uint8))[:, 2:].max() < 0


def test_a_ridge_on_sites_finds_what_acts() -> None:
    sites = np.random.default_rng(6).normal(size=(20_000, 4)).astype(np.float32)
    ridge = fit_sites(sites, 3 * sites[:, 1] + 7.0)
    assert ridge(np.zeros((1, 4), np.float32)) == pytest.approx([7], abs=0.1)
    effect = ridge(np.eye(4, dtype=np.float32)) - ridge(np.zeros((4, 4), np.float32))
    # A penalty of 1,000 on 20,000 rows takes a twentieth.
    assert effect == pytest.approx([0, 3 / 1.05, 0, 0], abs=0.05)
