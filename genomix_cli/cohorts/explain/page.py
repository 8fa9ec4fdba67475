"""HTML page of explained samples: a row per sample that opens the evidence for its class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.explain.attribution import driver_auprc
from genomix_cli.cohorts.explain.explanation import (
    DRAWN,
    Explanation,
    Reason,
    mean_attention,
    reasons,
    sample_reasons,
)
from genomix_cli.cohorts.figures.reasons import draw_features, draw_modalities, figure_of
from genomix_cli.cohorts.requests import ExplainRequest
from genomix_cli.comparison.explanation import Explained
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.report.canvas import style
from genomix_cli.report.explained import (
    Contents,
    class_cards,
    drawn,
    ranked_classes,
    surest,
    write_explained,
)
from genomix_cli.report.page import Card

# Number of features to name on each side, for a sample and for a class.
OF_SAMPLE, OF_CLASS = 2, 3


class Row(NamedTuple):
    """One sample of the page.

    Attributes
    ----------
    place : int
        Position of the sample in the file.
    explained : Explained
    classes : tuple of (str, float)
        The most probable classes with their probabilities.
    speaks_for, against : tuple of Reason
        Features that support and oppose the class, largest first.
    source : str
        Source of the image.
    """

    place: int
    explained: Explained
    classes: tuple[tuple[str, float], ...]
    speaks_for: tuple[Reason, ...]
    against: tuple[Reason, ...]
    source: str


class Rests(NamedTuple):
    """A class, with its features by mean attribution over its samples.

    Attributes
    ----------
    name : str
    samples : int
    probability : float
        Mean probability over these samples.
    speaks_for, against : tuple of Reason
        Mean value and attribution of each feature, largest first.
    shares : tuple of float
        Share of each modality in the magnitude of the attribution.
    """

    name: str
    samples: int
    probability: float
    speaks_for: tuple[Reason, ...]
    against: tuple[Reason, ...]
    shares: tuple[float, ...]


def write_page(
    explanation: Explanation, model: str, made: Provenance, request: ExplainRequest
) -> None:
    """Write the page of explained samples; `model` is the name of the run.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    assert request.report is not None
    lines = explanation.rows()
    with style():
        rows = [
            _row(explanation, i, lines[i], model)
            for i in track(surest(explanation.probability), "drawing")
        ]
    classes = list(_classes(explanation, lines))
    names = [modality.name for modality in explanation.samples.modalities]
    attention = None
    if explanation.attention is not None:
        attention, _ = mean_attention(explanation, np.ones(len(lines), bool))
    first = explanation.importances[0]
    contents = Contents(
        *(request.cohort.name, model, "sample", len(lines), request.output.name),
        headline=(
            f"The most influential feature is {first.feature} ({first.modality}): its mean "
            f"absolute attribution is {first.importance:.2f} logits."
        ),
        cards=list(_cards(explanation, lines)),
        errors=[row.explained.error for row in rows],
    )
    with style():
        write_explained(
            "samples.html.j2",
            request.report,
            contents,
            rows,
            made,
            classes=classes,
            features=draw_features(explanation.importances, names, DRAWN),
            drivers=driver_auprc(explanation.importances),
            modalities=draw_modalities({c.name: c.shares for c in classes}, names, attention),
            attends=attention is not None,
        )


def _row(explanation: Explanation, i: int, line: Explained, model: str) -> Row:
    found = reasons(explanation, i)
    picture = figure_of(sample_reasons(explanation, i, line, model))
    classes = ranked_classes(explanation.samples.classes, explanation.probabilities[i])
    return Row(i, line, classes, *_sides(found, OF_SAMPLE), drawn(picture))


def _sides(found: Sequence[Reason], most: int) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """Return the first `most` features that support a class, and the first that oppose it."""
    speaks_for = [each for each in found if each.attribution > 0]
    against = [each for each in found if each.attribution < 0]
    return tuple(speaks_for[:most]), tuple(against[:most])


def _classes(explanation: Explanation, lines: Sequence[Explained]) -> Iterator[Rests]:
    """Yield a summary of the evidence for each explained class, in the order of the classes."""
    attribution = explanation.attribution
    for k in np.unique(attribution.target):
        of_class = attribution.target == k
        sizes = [np.abs(values[of_class]).sum() for values in attribution.values]
        total = sum(sizes) or 1.0
        yield Rests(
            explanation.samples.classes[k],
            int(of_class.sum()),
            float(explanation.probability[of_class].mean()),
            *_sides(_means(explanation, of_class), OF_CLASS),
            tuple(float(size / total) for size in sizes),
        )


def _means(explanation: Explanation, chosen: NDArray[np.bool_]) -> list[Reason]:
    """Return the mean attribution of each feature over some samples, largest first."""
    found = []
    for used, values in zip(
        explanation.attribution.selected, explanation.attribution.values, strict=True
    ):
        means = values[chosen].mean(0)
        found += [
            Reason(used.name, feature, np.nan, float(mean))
            for feature, mean in zip(used.features, means, strict=True)
        ]
    return sorted(found, key=lambda each: -abs(each.attribution))


def _cards(explanation: Explanation, lines: Sequence[Explained]) -> Iterator[Card]:
    yield from class_cards("sample", lines)
    first = explanation.importances[0]
    yield Card(
        "Most influential feature",
        first.feature,
        f"{first.modality}; mean |attribution| {first.importance:.2f} logits",
    )
    sizes = [np.abs(values).sum() for values in explanation.attribution.values]
    most = int(np.argmax(sizes))
    if len(sizes) > 1 and sizes[most] > 0:
        share = sizes[most] / sum(sizes)
        name = explanation.samples.modalities[most].name
        yield Card("Most influential modality", name, f"{share:.0%} of the attribution")
    for name, (auprc, chance) in driver_auprc(explanation.importances).items():
        yield Card(f"Drivers found, {name}", f"{auprc:.3f}", f"AUPRC; {chance:.3f} by chance")
