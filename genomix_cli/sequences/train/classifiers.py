"""Train a classifier of sequences with its baselines, and judge all on held-out sequences."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genomix_cli.comparison.contest import Contest, Judged
from genomix_cli.comparison.entrants import TABLES, Entrant, require
from genomix_cli.comparison.protocol import Trained
from genomix_cli.comparison.results import results
from genomix_cli.comparison.rules import VALIDATION, Rules
from genomix_cli.comparison.splits import NO_ROWS, Split, check_classes, divide
from genomix_cli.comparison.study import Wording
from genomix_cli.comparison.summaries import Results
from genomix_cli.comparison.tables import write_rows
from genomix_cli.config import from_dict
from genomix_cli.errors import DataError
from genomix_cli.formats.run_folder import PARTS, RunFolder
from genomix_cli.formats.sequences import open_sequences
from genomix_cli.genome.motifs import read_meme
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.processes import own_folder
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.models.base import Labelled
from genomix_cli.sequences.requests.train import ClassifyOptions, TrainRequest
from genomix_cli.sequences.runs import seen_of
from genomix_cli.sequences.train.entrants import entrants
from genomix_cli.sequences.train.few_shot import FewShot, Plan, few_shot, section
from genomix_cli.sequences.train.folder import open_folder
from genomix_cli.sequences.train.splits import VALID_SHARE, splits
from genomix_cli.sequences.trained import save_classifier

log = logging.getLogger("genomix")

ABOUT = (
    "Every base of a sequence is read; letters for several bases are all of them at once. "
    "It was tuned and calibrated on the validation part."
)
ANSWER = (
    "A row per sequence: the probability of each class (`p:<class>`), the most probable one, the "
    "prediction set, and whether to abstain."
)


@dataclass(frozen=True)
class SequenceContest(Contest[Labelled]):
    """A comparison of sequence classifiers.

    Attributes
    ----------
    request : TrainRequest
    label : str
        Name of the phenotype to classify.
    folder : Path
        Run folder of this process.
    """

    request: TrainRequest
    label: str
    folder: Path

    def final_split(self) -> Split:
        """Return a split that trains on all sequences except a validation part."""
        data, every = self.data, np.arange(len(self.data))
        train, valid = divide(data.unit, data.label, every, VALID_SHARE, self.settings.seed)
        return Split("", train, valid, NO_ROWS)

    def save(self, entrant: Entrant[Labelled], trained: Trained[Labelled], split: Split) -> None:
        """Store the model for ``genomix score``, and the sequences of `split` that it has seen."""
        counts = np.bincount(self.data.label[split.train], minlength=len(self.data.classes))
        save_classifier(
            self.folder,
            entrant.model,
            trained,
            self.data.sequences,
            self.label,
            counts.tolist(),
            self.rules.level,
            self.request.provenance(),
            seen_of(self.data.sequences, split, self.request.init),
        )


def train_classifiers(request: TrainRequest) -> Results:
    """Tune, train and judge the models, and write the run folder.

    The folder holds ``config.json`` and ``model.safetensors`` (read by `score`), ``metrics.json``
    and ``models.tsv``, ``training.tsv`` (a row per epoch), ``few_shot.tsv`` (if requested),
    ``predictions.parquet`` (of held-out sequences), ``report.html``, ``README.md`` (the model
    card), ``*_mqc.json`` (for MultiQC), ``timing.json`` and ``train.json`` (the request). Only the
    report, ``models.tsv`` and the last two contain times.

    Returns
    -------
    Results
        Contents of ``metrics.json``.

    Raises
    ------
    UsageError
        If a model, preset, field or phenotype does not exist, or the folder is in use.
    DataError
        If too few sequences have a label, or a class has too few.
    MissingExtraError
        If pyarrow, scikit-learn or, for networks, Lightning is not installed.
    """
    from genomix_cli.report.outputs import epochs, stored_results, write_outputs

    options = from_dict(ClassifyOptions, request.options, where="options of classify")
    Plan(options.few_shot or (1,), options.few_shot_repeats)  # refuse invalid numbers early
    contest, held_out_by = _contest(request, options)
    if request.resume and RunFolder(contest.folder).is_finished:
        return stored_results(contest.folder)
    judged = contest.run()
    group = contest.data.unit
    units = "sequences" if len(np.unique(group)) == len(group) else "groups of sequences"
    study = contest.study(
        judged,
        data=request.data.name,
        wording=Wording(units, ABOUT, "sequences.h5", ANSWER),
        held_out_by=held_out_by,
        settings=request.plain(),
    )
    curves = _few_shot(contest, judged, options)
    outcome, sections, note = results(study, contest.rules.metric), [], ""
    write_rows(epochs(study), contest.folder / "training.tsv")
    if curves is not None:
        write_rows(curves.table(), contest.folder / "few_shot.tsv")
        sections.append(section(curves))
        if curves.sentence():
            note = f"\n## Few examples\n\n{curves.sentence()}\n"
    write_outputs(study, outcome, contest.folder, seed_column=False, sections=sections, note=note)
    shutil.rmtree(contest.cache)
    return outcome


def _contest(request: TrainRequest, options: ClassifyOptions) -> tuple[SequenceContest, str]:
    """Check the request, open the folder, and return the contest and the kind of split."""
    data, label = _labelled(request)
    motifs = () if options.motifs is None else tuple(read_meme(options.motifs))
    competing = [
        replace(entrant, control=True if options.control else None)
        for entrant in entrants(request, options.model, options.baselines, data.sequences, motifs)
    ]
    if options.augment:
        extra, main = _generated(Path(options.augment), data, label), competing[0]
        name = f"{main.name} + {len(extra):,} generated"
        competing.insert(1, replace(main, name=name, augment=lambda train: train.joined(extra)))
    for entrant in competing:
        require(SEQUENCE_CLASSIFIERS.load(entrant.model).needs)
    require(TABLES)
    by, divided = splits(data.sequences, data.label, request.hold_out, request.setting.seed)
    settings = replace(request.setting, device=str(resolve_device(request.setting.device)))
    folder = own_folder(open_folder(request))
    cache = folder / PARTS
    log.info(
        "%s sequences in %d classes, held out by %s: %s",
        f"{len(data):,}",
        len(data.classes),
        by,
        "; ".join(
            f"train {len(s.train):,}, validation {len(s.valid):,}, test {len(s.test):,}"
            for s in divided
        ),
    )
    rules = Rules(
        options.trials,
        level=options.level,
        calibration=VALIDATION,
        metric=options.metric,
        seeds=(settings.seed,),
    )
    return (
        SequenceContest(data, competing, divided, rules, settings, cache, request, label, folder),
        by,
    )


def _labelled(request: TrainRequest) -> tuple[Labelled, str]:
    """Return the sequences with a class, and the name of the phenotype."""
    sequences = open_sequences(request.data)
    classes, label = sequences.label(request.label)
    name = request.label or sequences.default_label
    known = np.flatnonzero(label >= 0)
    if len(known) < len(label):
        log.info("left out %s sequences without %s", f"{len(label) - len(known):,}", name)
    data = Labelled(sequences, label, classes)
    uses = "to learn from, to stop by, and to be judged by"
    check_classes(data, request.data, "groups of sequences", 3, uses, name)
    return data if len(known) == len(label) else data.take(known), name


def _generated(path: Path, data: Labelled, label: str) -> Labelled:
    """Return generated sequences, with classes numbered as in the data.

    Raises
    ------
    DataError
        If the sequences have another length or other classes.
    """
    sequences = open_sequences(path)
    own, codes = sequences.label(label)
    strange = sorted(set(own) - set(data.classes))
    if strange or sequences.length != data.sequences.length:
        raise DataError(
            "cannot join the training sequences",
            where=path,
            expected=f"{data.sequences.length:,} bases, {label} of {', '.join(data.classes)}",
            found=f"{sequences.length:,} bases, {', '.join(own)}",
        )
    known = np.flatnonzero(codes >= 0)
    index = np.array([data.classes.index(name) for name in own], np.int64)
    return Labelled(sequences.take(known), index[codes[known]], data.classes)


def _few_shot(contest: SequenceContest, judged: Judged, options: ClassifyOptions) -> FewShot | None:
    """Return few-shot curves on the first split, with the configurations that tuning chose."""
    if not options.few_shot:
        return None
    tuned = [
        replace(entrant, arch={**entrant.arch, **results[0].fit.chosen})
        for entrant, results in zip(contest.entrants, judged, strict=True)
        if entrant.augment is None
    ]
    plan = Plan(options.few_shot, options.few_shot_repeats)
    curves = few_shot(tuned, contest.data, contest.splits[0], plan, contest.settings)
    if curves.gains:
        log.info(curves.sentence())
    return curves
