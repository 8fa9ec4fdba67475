"""Conditions for generation: phenotypes encoded as numbers for the denoiser.

Letters in shapes: n sequences, C conditions, K categories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import Phenotype, Sequences

# Largest number of combinations of values that a run stores for sampling.
MAX_COMBINATIONS = 1000
# Separates this draw from others of the same seed.
MIXED = 0xC0D


@dataclass(frozen=True)
class Condition:
    """A phenotype used as a condition for generation.

    Attributes
    ----------
    name : str
    categories : tuple of str or None
        Categories that occur in the training sequences; None for a number.
    mean, sd : float
        Mean and standard deviation of a number in the training sequences.
    """

    name: str
    categories: tuple[str, ...] | None = None
    mean: float = 0.0
    sd: float = 1.0

    @property
    def kind(self) -> int:
        """Number of categories, or 0 for a number."""
        return len(self.categories or ())

    def value(self, text: object) -> float:
        """Return the denoiser's input for the name of a category or for a number.

        Raises
        ------
        UsageError
            If the category is unknown, or the text is not a number.
        """
        if self.categories is not None:
            if str(text) in self.categories:
                return float(self.categories.index(str(text)))
            expected = ", ".join(self.categories)
        else:
            try:
                return (float(str(text)) - self.mean) / self.sd
            except ValueError:
                expected = "a number"
        raise UsageError(
            f"unknown value of {self.name}", where="--condition", expected=expected, found=str(text)
        )


class Mix(NamedTuple):
    """Combinations of conditions float32 ``[k, C]``, and their counts int64 ``[k]``."""

    values: NDArray[np.float32]
    weight: NDArray[np.int64]


def conditions_of(
    sequences: Sequences, rows: NDArray[np.int64], names: Iterable[str]
) -> tuple[Condition, ...]:
    """Return conditions for the named phenotypes, from their values in the given rows.

    Raises
    ------
    UsageError
        If a phenotype does not exist, or is unknown or constant in these rows.
    """
    return tuple(_condition(sequences.phenotype(name), rows) for name in names)


def _condition(phenotype: Phenotype, rows: NDArray[np.int64]) -> Condition:
    values = phenotype.values[rows]
    known = values[values >= 0] if phenotype.categories is not None else values[~np.isnan(values)]
    there = np.unique(known)
    if len(there) < 2:
        raise UsageError(
            f"{phenotype.name} is unknown, or the same, in all training sequences",
            where="--set conditions",
            hint="name other phenotypes",
        )
    if phenotype.categories is not None:
        return Condition(phenotype.name, tuple(phenotype.categories[k] for k in there))
    mean, sd = known.astype(np.float64).mean(), known.astype(np.float64).std()
    return Condition(phenotype.name, None, float(mean), float(sd))


def values_of(conditions: Sequence[Condition], sequences: Sequences) -> NDArray[np.float32]:
    """Return the denoiser's input for each sequence: float32 ``[n, C]``, NaN if unknown.

    Phenotypes that a file lacks, and categories that training lacked, are unknown.
    """
    values = np.full((len(sequences), len(conditions)), np.nan, np.float32)
    there = {phenotype.name: phenotype for phenotype in sequences.phenotypes}
    for i, condition in enumerate(conditions):
        phenotype = there.get(condition.name)
        if phenotype is None or (phenotype.categories is None) != (condition.categories is None):
            continue
        if condition.categories is None:
            values[:, i] = (phenotype.values - condition.mean) / condition.sd
        else:
            index = {name: k for k, name in enumerate(condition.categories)}
            table = np.array([index.get(name, np.nan) for name in phenotype.categories or ()])
            known = phenotype.values >= 0
            values[known, i] = table[phenotype.values[known]]
    return values


def phenotypes_of(
    conditions: Sequence[Condition], values: NDArray[np.float32]
) -> tuple[Phenotype, ...]:
    """Return the phenotypes of sequences generated under conditions ``[n, C]``."""
    phenotypes = []
    for condition, column in zip(conditions, values.T, strict=True):
        if condition.categories is None:
            numbers = (column * condition.sd + condition.mean).astype(np.float32)
            phenotypes.append(Phenotype(condition.name, None, numbers))
        else:
            index = np.where(np.isnan(column), -1, column).astype(np.int16)
            phenotypes.append(Phenotype(condition.name, condition.categories, index))
    return tuple(phenotypes)


def mix_of(values: NDArray[np.float32], seed: int) -> Mix:
    """Return the combinations that occur, or at most `MAX_COMBINATIONS` drawn at random."""
    # NaN does not equal itself; infinity can stand for it because no value is infinite.
    unique, count = np.unique(np.nan_to_num(values, nan=np.inf), axis=0, return_counts=True)
    if len(unique) > MAX_COMBINATIONS:
        rows = np.random.default_rng(seed).choice(len(values), MAX_COMBINATIONS, replace=False)
        return Mix(values[rows], np.ones(MAX_COMBINATIONS, np.int64))
    return Mix(np.where(np.isinf(unique), np.nan, unique).astype(np.float32), count)


def wanted_values(
    conditions: Sequence[Condition],
    wanted: Mapping[str, Any],
    mix: Mix,
    n: int,
    seed: int,
) -> NDArray[np.float32]:
    """Return conditions float32 ``[n, C]`` for sequences to generate.

    Conditions not in `wanted` stay open. If `wanted` is empty, combinations are as frequent as in
    training.

    Raises
    ------
    UsageError
        If a name or value is unknown.
    """
    if not wanted:
        share = mix.weight / mix.weight.sum()
        return mix.values[np.random.default_rng([seed, MIXED]).choice(len(share), n, p=share)]
    names = [condition.name for condition in conditions]
    row = np.full(len(names), np.nan, np.float32)
    for name, value in wanted.items():
        if name not in names:
            expected = ", ".join(names) or "none: the model has no condition"
            raise UsageError(
                "unknown condition", where="--condition", expected=expected, found=name
            )
        row[names.index(name)] = conditions[names.index(name)].value(value)
    return np.tile(row, (n, 1))


def parse_conditions(conditions: Sequence[Condition], texts: Sequence[str]) -> dict[str, str]:
    """Parse ``NAME=VALUE``, the name of a category, or an unambiguous prefix of one.

    Raises
    ------
    UsageError
        If a name is unknown, ambiguous or repeated.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, value = _parse(conditions, text)
        if name in values:
            raise UsageError(f"{name} was given twice", where="--condition")
        values[name] = value
    return values


def _parse(conditions: Sequence[Condition], text: str) -> tuple[str, str]:
    pairs = [(c.name, category) for c in conditions for category in c.categories or ()]
    owners = [pair for pair in pairs if pair[1] == text]
    owners = owners or [pair for pair in pairs if pair[1].startswith(text)]
    if len(owners) == 1:
        return owners[0]
    name, equals, value = text.partition("=")
    if equals and name in {c.name for c in conditions} and not owners:
        return name, value
    known = [f"{c.name}={category}" for c in conditions for category in c.categories or ()]
    known += [f"{c.name}=NUMBER" for c in conditions if c.categories is None]
    raise UsageError(
        "unknown condition" if not owners else "several conditions have this name",
        where="--condition",
        expected=" or ".join(known) or "none: the model has no condition",
        found=text,
    )
