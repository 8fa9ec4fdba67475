"""log(O/E) on the 5-kb grid against dense matrices worked out by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.errors import DataError, MissingExtraError
from genomix_cli.genome import contacts as module
from genomix_cli.genome.contacts import REACH, Contacts

cooler = pytest.importorskip("cooler")
pd = pytest.importorskip("pandas")

LENGTHS = {"chr1": 203_000, "chr2": 61_000}


def bin_table(resolution: int) -> pd.DataFrame:
    return cooler.binnify(pd.Series(LENGTHS), resolution)


def random_counts(n: int, seed: int = 0) -> np.ndarray:
    """A symmetric map that decays with distance, with empty pixels."""
    rng = np.random.default_rng(seed)
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    upper = np.triu(rng.poisson(40 / (1 + distance)))
    return upper + np.triu(upper, 1).T


def make(
    uri: Path | str,
    resolution: int,
    counts: np.ndarray,
    weights: np.ndarray | None = None,
    mode: str = "w",
) -> str:
    """A .cool of the whole matrix, contacts between contigs included."""
    low, high = np.nonzero(np.triu(counts))
    pixels = pd.DataFrame({"bin1_id": low, "bin2_id": high, "count": counts[low, high]})
    bins = bin_table(resolution)
    if weights is not None:
        bins["weight"] = weights
    cooler.create_cooler(str(uri), bins, pixels, mode=mode, dtypes={"count": counts.dtype})
    return str(uri)


def by_hand(matrix: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """G of a dense symmetric matrix, pixel by pixel."""
    n = len(matrix)
    out = np.zeros((n, n))
    for offset in range(n):
        pairs = [(i, i + offset) for i in range(n - offset) if usable[i] and usable[i + offset]]
        expected = sum(matrix[pair] for pair in pairs) / len(pairs) if pairs else 0
        for i, j in pairs if expected > 0 else ():
            value = min(np.log((matrix[i, j] / expected + 0.2) / 1.2), 1.5)
            out[i, j] = out[j, i] = value
    return out


def near(matrix: np.ndarray) -> np.ndarray:
    return np.tril(np.triu(matrix, 1 - REACH), REACH - 1)


def first_contig(counts: np.ndarray, resolution: int) -> np.ndarray:
    n = -(-LENGTHS["chr1"] // resolution)
    return counts[:n, :n].astype(float)


N = {r: len(bin_table(r)) for r in (1000, 5000, 10_000, 20_000)}


def test_raw_map_on_the_grid(tmp_path: Path) -> None:
    counts = random_counts(N[5000])
    counts[7, :] = counts[:, 7] = 0
    matrix = first_contig(counts, 5000)
    expected = near(by_hand(matrix, matrix.sum(axis=0) > 0))
    result = Contacts(make(tmp_path / "x.cool", 5000, counts)).matrix("chr1", 0, 41)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert result.dtype == np.float32
    assert not result[7].any()
    # An empty pixel between bins with contacts is a measured zero, not an unknown.
    assert result.min() == pytest.approx(np.log(0.2 / 1.2))


def test_balanced_where_there_are_weights(tmp_path: Path) -> None:
    counts = random_counts(N[5000])
    weights = np.random.default_rng(1).uniform(0.2, 3, N[5000])
    weights[[4, 20]] = np.nan
    matrix = first_contig(counts, 5000) * np.outer(weights, weights)[:41, :41]
    expected = near(by_hand(np.nan_to_num(matrix), np.isfinite(weights[:41])))
    result = Contacts(make(tmp_path / "x.cool", 5000, counts, weights)).matrix("chr1", 0, 41)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert not result[[4, 20]].any()
    raw = Contacts(make(tmp_path / "raw.cool", 5000, counts)).matrix("chr1", 0, 41)
    assert np.abs(raw - result).max() > 0.5


def test_a_contig_that_could_not_be_balanced_is_unknown(tmp_path: Path) -> None:
    weights = np.ones(N[5000])
    weights[:41] = np.nan
    map_ = Contacts(make(tmp_path / "x.cool", 5000, random_counts(N[5000]), weights))
    assert not map_.matrix("chr1", 0, 41).any()
    assert map_.matrix("chr2", 0, 12).any()


@pytest.mark.parametrize("resolution", [10_000, 20_000])
def test_coarser_maps_are_spread(tmp_path: Path, resolution: int) -> None:
    counts = random_counts(N[resolution])
    matrix = first_contig(counts, resolution)
    coarse = by_hand(matrix, matrix.sum(axis=0) > 0)
    parent = np.arange(41) * 5000 // resolution
    expected = near(coarse[np.ix_(parent, parent)])
    result = Contacts(make(tmp_path / "x.cool", resolution, counts)).matrix("chr1", 0, 44)
    np.testing.assert_allclose(result[:41, :41], expected, atol=1e-6)
    # The last bin of the map reaches beyond the contig, whose bins do not.
    assert not result[:, 41:].any()


def test_finer_maps_are_summed_as_cooler_sums_them(tmp_path: Path) -> None:
    fine = make(tmp_path / "fine.cool", 1000, random_counts(N[1000]))
    coarse = str(tmp_path / "coarse.cool")
    cooler.coarsen_cooler(fine, coarse, factor=5, chunksize=10_000)
    for contig, n in (("chr1", 41), ("chr2", 13)):
        np.testing.assert_allclose(
            Contacts(fine).matrix(contig, 0, n), Contacts(coarse).matrix(contig, 0, n), atol=1e-6
        )


@pytest.mark.parametrize("start", [-30_000, -5_000, 0, 95_000, 150_000, 200_000, 500_000])
def test_windows_are_parts_and_nothing_is_known_off_the_contig(tmp_path: Path, start: int) -> None:
    map_ = Contacts(make(tmp_path / "x.cool", 5000, random_counts(N[5000])))
    whole = map_.matrix("chr1", 0, 41)
    result = map_.matrix("chr1", start, 20)
    for i, j in np.ndindex(20, 20):
        a, b = start // 5000 + i, start // 5000 + j
        inside = 0 <= a < 41 and 0 <= b < 41
        assert result[i, j] == (whole[a, b] if inside else 0)


def test_band_is_the_upper_diagonals(tmp_path: Path) -> None:
    map_ = Contacts(make(tmp_path / "x.cool", 5000, random_counts(N[5000])))
    band, whole = map_.band("1"), map_.matrix("chr1", 0, 41)
    assert (band.shape, band.dtype) == ((41, REACH), np.float32)
    for i, offset in np.ndindex(*band.shape):
        assert band[i, offset] == (whole[i, i + offset] if i + offset < 41 else 0)


def test_pieces_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = make(tmp_path / "x.cool", 5000, random_counts(N[5000]))
    whole = Contacts(uri).band("chr1")
    monkeypatch.setattr(module, "PIECE_PIXELS", 17)
    np.testing.assert_array_equal(Contacts(uri).band("chr1"), whole)


def test_names_and_unknown_contigs(tmp_path: Path) -> None:
    map_ = Contacts(make(tmp_path / "x.cool", 5000, random_counts(N[5000])))
    np.testing.assert_array_equal(map_.matrix("2", 0, 9), map_.matrix("chr2", 0, 9))
    assert map_.lengths == LENGTHS
    assert map_.matrix("chr9", 0, 9).tolist() == np.zeros((9, 9)).tolist()
    with pytest.raises(DataError, match="has no contig 'chr9'"):
        map_.band("chr9")


def test_start_off_the_grid_is_a_bug_of_the_caller(tmp_path: Path) -> None:
    map_ = Contacts(make(tmp_path / "x.cool", 5000, random_counts(N[5000])))
    with pytest.raises(ValueError, match="not a multiple of 5000"):
        map_.matrix("chr1", 2_500, 4)


def multi_resolution(path: Path, *resolutions: int) -> Path:
    for resolution in resolutions:
        counts = random_counts(len(bin_table(resolution)), seed=resolution)
        make(f"{path}::/resolutions/{resolution}", resolution, counts, mode="a")
    return path


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ((1000, 5000, 10_000), 5000),
        ((1000, 20_000, 10_000), 10_000),
        ((8_000, 20_000), 20_000),
        ((500, 1000, 2000), 1000),
    ],
)
def test_resolution_of_an_mcool(tmp_path: Path, there: tuple[int, ...], chosen: int) -> None:
    path = multi_resolution(tmp_path / "x.mcool", *there)
    map_ = Contacts(path)
    assert map_.resolution == chosen
    named = Contacts(f"{path}::/resolutions/{chosen}")
    np.testing.assert_array_equal(map_.matrix("chr1", 0, 9), named.matrix("chr1", 0, 9))


def test_a_named_resolution_is_taken(tmp_path: Path) -> None:
    path = multi_resolution(tmp_path / "x.mcool", 5000, 10_000)
    assert Contacts(f"{path}::resolutions/10000").resolution == 10_000
    with pytest.raises(DataError, match="no such resolution"):
        Contacts(f"{path}::/resolutions/7")


def test_resolutions_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not fit.*found 8000 bp"):
        Contacts(make(tmp_path / "x.cool", 8000, random_counts(len(bin_table(8000)))))
    with pytest.raises(DataError, match=r"x\.mcool: has no resolution that fits.*found 3000, 8000"):
        Contacts(multi_resolution(tmp_path / "x.mcool", 3000, 8000))


def test_bins_of_varying_size_are_refused(tmp_path: Path) -> None:
    bins = pd.DataFrame({"chrom": ["chr1"] * 3, "start": [0, 10, 50], "end": [10, 50, 60]})
    pixels = pd.DataFrame({"bin1_id": [0], "bin2_id": [1], "count": [3]})
    cooler.create_cooler(str(tmp_path / "x.cool"), bins, pixels)
    with pytest.raises(DataError, match="bins of varying size"):
        Contacts(tmp_path / "x.cool")


def test_not_a_contact_map(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "x.cool").write_text("no")
    (tmp_path / "x.hic").write_text("HIC")
    h5py.File(tmp_path / "other.h5", "w").close()
    for name, problem in (("x.cool", "is not HDF5"), ("other.h5", "is not a contact map")):
        with pytest.raises(DataError, match=rf"{problem}.*expected \.cool, \.mcool"):
            Contacts(tmp_path / name)
    with pytest.raises(DataError, match=r"convert \.hic files"):
        Contacts(tmp_path / "x.hic")
    with pytest.raises(DataError, match="no such file"):
        Contacts(tmp_path / "absent.cool")


def test_without_cooler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cooler", None)
    with pytest.raises(MissingExtraError, match=r"genomix-toolkit\[hic\]"):
        Contacts(tmp_path / "x.cool")


def test_real_map(shared_data: Path) -> None:
    (path,) = (shared_data / "hg38_chr22" / "contacts").glob("*.cool")
    dense = cooler.Cooler(str(path)).matrix(balance=False).fetch("chr22").astype(float)
    usable = dense.sum(axis=0) > 0
    result = Contacts(path).matrix("22", 30_000_000, 21)
    for i, j in np.ndindex(21, 21):
        a, b = sorted((600 + i // 10, 600 + j // 10))
        diagonal = np.diagonal(dense, b - a)
        both = usable[: len(diagonal)] & usable[b - a :]
        ratio = dense[a, b] / diagonal[both].mean()
        assert result[i, j] == pytest.approx(min(np.log((ratio + 0.2) / 1.2), 1.5), abs=1e-5)


def test_a_map_whose_balancing_failed_everywhere_is_refused(tmp_path: Path) -> None:
    weights = np.full(N[5000], np.nan)
    with pytest.raises(DataError, match=r"x\.cool.*weights \(weight\) are missing in every bin"):
        Contacts(make(tmp_path / "x.cool", 5000, random_counts(N[5000]), weights))


def test_a_map_without_contacts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no contacts"):
        Contacts(make(tmp_path / "x.cool", 5000, np.zeros((N[5000], N[5000]), int)))


@pytest.mark.parametrize("column", ["KR", "SCALE", "VC"])
def test_weights_of_hic_files_divide(tmp_path: Path, column: str) -> None:
    """A map whose balancing column has another name is not read as raw counts."""
    counts = random_counts(N[5000])
    weights = np.random.default_rng(1).uniform(0.5, 2, N[5000])
    weights[3] = np.nan
    cools = Contacts(make(tmp_path / "a.cool", 5000, counts, weights))
    low, high = np.nonzero(np.triu(counts))
    pixels = pd.DataFrame({"bin1_id": low, "bin2_id": high, "count": counts[low, high]})
    bins = bin_table(5000).assign(**{column: 1 / weights})
    cooler.create_cooler(str(tmp_path / "b.cool"), bins, pixels)
    other = Contacts(tmp_path / "b.cool")
    assert other.balancing == column
    np.testing.assert_allclose(other.matrix("chr1", 0, 41), cools.matrix("chr1", 0, 41), atol=1e-6)
