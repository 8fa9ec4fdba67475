"""Lines of a scored VCF or rows of a score table, and the header that documents them."""

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
    """Turn the scores of a block into lines of output.

    Parameters
    ----------
    calibration : Platt
    background : Background, optional
        Scores of common variants; without them no ranks are written.
    table : bool
        Write a table with one row per ALT instead of a VCF.
    exclude_mismatches : bool
        Leave out records whose REF differs from the reference.
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
        """Columns of the score table."""
        scores = (Column(tag.key, "float") for tag in self.tags)
        return (*_LOCUS, *scores, Column(REASON, "str"))

    def lines(self, block: Sequence[Checked], scores: Scores) -> list[str]:
        """Return the output lines of a block, without line ends.

        `scores` holds the scored alleles of the block, in order.
        """
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
        """Yield the formatted values of each scored allele, in the order of the tags."""
        columns: list[NDArray[np.floating]] = [
            self.calibration.apply(scores.logit),
            # Further decimals are rounding noise. Adding 0 turns -0 into 0.
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
    """Return a record's line with `scores` in INFO, replacing those of an earlier run.

    Parameters
    ----------
    fields : sequence of str
        See `genomix_cli.genome.vcf.reader.Record`.
    scores : str
        INFO entries, joined by semicolons.
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
    """Origin of the scores, as the header records it.

    Attributes
    ----------
    command : str
    config : str
        Resolved settings, as JSON.
    model : str
        Name and digest of the model.
    inputs : mapping of str to str
        Role and name of each input file, and its sha256.
    facts : mapping of str to str
        Further header lines, key to value.
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
    """Return the input's header with the meaning and the origin of the scores.

    Lines of an earlier scoring are replaced.

    Parameters
    ----------
    header : Header
        Header of the input.
    contigs : iterable of str
        ``##contig`` lines to add.
    annotator : Annotator
    name : str
        Name of the model.
    made : Made
    """
    own_header = header.without(HEADER_PREFIX, f"##INFO=<ID={PREFIX}")
    background = annotator.background.source if annotator.background else ""
    reasons = ", ".join(f"{reason}: {meaning}" for reason, meaning in REASONS.items())
    return own_header.plus(
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
    """Yield ``##contig`` lines for contigs that the header lacks.

    Standard input cannot be read ahead and a header cannot grow, so all contigs of the FASTA
    are added, spelled as the VCF would spell them.

    Parameters
    ----------
    header : Header
    seen : iterable of str
        Contigs of the records, as far as they are known.
    lengths : mapping of str to int
        Length of each contig of the FASTA.
    """
    declared = set(header.contigs)
    known = [*header.contigs, *(name for name in seen if name not in declared)]
    added = known[len(header.contigs) :]
    names = ContigNames(known, "")
    added += [_spelling(name, known, lengths) for name in lengths if names.find(name) is None]
    fasta = ContigNames(lengths, "")
    for name in added:
        spelled = fasta.find(name)
        yield contig_line(name, None if spelled is None else lengths[spelled])


def _spelling(name: str, known: Sequence[str], lengths: Mapping[str, int]) -> str:
    """Spell a contig of the FASTA as a VCF with the contigs `known` would."""
    if not known or any(contig in lengths for contig in known):
        return name
    bare = canonical(name)
    if not known[0].startswith("chr"):
        return bare
    return "chrM" if bare == "MT" else f"chr{bare}"


def undeclared(contigs: Iterable[str], header: Header) -> list[str]:
    """Return the contigs that the header does not declare."""
    declared = set(header.contigs)
    return [name for name in contigs if name not in declared]


def place_of(record: Record) -> str:
    """Format a record's position for messages, as in ``chr1:12,345``."""
    return f"{record.chrom}:{record.pos:,}"
