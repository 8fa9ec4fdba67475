"""Results of an evaluation of generated sequences."""

from __future__ import annotations

from dataclasses import dataclass, field

from genomix_cli.comparison.intervals import Interval


@dataclass(frozen=True)
class EntrantResult:
    """Metrics of one set of sequences.

    Attributes
    ----------
    name : str
    n : int
    metrics : dict of str to Interval
        By name in `genomix_cli.sequences.generate.entrants.METRICS`.
    less_chain : dict of str to Interval
        Each metric minus that of the Markov chain of all sequences.
    less_real : dict of str to Interval
        Each metric that needs no second set, minus that of the held-out sequences.
    """

    name: str
    n: int
    metrics: dict[str, Interval]
    less_chain: dict[str, Interval] = field(default_factory=dict)
    less_real: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class GeneratedEvaluation:
    """Results of an evaluation of generated sequences.

    Attributes
    ----------
    generated, real : str
        Names of the files.
    held_out_by : str
    classes : tuple of str
    classifier : str
        Name; empty without classes.
    motifs : int
    counts : dict of str to int
        Numbers of sequences compared, left out of the comparison, and used for training.
    entrants : tuple of EntrantResult
        Generated, chain and training sequences, and two halves of the held-out ones compared.
    headline : str
    """

    generated: str
    real: str
    held_out_by: str
    classes: tuple[str, ...]
    classifier: str
    motifs: int
    counts: dict[str, int]
    entrants: tuple[EntrantResult, ...]
    headline: str
