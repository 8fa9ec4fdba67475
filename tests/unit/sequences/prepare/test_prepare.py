"""Preparing sequences: each kind of input against a plain reading of the same file."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Sequences, open_sequences, provenance_of
from genomix_cli.genome.iupac import decode, encode
from genomix_cli.sequences.prepare import spool
from genomix_cli.sequences.prepare.fasta import regions_of, window_starts
from genomix_cli.sequences.prepare.genotypes import parse
from genomix_cli.sequences.prepare.parsed_input import LeftOut
from genomix_cli.sequences.prepare.sequences import prepare_sequences
from genomix_cli.sequences.prepare.spool import ColumnSpool, RowSpool
from genomix_cli.sequences.prepare.summary import PrepareSummary
from genomix_cli.sequences.prepare.vcf import alleles
from genomix_cli.sequences.requests.prepare import PrepareRequest
from genomix_cli.sequences.train.splits import splits

HEADER = "##fileformat=VCFv4.3\n##contig=<ID=1,length=40>\n##contig=<ID=2>\n"
# The reference of the VCFs here.
GENOME = {"1": "ACGTACGTACGTACGTACGTACGTACGTACGTACGTACGT", "2": "GGGGGCCCCCRAAAATTTTT"}


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def vcf(path: Path, records: Sequence[str], people: Sequence[str] = ("p1", "p2", "p3")) -> Path:
    """A VCF of lines ``CHROM POS REF ALT GENOTYPE...``, FORMAT being GT."""
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = ["\t".join([*columns, *people])]
    for record in records:
        chrom, pos, ref, alt, *genotypes = record.split()
        lines.append("\t".join([chrom, pos, ".", ref, alt, ".", ".", ".", "GT", *genotypes]))
    return text(path, HEADER + "\n".join(lines) + "\n")


def prepare(output: Path, *inputs: Path, **settings: Any) -> tuple[Sequences, PrepareSummary]:
    summary = prepare_sequences(PrepareRequest(inputs=inputs, output=output, **settings))
    return open_sequences(output), summary


def refused(folder: Path, message: str, *inputs: Path, **settings: Any) -> None:
    """The request ends in one line of `message`, and leaves nothing."""
    before = sorted(folder.iterdir())
    with pytest.raises((DataError, UsageError)) as caught:
        prepare(folder / "refused.h5", *inputs, **settings)
    assert re.search(message, caught.value.line()), caught.value.line()
    assert sorted(folder.iterdir()) == before


def letters(found: Sequences) -> list[str]:
    return [decode(row) for row in found.codes]


UNPHASED = ["1 2 C T 0/0 0/1 1/1", "1 6 C G,A 1/2 0/2 ./.", "1 9 A T 1 0 .", "2 3 G A 0/. 1/0 0/0"]
PHASED = ["1 2 C T 0|0 0|1 1|1", "1 6 C G,A 1|2 2|0 .|.", "1 9 A T 1 0 .", "2 3 G A 0|. 1|0 0/0"]


class TestVcf:
    def test_a_person_is_a_row_of_iupac_letters(self, tmp_path: Path) -> None:
        found, summary = prepare(tmp_path / "a.h5", vcf(tmp_path / "a.vcf", UNPHASED))
        assert letters(found) == ["CRTN", "YMAR", "TNNG"]
        assert found.names.tolist() == ["p1", "p2", "p3"]
        assert found.columns is not None
        assert found.columns.pos.tolist() == [1, 5, 8, 2]
        assert found.columns.contig.tolist() == [0, 0, 0, 1]
        assert found.columns.site.tolist() == [0, 1, 2, 3]
        assert decode(found.columns.ref) == "CCAG"
        assert decode(found.columns.alt) == "TRTA"
        assert found.contigs == {"1": 40, "2": 0}
        assert (summary.rows, summary.left_out) == ("genotypes", {})

    def test_a_phased_person_is_two_rows_of_one_group(self, tmp_path: Path) -> None:
        path = vcf(tmp_path / "a.vcf", PHASED)
        found, summary = prepare(tmp_path / "a.h5", path)
        assert found.names.tolist() == ["p1/1", "p1/2", "p2/1", "p2/2", "p3/1", "p3/2"]
        assert letters(found) == ["CGTG", "CATN", "CAAA", "TCAG", "TNNG", "TNNG"]
        assert found.group.tolist() == [0, 0, 1, 1, 2, 2]
        assert summary.rows == "haplotypes"
        assert summary.warnings == [
            "genotypes are phased: 3 people become 6 rows, NAME/1 and NAME/2, always in one part"
            "; for one row a person: --haplotypes no"
        ]
        asked, said = prepare(tmp_path / "c.h5", path, haplotypes="yes")
        assert (asked.names.tolist(), said.warnings) == (found.names.tolist(), [])
        joined, _ = prepare(tmp_path / "b.h5", path, haplotypes="no")
        assert letters(joined) == ["CRTN", "YMAR", "TNNG"]

    def test_what_is_partly_phased_has_to_be_told(self, tmp_path: Path) -> None:
        path = vcf(tmp_path / "a.vcf", ["1 2 C T 0|1 0/1 1/1"])
        refused(tmp_path, r"1 phased, 1 heterozygous and not.*--haplotypes no", path)
        # Which haplotype has which allele is not known: both have both.
        found, _ = prepare(tmp_path / "a.h5", path, haplotypes="yes")
        assert letters(found) == ["C", "T", "Y", "Y", "T", "T"]

    def test_what_is_no_snv_is_counted_by_reason(self, tmp_path: Path) -> None:
        others = {
            "1 3 GT G 0/0 0/1 0/0": "indels",
            "1 4 T <DEL> 0/0 0/1 0/0": "symbolic",
            "1 5 A * 0/0 0/1 0/0": "\\*",
            "1 5 AC GT 0/0 0/1 0/0": "several bases",
            "1 6 C . 0/0 0/0 0/0": "no ALT",
            "1 7 N C 0/0 0/0 0/0": "no base",
        }
        path = vcf(tmp_path / "a.vcf", [UNPHASED[0], *others])
        found, summary = prepare(tmp_path / "a.h5", path)
        assert found.length == 1
        assert len(summary.left_out) == len(others)
        for said, (record, reason) in zip(summary.left_out.items(), others.items(), strict=True):
            assert re.search(reason, said[0])
            assert said[1] == 1
            assert summary.examples[said[0]].startswith(":".join(record.split()[:2]))
        refused(tmp_path, "no site to use.*1 records are indels", vcf(path, [next(iter(others))]))

    def test_other_fields_and_spellings(self, tmp_path: Path) -> None:
        path = vcf(tmp_path / "a.vcf", ["1 2 c t 0/1:3:. 1/1 ./.:0", "1 3 G T 1 |1 /0/1"])
        found, _ = prepare(tmp_path / "a.h5", path, haplotypes="no")
        assert letters(found) == ["YT", "TT", "NK"]

    def test_flanks_are_the_reference_and_join(self, tmp_path: Path) -> None:
        fasta = text(tmp_path / "g.fa", "".join(f">{k}\n{v}\n" for k, v in GENOME.items()))
        path = vcf(
            tmp_path / "a.vcf",
            ["1 2 C T 0/0 0/1 1/1", "1 6 C G 1/1 0/0 0/1", "2 10 C T 0/0 0/1 1/1"],
        )
        found, _ = prepare(tmp_path / "a.h5", path, fasta=fasta, flank=2)
        assert found.columns is not None
        assert found.columns.pos.tolist() == [*range(8), *range(7, 12)]
        assert found.columns.site.tolist() == [-1, 0, -1, -1, -1, 1, -1, -1, -1, -1, 2, -1, -1]
        assert letters(found)[0] == "ACGTAGGT" + "CCCRA"
        assert letters(found)[1] == "AYGTACGT" + "CCYRA"
        assert decode(found.columns.ref) == "ACGTACGT" + "CCCRA"
        assert (found.columns.alt > 0).tolist() == (found.columns.site >= 0).tolist()
        assert found.contigs == {"1": 40, "2": 20}

    def test_two_records_at_one_position_have_a_column_each(self, tmp_path: Path) -> None:
        fasta = text(tmp_path / "g.fa", "".join(f">{k}\n{v}\n" for k, v in GENOME.items()))
        records = ["1 2 C T 0/1 0/0 0/0", "1 2 C G 0/0 1/1 0/0", "1 2 C A 0/0 0/0 1/1"]
        path = vcf(tmp_path / "a.vcf", [*records, "1 4 T A 0/0 0/1 1/1"])
        found, _ = prepare(tmp_path / "a.h5", path)
        assert letters(found) == ["YCCT", "CGCW", "CCAA"]
        wide, _ = prepare(tmp_path / "b.h5", path, fasta=fasta, flank=1)
        assert wide.columns is not None
        assert wide.columns.pos.tolist() == [0, 1, 1, 1, 2, 3, 4]
        assert letters(wide) == ["AYCCGTA", "ACGCGWA", "ACCAGAA"]
        # New people, whose file has these in another order, and one that is not known.
        other = vcf(tmp_path / "n.vcf", [records[2], records[1], "1 2 C T 0/1 0/0 1/1"], "xyz")
        new, summary = prepare(tmp_path / "c.h5", other, like=tmp_path / "a.h5")
        assert letters(new) == ["YCCN", "CGCN", "TCAN"]
        assert summary.facts["sites not in the VCF"] == 1

    @pytest.mark.parametrize(
        ("record", "letter"),
        [
            ("1 2 C T 0/1", "Y"),
            ("1 2 C A 0/1", "N"),
            ("1 2 C A,T 0/2", "N"),
        ],
    )
    def test_another_alternative_is_another_variant(
        self, tmp_path: Path, record: str, letter: str
    ) -> None:
        prepare(tmp_path / "a.h5", vcf(tmp_path / "a.vcf", ["1 2 C T 0/1 1/1 0/0"]))
        path = vcf(tmp_path / "b.vcf", [record], ["new"])
        if letter == "N":
            refused(tmp_path, "alternatives are not in a.h5", path, like=tmp_path / "a.h5")
            return
        new, _ = prepare(tmp_path / "b.h5", path, like=tmp_path / "a.h5")
        assert letters(new) == [letter]

    def test_the_columns_of_another_file(self, tmp_path: Path) -> None:
        first, _ = prepare(tmp_path / "a.h5", vcf(tmp_path / "a.vcf", UNPHASED))
        records = ["chr1 2 C T 0|1", "chr1 3 G T 0|1", "chr2 3 G A 1|1"]
        path = vcf(tmp_path / "b.vcf", records, ["new"])
        found, summary = prepare(tmp_path / "b.h5", path, like=tmp_path / "a.h5")
        # As in that file, a row is a person.
        assert letters(found) == ["YNNA"]
        assert found.contigs == first.contigs
        assert found.columns is not None
        assert first.columns is not None
        for mine, theirs in zip(found.columns, first.columns, strict=True):
            assert np.array_equal(mine, theirs)
        assert summary.facts["sites not in the VCF"] == 2
        assert summary.left_out == {"sites or alternatives are not in a.h5": 1}
        path = vcf(tmp_path / "c.vcf", ["1 2 T A 0/0"], ["new"])
        refused(
            tmp_path,
            "c.vcf:5: REF differs from a.h5.*expected C, found T",
            path,
            like=tmp_path / "a.h5",
        )

    def test_haplotypes_stay_haplotypes(self, tmp_path: Path) -> None:
        prepare(tmp_path / "a.h5", vcf(tmp_path / "a.vcf", PHASED))
        path = vcf(tmp_path / "b.vcf", ["1 2 C T 0/1"], ["new"])
        refused(tmp_path, "is not phased, but a.h5 has haplotypes", path, like=tmp_path / "a.h5")
        same = vcf(tmp_path / "c.vcf", ["1 2 C T 1/1"], ["new"])
        found, _ = prepare(tmp_path / "b.h5", same, like=tmp_path / "a.h5")
        assert letters(found) == ["TNNN", "TNNN"]

    def test_rare_and_missing_sites(self, tmp_path: Path) -> None:
        records = ["1 2 C T 0/0 0/0 0/1", "1 3 G A ./. 0/1 ./1", "1 4 T A 0/1 1/1 0/0"]
        path = vcf(tmp_path / "a.vcf", records)
        found, summary = prepare(tmp_path / "a.h5", path, max_missing=0.5, min_maf=0.2)
        assert letters(found) == ["W", "A", "T"]
        assert list(summary.left_out.values()) == [1, 1]
        found, _ = prepare(tmp_path / "b.h5", path, regions="1:3-3")
        assert letters(found) == ["N", "R", "N"]

    def test_chromosomes_in_files_of_their_own(self, tmp_path: Path) -> None:
        first = vcf(tmp_path / "1.vcf", UNPHASED[:3])
        second = vcf(tmp_path / "2.vcf", UNPHASED[3:])
        both, _ = prepare(tmp_path / "b.h5", first, second)
        one, _ = prepare(tmp_path / "a.h5", vcf(tmp_path / "a.vcf", UNPHASED))
        assert letters(both) == letters(one)
        refused(
            tmp_path,
            "3.vcf:5: positions are not sorted",
            first,
            vcf(tmp_path / "3.vcf", UNPHASED[:1]),
        )
        other = vcf(tmp_path / "2.vcf", UNPHASED[3:], ["p1", "p3", "p2"])
        refused(tmp_path, "2.vcf: has other samples, or the same in another order", first, other)

    @pytest.mark.parametrize(
        ("records", "message"),
        [
            (["1 9 A T 0/0 0/0 0/1", "1 2 C T 0/0 0/0 0/1"], "a.vcf:6: positions are not sorted"),
            (
                ["1 2 C T 0/0 0/0 0/1", "2 3 G A 0 0 1", "1 9 A T 0 0 1"],
                "a.vcf:7: .* not contiguous",
            ),
            (["1 2 C T 0/0 0/1"], r"a.vcf:5 \(1:2\): the number of columns .*expected 3 .*found 2"),
            (["1 2 C T 0/0 0/1 0/2"], r"a.vcf:5 .*expected 0 to 1, found 0/2"),
            (["1 2 C T 0/0 0/1 0/0/1"], "not a genotype of one or two alleles"),
            (["1 2 C T 0/0 0/1 01"], "not a genotype .* .expected 0/1, found '01'"),
            (["1 2 C T 0/0 0/1 0|01"], "not a genotype .* .expected 0/1, found '0.01'"),
            (["1 2 C T 0/0 0/1 x"], r"not a genotype .*'x'"),
            ([], "no site to use.*no records"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(
        self, tmp_path: Path, records: list[str], message: str
    ) -> None:
        refused(tmp_path, message, vcf(tmp_path / "a.vcf", records))

    def test_people_and_reference(self, tmp_path: Path) -> None:
        refused(tmp_path, "'p' is repeated", vcf(tmp_path / "a.vcf", [], ["p", "p"]))
        alone = text(tmp_path / "a.vcf", HEADER + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        refused(tmp_path, "has no samples", alone)
        fasta = text(tmp_path / "g.fa", ">1\nAAAAAAAAA\n")
        pysam.faidx(str(fasta))
        path = vcf(tmp_path / "a.vcf", UNPHASED[:1])
        refused(tmp_path, "a.vcf:5: REF differs .*expected A as .*found C", path, fasta=fasta)
        path = vcf(tmp_path / "a.vcf", ["1 99 C T 0/0 0/1 1/1"])
        found, _ = prepare(tmp_path / "a.h5", path)
        assert found.length == 1

    def test_bcf_is_the_same(self, tmp_path: Path) -> None:
        path = vcf(tmp_path / "a.vcf", UNPHASED)
        header = '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n#CHROM'
        text(path, path.read_text().replace("#CHROM", header))
        bcf = tmp_path / "a.bcf"
        with (
            pysam.VariantFile(str(path)) as source,
            pysam.VariantFile(str(bcf), "wb", header=source.header) as sink,
        ):
            for record in source:
                sink.write(record)
        first, _ = prepare(tmp_path / "a.h5", path)
        second, _ = prepare(tmp_path / "b.h5", bcf)
        assert np.array_equal(first.codes, second.codes)
        assert provenance_of(tmp_path / "b.h5")["inputs"].keys() == {"VCF a.bcf"}


def naive(genotype: str, sets: Sequence[int]) -> tuple[int, int]:
    """Both alleles of a genotype as a person would read it, in order only where it is phased."""
    numbers = re.split("[/|]", genotype.split(":")[0])
    found = [15 if number == "." else sets[int(number)] for number in numbers]
    if len(found) == 1:
        return found[0], found[0]
    return (found[0], found[1]) if "|" in genotype else (found[0] | found[1],) * 2


ALLELE = st.sampled_from([*"0123."])
GENOTYPE = st.one_of(
    ALLELE,
    st.builds("{}{}{}".format, ALLELE, st.sampled_from("/|"), ALLELE),
    st.builds("{}/{}:{}".format, ALLELE, ALLELE, st.sampled_from(["9", "9:0/1", "."])),
)


@given(st.lists(GENOTYPE, min_size=1, max_size=12))
def test_genotypes_are_read_as_a_person_would(genotypes: list[str]) -> None:
    sets = [1, 2, 4, 8]
    found = parse("\t".join(["GT:X", *genotypes]), len(genotypes), sets, "here").packed
    assert [(code & 15, code >> 4) for code in found.tolist()] == [
        naive(genotype, sets) for genotype in genotypes
    ]


@given(st.lists(st.sampled_from(["0/0", "0|1", "./.", "1/0"]), min_size=1, max_size=9))
def test_short_lines_are_read_the_same(genotypes: list[str]) -> None:
    short, long = (
        parse("\t".join([key, *genotypes]), len(genotypes), [2, 8], "here") for key in ("GT", "GT:")
    )
    assert np.array_equal(short.packed, long.packed)
    assert short[3:] == long[3:]
    assert short.phased == sum("|" in g for g in genotypes)
    assert short.unphased == sum(g == "1/0" for g in genotypes)


def test_alleles_of_several_alternatives() -> None:
    assert alleles("A", "C,T") == [1, 2, 8]
    assert alleles("A", "C,TT") == "records are indels"
    assert alleles("A", "C,*") == "records have an allele * (deleted)"


def test_pieces_on_disk_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (7, 50), dtype=np.uint8)
    monkeypatch.setattr(spool, "PIECE", 100)
    monkeypatch.setattr(spool, "_TILE", 16)
    columns, rows = ColumnSpool(tmp_path, 7), RowSpool(tmp_path)
    for column in whole.T:
        columns.add(column)
    for part in (whole[0], whole[1:4], whole[4:]):
        rows.add(part)
    for blocks in (list(columns.blocks()), list(rows.blocks(50))):
        assert len(blocks) == 4
        assert np.array_equal(np.concatenate(blocks), whole)
    assert len(columns) == 50
    assert not list(tmp_path.iterdir())


@given(st.text(alphabet="AN", max_size=30), st.integers(1, 5), st.integers(1, 5))
def test_unknown_bases_are_counted(letters: str, length: int, stride: int) -> None:
    left_out = LeftOut()
    found = window_starts(encode(letters), "c", length, stride, 0.5, left_out)
    every = range(0, len(letters), stride)
    whole = [i for i in every if i + length <= len(letters)]
    known = [i for i in whole if letters[i : i + length].count("N") <= length / 2]
    assert found.tolist() == known
    assert sum(left_out.counts.values()) == len(every) - len(known)


class TestFasta:
    def test_records(self, tmp_path: Path) -> None:
        path = text(tmp_path / "a.fa", ">a first\nACgt\nRY\n\n>b\r\nNN NN\nAU\n")
        found, summary = prepare(tmp_path / "a.h5", path)
        assert letters(found) == ["ACGTRY", "NNNNAT"]
        assert found.names.tolist() == ["a", "b"]
        assert (summary.kind, summary.rows, found.windows) == ("FASTA", "records", None)
        packed = tmp_path / "a.fa.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        again, _ = prepare(tmp_path / "b.h5", packed)
        assert np.array_equal(again.codes, found.codes)
        packed.write_bytes(packed.read_bytes()[:-12])
        refused(tmp_path, "compressed file is truncated", packed)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                ">a\nACGT\n>b\nACG\n",
                "a.fa:3: .*unequal.*4 bases as a has, found b with 3.*--window",
            ),
            (">a\nACGT\n>b\nAC-T\n", "a.fa:3: b: a letter that is not a base.*'-' at position 3"),
            (">a\nACGT\n>a\nACGT\n", "'a' is repeated.*sequences 1 and 2.*--make-ids"),
            (">a\n>b\nACGT\n", "a has no bases"),
            (">\nACGT\n", "a.fa:1: a record without an id"),
            (">a\nACGT\n>b\n", "b has no bases"),
            ("", "a.fa: is empty"),
            (" \n", "a.fa: is empty"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(
        self, tmp_path: Path, content: str, message: str
    ) -> None:
        refused(tmp_path, message, text(tmp_path / "a.fa", content))

    def test_a_byte_order_mark_is_not_part_of_the_first_id(self, tmp_path: Path) -> None:
        path = text(tmp_path / "a.fa", "\ufeff>a\nACGT\n>b\nACGG\n")
        found, _ = prepare(tmp_path / "a.h5", path)
        assert found.names.tolist() == ["a", "b"]

    def test_ids_that_are_made(self, tmp_path: Path) -> None:
        path = text(tmp_path / "a.fa", ">a\nACGT\n>a\nACGG\n")
        found, _ = prepare(tmp_path / "a.h5", path, make_ids=True)
        assert found.names.tolist() == ["sequence_1", "sequence_2"]

    def test_windows(self, tmp_path: Path) -> None:
        path = text(tmp_path / "a.fa", ">one\nACGTACGTAC\nGTA\n>short\nAC\n>gap\nACNNNNNNNNGT\n")
        found, summary = prepare(tmp_path / "a.h5", path, window=4, stride=3)
        assert found.names.tolist() == [*("one:0-4", "one:3-7", "one:6-10", "one:9-13", "gap:0-4")]
        assert letters(found) == ["ACGT", "TACG", "GTAC", "CGTA", "ACNN"]
        assert found.windows is not None
        assert found.windows.start.tolist() == [0, 3, 6, 9, 0]
        assert found.windows.contig.tolist() == [0, 0, 0, 0, 1]
        assert found.contigs == {"one": 13, "gap": 12}
        crossing, unknown = summary.left_out.values()
        # one:12, short:0, gap:9; then gap:3 and gap:6.
        assert (crossing, unknown) == (3, 2)
        assert any("3 of 5 windows overlap" in warning for warning in summary.warnings)
        apart, summary = prepare(tmp_path / "c.h5", path, window=4, stride=3, group="contig")
        assert apart.group.tolist() == [0, 0, 0, 0, 1]
        assert not summary.warnings
        apart, summary = prepare(tmp_path / "b.h5", path, window=4, max_n=1)
        assert len(apart) == 6
        assert not summary.warnings
        refused(tmp_path, "no window is left.*3 windows cross", path, window=90)

    def test_regions(self, tmp_path: Path) -> None:
        fasta = text(tmp_path / "g.fa", "".join(f">{k}\n{v}\n" for k, v in GENOME.items()))
        bed = text(tmp_path / "a.bed", "track x\nchr2\t4\t12\tx\t0\t+\nchr2\t4\t12\ty\t0\t-\n")
        found, summary = prepare(tmp_path / "a.h5", fasta, bed=bed)
        assert "1 of 2 windows overlap the one before" in summary.warnings[0]
        assert found.names.tolist() == ["x", "y"]
        assert letters(found) == ["GCCCCCRA", "TYGGGGGC"]
        assert found.windows is not None
        assert found.windows.strand.tolist() == [1, -1]
        uneven = text(tmp_path / "b.bed", "2 4 12 x\n2 5 9 x\n1 0 2 z\n")
        found, summary = prepare(tmp_path / "b.h5", fasta, bed=uneven, window=4)
        assert found.names.tolist() == ["2:6-10(+)", "2:5-9(+)"]
        assert list(summary.left_out.values()) == [1]
        refused(
            tmp_path, "unequal.*8 bases as 2:4-12.*with 4.; centre.*--window", fasta, bed=uneven
        )
        wrong = text(tmp_path / "c.bed", "2 4\n")
        refused(tmp_path, "c.bed:1: is not a region", fasta, bed=wrong)
        strange = text(tmp_path / "c.bed", "9 4 8\n")
        refused(tmp_path, "has no contig '9'", fasta, bed=strange)


TABLE = "name,sequence,cls,age,family,part,note\n" + "\n".join(
    f"s{i},{'ACGT'[i % 4] * 5},{'ab'[i % 2]},{i or 'NA'},f{i // 2},{'train' * (i > 0)},n{i}"
    for i in range(50)
)


class TestTables:
    def test_a_table_of_sequences(self, tmp_path: Path) -> None:
        path = text(tmp_path / "a.csv", TABLE)
        roles = {"label": "cls", "group": "family", "split": "part"}
        found, summary = prepare(tmp_path / "a.h5", path, **roles)
        assert letters(found)[:2] == ["AAAAA", "CCCCC"]
        assert found.label()[0] == ("a", "b")
        assert found.label()[1].tolist() == [0, 1] * 25
        age = found.phenotype("age")
        assert age.categories is None
        assert np.isnan(age.values[0])
        assert age.values[1:].tolist() == list(range(1, 50))
        assert found.group.tolist() == [i // 2 for i in range(50)]
        assert found.split.tolist() == ["", *["train"] * 49]
        assert [p.name for p in found.phenotypes] == ["cls", "age"]
        assert "no split is called test" in summary.warnings[0]
        assert summary.not_used == {"note": "50 categories of 50 values (--categorical note)"}
        assert (summary.classes, summary.unlabelled) == ({"a": 25, "b": 25}, 0)

    def test_numbers_beside_a_word_become_categories_and_that_is_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        rows = "id,sequence,x\na,ACGT,1.5\nb,ACGA,\nc,ACGC,2\nd,ACGG,inf\n"
        found, _ = prepare(tmp_path / "a.h5", text(tmp_path / "a.csv", rows))
        assert found.phenotype("x").categories is not None
        said = "a.csv:5: x is read as categories, because 'inf' is not a number (2 of 3 values are)"
        assert said in caplog.text
        caplog.clear()
        prepare(tmp_path / "b.h5", text(tmp_path / "b.csv", rows), categorical=("x",))
        prepare(tmp_path / "c.h5", text(tmp_path / "c.csv", TABLE))
        assert not caplog.text

    def test_kinds_can_be_told(self, tmp_path: Path) -> None:
        path = text(tmp_path / "a.csv", TABLE)
        found, _ = prepare(tmp_path / "a.h5", path, label="age", categorical=("note",))
        # Numbers in their order, not 1, 10, 11.
        assert found.label()[0][:3] == ("1", "2", "3")
        assert len(found.phenotype("note").categories or ()) == 50
        found, _ = prepare(tmp_path / "b.h5", path, keep=("age",))
        assert [p.name for p in found.phenotypes] == ["age"]
        refused(tmp_path, "a.csv:2: cls is not a number .found 'a'", path, numeric=("cls",))
        refused(tmp_path, "--numeric: cls cannot be both", path, numeric=("cls",), label="cls")

    def test_coordinates_are_used_where_they_fit(self, tmp_path: Path) -> None:
        rows = "id\tchr\tstart\tend\tstrand\tseq\nx\tchr2\t5\t9\t-\tACGT\ny\tchr1\t0\t4\t+\tACGG\n"
        path = text(tmp_path / "a.tsv", rows)
        found, _ = prepare(tmp_path / "a.h5", path)
        assert found.windows is not None
        assert [column.tolist() for column in found.windows] == [[0, 1], [5, 0], [-1, 1]]
        assert found.contigs == {"chr2": 0, "chr1": 0}
        assert [p.name for p in found.phenotypes] == ["chr"]
        text(path, rows.replace("\t9\t", "\t10\t"))
        found, summary = prepare(tmp_path / "b.h5", path)
        assert found.windows is None
        assert summary.facts == {
            "coordinates not used": "1 sequences are not as long as start to end"
        }

    @pytest.mark.parametrize(
        ("content", "settings", "message"),
        [
            (
                "id,sequence\na,ACGT\na,ACGT\n",
                {},
                "a.csv:3: 'a' is repeated, first in line 2.*--make-ids",
            ),
            (
                "id,sequence\na,ACGT\nb,ACG\n",
                {},
                "a.csv:3: .*unequal.*4 bases as a has, found b with 3",
            ),
            ("id,sequence\na,ACGT\nb,ACG!\n", {}, "a.csv:3: a letter.*'!' at position 4"),
            ("id,sequence\na,ACGT\nb\n", {}, "a.csv:3: the row has another number of columns"),
            ("id,sequence\na,ACGT\n,ACGT\n", {}, "a.csv:3: the row has no id"),
            ("id,sequence\na,\n", {}, "a.csv:2: a has no bases"),
            ("id,sequence\n,\n", {}, "a.csv:2: a row without an id has no bases"),
            ("id,sequence\n", {}, "has a header but no rows"),
            ("id,dna\na,ACGT\n", {}, "no column with sequences.*--sequence-column"),
            ("sequence,y\nACGT,1\n", {}, "no column with ids.*--make-ids"),
            ("id,sequence,id\na,ACGT,b\n", {}, "a.csv:1: the column .id. is repeated"),
            (
                "id,sequence,y\na,ACGT,1\n",
                {"label": "Y"},
                "no column 'Y' .--label.*did you mean 'y'",
            ),
            ("id,sequence\na,ACGT\n", {"group": "contig"}, "no column 'contig'"),
            ("id,sequence,y\na,ACGT,NA\n", {"label": "y"}, "no value of y for any sequence"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(
        self, tmp_path: Path, content: str, settings: dict[str, str], message: str
    ) -> None:
        refused(tmp_path, message, text(tmp_path / "a.csv", content), **settings)

    def test_ids_that_are_made(self, tmp_path: Path) -> None:
        path = text(tmp_path / "a.csv", "sequence,y\nACGT,1\nACGT,2\n")
        found, _ = prepare(tmp_path / "a.h5", path, make_ids=True)
        assert found.names.tolist() == ["sequence_1", "sequence_2"]
        assert found.phenotype("y").values.tolist() == [1, 2]


class TestPhenotypesOfPeople:
    @pytest.fixture
    def people(self, tmp_path: Path) -> Path:
        return vcf(tmp_path / "a.vcf", PHASED)

    def test_both_haplotypes_have_what_is_known_of_the_person(
        self, tmp_path: Path, people: Path
    ) -> None:
        content = "sample\tpop\theight\tfamily\np3\tX\t1.5\tf1\np1\t.\tNA\tf1\np2\tY\t1e1\t\n"
        table = text(tmp_path / "s.tsv", content)
        found, summary = prepare(
            tmp_path / "a.h5", people, table=table, label="pop", group="family"
        )
        assert found.label()[1].tolist() == [-1, -1, 1, 1, 0, 0]
        height = found.phenotype("height").values
        assert np.array_equal(height, [np.nan, np.nan, 10, 10, 1.5, 1.5], equal_nan=True)
        assert found.group.tolist() == [0, 0, 1, 1, 0, 0]
        assert summary.unlabelled == 2
        rare = "2 classes of pop have one sequence or group (e.g. X, Y)"
        assert any(rare in warning for warning in summary.warnings)

    def test_who_does_not_match_is_named(self, tmp_path: Path, people: Path) -> None:
        table = text(tmp_path / "s.tsv", "sample\tpop\np3\tX\np9\tY\n")
        message = r"2 have no row \(p1, p2\) and 1 rows have no sequence \(p9\).*--allow-unmatched"
        refused(tmp_path, message, people, table=table)
        found, summary = prepare(
            tmp_path / "a.h5", people, table=table, label="pop", allow_unmatched=True
        )
        assert found.label()[1].tolist() == [-1] * 4 + [0, 0]
        assert (summary.without_row, summary.unused_rows) == (2, 1)
        none = text(tmp_path / "s.tsv", "sample\tpop\nx\tX\ny\tY\n")
        refused(
            tmp_path,
            "no row for any sequence.*--id-column",
            people,
            table=none,
            allow_unmatched=True,
        )

    def test_a_header_that_is_a_comment_loses_nobody(self, tmp_path: Path, people: Path) -> None:
        table = text(tmp_path / "s.tsv", "#IID\tpop\np1\tX\np2\tX\np3\tY\n")
        refused(tmp_path, "its header begins with #", people, table=table)

    def test_a_class_of_one_cannot_be_parted(self, tmp_path: Path) -> None:
        rows = [f">s{i}\nAA{'ACGT'[i // 4 % 4]}{'ACGT'[i % 4]}{'AC'[i // 16]}\n" for i in range(20)]
        fasta = text(tmp_path / "a.fa", "".join(rows))
        lines = [f"s{i}\t{'rare' if i == 5 else 'common'}" for i in range(20)]
        table = text(tmp_path / "s.tsv", "id\tcls\n" + "\n".join(lines))
        found, summary = prepare(tmp_path / "a.h5", fasta, table=table, label="cls")
        assert "1 classes of cls have one sequence or group (e.g. rare)" in summary.warnings[0]
        with pytest.raises(DataError, match="1 class has no sequence in the"):
            splits(found, found.label()[1], "auto", 0)


def test_requests_that_contradict_themselves(tmp_path: Path) -> None:
    fasta = text(tmp_path / "a.fa", ">a\nACGT\n")
    people = vcf(tmp_path / "a.vcf", UNPHASED)
    table = text(tmp_path / "a.csv", "id,sequence\na,ACGT\n")
    refused(tmp_path, "--stride: applies only to windows", fasta, stride=3)
    refused(tmp_path, "--window: is for a FASTA .found a VCF", people, window=3)
    refused(tmp_path, "--like: is for a VCF .found a FASTA", fasta, like=table)
    refused(tmp_path, "--sequence-column: is for a table", fasta, sequence_column="x")
    refused(tmp_path, "--flank: cannot be given .expected --fasta", people, flank=3)
    refused(tmp_path, "--label: needs a table", fasta, label="x")
    refused(tmp_path, "--table: the input is itself a table", table, table=table)
    refused(tmp_path, "--haplotypes: unknown", people, haplotypes="maybe")
    refused(tmp_path, "--make-ids", people, make_ids=True)
    refused(tmp_path, "inputs of several kinds .expected FASTA, found VCF", fasta, people)
    refused(tmp_path, "an input is given twice", fasta, fasta)
    refused(tmp_path, "no such file", tmp_path / "absent.fa")
    refused(tmp_path, "is a folder", tmp_path)
    refused(tmp_path, "unaligned.h5: is not text", _unaligned(tmp_path, fasta))
    refused(tmp_path, "its sequences are not aligned", people, like=_unaligned(tmp_path, fasta))


def _unaligned(folder: Path, fasta: Path) -> Path:
    prepare(folder / "unaligned.h5", fasta, force=True)
    return folder / "unaligned.h5"


def test_the_same_bytes_and_no_overwriting(tmp_path: Path) -> None:
    path = vcf(tmp_path / "a.vcf", PHASED)
    prepare(tmp_path / "a.h5", path)
    prepare(tmp_path / "b.h5", path)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    request = PrepareRequest(inputs=(path,), output=tmp_path / "a.h5")
    with pytest.raises(UsageError, match=r"already exists.*--force"):
        prepare_sequences(request)
    prepare_sequences(replace(request, force=True))
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["a.h5", "a.vcf", "b.h5"]


@pytest.mark.slow
def test_real_people(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "kg1000_peddy"
    path = folder / "kg1000.grch38.vcf.gz"
    table = folder / "samples.tsv"
    found, summary = prepare(tmp_path / "a.h5", path, table=table, label="superpopulation")
    assert found.codes.shape == (2504, 23_770)
    assert not summary.left_out
    assert len(found.label("population")[0]) == 26
    names, label = found.label()
    assert dict(zip(names, np.bincount(label).tolist(), strict=True)) == {
        **{"AFR": 661, "AMR": 347, "EAS": 504, "EUR": 503, "SAS": 489}
    }
    # Every hundredth site, read in the plainest way.
    with gzip.open(path, "rt") as lines:
        records = [line.split() for line in lines if not line.startswith("#")]
    for site in range(0, len(records), 100):
        _, pos, _, ref, alt, _, _, _, _, *genotypes = records[site]
        sets = {"0/0": encode(ref)[0], "1/1": encode(alt)[0]}
        sets |= {"0/1": sets["0/0"] | sets["1/1"]}
        assert found.columns is not None
        assert found.columns.pos[site] == int(pos) - 1
        assert found.codes[:, site].tolist() == [sets[genotype] for genotype in genotypes]


@pytest.mark.slow
def test_real_regulatory_sequences(shared_data: Path, tmp_path: Path) -> None:
    path = next((shared_data / "dhs_dnadiffusion").glob("*.txt.gz"))
    found, _ = prepare(tmp_path / "a.h5", path, label="TAG", split="data_label")
    assert found.codes.shape == (47_872, 200)
    names, label = found.label()
    assert (len(names), np.bincount(label).tolist()) == (4, [11_968] * 4)
    by, (split,) = splits(found, label, "auto", 0)
    assert by == "the file's own split"
    assert [len(part) for part in split.parts] == [39_254, 4_053, 4_565]
    chromosome = found.phenotype("chr")
    assert chromosome.categories is not None
    assert {chromosome.categories[k] for k in chromosome.values[split.test]} == {"chr1"}
    with gzip.open(path, "rt") as lines:
        last = lines.read().splitlines()[-1].split("\t")
    assert decode(found.codes[-1]) in last
    assert found.names[-1] == last[0]


@pytest.mark.slow
def test_memory_does_not_grow_with_sites(tmp_path: Path) -> None:
    """Peak memory is the same for 30 MB and 150 MB of genotypes."""
    peaks = []
    rng = np.random.default_rng(0)
    lines = ["\t".join(rng.choice(["0/0", "0/1", "1/1"], 2000)) for _ in range(20)]
    for n in (4_000, 20_000):
        path = tmp_path / f"{n}.vcf"
        with path.open("w") as file:
            file.write(HEADER + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t")
            file.write("\t".join(f"p{i}" for i in range(2000)) + "\n")
            for i in range(n):
                file.write(f"1\t{i + 1}\t.\tA\tC\t.\t.\t.\tGT\t{lines[i % 20]}\n")
        code = (
            "import resource, sys; from pathlib import Path;"
            "from genomix_cli.sequences.prepare.sequences import *;"
            "prepare_sequences(PrepareRequest((Path(sys.argv[1]),), Path(sys.argv[1] + '.h5')));"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        ended = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
        peaks.append(int(ended.stdout))
    assert peaks[1] < peaks[0] + 20_000  # kB; the matrix itself grows by 32,000


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "b"], ""),
        (["a", "a"], "names are not used, since 'a' is there twice; regions are named by place"),
        (
            ["a", "."],
            "names are not used, since some regions have none; regions are named by place",
        ),
        ([".", "."], ""),
    ],
)
def test_names_of_regions_are_used_or_it_is_said_why_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], said: str
) -> None:
    bed = tmp_path / "r.bed"
    bed.write_text("".join(f"chr1\t{i}\t{i + 5}\t{name}\n" for i, name in enumerate(names)))
    used = [region.name for region in regions_of(bed)]
    assert used == (names if names == ["a", "b"] else ["", ""])
    assert caplog.text.count("regions are named by place") == bool(said)
    assert said in caplog.text
