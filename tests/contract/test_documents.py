"""Statements in the documents and the packaging are true."""

from __future__ import annotations

import gzip
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from genomix_cli.cli.main import CHAIN
from tests.commands import spellings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def examples() -> list[str]:
    """Every ``genomix ...`` line of the first pages, continuation lines joined."""
    pages = (ROOT / "docs" / name for name in ("index.md", "first_steps.md"))
    text = "\n".join([README, *(page.read_text() for page in pages)]).replace("\\\n", " ")
    return re.findall(r"^(?:    |\.venv/bin/)(genomix [a-z].*?)(?: &&)?$", text, re.MULTILINE)


def test_the_first_screen_is_two_commands() -> None:
    before, first, _, second, *_ = re.split(r"```(?:bash)?\n", README)
    title, sentence, weights, commands = before.strip().split("\n\n")
    assert title == "# genomix"
    assert sentence.count(".") == 1
    assert "not for clinical" in " ".join(weights.split())
    assert len(weights.splitlines()) <= 4
    assert "Python 3.11" in commands
    assert "genomix score test_data/variants.vcf.gz" in first
    assert second.strip().endswith("pytest -q -n auto")


@pytest.mark.parametrize("example", examples())
def test_the_examples_use_options_that_exist(example: str) -> None:
    words = shlex.split(example.partition(" | ")[0], comments=True)[1:]
    known = spellings(words)
    assert {word for word in words if re.match(r"--?[a-zA-Z]", word)} <= known


def test_every_command_is_shown() -> None:
    shown = {example.split()[1] for example in examples()}
    assert shown >= set(CHAIN)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert target.startswith("http") or (ROOT / target).exists(), target


def names(requirements: list[str]) -> set[str]:
    found = {re.match(r"[A-Za-z0-9_.-]+", line)[0] for line in requirements}  # type: ignore[index]
    return {name.lower().replace("_", "-") for name in found} - {PROJECT["name"]}


def test_every_dependency_has_a_tested_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = names([line for line in lines if not line.startswith("#")])
    extras = PROJECT["optional-dependencies"]
    asked = names([*PROJECT["dependencies"], *(line for e in extras.values() for line in e)])
    assert asked == pinned


def test_the_tested_versions_are_allowed() -> None:
    requirement = pytest.importorskip("packaging.requirements").Requirement
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    for line in PROJECT["dependencies"]:
        asked = requirement(line)
        assert asked.specifier.contains(tested[asked.name]), line


def test_the_oldest_versions_are_those_that_are_allowed() -> None:
    """The versions in `tests/oldest.txt` can be installed together, as CONTRIBUTING.md says."""
    requirement = pytest.importorskip("packaging.requirements").Requirement
    extras = PROJECT["optional-dependencies"]
    lines = [
        *PROJECT["dependencies"],
        *(x for name, e in extras.items() if name not in ("docs", "test") for x in e),
    ]
    asked = {each.name: each.specifier for each in map(requirement, lines) if each.specifier}
    lowest = {
        name: bound.version
        for name, specifier in asked.items()
        for bound in specifier
        if bound.operator == ">="
    }
    pinned = (ROOT / "tests" / "oldest.txt").read_text().splitlines()
    assert dict(line.split("==") for line in pinned if "==" in line) == lowest
    assert set(asked) == set(lowest)


@pytest.mark.parametrize("name", ["genome.fa.gz", "variants.vcf.gz", "truth.tsv", "genomix.toml"])
def test_the_test_data_are_what_the_simulator_writes(tiny_genome: Path, name: str) -> None:
    def text(path: Path) -> bytes:
        return gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()

    assert text(ROOT / "test_data" / name) == text(tiny_genome / name)
