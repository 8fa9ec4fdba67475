"""What every generative model offers: one hidden process, and the modalities that show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Drawn:
    """Some samples of a modality.

    Attributes
    ----------
    values : NDArray
        float ``[n, d]``: what the file's matrix gets.
    data : NDArray
        ``[n, d]``: what the likelihood is computed from; the values, unless those say less.
    layers : dict of str to NDArray
        True states and the like ``[n, d]``.
    latents : dict of str to NDArray
        Latent variables of the modality's own ``[n]``.
    """

    values: Floats
    data: NDArray[Any]
    layers: dict[str, NDArray[Any]] = field(default_factory=dict)
    latents: dict[str, Floats] = field(default_factory=dict)


class Process(Protocol):
    """A hidden process of a sample and the modality it is named after.

    Another modality may show the process too (expression shows copy number, for one): `readers`
    says how each shows it, and likelihoods are of any set of them together.

    Attributes
    ----------
    name : str
        The modality.
    kind : str
        What its values are: a key of :data:`genomix_cli.formats.cohort.KINDS`.
    Parameters : type
        A frozen dataclass with a default for everything.
    shared : Shared
    readers : dict
        Modality to the law of what it shows.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    Parameters: ClassVar[type]
    shared: Shared
    readers: dict[str, Any]

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]) -> Drawn:
        """Draw samples; what is hidden goes into `hidden` under the process's name."""

    def log_likelihood(self, shown: dict[str, Floats], n: int) -> Floats:
        """Of what the modalities in `shown` say of the process ``[n, K, P, B, 2, ...]``."""

    def features(self) -> pd.DataFrame:
        """The modality's features, with the truth about each."""
