"""Checks of every command, which include new ones automatically."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from genomix_cli.cli.command import RequestCommand
from genomix_cli.cli.docs import render, run_format_blocks
from genomix_cli.cli.main import CHAIN, app
from genomix_cli.formats import run_folder
from genomix_cli.formats.docs import refresh
from genomix_cli.options import REQUIRED, Leaf, leaves
from tests.commands import COMMANDS, ROOT

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = {"--verbose", "--quiet", "--config", "--help-all"}
# Options that are the same wherever a command has one.
# Not --model: to `train` it is a kind of model, to the others a trained one.
ONCE = {"--threads", "--device", "--seed", "--force"}
# Every option there was before options were written on requests: none may be lost.
BEFORE = json.loads((Path(__file__).parent / "interface.json").read_text())
# Defaults that are spelled in another way than they were.
RESPELLED = {
    *(("train variants", "--hold-out"), ("simulate genome", "--size")),
    ("train variants", "--span"),  # 12 for gmt; other models have another
}
# The domains that the input chooses, by verb.
BY_INPUT = ("train", "score", "explain", "evaluate")
EACH = pytest.mark.parametrize(
    ("words", "command"), [pytest.param(w, c, id=" ".join(w)) for w, c in COMMANDS.items()]
)
# Lines of help, on a terminal of either width.
SCREEN, WIDTHS = 45, (80, 100)
FIRST_PAGES = ["README.md", *(f"docs/{p}.md" for p in ("index", "first_steps", "own_variants"))]
GROUPS = [(), *sorted({words[:1] for words in COMMANDS if len(words) > 1})]


def flags(command: Any) -> dict[str, Any]:
    """Option to its Click parameter."""
    return {
        flag: parameter
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("-")
    }


def leaf_of(command: RequestCommand, flag: str) -> Leaf | None:
    """The option behind a flag; None for those of every command."""
    return command.by_name.get(str(flags(command)[flag].name))


def help_of(words: tuple[str, ...], flag: str = "--help", columns: int = 80) -> str:
    """Help as it is on a terminal of so many columns."""
    with patch.dict(os.environ, COLUMNS=str(columns)), redirect_stdout(StringIO()) as printed:
        app([*words, flag], prog_name="genomix", standalone_mode=False)
    return printed.getvalue()


def test_the_chain_is_complete() -> None:
    assert {words[0] for words in COMMANDS} == set(CHAIN)


@pytest.mark.parametrize("name", list(BEFORE))
def test_every_option_of_before_is_accepted(name: str) -> None:
    command = COMMANDS[tuple(name.split())]
    now = flags(command)
    for long, option in BEFORE[name].items():
        assert set(option["flags"]) <= set(now), long
        parameter = now[long]
        assert parameter.multiple == option.get("repeated", False), long
        assert bool(parameter.is_flag or parameter.count) == (
            option.get("switch", False) or long == "--verbose"
        ), long
        assert (parameter.envvar or None) == option.get("environment"), long
        leaf = leaf_of(command, long)
        if leaf is None:
            continue
        assert option.get("min") in (None, leaf.option.min), long
        assert option.get("max") in (None, leaf.option.max), long
        assert long.removeprefix("--") in command.known
        if long == "--no-control":
            continue
        if option.get("required"):
            assert leaf.is_required, long
        elif (name, long) not in RESPELLED:
            assert not leaf.is_required or long == "--output", long
            if "default" in option:
                given = option["default"]
                value = given if leaf.is_flag else leaf.convert(str(given))
                assert leaf.default == value, long
            elif not leaf.is_required:
                assert leaf.default in (None, False, "", (), {}) or leaf.option.shown, long


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
def test_help_is_one_line_without_a_full_stop(words: tuple[str, ...], command: Any) -> None:
    for leaf in command.by_name.values():
        assert not re.search(r"[^.]\.$", leaf.option.help), leaf.flag
        assert "\n" not in leaf.option.help


@EACH
def test_names_follow_one_spelling(words: tuple[str, ...], command: Any) -> None:
    for flag, parameter in flags(command).items():
        assert re.fullmatch(r"--[a-z]+(-[a-z0-9]+)*|-[a-zA-Z]", flag)
        if parameter.envvar:
            assert str(parameter.envvar).startswith("GENOMIX_")
    # Click before 8.2 makes the names of arguments lower case.
    assert all(name == name.lower() for name in command.by_name)


@EACH
def test_values_are_texts_until_the_request_checks_them(
    words: tuple[str, ...], command: Any
) -> None:
    """Defaults come from the request; Click has none."""
    for leaf in command.by_name.values():
        assert leaf.is_required or leaf.default is not REQUIRED


def test_shared_options_are_the_same_everywhere() -> None:
    for flag in ONCE:
        kinds = {
            (p.help, str(p.envvar), tuple(sorted(p.opts)))
            for command in COMMANDS.values()
            for name, p in flags(command).items()
            if name == flag
        }
        assert len(kinds) == 1, f"{flag}: {kinds}"


@EACH
def test_an_option_is_of_one_kind_in_all_tasks(words: tuple[str, ...], command: Any) -> None:
    """Click knows only the option of the first task, and would not pass the value of another."""
    for action in command.spec.tasks.values():
        for leaf in leaves(action.request):
            first = command.by_name[leaf.name]
            assert (leaf.is_flag, leaf.is_list) == (first.is_flag, first.is_list), leaf.flag


@EACH
def test_no_option_name_is_cut(words: tuple[str, ...], command: Any) -> None:
    text = help_of(words, "--help-all")
    shown = [leaf for leaf in command.by_name.values() if not leaf.option.hidden]
    for leaf in shown:
        for flag in leaf.flags:
            assert flag.lstrip("/") in text
        assert leaf.metavar in text
    assert max(map(len, text.splitlines())) <= 80


@EACH
def test_a_panel_is_at_most_a_screen(words: tuple[str, ...], command: Any) -> None:
    for panel in help_of(words, "--help-all").split("\n\n"):
        assert len(panel.splitlines()) <= 30, panel


@EACH
@pytest.mark.parametrize("columns", WIDTHS)
def test_help_fits_a_screen_and_says_what_it_leaves_out(
    words: tuple[str, ...], command: Any, columns: int
) -> None:
    text = help_of(words, columns=columns)
    assert len(text.splitlines()) <= SCREEN
    assert max(map(len, text.splitlines())) <= columns
    assert text.startswith(f"Usage: genomix {' '.join(words)} [OPTIONS]")
    options = [leaf for leaf in command.by_name.values() if not leaf.option.hidden]
    shown = [leaf for leaf in options if leaf_is_listed(leaf, text)]
    assert [leaf.flag for leaf in options if leaf.is_required and leaf not in shown] == []
    rare = len(options) - len(shown)
    end = text.splitlines()[-1]
    assert end == f"{rare} more options: genomix {' '.join(words)} --help-all" or not rare
    everything = help_of(words, "--help-all", columns=columns)
    # A name that breaks at its hyphen cannot be copied.
    assert re.findall(r".*\w-$", f"{text}\n{everything}", flags=re.MULTILINE) == []
    assert all(leaf_is_listed(leaf, everything) for leaf in options)
    assert rare or text == everything


def test_an_argument_that_may_be_left_out_is_in_brackets(genomix_fast: Any) -> None:
    for words, usage in (
        (("score", "variants"), "[VCF]"),
        (("explain", "variants"), "[VCF]"),
        (("prepare", "cohort"), "[FILE...]"),
        (("train", "variants"), "SHARD.h5"),
        (("prepare", "sequences"), "INPUT..."),
    ):
        expected = f"Usage: genomix {' '.join(words)} [OPTIONS] {usage}\n"
        assert help_of(words).startswith(expected)
        assert genomix_fast(*words, "--no-such-option", code=2).err.startswith(expected)


def leaf_is_listed(leaf: Leaf, text: str) -> bool:
    """Return True if a line of help begins with the option's names."""
    names = ", ".join(flag.lstrip("/") for flag in sorted(leaf.flags, key=lambda f: f[:2] == "--"))
    start = f"  {names or leaf.metavar}"
    return any(f"{line} ".startswith(f"{start} ") for line in text.splitlines())


def test_help_has_every_option_of_the_first_pages() -> None:
    verbs = {words[0]: ROOT.get_command(None, words[0]) for words in COMMANDS}
    lacking = []
    for page in FIRST_PAGES:
        text = re.sub(r"\\\n\s*", " ", (REPOSITORY / page).read_text())
        for _, verb, rest in re.findall(r"^( {4}|)\S*genomix (\w+) (.*)", text, re.MULTILINE):
            group = getattr(verbs[verb], "commands", {verb: verbs[verb]})
            word = rest.split()[0]
            own = [group[word]] if word in group else group.values()
            shown = {
                f
                for command in own
                for leaf in command.by_name.values()
                for f in leaf.flags
                if not leaf.option.rare
            } | {"--config", "--help"}
            used = re.findall(r"(?<= )--?[a-zA-Z][\w-]*", rest.partition("#")[0])
            lacking += [(page, verb, flag) for flag in used if flag not in shown]
    assert not lacking


@pytest.mark.parametrize("words", GROUPS, ids=lambda words: " ".join(words) or "genomix")
def test_the_help_of_a_verb_fits_a_screen(words: tuple[str, ...]) -> None:
    assert len(help_of(words).splitlines()) <= SCREEN


def examples() -> list[str]:
    """Every example of any help."""
    verbs = [ROOT.get_command(None, words[0]) for words in GROUPS if words]
    own = [text for command in COMMANDS.values() for text in command.spec.examples]
    return list(dict.fromkeys([*own, *(text for verb in verbs for text in verb.verb.examples)]))


@EACH
def test_there_are_examples(words: tuple[str, ...], command: Any) -> None:
    assert command.spec.examples


@pytest.mark.parametrize("example", examples())
def test_examples_use_options_that_exist(example: str) -> None:
    _, *words = shlex.split(example)
    group = ROOT.get_command(None, words[0])
    if not hasattr(group, "verb"):
        command = group
    else:
        word = words[1] if words[1] in group.commands else None
        assert word or group.verb.by_input, example
        command = group.commands[word] if word else None
    known = (
        set(flags(command))
        if command
        else {flag for each in group.commands.values() for flag in flags(each)}
    )
    assert {word for word in words if re.match(r"--?[a-zA-Z]", word)} <= known


CHEAP = [
    text
    for text in examples()
    if re.match(
        r"genomix (inspect|simulate|prepare) .*test_data|genomix simulate cohort .*--print-params",
        text,
    )
]


@pytest.mark.parametrize("example", CHEAP)
def test_cheap_examples_run(example: str, tmp_path: Path, genomix: Any) -> None:
    (tmp_path / "test_data").symlink_to(REPOSITORY / "test_data")
    genomix(*shlex.split(example)[1:], cwd=tmp_path)


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
    table = words[0] if words[0] in BY_INPUT else ".".join(words)
    settings.write_text(f"[{table}]\nno-such-key = 1\n")
    process = genomix(*words, "--config", settings, code=2)
    assert process.stderr.startswith("genomix: error: ")
    assert "no-such-key" in process.stderr
    assert len(process.stderr.splitlines()) == 1


def test_a_missing_settings_file(genomix: Any, tmp_path: Path) -> None:
    process = genomix("score", "x.vcf", "--config", tmp_path / "absent.toml", code=1)
    assert "absent.toml" in process.stderr


def test_the_reference_page_is_up_to_date() -> None:
    assert (REPOSITORY / "docs" / "commands.md").read_text() == render()
    page = (REPOSITORY / "docs" / "run_format.md").read_text()
    assert page == refresh(page, run_format_blocks())
    assert f"`{run_folder.FORMAT}`, version {run_folder.FORMAT_VERSION}\n" in page
    assert f"\n- {run_folder.FORMAT_VERSION}: " in page
    for name in (run_folder.CONFIG, run_folder.WEIGHTS, run_folder.REQUEST, run_folder.DIGEST):
        assert f"`{name}`" in page


def test_the_settings_of_the_test_data_are_known() -> None:
    settings = tomllib.loads((REPOSITORY / "test_data" / "genomix.toml").read_text())
    assert set(settings["score"]) <= set(COMMANDS["score", "variants"].known)


def test_requests_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from genomix_cli.variants.requests import evaluate, explain, prepare\n"
        "from genomix_cli.variants.requests import score, simulate, train\n"
        "from genomix_cli.cohorts import requests\n"
        "from genomix_cli.sequences.requests import evaluate, explain, prepare\n"
        "from genomix_cli.sequences.requests import score, simulate, train\n"
        "from genomix_cli.comparison import requests\n"
        "print(*{'torch', 'numpy', 'h5py', 'pysam', 'pandas'} & set(sys.modules))\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout == "\n", process.stderr


def test_all_faults_of_a_call_are_in_one_line(genomix: Any) -> None:
    process = genomix("train", "cohort", "--folds", "x", "--model", "y", code=2)
    assert len(process.stderr.splitlines()) == 1
    for told in ("COHORT.h5mu is missing", "--output is missing", "--folds", "--model: unknown"):
        assert told in process.stderr


def test_the_fields_of_a_request_have_one_option_each() -> None:
    for command in COMMANDS.values():
        for action in command.spec.tasks.values():
            names = [leaf.name for leaf in leaves(action.request)]
            assert len(names) == len(set(names))
