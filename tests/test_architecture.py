"""The shape of the house: no circles of imports, and functions that a reader can keep in mind."""

from __future__ import annotations

from benchmarks.house import circles, count_lines, functions, imports

LONGEST = 100
# Commands whose options are written out in their signature, until these come from requests.
SIGNATURES = {"genomix_cli.cli"}


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circles(imports()) == []


def test_circles_are_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": {"f"}, "f": {"e"}}
    assert circles(graph) == [["a", "b", "c"], ["e", "f"]]


def test_no_function_is_longer_than_a_reader_can_follow() -> None:
    long = [name for name, n in functions().items() if n > LONGEST]
    assert [name for name in long if name.rsplit(".", 1)[0] not in SIGNATURES] == []


def test_lines_are_counted() -> None:
    source = (
        '"""One.\n\nTwo."""\n\n# why\nx = "a"\n\n\ndef f():\n    """Do."""\n    return 1  # so\n'
    )
    assert count_lines(source) == (3, 4, 1)
