"""prepare variants: what goes in, what is left out and why, and what comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from genomix_cli.errors import CheckError, DataError, GenomixError, UsageError
from genomix_cli.formats.genome_shard import Shard, open_shard, open_windows
from genomix_cli.genome.alphabet import encode, kmer_ids, unknown_id
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.source import RawGenome
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.prepare.summary import PrepareSummary
from tests.small_genome import (
    LENGTH,
    bases,
    make_genome,
    other_base,
    request,
    tracks_of,
    write_vcf,
)

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_genome(tmp_path_factory.mktemp("prepare") / "genome")


def snv(genome: Path, contig: str, pos: int, label: object = 1) -> tuple[object, ...]:
    ref = bases(genome, contig, pos)
    return contig, pos, ref, other_base(ref), label


def prepared(genome: Path, folder: Path, rows: list[tuple[object, ...]], **changes: object):
    """Summary and shard of a VCF of `rows`, without tracks unless asked for."""
    vcf = write_vcf(folder / "v.vcf", rows)
    settings: dict[str, object] = {"vcf": vcf, "tracks": {}, "contacts": None}
    settings |= {"label_info": "LABEL"} | changes
    output = folder / "v.h5"
    summary: PrepareSummary = prepare_variants(request(genome, output, **settings))
    return summary, output


def shard_of(genome: Path, folder: Path, rows: list[tuple[object, ...]], **changes: object):
    summary, output = prepared(genome, folder, rows, **changes)
    shard: Shard = open_shard(output)
    return summary, shard


# What becomes of each allele


def test_every_allele_is_used_or_has_a_reason(genome: Path, tmp_path: Path) -> None:
    ref = bases(genome, "chr1", 1000)
    rows = [
        snv(genome, "chr1", 900),
        ("chr1", 1000, ref, ".", ""),
        ("chr1", 1000, ref, "*", ""),
        ("chr1", 1000, ref, "<DEL>", ""),
        ("chr1", 1000, ref, f"{ref}[chr2:5[", ""),
        ("chr1", 1000, ref, "R", ""),
        ("chr1", 1000, ref, ref.lower(), ""),
        ("chr1", 1000, ref, ref + "A" * 51, ""),
        ("chr7", 1000, "A", "C", ""),
        ("chr1", LENGTH + 1, "A", "C", ""),
        ("chr1", 1000, other_base(ref), ref, ""),
        snv(genome, "chr2", 5, 0),
    ]
    summary, shard = shard_of(genome, tmp_path, rows, stats=tmp_path / "stats.json")
    assert (summary.records, summary.alleles, summary.used) == (12, 12, 2)
    assert summary.skipped == dict.fromkeys(
        [
            *["missing_alt", "star", "symbolic", "breakend", "iupac", "alt_equals_ref"],
            *["too_long", "contig_absent", "off_contig", "ref_mismatch"],
        ],
        1,
    )
    assert summary.used + sum(summary.skipped.values()) == summary.alleles
    assert summary.examples["contig_absent"] == ["line 12: chr7:1000 A>C"]
    assert shard.variants.record.tolist() == [0, 11]
    assert json.loads((tmp_path / "stats.json").read_text())["skipped"] == summary.skipped
    assert summary.contigs == {"chr1": 1, "chr2": 1}


def test_alts_become_rows_each_with_its_own_label(genome: Path, tmp_path: Path) -> None:
    ref = bases(genome, "chr1", 5000)
    alts = [b for b in "ACGT" if b != ref]
    rows = [("chr1", 5000, ref, f"{alts[0]},<DUP>,{alts[1]}", "0.5,7,."), snv(genome, "chr1", 6000)]
    summary, shard = shard_of(genome, tmp_path, rows)
    table = shard.variants
    assert table.alt.tolist() == [a.encode() for a in [*alts[:2], rows[1][3]]]
    assert table.allele.tolist() == [0, 2, 0]
    assert table.record.tolist() == [0, 0, 1]
    assert np.array_equal(table.label, np.array([0.5, np.nan, 1], np.float32), equal_nan=True)
    assert (summary.labelled, summary.unlabelled) == (2, 1)
    assert (summary.records, summary.alleles, summary.used) == (2, 4, 3)


def test_alleles_are_trimmed(genome: Path, tmp_path: Path) -> None:
    # Two bases that differ, so that there is one way to trim.
    pos = next(p for p in range(7000, 7100) if len(set(bases(genome, "chr1", p, 2))) == 2)
    left, right = bases(genome, "chr1", pos, 2)
    insert = other_base(left)
    rows = [
        ("chr1", pos, left.lower(), left + insert, 1),
        ("chr1", pos, left + right, left, 0),
    ]
    _, shard = shard_of(genome, tmp_path, rows)
    assert shard.variants.pos.tolist() == [pos, pos]
    assert shard.variants.ref.tolist() == [b"", right.encode()]
    assert shard.variants.alt.tolist() == [insert.encode(), b""]
    around = shard.codes("chr1", pos - 1, pos + 1)
    assert np.array_equal(around, encode(left + right))


def test_other_contig_names_and_an_unsorted_vcf(genome: Path, tmp_path: Path) -> None:
    rows = [snv(genome, c, p) for c, p in [("chr2", 900), ("chr1", 5000), ("chr1", 800)]]
    rows = [(str(contig)[3:], *rest) for contig, *rest in rows]
    _, shard = shard_of(genome, tmp_path, rows)
    assert list(shard.contigs) == ["chr1", "chr2"]
    assert shard.variants.contig.tolist() == [0, 0, 1]
    assert shard.variants.pos.tolist() == [799, 4999, 899]
    assert shard.variants.record.tolist() == [2, 1, 0]


def test_only_contigs_with_variants_are_stored(genome: Path, tmp_path: Path) -> None:
    _, shard = shard_of(genome, tmp_path, [snv(genome, "chr2", 900)])
    assert shard.contigs == {"chr2": LENGTH}
    assert shard.variants.contig.tolist() == [0]


# Labels


def test_labels_from_a_table(genome: Path, tmp_path: Path) -> None:
    rows = [snv(genome, "chr1", pos, "") for pos in (1000, 2000, 3000, 90_000)]
    ref, alt = rows[0][2], rows[0][3]
    lines = [
        "contig\tpos\tref\talt\tlabel\tweight\tgroup\ttissue",
        f"1\t1000\t{str(ref).lower()}\t{alt}\t1\t2.5\tpanel\tK562",
        f"chr1\t2000\t{rows[1][2]}\t{rows[1][3]}\t0\t\t\tHepG2",
        f"chr1\t3000\t{rows[2][2]}\t{rows[2][3]}\tNA\t1\tpanel\t",
        "chr1\t4000\tA\tC\t1\t1\t\t",
    ]
    labels = tmp_path / "labels.tsv"
    labels.write_text("\r\n".join(lines) + "\r\n")
    summary, shard = shard_of(genome, tmp_path, rows, label_info=None, labels=labels)
    table = shard.variants
    expected = np.array([1, 0, np.nan, np.nan], np.float32)
    assert np.array_equal(table.label, expected, equal_nan=True)
    assert table.weight.tolist() == [2.5, 1, 1, 1]
    assert shard.tissues == ("K562", "HepG2")
    assert table.tissue.tolist() == [0, 1, -1, -1]
    group = table.group.tolist()
    assert group[0] == group[2]
    assert len(set(group)) == 3
    assert (summary.labelled, summary.unlabelled, summary.labels_unused) == (2, 2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contig\tpos\tref\talt\n", "lacks the column label"),
        ("contig\tpos\tref\talt\tlabel\n1\tx\tA\tC\t1\n", r":2: pos is not a position"),
        ("contig\tpos\tref\talt\tlabel\n1\t5\tA\tC\thigh\n", r":2: label is not a number"),
        (
            "contig\tpos\tref\talt\tlabel\tweight\n1\t5\tA\tC\t1\t-2\n",
            "weight is negative or infinite",
        ),
        (
            "contig\tpos\tref\talt\tlabel\n1\t5\tA\tC\n",
            r":2: the row has another number of columns",
        ),
        ("contig\tpos\tref\talt\tlabel\n1\t5\tA\tC\t1\nchr1\t5\ta\tC\t0\n", r":3: two labels for"),
        ("contig\tpos\tref\talt\tlabel\n1\t5\tA\tC\t1\n", "no variant has a label in"),
    ],
)
def test_a_wrong_table_is_told_where(genome: Path, tmp_path: Path, text: str, message: str) -> None:
    labels = tmp_path / "labels.tsv"
    labels.write_text(text)
    with pytest.raises(DataError, match=message):
        prepared(genome, tmp_path, [snv(genome, "chr1", 9)], label_info=None, labels=labels)
    assert not (tmp_path / "v.h5").exists()


def test_an_absent_info_key_is_told(genome: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"v\.vcf: no variant has a label in INFO/SCORE"):
        prepared(genome, tmp_path, [snv(genome, "chr1", 9)], label_info="SCORE")


def test_a_label_that_is_no_number_is_told_with_its_line(genome: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"v\.vcf:4: LABEL is not a number .found 'high'"):
        prepared(genome, tmp_path, [snv(genome, "chr1", 9, "high")])


def test_without_labels_all_are_unlabelled(genome: Path, tmp_path: Path) -> None:
    summary, shard = shard_of(genome, tmp_path, [snv(genome, "chr1", 9)], label_info=None)
    assert np.isnan(shard.variants.label).all()
    assert (summary.labelled, summary.unlabelled) == (0, 1)


def test_groups_are_loci(genome: Path, tmp_path: Path) -> None:
    positions = [10, 49_999, 50_001, 149_000, 150_001]
    rows = [snv(genome, "chr1", pos) for pos in positions] + [snv(genome, "chr2", 10)]
    _, shard = shard_of(genome, tmp_path, rows)
    assert shard.variants.group.tolist() == [0, 0, 1, 2, 3, 4]


def test_the_truth_of_simulated_labels_is_kept(genome: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    prepare_variants(request(genome, path, label_info="LABEL", probability_info="PROB"))
    table = open_shard(path).variants
    assert np.isfinite(table.probability).all()
    assert table.label.mean() == pytest.approx(table.probability.mean(), abs=0.05)


# Blocks


def test_blocks_hold_the_flanks_and_lie_on_the_contact_grid(genome: Path, tmp_path: Path) -> None:
    positions = [7_001, 60_000, 62_000, 200_000, LENGTH - 1]
    rows = [snv(genome, "chr1", pos) for pos in positions]
    summary, output = prepared(genome, tmp_path, rows, flank=10_000)
    with h5py.File(output) as file:
        blocks = file["/sequence/chr1/blocks"][:]
    assert blocks.tolist() == [
        [0, 20_000, 0],
        [45_000, 75_000, 20_000],
        [185_000, 210_000, 50_000],
        [290_000, LENGTH, 75_000],
    ]
    assert summary.bases == int((blocks[:, 1] - blocks[:, 0]).sum())
    shard = open_shard(output)
    with Fasta(genome / "genome.fa.gz") as fasta:
        for start, end, _ in blocks.tolist():
            assert np.array_equal(shard.codes("chr1", start, end), fasta.fetch("chr1", start, end))
    assert (shard.codes("chr1", 20_000, 45_000) == 4).all()


def test_small_pieces_make_the_same_shard(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_variants(request(genome, tmp_path / "a.h5"))
    monkeypatch.setattr("genomix_cli.variants.prepare.shard.PIECE", 35_000)
    prepare_variants(request(genome, tmp_path / "b.h5"))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_the_same_input_gives_the_same_bytes(genome: Path, tmp_path: Path) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", [snv(genome, "chr1", p) for p in (500, 90_000)])
    for turn in "ab":
        for layout in ("genome", "windows"):
            path = tmp_path / f"{layout}.{turn}"
            prepare_variants(request(genome, path, vcf=vcf, layout=layout))
        time.sleep(1.1)  # HDF5 keeps times in seconds
    for layout in ("genome", "windows"):
        first, second = (tmp_path / f"{layout}.{turn}" for turn in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_provenance_names_every_input(genome: Path, tmp_path: Path) -> None:
    prepare_variants(request(genome, tmp_path / "a.h5", assembly="toy"))
    shard = open_shard(tmp_path / "a.h5")
    assert shard.assembly == "toy"
    assert sorted(shard.provenance["inputs"]) == [
        "contacts contacts.cool",
        "fasta genome.fa.gz",
        "track ATAC ATAC.bw",
        "track CTCF CTCF.bw",
        "vcf variants.vcf.gz",
    ]
    assert all(len(digest) == 64 for digest in shard.provenance["inputs"].values())


# The scale of tracks


def test_normalise_like_takes_the_whole_scale_of_a_shard(genome: Path, tmp_path: Path) -> None:
    like, out = tmp_path / "like.h5", tmp_path / "out.h5"
    prepare_variants(request(genome, like, uncovered="zero", max_gap=150))
    # The other way round, and one of them absent: the model's order stays.
    tracks = {"CTCF": genome / "ATAC.bw"}
    prepare_variants(request(genome, out, tracks=tracks, normalise_like=str(like)))
    ours, theirs = open_shard(out), open_shard(like)
    assert ours.track_specs == theirs.track_specs
    assert (ours.uncovered, ours.max_gap_bins) == ("zero", 3)
    signal = ours.signal("chr1", 0, LENGTH // 50)
    assert not signal.state[0].any()
    # Another file on CTCF's scale has CTCF's distribution, wherever its peaks are.
    reference = theirs.signal("chr1", 0, LENGTH // 50).value[1]
    levels = [0.25, 0.5, 0.75, 0.99]
    assert np.allclose(
        np.quantile(signal.value[1], levels), np.quantile(reference, levels), atol=0.35
    )


def test_normalise_like_a_model(genome: Path, tmp_path: Path) -> None:
    from genomix_cli.config import to_dict

    prepare_variants(request(genome, tmp_path / "like.h5", uncovered="zero"))
    specs = open_shard(tmp_path / "like.h5").track_specs
    model = tmp_path / "model"
    model.mkdir()
    config = {
        "format": "genomix-model",
        "format_version": 1,
        "domain": "variants",
        "model": "gmt",
        "arch": {},
        "tracks": [to_dict(spec) for spec in specs],
        "uncovered": "zero",
        "max_gap_bins": 7,
        "calibration": {"slope": 1.0, "intercept": 0.0},
        "assembly": "toy",
        "demonstration": False,
        "provenance": {},
    }
    (model / "config.json").write_text(json.dumps(config))
    prepare_variants(request(genome, tmp_path / "a.h5", normalise_like=str(model)))
    shard = open_shard(tmp_path / "a.h5")
    assert (shard.track_specs, shard.uncovered, shard.max_gap_bins) == (specs, "zero", 7)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"uncovered": "zero"}, UsageError, "--uncovered: contradicts --normalise-like .*missing"),
        ({"max_gap": 100}, UsageError, "--max-gap: contradicts --normalise-like .expected 500"),
        ({"tracks": {"DNase": Path("x.bw")}}, UsageError, "unknown track DNase .*ATAC or CTCF"),
        ({"normalise_like": "nowhere"}, UsageError, "nowhere: no such model"),
    ],
)
def test_what_contradicts_the_scale_is_refused(
    genome: Path,
    tmp_path: Path,
    changes: dict[str, object],
    error: type[GenomixError],
    message: str,
) -> None:
    like = tmp_path / "like.h5"
    prepare_variants(request(genome, like))
    settings = {"normalise_like": str(like)} | changes
    with pytest.raises(error, match=message):
        prepare_variants(request(genome, tmp_path / "a.h5", **settings))


# The windows layout


@pytest.mark.parametrize("k", [4, 6])
def test_windows_are_centred_with_explicit_tokens(genome: Path, tmp_path: Path, k: int) -> None:
    rows = [snv(genome, "chr1", pos) for pos in (1_234, 150_000)] + [snv(genome, "chr2", LENGTH)]
    settings: dict[str, object] = {"tracks": tracks_of(genome), "layout": "windows", "k": k}
    summary, output = prepared(genome, tmp_path, rows, **settings)
    windows = open_windows(output)
    assert windows.kmers.shape == (3, 100_000)
    assert windows.kmers.dtype == np.uint16
    assert windows.signal.shape == windows.state.shape == (3, 2, 2000)
    assert windows.attributes["k"] == k
    assert (summary.used, summary.labelled) == (3, 3)
    source = RawGenome(
        genome / "genome.fa.gz", tracks_of(genome), None, uncovered="missing", max_gap_bins=10
    )
    for row, (contig, pos, *_) in enumerate(rows):
        assert windows.variants.pos[row] == int(str(pos)) - 1
        start = int(windows.start[row])
        assert start % 50 == 0
        assert 0 <= windows.variants.pos[row] - 50_000 - start < 50
        first = start - k // 2
        codes = source.codes(str(contig), first, first + 100_000 + k - 1)
        assert np.array_equal(windows.kmers[row], kmer_ids(codes, k))
        signal = source.signal(str(contig), start // 50, start // 50 + 2000)
        assert np.array_equal(windows.state[row], signal.state)
        assert np.allclose(windows.signal[row], signal.value, atol=5e-3)
    assert windows.kmers[0, 0] == unknown_id(k)
    assert not windows.state[0, :, :900].any()


# Inputs that do not belong together, or cannot be read


def test_another_assembly_is_a_failed_check(genome: Path, tmp_path: Path) -> None:
    def wrong(pos: int) -> tuple[object, ...]:
        ref = bases(genome, "chr1", pos)
        return "chr1", pos, other_base(ref), other_base(other_base(ref)), 1

    for n_wrong in (3, 60):
        rows = [wrong(100 + i) for i in range(n_wrong)] + [snv(genome, "chr1", 5000)]
        with pytest.raises(CheckError, match="looks like another assembly") as caught:
            prepared(genome, tmp_path, rows)
        assert caught.value.exit_code == 3
    assert not (tmp_path / "v.h5").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"v\.vcf: has no records"),
        ([("scaffold_9", 5, "A", "C", 1)], "has no contig in common"),
        ([("chr1", 0, "A", "<DEL>", 1)], r"no allele can be used .found symbolic 1\)"),
    ],
)
def test_a_vcf_without_anything_to_use(
    genome: Path, tmp_path: Path, rows: list[tuple[object, ...]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepared(genome, tmp_path, rows)


def test_a_track_nowhere_near_the_variants_is_warned_of(
    genome: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import pyBigWig

    path = tmp_path / "far.bw"
    file = pyBigWig.open(str(path), "w")
    file.addHeader([("chr1", LENGTH)])
    file.addEntries(["chr1", "chr1"], [0, 50], ends=[50, 100], values=[1.0, 2.0])
    file.close()
    summary, _ = prepared(genome, tmp_path, [snv(genome, "chr2", 9)], tracks={"far": path})
    assert summary.observed == {"far": 0.0}
    assert "far has no data in the stored regions" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": Path("x.tsv"), "label_info": "A"}, "--label-info or --labels, not both"),
        ({"layout": "rows"}, "unknown shard layout 'rows' .expected genome or windows"),
        ({"uncovered": "nan"}, "--uncovered: .*missing or zero, found nan"),
        ({"stats": Path("nowhere/a.json")}, "nowhere: no such folder"),
        ({"k": 8}, "--k: out of range .expected from 3 to 7, found 8"),
    ],
)
def test_a_request_that_cannot_be(
    genome: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        prepare_variants(request(genome, tmp_path / "a.h5", **changes))


# Nothing half-written


def test_an_existing_file_is_kept_without_force(genome: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("precious")
    with pytest.raises(UsageError, match=r"already exists.*--force"):
        prepare_variants(request(genome, path, force=False))
    assert path.read_text() == "precious"


def test_an_error_while_writing_leaves_nothing(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genomix_cli.formats.writer.LayoutWriter.put_variants", fail)
    with pytest.raises(GenomixError, match=r"a\.h5: cannot be written: No space left"):
        prepare_variants(request(genome, tmp_path / "a.h5"))
    assert list(tmp_path.iterdir()) == []


_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
from genomix_cli.cli.main import main
main()
"""

_KILLED = """
import os, sys
from genomix_cli.formats.writer import LayoutWriter
LayoutWriter.put_variants = lambda *_: os.kill(os.getpid(), 9)
from genomix_cli.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [(_LIMITED, 1, "a.h5: cannot be written: "), (_KILLED, -9, "")],
)
def test_a_full_disk_or_a_killed_process_leaves_nothing_at_the_target(
    genome: Path, tmp_path: Path, script: str, code: int, message: str
) -> None:
    target = tmp_path / "a.h5"
    words = ["prepare", "variants", "--config", genome / "genomix.toml", "-o", target]
    process = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == code, process.stderr
    assert not target.exists()
    assert message in process.stderr
    assert "Traceback" not in process.stderr
