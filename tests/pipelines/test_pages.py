"""The pages of docs/pipelines lead somewhere, and have the one block that CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pipelines.conftest import PIPELINES


@pytest.mark.parametrize("page", sorted(PIPELINES.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("http") or (PIPELINES / target).exists(), target


def test_there_is_one_block_to_run() -> None:
    (block,) = re.findall(
        r"^```bash\n(.*?)^```$", (PIPELINES / "README.md").read_text(), re.M | re.S
    )
    assert "for entry in score train" in block
    assert "cmp " in block
