"""Bins against a loop over bases, and every way a bigWig can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from genomix_cli.errors import DataError
from genomix_cli.genome import bigwig
from genomix_cli.genome.bigwig import BigWig

Write = Callable[["pyBigWig.bigWigFile"], None]


def make(path: Path, lengths: dict[str, int], write: Write, zooms: int = 10) -> Path:
    file = pyBigWig.open(str(path), "w")
    file.addHeader(list(lengths.items()), maxZooms=zooms)
    write(file)
    file.close()
    return path


def by_base(path: Path, contig: str, n: int, bin_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The definition: mean and presence of the covered bases of each of the first `n` bins."""
    file = pyBigWig.open(str(path))
    values = file.values(contig, 0, file.chroms(contig))
    file.close()
    mean, covered = np.zeros(n), np.zeros(n, bool)
    for i in range(n):
        known = [v for v in values[i * bin_size : (i + 1) * bin_size] if not np.isnan(v)]
        covered[i] = bool(known)
        mean[i] = sum(known) / len(known) if known else 0
    return mean, covered


def bed_graph(file: pyBigWig.bigWigFile) -> None:
    rng = np.random.default_rng(0)
    edges = np.sort(rng.choice(np.arange(1, 1023), 80, replace=False))
    starts, ends = edges[:-1:2].tolist(), edges[1::2].tolist()
    values = rng.gamma(1, 50, len(starts)).tolist()
    file.addEntries(["chr1"] * len(starts), starts, ends=ends, values=values)


def variable_step(file: pyBigWig.bigWigFile) -> None:
    file.addEntries("chr1", [3, 90, 95, 500, 1018], values=[1.5, 2.0, -4.0, 0.0, 9.0], span=5)


def fixed_step(file: pyBigWig.bigWigFile) -> None:
    values = np.arange(1, 51, dtype=float).tolist()
    file.addEntries("chr1", 7, values=values, span=12, step=20)


def mixed(file: pyBigWig.bigWigFile) -> None:
    file.addEntries(["chr1"], [10], ends=[60], values=[3.0])
    file.addEntries("chr1", [100, 200], values=[1.0, 2.0], span=30)
    file.addEntries("chr1", 300, values=[4.0, 5.0, 6.0], span=10, step=50)


# 1023 is no multiple of 50: the last bin is cut short.
LENGTHS = {"chr1": 1023, "chr2": 500}


@pytest.mark.parametrize("write", [bed_graph, variable_step, fixed_step, mixed])
@pytest.mark.parametrize("bin_size", [50, 1, 7, 1023, 5000])
@pytest.mark.parametrize("zooms", [0, 10])
def test_bins_are_means_of_covered_bases(
    tmp_path: Path, write: Write, bin_size: int, zooms: int
) -> None:
    path = make(tmp_path / "x.bw", LENGTHS, write, zooms)
    n = -(-1023 // bin_size)
    mean, covered = by_base(path, "chr1", n, bin_size)
    with BigWig(path) as track:
        bins = track.bins("chr1", 0, n, bin_size)
    np.testing.assert_allclose(bins.mean, mean, rtol=1e-6)
    np.testing.assert_array_equal(bins.covered, covered)
    assert covered.any()
    assert (bins.mean.dtype, bins.covered.dtype) == (np.float32, bool)


def test_bins_are_those_of_exact_statistics(tmp_path: Path) -> None:
    path = make(tmp_path / "x.bw", LENGTHS, bed_graph)
    file = pyBigWig.open(str(path))
    with BigWig(path) as track:
        bins = track.bins("chr1", 0, 21)
    for i in range(21):
        exact = file.stats("chr1", i * 50, min(i * 50 + 50, 1023), exact=True)[0]
        assert bins.covered[i] == (exact is not None)
        assert bins.mean[i] == pytest.approx(exact or 0, rel=1e-5)


def test_last_bin_divides_by_its_covered_bases(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.bw",
        LENGTHS,
        lambda file: file.addEntries(["chr1"], [1000], ends=[1023], values=[7.0]),
    )
    with BigWig(path) as track:
        bins = track.bins("chr1", 19, 22)
    assert bins.mean.tolist() == [0, 7, 0]
    assert bins.covered.tolist() == [False, True, False]


def test_covered_by_zero_is_covered(tmp_path: Path) -> None:
    path = make(tmp_path / "x.bw", LENGTHS, variable_step)
    with BigWig(path) as track:
        bins = track.bins("chr1", 10, 12)
    assert bins.mean.tolist() == [0, 0]
    assert bins.covered.tolist() == [True, False]


@pytest.mark.parametrize(("first", "last"), [(-5, 30), (-9, -3), (40, 50), (20, 21), (3, 3)])
def test_bins_off_the_contig_are_not_covered(tmp_path: Path, first: int, last: int) -> None:
    with BigWig(make(tmp_path / "x.bw", LENGTHS, bed_graph)) as track:
        whole = track.bins("chr1", 0, 21)
        bins = track.bins("chr1", first, last)
    assert len(bins.mean) == len(bins.covered) == last - first
    for i, (mean, covered) in enumerate(zip(*bins, strict=True), start=first):
        inside = 0 <= i < 21
        assert covered == (inside and whole.covered[i])
        assert mean == (whole.mean[i] if inside else 0)


def test_pieces_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with BigWig(make(tmp_path / "x.bw", LENGTHS, bed_graph)) as track:
        whole = track.bins("chr1", 0, 21)
        asked: list[int] = []
        read = track._sums

        def sums(name: str, first: int, last: int, bin_size: int) -> bigwig.Sums | None:
            asked.append(last - first)
            return read(name, first, last, bin_size)

        monkeypatch.setattr(bigwig, "PIECE_BASES", 149)
        monkeypatch.setattr(track, "_sums", sums)
        pieces = track.bins("chr1", 0, 21)
    np.testing.assert_array_equal(pieces.mean, whole.mean)
    np.testing.assert_array_equal(pieces.covered, whole.covered)
    assert asked == [2] * 10 + [1]


def test_names_are_reconciled_and_unknown_contigs_uncovered(tmp_path: Path) -> None:
    with BigWig(make(tmp_path / "x.bw", LENGTHS, bed_graph)) as track:
        np.testing.assert_array_equal(track.bins("1", 0, 21).mean, track.bins("chr1", 0, 21).mean)
        assert track.lengths == LENGTHS
        assert not track.bins("chr7", 0, 9).covered.any()
        assert not track.bins("chr2", 0, 10).covered.any()


def test_many_contigs(tmp_path: Path) -> None:
    lengths = {f"scaffold{i:04d}": 120 + i for i in range(700)}

    def write(file: pyBigWig.bigWigFile) -> None:
        for i, name in enumerate(lengths):
            if i % 3 == 0:
                file.addEntries([name], [i % 50], ends=[110 + i], values=[float(i + 1)])

    with BigWig(make(tmp_path / "x.bw", lengths, write)) as track:
        for i, (name, length) in enumerate(lengths.items()):
            bins = track.bins(name, 0, -(-length // 50))
            expected = i + 1 if i % 3 == 0 else 0
            assert set(bins.mean[bins.covered].tolist()) <= {expected}
            assert bins.covered.any() == (i % 3 == 0)
        values = [track.bins(name, 0, -(-length // 50)) for name, length in lengths.items()]
        every = np.concatenate([b.mean[b.covered] for b in values])
        np.testing.assert_allclose(
            track.distribution(11), np.quantile(every, np.linspace(0, 1, 11)), rtol=1e-6
        )


def test_distribution_of_a_small_file_is_exact(tmp_path: Path) -> None:
    with BigWig(make(tmp_path / "x.bw", LENGTHS, bed_graph)) as track:
        bins = track.bins("chr1", 0, 21)
        quantiles = track.distribution()
    expected = np.quantile(bins.mean[bins.covered], np.linspace(0, 1, 1001))
    np.testing.assert_allclose(quantiles, expected, rtol=1e-6)
    assert (quantiles.shape, quantiles.dtype) == ((1001,), np.float32)


def test_distribution_of_a_large_file_is_sampled_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = {"chr1": 59_990, "chr2": 25_000, "empty": 500_000, "chr3": 15_000}

    def write(file: pyBigWig.bigWigFile) -> None:
        for name in ("chr1", "chr2", "chr3"):
            values = np.arange(lengths[name] // 50, dtype=float) + 1
            file.addEntries(name, 0, values=values.tolist(), span=50, step=50)

    monkeypatch.setattr(bigwig, "SAMPLED_BASES", 40_000)
    monkeypatch.setattr(bigwig, "SAMPLE_BASES", 1_000)
    with BigWig(make(tmp_path / "x.bw", lengths, write)) as track:
        pieces = list(track._sample())
        quantiles = track.distribution(101)
        np.testing.assert_array_equal(quantiles, track.distribution(101))
        monkeypatch.setattr(bigwig, "SAMPLED_BASES", 10**9)
        exact = track.distribution(101)
    # A contig without signal takes no part, and each other one its share of the 40 pieces.
    assert {name: sum(p[0] == name for p in pieces) for name in lengths} == {
        "chr1": 24,
        "chr2": 10,
        "empty": 0,
        "chr3": 6,
    }
    assert all(last - first == 20 and first >= 0 for _, first, last in pieces)
    assert all(last <= -(-lengths[name] // 50) + 20 for name, _, last in pieces)
    assert np.abs(quantiles - exact).max() < 0.03 * exact.max()


def test_file_without_signal(tmp_path: Path) -> None:
    with BigWig(make(tmp_path / "x.bw", LENGTHS, lambda _: None)) as track:
        bins = track.bins("chr1", 0, 21)
        assert not bins.covered.any()
        assert not bins.mean.any()
        with pytest.raises(DataError, match="holds no signal"):
            track.distribution()


@pytest.mark.filterwarnings("error")
def test_values_that_are_infinite_have_their_place(tmp_path: Path) -> None:
    def write(file: pyBigWig.bigWigFile) -> None:
        values = [1.0, np.nan, np.inf, -np.inf, 2.0]
        file.addEntries("chr1", [3, 90, 410, 430, 900], values=values, span=5)

    with BigWig(make(tmp_path / "x.bw", LENGTHS, write)) as track:
        assert track.bins("chr1", 0, 8).covered.tolist() == [True] + 7 * [False]
        message = r"x\.bw: has values that are not finite .found one in chr1:401-450"
        with pytest.raises(DataError, match=message):
            track.distribution()


@pytest.mark.parametrize("content", [b"", b"x", b"track type=wiggle_0\n", b"\xeb\xf2\x89\x87" * 50])
def test_not_a_bigwig(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.bw"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.bw: is not a bigWig"):
        BigWig(path)
    assert capfd.readouterr().err == ""


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        BigWig(tmp_path / "absent.bw")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path: Path, kept: float, capfd: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / "x.bw", LENGTHS, bed_graph)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match=r"is truncated"):
        BigWig(path)
    assert capfd.readouterr().err == ""


def test_damaged_inside(tmp_path: Path) -> None:
    path = make(tmp_path / "x.bw", LENGTHS, bed_graph)
    content = bytearray(path.read_bytes())
    data = int.from_bytes(content[16:24], "little")
    # The compressed blocks start after their count, and the index follows them.
    index = int.from_bytes(content[24:32], "little")
    content[data + 8 : index] = b"\xff" * (index - data - 8)
    path.write_bytes(content)
    with BigWig(path) as track, pytest.raises(DataError, match="is damaged at chr1:1-1023"):
        track.bins("chr1", 0, 21)


@pytest.mark.parametrize("cell", ["K562", "GM12878", "MCF7"])
def test_real_accessibility(shared_data: Path, cell: str) -> None:
    path = shared_data / "hg38_chr22" / "tracks" / f"acc.{cell}.chr22.bw"
    file = pyBigWig.open(str(path))
    with BigWig(path) as track:
        bins = track.bins("22", 0, -(-50_818_468 // 50))
        assert 0.1 < bins.covered.mean() < 0.4
        assert track.distribution(3)[0] >= 1
    for i in np.random.default_rng(0).integers(200_000, 1_000_000, 300).tolist():
        exact = file.stats("chr22", i * 50, i * 50 + 50, exact=True)[0]
        assert bins.covered[i] == (exact is not None)
        assert bins.mean[i] == pytest.approx(exact or 0, rel=1e-5)


@pytest.mark.parametrize("write", [bed_graph, mixed])
@pytest.mark.parametrize(("step", "length"), [(1, 33), (50, 100), (100, 50)])
def test_windows_anywhere_sum_their_covered_bases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write, step: int, length: int
) -> None:
    # Several pieces, which windows cross.
    monkeypatch.setattr(bigwig, "PIECE_BASES", 200)
    path = make(tmp_path / "x.bw", LENGTHS, write)
    starts = np.arange(0, 1023, step)
    np.random.default_rng(0).shuffle(starts)
    file = pyBigWig.open(str(path))
    values = np.array(file.values("chr1", 0, 1023) + [np.nan] * length, np.float32)
    file.close()
    every = np.stack([values[start : start + length] for start in starts])
    with BigWig(path) as track:
        total, covered = track.windows("1", starts, length)
        nowhere = track.windows("chr9", starts, length)
    np.testing.assert_array_equal(covered, np.isfinite(every).sum(1))
    np.testing.assert_allclose(total, np.nansum(every.astype(float), 1), rtol=1e-12)
    # Nothing is left of rounding where nothing is covered.
    assert not total[covered == 0].any()
    assert not np.any(nowhere)
