"""The report: one HTML file that needs nothing beside it, nor JavaScript."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from genomix_cli import __version__
from genomix_cli.comparison.study import Study
from genomix_cli.comparison.summaries import Results
from genomix_cli.provenance import atomic_path, command_line
from genomix_cli.report import figures, sections
from genomix_cli.report.canvas import PAGE_STYLE, Picture, style

MARK = '<meta name="generator" content="genomix train">'
# So that matplotlib names its clip paths alike each time.
SALT = "genomix"

LOOK = (
    PAGE_STYLE
    + """
body { max-width: 84rem; } h1 { margin-bottom: 0.2rem; } .sub { color: #555; margin-top: 0; }
.head { font-size: 1.2rem; line-height: 1.4; border-left: 4px solid #0072B2;
        padding: 0.2rem 0 0.2rem 0.9rem; max-width: 60rem; }
.warn { background: #FDF0E6; border-left: 4px solid #D55E00; padding: 0.4rem 0.9rem;
        max-width: 60rem; }
.note { color: #555; font-size: 0.88rem; max-width: 60rem; }
th { vertical-align: bottom; font-weight: 600; } td { vertical-align: top; white-space: nowrap; }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 7rem; max-width: 26rem; }
small { color: #666; font-size: 0.85em; } tr.main td { background: #EFF6FB; }
.good { color: #00704F; font-weight: 600; } .bad { color: #B2182B; font-weight: 600; }
.level { color: #666; } pre { background: #F5F5F5; padding: 0.6rem; white-space: pre-wrap;
overflow-wrap: anywhere; }
th.text { text-align: left; } .tight { font-size: 0.72rem; }
.tight th, .tight td { padding: 0.15rem 0.35rem; }
.scale { display: inline-block; width: 7rem; text-align: left; }
.bar { display: inline-block; height: 0.7rem; background: #0072B2; }
@page { margin: 12mm; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } nav { display: none; }
  .wide { overflow: visible; } table { font-size: 7.3px; } th, td { padding: 0.1rem 0.25rem; }
  td.text { min-width: 4.5rem; }
  .note, figcaption, .warn { font-size: 10px; } .head { font-size: 13px; }
  table.tight { font-size: 5.8px; } .tight th, .tight td { padding: 0.1rem; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
)

Draw = Callable[[Study, Results], "Picture | None"]
Write = Callable[[Study, Results], str]
# Title of a section, its figures, and its tables, which come after them.
Section = tuple[str, tuple[Draw, ...], tuple[Write, ...]]
SECTIONS: tuple[Section, ...] = (
    ("models", (), (sections.models,)),
    ("at a glance", (lambda _, results: figures.overview(results),), ()),
    ("against the ceiling", (), (sections.ceilings,)),
    ("every metric", (), (sections.everything,)),
    ("curves", (figures.curves,), ()),
    ("calibration", (figures.calibration,), ()),
    ("prediction sets", (), (sections.sets,)),
    ("classes", (figures.confusion,), (sections.classes,)),
    ("training", (figures.training,), ()),
    ("attention", (figures.attention,), ()),
    ("features", (), (sections.features,)),
    ("shuffled labels", (), (sections.control,)),
    ("folds", (), (sections.folds,)),
    ("data and settings", (), (sections.data, sections.settings)),
)


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
        Of :func:`genomix_cli.comparison.results.results`.
    path : Path
        Replaced if it exists.
    command : str, optional
        How to make it again; by default the command line that runs.
    extra : sequence of Section
        What only this domain has; it comes after the table of models.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    text = page(study, results, command_line() if command is None else command, extra)
    with atomic_path(Path(path)) as draft:
        draft.write_text(text, encoding="utf-8")
    return Path(path)


def page(study: Study, results: Results, command: str, extra: Sequence[Section] = ()) -> str:
    """The whole page."""
    parts: list[tuple[str, str]] = []
    with style():
        for title, draws, writes in (*SECTIONS[:2], *extra, *SECTIONS[2:]):
            pictures = [picture for draw in draws if (picture := draw(study, results)) is not None]
            body = "".join(map(embedded, pictures))
            body += "".join(write(study, results) for write in writes)
            if body:
                parts.append((title, body))
    parts.append(("how to repeat", f"<pre>{html.escape(command)}</pre>\n"))
    links = "".join(f'<a href="#s{i}">{title}</a> ' for i, (title, _) in enumerate(parts))
    body = "".join(f'<h2 id="s{i}">{t}</h2>\n{b}' for i, (t, b) in enumerate(parts))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">{MARK}\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(study.data)}: models</title>\n<style>{LOOK}</style></head>\n"
        f"<body>\n{_top(study, results)}<nav>{links}</nav>\n{body}"
        f'<p class="note">genomix {__version__}</p>\n</body>\n</html>\n'
    )


def _top(study: Study, results: Results) -> str:
    counts = (
        f"{results.samples:,} samples of {results.units:,} {results.unit_name} held out by "
        f"{study.held_out_by}, {len(results.classes)} classes, {len(results.outcomes)} models"
    )
    warnings = "".join(f"<li>{html.escape(text)}</li>\n" for text in results.warnings)
    return (
        f"<h1>{html.escape(study.data)}</h1>\n<p class='sub'>{html.escape(counts)}</p>\n"
        f'<p class="head">{html.escape(results.headline)}</p>\n'
        + (f'<div class="warn"><ul>{warnings}</ul></div>\n' if warnings else "")
    )


def embedded(picture: Picture) -> str:
    """A picture inside the page; the same figure gives the same bytes."""
    import matplotlib

    caption = html.escape(picture.caption)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": SALT}):
        picture.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    source = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><img src="data:image/svg+xml;base64,{source}" alt="{caption}">\n'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def write_page(
    path: Path, title: str, headline: str, under: str, body: str, notes: Sequence[str] = ()
) -> None:
    """Write a report of one model: its first line says in words what came out.

    Parameters
    ----------
    path : Path
    title, headline, under : str
        Text, and what stands small below the headline.
    body : str
        HTML.
    notes : sequence of str
        Warnings, above the body.
    """
    title, warnings = html.escape(title), "".join(f"<li>{html.escape(n)}</li>" for n in notes)
    text = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">{MARK}\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{LOOK}</style></head>\n<body>\n<h1>{title}</h1>\n"
        f'<p class="head">{html.escape(headline)}</p>\n<p class="sub">{html.escape(under)}</p>\n'
        + (f'<div class="warn"><ul>{warnings}</ul></div>\n' if warnings else "")
        + f"{body}<h2>how to repeat</h2>\n<pre>{html.escape(command_line())}</pre>\n"
        f'<p class="note">genomix {__version__}</p>\n</body>\n</html>\n'
    )
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text, which scrolls by itself where it is wide."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    lines = (
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>\n{"".join(lines)}</table></div>\n'
