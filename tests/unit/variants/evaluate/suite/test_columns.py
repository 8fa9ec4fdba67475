"""Scores of other tools, matched by allele."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from genomix_cli.errors import CheckError, DataError, GenomixError, UsageError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.alphabet import decode
from genomix_cli.variants.evaluate.suite import columns
from genomix_cli.variants.evaluate.suite.baselines.base import BaselineTask
from genomix_cli.variants.evaluate.suite.columns import Column, read_columns, read_table
from genomix_cli.variants.evaluate.suite.entrants import Entrant, score_columns
from genomix_cli.variants.evaluate.suite.strata import variant_class
from genomix_cli.variants.requests.evaluate import SuiteRequest
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
    other = Column.parse("OTHER")
    found = read_columns(path, [other], shard, rows)[other]
    known = np.isfinite(found)
    assert 0.5 < known.mean() < 0.8
    assert found[known] == pytest.approx(shard.variants.probability[rows][known], abs=1e-6)
    assert set(variant_class(shard.variants, rows[known])) >= {0, 1, 2}
    with pytest.raises(UsageError, match=r"no INFO key 'OTHR'.*did you mean 'OTHER'"):
        read_columns(path, [Column.parse("OTHR")], shard, rows)
    path.write_text("".join(head))
    with pytest.raises(DataError, match="no test variant has OTHER"):
        read_columns(path, [other], shard, rows)


def snvs(shard: Shard, contig: str, count: int) -> tuple[np.ndarray, list[tuple[int, str, str]]]:
    """Rows of substitutions at different places, and POS, REF and ALT of each."""
    table, rows = shard.variants, rows_of(shard, contig)
    alleles = [(int(table.pos[r]) + 1, table.ref[r].decode(), table.alt[r].decode()) for r in rows]
    alone = [i for i, (pos, ref, alt) in enumerate(alleles) if len(ref) == 1 == len(alt)]
    places = [alleles[i][0] for i in alone]
    alone = [i for i, pos in zip(alone, places, strict=True) if places.count(pos) == 1][:count]
    return rows[alone], [alleles[i] for i in alone]


def write_vcf(path: Path, rows: list[tuple[int, str, str, str]], *formats: str) -> Path:
    head = "".join(
        f'##INFO=<ID={key},Number=.,Type=String,Description="Scores. Format: {parts}">\n'
        for key, parts in (text.split("=") for text in formats)
    )
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    lines = [f"4\t{pos}\t.\t{ref}\t{alt}\t.\t.\t{info}\n" for pos, ref, alt, info in rows]
    path.write_text(f"##fileformat=VCFv4.3\n{head}{columns}{''.join(lines)}")
    return path


def other(ref: str, alt: str) -> str:
    return next(base for base in "ACGT" if base not in (ref, alt))


def read_one(path: Path, name: str, shard: Shard, rows: np.ndarray) -> list[float]:
    column = Column.parse(name)
    return read_columns(path, [column], shard, rows)[column].tolist()


def test_parts_of_annotated_strings_are_read_by_name_and_the_strongest_counts(
    shard: Shard, tmp_path: Path
) -> None:
    rows, ((p1, r1, a1), (p2, r2, a2), (p3, r3, a3)) = snvs(shard, "chr4", 3)
    o2 = other(r2, a2)
    path = write_vcf(
        tmp_path / "annotated.vcf",
        [
            (p1, r1, a1, f"CSQ={a1}|benign(0.4)|0.1&.&0.9,{a1}|harmful(0.02)|;S={a1}|G|0.1|0.7"),
            (p2, r2, f"{o2},{a2}", f"CSQ={a2}|x(0.5)|0.3,{o2}|x(0.1)|1;S={o2}|G|1|1,{a2}|G|.|0.2"),
            (p3, r3, a3, "CSQ=.;S=."),
        ],
        "CSQ=Allele|SIFT|EVE",
        "S=ALLELE|SYMBOL|DS_AG|DS_AL",
    )
    nan = pytest.approx([0.9, 0.3, np.nan], nan_ok=True)
    assert read_one(path, "CSQ:EVE", shard, rows) == nan
    assert read_one(path, "CSQ:SIFT", shard, rows)[:2] == [0.4, 0.5]
    assert read_one(path, "CSQ:SIFT=down", shard, rows)[:2] == [0.02, 0.5]
    assert read_one(path, "S:DS_AG", shard, rows)[0] == 0.1
    assert read_one(path, "S:DS_AG,DS_AL", shard, rows)[:2] == [0.7, 0.2]


def test_an_entry_is_about_the_allele_it_numbers_or_spells_without_the_shared_base(
    shard: Shard, tmp_path: Path
) -> None:
    rows, ((p1, r1, a1), (p2, r2, a2)) = snvs(shard, "chr4", 2)
    entries = f"CSQ={a1}|2|0.6,{a1}|1|0.9"
    numbered = write_vcf(
        tmp_path / "n.vcf",
        [(p1, r1, f"{other(r1, a1)},{a1}", entries)],
        "CSQ=Allele|ALLELE_NUM|X",
    )
    assert read_one(numbered, "CSQ:X", shard, rows[:1]) == [0.6]
    before = "ACGT"[int(shard.codes("chr4", p2 - 2, p2 - 1)[0])]
    # Beside an insertion, VEP spells a substitution without the base before it.
    alts = f"{before}TT{r2},{before}{a2}"
    trimmed = write_vcf(
        tmp_path / "t.vcf",
        [(p2 - 1, before + r2, alts, f"CSQ=TT{r2}|1|0.8,{a2}|1|0.3")],
        "CSQ=Allele|N|X",
    )
    assert read_one(trimmed, "CSQ:X", shard, rows[1:]) == [0.3]


def test_mistakes_in_annotated_strings_are_told(shard: Shard, tmp_path: Path) -> None:
    rows, ((pos, ref, alt),) = snvs(shard, "chr4", 1)
    path = write_vcf(
        tmp_path / "x.vcf", [(pos, ref, alt, f"CSQ={alt}|low;B={alt}|1|2")], "CSQ=Allele|X", "B=A|B"
    )
    with pytest.raises(UsageError, match=r"CSQ has several parts: name one.*CSQ:PART.*Allele, X"):
        read_one(path, "CSQ", shard, rows)
    with pytest.raises(UsageError, match="no part of CSQ called 'Y'"):
        read_one(path, "CSQ:Y", shard, rows)
    with pytest.raises(DataError, match=f"x.vcf:{5}, CSQ:X: not a number"):
        read_one(path, "CSQ:X", shard, rows)
    with pytest.raises(DataError, match="B has another number of parts"):
        read_one(path, "B:B", shard, rows)
    with pytest.raises(DataError, match="does not describe the parts of OTHER"):
        read_one(path, "OTHER:X", shard, rows)


def table_of(path: Path, alleles: list[tuple[int, str, str]], values: list[object]) -> Path:
    lines = ["##made by a test\nchrom\tpos\tref\talt\tphyloP\n"]
    lines += [f"4\t{p}\t{r}\t{a}\t{v}\n" for (p, r, a), v in zip(alleles, values, strict=True)]
    path.with_suffix(".tsv").write_text("".join(lines))
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame = pd.read_csv(path.with_suffix(".tsv"), sep="\t", comment="#")
        frame.to_parquet(path, row_group_size=3)
    return path


@pytest.mark.parametrize(("suffix", "row"), [(".tsv", ":4"), (".parquet", ": row 2")])
def test_a_table_is_matched_by_allele(shard: Shard, tmp_path: Path, suffix: str, row: str) -> None:
    rows, alleles = snvs(shard, "chr4", 4)
    column = Column.parse("phyloP")
    values = [1.5, "NA", -2, 0.25, 1.5]
    path = table_of(tmp_path / f"t{suffix}", [*alleles, alleles[0]], values)
    found = read_table(path, [column], shard, rows)[column]
    assert found == pytest.approx([1.5, np.nan, -2, 0.25], nan_ok=True)
    twice = table_of(tmp_path / f"twice{suffix}", [alleles[0], alleles[0]], [1, 2])
    message = f"twice{suffix}{row}: two values of phyloP for the same allele"
    with pytest.raises(DataError, match=message):
        read_table(twice, [column], shard, rows)
    with pytest.raises(UsageError, match=r"no column 'phylop'.*did you mean 'phyloP'"):
        read_table(path, [Column.parse("phylop")], shard, rows)
    with pytest.raises(DataError, match="no training variant has phyloP"):
        read_table(path, [column], shard, rows_of(shard, "chr1"), "training")


@pytest.mark.parametrize("kind", ["vcf", "table"])
def test_of_an_indexed_file_only_what_is_near_is_read(
    shard: Shard, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, alleles = snvs(shard, "chr4", 4)
    far = max(pos for pos, *_ in alleles) + 5_000
    values = [0.5, -2.0, 0.25, 1.5]
    lines = sorted([*zip(alleles, values, strict=True), ((far, "A", "C"), 7.0)])
    looked_at: list[int] = []
    rows_of_allele = columns._Found.rows

    def counted(self: Any, contig: str, pos: int, ref: str, alt: str) -> list[int]:
        looked_at.append(pos)
        return rows_of_allele(self, contig, pos, ref, alt)

    monkeypatch.setattr(columns._Found, "rows", counted)
    index: dict[str, Any]
    if kind == "vcf":
        records = [(*allele, f"X={value}") for allele, value in lines]
        path, index = write_vcf(tmp_path / "x.vcf", records), {"preset": "vcf"}
        read: Any = read_columns
    else:
        path = tmp_path / "x.tsv"
        body = "".join(f"4\t{p}\t{r}\t{a}\t{v}\n" for (p, r, a), v in lines)
        path.write_text(f"##CADD v1.7\n#Chrom\tPos\tRef\tAlt\tX\n{body}")
        index, read = {"seq_col": 0, "start_col": 1, "end_col": 1}, read_table
    column = Column.parse("X")
    assert read(path, [column], shard, rows)[column].tolist() == values
    assert looked_at.pop() == far
    assert len(looked_at) == 4
    looked_at.clear()
    indexed = Path(pysam.tabix_index(str(path), **index))
    assert read(indexed, [column], shard, rows)[column].tolist() == values
    assert set(looked_at) == {pos for pos, *_ in alleles}
    with pytest.raises(GenomixError, match=r"no test variant has X|no INFO key 'X'"):
        read(indexed, [column], shard, rows_of(shard, "chr1"))


def test_a_row_of_an_indexed_table_that_is_too_short_is_told(shard: Shard, tmp_path: Path) -> None:
    rows, ((pos, ref, alt),) = snvs(shard, "chr4", 1)
    path = tmp_path / "x.tsv"
    path.write_text(f"#Chrom\tPos\tRef\tAlt\tX\n4\t{pos}\t{ref}\t{alt}\n")
    indexed = Path(pysam.tabix_index(str(path), seq_col=0, start_col=1, end_col=1))
    with pytest.raises(DataError, match=r"x.tsv.gz near 4:\d+.*header .expected 5, found 4"):
        read_table(indexed, [Column.parse("X")], shard, rows)


def test_a_table_without_a_column_of_the_locus_says_which(shard: Shard, tmp_path: Path) -> None:
    rows, alleles = snvs(shard, "chr4", 1)
    path = table_of(tmp_path / "t.tsv", alleles, [1])
    bad = tmp_path / "bad.tsv"
    bad.write_text(path.read_text().replace("\talt", "\tother"))
    with pytest.raises(DataError, match=r"bad.tsv:2: lacks the column alt"):
        read_table(bad, [Column.parse("phyloP")], shard, rows)


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
def test_scores_of_another_assembly_are_refused(shard: Shard, tmp_path: Path, suffix: str) -> None:
    rows, alleles = snvs(shard, "chr4", 60)
    column = [Column.parse("phyloP")]
    changed = [
        (p, other(r, a), a) if i % 4 == 0 else (p, r, a) for i, (p, r, a) in enumerate(alleles)
    ]
    path = table_of(tmp_path / f"t{suffix}", changed, [1.0] * 60)
    with pytest.raises(CheckError, match=r"REF differs from the shard in 15 of 60 rows.*assembly"):
        read_table(path, column, shard, rows)
    few = table_of(tmp_path / f"few{suffix}", changed[:8] + alleles[8:], [1.0] * 60)
    assert np.isnan(read_table(few, column, shard, rows)[column[0]]).sum() == 2


def test_an_indel_is_found_in_parquet_wherever_it_is_written(shard: Shard, tmp_path: Path) -> None:
    """A table with every allele of the shard, as its VCF spells them, gives all of them back."""
    rows = rows_of(shard, "chr4")
    table = shard.variants
    alleles, values = [], []
    for row in rows:
        pos, ref, alt = int(table.pos[row]), table.ref[row].decode(), table.alt[row].decode()
        before = decode(shard.codes("chr4", pos - 1, pos))
        indel = not (ref and alt)
        alleles.append((pos, before + ref, before + alt) if indel else (pos + 1, ref, alt))
        values.append(float(row))
    assert any(len(ref) != len(alt) for _, ref, alt in alleles)
    path = table_of(tmp_path / "t.parquet", alleles, values)
    column = Column.parse("phyloP")
    found = read_table(path, [column], shard, rows)[column]
    assert found.tolist() == rows.tolist()
    some = rows[len(rows) // 2 :][:5]
    assert read_table(path, [column], shard, some)[column].tolist() == some.tolist()


@pytest.mark.parametrize("text", ["", ":X", "A:", "A:X,", "A=sideways", "A="])
def test_what_names_no_score(text: str) -> None:
    with pytest.raises(UsageError, match="does not name a score"):
        Column.parse(text)


def entrant(shard: Shard, path: Path, name: str, target: np.ndarray, test: np.ndarray) -> Entrant:
    train = np.flatnonzero(shard.variants.contig == shard.variants.contig[test[0]])
    task = BaselineTask(shard, train[~np.isin(train, test)], test[:0], test, target, True)
    request = SuiteRequest(shard.path, path, ("m",), table=path, columns=(name,))
    (made,) = score_columns(request, task)
    return made


def test_the_direction_is_declared_or_learned_from_training_alone(
    shard: Shard, tmp_path: Path
) -> None:
    rows, alleles = snvs(shard, "chr4", 40)
    target = np.random.default_rng(0).integers(0, 2, len(shard.variants.pos)).astype(float)
    test = rows[30:]
    # Smaller means more likely 1 in training, and the other way round in the test part.
    values = np.where(np.isin(rows, test), target[rows], -target[rows]) * 1.0
    path = table_of(tmp_path / "t.tsv", alleles, values.tolist())
    assert entrant(shard, path, "phyloP", target, test).score.tolist() == values[30:].tolist()
    down = entrant(shard, path, "phyloP=down", target, test)
    learned = entrant(shard, path, "phyloP=learn", target, test)
    assert down.score.tolist() == learned.score.tolist() == (-values[30:]).tolist()
    assert down.note == "smaller means more likely 1, declared"
    assert learned.note == "smaller means more likely 1, learned in training"
    with pytest.raises(DataError, match="the direction of phyloP cannot be learned"):
        entrant(shard, path, "phyloP=learn", np.zeros_like(target), test)
