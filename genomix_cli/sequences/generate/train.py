"""Training of a discrete diffusion model, and its evaluation on held-out sequences."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.comparison.intervals import COMPARES
from genomix_cli.comparison.splits import Split
from genomix_cli.comparison.tables import plain
from genomix_cli.config import from_dict
from genomix_cli.errors import UsageError
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.sequences import Sequences, open_sequences
from genomix_cli.learning.networks import curve, new_module
from genomix_cli.learning.processes import first_process
from genomix_cli.learning.task import Epoch
from genomix_cli.sequences.generate import likelihood
from genomix_cli.sequences.generate.checkpoint import TASK, save_diffusion
from genomix_cli.sequences.generate.conditions import Condition, conditions_of, mix_of, values_of
from genomix_cli.sequences.generate.learning import Averaged, DiffusionOptions, DiffusionTask
from genomix_cli.sequences.generate.likelihood import Chains, Likelihood, Restored, fit_chains
from genomix_cli.sequences.generate.markov import ORDER
from genomix_cli.sequences.generate.model import PRESETS, Denoiser, DenoiserConfig
from genomix_cli.sequences.generate.page import diffusion_card, write_diffusion_page
from genomix_cli.sequences.generate.process import bound
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import read_run
from genomix_cli.sequences.train.folder import last_checkpoint, open_folder
from genomix_cli.sequences.train.learning import Part, learn
from genomix_cli.sequences.train.splits import one_split

log = logging.getLogger("genomix")

# Highest order of the chains to compare with. The chain of order 5 also restores and generates.
HIGHEST = 8


@dataclass(frozen=True)
class Job:
    """A model to train.

    Attributes
    ----------
    request : TrainRequest
    options : DiffusionOptions
    sequences : Sequences
    split : Split
    held_out_by : str
    conditions : tuple of Condition
    values : NDArray
        float32 ``[n, C]``.
    label : NDArray
        int64 ``[n]``: class with a Markov chain of its own, see `_classes`; -1 if unknown.
    """

    request: TrainRequest
    options: DiffusionOptions
    sequences: Sequences
    split: Split
    held_out_by: str
    conditions: tuple[Condition, ...]
    values: NDArray[np.float32]
    label: NDArray[np.int64]

    @property
    def strands(self) -> bool:
        """True to learn from reverse complements too."""
        return self.options.strands and not self.sequences.aligned

    @cached_property
    def chains(self) -> Chains:
        """Markov chains of the training part, to start from and to compare with."""
        rows = self.split.train
        codes = self.sequences.codes[rows]
        return fit_chains(codes, self.label[rows], strands=self.strands, order=HIGHEST)


@dataclass(frozen=True)
class DiffusionSummary:
    """Result of training, equal to ``metrics.json``.

    Attributes
    ----------
    data : str
        Name of the file.
    held_out_by : str
    counts : dict of str to int
        Sequences in each part.
    conditions : tuple of str
    parameters : int
    strands : bool
        True if the model was trained on reverse complements too.
    headline : str
    likelihoods : tuple of Likelihood
        On held-out sequences: the model with and without its conditions, then chains.
    restored : tuple of Restored
        On at most `DiffusionOptions.judged` held-out sequences.
    curve : tuple of Epoch
    """

    data: str
    held_out_by: str
    counts: dict[str, int]
    conditions: tuple[str, ...]
    parameters: int
    strands: bool
    headline: str
    likelihoods: tuple[Likelihood, ...]
    restored: tuple[Restored, ...]
    curve: tuple[Epoch, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return table rows for the terminal: nats per base of held-out sequences."""
        return [{"model": each.name, **each.nats._asdict()} for each in self.likelihoods]


def train_diffusion(request: TrainRequest) -> DiffusionSummary | None:
    """Train, evaluate the averaged weights of the best validation, and write the run folder.

    It holds ``config.json`` and ``model.safetensors``, ``metrics.json``, ``report.html``,
    ``README.md`` (the model card), ``train.json`` and ``checkpoints/``.

    Returns
    -------
    DiffusionSummary or None
        None in worker processes of a distributed training.

    Raises
    ------
    UsageError
        If presets, fields, phenotypes or ways to hold out do not exist, or the folder is in use.
    DataError
        If the file cannot be read, or a class is not in every part.
    MissingExtraError
        If Lightning or matplotlib is not installed.
    """
    options, request = _options(request)
    job = read_data(request, options)
    kinds = [condition.kind for condition in job.conditions]
    facts = {"length": job.sequences.length, "conditions": kinds}
    config = request.config(DenoiserConfig, PRESETS, facts, learning=DiffusionOptions)
    if job.sequences.aligned:
        config = _without_chain(config, request)
    denoiser = new_module(lambda: Denoiser(config), request.setting.seed)
    if request.init:
        start_from(denoiser, request.init)
    if denoiser.chain is not None:
        own = job.chains if config.classes_at is not None else Chains(job.chains.pooled)
        denoiser.chain.take(own.tables(config.chain))
    folder = open_folder(request)
    module = Averaged(denoiser, options.average)
    epochs = _learn(module, job)
    if not first_process():
        return None
    mix = mix_of(job.values[job.split.train], request.setting.seed)
    made = request.provenance()
    save_diffusion(folder, module.average, job.conditions, mix, job.sequences, made)
    summary = _judge(module.average, job, epochs)
    RunFolder(folder).write_json("metrics.json", plain(summary))
    write_diffusion_page(folder / "report.html", summary)
    RunFolder(folder).write_text("README.md", diffusion_card(summary))
    return summary


def _options(request: TrainRequest) -> tuple[DiffusionOptions, TrainRequest]:
    """Return the training options, and the request with only the denoiser's fields."""
    learning, shape = request.parted(DiffusionOptions)
    options = from_dict(DiffusionOptions, {**request.options, **learning}, where="--set")
    return options, replace(request, arch=shape, options={**request.options, **learning})


def _without_chain(config: DenoiserConfig, request: TrainRequest) -> DenoiserConfig:
    """Return the configuration without a chain: aligned sites are not genome neighbours."""
    if request.arch.get("chain"):
        raise UsageError(
            "a chain needs contiguous sequences, but these are sites far apart from each other",
            where="--set chain",
        )
    return replace(config, chain=0)


def start_from(denoiser: Denoiser, folder: Path) -> None:
    """Load the weights of another diffusion run wherever name and shape agree.

    Raises
    ------
    UsageError
        If the run does not exist, or none of its weights fits.
    """
    state = read_run(folder, TASK).state
    weights = denoiser.state_dict()
    fits = {
        name: torch.from_numpy(array)
        for name, array in state.items()
        if name in weights and weights[name].shape == array.shape
    }
    if not fits:
        raise UsageError("none of its weights fit", where=folder, expected="a model of this shape")
    denoiser.load_state_dict(fits, strict=False)
    log.info("%s: initialised %s of %s arrays", folder, f"{len(fits):,}", f"{len(weights):,}")


def _learn(module: Averaged, job: Job) -> tuple[Epoch, ...]:
    request = job.request
    task = DiffusionTask(module, job.options, job.strands, request.setting.seed)
    train, valid = (
        Part(job.sequences.codes[rows], job.values[rows])
        for rows in (job.split.train, job.split.valid)
    )
    checkpoints = {"folder": request.output, "resume": last_checkpoint(request)}
    result = learn(task, train, valid, job.options, request.setting, quiet=False, **checkpoints)
    return curve(result)


def _judge(denoiser: Denoiser, job: Job, epochs: tuple[Epoch, ...]) -> DiffusionSummary:
    """Measure the likelihood of held-out sequences, and the accuracy of restored bases."""
    setting, split, options = job.request.setting, job.split, job.options
    test, chains = job.sequences.take(split.test), job.chains
    label, values = job.label[split.test], job.values[split.test]
    models = {"diffusion": values}
    if job.conditions:
        models["diffusion, no condition"] = np.full_like(values, np.nan)
    bounds = {
        name: bound(denoiser, test.codes, known, options.draws, setting.seed, setting.device)
        for name, known in models.items()
    }
    likelihoods = likelihood.likelihoods(bounds, chains, test.codes, label, test.group)
    rows = np.random.default_rng(setting.seed).permutation(len(test))[: options.judged]
    short = chains.lower(ORDER)
    ways = likelihood.restorers(
        denoiser, values[rows], short, label[rows], setting.seed, setting.device
    )
    restored = likelihood.restored(ways, test.codes[rows], test.group[rows], setting.seed)
    return DiffusionSummary(
        data=job.request.data.name,
        held_out_by=job.held_out_by,
        counts={"train": len(split.train), "valid": len(split.valid), "test": len(test)},
        conditions=tuple(condition.name for condition in job.conditions),
        parameters=sum(p.numel() for p in denoiser.parameters()),
        strands=job.strands,
        headline=_headline(likelihoods),
        likelihoods=tuple(likelihoods),
        restored=tuple(restored),
        curve=epochs,
    )


def _headline(likelihoods: Sequence[Likelihood]) -> str:
    model = likelihoods[0]
    best = next(row for row in likelihoods if row.less_best_chain is None)
    text = (
        f"at most {model.nats.value:.4f} nats per held-out base against {best.nats.value:.4f} "
        f"({best.name})."
    )
    assert model.less_best_chain is not None
    if model.less_best_chain.sign < 0:
        return f"Diffusion {COMPARES[1]} every Markov chain tried: {text}"
    # Its value is a bound, so nothing shows that it is worse.
    return f"Diffusion was not shown to be better than the best Markov chain: {text}"


def read_data(request: TrainRequest, options: DiffusionOptions) -> Job:
    """Read the sequences, their split and their conditions into a job."""
    sequences = open_sequences(request.data)
    label = None
    named = request.label or sequences.default_label
    if named and not options.free:
        label = sequences.label(named)[1]
    how, seed = request.hold_out, request.setting.seed
    held_out_by, split = one_split(sequences, label, how, seed, request.task)
    names = () if options.free else options.conditions or ((named,) if named else ())
    conditions = conditions_of(sequences, split.train, names)
    values = values_of(conditions, sequences)
    classes = _classes(conditions, values, label)
    return Job(request, options, sequences, split, held_out_by, conditions, values, classes)


def _classes(
    conditions: Sequence[Condition],
    values: NDArray[np.float32],
    label: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Return the class of each sequence: the first condition with categories, or else the label."""
    at = next((i for i, each in enumerate(conditions) if each.categories is not None), None)
    if at is not None:
        return np.nan_to_num(values[:, at], nan=-1).astype(np.int64)
    return np.full(len(values), -1) if label is None else label
