"""Files for installing, citing and releasing genomix agree with the package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from genomix_cli import __version__
from tests.conftest import ROOT

yaml = pytest.importorskip("yaml")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
RECIPE = (ROOT / "packaging/bioconda/genomix-toolkit/meta.yaml").read_text()
#: Names of packages where conda has others.
CONDA = {"torch": "pytorch", "pyBigWig": "pybigwig"}


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["type"] == "software"
    assert (cited["version"], cited["license"]) == (__version__, PROJECT["license"])


def test_the_recipe_needs_what_the_package_needs() -> None:
    text = re.sub(r"\{\{.*?\}\}", "x", re.sub(r"\{%.*?%\}", "", RECIPE))
    recipe: Any = yaml.safe_load(text)
    assert f'version = "{__version__}"' in RECIPE
    pairs = (re.fullmatch(r"([\w.-]+)(.*)", each) for each in PROJECT["dependencies"])
    needed = [f"{CONDA.get(pair[1], pair[1])} {pair[2]}" for pair in pairs if pair]
    assert recipe["requirements"]["run"] == [f"python {PROJECT['requires-python']}", *needed]
    (entry,) = recipe["build"]["entry_points"]
    assert entry == f"genomix = {PROJECT['scripts']['genomix']}"
    assert any(command.startswith("genomix score") for command in recipe["test"]["commands"])


def test_the_image_has_all_that_building_needs_and_runs_as_no_root(tmp_path: Path) -> None:
    copied = {
        name
        for line in re.findall(r"^COPY (.*) /src\S*$", DOCKERFILE, re.M)
        for name in line.split()
    }
    for name in copied:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    assert {PROJECT["readme"], *PROJECT["license-files"], "constraints.txt"} <= copied
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in kept if line.startswith("!")} == copied
    user = re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)
    assert user
    assert user[-1] not in ("root", "0")
    pytest.importorskip("hatchling")
    code = "from hatchling.build import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert list(tmp_path.glob(f"genomix_toolkit-{__version__}-*.whl"))


@pytest.mark.skipif(not shutil.which("hadolint"), reason="needs hadolint")
def test_hadolint_finds_nothing() -> None:
    found = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert not found.stdout


@pytest.mark.parametrize("form", ["bug", "wish"])
def test_forms_are_complete(form: str) -> None:
    asked = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{form}.yml").read_text())
    assert {"name", "description", "body"} <= set(asked)
    ids = [field["id"] for field in asked["body"]]
    assert len(set(ids)) == len(ids)
    for field in asked["body"]:
        assert field["type"] in ("textarea", "input", "checkboxes")
        assert field["attributes"]["label"]


def test_a_release_is_of_the_version_of_the_package() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    # YAML takes the key `on` for true.
    assert workflow[True]["push"]["tags"] == ["v*"]
    steps = workflow["jobs"]["build"]["steps"]
    (check,) = (step["run"] for step in steps if step.get("name") == "The tag is the version")
    for tag, code in ((f"v{__version__}", 0), ("v9.9.9", 1)):
        ended = subprocess.run(
            ["bash", "-c", check], cwd=ROOT, env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
        )
        assert ended.returncode == code
    assert workflow["jobs"]["release"]["needs"] == "build"
    programs = [line.split()[0] for step in steps for line in step.get("run", "").splitlines()]
    assert ".ci/run" in programs
