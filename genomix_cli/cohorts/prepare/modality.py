"""One modality of a cohort on its way into the file."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import KINDS, Kind
from genomix_cli.genome.tables import converted

if TYPE_CHECKING:
    import pandas as pd

    from genomix_cli.cohorts.requests import PrepareRequest

log = logging.getLogger("genomix")

Values = NDArray[np.float32]

#: Larger than any logarithm of an expression or accessibility: it would mean 2^40 reads.
LARGEST_LOG = 40.0
#: Numbers that many tables write for a missing value.
PLACEHOLDERS = (-99.0, -999.0, -9999.0)
_INTERVAL = re.compile(r"(?P<contig>[^:\s]+):(?P<start>\d+)-(?P<end>\d+)(?::(?P<readout>\w+))?")
_LENGTH = re.compile(r"(?:len_?|length_?)?(\d+)(?:bp)?", re.IGNORECASE)


@dataclass(frozen=True)
class Modality:
    """Matrix of one modality, samples in rows.

    Attributes
    ----------
    name : str
    kind : Kind
    samples : list of str
        As spelled in the file; unique.
    features : DataFrame
        One row per feature, indexed by name.
    values : NDArray
        float32 ``[samples, features]``, NaN if missing; may be a transposed view.
    source : Path
    notes : dict
        Plain data on what was left out, for the summary.
    """

    name: str
    kind: Kind
    samples: list[str]
    features: pd.DataFrame
    values: Values
    source: Path
    notes: dict[str, Any] = field(default_factory=dict)


def feature_table(names: Sequence[str], kind: Kind) -> pd.DataFrame:
    """Return the features by name, with the information in their names.

    ``chr1:0-5000000`` gives `contig`, `start` and `end`, ``chr1:0-5000000:short`` also `readout`,
    and for fragments ``167`` or ``len_167`` gives `length`.
    """
    import pandas as pd

    table = pd.DataFrame(index=pd.Index(list(names), dtype=object))
    matches = [_INTERVAL.fullmatch(name) for name in names]
    if all(matches):
        parts = [match.groupdict() for match in matches if match]
        table["contig"] = pd.Categorical([part["contig"] for part in parts])
        for end in ("start", "end"):
            table[end] = np.array([int(part[end]) for part in parts], np.int64)
        if all(part["readout"] for part in parts):
            table["readout"] = pd.Categorical([part["readout"] for part in parts])
    elif kind.name == "fragments":
        lengths = [_LENGTH.fullmatch(name) for name in names]
        if all(lengths):
            table["length"] = np.array([int(match[1]) for match in lengths if match], np.int64)
    return table


def beta_of_m(values: NDArray[Any]) -> NDArray[Any]:
    """Return methylated fractions of M-values: beta = 2^M / (2^M + 1), of the same type.

    Du et al. 2010, doi:10.1186/1471-2105-11-587, equation 3 solved for beta.
    """
    beta = np.negative(values)
    with np.errstate(over="ignore"):
        np.exp2(beta, out=beta)
        beta += 1
        np.reciprocal(beta, out=beta)
    return beta


def m_to_beta(modality: Modality) -> Modality:
    """Return a modality of M-values as methylated fractions."""
    return replace(modality, kind=KINDS["methylation"], values=beta_of_m(modality.values))


def log2_of(modality: Modality) -> Modality:
    """Return a modality with log2(x + 1) of every value.

    Raises
    ------
    DataError
        If one is negative.
    """
    low = float(np.nanmin(modality.values, initial=0))
    if low < 0:
        raise DataError(
            f"{modality.name} has negative values such as {low:g}: it is already on a log scale",
            where=modality.source,
            hint=f"remove --log-transform {modality.name}",
        )
    values = modality.values + np.float32(1)
    return replace(modality, values=np.log2(values, out=values))


def check_log_scale(modality: Modality) -> None:
    """Warn of values too large for logarithms, if the kind is on a log scale."""
    if modality.kind.name not in ("expression", "chromatin"):
        return
    name, top = modality.name, float(np.nanmax(modality.values, initial=-np.inf))
    if top > LARGEST_LOG:
        text = "%s: values up to %g are not on a log scale; take logarithms with --log-transform %s"
        log.warning(text, name, top, name)


def check_placeholders(modality: Modality) -> None:
    """Warn of a lowest value that tables write for a missing one."""
    low = float(np.nanmin(modality.values, initial=np.inf))
    if low in PLACEHOLDERS:
        count = int((modality.values == low).sum())
        text = "%s: the lowest value is %g (in %s cells); write NA where it means a missing value"
        log.warning(text, modality.name, low, f"{count:,}")


def check_names(modality: Modality) -> None:
    """Warn of features that a spreadsheet renamed."""
    if found := converted(list(modality.features.index)):
        log.warning(
            "%s: %s look like gene symbols that a spreadsheet turned into dates or numbers, as it "
            "makes 1-Mar of MARCH1: %s; restore them",
            *(modality.name, f"{len(found):,} features", ", ".join(found[:3])),
        )


def without_empty(modality: Modality) -> Modality:
    """Return the modality without samples that have no value: they lack the modality."""
    # The maximum, which needs no second matrix, is NaN only where all values are.
    known = ~np.isnan(np.fmax.reduce(modality.values, axis=1, initial=np.nan))
    if known.all():
        return modality
    empty = list(compress(modality.samples, ~known))
    text = "%s: %d samples without any value are taken to lack it, such as %s"
    log.warning(text, modality.name, len(empty), empty[0])
    return replace(
        modality,
        samples=list(compress(modality.samples, known)),
        values=modality.values[known],
        notes=modality.notes | {"samples without a value": len(empty)},
    )


def finish(request: PrepareRequest, modality: Modality) -> Modality:
    """Return a modality as the file holds it: transformed as requested, without empty samples.

    Raises
    ------
    UsageError, DataError
        If it does not hold what a transformation needs.
    """
    if modality.name in request.m_to_beta:
        if modality.kind.name != "methylation_m":
            raise UsageError(
                f"{modality.name} does not hold M-values",
                where="--m-to-beta",
                expected=f"--kind {modality.name}=methylation_m",
                found=modality.kind.name,
            )
        modality = m_to_beta(modality)
    if modality.name in request.log_transform:
        modality = log2_of(modality)
    check_log_scale(modality)
    check_placeholders(modality)
    check_names(modality)
    return without_empty(modality)
