"""Network that predicts the activity of a short DNA sequence in assays and cell types.

The sequences domain trains it; the variants domain scores an allele by the difference in activity
between two haplotypes.

Letters: B batch, A alleles of an item, L bases, C channels, F features, K outputs, E networks of an
ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.config import Count, Extent, Share, Within, from_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.alphabet import BASES
from genomix_cli.learning.networks import stored_module

P = TypeVar("P", bound="Predicted")
M = TypeVar("M", bound=nn.Module)

#: Domain and task of the runs that train this network.
DOMAIN, TASK = "sequences", "activity"
#: Suffix of an output that stands for a cell type as a whole, next to outputs of single assays.
OF_CELL = "_cell"
#: Value of ``--fields`` that asks for every output that scores variants.
EVERY = "all"
# Filters that start from random weights get about the scale and the rarity of a motif.
FREE_SCALE, FREE_THRESHOLD = 3.0, 2.0
#: Number of adjacent positions of the first layer that are averaged into one.
POOL = 4


@dataclass(frozen=True)
class Output:
    """One output of the network: a measured quantity, or the log-odds of a class.

    Attributes
    ----------
    name : str
        Letters, digits and underscores, such as ``HepG2``; becomes part of the name of a column or
        INFO field.
    assay : str
        Name of the assay, such as ``lentiMPRA``.
    unit : str
        Unit of a quantity, such as ``log2 RNA/DNA``; empty for a class, whose value is a log-odds.
    left, right : str
        Bases of the construct before and after the measured sequence.
    mean, sd : float
        Mean and standard deviation in training, by which the network's targets are standardised.
    category : str
        Class whose log-odds this is; empty for a quantity, and for runs of earlier versions.
    """

    name: str
    assay: str = ""
    unit: str = ""
    left: str = ""
    right: str = ""
    mean: float = 0.0
    sd: float = 1.0
    category: str = ""

    @property
    def scale(self) -> str:
        """Unit of the value, or the class whose log-odds it is."""
        return self.unit or " of ".join(filter(None, ["log-odds", self.category]))

    @property
    def is_class(self) -> bool:
        """True for a class, whose value is a log-odds."""
        return not self.unit


class Predicted:
    """Outputs of a configuration, and which of them score variants.

    Attributes
    ----------
    outputs : tuple of Output
    length : int
        Number of bases that the network reads.
    summary : tuple of str
        Outputs whose mean sums up a variant, each divided by its `sd`; an output named twice counts
        twice. If empty, the quantities measured by an assay are used, or all quantities if no
        output names an assay.
    shown : tuple of str
        Outputs that `score` writes beside the mean. If empty, all that score variants.
    """

    outputs: tuple[Output, ...]
    length: int
    summary: tuple[str, ...]
    shown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_names("summary", self.summary, self.outputs)
        _check_names("shown", self.shown, self.reported)

    @property
    def averaged(self) -> tuple[str, ...]:
        """Names of the outputs in the summary."""
        return self.summary or self._measured

    @property
    def reported(self) -> tuple[Output, ...]:
        """Outputs that score variants: measured quantities, and those in the summary."""
        names = {*self._measured, *self.summary}
        return tuple(each for each in self.outputs if each.name in names)

    def written(self, fields: str = "") -> tuple[str, ...]:
        """Return the names of the outputs to write beside their mean.

        Parameters
        ----------
        fields : str
            Comma-separated names; ``all`` for every output that scores variants; empty for the
            default in `shown`.

        Raises
        ------
        UsageError
            If a name is not an output that scores variants.
        """
        names = tuple(output.name for output in self.reported)
        if not fields:
            return self.shown or names
        if fields == EVERY:
            return names
        asked = tuple(name.strip() for name in fields.split(","))
        _check_names("--fields", asked, self.reported)
        return tuple(dict.fromkeys(asked))

    def of_cell(self, cell: str) -> str:
        """Return the name of the output for a cell type: ``CELL_cell`` if it exists, else ``CELL``.

        Raises
        ------
        UsageError
            If `reported` has neither.
        """
        names = [output.name for output in self.reported]
        for name in (cell + OF_CELL, cell):
            if name in names:
                return name
        of_cells = [name.removesuffix(OF_CELL) for name in names if name.endswith(OF_CELL)]
        raise UsageError(
            "the model predicts no activity in this cell type",
            where="--cell",
            expected=" or ".join(of_cells or names),
            found=cell,
        )

    @property
    def _measured(self) -> tuple[str, ...]:
        """Names of quantities that an assay measured, leaving out classes and model predictions."""
        quantities = [each for each in self.outputs if not each.is_class]
        of_assay = [each for each in quantities if each.assay]
        return tuple(each.name for each in of_assay or quantities)


def _check_names(where: str, names: Iterable[str], outputs: Iterable[Output]) -> None:
    """Refuse names that match no output."""
    known = [output.name for output in outputs]
    if unknown := [name for name in names if name not in known]:
        raise UsageError(
            f"{where} names unknown outputs: {', '.join(unknown)}", expected=" or ".join(known)
        )


@dataclass(frozen=True)
class ActivityConfig(Predicted):
    """Architecture of an ensemble of networks.

    Attributes
    ----------
    outputs : tuple of Output
    length : int
        Length of the assayed sequences in bases, without the bases of the construct.
    members : int
        Number of networks whose predictions are averaged.
    stem, motif_width : int
        Number of filters in the first layer, and their width in bases.
    width : int
        Number of channels of all later layers.
    dropout : float
        Dropout probability in the heads.
    summary, shown : tuple of str
        See `Predicted`.
    """

    outputs: tuple[Output, ...]
    length: Extent = 200
    members: Count = 1
    stem: Count = 192
    motif_width: Annotated[int, Within(3, 51)] = 19
    width: Count = 64
    dropout: Share = 0.2
    summary: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


class Residual(nn.Module):
    """Residual block of a convolution of width 5 and one of width 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.wide = nn.Conv1d(width, width, 5, padding=2)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: ``[B, C, L]`` -> ``[B, C, L]``."""
        return x + self.point(F.gelu(self.wide(F.gelu(self.norm(x)))))


class ActivityEncoder(nn.Module):
    """Encoder of one strand: base probabilities ``[B, L, 4]`` -> features ``[B, F]``.

    The first layer gives the occupancy of each position by each motif: the sigmoid of a log-odds
    score minus a threshold. The mean occupancy over the sequence also goes directly to the heads,
    since a linear sum of motifs explains most of the activity.
    """

    def __init__(self, config: ActivityConfig) -> None:
        super().__init__()
        width = config.width
        self.features = 2 * width + config.stem
        self.motifs = nn.Conv1d(4, config.stem, config.motif_width, padding="same")
        assert self.motifs.bias is not None
        with torch.no_grad():
            self.motifs.weight.mul_(FREE_SCALE)
            self.motifs.bias.fill_(-FREE_THRESHOLD)
        self.pool = nn.Sequential(nn.AvgPool1d(POOL, ceil_mode=True), nn.BatchNorm1d(config.stem))
        self.mix = nn.Conv1d(config.stem, width, 1)
        self.body = nn.Sequential(
            Residual(width),
            nn.MaxPool1d(2, ceil_mode=True),
            Residual(width),
            Residual(width),
            nn.MaxPool1d(2, ceil_mode=True),
            Residual(width),
            nn.BatchNorm1d(width),
            nn.GELU(),
        )

    def forward(self, p: Tensor) -> Tensor:
        """Return the mean and maximum of each channel, and the mean occupancy of each motif."""
        occupancy = self.pool(torch.sigmoid(self.motifs(p.transpose(1, 2))))
        x = self.body(self.mix(occupancy))
        return torch.cat([x.mean(-1), x.amax(-1), occupancy.mean(-1)], -1)

    @torch.no_grad()
    def start_from(self, log_odds: Tensor, thresholds: Tensor) -> None:
        """Initialise the first m filters with motifs.

        Parameters
        ----------
        log_odds : Tensor
            ``[m, 4, motif_width]``, in nats.
        thresholds : Tensor
            ``[m]``: log-odds score at which the occupancy is 0.5.
        """
        assert self.motifs.bias is not None
        self.motifs.weight[: len(log_odds)] = log_odds
        self.motifs.bias[: len(log_odds)] = -thresholds


class SharedDropout(nn.Module):
    """Dropout of features ``[B, A, F]`` with the same mask for all alleles of an item.

    The difference between two alleles is small: independent masks would drown it in noise.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Drop features in training: ``[B, A, F]`` -> ``[B, A, F]``."""
        if not self.training:
            return x
        kept = F.dropout(torch.ones_like(x[:, :1]), self.share, self.training)
        return x * kept


class Member(nn.Module):
    """One network of an ensemble: an encoder, and a head per output."""

    def __init__(self, config: ActivityConfig) -> None:
        super().__init__()
        self.encoder = ActivityEncoder(config)
        self.heads = nn.ModuleList(
            nn.Sequential(
                SharedDropout(config.dropout),
                nn.Linear(self.encoder.features, 96),
                nn.GELU(),
                SharedDropout(config.dropout),
                nn.Linear(96, 1),
            )
            for _ in config.outputs
        )

    def forward(self, p: Tensor, rows: tuple[int, ...], alleles: int = 1) -> Tensor:
        """Return standardised outputs of whole constructs: ``[B, L, 4]`` -> ``[B, K]``.

        Parameters
        ----------
        p : Tensor
            Base probabilities; every `alleles` consecutive rows belong to one item.
        rows : tuple of int
            Indices of the outputs.
        alleles : int
            Number of alleles of each item, A.
        """
        features = self.encoder(p).unflatten(0, (-1, alleles))
        return self.answers(features, rows).flatten(0, 1)

    def answers(self, features: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Apply the heads of the outputs `rows` to features: ``[B, A, F]`` -> ``[B, A, K]``."""
        return torch.cat([self.heads[row](features) for row in rows], -1)


class ActivityModel(nn.Module):
    """Ensemble of networks that predict activity; their outputs are averaged."""

    def __init__(self, config: ActivityConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(Member(config) for _ in range(config.members))

    def network(self, number: int) -> Member:
        """Return one network of the ensemble, counted from 0."""
        member = self.members[number]
        assert isinstance(member, Member)
        return member

    def forward(self, p: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Predict the activity of sequences as given, without their reverse complements.

        Parameters
        ----------
        p : Tensor
            Probability of each base, float32 ``[B, L, 4]``, without the bases of the construct.
        rows : tuple of int
            Indices of the outputs to predict.

        Returns
        -------
        Tensor
            float32 ``[B, K]``, in the units of the outputs, averaged over the networks.
        """
        return torch.stack([self.member(m, p, rows) for m in range(len(self.members))]).mean(0)

    def member(self, number: int, p: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Predict as ``forward`` does, with a single network of the ensemble."""
        outputs = [self.config.outputs[row] for row in rows]
        mean, sd = (p.new_tensor([getattr(o, name) for o in outputs]) for name in ("mean", "sd"))
        return mean + sd * self.standardised(number, p, rows)

    def standardised(
        self, number: int, p: Tensor, rows: tuple[int, ...], alleles: int = 1
    ) -> Tensor:
        """Predict with one network, in standard deviations from the mean of training.

        Every `alleles` consecutive rows of `p` belong to one item.
        """
        found: dict[int, Tensor] = {}
        for (left, right), group in self.constructs(rows).items():
            values = self.members[number](construct(p, left, right), group, alleles)
            found |= dict(zip(group, values.unbind(-1), strict=True))
        return torch.stack([found[row] for row in rows], -1)

    def both_strands(self, p: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Predict the mean over both orientations of the sequences in the construct."""
        return of_both_strands(lambda way: self(way, rows), p)

    def constructs(self, rows: tuple[int, ...]) -> dict[tuple[str, str], tuple[int, ...]]:
        """Group the outputs `rows` by the left and right bases of their construct."""
        groups: dict[tuple[str, str], tuple[int, ...]] = {}
        for row in rows:
            output = self.config.outputs[row]
            sides = output.left, output.right
            groups[sides] = (*groups.get(sides, ()), row)
        return groups


def of_both_strands(answer: Callable[[Tensor], Tensor], p: Tensor) -> Tensor:
    """Return the mean prediction for sequences ``[B, L, 4]`` and their reverse complements."""
    return (answer(p) + answer(p.flip(1, 2))) / 2


def construct(p: Tensor, left: str, right: str) -> Tensor:
    """Add the bases of the construct to both ends of sequences ``[B, L, 4]``."""
    ends = (
        torch.eye(4, dtype=p.dtype, device=p.device)[[BASES.index(base) for base in bases]]
        .reshape(1, -1, 4)
        .expand(len(p), -1, -1)
        for bases in (left, right)
    )
    first, last = ends
    return torch.cat([first, p, last], 1)


def predicted_config(kind: type[P], arch: Mapping[str, Any], where: object) -> P:
    """Return the configuration of a network from plain data of a run folder.

    Raises
    ------
    DataError
        If the data are not a valid configuration.
    """
    try:
        outputs = tuple(from_dict(Output, each) for each in arch["outputs"])
        config = from_dict(kind, {**arch, "outputs": outputs})
        names = [output.name for output in outputs]
        bases = {base for output in outputs for base in output.left + output.right}
        if not outputs or len(set(names)) < len(names) or bases - set(BASES):
            raise ValueError("its outputs cannot be")
        return config
    except (UsageError, KeyError, TypeError, ValueError) as error:
        raise _damaged(error, where) from error


def stored_network(
    kind: type[P],
    network: Callable[[P], M],
    arch: Mapping[str, Any],
    state: Mapping[str, NDArray[Any]],
    where: Path,
) -> M:
    """Build the network of a run folder, in evaluation mode.

    Parameters
    ----------
    kind : type
        Class of the configuration.
    network : type
        Class of the network.
    arch : mapping
        The configuration as plain data.
    state : mapping of str to NDArray
        Weights of the network.
    where : Path
        Run folder, for error messages.

    Raises
    ------
    DataError
        If the configuration is invalid, or the weights do not fit it.
    """
    config = predicted_config(kind, arch, where)
    try:
        return stored_module(lambda: network(config), state).eval()
    except (ValueError, RuntimeError, MemoryError) as error:
        raise _damaged(error, where) from error


def _damaged(error: Exception, where: object) -> DataError:
    return DataError(f"is damaged: {str(error).splitlines()[0]}", where=where)
