"""The page on generated sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genomix_cli.report.canvas import GREY, INK, Picture, grid, head, looks, short, style
from genomix_cli.report.sections import table
from genomix_cli.sequences.generate.entrants import METRICS, Entrant
from genomix_cli.sequences.generate.page import NOTE, Section, cell, write_page
from genomix_cli.sequences.generate.results import GeneratedEvaluation

BINS = np.linspace(0, 1, 41)


def write_generated_page(
    path: Path, evaluation: GeneratedEvaluation, entrants: Sequence[Entrant]
) -> None:
    """Write the page; the last of the entrants are the held-out sequences."""
    counts = evaluation.counts
    sub = (
        f"{counts['compared']:,} generated sequences beside as many of {evaluation.real} held out "
        f"by {evaluation.held_out_by}; {counts['training']:,} to learn from"
    )
    with style():
        pictures = (_gc(entrants), _spectra(entrants))
    sections = [
        Section("at a glance", (), _metrics(evaluation)),
        Section("less the Markov chain", (), _differences(evaluation)),
        Section("GC and words", pictures, ""),
    ]
    write_page(path, f"{evaluation.generated}: generated", sub, evaluation.headline, sections)


def _metrics(evaluation: GeneratedEvaluation) -> str:
    names = [name for name in METRICS if name in evaluation.entrants[0].metrics]
    rows = [
        [METRICS[name], *(cell(each.metrics.get(name), 4) for each in evaluation.entrants)]
        for name in names
    ]
    note = (
        "Distances are to the held-out sequences, less is nearer; those of the held-out sequences "
        "themselves are between two halves, which are smaller sets and so a little farther apart. "
        "Training sequences are the yardstick: real, and from other places of the genome. "
        f"Brackets: 95 % intervals, bootstrap of sequences. {_classified(evaluation)}"
    )
    return table(("", *(each.name for each in evaluation.entrants)), rows) + NOTE.format(note)


def _classified(evaluation: GeneratedEvaluation) -> str:
    said = f"Classes are found by {evaluation.classifier}." if evaluation.classifier else ""
    return said + (f" {evaluation.motifs:,} motifs." if evaluation.motifs else "")


def _differences(evaluation: GeneratedEvaluation) -> str:
    others = [each for each in evaluation.entrants if each.less_chain]
    rows = [
        [METRICS[name], *(cell(each.less_chain.get(name), 4, sign=True) for each in others)]
        for name in others[0].less_chain
    ]
    note = "Each metric less that of the Markov chain of all sequences, on the same replicates."
    return table(("", *(each.name for each in others)), rows) + NOTE.format(note)


def _gc(entrants: Sequence[Entrant]) -> Picture:
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
    ax.set(xlabel="GC of a sequence", ylabel="share of sequences")
    figure.legend(loc="outside right upper")
    return Picture("gc", "GC of single sequences; the held-out ones in grey.", figure)


def _spectra(entrants: Sequence[Entrant]) -> Picture:
    others, real = entrants[:-1], entrants[-1]
    figure, axes = grid(1, len(others), (2.5 * len(others), 2.7), sharex=True, sharey=True)
    expected = np.log10(_share(real))
    for ax, entrant in zip(axes.flat, others, strict=True):
        ax.plot(expected, np.log10(_share(entrant)), ".", ms=1.5, alpha=0.4, color=INK)
        low, high = expected.min(), expected.max()
        ax.plot([low, high], [low, high], color=GREY, lw=0.8)
        head(ax, short(entrant.name, 24))
        ax.set(xlabel="held out")
    axes[0, 0].set(ylabel="log10 share of a 6-mer")
    return Picture("spectra", "Each 6-mer's share of all, against held-out sequences.", figure)


def _share(entrant: Entrant) -> np.ndarray:
    total = entrant.words.sum(0, dtype=np.float64) + 0.5
    return total / total.sum()
