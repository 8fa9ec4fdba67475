"""Pages of diffusion models: one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genomix_cli import __version__
from genomix_cli.comparison.intervals import Interval
from genomix_cli.learning.task import Epoch
from genomix_cli.provenance import atomic_path, command_line
from genomix_cli.report.canvas import COLOURS, DASHES, GREY, Picture, grid, head, looks, style
from genomix_cli.report.page import LOOK, MARK, embedded
from genomix_cli.report.sections import Html, table
from genomix_cli.sequences.generate.likelihood import Likelihood, Restored

NOTE = '<p class="note">{}</p>\n'


class Section(NamedTuple):
    """A part of a page: title, pictures, and what stands below them, as HTML."""

    title: str
    pictures: tuple[Picture, ...]
    body: str


def span(value: Interval | None, digits: int = 4, sign: bool = False) -> str:
    """As ``1.3277 [1.3269, 1.3285]``; a dash for nothing."""
    if value is None or value.value != value.value:
        return "–"
    form = f"{'+' if sign else ''}.{digits}f"
    text = format(value.value, form)
    return text if value.low != value.low else f"{text} [{value.low:{form}}, {value.high:{form}}]"


def cell(value: Interval | None, digits: int = 4, sign: bool = False) -> Html:
    """The same in a table."""
    first, _, rest = span(value, digits, sign).partition(" ")
    return Html(f"{first}<br><small>{rest}</small>" if rest else first)


def write_page(
    path: Path, title: str, sub: str, headline: str, sections: Iterable[Section]
) -> None:
    """Write a page; the same content gives the same bytes."""
    body = ""
    for section in sections:
        pictures = "".join(map(embedded, section.pictures))
        body += f"<h2>{html.escape(section.title)}</h2>\n{pictures}{section.body}"
    text = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">{MARK}\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>{LOOK}</style></head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n<p class='sub'>{html.escape(sub)}</p>\n"
        f'<p class="head">{html.escape(headline)}</p>\n{body}'
        f"<h2>how to repeat</h2>\n<pre>{html.escape(command_line())}</pre>\n"
        f'<p class="note">genomix {__version__}</p>\n</body>\n</html>\n'
    )
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def likelihood_section(rows: Sequence[Likelihood]) -> Section:
    """What a base costs under each model."""
    cells = [
        [
            row.name,
            cell(row.nats),
            f"{row.nats.value / 0.6931471805599453:.4f}",
            cell(row.less_best_chain, sign=True) if row.less_best_chain else "best chain",
        ]
        for row in rows
    ]
    body = table(("model", "nats per base", "bits per base", "less best chain"), cells, [0])
    note = (
        "Of held-out sequences; less is better. For diffusion an upper bound of minus the "
        "log-likelihood (Monte Carlo), for chains the exact value. Brackets: 95 % interval from "
        "the spread between groups of sequences; differences are paired."
    )
    return Section("likelihood", (), body + NOTE.format(note))


def restored_section(rows: Sequence[Restored]) -> Section:
    """Accuracy of restoring bases against the share of them that is damaged."""
    with style():
        picture = _restored_picture(rows)
    names = list(dict.fromkeys(row.name for row in rows))
    body = ""
    for damage in dict.fromkeys(row.damage for row in rows):
        own = {(r.name, r.rate): r.accuracy for r in rows if r.damage == damage}
        rates = sorted({rate for _, rate in own})
        cells = [
            [name, *(cell(own[name, rate], 3) for rate in rates)]
            for name in names
            if (name, rates[0]) in own
        ]
        body += f"<h3>{damage} bases</h3>\n" + table(
            ("", *(f"{rate:.0%}" for rate in rates)), cells, [0]
        )
    note = (
        "Hidden: share of the hidden bases that the most probable base is right for. Wrong: share "
        "of all bases that are right after each was weighed against how often one is wrong; “as "
        "it is” corrects nothing. The chain's answer is exact (forward-backward)."
    )
    return Section("restoring bases", (picture,), body + NOTE.format(note))


def _restored_picture(rows: Sequence[Restored]) -> Picture:
    damages = list(dict.fromkeys(row.damage for row in rows))
    pens = looks(row.name for row in rows)
    figure, axes = grid(1, len(damages), (3.6 * len(damages) + 1.6, 2.9))
    for ax, damage in zip(axes.flat, damages, strict=True):
        for name, pen in pens.items():
            own = [row for row in rows if row.damage == damage and row.name == name]
            x, y = [row.rate for row in own], [row.accuracy.value for row in own]
            colour = GREY if name == "as it is" else pen.colour
            ax.plot(x, y, color=colour, marker=pen.marker, ms=3.5, lw=1.1, label=name)
            low, high = [r.accuracy.low for r in own], [r.accuracy.high for r in own]
            ax.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        head(ax, f"{damage} bases")
        ax.set(xlabel="share damaged", ylabel="accuracy")
    handles, labels = axes.flat[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return Picture("restored", "Accuracy against the share of damaged bases, held out.", figure)


def training_section(curve: Sequence[Epoch]) -> Section:
    """How the model learned."""
    with style():
        figure, axes = grid(1, 1, (4.6, 2.8))
        ax, epochs = axes[0, 0], [point.epoch for point in curve]
        marker: dict[str, Any] = {"marker": "o", "ms": 3, "lw": 1.1, "color": COLOURS[0]}
        ax.plot(epochs, [p.train_loss for p in curve], ls=DASHES[1], label="training", **marker)
        ax.plot(epochs, [p.valid_nll for p in curve], label="validation", **marker)
        ax.set(xlabel="epoch", ylabel="bound, nats per base")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend()
    caption = (
        "The bound while it learned. Training: the mean of an epoch, with conditions dropped, "
        "weights as they were. Validation: of the averaged weights."
    )
    return Section("training", (Picture("training", caption, figure),), "")
