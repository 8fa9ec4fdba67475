"""Numerical results of an evaluation, and its headline."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

from genomix_cli.comparison.intervals import Interval
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
IS_BELOW, LEVEL, IS_ABOVE = "below", "does as well", "above"


def verdict(difference: Interval) -> str:
    """Say how an entrant compares with the first model; `difference` is first minus entrant."""
    return {1: IS_BELOW, 0: LEVEL, -1: IS_ABOVE}[difference.sign]


def said(name: str, difference: Interval) -> str:
    """Return the name of an entrant with its verdict; the name alone without an interval."""
    if isnan(difference.low):
        return name
    word = verdict(difference)
    return f"{name} {word}" if word == LEVEL else f"{name} is {word}"


def headline(results: SuiteResults) -> str:
    """Return the headline: the ranking by the main metric, and the place of the first model.

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
            said = verdict(other.difference[main])
            text = f"{other.name} {said}" if said == LEVEL else f"{other.name} is {said} it"
            sentences.append(f"{text} ({other.difference[main].text(sign=True)} for {first.name}).")
    figure = f"{first.name}: {title} {first.metrics[main].text()}"
    if main in results.ceiling:
        figure += f", where {results.ceiling[main].value:.3f} is the ceiling"
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
    said = "is not seen to read the variant" if lost else "does not read the variant"
    title, as_is = MEASURES[results.main].title, removed.metric.value + less.value
    return (
        f"This model {said}: {title} {as_is:.3f}, and {removed.metric.value:.3f} with the variant "
        f"removed ({less.text(sign=True)} between them)."
    )


def _of_stack(made: StackResult, main: str) -> str:
    """Say whether a stack is better than its best member."""
    less, best = made.over_best(main), made.best
    members = " and ".join(member.name for member in made.members)
    if less.sign > 0:
        said = f"is above its best member, {best}"
    elif less.sign < 0:
        said = f"is below its best member, {best}"
    else:
        said = f"does not beat its best member, {best}, by more than its interval"
    return f"The {made.name} of {members} {said} ({less.text(sign=True)})."


def _against_baselines(results: SuiteResults, rivals: list[EntrantResult]) -> str:
    first, main = results.first.name, results.main
    said: dict[str, list[EntrantResult]] = {}
    for rival in rivals:
        said.setdefault(verdict(rival.difference[main]), []).append(rival)
    if IS_ABOVE in said:
        names = " and ".join(e.name for e in said[IS_ABOVE])
        return f"{names} {'is' if len(said[IS_ABOVE]) == 1 else 'are'} above {first}."
    if LEVEL in said:
        names = " and ".join(e.name for e in said[LEVEL])
        verb = "does" if len(said[LEVEL]) == 1 else "do"
        return f"{names} {verb} as well as {first}: no difference that its interval supports."
    best = results.best_rival
    assert best is not None
    return (
        f"{first} is above every baseline by more than its interval; the nearest, {best.name}, "
        f"by {best.difference[main].text(sign=True)}."
    )
