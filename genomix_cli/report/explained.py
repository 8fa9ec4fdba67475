"""Pages of explanations: one row per item, which opens its picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.explanation import TOLERANCE, Explained
from genomix_cli.comparison.study import Floats
from genomix_cli.comparison.words import count
from genomix_cli.provenance import Provenance
from genomix_cli.report.canvas import Picture, style
from genomix_cli.report.page import Card, embedded, listed_settings, write_page

#: Largest number of items on a page.
MOST = 200
#: Largest size in bytes of a picture as a vector graphic.
LARGEST_SVG = 200_000
# Largest numbers of classes shown for an item and named on a card.
MOST_CLASSES, NAMED = 6, 3


class Contents(NamedTuple):
    """Text and figures that every page of explanations has.

    Attributes
    ----------
    data, model : str
        Names of the file and of the run.
    what : str
        Noun for one item, such as ``sample``.
    explained : int
        Number of items explained, of which the page may show some.
    table : str
        Name of the table with all items.
    headline : str
    cards : sequence of Card
    errors : sequence of float
        Largest completeness error of each row.
    """

    data: str
    model: str
    what: str
    explained: int
    table: str
    headline: str
    cards: Sequence[Card]
    errors: Sequence[float]


def write_explained(
    template: str,
    path: Path,
    contents: Contents,
    rows: Sequence[Any],
    made: Provenance,
    **values: Any,
) -> None:
    """Write a page of explanations; see :func:`genomix_cli.report.page.write_page`.

    Parameters
    ----------
    template : str
        File in ``templates``, which extends ``explained.html.j2``.
    path : Path
    contents : Contents
    rows : sequence
        Items to show, in the order of the page.
    made : Provenance
    **values
        Variables of the template.
    """
    write_page(
        template,
        path,
        title=f"{contents.data}: explained",
        heading=contents.data,
        sub=f"{count(contents.explained, contents.what)} explained by {contents.model}",
        headline=contents.headline,
        cards=contents.cards,
        warnings=[*made.warnings, *_incomplete(contents)],
        verb="explain",
        command=made.command,
        made=made,
        rows=rows,
        left_out=contents.explained - len(rows),
        table=contents.table,
        what=contents.what,
        count=count,
        other_class=other_class,
        settings=listed_settings(made.config),
        **values,
    )


def _incomplete(contents: Contents) -> Iterator[str]:
    failed = sum(not error <= TOLERANCE for error in contents.errors)
    if failed:
        yield (
            f"the attributions of {count(failed, contents.what)} miss the change of the score by "
            f"more than {TOLERANCE:.0%}"
        )


def drawn(figure: Any) -> str:
    """Return a figure as an image source: a vector graphic, unless that is too large."""
    with style():
        return embedded(Picture("explained", "", figure), most=LARGEST_SVG)


def surest(probability: Floats) -> list[int]:
    """Return the most probable items, as many as a page shows, in the order of the file."""
    first = np.argsort(-probability, kind="stable")[:MOST]
    return sorted(first.tolist())


def ranked_classes(classes: Sequence[str], probability: Floats) -> tuple[tuple[str, float], ...]:
    """Return the most probable classes of an item, with their probabilities ``[K]``."""
    order = np.argsort(-probability, kind="stable")[:MOST_CLASSES]
    return tuple((classes[k], float(probability[k])) for k in order)


def other_class(row: Any) -> tuple[str, float]:
    """Return the most probable class of a row other than the explained one."""
    return next((each for each in row.classes if each[0] != row.explained.of_class), ("–", np.nan))


def class_cards(what: str, explained: Sequence[Explained]) -> Iterator[Card]:
    """Yield cards about the explained classes: their counts and probabilities."""
    counts = class_counts(explained)
    first = ", ".join(f"{name} {n:,}" for name, n in list(counts.items())[:NAMED])
    more = f" and {len(counts) - NAMED} more" if len(counts) > NAMED else ""
    yield Card(f"{what.capitalize()}s", f"{len(explained):,}", first + more)
    probability: NDArray[np.float64] = np.array([each.probability for each in explained])
    yield Card("Mean probability", f"{probability.mean():.3f}", "of the class that is explained")


def class_counts(explained: Iterable[Explained]) -> dict[str, int]:
    """Return the number of explained items of each class, most frequent first."""
    counts: dict[str, int] = {}
    for each in explained:
        counts[each.of_class] = counts.get(each.of_class, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
