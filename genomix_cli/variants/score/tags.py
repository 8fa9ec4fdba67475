"""Names and meanings of the INFO fields that `score` writes, for all who write or read them."""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "GENOMIX_"
PROBABILITY = PREFIX + "P"
DIFFERENCE = PREFIX + "DL"
PERCENTILE = PREFIX + "PCT"
PHRED = PREFIX + "PHRED"
REASON = PREFIX + "REASON"
DEMONSTRATION = (
    "demonstration weights, trained on simulated genomes: not for conclusions about real variants"
)


class Tag(NamedTuple):
    """INFO field with one value per ALT; `text` may refer to ``{model}`` and ``{background}``."""

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
#: Written only if the model has a background.
RANKS = (
    Tag(PERCENTILE, "Float", "Percentile of " + PROBABILITY + " among {background}"),
    Tag(
        PHRED, "Float", f"-10 log10 of the share of {{background}} with at least this {PROBABILITY}"
    ),
)
