"""Sequences by a trained run: classes, embeddings, or what a run of another kind answers.

Letters: n sequences, L bases, d width of an embedding, K classes.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats
from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.genome.iupac import HIDDEN, SETS
from genomix_cli.genome.parquet import Column
from genomix_cli.genome.vcf.writer import Format, cell, open_output, table_format
from genomix_cli.learning.checkpoints import resolve_device
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance, atomic_path
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.requests import ScoreRequest
from genomix_cli.sequences.runs import StoredRun, check_fits, read_run
from genomix_cli.sequences.score.embeddings import embed as embed_codes
from genomix_cli.sequences.score.embeddings import encoder_of
from genomix_cli.sequences.trained import TASK, Classifier, of_run

log = logging.getLogger("genomix")

#: Sequences that a model is given at a time.
BATCH = 1024
#: Between the classes of a prediction set.
AND = ","
SAMPLE = Column("sample", "str")
CLASSES, EMBEDDINGS, RETRIEVAL = "classes", "embeddings", "retrieval"
# What a run of each task answers; a classifier and all others have embeddings too.
ANSWERS = {TASK: CLASSES, "contrast": EMBEDDINGS, "align": RETRIEVAL}
# Sequences that a message names.
NAMED = 3


@dataclass(frozen=True)
class ScoreSummary:
    """What came of it.

    Attributes
    ----------
    model : str
        Name in the registry.
    answer : str
        ``classes``, ``embeddings`` or ``retrieval``.
    device : str
    sequences, scored : int
    predicted : dict of str to int
        Sequences of each class; empty where classes are not the answer.
    abstained : int
        Scored sequences whose prediction set is not a single class.
    level : float
        Share of sequences that the sets are to cover; NaN where there are none.
    seconds : float
        Computing alone.
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


class Table(NamedTuple):
    """Columns, and rows of cells."""

    columns: list[Column]
    rows: Iterator[tuple[str, ...]]


class Scores(NamedTuple):
    """What a classifier says of sequences.

    Attributes
    ----------
    probability : NDArray
        float64 ``[n, K]``, calibrated; NaN for a sequence without a known base.
    sets : NDArray
        bool ``[n, K]``: conformal prediction sets; empty for such a sequence.
    """

    probability: Floats
    sets: NDArray[np.bool_]

    @property
    def abstains(self) -> NDArray[np.bool_]:
        """Sequences whose set is not a single class ``[n]``."""
        return np.asarray(self.sets.sum(1) != 1, bool)


def score_sequences(request: ScoreRequest) -> ScoreSummary:
    """Score every sequence of a file and write a row for each, in order.

    Raises
    ------
    UsageError
        If there is no such file or run folder, an output is no table, or the run has no such
        answer.
    DataError
        If one of them is damaged, or the sequences are not what the run reads.
    """
    forms = [table_format(path) for path in (request.output, request.embeddings) if path]
    device = str(resolve_device(request.device))
    run = read_run(Path(request.model))
    answer = _answer(run, request)
    sequences = open_sequences(request.sequences)
    check_fits(run.config, sequences, request.sequences)
    known = known_sequences(sequences.codes)
    started, scores = time.perf_counter(), None
    if answer == RETRIEVAL:
        _write_table(
            _retrieved(run, sequences, request.sequences, device), request.output, forms[0]
        )
    elif answer == EMBEDDINGS:
        values = embeddings(run, sequences.codes, known, device)
        _write_table(_embedding_table(sequences, values), request.output, forms[0])
    else:
        classifier = of_run(run, device)
        scores = score_codes(classifier, sequences.codes, known)
        table = _class_table(classifier, sequences, scores)
        _write_table(table, request.output, forms[0])
    if request.embeddings:
        values = embeddings(run, sequences.codes, known, device)
        _write_table(_embedding_table(sequences, values), request.embeddings, forms[1])
    seconds = time.perf_counter() - started
    _tell_unknown(sequences, known, request)
    summary = _summary(run, answer, known, scores, device, seconds)
    if request.stats:
        _write_stats(request, run, summary)
    return summary


def _answer(run: StoredRun, request: ScoreRequest) -> str:
    task = run.config.task
    if task not in ANSWERS:
        raise UsageError(
            "is a run that does not score sequences",
            where=request.model,
            expected=" or ".join(ANSWERS),
            found=task,
        )
    if request.embeddings == request.output:
        raise UsageError("is where -o goes already", where=request.embeddings)
    return ANSWERS[task]


def known_sequences(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which sequences ``[n]`` have a base that is not wholly unknown."""
    found = np.zeros(len(codes), bool)
    for start in range(0, len(codes), BATCH):
        part = codes[start : start + BATCH]
        found[start : start + BATCH] = ((part != HIDDEN) & (part != SETS - 1)).any(1)
    return found


def score_codes(
    classifier: Classifier, codes: NDArray[np.uint8], known: NDArray[np.bool_]
) -> Scores:
    """Probabilities and prediction sets, in bounded batches.

    Parameters
    ----------
    classifier : Classifier
    codes : NDArray
        uint8 ``[n, L]``.
    known : NDArray
        bool ``[n]``: which to score.
    """
    probability = np.full((len(codes), len(classifier.classes)), np.nan)
    for rows in _batches(known):
        probability[rows] = classifier.probability(codes[rows])
    # No comparison with NaN is true: the set of a sequence that is not known is empty.
    return Scores(probability, classifier.sets(probability))


def embeddings(
    run: StoredRun, codes: NDArray[np.uint8], known: NDArray[np.bool_], device: str = "cpu"
) -> NDArray[np.float32]:
    """A vector for each sequence.

    Parameters
    ----------
    run : StoredRun
        With an encoder: of any task, or a classifier that is a network.
    codes : NDArray
        uint8 ``[n, L]``.
    known : NDArray
        bool ``[n]``: which to read.
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
    found: NDArray[np.float32] | None = None
    for rows in _batches(known):
        values = embed(codes[rows])
        if found is None:
            found = np.full((len(codes), values.shape[1]), np.nan, np.float32)
        found[rows] = values
    return np.empty((len(codes), 0), np.float32) if found is None else found


def _batches(known: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    rows = np.flatnonzero(known)
    for start in track(range(0, len(rows), BATCH), f"scoring batches of {BATCH:,} sequences"):
        yield rows[start : start + BATCH]


def _class_table(classifier: Classifier, sequences: Sequences, scores: Scores) -> Table:
    classes = classifier.classes
    columns = [
        SAMPLE,
        Column("predicted", "str"),
        *(Column(f"p:{cell(name)}", "float") for name in classes),
        Column("set", "str"),
        Column("abstain", "int"),
    ]

    def rows() -> Iterator[tuple[str, ...]]:
        for i, name in enumerate(sequences.names):
            p = scores.probability[i]
            known = bool(np.isfinite(p[0]))
            yield (
                cell(name),
                classes[int(p.argmax())] if known else "",
                *(f"{value:.6g}" if known else "" for value in p),
                AND.join(c for c, here in zip(classes, scores.sets[i], strict=True) if here),
                str(int(scores.abstains[i])),
            )

    return Table(columns, rows())


def _embedding_table(sequences: Sequences, values: NDArray[np.float32]) -> Table:
    columns = [SAMPLE, *(Column(f"e{i}", "float") for i in range(values.shape[1]))]
    rows = (
        (cell(name), *("" if np.isnan(x) else f"{x:.7g}" for x in row))
        for name, row in zip(sequences.names, values, strict=True)
    )
    return Table(columns, rows)


def _retrieved(run: StoredRun, sequences: Sequences, where: Path, device: str) -> Table:
    """What a run that aligns sequences with profiles finds for each."""
    from genomix_cli.sequences.score.retrieval import retrieve

    found = retrieve(run.path, sequences, where, device=device)
    return Table(found.columns, found.rows)


def _write_table(table: Table, path: Path, form: Format) -> None:
    with open_output(path, form, columns=table.columns) as out:
        out.lines(["\t".join(column.name for column in table.columns)])
        out.lines("\t".join(row) for row in table.rows)


def _tell_unknown(sequences: Sequences, known: NDArray[np.bool_], request: ScoreRequest) -> None:
    unknown = sequences.names[~known]
    if len(unknown):
        named = ", ".join(map(str, unknown[:NAMED])) + (", ..." if len(unknown) > NAMED else "")
        log.warning(
            "%s: no base is known of %s; not scored",
            request.sequences,
            f"{len(unknown):,} sequence{'s' if len(unknown) > 1 else ''} ({named})",
        )


def _summary(
    run: StoredRun,
    answer: str,
    known: NDArray[np.bool_],
    scores: Scores | None,
    device: str,
    seconds: float,
) -> ScoreSummary:
    predicted: Mapping[str, int] = {}
    abstained, level = 0, float("nan")
    if scores is not None:
        classes = run.config.classes
        counts = np.bincount(scores.probability[known].argmax(1), minlength=len(classes))
        predicted = dict(zip(classes, map(int, counts), strict=True))
        abstained = int(scores.abstains[known].sum())
        level = float(run.config.facts["level"])
    return ScoreSummary(
        model=run.config.model,
        answer=answer,
        device=device,
        sequences=len(known),
        scored=int(known.sum()),
        predicted=dict(predicted),
        abstained=abstained,
        level=level,
        seconds=seconds,
    )


def _write_stats(request: ScoreRequest, run: StoredRun, summary: ScoreSummary) -> None:
    assert request.stats is not None
    settings = {"model": run.config.model, "task": run.config.task}
    inputs = {"sequences": request.sequences, "model": run.path}
    made = Provenance.of(settings, inputs)
    plain = {k: None if v != v else v for k, v in asdict(summary).items()}
    with atomic_path(request.stats) as draft:
        draft.write_text(json.dumps({**plain, "provenance": made.to_dict()}, indent=1) + "\n")
