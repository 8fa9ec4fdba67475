"""Classes of items by a trained classifier: a row per item, in the order of the file.

Letters: n items (samples, sequences), K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.classifier import Classifier
from genomix_cli.comparison.held_out import SEEN
from genomix_cli.comparison.study import Floats
from genomix_cli.comparison.tables import write_json
from genomix_cli.formats.seen import Items, read_seen
from genomix_cli.genome.parquet import Column
from genomix_cli.genome.vcf.writer import Format, cell, open_output
from genomix_cli.learning.calibration import at_temperature
from genomix_cli.learning.conformal import prediction_sets
from genomix_cli.learning.finite import finite
from genomix_cli.progress import Progress
from genomix_cli.provenance import Provenance

log = logging.getLogger("genomix")

SAMPLE = Column("sample", "str")

# Between the classes of a prediction set.
AND = ","
MAX_NAMED = 3


class Table(NamedTuple):
    """Columns, and rows of cells."""

    columns: list[Column]
    rows: Iterable[tuple[str, ...]]


class Scores(NamedTuple):
    """Predictions of a classifier.

    Attributes
    ----------
    probability : NDArray
        float64 ``[n, K]``, calibrated; NaN for an item of which nothing is known.
    sets : NDArray
        bool ``[n, K]``: conformal prediction sets; empty for such an item.
    """

    probability: Floats
    sets: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """True for items that could be scored ``[n]``."""
        return np.isfinite(self.probability[:, 0])

    @property
    def abstains(self) -> NDArray[np.bool_]:
        """True for items whose set is not a single class ``[n]``."""
        return np.asarray(self.sets.sum(1) != 1, bool)

    def predicted(self, classes: Sequence[str]) -> dict[str, int]:
        """Return the number of scored items of each predicted class."""
        counts = np.bincount(self.probability[self.known].argmax(1), minlength=len(classes))
        return dict(zip(classes, map(int, counts), strict=True))

    @property
    def abstained(self) -> int:
        """Number of scored items whose set is not a single class."""
        return int(self.abstains[self.known].sum())


@dataclass(frozen=True)
class Calibrated:
    """A trained classifier with what was learned on items that it had not seen.

    Attributes
    ----------
    model : Classifier
    temperature : float
        Divisor of the logits.
    thresholds : sequence of float
        Thresholds of the prediction sets, one per class.
    """

    model: Classifier[Any]
    temperature: float
    thresholds: Sequence[float]

    def probability(self, inputs: Any) -> Floats:
        """Return calibrated probabilities ``[n, K]``; raise GenomixError if one is no number."""
        p = at_temperature(self.model.log_probability(inputs), self.temperature)
        return finite(p, "a probability")

    def sets(self, probability: Floats) -> NDArray[np.bool_]:
        """Return the prediction sets bool ``[n, K]``."""
        return prediction_sets(probability, self.thresholds)

    def score(
        self,
        known: NDArray[np.bool_],
        take: Callable[[NDArray[np.intp]], Any],
        size: int,
        items: str,
    ) -> Scores:
        """Score items in bounded batches.

        Parameters
        ----------
        known : NDArray
            bool ``[n]``: items to score.
        take : callable
            Rows to the inputs of the model.
        size : int
            Number of items of a batch.
        items : str
            Name of the items, for the progress.
        """
        p = np.full((len(known), len(self.thresholds)), np.nan)
        for rows in batches(known, size, items):
            p[rows] = self.probability(take(rows))
        # No comparison with NaN is true: the set of an item that is not known is empty.
        return Scores(p, self.sets(p))


def batches(known: NDArray[np.bool_], size: int, items: str) -> Iterator[NDArray[np.intp]]:
    """Yield rows that are known, `size` at a time, and show progress."""
    rows = np.flatnonzero(known)
    with Progress("scoring", len(rows), items) as progress:
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            yield batch
            progress.advance(len(batch))


def class_table(names: NDArray[Any], classes: Sequence[str], scores: Scores) -> Table:
    """Return a row per item: predicted class, probabilities, prediction set, and abstention."""
    columns = [
        SAMPLE,
        Column("predicted", "str"),
        *(Column(f"p:{cell(name)}", "float") for name in classes),
        Column("set", "str"),
        Column("abstain", "int"),
    ]
    known, abstains = scores.known, scores.abstains

    def rows() -> Iterator[tuple[str, ...]]:
        for i, name in enumerate(names):
            p = scores.probability[i]
            yield (
                cell(name),
                classes[int(p.argmax())] if known[i] else "",
                *(f"{value:.6g}" if known[i] else "" for value in p),
                listed(classes, scores.sets[i]),
                str(int(abstains[i])),
            )

    return Table(columns, rows())


def seen_parts(
    folder: Path, known: NDArray[np.bool_], items: Callable[[], Items]
) -> NDArray[np.str_] | None:
    """Return the part of training in which a run's model has seen each item, str ``[n]``.

    It is empty for items that are not `known`, so not scored. None if the model does not say.
    """
    seen = read_seen(folder)
    return None if seen is None else np.where(known, seen.parts(items()), "")


def with_seen(table: Table, part: NDArray[np.str_] | None) -> Table:
    """Add the part of training in which the model has seen each item, if it says so."""
    if part is None:
        return table
    rows = ((*row, str(seen)) for row, seen in zip(table.rows, part, strict=True))
    return Table([*table.columns, Column(SEEN, "str")], rows)


def listed(names: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    """Return the chosen names as a cell."""
    return AND.join(name for name, here in zip(names, chosen, strict=True) if here)


def write_table(table: Table, path: Path, form: Format, made: Provenance) -> None:
    """Write a table and how it was made as TSV or Parquet."""
    with open_output(path, form, columns=table.columns) as out:
        out.lines(made.lines())
        out.lines(["\t".join(column.name for column in table.columns)])
        out.lines("\t".join(row) for row in table.rows)


def warn_unscored(names: NDArray[Any], where: object, reason: str, item: str) -> None:
    """Warn of items that were not scored, if there are any; `reason` ends in "of"."""
    if len(names):
        some = ", ".join(map(str, names[:MAX_NAMED])) + (", ..." if len(names) > MAX_NAMED else "")
        count = f"{len(names):,} {item}{'s' if len(names) > 1 else ''}"
        log.warning("%s: %s %s (%s); not scored", where, reason, count, some)


def write_stats(path: Path, summary: Any, made: Provenance) -> None:
    """Write a summary as JSON, NaN as null, with provenance."""
    write_json({**asdict(summary), "provenance": made.to_dict()}, path, force=True)
