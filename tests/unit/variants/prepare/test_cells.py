"""Tracks of several cell types in one shard, labels in several tissues, and genomes without any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.genome.fasta import Fasta
from genomix_cli.variants.prepare.genome import prepare_genome
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.requests.prepare import PrepareGenomeRequest
from genomix_cli.variants.train.dataset import VariantDataset
from tests.small_genome import LENGTH, bases, make_genome, other_base, request, write_vcf

PLACES = (10_000, 60_000, 120_000)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_genome(tmp_path_factory.mktemp("cells") / "genome")


@pytest.fixture(scope="module")
def rows(genome: Path) -> list[tuple[str, int, str, str]]:
    refs = [bases(genome, "chr1", pos) for pos in PLACES]
    return [("chr1", p, ref, other_base(ref)) for p, ref in zip(PLACES, refs, strict=True)]


@pytest.fixture(scope="module")
def shard(
    genome: Path, rows: list[tuple[str, int, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """ATAC of two cell types (the other one's file is the first's CTCF), CTCF of all, and labels
    of the first variant in both.
    """
    folder = tmp_path_factory.mktemp("shard")
    vcf = write_vcf(folder / "v.vcf", [(*row, "") for row in rows])
    lines = ["contig\tpos\tref\talt\tlabel\teffect\ttissue"]
    first, second, third = ("\t".join(map(str, row)) for row in rows)
    lines += [f"{first}\t1\t2.5\tK562", f"{first}\t0\tNA\tMCF7", f"{second}\tNA\t-1\tHepG2"]
    lines += [f"{third}\t0\t.\t"]
    labels = folder / "labels.tsv"
    labels.write_text("\n".join(lines) + "\n")
    tracks = {"ATAC@K562": "ATAC", "ATAC@MCF7": "CTCF", "CTCF": "CTCF"}
    files = {name: genome / f"{file}.bw" for name, file in tracks.items()}
    output = folder / "shard.h5"
    prepare_variants(request(genome, output, vcf=vcf, labels=labels, tracks=files))
    return output


def test_an_allele_has_a_row_for_each_tissue(shard: Path) -> None:
    opened = open_shard(shard)
    table = opened.variants
    tissues = [(*opened.tissues, "")[i] for i in table.tissue]
    assert tissues == ["K562", "MCF7", "HepG2", ""]
    nan = np.nan
    assert np.array_equal(table.label, np.array([1, 0, nan, 0], np.float32), equal_nan=True)
    assert np.array_equal(table.effect, np.array([2.5, nan, -1, nan], np.float32), equal_nan=True)
    # One locus, two tissues: they are not ranked against each other.
    assert table.group[0] != table.group[1]
    assert table.record.tolist() == [0, 0, 1, 2]


def test_a_cell_type_sees_its_own_tracks_and_those_of_all(shard: Path) -> None:
    opened = open_shard(shard)
    assert opened.modalities == ("ATAC", "CTCF")
    assert opened.cells == ("K562", "MCF7")
    whole = opened.signal("chr1", 0, 4000)
    for cell, row in (("K562", 0), ("MCF7", 1)):
        seen = opened.in_cell(cell).signal("chr1", 0, 4000)
        np.testing.assert_array_equal(seen.value, whole.value[[row, 2]])
        np.testing.assert_array_equal(seen.state, whole.state[[row, 2]])
    other = opened.in_cell("HepG2").signal("chr1", 0, 4000)
    assert not other.state[0].any()
    assert not other.value[0].any()
    np.testing.assert_array_equal(other.value[1], whole.value[2])


def test_tracks_of_one_modality_are_on_one_scale(shard: Path) -> None:
    first, second, _ = open_shard(shard).track_specs
    assert (first.name, second.name) == ("ATAC@K562", "ATAC@MCF7")
    assert second.called("ATAC@K562") == first
    assert [s.name for s in open_shard(shard).modality_specs] == ["ATAC", "CTCF"]


def test_a_variant_is_seen_in_its_tissue(shard: Path) -> None:
    opened = open_shard(shard)
    data = VariantDataset(opened, np.arange(4), n_bins=400, core_bins=200, flank=30, max_group=8)
    cells = {tuple(p.rows.tolist()): p.cell for p in data.placements}
    assert cells == {(0,): "K562", (1,): "MCF7", (2,): "HepG2", (3,): ""}
    items = {int(data[i].row[0]): data[i] for i in range(4)}
    assert not np.array_equal(items[0].window.signal, items[1].window.signal)
    assert items[0].window.state[0].any()
    # No track of HepG2, and none of a tissue that is not named; CTCF serves all.
    for row in (2, 3):
        assert not items[row].window.state[0].any()
        assert items[row].window.state[1].any()


def test_a_shard_of_one_cell_type_shows_it_to_every_variant(
    genome: Path, rows: list[tuple[str, int, str, str]], tmp_path: Path
) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", [(*row, 1) for row in rows])
    files = {"ATAC@K562": genome / "ATAC.bw"}
    output = tmp_path / "one.h5"
    prepare_variants(request(genome, output, vcf=vcf, tracks=files, label_info="LABEL"))
    data = VariantDataset(
        open_shard(output), np.arange(3), n_bins=400, core_bins=200, flank=30, max_group=8
    )
    assert {p.cell for p in data.placements} == {"K562"}
    assert all(data[i].window.state.any() for i in range(3))


def test_a_shard_conforms_to_another_cell_type(
    genome: Path, rows: list[tuple[str, int, str, str]], shard: Path, tmp_path: Path
) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", [(*row, 1) for row in rows])
    output, like = tmp_path / "new.h5", str(shard)
    changes = {"vcf": vcf, "label_info": "LABEL", "normalise_like": like}
    files = {"ATAC@GM12878": genome / "ATAC.bw"}
    prepare_variants(request(genome, output, tracks=files, **changes))
    new, old = open_shard(output), open_shard(shard)
    # The modality it has no file of is there, and missing.
    assert new.modality_specs == old.modality_specs
    assert new.tracks == ("ATAC@GM12878", "CTCF")
    assert not new.in_cell("GM12878").signal("chr1", 0, 4000).state[1].any()
    with pytest.raises(UsageError, match=r"unknown track DNase@K562 .*ATAC or CTCF"):
        prepare_variants(
            request(
                genome, output, tracks={"DNase@K562": genome / "ATAC.bw"}, force=True, **changes
            )
        )


def test_labels_that_contradict_each_other(
    genome: Path, rows: list[tuple[str, int, str, str]], tmp_path: Path
) -> None:
    contig, pos, ref, alt = rows[0]
    twice = [(contig, pos, ref, alt, 1), (contig, pos, ref, alt, 0), (*rows[1], 1)]
    vcf = write_vcf(tmp_path / "v.vcf", twice)
    output = tmp_path / "v.h5"
    message = rf"1 alleles have two labels, e.g. chr1:{pos} {ref}>{alt} .*1 and 0|0 and 1"
    with pytest.raises(DataError, match=message):
        prepare_variants(request(genome, output, vcf=vcf, label_info="LABEL"))
    assert not output.exists()
    same = write_vcf(tmp_path / "same.vcf", [twice[0], twice[0]])
    assert prepare_variants(request(genome, output, vcf=same, label_info="LABEL")).used == 2


def test_a_track_that_is_the_same_everywhere_is_refused(
    genome: Path, rows: list[tuple[str, int, str, str]], tmp_path: Path
) -> None:
    flat = tmp_path / "flat.bw"
    with pyBigWig.open(str(flat), "w") as out:
        out.addHeader([("chr1", LENGTH), ("chr2", LENGTH)])
        out.addEntries(["chr1"], [0], ends=[LENGTH], values=[3.0])
    vcf = write_vcf(tmp_path / "v.vcf", [(*row, 1) for row in rows])
    asked = request(genome, tmp_path / "v.h5", vcf=vcf, tracks={"ATAC": flat}, label_info="LABEL")
    with pytest.raises(DataError, match=r"flat.bw: is 3 everywhere.*remove --track ATAC"):
        prepare_variants(asked)


# A genome without variants


def test_gaps_of_the_assembly_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    letters = np.array(list("ACGT"))[rng.integers(0, 4, 63_210)]
    letters[7_000:21_300] = "N"
    letters[40_100:40_200] = "N"
    fasta = tmp_path / "g.fa"
    fasta.write_text(f">a\n{''.join(letters)}\n>gap\n{'N' * 12_000}\n>b\nACGTACGTAC\n")
    output = tmp_path / "g.h5"
    summary = prepare_genome(PrepareGenomeRequest(fasta, output))
    shard = open_shard(output)
    # Only whole bins of 5 kb are left out; a short run of N stays.
    assert shard.blocks("a").tolist() == [[0, 10_000], [20_000, 63_210]]
    assert list(shard.contigs) == ["a", "b"]
    assert summary.contigs == {"a": 53_210, "b": 10}
    assert summary.gaps == 10_000
    assert len(shard.variants.pos) == 0
    with Fasta(fasta) as source:
        for start, end in ((0, 7_000), (30_000, 63_210)):
            np.testing.assert_array_equal(
                shard.codes("a", start, end), source.fetch("a", start, end)
            )


def test_a_genome_shard_holds_what_one_with_variants_does(
    genome: Path, shard: Path, tmp_path: Path
) -> None:
    tracks = {"ATAC": genome / "ATAC.bw", "CTCF": genome / "CTCF.bw"}
    fasta, output = genome / "genome.fa.gz", tmp_path / "g.h5"
    contacts = genome / "contacts.cool"
    asked = PrepareGenomeRequest(fasta, output, tracks, contacts, contigs=("1",))
    prepare_genome(asked)
    whole, part = open_shard(output), open_shard(shard)
    assert list(whole.contigs) == ["chr1"]
    np.testing.assert_array_equal(whole.codes("chr1", 0, 50_000), part.codes("chr1", 0, 50_000))
    value = whole.signal("chr1", 100, 900).value
    np.testing.assert_array_equal(value, part.in_cell("K562").signal("chr1", 100, 900).value)
    np.testing.assert_array_equal(whole.contacts("chr1", 5000, 10), part.contacts("chr1", 5000, 10))


def test_a_genome_of_nothing_is_refused(tmp_path: Path) -> None:
    fasta = tmp_path / "g.fa"
    fasta.write_text(f">a\n{'N' * 9000}\n")
    with pytest.raises(DataError, match="contains only N"):
        prepare_genome(PrepareGenomeRequest(fasta, tmp_path / "g.h5"))
    assert not (tmp_path / "g.h5").exists()
