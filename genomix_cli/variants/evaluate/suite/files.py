"""The tables of an evaluation: ``metrics.json``, ``metrics.tsv`` and ``predictions.tsv``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genomix_cli.comparison.metrics.binary import Interval
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.learning.checkpoints import model_folder, weights_file
from genomix_cli.provenance import Provenance
from genomix_cli.variants.evaluate.suite.request import SuiteRequest
from genomix_cli.variants.evaluate.suite.results import (
    Metrics,
    StratumResult,
    Suite,
    SuiteResults,
    headline,
    metrics_plain,
)

FORMAT = "genomix-evaluation"
COLUMNS = ("section", "stratum", "model", "metric", "value", "low", "high", "n")
Line = tuple[str, str, str, str, Interval, int]


def write_files(suite: Suite, shard: Shard, request: SuiteRequest, folder: Path) -> None:
    """Write the three into an existing folder."""
    data = _plain(suite.results, request)
    (folder / "metrics.json").write_text(json.dumps(data, indent=1) + "\n")
    with (folder / "metrics.tsv").open("w", newline="") as handle:
        table = csv.writer(handle, delimiter="\t", lineterminator="\n")
        table.writerow(COLUMNS)
        for *words, value, n in _lines(suite.results):
            numbers = ("" if np.isnan(v) else f"{v:.6g}" for v in value)
            table.writerow([*words, *numbers, n])
    frame = _predictions(suite, shard)
    frame.to_csv(folder / "predictions.tsv", sep="\t", index=False, float_format="%.6g")


def _plain(results: SuiteResults, request: SuiteRequest) -> dict[str, Any]:
    weights = {
        f"weights of {Path(name).name}": weights_file(model_folder(name)) for name in request.models
    }
    provenance = Provenance.of(request.settings(), request.inputs() | weights, request.seed)
    return {
        "format": FORMAT,
        "format_version": 1,
        "headline": headline(results),
        "main_metric": results.main,
        "counts": {**results.counts.__dict__, "prevalence": _number(results.counts.prevalence)},
        "contigs": list(results.contigs),
        "bootstrap": {
            "draws": results.draws,
            "units": results.units,
            "n_units": results.n_units,
        },
        "notes": list(results.notes),
        "ceiling": metrics_plain(results.ceiling),
        "entrants": [
            {
                "name": each.name,
                "kind": each.kind,
                "note": each.note,
                "variants": each.n,
                "metrics": metrics_plain(each.metrics),
                "first_less_this": metrics_plain(each.difference),
            }
            for each in results.entrants
        ],
        "strata": [_stratum(each) for each in results.strata],
        "groups": [_stratum(each) for each in results.groups],
        "controls": {
            each.name: {
                "variants": each.n,
                results.main: metrics_plain({"": each.metric})[""],
                "as_is_less_this": each.less and metrics_plain({"": each.less})[""],
                "mean_probability": each.mean_probability,
            }
            for each in results.controls
        },
        "contact_prior": [
            dict(zip(("layer", "head", "distance", "contacts"), row, strict=True))
            for row in results.scales
        ],
        "provenance": provenance.to_dict(),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _stratum(stratum: StratumResult) -> dict[str, Any]:
    return {
        "by": stratum.title,
        "name": stratum.name,
        "variants": stratum.n,
        "positives": stratum.positives,
        "metrics": {name: metrics_plain(found) for name, found in stratum.metrics.items()},
    }


def _lines(results: SuiteResults) -> Iterator[Line]:
    """The long table."""

    def each(section: str, stratum: str, model: str, metrics: Metrics, n: int) -> Iterator[Line]:
        for metric, value in metrics.items():
            yield section, stratum, model, metric, value, n

    nothing = float("nan")
    for entrant in results.entrants:
        yield from each("overall", "", entrant.name, entrant.metrics, entrant.n)
        yield from each("first less this", "", entrant.name, entrant.difference, entrant.n)
    yield from each("ceiling", "", "truth", results.ceiling, results.counts.labelled)
    for stratum in (*results.strata, *results.groups):
        count = Interval(stratum.positives, nothing, nothing)
        yield stratum.title, stratum.name, "", "positives", count, stratum.n
        for model, metrics in stratum.metrics.items():
            yield from each(stratum.title, stratum.name, model, metrics, stratum.n)
    first = results.first.name
    for control in results.controls:
        yield "control", control.name, first, results.main, control.metric, control.n
    for layer, head, *scales in results.scales:
        place = f"layer {layer}, head {head}"
        for name, value in zip(("distance", "contacts"), scales, strict=True):
            yield "contact prior", place, first, name, Interval(value, nothing, nothing), 0


def _predictions(suite: Suite, shard: Shard) -> pd.DataFrame:
    """An allele per row, trimmed as the shard has it, and a column per entrant."""
    table, rows = shard.variants, suite.rows
    tissues = np.array([*shard.tissues, ""])
    columns: dict[str, Any] = {
        "contig": np.array(list(shard.contigs))[table.contig[rows]],
        "pos": table.pos[rows] + 1,
        "ref": np.char.decode(table.ref[rows]),
        "alt": np.char.decode(table.alt[rows]),
        "tissue": tissues[table.tissue[rows]],
        "label": suite.truth.label,
        "effect": suite.truth.effect,
    }
    for entrant in suite.entrants:
        score = entrant.score if entrant.probability is None else entrant.probability
        columns[entrant.name] = score
    return pd.DataFrame(columns)
