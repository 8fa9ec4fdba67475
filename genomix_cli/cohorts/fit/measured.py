"""Input and result of a fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from genomix_cli.cohorts.fit.association import Association, associate
from genomix_cli.cohorts.fit.batches import batch_spread, without_batches
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Shared

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
    where : str
        File and modality, for errors.
    """

    values: Floats
    features: pd.DataFrame
    total: int
    label: Ints
    batch: Ints
    shared: Shared
    where: str

    @property
    def labelled(self) -> bool:
        """True if at least two classes have at least two samples each."""
        return int((np.bincount(self.label[self.label >= 0]) > 1).sum()) > 1

    def associated(self) -> Association | None:
        """Return the features that differ between classes; None without labels."""
        return associate(self.values, self.label) if self.labelled else None

    def without_batches(self) -> Measured:
        """Return the same without the effects of batches."""
        return replace(self, values=without_batches(self.values, self.label, self.batch))

    def batch_sd(self) -> dict[str, float]:
        """Return the estimate of `batch_sd`, by that name; nothing with a single batch."""
        if self.shared.shape[2] == 1:
            return {}
        return {"batch_sd": batch_spread(self.values, self.label, self.batch)}


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
    estimated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def with_estimates(self, **values: Any) -> Fitted:
        """Return the fit with these parameters estimated, too."""
        estimated = dict.fromkeys((*self.estimated, *values))
        return replace(self, parameters=replace(self.parameters, **values), estimated=(*estimated,))
