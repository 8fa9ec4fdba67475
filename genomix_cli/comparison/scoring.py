"""Score items with a trained classifier: one row per item, in the order of the file.

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

from genomix_cli.comparison.calibrations import Calibration, Scores, calibrated
from genomix_cli.comparison.classifier import Classifier
from genomix_cli.comparison.held_out import SEEN
from genomix_cli.comparison.tables import write_json
from genomix_cli.comparison.words import count
from genomix_cli.errors import first_few
from genomix_cli.formats.seen import Items, read_seen
from genomix_cli.genome.parquet import Column
from genomix_cli.genome.vcf.writer import Format, cell, open_output
from genomix_cli.learning.finite import finite
from genomix_cli.progress import Progress
from genomix_cli.provenance import Provenance

log = logging.getLogger("genomix")

SAMPLE = Column("sample", "str")

# Separator between the classes of a prediction set.
AND = ","
MAX_NAMED = 3


class Table(NamedTuple):
    """Columns and rows of text cells, and a note for the header."""

    columns: list[Column]
    rows: Iterable[tuple[str, ...]]
    note: str = ""


@dataclass(frozen=True)
class Calibrated:
    """A trained classifier with its calibrations.

    Attributes
    ----------
    model : Classifier
    calibrations : tuple of Calibration
        The calibration of the largest group of items first.
    """

    model: Classifier[Any]
    calibrations: tuple[Calibration, ...]

    def measured(self, inputs: Any) -> NDArray[np.bool_]:
        """Return the measured modalities that select a calibration, bool ``[n, M]``."""
        return np.ones((len(inputs), 1), bool)

    def predict(self, inputs: Any) -> Scores:
        """Return probabilities and prediction sets.

        Raises
        ------
        GenomixError
            If a probability is not finite.
        """
        log_p = self.model.log_probability(inputs)
        scores = calibrated(log_p, self.measured(inputs), self.calibrations)
        finite(scores.probability, "a probability")
        return scores

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
            Function that takes rows and returns inputs of the model.
        size : int
            Number of items in a batch.
        items : str
            Plural noun for the items, shown with the progress.
        """
        shape = len(known), len(self.calibrations[0].thresholds)
        p, sets, holds = np.full(shape, np.nan), np.zeros(shape, bool), np.zeros(shape[0], bool)
        for rows in batches(known, size, items):
            p[rows], sets[rows], holds[rows] = self.predict(take(rows))
        return Scores(p, sets, holds)


def batches(known: NDArray[np.bool_], size: int, items: str) -> Iterator[NDArray[np.intp]]:
    """Yield the rows where `known` is True, `size` at a time, and show progress."""
    rows = np.flatnonzero(known)
    with Progress("scoring", len(rows), items) as progress:
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            yield batch
            progress.advance(len(batch))


def class_table(names: NDArray[Any], classes: Sequence[str], scores: Scores) -> Table:
    """Return one row per item: predicted class, probabilities, prediction set, abstention."""
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

    It is empty for items that are not `known`, which are not scored. Return None if the run does
    not record it.
    """
    seen = read_seen(folder)
    return None if seen is None else np.where(known, seen.parts(items()), "")


def with_seen(table: Table, part: NDArray[np.str_] | None) -> Table:
    """Return the table with a column for the part of training that saw each item, if known."""
    if part is None:
        return table
    rows = ((*row, str(seen)) for row, seen in zip(table.rows, part, strict=True))
    return Table([*table.columns, Column(SEEN, "str")], rows, table.note)


def listed(names: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    """Return the chosen names joined in one cell."""
    return AND.join(name for name, here in zip(names, chosen, strict=True) if here)


def write_table(table: Table, path: Path, form: Format, made: Provenance) -> None:
    """Write a table with its provenance as TSV or Parquet."""
    with open_output(path, form, columns=table.columns) as out:
        out.lines(made.lines(*([("Note", table.note)] if table.note else [])))
        out.lines(["\t".join(column.name for column in table.columns)])
        out.lines("\t".join(row) for row in table.rows)


def warn_unscored(names: NDArray[Any], where: object, reason: str, item: str) -> None:
    """Warn about items that were not scored, if any; `reason` ends in "of"."""
    if len(names):
        some = first_few(names, MAX_NAMED)
        log.warning("%s: %s %s (%s); not scored", where, reason, count(len(names), item), some)


def write_stats(path: Path, summary: Any, made: Provenance) -> None:
    """Write a summary with its provenance as JSON, NaN as null."""
    write_json({**asdict(summary), "provenance": made.to_dict()}, path, force=True)
