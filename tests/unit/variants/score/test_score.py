"""Scoring: alone equals among neighbours, what is refused and where, what the output says."""

from __future__ import annotations

import json
import logging
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest
import torch

from genomix_cli.errors import (
    CheckError,
    DataError,
    Exit,
    GenomixError,
    MissingExtraError,
    UsageError,
)
from genomix_cli.formats.run_folder import WEIGHTS
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.signal import TrackSpec
from genomix_cli.genome.tables import how_made
from genomix_cli.genome.vcf.reader import Header, VcfReader
from genomix_cli.inspection import inspect
from genomix_cli.learning.calibration import Platt
from genomix_cli.learning.devices import resolve_devices
from genomix_cli.provenance import facts_of, sha256
from genomix_cli.variants.conditions import Calibration, Conditions
from genomix_cli.variants.models.base import Variants
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.records import audit, cutting
from genomix_cli.variants.records.inputs import haplotypes, load_window, place_allele, window_start
from genomix_cli.variants.requests.prepare import PrepareRequest
from genomix_cli.variants.requests.score import GenomeFiles, Part, ScoreRequest
from genomix_cli.variants.score import workers
from genomix_cli.variants.score.annotate import missing_contigs
from genomix_cli.variants.score.background import FILE, Background, load_backgrounds
from genomix_cli.variants.score.clock import Clock
from genomix_cli.variants.score.doctor import MadeUpGenome
from genomix_cli.variants.score.reading import (
    CHUNKS,
    Reader,
    Target,
    ahead,
    chunk_rows,
    window_tensors,
)
from genomix_cli.variants.score.tags import DEMONSTRATION
from genomix_cli.variants.score.vcf import score_variants
from genomix_cli.variants.score.workers import open_genome
from genomix_cli.variants.trained import ModelConfig, arch_of, load_model, save_model
from tests.unit.variants.models import test_gmt

TRACKS = ("ATAC", "H3K27ac")
LENGTHS = {"chr1": 130_000, "chr2": 30_000}
SMALL = replace(test_gmt.SMALL, tracks=TRACKS)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


@pytest.fixture(scope="module")
def genome() -> dict[str, str]:
    rng = np.random.default_rng(3)
    return {name: "".join(rng.choice(list("ACGT"), n)) for name, n in LENGTHS.items()}


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory, genome: dict[str, str]) -> Path:
    path = tmp_path_factory.mktemp("fasta") / "genome.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in genome.items()))
    return path


def write_bigwig(path: Path, lengths: dict[str, int], seed: int = 1) -> Path:
    rng = np.random.default_rng(seed)
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        for name, length in lengths.items():
            starts = np.arange(0, length - 50, 100)
            file.addEntries(
                [name] * len(starts),
                starts,
                ends=starts + 50,
                values=rng.exponential(3, len(starts)),
            )
    return path


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tracks")
    return {
        name: write_bigwig(folder / f"{name}.bw", LENGTHS, seed) for seed, name in enumerate(TRACKS)
    }


def write_model(folder: Path, config: GMTConfig, **settings: Any) -> str:
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = GMT(config)
    levels = np.sort(np.random.default_rng(0).exponential(3, 1001))
    specs = tuple(TrackSpec.of(name, levels) for name in config.tracks)
    settings = {"calibrations": (Calibration(Platt(8.0, 0.0)),)} | settings
    save_model(folder, module, ModelConfig("gmt", arch_of(module), specs, **settings))
    common = np.random.default_rng(1).normal(scale=0.1, size=500).astype(np.float32)
    Background.of(common, "made-up variants", sha256(folder / WEIGHTS), Conditions()).save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("models") / "small", SMALL)


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Warnings of genomix."""
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)

    def warnings() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]

    warnings.clear = caplog.clear  # type: ignore[attr-defined]
    return warnings


@pytest.fixture
def score(tmp_path: Path, fasta: Path, model: str) -> Callable[..., Any]:
    """``score(lines)`` -> the summary; the output is ``out.vcf``."""

    def run(lines: Sequence[str], header: Sequence[str] = (), **changes: Any) -> Any:
        vcf = tmp_path / "in.vcf"
        meta = "".join(f"{line}\n" for line in ("##fileformat=VCFv4.2", *header))
        vcf.write_text(f"{meta}{COLUMNS}\n" + "".join(f"{line}\n" for line in lines))
        own = {"fasta", "tracks", "contacts", "uncovered"}
        files = {name: changes.pop(name) for name in own & changes.keys()}
        request = ScoreRequest(
            vcf,
            GenomeFiles(**{"fasta": fasta} | files),
            tmp_path / "out.vcf",
            model=model,
            mode="shared",
            device="cpu",
            threads=1,
        )
        return score_variants(replace(request, **changes))

    return run


def line(contig: str, pos: int, ref: str, alt: str, info: str = ".") -> str:
    return f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t{info}"


def another(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


def snv(genome: dict[str, str], contig: str, pos: int) -> str:
    base = genome[contig][pos - 1]
    return line(contig, pos, base, another(base))


def read(path: Path) -> tuple[Header, list[float | None]]:
    """The header, and every allele's probability."""
    with VcfReader(path) as reader:
        texts = [(record.info("GENOMIX_P") or "").split(",") for record in reader]
        return reader.header, [None if t == "." else float(t) for row in texts for t in row]


def refused(error: type[GenomixError], code: Exit, *parts: str) -> Any:
    class Refusal:
        def __enter__(self) -> None:
            self.caught = pytest.raises(error)
            self.info = self.caught.__enter__()

        def __exit__(self, *exc: Any) -> bool:
            passed = self.caught.__exit__(*exc)
            message = self.info.value.line()
            assert self.info.value.exit_code == code
            assert all(part in message for part in parts), message
            return bool(passed)

    return Refusal()


def test_alone_equals_among_100_neighbours_in_the_full_window(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path]
) -> None:
    mini = write_model(tmp_path / "mini", GMTConfig(TRACKS))
    positions = [50_001 + 495 * i for i in range(101)]
    lines = [snv(genome, "chr1", pos) for pos in positions]
    together = score(lines, model=mini, tracks=tracks)
    _, values = read(tmp_path / "out.vcf")
    score([lines[57]], model=mini, tracks=tracks)
    _, (alone,) = read(tmp_path / "out.vcf")
    assert together.windows == 1
    assert np.std(values) > 1e-3
    assert values[57] == pytest.approx(alone, abs=1e-5)


def test_neither_blocks_nor_order_nor_other_alleles_change_a_score(
    tmp_path: Path,
    score: Any,
    genome: dict[str, str],
    tracks: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [snv(genome, c, p) for c, n in LENGTHS.items() for p in range(900, n, 2_741)]
    score(lines, tracks=tracks)
    _, values = read(tmp_path / "out.vcf")
    assert np.std(values) > 1e-3
    monkeypatch.setattr(cutting, "BLOCK_CORES", 3)
    summary = score(lines, tracks=tracks)
    # Windows are shared across blocks, so no more of them are run.
    assert summary.windows == len({(c, p // 10_000) for c, p in places(lines)})
    assert read(tmp_path / "out.vcf")[1] == pytest.approx(values, abs=1e-5)
    order = np.random.default_rng(0).permutation(len(lines))
    score([lines[i] for i in order], tracks=tracks)
    assert read(tmp_path / "out.vcf")[1] == pytest.approx([values[i] for i in order], abs=1e-5)


def places(lines: Sequence[str]) -> list[tuple[str, int]]:
    return [(fields[0], int(fields[1]) - 1) for fields in (text.split("\t") for text in lines)]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 33, 63, 64, 65, 200])
def test_every_allele_is_in_one_chunk(count: int) -> None:
    parts = list(chunk_rows(count))
    rows = np.concatenate(parts)
    assert rows[:count].tolist() == list(range(count))
    assert set(rows[count:].tolist()) <= {count - 1}
    assert {len(part) for part in parts} <= set(CHUNKS)
    assert len(rows) <= 2 * count


def test_indels_with_the_same_meaning_score_the_same(
    tmp_path: Path, score: Any, genome: dict[str, str]
) -> None:
    ref = genome["chr1"][60_000:60_012]
    longer, shorter = ref + "TTGACA", ref[:4]
    snv_in_context = ref[:5] + another(ref[5]) + ref[6:]
    score(
        [
            line("chr1", 60_001, ref, f"{longer},{shorter},{snv_in_context}"),
            line("1", 60_012, ref[-1], ref[-1] + "TTGACA"),
            line("1", 60_004, ref[3:], ref[3]),
            line("1", 60_006, ref[5].lower(), another(ref[5]).lower()),
        ]
    )
    _, values = read(tmp_path / "out.vcf")
    assert values[:3] == pytest.approx(values[3:], abs=1e-5)
    assert len({round(v or 0, 4) for v in values}) == 3


def test_a_track_without_data_near_the_variants_is_said(
    tmp_path: Path, score: Any, genome: dict[str, str], heard: Any
) -> None:
    path = tmp_path / "far.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(LENGTHS.items()))
        file.addEntries(["chr2", "chr2"], [0, 100], ends=[50, 150], values=[1.0, 2.0])
    summary = score([snv(genome, "chr1", 5_000)], tracks={"ATAC": path})
    assert summary.observed == {"ATAC": 0}
    assert "ATAC: no data near the variants; treated as not measured" in heard()


def test_tracks_change_scores_and_absent_ones_are_said(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path], heard: Any
) -> None:
    lines = [snv(genome, "chr1", p) for p in (5_000, 70_000)]
    score(lines, tracks=tracks)
    header, with_both = read(tmp_path / "out.vcf")
    assert not any("TracksAbsent" in text for text in header.meta)
    assert heard() == []

    summary = score(lines, tracks={"ATAC": tracks["ATAC"]})
    assert list(summary.observed) == ["ATAC"]
    assert 0.5 < summary.observed["ATAC"] <= 1
    header, with_one = read(tmp_path / "out.vcf")
    assert summary.tracks_absent == ("H3K27ac",)
    assert "##genomixTracksAbsent=H3K27ac" in header.meta
    assert "H3K27ac not given: scored as if not measured" in heard()

    score(lines)
    header, with_none = read(tmp_path / "out.vcf")
    assert "##genomixTracksAbsent=ATAC,H3K27ac" in header.meta
    assert "##genomixWarning=no tracks were given: scored from sequence alone" in header.meta
    assert "no tracks were given: scored from sequence alone" in heard()
    assert len({tuple(with_both), tuple(with_one), tuple(with_none)}) == 3


def test_all_of_a_records_scores_and_ranks(
    tmp_path: Path, score: Any, genome: dict[str, str], model: str
) -> None:
    base = genome["chr1"][69_999]
    alts = [b for b in "ACGT" if b != base]
    text = line("chr1", 70_000, base, f"{alts[0]},*,{alts[1]}", "DP=3;GENOMIX_P=9;GENOMIX_OLD=1")
    score([text])
    with VcfReader(tmp_path / "out.vcf") as reader:
        (record,) = reader
    info = dict(e.partition("=")[::2] for e in record.fields[7].split(";"))
    assert list(info) == [
        "DP",
        *("GENOMIX_P", "GENOMIX_DL", "GENOMIX_PCT", "GENOMIX_PHRED", "GENOMIX_REASON"),
    ]
    assert info["GENOMIX_REASON"] == ".,star,."
    for key in ("P", "DL", "PCT", "PHRED"):
        first, star, third = info[f"GENOMIX_{key}"].split(",")
        assert star == "."
        float(first), float(third)
    p, percentile, phred = (
        float(info[f"GENOMIX_{key}"].split(",")[0]) for key in ("P", "PCT", "PHRED")
    )
    (background,) = load_backgrounds(Path(model), sha256(Path(model) / WEIGHTS), Conditions())
    logit = np.array([(np.log(p / (1 - p))) / 8.0], np.float32)  # the model's Platt scaling
    assert percentile == pytest.approx(background.percentile(logit)[0], abs=0.5)
    assert phred == pytest.approx(background.phred(logit)[0], abs=0.1)


def test_the_difference_is_to_no_change_at_the_place(
    tmp_path: Path, score: Any, genome: dict[str, str], fasta: Path, model: str
) -> None:
    pos = 70_000
    ref = genome["chr1"][pos - 1 : pos + 3]
    alts = (another(ref[0]) + ref[1:], ref[0], ref + "TTG")
    score([line("chr1", pos, ref, ",".join(alts))])
    with VcfReader(tmp_path / "out.vcf") as reader:
        found = [
            float(v) for record in reader for v in (record.info("GENOMIX_DL") or "").split(",")
        ]
    module = load_model(model).module
    config = load_model(model).config
    with Fasta(fasta) as reference, closing(open_genome(GenomeFiles(fasta), config)) as source:
        for alt, value in zip(alts, found, strict=True):
            allele = place_allele(pos - 1, ref, alt, reference.letters("chr1", 0, pos + 9), 0)
            start = window_start(allele.pos, 20_000, 10_000)
            window = window_tensors([load_window(source, "chr1", start, 400)], torch.device("cpu"))
            pair = [allele, allele._replace(alt=allele.ref)]
            rows = haplotypes(source, "chr1", pair, module.flank)
            offset = np.array([a.pos - start for a in pair])
            variants = Variants(*(torch.from_numpy(a)[None] for a in (offset, *rows)))
            with torch.no_grad():
                alone, null = module(window, variants)[0].tolist()
            assert value == pytest.approx(alone - null, abs=2e-5)
    assert max(map(abs, found)) > 1e-4


def test_indels_are_scored_at_their_leftmost_place(
    tmp_path: Path, genome: dict[str, str], model: str
) -> None:
    bases = genome["chr1"][:60_000] + "G" + "CA" * 30 + "T" + genome["chr1"][60_000:]
    path = tmp_path / "repeat.fa"
    path.write_text(f">chr1\n{bases}\n")
    vcf = tmp_path / "repeat.vcf"
    # The same unit deleted: spelled at the start, in the middle and at the end of the repeat.
    rows = [
        line("chr1", at + 1, bases[at : at + 3], bases[at])
        for at in (60_000, 60_000 + 20, 60_000 + 58)
    ]
    vcf.write_text("\n".join(["##fileformat=VCFv4.2", COLUMNS, *rows]) + "\n")
    request = ScoreRequest(vcf, GenomeFiles(path), tmp_path / "o.vcf", model=model, device="cpu")
    score_variants(request)
    values = read(tmp_path / "o.vcf")[1]
    assert len(set(values)) == 1


def test_a_record_whose_ref_is_wrong_can_be_left_out(
    tmp_path: Path, score: Any, genome: dict[str, str]
) -> None:
    lines = [snv(genome, "chr1", p) for p in range(1_000, 31_000, 1_000)]
    lines[3] = line("chr1", 4_000, another(genome["chr1"][3_999]), "<DEL>")
    summary = score(lines, check_ref="x")
    assert (summary.records, summary.excluded) == (30, 1)
    with VcfReader(tmp_path / "out.vcf") as reader:
        assert [record.pos for record in reader] == [
            p for p in range(1_000, 31_000, 1_000) if p != 4_000
        ]


def test_windows_with_unknown_bases_are_counted(score: Any, genome: dict[str, str]) -> None:
    lines = [snv(genome, "chr1", p) for p in (100, 60_000, 129_990)]
    assert score(lines).n_in_window == 2  # those near the ends of the contig


def test_both_strands_are_the_mean_of_each(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path], fasta: Path
) -> None:
    """Scoring the reverse complement of the genome gives the scores of the other strand."""
    letters = str.maketrans("ACGT", "TGCA")
    chr1 = genome["chr1"]
    # An insertion before a base that opens a bin, with one spelling only on either strand.
    edge = next(q for q in range(48_000, 60_000, 50) if chr1[q - 1] != "T" and chr1[q] != "G")
    lines = [snv(genome, "chr1", p) for p in (40_120, 40_333, 47_777)]
    lines.append(f"chr1\t{edge}\t.\t{chr1[edge - 1]}\t{chr1[edge - 1]}GAT\t.\t.\t.")
    score(lines, tracks=tracks, precision="fp32")
    forward = np.array(read(tmp_path / "out.vcf")[1], float)
    score(lines, tracks=tracks, both_strands=True)
    header, both = read(tmp_path / "out.vcf")
    assert "##genomixStrands=both" in header.meta
    # 130,000 bases: a window of 20 kb on the grid of 10 kb mirrors onto another one.
    mirror = tmp_path / "mirror.fa"
    turned_chr1 = chr1.translate(letters)[::-1]
    mirror.write_text(f">chr1\n{turned_chr1}\n>chr2\n{genome['chr2']}\n")
    flipped = {
        name: mirrored_bigwig(path, tmp_path / f"{name}.bw") for name, path in tracks.items()
    }
    turned = []
    for text in lines[:3]:
        fields = text.split("\t")
        fields[1] = str(130_000 + 1 - int(fields[1]))
        fields[3:5] = [f.translate(letters) for f in fields[3:5]]
        turned.append("\t".join(fields))
    anchor = chr1[edge].translate(letters)
    turned.append(f"chr1\t{130_000 - edge}\t.\t{anchor}\t{anchor}ATC\t.\t.\t.")
    score(turned[::-1], fasta=mirror, tracks=flipped)
    reverse = np.array(read(tmp_path / "out.vcf")[1][::-1], float)
    logits = [np.log(p / (1 - p)) for p in (forward, reverse, np.array(both, float))]
    np.testing.assert_allclose((logits[0] + logits[1]) / 2, logits[2], atol=2e-4)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


def mirrored_bigwig(path: Path, target: Path) -> Path:
    with pyBigWig.open(str(path)) as file, pyBigWig.open(str(target), "w") as out:
        out.addHeader(list(LENGTHS.items()))
        spans = [(130_000 - e, 130_000 - s, v) for s, e, v in file.intervals("chr1")][::-1]
        out.addEntries(
            ["chr1"] * len(spans),
            [s for s, _, _ in spans],
            ends=[e for _, e, _ in spans],
            values=[v for _, _, v in spans],
        )
        # The other contig is as it was, so that the distribution of all values is, too.
        starts, ends, values = zip(*file.intervals("chr2"), strict=True)
        out.addEntries(["chr2"] * len(starts), list(starts), ends=list(ends), values=list(values))
    return target


def test_centred_windows_are_those_of_a_window_of_ones_own(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path]
) -> None:
    # On the grid, positions in the middle bin of a shared window are centred there too.
    middle = [snv(genome, "chr1", p) for p in (45_001, 45_030, 75_050)]
    values = []
    for mode in ("shared", "centred"):
        summary = score(middle, tracks=tracks, mode=mode)
        header, scores = read(tmp_path / "out.vcf")
        assert f"##genomixMode={mode}" in header.meta
        assert summary.mode == mode
        values.append(scores)
    assert values[0] == values[1]
    elsewhere = [snv(genome, "chr1", p) for p in (40_010, 49_990)]
    scores = []
    for mode in ("shared", "centred"):
        score(elsewhere, tracks=tracks, mode=mode)
        scores.append(read(tmp_path / "out.vcf")[1])
    assert scores[0] != scores[1]


def test_few_variants_are_centred_and_many_share(
    tmp_path: Path, score: Any, genome: dict[str, str]
) -> None:
    few = [snv(genome, "chr1", p) for p in (5_000, 25_000, 70_000)]
    assert score(few, mode="auto").mode == "centred"
    many = [snv(genome, "chr1", p) for p in range(5_001, 5_041)]
    assert score(many, mode="auto").mode == "shared"
    # What is asked for of a file does not change how it is scored.
    part = score(many, mode="auto", regions="chr1:5001-5002")
    assert (part.records, part.mode) == (2, "shared")


def test_parts_together_are_the_whole(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path]
) -> None:
    lines = [snv(genome, c, p) for c, n in LENGTHS.items() for p in range(900, n, 371)]
    score(lines, tracks=tracks)
    header, *records = split(tmp_path / "out.vcf")
    parts = []
    for number in range(1, 6):
        score(lines, tracks=tracks, shard=Part(number, 5))
        again, *some = split(tmp_path / "out.vcf")
        assert again == header
        parts.append(some)
    assert all(parts)
    assert [text for part in parts for text in part] == records
    regions = []
    for name in LENGTHS:
        score(lines, tracks=tracks, regions=name)
        again, *some = split(tmp_path / "out.vcf")
        assert again == header
        regions += some
    assert regions == records


def split(path: Path) -> list[str]:
    """The header as one text, and the records."""
    lines = path.read_text().splitlines()
    n = sum(text.startswith("#") for text in lines)
    return ["\n".join(lines[:n]), *lines[n:]]


def test_a_shard_scores_as_the_files_it_was_made_of(
    tmp_path: Path,
    score: Any,
    genome: dict[str, str],
    tracks: dict[str, Path],
    fasta: Path,
    model: str,
) -> None:
    lines = [snv(genome, "chr1", p) for p in range(60_001, 64_000, 171)]
    score(lines, tracks=tracks)
    _, raw = read(tmp_path / "out.vcf")
    shard = tmp_path / "shard.h5"
    prepare_variants(
        PrepareRequest(
            tmp_path / "in.vcf", fasta, shard, tracks, normalise_like=model, flank=15_000
        )
    )
    beyond = snv(genome, "chr1", 120_000)
    summary = score([*lines, beyond], genome=GenomeFiles(shard=shard))
    header, values = read(tmp_path / "out.vcf")
    assert summary.not_scored == {"not_prepared": 1}
    assert summary.tracks_absent == ()
    assert not any("TracksAbsent" in text for text in header.meta)
    # Tracks are float16 in a shard.
    assert values[:-1] == pytest.approx(raw, abs=2e-3)
    assert values[-1] is None
    one = tmp_path / "one.h5"
    prepare_variants(PrepareRequest(tmp_path / "in.vcf", fasta, one, {"ATAC": tracks["ATAC"]}))
    with refused(DataError, Exit.FAILED, "one.h5", "scale", "--normalise-like"):
        score(lines, genome=GenomeFiles(shard=one))


def test_two_processes_score_as_one(
    tmp_path: Path,
    score: Any,
    genome: dict[str, str],
    tracks: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cutting, "BLOCK_CORES", 2)
    lines = [snv(genome, "chr1", p) for p in range(900, 130_000, 2_371)]
    score(lines, tracks=tracks)
    whole = (tmp_path / "out.vcf").read_bytes()
    score(lines, tracks=tracks, devices="2")
    assert (tmp_path / "out.vcf").read_bytes() == whole
    bad = Path(write_model(tmp_path / "bad", SMALL))
    (bad / "model.safetensors").write_bytes(b"not tensors")
    (bad / FILE).unlink()
    with refused(DataError, Exit.FAILED, "model.safetensors"):
        score(lines, model=str(bad), devices="2")


def test_other_conditions_than_those_of_calibration_and_background_give_no_values(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path], heard: Any
) -> None:
    with_tracks = Conditions(TRACKS, False, "missing", False, "shared", "fp32")
    calibrations = (Calibration(Platt(2.0), with_tracks),)
    own = write_model(tmp_path / "own", SMALL, calibrations=calibrations)
    lines = [snv(genome, "chr1", p) for p in range(900, 130_000, 7_371)]
    score(lines, model=own, tracks=tracks, save_background=True)
    for given, scored in (
        ({"tracks": tracks, "precision": "bf16"}, True),
        ({"tracks": {"ATAC": tracks["ATAC"]}}, False),
        ({"tracks": tracks, "uncovered": "zero"}, False),
        ({}, False),
    ):
        score(lines, model=own, **given)
        with VcfReader(tmp_path / "out.vcf") as reader:
            header, records = reader.header, list(reader)
        values = [r.info(f"GENOMIX_{key}") for r in records for key in ("P", "PCT", "PHRED")]
        assert [value != "." for value in values] == [scored] * len(values)
        said = [text for text in header.meta if "##genomixWarning=" in text and "stored: " in text]
        assert len(said) == (0 if scored else 2)
        assert all("sequence + ATAC + H3K27ac" in text for text in said)
        assert sum("stored: " in text for text in heard()) == len(said)
        logits = [record.info("GENOMIX_LOGIT") for record in records]
        assert len(set(logits)) == (1 if scored else len(logits))
        assert any("GENOMIX_LOGIT" in text for text in header.meta) is not scored
        heard.clear()
    # A calibration that turns the scores around is none.
    turned = (Calibration(Platt(-2.0), with_tracks),)
    other = write_model(tmp_path / "turned", SMALL, calibrations=turned)
    score(lines, model=other, tracks=tracks)
    with VcfReader(tmp_path / "out.vcf") as reader:
        assert {record.info("GENOMIX_P") for record in reader} == {"."}
    assert any("no calibration" in text and "stored: none" in text for text in heard())
    # A background of its own for sequence alone, beside the first.
    score(lines, model=own, save_background=True)
    for given in ({}, {"tracks": tracks}):
        score(lines, model=own, **given)
        with VcfReader(tmp_path / "out.vcf") as reader:
            ranks = sorted(float(record.info("GENOMIX_PCT") or "nan") for record in reader)
        expected = (np.arange(len(lines)) + 0.5) * 100 / len(lines)
        np.testing.assert_allclose(ranks, expected, atol=1e-3)


def test_a_background_of_ones_own(tmp_path: Path, score: Any, genome: dict[str, str]) -> None:
    own = Path(write_model(tmp_path / "own", SMALL))
    (own / FILE).unlink()
    lines = [snv(genome, "chr1", p) for p in range(900, 130_000, 2_371)]
    score(lines, model=str(own))
    header, _ = read(tmp_path / "out.vcf")
    assert any("no GENOMIX_PCT" in text for text in header.meta)
    assert "GENOMIX_PHRED" not in (tmp_path / "out.vcf").read_text().split("#CHROM")[1]
    score(lines, model=str(own), save_background=True)
    score(lines, model=str(own))
    with VcfReader(tmp_path / "out.vcf") as reader:
        ranks = sorted(float(record.info("GENOMIX_PCT") or "nan") for record in reader)
    # Each is ranked among all of them.
    np.testing.assert_allclose(ranks, (np.arange(len(lines)) + 0.5) * 100 / len(lines), atol=1e-3)


def test_demonstration_weights_say_so(
    tmp_path: Path, score: Any, genome: dict[str, str], heard: Any
) -> None:
    demo = write_model(tmp_path / "demo", SMALL, demonstration=True)
    score([snv(genome, "chr1", 500)], model=demo)
    header, _ = read(tmp_path / "out.vcf")
    assert DEMONSTRATION in facts_of(header.meta)["Warning"]
    assert DEMONSTRATION in heard()


@pytest.mark.parametrize("name", ["out.tsv", "out.tsv.gz", "out.parquet"])
def test_tables_say_all_that_the_header_says(
    tmp_path: Path, score: Any, genome: dict[str, str], name: str
) -> None:
    demo = write_model(tmp_path / "demo", SMALL, demonstration=True)
    lines = [snv(genome, "chr1", p) for p in (500, 900)]
    score(lines, model=demo)
    header, p = read(tmp_path / "out.vcf")
    score(lines, model=demo, output=tmp_path / name, write_index=name == "out.tsv.gz")
    assert how_made(tmp_path / name) == facts_of(header.meta)
    report = inspect(tmp_path / name)
    assert report.kind == "table of genomix score"
    assert report.facts["rows"] == 2
    assert DEMONSTRATION in report.facts["warning"]
    reading: Any = pd.read_parquet if name.endswith("parquet") else partial(pd.read_csv, sep="\t")
    options = {} if name.endswith("parquet") else {"comment": "#"}
    assert reading(tmp_path / name, **options)["GENOMIX_P"].tolist() == p
    if name == "out.tsv.gz":
        with pysam.TabixFile(str(tmp_path / name)) as tabix:
            assert [row.split("\t")[1] for row in tabix.fetch("chr1", 600, 1000)] == ["900"]


def test_the_probability_is_calibrated(tmp_path: Path, score: Any, genome: dict[str, str]) -> None:
    raw = write_model(tmp_path / "raw", SMALL, calibrations=(Calibration(Platt()),))
    calibrated = write_model(
        tmp_path / "calibrated", SMALL, calibrations=(Calibration(Platt(2.0, -1.5)),)
    )
    lines = [snv(genome, "chr1", p) for p in (5_000, 70_000)]
    score(lines, model=raw)
    p = np.array(read(tmp_path / "out.vcf")[1], float)
    score(lines, model=calibrated)
    expected = 1 / (1 + np.exp(-(2.0 * np.log(p / (1 - p)) - 1.5)))
    assert read(tmp_path / "out.vcf")[1] == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_same_command_gives_the_same_bytes(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path]
) -> None:
    lines = [snv(genome, "chr1", p) for p in range(1_000, 100_000, 1_999)]
    outputs = []
    for _ in range(2):
        score(lines, tracks=tracks, output=tmp_path / "out.vcf.gz")
        outputs.append((tmp_path / "out.vcf.gz").read_bytes())
    assert outputs[0] == outputs[1]


def test_provenance_names_and_hashes_what_was_read(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path]
) -> None:
    score([snv(genome, "chr1", 500)], tracks=tracks)
    header, _ = read(tmp_path / "out.vcf")
    made = [text for text in header.meta if text.startswith("##genomix")]
    starts = [
        "##genomixVersion=",
        "##genomixCommand=genomix score ",
        '##genomixConfig={"uncovered": "missing"',
        "##genomixModel=small sha256:",
        "##genomixInput=vcf in.vcf sha256:",
        "##genomixInput=fasta genome.fa sha256:",
        "##genomixInput=track ATAC ATAC.bw sha256:",
        "##genomixInput=track H3K27ac H3K27ac.bw sha256:",
        "##genomixMode=shared",
        "##genomixPrecision=fp32",
        "##genomixStrands=forward",
        "##genomixDevice=cpu",
        "##genomixCalibration=",
        "##genomixBackground=made-up variants, 500 variants",
    ]
    assert [text[: len(start)] for text, start in zip(made, starts, strict=True)] == starts


def test_the_summary_accounts_for_every_allele(
    tmp_path: Path, score: Any, genome: dict[str, str]
) -> None:
    good = [snv(genome, "chr1", p) for p in range(1_000, 21_000, 1_000)]
    base = genome["chr1"][29_999]
    bad = [
        line("chr1", 30_000, base, f"{another(base)},*,<DEL>"),
        line("chr1", 30_000, another(base), base),
        line("chr9", 5, "A", "C"),
    ]
    summary = score([*good, *bad], stats=tmp_path / "stats.json")
    assert (summary.records, summary.alleles, summary.scored) == (23, 25, 21)
    expected = {"star": 1, "symbolic": 1, "contig_absent": 1, "ref_mismatch": 1}
    assert summary.not_scored == expected
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert stats["not_scored"] == expected
    assert stats["scored"] == 21
    made = stats["provenance"]
    assert made["model"].startswith("small sha256:")
    assert list(made["inputs"]) == ["vcf in.vcf", "fasta genome.fa"]
    assert set(stats["seconds"]) == {"variants", "genome", "trunk", "alleles", "writing", "all"}
    assert stats["seconds"]["trunk"] > 0
    assert stats["variants_per_second"] == pytest.approx(21 / stats["seconds"]["all"], 0.01)


def test_header_only(tmp_path: Path, score: Any) -> None:
    summary = score([])
    header, values = read(tmp_path / "out.vcf")
    assert (summary.records, summary.windows, values) == (0, 0, [])
    assert header.columns == COLUMNS
    assert header.contigs == ("chr1", "chr2")


def test_unsorted_is_scored_with_one_warning(
    tmp_path: Path, score: Any, genome: dict[str, str], heard: Any
) -> None:
    lines = [snv(genome, *place) for place in (("chr1", 9), ("chr2", 5), ("chr1", 7), ("chr2", 4))]
    score(lines)
    _, values = read(tmp_path / "out.vcf")
    assert None not in values
    assert [text for text in heard() if "not sorted" in text] == [
        f"{tmp_path}/in.vcf:5: not sorted; the order is kept, but tabix cannot index such a file"
    ]


def test_a_few_wrong_refs_are_a_warning_with_the_first_line(
    score: Any, genome: dict[str, str], heard: Any
) -> None:
    lines = [snv(genome, "chr1", p) for p in range(1_000, 31_000, 1_000)]
    lines[3] = line("chr1", 4_000, another(genome["chr1"][3_999]), "<DEL>")
    lines[5] = line("chr1", 6_000, another(genome["chr1"][5_999]), "N")
    summary = score(lines)
    assert summary.ref_mismatches == 2
    assert str(summary.first_mismatch).endswith("in.vcf:6")
    assert any(
        ":6: first of 2 records whose REF differs from the FASTA" in text for text in heard()
    )


def test_what_the_fasta_lacks_is_a_warning(score: Any, genome: dict[str, str], heard: Any) -> None:
    """Else a quiet run of the wrong FASTA looks like a good one."""
    away = [line(f"chr{n}", 9, "A", "C") for n in range(3, 10)]
    score([snv(genome, "chr1", 1_000), *away])
    assert "7 alleles on contigs that the FASTA lacks (chr3, chr4, chr5, chr6, chr7, ...): " in (
        "\n".join(heard())
    )
    score([snv(genome, "chr1", 1_000), *away], regions="chr3")
    assert "no allele was scored: the contig is not in the FASTA (1)" in heard()


def test_check_ref_e_stops_at_the_first(tmp_path: Path, score: Any, genome: dict[str, str]) -> None:
    right = genome["chr1"][3_999]
    lines = [snv(genome, "chr1", 1_000), line("chr1", 4_000, another(right), right)]
    with refused(
        CheckError,
        Exit.CHECK,
        "in.vcf:4: REF differs from the FASTA",
        f"expected {right}, found {another(right)} at chr1:4000",
    ):
        score(lines, check_ref="e")
    assert not (tmp_path / "out.vcf").exists()


def broken_model(*_: Any) -> None:
    raise AssertionError("the model was loaded")


def test_another_assembly_is_noticed_before_the_model_is_loaded(
    tmp_path: Path, score: Any, genome: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "load_model", broken_model)
    rng = np.random.default_rng(1)
    lines = [line("chr1", p, *rng.permutation(list("ACGT"))[:2]) for p in range(1_000, 2_000, 10)]
    with refused(CheckError, Exit.CHECK, "another assembly", "of 100 records", "in.vcf:", "FASTA"):
        score(lines)
    assert not (tmp_path / "out.vcf").exists()


def test_positions_beyond_the_contig_are_another_assembly_too(score: Any) -> None:
    lines = [line("chr2", p, "A", "C") for p in range(40_000, 40_030)]
    with refused(CheckError, Exit.CHECK, "another assembly", "expected POS up to 30,000"):
        score(lines)


def test_swapped_ref_and_alt_are_noticed(score: Any, genome: dict[str, str]) -> None:
    bases = {p: genome["chr1"][p - 1] for p in range(1_000, 2_000, 10)}
    lines = [line("chr1", p, another(base), base) for p, base in bases.items()]
    with refused(CheckError, Exit.CHECK, "REF and ALT look swapped", "bcftools norm --check-ref s"):
        score(lines)


def test_the_audit_waits_for_contigs_that_can_be_compared(
    score: Any, genome: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "AUDIT_RECORDS", 60)
    right = [snv(genome, "chr1", p) for p in range(1_000, 1_019)]
    wrong = [line("chr2", p, another(genome["chr2"][p - 1]), "A") for p in range(1_000, 1_030)]
    elsewhere = [line("chr7", p, "A", "C") for p in range(1, 30)]
    with pytest.raises(CheckError, match="another assembly"):
        score([*right, *elsewhere, *wrong])
    # Too few to tell, and late ones, are counted only.
    assert score([*right[:5], *wrong[:4]]).ref_mismatches == 4
    many = [snv(genome, "chr1", p) for p in range(1_000, 1_060)]
    assert score([*many, *wrong]).ref_mismatches == 30


def test_no_contig_in_common(tmp_path: Path, score: Any) -> None:
    with refused(
        DataError, Exit.FAILED, "in.vcf: has no contig in common", "chr1, chr2", "found NC_1, NC_2"
    ):
        score([line("NC_1", 5, "A", "C"), line("NC_2", 5, "A", "C")])
    assert not (tmp_path / "out.vcf").exists()


def test_a_track_that_is_not_the_models(score: Any, genome: dict[str, str]) -> None:
    with refused(UsageError, Exit.USAGE, "unknown track DNase", "ATAC or H3K27ac"):
        score([snv(genome, "chr1", 5)], tracks={"DNase": Path("a.bw")})


@pytest.mark.parametrize(
    ("lengths", "part"),
    [
        ({"NC_1": 130_000}, "no contig in common"),
        ({"chr1": 129_000, "chr2": 30_000}, "the file is of another genome"),
    ],
)
def test_a_bigwig_of_another_genome(
    tmp_path: Path, score: Any, genome: dict[str, str], lengths: dict[str, int], part: str
) -> None:
    other = write_bigwig(tmp_path / "other.bw", lengths)
    with refused(DataError, Exit.FAILED, "other.bw", part):
        score([snv(genome, "chr1", 5)], tracks={"ATAC": other})
    assert not (tmp_path / "out.vcf").exists()


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"check_ref": "s"}, ["--check-ref", "w or e or x"]),
        ({"uncovered": "maybe"}, ["--uncovered", "missing or zero"]),
        ({"device": "tpu"}, ["--device"]),
        ({"devices": "0"}, ["--devices", "a number"]),
        ({"devices": "1,x"}, ["--devices", "a number"]),
        ({"mode": "wide"}, ["--mode", "auto or shared or centred"]),
        ({"precision": "fp8"}, ["--precision", "auto or fp32 or bf16"]),
        ({"regions": "chr1", "regions_file": Path("a.bed")}, ["--regions or --regions-file"]),
        ({"vcf": Path("-"), "shard": Part(1, 2)}, ["--shard", "only once"]),
        ({"vcf": Path("-"), "resume": True}, ["--resume", "only once"]),
        (
            {"genome": GenomeFiles(Path("a.fa"), shard=Path("a.h5"))},
            ["--fasta is already in the shard"],
        ),
        ({"resume": True, "save_background": True}, ["--save-background", "all scores of one run"]),
        ({"output": Path("nowhere/out.vcf")}, ["no such folder"]),
        ({"output": Path("out.vcf"), "write_index": True}, ["index"]),
        (
            {"model": "gmt-mini-sim", "save_background": True},
            ["--save-background", "bundled model"],
        ),
        ({"model": "no-such-model"}, ["no such model"]),
    ],
)
def test_wrong_options(
    score: Any, genome: dict[str, str], changes: dict[str, Any], parts: list[str]
) -> None:
    with refused(UsageError, Exit.USAGE, *parts):
        score([snv(genome, "chr1", 5)], **changes)


def test_a_damaged_model(tmp_path: Path, score: Any, genome: dict[str, str]) -> None:
    bad = Path(write_model(tmp_path / "bad", SMALL))
    (bad / "model.safetensors").write_bytes(b"not tensors")
    (bad / FILE).unlink()
    with refused(DataError, Exit.FAILED, "model.safetensors"):
        score([snv(genome, "chr1", 5)], model=str(bad))


def test_never_nan(tmp_path: Path, score: Any, genome: dict[str, str]) -> None:
    nan = write_model(tmp_path / "nan", SMALL, calibrations=(Calibration(Platt()),))
    module = GMT(SMALL)
    with torch.no_grad():
        module.cls.fill_(3e38)  # a number, whose layer norm is none
    specs = tuple(TrackSpec.of(name, np.linspace(0, 1, 1001)) for name in TRACKS)
    save_model(Path(nan), module, ModelConfig("gmt", arch_of(module), specs))
    (Path(nan) / FILE).unlink()
    with refused(GenomixError, Exit.FAILED, "not a number", "--device cpu"):
        score([snv(genome, "chr1", 5)], model=nan)
    assert not (tmp_path / "out.vcf").exists()


def test_nothing_global_is_left_changed(score: Any, genome: dict[str, str]) -> None:
    before = torch.get_num_threads(), torch.is_grad_enabled()
    score([snv(genome, "chr1", 5)], threads=before[0] + 1)
    after = torch.get_num_threads(), torch.is_grad_enabled()
    assert before == after


def test_long_records_make_short_blocks(
    tmp_path: Path, genome: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "BLOCK_CHARACTERS", 60)
    path = tmp_path / "a.vcf"
    lines = [snv(genome, "chr1", p) + "\tGT\t" + "0|1\t" * 20 + "0|1" for p in range(1, 5)]
    path.write_text("\n".join(["##fileformat=VCFv4.2", COLUMNS, *lines]))
    with VcfReader(path) as reader:
        assert [len(block) for block in cutting.blocks(reader.lines(), 1_000)] == [1, 1, 1, 1]


def test_what_is_made_ahead_comes_in_order_with_its_error() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise DataError("made up")

    seen = []
    with pytest.raises(DataError, match="made up"), ahead(items(), 2) as made:
        seen += [*made]
    assert seen == []
    with pytest.raises(DataError, match="made up"), ahead(items(), 2) as made:
        for item in made:
            seen.append(item)
    assert seen == [0, 1, 2, 3, 4]


def test_what_is_made_ahead_stops_when_nobody_takes_it() -> None:
    made = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield len(made)

    with ahead(endless(), 3) as items:
        next(items)
    count = len(made)
    assert count <= 6
    time.sleep(0.3)
    assert len(made) == count


@pytest.mark.parametrize(
    ("declared", "seen", "lengths", "added"),
    [
        ([], [], {"chr1": 5, "chrM": 3}, ["chr1,length=5", "chrM,length=3"]),
        ([], ["1"], {"chr1": 5, "chrM": 3}, ["1,length=5", "MT,length=3"]),
        ([], ["chr1"], {"1": 5, "MT": 3}, ["chr1,length=5", "chrM,length=3"]),
        (["chr1"], ["chr1", "1"], {"chr1": 5}, ["1,length=5"]),
        (["1", "MT"], ["1"], {"chr1": 5, "chrM": 3}, []),
        (["chr1"], ["chr7"], {"chr1": 5, "chr2": 4}, ["chr7", "chr2,length=4"]),
    ],
)
def test_contigs_that_are_declared(
    declared: list[str], seen: list[str], lengths: dict[str, int], added: list[str]
) -> None:
    header = Header(tuple(f"##contig=<ID={name}>" for name in declared), COLUMNS)
    lines = list(missing_contigs(header, seen, lengths))
    assert lines == [f"##contig=<ID={text}>" for text in added]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("device", "devices", "expected"),
    [
        ("cpu", "", ["cpu"]),
        ("cpu", "2", ["cpu", "cpu"]),
        ("auto", "", ["cuda"]),
        ("cuda:1", "", ["cuda:1"]),
        ("auto", "3", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", "0,2", ["cuda:0", "cuda:2"]),
        ("cuda", "2,", ["cuda:2"]),
    ],
)
def test_devices_that_share_the_work(
    monkeypatch: pytest.MonkeyPatch, device: str, devices: str, expected: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert list(map(str, resolve_devices(device, devices))) == expected
    for wrong in ("4", "1,3"):
        with pytest.raises(UsageError, match="no such GPU"):
            resolve_devices("cuda", wrong)
    for wrong in ("0", "a", ",", "1,a", "-1"):
        with pytest.raises(UsageError, match="--devices"):
            resolve_devices("cuda", wrong)
    with pytest.raises(UsageError, match="--devices"):
        resolve_devices("cuda:1", "2")


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match=r"PyTorch sees none \(expected cpu, found cuda\)"):
        resolve_devices("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=r"expected cpu or cuda:0 or cuda:1, found cuda:2"):
        resolve_devices("cuda:2")


def test_an_error_of_a_worker_comes_back_whole() -> None:
    for error in (
        DataError("is damaged", where="a.bw", expected="x", found="y", hint="do z"),
        MissingExtraError("cooler", "hic"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert again.line() == error.line()
        assert again.hint == error.hint


def test_alleles_of_different_cores_never_share_a_batch() -> None:
    """Sharing a batch would make the last bits depend on where a file is divided."""
    genome = MadeUpGenome(TRACKS, 20_000)
    reader = Reader(GMT(SMALL), genome, torch.device("cpu"), "shared", False, (1,))
    allele = place_allele(7_000, "A", "C", "A" * 10, 6_995)
    targets = [Target("made-up", allele, core) for core in (0, 1, 0)]
    (work,) = reader.works(targets, Clock(["genome"]), np.zeros(3))
    assert work.rows.tolist() == [0, 2, 1]
    assert [call.variants[0].offset.shape for call in work.calls] == [(1, 4), (1, 1)]
    assert work.columns.tolist() == [0, 1, 4]
