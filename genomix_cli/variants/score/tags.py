"""Names and meanings of the INFO fields that `score` writes, for all who write or read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

PREFIX = "GENOMIX_"
PROBABILITY = PREFIX + "P"
DIFFERENCE = PREFIX + "DL"
LOGIT = PREFIX + "LOGIT"
PERCENTILE = PREFIX + "PCT"
PHRED = PREFIX + "PHRED"
REASON = PREFIX + "REASON"
SEEN = PREFIX + "SEEN"
DEMONSTRATION = (
    "demonstration weights, trained on simulated genomes: not for conclusions about real variants"
)


def score_key(meta: Iterable[str]) -> str:
    """Return the field to rank by of a VCF with these header lines: logits where P has no value."""
    return LOGIT if any(line.startswith(f"##INFO=<ID={LOGIT},") for line in meta) else PROBABILITY


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
#: Written only where there is no probability: no calibration was made under these conditions.
UNCALIBRATED = (
    Tag(LOGIT, "Float", "Log-odds of an effect before calibration, by {model}, to rank alleles by"),
)
#: Written only if the model has a background.
RANKS = (
    Tag(PERCENTILE, "Float", "Percentile of " + PROBABILITY + " among {background}"),
    Tag(
        PHRED, "Float", f"-10 log10 of the share of {{background}} with at least this {PROBABILITY}"
    ),
)
