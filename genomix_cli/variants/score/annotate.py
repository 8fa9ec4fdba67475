"""Lines of a scored VCF or rows of a score table, and the contigs that its header lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, compress, repeat
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.intervals import ContigNames, canonical
from genomix_cli.genome.vcf.lines import INFO, Lines
from genomix_cli.genome.vcf.reader import MISSING, Header, contig_line
from genomix_cli.genome.vcf.writer import Column
from genomix_cli.learning.calibration import Platt
from genomix_cli.variants.records.alleles import REF_MISMATCH
from genomix_cli.variants.records.checks import (
    OTHER,
    REASON_OF,
    SUBSTITUTION,
    Checked,
    CheckedLines,
)
from genomix_cli.variants.records.matching import Row
from genomix_cli.variants.records.seen import SeenAlleles
from genomix_cli.variants.score.background import Background
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.score.engine import Scores
from genomix_cli.variants.score.histogram import Histogram
from genomix_cli.variants.score.lookup import filled
from genomix_cli.variants.score.tags import (
    COMPUTED,
    DIFFERENCE,
    LOGIT,
    LOOKUP,
    PERCENTILE,
    PHRED,
    PREFIX,
    PROBABILITY,
    RANKING,
    RANKS,
    REASON,
    SCORES,
    SEEN,
    SOURCE,
    UNCALIBRATED,
    Tag,
)
from genomix_cli.variants.score.tracks import ScoreTracks

Floats = NDArray[np.floating]

DIFFERENCE_DECIMALS = 5
#: Column type for each type of an INFO field.
KINDS: dict[str, Literal["str", "int", "float"]] = {
    "String": "str",
    "Integer": "int",
    "Float": "float",
}
#: Key of a field and its values as text, one per ALT.
Notes = Sequence[tuple[str, Sequence[str]]]
_PREFIX = PREFIX.encode()
LOCUS = ("CHROM", "POS", "ID", "REF", "ALT")


class Beside(Protocol):
    """Source of annotations written beside the scores, for scored and unscored alleles."""

    @property
    def tags(self) -> tuple[Tag, ...]:
        """Fields that this source writes."""

    def texts(self, block: Sequence[Checked], /) -> Iterable[Sequence[Sequence[str]]]:
        """Yield for each record the texts of each tag, one per ALT."""


@dataclass
class Annotator:
    """Turn the scores of a block into lines of output.

    Parameters
    ----------
    calibration : Platt, optional
        Calibration for the conditions of these scores. Without one, logits are written in place of
        probabilities.
    background : Background, optional
        Background for the conditions of these scores. Without one, no ranks are given.
    table : bool
        Write a table with one row per ALT instead of a VCF.
    ranks : bool
        Write the fields of ranks, even if they have no value.
    exclude_mismatches : bool
        Leave out records whose REF differs from the reference.
    seen : SeenAlleles, optional
        Alleles that the model has seen in training, if recorded.
    has_logit : bool
        False for a model that gives only differences in activity.
    differences : Differences
        Differences that the model predicts.
    beside : sequence of Beside
        Annotations to write beside the scores.
    lookup : bool
        True if scores may come from files; an extra field then gives the origin of each score.
    histogram : Histogram, optional
        Counts the scores of :attr:`ranking`.
    tracks : ScoreTracks, optional
        Receives the scores and writes them as tracks for a genome browser.
    """

    calibration: Platt | None
    background: Background | None
    table: bool
    ranks: bool
    exclude_mismatches: bool
    seen: SeenAlleles | None = None
    has_logit: bool = True
    differences: Differences = field(default_factory=Differences)
    beside: Sequence[Beside] = ()
    lookup: bool = False
    histogram: Histogram | None = None
    tracks: ScoreTracks | None = None

    def __post_init__(self) -> None:
        logits = (*SCORES, *(UNCALIBRATED if self.calibration is None else ()))
        self.tags = (
            *(logits if self.has_logit else ()),
            *self.differences.tags(),
            *(RANKS if self.ranks else ()),
            *((LOOKUP,) if self.lookup else ()),
        )
        self._none = (MISSING,) * len(self.tags)
        self._scores = ";".join(f"{tag.key}=%s" for tag in self.tags)
        self._unscored = self._scores % self._none

    @property
    def ranking(self) -> str | None:
        """Field that alleles are ranked by; None if no written field is suitable."""
        written = {tag.key for tag in self.tags}
        return next((key for key in RANKING if key in written), None)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the score table."""
        locus = (Column(name, "int" if name == "POS" else "str") for name in LOCUS)
        scores = (Column(tag.key, KINDS[tag.kind]) for tag in self.tags)
        seen = [Column(SEEN, "str")] if self.seen else []
        beside = (Column(tag.key, KINDS[tag.kind]) for each in self.beside for tag in each.tags)
        return (*locus, *scores, Column(REASON, "str"), *seen, *beside)

    def text(
        self, block: CheckedLines, scores: Scores, found: Sequence[Row | None] | None = None
    ) -> bytes:
        """Return the output of a block: VCF lines or table rows, including line ends.

        Parameters
        ----------
        block : CheckedLines
        scores : Scores
            Scores of the alleles of the block that were computed, in order.
        found : sequence of (tuple of str) or None, optional
            Looked-up values of each scorable allele, or None for one that was computed.
        """
        values = self._texts(scores)
        if found is not None:
            values = filled(found, values)
        if self.histogram is not None:
            values = self._counted(values, self.histogram)
        if self.tracks is not None:
            values = self.tracks.passed(block.placed(), values)
        parts = iter(self.seen.parts([each[:2] for each in block.placed()])) if self.seen else None
        if self.table:
            rows = "".join(f"{row}\n" for row in self._table(block, values, parts))
            return rows.encode("utf-8", "surrogateescape")
        entries, kept = self._entries(block, values, parts), np.ones(len(block), bool)
        if self.exclude_mismatches:
            kept[[i for i, each in block.others.items() if each.site == REF_MISMATCH]] = False
        return with_scores(block.lines.only(kept), list(compress(entries, kept.tolist())))

    def _table(
        self, block: CheckedLines, values: Iterator[Row], parts: Iterator[str] | None
    ) -> Iterator[str]:
        for checked, notes in zip(block, self._notes(block), strict=False):
            rows, seen = self._of_alts(checked, values, parts)
            if not (self.exclude_mismatches and checked.site == REF_MISMATCH):
                yield from _table_rows(checked, rows, seen, notes)

    def _of_alts(
        self, checked: Checked, values: Iterator[Row], parts: Iterator[str] | None
    ) -> tuple[list[Row], list[str]]:
        """Return the values of each ALT and, if known, the training split that contains it."""
        alleles = checked.alleles
        rows = [self._none if allele is None else next(values) for allele in alleles]
        if parts is None:
            return rows, []
        return rows, ["" if allele is None else next(parts) for allele in alleles]

    def _entries(
        self, block: CheckedLines, values: Iterator[Row], parts: Iterator[str] | None
    ) -> list[bytes]:
        """Return the INFO entries to add to each record."""
        unscored = [self._unscored + _entry(REASON, (reason,)) for reason in REASON_OF]
        of_kind = [text.encode() for text in unscored] + [b""] * (OTHER + 1 - len(REASON_OF))
        entries = [of_kind[kind] for kind in block.kinds.tolist()]
        is_substitution = block.kinds == SUBSTITUTION
        for i in np.flatnonzero(is_substitution | (block.kinds == OTHER)).tolist():
            if is_substitution[i]:  # the usual case: one ALT, which is scored
                text = self._scores % next(values)
                if parts is not None and (part := next(parts)):
                    text += _entry(SEEN, (part,))
            else:
                checked = block.others[i]
                text = self._of_record(checked, *self._of_alts(checked, values, parts))
            entries[i] = text.encode("utf-8", "surrogateescape")
        if self.beside:
            for i, notes in enumerate(self._notes(block)):
                said = [f";{k}={','.join(ts)}" for k, ts in notes if ts.count(MISSING) < len(ts)]
                entries[i] += "".join(said).encode("utf-8", "surrogateescape")
        return entries

    def _counted(self, rows: Iterable[Row], histogram: Histogram) -> Iterator[Row]:
        """Yield the rows, adding their scores to the histogram."""
        at = next(i for i, tag in enumerate(self.tags) if tag.key == histogram.key)
        for row in rows:
            histogram.add(row[at])
            yield row

    def _notes(self, block: Sequence[Checked]) -> Iterable[Notes]:
        """Yield the annotations beside the scores of each record."""
        if not self.beside:
            return repeat(())
        keys = [tag.key for each in self.beside for tag in each.tags]
        texts = zip(*(each.texts(block) for each in self.beside), strict=True)
        return (list(zip(keys, chain(*of_record), strict=True)) for of_record in texts)

    def _texts(self, scores: Scores) -> Iterator[tuple[str, ...]]:
        """Yield the formatted values of each scored allele, in the order of the tags."""
        logit, background = scores.logit, self.background
        plain: dict[str, Floats] = dict(self.differences.columns(scores.differences))
        if logit is not None and scores.null is not None:
            plain |= {DIFFERENCE: logit - scores.null, LOGIT: logit}
        # Further decimals are rounding noise. Adding 0 turns -0 into 0.
        values: dict[str, Floats] = {
            key: np.round(column, DIFFERENCE_DECIMALS) + np.float32(0)
            for key, column in plain.items()
        }
        if logit is not None and self.calibration is not None:
            values[PROBABILITY] = self.calibration.apply(logit)
        if background is not None:
            ranked = self.ranked(scores)
            values |= {PERCENTILE: background.percentile(ranked), PHRED: background.phred(ranked)}
        texts: dict[str, Sequence[str]] = {
            key: [f"{v:.6g}" for v in column.tolist()] for key, column in values.items()
        }
        texts[SOURCE] = (COMPUTED,) * len(scores.unknown)
        none = (MISSING,) * len(scores.unknown)
        return zip(*(texts.get(tag.key, none) for tag in self.tags), strict=True)

    def ranked(self, scores: Scores) -> NDArray[np.float32]:
        """Return the ranking scores, ``[G]``: logits, or magnitudes of differences in activity."""
        if scores.logit is not None:
            return scores.logit
        return np.abs(self.differences.mean(scores.differences))

    def _of_record(self, checked: Checked, rows: Sequence[Row], part: Sequence[str]) -> str:
        scores = self._scores % tuple(map(",".join, zip(*rows, strict=True)))
        if any(checked.reasons):
            scores += _entry(REASON, checked.reasons)
        if any(part):
            scores += _entry(SEEN, tuple(part))
        return scores


@lru_cache(1024)  # of few different ones
def _entry(key: str, names: tuple[str | None, ...]) -> str:
    """Return an INFO entry with one name per ALT, preceded by a semicolon."""
    return f";{key}={','.join([name or MISSING for name in names])}"


def with_scores(lines: Lines, scores: Sequence[bytes]) -> bytes:
    """Return lines with `scores` in INFO, replacing scores of an earlier run.

    Parameters
    ----------
    lines : Lines
    scores : sequence of bytes
        INFO entries of each line, joined by semicolons.
    """
    if not len(lines):
        return b""
    data, (starts, ends) = lines.data, lines.column(INFO)
    if _PREFIX in data:
        infos = map(_without_scores, lines.texts(INFO))
        texts = [b";".join(filter(None, pair)) for pair in zip(infos, scores, strict=True)]
        begins = starts
    else:  # existing INFO entries keep their place
        first = lines.letters[np.minimum(starts, len(data) - 1)]
        says = (ends - starts > 1) | ((ends - starts == 1) & (first != ord(MISSING)))
        texts = [b";" + s if info else s for s, info in zip(scores, says.tolist(), strict=True)]
        begins = np.where(says, ends, starts)
    between = zip([0, *ends.tolist()], [*begins.tolist(), len(data)], strict=True)
    pieces = [b"\n"] * (2 * len(lines) + 2)
    pieces[:-1:2] = [data[a:b] for a, b in between]
    pieces[1:-1:2] = texts
    return b"".join(pieces)


def _without_scores(info: bytes) -> bytes:
    """Return INFO without scores; empty if nothing else is in it."""
    kept = b";".join(e for e in info.split(b";") if not e.startswith(_PREFIX))
    return b"" if kept == MISSING.encode() else kept


def _table_rows(
    checked: Checked, rows: Sequence[Sequence[str]], part: Sequence[str], notes: Notes
) -> Iterator[str]:
    chrom, pos, name, ref, alts = checked.record.fields[:5]
    seen: Iterable[Sequence[str]] = ((n or MISSING,) for n in part) if part else repeat(())
    beside = zip(*(texts for _, texts in notes), strict=True) if notes else repeat(())
    columns = zip(alts.split(","), rows, checked.reasons, seen, beside, strict=False)
    for alt, row, reason, part_of, last in columns:
        yield "\t".join((chrom, pos, name, ref, alt, *row, reason or MISSING, *part_of, *last))


def missing_contigs(
    header: Header, seen: Iterable[str], lengths: Mapping[str, int]
) -> Iterator[str]:
    """Yield ``##contig`` lines for contigs that the header lacks.

    All contigs of the FASTA are added, spelled as in the VCF, because standard input cannot be read
    ahead and the header cannot be extended later.

    Parameters
    ----------
    header : Header
    seen : iterable of str
        Contigs of the records known so far.
    lengths : mapping of str to int
        Length of each contig of the FASTA.
    """
    declared = dict.fromkeys(header.contigs)
    added = [name for name in seen if name not in declared]
    known = [*declared, *added]
    names = ContigNames(known, "")
    added += [_spelling(name, known, lengths) for name in lengths if names.find(name) is None]
    fasta = ContigNames(lengths, "")
    for name in added:
        spelled = fasta.find(name)
        yield contig_line(name, None if spelled is None else lengths[spelled])


def _spelling(name: str, known: Sequence[str], lengths: Mapping[str, int]) -> str:
    """Return the name of a FASTA contig in the naming style of the `known` contigs."""
    if not known or any(contig in lengths for contig in known):
        return name
    bare = canonical(name)
    if not known[0].startswith("chr"):
        return bare
    return "chrM" if bare == "MT" else f"chr{bare}"
