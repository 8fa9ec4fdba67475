"""Explanation of sequence classes by an attribution of every base, in genome coordinates.

Letters in shapes: n sequences, L bases, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.explanation import (
    Explained,
    check_complete,
    class_index,
    no_gradients,
    rows_of,
    write_table,
)
from genomix_cli.errors import UsageError, first_few
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.genome.motif_sites import motifs_of, require_scanner
from genomix_cli.genome.motifs import Motif, check_widths
from genomix_cli.learning import activity, profiles
from genomix_cli.learning.devices import resolve_device
from genomix_cli.outputs import atomic_path, check_output
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.explain.attribution import (
    Attribution,
    attribute,
    compositions,
    shuffled_mean,
)
from genomix_cli.sequences.explain.explanation import (
    COLUMNS,
    NOTE,
    SITE_COLUMNS,
    Explanation,
    attribution_rows,
    site_rows,
)
from genomix_cli.sequences.explain.motifs import covered
from genomix_cli.sequences.explain.page import write_page
from genomix_cli.sequences.requests.explain import ExplainRequest
from genomix_cli.sequences.runs import DOMAIN, check_fits
from genomix_cli.sequences.score.sequences import known_sequences, score_codes
from genomix_cli.sequences.trained import Classifier, load_classifier

log = logging.getLogger("genomix")

AUTO, UNIFORM, MEAN, SHUFFLE = "auto", "uniform", "mean", "shuffle"
BASELINES = (AUTO, UNIFORM, MEAN, SHUFFLE)
# Most samples named in a message.
NAMED = 3


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
        If a completeness error exceeds 1 %; the outputs are written nevertheless.
    """
    if request.report:
        check_output(request.report, force=request.force)
    device = str(resolve_device(request.device))
    _refuse_predicted(Path(request.model))
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
        raise UsageError("needs aligned sequences", where="--summary")
    motifs = _chosen_motifs(sequences, request)
    explanation = _explain(classifier, sequences, motifs, request, device)
    made = _write(explanation, classifier, request)
    if request.report:
        write_page(explanation, Path(request.model).name, made, request)
    errors = [line.completeness for line in explanation.rows()]
    check_complete(errors, "sequences", request.steps, allow=request.allow_incomplete)
    return explanation.rows()


def _refuse_predicted(folder: Path) -> None:
    """Refuse a run that predicts activity or profiles, of which variants are explained."""
    task = RunFolder(folder).config(DOMAIN).get("task")
    if task in (activity.TASK, profiles.TASK):
        raise UsageError(
            f"is a run of {task}, which explains variants, not sequences",
            where=folder,
            hint=f"genomix explain calls.vcf -f genome.fa -m {folder}",
        )


def _chosen_motifs(sequences: Sequences, request: ExplainRequest) -> tuple[Motif, ...]:
    if request.motifs is None:
        return ()
    if sequences.aligned:
        raise UsageError("needs sequences of bases, not columns of sites", where="--motifs")
    motifs = motifs_of(request.motifs)
    check_widths(motifs, sequences.length, request.motifs)
    require_scanner()
    return motifs


def _explain(
    classifier: Classifier,
    sequences: Sequences,
    motifs: Sequence[Motif],
    request: ExplainRequest,
    device: str,
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
        raise UsageError("the selected sequences have no known base", where=request.sequences)
    scores = score_codes(classifier, chosen.codes, np.ones(len(chosen), bool))
    target = scores.probability.argmax(1)
    if of_class is not None:
        target = np.full(len(chosen), of_class)
    attribution = _attribute(classifier, chosen, target, request, device)
    found = covered(chosen.codes, attribution.values, motifs) if motifs else ()
    return Explanation(chosen, classifier.classes, scores.probability, attribution, found)


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
    """Return the baseline of a sequence, the start of its path: float32 ``[L, 4]``."""
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
        log.warning(
            "%s: left out %d sequences without a known base (%s)",
            request.sequences,
            len(names),
            first_few(names, NAMED),
        )


def _write(explanation: Explanation, classifier: Classifier, request: ExplainRequest) -> Provenance:
    """Write the tables and return their provenance."""
    settings = {"steps": request.steps, "class": request.of_class, "baseline": request.baseline}
    inputs, model = {"sequences": request.sequences}, classifier.run.name
    provenance = Provenance.of(settings, inputs, request.seed, model=model)
    tables: list[tuple[Path, Sequence[str], str, Iterator[Sequence[str]]]] = [
        (request.output, COLUMNS, NOTE, attribution_rows(explanation))
    ]
    if request.summary:
        tables.append((request.summary, SITE_COLUMNS, "", site_rows(explanation)))
    for path, columns, note, rows in tables:
        with atomic_path(path, force=request.force) as draft:
            write_table(draft, provenance, columns, note, rows)
    return provenance
