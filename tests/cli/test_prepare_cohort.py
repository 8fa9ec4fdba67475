"""``genomix prepare cohort`` as a user runs it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from genomix_cli.formats.cohort import open_cohort
from tests.conftest import Ended, Fast

Here = Callable[..., Ended]

RNA = "gene\ts1\ts2\ts3\nTP53\t1.5\t2\tNA\nKRAS\t3\t-1\t0\n"
METH = "sample,cg1,cg2,cg3\ns3,0.1,NA,1\ns1,0.2,0.3,0.4\ns9,0,0,0\n"
CLINICAL = "sample,cls,plate,donor,age\ns1,a,p1,d1,50\ns2,b,p1,d1,NA\ns3,a,p2,d2,61\ns7,b,p2,d3,4\n"
MAF = "Hugo_Symbol,Tumor_Sample_Barcode\nTP53,s1\nKRAS,s3\n"
SEG = "ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean\ns2\t8\t1\t1000000\t9\t0.5\n"
A, B, C = "TCGA-A1-A0SB", "TCGA-B6-A0I1", "TCGA-C8-A12L"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        **{"rna.tsv": RNA, "meth.csv": METH, "clinical.csv": CLINICAL},
        **{"calls.maf": MAF, "cna.seg": SEG},
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def prepare(here: Here, *arguments: object) -> Ended:
    return here("prepare", "cohort", *arguments, "-o", "a.h5mu")


def refused(here: Here, *arguments: object, code: int = 1) -> str:
    """The one line that a run ends with, nothing having been written."""
    before = sorted(Path().iterdir())
    ended = prepare(here, *arguments)
    lines = [line for line in ended.err.splitlines() if not line.startswith("[genomix]")]
    assert (ended.code, len(lines), ended.out) == (code, 1, ""), ended.err
    assert lines[0].startswith("genomix: error: ")
    assert sorted(Path().iterdir()) == before
    return lines[0].removeprefix("genomix: error: ")


ROLES = ["--clinical", "clinical.csv", "--label", "cls", "--batch", "plate", "--patient", "donor"]


def test_tables_of_four_sorts(folder: Path, genomix_here: Here) -> None:
    four = ["-m", "rna=rna.tsv", "-m", "methylation=meth.csv", "-m", "mut=calls.maf"]
    options = [*four, "-m", "cna=cna.seg", "--kind", "rna=expression", *ROLES]
    ended = prepare(genomix_here, *options, "--stats", "a.json")
    assert (ended.code, ended.out) == (0, "")
    with open_cohort(Path("a.h5mu")) as cohort:
        assert cohort.modalities == ("rna", "methylation", "mut", "cna")
        # The order of the clinical table, then whoever is not in it.
        assert list(cohort.obs.index) == ["s1", "s2", "s3", "s9"]
        assert cohort.classes == ("a", "b")
        assert cohort.labels.tolist() == [0, 1, 0, -1]
        assert list(cohort.obs.columns) == [
            *("label", "batch", "patient", "cls", "plate", "donor", "age")
        ]
        assert cohort.kinds["mut"].name == "mutations"
        assert cohort.kinds["cna"].name == "copy_number"
        nan = np.nan
        rna = np.array([[1.5, 3], [2, -1], [nan, 0], [nan, nan]], np.float32)
        assert np.array_equal(cohort.matrix("rna"), rna, equal_nan=True)
        assert cohort.present("methylation").tolist() == [True, False, True, True]
        third = np.array([0.1, np.nan, 1], np.float32)
        assert np.array_equal(cohort.matrix("methylation")[2], third, equal_nan=True)
        assert list(cohort.features("cna").loc["8p", ["contig", "start"]]) == ["chr8", 0]
        assert cohort.provenance["command"].startswith("genomix prepare cohort -m rna=rna.tsv")
        assert set(cohort.provenance["inputs"]) == {
            *("modality rna rna.tsv", "modality methylation meth.csv", "clinical clinical.csv"),
            *("modality mut calls.maf", "modality cna cna.seg"),
        }
    summary = json.loads(Path("a.json").read_text())
    assert summary["samples"] == 4
    assert summary["modalities"]["rna"]["missing"] == 1
    assert summary["labels"] == {"a": 2, "b": 1}
    assert (summary["unlabelled"], summary["without_clinical_row"]) == (1, 1)
    assert (summary["batches"], summary["patients"]) == (2, 2)
    assert summary["left_out"] == {"clinical row without a modality": 1}
    assert summary["examples"] == {"clinical row without a modality": ["s7"]}
    assert sum(row["samples"] for row in summary["overlap"]) == 4
    assert {"modalities": ["rna", "cna"], "samples": 1} in summary["overlap"]
    for line in ("rna (expression): 3 samples x 2 features, 1 values missing (16.7%)", "s7"):
        assert line in ended.err


def test_the_same_run_gives_the_same_bytes(folder: Path, genomix_here: Here) -> None:
    options = ["-m", "expression=rna.tsv", *ROLES, "--force"]
    assert prepare(genomix_here, *options).code == 0
    first = Path("a.h5mu").read_bytes()
    assert prepare(genomix_here, *options).code == 0
    assert Path("a.h5mu").read_bytes() == first
    assert str(folder).encode() not in first


def test_in_a_process_of_its_own(folder: Path, genomix_fast: Fast) -> None:
    with gzip.open("meth.csv.gz", "wt") as file:
        file.write(METH)
    options = ["-m", "methylation=meth.csv.gz", "--clinical", "clinical.csv", "-o", "a.h5mu"]
    process = genomix_fast("prepare", "cohort", *options, "-q")
    assert (process.stdout, process.stderr) == ("", "")
    process = genomix_fast("prepare", "cohort", *options, code=2)
    assert process.stderr == "genomix: error: a.h5mu: already exists; add --force to overwrite it\n"


def test_settings_of_a_file(folder: Path, genomix_here: Here, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("rna.tsv", "clinical.csv"):
        (tmp_path / name).rename(tmp_path / "data" / name)
    (tmp_path / "data" / "genomix.toml").write_text(
        '[prepare.cohort]\nmodality = ["expression=rna.tsv"]\nclinical = "clinical.csv"\n'
        'label = "cls"\n'
    )
    ended = prepare(genomix_here, "--config", "data/genomix.toml")
    assert ended.code == 0, ended.err
    with open_cohort(Path("a.h5mu")) as cohort:
        assert cohort.labels.tolist() == [0, 1, 0]


def test_tcga_barcodes(folder: Path, genomix_here: Here) -> None:
    samples = [f"{A}-01A-11R", f"{A}-11A-11R", f"{B}-06A-11R", f"{B}-01A-11R"]
    Path("rna.tsv").write_text("\t".join(["gene", *samples]) + "\nTP53\t1\t2\t3\t4\n")
    Path("meth.tsv").write_text(f"id\tcg1\n{A}-01B\t0.1\n{C}-01A\t0.2\n")
    Path("clinical.csv").write_text(f"patient,cls\n{B},x\n{A},y\n{C},x\n")
    options = ["-m", "expression=rna.tsv", "-m", "methylation=meth.tsv"]
    ended = prepare(genomix_here, *options, "--clinical", "clinical.csv", "--label", "cls")
    assert ended.code == 0, ended.err
    assert "matched by TCGA patient" in ended.err
    assert "normal sample of a patient with a tumour: 1" in ended.err
    with open_cohort(Path("a.h5mu")) as cohort:
        assert list(cohort.obs.index) == [B, A, C]
        assert cohort.obs["patient"].tolist() == [B, A, C]
        expected = np.array([4, 1, np.nan], np.float32)
        assert np.array_equal(cohort.matrix("expression")[:, 0], expected, equal_nan=True)
    # Without the clinic every table says which sample it is.
    assert prepare(genomix_here, *options, "--force").code == 0
    with open_cohort(Path("a.h5mu")) as cohort:
        assert list(cohort.obs.index) == [f"{A}-01", f"{A}-11", f"{B}-06", f"{B}-01", f"{C}-01"]
        assert cohort.obs["patient"].tolist() == [A, A, B, B, C]
    Path("a.h5mu").unlink()
    samples[1] = f"{A}-01B-11R"
    Path("rna.tsv").write_text("\t".join(["gene", *samples]) + "\nTP53\t1\t2\t3\t4\n")
    message = refused(genomix_here, *options)
    assert message.startswith(f"expression: {samples[0]} and {samples[1]} belong to the same")
    assert prepare(genomix_here, *options, "--duplicates", "first").code == 0


def test_its_own_output_and_that_of_others(folder: Path, genomix_here: Here) -> None:
    first = ["-m", "methylation=meth.csv", "--clinical", "clinical.csv"]
    assert genomix_here("prepare", "cohort", *first, "-o", "own.h5mu").code == 0
    with h5py.File("own.h5mu", "r+") as file:
        del file["uns/genomix"]
    ended = genomix_here("prepare", "cohort", "own.h5mu", "--label", "plate", "-o", "a.h5mu")
    assert ended.code == 0, ended.err
    with open_cohort(Path("a.h5mu")) as cohort:
        assert cohort.kinds["methylation"].name == "methylation"
        assert cohort.labels.tolist() == [0, 1, -1]
    options = ["own.h5mu", "-m", "expression=rna.tsv"]
    assert prepare(genomix_here, *options, "--force").code == 0
    with open_cohort(Path("a.h5mu")) as cohort:
        assert cohort.modalities == ("methylation", "expression")
        assert list(cohort.obs.index) == ["s1", "s3", "s9", "s2"]
    message = refused(genomix_here, "-m", "methylation=own.h5mu", "--force", code=2)
    assert "already names its modalities; give the file alone" in message


def study(folder: Path) -> Path:
    own = folder / "study"
    own.mkdir()
    (own / "data_mutations.txt").write_text("#Sequenced_Samples: s1 s2\n" + MAF.replace("s3", "s2"))
    (own / "data_mrna_seq_v2_rsem.txt").write_text(
        "Hugo_Symbol\tEntrez_Gene_Id\ts1\ts2\nTP53\t7157\t1023\t0\n"
    )
    (own / "data_cna.txt").write_text("Hugo_Symbol\tEntrez_Gene_Id\ts2\nTP53\t7157\t-2\n")
    (own / "data_clinical_sample.txt").write_text(
        "#a\tb\tc\nSAMPLE_ID\tPATIENT_ID\tCLS\ns1\tp1\tx\ns2\tp1\ty\n"
    )
    return own


def test_a_study(folder: Path, genomix_here: Here) -> None:
    options = ["--study", study(folder), "--label", "CLS"]
    ended = prepare(genomix_here, *options)
    assert ended.code == 0, ended.err
    assert "take logarithms with --log-transform expression" in ended.err
    with open_cohort(Path("a.h5mu")) as cohort:
        assert cohort.modalities == ("mutations", "copy_number_calls", "expression")
        assert cohort.obs["patient"].tolist() == ["p1", "p1"]
        assert cohort.matrix("mutations").tolist() == [[1, 0], [0, 1]]
        assert cohort.matrix("expression").tolist() == [[1023], [0]]
    options += ["--only", "expression", "--log-transform", "expression", "--force"]
    assert prepare(genomix_here, *options).code == 0
    with open_cohort(Path("a.h5mu")) as cohort:
        assert cohort.modalities == ("expression",)
        assert cohort.matrix("expression").tolist() == [[10], [0]]
        assert "study mutations data_mutations.txt" not in cohort.provenance["inputs"]


CLINIC = ["--clinical", "clinical.csv"]
WRONG: dict[str, tuple[list[str], int, str]] = {
    "nothing": ([], 2, "nothing to prepare; give -m NAME=FILE"),
    "no pair": (["-m", "rna.tsv"], 2, "--modality: not a modality (expected NAME=FILE"),
    "twice": (["-m", "a=rna.tsv", "-m", "a=rna.tsv"], 2, "--modality: a was given twice"),
    "no kind": (["-m", "rna=rna.tsv"], 2, "the modality rna needs a kind of values (expected"),
    "bad kind": (["-m", "rna=rna.tsv", "--kind", "rna=beta"], 2, "beta is not a kind of values"),
    "kind of nothing": (
        ["-m", "expression=rna.tsv", "--kind", "rna=other", *CLINIC],
        *(2, "--kind: there is no modality rna (found expression)"),
    ),
    "kind of a MAF": (
        ["-m", "mut=calls.maf", "--kind", "mut=expression"],
        *(2, "--kind mut: calls.maf holds calls (expected mutations, found expression)"),
    ),
    "no file": (["-m", "expression=none.tsv"], 2, "none.tsv: no such file"),
    "no clinic": (["-m", "expression=rna.tsv", "--clinical", "x.csv"], 2, "x.csv: no such file"),
    "label": (
        ["-m", "expression=rna.tsv", *CLINIC, "--label", "class"],
        *(2, "no column 'class' (--label) (found cls, plate, donor, age); did you mean 'cls'?"),
    ),
    "label without a table": (["-m", "expression=rna.tsv", "--label", "cls"], 2, "found none"),
    "drop": (
        ["-m", "expression=rna.tsv", *CLINIC, "--label", "cls", "--drop-label", "c"],
        *(2, "clinical.csv: no class of cls 'c' (--drop-label) (found a, b)"),
    ),
    "one class": (
        ["-m", "expression=rna.tsv", *CLINIC, "--label", "cls", "--drop-label", "b"],
        *(1, "the label cls has fewer than two classes among the samples (found a)"),
    ),
    "domain": (
        ["-m", "methylation=rna.tsv"],
        *(1, "rna.tsv:2, column s1: not a value of methylation (expected numbers from 0 to 1"),
    ),
    "strangers": (
        ["-m", "expression=rna.tsv", "-m", "mut=calls.maf", "--samples", "rows"],
        *(1, "expression shares no sample with the others"),
    ),
    "choice": (["-m", "expression=rna.tsv", "--ids", "tgca"], 2, "--ids: unknown (expected auto"),
    "not barcodes": (["-m", "expression=rna.tsv", "--ids", "tcga"], 1, "has no TCGA barcodes"),
    "bins": (["-m", "cna=cna.seg", "--bins", "x"], 2, "--bins: not a bin size"),
    "assembly": (["-m", "cna=cna.seg", "--assembly", "mm9"], 2, "unknown assembly"),
    "M-values": (
        ["-m", "expression=rna.tsv", "--m-to-beta", "expression"],
        *(2, "--m-to-beta: expression does not hold M-values"),
    ),
    "a table alone": (["rna.tsv"], 2, "rna.tsv: the table has no modality name"),
    "no study": (["--study", "study"], 2, "study: no such file"),
    "name": (["-m", "a+b=rna.tsv", "--kind", "a+b=other"], 2, "cannot be the name of a modality"),
    "no folder": (["-m", "expression=rna.tsv", "--stats", "none/a.json"], 2, "no such folder"),
    "no id column": (
        ["-m", "expression=rna.tsv", "--id-column", "probe"],
        *(2, "rna.tsv: no column 'probe' (--id-column)"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_line(folder: Path, genomix_here: Here, name: str) -> None:
    arguments, code, message = WRONG[name]
    assert message in refused(genomix_here, *arguments, code=code)


def test_two_inputs_of_one_name(folder: Path, genomix_here: Here) -> None:
    message = refused(genomix_here, "--study", study(folder), "-m", "mutations=calls.maf", code=2)
    assert message.startswith("the modality mutations comes from two inputs")
    message = refused(genomix_here, "--study", folder / "study", "--only", "methylation", code=2)
    assert message.startswith("--only: the study has no methylation (found mutations, ")


def test_tcga_brca(shared_data: Path, folder: Path, genomix_here: Here) -> None:
    own = shared_data / "tcga_brca_mogonet_features"
    omics = ["-m", f"mrna={own}/mrna.csv.gz", "-m", f"mirna={own}/mirna.csv.gz"]
    omics += ["-m", f"meth={own}/meth.csv.gz", "--m-to-beta", "meth"]
    kinds = ["mrna=expression", "mirna=expression", "meth=methylation_m"]
    options = [*omics, *(word for kind in kinds for word in ("--kind", kind))]
    clinic = ["--clinical", own / "labels_split.csv", "--label", "pam50_name"]
    ended = prepare(genomix_here, *options, *clinic)
    assert ended.code == 0, ended.err
    labels = pd.read_csv(own / "labels_split.csv", index_col=0)
    with open_cohort(Path("a.h5mu")) as cohort:
        assert list(cohort.obs.index) == list(labels.index)
        assert cohort.obs["label"].value_counts().to_dict() == {
            **{"LumA": 419, "LumB": 140, "Basal": 130, "HER2": 46, "Normal-like": 34}
        }
        assert cohort.obs["split"].value_counts().to_dict() == {"train": 554, "test": 215}
        assert cohort.obs["patient"].tolist() == list(labels.index)
        for name, d in (("mrna", 993), ("mirna", 503), ("meth", 1000)):
            frame = pd.read_csv(own / f"{name}.csv.gz", index_col=0).loc[labels.index]
            values = frame.to_numpy()
            values = 1 / (1 + 2**-values) if name == "meth" else values
            assert cohort.matrix(name).shape == (769, d)
            assert np.allclose(cohort.matrix(name), values, atol=1e-5)
            assert list(cohort.features(name).index) == list(frame.columns)
        assert cohort.kinds["meth"].name == "methylation"


def test_metabric(shared_data: Path, folder: Path, genomix_here: Here) -> None:
    own = shared_data / "metabric_partial"
    options = ["--study", own, "-m", f"copy_number={own}/cn_997x714.csv.gz"]
    label = ["--label", "CLAUDIN_SUBTYPE", "--drop-label", "NC"]
    ended = prepare(genomix_here, *options, *label, "--stats", "a.json")
    assert ended.code == 0, ended.err
    summary = json.loads(Path("a.json").read_text())
    assert summary["labels"] == {
        **{"Basal": 209, "Her2": 224, "LumA": 700, "LumB": 475, "Normal": 148, "claudin-low": 218}
    }
    assert summary["overlap"] == [
        {"modalities": ["mutations"], "samples": 1512},
        {"modalities": ["mutations", "copy_number"], "samples": 997},
    ]
    with open_cohort(Path("a.h5mu")) as cohort:
        assert cohort.matrix("mutations").shape == (2509, 173)
        assert cohort.matrix("copy_number").shape == (2509, 714)
        assert int((cohort.labels[cohort.present("copy_number")] >= 0).sum()) == 997
        both = np.hstack([cohort.matrix(name) for name in ("copy_number", "mutations")])
        here = cohort.present("copy_number")
        accuracy = five_fold_accuracy(both[here], cohort.labels[here])
    # The README that comes with the data gives .624 for these features and folds of its own.
    assert 0.59 < accuracy < 0.66
    label = ["--clinical", own / "intclust_997.csv", "--label", "intclust", "--force"]
    assert prepare(genomix_here, *options, *label).code == 0
    with open_cohort(Path("a.h5mu")) as cohort:
        assert cohort.classes == tuple(map(str, range(1, 11)))
        assert int((cohort.labels >= 0).sum()) == 997


def five_fold_accuracy(values: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(model, values, labels, cv=folds).mean())


RATIOS = "sample\tchr1:0-5000000\tchr1:5000000-10000000\ns1\t0.183\t-0.02\ns2\t0.21\t0.04\n"


def test_ratios_of_fragments_are_a_kind_of_their_own(folder: Path, genomix_here: Here) -> None:
    """Ratios as DELFI publishes them are not whole numbers, so they are not counts."""
    (folder / "ratios.tsv").write_text(RATIOS)
    options = ["-m", "delfi=ratios.tsv", "--clinical", "clinical.csv", "--label", "cls"]
    told = refused(genomix_here, *options, "--kind", "delfi=fragments")
    assert "ratios of short to long fragments are --kind NAME=fragment_ratios" in told
    ended = prepare(genomix_here, *options, "--kind", "delfi=fragment_ratios")
    assert ended.code == 0, ended.err
    with open_cohort(folder / "a.h5mu") as cohort:
        assert cohort.kinds["delfi"].name == "fragment_ratios"
        assert cohort.matrix("delfi")[0].tolist() == pytest.approx([0.183, -0.02])
        assert cohort.features("delfi")["start"].tolist() == [0, 5_000_000]
