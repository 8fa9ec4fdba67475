"""Interface of every generative model: one hidden process, and the modalities that show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared


@dataclass(frozen=True)
class Drawn:
    """Draw of a modality for some samples.

    Attributes
    ----------
    values : NDArray
        float ``[n, d]``: values of the file's matrix.
    data : NDArray
        ``[n, d]``: data of the likelihood; the values, unless those hold less information.
    layers : dict of str to NDArray
        True states and the like ``[n, d]``.
    latents : dict of str to NDArray
        Latent variables of the modality itself ``[n]``.
    """

    values: Floats
    data: NDArray[Any]
    layers: dict[str, NDArray[Any]] = field(default_factory=dict)
    latents: dict[str, Floats] = field(default_factory=dict)


class Process(Protocol):
    """Hidden process of a sample and the modality it is named after.

    Other modalities may show the process too (expression shows copy number, for example). `readers`
    holds the emission of each; likelihoods are of any set of them together.

    Attributes
    ----------
    name : str
        The modality.
    kind : str
        Kind of its values: a key of :data:`genomix_cli.formats.cohort.KINDS`.
    Parameters : type
        A frozen dataclass with a default for everything.
    shared : Shared
    readers : dict
        Emission by modality.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    Parameters: ClassVar[type]
    shared: Shared
    readers: dict[str, Any]

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]) -> Drawn:
        """Draw samples; store hidden states in `hidden` under the process's name."""

    def log_likelihood(self, shown: dict[str, Floats], n: int) -> Floats:
        """Return the log-likelihood of the modalities in `shown` ``[n, K, P, B, 2, ...]``."""

    def features(self) -> pd.DataFrame:
        """Return the modality's features, with the truth about each."""
