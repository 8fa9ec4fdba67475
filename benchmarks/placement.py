"""Measure what the positions of simulated variants reveal about their labels, by placement.

Usage: python benchmarks/placement.py WORK

For each placement of ``genomix simulate genome``, the script simulates a genome of 4 x 3 Mb with 20
variants per kb. Gradient boosting learns from positions alone on chr1 to chr3 and is evaluated on
chr4: from the distance to the nearest other site, as in `genomix evaluate`, and from the distances
to the eight sites on either side. Intervals come from 200 draws of loci of 100 kb.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from genomix_cli.variants.requests.simulate import SimulationRequest
from genomix_cli.variants.simulate.causal import PLACEMENTS
from genomix_cli.variants.simulate.genome import simulate_genome

SIDES, HELD_OUT, LOCUS, DRAWS = 8, "chr4", 100_000, 200


def main(work: Path) -> None:
    """Print a row of Markdown for each placement."""
    print("| placement | positives | ceiling | nearest site | eight sites on either side |")
    print("|---|---|---|---|---|")
    for placement in PLACEMENTS:
        folder = work / placement
        summary = simulate_genome(
            SimulationRequest(folder, 4, 3_000_000, 20.0, placement=placement, seed=41, force=True)
        )
        contig, locus, label, gaps = read(folder / "variants.vcf.gz")
        learn, judge = contig != HELD_OUT, contig == HELD_OUT
        cells = []
        for features in (gaps.min(1, keepdims=True), gaps):
            model = HistGradientBoostingClassifier(random_state=0)
            model.fit(features[learn], label[learn])
            predicted = model.predict_proba(features[judge])[:, 1]
            cells.append(interval(label[judge], predicted, locus[judge]))
        ceiling = summary.auroc_by_contig[HELD_OUT]
        print(f"| `{placement}` | {summary.prevalence:.1%} | {ceiling:.4f} | {' | '.join(cells)} |")


def read(path: Path) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return contig, locus, label and ``[n, 16]`` distances to other sites, of each first ALT."""
    with pysam.VariantFile(str(path)) as vcf:
        rows = [(r.contig, r.pos, r.info["LABEL"][0]) for r in vcf]
    contig, pos, label = map(np.array, zip(*rows, strict=True))
    gaps = np.concatenate([distances(pos[contig == name]) for name in dict.fromkeys(contig)])
    return contig, pos // LOCUS, label, gaps


def distances(pos: NDArray) -> NDArray:
    """Return distances to the next sites on either side, float64 ``[n, 16]``; NaN if none."""
    padded = np.pad(pos.astype(float), SIDES, constant_values=np.nan)
    steps = [step for step in range(-SIDES, SIDES + 1) if step]
    columns = [padded[SIDES + step : SIDES + step + len(pos)] for step in steps]
    return np.abs(np.stack(columns, 1) - pos[:, None])


def interval(label: NDArray, predicted: NDArray, locus: NDArray) -> str:
    """Return AUROC with its 95 % interval over loci."""
    rng, loci = np.random.default_rng(0), np.unique(locus)
    members = [np.flatnonzero(locus == each) for each in loci]
    draws = []
    for _ in range(DRAWS):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(loci), len(loci))])
        draws.append(roc_auc_score(label[rows], predicted[rows]))
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{roc_auc_score(label, predicted):.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
