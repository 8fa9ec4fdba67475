"""The reference pages of commands and of run folders, from what the commands use.

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


_RUN = """\
# Run folders

Generated from `genomix_cli/formats/run_folder.py` and the configuration classes that it stores. Do
not edit: run `make docs`.

`genomix train` writes a folder; `score`, `explain`, `evaluate`, `inspect` and `train --init` read
it. Every file appears whole or not at all, and nothing is unpickled. A run is resumed under its own
settings only; those that may differ are {ignored}.
"""


def render_run_format() -> str:
    """Return the page on run folders, Markdown."""
    from genomix_cli.cohorts.runs import RunConfig as CohortConfig
    from genomix_cli.formats.run_folder import DIGEST, FILES, FORMAT, HISTORY, IGNORED_ON_RESUME
    from genomix_cli.sequences.runs import RunConfig as SequenceConfig
    from genomix_cli.variants.trained import ModelConfig

    ignored = ", ".join(f"`{name}`" for name in IGNORED_ON_RESUME)
    lines = [_RUN.format(ignored=ignored), "| file | written by | |", "|---|---|---|"]
    lines += [f"| `{file.name}` | {file.of} | {file.text} |" for file in FILES]
    lines += [
        f"\n## config.json: `{FORMAT}`, version {len(HISTORY)}\n",
        "All have `format`, `format_version`, `domain` (absent in the first runs of variants) and "
        f"`{DIGEST}`,\nthe digest of `model.safetensors`, which is checked on reading.",
    ]
    configs = {"variants": ModelConfig, "cohorts": CohortConfig, "sequences": SequenceConfig}
    for domain, config in configs.items():
        lines += [f"\n### {domain}\n", "| key | type | |", "|---|---|---|"]
        lines += [f"| `{name}` | {kind} | {text} |" for name, kind, text in _attributes(config)]
    lines += ["\n## Versions\n", *(f"- {n}: {text}" for n, text in enumerate(HISTORY, 1)), ""]
    return "\n".join(lines)


def _attributes(config: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of the attributes that a docstring lists."""
    listed = (inspect.getdoc(config) or "").partition("----------\n")[2]
    for match in re.finditer(r"^(\w[\w, ]*) : (.*)((?:\n {4}.*)*)", listed, re.MULTILINE):
        yield match[1], match[2], _cell(" ".join(match[3].split()))


if __name__ == "__main__":
    for path, text in zip(sys.argv[1:], (render(), render_run_format()), strict=True):
        Path(path).write_text(text)
