"""What a fit starts from, and what it ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from genomix_cli.cohorts.simulate.shared import Floats, Ints, Shared

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = -1


@dataclass(frozen=True)
class Measured:
    """A modality of a real cohort.

    Attributes
    ----------
    values : NDArray
        float64 ``[n, d]``, NaN where missing; only samples that have the modality.
    features : DataFrame
        A row for each column of `values`.
    total : int
        Features of the modality, of which `values` may hold a part.
    label, batch : NDArray
        int64 ``[n]``, -1 where unknown.
    shared : Shared
        The law of class, purity and batch that was fitted (or assumed) before.
    """

    values: Floats
    features: pd.DataFrame
    total: int
    label: Ints
    batch: Ints
    shared: Shared

    @property
    def labelled(self) -> bool:
        """Whether there are two classes or more, of two samples or more each."""
        return int((np.bincount(self.label[self.label >= 0]) > 1).sum()) > 1


@dataclass(frozen=True)
class Fitted:
    """The parameters of a modality.

    Attributes
    ----------
    parameters : dataclass
        Of the generative model.
    estimated : tuple of str
        Those of them that the data decided; the others have their defaults.
    notes : tuple of str
        What a reader should know of them.
    """

    parameters: Any
    estimated: tuple[str, ...]
    notes: tuple[str, ...] = ()
