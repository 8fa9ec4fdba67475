"""Samples of a modality to draw, with their classes and batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.cohorts.figures.genome import GenomeAxis, genome_axis
from genomix_cli.cohorts.inspect.overview import UNKNOWN, groups
from genomix_cli.cohorts.inspect.pieces import draw_rows, read_rows
from genomix_cli.formats.cohort import BATCH, LABEL, Cohort, Kind

SEED = 0
# Largest number of samples, and of values, to draw: a figure shows no more.
SAMPLES = 2_000
VALUES = 10_000_000
# Largest number of classes with their own colour.
CLASSES = 24
# Name of the group of all samples, without classes.
ALL = "all samples"

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Grouping:
    """Samples in groups.

    Attributes
    ----------
    names : tuple of str
        Groups in the order of the file; unknown last.
    codes : NDArray
        int64 ``[n]``: index into `names`.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]

    def of(self, rows: NDArray[Any]) -> Grouping:
        """Return the same groups of fewer samples."""
        return Grouping(self.names, self.codes[rows])

    def counts(self) -> NDArray[np.int64]:
        """Return the number of samples in each group."""
        return np.bincount(self.codes, minlength=len(self.names))


def grouping(cohort: Cohort, column: str) -> Grouping | None:
    """Return the groups of a column of `obs`, or None without that column."""
    if column not in cohort.obs:
        return None
    values = cohort.obs[column]
    codes = values.cat.codes.to_numpy(np.int64)
    names = groups(values)
    return Grouping(names, np.where(codes < 0, len(names) - 1, codes))


def classes_of(cohort: Cohort) -> Grouping:
    """Return the classes; one group of all samples without labels."""
    classes = grouping(cohort, LABEL)
    return classes or Grouping((ALL,), np.zeros(len(cohort.obs), np.int64))


@dataclass(frozen=True)
class View:
    """Samples of a modality as they are drawn.

    Attributes
    ----------
    cohort : str
        Name of the cohort.
    modality : str
    kind : Kind
    values : NDArray
        float32 ``[n, d]``; NaN if missing.
    samples : tuple of str
    classes : Grouping
    batches : Grouping or None
    features : DataFrame
        One row per feature.
    states : NDArray or None
        float32 ``[n, d]``: true copy numbers.
    total : int
        Samples with the modality in the file.
    """

    cohort: str
    modality: str
    kind: Kind
    values: Matrix
    samples: tuple[str, ...]
    classes: Grouping
    batches: Grouping | None
    features: pd.DataFrame
    states: Matrix | None
    total: int

    @cached_property
    def places(self) -> GenomeAxis:
        """Positions of the features along the genome."""
        return genome_axis(self.features)

    @property
    def note(self) -> str:
        """Return a note on the choice of samples, if not all are drawn."""
        if len(self.samples) == self.total:
            return ""
        return (
            f"{len(self.samples):,} of the {self.total:,} samples of {self.cohort}, "
            "drawn at random within classes."
        )


def view(cohort: Cohort, called: str, modality: str) -> View:
    """Return samples of a modality, at most about 2,000 and ten million values."""
    classes, features = classes_of(cohort), cohort.features(modality)
    present = cohort.present(modality)
    most = min(max(VALUES // max(len(features), 1), 100), SAMPLES)
    keep = draw_rows(np.random.default_rng(SEED), classes.codes, present, most)
    rows, values = read_rows(cohort, modality, keep)
    states = None
    if "state" in cohort.layers(modality):
        states = read_rows(cohort, modality, keep, where="layers/state").values
    batches = grouping(cohort, BATCH)
    return View(
        cohort=called,
        modality=modality,
        kind=cohort.kinds[modality],
        values=values,
        samples=tuple(map(str, cohort.obs.index[rows])),
        classes=classes.of(rows),
        batches=batches and batches.of(rows),
        features=features,
        states=states,
        total=int(present.sum()),
    )


def shown_classes(views: Sequence[View], most: int = CLASSES) -> tuple[str, ...]:
    """Return the classes with samples in any view, in order; at most the `most` frequent."""
    counts: Counter[str] = Counter()
    for each in views:
        counts.update(dict(zip(each.classes.names, each.classes.counts(), strict=True)))
    chosen = [name for name, count in counts.most_common(most) if count]
    return tuple(sorted(chosen, key=lambda name: (name == UNKNOWN, list(counts).index(name))))


def members(each: View, name: str) -> NDArray[np.bool_]:
    """Return True for the samples of a view in a class, bool ``[n]``."""
    if name not in each.classes.names:
        return np.zeros(len(each.samples), bool)
    return each.classes.codes == each.classes.names.index(name)
