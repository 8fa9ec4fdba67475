"""MultiQC section of an evaluation: every entrant, and its difference from the first model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genomix_cli.report.multiqc import COUNT, SHARE, TEXT, Content, table, write_contents
from genomix_cli.variants.evaluate.suite.measures import MEASURES
from genomix_cli.variants.evaluate.suite.results import EntrantResult, SuiteResults, verdict


def write_multiqc(results: SuiteResults, name: str, folder: Path) -> None:
    """Write the MultiQC section of an evaluation into its folder; `name` is that of the shard."""
    headers: dict[str, Content] = {
        "kind": {"title": "kind", **TEXT},
        "variants": {"title": "variants", "description": "Variants with a score", **COUNT},
        **{metric: _header(metric) for metric in results.first.metrics},
        "difference": {
            "title": "model minus this",
            "description": f"{MEASURES[results.main].title} of the first model minus this row's",
            "format": "{:+,.3f}",
            "scale": False,
        },
        "verdict": {"title": "verdict", "description": "By the interval of the difference", **TEXT},
    }
    rows = {f"{name}: {each.name}": _row(each, results.main) for each in results.entrants}
    if results.ceiling:
        values = {metric: interval.value for metric, interval in results.ceiling.items()}
        rows[f"{name}: ceiling"] = {"kind": "truth", **values}
    content = table(
        "genomix_suite",
        "Evaluations",
        "Models, baselines and other scores on the same held-out variants.",
        "Entrant",
        headers,
        rows,
    )
    write_contents({"genomix_mqc.json": content}, folder)


def _header(metric: str) -> Content:
    measure = MEASURES[metric]
    low = -1 if measure.target != "label" else 0
    scale = "Blues" if measure.larger_is_better else "Blues-rev"
    return {"title": measure.title, **SHARE, "min": low, "scale": scale}


def _row(entrant: EntrantResult, main: str) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": entrant.kind, "variants": entrant.n}
    row |= {metric: interval.value for metric, interval in entrant.metrics.items()}
    if main in entrant.difference:
        difference = entrant.difference[main]
        row |= {"difference": difference.value, "verdict": verdict(difference)}
    return row
