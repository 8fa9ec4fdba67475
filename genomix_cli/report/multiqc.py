"""Custom-content files that MultiQC finds by name and shows without a plug-in.

The format is documented at https://docs.seqera.io/multiqc/custom_content
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.summaries import OutcomeResult, Results
from genomix_cli.comparison.tables import plain, write_json
from genomix_cli.outputs import file_errors

PARENT = {
    "parent_id": "genomix",
    "parent_name": "genomix",
    "parent_description": "Scores of alleles, and models evaluated on held-out data.",
}
COLUMNS = (
    *("accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc"),
    *("nll", "brier", "calibration_error"),
)
#: Colours of bars for good, bad and other categories, distinct for colour-blind readers.
GOOD, BAD = "#0072B2", "#D55E00"
OTHERS = ("#E69F00", "#56B4E9", "#CC79A7", "#F0E442", "#009E73", "#999999")
#: Column headers.
COUNT = {"format": "{:,.0f}", "scale": False}
SHARE = {"min": 0, "max": 1, "format": "{:,.3f}", "scale": "Blues"}
TEXT = {"scale": False}

Content = dict[str, Any]
#: Values of a row by column, or of a bar by category, by the name of the sample.
Data = Mapping[str, Mapping[str, Any]]


def write_contents(contents: Mapping[str, Content], folder: Path) -> tuple[Path, ...]:
    """Write each content as a file; the folder is created if needed.

    Parameters
    ----------
    contents : mapping of str to dict
        Contents by file name, which ends in ``_mqc.json``.
    folder : Path
    """
    with file_errors(folder):
        folder.mkdir(exist_ok=True)
    written = []
    for name, content in contents.items():
        write_json(content, folder / name, force=True)
        written.append(folder / name)
    return tuple(written)


def table(
    name: str, title: str, description: str, first: str, headers: Mapping[str, Content], data: Data
) -> Content:
    """Return a table; rows of all files with the same `name` share it.

    Parameters
    ----------
    name : str
        Identifier, unique among sections.
    title, description : str
        Must be the same in all files.
    first : str
        Heading of the first column.
    headers : mapping of str to dict
    data : mapping of str to mapping
        Values by column for each row; None is left out.
    """
    data = {
        row: {key: value for key, value in plain(dict(values)).items() if value is not None}
        for row, values in data.items()
    }
    config = {"title": f"genomix: {title.lower()}", "namespace": "genomix", "col1_header": first}
    return _section(name, title, description, "table", config, data) | {"headers": dict(headers)}


def bars(
    name: str,
    title: str,
    description: str,
    unit: str,
    categories: Mapping[str, Content],
    data: Data,
) -> Content:
    """Return a bar for each row, in parts by category, as :func:`table` does."""
    config = {"title": f"genomix: {title.lower()}", "ylab": unit}
    section = _section(name, title, description, "bargraph", config, data)
    return section | {"categories": dict(categories)}


def lines(
    name: str,
    title: str,
    description: str,
    axes: tuple[str, str],
    data: Mapping[str, Sequence[tuple[float, float]]],
) -> Content:
    """Return a line for each sample through its points, as :func:`table` does."""
    config = {"title": f"genomix: {title.lower()}", "xlab": axes[0], "ylab": axes[1]}
    return _section(name, title, description, "linegraph", config, data)


def categories(names: Mapping[str, str], good: str) -> dict[str, Content]:
    """Return the parts of bars by title; `good` has a colour of its own."""
    others = (name for name in names if name != good)
    colours = {good: GOOD, **{n: OTHERS[i % len(OTHERS)] for i, n in enumerate(others)}}
    return {name: {"name": title, "color": colours[name]} for name, title in names.items()}


def _section(
    name: str,
    title: str,
    description: str,
    kind: str,
    config: Content,
    data: Mapping[str, Any],
) -> Content:
    return PARENT | {
        "id": name,
        "section_name": title,
        "description": description,
        "plot_type": kind,
        "pconfig": {"id": f"{name}_{kind}", **config},
        "data": dict(data),
    }


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
    return write_contents(sections(results, name), folder)


def sections(results: Results, name: str) -> dict[str, dict[str, Any]]:
    """Return the content of each file."""
    rows = {f"{name}: {row.name}": row for row in results.outcomes}
    return {"genomix_mqc.json": _table(results, rows), "genomix_right_mqc.json": _bars(rows)}


def _table(results: Results, rows: Mapping[str, OutcomeResult]) -> Content:
    # The description is the same for all runs, whose rows share a table.
    return table(
        "genomix_models",
        "Models",
        "Models on held-out samples, and their differences from the best baseline of the same run.",
        "Model",
        {metric: _header(metric) for metric in COLUMNS} | _others(results),
        {row: _values(outcome) for row, outcome in rows.items()},
    )


def _header(metric: str) -> dict[str, Any]:
    known = METRICS[metric]
    bounded = {} if metric == "nll" else {"max": 2 if metric == "brier" else 1}
    better = "higher" if known.larger_is_better else "lower"
    return {
        "title": known.title,
        "description": f"{known.title}; {better} is better",
        "min": 0,
        **bounded,
        "format": "{:,.3f}",
        "scale": "Blues" if known.larger_is_better else "Blues-rev",
    }


def _others(results: Results) -> dict[str, Any]:
    title = METRICS[results.metric].title
    return {
        "difference": {
            "title": "minus best baseline",
            "description": f"{title} minus that of the best baseline",
            "format": "{:+,.3f}",
            "scale": False,
        },
        "verdict": {
            "title": "verdict",
            "description": "Better or worse only where the interval excludes 0",
        }
        | TEXT,
        "coverage": {"title": "coverage", "description": "Coverage of the prediction sets"}
        | SHARE
        | {"scale": False},
        "trials": {"title": "trials", "description": "Configurations tried per fold"} | COUNT,
        "seconds": {"title": "seconds", "description": "Time of one fit", "format": "{:,.1f}"}
        | TEXT,
        "parameters": {"title": "parameters", "description": "Number of parameters"} | COUNT,
    }


def _values(row: OutcomeResult) -> dict[str, Any]:
    compared = row.against_best
    values: dict[str, Any] = {name: row.metrics[name].interval.value for name in COLUMNS}
    if compared is not None:
        values |= {"difference": compared.differences[compared.metric].value}
        values |= {"verdict": compared.verdict}
    values |= {"coverage": row.sets.coverage.value, "trials": row.trials}
    values |= {"seconds": row.seconds, "parameters": row.parameters}
    return values


def _bars(rows: Mapping[str, OutcomeResult]) -> Content:
    data = {}
    for name, row in rows.items():
        right = int(row.confusion.trace())
        data[name] = {"right": right, "wrong": int(row.confusion.sum()) - right}
    return bars(
        "genomix_right",
        "Samples classified",
        "Held-out samples whose most probable class is right or wrong.",
        "Samples",
        {"right": {"name": "right", "color": GOOD}, "wrong": {"name": "wrong", "color": BAD}},
        data,
    )
