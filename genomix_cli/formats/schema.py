"""Schemas of the HDF5 formats, from which writing, checking and documentation are derived."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.contacts import REACH
from genomix_cli.genome.iupac import SETS
from genomix_cli.genome.signal import BIN_SIZE

CONTIG = "<contig>"


@dataclass(frozen=True)
class Attribute:
    """Root attribute of a file.

    Attributes
    ----------
    name : str
    kind : {"text", "integer", "json"}
    text : str
        Meaning, for the documentation.
    since : int
        First version of the format with this attribute; older files are read without it.
    """

    name: str
    kind: str
    text: str
    since: int = 1


@dataclass(frozen=True)
class Array:
    """Dataset of a file: little-endian, contiguous and, unless `packed`, uncompressed.

    Attributes
    ----------
    path : str
        Path of the dataset; ``<contig>`` stands for the name of each contig.
    dtype : str
        NumPy name; ``"bytes"`` means fixed-length byte strings of any length.
    shape : tuple of str or int
        Size of each axis. The same word stands for the same size within a contig or table.
    text : str
        Meaning, with units.
    required : bool
    values : tuple, optional
        Range of values, half-open; the name of an attribute stands for its number of entries.
    packed : bool
        True if the dataset may be compressed in chunks (gzip); it is then read into memory as a
        whole.
    """

    path: str
    dtype: str
    shape: tuple[str | int, ...]
    text: str
    required: bool = True
    values: tuple[int, int | str] | None = None
    packed: bool = False

    def has_dtype(self, dtype: np.dtype) -> bool:
        """Return True if `dtype` matches the schema."""
        return dtype.kind == "S" if self.dtype == "bytes" else dtype == np.dtype(self.dtype)


@dataclass(frozen=True)
class Layout:
    """Schema of one kind of file.

    Attributes
    ----------
    name : str
        Value of ``--layout``.
    format : str
        Value of the root attribute `format`.
    version : int
        `format_version` that this code writes, and the newest that it reads.
    text : str
        Purpose, for the documentation.
    attributes : tuple of Attribute
    arrays : tuple of Array
    history : tuple of str
        Changes in each version, from version 1.
    prepare : str
        Command that makes such a file.
    """

    name: str
    format: str
    version: int
    text: str
    attributes: tuple[Attribute, ...]
    arrays: tuple[Array, ...]
    history: tuple[str, ...]
    prepare: str = "genomix prepare variants"

    def array(self, path: str) -> Array:
        """Return the array of the schema at `path`."""
        return next(array for array in self.arrays if array.path == path)


class VariantTable(NamedTuple):
    """Variants of a shard as columns, sorted by contig and position.

    Attributes
    ----------
    contig : NDArray
        int16 ``[V]``: index into the shard's contigs.
    pos : NDArray
        int64 ``[V]``: 0-based position of the first base that differs.
    ref, alt : NDArray
        bytes ``[V]``: trimmed alleles, upper case; REF is empty for an insertion, ALT for a
        deletion.
    label, effect, probability : NDArray
        float32 ``[V]``: label, quantitative label, and true probability of the label in simulated
        data; NaN if unknown.
    weight : NDArray
        float32 ``[V]``: weight in training.
    group : NDArray
        int32 ``[V]``: number shared by variants that are ranked against each other.
    tissue : NDArray
        int16 ``[V]``: index into the shard's tissues, -1 for none.
    record : NDArray
        int64 ``[V]``: 0-based index of the record in the VCF.
    allele : NDArray
        int16 ``[V]``: 0-based index of the ALT allele in the record.
    """

    contig: NDArray[np.int16]
    pos: NDArray[np.int64]
    ref: NDArray[np.bytes_]
    alt: NDArray[np.bytes_]
    label: NDArray[np.float32]
    effect: NDArray[np.float32]
    probability: NDArray[np.float32]
    weight: NDArray[np.float32]
    group: NDArray[np.int32]
    tissue: NDArray[np.int16]
    record: NDArray[np.int64]
    allele: NDArray[np.int16]

    @classmethod
    def empty(cls) -> VariantTable:
        """Return a table without variants."""
        types = ("S1" if t == "bytes" else t for t, _ in _VARIANT_COLUMNS.values())
        return cls(*(np.empty(0, dtype) for dtype in types))


_COMMON = (
    Attribute("format", "text", "Which kind of file this is."),
    Attribute("format_version", "integer", "Version of the format, see the history below."),
    Attribute("bin_size", "integer", f"Bases per bin of the tracks: {BIN_SIZE}."),
    Attribute("assembly", "text", "Name of the assembly as the user gave it; may be empty."),
    Attribute(
        "contigs", "json", "List of `[name, length]` of the reference contigs that have variants."
    ),
    Attribute(
        "tracks",
        "json",
        "One object per track: name (`[ASSAY/]TARGET[@CELL]`), 1001 reference quantiles of "
        "log1p(bin mean), mean, sd. Tracks of one modality share a reference.",
    ),
    Attribute(
        "uncovered", "text", "`missing`: bins without data are unknown; `zero`: they count as 0."
    ),
    Attribute("max_gap_bins", "integer", "Longest gap that was interpolated, in bins."),
    Attribute("tissues", "json", "Names of the tissues that `/variants/tissue` points to."),
    Attribute("provenance", "json", "Version, command, settings, and sha256 of each input."),
)


_VALUES: dict[str, tuple[int, int | str]] = {
    "contig": (0, "contigs"),
    "tissue": (-1, "tissues"),
    "split": (-1, "splits"),
    "strand": (-1, 2),
}


def _columns(
    folder: str, size: str, columns: dict[str, tuple[str, str]], optional: Container[str] = ()
) -> tuple[Array, ...]:
    """Return arrays of equal length in an HDF5 group, from the type and meaning of each."""
    return tuple(
        Array(f"{folder}/{name}", dtype, (size,), text, name not in optional, _VALUES.get(name))
        for name, (dtype, text) in columns.items()
    )


_VARIANT_COLUMNS = {
    "contig": ("int16", "Index into the attribute `contigs`."),
    "pos": ("int64", "0-based position of the first base that differs (alleles are trimmed)."),
    "ref": ("bytes", "Trimmed REF, upper case; empty for an insertion."),
    "alt": ("bytes", "Trimmed ALT, upper case; empty for a deletion."),
    "label": ("float32", "Label; NaN where there is none."),
    "effect": ("float32", "Quantitative label, ranked within a group; NaN where there is none."),
    "probability": ("float32", "True probability of the label in simulated data; NaN elsewhere."),
    "weight": ("float32", "Weight in training; 1 by default."),
    "group": ("int32", "Variants that are ranked against each other: by default the 50-kb locus."),
    "tissue": ("int16", "Index into the attribute `tissues`; -1: none."),
    "record": ("int64", "0-based record of the input VCF."),
    "allele": ("int16", "Which ALT of that record, from 0."),
}
_VARIANTS = _columns("/variants", "variant", _VARIANT_COLUMNS, optional=("effect",))

_VERSION_2 = "Quantitative labels, `/variants/effect`; track names may state a cell type."
_VERSION_3 = "`observed` distinguishes bridged bins from measured ones."

GENOME = Layout(
    name="genome",
    format="genomix-shard",
    version=3,
    text="Stores each stretch of genome once; variants point into it. "
    "`genomix train` reads it. Designed to be memory-mapped.",
    attributes=_COMMON,
    arrays=(
        Array(
            f"/sequence/{CONTIG}/codes",
            "uint8",
            ("base",),
            "Bases of all blocks, concatenated: A 0, C 1, G 2, T 3, anything else 4.",
            values=(0, 5),
        ),
        Array(
            f"/sequence/{CONTIG}/blocks",
            "int64",
            ("block", 3),
            "Start, end (0-based, half-open) and offset into `codes` of each block, sorted. "
            f"Starts, offsets and ends are multiples of {CONTACT_BIN}, except an end at the "
            f"end of the contig. The bin of base `offset` is `offset / {BIN_SIZE}`.",
        ),
        Array(
            f"/tracks/{CONTIG}/signal",
            "float16",
            ("track", "bin"),
            "Normalised signal (z-score, clipped to ±10) of the same blocks; 0 where missing. The "
            "last bin of a contig is averaged over its true length.",
        ),
        Array(
            f"/tracks/{CONTIG}/observed",
            "uint8",
            ("track", "bin"),
            "1 where measured, 2 where a short gap was interpolated linearly, else 0. Before "
            "version 3, 1 for both.",
            values=(0, 3),
        ),
        Array(
            f"/contacts/{CONTIG}/oe",
            "float16",
            ("contact bin", REACH),
            "`[i, j]`: compressed log(observed/expected) between the 5-kb bins i and i + j of the "
            "whole contig; 0 where unknown.",
            required=False,
        ),
        *_VARIANTS,
    ),
    history=("First version.", _VERSION_2, _VERSION_3),
)

WINDOWS = Layout(
    name="windows",
    format="genomix-windows",
    version=3,
    text="One row per variant, with explicit tokens, for your own models. It takes 0.2 MB per "
    "variant, and more for the tracks: use it for thousands of variants, not millions.",
    attributes=(
        *_COMMON,
        Attribute("k", "integer", "Length of the k-mers, 3 to 7."),
    ),
    arrays=(
        Array(
            "/windows/kmers",
            "uint16",
            ("variant", "base"),
            "Stride-1 k-mer ids (base 4, first base most significant; 4^k is MASK, 4^k + 1 has an "
            "N). Id i is the k-mer that starts k // 2 bases before base i of the window.",
        ),
        Array(
            "/windows/signal",
            "float16",
            ("variant", "track", "bin"),
            "Normalised signal as in the genome layout. The bins are the window's own: bin 0 "
            "starts at `/windows/start`.",
        ),
        Array(
            "/windows/observed",
            "uint8",
            ("variant", "track", "bin"),
            "1 where measured, 2 where a short gap was interpolated linearly, else 0. Before "
            "version 3, 1 for both.",
            values=(0, 3),
        ),
        Array(
            "/windows/start",
            "int64",
            ("variant",),
            "0-based first base of the window. May be negative: bases outside the contig are N.",
        ),
        *_VARIANTS,
    ),
    history=("First version.", _VERSION_2, _VERSION_3),
)

_SEQUENCE_COLUMNS = {
    "name": ("bytes", "UTF-8; unique."),
    "group": (
        "int32",
        "Sequences that stay in one fold: haplotypes of a person, relatives, a locus.",
    ),
    "split": ("int16", "Index into `splits`; -1: none."),
    "contig": ("int16", "Index into `contigs` of a sequence that is a window of the genome."),
    "start": ("int64", "0-based first base of that window."),
    "strand": ("int8", "1, or -1 where the sequence is the reverse complement of the assembly."),
}
_ALIGNED_COLUMNS = {
    "contig": ("int16", "Aligned sequences: index into `contigs` of each column."),
    "pos": ("int64", "0-based position of each column."),
    "site": ("int32", "Index of the variant site, from 0; -1 for a flanking base."),
    "ref": ("uint8", "Set of REF."),
    "alt": ("uint8", "Set of all ALT alleles; 0 for a flanking base."),
}

SEQUENCES = Layout(
    name="sequences",
    format="genomix-sequences",
    version=4,
    text="Sequences of equal length, one per row, with their phenotypes, groups and splits. "
    "Made by `genomix prepare sequences` and `genomix simulate sequences`.",
    attributes=(
        Attribute("format", "text", "Which kind of file this is."),
        Attribute("format_version", "integer", "Version of the format, see the history below."),
        Attribute(
            "aligned",
            "integer",
            "1: column i is the same position in every row, as in genotypes; 0: it is not.",
        ),
        Attribute("label", "text", "Name of the phenotype to classify by default; may be empty."),
        Attribute(
            "phenotypes",
            "json",
            "List of objects: `name`, and `categories`, a list of names, or null for a number.",
        ),
        Attribute(
            "splits", "json", "Names that `/sequences/split` points to, such as train and test."
        ),
        Attribute("assembly", "text", "Name of the assembly as the user gave it; may be empty."),
        Attribute("contigs", "json", "List of `[name, length]`; length 0 where it is unknown."),
        Attribute(
            "measurement",
            "json",
            "How the numeric phenotypes were measured: `assay`, `unit`, and `left` and `right`, "
            "the bases of the construct around each sequence; each may be empty.",
            since=2,
        ),
        Attribute(
            "profiles",
            "json",
            "List of objects, one per track of `/profiles/signal`: `name` is that of a numeric "
            "phenotype; `opposite` is the track of the other strand, or its own name if it covers "
            "both strands.",
            since=4,
        ),
        Attribute("provenance", "json", "Version, command, settings, and sha256 of each input."),
    ),
    arrays=(
        Array(
            "/sequences/codes",
            "uint8",
            ("sequence", "base"),
            "Sets of bases: A 1, C 2, G 4, T 8 and their sums (IUPAC letters), N 15. Compressed "
            "(gzip, chunks of rows) if its size is 64 KiB to 256 MiB.",
            values=(0, SETS),
            packed=True,
        ),
        *_columns("/sequences", "sequence", _SEQUENCE_COLUMNS, ("contig", "start", "strand")),
        *_columns("/columns", "base", _ALIGNED_COLUMNS, _ALIGNED_COLUMNS),
        Array(
            "/phenotypes/number",
            "float32",
            ("sequence", "number"),
            "Numeric phenotypes, in the order of `phenotypes`; NaN where unknown.",
        ),
        Array(
            "/phenotypes/category",
            "int16",
            ("sequence", "category"),
            "Index into the phenotype's `categories`, in the order of `phenotypes`; -1: unknown.",
        ),
        Array(
            "/profiles/signal",
            "float32",
            ("sequence", "profile", "base"),
            "Signal of each base, in the direction of the sequence, in the order of `profiles`; "
            "NaN where nothing was measured. Compressed like `/sequences/codes`.",
            required=False,
            packed=True,
        ),
    ),
    history=(
        "First version.",
        "`measurement`. Files without it do not record their assay.",
        "`/sequences/codes` may be compressed.",
        "`profiles`, and the signal of each base that they name.",
    ),
    prepare="genomix prepare sequences",
)

LAYOUTS = {layout.format: layout for layout in (GENOME, WINDOWS, SEQUENCES)}
