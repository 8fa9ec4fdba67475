"""Input and result of a fit."""

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
    """Modality of a real cohort.

    Attributes
    ----------
    values : NDArray
        float64 ``[n, d]``, NaN if missing; only samples that have the modality.
    features : DataFrame
        One row per column of `values`.
    total : int
        Features of the modality; `values` may hold only some of them.
    label, batch : NDArray
        int64 ``[n]``, -1 if unknown.
    shared : Shared
        Distribution of class, purity and batch, fitted or assumed before.
    """

    values: Floats
    features: pd.DataFrame
    total: int
    label: Ints
    batch: Ints
    shared: Shared

    @property
    def labelled(self) -> bool:
        """True if at least two classes have at least two samples each."""
        return int((np.bincount(self.label[self.label >= 0]) > 1).sum()) > 1


@dataclass(frozen=True)
class Fitted:
    """Parameters of a modality.

    Attributes
    ----------
    parameters : dataclass
        Parameters of the generative model.
    estimated : tuple of str
        Those estimated from the data; the others have their defaults.
    notes : tuple of str
        Caveats for the reader.
    """

    parameters: Any
    estimated: tuple[str, ...]
    notes: tuple[str, ...] = ()
