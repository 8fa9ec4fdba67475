"""Train a classifier of sequences beside its baselines, and say how good each is.

Letters: n sequences with a label, K classes.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.comparison.results import Results, results, write_rows
from genomix_cli.comparison.study import Study, Wording
from genomix_cli.config import from_dict
from genomix_cli.errors import DataError, MissingExtraError, UsageError
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.learning.checkpoints import resolve_device
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.processes import first_process
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.models.base import Labelled
from genomix_cli.sequences.models.encoder import EncoderShape, shape_of
from genomix_cli.sequences.requests import ClassifyOptions, TrainRequest
from genomix_cli.sequences.score.embeddings import ENCODER, start_from
from genomix_cli.sequences.train.few_shot import FewShot, Plan, few_shot, section
from genomix_cli.sequences.train.protocol import (
    Entrant,
    Part,
    Rules,
    Trained,
    build,
    check_extras,
    entrant,
    judge,
    load_part,
    outcome,
    preset_of,
    save_part,
    shuffled_labels,
    train_entrant,
)
from genomix_cli.sequences.train.request import open_folder, write_json
from genomix_cli.sequences.train.splits import VALID_SHARE, Split, part, splits
from genomix_cli.sequences.trained import save_classifier

log = logging.getLogger("genomix")

TRANSFORMER, PRETRAINED = "transformer", "pre-trained"
# The bases of all columns are what every classifier sees.
SAW = ("sequences",)
ABOUT = (
    "Every base of a sequence is read; letters for several bases are all of them at once. "
    "It was tuned and calibrated on the validation part."
)
ANSWER = (
    "A row per sequence: the probability of each class (`p:<class>`), the most probable one, the "
    "prediction set, and whether to abstain."
)


@dataclass(frozen=True)
class _Contest:
    """Everything that is fixed before anything is trained."""

    request: TrainRequest
    options: ClassifyOptions
    data: Labelled
    classes: tuple[str, ...]
    label: str
    held_out_by: str
    splits: list[Split]
    entrants: list[Entrant]
    rules: Rules
    setting: FitSettings
    folder: Path


def train_classifiers(request: TrainRequest) -> Results:
    """Tune, train and judge; write the run folder.

    It holds ``config.json`` and ``model.safetensors`` (what `score` reads), ``metrics.json`` and
    ``models.tsv``, ``training.tsv`` (a row per epoch), ``few_shot.tsv`` where that was asked for,
    ``predictions.parquet`` (of sequences held out), ``report.html``, ``README.md`` (the model
    card), ``*_mqc.json`` (for MultiQC), ``timing.json`` and ``train.json`` (the request). Only the
    report, the table of models and the two last have times in them.

    Returns
    -------
    Results
        What ``metrics.json`` holds.

    Raises
    ------
    UsageError
        If models, presets, fields or phenotypes do not exist, or the folder is in use.
    DataError
        If too few sequences have a label, or too few are of a class.
    MissingExtraError
        If pyarrow, scikit-learn or, for networks, Lightning is not installed.
    """
    contest = _contest(request)
    parts = _compete(contest)
    study = _study(contest, parts)
    if len(contest.splits) > 1:
        _keep(contest, _refitted(contest, parts))
    curves = _few_shot(contest, parts)
    found = results(study)
    _write(contest, study, found, curves)
    return found


def _contest(request: TrainRequest) -> _Contest:
    """Check everything that can be, then open the folder."""
    options = from_dict(ClassifyOptions, request.options, where="options of classify")
    plan = Plan(options.few_shot or (1,), options.few_shot_repeats)  # refuses what cannot be
    assert plan
    data, classes, label = _labelled(request)
    entrants = _entrants(request, options, data.sequences)
    if options.augment:
        extra = _generated(Path(options.augment), data, classes, label)
        name = f"{entrants[0].name} + {len(extra.label):,} generated"
        entrants.insert(1, replace(entrants[0], name=name, extra=extra))
    check_extras(one.model for one in entrants)
    _check_pyarrow()
    by, parts = splits(data.sequences, data.label, request.hold_out, request.setting.seed)
    setting = replace(request.setting, device=str(resolve_device(request.setting.device)))
    folder = open_folder(request)
    if not first_process():
        folder = Path(tempfile.mkdtemp(prefix="genomix-"))
    (folder / "parts").mkdir(exist_ok=True)
    log.info(
        "%s sequences in %d classes, held out by %s: %s",
        f"{len(data.label):,}",
        len(classes),
        by,
        ", ".join(f"{len(s.train):,} + {len(s.valid):,} and {len(s.test):,}" for s in parts),
    )
    rules = Rules(options.trials, options.level, options.control)
    return _Contest(
        *(request, options, data, classes, label, by, parts, entrants, rules, setting, folder)
    )


def _check_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("pyarrow", "cohorts") from error


def _labelled(request: TrainRequest) -> tuple[Labelled, tuple[str, ...], str]:
    """Sequences with a class, the classes, and the name of the phenotype."""
    sequences = open_sequences(request.data)
    classes, label = sequences.label(request.label)
    name = request.label or sequences.default_label
    known = np.flatnonzero(label >= 0)
    if len(known) < len(label):
        log.info("%s sequences without %s are left out", f"{len(label) - len(known):,}", name)
    if len(classes) < 2:
        raise DataError(
            f"needs at least two classes of {name}",
            where=request.data,
            found=", ".join(classes) or "none",
            hint="name another phenotype: --label",
        )
    n_groups = [len(np.unique(sequences.group[label == k])) for k in range(len(classes))]
    few = [f"{c} ({n})" for c, n in zip(classes, n_groups, strict=True) if n < 3]
    if few:
        raise DataError(
            f"too few groups of sequences of class {', '.join(few)}",
            where=request.data,
            expected="three or more: to learn from, to stop by, and to be judged by",
            hint="leave the class out, or join it with another",
        )
    data = Labelled(sequences, label, classes)
    return (data if len(known) == len(label) else data.take(known)), classes, name


def _entrants(
    request: TrainRequest, options: ClassifyOptions, sequences: Sequences
) -> list[Entrant]:
    """The model asked for, then the baselines."""
    aligned = sequences.aligned
    text = options.model if not request.preset else f"{options.model}:{request.preset}"
    if request.init is not None:
        found = [_from_run(request, options, sequences)]
    else:
        name, wanted, arch = preset_of(text, aligned=aligned)
        several = len(SEQUENCE_CLASSIFIERS.load(name).presets) > 1
        title = f"{name} {wanted}" if several else name
        arch, fixed = {**arch, **request.arch}, frozenset(request.arch)
        found = [Entrant(title, name, arch, fixed, main=True)]
    build(found[0].model, found[0].arch, where="--set")
    names = options.baselines
    if names is None:
        names = _usual_baselines(aligned)
    for each in names:
        baseline = entrant(each, aligned=aligned)
        if baseline.name not in [one.name for one in found]:
            found.append(baseline)
    return found


def _usual_baselines(aligned: bool) -> tuple[str, ...]:
    if aligned:
        return ("majority", "kmer-logistic:k3", "pca-logistic", "pca-svm", "lda")
    return ("majority", "kmer-logistic:k3", "kmer-logistic:k6", "pca-logistic")


def _generated(path: Path, data: Labelled, classes: tuple[str, ...], label: str) -> Labelled:
    """Sequences of `genomix simulate sequences`, as the classes of the data number them.

    Raises
    ------
    DataError
        If they are of another length, or have no such classes.
    """
    sequences = open_sequences(path)
    own, codes = sequences.label(label)
    strange = sorted(set(own) - set(classes))
    if strange or sequences.length != data.sequences.length:
        raise DataError(
            "cannot join the training sequences",
            where=path,
            expected=f"{data.sequences.length:,} bases, {label} of {', '.join(classes)}",
            found=f"{sequences.length:,} bases, {', '.join(own)}",
        )
    known = np.flatnonzero(codes >= 0)
    place = np.array([classes.index(name) for name in own], np.int64)
    return Labelled(sequences.take(known), place[codes[known]], classes)


def _from_run(request: TrainRequest, options: ClassifyOptions, sequences: Sequences) -> Entrant:
    """The transformer, starting from the encoder of a run."""
    assert request.init is not None
    if options.model.partition(":")[0] != TRANSFORMER:
        raise UsageError("only the transformer can start from a run", where="--init")
    found = start_from(request, sequences)
    shape = shape_of(found.config)
    start = {f"{ENCODER}{name}": array for name, array in found.state.items()}
    presets = SEQUENCE_CLASSIFIERS.load(TRANSFORMER).presets
    stem = shape.get("stem", EncoderShape.stem)
    wanted = request.preset or options.model.partition(":")[2]
    alike = (name for name in presets if presets[name].get("stem", EncoderShape.stem) == stem)
    _, _, arch = preset_of(f"{TRANSFORMER}:{wanted or next(alike)}", aligned=sequences.aligned)
    clash = sorted(set(request.arch) & set(shape) - {"dropout"})
    if clash:
        raise UsageError(
            f"{', '.join(clash)} of an encoder that is trained already cannot be set", where="--set"
        )
    # The steps of a preset that starts from a solution are too small for a head that does not.
    steps = {"learning_rate": 1e-3, "epochs": 30} if stem == "loci" else {}
    arch = {**arch, **steps, **shape, **request.arch}
    fixed = frozenset(request.arch)
    return Entrant(f"{TRANSFORMER} {PRETRAINED}", TRANSFORMER, arch, fixed, True, start)


def _compete(contest: _Contest) -> list[list[Part]]:
    """Parts of each entrant; the main one of a single split is kept at once."""
    parts: list[list[Part]] = [[] for _ in contest.entrants]
    for f, split in enumerate(contest.splits):
        for e, one in enumerate(contest.entrants):
            path = contest.folder / "parts" / f"{e:02d}-{f:02d}.npz"
            if path.is_file():
                parts[e].append(load_part(path))
                continue
            # Of an interrupted fit what is here is gone on with.
            logs = path.with_suffix("") if one.main else None
            setting = replace(contest.setting, logs=logs)
            own, trained = judge(one, contest.data, split, contest.classes, contest.rules, setting)
            if one.main and len(contest.splits) == 1:
                _keep(contest, (one, trained, split.train))
            save_part(path, own)
            parts[e].append(own)
            hits = own.log_probability.argmax(1) == contest.data.label[own.rows]
            log.info("%s, %s: accuracy %.4f", one.name, split.name, hits.mean())
    return parts


Kept = tuple[Entrant, Trained, NDArray[np.int64]]


def _refitted(contest: _Contest, parts: list[list[Part]]) -> Kept:
    """The main one once more, from all sequences but a part to stop and calibrate by."""
    one, data = contest.entrants[0], contest.data
    every, seed = np.arange(len(data.label)), contest.setting.seed
    train, valid = part(data.sequences.group, data.label, every, VALID_SHARE, seed)
    log.info("%s, to keep: all %s sequences", one.name, f"{len(every):,}")
    logs = contest.folder / "parts" / "all"
    trained = train_entrant(
        one,
        data.take(train),
        data.take(valid),
        contest.classes,
        contest.rules,
        replace(contest.setting, logs=logs),
    )
    return one, trained, train


def _keep(contest: _Contest, kept: Kept) -> None:
    """Store what `score` will use."""
    one, trained, rows = kept
    counts = np.bincount(contest.data.label[rows], minlength=len(contest.classes))
    save_classifier(
        contest.folder,
        one.model,
        trained,
        contest.data.sequences,
        contest.label,
        counts.tolist(),
        contest.rules.level,
        contest.request.provenance(),
    )


def _study(contest: _Contest, parts: list[list[Part]]) -> Study:
    data, request = contest.data, contest.request
    n, group = len(data.label), data.sequences.group
    fold = np.full(n, "", dtype=object)
    for split in contest.splits:
        fold[split.test] = split.name
    outcomes = tuple(
        outcome(one, n, len(contest.classes), SAW, own)
        for one, own in zip(contest.entrants, parts, strict=True)
    )
    units = "sequences" if len(np.unique(group)) == n else "groups of sequences"
    return Study(
        data=request.data.name,
        wording=Wording(units, ABOUT, "sequences.h5", ANSWER),
        names=data.sequences.names,
        classes=contest.classes,
        label=data.label,
        shuffled_label=shuffled_labels(data.label, contest.setting.seed),
        unit=group,
        fold=fold.astype(str),
        tested=fold != "",
        held_out_by=contest.held_out_by,
        level=contest.rules.level,
        calibration="validation part",
        seeds=(contest.setting.seed,),
        outcomes=outcomes,
        settings=request.plain(),
    )


def _few_shot(contest: _Contest, parts: list[list[Part]]) -> FewShot | None:
    """Curves on the first split, each entrant in the configuration that tuning chose."""
    options = contest.options
    if not options.few_shot:
        return None
    tuned = [
        replace(one, arch={**one.arch, **own[0].fit.chosen})
        for one, own in zip(contest.entrants, parts, strict=True)
        if one.extra is None
    ]
    plan = Plan(options.few_shot, options.few_shot_repeats)
    first = contest.splits[0]
    found = few_shot(tuned, contest.data, first, contest.classes, plan, contest.setting)
    if found.gains:
        log.info(found.sentence())
    return found


def _write(contest: _Contest, study: Study, found: Results, curves: FewShot | None) -> None:
    """Metrics, predictions, report, model card; the parts have done their work."""
    from genomix_cli.report import card, write_multiqc, write_report

    folder = contest.folder
    metrics = found.to_dict()
    # Times differ from run to run, and the same input is to give the same bytes.
    timing = {row["name"]: row.pop("seconds") for row in metrics["outcomes"]}
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "timing.json", timing)
    write_rows(found.rows(), folder / "models.tsv")
    write_rows(_epochs(study), folder / "training.tsv")
    predictions(study).to_parquet(folder / "predictions.parquet", index=False)
    write_multiqc(found, folder)
    text, extra = card(study, found), []
    if curves is not None:
        write_rows(curves.table(), folder / "few_shot.tsv")
        extra.append(section(curves))
        if curves.sentence():
            text += f"\n## Few examples\n\n{curves.sentence()}\n"
    write_report(study, found, folder / "report.html", extra=extra)
    (folder / "README.md").write_text(text)
    shutil.rmtree(folder / "parts")


def _epochs(study: Study) -> Sequence[dict[str, Any]]:
    """A row per epoch of what learns in epochs."""
    return [
        {"name": each.name, "fold": fit.fold, **asdict(epoch)}
        for each in study.outcomes
        for fit in each.folds
        for epoch in fit.curve
    ]


def predictions(study: Study) -> pd.DataFrame:
    """Predictions of the sequences held out, by model."""
    rows = np.flatnonzero(study.tested)
    classes = np.array(study.classes)
    tables = []
    for each in study.outcomes:
        p = each.probability[0, rows]
        columns: dict[str, Any] = {
            "model": each.name,
            "sample": study.names[rows],
            "fold": study.fold[rows],
            "label": classes[study.label[rows]],
            "predicted": classes[p.argmax(1)],
            **{f"p:{name}": p[:, k] for k, name in enumerate(study.classes)},
            "set": [",".join(classes[own]) for own in each.sets[rows]],
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
