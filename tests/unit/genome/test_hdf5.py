"""The gate of HDF5 files: nothing from another file, nothing that is not there, no changed byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from genomix_cli.errors import DataError
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.formats.sequences import open_sequences, write_sequences
from genomix_cli.genome.hdf5 import check_hdf5, open_hdf5, seal
from genomix_cli.provenance import Provenance
from tests.cohort_files import every_kind
from tests.sequence_samples import motifs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as new:
        new["group/values"] = np.arange(1000)
        new["link"] = h5py.SoftLink("/group/values")
    return path


def test_what_is_whole_is_read(file: Path) -> None:
    seal(file)
    with open_hdf5(file) as opened:
        assert opened["link"][7] == 7


def _external_link(file: h5py.File) -> None:
    file["group/secret"] = h5py.ExternalLink("/etc/passwd.h5", "/x")


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("group/secret", (10,), "u1", external=[("/etc/passwd", 0, 10)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((10,), "u1")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (10,))
    file.create_virtual_dataset("group/secret", layout)


@pytest.mark.parametrize("add", [_external_link, _external_storage, _virtual])
def test_no_other_file_is_read(file: Path, add: Callable[[h5py.File], None]) -> None:
    with h5py.File(file, "r+") as opened:
        add(opened)
    seal(file)
    with pytest.raises(DataError, match=r"a\.h5: group/secret is a link to another file"):
        check_hdf5(file)


def test_what_is_stated_but_not_there(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        opened.create_dataset("huge", (2**40,), "f8", chunks=(2**16,))
    with pytest.raises(DataError, match=r"huge states 8,796,093,022,208 bytes"):
        check_hdf5(file)


def test_any_changed_byte_is_noticed(file: Path) -> None:
    seal(file)
    data = file.read_bytes()
    rng = np.random.default_rng(0)
    for place in [*rng.integers(0, len(data), 40).tolist(), len(data) - 1]:
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        name = data[-18:-4]
        if len(data) - 18 <= place < len(data) - 4:
            check_hdf5(file)  # the name of the seal: without it the file is as any other
            continue
        assert name.startswith(b"genomix")
        with pytest.raises(DataError, match="its bytes are not those that were written"):
            check_hdf5(file)


def test_whoever_changes_a_file_drops_its_seal(file: Path) -> None:
    seal(file)
    with h5py.File(file, "r+") as opened:
        opened["group/values"][3] = -3
    with open_hdf5(file) as opened:
        assert opened["link"][3] == -3


def test_our_files_are_sealed(tmp_path: Path) -> None:
    cohort, sequences = every_kind(tmp_path / "a.h5mu"), tmp_path / "b.h5"
    write_sequences(sequences, motifs(12, 20), Provenance("a test"))
    # `every_kind` adds to what was sealed, as its owner may.
    seal(cohort)
    for path, open_it in ((cohort, open_cohort), (sequences, open_sequences)):
        open_it(path)
        data = bytearray(path.read_bytes())
        assert data[-18:].startswith(b"genomix-crc32")
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        with pytest.raises(DataError, match="its bytes are not those that were written"):
            open_it(path)


def test_numbers_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for name, value, problem in (
        ("/sequences/codes", 16, r"expected 0 to 15, found .* to 16"),
        ("/sequences/strand", 3, r"expected -1 to 1"),
        ("/sequences/contig", 2, r"expected 0 to 1, found 0 to 2"),
    ):
        write_sequences(path, motifs(12, 20), Provenance("a test"))
        with h5py.File(path, "r+") as file:
            file[name][(3,) * file[name].ndim] = value
        with pytest.raises(DataError, match=f"{name} holds numbers without a meaning .{problem}"):
            open_sequences(path)


def test_damage_inside_is_one_line(tmp_path: Path) -> None:
    """Damage that a digest would not show, as in a file edited since, is one line."""
    path = tmp_path / "a.h5mu"
    damages: tuple[tuple[Callable[[h5py.File], None], str], ...] = (
        (lambda f: f["obs"].attrs.__delitem__("_index"), "cannot be read"),
        (lambda f: f["mod/peaks/X"].__setitem__((0, 0), np.inf), "chromatin cannot have"),
        (lambda f: f["mod/copy/layers"].__delitem__("state"), ""),
        (lambda f: f["mod/copy/layers"].__setitem__("new", np.zeros(3)), "another shape than X"),
        (lambda f: f["uns/genomix"].attrs.__setitem__("encoding-type", "none"), ""),
        (lambda f: _text(f, "uns/genomix/provenance", json.dumps([1])), "is not a JSON object"),
        (lambda f: f["mod"].attrs.__setitem__("mod-order", ["peaks"]), "does not list its"),
        (lambda f: f["obs/label/codes"].__setitem__(0, 99), "obs cannot be read|cannot be read"),
    )
    for damage, problem in damages:
        every_kind(path, n=6)
        with h5py.File(path, "r+") as file:
            damage(file)
        if not problem:
            _read_all(path)
            continue
        with pytest.raises(DataError, match=problem):
            _read_all(path)


def _text(file: h5py.File, name: str, text: str) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = text
    file[name].attrs.update(attributes)


def _read_all(path: Path) -> None:
    with open_cohort(path) as cohort:
        for name in cohort.modalities:
            cohort.matrix(name)
            cohort.features(name)


def test_a_heap_that_hdf5_would_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["names"] = ["one", "two"]
    data = path.read_bytes()
    heap = data.index(b"GCOL\1\0\0\0") + 16
    check_hdf5(path)
    # The first object becomes the rest of the heap, of no size.
    path.write_bytes(data[:heap] + bytes(16) + data[heap + 16 :])
    with pytest.raises(DataError, match="bad global heap"):
        check_hdf5(path)


def test_a_text_whose_type_is_damaged(file: Path) -> None:
    """HDF5 would misread its address and crash."""
    with h5py.File(file, "r+") as opened:
        values = np.empty(1, object)
        values[0] = np.arange(2, dtype="i4")
        opened["group"].attrs.create("_index", values, dtype=h5py.vlen_dtype("i4"))
    with pytest.raises(DataError, match="_index is of a type that no file should have"):
        check_hdf5(file)
