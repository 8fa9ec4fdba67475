"""Every input of a cohort, read and the right way up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from genomix_cli.cohorts.cbioportal import (
    MODALITIES,
    PATIENT_ID,
    Study,
    find_study,
    study_clinical,
    study_coverage,
)
from genomix_cli.cohorts.clinical import Clinical, read_clinical
from genomix_cli.cohorts.fragments import read_bins, read_lengths
from genomix_cli.cohorts.modality import (
    Modality,
    check_log_scale,
    feature_table,
    log2_of,
    m_to_beta,
    without_empty,
)
from genomix_cli.cohorts.mutations import read_mutations
from genomix_cli.cohorts.records import what_is
from genomix_cli.cohorts.samples import Axis, orient
from genomix_cli.cohorts.scverse import kind_of, read_scverse
from genomix_cli.cohorts.segments import read_segments
from genomix_cli.cohorts.tables import Table, read_matrix
from genomix_cli.errors import UsageError
from genomix_cli.shards.cohort import KINDS, Kind, is_cohort

if TYPE_CHECKING:
    from genomix_cli.cohorts.prepare import PrepareRequest

log = logging.getLogger("genomix")

DEFAULT_ASSEMBLY = "hg38"
# What files that are no matrices hold.
_RECORD_KINDS = {
    "calls": "mutations",
    "segments": "copy_number",
    "lengths": "fragments",
    "bins": "fragments",
}


@dataclass
class Inputs:
    """What was read.

    Attributes
    ----------
    modalities : dict of str to Modality
        In the order in which they were asked for.
    clinical : list of Clinical
        Later ones say what is in a column that several have.
    files : dict of str to Path
        By role, for the record.
    patient : str, optional
        Column of the patients, where the format says which it is.
    """

    modalities: dict[str, Modality] = field(default_factory=dict)
    clinical: list[Clinical] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    patient: str | None = None


@dataclass(frozen=True)
class _Upright:
    """A matrix that is yet to be turned the right way up."""

    table: Table
    kind: Kind


def read_inputs(request: PrepareRequest) -> Inputs:
    """Read every file of a request.

    Raises
    ------
    UsageError, DataError
        If one cannot be read as what it is said to be.
    """
    inputs = Inputs()
    matrices: dict[str, _Upright | None] = {}
    if request.study is not None:
        _read_study(request, inputs)
    for path in request.inputs:
        _read_positional(request, path, inputs)
    for name, path in request.modalities.items():
        _refuse_second(name, inputs.modalities)
        found = _read_file(request, name, path, inputs)
        if isinstance(found, Modality):
            inputs.modalities[name] = found
        matrices[name] = None if isinstance(found, Modality) else found
        inputs.files[f"modality {name}"] = path
    if request.clinical is not None:
        inputs.clinical.append(
            read_clinical(request.clinical, request.sample_column, request.duplicates)
        )
        inputs.files["clinical"] = request.clinical
    _turn(request, {name: m for name, m in matrices.items() if m is not None}, inputs)
    _check_names(request, inputs.modalities)
    asked = [name for name in [*inputs.modalities] if name not in request.modalities]
    order = [*asked, *request.modalities]
    inputs.modalities = {name: _finish(request, inputs.modalities[name]) for name in order}
    return inputs


def _read_file(
    request: PrepareRequest, name: str, path: Path, inputs: Inputs
) -> Modality | _Upright:
    what = what_is(path)
    if what == "hdf5":
        return _read_h5ad(request, name, path, inputs)
    if what == "matrix":
        kind = kind_of(name, request.kinds)
        table = read_matrix(
            path,
            kind,
            id_column=request.id_column,
            skip=request.skip_columns,
            duplicates=request.duplicates,
        )
        return _Upright(table, kind)
    own = _RECORD_KINDS[what]
    if request.kinds.get(name, own) != own:
        raise UsageError(
            f"{path} holds {what}", where=f"--kind {name}", expected=own, found=request.kinds[name]
        )
    if what == "calls":
        return read_mutations(name, path, request.mutation_classes)
    if what == "segments":
        assembly = request.assembly or DEFAULT_ASSEMBLY
        return read_segments(name, path, request.bins, assembly, request.sex_chromosomes)
    return (read_lengths if what == "lengths" else read_bins)(name, path)


def _read_h5ad(request: PrepareRequest, name: str, path: Path, inputs: Inputs) -> Modality:
    if is_cohort(path):
        hint = f"give the file alone: genomix prepare cohort {path.name} -o ..."
        raise UsageError(f"{name}={path} has modalities of its own", hint=hint)
    (modality,), clinical = read_scverse(path, request.kinds, name)
    if len(clinical.frame.columns):
        inputs.clinical.append(clinical)
    return modality


def _read_positional(request: PrepareRequest, path: Path, inputs: Inputs) -> None:
    if what_is(path) != "hdf5":
        hint = f"name it: -m NAME={path}"
        raise UsageError("a table needs the name of its modality", where=path, hint=hint)
    found, clinical = read_scverse(path, request.kinds)
    for modality in found:
        _refuse_second(modality.name, inputs.modalities)
        inputs.modalities[modality.name] = modality
    if len(clinical.frame.columns):
        inputs.clinical.append(clinical)
    inputs.files[f"cohort {path.name}"] = path


def _read_study(request: PrepareRequest, inputs: Inputs) -> None:
    assert request.study is not None
    study = find_study(request.study, request.panels)
    there = [name for name in MODALITIES if name in study.files]
    for name in request.only:
        if name not in there:
            raise UsageError(
                f"the study has no {name}", where="--only", found=", ".join(there) or "nothing"
            )
    asked = [name for name in there if not request.only or name in request.only]
    log.info("%s: reads %s", study.folder, ", ".join(study.files[name].name for name in asked))
    for name in asked:
        inputs.modalities[name] = _study_modality(request, study, name)
    clinical = study_clinical(study, request.duplicates)
    if clinical is not None:
        inputs.clinical.append(clinical)
        inputs.patient = PATIENT_ID if PATIENT_ID in clinical.frame else None
    inputs.files |= study.inputs(asked)


def _study_modality(request: PrepareRequest, study: Study, name: str) -> Modality:
    path = study.files[name]
    if name == "mutations":
        return read_mutations(name, path, request.mutation_classes, study_coverage(study))
    if name == "segments":
        assembly = request.assembly or study.assembly() or DEFAULT_ASSEMBLY
        return read_segments(name, path, request.bins, assembly, request.sex_chromosomes)
    kind = KINDS[MODALITIES[name]]
    table = read_matrix(path, kind, skip=request.skip_columns, duplicates=request.duplicates)
    return _upright(name, _Upright(table, kind), "columns")


def _turn(request: PrepareRequest, matrices: Mapping[str, _Upright], inputs: Inputs) -> None:
    """Turn matrices so that samples are their rows."""
    known = {sample for m in inputs.modalities.values() for sample in m.samples}
    known |= {sample for table in inputs.clinical for sample in table.frame.index}
    axes = orient({name: m.table for name, m in matrices.items()}, known, request.samples)
    for name, matrix in matrices.items():
        inputs.modalities[name] = _upright(name, matrix, axes[name])


def _upright(name: str, matrix: _Upright, samples: Axis) -> Modality:
    table = matrix.table
    if samples == "rows":
        features = feature_table(table.columns, matrix.kind)
        return Modality(name, matrix.kind, table.rows, features, table.values, table.path)
    features = feature_table(table.rows, matrix.kind)
    return Modality(name, matrix.kind, table.columns, features, table.values.T, table.path)


def _finish(request: PrepareRequest, modality: Modality) -> Modality:
    if modality.name in request.m_to_beta:
        if modality.kind.name != "methylation_m":
            raise UsageError(
                f"{modality.name} is not of M-values",
                where="--m-to-beta",
                expected=f"--kind {modality.name}=methylation_m",
                found=modality.kind.name,
            )
        modality = m_to_beta(modality)
    if modality.name in request.log2:
        modality = log2_of(modality)
    check_log_scale(modality)
    return without_empty(modality)


def _refuse_second(name: str, modalities: Mapping[str, Modality]) -> None:
    if name in modalities:
        raise UsageError(f"the modality {name} comes from two inputs", hint="give one another name")


def _check_names(request: PrepareRequest, modalities: Mapping[str, Modality]) -> None:
    """Refuse options that speak of a modality that is not there."""
    for option, names in (
        ("--kind", request.kinds),
        ("--m-to-beta", request.m_to_beta),
        ("--log2", request.log2),
    ):
        for name in names:
            if name not in modalities:
                found = ", ".join(modalities)
                raise UsageError(f"there is no modality {name}", where=option, found=found)
