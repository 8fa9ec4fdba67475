"""Page and tables of leaderboards, and their key results in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from genomix_cli.comparison.intervals import COMPARES, LEVEL, Interval
from genomix_cli.comparison.tables import write_json, write_rows
from genomix_cli.provenance import Provenance
from genomix_cli.report.canvas import style
from genomix_cli.report.page import Card, write_page
from genomix_cli.variants.evaluate.leaderboard.board import CONTROLS, Board
from genomix_cli.variants.evaluate.leaderboard.evaluations import Row
from genomix_cli.variants.evaluate.suite import figures
from genomix_cli.variants.evaluate.suite.measures import MEASURES
from genomix_cli.variants.evaluate.suite.results import said, verdict

FORMAT = "genomix-leaderboard"
# Largest number of contigs to name.
_FEW = 8


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


def write(boards: Sequence[Board], made: Provenance, folder: Path) -> None:
    """Write the page and its two tables into an existing folder."""
    contents: dict[str, Any] = {"format": FORMAT, "format_version": 2}
    contents |= {"headline": headlines(boards)}
    contents |= {"datasets": [_board(board) for board in boards], "provenance": made.to_dict()}
    write_json(contents, folder / "leaderboard.json")
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
