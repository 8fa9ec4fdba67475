"""A contest of classifiers: judge each entrant on each split and choose the model to keep."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Generic

import numpy as np

from genomix_cli.comparison import protocol
from genomix_cli.comparison.classifier import D
from genomix_cli.comparison.clustering import Encoding
from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.fold_cache import load_result, save_result
from genomix_cli.comparison.protocol import FoldResult, Trained
from genomix_cli.comparison.rules import Rules
from genomix_cli.comparison.splits import Split, held_out_in
from genomix_cli.comparison.study import MAJORITY, Encoded, Importance, Outcome, Study
from genomix_cli.comparison.words import count
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.progress import track

log = logging.getLogger("genomix")

Judged = list[list[FoldResult]]
# Most held-out samples to cluster and plot; clustering needs a distance for each pair.
ENCODED = 1000


@dataclass(frozen=True)
class Contest(ABC, Generic[D]):
    """A contest, with everything that is fixed before training; domains define how to save a model.

    Attributes
    ----------
    data : Data
    entrants : sequence of Entrant
        Main entrants first.
    splits : sequence of Split
    rules : Rules
    settings : FitSettings
    cache : Path
        Folder for intermediate results, from which an interrupted contest resumes.
    """

    data: D
    entrants: Sequence[Entrant[D]]
    splits: Sequence[Split]
    rules: Rules
    settings: FitSettings
    cache: Path
    fold_title: ClassVar[str] = "held out %s"

    @abstractmethod
    def save(self, entrant: Entrant[D], trained: Trained[D], split: Split) -> None:
        """Store the model for ``genomix score``, and the items of `split` that it has seen."""

    @abstractmethod
    def final_split(self) -> Split:
        """Return a split that trains on all items, or on all but a validation part."""

    def importances(self, test: D, trained: Trained[D]) -> tuple[Importance, ...]:
        """Return attributions for the report; by default none."""
        return ()

    def run(self) -> Judged:
        """Judge every entrant on every split, and store the main entrant that tuned best.

        With a single split, the model of that split is stored, so its held-out items stay unseen.
        With several splits, the best entrant is trained once more on all items.

        Returns
        -------
        list of list of FoldResult
            Results by entrant, then by split.
        """
        judged = self.judge_all()
        if len(self.splits) > 1:
            self._learn_from_all(judged)
        return judged

    def judge_all(self) -> Judged:
        """Judge every entrant on every split without training a final model; see `run`."""
        self.cache.mkdir(parents=True, exist_ok=True)
        judged: Judged = [[] for _ in self.entrants]
        pairs = list(product(enumerate(self.splits), enumerate(self.entrants)))
        for (f, split), (e, entrant) in track(pairs, "judging models", unit="models on folds"):
            path = self.cache / f"{e:02d}-{f:02d}.npz"
            if path.is_file():
                result = load_result(path)
            else:
                rivals = [results[-1] for results in judged[:e]]
                result = self._judge(entrant, split, path, rivals)
            judged[e].append(result)
        return judged

    def _judge(
        self, entrant: Entrant[D], split: Split, path: Path, rivals: Sequence[FoldResult]
    ) -> FoldResult:
        """Judge an entrant on a split and cache the result at `path`.

        `rivals` holds the results of earlier entrants on this split. With a single split, store the
        model if it is a main entrant and tuned better than all of them.
        """
        started = time.perf_counter()
        # An interrupted fit resumes from its logs; for a baseline that is not worth it.
        settings = replace(self.settings, logs=path.with_suffix("") if entrant.main else None)
        rules = self.rules
        if split.repeat:
            seeds = tuple(seed + split.repeat for seed in rules.seeds)
            settings = replace(settings, seed=settings.seed + split.repeat)
            # One draw of shuffled labels serves as the control of all repeats.
            entrant, rules = replace(entrant, control=False), replace(rules, seeds=seeds)
        result, trained = protocol.judge(entrant, self.data, split, rules, settings)
        if entrant is self.entrants[0] and split is self.splits[0]:
            test = self.data.take(split.test)
            result = replace(result, importances=self.importances(test, trained))
            some = test.only(entrant.modalities).take(np.arange(min(ENCODED, len(test))))
            encoding = trained.models[0].encoded(some.inputs)
            result = result if encoding is None else replace(result, **encoding._asdict())
        if entrant.main and len(self.splits) == 1:
            mains = zip(self.entrants, rivals, strict=False)
            if all(trained.fit.tuning_nll < r.fit.tuning_nll for one, r in mains if one.main):
                self.save(entrant, trained, split)
        # Cache last: a cached result is not trained again, so its model must be stored already.
        save_result(path, result)
        accuracy = (result.log_probability[0].argmax(1) == self.data.label[result.rows]).mean()
        seconds = time.perf_counter() - started
        log.info(
            f"%s, {self.fold_title}: accuracy %.4f after %s in %.0f s",
            *(entrant.name, split.name, accuracy, count(result.trials, "trial"), seconds),
        )
        return result

    def _learn_from_all(self, judged: Judged) -> None:
        """Train the main entrant that tuned best once more, on all items, and store it.

        Of equally good entrants the smallest is taken.
        """

        def rank(i: int) -> tuple[float, int]:
            loss = float(np.mean([result.fit.tuning_nll for result in judged[i]]))
            return loss, judged[i][-1].parameters

        best = min((i for i, entrant in enumerate(self.entrants) if entrant.main), key=rank)
        entrant, split = self.entrants[best], self.final_split()
        log.info("%s, final model: fitting all %s items", entrant.name, f"{len(self.data):,}")
        settings = replace(self.settings, logs=self.cache / "all")
        trained = protocol.train_entrant(
            entrant, *protocol.sides(self.data, split), self.rules, settings
        )
        self.save(entrant, trained, split)

    def study(self, judged: Judged, **known: Any) -> Study:
        """Return the comparison of all entrants; `known` holds the remaining fields of `Study`."""
        data, rules = self.data, self.rules
        repeats = sorted({split.repeat for split in self.splits})
        of_repeat = [[s for s in self.splits if s.repeat == repeat] for repeat in repeats]
        folds = [held_out_in(splits, len(data)) for splits in of_repeat]
        fold, seeds = folds[0], rules.seeds
        if len(repeats) > 1:
            seeds = tuple(seeds[0] + repeat for repeat in repeats)
        outcomes = [
            self._outcome(entrant, results)
            for entrant, results in zip(self.entrants, judged, strict=True)
        ]
        if MAJORITY not in (outcome.model for outcome in outcomes):
            outcomes.append(protocol.majority(data, fold != "", len(seeds)))
        return Study(
            names=data.names,
            classes=data.classes,
            label=data.label,
            shuffled_label=protocol.shuffled_labels(data.label, self.settings.seed),
            unit=data.unit,
            fold=fold,
            tested=fold != "",
            level=rules.level,
            calibration=rules.calibration,
            seeds=seeds,
            outcomes=tuple(outcomes),
            encoded=_encoded(judged[0][0]),
            repeats=np.array(folds) if len(repeats) > 1 else None,
            **known,
        )

    def _outcome(self, entrant: Entrant[D], results: Sequence[FoldResult]) -> Outcome:
        """Join the results of an entrant over its splits; repeats take the place of seeds."""
        of_repeat: dict[int, list[FoldResult]] = {}
        for split, result in zip(self.splits, results, strict=True):
            of_repeat.setdefault(split.repeat, []).append(result)
        first, *others = [
            protocol.outcome(entrant, self.data, len(self.rules.seeds), each)
            for each in of_repeat.values()
        ]
        every = (first, *others)
        return replace(
            first,
            probability=np.concatenate([each.probability for each in every]),
            uncalibrated=np.concatenate([each.uncalibrated for each in every]),
            folds=tuple(fit for each in every for fit in each.folds),
        )


def _encoded(result: FoldResult) -> Encoded | None:
    """Return the first model's vectors of items that the first split holds out, if it has any."""
    if result.features is None or result.vectors is None:
        return None
    return Encoded(result.rows[: len(result.vectors)], Encoding(result.features, result.vectors))
