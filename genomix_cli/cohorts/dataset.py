"""Samples as models see them: one matrix per modality, labels, and groups of samples.

Letters in shapes: n samples, d features of a modality, M modalities, K classes.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import BATCH, PATIENT, Cohort
from genomix_cli.formats.seen import Items

log = logging.getLogger("genomix")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Modality:
    """Description of a modality without its values, as stored in a run folder.

    Attributes
    ----------
    name : str
    kind : str
        Name of a `genomix_cli.formats.cohort.Kind`.
    features : tuple of str
    readout : tuple of str
        For fragments: ``length``, ``short`` or ``long`` for each feature; otherwise empty.
    contig : tuple of str
        Contig of each feature; empty if the file has no positions.
    position : tuple of int
        Start of each feature on the contig, or length of the fragments, in bp; -1 if unknown.
    """

    name: str
    kind: str
    features: tuple[str, ...]
    readout: tuple[str, ...] = ()
    contig: tuple[str, ...] = ()
    position: tuple[int, ...] = ()


@dataclass(frozen=True)
class Samples:
    """A cohort, or some of its samples, in memory.

    Attributes
    ----------
    names : NDArray
        str ``[n]``.
    modalities : tuple of Modality
    values : dict of str to NDArray
        float32 ``[n, d]`` for each modality; NaN if missing.
    present : NDArray
        bool ``[n, M]``: True if the sample has the modality.
    classes : tuple of str
    label : NDArray
        int64 ``[n]``: index of the class, -1 if unknown.
    patient, batch : NDArray
        int64 ``[n]``: codes. In a file without patients, each sample is its own patient; without
        batches, all samples are one batch.
    """

    names: NDArray[Any]
    modalities: tuple[Modality, ...]
    values: dict[str, NDArray[np.float32]]
    present: NDArray[np.bool_]
    classes: tuple[str, ...]
    label: NDArray[np.int64]
    patient: NDArray[np.int64]
    batch: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def unit(self) -> NDArray[np.int64]:
        """Patient of each sample, int64 ``[n]``: the unit of splits and of the bootstrap."""
        return self.patient

    def united(self, groups: NDArray[np.int64]) -> Samples:
        """Return the same samples with patients replaced by `groups` ``[n]`` of patients."""
        return replace(self, patient=groups)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """True for each modality in which a sample has at least one value, bool ``[n, M]``."""
        return self.present & np.column_stack(
            [np.isfinite(self.values[modality.name]).any(1) for modality in self.modalities]
        )

    @property
    def layout(self) -> tuple[Modality, ...]:
        """Modalities, which determine the shape of a model."""
        return self.modalities

    @property
    def inputs(self) -> Samples:
        """The samples themselves: models read `values` and `present`."""
        return self

    def relabelled(self, label: NDArray[np.int64]) -> Samples:
        """Return the same samples with other labels."""
        return replace(self, label=label)

    def take(self, rows: NDArray[Any]) -> Samples:
        """Return the samples that an index array or a mask selects."""
        return replace(
            self,
            names=self.names[rows],
            values={name: values[rows] for name, values in self.values.items()},
            present=self.present[rows],
            label=self.label[rows],
            patient=self.patient[rows],
            batch=self.batch[rows],
        )

    def items(self) -> Items:
        """Return digests of names and values, to find samples that a model has seen."""

        def part(i: int, name: str) -> bytes:
            # Give NaN and zero one bit pattern each, so that equal values have equal digests.
            x = self.values[name][i]
            return (np.where(np.isnan(x), np.nan, x) + 0.0).tobytes()

        names, every = sorted(self.values), range(len(self))
        order = [[modality.name for modality in self.modalities].index(name) for name in names]
        rows, columns = np.nonzero(self.present[:, order])
        items = Items.of(self.names, (b"".join(part(i, name) for name in names) for i in every))
        measured = zip(rows.tolist(), (names[j] for j in columns), strict=True)
        parts = (f"{name} ".encode() + part(i, name) for i, name in measured)
        return items.with_parts(parts, rows)

    def only(self, names: Sequence[str]) -> Samples:
        """Return the samples with only some modalities, in the order of the file.

        Raises
        ------
        UsageError
            If a modality does not exist.
        """
        there = [modality.name for modality in self.modalities]
        unknown = [name for name in names if name not in there]
        if unknown:
            raise UsageError(f"has no modality {', '.join(unknown)}", expected=" or ".join(there))
        wanted = [name in names for name in there]
        modalities = tuple(itertools.compress(self.modalities, wanted))
        values = {modality.name: self.values[modality.name] for modality in modalities}
        present = self.present[:, wanted]
        return replace(self, modalities=modalities, values=values, present=present)


def read_samples(cohort: Cohort) -> Samples:
    """Read all samples with everything that a model may learn from."""
    return Samples(
        names=np.asarray(cohort.obs.index, str),
        modalities=tuple(_modality(cohort, name) for name in cohort.modalities),
        values={name: cohort.matrix(name) for name in cohort.modalities},
        present=np.column_stack([cohort.present(name) for name in cohort.modalities]),
        classes=cohort.classes,
        label=cohort.labels,
        patient=cohort.groups(PATIENT),
        batch=cohort.groups(BATCH) if BATCH in cohort.obs else np.zeros(len(cohort.obs), np.int64),
    )


def _modality(cohort: Cohort, name: str) -> Modality:
    table = cohort.features(name)
    kind = cohort.kinds[name].name
    features = tuple(map(str, table.index))
    contig = readout = position = ()  # type: Any
    if {"contig", "start"} <= set(table):
        contig = tuple(map(str, table["contig"]))
        position = tuple(int(start) for start in table["start"].fillna(-1))
    if kind == "fragments" and "length" in table:
        lengths = table["length"].fillna(-1)
        position = tuple(
            int(length if length >= 0 else start)
            for length, start in zip(lengths, position or [-1] * len(table), strict=True)
        )
        readout = ("length",) * len(table)
    if "readout" in table:
        readout = tuple(map(str, table["readout"]))
    return Modality(name, kind, features, readout, contig, position)


def aligned(samples: Samples, modalities: tuple[Modality, ...], where: object) -> Samples:
    """Return samples with the modalities and features that a model was trained on.

    Absent features and modalities count as missing, with a warning. Those unknown to the model are
    left out, with a message.

    Raises
    ------
    DataError
        If there is no common modality, or a common modality is of another kind or shares no
        feature.
    """
    there = {modality.name: modality for modality in samples.modalities}
    common = [modality.name for modality in modalities if modality.name in there]
    if not common:
        raise DataError(
            "has none of the model's modalities",
            where=where,
            expected=" or ".join(modality.name for modality in modalities),
            found=", ".join(there),
        )
    values, present = {}, []
    for modality in modalities:
        name = modality.name
        if name not in there:
            log.warning("%s has no %s: the model treats it as missing", where, name)
            values[name] = np.full((len(samples), len(modality.features)), np.nan, "f4")
            present.append(np.zeros(len(samples), bool))
        else:
            values[name] = _in_order(samples.values[name], there[name], modality, where)
            present.append(samples.present[:, list(there).index(name)])
    others = [name for name in there if name not in common]
    if others:
        log.warning("%s: ignoring %s, which the model does not know", where, ", ".join(others))
    return replace(samples, modalities=modalities, values=values, present=np.column_stack(present))


def _in_order(
    values: NDArray[np.float32], found: Modality, wanted: Modality, where: object
) -> NDArray[np.float32]:
    """Return columns of `values` in the order of the model's features, NaN if absent."""
    if found.kind != wanted.kind:
        raise DataError(
            "the modality is of another kind than in training",
            where=f"{where} [{found.name}]",
            expected=wanted.kind,
            found=found.kind,
            hint="prepare it with the same --kind",
        )
    if found.features == wanted.features:
        return values
    column = {name: i for i, name in enumerate(found.features)}
    source = np.array([column.get(name, -1) for name in wanted.features])
    lacking = int((source < 0).sum())
    if lacking == len(source):
        raise DataError(
            "has none of the model's features",
            where=f"{where} [{found.name}]",
            expected=f"{wanted.features[0]}, ... ({len(wanted.features):,})",
            found=f"{found.features[0]}, ... ({len(found.features):,})",
        )
    if lacking:
        count = f"{lacking:,} of {len(source):,} features"
        log.warning("%s [%s] lacks %s; treated as missing", where, found.name, count)
    unknown = len(found.features) - (len(source) - lacking)
    if unknown:
        log.info(
            "%s [%s]: ignoring %s features that the model does not use",
            where,
            found.name,
            f"{unknown:,}",
        )
    return np.where(source >= 0, values[:, source], np.float32(np.nan))
