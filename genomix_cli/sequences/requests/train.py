"""The request to train on sequences, and the options of each task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from genomix_cli.comparison.rules import COMPARISON, HELD_OUT, VERDICTS
from genomix_cli.config import Count, Within, from_dict
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.options import Option, option, parse_names
from genomix_cli.provenance import Provenance, settings_of
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.shared_options import MODEL, Epochs, Resume, RunOutput

T = TypeVar("T")
File = Annotated[
    Path, Option("Sequence file of `prepare sequences`", argument=True, metavar="SEQUENCES.h5")
]
FIRST_MOTIFS = Option("Motifs to initialise the first layer with", metavar="MEME", rare=True)
FirstMotifs = Annotated[Path | None, FIRST_MOTIFS]


@dataclass(frozen=True)
class TrainRequest:
    """Options for training on a file of sequences with one of the tasks.

    `hold_out` is ``auto`` (the file's splits, or else a quarter), a share such as ``0.25``,
    ``splits``, or ``folds:5``. `epochs` limits every network that is trained. `options` holds the
    options of the task alone: the fields of one of the classes below.
    """

    data: File
    output: RunOutput
    task: str = "classify"
    preset: str = option("", "Preset of the model", shown="chosen from the data", panel=MODEL)
    arch: Mapping[str, Any] = option(
        {}, "Set a field of the model, e.g. freeze=true; repeatable", "--set"
    )
    label: str = option("", "Label to learn or condition on", shown="the file's")
    hold_out: str = option(
        "auto",
        "splits (of the file), a fraction, or folds:N; auto: splits, else a quarter",
        metavar="HOW",
        panel=HELD_OUT,
    )
    init: Path | None = option(
        None, "Run folder whose encoder to initialise from", metavar="RUN", panel=MODEL
    )
    epochs: Epochs = None
    setting: FitSettings = field(default_factory=FitSettings)
    resume: Resume = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the request as JSON data, with file names instead of paths."""
        # A resumed run may differ in these from the interrupted one.
        return {**settings_of(self, ("resume", "setting")), "seed": self.setting.seed}

    def provenance(self) -> Provenance:
        """Return the provenance of everything that the run writes."""
        files = {
            f"{name} {i}" if isinstance(value, tuple) else name: path
            for name, value in self.options.items()
            for i, path in enumerate(value if isinstance(value, tuple) else [value], 1)
            if isinstance(path, Path)
        }
        return Provenance.of(self.plain(), {"sequences": self.data, **files}, self.setting.seed)

    @property
    def changed(self) -> dict[str, Any]:
        """Fields that the user has set, of the model and of its training."""
        return {**self.arch, **({} if self.epochs is None else {"epochs": self.epochs})}

    def parted(self, kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fields of `changed` that belong to a configuration class, and the others."""
        own = {each.name for each in fields(kind)}
        return (
            {name: value for name, value in self.changed.items() if name in own},
            {name: value for name, value in self.changed.items() if name not in own},
        )

    def config(
        self,
        kind: type[T],
        presets: Mapping[str, Mapping[str, Any]],
        facts: Mapping[str, Any],
        *,
        defaults: Mapping[str, Any] | None = None,
        learning: type | None = None,
    ) -> T:
        """Return the model's configuration: defaults and the preset, overridden by `arch`.

        Parameters
        ----------
        kind : type
        presets : mapping
        facts : mapping
            Fields that follow from the data, which no one may set.
        defaults : mapping, optional
            Values that replace those of the class.
        learning : type, optional
            Class of the fields of `changed` that are set elsewhere, to be named in messages.

        Raises
        ------
        UsageError
            If the preset or a field does not exist, or a field follows from the data.
        """
        preset = self.preset or next(iter(presets))
        if preset not in presets:
            raise UsageError("no such preset", expected=" or ".join(presets), found=preset)
        if fixed := [name for name in self.arch if name in facts]:
            raise UsageError(f"{', '.join(fixed)} cannot be set: the data decide", where="--set")
        names = [each.name for own in (kind, learning) if own for each in fields(own)]
        if unknown := [name for name in self.arch if name not in names]:
            said = ", ".join(f"unknown key {name!r}" for name in unknown)
            known = ", ".join(dict.fromkeys(name for name in names if name not in facts))
            raise UsageError(said, where="--set", hint=f"known: {known}")
        own = {**(defaults or {}), **facts, **presets[preset], **self.arch}
        return from_dict(kind, own, where="--set")


def parse_baselines(value: str) -> tuple[str, ...] | None:
    """Parse comma-separated names, ``all`` or ``none``; return None for ``auto``."""
    if value == "all":
        return tuple(name for name in SEQUENCE_CLASSIFIERS if name != "transformer")
    return {"auto": None, "none": ()}.get(value, parse_names(value))


def parse_counts(text: str) -> tuple[int, ...]:
    """Parse comma-separated positive integers."""
    try:
        counts = tuple(int(part) for part in parse_names(text))
    except ValueError:
        counts = (0,)
    if any(count < 1 for count in counts):
        raise UsageError(
            "not counts",
            where="--few-shot",
            expected="positive numbers, e.g. 1,5,10,50",
            found=text,
        )
    return counts


class TaskOptions:
    """Options that only one task has.

    Attributes
    ----------
    task : str
        Name of the task in the registry.
    about : str
        Line of help.
    compares_models : bool
        True if the task's results have a row per model.
    """

    task: ClassVar[str]
    about: ClassVar[str]
    compares_models: ClassVar[bool] = False

    def given(self) -> dict[str, Any]:
        """Return the equivalent `TrainRequest.options`, without options that are not set."""
        return {name: value for name, value in asdict(self).items() if value}  # type: ignore[call-overload]


@dataclass(frozen=True)
class ClassifyOptions(TaskOptions):
    """Options of the task classify.

    Models are names in the registry, or ``name:preset``. With `baselines` None, baselines are
    chosen to suit the file. With `augment`, the main model is also trained with generated sequences
    added, as a separate row. Models whose first layer is filters start from `motifs`.
    """

    task = "classify"
    about = "learn classes"
    compares_models = True

    model: str = option(
        "transformer", "Model", choices=SEQUENCE_CLASSIFIERS, open=True, panel=MODEL
    )
    baselines: tuple[str, ...] | None = option(
        None,
        "Models to compare with, e.g. cnn or kmer-logistic:k6; all, none, auto",
        commas=True,
        parse=parse_baselines,
        shown="auto",
        panel=COMPARISON,
    )
    trials: Count = option(1, "Configurations to try for each model; 1: its default", min=1)
    level: Annotated[float, Within(0.5, 0.999)] = option(
        0.9, "Target coverage of the prediction sets", min=0.5, max=0.999, panel=HELD_OUT, rare=True
    )
    control: bool = option(
        False,
        "Also fit networks to shuffled labels, as a control",
        "--control/--no-control",
        panel=COMPARISON,
        rare=True,
    )
    metric: str = option(
        "accuracy",
        "Metric that ranks the baselines and comes first in the verdict",
        choices=VERDICTS,
        rare=True,
    )
    few_shot: tuple[int, ...] = option(
        (),
        "Also train on this many sequences per class, e.g. 1,5,10,50",
        commas=True,
        parse=parse_counts,
    )
    few_shot_repeats: Count = option(
        5, "Random draws for each number of --few-shot", min=2, rare=True
    )
    augment: str | None = option(
        None,
        "Also train with these generated sequences added; reported as a separate row",
        metavar="GENERATED.h5",
        model=True,
        rare=True,
    )
    motifs: Annotated[Path | None, replace(FIRST_MOTIFS, panel=COMPARISON)] = None

    def given(self) -> dict[str, Any]:
        """Return the equivalent `TrainRequest.options`."""
        return asdict(self)


@dataclass(frozen=True)
class ContrastOptions(TaskOptions):
    """Options of the task contrast."""

    task = "contrast"
    about = "pre-train"

    probe: tuple[str, ...] = option(
        (),
        "Phenotypes to use",
        "--phenotypes",
        commas=True,
        shown="the label; align, activity: all",
    )
    motifs: FirstMotifs = None


@dataclass(frozen=True)
class AlignOptions(TaskOptions):
    """Options of the task align."""

    task = "align"
    about = "DNA with phenotypes"

    phenotypes: tuple[str, ...] = option((), "Phenotypes to align", commas=True, shown="all")
    unseen: tuple[str, ...] = option(
        (),
        "Class to leave out of training and evaluate separately (zero-shot); repeatable",
        metavar="NAME",
        rare=True,
    )
    motifs: FirstMotifs = None


@dataclass(frozen=True)
class DiffuseOptions(TaskOptions):
    """Options of the task diffuse."""

    task = "diffuse"
    about = "learn to generate"

    conditions: tuple[str, ...] = option(
        (), "Phenotypes to condition on", "--phenotypes", commas=True, shown="the label"
    )


@dataclass(frozen=True)
class ActivityOptions(TaskOptions):
    """Options of the task activity."""

    task = "activity"
    about = "predict measurements"

    phenotypes: tuple[str, ...] = option((), "Phenotypes to learn", commas=True, shown="all")
    also: tuple[Path, ...] = option(
        (),
        "Another file to learn from, with outputs of its own; repeatable",
        metavar="FILE.h5",
        rare=True,
    )
    pairs: tuple[Path, ...] = option(
        (),
        "File whose groups are pairs of alleles, to learn their differences; repeatable",
        metavar="FILE.h5",
        rare=True,
    )
    motifs: FirstMotifs = None


@dataclass(frozen=True)
class ProfileOptions(TaskOptions):
    """Options of the task profile."""

    task = "profile"
    about = "predict the signal of each base"

    tracks: tuple[str, ...] = option(
        (), "Tracks to learn", "--phenotypes", commas=True, shown="all"
    )
    controls: tuple[str, ...] = option(
        (),
        "Control tracks, such as the input, given to the heads",
        "--control-tracks",
        commas=True,
        rare=True,
    )


TASKS: tuple[type[TaskOptions], ...] = (
    ClassifyOptions,
    ContrastOptions,
    DiffuseOptions,
    AlignOptions,
    ActivityOptions,
    ProfileOptions,
)
