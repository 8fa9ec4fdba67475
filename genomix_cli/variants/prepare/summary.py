"""Summary of a prepared shard."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrepareSummary:
    """Summary of a prepared shard: numbers of records and alleles by outcome.

    Attributes
    ----------
    output : str
    records, alleles, used : int
        Records read, their ALTs, and the ALTs stored in the shard.
    skipped : dict of str to int
        Skipped ALTs by reason; with `used` they add up to `alleles`.
    examples : dict of str to list of str
        A few alleles for each reason.
    labelled, unlabelled : int
        Used ALTs with and without a label.
    labels_unused : int
        Rows of the label table that match no record.
    contigs : dict of str to int
        Used ALTs by contig.
    bases : int
        Number of bases stored.
    observed : dict of str to float
        Fraction of the stored bins in which each track was measured.
    """

    output: str
    records: int
    alleles: int
    used: int
    skipped: dict[str, int]
    examples: dict[str, list[str]]
    labelled: int
    unlabelled: int
    labels_unused: int
    contigs: dict[str, int]
    bases: int
    observed: dict[str, float]
