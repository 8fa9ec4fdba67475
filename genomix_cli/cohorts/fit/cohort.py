"""Fit the parameters of a simulated cohort to a real one."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli import __version__
from genomix_cli.cohorts.fit.batches import confounding
from genomix_cli.cohorts.fit.chromatin import fit_chromatin
from genomix_cli.cohorts.fit.copy_number import fit_copy_number
from genomix_cli.cohorts.fit.expression import Tied, fit_expression, tied_genes
from genomix_cli.cohorts.fit.factors import fit_factors
from genomix_cli.cohorts.fit.fragments import fit_fragments
from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.fit.methylation import fit_methylation
from genomix_cli.cohorts.fit.mutations import fit_mutations
from genomix_cli.cohorts.prepare.modality import beta_of_m
from genomix_cli.cohorts.requests import FitRequest
from genomix_cli.cohorts.simulate.factors import FACTORED, FactorLaw
from genomix_cli.cohorts.simulate.missing import WHOLE, MissingParameters
from genomix_cli.cohorts.simulate.parameters import Batches, CohortParameters, to_yaml
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Shared
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import BATCH, Cohort, open_cohort
from genomix_cli.outputs import atomic_path, check_output
from genomix_cli.progress import track
from genomix_cli.provenance import sha256

log = logging.getLogger("genomix")

# Modality of the simulator and fitting function for each kind of values.
FITS: dict[str, tuple[str, Callable[[Measured], Fitted]]] = {
    "methylation": ("methylation", fit_methylation),
    "methylation_m": ("methylation", fit_methylation),
    "copy_number": ("copy_number", fit_copy_number),
    "fragments": ("fragmentomics", fit_fragments),
    "chromatin": ("chromatin", fit_chromatin),
    "expression": ("expression", fit_expression),
    "mutations": ("mutations", fit_mutations),
}
FEWEST_SAMPLES = 20
FEWEST_FEATURES = 5
# Larger tables are fitted by runs of neighbouring features.
MAX_FEATURES, RUNS = 20_000, 20
DIGITS = 5


@dataclass(frozen=True)
class FitSummary:
    """Result of a fit.

    Attributes
    ----------
    output : Path
    parameters : CohortParameters
    source : dict of str to str
        Modality of the cohort by modality of the simulator.
    fitted : dict of str to Fitted
        By modality of the simulator.
    notes : tuple of str
        Notes on all of them.
    """

    output: Path
    parameters: CohortParameters
    source: dict[str, str]
    fitted: dict[str, Fitted]
    notes: tuple[str, ...]


def fit_cohort(request: FitRequest) -> FitSummary:
    """Fit a cohort and write the parameters.

    Raises
    ------
    UsageError
        If there is nothing to fit, or the output exists and `force` is false.
    DataError
        If the data are too few, or of a kind that cannot be simulated.
    """
    if (request.cohort is None) == (not request.tables):
        raise UsageError(
            "fit needs a cohort file or tables",
            expected="genomix simulate fit COHORT.h5mu -o params.yaml, or --methylation FILE ...",
        )
    if request.cohort is not None and (request.clinical or request.label):
        raise UsageError(
            "a cohort file already has its label",
            where="--clinical and --label",
            hint="they go with tables; genomix prepare cohort --label chooses a cohort's",
        )
    check_output(request.output, force=request.force)
    with tempfile.TemporaryDirectory(prefix="genomix-fit-") as folder:
        path = request.cohort or _cohort_of_tables(request, Path(folder) / "tables.h5mu")
        with open_cohort(path) as cohort:
            if request.cohort is None:
                # Keep the temporary file out of messages.
                cohort.path = Path("tables")
            summary = _fit(request, cohort)
    with atomic_path(request.output, force=request.force) as draft:
        draft.write_text(_document(request, summary))
    return summary


def _cohort_of_tables(request: FitRequest, path: Path) -> Path:
    """Read tables as ``genomix prepare cohort`` does, into a cohort file at `path`."""
    from genomix_cli.cohorts.prepare.cohort import prepare_cohort
    from genomix_cli.cohorts.requests import PrepareRequest

    tables = PrepareRequest(
        path, modalities=request.tables, clinical=request.clinical, label=request.label
    )
    prepare_cohort(tables)
    return path


def _fit(request: FitRequest, cohort: Cohort) -> FitSummary:
    source = _sources(cohort, request.modalities)
    _refuse_fewer("samples", len(cohort.obs), FEWEST_SAMPLES, cohort.path)
    classes, label = _classes(cohort)
    batch = _batch(cohort)
    batches = Batches(max(int(batch.max(initial=0)) + 1, 1), 0.0)
    if batches.number > 1 and label.max(initial=-1) > 0:
        batches = replace(batches, confounding=_rounded(confounding(label, batch)))
    samples = request.samples or len(cohort.obs)
    base = CohortParameters(samples=samples, classes=classes, batches=batches)
    shared = base.build().shared
    law, fitted = _fitted(request, cohort, source, label, batch, shared)
    modalities = {name: _rounded(result.parameters) for name, result in fitted.items()}
    names = {name: original for name, original in source.items() if name != original}
    parameters = replace(
        base,
        missing=_missing(cohort, source),
        factors=_rounded(law),
        modalities=modalities,
        names=names,
    )
    return FitSummary(request.output, parameters, source, fitted, _notes(cohort, label, law))


def _fitted(
    request: FitRequest,
    cohort: Cohort,
    source: Mapping[str, str],
    label: Ints,
    batch: Ints,
    shared: Shared,
) -> tuple[FactorLaw, dict[str, Fitted]]:
    """Fit every modality; those that can show factors together, where classes are known."""
    factored: dict[str, Measured] = {}
    fitted: dict[str, Fitted] = {}
    notes: dict[str, tuple[str, ...]] = {}
    for name in track(list(source), "fitting"):
        measured, notes[name] = _measured(cohort, source[name], label, batch, shared)
        if request.factors and name in FACTORED and label.max(initial=-1) > 0:
            factored[name] = measured
            continue
        model = FITS[cohort.kinds[source[name]].name][1]
        with warnings.catch_warnings():
            # Classes without a value of a feature are handled below.
            warnings.simplefilter("ignore", RuntimeWarning)
            fitted[name] = model(measured)
    if "expression" in fitted:
        fitted["expression"] = _tie(cohort, source, fitted["expression"], label)
    law = FactorLaw()
    if factored:
        present = {name: cohort.present(source[name]) for name in factored}
        law, together = fit_factors(factored, present, label, request.factors)
        fitted |= together
    # In the order of the cohort.
    result = {
        name: replace(fitted[name], notes=fitted[name].notes + notes[name]) for name in source
    }
    return law, result


def _refuse_fewer(what: str, count: int, fewest: int, where: object) -> None:
    if count < fewest:
        raise DataError(
            f"too few {what} to fit to",
            where=where,
            expected=f"{fewest} or more",
            found=str(count),
        )


def _sources(cohort: Cohort, wanted: tuple[str, ...]) -> dict[str, str]:
    """Return the cohort's modality for each modality of the simulator, in the cohort's order."""
    unknown = [name for name in wanted if name not in cohort.modalities]
    if unknown:
        raise UsageError(
            f"has no modality {unknown[0]}",
            where=cohort.path,
            expected=" or ".join(cohort.modalities),
        )
    sources: dict[str, str] = {}
    for name in dict.fromkeys(wanted or cohort.modalities):
        kind = cohort.kinds[name].name
        if kind not in FITS:
            if wanted:
                raise DataError(
                    f"values of kind {kind} cannot be simulated",
                    where=f"{cohort.path} [{name}]",
                    expected=" or ".join(FITS),
                )
            log.warning("%s: left out, since values of kind %s cannot be simulated", name, kind)
            continue
        modality = FITS[kind][0]
        first = sources.setdefault(modality, name)
        if first != name and wanted:
            raise UsageError(
                f"{first} and {name} would both be the simulator's {modality}",
                where="--modalities",
                hint="name one of them",
            )
        if first != name:
            log.warning(
                "%s is not fitted, since %s is already used as the simulator's "
                "%s; to use it instead, add --modalities %s",
                *(name, first, modality, name),
            )
    if not sources:
        raise DataError(
            "has no modality that can be simulated",
            where=cohort.path,
            expected=" or ".join(FITS),
            found=", ".join(f"{name} ({kind.name})" for name, kind in cohort.kinds.items()),
        )
    return sources


def _classes(cohort: Cohort) -> tuple[dict[str, float], Ints]:
    """Return frequencies of the classes, and the class of each sample ``[n]``, -1 if unknown."""
    codes = cohort.labels
    counts = np.bincount(codes[codes >= 0], minlength=len(cohort.classes))
    present = np.flatnonzero(counts)
    if len(present) < 2:
        log.warning(
            "%s: no label with two or more classes, so class differences are not "
            "fitted: the YAML has two classes, A and B, that differ by the "
            "simulator's defaults",
            cohort.path,
        )
        return {"A": 0.5, "B": 0.5}, np.full(len(codes), -1)
    frequency = counts / counts.sum()
    classes = {cohort.classes[k]: _rounded(float(frequency[k])) for k in present}
    position = np.full(len(counts) + 1, -1)
    position[present] = np.arange(len(present))
    return classes, position[codes]


def _batch(cohort: Cohort) -> Ints:
    """Return the batch of each sample ``[n]``, numbered without gaps; -1 if unknown."""
    if BATCH not in cohort.obs:
        return np.full(len(cohort.obs), -1)
    codes = cohort.obs[BATCH].cat.remove_unused_categories().cat.codes
    return np.asarray(codes, np.int64)


def _missing(cohort: Cohort, source: Mapping[str, str]) -> MissingParameters:
    """Return the mean rate of missing values over the modalities, and the rate of each modality."""
    present = {name: cohort.present(original) for name, original in source.items()}
    lost = cells = 0
    for name, original in source.items():
        if name not in WHOLE:
            values = cohort.matrix(original)[present[name]]
            lost, cells = lost + int(np.isnan(values).sum()), cells + values.size
    some = np.any(list(present.values()), 0)
    absent = {name: 1 - float(here[some].mean()) for name, here in present.items()}
    mean = float(np.mean(list(absent.values())))
    by_modality = {n: _rounded(rate) for n, rate in absent.items()} if mean > 0 else {}
    values = _rounded(lost / max(cells, 1))
    return MissingParameters(values, _rounded(mean), by_modality=by_modality)


def _measured(
    cohort: Cohort, name: str, label: Ints, batch: Ints, shared: Shared
) -> tuple[Measured, tuple[str, ...]]:
    """Return the data of a modality to fit, and notes on what is left out."""
    where = f"{cohort.path} [{name}]"
    present = cohort.present(name)
    _refuse_fewer("samples", int(present.sum()), FEWEST_SAMPLES, where)
    values, table = cohort.matrix(name)[present], cohort.features(name)
    total = values.shape[1]
    columns, notes = np.arange(total), []
    if total > MAX_FEATURES:
        columns = _runs(total)
        notes.append(f"fitted to {len(columns):,} of {total:,} features, {RUNS} runs of neighbours")
    kind = cohort.kinds[name].name
    shown = values[:, columns].astype(float)
    if kind == "methylation_m":
        shown = beta_of_m(shown)
    if kind not in ("fragments", "copy_number", "mutations"):
        varies = _varies(shown)
        if not varies.all():
            notes.append(f"{int((~varies).sum()):,} features that are constant are left out")
        columns, shown = columns[varies], shown[:, varies]
    if kind != "fragments" and not _varies(shown).any():
        raise DataError("all values are missing or the same", where=where)
    _refuse_fewer("features", len(columns), FEWEST_FEATURES, where)
    known = label[present], batch[present]
    return Measured(shown, table.iloc[columns], total, *known, shared, where), tuple(notes)


def _varies(values: Floats) -> Any:
    """Return True for features with at least two different values ``[d]``."""
    low = np.where(np.isnan(values), np.inf, values).min(0)
    high = np.where(np.isnan(values), -np.inf, values).max(0)
    return high > low


def _runs(total: int) -> Ints:
    """Return runs of neighbours, evenly spaced over all features."""
    length = MAX_FEATURES // RUNS
    starts = np.linspace(0, total - length, RUNS).astype(int)
    return np.unique((starts[:, None] + np.arange(length)).ravel())


def _tie(cohort: Cohort, source: Mapping[str, str], expression: Fitted, label: Ints) -> Fitted:
    """Fit the genes whose expression follows their copy number, or opposes their methylation."""
    features = expression.parameters.features
    # A gene may follow both; the model ties it to one, and the classes need some too.
    tied = _tied_genes(cohort, source, "copy_number", 1, label)
    if tied is not None:
        expression = expression.with_estimates(dosage=min(tied.genes / features, 0.45))
    tied = _tied_genes(cohort, source, "methylation", -1, label)
    if tied is not None:
        expression = expression.with_estimates(
            silenced=min(tied.genes / features, 0.45),
            silencing=-tied.slope,
            silenced_from=tied.level,
        )
    return expression


def _tied_genes(
    cohort: Cohort, source: Mapping[str, str], other: str, sign: int, label: Ints
) -> Tied | None:
    """Return the genes that another modality drives; None if that cannot be seen."""
    if other not in source:
        return None
    # After a ``|``, names in TCGA's tables have the Entrez id.
    genes, others = (
        [str(name).split("|")[0] for name in cohort.features(source[m]).index]
        for m in ("expression", other)
    )
    column = {name: i for i, name in enumerate(others)}
    shared = [i for i, name in enumerate(genes) if name in column]
    both = cohort.present(source["expression"]) & cohort.present(source[other])
    if len(shared) < FEWEST_FEATURES or both.sum() < FEWEST_SAMPLES:
        return None
    x = cohort.matrix(source["expression"])[both][:, shared].astype(float)
    y = cohort.matrix(source[other])[both][:, [column[genes[i]] for i in shared]].astype(float)
    if cohort.kinds[source[other]].name == "methylation_m":
        y = beta_of_m(y)
    return tied_genes(x, y, label[both], sign)


def _notes(cohort: Cohort, label: Ints, law: FactorLaw) -> tuple[str, ...]:
    notes = ["purity keeps its default: no table of bulk values tells it from the size of effects"]
    if law.means:
        notes.append(
            "classes move factors, not single features: the cohort's Bayes accuracy is that of "
            "this model, and rises with the number of factors"
        )
    else:
        notes.append(
            "effects of classes are rough: every feature that differs between classes is a driver "
            "of one, all by the typical amount, and independent of others given the class; the "
            "cohort's Bayes accuracy is that of this model, not of the disease"
        )
    notes.append(
        "missing modalities: the rate of each; missing values: the mean rate over the modalities; "
        "both at random (mcar)"
    )
    unknown = int((label < 0).sum())
    if label.max(initial=-1) < 0:
        notes.append("no label: classes A and B, drivers and penetrance are defaults")
    elif unknown:
        notes.append(f"{unknown:,} samples without a label count for everything but classes")
    if BATCH not in cohort.obs:
        notes.append("no batch: one")
    return tuple(notes)


def _rounded(value: Any) -> Any:
    """Round numbers to five significant digits, in parameters and tuples too."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, tuple):
        return tuple(map(_rounded, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _rounded(getattr(value, f.name)) for f in fields(value)})
    return value


def _document(request: FitRequest, summary: FitSummary) -> str:
    """Return the YAML, headed by how it was made."""
    inputs = filter(None, (request.cohort, *request.tables.values(), request.clinical))
    lines = [f"Parameters of `genomix simulate cohort`, fitted by genomix {__version__} to"]
    lines += [f"  {path.name} sha256 {sha256(path)}" for path in inputs]
    lines += [f"- {note}" for note in summary.notes]
    for name, fitted in summary.fitted.items():
        names = [f.name for f in fields(fitted.parameters)]
        default = [key for key in names if key not in fitted.estimated]
        lines.append(f"{name} (of {summary.source[name]})")
        lines.append(f"- estimated: {', '.join(fitted.estimated)}")
        lines.append(f"- defaults: {', '.join(default)}")
        lines += [f"- {note}" for note in fitted.notes]
    return "".join(f"# {line}\n" for line in lines) + to_yaml(summary.parameters)
