"""The report of a study: every model on the same samples, with figures and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genomix_cli.comparison.intervals import BETTER, LEVEL, WORSE
from genomix_cli.comparison.metrics.multiclass import SHOWN
from genomix_cli.comparison.study import MAJORITY, Study
from genomix_cli.comparison.summaries import OutcomeResult, Results
from genomix_cli.comparison.words import weighed_metrics
from genomix_cli.provenance import command_line
from genomix_cli.report import figures
from genomix_cli.report.page import TITLES, Card, Section, listed_settings, write_page


def write_report(
    study: Study,
    results: Results,
    path: Path,
    command: str | None = None,
    extra: Sequence[Section] = (),
) -> Path:
    """Write the report; the same study and command give the same bytes.

    Parameters
    ----------
    study : Study
    results : Results
        Returned by :func:`genomix_cli.comparison.results.results`.
    path : Path
        Replaced if it exists.
    command : str, optional
        Command that reproduces the report; by default the current command line.
    extra : sequence of Section
        Sections of one domain, placed after the table of models.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    settings = [
        ("held out by", study.held_out_by),
        ("target coverage of sets", f"{study.level:.0%}"),
        *listed_settings(study.settings),
    ]
    write_page(
        "study.html.j2",
        Path(path),
        title=f"{study.data}: models",
        heading=study.data,
        sub=(
            f"{results.samples:,} samples of {results.units:,} {results.unit_name} held out by "
            f"{study.held_out_by}, {len(results.classes)} classes, {len(results.outcomes)} models"
        ),
        headline=results.headline,
        cards=cards(results),
        warnings=results.warnings,
        command=command_line() if command is None else command,
        **{"study": study, "results": results, "extra": extra, "settings": settings},
        **{
            "first": list(SHOWN),
            "titles_of": TITLES,
            "BETTER": BETTER,
            "LEVEL": LEVEL,
            "WORSE": WORSE,
        },
        **{"MAJORITY": MAJORITY, "weighed": weighed_metrics(results.metric)},
        **{"figures": figures, "shown": figures.shown(study, results)},
    )
    return Path(path)


def cards(results: Results) -> list[Card]:
    """Return the cards at the top of the page: the model, the best baseline, their difference."""
    name = results.metric
    main = next((row for row in results.outcomes if row.main), None)
    best = next((row for row in results.outcomes if row.name == results.best), None)

    def card(what: str, row: OutcomeResult) -> Card:
        return Card.of(what, row.metrics[name].interval, row.name)

    found = []
    if main is not None:
        found.append(card(TITLES[name], main))
    if results.batches is not None and results.batches.results is not None and main is not None:
        rows = results.batches.results.outcomes
        found.append(
            card("Whole batches held out", next(row for row in rows if row.name == main.name))
        )
    if best is not None:
        found.append(card("Best baseline", best))
    if main is not None and main.against_best is not None:
        difference = main.against_best.differences[name]
        found.append(Card.of("Difference", difference, main.against_best.verdict, sign=True))
    return found
