"""Files of sequences as a network of activity learns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Phenotype, Sequences
from genomix_cli.genome.iupac import reverse_complement
from genomix_cli.sequences.activity.sources import (
    UNSTATED,
    Learned,
    output_name,
    read_learned,
    renamed,
    without,
)
from genomix_cli.sequences.train.splits import strandless
from tests.activity_runs import MPRA, measured, pairs
from tests.sequence_samples import genotypes, motifs, write


def learned(
    folder: Path, sequences: Sequences, *phenotypes: str, of_pairs: bool = False
) -> Learned:
    return read_learned(write(folder / "data.h5", sequences), phenotypes, pairs=of_pairs)


def test_numbers_are_quantities_and_categories_are_classes(tmp_path: Path) -> None:
    data = learned(tmp_path, measured(60))
    assert data.names == ("HepG2", "stem_cell", "open")
    assert [trait.is_class for trait in data.traits] == [False, False, True]
    assert np.isnan(data.values[::7, 0]).all()
    assert set(data.values[:, 2]) == {0.0, 1.0}
    rows = np.arange(30)
    first, _, last = data.outputs(rows)
    known = data.values[rows, 0][np.isfinite(data.values[rows, 0])]
    assert (first.assay, first.unit, first.left, first.right) == tuple(vars(MPRA).values())
    assert (first.mean, first.sd) == pytest.approx((known.mean(), known.std()), rel=1e-5)
    assert (last.unit, last.is_class, last.mean, last.sd) == ("", True, 0.0, 1.0)


def test_the_source_has_standard_values_in_the_columns_of_the_model(tmp_path: Path) -> None:
    data = learned(tmp_path, measured(60), "stem-cell", "HepG2")
    outputs = list(data.outputs(np.arange(60)))
    source = data.source(3, [outputs[1], outputs[0]])
    assert source.outputs == (1, 0)
    np.testing.assert_allclose(np.nanmean(source.target, 0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(source.target, 0), 1, rtol=1e-5)
    batch = source.of(np.array([5, 9])).batch(np.array([1]))
    assert batch.codes.tolist() == [[data.sequences.codes[9].tolist()]]
    assert (batch.target.shape, batch.source) == ((1, 1, 2), 3)


def test_a_class_each_of_more_than_two(tmp_path: Path) -> None:
    data = learned(tmp_path, motifs(30))
    assert data.names == ("kind_A", "kind_B", "kind_C")
    assert (data.values.sum(1) == 1).all()
    np.testing.assert_array_equal(data.strata, data.sequences.label()[1])


def test_an_unknown_class_is_unknown_of_all_outputs(tmp_path: Path) -> None:
    sequences = motifs(30)
    label = sequences.phenotypes[0].values.copy()
    label[4] = -1
    kind = replace(sequences.phenotypes[0], values=label)
    data = learned(tmp_path, replace(sequences, phenotypes=(kind,)))
    assert np.isnan(data.values[4]).all()
    assert data.known.sum() == 29
    assert len(data.items) == 29
    assert data.strata[4] == -1


def test_what_does_not_vary_is_passed_over_unless_it_is_asked_for(tmp_path: Path) -> None:
    constant = Phenotype("flat", None, np.ones(60, np.float32))
    sequences = measured(60)
    sequences = replace(sequences, phenotypes=(constant, *sequences.phenotypes))
    assert "flat" not in learned(tmp_path, sequences).names
    with pytest.raises(DataError, match="flat does not vary"):
        learned(tmp_path, sequences, "flat")
    with pytest.raises(UsageError, match="no phenotype 'round'"):
        learned(tmp_path, sequences, "round")
    with pytest.raises(DataError, match="no phenotype that varies"):
        learned(tmp_path, replace(sequences, phenotypes=(constant,)))


def test_a_quantity_has_to_vary_in_training(tmp_path: Path) -> None:
    data = learned(tmp_path, measured(60))
    with pytest.raises(DataError, match="HepG2 does not vary among the sequences to learn from"):
        list(data.outputs(np.array([0, 1])))


def test_what_cannot_be_learned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is aligned"):
        learned(tmp_path, genotypes(20, 12))
    two = measured(60)
    twin = replace(two.phenotypes[0], name="Hep G2"), replace(two.phenotypes[0], name="Hep-G2")
    with pytest.raises(DataError, match="two outputs would be called Hep_G2"):
        learned(tmp_path, replace(two, phenotypes=twin))


@pytest.mark.parametrize(
    ("text", "name"), [("log2 (K562)", "log2_K562"), ("é", "output"), ("a__b", "a__b")]
)
def test_names_of_outputs_fit_a_column(text: str, name: str) -> None:
    assert output_name(text) == name


def test_pairs_are_the_groups_of_two(tmp_path: Path) -> None:
    sequences = pairs(10).take(np.random.default_rng(0).permutation(20))
    data = learned(tmp_path, sequences, of_pairs=True)
    assert data.items.shape == (10, 2)
    groups = data.sequences.group[data.items]
    assert (groups[:, 0] == groups[:, 1]).all()
    assert (np.diff(data.items[:, 0]) > 0).all()
    assert (data.items[:, 0] < data.items[:, 1]).all()
    with pytest.raises(DataError, match=r"1 groups are not pairs.*found a group of 1"):
        learned(tmp_path, sequences.take(np.arange(19)), of_pairs=True)


def test_the_spread_of_differences(tmp_path: Path) -> None:
    data = learned(tmp_path, pairs(10), of_pairs=True)
    outputs = list(data.outputs(np.arange(20)))
    difference = np.diff(data.values[data.items], axis=1)[:, 0]
    expected = np.sqrt((difference.astype(float) ** 2).mean(0)) / [o.sd for o in outputs]
    np.testing.assert_allclose(data.source(0, outputs).spread(), expected, rtol=1e-5)
    # Two alike have no spread to measure by.
    assert np.isnan(replace(data, items=data.items[:, [0, 0]]).source(0, outputs).spread()).all()


def test_sequences_that_are_held_out_are_left_out_on_either_strand(tmp_path: Path) -> None:
    data = learned(tmp_path, pairs(10), of_pairs=True)
    codes = data.sequences.codes
    held_out = np.unique(strandless(np.stack([codes[3], reverse_complement(codes[10])])))
    assert without(data, held_out).items[:, 0].tolist() == [0, 4, 6, 8, 12, 14, 16, 18]
    assert without(data, np.unique(strandless(codes[:1, :-1]))) is data
    with pytest.raises(DataError, match="holds only sequences that are held out"):
        without(data, np.unique(strandless(codes)))


def test_a_file_holds_out_by_its_own_split(tmp_path: Path) -> None:
    sequences = measured(12)
    split = np.array(["train", "", "val", "test"] * 3)
    data = learned(tmp_path, replace(sequences, split=split))
    kept = without(data, np.unique(strandless(sequences.codes[:0])))
    assert kept.items[:, 0].tolist() == [0, 1, 4, 5, 8, 9]


def test_a_name_that_is_taken_gets_that_of_the_file(tmp_path: Path) -> None:
    data = learned(tmp_path, measured(60))
    other = renamed(data, {"HepG2", "stem_cell"}, {"stem_cell"})
    assert other.names == ("data_HepG2", "stem_cell", "open")
    with pytest.raises(DataError, match="two outputs would be called data_HepG2"):
        renamed(data, {"HepG2", "data_HepG2"})


def test_a_unit_that_is_not_stated_is_said(tmp_path: Path) -> None:
    data = learned(tmp_path, pairs(10), of_pairs=True)
    assert {output.unit for output in data.outputs(np.arange(20))} == {UNSTATED}
