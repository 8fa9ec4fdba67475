"""Simulated cohorts: ceilings of the presets, time and memory, and comparison with real cohorts.

::

    python benchmarks/cohorts.py ceilings --samples 20000
    python benchmarks/cohorts.py speed --samples 100000
    python benchmarks/cohorts.py table --samples 500
    python benchmarks/cohorts.py fitted --cohort tcga.h5mu
    python benchmarks/cohorts.py factors --cohort metabric_both.h5mu
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genomix_cli.cohorts.requests import CohortRequest
from genomix_cli.cohorts.simulate.cohort import simulate_cohort
from genomix_cli.cohorts.simulate.parameters import DIFFICULTIES, presets, read_parameters

if TYPE_CHECKING:
    from genomix_cli.formats.cohort import Cohort


def ceilings(samples: int, seed: int) -> None:
    """Print the ceilings of each preset and difficulty, with and without synergy."""
    columns = ("preset", "difficulty", "synergy", "Bayes accuracy", "95 %", "AUROC")
    print("|", " | ".join((*columns, "late fusion", "best single")), "|")
    print("|" + "---|" * 8)
    for preset in presets():
        for synergy in (False, True):
            for difficulty in DIFFICULTIES:
                parameters = read_parameters(
                    preset, difficulty=difficulty, synergy=synergy, samples=samples
                )
                with tempfile.TemporaryDirectory() as folder:
                    request = CohortRequest(Path(folder) / "c.h5mu", parameters, seed=seed)
                    found = simulate_cohort(request).ceilings
                whole = found[-1]
                single = max((c for c in found if len(c.modalities) == 1), key=lambda c: c.accuracy)
                cells = (
                    preset,
                    difficulty,
                    "yes" if synergy else "no",
                    f"{whole.accuracy:.4f}",
                    f"{whole.low:.4f}-{whole.high:.4f}",
                    f"{whole.auroc:.4f}",
                    f"{whole.late_fusion:.4f}",
                    f"{single.accuracy:.4f} ({single.modalities[0]})",
                )
                print("|", " | ".join(cells), "|", flush=True)


def speed(samples: int, seed: int) -> None:
    """Print seconds and peak memory of simulating the `cancer-alpha` preset, with 330 features."""
    parameters = read_parameters("cancer-alpha", samples=samples)
    with tempfile.TemporaryDirectory() as folder:
        request = CohortRequest(Path(folder) / "c.h5mu", parameters, seed=seed)
        started = time.perf_counter()
        simulate_cohort(request)
        seconds = time.perf_counter() - started
        size = request.output.stat().st_size / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{samples:,} samples: {seconds:.1f} s, peak {peak:.0f} MiB, file {size:.0f} MiB")


def table(samples: int, seed: int) -> None:
    """Print seconds and peak memory of `prepare cohort` for a text table of 100,000 CpGs."""
    import numpy as np

    from genomix_cli.cohorts.prepare.cohort import prepare_cohort
    from genomix_cli.cohorts.requests import PrepareRequest

    cpgs = 100_000
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "beta.tsv"
        with open(path, "w") as file:
            file.write("\t".join(["probe", *(f"sample{i}" for i in range(samples))]) + "\n")
            for i in range(cpgs):
                values = "\t".join(f"{x:.4f}" for x in rng.random(samples))
                file.write(f"cg{i:08d}\t{values}\n")
        size = path.stat().st_size / 2**20
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        started = time.perf_counter()
        prepare_cohort(PrepareRequest(Path(folder) / "c.h5mu", {"methylation": path}))
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{cpgs:,} CpGs x {samples:,} samples, {size:.0f} MiB of text: {seconds:.1f} s, "
        f"peak {peak:.0f} MiB ({before:.0f} before)"
    )


FACTORS = (0, 3, 6, 10, 15)


def fitted(cohort: Path, seed: int) -> None:
    """Print a row for the real cohort, and one per number of factors for cohorts fitted to it."""
    from genomix_cli.cohorts.fit.cohort import fit_cohort
    from genomix_cli.cohorts.inspect.compare import compare
    from genomix_cli.cohorts.requests import FitRequest
    from genomix_cli.formats.cohort import open_cohort

    with tempfile.TemporaryDirectory() as folder, open_cohort(cohort) as real:
        names = real.modalities
        subsets = [(name,) for name in names] + [tuple(names)]
        each = ["+".join(subset) for subset in subsets]
        print("| cohort |", " | ".join(f"sample means: {n}" for n in names), end=" | ")
        print(" | ".join([*(f"Bayes: {n}" for n in each), *(f"logistic: {n}" for n in each)]), "|")
        print("|" + "---|" * (1 + len(names) + 2 * len(subsets)))
        learnt = [_logistic(real, subset) for subset in subsets]
        print("| real |", " | ".join([*[""] * (len(names) + len(subsets)), *learnt]), "|")
        for factors in FACTORS:
            params, like = Path(folder) / f"{factors}.yaml", Path(folder) / f"{factors}.h5mu"
            fit_cohort(FitRequest(params, cohort, factors=factors))
            found = simulate_cohort(CohortRequest(like, read_parameters(None, params), seed=seed))
            with open_cohort(like) as simulated:
                distances = {d.modality: d.ks for d in compare(real, simulated) if "sample" in d.of}
                learnt = [_logistic(simulated, subset) for subset in subsets]
            best = {c.modalities: f"{c.accuracy:.3f}" for c in found.ceilings}
            cells = [f"{distances[n]:.3f}" for n in names] + [best[s] for s in subsets] + learnt
            print(f"| {factors} factors |", " | ".join(cells), "|", flush=True)


def factors(cohort: Path, seed: int) -> None:
    """Print distances to real data if copy number and mutations had latent factors.

    The simulator gives them none. Mutations are drawn with probabilities that are linear in the
    factors, cut at 0 and 1.
    """
    import numpy as np
    import pandas as pd

    from genomix_cli.cohorts.fit.factors import fit_factors
    from genomix_cli.cohorts.fit.measured import Measured
    from genomix_cli.cohorts.inspect.compare import ks_distance
    from genomix_cli.cohorts.simulate.parameters import CohortParameters
    from genomix_cli.formats.cohort import open_cohort

    rng = np.random.default_rng(seed)
    with open_cohort(cohort) as file:
        real = {name: np.asarray(file.matrix(name), float) for name in ("mutations", "copy_number")}
        label = np.asarray(file.labels)
    n, alone = len(label), np.zeros(len(label), int)
    classes = dict.fromkeys(map(str, range(label.max() + 1)), 1 / (label.max() + 1))
    shared = CohortParameters(classes=classes).build().shared
    measured = {
        name: Measured(
            x, pd.DataFrame(index=range(x.shape[1])), x.shape[1], label, alone, shared, ""
        )
        for name, x in real.items()
    }

    def row(what: str, name: str, *pair: Any) -> None:
        views = ([x.ravel(), x.mean(0), x.std(0), x.mean(1)] for x in pair)
        cells = [f"{ks_distance(a, b):.3f}" for a, b in zip(*views, strict=True)]
        print(f"| {what} | {name} |", " | ".join(cells), "|", flush=True)

    print("| factors | modality | all values: KS | feature means | feature SDs | sample means |")
    print("|---|---|---|---|---|---|")
    mixed = rng.permutation(n)
    for name, x in real.items():
        row("halves", name, x[mixed[: n // 2]], x[mixed[n // 2 :]])
    for width in (1, 3, 10):
        law, fits = fit_factors(measured, dict.fromkeys(real, alone == 0), label, width)
        means, spreads = np.array(law.means), np.array(law.covariances)
        z = np.stack([rng.multivariate_normal(means[k], spreads[k]) for k in label])
        for name, x in real.items():
            own = fits[name].parameters
            loadings = np.array(own.loadings)
            drawn = (
                np.array(own.base) + z[:, own.first : own.first + loadings.shape[1]] @ loadings.T
            )
            if name == "mutations":
                drawn = (rng.random(x.shape) < drawn).astype(float)
            else:
                drawn = drawn + np.array(own.noise) * rng.normal(size=x.shape)
            row(str(width), name, x, drawn)


def _logistic(cohort: Cohort, modalities: tuple[str, ...]) -> str:
    """Return the 5-fold accuracy of logistic regression on standardised features (C = .01)."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values = np.concatenate([cohort.matrix(name) for name in modalities], axis=1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return f"{cross_val_score(model, values, cohort.labels, cv=folds).mean():.3f}"


def main() -> int:
    """Run the requested benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("ceilings", "speed", "table", "fitted", "factors"))
    parser.add_argument("--cohort", type=Path, help="real cohort to fit, complete")
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.what in ("fitted", "factors"):
        {"fitted": fitted, "factors": factors}[asked.what](asked.cohort, asked.seed)
        return 0
    {"ceilings": ceilings, "speed": speed, "table": table}[asked.what](asked.samples, asked.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
