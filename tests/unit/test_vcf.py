"""VCF in and out: what must pass untouched, and what must be refused with a place."""

from __future__ import annotations

import gzip
import io
import logging
import shutil
import subprocess
from pathlib import Path

import pytest

from genomix_cli.errors import DataError, GenomixError
from genomix_cli.genome import bgzf
from genomix_cli.genome.vcf import Header, VcfReader, contig_line, info_line, vcf_writer

HEADER = "##fileformat=VCFv4.2\n##source=tèst\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
RECORDS = "chr1\t7\trs1\tA\tC,<DEL>\t.\tPASS\tAF=0.5,.;DB\nchr1\t9\t.\tAT\t.\t3\tq10;s5\t.\n"
TEXT = f"{HEADER}\n{RECORDS}"


def write(folder: Path, data: bytes | str, name: str = "a.vcf") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def compress(data: bytes) -> bytes:
    out = io.BytesIO()
    writer = bgzf.BgzfWriter(out)
    writer.write(data)
    writer.finish()
    return out.getvalue()


def refusal(path: Path | str) -> str:
    with pytest.raises(DataError) as caught, VcfReader(path) as reader:
        list(reader)
    return caught.value.line()


def copy(source: Path | str, target: Path | str) -> None:
    with VcfReader(source) as reader, vcf_writer(target) as writer:
        writer.header(reader.header)
        writer.lines("\t".join(record.fields) for record in reader)


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_what_a_record_says(tmp_path: Path) -> None:
    with VcfReader(write(tmp_path, TEXT)) as reader:
        first, second = reader
    assert (first.line, first.chrom, first.pos, first.ref) == (4, "chr1", 7, "A")
    assert first.alts == ["C", "<DEL>"]
    assert (first.info("AF"), first.info("DB"), first.info("A")) == ("0.5,.", "", None)
    assert second.alts == ["."]
    assert second.info("DB") is None


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (".", "X_A=1"),
        ("DB", "DB;X_A=1"),
        ("X_A=7;DB;X_B=2", "DB;X_A=1"),
        ("X_A=7", "X_A=1"),
        ("DX_A=3", "DX_A=3;X_A=1"),
    ],
)
def test_info_is_appended_and_replaced(tmp_path: Path, info: str, expected: str) -> None:
    line = f"1\t5\t.\tA\tC\t.\t.\t{info}\tGT\t0|1"
    with VcfReader(write(tmp_path, f"{HEADER}\tFORMAT\ts1\n{line}\n")) as reader:
        (record,) = reader
    assert (
        record.with_info({"X_A": "1"}, replacing="X_")
        == f"1\t5\t.\tA\tC\t.\t.\t{expected}\tGT\t0|1"
    )
    assert record.with_info({}) == line


@pytest.mark.parametrize("form", ["plain", "gzip", "members", "bgzf"])
@pytest.mark.parametrize("by", ["file", "stdin"])
def test_every_compression_and_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, by: str
) -> None:
    data = TEXT.encode()
    data = {
        "plain": data,
        "gzip": gzip.compress(data),
        "members": gzip.compress(data[:50]) + gzip.compress(data[50:]),
        "bgzf": compress(data),
    }[form]
    source: Path | str = write(tmp_path, data)
    if by == "stdin":
        monkeypatch.setattr("sys.stdin", Stdin(data))
        source = "-"
    copy(source, tmp_path / "out.vcf")
    assert (tmp_path / "out.vcf").read_text() == TEXT


def test_bytes_that_are_no_utf8_pass(tmp_path: Path) -> None:
    data = TEXT.encode() + b"chr2\t1\tr\xe9s\tA\tC\t.\t.\tNOTE=\xff\xfe\tGT\t\x800|1\n"
    copy(write(tmp_path, data), tmp_path / "out.vcf")
    assert (tmp_path / "out.vcf").read_bytes() == data


def test_windows_line_ends_become_plain_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)
    copy(write(tmp_path, TEXT.replace("\n", "\r\n")), tmp_path / "out.vcf")
    assert (tmp_path / "out.vcf").read_text() == TEXT
    assert [r.message for r in caplog.records if "Windows line ends" in r.message] == [
        f"{tmp_path}/a.vcf: Windows line ends; written back as plain ones"
    ]


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("", None, ["is empty"]),
        ("chr1\t5\t.\tA\tC\n", 1, ["is not a VCF", "##fileformat=VCF", "'chr1"]),
        (">chr1\nACGT\n", 1, ["is not a VCF"]),
        ("##fileformat=VCFv4.2\nchr1\t5\t.\tA\tC\t.\t.\t.\n", 2, ["#CHROM line is missing"]),
        ("##fileformat=VCFv4.2\n##x=y\n", 2, ["#CHROM line is missing"]),
        ("##fileformat=VCFv4.2\n#CHROM POS ID REF\n", 2, ["#CHROM line is wrong", "<TAB>POS"]),
        (TEXT + "chr1\t12\t.\tA\n", 6, ["too few columns", "8 separated by tabs", "found 4"]),
        (TEXT + "chr1 12 . A C . . .\n", 6, ["too few columns", "found 1"]),
        (TEXT + "\nchr1\t1e5\t.\tA\tC\t.\t.\t.\n", 7, ["POS is no position", "'1e5'"]),
        (TEXT + "chr1\t-5\t.\tA\tC\t.\t.\t.\n", 6, ["POS is no position", "'-5'"]),
        (TEXT + "chr1\t1_0\t.\tA\tC\t.\t.\t.\n", 6, ["POS is no position"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_vcf(
    tmp_path: Path, text: str, line: int | None, parts: list[str], packed: bool
) -> None:
    path = write(tmp_path, compress(text.encode()) if packed else text)
    message = refusal(path)
    assert message.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("kept", [0.3, 0.95])
def test_truncated_gzip(tmp_path: Path, kept: float) -> None:
    data = gzip.compress(TEXT.encode())
    message = refusal(write(tmp_path, data[: int(len(data) * kept)]))
    assert "truncated" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("lost", [1, 28, 40])
@pytest.mark.parametrize("by", ["file", "stdin"])
def test_truncated_bgzf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int, by: str
) -> None:
    data = compress(TEXT.encode())[:-lost]
    monkeypatch.setattr("sys.stdin", Stdin(data))
    message = refusal("-" if by == "stdin" else write(tmp_path, data))
    assert "truncated" in message
    assert ("standard input" if by == "stdin" else str(tmp_path)) in message


def test_truncated_bgzf_is_refused_before_any_record(tmp_path: Path) -> None:
    path = write(tmp_path, compress(TEXT.encode())[:-28])
    with pytest.raises(DataError, match="truncated"):
        VcfReader(path)


def test_damaged_gzip(tmp_path: Path) -> None:
    data = bytearray(compress(TEXT.encode()))
    data[40] ^= 0xFF
    assert "damaged" in refusal(write(tmp_path, bytes(data)))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.vcf")
    assert "directory" in refusal(tmp_path)


def test_a_header_alone(tmp_path: Path) -> None:
    with VcfReader(write(tmp_path, HEADER)) as reader:
        assert list(reader) == []
    assert str(reader.header) == HEADER + "\n"


def test_contigs_of_a_header() -> None:
    header = Header(
        (
            "##contig=<ID=1,length=5>",
            "##contig=<length=5,ID=chrM>",
            '##contig=<note="a,ID=no",ID=chrX>',
            "##INFO=<ID=AF,Number=A>",
            contig_line("HLA-A*01:01", None),
        ),
        "#CHROM",
    )
    assert header.contigs == ("1", "chrM", "chrX", "HLA-A*01:01")


def test_header_lines_are_kept_dropped_and_added() -> None:
    header = Header(("##fileformat=VCFv4.2", "##genomixX=1", "##source=a"), "#CHROM")
    changed = header.without("##genomix").plus(
        [info_line("K", "A", "Float", 'a "b" \\'), "##c=d\ne"]
    )
    assert changed.meta == (
        "##fileformat=VCFv4.2",
        "##source=a",
        '##INFO=<ID=K,Number=A,Type=Float,Description="a \\"b\\" \\\\">',
        "##c=d e",
    )


def test_output_is_bgzf_by_suffix(tmp_path: Path) -> None:
    body = TEXT + RECORDS * 5000  # several blocks
    copy(write(tmp_path, body), tmp_path / "out.vcf.gz")
    data = (tmp_path / "out.vcf.gz").read_bytes()
    assert bgzf.is_bgzf(data[:18])
    assert data.endswith(bgzf.END)
    assert gzip.decompress(data).decode() == body
    if bgzip := shutil.which("bgzip"):
        subprocess.run([bgzip, "-t", tmp_path / "out.vcf.gz"], check=True)


def test_nothing_appears_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "out.vcf.gz"
    with pytest.raises(RuntimeError), vcf_writer(target) as writer:
        writer.header(Header(("##fileformat=VCFv4.2",), "#CHROM"))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/dev/full", "full.vcf", "full.vcf.gz"])
def test_a_full_disk(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    if not target.is_absolute() or name.startswith("full"):
        target.symlink_to("/dev/full")
    with pytest.raises(GenomixError, match="No space left") as caught, vcf_writer(target) as writer:
        writer.header(Header(("##fileformat=VCFv4.2",), "#CHROM"))
    assert str(target) in caught.value.line()


def test_standard_output(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(1, "w", closefd=False) as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        copy(write(tmp_path, TEXT), "-")
        monkeypatch.undo()
    assert capfdbinary.readouterr().out == TEXT.encode()
