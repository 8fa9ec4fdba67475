"""Pre-train an encoder of sequences by contrast, and probe what it knows of the label.

Letters: B batch, n sequences, d width of the encoder, K classes.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.comparison.splits import Split
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.networks import new_module
from genomix_cli.learning.processes import first_process
from genomix_cli.learning.task import Epoch
from genomix_cli.sequences.models.contrastive import ContrastConfig, Contrastive
from genomix_cli.sequences.pretrain.frame import (
    Agreement,
    EncoderTask,
    class_labels,
    configuration,
    one_split,
    save,
    shared_results,
    some,
    train_encoder,
    views_of,
    with_preset,
)
from genomix_cli.sequences.pretrain.objectives import info_nce, two_view_logits
from genomix_cli.sequences.pretrain.probes import (
    LINEAR,
    MAJORITY,
    NEAREST,
    ByPart,
    Candidate,
    baselines,
    few_shots,
    judged,
    linear_probe,
    majority,
    nearest,
)
from genomix_cli.sequences.pretrain.report import contrast_card, write_contrast_report
from genomix_cli.sequences.pretrain.summaries import ContrastSummary, Probes
from genomix_cli.sequences.pretrain.views import GENOTYPES, Views, generator_of, view
from genomix_cli.sequences.requests import TrainRequest
from genomix_cli.sequences.score.embeddings import Start, begin, embed, start_from
from genomix_cli.sequences.train.learning import Batch
from genomix_cli.sequences.train.request import open_folder

log = logging.getLogger("genomix")

# Sequences of each part of the split that probes use at most.
MAX_PROBED = 5000
PRETRAINED, UNTRAINED, PAPER = "pre-trained", "untrained", "pre-trained, rates of GenomAI"
# Features that probes with few labels compare.
FEW_SHOT_FEATURES = (PRETRAINED, UNTRAINED, "3-mer counts", "PCA 30")


class ContrastTask(EncoderTask):
    """Two views of each sequence are to find each other among those of a batch."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return InfoNCE; negatives are those of the same process."""
        a, b = self._vectors(batch, self._seed)
        scale = self.module.scale()
        return {"loss": info_nce(a, b, scale), "scale": scale}

    def predict(self, batch: Batch) -> Agreement:
        """Return how well the views of a validation batch find each other."""
        a, b = self._vectors(batch, self._seed + 1)
        logits, partner = two_view_logits(a, b, self.module.scale())
        loss = F.cross_entropy(logits, partner, reduction="sum")
        right = int((logits.argmax(1) == partner).sum())
        return Agreement(float(loss.detach()), right, len(logits))

    def _vectors(self, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        generator = generator_of(seed, batch.rows, batch.codes.device)
        pair = [view(batch.codes, self._views, self._aligned, generator) for _ in range(2)]
        a, b = self.module(torch.cat(pair)).chunk(2)
        return a, b


def train_contrast(request: TrainRequest) -> ContrastSummary:
    """Pre-train by contrast, judge the frozen encoder by probes, and write the run folder.

    The run holds ``config.json`` and ``model.safetensors``, ``metrics.json``, ``report.html``,
    ``README.md`` (the model card) and ``train.json``. Sequences held out are in no training; those
    without a label are learned from too. `request.options` may hold ``probe``: names of the
    phenotypes to probe; default: the label.

    Raises
    ------
    UsageError
        If preset, fields, label or split do not exist, or the folder is in use.
    DataError
        If there are too few sequences.
    """
    sequences = open_sequences(request.data)
    start = start_from(request, sequences)
    request = with_preset(request, sequences, start)
    # Genotypes are learned from with rates of their own; those of GenomAI are for comparison.
    known = {**asdict(GENOTYPES), "batch_size": 256, "paper_rates": True}
    config = configuration(request, sequences, ContrastConfig, known if sequences.aligned else {})
    label = class_labels(sequences, request.label)
    by, split = one_split(sequences, label, request)
    names = probed_names(sequences, request, label is not None)
    open_folder(request)
    module, learned = pretrain(sequences, split, config, request, start)
    untrained = _new(sequences, split, config, replace(request, init=None), Start({}, {}))
    modules = {PRETRAINED: module, UNTRAINED: untrained}
    if config.paper_rates:
        modules[PAPER] = _with_paper_rates(sequences, split, config, request, start)
    if not first_process():
        names = ()
    probes = (probe(sequences, split, name, modules, request.setting) for name in names)
    summary = ContrastSummary(
        **shared_results(request, by, split, module, learned),
        views=asdict(views_of(config)),
        probes=tuple(p for p in probes if p is not None),
        notes=() if names else ("no label, so nothing to probe",),
    )
    if first_process():
        _write(summary, module, sequences, request)
    return summary


def probed_names(sequences: Sequences, request: TrainRequest, has_label: bool) -> tuple[str, ...]:
    """Phenotypes to probe.

    Raises
    ------
    UsageError
        If one does not exist, or is a number.
    """
    own = (request.label or sequences.default_label,) if has_label else ()
    names = tuple(request.options.get("probe", ())) or own
    for name in names:
        sequences.label(name)
    return names


def pretrain(
    sequences: Sequences,
    split: Split,
    config: ContrastConfig,
    request: TrainRequest,
    start: Start,
    *,
    keep: bool = True,
) -> tuple[Contrastive, tuple[Epoch, ...]]:
    """Pre-train; checkpoints go to the run folder if they are to be kept."""
    module = _new(sequences, split, config, request, start)
    task = ContrastTask(module, views_of(config), sequences.aligned, request.setting.seed)
    return module, train_encoder(task, sequences, split, None, config, request, keep=keep)


def _new(
    sequences: Sequences,
    split: Split,
    config: ContrastConfig,
    request: TrainRequest,
    start: Start,
) -> Contrastive:
    module = new_module(lambda: Contrastive(config), request.setting.seed)
    begin(module.encoder, start, sequences.codes[split.train], request)
    return module.to(request.setting.device).eval()


def _with_paper_rates(
    sequences: Sequences,
    split: Split,
    config: ContrastConfig,
    request: TrainRequest,
    start: Start,
) -> Contrastive:
    """Pre-train with the rates that GenomAI states, for comparison in the report."""
    rates = replace(Views(), reverse_complement=not sequences.aligned)
    config = replace(config, **asdict(rates))
    log.info("once more with the rates of GenomAI")
    return pretrain(sequences, split, config, request, start, keep=False)[0]


def probe(
    sequences: Sequences,
    split: Split,
    name: str,
    modules: dict[str, Contrastive],
    setting: FitSettings,
) -> Probes | None:
    """Judge every representation by what can be read from it about a phenotype.

    Return None, with a warning, where a class is in no training sequence.
    """
    classes, label = sequences.label(name)
    rows = _probed(split, label, setting.seed)
    y = ByPart(*(label[part] for part in rows))
    if len(classes) < 2 or len(np.unique(y.train)) < len(classes) or not len(y.test):
        log.warning("%s: not every class is in the training part, so it is not probed", name)
        return None
    log.info("probing %s: %d classes, %s sequences", name, len(classes), f"{len(y.test):,}")
    learned = {
        key: ByPart(*(embed(module.encoder, sequences.codes[part]) for part in rows))
        for key, module in modules.items()
    }
    before = baselines(sequences, rows, setting.seed)
    candidates = _candidates(learned, before, y, len(classes))
    group = sequences.group[rows.test]
    every = {**learned, **before}
    few = {name: every[name] for name in FEW_SHOT_FEATURES if name in every}
    return Probes(
        label=name,
        classes=len(classes),
        sequences=len(y.test),
        rows=judged(candidates, y.test, group, setting.seed),
        few=few_shots(few, y, len(classes), setting.seed),
    )


def _candidates(
    learned: dict[str, ByPart], before: dict[str, ByPart], y: ByPart, n_classes: int
) -> list[Candidate]:
    candidates = []
    for name, x in learned.items():
        dims = x.train.shape[1]
        candidates.append(Candidate(name, LINEAR, dims, linear_probe(x, y, n_classes), False))
        candidates.append(Candidate(name, NEAREST, dims, nearest(x, y, n_classes), False))
    for name, x in before.items():
        p = linear_probe(x, y, n_classes)
        candidates.append(Candidate(name, LINEAR, x.train.shape[1], p, True))
    candidates.append(Candidate("none", MAJORITY, 0, majority(y, n_classes), False))
    return candidates


def _probed(split: Split, label: NDArray[np.int64], seed: int) -> ByPart:
    """Rows with a label in each part of the split, at most `MAX_PROBED`."""
    said = "probes use %s of %s sequences"
    parts = (split.train, split.valid, split.test)
    return ByPart(*(some(rows[label[rows] >= 0], MAX_PROBED, seed, said) for rows in parts))


def _write(
    summary: ContrastSummary, module: Contrastive, sequences: Sequences, request: TrainRequest
) -> None:
    label = summary.probes[0].label if summary.probes else ""
    save(summary, module, sequences, request, label, {})
    write_contrast_report(summary, request.output / "report.html")
    (request.output / "README.md").write_text(contrast_card(summary))
