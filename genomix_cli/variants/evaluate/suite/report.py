"""The page of an evaluation: one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from genomix_cli import __version__
from genomix_cli.provenance import command_line
from genomix_cli.report.canvas import Picture, style
from genomix_cli.report.page import LOOK, embedded
from genomix_cli.report.sections import Html, interval, paragraph, table
from genomix_cli.variants.evaluate.suite import figures
from genomix_cli.variants.evaluate.suite.controls import MEANING
from genomix_cli.variants.evaluate.suite.measures import MEASURES
from genomix_cli.variants.evaluate.suite.results import (
    IS_ABOVE,
    IS_BELOW,
    EntrantResult,
    StratumResult,
    Suite,
    SuiteResults,
    headline,
    verdict,
)
from genomix_cli.variants.requests import SuiteRequest

# Named groups in the page; the tables have them all.
GROUPS = 100


def write_report(suite: Suite, request: SuiteRequest, path: Path) -> None:
    """Write the page; the same evaluation and command give the same bytes.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with style():
        path.write_text(_page(suite, request), encoding="utf-8")


def _page(suite: Suite, request: SuiteRequest) -> str:
    results = suite.results
    parts = [(title, body) for title, write in SECTIONS if (body := write(suite))]
    parts.append(("how to repeat", f"<pre>{html.escape(command_line())}</pre>\n"))
    links = "".join(f'<a href="#s{i}">{title}</a> ' for i, (title, _) in enumerate(parts))
    body = "".join(f'<h2 id="s{i}">{t}</h2>\n{b}' for i, (t, b) in enumerate(parts))
    name = html.escape(request.shard.name)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="generator" content="genomix evaluate">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{name}: evaluation</title>\n<style>{LOOK}</style></head>\n"
        f"<body>\n{_top(results, name)}<nav>{links}</nav>\n{body}"
        f'<p class="note">genomix {__version__}</p>\n</body>\n</html>\n'
    )


def _top(results: SuiteResults, name: str) -> str:
    warnings = "".join(f"<li>{html.escape(text)}</li>\n" for text in results.notes)
    return (
        f'<h1>{name}</h1>\n<p class="head">{html.escape(headline(results))}</p>\n'
        f"<p class='sub'>{html.escape('; '.join(said_of(results)))}</p>\n"
        + (f'<div class="warn"><ul>{warnings}</ul></div>\n' if warnings else "")
    )


def said_of(results: SuiteResults) -> list[str]:
    """What was tested, and how."""
    counts = results.counts
    lines = [f"{counts.variants:,} held-out variants of {', '.join(results.contigs)}"]
    if counts.labelled:
        lines.append(f"{counts.positives:,} positives: prevalence {counts.prevalence:.4f}")
    if counts.effects:
        lines.append(f"{counts.effects:,} with a quantitative effect")
    if counts.trained_on:
        lines.append(
            f"baselines learned from {counts.trained_on:,} others and were tuned on "
            f"{counts.tuned_on:,}"
        )
    if results.draws:
        units = f"{results.draws:,} draws of {results.n_units:,} {results.units}"
        lines.append(f"95 % intervals from {units}, the same for all")
    return lines


def _titles(results: SuiteResults) -> dict[str, str]:
    return {name: MEASURES[name].title for name in results.first.metrics}


def _models(suite: Suite) -> str:
    """Every metric of every entrant."""
    results = suite.results
    titles = _titles(results)
    less = f"{titles[results.main]}: first less this"
    columns = ["", "kind", "variants", *titles.values(), less, "", "note"]
    rows: list[list[Any]] = [
        [
            entrant.name,
            entrant.kind,
            entrant.n,
            *(interval(entrant.metrics.get(name)) for name in titles),
            interval(entrant.difference.get(results.main), sign=True),
            _verdict(entrant, results),
            entrant.note,
        ]
        for entrant in results.entrants
    ]
    if results.ceiling:
        ceiling = (interval(results.ceiling.get(name)) for name in titles)
        rows.append(["ceiling", "truth", results.counts.labelled, *ceiling, Html(""), Html(""), ""])
    marked = [i for i, e in enumerate(results.entrants) if e.kind == "model"]
    said = "Correlations are of the score with the effect as it is, and with its absolute value. "
    ranking = (
        "Ranking counts pairs of variants of a group (where none were named, a 50-kb locus in its "
        "tissue): the place alone gets half of them right."
    )
    text = (said if results.counts.effects else "") + ranking
    text += "".join(f" {e.name}: {e.description}." for e in results.entrants if e.description)
    return table(columns, rows, marked) + paragraph(text)


def _verdict(entrant: EntrantResult, results: SuiteResults) -> Html:
    difference = entrant.difference.get(results.main)
    if difference is None or not results.draws:
        return Html("")
    said = verdict(difference)
    kind = {IS_BELOW: "good", IS_ABOVE: "bad"}.get(said, "level")
    return Html(f'<span class="{kind}">{said}</span>')


def _differences(suite: Suite) -> str:
    """The first model less every other, in every metric."""
    results = suite.results
    titles = _titles(results)
    rows = [
        [e.name, *(interval(e.difference.get(name), sign=True) for name in titles)]
        for e in results.entrants[1:]
    ]
    if not rows:
        return ""
    lower = [title for name, title in titles.items() if not MEASURES[name].larger_is_better]
    text = f"{results.first.name} less each, under the same draws."
    text += f" Of {' and '.join(lower)} less is better." if lower else ""
    return table(["", *titles.values()], rows) + paragraph(text)


def _strata_table(found: Sequence[StratumResult], first: str) -> str:
    entrants = list(dict.fromkeys(name for s in found for name in s.metrics))
    metrics = list(dict.fromkeys(n for s in found for m in s.metrics.values() for n in m))
    columns = [
        first,
        *("variants", "positives"),
        *(f"{MEASURES[metric].title}, {name}" for metric in metrics for name in entrants),
    ]
    rows = [
        [
            s.name,
            s.n,
            s.positives,
            *(interval(s.metrics.get(e, {}).get(m)) for m in metrics for e in entrants),
        ]
        for s in found
    ]
    return table(columns, rows)


def _strata(suite: Suite) -> str:
    parts: dict[str, list[StratumResult]] = {}
    for stratum in suite.results.strata:
        parts.setdefault(stratum.title, []).append(stratum)
    tables = "".join(_strata_table(found, title) for title, found in parts.items())
    said = "A dash: nothing to tell apart. The models, and the baseline that comes nearest."
    return _figure(figures.strata)(suite) + tables + paragraph(said)


def _groups(suite: Suite) -> str:
    groups = sorted(suite.results.groups, key=lambda s: -s.n)
    if not groups:
        return ""
    shown = groups[:GROUPS]
    said = "Groups are called by the stretch that their variants lie in; those with most first."
    if len(shown) < len(groups):
        said += f" {len(groups) - len(shown):,} more are in metrics.tsv."
    return _strata_table(shown, "group") + paragraph(said)


def _controls(suite: Suite) -> str:
    results = suite.results
    title = MEASURES[results.main].title
    columns = ["", title, "as it is, less this", "mean probability", "what it says"]
    rows = [
        [
            control.name.replace("_", " "),
            interval(control.metric),
            interval(control.less, sign=True),
            control.mean_probability,
            MEANING[control.name],
        ]
        for control in results.controls
    ]
    text = f"{results.first.name} on {results.controls[0].n:,} of the variants."
    return table(columns, rows) + paragraph(text)


def _prior(suite: Suite) -> str:
    scales = suite.results.scales
    if not scales:
        return ""
    heads = sorted({head for _, head, *_ in scales})
    columns = [
        "layer",
        *(f"{what}, head {head}" for what in ("distance", "contacts") for head in heads),
    ]
    found = {(layer, head): values for layer, head, *values in scales}
    rows = [
        [str(layer), *(found[layer, head][i] for i in (0, 1) for head in heads)]
        for layer in sorted({layer for layer, *_ in scales})
    ]
    text = (
        "What the attention of each head adds for a unit of distance, -log(1 + bins of 5 kb), and "
        "of contacts, log(observed/expected): softplus(a) and softplus(b) as learned."
    )
    return table(columns, rows) + paragraph(text)


def _figure(draw: Callable[[Suite], Picture | None]) -> Callable[[Suite], str]:
    def write(suite: Suite) -> str:
        picture = draw(suite)
        return "" if picture is None else embedded(picture)

    return write


SECTIONS: tuple[tuple[str, Callable[[Suite], str]], ...] = (
    ("at a glance", _figure(lambda suite: figures.forest(suite.results))),
    ("models", _models),
    ("differences", _differences),
    ("curves", _figure(figures.curves)),
    ("calibration", _figure(figures.reliability)),
    ("strata", _strata),
    ("groups", _groups),
    ("controls", _controls),
    ("contact prior", _prior),
)
