"""GMT, the genome-scale multimodal transformer, in two streams.

After "Unlocking the Dark Genome" (conceptual: no implementation or results were published).
The window stream runs once over the reference; each variant adds its own [CLS] and a few allele
tokens, which read the window but are never read by it. Deviations from the paper, each because
it learned better or costs less: k-mers are averaged into the tracks' 50-bp bins instead of one
token per base, and far from the variant into bins of 500 bp; modalities are fused before the trunk;
alternate alleles enter as tokens of their own instead of a second pass over 100 kb; Hi-C is a soft
additive prior rather than a cut-off (the paper's 200 kb exceeds the window).

Letters: W windows, N bins, S tokens of the window, M tracks, G variants per window, T tokens per
variant, d width, H heads, C contact bins of 5 kb, k k-mer length, r radius in bases.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from genomix_cli.config import Count, Depth, Layers, Share
from genomix_cli.formats.run_folder import CONFIG
from genomix_cli.learning.activity import ActivityConfig, ActivityModel, predicted_config
from genomix_cli.learning.layers.attention import (
    KeyValue,
    MultiHeadAttention,
    biased_attention,
    read_only_attention,
)
from genomix_cli.learning.layers.positions import sinusoidal
from genomix_cli.variants.models.activity import ActivityTokens
from genomix_cli.variants.models.allele_tokens import (
    ENDS,
    AlleleEmbedding,
    Alleles,
    AlleleTokens,
    KmerEmbedding,
    spelled_kmers,
)
from genomix_cli.variants.models.base import (
    Answers,
    VariantConfig,
    VariantModel,
    Variants,
    Window,
    check,
    uneven_heads,
)
from genomix_cli.variants.models.layout import BINS_PER_CONTACT, POOLED, Layout
from genomix_cli.variants.models.modalities import FoldedFusion, Fusion, TrackStem
from genomix_cli.variants.models.sharing import Shared
from genomix_cli.variants.records.inputs import BIN_SIZE, MARGIN, Mode


@dataclass(frozen=True)
class GMTConfig(VariantConfig):
    """Architecture of a GMT.

    Attributes
    ----------
    centre_bins : int
        Bins in the middle of the window that become one token each; further out, `POOLED` bins
        share a token. 0 means the whole window. A shared window serves variants in half of them.
    k : int
        k-mer length, 3..8.
    d_model, n_layers, n_heads : int
        Width, layers and attention heads of the trunk.
    d_sequence, d_local : int
        Widths of the k-mer embeddings of the window and of the alleles.
    allele_strands : int
        2 to read alleles on both strands with the same weights; or 1.
    radius : int
        Bases on each side of an allele's start, and of its end, that its tokens cover; a multiple
        of `group`.
    group : int
        k-mers per allele token.
    fusion_layers : int
        Attention layers over the modality axis inside a bin; may be 0.
    feed_forward : int
        Width of the MLPs, as a multiple of `d_model`.
    dropout : float
        Dropout on the residual branches, in training.
    modality_dropout : float
        Probability that a track, or the contact map, is hidden from a window in training.
    use_contacts : bool
        Ablation, as `use_tracks`.
    activity : dict, optional
        `ActivityConfig` as plain data, for a sequence-activity network that also reads the
        haplotypes. Set by ``--init`` of a run of ``--task activity``.
    tune_activity : bool
        If True, train that network as well; otherwise its weights stay fixed.
    """

    centre_bins: Depth = 0
    k: Count = 6
    d_model: Count = 128
    n_layers: Layers = 4
    n_heads: Count = 4
    d_sequence: Count = 64
    d_local: Count = 64
    allele_strands: Count = 1
    radius: Count = 16
    group: Count = 8
    fusion_layers: Depth = 1
    feed_forward: Count = 4
    dropout: Share = 0.0
    modality_dropout: Share = 0.1
    use_contacts: bool = True
    activity: Mapping[str, Any] | None = None
    tune_activity: bool = False

    def __post_init__(self) -> None:
        check(
            "GMT",
            {
                f"k={self.k} is not in 3..8": not 3 <= self.k <= 8,
                # Windows must lie on the grid of contact bins.
                f"n_bins={self.n_bins} is no multiple of 400": self.n_bins <= 0
                or bool(self.n_bins % 400),
                f"centre_bins={self.centre_bins} is no multiple of 400 up to n_bins": (
                    self.centre_bins > self.n_bins or bool(self.centre_bins % 400)
                ),
                f"allele_strands={self.allele_strands} is neither 1 nor 2": (
                    self.allele_strands not in (1, 2)
                ),
                **uneven_heads(self.d_model, self.n_heads, "d_model="),
                f"radius={self.radius} is no multiple of group={self.group}": self.radius <= 0
                or bool(self.radius % self.group),
            },
        )

    @property
    def core_bins(self) -> int:
        """Half of the centre."""
        return (self.centre_bins or self.n_bins) // 2


PRESETS: dict[str, dict[str, Any]] = {
    "mini": {"centre_bins": 400, "allele_strands": 2},
    "base": {
        "centre_bins": 400,
        "allele_strands": 2,
        "d_model": 512,
        "n_layers": 12,
        "n_heads": 8,
        "d_sequence": 128,
        "d_local": 128,
    },
    "paper": {
        "centre_bins": 400,
        "allele_strands": 2,
        "d_model": 1152,
        "n_layers": 24,
        "n_heads": 16,
        "d_sequence": 256,
        "d_local": 256,
        "dropout": 0.1,
    },
}


class Context(NamedTuple):
    """Everything that the variants of a window read.

    Attributes
    ----------
    layers : list of KeyValue
        Keys and values of each layer, ``[W, H, S, d / H]``.
    priors : list of Tensor
        Additive prior of each layer, ``[W, H, C, C]``.
    fused : Tensor
        ``[W, S, d]``: the tokens before the trunk.
    """

    layers: list[KeyValue]
    priors: list[Tensor]
    fused: Tensor


class Layer(nn.Module):
    """A pre-norm transformer layer that both streams run through."""

    # With FSDP, each of these methods gathers the layer's parameters, as ``forward`` would.
    forward_methods = ("context", "key_value", "read")

    def __init__(self, config: GMTConfig) -> None:
        super().__init__()
        d = config.d_model
        self.norm_attention = nn.LayerNorm(d)
        self.attention = MultiHeadAttention(d, config.n_heads)
        self.norm_mlp = nn.LayerNorm(d)
        self.mlp = nn.Sequential(
            nn.Linear(d, config.feed_forward * d), nn.GELU(), nn.Linear(config.feed_forward * d, d)
        )
        self.dropout = nn.Dropout(config.dropout)

    def context(self, x: Tensor, bias: Tensor, blocks: Tensor) -> tuple[Tensor, KeyValue]:
        """Run the window stream: return the new tokens ``[W, S, d]`` and their keys and values."""
        q, k, v = self.attention.project(self.norm_attention(x))
        kept = _compact(k, v)
        x = x + self.dropout(self.attention.merge(biased_attention(q, *kept, bias, blocks)))
        return x + self.dropout(self.mlp(self.norm_mlp(x))), kept

    def key_value(self, x: Tensor) -> KeyValue:
        """Return the keys and values that variants read, without the layer's output."""
        return _compact(*self.attention.project_keys(self.norm_attention(x)))

    def read(
        self,
        y: Tensor,
        window: KeyValue,
        bias: Tensor,
        blocks: Tensor,
        n_tokens: int | None = None,
    ) -> Tensor:
        """Run the variant stream: return the new tokens ``[W, G, T, d]``, or the first few.

        `n_tokens` limits the output to the first tokens of each variant.
        """
        q, k, v = self.attention.project(self.norm_attention(y))
        queries = q[..., :n_tokens, :]
        mixed = read_only_attention(queries, KeyValue(k, v), window, bias, blocks)
        y = y[:, :, :n_tokens] + self.dropout(self.attention.merge(mixed))
        return y + self.dropout(self.mlp(self.norm_mlp(y)))


def _compact(key: Tensor, value: Tensor) -> KeyValue:
    """Make keys and values contiguous, since every variant reads all of them."""
    return KeyValue(key.contiguous(), value.contiguous())


class ContactPrior(nn.Module):
    """Additive attention bias from contacts: ``softplus(a) D + softplus(b) G`` per layer and head.

    D = -log(1 + |I - J|) is the power law P(s) ~ 1/s between 5-kb bins I and J; G is the
    compressed log(observed/expected), 0 where unknown.
    """

    def __init__(self, n_layers: int, n_heads: int) -> None:
        super().__init__()
        # The scales learn slowly, so heads start with different reach: the first follows contacts
        # at any distance, the last stays near the variant whatever the contacts.
        self.distance_scale = nn.Parameter(torch.linspace(-2.0, 0.5, n_heads).repeat(n_layers, 1))
        self.contact_scale = nn.Parameter(torch.linspace(4.0, -2.0, n_heads).repeat(n_layers, 1))

    def forward(self, contacts: Tensor) -> Tensor:
        """Return the bias of each layer: ``[W, C, C]`` -> ``[L, W, H, C, C]``."""
        index = torch.arange(contacts.shape[-1], device=contacts.device, dtype=contacts.dtype)
        decay = -torch.log1p((index[:, None] - index).abs())
        a, b = (
            F.softplus(scale)[:, None, :, None, None]  # [L, 1, H, 1, 1]
            for scale in (self.distance_scale, self.contact_scale)
        )
        return a * decay + b * contacts[:, None]


class GMT(VariantModel):
    """Model that scores variants from sequence, tracks and contacts; see the module docstring.

    Parameters
    ----------
    config : GMTConfig
    """

    config_class = GMTConfig
    presets = PRESETS
    has_attributions = True
    shard_layers = (Layer,)
    # Everything that pre-training only the window stream leaves untrained.
    head_parameters = ("head", "norm", "cls", "offsets", "alleles", "local")
    hidden_span = 12
    layers: Any  # ModuleList of Layer
    positions: Tensor

    def __init__(self, config: GMTConfig) -> None:
        super().__init__(config)
        d = config.d_model
        self.layout = Layout(config.n_bins, config.centre_bins or config.n_bins)
        self.gradient_checkpointing = False
        self.sequence = KmerEmbedding(config.k, config.d_sequence)
        self.sequence_in = nn.Linear(config.d_sequence, d)
        self.tracks = TrackStem(len(config.tracks), d)
        self.fusion = Fusion(d, config.n_heads, 1 + len(config.tracks), config.fusion_layers)
        self.folded: FoldedFusion | None = None
        self.register_buffer("positions", sinusoidal(config.n_bins, d), persistent=False)
        self.position_scale = nn.Parameter(torch.tensor(0.3))
        self.prior = ContactPrior(config.n_layers, config.n_heads)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        activity, self.flank = activity_tokens(config), config.radius + MARGIN
        if activity is not None:
            self.flank = max(self.flank, activity.reader.flank)
            self.outputs = activity.reader.outputs
        width, strands = config.d_local, config.allele_strands
        self.local = AlleleEmbedding(config.k, width, strands, config.radius, self.flank)
        self.alleles = AlleleTokens(width, d, strands, config.group, activity)
        n_tokens = 1 + ENDS * 2 * config.radius // config.group + (activity is not None)
        self.cls = nn.Parameter(0.02 * torch.randn(d))
        self.offsets = nn.Parameter(0.02 * torch.randn(n_tokens, d))
        self.norm = nn.LayerNorm(d)
        self.head = nn.Sequential(nn.Linear(d, d // 2), nn.GELU(), nn.Linear(d // 2, 1))

    @staticmethod
    def activity_of(arch: Mapping[str, Any]) -> ActivityConfig | None:
        """Return the architecture of the network of sequence activity, if there is one."""
        return (
            None
            if arch.get("activity") is None
            else predicted_config(ActivityConfig, arch["activity"], CONFIG)
        )

    @property
    def activity(self) -> ActivityTokens | None:
        """Module that turns a sequence-activity network into a token; None without one."""
        return self.alleles.activity

    @property
    def uses_all_parameters(self) -> bool:
        """False if an input is switched off or the activity network is trained."""
        inputs = self.config.use_sequence and bool(self.config.tracks)
        return inputs and not self.config.tune_activity

    @property
    def frozen_parts(self) -> tuple[str, ...]:
        """Names of the submodules that are never trained."""
        frozen = self.activity is not None and not self.config.tune_activity
        return ("alleles.activity.reader",) if frozen else ()

    def adopt(self, state: Mapping[str, Tensor], tracks: Sequence[str]) -> dict[str, Tensor]:
        """Return the weights of a GMT with other tracks, rearranged for the tracks of this one.

        Parameters
        ----------
        state : mapping of str to Tensor
            State of the other model.
        tracks : sequence of str
            Modalities of the other model. A track it lacks keeps its current weights.
        """
        d = self.config.d_model
        # Three parameters depend on the tracks: their projections, and the two parts of the fusion
        # that have a slot per modality (the first slot is the sequence).
        own = ("tracks.", "fusion.embedding", "fusion.mix.weight")
        new = {
            name: value.clone() if name.startswith(own) else state[name]
            for name, value in self.state_dict().items()
        }
        pairs = [(0, 0)] + [
            (1 + i, 1 + tracks.index(name))
            for i, name in enumerate(self.config.tracks)
            if name in tracks
        ]
        for i, j in pairs:
            new["fusion.embedding"][i] = state["fusion.embedding"][j]
            here, there = slice(i * d, (i + 1) * d), slice(j * d, (j + 1) * d)
            new["fusion.mix.weight"][:, here] = state["fusion.mix.weight"][:, there]
        for i, j in ((i - 1, j - 1) for i, j in pairs[1:]):
            new["tracks.absent"][i] = state["tracks.absent"][j]
            for part in ("weight", "bias"):
                new[f"tracks.project.{i}.{part}"] = state[f"tracks.project.{j}.{part}"]
        return new

    def prior_scales(self) -> tuple[tuple[int, int, float, float], ...]:
        """Return the scales as in the base class; each is the softplus of its parameter."""
        distance, contacts = (
            F.softplus(scale.detach().float().cpu()).tolist()
            for scale in (self.prior.distance_scale, self.prior.contact_scale)
        )
        return tuple(
            (i + 1, j + 1, distance[i][j], contacts[i][j])
            for i in range(self.config.n_layers)
            for j in range(self.config.n_heads)
        )

    def for_mode(self, mode: Mode) -> GMT:
        """Return the model; for centred windows, one with `core_bins` bins as single-bin tokens.

        A centred variant is then as far from pooled tokens as a variant at the edge of the core of
        a shared window. The model for centred windows is not for training: what it has folded does
        not follow its weights.
        """
        config = self.config
        if mode == "shared" or config.centre_bins in (0, config.n_bins):
            return self
        model = copy.deepcopy(self, {id(weight): weight for weight in self.parameters()})
        model.layout = Layout(config.n_bins, config.core_bins).to(self.positions.device)
        if config.use_sequence and config.fusion_layers == 1:
            positions = model._token_positions()
            model.folded = FoldedFusion(model.sequence_in, model.tracks, model.fusion, positions)
        return model

    def window(self, window: Window) -> Context:
        """Run the window stream; shapes in `Window` and `Context`."""
        return self.encode(self.embed_window(window.codes), window)

    def variants(self, context: Context, variants: Variants) -> Tensor:
        """Run the variant stream and return the logits, float ``[W, G]``."""
        return self.decode(context, self.embed_alleles(variants), variants.offset // BIN_SIZE)

    def embed_window(self, codes: Tensor) -> Tensor:
        """Return mean k-mer embeddings: uint8 ``[W, N * 50 + 2 * MARGIN]`` -> ``[W, N, w]``."""
        return self.sequence.bin_means(self.window_kmers(codes))

    def window_kmers(self, codes: Tensor) -> Tensor:
        """Return the id of the k-mer that starts k // 2 bases before each base, ``[W, N * 50]``."""
        first = MARGIN - self.config.k // 2
        length = self.n_bins * BIN_SIZE
        return self.sequence.ids(codes[:, first : first + length + self.config.k - 1])

    def encode(self, sequence: Tensor, window: Window) -> Context:
        """Run the window stream from the bins' sequence embeddings, ``[W, N, d_sequence]``."""
        context, x = self._all_but_last(sequence, window)
        # Nothing reads the output tokens of the last layer.
        context.layers.append(self.layers[-1].key_value(x))
        return context

    def tokens(self, window: Window) -> tuple[Context, Tensor]:
        """Return the context and the token of each bin after the last layer, ``[W, N, d]``."""
        context, x = self._all_but_last(self.embed_window(window.codes), window)
        x, key_value = self._run(
            self.layers[-1].context, x, context.priors[-1], self.layout.contact_bin
        )
        context.layers.append(key_value)
        return context, self.layout.spread(x, 1)

    def _all_but_last(self, sequence: Tensor, window: Window) -> tuple[Context, Tensor]:
        """Return the context without the last layer, and the input tokens of that layer."""
        present, contacts = self._drop_modalities(window)
        fused = self._fused(sequence, window, present)
        priors = list(self.prior(contacts) + self.layout.log_bins)
        x, cache = fused, []
        for layer, prior in zip(self.layers[:-1], priors, strict=False):
            x, key_value = self._run(layer.context, x, prior, self.layout.contact_bin)
            cache.append(key_value)
        return Context(cache, priors, fused), x

    def _fused(self, sequence: Tensor, window: Window, present: Tensor) -> Tensor:
        """Return the tokens before the trunk, ``[W, S, d]``."""
        # Averaging 50 k-mers divides their spread by seven; the factor partly compensates.
        sequence = 4.0 * self.layout.pool(sequence, 1)
        tracks = self.tracks.features(*self._pooled_tracks(window))
        if self.folded is not None:
            return self.folded(sequence, tracks, present)
        tokens = self.sequence_in(sequence)[:, :, None]
        if not self.config.use_sequence:
            tokens = torch.zeros_like(tokens)
        modalities = torch.cat([tokens, self.tracks(tracks, present)], dim=2)
        return self.fusion(modalities, self._token_positions())

    def _token_positions(self) -> Tensor:
        """Return the position of each token, ``[S, d]``."""
        return self.layout.pool(self.positions, 0) * self.position_scale

    def _run(self, part: Callable[..., Any], *inputs: Any) -> Any:
        """Run part of a layer, with activation checkpointing if it is on."""
        if self.gradient_checkpointing and self.training:
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)

    def _pooled_tracks(self, window: Window) -> tuple[Tensor, Tensor]:
        """Return the mean of the measured bins of each token, and the fraction measured."""
        observed = self.layout.pool(window.observed, 2)
        signal = self.layout.pool(window.signal * window.observed, 2)
        return signal / observed.clamp(min=1 / POOLED), observed

    def _drop_modalities(self, window: Window) -> tuple[Tensor, Tensor]:
        """Return which tracks are present (bool ``[W, M]``) and the contacts, after dropout."""
        config = self.config
        present = window.observed.any(-1)
        contacts = window.contacts
        if not config.use_tracks:
            present = torch.zeros_like(present)
        if not config.use_contacts:
            contacts = torch.zeros_like(contacts)
        if self.training and config.modality_dropout:
            # One draw per track of a window, and one for its contacts.
            keep = torch.rand(present.shape[0], present.shape[1] + 1, device=present.device)
            kept = keep >= config.modality_dropout
            present = present & kept[:, 1:]
            contacts = contacts * kept[:, :1, None]
        return present, contacts

    def embed_alleles(self, variants: Variants) -> Alleles:
        """Return the inputs of the allele tokens."""
        alleles = self.local.alleles(variants)
        if self.activity is None:
            return alleles
        reader = self.activity.reader
        first = self.flank - reader.flank
        ref, alt = (
            reader.probabilities(codes[..., first:]) for codes in (variants.ref, variants.alt)
        )
        return alleles._replace(ref_bases=ref, alt_bases=alt)

    def answers(self, context: Context, variants: Variants, shared: Shared) -> Answers:
        """Return logits of `variants` and of "no change", and differences in activity."""
        bins, places = variants.offset // BIN_SIZE, shared.places
        with torch.autocast(bins.device.type, enabled=False):
            tokens, differences = self.alleles.with_null(self.embed_alleles(variants), shared)
        both = self._score(context, tokens, torch.cat([bins, places.pick(bins)], dim=1))
        logits, null = both.tensor_split([bins.shape[1]], dim=1)
        return Answers(logits, places.spread(null), differences)

    def represent(self, context: Context, variants: Variants) -> Tensor:
        """Return the final [CLS] of each variant, the input of the head: ``[W, G, d]``."""
        with torch.autocast(variants.offset.device.type, enabled=False):
            tokens = self.alleles(self.embed_alleles(variants))
        return self._read(context, tokens, variants.offset // BIN_SIZE)

    def decode(self, context: Context, alleles: Alleles, bins: Tensor) -> Tensor:
        """Return logits ``[W, G]`` from allele embeddings and the variants' `bins`, ``[W, G]``."""
        # alt - ref is a small difference of large numbers: keep it in full precision.
        with torch.autocast(bins.device.type, enabled=False):
            dtype = self.alleles.pool.weight.dtype
            tokens = self.alleles(alleles.each(lambda t: t.to(dtype)))
        return self._score(context, tokens, bins)

    def _score(self, context: Context, tokens: Tensor, bins: Tensor) -> Tensor:
        """Return logits: allele tokens ``[W, G, T - 1, d]`` -> ``[W, G]``."""
        return self.head(self.norm(self._read(context, tokens, bins))).squeeze(-1)

    def _read(self, context: Context, tokens: Tensor, bins: Tensor) -> Tensor:
        """Run allele tokens ``[W, G, T - 1, d]`` through the layers; return [CLS] ``[W, G, d]``."""
        if not self.config.use_sequence:
            tokens = torch.zeros_like(tokens)
        rows = torch.arange(bins.shape[0], device=bins.device)[:, None]
        # [CLS] starts from the window token at the variant, so the tracks there need no attention.
        cls = (self.cls + context.fused[rows, self.layout.token[bins]])[:, :, None]
        positions = (self.positions * self.position_scale)[bins][:, :, None]
        y = torch.cat([cls, tokens.to(cls.dtype)], dim=2) + self.offsets + positions
        contact_bin = bins // BINS_PER_CONTACT
        for i, (layer, key_value, prior) in enumerate(
            zip(self.layers, context.layers, context.priors, strict=True)
        ):
            own = prior.transpose(1, 2)[rows, contact_bin].transpose(1, 2)  # [W, H, G, C]
            # Only the [CLS] of the last layer is used.
            n_tokens = 1 if i == len(self.layers) - 1 else None
            y = self._run(layer.read, y, key_value, own, self.layout.contact_bin, n_tokens)
        return y[:, :, 0]


def activity_tokens(config: GMTConfig) -> ActivityTokens | None:
    """Return the module that reads haplotypes with the activity network; None without one."""
    if config.activity is None:
        return None
    network = ActivityModel(predicted_config(ActivityConfig, config.activity, "activity"))
    return ActivityTokens(network, config.d_model, config.tune_activity)


class Reconstruction(nn.Module):
    """Pre-training heads, which predict hidden k-mers and hidden bins of tracks.

    A hidden span is read like an allele, through the same variant stream that scores variants. Its
    [CLS] must predict each k-mer that lies wholly inside the span. The [CLS] of a base in a hidden
    bin must predict the tracks of that bin, and the window's tokens must predict all hidden bins.
    A k-mer's logit compares the prediction with its allele embedding and its bases.

    Parameters
    ----------
    config : GMTConfig
    span : int
        Bases of a hidden span, at least k.
    """

    spelled: Tensor

    def __init__(self, config: GMTConfig, span: int) -> None:
        super().__init__()
        d, k = config.d_model, config.k
        self.span = span
        self.n_kmers = span - k + 1
        self.norm_span = nn.LayerNorm(d)
        self.place = nn.Parameter(0.02 * torch.randn(self.n_kmers, d))
        self.query = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, config.d_local + 4 * k))
        if config.tracks:
            self.norm_token, self.norm_base = nn.LayerNorm(d), nn.LayerNorm(d)
            self.bin_tracks = nn.Linear(d, len(config.tracks))
            self.base_tracks = nn.Linear(d, len(config.tracks))
            self.trust = nn.Linear(d, len(config.tracks))
        self.register_buffer("spelled", spelled_kmers(k), persistent=False)

    def kmers(self, spans: Tensor, embedding: KmerEmbedding) -> Tensor:
        """Return logits of the k-mers of each span: [CLS] ``[n, d]`` -> ``[n, n_kmers, 4^k]``."""
        hidden = self.norm_span(spans)[:, None] + self.place
        return embedding.logits(self.query(hidden), self.spelled)

    def tracks(self, tokens: Tensor, bases: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the tracks of every bin from window tokens, and of some from the [CLS] of a base.

        A prediction is a linear interpolation between known neighbours, weighted by the token, plus
        a correction from the token. Smoothness, common to all tracks, need not be learned first.

        Parameters
        ----------
        tokens : Tensor
            ``[W, N, d]``.
        bases : Tensor
            ``[W, P, d]``.
        line : Tensor
            ``[W, M, N]``: interpolated tracks; 0 where a modality has no known bin.

        Returns
        -------
        bins, bases : Tensor
            ``[W, M, N]`` and ``[W, M, P]``.
        """
        tokens = self.norm_token(tokens)
        trust, added = torch.sigmoid(self.trust(tokens)), self.bin_tracks(tokens)
        by_base = self.base_tracks(self.norm_base(bases))
        return (trust.transpose(1, 2) * line + added.transpose(1, 2)), by_base.transpose(1, 2)
