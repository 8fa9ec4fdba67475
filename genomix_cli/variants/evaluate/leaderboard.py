"""Leaderboard: the entrants of several evaluations of the same variants in one table.

Evaluations on several shards get one table per shard, all on one page.

Letters: n variants.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genomix_cli.comparison.bootstrap import to_codes
from genomix_cli.comparison.intervals import (
    COMPARES,
    LEVEL,
    NAN,
    FloatArray,
    Interval,
    interval_of,
)
from genomix_cli.comparison.tables import plain, write_rows
from genomix_cli.errors import CheckError, DataError, UsageError, guarded
from genomix_cli.genome.tables import open_table
from genomix_cli.provenance import Provenance, atomic_path, check_folder
from genomix_cli.report.canvas import style
from genomix_cli.report.page import Card, write_page
from genomix_cli.variants.evaluate.suite import figures
from genomix_cli.variants.evaluate.suite.files import FORMAT as EVALUATION
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Judge, Truth
from genomix_cli.variants.evaluate.suite.results import Metrics, said, verdict
from genomix_cli.variants.requests import LeaderboardRequest

log = logging.getLogger("genomix")

FORMAT = "genomix-leaderboard"
#: Controls shown for the first model of each evaluation.
CONTROLS = ("variant_removed", "alleles_swapped", "tracks_withheld", "tracks_shuffled")
_ALLELE = ["contig", "pos", "ref", "alt", "tissue"]
_TRUTH = [*_ALLELE, "label", "effect"]
# Largest number of contigs to name.
_FEW = 8
# Role of the shard in the provenance of an evaluation.
_SHARD = "shard "
# Predictions are written with six digits.
_ROUNDING = 2e-3


@dataclass(frozen=True)
class Row:
    """Entrant on a leaderboard.

    Attributes
    ----------
    name, kind, note : str
    reports : tuple of str
        Evaluations that contain the entrant.
    n : int
        Variants with a score.
    metrics, controls : dict of str to Interval
        Metrics by name, and the main metric under each control; controls are empty for all but
        first models.
    parameters, seconds : float or None
    score : NDArray
        float64 ``[n]``; NaN where missing.
    behind : Interval
        Main metric of the reference (by default the leader) minus that of this entrant, paired, on
        the variants that both have scored.
    """

    name: str
    kind: str
    note: str
    reports: tuple[str, ...]
    n: int
    metrics: Metrics
    controls: Metrics
    parameters: int | None
    seconds: float | None
    score: FloatArray = field(repr=False)
    behind: Interval = NAN

    def joined(self, other: Row) -> Row:
        """Return the merged row of an entrant that occurs in two evaluations."""
        return replace(
            self,
            reports=(*self.reports, *other.reports),
            controls=self.controls or other.controls,
        )


class Evaluation(NamedTuple):
    """Contents of a report folder.

    Attributes
    ----------
    name : str
    path : Path
    data : str
        Name of the shard's file, without its suffix.
    digest : str
        SHA-256 of the shard.
    main : str
        Name of the metric that ranks entrants.
    truth : DataFrame
        One row of text per variant.
    rows : list of Row
    ceiling : dict of str to Interval
    notes : list of str
    """

    name: str
    path: Path
    data: str
    digest: str
    main: str
    truth: pd.DataFrame
    rows: list[Row]
    ceiling: Metrics
    notes: list[str]


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


def make_leaderboard(request: LeaderboardRequest) -> tuple[Board, ...]:
    """Join evaluations of the same variants, and write the page and its tables.

    Returns
    -------
    tuple of Board
        One board per shard, in the order given.

    Raises
    ------
    UsageError
        If an evaluation is given twice, the reference does not exist, or the output exists.
    DataError
        If a folder is not an evaluation, or is damaged.
    CheckError
        If evaluations of a shard differ in their variants, labels or main metric.
    MissingExtraError
        If matplotlib is not installed.
    """
    request.check()
    check_folder(request.output, "leaderboard.json", FORMAT, "a leaderboard", force=request.force)
    with style():  # fail early if matplotlib is missing
        pass
    names = _names(request.reports)
    found = [_read(path, name) for path, name in zip(request.reports, names, strict=True)]
    boards = tuple(_compare(each, request) for each in _datasets(found))
    inputs = {e.name: e.path / "metrics.json" for e in found}
    settings = {"reports": names, "draws": request.draws, "seed": request.seed}
    settings |= {"reference": request.reference} if request.reference else {}
    notes = tuple(dict.fromkeys(note for board in boards for note in board.notes))
    made = Provenance.of(settings, inputs, request.seed, warnings=notes)
    with atomic_path(request.output, force=request.force) as folder:
        folder.mkdir()
        _write(boards, made, folder)
    log.info(headlines(boards))
    return boards


def _datasets(found: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Group evaluations of the same variants; evaluations get distinct names.

    Raises
    ------
    CheckError
        If two evaluations of a shard differ in variants or labels, or two evaluations of the same
        variants differ in their main metric.
    """
    datasets: list[list[Evaluation]] = []
    for each in found:
        own = next(
            (d for d in datasets if d[0].digest == each.digest or d[0].truth.equals(each.truth)),
            None,
        )
        if own is None:
            datasets.append([each])
        else:
            _refuse_other_data(own[0], each)
            own.append(each)
    names = [dataset[0].data for dataset in datasets]
    return [
        dataset
        if names.count(name) == 1
        else [dataset[0]._replace(data=f"{name} ({dataset[0].name})"), *dataset[1:]]
        for name, dataset in zip(names, datasets, strict=True)
    ]


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the names of the folders, or whole paths where names would clash."""
    names = [path.resolve().name for path in paths]
    return [n if names.count(n) == 1 else str(p) for n, p in zip(names, paths, strict=True)]


def _read(path: Path, name: str) -> Evaluation:
    with guarded(path / "metrics.json"):
        said = json.loads((path / "metrics.json").read_text())
    if not isinstance(said, dict) or said.get("format") != EVALUATION:
        hint = "make one: genomix evaluate SHARD.h5 -m RUN -o REPORT"
        raise DataError("is not an evaluation of models on a shard", where=path, hint=hint)
    with open_table(path / "predictions.tsv", comment="##") as text:
        table = text.frame()
    timing = path / "timing.json"
    with guarded(path):
        seconds = json.loads(timing.read_text()) if timing.is_file() else {}
        truth = table[_TRUTH]
        main = str(said["main_metric"])
        controls = {key: _interval(c[main]) for key, c in said["controls"].items()}
        rows = [
            Row(
                **{key: each[key] for key in ("name", "kind", "note")},
                reports=(name,),
                n=each["variants"],
                metrics=_intervals(each["metrics"]),
                controls=controls if i == 0 else {},
                parameters=each.get("parameters"),
                seconds=seconds.get(each["name"]),
                score=pd.to_numeric(table[each["name"]]).to_numpy(np.float64),
            )
            for i, each in enumerate(said["entrants"])
        ]
        ceiling = _intervals(said["ceiling"])
        notes = [f"{name}: {note}" for note in said["notes"]]
        inputs = said["provenance"]["inputs"].items()
        file, digest = next((k[len(_SHARD) :], v) for k, v in inputs if k.startswith(_SHARD))
    return Evaluation(name, path, Path(file).stem, digest, main, truth, rows, ceiling, notes)


def _interval(said: dict[str, float | None]) -> Interval:
    ends = (said[key] for key in Interval._fields)
    return Interval(*(float("nan") if value is None else value for value in ends))


def _intervals(said: dict[str, Any]) -> Metrics:
    return {name: _interval(each) for name, each in said.items() if name in MEASURES}


def _refuse_other_data(first: Evaluation, other: Evaluation) -> None:
    """Refuse an evaluation with other variants, labels or main metric."""
    if first.main != other.main:
        raise CheckError(
            f"was evaluated by a different metric than {first.name}",
            where=other.path,
            expected=MEASURES[first.main].title,
            found=MEASURES[other.main].title,
        )
    one, two = (list(e.truth.itertuples(index=False, name=None)) for e in (first, other))
    if one == two:
        return
    what, expected, found = "other variants", f"{len(one):,} variants", f"{len(two):,}"
    if len(one) == len(two):
        a, b = next((a, b) for a, b in zip(one, two, strict=True) if a != b)
        what = "other labels" if a[: len(_ALLELE)] == b[: len(_ALLELE)] else what
        expected, found = (" ".join(filter(None, map(str, row))) for row in (a, b))
    raise CheckError(
        f"has {what} than {first.name}",
        where=other.path,
        expected=expected,
        found=found,
        hint="evaluate all models on the same shard, with the same test part",
    )


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


def _compare(found: Sequence[Evaluation], request: LeaderboardRequest) -> Board:
    first, rows = found[0], _merged(found)
    main, truth = first.main, _truth(first.truth)
    judge = Judge.of(truth, request.draws, request.seed)
    measure = MEASURES[main]
    undrawn = Judge.of(truth, 0, request.seed)
    for row in rows:
        again = undrawn.interval(measure, row.score).value
        if not abs(again - row.metrics[main].value) < _ROUNDING:
            raise DataError(
                f"predictions.tsv and metrics.json disagree on {row.name}",
                where=row.reports[0],
                expected=f"{measure.title} {row.metrics[main].value:.4f}",
                found=f"{again:.4f}",
                hint="evaluate again",
            )
    whole = max(row.n for row in rows)
    leader = max((r for r in rows if r.n == whole), key=lambda r: r.metrics[main].value)
    reference = _reference(rows, request.reference, first) if request.reference else leader
    behind = []
    known = np.isfinite(reference.score)
    ahead = judge.replicates(measure, reference.score, known)
    for row in rows:
        both = known & np.isfinite(row.score)
        # Draw again only for a row that lacks some of the variants.
        own = ahead if (both == known).all() else judge.replicates(measure, reference.score, both)
        less = interval_of(own - judge.replicates(measure, row.score, both))
        behind.append(replace(row, behind=less))
    leads = reference is leader
    behind.sort(
        key=lambda row: (
            leads and row.name != leader.name,
            np.nan_to_num(row.behind.value, nan=np.inf),
        )
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


def headlines(boards: Sequence[Board]) -> str:
    """Return a sentence on the leader of each dataset."""
    if len(boards) == 1:
        return headline(boards[0])
    return " ".join(f"{board.data}: {headline(board)}" for board in boards)


def headline(board: Board) -> str:
    """Return a sentence on the leader, or on entrants above the reference, and on their equals."""
    reference, title = board.row(board.reference), MEASURES[board.main].title
    assert reference is not None
    others = [row for row in board.rows if row is not reference]
    level = [row.name for row in others if row.behind.sign == 0]
    above = [row.name for row in others if row.behind.sign < 0]
    figure = f"{reference.name} {'leads with' if board.leads else 'has'} {title} "
    figure += reference.metrics[board.main].text()
    if board.main in board.ceiling:
        figure += f"; the best possible is {board.ceiling[board.main].value:.3f}"
    if board.leads and others and not (level or above):
        margin = f"the closest is {others[0].name}: {others[0].behind.text(sign=True)}"
        return f"{figure}. It {COMPARES[1]} every other entrant; {margin}."
    parts = [figure]
    if above:
        verb = "is" if len(above) == 1 else "are"
        parts.append(f"{' and '.join(above)} {verb} better on the variants that both score")
    parts += [f"{LEVEL} from {' and '.join(level)}"] if level else []
    return f"{'; '.join(parts)}."


def cards(boards: Sequence[Board]) -> list[Card]:
    """Return the cards of key results: the leaders, their lead, and the ceiling."""
    if len(boards) > 1:
        return [
            Card.of(
                f"{MEASURES[board.main].title}, {board.data}", row.metrics[board.main], row.name
            )
            for board in boards
            for row in board.rows[:1]
        ]
    (board,) = boards
    leader, *others = board.rows
    found = [Card.of(MEASURES[board.main].title, leader.metrics[board.main], leader.name)]
    kind = "baseline" if leader.kind in ("model", "stack") else "model"
    rivals = [("next", row) for row in others[:1]]
    best = [row for row in others if row.kind == kind][:1]
    rivals += [(f"best {kind}", row) for row in best if row is not others[0]]
    for what, row in rivals if board.leads else ():
        # The difference is paired, unlike the metrics if an entrant scores fewer variants.
        about = said(row.name, row.behind)
        found.append(Card.of(f"Lead over the {what}", row.behind, about, sign=True))
    if board.main in board.ceiling:
        found.append(Card.of("Ceiling", board.ceiling[board.main], "by the true probabilities"))
    return found


def description(board: Board) -> list[str]:
    """Describe the test variants and the method."""
    lines = [f"{board.variants:,} held-out variants of {_some(board.contigs)}"]
    if board.positives:
        lines.append(f"{board.positives:,} positives")
    if board.effects:
        lines.append(f"{board.effects:,} with a quantitative effect")
    if board.draws:
        lines.append(
            f"differences from {'the leader' if board.leads else board.reference}: "
            f"{board.draws:,} bootstrap draws of {board.n_units:,} {board.units}, the same for all"
        )
    return lines


def _some(names: Sequence[str]) -> str:
    """Return names separated by commas, only the first if there are many."""
    if len(names) <= _FEW:
        return ", ".join(names)
    return f"{', '.join(names[:_FEW])} and {len(names) - _FEW:,} more"


def _write(boards: Sequence[Board], made: Provenance, folder: Path) -> None:
    """Write the page and its two tables into an existing folder."""
    contents: dict[str, Any] = {"format": FORMAT, "format_version": 2}
    contents |= {"headline": headlines(boards)}
    contents |= {"datasets": [_board(board) for board in boards], "provenance": made.to_dict()}
    text = json.dumps(plain(contents), indent=1)
    (folder / "leaderboard.json").write_text(f"{text}\n")
    write_rows(list(_flat(boards)), folder / "leaderboard.tsv", made)
    entrants = {row.name: row.kind for board in boards for row in board.rows}
    with style():
        write_page(
            "leaderboard.html.j2",
            folder / "leaderboard.html",
            verb="evaluate",
            title="Leaderboard",
            headline=headlines(boards),
            sub="; ".join(description(boards[0])) if len(boards) == 1 else "",
            cards=cards(boards),
            warnings=made.warnings,
            made=made,
            **{"boards": boards, "entrants": entrants, "description": description},
            **{"measures": MEASURES, "figures": figures, "verdict": verdict},
        )


def _board(board: Board) -> dict[str, Any]:
    contents = vars(board) | {"headline": headline(board)}
    return contents | {"rows": [_contents(row) for row in board.rows]}


def _contents(row: Row) -> dict[str, Any]:
    contents = {key: value for key, value in vars(row).items() if key not in ("score", "behind")}
    return contents | {"reference_less_this": row.behind}


def _flat(boards: Sequence[Board]) -> Iterator[dict[str, Any]]:
    """Yield the lines of ``leaderboard.tsv``, one per dataset and entrant."""
    measures = [name for name in MEASURES if any(name in board.measures for board in boards)]
    for board, rank, row in ((b, *each) for b in boards for each in enumerate(b.rows, 1)):
        line: dict[str, Any] = {"dataset": board.data, "rank": rank}
        line |= {"name": row.name, "kind": row.kind, "metric": board.main}
        line |= {"evaluations": ",".join(row.reports), "variants": row.n}
        values = {name: row.metrics.get(name) for name in measures}
        line |= {"reference": board.reference}
        values |= {"reference_less_this": row.behind}
        values |= {name: row.controls.get(name) for name in CONTROLS}
        for name, interval in values.items():
            ends = interval._asdict() if interval else dict.fromkeys(Interval._fields)
            line |= {f"{name}_{end}": value for end, value in ends.items()}
        yield line | {"parameters": row.parameters, "seconds": row.seconds, "note": row.note}
