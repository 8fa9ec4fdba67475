"""For any entries of any kind, bins are those of pyBigWig, bit for bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyBigWig
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.genome.bigwig_blocks import BlockFile
from tests.bigwigs import assert_like_pybigwig

# With 24 bits each and exponents this close, the sum of a bin is exact in any order.
VALUES = st.floats(2**-8, 2**8, width=32).flatmap(lambda v: st.sampled_from([v, -v, 0.0, 1.0]))
GAPS = st.one_of(st.just(0), st.integers(0, 70), st.integers(0, 3_000))
WIDTHS = st.one_of(st.just(1), st.integers(1, 70), st.integers(1, 3_000))


@st.composite
def bed_graph(draw: st.DrawFn, start: int) -> tuple[int, dict]:
    entries = draw(st.lists(st.tuples(GAPS, WIDTHS, VALUES), min_size=1, max_size=20))
    starts, ends, values = [], [], []
    for gap, width, value in entries:
        starts.append(start + gap)
        start += gap + width
        ends.append(start)
        values.append(value)
    return start, {"starts": starts, "ends": ends, "values": values}


@st.composite
def variable_step(draw: st.DrawFn, start: int) -> tuple[int, dict]:
    span = draw(st.integers(1, 120))
    entries = draw(st.lists(st.tuples(GAPS, VALUES), min_size=1, max_size=20))
    starts = (start + np.cumsum([gap + span for gap, _ in entries]) - span).tolist()
    return starts[-1] + span, {
        "starts": starts,
        "span": span,
        "values": [value for _, value in entries],
    }


@st.composite
def fixed_step(draw: st.DrawFn, start: int) -> tuple[int, dict]:
    span = draw(st.integers(1, 120))
    step = span + draw(st.integers(0, 90))
    start += draw(GAPS)
    values = draw(st.lists(VALUES, min_size=1, max_size=20))
    # pyBigWig takes no entry before the end of the last step.
    return start + step * len(values), {
        "starts": start,
        "span": span,
        "step": step,
        "values": values,
    }


@st.composite
def contig(draw: st.DrawFn) -> tuple[int, list[dict]]:
    end, groups = 0, []
    for kind in draw(st.lists(st.sampled_from([bed_graph, variable_step, fixed_step]), max_size=4)):
        end, group = draw(kind(end))
        groups.append(group)
    return end + draw(st.integers(1, 200)), groups


def write(path: Path, contigs: list[tuple[int, list[dict]]]) -> None:
    file = pyBigWig.open(str(path), "w")
    file.addHeader([(f"c{i}", length) for i, (length, _) in enumerate(contigs)], maxZooms=0)
    for i, (_, groups) in enumerate(contigs):
        for group in groups:
            names = f"c{i}" if "span" in group else [f"c{i}"] * len(group["starts"])
            file.addEntries(names, **group)
    file.close()


@given(
    contigs=st.lists(contig(), min_size=1, max_size=3),
    bin_size=st.sampled_from([1, 7, 50, 1000]),
)
@settings(deadline=None, max_examples=150)
def test_bins_are_those_of_pybigwig(contigs: list[tuple[int, list[dict]]], bin_size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.bw"
        write(path, contigs)
        if any(groups for _, groups in contigs):  # else there is no index
            blocks = BlockFile(path)
            for number, (length, _) in enumerate(contigs):
                list(blocks.intervals(number, 0, length))  # none is left to pyBigWig
            blocks.close()
        assert_like_pybigwig(path, bin_sizes=(bin_size,))
