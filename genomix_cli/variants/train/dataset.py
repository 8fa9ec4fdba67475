"""Training and validation items: a window and a group of its variants.

Letters in shapes: W windows, G variants per window, N bins, M tracks, H haplotype bases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.alphabet import encode
from genomix_cli.learning.processes import share
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.records import inputs

NULL_FRACTION = 0.02


class Batch(NamedTuple):
    """Windows with their variants.

    Attributes
    ----------
    window : Window
    variants : Variants
    label, effect : Tensor
        float32 ``[W, G]``: label 0 or 1, and quantitative effect; NaN if missing.
    weight : Tensor
        float32 ``[W, G]``; 0 for padding.
    group : Tensor
        int64 ``[W, G]``: group of each variant, such as its locus.
    row : Tensor
        int64 ``[W, G]``: row of the shard's variant table, -1 for padding and null variants.
    """

    window: Window
    variants: Variants
    label: Tensor
    effect: Tensor
    weight: Tensor
    group: Tensor
    row: Tensor


class Item(NamedTuple):
    """Arrays of one window and its variants; the signal is float32."""

    window: inputs.WindowArrays
    offset: NDArray[np.int64]
    haplotypes: inputs.Haplotypes
    label: NDArray[np.float32]
    effect: NDArray[np.float32]
    weight: NDArray[np.float32]
    group: NDArray[np.int64]
    row: NDArray[np.int64]


@dataclass(frozen=True)
class Placement:
    """Window, rows of the variant table to score in it, and cell type of its tracks."""

    contig: str
    start: int
    rows: NDArray[np.int64]
    cell: str = ""


def place_windows(
    contig: NDArray[np.int64],
    pos: NDArray[np.int64],
    rows: NDArray[np.int64],
    window: int,
    core: int,
    phase: int,
    max_group: int,
    names: Sequence[str],
    cell: NDArray[np.int64] | None = None,
    cells: Sequence[str] = ("",),
) -> list[Placement]:
    """Assign `rows` to windows such that every variant lies in the core of its window.

    Parameters
    ----------
    contig, pos : NDArray
        int64 ``[n]``, columns of the whole variant table.
    rows : NDArray
        int64: the rows to place; each is placed exactly once.
    window, core : int
        Bases of a window, and of its core.
    phase : int
        Shift of the cores, a multiple of the contact bin below `core`.
    max_group : int
        Largest number of variants per placement.
    names : sequence of str
        Contig names by index.
    cell : NDArray, optional
        int64 ``[n]``: index into `cells`. Variants share a window only within a cell type.
    cells : sequence of str
    """
    anchor = (pos[rows] - phase) // core
    of_cell = np.zeros(len(rows), np.int64) if cell is None else cell[rows]
    order = np.lexsort((pos[rows], of_cell, anchor, contig[rows]))
    key = np.stack([contig[rows][order], anchor[order], of_cell[order]])
    cuts = np.flatnonzero(np.any(key[:, 1:] != key[:, :-1], axis=0)) + 1
    placements = []
    for part in np.split(order, cuts):
        if not len(part):
            continue
        start = int(anchor[part[0]]) * core + phase - (window - core) // 2
        name = names[int(contig[rows[part[0]]])]
        placements += [
            Placement(name, start, rows[part[i : i + max_group]], cells[of_cell[part[0]]])
            for i in range(0, len(part), max_group)
        ]
    return placements


def cells_of(shard: Shard) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the cell types in use, and the index of the cell type of each variant, int64 ``[V]``.

    If a shard has tracks of one cell type, all variants use them. If it has several, a variant uses
    the tracks of its tissue, or none if it has no tissue or the tissue has no tracks.
    """
    cells, tissue = shard.cells, shard.variants.tissue
    if len(cells) == 1:
        return cells, np.zeros(len(tissue), np.int64)
    return (*shard.tissues, ""), np.where(tissue < 0, len(shard.tissues), tissue).astype(np.int64)


def equally_often(
    rows: NDArray[np.int64], tissue: NDArray[np.int16], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the same number of random rows from each tissue, as many as the rarest one has.

    Parameters
    ----------
    rows : NDArray
        int64 ``[n]``.
    tissue : NDArray
        int16 ``[n]``: tissue of each row. Rows with -1 have no tissue and are all kept.
    rng : Generator
    """
    numbers, counts = np.unique(tissue[tissue >= 0], return_counts=True)
    kept = [rows[tissue < 0]]
    kept += [rng.choice(rows[tissue == number], counts.min(), replace=False) for number in numbers]
    return np.sort(np.concatenate(kept))


@dataclass(eq=False)
class VariantDataset(Dataset[Item]):
    """Dataset of windows of a shard, each with up to `max_group` of its variants.

    Parameters
    ----------
    shard : Shard
        Picklable; each worker maps the file itself.
    rows : NDArray
        int64: rows of the variant table to use, each with a label, an effect, or both. In a shard
        with several cell types, the tissue of a row selects its tracks.
    n_bins, core_bins, flank : int
        Bins of the model's window and of its core, and bases on each side of an allele.
    max_group : int
        Largest number of variants per item.
    augment : bool
        Augment for training: random core positions, a random strand, and about 2 % null variants
        (alt = ref).
    negatives : float
        Fraction of the negatives drawn in each epoch; all positives are used. Logits are then too
        high by -log(negatives), which calibration on held-out contigs corrects.
    equal_cells : bool
        In each epoch, draw as many variants of each tissue as the rarest one has, as pre-training
        does with windows. Variants without a tissue are all drawn.
    seed : int
    """

    shard: Shard
    rows: NDArray[np.int64]
    _: KW_ONLY
    n_bins: int
    core_bins: int
    flank: int
    max_group: int
    augment: bool = False
    seed: int = 0
    negatives: float = 1.0
    equal_cells: bool = False

    def __post_init__(self) -> None:
        self.cells, self._cell = cells_of(self.shard)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Place the windows again; the placement depends only on seed and epoch."""
        self.epoch = epoch
        window, core = (n * inputs.BIN_SIZE for n in (self.n_bins, self.core_bins))
        table, rows, phase = self.shard.variants, self.rows, 0
        if self.augment:
            rng = np.random.default_rng([self.seed, epoch])
            phase = inputs.CONTACT_BIN * int(rng.integers(core // inputs.CONTACT_BIN))
            drawn = rng.random(len(rows)) < self.negatives
            rows = rows[drawn | ~(table.label[rows] <= 0.5)]
            if self.equal_cells:
                rows = equally_often(rows, table.tissue[rows], rng)
        self.placements = place_windows(
            table.contig.astype(np.int64),
            table.pos,
            rows,
            window,
            core,
            phase,
            self.max_group,
            list(self.shard.contigs),
            self._cell,
            self.cells,
        )

    def order(self) -> list[int]:
        """Return the order of items in this epoch: shuffled in training, otherwise as placed."""
        order = np.arange(len(self))
        if self.augment:
            np.random.default_rng([self.seed, self.epoch, len(self)]).shuffle(order)
        return order.tolist()

    def __len__(self) -> int:
        return len(self.placements)

    def __getitem__(self, at: int | tuple[int, int]) -> Item:
        """Return item `at` of the current epoch, or item (epoch, number).

        The second form tells a worker process about a new epoch with the first item of that epoch.
        """
        epoch, index = at if isinstance(at, tuple) else (self.epoch, at)
        if epoch != self.epoch:
            self.set_epoch(epoch)
        placement = self.placements[index]
        table = self.shard.variants
        alleles = [
            inputs.Allele(int(table.pos[r]), encode(table.ref[r]), encode(table.alt[r]))
            for r in placement.rows
        ]
        row, label = placement.rows.copy(), table.label[placement.rows].copy()
        effect = table.effect[placement.rows].copy()
        weight = table.weight[placement.rows]
        rng = np.random.default_rng([self.seed, self.epoch, index])
        if self.augment:
            null = rng.random(len(row)) < NULL_FRACTION
            alleles = [
                a._replace(alt=a.ref) if n else a for a, n in zip(alleles, null, strict=True)
            ]
            label[null], effect[null], row[null] = 0.0, np.nan, -1
        source = self.shard.in_cell(placement.cell)
        window = inputs.load_window(source, placement.contig, placement.start, self.n_bins)
        item = Item(
            # `collate` copies the rest out of the file.
            window._replace(signal=window.signal.astype(np.float32)),
            np.array([a.pos for a in alleles], np.int64) - placement.start,
            inputs.haplotypes(self.shard, placement.contig, alleles, self.flank),
            label,
            effect,
            weight,
            table.group[placement.rows].astype(np.int64),
            row,
        )
        if self.augment and rng.random() < 0.5:
            return reverse_strand(item, self.shard, placement, alleles)
        return item


class Order:
    """Sampler of the items of the dataset's epoch at the time of iteration.

    Parameters
    ----------
    dataset : VariantDataset
    own : tuple of int
        Rank of this process, and number of processes that share an epoch.
    """

    def __init__(self, dataset: VariantDataset, own: tuple[int, int] = (0, 1)) -> None:
        self._dataset, self._own = dataset, own

    def _indices(self) -> list[int]:
        return share(self._dataset.order(), *self._own, pad=self._dataset.augment)

    def __len__(self) -> int:
        return len(self._indices())

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self._dataset.epoch
        return ((epoch, index) for index in self._indices())


def reverse_strand(
    item: Item, shard: Shard, placement: Placement, alleles: Sequence[inputs.Allele]
) -> Item:
    """Return the item on the reverse strand."""
    n_bins = item.window.signal.shape[1]
    flank = (item.haplotypes.ref.shape[1] - inputs.MAX_ALLELE) // 2
    return item._replace(
        window=inputs.mirrored_window(item.window),
        offset=inputs.mirrored_offset(item.offset, item.haplotypes.ref_len, n_bins),
        haplotypes=inputs.mirrored_haplotypes(shard, placement.contig, alleles, flank),
    )


def collate(items: Sequence[Item]) -> Batch:
    """Stack items, padding windows to the same number of variants."""
    most = max(len(item.offset) for item in items)
    windows, offsets, bases, *columns = zip(*items, strict=True)
    window = Window(*(torch.from_numpy(np.stack(arrays)) for arrays in zip(*windows, strict=True)))
    variants = [_pad(arrays, most) for arrays in (offsets, *zip(*bases, strict=True))]
    *known, row = columns
    return Batch(
        window._replace(observed=(window.observed > 0).float()),
        Variants(*variants),
        *(_pad(arrays, most) for arrays in known),  # type: ignore[call-arg]
        _pad(row, most, fill=-1),
    )


def _pad(arrays: Sequence[NDArray[np.generic]], most: int, fill: int = 0) -> Tensor:
    out = np.full((len(arrays), most, *arrays[0].shape[1:]), fill, arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(out)
