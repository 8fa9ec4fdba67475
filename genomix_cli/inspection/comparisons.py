"""Reports on comparisons of variant models: evaluations and leaderboards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genomix_cli.cohorts.inspect.overview import Listing
from genomix_cli.errors import DataError, guarded
from genomix_cli.formats import detect
from genomix_cli.formats.run_folder import read_json
from genomix_cli.inspection.report import METRICS, Report, provenance_facts

LEADERBOARD = "leaderboard.json"


def evaluation(path: Path) -> Report:
    """Describe an evaluation of models on a shard."""
    data = read_json(path / METRICS)
    if data.get("format") != detect.EVALUATION:
        raise DataError("is not an evaluation", where=path / METRICS)
    with guarded(path / METRICS):
        main = data["main_metric"]
        rows = [
            (e["name"], e["variants"], e["metrics"].get(main), e["first_less_this"].get(main))
            for e in data["entrants"]
        ]
        table = _intervals(main, "first", rows)
        return _compared(path, "evaluation", data["counts"]["variants"], data, table)


def leaderboard(path: Path) -> Report:
    """Describe a leaderboard, with a table per dataset."""
    data = read_json(path / LEADERBOARD)
    with guarded(path / LEADERBOARD):
        # Version 1 has one dataset, at the top level, whose leader is the reference.
        datasets = data.get("datasets", [data])
        tables = [_of_dataset(each) for each in datasets]
        contigs, notes = (
            list(dict.fromkeys(text for each in datasets for text in each[key]))
            for key in ("contigs", "notes")
        )
        variants = sum(each["variants"] for each in datasets)
        said = data | {"contigs": contigs, "notes": notes}
        return _compared(path, "leaderboard", variants, said, *tables)


def _of_dataset(board: Mapping[str, Any]) -> Listing:
    main, less = board["main"], "reference_less_this" if "leads" in board else "leader_less_this"
    rows = [(e["name"], e["n"], e["metrics"].get(main), e[less]) for e in board["rows"]]
    reference = "leader" if board.get("leads", True) else board["reference"]
    return _intervals(main, reference, rows, board.get("data", "compared"))


def _compared(
    path: Path, kind: str, variants: int, data: Mapping[str, Any], *tables: Listing
) -> Report:
    """Return the report of an evaluation or a leaderboard, which share these facts."""
    facts = {
        "result": data["headline"],
        "variants": variants,
        "contigs": data["contigs"],
        "mind": data["notes"] or "nothing",
    }
    return Report(path, kind, facts | provenance_facts(data["provenance"]), tables)


def _intervals(
    main: str, first: str, rows: Sequence[tuple[Any, ...]], title: str = "compared"
) -> Listing:
    """Return a table of entrants: main metric with interval, and the lead of `first` over each.

    Parameters
    ----------
    main, first : str
        Names of the main metric and of the entrant that the others are compared with.
    rows : sequence of tuple
        Entrant, number of variants, metric, lead; the last two have value, low and high, or are
        None.
    title : str
    """
    columns = ("entrant", "variants", main, "low", "high", f"{first} minus this", "from", "to")
    ends = ("value", "low", "high")
    cells = ((*row[:2], *((row[i] or {}).get(end) for i in (2, 3) for end in ends)) for row in rows)
    return Listing(title, columns, tuple(cells))
