"""``genomix score`` as typed: where settings come from, exit codes, pipes, signals, full disks."""

from __future__ import annotations

import functools
import gzip
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genomix_cli.genome.signal import TrackSpec
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.trained import ModelConfig, arch_of, save_model
from tests.conftest import Ended

ROOT = Path(__file__).resolve().parents[2]
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
SMALL = {"n_bins": 400, "d_model": 32, "n_layers": 2, "n_heads": 2, "d_sequence": 16}


def write_model(folder: Path, genome: Path, **arch: Any) -> Path:
    tracks = tuple(json.loads((genome / "manifest.json").read_text())["tracks"])
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = GMT(GMTConfig(tracks, **arch))
    levels = np.sort(np.random.default_rng(0).exponential(3, 1001))
    specs = tuple(TrackSpec.of(name, levels) for name in tracks)
    save_model(folder, module, ModelConfig("gmt", arch_of(module), specs, demonstration=True))
    return folder


@pytest.fixture(scope="module")
def small_windows(tmp_path_factory: pytest.TempPathFactory, tiny_genome: Path) -> Path:
    """A few seconds of work in many blocks."""
    arch = SMALL | {"n_layers": 12, "d_model": 96}
    return write_model(tmp_path_factory.mktemp("models") / "deep", tiny_genome, **arch)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_genome: Path) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "small", tiny_genome, **SMALL)


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory, tiny_genome: Path) -> Path:
    """A model of full windows, the first of which takes long enough to be interrupted."""
    return write_model(tmp_path_factory.mktemp("models") / "slow", tiny_genome, n_layers=2)


@pytest.fixture
def score(genomix_here: Callable[..., Ended]) -> Callable[..., Ended]:
    """``score(...)`` is ``genomix score ...`` in this process; torch is imported only once."""
    return functools.partial(genomix_here, "score")


@pytest.fixture
def vcf(tmp_path: Path, tiny_genome: Path) -> Path:
    """The first records of the simulated VCF, without its header lines."""
    path = tmp_path / "few.vcf"
    lines = gzip.decompress((tiny_genome / "variants.vcf.gz").read_bytes()).decode().splitlines()
    records = [line for line in lines if not line.startswith("#")][:40]
    path.write_text(HEADER + "".join(f"{line}\n" for line in records))
    return path


def body(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_to_stdout_with_the_summary_on_stderr(
    score: Any, vcf: Path, tiny_genome: Path, model: Path
) -> None:
    ended = score(vcf, "--fasta", tiny_genome / "genome.fa.gz", "--model", model)
    assert ended.code == 0, ended.err
    records = body(ended.out)
    assert len(records) == 40
    assert all("GENOMIX_P=" in record for record in records)
    assert "[genomix] records: 40" in ended.err
    assert "demonstration weights" in ended.err
    assert "scored from sequence alone" in ended.err


def test_quiet_leaves_the_warnings(score: Any, vcf: Path, tiny_genome: Path, model: Path) -> None:
    ended = score(
        vcf, "-f", tiny_genome / "genome.fa.gz", "-m", model, "-q", "-o", vcf.parent / "o"
    )
    assert ended.code == 0
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 3
    assert "demonstration weights" in ended.err


def test_a_configured_workstation_needs_no_options(
    score: Any, vcf: Path, tiny_genome: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_option = score(
        vcf, "-f", tiny_genome / "genome.fa.gz", "-m", model, "-t", f"ATAC={tiny_genome}/ATAC.bw"
    )
    monkeypatch.setenv("GENOMIX_FASTA", str(tiny_genome / "genome.fa.gz"))
    monkeypatch.setenv("GENOMIX_MODEL", str(model))
    monkeypatch.setenv("GENOMIX_TRACKS", f"ATAC={tiny_genome}/ATAC.bw")
    by_environment = score(vcf)
    for name in ("FASTA", "MODEL", "TRACKS"):
        monkeypatch.delenv(f"GENOMIX_{name}")
    settings = vcf.parent / "genomix.toml"
    settings.write_text(
        f'[score]\nfasta = "{tiny_genome}/genome.fa.gz"\nmodel = "{model}"\n'
        f'track = ["ATAC={tiny_genome}/ATAC.bw"]\n'
    )
    monkeypatch.setenv("GENOMIX_CONFIG", str(settings))
    by_file = score(vcf)
    monkeypatch.delenv("GENOMIX_CONFIG")
    own = vcf.parent / "home" / "genomix" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(settings.read_text())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(own.parent.parent))
    by_own_file = score(vcf)
    assert by_option.code == by_environment.code == by_file.code == by_own_file.code == 0
    assert body(by_option.out) == body(by_environment.out) == body(by_file.out)
    assert body(by_own_file.out) == body(by_file.out)
    assert "GENOMIX_P=" in body(by_file.out)[0]


def test_without_a_reference_the_three_ways_to_give_it(score: Any, vcf: Path, model: Path) -> None:
    ended = score(vcf, "--model", model)
    assert ended.code == 2
    assert all(way in ended.err for way in ("--fasta", "GENOMIX_FASTA", "GENOMIX_CONFIG"))
    assert len(ended.err.splitlines()) == 1


def test_stdin_to_bgzf_and_statistics(
    vcf: Path, tiny_genome: Path, model: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "genomix_cli", "score", "-", "-o", tmp_path / "o.vcf.gz"]
    options = ["--fasta", tiny_genome / "genome.fa.gz", "--model", model, "--stats", "s.json"]
    process = subprocess.run(
        [*command, *options],
        input=gzip.compress(vcf.read_bytes()),
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
    )
    assert process.returncode == 0, process.stderr.decode()
    assert process.stdout == b""
    assert len(body(gzip.decompress((tmp_path / "o.vcf.gz").read_bytes()).decode())) == 40
    assert json.loads((tmp_path / "s.json").read_text())["records"] == 40


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GENOMIX_")}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


# Each with its exit code and what its one line must say.
REFUSED = {
    "not a VCF": (b">chr1\nACGT\n", 1, ["bad.vcf:1: is not a VCF"]),
    "empty": (b"", 1, ["bad.vcf: is empty"]),
    "truncated gzip": (gzip.compress(HEADER.encode() * 9)[:-9], 1, ["truncated"]),
    "damaged BCF": (b"BCF\x02\x02" + bytes(40), 1, ["bad.vcf: the header is damaged"]),
    "no #CHROM": (b"##fileformat=VCFv4.2\nchr1\t1\n", 1, ["bad.vcf:2:", "#CHROM"]),
    "too few columns": (HEADER.encode() + b"chr1\t1\t.\tA\n", 1, ["bad.vcf:3: too few columns"]),
    "POS": (HEADER.encode() + b"chr1\tx\t.\tA\tC\t.\t.\t.\n", 1, ["bad.vcf:3: POS"]),
    "no contig in common": (
        HEADER.encode() + b"NC_1\t7\t.\tA\tC\t.\t.\t.\n",
        1,
        ["no contig in common", "found NC_1"],
    ),
    "another assembly": (
        HEADER.encode() + b"".join(b"chr1\t%d\t.\tA\t<DEL>\t.\t.\t.\n" % p for p in range(1, 200)),
        3,
        ["looks like another assembly"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line_with_its_exit_code(
    score: Any, tmp_path: Path, tiny_genome: Path, model: Path, name: str
) -> None:
    data, code, parts = REFUSED[name]
    (tmp_path / "bad.vcf").write_bytes(data)
    output = tmp_path / "out" / "o.vcf"
    output.parent.mkdir()
    ended = score(
        tmp_path / "bad.vcf", "-f", tiny_genome / "genome.fa.gz", "-m", model, "-o", output
    )
    assert (ended.code, ended.out) == (code, "")
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("genomix: error: ")
    assert all(part in ended.err for part in parts), ended.err
    assert list(output.parent.iterdir()) == []


def test_check_ref_e(score: Any, vcf: Path, tiny_genome: Path, model: Path) -> None:
    fields = vcf.read_text().splitlines()[2].split("\t")
    fields[3] = {"A": "C", "C": "G", "G": "T", "T": "A"}[fields[3][0]] + fields[3][1:]
    vcf.write_text(HEADER + "\t".join(fields) + "\n")
    common = (vcf, "-f", tiny_genome / "genome.fa.gz", "-m", model)
    ended = score(*common, "--check-ref", "e")
    assert (ended.code, ended.out) == (3, "")
    assert "few.vcf:3: REF differs from the FASTA" in ended.err
    ended = score(*common)
    assert ended.code == 0
    assert "GENOMIX_REASON=ref_mismatch" in ended.out
    assert "few.vcf:3: first of 1 records whose REF differs from the FASTA" in ended.err


def test_an_unknown_track_lists_the_models(
    score: Any, vcf: Path, tiny_genome: Path, model: Path
) -> None:
    ended = score(
        vcf, "-f", tiny_genome / "genome.fa.gz", "-m", model, "-t", f"DNase={tiny_genome}/ATAC.bw"
    )
    assert ended.code == 2
    assert "unknown track DNase" in ended.err
    assert "ATAC or H3K27ac or H3K4me3" in ended.err


def start(vcf: Path, genome: Path, model: Path, *more: object, **how: Any) -> Any:
    command = [sys.executable, "-m", "genomix_cli", "score", vcf, "-f", genome / "genome.fa.gz"]
    return subprocess.Popen(
        [*map(str, command), "-m", str(model), "--threads", "1", *map(str, more)],
        env=environment(),
        stderr=subprocess.PIPE,
        **how,
    )


def has_more_lines(path: Path, count: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") > count


def wait_for(process: Any, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGTERM, 143, "out.vcf.gz"), (signal.SIGINT, 130, "out.vcf")],
)
def test_interrupted_before_anything_is_done_leaves_nothing(
    tmp_path: Path, tiny_genome: Path, slow_model: Path, number: int, code: int, name: str
) -> None:
    process = start(tiny_genome / "variants.vcf.gz", tiny_genome, slow_model, "-o", tmp_path / name)
    wait_for(process, lambda: any(tmp_path.glob(".*.partial/journal")))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.vcf.gz", "out.vcf", "out.bcf", "out.tsv.gz", "out.parquet"])
def test_resumed_after_kills_at_any_moment_the_bytes_are_the_same(
    tmp_path: Path, tiny_genome: Path, small_windows: Path, name: str
) -> None:
    whole, output = tmp_path / "whole" / name, tmp_path / "parts" / name
    for path in (whole, output):
        path.parent.mkdir()
    many, more = tiny_genome / "variants.vcf.gz", ("--mode", "shared", "-q")
    rng = random.Random(name)
    assert start(many, tiny_genome, small_windows, "-o", whole, *more).wait(timeout=120) == 0
    journal = output.parent / f".{name}.partial" / "journal"
    for _ in range(3):
        seen = journal.read_bytes().count(b"\n") if journal.exists() else 1
        process = start(many, tiny_genome, small_windows, "-o", output, "--resume", *more)
        # From the first block that this run has done, wherever the work is then.
        wait_for(process, functools.partial(has_more_lines, journal, seen))
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=rng.uniform(0, 0.8))
        process.kill()
        process.wait()
        assert not output.exists()
    process = start(many, tiny_genome, small_windows, "-o", output, "--resume", *more)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert output.read_bytes() == whole.read_bytes()
    assert [path.name for path in output.parent.iterdir()] == [name]


@pytest.mark.slow
def test_interrupted_work_is_kept_and_said(
    tmp_path: Path, tiny_genome: Path, small_windows: Path
) -> None:
    many, output = tiny_genome / "variants.vcf.gz", tmp_path / "out.vcf.gz"
    process = start(many, tiny_genome, small_windows, "-o", output, "--mode", "shared")
    journal = tmp_path / ".out.vcf.gz.partial" / "journal"
    wait_for(process, lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"--resume goes on from there" in err
    assert not output.exists()
    # Other settings are not mixed with it.
    process = start(many, tiny_genome, small_windows, "-o", output, "--resume", "--mode", "centred")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"leave out --resume" in err or b"leave --resume out" in err
    assert (
        start(many, tiny_genome, small_windows, "-o", output, "--mode", "shared").wait(timeout=120)
        == 0
    )
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


@pytest.mark.parametrize("name", ["out.vcf", "out.vcf.gz"])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, vcf: Path, tiny_genome: Path, model: Path, name: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    process = start(
        vcf,
        tiny_genome,
        model,
        "-o",
        folder / name,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"{name}: cannot be written: File too large" in err.decode()
    assert b"Traceback" not in err
    assert list(folder.iterdir()) == []


def test_a_full_disk_behind_stdout(vcf: Path, tiny_genome: Path, model: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = start(vcf, tiny_genome, model, stdout=full)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "standard output: cannot be written: No space left on device" in err.decode()
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err


def test_a_reader_that_has_enough(tiny_genome: Path, model: Path) -> None:
    head = shutil.which("head")
    if head is None:
        pytest.skip("no head")
    process = start(
        tiny_genome / "variants.vcf.gz", tiny_genome, model, "-q", stdout=subprocess.PIPE
    )
    first = subprocess.run([head, "-n", "1"], stdin=process.stdout, capture_output=True)
    process.stdout.close()
    _, err = process.communicate(timeout=120)
    assert first.stdout == b"##fileformat=VCFv4.2\n"
    assert process.returncode == 128 + signal.SIGPIPE
    assert [line for line in err.decode().splitlines() if "genomix]" not in line] == []


def test_the_simulated_chain(score: Any, tiny_genome: Path, model: Path, tmp_path: Path) -> None:
    """The settings that ``simulate`` writes are all that ``score`` needs."""
    pytest.importorskip("cooler")
    output = tmp_path / "scored.vcf.gz"
    ended = score(
        tiny_genome / "variants.vcf.gz",
        "--config",
        tiny_genome / "genomix.toml",
        "--model",
        model,
        "-o",
        output,
    )
    assert ended.code == 0, ended.err
    header = gzip.decompress(output.read_bytes()).decode()
    assert "TracksAbsent" not in header
    assert "##genomixInput=contacts contacts.cool sha256:" in header
    if bcftools := shutil.which("bcftools"):
        seen = subprocess.run([bcftools, "view", output], capture_output=True, text=True)
        assert (seen.returncode, seen.stderr) == (0, "")


def test_a_fifo_is_read_once(tmp_path: Path, vcf: Path, tiny_genome: Path, model: Path) -> None:
    """A FIFO is what a shell makes of ``<(bcftools view ...)``."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    more = ("--mode", "shared", "-q", "-o")
    through = start(fifo, tiny_genome, model, *more, tmp_path / "through.vcf")
    with fifo.open("wb") as pipe:
        pipe.write(vcf.read_bytes())
    assert through.wait(timeout=60) == 0, through.stderr.read()
    assert start(vcf, tiny_genome, model, *more, tmp_path / "file.vcf").wait(timeout=60) == 0
    bodies = [body((tmp_path / name).read_text()) for name in ("through.vcf", "file.vcf")]
    assert len(bodies[0]) == 40
    assert bodies[0] == bodies[1]


def test_bcf_through_pipes(tmp_path: Path, tiny_genome: Path, model: Path) -> None:
    bcftools = shutil.which("bcftools")
    if bcftools is None:
        pytest.skip("bcftools is not installed")
    vcf, whole = tiny_genome / "variants.vcf.gz", tmp_path / "whole.vcf"
    more = ("--mode", "shared", "-q")
    assert start(vcf, tiny_genome, model, *more, "-o", whole).wait(timeout=60) == 0
    packed = subprocess.run([bcftools, "view", "-Ou", vcf], capture_output=True, check=True)
    process = start(
        *(Path("-"), tiny_genome, model, *more, "-O", "u"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    out, err = process.communicate(packed.stdout, timeout=60)
    assert process.returncode == 0, err
    text = subprocess.run(
        [bcftools, "view", "--no-version"], input=out, capture_output=True, check=True
    )
    assert body(text.stdout.decode()) == body(whole.read_text())
