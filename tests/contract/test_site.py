"""The documentation site builds without a warning, and every page of it is in its contents."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCS = ROOT / "docs"
NAV = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]


def test_every_page_is_in_the_contents_once() -> None:
    listed = re.findall(r"[\w/.-]+\.md", NAV)
    pages = [path for path in DOCS.rglob("*.md") if "snakemake" not in path.parts]
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in pages)


def test_figures_are_small_and_drawn_by_the_script() -> None:
    drawn = re.findall(r"^def (\w+)\(axes", (DOCS / "figures" / "draw.py").read_text(), re.M)
    assert sorted(path.stem for path in DOCS.glob("figures/*.svg")) == sorted(drawn)
    assert all(path.stat().st_size < 25_000 for path in DOCS.glob("figures/*.*"))
    text = "".join(page.read_text() for page in DOCS.glob("*.md"))
    for figure in (path for path in DOCS.glob("figures/*") if path.suffix in (".svg", ".png")):
        assert f"(figures/{figure.name})" in text, figure.name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site") / "site"
    process = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    return folder


def test_the_site_builds_and_links_stay_in_it(site: Path) -> None:
    for page in site.rglob("*.html"):
        for target in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text()):
            if "://" not in target and not target.startswith(("data:", "mailto:")):
                # The page for what is not found may be shown anywhere: its links begin at the root.
                base = site if target.startswith("/") else page.parent
                assert (base / target.lstrip("/")).exists(), f"{page.name}: {target}"


def test_pages_need_no_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|link[^>]*stylesheet)[^>]*(?:src|href)="(https?:[^"]*)',
            page.read_text(),
        )
        assert not loaded, page.name


def test_code_outside_of_the_site_is_named_and_not_linked(site: Path) -> None:
    cohorts = (site / "cohorts.html").read_text()
    assert ">methylation.py" in cohorts or "methylation.py<" in cohorts
    assert "../genomix_cli" not in cohorts


def test_lists_within_numbered_steps_are_lists(site: Path) -> None:
    page = (site / "adding-a-model.html").read_text()
    assert re.search(r"<li>\s*(<p>)?<code>config_class</code>", page)
