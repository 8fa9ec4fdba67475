"""Reports on data: shards, sequences, cohorts, genomes, tracks, contact maps and tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genomix_cli.cohorts.inspect.overview import Listing, overview
from genomix_cli.errors import DataError, UsageError, guarded
from genomix_cli.formats.run_folder import read_json
from genomix_cli.genome.parquet import MAGIC, parquet_size
from genomix_cli.genome.tables import first_bytes, how_made, leading_lines, open_text
from genomix_cli.inspection.report import (
    Report,
    contigs_text,
    header_facts,
    names_text,
    provenance_facts,
)

if TYPE_CHECKING:
    from genomix_cli.formats.schema import VariantTable
    from genomix_cli.formats.sequences import Phenotype, Sequences

COHORT = "cohort"
# Number of column names shown of a table.
MAX_COLUMNS = 8


def simulated_genome(path: Path) -> Report:
    """Describe a folder of ``genomix simulate genome``."""
    manifest = read_json(path / "manifest.json")
    if manifest.get("format") != "genomix-simulated-genome":
        raise DataError("is not a simulated genome", where=path / "manifest.json")
    with guarded(path / "manifest.json"):
        facts = {
            "contigs": contigs_text(manifest["contigs"]),
            "tracks": manifest["tracks"],
            **{name.replace("_", " "): count for name, count in manifest["counts"].items()},
            "prevalence": manifest["prevalence"],
            "Bayes-optimal AUROC": manifest["bayes"]["auroc"],
            "Bayes-optimal AUPRC": manifest["bayes"]["auprc"],
            **provenance_facts(manifest["provenance"]),
        }
    return Report(path, "simulated genome", facts)


def hdf5(path: Path) -> Report:
    """Describe a shard, a file of sequences, a cohort or a contact map."""
    from genomix_cli.formats.cohort import is_mudata
    from genomix_cli.formats.reader import format_of

    describe = _LAYOUTS.get(format_of(path) or "")
    return (describe or (_cohort if is_mudata(path) else _contacts))(path)


def _sequences(path: Path) -> Report:
    from genomix_cli.formats.sequences import open_sequences, provenance_of

    sequences = open_sequences(path)
    n_groups = len(np.unique(sequences.group))
    facts: dict[str, Any] = {
        "sequences": len(sequences),
        "length": sequences.length,
        "aligned": "no",
        "groups": "none" if n_groups == len(sequences) else n_groups,
        "assembly": sequences.assembly or "not stated",
        "label": sequences.default_label or "none",
    }
    measurement = sequences.measurement
    if measurement.assay or measurement.unit:
        facts["measured"] = ", ".join(filter(None, [measurement.assay, measurement.unit]))
    if sequences.profiles is not None:
        facts["signal of each base"] = [
            name if name == other else f"{name} (other strand: {other})"
            for name, other in map(dict.values, sequences.profiles.listed())
        ]
    if measurement.left or measurement.right:
        facts["construct"] = f"{measurement.left}[sequence]{measurement.right}"
    contigs = names_text(list(sequences.contigs))
    if sequences.columns is not None:
        facts["aligned"] = f"{int((sequences.columns.site >= 0).sum()):,} sites on {contigs}"
    if sequences.windows is not None:
        facts["windows of"] = contigs
    tables = tuple(table for table in _sequence_tables(sequences) if table.rows)
    return Report(path, "sequences", facts | provenance_facts(provenance_of(path)), tables)


def _sequence_tables(sequences: Sequences) -> Iterator[Listing]:
    """Yield tables of phenotypes, of splits, and of the label's classes in each split."""
    phenotypes = tuple(map(_phenotype, sequences.phenotypes))
    yield Listing("phenotypes", ("phenotype", "kind", "known", "values"), phenotypes)
    splits = sorted({str(name) for name in sequences.split} - {""})
    masks = [sequences.split == split for split in splits]
    sizes = tuple(zip(splits, (int(mask.sum()) for mask in masks), strict=True))
    yield Listing("splits", ("split", "sequences"), sizes)
    if sequences.default_label:
        names, label = sequences.label()
        counts = (
            np.bincount(label[(label >= 0) & m], minlength=len(names)) for m in (True, *masks)
        )
        rows = tuple(zip(names, *(column.tolist() for column in counts), strict=True))
        title = f"classes of {sequences.default_label}"
        yield Listing(title, ("class", "sequences", *splits), rows)


def _phenotype(phenotype: Phenotype) -> tuple[str, str, int, str]:
    """Return name, kind, number of known values, and a summary of the values of a phenotype."""
    name, categories, values = phenotype.name, phenotype.categories, phenotype.values
    if categories is not None:
        return name, "category", int((values >= 0).sum()), names_text(categories)
    known = values[np.isfinite(values)]
    span = f"{known.min():g} to {known.max():g}" if len(known) else "-"
    return name, "number", len(known), span


def _cohort(path: Path) -> Report:
    from genomix_cli.formats.cohort import open_cohort

    with open_cohort(path) as cohort:
        contents = overview(cohort)
        return Report(
            path, COHORT, contents.facts | provenance_facts(cohort.provenance), contents.tables
        )


def look_closer(
    report: Report, beside: Path | None = None, plots: Path | None = None, *, force: bool = False
) -> Report:
    """Compare a cohort with another one, and draw figures of it.

    Parameters
    ----------
    report : Report
        Report of a cohort, from :func:`inspect`.
    beside : Path, optional
        Another cohort, for which a table of Kolmogorov-Smirnov distances is added.
    plots : Path, optional
        Folder for figures and a page that shows them.
    force : bool
        If True, replace an existing folder of figures.

    Returns
    -------
    Report
        Report with the table of distances and the number of figures.

    Raises
    ------
    UsageError
        If the report is not of a cohort, or the folder exists and may not be replaced.
    DataError
        If the two cohorts have no modality in common.
    """
    from genomix_cli.cohorts.figures import called, check_folder, draw_cohorts
    from genomix_cli.cohorts.inspect.compare import compare, listing
    from genomix_cli.formats.cohort import open_cohort

    if report.kind != COHORT:
        expected = "a cohort (.h5mu) for --plots and --beside"
        raise UsageError(f"is a {report.kind}", where=report.path, expected=expected)
    if not report.path.is_file():
        raise UsageError("is a pipe", where=report.path, expected="a file, to draw or compare it")
    if plots is not None:
        check_folder(plots, force)
    with ExitStack() as stack:
        paths = [report.path] if beside is None else [report.path, beside]
        cohorts = [stack.enter_context(open_cohort(path)) for path in paths]
        if beside is not None:
            distances = listing(compare(*cohorts), *called(cohorts))
            report = replace(report, tables=(*report.tables, distances))
        if plots is not None:
            drawn = draw_cohorts(cohorts, plots, report.tables, force=force)
            report = replace(report, facts={**report.facts, "pictures": len(drawn)})
    return report


def _shard(path: Path) -> Report:
    from genomix_cli.formats.genome_shard import open_shard

    shard = open_shard(path)
    facts = {
        "contigs": contigs_text(shard.contigs),
        "tracks": list(shard.tracks),
        "cell types": list(filter(None, shard.cells)) or "not stated",
        "contacts": "yes" if shard.has_contacts else "no",
        "uncovered bins": shard.uncovered,
        "assembly": shard.assembly or "not stated",
        **_labels(shard.variants),
    }
    return Report(path, "genome shard", facts | provenance_facts(shard.provenance))


def _windows(path: Path) -> Report:
    from genomix_cli.formats.genome_shard import open_windows

    windows = open_windows(path)
    facts = {
        "k-mers": f"{windows.kmers.shape[1]:,} per variant, k = {windows.attributes['k']}",
        "tracks": [spec["name"] for spec in windows.attributes["tracks"]],
        "bins": windows.signal.shape[2],
        **_labels(windows.variants),
    }
    return Report(path, "windows shard", facts | provenance_facts(windows.attributes["provenance"]))


_LAYOUTS = {
    "genomix-shard": _shard,
    "genomix-windows": _windows,
    "genomix-sequences": _sequences,
}


def _labels(variants: VariantTable) -> dict[str, Any]:
    labelled = variants.label[np.isfinite(variants.label)]
    facts = {"variants": len(variants.pos), "labelled": len(labelled)}
    if len(labelled):
        facts["positive"] = int((labelled > 0).sum())
    if measured := int(np.isfinite(variants.effect).sum()):
        facts["with an effect"] = measured
    return facts


def _contacts(path: Path) -> Report:
    from genomix_cli.genome.contacts import Contacts

    return _with_contigs(path, "contact map", Contacts(path))


def bigwig(path: Path) -> Report:
    """Describe a bigWig."""
    from genomix_cli.genome.bigwig import BigWig

    return _with_contigs(path, "bigWig", BigWig(path))


def fasta(path: Path) -> Report:
    """Describe a FASTA."""
    from genomix_cli.genome.fasta import Fasta

    return _with_contigs(path, "FASTA", Fasta(path))


def _with_contigs(path: Path, kind: str, file: Any) -> Report:
    with closing(file):
        return Report(path, kind, {"contigs": contigs_text(file.lengths)})


def table(path: Path) -> Report:
    """Describe a table of scores, reasons or metrics."""
    said, columns, rows = how_made(path), *_size(path)
    words = said.get("Command", [""])[0].split()[:2]
    shown = [*columns[:MAX_COLUMNS], *(["..."] if len(columns) > MAX_COLUMNS else [])]
    facts = {"rows": rows, "columns": f"{len(columns):,} ({', '.join(shown)})"}
    return Report(
        path, f"table of {' '.join(words) or 'unknown origin'}", facts | header_facts(said)
    )


def _size(path: Path) -> tuple[list[str], int]:
    """Return the names of a table's columns, and its number of rows."""
    if first_bytes(path).startswith(MAGIC):
        return parquet_size(path)
    lines, names = leading_lines(path)
    with open_text(path, errors="replace") as handle:
        return names.split("\t"), sum(1 for _ in handle) - len(lines) - 1
