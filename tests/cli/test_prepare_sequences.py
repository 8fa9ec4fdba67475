"""``genomix prepare sequences`` as a user runs it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.formats.sequences import Measurement, open_sequences, provenance_of
from tests.conftest import Ended, Genomix

Here = Callable[..., Ended]

VCF = """##fileformat=VCFv4.3
##contig=<ID=1>
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tp1\tp2\tp3\tp4
1\t5\t.\tA\tC\t.\t.\t.\tGT\t0/0\t0/1\t1/1\t./.
1\t7\t.\tAT\tC\t.\t.\t.\tGT\t0/0\t0/1\t1/1\t./.
1\t9\t.\tG\tT\t.\t.\t.\tGT\t0/1\t0/0\t1/1\t0/0
"""
SAMPLES = "sample,pop,age,family\np1,X,1,f\np2,X,NA,f\np3,Y,3,g\np4,NA,4,h\n"
FASTA = ">a\nACGTACGTAC\n>b\nTTTTTTTTTT\n"
OPTIONS = ["people.vcf", "--samples", "samples.csv", "--label", "pop", "--group", "family"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {"people.vcf": VCF, "samples.csv": SAMPLES, "a.fa": FASTA}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def prepare(here: Here, *arguments: object) -> Ended:
    return here("prepare", "sequences", *arguments, "-o", "a.h5")


def test_people(folder: Path, genomix_here: Here) -> None:
    ended = prepare(genomix_here, *OPTIONS, "--stats", "a.json")
    assert (ended.code, ended.out) == (0, ""), ended.err
    for said in (
        "a.h5: 4 sequences (genotypes) of 2 bases",
        "left out: 1 records are indels, the first: 1:7 AT>C",
        "age: a number of 3",
        "label pop: X 2, Y 1; 1 unlabelled",
        "2 classes of pop have one sequence or group (e.g. X, Y)",
        "groups: 3",
    ):
        assert said in ended.err
    stats = json.loads((folder / "a.json").read_text())
    assert stats["classes"] == {"X": 2, "Y": 1}
    assert (stats["sequences"], stats["length"], stats["facts"]) == (4, 2, {"sites": 2})
    made = provenance_of(folder / "a.h5")
    assert made["command"].startswith("genomix prepare sequences people.vcf --samples samples.csv")
    assert made["inputs"].keys() == {"VCF people.vcf", "metadata samples.csv"}
    assert made["config"]["rows"] == "genotypes"


def test_standard_input_in_any_compression(folder: Path, genomix: Genomix) -> None:
    command = ["prepare", "sequences", "-", "--samples", "samples.csv", "-q"]
    genomix(*command, "-o", "a.h5", stdin=VCF, cwd=folder)
    genomix("prepare", "sequences", *OPTIONS, "-o", "b.h5", "-q", cwd=folder)
    first, second = (open_sequences(folder / name) for name in ("a.h5", "b.h5"))
    assert np.array_equal(first.codes, second.codes)
    assert provenance_of(folder / "a.h5")["inputs"].keys() == {"metadata samples.csv"}
    pipe = ["prepare", "sequences", "/dev/stdin", "--samples", "samples.csv", "-q", "-o", "c.h5"]
    genomix(*pipe, stdin=VCF, cwd=folder)
    assert np.array_equal(open_sequences(folder / "c.h5").codes, first.codes)
    cut = VCF[: VCF.rindex("\t")]
    process = genomix(*command, "-o", "d.h5", stdin=cut, cwd=folder, code=1)
    assert "standard input:6 (1:9): the number of columns differs" in process.stderr
    assert not (folder / "d.h5").exists()


def test_an_output_is_not_replaced_unasked(folder: Path, genomix_here: Here) -> None:
    assert prepare(genomix_here, "a.fa").code == 0
    before = (folder / "a.h5").read_bytes()
    ended = prepare(genomix_here, "a.fa")
    assert (ended.code, "--force" in ended.err) == (2, True)
    assert prepare(genomix_here, "a.fa", "--force").code == 0
    assert (folder / "a.h5").read_bytes() != before  # the command is part of it
    again = (folder / "a.h5").read_bytes()
    assert prepare(genomix_here, "a.fa", "--force").code == 0
    assert (folder / "a.h5").read_bytes() == again


def test_settings_from_a_file(folder: Path, genomix_here: Here) -> None:
    (folder / "genomix.toml").write_text("[prepare.sequences]\nwindow = 4\nstride = 2\nmax-n = 1\n")
    assert prepare(genomix_here, "a.fa", "--config", "genomix.toml").code == 0
    assert open_sequences(folder / "a.h5").codes.shape == (8, 4)


def test_the_assay_is_kept_and_shown(folder: Path, genomix_here: Here) -> None:
    measured = ["--assay", "MPRA", "--unit", "log2 RNA/DNA", "--adaptors", "acc,T"]
    assert prepare(genomix_here, "a.fa", *measured).code == 0
    kept = open_sequences(folder / "a.h5").measurement
    assert kept == Measurement("MPRA", "log2 RNA/DNA", "ACC", "T")
    shown = genomix_here("inspect", "a.h5").out
    assert "MPRA, log2 RNA/DNA" in shown
    assert "ACC[sequence]T" in shown


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["absent.fa"], 2, "absent.fa: no such file"),
        (["a.fa", "--label", "x"], 2, "--label: needs a table"),
        (["a.fa", "--table", "samples.csv"], 1, "samples.csv: has no row for any sequence"),
        (["people.vcf", "--samples", "samples.csv", "--label", "po"], 2, "did you mean 'pop'"),
        (["samples.csv"], 2, "samples.csv: has no column with sequences"),
        (["a.fa", "people.vcf"], 2, "people.vcf: inputs of several kinds"),
        (["people.vcf", "--flank", "3"], 2, "--flank: cannot be given (expected --fasta)"),
        (["people.vcf", "--fasta", "a.fa"], 1, "a.fa: has no contig '1'"),
        (["people.vcf", "--like", "a.fa"], 1, "a.fa: is not HDF5"),
        (["people.vcf", "-r", "1:x"], 2, "is not a region"),
        (["a.fa", "--bed", "samples.csv"], 1, "samples.csv:1: is not a region"),
        (["a.fa", "--adaptors", "ACGT"], 2, "--adaptors: not bases for two sides"),
        (["a.fa", "--adaptors", "A,CX"], 2, "--adaptors: not bases for two sides"),
        (["people.vcf", "--adaptors", "A,C"], 2, "--adaptors: apply only to sequences"),
        (["a.fa", "-t", "ATAC=a.fa"], 2, "--track: needs windows or regions; give the length"),
        (["people.vcf", "-t", "ATAC=a.fa", "--window", "5"], 2, "--track: is for a FASTA"),
        (["a.fa", "--window", "5", "-t", "ATAC"], 2, "--track: not a track (expected NAME=FILE"),
        (["a.fa", "--window", "5", "-t", "A=a.fa"], 1, "a.fa: is not a bigWig file"),
        (["a.fa", "--window", "5", "-t", "A=no.bw"], 2, "no.bw: no such file"),
        (
            ["a.fa", "--window", "5", "--top", "0.1"],
            2,
            "--top: applies only to tracks; add --track",
        ),
        (["a.fa", "--window", "5", "--top", "2", "-t", "A=a.bw"], 2, "--top"),
        (
            ["a.fa", "--test-contigs", "b"],
            2,
            "--test-contigs: the sequences have no genome coordinates",
        ),
        (["a.fa", "--window", "5", "--test-contigs", "c"], 1, "has no contig 'c' (found a, b)"),
        (["a.fa", "--bed", "empty.vcf"], 1, "empty.vcf: is empty (expected regions)"),
        (["cut.vcf.gz"], 1, "cut.vcf.gz:1: the compressed file is truncated"),
        (["empty.vcf"], 1, "empty.vcf: is empty"),
        (["header.vcf"], 1, "header.vcf: has no site to use (found no records)"),
    ],
)
def test_what_is_wrong_is_one_line(
    folder: Path, genomix_here: Here, options: list[str], code: int, message: str
) -> None:
    (folder / "cut.vcf.gz").write_bytes(gzip.compress(VCF.encode())[:-9])
    (folder / "empty.vcf").write_text("")
    (folder / "header.vcf").write_text(VCF[: VCF.index("1\t5")])
    ended = prepare(genomix_here, *options)
    lines = [line for line in ended.err.splitlines() if not line.startswith("[genomix]")]
    assert (ended.code, len(lines)) == (code, 1), ended.err
    assert lines[0].startswith("genomix: error: ")
    assert message in lines[0]
    assert not [path for path in folder.iterdir() if "a.h5" in path.name]
