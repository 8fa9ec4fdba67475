"""Numerical results of an evaluation, and its headline."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

from genomix_cli.comparison.intervals import BETTER, COMPARES, LEVEL, WORSE, Interval
from genomix_cli.comparison.rules import TrainingAccuracy
from genomix_cli.variants.evaluate.suite.entrants import Entrant
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Truth
from genomix_cli.variants.evaluate.suite.split import Rows

Metrics = dict[str, Interval]


@dataclass(frozen=True)
class EntrantResult:
    """Results of one entrant.

    Attributes
    ----------
    name, kind, note : str
    n : int
        Variants with a score.
    metrics : dict of str to Interval
    difference : dict of str to Interval
        First model minus this entrant, paired, on the variants that both have scored.
    description : str
        Explanation of an entrant whose name is not self-explanatory.
    parameters : int, optional
        Number of parameters of a model.
    """

    name: str
    kind: str
    note: str
    n: int
    metrics: Metrics
    difference: Metrics
    description: str = ""
    parameters: int | None = None


class Member(NamedTuple):
    """Stack member with its weight per SD, and the paired gain of the stack over it by metric."""

    name: str
    weight: float
    less: Metrics


class StackResult(NamedTuple):
    """Results of a stack, named after its entrant.

    Attributes
    ----------
    name : str
    members : tuple of Member
    best : str
        Member over which the stack gains least.
    """

    name: str
    members: tuple[Member, ...]
    best: str

    def over_best(self, metric: str) -> Interval:
        """Return the metric of the stack minus that of its best member."""
        return next(m.less[metric] for m in self.members if m.name == self.best)


@dataclass(frozen=True)
class StratumResult:
    """Metrics in one stratum of variants.

    Attributes
    ----------
    title, name : str
        Stratification and stratum, such as ``variant class`` and ``SNV``.
    n, positives : int
    metrics : dict of str to dict of str to Interval
        Metrics by entrant and metric name; empty if the metrics are undefined.
    """

    title: str
    name: str
    n: int
    positives: int
    metrics: dict[str, Metrics]


@dataclass(frozen=True)
class ControlResult:
    """Result of the first model under a control.

    Attributes
    ----------
    name : str
    n : int
    metric : Interval
        Main metric under the control.
    less : Interval, optional
        Main metric without the control minus that under it, paired.
    mean_probability : float, optional
        Mean calibrated probability.
    """

    name: str
    n: int
    metric: Interval
    less: Interval | None = None
    mean_probability: float | None = None


@dataclass(frozen=True)
class Counts:
    """Numbers of test variants by available labels, and of variants that baselines learn from."""

    variants: int
    labelled: int
    positives: int
    effects: int
    trained_on: int
    tuned_on: int

    @property
    def prevalence(self) -> float:
        """Fraction of positives."""
        return self.positives / self.labelled if self.labelled else float("nan")


@dataclass(frozen=True)
class SuiteResults:
    """Metrics of all entrants, strata and controls.

    Attributes
    ----------
    main : str
        Name of the main metric.
    counts : Counts
    contigs : tuple of str
    units : str
        Kind of the resampling units.
    n_units, draws : int
    entrants : tuple of EntrantResult
        Entrants, the first model first.
    ceiling : dict of str to Interval
        Metrics of the true probabilities; empty if these are unknown.
    strata : tuple of StratumResult
    groups : tuple of StratumResult
        Named groups.
    controls : tuple of ControlResult
    scales : tuple of (layer, head, distance, contacts)
        Learned scales of the contact prior; empty without one.
    notes : tuple of str
        Warnings to show before the numbers.
    stack : StackResult, optional
    """

    main: str
    counts: Counts
    contigs: tuple[str, ...]
    units: str
    n_units: int
    draws: int
    entrants: tuple[EntrantResult, ...]
    ceiling: Metrics
    strata: tuple[StratumResult, ...]
    groups: tuple[StratumResult, ...]
    controls: tuple[ControlResult, ...]
    scales: tuple[tuple[int, int, float, float], ...]
    notes: tuple[str, ...]
    stack: StackResult | None = None

    @property
    def first(self) -> EntrantResult:
        """Model that the others are compared with."""
        return self.entrants[0]

    @property
    def rivals(self) -> list[EntrantResult]:
        """Baselines and columns; a stack is no rival, as it contains the first model."""
        return [e for e in self.entrants if e.kind in ("baseline", "column")]

    @property
    def best_rival(self) -> EntrantResult | None:
        """Best baseline or column by the main metric, on the same variants."""
        defined = [e for e in self.rivals if not isnan(e.difference[self.main].value)]
        return min(defined, key=lambda e: e.difference[self.main].value, default=None)


@dataclass(frozen=True)
class Suite:
    """Evaluation: its results, and the scores they are computed from.

    Attributes
    ----------
    results : SuiteResults
    entrants : tuple of Entrant
    truth : Truth
    rows : NDArray
        int64: rows of the shard's variant table.
    """

    results: SuiteResults
    entrants: tuple[Entrant, ...]
    truth: Truth
    rows: Rows


# A smaller loss of the main metric with the variant removed counts as none.
LEAST_LOSS = 0.01


def verdict(difference: Interval) -> str:
    """Return how an entrant compares with the first model; `difference` is first minus entrant."""
    return {1: WORSE, 0: LEVEL, -1: BETTER}[difference.sign]


def said(name: str, difference: Interval) -> str:
    """Return the name of an entrant with its verdict; the name alone without an interval."""
    return name if isnan(difference.low) else f"{name}: {verdict(difference)}"


def headline(results: SuiteResults) -> str:
    """Return the headline: how the first model compares with the others by the main metric.

    If the model loses nothing with the variant removed, it only ranks positions; that is said
    first.
    """
    first, main = results.first, results.main
    title = MEASURES[main].title
    leaks = (note for note in results.notes if isinstance(note, TrainingAccuracy))
    sentences = [f"{note[0].upper()}{note[1:]}." for note in leaks]
    sentences.append(_on_the_variant(results))
    sentences += [_against_baselines(results, results.rivals)] if results.rivals else []
    sentences += [_of_stack(results.stack, main)] if results.stack else []
    for other in results.entrants[1:]:
        if other.kind == "model":
            less = other.difference[main]
            sentences.append(
                f"{first.name} {COMPARES[less.sign]} {other.name}: {less.text(sign=True)}."
            )
    figure = f"{first.name}: {title} {first.metrics[main].text()}"
    if main in results.ceiling:
        figure += f"; the best possible is {results.ceiling[main].value:.3f}"
    return " ".join(filter(None, [*sentences, f"{figure}."]))


def _on_the_variant(results: SuiteResults) -> str:
    """Return a warning if the first model loses nothing when the variant is removed."""
    removed = next((c for c in results.controls if c.name == "variant_removed"), None)
    if removed is None or removed.less is None or removed.less.sign > 0:
        return ""
    less = removed.less
    if less.value >= LEAST_LOSS and isnan(less.low):
        return ""  # without an interval, accept the loss as it is
    lost = less.value >= LEAST_LOSS
    said = "was not shown to read the variant" if lost else "does not read the variant"
    title, as_is = MEASURES[results.main].title, removed.metric.value + less.value
    return (
        f"This model {said}: {title} {as_is:.3f}, and {removed.metric.value:.3f} with the variant "
        f"removed (difference {less.text(sign=True)})."
    )


def _of_stack(made: StackResult, main: str) -> str:
    """Say whether a stack is better than its best member."""
    less, best = made.over_best(main), made.best
    members = " and ".join(member.name for member in made.members)
    return (
        f"The {made.name} of {members} {COMPARES[less.sign]} its best member, {best}: "
        f"{less.text(sign=True)}."
    )


def _against_baselines(results: SuiteResults, rivals: list[EntrantResult]) -> str:
    first, main = results.first.name, results.main
    said: dict[str, list[EntrantResult]] = {}
    for rival in rivals:
        said.setdefault(verdict(rival.difference[main]), []).append(rival)
    if BETTER in said:
        names = " and ".join(e.name for e in said[BETTER])
        return f"{names} {'is' if len(said[BETTER]) == 1 else 'are'} better than {first}."
    if LEVEL in said:
        return f"{first} {COMPARES[0]} {' and '.join(e.name for e in said[LEVEL])}."
    best = results.best_rival
    assert best is not None
    return (
        f"{first} {COMPARES[1]} every baseline; the closest is {best.name}: "
        f"{best.difference[main].text(sign=True)}."
    )
