"""Digests of what a model has seen in training, kept beside its weights.

No name or value is spelled out in them, but whoever is scored can be found among them, also under
another name. Letters: n items (samples, sequences, alleles).
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
from genomix_cli.provenance import atomic_path

FILE = "seen.safetensors"
#: Parts of training in which a model has seen an item; `NAME`: an item of the same name.
TRAIN, VALID, NAME = "train", "valid", "name"
MEANING = {
    TRAIN: "learned from it",
    VALID: "stopped, tuned or calibrated by it",
    NAME: "learned from one of the same name, with other values",
}
# Odd, so that no two names become one (Knuth's multiplicative hashing).
_SPREAD = np.uint64(0x9E3779B97F4A7C15)

Keys = NDArray[np.uint64]
Rows = NDArray[np.integer]


def digests(items: Iterable[bytes]) -> Keys:
    """Return a digest of each item, uint64 ``[n]``."""
    parts = (blake2b(item, digest_size=8).digest() for item in items)
    return np.frombuffer(b"".join(parts), "<u8").astype(np.uint64)


class Items(NamedTuple):
    """Digests of the names and the values of items, uint64 ``[n]`` each.

    Attributes
    ----------
    names, values : NDArray
    owners : NDArray
        Of the name of whom each item is a part, such as the person of a haplotype; else its own.
    """

    names: Keys
    values: Keys
    owners: Keys

    @classmethod
    def of(
        cls,
        names: Iterable[Any],
        values: Iterable[bytes],
        owner: Callable[[str], str] = lambda name: name,
    ) -> Items:
        """Digest names and values; `owner` says of a name whose it is."""
        texts = [str(name) for name in names]
        owners = digests(owner(name).encode() for name in texts)
        return cls(digests(name.encode() for name in texts), digests(values), owners)

    @property
    def both(self) -> Keys:
        """Digests of a name and its values together."""
        return self.names * _SPREAD ^ self.values


class Seen(NamedTuple):
    """Digests of all that a model has seen, sorted.

    Attributes
    ----------
    train, valid : NDArray
        Of the values of items that it learned from, and that it was stopped, tuned or calibrated
        by; where items share their values, of name and values.
    names : NDArray
        Of the names of both, and of their owners.
    """

    train: Keys
    valid: Keys
    names: Keys

    @classmethod
    def of(cls, items: Items, train: Rows, valid: Rows, *, by_name: bool = False) -> Seen:
        """Return what a training has seen.

        Parameters
        ----------
        items : Items
        train, valid : NDArray
            Rows of the items.
        by_name : bool
            Whether the same values under another name are another item. They are in any case if
            two of these items share their values, which then do not tell items apart.
        """
        rows = np.concatenate([train, valid])
        apart = not by_name and len(np.unique(items.values[rows])) == len(rows)
        keys = items.values if apart else items.both
        names = np.concatenate([items.names[rows], items.owners[rows]])
        return cls(np.unique(keys[train]), np.unique(keys[valid]), np.unique(names))

    def parts(self, items: Items) -> NDArray[np.str_]:
        """Return the part in which each item was seen, str ``[n]``; empty for a new one."""
        named = among(items.names, self.names) | among(items.owners, self.names)
        part = np.where(named, NAME, "").astype("U5")
        for name, keys in ((VALID, self.valid), (TRAIN, self.train)):
            part[among(items.values, keys) | among(items.both, keys)] = name
        return part

    def joined(self, other: Seen | None) -> Seen:
        """Return what two trainings have seen, of which the second went on from the first."""
        if other is None:
            return self
        return Seen(*(np.union1d(*pair) for pair in zip(self, other, strict=True)))

    def write(self, folder: Path) -> None:
        """Write it into a run folder."""
        with atomic_path(folder / FILE) as draft:
            draft.write_bytes(save(self._asdict()))


def read_seen(folder: Path) -> Seen | None:
    """Return what the model of a run folder has seen; None if it does not say.

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
    """Return True for keys that are known, which are sorted."""
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    return known[np.searchsorted(known, keys).clip(max=len(known) - 1)] == keys


def told(part: NDArray[np.str_] | None, items: str) -> list[str]:
    """Return what a reader of scores has to know.

    Parameters
    ----------
    part : NDArray or None
        See :meth:`Seen.parts`; None if the model does not say.
    items : str
        As ``samples``.
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
            "nothing of new ones"
        )
    if count[NAME]:
        texts.append(
            f"{count[NAME]:,} of {len(part):,} {items} have the name of one seen in training, and "
            "other values: if they are the same, their scores say nothing of new ones"
        )
    return texts
