"""Dataclasses to plain data and back; every problem of a configuration at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genomix_cli.config import Count, Positive, Share, Within, from_dict, read_toml, to_dict
from genomix_cli.errors import DataError, UsageError


@dataclass(frozen=True)
class Settings:
    width: int
    rate: float = 0.5
    name: str | None = None
    kernels: tuple[int, ...] = (3, 5)
    span: tuple[int, float] = (1, 2.0)
    deep: bool = False


def test_round_trip_through_json() -> None:
    settings = Settings(8, 0.1, "x", (7,), (3, 4.0), True)
    assert from_dict(Settings, json.loads(json.dumps(to_dict(settings)))) == settings


def test_an_integer_will_do_for_a_float() -> None:
    rate = from_dict(Settings, {"width": 1, "rate": 2}).rate
    assert rate == 2.0
    assert isinstance(rate, float)


def test_every_problem_is_reported_together() -> None:
    with pytest.raises(UsageError) as caught:
        from_dict(Settings, {"rate": "fast", "depth": 3, "kernels": [1, "a"]}, where="c.toml")
    line = caught.value.line()
    for part in ("c.toml", "unknown key 'depth'", "missing key 'width'", "'rate'", "'kernels'"):
        assert part in line


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": True},
        {"width": 1.5},
        {"width": 1, "span": [1]},
        {"width": 1, "span": 3},
        {"width": 1, "name": 4},
        {"width": 1, "deep": 1},
    ],
)
def test_wrong_types_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="invalid Settings"):
        from_dict(Settings, wrong)


def test_toml_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_toml(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[score\nfasta=")
    with pytest.raises(DataError, match="is not TOML"):
        read_toml(broken)
    broken.write_bytes(b"a = '\xff'")
    with pytest.raises(DataError, match="is not TOML"):
        read_toml(broken)


@dataclass(frozen=True)
class Ranged:
    width: Positive = 1.0
    share: Share = 0.5
    count: Count = 1
    levels: tuple[Positive, Positive] = (1.0, 2.0)
    median: float | None = None


def test_numbers_within_their_range_are_taken() -> None:
    given = {"width": 2, "share": 1, "count": 3, "levels": [1, 5], "median": 4}
    assert from_dict(Ranged, given) == Ranged(2.0, 1.0, 3, (1.0, 5.0), 4.0)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"width": 0}, "float above 0"),
        ({"width": float("nan")}, "float above 0"),
        ({"share": 1.1}, "float from 0 to 1"),
        ({"count": 0}, "int 1 or more"),
        ({"count": 1.5}, "int 1 or more"),
        ({"levels": [1, -1]}, "(float above 0, float above 0)"),
        ({"levels": [1]}, "(float above 0, float above 0)"),
    ],
)
def test_numbers_outside_their_range_are_refused(wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_dict(Ranged, wrong)
    assert expected in caught.value.line()


def test_a_range_in_words() -> None:
    assert str(Within(0, 2, above=True)) == "above 0 to 2"
