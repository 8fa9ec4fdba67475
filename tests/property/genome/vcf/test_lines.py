"""Lines read together give the same as each read alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf import lines as module
from genomix_cli.genome.vcf.lines import INFO, Lines, between
from genomix_cli.genome.vcf.reader import MISSING
from genomix_cli.genome.vcf.record import Record
from genomix_cli.variants.score.annotate import with_scores

text = st.text(st.characters(blacklist_characters="\t\n", codec="utf-8"), max_size=4)
info = st.sampled_from(["", ".", "DB", "A=1;DB", "GENOMIX_P=1", ".;GENOMIX_P=.", "A;GENOMIX_P=1;B"])
pos = st.integers(0, 10**17 - 1).map(str) | st.sampled_from(["007", "1"])
contig = st.sampled_from(["1", "chr1", "chr1", "chr1_alt", "é"])
line = st.tuples(contig, pos, text, text, text, text, text, info | text, st.lists(text, max_size=3))
texts = st.lists(line.map(lambda x: "\t".join([*x[:8], *x[8]])), max_size=12)
WIDE = (0, module.WIDE)


def refused(what: str, number: int, expected: str, found: str) -> DataError:
    return DataError(f"{number}: {what}", expected=expected, found=found)


def records(given: list[str]) -> list[Record]:
    """One line after another, as they are defined."""
    split = [(i, each.split("\t", 8)) for i, each in enumerate(given, 5) if each]
    return [Record(i, int(fields[1]), fields) for i, fields in split]


@pytest.mark.parametrize("wide", WIDE)
@settings(max_examples=40, deadline=None)
@given(st.lists(texts, max_size=3))
def test_lines_are_the_records_that_they_spell(wide: int, parts: list[list[str]]) -> None:
    given = [each for part in parts for each in (*part, "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WIDE", wide)
        lines = Lines.parse("\n".join(given).encode(), 5, refused)
    expected = records(given)
    assert list(lines) == expected
    assert [lines[i] for i in range(len(lines))] == expected
    assert [run.contig for run in lines.runs for _ in range(run.start, run.stop)] == [
        record.chrom for record in expected
    ]
    assert all(a.contig != b.contig for a, b in zip(lines.runs, lines.runs[1:], strict=False))
    assert lines.texts(INFO) == [record.fields[7].encode() for record in expected]


@settings(max_examples=40, deadline=None)
@given(texts, st.data())
def test_parts_of_lines_are_lines(given: list[str], data: st.DataObject) -> None:
    lines, expected = Lines.of_texts(given), records(given)
    expected = [record._replace(line=0) for record in expected]
    size = data.draw(st.integers(1, 5))
    parts = [lines[i : i + size] for i in range(0, len(lines), size)]
    assert [list(part) for part in parts] == [
        expected[i : i + size] for i in range(0, len(lines), size)
    ]
    joined = Lines.joined(parts)
    assert list(joined) == expected
    assert joined.texts(INFO) == [record.fields[7].encode() for record in expected]
    start, stop = data.draw(st.integers(0, 13)), data.draw(st.none() | st.integers(0, 13))
    found = [record for part in between(iter(parts), start, stop) for record in part]
    assert found == expected[start:stop]
    wanted = data.draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines)))
    kept = lines.only(module.np.array(wanted, bool))
    assert list(kept) == [r for r, w in zip(expected, wanted, strict=True) if w]


@pytest.mark.parametrize("wide", WIDE)
@settings(max_examples=40, deadline=None)
@given(texts, st.data())
def test_the_first_line_that_is_none_is_named(
    wide: int, given: list[str], data: st.DataObject
) -> None:
    wrong = {
        "few": "too few columns",
        "chr1\t1\t.\tA\tC\t.\t.": "too few columns",
        **{
            f"chr1\t{pos}\t.\tA\tC\t.\t.\t.": "POS is no position"
            for pos in ("", "-1", "1a", "/", ":", "x" * 17, "1" * 18, "٣")
        },
    }
    places = sorted(data.draw(st.lists(st.integers(0, len(given)), min_size=1, max_size=3)))
    bad = [data.draw(st.sampled_from(sorted(wrong))) for _ in places]
    for place, each in zip(places[::-1], bad[::-1], strict=True):
        given.insert(place, each)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(DataError) as caught:
        patch.setattr(module, "WIDE", wide)
        Lines.parse("\n".join(given).encode(), 1, refused)
    assert str(caught.value).startswith(f"{places[0] + 1}: {wrong[bad[0]]}")


def scored(given: list[str], entries: list[str]) -> Iterator[str]:
    """Each line with its entry, by itself."""
    for each, entry in zip(given, entries, strict=True):
        fields = each.split("\t")
        kept = [e for e in fields[7].split(";") if not e.startswith("GENOMIX_")]
        before = ";".join(kept)
        fields[7] = entry if before in ("", MISSING) else f"{before};{entry}"
        yield "\t".join(fields) + "\n"


@settings(max_examples=60, deadline=None)
@given(texts)
@example([f"chr1\t1\t.\tA\tC\t.\t.\t{info}\tGT" for info in ("", ".", "X", "A=1;DB")])
def test_only_info_changes(given: list[str]) -> None:
    entries = [f"GENOMIX_P={i}" for i in range(len(given))]
    made = with_scores(Lines.of_texts(given), [entry.encode() for entry in entries])
    assert made.decode() == "".join(scored(given, entries))
