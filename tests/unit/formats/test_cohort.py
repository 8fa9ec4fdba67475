"""The cohort file: what is written is read back, and what is not whole is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from genomix_cli.errors import DataError, MissingExtraError, UsageError
from genomix_cli.formats import cohort as schema
from genomix_cli.formats import docs
from genomix_cli.formats.cohort import KINDS, bayes_key, open_cohort
from genomix_cli.formats.cohort_writer import add_matrix, add_samples, add_truth, draft_cohort
from genomix_cli.provenance import Provenance

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ["s1", "s2", "s3", "s4"]
A = np.array([[0.1, 0.2], [np.nan, 1.0], [0.5, 0.0]], np.float32)  # of s1, s3, s4
B = np.arange(12, dtype=np.float32).reshape(4, 3)
POSTERIOR = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.0, 1.0]], np.float32)
LATENTS = np.array([[0.3], [0.6], [0.9], [0.1]])


def modality(values: Any, samples: Sequence[str], features: Sequence[str], kind: str) -> AnnData:
    obs, var = pd.DataFrame(index=list(samples)), pd.DataFrame(index=list(features))
    return AnnData(values, obs=obs, var=var, uns={"genomix": {"kind": kind}})


def modalities() -> dict[str, AnnData]:
    return {
        "meth": modality(A, ["s1", "s3", "s4"], ["TP53", "cg1"], "methylation"),
        "rna": modality(B, SAMPLES, ["TP53", "KRAS", "MYC"], "expression"),
    }


def observations() -> pd.DataFrame:
    label = pd.Categorical(["lum", None, "basal", "lum"], ["basal", "lum"])
    return pd.DataFrame({"label": label, "age": [61.5, np.nan, 40, 55]}, index=SAMPLES)


def write(path: Path, force: bool = False) -> Path:
    provenance = Provenance("genomix test")
    with draft_cohort(path, modalities(), observations(), provenance, force=force):
        return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "a.h5mu"
    with draft_cohort(path, modalities(), observations(), Provenance("genomix test")) as file:
        add_samples(file, {"truth": LATENTS, bayes_key(("meth", "rna")): POSTERIOR})
        add_truth(file, {"latents": ["purity"], "seed": 3})
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "b.h5mu"))


def test_what_is_written_is_read_back(whole: Path) -> None:
    with open_cohort(whole) as cohort:
        assert cohort.modalities == ("meth", "rna")
        assert cohort.kinds["meth"] is KINDS["methylation"]
        assert cohort.classes == ("basal", "lum")
        assert cohort.labels.tolist() == [1, -1, 0, 1]
        assert cohort.present("meth").tolist() == [True, False, True, True]
        expected = np.stack([A[0], [np.nan, np.nan], A[1], A[2]])
        assert np.array_equal(cohort.matrix("meth"), expected, equal_nan=True)
        assert np.array_equal(cohort.matrix("rna"), B)
        assert list(cohort.features("rna").index) == ["TP53", "KRAS", "MYC"]
        assert cohort.provenance["command"] == "genomix test"
        assert cohort.truth == {"latents": ["purity"], "seed": 3}
        latents = cohort.latents()
        assert latents is not None
        assert latents["purity"].tolist() == LATENTS[:, 0].tolist()
        assert np.array_equal(cohort.posterior(("rna", "meth")), POSTERIOR)  # type: ignore[arg-type]
        assert cohort.posterior(("rna",)) is None


def test_mudata_reads_it(whole: Path) -> None:
    import mudata

    with mudata.set_options(pull_on_update=False):
        data = mudata.read_h5mu(whole)
    assert list(data.obs_names) == SAMPLES
    assert np.array_equal(data.mod["meth"].X, A, equal_nan=True)
    assert data.obs["label"].isna().tolist() == [False, True, False, False]
    assert data.obsmap["meth"].tolist() == [1, 0, 2, 3]


def test_it_needs_no_label(tmp_path: Path) -> None:
    obs = observations().drop(columns="label")
    with draft_cohort(tmp_path / "a.h5mu", modalities(), obs, Provenance("genomix test")):
        pass
    with open_cohort(tmp_path / "a.h5mu") as cohort:
        assert cohort.classes == ()
        assert cohort.labels.tolist() == [-1, -1, -1, -1]
        assert cohort.truth is None
        assert cohort.latents() is None


def test_a_matrix_is_written_piece_by_piece(tmp_path: Path) -> None:
    parts = modalities() | {"rna": modality(None, SAMPLES, ["TP53", "KRAS", "MYC"], "expression")}
    with draft_cohort(
        tmp_path / "a.h5mu", parts, observations(), Provenance("genomix test")
    ) as file:
        dataset = add_matrix(file, "rna", "X", B.shape)
        for row in range(4):
            dataset[row] = B[row]
        add_matrix(file, "rna", "layers/state", B.shape, "int8")[...] = B
    with open_cohort(tmp_path / "a.h5mu") as cohort:
        assert np.array_equal(cohort.matrix("rna"), B)
        assert cohort.layers("rna") == ("state",)
        assert np.array_equal(cohort.layer("rna", "state"), B)


def test_the_same_input_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    first, second = (write(tmp_path / name).read_bytes() for name in ("a.h5mu", "b.h5mu"))
    assert first == second


def test_nothing_half_written_and_nothing_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.h5mu"
    with (
        pytest.raises(ZeroDivisionError),
        draft_cohort(path, modalities(), observations(), Provenance("genomix test")),
    ):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
    write(path)
    with pytest.raises(UsageError, match="already exists; add --force"):
        write(path)
    write(path, force=True)


def replace_text(path: str, text: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[path][()] = text

    return change


def delete(path: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(path)


def widen(file: h5py.File) -> None:
    values = file["mod/rna/X"][()]
    del file["mod/rna/X"]
    file["mod/rna/X"] = values.astype("float64")


def rename(path: str, row: int, name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[path][row] = name

    return change


def plain_label(file: h5py.File) -> None:
    del file["obs/label"]
    file["obs/label"] = np.arange(4)
    file["obs/label"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def newer(file: h5py.File) -> None:
    file["uns/genomix/format_version"][()] = 99


def reverse(file: h5py.File) -> None:
    file["mod/rna/obs/_index"][...] = file["mod/rna/obs/_index"][()][::-1]


DAMAGE = {
    "no modalities": (delete("mod"), "is not a MuData file; make one: genomix prepare cohort"),
    "not ours": (delete("uns/genomix/format"), "genomix has not checked; run: genomix prepare"),
    "another format": (replace_text("uns/genomix/format", "other"), "found other version 1"),
    "newer": (newer, "expected genomix-cohort up to version 1, found .* version 99.; use a newer"),
    "no provenance": (delete("uns/genomix/provenance"), "lacks uns/genomix/provenance"),
    "bad JSON": (replace_text("uns/genomix/truth", "{"), "truth is not JSON"),
    "sample twice": (rename("obs/_index", 0, "s2"), "sample s2 is repeated"),
    "row twice": (rename("mod/rna/obs/_index", 0, "s2"), r"\[rna\]: sample s2 is repeated"),
    "feature twice": (rename("mod/rna/var/_index", 0, "MYC"), r"feature MYC is repeated"),
    "stranger": (rename("mod/rna/obs/_index", 0, "s9"), r"\[rna\]: sample s9 is not in obs"),
    "another order": (reverse, r"\[rna\]: the samples are in another order than in obs"),
    "no kind": (delete("mod/rna/uns/genomix/kind"), r"\[rna\]: unknown kind .*found none"),
    "no X": (delete("mod/rna/X"), r"\[rna\]: lacks X"),
    "no var": (delete("mod/rna/var"), r"\[rna\]: lacks var"),
    "modality lost": (delete("mod/rna"), "lacks rna"),
    "float64": (
        widen,
        r"\[rna\]: X has the wrong type or shape .expected float32 .4, 3., found float64",
    ),
    "label": (plain_label, r"obs\['label'\] is not categorical"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(copy: Path, name: str) -> None:
    damage, message = DAMAGE[name]
    with h5py.File(copy, "r+") as file:
        damage(file)
    with pytest.raises(DataError, match=message) as caught:
        open_cohort(copy)
    assert str(caught.value).startswith(f"{copy}")


def test_a_sparse_matrix_is_told(tmp_path: Path) -> None:
    from scipy.sparse import csr_matrix

    parts = modalities()
    parts["rna"].X = csr_matrix(B)
    path = tmp_path / "a.h5mu"
    with draft_cohort(path, parts, observations(), Provenance("genomix test")):
        pass
    with pytest.raises(DataError, match="found sparse"):
        open_cohort(path)


def test_other_files_are_told(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        open_cohort(tmp_path / "none.h5mu")
    path = tmp_path / "a.h5mu"
    for length, problem in ((3000, "is cut short"), (300, "is not HDF5")):
        path.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(DataError, match=problem):
            open_cohort(path)


@pytest.mark.parametrize(
    ("kind", "allowed", "refused", "domain"),
    [
        ("methylation", [0, 0.5, 1, np.nan], [-0.01, 1.01, np.inf], "numbers from 0 to 1"),
        ("fragments", [0, 7, np.nan], [-1, 0.5, np.inf], "whole numbers of 0 or more"),
        ("mutations", [0, 1, np.nan], [2, 0.5, -1], "whole numbers from 0 to 1"),
        ("copy_number_calls", [-2, -1.5, 2], [-3, 2.5], "numbers from -2 to 2"),
        ("expression", [-9, 1e9, np.nan], [np.inf, -np.inf], "finite numbers"),
    ],
)
def test_domains(kind: str, allowed: list[float], refused: list[float], domain: str) -> None:
    assert not KINDS[kind].outside(np.array(allowed, np.float32)).any()
    assert KINDS[kind].outside(np.array(refused, np.float32)).all()
    assert KINDS[kind].domain == domain


def test_the_page_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "cohort_format.md").read_text()
    assert page == docs.refresh(page, docs.format_blocks()), "run: make docs"
    assert all(f"| `{kind}` |" in page for kind in KINDS)
    assert f"`{schema.FORMAT}`, version {schema.VERSION}" in page
    assert f"\n- {schema.VERSION}: " in page
    for column in (schema.LABEL, schema.BATCH, schema.PATIENT):
        assert f'| `mdata.obs["{column}"]` |' in page
    for key in ("format", "format_version", "provenance", schema.TRUTH):
        assert f'| `mdata.uns["genomix"]["{key}"]` |' in page
    for key in (schema.TRUTH, f"{schema.BAYES}<m>+<m>..."):
        assert f'| `mdata.obsm["{key}"]` |' in page


def test_without_the_extra_one_line_says_so(monkeypatch: pytest.MonkeyPatch, whole: Path) -> None:
    monkeypatch.setattr("genomix_cli.formats.cohort.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'genomix-toolkit\[cohorts\]'"):
        open_cohort(whole)
