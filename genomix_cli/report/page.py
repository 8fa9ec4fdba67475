"""Self-contained HTML pages, which are complete without JavaScript."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from genomix_cli import __version__
from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.outputs import atomic_path
from genomix_cli.provenance import command_line
from genomix_cli.report.canvas import Picture, style

# Fields of a request that only group its options.
GROUPS = ("contest", "rules", "setting", "options")
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
