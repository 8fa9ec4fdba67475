"""The Snakemake workflow gives what one run gives; wrappers and settings have the right form."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import spellings
from tests.conftest import ROOT, Shell, clean_environment
from tests.pipelines.conftest import PIPELINES, text

yaml = pytest.importorskip("yaml")

FOLDER = PIPELINES / "snakemake"
SNAKEFILE = FOLDER / "workflow" / "Snakefile"
CONFIG = FOLDER / "config" / "config.yaml"
WRAPPERS = sorted(path.parent for path in FOLDER.glob("wrappers/*/*/wrapper.py"))
EACH = pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda folder: folder.name)
COMMANDS = {"prepare": "prepare variants", "train": "train", "score": "score"}

Snakemake = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def snakemake(command_path: str) -> Snakemake:
    """Runs snakemake, from an environment of its own: it and genomix want other versions."""
    own = ROOT / ".venv-snakemake" / "bin" / "snakemake"
    program = shutil.which("snakemake") or (str(own) if own.exists() else None)
    if program is None:
        pytest.skip("snakemake is not installed (docs/pipelines/README.md)")

    def run(*arguments: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        process = subprocess.run(
            [program, "--cores", "2", *map(str, arguments)],
            cwd=cwd,
            env=clean_environment(PATH=command_path, XDG_CACHE_HOME=str(cwd / ".cache")),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert process.returncode == code, process.stdout + process.stderr
        return process

    return run


@EACH
def test_a_wrapper_has_its_parts(wrapper: Path) -> None:
    meta = yaml.safe_load((wrapper / "meta.yaml").read_text())
    assert {"name", "description", "authors", "input", "output", "params"} <= set(meta)
    environment = yaml.safe_load((wrapper / "environment.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    assert "genomix-toolkit" in environment["dependencies"][-1]["pip"][0]
    assert "__license__" in (wrapper / "wrapper.py").read_text()
    assert f"rule genomix_{wrapper.name}:" in (wrapper / "test" / "Snakefile").read_text()


@EACH
def test_what_a_wrapper_reads_is_described(wrapper: Path) -> None:
    code = (wrapper / "wrapper.py").read_text()
    meta = yaml.safe_load((wrapper / "meta.yaml").read_text())
    for field, name in (("input", "files"), ("params", "params")):
        read = set(re.findall(rf"\b{name}\.(?:get\(\"(\w+)\"|(?!get)(\w+))", code))
        read |= set(re.findall(r"snakemake\.input\.(\w+)()", code) if field == "input" else [])
        assert {first or second for first, second in read} == {
            k for row in meta[field] for k in row
        }


@EACH
def test_the_options_of_a_wrapper_exist(wrapper: Path) -> None:
    words = COMMANDS[wrapper.name]
    code = (wrapper / "wrapper.py").read_text()
    assert f'shell("genomix {words} {{arguments}} {{extra}} {{log}}")' in code
    used = set(re.findall(r"\"(--[a-z][a-z-]*)", code))
    assert used
    assert used <= spellings(words.split())


def test_every_setting_is_known_and_documented() -> None:
    settings = yaml.safe_load(CONFIG.read_text())
    schema = yaml.safe_load((FOLDER / "workflow/schemas/config.schema.yaml").read_text())
    assert set(settings) == set(schema["properties"])
    for name in ("train", "threads", "extra"):
        assert set(settings[name]) == set(schema["properties"][name]["properties"])
    for path in (settings["vcf"], settings["fasta"], *settings["tracks"].values()):
        assert (ROOT / path).exists()
    used = set(re.findall(r"--[a-z][a-z-]*", settings["train"]["extra"]))
    assert used <= spellings(["train"])


def test_rules_have_logs_threads_and_environments() -> None:
    rules = re.split(r"^(?:rule|checkpoint) (\w+):\n", SNAKEFILE.read_text(), flags=re.M)[1:]
    for name, body in zip(rules[::2], rules[1::2], strict=True):
        if name == "all":
            continue
        assert "    log:\n" in body, name
        assert ("    wrapper:\n" in body) != ("    conda:\n" in body), name
        if "wrapper:" in body:
            assert re.search(r"^    threads: config\[\"threads\"\]", body, re.MULTILINE), name


def test_snakemake_finds_nothing_to_criticise(snakemake: Snakemake, tmp_path: Path) -> None:
    (tmp_path / "test_data").symlink_to(ROOT / "test_data")
    snakemake("-s", SNAKEFILE, "--configfile", CONFIG, "--lint", cwd=tmp_path)


@pytest.mark.parametrize(
    "wrong", ["entry=scored", "threads={'score':0}", "no_such_setting=1", "vcf=''"]
)
def test_a_wrong_setting_is_refused(wrong: str, snakemake: Snakemake, few: Path) -> None:
    arguments = ("-s", SNAKEFILE, "--configfile", CONFIG, "-n", "--config", wrong)
    process = snakemake(*arguments, cwd=few, code=1)
    assert "Error validating config file" in process.stdout + process.stderr


def test_scores_are_those_of_one_run(snakemake: Snakemake, few: Path, shell: Shell) -> None:
    arguments = ("-s", SNAKEFILE, "--configfile", CONFIG, "--config", "outdir=out")
    snakemake(*arguments, cwd=few)
    assert (few / "out" / "contigs.txt").read_text().split() == ["chr1", "chr2"]
    assert (few / "out" / "scored.vcf.gz.tbi").exists()
    variants = "test_data/variants.vcf.gz"
    settings = "--genome out/variants.h5 -m gmt-mini-sim --threads 2"  # those of the configuration
    shell(f"genomix score {variants} {settings} -o out/whole.vcf.gz", few)
    assert text(few / "out" / "scored.vcf.gz") == text(few / "out" / "whole.vcf.gz")
    again = snakemake(*arguments, "-n", cwd=few)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_only_the_contigs_asked_for(snakemake: Snakemake, few: Path) -> None:
    settings = yaml.safe_load(CONFIG.read_text())
    settings |= {"contigs": ["chr2"], "outdir": "one", "threads": {"score": 2}}
    (few / "one.yaml").write_text(yaml.safe_dump(settings))
    snakemake("-s", SNAKEFILE, "--configfile", "one.yaml", cwd=few)
    lines = text(few / "one" / "scored.vcf.gz").decode().splitlines()
    assert {line.split("\t")[0] for line in lines if not line.startswith("#")} == {"chr2"}


@pytest.mark.skipif(not os.environ.get("CI"), reason="slow: runs in CI")
@EACH
def test_the_test_of_a_wrapper(wrapper: Path, snakemake: Snakemake, tmp_path: Path) -> None:
    snakemake("-s", wrapper / "test" / "Snakefile", cwd=tmp_path)
