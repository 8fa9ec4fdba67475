"""Report page of explained sequences: each row opens the attribution along its sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from genomix_cli.comparison.explanation import Explained
from genomix_cli.comparison.study import Floats
from genomix_cli.genome.iupac import LETTERS
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.report.canvas import style
from genomix_cli.report.explained import (
    Contents,
    class_cards,
    drawn,
    ranked_classes,
    surest,
    write_explained,
)
from genomix_cli.report.letters import MotifBar
from genomix_cli.report.page import Card
from genomix_cli.sequences.explain.explanation import Explanation, Places, places
from genomix_cli.sequences.explain.motifs import Covered
from genomix_cli.sequences.explain.plots import Drawn, draw_positions, figure_of, strongest
from genomix_cli.sequences.requests.explain import ExplainRequest

# Bases of the stretch shown for a sequence; most sites and most motifs of a row.
STRETCH, MOST_SITES, MOST_MOTIFS = 12, 10, 12


class Site(NamedTuple):
    """One base or column: its position, its allele, and its attribution."""

    place: str
    base: str
    attribution: float


class Row(NamedTuple):
    """Row of the page: one sequence.

    Attributes
    ----------
    place : int
        Position of the sequence in the file.
    where : str
        Genome window of the sequence; empty if unknown.
    explained : Explained
    classes : tuple of (str, float)
        Most probable classes and their probabilities.
    most : Site
        Stretch (or column, for aligned sequences) with the largest absolute attribution.
    half : int
        Fewest bases that have half of the attribution.
    sites : tuple of Site
        Sites, largest attribution first.
    motifs : tuple of Covered
    source : str
        Source of the image.
    """

    place: int
    where: str
    explained: Explained
    classes: tuple[tuple[str, float], ...]
    most: Site
    half: int
    sites: tuple[Site, ...]
    motifs: tuple[Covered, ...]
    source: str


class Named(NamedTuple):
    """A motif in a class: the number of sequences where it is covered, and its attribution."""

    motif: str
    of_class: str
    sequences: int
    of: int
    attribution: float


def write_page(
    explanation: Explanation, model: str, made: Provenance, request: ExplainRequest
) -> None:
    """Write the page of the explained sequences; `model` is the name of the run.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    assert request.report is not None
    lines, aligned = explanation.rows(), explanation.sequences.aligned
    with style():
        shown = track(surest(explanation.probability), "drawing")
        rows = [_row(explanation, i, lines[i]) for i in shown]
    sizes = np.abs(explanation.attribution.values).mean(0)
    named = list(_named(explanation, lines))
    contents = Contents(
        *(request.sequences.name, model, "sequence", len(lines), request.output.name),
        headline=_headline(explanation, sizes, named),
        cards=list(_cards(explanation, lines, rows, named)),
        errors=[row.explained.error for row in rows],
    )
    where = places(explanation.sequences, 0)
    first = np.argsort(-sizes, kind="stable")[: MOST_SITES if aligned else 0]
    with style():
        write_explained(
            "sequences.html.j2",
            request.report,
            contents,
            rows,
            made,
            aligned=aligned,
            windows=explanation.sequences.windows is not None,
            length=explanation.sequences.length,
            motifs_asked=request.motifs is not None,
            most_motifs=MOST_MOTIFS,
            named=named,
            positions=draw_positions(sizes, aligned),
            columns_of=[(_column(where, j), float(sizes[j])) for j in first],
        )


def _row(explanation: Explanation, i: int, line: Explained) -> Row:
    sequences, values = explanation.sequences, explanation.attribution.values[i]
    letters, where = "".join(LETTERS[code] for code in sequences.codes[i]), places(sequences, i)
    names = [_column(where, j) for j in range(len(letters))] if sequences.aligned else []
    motifs = explanation.motifs[i] if explanation.motifs else ()
    bars = [MotifBar(f"{m.motif.name} ({m.strand})", "", m.start, m.end - 1) for m in motifs]
    title = f"{line.sample}: {line.of_class}, p = {line.probability:.3f}"
    order = np.argsort(-np.abs(values), kind="stable")[:MOST_SITES]
    sites = [Site(names[j], letters[j], float(values[j])) for j in order] if names else []
    return Row(
        i,
        "" if names or not where.contig[0] else _window(where),
        line,
        ranked_classes(explanation.classes, explanation.probabilities[i]),
        sites[0] if sites else _stretch(letters, values),
        _half(values),
        tuple(sites),
        motifs,
        drawn(figure_of(Drawn(title, letters, values, bars, names))),
    )


def _window(where: Places) -> str:
    low, high = sorted((int(where.pos[0]), int(where.pos[-1])))
    return f"{where.contig[0]}:{low:,}-{high:,} ({where.strand})"


def _column(where: Places, j: int) -> str:
    change = f" {where.ref[j]}>{where.alt[j]}" if where.alt[j] else ""
    return f"{where.contig[j]}:{where.pos[j]:,}{change}"


def _stretch(letters: str, values: Floats) -> Site:
    start = strongest(values, STRETCH)
    stop = min(start + STRETCH, len(letters))
    return Site(f"{start + 1}–{stop}", letters[start:stop], float(values[start:stop].sum()))


def _half(values: Floats) -> int:
    """Return the smallest number of bases that have half of the absolute attribution."""
    sizes = np.sort(np.abs(values))[::-1].cumsum()
    return int(np.searchsorted(sizes, sizes[-1] / 2)) + 1


def _named(explanation: Explanation, lines: Sequence[Explained]) -> Iterator[Named]:
    """Yield the motifs of each class, the one in most of its sequences first."""
    sums: dict[tuple[str, str], list[float]] = {}
    for line, found in zip(lines, explanation.motifs, strict=False):
        own: dict[str, float] = {}
        for each in found:
            own[each.motif.name] = own.get(each.motif.name, 0.0) + each.attribution
        for name, total in own.items():
            sums.setdefault((name, line.of_class), []).append(total)
    of = {name: sum(line.of_class == name for line in lines) for _, name in sums}
    named = [
        Named(motif, name, len(totals), of[name], float(np.mean(totals)))
        for (motif, name), totals in sums.items()
    ]
    yield from sorted(named, key=lambda each: (-each.sequences / each.of, -abs(each.attribution)))


def _headline(explanation: Explanation, sizes: Floats, named: Sequence[Named]) -> str:
    if named and 2 * named[0].sequences >= named[0].of:
        first = named[0]
        verb = "supports" if first.attribution > 0 else "opposes"
        return (
            f"{first.motif} {verb} {first.of_class} in {first.sequences:,} of {first.of:,} "
            f"sequences, by {abs(first.attribution):.2f} logits on average."
        )
    j, share = int(sizes.argmax()), sizes.max() / (sizes.sum() or 1.0)
    if explanation.sequences.aligned:
        place = _column(places(explanation.sequences, 0), j)
        return f"The most influential column is {place}, with {share:.1%} of the attribution."
    half = int(np.median([_half(values) for values in explanation.attribution.values]))
    return (
        f"Half of the attribution lies on {half:,} of {len(sizes):,} bases (median over sequences)."
    )


def _cards(
    explanation: Explanation,
    lines: Sequence[Explained],
    rows: Sequence[Row],
    named: Sequence[Named],
) -> Iterator[Card]:
    yield from class_cards("sequence", lines)
    what = "columns" if explanation.sequences.aligned else "bases"
    half = int(np.median([row.half for row in rows]))
    length = explanation.sequences.length
    yield Card("Half of the attribution", f"{half:,} {what}", f"of {length:,}, median of sequences")
    if named:
        first = named[0]
        note = f"{first.sequences:,} of {first.of:,} sequences of {first.of_class}"
        yield Card("Most frequent motif", first.motif, note)
