"""Files that MultiQC finds by their name and shows without a plug-in of its own.

Custom content as its manual has it: https://docs.seqera.io/multiqc/custom_content
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.summaries import OutcomeResult, Results
from genomix_cli.comparison.tables import plain
from genomix_cli.provenance import atomic_path

PARENT = {
    "parent_id": "genomix",
    "parent_name": "genomix",
    "parent_description": "Models, judged on samples they did not learn from.",
}
COLUMNS = (
    *("accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc"),
    *("nll", "brier", "calibration_error"),
)


def write_multiqc(results: Results, folder: Path, name: str | None = None) -> tuple[Path, ...]:
    """Write ``*_mqc.json`` into a folder.

    Parameters
    ----------
    results : Results
    folder : Path
    name : str, optional
        Name of the run, put before the names of its models to tell runs apart; by default the
        file's.
    """
    name = results.data.rpartition(".")[0] if name is None else name
    written = []
    for file, content in sections(results, name).items():
        with atomic_path(Path(folder) / file) as draft:
            draft.write_text(json.dumps(plain(content), indent=1) + "\n")
        written.append(Path(folder) / file)
    return tuple(written)


def sections(results: Results, name: str) -> dict[str, dict[str, Any]]:
    """Return the content of each file."""
    rows = {f"{name}: {row.name}": row for row in results.outcomes}
    return {"genomix_mqc.json": _table(results, rows), "genomix_right_mqc.json": _bars(rows)}


def _table(results: Results, rows: Mapping[str, OutcomeResult]) -> dict[str, Any]:
    return PARENT | {
        "id": "genomix_models",
        "section_name": "Models",
        # The same for all runs, whose rows share a table.
        "description": "With the difference to the best baseline of the same run.",
        "plot_type": "table",
        "pconfig": {
            "id": "genomix_models_table",
            "title": "genomix: models",
            "namespace": "genomix",
            "col1_header": "Model",
        },
        "headers": {metric: _header(metric) for metric in COLUMNS} | _others(results),
        "data": {row: _values(outcome) for row, outcome in rows.items()},
    }


def _header(metric: str) -> dict[str, Any]:
    known = METRICS[metric]
    bounded = {} if metric == "nll" else {"max": 2 if metric == "brier" else 1}
    return {
        "title": known.title,
        "description": f"{known.title}; {'more' if known.larger_is_better else 'less'} is better",
        "min": 0,
        **bounded,
        "format": "{:,.3f}",
        "scale": "Blues" if known.larger_is_better else "Blues-rev",
    }


def _others(results: Results) -> dict[str, Any]:
    title = METRICS[results.metric].title
    count, text = {"format": "{:,.0f}", "scale": False}, {"scale": False}
    return {
        "difference": {
            "title": "less best baseline",
            "description": f"{title} less that of the best baseline",
            "format": "{:+,.3f}",
            "scale": False,
        },
        "verdict": {"title": "verdict", "description": "Beats only where the interval says so"}
        | text,
        "coverage": {"title": "coverage", "description": "Of the prediction sets"}
        | {"min": 0, "max": 1, "format": "{:,.3f}", "scale": False},
        "trials": {"title": "trials", "description": "Configurations tried in each fold"} | count,
        "seconds": {"title": "seconds", "description": "Of a fit", "format": "{:,.1f}"} | text,
        "parameters": {"title": "parameters", "description": "Numbers learned"} | count,
    }


def _values(row: OutcomeResult) -> dict[str, Any]:
    compared = row.against_best
    values: dict[str, Any] = {name: row.metrics[name].interval.value for name in COLUMNS}
    if compared is not None:
        values |= {"difference": compared.differences[compared.metric].value}
        values |= {"verdict": compared.verdict}
    values |= {"coverage": row.sets.coverage.value, "trials": row.trials}
    values |= {"seconds": row.seconds, "parameters": row.parameters}
    return {key: value for key, value in plain(values).items() if value is not None}


def _bars(rows: Mapping[str, OutcomeResult]) -> dict[str, Any]:
    data = {}
    for name, row in rows.items():
        right = int(row.confusion.trace())
        data[name] = {"right": right, "wrong": int(row.confusion.sum()) - right}
    return PARENT | {
        "id": "genomix_right",
        "section_name": "Samples classified",
        "description": "Samples held out, by whether the most probable class is right.",
        "plot_type": "bargraph",
        "pconfig": {
            "id": "genomix_right_plot",
            "title": "genomix: samples classified",
            "ylab": "Samples",
        },
        "categories": {
            "right": {"name": "right", "color": "#0072B2"},
            "wrong": {"name": "wrong", "color": "#D55E00"},
        },
        "data": data,
    }
