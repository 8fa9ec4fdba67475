"""Draw the figures of the site: `python docs/figures/draw.py`.

What is drawn is what ships: the metrics of gmt-mini-sim, and its scores of test_data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle

from genomix_cli import api
from genomix_cli.genome.vcf.reader import VcfReader

FOLDER = Path(__file__).parent
DATA = FOLDER.parents[1] / "test_data"
TRACKS = {name: DATA / f"{name}.bw" for name in ("ATAC", "H3K27ac", "H3K4me3", "CTCF")}
MODEL = "gmt-mini-sim"
# Legible on a light and on a dark page.
INK, BLUE, ORANGE, PALE = "#808080", "#0072B2", "#D55E00", "#8fbcd9"
STYLE = {
    "svg.hashsalt": "genomix",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
CONTROLS = {
    "as_is": "as it is",
    "alleles_swapped": "alleles swapped",
    "tracks_withheld": "tracks withheld",
    "variant_removed": "variant removed (alt = ref)",
}


def windows(axes: Axes) -> None:
    """Draw variants in overlapping windows, each scored in the one whose middle holds it."""
    axes.set(xlim=(0, 135), ylim=(-1.2, 3.4), yticks=[], xlabel="position (kb)")
    axes.spines["left"].set_visible(False)
    rng = np.random.default_rng(4)
    colours = (BLUE, ORANGE, "#009E73")
    for row, (start, colour) in enumerate(zip((12, 22, 32), colours, strict=True)):
        y = 2.4 - row
        # From the whole window to the 50-bp bins of its centre, and the core that it serves.
        for beside, alpha in ((0, 0.2), (40, 0.3), (45, 0.8)):
            width = 100 - 2 * beside
            axes.add_patch(
                Rectangle((start + beside, y), width, 0.5, color=colour, alpha=alpha, lw=0)
            )
        axes.vlines(
            start + 45 + np.sort(rng.uniform(0.5, 9.5, 4)), -0.75, -0.15, color=colour, lw=2
        )
    axes.text(32, 2.65, "bins of 500 bp", color=INK, ha="center", va="center")
    axes.text(73, 2.65, "50 bp", color=INK, ha="left", va="center")
    axes.text(2, -0.45, "variants", va="center")


def calibration(axes: Axes) -> None:
    """Draw how often alleles have an effect, by the probability that they were given."""
    scores = api.score(
        DATA / "variants.vcf.gz",
        fasta=DATA / "genome.fa.gz",
        tracks=TRACKS,
        contacts=DATA / "contacts.cool",
        model=MODEL,
        device="cpu",
        threads=1,
    )
    given = scores.frame()["GENOMIX_P"].to_numpy()
    label = np.array(list(_labels(DATA / "variants.vcf.gz")))
    edges = np.array([0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])
    part = np.clip(np.searchsorted(edges, given, "right") - 1, 0, len(edges) - 2)
    shown = [(given[part == i].mean(), label[part == i]) for i in np.unique(part)]
    p, found = np.array([(x, y.mean()) for x, y in shown]).T
    error = np.sqrt(found * (1 - found) / [len(y) for _, y in shown])
    axes.plot([0, 1], [0, 1], color=INK, lw=1, ls="--")
    axes.errorbar(p, found, error, color=BLUE, marker="o", lw=1.5, capsize=2)
    axes.text(0.57, 0.36, "as often as it says")
    axes.set(xlabel="GENOMIX_P", ylabel="share with an effect", xlim=(0, 1), ylim=(0, 1))


def _labels(vcf: Path) -> Any:
    with VcfReader(vcf) as reader:
        for record in reader:
            yield from map(int, (record.info("LABEL") or "").split(","))


def controls(axes: Axes) -> None:
    """Draw the AUROC of the model as it is and under each control."""
    found = api.open_run(_shipped()).metrics["controls"]
    values = [found[name] for name in CONTROLS]
    y = np.arange(len(values))[::-1]
    centre = np.array([v["value"] for v in values])
    reach = np.array([[v["value"] - v["low"], v["high"] - v["value"]] for v in values]).T
    axes.errorbar(centre, y, xerr=reach, fmt="o", color=BLUE, capsize=3)
    axes.axvline(0.5, color=INK, lw=1, ls="--")
    axes.text(0.505, len(y) - 0.45, "chance")
    axes.set(
        yticks=y, yticklabels=CONTROLS.values(), xlabel="AUROC", xlim=(0.38, 1), ylim=(-0.5, 3.7)
    )


def ceilings(axes: Axes) -> None:
    """Draw how near the model comes to what the true probabilities reach."""
    found = api.open_run(_shipped()).metrics["test"]
    for y, key in ((1, "auroc"), (0, "auprc")):
        value, most = found[key]["value"], found[f"bayes_{key}"]
        axes.add_patch(Rectangle((0, y - 0.2), 1, 0.4, color=INK, alpha=0.15, lw=0))
        axes.add_patch(Rectangle((0, y - 0.2), most, 0.4, color=PALE, lw=0))
        axes.add_patch(Rectangle((0, y - 0.2), value, 0.4, color=BLUE, lw=0))
        axes.text(value - 0.01, y, f"model {value:.3f}", ha="right", va="center", color="white")
        axes.text(most, y + 0.27, f"ceiling {most:.3f}", ha="center")
    axes.set(xlim=(0, 1), ylim=(-0.5, 1.6), yticks=[1, 0], yticklabels=["AUROC", "AUPRC"])


def chain(axes: Axes) -> None:
    """Draw the commands in their order."""
    axes.set(xlim=(0, 100), ylim=(0, 10))
    axes.axis("off")
    for i, name in enumerate(("simulate", "prepare", "train", "score", "explain")):
        x = 1 + 20 * i
        box = FancyBboxPatch(
            (x, 3), 15, 4, boxstyle="round,pad=0,rounding_size=1", color=BLUE, lw=0
        )
        axes.add_patch(box)
        axes.text(x + 7.5, 5, name, ha="center", va="center", color="white")
        if i:
            axes.annotate(
                "", (x - 0.3, 5), (x - 4.7, 5), arrowprops={"arrowstyle": "->", "color": INK}
            )


def _shipped() -> Path:
    return api.load_model(MODEL).path


FIGURES = {
    windows: (6.4, 2.2),
    calibration: (3.8, 3.2),
    controls: (6.4, 2.2),
    ceilings: (6.4, 1.8),
    chain: (6.4, 0.8),
}


def main() -> None:
    """Write every figure as SVG; the same code gives the same bytes."""
    with plt.rc_context(STYLE):
        for draw, size in FIGURES.items():
            figure, axes = plt.subplots(figsize=size, layout="constrained")
            draw(axes)
            figure.savefig(
                FOLDER / f"{draw.__name__}.svg", transparent=True, metadata={"Date": None}
            )
            plt.close(figure)


if __name__ == "__main__":
    main()
