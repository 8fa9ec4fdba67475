"""Names and meanings of what `score` adds to a VCF; what reads scored files looks here too."""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "GENOMIX_"
PROBABILITY = PREFIX + "P"
DIFFERENCE = PREFIX + "DL"
PERCENTILE = PREFIX + "PCT"
PHRED = PREFIX + "PHRED"
REASON = PREFIX + "REASON"
#: Of the header lines that say how a file was scored.
HEADER_PREFIX = "##genomix"
DEMONSTRATION = (
    "demonstration weights, trained on simulated genomes: not for conclusions about real variants"
)


class Tag(NamedTuple):
    """An INFO field with one value per ALT; `text` has places for `model` and `background`."""

    key: str
    kind: str
    text: str


SCORES = (
    Tag(PROBABILITY, "Float", "Calibrated probability of an effect, by {model}"),
    Tag(
        DIFFERENCE,
        "Float",
        "Logit of the allele less that of no change at its place, before calibration, by {model}",
    ),
)
#: Only where the model has a background.
RANKS = (
    Tag(PERCENTILE, "Float", "Percentile of " + PROBABILITY + " among {background}"),
    Tag(
        PHRED,
        "Float",
        "-10 log10 of the share of {background} with at least this " + PROBABILITY,
    ),
)
