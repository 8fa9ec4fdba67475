"""One command for several domains: the input decides, and each domain's options are its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

from genomix_cli.cli.command import Action, Command
from genomix_cli.cli.domains import COHORTS, VARIANTS, Verb, VerbGroup
from genomix_cli.errors import UsageError
from genomix_cli.options import Option
from genomix_cli.shared_options import Device, Seed, TrainedModel


@dataclass(frozen=True)
class First:
    """Variants."""

    shard: Annotated[Path, Option("Shard", argument=True, metavar="SHARD")]
    output: Annotated[Path, Option("File", "-o --output")]
    contigs: Annotated[str, Option("Some", env="GENOMIX_CONTIGS")]
    model: TrainedModel = "shipped"
    n: Annotated[int, Option("Number of windows", "--number -n", min=1)] = 3
    keep: Annotated[bool, Option("Keep", "--keep -k")] = False
    device: Device = "auto"


@dataclass(frozen=True)
class Own(First):
    """Variants, by another task."""

    depth: Annotated[int, Option("Depth")] = 1


@dataclass(frozen=True)
class Second:
    """A cohort."""

    cohort: Annotated[Path, Option("Cohort", argument=True, metavar="COHORT")]
    model: TrainedModel
    output: Annotated[Path | None, Option("File", "-o --output")] = None
    number: Annotated[int, Option("Number of folds", min=1)] = 5
    names: Annotated[tuple[str, ...], Option("Class; repeat", "--class")] = ()
    grow: Annotated[bool, Option("Do not grow", "/--no-grow")] = True
    device: Device = "auto"
    seed: Seed = 7


def run(*arguments: object) -> Any:
    """Run the verb `do`; return the request that its function got."""
    requests: list[Any] = []
    first = Command(
        "First.",
        {"plain": Action(First, requests.append), "own": Action(Own, requests.append)},
    )
    second = Command("Second.", {"": Action(Second, requests.append)})
    domains = {"variants": VARIANTS.with_command(first), "cohort": COHORTS.with_command(second)}
    group = VerbGroup(Verb("do", "Do it.", domains, ("genomix do x.vcf",)))
    group.main(list(map(str, arguments)), prog_name="do", standalone_mode=False)
    return requests[0] if requests else None


@pytest.fixture(autouse=True)
def _absent_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of inputs are enough here."""
    monkeypatch.setattr("genomix_cli.cli.command.require_inputs", lambda *args: None)


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    path = tmp_path / "x.vcf"
    path.write_text("##")
    return path


COHORT = Path("absent.h5mu")


def test_each_domain_gets_its_own_request_and_defaults(vcf: Path) -> None:
    assert run(vcf, "-o", "out", "--contigs", "chr1") == First(vcf, Path("out"), "chr1")
    assert run(COHORT, "-m", "run") == Second(COHORT, "run")
    given = ["-m", "run", "--number", 2, "--class", "A", "--class", "B", "--no-grow"]
    assert run(*given, COHORT) == Second(COHORT, "run", None, 2, ("A", "B"), False)
    assert run(vcf, "-o", "x", "--contigs", "1", "--number", 9).n == 9


def test_the_word_of_a_domain_says_which_whatever_the_input() -> None:
    assert run("cohort", "x.vcf", "-m", "run") == Second(Path("x.vcf"), "run")
    assert isinstance(run("variants", COHORT, "-o", "x", "--contigs", "1"), First)


@pytest.mark.parametrize(
    "before",
    [
        ["-o", "a.h5mu", "-m", "run"],
        ["--output=a.h5mu", "-m", "run"],
        ["-oa.h5mu", "-m", "run"],
        ["-qm", "run", "-v"],
        ["-m", "run", "--"],
    ],
)
def test_the_input_is_found_among_options(vcf: Path, before: list[str]) -> None:
    with pytest.raises(UsageError, match="is missing"):
        run(*before, vcf)
    assert isinstance(run(*before, COHORT), Second)


def test_the_run_given_as_model_decides_what_a_table_is(vcf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"domain": "cohorts"}')
    for text in ("sample,age\n", ">a\nACGT\n"):
        table = tmp_path / "table"
        table.write_text(text)
        assert run(table, "-m", folder) == Second(table, str(folder))
        assert run(f"-m{folder}", table) == Second(table, str(folder))
        assert isinstance(run("-o", "x", "--contigs", "1", table), First)
    for text in ("#CHROM\tPOS\n", "chrom\tpos\tref\tALT\n", "##fileformat=VCFv4.2\n", ""):
        table.write_text(text)
        with pytest.raises(UsageError, match="--output is missing"):
            run(table, "-m", folder)


def test_an_option_of_another_domain_is_refused(vcf: Path) -> None:
    for arguments, said in (
        ([COHORT, "-m", "r", "--contigs", "1"], f"--contigs is for variants, and {COHORT} is a co"),
        ([vcf, "--contigs", "1", "--class", "A"], f"--class is for cohorts, and {vcf} is not a co"),
        ([vcf, "--contigs", "1", "--no-grow"], "--no-grow is for cohorts"),
        (["absent.vcf", "--seed", "1"], "--seed is for cohorts, and there is no absent.vcf"),
        ([COHORT, "--keep"], "--keep is for variants, and absent.h5mu is a cohort"),
        ([COHORT, "-vk"], "-k is for variants, and absent.h5mu is a cohort"),
    ):
        with pytest.raises(UsageError) as caught:
            run(*arguments)
        assert caught.value.line().startswith(said)


def test_an_option_of_another_task_is_refused(vcf: Path, tmp_path: Path) -> None:
    given = [vcf, "-o", "x", "--contigs", "1"]
    assert run(*given, "--task", "own", "--depth", "2").depth == 2
    with pytest.raises(UsageError, match="--depth: does not apply to --task plain"):
        run(*given, "--depth", "2")
    with pytest.raises(UsageError, match=r"--task: unknown .expected plain or own, found other"):
        run(*given, "--task", "other")
    settings = tmp_path / "genomix.toml"
    settings.write_text("[do]\ndepth = 4\n")
    assert isinstance(run(*given, "--config", settings), First)
    assert run(*given, "--task", "own", "--config", settings).depth == 4


def test_settings_of_another_domain_are_not_used(
    vcf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "genomix.toml"
    settings.write_text("[do]\nnumber = 4\nclass = ['A']\nkeep = true\nmodel = 'set'\n")
    monkeypatch.setenv("GENOMIX_CONTIGS", "chr9")
    request = run(COHORT, "--config", settings)
    assert (request.number, request.names, request.model) == (4, ("A",), "set")
    request = run(vcf, "-o", "x", "--config", settings)
    assert (request.contigs, request.n, request.keep) == ("chr9", 4, True)
    assert run("variants", vcf, "-o", "x", "--config", settings) == request
    monkeypatch.setenv("GENOMIX_MODEL", "environment")
    assert run(vcf, "-o", "x").model == "environment"


def test_what_a_domain_requires_is_asked_for_there(vcf: Path) -> None:
    for arguments, said in (
        ([vcf, "-o", "x"], "--contigs is missing; give it, or set GENOMIX_CONTIGS"),
        ([vcf, "--contigs", "1"], "--output is missing"),
        ([COHORT], "--model is missing; give it, or set GENOMIX_MODEL"),
        ([COHORT, "-m", "r", "--number", "0"], "--number: out of range (expected 1 or more"),
        ([COHORT, "-m", "r", "--number", "x"], "--number: not a number"),
        (["-m", "r"], "INPUT is missing"),
        (["cohort", "-m", "r"], "COHORT is missing"),
        ([vcf, "-n", "x"], "--output is missing; --contigs is missing"),
    ):
        with pytest.raises(UsageError) as caught:
            run(*arguments)
        assert said in caught.value.line()


def test_help_is_of_the_verb_or_of_a_domain(vcf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--help")
    text = capsys.readouterr().out
    assert "[variants|cohort] INPUT" in text
    assert "--contigs" not in text
    assert "genomix do x.vcf" in text
    for words in (["cohort", "--help"], [COHORT, "--help"]):
        run(*words)
        text = capsys.readouterr().out
        assert "--no-grow" in text
        assert "--contigs" not in text
    run("variants", "--help")
    assert "[for own; default: 1]" in capsys.readouterr().out
