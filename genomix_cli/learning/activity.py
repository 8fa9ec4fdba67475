"""A network that predicts what a short DNA sequence does: its activity in assays and cell types.

The domain of sequences trains it; that of variants scores an allele by the difference of the
activity of two haplotypes.

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

#: Domain and task of the runs that train it.
DOMAIN, TASK = "sequences", "activity"
#: How the name of an output ends that stands for a cell type, where others are of an assay in it.
OF_CELL = "_cell"
#: Instead of the names of outputs: all that score variants.
EVERY = "all"
# Filters that start from no motif: of about the size and the rarity of one.
FREE_SCALE, FREE_THRESHOLD = 3.0, 2.0
#: Places of the first layer that are averaged into one.
POOL = 4


@dataclass(frozen=True)
class Output:
    """One thing that the network predicts.

    Attributes
    ----------
    name : str
        Letters, digits and underscores, as ``HepG2``: part of the name of a column or INFO field.
    assay : str
        As ``lentiMPRA``.
    unit : str
        Of a quantity, as ``log2 RNA/DNA``; empty for a class, whose value is a log-odds.
    left, right : str
        Bases of the construct on both sides of the measured sequence.
    mean, sd : float
        Of the quantity in training; the network predicts it in these units.
    """

    name: str
    assay: str = ""
    unit: str = ""
    left: str = ""
    right: str = ""
    mean: float = 0.0
    sd: float = 1.0

    @property
    def is_class(self) -> bool:
        """True for a class, whose value is a log-odds."""
        return not self.unit


class Predicted:
    """The outputs that a configuration has, and what they say of variants.

    Attributes
    ----------
    outputs : tuple of Output
    length : int
        Bases that the network reads.
    summary : tuple of str
        Outputs whose mean sums up a variant, each divided by its `sd`; one named twice counts
        twice. Empty: the quantities of an assay, or where none is named all quantities.
    shown : tuple of str
        Outputs that `score` writes beside their mean. Empty: all that score variants.
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
        """The outputs that score variants: measured quantities, and those in the summary."""
        names = {*self._measured, *self.summary}
        return tuple(each for each in self.outputs if each.name in names)

    def written(self, fields: str = "") -> tuple[str, ...]:
        """Return the names of the outputs to write beside their mean.

        Parameters
        ----------
        fields : str
            Names, with commas; ``all``: all that score variants; empty: those that are `shown`.

        Raises
        ------
        UsageError
            If an output that is named is none of those that score variants.
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
        """Return the name of the output of a cell type: ``CELL_cell``, or ``CELL`` itself.

        Raises
        ------
        UsageError
            If none that is reported is called so.
        """
        names = [output.name for output in self.reported]
        for name in (cell + OF_CELL, cell):
            if name in names:
                return name
        of_cells = [name.removesuffix(OF_CELL) for name in names if name.endswith(OF_CELL)]
        raise UsageError(
            "the model predicts no activity there",
            where="--cell",
            expected=" or ".join(of_cells or names),
            found=cell,
        )

    @property
    def _measured(self) -> tuple[str, ...]:
        """Names of the quantities of an assay: not of classes or answers of other models."""
        quantities = [each for each in self.outputs if not each.is_class]
        of_assay = [each for each in quantities if each.assay]
        return tuple(each.name for each in of_assay or quantities)


def _check_names(where: str, names: Iterable[str], outputs: Iterable[Output]) -> None:
    """Refuse names that no output has."""
    known = [output.name for output in outputs]
    if unknown := [name for name in names if name not in known]:
        raise UsageError(
            f"{where} names no output: {', '.join(unknown)}", expected=" or ".join(known)
        )


@dataclass(frozen=True)
class ActivityConfig(Predicted):
    """Architecture of an ensemble of networks.

    Attributes
    ----------
    outputs : tuple of Output
    length : int
        Bases of the sequences in the assay, without the construct's own.
    members : int
        Networks whose predictions are averaged.
    stem, motif_width : int
        Filters of the first layer, and their width.
    width : int
        Channels of all later layers.
    dropout : float
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
    """Convolutions of 5 and 1 added to what they read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.wide = nn.Conv1d(width, width, 5, padding=2)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, L]`` -> the same."""
        return x + self.point(F.gelu(self.wide(F.gelu(self.norm(x)))))


class ActivityEncoder(nn.Module):
    """Probabilities of bases ``[B, L, 4]`` -> features ``[B, F]``; one strand.

    The first layer says how far each motif occupies each place: the sigmoid of a log-odds score
    less a threshold. Its mean over the sequence also reaches the heads directly, where a linear
    sum of motifs is most of what there is to learn.
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
        """Return the mean and the largest of each channel, and the mean of each motif."""
        occupancy = self.pool(torch.sigmoid(self.motifs(p.transpose(1, 2))))
        x = self.body(self.mix(occupancy))
        return torch.cat([x.mean(-1), x.amax(-1), occupancy.mean(-1)], -1)

    @torch.no_grad()
    def start_from(self, log_odds: Tensor, thresholds: Tensor) -> None:
        """Let the first filters be motifs, ``[m, 4, motif_width]`` in nats, ``[m]``."""
        assert self.motifs.bias is not None
        self.motifs.weight[: len(log_odds)] = log_odds
        self.motifs.bias[: len(log_odds)] = -thresholds


class SharedDropout(nn.Module):
    """Dropout of features ``[B, A, F]`` that is the same for all alleles of an item.

    The difference of two alleles is small, and would drown in what is dropped of one alone.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """``[B, A, F]`` -> the same."""
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
        """Return the outputs `rows` of whole constructs ``[B, L, 4]``, ``[B, K]``, standardised.

        Each `alleles` that follow each other are those of one item.
        """
        features = self.encoder(p).unflatten(0, (-1, alleles))
        return self.answers(features, rows).flatten(0, 1)

    def answers(self, features: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Return the outputs `rows` from features, ``[B, A, F]`` -> ``[B, A, K]``."""
        return torch.cat([self.heads[row](features) for row in rows], -1)


class ActivityModel(nn.Module):
    """Networks that predict activity, averaged."""

    def __init__(self, config: ActivityConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(Member(config) for _ in range(config.members))

    def network(self, number: int) -> Member:
        """Return one of the networks."""
        member = self.members[number]
        assert isinstance(member, Member)
        return member

    def forward(self, p: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Return what sequences do, on the strand that is given.

        Parameters
        ----------
        p : Tensor
            Probability of each base, float32 ``[B, L, 4]``, without the construct's own bases.
        rows : tuple of int
            Outputs asked for.

        Returns
        -------
        Tensor
            float32 ``[B, K]``, in the units of the outputs; mean of the networks.
        """
        return torch.stack([self.member(m, p, rows) for m in range(len(self.members))]).mean(0)

    def member(self, number: int, p: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Return the same of one network."""
        outputs = [self.config.outputs[row] for row in rows]
        mean, sd = (p.new_tensor([getattr(o, name) for o in outputs]) for name in ("mean", "sd"))
        return mean + sd * self.standardised(number, p, rows)

    def standardised(
        self, number: int, p: Tensor, rows: tuple[int, ...], alleles: int = 1
    ) -> Tensor:
        """Return the same of one network, in standard deviations from the mean of training.

        Each `alleles` that follow each other are those of one item.
        """
        found: dict[int, Tensor] = {}
        for (left, right), group in self.constructs(rows).items():
            values = self.members[number](construct(p, left, right), group, alleles)
            found |= dict(zip(group, values.unbind(-1), strict=True))
        return torch.stack([found[row] for row in rows], -1)

    def both_strands(self, p: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Return the mean of both orientations of the sequences in the construct."""
        return of_both_strands(lambda way: self(way, rows), p)

    def constructs(self, rows: tuple[int, ...]) -> dict[tuple[str, str], tuple[int, ...]]:
        """Return the outputs `rows` by the bases of their construct on both sides."""
        groups: dict[tuple[str, str], tuple[int, ...]] = {}
        for row in rows:
            output = self.config.outputs[row]
            sides = output.left, output.right
            groups[sides] = (*groups.get(sides, ()), row)
        return groups


def of_both_strands(answer: Callable[[Tensor], Tensor], p: Tensor) -> Tensor:
    """Return the mean of an answer for sequences ``[B, L, 4]`` and for their other strands."""
    return (answer(p) + answer(p.flip(1, 2))) / 2


def construct(p: Tensor, left: str, right: str) -> Tensor:
    """Put the construct's own bases on both sides of sequences ``[B, L, 4]``."""
    ends = (
        torch.eye(4, dtype=p.dtype, device=p.device)[[BASES.index(base) for base in bases]]
        .reshape(1, -1, 4)
        .expand(len(p), -1, -1)
        for bases in (left, right)
    )
    first, last = ends
    return torch.cat([first, p, last], 1)


def activity_config(arch: Mapping[str, Any], where: object) -> ActivityConfig:
    """Return an architecture from the plain data of a run folder.

    Raises
    ------
    DataError
        If this is none.
    """
    return predicted_config(ActivityConfig, arch, where)


def predicted_config(kind: type[P], arch: Mapping[str, Any], where: object) -> P:
    """Return an architecture of a class of configurations; as :func:`activity_config`."""
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


def stored_activity(
    arch: Mapping[str, Any], state: Mapping[str, NDArray[Any]], where: Path
) -> ActivityModel:
    """Build the model of a run folder, in evaluation mode.

    Parameters
    ----------
    arch : mapping
        An `ActivityConfig` as plain data.
    state : mapping of str to NDArray
        Its weights.
    where : Path
        The folder, for messages.

    Raises
    ------
    DataError
        If the weights do not fit the configuration, or this is none.
    """
    config = activity_config(arch, where)
    return stored_network(lambda: ActivityModel(config), state, where)


def stored_network(build: Callable[[], M], state: Mapping[str, NDArray[Any]], where: Path) -> M:
    """Build the network of a run folder, in evaluation mode; as :func:`stored_activity`."""
    try:
        return stored_module(build, state).eval()
    except (ValueError, RuntimeError, MemoryError) as error:
        raise _damaged(error, where) from error


def _damaged(error: Exception, where: object) -> DataError:
    return DataError(f"is damaged: {str(error).splitlines()[0]}", where=where)
