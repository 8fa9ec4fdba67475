"""Read every input of a cohort, samples in rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from genomix_cli.cohorts.prepare import cbioportal
from genomix_cli.cohorts.prepare.clinical import Clinical, Roles, check_columns, read_clinical
from genomix_cli.cohorts.prepare.fragments import read_bins, read_lengths
from genomix_cli.cohorts.prepare.modality import Modality, feature_table, finish
from genomix_cli.cohorts.prepare.mutations import read_mutations
from genomix_cli.cohorts.prepare.records import What, what_is
from genomix_cli.cohorts.prepare.samples import Axis, orient
from genomix_cli.cohorts.prepare.scverse import kind_of, read_scverse
from genomix_cli.cohorts.prepare.segments import read_segments
from genomix_cli.cohorts.prepare.tables import Table, read_matrix
from genomix_cli.errors import UsageError
from genomix_cli.formats.cohort import KINDS, Kind, is_mudata

if TYPE_CHECKING:
    from genomix_cli.cohorts.requests import PrepareRequest

log = logging.getLogger("genomix")

DEFAULT_ASSEMBLY = "hg38"
# Files of a study that are not matrices.
_STUDY_RECORDS: dict[str, What] = {"mutations": "calls", "segments": "segments"}
# Kinds of the files that are not matrices.
_RECORD_KINDS = {
    "calls": "mutations",
    "segments": "copy_number",
    "lengths": "fragments",
    "bins": "fragments",
}


@dataclass
class Inputs:
    """Inputs of a cohort.

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


def read_inputs(request: PrepareRequest) -> Inputs:
    """Read every file of a request.

    Raises
    ------
    UsageError, DataError
        If one cannot be read as what it is said to be.
    """
    inputs = Inputs()
    study = None if request.study is None else cbioportal.find_study(request.study, request.panels)
    contents = {name: what_is(path) for name, path in request.modalities.items()}
    _check_kinds(request, contents)
    # The clinical table comes first, so that a wrong column is reported before long work.
    if study is not None:
        _read_study_clinical(request, study, inputs)
    for path in request.inputs:
        if what_is(path) != "hdf5":
            hint = f"name it: -m NAME={path}"
            raise UsageError("the table has no modality name", where=path, hint=hint)
        _read_scverse(request, path, inputs)
    for name, path in request.modalities.items():
        if contents[name] == "hdf5":
            _read_scverse(request, path, inputs, name)
    if request.clinical is not None:
        table = read_clinical(request.clinical, request.sample_column, request.duplicates)
        inputs.clinical.append(table)
        inputs.files["clinical"] = request.clinical
    check_columns([table.frame for table in inputs.clinical], Roles.of(request), request.clinical)
    if study is not None:
        _read_study(request, study, inputs)
    _read_named(request, contents, inputs)
    _refuse_unknown(request, inputs.modalities)
    inputs.modalities = {name: finish(request, m) for name, m in inputs.modalities.items()}
    return inputs


def _check_kinds(request: PrepareRequest, contents: Mapping[str, What]) -> None:
    """Refuse kinds that are unknown or contradict the content of their file."""
    for name, what in contents.items():
        implied = _RECORD_KINDS.get(what)
        if implied is None and what == "matrix":
            kind_of(name, request.kinds)
        elif implied is not None and request.kinds.get(name, implied) != implied:
            raise UsageError(
                f"{request.modalities[name]} holds {what}",
                where=f"--kind {name}",
                expected=implied,
                found=request.kinds[name],
            )


def _read_scverse(
    request: PrepareRequest, path: Path, inputs: Inputs, name: str | None = None
) -> None:
    """Read a file with modalities in it; `name` is that of its only one."""
    if name is not None and is_mudata(path):
        hint = f"give the file alone: genomix prepare cohort {path.name} -o ..."
        raise UsageError(f"{name}={path} already names its modalities", hint=hint)
    modalities, clinical = read_scverse(path, request.kinds, name)
    inputs.files[f"modality {name}" if name else f"cohort {path.name}"] = path
    for modality in modalities:
        _refuse_second(modality.name, inputs.modalities)
        inputs.modalities[modality.name] = modality
    if len(clinical.frame.columns):
        inputs.clinical.append(clinical)


def _read_named(request: PrepareRequest, contents: Mapping[str, What], inputs: Inputs) -> None:
    """Read the other files that `--modality` names."""
    matrices: dict[str, Table] = {}
    for name, what in contents.items():
        path = request.modalities[name]
        if what == "hdf5":
            continue
        _refuse_second(name, inputs.modalities)
        if what == "matrix":
            matrices[name] = _read_table(request, name, path)
        else:
            inputs.modalities[name] = _read_records(request, name, path, what)
        inputs.files[f"modality {name}"] = path
    known = {sample for m in inputs.modalities.values() for sample in m.samples}
    known |= {sample for table in inputs.clinical for sample in table.frame.index}
    axes = orient(matrices, known, request.samples)
    for name, table in matrices.items():
        kind = kind_of(name, request.kinds)
        inputs.modalities[name] = _upright(name, table, kind, axes[name])
    order = [name for name in inputs.modalities if name not in contents]
    inputs.modalities = {name: inputs.modalities[name] for name in [*order, *contents]}


def _read_table(request: PrepareRequest, name: str, path: Path) -> Table:
    return read_matrix(
        path,
        kind_of(name, request.kinds),
        id_column=request.id_column,
        skip=request.skip_columns,
        duplicates=request.duplicates,
    )


def _read_records(
    request: PrepareRequest,
    name: str,
    path: Path,
    what: What,
    study: cbioportal.Study | None = None,
) -> Modality:
    if what == "calls":
        coverage = None if study is None else cbioportal.study_coverage(study)
        return read_mutations(name, path, request.mutation_classes, coverage)
    if what == "segments":
        stated = None if study is None else study.assembly()
        assembly = request.assembly or stated or DEFAULT_ASSEMBLY
        return read_segments(name, path, request.bins, assembly, request.sex_chromosomes)
    return (read_lengths if what == "lengths" else read_bins)(name, path)


def _read_study_clinical(request: PrepareRequest, study: cbioportal.Study, inputs: Inputs) -> None:
    clinical = cbioportal.study_clinical(study, request.duplicates)
    if clinical is not None:
        inputs.clinical.append(clinical)
        inputs.patient = cbioportal.PATIENT_ID if cbioportal.PATIENT_ID in clinical.frame else None


def _read_study(request: PrepareRequest, study: cbioportal.Study, inputs: Inputs) -> None:
    there = [name for name in cbioportal.MODALITIES if name in study.files]
    for name in request.only:
        if name not in there:
            available = ", ".join(there) or "nothing"
            raise UsageError(f"the study has no {name}", where="--only", found=available)
    asked = [name for name in there if not request.only or name in request.only]
    log.info("%s: reading %s", study.folder, ", ".join(study.files[name].name for name in asked))
    for name in asked:
        _refuse_second(name, inputs.modalities)
        inputs.modalities[name] = _study_modality(request, study, name)
    inputs.files |= study.inputs(asked)


def _study_modality(request: PrepareRequest, study: cbioportal.Study, name: str) -> Modality:
    path = study.files[name]
    if name in _STUDY_RECORDS:
        return _read_records(request, name, path, _STUDY_RECORDS[name], study)
    kind = KINDS[cbioportal.MODALITIES[name]]
    table = read_matrix(path, kind, skip=request.skip_columns, duplicates=request.duplicates)
    return _upright(name, table, kind, "columns")


def _upright(name: str, table: Table, kind: Kind, samples: Axis) -> Modality:
    """Return a matrix with samples in rows."""
    names, features, values = table.rows, table.columns, table.values
    if samples == "columns":
        names, features, values = features, names, values.T
    return Modality(name, kind, names, feature_table(features, kind), values, table.path)


def _refuse_second(name: str, modalities: Mapping[str, Modality]) -> None:
    if name in modalities:
        raise UsageError(f"the modality {name} comes from two inputs", hint="rename one of them")


def _refuse_unknown(request: PrepareRequest, modalities: Mapping[str, Modality]) -> None:
    """Refuse options that name a modality that does not exist."""
    for option, names in (
        ("--kind", request.kinds),
        ("--m-to-beta", request.m_to_beta),
        ("--log-transform", request.log_transform),
    ):
        for name in names:
            if name not in modalities:
                known = ", ".join(modalities)
                raise UsageError(f"there is no modality {name}", where=option, found=known)
