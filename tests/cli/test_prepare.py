"""``genomix prepare variants`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genomix_cli.formats.genome_shard import open_shard, open_windows
from tests.conftest import Fast, Genomix

CHR22 = "hg38_chr22"


def test_a_simulated_genome_to_a_shard(
    tiny_genome: Path, tmp_path: Path, genomix_fast: Fast
) -> None:
    out, stats = tmp_path / "a.h5", tmp_path / "a.json"
    settings = ["--config", tiny_genome / "genomix.toml"]
    process = genomix_fast("prepare", "variants", *settings, "-o", out, "--stats", stats)
    assert process.stdout == ""
    summary = json.loads(stats.read_text())
    assert f"{summary['records']:,} records, {summary['alleles']:,} alleles" in process.stderr
    assert f"labels: {summary['labelled']:,} alleles with" in process.stderr
    shard = open_shard(out)
    assert shard.tracks == ("ATAC", "H3K27ac", "H3K4me3", "CTCF")
    assert len(shard.variants.pos) == summary["used"] == summary["alleles"]
    assert shard.has_contacts
    assert shard.provenance["command"].startswith("genomix prepare variants --config")

    process = genomix_fast("prepare", "variants", *settings, "-o", out, code=2)
    assert "already exists; add --force" in process.stderr
    process = genomix_fast("prepare", "variants", *settings, "-o", out, "--force", "-q")
    assert process.stderr == ""


def test_from_a_pipe_to_windows(tiny_genome: Path, tmp_path: Path, genomix: Genomix) -> None:
    rows = vcf_rows(tiny_genome)[:3]
    vcf = "##fileformat=VCFv4.2\r\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\r\n"
    text = vcf + "".join(f"{row}\r\n" for row in rows)
    out = tmp_path / "w.h5"
    options = ["--fasta", tiny_genome / "genome.fa.gz", "-t", f"A={tiny_genome / 'ATAC.bw'}"]
    genomix(
        *["prepare", "variants", "--vcf", "-", *options, "--layout", "windows", "-o", out, "-q"],
        stdin=text,
    )
    assert open_windows(out).signal.shape[1:] == (1, 2000)


def vcf_rows(genome: Path) -> list[str]:
    import gzip

    text = gzip.decompress((genome / "variants.vcf.gz").read_bytes()).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_skipped_alleles_are_listed(tiny_genome: Path, tmp_path: Path, genomix_fast: Fast) -> None:
    contig, pos, name, ref, *_ = vcf_rows(tiny_genome)[0].split("\t")
    lines = [vcf_rows(tiny_genome)[1], "\t".join([contig, pos, name, ref, "<DEL>", ".", ".", "."])]
    vcf = write(tmp_path, lines)
    out = tmp_path / "a.h5"
    fasta = tiny_genome / "genome.fa.gz"
    process = genomix_fast("prepare", "variants", "--vcf", vcf, "--fasta", fasta, "-o", out)
    assert f"not used: symbolic 1, e.g. line 4: {contig}:{pos} {ref}><DEL>" in process.stderr


def write(folder: Path, lines: list[str]) -> Path:
    path = folder / "v.vcf"
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    path.write_text(head + "".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        ([], 1, "v.vcf: has no records"),
        (["chr1\t0\t.\tA\tC\t.\t.\t."], 1, "no allele can be used (found off_contig 1)"),
        (["chrX\t5\t.\tA\tC\t.\t.\t."], 1, "has no contig in common"),
        (["chr1\tfive\t.\tA\tC\t.\t.\t."], 1, "v.vcf:3: POS is no position"),
        (["chr1\t5\t.\tA"], 1, "v.vcf:3: too few columns"),
        ([f"chr1\t{p}\t.\tACGTACGTAC\tA\t.\t.\t." for p in range(5, 35)], 3, "another assembly"),
    ],
)
def test_bad_variants_end_in_one_line_and_a_code(
    tiny_genome: Path, tmp_path: Path, genomix_fast: Fast, lines: list[str], code: int, message: str
) -> None:
    vcf, fasta = write(tmp_path, lines), tiny_genome / "genome.fa.gz"
    out = tmp_path / "a.h5"
    process = genomix_fast(
        "prepare", "variants", "--vcf", vcf, "--fasta", fasta, "-o", out, code=code
    )
    assert_one_line(process.stderr, message)
    assert list(tmp_path.iterdir()) == [vcf]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--vcf", "genome.fa.gz"], 1, "is not a VCF"),
        (["--vcf", "nowhere.vcf"], 2, "nowhere.vcf: no such file"),
        (["--fasta", "variants.vcf.gz"], 1, "is not a FASTA file"),
        (["--contacts", "ATAC.bw"], 1, "ATAC.bw"),
        (["-t", "A=genome.fa.gz"], 1, "genome.fa.gz: is not a bigWig file"),
        (["-t", "ATAC.bw"], 2, "--track: not a track (expected NAME=FILE, found ATAC.bw)"),
        (["--label-info", "NOPE"], 1, "no variant has a label in INFO/NOPE"),
        (["--labels", "truth.tsv", "--label-info", "LABEL"], 2, "not both"),
        (["--layout", "rows"], 2, "unknown shard layout 'rows'"),
        (["--normalise-like", "genome.fa.gz"], 1, "genome.fa.gz: is not HDF5"),
        (["--normalise-like", "contacts.cool"], 1, "not the kind that is needed"),
        (["-o", "no/such/folder.h5"], 2, "no such folder"),
    ],
)
def test_bad_options_end_in_one_line_and_a_code(
    tiny_genome: Path,
    tmp_path: Path,
    genomix_fast: Fast,
    options: list[str],
    code: int,
    message: str,
) -> None:
    given = {"--vcf": "variants.vcf.gz", "--fasta": "genome.fa.gz", "-o": str(tmp_path / "a.h5")}
    words = [word for pair in given.items() if pair[0] not in options for word in pair]
    process = genomix_fast("prepare", "variants", *words, *options, code=code, cwd=tiny_genome)
    assert_one_line(process.stderr, message)
    assert list(tmp_path.iterdir()) == []


def assert_one_line(stderr: str, message: str) -> None:
    last = stderr.splitlines()[-1]
    assert last.startswith("genomix: error: ")
    assert message in last
    assert "Traceback" not in stderr


def test_real_chr22(shared_data: Path, tmp_path: Path, genomix_fast: Fast) -> None:
    import gzip
    import shutil

    data = shared_data / CHR22
    if not data.is_dir():
        pytest.skip("no chr22 here")
    fasta = tmp_path / "chr22.fa"
    with gzip.open(data / "chr22.fa.gz") as source, fasta.open("wb") as target:
        shutil.copyfileobj(source, target)
    tracks = {
        "ATAC": "acc.K562.chr22.bw",
        "H3K27ac": "derived.K562.H3K27ac.ABCregions.readsPerKb.chr22.bw",
        "CTCF": "lifted.CTCF_ChIP.MACS3test.fragcov.chr22.bw",
    }
    words: list[object] = ["--vcf", data / "variants.chr22.vcf.gz", "--fasta", fasta]
    for name, file in tracks.items():
        words += ["-t", f"{name}={data / 'tracks' / file}"]
    words += ["--contacts", data / "contacts" / "rao_chr22_prim.approx_lifted_hg38.50kb.cool"]
    out = tmp_path / "chr22.h5"
    genomix_fast("prepare", "variants", *words, "--label-info", "VALUE", "-o", out)
    shard = open_shard(out)
    assert len(shard.variants.pos) == 11_221
    assert shard.contigs == {"chr22": 50_818_468}
    window = shard.signal("chr22", 19_700_000 // 50, 19_800_000 // 50)
    assert window.state[0].mean() > 0.5
    assert shard.contacts("chr22", 19_700_000, 20).any()
