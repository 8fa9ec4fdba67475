"""Histogram of the scores, counted while they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor

from genomix_cli.genome.vcf.reader import MISSING
from genomix_cli.variants.score.tags import ACTIVITY, LOGIT, PROBABILITY

#: Bin width for probabilities, log-odds, and activity changes in the unit of the assay.
WIDTHS = {PROBABILITY: 0.05, LOGIT: 0.5, ACTIVITY: 0.1}
_DECIMALS = 2


@dataclass
class Histogram:
    """Number of alleles in each bin of the field they are ranked by.

    Attributes
    ----------
    key : str
        One of `WIDTHS`.
    counts : dict of int to int
        Alleles by bin number; bin 0 begins at 0.
    """

    key: str
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, text: str) -> None:
        """Count a value given as output text, unless it is missing."""
        if text == MISSING:
            return
        width = WIDTHS[self.key]
        number = floor(round(float(text) / width, 6))
        if self.key == PROBABILITY:  # 1 belongs to the last bin
            number = min(number, round(1 / width) - 1)
        self.counts[number] = self.counts.get(number, 0) + 1

    def restore(self, counts: Mapping[str, int]) -> None:
        """Start from the counts of an earlier run, with bin numbers as JSON strings."""
        self.counts |= {int(number): count for number, count in counts.items()}

    def points(self) -> list[tuple[float, int]]:
        """Return the centre and count of each bin, from the first bin to the last."""
        if not self.counts:
            return []
        width = WIDTHS[self.key]
        numbers = range(min(self.counts), max(self.counts) + 1)
        return [(round((n + 0.5) * width, 1 + _DECIMALS), self.counts.get(n, 0)) for n in numbers]
