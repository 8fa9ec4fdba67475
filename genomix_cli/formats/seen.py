"""Digests of the items that a model has seen in training, stored beside its weights.

The digests contain no names or values in plain text, but scoring can tell whether an item was seen
in training, even under another name. Letters: n items (samples, sequences, alleles).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from genomix_cli.errors import DataError
from genomix_cli.outputs import atomic_path

FILE = "seen.safetensors"
#: Parts of training in which a model has seen an item; `NAME` means only an item of that name.
TRAIN, VALID, NAME = "train", "valid", "name"
MEANING = {
    TRAIN: "learned from it",
    VALID: "stopped, tuned or calibrated by it",
    NAME: "learned from one of the same name, with other values",
}
# Odd, so multiplication maps no two names to one (Knuth's multiplicative hashing).
_SPREAD = np.uint64(0x9E3779B97F4A7C15)

Keys = NDArray[np.uint64]
Rows = NDArray[np.integer]


def digests(items: Iterable[bytes]) -> Keys:
    """Return a digest of each item, uint64 ``[n]``."""
    parts = (blake2b(item, digest_size=8).digest() for item in items)
    return np.frombuffer(b"".join(parts), "<u8").astype(np.uint64)


class Items(NamedTuple):
    """Digests of the names and values of items, uint64 ``[n]`` each.

    Attributes
    ----------
    names, values : NDArray
    owners : NDArray
        Digest of the name of each item's owner, such as the person who has a haplotype; the item's
        own name if it has no owner.
    parts : NDArray
        uint64 ``[p]``: digests of the name of an item and the values of one of its modalities.
    of_part : NDArray
        int64 ``[p]``: index of the item of each part.
    """

    names: Keys
    values: Keys
    owners: Keys
    parts: Keys = np.empty(0, np.uint64)
    of_part: Rows = np.empty(0, np.int64)

    @classmethod
    def of(
        cls,
        names: Iterable[Any],
        values: Iterable[bytes],
        owner: Callable[[str], str] = lambda name: name,
    ) -> Items:
        """Digest names and values; `owner` maps the name of an item to that of its owner."""
        texts = [str(name) for name in names]
        owners = digests(owner(name).encode() for name in texts)
        return cls(digests(name.encode() for name in texts), digests(values), owners)

    @property
    def both(self) -> Keys:
        """Digests of a name and its values together."""
        return self.names * _SPREAD ^ self.values

    def with_parts(self, parts: Iterable[bytes], of_part: Rows) -> Items:
        """Return the items with the values of parts, by which an item that lacks some is found."""
        return self._replace(
            parts=self.names[of_part] * _SPREAD ^ digests(parts), of_part=np.asarray(of_part)
        )


class Seen(NamedTuple):
    """Sorted digests of all items that a model has seen in training.

    Attributes
    ----------
    train, valid : NDArray
        Digests of the values of items used for training, and of those used for early stopping,
        tuning or calibration. If items share values, the digests are of name and values together.
        For items of several parts there are also digests of the name and each part.
    names : NDArray
        Digests of the names of all these items and of their owners.
    """

    train: Keys
    valid: Keys
    names: Keys

    @classmethod
    def of(cls, items: Items, train: Rows, valid: Rows, *, by_name: bool = False) -> Seen:
        """Return the digests of the items used in a training run.

        Parameters
        ----------
        items : Items
        train, valid : NDArray
            Indices of the items used for training and for validation.
        by_name : bool
            If True, the same values under another name count as another item. This is always so if
            two of these items share their values, since values alone then do not identify an item.
        """
        rows = np.concatenate([train, valid])
        apart = not by_name and len(np.unique(items.values[rows])) == len(rows)
        keys = items.values if apart else items.both
        names = np.concatenate([items.names[rows], items.owners[rows]])

        def of(rows: Rows) -> Keys:
            return np.union1d(keys[rows], items.parts[np.isin(items.of_part, rows)])

        return cls(of(train), of(valid), np.unique(names))

    def parts(self, items: Items) -> NDArray[np.str_]:
        """Return the part of training in which each item was seen, str ``[n]``; empty if new."""
        named = among(items.names, self.names) | among(items.owners, self.names)
        part = np.where(named, NAME, "").astype("U5")
        for name, keys in ((VALID, self.valid), (TRAIN, self.train)):
            part[among(items.values, keys) | among(items.both, keys)] = name
            part[items.of_part[among(items.parts, keys)]] = name
        return part

    def joined(self, other: Seen | None) -> Seen:
        """Return the union with another run's digests, for a run that continued from it."""
        if other is None:
            return self
        return Seen(*(np.union1d(*pair) for pair in zip(self, other, strict=True)))

    def write(self, folder: Path) -> None:
        """Write the digests into a run folder."""
        with atomic_path(folder / FILE) as draft:
            draft.write_bytes(save(self._asdict()))


def read_seen(folder: Path) -> Seen | None:
    """Return the digests stored in a run folder; None if there are none.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        arrays = load(path.read_bytes())
        return Seen(*(arrays[name].astype(np.uint64, casting="safe") for name in Seen._fields))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"is damaged: {error}", where=path) from error


def among(keys: Keys, known: Keys) -> NDArray[np.bool_]:
    """Return True for keys that occur in `known`, which is sorted; bool ``[n]``."""
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    return known[np.searchsorted(known, keys).clip(max=len(known) - 1)] == keys


def told(part: NDArray[np.str_] | None, items: str) -> list[str]:
    """Return warnings about scores of items that the model has seen in training.

    Parameters
    ----------
    part : NDArray or None
        Result of :meth:`Seen.parts`; None if the model has no digests.
    items : str
        Plural noun for the items, such as ``samples``.
    """
    if part is None:
        return [
            f"the model does not say which {items} it has seen in training: scores of those are "
            "no result"
        ]
    count = {name: int((part == name).sum()) for name in MEANING}
    texts = []
    if seen := count[TRAIN] + count[VALID]:
        how = ", ".join(f"{count[n]:,} {MEANING[n]}" for n in (TRAIN, VALID) if count[n])
        texts.append(
            f"{seen:,} of {len(part):,} {items} were seen in training ({how}): their scores say "
            "nothing about new ones"
        )
    if count[NAME]:
        texts.append(
            f"{count[NAME]:,} of {len(part):,} {items} have the name of one seen in training, and "
            "other values: if they are the same, their scores say nothing about new ones"
        )
    return texts
