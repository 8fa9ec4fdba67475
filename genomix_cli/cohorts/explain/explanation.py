"""Explained samples as rows of tables: attributions, importances, and attention.

Letters in shapes: n samples, M modalities, k features that a model uses, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Floats, Samples
from genomix_cli.cohorts.explain.attribution import Attribution
from genomix_cli.cohorts.figures.reasons import SampleReasons
from genomix_cli.comparison.explanation import Explained, explained
from genomix_cli.comparison.study import Importance
from genomix_cli.genome.vcf.writer import cell

COLUMNS = (
    "sample",
    "modality",
    "feature",
    "value",
    "attribution",
    "class",
    "probability",
    "completeness_error",
)
# Number of features in a figure.
DRAWN = 20
ATTENTION_COLUMNS = ("class", "from", "to", "mean_attention", "samples")
ATTENTION_NOTE = (
    "cross-modal attention, descriptive: where the model looked, mean over the samples of a "
    "predicted class; it is no measure of importance"
)


@dataclass(frozen=True)
class Explanation:
    """Everything to be written.

    Attributes
    ----------
    samples : Samples
        The explained samples.
    predicted : NDArray
        int64 ``[n]``.
    probabilities : NDArray
        float64 ``[n, K]``: calibrated.
    attribution : Attribution
    importances : tuple of Importance
    attention : NDArray or None
        float32 ``[n, M, M]``.
    """

    samples: Samples
    predicted: NDArray[np.int64]
    probabilities: Floats
    attribution: Attribution
    importances: tuple[Importance, ...]
    attention: NDArray[np.float32] | None

    @property
    def probability(self) -> Floats:
        """Probability of the explained class, float64 ``[n]``."""
        target = self.attribution.target[:, None]
        return np.take_along_axis(self.probabilities, target, axis=1)[:, 0]

    @cached_property
    def columns(self) -> tuple[list[int], ...]:
        """Indices, per modality, of the features that the model uses."""
        columns = []
        for modality, used in zip(self.samples.modalities, self.attribution.selected, strict=True):
            index = {name: i for i, name in enumerate(modality.features)}
            columns.append([index[name] for name in used.features])
        return tuple(columns)

    def rows(self) -> tuple[Explained, ...]:
        """Return one summary per sample."""
        names, classes = self.samples.names, self.samples.classes
        return explained(names, classes, self.probability, self.attribution)


def attribution_rows(explanation: Explanation) -> Iterator[Sequence[str]]:
    """Yield the measured features of each sample, largest attribution first."""
    for i, line in enumerate(explanation.rows()):
        end = (cell(line.of_class), f"{line.probability:.6g}", f"{line.error:.3g}")
        for reason in reasons(explanation, i):
            names = (cell(line.sample), cell(reason.modality), cell(reason.feature))
            yield (*names, f"{reason.value:.6g}", f"{reason.attribution:.6g}", *end)


class Reason(NamedTuple):
    """Measured feature of a sample, and its contribution in logits."""

    modality: str
    feature: str
    value: float
    attribution: float


def reasons(explanation: Explanation, row: int) -> list[Reason]:
    """Return the measured features of a sample by the size of their attribution."""
    samples, attribution = explanation.samples, explanation.attribution
    listed = [
        Reason(used.name, used.features[j], float(values[column]), float(attributions[row, j]))
        for used, attributions, columns in zip(
            attribution.selected, attribution.values, explanation.columns, strict=True
        )
        for values in (samples.values[used.name][row],)
        for j, column in enumerate(columns)
        if np.isfinite(values[column])
    ]
    return sorted(listed, key=lambda reason: -abs(reason.attribution))


def sample_reasons(explanation: Explanation, row: int, line: Explained, note: str) -> SampleReasons:
    """Return the contents of a sample's figure; `line` is its summary, `note` names the model."""
    found = reasons(explanation, row)
    shown, rest = found[:DRAWN], found[DRAWN:]
    return SampleReasons(
        f"{line.sample}: {line.of_class}, p = {line.probability:.3f}",
        note,
        [modality.name for modality in explanation.samples.modalities],
        shown,
        len(rest),
        sum(reason.attribution for reason in rest),
        None if explanation.attention is None else explanation.attention[row],
    )


def summary_table(
    importances: Sequence[Importance],
) -> tuple[Sequence[str], str, Iterable[Sequence[str]]]:
    """Return columns, note and rows, with drivers if they are known."""
    columns = ("modality", "feature", "mean_abs_attribution", "driver")
    n = 4 if any(each.driver is not None for each in importances) else 3
    rows = (
        (
            cell(each.modality),
            cell(each.feature),
            f"{each.importance:.6g}",
            "" if each.driver is None else str(int(each.driver)),
        )[:n]
        for each in importances
    )
    return columns[:n], "", rows


def attention_rows(explanation: Explanation) -> Iterator[Sequence[str]]:
    """Yield the mean attention of each predicted class between modalities that its samples have.

    The mean is over the samples that have the modality it comes from.
    """
    if explanation.attention is None:
        return
    names = [modality.name for modality in explanation.samples.modalities]
    for k in np.unique(explanation.predicted):
        of_class = explanation.predicted == k
        mean, counts = mean_attention(explanation, of_class)
        for i, count in enumerate(counts):
            for j, end in enumerate(names if count else ()):
                share = f"{mean[i, j]:.6g}"
                yield (explanation.samples.classes[k], names[i], end, share, str(count))


def mean_attention(
    explanation: Explanation, chosen: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the mean attention of some samples ``[n]``, and the samples that it is a mean of.

    Returns
    -------
    mean : NDArray
        float64 ``[M, M]``, from each modality (row) to each; NaN where no sample has the row's. A
        modality that a sample lacks receives no attention.
    counts : NDArray
        int64 ``[M]``: samples that have each modality.
    """
    assert explanation.attention is not None
    total = np.nan_to_num(explanation.attention[chosen].astype(np.float64)).sum(0)
    counts = explanation.samples.present[chosen].sum(0)
    blank = np.full(total.shape, np.nan)
    return np.divide(total, counts[:, None], out=blank, where=counts[:, None] > 0), counts
