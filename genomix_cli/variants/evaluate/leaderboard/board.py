"""Comparison of the entrants of one dataset: distances from the leader, or from a reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from genomix_cli.comparison.bootstrap import to_codes
from genomix_cli.comparison.intervals import interval_of
from genomix_cli.errors import DataError, UsageError
from genomix_cli.variants.evaluate.leaderboard.evaluations import Evaluation, Row
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Judge, Measure, Truth
from genomix_cli.variants.evaluate.suite.results import Metrics
from genomix_cli.variants.requests.evaluate import LeaderboardRequest

#: Controls shown for the first model of each evaluation.
CONTROLS = ("variant_removed", "alleles_swapped", "tracks_withheld", "tracks_shuffled")
# Predictions are written with six digits.
_ROUNDING = 2e-3


@dataclass(frozen=True)
class Board:
    """Leaderboard table of one dataset.

    Attributes
    ----------
    data : str
        Name of the shard.
    main : str
        Name of the metric that ranks entrants.
    reference : str
        Name of the entrant that the others are compared with.
    leads : bool
        True if the reference is the leader, which was chosen on the test part.
    rows : tuple of Row
        Sorted by distance behind the reference; a leading reference comes first.
    ceiling : dict of str to Interval
    variants, positives, effects : int
    contigs : tuple of str
    units : str
    n_units, draws : int
        Number of resampling units and of draws behind the differences from the reference.
    notes : tuple of str
    """

    data: str
    main: str
    reference: str
    leads: bool
    rows: tuple[Row, ...]
    ceiling: Metrics
    variants: int
    positives: int
    effects: int
    contigs: tuple[str, ...]
    units: str
    n_units: int
    draws: int
    notes: tuple[str, ...]

    @property
    def measures(self) -> list[str]:
        """Names of the metrics that any row has, in their usual order."""
        return [name for name in MEASURES if any(name in row.metrics for row in self.rows)]

    @property
    def controls(self) -> list[str]:
        """Names of the controls that any row has."""
        return [name for name in CONTROLS if any(name in row.controls for row in self.rows)]

    def row(self, name: str) -> Row | None:
        """Return the row of an entrant; None if it is not on the board."""
        return next((row for row in self.rows if row.name == name), None)


def compare(found: Sequence[Evaluation], request: LeaderboardRequest) -> Board:
    """Return the leaderboard of a dataset, from evaluations of the same variants.

    Raises
    ------
    UsageError
        If the requested reference does not exist.
    DataError
        If the stored predictions and metrics of an evaluation disagree.
    """
    first, rows = found[0], _merged(found)
    main, truth = first.main, _truth(first.truth)
    _check_predictions(rows, main, Judge.of(truth, 0, request.seed))
    judge = Judge.of(truth, request.draws, request.seed)
    whole = max(row.n for row in rows)
    leader = max((r for r in rows if r.n == whole), key=lambda r: r.metrics[main].value)
    reference = _reference(rows, request.reference, first) if request.reference else leader
    leads = reference is leader
    behind = sorted(
        _behind(rows, reference, judge, MEASURES[main]),
        key=lambda row: (
            leads and row.name != leader.name,
            np.nan_to_num(row.behind.value, nan=np.inf),
        ),
    )
    labels = truth.label[np.isfinite(truth.label)]
    return Board(
        data=first.data,
        main=main,
        reference=reference.name,
        leads=leads,
        rows=tuple(behind),
        ceiling=first.ceiling,
        variants=len(first.truth),
        positives=int((labels > 0.5).sum()),
        effects=int(np.isfinite(truth.effect).sum()),
        contigs=tuple(dict.fromkeys(first.truth["contig"])),
        units=judge.unit_name,
        n_units=judge.bootstrap.n_units,
        draws=judge.bootstrap.draws,
        notes=tuple(dict.fromkeys(note for each in found for note in each.notes)),
    )


def _check_predictions(rows: Sequence[Row], main: str, judge: Judge) -> None:
    """Refuse an evaluation whose predictions do not have the main metric that it states."""
    for row in rows:
        again = judge.interval(MEASURES[main], row.score).value
        if not abs(again - row.metrics[main].value) < _ROUNDING:
            raise DataError(
                f"predictions.tsv and metrics.json disagree on {row.name}",
                where=row.reports[0],
                expected=f"{MEASURES[main].title} {row.metrics[main].value:.4f}",
                found=f"{again:.4f}",
                hint="evaluate again",
            )


def _behind(rows: Sequence[Row], reference: Row, judge: Judge, measure: Measure) -> Iterator[Row]:
    """Yield the rows with their distance behind the reference."""
    known = np.isfinite(reference.score)
    ahead = judge.replicates(measure, reference.score, known)
    for row in rows:
        both = known & np.isfinite(row.score)
        # Draw again only for a row that lacks some of the variants.
        own = ahead if (both == known).all() else judge.replicates(measure, reference.score, both)
        less = interval_of(own - judge.replicates(measure, row.score, both))
        yield replace(row, behind=less)


def _merged(found: Sequence[Evaluation]) -> list[Row]:
    """Merge entrants that are the same in several evaluations; give others distinct names."""
    rows: list[Row] = []
    for row in (row for each in found for row in each.rows):
        same = next(
            (
                i
                for i, r in enumerate(rows)
                if (r.name, r.kind) == (row.name, row.kind)
                and np.array_equal(r.score, row.score, equal_nan=True)
            ),
            None,
        )
        if same is None:
            rows.append(row)
        else:
            rows[same] = rows[same].joined(row)
    names = [row.name for row in rows]
    return [
        row if names.count(row.name) == 1 else replace(row, name=f"{row.name} ({row.reports[0]})")
        for row in rows
    ]


def _reference(rows: Sequence[Row], name: str, first: Evaluation) -> Row:
    """Return the entrant that the user named."""
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        raise UsageError(
            f"no entrant {name!r} on {first.data}",
            where="--reference",
            expected=" or ".join(row.name for row in rows),
        )
    return found


def _truth(table: pd.DataFrame) -> Truth:
    """Return labels and effects as a `Truth`, without groups and true probabilities."""
    pos, label, effect = (pd.to_numeric(table[name]) for name in ("pos", "label", "effect"))
    nothing = np.zeros(len(table), np.int64)
    return Truth(
        to_codes(table["contig"]),
        pos.to_numpy(np.int64) - 1,
        label.to_numpy(np.float64),
        effect.to_numpy(np.float64),
        nothing,
        nothing.astype(np.float64),
    )
