"""Choose test and training rows, and check that no model has learned from the test rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.held_out import INCLUDE, LEAVE_OUT
from genomix_cli.comparison.rules import TrainingAccuracy
from genomix_cli.errors import CheckError, DataError, GenomixError, UsageError, guarded
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.formats.seen import TRAIN, Seen, read_seen
from genomix_cli.genome.vcf.regions import END, START, Interval, Regions
from genomix_cli.variants.records.inputs import least_distance
from genomix_cli.variants.records.seen import items_of
from genomix_cli.variants.requests.evaluate import SuiteRequest
from genomix_cli.variants.train.splits import HeldOutRegions, labelled_rows, thin
from genomix_cli.variants.trained import is_borrowed, model_folder, read_config

log = logging.getLogger("genomix")

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


class RunSplit(NamedTuple):
    """Regions that a run held out for validation and for its own test.

    Attributes
    ----------
    run : str
    valid, test : HeldOutRegions
    initial : str
        Model that the run started from, whose training data are unknown here; empty if none.
    seen : Seen or None
        Alleles that the run has seen; None if not recorded.
    """

    run: str
    valid: HeldOutRegions
    test: HeldOutRegions
    initial: str
    seen: Seen | None = None

    def mask(self, shard: Shard) -> Mask:
        """Return True for rows that the run did not learn from, bool ``[V]``."""
        return mask(self.valid, shard) | mask(self.test, shard)

    def learned(self, shard: Shard, rows: Rows) -> Mask:
        """Return True for rows whose exact alleles the run learned from, bool ``[n]``."""
        if self.seen is None:
            return np.zeros(len(rows), np.bool_)
        return np.asarray(self.seen.parts(items_of(shard, rows)) == TRAIN)


def mask(part: HeldOutRegions, shard: Shard, margin: int = 0) -> Mask:
    """Return True for rows of the variant table in a part or within `margin`, bool ``[V]``."""
    return part.mask(shard.contigs, shard.variants.contig, shard.variants.pos, margin)


class Split(NamedTuple):
    """Rows of the variant table, int64 each, and warnings about them."""

    train: Rows
    valid: Rows
    test: Rows
    notes: tuple[str, ...]


def read_run_split(name: str) -> RunSplit:
    """Read the regions held out by a run or by a model that ships with genomix.

    Raises
    ------
    UsageError
        If the model does not exist, or reads no window of a shard.
    DataError
        If the files of the model are damaged.
    """
    folder = model_folder(name)
    if is_borrowed(folder):
        raise UsageError(
            "cannot be run on a shard",
            where=folder,
            hint="evaluate its scores: genomix score, then genomix evaluate",
        )
    settings, seen = _settings(folder), read_seen(folder)
    try:
        valid, test = (_part(settings, part) for part in ("valid", "test"))
    except (GenomixError, TypeError, AttributeError) as error:
        raise DataError(
            f"its held-out contigs or regions cannot be read: {error}", where=folder
        ) from error
    return RunSplit(Path(name).name, valid, test, str(settings.get("initial") or ""), seen)


def _settings(folder: Path) -> Mapping[str, Any]:
    path = folder / "train.json"
    if not path.is_file():
        return dict(read_config(folder).provenance.get("config", {}))
    with guarded(path):
        return dict(json.loads(path.read_text())["config"])


def _part(settings: Mapping[str, Any], part: str) -> HeldOutRegions:
    """Return the regions of a part from a run's settings; older runs name whole contigs."""
    said = settings.get("held_out")
    if said is not None:
        return HeldOutRegions(Regions.parse(said[part]) if said[part] else Regions([]))
    names = settings.get(f"{part}_contigs") or ()
    return HeldOutRegions(Regions(Interval(name, START, END) for name in names))


def split_rows(shard: Shard, request: SuiteRequest) -> Split:
    """Choose test rows, and the rows that the baselines learn from and are tuned on.

    Raises
    ------
    UsageError
        If there is no test part, or one of its contigs is unknown.
    DataError
        If the test part has no labelled variants.
    CheckError
        If a run learned from some of them, and the request neither leaves out nor includes these.
    """
    usable = np.zeros(len(shard.variants.pos), np.bool_)
    usable[labelled_rows(shard)] = True
    runs = [read_run_split(name) for name in request.models]
    first = runs[0]
    tested, apart = _test_part(shard, request, first), least_distance()
    inside = mask(tested, shard) & usable
    if not inside.any():
        raise DataError("no labelled variants in the test part", where=request.shard)
    rows, notes = np.flatnonzero(inside), list[str]()
    if request.seen == LEAVE_OUT:
        rows, notes = _without_seen(shard, runs, rows)
    test = thin(rows, request.variants)
    notes += [note for run in runs for note in _check_leak(shard, run, test, request)]
    far = usable & ~mask(tested, shard, apart)
    valid = mask(first.valid, shard) & far
    train = far & ~mask(first.valid, shard, apart) & ~mask(first.test, shard, apart)
    if not first.valid:
        log.warning("%s has no validation part, so baselines are not tuned", first.run)
    rng = np.random.default_rng(request.seed)
    return Split(
        _some(np.flatnonzero(train), request.train_variants, rng),
        _some(np.flatnonzero(valid), request.train_variants // 4, rng),
        test,
        tuple(notes),
    )


def _test_part(shard: Shard, request: SuiteRequest, first: RunSplit) -> HeldOutRegions:
    asked = HeldOutRegions.of(shard.contigs, request.test_contigs, request.test_regions, "test")
    if asked or first.test:
        return asked or first.test
    raise UsageError(
        f"{first.run} has no test part",
        where="--test-contigs",
        expected=f"one or more of {', '.join(list(shard.contigs)[:30])}",
    )


def _without_seen(shard: Shard, runs: Sequence[RunSplit], rows: Rows) -> tuple[Rows, list[str]]:
    """Leave out rows that a run learned from, or used for early stopping and calibration."""
    kept = np.ones(len(rows), np.bool_)
    for run in runs:
        kept &= mask(run.test, shard)[rows] & ~run.learned(shard, rows)
    if not kept.any():
        raise CheckError(
            f"the models have seen all {len(rows):,} test variants in training",
            hint="choose contigs that they held out: --test-contigs",
        )
    left = len(rows) - int(kept.sum())
    note = f"{left:,} of {len(rows):,} variants were seen in training and are left out"
    return rows[kept], [note] if left else []


def _check_leak(shard: Shard, run: RunSplit, test: Rows, request: SuiteRequest) -> list[str]:
    """Refuse a run that learned from the test part; return warnings about it.

    Contigs are compared by name, so training regions in another genome count too unless runs are
    trusted. Alleles that the run is known to have learned from always count.
    """
    beside = ~run.mask(shard)[test]
    known = run.learned(shard, test)
    leaked = test[known if request.trust_runs else known | beside]
    said = f"{len(leaked):,} of the {len(test):,} test variants"
    notes: list[str] = []
    if len(leaked) and request.seen != INCLUDE:
        index = np.unique(shard.variants.contig[leaked])
        raise CheckError(
            f"{run.run} {'' if known.any() else 'may have '}learned from {said}",
            where=", ".join(list(shard.contigs)[i] for i in index[:5]),
            expected="variants of the contigs or regions that it held out",
            hint=f"choose others; or add --seen {LEAVE_OUT} or --seen {INCLUDE}"
            + ("" if known.any() else ", or skip this check with --trust-runs"),
        )
    if len(leaked):
        notes.append(TrainingAccuracy(run.run, said))
    elif beside.any():
        notes.append(
            f"{run.run} is trusted not to have learned from {int(beside.sum()):,} test variants "
            "that it does not name as held out"
        )
    valid = int((mask(run.valid, shard) & ~mask(run.test, shard))[test].sum())
    if valid:
        notes.append(
            f"{run.run} was stopped and calibrated on {valid:,} of the test variants: its metrics "
            "are a little too good"
        )
    if run.initial:
        notes.append(f"{run.run} began from {run.initial}, whose training data are not known")
    return notes


def _some(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    """Return at most `most` randomly drawn rows, in table order."""
    if len(rows) <= most:
        return rows
    return np.sort(rng.choice(rows, most, replace=False))
