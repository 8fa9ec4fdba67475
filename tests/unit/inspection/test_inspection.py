"""Descriptions of files, from their content."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import h5py
import pytest

from genomix_cli.errors import DataError, GenomixError, UsageError
from genomix_cli.inspection import Report, inspect

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=1000>\n"
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
SCORED = (
    HEADER
    + "##genomixModel=tiny sha256:0123456789abcdef\n"
    + "##genomixInput=vcf a.vcf sha256:0123456789abcdef\n"
    + "##genomixInput=fasta a.fa sha256:fedcba9876543210\n"
    + '##INFO=<ID=GENOMIX_P,Number=A,Type=Float,Description="p">\n'
    + '##INFO=<ID=GENOMIX_REASON,Number=A,Type=String,Description="why not">\n'
    + COLUMNS
    + "\n"
)
RECORDS = (
    "chr1\t10\t.\tA\tC,G\t.\t.\tX=1;GENOMIX_P=0.25,0.75;GENOMIX_REASON=.,.\n"
    "chr1\t20\t.\tA\tC,*\t.\t.\tGENOMIX_P=0.5,.;GENOMIX_REASON=.,star\n"
    "chr1\t30\t.\tA\tC\t.\t.\tGENOMIX_P=.;GENOMIX_REASON=ref_mismatch\n"
    "chr1\t40\t.\tA\t.\t.\t.\tGENOMIX_P=.;GENOMIX_REASON=missing_alt\n"
)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def table(report: Report, title: str) -> list[tuple[object, ...]]:
    return next(list(t.rows) for t in report.tables if t.title == title)


def test_a_scored_vcf(tmp_path: Path) -> None:
    report = inspect(write(tmp_path / "s.vcf", SCORED + RECORDS), top=2)
    assert report.kind == "scored VCF"
    assert report.facts["records"] == 4
    assert report.facts["alleles"] == 6
    assert report.facts["scored"] == 3
    assert report.facts["model"] == "tiny 0123456789ab"
    assert report.facts["inputs"] == ["vcf a.vcf 0123456789ab", "fasta a.fa fedcba987654"]
    assert table(report, "not scored") == [
        ("missing_alt", 1),
        ("ref_mismatch", 1),
        ("star", 1),
    ]
    assert table(report, "highest scores") == [
        ("chr1", "10", "A", "G", 0.75, None),
        ("chr1", "20", "A", "C", 0.5, None),
    ]


def test_equal_scores_keep_the_order_of_the_file(tmp_path: Path) -> None:
    records = "".join(f"chr1\t{i}\t.\tA\tC\t.\t.\tGENOMIX_P=0.5\n" for i in range(1, 9))
    report = inspect(write(tmp_path / "s.vcf", SCORED + records), top=3)
    assert [row[1] for row in table(report, "highest scores")] == ["1", "2", "3"]


def test_a_plain_vcf_needs_not_be_called_so(tmp_path: Path) -> None:
    text = HEADER + COLUMNS + "\tFORMAT\ts1\ts2\nchr1\t10\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0\n"
    path = tmp_path / "data.txt"
    with gzip.open(path, "wt") as handle:
        handle.write(text)
    report = inspect(path)
    assert report.kind == "VCF"
    assert (report.facts["records"], report.facts["alleles"]) == (1, 1)
    assert report.facts["samples"] == 2
    assert not report.tables


def test_a_byte_order_mark_hides_no_vcf(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.write_text(f"{HEADER}{COLUMNS}\n", encoding="utf-8-sig")
    assert inspect(path).kind == "VCF"


def test_a_vcf_without_records(tmp_path: Path) -> None:
    report = inspect(write(tmp_path / "s.vcf", SCORED))
    assert report.facts["records"] == 0
    assert not report.tables


def test_a_fasta(tmp_path: Path) -> None:
    report = inspect(write(tmp_path / "r.fa", ">one\nACGT\nAC\n>two\nAC\n"))
    assert report.kind == "FASTA"
    assert report.facts["contigs"] == "2 (one, two), 8 bp"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"hello", "not a kind of file that genomix knows"),
        (b"\x1f\x8b\x08\x00", "cannot be read"),
        (b"\x89HDF\r\n\x1a\nbroken", "HDF5"),
    ],
)
def test_what_is_nothing_of_ours(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem):
        inspect(path)


def test_hdf5_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["x"] = [1]
    with pytest.raises(GenomixError) as caught:
        inspect(path)
    assert str(path) in caught.value.line()


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        inspect(tmp_path / "absent")


def test_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a kind of folder that genomix knows"):
        inspect(tmp_path)
    write(tmp_path / "manifest.json", json.dumps({"format": "other"}))
    with pytest.raises(DataError, match="not a simulated genome"):
        inspect(tmp_path)
    write(tmp_path / "manifest.json", "{")
    with pytest.raises(DataError, match="cannot be read"):
        inspect(tmp_path)


def test_a_model(tmp_path: Path) -> None:
    from genomix_cli.genome.signal import TrackSpec
    from genomix_cli.registry import VARIANT_MODELS
    from genomix_cli.variants.trained import ModelConfig, arch_of, save_model

    cnn = VARIANT_MODELS.load("cnn")
    module = cnn(cnn.config_class(tracks=("ATAC",)))
    spec = TrackSpec("ATAC", tuple(float(i) for i in range(1001)), 0.0, 1.0)
    config = ModelConfig("cnn", arch_of(module), (spec,), demonstration=True)
    save_model(tmp_path, module, config)
    metrics = {"test": {"auroc": {"value": 0.9, "low": 0.8, "high": 0.95}, "bayes_auroc": 0.92}}
    write(tmp_path / "metrics.json", json.dumps(metrics))
    report = inspect(tmp_path)
    assert report.kind == "model"
    assert report.facts["model"] == "cnn"
    assert report.facts["parameters"] == sum(p.numel() for p in module.state_dict().values())
    assert report.facts["tracks"] == ["ATAC"]
    assert "demonstration" in report.facts["purpose"]
    assert table(report, "held out") == [("test", "auroc", 0.9, 0.8, 0.95, 0.92)]
