"""Docstrings open with a sentence that says what a thing does or is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "genomix_cli"
#: Rooms whose docstrings have been rewritten; in the end all of them.
ROOMS = (
    "cohorts/explain",
    "cohorts/fit",
    "cohorts/inspect",
    "cohorts/prepare",
    "cohorts/simulate",
    "variants/explain",
    "variants/prepare",
    "variants/records",
    "variants/score",
    "variants/simulate",
)
#: "What came of it", "Whether ...", "Of AdamW": fragments that a reader must complete.
FRAGMENT = re.compile(
    r"(What|Which|How|Who|Whether|Of|Where|Why|Nothing but)\b|(is|are) there\b|.*\bcame of it\b"
)


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and text of each docstring of a module."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_open_with_a_statement(room: str) -> None:
    fragments = [
        f"{path.relative_to(PACKAGE)}:{line}: {text.splitlines()[0]}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for line, text in docstrings(path)
        if FRAGMENT.match(text)
    ]
    assert not fragments, "\n".join(fragments)
