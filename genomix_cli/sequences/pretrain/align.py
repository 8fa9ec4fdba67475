"""Align DNA with phenotypes, and judge retrieval in both directions on held-out sequences.

Letters: B batch, n sequences, M distinct profiles, P phenotypes, T tokens of DNA.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor

from genomix_cli.comparison.splits import Split
from genomix_cli.comparison.tables import plain, write_rows
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.sequences import Phenotype, Sequences, open_sequences
from genomix_cli.learning.networks import new_module
from genomix_cli.learning.processes import first_process
from genomix_cli.learning.task import Epoch
from genomix_cli.sequences.models import alignment
from genomix_cli.sequences.models.alignment import AlignConfig, Alignment, PhenotypeSpec
from genomix_cli.sequences.pretrain import frame
from genomix_cli.sequences.pretrain.attention import attention_rows
from genomix_cli.sequences.pretrain.frame import Agreement, EncoderTask, Job
from genomix_cli.sequences.pretrain.linear_retrieval import linear_scores
from genomix_cli.sequences.pretrain.objectives import symmetric_contrastive
from genomix_cli.sequences.pretrain.probes import ByPart, baselines
from genomix_cli.sequences.pretrain.report import align_card, write_align_report
from genomix_cli.sequences.pretrain.summaries import AlignRow, AlignSummary
from genomix_cli.sequences.pretrain.views import Views, view
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.score.embeddings import begin, start_from
from genomix_cli.sequences.score.retrieval import agree, compare, distinct, recalls
from genomix_cli.sequences.train.folder import open_folder
from genomix_cli.sequences.train.learning import Batch

log = logging.getLogger("genomix")

# Largest number of held-out sequences to compare with all profiles.
MAX_COMPARED = 1000
# Largest number of training sequences for the linear baselines.
MAX_LINEAR = 5000
# Largest number of profiles that a run stores, the most frequent first.
MAX_PROFILES = 2000
TOWERS, RANKED, SHUFFLED = "two towers", "ranked anew by cross-attention", "shuffled phenotypes"
AMONG_ALL, AMONG_UNSEEN = "among all profiles", "among profiles never learned from"
DNA_VIEWS = Views(mask=0.15, crop=1.0, mutate=0.0)
GENOTYPE_VIEWS = Views(mask=0.3, span=1, crop=1.0, mutate=0.0, reverse_complement=False)


class Scored(NamedTuple):
    """A method of comparing sequences with profiles, and its scores, float64 ``[n, M]``."""

    name: str
    score: NDArray[np.float64]
    baseline: bool = False


class AlignTask(EncoderTask):
    """Task of matching sequences and their phenotypes among the pairs of a batch."""

    def __init__(self, module: Alignment, config: AlignConfig, aligned: bool) -> None:
        super().__init__(module, frame.views_of(config), aligned)
        self._config = config

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Return the contrastive loss of the towers and the matching loss of cross-attention."""
        config, module = self._config, self.module
        codes = view(batch.codes, self._views, self._aligned, generator)
        shown = alignment.hide_phenotypes(batch.target, config.phenotype_dropout, generator)
        own, embedding, dna = module.dna(codes)
        vectors, tokens = module.profile(shown)
        same, fits = alignment.same_profile(batch.target)
        contrast = symmetric_contrastive(own, vectors, module.scale(), same, fits)
        if not config.matching:
            return {"loss": contrast}
        similarity = own @ vectors.T * module.scale()
        wrong, has = alignment.hard_negatives(similarity, ~fits, generator)
        right = module.match(tokens, embedding, dna)
        other = module.match(tokens[wrong], embedding, dna)
        matching = F.softplus(-right).mean() + (F.softplus(other) * has).mean()
        loss = contrast + config.matching * matching
        return {"loss": loss, "contrast": contrast, "matching": matching}

    def predict(self, batch: Batch) -> Agreement:
        """Return the contrastive loss on whole sequences of a validation batch."""
        own, vectors = self.module.dna(batch.codes)[0], self.module.profile(batch.target)[0]
        same, fits = alignment.same_profile(batch.target)
        loss = symmetric_contrastive(own, vectors, self.module.scale(), same, fits)
        best = (own @ vectors.T).argmax(1)
        right = int(fits.gather(1, best[:, None]).sum())
        return Agreement(float(loss) * len(own), right, len(own))


@dataclass(frozen=True)
class Pairs(Job):
    """Sequences to align with their phenotypes.

    Attributes
    ----------
    phenotypes : tuple of PhenotypeSpec
    values : NDArray
        float32 ``[n, P]``: phenotypes, see :func:`encoded`.
    compared : NDArray
        int64: held-out sequences on which retrieval is judged.
    unseen : NDArray
        bool ``[n]``: sequences of classes that are excluded from training.
    """

    phenotypes: tuple[PhenotypeSpec, ...]
    values: NDArray[np.float32]
    compared: NDArray[np.int64]
    unseen: NDArray[np.bool_]

    @property
    def profiles(self) -> NDArray[np.float32]:
        """Distinct profiles of the compared sequences, float32 ``[M, P]``."""
        return distinct(self.values[self.compared])[0]


def train_alignment(request: TrainRequest) -> AlignSummary:
    """Align DNA with phenotypes, judge retrieval on held-out sequences, and write the run folder.

    The run holds ``config.json`` and ``model.safetensors``, ``metrics.json``, ``attention.tsv``
    (where each phenotype attends), ``report.html``, ``README.md`` and ``train.json``.
    `request.options` may hold ``phenotypes``, the names of those to align; the default is all.

    Raises
    ------
    UsageError
        If preset, fields, phenotypes or split do not exist, or the folder is in use.
    DataError
        If no phenotype differs among the training sequences.
    """
    sequences = open_sequences(request.data)
    start = start_from(request, sequences)
    request = frame.with_preset(request, sequences, start)
    rates = GENOTYPE_VIEWS if sequences.aligned else DNA_VIEWS
    config = frame.configuration(request, sequences, AlignConfig, asdict(rates))
    by, split = frame.one_split(sequences, stratum(sequences, request.label), request)
    unseen = of_unseen(sequences, request)
    split = without_unseen(split, unseen, sequences.group)
    phenotypes, values = encoded(chosen_phenotypes(sequences, request), split.train)
    split = _with_phenotypes(split, values)
    open_folder(request)
    said = "%s of %s sequences are compared"
    compared = frame.some(split.test, MAX_COMPARED, request.setting.seed, said)
    pairs = Pairs(request, sequences, start, by, split, phenotypes, values, compared, unseen)
    module, learned = _learn(pairs, config)
    # All training processes take part in the control too, but only the first one judges.
    compared_by = [_control(pairs, config)] if config.control else []
    if first_process():
        compared_by = [*_judge(pairs, module), *compared_by]
    summary = AlignSummary(
        **frame.shared_results(pairs, module, learned),
        phenotypes=tuple(p.name for p in phenotypes),
        profiles=len(pairs.profiles),
        compared=len(compared),
        retrieval=tuple(_rows(pairs, compared_by)),
        unseen=tuple(request.options.get("unseen", ())),
        zero_shot=zero_shot(pairs, compared_by),
    )
    if first_process():
        _write(summary, module, pairs)
    return summary


def of_unseen(sequences: Sequences, request: TrainRequest) -> NDArray[np.bool_]:
    """Return True for sequences of classes to exclude from training, bool ``[n]``.

    Raises
    ------
    UsageError
        If a name is not a class of the label, or fewer than two classes are left.
    """
    names = tuple(request.options.get("unseen", ()))
    if not names:
        return np.zeros(len(sequences), bool)
    classes, label = sequences.label(request.label)
    for name in names:
        if name not in classes:
            expected = ", ".join(classes)
            raise UsageError("no such class", where="--unseen", expected=expected, found=name)
    if len(set(names)) > len(classes) - 2:
        raise UsageError("too few classes are left to train on", where="--unseen", expected="two")
    return np.isin(label, [classes.index(name) for name in names])


def without_unseen(split: Split, unseen: NDArray[np.bool_], group: NDArray[np.int64]) -> Split:
    """Move sequences of unseen classes to the test part, and drop others of their groups."""
    away = np.isin(group, group[unseen])
    train, valid = (rows[~away[rows]] for rows in (split.train, split.valid))
    moved = np.concatenate([rows[unseen[rows]] for rows in (split.train, split.valid)])
    return Split(split.name, train, valid, np.sort(np.concatenate([split.test, moved])))


def stratum(sequences: Sequences, name: str) -> NDArray[np.int64] | None:
    """Return the classes to stratify the split by ``[n]``; None for a numeric phenotype."""
    name = name or sequences.default_label
    if not name or sequences.phenotype(name).categories is None:
        return None
    return frame.class_labels(sequences, name)


def chosen_phenotypes(sequences: Sequences, request: TrainRequest) -> tuple[Phenotype, ...]:
    """Return the requested phenotypes, by default all.

    Raises
    ------
    UsageError
        If a phenotype does not exist.
    DataError
        If there are none.
    """
    names = tuple(request.options.get("phenotypes", ()))
    chosen = tuple(map(sequences.phenotype, names)) if names else sequences.phenotypes
    if request.options.get("unseen"):
        # The name of an unseen class carries no information.
        label = request.label or sequences.default_label
        chosen = tuple(phenotype for phenotype in chosen if phenotype.name != label)
    if not chosen:
        raise DataError(
            "has no phenotypes", where=request.data, hint="prepare it with --phenotypes"
        )
    return chosen


def encoded(
    phenotypes: Sequence[Phenotype], train: NDArray[np.int64]
) -> tuple[tuple[PhenotypeSpec, ...], NDArray[np.float32]]:
    """Return phenotypes float32 ``[n, P]``, numbers standardised on `train`, NaN where unknown.

    Phenotypes that do not differ among the training sequences are left out.

    Raises
    ------
    DataError
        If none is left.
    """
    specs, columns = [], []
    for phenotype in phenotypes:
        values = phenotype.values.astype(np.float32)
        values = np.where(values < 0, np.nan, values) if phenotype.categories else values
        known = values[train][np.isfinite(values[train])].astype(np.float64)
        if len(np.unique(known)) < 2:
            log.warning("%s is left out, since it does not vary in training", phenotype.name)
            continue
        mean, sd = (0.0, 1.0) if phenotype.categories else (float(known.mean()), float(known.std()))
        specs.append(PhenotypeSpec(phenotype.name, phenotype.categories, mean, sd))
        columns.append(((values - mean) / sd).astype(np.float32))
    if not specs:
        raise DataError("no phenotype varies among the training sequences")
    return tuple(specs), np.stack(columns, 1)


def _with_phenotypes(split: Split, values: NDArray[np.float32]) -> Split:
    """Leave out sequences without any known phenotype."""
    known = np.any(~np.isnan(values), axis=1)
    parts = [rows[known[rows]] for rows in split.parts]
    left = sum(map(len, split.parts)) - sum(map(len, parts))
    if left:
        log.info("left out %s sequences without any phenotype", f"{left:,}")
    if min(map(len, parts)) < 2:
        raise DataError("too few sequences with phenotypes in a part of the split")
    return Split(split.name, *parts)


def _learn(
    pairs: Pairs, config: AlignConfig, *, keep: bool = True
) -> tuple[Alignment, tuple[Epoch, ...]]:
    """Train; with `keep`, write checkpoints to the run folder."""
    sequences = pairs.sequences
    module = new_module(lambda: Alignment(pairs.phenotypes, config), pairs.seed)
    begin(module.encoder, pairs.start, sequences.codes[pairs.split.train], pairs.request)
    task = AlignTask(module, config, sequences.aligned)
    return module, frame.train_encoder(task, pairs, pairs.values, config, keep=keep)


def _rows(pairs: Pairs, compared_by: Sequence[Scored]) -> Iterator[AlignRow]:
    """Yield retrieval in both directions for each method of comparison."""
    rows = pairs.compared
    right, group = agree(pairs.values[rows], pairs.profiles), pairs.sequences.group[rows]
    for name, score, baseline in compared_by:
        yield AlignRow(name, recalls(score, right, group, pairs.seed), baseline)


def zero_shot(pairs: Pairs, compared_by: Sequence[Scored]) -> dict[str, tuple[AlignRow, ...]]:
    """Return retrieval for sequences of unseen classes, by the set of candidate profiles."""
    asked = pairs.unseen[pairs.compared]
    if not asked.any():
        return {}
    rows, profiles = pairs.compared[asked], pairs.profiles
    right, group = agree(pairs.values[rows], profiles), pairs.sequences.group[rows]
    seen = agree(profiles, distinct(pairs.values[pairs.split.train])[0]).any(1)
    found = {}
    for name, choice in ((AMONG_ALL, np.ones(len(profiles), bool)), (AMONG_UNSEEN, ~seen)):
        if choice.any():
            found[name] = tuple(
                AlignRow(
                    by, recalls(score[asked][:, choice], right[:, choice], group, pairs.seed), b
                )
                for by, score, b in compared_by
            )
    return found


def _judge(pairs: Pairs, module: Alignment) -> Iterator[Scored]:
    """Yield the scores of the towers, of cross-attention, and of the linear baselines."""
    rows, profiles, seed = pairs.compared, pairs.profiles, pairs.seed
    compared = compare(module, pairs.sequences.codes[rows], profiles, "comparing")
    yield Scored(TOWERS, compared.similarity)
    if module.config.matching:
        yield Scored(RANKED, compared.ranked)
    said = "%s of %s sequences are compared"
    train, valid = (frame.some(part, MAX_LINEAR, seed, said) for part in pairs.split.parts[:2])
    parts = ByPart(train, valid, rows)
    for name, x in baselines(pairs.sequences, parts, seed).items():
        score = linear_scores(x, parts, pairs.values, pairs.phenotypes, profiles)
        yield Scored(f"{name}, linear", score, True)


def _control(pairs: Pairs, config: AlignConfig) -> Scored:
    """Return scores after training on shuffled phenotypes: better than chance means a leak."""
    log.info("training again with shuffled phenotypes, as a control")
    values, rows, group = pairs.values.copy(), pairs.compared, pairs.sequences.group
    learning = np.concatenate([pairs.split.train, pairs.split.valid])
    values[learning] = shuffled(values[learning], group[learning], pairs.seed)
    request = replace(pairs.request, init=None)
    wrong = replace(pairs, request=request, start=pairs.start.untrained(), values=values)
    module, _ = _learn(wrong, config, keep=False)
    compared = compare(module, pairs.sequences.codes[rows], pairs.profiles)
    return Scored(SHUFFLED, compared.similarity)


def shuffled(
    values: NDArray[np.float32], group: NDArray[np.int64], seed: int
) -> NDArray[np.float32]:
    """Give each group the phenotypes of another group's first sequence, ``[n, P]``."""
    _, first, index = np.unique(group, return_index=True, return_inverse=True)
    order = np.random.default_rng([seed, 2]).permutation(len(first))
    return values[first[order]][index]


def _write(summary: AlignSummary, module: Alignment, pairs: Pairs) -> None:
    request, sequences = pairs.request, pairs.sequences
    profiles, counts = distinct(pairs.values[pairs.split.train])
    order = np.argsort(-counts, kind="stable")[:MAX_PROFILES]
    facts = {
        "phenotypes": [
            {"name": p.name, "categories": p.categories, "scale": [p.mean, p.sd]}
            for p in pairs.phenotypes
        ],
        "profiles": plain(profiles[order]),
    }
    frame.save(summary, module, pairs, request.label or sequences.default_label, facts)
    attention = attention_rows(module, sequences, pairs.compared, pairs.values, pairs.phenotypes)
    write_rows(attention, request.output / "attention.tsv")
    write_align_report(summary, attention, request.output / "report.html")
    RunFolder(request.output).write_text("README.md", align_card(summary))
