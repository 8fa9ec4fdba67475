"""Shards opened for reading: the genome with its tracks and variants, or windows of variants."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.config import from_dict
from genomix_cli.errors import DataError, guarded
from genomix_cli.formats.reader import Contents, check, made_by
from genomix_cli.formats.schema import GENOME, WINDOWS, VariantTable
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.contacts import from_band
from genomix_cli.genome.signal import BIN_SIZE, Signal, TrackSpec, Uncovered
from genomix_cli.genome.source import GenomeSource
from genomix_cli.genome.tracks import cells, modalities, read_track_name, rows_in_cell


class _Contig(NamedTuple):
    """Arrays of one contig; `blocks` has start, end and offset of each, `ends` only the ends."""

    blocks: list[list[int]]
    ends: list[int]
    codes: NDArray[np.uint8]
    signal: NDArray[np.float16]
    state: NDArray[np.uint8]
    contacts: NDArray[np.float16] | None


class Shard:
    """Genome shard: a `GenomeSource` with a table of variants; see :func:`open_shard`.

    It is pickled by path, so each worker process maps the file itself.

    Attributes
    ----------
    path : Path
    contigs : dict of str to int
        Lengths of contigs, in the order that `variants.contig` refers to.
    track_specs : tuple of TrackSpec
    tracks : tuple of str
        Names of the tracks.
    uncovered : {"missing", "zero"}
        Meaning of bins without data.
    max_gap_bins : int
        Longest gap that was interpolated, in bins.
    tells_bridged : bool
        False if interpolated bins are marked as measured, as in files before version 3.
    assembly : str
    tissues : tuple of str
    provenance : dict
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path).absolute()
        contents = check(self.path, GENOME)
        with guarded(self.path):
            self._take(contents)

    def _take(self, contents: Contents) -> None:
        """Set attributes and array views from the checked contents."""
        attributes = contents.attributes
        self.contigs: dict[str, int] = dict(attributes["contigs"])
        self.track_specs = tuple(
            from_dict(TrackSpec, spec, where=self.path) for spec in attributes["tracks"]
        )
        self.tracks = tuple(spec.name for spec in self.track_specs)
        self.uncovered: Uncovered = attributes["uncovered"]
        self.max_gap_bins = int(attributes["max_gap_bins"])
        # Before version 3, bridged bins were stored as measured ones.
        self.tells_bridged = attributes["format_version"] >= 3 or not self.max_gap_bins
        self.assembly: str = attributes["assembly"]
        self.tissues = tuple(attributes["tissues"])
        self.provenance: dict[str, Any] = attributes["provenance"]
        self._arrays = contents.arrays
        self._contigs = {name: self._load(name) for name in self.contigs}

    def __reduce__(self) -> tuple[Any, ...]:
        return Shard, (self.path,)

    def _load(self, contig: str) -> _Contig:
        blocks = self._arrays[f"/sequence/{contig}/blocks"]
        arrays = _Contig(
            blocks.tolist(),
            blocks[:, 1].tolist(),
            self._arrays[f"/sequence/{contig}/codes"],
            self._arrays[f"/tracks/{contig}/signal"],
            self._arrays[f"/tracks/{contig}/observed"],
            self._arrays.get(f"/contacts/{contig}/oe"),
        )
        start, end, offset = blocks.T
        lengths, n_bases = end - start, len(arrays.codes)
        tiled = np.array_equal(np.cumsum(lengths) - lengths, offset) and lengths.sum() == n_bases
        ordered = (np.append(0, end) <= np.append(start, self.contigs[contig])).all()
        if not (tiled and ordered) or arrays.signal.shape[1] != -(-n_bases // BIN_SIZE):
            raise DataError(
                f"the blocks of {contig} do not cover its arrays",
                where=self.path,
                hint=made_by(GENOME),
            )
        return arrays

    @cached_property
    def variants(self) -> VariantTable:
        """Table of variants, as read-only views of the file."""
        return self._arrays.variants()

    @property
    def has_contacts(self) -> bool:
        """True if the shard has contacts for at least one contig."""
        return any(contig.contacts is not None for contig in self._contigs.values())

    def codes(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return bases as uint8 ``[end - start]``; N (4) outside the blocks.

        The result is a read-only view of the file if one block contains all of it, else a copy.
        """
        whole = self._inside(contig, start, end, 1)
        if whole is not None:
            return self._contigs[contig].codes[whole]
        codes = np.full(end - start, UNKNOWN_BASE, np.uint8)
        for into, part in self._parts(contig, start, end, 1):
            codes[into] = self._contigs[contig].codes[part]
        return codes

    def signal(self, contig: str, first_bin: int, last_bin: int) -> Signal:
        """Return tracks over ``first_bin .. last_bin``; 0 and missing outside the blocks.

        The arrays are float16 and uint8 ``[M, N]``; read-only views of the file if one block
        contains all bins, else copies.
        """
        whole = self._inside(contig, first_bin, last_bin, BIN_SIZE)
        if whole is not None:
            arrays = self._contigs[contig]
            return Signal(arrays.signal[:, whole], arrays.state[:, whole])
        shape = len(self.tracks), last_bin - first_bin
        signal = Signal(np.zeros(shape, np.float16), np.zeros(shape, np.uint8))
        for into, part in self._parts(contig, first_bin, last_bin, BIN_SIZE):
            signal.value[:, into] = self._contigs[contig].signal[:, part]
            signal.state[:, into] = self._contigs[contig].state[:, part]
        return signal

    @property
    def measured(self) -> tuple[str, ...]:
        """Tracks for which a file was given; the others are there only to match a model."""
        given = tuple(self.provenance["inputs"])  # as "track ATAC atac.bw"
        return tuple(n for n in self.tracks if any(i.startswith(f"track {n} ") for i in given))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the tracks over all cell types, which a model trained on them reads."""
        return modalities(self.tracks)

    @property
    def cells(self) -> tuple[str, ...]:
        """Cell types of the tracks; ("",) if no track names one."""
        return cells(self.tracks)

    @property
    def modality_specs(self) -> tuple[TrackSpec, ...]:
        """Reference distribution of each modality, as a TrackSpec named after the modality."""
        first = {read_track_name(s.name).modality: s for s in reversed(self.track_specs)}
        return tuple(first[name].called(name) for name in self.modalities)

    def in_cell(self, cell: str) -> GenomeSource:
        """Return the genome with the tracks of one cell type, one per modality.

        A modality without a track in this cell type is missing.
        """
        if self.tracks == self.modalities:
            return self
        return CellView(self, cell)

    def without_tracks(self) -> Shard:
        """Return the same genome without tracks; they come back after pickling and unpickling."""
        bare = Shard(self.path)
        bare.track_specs, bare.tracks = (), ()
        return bare

    def blocks(self, contig: str) -> NDArray[np.int64]:
        """Return start and end of each stored block, int64 ``[block, 2]``."""
        return np.array(self._contigs[contig].blocks, np.int64).reshape(-1, 3)[:, :2]

    def contacts(self, contig: str, start: int, n_bins: int) -> NDArray[np.float32]:
        """Return log(O/E) between 5-kb bins, float32 ``[n_bins, n_bins]``; 0 where unknown."""
        band = self._contigs[contig].contacts if contig in self._contigs else None
        if band is None:
            return np.zeros((n_bins, n_bins), np.float32)
        return from_band(band, start // CONTACT_BIN, n_bins)

    def _inside(self, contig: str, start: int, end: int, unit: int) -> slice | None:
        """Return the slice of the stored array for ``start .. end``, if one block contains it.

        `start` and `end` are in units of `unit` bases.
        """
        arrays = self._contigs.get(contig)
        i = bisect_right(arrays.ends, start * unit) if arrays else 0
        if arrays is None or i == len(arrays.ends):
            return None
        low, high, offset = arrays.blocks[i]
        # The last bin of a contig may be cut short by its end.
        if start * unit < low or end > -(-high // unit):
            return None
        shift = (offset - low) // unit
        return slice(start + shift, end + shift)

    def _parts(self, contig: str, start: int, end: int, unit: int) -> Iterator[tuple[slice, slice]]:
        """Yield the overlaps of ``start .. end``, in units of `unit` bases, with the blocks.

        Each overlap is a slice of the requested range and one of the stored array.
        """
        arrays = self._contigs.get(contig)
        if arrays is None:
            return
        for low, high, offset in arrays.blocks[bisect_right(arrays.ends, start * unit) :]:
            low, high = low // unit, -(-high // unit)
            if low >= end:
                break
            left, right = max(start, low), min(end, high)
            shift = offset // unit - low
            yield slice(left - start, right - start), slice(left + shift, right + shift)

    def close(self) -> None:
        """Do nothing: the memory map closes with its last view."""


class CellView:
    """Shard restricted to one cell type: a `GenomeSource` with one track per modality.

    Parameters
    ----------
    shard : Shard
    cell : str
        A modality without a track in this cell type is missing.
    """

    def __init__(self, shard: Shard, cell: str) -> None:
        self.shard = shard
        self.cell = cell
        self.tracks = shard.modalities
        self.contigs: Mapping[str, int] = shard.contigs
        rows = rows_in_cell(shard.tracks, cell)
        self._into = [i for i, name in enumerate(self.tracks) if name in rows]
        self._rows = [rows[self.tracks[i]] for i in self._into]

    def codes(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return bases, as `Shard.codes` does."""
        return self.shard.codes(contig, start, end)

    def signal(self, contig: str, first_bin: int, last_bin: int) -> Signal:
        """Return tracks, as `Shard.signal` does, with one row per modality."""
        own = self.shard.signal(contig, first_bin, last_bin)
        shape = len(self.tracks), last_bin - first_bin
        signal = Signal(np.zeros(shape, np.float16), np.zeros(shape, np.uint8))
        signal.value[self._into] = own.value[self._rows]
        signal.state[self._into] = own.state[self._rows]
        return signal

    def contacts(self, contig: str, start: int, n_bins: int) -> NDArray[np.float32]:
        """Return contacts, as `Shard.contacts` does."""
        return self.shard.contacts(contig, start, n_bins)

    def close(self) -> None:
        """Do nothing: other cell types may still use the shard."""


def open_shard(path: Path) -> Shard:
    """Open a shard of the genome layout.

    Raises
    ------
    DataError
        If the file is not a complete, valid shard that this version can read.
    """
    return Shard(path)


class Windows(NamedTuple):
    """Shard of the windows layout, with arrays as views of a memory map.

    Attributes
    ----------
    kmers : NDArray
        uint16 ``[V, bases]``.
    signal : NDArray
        float16 ``[V, M, N]``.
    state : NDArray
        uint8 ``[V, M, N]``, as in `genomix_cli.genome.signal.Signal`.
    start : NDArray
        int64 ``[V]``: first base of each window.
    variants : VariantTable
    attributes : dict
        Decoded root attributes.
    """

    kmers: NDArray[np.uint16]
    signal: NDArray[np.float16]
    state: NDArray[np.uint8]
    start: NDArray[np.int64]
    variants: VariantTable
    attributes: dict[str, Any]


def open_windows(path: Path) -> Windows:
    """Open a shard of the windows layout.

    Raises
    ------
    DataError
        If the file is not a complete, valid shard that this version can read.
    """
    contents = check(path, WINDOWS)
    arrays = contents.arrays
    names = ("kmers", "signal", "observed", "start")
    kmers, signal, state, start = (arrays[f"/windows/{name}"] for name in names)
    return Windows(kmers, signal, state, start, arrays.variants(), contents.attributes)
