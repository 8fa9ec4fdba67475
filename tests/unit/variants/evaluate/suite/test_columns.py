"""Scores of other tools, matched by allele."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.errors import DataError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.columns import read_columns
from genomix_cli.variants.evaluate.suite.strata import variant_class
from tests.suite_shard import rows_of

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


def test_columns_are_matched_by_allele_wherever_an_indel_is_written(
    genome: Path, shard: Shard, tmp_path: Path
) -> None:
    rows = rows_of(shard, "chr4")
    with gzip.open(genome / "variants.vcf.gz", "rt") as file:
        lines = [line for line in file if not line.startswith("##INFO=<ID=PROB")]
    head = [line for line in lines if line.startswith("#")]
    head.insert(1, '##INFO=<ID=OTHER,Number=A,Type=Float,Description="x">\n')
    body = []
    for i, line in enumerate(line for line in lines if line.startswith("chr4\t")):
        if i % 3:
            fields = line.rstrip("\n").split("\t")
            body.append("\t".join([*fields[:7], fields[7].replace("PROB=", "OTHER=")]) + "\n")
    head[-1] = "\t".join(head[-1].rstrip("\n").split("\t")[:8]) + "\n"
    path = tmp_path / "other.vcf"
    path.write_text("".join(head + body))
    found = read_columns(path, ["OTHER"], shard, rows)["OTHER"]
    known = np.isfinite(found)
    assert 0.5 < known.mean() < 0.8
    assert found[known] == pytest.approx(shard.variants.probability[rows][known], abs=1e-6)
    assert set(variant_class(shard.variants, rows[known])) >= {0, 1, 2}
    with pytest.raises(DataError, match="no test variant has NONE"):
        read_columns(path, ["NONE"], shard, rows)
