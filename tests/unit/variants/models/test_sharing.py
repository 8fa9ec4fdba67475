"""Rows that alleles share are computed once, and each allele gets what it would get alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import encode
from genomix_cli.learning.activity_differences import both_strands
from genomix_cli.variants.models import activity
from genomix_cli.variants.models.base import VariantModel, Variants
from genomix_cli.variants.models.bpnet import BPNet, BPNetConfig
from genomix_cli.variants.models.sharing import STEPS, Shared, shared, shared_rows
from genomix_cli.variants.records.inputs import Allele, Haplotypes, haplotypes, trim_allele
from genomix_cli.variants.score.doctor import MadeUpGenome
from tests.unit.variants.models.test_gmt import SMALL, make_model, make_window
from tests.unit.variants.models.test_gmt_activity import make as make_with_activity

GENOME = MadeUpGenome((), 40_000)
#: Three substitutions; two, a deletion of the same base, two insertions, and longer alleles.
FIRST, SECOND = 9_000, 12_345


def alleles() -> list[Allele]:
    """Return alleles in the order of a file: 11 of 6 places, 6 of which are substitutions."""
    found = []
    for pos in (FIRST, SECOND):
        ref = GENOME.codes("made-up", pos, pos + 1)
        alts = range(1, 4 if pos == FIRST else 3)
        found += [Allele(pos, ref, (ref + i) % 4) for i in alts]
    gone = GENOME.codes("made-up", SECOND, SECOND + 1)
    found.append(Allele(SECOND, gone, encode("")))  # of the same place as the substitutions
    found += [Allele(SECOND, encode(""), encode(bases)) for bases in ("ACG", "TT")]
    long = GENOME.codes("made-up", SECOND, SECOND + 4)
    found.append(Allele(SECOND, long, encode("")))
    found.append(Allele(SECOND, long[:2], (long[:2] + 1) % 4))
    found.append(trim_allele(SECOND + 1, "A", "C"))
    return found


def inputs(flank: int) -> tuple[NDArray[np.int64], Haplotypes]:
    """Return the alleles as those of one window."""
    offset = np.array([allele.pos - FIRST + 4_000 for allele in alleles()], np.int64)
    return offset[None], haplotypes(GENOME, "made-up", alleles(), flank).at(None)


def tensors(arrays: Any) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


def given(flank: int, stepped: bool = False) -> tuple[Variants, Shared]:
    offset, rows = inputs(flank)
    found = shared_rows(offset, rows, stepped=stepped)
    return Variants(*tensors((offset, *rows))), shared(tensors(found))


def each_alone(count: int) -> Shared:
    """Nothing is shared."""
    fields = [np.arange(n) for n in (count, count, *[2 * count] * 4, 0, count, count)]
    return shared(tensors([field[None] for field in fields]))


def models() -> list[VariantModel]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        siamese = BPNet(BPNetConfig(SMALL.tracks, SMALL.n_bins, bases=200, width=8, n_dilated=2))
    return [make_model(replace(SMALL, radius=16)), make_with_activity(), siamese.eval()]


def test_alleles_of_one_position_and_reference_are_of_one_place() -> None:
    offset, rows = inputs(20)
    places, of = (field[0] for field in shared_rows(offset, rows)[:2])
    assert of.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5]
    assert places.tolist() == [0, 3, 6, 8, 9, 10]
    for name in ("ref", "ref_len"):
        array = getattr(rows, name)[0]
        np.testing.assert_array_equal(array[places][of], array)


def test_places_differ_in_position_length_or_bases() -> None:
    """Alleles that differ in only one of these are at different places."""
    rows = Haplotypes(*(np.zeros((2, 5), np.uint8),) * 2, *(np.ones(2, np.int64),) * 2)
    same = np.array([7, 7])
    other = np.array([[0] * 5, [0, 0, 0, 0, 1]], np.uint8)
    for offset, haps, count in (
        (same, rows, 1),
        (np.array([7, 8]), rows, 2),
        (same, rows._replace(ref_len=np.array([1, 2])), 2),
        (same, rows._replace(ref=other), 2),
        (same, rows._replace(alt=other, alt_len=np.array([1, 2])), 1),
    ):
        assert shared_rows(offset[None], haps.at(None))[0].shape[1] == count


def test_places_that_all_differ_are_not_taken_for_substitutions() -> None:
    """A batch without repeated places is treated by the lengths of its alleles."""
    lengths = np.array([1, 0]), np.array([1, 2])
    rows = Haplotypes(*(np.zeros((2, 5), np.uint8),) * 2, *lengths).at(None)
    found = shared(tensors(shared_rows(np.array([[7, 8]]), rows)))
    assert found.kinds.substitutions.tolist() == [[0]]
    assert found.kinds.others.tolist() == [[1]]
    assert found.alt_ends.rows.tolist() == [[0, 2, 3]]


def test_both_ends_are_one_where_they_are_the_same() -> None:
    """A row that is not computed has the same embedding as the row used in its place."""
    model = make_model(replace(SMALL, radius=16))
    variants, found = given(model.flank)
    found_alleles = model.local.alleles(variants)
    for once, embedded in (
        (found.ref_ends, found_alleles.ref),
        (found.alt_ends, found_alleles.alt),
    ):
        ends = embedded.flatten(1, 2)
        assert torch.equal(once.spread(once.pick(ends)), ends)
    # Six places have a start each, and three of them another end.
    assert found.ref_ends.rows.shape[1] == 6 + 3
    assert found.alt_ends.rows.shape[1] == 11 + 5


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_answers_are_those_of_each_allele_by_itself(model: VariantModel, stepped: bool) -> None:
    variants, found = given(model.flank, stepped)
    null = variants._replace(alt=variants.ref, alt_len=variants.ref_len)
    with torch.inference_mode():
        context = model.window(make_window())
        answers = model.answers(context, variants, found)
        torch.testing.assert_close(answers.logits, model.variants(context, variants))
        torch.testing.assert_close(answers.null, model.variants(context, null))
        alone = model.answers(context, variants, each_alone(11))
        torch.testing.assert_close(answers, alone, atol=1e-5, rtol=0)
    assert len({round(x, 6) for x in (answers.logits - answers.null)[0].tolist()}) > 5
    assert answers.differences.shape == (1, 11, len(model.outputs))


def test_windows_share_by_themselves() -> None:
    """Alleles in another order in the second window are shared within that window only."""
    model = make_model(replace(SMALL, radius=16))
    offset, rows = inputs(model.flank)
    order = np.array([range(11), [3, 4, 5, 0, 1, 2, *range(6, 11)]])
    order[1, -2:] = 0  # so that the second has more substitutions, and fewer places
    offset, rows = offset[0, order], rows.at((0, order))
    variants, found = Variants(*tensors((offset, *rows))), shared_rows(offset, rows)
    found = shared(tensors(found))
    with torch.inference_mode():
        context = model.window(make_window(n=2))
        answers = model.answers(context, variants, found)
        alone = model.answers(context, variants, each_alone(11))
    torch.testing.assert_close(answers, alone, atol=1e-6, rtol=0)


def test_substitutions_are_convolved_once_and_their_place_is_read_once() -> None:
    model = make_model(replace(SMALL, radius=16))
    offset, rows = inputs(model.flank)
    few = (slice(None), slice(0, 5))  # five substitutions of two places
    offset, rows = offset[few], rows.at(few)
    variants = Variants(*tensors((offset, *rows)))
    convolved, read = [], []
    model.alleles.conv1.register_forward_hook(lambda _, given, __: convolved.append(len(given[0])))
    model.head.register_forward_hook(lambda _, given, __: read.append(given[0].shape[1]))
    with torch.inference_mode():
        context = model.window(make_window())
        model.answers(context, variants, shared(tensors(shared_rows(offset, rows))))
    assert convolved == [2 * 2, 5 * 2]  # on both strands
    assert read == [5 + 2]


@pytest.mark.parametrize("count", [1, 4, 16, 64])
def test_steps_leave_few_numbers_of_rows(count: int) -> None:
    sizes = set()
    for places in range(1, count + 1):
        offset = np.minimum(np.arange(count), places - 1)
        rows = Haplotypes(*(np.zeros((count, 5), np.uint8),) * 2, *(np.ones(count, int),) * 2)
        found = shared_rows(offset[None], rows.at(None), stepped=True)
        sizes.add(found[0].shape[1])
        assert set(found[0][0].tolist()) == set(range(places))
        assert found[1].shape == (1, count)
    assert len(sizes) <= STEPS
    assert max(sizes) == count


def test_the_network_inside_reads_the_reference_of_each_place() -> None:
    """The token of no change is that of the reference alone."""
    model = make_with_activity()
    variants, found = given(model.flank)
    alleles = model.embed_alleles(variants)
    ref, alt = alleles.ref_bases, alleles.alt_bases
    assert ref is not None
    assert alt is not None
    with torch.inference_mode():
        both, _ = model.activity.with_null(ref, alt, found)
        each, null = both.tensor_split([11], dim=1)
        torch.testing.assert_close(each, model.activity(ref, alt), atol=1e-4, rtol=0)
        expected = found.places.pick(model.activity(ref, ref))
        torch.testing.assert_close(null, expected, atol=1e-4, rtol=0)
        assert (each - found.places.spread(null)).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("stepped", [False, True])
def test_the_network_inside_reads_each_allele_once(
    stepped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token and differences come from one pass; substitutions are read by themselves."""
    model, read = make_with_activity(), []

    def noted(network: Any, ref: torch.Tensor, alt: torch.Tensor, *rest: Any) -> Any:
        read.append((len(ref), rest[-1]))
        return both_strands(network, ref, alt, *rest)

    monkeypatch.setattr(activity, "both_strands", noted)
    variants, found = given(model.flank, stepped)
    reader = model.activity.reader
    cut = model.flank - reader.flank
    seen = variants._replace(ref=variants.ref[..., cut:], alt=variants.alt[..., cut:])
    with torch.inference_mode():
        context = model.window(make_window())
        differences = model.answers(context, variants, found).differences
        assert read == [(6, reader.flank), (5, None)]
        torch.testing.assert_close(differences, reader.differences(seen), atol=2e-7, rtol=0)
    assert (differences.abs().amax(-1) > 2e-5).all()
