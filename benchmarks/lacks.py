"""Find what a model of a simulated genome has not learned: the cause that would help it most.

Usage: python benchmarks/lacks.py SCORED.vcf.gz

SCORED is one contig of `genomix simulate genome`, scored. Gradient boosting learns on the first
half of the contig from the model's logit and some of the causes (motif broken, element open,
promoter in contact), and is evaluated on the second half. A cause that the model knows adds
nothing.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

CAUSES = ("BREAK", "OPEN", "CONTACT")


def main(path: Path) -> None:
    """Print a row of Markdown for each set of causes."""
    pos, label, truth, logit, causes = read(path)
    first = pos < np.median(pos)
    print("| the model, and | AUROC | AUPRC |\n|---|---|---|")
    for size in range(len(CAUSES) + 1):
        for chosen in combinations(range(len(CAUSES)), size):
            features = np.column_stack([logit, causes[:, list(chosen)]])
            model = HistGradientBoostingClassifier(learning_rate=0.05, max_leaf_nodes=15)
            model.fit(features[first], label[first])
            predicted = model.predict_proba(features[~first])[:, 1]
            name = ", ".join(CAUSES[i] for i in chosen) or "nothing"
            print(f"| {name} | {row(label[~first], predicted)} |")
    print(f"| the true probability alone | {row(label[~first], truth[~first])} |")


def read(path: Path) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    """Return position, LABEL, PROB, logit of GENOMIX_P and ``[n, 3]`` causes of each scored ALT."""
    rows = []
    with pysam.VariantFile(str(path)) as vcf:
        for record in vcf:
            info = record.info
            for i, p in enumerate(info.get("GENOMIX_P", ())):
                if p is not None:
                    causes = info["BREAK"][i], info["OPEN"], info["CONTACT"]
                    rows.append((record.pos, info["LABEL"][i], info["PROB"][i], p, *causes))
    table = np.array(rows, float)
    p = table[:, 3]
    return table[:, 0], table[:, 1], table[:, 2], np.log(p / (1 - p)), table[:, 4:]


def row(label: NDArray, score: NDArray) -> str:
    """Return AUROC and AUPRC as cells."""
    return f"{roc_auc_score(label, score):.4f} | {average_precision_score(label, score):.4f}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
