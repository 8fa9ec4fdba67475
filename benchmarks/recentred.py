"""Shared windows against re-centred ones: the same trunk, seconds per variant, as a Markdown table.

    python benchmarks/recentred.py DATA_DIR [--rounds 5]

What a variant costs with the weights that ship, on one CPU thread, at a whole genome's density (one
SNV per 600 bp, made up with a fixed seed on hg38 chr22), input included:

shared
    `Engine`, as `genomix score` uses it: a window goes through the trunk once, every SNV in it
    through a few tokens. Six windows, 500 SNVs.
re-centred
    The ablation that other tools are: for each SNV the +-50 kb around it, once with the reference
    and once with the alternate base put in; both through the trunk, read out at the SNV's bin.

Both take turns, every figure is a median over rounds. Checked besides: an SNV has the same logit
scored alone in its window as scored with all the others of that window.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
import torch
from chr22 import CONTACTS, TRACKS, inputs
from numpy.typing import NDArray
from snvs import SPACING, made_up

from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.signal import Uncovered
from genomix_cli.genome.source import GenomeSource, RawGenome
from genomix_cli.nn.attention import LowRankBias, biased_attention
from genomix_cli.training.checkpoints import LoadedModel, load_model
from genomix_cli.variants.engine import Clock, Engine, Target, window_tensors
from genomix_cli.variants.inputs import BIN_SIZE, MARGIN, STRIDE, load_window, trim_allele
from genomix_cli.variants.models.base import Window
from genomix_cli.variants.models.gmt import BINS_PER_CONTACT, GMT
from genomix_cli.variants.score import DEFAULT_MODEL, STAGES

CPU = torch.device("cpu")
CONTIG, START, WINDOWS, SEED = "chr22", 30_000_000, 6, 20_261_121
#: Re-centred SNVs a round, spread over the stretch.
RECENTRED = 4
#: SNVs scored alone in the check, spread over the stretch.
ALONE = 12
SAME = 1e-5


class Trunk:
    """GMT's trunk, read out at one bin.

    `GMT.window` gives what variants read: the keys and values of each layer, and no final tokens.
    The token of one bin is finished here from the last layer's input; next to the trunk that
    costs nothing.

    Parameters
    ----------
    model : GMT
    """

    def __init__(self, model: GMT) -> None:
        self.model = model
        self.last = model.layers[-1]
        self._input: torch.Tensor | None = None
        self.last.norm_attention.register_forward_pre_hook(self._keep)

    def _keep(self, _: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        self._input = arguments[0]  # [1, N, d]

    def __call__(self, window: Window, bin_index: int) -> torch.Tensor:
        """Logit that the head reads from the token of a bin, ``[]``."""
        context = self.model.window(window)
        assert self._input is not None
        x = self._input[:, bin_index : bin_index + 1]
        attention, cache = self.last.attention, context.layers[-1]
        column = torch.arange(self.model.n_bins) // BINS_PER_CONTACT
        row = int(column[bin_index])
        bias = LowRankBias(context.priors[-1][:, :, row : row + 1], column)
        query = attention.project(self.last.norm_attention(x))[0]
        x = x + attention.merge(biased_attention(query, cache.key, cache.value, bias))
        x = x + self.last.mlp(self.last.norm_mlp(x))
        return self.model.head(self.model.norm(x)).squeeze()


def recentred(trunk: Trunk, source: GenomeSource, target: Target) -> float:
    """Effect of one SNV in the window around it; the contact grid moves it by up to 2.5 kb."""
    n_bins, allele = trunk.model.n_bins, target.allele
    middle = allele.pos - n_bins * BIN_SIZE // 2
    start = round(middle / CONTACT_BIN) * CONTACT_BIN
    window = window_tensors(load_window(source, target.contig, start, n_bins), CPU)
    codes = window.codes.clone()
    codes[0, MARGIN + allele.pos - start] = int(allele.alt[0])
    place = (allele.pos - start) // BIN_SIZE
    with torch.inference_mode():
        return float(trunk(window._replace(codes=codes), place) - trunk(window, place))


def shared(model: LoadedModel, source: GenomeSource, targets: Sequence[Target]) -> NDArray:
    """Logits of the targets by the engine, float64 ``[len(targets)]``; it keeps no window."""
    engine = Engine(model, source, CPU, Clock(tuple(STAGES)))
    odds = engine.probabilities(targets)
    calibration = model.config.calibration
    return (np.log(odds / (1 - odds)) - calibration.intercept) / calibration.slope


def largest_difference(
    model: LoadedModel, source: GenomeSource, targets: Sequence[Target]
) -> float:
    """Between the logits of SNVs scored alone and with all the others of their window."""
    together = shared(model, source, targets)
    some = spread(len(targets), ALONE)
    alone = np.concatenate([shared(model, source, [targets[i]]) for i in some])
    return float(np.abs(alone - together[some]).max())


def spread(length: int, count: int) -> NDArray[np.int_]:
    """`count` indices, evenly from the first to the last of `length`."""
    return np.linspace(0, length - 1, count).round().astype(int)


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def open_genome(data: Path, work: Path, model: LoadedModel) -> RawGenome:
    """FASTA, tracks and contacts as `genomix score` opens them."""
    inputs(data, work)
    tracks = {name: data / "tracks" / file for name, file in TRACKS.items()}
    config = model.config
    return RawGenome(
        work / "chr22.fa",
        tracks,
        config.tracks,
        data / "contacts" / CONTACTS,
        uncovered=cast(Uncovered, config.uncovered),
        max_gap_bins=config.max_gap_bins,
    )


def main() -> None:
    """Take turns, check, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(DEFAULT_MODEL, CPU)
    with tempfile.TemporaryDirectory() as folder:
        source = open_genome(options.data, Path(folder), model)
        snvs = made_up(Path(folder) / "chr22.fa", CONTIG, START, START + WINDOWS * STRIDE, SEED)
        targets = [Target(v.contig, trim_allele(v.pos - 1, v.ref, v.alt)) for v in snvs]
        some, trunk = [targets[i] for i in spread(len(targets), RECENTRED)], Trunk(model.module)
        difference = largest_difference(model, source, targets)
        effects = [recentred(trunk, source, target) for target in some]
        if difference > SAME or not all(effects):
            raise SystemExit(f"alone and together differ by {difference}; effects {effects}")
        times: dict[str, list[float]] = {"shared": [], "re-centred": []}
        for _ in range(options.rounds):
            spent = seconds(lambda: shared(model, source, targets))
            times["shared"].append(spent / len(targets))
            spent = seconds(lambda: [recentred(trunk, source, target) for target in some])
            times["re-centred"].append(spent / len(some))
        source.close()
    ours, theirs = median(times["shared"]), median(times["re-centred"])
    print("| way | variants a round | trunk passes per variant | ms per variant | ratio |")
    print("|---|---|---|---|---|")
    passes = WINDOWS / len(targets)
    print(f"| shared windows | {len(targets)} | {passes:.3f} | {1000 * ours:.2f} | 1x |")
    print(
        f"| re-centred, ref and alt | {len(some)} | 2 | {1000 * theirs:.1f} | "
        f"{theirs / ours:.0f}x |"
    )
    by_round = [b / a for a, b in zip(*times.values(), strict=True)]
    print(
        f"\nOne SNV per {SPACING} bp; ratio by round {', '.join(f'{r:.0f}' for r in by_round)}. "
        f"Logits alone and together differ by at most {difference:.1e}."
    )
    print(json.dumps(times))


if __name__ == "__main__":
    main()
