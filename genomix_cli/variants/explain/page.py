"""HTML page of a run: a row for each explained allele, which opens its figure and motifs."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from genomix_cli.comparison.words import count
from genomix_cli.outputs import check_output
from genomix_cli.provenance import Provenance
from genomix_cli.report.explained import MOST, Contents, drawn, write_explained
from genomix_cli.report.page import Card
from genomix_cli.variants.conditions import holding
from genomix_cli.variants.explain.attribution import Attribution
from genomix_cli.variants.explain.browser import profile
from genomix_cli.variants.explain.explanation import LOG_ODDS, Explanation, Instance, picture, short
from genomix_cli.variants.explain.motifs import MotifFinder
from genomix_cli.variants.explain.plots import figure_of
from genomix_cli.variants.records.inputs import Mode
from genomix_cli.variants.requests.explain import ExplainRequest
from genomix_cli.variants.score.background import LOGITS, Background, load_backgrounds
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.trained import LoadedModel

# Largest number of motifs per allele, and of enriched motifs, on a page.
MOST_MOTIFS, MOST_ENRICHED = 12, 30
# Bases on either side of an allele that count as near.
NEAR = 10
# Changes too small to show with two decimals.
SMALL = 0.005
UNCHANGED = "unchanged"
TITLES = {"ref": "log-odds by the variant", "shuffle": "log-odds above shuffled"}


class Row(NamedTuple):
    """One allele on the page.

    Attributes
    ----------
    order : tuple
        Sort key of the locus: index of the contig in the FASTA, and position.
    name, locus, ref, alt : str
    probability, percentile : float or None
    changes : tuple of float
        One per column of :attr:`RunPage.titles`.
    reason : str
    motifs : tuple of Instance
        Motifs, the most important first.
    errors : tuple of (str, float)
        Completeness error of each baseline.
    source : str
        Source of the image.
    """

    order: tuple[int, int]
    name: str
    locus: str
    ref: str
    alt: str
    probability: float | None
    percentile: float | None
    changes: tuple[float, ...]
    reason: str
    motifs: tuple[Instance, ...]
    errors: tuple[tuple[str, float], ...]
    source: str

    @property
    def title(self) -> str:
        """Locus and change, shortened if they are long."""
        return f"{self.locus} {short(self.ref)}>{short(self.alt)}"

    @property
    def changes_motif(self) -> bool:
        """True if any of its motifs changes; only the first is checked, as changed ones lead."""
        return bool(self.motifs) and self.motifs[0].change != UNCHANGED


class RunPage:
    """Page of a run, written when all alleles have been explained.

    Parameters
    ----------
    request : ExplainRequest
    loaded : LoadedModel
    contigs : sequence of str
        Contigs in the order of the FASTA.
    tracks : sequence of str
    note : str
        Name of the model, for the figures.
    background : Background, optional
        Background for the ranks of the scores.

    Raises
    ------
    UsageError
        If the page may not be written to the given path.
    """

    def __init__(
        self,
        request: ExplainRequest,
        loaded: LoadedModel,
        contigs: Sequence[str],
        tracks: Sequence[str],
        note: str,
        background: Background | None,
    ) -> None:
        assert request.report is not None
        self.path = request.report
        check_output(self.path, force=request.force)
        self.request, self.model = request, loaded.path.name
        self.of_score = loaded.module.reads_window
        self.tracks, self.note, self.background = tracks, note, background
        self._order = {contig: i for i, contig in enumerate(contigs)}
        self.explained = 0
        # Heap of the alleles with the highest scores, with the lowest of them at the top.
        self._rows: list[tuple[float, int, Row]] = []

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the changes of each allele."""
        if not self.of_score:
            return ("change of activity",)
        return tuple(TITLES[baseline] for baseline in self.request.baselines)

    def write(self, explanation: Explanation) -> None:
        """Add an allele; if the page is full, drop the allele with the lowest score."""
        self.explained += 1
        ranked = explanation.ranked
        key = -math.inf if math.isnan(ranked) else ranked
        if len(self._rows) == MOST and (key, -self.explained) < self._rows[0][:2]:
            return
        entry = (key, -self.explained, self._row(explanation))
        if len(self._rows) < MOST:
            heapq.heappush(self._rows, entry)
        else:
            heapq.heapreplace(self._rows, entry)

    def finish(self, made: Provenance, finder: MotifFinder | None) -> None:
        """Write the page, the alleles with the highest scores first."""
        rows = [row for *_, row in sorted(self._rows, key=lambda entry: entry[:2], reverse=True)]
        loci = sorted(range(len(rows)), key=lambda i: rows[i].order)
        enriched = list(finder.enriched()) if finder else []
        changed = sum(row.changes_motif for row in rows)
        contents = Contents(
            *(self._variants, self.model, "allele", self.explained, self.request.output.name),
            headline=self._headline(rows[0]),
            cards=list(self._cards(rows, changed if finder else None)),
            errors=[max((error for _, error in row.errors), default=0.0) for row in rows],
        )
        write_explained(
            "alleles.html.j2",
            self.path,
            contents,
            rows,
            made,
            places={i: place for place, i in enumerate(loci)},
            titles_of=self.titles,
            of_score=self.of_score,
            ranked=self.background,
            finder=finder,
            enriched=enriched[:MOST_ENRICHED],
            more_enriched=len(enriched[MOST_ENRICHED:]),
            most_motifs=MOST_MOTIFS,
            short=short,
        )

    @property
    def _variants(self) -> str:
        return self.request.variants.name if self.request.variants else ""

    def _row(self, explanation: Explanation) -> Row:
        site = explanation.site
        contig, pos, ref, alt = site.name.rsplit(":", 3)
        known = not math.isnan(explanation.probability)
        changes = tuple(attribution.change for attribution in explanation.attributions)
        return Row(
            (self._order[site.contig], site.allele.pos),
            site.name,
            f"{contig}:{int(pos):,}",
            *(ref, alt),
            explanation.probability if known else None,
            self._percentile(explanation.ranked),
            changes[: len(self.titles)],
            reason(explanation, self.tracks),
            _motifs(explanation),
            tuple((a.baseline, a.error) for a in explanation.attributions),
            self._drawn(explanation),
        )

    def _percentile(self, ranked: float) -> float | None:
        if self.background is None:
            return None
        return float(self.background.percentile(np.array([ranked], np.float32))[0])

    def _drawn(self, explanation: Explanation) -> str:
        return drawn(figure_of(picture(explanation, self.tracks, self.note)))

    def _headline(self, first: Row) -> str:
        rank = "" if first.percentile is None else f" (percentile {first.percentile:.2f})"
        if not self.of_score:
            change = f"{_signed(first.changes[0])} SD"
            what = f"has the largest predicted change of activity, {change}{rank}"
        elif first.probability is None:
            what = f"has the highest score{rank}"
        else:
            what = f"has the highest probability of an effect, {first.probability:.3f}{rank}"
        motif = f": {_named(first.motifs[0])}" if first.changes_motif else ""
        return f"{first.title} {what}{motif}."

    def _cards(self, rows: Sequence[Row], changed: int | None) -> Iterator[Card]:
        yield Card("Alleles", f"{self.explained:,}", f"of {self._variants}, by {self.model}")
        first = rows[0]
        if not self.of_score:
            yield Card("Largest change of activity", f"{_signed(first.changes[0])} SD", first.title)
        elif first.probability is not None:
            yield Card("Highest probability", f"{first.probability:.3f}", first.title)
        if first.percentile is not None and self.background is not None:
            yield Card("Its percentile", f"{first.percentile:.2f}", f"among {self.background.name}")
        if changed is not None:
            yield Card(
                "Alleles that change a motif", f"{changed:,}", f"of {count(len(rows), 'allele')}"
            )


def background_of(loaded: LoadedModel, request: ExplainRequest, mode: Mode) -> Background | None:
    """Return the background stored for the conditions of the explanation; None without one."""
    config, reads_window = loaded.config, loaded.module.reads_window
    conditions = config.conditions(
        request.tracks,
        contacts=request.contacts is not None,
        uncovered=request.uncovered,
        both_strands=not reads_window,
        mode=mode if reads_window else None,
    )
    statistic = (
        LOGITS if reads_window else Differences.of(config.activity, cell=request.cell).statistic
    )
    stored = load_backgrounds(loaded.path, loaded.sha256, config.conditions())
    return holding((each for each in stored if each.statistic == statistic), conditions)


def reason(explanation: Explanation, tracks: Sequence[str]) -> str:
    """Summarise an explanation in a sentence."""
    attribution = explanation.attributions[-1]
    parts = [_effect(explanation, attribution)]
    if named := _motifs(explanation):
        parts.append(_named(named[0]))
    if attribution.baseline == "shuffle":
        parts.append(_where(explanation, attribution, tracks))
    return "; ".join(parts)


def _effect(explanation: Explanation, attribution: Attribution) -> str:
    change, of_score = attribution.change, explanation.unit == LOG_ODDS
    what, unit = ("log-odds of an effect", "") if of_score else ("activity", " SD")
    if of_score and attribution.baseline == "shuffle":
        side = "above" if change > 0 else "below"
        return f"{what} {abs(change):.2f} {side} shuffled sequence"
    if abs(change) < SMALL:
        return f"leaves {what} as it is"
    return f"{'raises' if change > 0 else 'lowers'} {what} by {abs(change):.2f}{unit}"


def _named(found: Instance) -> str:
    return f"{found.motif.name} ({found.better.strand}) {found.change}"


def _where(explanation: Explanation, attribution: Attribution, tracks: Sequence[str]) -> str:
    """Describe where most of the attribution lies, by magnitude."""
    first, values = profile(explanation, attribution)
    of_tracks = np.abs(attribution.tracks).sum(1)
    total = np.abs(values).sum() + of_tracks.sum() + abs(attribution.length) or 1.0
    allele = explanation.site.allele
    low, high = allele.pos - first - NEAR, allele.pos - first + len(allele.ref) + NEAR
    near = np.abs(values[max(low, 0) : high]).sum() / total
    said = f"{near:.0%} of the attribution within {NEAR} bp"
    if of_tracks.any():
        most = int(of_tracks.argmax())
        said += f", {of_tracks[most] / total:.0%} on {tracks[most]}"
    return said


def _motifs(explanation: Explanation) -> tuple[Instance, ...]:
    """Return the motifs of an allele, starting with the last baseline, each place once."""
    places: dict[tuple[Any, ...], Instance] = {}
    for found in chain.from_iterable(reversed(explanation.motifs)):
        key = found.motif.accession, found.motif.name, found.start, found.end
        places.setdefault(key, found)
    return tuple(places.values())


def _signed(change: float) -> str:
    return f"{change:+.2f}" if abs(change) >= SMALL else f"{change:+.1e}"
