"""MultiQC sections of a shard: outcome per allele, and coverage of the tracks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genomix_cli.report.multiqc import (
    COUNT,
    SHARE,
    Content,
    bars,
    categories,
    table,
    write_contents,
)
from genomix_cli.variants.prepare.summary import PrepareSummary
from genomix_cli.variants.records.alleles import REASONS, REF_MISMATCH

_HEADERS: dict[str, Content] = {
    "records": {"title": "records", **COUNT},
    "alleles": {"title": "alleles", **COUNT},
    "share": {"title": "used", "description": "Share of the alleles", **SHARE},
    "ref_mismatches": {
        "title": "REF differs",
        "description": "Alleles whose REF is not what the FASTA says",
        "format": "{:,.0f}",
        "scale": "Reds",
    },
    "labelled": {"title": "labelled", "description": "Alleles with a label", **COUNT},
    "labels_unused": {
        "title": "labels unused",
        "description": "Rows of the label table that match no record",
        **COUNT,
    },
    "bases": {"title": "bases", "description": "Bases of sequence stored", **COUNT},
}


def write_multiqc(summary: PrepareSummary, folder: Path) -> None:
    """Write the MultiQC sections of a shard into a folder."""
    name = Path(summary.output).stem
    contents = {f"{name}.genomix_{part}_mqc.json": c for part, c in sections(summary, name)}
    write_contents(contents, folder)


def sections(summary: PrepareSummary, name: str) -> Iterator[tuple[str, Content]]:
    """Yield each section as a part of its file name and its content."""
    row: dict[str, Any] = {key: getattr(summary, key, None) for key in _HEADERS}
    row["share"] = summary.used / summary.alleles if summary.alleles else None
    row["ref_mismatches"] = summary.skipped.get(REF_MISMATCH, 0)
    measured = {f"measured_{track}": share for track, share in summary.observed.items()}
    headers = _HEADERS | {
        f"measured_{track}": {
            "title": track,
            "description": f"Share of the stored bins in which {track} was measured",
            **SHARE,
        }
        for track in summary.observed
    }
    description = "Shards of genomix prepare variants."
    rows = {name: row | measured}
    yield "shard", table("genomix_shard", "Shards", description, "Shard", headers, rows)
    others = {reason: reason for reason in summary.skipped if reason not in REASONS}
    yield (
        "prepared",
        bars(
            "genomix_prepared",
            "Alleles prepared",
            "Alleles that genomix prepare variants has stored, and why the others were not.",
            "Alleles",
            categories({"used": "used", **REASONS, **others}, "used"),
            {name: {"used": summary.used, **summary.skipped}},
        ),
    )
