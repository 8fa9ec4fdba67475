"""Measure how often intervals over repeated folds separate two equally good kinds of model.

::

    python benchmarks/repeats.py

Two discriminants see separate columns that are equally informative about two classes, so over data
sets neither is better. In a single data set, one may be better because of the samples and what it
learned from them. An interval for the kind of model must allow for both, and should contain 0 in
95 % of data sets.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from genomix_cli.comparison.intervals import interval_of, resampled_interval

Floats = NDArray[np.float64]
#: Samples, columns of each model, shift of a column between the classes in SDs.
CASES = ((100, 10, 0.3), (400, 10, 0.3), (400, 100, 0.1))
FOLDS, DRAWS = 5, 1000
# Added to the variance of each column, so that 100 of them can be inverted.
RIDGE = 0.05


def classified(x: Floats, y: NDArray[np.int64], other: Floats) -> NDArray[np.bool_]:
    """Return True where the linear discriminant of `x` and `y` predicts the second class."""
    means = [x[y == k].mean(0) for k in (0, 1)]
    within = np.vstack([x[y == k] - means[k] for k in (0, 1)])
    w = np.linalg.solve(np.cov(within.T) + RIDGE * np.eye(x.shape[1]), means[1] - means[0])
    return (other - (means[0] + means[1]) / 2) @ w > 0


def told_apart(n: int, d: int, gap: float, repeats: int, seed: list[int]) -> tuple[bool, bool]:
    """Return True if the bootstrap, and if the corrected t-test, finds a difference in a pair."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, 2 * d)) + gap * y[:, None]
    right, gaps = np.zeros((repeats, n, 2)), []
    for r in range(repeats):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=r).split(x, y)
        for train, test in folds:
            for m in (0, 1):
                own = slice(m * d, (m + 1) * d)
                right[r, test, m] = (
                    classified(x[train][:, own], y[train], x[test][:, own]) == y[test]
                )
            gaps.append((right[r, test, 0] - right[r, test, 1]).mean())
    each = (right[..., 0] - right[..., 1]).mean(0)
    drawn = rng.multinomial(n, np.full(n, 1 / n), DRAWS) / n
    bootstrap = interval_of(np.append(each.mean(), drawn @ each))
    corrected = resampled_interval(np.array(gaps), 1 / (FOLDS - 1))
    return bootstrap.sign != 0, corrected.sign != 0


def main() -> None:
    """Print a row per case and number of repeats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200, help="made data sets of each case")
    sets = parser.parse_args().sets
    for n, d, gap in CASES:
        for repeats in (1, 10):
            found = [told_apart(n, d, gap, repeats, [1, i]) for i in range(sets)]
            shares = " | ".join(f"{share:.3f}" for share in np.mean(found, 0))
            print(f"| {n} x {d} | {repeats} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
