"""Entrants of a contest on sequences: the requested model and the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Listing
from dataclasses import replace
from functools import partial
from typing import Any

from genomix_cli.comparison.classifier import Classifier
from genomix_cli.comparison.entrants import Entrant, preset, with_epochs
from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.motifs import Motif
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier
from genomix_cli.sequences.models.encoder import shape_of, stem_of
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.score.embeddings import start_from

PRETRAINED = "pre-trained"
# Every classifier sees a single modality: the bases.
MODALITIES = ("sequences",)
BASELINES = ("majority", "kmer-logistic:k3", "kmer-logistic:k6", "pca-logistic")
ALIGNED_BASELINES = ("majority", "kmer-logistic:k3", "pca-logistic", "pca-svm", "lda")


def entrants(
    request: TrainRequest,
    model: str,
    baselines: Listing[str] | None,
    sequences: Sequences,
    motifs: tuple[Motif, ...] = (),
) -> list[Entrant[Labelled]]:
    """Return the requested model, then the baselines.

    Parameters
    ----------
    request : TrainRequest
    model : str
        Name in the registry, or ``name:preset``.
    baselines : sequence of str, optional
        Names like `model`; by default those that suit the sequences.
    sequences : Sequences
    motifs : tuple of Motif
        Motifs that the first layers start from, for models whose first layer is filters.

    Raises
    ------
    UsageError
        If a model, a preset or a field does not exist, or the model cannot start from a run or from
        motifs, or none learns in the epochs that are asked for.
    """
    if request.init is not None:
        main = _from_run(request, model, sequences)
    else:
        text = f"{model}:{request.preset}" if request.preset else model
        main = entrant(text, aligned=sequences.aligned, changed=request.arch, main=True)
    model_asked = main.build(main.arch, where="--set")
    assert isinstance(model_asked, SequenceClassifier)
    if baselines is None:
        baselines = ALIGNED_BASELINES if sequences.aligned else BASELINES
    by_name = {main.name: main}
    for each in baselines:
        baseline = entrant(each, aligned=sequences.aligned)
        by_name.setdefault(baseline.name, baseline)
    every = with_epochs(by_name.values(), request.epochs)
    if not motifs:
        return every
    if not model_asked.has_filters(sequences.length):
        raise UsageError(f"the first layer of {main.name} has no filters", where="--motifs")
    return [replace(each, equip=partial(_take, motifs)) for each in every]


def _take(motifs: tuple[Motif, ...], model: Classifier[Labelled]) -> None:
    """Make a model start from motifs, if it can."""
    assert isinstance(model, SequenceClassifier)
    model.motifs = motifs


def entrant(
    text: str, *, aligned: bool, changed: Mapping[str, Any] | None = None, main: bool = False
) -> Entrant[Labelled]:
    """Return the entrant for ``model`` or ``model:preset``, with the user's `changed` fields.

    Raises
    ------
    UsageError
        If model or preset do not exist.
    """
    name, wanted, arch = preset_of(text, aligned=aligned)
    several = len(SEQUENCE_CLASSIFIERS.load(name).presets) > 1
    changed = changed or {}
    return Entrant(
        f"{name} {wanted}" if several else name,
        name,
        SEQUENCE_CLASSIFIERS,
        {**arch, **changed},
        frozenset(changed),
        MODALITIES,
        main,
        control=None,
    )


def preset_of(text: str, *, aligned: bool) -> tuple[str, str, dict[str, Any]]:
    """Parse ``model`` or ``model:preset`` into model name, preset name and preset fields.

    The default preset is the model's first, or its preset for aligned sequences.

    Raises
    ------
    UsageError
        If model or preset do not exist.
    """
    name, _, wanted = text.partition(":")
    kind = SEQUENCE_CLASSIFIERS.load(name)
    if not wanted:
        first: str = next(iter(kind.presets))
        wanted = kind.aligned_preset or first if aligned else first
    return name, wanted, preset(SEQUENCE_CLASSIFIERS, name, wanted)


def _from_run(request: TrainRequest, model: str, sequences: Sequences) -> Entrant[Labelled]:
    """Return a model that starts from the encoder of a run."""
    name, _, wanted = model.partition(":")
    kind = SEQUENCE_CLASSIFIERS.load(name)
    if not kind.has_encoder:
        raise UsageError("only the transformer can be initialised from a run", where="--init")
    trained = start_from(request, sequences)
    shape = shape_of(trained.config)
    clash = sorted(set(request.arch) & set(shape) - {"dropout"})
    if clash:
        raise UsageError(
            f"cannot set {', '.join(clash)} of an encoder that is already trained", where="--set"
        )
    stem = stem_of(shape)
    alike = next(name for name, fields in kind.presets.items() if stem_of(fields) is stem)
    text = f"{name}:{request.preset or wanted or alike}"
    new = entrant(text, aligned=sequences.aligned, changed=request.arch, main=True)
    return replace(
        new,
        name=f"{name} {PRETRAINED}",
        arch={**new.arch, **stem.fine_tuning, **shape, **request.arch},
        start=trained.state,
    )
