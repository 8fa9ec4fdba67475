"""The reference page of all commands, from the options that the commands use.

``python -m genomix_cli.cli.docs docs/commands.md``
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from genomix_cli.cli.command import Command
from genomix_cli.cli.help import described
from genomix_cli.cli.main import CHAIN
from genomix_cli.options import Leaf

_INTRODUCTION = """\
# Commands

Generated from the requests in `genomix_cli/*/requests.py`, which the commands use too. Do not edit:
run `make docs`.

Every option can be set in the file of `--config` too, under its name without `--`, in the table of
the command: `[train]`, `[score]`, `[explain]`, `[evaluate]`, `[prepare.variants]`,
`[simulate.cohort]`, and so on. Paths there are relative to the file. The command line comes first,
then environment variables, then the file. All commands have `--config`, `-v`, `-q` and `--help`.
Where a domain is in brackets it may be left out: the input decides.
"""


def render() -> str:
    """The whole page, Markdown."""
    return "\n".join([_INTRODUCTION, *_commands()])


def _commands() -> Iterator[str]:
    for name in CHAIN:
        module = import_module(f"genomix_cli.cli.{name}")
        if not hasattr(module, "VERB"):
            yield from _command(name, module.COMMAND)
            continue
        verb = module.VERB
        for word, domain in verb.domains.items():
            title = f"{name} [{word}]" if verb.by_input else f"{name} {word}"
            yield from _command(title, domain.command)


def _command(title: str, command: Command) -> Iterator[str]:
    yield f"## genomix {title}\n"
    yield f"{command.help}\n"
    yield "| option | |\n|---|---|"
    for leaf in command.leaves():
        if not leaf.option.hidden:
            yield f"| `{_names(leaf)}` | {_cell(described(leaf, command.only_for(leaf.name)))} |"
    if command.examples:
        yield "\n" + "\n".join(f"    {example}" for example in command.examples)
    yield ""


def _names(leaf: Leaf) -> str:
    return _cell(f"{', '.join(leaf.flags)} {leaf.metavar}".strip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
