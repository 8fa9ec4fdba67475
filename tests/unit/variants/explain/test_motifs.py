"""Motifs are named where the attribution lies, with what the variant does to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genomix_cli.errors import UsageError
from genomix_cli.genome.alphabet import encode
from genomix_cli.genome.motifs import Motif, default_motifs, from_consensus
from genomix_cli.variants.explain.attribution import Attribution
from genomix_cli.variants.explain.columns import Columns
from genomix_cli.variants.explain.explanation import (
    Explanation,
    Instance,
    Site,
    motif_rows,
    picture,
)
from genomix_cli.variants.explain.motifs import AROUND, MotifFinder, chosen_motifs
from genomix_cli.variants.records.inputs import (
    MARGIN,
    Haplotypes,
    WindowArrays,
    haplotypes,
    trim_allele,
)
from genomix_cli.variants.requests.explain import MotifOptions

pytest.importorskip("memelite")

START, N_BINS, FLANK = 10_000, 20, 30
POS = START + 500
CREB = "TGACGTCA"


class OneStretch:
    """A genome source with CREB's site in the middle of random sequence."""

    def __init__(self, site: str = CREB) -> None:
        self.bases = np.random.default_rng(1).integers(0, 4, 4000).astype(np.uint8)
        at = POS - (START - 1000)
        self.bases[at - 4 : at - 4 + len(site)] = encode(site)

    def codes(self, contig: str, start: int, end: int) -> np.ndarray:
        return self.bases[start - (START - 1000) : end - (START - 1000)]


def explained(
    source: OneStretch, ref: str, alt: str, *, at: int = POS, far: bool = False
) -> Explanation:
    """Attribute one unit to the allele, or to a place 60 bp away."""
    allele = trim_allele(at, ref, alt)
    around: Haplotypes = haplotypes(source, "chr1", [allele], FLANK)  # type: ignore[arg-type]
    size = N_BINS * 50 + 2 * MARGIN
    codes = source.codes("chr1", START - MARGIN, START - MARGIN + size)
    signal = np.zeros((0, N_BINS), np.float32)
    window = WindowArrays(codes, signal, signal.astype(np.uint8), np.zeros((5, 5), np.float32))
    of_window, of_ref, of_alt = (
        np.zeros(n) for n in (size, around.ref.shape[1], around.alt.shape[1])
    )
    if far:
        of_window[allele.pos - START + MARGIN + 60] = 1.0
    else:
        of_ref[FLANK], of_alt[FLANK] = -0.5, -0.5
    attribution = Attribution("ref", of_window, of_ref, of_alt, 0.0, np.zeros((0, N_BINS)), -1.0)
    site = Site(f"chr1:{at + 1}:{ref}:{alt}", "chr1", allele)
    return Explanation(site, START, 0.9, window, around, FLANK, (attribution,))


def found(explanation: Explanation, source: OneStretch, *motifs: Motif) -> tuple[Instance, ...]:
    finder = MotifFinder(motifs or default_motifs(), 1e-4, source, 0)  # type: ignore[arg-type]
    return finder.find(explanation)[0]


# The site is TGAC GTCA, the allele its fifth base.
@pytest.mark.parametrize(
    ("ref", "alt", "change"),
    [("G", "A", "lost"), ("GT", "G", "lost"), ("G", "GCCC", "lost")],
)
def test_a_broken_site_is_named_first(ref: str, alt: str, change: str) -> None:
    source = OneStretch()
    first, *_ = found(explained(source, ref, alt), source)
    assert (first.motif.name, first.change) == ("CREB", change)
    assert first.ref.p < 1e-4 < first.alt.p
    assert first.ref.score > first.alt.score + 1
    # CREB reads NTGACGTCAN, so a base more than the site on either side.
    assert (first.start, first.end) == (POS - 5, POS + 5)


def test_what_is_lost_one_way_is_gained_the_other() -> None:
    there, back = OneStretch(), OneStretch("TGACATCA")
    lost = found(explained(there, "G", "A"), there)[0]
    gained = found(explained(back, "A", "G"), back)[0]
    assert (lost.change, gained.change) == ("lost", "gained")
    assert lost.ref == gained.alt
    assert lost.alt.score == gained.ref.score
    assert (lost.start, lost.end) == (gained.start, gained.end)


def test_a_site_that_an_insertion_moves_is_not_lost() -> None:
    """An inserted copy of the site's first base leaves a whole site to the right of it."""
    source = OneStretch()
    explanation = explained(source, "T", "TT", at=POS - 4)
    (creb,) = [m for m in found(explanation, source) if m.motif.name == "CREB"]
    assert creb.change == "unchanged"


def test_only_what_the_attribution_covers_is_named() -> None:
    source = OneStretch()
    near, far = (explained(source, "G", "A", far=far) for far in (False, True))
    assert any(m.motif.name == "CREB" for m in found(near, source))
    assert not any(m.motif.name == "CREB" for m in found(far, source))
    (site,) = [m for m in found(near, source) if m.motif.name == "CREB"]
    # All of it lies on one of ten bases, among 201.
    assert site.cover == pytest.approx((2 * AROUND + 1) / 10)


def test_columns_hold_what_is_attributed_around_an_allele() -> None:
    source = OneStretch()
    explanation = explained(source, "G", "GCC")
    columns = Columns.of(explanation.site.allele, AROUND)
    (attribution,) = explanation.attributions
    heights = columns.heights(attribution, START, FLANK)
    assert heights.sum() == pytest.approx(attribution.total)
    assert len(heights) == 2 * AROUND + 2


def test_a_planted_motif_is_enriched_and_another_is_not() -> None:
    source = OneStretch()
    finder = MotifFinder(default_motifs(), 1e-3, source, 0)  # type: ignore[arg-type]
    for alt in "ACT":
        finder.find(explained(source, "G", alt))
    best, *others = finder.enriched()
    assert (best.motif.name, best.alleles, best.of) == ("CREB", 3, 3)
    assert best.expected < 0.5
    assert best.p < 0.001 < min((other.p for other in others), default=1)
    assert best.q >= best.p


def test_rows_and_bars_say_the_same() -> None:
    import dataclasses

    source = OneStretch()
    explanation = explained(source, "G", "A")
    named = MotifFinder(default_motifs(), 1e-4, source, 0).find(explanation)  # type: ignore[arg-type]
    explanation = dataclasses.replace(explanation, motifs=named)
    row = next(motif_rows(explanation))
    assert row[:5] == (explanation.site.name, "ref", "1", "CREB", "CREB")
    assert row[-1] == "lost"
    bar = picture(explanation, (), "note").motifs[0]
    assert bar.text.startswith("CREB (+)")
    assert "lost" in bar.text
    letters = picture(explanation, (), "note").letters[bar.first : bar.last + 1]
    assert letters[1:9] == "TGACATCA"


def test_motifs_alike_share_a_bar() -> None:
    import dataclasses

    source = OneStretch()
    twins = tuple(from_consensus(name, f"N{CREB}N") for name in ("ONE", "TWO", "THREE"))
    explanation = explained(source, "G", "A")
    explanation = dataclasses.replace(explanation, motifs=(found(explanation, source, *twins),))
    (bar,) = picture(explanation, (), "note").motifs
    assert "and 2 more" in bar.text


@pytest.mark.parametrize("field", ["table", "summary"])
def test_a_table_of_no_motifs_is_refused(field: str, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match="needs --motifs"):
        chosen_motifs(MotifOptions(**{field: tmp_path / "t.tsv"}))
    assert chosen_motifs(MotifOptions()) == ()
