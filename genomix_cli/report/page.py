"""Self-contained HTML pages, which are complete without JavaScript."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from genomix_cli import __version__
from genomix_cli.comparison.intervals import BETTER, LEVEL, WORSE, Interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.study import MAJORITY, Study
from genomix_cli.comparison.summaries import OutcomeResult, Results
from genomix_cli.comparison.words import weighed_metrics
from genomix_cli.provenance import atomic_path, command_line
from genomix_cli.report import figures
from genomix_cli.report.canvas import Picture, style

# Fields of a request that only group its options.
GROUPS = ("contest", "rules", "setting", "options")
# Metrics of the first table, besides the main one.
FIRST = ["accuracy", "macro_f1", "auroc", "nll"]
# Weighted recall is accuracy, so it has no column of its own.
TITLES = {name: m.title for name, m in METRICS.items() if name != "weighted_recall"}


class Card(NamedTuple):
    """A key figure at the top of a page: title, value and a note."""

    title: str
    value: str
    note: str

    @classmethod
    def of(cls, title: str, interval: Interval, about: str, *, sign: bool = False) -> Card:
        """Return the card of a value, with its interval in the note."""
        value, _, ends = interval.text(sign=sign).partition(" ")
        return cls(title[0].upper() + title[1:], value, f"{about} {ends}".strip())


class Section(NamedTuple):
    """A section that only some studies have: title, figure, and HTML below the figure."""

    title: str
    picture: Picture | None
    body: str


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
        **{"first": FIRST, "titles_of": TITLES, "BETTER": BETTER, "LEVEL": LEVEL, "WORSE": WORSE},
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


def write_page(template: str, path: Path, *, title: str, **values: Any) -> None:
    """Write a page; the same content gives the same bytes.

    Parameters
    ----------
    template : str
        File in ``templates``, which extends ``base.html.j2``.
    path : Path
        Replaced if it exists.
    title : str
    **values
        Variables of the template; of the base ``heading`` (by default the title), ``sub``,
        ``headline``, ``cards`` (list of `Card`), ``warnings`` (list of str), ``verb`` (the
        command), ``command`` (by default the current command line; empty for none) and ``made``
        (a `Provenance`).

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    # Figures are drawn and saved while the template is rendered.
    with style():
        text = render(template, title=title, **values)
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def render(template: str, **values: Any) -> str:
    """Return a rendered template; values are escaped for HTML."""
    base: dict[str, Any] = {
        "heading": "",
        "sub": "",
        "headline": "",
        "cards": (),
        "warnings": (),
        "verb": "train",
    }
    # Sections add their titles while they are rendered; the links at the top use them.
    base |= {"command": command_line(), "made": None, "titles": []}
    return _templates().get_template(template).render(base | values)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("genomix_cli.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    templates.globals |= {"td": cell, "version": __version__, "Interval": Interval}
    templates.filters |= {"embedded": embedded, "number": number, "setting": setting}
    templates.filters |= {"words": words, "seconds": seconds, "percent": "{:.0%}".format}
    templates.filters["metric_title"] = TITLES.__getitem__
    return templates


def embedded(picture: Picture, most: int | None = None) -> str:
    """Return a figure as an image source; the same figure gives the same bytes.

    Parameters
    ----------
    picture : Picture
    most : int, optional
        Largest size of an SVG in bytes; a larger one becomes a PNG.
    """
    from genomix_cli.report.vector import vector

    data, kind = vector(picture.figure), "svg+xml"
    if most is not None and len(data) > most:
        buffer, kind = io.BytesIO(), "png"
        picture.figure.savefig(buffer, format="png", dpi="figure", metadata={"Software": None})
        data = buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


class Signed(NamedTuple):
    """A difference, to be shown with its sign."""

    interval: Interval | None


def cell(value: Any, digits: int = 3, sign: bool = False) -> Markup:
    """Return a table cell: text left-aligned, numbers right-aligned, an interval below its value.

    Parameters
    ----------
    value : Interval, Signed, str, number or None
    digits : int
        Number of decimal places.
    sign : bool
        Write a plus sign before positive numbers.
    """
    if isinstance(value, str):
        return Markup('<td class="text">{}</td>').format(value)
    first, _, ends = words(value, digits, sign).partition(" ")
    ends = Markup("<br><small>{}</small>").format(ends) if ends else ""
    return Markup("<td>{}{}</td>").format(first, ends)


def words(value: Any, digits: int = 3, sign: bool = False) -> str:
    """Return a value as text; see :func:`cell`."""
    if isinstance(value, Signed):
        return words(value.interval, digits, sign=True)
    if isinstance(value, Interval):
        return value.text(digits, sign=sign)
    return value if isinstance(value, str) else number(value, digits)


def number(value: Any, digits: int = 3) -> str:
    """Return a float with `digits` decimal places, or a count with thousands separators."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    small = 0 < abs(value) < 0.5 * 10**-digits
    return f"{value:.1e}" if small else f"{value:.{digits}f}"


def seconds(value: float) -> str:
    """Return a time in seconds, with hundredths below ten seconds."""
    return "–" if np.isnan(value) else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def listed_settings(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return names and values of settings, with groups expanded and empty settings left out."""
    rows: list[tuple[str, Any]] = []
    for key, value in settings.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            # Field names of a request are unique without the name of their group.
            inner = "" if key in GROUPS else f"{name}: "
            rows += listed_settings(value, inner)
        elif value not in ("", None, [], ()):
            rows.append((name, value))
    return rows


def setting(value: Any) -> str:
    """Return the value of a setting as readable text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(setting, value))
    return "–" if value is None else str(value)
