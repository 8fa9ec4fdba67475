"""The report, the model card, and what MultiQC reads."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from genomix_cli.comparison.results import results
from genomix_cli.comparison.study import MeanAttention
from genomix_cli.report.card import card
from genomix_cli.report.curves import (
    GRID,
    precision_recall,
    reliability,
    roc,
)
from genomix_cli.report.figures import attention, clusters, short
from genomix_cli.report.multiqc import write_multiqc
from genomix_cli.report.study import cards, write_report
from tests.cohort_study import study

VOID = {"meta", "img", "br"}
BARE = {"attention": False, "curves": False, "shuffled": False, "seeds": 1}


class Page(HTMLParser):
    """Checks that tags close, and keeps the text, the tags, and rows of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def _page(tmp_path, given, command="genomix train cohort.h5mu") -> Page:
    path = write_report(given, results(given, draws=50), tmp_path / "report.html", command)
    return Page(path.read_text())


def test_the_page_needs_nothing_beside_it(tmp_path):
    page = _page(tmp_path, study(k=5))
    assert not [tag for tag, _ in page.seen if tag in ("script", "link", "iframe")]
    sources = [given["src"] for tag, given in page.seen if tag == "img"]
    assert len(sources) == 7
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    captions = [given["alt"] for tag, given in page.seen if tag == "img"]
    assert all(captions)
    assert any(
        "Attention" in caption and "does not measure importance" in caption for caption in captions
    )


def test_the_headline_comes_first_and_warnings_next(tmp_path):
    given = study(n=30, **BARE)
    found = results(given, draws=50)
    text = _page(tmp_path, given).text
    assert text.index(found.headline[:40]) < text.index("only 27 patients") < text.index("verdict")


def test_the_same_study_gives_the_same_bytes(tmp_path):
    given = study(n=100, k=2)
    for name in ("a", "b"):
        write_report(given, results(given, draws=50), tmp_path / name, "genomix train")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "fields",
    [
        {"k": 2},
        {"k": 10, "n": 30},
        {**BARE, "ceiling": False},
        {"mains": ()},
        {"baselines": ()},
        {**BARE, "folds": 1, "driver_auprc": {}, "importances": ()},
        {"mains": [f"main {i}" for i in range(12)], "baselines": [f"b {i}" for i in range(28)]},
    ],
    ids=["two", "ten", "bare", "no main", "no baseline", "one fold", "forty"],
)
def test_any_study_has_a_page_and_a_card(tmp_path, fields):
    given = study(**{"n": 120, **fields})
    page = _page(tmp_path, given)
    assert (tmp_path / "report.html").stat().st_size < 2e6
    for outcome in given.outcomes:
        assert outcome.name in page.text
    assert not re.search(r"\bnan\b", page.text)
    assert not re.search(r"\bnan\b", card(given, results(given, draws=50)))


def test_names_are_escaped(tmp_path):
    name = '<script>alert(1)</script> & "more"'
    given = study(k=2, classes=(name, "b | *c*"), mains=(name,), data=f"{name}.h5mu")
    page = _page(tmp_path, given, command=f"genomix train '{name}'")
    assert name in page.text
    assert not [tag for tag, _ in page.seen if tag == "script"]
    assert "b \\| \\*c\\*" in card(given, results(given, draws=50))


def test_a_leak_stands_on_top(tmp_path):
    given = study(n=600, baselines=(), **BARE)
    p = np.eye(3)[given.label] * 0.97 + 0.01
    knows = replace(given.outcomes[0], probability=p[None])
    page = _page(tmp_path, replace(given, outcomes=(knows,)))
    assert "a leak" in page.text[: page.text.index("trials per fold")]


def test_what_is_missing_has_no_section(tmp_path):
    given = study(ceiling=False, importances=(), **BARE)
    text = _page(tmp_path, given).text
    assert "Bayes" not in text
    links = text[: text.index("trials per fold")]
    for title in (
        "attention",
        "training",
        "clusters",
        "features",
        "shuffled labels",
        "best possible",
    ):
        assert title not in links.lower()


def test_settings_are_a_list_of_names_and_values(tmp_path):
    """Settings are shown as text instead of Python dicts, and empty settings are left out."""
    settings = {
        "contest": {
            "model": "svm",
            "arch": {"c": 0.5, "kernel": "rbf"},
            "vary": {},
            "control": True,
        },
        "rules": {"inner_folds": 3, "seeds": [0, 1]},
        "modalities": [],
        "hold_out": "split.tsv",
    }
    page = _page(tmp_path, study(k=2, settings=settings, **BARE))
    text = page.text[page.text.index("Settings") :]
    for said in ("model svm", "arch: c 0.5", "arch: kernel rbf", "control yes", "inner folds 3"):
        assert said in text, said
    assert "seeds 0, 1" in text
    assert not re.search(r"[{}'\[\]]|modalities|vary", text)


def test_cards_show_the_model_the_best_baseline_and_the_verdict(tmp_path):
    given = study(k=2, gain=0.9, n=500)
    found = results(given, draws=50)
    row = found.outcomes[0]
    title, rival, difference = cards(found)
    assert title == ("Accuracy", *_value(row.metrics["accuracy"].interval, row.name))
    assert rival.note.startswith(found.best)
    assert difference.value == f"{row.against_best.differences['accuracy'].value:+.3f}"
    assert difference.note.startswith("better [")
    text = _page(tmp_path, given).text
    assert (
        text.index(found.headline[:40]) < text.index(difference.note) < text.index("How to repeat")
    )


def _value(interval, name):
    value, ends = interval.text().split(" ", 1)
    return value, f"{name} {ends}"


def test_wide_tables_can_be_scrolled_by_keyboard(tmp_path):
    page = _page(tmp_path, study(k=2))
    wide = [given for tag, given in page.seen if tag == "div" and given.get("class") == "wide"]
    assert len(wide) == len([tag for tag, _ in page.seen if tag == "table"])
    assert all(given["tabindex"] == "0" and given["aria-label"] for given in wide)


def test_attention_is_drawn_with_its_intervals_and_nothing_where_no_sample_has_both():
    given = study(k=2)
    main, *rest = given.outcomes
    mean = np.full((3, 4, 4), 0.25, np.float32)
    mean[1, 0, 1] = np.nan
    cells = MeanAttention(mean, mean - np.float32(0.04), mean + np.float32(0.03))
    given = replace(given, outcomes=(replace(main, attention=cells), *rest))
    picture = attention(given, results(given, draws=50))
    texts = [[text.get_text() for text in ax.texts] for ax in picture.figure.axes]
    assert texts[0] == texts[2] == ["0.25\n0.21–0.28"] * 16
    assert texts[1].count("") == 1
    assert texts[1][1] == ""
    assert "over patients" in picture.caption
    assert "would be 0.25" in picture.caption


def test_clusters_are_drawn_by_class_beside_their_silhouettes(tmp_path):
    given = study(k=3)
    found = results(given, draws=50)
    picture = clusters(given, found)
    left, right = picture.figure.axes
    for ax in (left, right):
        drawn = [len(marks.get_offsets()) for marks in ax.collections]
        assert drawn == np.bincount(given.label[given.encoded.rows]).tolist()
    whole, *_ = found.silhouettes
    assert whole.features.text(2) in left.get_title("left")
    assert whole.vectors.text(2) in right.get_title("left")
    assert whole.gain.low > 0
    assert whole.gain.text(3, sign=True) in _page(tmp_path, given).text
    assert clusters(replace(given, encoded=None), found) is None


def test_short_names_keep_both_ends():
    assert short("expression") == "expression"
    found = short("cross-modal-subtype K=300, expression + mutations", 24)
    assert len(found) <= 24
    assert found.startswith("cross-modal")
    assert found.endswith("mutations")


def test_curves_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    own = rng.random(3000) < 0.3
    score = (rng.normal(0, 1, 3000) + own).round(2)
    x, y, _ = roc_curve(own, score, drop_intermediate=False)
    line = roc(own, score)
    # Between the ends of the vertical steps of the oracle, which has several points there.
    assert line.y[1:] == pytest.approx(
        [max(np.interp(g, x, y), y[x <= g].max()) for g in GRID], abs=0.01
    )
    precision, recall, _ = precision_recall_curve(own, score)
    expected = [precision[np.flatnonzero(recall >= g - 1e-12)[-1]] for g in GRID[1:]]
    assert precision_recall(own, score).y[1:] == pytest.approx(expected, abs=1e-12)


def test_reliability_bins_hold_equally_many():
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), 5000)
    label = (rng.random((5000, 1)) > p.cumsum(1)).sum(1).clip(0, 2)
    found = reliability(p.argmax(1) == label, p.max(1))
    assert len(found.probability) == 15
    assert found.frequency == pytest.approx(found.probability, abs=0.08)
    assert (found.low < found.frequency).all()
    assert (found.frequency < found.high).all()


def test_multiqc_gets_a_row_per_model(tmp_path):
    given = study(seeds=1, n=60)
    files = write_multiqc(results(given, draws=20), tmp_path, "run 1")
    content = {path.name: json.loads(path.read_text()) for path in files}
    assert all(name.endswith("_mqc.json") for name in content)
    models = content["genomix_mqc.json"]
    assert models["plot_type"] == "table"
    assert [*models["data"]] == ["run 1: omics-transformer", "run 1: logistic", "run 1: svm"]
    for row in models["data"].values():
        assert set(row) <= set(models["headers"])
    bars = content["genomix_right_mqc.json"]["data"]["run 1: svm"]
    assert bars["right"] + bars["wrong"] == 54
    assert len({c["id"] for c in content.values()}) == 2


def test_the_card_says_what_was_not_shown():
    given = study(n=300, gain=0.0)
    text = card(given, results(given, draws=100))
    assert "was not shown to be better" in text
    assert "genomix score" in text
    for name in given.classes:
        assert name in text
