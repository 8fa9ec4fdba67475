"""No output of any command replaces one of its inputs, by whatever path or link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest

from genomix_cli.errors import DiskError, UsageError
from genomix_cli.options import Leaf, leaves
from genomix_cli.variants.requests.score import DEFAULT_MODEL
from tests.commands import COMMANDS, ROOT

REFUSED = "an input of this command"
BYTES = b"something that cannot be made again"
#: Options that write a path, in all commands; a new one is added here.
WRITING = {
    *("--output", "--stats", "--json", "--report", "--plots", "--summary", "--attention"),
    *(
        "--embeddings",
        "--fasta-output",
        "--mutagenesis",
        "--save-background",
        "--browser",
        "--bigwig",
    ),
    *("--motif-table", "--motif-summary", "--multiqc"),
}


def tasks() -> Iterator[tuple[list[str], list[Leaf]]]:
    """Yield the words of every command and task, and the options."""
    for words, command in COMMANDS.items():
        for task, action in command.spec.tasks.items():
            given = [*words, "--task", task] if task else list(words)
            yield given, list(leaves(action.request))


def reads(leaf: Leaf) -> bool:
    option = leaf.option
    return not option.writes and (leaf.is_path or option.model or option.reads)


CASES = [
    pytest.param(words, options, out, into, id=f"{' '.join(words)} {out.flag} over {into.flag}")
    for words, options in tasks()
    for out in options
    if out.option.writes
    for into in options
    if reads(into) and not (out.is_flag and into.option.model)
]


def arguments(leaf: Leaf, value: object) -> list[str]:
    """An option with a value, as it is typed."""
    if leaf.is_flag:
        return [leaf.flag]
    text = f"ATAC={value}" if get_origin(leaf.kind) not in (None, tuple) else str(value)
    return [leaf.flag, text] if leaf.flags else [text]


def call(words: list[str], options: list[Leaf], given: dict[str, object]) -> None:
    """Call a command with some options, and any value for the others that it requires."""
    typed = [
        part for leaf in options if leaf.flag in given for part in arguments(leaf, given[leaf.flag])
    ]
    other = [leaf for leaf in options if leaf.is_required and leaf.flag not in given]
    typed += [part for leaf in other for part in arguments(leaf, f"other-{leaf.name}")]
    ROOT.main([*words, *typed], prog_name="genomix", standalone_mode=False)


def test_every_option_that_writes_says_so() -> None:
    for words, options in tasks():
        for leaf in options:
            is_flag = leaf.is_flag and leaf.flag != "--save-background"
            assert bool(leaf.option.writes) == (leaf.flag in WRITING and not is_flag), (words, leaf)


@pytest.mark.parametrize(("words", "options", "out", "into"), CASES)
def test_an_output_never_replaces_an_input(
    words: list[str],
    options: list[Leaf],
    out: Leaf,
    into: Leaf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {}
    if out.is_flag:
        model = tmp_path / "model"
        model.mkdir()
        target = model / str(out.option.writes)
        given = {"--model": "model"}
    else:
        target = tmp_path / "precious"
    target.write_bytes(BYTES)
    force = {leaf.flag: True for leaf in options if leaf.name == "force"}
    given |= {into.flag: os.path.relpath(target), out.flag: target, **force}
    with pytest.raises(UsageError, match=REFUSED) as caught:
        call(words, options, given)
    assert out.flag in str(caught.value)
    assert into.flag in str(caught.value)
    assert target.read_bytes() == BYTES


FOLDERS = [
    pytest.param(words, options, out, id=f"{' '.join(words)} {out.flag}")
    for words, options in tasks()
    for out in options
    if out.option.writes and out.metavar == "DIR"
]


@pytest.mark.parametrize(("words", "options", "out"), FOLDERS)
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    words: list[str], options: list[Leaf], out: Leaf, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    for folder in ("file", "file/below"):
        with pytest.raises(UsageError, match="is not a folder"):
            call(words, options, {out.flag: folder})
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    for folder in ("new", "new/below"):
        with pytest.raises(DiskError, match=f"{tmp_path}: cannot be written to"):
            call(words, options, {out.flag: folder})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def score(*arguments: object) -> None:
    ROOT.main(
        ["score", "variants", *map(str, arguments)], prog_name="genomix", standalone_mode=False
    )


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_bytes(BYTES)
    return path


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("linked", ["input", "output"])
def test_links_lead_to_the_same_file(genome: Path, link: Any, linked: str) -> None:
    other = genome.with_name("link.fa")
    link(genome, other)
    fasta, output = (other, genome) if linked == "input" else (genome, other)
    with pytest.raises(UsageError, match=REFUSED):
        score("v.vcf", "-f", fasta, "-o", output)
    assert genome.read_bytes() == other.read_bytes() == BYTES


@pytest.mark.parametrize("suffix", [".fai", ".gzi"])
def test_an_index_counts_too(genome: Path, suffix: str) -> None:
    """An index that does not exist yet is refused too if it would overwrite another file's."""
    with pytest.raises(UsageError, match=REFUSED):
        score("v.vcf", "-f", genome, "-o", f"{genome}{suffix}")


def test_a_group_of_a_file_counts(genome: Path) -> None:
    with pytest.raises(UsageError, match=REFUSED):
        score("v.vcf", "-f", "g.fa", "--contacts", f"{genome}::/resolutions/1000", "-o", genome)


def test_a_folder_around_an_input_counts(genome: Path) -> None:
    inner = genome.parent / "inner"
    inner.mkdir()
    (inner / "motifs.meme").symlink_to(genome)
    for folder in (genome.parent, inner):
        arguments = ["-o", str(folder), "--motifs", str(inner / "motifs.meme"), "--force"]
        with pytest.raises(UsageError, match=REFUSED):
            ROOT.main(["simulate", "genome", *arguments], standalone_mode=False)
    assert genome.read_bytes() == BYTES


def test_the_files_of_a_model_count_and_others_beside_them_do_not(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "scores.vcf"):
        (tmp_path / name).write_bytes(BYTES)
    for name in ("config.json", "model.safetensors"):
        with pytest.raises(UsageError, match=REFUSED):
            score("v.vcf", "-f", "g.fa", "-m", tmp_path, "--stats", tmp_path / name)
    with pytest.raises(Exception, match=r"v\.vcf|model|g\.fa") as caught:
        score("v.vcf", "-f", "g.fa", "-m", tmp_path, "-o", tmp_path / "scores.vcf")
    assert REFUSED not in str(caught.value)


def test_a_model_that_ships_counts() -> None:
    import genomix_cli

    shipped = Path(genomix_cli.__file__).parent / "pretrained" / DEFAULT_MODEL / "config.json"
    with pytest.raises(UsageError, match=REFUSED):
        score("v.vcf", "-f", "g.fa", "-o", shipped)


def test_the_settings_file_counts(tmp_path: Path) -> None:
    settings = tmp_path / "genomix.toml"
    settings.write_text("[score]\nfasta = 'g.fa'\n")
    with pytest.raises(UsageError, match=REFUSED):
        score("v.vcf", "--config", settings, "-o", settings)
    assert settings.read_text().startswith("[score]")


def test_devices_and_streams_may_be_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match=r"g\.fa|/dev/null") as caught:
        score("/dev/null", "-f", "g.fa", "-o", "/dev/null")
    assert REFUSED not in str(caught.value)
