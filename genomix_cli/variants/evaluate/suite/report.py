"""HTML report of an evaluation."""

from __future__ import annotations

from pathlib import Path

from genomix_cli.comparison.intervals import BETTER, WORSE
from genomix_cli.provenance import Provenance
from genomix_cli.report.page import Card, write_page
from genomix_cli.variants.evaluate.suite import figures
from genomix_cli.variants.evaluate.suite.controls import MEANING
from genomix_cli.variants.evaluate.suite.measures import MEASURES
from genomix_cli.variants.evaluate.suite.results import Suite, SuiteResults, headline, said, verdict
from genomix_cli.variants.requests.evaluate import SuiteRequest


def write_report(suite: Suite, request: SuiteRequest, made: Provenance, path: Path) -> None:
    """Write the HTML report; the same evaluation and command give the same bytes.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    results = suite.results
    measures = {name: MEASURES[name] for name in results.first.metrics}
    write_page(
        "suite.html.j2",
        path,
        verb="evaluate",
        title=f"{request.shard.name}: evaluation",
        heading=request.shard.name,
        headline=headline(results),
        sub="; ".join(description(results)),
        cards=cards(results),
        warnings=results.notes,
        made=made,
        **{"suite": suite, "results": results, "main": results.main, "figures": figures},
        **{"measures": MEASURES, "meaning": MEANING},
        titles_of={name: measure.title for name, measure in measures.items()},
        smaller_is_better=[m.title for m in measures.values() if not m.larger_is_better],
        **{"verdict": verdict, "BETTER": BETTER, "WORSE": WORSE},
    )


def cards(results: SuiteResults) -> list[Card]:
    """Return the cards of key results: the model, its best rival, and the ceiling."""
    first, main, rival = results.first, results.main, results.best_rival
    found = [Card.of(MEASURES[main].title, first.metrics[main], first.name)]
    if rival is not None:
        fewer = f", {rival.n:,} variants" if rival.n < first.n else ""
        title = "Best baseline" if rival.kind == "baseline" else "Best other score"
        found.append(Card.of(title, rival.metrics[main], f"{rival.name}{fewer}"))
        difference = rival.difference[main]
        found.append(Card.of("Difference", difference, said(rival.name, difference), sign=True))
    if main in results.ceiling:
        found.append(Card.of("Ceiling", results.ceiling[main], "by the true probabilities"))
    return found


def description(results: SuiteResults) -> list[str]:
    """Describe the test variants and the method."""
    counts = results.counts
    lines = [f"{counts.variants:,} held-out variants of {', '.join(results.contigs)}"]
    if counts.labelled:
        lines.append(f"{counts.positives:,} positives: prevalence {counts.prevalence:.4f}")
    if counts.effects:
        lines.append(f"{counts.effects:,} with a quantitative effect")
    if counts.trained_on:
        lines.append(
            f"baselines trained on {counts.trained_on:,} other variants and tuned on "
            f"{counts.tuned_on:,}"
        )
    if results.draws:
        units = f"{results.draws:,} bootstrap draws of {results.n_units:,} {results.units}"
        lines.append(f"95 % intervals from {units}, the same for all")
    return lines
