"""Latent factors that the modalities of a sample share: the structure of a fitted cohort.

Every modality of a sample has a few factors, which its features show with loadings ``w[j]``:
factor analysis [1]_. The class moves the factors z of all modalities together, as in discriminant
analysis in a latent space [2]_ ::

    z ~ N(m[y], S[y])
    x ~ N(base[j] + w[j] . z + delta[batch, j], noise[j]^2)

with w[j] = 0 for the factors of other modalities, on the log2 scale of expression and chromatin and
on the logit scale of methylation. Modalities are correlated through S. The class acts through the
factors alone, so that what any number of features says of it is bounded, and samples differ as a
whole. z is normal, so it is integrated out in closed form: with W the loadings and P the diagonal
of ``noise^2`` of the observed features, ::

    log p(x | y) = c + (log|S^-1| - log|S^-1 + A| - m' S^-1 m + h' (S^-1 + A)^-1 h) / 2
    A = W' P^-1 W,  h = S^-1 m + W' P^-1 (x - base - delta)

References
----------
.. [1] Rubin DB, Thayer DT. EM algorithms for ML factor analysis. Psychometrika 1982.
   doi:10.1007/BF02293851
.. [2] Ioffe S. Probabilistic linear discriminant analysis. ECCV 2006. doi:10.1007/11744085_41
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genomix_cli.cohorts.simulate.chromatin import batch_shift
from genomix_cli.cohorts.simulate.emissions import MARGIN
from genomix_cli.cohorts.simulate.methylation import expit, logit
from genomix_cli.cohorts.simulate.process import Drawn, Process
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared
from genomix_cli.config import Count, NotNegative, Positive, Whole

# Modalities that can show factors, and those of them that do on the logit scale.
FACTORED = ("expression", "methylation", "chromatin")
LOGIT = ("methylation",)
HIDDEN = "factors"


@dataclass(frozen=True)
class FactorLaw:
    """Distribution of the factors of all modalities, in each class.

    Attributes
    ----------
    means : tuple of tuple of float
        m ``[K][r]``.
    covariances : tuple of tuple of tuple of float
        S ``[K][r][r]``.
    """

    means: tuple[tuple[float, ...], ...] = ()
    covariances: tuple[tuple[tuple[float, ...], ...], ...] = ()

    @property
    def width(self) -> int:
        """Number of factors, r."""
        return len(self.means[0]) if self.means else 0

    def problems(self, classes: int) -> list[str]:
        """Return what is wrong with the law, for a number of classes."""
        widths = {len(mean) for mean in self.means}
        if len(self.means) != classes or len(self.covariances) != classes or len(widths) != 1:
            return ["factors have no mean and covariance for each class"]
        shape = (classes, *2 * tuple(widths))
        rows = [row for matrix in self.covariances for row in matrix]
        if len(rows) != shape[0] * shape[1] or {len(row) for row in rows} != widths:
            return ["covariances of factors are no square matrices as wide as the means"]
        matrices = np.array(self.covariances)
        symmetric = np.allclose(matrices, matrices.swapaxes(1, 2))
        if not symmetric or np.linalg.eigvalsh(matrices).min(initial=1) <= 0:
            return ["covariances of factors are not symmetric and positive definite"]
        return []


@dataclass(frozen=True)
class FactorParameters:
    """Parameters of a modality that shows the factors.

    Attributes
    ----------
    loadings : tuple of tuple of float
        w, a row for each feature; with more features than rows, consecutive ones share a row.
    first : int
        Position in the law of the first of the factors that the loadings are of.
    base : tuple of float
        Level of each row where the factors are 0, on the scale of the model.
    noise : tuple of float
        Standard deviation of each row about what the factors say.
    features : int
        Number of features.
    batch_sd : float
        Standard deviation of delta.
    """

    loadings: tuple[tuple[float, ...], ...]
    base: tuple[float, ...]
    noise: tuple[Positive, ...]
    features: Count
    first: Whole = 0
    batch_sd: NotNegative = 0.0

    def problems(self, factors: int) -> list[str]:
        """Return what is wrong with the parameters, for a number of factors in the law."""
        widths = {len(row) for row in self.loadings}
        if len(widths) != 1 or self.first + max(widths) > factors or not max(widths):
            return [f"has loadings that are not of the {factors} factors of the law"]
        if not len(self.loadings) == len(self.base) == len(self.noise):
            return ["has no base and noise for each row of loadings"]
        return []


class Evidence(NamedTuple):
    """Log density of a sample's values given z: ``constant + linear . z - z . precision z / 2``.

    Attributes
    ----------
    precision : NDArray
        ``[n, r, r]``.
    linear : NDArray
        ``[n, B, r]``.
    constant : NDArray
        ``[n, B]``.
    """

    precision: Floats
    linear: Floats
    constant: Floats


@dataclass(frozen=True)
class FactorEmission:
    """Features of a modality given the factors.

    Attributes
    ----------
    base : NDArray
        float64 ``[d, B]``: level in each batch.
    loadings : NDArray
        float64 ``[d, w]``.
    noise : NDArray
        float64 ``[d]``.
    own : slice
        The modality's factors among all.
    """

    base: Floats
    loadings: Floats
    noise: Floats
    own: slice

    def draw(self, z: Floats, batch: Ints, rng: np.random.Generator) -> Floats:
        """Draw values ``[n, d]`` given all factors ``[n, r]`` and the batches ``[n]``."""
        return rng.normal(self.base[:, batch].T + z[:, self.own] @ self.loadings.T, self.noise)

    def evidence(self, values: Floats) -> Evidence:
        """Return what values ``[n, d]``, NaN where missing, say of the modality's factors."""
        observed = (~np.isnan(values)).astype(float)
        width = self.loadings.shape[1]
        scaled = self.loadings / self.noise[:, None]
        outer = (scaled[:, :, None] * scaled[:, None, :]).reshape(len(scaled), -1)
        constant = -observed @ (np.log(self.noise) + np.log(2 * np.pi) / 2)
        linear, squares = [], []
        for base in self.base.T:
            off = np.nan_to_num((values - base) / self.noise)
            linear.append(off @ scaled)
            squares.append((off**2).sum(1))
        precision = (observed @ outer).reshape(-1, width, width)
        return Evidence(
            precision, np.stack(linear, 1), constant[:, None] - np.stack(squares, 1) / 2
        )


class Factors:
    """Factors of the samples, and the emission of every modality that shows them.

    Parameters
    ----------
    law : FactorLaw
    shared : Shared
    """

    def __init__(self, law: FactorLaw, shared: Shared) -> None:
        self.means, self.covariances = np.array(law.means), np.array(law.covariances)
        self.bits = len(shared.interactions)
        self.readers: dict[str, FactorEmission] = {}

    def draw(self, label: Ints, rng: np.random.Generator) -> Floats:
        """Draw the factors ``[n, r]`` of samples of the classes ``[n]``."""
        spread = np.linalg.cholesky(self.covariances)[label]
        standard = rng.normal(size=(len(label), self.means.shape[1]))
        return self.means[label] + np.einsum("nij,nj->ni", spread, standard)

    def log_likelihood(self, shown: dict[str, Floats]) -> Floats:
        """Return the log-likelihood of modalities together ``[n, K, 1, B, 1, ...]``."""
        total = self._evidence(shown)
        found = np.stack([self._of_class(total, k) for k in range(len(self.means))], 1)
        return np.expand_dims(found, (2, *range(4, 4 + self.bits)))

    def _evidence(self, shown: dict[str, Floats]) -> Evidence:
        """Return what all modalities in `shown` say of all factors."""
        n, r = len(next(iter(shown.values()))), self.means.shape[1]
        batches = next(iter(self.readers.values())).base.shape[1]
        total = Evidence(np.zeros((n, r, r)), np.zeros((n, batches, r)), np.zeros((n, batches)))
        for name, values in shown.items():
            part, own = self.readers[name].evidence(values), self.readers[name].own
            total.precision[:, own, own] += part.precision
            total.linear[..., own] += part.linear
            total.constant[...] += part.constant
        return total

    def _of_class(self, evidence: Evidence, k: int) -> Floats:
        """Return the log-likelihood in a class ``[n, B]``, the factors integrated out."""
        prior = np.linalg.inv(self.covariances[k])
        posterior = evidence.precision + prior
        h = evidence.linear + prior @ self.means[k]
        fit = (h * np.linalg.solve(posterior, h.swapaxes(1, 2)).swapaxes(1, 2)).sum(2)
        volume = np.linalg.slogdet(prior)[1] - np.linalg.slogdet(posterior)[1]
        mean = self.means[k] @ prior @ self.means[k]
        return evidence.constant + (volume[:, None] - mean + fit) / 2


class FactorModality(Process):
    """A modality that shows the factors; see the module for the model.

    Parameters
    ----------
    name : str
        One of `FACTORED`.
    parameters : FactorParameters
    shared : Shared
    rng : Generator
        Source of everything common to all samples.
    factors : Factors
    """

    name: str  # type: ignore[misc]
    kind: str  # type: ignore[misc]
    Parameters = FactorParameters

    def __init__(
        self,
        name: str,
        parameters: FactorParameters,
        shared: Shared,
        rng: np.random.Generator,
        factors: Factors,
    ) -> None:
        self.name = self.kind = name
        self.shared = shared
        self.factors = factors
        n, rows = parameters.features, len(parameters.loadings)
        row = np.arange(n) * rows // n
        base, loadings, noise = (
            np.array(values)[row]
            for values in (parameters.base, parameters.loadings, parameters.noise)
        )
        shift = batch_shift(shared, n, parameters.batch_sd, rng)[:, 0, 0]
        # Factors have one likelihood of all that shows them: the first modality answers for all.
        self.readers: dict[str, Any] = {} if factors.readers else factors.readers
        own = slice(parameters.first, parameters.first + loadings.shape[1])
        factors.readers[name] = FactorEmission(base[:, None] + shift, loadings, noise, own)

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Any]) -> Drawn:
        """See :class:`Process`."""
        if HIDDEN not in hidden:
            hidden[HIDDEN] = self.factors.draw(samples.label, rng)
        z = hidden[HIDDEN]
        drawn = self.factors.readers[self.name].draw(z, samples.batch, rng)
        latents = {f"factor{i + 1}": values for i, values in enumerate(z.T)}
        if self.name not in LOGIT:
            values = drawn.astype(np.float32).astype(float)
            return Drawn(values, values, latents=latents)
        values = np.clip(expit(drawn), MARGIN, 1 - MARGIN).astype(np.float32).astype(float)
        return Drawn(values, logit(values), latents=latents)

    def log_likelihood(self, shown: dict[str, Floats], n: int) -> Floats:
        """See :class:`Process`; methylation is shown on the logit scale."""
        return self.factors.log_likelihood(shown)

    def features(self) -> pd.DataFrame:
        """See :class:`Process`."""
        emission = self.factors.readers[self.name]
        frame = pd.DataFrame({"base": emission.base.mean(1), "noise": emission.noise})
        for i, loading in enumerate(emission.loadings.T, emission.own.start + 1):
            frame[f"factor{i}"] = loading
        frame.index = pd.Index([f"{self.name}{i:05d}" for i in range(len(frame))])
        return frame
