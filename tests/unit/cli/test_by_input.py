"""One command for several domains: the input decides, and each domain's options are its own."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import pytest
import typer

from genomix_cli.cli.by_input import (
    COHORTS,
    VARIANTS,
    Domain,
    add_command,
    is_cohort,
    is_scored_classes,
)
from genomix_cli.cli.options import Config, Device, Seed
from genomix_cli.errors import UsageError
from tests.cohort_files import modality, write_cohort

Model = Annotated[str, typer.Option("--model", "-m", help="Folder.", envvar="GENOMIX_MODEL")]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = ["a", "b"]
    values = {"x": modality(np.eye(2), "other", rows)}
    return write_cohort(tmp_path_factory.mktemp("c") / "c.h5mu", values, {"sample": rows})


def written(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_a_cohort_is_known_by_its_content(cohort: Path, tmp_path: Path) -> None:
    assert is_cohort(cohort)
    assert is_cohort(written(tmp_path / "x.vcf", cohort.read_bytes()))
    assert is_cohort(tmp_path / "absent.h5mu")
    assert is_cohort(written(tmp_path / "cut.h5mu", cohort.read_bytes()[:600]))
    assert not is_cohort(tmp_path / "absent.vcf")
    assert not is_cohort(written(tmp_path / "vcf.h5mu", "##fileformat=VCFv4.2\n"))
    assert not is_cohort(written(tmp_path / "empty.h5mu", ""))
    assert not is_cohort(Path("-"))
    assert not is_cohort(tmp_path)
    with h5py.File(tmp_path / "shard.h5", "w") as file:
        file["contigs"] = [1]
    assert not is_cohort(tmp_path / "shard.h5")
    modality(np.eye(2), "other", ["a", "b"]).write_h5ad(tmp_path / "x.h5ad")
    assert is_cohort(tmp_path / "x.h5ad")


def test_scores_of_a_cohort_are_known_by_their_content(tmp_path: Path) -> None:
    table = "sample\tpredicted\tp:A\n"
    assert is_scored_classes(written(tmp_path / "a", table))
    assert is_scored_classes(written(tmp_path / "b", gzip.compress(table.encode())))
    assert is_scored_classes(written(tmp_path / "c", b"PAR1 ..."))
    assert is_scored_classes(tmp_path)
    for domain in ("cohorts", "variants"):
        (tmp_path / domain).mkdir()
        written(tmp_path / domain / "config.json", json.dumps({"domain": domain}))
    assert is_scored_classes(tmp_path / "cohorts")
    assert not is_scored_classes(tmp_path / "variants")
    vcf = "##fileformat=VCFv4.2\n"
    assert not is_scored_classes(written(tmp_path / "d", vcf))
    assert not is_scored_classes(written(tmp_path / "e", gzip.compress(vcf.encode())))
    assert not is_scored_classes(written(tmp_path / "f", b"\x1f\x8b cut"))
    assert not is_scored_classes(written(tmp_path / "g", "samples\tx\n"))
    assert not is_scored_classes(tmp_path / "absent.tsv")


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    """It can be read only once, by the command."""
    os.mkfifo(tmp_path / "pipe")
    assert not is_cohort(tmp_path / "pipe")
    assert not is_scored_classes(tmp_path / "pipe")


def first(
    ctx: typer.Context,
    shard: Path,
    output: Annotated[Path, typer.Option("-o", "--output", help="File.")],
    contigs: Annotated[str, typer.Option(help="Some.", envvar="GENOMIX_CONTIGS")],
    model: Model = "shipped",
    n: Annotated[int, typer.Option("--number", min=1, help="Of windows.")] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Keep.")] = False,
    device: Device = "auto",
    config: Config = None,
) -> None:
    """Of the first."""
    said = {name: value for name, value in locals().items() if name not in ("ctx", "config")}
    print("first", json.dumps(said, default=str))


def second(
    cohort: Path,
    model: Model,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File.")] = None,
    number: Annotated[int, typer.Option(min=1, help="Of folds.")] = 5,
    names: Annotated[list[str] | None, typer.Option("--class", help="Repeat.")] = None,
    grow: Annotated[bool, typer.Option(" /--no-grow", help="Do not grow.")] = True,
    device: Device = "auto",
    seed: Seed = 7,
    config: Config = None,
) -> None:
    """Of the second."""
    print("second", json.dumps({k: v for k, v in locals().items() if k != "config"}, default=str))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, dict[str, Any]]:
    """Name of the function that was called, and with what."""
    app = typer.Typer()
    argument = typer.Argument(help="What it is about.", metavar="INPUT")
    functions = {VARIANTS: first, COHORTS: second}
    add_command(app, "do", functions, help="Do it.", argument=argument)
    app.callback()(lambda: None)
    app(["do", *map(str, arguments)], standalone_mode=False)
    name, _, said = capsys.readouterr().out.partition(" ")
    return name, json.loads(said) if name != "" and said.startswith("{") else {"text": said}


def test_each_domain_gets_its_own_parameters_and_defaults(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vcf = written(tmp_path / "x.vcf", "##")
    assert run(capsys, vcf, "-o", "out", "--contigs", "chr1") == (
        "first",
        {
            **{"shard": str(vcf), "output": "out", "contigs": "chr1", "model": "shipped"},
            **{"n": 3, "keep": False, "device": "auto"},
        },
    )
    assert run(capsys, cohort, "-m", "run") == (
        "second",
        {
            **{"cohort": str(cohort), "model": "run", "output": None, "number": 5, "names": None},
            **{"grow": True, "device": "auto", "seed": 7},
        },
    )
    given = ["-m", "run", "--number", 2, "--class", "A", "--class", "B", "--no-grow"]
    _, said = run(capsys, cohort, *given)
    assert (said["number"], said["names"], said["grow"]) == (2, ["A", "B"], False)
    assert run(capsys, vcf, "-o", "x", "--contigs", "1", "--number", 9)[1]["n"] == 9


def test_an_option_of_another_domain_is_refused(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vcf = written(tmp_path / "x.vcf", "##")
    for arguments, said in (
        ([cohort, "-m", "r", "--contigs", "1"], f"--contigs is for variants, and {cohort} is a co"),
        ([vcf, "--contigs", "1", "--class", "A"], f"--class is for cohorts, and {vcf} is not a co"),
        ([vcf, "--contigs", "1", "--no-grow"], "--no-grow is for cohorts"),
        (["absent.vcf", "--seed", "1"], "--seed is for cohorts, and there is no absent.vcf"),
        (["absent.h5mu", "--keep"], "--keep is for variants, and absent.h5mu is a cohort"),
    ):
        with pytest.raises(UsageError) as caught:
            run(capsys, *arguments)
        assert caught.value.line().startswith(said)


def test_settings_of_another_domain_are_not_used(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    settings = tmp_path / "genomix.toml"
    settings.write_text("[do]\nnumber = 4\nclass = ['A']\nkeep = true\nmodel = 'set'\n")
    monkeypatch.setenv("GENOMIX_CONTIGS", "chr9")
    name, said = run(capsys, cohort, "--config", settings)
    assert (name, said["number"], said["names"], said["model"]) == ("second", 4, ["A"], "set")
    vcf = written(tmp_path / "x.vcf", "##")
    name, said = run(capsys, vcf, "-o", "x", "--config", settings)
    assert (name, said["contigs"], said["n"], said["keep"]) == ("first", "chr9", 4, True)
    monkeypatch.setenv("GENOMIX_MODEL", "environment")
    assert run(capsys, vcf, "-o", "x")[1]["model"] == "environment"


def test_what_one_domain_requires_is_asked_for_there(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vcf = written(tmp_path / "x.vcf", "##")
    # Typer carries a copy of Click whose exceptions have no public name.
    usage_error: Any = typer.BadParameter.__bases__[0]
    for arguments, said in (
        ([vcf, "-o", "x"], "Missing option '--contigs'"),
        ([vcf, "--contigs", "1"], "Missing option '-o' / '--output'"),
        ([cohort], "Missing option '--model' / '-m'"),
        ([cohort, "-m", "r", "--number", "0"], "Invalid value for '--number'"),
    ):
        with pytest.raises(usage_error) as caught:
            run(capsys, *arguments)
        assert caught.value.exit_code == 2
        assert said in caught.value.format_message()


def test_help_has_a_panel_for_each_domain(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERMINAL_WIDTH", "140")
    text = " ".join(run(capsys, "--help")[1]["text"].split())
    shared, rest = text.split("Only for variants")
    variants, cohorts = rest.split("Only for cohorts")
    assert "Do it." in shared
    assert "Variants: Of the first." in shared
    assert "Cohorts: Of the second." in shared
    assert "Folder. Required for cohorts." in shared
    assert "(shipped for variants)" in shared
    assert "Variants: Of windows. Cohorts: Of folds." in shared
    assert "(3 for variants; 5 for cohorts)" in shared
    assert "--keep" in variants
    assert variants.count("[required]") == 1
    assert "--class" in cohorts
    assert "[default: 7]" in cohorts


@pytest.mark.parametrize(
    "other",
    [
        Annotated[str, typer.Option("--number", help="A word.")],
        Annotated[int, typer.Option("--number", min=2, help="Two or more.")],
        Annotated[int, typer.Option("--number", min=1, help="Set.", envvar="GENOMIX_N")],
    ],
)
def test_options_that_cannot_be_one_are_our_bug(other: Any) -> None:
    def third(path: Path, number: other = 1) -> None:  # type: ignore[valid-type]
        """Of the third."""

    third.__annotations__ = {"path": Path, "number": other}
    with pytest.raises(TypeError, match="--number is not the same"):
        add_command(
            typer.Typer(),
            "do",
            {VARIANTS: first, Domain("third", "a third", lambda path: True): third},
            help="Do it.",
            argument=typer.Argument(),
        )


def test_of_a_list_a_domain_that_takes_one_gets_the_last(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def one(shard: Path, names: Annotated[str, typer.Option("--class", help="One.")] = "Z") -> None:
        """One."""
        print("one", json.dumps({"names": names}))

    one.__annotations__ = {"shard": Path, "names": Annotated[str, typer.Option("--class")]}
    app = typer.Typer()
    add_command(app, "do", {VARIANTS: one, COHORTS: second}, help="x", argument=typer.Argument())
    app.callback()(lambda: None)
    vcf = str(written(tmp_path / "x.vcf", "##"))
    for given, got in (([], "Z"), (["--class", "A", "--class", "B"], "B")):
        app(["do", vcf, *given], standalone_mode=False)
        assert json.loads(capsys.readouterr().out.partition(" ")[2]) == {"names": got}
