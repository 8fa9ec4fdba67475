"""Align DNA with phenotypes, and say how well each finds the other on sequences held out.

Letters: B batch, n sequences, M distinct profiles, P phenotypes, T tokens of DNA.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.comparison.results import plain, write_rows
from genomix_cli.comparison.splits import Split
from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Phenotype, Sequences, open_sequences
from genomix_cli.learning.networks import curve
from genomix_cli.learning.processes import first_process
from genomix_cli.learning.task import Epoch
from genomix_cli.sequences.models.alignment import (
    AlignConfig,
    Alignment,
    PhenotypeSpec,
    hard_negatives,
    hide_phenotypes,
    same_profile,
)
from genomix_cli.sequences.models.encoder import PRESETS, Encoder
from genomix_cli.sequences.pretrain.contrast import (
    CHECKPOINT_EVERY,
    architecture,
    arrays,
    check_views,
    one_split,
    with_preset,
    with_unlabelled,
)
from genomix_cli.sequences.pretrain.objectives import symmetric_contrastive
from genomix_cli.sequences.pretrain.probes import Parted, baselines, linear_probe
from genomix_cli.sequences.pretrain.views import Views, generator_of, view
from genomix_cli.sequences.requests import TrainRequest
from genomix_cli.sequences.runs import RunConfig, columns_digest, save_run
from genomix_cli.sequences.score.embeddings import Start, begin, start_from
from genomix_cli.sequences.score.retrieval import (
    Recalls,
    agree,
    compare,
    distinct,
    in_words,
    recalls,
)
from genomix_cli.sequences.train.learning import PREDICT_BATCH, Batch, Part, learn
from genomix_cli.sequences.train.request import (
    last_checkpoint,
    open_folder,
    write_json,
)

log = logging.getLogger("genomix")

TASK = "align"
# Sequences held out that are compared with all profiles at most.
COMPARED = 1000
# Training sequences that the linear baseline learns from at most.
LEARNED = 5000
# Profiles that a run remembers, the most frequent first.
REMEMBERED = 2000
TOWERS, RANKED, SHUFFLED = "two towers", "ranked anew by cross-attention", "shuffled phenotypes"
DNA_VIEWS = Views(mask=0.15, crop=1.0, mutate=0.0)
GENOTYPE_VIEWS = Views(mask=0.3, span=1, crop=1.0, mutate=0.0, reverse_complement=False)


class Agreement(NamedTuple):
    """Of a validation batch: sum of losses, sequences whose best profile is right, sequences."""

    loss: float
    found: int
    n: int


class AlignTask:
    """Pairs of a sequence and its phenotypes as a `genomix_cli.learning.task.Task`.

    Parameters
    ----------
    module : Alignment
    config : AlignConfig
    aligned : bool
    seed : int
    """

    def __init__(self, module: Alignment, config: AlignConfig, aligned: bool, seed: int) -> None:
        self.module: torch.nn.Module = module
        self._network = module
        self._config, self._aligned, self._seed = config, aligned, seed
        self._views = Views(**{field.name: getattr(config, field.name) for field in fields(Views)})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The contrast of the towers, and whether cross-attention knows pairs from others."""
        config, module = self._config, self._network
        generator = generator_of(self._seed, batch.rows, batch.codes.device)
        codes = view(batch.codes, self._views, self._aligned, generator)
        shown = hide_phenotypes(batch.target, config.phenotype_dropout, generator)
        own, embedding, dna = module.dna(codes)
        vectors, tokens = module.profile(shown)
        same, fits = same_profile(batch.target)
        contrast = symmetric_contrastive(own, vectors, module.scale(), same, fits)
        if not config.matching:
            return {"loss": contrast}
        similarity = own @ vectors.T * module.scale()
        wrong, has = hard_negatives(similarity, ~fits, generator)
        right = module.match(tokens, embedding, dna)
        other = module.match(tokens[wrong], embedding, dna)
        matching = F.softplus(-right).mean() + (F.softplus(other) * has).mean()
        loss = contrast + config.matching * matching
        return {"loss": loss, "contrast": contrast, "matching": matching}

    def predict(self, batch: Batch) -> Agreement:
        """The contrast of whole sequences in a validation batch."""
        own = self._network.dna(batch.codes)[0]
        vectors = self._network.profile(batch.target)[0]
        same, fits = same_profile(batch.target)
        scale = self._network.scale()
        loss = symmetric_contrastive(own, vectors, scale, same, fits)
        best = (own @ vectors.T).argmax(1)
        found = int(fits.gather(1, best[:, None]).sum())
        return Agreement(float(loss) * len(own), found, len(own))

    def metrics(self, predictions: list[Agreement]) -> dict[str, float]:
        """Minus the mean loss, and the share of sequences whose best profile is theirs."""
        n = sum(p.n for p in predictions)
        return {
            "log_likelihood": -sum(p.loss for p in predictions) / n,
            "accuracy": sum(p.found for p in predictions) / n,
        }


@dataclass(frozen=True)
class AlignRow:
    """How often a right answer is among the first, both ways, by one way to compare."""

    name: str
    recalls: Recalls
    baseline: bool = False


@dataclass(frozen=True)
class AlignSummary:
    """What came of it; ``metrics.json`` holds the same.

    Attributes
    ----------
    folder, data, preset : str
    parameters : int
    counts : dict
        Sequences of each part.
    held_out_by : str
    phenotypes : tuple of str
    profiles : int
        M, among the sequences that are compared.
    compared : int
    temperature : float
    curve : tuple of Epoch
    retrieval : tuple of AlignRow
    notes : tuple of str
    """

    folder: str
    data: str
    preset: str
    parameters: int
    counts: dict[str, int]
    held_out_by: str
    phenotypes: tuple[str, ...]
    profiles: int
    compared: int
    temperature: float
    curve: tuple[Epoch, ...]
    retrieval: tuple[AlignRow, ...]
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Rows of a table for the terminal."""
        found = []
        for each in self.retrieval:
            ways = (
                ("sequence to profile", each.recalls.to_profiles),
                (
                    "profile to sequences",
                    each.recalls.to_sequences,
                ),
            )
            for way, values in ways:
                row: dict[str, Any] = {"by": each.name, "way": way}
                row |= {f"recall@{r.k}": r.share.value for r in values}
                row |= {f"chance@{r.k}": r.chance for r in values}
                found.append(row)
        return found


def train_alignment(request: TrainRequest) -> AlignSummary:
    """Align DNA with phenotypes, judge retrieval on sequences held out, and write the run folder.

    The run holds ``config.json`` and ``model.safetensors``, ``metrics.json``, ``attention.tsv``
    (where each phenotype looks), ``report.html``, ``README.md`` and ``train.json``.
    `request.options` may hold ``phenotypes``: names of those to align; default: all.

    Raises
    ------
    UsageError
        If preset, fields, phenotypes or split do not exist, or the folder is in use.
    DataError
        If no phenotype differs among the training sequences.
    """
    sequences = open_sequences(request.data)
    start = start_from(request, sequences)
    request = with_preset(request, sequences, start)
    config = configuration(request, sequences)
    label = stratum(sequences, request.label)
    by, split = one_split(sequences, label, request)
    split = with_unlabelled(split, sequences, label)
    chosen = chosen_phenotypes(sequences, request)
    phenotypes, values = encoded(chosen, split.train)
    split = _with_phenotypes(split, values)
    open_folder(request)
    module, learned = _learn(sequences, split, values, phenotypes, config, request, start)
    rows = _some(split.test, COMPARED, request.setting.seed)
    # Every process that trains takes part in the control too, and only the first judges.
    control = (
        (_control(sequences, split, rows, values, phenotypes, config, request),)
        if config.control
        else ()
    )
    if not first_process():
        return _summary(request, by, split, phenotypes, module, learned, control, (0, 0))
    profiles, _ = distinct(values[rows])
    found = _judge(sequences, split, rows, values, phenotypes, module, request) + control
    summary = _summary(
        request, by, split, phenotypes, module, learned, found, (len(profiles), len(rows))
    )
    _write(summary, module, sequences, phenotypes, values, split, rows, request)
    return summary


def configuration(request: TrainRequest, sequences: Sequences) -> AlignConfig:
    """Encoder, view and learning.

    Raises
    ------
    UsageError
        If fields do not exist, or do not go with these sequences.
    """
    known = asdict(GENOTYPE_VIEWS if sequences.aligned else DNA_VIEWS)
    config = request.config(AlignConfig, PRESETS, **known, length=sequences.length)
    check_views(config, config, sequences)
    return config


def stratum(sequences: Sequences, name: str) -> NDArray[np.int64] | None:
    """Classes that every part is to have ``[n]``: of the label, where it is a category."""
    name = name or sequences.default_label
    if not name or sequences.phenotype(name).categories is None:
        return None
    classes, label = sequences.label(name)
    return label if len(classes) > 1 else None


def chosen_phenotypes(sequences: Sequences, request: TrainRequest) -> tuple[Phenotype, ...]:
    """Those that are asked for, or all.

    Raises
    ------
    UsageError
        If one does not exist.
    DataError
        If there are none.
    """
    names = tuple(request.options.get("phenotypes", ()))
    found = tuple(map(sequences.phenotype, names)) if names else sequences.phenotypes
    if not found:
        raise DataError(
            "has no phenotypes", where=request.data, hint="prepare it with --phenotypes"
        )
    return found


def encoded(
    phenotypes: Sequence[Phenotype], train: NDArray[np.int64]
) -> tuple[tuple[PhenotypeSpec, ...], NDArray[np.float32]]:
    """What the tower reads: float32 ``[n, P]``, numbers standardised on `train`, NaN where unknown.

    Phenotypes that do not differ among the training sequences are left out.

    Raises
    ------
    DataError
        If that leaves none.
    """
    specs, columns = [], []
    for phenotype in phenotypes:
        values = phenotype.values.astype(np.float32)
        values = np.where(values < 0, np.nan, values) if phenotype.categories else values
        known = values[train][np.isfinite(values[train])].astype(np.float64)
        if len(np.unique(known)) < 2:
            log.warning("%s does not differ in training: left out", phenotype.name)
            continue
        mean, sd = (0.0, 1.0) if phenotype.categories else (float(known.mean()), float(known.std()))
        specs.append(PhenotypeSpec(phenotype.name, phenotype.categories, mean, sd))
        columns.append(((values - mean) / sd).astype(np.float32))
    if not specs:
        raise DataError("no phenotype differs among the training sequences")
    return tuple(specs), np.stack(columns, 1)


def _with_phenotypes(split: Split, values: NDArray[np.float32]) -> Split:
    """Sequences of which nothing is known have nothing to be aligned with."""
    known = np.any(~np.isnan(values), axis=1)
    parts = [rows[known[rows]] for rows in split[1:]]
    left = sum(map(len, split[1:])) - sum(map(len, parts))
    if left:
        log.info("%s sequences without any phenotype are left out", f"{left:,}")
    if min(map(len, parts)) < 2:
        raise DataError("too few sequences with phenotypes in a part of the split")
    return Split(split.name, *parts)


def _some(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    log.info("%s of %s sequences are compared", f"{most:,}", f"{len(rows):,}")
    return np.sort(np.random.default_rng([seed, len(rows)]).choice(rows, most, replace=False))


def _learn(
    sequences: Sequences,
    split: Split,
    values: NDArray[np.float32],
    phenotypes: tuple[PhenotypeSpec, ...],
    config: AlignConfig,
    request: TrainRequest,
    start: Start,
    *,
    keep: bool = True,
) -> tuple[Alignment, tuple[Epoch, ...]]:
    """Train; checkpoints go to the run folder if they are to be kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.setting.seed)
        module = Alignment(phenotypes, config)
    begin(module.encoder, start, sequences.codes[split.train], request)
    task = AlignTask(module, config, sequences.aligned, request.setting.seed)
    result = learn(
        task,
        Part(sequences.codes[split.train], values[split.train]),
        Part(sequences.codes[split.valid], values[split.valid]),
        config,
        request.setting,
        folder=request.output if keep else None,
        checkpoint_every=CHECKPOINT_EVERY if keep else 0,
        resume=last_checkpoint(request) if keep else None,
        quiet=not keep,
    )
    return module, curve(result)


def _judge(
    sequences: Sequences,
    split: Split,
    rows: NDArray[np.int64],
    values: NDArray[np.float32],
    phenotypes: tuple[PhenotypeSpec, ...],
    module: Alignment,
    request: TrainRequest,
) -> tuple[AlignRow, ...]:
    """Retrieval both ways, by the towers, by cross-attention, and by linear baselines."""
    profiles, _ = distinct(values[rows])
    right, group, seed = agree(values[rows], profiles), sequences.group[rows], request.setting.seed
    compared = compare(module, sequences.codes[rows], profiles, "comparing")
    found = [AlignRow(TOWERS, recalls(compared.similarity, right, group, seed))]
    if module.config.matching:
        found.append(AlignRow(RANKED, recalls(compared.ranked, right, group, seed)))
    parts = Parted(_some(split.train, LEARNED, seed), _some(split.valid, LEARNED, seed), rows)
    for name, x in baselines(sequences, parts, seed).items():
        score = linear_scores(x, parts, values, phenotypes, profiles)
        found.append(AlignRow(f"{name}, linear", recalls(score, right, group, seed), True))
    return tuple(found)


def linear_scores(
    x: Parted,
    rows: Parted,
    values: NDArray[np.float32],
    phenotypes: tuple[PhenotypeSpec, ...],
    profiles: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Log-probability of each profile given a sequence ``[n, M]``, phenotypes taken one by one.

    Logistic regression for a category, ridge regression with normal residuals for a number. What a
    profile does not know adds what others add on average: nothing would make it the likeliest.
    """
    found = np.zeros((len(rows.test), len(profiles)))
    for p, spec in enumerate(phenotypes):
        column, known = profiles[:, p], ~np.isnan(profiles[:, p])
        own = [np.flatnonzero(~np.isnan(values[part, p])) for part in rows[:2]]
        seen = Parted(x.train[own[0]], x.valid[own[1]], x.test)
        y = [values[part][i, p] for part, i in zip(rows[:2], own, strict=True)]
        score = _category if spec.categories else _number
        added = score(seen, y[0], y[1], column[known])
        found += added.mean(1, keepdims=True) if known.any() else 0
        found[:, known] += added - added.mean(1, keepdims=True)
    return found


def _category(
    x: Parted, train: NDArray[np.float32], valid: NDArray[np.float32], asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    classes = np.unique(train)
    if len(classes) < 2:
        return np.zeros((len(x.test), len(asked)))
    seen = np.isin(valid, classes)
    y = Parted(np.searchsorted(classes, train), np.searchsorted(classes, valid[seen]), np.zeros(0))
    log_p = linear_probe(Parted(x.train, x.valid[seen], x.test), y, len(classes))
    place = np.searchsorted(classes, asked).clip(max=len(classes) - 1)
    # What was never seen in training is as unlikely as can be.
    return np.where(classes[place] == asked, log_p[:, place], np.log(1e-6))


def _number(
    x: Parted, train: NDArray[np.float32], valid: NDArray[np.float32], asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    from sklearn.linear_model import RidgeCV

    mean, sd = x.train.mean(0), np.maximum(x.train.std(0), 1e-6)
    model = RidgeCV(np.logspace(-1, 5, 13)).fit((x.train - mean) / sd, train)
    if len(valid) > 1:
        spread = float(np.std(valid - model.predict((x.valid - mean) / sd)))
    else:
        spread = float(np.std(train))
    expected = model.predict((x.test - mean) / sd)[:, None]
    spread = max(spread, 1e-3)
    return -0.5 * ((asked - expected) / spread) ** 2 - np.log(spread)


def _control(
    sequences: Sequences,
    split: Split,
    rows: NDArray[np.int64],
    values: NDArray[np.float32],
    phenotypes: tuple[PhenotypeSpec, ...],
    config: AlignConfig,
    request: TrainRequest,
) -> AlignRow:
    """The same after learning from phenotypes of other groups: what it finds, it did not learn."""
    log.info("once more with shuffled phenotypes")
    other = values.copy()
    learning = np.concatenate([split.train, split.valid])
    other[learning] = shuffled(values[learning], sequences.group[learning], request.setting.seed)
    plain = replace(request, init=None)
    none = Start({}, {})
    module, _ = _learn(sequences, split, other, phenotypes, config, plain, none, keep=False)
    profiles, _ = distinct(values[rows])
    compared = compare(module, sequences.codes[rows], profiles)
    right = agree(values[rows], profiles)
    group, seed = sequences.group[rows], request.setting.seed
    return AlignRow(SHUFFLED, recalls(compared.similarity, right, group, seed))


def shuffled(
    values: NDArray[np.float32], group: NDArray[np.int64], seed: int
) -> NDArray[np.float32]:
    """Each group with the phenotypes of the first sequence of another ``[n, P]``."""
    _, first, index = np.unique(group, return_index=True, return_inverse=True)
    order = np.random.default_rng([seed, 2]).permutation(len(first))
    return values[first[order]][index]


def _summary(
    request: TrainRequest,
    by: str,
    split: Split,
    phenotypes: tuple[PhenotypeSpec, ...],
    module: Alignment,
    learned: tuple[Epoch, ...],
    found: tuple[AlignRow, ...],
    sizes: tuple[int, int],
) -> AlignSummary:
    return AlignSummary(
        folder=request.output.name,
        data=request.data.name,
        preset=request.preset,
        parameters=sum(p.numel() for p in module.parameters()),
        counts={name: len(getattr(split, name)) for name in ("train", "valid", "test")},
        held_out_by=by,
        phenotypes=tuple(p.name for p in phenotypes),
        profiles=sizes[0],
        compared=sizes[1],
        temperature=1 / float(module.scale().detach()),
        curve=learned,
        retrieval=found,
    )


def attention_rows(
    module: Alignment,
    sequences: Sequences,
    rows: NDArray[np.int64],
    values: NDArray[np.float32],
    phenotypes: tuple[PhenotypeSpec, ...],
) -> list[dict[str, Any]]:
    """Mean attention of each phenotype, over all sequences and over those of each class.

    One row per phenotype, class and token of DNA, with the bases that the token covers (0-based,
    half-open; columns, where sequences are aligned).
    """
    own = values[rows]
    sums: dict[tuple[int, str], NDArray[np.float64]] = {}
    counts: dict[tuple[int, str], int] = {}
    device = module.scale.log_scale.device
    for start in range(0, len(rows), PREDICT_BATCH):
        part = slice(start, start + PREDICT_BATCH)
        with torch.inference_mode():
            tokens = module.profile(torch.from_numpy(own[part]).to(device))[1]
            codes = torch.from_numpy(np.array(sequences.codes[rows[part]])).to(device)
            weight = module.attention(tokens, module.dna(codes)[2]).double().cpu().numpy()
        for p, spec in enumerate(phenotypes):
            names = np.array(in_words(own[part][:, [p]], (spec,))[spec.name], object)
            known = [name for name in (spec.categories or ()) if (names == name).any()]
            for name, chosen in [("all", slice(None)), *((k, names == k) for k in known)]:
                each = weight[chosen, p]
                sums[p, name] = sums.get((p, name), 0) + each.sum(0)
                counts[p, name] = counts.get((p, name), 0) + len(each)
    return _attention_table(module.encoder, sequences, phenotypes, sums, counts)


def _attention_table(
    encoder: Encoder,
    sequences: Sequences,
    phenotypes: tuple[PhenotypeSpec, ...],
    sums: dict[tuple[int, str], NDArray[np.float64]],
    counts: dict[tuple[int, str], int],
) -> list[dict[str, Any]]:
    found = []
    for p, name in sorted(sums, key=lambda key: (key[0], key[1] != "all", key[1])):
        mean = sums[p, name] / counts[p, name]
        for token, value in enumerate(mean):
            start, end = covered(encoder, token)
            place: dict[str, Any] = {"token": token, "start": start, "end": end}
            if sequences.columns is not None:
                columns = sequences.columns
                contig = list(sequences.contigs)[columns.contig[start]]
                place |= {"contig": contig, "pos": int(columns.pos[start])}
            found.append(
                {
                    "phenotype": phenotypes[p].name,
                    "class": name,
                    "sequences": counts[p, name],
                    **place,
                    "attention": round(float(value), 8),
                    "times_even": round(float(value) * len(mean), 6),
                }
            )
    return found


def covered(encoder: Encoder, token: int) -> tuple[int, int]:
    """Bases that a token is made of, 0-based and half-open."""
    config = encoder.config
    if config.stem == "kmers":
        start, end = token, token + 3
    elif config.stem == "motifs":
        half = config.motif_width // 2
        start, end = token * config.pool - half, (token + 1) * config.pool + half
    else:
        start, end = token * config.sites, (token + 1) * config.sites
    return max(start, 0), min(end, config.length)


def _write(
    summary: AlignSummary,
    module: Alignment,
    sequences: Sequences,
    phenotypes: tuple[PhenotypeSpec, ...],
    values: NDArray[np.float32],
    split: Split,
    rows: NDArray[np.int64],
    request: TrainRequest,
) -> None:
    from genomix_cli.sequences.pretrain.report import align_card, write_align_report

    folder = request.output
    profiles, counts = distinct(values[split.train])
    order = np.argsort(-counts, kind="stable")[:REMEMBERED]
    run = RunConfig(
        task=TASK,
        model=TASK,
        arch=architecture(module.encoder),
        length=sequences.length,
        columns=columns_digest(sequences.columns, sequences.contigs),
        label=request.label or sequences.default_label,
        facts={
            "temperature": summary.temperature,
            "phenotypes": [
                {"name": p.name, "categories": p.categories, "scale": [p.mean, p.sd]}
                for p in phenotypes
            ],
            "profiles": [
                [None if np.isnan(v) else float(v) for v in row] for row in profiles[order]
            ],
        },
        provenance=request.provenance().to_dict(),
    )
    save_run(folder, run, arrays(module))
    attention = attention_rows(module, sequences, rows, values, phenotypes)
    write_rows(attention, folder / "attention.tsv")
    write_json(folder / "metrics.json", plain(summary))
    write_align_report(summary, attention, folder / "report.html")
    (folder / "README.md").write_text(align_card(summary))
