"""Names and descriptions of the INFO fields that `score` writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

PREFIX = "GENOMIX_"
PROBABILITY = PREFIX + "P"
DIFFERENCE = PREFIX + "DL"
LOGIT = PREFIX + "LOGIT"
ACTIVITY = PREFIX + "DA"
PERCENTILE = PREFIX + "PCT"
PHRED = PREFIX + "PHRED"
#: With several cell types: the one with the largest score, and the rank of each.
CELL = PREFIX + "CELL"
QUANTILE = PREFIX + "Q"
REASON = PREFIX + "REASON"
SEEN = PREFIX + "SEEN"
SOURCE = PREFIX + "SOURCE"
#: Values of this field.
LOOKED_UP, COMPUTED = "lookup", "computed"
DEMONSTRATION = (
    "demonstration weights, trained on simulated genomes: not for conclusions about real variants"
)


#: Fields to rank by, in order of preference: a file has logits where it has no probabilities.
RANKING = (LOGIT, PROBABILITY, ACTIVITY)


def ranking_key(meta: Iterable[str], keys: Iterable[str] = RANKING) -> str | None:
    """Return the first of `keys` that these VCF header lines define, the field to rank by.

    None if they define none, as in a VCF that was not scored.
    """
    lines = [line for line in meta if line.startswith(f"##INFO=<ID={PREFIX}")]
    found = (key for key in keys if any(line.startswith(f"##INFO=<ID={key},") for line in lines))
    return next(found, None)


def score_key(meta: Iterable[str]) -> str:
    """Return the field to rank by, or `PROBABILITY` for a VCF that was not scored."""
    return ranking_key(meta) or PROBABILITY


def is_signed(key: str) -> bool:
    """Return True for a field whose magnitude ranks alleles: a difference in activity."""
    return key == ACTIVITY or key.startswith(f"{ACTIVITY}_")


def may_be_probability(key: str) -> bool:
    """Return False for our fields that are no probabilities, even if all values lie in 0..1."""
    return not key.startswith(PREFIX) or key == PROBABILITY or key.startswith(f"{PROBABILITY}_")


def of_output(name: str) -> str:
    """Return the field name of the difference of one output."""
    return f"{ACTIVITY}_{name}"


def of_cell(name: str) -> str:
    """Return the field name of the rank of a cell type, or of an output, among all."""
    return f"{QUANTILE}_{name}"


class Tag(NamedTuple):
    """INFO field with one value per ALT; `text` may have placeholders such as the model's name."""

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
#: Written only without probabilities, when no calibration exists for these conditions.
UNCALIBRATED = (
    Tag(LOGIT, "Float", "Log-odds of an effect before calibration, by {model}, to rank alleles by"),
)
#: Written only where some scores may come from files.
LOOKUP = Tag(
    SOURCE,
    "String",
    f"Where the scores come from ({LOOKED_UP}: a file of --lookup, {COMPUTED}: {{model}})",
)
#: Written only if the model has a background.
RANKS = (
    Tag(PERCENTILE, "Float", "Percentile of {ranked} among {background}"),
    Tag(PHRED, "Float", "-10 log10 of the share of {background} with at least this {ranked}"),
)
