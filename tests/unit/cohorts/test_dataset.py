"""Cohort files as models see them, and other files in a model's features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genomix_cli.cohorts.dataset import aligned, read_samples
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.formats.seen import NAME, TRAIN, VALID, Seen
from tests.cohort_files import every_kind, modality, write_cohort
from tests.cohort_samples import easy
from tests.toy_model import line_of_samples


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    path = every_kind(tmp_path_factory.mktemp("cohort") / "c.h5mu")
    with open_cohort(path) as cohort:
        return read_samples(cohort)


class TestRead:
    def test_a_sample_that_lacks_a_modality_is_not_present(self, samples):
        i = [m.name for m in samples.modalities].index("methylation")
        lacks = np.arange(48) % 4 == 0
        assert (samples.present[:, i] == ~lacks).all()
        assert np.isnan(samples.values["methylation"][lacks]).all()
        assert samples.values["methylation"].dtype == np.float32
        assert samples.present[:, [j for j in range(9) if j != i]].all()

    def test_labels_are_places_among_the_classes(self, samples):
        assert samples.classes == ("healthy", "tumour <A>", "tumour B")
        assert samples.label.tolist() == [i % 3 for i in range(48)]

    def test_who_belongs_together(self, samples):
        assert (samples.patient[::2] == samples.patient[1::2]).all()
        assert sorted(samples.patient[::2]) == list(range(24))
        assert samples.batch.tolist() == [i // 5 % 2 for i in range(48)]

    def test_places_of_features(self, samples):
        named = {m.name: m for m in samples.modalities}
        assert named["copy"].contig[:7] == ("chr1",) * 6 + ("2",)
        assert named["copy"].position[:3] == (0, 10, 20)
        assert named["copy"].position[-1] == -1
        assert named["peaks"].contig == named["peaks"].position == ()
        fragments = named["fragments"]
        assert fragments.readout == ("length",) * 120 + ("short",) * 4 + ("long",) * 4
        assert fragments.position[:2] == (100, 101)
        assert fragments.position[120:124] == (0, 5_000_000, 0, 5_000_000)

    def test_without_a_patient_each_is_its_own_and_without_batches_there_is_one(self, tmp_path):
        rows = list("abcd")
        data = {"x": modality(np.eye(4), "expression", rows)}
        obs = {"sample": rows, "label": ["u", "v", None, "v"], "patient": ["P", None, "P", None]}
        write_cohort(tmp_path / "c.h5mu", data, obs)
        with open_cohort(tmp_path / "c.h5mu") as cohort:
            found = read_samples(cohort)
        assert found.label.tolist() == [0, 1, -1, 1]
        assert found.patient[0] == found.patient[2]
        assert len(set(found.patient)) == 3
        assert found.batch.tolist() == [0] * 4


class TestTake:
    def test_rows_by_mask_or_index(self, samples):
        mask = samples.take(np.arange(48) == 7)
        index = samples.take(np.array([7]))
        assert mask.names.tolist() == index.names.tolist() == ["S007"]
        np.testing.assert_array_equal(mask.values["peaks"], samples.values["peaks"][[7]])
        assert mask.present.shape == (1, 9)

    def test_modalities_in_the_order_of_the_file(self, samples):
        some = samples.only(["peaks", "methylation"])
        assert [m.name for m in some.modalities] == ["methylation", "peaks"]
        assert set(some.values) == {"methylation", "peaks"}
        assert some.present[:, 0].sum() == 36
        with pytest.raises(
            UsageError, match=r"has no modality wrong, bad .*expected methylation or"
        ):
            samples.only(["wrong", "peaks", "bad"])


class TestAligned:
    def model(self):
        return easy(n=4).modalities

    def changed(self, name, features, columns, kind=None):
        samples = easy(n=4)
        old = {m.name: m for m in samples.modalities}[name]
        new = replace(old, features=features, kind=kind or old.kind)
        modalities = tuple(new if m.name == name else m for m in samples.modalities)
        values = {**samples.values, name: samples.values[name][:, columns]}
        return replace(samples, modalities=modalities, values=values)

    def test_the_same_features_are_the_same_samples(self):
        samples = easy(n=4)
        found = aligned(samples, self.model(), "f")
        np.testing.assert_array_equal(found.values["rna"], samples.values["rna"])
        np.testing.assert_array_equal(found.present, samples.present)

    def test_another_order_of_features_and_modalities_is_put_right(self):
        columns = np.array([3, 0, 1, 2, 7, 6, 5, 4])
        samples = self.changed("rna", tuple(f"rna{i}" for i in columns), columns)
        samples.present[2, 1] = False
        turned = replace(
            samples, modalities=samples.modalities[::-1], present=samples.present[:, ::-1]
        )
        found = aligned(turned, self.model(), "f")
        assert found.modalities == self.model()
        np.testing.assert_array_equal(found.values["rna"], easy(n=4).values["rna"])
        assert found.present.tolist() == [[True, True]] * 2 + [[True, False], [True, True]]

    def test_features_that_lack_are_missing_and_others_are_left_out(self, caplog):
        columns = np.array([5, 0, 0])
        samples = self.changed("rna", ("rna5", "unknown", "rna0"), columns)
        with caplog.at_level("INFO", "genomix"):
            found = aligned(samples, self.model(), "f.h5mu").values["rna"]
        expected = easy(n=4).values["rna"]
        np.testing.assert_array_equal(found[:, [0, 5]], expected[:, [0, 5]])
        assert np.isnan(found[:, [1, 2, 3, 4, 6, 7]]).all()
        assert found.dtype == np.float32
        assert "f.h5mu [rna] lacks 6 of 8 features; treated as missing" in caplog.text
        assert "1 features that the model does not use" in caplog.text

    def test_a_modality_that_lacks_is_missing_and_others_are_left_out(self, caplog):
        samples = easy(n=4, names=("meth", "other"), widths=(6, 3), shift=0)
        kinds = ("methylation_m", "other")
        modalities = tuple(
            replace(m, kind=k) for m, k in zip(samples.modalities, kinds, strict=True)
        )
        found = aligned(replace(samples, modalities=modalities), self.model(), "f")
        assert np.isnan(found.values["rna"]).all()
        assert found.values["rna"].shape == (4, 8)
        assert found.present.tolist() == [[False, True]] * 4
        assert set(found.values) == {"rna", "meth"}
        assert "f has no rna: the model treats it as missing" in caplog.text
        assert "f: ignoring other, which the model does not know" in caplog.text

    def test_what_cannot_fit_is_an_error(self):
        none = easy(n=4, names=("other",), widths=(3,), shift=0)
        with pytest.raises(DataError, match=r"none of the model's modalities .*found other"):
            aligned(none, self.model(), "f")
        strange = self.changed("rna", tuple("abcdefgh"), np.arange(8))
        with pytest.raises(DataError, match=r"f \[rna\]: has none of the model's features"):
            aligned(strange, self.model(), "f")
        other = self.changed("rna", self.model()[0].features, np.arange(8), kind="chromatin")
        with pytest.raises(DataError, match=r"another kind .*expected expression, found chromatin"):
            aligned(other, self.model(), "f")


def test_a_training_sample_is_known_though_it_lacks_a_modality() -> None:
    samples = line_of_samples(n=6)
    seen = Seen.of(samples.items(), np.arange(3), np.arange(3, 4))
    lacking = replace(
        samples,
        values={**samples.values, "first": np.full((6, 2), np.nan, np.float32)},
        present=np.tile([False, True], (6, 1)),
    )
    assert list(seen.parts(lacking.items())) == [TRAIN] * 3 + [VALID, "", ""]
    # Without any values that agree, it has only the name.
    other = replace(lacking, values={**lacking.values, "second": samples.values["second"] + 1})
    assert list(seen.parts(other.items())) == [NAME] * 4 + ["", ""]
