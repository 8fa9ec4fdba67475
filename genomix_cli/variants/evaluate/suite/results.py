"""Results of an evaluation in numbers, and its headline."""

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
    """An entrant's figures.

    Attributes
    ----------
    name, kind, note : str
    n : int
        Variants with a score.
    metrics : dict of str to Interval
    difference : dict of str to Interval
        The first model less this one, paired, on the variants that have both scores.
    description : str
        What it is, where the name does not say so.
    parameters : int, optional
        Of a model.
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
    """A member of a stack, its weight per SD, and the stack less it by metric, paired."""

    name: str
    weight: float
    less: Metrics


class StackResult(NamedTuple):
    """A stack, by the name of its entrant.

    Attributes
    ----------
    name : str
    members : tuple of Member
    best : str
        The member that the stack gains least on.
    """

    name: str
    members: tuple[Member, ...]
    best: str

    def over_best(self, metric: str) -> Interval:
        """Return the stack less its best member."""
        return next(m.less[metric] for m in self.members if m.name == self.best)


@dataclass(frozen=True)
class StratumResult:
    """Metrics of one kind of variants.

    Attributes
    ----------
    title, name : str
        As ``variant class`` and ``SNV``.
    n, positives : int
    metrics : dict of str to dict of str to Interval
        By entrant and metric; empty where there is nothing to tell apart.
    """

    title: str
    name: str
    n: int
    positives: int
    metrics: dict[str, Metrics]


@dataclass(frozen=True)
class ControlResult:
    """The first model on altered inputs.

    Attributes
    ----------
    name : str
    n : int
    metric : Interval
        The main metric.
    less : Interval, optional
        The metric without the control less that under it, paired.
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
    """Numbers of test variants by what is known of them, and of those baselines learned from."""

    variants: int
    labelled: int
    positives: int
    effects: int
    trained_on: int
    tuned_on: int

    @property
    def prevalence(self) -> float:
        """Share of positives."""
        return self.positives / self.labelled if self.labelled else float("nan")


@dataclass(frozen=True)
class SuiteResults:
    """Metrics of all entrants, strata and controls.

    Attributes
    ----------
    main : str
        Name of the metric that decides.
    counts : Counts
    contigs : tuple of str
    units : str
        Kind of the resampling units.
    n_units, draws : int
    entrants : tuple of EntrantResult
        The first model first.
    ceiling : dict of str to Interval
        Metrics of the true probabilities; empty where they are not known.
    strata : tuple of StratumResult
    groups : tuple of StratumResult
        Named groups.
    controls : tuple of ControlResult
    scales : tuple of (layer, head, distance, contacts)
        Learned scales of the contact prior; empty without one.
    notes : tuple of str
        Warnings that a reader must know before the numbers.
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
        """The model that the others are compared with."""
        return self.entrants[0]

    @property
    def rivals(self) -> list[EntrantResult]:
        """The baselines and columns; a stack has the first model within it."""
        return [e for e in self.entrants if e.kind in ("baseline", "column")]

    @property
    def best_rival(self) -> EntrantResult | None:
        """The best of the baselines and columns by the main metric, on the same variants."""
        defined = [e for e in self.rivals if not isnan(e.difference[self.main].value)]
        return min(defined, key=lambda e: e.difference[self.main].value, default=None)


@dataclass(frozen=True)
class Suite:
    """An evaluation: its results, and the scores that they are computed from.

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


# A smaller loss of the main metric, with the variant removed, is none.
LEAST_LOSS = 0.01
IS_BELOW, LEVEL, IS_ABOVE = "below", "does as well", "above"


def verdict(difference: Interval) -> str:
    """Compare another entrant with the first model, given the first one's value less its own."""
    return {1: IS_BELOW, 0: LEVEL, -1: IS_ABOVE}[difference.sign]


def said(name: str, difference: Interval) -> str:
    """Say where another entrant stands; its name alone without an interval to judge by."""
    if isnan(difference.low):
        return name
    word = verdict(difference)
    return f"{name} {word}" if word == LEVEL else f"{name} is {word}"


def headline(results: SuiteResults) -> str:
    """Say who is above whom by the main metric, and where the first model stands.

    A model that loses nothing with the variant removed ranks places: that comes first.
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
    """Say if the first model is not seen to lose anything with the variant removed."""
    removed = next((c for c in results.controls if c.name == "variant_removed"), None)
    if removed is None or removed.less is None or removed.less.sign > 0:
        return ""
    less = removed.less
    if less.value >= LEAST_LOSS and isnan(less.low):
        return ""  # without an interval a loss is taken at its word
    lost = less.value >= LEAST_LOSS
    said = "is not seen to read the variant" if lost else "does not read the variant"
    title, as_is = MEASURES[results.main].title, removed.metric.value + less.value
    return (
        f"This model {said}: {title} {as_is:.3f}, and {removed.metric.value:.3f} with the variant "
        f"removed ({less.text(sign=True)} between them)."
    )


def _of_stack(made: StackResult, main: str) -> str:
    """Say whether a stack is better than the best of its members."""
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
