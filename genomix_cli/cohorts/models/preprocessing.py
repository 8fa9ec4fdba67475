"""Transformation, selection and scaling of measured values, fitted to training samples only.

Letters: n samples, d features of a modality, k of them kept, M modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Modality, Samples

# Values are clipped to this many standard deviations.
CLIP = 10.0
# Added to counts so that a count of 0 has a logarithm.
PSEUDOCOUNT = 0.5


class Encoded(NamedTuple):
    """Encoded samples, one array per modality.

    Attributes
    ----------
    values : tuple of NDArray
        float32 ``[n, k]``, mean 0 and SD 1 in training; 0 where missing.
    observed : tuple of NDArray
        bool ``[n, k]``.
    present : NDArray
        bool ``[n, M]``.
    """

    values: tuple[NDArray[np.float32], ...]
    observed: tuple[NDArray[np.bool_], ...]
    present: NDArray[np.bool_]

    def flat(self) -> NDArray[np.float32]:
        """All modalities concatenated ``[n, sum of k]``; missing values are the training mean."""
        return np.concatenate(self.values, axis=1)


class Selector(Protocol):
    """Function that selects features of a modality."""

    def __call__(
        self, values: NDArray[np.float32], label: NDArray[np.int64], k: int, seed: int
    ) -> NDArray[np.int64]:
        """Return the indices ``[k]``, ascending, of the columns of `values` ``[n, d]`` to keep."""
        ...


class Scale(NamedTuple):
    """Selected features of a modality, and their scale.

    Attributes
    ----------
    columns : NDArray
        int64 ``[k]``: selected features.
    mean, sd : NDArray
        float32 ``[k]``, after the transformation of the kind.
    """

    columns: NDArray[np.int64]
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]


@dataclass(frozen=True)
class Preprocessor:
    """Transformation, selection and standardisation, fitted by :func:`fit_preprocessor`.

    Attributes
    ----------
    modalities : tuple of Modality
        Modalities of the samples that it was fitted to.
    scales : tuple of Scale
        Scale of each.
    """

    modalities: tuple[Modality, ...]
    scales: tuple[Scale, ...]

    @property
    def selected(self) -> tuple[Modality, ...]:
        """Modalities with the selected features, in the column order of `transform`."""
        return tuple(
            _some(modality, scale.columns)
            for modality, scale in zip(self.modalities, self.scales, strict=True)
        )

    def transform(self, samples: Samples) -> Encoded:
        """Return encoded samples; they need the modalities and features of the fit."""
        values, observed = [], []
        for modality, scale in zip(self.modalities, self.scales, strict=True):
            raw = comparable(samples.values[modality.name], modality)[:, scale.columns]
            z = (raw - scale.mean) / scale.sd
            seen = np.isfinite(z)
            observed.append(seen)
            values.append(np.where(seen, np.clip(z, -CLIP, CLIP), 0).astype(np.float32))
        return Encoded(tuple(values), tuple(observed), samples.present)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything learned as named arrays."""
        return {
            f"{modality.name}/{field}": getattr(scale, field)
            for modality, scale in zip(self.modalities, self.scales, strict=True)
            for field in Scale._fields
        }

    @classmethod
    def restore(
        cls, modalities: tuple[Modality, ...], state: Mapping[str, NDArray[Any]]
    ) -> Preprocessor:
        """Return the preprocessor that :meth:`state` was taken from."""
        scales = (
            Scale(*(state[f"{modality.name}/{field}"] for field in Scale._fields))
            for modality in modalities
        )
        return cls(modalities, tuple(scales))


def fit_preprocessor(
    samples: Samples, *, select: Selector | None = None, top_k: int = 0, seed: int = 0
) -> Preprocessor:
    """Fit a preprocessor to training samples only.

    Features that are constant or never observed in them are left out.

    Parameters
    ----------
    samples : Samples
    select : Selector, optional
        Selects features of a modality that has more than `top_k`.
    top_k : int
        Number of features to select; 0 keeps all.
    seed : int
        Seed for `select`.
    """
    scales = []
    for modality in samples.modalities:
        raw = comparable(samples.values[modality.name], modality)
        seen = np.isfinite(raw)
        count = np.maximum(seen.sum(0), 1)
        # float64, since the variance of large values is a small difference of large numbers.
        mean = np.where(seen, raw, 0).sum(0, dtype=np.float64) / count
        centred = np.where(seen, raw - mean, 0)
        sd = np.sqrt((centred**2).sum(0, dtype=np.float64) / count)
        # Relative to the mean, since units vary, and not too small for float32.
        columns = np.flatnonzero(sd > np.maximum(1e-6 * np.abs(mean), 1e-30))
        if select is not None and 0 < top_k < len(columns):
            z = (centred[:, columns] / sd[columns]).astype(np.float32)
            columns = columns[select(z, samples.label, top_k, seed)]
        scales.append(
            Scale(columns, mean[columns].astype(np.float32), sd[columns].astype(np.float32))
        )
    return Preprocessor(samples.modalities, tuple(scales))


def comparable(values: NDArray[np.float32], modality: Modality) -> NDArray[np.float32]:
    """Return values on a scale on which differences are comparable, float32 ``[n, d]``.

    Fragment counts become centred log-ratios within their readout (Aitchison 1982,
    doi:10.1111/j.2517-6161.1982.tb01195.x), which removes the sequencing depth of a sample. Other
    kinds are already on such a scale.
    """
    if modality.kind != "fragments":
        return values
    readout = np.array(modality.readout or ("length",) * len(modality.features))
    result = np.empty_like(values)
    for name in np.unique(readout):
        part = np.log(values[:, readout == name] + np.float32(PSEUDOCOUNT))
        seen = np.isfinite(part)
        mean = np.where(seen, part, 0).sum(1) / np.maximum(seen.sum(1), 1)
        result[:, readout == name] = part - mean[:, None]
    return result


def _some(modality: Modality, columns: NDArray[np.int64]) -> Modality:
    each = {name: getattr(modality, name) for name in ("features", "readout", "contig", "position")}
    some: dict[str, Any] = {n: tuple(of[i] for i in columns) for n, of in each.items() if of}
    return replace(modality, **some)
