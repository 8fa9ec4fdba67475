"""Names of tracks, which state what was measured and in which cell type.

The form is ``[ASSAY/]TARGET[@CELL]``, such as ``ATAC``, ``H3K27ac@K562`` or
``CUT&RUN/CTCF@GM12878``. The part before the ``@`` is the modality. Models know only modalities, so
a model trained on the tracks of one cell type can read those of another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from genomix_cli.errors import UsageError

T = TypeVar("T")

CELL_SIGN = "@"
_ACCESSIBILITY = {
    "ATAC": "ATAC-seq",
    "DNASE": "DNase-seq",
    "FAIRE": "FAIRE-seq",
    "MNASE": "MNase-seq",
}
_OTHER_ASSAYS = {"CAGE": "CAGE", "RNA": "RNA-seq", "WGBS": "WGBS", "METHYLATION": "WGBS"}


def contact_file(contacts: Path | str) -> Path:
    """Return the file of a contact map, the part before ``::`` in a.mcool::/resolutions/1000."""
    return Path(str(contacts).partition("::")[0])


class TrackName(NamedTuple):
    """Parsed name of a track.

    Attributes
    ----------
    modality : str
        Name without the cell type, as known to models.
    assay : str
        Such as ATAC-seq or ChIP-seq.
    target : str
        Mark or protein; empty if the assay has none.
    cell_type : str
        Cell type; if empty, the track serves all cell types.
    """

    modality: str
    assay: str
    target: str
    cell_type: str


def read_track_name(name: str) -> TrackName:
    """Parse a name; for a mark or protein without an assay, ChIP-seq is assumed.

    Raises
    ------
    UsageError
        If nothing is before or after the ``@``, or there is more than one ``@``.
    """
    modality, sign, cell = name.partition(CELL_SIGN)
    if not modality or (sign and not cell) or CELL_SIGN in cell:
        raise UsageError(
            "not the name of a track",
            where="--track",
            expected="[ASSAY/]TARGET[@CELL], e.g. H3K27ac@K562",
            found=name,
        )
    assay, slash, target = modality.partition("/")
    if slash:
        return TrackName(modality, assay, target, cell)
    known = _ACCESSIBILITY.get(modality.upper()) or _OTHER_ASSAYS.get(modality.upper())
    return TrackName(modality, known or "ChIP-seq", "" if known else modality, cell)


def is_accessibility(modality: str) -> bool:
    """Return True if a modality measures chromatin accessibility."""
    name = read_track_name(modality)
    return name.assay in _ACCESSIBILITY.values()


def modalities(names: Iterable[str]) -> tuple[str, ...]:
    """Return the modalities of tracks, in order of first appearance."""
    return tuple(dict.fromkeys(read_track_name(name).modality for name in names))


def cells(names: Iterable[str]) -> tuple[str, ...]:
    """Return the cell types of tracks, in order of first appearance; ("",) if none is named.

    A track without a cell type serves all of them.
    """
    named = dict.fromkeys(read_track_name(name).cell_type for name in names)
    return tuple(cell for cell in named if cell) or ("",)


def rows_in_cell(names: Iterable[str], cell: str) -> dict[str, int]:
    """Return each modality's row for `cell`: its own track, or the one for all cell types."""
    rows: dict[str, int] = {}
    for own in (False, True):
        for row, name in enumerate(map(read_track_name, names)):
            if name.cell_type == (cell if own else ""):
                rows[name.modality] = row
    return rows


def require_cell(known: tuple[str, ...], cell: str) -> str:
    """Return `cell`, or the only cell type if `cell` is empty.

    Raises
    ------
    UsageError
        If there are several cell types and none is named, or `cell` is unknown.
    """
    if cell in known or (not cell and len(known) == 1):
        return cell or known[0]
    raise UsageError(
        f"no tracks of {cell}" if cell else "has tracks of several cell types",
        where="--cell",
        expected=" or ".join(filter(None, known)) or "no cell type, since its tracks name none",
    )


def of_one_cell(tracks: Mapping[str, T]) -> dict[str, T]:
    """Return the tracks of a single cell type, by modality.

    Raises
    ------
    UsageError
        If tracks belong to several cell types, or two share a modality.
    """
    named = [read_track_name(name) for name in tracks]
    several = {name.cell_type for name in named if name.cell_type}
    if len(several) > 1:
        raise UsageError(
            "tracks of several cell types",
            where="--track",
            found=", ".join(sorted(several)),
            hint="give the tracks of one cell type, and run again for the next",
        )
    twice = [m for m, count in Counter(n.modality for n in named).items() if count > 1]
    if twice:
        raise UsageError(f"{twice[0]} was given twice", where="--track")
    return {name.modality: value for name, value in zip(named, tracks.values(), strict=True)}
