"""Score sequences with a trained run: classes, activity, embeddings or retrieved phenotypes.

Letters: n sequences, L bases, d width of an embedding, K classes or outputs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison import scoring
from genomix_cli.comparison.calibrations import Scores
from genomix_cli.comparison.scoring import Table, with_seen, write_table
from genomix_cli.errors import UsageError
from genomix_cli.formats.seen import told
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.genome.iupac import HIDDEN, SETS
from genomix_cli.genome.parquet import Column
from genomix_cli.genome.vcf.writer import cell, table_format
from genomix_cli.learning.activity import Output
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.finite import finite
from genomix_cli.provenance import Provenance
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.activity import predict
from genomix_cli.sequences.profile import predict as profiles
from genomix_cli.sequences.requests.score import ScoreRequest
from genomix_cli.sequences.runs import StoredRun, check_fits, items_of, read_run
from genomix_cli.sequences.score.embeddings import embed as embed_codes
from genomix_cli.sequences.score.embeddings import encoder_of
from genomix_cli.sequences.score.tracks import check_placed, write_tracks
from genomix_cli.sequences.trained import TASK, Classifier, of_run

log = logging.getLogger("genomix")

#: Number of sequences to score at a time.
BATCH = 1024
CLASSES, EMBEDDINGS, RETRIEVAL, ACTIVITY = "classes", "embeddings", "retrieval", "activity"
# Kind of output of each task; networks can also give embeddings.
ANSWERS = {
    TASK: CLASSES,
    "contrast": EMBEDDINGS,
    "align": RETRIEVAL,
    predict.TASK: ACTIVITY,
    profiles.TASK: ACTIVITY,
}


@dataclass(frozen=True)
class ScoreSummary:
    """Counts and times of scored sequences.

    Attributes
    ----------
    model : str
        Name in the registry.
    answer : str
        ``classes``, ``embeddings``, ``retrieval`` or ``activity``.
    device : str
    sequences, scored : int
    predicted : dict of str to int
        Number of sequences predicted as each class; empty if the run does not predict classes.
    abstained : int
        Number of scored sequences whose prediction set does not hold exactly one class.
    level : float
        Share of sequences whose prediction set should hold the right class; NaN without sets.
    seconds : float
        Time of computing the scores, without reading and writing.
    """

    model: str
    answer: str
    device: str
    sequences: int
    scored: int
    predicted: dict[str, int]
    abstained: int
    level: float
    seconds: float


def score_sequences(request: ScoreRequest) -> ScoreSummary:
    """Score every sequence of a file and write one row for each, in order.

    Raises
    ------
    UsageError
        If the file or run folder does not exist, an output is not a table, or the run cannot give
        the requested output.
    DataError
        If the file or run folder is damaged, or the sequences do not suit the run.
    """
    forms = [table_format(path) for path in (request.output, request.embeddings) if path]
    device = str(resolve_device(request.device))
    run = read_run(Path(request.model))
    answer = _answer(run, request)
    sequences = open_sequences(request.sequences)
    check_fits(run.config, sequences, request.sequences)
    if request.bigwig:
        check_placed(sequences, request.sequences)
    known = known_sequences(sequences.codes)
    started, scores, level = time.perf_counter(), None, float("nan")
    if answer == RETRIEVAL:
        table = retrieval(run, sequences, device)
    elif answer == EMBEDDINGS:
        table = _embedding_table(run, sequences, known, device)
    elif answer == ACTIVITY:
        table = _activity_table(run, sequences, known, device, request.bigwig)
    else:
        classifier = of_run(run, device)
        scores, level = score_codes(classifier, sequences.codes, known), classifier.level
        table = scoring.class_table(sequences.names, classifier.classes, scores)
    part = scoring.seen_parts(run.path, known, lambda: items_of(sequences))
    made = Provenance.of(
        {"model": run.config.model, "task": run.config.task},
        {"sequences": request.sequences},
        command=("genomix", "score", request.sequences, "--model", request.model),
        model=run.name,
        seen=told(part, "sequences"),
    )
    table = with_seen(table, part) if answer in (CLASSES, ACTIVITY) else table
    write_table(table, request.output, forms[0], made)
    if request.embeddings:
        table = _embedding_table(run, sequences, known, device)
        write_table(table, request.embeddings, forms[1], made)
    seconds = time.perf_counter() - started
    for text in made.seen:
        log.warning("%s: %s", request.sequences, text)
    unknown = sequences.names[~known]
    scoring.warn_unscored(unknown, request.sequences, "no base is known of", "sequence")
    summary = ScoreSummary(
        model=run.config.model,
        answer=answer,
        device=device,
        sequences=len(known),
        scored=int(known.sum()),
        predicted=scores.predicted(run.config.classes) if scores else {},
        abstained=scores.abstained if scores else 0,
        level=level,
        seconds=seconds,
    )
    if request.stats:
        scoring.write_stats(request.stats, summary, made)
    return summary


def _answer(run: StoredRun, request: ScoreRequest) -> str:
    task = run.config.task
    if task not in ANSWERS:
        raise UsageError(
            "the task of this run does not score sequences",
            where=request.model,
            expected=" or ".join(ANSWERS),
            found=task,
        )
    if request.embeddings == request.output:
        raise UsageError("is the same file as -o", where=request.embeddings)
    if request.embeddings and ANSWERS[task] == ACTIVITY:
        raise UsageError(f"a run of {task} has no embeddings", where="--embeddings")
    if request.bigwig and task != profiles.TASK:
        what, needed = f"a run of {task} predicts no profiles", "genomix train --task profile"
        raise UsageError(what, where="--bigwig", expected=f"a run of {needed}")
    return ANSWERS[task]


def known_sequences(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return True for sequences with at least one base that is not N, bool ``[n]``."""
    known = np.zeros(len(codes), bool)
    for start in range(0, len(codes), BATCH):
        some = codes[start : start + BATCH]
        known[start : start + BATCH] = ((some != HIDDEN) & (some != SETS - 1)).any(1)
    return known


def score_codes(
    classifier: Classifier, codes: NDArray[np.uint8], known: NDArray[np.bool_]
) -> Scores:
    """Return probabilities and prediction sets.

    Parameters
    ----------
    classifier : Classifier
    codes : NDArray
        uint8 ``[n, L]``.
    known : NDArray
        bool ``[n]``: sequences to score.
    """
    return classifier.score(known, codes.__getitem__, BATCH, "sequences")


def embeddings(
    run: StoredRun, codes: NDArray[np.uint8], known: NDArray[np.bool_], device: str = "cpu"
) -> NDArray[np.float32]:
    """Return the embedding of each sequence.

    Parameters
    ----------
    run : StoredRun
        Run of any task with an encoder, or of a network classifier.
    codes : NDArray
        uint8 ``[n, L]``.
    known : NDArray
        bool ``[n]``: sequences to read.
    device : str

    Returns
    -------
    NDArray
        float32 ``[n, d]``; NaN where not `known`.

    Raises
    ------
    UsageError
        If the run has no embeddings.
    """
    if run.config.task == TASK:
        model = of_run(run, device).model
        if not model.has_embedding():
            able = [m for m in SEQUENCE_CLASSIFIERS if SEQUENCE_CLASSIFIERS.load(m).has_embedding()]
            raise UsageError(
                f"{run.config.model} has no embeddings",
                where=run.path,
                expected=f"a run of {' or '.join(able)}",
            )
        embed = model.embedding
    else:
        embed = partial(embed_codes, encoder_of(run, device))
    vectors: NDArray[np.float32] | None = None
    for rows in scoring.batches(known, BATCH, "sequences"):
        values = finite(embed(codes[rows]), "an embedding")
        if vectors is None:
            vectors = np.full((len(codes), values.shape[1]), np.nan, np.float32)
        vectors[rows] = values
    return np.empty((len(codes), 0), np.float32) if vectors is None else vectors


def _embedding_table(
    run: StoredRun, sequences: Sequences, known: NDArray[np.bool_], device: str
) -> Table:
    values = embeddings(run, sequences.codes, known, device)
    columns = [scoring.SAMPLE, *(Column(f"e{i}", "float") for i in range(values.shape[1]))]
    return _numbers(columns, sequences.names, values)


def _activity_table(
    run: StoredRun,
    sequences: Sequences,
    known: NDArray[np.bool_],
    device: str,
    bigwig: Path | None,
) -> Table:
    """Return a row per sequence and a column per output, in its unit or as a log-odds.

    If `bigwig` is given, write the tracks from the same predictions.
    """
    if bigwig:
        network = profiles.model_of(run, device)
        outputs, values = network.config.outputs, write_tracks(network, sequences, known, bigwig)
    else:
        outputs, answer = _activity(run, device)
        values = np.full((len(known), len(outputs)), np.nan, np.float32)
        for rows in scoring.batches(known, BATCH, "sequences"):
            values[rows] = answer(sequences.codes[rows])
    columns = [scoring.SAMPLE, *(Column(output.name, "float") for output in outputs)]
    note = "; ".join(f"{output.name}: {output.scale}" for output in outputs)
    return _numbers(columns, sequences.names, values)._replace(note=note)


def _activity(
    run: StoredRun, device: str
) -> tuple[tuple[Output, ...], Callable[[NDArray[np.uint8]], NDArray[np.float32]]]:
    """Return the outputs of a network, and its function from ``[n, L]`` to ``[n, K]``."""
    if run.config.task == profiles.TASK:
        network = profiles.model_of(run, device)
        return network.config.outputs, partial(profiles.log_counts, network)
    model = predict.model_of(run, device)
    every = tuple(range(len(model.config.outputs)))
    return model.config.outputs, lambda codes: predict.member_answers(model, codes, every).mean(0)


def _numbers(columns: list[Column], names: NDArray[Any], values: NDArray[np.float32]) -> Table:
    """Return rows of a name and numbers, with empty cells for NaN."""
    rows = (
        (cell(name), *("" if np.isnan(x) else f"{x:.7g}" for x in row))
        for name, row in zip(names, values, strict=True)
    )
    return Table(columns, rows)


def retrieval(run: StoredRun, sequences: Sequences, device: str) -> Table:
    """Return the most likely phenotypes of each sequence."""
    from genomix_cli.sequences.score.retrieval import retrieve

    table = retrieve(run, sequences, device)
    kinds: dict[str, Literal["int", "float"]] = {"i": "int", "f": "float"}
    columns = [Column(str(n), kinds.get(t.kind, "str")) for n, t in table.dtypes.items()]
    return Table(columns, (tuple(map(_text, row)) for row in table.itertuples(index=False)))


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
