"""All commands of the command line, with their options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from genomix_cli.cli.main import app

ROOT: Any = typer.main.get_command(app)


def _walk(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from _walk(command, (*words, name))
        else:
            yield (*words, name), command


#: Click command by the words that call it.
COMMANDS: dict[tuple[str, ...], Any] = dict(_walk(ROOT))


def spellings(words: Sequence[str]) -> set[str]:
    """Return the options that may follow `words`; without a domain, those of all domains."""
    start = next((tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in COMMANDS), None)
    start = start or tuple(words[:1])
    own = [command for name, command in COMMANDS.items() if name[: len(start)] == start]
    assert own, words
    return {
        flag
        for command in own
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("-")
    } | {"--help", "-h"}
