"""Differences of log counts: none for no change, turned around with the alleles, explained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pysam
import pytest
import torch

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.alphabet import encode
from genomix_cli.variants.models.base import Variants
from genomix_cli.variants.models.profile import Profile
from genomix_cli.variants.models.start import new_model
from genomix_cli.variants.records.inputs import Allele, haplotypes
from genomix_cli.variants.requests.train import TrainRequest
from genomix_cli.variants.score.doctor import MadeUpGenome
from genomix_cli.variants.trained import load_model, read_config
from tests.conftest import ROOT, Ended
from tests.profile_samples import OUTPUTS, config, network, save_profile
from tests.suite_shard import prepare

GENOME = MadeUpGenome((), 10_000)
DATA = ROOT / "test_data"


@pytest.fixture(scope="module")
def model() -> Profile:
    return Profile(network(config())).eval()


@pytest.fixture(scope="module")
def model_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_profile(tmp_path_factory.mktemp("models") / "run")


def variants(model: Profile) -> Variants:
    """Substitutions, an insertion and a deletion."""
    rng, some = np.random.default_rng(0), []
    for pos in np.sort(rng.integers(1000, 19_000, 30)).tolist():
        ref = GENOME.codes("made-up", pos, pos + 1)
        some.append(Allele(pos, ref, (ref + rng.integers(1, 4, 1, np.uint8)) % 4))
    some[3] = some[3]._replace(alt=encode("ACCGT"))
    some[7] = some[7]._replace(ref=GENOME.codes("made-up", some[7].pos, some[7].pos + 6))
    rows = haplotypes(GENOME, "made-up", some, model.flank)
    tensors = (torch.from_numpy(array)[None] for array in rows)
    return Variants(torch.zeros(1, len(some), dtype=torch.long), *tensors)


@torch.inference_mode()
def differences(model: Profile, given: Variants) -> torch.Tensor:
    return model.differences(given)[0]


def test_no_change_makes_no_difference_and_swapped_alleles_swap_the_sign(model: Profile) -> None:
    given = variants(model)
    found = differences(model, given)
    assert model.outputs == OUTPUTS
    assert found.shape == (30, 3)
    assert (found != 0).all()
    none = given._replace(alt=given.ref, alt_len=given.ref_len)
    assert (differences(model, none) == 0).all()
    swapped = Variants(given.offset, given.alt, given.ref, given.alt_len, given.ref_len)
    assert torch.equal(differences(model, swapped), -found)


def test_it_is_alt_less_ref_of_the_log_counts_of_both_strands(model: Profile) -> None:
    given, net = variants(model), model.network

    def counts(codes: torch.Tensor) -> torch.Tensor:
        p = torch.eye(5)[codes[0, :, : model.config.length].long()][..., :4]
        return (net(p).counts + net(p.flip(1, 2)).counts[:, [1, 0, 2]]) / 2

    with torch.inference_mode():
        expected = counts(given.alt) - counts(given.ref)
    torch.testing.assert_close(differences(model, given), expected)
    torch.testing.assert_close(model.substitutions(given)[0], expected)


def test_a_run_scores_and_explains_a_vcf(
    model_run: Path, genomix_here: object, tmp_path: Path
) -> None:
    pytest.importorskip("captum")
    run: object = genomix_here
    scored = tmp_path / "scored.vcf"
    done: Ended = run(  # type: ignore[operator]
        *("score", DATA / "variants.vcf.gz", "-f", DATA / "genome.fa.gz", "-m", model_run),
        *("-o", scored, "--device", "cpu", "-r", "chr2:1-30000"),
    )
    assert done.code == 0, done.err
    with pysam.VariantFile(str(scored)) as file:
        assert "ln(1 + counts)" in str(file.header)
        records = list(file)
    for record in records:
        each = [record.info[f"GENOMIX_DA_{output.name}"] for output in OUTPUTS]
        means = np.mean([np.array(v) / o.sd for v, o in zip(each, OUTPUTS, strict=True)], 0)
        np.testing.assert_allclose(record.info["GENOMIX_DA"], means, atol=2e-4)
    done = run(  # type: ignore[operator]
        *("explain", scored, "-f", DATA / "genome.fa.gz", "-m", model_run, "--top", "2"),
        *("-o", tmp_path / "why.tsv", "--mutagenesis", tmp_path / "ism.tsv"),
    )
    assert done.code == 0, done.err
    lines = (tmp_path / "why.tsv").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) > 20
    assert (tmp_path / "ism.tsv").stat().st_size


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    run = save_profile(tmp_path / "run")
    assert read_config(run).model == "profile"
    assert load_model(run).module.config.profile == 44
    where = run / "config.json"
    config = json.loads(where.read_text())
    del config["config_sha256"]
    config["arch"]["opposite"] = [7, 1, 0]
    where.write_text(json.dumps(config))
    for read in (read_config, load_model):
        with pytest.raises(DataError, match=r"config\.json: is damaged"):
            read(run)


def test_a_gmt_does_not_take_it_in(model_run: Path, tmp_path: Path) -> None:
    shard = prepare(DATA, tmp_path / "shard.h5", tracks={"ATAC": DATA / "ATAC.bw"})
    asked = TrainRequest(shard.path, tmp_path / "run", initial=str(model_run))
    with pytest.raises(UsageError, match="is a run of another task: profile"):
        new_model("gmt", asked, shard)
