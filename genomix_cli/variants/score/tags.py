"""Names and meanings of the INFO fields that `score` writes, for all who write or read them."""

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
#: Of scores in several cell types: where the score is largest, and how it ranks among them.
CELL = PREFIX + "CELL"
QUANTILE = PREFIX + "Q"
REASON = PREFIX + "REASON"
SEEN = PREFIX + "SEEN"
SOURCE = PREFIX + "SOURCE"
#: Values of it.
LOOKED_UP, COMPUTED = "lookup", "computed"
DEMONSTRATION = (
    "demonstration weights, trained on simulated genomes: not for conclusions about real variants"
)


#: Fields to rank by, the first that a file has: logits stand where P has no value.
RANKING = (LOGIT, PROBABILITY, ACTIVITY)


def ranking_key(meta: Iterable[str], keys: Iterable[str] = RANKING) -> str | None:
    """Return the field to rank by of a VCF with these header lines: the first of `keys` it has.

    None if it has none of them, as one that was not scored.
    """
    lines = [line for line in meta if line.startswith(f"##INFO=<ID={PREFIX}")]
    found = (key for key in keys if any(line.startswith(f"##INFO=<ID={key},") for line in lines))
    return next(found, None)


def score_key(meta: Iterable[str]) -> str:
    """Return the same, or the probability of a VCF that was not scored."""
    return ranking_key(meta) or PROBABILITY


def is_signed(key: str) -> bool:
    """Return True for a field whose magnitude ranks alleles: differences of activity."""
    return key == ACTIVITY or key.startswith(f"{ACTIVITY}_")


def of_output(name: str) -> str:
    """Return the field of the difference of one output."""
    return f"{ACTIVITY}_{name}"


def of_cell(name: str) -> str:
    """Return the field of the rank of a cell type, or of an output, among all."""
    return f"{QUANTILE}_{name}"


class Tag(NamedTuple):
    """INFO field with one value per ALT; `text` may refer to model, background and ranked score."""

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
