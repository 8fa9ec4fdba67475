"""Any record that is well formed passes through unchanged, however it is compressed."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.genome.vcf.writer import format_of, open_output
from genomix_cli.variants.score.annotate import with_scores

HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"

# Anything but the characters that end a column or a line.
column = st.text(
    st.characters(blacklist_characters="\t\r\n", codec="utf-8"), min_size=1, max_size=9
)
info = st.lists(
    st.text(st.characters(blacklist_characters="\t\r\n;=", codec="utf-8"), min_size=1), max_size=4
).map(lambda entries: ";".join(entries) or ".")
record = st.tuples(
    column, st.integers(0, 2**31).map(str), column, column, column, column, column, info
)
rest = st.lists(column, max_size=3)
records = st.lists(st.tuples(record, rest).map(lambda r: "\t".join([*r[0], *r[1]])), max_size=20)


@settings(max_examples=60, deadline=None)
@given(records, st.sampled_from(["a.vcf", "a.vcf.gz"]), st.booleans())
def test_round_trip(lines: list[str], name: str, packed: bool) -> None:
    text = HEADER + "".join(f"{line}\n" for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, name)
        source.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        with VcfReader(source) as reader, open_output(target, format_of(target)) as output:
            output.lines(reader.header.lines)
            output.lines("\t".join(r.fields) for r in reader)
        data = target.read_bytes()
    assert (gzip.decompress(data) if name.endswith("gz") else data).decode() == text


@settings(max_examples=60, deadline=None)
@given(record, rest)
def test_only_info_changes_and_twice_is_once(columns: tuple[str, ...], more: list[str]) -> None:
    line = "\t".join([*columns, *more])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.vcf")
        path.write_text(HEADER + line + "\n", newline="")
        (before,) = VcfReader(path)
        scored = with_scores(Lines.of([before]), [b"GENOMIX_P=0.5"])
        path.write_text(HEADER + scored.decode(), newline="")
        (after,) = VcfReader(path)
    assert after.info("GENOMIX_P") == "0.5"
    assert after.fields[:7] == before.fields[:7]
    assert after.fields[8:] == before.fields[8:]
    assert with_scores(Lines.of([after]), [b"GENOMIX_P=0.5"]) == scored
