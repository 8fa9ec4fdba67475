"""What of a cohort is drawn: samples of a modality, their classes and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.inspect.overview import UNKNOWN, groups
from genomix_cli.cohorts.inspect.pieces import draw_rows, read_rows
from genomix_cli.formats.cohort import BATCH, LABEL, Cohort, Kind

if TYPE_CHECKING:
    import pandas as pd

SEED = 0
# Samples drawn of a modality, and its values, at most: a picture shows no more.
SAMPLES = 2_000
VALUES = 10_000_000
# Classes that are told apart.
CLASSES = 24
# What all samples are where there are no classes.
ALL = "all samples"

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Grouping:
    """Samples in groups.

    Attributes
    ----------
    names : tuple of str
        Groups in the order of the file; the unknown last.
    codes : NDArray
        int64 ``[n]``: which of `names`.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]

    def of(self, rows: NDArray[np.intp]) -> Grouping:
        """The same groups of fewer samples."""
        return Grouping(self.names, self.codes[rows])

    def counts(self) -> NDArray[np.int64]:
        """Samples of each group."""
        return np.bincount(self.codes, minlength=len(self.names))


def grouping(cohort: Cohort, column: str) -> Grouping | None:
    """The groups of a column of `obs`, where there is one."""
    if column not in cohort.obs:
        return None
    values = cohort.obs[column]
    codes = values.cat.codes.to_numpy(np.int64)
    names = groups(values)
    return Grouping(names, np.where(codes < 0, len(names) - 1, codes))


def classes_of(cohort: Cohort) -> Grouping:
    """The classes; one group of all samples where there are none."""
    found = grouping(cohort, LABEL)
    return found or Grouping((ALL,), np.zeros(len(cohort.obs), np.int64))


@dataclass(frozen=True)
class View:
    """Samples of a modality as they are drawn.

    Attributes
    ----------
    cohort : str
        What the cohort is called.
    modality : str
    kind : Kind
    values : NDArray
        float32 ``[n, d]``; NaN where missing.
    samples : tuple of str
    classes : Grouping
    batches : Grouping or None
    features : DataFrame
        A row each.
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

    @property
    def note(self) -> str:
        """Which samples these are, where they are not all."""
        if len(self.samples) == self.total:
            return ""
        return (
            f"{len(self.samples):,} of the {self.total:,} samples of {self.cohort}, "
            "drawn at random within classes."
        )


def view(cohort: Cohort, called: str, modality: str) -> View:
    """Samples of a modality, at most about 2,000 and ten million values."""
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
    """The classes with samples in any of the views, in order; the `most` frequent of them."""
    counts: dict[str, int] = {}
    for each in views:
        for name, count in zip(each.classes.names, each.classes.counts(), strict=True):
            counts[name] = counts.get(name, 0) + int(count)
    frequent = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    kept = frequent[:most]
    return tuple(sorted(kept, key=lambda name: (name == UNKNOWN, list(counts).index(name))))


def members(each: View, name: str) -> NDArray[np.bool_]:
    """Which samples of a view are of a class, bool ``[n]``."""
    if name not in each.classes.names:
        return np.zeros(len(each.samples), bool)
    return each.classes.codes == each.classes.names.index(name)
