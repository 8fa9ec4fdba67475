"""The same number of threads gives the same bytes; another number changes rounding only."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.conftest import ROOT, Genomix

# Largest differences that the page allows.
BOUNDS = {"GENOMIX_P": 1e-5, "GENOMIX_DL": 1e-4}


def scores(path: Path) -> list[tuple[str, dict[str, list[float]]]]:
    """The columns before INFO of each record, and the scores of its alleles."""
    found = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            *fields, info = line.split("\t")[:8]
            entries = dict(entry.partition("=")[::2] for entry in info.split(";"))
            values = {key: list(map(float, entries[key].split(","))) for key in BOUNDS}
            found.append(("\t".join(fields), values))
    return found


@pytest.mark.slow
def test_threads_change_no_more_than_the_last_digits(genomix: Genomix, tmp_path: Path) -> None:
    data = ROOT / "test_data"
    command = ("score", data / "variants.vcf.gz", "--config", data / "genomix.toml", "-q")
    for threads, again in product((1, 2, 4), (0, 1)):
        options = ("--threads", threads, "--regions", "chr1:1-60000")
        genomix(*command, *options, "-o", tmp_path / f"{threads}-{again}.vcf")
    one = scores(tmp_path / "1-0.vcf")
    assert len(one) > 100
    for threads in (1, 2, 4):
        first, second = (tmp_path / f"{threads}-{again}.vcf" for again in (0, 1))
        lines = [path.read_text().splitlines() for path in (first, second)]
        assert lines[0] == lines[1]
        for (where, before), (same, after) in zip(one, scores(first), strict=True):
            assert where == same
            for key, bound in BOUNDS.items():
                assert after[key] == pytest.approx(before[key], abs=bound, rel=0), (where, key)
