"""Differences of activity: none for no change, turned around with the alleles, in context."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.genome.alphabet import encode
from genomix_cli.learning.activity import Output
from genomix_cli.variants.models.activity import Activity
from genomix_cli.variants.models.base import Variants
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.records.inputs import Allele, haplotypes
from genomix_cli.variants.requests.prepare import PrepareRequest
from genomix_cli.variants.score.doctor import MadeUpGenome
from genomix_cli.variants.trained import load_model, read_config, refuse_unable
from tests.conftest import ROOT, Ended
from tests.random_activity import OUTPUTS, config, network, save_activity

GENOME = MadeUpGenome((), 10_000)


@pytest.fixture(scope="module")
def model() -> Activity:
    return Activity(network(config())).eval()


@pytest.fixture(scope="module")
def model_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_activity(tmp_path_factory.mktemp("models") / "run")


def alleles(n: int = 40, seed: int = 0) -> list[Allele]:
    """Substitutions at random places."""
    rng = np.random.default_rng(seed)
    found = []
    for pos in np.sort(rng.integers(1000, 19_000, n)).tolist():
        ref = GENOME.codes("made-up", pos, pos + 1)
        found.append(Allele(pos, ref, (ref + rng.integers(1, 4, 1, np.uint8)) % 4))
    return found


def variants(model: Activity, some: Sequence[Allele]) -> Variants:
    rows = haplotypes(GENOME, "made-up", some, model.flank)
    tensors = (torch.from_numpy(array)[None] for array in rows)
    return Variants(torch.zeros(1, len(some), dtype=torch.long), *tensors)


def differences(model: Activity, given: Variants) -> torch.Tensor:
    with torch.inference_mode():
        return model.differences(given)[0]


def test_measured_outputs_alone_are_reported(model: Activity) -> None:
    assert model.outputs == OUTPUTS[:2]
    assert differences(model, variants(model, alleles())).shape == (40, 2)


def test_no_change_makes_no_difference(model: Activity) -> None:
    given = variants(model, alleles())
    none = given._replace(alt=given.ref, alt_len=given.ref_len)
    assert (differences(model, none) == 0).all()


def test_swapped_alleles_swap_the_sign_exactly(model: Activity) -> None:
    given = variants(model, alleles())
    swapped = Variants(given.offset, given.alt, given.ref, given.alt_len, given.ref_len)
    found = differences(model, given)
    assert torch.equal(differences(model, swapped), -found)
    assert (found != 0).all()


def test_it_is_alt_less_ref_of_both_strands_in_the_units_of_the_assay(model: Activity) -> None:
    given = variants(model, alleles(3))
    length, net = model.config.length, model.network

    def activity(codes: torch.Tensor) -> torch.Tensor:
        p = torch.eye(5)[codes[0, :, :length].long()][..., :4]
        both = torch.stack([net(p, (0, 1)), net(p.flip(1, 2), (0, 1))])
        return both.mean(0)

    with torch.inference_mode():
        expected = activity(given.alt) - activity(given.ref)
    torch.testing.assert_close(differences(model, given), expected)


def test_the_other_strand_gives_the_same() -> None:
    """With an odd length, the allele is in the middle of either strand."""
    model = Activity(network(config(length=61))).eval()
    given = variants(model, alleles())

    def mirrored(codes: torch.Tensor) -> torch.Tensor:
        return (3 - codes[..., :61]).flip(-1)

    other = given._replace(ref=mirrored(given.ref), alt=mirrored(given.alt))
    assert torch.equal(differences(model, given), differences(model, other))


@pytest.mark.parametrize(("ref", "alt"), [("", "GATTACA"), ("ACGTA", ""), ("AC", "GGGGG")])
def test_the_allele_is_in_the_middle_behind_what_precedes_it(
    model: Activity, ref: str, alt: str
) -> None:
    length = model.config.length
    given = variants(model, [Allele(5000, encode(ref), encode(alt))])
    after = GENOME.codes("made-up", 5000 + len(ref), 5000 + len(ref) + length)
    before = GENOME.codes("made-up", 5000 - length // 2, 5000)
    for row, bases in ((given.ref, ref), (given.alt, alt)):
        expected = np.concatenate([before, encode(bases), after])[:length]
        p = model.probabilities(row)[0, 0]
        assert p.shape == (length, 4)
        np.testing.assert_array_equal(p.argmax(-1), expected)


def test_an_unknown_base_is_all_four(model: Activity) -> None:
    codes = torch.full((1, 1, 110), 4, dtype=torch.uint8)
    assert (model.probabilities(codes) == 0.25).all()


def test_an_allele_does_not_depend_on_its_company(model: Activity) -> None:
    some = alleles()
    together = differences(model, variants(model, some))
    alone = differences(model, variants(model, some[7:8]))
    torch.testing.assert_close(alone[0], together[7], atol=1e-6, rtol=0)


def test_a_summary_reports_what_it_names() -> None:
    named = Activity(network(config(summary=("K562", "teacher", "teacher", "open"))))
    assert [o.name for o in named.outputs] == ["HepG2", "K562", "open", "teacher"]
    with pytest.raises(UsageError, match="summary names unknown outputs: liver"):
        config(summary=("liver",))


def test_without_an_assay_all_quantities_count() -> None:
    outputs = (Output("a", unit="u"), Output("b", unit="u"), Output("open", "assay"))
    assert config(outputs=outputs).averaged == ("a", "b")


def test_a_run_is_read_as_a_model_of_variants(tmp_path: Path) -> None:
    folder = save_activity(tmp_path / "run")
    loaded = load_model(folder)
    given = variants(loaded.module, alleles())
    assert torch.equal(
        differences(loaded.module, given), differences(Activity(network(config())).eval(), given)
    )
    assert not loaded.module.training
    found = read_config(folder)
    assert (found.model, found.tracks, found.calibrations) == ("activity", (), ())
    assert not found.reads_window
    assert found.activity == config()


def test_a_network_of_classes_scores_no_variants(tmp_path: Path) -> None:
    folder = save_activity(tmp_path / "run", outputs=(Output("open"), Output("bound")))
    with pytest.raises(UsageError, match=r"predicts only classes.*found open, bound.*summary"):
        refuse_unable(read_config(folder), folder)


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    folder = save_activity(tmp_path / "run")
    state = RunFolder(folder).load("sequences").state
    for name, arch in (("narrow", {"width": 4}), ("none", {"outputs": []}), ("text", {"sd": 1})):
        broken = tmp_path / name
        broken.mkdir()
        data = RunFolder(folder).config("sequences")
        RunFolder(broken).save("sequences", {**data, "arch": {**data["arch"], **arch}}, state)
        with pytest.raises(DataError, match="is damaged"):
            load_model(broken)


def test_no_model_without_a_place_for_it_starts_from_it(
    genomix_fast: Any, model_run: Path, tmp_path: Path
) -> None:
    vcf, fasta = ROOT / "test_data" / "variants.vcf.gz", ROOT / "test_data" / "genome.fa.gz"
    prepare_variants(PrepareRequest(vcf, fasta, tmp_path / "s.h5", label_info="LABEL"))
    ended: Ended = genomix_fast(
        "train", tmp_path / "s.h5", "--model", "cnn", "--init", model_run, "-o", tmp_path / "out",
        "--valid-contigs", "chr2", code=2,
    )  # fmt: skip
    assert "is a sequence network (activity" in ended.err


def test_runs_of_other_tasks_are_not_models_of_variants(tmp_path: Path) -> None:
    RunFolder(tmp_path).save("sequences", {"task": "classify"}, {"w": np.zeros(1, np.float32)})
    with pytest.raises(DataError, match="is a model of sequences"):
        read_config(tmp_path)
