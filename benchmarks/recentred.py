"""Shared windows against re-centred ones: the same trunk, seconds per variant, as a Markdown table.

    python benchmarks/recentred.py DATA_DIR [--rounds 5]

What a variant costs with the weights that ship, on one CPU thread, at a whole genome's density (one
SNV per 600 bp, made up with a fixed seed on hg38 chr22), input included:

shared
    `Engine`, as `genomix score` uses it: a window goes through the trunk once, every SNV in it
    through a few tokens. 300 kb, 500 SNVs.
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
    """Effect of one SNV in the window around it; the contact grid moves it by up to 2.5 kb."""
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
    """Logits of the targets by an engine of its own, float32 ``[len(targets)]``."""
    return Engine(model, source, CPU).score(targets).logit


class WithoutDifference:
    """The same model for an engine that would not score "no change" beside each allele."""

    def __init__(self, model: GMT) -> None:
        self.window = model.window
        self.variants = model.variants
        self.n_bins, self.core_bins, self.flank = model.n_bins, model.core_bins, model.flank
        self.reads_window, self.outputs = True, ()

    def answers(self, context: Any, variants: Variants, shared: Any) -> Answers:
        """Logits of the variants, and nothing to compare them with."""
        logits = self.variants(context, variants)
        return Answers(logits, torch.zeros_like(logits), logits.new_zeros(*logits.shape, 0))


def plain_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: Any, blocks: torch.Tensor
) -> torch.Tensor:
    """Attention as the formula has it, ``[H, N, N]`` in memory."""
    dense = bias[..., blocks][..., blocks, :]
    return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + dense).softmax(-1) @ v


@contextmanager
def plainly() -> Iterator[None]:
    """GMT's trunk with :func:`plain_attention` for a while."""
    fused, gmt.biased_attention = gmt.biased_attention, plain_attention
    try:
        yield
    finally:
        gmt.biased_attention = fused


def largest_difference(
    model: VariantModel, source: GenomeSource, targets: Sequence[Target]
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
    """CPU seconds: other processes may share the machine."""
    start = time.process_time()
    work()
    return time.process_time() - start


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
    """Medians and ratios to each of the shared ways."""
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
