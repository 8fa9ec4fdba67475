"""Measures under a paired bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.comparison.bootstrap import Bootstrap, resampling_units
from genomix_cli.comparison.intervals import interval_of
from genomix_cli.comparison.metrics.binary import auroc
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Judge
from genomix_cli.variants.evaluate.suite.run import truth_of
from tests.suite_shard import rows_of

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


def test_differences_are_those_of_a_paired_bootstrap(shard: Shard) -> None:
    rows = rows_of(shard, "chr4")
    truth = truth_of(shard, rows)
    rng = np.random.default_rng(0)
    one, two = rng.random((2, len(rows)))
    judge = Judge.of(truth, 50, seed=3)
    measure = MEASURES["auroc"]
    ours = interval_of(judge.replicates(measure, one) - judge.replicates(measure, two))
    units = resampling_units(truth.contig, truth.pos).ids
    theirs = Bootstrap(units, 50, 3).difference(auroc, truth.label, one, two)
    assert ours == pytest.approx(theirs)
