"""The two haplotypes of a person are in one part, wherever sequences are divided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.comparison.splits import Split, divide, folds_of
from genomix_cli.config import from_dict
from genomix_cli.errors import DataError
from genomix_cli.formats.seen import NAME, TRAIN, VALID, Seen
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.registry import SEQUENCE_TASKS
from genomix_cli.sequences.generate.learning import DiffusionOptions
from genomix_cli.sequences.generate.train import read_data
from genomix_cli.sequences.prepare.sequences import prepare_sequences
from genomix_cli.sequences.pretrain import frame
from genomix_cli.sequences.pretrain.align import stratum
from genomix_cli.sequences.requests.prepare import PrepareRequest
from genomix_cli.sequences.requests.train import ClassifyOptions, TrainRequest
from genomix_cli.sequences.runs import items_of
from genomix_cli.sequences.train import classifiers
from tests.sequence_samples import labelled, write

PEOPLE, SITES = 60, 30


def vcf(path: Path, *, swapped: bool = False) -> Path:
    """A phased VCF; `swapped`: the haplotypes of every second person in the other order."""
    alleles = np.random.default_rng(0).integers(0, 2, (SITES, PEOPLE, 2))
    if swapped:
        alleles[:, ::2] = alleles[:, ::2, ::-1]
    names = "\t".join(f"p{i}" for i in range(PEOPLE))
    lines = [
        "##fileformat=VCFv4.3",
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}",
    ]
    for site, of_people in enumerate(alleles):
        genotypes = "\t".join(f"{a}|{b}" for a, b in of_people)
        lines.append(f"1\t{site + 1}\t.\tA\tG\t.\t.\t.\tGT\t{genotypes}")
    path.write_text("\n".join(lines) + "\n")
    return path


def prepared(folder: Path, **options: Any) -> Path:
    table = folder / "people.tsv"
    rows = [f"p{i}\t{'AB'[i % 2] if i % 7 else ''}\t{'xyz'[i % 3]}" for i in range(PEOPLE)]
    table.write_text("\n".join(["sample\tpopulation\tbatch", *rows]) + "\n")
    output = folder / "people.h5"
    options = {"table": table, "label": "population", **options}
    prepare_sequences(PrepareRequest(inputs=(vcf(folder / "a.vcf"),), output=output, **options))
    return output


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("people"))


def classified(request: TrainRequest, sequences: Sequences) -> list[Split]:
    contest, _ = classifiers._contest(request, from_dict(ClassifyOptions, {"model": "majority"}))
    data = contest.data
    place = {name: i for i, name in enumerate(sequences.names)}
    found = []
    for split in (*contest.splits, contest.final_split()):
        parts = ([place[name] for name in data.names[rows]] for rows in split.parts)
        found.append(Split("", *(np.array(rows, np.int64) for rows in parts)))
    return found


def contrasted(request: TrainRequest, sequences: Sequences) -> list[Split]:
    return [frame.one_split(sequences, frame.class_labels(sequences, ""), request)[1]]


def aligned(request: TrainRequest, sequences: Sequences) -> list[Split]:
    return [frame.one_split(sequences, stratum(sequences, ""), request)[1]]


def diffused(request: TrainRequest, sequences: Sequences) -> list[Split]:
    return [read_data(request, DiffusionOptions()).split]


# Activity refuses aligned sequences, and profiles are of windows of a genome.
SPLITS: dict[str, Callable[[TrainRequest, Sequences], list[Split]]] = {
    "classify": classified,
    "contrast": contrasted,
    "align": aligned,
    "diffuse": diffused,
}


def test_every_task_is_here() -> None:
    assert {*SPLITS, "activity", "profile"} == set(SEQUENCE_TASKS)


@pytest.mark.parametrize("how", ["auto", "0.3", "folds:3"])
@pytest.mark.parametrize("task", SPLITS)
def test_no_task_parts_a_person(task: str, how: str, people: Path, tmp_path: Path) -> None:
    if how == "folds:3" and task != "classify":
        pytest.skip("is evaluated on one split only")
    sequences = open_sequences(people)
    request = TrainRequest(people, tmp_path / "run", task, hold_out=how)
    for split in SPLITS[task](request, sequences):
        persons = [{name[:-2] for name in sequences.names[rows]} for rows in split.parts]
        assert min(map(len, persons[:2])) > 0
        for i, part in enumerate(persons):
            assert not part & set().union(*persons[i + 1 :])
        whole = [len(rows) for rows in split.parts]
        assert whole == [2 * len(part) for part in persons]


def test_who_is_held_out_is_not_learned_from_without_a_label(people: Path, tmp_path: Path) -> None:
    """Pre-training also uses unlabelled sequences, except relatives of held-out ones."""
    sequences = open_sequences(people)
    (population, *others) = sequences.phenotypes
    values = np.where(np.arange(len(sequences)) % 4 == 1, -1, population.values).astype(np.int16)
    unlabelled = replace(sequences, phenotypes=(replace(population, values=values), *others))
    request = TrainRequest(people, tmp_path / "run", "contrast")
    (split,) = contrasted(request, unlabelled)
    held = np.concatenate([split.valid, split.test])
    assert not set(sequences.group[split.train]) & set(sequences.group[held])
    assert (values[split.train] < 0).any()


def test_no_inner_fold_parts_a_person(people: Path) -> None:
    """This holds for tuning, calibration and the linear start."""
    sequences = open_sequences(people)
    known = labelled(sequences.take(sequences.label()[1] >= 0))
    fold = folds_of(known, 5, 0)
    assert (fold[::2] == fold[1::2]).all()
    rest, taken = divide(known.unit, known.label, np.arange(len(known)), 0.4, 0)
    assert not set(known.unit[rest]) & set(known.unit[taken])


def test_a_split_of_the_file_that_parts_people_is_refused(people: Path, tmp_path: Path) -> None:
    sequences = open_sequences(people)
    haplotype = np.arange(len(sequences)) % 2
    parted = replace(sequences, split=np.array(["train", "test"])[haplotype])
    request = TrainRequest(write(tmp_path / "s.h5", parted), tmp_path / "run", "classify")
    with pytest.raises(DataError, match="the file's split divides 51 groups") as caught:
        classified(request, parted)
    assert "--hold-out 0.25" in caught.value.line()
    assert not (tmp_path / "run").exists()


def test_relatives_and_their_haplotypes_are_together(tmp_path: Path) -> None:
    sequences = open_sequences(prepared(tmp_path, group="batch"))
    assert len(np.unique(sequences.group)) == 3
    assert (sequences.group[::2] == sequences.group[1::2]).all()


def test_the_order_of_haplotypes_says_nothing(people: Path, tmp_path: Path) -> None:
    """A person has the same two rows, in one group, whichever is written first."""
    prepare_sequences(
        PrepareRequest(inputs=(vcf(tmp_path / "b.vcf", swapped=True),), output=tmp_path / "b.h5")
    )
    first, second = open_sequences(people), open_sequences(tmp_path / "b.h5")
    assert (first.codes != second.codes).any()
    for start in range(0, len(first), 2):
        rows = slice(start, start + 2)
        pair, other = (
            sorted(row.tobytes() for row in each.codes[rows]) for each in (first, second)
        )
        assert pair == other


def test_a_person_is_known_again_as_one_row_or_two(people: Path, tmp_path: Path) -> None:
    """`evaluate` refuses or leaves out people whom the model has seen, in either form."""
    whole = tmp_path / "whole.h5"
    prepare_sequences(
        PrepareRequest(inputs=(vcf(tmp_path / "a.vcf"),), output=whole, haplotypes="no")
    )
    halves, persons = (open_sequences(path) for path in (people, whole))
    seen = Seen.of(items_of(halves), np.arange(20), np.arange(20, 30))
    assert seen.parts(items_of(halves)).tolist() == [TRAIN] * 20 + [VALID] * 10 + [""] * 90
    assert seen.parts(items_of(persons)).tolist() == [NAME] * 15 + [""] * 45
    seen = Seen.of(items_of(persons), np.arange(10), np.arange(10, 15))
    assert seen.parts(items_of(halves)).tolist() == [NAME] * 30 + [""] * 90


def test_a_bootstrap_draws_people(people: Path, tmp_path: Path) -> None:
    """Training and `evaluate` draw people, since intervals over haplotypes are too narrow."""
    from genomix_cli.comparison.evaluate import EvaluateRequest, evaluate_classes

    sequences = open_sequences(people)
    table = tmp_path / "scores.tsv"
    lines = ["sample\tp:A\tp:B\tpredicted"]
    lines += [f"{name}\t0.6\t0.4\tA" for name in sequences.names]
    table.write_text("\n".join(lines) + "\n")
    found = evaluate_classes(EvaluateRequest(table, people, draws=20))
    assert found.units * 2 == found.counts.used
