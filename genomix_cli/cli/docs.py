"""Generate the page on commands and the tables on run folders from the code.

``python -m genomix_cli.cli.docs docs/commands.md docs/run_format.md``
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from genomix_cli.cli.command import Command
from genomix_cli.cli.help import described
from genomix_cli.cli.main import CHAIN
from genomix_cli.formats.docs import refresh, table
from genomix_cli.options import Leaf

_INTRODUCTION = """\
# Commands

Generated from the requests in `genomix_cli/*/requests`, which define the commands. Do not edit:
run `make docs`.

You can also set every option in the `--config` file, under its name without `--`, in the table of
the command: `[train]`, `[score]`, `[explain]`, `[evaluate]`, `[prepare.variants]`,
`[simulate.cohort]`, and so on. Paths in that file are relative to it. The command line takes
precedence over environment variables, and these over the file. All commands have `--config`, `-v`,
`-q`, `--help`, which shows common options, and `--help-all`, which shows all options listed below.
You can leave out a domain in brackets: genomix infers it from the input.

Examples that read `test_data/`, or no files, run as shown. The others are templates: replace their
files by your own, or by the output of an earlier command.
"""


def render() -> str:
    """Return the page on commands in Markdown."""
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


def run_format_blocks() -> dict[str, str]:
    """Return the generated blocks of the page on run folders."""
    from genomix_cli.cohorts.runs import RunConfig as CohortConfig
    from genomix_cli.formats.run_folder import IGNORED_ON_RESUME
    from genomix_cli.sequences.runs import RunConfig as SequenceConfig
    from genomix_cli.variants.trained import ModelConfig

    configs = {"variants": ModelConfig, "cohorts": CohortConfig, "sequences": SequenceConfig}
    tables = {
        domain: table(["key", "type", "meaning"], _attributes(config))
        for domain, config in configs.items()
    }
    return {"ignored": f"{', '.join(f'`{name}`' for name in IGNORED_ON_RESUME)}.\n", **tables}


def _attributes(config: type) -> Iterator[list[str]]:
    """Yield name, type and meaning of the attributes that a docstring lists."""
    listed = (inspect.getdoc(config) or "").partition("----------\n")[2]
    for match in re.finditer(r"^(\w[\w, ]*) : (.*)((?:\n {4}.*)*)", listed, re.MULTILINE):
        yield [f"`{match[1]}`", match[2], _cell(" ".join(match[3].split()))]


if __name__ == "__main__":
    commands, run_format = map(Path, sys.argv[1:])
    commands.write_text(render())
    run_format.write_text(refresh(run_format.read_text(), run_format_blocks()))
