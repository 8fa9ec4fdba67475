"""Report on a file or folder, and the facts and texts that several kinds share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genomix_cli.cohorts.inspect.overview import Listing

METRICS = "metrics.json"
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


def header_facts(said: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return facts from a file's provenance lines, with digests shortened to 12 digits."""
    facts: dict[str, Any] = {}
    for key, label in HEADER_LINES.items():
        short = [re.sub(r"sha256:(\w{12})\w*", r"\1", text) for text in said.get(key, ())]
        if short:
            facts[label] = short[0] if len(short) == 1 else short
    return facts


def provenance_facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the version, command and inputs from the provenance of a genomix file."""
    facts: dict[str, Any] = {"genomix": provenance.get("version", "?")}
    if provenance.get("command"):
        facts["command"] = provenance["command"]
    if provenance.get("inputs"):
        facts["inputs"] = [f"{name} {digest[:12]}" for name, digest in provenance["inputs"].items()]
    return facts


def contigs_text(lengths: Mapping[str, int]) -> str:
    """Return text such as ``2 (chr1, chr2), 600,000 bp``."""
    return f"{len(lengths)} {_first(list(lengths))}, {sum(lengths.values()):,} bp"


def names_text(names: Sequence[str]) -> str:
    """Return text such as ``2 (a, b)``."""
    return f"{len(names):,} {_first(names)}"


def _first(names: Sequence[str]) -> str:
    return f"({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def settings_text(data: Mapping[str, Any]) -> str:
    """Return text such as ``width 64, depth 2``."""
    return ", ".join(f"{key} {value}" for key, value in data.items())
