"""Training data of activity networks: sequence files with one output per number and class.

Letters: n sequences, L bases, K outputs of a file, m items (sequences, or pairs of them), A alleles
of an item (1, or 2 of a pair), B batch.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.errors import DataError
from genomix_cli.formats.seen import Items, Keys, among
from genomix_cli.formats.sequences import Phenotype, Sequences, open_sequences
from genomix_cli.learning.activity import Output
from genomix_cli.sequences.prepare.parsed_input import first_twice
from genomix_cli.sequences.runs import items_of
from genomix_cli.sequences.train.splits import TEST, VALID, strandless

log = logging.getLogger("genomix")

UNSTATED = "unit not stated"


class Trait(NamedTuple):
    """A quantity or class of the sequences, with the name of its output.

    Attributes
    ----------
    name : str
    values : NDArray
        float32 ``[n]``, NaN where unknown; 1 or 0 for a class.
    category : str, optional
        Name of the class; None for a quantity.
    """

    name: str
    values: NDArray[np.float32]
    category: str | None = None

    @property
    def is_class(self) -> bool:
        """True for a class."""
        return self.category is not None


class Batch(NamedTuple):
    """A batch of items from one source.

    Attributes
    ----------
    codes : Tensor
        uint8 ``[B, A, L]``: sets of bases.
    target : Tensor
        float32 ``[B, A, K]``: standardised quantities, and classes as 0 or 1; NaN where unknown.
    source : int
        Number of the source that the items come from.
    """

    codes: Tensor
    target: Tensor
    source: int


@dataclass(frozen=True)
class Source:
    """A training file, or a part of it.

    Attributes
    ----------
    number : int
        Number of the file among all sources.
    codes : NDArray
        uint8 ``[n, L]``: sets of bases; may be memory-mapped.
    target : NDArray
        float32 ``[n, K]``: as in `Batch`.
    outputs : tuple of int
        Number of each column's output in the model.
    items : NDArray
        int64 ``[m, A]``: rows of the alleles of each item.
    """

    number: int
    codes: NDArray[np.uint8]
    target: NDArray[np.float32]
    outputs: tuple[int, ...]
    items: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.items)

    def of(self, rows: NDArray[np.int64]) -> Source:
        """Return the source with these single sequences as its items."""
        return replace(self, items=rows[:, None])

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the given items as tensors."""
        rows = self.items[rows]
        return Batch(
            torch.from_numpy(self.codes[rows]), torch.from_numpy(self.target[rows]), self.number
        )

    def spread(self) -> NDArray[np.float32]:
        """Return the root mean square of the differences within pairs ``[K]``; NaN without pairs.

        Unlike the standard deviation, it does not depend on which allele comes first.
        """
        first, second = self.target[self.items[:, 0]], self.target[self.items[:, -1]]
        difference = (second - first).astype(np.float64)
        known = np.isfinite(difference)
        n = np.maximum(known.sum(0), 1)
        squares = np.where(known, difference, 0) ** 2
        spread = np.sqrt(squares.sum(0) / n)
        return np.where(spread > 0, spread, np.nan).astype(np.float32)


@dataclass(frozen=True)
class Learned:
    """A file, the traits of its sequences, and the items that may be used for training.

    Attributes
    ----------
    path : Path
    sequences : Sequences
    phenotypes : tuple of str
        Phenotypes that the network learns.
    traits : tuple of Trait
        Traits of these phenotypes.
    items : NDArray
        int64 ``[m, A]``: rows of the alleles of each item.
    digests : Items
        Digests of all sequences.
    """

    path: Path
    sequences: Sequences
    phenotypes: tuple[str, ...]
    traits: tuple[Trait, ...]
    items: NDArray[np.int64]
    digests: Items

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(trait.name for trait in self.traits)

    @property
    def values(self) -> NDArray[np.float32]:
        """Values of the traits, float32 ``[n, K]``; NaN where unknown."""
        return np.stack([trait.values for trait in self.traits], 1)

    @property
    def known(self) -> NDArray[np.bool_]:
        """True for sequences with at least one known value, bool ``[n]``."""
        return np.asarray(np.isfinite(self.values).any(1))

    @property
    def strata(self) -> NDArray[np.int64]:
        """Class to stratify splits by, int64 ``[n]``: 0 without classes, -1 if nothing is known."""
        if len(self.phenotypes) == 1 and self.traits[0].is_class:
            return self.sequences.label(self.phenotypes[0])[1]
        return np.where(self.known, 0, -1)

    def outputs(self, rows: NDArray[np.int64]) -> Iterator[Output]:
        """Yield the outputs, with their mean and standard deviation over the given sequences.

        Raises
        ------
        DataError
            If an output does not vary among these sequences.
        """
        measurement = self.sequences.measurement
        left, right = measurement.left, measurement.right
        for trait in self.traits:
            values = trait.values[rows].astype(np.float64)
            values = values[np.isfinite(values)]
            if not len(values) or values.min() == values.max():
                what = f"{trait.name} does not vary among the sequences to learn from"
                raise DataError(what, where=self.path)
            if trait.category is not None:
                about = Output(trait.name, measurement.assay, left=left, right=right)
                yield replace(about, category=trait.category)
                continue
            mean, sd = float(values.mean()), float(values.std())
            unit = measurement.unit or UNSTATED
            yield Output(trait.name, measurement.assay, unit, left, right, mean, sd)

    def source(self, number: int, outputs: Sequence[Output]) -> Source:
        """Return the file as a source, with each trait matched to the model's output by name."""
        index = {output.name: i for i, output in enumerate(outputs)}
        columns = tuple(index[trait.name] for trait in self.traits)
        target = np.stack(
            [
                (trait.values - outputs[i].mean) / outputs[i].sd
                for trait, i in zip(self.traits, columns, strict=True)
            ],
            1,
        )
        return Source(number, self.sequences.codes, target.astype(np.float32), columns, self.items)


def read_learned(path: Path, phenotypes: Sequence[str] = (), *, pairs: bool = False) -> Learned:
    """Open a file of training sequences.

    Parameters
    ----------
    path : Path
    phenotypes : sequence of str
        Phenotypes to learn; if empty, all in which sequences differ.
    pairs : bool
        True if the groups of the file are pairs of alleles.

    Raises
    ------
    UsageError
        If a phenotype does not exist.
    DataError
        If the file is damaged or aligned, there is nothing to learn, a requested phenotype does not
        vary, or a group is not a pair.
    """
    sequences = open_sequences(path)
    if sequences.aligned:
        raise DataError("is aligned: its columns are not contiguous DNA", where=path)
    asked = tuple(map(sequences.phenotype, phenotypes))
    by_phenotype = {each.name: _traits(each) for each in asked or sequences.phenotypes}
    constant = [name for name, traits in by_phenotype.items() if not traits]
    if constant and asked:
        raise DataError(f"{constant[0]} does not vary", where=path)
    phenotypes = tuple(name for name, traits in by_phenotype.items() if traits)
    traits = tuple(trait for name in phenotypes for trait in by_phenotype[name])
    if not traits:
        raise DataError("has no phenotype that varies", where=path)
    if clash := first_twice(trait.name for trait in traits):
        raise DataError(f"two outputs would be called {clash}", where=path)
    items = _pairs(path, sequences) if pairs else np.arange(len(sequences))[:, None]
    learned = Learned(path, sequences, phenotypes, traits, items, items_of(sequences))
    return replace(learned, items=items[learned.known[items].any(1)])


def _traits(phenotype: Phenotype) -> list[Trait]:
    """Return the traits of a phenotype: one quantity, or its classes; none if it does not vary."""
    name, values = output_name(phenotype.name), phenotype.values
    if phenotype.categories is None:
        known = values[np.isfinite(values)]
        varies = len(known) > 1 and known.min() < known.max()
        return [Trait(name, values.astype(np.float32))] if varies else []
    there, categories = np.unique(values[values >= 0]), phenotype.categories
    if len(there) < 2:
        return []

    def of(number: int, called: str) -> Trait:
        is_it = np.where(values < 0, np.nan, values == number)
        return Trait(called, is_it.astype(np.float32), categories[number])

    if len(there) == 2:
        return [of(there[1], name)]
    return [of(k, output_name(f"{name}_{categories[k]}")) for k in there]


def output_name(text: str) -> str:
    """Return a name with only letters, digits and underscores."""
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "output"


def _pairs(path: Path, sequences: Sequences) -> NDArray[np.int64]:
    """Return the two rows of each group, int64 ``[m, 2]``, in file order."""
    order = np.argsort(sequences.group, kind="stable")
    _, sizes = np.unique(sequences.group, return_counts=True)
    if (sizes != 2).any():
        raise DataError(
            f"{int((sizes != 2).sum()):,} groups are not pairs",
            where=path,
            expected="two sequences of each group: the alleles of a locus",
            found=f"a group of {int(sizes[sizes != 2][0]):,}",
            hint="name the column with the loci: genomix prepare sequences --group",
        )
    pairs = order.reshape(-1, 2)
    return pairs[np.argsort(pairs[:, 0])]


def without(learned: Learned, held_out: Keys) -> Learned:
    """Leave out items that contain a held-out sequence, and log how many.

    Parameters
    ----------
    learned : Learned
        Sequences held out by its own split are left out too.
    held_out : NDArray
        Sorted digests, from :func:`strandless`, of the sequences held out of the main file.

    Raises
    ------
    DataError
        If nothing is left.
    """
    here = np.isin(learned.sequences.split, (*VALID, *TEST))
    out = (among(strandless(learned.sequences.codes), held_out) | here)[learned.items].any(1)
    if not out.any():
        return learned
    what = "sequences" if learned.items.shape[1] == 1 else "pairs"
    said = "%s: left out %s %s that are held out by its split or by the data"
    log.info(said, learned.path, f"{int(out.sum()):,}", what)
    if out.all():
        raise DataError("holds only sequences that are held out", where=learned.path)
    return replace(learned, items=learned.items[~out])


def renamed(learned: Learned, taken: Collection[str], kept: Collection[str] = ()) -> Learned:
    """Return a file with unique output names: a name already taken gets the file's name in front.

    Parameters
    ----------
    learned : Learned
    taken : collection of str
        Names of the outputs of the files before.
    kept : collection of str
        Names that the file may share with the files before.

    Raises
    ------
    DataError
        If the new name is also taken.
    """
    traits = []
    for trait in learned.traits:
        if trait.name in taken and trait.name not in kept:
            name = output_name(f"{learned.path.stem}_{trait.name}")
            if name in taken:
                raise DataError(f"two outputs would be called {name}", where=learned.path)
            log.info("%s: %s is called %s", learned.path, trait.name, name)
            trait = trait._replace(name=name)
        traits.append(trait)
    return replace(learned, traits=tuple(traits))
