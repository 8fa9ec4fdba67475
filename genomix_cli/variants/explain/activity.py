"""Explain a predicted change in activity by Integrated Gradients and by every substitution.

The change is ``GENOMIX_DA``: the mean of a network's outputs in standard deviations, alt minus ref,
averaged over strands. As for window-based scores, two baselines answer two questions:

- ``ref``: the path leads from the reference haplotype to the alternate one. Which of the changed
  bases matter?
- ``shuffle``: one path leads to each haplotype, from the mean of shuffles of the reference one.
  Which bases around the variant make the difference? Contributions common to both alleles cancel.

Letters: B batch, L bases that the network reads, H haplotype bases, K outputs.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from genomix_cli.genome.shuffle import dinucleotide_shuffle
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.genome.source import RawGenome
from genomix_cli.learning.finite import finite
from genomix_cli.variants.explain.attribution import (
    N_SHUFFLES,
    Attribution,
    FloatArray,
    completely,
    integrate,
)
from genomix_cli.variants.explain.explanation import Explanation, Mutations, Site
from genomix_cli.variants.models.activity import Activity
from genomix_cli.variants.records.inputs import (
    MAX_ALLELE,
    Allele,
    Haplotypes,
    WindowArrays,
    haplotypes,
    load_window,
)
from genomix_cli.variants.requests.explain import ExplainRequest
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.trained import LoadedModel

UNIT = "SD of activity"
# Batch size of the network, in sequences.
BATCH = 64


class ActivityExplainer:
    """Explainer of single alleles with a sequence-activity network.

    Parameters
    ----------
    loaded : LoadedModel
    source : RawGenome
    request : ExplainRequest
    """

    def __init__(self, loaded: LoadedModel, source: RawGenome, request: ExplainRequest) -> None:
        self.model: Activity = loaded.module
        self.source = source
        self.request = request
        self.device = self.model.bases.device
        weights = Differences.of(loaded.config.activity, cell=request.cell).weights()
        self.weights = torch.from_numpy(weights).to(self.device)

    def explain(self, site: Site) -> Explanation:
        """Explain one allele, on the haplotypes used for scoring."""
        model, request = self.model, self.request
        start, window = self._surroundings(site.contig, site.allele)
        around = haplotypes(self.source, site.contig, [site.allele], model.flank)
        # The seed includes the position, so shuffles do not depend on the other alleles explained.
        seed = [request.seed, zlib.crc32(site.contig.encode()), site.allele.pos]
        # With TF32, the error of convolutions would be as large as the completeness tolerance.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return Explanation(
                site,
                start,
                float("nan"),
                window,
                around,
                model.flank,
                tuple(
                    self._attribute(around, baseline, np.random.default_rng(seed), window)
                    for baseline in request.baselines
                ),
                unit=UNIT,
                mutations=self._mutations(around) if request.mutagenesis else None,
            )

    def _surroundings(self, contig: str, allele: Allele) -> tuple[int, WindowArrays]:
        """Return the window of bins that hold both haplotypes, preceded by its start."""
        start = (allele.pos - self.model.flank) // BIN_SIZE * BIN_SIZE
        n_bins = -((start - allele.pos - self.model.flank - MAX_ALLELE) // BIN_SIZE)
        return start, load_window(self.source, contig, start, n_bins)

    def _activity(self, p: Tensor) -> Tensor:
        """Return the mean of the outputs, ``[B, L, 4]`` -> ``[B]``."""
        return self.model.activity(p[None])[0] @ self.weights

    def _attribute(
        self, around: Haplotypes, baseline: str, rng: np.random.Generator, window: WindowArrays
    ) -> Attribution:
        """Attribute the change to the bases of both haplotypes."""
        ref, alt = (self._read(codes) for codes in (around.ref, around.alt))
        base = None if baseline == "ref" else self._shuffled(around, rng)
        with torch.no_grad():
            change = float(self._activity(alt) - self._activity(ref))

        def attributed(steps: int) -> Attribution:
            of_ref, of_alt = (
                _padded(values, around.ref.shape[1]) for values in self._both(ref, alt, base, steps)
            )
            bases, tracks = np.zeros(len(window.codes)), np.zeros(window.signal.shape)
            return Attribution(baseline, bases, of_ref, of_alt, 0.0, tracks, change)

        return completely(attributed, self.request.steps)

    def _read(self, codes: np.ndarray) -> Tensor:
        """Return the input of the network: haplotypes ``[B, H]`` -> ``[B, L, 4]``."""
        return self.model.probabilities(torch.from_numpy(codes).to(self.device))

    def _shuffled(self, around: Haplotypes, rng: np.random.Generator) -> Tensor:
        """Return the mean of shuffles of the reference haplotype, ``[1, L, 4]``."""
        row = around.ref[0, : self.model.config.length]
        rows = np.stack([dinucleotide_shuffle(row, rng) for _ in range(N_SHUFFLES)])
        return self._read(rows).mean(0, keepdim=True)

    def _both(
        self, ref: Tensor, alt: Tensor, base: Tensor | None, steps: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return the contributions of the bases of ref and alt, ``[L]`` each.

        With `base` None, the path leads from ref to alt; otherwise one path leads from `base` to
        each of them.
        """
        if base is None:
            return np.zeros(ref.shape[1]), self._path(ref, alt, steps)
        return -self._path(base, ref, steps), self._path(base, alt, steps)

    def _path(self, base: Tensor, end: Tensor, steps: int) -> FloatArray:
        """Return the contribution of each base to the change from `base` to `end`, ``[L]``."""
        path = integrate(self._activity, [end], [base], steps, BATCH)
        values = ((end - base) * path.gradients[0])[0].sum(-1)
        return values.double().cpu().numpy()

    @torch.no_grad()
    def _mutations(self, around: Haplotypes) -> Mutations:
        """Return the change in activity caused by each substitution in either haplotype."""
        length, found = self.model.config.length, []
        for codes in (around.ref[0, :length], around.alt[0, :length]):
            # With equal batch sizes and row positions, a row and the haplotype round alike.
            rows = np.repeat(codes[None], -(-4 * length // BATCH) * BATCH, 0)
            at = np.arange(4 * length)
            rows[at, at // 4] = at % 4
            own = self._activity(self._read(np.repeat(codes[None], BATCH, 0)))
            batches = np.split(rows, len(rows) // BATCH)
            changes = [self._activity(self._read(batch)) - own for batch in batches]
            values = torch.cat(changes)[: 4 * length].reshape(length, 4).cpu().numpy()
            found.append(finite(values, "a change of activity"))
        return Mutations(*found)


def _padded(values: FloatArray, size: int) -> FloatArray:
    return np.concatenate([values, np.zeros(size - len(values))])
