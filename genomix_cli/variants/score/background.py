"""How large is a score? Its rank among the scores of common variants, kept beside the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.provenance import atomic_path

FILE = "background.safetensors"
_KEY = "logit"
#: Of more scores, evenly spaced ranks are kept.
MOST = 100_000


@dataclass(frozen=True)
class Background:
    """Scores of many variants that are taken to be without effect.

    Attributes
    ----------
    logits : NDArray
        float32 ``[n]``, ascending, before calibration.
    count : int
        Variants they stand for.
    source : str
        What these variants are, in a few words.
    model : str
        sha256 of the weights that scored them.
    """

    logits: NDArray[np.float32]
    count: int
    source: str
    model: str

    @classmethod
    def of(cls, logits: NDArray[np.float32], source: str, model: str) -> Background:
        """Make one of any number of scores."""
        ordered = np.sort(np.asarray(logits, np.float32))
        if len(ordered) > MOST:
            ordered = ordered[np.linspace(0, len(ordered) - 1, MOST).round().astype(np.int64)]
        return cls(ordered, len(logits), source, model)

    def percentile(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Per cent of the background below each score, half of the equal ones counted in."""
        below = np.searchsorted(self.logits, logits, side="left")
        up_to = np.searchsorted(self.logits, logits, side="right")
        return 50.0 * (below + up_to) / len(self.logits)

    def phred(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """-10 log10 of the share of the background that scores as high or higher.

        The score itself counts as one of them, so that the highest is finite: 10 is a rank among
        the top 10 %, 20 among the top 1 % (as CADD has it, doi:10.1038/ng.2892).
        """
        n = len(self.logits)
        as_high = n - np.searchsorted(self.logits, logits, side="left")
        return -10.0 * np.log10((as_high + 1) / (n + 1)) + 0.0

    @property
    def highest_phred(self) -> float:
        """That of a score above all others."""
        return 10.0 * math.log10(len(self.logits) + 1)

    def save(self, folder: Path) -> None:
        """Write it beside the weights."""
        from safetensors.numpy import save

        metadata = {"count": str(self.count), "source": self.source, "model": self.model}
        with atomic_path(folder / FILE) as draft:
            draft.write_bytes(save({_KEY: self.logits}, metadata))


def load_background(folder: Path, model: str) -> Background | None:
    """The background of a model, or None if it has none.

    Parameters
    ----------
    folder : Path
        Of the model.
    model : str
        sha256 of its weights.

    Raises
    ------
    DataError
        If the file is damaged or was made with other weights.
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
