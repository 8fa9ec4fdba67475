"""The page of a run: what it says of each allele, and that a browser shows, sorts and opens it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from genomix_cli.errors import UsageError
from genomix_cli.genome.motifs import Motif
from genomix_cli.provenance import Provenance
from genomix_cli.report import explained as report
from genomix_cli.variants.conditions import Conditions
from genomix_cli.variants.explain.activity import UNIT
from genomix_cli.variants.explain.attribution import Attribution
from genomix_cli.variants.explain.explanation import LOG_ODDS, Explanation, Instance, Match, Site
from genomix_cli.variants.explain.motifs import Enriched
from genomix_cli.variants.explain.page import MOST, RunPage, background_of, reason
from genomix_cli.variants.records.inputs import (
    MARGIN,
    MAX_ALLELE,
    Haplotypes,
    WindowArrays,
    trim_allele,
)
from genomix_cli.variants.requests.explain import ExplainRequest
from genomix_cli.variants.score.background import LOGITS, Background, load_backgrounds
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.trained import load_model
from tests.explained_page import Rows, needs_browser, probed
from tests.random_activity import save_activity

pytest.importorskip("matplotlib")

N_BINS, FLANK, TRACKS = 8, 30, ("ATAC", "CTCF")
CREB, ETS = (Motif(name, np.full((4, 4), 0.25)) for name in ("CREB", "ETS"))
MATCHES = Match(9.0, 1e-5, "+", -2, 5), Match(1.0, 0.1, "+", -2, 5)


def explained(
    name: str = "chr1:1201:A:G",
    change: float = -0.5,
    *,
    baselines: Sequence[str] = ("shuffle",),
    motifs: Sequence[tuple[Motif, str]] = (),
    p: float | None = None,
) -> Explanation:
    """Half of the attribution is on the base, 3/8 is 30 bp away, and 1/8 on ATAC of a GMT."""
    contig, pos, ref, alt = name.split(":")
    allele = trim_allele(int(pos) - 1, ref, alt)
    start = (allele.pos - 200) // 50 * 50
    codes = np.random.default_rng(allele.pos).integers(0, 4, N_BINS * 50 + 2 * MARGIN)
    tracks = np.zeros((2 if p is not None else 0, N_BINS), np.float32)
    of_tracks = tracks.astype(np.float64)
    of_tracks[:1, 3] = change / 8
    row = codes[None, :][:, : 2 * FLANK + MAX_ALLELE].astype(np.uint8)
    bases = np.zeros(row.shape[1])
    bases[FLANK], far = change / 2, np.zeros(len(codes))
    far[MARGIN + allele.pos - start - 30] = change / 2 - of_tracks.sum()
    length = np.array([len(allele.ref)])
    return Explanation(
        Site(name, contig, allele),
        start,
        float("nan") if p is None else p,
        WindowArrays(codes.astype(np.uint8), tracks, tracks.astype(np.uint8) + 1, tracks),
        Haplotypes(row, row, length, np.array([len(allele.alt)])),
        FLANK,
        tuple(Attribution(b, far, bases * 0, bases, 0.0, of_tracks, change) for b in baselines),
        unit=UNIT if p is None else LOG_ODDS,
        motifs=tuple(
            tuple(
                Instance(m, 1198, 1206, *MATCHES, fate, 4.0) for m, fate in motifs
            )
            for _ in baselines
        ),
        logit=float("nan") if p is None else float(np.log(p / (1 - p))),
    )  # fmt: skip


def written(
    folder: Path,
    explanations: Sequence[Explanation],
    *,
    background: Background | None = None,
    enriched: Sequence[Enriched] | None = None,
) -> str:
    """Write a page of the explanations and return it."""
    first = explanations[0]
    request = ExplainRequest(
        folder / "genome.fa",
        folder / "why.tsv",
        variants=Path("few <b>.vcf"),
        report=folder / "why.html",
        baselines=tuple(a.baseline for a in first.attributions),
    )
    module = SimpleNamespace(reads_window=first.unit == LOG_ODDS)
    loaded: Any = SimpleNamespace(path=Path("runs/gmt"), module=module)
    made = Provenance("genomix explain few.vcf", {"steps": 64}, model="gmt sha256:00")
    finder: Any = enriched if enriched is None else SimpleNamespace(
        p_value=1e-4, enriched=lambda: iter(enriched)
    )  # fmt: skip
    contigs, tracks = ("chr1", "chr2", "chr10"), TRACKS if module.reads_window else ()
    own = RunPage(request, loaded, contigs, tracks, "gmt", background)
    for each in explanations:
        own.write(each)
    own.finish(made, finder)
    return (folder / "why.html").read_text()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time."""
    monkeypatch.setattr(RunPage, "_drawn", lambda *_: "data:,")


@pytest.mark.usefixtures("undrawn")
def test_a_row_says_what_the_run_found(tmp_path: Path) -> None:
    shown = explained(motifs=[(CREB, "lost"), (ETS, "unchanged")])
    scores = np.linspace(0, 1, 101, dtype=np.float32)
    ranks = Background.of(scores, "the variants of random.vcf", "", Conditions(), f"|DA| ({UNIT})")
    enriched = [Enriched(CREB, "shuffle", 5, 6, 0.4, 0.001, 0.002)]
    bare = explained("chr2:1201:A:G", -0.2)
    text = written(tmp_path, [bare, shown], background=ranks, enriched=enriched)
    row, without = Rows(text).rows
    assert without[5:] == ["", f"lowers activity by 0.20 SD; {row[6].split('; ')[-1]}"]
    assert row[:5] == ["chr1:1,201", "A", "G", "-0.500", "50.00"]
    assert row[5].split() == ["CREB", "(+)", "lost"]
    assert (
        row[6].strip()
        == "lowers activity by 0.50 SD; CREB (+) lost; 50% of the attribution within 10 bp"
    )
    assert "few &lt;b&gt;.vcf" in text
    assert "<b>.vcf" not in text
    assert (
        "has the largest predicted change of activity, -0.50 SD (percentile 50.00): CREB (+) lost."
        in text
    )
    words = re.sub(r"<[^>]+>", " ", text)
    assert re.search(r"CREB\s+shuffle\s+5\s+6\s+0.40\s+0.001\s+0.002", words)
    assert re.search(r"ETS\s+\+\s+1,199–1,206\s+1.0e-05\s+1.0e-01\s+unchanged\s+4.0", words)


def test_a_model_of_windows_has_probabilities_and_tracks(tmp_path: Path) -> None:
    one = explained(baselines=("ref", "shuffle"), change=0.8, p=0.25)
    ranks = Background.of(np.array([-2.0, 0.0], "f4"), "snvs", "", Conditions(), LOGITS)
    found = Rows(written(tmp_path, [one], background=ranks))
    assert found.rows[0][3:7] == ["0.250", "+0.800", "+0.800", "50.00"]
    assert found.rows[0][-1].strip() == (
        "log-odds of an effect 0.80 above shuffled sequence; "
        "50% of the attribution within 10 bp, 12% on ATAC"
    )
    assert "motif" not in found.titles
    assert [title.strip() for title in found.titles[:8]] == [
        *("allele", "ref", "alt", "p", "log-odds by the variant", "log-odds above shuffled"),
        *("percentile", "reason"),
    ]


@pytest.mark.parametrize(
    ("change", "baseline", "p", "said"),
    [
        (0.3, "ref", None, "raises activity by 0.30 SD"),
        (-0.001, "ref", None, "leaves activity as it is"),
        (-0.3, "ref", 0.5, "lowers log-odds of an effect by 0.30"),
        (-0.3, "shuffle", 0.5, "log-odds of an effect 0.30 below shuffled sequence; 50"),
    ],
)
def test_reasons(change: float, baseline: str, p: float | None, said: str) -> None:
    found = reason(explained(change=change, baselines=(baseline,), p=p), TRACKS)
    assert found.startswith(said)
    assert (found == said) == (baseline == "ref")


@pytest.mark.usefixtures("undrawn")
def test_the_highest_scores_stay_and_the_rest_are_counted(tmp_path: Path) -> None:
    changes = np.random.default_rng(0).permutation(MOST + 5) - 100
    alleles = [explained(f"chr1:{1000 + i}:A:G", float(c)) for i, c in enumerate(changes)]
    text = written(tmp_path, alleles)
    shown = [float(row[3]) for row in Rows(text).rows]
    assert [abs(change) for change in shown] == sorted(np.abs(changes), reverse=True)[:MOST]
    assert "5 more are not on this page, but in why.tsv" in text
    assert "205 alleles explained" in text


def test_ranks_are_of_the_conditions_of_the_explanation(tmp_path: Path) -> None:
    """The mean of both strands, for a model of activity."""
    folder = save_activity(tmp_path / "mpra")
    loaded = load_model(folder)
    statistic = Differences.of(loaded.config.activity).statistic
    for both in (False, True):
        scores, made = np.zeros(2, np.float32), Conditions((), False, both_strands=both)
        own = Background.of(scores, str(both), loaded.sha256, made, statistic)
        own.save(folder, load_backgrounds(folder, loaded.sha256, Conditions()))
    found = background_of(loaded, ExplainRequest(tmp_path, tmp_path), "centred")
    assert found is not None
    assert found.source == "True"


@pytest.mark.usefixtures("undrawn")
def test_attributions_that_do_not_add_up_are_told(tmp_path: Path) -> None:
    short = explained()
    half = Attribution(**{**vars(short.attributions[0]), "change": -1.0})
    text = written(tmp_path, [Explanation(**{**vars(short), "attributions": (half,)}), short])
    assert "the attributions of 1 allele miss the change of the score by more than 1%" in text


def test_pictures_are_vectors_where_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (vector,) = Rows(written(tmp_path, [explained()])).images
    monkeypatch.setattr(report, "LARGEST_SVG", 1000)
    (tmp_path / "why.html").unlink()
    (pixels,) = Rows(written(tmp_path, [explained()])).images
    assert vector.startswith("data:image/svg+xml;base64,")
    assert pixels.startswith("data:image/png;base64,")


def test_it_is_the_same_each_time_and_replaces_nothing_unasked(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        texts.append(written(tmp_path / name, [explained()]))
    assert texts[0] == texts[1]
    with pytest.raises(UsageError, match="already exists"):
        written(tmp_path / "a", [explained()])


@needs_browser
def test_a_browser_sorts_filters_and_opens_it(tmp_path: Path) -> None:
    """A browser sorts, filters and opens the page without errors or network requests."""
    names = ["chr10:1300:A:G", "chr1:1201:A:G", "chr2:900:C:CTTA", "chr1:1100:AT:A"]
    changes = [0.9, -1.2, 0.02, -0.3]
    fates = ["gained", "lost", "unchanged", "lost"]
    text = written(
        tmp_path,
        [
            explained(name, change, motifs=[(CREB if i < 3 else ETS, fates[i])])
            for i, (name, change) in enumerate(zip(names, changes, strict=True))
        ],
        enriched=(),
    )
    found = probed(text, tmp_path, column=3, words="creb LOST")
    loci = ["chr1:1,201", "chr10:1,300", "chr1:1,100", "chr2:900"]
    assert found["first"] == loci
    assert found["closed"] == 4
    assert found["descending"] == ["+0.900", "+0.020", "-0.300", "-1.200"]
    assert found["ascending"] == found["descending"][::-1]
    assert found["by_place"] == ["chr1:1,100", "chr1:1,201", "chr2:900", "chr10:1,300"]
    assert found["filtered"] == ["chr1:1,201"]
    assert all(size > 200 for size in found["picture"])
