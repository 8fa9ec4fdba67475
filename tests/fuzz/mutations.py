"""Files changed in one place, as a disk, a careless hand or an attacker would."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

SEALED = 18
HDF5 = b"\x89HDF\r\n\x1a\n"
# Where HDF5 keeps what it knows of the data.
_STRUCTURES = re.compile(rb"TREE|HEAP|SNOD|OHDR|GCOL|FRHP|FHDB|BTHD|BTLF|FADB|OCHK")
_WORDS = re.compile(rb"[^\t\n ,;:=\"\[\]{}]+")
_NUMBERS = (
    b"99999999999999999999",
    b"-1",
    b"0",
    b"nan",
    b"inf",
    b"-inf",
    b"1e400",
    b"1e30",
    b"2147483648",
    b"0x10",
    b"1_0",
    b"",
)
_TEXTS = (
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\x1b[2J",
    b"\x1b]0;x\x07",
    b"\xc2\x9b31m",
    b"\r",
    b"\t",
    b"\n",
    b'"',
    b"'",
    b"../../x",
    b"%s",
    b"\xef\xbb\xbf",
    b"a" * 70_000,
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**20,
    1e308,
    "",
    "\x1b[2J\0",
    "\ud800",
    [],
    {},
    [[]],
    float("nan"),
)


_ELEMENTS: tuple[Any, ...] = (
    *(0, -1, 2**62, 1e300, "", "\x1b[2J", "[" * 100_000, "{}", "[]", "null", b"\xff\xfe"),
    *(np.zeros(0), np.zeros((2, 3)), np.zeros((1, 1), "i1"), np.array(["a", "b"], object)),
)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with one change of a kind that suits it.

    The seal of HDF5 files of ours is mostly taken off before, so that the change gets through.
    """
    if data[-SEALED:].startswith(b"genomix-crc32") and rng.random() < 0.8:
        data = data[:-SEALED]
    if data.startswith(b"\x1f\x8b") and rng.random() < 0.6:
        return gzip.compress(_inside(gzip.decompress(data) or b"x", rng), 1)
    return _inside(data, rng) if data else rng.randbytes(9)


def _inside(data: bytes, rng: random.Random) -> bytes:
    kinds: list[Callable[[bytes, random.Random], bytes]] = [_flip, _flip, _overwrite, _cut, _splice]
    if data.startswith(b"{"):
        kinds += [_value] * 8
    elif HDF5 in data[:4096] or data.startswith(b"MuData"):
        kinds += [_structure] * 8 + [_element] * 6
    elif b"\0" not in data[:1000]:
        kinds += [_word] * 8
    return rng.choice(kinds)(data, rng)


def _flip(data: bytes, rng: random.Random) -> bytes:
    return _put(data, rng.randrange(len(data)), bytes([rng.randrange(256)]))


def _put(data: bytes, place: int, what: bytes) -> bytes:
    return data[:place] + what + data[place + len(what) :]


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    size = rng.choice((4, 8, 64, 512))
    what = rng.choice((b"\0" * size, b"\xff" * size, rng.randbytes(size)))
    return _put(data, rng.randrange(len(data)), what)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _splice(data: bytes, rng: random.Random) -> bytes:
    """Leave out, double or move a piece."""
    start = rng.randrange(len(data))
    piece = data[start : start + rng.choice((1, 7, 100, 5000))]
    rest = data[:start] + data[start + len(piece) :]
    place = rng.choice((start, rng.randrange(len(rest) + 1)))
    return rest[:place] + piece * rng.choice((0, 1, 2)) + rest[place:]


def _structure(data: bytes, rng: random.Random) -> bytes:
    starts = [match.start() for match in _STRUCTURES.finditer(data)]
    place = rng.choice(starts) + rng.randrange(300) if starts else 0
    what = rng.choice((rng.randbytes(1), b"\xff", b"\0", b"\xff" * 8, rng.randbytes(4)))
    return _put(data, min(place, len(data) - 1), what)


def _element(data: bytes, rng: random.Random) -> bytes:
    """Remove, retype or replace something that HDF5 has a name for."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = rng.choice(sorted(names))
        attributes = file[name].attrs
        value = rng.choice(_ELEMENTS)
        if attributes and rng.random() < 0.3:
            attributes[rng.choice(sorted(attributes))] = value
            return _bytes(file, stream)
        old = file[name]
        group = isinstance(old, h5py.Group)
        kept = {} if group else dict(attributes)
        values = None if group or rng.random() < 0.5 else _other(old[()], rng)
        del file[name]
        if rng.random() < 0.7:
            file[name] = value if values is None else values
            file[name].attrs.update(kept)
        return _bytes(file, stream)


def _bytes(file: h5py.File, stream: io.BytesIO) -> bytes:
    file.close()
    return stream.getvalue()


def _other(values: Any, rng: random.Random) -> Any:
    """The same numbers or texts in another shape, or with one of them another."""
    values = np.array(values)
    if values.ndim and rng.random() < 0.5:
        return values[: len(values) // 2]
    if values.size and values.dtype.kind in "iuf":
        limits = np.finfo if values.dtype.kind == "f" else np.iinfo
        values.flat[rng.randrange(values.size)] = rng.choice(
            (limits(values.dtype).max, limits(values.dtype).min, 0)
        )
        return values
    return values if values.dtype.kind in "iuf" else "other"


def _word(data: bytes, rng: random.Random) -> bytes:
    # Half of the changes near the start, where headers are.
    end = len(data) if rng.random() < 0.5 else min(2000, len(data))
    word = _WORDS.search(data, rng.randrange(end))
    if word is None:
        return _flip(data, rng)
    old = word[0]
    new = rng.choice(
        (rng.choice(_NUMBERS), rng.choice(_TEXTS), old + rng.choice(_TEXTS), b"x" + old)
    )
    return data[: word.start()] + new + data[word.end() :]


def _value(data: bytes, rng: random.Random) -> bytes:
    """Replace, remove or add a value somewhere in JSON."""
    try:
        tree = json.loads(data)
    except ValueError:
        return _flip(data, rng)
    if isinstance(tree, dict) and rng.random() < 0.8:
        tree.pop("config_sha256", None)
    places = list(_places(tree))
    where, key = rng.choice([p for p in places if rng.random() < 0.2] or places)
    if rng.random() < 0.15:
        del where[key]
    elif isinstance(where, dict) and rng.random() < 0.1:
        where["\x1b[2Jstranger"] = rng.choice(_VALUES)
    else:
        where[key] = rng.choice(_VALUES)
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield tree, key
        if isinstance(value, (dict, list)) and value:
            yield from _places(value)
