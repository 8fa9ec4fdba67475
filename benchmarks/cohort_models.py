"""Models of cohorts: time per sample, and how time and memory of training grow with the cohort.

::

    python benchmarks/cohort_models.py latency
    python benchmarks/cohort_models.py scale --model omics-transformer
    python benchmarks/cohort_models.py table RUN [RUN ...]
    python benchmarks/cohort_models.py ablations COHORT --samples 1000 --rounds 3
    python benchmarks/cohort_models.py sparsity COHORT --samples 1000 --rounds 1

The accuracies come from `genomix train`; benchmarks/cohort_models.sh has the commands. `table`
reads run folders on the same samples and prints the tables of docs/benchmarks.md: the models, then
each minus the first, on the same draws of held-out samples. `ablations` and `sparsity` fit variants
of Cancer Alpha to the first samples of a cohort, once per seed, and evaluate them on the others.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genomix_cli.cohorts.dataset import Samples, read_samples
from genomix_cli.cohorts.models.base import CohortModel
from genomix_cli.cohorts.requests import CohortRequest
from genomix_cli.cohorts.simulate.cohort import simulate_cohort
from genomix_cli.cohorts.simulate.parameters import read_parameters
from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.entrants import preset
from genomix_cli.comparison.intervals import interval_of
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS

SIZES = (1_000, 10_000, 100_000)
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "ablations": [
        {},
        {"cross_attention": False},
        {"encoders": "generic"},
        {"cross_attention": False, "encoders": "generic"},
    ],
    "sparsity": [{"sparsity": weight} for weight in (0.0, 0.01, 0.1, 1.0)],
}


def simulated(samples: int, seed: int, folder: Path) -> Samples:
    """Return samples of the `stillwell` preset: 110 features of four modalities."""
    path = folder / "c.h5mu"
    simulate_cohort(CohortRequest(path, read_parameters("stillwell", samples=samples), seed=seed))
    with open_cohort(path) as cohort:
        return read_samples(cohort)


def short(name: str, **fields: Any) -> CohortModel:
    """Return a model that learns for one epoch, if it learns in epochs."""
    known = COHORT_MODELS.load(name).config_class.__dataclass_fields__
    if fields.get("epochs") == 1:
        # A model that learns in stages gets one epoch of each.
        fields |= {"alone_epochs": 1, "joint_epochs": 1}
    brief = {key: value for key, value in fields.items() if key in known}
    return COHORT_MODELS.load(name).of({**preset(COHORT_MODELS, name), **brief})


def latency(seed: int) -> None:
    """Print milliseconds from raw values of one sample to its probabilities, on one thread."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        samples = simulated(1_000, seed, Path(folder))
    print("| model | p50, ms | p99, ms |\n|---|---|---|")
    for name in COHORT_MODELS:
        model = short(name, epochs=1, steps=0)
        model.fit(samples, FitSettings(seed=seed))
        times = []
        for i in range(320):
            one = samples.take(np.array([i]))
            started = time.perf_counter()
            model.log_probability(one)
            times.append(1e3 * (time.perf_counter() - started))
        p50, p99 = np.percentile(times[20:], [50, 99])
        print(f"| `{name}` | {p50:.2f} | {p99:.2f} |", flush=True)


def once(name: str, samples: int, seed: int) -> None:
    """Print CPU seconds and MiB of one epoch as a line of JSON; run it in its own process."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = simulated(samples, seed, Path(folder))
        few = data.take(np.arange(200))
        short(name, epochs=1, steps=0).fit(few, FitSettings())  # imports and caches
        before = peak()
        # CPU time, since wall time depends on other processes.
        started = time.process_time()
        short(name, epochs=1, patience=0, steps=0).fit(data, FitSettings(seed=seed))
        seconds = time.process_time() - started
    print(json.dumps({"seconds": seconds, "peak": peak(), "before": before}))


def peak() -> float:
    """Return the peak resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def scale(name: str, rounds: int, seed: int) -> None:
    """Print time and memory of an epoch by number of samples, and the exponent of the time."""
    print("| samples | CPU seconds of an epoch | peak MiB | of it before training |")
    print("|---|---|---|---|")
    points: list[tuple[int, float]] = []
    for samples in SIZES:
        found = []
        for i in range(rounds):
            command = [sys.executable, __file__, "once", "--model", name]
            command += ["--samples", str(samples), "--seed", str(seed + i)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
        points += [(samples, one["seconds"]) for one in found]
        seconds, most, before = (
            np.median([one[key] for one in found]) for key in ("seconds", "peak", "before")
        )
        print(f"| {samples:,} | {seconds:.1f} | {most:.0f} | {before:.0f} |", flush=True)
    slope, half = exponent(points)
    print(f"\nseconds ~ samples^{slope:.2f} [{slope - half:.2f}, {slope + half:.2f}]")


def exponent(points: list[tuple[int, float]]) -> tuple[float, float]:
    """Return the least-squares slope of log y on log x, and half its 95 % t-interval."""
    from scipy.stats import linregress, t

    x, y = np.log(np.array(points, float)).T
    fit = linregress(x, y)
    return float(fit.slope), float(t.ppf(0.975, len(x) - 2) * fit.stderr)


def table(runs: list[Path]) -> None:
    """Print the models of run folders, most accurate first, with each run's own verdicts."""
    rows, timing = {}, {}
    for run in runs:
        metrics = json.loads((run / "metrics.json").read_text())
        rows |= {row["name"]: row for row in metrics["outcomes"]}
        timing |= json.loads((run / "timing.json").read_text())
        print(f"{metrics['headline']}\n")
    _table(list(rows.values()), timing)
    less_first(runs)


def _table(rows: list[dict[str, Any]], timing: dict[str, float | None]) -> None:
    print(
        "| model | accuracy | macro F1 | AUROC | log loss | against the best baseline | s per fit |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: -value(row, "accuracy")):
        cells = [f"`{row['name']}`" + (" *" if row["main"] else ""), interval(row, "accuracy")]
        cells += [f"{value(row, name):.3f}" for name in ("macro_f1", "auroc", "nll")]
        cells += [(row["against_best"] or {}).get("verdict", "best baseline")]
        seconds = timing[row["name"]]
        print("|", " | ".join([*cells, "–" if seconds is None else f"{seconds:.0f}"]), "|")
    for row in rows:
        if row["ceiling"]:
            bayes, gap = row["ceiling"]["accuracy"], row["ceiling"]["accuracy_gap"]
            print(f"\n{row['name']}: Bayes {bayes['value']:.4f}, gap {gap['value']:+.4f}", end="")
            print(f" [{gap['low']:+.4f}, {gap['high']:+.4f}]")
    control = rows[0]["shuffled"]
    if control:
        print(f"\nlabels shuffled: {control['accuracy']}")


def less_first(runs: list[Path]) -> None:
    """Print paired differences in accuracy and log loss of each model minus the first."""
    predicted = [pd.read_parquet(run / "predictions.parquet") for run in runs]
    by_name = {name: rows for each in predicted for name, rows in each.groupby("model", sort=False)}
    right, loss = {}, {}
    for name, rows in by_name.items():
        assert list(rows["sample"]) == list(predicted[0]["sample"][: len(rows)])
        right[name] = (rows["predicted"] == rows["label"]).to_numpy(float)
        own = [row[f"p:{row['label']}"] for _, row in rows.iterrows()]
        loss[name] = -np.log(own)
    (first, *others), n = right, len(next(iter(right.values())))
    weights = Bootstrap(np.arange(n), 1000).matrix() / n
    print(f"\n| model | accuracy less that of {first} | log loss less |\n|---|---|---|")
    for name in others:
        gaps = (interval_of(weights @ (x[name] - x[first])) for x in (right, loss))
        print(f"| {name} |", " | ".join(gap.text(sign=True) for gap in gaps), "|")


def variants(which: str, cohort: Path, samples: int, seeds: range) -> None:
    """Print the accuracy of variants of Cancer Alpha, and how uniform their attention is."""
    with open_cohort(cohort) as file:
        data = read_samples(file)
    train, test = (data.take(rows) for rows in np.split(np.arange(len(data)), [samples]))
    print(
        f"| {which} | accuracy, seeds {list(seeds)} | log loss | entropy / log M | largest weight |"
    )
    print("|---|---|---|---|---|")
    for fields in VARIANTS[which]:
        found = np.array([_fitted(fields, train, test, seed) for seed in seeds])
        mean, sd = found.mean(0), found.std(0, ddof=1) if len(found) > 1 else found[0] * np.nan
        cells = [", ".join(f"{key}={value}" for key, value in fields.items()) or "all"]
        cells += [f"{mean[0]:.3f} (SD {sd[0]:.3f})", *(f"{value:.3f}" for value in mean[1:])]
        print("|", " | ".join(cells), "|", flush=True)


def _fitted(fields: dict[str, Any], train: Samples, test: Samples, seed: int) -> list[float]:
    """Return accuracy, log loss, attention entropy relative to uniform, and largest weight."""
    model = COHORT_MODELS.load("cancer-alpha").of(fields)
    model.fit(train, FitSettings(seed=seed))
    log_p, attention = model.log_probability(test), model.attention(test)
    found = [(log_p.argmax(1) == test.label).mean()]
    found += [-log_p[np.arange(len(test)), test.label].mean()]
    if attention is None:
        return [*found, np.nan, np.nan]
    rows = np.nan_to_num(attention[test.present])  # [n, M], of modalities that are present
    entropy = -(rows * np.log(np.maximum(rows, 1e-12))).sum(1).mean()
    return [*found, entropy / np.log(rows.shape[1]), rows.max(1).mean()]


def value(row: dict[str, Any], name: str) -> float:
    """Return a metric of the first seed."""
    return float(row["metrics"][name]["interval"]["value"])


def interval(row: dict[str, Any], name: str) -> str:
    """Return a metric of the first seed with its interval."""
    found = row["metrics"][name]["interval"]
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("latency", "scale", "once", "table", *VARIANTS))
    parser.add_argument("run", nargs="*", type=Path)
    parser.add_argument("--model", default="omics-transformer")
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.what == "latency":
        latency(given.seed)
    elif given.what == "scale":
        scale(given.model, given.rounds, given.seed)
    elif given.what == "table":
        table(given.run)
    elif given.what in VARIANTS:
        seeds = range(given.seed, given.seed + given.rounds)
        variants(given.what, given.run[0], given.samples, seeds)
    else:
        once(given.model, given.samples, given.seed)


if __name__ == "__main__":
    main()
