"""Pre-train an encoder of sequences by contrast, and say what it knows of the label.

Letters: B batch, n sequences, d width of the encoder, K classes.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.comparison.results import plain
from genomix_cli.comparison.splits import Split
from genomix_cli.config import to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.networks import curve
from genomix_cli.learning.processes import first_process
from genomix_cli.learning.task import Epoch
from genomix_cli.sequences.models.base import State
from genomix_cli.sequences.models.contrastive import ContrastConfig, Contrastive
from genomix_cli.sequences.models.encoder import PRESETS, Encoder, EncoderConfig
from genomix_cli.sequences.pretrain.objectives import info_nce, two_view_logits
from genomix_cli.sequences.pretrain.probes import (
    LINEAR,
    MAJORITY,
    NEAREST,
    Candidate,
    FewShot,
    Parted,
    ProbeRow,
    baselines,
    few_shots,
    judged,
    linear_probe,
    majority,
    nearest,
)
from genomix_cli.sequences.pretrain.views import GENOTYPES, SHORTEST, Views, generator_of, view
from genomix_cli.sequences.requests import TrainRequest
from genomix_cli.sequences.runs import RunConfig, columns_digest, save_run
from genomix_cli.sequences.score.embeddings import Start, begin, embed, start_from
from genomix_cli.sequences.train.learning import Batch, Part, learn
from genomix_cli.sequences.train.request import (
    last_checkpoint,
    open_folder,
    write_json,
)
from genomix_cli.sequences.train.splits import TEST, VALID, splits

log = logging.getLogger("genomix")

TASK = "contrast"
# Sequences of each part that probes use at most; the rest is left out, and the log says so.
PROBED = 5000
CHECKPOINT_EVERY = 5
PRETRAINED, UNTRAINED, PAPER = "pre-trained", "untrained", "pre-trained, rates of GenomAI"
# What probes of one label compare: features with few labels.
FEW = (PRETRAINED, UNTRAINED, "3-mer counts", "PCA 30")


class Agreement(NamedTuple):
    """Of a validation batch: sum of losses, partners found, views."""

    loss: float
    found: int
    views: int


class ContrastTask:
    """Sequences as a `genomix_cli.learning.task.Task`: two views of each are to find each other.

    Parameters
    ----------
    module : Contrastive
    views : Views
    aligned : bool
    seed : int
        Of the views. Those of validation are the same each time.
    """

    def __init__(self, module: Contrastive, views: Views, aligned: bool, seed: int) -> None:
        self.module: torch.nn.Module = module
        self._network = module
        self._views, self._aligned, self._seed = views, aligned, seed

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """InfoNCE; negatives are those of the own process."""
        a, b = self._vectors(batch, self._seed)
        scale = self._network.scale()
        return {"loss": info_nce(a, b, scale), "scale": scale}

    def predict(self, batch: Batch) -> Agreement:
        """How well the views of a validation batch find each other."""
        a, b = self._vectors(batch, self._seed + 1)
        logits, partner = two_view_logits(a, b, self._network.scale())
        loss = F.cross_entropy(logits, partner, reduction="sum")
        return Agreement(
            float(loss.detach()), int((logits.argmax(1) == partner).sum()), len(logits)
        )

    def metrics(self, predictions: list[Agreement]) -> dict[str, float]:
        """Minus the mean loss, and the share of views whose partner was the most alike."""
        views = sum(p.views for p in predictions)
        return {
            "log_likelihood": -sum(p.loss for p in predictions) / views,
            "accuracy": sum(p.found for p in predictions) / views,
        }

    def _vectors(self, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        generator = generator_of(seed, batch.rows, batch.codes.device)
        pair = [view(batch.codes, self._views, self._aligned, generator) for _ in range(2)]
        a, b = self._network(torch.cat(pair)).chunk(2)
        return a, b


@dataclass(frozen=True)
class Probes:
    """What representations know of one phenotype.

    Attributes
    ----------
    label : str
    classes, sequences : int
        K, and how many are judged.
    rows : tuple of ProbeRow
    few : tuple of FewShot
    """

    label: str
    classes: int
    sequences: int
    rows: tuple[ProbeRow, ...]
    few: tuple[FewShot, ...]


@dataclass(frozen=True)
class ContrastSummary:
    """What came of it; ``metrics.json`` holds the same.

    Attributes
    ----------
    folder : str
    data : str
    preset : str
    parameters : int
    counts : dict
        Sequences of each part.
    held_out_by : str
    views : dict
        The rates.
    temperature : float
        As it was learned.
    curve : tuple of Epoch
    probes : tuple of Probes
        One per phenotype; none without a label.
    notes : tuple of str
    """

    folder: str
    data: str
    preset: str
    parameters: int
    counts: dict[str, int]
    held_out_by: str
    views: dict[str, Any]
    temperature: float
    curve: tuple[Epoch, ...]
    probes: tuple[Probes, ...]
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Rows of a table for the terminal."""
        return [
            {
                "label": probes.label,
                "features": row.features,
                "classifier": row.classifier,
                "dims": row.dims,
                "accuracy": row.accuracy.value,
                "low": row.accuracy.low,
                "high": row.accuracy.high,
            }
            for probes in self.probes
            for row in probes.rows
        ]


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
    config = configuration(request, sequences)
    label = own_label(sequences, request.label)
    by, split = one_split(sequences, label, request)
    split = with_unlabelled(split, sequences, label)
    names = probed_names(sequences, request, label is not None)
    open_folder(request)
    module, learned = pretrain(sequences, split, config, request, start)
    others = {UNTRAINED: _new(sequences, split, config, replace(request, init=None), Start({}, {}))}
    if config.paper_rates:
        others[PAPER] = _with_paper_rates(sequences, split, config, request, start)
    if not first_process():
        names = ()
    probes = tuple(
        probe(sequences, split, name, {PRETRAINED: module, **others}, request.setting)
        for name in names
    )
    summary = ContrastSummary(
        folder=request.output.name,
        data=request.data.name,
        preset=request.preset,
        parameters=sum(p.numel() for p in module.parameters()),
        counts={name: len(getattr(split, name)) for name in ("train", "valid", "test")},
        held_out_by=by,
        views={field.name: getattr(config, field.name) for field in fields(Views)},
        temperature=1 / float(module.scale().detach()),
        curve=learned,
        probes=tuple(p for p in probes if p is not None),
        notes=() if names else ("no label, so nothing to probe",),
    )
    if first_process():
        _write(summary, module, config, sequences, request)
    return summary


def with_preset(request: TrainRequest, sequences: Sequences, start: Start) -> TrainRequest:
    """Where no preset is asked for: the shape of the encoder to start from, or one that fits."""
    if request.preset:
        return request
    if start.config:
        shape = {name: value for name, value in start.config.items() if name != "length"}
        return replace(request, preset=next(iter(PRESETS)), arch={**shape, **request.arch})
    preset = "loci" if sequences.aligned else next(iter(PRESETS))
    if sequences.aligned:
        log.info("aligned sequences: preset %s", preset)
    return replace(request, preset=preset)


def configuration(request: TrainRequest, sequences: Sequences) -> ContrastConfig:
    """Encoder, views and learning; of aligned sequences with the rates for genotypes.

    Raises
    ------
    UsageError
        If fields do not exist, or do not go with these sequences.
    """
    known: dict[str, Any] = {"length": sequences.length}
    if sequences.aligned:
        known |= {**asdict(GENOTYPES), "batch_size": 256, "paper_rates": True}
    config = request.config(ContrastConfig, PRESETS, **known)
    check_views(config, config, sequences)
    return config


def check_views(encoder: EncoderConfig, views: Views, sequences: Sequences) -> None:
    """Refuse what cannot be done with these sequences.

    Raises
    ------
    UsageError
        If aligned sequences are to be turned round, others to be read by loci, or crops are too
        short for a token.
    """
    if sequences.aligned and views.reverse_complement:
        raise UsageError("aligned sequences have no other strand", where="--set reverse_complement")
    if encoder.stem == "loci" and not sequences.aligned:
        raise UsageError(
            "the stem loci is for aligned sequences, and these are not", hint="--preset motifs"
        )
    shortest = SHORTEST if encoder.stem == "kmers" else encoder.pool + 1
    if not sequences.aligned and round(views.crop * sequences.length) < shortest:
        raise UsageError(
            "crops are too short for a token",
            where="--set crop",
            expected=f"{shortest} bases or more of {sequences.length}",
            found=f"{views.crop:g}",
        )


def own_label(sequences: Sequences, name: str) -> NDArray[np.int64] | None:
    """Class of each sequence ``[n]``, or None where neither file nor request names a phenotype."""
    if not (name or sequences.default_label):
        return None
    classes, label = sequences.label(name)
    return label if len(classes) > 1 else None


def one_split(
    sequences: Sequences, label: NDArray[np.int64] | None, request: TrainRequest
) -> tuple[str, Split]:
    """The one way to part sequences.

    Raises
    ------
    UsageError
        If several are asked for.
    """
    by, found = splits(sequences, label, request.hold_out, request.setting.seed)
    if len(found) > 1:
        raise UsageError(
            f"{request.task} is judged on one split",
            where="--hold-out",
            expected="auto, splits, or a share as 0.25",
            found=request.hold_out,
        )
    if len(found[0].train) < 2 or len(found[0].valid) < 2:
        raise DataError("too few sequences to contrast", found=f"{len(sequences)}")
    return by, found[0]


def with_unlabelled(split: Split, sequences: Sequences, label: NDArray[np.int64] | None) -> Split:
    """Sequences without a label are learned from, save those that belong to what is held out."""
    if label is None or (label >= 0).all():
        return split
    held = np.concatenate([split.valid, split.test])
    out = np.isin(sequences.group, sequences.group[held]) | np.isin(
        sequences.split, (*VALID, *TEST)
    )
    more = np.flatnonzero((label < 0) & ~out)
    left = int((label < 0).sum()) - len(more)
    log.info("%s sequences without a label are learned from, %s left out", len(more), left)
    return split._replace(train=np.sort(np.concatenate([split.train, more])))


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
    """Train; checkpoints go to the run folder if they are to be kept."""
    module = _new(sequences, split, config, request, start)
    views = Views(**{field.name: getattr(config, field.name) for field in fields(Views)})
    task = ContrastTask(module, views, sequences.aligned, request.setting.seed)
    result = learn(
        task,
        Part(sequences.codes[split.train]),
        Part(sequences.codes[split.valid]),
        config,
        request.setting,
        folder=request.output if keep else None,
        checkpoint_every=CHECKPOINT_EVERY if keep else 0,
        resume=last_checkpoint(request) if keep else None,
        quiet=not keep,
    )
    return module, curve(result)


def _new(
    sequences: Sequences,
    split: Split,
    config: ContrastConfig,
    request: TrainRequest,
    start: Start,
) -> Contrastive:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.setting.seed)
        module = Contrastive(config)
    begin(module.encoder, start, sequences.codes[split.train], request)
    return module.to(request.setting.device).eval()


def _with_paper_rates(
    sequences: Sequences,
    split: Split,
    config: ContrastConfig,
    request: TrainRequest,
    start: Start,
) -> Contrastive:
    """The same with the rates that GenomAI states, for the report."""
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
    """Judge every representation by what can be read from it about a phenotype."""
    classes, label = sequences.label(name)
    rows = _probed(split, label, setting.seed)
    y = Parted(*(label[part] for part in rows))
    if len(classes) < 2 or len(np.unique(y.train)) < len(classes) or not len(y.test):
        log.warning("%s: not every class is in the training part, so it is not probed", name)
        return None
    log.info("probing %s: %d classes, %s sequences", name, len(classes), f"{len(y.test):,}")
    learned = {
        key: Parted(*(embed(module.encoder, sequences.codes[part]) for part in rows))
        for key, module in modules.items()
    }
    before = baselines(sequences, rows, setting.seed)
    candidates = _candidates(learned, before, y, len(classes))
    group = sequences.group[rows.test]
    every = {**learned, **before}
    return Probes(
        label=name,
        classes=len(classes),
        sequences=len(y.test),
        rows=judged(candidates, y.test, group, setting.seed),
        few=few_shots({k: every[k] for k in FEW if k in every}, y, len(classes), setting.seed),
    )


def _candidates(
    learned: dict[str, Parted], before: dict[str, Parted], y: Parted, n_classes: int
) -> list[Candidate]:
    found = []
    for name, x in learned.items():
        dims = x.train.shape[1]
        found.append(Candidate(name, LINEAR, dims, linear_probe(x, y, n_classes), False))
        found.append(Candidate(name, NEAREST, dims, nearest(x, y, n_classes), False))
    for name, x in before.items():
        p = linear_probe(x, y, n_classes)
        found.append(Candidate(name, LINEAR, x.train.shape[1], p, True))
    found.append(Candidate("none", MAJORITY, 0, majority(y, n_classes), False))
    return found


def _probed(split: Split, label: NDArray[np.int64], seed: int) -> Parted:
    """Rows of each part with a label, of many only some."""
    parts = []
    for rows in (split.train, split.valid, split.test):
        known = rows[label[rows] >= 0]
        if len(known) > PROBED:
            log.info("probes use %s of %s sequences", f"{PROBED:,}", f"{len(known):,}")
            rng = np.random.default_rng([seed, len(known)])
            known = np.sort(rng.choice(known, PROBED, replace=False))
        parts.append(known)
    return Parted(*parts)


def arrays(module: torch.nn.Module) -> State:
    """The weights of a module, as a run stores them."""
    return {k: v.detach().cpu().contiguous().numpy() for k, v in module.state_dict().items()}


def architecture(encoder: Encoder) -> dict[str, Any]:
    """Fields of the configuration that a run stores; the sequences' length is beside them."""
    return {k: v for k, v in to_dict(encoder.config).items() if k != "length"}


def _write(
    summary: ContrastSummary,
    module: Contrastive,
    config: ContrastConfig,
    sequences: Sequences,
    request: TrainRequest,
) -> None:
    from genomix_cli.sequences.pretrain.report import contrast_card, write_contrast_report

    folder: Path = request.output
    run = RunConfig(
        task=TASK,
        model=TASK,
        arch=architecture(module.encoder),
        length=sequences.length,
        columns=columns_digest(sequences.columns, sequences.contigs),
        label=summary.probes[0].label if summary.probes else "",
        facts={"temperature": summary.temperature},
        provenance=request.provenance().to_dict(),
    )
    save_run(folder, run, arrays(module))
    write_json(folder / "metrics.json", plain(summary))
    write_contrast_report(summary, folder / "report.html")
    (folder / "README.md").write_text(contrast_card(summary))
