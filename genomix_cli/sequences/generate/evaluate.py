"""Comparison of generated sequences with real ones, Markov chains and training sequences.

Letters: n sequences, L bases, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.intervals import LEVEL, NAN, Interval, normal_interval, wilson
from genomix_cli.comparison.tables import plain, write_json, write_rows
from genomix_cli.errors import DataError, from_extra
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.genome.motifs import read_meme
from genomix_cli.outputs import check_output
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.generate import profiles
from genomix_cli.sequences.generate.entrants import SHARES, Entrant, Judge
from genomix_cli.sequences.generate.evaluation_page import write_generated_page
from genomix_cli.sequences.generate.likelihood import fit_chains
from genomix_cli.sequences.generate.markov import ORDER, Floats
from genomix_cli.sequences.generate.nearest import Collection
from genomix_cli.sequences.generate.results import EntrantResult, GeneratedEvaluation
from genomix_cli.sequences.requests.evaluate import GeneratedRequest
from genomix_cli.sequences.runs import check_fits
from genomix_cli.sequences.train.splits import splits

log = logging.getLogger("genomix")

# Largest number of sequences in a set, because distances are between all pairs.
MAX_COMPARED = 4000
# Length of the k-mers of the classifier that is fitted if none is given.
WORD = 5
REAL, TRAINING = "held-out sequences", "training sequences"


class Classifier(NamedTuple):
    """A classifier of sequences.

    Attributes
    ----------
    name : str
    classes : tuple of str
    log_probability : callable
        Maps sets of bases uint8 ``[n, L]`` to float ``[n, K]``.
    """

    name: str
    classes: tuple[str, ...]
    log_probability: Callable[[NDArray[np.uint8]], Floats]


class _Sets(NamedTuple):
    """Sequences to compare, and the training sequences."""

    generated: Entrant
    real: Entrant
    train: Entrant
    classes: tuple[str, ...]
    held_out_by: str
    aligned: bool


def evaluate_generated(
    request: GeneratedRequest, classifier: Classifier | None = None
) -> GeneratedEvaluation:
    """Compare generated sequences with held-out real ones, and write the requested files.

    The comparison includes sequences from Markov chains of order 5 (one of all training sequences,
    one of each class) and training sequences themselves, which are as near as any generator
    trained on them can be expected to come. All sets have the same number of each class.

    Parameters
    ----------
    request : GeneratedRequest
    classifier : Classifier, optional
        Classifier trained on the same sequences; by default that of the request.

    Raises
    ------
    UsageError
        If an output already exists, or the label does not exist.
    DataError
        If the files do not fit each other, or have too few sequences of a class.
    """
    for path in filter(None, (request.tsv, request.json, request.report)):
        check_output(path, force=request.force)
    sets = _read(request)
    motifs = read_meme(request.motifs) if request.motifs else ()
    if sets.classes and classifier is None:
        classifier = _load_classifier(request) or fit_words(sets.train, sets.classes)
    judge = Judge(
        sets.real,
        sets.classes,
        Collection(sets.train.codes),
        motifs,
        classifier and _aligned(classifier, sets.classes, request),
        request.draws,
        request.seed,
    )
    entrants = _entrants(sets, request.seed)
    measured = [judge.measure(entrant, i) for i, entrant in enumerate(entrants)]
    # These are trivial for training sequences, which are their own nearest sequences.
    for name in ("nearest", "copies"):
        del measured[-1][name]
    evaluation = _evaluation(request, sets, entrants, measured, judge, classifier)
    _write(request, evaluation, entrants, judge)
    return evaluation


def _read(request: GeneratedRequest) -> _Sets:
    generated, real = open_sequences(request.generated), open_sequences(request.real)
    if generated.length != real.length:
        raise DataError(
            "sequences of another length than the real ones",
            where=request.generated,
            expected=f"{real.length:,} bases",
            found=f"{generated.length:,}",
        )
    named = request.label or real.default_label
    classes, label = real.label(named) if named else ((), None)
    held_out_by, found = splits(real, label, request.hold_out, request.seed)
    label = np.full(len(real), -1) if label is None else label
    train, test = found[0].train, found[0].test
    own = _own_label(generated, named, classes)
    if (own < 0).any():
        if classes:
            log.warning("the generated sequences have no class, so classes are not compared")
        classes, own, label = (), np.full(len(own), -1), np.full(len(real), -1)
    rows, chosen = _matched(own, label[test], request.seed)
    return _Sets(
        Entrant(request.generated.name, generated.codes[rows], own[rows]),
        Entrant(REAL, real.codes[test[chosen]], label[test[chosen]]),
        Entrant(TRAINING, real.codes[train], label[train]),
        classes,
        held_out_by,
        real.aligned,
    )


def _own_label(generated: Sequences, named: str, classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the class of each generated sequence in the real file's numbering; -1 if unknown."""
    found = np.full(len(generated), -1)
    phenotype = next((p for p in generated.phenotypes if p.name == named), None)
    if phenotype is None or phenotype.categories is None:
        return found
    index = {name: k for k, name in enumerate(classes)}
    table = np.array([*(index.get(name, -1) for name in phenotype.categories), -1])
    return table[phenotype.values]


def _matched(
    own: NDArray[np.int64], real: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of two sets with the same number of each class, as many as both allow.

    Raises
    ------
    DataError
        If a class has fewer than 20.
    """
    rng = np.random.default_rng([seed, 7])
    kinds = np.unique(own)
    mine, theirs = (np.array([(x == k).sum() for k in kinds]) for x in (own, real))
    # Keep the class proportions of the generated set; the rarer side limits the number.
    share = min(1.0, float((theirs / mine).min()), MAX_COMPARED / mine.sum())
    counts = np.floor(mine * share + 1e-9).astype(int)
    if counts.min() < 20:
        raise DataError(
            "too few sequences of a class to compare",
            expected="20 generated and 20 held-out sequences per class",
            found=str(int(min(mine.min(), theirs.min()))),
        )
    pairs = list(zip(kinds, counts, strict=True))
    first, second = (
        [rng.choice(np.flatnonzero(x == k), n, replace=False) for k, n in pairs]
        for x in (own, real)
    )
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def _entrants(sets: _Sets, seed: int) -> list[Entrant]:
    """Return the generated sequences, those of chains fitted to training, and training ones."""
    label = sets.generated.label
    chains = fit_chains(sets.train.codes, sets.train.label, strands=not sets.aligned)
    n, length = sets.generated.codes.shape
    rng = np.random.default_rng([seed, 8])
    name = f"Markov chain, order {ORDER}"
    found = [sets.generated, Entrant(name, chains.pooled.sample(n, length, rng), label)]
    if chains.by_class:
        codes = np.empty_like(sets.generated.codes)
        for k in np.unique(label):
            rows = label == k
            codes[rows] = chains.of(int(k)).sample(int(rows.sum()), length, rng)
        found.append(Entrant(f"{name}, of each class", codes, label))
    rows = np.zeros(n, np.int64)
    for k in np.unique(label):
        own = np.flatnonzero(sets.train.label == k)
        wanted = int((label == k).sum())
        rows[label == k] = rng.choice(own, wanted, replace=wanted > len(own))
    return [*found, Entrant(TRAINING, sets.train.codes[rows], label)]


def fit_words(train: Entrant, classes: tuple[str, ...]) -> Classifier:
    """Fit logistic regression on 5-mers, a classifier independent of any generator.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    with from_extra("scikit-learn", "cohorts"):
        from sklearn.linear_model import LogisticRegression
    rows = np.flatnonzero(train.label >= 0)
    x = np.sqrt(profiles.kmer_counts(train.codes[rows], WORD))
    mean, sd = x.mean(0), x.std(0) + 1e-3
    model = LogisticRegression(C=0.01, max_iter=100).fit((x - mean) / sd, train.label[rows])

    def log_probability(codes: NDArray[np.uint8]) -> Floats:
        return model.predict_log_proba((np.sqrt(profiles.kmer_counts(codes, WORD)) - mean) / sd)

    return Classifier(f"logistic regression on {WORD}-mers", classes, log_probability)


def _load_classifier(request: GeneratedRequest) -> Classifier | None:
    """Load the classifier of a run folder, if the request names one."""
    if request.classifier is None:
        return None
    from genomix_cli.sequences.trained import load_classifier

    found = load_classifier(request.classifier)
    check_fits(found.run.config, open_sequences(request.real), request.real)
    return Classifier(found.run.config.model, found.classes, found.model.log_probability)


def _aligned(
    classifier: Classifier, classes: tuple[str, ...], request: GeneratedRequest
) -> Callable[[NDArray[np.uint8]], Floats]:
    """Return a classifier's log-probabilities, with classes in the order of the file."""
    lacking = [name for name in classes if name not in classifier.classes]
    if lacking:
        raise DataError(
            "the classifier does not know every class",
            where=request.real,
            expected=", ".join(classes),
            found=", ".join(classifier.classes),
        )
    order = [classifier.classes.index(name) for name in classes]
    return lambda codes: np.asarray(classifier.log_probability(codes))[:, order]


def _evaluation(
    request: GeneratedRequest,
    sets: _Sets,
    entrants: list[Entrant],
    measured: list[dict[str, Floats]],
    judge: Judge,
    classifier: Classifier | None,
) -> GeneratedEvaluation:
    alone = judge.measure_alone()
    results = []
    for i, (entrant, own) in enumerate(zip(entrants, measured, strict=True)):
        less_chain = {} if i == 1 else _less(own, measured[1])
        differences = map(_intervals, (less_chain, _less(own, alone)))
        n = len(entrant.codes)
        results.append(EntrantResult(entrant.name, n, _with_shares(own, n), *differences))
    n = len(sets.real.codes)
    results.append(EntrantResult(REAL, n, _with_shares(judge.itself(), n)))
    return GeneratedEvaluation(
        request.generated.name,
        request.real.name,
        sets.held_out_by,
        sets.classes,
        classifier.name if classifier and sets.classes else "",
        len(judge.motifs),
        {
            "compared": len(sets.generated.codes),
            "left_out": len(open_sequences(request.generated)) - len(sets.generated.codes),
            "training": len(sets.train.codes),
        },
        tuple(results),
        _headline(results[0]),
    )


def _less(first: dict[str, Floats], second: dict[str, Floats]) -> dict[str, Floats]:
    """Return first minus second for their common metrics; real sequences are drawn alike."""
    return {name: first[name] - second[name] for name in first if name in second}


def _intervals(replicates: dict[str, Floats]) -> dict[str, Interval]:
    return {name: normal_interval(values) for name, values in replicates.items()}


def _with_shares(replicates: dict[str, Floats], n: int) -> dict[str, Interval]:
    """Return intervals as `_intervals`, but Wilson's for shares of `n` sequences."""
    found = _intervals(replicates)
    shares = {name: found[name].value for name in SHARES if name in found}
    return found | {name: Interval(value, *wilson(value, n)) for name, value in shares.items()}


def _headline(own: EntrantResult) -> str:
    """Return a sentence on the distances beside the chain's, and on similarity to training data."""
    said = []
    names = {"spectrum": "6-mer spectrum", "energy": "profiles of single sequences"}
    words = {
        -1: "closer to real sequences than the Markov chain",
        0: f"{LEVEL} from the Markov chain",
        1: "farther from real sequences than the Markov chain",
    }
    for name, title in names.items():
        said.append(f"{title}: {words[own.less_chain[name].sign]}")
    more = "more" if own.less_real["nearest"].sign > 0 else "not significantly more"
    said.append(f"{more} similar to training sequences than held-out sequences are")
    return "; ".join(said)


def _write(
    request: GeneratedRequest,
    evaluation: GeneratedEvaluation,
    entrants: list[Entrant],
    judge: Judge,
) -> None:
    inputs = {"generated": request.generated, "real": request.real, "motifs": request.motifs}
    settings = {"hold_out": request.hold_out, "draws": request.draws, "label": request.label}
    made = Provenance.of(settings, inputs, request.seed)
    if request.tsv:
        write_rows(_rows(evaluation), request.tsv, made, force=request.force)
    if request.json:
        data = {**plain(evaluation), "provenance": made.to_dict()}
        write_json(data, request.json, force=request.force)
    if request.report:
        write_generated_page(request.report, evaluation, [*entrants, judge.real], made)


def _rows(evaluation: GeneratedEvaluation) -> list[dict[str, object]]:
    return [
        {
            "set": each.name,
            "sequences": each.n,
            "metric": name,
            **value._asdict(),
            **_part("less_chain", each.less_chain.get(name, NAN)),
            **_part("less_held_out", each.less_real.get(name, NAN)),
        }
        for each in evaluation.entrants
        for name, value in each.metrics.items()
    ]


def _part(name: str, value: Interval) -> dict[str, float]:
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
