"""Read mutation calls (MAF) as a matrix of samples x genes: mutated, not mutated, not sequenced."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.prepare.modality import Modality, feature_table
from genomix_cli.cohorts.prepare.records import CALLS, CALLS_MORE, Records, read_records
from genomix_cli.cohorts.requests import PROTEIN_CHANGING
from genomix_cli.errors import DataError
from genomix_cli.formats.cohort import KINDS
from genomix_cli.genome.tables import is_missing

log = logging.getLogger("genomix")

ALL_CLASSES = "all"
# Values of Mutation_Status that are not tumour mutations; cBioPortal skips them too.
_NO_MUTATION = frozenset(["loh", "wildtype", "none"])
_SEQUENCED = "#Sequenced_Samples:"


@dataclass(frozen=True)
class Coverage:
    """Genes that were sequenced in each sample.

    Attributes
    ----------
    panel_of : mapping of str to str
        Panel by sample; samples that are absent were not sequenced.
    genes : mapping of str to tuple of str, or None
        Genes by panel; None for all (a whole exome or genome).
    source : str
        Source of this information, for the summary.
    """

    panel_of: Mapping[str, str]
    genes: Mapping[str, tuple[str, ...] | None]
    source: str


def whole_exomes(samples: Collection[str], source: str) -> Coverage:
    """Return the coverage of samples of which all genes were sequenced."""
    return Coverage(dict.fromkeys(samples, "all"), {"all": None}, source)


def read_mutations(
    name: str,
    path: Path,
    classes: Collection[str] = PROTEIN_CHANGING,
    coverage: Coverage | None = None,
) -> Modality:
    """Read a MAF: 1 for mutated, 0 for not mutated, NaN for not sequenced.

    Parameters
    ----------
    name : str
        Name of the modality.
    path : Path
        MAF, gzipped or not.
    classes : collection of str
        Variant_Classification of the calls that count; ``("all",)`` for all.
    coverage : Coverage, optional
        By default all genes of the samples in the file's ``#Sequenced_Samples`` line, or without
        such a line of the samples that have a call.

    Raises
    ------
    DataError
        If the file is not a MAF, or no call counts.
    """
    records = read_records(path, CALLS, CALLS_MORE)
    _, samples = records.codes("sample")
    coverage = coverage or _own_coverage(records, samples)
    reasons = _why_not(records, classes, coverage)
    counted = reasons == ""
    if not counted.any():
        found = ", ".join(f"{n} {reason}" for reason, n in _tally(reasons).items())
        raise DataError(
            "no mutation call is counted", where=path, found=found, hint="see --mutation-class"
        )
    values, samples, genes = _matrix(records, counted, coverage)
    notes = _notes(records, reasons, coverage)
    log.info("%s: %s of %s calls are counted", name, f"{counted.sum():,}", f"{len(counted):,}")
    kind = KINDS["mutations"]
    return Modality(name, kind, samples, feature_table(genes, kind), values, path, notes)


def sequenced_samples(comments: Collection[str]) -> list[str]:
    """Return the samples of a ``#Sequenced_Samples`` line of a MAF."""
    return [
        sample
        for line in comments
        if line.startswith(_SEQUENCED)
        for sample in line.removeprefix(_SEQUENCED).split()
    ]


def _own_coverage(records: Records, samples: Collection[str]) -> Coverage:
    listed = sequenced_samples(records.comments)
    if listed:
        return whole_exomes(listed, "#Sequenced_Samples")
    text = "%s: the sequenced samples are not listed: those without a call lack the modality"
    log.warning(text, records.path)
    return whole_exomes(samples, "samples with a call")


def _why_not(records: Records, classes: Collection[str], coverage: Coverage) -> NDArray[np.object_]:
    """Return the reason why each call does not count; empty if it does."""
    calls = records.columns
    covered = {(panel, gene) for panel, genes in coverage.genes.items() for gene in genes or ()}
    limited = {panel for panel, genes in coverage.genes.items() if genes is not None}
    reasons = np.full(len(calls), "", object)

    def mark(where: Any, reason: Any) -> None:
        where = np.asarray(where, bool) & (reasons == "")
        reasons[where] = reason if isinstance(reason, str) else np.asarray(reason, object)[where]

    if "class" in calls and ALL_CLASSES not in classes:
        mark(~calls["class"].isin(list(classes)), calls["class"].replace("", "no class"))
    if "status" in calls:
        status = calls["status"]
        mark(status.str.lower().isin(list(_NO_MUTATION)), "Mutation_Status " + status)
    mark((calls["gene"] == "Unknown") | calls["gene"].map(is_missing), "no gene")
    mark(~calls["sample"].isin(list(coverage.panel_of)), "sample in no mutation profile")
    panels = calls["sample"].map(coverage.panel_of)
    off_panel = [
        panel in limited and (panel, gene) not in covered
        for panel, gene in zip(panels, calls["gene"], strict=True)
    ]
    mark(off_panel, "gene not on the panel of the sample")
    return reasons


def _matrix(
    records: Records, counted: NDArray[np.bool_], coverage: Coverage
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    calls = records.columns[counted]
    listed = [gene for genes in coverage.genes.values() for gene in genes or ()]
    genes = list(dict.fromkeys([*listed, *calls["gene"]]))
    column = {gene: i for i, gene in enumerate(genes)}
    row = {sample: i for i, sample in enumerate(coverage.panel_of)}
    values = np.zeros((len(row), len(genes)), np.float32)
    panels = np.array(list(coverage.panel_of.values()), object)
    for panel, covered in coverage.genes.items():
        if covered is not None:
            other = np.setdiff1d(np.arange(len(genes)), [column[gene] for gene in covered])
            values[np.ix_(panels == panel, other)] = np.nan
    values[calls["sample"].map(row), calls["gene"].map(column)] = 1
    return values, list(row), genes


def _notes(records: Records, reasons: NDArray[np.object_], coverage: Coverage) -> dict[str, Any]:
    calls = records.columns
    return {
        "calls": len(calls),
        "calls counted": int((reasons == "").sum()),
        "calls not counted": _tally(reasons),
        "samples with calls": int(calls["sample"].nunique()),
        "genes with calls": int(calls["gene"].nunique()),
        "sequenced according to": coverage.source,
    }


def _tally(reasons: NDArray[np.object_]) -> dict[str, int]:
    """Return the number of calls for each reason, the most frequent first."""
    return dict(Counter(sorted(reasons[reasons != ""])).most_common())
