"""Integrated Gradients of classifiers: the parts that cohorts and sequences share."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats
from genomix_cli.errors import CheckError, MissingExtraError, UsageError
from genomix_cli.genome.tables import unknown_name
from genomix_cli.learning.finite import finite
from genomix_cli.provenance import Provenance
from genomix_cli.registry import Registry

log = logging.getLogger("genomix")

#: Initial and largest number of steps along a path; doubled while attributions are incomplete.
STEPS, MOST_STEPS = 64, 1024
#: Largest accepted completeness error, as a fraction of the change of the logit.
TOLERANCE = 0.01
# Changes below this (in logits) are replaced by it, since dividing by a change near 0 is void.
SMALLEST_CHANGE = 0.1


class Explained(NamedTuple):
    """Summary of one explained sample or sequence.

    Attributes
    ----------
    sample, of_class : str
    probability : float
        Calibrated probability of the class.
    change : float
        Logit of the class minus its logit at the baseline.
    error : float
        Completeness error, as a fraction of `change`.
    """

    sample: str
    of_class: str
    probability: float
    change: float
    error: float

    @property
    def completeness(self) -> tuple[str, float]:
        """Name and completeness error, for :func:`check_complete`."""
        return f"{self.sample} ({self.of_class})", self.error


def step_counts(steps: int) -> Iterator[int]:
    """Yield the numbers of steps to try until the attributions of a path are complete."""
    yield steps
    while (steps := 2 * steps) <= MOST_STEPS:
        yield steps


def completeness_error(total: Floats, change: Floats) -> Floats:
    """Return |total - change| / max(|change|, 0.1) for each sample.

    Raises
    ------
    GenomixError
        If a value is not finite.
    """
    missed: Floats = np.abs(finite(total, "an attribution") - finite(change, "a logit"))
    return missed / np.maximum(np.abs(change), SMALLEST_CHANGE)


def explained(
    names: NDArray[Any], classes: Sequence[str], probability: Floats, attribution: Any
) -> tuple[Explained, ...]:
    """Return one summary per sample; `attribution` has the fields target, change and error."""
    columns = (names, attribution.target, probability, attribution.change, attribution.error)
    return tuple(
        Explained(str(name), classes[k], float(p), float(change), float(error))
        for name, k, p, change, error in zip(*columns, strict=True)
    )


def check_complete(
    errors: Sequence[tuple[str, float]], what: str, steps: int, *, allow: bool
) -> None:
    """Refuse attributions of `what` that do not add up to the change of their logit.

    Parameters
    ----------
    errors : sequence of (name, completeness error)
    what : str
        Plural noun for the message, such as ``samples``.
    steps : int
        Number of steps that the user asked for.
    allow : bool
        Warn instead of raising.

    Raises
    ------
    CheckError
        If a completeness error is above `TOLERANCE` and `allow` is False.
    """
    failed = [(name, error) for name, error in errors if not error <= TOLERANCE]
    if not failed:
        return
    where, worst = max(failed, key=lambda each: each[1])
    most = list(step_counts(steps))[-1]
    problem = CheckError(
        f"the attributions of {len(failed)} of {len(errors)} {what} do not sum to "
        f"the change in logit, even with {most:,} steps",
        where=where,
        expected=f"a completeness error of at most {TOLERANCE:.0%}",
        found=f"{worst:.2%}",
        hint=None
        if allow
        else f"the outputs are written; try --steps {4 * most}, or --allow-incomplete",
    )
    if not allow:
        raise problem
    log.warning("%s", problem)


def class_index(name: str | None, classes: tuple[str, ...], model: object) -> int | None:
    """Return the index of the class to explain; None to explain each sample's predicted class."""
    if name is None:
        return None
    if name not in classes:
        raise unknown_name(name, classes, what="class", where=model, option="--class")
    return classes.index(name)


def rows_of(
    names: NDArray[Any],
    selected: Sequence[str],
    most: int | None,
    *,
    what: str,
    where: object,
    option: str,
) -> NDArray[np.intp]:
    """Return the rows of selected names, by default all, in the order of the file.

    If there are more than `most`, return evenly spaced ones, since a file may be sorted by class.
    """
    row_of = {str(name): i for i, name in enumerate(names)}
    for name in selected:
        if name not in row_of:
            raise unknown_name(name, list(row_of), what=what, where=where, option=option)
    rows = np.array(sorted({row_of[name] for name in selected or row_of}))
    if most is None or len(rows) <= most:
        return rows
    text = "explaining %d of %s %ss, evenly through the file; see --max-%ss"
    log.info(text, most, f"{len(rows):,}", what, what)
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.intp)]


def no_gradients(name: str, where: object, registry: Registry) -> UsageError:
    """Return the error for a model without gradients, naming models that have them."""
    others = []
    for other in registry:
        # A model whose extra is not installed cannot be asked.
        with suppress(ImportError, MissingExtraError):
            if other != name and registry.load(other).has_gradient():
                others.append(other)
    return UsageError(
        f"{name} has no gradients, which attributions need",
        where=where,
        expected=f"a run of {' or '.join(others)}",
    )


def write_table(
    path: Path,
    provenance: Provenance,
    columns: Sequence[str],
    note: str,
    rows: Iterable[Sequence[str]],
) -> None:
    """Write a TSV headed by its provenance and a note."""
    lines = provenance.lines(*([("Note", note)] if note else []))
    with path.open("w") as handle:
        handle.writelines(f"{line}\n" for line in lines)
        handle.writelines("\t".join(row) + "\n" for row in (columns, *rows))
