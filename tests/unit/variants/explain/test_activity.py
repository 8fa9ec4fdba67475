"""Changes of activity add up over bases, in the context that makes them, and by substitution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from genomix_cli.variants.explain.activity import ActivityExplainer
from genomix_cli.variants.explain.alleles import select_sites
from genomix_cli.variants.explain.explanation import Explanation, picture, rows
from genomix_cli.variants.requests.explain import ExplainRequest
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score.vcf import score_variants
from genomix_cli.variants.score.workers import raw_genome
from genomix_cli.variants.trained import load_model
from tests.conftest import ROOT, Ended
from tests.random_activity import OUTPUTS, save_activity

pytest.importorskip("captum")

DATA = ROOT / "test_data"
FASTA = DATA / "genome.fa.gz"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_activity(tmp_path_factory.mktemp("models") / "mpra")


@pytest.fixture(scope="module")
def scored(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scored") / "scored.vcf"
    genome = GenomeFiles(FASTA)
    request = ScoreRequest(DATA / "variants.vcf.gz", genome, path, model=str(model), device="cpu")
    score_variants(request)
    return path


def changes(path: Path) -> dict[str, float]:
    """Return the scored change of each allele, by its name."""
    with pysam.VariantFile(str(path)) as file:
        return {
            f"{r.chrom}:{r.pos}:{r.ref}:{alt}": r.info["GENOMIX_DA"][i]
            for r in file
            for i, alt in enumerate(r.alts)
        }


def explained(model: Path, scored: Path, *alleles: str, **settings: Any) -> list[Explanation]:
    request = ExplainRequest(FASTA, Path("-"), scored, select=alleles, **settings)
    loaded = load_model(model)
    source = raw_genome(request, loaded.config)
    sites = select_sites(request, source.fasta, loaded).sites
    explainer = ActivityExplainer(loaded, source, request)
    return [explainer.explain(site) for site in sites]


def some(scored: Path) -> list[str]:
    """Return a substitution, an insertion and a deletion of large effect."""
    found, of = {}, changes(scored)
    for name in sorted(of, key=lambda each: -abs(of[each])):
        _, _, ref, alt = name.split(":")
        found.setdefault((len(alt) > len(ref)) - (len(alt) < len(ref)), name)
    return list(found.values())


@pytest.mark.parametrize("baseline", ["ref", "shuffle"])
def test_attributions_add_up_to_the_change_that_is_scored(
    model: Path, scored: Path, baseline: str
) -> None:
    names = some(scored)
    assert len(names) == 3
    found = explained(model, scored, *names, baselines=(baseline,))
    for explanation in found:
        (attribution,) = explanation.attributions
        change = changes(scored)[explanation.site.name]
        assert attribution.change == pytest.approx(change, abs=1e-5)
        assert attribution.total == pytest.approx(change, rel=0.02, abs=2e-5)
        total = sum(row.attribution for row in rows(explanation, attribution, ()))
        assert total == pytest.approx(attribution.total)


def test_the_change_in_a_cell_type_is_explained_alone(model: Path, scored: Path) -> None:
    name = some(scored)[0]
    (mean,) = explained(model, scored, name)
    (own,) = explained(model, scored, name, cell="K562")
    with pysam.VariantFile(str(scored)) as file:
        record = next(r for r in file if name.startswith(f"{r.chrom}:{r.pos}:{r.ref}:"))
        change = record.info["GENOMIX_DA_K562"][0] / OUTPUTS[1].sd
    assert own.attributions[0].change == pytest.approx(change, abs=2e-5)
    assert own.attributions[0].change != pytest.approx(mean.attributions[0].change, rel=0.01)


def test_a_substitution_is_its_own_effect_and_others_come_from_the_context(
    model: Path, scored: Path
) -> None:
    name = next(n for n in some(scored) if len(n.split(":")[2]) == len(n.split(":")[3]))
    (found,) = explained(model, scored, name, baselines=("ref", "shuffle"))
    of_ref, of_context = found.attributions
    assert np.flatnonzero(of_ref.alt).tolist() == [found.flank]
    assert not of_ref.ref.any()
    read = load_model(model).module.config.length
    assert np.count_nonzero(of_context.alt) > read / 3
    assert not of_context.alt[read:].any()
    # What lies too far from the variant to meet it in the network is the same on both haplotypes.
    np.testing.assert_allclose(of_context.ref[:5] + of_context.alt[:5], 0, atol=1e-4)


def test_shuffles_depend_on_the_seed_and_nothing_else(model: Path, scored: Path) -> None:
    names, how = some(scored), {"baselines": ("shuffle",)}
    alone = explained(model, scored, names[1], **how)[0].attributions[0]
    company = explained(model, scored, *names, **how)
    among = next(e for e in company if e.site.name == names[1]).attributions[0]
    other = explained(model, scored, names[1], seed=1, **how)[0].attributions[0]
    np.testing.assert_array_equal(alone.alt, among.alt)
    assert not np.array_equal(alone.alt, other.alt)


def test_the_scored_substitution_is_among_all(
    genomix_fast: Any, model: Path, scored: Path, tmp_path: Path
) -> None:
    name = next(n for n in some(scored) if len(n.split(":")[2]) == len(n.split(":")[3]))
    contig, pos, ref, alt = name.split(":")
    genomix_fast(
        "explain", scored, "-f", FASTA, "-m", model, "--variants", name, "-o", tmp_path / "why.tsv",
        "--mutagenesis", tmp_path / "ism.tsv", "--plots", tmp_path / "plots",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "ism.tsv", sep="\t", comment="#")
    assert len(table) == 2 * 3 * load_model(model).module.config.length
    here = table[(table.start == int(pos) - 1) & (table.end == int(pos))]
    there = here[(here.part == "ref") & (here.base == ref) & (here.to == alt)].change.item()
    back = here[(here.part == "alt") & (here.base == alt) & (here.to == ref)].change.item()
    assert there == pytest.approx(changes(scored)[name], abs=1e-5)
    assert back == pytest.approx(-there, abs=1e-6)
    bases = table[table.part == "ref"].drop_duplicates("start").base
    start = int(table.start.min())
    with pysam.FastaFile(str(FASTA)) as fasta:
        assert "".join(bases) == fasta.fetch(contig, start, start + len(bases)).upper()
    assert len(list((tmp_path / "plots").iterdir())) == 1
    assert "in SD of activity" in (tmp_path / "why.tsv").read_text()


def test_a_picture_has_no_probability_and_no_tracks(model: Path, scored: Path) -> None:
    (found,) = explained(model, scored, some(scored)[0], baselines=("shuffle",))
    drawn = picture(found, (), "mpra")
    assert drawn.unit == "SD of activity"
    assert drawn.title.endswith("change of activity")
    assert drawn.tracks == ()
    assert "tracks" not in drawn.subtitle + drawn.logos[0].title


def test_the_largest_changes_of_either_sign_are_chosen(
    genomix_fast: Any, model: Path, scored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "why.tsv"
    genomix_fast("explain", scored, "-f", FASTA, "-m", model, "--top", 4, "-o", out)
    found = set(pd.read_csv(out, sep="\t", comment="#").variant)
    ranked = sorted(changes(scored).items(), key=lambda item: -abs(item[1]))
    assert found == {name for name, _ in ranked[:4]}
    assert {np.sign(change) for _, change in ranked[:4]} == {-1, 1}


def best(scored: Path, field: str) -> str:
    """Return the name of the allele that a field says most of."""
    with pysam.VariantFile(str(scored)) as file:
        sizes = {
            f"{r.chrom}:{r.pos}:{r.ref}:{alt}": abs(r.info[field][i])
            for r in file
            for i, alt in enumerate(r.alts)
        }
    return max(sizes, key=sizes.__getitem__)


@pytest.mark.parametrize(
    ("scored_in", "asked", "explained_in"), [("K562", "", "K562"), ("K562", "HepG2", "HepG2")]
)
def test_a_vcf_scored_in_a_cell_type_is_explained_there(
    genomix_fast: Any, model: Path, tmp_path: Path, scored_in: str, asked: str, explained_in: str
) -> None:
    scored, out = tmp_path / "scored.vcf", tmp_path / "why.tsv"
    files = GenomeFiles(FASTA, cell=scored_in)
    score_variants(ScoreRequest(DATA / "variants.vcf.gz", files, scored, model=str(model)))
    more = ("--cell", asked) if asked else ()
    genomix_fast("explain", scored, "-f", FASTA, "-m", model, "--top", 1, *more, "-o", out)
    text = out.read_text()
    assert f'"cell": "{explained_in}"' in text
    names = set(pd.read_csv(out, sep="\t", comment="#").variant)
    assert names == {best(scored, f"GENOMIX_DA_{explained_in}")}


@pytest.mark.parametrize(("scored_in", "is_said"), [("", True), ("HepG2", True), ("K562", False)])
def test_alleles_not_chosen_by_the_cell_type_explained_are_told_of(
    genomix_fast: Any, tmp_path: Path, scored_in: str, is_said: bool
) -> None:
    """The VCF may lack the field of the cell type if the weights show others by default."""
    model = save_activity(tmp_path / "mpra", shown=("HepG2",))
    scored, out = tmp_path / "scored.vcf", tmp_path / "why.tsv"
    files = GenomeFiles(FASTA, cell=scored_in)
    score_variants(ScoreRequest(DATA / "variants.vcf.gz", files, scored, model=str(model)))
    words = ("explain", scored, "-f", FASTA, "-m", model, "--cell", "K562", "--top", 1)
    ended: Ended = genomix_fast(*words, "-o", out)
    assert ("choosing alleles by its GENOMIX_DA; to choose by K562" in ended.err) == is_said
    names = set(pd.read_csv(out, sep="\t", comment="#").variant)
    assert names == {best(scored, "GENOMIX_DA")}


def test_the_cell_type_of_other_weights_is_none_of_these(
    genomix_fast: Any, model: Path, tmp_path: Path
) -> None:
    scored, out = tmp_path / "scored.vcf", tmp_path / "why.tsv"
    files = GenomeFiles(FASTA, cell="K562")
    score_variants(ScoreRequest(DATA / "variants.vcf.gz", files, scored, model="gmt-mini"))
    genomix_fast("explain", scored, "-f", FASTA, "-m", model, "--top", 1, "-o", out)
    assert '"cell"' not in out.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-m", "MODEL", "--attention", "a.tsv"), "has no attention"),
        (("-m", "gmt-mini-sim", "--mutagenesis", "a.tsv"), "predicts no activity"),
        (("-m", "gmt-mini-sim", "--cell", "K562"), "an output of an activity model"),
        (("-m", "MODEL", "--cell", "liver"), "HepG2 or K562"),
    ],
)
def test_what_a_model_cannot_do_is_refused(
    genomix_fast: Any, model: Path, scored: Path, tmp_path: Path, options: Any, message: str
) -> None:
    given = [str(model) if word == "MODEL" else word for word in options]
    ended: Ended = genomix_fast(
        "explain", scored, "-f", FASTA, *given, "-o", tmp_path / "why.tsv", code=2, cwd=tmp_path
    )
    assert message in ended.err
    assert not list(tmp_path.iterdir())


def test_tracks_are_said_to_be_ignored(
    genomix_fast: Any, model: Path, scored: Path, tmp_path: Path
) -> None:
    track = f"ATAC={DATA / 'ATAC.bw'}"
    ended: Ended = genomix_fast(
        "explain", scored, "-f", FASTA, "-t", track, "-m", model, "--top", 1,
        "-o", tmp_path / "why.tsv",
    )  # fmt: skip
    assert "--track ignored" in ended.err
