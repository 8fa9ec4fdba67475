"""What a file is: a few facts, and for a scored VCF what came out."""

from __future__ import annotations

import gzip
import heapq
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.vcf.bgzf import GZIP
from genomix_cli.variants.score.tags import DIFFERENCE, HEADER_PREFIX, PROBABILITY, REASON

if TYPE_CHECKING:
    from genomix_cli.formats.sequences import Sequences
    from genomix_cli.genome.vcf.reader import Record

# Lines that `score` puts into the header, ##genomixKey=value, and what they are called here.
HEADER_LINES = {
    "Model": "model",
    "Mode": "windows",
    "Device": "device",
    "Background": "background",
    "TracksAbsent": "tracks absent",
    "Warning": "warning",
    "Version": "genomix",
    "Command": "command",
    "Input": "inputs",
}

_HDF5 = b"\x89HDF\r\n\x1a\n"
_BIGWIG = (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26")
# mudata's own first line, before that of HDF5.
_MUDATA = b"MuData"

COHORT = "cohort"
# Of a trained model of cohorts; metrics.json has more.
SHOWN_METRICS = ("accuracy", "macro_f1", "auroc", "nll", "calibration_error")
_PICTURED = "a cohort (.h5mu) for --plots and --beside"

KINDS = (
    "a model or run folder, a simulated genome, a shard, a cohort, a file of sequences, a VCF, a "
    "FASTA, a bigWig or a contact map"
)


@dataclass(frozen=True)
class Table:
    """A small table.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuple
        Text or numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Report:
    """What a file is.

    Attributes
    ----------
    path : Path
    kind : str
    facts : dict of str to Any
        Plain data: text, numbers, lists of text.
    tables : tuple of Table
    """

    path: Path
    kind: str
    facts: Mapping[str, Any]
    tables: tuple[Table, ...] = ()


def inspect(path: Path, top: int = 10) -> Report:
    """Say what a file or folder is.

    Parameters
    ----------
    path : Path
    top : int
        Rows in a table of the highest scores.

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If it is none of the kinds that genomix reads or writes, or is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError("no such file", where=path)
    describe = _folder if path.is_dir() else _by_content(path)
    return describe(path, top)


def _by_content(path: Path) -> Callable[[Path, int], Report]:
    """Chosen by the first bytes; names may lie."""
    start = _start(path)
    if start.startswith((_HDF5, _MUDATA)):
        return _hdf5
    if start.startswith(_BIGWIG):
        return _bigwig
    if start.startswith((b"##fileformat=VCF", b"BCF\x02")):
        return _vcf
    if start.lstrip().startswith(b">"):
        return _fasta
    raise DataError("is not a file that genomix knows", where=path, expected=KINDS)


def _start(path: Path) -> bytes:
    """The first bytes, decompressed."""
    try:
        with open(path, "rb") as raw:
            start = raw.read(4096)
        if start.startswith(GZIP):
            with gzip.open(path) as text:
                start = text.read(4096)
    except (OSError, EOFError) as error:
        raise DataError(f"cannot be read: {error}", where=path) from error
    return start


def _folder(path: Path, top: int) -> Report:
    if (path / "config.json").is_file():
        config = _json(path / "config.json")
        domain = config.get("domain") if isinstance(config, dict) else None
        return _MODELS.get(str(domain), _model)(path)
    if (path / "manifest.json").is_file():
        return _simulated(path)
    if (path / "train.json").is_file():
        return Report(
            path, "unfinished run", {"resume with": f"genomix train ... -o {path} --resume"}
        )
    raise DataError("is not a folder that genomix knows", where=path, expected=KINDS)


def _model(path: Path) -> Report:
    from genomix_cli.formats.run_folder import RunFolder
    from genomix_cli.provenance import sha256
    from genomix_cli.variants.score.background import load_background
    from genomix_cli.variants.trained import read_config

    config = read_config(path)
    facts: dict[str, Any] = {
        "model": config.model,
        "parameters": _parameters(path / "model.safetensors"),
        "tracks": [spec.name for spec in config.tracks],
        "assembly": config.assembly or "not stated",
        "architecture": _pairs({k: v for k, v in config.arch.items() if k != "tracks"}),
    }
    background = load_background(path, sha256(RunFolder(path).weights))
    facts["background"] = (
        "none" if background is None else f"{background.source}, {background.count:,} of them"
    )
    if config.demonstration:
        facts["purpose"] = "demonstration: not for real conclusions"
    if config.pretrained_only:
        facts["purpose"] = "to start from (--init): pre-trained only"
    return Report(path, "model", facts | _made(config.provenance), tuple(_metrics(path)))


def _cohort_model(path: Path) -> Report:
    from genomix_cli.cohorts.runs import read_run_config
    from genomix_cli.formats.run_folder import RunFolder

    config = read_run_config(path)
    facts: dict[str, Any] = {
        "model": config.model,
        "numbers stored": _parameters(RunFolder(path).weights),
        "training samples": sum(config.counts),
        "architecture": _pairs(config.arch),
        "temperature": config.temperature,
        "prediction sets": f"cover {config.level:.1%} of each class ({config.calibration})",
        **_headline(path),
    }
    modalities = tuple((m.name, m.kind, len(m.features)) for m in config.modalities)
    classes = tuple(zip(config.classes, config.counts, config.thresholds, strict=True))
    tables = (
        Table("modalities", ("modality", "kind", "features"), modalities),
        Table("classes", ("class", "training samples", "least p in a set"), classes),
        *_cohort_metrics(path),
    )
    return Report(path, "model of cohorts", facts | _made(config.provenance), tables)


def _sequence_run(path: Path) -> Report:
    from genomix_cli.formats.run_folder import RunFolder
    from genomix_cli.sequences.runs import read_run

    config = read_run(path).config
    facts: dict[str, Any] = {
        "task": config.task,
        "model": config.model,
        "numbers stored": _parameters(RunFolder(path).weights),
        "length": config.length,
        "sequences": "aligned" if config.columns else "not aligned",
        "architecture": _pairs(config.arch),
    }
    if config.label:
        facts |= {"label": config.label, "classes": list(config.classes)}
    facts |= _headline(path)
    tables = tuple(_cohort_metrics(path))
    return Report(path, "model of sequences", facts | _made(config.provenance), tables)


# A model of variants says no domain.
_MODELS = {"cohorts": _cohort_model, "sequences": _sequence_run}


def _cohort_metrics(path: Path) -> Iterator[Table]:
    """What the run folder says of samples held out: a row per model, and its baselines."""
    found = _judged(path).get("outcomes", [])
    names = [name for name in SHOWN_METRICS if found and name in found[0]["metrics"]]
    rows = tuple(
        (outcome["name"], *(outcome["metrics"][name]["interval"]["value"] for name in names))
        for outcome in found
    )
    if rows:
        yield Table("held out", ("model", *names), rows)


def _headline(path: Path) -> dict[str, Any]:
    """What came of the comparison, and what to mind, in words."""
    judged = _judged(path)
    said = {"result": judged.get("headline"), "mind": judged.get("warnings")}
    return {name: text for name, text in said.items() if text}


def _judged(path: Path) -> dict[str, Any]:
    file = path / "metrics.json"
    found = _json(file) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def _parameters(weights: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, "np") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot be read: {error}", where=weights) from error
    return int(sum(np.prod(shape, dtype=np.int64) for shape in shapes))


def _metrics(path: Path) -> Iterator[Table]:
    """Held-out metrics of a run folder, where it has them."""
    file = path / "metrics.json"
    if not file.is_file():
        return
    parts = _json(file)
    rows = tuple(
        (part, name, found["value"], found["low"], found["high"], values.get(f"bayes_{name}"))
        for part, values in parts.items()
        if isinstance(values, dict)
        for name, found in values.items()
        if isinstance(found, dict)
    )
    yield Table("held out", ("part", "metric", "value", "low", "high", "ceiling"), rows)


def _simulated(path: Path) -> Report:
    manifest = _json(path / "manifest.json")
    if manifest.get("format") != "genomix-simulated-genome":
        raise DataError("is not a simulated genome", where=path / "manifest.json")
    facts = {
        "contigs": _contigs(manifest["contigs"]),
        "tracks": manifest["tracks"],
        **{name.replace("_", " "): count for name, count in manifest["counts"].items()},
        "prevalence": manifest["prevalence"],
        "Bayes-optimal AUROC": manifest["bayes"]["auroc"],
        "Bayes-optimal AUPRC": manifest["bayes"]["auprc"],
    }
    return Report(path, "simulated genome", facts | _made(manifest["provenance"]))


def _hdf5(path: Path, top: int) -> Report:
    from genomix_cli.formats.cohort import is_cohort
    from genomix_cli.formats.genome_shard import format_of

    found = format_of(path)
    if found == "genomix-shard":
        return _shard(path)
    if found == "genomix-windows":
        return _windows(path)
    if found == "genomix-sequences":
        return _sequences(path)
    return _cohort(path) if is_cohort(path) else _contacts(path)


def _sequences(path: Path) -> Report:
    from genomix_cli.formats.sequences import open_sequences, provenance_of

    found = open_sequences(path)
    n_groups = len(np.unique(found.group))
    facts: dict[str, Any] = {
        "sequences": len(found),
        "length": found.length,
        "aligned": "no",
        "groups": "none" if n_groups == len(found) else n_groups,
        "assembly": found.assembly or "not stated",
        "label": found.default_label or "none",
    }
    if found.columns is not None:
        sites = int((found.columns.site >= 0).sum())
        facts["aligned"] = f"{sites:,} sites on {_listed(list(found.contigs))}"
    if found.windows is not None:
        facts["windows of"] = _listed(list(found.contigs))
    tables = tuple(table for table in _sequence_tables(found) if table.rows)
    return Report(path, "sequences", facts | _made(provenance_of(path)), tables)


def _sequence_tables(found: Sequences) -> Iterator[Table]:
    """Phenotypes, the classes of the label in each split."""
    phenotypes = []
    for phenotype in found.phenotypes:
        values = phenotype.values
        if phenotype.categories is None:
            known = values[np.isfinite(values)]
            what = f"{known.min():g} to {known.max():g}" if len(known) else "-"
            phenotypes.append((phenotype.name, "number", len(known), what))
        else:
            known = values[values >= 0]
            what = _listed(list(phenotype.categories))
            phenotypes.append((phenotype.name, "category", len(known), what))
    yield Table("phenotypes", ("phenotype", "kind", "known", "values"), tuple(phenotypes))
    splits = sorted({str(name) for name in found.split} - {""})
    yield Table(
        "splits", ("split", "sequences"), tuple((s, int((found.split == s).sum())) for s in splits)
    )
    if found.default_label:
        names, label = found.label()
        masks = [found.split == split for split in splits]
        counts = [
            np.bincount(label[(label >= 0) & m], minlength=len(names)) for m in (True, *masks)
        ]
        rows = tuple(zip(names, *(column.tolist() for column in counts), strict=True))
        yield Table(f"classes of {found.default_label}", ("class", "sequences", *splits), rows)


def _listed(names: list[str]) -> str:
    """``2 (a, b)``."""
    return f"{len(names):,} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _cohort(path: Path) -> Report:
    from genomix_cli.cohorts.inspect.overview import overview
    from genomix_cli.formats.cohort import open_cohort

    with open_cohort(path) as cohort:
        found = overview(cohort)
        facts = found.facts | _made(cohort.provenance)
    return Report(path, COHORT, facts, tuple(Table(*listing) for listing in found.tables))


def look_closer(
    report: Report, beside: Path | None = None, plots: Path | None = None, *, force: bool = False
) -> Report:
    """Compare a cohort with another, and draw it.

    Parameters
    ----------
    report : Report
        Of :func:`inspect`.
    beside : Path, optional
        Another cohort: a table of Kolmogorov-Smirnov distances is added to the report.
    plots : Path, optional
        Folder for pictures and the page that shows them.
    force : bool
        Replace an earlier folder of pictures.

    Returns
    -------
    Report
        With the table, and how many pictures there are.

    Raises
    ------
    UsageError
        If it is no cohort, or the folder is not to be replaced.
    DataError
        If the two have no modality in common.
    """
    from genomix_cli.cohorts.figures import called, check_folder, draw_cohorts
    from genomix_cli.cohorts.inspect.compare import compare, listing
    from genomix_cli.cohorts.inspect.overview import Listing
    from genomix_cli.formats.cohort import open_cohort

    if report.kind != COHORT:
        raise UsageError(f"is a {report.kind}", where=report.path, expected=_PICTURED)
    if plots is not None:
        check_folder(plots, force)
    with ExitStack() as stack:
        paths = [report.path] if beside is None else [report.path, beside]
        cohorts = [stack.enter_context(open_cohort(path)) for path in paths]
        if beside is not None:
            distances = listing(compare(*cohorts), *called(cohorts))
            report = replace(report, tables=(*report.tables, Table(*distances)))
        if plots is not None:
            tables = [Listing(t.title, t.columns, t.rows) for t in report.tables]
            drawn = draw_cohorts(cohorts, plots, tables, force=force)
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


def _labels(variants: Any) -> dict[str, Any]:
    labelled = np.isfinite(variants.label)
    facts: dict[str, Any] = {"variants": len(variants.pos), "labelled": int(labelled.sum())}
    if labelled.any():
        facts["positive"] = int((variants.label[labelled] > 0).sum())
    if measured := int(np.isfinite(variants.effect).sum()):
        facts["with an effect"] = measured
    return facts


def _contacts(path: Path) -> Report:
    from genomix_cli.genome.contacts import Contacts

    contacts = Contacts(path)
    try:
        return Report(path, "contact map", {"contigs": _contigs(contacts.lengths)})
    finally:
        contacts.close()


def _bigwig(path: Path, top: int) -> Report:
    from genomix_cli.genome.bigwig import BigWig

    file = BigWig(path)
    try:
        return Report(path, "bigWig", {"contigs": _contigs(file.lengths)})
    finally:
        file.close()


def _fasta(path: Path, top: int) -> Report:
    from genomix_cli.genome.fasta import Fasta

    with Fasta(path) as file:
        return Report(path, "FASTA", {"contigs": _contigs(file.lengths)})


class _Tally:
    """What the alleles of a VCF came to, in one pass and bounded memory.

    Parameters
    ----------
    top : int
        Highest scores to keep.
    """

    def __init__(self, top: int) -> None:
        self.records = self.alleles = self.scored = 0
        self.reasons: Counter[str] = Counter()
        self._top = top
        # A heap of (score, minus the number of the allele, row): of equal scores the first stays.
        self._heap: list[tuple[float, int, tuple[Any, ...]]] = []

    def add(self, record: Record) -> None:
        """Count one record."""
        self.records += 1
        reasons = (record.info(REASON) or "").split(",")
        scores, differences = (
            (record.info(key) or "").split(",") for key in (PROBABILITY, DIFFERENCE)
        )
        columns = zip_longest(record.alts, scores, differences, reasons, fillvalue=".")
        for alt, score, difference, reason in columns:
            self.alleles += 1
            value = _number(score)
            if value is not None:
                self.scored += 1
                place = (record.chrom, str(record.pos), record.ref, alt)
                row = (*place, value, _number(difference))
                self._keep((value, -self.alleles, row))
            elif reason not in ("", "."):
                self.reasons[reason] += 1

    def _keep(self, entry: tuple[float, int, tuple[Any, ...]]) -> None:
        if len(self._heap) < self._top:
            heapq.heappush(self._heap, entry)
        elif self._top:
            heapq.heappushpop(self._heap, entry)

    def tables(self) -> Iterator[Table]:
        """Reasons by their frequency, and the highest scores."""
        reasons = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        if reasons:
            yield Table("not scored", ("reason", "alleles"), tuple(reasons))
        if self._heap:
            rows = tuple(row for _, _, row in sorted(self._heap, reverse=True))
            yield Table(
                "highest scores", ("contig", "pos", "ref", "alt", PROBABILITY, DIFFERENCE), rows
            )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _vcf(path: Path, top: int) -> Report:
    from genomix_cli.genome.vcf.reader import VcfReader

    tally = _Tally(top)
    with VcfReader(path) as reader:
        header = reader.header
        for record in reader:
            tally.add(record)
    facts: dict[str, Any] = {
        "records": tally.records,
        "alleles": tally.alleles,
        "samples": max(0, len(header.columns.split("\t")) - 9),
    }
    if not any(line.startswith(f"##INFO=<ID={PROBABILITY},") for line in header.meta):
        return Report(path, "VCF", facts)
    facts |= {"scored": tally.scored, **_own_lines(header.meta)}
    return Report(path, "scored VCF", facts, tuple(tally.tables()))


def _own_lines(meta: tuple[str, ...]) -> dict[str, Any]:
    """What the header says of the scores."""
    facts: dict[str, Any] = {}
    for key, label in HEADER_LINES.items():
        start = f"{HEADER_PREFIX}{key}="
        found = [line.removeprefix(start) for line in meta if line.startswith(start)]
        short = [re.sub(r"sha256:(\w{12})\w*", r"\1", text) for text in found]
        if short:
            facts[label] = short[0] if len(short) == 1 else short
    return facts


def _contigs(lengths: Mapping[str, int]) -> str:
    """``2 (chr1, chr2), 600,000 bp``."""
    names = list(lengths)
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} ({shown}), {sum(lengths.values()):,} bp"


def _made(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """How a file of ours was made."""
    facts: dict[str, Any] = {"genomix": provenance.get("version", "?")}
    if provenance.get("command"):
        facts["command"] = provenance["command"]
    if provenance.get("inputs"):
        facts["inputs"] = [f"{name} {digest[:12]}" for name, digest in provenance["inputs"].items()]
    return facts


def _pairs(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items())


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", where=path) from error
