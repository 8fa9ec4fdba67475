"""Writing of cohort files, whole or piece by piece."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from genomix_cli.errors import check_text
from genomix_cli.outputs import atomic_path
from genomix_cli.provenance import Provenance

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    from anndata import AnnData
from genomix_cli.formats.cohort import FORMAT, TRUTH, VERSION, require_extra


@contextmanager
def draft_cohort(
    path: Path,
    modalities: Mapping[str, AnnData],
    obs: pd.DataFrame,
    provenance: Provenance,
    *,
    force: bool = False,
) -> Iterator[h5py.File]:
    """Write a cohort file, and let the caller add to it before it appears.

    A modality may come without X. The ``with`` block then writes it piece by piece into the dataset
    that :func:`add_matrix` creates. A simulator adds its latent variables and settings with
    :func:`add_samples` and :func:`add_truth`.

    Parameters
    ----------
    path : Path
    modalities : mapping of str to AnnData
        Each with `uns["genomix"]["kind"]`.
    obs : DataFrame
        One row per sample, including every sample of every modality; `label`, `batch` and `patient`
        are categorical.
    provenance : Provenance
    force : bool
        If True, replace an existing file.

    Yields
    ------
    File
        The draft, open for writing.
    """
    import h5py

    require_extra()
    import mudata

    from genomix_cli.formats.writer import on_disk
    from genomix_cli.genome.hdf5 import seal

    _check_frame(obs, "sample")
    for data in modalities.values():
        _check_frame(data.var, "feature")
    own: dict[str, Any] = {
        "format": FORMAT,
        "format_version": VERSION,
        "provenance": json.dumps(provenance.to_dict(), sort_keys=True, default=str),
    }
    with warnings.catch_warnings(), mudata.set_options(pull_on_update=False):
        # A gene may well be a feature of several modalities.
        warnings.filterwarnings("ignore", message="var_names are not unique")
        data = mudata.MuData(dict(modalities))
        data = data[list(obs.index)].copy() if list(data.obs_names) != list(obs.index) else data
        data.obs = obs
        data.uns["genomix"] = own
        with atomic_path(path, force=force) as draft:
            with on_disk(draft) as disk:
                data.write_h5mu(disk)
            with on_disk(draft, "r+") as disk, h5py.File(disk, "r+") as file:
                yield file
            seal(draft)


def _check_frame(frame: pd.DataFrame, what: str) -> None:
    """Refuse names and entries that are not valid text."""
    check_text(frame.index, what)
    check_text(frame.columns, "column")
    for name, column in frame.items():
        if hasattr(column, "cat"):
            check_text(column.cat.categories, f"entry of {name}")
        elif column.dtype == object:
            check_text(column, f"entry of {name}")


def add_matrix(
    file: h5py.File, modality: str, where: str, shape: tuple[int, int], dtype: str = "float32"
) -> h5py.Dataset:
    """Return a new, empty matrix of a modality in a draft, to be filled piece by piece.

    Parameters
    ----------
    file : File
        Draft from :func:`draft_cohort`.
    modality : str
    where : str
        ``"X"`` or ``"layers/NAME"``.
    shape : tuple of int
        Number of samples and of features.
    dtype : str
        Any type but float32 is compressed, in chunks of rows.
    """
    group = file[f"mod/{modality}"]
    if where in group:
        del group[where]
    rows = max(min(shape[0], 2**18 // max(shape[1], 1)), 1)
    packed = dtype != "float32" and min(shape) > 0
    layout: dict[str, Any] = (
        {"chunks": (rows, shape[1]), "compression": "gzip", "compression_opts": 1, "shuffle": True}
        if packed
        else {}
    )
    dataset = group.create_dataset(where, shape, dtype, **layout)
    dataset.attrs["encoding-type"] = "array"
    dataset.attrs["encoding-version"] = "0.2.0"
    return dataset


def add_samples(file: h5py.File, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Add arrays with one row per sample to `obsm` of a draft.

    They must not be data frames, which mudata 0.3 cannot read back from `obsm`.
    """
    from anndata.io import write_elem

    for key, values in arrays.items():
        write_elem(file["obsm"], key, values)


def add_truth(file: h5py.File, truth: Mapping[str, Any]) -> None:
    """Record in a draft, as plain data, how a simulated cohort was made."""
    from anndata.io import write_elem

    write_elem(file["uns/genomix"], TRUTH, json.dumps(truth, sort_keys=True))
