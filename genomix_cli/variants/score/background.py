"""Rank of a score among background scores, which are stored beside a model's weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.config import from_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.outputs import atomic_path
from genomix_cli.variants.conditions import Conditions

FILE = "background.safetensors"
#: Statistic of a background whose file does not state one.
LOGITS = "logit"
# Their key in files of one background, which say no conditions.
#: Prefix of the source of a background made by ``--save-background``; the file name follows.
SOURCE = "the variants of "
_ONLY = "logit"
#: A larger background is thinned to evenly spaced ranks.
MAX_STORED_SCORES = 100_000


@dataclass(frozen=True)
class Background:
    """Scores of background variants, assumed to have no effect.

    Attributes
    ----------
    scores : NDArray
        float32 ``[n]``, ascending: logits before calibration, or magnitudes of differences in
        activity; at most `MAX_STORED_SCORES` values.
    count : int
        Number of variants scored.
    source : str
        Short description of these variants.
    model : str
        SHA-256 of the weights that scored them.
    conditions : Conditions
        Conditions under which they were scored.
    statistic : str
        Kind of the scores: ``logit`` or ``|GENOMIX_DA|``.
    """

    scores: NDArray[np.float32]
    count: int
    source: str
    model: str
    conditions: Conditions
    statistic: str = LOGITS

    @classmethod
    def of(
        cls,
        scores: NDArray[np.float32],
        source: str,
        model: str,
        conditions: Conditions,
        statistic: str = LOGITS,
    ) -> Background:
        """Create a background from any number of scores."""
        ordered = np.sort(np.asarray(scores, np.float32))
        if len(ordered) > MAX_STORED_SCORES:
            ordered = ordered[
                np.linspace(0, len(ordered) - 1, MAX_STORED_SCORES).round().astype(np.int64)
            ]
        return cls(ordered, len(scores), source, model, conditions, statistic)

    @property
    def name(self) -> str:
        """Name of the file of its variants, by which users select it."""
        return self.source.removeprefix(SOURCE)

    def percentile(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the percentage of the background below each score; ties count half."""
        below = np.searchsorted(self.scores, scores, side="left")
        up_to = np.searchsorted(self.scores, scores, side="right")
        return 50.0 * (below + up_to) / len(self.scores)

    def phred(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return -10 log10 of the fraction of the background with at least the same score.

        10 means the top 10 %, 20 the top 1 %, as in CADD (doi:10.1038/ng.2892). The score itself
        counts as well, which keeps the highest value finite.
        """
        n = len(self.scores)
        as_high = n - np.searchsorted(self.scores, scores, side="left")
        return -10.0 * np.log10((as_high + 1) / (n + 1)) + 0.0

    def __str__(self) -> str:
        return f"{self.source}, {self.count} variants ({self.conditions})"

    def _replaces(self, other: Background) -> bool:
        if self.statistic != other.statistic or not other.conditions.agree_with(self.conditions):
            return False
        return self.source == other.source or other.conditions.tracks is None

    def save(self, folder: Path, others: Sequence[Background] = ()) -> None:
        """Write the background beside the weights in `folder`, ahead of the stored `others`.

        It replaces a background of the same variants under the same conditions, and any background
        of unknown variants.
        """
        from safetensors.numpy import save

        stored = [self, *(b for b in others if not self._replaces(b))]
        metadata = {"model": self.model}
        for number, each in enumerate(stored):
            conditions = asdict(each.conditions)
            facts = {"count": each.count, "source": each.source, "conditions": conditions}
            facts["statistic"] = each.statistic
            metadata[str(number)] = json.dumps(facts)
        with atomic_path(folder / FILE, shared=True) as draft:
            draft.write_bytes(save({str(i): b.scores for i, b in enumerate(stored)}, metadata))


def load_backgrounds(folder: Path, model: str, of_first: Conditions) -> tuple[Background, ...]:
    """Return the backgrounds of the model in `folder`, the latest first.

    Parameters
    ----------
    folder : Path
    model : str
        SHA-256 of the weights.
    of_first : Conditions
        Conditions to assume for a background of the first format, which states none: all tracks.

    Raises
    ------
    DataError
        If the file is damaged or was made with other weights.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    if not path.is_file():
        return ()
    remake = "make it again: genomix score RANDOM.vcf.gz --save-background"
    try:
        with safe_open(str(path), "np") as file:
            metadata = file.metadata()
            found = tuple(
                _background(key, file.get_tensor(key), metadata, of_first)
                for key in sorted(file.keys())
            )
    except (
        *(SafetensorError, OSError, KeyError, TypeError, ValueError, UsageError),
        *(OverflowError, RecursionError),
    ) as error:
        raise DataError("the background is damaged", where=path, hint=remake) from error
    if metadata["model"] != model:
        raise DataError("the background was made with other weights", where=path, hint=remake)
    return found


def _background(
    key: str, scores: NDArray[np.float32], metadata: Mapping[str, str], of_first: Conditions
) -> Background:
    model = metadata["model"]
    if key == _ONLY:
        return Background(scores, int(metadata["count"]), metadata["source"], model, of_first)
    facts = json.loads(metadata[key])
    conditions = from_dict(Conditions, facts["conditions"])
    statistic = str(facts.get("statistic", LOGITS))  # which the first ones do not state
    return Background(scores, int(facts["count"]), facts["source"], model, conditions, statistic)
