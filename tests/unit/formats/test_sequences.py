"""The file of sequences: what is written is read, and what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.detect import is_sequences
from genomix_cli.formats.sequences import (
    Columns,
    Measurement,
    Phenotype,
    Profiles,
    Sequences,
    Windows,
    open_sequences,
    provenance_of,
    write_sequences,
)
from genomix_cli.genome.iupac import encode
from genomix_cli.provenance import Provenance

AGE = Phenotype("age", None, np.array([30, np.nan, 50], np.float32))
SEX = Phenotype("sex", ("f", "m"), np.array([1, -1, 0], np.int16))
SITE = Phenotype("site", ("x", "y", "z"), np.array([2, 0, 2], np.int16))


def sequences(**changes: object) -> Sequences:
    made = Sequences(
        names=np.array(["a", "bé", "c/1"]),
        codes=np.stack([encode(text) for text in ("ACGT", "RYSW", "NNNA")]),
        group=np.array([0, 0, 1]),
        split=np.array(["train", "", "test"]),
        phenotypes=(AGE, SEX, SITE),
        default_label="site",
        contigs={"1": 9},
        assembly="toy",
    )
    return replace(made, **changes)


LARGE = 3000
COLUMNS = Columns(
    np.zeros(4, np.int16),
    np.arange(4),
    np.array([-1, 0, 1, -1], np.int32),
    encode("ACGT"),
    np.array([0, 8, 10, 0], np.uint8),
)


def write(path: Path, made: Sequences) -> Path:
    write_sequences(path, made, Provenance("genomix", {"rows": "toy"}))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    windows = Windows(np.zeros(3, np.int16), np.array([0, 2, 4]), np.array([1, -1, 1], np.int8))
    measured = Measurement("MPRA", "log2 RNA/DNA", "ACC", "T")
    made = sequences(windows=windows, columns=COLUMNS, measurement=measured)
    path = write(tmp_path / "a.h5", made)
    found = open_sequences(path)
    assert is_sequences(path)
    assert found.aligned
    for name in ("names", "codes", "group", "split"):
        assert np.array_equal(getattr(found, name), getattr(made, name))
    assert (found.contigs, found.assembly) == ({"1": 9}, "toy")
    assert found.measurement == found.take([0]).measurement == measured
    for mine, theirs in zip(found.phenotypes, made.phenotypes, strict=True):
        assert (mine.name, mine.categories) == (theirs.name, theirs.categories)
        assert np.array_equal(mine.values, theirs.values, equal_nan=True)
    for table in ("windows", "columns"):
        for mine, theirs in zip(getattr(found, table), getattr(made, table), strict=True):
            assert np.array_equal(mine, theirs)
    assert provenance_of(path)["config"] == {"rows": "toy"}


def test_the_same_bytes_again(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, sequences()).read_bytes() for name in "ab")
    assert first == second


def test_some_of_them(tmp_path: Path) -> None:
    found = open_sequences(write(tmp_path / "a.h5", sequences()))
    some = found.take([2, 0])
    assert some.names.tolist() == ["c/1", "a"]
    assert some.phenotype("age").values.tolist() == [50, 30]
    assert found.take(found.split == "").names.tolist() == ["bé"]
    assert not found.codes.flags.writeable


def test_classes_are_those_that_occur() -> None:
    made = sequences()
    names, label = made.label()
    assert (names, label.tolist()) == (("x", "z"), [1, 0, 1])
    names, label = made.label("sex")
    assert (names, label.tolist()) == (("f", "m"), [1, -1, 0])
    for wrong, message in (("age", "age is a number"), ("no", "no phenotype 'no'")):
        with pytest.raises(UsageError, match=message):
            made.label(wrong)
    with pytest.raises(UsageError, match="has no default label"):
        sequences(default_label="").label()


AGES = Phenotype("age/2", None, np.array([15, np.nan, 25], np.float32))
SIGNAL = np.arange(24, dtype=np.float32).reshape(3, 2, 4)


def with_profiles() -> Sequences:
    profiles = Profiles(("age/2", "age"), (1, 0), np.where(SIGNAL == 7, np.nan, SIGNAL))
    return sequences(phenotypes=(AGE, SEX, AGES), default_label="", profiles=profiles)


def test_the_signal_of_each_base_is_read(tmp_path: Path) -> None:
    made = with_profiles().profiles
    found = open_sequences(write(tmp_path / "a.h5", with_profiles()))
    assert made is not None
    assert found.profiles is not None
    assert (found.profiles.names, found.profiles.opposite) == (("age/2", "age"), (1, 0))
    np.testing.assert_array_equal(found.profiles.signal, made.signal)
    assert not found.profiles.signal.flags.writeable
    some = found.take([2, 0]).profiles
    assert some is not None
    np.testing.assert_array_equal(some.signal, made.signal[[2, 0]])


def test_a_file_of_the_third_version_has_no_profiles(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", sequences())
    with h5py.File(path, "r+") as file:
        del file.attrs["profiles"]
        file.attrs["format_version"] = 3
    assert open_sequences(path).profiles is None
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 4
    with pytest.raises(DataError, match="profiles"):
        open_sequences(path)


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [("age", "age")],
        [("age", "age/2"), ("age/2", "age/2")],
        [("age", "age"), ("age", "age")],
        [("age", "age"), ("sex", "sex")],
    ],
    ids=["none", "one", "unlike pairs", "twice", "a category"],
)
def test_profiles_that_are_not_named_are_refused(
    tmp_path: Path, listed: list[tuple[str, str]]
) -> None:
    path = write(tmp_path / "a.h5", with_profiles())
    attribute = [{"name": name, "opposite": other} for name, other in listed]
    with h5py.File(path, "r+") as file:
        file.attrs["profiles"] = json.dumps(attribute)
    with pytest.raises(DataError, match="does not name its profiles"):
        open_sequences(path)


def attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def code_without_category(file: h5py.File) -> None:
    file["/phenotypes/category"][0, 0] = 7


def two_of_one_name(file: h5py.File) -> None:
    file["/sequences/name"][1] = b"a"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(attribute("aligned", 1), "attributes contradict its columns", id="aligned"),
        pytest.param(attribute("format_version", 99), "newer genomix", id="newer"),
        pytest.param(attribute("phenotypes", "[]"), "does not name its phenotypes", id="unnamed"),
        pytest.param(attribute("splits", "no json"), "splits is not JSON", id="no json"),
        pytest.param(
            attribute("measurement", '{"left": "AX"}'), "letters that are not bases", id="construct"
        ),
        pytest.param(attribute("measurement", '{"on": 1}'), "unknown key 'on'", id="measured"),
        pytest.param(attribute("measurement", "3"), "is damaged", id="number"),
        pytest.param(code_without_category, "sex has codes without a category", id="category"),
        pytest.param(two_of_one_name, "two sequences of the same name", id="names"),
    ],
)
def test_the_gate(tmp_path: Path, damage: Callable[[h5py.File], None], message: str) -> None:
    path = write(tmp_path / "a.h5", sequences())
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(DataError, match=message):
        open_sequences(path)


def test_a_file_of_the_first_version_says_nothing_of_its_assay(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", sequences())
    with h5py.File(path, "r+") as file:
        del file.attrs["measurement"]
        file.attrs["format_version"] = 1
    assert open_sequences(path).measurement == Measurement()
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(DataError, match="measurement"):
        open_sequences(path)


def test_other_files_are_none(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("hello")
    assert not is_sequences(text)
    assert not is_sequences(tmp_path / "absent.h5")
    short = write(tmp_path / "a.h5", sequences())
    short.write_bytes(short.read_bytes()[:-100])
    with pytest.raises(DataError, match="cut short"):
        open_sequences(short)


def large() -> Sequences:
    """So many sequences that their codes are compressed."""
    rng = np.random.default_rng(0)
    return Sequences(
        names=np.array([f"s{i}" for i in range(LARGE)]),
        codes=(1 << rng.integers(0, 4, (LARGE, 500))).astype(np.uint8),
        group=np.arange(LARGE),
        split=np.full(LARGE, ""),
    )


def test_many_codes_are_compressed_and_read_back(tmp_path: Path) -> None:
    made = large()
    path = write(tmp_path / "a.h5", made)
    assert path.stat().st_size < made.codes.nbytes / 2
    with h5py.File(path) as file:
        codes = file["/sequences/codes"]
        assert (codes.compression, codes.chunks) == ("gzip", (1048, 500))
    opened = open_sequences(path)
    np.testing.assert_array_equal(opened.codes, made.codes)
    assert not opened.codes.flags.writeable
    assert write(tmp_path / "b.h5", made).read_bytes() == path.read_bytes()


def test_few_codes_and_very_many_stay_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genomix_cli.formats import writer

    with h5py.File(write(tmp_path / "few.h5", sequences())) as file:
        assert file["/sequences/codes"].chunks is None
    monkeypatch.setattr(writer, "PACKED", (1 << 16, 1 << 20))
    path = write(tmp_path / "many.h5", large())
    with h5py.File(path) as file:
        assert file["/sequences/codes"].chunks is None
    np.testing.assert_array_equal(open_sequences(path).codes, large().codes)


def test_a_damaged_chunk_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", large())
    with h5py.File(path, "r+") as file:  # drops the seal
        chunk = file["/sequences/codes"].id.get_chunk_info(1)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + 100 : chunk.byte_offset + 200] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(DataError):
        open_sequences(path)
