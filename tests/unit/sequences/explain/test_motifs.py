"""Motifs of sequences: sites that the attribution covers, each place once."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.genome.iupac import encode
from genomix_cli.genome.motifs import Motif
from genomix_cli.sequences.explain.motifs import covered
from genomix_cli.sequences.explain.plots import strongest

pytest.importorskip("memelite")

E_BOX = Motif("E-box", np.eye(4)[[1, 0, 1, 2, 3, 2]] * 0.96 + 0.01)
GATA = Motif("GATA", np.eye(4)[[2, 0, 3, 0, 0, 2, 2]] * 0.96 + 0.01)
SEQUENCE = "TTTTTTTTTTCACGTGTTTTTTTTTTCCTTATCTTTTTTTTTTTTTTTTTTCACGTGTTTT"


def test_a_site_counts_where_the_attribution_lies() -> None:
    values = np.full((1, 60), 0.1)
    values[0, 10:16], values[0, 26:33] = -1.0, 0.5
    (found,) = covered(encode(SEQUENCE)[None], values, [E_BOX, GATA])
    assert [(each.motif.name, each.start, each.end, each.strand) for each in found] == [
        ("E-box", 10, 16, "+"),
        ("GATA", 26, 33, "-"),
    ]
    assert [each.attribution for each in found] == pytest.approx([-6.0, 3.5])
    mean = np.abs(values).mean()
    assert [each.cover for each in found] == pytest.approx([1.0 / mean, 0.5 / mean])
    assert found[0].p < 1e-3


def test_the_strongest_stretch_is_by_magnitude() -> None:
    values = np.zeros(50)
    values[5], values[30:33] = 1.5, -1.0
    assert strongest(values, 4) in (29, 30)
    assert strongest(values[:3], 4) == 0
