"""Results of the tasks that train an encoder, as in ``metrics.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from genomix_cli.learning.task import Epoch
from genomix_cli.sequences.pretrain.probes import FewShot, ProbeRow
from genomix_cli.sequences.score.retrieval import Recalls


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Results that all these tasks share.

    Attributes
    ----------
    folder : str
        Name of the run folder.
    data : str
        Name of the file.
    preset : str
    parameters : int
    counts : dict
        Number of sequences in each part of the split.
    held_out_by : str
    temperature : float
        Learned temperature.
    curve : tuple of Epoch
    notes : tuple of str
    """

    folder: str
    data: str
    preset: str
    parameters: int
    counts: dict[str, int]
    held_out_by: str
    temperature: float
    curve: tuple[Epoch, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probes:
    """Evaluation of representations by probes of one phenotype.

    Attributes
    ----------
    label : str
    classes, sequences : int
        Numbers of classes and of test sequences.
    rows : tuple of ProbeRow
    few : tuple of FewShot
    """

    label: str
    classes: int
    sequences: int
    rows: tuple[ProbeRow, ...]
    few: tuple[FewShot, ...]


@dataclass(frozen=True, kw_only=True)
class ContrastSummary(Summary):
    """Results of contrastive pre-training.

    Attributes
    ----------
    views : dict
        Rates of the augmentations of a view.
    probes : tuple of Probes
        One per phenotype; empty without a label.
    """

    views: dict[str, Any]
    probes: tuple[Probes, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of a table for the terminal."""
        return [
            {
                "label": probes.label,
                "features": row.features,
                "classifier": row.classifier,
                "dims": row.dims,
                "accuracy": row.accuracy.value,
                "low": row.accuracy.low,
                "high": row.accuracy.high,
            }
            for probes in self.probes
            for row in probes.rows
        ]


@dataclass(frozen=True)
class AlignRow:
    """Recall in both directions for one method of comparing sequences with profiles."""

    name: str
    recalls: Recalls
    baseline: bool = False


@dataclass(frozen=True, kw_only=True)
class AlignSummary(Summary):
    """Results of the alignment with phenotypes.

    Attributes
    ----------
    phenotypes : tuple of str
    profiles : int
        Number of distinct profiles among the compared sequences.
    compared : int
        Number of compared sequences.
    retrieval : tuple of AlignRow
    unseen : tuple of str
        Classes excluded from training.
    zero_shot : dict of str to tuple of AlignRow
        Retrieval for their sequences, among all profiles and among unseen profiles.
    """

    phenotypes: tuple[str, ...]
    profiles: int
    compared: int
    retrieval: tuple[AlignRow, ...]
    unseen: tuple[str, ...] = ()
    zero_shot: dict[str, tuple[AlignRow, ...]] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of a table for the terminal."""
        found = [
            (each.name, way, values)
            for each in self.retrieval
            for way, values in (
                ("sequence to profile", each.recalls.to_profiles),
                ("profile to sequences", each.recalls.to_sequences),
            )
        ]
        found += [
            (each.name, f"of unseen classes, {among}", each.recalls.to_profiles)
            for among, rows in self.zero_shot.items()
            for each in rows
        ]
        return [
            {
                "by": name,
                "way": way,
                **{f"recall@{r.k}": r.share.value for r in values},
                **{f"chance@{r.k}": r.chance for r in values},
            }
            for name, way, values in found
        ]
