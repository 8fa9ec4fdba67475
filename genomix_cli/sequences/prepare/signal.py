"""Genome windows with the signal of tracks: accessibility, histone marks, binding.

Letters in shapes: n windows, T tracks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Measurement, Phenotype, Windows
from genomix_cli.genome.bigwig import BigWig
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import merge
from genomix_cli.genome.iupac import ANY, LETTERS, encode
from genomix_cli.genome.signal import Uncovered, log_signal
from genomix_cli.genome.source import leave_out_other_contigs, warn_of_left_out
from genomix_cli.genome.tracks import read_track_name
from genomix_cli.progress import track
from genomix_cli.sequences.prepare.fasta import (
    Cutter,
    Region,
    check_regions,
    regions_of,
    span,
    window_starts,
)
from genomix_cli.sequences.prepare.parsed_input import LeftOut, Parsed
from genomix_cli.sequences.prepare.profiles import BaseSignal

if TYPE_CHECKING:
    from genomix_cli.sequences.requests.prepare import PrepareRequest

UNIT = "log2(1 + signal)"
#: A track measures a window if it covers at least this fraction of its bases.
COVERED = 0.5
#: Warn of tracks that measure a smaller fraction of the windows than this.
FEW_MEASURED = 0.8
UNMEASURED = "windows are measured by no track"
# Number of GC levels for matching: steps of 2 %.
_GC_LEVELS = 50
_IS_GC = np.isin(np.arange(len(LETTERS)), [LETTERS.index(letter) for letter in "CGS"])


def read_signal(path: Path, request: PrepareRequest, folder: Path) -> Parsed:
    """Cut windows from a genome, and average the tracks over each.

    The windows are those of a BED file or, without one, those in which any track has the most
    signal. Background windows with the same distribution of GC content are drawn at random.

    Raises
    ------
    DataError
        If an input is damaged, files belong to different genomes, a track does not vary, or no
        window is left.
    """
    with Fasta(path) as fasta, closing(Tracks(request, fasta.lengths)) as tracks:
        cutter = Cutter(fasta, request, folder)
        chosen = (_of_signal if request.bed is None else _of_bed)(cutter, fasta, tracks, request)
        n_chosen = len(cutter.names)
        if not n_chosen:
            raise DataError("no window is left", where=path, found=str(cutter.left_out) or None)
        there = np.where(chosen.free, chosen.tiles.gc, -1)
        rng = np.random.default_rng(request.seed)
        others = matched(chosen.gc, there, request.background, rng)
        _add(cutter, chosen.tiles, others)
        if request.bed is not None:
            check_regions(cutter.names, request.bed)
        parsed = cutter.parsed("windows")
        assert parsed.windows is not None
        values = tracks.over(parsed.windows, list(parsed.contigs), parsed.length)
    opposite = opposites(request)
    values = np.where(parsed.windows.strand[:, None] < 0, values[:, list(opposite)], values)
    facts = chosen.facts | {"others, of like GC": len(others)}
    if lacking := n_chosen * request.background - len(others):
        facts["others lacking, as no more have that GC"] = lacking
    return replace(
        parsed,
        facts=facts,
        phenotypes=_phenotypes(request, values),
        measurement=Measurement(_assay(request), UNIT),
        profiles=_profiles(request, parsed, opposite),
        warnings=[
            f"{name} has data in {share:.0%} of the windows; if its file leaves out bases without "
            "signal, they are not missing: --uncovered zero"
            for name, share in tracks.measured.items()
            if share < FEW_MEASURED
        ],
    )


class Chosen(NamedTuple):
    """Windows that were cut, and tiles from which background windows may be drawn.

    Attributes
    ----------
    gc : NDArray
        int64 ``[m]``: GC level of each window that was cut.
    tiles : Tiles
    free : NDArray
        bool ``[n]``: True for tiles that share no base with these windows.
    facts : dict
        Facts for the summary.
    """

    gc: NDArray[np.int64]
    tiles: Tiles
    free: NDArray[np.bool_]
    facts: dict[str, Any]


def _of_signal(cutter: Cutter, fasta: Fasta, tracks: Tracks, request: PrepareRequest) -> Chosen:
    """Cut the windows that are in the top share of any track."""
    tiles = _scan(fasta, tracks, request, request.window or 0, cutter.left_out)
    rows, levels = tiles.with_signal(request.top)
    _add(cutter, tiles, rows)
    facts: dict[str, Any] = {f"signal of {name}": f"{UNIT} > {x:.3g}" for name, x in levels.items()}
    facts["with signal"] = len(rows)
    if request.stride is not None:
        facts["stride"] = request.stride
    return Chosen(tiles.gc[rows], tiles, ~tiles.overlap(tiles.spans(rows)), facts)


def _of_bed(cutter: Cutter, fasta: Fasta, tracks: Tracks, request: PrepareRequest) -> Chosen:
    """Cut the windows of a BED file."""
    assert request.bed is not None
    regions = regions_of(request.bed)
    cut = [cutter.add(region, f"{request.bed}:{region.line}") for region in regions]
    gc = np.array([_gc_level(codes) for codes in cut if codes is not None], np.int64)
    facts = {"in the BED": len(gc)}
    if not request.background:
        return Chosen(gc, Tiles.none(request), np.empty(0, bool), facts)
    # Do not report windows left out elsewhere in the genome, which the user did not request.
    tiles = _scan(fasta, tracks, request, cutter.length, LeftOut())
    spans = [(fasta.names.require(r.contig), *span(r, request.window)) for r in regions]
    own = [(contig, r.start, r.end) for (contig, *_), r in zip(spans, regions, strict=True)]
    return Chosen(gc, tiles, ~tiles.overlap([*spans, *own]), facts)


def opposites(request: PrepareRequest) -> tuple[int, ...]:
    """Return the index of each track's other strand; its own index if it has both strands."""
    other = {name: name for name in request.tracks}
    for plus, minus in request.strands:
        other |= {plus: minus, minus: plus}
    return tuple(map(list(request.tracks).index, other.values()))


def _profiles(
    request: PrepareRequest, parsed: Parsed, opposite: tuple[int, ...]
) -> BaseSignal | None:
    if not request.profiles:
        return None
    assert parsed.windows is not None
    files, contigs = dict(request.tracks), tuple(parsed.contigs)
    return BaseSignal(files, opposite, request.uncovered, parsed.windows, contigs, parsed.length)


def _assay(request: PrepareRequest) -> str:
    return ", ".join(dict.fromkeys(read_track_name(name).assay for name in request.tracks))


def _phenotypes(request: PrepareRequest, values: NDArray[np.float32]) -> tuple[Phenotype, ...]:
    """Return a phenotype per track.

    Raises
    ------
    DataError
        If a track does not vary.
    """
    for (name, path), column in zip(request.tracks.items(), values.T, strict=True):
        known = column[np.isfinite(column)]
        if not len(known) or known.min() == known.max():
            what = f"is {known[0]:g} in every window" if len(known) else "has no data in any window"
            raise DataError(
                f"{what}, so nothing can be learned from it",
                where=path,
                hint=f"remove --track {name}, or see --uncovered",
            )
    return tuple(
        Phenotype(name, None, column) for name, column in zip(request.tracks, values.T, strict=True)
    )


class Tracks:
    """Signal tracks over a genome.

    Parameters
    ----------
    request : PrepareRequest
    lengths : mapping of str to int
        Lengths of the contigs of the reference.

    Raises
    ------
    DataError
        If a file cannot be read or belongs to another genome.
    """

    def __init__(self, request: PrepareRequest, lengths: Mapping[str, int]) -> None:
        self._uncovered: Uncovered = request.uncovered
        self._names = tuple(request.tracks)
        self._files = [BigWig(path) for path in request.tracks.values()]
        # Numbers of windows requested from each track, and of windows that it measures.
        self._asked, self._known = np.zeros((2, len(self._files)), np.int64)
        for file in self._files:
            warn_of_left_out(leave_out_other_contigs(file, lengths, file.path), file.path)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def values(self, contig: str, starts: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """Return the mean signal in a contig's windows, float32 ``[n, T]``; NaN if not measured."""
        values = np.full((len(starts), len(self._files)), np.nan, np.float32)
        for column, file in enumerate(self._files):
            if file.names.find(contig) is None:
                continue
            total, covered = file.windows(contig, starts, length)
            if self._uncovered == "zero":
                covered[:] = length
            known = covered >= COVERED * length
            self._asked[column] += len(known)
            self._known[column] += known.sum()
            values[known, column] = log_signal(total[known] / covered[known]) / math.log(2)
        return values

    @property
    def measured(self) -> dict[str, float]:
        """Return the share of windows so far that each track measures, on contigs that it has."""
        shares = self._known / np.maximum(self._asked, 1)
        return dict(zip(self._names, shares.tolist(), strict=True))

    def over(self, windows: Windows, contigs: list[str], length: int) -> NDArray[np.float32]:
        """Return the values of windows on several contigs, float32 ``[n, T]``."""
        values = np.empty((len(windows.start), len(self._files)), np.float32)
        for number, contig in enumerate(track(contigs, "averaging the tracks")):
            rows = np.flatnonzero(windows.contig == number)
            values[rows] = self.values(contig, windows.start[rows], length)
        return values


class Tiles(NamedTuple):
    """Windows along a genome that any track measures.

    Attributes
    ----------
    names : tuple of str
        Names of the tracks.
    contigs : tuple of str
    length : int
        Length of each window in bases.
    contig : NDArray
        int32 ``[n]``: index into `contigs`.
    start : NDArray
        int64 ``[n]``.
    gc : NDArray
        int64 ``[n]``: GC level.
    values : NDArray
        float32 ``[n, T]``: mean signal; NaN if not measured.
    """

    names: tuple[str, ...]
    contigs: tuple[str, ...]
    length: int
    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    gc: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def none(cls, request: PrepareRequest) -> Tiles:
        """Return no windows."""
        empty = np.empty(0, np.int64)
        values = np.empty((0, len(request.tracks)), np.float32)
        return cls(tuple(request.tracks), (), 0, empty.astype(np.int32), empty, empty, values)

    def with_signal(self, top: float) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Return the rows in the top fraction of any track, and each track's threshold."""
        chosen, levels = np.zeros(len(self.start), bool), {}
        for name, column in zip(self.names, self.values.T, strict=True):
            known = column[np.isfinite(column)]
            if len(known):
                level = float(np.quantile(known, 1 - top)) if top < 1 else -math.inf
                levels[name] = level
                chosen |= column > level
        return np.flatnonzero(chosen), levels

    def spans(self, rows: NDArray[np.int64]) -> Iterator[tuple[str, int, int]]:
        """Yield contig, start and end of the given rows."""
        for number, start in zip(self.contig[rows], self.start[rows].tolist(), strict=True):
            yield self.contigs[number], start, start + self.length

    def overlap(self, spans: Iterable[tuple[str, int, int]]) -> NDArray[np.bool_]:
        """Return True for windows that share a base with any span, ``[n]``."""
        by_contig: dict[str, list[tuple[int, int]]] = {}
        for contig, start, end in spans:
            by_contig.setdefault(contig, []).append((start, end))
        overlaps = np.zeros(len(self.start), bool)
        for number, contig in enumerate(self.contigs):
            if contig in by_contig:
                rows = self.contig == number
                starts, ends = merge(*np.array(by_contig[contig]).T).T
                ended = np.searchsorted(ends, self.start[rows], "right")
                overlaps[rows] = ended < np.searchsorted(starts, self.start[rows] + self.length)
        return overlaps


def _scan(
    fasta: Fasta, tracks: Tracks, request: PrepareRequest, length: int, left_out: LeftOut
) -> Tiles:
    """Read the windows along all contigs, and count those that cannot be used."""
    stride, parts = request.stride or length, []
    for number, contig in enumerate(track(fasta.lengths, "reading the tracks")):
        letters = fasta.letters(contig, 0, fasta.lengths[contig])
        codes = encode(letters, f"{fasta.path}: {contig}")
        starts = window_starts(codes, contig, length, stride, request.max_n, left_out)
        values = tracks.values(contig, starts, length)
        known = np.isfinite(values).any(1)
        if not known.all():
            first = f"{contig}:{starts[~known][0]}"
            left_out.add(UNMEASURED, first, int((~known).sum()))
        starts = starts[known]
        gc = _gc_levels(codes, starts, length)
        parts.append((np.full(len(starts), number, np.int32), starts, gc, values[known]))
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Tiles(tuple(request.tracks), tuple(fasta.lengths), length, *columns)


def _gc_levels(
    codes: NDArray[np.uint8], starts: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """Return the GC level of windows, int64 ``[n]``."""
    edges = np.column_stack([starts, starts + length]).ravel()

    def count(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.add.reduceat(np.append(mask, False), edges, dtype=np.int64)[::2]

    return count(_IS_GC[codes]) * _GC_LEVELS // np.maximum(count(codes != ANY), 1)


def _gc_level(codes: NDArray[np.uint8]) -> int:
    return int(_gc_levels(codes, np.zeros(1, np.int64), len(codes))[0])


def matched(
    wanted: NDArray[np.int64],
    there: NDArray[np.int64],
    times: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw as many items of each level as wanted, or all that exist.

    Parameters
    ----------
    wanted : NDArray
        int64 ``[m]``: levels.
    there : NDArray
        int64 ``[n]``: level of each candidate; -1 if it may not be drawn.
    times : int
        Number to draw for each item in `wanted`.
    rng : Generator

    Returns
    -------
    NDArray
        int64: sorted indices into `there`.
    """
    drawn = [np.empty(0, np.int64)]
    for level, count in zip(*np.unique(wanted, return_counts=True), strict=True):
        rows = np.flatnonzero(there == level)
        drawn.append(rng.choice(rows, min(times * int(count), len(rows)), replace=False))
    return np.sort(np.concatenate(drawn))


def _add(cutter: Cutter, tiles: Tiles, rows: NDArray[np.int64]) -> None:
    for contig, start, end in tiles.spans(rows):
        name = f"{contig}:{start}-{end}"
        cutter.add(Region(0, contig, start, end, name, 1), name)
