from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyBigWig
import pysam
import pytest

from genomix_cli.comparison.metrics.binary import auroc
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.alphabet import encode, reverse_complement
from genomix_cli.genome.motifs import MIN_THRESHOLD_BITS, Motif, default_motifs
from genomix_cli.variants.requests.simulate import SimulationRequest
from genomix_cli.variants.simulate.causal import draw_labelled
from genomix_cli.variants.simulate.generative import RULES, draw_contig
from genomix_cli.variants.simulate.genome import simulate_genome

cooler = pytest.importorskip("cooler")

TRACKS = ("ATAC", "H3K27ac", "H3K4me3", "CTCF")
MOTIFS = {motif.name: motif for motif in default_motifs()}


class Region(NamedTuple):
    contig: str
    start: int
    end: int
    kind: str
    name: str
    strand: str
    is_open: bool
    contact: bool


class Allele(NamedTuple):
    contig: str
    pos: int
    ref: str
    alt: str
    label: int
    prob: float
    brk: float
    delta: float
    motif: str | None
    is_open: bool
    contact: bool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "genome"
    simulate_genome(SimulationRequest(out, contigs=2, contig_length=303_030, seed=3))
    return out


@pytest.fixture(scope="module")
def genome(folder: Path) -> dict[str, str]:
    with pysam.FastaFile(str(folder / "genome.fa.gz")) as fasta:
        return {name: fasta.fetch(name) for name in fasta.references}


@pytest.fixture(scope="module")
def truth(folder: Path) -> list[Region]:
    rows = [line.split("\t") for line in (folder / "truth.tsv").read_text().splitlines()[1:]]
    return [
        Region(c, int(s), int(e), kind, name, strand, is_open == "1", contact == "1")
        for c, s, e, kind, name, strand, is_open, contact in rows
    ]


@pytest.fixture(scope="module")
def alleles(folder: Path) -> list[Allele]:
    return list(read_alleles(folder))


def read_alleles(folder: Path) -> Iterator[Allele]:
    with pysam.VariantFile(str(folder / "variants.vcf.gz")) as vcf:
        for record in vcf:
            info = record.info
            for i, alt in enumerate(record.alts or ()):
                yield Allele(
                    record.contig,
                    record.pos - 1,
                    record.ref or "",
                    alt,
                    *(info[key][i] for key in ("LABEL", "PROB", "BREAK", "DELTA")),
                    None if info["MOTIF"][i] in (None, ".") else info["MOTIF"][i],
                    bool(info["OPEN"]),
                    bool(info["CONTACT"]),
                )


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_file_is_there(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.bw" for name in TRACKS),
        "genome.fa.gz", "genome.fa.gz.fai", "genome.fa.gz.gzi",
        "contacts.cool", "variants.vcf.gz", "variants.vcf.gz.tbi",
        "truth.tsv", "genomix.toml", "manifest.json",
    }  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["genome"]


def test_the_sequence(genome: dict[str, str]) -> None:
    assert {name: len(sequence) for name, sequence in genome.items()} == {
        "chr1": 303_030,
        "chr2": 303_030,
    }
    for sequence in genome.values():
        assert set(sequence) == set("ACGT")
        gc = [(s.count("G") + s.count("C")) / 5000 for s in pieces(sequence, 5000)]
        assert 0.4 < np.mean(gc) < 0.52
        # Random bases alone would give .007.
        assert np.std(gc) > 0.02
    assert genome["chr1"] != genome["chr2"]


def pieces(sequence: str, size: int) -> list[str]:
    return [sequence[i : i + size] for i in range(0, len(sequence) - size, size)]


def test_domains_tile_the_contigs(truth: list[Region]) -> None:
    for contig in ("chr1", "chr2"):
        domains = [r for r in truth if r.contig == contig and r.kind == "domain"]
        assert (domains[0].start, domains[-1].end) == (0, 303_030)
        assert all(a.end == b.start for a, b in pairwise(domains))
        assert all(d.start % 5000 == 0 and d.end - d.start >= 20_000 for d in domains)


def test_elements_lie_apart_inside_domains(truth: list[Region]) -> None:
    for contig in ("chr1", "chr2"):
        elements = [r for r in truth if r.contig == contig and r.kind in ("enhancer", "promoter")]
        assert all(a.end + 300 <= b.start for a, b in pairwise(elements))
        for e in elements:
            assert 300 <= e.end - e.start <= (600 if e.kind == "enhancer" else 500)
        for d in (r for r in truth if r.contig == contig and r.kind == "domain"):
            inside = [e for e in elements if d.start <= e.start and e.end <= d.end]
            promoters = [e for e in inside if e.kind == "promoter"]
            assert 1 <= len(promoters) <= 2
            assert d.contact == any(p.is_open for p in promoters)
            assert all(e.contact == d.contact for e in inside)


def test_planted_sites_read_as_their_motif(genome: dict[str, str], truth: list[Region]) -> None:
    reached: dict[str, list[bool]] = {"motif": [], "decoy": []}
    for region in truth:
        if region.kind in reached:
            codes = encode(genome[region.contig][region.start : region.end])
            motif = MOTIFS[region.name]
            if motif.threshold == MIN_THRESHOLD_BITS:
                continue
            codes = reverse_complement(codes) if region.strand == "-" else codes
            score = motif.log_odds[np.arange(motif.width), codes].sum()
            reached[region.kind].append(score >= motif.threshold)
    for kind, values in reached.items():
        assert len(values) > 100, kind
        # By the definition of the threshold.
        assert np.mean(values) > 0.85, kind


def test_elements_hold_motifs_whether_open_or_not(truth: list[Region]) -> None:
    elements = [r for r in truth if r.kind in ("enhancer", "promoter")]
    motifs = [r for r in truth if r.kind == "motif"]
    for element in elements:
        inside = [
            m
            for m in motifs
            if m.contig == element.contig and element.start <= m.start and m.end <= element.end
        ]
        assert 3 <= len(inside) <= 5
        assert all(m.is_open == element.is_open for m in inside)
        assert all(a.end <= b.start for a, b in pairwise(inside))
    assert 0.3 < np.mean([e.is_open for e in elements]) < 0.8


def test_reference_alleles_are_the_fasta(genome: dict[str, str], alleles: list[Allele]) -> None:
    assert len(alleles) > 2000
    for allele in alleles:
        assert genome[allele.contig][allele.pos : allele.pos + len(allele.ref)] == allele.ref
        assert allele.alt != allele.ref


def test_kinds_of_variants(folder: Path, genome: dict[str, str], alleles: list[Allele]) -> None:
    indels = [a for a in alleles if len(a.ref) != len(a.alt)]
    assert 0.06 < len(indels) / len(alleles) < 0.18
    assert {len(a.alt) - len(a.ref) for a in indels} == set(range(-10, 11)) - {0}
    for a in indels:
        assert a.ref[0] == a.alt[0]
        # Left-aligned: the longer allele does not end as it begins.
        assert max(a.ref, a.alt, key=len)[-1] != a.ref[0]
    with pysam.VariantFile(str(folder / "variants.vcf.gz")) as vcf:
        places = [(r.contig, r.pos, len(r.alts or ())) for r in vcf]
        assert sum(1 for _ in vcf.fetch("chr2", 100_000, 200_000)) > 100
    assert places == sorted(places)
    assert len({place[:2] for place in places}) == len(places)
    assert 0.01 < np.mean([n == 2 for *_, n in places]) < 0.08


def best_touching(motif: Motif, codes: np.ndarray, start: int, end: int) -> float:
    """Best score of either strand among the sites that touch [start, end)."""
    lowest = max(start - motif.width + 1, 0)
    last = min(end - 1, len(codes) - motif.width)
    windows = codes[np.arange(lowest, last + 1)[:, None] + np.arange(motif.width)]
    forward = motif.log_odds
    return max(
        float(matrix[np.arange(motif.width), windows].sum(axis=1).max())
        for matrix in (forward, forward[::-1, ::-1])
    )


def expected_loss(sequence: str, allele: Allele) -> tuple[str | None, float]:
    """The docstring's rule, from the letters of the two haplotypes."""
    ref, alt, start = allele.ref, allele.alt, allele.pos
    if len(ref) != len(alt):
        ref, alt, start = ref[1:], alt[1:], start + 1
    left, right = sequence[start - 40 : start], sequence[start + len(ref) : start + len(ref) + 40]
    before, after = encode(left + ref + right), encode(left + alt + right)
    on_ref = {m: best_touching(motif, before, 40, 40 + len(ref)) for m, motif in MOTIFS.items()}
    best = max(MOTIFS, key=lambda m: on_ref[m] - MOTIFS[m].threshold)
    if on_ref[best] < MOTIFS[best].threshold:
        return None, 0.0
    return best, max(0.0, on_ref[best] - best_touching(MOTIFS[best], after, 40, 40 + len(alt)))


def test_the_rule_gives_every_probability(
    genome: dict[str, str], truth: list[Region], alleles: list[Allele]
) -> None:
    elements = [r for r in truth if r.kind in ("enhancer", "promoter")]
    domains = [r for r in truth if r.kind == "domain"]
    for allele in alleles:
        at = [r for r in elements if r.contig == allele.contig and r.start <= allele.pos < r.end]
        (domain,) = (
            r for r in domains if r.contig == allele.contig and r.start <= allele.pos < r.end
        )
        is_open = any(element.is_open for element in at)
        motif, delta = expected_loss(genome[allele.contig], allele)
        brk = 0.0 if motif is None else 1 / (1 + np.exp(-(delta - 3) / 0.6))
        p = 0.02 + 0.94 * brk * is_open * (1 if domain.contact else 0.25)
        assert (allele.is_open, allele.contact) == (is_open, domain.contact)
        assert allele.motif == motif
        assert allele.delta == pytest.approx(delta, rel=1e-5)
        assert allele.brk == pytest.approx(brk, rel=1e-5)
        assert allele.prob == pytest.approx(p, abs=2e-6)


@pytest.mark.parametrize(
    ("placement", "least", "most"), [("balanced", 0.45, 0.56), ("sites", 0.7, 0.9)]
)
def test_what_places_tell_of_the_labels(placement: str, least: float, most: float) -> None:
    rng = np.random.default_rng(0)
    motifs = tuple(MOTIFS.values())
    contig = draw_contig("chr1", 1_000_000, motifs, 7, 0, RULES["full"])
    drawn = draw_labelled(rng, contig, 20.0, motifs, placement=placement)
    site, index = np.unique(drawn.alleles.position, return_inverse=True)
    gap = np.diff(site, prepend=-np.inf, append=np.inf)
    nearest = np.minimum(gap[:-1], gap[1:])[index]
    assert 0.05 < drawn.label.mean() < 0.25
    if placement == "balanced":
        planted = contig.sites.element >= 0
        start, end = contig.sites.start[planted], contig.sites.end[planted]
        before = np.searchsorted(start, drawn.alleles.position, side="right") - 1
        in_site = drawn.alleles.position < end[before]
        # Half of half, and half; a few of those moved are in another one.
        assert 0.25 < in_site.mean() < 0.35
        assert 0.5 < (contig.elements.at(drawn.alleles.position) >= 0).mean() < 0.6
    # The nearer the next site, the more likely label 1: by how much is what the placement says.
    assert least < auroc(drawn.label, -nearest) < most


def test_labels_are_coins_of_that_probability(alleles: list[Allele]) -> None:
    p = np.array([a.prob for a in alleles])
    label = np.array([a.label for a in alleles])
    assert set(label) == {0, 1}
    for group in (p < 0.05, (p >= 0.05) & (p < 0.9), p >= 0.9):
        spread = np.sqrt((p * (1 - p))[group].sum())
        assert abs(label[group].sum() - p[group].sum()) < 4 * spread
    assert 0.05 < label.mean() < 0.25


def test_most_open_sites_have_contact(alleles: list[Allele]) -> None:
    contact = [a.contact for a in alleles if a.is_open]
    assert 0.6 < np.mean(contact) < 0.95


def binned(folder: Path, track: str, contig: str) -> np.ndarray:
    with pyBigWig.open(str(folder / f"{track}.bw")) as bigwig:
        length = bigwig.chroms()[contig]
        return bigwig.values(contig, 0, length, numpy=True)


def test_tracks_follow_the_open_elements(folder: Path, truth: list[Region]) -> None:
    signal = {(t, c): binned(folder, t, c) for t in TRACKS for c in ("chr1", "chr2")}

    def mean(track: str, region: Region, margin: int = 0) -> float:
        values = signal[track, region.contig][region.start - margin : region.end + margin]
        measured = values[~np.isnan(values)]
        return float(measured.mean()) if len(measured) else np.nan

    def average(track: str, kind: str, is_open: bool, name: str = "", margin: int = 0) -> float:
        regions = [r for r in truth if r.kind == kind and r.is_open == is_open and name in r.name]
        return float(np.nanmean([mean(track, r, margin) for r in regions]))

    for kind in ("enhancer", "promoter"):
        assert average("ATAC", kind, True) > 5 * average("ATAC", kind, False)
        assert average("H3K27ac", kind, True, margin=250) > 2.5
        assert average("H3K27ac", kind, False, margin=250) < 1.6
    assert average("H3K4me3", "promoter", True, margin=250) > 5
    assert average("H3K4me3", "enhancer", True, margin=250) < 2.5
    assert average("CTCF", "motif", True, "CTCF") > 4 * average("CTCF", "motif", False, "CTCF")
    assert average("CTCF", "decoy", False, "CTCF") < 2


def test_openness_can_be_read_from_the_tracks(folder: Path, truth: list[Region]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    elements = [r for r in truth if r.kind in ("enhancer", "promoter")]
    signal = {c: binned(folder, "ATAC", c) for c in ("chr1", "chr2")}
    values = [signal[r.contig][r.start : r.end] for r in elements]
    pairs = [
        (r.is_open, np.nanmean(v))
        for r, v in zip(elements, values, strict=True)
        if not np.isnan(v).all()
    ]
    assert metrics.roc_auc_score(*zip(*pairs, strict=True)) > 0.98


@pytest.mark.parametrize("track", TRACKS)
def test_unmeasured_stretches(folder: Path, track: str) -> None:
    missing = np.isnan(binned(folder, track, "chr1"))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.view(np.int8), [0]])))
    lengths = np.diff(edges)[::2]
    assert lengths.max() > 3000
    assert missing.mean() < 0.1


def test_the_last_bin_is_short(folder: Path) -> None:
    last = []
    for track in TRACKS:
        with pyBigWig.open(str(folder / f"{track}.bw")) as bigwig:
            # None where the end of the contig is unmeasured.
            last += [bigwig.intervals(c, 303_000, 303_030) for c in bigwig.chroms()]
    ends = {intervals[0][:2] for intervals in last if intervals}
    assert ends == {(303_000, 303_030)}


def test_contacts_show_the_domains(folder: Path, truth: list[Region]) -> None:
    clr = cooler.Cooler(str(folder / "contacts.cool"))
    assert clr.binsize == 5000
    assert dict(clr.chromsizes) == {"chr1": 303_030, "chr2": 303_030}
    assert "creation-date" not in clr.info
    matrix = clr.matrix(balance=False).fetch("chr1").astype(float)
    n = len(matrix)
    np.testing.assert_array_equal(matrix, matrix.T)
    i, j = np.triu_indices(n, 1)
    i, j = i[j - i < 20], j[j - i < 20]
    expected = np.array([np.diagonal(matrix, k).mean() for k in range(20)])[j - i]
    ratio = np.log((matrix[i, j] + 0.1) / (expected + 0.1))
    domains = [r for r in truth if r.contig == "chr1" and r.kind == "domain"]
    domain = np.searchsorted([d.start for d in domains], np.arange(n) * 5000, side="right")
    same = domain[i] == domain[j]
    assert ratio[same].mean() - ratio[~same].mean() > 1.2
    # Mostly one pair of bins alone tells.
    assert np.mean((ratio > 0) == same) > 0.85
    far = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) >= 40
    assert matrix[far].sum() == 0


def test_the_manifest_states_the_ceiling(folder: Path, alleles: list[Allele]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    manifest = json.loads((folder / "manifest.json").read_text())
    label, p = np.array([a.label for a in alleles]), np.array([a.prob for a in alleles])
    assert manifest["format"] == "genomix-simulated-genome"
    assert manifest["counts"]["alleles"] == len(alleles)
    assert manifest["counts"]["positives"] == label.sum()
    assert manifest["prevalence"] == pytest.approx(label.mean(), abs=1e-6)
    bayes = manifest["bayes"]
    assert bayes["auroc"] == pytest.approx(metrics.roc_auc_score(label, p), abs=1e-6)
    # Ties in random order: about the mean over such orders, and not below their joint entry.
    rng = np.random.default_rng(0)
    orders = [
        metrics.average_precision_score(label, p + rng.uniform(0, 1e-9, len(p))) for _ in range(20)
    ]
    assert bayes["auprc"] == pytest.approx(np.mean(orders), abs=5 * np.std(orders))
    assert bayes["auprc"] > metrics.average_precision_score(label, p)
    for contig, value in bayes["auroc_by_contig"].items():
        here = np.array([a.contig == contig for a in alleles])
        assert value == pytest.approx(metrics.roc_auc_score(label[here], p[here]), abs=1e-6)
    assert manifest["provenance"]["seed"] == 3
    assert manifest["provenance"]["config"]["contig_length"] == 303_030


def test_the_settings_name_existing_files(folder: Path) -> None:
    settings = tomllib.loads((folder / "genomix.toml").read_text())
    tables = [settings["prepare"]["variants"], settings["score"], settings["explain"]]
    for table in tables:
        files = [table["fasta"], table["contacts"], *(t.split("=")[1] for t in table["track"])]
        assert all((folder / name).is_file() for name in files)
    assert tables[0]["label-info"] == "LABEL"


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    request = SimulationRequest(tmp_path / "again", contigs=2, contig_length=303_030, seed=3)
    simulate_genome(request)
    assert digests(request.out_dir) == digests(folder)


def test_another_seed_gives_another_genome(folder: Path, tmp_path: Path) -> None:
    simulate_genome(SimulationRequest(tmp_path / "b", contigs=2, contig_length=303_030, seed=4))
    same = {k for k, v in digests(tmp_path / "b").items() if v == digests(folder)[k]}
    assert same <= {"genome.fa.gz.fai", "genome.fa.gz.gzi", "genomix.toml"}


def test_more_variants_leave_the_genome_as_it_is(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "dense"
    simulate_genome(
        SimulationRequest(out, contigs=2, contig_length=303_030, variants_per_kb=8, seed=3)
    )
    changed = {k for k, v in digests(out).items() if v != digests(folder)[k]}
    assert changed == {"variants.vcf.gz", "variants.vcf.gz.tbi", "manifest.json"}
    assert len(list(read_alleles(out))) > 3600


def test_own_motifs(tmp_path: Path) -> None:
    meme = tmp_path / "own.meme"
    rows = "\n".join(" ".join(f"{x:g}" for x in row) for row in np.eye(4)[encode("GATTACAGG")])
    weak = "letter-probability matrix: w= 2\n.25 .25 .25 .25\n.25 .25 .25 .25\n"
    meme.write_text(
        f"MEME version 4\nMOTIF X1 My::TF(v 2)\nletter-probability matrix: w= 9\n{rows}\n"
        f"MOTIF weak\n{weak}"
    )
    out = tmp_path / "out"
    simulate_genome(SimulationRequest(out, 1, 100_000, motifs=meme))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["provenance"]["config"]["motifs"] == ["My::TF(v"]
    assert list(manifest["provenance"]["inputs"]) == ["motifs own.meme"]
    assert (out / "My__TF_v.bw").is_file()
    assert {a.motif for a in read_alleles(out)} == {"My::TF(v", None}
    meme.write_text(f"MEME version 4\nMOTIF weak\n{weak}")
    with pytest.raises(DataError, match="no motif is informative"):
        simulate_genome(SimulationRequest(tmp_path / "none", 1, 100_000, motifs=meme))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"contigs": 0}, "--contigs"),
        ({"contig_length": 99_999}, "--contig-length"),
        ({"variants_per_kb": 0.0}, "--variants-per-kb"),
        ({"variants_per_kb": float("nan")}, "--variants-per-kb"),
        ({"variants_per_kb": 21.0}, "--variants-per-kb"),
    ],
)
def test_requests_that_make_no_sense(tmp_path: Path, change: dict[str, float], option: str) -> None:
    with pytest.raises(UsageError, match=option):
        simulate_genome(SimulationRequest(tmp_path / "x", **change))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_replaced_only_with_force(tmp_path: Path) -> None:
    out = tmp_path / "genome"
    simulate_genome(SimulationRequest(out, 1, 100_000, seed=1))
    before = digests(out)
    with pytest.raises(UsageError, match=r"already exists.*--force"):
        simulate_genome(SimulationRequest(out, 1, 100_000, seed=2))
    assert digests(out) == before
    simulate_genome(SimulationRequest(out, 1, 100_000, seed=2, force=True))
    assert digests(out) != before
    assert [path.name for path in tmp_path.iterdir()] == ["genome"]


def test_force_spares_what_is_no_simulated_genome(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "manifest.json").write_text("[]")
    (tmp_path / "file").write_text("mine")
    for name in ("precious", "file"):
        with pytest.raises(UsageError, match="not a simulated genome"):
            simulate_genome(SimulationRequest(tmp_path / name, 1, 100_000, force=True))
    assert (tmp_path / "precious" / "manifest.json").exists()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_missing_parent_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        simulate_genome(SimulationRequest(tmp_path / "absent" / "genome", 1, 100_000))


def test_nothing_is_left_of_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genomix_cli.variants.simulate.files.write_contacts", fail)
    with pytest.raises(KeyboardInterrupt):
        simulate_genome(SimulationRequest(tmp_path / "x", 1, 100_000))
    assert not list(tmp_path.iterdir())


def test_a_single_variant_has_no_ceiling(tmp_path: Path) -> None:
    summary = simulate_genome(SimulationRequest(tmp_path / "x", 1, 100_000, variants_per_kb=0.01))
    assert summary.counts["records"] == 1
    assert json.loads((tmp_path / "x" / "manifest.json").read_text())["bayes"]["auroc"] is None


def test_under_the_contact_rule_only_contacts_tell_open_sites_apart(tmp_path: Path) -> None:
    out = tmp_path / "genome"
    asked = SimulationRequest(out, contigs=2, contig_length=303_030, seed=3, rule="contact")
    simulate_genome(asked)
    found = list(read_alleles(out))
    for allele in found:
        both = allele.is_open and allele.contact
        assert allele.prob == pytest.approx(0.96 if both else 0.02)
    of_open = [allele.contact for allele in found if allele.is_open]
    assert 0.2 < sum(of_open) / len(of_open) < 0.8
    with pysam.VariantFile(str(out / "variants.vcf.gz")) as vcf:
        assert "0.02 + 0.94 * OPEN * (1 if CONTACT else 0)" in str(vcf.header)
    assert json.loads((out / "manifest.json").read_text())["provenance"]["config"]["rule"] == (
        "contact"
    )


def test_an_unknown_rule_or_placement_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--rule.*full or contact"):
        simulate_genome(SimulationRequest(tmp_path / "g", rule="random"))
    with pytest.raises(UsageError, match=r"--placement.*balanced or sites"):
        simulate_genome(SimulationRequest(tmp_path / "g", placement="random"))
