"""Simulated cohorts: the ceiling of every preset, and the time and memory of a large one.

::

    python benchmarks/cohorts.py ceilings --samples 20000
    python benchmarks/cohorts.py speed --samples 100000
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from genomix_cli.cohorts.parameters import DIFFICULTIES, presets, read_parameters
from genomix_cli.cohorts.simulate import CohortRequest, simulate_cohort


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


def main() -> int:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("ceilings", "speed"))
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    {"ceilings": ceilings, "speed": speed}[asked.what](asked.samples, asked.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
