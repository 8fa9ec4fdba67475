"""Items seen in training are found under any name, and no others are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genomix_cli.errors import DataError
from genomix_cli.formats.seen import FILE, NAME, TRAIN, VALID, Items, Seen, read_seen, told

NAMES = [f"S{i}" for i in range(8)]
VALUES = [f"values {i}".encode() for i in range(8)]
ROWS = np.arange(4), np.arange(4, 6)


def parts(seen: Seen, names: list[str], values: list[bytes]) -> list[str]:
    return list(seen.parts(Items.of(names, values)))


def test_each_part_is_told_apart() -> None:
    seen = Seen.of(Items.of(NAMES, VALUES), *ROWS)
    assert parts(seen, NAMES, VALUES) == [TRAIN] * 4 + [VALID] * 2 + [""] * 2


def test_another_name_does_not_hide_an_item_nor_do_other_values() -> None:
    seen = Seen.of(Items.of(NAMES, VALUES), *ROWS)
    assert parts(seen, ["new"], VALUES[:1]) == [TRAIN]
    assert parts(seen, NAMES[:1], [b"changed"]) == [NAME]
    assert parts(seen, ["new"], [b"changed"]) == [""]
    assert parts(seen, NAMES[6:7], VALUES[6:7]) == [""]


def test_values_that_items_share_tell_none_apart() -> None:
    values = [b"the same", b"the same", *VALUES[2:]]
    seen = Seen.of(Items.of(NAMES, values), *ROWS)
    assert parts(seen, NAMES[:3], values[:3]) == [TRAIN] * 3
    assert parts(seen, ["new", "other"], [b"the same", VALUES[3]]) == ["", ""]


def test_an_item_that_lacks_a_part_is_known_by_its_name_and_another_part() -> None:
    def items(names: list[str], of_part: list[int], parts: list[bytes]) -> Items:
        whole = [b"".join(p for i, p in zip(of_part, parts, strict=True) if i == j) for j in (0, 1)]
        return Items.of(names, whole).with_parts(parts, np.array(of_part))

    learned = items(["A", "B"], [0, 0, 1, 1], [b"m 1", b"n 2", b"m 3", b"n 4"])
    seen = Seen.of(learned, np.array([0]), np.array([1]))
    assert list(seen.parts(learned)) == [TRAIN, VALID]
    assert list(seen.parts(items(["A", "B"], [0, 1], [b"n 2", b"m 3"]))) == [TRAIN, VALID]
    assert list(seen.parts(items(["A", "C"], [0, 1], [b"n 5", b"m 1"]))) == [NAME, ""]


def test_an_item_may_be_known_by_name_and_values_only() -> None:
    seen = Seen.of(Items.of(NAMES, VALUES), *ROWS, by_name=True)
    assert parts(seen, ["new"], VALUES[:1]) == [""]
    assert parts(seen, NAMES[:1], VALUES[:1]) == [TRAIN]


def test_two_trainings_in_a_row_have_seen_what_either_has() -> None:
    items = Items.of(NAMES, VALUES)
    none = np.array([], int)
    first, second = (Seen.of(items, np.array(rows), none) for rows in ([0], [5, 7]))
    assert parts(second.joined(first), NAMES, VALUES) == [TRAIN, *[""] * 4, TRAIN, "", TRAIN]
    assert second.joined(None) is second


def test_it_lies_beside_the_weights_and_spells_no_name(tmp_path: Path) -> None:
    assert read_seen(tmp_path) is None
    seen = Seen.of(Items.of(NAMES, VALUES), *ROWS)
    seen.write(tmp_path)
    again = read_seen(tmp_path)
    assert again is not None
    assert parts(again, NAMES, VALUES) == parts(seen, NAMES, VALUES)
    content = (tmp_path / FILE).read_bytes()
    assert b"S0" not in content
    (tmp_path / FILE).write_bytes(content[:-9])
    with pytest.raises(DataError, match=r"seen.safetensors: is damaged"):
        read_seen(tmp_path)


def test_what_a_reader_has_to_know() -> None:
    assert told(np.array(["", ""]), "samples") == []
    seen, named = told(np.array([TRAIN, TRAIN, VALID, NAME, ""]), "samples")
    assert seen.startswith("3 of 5 samples were seen in training (2 learned from it, 1 stopped")
    assert named.startswith("1 of 5 samples have the name of one seen in training")
    assert "does not say" in told(None, "samples")[0]
