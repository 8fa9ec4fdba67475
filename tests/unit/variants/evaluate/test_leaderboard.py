"""Evaluations of the same variants in one table, compared with the leader."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.binary import auroc
from genomix_cli.errors import CheckError, DataError, GenomixError, UsageError
from genomix_cli.formats.detect import is_evaluation
from genomix_cli.inspection import inspect
from genomix_cli.variants.evaluate.leaderboard.board import Board
from genomix_cli.variants.evaluate.leaderboard.report import cards, headline, headlines
from genomix_cli.variants.evaluate.leaderboard.run import make_leaderboard
from genomix_cli.variants.evaluate.suite.run import evaluate_suite
from genomix_cli.variants.requests.evaluate import LeaderboardRequest, SuiteRequest
from genomix_cli.variants.requests.simulate import SimulationRequest
from genomix_cli.variants.simulate.genome import simulate_genome
from tests.suite_shard import prepare
from tests.toy_variant_model import save_toy, toy_registered

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Evaluations of a toy that reads a track, and of one that reads it backwards."""
    folder = tmp_path_factory.mktemp("leaderboard")
    genome = SimulationRequest(folder / "genome", contigs=4, contig_length=150_000, seed=5)
    simulate_genome(genome)
    shard = prepare(folder / "genome", folder / "tiny.h5")
    scores = pd.DataFrame(
        {
            "contig": [list(shard.contigs)[i] for i in shard.variants.contig],
            "pos": shard.variants.pos + 1,
            "ref": [x.decode() for x in shard.variants.ref],
            "alt": [x.decode() for x in shard.variants.alt],
            "half": shard.variants.label
            + np.random.default_rng(0).normal(0, 0.3, len(shard.variants.pos)),
        }
    )
    snv = (scores["ref"].str.len() == 1) & (scores["alt"].str.len() == 1)
    scores[snv][::2].to_csv(folder / "scores.tsv", sep="\t", index=False)
    with toy_registered():
        for name, sign, more in (
            ("ahead", 1.0, {}),
            ("behind", -1.0, {"table": folder / "scores.tsv", "columns": ("half",)}),
        ):
            run = save_toy(folder / name, shard, sign=sign)
            out = folder / f"of-{name}"
            models: dict[str, Any] = {
                "models": (str(run),),
                "baselines": ("nearest-peak",),
                "draws": 20,
            }
            evaluate_suite(SuiteRequest(shard.path, out, **models, **more))
    return folder / "of-ahead", folder / "of-behind"


@pytest.fixture(scope="module")
def board(reports: tuple[Path, Path]) -> Board:
    (only,) = make_leaderboard(LeaderboardRequest(reports, reports[0].parent / "board", draws=60))
    return only


@pytest.fixture(scope="module")
def experiments(reports: tuple[Path, Path]) -> Path:
    """An evaluation of made-up experiments: `assay` is right within each, but not across them."""
    folder = reports[0].parent
    rng = np.random.default_rng(11)
    with gzip.open(folder / "genome" / "variants.vcf.gz", "rt") as file:
        fields = [line.split("\t")[:5] for line in file if not line.startswith("#")]
    rows = pd.DataFrame(
        [(c, int(pos), ref, alt) for c, pos, _, ref, alts in fields for alt in alts.split(",")],
        columns=["contig", "pos", "ref", "alt"],
    )
    rows = rows[(rows["ref"].str.len() == 1) & (rows["alt"].str.len() == 1)]
    element = rows["pos"] // 30_000
    effect = rng.normal(0, 1, len(rows)) * (1 + element)
    labels = rows.assign(effect=effect, group=[f"E{e}" for e in element])
    labels.to_csv(folder / "effects.tsv", sep="\t", index=False)
    scores = rows.assign(assay=effect / (1 + element) + rng.normal(0, 0.5, len(rows)))
    scores["assay"] -= 100.0 * (element % 2)
    scores.to_csv(folder / "assay.tsv", sep="\t", index=False)
    unlabelled = {"label_info": None, "probability_info": None}
    shard = prepare(
        folder / "genome", folder / "assays.h5", **unlabelled, labels=folder / "effects.tsv"
    )
    with toy_registered():
        run = save_toy(folder / "track", shard)
        request = SuiteRequest(
            *(shard.path, folder / "of-assays", (str(run),)),
            **{"baselines": (), "effect": "signed", "draws": 60},
            **{"table": folder / "assay.tsv", "columns": ("assay",)},
        )
        evaluate_suite(request)
    return folder / "of-assays"


@pytest.fixture
def changed(reports: tuple[Path, Path], tmp_path: Path) -> Callable[..., Path]:
    """``changed(file, change)`` -> a copy of the second evaluation with a change in a file."""

    def make(name: str = "", change: Callable[[str], str] = str) -> Path:
        copy = tmp_path / "copy"
        shutil.copytree(reports[1], copy)
        if name:
            (copy / name).write_text(change((copy / name).read_text()))
        return copy

    return make


def test_the_leader_comes_first_and_the_others_by_how_far_they_are_behind(board: Board) -> None:
    names = [row.name for row in board.rows]
    assert names[0] in ("ahead", "nearest-peak")  # `half` does not score all variants
    assert set(names) == {"ahead", "behind", "half", "nearest-peak"}
    behind = [row.behind.value for row in board.rows[1:]]
    assert behind == sorted(behind)
    assert behind[0] < 0
    assert names[1] == "half"
    assert board.rows[-1].name == "behind"
    assert board.rows[-1].behind.low > 0
    assert board.rows[0].behind == (0, 0, 0)


def test_differences_are_paired_on_the_variants_of_both(
    board: Board, reports: tuple[Path, Path]
) -> None:
    one, two = (pd.read_csv(r / "predictions.tsv", sep="\t", comment="#") for r in reports)
    leader, half = one[board.rows[0].name], two["half"]
    both = half.notna() & one["label"].notna()
    label = one["label"][both]
    row = next(row for row in board.rows if row.name == "half")
    assert row.n == half.notna().sum() < board.variants
    expected = auroc(label, leader[both]) - auroc(label, half[both])
    assert row.behind.value == pytest.approx(expected, abs=1e-9)


def test_what_is_the_same_in_both_is_one_row(board: Board, reports: tuple[Path, Path]) -> None:
    rows = {row.name: row for row in board.rows}
    assert rows["nearest-peak"].reports == ("of-ahead", "of-behind")
    assert rows["ahead"].reports == ("of-ahead",)
    said = json.loads((reports[0] / "metrics.json").read_text())
    value = said["entrants"][0]["metrics"]["auroc"]
    assert rows["ahead"].metrics["auroc"] == tuple(value.values())
    removed = said["controls"]["variant_removed"]["auroc"]["value"]
    assert rows["ahead"].controls["variant_removed"].value == removed
    assert rows["nearest-peak"].controls == {}
    assert rows["ahead"].parameters == 1
    assert rows["ahead"].seconds is not None
    assert rows["half"].parameters is rows["half"].seconds is None
    assert board.ceiling["auroc"].value == said["ceiling"]["auroc"]["value"]


def test_the_same_name_with_other_scores_is_told_apart(
    reports: tuple[Path, Path], changed: Callable[..., Path], tmp_path: Path
) -> None:
    renamed = changed("metrics.json", lambda text: text.replace('"behind"', '"ahead"'))
    table = renamed / "predictions.tsv"
    table.write_text(table.read_text().replace("\tbehind\t", "\tahead\t"))
    request = LeaderboardRequest((reports[0], renamed), tmp_path / "board", draws=0)
    (board,) = make_leaderboard(request)
    names = {row.name for row in board.rows}
    assert names == {"ahead (of-ahead)", "ahead (copy)", "half", "nearest-peak"}


def test_the_folder_holds_page_and_tables(board: Board, reports: tuple[Path, Path]) -> None:
    folder = reports[0].parent / "board"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("leaderboard.html", "leaderboard.json", "leaderboard.tsv")
    ]
    data = json.loads((folder / "leaderboard.json").read_text())
    (of_data,) = data["datasets"]
    assert [row["name"] for row in of_data["rows"]] == [row.name for row in board.rows]
    assert list(data["provenance"]["inputs"]) == [
        *("of-ahead metrics.json", "of-behind metrics.json")
    ]
    table = pd.read_csv(folder / "leaderboard.tsv", sep="\t", comment="#")
    assert table["name"].tolist() == [row.name for row in board.rows]
    assert table["auroc_value"].notna().all()
    page = (folder / "leaderboard.html").read_text()
    assert headline(board).split(",")[0] in page
    assert "of-ahead: only 2 loci" in page
    assert page.count("<figure>") == 1
    assert "variant removed" in page


def test_the_same_evaluations_give_the_same_bytes(
    board: Board, reports: tuple[Path, Path], tmp_path: Path
) -> None:
    make_leaderboard(LeaderboardRequest(reports, tmp_path / "board", draws=60))
    for path in (tmp_path / "board").iterdir():
        if path.suffix != ".html":  # which has the command that runs
            assert path.read_bytes() == (reports[0].parent / "board" / path.name).read_bytes()


def test_datasets_have_a_table_each_on_one_page(
    board: Board, reports: tuple[Path, Path], experiments: Path, tmp_path: Path
) -> None:
    request = LeaderboardRequest((reports[0], experiments, reports[1]), tmp_path / "b", draws=60)
    first, second = make_leaderboard(request)
    assert (first.data, second.data) == ("tiny", "assays")
    behind = [[(row.name, row.behind) for row in each.rows] for each in (first, board)]
    assert behind[0] == behind[1]
    assert [row.name for row in second.rows] == ["assay", "track"]
    data = json.loads((tmp_path / "b" / "leaderboard.json").read_text())
    assert [each["data"] for each in data["datasets"]] == ["tiny", "assays"]
    table = pd.read_csv(tmp_path / "b" / "leaderboard.tsv", sep="\t", comment="#")
    assert table["dataset"].tolist() == ["tiny"] * 4 + ["assays"] * 2
    assert table["rank"].tolist() == [1, 2, 3, 4, 1, 2]
    assert table["pearson_in_groups_value"].notna().tolist() == [False] * 4 + [True] * 2
    page = (tmp_path / "b" / "leaderboard.html").read_text()
    for title in ("Datasets", "tiny: ranking", "assays: ranking", "assays: controls"):
        assert f">{title}</h2>" in page
    assert page.count("<figure>") == 2
    assert "assays: assay leads with Spearman, effect" in headlines((first, second))
    both = cards((first, second))
    assert [card.title for card in both] == ["AUROC, tiny", "Spearman, effect, assays"]


def test_effects_are_correlated_within_each_experiment(experiments: Path) -> None:
    said = json.loads((experiments / "metrics.json").read_text())
    (assay,) = (each for each in said["entrants"] if each["name"] == "assay")
    table = pd.read_csv(experiments / "predictions.tsv", sep="\t", comment="#")
    rows = table.groupby(table["pos"] // 30_000)
    within = [np.corrcoef(some["effect"], some["assay"])[0, 1] for _, some in rows]
    found = assay["metrics"]["pearson_in_groups"]
    assert found["value"] == pytest.approx(np.mean(within), abs=1e-4)
    assert 0.8 < found["low"] < found["value"] < found["high"]
    assert assay["metrics"]["pearson"]["value"] < 0.3


def test_a_named_entrant_is_what_the_others_are_compared_with(
    board: Board, reports: tuple[Path, Path], tmp_path: Path
) -> None:
    request = LeaderboardRequest(reports, tmp_path / "b", reference="behind", draws=60)
    (other,) = make_leaderboard(request)
    assert (other.reference, other.leads) == ("behind", False)
    assert other.rows[-1].name == "behind"
    one, two = (
        {row.name: row.metrics["auroc"].value for row in each.rows} for each in (board, other)
    )
    assert one == two
    leader = next(row for row in other.rows if row.name == board.reference)
    behind = next(row for row in board.rows if row.name == "behind")
    assert leader.behind.value == pytest.approx(-behind.behind.value, abs=1e-12)
    assert leader.behind.high < 0
    assert headline(other).startswith("behind has AUROC 0.")
    assert " better on the variants that both score" in headline(other)
    page = (tmp_path / "b" / "leaderboard.html").read_text()
    assert "AUROC: behind behind" in page
    assert "chosen on this test part" not in page
    (table,) = inspect(tmp_path / "b").tables
    assert table.columns[5] == "behind minus this"


def test_a_reference_that_is_not_there_is_one_line(
    reports: tuple[Path, Path], experiments: Path, tmp_path: Path
) -> None:
    request = LeaderboardRequest((reports[0], experiments), tmp_path / "b", reference="ahead")
    with pytest.raises(UsageError, match="no entrant 'ahead' on assays") as raised:
        make_leaderboard(request)
    assert "track or assay" in str(raised.value)
    assert not (tmp_path / "b").exists()


def test_shards_of_one_name_are_told_apart(
    reports: tuple[Path, Path], experiments: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(experiments, copy)
    file = copy / "metrics.json"
    file.write_text(file.read_text().replace("shard assays.h5", "shard tiny.h5"))
    request = LeaderboardRequest((reports[0], copy), tmp_path / "b", draws=0)
    names = [board.data for board in make_leaderboard(request)]
    assert names == ["tiny (of-ahead)", "tiny (copy)"]


def test_a_leaderboard_of_the_first_version_is_still_shown(
    reports: tuple[Path, Path], board: Board, tmp_path: Path
) -> None:
    data = json.loads((reports[0].parent / "board" / "leaderboard.json").read_text())
    (only,) = data.pop("datasets")
    for key in ("data", "reference", "leads", "headline"):
        del only[key]
    for row in only["rows"]:
        row["leader_less_this"] = row.pop("reference_less_this")
    text = json.dumps(data | only | {"format_version": 1})
    (tmp_path / "leaderboard.json").write_text(text)
    (old,), (new,) = (inspect(f).tables for f in (tmp_path, reports[0].parent / "board"))
    assert old.rows == new.rows
    assert old.columns == new.columns


def test_the_headline_names_entrants_without_a_significant_difference(board: Board) -> None:
    clear = replace(board, rows=(board.rows[0], board.rows[-1]))
    text = "It is better than every other entrant; the closest is behind: +"
    assert text in headline(clear)
    assert f"{board.rows[0].name} leads with AUROC 0." in headline(board)
    assert "half is better on the variants that both score" in headline(board)
    as_good = replace(board.rows[-1], behind=Interval(0.01, -0.01, 0.03))
    level = replace(board, rows=(board.rows[0], as_good))
    assert "no significant difference from behind." in headline(level)
    assert "; the best possible is 0." in headline(replace(board, rows=board.rows[:1]))


def test_the_figures_on_top_are_paired_leads(board: Board) -> None:
    leader, second = board.rows[:2]
    metric, lead, *others = cards([board])
    value, _, ends = leader.metrics["auroc"].text().partition(" ")
    assert metric == ("AUROC", value, f"{leader.name} {ends}")
    assert lead.title == "Lead over the next"
    assert lead.value == f"{second.behind.value:+.3f}"
    assert lead.note.startswith(f"{second.name}: better [")
    assert others[-1].title == "Ceiling"
    as_model = replace(leader, kind="model")
    rest = [replace(row, kind="baseline") for row in board.rows[2:]]
    alone = replace(board, rows=(as_model, second, *rest), ceiling={})
    lead = cards([alone])[2]
    assert lead.title == "Lead over the best baseline"
    assert lead.note.startswith(f"{rest[0].name}: no significant difference [")
    # The next is the best of them: it is said once.
    assert len(cards([replace(alone, rows=(as_model, *rest))])) == 2
    assert len(cards([replace(alone, rows=(as_model,))])) == 1
    as_baseline = replace(alone, rows=(replace(leader, kind="baseline"), second, as_model))
    assert cards([as_baseline])[2].title == "Lead over the best model"


PROBE = """
<script>
addEventListener("load", () => {
  const room = document.querySelector("main").clientWidth;
  const found = {
    cut: [...document.querySelectorAll(".wide")].filter(w => w.scrollWidth > room + 1).length,
    cards: new Set([...document.querySelectorAll(".cards li")].map(c => c.offsetTop)).size,
    contents: document.querySelector("nav").offsetHeight,
    paper: getComputedStyle(document.body).backgroundColor,
  };
  document.body.dataset.found = JSON.stringify(found);
});
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
@pytest.mark.parametrize("name", ["of-behind/report.html", "board/leaderboard.html"])
def test_on_paper_nothing_is_cut(
    board: Board, reports: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    """The print style is tested on a screen as wide as A4 without its margins."""
    text = (reports[0].parent / name).read_text()
    text = text.replace("@media print", "@media all").replace("@media screen", "@media speech")
    text = text.replace("</body>", f"<style>body {{ width: 186mm }}</style>{PROBE}</body>")
    (tmp_path / "page.html").write_text(text)
    ended = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000"),
            *("--blink-settings=preferredColorScheme=0", f"file://{tmp_path / 'page.html'}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = re.search(r'data-found="([^"]*)"', ended.stdout)
    assert told, ended.stderr
    found = json.loads(told[1].replace("&quot;", '"'))
    assert found == {"cut": 0, "cards": 1, "contents": 0, "paper": "rgb(255, 255, 255)"}


def other_label(text: str) -> str:
    lines = text.splitlines()
    fields = lines[-1].split("\t")
    fields[5] = "1" if fields[5].startswith("0") else "0"
    return "\n".join([*lines[:-1], "\t".join(fields)]) + "\n"


BAD: dict[str, tuple[str, Callable[[str], str], type[GenomixError], str]] = {
    "other labels": (
        "predictions.tsv",
        other_label,
        CheckError,
        "copy: has other labels than of-ahead",
    ),
    "fewer variants": (
        "predictions.tsv",
        lambda text: text.rsplit("\n", 2)[0] + "\n",
        CheckError,
        "copy: has other variants than of-ahead",
    ),
    "another contig": (
        "predictions.tsv",
        lambda text: text.replace("chr4", "chr5"),
        CheckError,
        r"copy: has other variants than of-ahead \(expected chr4 \d+ .*found chr5",
    ),
    "another metric": (
        "metrics.json",
        lambda text: text.replace('"main_metric": "auroc"', '"main_metric": "auprc"').replace(
            '"auroc"', '"auprc"'
        ),
        CheckError,
        "copy: was evaluated by a different metric",
    ),
    "scores of another run": (
        "metrics.json",
        lambda text: text.replace('"value": 0.', '"value": 0.1'),
        DataError,
        "predictions.tsv and metrics.json disagree on behind",
    ),
    "no format": (
        "metrics.json",
        lambda text: text.replace("genomix-evaluation", "other"),
        DataError,
        "copy: is not an evaluation of models on a shard",
    ),
    "damaged": ("metrics.json", lambda text: text[:-30], DataError, "metrics.json: "),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_joined_is_one_line(
    reports: tuple[Path, Path], changed: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    file, change, error, message = BAD[name]
    copy = changed(file, change)
    with pytest.raises(error, match=message):
        make_leaderboard(LeaderboardRequest((reports[0], copy), tmp_path / "board", draws=0))
    assert not (tmp_path / "board").exists()


def test_an_evaluation_is_known_by_its_metrics(reports: tuple[Path, Path], tmp_path: Path) -> None:
    assert is_evaluation(reports[0])
    assert not is_evaluation(reports[0].parent)
    with pytest.raises(UsageError, match="the same evaluation is given twice"):
        make_leaderboard(LeaderboardRequest((reports[0], reports[0]), tmp_path / "b"))


def test_inspect_knows_both(reports: tuple[Path, Path], board: Board) -> None:
    folder = reports[0].parent / "board"
    of_one, of_all = inspect(reports[0]), inspect(folder)
    assert (of_one.kind, of_all.kind) == ("evaluation", "leaderboard")
    for report in (of_one, of_all):
        assert report.facts["variants"] == board.variants
        assert report.facts["command"]
    (table,) = of_all.tables
    leader, second = board.rows[0], board.rows[1]
    assert table.columns[2:6] == (board.main, "low", "high", "leader minus this")
    assert [row[0] for row in table.rows] == [row.name for row in board.rows]
    assert table.rows[0][:5] == (leader.name, leader.n, *leader.metrics[board.main])
    assert table.rows[1][5:] == tuple(second.behind)
    assert of_one.tables[0].rows[0][0] == "ahead"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"headline"', '"line"', "headline"),
        ('"genomix-evaluation"', '"other"', "is not an evaluation"),
    ],
)
def test_inspect_of_a_damaged_one(
    changed: Callable[..., Path], old: str, new: str, problem: str
) -> None:
    folder = changed("metrics.json", lambda text: text.replace(old, new))
    with pytest.raises(DataError, match=problem) as raised:
        inspect(folder)
    assert "metrics.json" in str(raised.value)
