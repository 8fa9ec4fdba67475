"""Scores looked up in indexed files: the same values, wherever and however an allele is spelled."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pysam
import pytest

from genomix_cli.errors import CheckError, DataError, GenomixError, UsageError
from genomix_cli.genome.fasta import Fasta
from genomix_cli.provenance import facts_of
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score import vcf as scoring
from genomix_cli.variants.score.vcf import score_variants
from tests.conftest import ROOT
from tests.random_activity import save_activity

DATA = ROOT / "test_data"
FASTA = DATA / "genome.fa.gz"
REGION = "chr1:1-30000,chr2:1-30000"
HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
TSV_INDEX = {"seq_col": 0, "start_col": 1, "end_col": 1, "line_skip": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_activity(tmp_path_factory.mktemp("models") / "mpra"))


def score(output: Path, model: str, vcf: Path = DATA / "variants.vcf.gz", **settings: Any) -> Any:
    given = {"regions": REGION, "threads": 1, "device": "cpu", "model": model} | settings
    genome = given.pop("genome", GenomeFiles(FASTA))
    return score_variants(ScoreRequest(vcf, genome, output, **given))


@pytest.fixture(scope="module")
def scored(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scored") / "scored.vcf.gz"
    score(path, model, write_index=True)
    return path


def text_of(path: Path) -> tuple[list[str], list[str]]:
    """Return header lines and records."""
    with pysam.BGZFile(str(path)) if path.suffix == ".gz" else path.open("rb") as file:
        lines = file.read().decode().splitlines()
    return [x for x in lines if x.startswith("#")], [x for x in lines if not x.startswith("#")]


def indexed(path: Path, lines: Iterable[str], **index: Any) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return Path(pysam.tabix_index(str(path), **(index or {"preset": "vcf"})))


def compressed(path: Path, text: str) -> Path:
    with pysam.BGZFile(str(path), "w") as file:
        file.write(text.encode())
    return path


@pytest.fixture
def changed(scored: Path, tmp_path: Path) -> Callable[..., Path]:
    """``changed(of_header, of_record)`` -> the scored file after these changes of its lines."""

    def make(of_header: Callable[[str], str] = str, of_record: Callable[[str], str] = str) -> Path:
        header, records = text_of(scored)
        lines = [*map(of_header, header), *map(of_record, records)]
        return indexed(tmp_path / "changed.vcf", filter(None, lines))

    return make


def without_source(line: str) -> str:
    return line.replace(";GENOMIX_SOURCE=lookup", "").replace(",lookup", "")


def test_all_that_was_scored_before_is_found_and_nothing_else_changes(
    scored: Path, model: str, tmp_path: Path
) -> None:
    summary = score(tmp_path / "out.vcf", model, lookup=(scored,))
    header, records = text_of(tmp_path / "out.vcf")
    assert len(records) > 200
    assert [without_source(line) for line in records] == text_of(scored)[1]
    assert summary.looked_up == summary.scored > len(records)
    told = next(line for line in header if "ID=GENOMIX_SOURCE" in line)
    assert "Number=A,Type=String" in told
    assert "lookup: a file of --lookup, computed: mpra" in told
    inputs = facts_of(header)["Input"]
    assert any(re.fullmatch(r"lookup 1 scored.vcf.gz.tbi sha256:\w{64}", text) for text in inputs)


def test_what_is_not_found_is_computed_and_said_by_allele(
    scored: Path, model: str, tmp_path: Path, changed: Any
) -> None:
    def second_half(line: str) -> str:
        return line if int(line.split("\t")[1]) > 15_000 else ""

    some = changed(of_record=second_half)
    summary = score(tmp_path / "out.vcf", model, lookup=(some,))
    expected = {line.split("\t")[1]: line.split("\t")[7] for line in text_of(scored)[1]}
    for line in text_of(tmp_path / "out.vcf")[1]:
        pos, info = line.split("\t")[1], line.split("\t")[7]
        values, _, source = info.partition(";GENOMIX_SOURCE=")
        name = "lookup" if int(pos) > 15_000 else "computed"
        assert set(source.split(",")) == {name}
        assert numbers(values) == pytest.approx(numbers(expected[pos]), abs=2e-5)
    assert 0 < summary.looked_up < summary.scored


def numbers(info: str) -> list[float]:
    texts = re.findall(r"GENOMIX_DA\w*=([^;]+)", info)
    return [float(number) for text in texts for number in text.split(",")]


def test_one_record_may_mix_both(model: str, tmp_path: Path) -> None:
    base = genome("chr1", 20_000, 20_000)
    first, second = sorted({*"ACGT"} - {base})[:2]
    known, new = tmp_path / "known.vcf", tmp_path / "new.vcf"
    known.write_text(f"{HEAD}chr1\t20000\t.\t{base}\t{second}\t.\t.\t.\n")
    new.write_text(f"{HEAD}chr1\t20000\t.\t{base}\t{first},*,{second}\t.\t.\t.\n")
    score(tmp_path / "known.vcf.gz", model, known, write_index=True)
    summary = score(tmp_path / "out.tsv", model, new, lookup=(tmp_path / "known.vcf.gz",))
    table = pd.read_csv(tmp_path / "out.tsv", sep="\t", comment="#")
    assert table["GENOMIX_SOURCE"].tolist() == ["computed", ".", "lookup"]
    assert (summary.looked_up, summary.scored) == (1, 2)


def genome(contig: str, start: int, end: int) -> str:
    """Return the bases of 1-based positions, both included."""
    with Fasta(FASTA) as fasta:
        return fasta.letters(contig, start - 1, end).upper()


def repeat_of(contig: str) -> tuple[int, str]:
    """Return the 1-based position before a stretch of at least four equal bases, and the base."""
    bases = genome(contig, 1, 60_000)
    match = re.search(r"[ACGT](([ACGT])\2{3})", bases[1000:])
    assert match
    return 1000 + match.start() + 1, match[2]


def test_an_allele_is_found_under_another_spelling_of_itself_and_of_its_contig(
    model: str, tmp_path: Path
) -> None:
    pos, base = repeat_of("chr1")
    before, other = genome("chr1", pos, pos), next(x for x in "ACGT" if x != base)
    three = genome("chr1", 15_000, 15_002)
    alt = next(x for x in "ACGT" if x != three[1])
    left = [
        (pos, before + base, before),
        (pos, before, before + base),
        (15_001, three[1], alt),
        (pos + 1, base, other),
    ]
    right = [
        (pos + 2, base * 2, base),
        (pos + 4, base, base * 2),
        (15_000, three, three[0] + alt + three[2]),
        (pos + 1, base.lower(), other.lower()),
    ]
    files = []
    for name, contig, rows in (("left", "chr1", left), ("right", "1", right)):
        lines = [f"{contig}\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for p, r, a in sorted(rows)]
        (tmp_path / f"{name}.vcf").write_text(HEAD + "".join(lines))
        score(tmp_path / f"{name}.vcf.gz", model, tmp_path / f"{name}.vcf", write_index=True)
        files.append(tmp_path / f"{name}.vcf.gz")
    for query, known in (("left", files[1]), ("right", files[0])):
        found = score(tmp_path / "o.vcf", model, tmp_path / f"{query}.vcf", lookup=(known,))
        assert (found.looked_up, found.scored) == (4, 4)


def test_neither_order_nor_pieces_of_the_input_matter(
    scored: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, records = text_of(scored)
    (tmp_path / "backwards.vcf").write_text("\n".join([*header, *reversed(records), ""]))
    monkeypatch.setattr("genomix_cli.variants.records.matching.NEAR", 10)
    summary = score(tmp_path / "o.vcf", model, tmp_path / "backwards.vcf", lookup=(scored,))
    assert summary.looked_up == summary.scored
    lines = [without_source(line) for line in text_of(tmp_path / "o.vcf")[1]]
    assert lines == records[::-1]


@pytest.mark.parametrize("suffix", [".tsv.gz", ".bcf", ".parquet"])
def test_tables_and_bcf_hold_scores_too(
    scored: Path, model: str, tmp_path: Path, suffix: str
) -> None:
    known = tmp_path / f"known{suffix}"
    score(known, model, write_index=suffix != ".parquet")
    summary = score(tmp_path / "o.vcf", model, lookup=(known,))
    assert summary.looked_up == summary.scored
    inputs = facts_of(text_of(tmp_path / "o.vcf")[0])["Input"]
    assert any(line.startswith(f"lookup 1 known{suffix}") for line in inputs)
    records = [without_source(line) for line in text_of(tmp_path / "o.vcf")[1]]
    if suffix == ".tsv.gz":
        assert records == text_of(scored)[1]
    else:  # BCF has single precision, and Parquet no zeros at the end of a number
        for one, other in zip(records, text_of(scored)[1], strict=True):
            assert numbers(one) == pytest.approx(numbers(other), abs=1e-5)


def test_a_file_for_each_contig(scored: Path, model: str, tmp_path: Path) -> None:
    header, records = text_of(scored)
    files = tuple(
        indexed(tmp_path / f"{c}.vcf", [*header, *(x for x in records if x.startswith(f"{c}\t"))])
        for c in ("chr1", "chr2")
    )
    summary = score(tmp_path / "o.vcf", model, lookup=files)
    assert summary.looked_up == summary.scored


def table(path: Path, columns: str, *rows: str) -> Path:
    return indexed(path, [columns, *rows], **TSV_INDEX)


COLUMNS = "chrom\tpos\tref\talt\t" + "\t".join(
    ["GENOMIX_DA", "GENOMIX_DA_HepG2", "GENOMIX_DA_K562"]
)


def test_a_table_that_does_not_say_how_it_was_made_is_taken_with_a_warning(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)
    base = genome("chr1", 20_000, 20_000)
    alt = next(x for x in "ACGT" if x != base)
    known = table(tmp_path / "t.tsv", COLUMNS, f"chr1\t20000\t{base}\t{alt}\t0.5\tNA\t7")
    (tmp_path / "in.vcf").write_text(f"{HEAD}chr1\t20000\t.\t{base}\t{alt}\t.\t.\t.\n")
    score(tmp_path / "o.vcf", model, tmp_path / "in.vcf", lookup=(known,))
    header, (record,) = text_of(tmp_path / "o.vcf")
    scores = "GENOMIX_DA=0.5;GENOMIX_DA_HepG2=.;GENOMIX_DA_K562=7;GENOMIX_SOURCE=lookup"
    assert record.endswith(f"\t{scores}")
    told = "t.tsv.gz does not say how it was made: its scores are taken as they are"
    assert told in caplog.text
    assert told in facts_of(header)["Warning"]


def test_a_value_that_is_missing_in_the_file_is_computed(
    model: str, tmp_path: Path, changed: Any
) -> None:
    empty = changed(of_record=lambda line: re.sub(r"(GENOMIX_\w+)=[^;,]+", r"\1=.", line))
    summary = score(tmp_path / "o.vcf", model, lookup=(empty,), regions="chr1:1-9000")
    assert summary.looked_up < summary.scored / 4  # records of several ALTs keep the others


@pytest.mark.parametrize("as_vcf", [True, False])
def test_a_file_may_lack_the_ranks_that_this_run_leaves_empty(as_vcf: bool, tmp_path: Path) -> None:
    base = genome("chr1", 20_000, 20_000)
    alt = next(x for x in "ACGT" if x != base)
    (tmp_path / "in.vcf").write_text(f"{HEAD}chr1\t20000\t.\t{base}\t{alt}\t.\t.\t.\n")
    keys, values = ("GENOMIX_P", "GENOMIX_DL"), ("0.25", "1.5")
    if as_vcf:
        fields = [f'##INFO=<ID={key},Number=A,Type=Float,Description="">' for key in keys]
        info = ";".join(map("=".join, zip(keys, values, strict=True)))
        lines = [HEAD.splitlines()[0], *fields, HEAD.splitlines()[1]]
        record = f"chr1\t20000\t.\t{base}\t{alt}\t.\t.\t{info}"
        known = indexed(tmp_path / "known.vcf", [*lines, record])
    else:
        names = "\t".join(("contig", "pos", "ref", "alt", *keys))
        row = "\t".join(("chr1", "20000", base, alt, *values))
        known = table(tmp_path / "known.tsv", names, row)
    scoring_one_track = partial(score, tmp_path / "o.vcf", "gmt-mini-sim", tmp_path / "in.vcf")
    # It has a background of all tracks and of none, so that ranks of one track alone are missing.
    one_track = GenomeFiles(FASTA, {"ATAC": DATA / "ATAC.bw"})
    summary = scoring_one_track(lookup=(known,), genome=one_track)
    assert summary.observed == {}  # no window was read
    _, (line,) = text_of(tmp_path / "o.vcf")
    ranks = "GENOMIX_PCT=.;GENOMIX_PHRED=."
    assert line.endswith(f"\tGENOMIX_P=0.25;GENOMIX_DL=1.5;{ranks};GENOMIX_SOURCE=lookup")
    with pytest.raises(DataError, match="lacks GENOMIX_PCT, GENOMIX_PHRED"):
        scoring_one_track(lookup=(known,))


REFUSED: dict[str, tuple[Callable[[Any, Path, Path], Path], type[GenomixError], list[str]]] = {
    "no index": (
        lambda changed, scored, path: (
            path.joinpath("copy.vcf.gz").write_bytes(scored.read_bytes()) and path / "copy.vcf.gz"
        ),
        DataError,
        ["copy.vcf.gz: has no index", "tabix -p vcf"],
    ),
    "no index of a table with lines before its header": (
        lambda changed, scored, path: compressed(path / "t.tsv.gz", f"##a\n##b\n{COLUMNS}\n"),
        DataError,
        ["t.tsv.gz: has no index", "run: bgzip FILE && tabix -s 1 -b 2 -e 2 -S 3 FILE.gz"],
    ),
    "other weights": (
        lambda changed, scored, path: changed(
            lambda line: re.sub("(##genomixModel=mpra sha256:).*", r"\g<1>0123456789abcdef", line)
        ),
        DataError,
        ["computed with other settings", "found weights 0123456789ab)"],
    ),
    "other windows": (
        lambda changed, scored, path: changed(
            lambda line: line.replace('"mode": null', '"mode": "shared"')
        ),
        DataError,
        ["expected mode None, found mode shared", "add --mode shared"],
    ),
    "another background": (
        lambda changed, scored, path: changed(
            lambda line: line.replace("##genomixDevice=cpu", "##genomixBackground=rare")
        ),
        DataError,
        ["expected background none, found background rare"],
    ),
    "another calibration": (
        lambda changed, scored, path: changed(
            lambda line: line.replace("##genomixDevice=cpu", "##genomixCalibration=slope 2")
        ),
        DataError,
        ["expected calibration none, found calibration slope 2"],
    ),
    "a field less": (
        lambda changed, scored, path: changed(
            lambda line: "" if "ID=GENOMIX_DA_K562" in line else line
        ),
        DataError,
        ["changed.vcf.gz: lacks GENOMIX_DA_K562, which this run writes"],
    ),
    "another assembly": (
        lambda changed, scored, path: changed(
            of_record=lambda line: re.sub(
                r"^(\w+\t)(\d+)", lambda m: f"{m[1]}{int(m[2]) + 1000}", line
            )
        ),
        CheckError,
        ["changed.vcf.gz at chr1", "looks like another assembly", f"the assembly of {FASTA}"],
    ),
    "no contig in common": (
        lambda changed, scored, path: changed(of_record=lambda line: f"NC_{line}"),
        DataError,
        ["changed.vcf.gz: has no contig in common", "NC_chr1", f"the assembly of {FASTA}"],
    ),
    "rows that contradict each other": (
        lambda changed, scored, path: changed(
            of_record=lambda line: f"{line}\n{re.sub('GENOMIX_DA=-?', 'GENOMIX_DA=7', line)}"
        ),
        DataError,
        ["changed.vcf.gz at chr1", "two rows of the same allele have different values", "found 7"],
    ),
    "an unknown column": (
        lambda changed, scored, path: table(path / "t.tsv", f"{COLUMNS}\tCADD", "chr1" + "\t1" * 7),
        DataError,
        ["t.tsv.gz: unknown column 'CADD'", "expected contig, pos, ref, alt and GENOMIX_DA,"],
    ),
    "no ALT": (
        lambda changed, scored, path: table(
            path / "t.tsv", COLUMNS.replace("alt", "alternative"), "chr1" + "\t1" * 6
        ),
        DataError,
        ["t.tsv.gz: lacks the column alt"],
    ),
    "no number": (
        lambda changed, scored, path: table(path / "t.tsv", COLUMNS, "chr1\t233\tT\tC\tlow\t1\t1"),
        DataError,
        ["t.tsv.gz at chr1:233: GENOMIX_DA is not a number", "'low'"],
    ),
    "a ragged row": (
        lambda changed, scored, path: table(path / "t.tsv", COLUMNS, "chr1\t233\tT\tC\t1\t1"),
        DataError,
        ["t.tsv.gz at chr1:233", "expected 7, found 6"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_one_line_and_leaves_nothing(
    scored: Path, model: str, tmp_path: Path, changed: Any, name: str
) -> None:
    make, error, parts = REFUSED[name]
    known = make(changed, scored, tmp_path)
    with pytest.raises(error) as caught:
        score(tmp_path / "o.vcf", model, lookup=(known,))
    message = caught.value.line()
    assert all(part in message for part in parts), message
    assert not (tmp_path / "o.vcf").exists()


def test_rounding_is_no_contradiction(model: str, tmp_path: Path, changed: Any) -> None:
    once_more = partial(re.sub, r"(DA=-?\d+\.\d+)", r"\g<1>1")
    twice = changed(of_record=lambda line: f"{line}\n{once_more(line)}")
    summary = score(tmp_path / "o.vcf", model, lookup=(twice,))
    assert summary.looked_up == summary.scored


def test_a_background_is_not_made_of_scores_of_files(
    scored: Path, model: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="needs all scores to be computed"):
        score(tmp_path / "o.vcf", model, lookup=(scored,), save_background=True)


def test_an_interrupted_run_goes_on_counting(
    scored: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"lookup": (scored,)}
    whole = score(tmp_path / "whole.vcf", model, **settings)
    monkeypatch.setattr("genomix_cli.variants.score.blocks.COMMIT_SECONDS", 0.0)
    monkeypatch.setattr("genomix_cli.variants.records.cutting.BLOCK_RECORDS", 50)
    finish, done = scoring.Run._finish, []

    def interrupted(self: Any, *args: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(finish(self, *args))

    with monkeypatch.context() as once, pytest.raises(KeyboardInterrupt):
        once.setattr(scoring.Run, "_finish", interrupted)
        score(tmp_path / "o.vcf", model, **settings)
    again = score(tmp_path / "o.vcf", model, resume=True, **settings)
    assert 0 < again.resumed < again.records
    assert again.looked_up == whole.looked_up
    assert text_of(tmp_path / "o.vcf") == text_of(tmp_path / "whole.vcf")
