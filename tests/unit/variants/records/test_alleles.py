"""Alleles are checked by their spelling first, then against the reference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from genomix_cli.genome.fasta import Fasta
from genomix_cli.variants.records.alleles import CONTIG_ABSENT, REASONS, Stretch, classify_allele
from genomix_cli.variants.records.inputs import MAX_ALLELE

LONG = "A" * (MAX_ALLELE + 1)


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fasta]:
    path = tmp_path_factory.mktemp("fasta") / "a.fa"
    path.write_text(">chr1\nACGTacgtNNRYKB\n")
    with Fasta(path) as file:
        yield file


def classify_site(fasta: Fasta, contig: str, pos: int, ref: str) -> str | None:
    """The reason of one site, read on its own."""
    name = fasta.names.find(contig)
    if name is None:
        return CONTIG_ABSENT
    return Stretch.of(fasta, name, pos, pos + len(ref)).site(pos, ref)


@pytest.mark.parametrize(
    ("ref", "alt", "reason"),
    [
        ("A", "C", None),
        ("a", "c", None),
        ("AC", "A", None),
        ("A", LONG, None),
        ("C", LONG, "too_long"),
        (LONG, "C", "too_long"),
        (LONG + "C", LONG + "G", None),
        ("A", ".", "missing_alt"),
        ("A", "", "missing_alt"),
        ("A", "*", "star"),
        ("A", "<DEL>", "symbolic"),
        ("A", "<*>", "symbolic"),
        ("A", "A[chr2:7[", "breakend"),
        ("A", "]chr2:7]A", "breakend"),
        ("A", ".A", "breakend"),
        ("A", "A.", "breakend"),
        ("A", "a", "alt_equals_ref"),
        ("A", "R", "iupac"),
        ("N", "A", "iupac"),
        ("A", "C*", "iupac"),
    ],
)
def test_spelling(ref: str, alt: str, reason: str | None) -> None:
    assert classify_allele(ref, alt) == reason
    assert reason is None or reason in REASONS


@pytest.mark.parametrize(
    ("contig", "pos", "ref", "reason"),
    [
        ("chr1", 0, "ACGTACGT", None),
        ("1", 4, "ac", None),
        ("chr1", 1, "T", "ref_mismatch"),
        ("chr2", 0, "A", "contig_absent"),
        ("chr1", -1, "A", "off_contig"),
        ("chr1", 13, "CC", "off_contig"),
        ("chr1", 8, "A", "ref_mismatch"),  # N stands for no base
        ("chr1", 8, "NN", None),
    ],
)
def test_sites(fasta: Fasta, contig: str, pos: int, ref: str, reason: str | None) -> None:
    assert classify_site(fasta, contig, pos, ref) == reason


@pytest.mark.parametrize(
    ("pos", "ref"), [(10, "A"), (11, "C"), (12, "G"), (13, "c"), (7, "TNNACGC")]
)
def test_an_ambiguous_base_of_the_reference_is_its_first(fasta: Fasta, pos: int, ref: str) -> None:
    assert classify_site(fasta, "chr1", pos, ref) is None
    assert classify_site(fasta, "chr1", pos, ref[:-1] + "T") == "ref_mismatch"
