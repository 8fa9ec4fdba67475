"""What came of an evaluation, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any

from genomix_cli.comparison.metrics.binary import Interval
from genomix_cli.variants.evaluate.suite.entrants import Entrant
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Truth
from genomix_cli.variants.evaluate.suite.test_split import Rows

Metrics = dict[str, Interval]


@dataclass(frozen=True)
class EntrantResult:
    """An entrant's figures.

    Attributes
    ----------
    name, kind, note : str
    seconds : float
    n : int
        Variants with a score.
    metrics : dict of str to Interval
    difference : dict of str to Interval
        The first model less this one, paired, on the variants that have both scores.
    """

    name: str
    kind: str
    note: str
    seconds: float
    n: int
    metrics: Metrics
    difference: Metrics


@dataclass(frozen=True)
class StratumResult:
    """A kind of variants.

    Attributes
    ----------
    title, name : str
        As ``variant class`` and ``SNV``.
    n, positives : int
    metrics : dict of str to dict of str to Interval
        By entrant; empty where there is nothing to tell apart.
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
        As it is, less under the control, paired.
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
    """What was tested: variants, labelled ones, positives, those with an effect, training ones."""

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
    """What came of an evaluation.

    Attributes
    ----------
    main : str
        The metric that decides.
    counts : Counts
    contigs : tuple of str
    units : str
        What the bootstrap drew.
    n_units, draws : int
    entrants : tuple of EntrantResult
        The first model first.
    ceiling : dict of str to Interval
        Of the true probabilities; empty where they are not known.
    strata : tuple of StratumResult
    groups : tuple of StratumResult
        Named groups.
    controls : tuple of ControlResult
    scales : tuple of (layer, head, distance, contacts)
        Learned scales of the contact prior; empty without one.
    notes : tuple of str
        What is to be known before any figure is believed.
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

    @property
    def first(self) -> EntrantResult:
        """The model that the others are compared with."""
        return self.entrants[0]

    @property
    def best_rival(self) -> EntrantResult | None:
        """The best of the baselines and columns, by the main metric's difference."""
        rivals = [e for e in self.entrants if e.kind != "model"]
        defined = [e for e in rivals if not isnan(e.difference[self.main].value)]
        return min(defined, key=lambda e: e.difference[self.main].value, default=None)


@dataclass(frozen=True)
class Suite:
    """An evaluation: its figures, and the columns they are from.

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


IS_BELOW, LEVEL, IS_ABOVE = "below", "does as well", "above"


def verdict(difference: Interval) -> str:
    """What another is to the first model, whose value less its own this is."""
    if difference.low > 0:
        return IS_BELOW
    return IS_ABOVE if difference.high < 0 else LEVEL


def headline(results: SuiteResults) -> str:
    """In words who wins."""
    first, main = results.first, results.main
    title = MEASURES[main].title
    rivals = [e for e in results.entrants if e.kind != "model"]
    sentences = [_against_baselines(results, rivals)] if rivals else []
    for other in results.entrants[1:]:
        if other.kind == "model":
            said = verdict(other.difference[main])
            text = f"{other.name} {said}" if said == LEVEL else f"{other.name} is {said} it"
            sentences.append(f"{text} ({_signed(other.difference[main])} for {first.name}).")
    figure = f"{first.name}: {title} {_said(first.metrics[main])}"
    if main in results.ceiling:
        figure += f", where {results.ceiling[main].value:.3f} is the ceiling"
    return " ".join([*sentences, f"{figure}."])


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
        f"by {_signed(best.difference[main])}."
    )


def _said(value: Interval) -> str:
    text = f"{value.value:.3f}"
    return text if isnan(value.low) else f"{text} [{value.low:.3f}, {value.high:.3f}]"


def _signed(value: Interval) -> str:
    text = f"{value.value:+.3f}"
    return text if isnan(value.low) else f"{text} [{value.low:+.3f}, {value.high:+.3f}]"


def metrics_plain(metrics: Metrics) -> dict[str, Any]:
    """For JSON, which has no NaN."""
    return {
        name: {k: None if isnan(v) else v for k, v in value._asdict().items()}
        for name, value in metrics.items()
    }
