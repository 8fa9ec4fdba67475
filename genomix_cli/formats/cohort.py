"""Cohort files: a MuData ``.h5mu`` with additional metadata, checked when it is opened.

A cohort has one AnnData per omics. mudata writes the file, and every scverse tool can read it.
`docs/cohort_format.md` describes what genomix requires beyond MuData.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, MissingExtraError, UsageError, guarded

if TYPE_CHECKING:
    import h5py
    import pandas as pd


FORMAT = "genomix-cohort"
VERSION = 1
LABEL, BATCH, PATIENT = "label", "batch", "patient"
TRUTH = "truth"
BAYES = "bayes:"
# Modules that cohorts need beyond the base install, and the packages that provide them.
EXTRA = {"mudata": "mudata", "anndata": "anndata", "scipy": "scipy", "yaml": "pyyaml"}
_AGAIN = "make it again: genomix prepare cohort"


@dataclass(frozen=True)
class Kind:
    """Kind of values that a modality holds.

    Attributes
    ----------
    name : str
        Value of `uns["genomix"]["kind"]`.
    text : str
        Meaning and unit.
    low, high : float
        Smallest and largest values allowed.
    integer : bool
        True if only whole numbers are allowed.
    """

    name: str
    text: str
    low: float = -np.inf
    high: float = np.inf
    integer: bool = False

    @property
    def domain(self) -> str:
        """Allowed values in words, for messages and documentation."""
        number = "whole numbers" if self.integer else "numbers"
        if np.isinf(self.low) and np.isinf(self.high):
            return f"finite {number}"
        if np.isinf(self.high):
            return f"{number} of {self.low:g} or more"
        return f"{number} from {self.low:g} to {self.high:g}"

    def outside(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return True for values that are not allowed; NaN (missing) is allowed."""
        wrong = (values < self.low) | (values > self.high) | np.isinf(values)
        if self.integer:
            wrong |= np.isfinite(values) & (values != np.rint(values))
        return wrong


# Bound of a log2 ratio; a larger one would mean more than 2^64 copies.
_LARGEST = 64.0
KINDS = {
    kind.name: kind
    for kind in (
        Kind("methylation", "Methylated fraction of a CpG or region (beta value).", 0, 1),
        Kind(
            "methylation_m",
            "Methylation as M-values, log2(beta / (1 - beta)).",
            -_LARGEST,
            _LARGEST,
        ),
        Kind("copy_number", "log2 ratio of a genomic bin, arm or gene.", -_LARGEST, _LARGEST),
        Kind("copy_number_calls", "Discrete calls of a gene, -2 (deep loss) to 2 (gain).", -2, 2),
        Kind("fragments", "Fragments of a length, or of a length class in a bin.", 0, integer=True),
        Kind("fragment_ratios", "Short to long fragments of a bin: a ratio, or its deviation."),
        Kind("chromatin", "Accessibility of a peak or region, on a log scale."),
        Kind("expression", "Expression of a gene, on a log scale."),
        Kind("mutations", "1 where a gene is mutated, 0 where it is not.", 0, 1, integer=True),
        Kind("other", "Any other measured number."),
    )
}


class Cohort:
    """Open, validated cohort file; matrices are read on request.

    Attributes
    ----------
    path : Path
    obs : DataFrame
        One row per sample.
    modalities : tuple of str
    kinds : dict of str to Kind
        Kind of values of each modality.
    provenance : dict
    truth : dict or None
        Record of how a simulated cohort was made; None for measured data.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        from anndata.io import read_elem

        self.path = Path(path)
        self._file = file
        own = {
            name: _text(file[f"uns/genomix/{name}"][()])
            for name in ("provenance", TRUTH)
            if name in file["uns/genomix"]
        }
        self.provenance: dict[str, Any] = json.loads(own["provenance"])
        self.truth: dict[str, Any] | None = json.loads(own[TRUTH]) if TRUTH in own else None
        self.obs: pd.DataFrame = read_elem(file["obs"])
        order = file["mod"].attrs.get("mod-order", list(file["mod"]))
        self.modalities = tuple(map(str, order))
        self.kinds = {
            name: KINDS[_text(file[f"mod/{name}/uns/genomix/kind"][()])] for name in self.modalities
        }

    @cached_property
    def _rows(self) -> dict[str, NDArray[np.intp]]:
        """Row of `obs` for each row of each modality, int ``[n_m]``."""
        import pandas as pd

        return {
            name: self.obs.index.get_indexer(pd.Index(_index(self._file[f"mod/{name}/obs"])))
            for name in self.modalities
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the columns of every ``[n, K]`` array."""
        return tuple(map(str, self.obs[LABEL].cat.categories)) if LABEL in self.obs else ()

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index of each sample's class ``[n]``, -1 where unknown."""
        if LABEL not in self.obs:
            return np.full(len(self.obs), -1, np.int64)
        return np.asarray(self.obs[LABEL].cat.codes, np.int64)

    def groups(self, column: str) -> NDArray[np.int64]:
        """Return the group of each sample by a column of `obs`, int64 ``[n]``.

        A sample without an entry is a group of its own.
        """
        if column not in self.obs:
            return np.arange(len(self.obs))
        codes = np.asarray(self.obs[column].cat.codes, np.int64)
        unknown = codes < 0
        return np.where(unknown, codes.max(initial=-1) + np.cumsum(unknown), codes)

    def rows(self, name: str) -> NDArray[np.intp]:
        """Return the row of `obs` for each stored row of a modality, int ``[n_m]``."""
        return self._rows[name]

    def some(self, name: str, rows: slice, where: str = "X") -> NDArray[np.float32]:
        """Return some stored rows of a modality's matrix, or of ``"layers/NAME"``, float32.

        Raises
        ------
        DataError
            If the file is damaged, or ``X`` has values that its kind does not allow.
        """
        with guarded(self.path, f"{where} of {name}"):
            values = np.asarray(self._file[f"mod/{name}/{where}"][rows], np.float32)
        if where == "X" and (wrong := self.kinds[name].outside(values)).any():
            raise DataError(
                f"holds values that {self.kinds[name].name} cannot have",
                where=f"{self.path} [{name}]",
                expected=self.kinds[name].domain,
                found=str(np.float32(values[wrong][0])),
                hint=_AGAIN,
            )
        return values

    def features(self, name: str) -> pd.DataFrame:
        """Return the features of a modality, one row each."""
        return self._read(f"mod/{name}/var")

    def _read(self, where: str) -> Any:
        """Return the element that anndata reads at a path in the file."""
        from anndata.io import read_elem

        with guarded(self.path, where):
            return read_elem(self._file[where])

    def present(self, name: str) -> NDArray[np.bool_]:
        """Return True for samples that have the modality, bool ``[n]``."""
        here = np.zeros(len(self.obs), bool)
        here[self.rows(name)] = True
        return here

    def matrix(self, name: str, where: str = "X") -> NDArray[np.float32]:
        """Return values, float32 ``[n, d_m]``; NaN where missing.

        All values of a sample that lacks the modality are NaN.
        """
        own, rows = self.some(name, slice(None), where), self._rows[name]
        if len(rows) == len(self.obs):
            return own
        values = np.full((len(self.obs), own.shape[1]), np.nan, np.float32)
        values[rows] = own
        return values

    def layer(self, name: str, layer: str) -> NDArray[np.float32]:
        """Return a layer, float32 ``[n, d_m]``, with NaN as in :meth:`matrix`."""
        return self.matrix(name, f"layers/{layer}")

    def layers(self, name: str) -> tuple[str, ...]:
        """Return the names of the layers of a modality."""
        return tuple(self._file[f"mod/{name}"].get("layers", ()))

    def latents(self) -> pd.DataFrame | None:
        """Return the latent variables of a simulated cohort, one row per sample; else None."""
        import pandas as pd

        if self.truth is None:
            return None
        with guarded(self.path, f"obsm/{TRUTH}"):
            values = self._file[f"obsm/{TRUTH}"][()]
            return pd.DataFrame(values, self.obs.index, self.truth["latents"])

    def posterior(self, modalities: tuple[str, ...]) -> NDArray[np.float32] | None:
        """Return the Bayes-optimal posterior given these modalities, float32 ``[n, K]``.

        Returns None if the file does not hold it, as for measured data.
        """
        key = bayes_key(tuple(name for name in self.modalities if name in modalities))
        if key not in self._file["obsm"]:
            return None
        values = np.asarray(self._read(f"obsm/{key}"), np.float32)
        if values.shape != (len(self.obs), len(self.classes)):
            raise DataError(f"{key} has another shape than obs", where=self.path, hint=_AGAIN)
        return values

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Cohort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bayes_key(modalities: tuple[str, ...]) -> str:
    """Return the key in `obsm` of the posterior given `modalities`."""
    return BAYES + "+".join(modalities)


def is_mudata(path: Path) -> bool:
    """Return True if an HDF5 file is a MuData file, whether or not genomix wrote it."""
    from genomix_cli.genome.hdf5 import open_hdf5

    with open_hdf5(path) as file, guarded(path):
        return "mod" in file and "obs" in file


def open_cohort(path: Path) -> Cohort:
    """Open and validate a cohort file.

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If it is not a complete, valid cohort file of a supported version.
    MissingExtraError
        If anndata is not installed.
    """
    from genomix_cli.genome.hdf5 import open_hdf5

    require_extra()
    path = Path(path)
    if not path.exists():
        raise UsageError("no such file", where=path)
    file = open_hdf5(path, "a cohort (.h5mu)", "make one: genomix prepare cohort")
    try:
        with guarded(path, hint=_AGAIN):
            _check(path, file)
            return Cohort(path, file)
    except BaseException:
        file.close()
        raise


def _check(path: Path, file: h5py.File) -> None:
    """Refuse a file that is not a valid cohort; matrices are checked when they are read."""
    if "mod" not in file or "obs" not in file:
        raise DataError("is not a MuData file", where=path, hint="make one: genomix prepare cohort")
    if "uns/genomix/format" not in file:
        raise DataError(
            "is a MuData file that genomix has not checked",
            where=path,
            hint=f"run: genomix prepare cohort {path.name} -o cohort.h5mu",
        )
    _need(path, file, ("uns/genomix/format_version", "uns/genomix/provenance"))
    name = _text(file["uns/genomix/format"][()])
    version = int(file["uns/genomix/format_version"][()])
    if name != FORMAT or version > VERSION:
        raise DataError(
            "has another format",
            where=path,
            expected=f"{FORMAT} up to version {VERSION}",
            found=f"{name} version {version}",
            hint="use a newer genomix",
        )
    _check_json(path, file)
    samples = _index(file["obs"])
    _check_unique(samples, f"{path}: sample")
    for column in (LABEL, BATCH, PATIENT):
        if column in file["obs"] and not _is_categorical(file["obs"][column]):
            raise DataError(f"obs[{column!r}] is not categorical", where=path, hint=_AGAIN)
    order = tuple(map(str, file["mod"].attrs.get("mod-order", list(file["mod"]))))
    _need(path, file["mod"], order)
    if sorted(order) != sorted(file["mod"]):
        raise DataError("mod-order does not list its modalities", where=path, hint=_AGAIN)
    for name, modality in file["mod"].items():
        _check_modality(f"{path} [{name}]", modality, samples)


def _need(where: object, group: h5py.Group, paths: tuple[str, ...]) -> None:
    missing = [path for path in paths if path not in group]
    if missing:
        raise DataError(f"lacks {', '.join(missing)}", where=where, hint=_AGAIN)


def _check_json(path: Path, file: h5py.File) -> None:
    for name in ("provenance", TRUTH):
        if name in file["uns/genomix"]:
            try:
                data = json.loads(_text(file[f"uns/genomix/{name}"][()]))
            except json.JSONDecodeError as error:
                raise DataError(f"{name} is not JSON: {error}", where=path, hint=_AGAIN) from error
            if not isinstance(data, dict):
                raise DataError(f"{name} is not a JSON object", where=path, hint=_AGAIN)


def _is_categorical(column: h5py.Group) -> bool:
    return _text(column.attrs.get("encoding-type", "")) == "categorical"


def _check_modality(where: str, modality: h5py.Group, samples: NDArray[Any]) -> None:
    _need(where, modality, ("obs", "var", "X"))
    kind = _text(modality["uns/genomix/kind"][()]) if "uns/genomix/kind" in modality else "none"
    if kind not in KINDS:
        raise DataError("unknown kind", where=where, expected=" or ".join(KINDS), found=kind)
    rows, features = _index(modality["obs"]), _index(modality["var"])
    _check_unique(features, f"{where}: feature")
    _check_unique(rows, f"{where}: sample")
    strangers = set(rows) - set(samples)
    if strangers:
        raise DataError(f"sample {min(strangers)} is not in obs", where=where)
    own = set(rows)
    if list(rows) != [sample for sample in samples if sample in own]:
        raise DataError("the samples are in another order than in obs", where=where, hint=_AGAIN)
    values = modality["X"]
    shape = (len(rows), len(features))
    for name, layer in modality.get("layers", {}).items():
        if getattr(layer, "shape", None) != shape:
            raise DataError(f"layers/{name} has another shape than X", where=where, hint=_AGAIN)
    if getattr(values, "shape", None) != shape or values.dtype != np.float32:
        found = f"{getattr(values, 'dtype', 'sparse')} {getattr(values, 'shape', '')}"
        raise DataError(
            "X has the wrong type or shape", where=where, expected=f"float32 {shape}", found=found
        )


def _check_unique(names: NDArray[Any], what: str) -> None:
    unique, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{what} {unique[counts > 1][0]} is repeated")


def _index(frame: h5py.Group) -> NDArray[Any]:
    """Return the index of a stored data frame."""
    from anndata.io import read_elem

    return np.asarray(read_elem(frame[frame.attrs["_index"]]), dtype=object)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def require_extra() -> None:
    """Refuse to start, with a one-line message, unless the ``cohorts`` extra is installed.

    Raises
    ------
    MissingExtraError
        If a package of the extra is missing.
    """
    for module, package in EXTRA.items():
        if find_spec(module) is None:
            raise MissingExtraError(package, "cohorts")
