"""Sites have the scores and p-values of their definition, on either strand, and hold no N."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from genomix_cli.genome.alphabet import encode, reverse_complement
from genomix_cli.genome.motif_sites import P_VALUE, find_sites, suited_p_value
from genomix_cli.genome.motifs import Motif, from_consensus, scan

pytest.importorskip("memelite")

ROWS = [[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.1, 0.6, 0.1, 0.2], [0.4, 0.2, 0.2, 0.2]]
NARROW = Motif("narrow", np.array(ROWS))


def test_a_p_value_is_the_share_of_sequences_that_score_so_high() -> None:
    every = np.array(list(product(range(4), repeat=NARROW.width)), np.uint8)
    sites = find_sites(every, [NARROW])
    forward = sites.where(~sites.reverse)
    bits = np.log2(NARROW.probabilities / 0.25)[np.arange(NARROW.width), every].sum(1)
    np.testing.assert_allclose(forward.score, bits[forward.row], atol=0.01)
    # Scores are rounded to 0.1 bits a column.
    for p, score in zip(forward.p, forward.score, strict=True):
        assert (bits >= score + 0.25).mean() - 1e-9 <= p <= (bits >= score - 0.25).mean() + 1e-9
    left_out = np.setdiff1d(np.arange(len(every)), forward.row)
    assert bits[left_out].max(initial=-np.inf) < np.median(bits)


def test_the_best_site_has_the_p_value_of_being_the_best() -> None:
    """Rounding puts its score beyond FIMO's table, where the p-value is 0."""
    column = [0.62, 0.38 / 3, 0.38 / 3, 0.38 / 3]
    motif = Motif("rounded", np.array([column] * 30))
    sites = find_sites(np.zeros((1, 30), np.uint8), [motif, NARROW])
    best = sites.where((sites.motif == 0) & ~sites.reverse)
    np.testing.assert_allclose(best.p, 0.25**30)


def test_the_same_sites_as_our_own_scan_on_both_strands() -> None:
    motif = from_consensus("GATA", "NWGATAARN")
    codes = np.random.default_rng(0).integers(0, 4, 2000).astype(np.uint8)
    codes[1000:1009] = encode("CAGATAAGC")
    codes[1500:1509] = reverse_complement(encode("CAGATAAGC"))
    sites = find_sites(codes[None], [motif], 1e-3)
    hits = scan(codes, [motif])
    own = {(int(s), bool(r)) for s, r in zip(hits.start, hits.reverse, strict=True)}
    found = {(int(s), bool(r)) for s, r in zip(sites.start, sites.reverse, strict=True)}
    assert {(1000, False), (1500, True)} <= found <= own
    assert (sites.end - sites.start == motif.width).all()


def test_no_site_holds_an_unknown_base_and_rows_are_told_apart() -> None:
    motif = from_consensus("CRE", "TGACGTCA")
    whole, cut = encode("AATGACGTCAAA"), encode("AATGACGTCAAA")
    cut[5] = 4
    sites = find_sites(np.stack([cut, whole]), [from_consensus("other", "CCCCCCCC"), motif], 1e-3)
    assert set(sites.row) == {1}
    assert set(sites.motif) == {1}
    assert find_sites(cut[None], [motif], 1e-3).row.shape == (0,)


def test_few_motifs_may_be_weaker() -> None:
    few = [NARROW]
    assert suited_p_value(few) == pytest.approx(1 / 8)
    assert suited_p_value(few * 10_000) == P_VALUE
