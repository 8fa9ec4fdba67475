"""Accuracy of classifiers trained on few examples per class, and the gain by pre-training.

Letters: t held-out sequences, R repeats.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.intervals import LEVEL, Interval, percentile_interval
from genomix_cli.comparison.splits import Split
from genomix_cli.comparison.study import Floats
from genomix_cli.comparison.tuning import fit_once
from genomix_cli.comparison.words import count
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.report.canvas import PALE, Picture, grid, looks, style
from genomix_cli.report.page import Section, render
from genomix_cli.sequences.models.base import Labelled

log = logging.getLogger("genomix")

SCRATCH = "from scratch"
# Training settings of networks with few examples: small batches and early stopping.
BRIEF: dict[str, Any] = {"batch_size": 32, "epochs": 40, "patience": 8}
DRAWS = 1000
HELPS, HURTS, UNCLEAR = "helps", "hurts", f"makes {LEVEL}"


@dataclass(frozen=True)
class Plan:
    """Numbers of examples to try, and repeats.

    Attributes
    ----------
    counts : tuple of int
        Numbers of examples per class; if a class has fewer, all are used.
    repeats : int
        Number of draws of examples.
    """

    counts: tuple[int, ...] = (1, 5, 10, 50)
    repeats: int = 3

    def __post_init__(self) -> None:
        """Refuse numbers that are not positive.

        Raises
        ------
        UsageError
            If a number is not positive.
        """
        if min((*self.counts, self.repeats)) < 1:
            raise UsageError(
                "the numbers of examples and repeats must be positive",
                where="--few-shot",
                expected="1 or more",
                found=", ".join(map(str, (*self.counts, self.repeats))),
            )


@dataclass(frozen=True)
class Row:
    """Results of a classifier with a number of examples per class.

    Attributes
    ----------
    name : str
    count : int
        Number of examples per class.
    hits : NDArray
        bool ``[R, t]``: True for held-out sequences that were classified correctly.
    """

    name: str
    count: int
    hits: NDArray[np.bool_]

    @property
    def accuracy(self) -> Floats:
        """Accuracy of each repeat ``[R]``."""
        return self.hits.mean(1)


@dataclass(frozen=True)
class Gain:
    """Gain by pre-training for one number of examples.

    Attributes
    ----------
    count : int
    difference : Interval
        Accuracy minus that from scratch, on the same examples and held-out sequences.
    verdict : str
        ``helps`` or ``hurts`` only if the interval excludes 0.
    """

    count: int
    difference: Interval
    verdict: str


@dataclass(frozen=True)
class FewShot:
    """Few-shot curves of all classifiers, and the gains by pre-training.

    Attributes
    ----------
    rows : tuple of Row
        Sorted by count, then in the order of the entrants.
    gains : tuple of Gain
        Gains of the pre-trained main model over the same model from scratch; empty without
        pre-training.
    """

    rows: tuple[Row, ...]
    gains: tuple[Gain, ...]

    def sentence(self) -> str:
        """Return a sentence on the gains by pre-training; empty without any."""
        if not self.gains:
            return ""
        own: dict[str, list[str]] = {HELPS: [], HURTS: [], UNCLEAR: []}
        for gain in self.gains:
            own[gain.verdict].append(f"{gain.count} ({gain.difference.text(sign=True)})")
        parts = [f"{verdict} with {', '.join(each)}" for verdict, each in own.items() if each]
        text = "; it ".join(parts)
        return f"Pre-training {text} examples per class (difference in accuracy)."

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each classifier and number of examples."""
        gains = {(self.rows[0].name, gain.count): gain for gain in self.gains}
        rows = []
        for row in self.rows:
            accuracy = row.accuracy
            plain: dict[str, Any] = {
                "name": row.name,
                "examples": row.count,
                "repeats": len(accuracy),
                "accuracy": float(accuracy.mean()),
                "sd": float(accuracy.std(ddof=1)) if len(accuracy) > 1 else float("nan"),
            }
            if gain := gains.get((row.name, row.count)):
                value, low, high = gain.difference
                plain |= {"gain": value, "gain_low": low, "gain_high": high}
                plain["pretraining"] = gain.verdict
            rows.append(plain)
        return rows


def few_shot(
    entrants: Sequence[Entrant[Labelled]],
    data: Labelled,
    split: Split,
    plan: Plan,
    setting: FitSettings,
) -> FewShot:
    """Fit every entrant to a few examples of each class; evaluate all on the same sequences.

    A main entrant that starts from a trained encoder is also fitted from scratch. Networks use the
    same number of validation examples for early stopping.

    Parameters
    ----------
    entrants : sequence of Entrant
        Entrants with the configurations to use; the main ones first.
    data : Labelled
    split : Split
    plan : Plan
    setting : FitSettings
    """
    setting = replace(setting, logs=None)
    rows = []
    every, test = list(_with_scratch(entrants)), data.take(split.test)
    for number in plan.counts:
        hits: list[list[NDArray[np.bool_]]] = [[] for _ in every]
        for repeat in range(plan.repeats):
            rng = np.random.default_rng([setting.seed, number, repeat])
            train, valid = (
                data.take(examples(data.label, part, number, rng))
                for part in (split.train, split.valid)
            )
            own = replace(setting, seed=setting.seed + repeat)
            for of_one, one in zip(hits, every, strict=True):
                model = fit_once(one, one.arch, train, valid, own).model
                of_one.append(model.log_probability(test.inputs).argmax(1) == test.label)
        for of_one, one in zip(hits, every, strict=True):
            rows.append(Row(one.name, number, np.array(of_one)))
            mean = rows[-1].accuracy.mean()
            log.info("%s, %s per class: accuracy %.4f", one.name, count(number, "example"), mean)
    return FewShot(tuple(rows), tuple(_gains(rows, every, setting.seed)))


def _with_scratch(entrants: Sequence[Entrant[Labelled]]) -> Iterator[Entrant[Labelled]]:
    """Yield entrants with few-example settings; pre-trained ones also without pre-training."""
    for one in entrants:
        known = {f.name for f in fields(one.kind.config_class)}
        few = {k: v for k, v in BRIEF.items() if k in known and k not in one.fixed}
        brief = replace(one, arch={**one.arch, **few})
        yield brief
        if one.start:
            # An untrained encoder must not be frozen.
            arch = {**brief.arch, "freeze": False}
            yield replace(brief, name=f"{one.name} {SCRATCH}", arch=arch, start={})


def examples(
    label: NDArray[np.int64], rows: NDArray[np.int64], most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return up to `most` of `rows` from each class, ascending."""
    chosen = [rng.permutation(rows[label[rows] == k])[:most] for k in np.unique(label[rows])]
    return np.sort(np.concatenate(chosen))


def _gains(rows: Sequence[Row], every: Sequence[Entrant[Labelled]], seed: int) -> Iterator[Gain]:
    main = every[0]
    if not main.start:
        return
    by_name = {(row.name, row.count): row for row in rows}
    for number in dict.fromkeys(row.count for row in rows):
        row, other = by_name[main.name, number], by_name[f"{main.name} {SCRATCH}", number]
        difference = paired(row.hits, other.hits, seed)
        verdict = {1: HELPS, 0: UNCLEAR, -1: HURTS}[difference.sign]
        yield Gain(number, difference, verdict)


def paired(
    hits: NDArray[np.bool_], other: NDArray[np.bool_], seed: int, draws: int = DRAWS
) -> Interval:
    """Return the difference of two accuracies with its 95 % interval.

    The bootstrap draws both repeats (sets of examples) and held-out sequences. With few repeats,
    most of the variation is between repeats.

    Parameters
    ----------
    hits, other : NDArray
        bool ``[R, t]``: correct predictions, on the same examples and sequences.
    seed : int
    draws : int
    """
    apart = hits.astype(np.float64) - other
    rng = np.random.default_rng(seed)
    repeats, n = apart.shape
    drawn = np.empty(draws)
    for i in range(draws):
        times = np.bincount(rng.integers(0, n, n), minlength=n) / n
        drawn[i] = (apart @ times)[rng.integers(0, repeats, repeats)].mean()
    return percentile_interval(float(apart.mean()), drawn)


def section(curves: FewShot) -> Section:
    """Return the section of the report: a figure, and a table with its interpretation."""
    with style():
        picture = _picture(curves)
    return Section("Few examples", picture, render("few_shot.html.j2", curves=curves))


def _picture(curves: FewShot) -> Picture:
    names = list(dict.fromkeys(row.name for row in curves.rows))
    figure, axes = grid(1, 1, (7.5, 3.4))
    ax, pens = axes[0, 0], looks(names)
    for name in names:
        own = [row for row in curves.rows if row.name == name]
        mean = [row.accuracy.mean() for row in own]
        spread = [row.accuracy.std(ddof=1) if len(row.hits) > 1 else 0 for row in own]
        pen = pens[name]
        ax.errorbar(
            *([row.count for row in own], mean, spread),
            **{"color": pen.colour, "ls": pen.dash, "marker": pen.marker, "ms": 4, "lw": 1.3},
            elinewidth=0.7,
            label=name,
        )
    counts = sorted({row.count for row in curves.rows})
    ax.set_xscale("log")
    ax.set_xticks(counts, list(map(str, counts)))
    ax.minorticks_off()
    ax.set(xlabel="examples per class", ylabel="accuracy")
    ax.grid(axis="y", color=PALE, lw=0.6)
    figure.legend(loc="outside right upper")
    caption = "Held-out accuracy after training on few examples per class. Bars: SD over draws."
    return Picture("few_shot", caption, figure)
