"""Every block of README.md and docs/*.md runs as it stands, or says that it is a template.

The blocks of a page run in its order, in one folder with test_data/ in it. A block of shell or
Python is a template if one of its lines says so: `# template`. A block of YAML is a file, named by
its first line. Blocks of Python share their names; after prompts (pycon), what is printed is
compared. The examples of docs/commands.md, which is generated, have tests of their own; so have
docs/adding-a-*.md and docs/pipelines.
"""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import ROOT, Ended, Shell

PAGES = [Path("README.md"), *sorted(p.relative_to(ROOT) for p in ROOT.glob("docs/*.md"))]
PAGES = [page for page in PAGES if page.name != "commands.md" and "adding-a-" not in page.name]
TEMPLATE = "# template"
#: What a line of shell begins with: an indented block without one is a picture or a formula.
PROGRAMS = ("genomix", "awk", "bcftools", "pip", "python", "python3", "printf", "benchmarks")
#: What takes more than seconds: run with -m slow alone, with all that reads what it writes.
SLOW = re.compile(r"genomix (train|doctor|score|simulate sequences|inspect .* --plots)\b")
OUTPUT = re.compile(r"(?:-o|--output|--plots|--embeddings|>) ([^\s-]\S*)")


class Block(NamedTuple):
    """Text between fences, or indented, with the language after the opening fence."""

    language: str
    text: str

    @property
    def is_template(self) -> bool:
        return any(line.lstrip().startswith(TEMPLATE) for line in self.text.splitlines())

    @property
    def commands(self) -> list[str]:
        """Lines of shell without comments; those that go on, or within quotes, joined."""
        text = re.sub(r"\\\n\s*", " ", self.text).replace(" &&\n", "\n")
        text = re.sub(r"(^|\s+)# .*", "", text, flags=re.MULTILINE)
        return re.findall(r"\S(?:'[^']*'|[^'\n])*", text)


def blocks_of(page: Path) -> list[Block]:
    text = re.sub(r"<!--.*?-->", "", (ROOT / page).read_text(), flags=re.DOTALL)
    found = re.finditer(
        r"^ *```(?P<language>\w*)\n(?P<fenced>.*?)^ *```$"
        r"|(?<=\n\n)(?P<indented>(?:    [^\n]*\n+)+)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    blocks = []
    for block in found:
        if block["fenced"] is not None:
            blocks.append(Block(block["language"], block["fenced"]))
        elif any(line.split()[:1] and is_program(line) for line in block["indented"].splitlines()):
            blocks.append(Block("bash", re.sub("^    ", "", block["indented"], flags=re.MULTILINE)))
    return blocks


def is_program(line: str) -> bool:
    return line.split()[0].split("/")[0] in PROGRAMS and "->" not in line


def test_blocks_are_found() -> None:
    assert len(blocks_of(Path("README.md"))) >= 5
    assert sum(len(blocks_of(page)) for page in PAGES) > 40


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_block_is_of_a_known_kind(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in ("bash", "python", "pycon", "yaml"), block.text
        if block.language == "yaml":
            assert re.match(r"# [\w.-]+\n", block.text)


def test_few_blocks_are_templates() -> None:
    templates = [block for page in PAGES for block in blocks_of(page) if block.is_template]
    assert len(templates) <= 16


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_blocks_run(
    page: Path,
    genomix_fast: Callable[..., Ended],
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> None:
        if re.fullmatch(r"genomix [^|<>;&$`*]*", command):
            genomix_fast(*shlex.split(command)[1:])
        else:
            shell(command, tmp_path)

    run_page(page, tmp_path, run, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_all_blocks_run(page: Path, shell: Shell, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path, lambda command: shell(command, tmp_path), slow=True)


def run_page(page: Path, folder: Path, run: Callable[[str], Any], *, slow: bool) -> None:
    """Run the blocks of a page in a folder; without `slow`, none that takes long."""
    (folder / "test_data").symlink_to(ROOT / "test_data")
    (folder / "runs").mkdir()
    lacking: set[str] = set()
    names: dict[str, Any] = {}
    for block in blocks_of(page):
        if block.is_template:
            continue
        if block.language == "yaml":
            (folder / block.text.split("\n")[0][2:]).write_text(block.text)
        elif block.language in ("python", "pycon"):
            if not lacking & set(re.findall(r'"([^"]*)"', block.text)):
                run_python(page, block, names)
        else:
            for command in commands_to_run(block, lacking, slow=slow):
                run(command)


def run_python(page: Path, block: Block, names: dict[str, Any]) -> None:
    if block.language == "python":
        exec(compile(block.text, str(page), "exec"), names)
        return
    session = doctest.DocTestParser().get_doctest(block.text, names, str(page), str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    runner.run(session, out=said.append, clear_globs=False)
    names.update(session.globs)
    assert not runner.failures, "".join(said)


def commands_to_run(block: Block, lacking: set[str], *, slow: bool) -> Iterator[str]:
    """Yield commands; what those left out would have written is added to `lacking`."""
    for command in block.commands:
        if command.split()[0].rpartition("/")[2] in ("pip", "python3", "pytest"):
            continue  # installation, and this: `.ci/run` does it
        if command.startswith("bcftools ") and not shutil.which("bcftools"):
            continue
        command = command.removeprefix(".venv/bin/")
        words = {word for part in command.split() for word in (part, part.partition("=")[2])}
        reads = {word for word in words for out in lacking if f"{word}/".startswith(f"{out}/")}
        if reads or (not slow and SLOW.match(command)):
            lacking.update(OUTPUT.findall(command))
        else:
            yield command
