"""Read ``.h5ad`` and ``.h5mu`` files: check them against a kind, and make them dense."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genomix_cli.cohorts.prepare.clinical import Clinical
from genomix_cli.cohorts.prepare.modality import Modality, feature_table
from genomix_cli.cohorts.prepare.tables import check_domain
from genomix_cli.errors import DataError, UsageError, guarded
from genomix_cli.formats.cohort import KINDS, Kind, is_mudata
from genomix_cli.genome.hdf5 import check_hdf5

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

log = logging.getLogger("genomix")


def kind_of(name: str, kinds: Mapping[str, str], stored: str | None = None) -> Kind:
    """Return the kind of a modality: as requested, as stored in its file, or from its name.

    Parameters
    ----------
    name : str
    kinds : mapping of str to str
        Values of `--kind`.
    stored : str, optional
        Kind stored in the file.

    Raises
    ------
    UsageError
        If it is none of `KINDS`.
    """
    kind = kinds.get(name, stored or name)
    if kind not in KINDS:
        raise UsageError(
            f"{kind} is not a kind of values"
            if name in kinds
            else f"the modality {name} needs a kind of values",
            expected=f"--kind {name}=KIND, one of {', '.join(KINDS)}",
        )
    return KINDS[kind]


def read_scverse(
    path: Path, kinds: Mapping[str, str], name: str | None = None
) -> tuple[list[Modality], Clinical]:
    """Read an `.h5ad` or `.h5mu` file; return its modalities and its `obs`.

    Parameters
    ----------
    path : Path
    kinds : mapping of str to str
        Kind by modality, unless stored in the file.
    name : str, optional
        Name of the modality of an `.h5ad` file; by default the name of the file.

    Raises
    ------
    DataError
        If it cannot be read, or a value is outside its domain.
    UsageError
        If the kind of a modality is not known.
    """
    with guarded(path):
        loaded, obs = _load(path, name or path.name.split(".")[0])
    modalities = [_modality(path, name, data, kinds) for name, data in loaded.items()]
    return modalities, Clinical(path, _columns(obs, path))


def _load(path: Path, name: str) -> tuple[dict[str, AnnData], pd.DataFrame]:
    import warnings

    check_hdf5(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if is_mudata(path):
            import mudata

            with mudata.set_options(pull_on_update=False):
                data = mudata.read_h5mu(path)
                return dict(data.mod), data.obs
        import anndata

        single = anndata.read_h5ad(path)
        return {name: single}, single.obs


def _modality(path: Path, name: str, data: AnnData, kinds: Mapping[str, str]) -> Modality:
    where = f"{path} [{name}]"
    ours = data.uns.get("genomix")
    # A file of somebody else, or a damaged one, may hold anything there.
    stored = ours.get("kind") if isinstance(ours, Mapping) else None
    kind = kind_of(name, kinds, None if stored is None else str(stored))
    if data.X is None:
        raise DataError("has no matrix X", where=where)
    for what, names in (("sample", data.obs_names), ("feature", data.var_names)):
        if not names.is_unique:
            twice = names[names.duplicated()][0]
            raise DataError(f"the {what} {twice} is repeated", where=where)
    with guarded(where, "X"):
        values = _dense(data.X)
    if not np.issubdtype(values.dtype, np.number) and values.dtype != bool:
        raise DataError("X does not hold numbers", where=where, found=str(values.dtype))
    values = np.asarray(values, np.float32)
    samples, names = list(map(str, data.obs_names)), list(map(str, data.var_names))
    check_domain(values, kind, lambda i, j: f"{where}: sample {samples[i]}, feature {names[j]}")
    features = feature_table(names, kind)
    more = _columns(data.var, path).drop(columns=features.columns, errors="ignore")
    notes: dict[str, Any] = {}
    if dropped := list(_more(data)):
        notes["not taken over"] = dropped
        log.info("%s: ignoring %s", where, ", ".join(dropped))
    return Modality(name, kind, samples, features.join(more), values, path, notes)


def _dense(matrix: Any) -> Any:
    """Return a matrix as an array."""
    if not hasattr(matrix, "toarray"):
        return matrix
    # Damaged indices would make scipy write outside the array.
    matrix.check_format(full_check=True)
    return matrix.toarray()


def _more(data: AnnData) -> Iterator[str]:
    """Yield the contents of an AnnData other than X, obs and var."""
    if data.raw is not None:
        yield "raw"
    for slot in ("layers", "obsm", "varm", "obsp", "varp"):
        yield from (f"{slot}[{key}]" for key in getattr(data, slot))


def _columns(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the columns that a file can hold: numbers, and text as categories, by text names."""
    import pandas as pd

    frame = frame.set_axis(frame.index.map(str), axis=0).rename(columns=str)
    for name in frame.columns:
        column, types = frame[name], pd.api.types
        is_number = types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
        if not is_number and not isinstance(column.dtype, pd.CategoricalDtype):
            text = column.map(lambda cell: str(cell), na_action="ignore").astype(object)
            frame[name] = pd.Categorical(text)
    return frame
