"""Compare shared with re-centred windows on the same trunk, as a Markdown table.

    python benchmarks/recentred.py DATA_DIR [--rounds 5]

The table has the cost of a variant with the weights that ship, on one CPU thread, at a whole
genome's density (one SNV per 600 bp, made up with a fixed seed on hg38 chr22), input included:

shared
    `Engine`, as in `genomix score`: a window goes through the trunk once, and every SNV in it
    through a few tokens. 300 kb, 500 SNVs.
re-centred
    An ablation that works like other tools: for each SNV the +-50 kb around it, once with the
    reference and once with the alternate base; both go through the trunk, read out at the SNV's
    bin.
Both take turns, and every number is a median over rounds. The script also checks that an SNV has
the same logit alone in its window as with all the others of that window.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from chr22 import CONTACTS, TRACKS, inputs
from numpy.typing import NDArray
from snvs import SPACING, made_up

from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.signal import Uncovered
from genomix_cli.genome.source import GenomeSource, RawGenome
from genomix_cli.variants.models import gmt
from genomix_cli.variants.models.base import Answers, VariantModel, Variants, Window
from genomix_cli.variants.models.gmt import GMT
from genomix_cli.variants.models.layout import BINS_PER_CONTACT
from genomix_cli.variants.records.inputs import BIN_SIZE, MARGIN, load_window, trim_allele
from genomix_cli.variants.score.engine import Engine
from genomix_cli.variants.score.reading import Target, window_tensors
from genomix_cli.variants.trained import LoadedModel, load_model

CPU = torch.device("cpu")
CONTIG, START, LENGTH, SEED = "chr22", 30_000_000, 300_000, 20_261_121
#: Number of re-centred SNVs per round, spread over the stretch.
RECENTRED = 4
#: Number of SNVs scored alone in the check, spread over the stretch.
ALONE = 12
SAME = 1e-5


class Trunk:
    """GMT's trunk, read out at one bin.

    `GMT.window` returns what variants read: the keys and values of each layer, but no final tokens.
    This class computes the final token of one bin from the last layer's input, at negligible cost.

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
        """Return the head's logit for the token of a bin, a scalar."""
        context = self.model.window(window)
        assert self._input is not None
        layout = self.model.layout
        token = int(layout.token[bin_index])
        x = self._input[:, token : token + 1]
        attention, cache = self.last.attention, context.layers[-1]
        row = bin_index // BINS_PER_CONTACT
        bias = context.priors[-1][:, :, row : row + 1][..., layout.contact_bin]
        query = attention.project(self.last.norm_attention(x))[0]
        mixed = F.scaled_dot_product_attention(query, cache.key, cache.value, attn_mask=bias)
        x = x + attention.merge(mixed)
        x = x + self.last.mlp(self.last.norm_mlp(x))
        return self.model.head(self.model.norm(x)).squeeze()


def recentred(trunk: Trunk, source: GenomeSource, target: Target) -> float:
    """Return the effect of an SNV in the window around it, aligned to the contact grid (2.5 kb)."""
    n_bins, allele = trunk.model.n_bins, target.allele
    middle = allele.pos - n_bins * BIN_SIZE // 2
    start = round(middle / CONTACT_BIN) * CONTACT_BIN
    window = window_tensors([load_window(source, target.contig, start, n_bins)], CPU)
    codes = window.codes.clone()
    codes[0, MARGIN + allele.pos - start] = int(allele.alt[0])
    place = (allele.pos - start) // BIN_SIZE
    with torch.inference_mode():
        return float(trunk(window._replace(codes=codes), place) - trunk(window, place))


def shared(model: VariantModel, source: GenomeSource, targets: Sequence[Target]) -> NDArray:
    """Return the logits of the targets from a new engine, float32 ``[len(targets)]``."""
    return Engine(model, source, CPU).score(targets).logit


class WithoutDifference:
    """The same model without the score of "no change" that is computed for each allele."""

    def __init__(self, model: GMT) -> None:
        self.window = model.window
        self.variants = model.variants
        self.n_bins, self.core_bins, self.flank = model.n_bins, model.core_bins, model.flank
        self.reads_window, self.outputs = True, ()

    def answers(self, context: Any, variants: Variants, shared: Any) -> Answers:
        """Return the logits of the variants, with 0 in place of those of "no change"."""
        logits = self.variants(context, variants)
        return Answers(logits, torch.zeros_like(logits), logits.new_zeros(*logits.shape, 0))


def plain_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: Any, blocks: torch.Tensor
) -> torch.Tensor:
    """Compute attention by its formula, with ``[H, N, N]`` in memory."""
    dense = bias[..., blocks][..., blocks, :]
    return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + dense).softmax(-1) @ v


@contextmanager
def plainly() -> Iterator[None]:
    """Use :func:`plain_attention` in GMT's trunk within the block."""
    fused, gmt.biased_attention = gmt.biased_attention, plain_attention
    try:
        yield
    finally:
        gmt.biased_attention = fused


def largest_difference(
    model: VariantModel, source: GenomeSource, targets: Sequence[Target]
) -> float:
    """Return the largest difference between logits of SNVs scored alone and scored together."""
    together = shared(model, source, targets)
    some = spread(len(targets), ALONE)
    alone = np.concatenate([shared(model, source, [targets[i]]) for i in some])
    return float(np.abs(alone - together[some]).max())


def spread(length: int, count: int) -> NDArray[np.int_]:
    """Return `count` indices, evenly spaced from the first to the last of `length`."""
    return np.linspace(0, length - 1, count).round().astype(int)


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call, because other processes may share the machine."""
    start = time.process_time()
    work()
    return time.process_time() - start


def open_genome(data: Path, work: Path, model: LoadedModel) -> RawGenome:
    """Open FASTA, tracks and contacts as `genomix score` does."""
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
    """Time both methods in turns, check the logits, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model("gmt-mini-sim", CPU)
    with tempfile.TemporaryDirectory() as folder:
        source = open_genome(options.data, Path(folder), model)
        snvs = made_up(Path(folder) / "chr22.fa", CONTIG, START, START + LENGTH, SEED)
        core = model.module.core_bins * BIN_SIZE
        targets = [
            Target(v.contig, trim_allele(v.pos - 1, v.ref, v.alt), (v.pos - 1) // core)
            for v in snvs
        ]
        some, trunk = [targets[i] for i in spread(len(targets), RECENTRED)], Trunk(model.module)
        difference = largest_difference(model.module, source, targets)
        effects = [recentred(trunk, source, target) for target in some]
        if difference > SAME or not all(effects):
            raise SystemExit(f"alone and together differ by {difference}; effects {effects}")
        bare: Any = WithoutDifference(model.module)

        def plain() -> None:
            with plainly():
                recentred(trunk, source, some[0])

        ways: dict[str, tuple[int, Callable[[], object]]] = {
            "shared windows": (len(targets), lambda: shared(model.module, source, targets)),
            "the same without GENOMIX_DL": (len(targets), lambda: shared(bare, source, targets)),
            "re-centred, ref and alt": (
                len(some),
                lambda: [recentred(trunk, source, target) for target in some],
            ),
            "the same, attention not fused": (1, plain),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, (count, work) in ways.items():
                times[way].append(seconds(work) / count)
        source.close()
    print_table(times, difference, len(targets))


def print_table(times: dict[str, list[float]], difference: float, count: int) -> None:
    """Print medians, and ratios to both shared methods."""
    ours, bare, *_ = (median(spent) for spent in times.values())
    print("| way | ms per variant | to shared windows | to them without GENOMIX_DL |")
    print("|---|---|---|---|")
    for way, spent in times.items():
        taken = median(spent)
        print(f"| {way} | {1000 * taken:.2f} | {taken / ours:.3g}x | {taken / bare:.3g}x |")
    print(
        f"\n{count} SNVs, one per {SPACING} bp. Logits alone and together differ by at most "
        f"{difference:.1e}."
    )
    print(json.dumps(times))


if __name__ == "__main__":
    main()
