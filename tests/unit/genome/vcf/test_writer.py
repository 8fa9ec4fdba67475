"""Outputs: formats by name, whole or not at all, and the same bytes after any interruption."""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pysam
import pytest

from genomix_cli.errors import CheckError, DataError, GenomixError, MissingExtraError, UsageError
from genomix_cli.genome.parquet import ROW_GROUP, Column
from genomix_cli.genome.vcf import bgzf
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.genome.vcf.writer import Format, format_of, open_output, warn_of_suffix
from tests.conftest import ROOT, clean_environment

HEADER = [
    "##fileformat=VCFv4.2",
    '##FILTER=<ID=PASS,Description="All filters passed">',
    "##contig=<ID=chr1,length=248956422>",
    '##INFO=<ID=P,Number=A,Type=Float,Description="x">',
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
]
COLUMNS = [
    Column("contig", "str"),
    Column("pos", "int"),
    Column("p", "float"),
    Column("why", "str"),
]

NAMES = {
    Format.VCF: "o.vcf",
    Format.VCF_GZ: "o.vcf.gz",
    Format.BCF_RAW: "o.raw",
    Format.BCF: "o.bcf",
    Format.TSV: "o.tsv",
    Format.TSV_GZ: "o.tsv.gz",
    Format.PARQUET: "o.parquet",
}
FORMATS = pytest.mark.parametrize("form", Format, ids=lambda f: f.name)


def header(form: Format) -> list[str]:
    return ["\t".join(c.name for c in COLUMNS)] if form.is_table else HEADER


def line(form: Format, i: int) -> str:
    p = "." if i % 7 == 0 else f"{(i * 37 % 1000) / 1000:g}"
    if form.is_table:
        return f"chr1\t{i + 1}\t{p}\t{'.' if i % 3 else 'long'}"
    return f"chr1\t{i + 1}\trs{i * 7919}\tA\tC\t.\tPASS\tP={p}"


def indexed(form: Format) -> bool:
    return form in (Format.VCF_GZ, Format.TSV_GZ, Format.BCF)


def produce(path: Path, form: Format, records: int = 90, block: int = 10, **more: Any) -> None:
    """Write as a command would: in blocks, and on from where another run has stopped."""
    pause, stop = more.pop("pause", 0), more.pop("stop", None)
    columns = COLUMNS if form is Format.PARQUET else None
    with open_output(path, form, columns=columns, **more) as output:
        done = output.resumed["records"] if output.resumed else 0
        if not output.resumed:
            output.lines(header(form))
        while done < records:
            output.lines(line(form, i) for i in range(done, min(done + block, records)))
            done = min(done + block, records)
            if stop is not None and done > stop[0]:
                raise stop[1]
            output.commit({"records": done})
            time.sleep(pause)


@pytest.fixture
def messages(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[str]]:
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("name", "letter", "expected"),
    [
        ("-", None, Format.VCF),
        ("x", None, Format.VCF),
        ("x.vcf", None, Format.VCF),
        ("x.vcf.gz", None, Format.VCF_GZ),
        ("x.VCF.bgz", None, Format.VCF_GZ),
        ("x.gz", None, Format.VCF_GZ),
        ("x.bcf", None, Format.BCF),
        ("x.tsv", None, Format.TSV),
        ("x.txt", None, Format.TSV),
        ("x.tsv.gz", None, Format.TSV_GZ),
        ("x.parquet", None, Format.PARQUET),
        ("-", "v", Format.VCF),
        ("-", "z", Format.VCF_GZ),
        ("-", "u", Format.BCF_RAW),
        ("-", "b", Format.BCF),
        ("-", "t", Format.TSV),
        ("x.gz", "t", Format.TSV_GZ),
        ("x.bcf", "u", Format.BCF_RAW),
        ("x.vcf", "z", Format.VCF_GZ),
        ("x.vcf.gz", "v", Format.VCF),
        ("x.tsv", "b", Format.BCF),
        ("x.parquet", "v", Format.PARQUET),
    ],
)
def test_formats_by_name_and_letter(name: str, letter: str | None, expected: Format) -> None:
    assert format_of(name, letter) is expected
    assert format_of(Path("some.folder") / name, letter) is expected


def test_an_unknown_letter_names_the_choices() -> None:
    with pytest.raises(
        UsageError, match=r"-O: no such output type .expected v .VCF., z .* found q"
    ):
        format_of("x", "q")


def content(path: Path, form: Format) -> list[str]:
    """The rows of an output, read by somebody else where there is somebody."""
    if form is Format.PARQUET:
        table = pyarrow.parquet.read_table(path).to_pylist()
        rows = ([str(c.name) for c in COLUMNS], *([*row.values()] for row in table))
        return [
            "\t".join(
                "." if v is None else f"{v:g}" if isinstance(v, float) else str(v) for v in row
            )
            for row in rows
        ]
    if form.is_table:
        data = path.read_bytes()
        return (gzip.decompress(data) if form.is_bgzf else data).decode().splitlines()
    with pysam.VariantFile(str(path)) as file:
        return str(file.header).splitlines() + [str(record)[:-1] for record in file]


@FORMATS
@pytest.mark.parametrize("records", [0, 1, 90])
def test_every_format(tmp_path: Path, form: Format, records: int) -> None:
    path = tmp_path / NAMES[form]
    produce(path, form, records)
    expected = [*header(form), *(line(form, i) for i in range(records))]
    assert content(path, form) == expected
    assert list(tmp_path.iterdir()) == [path]


@FORMATS
def test_an_interrupted_run_is_gone_on_with(
    tmp_path: Path, form: Format, messages: Callable[[], list[str]]
) -> None:
    whole, path = tmp_path / "whole" / NAMES[form], tmp_path / NAMES[form]
    whole.parent.mkdir()
    produce(whole, form, index=indexed(form))
    for stop in ((30, KeyboardInterrupt()), (60, SystemExit(143)), (80, GenomixError("full"))):
        with pytest.raises(type(stop[1])):
            produce(path, form, stop=stop, resume=stop[0] > 30, identity="i")
        assert not path.exists()
    assert messages() == [
        f"{path}: kept the {count} records done; --resume continues from there"
        for count in (30, 60, 80)
    ]
    produce(path, form, resume=True, identity="i", index=indexed(form))
    assert path.read_bytes() == whole.read_bytes()
    for index in (".tbi", ".csi"):
        beside = Path(f"{whole}{index}")
        assert Path(f"{path}{index}").exists() == beside.exists()
        if beside.exists():
            assert Path(f"{path}{index}").read_bytes() == beside.read_bytes()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    "error", [DataError("x"), CheckError("x"), UsageError("x"), RuntimeError(), KeyboardInterrupt()]
)
def test_what_cannot_be_gone_on_with_is_removed(tmp_path: Path, error: BaseException) -> None:
    after = -1 if isinstance(error, KeyboardInterrupt) else 30  # no commit, nothing to keep
    with pytest.raises(type(error)):
        produce(tmp_path / "o.vcf.gz", Format.VCF_GZ, stop=(after, error))
    assert list(tmp_path.iterdir()) == []


def interrupt(path: Path, form: Format = Format.VCF, **more: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        produce(path, form, stop=(50, KeyboardInterrupt()), **more)


def test_a_draft_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "o.vcf"
    interrupt(path, identity="a")
    for other in ({"identity": "b"}, {"identity": "a", "form": Format.VCF_GZ}):
        with pytest.raises(UsageError, match=r"other inputs.*remove --resume"):
            produce(path, **({"form": Format.VCF} | other), resume=True)  # type: ignore[arg-type]
    produce(path, Format.VCF, identity="a", resume=True)
    interrupt(path, identity="a")
    produce(path, Format.VCF, identity="b")
    assert list(tmp_path.iterdir()) == [path]


def test_resume_with_nothing_there_starts(tmp_path: Path) -> None:
    produce(tmp_path / "o.vcf", Format.VCF, resume=True)
    assert len((tmp_path / "o.vcf").read_text().splitlines()) == 95


@pytest.mark.parametrize("form", [Format.VCF, Format.VCF_GZ])
def test_a_torn_journal_and_lost_data(tmp_path: Path, form: Format) -> None:
    path, draft = tmp_path / "o", tmp_path / ".o.partial"
    produce(path, form)
    whole = path.read_bytes()
    path.unlink()
    interrupt(path, form)
    shutil.copytree(draft, tmp_path / "kept")
    journal, data = (draft / "journal").read_bytes(), (draft / "data").read_bytes()
    rng = random.Random(1)
    for _ in range(40):
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(tmp_path / "kept", draft)
        if rng.random() < 0.5:
            (draft / "journal").write_bytes(journal[: rng.randrange(len(journal))])
        else:
            at = rng.randrange(len(journal))
            (draft / "journal").write_bytes(journal[:at] + b"\0" + journal[at + 1 :])
        (draft / "data").write_bytes((data + b"more" * 9)[: rng.randrange(len(data) + 36)])
        try:
            produce(path, form, resume=True)
        except UsageError:
            produce(path, form)  # the line that was hit is the one that says what it is
        assert path.read_bytes() == whole


def test_two_runs_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "o.vcf"
    with open_output(path, Format.VCF) as output:
        output.lines(HEADER)
        for resume in (False, True):
            with pytest.raises(GenomixError, match="another run is writing to it") as caught:
                produce(path, Format.VCF, resume=resume)
            assert str(path) in caught.value.line()
    assert path.read_text().splitlines() == HEADER


CHILD = """
import signal, sys
from pathlib import Path
from genomix_cli.genome.vcf.writer import Format
from tests.unit.genome.vcf.test_writer import indexed, produce
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
form = Format(sys.argv[2])
print("ready", flush=True)
produce(Path(sys.argv[1]), form, 2000, 50, resume=True, index=indexed(form), pause=0.003)
"""


def killed_child(path: Path, form: Format, seconds: float) -> bool:
    """Let a process write for a while; whether the end came before its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, path, form.value],
        env=clean_environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        return process.wait() == -signal.SIGKILL


@FORMATS
def test_killed_at_any_moment(tmp_path: Path, form: Format) -> None:
    """Killed four times at random moments and resumed, the run gives the same output."""
    whole, path = tmp_path / f"whole.{NAMES[form]}", tmp_path / NAMES[form]
    produce(whole, form, 2000, 50, index=indexed(form))
    rng = random.Random(form.value)
    killed = 0
    for _ in range(20):
        killed += killed_child(path, form, rng.uniform(0, 0.15))
        if killed == 4:
            break
    assert killed == 4
    produce(path, form, 2000, 50, resume=True, index=indexed(form))
    assert path.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


@FORMATS
def test_a_full_disk(tmp_path: Path, form: Format, messages: Callable[[], list[str]]) -> None:
    """Records written before the disk was full are kept, and the run can be resumed."""
    path = tmp_path / NAMES[form]
    produce(tmp_path / f"whole.{NAMES[form]}", form, 20_000, 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        with pytest.raises(GenomixError, match="cannot be written: File too large") as caught:
            produce(path, form, 20_000, 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert str(path) in caught.value.line()
    assert "records done" in messages()[-1]
    assert not path.exists()
    produce(path, form, 20_000, 1000, resume=True)
    assert path.read_bytes() == (tmp_path / f"whole.{NAMES[form]}").read_bytes()


@pytest.mark.parametrize("form", [f for f in Format if f is not Format.PARQUET])
def test_a_device(form: Format) -> None:
    produce(Path(os.devnull), form)
    with pytest.raises(GenomixError, match="/dev/full: cannot be written: No space left"):
        produce(Path("/dev/full"), form)
    with pytest.raises(UsageError, match="only a run that writes a file can be resumed"):
        produce(Path(os.devnull), form, resume=True)


STREAM = """
import sys
from pathlib import Path
from genomix_cli.genome.vcf.writer import Format
from tests.unit.genome.vcf.test_writer import produce
try:
    produce("-", Format(sys.argv[1]), int(sys.argv[2]), 500)
except BaseException as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def streamed(form: Format, records: int, **how: Any) -> Any:
    command = [sys.executable, "-c", STREAM, form.value, str(records)]
    return subprocess.Popen(
        command, env=clean_environment(), cwd=ROOT, stderr=subprocess.PIPE, **how
    )


STREAMED = pytest.mark.parametrize(
    "form", [f for f in Format if f is not Format.PARQUET], ids=lambda f: f.name
)


@STREAMED
def test_standard_output(tmp_path: Path, form: Format) -> None:
    process = streamed(form, 3000, stdout=subprocess.PIPE)
    data, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    (tmp_path / "o").write_bytes(data)
    rows = content(tmp_path / "o", form)
    assert rows == [*header(form), *(line(form, i) for i in range(3000))]
    if form is not Format.TSV and form is not Format.VCF:
        assert data.endswith(bgzf.END)


@STREAMED
def test_nobody_reads_any_longer(form: Format) -> None:
    process = streamed(form, 1_000_000, stdout=subprocess.PIPE)
    assert process.stdout.read(100)
    process.stdout.close()
    err = process.stderr.read()
    process.wait(60)
    process.stderr.close()
    assert err.startswith(b"BrokenPipeError"), err
    assert len(err.splitlines()) == 1


@STREAMED
def test_a_full_standard_output(form: Format) -> None:
    with open("/dev/full", "wb") as full:
        process = streamed(form, 100_000, stdout=full)
        _, err = process.communicate(timeout=60)
    said = "Error: standard output: cannot be written: No space left on device\n"
    assert err.decode() in (f"Disk{said}", f"Genomix{said}")


@pytest.mark.parametrize("form", [Format.BCF, Format.BCF_RAW, Format.VCF_GZ])
def test_a_stream_that_fails_has_no_end_mark(tmp_path: Path, form: Format) -> None:
    """The missing end mark lets a reader notice the failure."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with (
        (tmp_path / "read").open("wb") as read,
        subprocess.Popen(["cat", fifo], stdout=read),
        pytest.raises(RuntimeError),
    ):
        produce(fifo, form, 50_000, 1000, stop=(40_000, RuntimeError()))
    data = (tmp_path / "read").read_bytes()
    assert bgzf.is_bgzf(data)
    assert not data.endswith(bgzf.END)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("chrX\t9\t.\tA\tC\t.\t.\t.", "at chrX:9: BCF cannot hold.*declares no contig chrX"),
        ("chr1\t9\t.\tA\tC\t.\t.\tQ=1", "at chr1:9: BCF cannot hold.*declares no INFO Q"),
        ("chr1\t9\t.\tA\tC\t.\tq10\t.", "at chr1:9: BCF cannot hold.*declares no FILTER q10"),
    ],
)
def test_what_bcf_cannot_hold(
    tmp_path: Path, live: bool, record: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path(os.devnull) if live else tmp_path / "o.bcf"
    with pytest.raises(DataError, match=message), open_output(path, Format.BCF) as output:
        output.lines([*HEADER, line(Format.VCF, 0), record])
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_too_few_samples_for_bcf(tmp_path: Path) -> None:
    columns = HEADER[-1] + "\tFORMAT\ts1\ts2"
    gt = '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">'
    rows = [
        f"chr1\t{pos}\t.\tA\tC\t.\t.\t.\tGT\t0/1{more}" for pos, more in ((5, "\t0|1"), (9, ""))
    ]
    message = "BCF cannot hold record 2"
    with (
        pytest.raises(DataError, match=message),
        open_output(tmp_path / "o.bcf", Format.BCF) as output,
    ):
        output.lines([*HEADER[:-1], gt, columns, *rows])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("live", [False, True])
def test_a_header_that_bcf_cannot_hold(tmp_path: Path, live: bool) -> None:
    path = Path(os.devnull) if live else tmp_path / "o.bcf"
    message = "BCF cannot hold this header"
    with pytest.raises(DataError, match=message), open_output(path, Format.BCF) as output:
        output.lines(["no header", "at all"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (Format.VCF, "o.vcf"),
        (Format.VCF_GZ, "-"),
        (Format.BCF_RAW, "o"),
        (Format.TSV, "o.tsv"),
        (Format.PARQUET, "o.parquet"),
    ],
)
def test_an_index_that_there_cannot_be(tmp_path: Path, form: Format, name: str) -> None:
    path = name if name == "-" else tmp_path / name
    with pytest.raises(UsageError, match="this output cannot be indexed"):
        produce(path, form, index=True)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        produce(tmp_path, Format.VCF)
    with pytest.raises(UsageError, match="no such folder"):
        produce(tmp_path / "a" / "b", Format.VCF)
    with pytest.raises(UsageError, match="only a run that writes a file can be resumed"):
        produce("-", Format.VCF, resume=True)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Parquet cannot be written to standard output"):
        produce("-", Format.PARQUET)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"genomix-toolkit\[parquet\]"):
        produce(tmp_path / "o.parquet", Format.PARQUET)
    assert list(tmp_path.iterdir()) == []


def test_an_unsorted_output_is_complete_but_not_indexed(tmp_path: Path) -> None:
    path = tmp_path / "o.vcf.gz"
    with (
        pytest.raises(DataError, match=r"is complete, but cannot be indexed.*bcftools sort"),
        open_output(path, Format.VCF_GZ, index=True) as output,
    ):
        output.lines([*HEADER, line(Format.VCF, 9), line(Format.VCF, 2)])
    assert list(tmp_path.iterdir()) == [path]
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 7


def test_a_long_contig_gets_csi_and_an_old_tbi_goes(tmp_path: Path) -> None:
    path = tmp_path / "o.vcf.gz"
    produce(path, Format.VCF_GZ, index=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.vcf.gz", "o.vcf.gz.tbi"]
    with open_output(path, Format.VCF_GZ, index=True) as output:
        output.lines([*HEADER, f"chr1\t{2**29 + 5}\t.\tA\tC\t.\t.\t."])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.vcf.gz", "o.vcf.gz.csi"]
    with pysam.TabixFile(str(path), index=f"{path}.csi") as file:
        assert len(list(file.fetch("chr1", 2**29, 2**29 + 10))) == 1


@pytest.mark.parametrize("form", [Format.VCF_GZ, Format.BCF])
def test_an_index_goes_with_the_file_that_it_indexed(
    tmp_path: Path, form: Format, messages: Callable[[], list[str]]
) -> None:
    """Else tabix reads the wrong records of the new file."""
    path = tmp_path / "o.gz"
    produce(path, form, index=True)
    (index,) = set(tmp_path.iterdir()) - {path}
    produce(path, form)
    assert list(tmp_path.iterdir()) == [path]
    assert f"{index}: removed, since it indexed an earlier file" in messages()


def test_an_unknown_suffix_is_said(messages: Callable[[], list[str]]) -> None:
    for name in ("-", "/dev/null", "x", "x.vcf", "x.VCF.gz", "x.tsv"):
        warn_of_suffix(name)
    assert not messages()
    warn_of_suffix("x.csv")
    assert messages()[0].startswith("x.csv: .csv is an unknown extension: written as VCF")


def test_a_link_keeps_pointing_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "o.vcf"
    link.symlink_to(tmp_path / "real" / "x.vcf")
    produce(link, Format.VCF)
    assert link.is_symlink()
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["x.vcf"]


def test_threads_change_no_byte() -> None:
    """Blocks end at the same bytes however many threads compress them."""

    class Stream(list[bytes]):
        write = list.append

    rng = random.Random(5)
    pieces = [rng.randbytes(rng.randrange(200_000)) + bytes(rng.randrange(99)) for _ in range(30)]
    made = []
    for threads in (0, 1, 4):
        out = Stream()
        writer = bgzf.BgzfWriter(out, threads=threads)
        for i, piece in enumerate(pieces):
            writer.write(piece)
            if i % 7 == 0:
                writer.flush()
        writer.finish()
        made.append(b"".join(out))
    assert made[0] == made[1] == made[2]
    assert gzip.decompress(made[0]) == b"".join(pieces)


def test_parquet_has_types_and_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "o.parquet"
    produce(path, Format.PARQUET, ROW_GROUP + 10, 50_000)
    file = pyarrow.parquet.ParquetFile(path)
    assert [str(t) for t in file.schema_arrow.types] == ["string", "int64", "double", "string"]
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [
        ROW_GROUP,
        10,
    ]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    first = file.read().slice(0, 2).to_pylist()
    assert first == [
        {"contig": "chr1", "pos": 1, "p": None, "why": "long"},
        {"contig": "chr1", "pos": 2, "p": 0.037, "why": "."},
    ]


@pytest.mark.parametrize("row", ["chr1\tx\t1\t.", "chr1\t1", 'chr1\t1\t0.5\t"quoted'])
def test_rows_of_parquet(tmp_path: Path, row: str) -> None:
    path = tmp_path / "o.parquet"

    def write() -> None:
        with open_output(path, Format.PARQUET, columns=COLUMNS) as output:
            output.lines([*header(Format.PARQUET), row])

    if '"' in row:
        write()
        assert pyarrow.parquet.read_table(path).to_pylist()[0]["why"] == '"quoted'
        return
    with pytest.raises(DataError, match=f"{path}: Parquet cannot hold a row"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_the_journal_says_what_it_is(tmp_path: Path) -> None:
    interrupt(tmp_path / "o.vcf", identity="made of this")
    first, *rest = (tmp_path / ".o.vcf.partial" / "journal").read_bytes().splitlines()
    assert json.loads(first[9:]) == {"draft": 1, "identity": "v made of this"}
    assert [json.loads(entry[9:])["state"]["records"] for entry in rest] == [10, 20, 30, 40, 50]


def test_empty_and_missing_lines(tmp_path: Path) -> None:
    with open_output(tmp_path / "o.vcf", Format.VCF) as output:
        for lines in ([], ["a"], [""], iter(["b", "c"])):
            output.lines(lines)
    assert (tmp_path / "o.vcf").read_text() == "a\n\nb\nc\n"


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    for form in (Format.VCF, Format.VCF_GZ, Format.BCF, Format.BCF_RAW):
        path = tmp_path / NAMES[form]
        produce(path, form)
        with VcfReader(path) as reader:
            assert ["\t".join(r.fields) for r in reader] == [line(form, i) for i in range(90)]
            assert [*reader.header.meta, reader.header.columns] == HEADER
