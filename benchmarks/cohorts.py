"""Cohorts: the ceiling of every preset, the time and memory of a large one and of a large table.

::

    python benchmarks/cohorts.py ceilings --samples 20000
    python benchmarks/cohorts.py speed --samples 100000
    python benchmarks/cohorts.py table --samples 500
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from genomix_cli.cohorts.requests import CohortRequest
from genomix_cli.cohorts.simulate.cohort import simulate_cohort
from genomix_cli.cohorts.simulate.parameters import DIFFICULTIES, presets, read_parameters


def ceilings(samples: int, seed: int) -> None:
    """A line for each preset, difficulty, with and without synergy."""
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
    """Seconds and peak memory of the `cancer-alpha` preset: 330 features."""
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
    """Seconds and peak memory of `prepare cohort` for a text table of 100,000 CpGs."""
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


def main() -> int:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("ceilings", "speed", "table"))
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    {"ceilings": ceilings, "speed": speed, "table": table}[asked.what](asked.samples, asked.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
