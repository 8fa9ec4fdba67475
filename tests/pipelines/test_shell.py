"""Every recipe of docs/pipelines/shell.md does what it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, Shell
from tests.pipelines.conftest import PIPELINES, records, text

PAGE = (PIPELINES / "shell.md").read_text()


def recipes() -> dict[str, list[str]]:
    """Section to its blocks."""
    sections = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:]
    pairs = zip(sections[::2], sections[1::2], strict=True)
    return {title: re.findall(r"^```bash\n(.*?)^```$", body, re.M | re.S) for title, body in pairs}


RECIPES = recipes()
PREPARE, ONE_RUN = "Prepare once", "One run"
PARTS, CONTIGS = "Parts in parallel", "Contig by contig"
RESUMED, ARRAY = "Until it is done", "SLURM array"
PIPE, HIGHEST = "In a pipe", "The highest scores"
TABLES = "Tables in parts"


@pytest.fixture(scope="module")
def workplace(few: Path, shell: Shell) -> Path:
    """A folder with test_data/ and the shard of the first recipe."""
    shell(RECIPES[PREPARE][0], few)
    return few


@pytest.fixture(scope="module")
def whole(workplace: Path, shell: Shell) -> bytes:
    """What one run over the whole file gives."""
    shell(RECIPES[ONE_RUN][0], workplace)
    assert (workplace / "scored.vcf.gz.tbi").exists()
    return take(workplace)


def take(folder: Path) -> bytes:
    """The scored file, out of the way of the next recipe."""
    content = text(folder / "scored.vcf.gz")
    for path in folder.glob("scored.vcf.gz*"):
        path.unlink()
    shutil.rmtree(folder / "parts", ignore_errors=True)
    return content


def test_every_section_is_tested() -> None:
    known = {PREPARE, ONE_RUN, PARTS, CONTIGS, RESUMED, ARRAY, PIPE, HIGHEST, TABLES}
    assert set(RECIPES) == known
    assert all(RECIPES.values())


def test_the_shard_holds_all_variants(workplace: Path, whole: bytes) -> None:
    assert (workplace / "variants.h5").exists()
    n = len(records(workplace / "test_data" / "variants.vcf.gz"))
    assert n > 100
    assert whole.count(b"GENOMIX_P=") == n


@pytest.mark.parametrize("program", ["parallel", "xargs"])
def test_parts(program: str, workplace: Path, whole: bytes, shell: Shell) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    (recipe,) = (block for block in RECIPES[PARTS] if f"{program} -" in block)
    shell(recipe, workplace)
    assert take(workplace) == whole


def test_contigs(workplace: Path, whole: bytes, shell: Shell) -> None:
    shell(RECIPES[CONTIGS][0], workplace)
    assert (workplace / "contigs.txt").read_text() == "chr1\nchr2\n"
    assert take(workplace) == whole


def test_tables_in_parts(workplace: Path, whole: bytes, shell: Shell) -> None:
    shell(RECIPES[TABLES][0], workplace)
    lines = (workplace / "scored.tsv").read_text().splitlines()
    made = [line for line in lines if line.startswith("##")]
    assert made == [line for line in whole.decode().splitlines() if line.startswith("##genomix")]
    assert lines[len(made)].startswith("CHROM\tPOS\t")
    assert len({tuple(line.split("\t")[:2]) for line in lines[len(made) + 1 :]}) > 100


def test_until_it_is_done(workplace: Path, whole: bytes, shell: Shell) -> None:
    shell(RECIPES[RESUMED][0], workplace)
    assert take(workplace) == whole


def test_a_failure_is_not_tried_again(workplace: Path, shell: Shell) -> None:
    fails = RECIPES[RESUMED][0].replace("variants.vcf.gz", "absent.vcf.gz")
    report = f"( {fails} ) 2> log.txt && exit 9; grep -c absent log.txt"
    assert shell(f"set +e; {report}", workplace).stdout == "1\n"


def test_array(workplace: Path, whole: bytes, shell: Shell) -> None:
    job, join = RECIPES[ARRAY]
    shell(job, workplace)
    for task in "1234":
        shell(
            "bash score.sbatch",
            workplace,
            SLURM_ARRAY_TASK_ID=task,
            SLURM_ARRAY_TASK_COUNT="4",
            SLURM_CPUS_PER_TASK="1",
        )
    shell(join, workplace)
    assert take(workplace) == whole


def test_pipe(workplace: Path, shell: Shell) -> None:
    shell(RECIPES[PIPE][0], workplace)
    likely = records(workplace / "likely.vcf.gz")
    assert likely
    assert all(float(re.search(r"GENOMIX_P=([\d.e-]+)", r)[1]) >= 0.5 or "," in r for r in likely)  # type: ignore[index]


def test_the_highest(workplace: Path, shell: Shell) -> None:
    shipped = ROOT / "genomix_cli" / "pretrained" / "gmt-mini-sim"
    mine = workplace / "runs" / "mine"
    shutil.copytree(shipped, mine, dirs_exist_ok=True)
    shell(RECIPES[HIGHEST][0], workplace)
    rows = [line.split("\t") for line in (workplace / "top.tsv").read_text().splitlines()]
    n = len(records(workplace / "common.vcf.gz"))
    # A tenth of the background ranks among the top tenth of itself.
    assert 0.05 * n < len(rows) < 0.15 * n
    assert len(records(workplace / "top.vcf.gz")) == len(rows)
