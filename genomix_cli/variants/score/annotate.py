"""Scores as text: lines of a VCF or rows of a table, and the header that explains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli import __version__
from genomix_cli.genome.intervals import ContigNames, canonical
from genomix_cli.genome.vcf.reader import MISSING, Header, Record, contig_line, info_line
from genomix_cli.genome.vcf.writer import Column
from genomix_cli.learning.calibration import Platt
from genomix_cli.variants.records.alleles import REASONS, REF_MISMATCH
from genomix_cli.variants.records.checks import Checked
from genomix_cli.variants.score.background import Background
from genomix_cli.variants.score.engine import Scores
from genomix_cli.variants.score.tags import HEADER_PREFIX, PREFIX, RANKS, REASON, SCORES

DIFFERENCE_DECIMALS = 5
_INFO = 7
_LOCUS = (
    Column("CHROM", "str"),
    Column("POS", "int"),
    Column("ID", "str"),
    Column("REF", "str"),
    Column("ALT", "str"),
)


class Annotator:
    """Writes what the model said of a block.

    Parameters
    ----------
    calibration : Platt
    background : Background, optional
        Without one there are no ranks.
    table : bool
        Rows of a table, one per ALT, instead of lines of a VCF.
    exclude_mismatches : bool
        Leave records out whose REF is not the reference's.
    """

    def __init__(
        self,
        calibration: Platt,
        background: Background | None,
        *,
        table: bool,
        exclude_mismatches: bool,
    ) -> None:
        self.calibration = calibration
        self.background = background
        self.table = table
        self.exclude_mismatches = exclude_mismatches
        self.tags = (*SCORES, *(RANKS if background else ()))
        self._none = (MISSING,) * len(self.tags)
        self._keys = [f"{tag.key}=" for tag in self.tags]
        self._one = ";".join(key + "%s" for key in self._keys)
        self._unscored = self._one % self._none

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of the table."""
        scores = (Column(tag.key, "float") for tag in self.tags)
        return (*_LOCUS, *scores, Column(REASON, "str"))

    def lines(self, block: Sequence[Checked], scores: Scores) -> list[str]:
        """The records of a block, without line ends; `scores` of its scored alleles, in order."""
        values = self._texts(scores)
        lines: list[str] = []
        for checked in block:
            rows = [self._none if allele is None else next(values) for allele in checked.alleles]
            if self.exclude_mismatches and checked.site == REF_MISMATCH:
                continue
            if self.table:
                lines += _table_rows(checked, rows)
            else:
                lines.append(self._vcf_line(checked, rows))
        return lines

    def _texts(self, scores: Scores) -> Iterator[tuple[str, ...]]:
        """The values of each allele, in the order of the tags."""
        columns: list[NDArray[np.floating]] = [
            self.calibration.apply(scores.logit),
            # Below this is rounding; and a zero has no sign.
            np.round(scores.logit - scores.null, DIFFERENCE_DECIMALS) + np.float32(0),
        ]
        if self.background is not None:
            columns += [
                self.background.percentile(scores.logit),
                self.background.phred(scores.logit),
            ]
        return zip(*([f"{value:.6g}" for value in c.tolist()] for c in columns), strict=True)

    def _vcf_line(self, checked: Checked, rows: Sequence[tuple[str, ...]]) -> str:
        fields, reasons = checked.record.fields, checked.reasons
        if len(rows) == 1:
            scores = self._one % rows[0] if rows[0] is not self._none else self._unscored
            if reasons[0] is not None:
                scores += f";{REASON}={reasons[0]}"
        else:
            columns = zip(self._keys, zip(*rows, strict=True), strict=True)
            scores = ";".join([key + ",".join(column) for key, column in columns])
            if any(reasons):
                scores += f";{REASON}={','.join([reason or MISSING for reason in reasons])}"
        return with_scores(fields, scores)


def with_scores(fields: Sequence[str], scores: str) -> str:
    """A record's line with more INFO, instead of what an earlier scoring left.

    Parameters
    ----------
    fields : sequence of str
        See `genomix_cli.genome.vcf.reader.Record`.
    scores : str
        INFO entries, joined.
    """
    info = fields[_INFO]
    if PREFIX in info:
        info = ";".join(e for e in info.split(";") if not e.startswith(PREFIX)) or MISSING
    if info not in (MISSING, ""):
        scores = f"{info};{scores}"
    line = list(fields)
    line[_INFO] = scores
    return "\t".join(line)


def _table_rows(checked: Checked, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    chrom, pos, name, ref, alts = checked.record.fields[:5]
    for alt, row, reason in zip(alts.split(","), rows, checked.reasons, strict=True):
        yield "\t".join((chrom, pos, name, ref, alt, *row, reason or MISSING))


class Made(NamedTuple):
    """How the scores came about, for the header.

    Attributes
    ----------
    command : str
    config : str
        Resolved settings, as JSON.
    model : str
        Name and digest of the model.
    inputs : mapping of str to str
        Role and name of each file to its sha256.
    facts : mapping of str to str
        More lines: key to value.
    warnings : sequence of str
    """

    command: str
    config: str
    model: str
    inputs: Mapping[str, str]
    facts: Mapping[str, str]
    warnings: Sequence[str]


def scored_header(
    header: Header, contigs: Iterable[str], annotator: Annotator, name: str, made: Made
) -> Header:
    """The input's header, plus what the scores mean and how they were made.

    Lines of an earlier scoring are replaced.

    Parameters
    ----------
    header : Header
    contigs : iterable of str
        ``##contig`` lines to add.
    annotator : Annotator
    name : str
        Of the model.
    made : Made
    """
    kept = header.without(HEADER_PREFIX, f"##INFO=<ID={PREFIX}")
    background = annotator.background.source if annotator.background else ""
    reasons = ", ".join(f"{reason}: {meaning}" for reason, meaning in REASONS.items())
    return kept.plus(
        [
            *contigs,
            *(
                _info_line(tag.key, tag.kind, tag.text.format(model=name, background=background))
                for tag in annotator.tags
            ),
            _info_line(REASON, "String", f"Why the allele was not scored ({reasons})"),
            f"##genomixVersion={__version__}",
            f"##genomixCommand={made.command}",
            f"##genomixConfig={made.config}",
            f"##genomixModel={made.model}",
            *(f"##genomixInput={role} sha256:{digest}" for role, digest in made.inputs.items()),
            *(f"##genomix{key}={value}" for key, value in made.facts.items()),
            *(f"##genomixWarning={text}" for text in made.warnings),
        ]
    )


def _info_line(key: str, kind: str, text: str) -> str:
    return info_line(key, "A", kind, text, source="genomix", version=__version__)


def missing_contigs(
    header: Header, seen: Iterable[str], lengths: Mapping[str, int]
) -> Iterator[str]:
    """``##contig`` lines of contigs that were seen, or that the FASTA has, and the header lacks.

    Parameters
    ----------
    header : Header
    seen : iterable of str
        Names in the records, as far as they are known: standard input cannot be read ahead. So
        all of the FASTA's are added, because a header cannot grow.
    lengths : mapping of str to int
        Of the FASTA's contigs; they are added as the VCF would spell them.
    """
    declared = set(header.contigs)
    known = [*header.contigs, *(name for name in seen if name not in declared)]
    added = known[len(header.contigs) :]
    names = ContigNames(known, "")
    added += [_spelling(name, known, lengths) for name in lengths if names.find(name) is None]
    fasta = ContigNames(lengths, "")
    for name in added:
        own = fasta.find(name)
        yield contig_line(name, None if own is None else lengths[own])


def _spelling(name: str, known: Sequence[str], lengths: Mapping[str, int]) -> str:
    """A contig of the FASTA as a VCF with the contigs `known` would spell it."""
    if not known or any(contig in lengths for contig in known):
        return name
    bare = canonical(name)
    if not known[0].startswith("chr"):
        return bare
    return "chrM" if bare == "MT" else f"chr{bare}"


def undeclared(contigs: Iterable[str], header: Header) -> list[str]:
    """Contigs of records that the header does not declare."""
    declared = set(header.contigs)
    return [name for name in contigs if name not in declared]


def place_of(record: Record) -> str:
    """``chr1:12,345``, for messages about how far the work has come."""
    return f"{record.chrom}:{record.pos:,}"
