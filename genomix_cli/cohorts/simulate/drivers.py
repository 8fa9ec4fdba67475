"""Units of a modality that the class, or an interaction, switches on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared

NONE = -1


@dataclass(frozen=True)
class Drivers:
    """Units of a modality and what switches them on.

    A unit that is switched on is *active* with probability `penetrance`, otherwise with probability
    `background`. Class drivers are switched on in one class, interaction drivers if the modality's
    bit of the interaction is 1, all others never.

    Attributes
    ----------
    modality : str
    shared : Shared
    of_class : NDArray
        int64 ``[U]``: class in which the unit is switched on, or -1.
    of_interaction : NDArray
        int64 ``[U]``: interaction whose bit switches it on, or -1.
    penetrance, background : NDArray
        float64 ``[U]``.
    """

    modality: str
    shared: Shared
    of_class: Ints
    of_interaction: Ints
    penetrance: Floats
    background: Floats

    def __len__(self) -> int:
        return len(self.of_class)

    def quiet_elsewhere(self) -> Drivers:
        """Return the same drivers, with units that are not drivers never active."""
        driven = (self.of_class != NONE) | (self.of_interaction != NONE)
        return replace(self, background=np.where(driven, self.background, 0.0))

    def rates(self, unit: int) -> Floats:
        """Return P(unit is active), by class ``[K]``, by bit ``[2]`` or constant ``[1]``."""
        on = np.zeros(1, bool)
        if self.of_class[unit] != NONE:
            on = np.arange(len(self.shared.classes)) == self.of_class[unit]
        elif self.of_interaction[unit] != NONE:
            on = np.array([False, True])
        return np.where(on, self.penetrance[unit], self.background[unit])

    def place(self, values: Floats, unit: int) -> Floats:
        """Move the second axis, that of :meth:`rates`, to the axes of a likelihood.

        Turns `values` ``[n, R, P, B]`` into ``[n, K or 1, P, B, 2 or 1, ...]``.
        """
        axes = [1] * len(self.shared.interactions)
        i = self.of_interaction[unit]
        if i == NONE:
            return values.reshape(*values.shape, *axes)
        axes[i] = 2
        n, _, p, b = values.shape
        return np.moveaxis(values, 1, -1).reshape(n, 1, p, b, *axes)

    def draw(self, samples: Samples, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw the active units of each sample ``[n, U]``."""
        on = samples.label[:, None] == self.of_class
        for i in self.shared.of(self.modality):
            units = self.of_interaction == i
            on[:, units] = samples.shown(self.shared, self.modality, i)[:, None] == 1
        return rng.random(on.shape) < np.where(on, self.penetrance, self.background)

    def columns(self, unit_of_feature: Ints) -> pd.DataFrame:
        """Return the truth about each feature, for `var`."""
        classes = np.array([*self.shared.classes, ""], dtype=object)
        of_class = self.of_class[unit_of_feature]
        of_interaction = self.of_interaction[unit_of_feature]
        return pd.DataFrame(
            {
                "driver": (of_class != NONE) | (of_interaction != NONE),
                "driver_class": classes[of_class],
                "interaction": of_interaction,
                "unit": unit_of_feature,
            }
        )


def choose_drivers(
    shared: Shared,
    modality: str,
    units: int,
    drivers: int,
    penetrance: float,
    background: float | Floats,
    rng: np.random.Generator,
) -> Drivers:
    """Choose the drivers of a modality among its units.

    Parameters
    ----------
    units, drivers : int
        Number of units, and number of drivers among them.
    penetrance, background : float
        See :class:`Drivers`.
    """
    of_class, of_interaction = np.full(units, NONE), np.full(units, NONE)
    chosen = rng.permutation(units)[: min(drivers, units)]
    interactions = shared.of(modality)
    interacting = round(shared.share * len(chosen)) if interactions else 0
    for rank, unit in enumerate(chosen):
        if rank < interacting:
            of_interaction[unit] = interactions[rank % len(interactions)]
        else:
            of_class[unit] = (rank - interacting) % len(shared.classes)
    return Drivers(
        modality,
        shared,
        of_class,
        of_interaction,
        np.full(units, penetrance),
        np.broadcast_to(np.asarray(background, float), units),
    )
