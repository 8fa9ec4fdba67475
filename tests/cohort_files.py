"""Small cohort files for tests, with a known answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genomix_cli.formats.cohort_writer import add_samples, add_truth, draft_cohort
from genomix_cli.provenance import Provenance

Columns = dict[str, list[Any]]


def modality(
    values: Any, kind: str, rows: list[str], var: Columns | None = None, **layers: Any
) -> Any:
    """Return an AnnData of float32 values ``[n, d]``; `var` has the columns of its features."""
    import anndata
    import pandas as pd

    values = np.asarray(values, np.float32)
    features = pd.DataFrame(var or {}, index=[f"{kind}{i}" for i in range(values.shape[1])])
    data = anndata.AnnData(values, pd.DataFrame(index=rows), features)
    for name, layer in layers.items():
        data.layers[name] = np.asarray(layer)
    data.uns["genomix"] = {"kind": kind}
    return data


def write_cohort(path: Path, modalities: dict[str, Any], obs: Columns) -> Path:
    """Write a cohort file; `obs` has ``sample`` and further columns, all categorical."""
    import pandas as pd

    table = pd.DataFrame(obs).set_index("sample")
    table.index.name = None
    for name in table:
        if not isinstance(table[name].dtype, pd.CategoricalDtype):
            table[name] = pd.Categorical(table[name])
    with draft_cohort(path, modalities, table, Provenance("genomix test"), force=True):
        return path


def every_kind(path: Path, seed: int = 0, n: int = 48) -> Path:
    """Write a cohort with a modality of each kind, three classes and two batches.

    Some values and modalities are missing. The file has the metadata of a simulated cohort.
    """
    rng = np.random.default_rng(seed)
    rows = [f"S{i:03d}" for i in range(n)]
    label = [("healthy", "tumour <A>", "tumour B")[i % 3] for i in range(n)]
    shift = (np.arange(n) % 3)[:, None]
    beta = rng.beta(0.5, 0.5, (n, 12))
    beta[rng.random(beta.shape) < 0.1] = np.nan
    places = {
        "contig": ["chr1"] * 6 + ["2"] * 4 + ["chrX", ""],
        "start": [*range(0, 60, 10), *range(0, 40, 10), 5, -1],
        "end": [*range(10, 70, 10), *range(10, 50, 10), 9, -1],
    }
    state = np.where(np.arange(12) < 4, 2 + shift, 2)
    ratio = np.log2(state / 2) + rng.normal(0, 0.05, (n, 12))
    few = [row for i, row in enumerate(rows) if i % 4]
    pick = [i for i in range(n) if i % 4]
    modalities = {
        "methylation": modality(beta[pick], "methylation", few),
        "m values": modality(rng.normal(0, 2, (n, 9)), "methylation_m", rows),
        "copy": modality(ratio, "copy_number", rows, places, state=state.astype(np.int8)),
        "calls": modality(rng.integers(-2, 3, (n, 5)), "copy_number_calls", rows),
        "fragments": fragments(rng, rows),
        "peaks": modality(rng.normal(0, 1, (n, 6)) + shift, "chromatin", rows),
        "mRNA": modality(rng.normal(5, 1, (n, 70)), "expression", rows),
        "genes": modality(rng.random((n, 7)) < 0.3, "mutations", rows),
        "else": modality(rng.normal(0, 1, (n, 3)), "other", rows),
    }
    bayes = [
        {"modalities": ["peaks"], "accuracy": 0.7, "low": 0.6, "high": 0.8, "expected": 0.71},
        {"modalities": ["peaks", "copy"], "accuracy": 0.9, "auroc": 0.97, "late_fusion": 0.8},
    ]
    interactions = [{"modalities": ["peaks", "copy"]}, {"modalities": ["peaks", "copy"]}]
    truth = {"latents": ["class", "purity"], "bayes": bayes, "interactions": interactions}
    latents = np.column_stack([np.arange(n) % 3, np.linspace(0, 1, n)])
    obs = {
        "sample": rows,
        "label": label,
        "batch": [f"plate {i // 5 % 2}" for i in range(n)],
        "patient": [f"P{i // 2}" for i in range(n)],
    }
    write_cohort(path, modalities, obs)
    with h5py.File(path, "r+") as file:
        add_samples(file, {"truth": latents})
        add_truth(file, truth)
    return path


def fragments(rng: np.random.Generator, rows: list[str]) -> Any:
    """Return a fragment modality: lengths of 100 to 219 bp, and short and long ones by bin."""
    lengths = np.arange(100, 220)
    expected = 200 * np.exp(-0.5 * ((lengths - 167) / 12) ** 2) + 1
    counts = rng.poisson(expected, (len(rows), len(lengths)))
    short, long = rng.poisson(300, (len(rows), 4)), rng.poisson(1000, (len(rows), 4))
    none = len(lengths)
    var = {
        "readout": ["length"] * none + ["short"] * 4 + ["long"] * 4,
        "length": [*lengths.astype(float), *[np.nan] * 8],
        "contig": [""] * none + ["chr1", "chr1", "chr2", "chr2"] * 2,
        "start": [-1] * none + [0, 5_000_000] * 4,
        "end": [-1] * none + [5_000_000, 10_000_000] * 4,
    }
    return modality(np.hstack([counts, short, long]), "fragments", rows, var)
