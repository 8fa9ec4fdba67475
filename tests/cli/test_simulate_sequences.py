"""``genomix simulate sequences``: files, FASTA, and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.formats.sequences import open_sequences, provenance_of
from genomix_cli.genome import iupac
from tests.conftest import Ended
from tests.diffusion_runs import trained, two_classes

Here = Callable[..., Ended]
QUICK = ["--steps", 3, "--device", "cpu", "--threads", 1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    trained(two_classes(folder / "two.h5"), folder / "run", epochs=1)
    return folder / "run"


def test_a_condition_is_generated_and_written_twice(
    run: Path, tmp_path: Path, genomix_here: Here
) -> None:
    output, fasta = tmp_path / "o.h5", tmp_path / "o.fa"
    ended = genomix_here(
        *("simulate", "sequences", "--model", run, "--condition", "rich", "-n", 12, "-o", output),
        *("--fasta-output", fasta, *QUICK),
    )
    assert ended.code == 0, ended.err
    assert ended.out == ""
    found = open_sequences(output)
    assert found.codes.shape == (12, 30)
    assert found.label()[0] == ("rich",)
    lines = fasta.read_text().splitlines()
    assert lines[0] == ">generated01 class=rich"
    assert lines[1] == iupac.decode(found.codes[0])
    assert provenance_of(output)["config"]["conditions"] == ["rich"]


def test_the_same_seed_gives_the_same_bytes(run: Path, tmp_path: Path, genomix_here: Here) -> None:
    made = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        output = tmp_path / folder / "o.h5"
        call = ("simulate", "sequences", "-m", run, "-n", 8, "-o", output, "--seed", 3, *QUICK)
        assert genomix_here(*call).code == 0
        made.append(open_sequences(output).codes.copy())
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--condition", "Rich"], "class=poor or class=rich"),
        (["--error-rate", "0.1"], "--denoise"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, tmp_path: Path, genomix_here: Here, options: list[str], said: str
) -> None:
    ended = genomix_here(
        "simulate", "sequences", "--model", run, "-o", tmp_path / "o.h5", *QUICK, *options
    )
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "o.h5").exists()


def test_what_is_there_is_not_replaced(run: Path, tmp_path: Path, genomix_here: Here) -> None:
    output = tmp_path / "o.h5"
    output.write_text("mine")
    call = ("simulate", "sequences", "--model", run, "-o", output, "-n", 2, *QUICK)
    assert genomix_here(*call).code == 2
    assert output.read_text() == "mine"
    assert genomix_here(*call, "--force").code == 0


def test_no_model_is_a_mistake(tmp_path: Path, genomix_here: Here) -> None:
    ended = genomix_here("simulate", "sequences", "--model", tmp_path, "-o", tmp_path / "o.h5")
    assert ended.code == 2
    assert "not a run folder" in ended.err
