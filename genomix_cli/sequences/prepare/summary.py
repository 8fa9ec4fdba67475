"""Summary of a prepared file of sequences: its contents, and what was left out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genomix_cli.formats.sequences import Phenotype, Sequences
from genomix_cli.sequences.prepare.metadata import Known, Matched
from genomix_cli.sequences.prepare.parsed_input import Parsed
from genomix_cli.sequences.requests.prepare import PrepareRequest
from genomix_cli.sequences.train.splits import TEST

_EXAMPLES = 3


@dataclass(frozen=True)
class PrepareSummary:
    """Contents of the file, and what was left out.

    Attributes
    ----------
    output : str
    kind : {"FASTA", "VCF", "table"}
    rows : str
        Kind of the sequences: records, windows, regions, rows, genotypes or haplotypes.
    sequences, length : int
    facts : dict
        Facts about this kind of input, such as the number of sites.
    phenotypes : dict of str to str
        Type of each phenotype, and the number of sequences with a value.
    not_used : dict of str to str
        Columns that are not phenotypes, and why.
    label : str
    classes : dict of str to int
        Number of sequences in each class of the label.
    unlabelled : int
    groups : int
    splits : dict of str to int
    without_row, unused_rows : int
        Sequences without a row in the table, and rows without a sequence.
    left_out : dict of str to int
        Number of inputs left out, by reason.
    examples : dict of str to str
        First input left out for each reason.
    warnings : list of str
    """

    output: str
    kind: str
    rows: str
    sequences: int
    length: int
    facts: dict[str, Any]
    phenotypes: dict[str, str]
    not_used: dict[str, str]
    label: str
    classes: dict[str, int]
    unlabelled: int
    groups: int
    splits: dict[str, int]
    without_row: int
    unused_rows: int
    left_out: dict[str, int]
    examples: dict[str, str]
    warnings: list[str] = field(default_factory=list)


def summarise(
    request: PrepareRequest,
    kind: str,
    parsed: Parsed,
    facts: Known,
    matched: Matched,
    sequences: Sequences,
) -> PrepareSummary:
    """Return the summary of a preparation."""
    classes = _classes(sequences)
    names, counts = np.unique(sequences.split[sequences.split != ""], return_counts=True)
    return PrepareSummary(
        output=str(request.output),
        kind=kind,
        rows=parsed.rows,
        sequences=len(sequences),
        length=parsed.length,
        facts=parsed.facts,
        phenotypes={p.name: _described(p) for p in sequences.phenotypes},
        not_used=facts.not_used,
        label=sequences.default_label,
        classes=classes,
        unlabelled=len(sequences) - sum(classes.values()) if sequences.default_label else 0,
        groups=len(np.unique(sequences.group)),
        splits=dict(zip(names.tolist(), counts.tolist(), strict=True)),
        without_row=len(matched.without_row),
        unused_rows=len(matched.unused_rows),
        left_out=parsed.left_out.counts,
        examples=parsed.left_out.examples,
        warnings=_warnings(request, parsed, sequences, classes, matched),
    )


def _classes(sequences: Sequences) -> dict[str, int]:
    if not sequences.default_label:
        return {}
    names, label = sequences.label()
    return dict(zip(names, np.bincount(label[label >= 0]).tolist(), strict=True))


def _described(phenotype: Phenotype) -> str:
    values = phenotype.values
    if phenotype.categories is None:
        return f"a number of {int(np.isfinite(values).sum()):,}"
    return f"{len(phenotype.categories):,} categories of {int((values >= 0).sum()):,}"


def _warnings(
    request: PrepareRequest,
    parsed: Parsed,
    sequences: Sequences,
    classes: dict[str, int],
    matched: Matched,
) -> list[str]:
    """Return warnings about data that are valid here but may fail in training."""
    warnings = [*parsed.warnings]
    single = [] if not classes else _single(sequences)
    if single:
        named = ", ".join(single[:_EXAMPLES])
        warnings.append(
            f"{len(single):,} classes of {sequences.default_label} have one sequence or group "
            f"(e.g. {named}), so they cannot be both learned and judged"
        )
    if len(classes) == 1:
        warnings.append(f"{sequences.default_label} has one class only")
    apart = request.group or request.tracks or request.test_contigs
    if not apart and (overlap := _overlapping(sequences)):
        warnings.append(
            f"{overlap:,} of {len(sequences):,} windows overlap the one before: those in training "
            "and in test may share bases; to keep neighbours together: --group block"
        )
    names = set(sequences.split.tolist()) - {""}
    if names and not names & set(TEST):
        warnings.append(
            f"no split is called {TEST[0]}: training will not go by {', '.join(sorted(names))}"
        )
    for unmatched, what in (
        (matched.without_row, "sequences or people have no row in the table and stay unlabelled"),
        (matched.unused_rows, "rows of the table have no sequence"),
    ):
        if unmatched:
            warnings.append(f"{len(unmatched):,} {what}, as {', '.join(unmatched[:_EXAMPLES])}")
    return warnings


def _overlapping(sequences: Sequences) -> int:
    """Return the number of windows that begin within another one."""
    if sequences.windows is None:
        return 0
    contig, start, _ = sequences.windows
    order = np.lexsort((start, contig))
    near = np.diff(start[order]) < sequences.length
    return int((near & (np.diff(contig[order]) == 0)).sum())


def _single(sequences: Sequences) -> list[str]:
    """Return classes whose sequences are all in one group."""
    names, label = sequences.label()
    pairs = np.unique(np.stack([label, sequences.group], 1)[label >= 0], axis=0)
    return [names[k] for k in np.flatnonzero(np.bincount(pairs[:, 0], minlength=len(names)) == 1)]
