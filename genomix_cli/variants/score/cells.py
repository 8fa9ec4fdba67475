"""Scores in several cell types side by side, and the rank of each cell type per allele.

A model reads the tracks of one cell type at a time. The file is therefore scored once per cell
type, and the scores are joined record by record.

Letters: n alleles, C cell types.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from genomix_cli.errors import UsageError
from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.genome.tables import TextTable, open_table
from genomix_cli.genome.tracks import cells, rows_in_cell
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.reader import MISSING, Header, Record, VcfReader
from genomix_cli.genome.vcf.writer import (
    Column,
    Format,
    check_target,
    format_of,
    is_streamed,
    open_output,
    warn_of_suffix,
)
from genomix_cli.provenance import LINE
from genomix_cli.variants import trained
from genomix_cli.variants.records.cutting import blocks
from genomix_cli.variants.requests.score import ALL_CELLS, GenomeFiles, ScoreRequest
from genomix_cli.variants.score import tags
from genomix_cli.variants.score.annotate import KINDS, LOCUS, with_scores
from genomix_cli.variants.score.blocks import ScoreSummary
from genomix_cli.variants.score.differences import quantiles
from genomix_cli.variants.score.header import facts_of_run, provenance, score_line, warnings_of
from genomix_cli.variants.score.vcf import Scored, score_once, score_variants, write_statistics

log = logging.getLogger("genomix")

#: Records joined at a time.
BLOCK = 5_000
# Fields that differ between cell types; ranks in a background apply to a single cell type.
_OWN = (tags.PROBABILITY, tags.DIFFERENCE, tags.LOGIT)
_RANKS = (tags.PERCENTILE, tags.PHRED)
_FIELD = re.compile(rf"##INFO=<ID=({tags.PREFIX}\w+),Number=A,Type=(\w+),")
# Facts of a run that are the same in all cell types.
_SHARED_FACTS = ("Mode", "Precision", "Strands", "Device")


def score_cells(request: ScoreRequest) -> ScoreSummary:
    """Score a file in the cell type of its tracks, or in each of several.

    Raises
    ------
    UsageError
        As in `genomix_cli.variants.score.vcf.score_variants`; also if an option cannot be combined
        with several cell types.
    DataError, CheckError
        As in `score_variants`.
    """
    by_cell = _by_cell(request)
    if len(by_cell) == 1:
        (files,) = by_cell.values()
        return score_variants(replace(request, genome=files))
    names = _field_names(by_cell)
    _refuse(request)
    format = format_of(request.output, request.output_type)
    check_target(request.output, format, index=request.write_index)
    warn_of_suffix(request.output, request.output_type)
    beside = None if is_streamed(request.output) else request.output.resolve().parent
    # Indexing the first file shows early whether the records are sorted.
    first = Format.VCF_GZ if request.write_index else Format.VCF
    with tempfile.TemporaryDirectory(prefix=".genomix-cells-", dir=beside) as folder:
        parts = [Path(folder) / str(i) for i in range(len(by_cell))]
        done = [
            score_once(
                replace(
                    request,
                    genome=files,
                    output=part,
                    output_type=first.value if i == 0 else Format.TSV.value,
                    write_index=request.write_index and i == 0,
                    quantiles=False,
                    # Read annotations that do not depend on the cell type only once.
                    genes=request.genes if i == 0 else None,
                    known=request.known if i == 0 else (),
                    bigwig=request.bigwig and request.bigwig / name,
                ),
                cell=cell,
            )
            for i, (part, name, (cell, files)) in enumerate(
                zip(parts, names, by_cell.items(), strict=True)
            )
        ]
        joint = Joint.of(names, done, request)
        _join(joint, parts, done, format)
    summary = _summary(list(by_cell), [each.summary for each in done])
    write_statistics(summary, request, done[0].plan)
    return summary


def _by_cell(request: ScoreRequest) -> dict[str, GenomeFiles]:
    """Return the files of each requested cell type."""
    files = request.genome
    if not trained.read_config(trained.model_folder(request.model)).reads_window:
        return {"": replace(files, cell="" if files.cell == ALL_CELLS else files.cell)}
    if files.shard is not None:
        known = open_shard(files.shard).cells if files.cell == ALL_CELLS else (files.cell,)
        return {cell: replace(files, cell=cell) for cell in known}
    paths = list(files.tracks.values())
    named = cells(files.tracks)
    if len(named) == 1:
        return {named[0]: files}
    return {
        cell: replace(
            files,
            tracks={m: paths[row] for m, row in rows_in_cell(files.tracks, cell).items()},
        )
        for cell in named
    }


def _field_names(by_cell: Mapping[str, GenomeFiles]) -> dict[str, str]:
    """Return cell types by their field names, made of letters, digits and underscores."""
    names: dict[str, str] = {}
    for cell in by_cell:
        name = re.sub(r"\W+", "_", cell, flags=re.ASCII).strip("_")
        if not name or name in names:
            raise UsageError(
                f"{cell} does not give a unique field name",
                where="--track",
                expected="letters and digits after the @",
                found=" and ".join(filter(None, (names.get(name), cell))),
            )
        names[name] = cell
    return names


def _refuse(request: ScoreRequest) -> None:
    """Refuse options that work with a single cell type only."""
    wrong = {
        "--resume": request.resume,
        "--save-background": request.save_background,
        "--background": bool(request.background),
        "--lookup": bool(request.lookup),
    }
    for option, given in wrong.items():
        if given:
            hint = "score one cell type at a time"
            raise UsageError("cannot be combined with several cell types", where=option, hint=hint)
    if request.is_read_once:
        raise UsageError(
            "a pipe can be read only once, and there are several cell types",
            where=request.vcf,
            hint="give a file",
        )


@dataclass(frozen=True)
class Joint:
    """Fields of the joint output.

    Attributes
    ----------
    cells : dict of str to str
        Cell types by their field names.
    calibrated : tuple of bool
        True for each cell type with probabilities.
    comparable : bool
        True if scores can be compared between cell types: all are probabilities, or all are logits
        from the same inputs.
    request : ScoreRequest
    """

    cells: Mapping[str, str]
    calibrated: tuple[bool, ...]
    comparable: bool
    request: ScoreRequest

    @classmethod
    def of(cls, cells: Mapping[str, str], done: Sequence[Scored], request: ScoreRequest) -> Joint:
        """Return the joint fields for the finished runs, one per cell type."""
        calibrated = tuple(each.plan.calibration is not None for each in done)
        alike = len({each.plan.conditions for each in done}) == 1
        return cls(cells, calibrated, all(calibrated) or (alike and not any(calibrated)), request)

    @property
    def ranked(self) -> str:
        """Field that cell types are compared by; logits if none has probabilities."""
        return tags.PROBABILITY if any(self.calibrated) else tags.LOGIT

    @property
    def largest(self) -> tuple[str, ...]:
        """Fields of the cell type with the largest score, under their own names."""
        return (tags.PROBABILITY, tags.DIFFERENCE, *([] if any(self.calibrated) else [tags.LOGIT]))

    def tags(self) -> Iterator[tags.Tag]:
        """Yield the fields in output order."""
        meaning = {tag.key: tag for tag in (*tags.SCORES, *tags.UNCALIBRATED)}
        # Escape braces in names for str.format.
        shown = {name: c.replace("{", "{{").replace("}", "}}") for name, c in self.cells.items()}
        for key in self.largest:
            tag = meaning[key]
            yield tag._replace(text=f"{tag.text}; in the cell type of {tags.CELL}")
        yield tags.Tag(tags.CELL, "String", f"Cell type with the largest {self.ranked}")
        for (name, cell), calibrated in zip(shown.items(), self.calibrated, strict=True):
            for key in (*_OWN[:2], *([] if calibrated else [tags.LOGIT])):
                tag = meaning[key]
                yield tag._replace(key=f"{key}_{name}", text=f"{tag.text}, in {cell}")
            if self.request.quantiles:
                text = (
                    f"Share of the other cell types in which the allele scores less than in {cell}"
                )
                yield tags.Tag(tags.of_cell(name), "Float", text)

    def values(self, found: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, Sequence[str]]:
        """Return the values of each field for n alleles, ``[n]`` each.

        Parameters
        ----------
        found : sequence of mapping
            For each cell type, the texts ``[n]`` of its own fields.
        """
        score = np.array([_numbers(each[self.ranked]) for each in found]).T
        known = np.isfinite(score)
        largest = np.where(known, score, -np.inf).argmax(1)
        # Index of the cell type with the largest score; None without a score.
        best = [
            c if any_known else None for c, any_known in zip(largest, known.any(1), strict=True)
        ]
        values: dict[str, Sequence[str]] = {
            key: [MISSING if c is None else found[c][key][i] for i, c in enumerate(best)]
            for key in self.largest
        }
        names = list(self.cells)
        values[tags.CELL] = [MISSING if c is None else names[c] for c in best]
        for name, own in zip(names, found, strict=True):
            values |= {f"{key}_{name}": own[key] for key in _OWN if key in own}
        if self.request.quantiles:
            shares = quantiles(score if self.comparable else np.full_like(score, np.nan)).T
            values |= {
                tags.of_cell(name): [f"{q:.6g}" if np.isfinite(q) else MISSING for q in share]
                for name, share in zip(names, shares.tolist(), strict=True)
            }
        return values


def _numbers(texts: Sequence[str]) -> list[float]:
    return [np.nan if text == MISSING else float(text) for text in texts]


def _join(joint: Joint, parts: Sequence[Path], done: Sequence[Scored], format: Format) -> None:
    """Write the records of the first file with the scores of all files."""
    request = joint.request
    with ExitStack() as stack:
        reader = stack.enter_context(VcfReader(parts[0]))
        tables = [stack.enter_context(open_table(part)) for part in parts[1:]]
        others = [_rows(table) for table in tables]
        common = _common_fields(reader.header)
        header = _header(joint, reader.header, done)
        if format.is_bcf:
            header.refuse_for_bcf(request.vcf)
        columns = [
            *(Column(name, "int" if name == "POS" else "str") for name in LOCUS),
            *(Column(tag.key, KINDS[tag.kind]) for tag in joint.tags()),
            *(Column(key, KINDS[kind]) for key, kind in common.items()),
        ]
        output = stack.enter_context(
            open_output(
                request.output,
                format,
                columns=columns if format.is_table else None,
                index=request.write_index,
            )
        )
        if format.is_table:
            names = "\t".join(column.name for column in columns)
            output.lines([*header.only(LINE), names])
        else:
            output.lines(header.lines)
        for block in blocks(reader.lines(), BLOCK):
            output.text(_text(joint, block, others, list(common), format))
            output.end_block()
    for text in _warnings(joint, done):
        log.warning("%s", text)


def _rows(table: TextTable) -> Iterator[dict[str, str]]:
    for row in table.rows():
        yield dict(zip(table.columns, row.cells, strict=True))


def _text(
    joint: Joint,
    block: Lines,
    others: Sequence[Iterator[dict[str, str]]],
    common: Sequence[str],
    format: Format,
) -> bytes:
    """Return the VCF lines of a block, or the table rows of its alleles."""
    counts = [len(record.alts) for record in block]
    first = [_fields(record) for record in block]
    found = [{key: [t for r in first for t in r[key]] for key in _OWN if key in first[0]}]
    for rows in others:
        taken = list(islice(rows, sum(counts)))
        found.append({key: [row[key] for row in taken] for key in _OWN if key in taken[0]})
    values = joint.values(found)
    keys, start = [tag.key for tag in joint.tags()], 0
    made: list[bytes] = []
    for record, own, n in zip(block, first, counts, strict=True):
        texts = [values[key][start : start + n] for key in keys]
        start += n
        if format.is_table:
            more = [own.get(key, [MISSING] * n) for key in common]
            locus = record.fields[:3]
            for alt, *row in zip(record.alts, *texts, *more, strict=True):
                made.append(
                    "\t".join((*locus, record.ref, alt, *row)).encode("utf-8", "surrogateescape")
                    + b"\n"
                )
            continue
        scores = [f"{key}={','.join(each)}" for key, each in zip(keys, texts, strict=True)]
        scores += [f"{key}={','.join(own[key])}" for key in common if key in own]
        made.append(";".join(scores).encode("utf-8", "surrogateescape"))
    return b"".join(made) if format.is_table else with_scores(block, made)


def _fields(record: Record) -> dict[str, list[str]]:
    """Return the fields written by `score`, one text per ALT."""
    entries = (entry.partition("=") for entry in record.fields[7].split(";"))
    return {key: value.split(",") for key, _, value in entries if key.startswith(tags.PREFIX)}


def _common_fields(header: Header) -> dict[str, str]:
    """Return the fields that do not depend on the cell type, with their types."""
    fields = (_FIELD.match(line) for line in header.meta)
    kinds = {field[1]: field[2] for field in fields if field}
    return {key: kind for key, kind in kinds.items() if key not in (*_OWN, *_RANKS)}


def _header(joint: Joint, header: Header, done: Sequence[Scored]) -> Header:
    """Return the header of the joint output, based on that of the first cell type."""
    plan = done[0].plan
    made = replace(provenance(joint.request, plan), warnings=tuple(_warnings(joint, done)))
    facts = [fact for fact in facts_of_run(joint.request, plan) if fact[0] in _SHARED_FACTS]
    facts += [
        ("Cell", f"{cell}: {each.plan.conditions}; {'' if calibrated else 'not '}calibrated")
        for cell, calibrated, each in zip(joint.cells.values(), joint.calibrated, done, strict=True)
    ]
    old = (f"##INFO=<ID={key}," for key in (*_OWN, *_RANKS))
    lines = (score_line(t.key, t.kind, t.text.format(model=plan.name)) for t in joint.tags())
    return header.without(LINE, *old).plus([*lines, *made.lines(*facts)])


def _warnings(joint: Joint, done: Sequence[Scored]) -> Iterator[str]:
    """Yield the warnings for readers of the scores, each that holds for all cell types once."""
    by_cell = [warnings_of(each.plan, ranks=False) for each in done]
    for text in dict.fromkeys(text for texts in by_cell for text in texts):
        named = [c for c, own in zip(joint.cells.values(), by_cell, strict=True) if text in own]
        yield text if len(named) == len(by_cell) else f"{', '.join(named)}: {text}"
    if not joint.comparable:
        none = f": no {tags.QUANTILE}" if joint.request.quantiles else ""
        yield f"cell types with other tracks and no calibration for them do not compare{none}"
    yield f"no {tags.PERCENTILE}, no {tags.PHRED}: a background is of one cell type"


def _summary(cells: Sequence[str], of_each: Sequence[ScoreSummary]) -> ScoreSummary:
    """Return one summary of the runs in all cell types."""
    first = of_each[0]
    seconds = {stage: sum(each.seconds[stage] for each in of_each) for stage in first.seconds}
    named = list(zip(cells, of_each, strict=True))
    return replace(
        first,
        windows=sum(each.windows for each in of_each),
        observed={f"{n}@{cell}": x for cell, each in named for n, x in each.observed.items()},
        tracks_absent=tuple(f"{n}@{cell}" for cell, each in named for n in each.tracks_absent),
        seconds=seconds,
        histograms={cell: h for cell, each in named for h in each.histograms.values()},
        variants_per_second=round(first.scored / max(seconds["all"], 1e-9), 3),
    )
