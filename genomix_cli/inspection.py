"""Reports on files and folders: their kind, main facts and, for a scored VCF, highest scores."""

from __future__ import annotations

import heapq
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import compress, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genomix_cli.cohorts.inspect.overview import Listing, overview
from genomix_cli.errors import DataError, UsageError, guarded
from genomix_cli.formats import detect
from genomix_cli.formats.run_folder import RunFolder, read_json
from genomix_cli.genome.parquet import MAGIC, parquet_size
from genomix_cli.genome.tables import how_made, leading_lines, open_text
from genomix_cli.provenance import LINE, facts_of
from genomix_cli.variants.score.tags import DIFFERENCE, REASON, is_signed, ranking_key

if TYPE_CHECKING:
    from genomix_cli.cohorts.runs import RunConfig as CohortRun
    from genomix_cli.formats.schema import VariantTable
    from genomix_cli.formats.sequences import Phenotype, Sequences
    from genomix_cli.genome.vcf.reader import Record
    from genomix_cli.variants.trained import ModelConfig

# Keys of the header lines that `score` writes, ##genomixKey=value, and their labels in a report.
HEADER_LINES = {
    "Model": "model",
    "Mode": "windows",
    "Device": "device",
    "Background": "background",
    "TracksAbsent": "tracks absent",
    "Warning": "warning",
    "Seen": "seen in training",
    "Version": "genomix",
    "Command": "command",
    "Input": "inputs",
    "Seed": "seed",
    "Note": "note",
}

COHORT = "cohort"
# Number of column names shown of a table.
MAX_COLUMNS = 8
# Metrics shown of a trained classifier; metrics.json has more.
METRICS = "metrics.json"
LEADERBOARD = "leaderboard.json"
SHOWN_METRICS = ("accuracy", "macro_f1", "auroc", "nll", "calibration_error")
KINDS = (
    "a model or run folder, an evaluation, a leaderboard, a simulated genome, a shard, a cohort, a "
    "file of sequences, a VCF, a table of scores, reasons or metrics, a FASTA, a bigWig or a "
    "contact map"
)


@dataclass(frozen=True)
class Report:
    """Description of a file or folder.

    Attributes
    ----------
    path : Path
    kind : str
        Kind of the file, such as ``scored VCF``.
    facts : dict of str to Any
        Facts by label, as plain data: text, numbers, lists of text.
    tables : tuple of Listing
    """

    path: Path
    kind: str
    facts: Mapping[str, Any]
    tables: tuple[Listing, ...] = ()


def inspect(path: Path, top: int = 10) -> Report:
    """Describe a file or folder.

    Parameters
    ----------
    path : Path
    top : int
        Number of rows in a table of the highest scores.

    Returns
    -------
    Report

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If the file is damaged, or not of a kind that genomix reads or writes.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError("no such file", where=path)
    if path.is_dir():
        return _folder(path)
    start = _start(path)
    if start.startswith(detect.VCF):
        return _vcf(path, top)
    for magic, describe in _BY_START.items():
        if start.startswith(magic):
            return describe(path)
    raise DataError("is not a kind of file that genomix knows", where=path, expected=KINDS)


def _start(path: Path) -> bytes:
    try:
        return detect.first_bytes(path).lstrip(b" \n\r\t")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", where=path) from error


def _folder(path: Path) -> Report:
    if (path / "config.json").is_file():
        return _MODELS.get(RunFolder(path).domain, _variant_model)(path)
    if (path / "manifest.json").is_file():
        return _simulated(path)
    if (path / "train.json").is_file():
        resume = f"genomix train ... -o {path} --resume"
        return Report(path, "unfinished run", {"resume with": resume})
    for name, describe in _COMPARISONS.items():
        if (path / name).is_file():
            return describe(path)
    raise DataError("is not a kind of folder that genomix knows", where=path, expected=KINDS)


def _evaluation(path: Path) -> Report:
    data = read_json(path / METRICS)
    if data.get("format") != detect.EVALUATION:
        raise DataError("is not an evaluation", where=path / METRICS)
    with guarded(path / METRICS):
        main = data["main_metric"]
        rows = [
            (e["name"], e["variants"], e["metrics"].get(main), e["first_less_this"].get(main))
            for e in data["entrants"]
        ]
        table = _intervals(main, "first", rows)
        return _compared(path, "evaluation", data["counts"]["variants"], data, table)


def _leaderboard(path: Path) -> Report:
    data = read_json(path / LEADERBOARD)
    with guarded(path / LEADERBOARD):
        # Version 1 has one dataset, at the top level, whose leader is the reference.
        datasets = data.get("datasets", [data])
        tables = [_of_dataset(each) for each in datasets]
        contigs, notes = (
            list(dict.fromkeys(text for each in datasets for text in each[key]))
            for key in ("contigs", "notes")
        )
        variants = sum(each["variants"] for each in datasets)
        said = data | {"contigs": contigs, "notes": notes}
        return _compared(path, "leaderboard", variants, said, *tables)


def _of_dataset(board: Mapping[str, Any]) -> Listing:
    main, less = board["main"], "reference_less_this" if "leads" in board else "leader_less_this"
    rows = [(e["name"], e["n"], e["metrics"].get(main), e[less]) for e in board["rows"]]
    reference = "leader" if board.get("leads", True) else board["reference"]
    return _intervals(main, reference, rows, board.get("data", "compared"))


def _compared(
    path: Path, kind: str, variants: int, data: Mapping[str, Any], *tables: Listing
) -> Report:
    """Return the report of an evaluation or a leaderboard, which share these facts."""
    facts = {
        "result": data["headline"],
        "variants": variants,
        "contigs": data["contigs"],
        "mind": data["notes"] or "nothing",
    }
    return Report(path, kind, facts | _made(data["provenance"]), tables)


def _intervals(
    main: str, first: str, rows: Sequence[tuple[Any, ...]], title: str = "compared"
) -> Listing:
    """Return a table of entrants: main metric with interval, and the lead of `first` over each.

    Parameters
    ----------
    main, first : str
        Names of the main metric and of the entrant that the others are compared with.
    rows : sequence of tuple
        Entrant, number of variants, metric, lead; the last two have value, low and high, or are
        None.
    title : str
    """
    columns = ("entrant", "variants", main, "low", "high", f"{first} minus this", "from", "to")
    ends = ("value", "low", "high")
    cells = ((*row[:2], *((row[i] or {}).get(end) for i in (2, 3) for end in ends)) for row in rows)
    return Listing(title, columns, tuple(cells))


_COMPARISONS = {METRICS: _evaluation, LEADERBOARD: _leaderboard}


def _variant_model(path: Path) -> Report:
    from genomix_cli.variants.trained import read_config

    config = read_config(path)
    weights = RunFolder(path).weights
    facts: dict[str, Any] = {
        "model": config.model,
        "parameters": _parameters(weights),
        "tracks": [spec.name for spec in config.tracks],
        "assembly": config.assembly or "not stated",
        "architecture": _pairs({k: v for k, v in config.arch.items() if k != "tracks"}),
        "calibrated for": [str(c.conditions) for c in config.usable_calibrations] or "nothing",
        "background": _backgrounds(path, config),
    }
    if config.demonstration:
        facts["purpose"] = "demonstration: not for real conclusions"
    if config.pretrained_only:
        facts["purpose"] = "to start from (--init): pre-trained only"
    # For each part of the data and metric: the interval, and the ceiling for any model.
    with guarded(path / METRICS):
        rows = tuple(
            (part, name, value["value"], value["low"], value["high"], values.get(f"bayes_{name}"))
            for part, values in _metrics(path).items()
            if isinstance(values, dict)
            for name, value in values.items()
            if isinstance(value, dict)
        )
    columns = ("part", "metric", "value", "low", "high", "ceiling")
    held_out = (Listing("held out", columns, rows),) if (path / METRICS).is_file() else ()
    return Report(path, "model", facts | _made(config.provenance), held_out)


def _cohort_model(path: Path) -> Report:
    from genomix_cli.cohorts.runs import read_run_config

    config = read_run_config(path)
    facts = {
        "model": config.model,
        "numbers stored": _parameters(RunFolder(path).weights),
        "training samples": sum(config.counts),
        "architecture": _pairs(config.arch),
        "prediction sets": f"cover {config.level:.1%} of each class ({config.calibration})",
        **_headline(path),
    }
    modalities = tuple((m.name, m.kind, len(m.features)) for m in config.modalities)
    classes = tuple(zip(config.classes, config.counts, strict=True))
    tables = (
        Listing("modalities", ("modality", "kind", "features"), modalities),
        Listing("classes", ("class", "training samples"), classes),
        _calibrations(config),
        *_held_out(path),
    )
    return Report(path, "model of cohorts", facts | _made(config.provenance), tables)


def _calibrations(config: CohortRun) -> Listing:
    """Return a table of temperature and set thresholds, by the modalities that a sample has."""

    def samples(measured: tuple[tuple[bool, ...], ...] | None) -> str:
        names = [[m.name for m in compress(config.modalities, each)] for each in measured or ()]
        return " or ".join(" + ".join(each) or "nothing" for each in names) or "any"

    rows = ((samples(c.measured), c.temperature, *c.thresholds) for c in config.calibrations)
    least = (f"least p of {name}" for name in config.classes)
    return Listing("calibrated for", ("measured", "temperature", *least), tuple(rows))


def _sequence_model(path: Path) -> Report:
    from genomix_cli.sequences.runs import read_run

    config = read_run(path).config
    facts: dict[str, Any] = {
        "task": config.task,
        "model": config.model,
        "numbers stored": _parameters(RunFolder(path).weights),
        "length": config.length,
        "sequences": "aligned" if config.columns else "not aligned",
        "architecture": _pairs({k: v for k, v in config.arch.items() if k != "outputs"}),
    }
    if config.label:
        facts |= {"label": config.label, "classes": list(config.classes)}
    if "outputs" in config.arch:
        facts |= _as_scorer(path)
    facts |= _headline(path) | _made(config.provenance)
    tables = (*_outputs(config.arch), *_held_out(path))
    return Report(path, "model of sequences", facts, tables)


def _as_scorer(path: Path) -> dict[str, Any]:
    """Return the facts that concern an activity or profile network as a scorer of variants."""
    from genomix_cli.variants.trained import read_config

    config = read_config(path)
    names = config.activity.averaged if config.activity else ()
    return {
        "scores variants by": list(names) or "nothing",
        "background": _backgrounds(path, config),
    }


def _backgrounds(path: Path, config: ModelConfig) -> list[str] | str:
    """Describe the background variants whose scores are stored beside the weights."""
    from genomix_cli.provenance import sha256
    from genomix_cli.variants.score.background import load_backgrounds

    digest = sha256(RunFolder(path).weights)
    return list(map(str, load_backgrounds(path, digest, config.conditions()))) or "none"


def _outputs(arch: Mapping[str, Any]) -> tuple[Listing, ...]:
    """Return a table of the outputs of an activity or profile network, if it is one."""
    if "outputs" not in arch:
        return ()
    columns = ("name", "assay", "unit", "category", "left", "right")
    rows = tuple(tuple(output.get(name, "") for name in columns) for output in arch["outputs"])
    titles = ("output", "assay", "unit", "log-odds of", "left", "right")
    return (Listing("outputs", titles, rows),)


_MODELS = {"cohorts": _cohort_model, "sequences": _sequence_model}


def _metrics(path: Path) -> dict[str, Any]:
    file = path / METRICS
    return read_json(file) if file.is_file() else {}


def _held_out(path: Path) -> tuple[Listing, ...]:
    """Return a table of held-out metrics of a classifier and its baselines, one row per model."""
    with guarded(path / METRICS):
        outcomes = _metrics(path).get("outcomes", [])
        if not outcomes:
            return ()
        names = [name for name in SHOWN_METRICS if name in outcomes[0]["metrics"]]
        rows = tuple(
            (outcome["name"], *(outcome["metrics"][name]["interval"]["value"] for name in names))
            for outcome in outcomes
        )
    return (Listing("held out", ("model", *names), rows),)


def _headline(path: Path) -> dict[str, Any]:
    """Return the result of the comparison with baselines, and its warnings, in words."""
    metrics = _metrics(path)
    facts = {"result": metrics.get("headline"), "mind": metrics.get("warnings")}
    return {name: text for name, text in facts.items() if text}


def _parameters(weights: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, "np") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot be read: {error}", where=weights) from error
    return sum(map(math.prod, shapes))


def _simulated(path: Path) -> Report:
    manifest = read_json(path / "manifest.json")
    if manifest.get("format") != "genomix-simulated-genome":
        raise DataError("is not a simulated genome", where=path / "manifest.json")
    with guarded(path / "manifest.json"):
        facts = {
            "contigs": _contigs(manifest["contigs"]),
            "tracks": manifest["tracks"],
            **{name.replace("_", " "): count for name, count in manifest["counts"].items()},
            "prevalence": manifest["prevalence"],
            "Bayes-optimal AUROC": manifest["bayes"]["auroc"],
            "Bayes-optimal AUPRC": manifest["bayes"]["auprc"],
            **_made(manifest["provenance"]),
        }
    return Report(path, "simulated genome", facts)


def _hdf5(path: Path) -> Report:
    from genomix_cli.formats.cohort import is_cohort
    from genomix_cli.formats.genome_shard import format_of

    describe = _LAYOUTS.get(format_of(path) or "")
    return (describe or (_cohort if is_cohort(path) else _contacts))(path)


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
    contigs = _listed(list(sequences.contigs))
    if sequences.columns is not None:
        facts["aligned"] = f"{int((sequences.columns.site >= 0).sum()):,} sites on {contigs}"
    if sequences.windows is not None:
        facts["windows of"] = contigs
    tables = tuple(table for table in _sequence_tables(sequences) if table.rows)
    return Report(path, "sequences", facts | _made(provenance_of(path)), tables)


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
        return name, "category", int((values >= 0).sum()), _listed(categories)
    known = values[np.isfinite(values)]
    span = f"{known.min():g} to {known.max():g}" if len(known) else "-"
    return name, "number", len(known), span


def _cohort(path: Path) -> Report:
    from genomix_cli.formats.cohort import open_cohort

    with open_cohort(path) as cohort:
        contents = overview(cohort)
        return Report(path, COHORT, contents.facts | _made(cohort.provenance), contents.tables)


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
        "contigs": _contigs(shard.contigs),
        "tracks": list(shard.tracks),
        "cell types": list(filter(None, shard.cells)) or "not stated",
        "contacts": "yes" if shard.has_contacts else "no",
        "uncovered bins": shard.uncovered,
        "assembly": shard.assembly or "not stated",
        **_labels(shard.variants),
    }
    return Report(path, "genome shard", facts | _made(shard.provenance))


def _windows(path: Path) -> Report:
    from genomix_cli.formats.genome_shard import open_windows

    windows = open_windows(path)
    facts = {
        "k-mers": f"{windows.kmers.shape[1]:,} per variant, k = {windows.attributes['k']}",
        "tracks": [spec["name"] for spec in windows.attributes["tracks"]],
        "bins": windows.signal.shape[2],
        **_labels(windows.variants),
    }
    return Report(path, "windows shard", facts | _made(windows.attributes["provenance"]))


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


def _bigwig(path: Path) -> Report:
    from genomix_cli.genome.bigwig import BigWig

    return _with_contigs(path, "bigWig", BigWig(path))


def _fasta(path: Path) -> Report:
    from genomix_cli.genome.fasta import Fasta

    return _with_contigs(path, "FASTA", Fasta(path))


def _with_contigs(path: Path, kind: str, file: Any) -> Report:
    with closing(file):
        return Report(path, kind, {"contigs": _contigs(file.lengths)})


def _table(path: Path) -> Report:
    """Return the report of a table of scores, reasons or metrics."""
    said, columns, rows = how_made(path), *_size(path)
    words = said.get("Command", [""])[0].split()[:2]
    shown = [*columns[:MAX_COLUMNS], *(["..."] if len(columns) > MAX_COLUMNS else [])]
    facts = {"rows": rows, "columns": f"{len(columns):,} ({', '.join(shown)})"}
    return Report(path, f"table of {' '.join(words) or 'unknown origin'}", facts | _own_lines(said))


def _size(path: Path) -> tuple[list[str], int]:
    """Return the names of a table's columns, and its number of rows."""
    if _start(path).startswith(MAGIC):
        return parquet_size(path)
    lines, names = leading_lines(path)
    with open_text(path, errors="replace") as handle:
        return names.split("\t"), sum(1 for _ in handle) - len(lines) - 1


_BY_START: dict[Any, Callable[[Path], Report]] = {
    detect.HDF5: _hdf5,
    detect.BIGWIG: _bigwig,
    b">": _fasta,
    LINE.encode(): _table,
    MAGIC: _table,
}


def _vcf(path: Path, top: int) -> Report:
    from genomix_cli.genome.vcf.reader import VcfReader

    counts, reasons = Counter(records=0, alleles=0, scored=0), Counter[str]()
    with VcfReader(path) as reader:
        header = reader.header
        key = ranking_key(header.meta)
        signed = key is not None and is_signed(key)
        # A change in activity is a difference already, so DIFFERENCE would repeat it.
        shown = [name for name in (key, DIFFERENCE) if name and not (signed and name == DIFFERENCE)]
        alleles = _scored_alleles(reader, shown, counts, reasons)
        # Equal scores stay in file order. At least 1, since nlargest(0) would not read the file.
        rank: Any = (lambda row: abs(row[4])) if signed else itemgetter(4)
        highest = heapq.nlargest(max(top, 1), alleles, key=rank)[:top]
    scored = counts.pop("scored")
    facts: dict[str, Any] = {**counts, "samples": len(header.samples)}
    if key is None:
        return Report(path, "VCF", facts)
    facts |= {"scored": scored, **_own_lines(facts_of(header.meta))}
    not_scored = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    columns = ("contig", "pos", "ref", "alt", *shown)
    tables = (
        Listing("not scored", ("reason", "alleles"), not_scored),
        Listing("largest changes" if signed else "highest scores", columns, tuple(highest)),
    )
    return Report(path, "scored VCF", facts, tuple(table for table in tables if table.rows))


def _scored_alleles(
    records: Iterable[Record], keys: Iterable[str], counts: Counter[str], reasons: Counter[str]
) -> Iterator[tuple[Any, ...]]:
    """Yield locus and values of alleles that have a value for the first key.

    On the way, count records, alleles, scored alleles, and the reasons of alleles without a score.
    """
    for record in records:
        counts["records"] += 1
        values = [(record.info(name) or "").split(",") for name in (REASON, *keys)]
        for alt, reason, *texts in zip_longest(record.alts, *values, fillvalue="."):
            counts["alleles"] += 1
            numbers = list(map(_number, texts))
            if numbers and numbers[0] is not None:
                counts["scored"] += 1
                yield record.chrom, str(record.pos), record.ref, alt, *numbers
            elif reason not in ("", "."):
                reasons[reason] += 1


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _own_lines(said: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return facts from a file's provenance lines, with digests shortened to 12 digits."""
    facts: dict[str, Any] = {}
    for key, label in HEADER_LINES.items():
        short = [re.sub(r"sha256:(\w{12})\w*", r"\1", text) for text in said.get(key, ())]
        if short:
            facts[label] = short[0] if len(short) == 1 else short
    return facts


def _contigs(lengths: Mapping[str, int]) -> str:
    """Return text such as ``2 (chr1, chr2), 600,000 bp``."""
    return f"{len(lengths)} {_first(list(lengths))}, {sum(lengths.values()):,} bp"


def _listed(names: Sequence[str]) -> str:
    """Return text such as ``2 (a, b)``."""
    return f"{len(names):,} {_first(names)}"


def _first(names: Sequence[str]) -> str:
    return f"({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _made(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the version, command and inputs from the provenance of a genomix file."""
    facts: dict[str, Any] = {"genomix": provenance.get("version", "?")}
    if provenance.get("command"):
        facts["command"] = provenance["command"]
    if provenance.get("inputs"):
        facts["inputs"] = [f"{name} {digest[:12]}" for name, digest in provenance["inputs"].items()]
    return facts


def _pairs(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items())
