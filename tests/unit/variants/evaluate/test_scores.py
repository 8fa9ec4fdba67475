"""Scores meet labels: what is joined, what is counted, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from genomix_cli.errors import CheckError, DataError, UsageError
from genomix_cli.provenance import facts_of
from genomix_cli.variants.evaluate.alleles import AlleleTable, read_alleles
from genomix_cli.variants.evaluate.scores import (
    Evaluation,
    evaluate_alleles,
    evaluate_scores,
    write_json,
    write_tsv,
)
from genomix_cli.variants.records.labels import read_labels
from genomix_cli.variants.requests.evaluate import EvaluateRequest

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def _vcf(path: Path, *records: str) -> Path:
    """Records as ``chr1 10 A G LABEL=1;GENOMIX_P=0.9``."""
    lines = []
    for record in records:
        contig, pos, ref, alt, info = record.split()
        lines.append(f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t{info}\n")
    path.write_text(HEADER + "".join(lines))
    return path


def _evaluate(path: Path, **settings: Any) -> Evaluation:
    return evaluate_scores(EvaluateRequest(path, **{"draws": 0, **settings}))


def _values(evaluation: Evaluation) -> dict[str, float]:
    return {m.name: m.score.value for m in evaluation.metrics}


def _table(n: int = 400, n_contigs: int = 8, seed: int = 0) -> AlleleTable:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    label = (rng.random(n) < p).astype(float)
    return AlleleTable(
        contig=np.array([f"chr{1 + i * n_contigs // n}" for i in range(n)]),
        pos=rng.integers(0, 400_000, n),
        label=label,
        score=np.clip(p + 0.2 * rng.normal(size=n), 0, 1),
        probability=p,
    )


def test_metrics_are_those_of_scikit_learn():
    table = _table()
    values = _values(evaluate_alleles(table, draws=0, seed=0))
    assert values["auroc"] == pytest.approx(roc_auc_score(table.label, table.score))
    assert values["auprc"] == pytest.approx(average_precision_score(table.label, table.score))
    assert values["brier"] == pytest.approx(brier_score_loss(table.label, table.score))


def test_ranking_is_within_loci():
    """A score that depends only on the locus ranks at chance, whatever its AUROC."""
    rng = np.random.default_rng(0)
    pos = rng.integers(0, 5_000_000, 4000)
    rate = rng.random(100)[pos // 50_000]
    label = (rng.random(4000) < rate).astype(float)
    table = AlleleTable(np.array(["chr1"] * 4000), pos, label, rate)
    values = _values(evaluate_alleles(table, draws=0, seed=0))
    assert values["auroc"] > 0.75
    assert values["ranking_accuracy"] == pytest.approx(0.5)


def test_the_ceiling_is_the_same_metric_of_the_true_probabilities():
    table = _table()
    evaluation = evaluate_alleles(table, draws=50, seed=0)
    auroc = evaluation.metrics[0]
    assert auroc.ceiling is not None
    assert auroc.ceiling.value == pytest.approx(roc_auc_score(table.label, table.probability))
    assert auroc.ceiling.low < auroc.ceiling.value < auroc.ceiling.high


def test_intervals_name_their_units_and_repeat_with_the_seed():
    one, two = (evaluate_alleles(_table(), draws=50, seed=3) for _ in range(2))
    assert one == two
    assert (one.units, one.n_units) == ("contigs", 8)
    assert one != evaluate_alleles(_table(), draws=50, seed=4)
    few = evaluate_alleles(_table(n_contigs=2), draws=50, seed=3)
    assert (few.units, few.n_units) == ("loci of 100 kb", 8)


def test_few_units_are_said(caplog):
    evaluate_alleles(_table(), draws=10, seed=0)
    assert "only 8 contigs" in caplog.text


def test_scores_that_are_no_probabilities_are_not_calibrated(caplog):
    table = _table()
    evaluation = evaluate_alleles(table._replace(score=10 * table.score), draws=0, seed=0)
    assert set(_values(evaluation)) == {"auroc", "auprc", "ranking_accuracy"}
    assert "not probabilities" in caplog.text


def test_one_value_per_alternate_allele(tmp_path):
    path = _vcf(
        tmp_path / "a.vcf",
        "chr1 10 A G,T LABEL=1,0;GENOMIX_P=0.9,0.2",
        "chr1 20 C G LABEL=0;GENOMIX_P=0.4",
        "chr1 30 C G LABEL=.;GENOMIX_P=0.4",
        "chr1 40 C <DEL>,G LABEL=1,1;GENOMIX_P=.,0.3",
        "chr1 50 C . DP=1",
    )
    table = read_alleles(EvaluateRequest(path))
    np.testing.assert_array_equal(table.label, [1, 0, 0, np.nan, 1, 1, np.nan])
    np.testing.assert_array_equal(table.score, [0.9, 0.2, 0.4, 0.4, np.nan, 0.3, np.nan])
    evaluation = _evaluate(path)
    assert evaluation.counts._asdict() == {
        "alleles": 7,
        "unlabelled": 2,
        "unscored": 1,
        "not_in_other": 0,
        "used": 4,
        "positives": 2,
        "seen_in_training": 0,
    }
    assert evaluation.prevalence == 0.5


PAIR = ("chr1 10 A G LABEL=1;GENOMIX_P=0.9", "chr2 10 A G LABEL=0;GENOMIX_P=0.1")


def test_contigs_can_be_chosen_under_either_name(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *PAIR, "chr2 20 A G LABEL=1;GENOMIX_P=0.5")
    assert _evaluate(path, contigs=("2",)).counts.used == 2
    with pytest.raises(UsageError, match="no record on chr7"):
        _evaluate(path, contigs=("chr7",))


def test_labels_from_a_table(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *PAIR, "chr3 10 a g GENOMIX_P=0.5")
    labels = tmp_path / "labels.tsv"
    labels.write_text(
        "## a comment\nlabel\t#CHROM\tPOS\tREF\tALT\tnote\n"
        "0\t1\t10\tA\tG\tx\n1\t2\t10\tA\tG\ty\nNA\tchr3\t10\tA\tG\tz\n"
    )
    evaluation = _evaluate(path, labels=labels)
    assert _values(evaluation)["auroc"] == 0
    assert (evaluation.counts.used, evaluation.counts.unlabelled) == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contig\tpos\tref\tlabel\n", r"lacks the column alt .*contig<TAB>pos"),
        ("", "is empty"),
        ("contig\tpos\tref\talt\tlabel\n1\t5\tA\tG\t\t1\n1\t6\tA\tG\t1\n", r"t.tsv:2: the row has"),
        ("contig\tpos\tref\talt\teffect\n1\t5\tA\tG\tinf\n", r"t.tsv:2: the label is infinite"),
        ("contig\tpos\tref\talt\tlabel\nNA\t5\tA\tG\t1\n", r"t.tsv:2: the row has no allele"),
        (
            "contig\tpos\tref\talt\tlabel\n1\t5\tA\tG\n",
            r"t.tsv:2: the row has another number of columns",
        ),
        ("contig\tpos\tref\talt\tlabel\n1\t-5\tA\tG\t1\n", r"t.tsv:2: pos is not a position"),
        ("contig\tpos\tref\talt\tlabel\n1\t5\tA\tG\tyes\n", r"t.tsv:2: label is not a number"),
        (
            "contig\tpos\tref\talt\tlabel\n1\t5\tA\tG\t1\nchr1\t5\ta\tg\t0\n",
            "t.tsv:3: two labels for 1:5:A:G",
        ),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_labels(path)


QUANTITIES = ("chr1 10 A G LABEL=0.7;GENOMIX_P=0.9", "chr1 20 A G LABEL=-1;GENOMIX_P=0.1")


def test_quantities_are_classes_above_a_threshold(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *QUANTITIES)
    assert _values(_evaluate(path, threshold=0.5))["auroc"] == 1
    with pytest.raises(DataError, match=r"are quantities.*found 0.7.*--probability-info"):
        _evaluate(path, probability_info="PROB")


DA_HEADER = '##INFO=<ID=GENOMIX_DA,Number=A,Type=Float,Description="change">\n'


def _changes(path: Path) -> Any:
    """A file of changes that follow measured effects in size, and half of them in sign."""
    rng = np.random.default_rng(0)
    effect = rng.normal(size=200)
    change = effect * np.where(np.arange(200) < 150, 1, -1) + 0.3 * rng.normal(size=200)
    records = (
        f"chr{1 + i // 40} {1000 * i + 1} A G LABEL={effect[i]};GENOMIX_DA={change[i]}"
        for i in range(200)
    )
    text = _vcf(path, *records).read_text()
    path.write_text(text.replace("#CHROM", f"{DA_HEADER}#CHROM"))
    return effect, change


def test_quantities_are_correlated_with_and_without_their_sign(tmp_path):
    effect, change = _changes(tmp_path / "a.vcf")
    evaluation = _evaluate(tmp_path / "a.vcf", draws=20)
    size = np.abs(effect), np.abs(change)
    assert _values(evaluation) == pytest.approx(
        {
            "pearson": pearsonr(effect, change).statistic,
            "spearman": spearmanr(effect, change).statistic,
            "pearson_magnitude": pearsonr(*size).statistic,
            "spearman_magnitude": spearmanr(*size).statistic,
        }
    )
    assert evaluation.prevalence is None
    assert evaluation.metrics[0].score.low < evaluation.metrics[0].score.value


def test_a_probability_has_no_sign_to_drop(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *QUANTITIES, "chr1 30 A G LABEL=-2;GENOMIX_P=0.8")
    values = _values(_evaluate(path))
    assert values["pearson"] == pytest.approx(np.corrcoef([0.7, -1, -2], [0.9, 0.1, 0.8])[0, 1])
    size = np.corrcoef([0.7, 1, 2], [0.9, 0.1, 0.8])[0, 1]
    assert values["pearson_magnitude"] == pytest.approx(size)


def test_classes_are_ranked_by_the_magnitude_of_changes(tmp_path):
    effect, change = _changes(tmp_path / "a.vcf")
    values = _values(_evaluate(tmp_path / "a.vcf", threshold=0.0))
    assert values["auroc"] == pytest.approx(roc_auc_score(effect > 0, np.abs(change)))


@pytest.mark.parametrize("key", ["GENOMIX_DA", "GENOMIX_DA_HepG2", "GENOMIX_Q_HepG2"])
def test_changes_and_ranks_in_0_to_1_are_not_calibrated(tmp_path, key):
    """A change of 0.9 standard deviations is not a probability of 0.9."""
    path = _vcf(tmp_path / "a.vcf", *(record.replace("GENOMIX_P", key) for record in PAIR))
    assert set(_values(_evaluate(path, score_info=key))) == {"auroc", "auprc", "ranking_accuracy"}
    versus = _vcf(tmp_path / "b.vcf", *(r.replace("GENOMIX_P", "CADD") for r in PAIR))
    assert "brier" in _values(_evaluate(versus, score_info="CADD"))


def test_large_negative_effects_below_a_threshold_are_said(tmp_path, caplog):
    path = _vcf(tmp_path / "a.vcf", *QUANTITIES, "chr1 30 A G LABEL=-2;GENOMIX_P=0.8")
    _evaluate(path, threshold=0.5)
    assert "--threshold 0.5: 2 quantities below -0.5 count as negatives" in caplog.text
    caplog.clear()
    _evaluate(path, threshold=-1.5)
    assert "count as negatives" not in caplog.text


def test_a_table_of_other_alleles_is_named_as_the_cause(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *PAIR)
    shifted = "contig\tpos\tref\talt\tlabel\nchr1\t9\tA\tG\t1\n"
    (tmp_path / "labels.tsv").write_text(shifted)
    with pytest.raises(DataError, match=r"label for none of the 2 alleles of .*a.vcf.*1-based pos"):
        _evaluate(path, labels=tmp_path / "labels.tsv")


def test_logits_rank_by_their_value(tmp_path):
    """Negative logits mean unlikely effects, not large ones."""
    records = (f"chr1 {10 + i} A G LABEL={i % 2};GENOMIX_LOGIT={3 * (i % 2) - 4}" for i in range(6))
    path = _vcf(tmp_path / "a.vcf", *records)
    assert _values(_evaluate(path, score_info="GENOMIX_LOGIT"))["auroc"] == 1


def test_another_file_may_hold_unsigned_scores(tmp_path):
    """The magnitude of each score is defined by its own kind."""
    effect, change = _changes(tmp_path / "a.vcf")
    lines = (tmp_path / "a.vcf").read_text().replace(DA_HEADER, "").replace("_DA=", "_P=")
    (tmp_path / "b.vcf").write_text(lines)
    found = _evaluate(tmp_path / "a.vcf", versus=tmp_path / "b.vcf").metrics[2]
    assert found.other is not None
    assert found.other.value == pytest.approx(np.corrcoef(np.abs(effect), change)[0, 1])
    assert found.score.value == pytest.approx(np.corrcoef(np.abs(effect), np.abs(change))[0, 1])


def test_effects_of_a_table_are_quantities(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *QUANTITIES)
    table = "contig\tpos\tref\talt\teffect\nchr1\t10\tA\tG\t-0.5\nchr1\t20\tA\tG\t2\n"
    (tmp_path / "labels.tsv").write_text(table)
    values = _values(_evaluate(path, labels=tmp_path / "labels.tsv"))
    assert values["pearson"] == pytest.approx(-1)


def test_equal_quantities_are_refused(tmp_path):
    path = _vcf(tmp_path / "a.vcf", "chr1 10 A G LABEL=0.7;GENOMIX_P=0.9")
    with pytest.raises(DataError, match=r"different labels.*1 of 1 alleles"):
        _evaluate(path)


@pytest.mark.parametrize(
    ("records", "settings", "message"),
    [
        (("chr1 10 A G LABEL=1",), {}, "no allele carries GENOMIX_P.*genomix score"),
        (("chr1 10 A G GENOMIX_P=0.1",), {}, "no allele has a label.*--label-info"),
        (("chr1 10 A G LABEL=ns;GENOMIX_P=0.1",), {}, r"a.vcf:3: LABEL is not a number"),
        (("chr1 10 A G,T LABEL=1;GENOMIX_P=0.1,0.2",), {}, "which ALT.*2 values.*bcftools norm"),
        (("chr1 10 A G LABEL=1;GENOMIX_P=0.1",), {}, "both labels.*1 positives and 0 negatives"),
        (PAIR, {"probability_info": "PROB"}, "2 of 2 labelled alleles lack"),
        ((), {}, "no allele carries GENOMIX_P"),
    ],
)
def test_nothing_to_evaluate(tmp_path, records, settings, message):
    path = _vcf(tmp_path / "a.vcf", *records)
    with pytest.raises(DataError, match=message):
        _evaluate(path, **settings)


def test_logits_are_evaluated_where_there_are_no_probabilities(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *(r.replace("_P=", "_P=.;GENOMIX_LOGIT=3") for r in PAIR))
    declared = '##INFO=<ID=GENOMIX_LOGIT,Number=A,Type=Float,Description="Log-odds">\n#CHROM'
    path.write_text(path.read_text().replace("#CHROM", declared))
    values = _values(_evaluate(path))
    assert values["auroc"] == 1
    assert "brier" not in values


def test_two_files_are_compared_on_the_alleles_of_both(tmp_path):
    one = _vcf(tmp_path / "a.vcf", *PAIR, "chr1 30 A G LABEL=1;GENOMIX_P=0.05")
    two = _vcf(tmp_path / "b.vcf", "2 10 A G GENOMIX_P=0.6", "1 10 a g GENOMIX_P=0.5")
    evaluation = _evaluate(one, versus=two)
    auroc = evaluation.metrics[0]
    assert auroc.other is not None
    assert auroc.difference is not None
    assert (auroc.score.value, auroc.other.value, auroc.difference.value) == (1, 0, 1)
    assert (evaluation.counts.used, evaluation.counts.not_in_other) == (2, 1)
    with pytest.raises(DataError, match=r"b.vcf: no allele carries GENOMIX_P"):
        _evaluate(one, versus=_vcf(tmp_path / "b.vcf", "chr1 10 A G LABEL=1"))


def test_a_table_and_json_are_written(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *PAIR)
    request = EvaluateRequest(path, draws=0)
    evaluation = evaluate_scores(request)
    write_tsv(evaluation, tmp_path / "m.tsv")
    made, *lines = (tmp_path / "m.tsv").read_text().partition("metric\t")[::2]
    lines = ("metric\t" + lines[0]).splitlines()
    assert facts_of(made.splitlines())["Input"][0].startswith("scored a.vcf sha256:")
    assert lines[0].split("\t")[:4] == ["metric", "score_value", "score_low", "score_high"]
    assert lines[1].split("\t")[:4] == ["auroc", "1", "", ""]
    assert {len(line.split("\t")) for line in lines} == {13}
    write_json(evaluation, tmp_path / "m.json")
    report = json.loads((tmp_path / "m.json").read_text())
    assert report["metrics"]["auroc"]["score"] == {"value": 1.0, "low": None, "high": None}
    assert report["counts"]["used"] == 2
    assert list(report["provenance"]["inputs"]) == ["scored a.vcf"]
    with pytest.raises(UsageError, match="already exists"):
        write_tsv(evaluation, tmp_path / "m.tsv")


def test_the_scores_model_and_warnings_are_the_results(tmp_path):
    path = _vcf(tmp_path / "a.vcf", *PAIR)
    said = "##genomixModel=m sha256:12\n##genomixWarning=mind the gap\n"
    first, rest = path.read_text().split("\n", 1)
    path.write_text(f"{first}\n{said}{rest}")
    made = evaluate_scores(EvaluateRequest(path, draws=0)).provenance
    assert (made.model, made.warnings) == ("m sha256:12", ("mind the gap",))
    other = evaluate_scores(EvaluateRequest(path, draws=0, score_info="LABEL")).provenance
    assert (other.model, other.warnings) == ("", ())


def test_alleles_that_the_model_learned_from_are_no_result(tmp_path):
    seen = "chr1 40 A G,T LABEL=1,0;GENOMIX_P=0.9,0.2;GENOMIX_SEEN=train,."
    path = _vcf(tmp_path / "a.vcf", *PAIR, seen)
    with pytest.raises(CheckError, match="learned from 1 of the 4 alleles"):
        _evaluate(path)
    found = _evaluate(path, seen="leave-out")
    counts = found.counts
    assert (counts.alleles, counts.used, counts.seen_in_training) == (4, 3, 1)
    assert "are left out" in found.provenance.warnings[0]
    found = _evaluate(path, seen="include")
    assert found.counts.used == 4
    assert found.provenance.warnings[0].startswith("training accuracy: ")
    # Scores of another model are judged on all.
    assert _evaluate(path, score_info="LABEL").counts.used == 4
    other = _vcf(tmp_path / "b.vcf", PAIR[0], "chr1 40 A G LABEL=0;GENOMIX_P=0.3")
    with pytest.raises(CheckError, match=r"a.vcf: the model learned from 1 of the 2 alleles"):
        _evaluate(other, versus=path)
    with pytest.raises(DataError, match="does not say which ALT"):
        _evaluate(_vcf(tmp_path / "c.vcf", *PAIR, seen.replace("train,.", "train")))
