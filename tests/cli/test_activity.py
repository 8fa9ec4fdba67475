"""``genomix train --task activity`` and what reads its runs, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.activity_runs import measured, pairs
from tests.sequence_samples import write

pytest.importorskip("lightning")

TEST_DATA = Path(__file__).parents[2] / "test_data"
SMALL = (
    *("--preset", "tiny", "--epochs", "1", "--set", "width=8", "--set", "stem=8"),
    *("--threads", "1", "--device", "cpu"),
)
MOTIFS = """MEME version 4

ALPHABET= ACGT

MOTIF First
letter-probability matrix: alength= 4 w= 3
 0.97 0.01 0.01 0.01
 0.01 0.97 0.01 0.01
 0.01 0.01 0.97 0.01
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path / "also.h5", measured(60, 30, 3))
    write(tmp_path / "pairs.h5", pairs(20))
    return write(tmp_path / "own.h5", measured(100))


def test_a_run_is_trained_shown_and_scores(genomix_here, data, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "motifs.meme").write_text(MOTIFS)
    others = ("--also", data.parent / "also.h5", "--pairs", data.parent / "pairs.h5")
    others += ("--motifs", tmp_path / "motifs.meme")
    asked = ("train", data, "--task", "activity", "-o", run, *SMALL, *others)
    done = genomix_here(*asked, "--phenotypes", "HepG2,open")
    assert done.code == 0, done.err
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert lines[0] == ["output", "model", "metric", "value", "low", "high"]
    assert {line[0] for line in lines[1:]} == {"HepG2", "open"}
    assert {line[2] for line in lines[1:]} == {"pearson", "spearman", "explained", "auroc"}
    record = json.loads((run / "train.json").read_text())
    files = {"sequences own.h5", "also 1 also.h5", "pairs 1 pairs.h5", "motifs motifs.meme"}
    assert set(record["inputs"]) == files
    shown = genomix_here("inspect", run)
    assert "teacher" in shown.out
    assert "log2 RNA/DNA" in shown.out
    (row,) = [line.split() for line in shown.out.splitlines() if line.startswith("  open ")]
    assert row[2] == "yes"
    assert "mean" not in shown.out.split("architecture")[1].splitlines()[0]
    scored = genomix_here("score", data, "-m", run)
    assert scored.code == 0, scored.err
    table = [line.split("\t") for line in scored.out.splitlines() if line[:2] != "##"]
    names = ["HepG2", "open", "also_HepG2", "stem_cell", "also_open", "teacher"]
    assert table[0] == ["sample", *names, "seen"]
    assert "##genomixNote=HepG2: log2 RNA/DNA; open: log-odds of yes; " in scored.out
    assert len(table) == 101
    again = genomix_here(*asked, "--resume")
    assert again.code == 2
    assert "was started with other settings: options.phenotypes" in again.err


def test_tracks_over_a_genome_are_learned_with_a_contig_held_out(genomix_here, tmp_path):
    data, run = tmp_path / "tracks.h5", tmp_path / "run"
    made = genomix_here(
        *("prepare", "sequences", TEST_DATA / "genome.fa.gz", "--window", "200", "-o", data),
        *("-t", f"ATAC@liver={TEST_DATA / 'ATAC.bw'}", "-t", f"CTCF={TEST_DATA / 'CTCF.bw'}"),
        *("--test-contigs", "2"),
    )
    assert made.code == 0, made.err
    assert "signal of ATAC@liver: log2(1 + signal) > " in made.err
    done = genomix_here("train", data, "--task", "activity", "-o", run, *SMALL)
    assert done.code == 0, done.err
    assert {line.split("\t")[0] for line in done.out.splitlines()[1:]} == {"ATAC_liver", "CTCF"}
    config = json.loads((run / "config.json").read_text())
    outputs = {each["name"]: each for each in config["arch"]["outputs"]}
    assert outputs["ATAC_liver"]["unit"] == outputs["CTCF"]["unit"] == "log2(1 + signal)"
    held_out = [line.split("\t")[0] for line in (run / "predictions.tsv").open()][1:]
    assert held_out
    assert all(name.startswith("chr2:") for name in held_out)
    scored = genomix_here(
        "score", TEST_DATA / "variants.vcf.gz", "-f", TEST_DATA / "genome.fa.gz", "-m", run,
        *("-r", "chr2:1-20000"),
    )  # fmt: skip
    assert scored.code == 0, scored.err
    assert "ID=GENOMIX_DA_ATAC_liver," in scored.out


def test_the_signal_of_each_base_is_kept_and_shown(genomix_here, tmp_path):
    data = tmp_path / "tracks.h5"
    asked = (
        *("prepare", "sequences", TEST_DATA / "genome.fa.gz", "--window", "200", "-o", data),
        *("-t", f"PLUS={TEST_DATA / 'ATAC.bw'}", "-t", f"MINUS={TEST_DATA / 'CTCF.bw'}"),
        *("-t", f"H3K27ac={TEST_DATA / 'H3K27ac.bw'}", "--profiles"),
    )
    made = genomix_here(*asked, "--strands", "PLUS,MINUS")
    assert made.code == 0, made.err
    shown = " ".join(genomix_here("inspect", data).out.split())
    names = "PLUS (other strand: MINUS), MINUS (other strand: PLUS), H3K27ac"
    assert f"signal of each base {names}" in shown
    refused = genomix_here(*asked, "--strands", "PLUS,PLUS", "--force")
    assert refused.code == 2
    assert "--strands: not two tracks" in refused.err


def test_what_a_run_does_not_do_is_said(genomix_here, data, tmp_path):
    run = tmp_path / "run"
    done = genomix_here("train", data, "--task", "activity", "-o", run, *SMALL)
    assert done.code == 0, done.err
    written = set(tmp_path.iterdir())
    for arguments, said in (
        (("score", data, "-m", run, "--embeddings", tmp_path / "e.tsv"), "has no embeddings"),
        (("explain", data, "-m", run, "-o", tmp_path / "w.tsv"), "genomix explain calls.vcf"),
        (("score", data.parent / "also.h5", "-m", run), "sequences of another length"),
        (("train", data, "--label", "open", "-o", tmp_path / "r", "--init", run), "another task"),
    ):
        ended = genomix_here(*arguments)
        assert ended.code in (1, 2), arguments
        assert said in ended.err
        assert len(ended.err.strip().splitlines()) == 1
    assert set(tmp_path.iterdir()) == written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--phenotypes", "colour"), "no phenotype 'colour'"),
        (("--also", "absent.h5"), "absent.h5: no such file"),
        (("--pairs", "own.h5"), "bases are held out|are not pairs"),
        (("--set", "members=0"), "members"),
        (("--baselines", "none"), "--baselines"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(genomix_here, data, tmp_path, arguments, said):
    here = [tmp_path / each if each.endswith(".h5") else each for each in arguments]
    if "own.h5" in arguments:
        write(tmp_path / "own.h5", measured(101))
    done = genomix_here("train", data, "--task", "activity", "-o", tmp_path / "run", *here)
    assert done.code in (1, 2)
    assert any(each in done.err for each in said.split("|"))
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
