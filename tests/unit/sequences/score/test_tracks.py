"""Predicted profiles along a genome: each base once, the mean where windows overlap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest
import torch

from genomix_cli.formats.sequences import Sequences, Windows, write_sequences
from genomix_cli.genome.iupac import ANY, reverse_complement
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.profile.predict import answers
from genomix_cli.sequences.score.tracks import joined
from tests.conftest import Ended
from tests.profile_samples import OUTPUTS, config, network, save_profile
from tests.sequence_runs import trained
from tests.sequence_samples import motifs

Here = Callable[..., Ended]
STARTS = (500, 520, 700, 500, 90)
SIZE, BESIDE = 44, 8
NAMES = ("counts.tsv", "alone.tsv")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracks")
    save_profile(folder / "run")
    return folder


@pytest.fixture(scope="module")
def windows() -> Sequences:
    """Two that overlap, one by itself, one of the other contig, and one that is not known."""
    made = motifs(5, 60)
    places = Windows(
        np.array([0, 0, 0, 1, 0], np.int16), np.array(STARTS), np.array([1, -1, 1, 1, 1], np.int8)
    )
    made.codes[4] = ANY
    return replace(made, windows=places, contigs={"chr1": 1000, "chr2": 0})


def expected(codes: np.ndarray) -> np.ndarray:
    """Counts of bases ``[n, K, O]``, of windows as they are read."""
    answer = answers(network(config()), torch.from_numpy(codes))
    counts = (
        answer.profile.double().softmax(-1) * answer.counts.double().expm1().clamp(min=0)[..., None]
    )
    return counts.numpy()


def test_a_base_has_the_counts_of_its_windows(
    genomix_here: Here, windows: Sequences, place: Path
) -> None:
    path = place / "windows.h5"
    write_sequences(path, windows, Provenance("a test"))
    out = place / "bw"
    done = genomix_here("score", path, "-m", place / "run", "-o", place / NAMES[0], "--bigwig", out)
    assert done.code == 0, done.err
    done = genomix_here("score", path, "-m", place / "run", "-o", place / NAMES[1])
    assert done.code == 0, done.err
    assert {each.name for each in out.iterdir()} == {f"{output.name}.bw" for output in OUTPUTS}
    # What is read from the other strand is what the network says of the forward one.
    forward = windows.codes.copy()
    forward[1] = reverse_complement(forward[1])
    counts = expected(forward)
    for k, output in enumerate(OUTPUTS):
        with pyBigWig.open(str(out / f"{output.name}.bw")) as file:
            assert file.chroms() == {"chr1": 1000, "chr2": 560}
            found = np.array(file.values("chr1", 0, 1000))
            other = np.array(file.values("chr2", 0, 560))
        total, covering = np.zeros(1000), np.zeros(1000)
        for row in range(3):
            at = slice(STARTS[row] + BESIDE, STARTS[row] + BESIDE + SIZE)
            total[at] += counts[row, k]
            covering[at] += 1
        assert (np.isnan(found) == (covering == 0)).all()
        known = covering > 0
        np.testing.assert_allclose(found[known], total[known] / covering[known], rtol=1e-4)
        np.testing.assert_allclose(other[508:552], counts[3, k], rtol=1e-4)
        assert np.isnan(other[:508]).all()
    # The table comes of the same predictions, and says what it does without them.
    with_tracks, alone = (pd.read_csv(place / name, sep="\t", comment="#") for name in NAMES)
    pd.testing.assert_frame_equal(with_tracks, alone, rtol=1e-5)
    assert alone.iloc[:, 1].isna().tolist() == [False] * 4 + [True]
    first = (out / "ATAC.bw").read_bytes()
    again = genomix_here("score", path, "-m", place / "run", "-o", "-", "--bigwig", out)
    assert again.code == 0
    assert (out / "ATAC.bw").read_bytes() == first


def test_stretches_go_on_across_blocks_and_stop_in_gaps() -> None:
    ones = np.ones((1, 1, 4))
    blocks = [(np.array([10]), ones), (np.array([12, 12]), np.tile(ones * 3, (2, 1, 1)))]
    blocks.append((np.array([40]), ones * 5))
    found = {
        stretch.start + i: value
        for stretch in joined(iter(blocks))
        for i, value in enumerate(stretch.values[0])
    }
    between = {12: 7 / 3, 13: 7 / 3}
    assert found == {
        **dict.fromkeys((10, 11), 1.0),
        **{at: pytest.approx(value) for at, value in between.items()},
        **dict.fromkeys((14, 15), 3.0),
        **dict.fromkeys(range(40, 44), 5.0),
    }
    assert list(joined(iter([]))) == []


def test_wrong_use_is_one_line(
    genomix_here: Here, windows: Sequences, place: Path, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere.h5"
    write_sequences(nowhere, replace(windows, windows=None), Provenance("a test"))
    arguments = ("-o", tmp_path / "x.tsv", "--bigwig", tmp_path / "bw")
    done = genomix_here("score", nowhere, "-m", place / "run", *arguments)
    assert "has no genome coordinates" in done.err
    assert len(done.err.splitlines()) == 1
    pytest.importorskip("lightning")
    pytest.importorskip("sklearn")
    words = trained(tmp_path / "words", motifs(n=120), "kmer-logistic")
    done = genomix_here("score", nowhere, "-m", words, *arguments)
    assert done.code == 2
    assert "--bigwig: a run of classify predicts no profiles" in done.err
    assert not (tmp_path / "bw").exists()
