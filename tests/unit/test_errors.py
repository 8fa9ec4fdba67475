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


def test_what_a_library_raises_names_the_file() -> None:
    for error in (
        KeyError("x"),
        RuntimeError("bad heap"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "y"),
    ):
        problem = pytest.raises(errors.DataError, match=r"^a\.h5: obs cannot be read: .*copy it")
        with problem, errors.guarded("a.h5", "obs"):
            raise error
    with pytest.raises(errors.UsageError, match=r"^mine$"), errors.guarded("a.h5"):
        raise errors.UsageError("mine")
    with pytest.raises(KeyboardInterrupt), errors.guarded("a.h5"):
        raise KeyboardInterrupt
    with pytest.raises(errors.DataError, match="more memory than there is"), errors.guarded("a"):
        raise MemoryError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä, 染色体\t1\n", "plain, ä, 染色体\t1\n"),
        ("\x1b[2J\x07\r", r"\x1b[2J\x07\r"),
        ("\x9b31m\x7f\0", r"\x9b31m\x7f\x00"),
        ("\udcff \ud800", r"\udcff \ud800"),
        ("ab\u202egpj.exe", r"ab\u202egpj.exe"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_instead(text: str, shown: str) -> None:
    assert errors.printable(text) == shown
    assert errors.printable(shown) == shown


def test_a_message_is_printable() -> None:
    assert errors.DataError("no \x1b[2J", where="a\x07.h5").line() == r"a\x07.h5: no \x1b[2J"


def test_names_that_are_no_text() -> None:
    errors.check_text(["a", "ä", 1], "sample")
    for name in ("a\0", "b\udcff"):
        with pytest.raises(
            errors.DataError, match=r"the sample .* is not valid text .expected UTF-8"
        ):
            errors.check_text(["a", name], "sample")
