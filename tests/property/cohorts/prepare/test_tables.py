"""A matrix reads back the same, however it was written; binning keeps what it averages."""

from __future__ import annotations

import csv
import gzip
import io
import string
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genomix_cli.cohorts.prepare import tables
from genomix_cli.cohorts.prepare.samples import orient
from genomix_cli.cohorts.prepare.segments import bin_means
from genomix_cli.cohorts.prepare.tables import read_matrix
from genomix_cli.formats.cohort import KINDS

NAMES = st.text(string.ascii_letters + string.digits + ' -|:;."', min_size=1, max_size=8)
CELLS = st.floats(-1e6, 1e6, width=32) | st.just(np.nan)


@st.composite
def matrices(draw: st.DrawFn) -> pd.DataFrame:
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    named = NAMES.map(str.strip).filter(bool)
    samples = draw(st.lists(named.map("s_".__add__), min_size=n, max_size=n, unique=True))
    features = draw(st.lists(named.map("f_".__add__), min_size=d, max_size=d, unique=True))
    values = draw(arrays(np.float32, (n, d), elements=CELLS))
    return pd.DataFrame(values, index=samples, columns=features)


def write(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
        return
    text = io.StringIO()
    delimiter = "," if ".csv" in path.name else "\t"
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["id", *frame.columns])
    for name, row in zip(frame.index, frame.to_numpy(), strict=True):
        writer.writerow([name, *("NA" if np.isnan(cell) else repr(float(cell)) for cell in row)])
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@settings(max_examples=60, deadline=None)
@given(
    matrices(),
    st.booleans(),
    st.sampled_from([".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet"]),
    st.integers(1, 40),
)
def test_a_matrix_reads_back_the_same(
    frame: pd.DataFrame, turned: bool, suffix: str, block: int
) -> None:
    before = tables.BLOCK
    tables.BLOCK = block
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a{suffix}"
            write(frame.T if turned else frame, path)
            table = read_matrix(path, KINDS["other"])
    finally:
        tables.BLOCK = before
    axis = orient({"a": table}, list(frame.index), None)["a"]
    assert axis == ("columns" if turned else "rows")
    values = table.values.T if turned else table.values
    found = (table.columns, table.rows) if turned else (table.rows, table.columns)
    assert found == (list(frame.index), list(frame.columns))
    assert np.array_equal(values, frame.to_numpy(), equal_nan=True)


@st.composite
def segments(draw: st.DrawFn) -> pd.DataFrame:
    """Segments that cover a contig from its start, end to end."""
    lengths = draw(st.lists(st.integers(1, 500), min_size=1, max_size=12))
    end = np.cumsum(lengths)
    means = draw(st.lists(st.floats(-3, 3), min_size=len(end), max_size=len(end)))
    return pd.DataFrame({"start": end - lengths, "end": end, "mean": means})


def regular_bins(length: int, size: int) -> pd.DataFrame:
    start = np.arange(0, length, size)
    end = np.minimum(start + size, length)
    return pd.DataFrame({"contig": "c", "start": start, "end": end})


@settings(max_examples=100, deadline=None)
@given(segments(), st.integers(1, 700))
def test_bins_keep_the_mean_over_all_bases(found: pd.DataFrame, size: int) -> None:
    n, length = len(found), int(found["end"].iloc[-1])
    bins = regular_bins(length, size)
    start, end, mean = (found[name].to_numpy() for name in ("start", "end", "mean"))
    row, contig = np.zeros(n, np.intp), np.full(n, "c", object)
    values, used = bin_means(row, contig, start, end, mean, bins, 1)
    assert used.all()
    weight = (bins["end"] - bins["start"]).to_numpy()
    expected = ((end - start) * mean).sum() / length
    assert np.isclose((values[0] * weight).sum() / length, expected, atol=1e-4)
    # Against every base of its own.
    bases = np.repeat(mean, end - start)
    direct = [bases[a:b].mean() for a, b in zip(bins["start"], bins["end"], strict=True)]
    assert np.allclose(values[0], direct, atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, np.nan]), min_size=1, max_size=20))
def test_segments_of_bins_are_their_bins(states: list[float]) -> None:
    bins = regular_bins(10 * len(states), 10)
    # Runs of neighbours with one state; a bin of NaN lies in no segment.
    edges = [0, *(i for i in range(1, len(states)) if states[i] != states[i - 1]), len(states)]
    runs = [(a, b) for a, b in pairwise(edges) if not np.isnan(states[a])]
    start, end = (np.array([10 * run[i] for run in runs], np.intp) for i in (0, 1))
    mean = np.array([states[a] for a, _ in runs])
    row, contig = np.zeros(len(runs), np.intp), np.full(len(runs), "c", object)
    values, _ = bin_means(row, contig, start, end, mean, bins, 1)
    assert np.allclose(values[0], states, equal_nan=True)
