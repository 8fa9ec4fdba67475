"""Integrated Gradients of a GMT for one variant, down to bases and track bins.

Sundararajan et al. 2017 (arXiv:1703.01365), in fp32 over the k-mer embeddings of the window and
of both haplotypes, and over the tracks. Two baselines answer two questions:

- ``ref``: the reference haplotype. What does the variant change?
- ``shuffle``: the mean of dinucleotide shuffles of the window, mean tracks and no variant. Why does
  a variant matter at this place?

Values are in log-odds of the calibrated probability; they add up to the change from the baseline to
the variant. A k-mer's value is spread equally over its k bases.

Letters in shapes: N bins, M tracks, G variants, S steps, H haplotype bases, r radius, w embedding
width, k k-mer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.comparison.explanation import STEPS, TOLERANCE, completeness_error, step_counts
from genomix_cli.errors import from_extra
from genomix_cli.genome.shuffle import dinucleotide_shuffle
from genomix_cli.learning.finite import finite
from genomix_cli.variants.models.allele_tokens import Alleles
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.models.gmt import GMT
from genomix_cli.variants.records.inputs import BIN_SIZE, MARGIN, Haplotypes, WindowArrays
from genomix_cli.variants.score.reading import window_tensors

BASELINES = ("ref", "shuffle")
N_SHUFFLES = 10
# Inputs of the allele tokens that depend on the alternate haplotype.
MOVING = ("alt", "log_length", "alt_bases")
# With the baseline ref, only the variant stream runs at each step, so more steps are cheap.
MORE_STEPS = 4
WINDOW_BATCH = 2
VARIANT_BATCH = 32

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Attribution:
    """Contribution of each element of the input, in log-odds.

    Attributes
    ----------
    baseline : str
        Name from `BASELINES`.
    window : NDArray
        float64 ``[N * 50 + 2 * MARGIN]``: bases of the reference window and its margins.
    ref, alt : NDArray
        float64 ``[H]``: bases of the haplotypes around the variant.
    length : float
        Contribution of the lengths of the alleles.
    tracks : NDArray
        float64 ``[M, N]``.
    change : float
        Log-odds of the variant minus those of the baseline; the contributions should sum to this.
    """

    baseline: str
    window: FloatArray
    ref: FloatArray
    alt: FloatArray
    length: float
    tracks: FloatArray
    change: float

    @property
    def total(self) -> float:
        """Sum of all contributions."""
        parts = (self.window, self.ref, self.alt, self.tracks)
        total = np.array(sum(p.sum() for p in parts) + self.length)
        return float(finite(total, "an attribution"))

    @property
    def error(self) -> float:
        """Completeness error: |total - change| / max(|change|, 0.1)."""
        return float(completeness_error(np.array(self.total), np.array(self.change)))


class Inputs(NamedTuple):
    """Tensors of one window with one variant (W = G = 1), on the model's device."""

    window: Window
    variants: Variants


def to_inputs(
    window: WindowArrays, haplotypes: Haplotypes, offset: int, device: torch.device
) -> Inputs:
    """Return the tensors of one window and one variant.

    Parameters
    ----------
    window : WindowArrays
    haplotypes : Haplotypes
        One row.
    offset : int
        Bases from the start of the window to the variant.
    device : torch.device
    """
    rows = [torch.from_numpy(a)[None].to(device) for a in haplotypes]
    return Inputs(
        window_tensors([window], device), Variants(torch.tensor([[offset]], device=device), *rows)
    )


@dataclass(frozen=True)
class Attributor:
    """Integrated Gradients with fixed settings.

    Parameters
    ----------
    model : GMT
        In evaluation mode; left unchanged.
    slope : float
        Slope of the calibration: log-odds per logit.
    steps : int
        Initial number of steps on the path (midpoint rule). It is doubled while the attributions do
        not add up to the change. The baseline ``ref`` takes four times as many.
    n_shuffles : int
        Number of dinucleotide shuffles to average for the baseline ``shuffle``.
    """

    model: GMT
    _: KW_ONLY
    slope: float = 1.0
    steps: int = STEPS
    n_shuffles: int = N_SHUFFLES

    def attribute(
        self, inputs: Inputs, baseline: str, rng: np.random.Generator | None = None
    ) -> Attribution:
        """Attribute the log-odds of one variant to its input.

        Parameters
        ----------
        inputs : Inputs
        baseline : {"ref", "shuffle"}
        rng : numpy.random.Generator, optional
            Random generator for the shuffles; required for ``shuffle``.

        Raises
        ------
        MissingExtraError
            If captum is not installed.
        """
        # With TF32, the error of convolutions would be as large as the completeness tolerance.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            if baseline == "ref":
                return completely(partial(self._from_reference, inputs), self.steps)
            if baseline == "shuffle" and rng is not None:
                shuffled = self._shuffles(inputs.window.codes, rng)
                return completely(partial(self._from_shuffles, inputs, shuffled), self.steps)
        raise ValueError(f"no baseline {baseline!r}, or no generator for it")

    def _from_reference(self, inputs: Inputs, steps: int) -> Attribution:
        """Attribute to the alternate haplotype alone; the window stream runs only once."""
        model, variants = self.model, inputs.variants
        bins = variants.offset // BIN_SIZE
        with torch.no_grad():
            context = model.window(inputs.window)
            x = model.embed_alleles(variants)

        no_change = x.log_length[..., :1].expand_as(x.log_length)
        base = x._replace(alt=x.ref, log_length=no_change, alt_bases=x.ref_bases)
        moving = [name for name in MOVING if getattr(x, name) is not None]

        def log_odds(*values: Tensor) -> Tensor:
            # Batch the steps of the path as variants of one window: [S, ...] -> [1, S, ...].
            steps = len(values[0])
            own = {name: value[None] for name, value in zip(moving, values, strict=True)}
            moved = x.each(lambda t: t.expand(-1, steps, *t.shape[2:]))._replace(**own)
            return self.slope * model.decode(context, moved, bins.expand(-1, steps))[0]

        path = integrate(
            log_odds,
            [getattr(x, name)[0] for name in moving],
            [getattr(base, name)[0] for name in moving],
            MORE_STEPS * steps,
            VARIANT_BATCH,
        )
        gradients = {name: g[None] for name, g in zip(moving, path.gradients, strict=True)}
        removes = bool(variants.alt_len < variants.ref_len)
        # The effect of a deletion is attributed to the reference bases that it removes.
        own = variants._replace(alt_len=variants.ref_len) if removes else variants
        ref, alt, length = self._local(x, base, gradients, own)
        ref, alt = (alt, ref) if removes else (ref, alt)
        return Attribution(
            "ref",
            np.zeros(inputs.window.codes.shape[-1]),
            ref,
            alt,
            length,
            np.zeros(tuple(inputs.window.signal.shape[1:])),
            path.change,
        )

    def _from_shuffles(self, inputs: Inputs, shuffled: Tensor, steps: int) -> Attribution:
        """Attribute to window, alleles and tracks, from shuffled sequence and mean signal."""
        model, window, variants = self.model, inputs.window, inputs.variants
        bins = variants.offset // BIN_SIZE
        with torch.no_grad():
            x = model.embed_alleles(variants)
            base = self._mean_alleles(shuffled, variants)
            sequence = model.embed_window(window.codes)
            base_sequence = model.embed_window(shuffled).mean(0, keepdim=True)

        def log_odds(sequence: Tensor, signal: Tensor, *alleles: Tensor) -> Tensor:
            places = len(signal)
            moved = Window(*(t.expand(places, *t.shape[1:]) for t in window))
            context = model.encode(sequence, moved._replace(signal=signal))
            return (
                self.slope * model.decode(context, Alleles(*alleles), bins.expand(places, -1))[:, 0]
            )

        path = integrate(
            log_odds,
            [sequence, window.signal, *(t for t in x if t is not None)],
            [base_sequence, torch.zeros_like(window.signal), *(t for t in base if t is not None)],
            steps,
            WINDOW_BATCH,
        )
        by_sequence, by_signal, *by_allele = path.gradients
        gradients = dict(zip(Alleles._fields, by_allele, strict=False))
        return Attribution(
            "shuffle",
            self._window_bases(window.codes, shuffled, by_sequence[0]),
            *self._local(x, base, gradients, variants),
            _array(by_signal * window.signal)[0],
            path.change,
        )

    def _shuffles(self, codes: Tensor, rng: np.random.Generator) -> Tensor:
        """Return shuffled windows, uint8 ``[shuffles, n]``."""
        row = codes[0].cpu().numpy()
        rows = np.stack([dinucleotide_shuffle(row, rng) for _ in range(self.n_shuffles)])
        return torch.from_numpy(rows).to(codes.device)

    def _mean_alleles(self, shuffled: Tensor, variants: Variants) -> Alleles:
        """Return mean embeddings at the variant in shuffled windows, with alt = ref."""
        first = MARGIN + int(variants.offset) - self.model.flank
        rows = shuffled[:, None, first : first + variants.ref.shape[-1]]
        length = variants.ref_len.expand(len(rows), -1)
        offset = variants.offset.expand(len(rows), -1)
        alleles = self.model.embed_alleles(Variants(offset, rows, rows, length, length))
        return alleles.each(lambda t: t.mean(0, keepdim=True))

    def _window_bases(self, codes: Tensor, shuffled: Tensor, gradient: Tensor) -> FloatArray:
        """Attribute the gradient of a window's bins ``[N, w]`` to its bases.

        A bin is the mean of its k-mers, so each k-mer gets 1/50 of the bin's gradient.
        """
        ids = self.model.window_kmers(codes)[0]
        values = self._kmer_values(ids, gradient)
        for row in shuffled:
            ids = self.model.window_kmers(row[None])[0]
            values -= self._kmer_values(ids, gradient) / len(shuffled)
        k = self.model.config.k
        starts = MARGIN - k // 2 + np.arange(len(values))
        return spread(starts, values, k, codes.shape[-1])

    @torch.no_grad()
    def _kmer_values(self, ids: Tensor, gradient: Tensor) -> FloatArray:
        embedded = self.model.sequence(ids).unflatten(0, (-1, BIN_SIZE))  # [N, 50, w]
        return _array((embedded * gradient[:, None]).sum(-1).flatten() / BIN_SIZE)

    def _local(
        self, x: Alleles, base: Alleles, gradients: dict[str, Tensor], variants: Variants
    ) -> tuple[FloatArray, FloatArray, float]:
        """Attribute to the bases of both haplotypes, and to the lengths of the alleles."""
        values = {
            name: _array(((getattr(x, name) - getattr(base, name)) * gradient)[0, 0].sum(-1))
            for name, gradient in gradients.items()
        }
        ref, alt = (
            self._haplotype_bases(
                values.get(name), values.get(f"{name}_bases"), length, variants.ref.shape[-1]
            )
            for name, length in (("ref", variants.ref_len), ("alt", variants.alt_len))
        )
        return ref, alt, float(values["log_length"])

    def _haplotype_bases(
        self, kmers: FloatArray | None, bases: FloatArray | None, length: Tensor, size: int
    ) -> FloatArray:
        """Return the contribution of each base, via k-mers and via the activity network."""
        out = np.zeros(size)
        if kmers is not None:
            starts = self.model.local.kmer_starts(length)[0, 0].cpu().numpy()
            out += spread(starts.ravel(), kmers.ravel(), self.model.config.k, size)
        if bases is not None and self.model.activity is not None:
            first = self.model.flank - self.model.activity.reader.flank
            out[first : first + len(bases)] += bases
        return out


class Path(NamedTuple):
    """Mean gradient of each input along a path, and the total change of the output."""

    gradients: tuple[Tensor, ...]
    change: float


def integrate(
    output: Callable[..., Tensor],
    points: Sequence[Tensor],
    base: Sequence[Tensor],
    steps: int,
    batch: int,
) -> Path:
    """Return mean gradients on the straight line from `base` to `points`, each ``[1, ...]``.

    Raises
    ------
    MissingExtraError
        If captum is not installed.
    """
    with from_extra("captum", "explain"):
        from captum.attr import IntegratedGradients
    method = IntegratedGradients(output, multiply_by_inputs=False)
    gradients = method.attribute(
        tuple(points),
        tuple(base),
        n_steps=steps,
        method="riemann_middle",
        internal_batch_size=batch,
    )
    with torch.no_grad():
        change = output(*points) - output(*base)
    return Path(tuple(g.detach() for g in gradients), float(change))


def completely(follow: Callable[[int], Attribution], steps: int) -> Attribution:
    """Follow a path with an increasing number of steps until its attributions are complete."""
    for count in step_counts(steps):
        attribution = follow(count)
        if attribution.error <= TOLERANCE:
            break
    return attribution


def spread(starts: NDArray[np.int64], values: FloatArray, k: int, size: int) -> FloatArray:
    """Give each of the k bases of a k-mer an equal share of its value.

    Parameters
    ----------
    starts : NDArray
        int64 ``[n]``: first base of each k-mer.
    values : NDArray
        float64 ``[n]``.
    k : int
    size : int
        Number of bases.

    Returns
    -------
    NDArray
        float64 ``[size]``, with the same sum.
    """
    out = np.zeros(size)
    for step in range(k):
        np.add.at(out, starts + step, values / k)
    return out


def _array(tensor: Tensor) -> FloatArray:
    return tensor.detach().double().cpu().numpy()
