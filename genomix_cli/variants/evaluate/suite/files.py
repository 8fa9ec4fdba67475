"""Files of an evaluation beside its report: metrics, predictions and timings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from genomix_cli.comparison.intervals import NAN
from genomix_cli.comparison.tables import plain, write_json, write_rows
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.provenance import Provenance, settings_of, sha256
from genomix_cli.variants.evaluate.suite.results import (
    Metrics,
    StratumResult,
    Suite,
    SuiteResults,
    headline,
)
from genomix_cli.variants.requests.evaluate import SuiteRequest
from genomix_cli.variants.train.held_out import allele_columns
from genomix_cli.variants.trained import model_folder

FORMAT = "genomix-evaluation"
Row = dict[str, Any]


def write_files(suite: Suite, shard: Shard, made: Provenance, folder: Path) -> None:
    """Write the files into an existing folder."""
    write_json(_contents(suite.results, made), folder / "metrics.json")
    seconds = {e.name: round(e.seconds, 3) for e in suite.entrants if e.seconds is not None}
    write_json(seconds, folder / "timing.json")
    write_rows(list(_rows(suite.results)), folder / "metrics.tsv", made)
    with (folder / "predictions.tsv").open("w") as handle:
        handle.writelines(f"{line}\n" for line in made.lines())
        _predictions(suite, shard).to_csv(handle, sep="\t", index=False, float_format="%.6g")


def provenance(results: SuiteResults, request: SuiteRequest) -> Provenance:
    """Return the provenance of an evaluation."""
    weights = {Path(name).name: RunFolder(model_folder(name)).weights for name in request.models}
    inputs = {"shard": request.shard, "test regions": request.test_regions, "peaks": request.peaks}
    inputs |= {"vcf": request.vcf, "table": request.table}
    inputs |= {f"weights of {name}": path for name, path in weights.items()}
    model = "; ".join(f"{name} sha256:{sha256(path)}" for name, path in weights.items())
    settings = settings_of(request, ("output",))
    settings["models"] = [Path(name).name for name in request.models]
    return Provenance.of(settings, inputs, request.seed, model=model, warnings=results.notes)


def _contents(results: SuiteResults, made: Provenance) -> dict[str, Any]:
    """Return the fields of ``metrics.json``."""
    return {
        "format": FORMAT,
        "format_version": 1,
        "headline": headline(results),
        "main_metric": results.main,
        "counts": plain(results.counts) | {"prevalence": results.counts.prevalence},
        "contigs": results.contigs,
        "bootstrap": {key: getattr(results, key) for key in ("draws", "units", "n_units")},
        "notes": results.notes,
        "ceiling": results.ceiling,
        "entrants": [
            {
                "name": each.name,
                "kind": each.kind,
                "note": each.note,
                "variants": each.n,
                "parameters": each.parameters,
                "metrics": each.metrics,
                "first_less_this": each.difference,
            }
            for each in results.entrants
        ],
        "stack": results.stack
        and {
            "name": results.stack.name,
            "best_member": results.stack.best,
            "members": [
                {"name": each.name, "weight": each.weight, "stack_less_this": each.less}
                for each in results.stack.members
            ],
        },
        "strata": [_stratum(each) for each in results.strata],
        "groups": [_stratum(each) for each in results.groups],
        "controls": {
            each.name: {
                "variants": each.n,
                results.main: each.metric,
                "as_is_less_this": each.less,
                "mean_probability": each.mean_probability,
            }
            for each in results.controls
        },
        "contact_prior": [
            dict(zip(("layer", "head", "distance", "contacts"), row, strict=True))
            for row in results.scales
        ],
        "provenance": made.to_dict(),
    }


def _stratum(stratum: StratumResult) -> dict[str, Any]:
    return {
        "by": stratum.title,
        "name": stratum.name,
        "variants": stratum.n,
        "positives": stratum.positives,
        "metrics": stratum.metrics,
    }


def _rows(results: SuiteResults) -> Iterator[Row]:
    """Yield the rows of ``metrics.tsv``, each a value with its interval."""

    def rows(section: str, stratum: str, model: str, metrics: Metrics, n: int) -> Iterator[Row]:
        for metric, interval in metrics.items():
            names = {"section": section, "stratum": stratum, "model": model, "metric": metric}
            yield {**names, **interval._asdict(), "n": n}

    for each in results.entrants:
        yield from rows("overall", "", each.name, each.metrics, each.n)
        yield from rows("first less this", "", each.name, each.difference, each.n)
    for member in results.stack.members if results.stack else ():
        weight = {"weight": NAN._replace(value=member.weight)}
        yield from rows("stack", "", member.name, weight, 0)
        yield from rows("stack less this", "", member.name, member.less, 0)
    yield from rows("ceiling", "", "truth", results.ceiling, results.counts.labelled)
    for stratum in (*results.strata, *results.groups):
        count = {"positives": NAN._replace(value=float(stratum.positives))}
        yield from rows(stratum.title, stratum.name, "", count, stratum.n)
        for model, metrics in stratum.metrics.items():
            yield from rows(stratum.title, stratum.name, model, metrics, stratum.n)
    first = results.first.name
    for control in results.controls:
        metric = {results.main: control.metric}
        yield from rows("control", control.name, first, metric, control.n)
    for layer, head, distance, contacts in results.scales:
        scales = {"distance": distance, "contacts": contacts}
        learned = {name: NAN._replace(value=scale) for name, scale in scales.items()}
        yield from rows("contact prior", f"layer {layer}, head {head}", first, learned, 0)


def _predictions(suite: Suite, shard: Shard) -> pd.DataFrame:
    """Return one row per allele, trimmed as in the shard, and one column per entrant."""
    columns = allele_columns(shard, suite.rows)
    columns |= {"label": suite.truth.label, "effect": suite.truth.effect}
    for entrant in suite.entrants:
        score = entrant.score if entrant.probability is None else entrant.probability
        columns[entrant.name] = score
    return pd.DataFrame(columns)
