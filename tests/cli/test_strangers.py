"""Untrusted files cannot reach the terminal, other files or all memory."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from genomix_cli.cli import command
from genomix_cli.formats.detect import PRETRAINED
from genomix_cli.genome import tables
from genomix_cli.genome.vcf import input as vcf_input
from tests.cohort_files import every_kind, modality, write_cohort

DATA = Path(__file__).parents[2] / "test_data"
ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m"
Run = Callable[..., object]


def _nothing_raw(ended: object) -> str:
    text = f"{ended.out}{ended.err}"  # type: ignore[attr-defined]
    assert not {c for c in text if c < " " and c not in "\n\t"} | ({"\x9b", "\x7f"} & set(text))
    return text


def test_names_never_act_on_the_terminal(genomix_fast: Run, tmp_path: Path) -> None:
    vcf = tmp_path / f"a{ESCAPE}.vcf"
    columns = f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tme{ESCAPE}\n"
    scored = '##INFO=<ID=GENOMIX_P,Number=A,Type=Float,Description="P">\n'
    record = f"chr{ESCAPE}\t5\t.\tA\tC\t.\t.\tGENOMIX_P=0.5\tGT\t0|1\n"
    vcf.write_text(f"##fileformat=VCFv4.2\n{scored}{columns}{record}")
    shown = _nothing_raw(genomix_fast("inspect", vcf))
    assert r"chr\x1b]0;owned\x07\x1b[2J\x9b31m" in shown
    _nothing_raw(genomix_fast("prepare", "sequences", vcf, "-o", tmp_path / "a.h5", code=None))
    fasta = ("-f", DATA / "genome.fa.gz")
    _nothing_raw(genomix_fast("prepare", "variants", "--vcf", vcf, *fasta, "-o", "x.h5", code=1))
    _nothing_raw(genomix_fast("inspect", tmp_path / f"none{ESCAPE}", code=2))
    _nothing_raw(genomix_fast("inspect", f"--{ESCAPE}", code=2))


def test_samples_and_assemblies_never_act_on_the_terminal(
    genomix_fast: Run, tmp_path: Path
) -> None:
    rows = [f"S{i}{ESCAPE}" for i in range(4)]
    path = write_cohort(
        tmp_path / "a.h5mu",
        {f"rna{ESCAPE}": modality([[1.0, 2]] * 4, "expression", rows)},
        {"sample": rows, "label": [f"A{ESCAPE}", "B"] * 2},
    )
    assert r"rna\x1b]0" in _nothing_raw(genomix_fast("inspect", path))
    windows = tmp_path / "w.h5"
    made = ("--window", 500, "--assembly", f"hg{ESCAPE}")
    genomix_fast("prepare", "sequences", DATA / "genome.fa.gz", *made, "-o", windows)
    assert r"hg\x1b]0" in _nothing_raw(genomix_fast("inspect", windows))


@pytest.mark.parametrize("kind", ["h5mu", "h5ad", "cool"])
def test_nothing_of_another_file_is_read(kind: str, genomix_fast: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"the secret" * 100)
    path = tmp_path / f"a.{kind}"
    if kind == "cool":
        shutil.copy(DATA / "contacts.cool", path)
    elif kind == "h5mu":
        every_kind(path)
    else:
        modality([[1.0, 2]] * 4, "expression", list("abcd")).write_h5ad(path)
    name = {"cool": "pixels/count", "h5mu": "mod/peaks/X", "h5ad": "X"}[kind]
    with h5py.File(path, "r+") as file:
        old = file[name]
        shape, dtype, attributes = old.shape, old.dtype, dict(old.attrs)
        del file[name]
        storage = [(str(secret), 0, h5py.h5f.UNLIMITED)]
        new = file.create_dataset(name, shape, dtype, external=storage)
        new.attrs.update(attributes)
    commands: tuple[tuple[object, ...], ...] = (("inspect", path),)
    if kind != "cool":
        output = tmp_path / "out.h5mu"
        commands = (*commands, ("prepare", "cohort", path, "-o", output, "--kind", "a=expression"))
    for words in commands:
        ended = genomix_fast(*words, code=1)
        if kind == "h5ad" and words[0] == "inspect":
            continue
        assert f"{name} is a link to another file" in ended.err, ended.err  # type: ignore[attr-defined]


def test_a_line_that_fills_all_memory(
    genomix_fast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LONGEST", 1 << 20)
    monkeypatch.setattr(vcf_input, "LONGEST", 1 << 20)
    path = tmp_path / "a.vcf.gz"
    path.write_bytes(gzip.compress(b"##fileformat=VCFv4.2\n##x=" + b"A" * (1 << 22), 1))
    for words in (
        ("inspect", path),
        ("prepare", "cohort", "-m", f"expression={path}", "-o", tmp_path / "o.h5mu"),
    ):
        ended = genomix_fast(*words, code=1)
        assert f"{path}:2: the line is longer than" in ended.err  # type: ignore[attr-defined]


@pytest.mark.parametrize("layers", [99999999999999999999, 10**9, 500])
def test_a_model_of_more_layers_than_are_stored(
    layers: int, genomix_fast: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(PRETRAINED / "gmt-mini-sim" / name, run)
    config = json.loads((run / "config.json").read_text())
    config.pop("config_sha256", None)
    config["arch"]["n_layers"] = layers
    (run / "config.json").write_text(json.dumps(config))
    vcf, fasta = DATA / "variants.vcf.gz", DATA / "genome.fa.gz"
    ended = genomix_fast("score", vcf, "-f", fasta, "-m", run, "-r", "chr1:1-1000", code=None)
    assert ended.code in (1, 2)  # type: ignore[attr-defined]
    problem = "more weights than are stored" if layers == 500 else f"'n_layers' is {layers}, not"
    assert problem in ended.err  # type: ignore[attr-defined]


def test_more_threads_than_there_are_cpus(
    genomix_fast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    monkeypatch.setattr(command, "limit_threads", limits.append)
    cohort, output = ("simulate", "cohort", "--preset", "stillwell", "-n", 20), tmp_path / "a.h5mu"
    ended = genomix_fast(*cohort, "-o", output, "--threads", 1_000_000)
    most = max(os.cpu_count() or 1, 64)
    assert f"--threads 1000000: limited to {most}" in ended.err  # type: ignore[attr-defined]
    assert limits == [most]
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5mu"]
