"""Prepare a cohort file from real omics tables and a clinical table."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genomix_cli.cohorts.prepare import clinical as clinical_tables
from genomix_cli.cohorts.prepare.clinical import Clinical, Roles
from genomix_cli.cohorts.prepare.inputs import Inputs, read_inputs
from genomix_cli.cohorts.prepare.modality import Modality
from genomix_cli.cohorts.prepare.samples import LeftOut, check_shared, choose_spelling, pick_samples
from genomix_cli.cohorts.requests import PrepareRequest
from genomix_cli.comparison.tables import write_json
from genomix_cli.errors import UsageError
from genomix_cli.formats.cohort import BATCH, LABEL, PATIENT, require_extra
from genomix_cli.formats.cohort_writer import add_matrix, draft_cohort
from genomix_cli.provenance import Provenance

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("genomix")

# Number of values to write at a time.
_PIECE = 1 << 22
_EXAMPLES = 5
_CHOICES = {
    "samples": ("rows", "columns"),
    "ids": ("auto", "exact", "tcga"),
    "duplicates": ("error", "first"),
}
# Settings for the provenance; the rest of the request are inputs.
_SETTINGS = (
    *("kinds", "label", "batch", "patient", "keep", "drop_labels", "sample_column", "id_column"),
    *("skip_columns", "samples", "bins", "assembly", "sex_chromosomes", "ids", "duplicates"),
    *("m_to_beta", "log_transform", "mutation_classes", "only"),
)


@dataclass(frozen=True)
class ModalitySummary:
    """Summary of one modality.

    Attributes
    ----------
    kind : str
    samples, features : int
    missing : int
        Missing values in the samples that have the modality.
    notes : dict
        Counts of what was left out, by reason.
    """

    kind: str
    samples: int
    features: int
    missing: int
    notes: dict[str, Any]


@dataclass(frozen=True)
class PrepareSummary:
    """Contents of the cohort file, and what was left out.

    Attributes
    ----------
    output : str
    samples : int
    modalities : dict of str to ModalitySummary
    overlap : list of dict
        Combinations of modalities and their number of samples, the most frequent first.
    matched : str
        Level at which ids were matched: exact, sample or patient (the last two: TCGA barcodes).
    labels : dict of str to int
        Samples by class.
    unlabelled, without_clinical_row : int
        Samples of unknown class, and samples missing from the clinical table.
    batches, patients : int or None
        None if not known.
    left_out : dict of str to int
        Rows that are not in the file, by reason.
    examples : dict of str to list of str
        A few rows for each reason.
    """

    output: str
    samples: int
    modalities: dict[str, ModalitySummary]
    overlap: list[dict[str, Any]]
    matched: str
    labels: dict[str, int]
    unlabelled: int
    without_clinical_row: int
    batches: int | None
    patients: int | None
    left_out: dict[str, int]
    examples: dict[str, list[str]]

    @property
    def by(self) -> str:
        """Return the matching of ids in words."""
        words = {"exact": "their ids", "sample": "TCGA sample", "patient": "TCGA patient"}
        return words[self.matched]


@dataclass(frozen=True)
class _Matched:
    """Modalities whose samples are spelled alike."""

    modalities: dict[str, Modality]
    rows: dict[str, dict[str, int]]  # by modality: row of each sample
    obs: pd.DataFrame
    level: str
    left_out: LeftOut
    without_clinical_row: int


def prepare_cohort(request: PrepareRequest) -> PrepareSummary:
    """Read, check and match omics tables, and write them to one cohort file.

    Raises
    ------
    UsageError
        If options contradict each other, or name something that does not exist.
    DataError
        If an input is not valid.
    """
    _check(request)
    inputs = read_inputs(request)
    matched = _match(request, inputs)
    missing = _write(request, inputs, matched)
    summary = _summary(request, matched, missing)
    if request.stats is not None:
        write_json(summary, request.stats, force=True)
    return summary


def _check(request: PrepareRequest) -> None:
    """Refuse options that are wrong whatever the files hold, before any work."""
    require_extra()
    if request.output.exists() and not request.force:
        raise UsageError("already exists", where=request.output, hint="add --force to overwrite it")
    for path in (request.output, request.stats):
        if path is not None and not path.parent.is_dir():
            raise UsageError("no such folder", where=path.parent, hint="create it first")
    if not (request.modalities or request.inputs or request.study):
        raise UsageError("nothing to prepare", hint="give -m NAME=FILE, --study FOLDER or a file")
    for option, allowed in _CHOICES.items():
        value = getattr(request, option)
        if value is not None and value not in allowed:
            expected = " or ".join(allowed)
            raise UsageError("unknown", where=f"--{option}", expected=expected, found=value)
    for name in request.modalities:
        if "/" in name or "+" in name:
            raise UsageError(f"{name!r} cannot be the name of a modality", expected="no / and no +")


def _match(request: PrepareRequest, inputs: Inputs) -> _Matched:
    """Give the samples of all modalities one spelling and one order."""
    left_out = LeftOut()
    names = {name: modality.samples for name, modality in inputs.modalities.items()}
    clinical_names = {str(table.path): list(table.frame.index) for table in inputs.clinical}
    spelling = choose_spelling(names | clinical_names, request.ids)
    rows = {
        name: pick_samples(name, ids, spelling, request.duplicates, left_out)
        for name, ids in names.items()
    }
    clinical = clinical_tables.merge(
        [
            clinical_tables.respell(t, spelling, request.duplicates, left_out)
            for t in inputs.clinical
        ]
    )
    check_shared(rows, None if clinical is None else clinical.frame.index)
    samples, strangers = _order(rows, clinical, left_out)
    roles = replace(Roles.of(request), patient=request.patient or inputs.patient)
    obs = clinical_tables.observations(clinical, samples, spelling, roles)
    return _Matched(inputs.modalities, rows, obs, spelling.level, left_out, strangers)


def _order(
    rows: Mapping[str, Mapping[str, int]], clinical: Clinical | None, left_out: LeftOut
) -> tuple[list[str], int]:
    """Return samples in the order of the clinical table, then the rest, and how many those are."""
    measured = dict.fromkeys(sample for row_of in rows.values() for sample in row_of)
    if clinical is None:
        return list(measured), 0
    known = dict.fromkeys(clinical.frame.index)
    left_out.add("clinical row without a modality", [s for s in known if s not in measured])
    first = [sample for sample in known if sample in measured]
    others = [sample for sample in measured if sample not in known]
    return first + others, len(others)


def _write(request: PrepareRequest, inputs: Inputs, matched: _Matched) -> dict[str, int]:
    """Write the file; return the number of missing values of each modality."""
    import pandas as pd
    from anndata import AnnData

    order = {
        name: [s for s in matched.obs.index if s in rows] for name, rows in matched.rows.items()
    }
    empty = {
        name: AnnData(
            obs=pd.DataFrame(index=pd.Index(order[name], dtype=object)),
            var=modality.features,
            uns={"genomix": {"kind": modality.kind.name}},
        )
        for name, modality in matched.modalities.items()
    }
    settings = {name: getattr(request, name) for name in _SETTINGS}
    provenance = Provenance.of(settings, inputs.files)
    missing = {}
    with draft_cohort(request.output, empty, matched.obs, provenance, force=request.force) as file:
        for name, modality in matched.modalities.items():
            rows = np.array([matched.rows[name][sample] for sample in order[name]], np.intp)
            dataset = add_matrix(file, name, "X", (len(rows), modality.values.shape[1]))
            missing[name] = _fill(dataset, modality.values, rows)
    return missing


def _fill(dataset: Any, values: np.ndarray, rows: np.ndarray) -> int:
    """Write rows of a matrix piece by piece; return the number of missing values."""
    step = max(_PIECE // max(values.shape[1], 1), 1)
    missing = 0
    for start in range(0, len(rows), step):
        piece = values[rows[start : start + step]]
        dataset[start : start + step] = piece
        missing += int(np.isnan(piece).sum())
    return missing


def _summary(
    request: PrepareRequest, matched: _Matched, missing: Mapping[str, int]
) -> PrepareSummary:
    obs = matched.obs
    modalities = {
        name: ModalitySummary(
            m.kind.name, len(matched.rows[name]), len(m.features), missing[name], m.notes
        )
        for name, m in matched.modalities.items()
    }
    return PrepareSummary(
        output=str(request.output),
        samples=len(obs),
        modalities=modalities,
        overlap=_overlap(list(obs.index), matched.rows),
        matched=matched.level,
        labels=dict(clinical_tables.label_counts(obs)),
        unlabelled=int(obs[LABEL].isna().sum()) if LABEL in obs else len(obs),
        without_clinical_row=matched.without_clinical_row,
        batches=int(obs[BATCH].nunique()) if BATCH in obs else None,
        patients=int(obs[PATIENT].nunique()) if PATIENT in obs else None,
        left_out={reason: len(names) for reason, names in matched.left_out.names.items()},
        examples={r: names[:_EXAMPLES] for r, names in matched.left_out.names.items()},
    )


def _overlap(samples: Sequence[str], rows: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Count the samples of each combination of modalities."""
    counts = Counter(
        tuple(name for name, row_of in rows.items() if sample in row_of) for sample in samples
    )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"modalities": list(names), "samples": n} for names, n in ordered]
