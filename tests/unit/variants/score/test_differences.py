"""Variants scored by the difference of activity: in every format, in parts, and among others."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest
import torch

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.formats.run_folder import CONFIG
from genomix_cli.genome.fasta import Fasta
from genomix_cli.inspection import inspect
from genomix_cli.learning.activity import ActivityConfig, Output
from genomix_cli.provenance import facts_of
from genomix_cli.variants.models.base import Variants
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.records.inputs import Allele
from genomix_cli.variants.requests.prepare import PrepareRequest
from genomix_cli.variants.requests.score import GenomeFiles, Part, ScoreRequest
from genomix_cli.variants.score import engine, reading
from genomix_cli.variants.score.background import load_backgrounds
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.score.doctor import MadeUpGenome, examine, write_reference
from genomix_cli.variants.score.reading import Target
from genomix_cli.variants.score.vcf import score_variants
from genomix_cli.variants.trained import load_model
from tests.activity_runs import measured, trained
from tests.conftest import ROOT, Ended
from tests.random_activity import OUTPUTS, UNIT, config, save_activity
from tests.sequence_samples import MOTIFS, write
from tests.toy_variant_model import Toy, save_toy, toy_registered

DATA = ROOT / "test_data"
FASTA = DATA / "genome.fa.gz"
VCF = DATA / "variants.vcf.gz"
REGION, FEW = "chr1:1-60000", "chr1:1-20000"
KEYS = ("GENOMIX_DA", "GENOMIX_DA_HepG2", "GENOMIX_DA_K562")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_activity(tmp_path_factory.mktemp("models") / "mpra"))


def score(output: Path, model: str, vcf: Path = VCF, **settings: Any) -> Any:
    genome = settings.pop("genome", GenomeFiles(FASTA))
    request = ScoreRequest(vcf, genome, output, model=model, regions=REGION, device="cpu")
    return score_variants(ScoreRequest(**{**request.__dict__, **settings}))


def values(path: Path, *keys: str) -> np.ndarray:
    """Return fields of a scored VCF, a row per ALT."""
    with pysam.VariantFile(str(path)) as file:
        return np.array([row for r in file for row in zip(*(r.info[k] for k in keys), strict=True)])


@pytest.fixture(scope="module")
def scored(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scored") / "scored.vcf"
    score(path, model)
    return path


def test_the_fields_are_declared_with_assay_cell_and_unit(scored: Path) -> None:
    with pysam.VariantFile(str(scored)) as file:
        info = file.header.info
        own = [key for key in info if key.startswith("GENOMIX")]
        assert own == [*KEYS, "GENOMIX_REASON"]
        assert all((info[key].number, info[key].type) == ("A", "Float") for key in KEYS)
        told = info["GENOMIX_DA_HepG2"].description
    assert told == f"Predicted change of lentiMPRA activity in HepG2, alt - ref, {UNIT}, by mpra"


def test_the_header_says_why_there_is_no_probability(scored: Path) -> None:
    facts = facts_of(scored.read_text().splitlines())
    assert "Mode" not in facts
    assert facts["Strands"] == ["both"]
    assert "no GENOMIX_P, no GENOMIX_DL" in facts["Warning"][0]
    assert len(facts["Warning"]) == 2


def test_the_mean_is_in_standard_deviations(scored: Path) -> None:
    mean, *parts = values(scored, *KEYS).T
    expected = np.mean([part / o.sd for part, o in zip(parts, OUTPUTS[:2], strict=True)], 0)
    np.testing.assert_allclose(mean, expected, atol=2e-5)
    assert np.std(mean) > 0


def test_each_field_is_its_own_output(model: str, scored: Path) -> None:
    """Fields of the first allele equal the outputs of the network."""
    with pysam.VariantFile(str(scored)) as file, pysam.FastaFile(str(FASTA)) as fasta:
        record = next(r for r in file if len(r.ref) == len(r.alts[0]) == 1)
        bases = fasta.fetch(record.chrom, record.start - 30, record.start + 30).upper()
    changed = f"{bases[:30]}{record.alts[0]}{bases[31:]}"
    codes = [["ACGT".index(base) for base in each] for each in (bases, changed)]
    p = torch.eye(4)[torch.tensor(codes)]
    with torch.inference_mode():
        ref, alt = load_model(model).module.network.both_strands(p, (0, 1))
    for key, expected in zip(KEYS[1:], (alt - ref).tolist(), strict=True):
        assert record.info[key][0] == pytest.approx(expected, abs=1e-5)


def test_alleles_of_two_cores_share_no_batch(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, sizes = load_model(model).module, []

    def differences(variants: Variants) -> torch.Tensor:
        sizes.append(variants.ref.shape[1])
        return torch.zeros(1, variants.ref.shape[1], 2)

    monkeypatch.setattr(module, "substitutions", differences)
    genome = MadeUpGenome((), 10_000)
    base = np.zeros(1, np.uint8)
    targets = [Target("made-up", Allele(5000 + i, base, base + 1), i // 3) for i in range(5)]
    engine.Engine(module, genome, torch.device("cpu")).score(targets)
    assert sizes == [4, 4]


def test_a_summary_counts_names_as_often_as_they_stand() -> None:
    outputs = (Output("a", "x", "u", sd=2.0), Output("b", sd=0.5))
    given = Differences.of(ActivityConfig(outputs, summary=("a", "b", "b")))
    assert given.statistic == "|GENOMIX_DA| (a, 2 x b)"
    rows = np.array([[2.0, 0.5], [0.0, 1.0]], np.float32)
    np.testing.assert_allclose(given.mean(rows), [(1 + 1 + 1) / 3, 4 / 3])
    own = Differences.of(ActivityConfig(outputs))
    np.testing.assert_allclose(own.mean(rows[:, :1]), [1, 0])
    assert [tag.key for tag in own.tags()] == ["GENOMIX_DA", "GENOMIX_DA_a"]


def test_braces_of_a_unit_stay_as_they_are() -> None:
    given = Differences.of(ActivityConfig((Output("a", "x{0}", "{u}"),)))
    *_, tag = given.tags()
    assert (
        tag.text.format(model="m") == "Predicted change of x{0} activity in a, alt - ref, {u}, by m"
    )


def test_every_format_says_the_same(model: str, scored: Path, tmp_path: Path) -> None:
    expected = values(scored, *KEYS)
    for name in ("out.bcf", "out.vcf.gz"):
        score(tmp_path / name, model)
        np.testing.assert_allclose(values(tmp_path / name, *KEYS), expected, rtol=1e-6)
    score(tmp_path / "out.tsv", model)
    score(tmp_path / "out.parquet", model)
    text = pd.read_csv(tmp_path / "out.tsv", sep="\t", comment="#")
    for table in (text, pd.read_parquet(tmp_path / "out.parquet")):
        np.testing.assert_allclose(table[list(KEYS)].to_numpy(), expected, rtol=1e-6)
        assert not {"GENOMIX_P", "GENOMIX_DL", "GENOMIX_LOGIT"} & set(table.columns)


def test_parts_are_the_whole(model: str, tmp_path: Path) -> None:
    score(tmp_path / "whole.vcf", model, regions=None)
    lines: list[str] = []
    for number in (1, 2, 3):
        score(tmp_path / f"{number}.vcf", model, regions=None, shard=Part(number, 3))
        text = (tmp_path / f"{number}.vcf").read_text().splitlines(keepends=True)
        lines += text if number == 1 else [line for line in text if not line.startswith("#")]
    assert "".join(lines) == (tmp_path / "whole.vcf").read_text()


def test_several_devices_give_the_same_bytes(model: str, scored: Path, tmp_path: Path) -> None:
    score(tmp_path / "two.vcf", model, devices="2")
    assert (tmp_path / "two.vcf").read_bytes() == scored.read_bytes()


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genomix_cli.variants.records import cutting
    from genomix_cli.variants.score import blocks as running

    monkeypatch.setattr(cutting, "BLOCK_CORES", 1)
    monkeypatch.setattr(running, "COMMIT_SECONDS", 0.0)
    finish = running.Run._finish
    finished: list[int] = []

    def fail_at_the_second(self: Any, *block: Any) -> None:
        if finished:
            raise KeyboardInterrupt
        finish(self, *block)
        finished.append(1)

    with monkeypatch.context() as patch:
        patch.setattr(running.Run, "_finish", fail_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            score(tmp_path / "out.vcf", model, regions=None)
    assert score(tmp_path / "out.vcf", model, regions=None, resume=True).resumed > 0
    score(tmp_path / "whole.vcf", model, regions=None)
    assert (tmp_path / "out.vcf").read_bytes() == (tmp_path / "whole.vcf").read_bytes()


def test_swapped_alleles_swap_the_sign(model: str, tmp_path: Path) -> None:
    """A genome with the alternate bases, and REF and ALT swapped, give the opposite sign."""
    with Fasta(FASTA) as fasta:
        bases = fasta.letters("chr1", 0, 60_000)
    rng = np.random.default_rng(0)
    places = np.arange(500, 59_000, 700)
    alts = ["ACGT".replace(bases[p], "")[rng.integers(3)] for p in places]
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    found = []
    for swap in (False, True):
        letters, rows = list(bases), []
        for place, alt in zip(places.tolist(), alts, strict=True):
            ref = bases[place]
            letters[place] = alt if swap else ref
            pair = (alt, ref) if swap else (ref, alt)
            rows.append(f"chr1\t{place + 1}\t.\t{pair[0]}\t{pair[1]}\t.\t.\t.\n")
        (tmp_path / f"{swap}.fa").write_text(f">chr1\n{''.join(letters)}\n")
        (tmp_path / f"{swap}.vcf").write_text(header + "".join(rows))
        genome = GenomeFiles(tmp_path / f"{swap}.fa")
        score(tmp_path / f"{swap}.out.vcf", model, tmp_path / f"{swap}.vcf", genome=genome)
        found.append(values(tmp_path / f"{swap}.out.vcf", *KEYS))
    np.testing.assert_array_equal(found[0], -found[1])
    assert np.abs(found[0]).max() > 0


def test_a_shard_of_any_tracks_will_do(model: str, scored: Path, tmp_path: Path) -> None:
    tracks = {"ATAC@K562": DATA / "ATAC.bw", "ATAC@liver": DATA / "ATAC.bw"}
    prepare_variants(PrepareRequest(VCF, FASTA, tmp_path / "s.h5", tracks=tracks))
    assert open_shard(tmp_path / "s.h5").tracks
    score(tmp_path / "out.vcf", model, genome=GenomeFiles(shard=tmp_path / "s.h5"))
    np.testing.assert_array_equal(values(tmp_path / "out.vcf", *KEYS), values(scored, *KEYS))


def test_what_it_cannot_heed_is_said_once(
    model: str, scored: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    genome = GenomeFiles(FASTA, {"ATAC": DATA / "ATAC.bw"}, uncovered="zero")
    asked = {"mode": "centred", "precision": "bf16", "both_strands": True, "genome": genome}
    with caplog.at_level(logging.WARNING, "genomix"):
        score(tmp_path / "out.vcf", model, **asked)
    told = "--track, --uncovered, --mode, --precision, --both-strands ignored"
    assert [m for m in caplog.messages if "ignored" in m] == [
        f"mpra reads both strands of the sequence alone, in fp32: {told}"
    ]
    facts = facts_of((tmp_path / "out.vcf").read_text().splitlines())
    assert not {"--track", "--uncovered", "--mode"} & set(facts["Command"][0].split())
    assert facts["Precision"] == ["fp32"]
    np.testing.assert_array_equal(values(tmp_path / "out.vcf", *KEYS), values(scored, *KEYS))


def test_a_background_needs_a_model_whose_folder_can_be_written(
    tmp_path: Path, scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = save_activity(tmp_path / "own")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != own)
    with pytest.raises(UsageError, match=rf"--save-background {own}: cannot be written to; copy"):
        score(tmp_path / "background.vcf", str(own), save_background=True)
    with pytest.raises(UsageError, match="a bundled model cannot be changed; copy the model"):
        score(tmp_path / "background.vcf", "gmt-mini", save_background=True)
    assert not (tmp_path / "background.vcf").exists()


def test_ranks_are_those_of_magnitudes(
    tmp_path: Path, scored: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = save_activity(tmp_path / "own")
    with caplog.at_level(logging.WARNING, "genomix"):
        score(tmp_path / "background.vcf", str(own), save_background=True)
    assert "alleles: ranks among so few are coarse (1,000 or more are better)" in caplog.text
    (stored,) = load_backgrounds(own, load_model(own).sha256, load_model(own).config.conditions())
    assert stored.statistic == "|GENOMIX_DA| (HepG2, K562)"
    assert (stored.conditions.tracks, stored.conditions.mode) == ((), None)
    said = inspect(own).facts
    assert said["scores variants by"] == ["HepG2", "K562"]
    assert "the variants of variants.vcf.gz" in said["background"][0]
    score(tmp_path / "out.vcf", str(own))
    change, percentile, phred = values(
        tmp_path / "out.vcf", "GENOMIX_DA", "GENOMIX_PCT", "GENOMIX_PHRED"
    ).T
    largest = int(np.argmax(np.abs(change)))
    assert percentile[largest] == pytest.approx(100 - 50 / len(change), rel=1e-4)
    assert phred[largest] == pytest.approx(-10 * np.log10(2 / (len(change) + 1)), rel=1e-4)
    assert percentile[int(np.argmin(change))] > 90
    assert percentile[int(np.argmin(np.abs(change)))] < 10
    assert "Percentile of |GENOMIX_DA| among" in (tmp_path / "out.vcf").read_text()


def test_a_cell_type_has_the_mean_to_itself(tmp_path: Path) -> None:
    own = save_activity(tmp_path / "own")
    score(tmp_path / "all.vcf", str(own), save_background=True)
    of_k562 = GenomeFiles(FASTA, cell="K562")
    score(tmp_path / "before.vcf", str(own), genome=of_k562)
    mean, alone = values(tmp_path / "before.vcf", "GENOMIX_DA", "GENOMIX_DA_K562").T
    np.testing.assert_allclose(mean, alone / OUTPUTS[1].sd, atol=2e-5)
    text = (tmp_path / "before.vcf").read_text()
    assert "alt - ref: mean of K562, each" in text
    facts = facts_of(text.splitlines())
    assert "--cell K562" in facts["Command"][0]
    of_mean = "|GENOMIX_DA| (K562) (stored: |GENOMIX_DA| (HepG2, K562))"
    assert facts["Warning"][-1].endswith(f"own has no background of {of_mean}")
    # Ranks are among changes in the same cell type alone.
    with pysam.VariantFile(str(tmp_path / "before.vcf")) as file:
        assert all(record.info["GENOMIX_PCT"] == (None,) * len(record.alts) for record in file)
    score(tmp_path / "background.vcf", str(own), genome=of_k562, save_background=True)
    score(tmp_path / "after.vcf", str(own), genome=of_k562)
    ranks = values(tmp_path / "after.vcf", "GENOMIX_PCT")[:, 0]
    assert ranks[np.argmax(np.abs(mean))] == pytest.approx(100 - 50 / len(mean), rel=1e-4)
    score(tmp_path / "again.vcf", str(own))
    ranked = "Percentile of |GENOMIX_DA| among the variants of variants.vcf.gz"
    assert ranked in (tmp_path / "again.vcf").read_text()


def test_scores_of_another_cell_type_are_not_looked_up(model: str, tmp_path: Path) -> None:
    score(tmp_path / "k.vcf.gz", model, genome=GenomeFiles(FASTA, cell="K562"), write_index=True)
    with pytest.raises(DataError, match="K562"):
        score(tmp_path / "out.vcf", model, lookup=(tmp_path / "k.vcf.gz",))


def test_a_cell_type_that_it_does_not_know_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"predicts no activity in this cell type.*HepG2 or K562.*liver"
    ):
        score(tmp_path / "out.vcf", model, genome=GenomeFiles(FASTA, cell="liver"))


def test_an_output_of_the_cell_goes_before_an_assay_in_it() -> None:
    outputs = tuple(Output(n, "x", "u", sd=2.0) for n in ("K562", "K562_cell", "stem_cell"))
    given = Differences.of(ActivityConfig(outputs), cell="K562")
    assert given.statistic == "|GENOMIX_DA| (K562_cell)"
    np.testing.assert_allclose(given.mean(np.array([[1.0, 4.0, 9.0]], np.float32)), [2])
    assert Differences.of(ActivityConfig(outputs), cell="stem").averaged == ("stem_cell",)
    with pytest.raises(UsageError, match="expected K562 or stem"):
        Differences.of(ActivityConfig(outputs), cell="stem_")


def test_outputs_that_are_not_shown_count_and_are_written_where_asked_for(tmp_path: Path) -> None:
    summary = ("HepG2", "K562", "teacher")
    own = str(save_activity(tmp_path / "own", summary=summary, shown=("K562",)))
    wrote = {}
    for fields in ("", "all", "teacher, HepG2"):
        path = tmp_path / f"{fields}.vcf"
        score(path, own, fields=fields, quantiles=bool(fields))
        with pysam.VariantFile(str(path)) as file:
            wrote[fields] = [key for key in file.header.info if key.startswith("GENOMIX_")]
            assert ("--fields" in str(file.header)) == bool(fields)
    of = "GENOMIX_DA", "GENOMIX_Q"
    assert wrote[""] == ["GENOMIX_DA", "GENOMIX_DA_K562", "GENOMIX_REASON"]
    every = [f"{key}_{name}" for key in of for name in summary]
    assert wrote["all"] == ["GENOMIX_DA", *every, "GENOMIX_REASON"]
    two = [f"{key}_{name}" for key in of for name in ("HepG2", "teacher")]
    assert wrote["teacher, HepG2"] == ["GENOMIX_DA", *two, "GENOMIX_REASON"]
    paths = [tmp_path / ".vcf", tmp_path / "all.vcf"]
    few, full = (values(path, "GENOMIX_DA", "GENOMIX_DA_K562") for path in paths)
    np.testing.assert_array_equal(few, full)
    # Of two, one is the larger: ranks are among those written.
    ranks = values(tmp_path / "teacher, HepG2.vcf", *two[2:])
    assert set(ranks.sum(1)) == {1}


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("gmt-mini", "HepG2,liver", "--fields names unknown outputs: liver.*HepG2 or WTC11"),
        ("gmt-mini", "open_HepG2", "--fields names unknown outputs: open_HepG2"),
        (
            "gmt-mini-sim",
            "HepG2",
            "--fields: selects outputs of an activity model, and gmt-mini-sim is none",
        ),
    ],
)
def test_fields_that_a_model_does_not_have_are_refused(
    model: str, fields: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        score(tmp_path / "out.vcf", model, fields=fields)


def test_all_fields_of_a_model_without_outputs_are_those_it_has(tmp_path: Path) -> None:
    for fields in ("", "all"):
        score(tmp_path / f"{fields}.tsv", "gmt-mini-sim", fields=fields, regions="chr1:1-2000")
    first, second = (pd.read_csv(tmp_path / f"{f}.tsv", sep="\t", comment="#") for f in ("", "all"))
    pd.testing.assert_frame_equal(first, second)


def test_an_output_that_scores_no_variants_is_not_shown() -> None:
    with pytest.raises(UsageError, match=r"shown names unknown outputs: open.*HepG2 or K562"):
        config(shown=("open",))


def test_one_of_several_backgrounds_is_asked_for_by_name(tmp_path: Path) -> None:
    own = save_activity(tmp_path / "own")
    score(tmp_path / "all.vcf", str(own), save_background=True)
    score(tmp_path / "few.vcf", str(own), tmp_path / "all.vcf", save_background=True, regions=FEW)
    found = {}
    for asked in ("", "variants", "all"):
        score(tmp_path / "out.vcf", str(own), background=asked)
        found[asked] = values(tmp_path / "out.vcf", "GENOMIX_PCT")
        facts = facts_of((tmp_path / "out.vcf").read_text().splitlines())
        assert facts["Background"][0].startswith(f"the variants of {asked or 'all'}")
        assert ("--background" in facts["Command"][0]) == bool(asked)
    np.testing.assert_array_equal(found[""], found["all"])  # that saved last
    assert not np.array_equal(found["variants"], found["all"])
    with pytest.raises(UsageError, match="no stored background has this name"):
        score(tmp_path / "out.vcf", str(own), background="rare")


def test_each_stored_background_is_named_once(tmp_path: Path) -> None:
    """A model stores those of a file for every cell type."""
    expected = r"expected random_snvs.vcf or common_snvs.vcf, found rare"
    with pytest.raises(UsageError, match=expected):
        score(tmp_path / "out.vcf", "gmt-mini", background="rare")


def test_a_background_of_another_summary_ranks_nothing(tmp_path: Path) -> None:
    own = save_activity(tmp_path / "own")
    score(tmp_path / "background.vcf", str(own), save_background=True)
    data = json.loads((own / CONFIG).read_text())
    del data["config_sha256"]
    data["arch"]["summary"] = ["HepG2"]
    (own / CONFIG).write_text(json.dumps(data))
    score(tmp_path / "out.vcf", str(own))
    with pysam.VariantFile(str(tmp_path / "out.vcf")) as file:
        assert all(record.info["GENOMIX_PCT"] == (None,) * len(record.alts) for record in file)


def test_inspect_shows_the_largest_changes_of_either_sign(scored: Path) -> None:
    report = inspect(scored, top=5)
    (table,) = report.tables
    changes = np.array([row[-1] for row in table.rows])
    every = values(scored, "GENOMIX_DA")[:, 0]
    assert table.title == "largest changes"
    assert report.kind == "scored VCF"
    np.testing.assert_allclose(np.abs(changes), np.sort(np.abs(every))[::-1][:5], rtol=1e-5)


def test_the_doctor_examines_it(model: str, tmp_path: Path) -> None:
    write_reference(model)
    found = examine(model, "cpu", "auto")
    assert found.sound, found.problems
    assert found.ms_per_window is None
    changed = load_model(save_activity(tmp_path / "other", seed=1)).sha256
    path = Path(model) / "reference.json"
    stored = json.loads(path.read_text())
    stored["difference 1"][3] *= -1
    path.write_text(json.dumps(stored))
    assert not examine(model, "cpu", "auto").sound
    path.write_text(json.dumps({**stored, "model": changed}))
    with pytest.raises(Exception, match="belong to other weights"):
        examine(model, "cpu", "auto")


def test_batches_do_not_change_it(model: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Scores equal those of batches of one, up to rounding."""
    score(tmp_path / "many.vcf", model)
    monkeypatch.setattr(reading, "CHUNKS", (1,))
    score(tmp_path / "one.vcf", model)
    many, one = (values(tmp_path / f"{name}.vcf", *KEYS) for name in ("many", "one"))
    np.testing.assert_allclose(many, one, atol=2e-5)


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A model that reads a window, and predicts activity too: here the first base of alt."""

    def differences(self: Toy, variants: Variants) -> torch.Tensor:
        assert not torch.is_autocast_enabled("cpu")
        first = variants.alt[..., self.flank].float()
        return torch.stack([first, -first], -1)

    monkeypatch.setattr(Toy, "outputs", OUTPUTS[:2])
    monkeypatch.setattr(Toy, "activity_of", staticmethod(lambda arch: config()))
    monkeypatch.setattr(Toy, "differences", differences)
    prepare_variants(
        PrepareRequest(VCF, FASTA, tmp_path / "s.h5", tracks={"ATAC": DATA / "ATAC.bw"})
    )
    with toy_registered():
        yield str(save_toy(tmp_path / "toy", open_shard(tmp_path / "s.h5"), n_bins=200))


@pytest.mark.parametrize("how", [{}, {"both_strands": True}, {"precision": "bf16"}])
def test_a_model_may_give_logits_and_differences(both: str, tmp_path: Path, how: Any) -> None:
    genome = GenomeFiles(FASTA, {"ATAC": DATA / "ATAC.bw"})
    score(tmp_path / "out.vcf", both, genome=genome, **how)
    found = values(tmp_path / "out.vcf", "GENOMIX_P", "GENOMIX_DL", *KEYS[1:])
    with pysam.VariantFile(str(tmp_path / "out.vcf")) as file:
        pairs = [(record.ref, alt) for record in file for alt in record.alts]
    snvs = [i for i, (ref, alt) in enumerate(pairs) if len(ref) == len(alt) == 1]
    assert np.std(found[:, 0]) > 0
    np.testing.assert_array_equal(found[snvs, 2], ["ACGT".index(pairs[i][1]) for i in snvs])
    np.testing.assert_array_equal(found[:, 2], -found[:, 3])


def test_it_has_no_suite(genomix_fast: Any, model: str, tmp_path: Path) -> None:
    prepare_variants(PrepareRequest(VCF, FASTA, tmp_path / "s.h5", label_info="LABEL"))
    ended: Ended = genomix_fast(
        "evaluate", tmp_path / "s.h5", "-m", model, "-o", tmp_path / "out",
        "--test-contigs", "chr2", code=2,
    )  # fmt: skip
    assert "cannot be run on a shard" in ended.err


@pytest.mark.slow
def test_a_broken_motif_takes_away_what_it_did(tmp_path: Path) -> None:
    """The model learns motifs that raise and lower activity, and is tested on other sequences."""
    data = write(tmp_path / "data.h5", measured(3000))
    trained(data, tmp_path / "run", epochs=12, width=16, stem=24)
    rng = np.random.default_rng(5)
    bases, rows, effects = rng.choice(list("ACGT"), 30_000), [], []
    for number, pos in enumerate(range(500, 29_000, 300)):
        which = number % 2
        motif, at = MOTIFS[which], int(rng.integers(len(MOTIFS[which])))
        bases[pos : pos + len(motif)] = list(motif)
        alt = "ACGT".replace(motif[at], "")[rng.integers(3)]
        rows.append(f"chr1\t{pos + at + 1}\t.\t{motif[at]}\t{alt}\t.\t.\t.\n")
        effects.append(1 if which else -1)
    (tmp_path / "genome.fa").write_text(f">chr1\n{''.join(bases)}\n")
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "in.vcf").write_text(header + "".join(rows))
    genome = GenomeFiles(tmp_path / "genome.fa")
    score(tmp_path / "out.vcf", str(tmp_path / "run"), tmp_path / "in.vcf", genome=genome)
    change = values(tmp_path / "out.vcf", "GENOMIX_DA")[:, 0]
    assert np.corrcoef(change, effects)[0, 1] > 0.8
    assert np.mean(np.sign(change) == effects) > 0.9
