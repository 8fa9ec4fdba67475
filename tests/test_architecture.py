"""The architecture: no import cycles, and functions short enough to keep in mind."""

from __future__ import annotations

import re

from benchmarks.house import circles, count_lines, functions, imports, modules

LONGEST = 100


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circles(imports()) == []


def test_circles_are_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": {"f"}, "f": {"e"}}
    assert circles(graph) == [["a", "b", "c"], ["e", "f"]]


def test_no_function_is_longer_than_a_reader_can_follow() -> None:
    assert {name: n for name, n in functions().items() if n > LONGEST} == {}


def test_tables_of_text_are_read_in_one_place() -> None:
    readers = re.compile(r"\b(pd\.read_(csv|table)|csv\.(Dict)?[rR]eader|(load|genfrom)txt)\(")
    found = {name for name, path in modules().items() if readers.search(path.read_text())}
    assert found == {"genomix_cli.genome.tables"}


def test_lines_are_counted() -> None:
    source = (
        '"""One.\n\nTwo."""\n\n# why\nx = "a"\n\n\ndef f():\n    """Do."""\n    return 1  # so\n'
    )
    assert count_lines(source) == (3, 4, 1)
