"""Indexes that htslib would not survive are refused before it sees them."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf.bcf import write_bcf
from genomix_cli.genome.vcf.htslib import BcfFile, check_index, index_file

DATA = Path(__file__).parents[4] / "test_data"


@pytest.fixture(params=["tbi", "csi of text", "csi of bcf"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    text = DATA / "variants.vcf.gz"
    if request.param == "tbi":
        return Path(shutil.copy(f"{text}.tbi", tmp_path / "a.tbi"))
    if request.param == "csi of text":
        import pysam

        path = Path(shutil.copy(text, tmp_path))
        pysam.tabix_index(str(path), preset="vcf", csi=True, keep_original=True)
        return Path(f"{path}.csi")
    bcf = tmp_path / "a.bcf"
    write_bcf(str(text), str(bcf), "a.bcf")
    return index_file(bcf, bcf, "a.bcf", preset="bcf")


def test_a_whole_index(index: Path) -> None:
    check_index(index)


def test_an_index_that_is_cut_short_or_says_too_much(index: Path) -> None:
    data = gzip.decompress(index.read_bytes())
    # The last 8 bytes count records without a place, and may be missing.
    for size in [*range(0, len(data) - 8, max(len(data) // 40, 1)), len(data) - 9]:
        index.write_bytes(gzip.compress(data[:size]))
        with pytest.raises(DataError, match="the index is damaged"):
            check_index(index)
    for place in (4, 8):
        index.write_bytes(gzip.compress(data[:place] + b"\xff\xff\xff\x7f" + data[place + 4 :]))
        if not (data.startswith(b"TBI") and place == 8):
            with pytest.raises(DataError, match="the index is damaged"):
                check_index(index)
    index.write_bytes(data[:30])
    with pytest.raises(DataError, match="the index is damaged"):
        check_index(index)


def test_an_index_that_nobody_asked_for_is_not_read(tmp_path: Path) -> None:
    bcf = tmp_path / "a.bcf"
    write_bcf(str(DATA / "variants.vcf.gz"), str(bcf), "a.bcf")
    index = index_file(bcf, bcf, "a.bcf", preset="bcf")
    index.write_bytes(gzip.compress(gzip.decompress(index.read_bytes())[:150]))
    file = BcfFile(bcf, "a.bcf")
    assert sum(1 for _ in file) > 100
    file.close()
    with pytest.raises(DataError, match="the index is damaged"):
        BcfFile(bcf, "a.bcf", index)
