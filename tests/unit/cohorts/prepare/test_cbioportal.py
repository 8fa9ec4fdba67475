"""Study folders of cBioPortal, and calls as a matrix."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.cohorts.prepare.cbioportal import (
    Study,
    find_study,
    study_clinical,
    study_coverage,
)
from genomix_cli.cohorts.prepare.mutations import Coverage, read_mutations, whole_exomes
from genomix_cli.errors import DataError, UsageError

MAF = "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\tMutation_Status\n"
CALLS = [
    ("TP53", "Missense_Mutation", "s1", "SOMATIC"),
    ("TP53", "Nonsense_Mutation", "s1", ""),
    ("KRAS", "Silent", "s1", "SOMATIC"),
    ("KRAS", "Missense_Mutation", "s2", "SOMATIC"),
    ("MYC", "Missense_Mutation", "s2", "SOMATIC"),  # not on s2's panel
    ("TP53", "Missense_Mutation", "s9", "SOMATIC"),  # not sequenced
    ("TP53", "Missense_Mutation", "s3", "LOH"),
    ("NA", "Missense_Mutation", "s3", ""),
]
MATRIX = (
    "SAMPLE_ID\tstudy_mutations\tstudy_cna\ns1\tBIG\tNA\ns2\tSMALL\tNA\ns3\tBIG\tNA\ns4\tNA\tNA\n"
)
NAN = np.nan


def maf(path: Path, before: str = "", calls: list[tuple[str, ...]] = CALLS) -> Path:
    path.write_text(before + MAF + "".join("\t".join(call) + "\n" for call in calls))
    return path


def panel(folder: Path, name: str, *genes: str) -> None:
    text = f"stable_id: {name}\ndescription: x\ngene_list: " + "\t".join(genes) + "\n"
    (folder / f"data_gene_panel_{name.lower()}.txt").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    maf(tmp_path / "data_mutations.txt")
    panel(tmp_path, "BIG", "TP53", "KRAS", "MYC", "RB1")
    panel(tmp_path, "SMALL", "TP53", "KRAS")
    (tmp_path / "data_gene_panel_matrix.txt").write_text(MATRIX)
    return tmp_path


def test_the_panel_decides(folder: Path) -> None:
    study = find_study(folder)
    found = read_mutations("m", study.files["mutations"], coverage=study_coverage(study))
    assert found.samples == ["s1", "s2", "s3"]
    assert list(found.features.index) == ["TP53", "KRAS", "MYC", "RB1"]
    expected = [[1, 0, 0, 0], [0, 1, NAN, NAN], [0, 0, 0, 0]]
    assert np.array_equal(found.values, np.array(expected, np.float32), equal_nan=True)
    assert found.notes == {
        "calls": 8,
        "calls counted": 3,
        "calls not counted": {
            "Mutation_Status LOH": 1,
            "Silent": 1,
            "gene not on the panel of the sample": 1,
            "no gene": 1,
            "sample in no mutation profile": 1,
        },
        "samples with calls": 4,
        "genes with calls": 4,
        "sequenced according to": "data_gene_panel_matrix.txt",
    }


def test_a_sequenced_sample_without_a_panel_is_a_whole_exome(folder: Path) -> None:
    (folder / "case_lists").mkdir()
    (folder / "case_lists" / "cases_sequenced.txt").write_text("case_list_ids: s1\ts2\ts9\n")
    study = find_study(folder)
    coverage = study_coverage(study)
    assert coverage is not None
    assert coverage.panel_of == {"s1": "BIG", "s2": "SMALL", "s3": "BIG", "s9": "all"}
    found = read_mutations("m", study.files["mutations"], coverage=coverage)
    assert found.values[3].tolist() == [1, 0, 0, 0]
    assert set(study.inputs(["mutations"])) == {
        "study mutations",
        "study gene_matrix",
        "panel data_gene_panel_big.txt",
        "panel data_gene_panel_small.txt",
        "case list",
    }


def test_whole_exomes_by_name(folder: Path) -> None:
    (folder / "data_gene_panel_matrix.txt").write_text(MATRIX.replace("SMALL", "WES"))
    coverage = study_coverage(find_study(folder))
    assert coverage is not None
    assert coverage.genes == {"BIG": ("TP53", "KRAS", "MYC", "RB1"), "WES": None}
    found = read_mutations("m", folder / "data_mutations.txt", coverage=coverage)
    assert found.values[1].tolist() == [0, 1, 1, 0]


def test_a_panel_that_nobody_knows(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "data_gene_panel_small.txt").unlink()
    with pytest.raises(DataError, match=r"genes of the panel SMALL .*BIG.*--panel FILE"):
        study_coverage(find_study(folder))
    other = tmp_path_factory.mktemp("panels")
    panel(other, "SMALL", "TP53")
    coverage = study_coverage(find_study(folder, [other / "data_gene_panel_small.txt"]))
    assert coverage is not None
    assert coverage.genes["SMALL"] == ("TP53",)
    (other / "data_gene_panel_small.txt").write_text("nothing: here\n")
    with pytest.raises(DataError, match="is not a gene panel"):
        study_coverage(find_study(folder, [other / "data_gene_panel_small.txt"]))


def test_who_was_sequenced_without_a_matrix(tmp_path: Path) -> None:
    path = maf(tmp_path / "data_mutations.txt", "#Sequenced_Samples: s1 s2 s3 s4\n")
    coverage = study_coverage(find_study(tmp_path))
    assert coverage == whole_exomes(["s1", "s2", "s3", "s4"], "#Sequenced_Samples")
    found = read_mutations("m", path)
    assert found.samples == ["s1", "s2", "s3", "s4"]
    assert list(found.features.index) == ["TP53", "KRAS", "MYC"]
    assert found.values.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0]]
    panel(tmp_path, "SMALL", "TP53")
    (tmp_path / "meta_mutations.txt").write_text(
        "genetic_alteration_type: MUTATION_EXTENDED\ndatatype: MAF\ngene_panel: SMALL\n"
        "data_filename: data_mutations.txt\n"
    )
    coverage = study_coverage(find_study(tmp_path))
    assert coverage is not None
    assert set(coverage.panel_of.values()) == {"SMALL"}


def test_nothing_says_who_was_sequenced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = maf(tmp_path / "data_mutations.txt")
    assert study_coverage(find_study(tmp_path)) is None
    assert read_mutations("m", path).samples == ["s1", "s2", "s9", "s3"]
    assert "the sequenced samples are not listed" in caplog.text


def test_which_classes_count(tmp_path: Path) -> None:
    path = maf(tmp_path / "a.maf")
    silent = read_mutations("m", path, ["Silent"])
    assert list(silent.features.index) == ["KRAS"]
    assert read_mutations("m", path, ["all"]).notes["calls counted"] == 6
    with pytest.raises(
        DataError, match=r"no mutation call is counted .found 6 Missense_Mutation, .*1 Silent"
    ):
        read_mutations("m", path, ["missense"])


def test_a_maf_without_classes(tmp_path: Path) -> None:
    path = tmp_path / "a.maf"
    path.write_text("Hugo_Symbol,Tumor_Sample_Barcode\nTP53,s1\nKRAS,s2\n")
    assert read_mutations("m", path).values.tolist() == [[1, 0], [0, 1]]
    path.write_text("Hugo_Symbol,Tumor_Sample_Barcode\nTP53,s1\nKRAS,\n")
    with pytest.raises(DataError, match=":3: no sample"):
        read_mutations("m", path)
    path.write_text("Hugo_Symbol,Sample\nTP53,s1\n")
    with pytest.raises(DataError, match="lacks the column tumor_sample_barcode"):
        read_mutations("m", path)


def test_a_panel_may_have_no_gene_that_is_called(tmp_path: Path) -> None:
    path = maf(tmp_path / "a.maf", calls=CALLS[:1])
    coverage = Coverage({"s1": "A", "s2": "B"}, {"A": ("TP53",), "B": ("RB1",)}, "test")
    found = read_mutations("m", path, coverage=coverage)
    assert np.array_equal(found.values, np.array([[1, NAN], [NAN, 0]]), equal_nan=True)


def names(study: Study) -> dict[str, str]:
    return {what: path.name for what, path in study.files.items()}


def touch(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).write_text("x\ty\n")


def test_files_by_their_names(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("data_mrna_seq_v2_rsem.txt", "data_mrna_seq_v2_rsem_zscores_ref_all_samples.txt"),
        *("data_mrna_agilent_microarray.txt", "data_CNA.txt", "data_log2_cna.txt"),
        *("data_methylation_hm27.txt", "data_methylation_hm450.txt", "data_linear_CNA.txt"),
        *("brca_data_cna_hg19.seg", "data_clinical_sample.txt", "data_clinical_patient.txt"),
    )
    with gzip.open(tmp_path / "data_mutations_extended.txt.gz", "wt") as file:
        file.write(MAF)
    study = find_study(tmp_path)
    assert names(study) == {
        "samples": "data_clinical_sample.txt",
        "patients": "data_clinical_patient.txt",
        "mutations": "data_mutations_extended.txt.gz",
        "copy_number_calls": "data_CNA.txt",
        "copy_number": "data_log2_cna.txt",
        "segments": "brca_data_cna_hg19.seg",
        "expression": "data_mrna_seq_v2_rsem.txt",
        "methylation": "data_methylation_hm450.txt",
    }
    assert study.assembly() == "hg19"


def test_files_by_their_meta_files(tmp_path: Path) -> None:
    touch(tmp_path, "rna.txt", "rna_z.txt", "data_mrna_seq_rpkm.txt", "own.seg", "other.seg")
    for i, (kind, datatype, name, more) in enumerate(
        [
            ("MRNA_EXPRESSION", "CONTINUOUS", "rna.txt", ""),
            ("MRNA_EXPRESSION", "Z-SCORE", "rna_z.txt", ""),
            ("COPY_NUMBER_ALTERATION", "SEG", "own.seg", "reference_genome_id: hg38\n"),
            ("METHYLATION", "CONTINUOUS", "not_here.txt", ""),
        ]
    ):
        text = f"genetic_alteration_type: {kind}\ndatatype: {datatype}\ndata_filename: {name}\n"
        (tmp_path / f"meta_{i}.txt").write_text(text + more)
    study = find_study(tmp_path)
    assert names(study) == {"expression": "rna.txt", "segments": "own.seg"}
    assert study.assembly() == "hg38"


def test_what_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has none of the files of a cBio.*nothing"):
        find_study(tmp_path)
    with pytest.raises(UsageError, match="is not a study folder"):
        find_study(tmp_path / "none")


def test_the_clinic_of_samples_and_patients(tmp_path: Path) -> None:
    maf(tmp_path / "data_mutations.txt")
    comments = "#Sample\tPatient\tGrade\n#x\ty\tz\n#STRING\tSTRING\tSTRING\n#1\t1\t1\n"
    (tmp_path / "data_clinical_sample.txt").write_text(
        f"{comments}PATIENT_ID\tSAMPLE_ID\tGRADE\np1\ts1\t3\np1\ts2\t[Not Available]\np9\ts3\t1\n"
    )
    (tmp_path / "data_clinical_patient.txt").write_text(
        "#Patient\tAge\tGrade\nPATIENT_ID\tAGE\tGRADE\np1\t61\t9\np2\t50\t9\n"
    )
    clinical = study_clinical(find_study(tmp_path))
    assert clinical is not None
    assert list(clinical.frame.index) == ["s1", "s2", "s3"]
    assert clinical.frame["AGE"].fillna("").tolist() == ["61", "61", ""]
    # What the table of samples says is said of the sample.
    assert clinical.frame["GRADE"].fillna("").tolist() == ["3", "", "1"]


def test_metabric(shared_data: Path) -> None:
    """Counts equal those in the README of the data."""
    study = find_study(shared_data / "metabric_partial")
    coverage = study_coverage(study)
    found = read_mutations("mutations", study.files["mutations"], coverage=coverage)
    assert found.notes["calls"] == 17_272
    assert found.notes["samples with calls"] == 2_369
    assert found.notes["genes with calls"] == 173
    assert found.values.shape == (2_509, 173)
    assert not np.isnan(found.values).any()
    counted = found.notes["calls counted"] + sum(found.notes["calls not counted"].values())
    assert counted == 17_272
    clinical = study_clinical(study)
    assert clinical is not None
    counts = clinical.frame["CLAUDIN_SUBTYPE"].value_counts().to_dict()
    assert counts == {
        **{"LumA": 700, "LumB": 475, "Her2": 224, "claudin-low": 218},
        **{"Basal": 209, "Normal": 148, "NC": 6},
    }
