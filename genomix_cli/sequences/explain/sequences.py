"""Explain the classes of sequences: an attribution of every base, in genome coordinates.

Letters in shapes: n sequences, L bases, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.explanation import (
    Explained,
    check_complete,
    class_index,
    explained,
    no_gradients,
    rows_of,
    write_table,
)
from genomix_cli.comparison.study import Floats
from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.genome.iupac import LETTERS
from genomix_cli.genome.vcf.writer import cell
from genomix_cli.learning.devices import resolve_device
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance, atomic_path
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.explain.attribution import (
    Attribution,
    attribute,
    compositions,
    shuffled_mean,
)
from genomix_cli.sequences.requests import ExplainRequest
from genomix_cli.sequences.runs import check_fits
from genomix_cli.sequences.score.sequences import known_sequences, score_codes
from genomix_cli.sequences.trained import Classifier, load_classifier

log = logging.getLogger("genomix")

AUTO, UNIFORM, MEAN, SHUFFLE = "auto", "uniform", "mean", "shuffle"
BASELINES = (AUTO, UNIFORM, MEAN, SHUFFLE)
COLUMNS = (
    *("sample", "position", "contig", "pos", "strand", "base", "ref", "alt"),
    *("attribution", "class", "probability", "completeness_error"),
)
SITE_COLUMNS = ("position", "contig", "pos", "ref", "alt", "mean_abs_attribution", "mean")
NOTE = (
    "position: base or column of the sequence, from 1; pos: place on the contig, from 1; base: the "
    "letter of the sequence as it is in the file; strand: of the sequence"
)
# Number of samples that a message names.
NAMED = 3


@dataclass(frozen=True)
class Explanation:
    """Everything to be written.

    Attributes
    ----------
    sequences : Sequences
        The explained sequences.
    classes : tuple of str
    probability : NDArray
        float64 ``[n]``: probability of the explained class.
    attribution : Attribution
    """

    sequences: Sequences
    classes: tuple[str, ...]
    probability: Floats
    attribution: Attribution

    def rows(self) -> tuple[Explained, ...]:
        """Return one summary per sequence."""
        names = self.sequences.names
        return explained(names, self.classes, self.probability, self.attribution)


def explain_sequences(request: ExplainRequest) -> tuple[Explained, ...]:
    """Explain the selected sequences and write the tables.

    Raises
    ------
    UsageError
        If a selected sequence or class does not exist, the baseline does not suit the file, or the
        model has no gradient.
    DataError
        If the file or run is damaged, or they do not fit each other.
    CheckError
        If a completeness error exceeds 1 %; the outputs are written all the same.
    """
    device = str(resolve_device(request.device))
    classifier = load_classifier(Path(request.model), device)
    sequences = open_sequences(request.sequences)
    check_fits(classifier.run.config, sequences, request.sequences)
    if request.baseline not in BASELINES:
        raise UsageError(
            "unknown baseline",
            where="--baseline",
            expected=" or ".join(BASELINES),
            found=request.baseline,
        )
    if request.summary and not sequences.aligned:
        raise UsageError("needs aligned sequences, whose columns are positions", where="--summary")
    explanation = _explain(classifier, sequences, request, device)
    _write(explanation, classifier, request)
    errors = [line.completeness for line in explanation.rows()]
    check_complete(errors, "sequences", request.steps, allow=request.allow_incomplete)
    return explanation.rows()


def _explain(
    classifier: Classifier, sequences: Sequences, request: ExplainRequest, device: str
) -> Explanation:
    of_class = class_index(request.of_class, classifier.classes, request.model)
    names, where = sequences.names, request.sequences
    rows = rows_of(
        names, request.select, request.most, what="sequence", where=where, option="--names"
    )
    chosen = sequences.take(rows)
    known = known_sequences(chosen.codes)
    _tell_unknown(chosen.names[~known], request)
    chosen = chosen.take(known)
    if not len(chosen):
        raise UsageError("has no known base in the selected sequences", where=request.sequences)
    scores = score_codes(classifier, chosen.codes, np.ones(len(chosen), bool))
    target = scores.probability.argmax(1)
    if of_class is not None:
        target = np.full(len(chosen), of_class)
    probability = scores.probability[np.arange(len(chosen)), target]
    attribution = _attribute(classifier, chosen, target, request, device)
    return Explanation(chosen, classifier.classes, probability, attribution)


def _attribute(
    classifier: Classifier,
    sequences: Sequences,
    target: NDArray[np.int64],
    request: ExplainRequest,
    device: str,
) -> Attribution:
    model = classifier.model
    background = model.background() if sequences.aligned else None
    if sequences.aligned and background is None:
        background = compositions(sequences.codes, None).mean(0)
    parts = []
    rng = np.random.default_rng(request.seed)
    try:
        for i in track(range(len(sequences)), "explaining sequences"):
            codes = sequences.codes[i : i + 1]
            start = _baseline(codes[0], background, request, rng)
            p = compositions(codes, background)
            of_sequence = target[i : i + 1]
            steps = request.steps
            parts.append(attribute(model, p, start[None], of_sequence, steps=steps, device=device))
    except NotImplementedError as error:
        name = classifier.run.config.model
        raise no_gradients(name, request.model, SEQUENCE_CLASSIFIERS) from error
    return Attribution(
        np.concatenate([part.values for part in parts]),
        target,
        np.concatenate([part.change for part in parts]),
    )


def _baseline(
    codes: NDArray[np.uint8],
    background: NDArray[np.float32] | None,
    request: ExplainRequest,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the start of a sequence's path ``[L, 4]``."""
    aligned, kind = background is not None, request.baseline
    if (kind == MEAN and not aligned) or (kind == SHUFFLE and aligned):
        fits = "are not aligned: there is no mean of a column" if kind == MEAN else "are aligned"
        raise UsageError(f"the sequences {fits}", where=f"--baseline {kind}", hint="use auto")
    if kind == SHUFFLE:
        return shuffled_mean(codes, rng)
    if background is not None and kind in (AUTO, MEAN):
        return background.astype(np.float32)
    return np.full((len(codes), 4), 0.25, np.float32)


def _tell_unknown(names: NDArray[np.str_], request: ExplainRequest) -> None:
    if len(names):
        named = ", ".join(map(str, names[:NAMED])) + (", ..." if len(names) > NAMED else "")
        log.warning(
            "%s: left out %d without a known base (%s)", request.sequences, len(names), named
        )


class Places(NamedTuple):
    """Positions of the bases of a sequence; 0 and empty if not known.

    Attributes
    ----------
    contig : list of str
        ``[L]``.
    pos : NDArray
        int64 ``[L]``: 1-based.
    strand : str
        ``+``, ``-`` or empty.
    ref, alt : list of str
        ``[L]``: letters of aligned columns.
    """

    contig: list[str]
    pos: NDArray[np.int64]
    strand: str
    ref: list[str]
    alt: list[str]


def places(sequences: Sequences, row: int) -> Places:
    """Return the positions of a sequence's bases in the genome, from its window or columns."""
    n, names = sequences.length, list(sequences.contigs)
    nothing = [""] * n
    if sequences.columns is not None:
        columns = sequences.columns
        contig = [names[i] for i in columns.contig]
        ref = [LETTERS[code] for code in columns.ref]
        alt = [LETTERS[code] if code else "" for code in columns.alt]
        return Places(contig, columns.pos.astype(np.int64) + 1, "+", ref, alt)
    if sequences.windows is None:
        return Places(nothing, np.zeros(n, np.int64), "", nothing, nothing)
    windows = sequences.windows
    start, forward = int(windows.start[row]), windows.strand[row] >= 0
    pos = np.arange(start + 1, start + n + 1)
    contig = [names[int(windows.contig[row])]] * n
    ordered = pos if forward else pos[::-1]
    return Places(contig, ordered, "+" if forward else "-", nothing, nothing)


def _attribution_rows(explanation: Explanation) -> Iterator[Sequence[str]]:
    """Yield every base of every sequence, in order."""
    sequences = explanation.sequences
    for i, line in enumerate(explanation.rows()):
        where = places(sequences, i)
        end = (cell(line.of_class), f"{line.probability:.6g}", f"{line.error:.3g}")
        for j, value in enumerate(explanation.attribution.values[i]):
            yield (
                cell(line.sample),
                str(j + 1),
                where.contig[j],
                str(where.pos[j]) if where.contig[j] else "",
                where.strand,
                LETTERS[sequences.codes[i, j]],
                where.ref[j],
                where.alt[j],
                f"{value:.6g}",
                *end,
            )


def _site_rows(explanation: Explanation) -> Iterator[Sequence[str]]:
    """Yield columns by the mean size of their attribution."""
    values, where = explanation.attribution.values, places(explanation.sequences, 0)
    size, mean = np.abs(values).mean(0), values.mean(0)
    for j in np.argsort(-size, kind="stable"):
        position = (where.contig[j], str(where.pos[j]), where.ref[j], where.alt[j])
        yield (str(j + 1), *position, f"{size[j]:.6g}", f"{mean[j]:.6g}")


def _write(explanation: Explanation, classifier: Classifier, request: ExplainRequest) -> None:
    settings = {"steps": request.steps, "class": request.of_class, "baseline": request.baseline}
    inputs, model = {"sequences": request.sequences}, classifier.run.name
    provenance = Provenance.of(settings, inputs, request.seed, model=model)
    tables: list[tuple[Path, Sequence[str], str, Iterator[Sequence[str]]]] = [
        (request.output, COLUMNS, NOTE, _attribution_rows(explanation))
    ]
    if request.summary:
        tables.append((request.summary, SITE_COLUMNS, "", _site_rows(explanation)))
    for path, columns, note, rows in tables:
        with atomic_path(path, force=request.force) as draft:
            write_table(draft, provenance, columns, note, rows)
