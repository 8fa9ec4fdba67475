"""Run folders of small sequence classifiers, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.protocol import train_entrant
from genomix_cli.comparison.rules import Rules
from genomix_cli.formats.sequences import Sequences
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.provenance import Provenance
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.train.entrants import preset_of
from genomix_cli.sequences.trained import save_classifier
from tests.sequence_samples import labelled

SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"epochs": 4, "batch_size": 16, "learning_rate": 3e-3, "width": 16, "layers": 1}
    | {"motifs": 16, "motif_width": 9, "sites": 32, "block": 64},
    "cnn": {"epochs": 2, "batch_size": 16, "filters": 16, "width": 8},
}


def trained(folder: Path, sequences: Sequences, model: str, **arch: Any) -> Path:
    """Write a run folder of a model trained on five sixths of the sequences."""
    data = labelled(sequences)
    last = np.arange(len(data.label)) % 6 == 5
    fields = {**preset_of(model, aligned=sequences.aligned)[2], **SMALL.get(model, {}), **arch}
    found = train_entrant(
        Entrant(model, model, SEQUENCE_CLASSIFIERS, fields),
        data.take(~last),
        data.take(last),
        Rules(trials=1),
        FitSettings(seed=1),
    )
    folder.mkdir()
    made = Provenance("a test")
    save_classifier(folder, model, found, sequences, "kind", (1, 1, 1), 0.9, made)
    return folder
