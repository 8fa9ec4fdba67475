"""Result files of a run folder: metrics, predictions, report and model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genomix_cli.comparison.predictions import UNIT
from genomix_cli.comparison.study import Study
from genomix_cli.comparison.summaries import Results
from genomix_cli.comparison.tables import restored, write_rows
from genomix_cli.errors import guarded
from genomix_cli.formats.run_folder import METRICS, RunFolder, read_json
from genomix_cli.report.card import card
from genomix_cli.report.multiqc import write_multiqc
from genomix_cli.report.page import Section
from genomix_cli.report.study import write_report

if TYPE_CHECKING:
    import pandas as pd


def write_outputs(
    study: Study,
    results: Results,
    folder: Path,
    *,
    seed_column: bool,
    sections: Sequence[Section] = (),
    note: str = "",
    beside: Study | None = None,
) -> None:
    """Write metrics, predictions, the report and the model card.

    Parameters
    ----------
    study : Study
    results : Results
        Results of the study.
    folder : Path
    seed_column : bool
        True to write predictions of every seed, with a column for the seed.
    sections : sequence of Section
        Further sections of the report.
    note : str
        Further text for the model card.
    beside : Study, optional
        The same models with whole batches held out; their predictions are written too.
    """
    metrics = results.to_dict()
    # Keep times out of the metrics: the same input must give the same bytes.
    timing = {row["name"]: row.pop("seconds") for row in metrics["outcomes"]}
    for row in ((metrics["batches"] or {}).get("results") or {"outcomes": ()})["outcomes"]:
        del row["seconds"]
    for name, data in ((METRICS, metrics), ("timing.json", timing)):
        RunFolder(folder).write_json(name, data)
    write_rows(results.rows(), folder / "models.tsv")
    table = predictions(study, seed_column=seed_column)
    table.to_parquet(folder / "predictions.parquet", index=False)
    if beside is not None:
        of_batches = predictions(beside, seed_column=seed_column)
        of_batches.to_parquet(folder / "predictions_batches.parquet", index=False)
    write_multiqc(results, folder)
    write_report(study, results, folder / "report.html", extra=sections)
    RunFolder(folder).write_text("README.md", card(study, results) + note)


def stored_results(folder: Path) -> Results:
    """Return the results that `write_outputs` wrote into a folder, without the times of fits.

    Raises
    ------
    DataError
        If they are damaged, or were written by another version.
    """
    path = folder / METRICS
    with guarded(path):
        results: Results = restored(Results, read_json(path))
    return results


def predictions(study: Study, *, seed_column: bool) -> pd.DataFrame:
    """Return predictions of held-out items by model and seed; sets are those of the first seed.

    With repeated folds, each repeat has its own seed. Where several samples are one unit of the
    bootstrap, such as a patient, a column numbers the units.
    """
    import pandas as pd

    rows = np.flatnonzero(study.tested)
    classes, unit = np.array(study.classes), study.unit[rows]
    units = {UNIT: unit} if len(np.unique(unit)) < len(unit) else {}
    tables = []
    for each in study.outcomes:
        sets = [",".join(classes[own]) for own in each.sets[rows]]
        for s, seed in enumerate(study.seeds):
            p = each.probability[s, rows]
            columns: dict[str, Any] = {
                "model": each.name,
                **({"seed": seed} if seed_column else {}),
                "sample": study.names[rows],
                **units,
                "fold": (study.fold if study.repeats is None else study.repeats[s])[rows],
                "label": classes[study.label[rows]],
                "predicted": classes[p.argmax(1)],
                **{f"p:{name}": p[:, k] for k, name in enumerate(study.classes)},
                "set": sets if s == 0 else None,
            }
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def epochs(study: Study) -> list[dict[str, Any]]:
    """Return a row per epoch of every model that learns in epochs."""
    return [
        {"name": each.name, "fold": fit.fold, **asdict(epoch)}
        for each in study.outcomes
        for fit in each.folds
        for epoch in fit.curve
    ]
