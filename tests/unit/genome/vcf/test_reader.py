"""VCF in and out: what must pass untouched, and what must be refused with a place."""

from __future__ import annotations

import gzip
import io
import logging
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from genomix_cli.errors import DataError, GenomixError
from genomix_cli.genome.vcf import bgzf
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.reader import COLUMNS, Header, VcfReader, contig_line, info_line
from genomix_cli.genome.vcf.regions import Regions
from genomix_cli.genome.vcf.writer import Format, format_of, open_output
from genomix_cli.variants.score.annotate import with_scores

HEADER = "##fileformat=VCFv4.2\n##source=tèst\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
RECORDS = "chr1\t7\trs1\tA\tC,<DEL>\t.\tPASS\tAF=0.5,.;DB\nchr1\t9\t.\tAT\t.\t3\tq10;s5\t.\n"
TEXT = f"{HEADER}\n{RECORDS}"
BCF_HEADER = (
    "##fileformat=VCFv4.2\n"
    '##FILTER=<ID=PASS,Description="All filters passed">\n'
    "##contig=<ID=chr1>\n##contig=<ID=chr2>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
BCF_RECORDS = "chr1\t7\trs1\tA\tC,<DEL>\t.\tPASS\t.\nchr1\t9\t.\tAT\t.\t3\t.\t.\n"
BCF_TEXT = BCF_HEADER + BCF_RECORDS


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
    with VcfReader(source) as reader, open_output(target, format_of(target)) as output:
        output.lines(reader.header.lines)
        output.lines("\t".join(record.fields) for record in reader)


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
        (".", "GENOMIX_A=1"),
        ("DB", "DB;GENOMIX_A=1"),
        ("GENOMIX_A=7;DB;GENOMIX_B=2", "DB;GENOMIX_A=1"),
        ("GENOMIX_A=7", "GENOMIX_A=1"),
        ("DGENOMIX_A=3", "DGENOMIX_A=3;GENOMIX_A=1"),
    ],
)
def test_info_is_appended_and_replaced(tmp_path: Path, info: str, expected: str) -> None:
    line = f"1\t5\t.\tA\tC\t.\t.\t{info}\tGT\t0|1"
    with VcfReader(write(tmp_path, f"{HEADER}\tFORMAT\ts1\n{line}\n")) as reader:
        (record,) = reader
    written = with_scores(Lines.of([record]), [b"GENOMIX_A=1"]).decode().removesuffix("\n")
    assert written == f"1\t5\t.\tA\tC\t.\t.\t{expected}\tGT\t0|1"
    assert "\t".join(record.fields) == line


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
        f"{tmp_path}/a.vcf: Windows line ends are read as plain ones"
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
    with pytest.raises(DataError, match=r"lacks the BGZF end-of-file block.*zcat FILE"):
        VcfReader(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_order_mark_is_left_out_and_said(
    tmp_path: Path, packed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    data = b"\xef\xbb\xbf" + TEXT.encode()
    with VcfReader(write(tmp_path, compress(data) if packed else data)) as reader:
        assert reader.header.lines[0].startswith("##fileformat")
        assert len(list(reader)) == TEXT.count("\n") - len(reader.header.lines)
        again = len(caplog.records)
        with VcfReader(reader.path, again=True) as second:
            assert len(list(second)) == TEXT.count("\n") - len(reader.header.lines)
    assert "byte order mark" in caplog.text
    assert len(caplog.records) == again


def test_samples_named_twice_are_refused_for_bcf(tmp_path: Path) -> None:
    for names, code in ((["S1", "S2"], None), (["S1", "S2", "S1"], "S1")):
        header = Header(("##fileformat=VCFv4.2",), "\t".join([*COLUMNS, "FORMAT", *names]))
        assert header.samples == names
        if code is None:
            header.refuse_for_bcf(tmp_path)
            continue
        with pytest.raises(DataError, match="repeated sample names: S1"):
            header.refuse_for_bcf(tmp_path)


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
    with pytest.raises(RuntimeError), open_output(target, Format.VCF_GZ) as output:
        output.lines(["##fileformat=VCFv4.2", "#CHROM"])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/dev/full", "full.vcf", "full.vcf.gz"])
def test_a_full_disk(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    if not target.is_absolute() or name.startswith("full"):
        target.symlink_to("/dev/full")
    with (
        pytest.raises(GenomixError, match="No space left") as caught,
        open_output(target, format_of(target)) as output,
    ):
        output.lines(["##fileformat=VCFv4.2", "#CHROM"])
    assert str(target) in caught.value.line()


def test_standard_output(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(1, "w", closefd=False) as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        copy(write(tmp_path, TEXT), "-")
        monkeypatch.undo()
    assert capfdbinary.readouterr().out == TEXT.encode()


def bcf(folder: Path, text: str, letter: str = "b") -> Path:
    path = folder / "a.bcf"
    with open_output(path, Format(letter)) as output:
        output.lines(text.splitlines())
    return path


@pytest.mark.parametrize("letter", ["b", "u"])
@pytest.mark.parametrize("by", ["file", "stdin", "fifo"])
def test_bcf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, letter: str, by: str) -> None:
    source: Path | str = bcf(tmp_path, BCF_TEXT + BCF_RECORDS * 3000, letter=letter)
    data = Path(source).read_bytes()
    if by == "stdin":
        monkeypatch.setattr("sys.stdin", Stdin(data))
        source = "-"
    if by == "fifo":
        source = tmp_path / "fifo"
        os.mkfifo(source)
        threading.Thread(target=source.write_bytes, args=(data,)).start()
    copy(source, tmp_path / "out.vcf")
    assert (tmp_path / "out.vcf").read_text() == BCF_TEXT + BCF_RECORDS * 3000


@pytest.mark.parametrize("by", ["file", "stdin"])
@pytest.mark.parametrize("kept", [0.01, 0.3, 0.9999])
def test_truncated_bcf(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    by: str,
    kept: float,
) -> None:
    data = bcf(tmp_path, BCF_TEXT + BCF_RECORDS * 3000).read_bytes()
    data = data[: int(kept * len(data))]
    monkeypatch.setattr("sys.stdin", Stdin(data))
    message = refusal("-" if by == "stdin" else write(tmp_path, data, "cut.bcf"))
    assert "truncated" in message
    assert ("standard input" if by == "stdin" else "cut.bcf") in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", ["z", "b"])
@pytest.mark.parametrize("regions", [None, Regions.parse("chr1"), Regions.parse("chr1:7-")])
def test_damage_in_the_middle(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], form: str, regions: Regions | None
) -> None:
    lines = "".join(
        f"chr1\t{i}\trs{i * 7919 % 99991}\tA\tC\t.\tPASS\t.\n" for i in range(1, 30_000)
    )
    path = tmp_path / "a"
    with open_output(path, Format(form), index=True) as output:
        output.lines((BCF_HEADER + lines).splitlines())
    data = bytearray(path.read_bytes())
    for i in range(100):
        data[len(data) // 2 + i] ^= 0x55
    path.write_bytes(data)
    count = 0
    with pytest.raises(DataError, match="damaged"), VcfReader(path, regions) as reader:
        for count, record in enumerate(reader, 1):
            assert record.pos == count + (6 if regions and "-" in str(regions) else 0)
    assert count < 29_000
    assert capfd.readouterr() == ("", "")


def test_places_with_and_without_lines(tmp_path: Path) -> None:
    text, packed, binary = write(tmp_path, BCF_TEXT), tmp_path / "a.vcf.gz", tmp_path / "a.bcf"
    for path in (packed, binary):
        with open_output(path, format_of(path), index=True) as output:
            output.lines(BCF_TEXT.splitlines())
    first = BCF_HEADER.count("\n") + 1
    region = Regions.parse("chr1:9")
    for path, regions, place in (
        (text, None, f":{first}"),
        (text, region, f":{first + 1}"),
        (packed, None, f":{first}"),
        (packed, region, " at chr1:9"),
        (binary, None, " at chr1:7"),
        (binary, region, " at chr1:9"),
    ):
        with VcfReader(path, regions) as reader:
            assert reader.where(next(iter(reader))) == f"{path}{place}"


@pytest.mark.parametrize(("name", "suffix"), [("a.vcf.gz", ".tbi"), ("a.bcf", ".csi")])
def test_indexes_that_are_damaged_or_old(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    suffix: str,
) -> None:
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)
    path, region = tmp_path / name, Regions.parse("1:9")
    with open_output(path, format_of(path), index=True) as output:
        output.lines(BCF_TEXT.splitlines())
    index = Path(f"{path}{suffix}")
    with VcfReader(path, region) as reader:
        assert [record.pos for record in reader] == [9]
    assert caplog.messages == []
    os.utime(index, (1, 1))
    with VcfReader(path, region) as reader:
        assert [record.pos for record in reader] == [9]
    assert caplog.messages == [f"{index}: the index is older than its file"]
    index.write_bytes(b"no index")
    with pytest.raises(DataError, match=f"{index}: the index is damaged.*bcftools index"):
        VcfReader(path, region)
    with VcfReader(path) as reader:
        assert len(list(reader)) == 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.vcf", "a.vcf.gz", "a.bcf"])
def test_regions_that_the_file_does_not_have(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)
    path = tmp_path / name
    with open_output(path, format_of(path), index=name != "a.vcf") as output:
        output.lines(BCF_TEXT.splitlines())
    for text, count in (("chr1:1-3", 0), ("chr7,chr1:9", 1), ("chr2", 0), ("chrM,{a:b}:5", 0)):
        assert caplog.messages == []
        with VcfReader(path, Regions.parse(text)) as reader:
            assert len(list(reader)) == count
    assert caplog.messages == [f"{path}: has no contig of the regions, e.g. chrM, a:b"]


def test_a_contig_that_only_records_have(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)
    with VcfReader(write(tmp_path, TEXT), Regions.parse("1:9,chr3")) as reader:
        assert [record.pos for record in reader] == [9]
    assert caplog.messages == []


@pytest.mark.parametrize("packed", [False, True])
def test_lines_of_any_length_end_at_line_feeds_alone(tmp_path: Path, packed: bool) -> None:
    """Vertical tabs, form feeds and Unicode line ends do not end a line."""
    odd = "chr1\t7\ta\x0bb\x0c\x1c\x85\u2028\u2029c\rd\tA\tC\t.\t.\t."
    long = "chr1\t8\t.\tA\tC\t.\t.\tX=" + "y" * 2_000_000
    text = f"{HEADER}\n{odd}\n{long}\n\n{odd}\n{long}"
    path = write(tmp_path, compress(text.encode()) if packed else text)
    with VcfReader(path) as reader:
        records = list(reader)
    assert ["\t".join(record.fields) for record in records] == [odd, long, odd, long]
    assert [record.line for record in records] == [4, 5, 7, 8]


def test_reading_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with VcfReader(write(tmp_path, TEXT)) as reader:
        for record in reader:
            assert record.pos == 7
            break
        assert [record.pos for record in reader] == [9]


def test_a_pipe_is_read_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first record can be read before the writer has finished."""
    source, target = os.pipe()
    with open(source) as stdin, open(target, "wb", buffering=0) as pipe:
        monkeypatch.setattr("sys.stdin", stdin)
        pipe.write(TEXT.encode())
        with VcfReader("-") as reader:
            assert next(iter(reader)).pos == 7
