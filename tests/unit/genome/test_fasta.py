"""Windows of a reference, and every way a FASTA can be wrong."""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

import numpy as np
import pyfaidx
import pysam
import pytest

from genomix_cli.errors import DataError
from genomix_cli.genome import fasta as module
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta

SEQUENCES = {"chr1": "ACGTNacgtnRYKMacgGGGTTTAAACC", "chr2": "TTTTTTTTTT", "chrM": "GATTACA"}


def as_fasta(sequences: dict[str, str], width: int = 10, newline: str = "\n") -> bytes:
    lines: list[str] = []
    for name, bases in sequences.items():
        lines += [
            f">{name} described",
            *(bases[i : i + width] for i in range(0, len(bases), width)),
        ]
    return "".join(line + newline for line in lines).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "genome.fa"
    file.write_bytes(as_fasta(SEQUENCES))
    return file


def bgzip(path: Path) -> Path:
    compressed = path.with_name(path.name + ".gz")
    pysam.tabix_compress(str(path), str(compressed), force=True)
    return compressed


def letters(bases: str) -> str:
    """The oracle: upper case, N for what is no base."""
    return "".join(b if b in "ACGT" else "N" for b in bases.upper())


def test_every_window_of_every_contig(path: Path) -> None:
    with Fasta(path) as fasta:
        assert fasta.lengths == {name: len(bases) for name, bases in SEQUENCES.items()}
        for name, bases in SEQUENCES.items():
            padded = "N" * 5 + letters(bases) + "N" * 5
            for start in range(-5, len(bases) + 5):
                for end in range(start, len(bases) + 6):
                    codes = fasta.fetch(name, start, end)
                    assert decode(codes) == padded[start + 5 : end + 5]
                    assert codes.dtype == np.uint8
            assert decode(fasta.contig(name)) == letters(bases)


@pytest.mark.parametrize(("width", "newline"), [(10, "\n"), (7, "\r\n"), (80, "\n")])
def test_windows_are_those_of_pyfaidx(tmp_path: Path, width: int, newline: str) -> None:
    path, copy = tmp_path / "genome.fa", tmp_path / "copy.fa"
    path.write_bytes(as_fasta(SEQUENCES, width, newline))
    copy.write_bytes(path.read_bytes())  # each makes an index of its own
    oracle = pyfaidx.Fasta(str(copy), as_raw=True)
    with Fasta(path) as fasta:
        assert fasta.lengths == {record.name: len(record) for record in oracle}
        for name, length in fasta.lengths.items():
            for start in range(length):
                for end in range(start + 1, length + 1):
                    assert decode(fasta.fetch(name, start, end)) == letters(oracle[name][start:end])
    oracle.close()


@pytest.mark.parametrize(("start", "end"), [(-100, -90), (1000, 1010), (-3, 100), (28, 30), (4, 4)])
def test_windows_off_the_contig_are_unknown(path: Path, start: int, end: int) -> None:
    with Fasta(path) as fasta:
        codes = fasta.fetch("chr1", start, end)
        expected = [
            letters(SEQUENCES["chr1"])[i] if 0 <= i < 28 else "N" for i in range(start, end)
        ]
        assert decode(codes) == "".join(expected)


def test_names_are_reconciled(path: Path) -> None:
    with Fasta(path) as fasta:
        assert decode(fasta.fetch("1", 0, 4)) == "ACGT"
        assert decode(fasta.contig("MT")) == "GATTACA"
        with pytest.raises(DataError, match="has no contig 'chr3'"):
            fasta.fetch("chr3", 0, 4)


def test_what_is_fetched_is_the_callers(path: Path) -> None:
    with Fasta(path) as fasta:
        fasta.fetch("chr2", 0, 4)[:] = 0
        assert decode(fasta.fetch("chr2", 0, 4)) == "TTTT"


def test_crlf(tmp_path: Path) -> None:
    file = tmp_path / "windows.fa"
    file.write_bytes(as_fasta(SEQUENCES, newline="\r\n"))
    with Fasta(file) as fasta:
        assert decode(fasta.contig("chr1")) == letters(SEQUENCES["chr1"])
    before = Path(f"{file}.fai").stat().st_mtime_ns
    Fasta(file).close()
    assert Path(f"{file}.fai").stat().st_mtime_ns == before


@pytest.mark.parametrize("missing", [[".fai"], [".gzi"], [".fai", ".gzi"], []])
def test_bgzipped_with_any_index_missing(path: Path, missing: list[str]) -> None:
    compressed = bgzip(path)
    Fasta(compressed).close()
    for suffix in missing:
        Path(f"{compressed}{suffix}").unlink()
    with Fasta(compressed) as fasta:
        assert decode(fasta.fetch("chr1", -2, 12)) == "NN" + letters(SEQUENCES["chr1"])[:12]
    assert sorted(p.name for p in path.parent.glob("genome.fa.gz*")) == [
        "genome.fa.gz",
        "genome.fa.gz.fai",
        "genome.fa.gz.gzi",
    ]
    assert not list(path.parent.glob(".*"))


def test_missing_index_is_built_once(path: Path) -> None:
    Fasta(path).close()
    index = Path(f"{path}.fai")
    before = index.stat().st_mtime_ns
    # Copied folders often leave the index the older file: that alone does not make it wrong.
    os.utime(path)
    Fasta(path).close()
    assert index.stat().st_mtime_ns == before
    assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize("newline_at_end", [True, False])
def test_index_of_an_earlier_file_is_replaced(path: Path, newline_at_end: bool) -> None:
    Fasta(path).close()
    text = as_fasta({"new": "ACGTACGTACGTACG"})
    path.write_bytes(text if newline_at_end else text.rstrip())
    with Fasta(path) as fasta:
        assert fasta.lengths == {"new": 15}
        assert decode(fasta.contig("new")) == "ACGTACGTACGTACG"


@pytest.mark.parametrize("n", [15, 100_000, 300_000])
def test_index_of_an_earlier_bgzipped_file_is_replaced(tmp_path: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "genome.fa"
    file.write_bytes(as_fasta({"old": decode(rng.integers(0, 4, 200_000))}, width=60))
    Fasta(bgzip(file)).close()
    bases = decode(rng.integers(0, 4, n))
    file.write_bytes(as_fasta({"new": bases}, width=60))
    with Fasta(bgzip(file)) as fasta:
        assert fasta.lengths == {"new": n}
        assert decode(fasta.contig("new")) == bases


@pytest.mark.parametrize("n", [10, 65_280, 200_000])
@pytest.mark.parametrize("end", [b"\n", b"", b"\n\n"])
def test_index_of_a_bgzipped_file_is_kept(tmp_path: Path, n: int, end: bytes) -> None:
    file = tmp_path / "genome.fa"
    bases = decode(np.random.default_rng(0).integers(0, 4, n))
    file.write_bytes(as_fasta({"a": "ACGT", "b": bases}, width=60).rstrip() + end)
    compressed = bgzip(file)
    Fasta(compressed).close()
    before = Path(f"{compressed}.fai").stat().st_mtime_ns
    Fasta(compressed).close()
    assert Path(f"{compressed}.fai").stat().st_mtime_ns == before


def test_windows_that_walk_are_those_of_the_contig(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "KEPT_BASES", 64)
    file = tmp_path / "genome.fa"
    bases = decode(np.random.default_rng(0).integers(0, 5, 999))
    file.write_bytes(as_fasta({"a": bases, "b": bases[::-1]}))
    with Fasta(file) as fasta:
        for contig, whole in (("a", bases), ("b", bases[::-1])):
            for start in [*range(-20, 999, 15), 500, 3, 480, 495, 510]:
                expected = "".join(
                    whole[i] if 0 <= i < 999 else "N" for i in range(start, start + 30)
                )
                assert decode(fasta.fetch(contig, start, start + 30)) == expected
        assert decode(fasta.contig("a")) == bases


def test_unreadable_index_is_replaced(path: Path) -> None:
    Path(f"{path}.fai").write_text("chr1\tmany\n")
    with Fasta(path) as fasta:
        assert list(fasta.lengths) == list(SEQUENCES)


def test_read_only_folder_without_index(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no folder refuses.
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(DataError, match=r"has no matching index.*samtools faidx genome\.fa"):
        Fasta(path)
    assert not Path(f"{path}.fai").exists()


def test_read_only_folder_with_index(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Fasta(path).close()
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *_, **__: pytest.fail("wrote"))
    with Fasta(path) as fasta:
        assert decode(fasta.contig("chrM")) == "GATTACA"


def test_plain_gzip_says_bgzip(path: Path) -> None:
    compressed = path.with_name("genome.fa.gz")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"gunzip genome\.fa\.gz && bgzip genome\.fa"):
        Fasta(compressed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a FASTA file.*an empty file"),
        (b"##fileformat=VCFv4.2\n", "is not a FASTA file.*##fileformat"),
        (b"@read\nACGT\n+\nIIII\n", "is not a FASTA file"),
        (bytes(range(256)), "is not a FASTA file"),
        (b">a\nACGT\nAC\nACGT\n", "is not a well-formed FASTA file"),
    ],
)
def test_not_a_fasta(
    tmp_path: Path, content: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "genome.fa"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        Fasta(file)
    assert capfd.readouterr().err == ""
    assert [p.name for p in tmp_path.iterdir()] == ["genome.fa"]


def test_bgzipped_but_not_a_fasta(tmp_path: Path) -> None:
    file = tmp_path / "calls.vcf"
    file.write_text("##fileformat=VCFv4.2\n")
    with pytest.raises(DataError, match="is not a FASTA file"):
        Fasta(bgzip(file))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        Fasta(tmp_path / "absent.fa")
    with pytest.raises(DataError, match="Is a directory"):
        Fasta(tmp_path)


def test_truncated_bgzip_is_no_silent_n(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "genome.fa"
    file.write_bytes(as_fasta({"chr1": decode(rng.integers(0, 4, 300_000))}, width=60))
    compressed = bgzip(file)
    Fasta(compressed).close()
    compressed.write_bytes(compressed.read_bytes()[: compressed.stat().st_size // 2])
    with Fasta(compressed) as fasta:
        assert len(fasta.fetch("chr1", 0, 1000)) == 1000
        with pytest.raises(DataError, match="cannot read chr1:290001-291000"):
            fasta.fetch("chr1", 290_000, 291_000)


def test_chromosome_22(shared_data: Path, tmp_path: Path) -> None:
    # Linked, so that the index is written beside the link.
    link = tmp_path / "chr22.fa.gz"
    link.symlink_to(shared_data / "hg38_chr22" / "chr22.fa.gz")
    with Fasta(link) as fasta:
        assert fasta.lengths == {"chr22": 50_818_468}
        codes = fasta.contig("22")
        assert int((codes < 4).sum()) == 39_159_777
        np.testing.assert_array_equal(
            fasta.fetch("22", 20_000_000, 20_100_000), codes[20_000_000:20_100_000]
        )


@pytest.mark.parametrize("compressed", [False, True])
def test_an_index_with_the_contigs_in_another_order_is_replaced(
    tmp_path: Path, compressed: bool
) -> None:
    """Only the headers show that the index is of an earlier file; size and last byte agree."""
    file = tmp_path / "genome.fa"
    first, second = {"a": "ACGT" * 10, "b": "GGCC" * 10}, {"b": "GGCC" * 10, "a": "ACGT" * 10}
    file.write_bytes(as_fasta(first))
    Fasta(bgzip(file) if compressed else file).close()
    file.write_bytes(as_fasta(second))
    with Fasta(bgzip(file) if compressed else file) as fasta:
        assert list(fasta.lengths) == ["b", "a"]
        assert decode(fasta.contig("a")) == first["a"]


@pytest.mark.parametrize("where", ["middle", "end"])
@pytest.mark.parametrize("indexed", [False, True])
def test_a_contig_named_twice_is_refused(tmp_path: Path, where: str, indexed: bool) -> None:
    file = tmp_path / "genome.fa"
    records = [">a\nACGT\n", ">b\nGGCC\n", ">a again\nTTTT\n"]
    file.write_text("".join(records if where == "end" else [records[0], records[2], records[1]]))
    if indexed:  # as samtools leaves it, with a warning
        pysam.set_verbosity(0)
        pysam.faidx(str(file))
    with pytest.raises(DataError, match=r"genome\.fa: has two contigs called a"):
        Fasta(file)
