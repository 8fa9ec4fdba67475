"""Report page that evaluates generated sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genomix_cli.provenance import Provenance
from genomix_cli.report.canvas import GREY, INK, Picture, grid, head, looks, short
from genomix_cli.report.page import Card, write_page
from genomix_cli.sequences.generate.entrants import METRICS, Entrant
from genomix_cli.sequences.generate.results import EntrantResult, GeneratedEvaluation

BINS = np.linspace(0, 1, 41)


def write_generated_page(
    path: Path, evaluation: GeneratedEvaluation, entrants: Sequence[Entrant], made: Provenance
) -> None:
    """Write the page; the last entrant is the held-out sequences."""
    counts = evaluation.counts
    write_page(
        "generated.html.j2",
        path,
        verb="evaluate",
        title=f"{evaluation.generated}: generated",
        sub=(
            f"{counts['compared']:,} generated sequences beside as many of {evaluation.real} held "
            f"out by {evaluation.held_out_by}; {counts['training']:,} to learn from"
        ),
        headline=evaluation.headline,
        cards=_cards(evaluation.entrants[0]),
        made=made,
        evaluation=evaluation,
        entrants=entrants,
        titles_of=METRICS,
        gc_figure=_gc_figure,
        spectra_figure=_spectra_figure,
    )


def _cards(own: EntrantResult) -> list[Card]:
    """Return the cards at the top of the page."""
    return [
        Card.of("6-mer spectrum", own.metrics["spectrum"], "bits"),
        Card.of("Less the Markov chain", own.less_chain["spectrum"], "less is nearer", sign=True),
        Card.of("Nearest training sequence", own.metrics["nearest"], "of 12-mers"),
    ]


def _gc_figure(entrants: Sequence[Entrant]) -> Picture:
    figure, axes = grid(1, 1, (5.6, 2.8))
    ax, pens = axes[0, 0], looks(entrant.name for entrant in entrants[:-1])
    middle = (BINS[:-1] + BINS[1:]) / 2
    for entrant in entrants:
        share = np.histogram(entrant.gc, BINS)[0] / len(entrant.codes)
        if entrant is entrants[-1]:
            ax.fill_between(middle, share, color=GREY, alpha=0.35, lw=0, label=entrant.name)
        else:
            pen = pens[entrant.name]
            ax.plot(middle, share, color=pen.colour, lw=1.2, label=short(entrant.name, 40))
    ax.set(xlabel="GC content", ylabel="share of sequences")
    figure.legend(loc="outside right upper")
    return Picture("gc", "GC content of single sequences. Grey: held-out sequences.", figure)


def _spectra_figure(entrants: Sequence[Entrant]) -> Picture:
    others, real = entrants[:-1], entrants[-1]
    figure, axes = grid(1, len(others), (2.5 * len(others), 2.7), sharex=True, sharey=True)
    expected = np.log10(_share(real))
    for ax, entrant in zip(axes.flat, others, strict=True):
        ax.plot(expected, np.log10(_share(entrant)), ".", ms=1.5, alpha=0.4, color=INK)
        low, high = expected.min(), expected.max()
        ax.plot([low, high], [low, high], color=GREY, lw=0.8)
        head(ax, short(entrant.name, 24))
        ax.set(xlabel="held out")
    axes[0, 0].set(ylabel="log10 frequency of a 6-mer")
    return Picture("spectra", "Frequency of each 6-mer, compared with held-out sequences.", figure)


def _share(entrant: Entrant) -> np.ndarray:
    total = entrant.words.sum(0, dtype=np.float64) + 0.5
    return total / total.sum()
