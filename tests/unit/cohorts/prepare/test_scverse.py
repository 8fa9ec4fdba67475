"""Files of anndata and mudata that others wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from genomix_cli.cohorts.prepare.scverse import kind_of, read_scverse
from genomix_cli.errors import DataError, UsageError

X = np.array([[0, 1, 2], [3, 0, 5]], np.float64)


def adata(values: Any = X, samples: tuple[str, ...] = ("s1", "s2")) -> anndata.AnnData:
    obs = pd.DataFrame({"cls": ["a", "b"], "ok": [True, False]}, index=list(samples))
    var = pd.DataFrame({"mean": [1.0, 2, 3]}, index=["f1", "f2", "f3"])
    return anndata.AnnData(values, obs=obs, var=var)


def test_an_h5ad(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="genomix")
    data = adata(csr_matrix(X))
    data.layers["raw"] = X
    data.obsm["X_pca"] = X
    data.write_h5ad(tmp_path / "rna.v2.h5ad")
    (found,), clinical = read_scverse(tmp_path / "rna.v2.h5ad", {"rna": "expression"})
    assert (found.name, found.kind.name, found.samples) == ("rna", "expression", ["s1", "s2"])
    assert found.values.dtype == np.float32
    assert found.values.tolist() == X.tolist()
    assert found.features["mean"].tolist() == [1, 2, 3]
    assert clinical.frame["cls"].tolist() == ["a", "b"]
    assert clinical.frame["ok"].tolist() == ["True", "False"]
    assert found.notes == {"not taken over": ["layers[raw]", "obsm[X_pca]"]}
    assert "ignoring layers[raw], obsm[X_pca]" in caplog.text


def test_an_h5mu(tmp_path: Path) -> None:
    other = adata(X + 1, ("s2", "s3"))
    other.uns["genomix"] = {"kind": "fragments"}
    with mudata.set_options(pull_on_update=False):
        data = mudata.MuData({"expression": adata(), "frag": other})
        data.obs["site"] = ["x", "y", "y"]
        data.write_h5mu(tmp_path / "a.h5mu")
    found, clinical = read_scverse(tmp_path / "a.h5mu", {})
    assert [(m.name, m.kind.name, m.samples) for m in found] == [
        ("expression", "expression", ["s1", "s2"]),
        ("frag", "fragments", ["s2", "s3"]),
    ]
    assert clinical.frame["site"].tolist() == ["x", "y", "y"]


def test_kinds() -> None:
    assert kind_of("expression", {}).name == "expression"
    assert kind_of("rna", {}, "expression").name == "expression"
    assert kind_of("expression", {"expression": "other"}).name == "other"
    with pytest.raises(UsageError, match=r"the modality rna needs a kind .*--kind rna=KIND"):
        kind_of("rna", {})
    with pytest.raises(UsageError, match="beta is not a kind of values"):
        kind_of("rna", {"rna": "beta"})


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"values": X - 1}, "fragments", r"sample s1, feature f1: not a value of fragments"),
        ({"samples": ("s1", "s1")}, "other", "the sample s1 is repeated"),
        ({"values": None}, "other", "has no matrix X"),
    ],
)
def test_what_is_wrong(tmp_path: Path, change: dict[str, Any], kind: str, message: str) -> None:
    path = tmp_path / "a.h5ad"
    adata(**change).write_h5ad(path)
    with pytest.raises(DataError, match=message):
        read_scverse(path, {"a": kind})


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    adata().write_h5ad(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="is cut short"):
        read_scverse(path, {"a": "other"})


def test_damaged_indices_are_refused_before_they_crash(tmp_path: Path) -> None:
    path = tmp_path / "rna.h5ad"
    adata(csr_matrix(X)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        file["X/indices"][0] = 1_000_000
    with pytest.raises(DataError, match="X cannot be read: indices must be < 3"):
        read_scverse(path, {"rna": "expression"})
