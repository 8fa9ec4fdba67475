"""The shard contract: what is written, what is refused, what a reader sees."""

from __future__ import annotations

import pickle
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from genomix_cli.errors import DataError
from genomix_cli.formats import docs
from genomix_cli.formats.genome_shard import Shard, open_shard, open_windows
from genomix_cli.formats.reader import check, format_of
from genomix_cli.formats.schema import GENOME, LAYOUTS, WINDOWS, VariantTable
from genomix_cli.formats.writer import ALIGNMENT, LayoutWriter
from genomix_cli.genome.signal import TrackSpec
from genomix_cli.registry import SHARD_LAYOUTS

ROOT = Path(__file__).resolve().parents[3]
SPECS = [
    {"name": name, "quantiles": [i / 1000 for i in range(1001)], "mean": 0.5, "sd": 0.3}
    for name in ("ATAC", "CTCF")
]
ATTRIBUTES = {
    "bin_size": 50,
    "assembly": "toy",
    "contigs": [["chr1", 40_030], ["chr2", 9_000]],
    "tracks": SPECS,
    "uncovered": "missing",
    "max_gap_bins": 4,
    "tissues": ["K562"],
    "provenance": {"version": "0"},
}
# chr1 has two blocks, the second up to the end of the contig.
BLOCKS = np.array([[5_000, 10_000, 0], [20_000, 40_030, 5_000]])


def table() -> VariantTable:
    return VariantTable(
        np.array([0, 0, 1]),
        np.array([7_000, 39_000, 10]),
        np.array([b"A", b"", b"ACGT"]),
        np.array([b"C", b"TT", b""]),
        np.array([1.0, 0.0, np.nan]),
        np.array([-2.5, np.nan, 0.0]),
        np.full(3, np.nan),
        np.ones(3),
        np.array([0, 1, 2]),
        np.array([0, -1, -1]),
        np.array([0, 1, 1]),
        np.array([0, 0, 1]),
    )


def write(path: Path, attributes: dict[str, object] | None = None) -> Path:
    rng = np.random.default_rng(0)
    with LayoutWriter(path, GENOME, {**ATTRIBUTES, **(attributes or {})}) as writer:
        for contig, blocks in (("chr1", BLOCKS), ("chr2", np.array([[0, 5_000, 0]]))):
            n = int((blocks[:, 1] - blocks[:, 0]).sum())
            shape = 2, -(-n // 50)
            writer.put("/sequence/<contig>/blocks", blocks, contig)
            writer.put("/sequence/<contig>/codes", rng.integers(0, 4, n), contig)
            writer.put("/tracks/<contig>/signal", rng.normal(size=shape), contig)
            writer.put("/tracks/<contig>/observed", rng.integers(0, 2, shape), contig)
        writer.put("/contacts/<contig>/oe", rng.normal(size=(9, 21)), "chr1")
        writer.put_variants(table())
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("shards") / "toy.h5")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "copy.h5"))


def test_what_is_written_is_read(whole: Path) -> None:
    shard = open_shard(whole)
    assert shard.contigs == {"chr1": 40_030, "chr2": 9_000}
    assert shard.tracks == ("ATAC", "CTCF")
    assert shard.track_specs[0] == TrackSpec("ATAC", tuple(SPECS[0]["quantiles"]), 0.5, 0.3)
    assert (shard.uncovered, shard.max_gap_bins, shard.assembly) == ("missing", 4, "toy")
    assert shard.tissues == ("K562",)
    assert shard.has_contacts
    for name, column in table()._asdict().items():
        assert np.array_equal(
            getattr(shard.variants, name), column, equal_nan=column.dtype.kind == "f"
        )
    assert format_of(whole) == GENOME.format


def test_older_shards_do_not_tell_bridged_bins_from_measured_ones(copy: Path) -> None:
    assert open_shard(copy).tells_bridged
    with h5py.File(copy, "r+") as file:
        file.attrs["format_version"] = 2
    older = open_shard(copy)
    assert not older.tells_bridged
    assert older.signal("chr1", 400, 801).state.any()


def test_views_are_what_h5py_reads(whole: Path) -> None:
    shard = open_shard(whole)
    with h5py.File(whole) as file:
        codes = file["/sequence/chr1/codes"][:]
        assert np.array_equal(shard.codes("chr1", 5_000, 10_000), codes[:5_000])
        assert np.array_equal(shard.codes("chr1", 20_000, 40_030), codes[5_000:])
        signal = shard.signal("chr1", 400, 801)
        assert np.array_equal(signal.value, file["/tracks/chr1/signal"][:, 100:].astype("f4"))
        assert np.array_equal(signal.state, file["/tracks/chr1/observed"][:, 100:] == 1)


def test_what_one_block_holds_is_not_copied(whole: Path) -> None:
    shard = open_shard(whole)
    inside = [(5_000, 10_000), (20_000, 40_030), (30_000, 30_100)]
    for start, end in inside:
        assert not shard.codes("chr1", start, end).flags.owndata
        assert not shard.codes("chr1", start, end).flags.writeable
        for array in shard.signal("chr1", start // 50, -(-end // 50)):
            assert not array.flags.owndata
    for start, end in [(4_950, 5_050), (9_950, 10_050), (40_000, 40_100), (0, 45_000), (0, 50)]:
        assert shard.codes("chr1", start, end).flags.writeable
        for array in shard.signal("chr1", start // 50, -(-end // 50) + 1):
            assert array.flags.writeable
    assert [array.dtype for array in shard.signal("chr1", 0, 9)] == [np.float16, np.uint8]
    assert [array.dtype for array in shard.signal("chr1", 400, 409)] == [np.float16, np.uint8]


@pytest.mark.parametrize("n", [1, 40, 300, 900])
def test_windows_anywhere_are_cut_from_the_whole(whole: Path, n: int) -> None:
    shard = open_shard(whole)
    value, observed = shard.signal("chr1", -1_000, 2_000)
    codes = shard.codes("chr1", -50_000, 100_000)
    for first in [*range(-10, 15), *range(90, 110), *range(190, 215), *range(390, 410), 790, 801]:
        part = shard.signal("chr1", first, first + n)
        assert np.array_equal(part.value, value[:, first + 1_000 : first + n + 1_000])
        assert np.array_equal(part.state, observed[:, first + 1_000 : first + n + 1_000])
        base = first * 50 - 8
        found = shard.codes("chr1", base, base + 116)
        assert np.array_equal(found, codes[base + 50_000 : base + 50_116])


def test_outside_the_blocks_nothing_is_known(whole: Path) -> None:
    shard = open_shard(whole)
    codes = shard.codes("chr1", -10, 45_000)
    known = np.zeros(len(codes), bool)
    for start, end, _ in BLOCKS:
        known[start + 10 : end + 10] = True
    assert np.array_equal(codes < 4, known)
    signal = shard.signal("chr1", -3, 900)
    known_bins = np.zeros(903, bool)
    known_bins[103:203] = known_bins[403:804] = True
    assert not signal.state[:, ~known_bins].any()
    assert not signal.value[:, ~known_bins].any()
    assert signal.value[:, known_bins].all()
    assert (shard.codes("elsewhere", 0, 9) == 4).all()
    assert not shard.signal("elsewhere", 0, 9).state.any()
    assert not shard.contacts("elsewhere", 0, 9).any()


@pytest.mark.parametrize(("start", "n"), [(0, 9), (-10_000, 6), (25_000, 20), (-5_000, 30)])
def test_contacts_are_the_band_made_square(whole: Path, start: int, n: int) -> None:
    with h5py.File(whole) as file:
        band = file["/contacts/chr1/oe"][:].astype(np.float32)
    expected = np.zeros((n, n), np.float32)
    for i in range(n):
        for j in range(n):
            low, distance = start // 5_000 + min(i, j), abs(i - j)
            if 0 <= low < len(band) and distance < 21:
                expected[i, j] = band[low, distance]
    assert np.array_equal(open_shard(whole).contacts("chr1", start, n), expected)
    assert not open_shard(whole).contacts("chr2", start, n).any()


def test_the_map_is_read_only_and_travels_by_path(whole: Path) -> None:
    shard = open_shard(whole)
    with pytest.raises(ValueError, match="read-only"):
        shard.variants.label[0] = 5
    text = pickle.dumps(shard)
    assert len(text) < 1_000
    again: Shard = pickle.loads(text)
    assert np.array_equal(again.codes("chr1", 0, 40_030), shard.codes("chr1", 0, 40_030))


def test_the_same_calls_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    time.sleep(1.1)  # HDF5 keeps times in seconds
    assert write(tmp_path / "again.h5").read_bytes() == whole.read_bytes()


def test_arrays_are_contiguous_and_aligned(whole: Path) -> None:
    places = check(whole, GENOME).arrays.places
    assert len(places) == 2 * 4 + 1 + len(VariantTable._fields)
    for place in places.values():
        size = int(np.prod(place.shape)) * place.dtype.itemsize
        assert place.offset is not None
        assert place.offset % ALIGNMENT == 0 or size < ALIGNMENT


def test_specs_of_many_tracks_pass_the_size_limit_of_attributes(tmp_path: Path) -> None:
    tracks = [{**SPECS[0], "name": f"track{i}"} for i in range(40)]
    with LayoutWriter(tmp_path / "a.h5", GENOME, {**ATTRIBUTES, "tracks": tracks}):
        pass
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file.attrs["tracks"]) > 200_000


def test_a_shard_without_tracks_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with LayoutWriter(path, GENOME, {**ATTRIBUTES, "tracks": []}) as writer:
        for contig in ("chr1", "chr2"):
            writer.put("/sequence/<contig>/blocks", np.array([[0, 100, 0]]), contig)
            writer.put("/sequence/<contig>/codes", np.zeros(100), contig)
            writer.put("/tracks/<contig>/signal", np.zeros((0, 2)), contig)
            writer.put("/tracks/<contig>/observed", np.zeros((0, 2)), contig)
        writer.put_variants(table())
    shard = open_shard(path)
    assert shard.signal("chr1", 0, 10).value.shape == (0, 10)
    assert not shard.has_contacts


def test_the_writer_keeps_to_the_schema(tmp_path: Path) -> None:
    with LayoutWriter(tmp_path / "a.h5", GENOME, ATTRIBUTES) as writer:
        with pytest.raises(ValueError, match="/contacts/<contig>/oe is float16"):
            writer.create("/contacts/<contig>/oe", (9, 20), "chr1")
        with pytest.raises(StopIteration):
            writer.create("/elsewhere", (9,))
    with pytest.raises(KeyError, match="assembly"):
        LayoutWriter(tmp_path / "b.h5", GENOME, {"bin_size": 50})
    with pytest.raises(ValueError, match="not in the schema: colour"):
        LayoutWriter(tmp_path / "c.h5", GENOME, {**ATTRIBUTES, "colour": "red"})


def _rewrite(name: str, **options: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        values = file[name][:]
        del file[name]
        file.create_dataset(name, data=values, **options)

    return change


def _replace(name: str, values: np.ndarray) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return change


DAMAGE = {
    "newer": (
        lambda f: f.attrs.__setitem__("format_version", 4),
        r"newer genomix \(expected format version 3 or older, found 4\); update",
    ),
    "version zero": (lambda f: f.attrs.__setitem__("format_version", 0), "no valid format_version"),
    "version text": (lambda f: f.attrs.__setitem__("format_version", "1"), "no valid format_ver"),
    "other kind": (
        lambda f: f.attrs.__setitem__("format", "HDF5::Cooler"),
        r"not the kind .*expected genomix-shard .*'HDF5::Cooler'.*genomix prepare variants",
    ),
    "no format": (lambda f: f.attrs.__delitem__("format"), "not the kind .*format None"),
    "windows": (
        lambda f: f.attrs.__setitem__("format", "genomix-windows"),
        r"found genomix-windows \(the windows layout\)\); run: .*--layout genome",
    ),
    "attribute": (lambda f: f.attrs.__delitem__("uncovered"), "uncovered is NoneType, not text"),
    "json": (lambda f: f.attrs.__setitem__("tracks", "[{"), "tracks is not JSON"),
    "bin size": (lambda f: f.attrs.__setitem__("bin_size", 25), "bin_size is 25, not 50"),
    "contig": (
        lambda f: f.attrs.__setitem__("contigs", '[["chr1", 40030], ["chr9", 10]]'),
        "lacks the dataset /sequence/chr9/codes",
    ),
    "dataset": (lambda f: f.__delitem__("/variants/group"), "lacks the dataset /variants/group"),
    "dtype": (
        lambda f: _replace("/tracks/chr1/signal", f["/tracks/chr1/signal"][:].astype("f4"))(f),
        "/tracks/chr1/signal has another type .expected float16, found float32",
    ),
    "track count": (
        lambda f: f.attrs.__setitem__("tracks", "[]"),
        r"/tracks/chr1/signal has another shape .expected track = 0, bin = 501, found \[2, 501\]",
    ),
    "dimensions": (
        lambda f: _replace("/variants/pos", np.zeros((3, 1), np.int64))(f),
        r"/variants/pos has another shape .expected variant = 3",
    ),
    "column length": (
        lambda f: _replace("/variants/label", np.zeros(2, np.float32))(f),
        r"/variants/label has another shape .expected variant = 3, found \[2\]",
    ),
    "chunks": (_rewrite("/variants/pos", chunks=(1,)), "/variants/pos is not contiguous"),
    "gzip": (_rewrite("/variants/pos", compression="gzip"), "/variants/pos is not contiguous"),
    "blocks": (
        lambda f: _replace("/sequence/chr1/blocks", np.array([[0, 90, 0]]))(f),
        "the blocks of chr1 do not cover its arrays",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_gate_refuses(name: str, copy: Path) -> None:
    damage, message = DAMAGE[name]
    with h5py.File(copy, "r+") as file:
        damage(file)
    with pytest.raises(DataError, match=message) as caught:
        open_shard(copy)
    assert str(caught.value).startswith(f"{copy}: ")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_file_is_told_so(copy: Path, share: float) -> None:
    data = copy.read_bytes()
    copy.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"is cut short.*copy it again"):
        open_shard(copy)


@pytest.mark.parametrize("content", [b"", b"##fileformat=VCFv4.2\n" * 50])
def test_other_files_are_told_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.vcf"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is not HDF5.*genomix prepare variants"):
        open_shard(path)
    with pytest.raises(DataError, match="no such file"):
        open_shard(tmp_path / "none.h5")


def test_a_genome_shard_is_no_windows_shard(whole: Path) -> None:
    with pytest.raises(DataError, match=r"expected genomix-windows.*--layout windows"):
        open_windows(whole)


def test_the_page_on_formats_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "shard_format.md").read_text()
    assert page == docs.refresh(page, docs.format_blocks()), "run: make docs"
    for layout in LAYOUTS.values():
        for array in layout.arrays:
            assert f"`{array.path}`" in page


def test_each_version_has_its_line_of_history() -> None:
    assert all(len(layout.history) == layout.version for layout in (GENOME, WINDOWS))


def test_the_table_of_variants_is_the_schema() -> None:
    for layout in (GENOME, WINDOWS):
        paths = [a.path for a in layout.arrays if a.path.startswith("/variants/")]
        assert paths == [f"/variants/{name}" for name in VariantTable._fields]
    documented = re.findall(r"^    (\w[\w, ]*) : NDArray", VariantTable.__doc__ or "", re.M)
    names = [name for line in documented for name in line.split(", ")]
    assert names == list(VariantTable._fields)


def test_every_layout_that_can_be_asked_for_has_a_table() -> None:
    of_variants = {x.name for x in LAYOUTS.values() if x.prepare == "genomix prepare variants"}
    assert of_variants == set(SHARD_LAYOUTS)
    for name in SHARD_LAYOUTS:
        assert callable(SHARD_LAYOUTS.load(name))
