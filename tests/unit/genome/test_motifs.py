from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.alphabet import encode, reverse_complement
from genomix_cli.genome.motifs import (
    CONSENSUS,
    MIN_THRESHOLD_BITS,
    SCORE_STEP,
    Motif,
    best_scores,
    check_widths,
    default_motifs,
    from_consensus,
    read_meme,
    scan,
)

MEME = """MEME version 4

ALPHABET= ACGT

MOTIF MA0001.1 First
letter-probability matrix: alength= 4 w= 2 nsites= 10 E= 0
 0.7 0.1 0.1 0.1
 0.0 0.0 1.0 0.0
URL http://example.org

MOTIF MA0002.1
letter-probability matrix:
 0.25 0.25 0.25 0.25
 0.5 0.5 0 0
 0.001 0.001 0.001 0.997
"""


def site_score(motif: Motif, codes: np.ndarray) -> float:
    """Score of one site base by base: the definition, without any of the module's shortcuts."""
    if (codes > 3).any():
        return -np.inf
    return float(sum(motif.log_odds[i, base] for i, base in enumerate(codes)))


def all_scores(motif: Motif, codes: np.ndarray) -> list[tuple[int, bool, float]]:
    """Start, strand and score of every site of a sequence."""
    sites = [codes[i : i + motif.width] for i in range(len(codes) - motif.width + 1)]
    forward = [(i, False, site_score(motif, site)) for i, site in enumerate(sites)]
    reverse = [(i, True, site_score(motif, reverse_complement(s))) for i, s in enumerate(sites)]
    return forward + reverse


# IUPAC letters of more than one base, written out: an oracle of its own.
IUPAC = {
    **{base: base for base in "ACGT"},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
    **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"},
}


def test_consensus_matrices() -> None:
    motifs = {motif.name: motif for motif in default_motifs()}
    assert list(motifs) == list(CONSENSUS)
    for name, consensus in CONSENSUS.items():
        p = motifs[name].probabilities
        assert p.shape == (len(consensus), 4)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        for row, letter in zip(p, consensus, strict=True):
            best = {"ACGT"[i] for i in np.flatnonzero(row > row.max() - 1e-9)}
            assert best == set(IUPAC[letter])


def test_log_odds_are_bits_against_equal_frequencies() -> None:
    motif = Motif("m", np.array([[0.25] * 4, [0.97, 0.01, 0.01, 0.01]]))
    np.testing.assert_allclose(motif.log_odds[0], 0)
    expected = np.log2(np.array([0.975, 0.015, 0.015, 0.015]) / 1.02 / 0.25)
    np.testing.assert_allclose(motif.log_odds[1], expected, atol=SCORE_STEP / 2)
    assert motif.log_odds.dtype == np.float32
    np.testing.assert_array_equal(motif.log_odds / SCORE_STEP % 1, 0)


def test_nine_in_ten_sampled_sites_reach_the_threshold() -> None:
    rng = np.random.default_rng(5)
    for motif in default_motifs():
        sites = motif.sample(rng, 3000)
        scores = np.array([site_score(motif, site) for site in sites[:300]])
        # The floor of 6.5 bits costs short motifs more of their sites.
        wanted = 0.85 if motif.threshold > MIN_THRESHOLD_BITS else 0.5
        assert np.mean(scores >= motif.threshold) > wanted
        assert MIN_THRESHOLD_BITS <= motif.threshold < motif.max_score
        observed = np.stack([(sites == base).mean(axis=0) for base in range(4)], axis=1)
        np.testing.assert_allclose(observed, motif.probabilities, atol=0.05)


def test_a_motif_without_variation_is_found() -> None:
    motif = Motif("certain", np.eye(4)[encode("GATTACA")])
    hits = scan(encode("CCGATTACACC"), [motif])
    assert hits.start.tolist() == [2]


def test_scan_agrees_with_the_definition() -> None:
    rng = np.random.default_rng(1)
    motifs = default_motifs()
    codes = rng.integers(0, 4, 3000).astype(np.uint8)
    codes[500:520] = 4
    for i, motif in enumerate(motifs):
        site = motif.sample(rng)[0]
        codes[1000 + 40 * i : 1000 + 40 * i + motif.width] = site
    hits = scan(codes, motifs)
    found = set(zip(hits.motif.tolist(), hits.start.tolist(), hits.reverse.tolist(), strict=True))
    expected = {
        (k, start, reverse)
        for k, motif in enumerate(motifs)
        for start, reverse, score in all_scores(motif, codes)
        if score >= motif.threshold
    }
    assert found == expected
    assert len(found) > len(motifs) / 2
    assert (np.diff(hits.start) >= 0).all()
    rows = zip(hits.motif, hits.start, hits.reverse, hits.score, strict=True)
    for k, start, reverse, score in rows:
        site = codes[start : start + motifs[k].width]
        assert score == site_score(motifs[k], reverse_complement(site) if reverse else site)


def test_scan_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(2).integers(0, 5, 5000).astype(np.uint8)
    whole = scan(codes, default_motifs())
    monkeypatch.setattr("genomix_cli.genome.motifs._SCAN_PIECE", 333)
    for a, b in zip(whole, scan(codes, default_motifs()), strict=True):
        np.testing.assert_array_equal(a, b)


def test_scan_mirrors_on_the_other_strand() -> None:
    codes = np.random.default_rng(3).integers(0, 4, 4000).astype(np.uint8)
    motifs = default_motifs()
    one, other = scan(codes, motifs), scan(reverse_complement(codes), motifs)
    width = np.array([motif.width for motif in motifs])
    mirrored = {
        (k, len(codes) - start - width[k], not reverse)
        for k, start, reverse in zip(other.motif, other.start, other.reverse, strict=True)
    }
    assert mirrored == set(zip(one.motif, one.start, one.reverse, strict=True))


def test_scan_of_what_is_too_short() -> None:
    hits = scan(encode("ACG"), default_motifs())
    assert [len(column) for column in hits] == [0, 0, 0, 0]


def test_best_scores_agree_with_the_definition() -> None:
    rng = np.random.default_rng(4)
    motifs = default_motifs()[:5]
    flank, longest = max(motif.width for motif in motifs) - 1, 6
    n = 40
    lengths = rng.integers(0, longest + 1, n)
    haplotypes = np.full((n, 2 * flank + longest), 4, np.uint8)
    for row, length in zip(haplotypes, lengths, strict=True):
        row[: 2 * flank + length] = rng.integers(0, 4, 2 * flank + length)
    best = best_scores(haplotypes, lengths, flank, motifs)
    for row, length, scores in zip(haplotypes, lengths, best, strict=True):
        for motif, score in zip(motifs, scores, strict=True):
            touching = [
                s
                for start, _, s in all_scores(motif, row)
                if start < flank + length and start + motif.width > flank
            ]
            assert score == max(touching)


def test_best_scores_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    haplotypes = rng.integers(0, 5, (500, 45)).astype(np.uint8)
    lengths = rng.integers(0, 15, 500)
    whole = best_scores(haplotypes, lengths, 15, default_motifs())
    monkeypatch.setattr("genomix_cli.genome.motifs._BATCH_SCORES", 1)
    np.testing.assert_array_equal(best_scores(haplotypes, lengths, 15, default_motifs()), whole)


def test_no_site_without_known_bases() -> None:
    haplotypes = np.full((1, 31), 4, np.uint8)
    best = best_scores(haplotypes, np.array([1]), 15, default_motifs())
    assert np.isneginf(best).all()


@pytest.mark.parametrize("compressed", [False, True])
def test_read_meme(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "motifs.meme"
    path.write_bytes(gzip.compress(MEME.encode()) if compressed else MEME.encode())
    first, second = read_meme(path)
    assert (first.name, second.name) == ("First", "MA0002.1")
    np.testing.assert_allclose(first.probabilities, [[0.7, 0.1, 0.1, 0.1], [0, 0, 1, 0]])
    assert second.width == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no motif"),
        (">a\nACGT\n", "no motif"),
        (MEME.replace("w= 2", "w= 5"), "cut short.*expected 5 rows.*found 2"),
        (MEME.replace("alength= 4", "alength= 20"), "not a DNA motif"),
        (MEME.replace("0.7 ", "7 "), "not probabilities"),
        (MEME.replace("0.7 ", "nan "), "not probabilities"),
        ("MOTIF m\nletter-probability matrix: w= x\n", "cut short"),
    ],
)
def test_what_is_not_meme(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.meme"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_meme(path)
    assert "bad.meme" in caught.value.line()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_meme(tmp_path / "absent.meme")
    truncated = tmp_path / "truncated.meme.gz"
    truncated.write_bytes(gzip.compress(MEME.encode() * 50)[:-20])
    with pytest.raises(DataError, match="cut short or damaged"):
        read_meme(truncated)
    binary = tmp_path / "binary.meme"
    binary.write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match="not text"):
        read_meme(binary)


def test_wide_motifs_are_named() -> None:
    motifs = [from_consensus("short", "ACGT"), from_consensus("long", "A" * 9)]
    check_widths(motifs, 9, "x.meme")
    with pytest.raises(UsageError, match=r"motif long.*at most 8 bp.*found 9 bp"):
        check_widths(motifs, 8, "x.meme")


def test_jaspar(shared_data: Path) -> None:
    path = shared_data / "motifs" / "JASPAR2024_CORE_vertebrates_nonredundant.meme.gz"
    if not path.exists():
        pytest.skip("no JASPAR file here")
    motifs = read_meme(path)
    assert len(motifs) == 879
    by_name = {motif.name: motif for motif in motifs}
    assert by_name["Runx1"].width == 9
    np.testing.assert_allclose(
        by_name["Runx1"].probabilities[0], [0.0615, 0.536, 0.0745, 0.328], atol=1e-6
    )
    for motif in motifs:
        np.testing.assert_allclose(motif.probabilities.sum(axis=1), 1)
