"""Classes and embeddings of sequences by a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genomix_cli.errors import DataError, GenomixError, UsageError
from genomix_cli.genome.iupac import ANY
from genomix_cli.sequences.requests.score import ScoreRequest
from genomix_cli.sequences.runs import RunConfig, read_run, save_run
from genomix_cli.sequences.score.sequences import embeddings, known_sequences, score_sequences
from genomix_cli.sequences.trained import load_classifier
from tests.sequence_runs import trained
from tests.sequence_samples import genotypes, motifs, write

pytest.importorskip("lightning")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run", motifs(n=120), "transformer")


def scored(data: Path, run: Path, **more: Path) -> pd.DataFrame:
    out = data.parent / "scores.tsv"
    score_sequences(ScoreRequest(data, str(run), out, device="cpu", **more))
    return pd.read_csv(out, sep="\t", comment="#", keep_default_na=False, na_values={"p:A": [""]})


def test_a_row_per_sequence_in_order(run: Path, tmp_path: Path) -> None:
    sequences = motifs(n=50, seed=3)
    found = scored(write(tmp_path / "s.h5", sequences), run)
    assert list(found) == ["sample", "predicted", "p:A", "p:B", "p:C", "set", "abstain"]
    assert list(found["sample"]) == list(sequences.names)
    classifier = load_classifier(run)
    p, sets, _ = classifier.predict(sequences.codes)
    np.testing.assert_allclose(found[["p:A", "p:B", "p:C"]].to_numpy(), p, rtol=1e-4, atol=1e-9)
    assert list(found["abstain"]) == list((sets.sum(1) != 1).astype(int))


def test_a_sequence_of_n_alone_has_empty_cells(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sequences = motifs(n=20)
    codes = sequences.codes.copy()
    codes[4] = ANY
    data = write(tmp_path / "s.h5", replace(sequences, codes=codes))
    caplog.set_level("WARNING", logger="genomix")
    found = scored(data, run, embeddings=tmp_path / "e.parquet")
    row = found.iloc[4]
    assert (row["predicted"], row["set"], row["abstain"]) == ("", "", 1)
    assert np.isnan(row["p:A"])
    assert "no base is known of 1 sequence (s4); not scored" in caplog.text
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert table.iloc[4, 1:].isna().all()
    assert table.drop(index=4).notna().all().all()


def test_embeddings_are_what_the_head_sees(run: Path, tmp_path: Path) -> None:
    sequences = motifs(n=30)
    stored = read_run(run)
    found = embeddings(stored, sequences.codes, np.ones(30, bool))
    weight, bias = stored.state["head.weight"], stored.state["head.bias"]
    z = found @ weight.T + bias
    expected = load_classifier(run).model.log_probability(sequences.codes)
    np.testing.assert_allclose(z - np.logaddexp.reduce(z, axis=1)[:, None], expected, atol=1e-4)


def test_a_run_without_classes_gives_its_encoders_embeddings(run: Path, tmp_path: Path) -> None:
    stored = read_run(run)
    folder = tmp_path / "contrast"
    folder.mkdir()
    state = {name: array for name, array in stored.state.items() if name.startswith("encoder.")}
    arch = stored.config.arch
    save_run(folder, RunConfig("contrast", "contrast", arch, stored.config.length), state)
    sequences = motifs(n=10)
    found = scored(write(tmp_path / "s.h5", sequences), folder)
    assert list(found)[:3] == ["sample", "e0", "e1"]
    assert found.shape == (10, 1 + arch["width"])


def test_an_embedding_that_is_no_number_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = read_run(run)
    known = np.ones(9, bool)
    kind = type(load_classifier(run).model)
    monkeypatch.setattr(kind, "embedding", lambda _, x: np.full((len(x), 4), np.inf, np.float32))
    with pytest.raises(GenomixError, match="an embedding that is not a number"):
        embeddings(stored, motifs(n=9).codes, known)


def test_sequences_of_another_kind_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="another length"):
        scored(write(tmp_path / "s.h5", motifs(n=9, length=50)), run)
    aligned = trained(tmp_path / "aligned", genotypes(n=90), "pca-svm")
    sequences = genotypes(n=9)
    assert sequences.columns is not None
    moved = replace(sequences, columns=sequences.columns._replace(pos=sequences.columns.pos + 1))
    with pytest.raises(DataError, match="the columns are not the sites used in training"):
        scored(write(tmp_path / "s.h5", moved), aligned)
    data = write(tmp_path / "s.h5", sequences)
    with pytest.raises(UsageError, match="pca-svm has no embeddings"):
        scored(data, aligned, embeddings=tmp_path / "e.tsv")
    with pytest.raises(UsageError, match="does not have the extension of a table"):
        score_sequences(ScoreRequest(data, str(aligned), tmp_path / "x.vcf"))


def test_what_is_known() -> None:
    codes = np.array([[0, ANY], [0, 1], [ANY, 3], [ANY, ANY]], np.uint8)
    assert known_sequences(codes).tolist() == [False, True, True, False]
