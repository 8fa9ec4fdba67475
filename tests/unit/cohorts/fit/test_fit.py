"""Parameters of a simulated cohort from a real one: what was put in comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.cohorts.fit.association import associate, associate_rates, run_length
from genomix_cli.cohorts.fit.batches import batch_spread, confounding, without_batches
from genomix_cli.cohorts.fit.cohort import FitSummary, fit_cohort
from genomix_cli.cohorts.fit.copy_number import marginal_density
from genomix_cli.cohorts.fit.expression import tied_genes
from genomix_cli.cohorts.fit.mixture import gaussian_mixture
from genomix_cli.cohorts.prepare.cohort import prepare_cohort
from genomix_cli.cohorts.requests import CohortRequest, FitRequest, PrepareRequest
from genomix_cli.cohorts.simulate.cohort import simulate_cohort
from genomix_cli.cohorts.simulate.copy_number import CopyNumber
from genomix_cli.cohorts.simulate.missing import MissingParameters
from genomix_cli.cohorts.simulate.parameters import Batches, CohortParameters, read_parameters
from genomix_cli.cohorts.simulate.shared import batch_law
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.registry import COHORT_MODALITIES

CLASSES = {"A": 0.5, "B": 0.3, "C": 0.2}


def simulated(
    path: Path, modalities: dict[str, dict[str, Any]], n: int = 1000, **others: Any
) -> Path:
    """A cohort of known parameters."""
    typed = {
        name: COHORT_MODALITIES.load(name).Parameters(**own) for name, own in modalities.items()
    }
    parameters = CohortParameters(samples=n, classes=CLASSES, modalities=typed, **others)
    simulate_cohort(CohortRequest(path, parameters, seed=5, force=True))
    return path


def fitted(tmp_path: Path, name: str, own: dict[str, Any], n: int = 1000, **others: Any) -> Any:
    """The parameters of a modality that were simulated with `own`."""
    path = simulated(tmp_path / "in.h5mu", {name: own}, n, **others)
    summary = fit_cohort(FitRequest(tmp_path / "out.yaml", path, factors=0))
    return summary.parameters.modalities[name]


def truth(tmp_path: Path, name: str) -> Any:
    """What the simulated file says of the features of a modality."""
    with open_cohort(tmp_path / "in.h5mu") as cohort:
        return cohort.features(name)


def ks(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of all values of two matrices."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(a[~np.isnan(a)], b[~np.isnan(b)]).statistic)


def test_methylation_comes_back(tmp_path: Path) -> None:
    own = {"weights": (0.6, 0.1, 0.3), "means": (0.12, 0.45, 0.80), "spread": 0.4}
    own |= {"features": 800, "precision": 60.0, "block": 8.0, "drivers": 20, "penetrance": 0.5}
    own |= {"precision_spread": 0.6}
    found = fitted(tmp_path, "methylation", own)
    # The blocks' states are drawn: the weights to come back are those that came of it.
    states = truth(tmp_path, "methylation")["normal_state"].astype(str)
    shares = [(states == state).mean() for state in "UIM"]
    np.testing.assert_allclose(found.weights, shares, atol=0.03)
    np.testing.assert_allclose(found.means, own["means"], atol=0.02)
    assert found.spread == pytest.approx(0.4, rel=0.1)
    assert found.precision == pytest.approx(60, rel=0.15)
    assert found.precision_spread == pytest.approx(0.6, abs=0.1)
    assert found.block == pytest.approx(8, rel=0.3)
    assert found.penetrance == pytest.approx(0.5, abs=0.1)
    assert found.drivers == pytest.approx(20, rel=0.35)


def test_expression_comes_back(tmp_path: Path) -> None:
    own = {"base": (0.0, 4.0, 5.0, 9.0, 10.0), "noise": (0.3, 0.5, 0.8, 1.0, 1.5), "module": 6.0}
    own |= {"features": 800, "drivers": 25, "shift": 1.5, "penetrance": 0.5}
    found = fitted(tmp_path, "expression", own)
    np.testing.assert_allclose(found.base[::5], own["base"], atol=0.5)
    np.testing.assert_allclose(found.noise[5:20:5], own["noise"][1:4], rtol=0.1)
    assert found.penetrance == pytest.approx(0.5, abs=0.1)
    assert found.shift == pytest.approx(1.5, rel=0.15)
    assert found.module == pytest.approx(6, rel=0.3)
    assert found.drivers == pytest.approx(25, rel=0.3)
    assert abs(found.coupling) < 0.1


def test_genes_take_the_levels_that_a_table_has(tmp_path: Path) -> None:
    """The fit recovers the noise at each level and the mean of the table."""
    own = {"features": 600, "even": True, "coupling": -0.7, "module": 1.0, "drivers": 0}
    found = fitted(tmp_path, "expression", own)
    assert found.coupling == pytest.approx(-0.7, abs=0.06)
    np.testing.assert_allclose(found.base[::5], (3.0, 5.5, 7.0, 8.5, 12.0), atol=0.25)


def test_chromatin_comes_back(tmp_path: Path) -> None:
    own = {"open": 0.3, "base": 1.0, "base_sd": 0.5, "gain": 3.0, "noise": 0.5, "module": 7.0}
    own |= {"features": 800, "drivers": 25, "penetrance": 0.8}
    found = fitted(tmp_path, "chromatin", own)
    is_open = (truth(tmp_path, "chromatin")["normal_state"] == "open").mean()
    assert found.open == pytest.approx(is_open, abs=0.02)
    for key, tolerance in (("base", 0.1), ("base_sd", 0.05), ("gain", 0.1), ("noise", 0.06)):
        assert getattr(found, key) == pytest.approx(own[key], abs=tolerance), key
    assert found.module == pytest.approx(7, rel=0.25)
    assert found.penetrance == pytest.approx(0.8, abs=0.1)
    assert found.drivers == pytest.approx(25, rel=0.3)


def test_mutations_come_back(tmp_path: Path) -> None:
    own = {"features": 300, "drivers": 40, "rate": 0.25}
    found = fitted(tmp_path, "mutations", own, missing=MissingParameters(values=0.05))
    assert found.drivers == pytest.approx(40, abs=5)
    assert found.rate == pytest.approx(0.25, abs=0.02)
    real = truth(tmp_path, "mutations")["background"]
    np.testing.assert_allclose(
        found.rates[4:18], np.quantile(real, np.linspace(0, 1, 21))[4:18], rtol=0.25
    )


def test_copy_number_comes_back(tmp_path: Path) -> None:
    own = {"noise": 0.2, "freedom": 8.0, "response": 0.6, "gain_share": 0.7, "features": 400}
    own |= {"offsets": (0.70, 0.20, 0.07, 0.03), "gc": (0.0,), "lengths": (8.0, 80.0)}
    found = fitted(tmp_path, "copy_number", own, n=500)
    assert found.gc == (0.0,)
    assert found.noise == pytest.approx(0.2, rel=0.05)
    assert found.freedom == pytest.approx(8, rel=0.25)
    assert found.response == pytest.approx(0.6, rel=0.05)
    assert found.gain_share == pytest.approx(0.7, abs=0.08)
    np.testing.assert_allclose(found.offsets, own["offsets"], atol=0.03)
    np.testing.assert_allclose(found.lengths, own["lengths"], rtol=0.3)
    assert found.focal == pytest.approx(0.5, abs=0.1)
    assert found.drivers == pytest.approx(12, abs=2)
    assert found.penetrance == pytest.approx(0.6, abs=0.12)


def test_the_wave_comes_back(tmp_path: Path) -> None:
    own = {"features": 300, "noise": 0.1, "gc": (0.0, 0.05, 0.1)}
    found = fitted(tmp_path, "copy_number", own, n=300)
    np.testing.assert_allclose(found.gc, own["gc"], atol=0.015)
    assert found.noise == pytest.approx(0.1, rel=0.1)


def test_fragments_come_back(tmp_path: Path) -> None:
    own: dict[str, Any] = {"mono": 165.0, "mono_sd": 11.0, "di": 335.0, "di_share": 0.2}
    own |= {"short_share": 0.35, "ladder": 0.3, "fraction": 0.15, "concentration": 2000.0}
    own |= {"reads": 2e5, "reads_sigma": 0.5, "delfi": True, "bin_concentration": 8000.0}
    found = fitted(tmp_path, "fragmentomics", own, n=400)
    assert (found.first, found.last, found.width, found.delfi) == (50, 400, 1, True)
    assert found.mono == pytest.approx(165, abs=0.5)
    assert found.di == pytest.approx(335, abs=1)
    for key in ("mono_sd", "di_share", "short_share", "ladder"):
        assert getattr(found, key) == pytest.approx(own[key], rel=0.05), key
    for key in ("fraction", "concentration", "reads", "reads_sigma", "bin_concentration"):
        assert getattr(found, key) == pytest.approx(own[key], rel=0.15), key


def test_wide_bins_of_lengths_come_back(tmp_path: Path) -> None:
    own = {"first": 60, "last": 459, "width": 5, "fraction": 0.05}
    found = fitted(tmp_path, "fragmentomics", own, n=200)
    assert (found.first, found.last, found.width, found.delfi) == (60, 459, 5, False)
    assert found.fraction == pytest.approx(0.05, rel=0.2)


@pytest.mark.parametrize("name", ["methylation", "expression", "chromatin"])
def test_batches_come_back_and_pass_for_no_class(tmp_path: Path, name: str) -> None:
    own = {"features": 400, "batch_sd": 0.4, "drivers": 25}
    others = {"batches": Batches(3, 0.5), "missing": MissingParameters(0.1, 0.0)}
    path = simulated(tmp_path / "in.h5mu", {name: own}, **others)
    summary = fit_cohort(FitRequest(tmp_path / "out.yaml", path, factors=0))
    assert summary.parameters.batches.number == 3
    assert summary.parameters.batches.confounding == pytest.approx(0.5, abs=0.06)
    assert summary.parameters.missing.values == pytest.approx(0.1, abs=0.01)
    found = summary.parameters.modalities[name]
    assert found.batch_sd == pytest.approx(0.4, rel=0.25)
    # Without taking batches off nearly every feature differs between classes.
    assert found.drivers < 45


def test_whole_modalities_that_are_missing(tmp_path: Path) -> None:
    modalities = {"mutations": {"features": 20}, "chromatin": {"features": 30}}
    missing = MissingParameters(modalities=0.2)
    path = simulated(tmp_path / "in.h5mu", modalities, missing=missing)
    found = fit_cohort(FitRequest(tmp_path / "out.yaml", path)).parameters
    # A sample that lacks both is drawn again: 0.2 (1 - 0.2) / (1 - 0.2^2) of the others lack one.
    assert found.missing.modalities == pytest.approx(0.2 * 0.8 / 0.96, abs=0.02)
    assert found.classes == pytest.approx(CLASSES, abs=0.04)


def test_each_modality_is_missing_as_often_as_in_the_cohort(tmp_path: Path) -> None:
    modalities = {"mutations": {"features": 20}, "chromatin": {"features": 30}}
    missing = MissingParameters(by_modality={"chromatin": 0.6})
    path = simulated(tmp_path / "in.h5mu", modalities, missing=missing)
    found = fit_cohort(FitRequest(tmp_path / "out.yaml", path)).parameters
    rates = found.missing.by_modality
    assert rates == {"mutations": 0, "chromatin": pytest.approx(0.6, abs=0.04)}
    assert read_parameters(file=tmp_path / "out.yaml").missing == found.missing


def test_the_file_is_read_back_and_says_how_it_was_made(tmp_path: Path) -> None:
    own = {"features": 60}
    path = simulated(tmp_path / "in.h5mu", {"chromatin": own, "mutations": own}, n=100)
    summary = fit_cohort(FitRequest(tmp_path / "a.yaml", path, samples=77))
    text = (tmp_path / "a.yaml").read_text()
    assert read_parameters(None, tmp_path / "a.yaml") == summary.parameters
    assert summary.parameters.samples == 77
    assert "in.h5mu sha256" in text
    assert str(tmp_path) not in text
    fit_cohort(FitRequest(tmp_path / "b.yaml", path, samples=77))
    assert (tmp_path / "b.yaml").read_text() == text


def test_every_parameter_is_estimated_or_said_to_be_a_default(tmp_path: Path) -> None:
    path = simulated(tmp_path / "in.h5mu", {"chromatin": {"features": 60}}, n=100)
    summary = fit_cohort(FitRequest(tmp_path / "a.yaml", path, factors=0))
    found = summary.fitted["chromatin"]
    default = type(found.parameters)()
    kept = [name for name in vars(default) if name not in found.estimated]
    for name in kept:
        assert getattr(found.parameters, name) == getattr(default, name) or name == "batch_sd"
        assert f"defaults: {', '.join(kept)}" in (tmp_path / "a.yaml").read_text()


def real_cohort(folder: Path, path: Path) -> Path:
    """TCGA-BRCA: methylation and expression."""
    tables = folder / "tcga_brca_mogonet_features"
    modalities = {"meth": tables / "meth.csv.gz", "mrna": tables / "mrna.csv.gz"}
    kinds = {"meth": "methylation_m", "mrna": "expression"}
    clinical = tables / "labels_split.csv"
    prepare_cohort(PrepareRequest(path, modalities, kinds, clinical=clinical, label="pam50_name"))
    return path


def beside(summary: FitSummary, real: Path, path: Path) -> dict[str, float]:
    """KS distance of all values of each modality of a cohort simulated as fitted."""
    simulate_cohort(CohortRequest(path, read_parameters(None, summary.output), seed=1))
    found = {}
    with open_cohort(real) as a, open_cohort(path) as b:
        for name, source in summary.source.items():
            values = a.matrix(source)
            if a.kinds[source].name == "methylation_m":
                values = 1 / (1 + np.exp2(-values))
            found[name] = ks(values, b.matrix(summary.parameters.called(name)))
    return found


def test_simulated_as_tcga_looks_like_tcga(shared_data: Path, tmp_path: Path) -> None:
    real = real_cohort(shared_data, tmp_path / "tcga.h5mu")
    summary = fit_cohort(FitRequest(tmp_path / "p.yaml", real))
    assert summary.source == {"methylation": "meth", "expression": "mrna"}
    assert "LumA" in summary.parameters.classes
    found = beside(summary, real, tmp_path / "like.h5mu")
    assert found["methylation"] < 0.05
    assert found["expression"] < 0.05


@pytest.mark.slow
def test_simulated_as_metabric_looks_like_metabric(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "metabric_partial"
    tables = {"copy_number": folder / "cn_997x714.csv.gz"}
    real = tmp_path / "metabric.h5mu"
    request = PrepareRequest(real, tables, study=folder, label="CLAUDIN_SUBTYPE")
    prepare_cohort(replace(request, drop_labels=("NC",)))
    summary = fit_cohort(FitRequest(tmp_path / "p.yaml", real))
    assert any("segment means" in note for note in summary.fitted["copy_number"].notes)
    found = beside(summary, real, tmp_path / "like.h5mu")
    assert found["mutations"] < 0.01
    assert found["copy_number"] < 0.05


def test_the_law_of_a_ratio_is_that_of_the_model(tmp_path: Path) -> None:
    """The density agrees with a simulation without drivers and without the wave."""
    own = {"features": 100, "drivers": 0, "gc": (0.0,), "gain_share": 0.7, "response": 0.6}
    path = simulated(tmp_path / "in.h5mu", {"copy_number": own}, n=2000)
    with open_cohort(path) as cohort:
        values = np.sort(cohort.matrix("copy_number").ravel())
    shared = CohortParameters(classes=CLASSES).build().shared
    grid = np.arange(-8, 8, 0.01)
    density = marginal_density(grid, CopyNumber.Parameters(**own), shared)
    below = np.searchsorted(values, grid + 0.005) / len(values)
    assert np.abs(np.cumsum(density) * 0.01 - below).max() < 0.01


def test_welch_as_scipy_has_it() -> None:
    from scipy.stats import false_discovery_control, ttest_ind

    rng = np.random.default_rng(0)
    values, label = rng.normal(size=(60, 30)), rng.integers(0, 2, 60)
    values[label == 1, :10] += 2
    values[rng.random(values.shape) < 0.1] = np.nan
    found = associate(values, label)
    p = ttest_ind(values[label == 0], values[label == 1], equal_var=False, nan_policy="omit").pvalue
    assert found.driver[:10].all()
    assert found.driver[10:].sum() <= 2
    np.testing.assert_array_equal(
        found.driver, false_discovery_control(np.minimum(2 * p, 1)) <= 0.05
    )


def test_fisher_as_scipy_has_it() -> None:
    from scipy.stats import fisher_exact

    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 50)
    values = (rng.random((100, 5)) < 0.1).astype(float)
    values[:50, 0] = rng.random(50) < 0.6
    found = associate_rates(values, label)
    k = values[:50, 0].sum(), values[50:, 0].sum()
    p = fisher_exact([[k[0], 50 - k[0]], [k[1], 50 - k[1]]], alternative="greater").pvalue
    assert p < 0.001
    assert found.driver[0]
    assert found.of_class[0] == 0
    assert found.effect[0] == pytest.approx(k[0] / 50 - k[1] / 50)
    assert not found.driver[1:].any()


def test_runs_have_their_length_whatever_share_of_the_codes_is_wrong() -> None:
    rng = np.random.default_rng(0)
    run = np.cumsum(rng.random(20_000) < 1 / 6)
    codes = rng.integers(0, 3, run.max() + 1)[run]
    wrong = np.where(rng.random(len(codes)) < 0.3, rng.integers(0, 3, len(codes)), codes)
    assert run_length(codes) == pytest.approx(6, rel=0.1)
    assert run_length(wrong) == pytest.approx(6, rel=0.15)
    assert run_length(rng.permutation(codes)) == 1


def test_mixture_of_three() -> None:
    rng = np.random.default_rng(0)
    state = rng.choice(3, 4000, p=[0.5, 0.2, 0.3])
    found = gaussian_mixture(rng.normal(np.array([-2.0, 0.0, 3.0])[state], 0.4), 3)
    np.testing.assert_allclose(found.means, [-2, 0, 3], atol=0.05)
    np.testing.assert_allclose(found.weights, [0.5, 0.2, 0.3], atol=0.02)
    assert found.sd == pytest.approx(0.4, rel=0.05)
    assert (found.component == state).mean() > 0.98


@pytest.mark.parametrize("kappa", [0.0, 0.3, 0.8])
def test_confounding_of_the_model(kappa: float) -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 4, 4000)
    below = batch_law(4, 4, kappa).cumsum(1)[label]
    batch = (rng.random(4000)[:, None] > below[:, :-1]).sum(1)
    assert confounding(label, batch) == pytest.approx(kappa, abs=0.05)


def test_what_batches_add_is_found_and_taken_off() -> None:
    rng = np.random.default_rng(0)
    label, batch = rng.integers(0, 2, 500), rng.integers(0, 4, 500)
    batch[label == 0] = np.minimum(batch[label == 0], 2)
    shift = rng.normal(0, 0.7, (4, 300))
    clean = rng.normal(size=(500, 300)) + 2.0 * label[:, None]
    values = clean + shift[batch]
    assert batch_spread(values, label, batch) == pytest.approx(0.7, rel=0.1)
    assert batch_spread(clean, label, batch) < 0.05
    left = without_batches(values, label, batch)
    difference = left[label == 1].mean(0) - left[label == 0].mean(0)
    assert difference.mean() == pytest.approx(2, abs=0.02)
    assert difference.std() < 0.25


def test_genes_that_follow_their_copy_number() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    copies = rng.normal(size=(400, 50)) + label[:, None]
    values = rng.normal(size=(400, 50)) + 3.0 * label[:, None]
    values[:, :20] += 0.8 * copies[:, :20]
    found = tied_genes(values, copies, label, 1)
    assert found.genes == pytest.approx(20, abs=2)
    assert found.slope == pytest.approx(0.8, abs=0.05)
    assert tied_genes(values, copies, label, -1).genes <= 2


def small(tmp_path: Path, **modalities: dict[str, Any]) -> Path:
    return simulated(tmp_path / "in.h5mu", modalities, n=60)


def test_without_a_label_nothing_is_made_up_about_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import h5py

    path = small(tmp_path, chromatin={"features": 50})
    with h5py.File(path, "r+") as file:
        del file["obs/label"]
        order = [name for name in file["obs"].attrs["column-order"] if name != "label"]
        file["obs"].attrs["column-order"] = np.array(order, dtype="S")
    summary = fit_cohort(FitRequest(tmp_path / "p.yaml", path))
    assert summary.parameters.classes == {"A": 0.5, "B": 0.5}
    assert "penetrance" not in summary.fitted["chromatin"].estimated
    assert "no label with two or more classes" in caplog.text
    read_parameters(None, tmp_path / "p.yaml").build()


def test_two_modalities_of_a_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shared_data: Path
) -> None:
    tables = shared_data / "tcga_brca_mogonet_features"
    found = {"mrna": tables / "mrna.csv.gz", "mirna": tables / "mirna.csv.gz"}
    path = tmp_path / "two.h5mu"
    prepare_cohort(PrepareRequest(path, found, dict.fromkeys(found, "expression")))
    assert fit_cohort(FitRequest(tmp_path / "a.yaml", path)).source == {"expression": "mrna"}
    assert "mirna is not fitted" in caplog.text
    one = fit_cohort(FitRequest(tmp_path / "b.yaml", path, modalities=("mirna",)))
    assert one.source == {"expression": "mirna"}
    with pytest.raises(UsageError, match="would both be the simulator's expression"):
        fit_cohort(FitRequest(tmp_path / "c.yaml", path, modalities=("mrna", "mirna")))


def changed(path: Path, name: str, change: Any) -> Path:
    """A cohort file whose values of a modality `change` has its way with."""
    import h5py

    with h5py.File(path, "r+") as file:
        change(file[f"mod/{name}"])
    return path


def test_what_cannot_be_fitted_is_said_in_a_line(tmp_path: Path) -> None:
    def lose(group: Any) -> None:
        group["X"][...] = np.nan

    def fix(group: Any) -> None:
        group["X"][...] = 3.0

    def other(group: Any) -> None:
        group["uns/genomix/kind"][()] = "other"

    for change, message in (
        (lose, "all values are missing or the same"),
        (fix, "all values are missing or the same"),
        (other, "has no modality that can be simulated"),
    ):
        path = changed(small(tmp_path, chromatin={"features": 50}), "chromatin", change)
        with pytest.raises(DataError, match=message):
            fit_cohort(FitRequest(tmp_path / "p.yaml", path))
    assert not (tmp_path / "p.yaml").exists()


def test_too_few_samples_or_features(tmp_path: Path) -> None:
    path = simulated(tmp_path / "few.h5mu", {"chromatin": {"features": 50}}, n=15)
    with pytest.raises(DataError, match="too few samples"):
        fit_cohort(FitRequest(tmp_path / "p.yaml", path))
    path = small(tmp_path, chromatin={"features": 3})
    with pytest.raises(DataError, match="too few features"):
        fit_cohort(FitRequest(tmp_path / "p.yaml", path))


def test_constant_features_are_counted(tmp_path: Path) -> None:
    def fix(group: Any) -> None:
        group["X"][:, :4] = 1.0

    path = changed(small(tmp_path, chromatin={"features": 50}), "chromatin", fix)
    summary = fit_cohort(FitRequest(tmp_path / "p.yaml", path))
    assert "4 features that are constant are left out" in summary.fitted["chromatin"].notes
    assert summary.parameters.modalities["chromatin"].features == 50


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("expression", {"features": 40, "even": True, "coupling": 0.5}),
        ("expression", {"features": 40, "silenced_from": 0.4}),
        ("mutations", {"features": 40, "rates": (0.01, 0.02, 0.3)}),
        ("copy_number", {"response": 0.6, "gain_share": 0.8}),
    ],
)
def test_parameters_that_fits_use_keep_the_posterior_exact(
    tmp_path: Path, name: str, own: dict[str, Any]
) -> None:
    """The mean of the largest posterior equals the accuracy, apart from chance."""
    modalities = {name: {"drivers": 6, **own}}
    if "silenced_from" in own:
        modalities = {"methylation": {"features": 40, "drivers": 3}, **modalities}
    path = simulated(tmp_path / "in.h5mu", modalities, n=4000)
    with open_cohort(path) as cohort:
        assert cohort.truth is not None
        best = cohort.truth["bayes"][-1]
    assert best["accuracy"] < 0.99
    error = np.sqrt(best["expected"] * (1 - best["expected"]) / 4000)
    assert best["accuracy"] == pytest.approx(best["expected"], abs=3.5 * error)
