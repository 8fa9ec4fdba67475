"""Splits of sequences that keep groups and copies together and are stratified by class.

Letters: n sequences, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.splits import Rows, Split, divide, parse_share
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.seen import Keys, digests
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.iupac import reverse_complement

log = logging.getLogger("genomix")

# Names of the three parts in files.
TRAIN = ("train", "training")
VALID = ("valid", "validation", "val", "dev")
TEST = ("test", "testing", "heldout", "held-out")
SHARE, VALID_SHARE = 0.25, 0.15
# Number of sequences whose bases are compared at once.
CHUNK = 10_000
# Function of rows, a share and a seed that returns the remaining rows and those of the share.
Cut = Callable[[Rows, float, int], tuple[Rows, Rows]]


def splits(
    sequences: Sequences, label: NDArray[np.int64] | None, how: str, seed: int
) -> tuple[str, list[Split]]:
    """Return the kind of split in words, and the splits.

    Random splits keep sequences with the same bases together. Where the file's own split does not,
    a warning says how many.

    Parameters
    ----------
    sequences : Sequences
    label : NDArray or None
        int64 ``[n]``; sequences with -1 are in no part. None if all have one class.
    how : str
        See `genomix_cli.sequences.requests.train.TrainRequest.hold_out`.
    seed : int

    Raises
    ------
    UsageError
        If `how` is not valid, or the file has no splits.
    DataError
        If a class is missing from a part, there are fewer groups than parts, or the file's split
        divides a group.
    """
    label = np.zeros(len(sequences), np.int64) if label is None else label
    known = np.flatnonzero(label >= 0)
    copies = same_bases(sequences)
    cut = partial(divide, joined(sequences.group, copies), label)
    has_splits = bool(np.isin(sequences.split, TEST).any())
    if how == "splits" or (how == "auto" and has_splits):
        if not has_splits:
            raise UsageError(
                "the file has no split named test", where="--hold-out", expected="auto, 0.25"
            )
        divided, by = [_of_file(sequences.split, known, cut, seed)], "the file's own split"
    elif how.startswith("folds:") and how[6:].isdecimal() and int(how[6:]) > 1:
        divided, by = _folds(known, cut, int(how[6:]), seed), f"{how[6:]} folds"
    else:
        share = SHARE if how == "auto" else parse_share(how)
        if share is None:
            expected = "auto, splits, a fraction such as 0.25, or folds:5"
            raise UsageError(
                "unknown way to hold out", where="--hold-out", expected=expected, found=how
            )
        rest, test = cut(known, share, seed)
        train, valid = cut(rest, VALID_SHARE, seed + 1)
        divided, by = [Split("test", train, valid, test)], f"a stratified share of {share:g}"
    for split in divided:
        _check_whole(split, sequences.group)
        _check(split, label)
    _tell_copies(divided, copies)
    return by, divided


def same_bases(sequences: Sequences) -> NDArray[np.int64]:
    """Return a number for each sequence ``[n]``, the same for copies of it on either strand.

    Aligned sequences have numbers of their own: at few sites, many people are alike.
    """
    if sequences.aligned:
        return np.arange(len(sequences))
    return np.unique(strandless(sequences.codes), return_inverse=True)[1]


def strandless(codes: NDArray[np.uint8]) -> Keys:
    """Return a digest of each sequence ``[n, L]`` that its reverse complement shares."""
    parts = [np.empty(0, np.uint64)]
    for start in range(0, len(codes), CHUNK):
        some = np.array(codes[start : start + CHUNK])
        both = (digests(row.tobytes() for row in rows) for rows in (some, reverse_complement(some)))
        parts.append(np.minimum(*both))
    return np.concatenate(parts)


def joined(group: NDArray[np.int64], copies: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups ``[n]`` that keep both the groups and the copies together."""
    parts = [np.unique(by, return_inverse=True)[1] for by in (group, copies)]
    # Without copies, the groups keep their order, on which a random split depends.
    found = parts[0]
    while True:
        before = found
        for part in parts:
            least = np.full(len(found), len(found))
            np.minimum.at(least, part, found)
            found = least[part]
        if np.array_equal(before, found):
            return found


def _tell_copies(divided: Iterable[Split], copies: NDArray[np.int64]) -> None:
    """Log how many sequences have copies, and warn of those tested that are copies of training."""
    for split in divided:
        if seen := int(np.isin(copies[split.test], copies[split.train]).sum()):
            log.warning(
                "%s of %s sequences to test have the bases of a training sequence (on either "
                "strand), so they are not new to the model",
                *(f"{seen:,}", f"{len(split.test):,}"),
            )
            return
    repeated = int((np.bincount(copies, minlength=1) > 1)[copies].sum())
    if repeated:
        log.info(
            "%s sequences have the bases of another one (on either strand); "
            "copies are kept in the same part",
            f"{repeated:,}",
        )


def one_split(
    sequences: Sequences, label: NDArray[np.int64] | None, how: str, seed: int, task: str
) -> tuple[str, Split]:
    """Return the kind of split in words, and the only split.

    Parameters
    ----------
    sequences, label, how, seed
        See :func:`splits`.
    task : str
        Name of the task, for the message.

    Raises
    ------
    UsageError, DataError
        As for :func:`splits`, or if `how` gives several splits.
    """
    by, every = splits(sequences, label, how, seed)
    if len(every) > 1:
        raise UsageError(
            f"{task} is evaluated on one split only",
            where="--hold-out",
            expected="auto, splits, or a fraction such as 0.25",
            found=how,
        )
    return by, every[0]


def _of_file(names: NDArray[np.str_], known: Rows, cut: Cut, seed: int) -> Split:
    train, valid, test = (known[np.isin(names[known], part)] for part in (TRAIN, VALID, TEST))
    if not len(valid):
        train, valid = cut(train, VALID_SHARE, seed)
    return Split("test", train, valid, test)


def _folds(known: Rows, cut: Cut, n_folds: int, seed: int) -> list[Split]:
    folds, left = [], known
    for fold in range(n_folds):
        left, test = cut(left, 1 / (n_folds - fold), seed)
        train, valid = cut(np.setdiff1d(known, test), VALID_SHARE, seed + 1)
        folds.append(Split(f"fold {fold + 1}", train, valid, test))
    return folds


def _check_whole(split: Split, group: NDArray[np.int64]) -> None:
    """Refuse a split that divides a group, which only a split from the file can do."""
    parts = [np.unique(group[rows]) for rows in split.parts]
    _, counts = np.unique(np.concatenate(parts), return_counts=True)
    if parted := int((counts > 1).sum()):
        raise DataError(
            f"the file's split divides {parted:,} groups, such as families or the "
            "haplotypes of a person",
            expected="each group in one part",
            hint="correct the column of --split, or hold out in another way: --hold-out 0.25",
        )


def _check(split: Split, label: NDArray[np.int64]) -> None:
    for name, rows in zip(("train", "validation", "test"), split.parts, strict=True):
        lacking = np.setdiff1d(np.unique(label[label >= 0]), label[rows])
        if not len(rows):
            raise DataError(
                f"no sequence is in the {name} part",
                expected="sequences in training, validation and test",
                hint="correct the column of --split, or hold out in another way: --hold-out 0.25",
            )
        if len(lacking):
            few = "1 class has" if len(lacking) == 1 else f"{len(lacking)} classes have"
            raise DataError(
                f"{few} no sequence in the {name} part",
                expected="every class in training, validation and test",
                hint="merge or leave out classes with few groups, or hold out in another way",
            )
