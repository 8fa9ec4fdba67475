"""Windows with what tracks measured there, against a plain reading of the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Sequences, open_sequences, provenance_of
from genomix_cli.genome.iupac import decode
from genomix_cli.sequences.prepare.sequences import prepare_sequences
from genomix_cli.sequences.prepare.signal import matched
from genomix_cli.sequences.prepare.summary import PrepareSummary
from genomix_cli.sequences.requests.prepare import PrepareRequest

LENGTHS = {"chr1": 4_030, "chr2": 2_000, "chr3": 1_000}
WINDOW = 20
FILES = ("a.bw", "b.bw")


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three contigs of random DNA; the first has a gap, and peaks in its first half."""
    folder = tmp_path_factory.mktemp("genome")
    rng = np.random.default_rng(0)
    bases = {name: rng.choice(list("ACGT"), n) for name, n in LENGTHS.items()}
    bases["chr1"][3_000:3_400] = "N"
    fasta = "".join(f">{name}\n{''.join(letters)}\n" for name, letters in bases.items())
    (folder / "genome.fa").write_text(fasta)
    signal = {name: rng.gamma(1, 1, n).round(2) for name, n in LENGTHS.items()}
    for start in range(105, 2_000, 250):
        signal["chr1"][start : start + 30] += 40
    with pyBigWig.open(str(folder / "a.bw"), "w") as file:
        file.addHeader(list(LENGTHS.items()))
        for name, values in signal.items():
            file.addEntries(name, 0, values=values.tolist(), span=1, step=1)
    # Of chr1 and chr2 alone, under other names, and every tenth base of chr2 only.
    with pyBigWig.open(str(folder / "b.bw"), "w") as file:
        file.addHeader([("1", 4_030), ("2", 2_000)])
        file.addEntries("1", 0, values=signal["chr1"][::-1].tolist(), span=1, step=1)
        file.addEntries("2", 0, values=signal["chr2"][::10].tolist(), span=1, step=10)
    with pyBigWig.open(str(folder / "flat.bw"), "w") as file:
        file.addHeader(list(LENGTHS.items()))
        file.addEntries(["chr1"], [0], ends=[4_030], values=[2.0])
    return folder


def request(genome: Path, output: Path, **changes: Any) -> PrepareRequest:
    tracks = {"ATAC@K562": genome / "a.bw", "CTCF": genome / "b.bw"}
    settings = {"tracks": tracks, "window": WINDOW} | changes
    return PrepareRequest(inputs=(genome / "genome.fa",), output=output, **settings)


def prepare(genome: Path, output: Path, **changes: Any) -> tuple[Sequences, PrepareSummary]:
    summary = prepare_sequences(request(genome, output, **changes))
    return open_sequences(output), summary


def expected(path: Path, contig: str, start: int, zero: bool = False) -> float:
    """The label of a window, base by base."""
    with pyBigWig.open(str(path)) as file:
        name = next((n for n in (contig, contig[3:]) if n in file.chroms()), None)
        if name is None:
            return np.nan
        values = np.array(file.values(name, start, start + WINDOW))
    known = np.isfinite(values)
    if zero:
        return float(np.log2(1 + np.where(known, values, 0).mean()))
    return float(np.log2(1 + values[known].mean())) if known.sum() >= WINDOW / 2 else np.nan


def letters(genome: Path) -> dict[str, str]:
    records = (genome / "genome.fa").read_text().split(">")[1:]
    return dict(record.split("\n")[:2] for record in records)


@pytest.mark.parametrize("uncovered", ["missing", "zero"])
def test_labels_are_log_means_and_bases_those_of_the_window(
    genome: Path, tmp_path: Path, uncovered: str
) -> None:
    found, summary = prepare(genome, tmp_path / "x.h5", uncovered=uncovered, top=0.05)
    assert [p.name for p in found.phenotypes] == ["ATAC@K562", "CTCF"]
    assert found.measurement.unit == "log2(1 + signal)"
    assert found.measurement.assay == "ATAC-seq, ChIP-seq"
    assert found.windows is not None
    names = list(found.contigs)
    dna = letters(genome)
    for row, (number, start) in enumerate(
        zip(found.windows.contig, found.windows.start.tolist(), strict=True)
    ):
        contig = names[number]
        assert decode(found.codes[row]) == dna[contig][start : start + WINDOW]
        wanted = [
            expected(genome / file, contig, start, uncovered == "zero") for file in ("a.bw", "b.bw")
        ]
        values = [float(phenotype.values[row]) for phenotype in found.phenotypes]
        np.testing.assert_allclose(values, wanted, rtol=1e-5)
    # A contig that a file does not have is never 0.
    on_third = found.windows.contig == names.index("chr3")
    assert np.isnan(found.phenotypes[1].values[on_third]).all()
    # The gap: 20 windows; and half a window at the end of the contig.
    assert summary.left_out == {
        "windows cross the end of their contig": 1,
        "windows are mostly unknown bases": 20,
    }
    said = any("CTCF has data in" in warning for warning in summary.warnings)
    assert said == (uncovered == "missing")


def test_windows_with_signal_and_as_many_others_of_like_gc(genome: Path, tmp_path: Path) -> None:
    track = {"ATAC": genome / "a.bw"}
    found, summary = prepare(genome, tmp_path / "x.h5", tracks=track, top=0.05)
    level = np.quantile(_every_tile(genome), 0.95)
    has_signal = found.phenotypes[0].values > level
    chosen = int((_every_tile(genome) > level).sum())
    assert summary.facts["with signal"] == has_signal.sum() == chosen
    gc = np.isin(found.codes, (2, 4)).sum(1)
    lacking = summary.facts.get("others lacking, as no more have that GC", 0)
    assert len(found) == 2 * chosen - lacking
    assert lacking < chosen / 4
    wanted, drawn = (np.bincount(gc[rows], minlength=21) for rows in (has_signal, ~has_signal))
    assert (drawn <= wanted).all()
    same, _ = prepare(genome, tmp_path / "y.h5", tracks=track, top=0.05)
    other, _ = prepare(genome, tmp_path / "z.h5", tracks=track, top=0.05, seed=1)
    assert same.names.tolist() == found.names.tolist() != other.names.tolist()
    alone, _ = prepare(genome, tmp_path / "w.h5", tracks=track, top=0.05, background=0)
    assert alone.names.tolist() == found.names[: len(alone)].tolist()
    every, _ = prepare(genome, tmp_path / "v.h5", tracks=track, top=1.0)
    assert len(every) == len(_every_tile(genome))


def _every_tile(genome: Path) -> np.ndarray:
    dna = letters(genome)
    return np.array(
        [
            expected(genome / "a.bw", name, start)
            for name, n in LENGTHS.items()
            for start in range(0, n - WINDOW + 1, WINDOW)
            if dna[name][start : start + WINDOW].count("N") <= WINDOW / 2
        ]
    )


def test_regions_are_centred_and_others_lie_apart(genome: Path, tmp_path: Path) -> None:
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr1\t100\t150\tp1\t0\t-\nchr2\t501\t511\tp2\nchr1\t3100\t3150\tgap\n")
    track = {"ATAC": genome / "a.bw"}
    found, summary = prepare(genome, tmp_path / "x.h5", tracks=track, bed=bed, background=30)
    assert found.windows is not None
    assert found.names[:2].tolist() == ["p1", "p2"]
    assert found.windows.start[:2].tolist() == [115, 496]
    assert found.windows.strand[:2].tolist() == [-1, 1]
    value = expected(genome / "a.bw", "chr1", 115)
    assert found.phenotypes[0].values[0] == pytest.approx(value, rel=1e-5)
    assert summary.facts["in the BED"] == 2
    assert summary.left_out == {"windows are mostly unknown bases": 1}
    contig = np.array(list(found.contigs))[found.windows.contig]
    for name, start, end in (("chr1", 100, 150), ("chr2", 496, 516)):
        others = found.windows.start[2:][contig[2:] == name]
        assert not ((others < end) & (others + WINDOW > start)).any()
    only, _ = prepare(genome, tmp_path / "y.h5", tracks=track, bed=bed, background=0)
    assert len(only) == 2
    # Without --window the regions have one length.
    bed.write_text("chr1\t100\t120\nchr2\t500\t520\n")
    as_listed, _ = prepare(genome, tmp_path / "z.h5", tracks=track, bed=bed, window=None)
    assert as_listed.length == WINDOW
    assert len(as_listed) == 4


def test_contigs_or_blocks_are_held_out(genome: Path, tmp_path: Path) -> None:
    found, summary = prepare(
        genome, tmp_path / "x.h5", top=0.2, valid_contigs=("3",), test_contigs=("chr2",)
    )
    assert found.windows is not None
    contig = np.array(list(found.contigs))[found.windows.contig]
    splits = {"chr1": "train", "chr2": "test", "chr3": "validation"}
    assert found.split.tolist() == [splits[name] for name in contig]
    assert set(summary.splits) == set(splits.values())
    # 7,030 bases are too few for blocks of 1 Mb: a 50th of them.
    blocks = list(zip(contig.tolist(), (found.windows.start // 140).tolist(), strict=True))
    assert len(np.unique(found.group)) == len(set(blocks))
    by_block: dict[Any, int] = {}
    for block, group in zip(blocks, found.group.tolist(), strict=True):
        assert by_block.setdefault(block, group) == group
    whole, _ = prepare(genome, tmp_path / "y.h5", top=0.2, group="contig")
    assert len(np.unique(whole.group)) == 3
    made = provenance_of(tmp_path / "x.h5")
    assert {"track ATAC@K562 a.bw", "track CTCF b.bw"} <= set(made["inputs"])
    assert made["config"]["test_contigs"] == ["chr2"]
    assert made["seed"] == 0


def bases(path: Path, contig: str, start: int, zero: bool) -> np.ndarray:
    """Signal of the bases of a window, in the direction of the assembly."""
    with pyBigWig.open(str(path)) as file:
        name = next((n for n in (contig, contig[3:]) if n in file.chroms()), None)
        if name is None:
            return np.full(WINDOW, np.nan)
        values = np.array(file.values(name, start, start + WINDOW))
    return np.nan_to_num(values) if zero else values


@pytest.mark.parametrize("uncovered", ["missing", "zero"])
@pytest.mark.parametrize("strands", [(), (("CTCF", "ATAC@K562"),)], ids=["alone", "paired"])
def test_the_signal_of_each_base_is_kept_in_the_direction_of_the_window(
    genome: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uncovered: str,
    strands: tuple[tuple[str, str], ...],
) -> None:
    # Pieces and blocks smaller than the contig and its windows.
    monkeypatch.setattr("genomix_cli.sequences.prepare.profiles.PIECE", 500)
    monkeypatch.setattr("genomix_cli.sequences.prepare.profiles.BLOCK", 3 * 2 * WINDOW)
    # Compressed, or not.
    packed = (1, 1 << 28) if uncovered == "zero" else (1 << 29, 1 << 30)
    monkeypatch.setattr("genomix_cli.formats.writer.PACKED", packed)
    bed = tmp_path / "peaks.bed"
    places = [(name, start) for name in LENGTHS for start in range(7, LENGTHS[name] - 300, 290)]
    lines = [f"{c}\t{s}\t{s + 10}\tp{i}\t0\t{'+-'[i % 2]}" for i, (c, s) in enumerate(places)]
    bed.write_text("\n".join(reversed(lines)))
    changes = {"bed": bed, "uncovered": uncovered, "strands": strands, "profiles": True}
    found, _ = prepare(genome, tmp_path / "x.h5", **changes)
    assert found.profiles is not None
    assert found.windows is not None
    assert found.profiles.names == ("ATAC@K562", "CTCF")
    assert found.profiles.opposite == ((1, 0) if strands else (0, 1))
    names, values = list(found.contigs), [p.values for p in found.phenotypes]
    assert len(found.profiles.signal) == len(found) > len(places)
    for row, (number, start, strand) in enumerate(zip(*found.windows, strict=True)):
        files = [bases(genome / f, names[number], start, uncovered == "zero") for f in FILES]
        if strand < 0:
            files = [each[::-1] for each in (files[::-1] if strands else files)]
        np.testing.assert_allclose(found.profiles.signal[row], files, rtol=1e-6)
        for column, one in zip(values, files, strict=True):
            known = one[np.isfinite(one)]
            mean = np.log2(1 + known.mean()) if len(known) >= WINDOW / 2 else np.nan
            assert column[row] == pytest.approx(mean, rel=1e-5, nan_ok=True)
    assert provenance_of(tmp_path / "x.h5")["config"]["profiles"] is True


def test_negative_values_are_no_profile(genome: Path, tmp_path: Path) -> None:
    path = tmp_path / "minus.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(LENGTHS.items()))
        file.addEntries(["chr1", "chr1"], [0, 700], ends=[700, 4_030], values=[2.0, -3.0])
    changes: dict[str, Any] = {"tracks": {"MINUS": path}, "top": 1.0}
    prepare(genome, tmp_path / "x.h5", **changes)
    with pytest.raises(DataError, match=r"negative values.*found -3 at chr1:\d+"):
        prepare(genome, tmp_path / "y.h5", **changes, profiles=True)
    assert not (tmp_path / "y.h5").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strands": (("CTCF", "plus"),)}, "--strands: no track 'plus'"),
        ({"strands": (("CTCF", "ATAC@K562"), ("ATAC@K562", "CTCF"))}, "is in two pairs"),
        ({"tracks": {}, "profiles": True}, "--profiles: applies only to tracks"),
        ({"window": None}, "--track: needs windows or regions"),
        ({"unit": "x"}, "--unit: is set by the tracks"),
        ({"tracks": {}, "background": 2}, "--background: applies only to tracks"),
        ({"bed": Path("x.bed"), "top": 0.1}, "--top: does not apply to regions"),
        ({"table": Path("x.tsv")}, "--table: the tracks already are the labels"),
        ({"test_contigs": ("chr1",), "valid_contigs": ("chr1",)}, "chr1 is in both"),
        ({"test_contigs": ("chr7",)}, "has no contig 'chr7'"),
        ({"tracks": {"@K562": Path("a.bw")}}, "not the name of a track"),
    ],
)
def test_what_cannot_be_is_refused(
    genome: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        prepare(genome, tmp_path / "x.h5", **changes)
    assert not list(tmp_path.iterdir())


def test_a_track_that_tells_nothing_is_refused(genome: Path, tmp_path: Path) -> None:
    tracks = {"ATAC": genome / "a.bw", "flat": genome / "flat.bw"}
    with pytest.raises(DataError, match=r"is 1\.58496 in every window"):
        prepare(genome, tmp_path / "x.h5", tracks=tracks)


def test_others_are_drawn_within_their_level() -> None:
    there = np.array([5, -1, 5, 7, 5, 7, 9])
    drawn = matched(np.array([5, 7, 7, 7]), there, 1, np.random.default_rng(0))
    assert drawn.tolist() == sorted(drawn.tolist())
    assert np.bincount(there[drawn], minlength=10)[[5, 7, 9]].tolist() == [1, 2, 0]
    assert matched(np.array([5]), there, 0, np.random.default_rng(0)).tolist() == []
