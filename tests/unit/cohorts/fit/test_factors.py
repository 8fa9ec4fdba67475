"""Factors of a cohort: what was put in comes out, and real samples differ as the simulated do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.cohorts.fit.cohort import fit_cohort
from genomix_cli.cohorts.inspect.compare import compare
from genomix_cli.cohorts.prepare.cohort import prepare_cohort
from genomix_cli.cohorts.requests import CohortRequest, FitRequest, PrepareRequest
from genomix_cli.cohorts.simulate.cohort import CohortSummary, simulate_cohort
from genomix_cli.cohorts.simulate.factors import FactorParameters
from genomix_cli.cohorts.simulate.parameters import CohortParameters, parse, read_parameters
from genomix_cli.formats.cohort import open_cohort


def truth(samples: int = 1500, **more: Any) -> CohortParameters:
    """Two factors of methylation, three of chromatin, that three classes move."""
    rng = np.random.default_rng(11)
    common = rng.normal(0, 1, (5, 5))
    covariance = 0.5 * np.eye(5) + 0.05 * common @ common.T
    own: dict[str, Any] = {}
    for name, first, width in (("methylation", 0, 2), ("chromatin", 2, 3)):
        own[name] = {
            "loadings": rng.normal(0.2, 0.5, (80, width)).tolist(),
            "base": rng.normal(0, 1, 80).tolist(),
            "noise": rng.uniform(0.4, 0.9, 80).tolist(),
            "features": 80,
            "first": first,
        }
    factors = {
        "means": rng.normal(0, 0.8, (3, 5)).tolist(),
        "covariances": [covariance.tolist()] * 3,
    }
    classes = {"A": 0.5, "B": 0.3, "C": 0.2}
    given = {"samples": samples, "classes": classes, "factors": factors, "modalities": own}
    return parse(given | more, "test")


def simulated(path: Path, parameters: CohortParameters) -> CohortSummary:
    return simulate_cohort(CohortRequest(path, parameters, seed=3, force=True))


def covariance(parameters: CohortParameters, name: str) -> np.ndarray:
    """Covariance of a modality's features over the cohort ``[d, d]``, whatever the rotation."""
    prior = np.array(list(parameters.classes.values()))
    means, spread = np.array(parameters.factors.means), np.array(parameters.factors.covariances)
    off = means - prior @ means
    whole = np.tensordot(prior, spread + off[:, :, None] * off[:, None, :], 1)
    own: FactorParameters = parameters.modalities[name]
    loadings = np.array(own.loadings)
    here = slice(own.first, own.first + loadings.shape[1])
    return loadings @ whole[here, here] @ loadings.T + np.diag(np.square(own.noise))


@pytest.mark.parametrize("lacking", [0.0, 0.15])
def test_the_structure_comes_back(tmp_path: Path, lacking: float) -> None:
    put = truth(missing={"values": lacking, "modalities": lacking})
    before = simulated(tmp_path / "in.h5mu", put)
    found = fit_cohort(FitRequest(tmp_path / "p.yaml", tmp_path / "in.h5mu", factors=3)).parameters
    for name in put.modalities:
        expected, here = covariance(put, name), covariance(found, name)
        assert np.linalg.norm(here - expected) < 0.12 * np.linalg.norm(expected)
    after = simulated(tmp_path / "out.h5mu", read_parameters(None, tmp_path / "p.yaml"))
    for one, other in zip(before.ceilings, after.ceilings, strict=True):
        assert one.modalities == other.modalities
        assert other.expected == pytest.approx(one.expected, abs=0.03)
        assert one.expected < 0.97


def test_factors_are_standard_and_in_order(tmp_path: Path) -> None:
    simulated(tmp_path / "in.h5mu", truth())
    found = fit_cohort(FitRequest(tmp_path / "p.yaml", tmp_path / "in.h5mu", factors=3)).parameters
    prior = np.array(list(found.classes.values()))
    means, spread = np.array(found.factors.means), np.array(found.factors.covariances)
    np.testing.assert_allclose(prior @ means, 0, atol=1e-3)
    whole = np.tensordot(prior, spread + means[:, :, None] * means[:, None, :], 1)
    for name, own in found.modalities.items():
        here = slice(own.first, own.first + len(own.loadings[0]))
        np.testing.assert_allclose(whole[here, here], np.eye(len(own.loadings[0])), atol=1e-3)
        scaled = np.array(own.loadings) / np.array(own.noise)[:, None]
        sizes = (scaled**2).sum(0)
        assert (np.diff(sizes) < 0).all()
        standard = np.array(own.loadings) / np.sqrt(np.diag(covariance(found, name)))[:, None]
        assert (standard.sum(0) > 0).all()


def test_samples_of_no_class_shape_the_features_alone(tmp_path: Path) -> None:
    """Distant unlabelled samples, a third of all, do not move the factors of the classes."""
    import h5py

    simulated(tmp_path / "in.h5mu", truth())
    with h5py.File(tmp_path / "in.h5mu", "r+") as file:
        codes = file["obs/label/codes"][:]
        codes[codes == 2] = -1
        file["obs/label/codes"][...] = codes
    found = fit_cohort(FitRequest(tmp_path / "p.yaml", tmp_path / "in.h5mu", factors=3)).parameters
    assert list(found.classes) == ["A", "B"]
    assert len(found.factors.means) == len(found.factors.covariances) == 2


def test_few_samples_get_few_factors(tmp_path: Path) -> None:
    simulated(tmp_path / "in.h5mu", truth(samples=60))
    summary = fit_cohort(FitRequest(tmp_path / "p.yaml", tmp_path / "in.h5mu"))
    assert summary.fitted["chromatin"].notes[0] == "3 factors"
    assert summary.parameters.factors.width == 6
    before = (tmp_path / "p.yaml").read_bytes()
    fit_cohort(FitRequest(tmp_path / "p.yaml", tmp_path / "in.h5mu", force=True))
    assert (tmp_path / "p.yaml").read_bytes() == before


def test_batches_come_off_before_and_go_on_after(tmp_path: Path) -> None:
    own = truth()
    shifted = {name: {**vars(each), "batch_sd": 0.6} for name, each in own.modalities.items()}
    simulated(tmp_path / "in.h5mu", truth(modalities=shifted, batches={"number": 3}))
    found = fit_cohort(FitRequest(tmp_path / "p.yaml", tmp_path / "in.h5mu", factors=3)).parameters
    for name, each in found.modalities.items():
        assert each.batch_sd == pytest.approx(0.6, rel=0.2)
        expected, here = covariance(own, name), covariance(found, name)
        assert np.linalg.norm(here - expected) < 0.15 * np.linalg.norm(expected)


def test_samples_as_a_whole_differ_as_those_of_tcga(shared_data: Path, tmp_path: Path) -> None:
    tables = shared_data / "tcga_brca_mogonet_features"
    modalities = {"meth": tables / "meth.csv.gz", "mrna": tables / "mrna.csv.gz"}
    kinds = {"meth": "methylation_m", "mrna": "expression"}
    request = PrepareRequest(
        tmp_path / "tcga.h5mu",
        modalities,
        kinds,
        clinical=tables / "labels_split.csv",
        label="pam50_name",
        m_to_beta=("meth",),
    )
    prepare_cohort(request)
    fit_cohort(FitRequest(tmp_path / "p.yaml", tmp_path / "tcga.h5mu"))
    summary = simulated(tmp_path / "like.h5mu", read_parameters(None, tmp_path / "p.yaml"))
    with open_cohort(tmp_path / "tcga.h5mu") as real, open_cohort(tmp_path / "like.h5mu") as like:
        found = {(each.modality, each.of): each.ks for each in compare(real, like)}
    for name in modalities:
        assert found[name, "all values"] < 0.04
        assert found[name, "feature SDs"] < 0.06
        assert found[name, "sample means"] < 0.10
    assert 0.88 < summary.ceilings[-1].expected < 0.98
