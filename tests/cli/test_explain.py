"""``genomix explain`` from the outside, on a simulated genome and a small untrained GMT."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from genomix_cli.provenance import facts_of

pytest.importorskip("captum")

TRACKS = ("ATAC", "H3K27ac", "H3K4me3", "CTCF")


@pytest.fixture(scope="module")
def model(tiny_genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained GMT with a 20-kb window, enlarged weights so that it is not linear."""
    import torch

    from genomix_cli.genome.bigwig import BigWig
    from genomix_cli.genome.signal import TrackSpec
    from genomix_cli.learning.calibration import Platt
    from genomix_cli.variants.conditions import Calibration
    from genomix_cli.variants.models.gmt import GMT, GMTConfig
    from genomix_cli.variants.trained import ModelConfig, arch_of, save_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = GMT(GMTConfig(TRACKS, n_bins=400, d_model=32, n_layers=2, n_heads=2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 1.4
    specs = tuple(
        TrackSpec.of(name, BigWig(tiny_genome / f"{name}.bw").distribution()) for name in TRACKS
    )
    folder = tmp_path_factory.mktemp("model") / "small"
    folder.mkdir()
    config = ModelConfig(
        "gmt",
        arch_of(module),
        specs,
        calibrations=(Calibration(Platt(1.5, -1.0)),),
        demonstration=True,
    )
    save_model(folder, module, config)
    return folder


@pytest.fixture(scope="module")
def command(tiny_genome: Path, model: Path) -> tuple[object, ...]:
    """The words that every call begins with."""
    return (
        *("explain", tiny_genome / "variants.vcf.gz", "--fasta", tiny_genome / "genome.fa.gz"),
        *("--model", model, "-t", f"ATAC={tiny_genome / 'ATAC.bw'}"),
        *("-t", f"CTCF={tiny_genome / 'CTCF.bw'}", "--steps", 16, "--device", "cpu"),
    )


def _alleles(folder: Path, n: int) -> list[str]:
    """An SNV, an insertion and a deletion of the VCF."""
    from genomix_cli.genome.vcf.reader import VcfReader

    found: dict[int, str] = {}
    with VcfReader(folder / "variants.vcf.gz") as reader:
        for r in reader:
            if r.pos > 30_000:
                kind = (len(r.alts[0]) > len(r.ref)) - (len(r.alts[0]) < len(r.ref))
                found.setdefault(kind, f"{r.chrom}:{r.pos}:{r.ref}:{r.alts[0]}")
    return [found[kind] for kind in (0, 1, -1)][:n]


def _table(path: Path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("##")]
    return list(csv.DictReader(lines, delimiter="\t"))


def test_tables_and_pictures(
    genomix_fast: Any, command: tuple[object, ...], tiny_genome: Path, tmp_path: Path
) -> None:
    chosen = _alleles(tiny_genome, 3)
    process = genomix_fast(
        *command,
        *(word for name in chosen for word in ("--variants", name)),
        *("-o", tmp_path / "a.tsv", "--attention", tmp_path / "b.tsv"),
        *("--baseline", "both", "--plot-dir", tmp_path / "pictures"),
        *("--report", tmp_path / "a.html"),
    )
    assert "demonstration weights" in process.stderr
    assert "no track or contacts for H3K27ac, H3K4me3" in process.stderr
    summary = [line.split("\t") for line in process.stdout.splitlines()]
    assert summary[0] == ["variant", "p", "baseline", "change", "completeness error"]
    table = _table(tmp_path / "a.tsv")
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for row in table:
        sums[row["variant"], row["baseline"]] += float(row["attribution"])
        assert 0 <= int(row["start"]) <= int(row["end"]) <= 300_000
    assert set(sums) == {(name, b) for name in chosen for b in ("ref", "shuffle")}
    for name, _, baseline, change, _ in summary[1:]:
        assert sums[name, baseline] == pytest.approx(float(change), rel=0.02, abs=2e-3)
    assert {row["feature"] for row in table} == {"sequence", "length", "ATAC", "CTCF"}
    shares: dict[str, float] = defaultdict(float)
    for row in _table(tmp_path / "b.tsv"):
        shares[row["variant"]] += float(row["share"])
    assert shares == {name: pytest.approx(1, abs=1e-3) for name in chosen}
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 3
    page = (tmp_path / "a.html").read_text()
    assert page.count('class="item"') == page.count("<img") == 3
    assert "demonstration weights" in page
    for _, p, *_ in summary[1:]:
        assert f"<td>{float(p):.3f}</td>" in page


def test_motifs_are_named_in_tables_and_pictures(
    genomix_fast: Any, command: tuple[object, ...], tiny_genome: Path, tmp_path: Path
) -> None:
    pytest.importorskip("memelite")
    table, summary = tmp_path / "motifs.tsv", tmp_path / "summary.tsv"
    ended = genomix_fast(
        *(*command, "--max-variants", 3, "--allow-incomplete", "-o", tmp_path / "a.tsv"),
        *("--motifs", "consensus", "--motif-p", 0.02, "--motif-table", table),
        *("--motif-summary", summary, "--plots", tmp_path / "pictures"),
    )
    header, *lines = [line.split("\t") for line in ended.stdout.splitlines()]
    assert header[-1] == "motif"
    rows = _table(table)
    first = {r["variant"]: f"{r['factor']} {r['change']}" for r in rows if r["rank"] == "1"}
    assert {line[0]: line[-1] for line in lines if line[-1] != "."} == first
    assert first
    for row in rows:
        assert float(row["cover"]) >= 2
        assert min(float(row["ref_p"]), float(row["alt_p"])) <= 0.02
        assert int(row["start"]) < int(row["end"])
    counts = {row["factor"]: int(row["alleles"]) for row in _table(summary)}
    assert counts.keys() == {row["factor"] for row in rows}
    assert "dinucleotide shuffles" in summary.read_text()
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 3


def test_a_region_has_the_scores_of_shared_windows(
    genomix_fast: Any, command: tuple[object, ...], tmp_path: Path
) -> None:
    word, _, *options = command
    options = options[: options.index("--steps")]
    region = (word, "variants", "--region", "chr1:30,001-30,012", *options)
    for name in ("region.vcf", "region.tsv"):
        genomix_fast(*region, "-o", tmp_path / name)
    again = ("score", tmp_path / "region.vcf", *options, "--mode", "shared")
    genomix_fast(*again, "-o", tmp_path / "scored.tsv")
    region_rows, scored = (_table(tmp_path / name) for name in ("region.tsv", "scored.tsv"))
    assert len(scored) == len(region_rows) == 36
    for one, other in zip(region_rows, scored, strict=True):
        for key in ("CHROM", "POS", "REF", "ALT"):
            assert one[key] == other[key]
        for key in ("GENOMIX_P", "GENOMIX_DL"):
            assert float(one[key]) == pytest.approx(float(other[key]), abs=1e-5)


def test_motifs_cannot_be_written_without_any(
    genomix_fast: Any, command: tuple[object, ...], tmp_path: Path
) -> None:
    words = (*command, "-o", tmp_path / "a.tsv", "--motif-table", tmp_path / "m.tsv")
    assert "needs --motifs" in genomix_fast(*words, code=2).stderr
    assert not list(tmp_path.iterdir())


def test_outputs_say_how_they_were_made_and_repeat(
    genomix_fast: Any, command: tuple[object, ...], tmp_path: Path
) -> None:
    output = tmp_path / "a.tsv"
    words = (*command, "--max-variants", 1, "--baseline", "shuffle", "--steps", 8, "-o", output)
    texts = []
    for _ in range(2):
        genomix_fast(*words, "--allow-incomplete", "--force")
        texts.append(output.read_bytes())
    assert texts[0] == texts[1]
    made = facts_of(texts[0].decode().splitlines())
    assert [text.rpartition(" sha256:")[0] for text in made["Input"]] == [
        "variants variants.vcf.gz",
        "fasta genome.fa.gz",
        "track ATAC ATAC.bw",
        "track CTCF CTCF.bw",
    ]
    assert made["Model"][0].startswith("small sha256:")
    assert made["Seed"] == ["0"]


def test_the_probability_is_that_of_score(
    genomix_fast: Any, command: tuple[object, ...], tiny_genome: Path, tmp_path: Path
) -> None:
    from genomix_cli.genome.vcf.reader import VcfReader

    names = _alleles(tiny_genome, 3)
    sites = {tuple(name.split(":")[:2]) for name in names}
    with VcfReader(tiny_genome / "variants.vcf.gz") as reader:
        lines = ["\t".join(r.fields) for r in reader if (r.chrom, str(r.pos)) in sites]
        (tmp_path / "few.vcf").write_text(str(reader.header) + "\n".join(lines) + "\n")
    inputs = (tmp_path / "few.vcf", *command[2 : command.index("--steps")], "--device", "cpu")
    process = genomix_fast("explain", *inputs, "--baseline", "ref", "-o", tmp_path / "a.tsv", "-q")
    explained = [line.split("\t")[:2] for line in process.stdout.splitlines()[1:]]
    genomix_fast("score", *inputs, "-o", tmp_path / "s.vcf", "-q")
    scored: dict[str, float] = {}
    with VcfReader(tmp_path / "s.vcf") as reader:
        for r in reader:
            values = map(float, (r.info("GENOMIX_P") or "").split(","))
            alleles = (f"{r.chrom}:{r.pos}:{r.ref}:{alt}" for alt in r.alts)
            scored |= dict(zip(alleles, values, strict=True))
    assert {name: float(p) for name, p in explained} == pytest.approx(scored, abs=1e-4)
    assert set(scored) >= set(names)


def test_what_does_not_add_up_is_exit_code_3_with_its_output(
    genomix_fast: Any,
    command: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from genomix_cli.comparison import explanation

    monkeypatch.setattr(explanation, "MOST_STEPS", 2)
    words = (*command, "--max-variants", 3, "--baseline", "shuffle", "--steps", 2, "-q")
    process = genomix_fast(*words, "-o", tmp_path / "a.tsv", code=3)
    assert "do not sum" in process.stderr
    assert "even with 2 steps" in process.stderr
    assert "--steps 8" in process.stderr
    errors = {float(row["completeness_error"]) for row in _table(tmp_path / "a.tsv")}
    assert max(errors) > 0.01
    genomix_fast(*words, "-o", tmp_path / "b.tsv", "--allow-incomplete")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--variants", "chr1:5"), "expected contig:pos:ref:alt, found chr1:5"),
        (("--variants", "chr1:5:A:G"), "has no allele chr1:5:A:G"),
        (("--top", "3"), "no allele carries GENOMIX_P"),
        (("--baseline", "zero"), "expected ref or shuffle or both, found zero"),
    ],
)
def test_mistakes_are_one_line(
    genomix_fast: Any,
    command: tuple[object, ...],
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    process = genomix_fast(*command, "-o", tmp_path / "a.tsv", "-q", *arguments, code=2)
    assert message in process.stderr.splitlines()[-1]
    assert not (tmp_path / "a.tsv").exists()


def test_an_existing_output_is_kept(
    genomix_fast: Any, command: tuple[object, ...], tmp_path: Path
) -> None:
    (tmp_path / "a.tsv").write_text("mine")
    process = genomix_fast(*command, "-o", tmp_path / "a.tsv", code=2)
    assert "--force" in process.stderr
    assert (tmp_path / "a.tsv").read_text() == "mine"


def test_the_highest_scores_are_chosen(
    genomix_fast: Any, command: tuple[object, ...], tiny_genome: Path, tmp_path: Path
) -> None:
    lines = (tmp_path / "scored.vcf").open("w")
    from genomix_cli.genome.vcf.lines import Lines
    from genomix_cli.genome.vcf.reader import VcfReader
    from genomix_cli.variants.score.annotate import with_scores

    scores = [0.1, 0.9, 0.3, 0.8]
    names = []
    with VcfReader(tiny_genome / "variants.vcf.gz") as reader, lines:
        lines.write(str(reader.header))
        for record, score in zip(reader, scores, strict=False):
            lines.write(with_scores(Lines.of([record]), [b"GENOMIX_P=%g" % score]).decode())
            names.append(f"{record.chrom}:{record.pos}:{record.ref}:{record.alts[0]}")
    process = genomix_fast(
        *(command[0], tmp_path / "scored.vcf", *command[2:], "--top", 2),
        *("--baseline", "ref", "-o", tmp_path / "a.tsv", "-q"),
    )
    chosen = [line.split("\t")[0] for line in process.stdout.splitlines()[1:]]
    assert chosen == [names[1], names[3]]
