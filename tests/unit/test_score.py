"""Scoring: alone equals among neighbours, what is refused and where, what the output says."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest
import torch

from genomix_cli.errors import CheckError, DataError, Exit, GenomixError, UsageError
from genomix_cli.genome.signal import TrackSpec
from genomix_cli.genome.vcf import Header, VcfReader
from genomix_cli.training.calibration import Platt
from genomix_cli.training.checkpoints import ModelConfig, arch_of, save_model
from genomix_cli.variants import checks
from genomix_cli.variants import score as score_module
from genomix_cli.variants.engine import CHUNKS, chunk_size, chunks
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.score import ScoreRequest, missing_contigs, score_variants

TRACKS = ("ATAC", "H3K27ac")
LENGTHS = {"chr1": 130_000, "chr2": 30_000}
SMALL = GMTConfig(TRACKS, n_bins=400, d_model=32, n_layers=2, n_heads=2, d_sequence=16, d_local=16)
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
    settings = {"calibration": Platt(8.0, 0.0)} | settings
    save_model(folder, module, ModelConfig("gmt", arch_of(module), specs, **settings))
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("models") / "small", SMALL)


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Warnings of genomix."""
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)
    return lambda: [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.fixture
def score(tmp_path: Path, fasta: Path, model: str) -> Callable[..., Any]:
    """``score(lines)`` -> the summary; the output is ``out.vcf``."""

    def run(lines: Sequence[str], header: Sequence[str] = (), **changes: Any) -> Any:
        vcf = tmp_path / "in.vcf"
        meta = "".join(f"{line}\n" for line in ("##fileformat=VCFv4.2", *header))
        vcf.write_text(f"{meta}{COLUMNS}\n" + "".join(f"{line}\n" for line in lines))
        request = ScoreRequest(vcf, fasta, tmp_path / "out.vcf", model, device="cpu", threads=1)
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
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path]
) -> None:
    lines = [snv(genome, c, p) for c, n in LENGTHS.items() for p in range(900, n, 2_741)]
    score(lines, tracks=tracks)
    _, values = read(tmp_path / "out.vcf")
    assert np.std(values) > 1e-3
    summary = score(lines, tracks=tracks, block=7)
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
    parts = list(chunks(range(count)))
    assert [i for part in parts for i in part] == list(range(count))
    assert {chunk_size(len(part)) for part in parts} <= set(CHUNKS)
    assert sum(chunk_size(len(part)) for part in parts) < count + 16


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


def test_tracks_change_scores_and_absent_ones_are_said(
    tmp_path: Path, score: Any, genome: dict[str, str], tracks: dict[str, Path], heard: Any
) -> None:
    lines = [snv(genome, "chr1", p) for p in (5_000, 70_000)]
    score(lines, tracks=tracks)
    header, with_both = read(tmp_path / "out.vcf")
    assert not any("TracksAbsent" in text for text in header.meta)
    assert heard() == []

    summary = score(lines, tracks={"ATAC": tracks["ATAC"]})
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


def test_demonstration_weights_say_so(
    tmp_path: Path, score: Any, genome: dict[str, str], heard: Any
) -> None:
    demo = write_model(tmp_path / "demo", SMALL, demonstration=True)
    score([snv(genome, "chr1", 500)], model=demo)
    header, _ = read(tmp_path / "out.vcf")
    assert any(text.startswith("##genomixWarning=demonstration weights") for text in header.meta)
    assert any("demonstration weights" in text for text in heard())


def test_the_probability_is_calibrated(tmp_path: Path, score: Any, genome: dict[str, str]) -> None:
    raw = write_model(tmp_path / "raw", SMALL, calibration=Platt(1.0, 0.0))
    calibrated = write_model(tmp_path / "calibrated", SMALL, calibration=Platt(2.0, -1.5))
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
        "##genomixCommand=genomix",
        '##genomixConfig={"uncovered": "missing"',
        "##genomixModel=small sha256:",
        "##genomixInput=vcf in.vcf sha256:",
        "##genomixInput=fasta genome.fa sha256:",
        "##genomixInput=track ATAC ATAC.bw sha256:",
        "##genomixInput=track H3K27ac H3K27ac.bw sha256:",
        "##genomixDevice=cpu",
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
    assert set(stats["seconds"]) == {"variants", "genome", "trunk", "alleles", "writing"}
    assert stats["seconds"]["trunk"] > 0
    assert stats["variants_per_second"] == pytest.approx(21 / sum(stats["seconds"].values()), 0.01)


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
        f"{tmp_path}/in.vcf:5: not sorted; the order is kept, but tabix cannot index it"
    ]


def test_a_few_wrong_refs_are_a_warning_with_the_first_line(
    score: Any, genome: dict[str, str], heard: Any
) -> None:
    lines = [snv(genome, "chr1", p) for p in range(1_000, 31_000, 1_000)]
    lines[3] = line("chr1", 4_000, another(genome["chr1"][3_999]), "<DEL>")
    lines[5] = line("chr1", 6_000, another(genome["chr1"][5_999]), "N")
    summary = score(lines)
    assert (summary.ref_mismatches, summary.first_mismatch) == (2, 6)
    assert any(":6: first of 2 records whose REF is not the FASTA's" in text for text in heard())


def test_check_ref_e_stops_at_the_first(tmp_path: Path, score: Any, genome: dict[str, str]) -> None:
    right = genome["chr1"][3_999]
    lines = [snv(genome, "chr1", 1_000), line("chr1", 4_000, another(right), right)]
    with refused(
        CheckError,
        Exit.CHECK,
        "in.vcf:4: REF is not what the FASTA says",
        f"expected {right}, found {another(right)} at chr1:4000",
    ):
        score(lines, check_ref="e")
    assert not (tmp_path / "out.vcf").exists()


def broken_model(*_: Any) -> None:
    raise AssertionError("the model was loaded")


def test_another_assembly_is_noticed_before_the_model_is_loaded(
    tmp_path: Path, score: Any, genome: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "load_model", broken_model)
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
    monkeypatch.setattr(checks, "AUDIT_RECORDS", 60)
    right = [snv(genome, "chr1", p) for p in range(1_000, 1_019)]
    wrong = [line("chr2", p, another(genome["chr2"][p - 1]), "A") for p in range(1_000, 1_030)]
    elsewhere = [line("chr7", p, "A", "C") for p in range(1, 30)]
    with pytest.raises(CheckError, match="another assembly"):
        score([*right, *elsewhere, *wrong], block=10)
    # Too few to tell, and late ones, are counted only.
    assert score([*right[:5], *wrong[:4]]).ref_mismatches == 4
    many = [snv(genome, "chr1", p) for p in range(1_000, 1_060)]
    assert score([*many, *wrong], block=10).ref_mismatches == 30


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
        ({"check_ref": "x"}, ["--check-ref", "w or e"]),
        ({"uncovered": "maybe"}, ["--uncovered", "missing or zero"]),
        ({"device": "tpu"}, ["--device"]),
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
    with refused(DataError, Exit.FAILED, "model.safetensors"):
        score([snv(genome, "chr1", 5)], model=str(bad))


def test_never_nan(tmp_path: Path, score: Any, genome: dict[str, str]) -> None:
    nan = write_model(tmp_path / "nan", SMALL, calibration=Platt(1.0, 0.0))
    module = GMT(SMALL)
    with torch.no_grad():
        module.cls.fill_(float("nan"))
    specs = tuple(TrackSpec.of(name, np.linspace(0, 1, 1001)) for name in TRACKS)
    save_model(Path(nan), module, ModelConfig("gmt", arch_of(module), specs))
    with refused(GenomixError, Exit.FAILED, "no number", "--device cpu"):
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
    monkeypatch.setattr(checks, "BLOCK_CHARACTERS", 60)
    path = tmp_path / "a.vcf"
    lines = [snv(genome, "chr1", p) + "\tGT\t" + "0|1\t" * 20 + "0|1" for p in range(1, 5)]
    path.write_text("\n".join(["##fileformat=VCFv4.2", COLUMNS, *lines]))
    with VcfReader(path) as reader:
        assert [len(block) for block in checks.blocks(reader, 1_000)] == [1, 1, 1, 1]


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
