"""Docstrings open with a sentence that says what a thing does or is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "genomix_cli"
#: "What came of it", "Whether ...", "Of AdamW": fragments that a reader must complete.
FRAGMENT = re.compile(r"(What|Which|How|Who|Whether|Of|Where|Why|Nothing but)\b|.*\bcame of it\b")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and text of each docstring of a module."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text


def fragments(path: Path) -> list[str]:
    name = path.relative_to(PACKAGE)
    return [
        f"{name}:{line}: {text.splitlines()[0]}"
        for line, text in docstrings(path)
        if FRAGMENT.match(text)
    ]


def test_docstrings_open_with_a_statement() -> None:
    wrong = [text for path in PACKAGE.rglob("*.py") for text in fragments(path)]
    assert not wrong, "\n".join(sorted(wrong))
