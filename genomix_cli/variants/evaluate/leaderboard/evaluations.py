"""Evaluations to join in a leaderboard: read from their folders, grouped by dataset.

Letters: n variants.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genomix_cli.comparison.intervals import NAN, FloatArray, Interval
from genomix_cli.errors import CheckError, DataError, guarded
from genomix_cli.genome.tables import open_table
from genomix_cli.variants.evaluate.suite.files import FORMAT as EVALUATION
from genomix_cli.variants.evaluate.suite.measures import MEASURES
from genomix_cli.variants.evaluate.suite.results import Metrics

_ALLELE = ["contig", "pos", "ref", "alt", "tissue"]
_TRUTH = [*_ALLELE, "label", "effect"]
# Role of the shard in the provenance of an evaluation.
_SHARD = "shard "


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


def read_evaluation(path: Path, name: str) -> Evaluation:
    """Read the folder of a report; `name` is its name on the leaderboard."""
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


def datasets_of(found: Sequence[Evaluation]) -> list[list[Evaluation]]:
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
