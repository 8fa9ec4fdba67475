"""``genomix explain`` of sequences, end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Ended
from tests.explained_page import Rows, needs_browser, probed
from tests.sequence_runs import trained
from tests.sequence_samples import genotypes, motifs, write

pytest.importorskip("lightning")
pytest.importorskip("sklearn")

Here = Callable[..., Ended]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files and run folders of both kinds."""
    folder = tmp_path_factory.mktemp("explain")
    write(folder / "dna.h5", motifs(n=60))
    write(folder / "people.h5", genotypes(n=60))
    trained(folder / "cnn", motifs(n=120), "cnn")
    trained(folder / "words", motifs(n=120), "kmer-logistic")
    trained(folder / "loci", genotypes(n=120), "transformer", width=8, learning_rate=1e-5)
    return folder


@pytest.fixture
def explain(genomix_here: Here, place: Path, tmp_path: Path) -> Here:
    def call(data: str, run: str, *arguments: object) -> Ended:
        paths = (place / data, "-m", place / run, "-o", tmp_path / "why.tsv")
        return genomix_here("explain", *paths, "--device", "cpu", *arguments)

    return call


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", comment="#", keep_default_na=False, dtype={"contig": str})


def test_a_row_per_base_in_genome_coordinates(explain: Here, tmp_path: Path) -> None:
    done = explain("dna.h5", "cnn", "--names", "s3", "--names", "s1", "--steps", 16)
    assert done.code == 0, done.err
    table = read(tmp_path / "why.tsv")
    assert list(dict.fromkeys(table["sample"])) == ["s1", "s3"]
    assert len(table) == 120
    first = table.iloc[0]
    assert (first["contig"], first["pos"], first["strand"]) == ("chr2", 1001, "+")
    last = table[table["sample"] == "s3"].iloc[-1]
    assert (last["pos"], last["strand"]) == (3001, "-")
    change = float(done.out.splitlines()[1].split("\t")[3])
    total = table[table["sample"] == "s1"]["attribution"].sum()
    assert total == pytest.approx(change, abs=0.02 * max(abs(change), 0.1))


def test_sites_are_summed_up(explain: Here, tmp_path: Path) -> None:
    summary = tmp_path / "sites.tsv"
    arguments = ("--summary", summary, "--max-sequences", 10, "--class", "B")
    done = explain("people.h5", "loci", *arguments)
    assert done.code == 0, done.err
    sites = read(summary)
    assert len(sites) == 150
    assert sites["mean_abs_attribution"].is_monotonic_decreasing
    why = read(tmp_path / "why.tsv")
    assert set(why["class"]) == {"B"}
    assert len(why) == 1500
    top = sites.iloc[0]
    own = why[why["pos"] == top["pos"]]["attribution"]
    assert own.abs().mean() == pytest.approx(top["mean_abs_attribution"], rel=1e-4)
    assert set(why[why["position"] == 150]["attribution"]) == {0}  # the same base in all


def test_other_baselines(explain: Here, tmp_path: Path) -> None:
    assert explain("dna.h5", "cnn", "--max-sequences", 2, "--baseline", "shuffle").code in (0, 3)
    first = (tmp_path / "why.tsv").read_bytes()
    arguments = ("--max-sequences", 2, "--baseline", "shuffle", "--force")
    explain("dna.h5", "cnn", *arguments)
    again = (tmp_path / "why.tsv").read_bytes()
    assert first.splitlines()[2:] == again.splitlines()[2:]  # after version and command


def test_a_page_says_what_the_run_found(explain: Here, tmp_path: Path) -> None:
    pytest.importorskip("memelite")
    page = tmp_path / "why.html"
    wanted = ("--max-sequences", 3, "--motifs", "consensus", "--report", page)
    assert explain("dna.h5", "cnn", *wanted).code in (0, 3)
    text, why = page.read_text(), read(tmp_path / "why.tsv")
    found = Rows(text)
    assert [row[0] for row in found.rows] == list(dict.fromkeys(why["sample"]))
    row, own = found.rows[1], why[why["sample"] == found.rows[1][0]]
    values, bases = own["attribution"].to_numpy(), "".join(own["base"])
    low, high, strand = own["pos"].min(), own["pos"].max(), own["strand"].iloc[0]
    assert row[1] == f"{own['contig'].iloc[0]}:{low:,}-{high:,} ({strand})"
    assert row[2:4] == [own["class"].iloc[0], f"{own['probability'].iloc[0]:.3f}"]
    start = int(np.argmax(np.convolve(np.abs(values), np.ones(12), "valid")))
    assert row[6] == f"{start + 1}–{start + 12} {bases[start : start + 12]}"
    assert float(row[7]) == pytest.approx(values[start : start + 12].sum(), abs=0.006)
    sizes = np.sort(np.abs(values))[::-1]
    assert sizes[: int(row[8])].sum() >= sizes.sum() / 2 > sizes[: int(row[8]) - 1].sum()
    assert float(row[-1]) == pytest.approx(values.sum(), abs=0.02)
    # Of each sequence and of the positions.
    assert len(found.images) == 3 + 1
    first = page.read_bytes()
    assert explain("dna.h5", "cnn", *wanted, "--force").code in (0, 3)
    again = page.read_text().replace(" --force", "")
    assert again == first.decode()


def test_a_page_of_aligned_sequences_names_their_sites(explain: Here, tmp_path: Path) -> None:
    page, summary = tmp_path / "why.html", tmp_path / "sites.tsv"
    wanted = ("--report", page, "--summary", summary, "--max-sequences", 4)
    assert explain("people.h5", "loci", *wanted).code == 0
    text, why = page.read_text(), read(tmp_path / "why.tsv")
    row = Rows(text).rows[2]
    own = why[why["sample"] == row[0]]
    most = own.loc[own["attribution"].abs().idxmax()]
    assert row[5] == f"1:{most['pos']:,} {most['ref']}>{most['alt']} {most['base']}"
    assert float(row[6]) == pytest.approx(most["attribution"], abs=0.006)
    top = read(summary).iloc[0]
    place = f"1:{top['pos']:,} {top['ref']}&gt;{top['alt']}"
    assert f"The most influential column is {place}, with " in text


@needs_browser
def test_a_browser_sorts_filters_and_opens_a_page(explain: Here, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    assert explain("people.h5", "loci", "--report", page, "--max-sequences", 4).code == 0
    rows = Rows(page.read_text()).rows
    found = probed(page.read_text(), tmp_path, column=2, words=f"{rows[3][0]} {rows[3][1]}")
    assert found["first"] == found["by_place"] == [row[0] for row in rows]
    assert found["descending"] == sorted((row[2] for row in rows), reverse=True)
    assert found["filtered"] == [rows[3][0]]
    assert all(size > 200 for size in found["picture"])


@pytest.mark.parametrize(
    ("data", "run", "arguments", "said"),
    [
        ("dna.h5", "cnn", ["--names", "s99"], "no sequence 's99'"),
        ("dna.h5", "cnn", ["--class", "b"], "no class 'b'"),
        ("dna.h5", "cnn", ["--baseline", "ref"], "unknown baseline"),
        ("dna.h5", "cnn", ["--baseline", "mean"], "are not aligned"),
        ("people.h5", "loci", ["--baseline", "shuffle"], "are aligned"),
        ("dna.h5", "cnn", ["--summary", "x.tsv"], "needs aligned sequences"),
        ("dna.h5", "cnn", ["--report", "nowhere/why.html"], "no such folder"),
        ("people.h5", "loci", ["--motifs", "consensus"], "needs sequences of bases"),
        ("dna.h5", "words", [], "kmer-logistic has no gradients"),
        ("dna.h5", "cnn", ["--samples", "s1"], "--samples is for cohorts, and"),
    ],
)
def test_mistakes_are_one_line(
    explain: Here, tmp_path: Path, data: str, run: str, arguments: list[str], said: str
) -> None:
    done = explain(data, run, *arguments, "-q")
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "why.tsv").exists()


def test_attributions_that_do_not_add_up_are_an_exit_code(
    explain: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genomix_cli.comparison import explanation

    monkeypatch.setattr(explanation, "MOST_STEPS", 2)
    monkeypatch.setattr(explanation, "SMALLEST_CHANGE", 1e-9)
    done = explain("dna.h5", "cnn", "--steps", 2, "--max-sequences", 10)
    assert done.code == 3
    assert "do not sum to the change in logit, even with 2 steps" in done.err
    assert len(read(tmp_path / "why.tsv")) == 600
    again = explain(
        "dna.h5", "cnn", "--steps", 2, "--max-sequences", 10, "--allow-incomplete", "--force"
    )
    assert again.code == 0
    assert "even with 2 steps" in again.err
