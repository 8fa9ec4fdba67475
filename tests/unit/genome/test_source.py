"""Raw files and a shard of them say the same of every window."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.genome.readahead import ReadAhead
from genomix_cli.genome.signal import TrackSpec
from genomix_cli.genome.source import RawGenome
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.records.inputs import load_window
from tests.small_genome import LENGTH, make_genome, request, tracks_of

BINS = -(-LENGTH // 50)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_genome(tmp_path_factory.mktemp("source") / "genome")


@pytest.fixture(scope="module", params=["missing", "zero"])
def shard(genome: Path, request: pytest.FixtureRequest, tmp_path_factory) -> Shard:
    return prepared(genome, tmp_path_factory.mktemp("shard") / "a.h5", request.param)


def prepared(genome: Path, path: Path, uncovered: str) -> Shard:
    prepare_variants(request(genome, path, uncovered=uncovered, max_gap=200))
    return open_shard(path)


def raw(genome: Path, specs: tuple[TrackSpec, ...] | None = None, **changes: object) -> RawGenome:
    settings: dict[str, object] = {"uncovered": "missing", "max_gap_bins": 4}
    tracks = changes.pop("tracks", tracks_of(genome))
    return RawGenome(
        genome / "genome.fa.gz",
        tracks,  # type: ignore[arg-type]
        specs,
        genome / "contacts.cool",
        **(settings | changes),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("start", [-25_000, 0, 75_000, 125_000, 250_000, 300_000])
def test_a_window_is_the_same_from_raw_files_and_from_the_shard(
    genome: Path, shard: Shard, start: int
) -> None:
    source = raw(genome, shard.track_specs, uncovered=shard.uncovered)
    for contig in ("chr1", "chr2"):
        left = load_window(source, contig, start, 2000)
        right = load_window(shard, contig, start, 2000)
        assert np.array_equal(left.codes, right.codes)
        assert np.array_equal(left.state, right.state)
        assert np.allclose(left.signal, right.signal, atol=5e-3)
        assert np.allclose(left.contacts, right.contacts, atol=1e-3)
        assert (left.signal.dtype, right.signal.dtype) == (np.float32, np.float16)
        assert (left.state.dtype, right.state.dtype) == (np.uint8, np.uint8)
        assert left.codes.dtype == right.codes.dtype == np.uint8
        assert left.contacts.dtype == right.contacts.dtype == np.float32
        assert left.contacts.any()
    source.close()


def test_windows_cut_anywhere_agree_with_the_whole_contig(genome: Path) -> None:
    source = raw(genome)
    whole = source.signal("chr1", 0, BINS)
    gaps = np.flatnonzero(np.diff(whole.state[0].astype(int)))
    for first in [*gaps[:20].tolist(), 3, BINS - 7]:
        part = source.signal("chr1", first, first + 7)
        inside = slice(first, min(first + 7, BINS))
        n = inside.stop - first
        assert np.array_equal(part.state[:, :n], whole.state[:, inside])
        assert np.allclose(part.value[:, :n], whole.value[:, inside], atol=1e-6)
        assert not part.state[:, n:].any()


@pytest.mark.parametrize("uncovered", ["missing", "zero"])
@pytest.mark.parametrize("longest", [50, 300, 40_000])
def test_windows_that_walk_are_those_read_alone(genome: Path, uncovered: str, longest: int) -> None:
    walker = walking(raw(genome, uncovered=uncovered), longest)
    alone = walking(raw(genome, uncovered=uncovered), 0)
    starts = np.random.default_rng(0).integers(-60, BINS, 40).tolist()
    for contig in ("chr1", "chr2", "nowhere"):
        for first in [*range(-100, BINS + 100, 23), *starts]:
            found = walker.signal(contig, first, first + 46)
            expected = alone.signal(contig, first, first + 46)
            assert np.array_equal(found.value, expected.value)
            assert np.array_equal(found.state, expected.state)


def walking(source: RawGenome, longest: int) -> RawGenome:
    for track in source._raw.values():
        track._ahead = ReadAhead(track._read, longest)
    return source


@pytest.mark.parametrize("uncovered", ["missing", "zero"])
def test_nothing_is_known_off_the_contig(genome: Path, uncovered: str) -> None:
    source = raw(genome, uncovered=uncovered)
    for first, last in [(-10, 0), (BINS, BINS + 5), (-(10**6), -(10**6) + 3)]:
        signal = source.signal("chr1", first, last)
        assert not signal.state.any()
        assert not signal.value.any()
        assert signal.value.shape == (2, last - first)
    assert (source.codes("chr1", LENGTH, LENGTH + 5) == 4).all()
    assert (source.codes("nowhere", 0, 5) == 4).all()
    assert not source.signal("nowhere", 0, 5).state.any()


def test_the_last_bin_divides_by_its_own_length(genome: Path, tmp_path: Path) -> None:
    path = tmp_path / "flat.bw"
    write_bigwig(path, {"chr1": LENGTH}, [(0, 1000, 2.0), (1000, 2000, 8.0), (2000, LENGTH, 5.0)])
    values = raw(genome, tracks={"flat": path}).signal("chr1", BINS - 2, BINS).value[0]
    assert values[0] == values[1] != 0


def test_a_track_without_a_file_is_missing(genome: Path) -> None:
    specs = raw(genome).specs
    source = raw(genome, specs, tracks={"CTCF": genome / "CTCF.bw"})
    assert source.tracks == ("ATAC", "CTCF")
    assert source.missing == {"ATAC"}
    signal = source.signal("chr1", 0, BINS)
    assert not signal.state[0].any()
    assert signal.state[1].any()


def test_tracks_follow_the_order_of_the_model(genome: Path) -> None:
    specs = raw(genome).specs
    turned = raw(genome, specs[::-1])
    assert turned.tracks == ("CTCF", "ATAC")
    plain = raw(genome, specs)
    assert np.array_equal(
        turned.signal("chr1", 0, 500).value, plain.signal("chr1", 0, 500).value[::-1]
    )


def test_an_unknown_track_is_refused_by_name(genome: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown track CTCF.*expected ATAC"):
        raw(genome, raw(genome).specs[:1])


def test_it_travels_to_a_worker(genome: Path) -> None:
    source = raw(genome)
    copy = pickle.loads(pickle.dumps(source))
    source.close()
    again = load_window(raw(genome), "chr2", 25_000, 2000)
    there = load_window(copy, "chr2", 25_000, 2000)
    assert all(np.array_equal(a, b) for a, b in zip(there, again, strict=True))


def test_a_track_of_another_genome_is_refused(genome: Path, tmp_path: Path) -> None:
    other = write_bigwig(tmp_path / "a.bw", {"contig7": 5000}, [(0, 100, 1.0)], "contig7")
    with pytest.raises(DataError, match=r"a\.bw.*no contig in common.*chr1.*contig7"):
        raw(genome, tracks={"ATAC": other})
    longer = write_bigwig(tmp_path / "b.bw", {"1": LENGTH + 1}, [(0, 100, 1.0)], "1")
    with pytest.raises(DataError, match=r"b\.bw.*another length.*303,030 bp.*303,031 bp"):
        raw(genome, tracks={"ATAC": longer})


def test_a_track_with_data_on_other_contigs_alone_is_refused(genome: Path, tmp_path: Path) -> None:
    lengths = {"chr1": LENGTH, "contig7": 5000}
    other = write_bigwig(tmp_path / "a.bw", lengths, [(0, 100, 1.0)], "contig7")
    with pytest.raises(DataError, match=r"a\.bw: holds no signal on the contigs of the FASTA"):
        raw(genome, tracks={"ATAC": other})


def test_one_contig_of_another_length_is_left_out(
    genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """UCSC's hg19 has a different mitochondrial contig; the rest of the file can be used."""
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), LENGTH))
    (tmp_path / "g.fa").write_text(f">chr1\n{letters}\n>chrM\n{'ACGT' * 2500}\n")
    lengths = {"chr1": LENGTH, "chrM": 10_002}
    track = write_bigwig(tmp_path / "t.bw", lengths, [(0, 900, 1.0)])
    with caplog.at_level("WARNING", "genomix"):
        source = RawGenome(
            tmp_path / "g.fa", {"ATAC": track}, None, uncovered="zero", max_gap_bins=0
        )
    assert "ignoring chrM, whose length differs" in caplog.text
    assert source.signal("chr1", 0, 20).state.any()
    assert not source.signal("chrM", 0, 20).state.any()
    copy = pickle.loads(pickle.dumps(source))
    assert not copy.signal("chrM", 0, 20).state.any()


def test_contacts_of_another_genome_are_refused(genome: Path, tmp_path: Path) -> None:
    cooler = pytest.importorskip("cooler")
    bins = cooler.binnify(__import__("pandas").Series({"other": 20_000}), 5000)
    pixels = {"bin1_id": [0], "bin2_id": [1], "count": [3]}
    cooler.create_cooler(str(tmp_path / "c.cool"), bins, pixels)
    with pytest.raises(DataError, match=r"c\.cool.*no contig in common"):
        RawGenome(
            genome / "genome.fa.gz",
            {},
            None,
            tmp_path / "c.cool",
            uncovered="missing",
            max_gap_bins=0,
        )


def write_bigwig(
    path: Path,
    contigs: dict[str, int],
    intervals: list[tuple[int, int, float]],
    contig: str = "chr1",
) -> Path:
    file = pyBigWig.open(str(path), "w")
    file.addHeader(list(contigs.items()))
    starts, ends, values = (list(column) for column in zip(*intervals, strict=True))
    file.addEntries([contig] * len(starts), starts, ends=ends, values=values)
    file.close()
    return path
