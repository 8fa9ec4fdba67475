"""Dataclasses to plain data and back; every problem of a configuration at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genomix_cli.config import from_dict, read_toml, to_dict
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
