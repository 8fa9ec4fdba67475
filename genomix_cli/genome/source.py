"""Sources of model inputs: one interface for raw files and shards.

Letters: M tracks, N bins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.bigwig import BigWig
from genomix_cli.genome.contacts import BIN, REACH, Contacts
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import canonical
from genomix_cli.genome.readahead import ReadAhead
from genomix_cli.genome.signal import BIN_SIZE, Normaliser, Signal, TrackSpec, Uncovered
from genomix_cli.genome.tracks import read_track_name

log = logging.getLogger("genomix")

# Bins of a track kept in memory: 2 Mb of genome, 0.2 MB of memory.
KEPT_BINS = 40_000


class GenomeSource(Protocol):
    """Bases, tracks and contacts by coordinate.

    Attributes
    ----------
    tracks : tuple of str
        Names of the tracks, in the order of the rows of `signal`.
    contigs : mapping of str to int
        Contig names as the reference spells them, and their lengths.
    """

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the tracks, in the order of the rows of `signal`."""
        ...

    @property
    def contigs(self) -> Mapping[str, int]:
        """Contig names as the reference spells them, and their lengths."""
        ...

    def codes(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return bases as uint8 ``[end - start]``; N (4) where unknown. `start` may be < 0.

        The result may be a read-only view.
        """
        ...

    def signal(self, contig: str, first_bin: int, last_bin: int) -> Signal:
        """Return tracks over bins ``first_bin .. last_bin``, ``[M, N]``; missing where unknown.

        The arrays have the types in which the source stores them (see `Signal`), and may be
        read-only views.
        """
        ...

    def contacts(self, contig: str, start: int, n_bins: int) -> NDArray[np.float32]:
        """Return log(observed/expected) between 5-kb bins from `start`, ``[n_bins, n_bins]``.

        `start` is a multiple of 5000. Values are 0 where unknown, and 21 or more bins off the
        diagonal.
        """
        ...

    def close(self) -> None:
        """Release the files."""
        ...


class RawTrack:
    """bigWig file, normalised to a reference distribution.

    Parameters
    ----------
    path : Path
    spec : TrackSpec or None
        Reference; if None, the file is its own reference.
    name : str
        Name of the spec if the file is its own reference.
    lengths : mapping of str to int
        Lengths of the contigs of the reference genome.
    max_gap_bins : int
        See `Normaliser`.
    uncovered : {"missing", "zero"}
        See `Normaliser`.

    Raises
    ------
    DataError
        If the file cannot be read, is of another genome, has no signal, or is constant.
    """

    def __init__(
        self,
        path: Path,
        spec: TrackSpec | None,
        name: str,
        lengths: Mapping[str, int],
        *,
        max_gap_bins: int,
        uncovered: Uncovered,
    ) -> None:
        self.path = Path(path)
        self._lengths = dict(lengths)
        self._open()
        warn_of_left_out(self._left_out, path)
        own = self.file.distribution()
        spelled = filter(None, map(self.file.names.find, self._lengths))
        if not any(map(self.file.has_signal, spelled)):
            raise DataError(
                "holds no signal on the contigs of the FASTA",
                where=path,
                hint=f"remove --track {name}",
            )
        # If bases without signal count as 0, a single non-zero value is a valid peak track.
        if np.ptp(own) == 0 and (uncovered == "missing" or own[0] == 0):
            raise DataError(
                f"is {own[0]:g} everywhere, so a model cannot learn from it",
                where=path,
                hint=f"remove --track {name}",
            )
        self.normaliser = Normaliser(
            spec or TrackSpec.of(name, own),
            own,
            max_gap_bins=max_gap_bins,
            uncovered=uncovered,
        )

    @property
    def spec(self) -> TrackSpec:
        """Reference that the track is normalised to."""
        return self.normaliser.spec

    def _open(self) -> None:
        self.file = BigWig(self.path)
        self._left_out = leave_out_other_contigs(self.file, self._lengths, self.path)
        self._ahead = ReadAhead(self._read, KEPT_BINS)

    def __getstate__(self) -> dict[str, Any]:
        handles = ("file", "_ahead")
        return {name: value for name, value in self.__dict__.items() if name not in handles}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def bins(self, contig: str, first_bin: int, last_bin: int) -> Signal:
        """Return normalised bins; missing beyond the contig, or if the file lacks the contig.

        Windows that walk along a contig are cut from longer reads, with the same values.

        Parameters
        ----------
        contig : str
            Name as the reference spells it.
        first_bin, last_bin : int
            Half-open range; it may reach beyond the contig.

        Returns
        -------
        Signal
            Views of cached arrays; do not write to them.
        """
        values, part = self._ahead.get(contig, first_bin, last_bin)
        return Signal(values.value[part], values.state[part])

    def _read(self, contig: str, first_bin: int, last_bin: int) -> Signal:
        value = np.zeros(last_bin - first_bin, np.float32)
        state = np.zeros(last_bin - first_bin, np.uint8)
        # Read beyond both ends, to interpolate gaps that cross an end.
        margin = self.normaliser.max_gap_bins + 1
        low = max(0, first_bin - margin)
        high = min(-(-self._lengths.get(contig, 0) // BIN_SIZE), last_bin + margin)
        if self.file.names.find(contig) is not None and low < high:
            bins = self.file.bins(contig, low, high, BIN_SIZE)
            values = self.normaliser.apply(bins.mean, bins.covered)
            into = slice(max(0, low - first_bin), max(0, high - first_bin))
            part = slice(max(0, first_bin - low), max(0, min(high, last_bin) - low))
            value[into] = values.value[part]
            state[into] = values.state[part]
        return Signal(value, state)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


# Above this share of the common bases, contigs of different length mean another assembly.
MAX_OTHER = 0.01


def leave_out_other_contigs(
    file: BigWig | Contacts, lengths: Mapping[str, int], where: object
) -> list[str]:
    """Ignore the contigs of a track or contact map whose length differs from the reference.

    Usually this is the mitochondrion of hg19, which has 16,571 bases at UCSC and 16,569 elsewhere.

    Parameters
    ----------
    file : BigWig or Contacts
    lengths : mapping of str to int
        Lengths of the contigs of the reference.
    where : object
        Name of the file in messages.

    Returns
    -------
    list of str
        Ignored contigs, as the file spells them.

    Raises
    ------
    DataError
        If no common contig has the same length, or if contigs of different length, without the
        mitochondrion, have more than 1 % of the common bases.
    """
    spelled = {name: file.names.find(name) for name in lengths}
    common = {name: own for name, own in spelled.items() if own is not None}
    if not common:
        raise DataError(
            "has no contig in common with the FASTA",
            where=where,
            expected=", ".join(list(lengths)[:3]),
            found=", ".join(list(file.names)[:3]),
            hint="use files of one assembly",
        )
    other = {name: own for name, own in common.items() if file.lengths[own] != lengths[name]}
    # A different mitochondrion does not mean another assembly, however small the rest is.
    judged = [name for name in other if canonical(name) != "MT"]
    share = sum(lengths[name] for name in judged) / sum(lengths[name] for name in common)
    if share > MAX_OTHER or len(other) == len(common):
        name = (judged or list(other))[0]
        own = other[name]
        raise DataError(
            f"{own} has another length than in the FASTA: the file is of another genome",
            where=where,
            expected=f"{lengths[name]:,} bp",
            found=f"{file.lengths[own]:,} bp",
            hint="use files of one assembly, or remove the contig from one of them",
        )
    file.names.leave_out(other.values())
    return list(other.values())


def warn_of_left_out(contigs: list[str], where: object) -> None:
    """Warn of ignored contigs; separate from opening, since every worker opens the file again."""
    if contigs:
        log.warning(
            "%s: ignoring %s, whose length differs from the FASTA", where, ", ".join(contigs)
        )


class RawGenome:
    """:class:`GenomeSource` of FASTA, bigWigs and a contact map, read window by window.

    It is pickled by path; files are opened again when it is unpickled.

    Parameters
    ----------
    fasta : Path
    tracks : mapping of str to Path
        bigWig files by track name.
    specs : tuple of TrackSpec, optional
        Tracks that the model was trained on, in its order. A spec without a file is a missing
        track. If None, each file is its own reference; tracks of one modality share that of the
        first.
    contacts : str or Path, optional
        .cool or .mcool.
    uncovered : {"missing", "zero"}
        See `Normaliser`.
    max_gap_bins : int
        See `Normaliser`.

    Attributes
    ----------
    missing : frozenset of str
        Tracks of the model without a file.

    Raises
    ------
    UsageError
        If a track is not in `specs`.
    DataError
        If a file cannot be read, is of another genome, or a track has no signal or is constant.
    """

    def __init__(
        self,
        fasta: Path,
        tracks: Mapping[str, Path],
        specs: tuple[TrackSpec, ...] | None,
        contacts: str | Path | None = None,
        *,
        uncovered: Uncovered,
        max_gap_bins: int,
    ) -> None:
        if specs is not None:
            refuse_unknown_tracks(tracks, tuple(spec.name for spec in specs))
        known = {spec.name: spec for spec in specs or ()}
        shared: dict[str, TrackSpec] = {}
        self._fasta_path, self._contacts_path = fasta, contacts
        self._open()
        warn_of_left_out(self._left_out, contacts)
        self._raw: dict[str, RawTrack] = {}
        for name, path in tracks.items():
            # Tracks of one modality share a scale: that of the first.
            modality = read_track_name(name).modality
            self._raw[name] = RawTrack(
                path,
                known.get(name) or (shared[modality].called(name) if modality in shared else None),
                name,
                self.contigs,
                max_gap_bins=max_gap_bins,
                uncovered=uncovered,
            )
            shared.setdefault(modality, self._raw[name].spec)
        self.specs = specs or tuple(track.spec for track in self._raw.values())
        self.missing = frozenset(self.tracks) - set(tracks)

    def _open(self) -> None:
        self.fasta = Fasta(self._fasta_path)
        self._contacts, self._left_out = None, []
        if self._contacts_path is not None:
            self._contacts = Contacts(self._contacts_path)
            self._left_out = leave_out_other_contigs(
                self._contacts, self.contigs, self._contacts_path
            )

    def __getstate__(self) -> dict[str, Any]:
        handles = ("fasta", "_contacts")
        return {name: value for name, value in self.__dict__.items() if name not in handles}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the tracks, in the order of the rows of `signal`."""
        return tuple(spec.name for spec in self.specs)

    @property
    def contigs(self) -> Mapping[str, int]:
        """Lengths of the contigs of the FASTA."""
        return self.fasta.lengths

    def codes(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return bases as uint8 ``[end - start]``; N (4) beyond the contig."""
        if contig not in self.contigs:
            return np.full(end - start, UNKNOWN_BASE, np.uint8)
        return self.fasta.fetch(contig, start, end)

    def signal(self, contig: str, first_bin: int, last_bin: int) -> Signal:
        """Return tracks over ``first_bin .. last_bin``, ``[M, N]``; missing if without a file."""
        shape = len(self.specs), last_bin - first_bin
        signal = Signal(np.zeros(shape, np.float32), np.zeros(shape, np.uint8))
        for row, spec in enumerate(self.specs):
            if spec.name in self._raw:
                bins = self._raw[spec.name].bins(contig, first_bin, last_bin)
                signal.value[row], signal.state[row] = bins
        return signal

    def contacts(self, contig: str, start: int, n_bins: int) -> NDArray[np.float32]:
        """Return log(observed/expected) between 5-kb bins; 0 off the band and without a map."""
        if self._contacts is None:
            return np.zeros((n_bins, n_bins), np.float32)
        return self._contacts.matrix(contig, start, n_bins)

    @property
    def has_contacts(self) -> bool:
        """True if a contact map was given."""
        return self._contacts is not None

    def band(self, contig: str) -> NDArray[np.float32]:
        """Return contacts near the diagonal of a contig, ``[5-kb bins, REACH]``; 0 if unknown."""
        if self._contacts is None or self._contacts.names.find(contig) is None:
            return np.zeros((-(-self.contigs[contig] // BIN), REACH), np.float32)
        return self._contacts.band(contig)

    def close(self) -> None:
        """Release the files."""
        self.fasta.close()
        if self._contacts is not None:
            self._contacts.close()
        for track in self._raw.values():
            track.close()


def refuse_unknown_tracks(given: Mapping[str, Path], known: tuple[str, ...]) -> None:
    """Refuse tracks that the model or the reference shard does not have.

    Raises
    ------
    UsageError
        If there are any; the message names all of them.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(
            f"unknown track {', '.join(unknown)}",
            where="--track",
            expected=" or ".join(known) or "no tracks",
        )
