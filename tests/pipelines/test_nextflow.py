"""The Nextflow modules by their text: Nextflow itself is not among the tools of the tests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.commands import spellings
from tests.pipelines.conftest import PIPELINES

yaml = pytest.importorskip("yaml")

NEXTFLOW = PIPELINES / "nextflow"
MODULES = sorted(path.parent for path in NEXTFLOW.glob("modules/local/*/*/main.nf"))
OURS = [folder for folder in MODULES if folder.parent.name == "genomix"]
EACH = pytest.mark.parametrize("module", MODULES, ids=lambda folder: folder.name)
SECTIONS = ["input", "output", "when", "script", "stub"]
GROOVY = sorted(
    [*NEXTFLOW.rglob("*.nf"), *NEXTFLOW.rglob("*.config"), *NEXTFLOW.rglob("*.nf.test")]
)
CONFIGS = sorted(NEXTFLOW.rglob("*.config"))


def process_name(module: Path) -> str:
    return f"{module.parent.name}_{module.name}".upper()


def sections(module: Path) -> dict[str, str]:
    """Name to text; the directives above the first are "directives"."""
    body = (module / "main.nf").read_text().partition("{")[2]
    parts = re.split(rf"^    ({'|'.join(SECTIONS)}):\n", body, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    return {"directives": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def channels(text: str) -> list[tuple[list[str], str | None]]:
    """Elements and `emit` of each line of an input or output section."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        elements = re.findall(r"(?:val|path|eval)\((\"[^\"]*\"|'[^']*'|\w+)\)", line)
        emit = re.search(r"emit: (\w+)", line)
        found.append(([e[1:-1] if e[0] in "\"'" else e for e in elements], emit and emit[1]))
    return found  # type: ignore[return-value]


def described(group: Any) -> list[str]:
    """Names of the elements of one channel in meta.yml."""
    return [name for element in group for name in element]


def code_of(text: str) -> str:
    """Groovy without comments, and without what stands in strings, where braces need no partner."""
    strings = r"'''.*?'''|\"\"\".*?\"\"\"|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(rf"({strings})|//[^\n]*", lambda m: "''" if m[1] else "", text, flags=re.DOTALL)


@pytest.mark.parametrize("path", GROOVY, ids=lambda path: str(path.relative_to(NEXTFLOW)))
def test_brackets_are_paired(path: Path) -> None:
    open_ones: list[str] = []
    for sign in re.findall(r"[(){}\[\]]", code_of(path.read_text())):
        if sign in "({[":
            open_ones.append(sign)
        else:
            assert open_ones, f"{sign} closes nothing"
            assert open_ones.pop() + sign in ("()", "{}", "[]")
    assert not open_ones


@EACH
def test_a_process_has_its_parts(module: Path) -> None:
    parts = sections(module)
    assert f"process {process_name(module)} {{" in (module / "main.nf").read_text()
    directives = re.findall(r"^    (\w+) ", parts["directives"], re.MULTILINE)
    assert directives == ["tag", "label", "conda", "container"]
    assert 'conda "${moduleDir}/environment.yml"' in parts["directives"]
    assert parts["when"].strip() == "task.ext.when == null || task.ext.when"
    assert "task.ext.args ?: '" in parts["script"]
    assert "${args}" in parts["script"]
    if "${prefix}" in parts["output"]:
        assert all("prefix = task.ext.prefix ?:" in parts[name] for name in ("script", "stub"))
    for name in ("script", "stub"):
        assert parts[name].count('"""') == 2


@EACH
def test_every_output_is_made_by_script_and_stub(module: Path) -> None:
    parts = sections(module)
    for elements, _ in channels(parts["output"])[:-1]:
        made = elements[1].removeprefix("*")
        # A run folder has its files, tabix puts the index beside the file.
        if made != "${prefix}/metrics.json" and module.name != "tabix":
            assert made in parts["script"], made
        assert made in parts["stub"], made


@EACH
def test_versions_are_reported(module: Path) -> None:
    # The output belongs to script and stub alike.
    tool = module.parent.name
    versions = sections(module)["output"].strip().splitlines()[-1].strip()
    start = f'tuple val("${{task.process}}"), val(\'{tool}\'), eval("{tool} --version'
    assert versions.startswith(start)
    assert versions.endswith(f"topic: versions, emit: versions_{tool}")


@EACH
def test_the_description_is_of_this_process(module: Path) -> None:
    described_as = yaml.safe_load((module / "meta.yml").read_text())
    parts = sections(module)
    assert described_as["name"] == process_name(module).lower()
    inputs = [elements for elements, _ in channels(parts["input"])]
    assert [described(group) for group in described_as["input"]] == inputs
    outputs = {emit: elements for elements, emit in channels(parts["output"])}
    assert {emit: described(g[0]) for emit, g in described_as["output"].items()} == outputs
    assert described(described_as["topics"]["versions"][0]) == list(outputs.values())[-1]
    for field in ("description", "keywords", "tools", "authors", "maintainers"):
        assert described_as[field]


@EACH
def test_the_environment_has_the_tool(module: Path) -> None:
    environment = yaml.safe_load((module / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "bioconda"]
    tool = {"genomix": "genomix-toolkit", "tabix": "htslib"}.get(
        module.parent.name, module.parent.name
    )
    assert tool in json.dumps(environment["dependencies"])


COMMANDS = {
    "GENOMIX_PREPARE": "prepare variants",
    "GENOMIX_PREPARE_LABELLED": "prepare variants",
    "GENOMIX_TRAIN": "train",
    "GENOMIX_SCORE": "score",
}


@pytest.mark.parametrize("module", OURS, ids=lambda folder: folder.name)
def test_the_options_of_a_process_exist(module: Path) -> None:
    words = COMMANDS[process_name(module)]
    script = sections(module)["script"]
    assert re.search(rf"^    genomix {words} \\\\$", script, re.MULTILINE)
    used = set(re.findall(r"(--[a-z][a-z-]*)", script))
    assert used
    assert used <= spellings(words.split())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(NEXTFLOW)))
def test_the_options_of_a_setting_exist(path: Path) -> None:
    text = re.sub(r"//[^\n]*", "", path.read_text())
    blocks = re.findall(r"withName: (\w+) \{(.*?)\n    \}", text, re.DOTALL)
    known = {process_name(module) for module in MODULES} | {"GENOMIX_PREPARE_LABELLED"}
    assert {name for name, _ in blocks} <= known
    steps = {"prepare_args": "prepare variants", "train_args": "train", "score_args": "score"}
    pairs = [(COMMANDS[name], body) for name, body in blocks if name in COMMANDS]
    pairs += [(steps[n], v) for n, v in re.findall(r"(\w+_args) = '([^']*)'", text)]
    for words, body in pairs:
        assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", body)) <= spellings(words.split())


@pytest.mark.parametrize("module", OURS, ids=lambda folder: folder.name)
def test_there_are_tests_for_nf_test(module: Path) -> None:
    text = (module / "tests" / "main.nf.test").read_text()
    assert f'process "{process_name(module)}"' in text
    assert 'options "-stub"' in text
    n = len(channels(sections(module)["input"]))
    when = re.findall(r"when \{(.*?)\n        then", text, re.DOTALL)
    assert [sorted(set(re.findall(r"input\[(\d)\] =", block))) for block in when] == [
        [str(i) for i in range(n)]
    ] * len(when)
    for name in re.findall(r"\{data\}/([\w.]+)", text):
        assert (PIPELINES.parents[1] / "test_data" / name).exists(), name


def test_the_workflow_includes_what_is_there() -> None:
    text = (NEXTFLOW / "main.nf").read_text()
    includes = re.findall(r"include \{ (\w+)(?: as (\w+))? \} from '(.*)'", text)
    assert {name for name, _, _ in includes} == {process_name(module) for module in MODULES}
    for name, alias, path in includes:
        assert f"process {name} {{" in (NEXTFLOW / f"{path}.nf").read_text()
        assert re.search(rf"^    {alias or name}\(", text, re.MULTILINE), f"{name} is not used"


def test_the_workflow_passes_what_processes_take() -> None:
    text = (NEXTFLOW / "main.nf").read_text()
    for name, alias, path in re.findall(r"include \{ (\w+)(?: as (\w+))? \} from '(.*)'", text):
        call = re.search(rf"^    {alias or name}\((.*)\)$", text, re.MULTILINE)
        assert call
        # Commas inside of brackets are of the argument.
        arguments = call[1]
        while (shorter := re.sub(r"\([^()]*\)|\[[^][]*\]|\{[^{}]*\}", "", arguments)) != arguments:
            arguments = shorter
        takes = channels(sections((NEXTFLOW / path).parent)["input"])
        assert arguments.count(",") + 1 == len(takes), name


def test_parameters_are_declared_once_for_all() -> None:
    config = (NEXTFLOW / "nextflow.config").read_text()
    block = re.search(r"^params \{\n(.*?)^\}", config, re.MULTILINE | re.DOTALL)
    assert block
    declared = dict(re.findall(r"^    (\w+) = (.*)$", block[1], re.MULTILINE))
    schema = json.loads((NEXTFLOW / "nextflow_schema.json").read_text())
    properties = {
        k: v for group in schema["$defs"].values() for k, v in group["properties"].items()
    }
    assert set(properties) == set(declared)
    defaults = {name: value.strip("'") for name, value in declared.items() if value != "null"}
    assert {k: v["default"] for k, v in properties.items() if "default" in v} == defaults
    used = {n for p in GROOVY for n in re.findall(r"\bparams\.(\w+)", p.read_text())}
    assert used == set(declared)


def test_the_page_says_that_it_was_not_run() -> None:
    assert "Nextflow itself has not run it" in (PIPELINES / "README.md").read_text()
