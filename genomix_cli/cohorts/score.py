"""Score the samples of a cohort with a trained model: one row per sample, in file order.

Letters: n samples, M modalities, K classes.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Samples, aligned, read_samples
from genomix_cli.cohorts.requests import ScoreRequest
from genomix_cli.cohorts.runs import Run, load_run
from genomix_cli.comparison import scoring
from genomix_cli.comparison.calibrations import Scores
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.formats.seen import told
from genomix_cli.genome.parquet import Column
from genomix_cli.genome.vcf.writer import table_format
from genomix_cli.learning.devices import resolve_device
from genomix_cli.provenance import Provenance

log = logging.getLogger("genomix")

#: Number of samples to score at a time.
BATCH = 2048
#: Typical distance of values from their training mean, in SDs, above which they are told to be of
#: another scale. It is about 1 in the same population, and up to 1.6 in one class of it.
FAR = 1.75


@dataclass(frozen=True)
class ScoreSummary:
    """Counts and times of a scored cohort.

    Attributes
    ----------
    model : str
        Name in the registry.
    device : str
    samples, scored : int
    predicted : dict of str to int
        Number of scored samples predicted as each class.
    abstained : int
        Number of scored samples whose prediction set does not hold exactly one class.
    level : float
        Share of samples whose prediction set should hold the right class.
    uncalibrated : int
        Number of scored samples for whose modalities the model has no calibration.
    lacking : dict of str to int
        Number of samples without each modality of the model.
    seconds : float
        Time of computing the scores, without reading and writing.
    """

    model: str
    device: str
    samples: int
    scored: int
    predicted: dict[str, int]
    abstained: int
    level: float
    uncalibrated: int
    lacking: dict[str, int]
    seconds: float


def score_cohort(request: ScoreRequest) -> ScoreSummary:
    """Score every sample of a cohort and write a row for each.

    Raises
    ------
    UsageError
        If the cohort or run folder does not exist, or the output is not a table.
    DataError
        If the cohort or run folder is damaged, or they have no modality in common.
    """
    form = table_format(request.output)
    device = str(resolve_device(request.device))
    run = load_run(Path(request.model), device)
    with open_cohort(request.cohort) as cohort:
        samples = aligned(read_samples(cohort), run.config.modalities, request.cohort)
    started = time.perf_counter()
    scores = score_samples(run, samples)
    seconds = time.perf_counter() - started
    lacks = ~samples.measured
    part = scoring.seen_parts(run.path, scores.known, samples.items)
    made = Provenance.of(
        {"model": run.config.model, "level": run.config.level},
        {"cohort": request.cohort},
        command=("genomix", "score", request.cohort, "--model", request.model),
        model=run.name,
        warnings=[*told_uncalibrated(scores), *told_far(run, samples)],
        seen=told(part, "samples"),
    )
    table = scoring.with_seen(_table(run, samples, scores, lacks), part)
    scoring.write_table(table, request.output, form, made)
    unknown = "nothing that the model knows was measured of"
    for text in (*made.seen, *made.warnings):
        log.warning("%s: %s", request.cohort, text)
    scoring.warn_unscored(samples.names[~scores.known], request.cohort, unknown, "sample")
    names = [modality.name for modality in samples.modalities]
    summary = ScoreSummary(
        model=run.config.model,
        device=device,
        samples=len(samples),
        scored=int(scores.known.sum()),
        predicted=scores.predicted(run.config.classes),
        abstained=scores.abstained,
        level=run.config.level,
        uncalibrated=scores.uncalibrated,
        lacking={name: int(n) for name, n in zip(names, lacks.sum(0), strict=True) if n},
        seconds=seconds,
    )
    if request.stats:
        scoring.write_stats(request.stats, summary, made)
    return summary


def score_samples(run: Run, samples: Samples) -> Scores:
    """Return probabilities and prediction sets of samples aligned with the run's modalities."""
    return run.score(np.asarray(samples.measured.any(1)), samples.take, BATCH, "samples")


def told_uncalibrated(scores: Scores) -> list[str]:
    """Return a warning about samples that no calibration applies to, or an empty list."""
    if not (count := scores.uncalibrated):
        return []
    of = f"{count:,} of {int(scores.known.sum()):,} samples"
    return [
        f"no calibration for the modalities measured of {of}: their probabilities are not "
        "calibrated and their prediction sets have all classes"
    ]


def told_far(run: Run, samples: Samples) -> list[str]:
    """Return a warning about each modality whose values seem to be of another scale.

    The distance of a feature is the root mean square over samples, and that of a modality is the
    median over its features.
    """
    if run.training is None:
        return []
    encoded = run.training.transform(samples)
    warnings = []
    for modality, z, seen in zip(samples.modalities, encoded.values, encoded.observed, strict=True):
        measured = seen.any(0)
        distance = np.sqrt((z[:, measured] ** 2).sum(0) / seen[:, measured].sum(0))
        typical = float(np.median(distance)) if measured.any() else 0.0
        if typical > FAR:
            warnings.append(
                f"the values of {modality.name} are unlike those of the training samples: a "
                f"typical one is {typical:.1f} standard deviations from its feature's mean there; "
                "use the same unit, transformation and platform"
            )
    return warnings


def _table(run: Run, samples: Samples, scores: Scores, lacks: NDArray[np.bool_]) -> scoring.Table:
    """Return the table of classes, missing modalities, and whether a calibration applies."""
    table = scoring.class_table(samples.names, run.config.classes, scores)
    names = [modality.name for modality in samples.modalities]
    missing = (scoring.listed(names, row) for row in lacks)
    holds = (str(int(calibrated)) for calibrated in scores.calibrated)
    rows = ((*row, *last) for row, *last in zip(table.rows, missing, holds, strict=True))
    more = [Column("missing", "str"), Column("calibrated", "int")]
    return scoring.Table([*table.columns, *more], rows)
