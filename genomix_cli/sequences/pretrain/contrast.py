"""Pre-train an encoder of sequences by contrastive learning, and probe it for phenotypes.

Letters: B batch, n sequences, d width of the encoder, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.learning.networks import new_module
from genomix_cli.learning.processes import first_process
from genomix_cli.learning.randomness import generator_of
from genomix_cli.learning.task import Epoch
from genomix_cli.sequences.models.contrastive import ContrastConfig, Contrastive
from genomix_cli.sequences.pretrain import frame, probes
from genomix_cli.sequences.pretrain.frame import Agreement, EncoderTask, Job
from genomix_cli.sequences.pretrain.objectives import info_nce, two_view_logits
from genomix_cli.sequences.pretrain.probes import ByPart, Candidate
from genomix_cli.sequences.pretrain.report import contrast_card, write_contrast_report
from genomix_cli.sequences.pretrain.summaries import ContrastSummary, Probes
from genomix_cli.sequences.pretrain.views import GENOTYPES, Views, view
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.score.embeddings import begin, embed, start_from
from genomix_cli.sequences.train.folder import open_folder
from genomix_cli.sequences.train.learning import Batch

log = logging.getLogger("genomix")

# Largest number of sequences of each part of the split for probes.
MAX_PROBED = 5000
PRETRAINED, UNTRAINED, PAPER = "pre-trained", "untrained", "pre-trained, rates of GenomAI"
# Features compared in probes with few labels.
FEW_SHOT_FEATURES = (PRETRAINED, UNTRAINED, "3-mer counts", "PCA 30")


class ContrastTask(EncoderTask):
    """Task of matching the two views of each sequence among all views of a batch.

    Parameters
    ----------
    module : nn.Module
    views : Views
    aligned : bool
    seed : int
        Seed of the views in validation, which are the same in every epoch.
    """

    def __init__(self, module: nn.Module, views: Views, aligned: bool, seed: int) -> None:
        super().__init__(module, views, aligned)
        self._seed = seed

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the InfoNCE loss; negatives are from the same process."""
        a, b = self._vectors(batch, generator)
        scale = self.module.scale()
        return {"loss": info_nce(a, b, scale), "scale": scale}

    def predict(self, batch: Batch) -> Agreement:
        """Return loss and retrieval of the two views of a validation batch."""
        rows = batch.rows[:1].tolist()
        a, b = self._vectors(batch, generator_of(batch.codes.device, self._seed, *rows))
        logits, partner = two_view_logits(a, b, self.module.scale())
        loss = F.cross_entropy(logits, partner, reduction="sum")
        right = int((logits.argmax(1) == partner).sum())
        return Agreement(float(loss.detach()), right, len(logits))

    def _vectors(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        pair = [view(batch.codes, self._views, self._aligned, generator) for _ in range(2)]
        a, b = self.module(torch.cat(pair)).chunk(2)
        return a, b


def train_contrast(request: TrainRequest) -> ContrastSummary:
    """Pre-train an encoder, judge it frozen by probes, and write the run folder.

    The run holds ``config.json`` and ``model.safetensors``, ``metrics.json``, ``report.html``,
    ``README.md`` (the model card) and ``train.json``. Held-out sequences are never used for
    training; sequences without a label are. `request.options` may hold ``probe``: names of the
    phenotypes to probe, by default the label.

    Raises
    ------
    UsageError
        If preset, fields, label or split do not exist, or the folder is in use.
    DataError
        If there are too few sequences.
    """
    sequences = open_sequences(request.data)
    start = start_from(request, sequences)
    request = frame.with_preset(request, sequences, start)
    # Genotypes have their own rates; those of GenomAI are for comparison.
    known = {**asdict(GENOTYPES), "batch_size": 256, "paper_rates": True}
    own = known if sequences.aligned else {}
    config = frame.configuration(request, sequences, ContrastConfig, own)
    label = frame.class_labels(sequences, request.label)
    job = Job(request, sequences, start, *frame.one_split(sequences, label, request))
    names = probed_names(sequences, request, label is not None)
    open_folder(request)
    module, learned = pretrain(job, config)
    untrained = replace(job, request=replace(request, init=None), start=start.untrained())
    modules = {PRETRAINED: module, UNTRAINED: _new(untrained, config)}
    if config.paper_rates:
        log.info("training again with the learning rates of GenomAI")
        rates = Views(reverse_complement=not sequences.aligned)
        modules[PAPER] = pretrain(job, replace(config, **asdict(rates)), keep=False)[0]
    if not first_process():
        names = ()
    judged = (probe(job, name, modules) for name in names)
    summary = ContrastSummary(
        **frame.shared_results(job, module, learned),
        views=asdict(frame.views_of(config)),
        probes=tuple(each for each in judged if each is not None),
        notes=() if names else ("no label, so nothing to probe",),
    )
    if first_process():
        label_of = summary.probes[0].label if summary.probes else ""
        frame.save(summary, module, job, label_of, {})
        write_contrast_report(summary, request.output / "report.html")
        RunFolder(request.output).write_text("README.md", contrast_card(summary))
    return summary


def probed_names(sequences: Sequences, request: TrainRequest, has_label: bool) -> tuple[str, ...]:
    """Return the names of the phenotypes to probe.

    Raises
    ------
    UsageError
        If a phenotype does not exist or is numeric.
    """
    own = (request.label or sequences.default_label,) if has_label else ()
    names = tuple(request.options.get("probe", ())) or own
    for name in names:
        sequences.label(name)
    return names


def pretrain(
    job: Job, config: ContrastConfig, *, keep: bool = True
) -> tuple[Contrastive, tuple[Epoch, ...]]:
    """Pre-train; with `keep`, write checkpoints to the run folder."""
    module = _new(job, config)
    task = ContrastTask(module, frame.views_of(config), job.sequences.aligned, job.seed)
    return module, frame.train_encoder(task, job, None, config, keep=keep)


def _new(job: Job, config: ContrastConfig) -> Contrastive:
    module = new_module(lambda: Contrastive(config), job.seed)
    begin(module.encoder, job.start, job.sequences.codes[job.split.train], job.request)
    return module.to(job.request.setting.device).eval()


def probe(job: Job, name: str, modules: dict[str, Contrastive]) -> Probes | None:
    """Judge every representation by probes of a phenotype.

    Return None, with a warning, if a class has no training sequence.
    """
    sequences, seed = job.sequences, job.seed
    classes, label = sequences.label(name)
    rows = _probed(job, label)
    y = ByPart(*(label[part] for part in rows))
    if len(classes) < 2 or len(np.unique(y.train)) < len(classes) or not len(y.test):
        log.warning("%s is not probed, since the training part lacks some of its classes", name)
        return None
    log.info("probing %s: %d classes, %s sequences", name, len(classes), f"{len(y.test):,}")
    learned = {
        key: ByPart(*(embed(module.encoder, sequences.codes[part]) for part in rows))
        for key, module in modules.items()
    }
    before = probes.baselines(sequences, rows, seed)
    candidates = list(_candidates(learned, before, y, len(classes)))
    every = {**learned, **before}
    few = {name: every[name] for name in FEW_SHOT_FEATURES if name in every}
    return Probes(
        label=name,
        classes=len(classes),
        sequences=len(y.test),
        rows=probes.judged(candidates, y.test, sequences.group[rows.test], seed),
        few=probes.few_shots(few, y, len(classes), seed),
    )


def _candidates(
    learned: dict[str, ByPart], before: dict[str, ByPart], y: ByPart, n_classes: int
) -> Iterator[Candidate]:
    for name, x in {**learned, **before}.items():
        dims = x.train.shape[1]
        p = probes.linear_probe(x, y, n_classes)
        yield Candidate(name, probes.LINEAR, dims, p, name in before)
        if name in learned:
            yield Candidate(name, probes.NEAREST, dims, probes.nearest(x, y, n_classes), False)
    yield Candidate("none", probes.MAJORITY, 0, probes.majority(y, n_classes), False)


def _probed(job: Job, label: NDArray[np.int64]) -> ByPart:
    said = "probes use %s of %s sequences"
    parts = (rows[label[rows] >= 0] for rows in job.split.parts)
    return ByPart(*(frame.some(rows, MAX_PROBED, job.seed, said) for rows in parts))
