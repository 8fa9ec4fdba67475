"""Rows that a model has seen in training are refused, left out, or announced."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.comparison.held_out import heed
from genomix_cli.errors import CheckError, Exit

PART = np.array(["train", "train", "valid", "name", "", ""])
USED = np.array([True, False, True, True, True, True])


def test_rows_that_were_learned_from_are_refused() -> None:
    with pytest.raises(CheckError, match=r"learned from 1 of the 5 .*training acc") as e:
        heed(PART, USED, "refuse", "samples", "s.tsv")
    assert e.value.exit_code is Exit.CHECK
    assert "--seen leave-out" in str(e.value)


def test_they_are_left_out_and_counted() -> None:
    used, notes = heed(PART, USED, "leave-out", "samples", "s.tsv")
    assert used.tolist() == [False, False, False, True, True, True]
    assert notes[0] == "2 of 5 samples were seen in training and are left out"
    assert "have the name" in notes[1]
    with pytest.raises(CheckError, match="seen all 2 samples"):
        heed(PART[:3], USED[:3], "leave-out", "samples", "s.tsv")


def test_included_they_head_the_result() -> None:
    used, notes = heed(PART, USED, "include", "samples", "s.tsv")
    assert used is USED
    assert notes[0] == "training accuracy: the model learned from 1 of the 5 samples"
    assert "calibrated by 1 of the 5 samples" in notes[1]


def test_new_rows_and_unknown_ones_pass_without_a_word() -> None:
    for part in (None, np.full(6, "")):
        assert heed(part, USED, "refuse", "samples", "s.tsv") == (USED, ())
    used, notes = heed(PART[2:], USED[2:], "refuse", "samples", "s.tsv")
    assert used.all()
    assert len(notes) == 2
