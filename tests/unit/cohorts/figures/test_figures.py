"""Pictures of a cohort: which are drawn, what is in them, and the same bytes each time."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genomix_cli.cohorts.figures import draw_cohorts
from genomix_cli.cohorts.figures.copy_number import gains_and_losses, single_samples
from genomix_cli.cohorts.figures.fragments import (
    TURN,
    ladder_peak,
    length_shares,
    lengths,
    short_over_long,
)
from genomix_cli.cohorts.figures.genome import genome_axis
from genomix_cli.cohorts.figures.marks import looks, spread
from genomix_cli.cohorts.figures.mutations import top_genes
from genomix_cli.cohorts.figures.page import PICTURES, file_names
from genomix_cli.cohorts.figures.values import (
    bin_edges,
    column_means,
    completed,
    feature_moments,
    frequent,
    heights,
    principal,
    trend,
)
from genomix_cli.cohorts.figures.view import Grouping, View, shown_classes, view
from genomix_cli.cohorts.inspect.overview import Listing
from genomix_cli.errors import UsageError
from genomix_cli.formats.cohort import KINDS, open_cohort
from genomix_cli.report.canvas import COLOURS, style
from tests.cohort_files import every_kind, modality, write_cohort

pytest.importorskip("mudata")

LISTINGS = (Listing("a <title>", ("name", "n"), (("<b>&", 1_000), ("x", None), ("y", 1e-7))),)


@pytest.fixture(scope="module")
def cohort_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_kind(tmp_path_factory.mktemp("cohort") / "every.h5mu")


@pytest.fixture(scope="module")
def drawn(cohort_file: Path) -> Path:
    folder = cohort_file.parent / "drawn"
    with warnings.catch_warnings(), open_cohort(cohort_file) as cohort:
        warnings.simplefilter("error", RuntimeWarning)
        draw_cohorts([cohort], folder, LISTINGS)
    return folder


def test_every_kind_has_its_pictures(drawn: Path) -> None:
    names = {path.name.removesuffix(".png") for path in drawn.glob("*.png")}
    values = {"density", "mean_sd", "pca"}
    expected = {
        "cohort": {"missingness", "overlap", "classes_by_batches", "missing_by_batch", "bayes"},
        "methylation": {"density", "heatmap", "pca"},
        "m_values": {"density", "heatmap", "pca"},
        "copy": {"gains_losses", "profile", "heatmap", "samples", "density", "pca"},
        "calls": {"gains_losses", "profile", "heatmap", "samples", "density", "pca"},
        "fragments": {"lengths", "short_long", "density", "pca"},
        "peaks": values,
        "mRNA": values,
        "else": values,
        "genes": {"oncoplot", "genes", "burden"},
    }
    assert names == {f"{modality}.{what}" for modality, all_ in expected.items() for what in all_}


def test_kinds_and_pictures_are_the_same_list() -> None:
    assert PICTURES.keys() == KINDS.keys()


def test_pictures_are_pictures(drawn: Path) -> None:
    from matplotlib.image import imread

    for path in drawn.glob("*.png"):
        image = imread(path)[..., :3]
        # Not blank, and of a size that a page shows.
        assert image.std() > 0.02, path.name
        assert 200 < image.shape[0] < 4_000, path.name
        assert 400 < image.shape[1] < 4_000, path.name


def test_the_page_shows_all_of_them(drawn: Path) -> None:
    page = (drawn / "index.html").read_text()
    assert sorted(re.findall(r'<img src="([^"]+)"', page)) == sorted(
        path.name for path in drawn.glob("*.png")
    )
    assert page.count("<figcaption>") == page.count("<img")
    assert "<h3>a &lt;title&gt;</h3>" in page
    assert '<td class="text">&lt;b&gt;&amp;</td><td>1,000</td>' in page
    assert str(drawn.parent) not in page


@pytest.mark.slow
def test_the_same_bytes_again(cohort_file: Path, drawn: Path, tmp_path: Path) -> None:
    with open_cohort(cohort_file) as cohort:
        draw_cohorts([cohort], tmp_path / "again", LISTINGS)
    first = {path.name: path.read_bytes() for path in drawn.iterdir()}
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert first == again


def test_the_users_own_settings_of_matplotlib_change_nothing(cohort_file: Path) -> None:
    import matplotlib

    with open_cohort(cohort_file) as cohort:
        seen = [view(cohort, "c", "fragments")]
    pens = looks(seen[0].classes.names)
    sizes = []
    for dpi in (50, 300):
        with matplotlib.rc_context({"font.size": dpi / 10, "savefig.dpi": dpi}), style():
            picture = lengths(seen, pens)
            assert picture is not None
            sizes.append((matplotlib.rcParams["savefig.dpi"], matplotlib.rcParams["font.size"]))
    assert sizes[0] == sizes[1]


@pytest.mark.slow
def test_two_cohorts(cohort_file: Path, drawn: Path, tmp_path: Path) -> None:
    other = every_kind(tmp_path / "other.h5mu", seed=5, n=30)
    with open_cohort(cohort_file) as one, open_cohort(other) as two:
        names = draw_cohorts([one, two], tmp_path / "both")
    alone = {path.name for path in drawn.glob("*.png")}
    beside = {f"{file}.beside.png" for file in {name.split(".")[0] for name in alone} - {"cohort"}}
    assert set(names) == alone | beside
    assert "every beside other" in (tmp_path / "both" / "index.html").read_text()


def test_a_folder_that_is_not_ours_stays(cohort_file: Path, drawn: Path, tmp_path: Path) -> None:
    with open_cohort(cohort_file) as cohort:
        with pytest.raises(UsageError, match="already exists"):
            draw_cohorts([cohort], drawn)
        mine = tmp_path / "thesis"
        mine.mkdir()
        (mine / "index.html").write_text("my thesis")
        with pytest.raises(UsageError, match="not a folder of pictures"):
            draw_cohorts([cohort], mine, force=True)
    assert (mine / "index.html").read_text() == "my thesis"


@pytest.mark.parametrize(("fill", "label"), [(np.nan, None), (0, ["x"] * 4)])
def test_next_to_nothing_to_draw(tmp_path: Path, fill: float, label: list[str] | None) -> None:
    rows = [*"abcd"]
    modalities = {name: modality(np.full((4, 3), fill), name, rows) for name in KINDS}
    obs: dict[str, list[Any]] = {"sample": rows, **({"label": label} if label else {})}
    with open_cohort(write_cohort(tmp_path / "c.h5mu", modalities, obs)) as cohort:
        names = draw_cohorts([cohort], tmp_path / "drawn")
    assert "cohort.missingness.png" in names
    assert (len(names) > 20) == (fill == fill)


def a_view(kind: str, values: Any, classes: list[int], **columns: Any) -> View:
    """A view of `values`, classes by number, features with `columns`."""
    values = np.asarray(values, np.float32)
    features = pd.DataFrame(columns, index=[f"f{i}" for i in range(values.shape[1])])
    return View(
        cohort="c",
        modality="m",
        kind=KINDS[kind],
        values=values,
        samples=tuple(map(str, range(len(values)))),
        classes=Grouping(("A", "B", "(unknown)"), np.array(classes)),
        batches=None,
        features=features,
        states=None,
        total=len(values),
    )


def test_gains_and_losses_are_counted_beyond_the_threshold() -> None:
    values = [[0.3, 0.1], [0.25, -0.3], [0.1, -0.5], [np.nan, -0.25]]
    with style():
        picture = gains_and_losses([a_view("copy_number", values, [0, 0, 0, 0])], looks("AB"))
    (gain, loss) = picture.figure.axes[0].collections
    top, bottom = (part.get_paths()[0].vertices[:, 1] for part in (gain, loss))
    # Of three samples with a value two are gained; of four three are lost.
    assert top.max() == pytest.approx(100 * 2 / 3)
    assert bottom.min() == pytest.approx(-75)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_single_samples_have_a_panel_each(classes: int) -> None:
    values = np.random.default_rng(0).normal(0, 1, (12, 4))
    one = a_view("copy_number", values, [i % classes for i in range(12)])
    with style():
        figure = single_samples([one], looks(one.classes.names)).figure
    assert len(figure.axes) == classes
    assert all(ax.collections for ax in figure.axes)


def test_fragment_shares_per_base() -> None:
    seen = a_view(
        "fragments", [[30, 10, 60], [0, 0, 0]], [0, 1], length=[20, 0, 10], width=[10, 10, 5]
    )
    length, percent = length_shares(seen)
    assert length.tolist() == [4.5, 12.0, 24.5]
    assert percent[0].tolist() == pytest.approx([1, 12, 3])
    assert np.isnan(percent[1]).all()


def test_the_ladder_is_found_where_it_is() -> None:
    length = np.arange(60, 200.0)
    for phase in (0.0, 3.0, 7.3):
        ripple = 1 + 0.3 * np.cos(2 * np.pi * (length - phase) / TURN)
        found = ladder_peak(length, np.exp(length / 40) * ripple)
        assert found is not None
        off = (found - phase) % TURN
        assert min(off, TURN - off) < 1
    assert ladder_peak(np.arange(60, 200, 10.0), np.ones(14)) is None


def test_short_over_long_pairs_bins_by_their_place() -> None:
    seen = a_view(
        "fragments",
        [[10, 30, 100, 50], [10, 30, 0, 50]],
        [0, 0],
        readout=["short", "short", "long", "long"],
        contig=["1", "2", "2", "1"],
        start=[0, 0, 0, 0],
        end=[5, 5, 5, 5],
    )
    found = short_over_long(seen)
    assert found is not None
    features, ratio = found
    assert features["contig"].tolist() == ["1", "2"]
    # 10/50 and 30/100 less their mean; a bin without long ones has no ratio.
    assert ratio[0] == pytest.approx([-0.05, 0.05])
    assert ratio[1] == pytest.approx([0, np.nan], nan_ok=True)


def test_the_genome_axis() -> None:
    mb = 1_000_000
    features = pd.DataFrame(
        {
            "contig": ["chrX", "10", "chr2", "chr2", "chr2", ""],
            "start": [0, 0, 4 * mb, 0, 40 * mb, -1],
            "end": [mb, 2 * mb, 6 * mb, 2 * mb, 41 * mb, -1],
        }
    )
    axis = genome_axis(features)
    assert axis.columns.tolist() == [3, 2, 4, 1, 0]
    assert axis.left_out == 1
    assert list(axis.chromosomes) == ["2", "10", "X"]
    assert axis.chromosomes["10"] == pytest.approx((41, 43))
    # Halfway to a near neighbour, 5 Mb towards one that is far.
    assert axis.left[:3] == pytest.approx([0, 3, 35])
    assert axis.right[:3] == pytest.approx([3, 11, 41])
    image = axis.sampled(np.arange(6.0)[None], 44)
    assert image[0, [0, 4, 20, 38, 42, 43]].tolist() == pytest.approx(
        [3, 2, np.nan, 4, 1, 0], nan_ok=True
    )
    x, y = axis.steps(np.arange(5.0))
    assert len(x) == len(y) == 15
    assert np.flatnonzero(np.isnan(y)).tolist() == [5]


def test_features_without_places_stay_in_order() -> None:
    axis = genome_axis(pd.DataFrame(index=["a", "b"]))
    assert (axis.columns.tolist(), axis.ends, axis.chromosomes) == ([0, 1], (0, 2), {})


def test_mutation_frequencies_are_of_those_looked_at() -> None:
    found = column_means(np.array([[1, 0, np.nan], [1, np.nan, np.nan]], np.float32))
    assert found.tolist() == pytest.approx([1, 0, np.nan], nan_ok=True)
    one = a_view("mutations", [[0, 1, 1], [0, 1, 0]], [0, 0])
    two = a_view("mutations", [[1, 0, 1], [1, 0, 0]], [0, 0])
    assert [top.tolist() for top in top_genes([one, two])] == [[1, 2, 0], [1, 2, 0]]


def test_principal_components_are_those_of_sklearn() -> None:
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1]).astype(np.float32)
    places, shares = principal(matrix)
    model = PCA(2).fit(matrix)
    np.testing.assert_allclose(np.abs(places), np.abs(model.transform(matrix)), atol=1e-4)
    np.testing.assert_allclose(shares, model.explained_variance_ratio_, rtol=1e-5)


def test_numbers_behind_the_densities() -> None:
    matrix = np.array([[0.0, 1.0], [np.nan, 0.5]], np.float32)
    edges = bin_edges([matrix], fractions=True)
    assert (edges[0], edges[-1]) == (0, 1)
    assert (heights(matrix, edges) * np.diff(edges)).sum() == pytest.approx(1)
    calls = np.array([[-2, 0, 2]], np.float32)
    assert bin_edges([calls], fractions=False).tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    assert completed(matrix).tolist() == [[0, 1], [0, 0.5]]
    mean, sd = feature_moments(np.array([[1, 5], [3, np.nan]], np.float32))
    assert (mean.tolist(), sd.tolist()) == ([2], [pytest.approx(np.sqrt(2))])
    x, y = trend(np.arange(120.0), 2 * np.arange(120.0))
    assert y == pytest.approx(2 * x)


def test_classes_in_the_order_of_the_file_the_unknown_last() -> None:
    seen = a_view("other", np.zeros((6, 1)), [2, 2, 2, 0, 1, 1])
    assert shown_classes([seen]) == ("A", "B", "(unknown)")
    assert shown_classes([seen], 2) == ("B", "(unknown)")
    few = frequent(Grouping(("p", "q", "r", "s"), np.array([0, 1, 1, 3, 3, 3])), 2)
    assert few.names == ("q", "s", "1 others")
    assert few.codes.tolist() == [2, 0, 0, 1, 1, 1]


def test_twenty_classes_look_different() -> None:
    found = looks([f"c{i}" for i in range(20)] + ["(unknown)"])
    del found["all samples"]
    assert len(set(found.values())) == len(found) == 21
    assert found["c0"].colour == found["c7"].colour == COLOURS[0]


def test_labels_keep_their_distance() -> None:
    places = spread(np.array([0.0, 0.1, 0.2, 9.9]), 1, 0, 10)
    assert places.tolist() == pytest.approx([0, 1, 2, 9.9])
    crowded = spread(np.array([9.0, 9.5, 9.6]), 2, 0, 10)
    assert crowded.tolist() == pytest.approx([6, 8, 10])


def test_files_have_names_that_any_system_takes() -> None:
    found = file_names(["a b", "a_b", "A?B", "x"])
    assert found == {"a b": "a_b", "a_b": "a_b_", "A?B": "A_B__", "x": "x"}


def test_large_cohorts_are_drawn_of_some_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genomix_cli.cohorts.figures.view.SAMPLES", 90)
    with open_cohort(every_kind(tmp_path / "c.h5mu", n=300)) as cohort:
        seen = view(cohort, "c", "peaks")
        states = view(cohort, "c", "copy")
    assert seen.classes.counts().tolist() == [30, 30, 30]
    assert seen.total == 300
    assert seen.note.startswith("90 of the 300 samples of c")
    assert states.states is not None
    # The states are those of the samples drawn.
    np.testing.assert_allclose(np.log2(states.states / 2), states.values, atol=0.4)
