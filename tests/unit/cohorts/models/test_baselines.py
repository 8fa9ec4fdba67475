"""Baselines of cohorts against scikit-learn's and LightGBM's own answers, and closed forms."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC

from genomix_cli.cohorts.models.base import CohortModel
from genomix_cli.cohorts.models.flat import UNSEEN, all_classes, balanced_weights
from genomix_cli.cohorts.models.linear import elastic_net, ridge_logistic
from genomix_cli.cohorts.models.preprocessing import fit_preprocessor
from genomix_cli.cohorts.models.trees import joined, one_tree
from genomix_cli.errors import MissingExtraError
from genomix_cli.learning.calibration import log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS
from tests.cohort_samples import easy, with_gaps, without


def learned(name: str, samples, **fields) -> CohortModel:
    model = COHORT_MODELS.load(name).of(fields)
    model.fit(samples, FitSettings(seed=4))
    return model


def matrix(samples) -> np.ndarray:
    """Of samples that lack nothing."""
    return fit_preprocessor(samples).transform(samples).flat()


def table(n: int = 120, d: int = 200, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """More columns than samples, all alike to some degree."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % k)
    x = rng.normal(size=(n, d)) + rng.normal(size=(n, 1))
    for one in range(k):
        x[y == one, one * 5 : one * 5 + 5] += 1
    return x, y


class TestMatrix:
    def test_a_modality_that_some_lack_has_a_column(self):
        samples = with_gaps(easy())
        model = learned("logistic", samples)
        lacks = model._matrix(samples)[:, -2:]
        assert (lacks == ~samples.present).all()
        assert learned("logistic", easy())._matrix(easy()).shape[1] == 7 + 5

    def test_classes_that_were_not_there_come_last(self):
        logits = np.array([[0.0, np.log(3)]])
        p = np.exp(all_classes(logits, np.array([0, 2]), 4))
        np.testing.assert_allclose(p[0], [0.25, 1e-9, 0.75, 1e-9], rtol=1e-6)
        assert np.exp(UNSEEN) == pytest.approx(1e-9)

    def test_balanced_weights_give_each_class_the_same(self):
        y = np.array([0, 0, 0, 1, 2, 2])
        weight = balanced_weights(y, True)
        np.testing.assert_allclose([weight[y == k].sum() for k in range(3)], 2)
        assert (balanced_weights(y, False) == 1).all()

    @pytest.mark.parametrize("name", ["logistic", "svm", "random-forest", "late-fusion"])
    def test_where_there_is_nothing_to_learn_from_classes_are_as_frequent_as_they_were(self, name):
        samples = without(without(easy(n=90, n_classes=3), "rna"), "meth").take(np.arange(70))
        count = np.bincount(samples.label)
        for model in (learned(name, samples), COHORT_MODELS.load(name).of({})):
            if not model.modalities:
                stored = {k: v.copy() for k, v in learned(name, samples).state().items()}
                model.restore(samples.modalities, samples.classes, stored)
            p = np.exp(model.log_probability(samples))
            np.testing.assert_allclose(p, np.tile(count / 70, (70, 1)), atol=1e-9)

    @pytest.mark.parametrize("name", ["logistic", "svm", "best-single", "late-fusion"])
    def test_of_one_class_there_is_no_doubt(self, name):
        samples = easy()
        p = np.exp(learned(name, samples.take(samples.label == 1)).log_probability(samples))
        assert (p[:, 1] > 1 - 1e-6).all()


class TestLinear:
    @pytest.mark.parametrize("k", [2, 3])
    @pytest.mark.parametrize("balanced", [False, True])
    def test_logistic_is_scikit_learns(self, k, balanced):
        samples = easy(n=100, n_classes=k).take(np.arange(70))
        model = learned("logistic", samples, c=0.3, balanced=balanced)
        weight = "balanced" if balanced else None
        oracle = LogisticRegression(C=0.3, class_weight=weight, tol=1e-8, max_iter=5000)
        x = matrix(samples).astype(np.float64)
        expected = oracle.fit(x, samples.label).predict_log_proba(x)
        np.testing.assert_allclose(model.log_probability(samples), expected, atol=2e-3)

    def test_logistic_says_when_it_stopped_early(self, monkeypatch):
        monkeypatch.setattr("genomix_cli.cohorts.models.linear.MAX_ITERATIONS", 3)
        x, y = table()
        assert not ridge_logistic(x, y, 1e6).converged
        assert not elastic_net(x, y, np.ones(len(y)), 1e6, 0.5).converged

    @pytest.mark.parametrize(("c", "l1_ratio"), [(0.05, 0.5), (1.0, 0.9), (0.2, 0.1)])
    def test_elastic_net_meets_the_conditions_of_the_minimum(self, c, l1_ratio):
        """0 lies in the subgradient of every coefficient (Karush-Kuhn-Tucker)."""
        x, y = table()
        weight = balanced_weights(y, True)
        found = elastic_net(x, y, weight, c, l1_ratio, flat=1e-7)
        assert found.converged
        p = np.exp(log_softmax(found.logits(x)))
        error = weight[:, None] * (p - np.eye(3)[y])
        slope = c * error.T @ x + (1 - l1_ratio) * found.coefficients
        w = found.coefficients
        assert 0 < (w == 0).mean() < 1
        np.testing.assert_allclose(slope[w != 0], -l1_ratio * np.sign(w[w != 0]), atol=1e-4)
        assert (np.abs(slope[w == 0]) <= l1_ratio + 1e-4).all()
        np.testing.assert_allclose(error.sum(0), 0, atol=1e-4)

    def test_elastic_net_without_absolute_values_is_the_ridge(self):
        x, y = table(d=10)
        ridge = LogisticRegression(C=0.1, tol=1e-9, max_iter=5000).fit(x, y)
        found = elastic_net(x, y, np.ones(len(y)), 0.1, 0.0, flat=1e-8)
        np.testing.assert_allclose(found.coefficients, ridge.coef_, atol=1e-4)

    @pytest.mark.parametrize("shrinkage", ["auto", 0.2])
    @pytest.mark.parametrize("k", [2, 3])
    def test_lda_is_scikit_learns(self, k, shrinkage):
        samples = easy(n=80, n_classes=k).take(np.arange(60))
        model = learned("lda", samples, shrinkage=shrinkage)
        oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
        x = matrix(samples).astype(np.float64)
        expected = oracle.fit(x, samples.label).predict_log_proba(x)
        np.testing.assert_allclose(model.log_probability(samples), expected, atol=1e-5)

    def test_lda_needs_no_variation_within_classes(self):
        samples = easy(n=40)
        for name, values in samples.values.items():
            samples.values[name] = np.repeat(samples.label[:, None], values.shape[1], 1).astype(
                "f4"
            )
        log_p = learned("lda", samples).log_probability(samples)
        assert (log_p.argmax(1) == samples.label).all()


class TestSVM:
    @pytest.mark.parametrize("k", [2, 3])
    def test_gaussian_distances_are_scikit_learns(self, k):
        samples = easy(n=90, n_classes=k)
        model = learned("svm", samples, c=2.0, gamma=0.5)
        x = matrix(samples).astype(np.float64)
        distance = [
            SVC(C=2.0, gamma=0.5 / x.shape[1]).fit(x, samples.label == one).decision_function(x)
            for one in range(k)
        ]
        if k == 2:
            distance = [-distance[1] / 2, distance[1] / 2]
        expected = log_softmax(np.stack(distance, 1))
        np.testing.assert_allclose(model.log_probability(samples), expected, atol=1e-9)

    def test_linear_distances_are_scikit_learns(self):
        samples = easy(n=90, n_classes=3)
        model = learned("svm", samples, kernel="linear", c=0.1)
        x = matrix(samples).astype(np.float64)
        machine = LinearSVC(C=0.1, dual="auto", random_state=4, max_iter=10_000)
        expected = log_softmax(machine.fit(x, samples.label).decision_function(x))
        np.testing.assert_allclose(model.log_probability(samples), expected, atol=1e-6)

    def test_many_samples_are_answered_in_parts(self, monkeypatch):
        samples = easy(n=90)
        model = learned("svm", samples)
        whole = model.log_probability(samples)
        monkeypatch.setattr("genomix_cli.cohorts.models.svm.CHUNK", 7)
        np.testing.assert_allclose(model.log_probability(samples), whole, atol=1e-12)


class TestTrees:
    def test_a_tree_by_hand(self):
        """Node 0: column 1 at most 0.5? then leaf 1, else node 2: column 0 at most -1?"""
        tree = one_tree(
            leaf=np.array([False, True, False, True, True]),
            feature=np.array([1, -2, 0, -2, -2]),
            children=(np.array([1, -1, 3, -1, -1]), np.array([2, -1, 4, -1, -1])),
            threshold=np.array([0.5, 0, -1, 0, 0]),
            value=np.array([[0.0], [10], [0], [20], [30]]),
        )
        nothing = np.zeros(1, int)
        leaf = one_tree(np.ones(1, bool), nothing, (nothing, nothing), nothing, np.array([[5.0]]))
        x = np.array([[0, 0.5], [0, 0.6], [-1, 0.6]], np.float32)
        forest = joined([tree, leaf, tree])
        np.testing.assert_array_equal(forest(x)[:, 0], [25, 65, 45])
        np.testing.assert_array_equal(joined([tree, leaf])(x, every=2), [[10, 5], [30, 5], [20, 5]])
        assert forest(x[:0]).shape == (0, 1)

    @pytest.mark.parametrize("k", [2, 3])
    def test_random_forest_is_scikit_learns(self, k):
        samples = easy(n=150, n_classes=k).take(np.arange(110))
        model = learned("random-forest", samples, trees=30, min_leaf=2)
        x = matrix(samples)
        oracle = RandomForestClassifier(30, min_samples_leaf=2, random_state=4)
        p = oracle.fit(x, samples.label).predict_proba(x)
        prior = np.bincount(samples.label) / len(samples)
        expected = np.log((30 * p + prior) / 31)
        np.testing.assert_allclose(model.log_probability(samples), expected, atol=1e-12)

    @pytest.mark.parametrize("k", [2, 3])
    def test_gradient_boosting_is_scikit_learns(self, k):
        samples = easy(n=150, n_classes=k)
        model = learned("gradient-boosting", samples, rounds=12, column_share=0.5, bins=31)
        x = matrix(samples)
        oracle = HistGradientBoostingClassifier(
            max_iter=12,
            max_leaf_nodes=15,
            min_samples_leaf=10,
            l2_regularization=1.0,
            max_features=0.5,
            max_bins=31,
            early_stopping=False,
            random_state=4,
        )
        p = oracle.fit(x, samples.label).predict_proba(x)
        np.testing.assert_allclose(model.log_probability(samples), np.log(p), atol=1e-10)

    def test_lightgbm_without_its_parameters_is_whole(self):
        lightgbm = pytest.importorskip("lightgbm")
        samples = easy(n=150, n_classes=3)
        model = learned("lightgbm", samples, rounds=12, column_share=1.0, bins=31)
        x = matrix(samples)
        parameters = {
            "objective": "multiclass",
            "num_class": 3,
            "num_leaves": 15,
            "min_data_in_leaf": 10,
            "lambda_l2": 1.0,
            "max_bin": 31,
            "num_threads": 1,
            "verbosity": -1,
        }
        oracle = lightgbm.train(parameters, lightgbm.Dataset(x, samples.label), 12)
        expected = np.log(oracle.predict(x))
        np.testing.assert_allclose(model.log_probability(samples), expected, atol=1e-9)
        text = model.state()["model/text"].tobytes()
        assert b"num_threads" not in text

    @pytest.mark.parametrize("k", [2, 3])
    def test_xgboost_is_the_librarys(self, k):
        xgboost = pytest.importorskip("xgboost")
        samples = easy(n=150, n_classes=k).take(np.arange(110))
        model = learned("xgboost", samples, rounds=12)
        oracle = xgboost.XGBClassifier(n_estimators=12, tree_method="hist", nthread=1)
        x, y = matrix(samples), samples.label
        # Older versions start from equal classes, but for this.
        start = np.log(np.bincount(y) / len(y))
        start = np.tile(start if k > 2 else start[1:] - start[:1], (len(x), 1))
        p = oracle.fit(x, y, base_margin=start).predict_proba(x, base_margin=start)
        np.testing.assert_allclose(model.log_probability(samples), np.log(p), atol=2e-5)

    @pytest.mark.parametrize("k", [2, 3])
    def test_catboost_is_the_librarys(self, k):
        catboost = pytest.importorskip("catboost")
        samples = easy(n=150, n_classes=k).take(np.arange(110))
        model = learned("catboost", samples, rounds=12)
        oracle = catboost.CatBoostClassifier(
            iterations=12, random_seed=4, thread_count=1, verbose=False, allow_writing_files=False
        )
        x = matrix(samples)
        p = oracle.fit(x, samples.label).predict_proba(x)
        np.testing.assert_allclose(model.log_probability(samples), np.log(p), atol=1e-9)

    @pytest.mark.parametrize("name", ["xgboost", "catboost"])
    def test_boosted_trees_answer_without_their_package(self, name, monkeypatch):
        pytest.importorskip(name)
        samples = easy(n=60)
        model, again = learned(name, samples, rounds=3), COHORT_MODELS.load(name).of({"rounds": 3})
        monkeypatch.setitem(sys.modules, name, None)
        again.restore(samples.modalities, samples.classes, model.state())
        np.testing.assert_array_equal(
            again.log_probability(samples), model.log_probability(samples)
        )
        with pytest.raises(MissingExtraError, match=rf"genomix-toolkit\[{name}\]"):
            learned(name, samples)

    @pytest.mark.parametrize(
        "name", ["gradient-boosting", "lightgbm", "xgboost", "catboost", "random-forest"]
    )
    def test_the_trees_are_the_same_for_any_number_of_threads(self, name):
        if name not in COHORT_MODELS.installed():
            pytest.skip("its package is not installed")
        samples, states = easy(n=100), []
        size = {"trees": 4} if name == "random-forest" else {"rounds": 2}
        for threads in (1, 2):
            model = COHORT_MODELS.load(name).of(size)
            model.fit(samples, FitSettings(threads=threads))
            states.append(save(model.state()))
        assert states[0] == states[1]

    def test_lightgbm_that_is_not_there_is_one_line(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "lightgbm", None)
        with pytest.raises(MissingExtraError, match=r"genomix-toolkit\[lightgbm\]"):
            learned("lightgbm", easy(n=40))


@pytest.mark.parametrize("name", ["late-fusion", "best-single"])
def test_each_modality_answers_alone_and_says_nothing_of_samples_without_it(name):
    samples = with_gaps(easy())
    model = learned(name, samples, strengths=(0.1,))
    parts = model.alone(samples)
    assert list(parts) == [modality.name for modality in samples.modalities]
    for i, log_p in enumerate(parts.values()):
        np.testing.assert_allclose(np.exp(log_p).sum(1), 1)
        there = samples.present[:, i]
        assert (log_p[there].argmax(1) == samples.label[there]).mean() > 0.8
        assert len(np.unique(log_p[~there], axis=0)) == 1
    assert learned("logistic", samples).alone(samples) == {}


class TestLateFusion:
    def test_the_product_of_posteriors_counts_the_frequencies_once(self):
        samples = with_gaps(easy(n=200).take(np.arange(170)), share=0)
        model = learned("late-fusion", samples, combine="product", strengths=(0.1,))
        prior = np.log(np.bincount(samples.label) / len(samples))
        expected = np.tile(prior, (len(samples), 1))
        for i, name in enumerate(("rna", "meth")):
            there = samples.present[:, i]
            own = samples.only([name])
            log_p = learned("logistic", own.take(there), c=0.1).log_probability(own)
            log_p = log_softmax(log_p / model._temperature[i])
            expected[there] += (log_p - prior)[there]
        found = model.log_probability(samples)
        np.testing.assert_allclose(found, log_softmax(expected), atol=1e-6)

    def test_stacking_uses_both_modalities(self):
        train, test = easy(n=400, shift=0.8), easy(n=400, seed=9, shift=0.8)

        def accuracy(name):
            log_p = learned(name, train).log_probability(test)
            return (log_p.argmax(1) == test.label).mean()

        assert accuracy("late-fusion") > accuracy("best-single") + 0.03

    def test_stacking_does_not_believe_what_was_learned_by_heart(self):
        """One modality is noise with more features than samples: any fit to it is perfect."""
        rng = np.random.default_rng(0)
        samples = easy(n=100, shift=1.0)
        samples.values["meth"][:] = rng.normal(size=samples.values["meth"].shape)
        model = learned("late-fusion", samples, base="gradient-boosting")
        weight = np.abs(model._stack.coefficients).sum(0)  # classes and lacking, of each modality
        assert weight[:2].sum() > 5 * weight[3:5].sum()

    def test_the_best_single_is_named_and_the_next_best_stands_in(self):
        samples = easy(n=300, shift=1.0)
        samples.values["rna"] += 3 * np.random.default_rng(0).normal(size=(300, 8)).astype("f4")
        model = COHORT_MODELS.load("best-single").of({"strengths": (0.1,)})
        model.fit(samples, FitSettings())
        assert [model.modalities[i].name for i in model._order] == ["meth", "rna"]
        both, alone = model.log_probability(samples), without(samples, "rna")
        np.testing.assert_allclose(model.log_probability(alone), both, atol=1e-12)
        other = without(samples, "meth")
        rna = learned("logistic", samples.only(["rna"]), c=0.1).log_probability(samples)
        order = np.argsort(rna[:, 0])
        found = model.log_probability(other)[:, 0]
        assert (np.diff(found[order]) >= -1e-9).all()
        neither = model.log_probability(without(other, "rna"))
        np.testing.assert_allclose(np.exp(neither), 0.5, atol=1e-9)

    def test_a_modality_that_most_lack_is_worth_less(self):
        """A modality that few samples have says more about those and less about all samples."""
        samples = easy(n=300, shift=1.0)
        samples.values["rna"][samples.label == 1] += 2
        few = np.arange(300) >= 40
        samples.values["rna"][few] = np.nan
        samples.present[few, 0] = False
        model = learned("best-single", samples)
        assert model.modalities[model._order[0]].name == "meth"

    def test_patients_stay_together_inside(self, caplog):
        """Each patient has its own signature and two samples: across folds it would be learned."""
        rng = np.random.default_rng(0)
        samples = easy(n=200, shift=0.0)
        patient = np.repeat(np.arange(100), 2)
        label = rng.integers(0, 2, 100)[patient]
        signature = rng.normal(size=(100, 40))[patient].astype("f4")
        rna = replace(samples.modalities[0], features=tuple(map(str, range(40))))
        samples = replace(
            samples,
            label=label,
            patient=patient,
            modalities=(rna,),
            values={"rna": signature},
            present=np.ones((200, 1), bool),
        )
        with caplog.at_level("DEBUG", "genomix"):
            learned("best-single", samples, base="gradient-boosting")
        (nll,) = (r.args[1] for r in caplog.records if "out-of-fold" in r.msg)
        assert nll > 0.6  # log 2 is .69
