"""Reports on VCFs, with the highest scores of a scored one."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genomix_cli.cohorts.inspect.overview import Listing
from genomix_cli.inspection.report import Report, header_facts
from genomix_cli.provenance import facts_of
from genomix_cli.variants.score.tags import DIFFERENCE, REASON, is_signed, ranking_key

if TYPE_CHECKING:
    from genomix_cli.genome.vcf.reader import Record


def vcf(path: Path, top: int) -> Report:
    """Describe a VCF; a scored one with its `top` highest scores and reasons of no score."""
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
    facts |= {"scored": scored, **header_facts(facts_of(header.meta))}
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
