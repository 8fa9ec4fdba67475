"""What holds for every command: a new one is checked here without another line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from genomix_cli.cli import options
from genomix_cli.cli.main import CHAIN, app

SHARED = {"--verbose", "--quiet", "--config"}
# Options that are spelled once, in cli/options.py; wherever a command has one, it is that one.
# Not --model: to `train` it is a kind of model, to the others a trained one.
ONCE = {"--threads", "--device", "--seed", "--force", "--fasta", "--track", "--contacts"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))
EACH = pytest.mark.parametrize(
    ("words", "command"), [pytest.param(w, c, id=" ".join(w)) for w, c in COMMANDS.items()]
)


def flags(command: Any) -> dict[str, Any]:
    """Long option to its parameter."""
    return {
        flag: parameter
        for parameter in command.params
        for flag in parameter.opts
        if flag.startswith("--")
    }


def test_the_chain_is_complete() -> None:
    assert {words[0] for words in COMMANDS} == set(CHAIN)


@EACH
def test_every_command_can_be_asked_for_help_and_hushed(
    words: tuple[str, ...], command: Any
) -> None:
    assert set(flags(command)) >= SHARED


@EACH
def test_everything_is_explained(words: tuple[str, ...], command: Any) -> None:
    assert command.help
    silent = [flag for flag, parameter in flags(command).items() if not parameter.help]
    assert not silent


@EACH
def test_names_follow_one_spelling(words: tuple[str, ...], command: Any) -> None:
    for flag, parameter in flags(command).items():
        assert re.fullmatch(r"--[a-z]+(-[a-z0-9]+)*", flag)
        if parameter.envvar:
            assert str(parameter.envvar).startswith("GENOMIX_")


def test_shared_options_are_the_same_everywhere() -> None:
    for flag in ONCE:
        found = {
            (p.help, str(p.envvar), tuple(sorted(p.opts)))
            for command in COMMANDS.values()
            for name, p in flags(command).items()
            if name == flag
        }
        assert len(found) == 1, f"{flag}: {found}"


@EACH
def test_an_unknown_option_is_a_usage_error(
    words: tuple[str, ...], command: Any, genomix: Any
) -> None:
    process = genomix(*words, "--no-such-option", code=2)
    assert "no-such-option" in process.stderr
    assert process.stdout == ""


@EACH
def test_an_unknown_key_of_the_settings_file(
    words: tuple[str, ...], command: Any, genomix: Any, tmp_path: Path
) -> None:
    settings = tmp_path / "genomix.toml"
    settings.write_text(f"[{'.'.join(words)}]\nno-such-key = 1\n")
    process = genomix(*words, "--config", settings, code=2)
    assert process.stderr.startswith("genomix: error: ")
    assert "no-such-key" in process.stderr
    assert len(process.stderr.splitlines()) == 1


def test_a_missing_settings_file(genomix: Any, tmp_path: Path) -> None:
    process = genomix("score", "x.vcf", "--config", tmp_path / "absent.toml", code=1)
    assert "absent.toml" in process.stderr


def test_tracks_are_pairs_with_one_name_each() -> None:
    from genomix_cli.errors import UsageError

    parsed = options.parse_tracks(["ATAC=a=b.bw", "H3K27ac=c.bw"])
    assert parsed == {"ATAC": Path("a=b.bw"), "H3K27ac": Path("c.bw")}
    assert options.parse_tracks(None) == {}
    for wrong in (["ATAC"], ["=a.bw"], ["ATAC="], ["A=1", "A=2"]):
        with pytest.raises(UsageError, match="--track"):
            options.parse_tracks(wrong)
