"""One line says what, where, expected, found and what to do."""

from __future__ import annotations

import pytest

from genomix_cli import errors


def test_line_has_every_part_in_order() -> None:
    error = errors.DataError(
        "wrong version", where="a.h5", expected="1", found="2", hint="run: genomix prepare"
    )
    assert error.line() == "a.h5: wrong version (expected 1, found 2); run: genomix prepare"
    assert str(error) == error.line()


def test_line_is_one_line() -> None:
    assert errors.GenomixError("first\n  second").line() == "first second"


def test_parts_that_are_missing_leave_no_trace() -> None:
    assert errors.GenomixError("bad").line() == "bad"
    assert errors.GenomixError("bad", found="x").line() == "bad (found x)"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.GenomixError, 1),
        (errors.DataError, 1),
        (errors.UsageError, 2),
        (errors.CheckError, 3),
    ],
)
def test_exit_codes(kind: type[errors.GenomixError], code: int) -> None:
    assert kind("x").exit_code == code


def test_missing_extra_says_what_to_install() -> None:
    error = errors.MissingExtraError("cooler", "hic")
    assert error.exit_code == 1
    assert error.line() == "cooler is not installed; run: pip install 'genomix-toolkit[hic]'"
