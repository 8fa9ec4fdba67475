"""MultiQC section of a trained variant model: performance on held-out variants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genomix_cli.report.multiqc import COUNT, SHARE, Content, table, write_contents

#: Metrics with their titles; lower is better for the last two.
TITLES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ranking_accuracy": "ranking in groups",
    "pearson": "Pearson, effect",
    "spearman": "Spearman, effect",
    "brier": "Brier score",
    "ece": "calibration error",
}
_ERRORS = ("brier", "ece")
_CEILING, _CONTROL = "ceiling", "variant_removed"
_DESCRIPTION = (
    "Models of genomix train on variants that were held out: valid has stopped and calibrated "
    "the model, test has not."
)


def write_multiqc(metrics: Mapping[str, Any], folder: Path) -> None:
    """Write the MultiQC section of a run into its folder.

    Parameters
    ----------
    metrics : mapping
        Content of ``metrics.json``.
    folder : Path
    """
    headers: dict[str, Content] = {
        "variants": {"title": "variants", **COUNT},
        **{key: _header(key) for key in TITLES},
        _CEILING: {
            "title": "ceiling",
            "description": "AUROC of the true probabilities, which no model exceeds",
            **SHARE,
        },
        _CONTROL: {
            "title": "variant removed",
            "description": "AUROC of the test part where alt = ref: near 0.5 if the model reads "
            "the variant",
            **SHARE,
        },
    }
    rows = {f"{folder.name}: {part}": _row(metrics, part) for part in ("valid", "test")}
    rows = {name: row for name, row in rows.items() if row}
    content = table(
        "genomix_variant_models", "Models of variants", _DESCRIPTION, "Model", headers, rows
    )
    write_contents({"genomix_mqc.json": content}, folder)


def _header(key: str) -> Content:
    low = -1 if key in ("pearson", "spearman") else 0
    scale = "Blues-rev" if key in _ERRORS else "Blues"
    return {"title": TITLES[key], **SHARE, "min": low, "scale": scale}


def _row(metrics: Mapping[str, Any], part: str) -> dict[str, Any]:
    found = metrics.get(part)
    if not found:
        return {}
    row = {key: found[key]["value"] for key in TITLES if key in found}
    row |= {"variants": found["variants"], _CEILING: found.get("bayes_auroc")}
    if part == "test" and _CONTROL in metrics.get("controls", ()):
        row[_CONTROL] = metrics["controls"][_CONTROL]["value"]
    return row
