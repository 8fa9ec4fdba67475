"""Models with additional heads that predict hidden inputs in pre-training.

Letters in shapes: W windows, M tracks, N bins, S spans, P places, G = S + P queries, R rows,
B bases of a row, T its k-mers, d width, n k-mers to predict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from genomix_cli.errors import UsageError
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.variants.models.base import VariantModel
from genomix_cli.variants.models.gmt import GMT, Layer, Reconstruction
from genomix_cli.variants.models.kmer_transformer import KmerHead, KmerTransformer
from genomix_cli.variants.requests.train import PretrainRequest
from genomix_cli.variants.train.pretrain.rows import Rows
from genomix_cli.variants.train.pretrain.sampling import Batch, Reading


class Outputs(NamedTuple):
    """Predictions for a batch.

    Attributes
    ----------
    kmers : Tensor
        ``[n, 4^k]``: logits for each k-mer to predict, in the order of `Batch.kmers`.
    bins, bases : Tensor
        ``[W, M, N]`` and ``[W, M, P]``: predicted tracks of each bin, and at each place.
    """

    kmers: Tensor
    bins: Tensor
    bases: Tensor


class Pretraining(nn.Module):
    """Model with the heads for pre-training.

    Parameters
    ----------
    model : VariantModel
    heads : nn.Module

    Attributes
    ----------
    reads_tracks : bool
        False for a model that reads only bases.
    """

    reads_tracks: ClassVar[bool]

    def __init__(self, model: Any, heads: Any) -> None:
        super().__init__()
        self.model = model
        self.heads = heads

    def reading(self, request: PretrainRequest) -> Reading | Rows:
        """Return the sizes of what it reads."""
        raise NotImplementedError

    def forward(self, item: Batch, bases: bool = True) -> Outputs:
        """Predict hidden k-mers and bins, and tracks at the places unless `bases` is false."""
        raise NotImplementedError


class WindowPretraining(Pretraining):
    """Pre-training of GMT, which reads a hidden span like an allele, and also hides tracks.

    Parameters
    ----------
    gmt : GMT
    span : int
        Bases of a hidden span.
    """

    # Layers that ``--strategy fsdp`` shards.
    shard_layers = (Layer,)
    reads_tracks = True

    def __init__(self, gmt: GMT, span: int) -> None:
        super().__init__(gmt, Reconstruction(gmt.config, span))

    def reading(self, request: PretrainRequest) -> Reading:
        """Return the sizes of what it reads."""
        gmt, n = self.model, (request.spans_per_window, request.places_per_window)
        return Reading(gmt.n_bins, gmt.config.k, gmt.flank, *n, self.heads.span)

    def forward(self, item: Batch, bases: bool = True) -> Outputs:
        """Predict hidden k-mers and bins, and tracks at the places unless `bases` is false."""
        gmt = self.model
        context, tokens = gmt.tokens(item.window)
        asked = item.kmers[:, :, 0] >= 0  # [W, S]
        n_spans = asked.shape[1]
        queries = item.queries
        if not bases:
            queries = type(queries)(*(t[:, :n_spans] for t in queries))
        if asked.any() or (bases and queries.offset.shape[1]):
            cls = gmt.represent(context, queries)
        else:
            cls = tokens.new_zeros(*queries.offset.shape, tokens.shape[-1])
        kmers = self.heads.kmers(cls[:, :n_spans][asked], gmt.local).flatten(0, 1)
        if not gmt.config.tracks:
            none = tokens.new_zeros(len(tokens), 0, tokens.shape[1])
            return Outputs(kmers, none, none[:, :, : item.bins.shape[1]])
        return Outputs(kmers, *self.heads.tracks(tokens, cls[:, n_spans:], item.line))


class RowPretraining(Pretraining):
    """Pre-training of a k-mer transformer, which predicts each hidden k-mer from its own token.

    Parameters
    ----------
    model : KmerTransformer
    span : int
        Bases of a hidden span.
    """

    reads_tracks = False

    def __init__(self, model: KmerTransformer, span: int) -> None:
        super().__init__(model, KmerHead(model.config))
        model.start_pretraining()
        self._span = span

    def reading(self, request: PretrainRequest) -> Rows:
        """Return the sizes of what it reads."""
        model, config = self.model, self.model.config
        sizes = (model.n_bins, config.bases, config.k, model.stride)
        return Rows(*sizes, self._span, request.spans_per_window)

    def forward(self, item: Batch, bases: bool = True) -> Outputs:
        """Predict hidden k-mers."""
        rows = item.queries.ref.flatten(0, 1)  # [W R, B]
        asked = item.kmers.flatten(0, 1) >= 0  # [W R, T]
        tokens = self.model.tokens(rows)[:, 1:][asked]  # [n, d]
        return Outputs(self.heads(tokens, self.model.embedding), item.signal, item.signal)


#: Pre-training class of each model class.
NETWORKS: Mapping[type[VariantModel], Any] = {
    GMT: WindowPretraining,
    KmerTransformer: RowPretraining,
}


def network_of(name: str) -> Any:
    """Return the subclass of `Pretraining` for a model name.

    Raises
    ------
    UsageError
        If the model cannot be pre-trained; the message lists the models that can.
    """
    for kind, network in NETWORKS.items():
        if issubclass(VARIANT_MODELS.load(name), kind):
            return network
    can = [n for n in VARIANT_MODELS if issubclass(VARIANT_MODELS.load(n), tuple(NETWORKS))]
    raise UsageError("cannot be pre-trained", where=f"--model {name}", expected=" or ".join(can))
