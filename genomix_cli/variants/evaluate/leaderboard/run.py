"""Leaderboard: the entrants of several evaluations of the same variants in one table.

Evaluations on several shards get one table per shard, all on one page.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from genomix_cli.outputs import atomic_path, check_folder
from genomix_cli.provenance import Provenance
from genomix_cli.report.canvas import style
from genomix_cli.variants.evaluate.leaderboard import report
from genomix_cli.variants.evaluate.leaderboard.board import Board, compare
from genomix_cli.variants.evaluate.leaderboard.evaluations import datasets_of, read_evaluation
from genomix_cli.variants.requests.evaluate import LeaderboardRequest

log = logging.getLogger("genomix")


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
    check_folder(
        request.output, "leaderboard.json", report.FORMAT, "a leaderboard", force=request.force
    )
    with style():  # fail early if matplotlib is missing
        pass
    names = _names(request.reports)
    found = [read_evaluation(path, name) for path, name in zip(request.reports, names, strict=True)]
    boards = tuple(compare(each, request) for each in datasets_of(found))
    inputs = {e.name: e.path / "metrics.json" for e in found}
    settings = {"reports": names, "draws": request.draws, "seed": request.seed}
    settings |= {"reference": request.reference} if request.reference else {}
    notes = tuple(dict.fromkeys(note for board in boards for note in board.notes))
    made = Provenance.of(settings, inputs, request.seed, warnings=notes)
    with atomic_path(request.output, force=request.force) as folder:
        folder.mkdir()
        report.write(boards, made, folder)
    log.info(report.headlines(boards))
    return boards


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the names of the folders, or whole paths where names would clash."""
    names = [path.resolve().name for path in paths]
    return [n if names.count(n) == 1 else str(p) for n, p in zip(names, paths, strict=True)]
