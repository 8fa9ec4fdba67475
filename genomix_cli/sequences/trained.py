"""Classifiers stored in run folders of ``genomix train``, ready to score.

Letters: n sequences, L bases, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genomix_cli.comparison.calibrations import Calibration
from genomix_cli.comparison.protocol import Trained
from genomix_cli.comparison.scoring import Calibrated
from genomix_cli.config import to_dict
from genomix_cli.errors import DataError, guarded
from genomix_cli.formats.seen import Seen
from genomix_cli.formats.sequences import Sequences
from genomix_cli.provenance import Provenance
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier
from genomix_cli.sequences.runs import RunConfig, StoredRun, read_run, save_run

TASK = "classify"


@dataclass(frozen=True)
class Classifier(Calibrated):
    """A trained, calibrated classifier.

    Attributes
    ----------
    run : StoredRun
    level : float
        Share of sequences whose prediction set should hold the right class.
    """

    model: SequenceClassifier
    run: StoredRun
    level: float

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in the order of the probabilities."""
        return self.run.config.classes


def save_classifier(
    folder: Path,
    name: str,
    trained: Trained[Labelled],
    sequences: Sequences,
    label: str,
    counts: Sequence[int],
    level: float,
    provenance: Provenance,
    seen: Seen | None = None,
) -> None:
    """Write a run into an existing folder.

    Parameters
    ----------
    folder : Path
    name : str
        Name of the model in the registry.
    trained : Trained
    sequences : Sequences
        Training sequences.
    label : str
        Name of the phenotype that was learned.
    counts : sequence of int
        Number of training sequences in each class.
    level : float
        Nominal coverage of the prediction sets.
    provenance : Provenance
    seen : Seen, optional
        Record of the sequences that the model has seen.
    """
    model = trained.models[0]
    (calibration,) = trained.calibrations
    facts: dict[str, Any] = {
        "temperature": calibration.temperature,
        "thresholds": list(calibration.thresholds),
        "level": level,
        "counts": list(map(int, counts)),
    }
    arch, classes = to_dict(model.config), model.classes
    config = RunConfig.of(
        TASK, name, arch, sequences, provenance, label=label, classes=classes, facts=facts
    )
    save_run(folder, config, model.state(), seen)


def load_classifier(folder: Path, device: str = "cpu") -> Classifier:
    """Load a run folder of the task ``classify``.

    Raises
    ------
    UsageError
        If the folder is not a run folder, or the run is of another task.
    DataError
        If its files are damaged, have a newer version, or do not belong together.
    """
    return of_run(read_run(folder, TASK), device)


def of_run(run: StoredRun, device: str = "cpu") -> Classifier:
    """Return the classifier of a run that was already read; see :func:`load_classifier`."""
    config = run.config
    where = run.path / "config.json"
    lacking = {"temperature", "thresholds", "level"} - set(config.facts)
    if lacking:
        raise DataError(f"is damaged: lacks {', '.join(sorted(lacking))}", where=where)
    with guarded(where, "temperature, thresholds and level"):
        level = float(config.facts["level"])
        temperature = float(config.facts["temperature"])
        thresholds = tuple(map(float, config.facts["thresholds"]))
    if len(thresholds) != len(config.classes) or not temperature > 0:
        raise DataError("is damaged: its thresholds do not fit its classes", where=where)
    kind: type[SequenceClassifier] = SEQUENCE_CLASSIFIERS.load(config.model)
    model = kind.restored(config.arch, config.length, config.classes, run.state, run.path)
    model.to(device)
    return Classifier(model, (Calibration(None, temperature, thresholds),), run, level)
