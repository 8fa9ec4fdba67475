"""Classes of samples by a trained model: a row per sample, in the order of the cohort.

Letters: n samples, M modalities, K classes.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Floats, Samples, aligned, read_samples
from genomix_cli.cohorts.requests import ScoreRequest
from genomix_cli.cohorts.runs import Run, load_run
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.genome.parquet import Column
from genomix_cli.genome.vcf.writer import cell, open_output, table_format
from genomix_cli.learning.checkpoints import resolve_device
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance, atomic_path

log = logging.getLogger("genomix")

#: Samples that a model is given at a time.
BATCH = 2048
#: Between the classes of a prediction set, and the modalities that a sample lacks.
AND = ","
# Samples that a message names.
NAMED = 3


@dataclass(frozen=True)
class ScoreSummary:
    """What came of it.

    Attributes
    ----------
    model : str
        Name in the registry.
    device : str
    samples, scored : int
    predicted : dict of str to int
        Samples of each class.
    abstained : int
        Scored samples whose prediction set is not a single class.
    level : float
        Share of samples that the sets are to cover.
    lacking : dict of str to int
        Samples without each modality of the model.
    seconds : float
        Computing alone.
    """

    model: str
    device: str
    samples: int
    scored: int
    predicted: dict[str, int]
    abstained: int
    level: float
    lacking: dict[str, int]
    seconds: float


class Scores(NamedTuple):
    """What a model says of samples.

    Attributes
    ----------
    probability : NDArray
        float64 ``[n, K]``, calibrated; NaN for a sample of which nothing was measured.
    sets : NDArray
        bool ``[n, K]``: conformal prediction sets; empty for such a sample.
    measured : NDArray
        bool ``[n, M]``: modalities of which a sample has a value.
    """

    probability: Floats
    sets: NDArray[np.bool_]
    measured: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which samples could be scored ``[n]``."""
        return np.asarray(self.measured.any(1), bool)

    @property
    def abstains(self) -> NDArray[np.bool_]:
        """Samples whose set is not a single class ``[n]``."""
        return np.asarray(self.sets.sum(1) != 1, bool)


def score_cohort(request: ScoreRequest) -> ScoreSummary:
    """Score every sample of a cohort and write a row for each.

    Raises
    ------
    UsageError
        If there is no such cohort or run folder, or the output is no table.
    DataError
        If one of them is damaged, or the cohort has nothing that the model knows.
    """
    form = table_format(request.output)
    device = str(resolve_device(request.device))
    run, samples = load_inputs(request.cohort, request.model, device)
    columns = _columns(run)
    with open_output(request.output, form, columns=columns) as out:
        started = time.perf_counter()
        scores = score_samples(run, samples)
        seconds = time.perf_counter() - started
        out.lines(["\t".join(column.name for column in columns)])
        out.lines(_lines(run, samples, scores))
    _tell_unknown(samples, scores, request)
    summary = _summary(run, samples, scores, device, seconds)
    if request.stats:
        _write_stats(request, run, summary)
    return summary


def load_inputs(cohort: Path, model: str, device: str) -> tuple[Run, Samples]:
    """A run folder on a device, and the samples of a cohort as its model knows them."""
    run = load_run(Path(model), device)
    with open_cohort(cohort) as opened:
        samples = read_samples(opened)
    return run, aligned(samples, run.config.modalities, cohort)


def score_samples(run: Run, samples: Samples) -> Scores:
    """Probabilities and prediction sets, in bounded batches.

    Parameters
    ----------
    run : Run
    samples : Samples
        Aligned with the run's modalities.
    """
    measured = samples.present & np.column_stack(
        [np.isfinite(samples.values[m.name]).any(1) for m in samples.modalities]
    )
    known = np.flatnonzero(measured.any(1))
    probability = np.full((len(samples), len(run.config.classes)), np.nan)
    starts = range(0, len(known), BATCH)
    for start in track(starts, f"scoring batches of {BATCH:,} samples"):
        rows = known[start : start + BATCH]
        probability[rows] = run.probability(samples.take(rows))
    # No comparison with NaN is true: the set of a sample that is not known is empty.
    return Scores(probability, run.sets(probability), measured)


def _columns(run: Run) -> list[Column]:
    return [
        Column("sample", "str"),
        Column("predicted", "str"),
        *(Column(f"p:{cell(name)}", "float") for name in run.config.classes),
        Column("set", "str"),
        Column("abstain", "int"),
        Column("missing", "str"),
    ]


def _lines(run: Run, samples: Samples, scores: Scores) -> Iterator[str]:
    """A row for each sample; cells are empty where nothing is known."""
    classes = run.config.classes
    names = [modality.name for modality in samples.modalities]
    for i, name in enumerate(samples.names):
        known = scores.known[i]
        p = scores.probability[i]
        yield "\t".join(
            (
                cell(name),
                classes[int(p.argmax())] if known else "",
                *(f"{value:.6g}" if known else "" for value in p),
                AND.join(_chosen(classes, scores.sets[i])),
                str(int(scores.abstains[i])),
                AND.join(_chosen(names, ~scores.measured[i])),
            )
        )


def _chosen(names: Sequence[str], which: NDArray[np.bool_]) -> list[str]:
    return [name for name, here in zip(names, which, strict=True) if here]


def _tell_unknown(samples: Samples, scores: Scores, request: ScoreRequest) -> None:
    unknown = samples.names[~scores.known]
    if len(unknown):
        named = ", ".join(map(str, unknown[:NAMED])) + (", ..." if len(unknown) > NAMED else "")
        log.warning(
            "%s: nothing that the model knows was measured of %s; not scored",
            request.cohort,
            f"{len(unknown):,} sample{'s' if len(unknown) > 1 else ''} ({named})",
        )


def _summary(
    run: Run, samples: Samples, scores: Scores, device: str, seconds: float
) -> ScoreSummary:
    known = scores.known
    predicted = scores.probability[known].argmax(1)
    counts = np.bincount(predicted, minlength=len(run.config.classes))
    lacking = (~scores.measured).sum(0)
    names = [modality.name for modality in samples.modalities]
    return ScoreSummary(
        model=run.config.model,
        device=device,
        samples=len(samples),
        scored=int(known.sum()),
        predicted=dict(zip(run.config.classes, map(int, counts), strict=True)),
        abstained=int(scores.abstains[known].sum()),
        level=run.config.level,
        lacking={name: int(n) for name, n in zip(names, lacking, strict=True) if n},
        seconds=seconds,
    )


def _write_stats(request: ScoreRequest, run: Run, summary: ScoreSummary) -> None:
    assert request.stats is not None
    settings = {"model": run.config.model, "level": run.config.level}
    inputs = {"cohort": request.cohort, "model": run.path}
    made = Provenance.of(settings, inputs)
    data = {**asdict(summary), "provenance": made.to_dict()}
    with atomic_path(request.stats) as draft:
        draft.write_text(json.dumps(data, indent=1) + "\n")
