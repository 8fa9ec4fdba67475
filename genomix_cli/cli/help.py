"""Help that fits a screen: plain text in panels, with whole option names at 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from genomix_cli.options import REQUIRED, Leaf

if TYPE_CHECKING:
    from genomix_cli.cli.command import Command

NAME_COLUMN = 28
FIRST = "Options"
CONFIG_HELP = "TOML file with defaults, a table per command (~/.config/genomix/config.toml)"
GENERAL = {
    "--config FILE": f"{CONFIG_HELP} [$GENOMIX_CONFIG]",
    "-v, --verbose": "Show debug messages too",
    "-q, --quiet": "Show warnings and errors only",
    "-h, --help": "Show this message and exit",
    "--help-all": "Show rarely needed options too",
}
# The common options in two lines, for the help without rare options.
BRIEFLY = {
    "--config FILE": "TOML file with defaults [$GENOMIX_CONFIG]",
    "-v, -q": "More messages (-v), or warnings only (-q)",
}


def write_help(
    ctx: Any, formatter: Any, command: Command, options: Iterable[Leaf], *, everything: bool = True
) -> None:
    """Write the help of a command: usage, what it does, options in panels, examples.

    Without `everything`, the last line gives the number of rare options left out.
    """
    options = [leaf for leaf in options if not leaf.option.hidden]
    shown = [leaf for leaf in options if everything or not leaf.option.rare]
    formatter.write_usage(ctx.command_path, " ".join(ctx.command.collect_usage_pieces(ctx)))
    _paragraphs(formatter, command.help)
    panels: dict[str, list[tuple[str, str]]] = {}
    for leaf in shown:
        panels.setdefault(leaf.option.panel or FIRST, []).append(
            (_names(leaf), described(leaf, command.only_for(leaf.name)))
        )
    # Put the command's own options first and those on running it last.
    ordered = sorted(panels.items(), key=lambda p: (p[0] == "Running") - (p[0] == FIRST))
    left_out = len(options) - len(shown)
    if left_out:  # few enough options for a single list
        listed = [row for _, rows in ordered for row in rows]
        ordered = [("Common options", [*listed, *BRIEFLY.items()])]
    else:
        ordered.append(("General", list(GENERAL.items())))
    for title, rows in ordered:
        _panel(formatter, title, rows)
    write_examples(formatter, command.examples)
    if left_out:
        formatter.write_paragraph()
        formatter.write(f"{left_out} more options: {ctx.command_path} --help-all\n")


def write_group_help(
    ctx: Any,
    formatter: Any,
    text: str,
    commands: Mapping[str, str],
    examples: Iterable[str],
    *,
    usage: str = "COMMAND ...",
    title: str = "Commands",
    options: Mapping[str, str] | None = None,
) -> None:
    """Write the help of a command with subcommands: usage, description, one line for each."""
    formatter.write_usage(ctx.command_path, usage)
    _paragraphs(formatter, text)
    _panel(formatter, title, list(commands.items()))
    if options:
        _panel(formatter, "Options", list(options.items()))
    write_examples(formatter, examples)


def write_examples(formatter: Any, examples: Iterable[str]) -> None:
    """Write the examples, if there are any."""
    rows = list(examples)
    if rows:
        formatter.write_paragraph()
        formatter.write(_heading("Examples:"))
        for example in rows:
            formatter.write(" \\\n".join(_wrapped(example, formatter.width)) + "\n")


def _wrapped(example: str, width: int) -> list[str]:
    """Return the lines of a command, to be joined by backslashes."""
    return textwrap.wrap(
        example,
        width,
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(text: str, width: int) -> list[str]:
    """Wrap a text without breaking names at their hyphens."""
    return textwrap.wrap(text, max(width, 10), break_on_hyphens=False)


def described(leaf: Leaf, only_for: str = "") -> str:
    """Return what an option does, its choices, limits, default and environment variable."""
    option = leaf.option
    text = option.help
    if "|" not in leaf.metavar and not all(f"{name}:" in text for name in leaf.choices):
        text += f": {', '.join(leaf.choices)}"
    notes = [f"for {only_for}"] if only_for else []
    # "0 or more" goes without saying.
    if option.max is not None or (option.min or 0) > 1:
        notes.append(str(option))
    if leaf.is_required:
        notes.append("required")
    elif default := shown_default(leaf):
        notes.append(f"default: {default}")
    if option.env:
        notes.append(f"${option.env}")
    return f"{text} [{'; '.join(notes)}]" if notes else text


def shown_default(leaf: Leaf) -> str:
    """Return the default as a user would type it; empty if it is not informative."""
    if leaf.option.shown:
        return leaf.option.shown
    if leaf.is_flag or leaf.default is REQUIRED or leaf.default in (None, "", ()):
        return ""
    if isinstance(leaf.default, (tuple, dict)):
        return ",".join(map(str, leaf.default))
    return f"{leaf.default:g}" if isinstance(leaf.default, float) else str(leaf.default)


def _names(leaf: Leaf) -> str:
    """Return the names of an option, such as ``-o, --output PATH``, short name first."""
    if not leaf.flags:
        return leaf.metavar
    flags = [flag.lstrip("/") for flag in sorted(leaf.flags, key=lambda f: f.startswith("--"))]
    return f"{', '.join(flags)} {leaf.metavar}".rstrip()


def _paragraphs(formatter: Any, text: str) -> None:
    for paragraph in text.split("\n\n"):
        formatter.write_paragraph()
        for line in _lines(" ".join(paragraph.split()), formatter.width - 2):
            formatter.write(f"  {line}\n")


def _panel(formatter: Any, title: str, rows: list[tuple[str, str]]) -> None:
    formatter.write_paragraph()
    formatter.write(_heading(f"{title}:"))
    column = min(max(len(name) for name, _ in rows), NAME_COLUMN) + 2
    for name, text in rows:
        lines = _lines(text, formatter.width - 2 - column)
        # A name that is too long for its column gets its own line.
        if len(name) + 2 > column:
            formatter.write(f"  {name}\n")
            name = ""
        for i, line in enumerate(lines or [""]):
            formatter.write(f"  {name if i == 0 else '':<{column}}{line}".rstrip() + "\n")


def _heading(text: str) -> str:
    return typer.style(text, bold=True) + "\n"
