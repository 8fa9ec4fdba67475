"""Rank of a score among the scores of common variants, stored beside a model's weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.provenance import atomic_path

FILE = "background.safetensors"
_KEY = "logit"
#: A larger background is thinned to evenly spaced ranks.
MAX_STORED_SCORES = 100_000


@dataclass(frozen=True)
class Background:
    """Scores of variants that are assumed to have no effect.

    Attributes
    ----------
    logits : NDArray
        float32 ``[n]``, ascending, before calibration; at most `MAX_STORED_SCORES`.
    count : int
        Number of variants scored.
    source : str
        Short description of these variants.
    model : str
        sha256 of the weights that scored them.
    """

    logits: NDArray[np.float32]
    count: int
    source: str
    model: str

    @classmethod
    def of(cls, logits: NDArray[np.float32], source: str, model: str) -> Background:
        """Create a background from any number of scores."""
        ordered = np.sort(np.asarray(logits, np.float32))
        if len(ordered) > MAX_STORED_SCORES:
            ordered = ordered[
                np.linspace(0, len(ordered) - 1, MAX_STORED_SCORES).round().astype(np.int64)
            ]
        return cls(ordered, len(logits), source, model)

    def percentile(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the percentage of the background below each score; ties count half."""
        below = np.searchsorted(self.logits, logits, side="left")
        up_to = np.searchsorted(self.logits, logits, side="right")
        return 50.0 * (below + up_to) / len(self.logits)

    def phred(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return -10 log10 of the fraction of the background with at least the same score.

        10 means the top 10 %, 20 the top 1 %, as in CADD (doi:10.1038/ng.2892). The score itself is
        counted, so that even the highest is finite.
        """
        n = len(self.logits)
        as_high = n - np.searchsorted(self.logits, logits, side="left")
        return -10.0 * np.log10((as_high + 1) / (n + 1)) + 0.0

    def save(self, folder: Path) -> None:
        """Write the background beside the weights in `folder`."""
        from safetensors.numpy import save

        metadata = {"count": str(self.count), "source": self.source, "model": self.model}
        with atomic_path(folder / FILE) as draft:
            draft.write_bytes(save({_KEY: self.logits}, metadata))


def load_background(folder: Path, model: str) -> Background | None:
    """Return the background of the model in `folder`, or None if it has none.

    Raises
    ------
    DataError
        If the file is damaged or was made with weights other than `model` (a sha256).
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    if not path.is_file():
        return None
    remake = "make it again: genomix score COMMON.vcf.gz --save-background"
    try:
        with safe_open(str(path), "np") as file:
            logits, metadata = file.get_tensor(_KEY), file.metadata()
        background = Background(
            logits, int(metadata["count"]), metadata["source"], metadata["model"]
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError("the background is damaged", where=path, hint=remake) from error
    if background.model != model:
        raise DataError("the background was made with other weights", where=path, hint=remake)
    return background
