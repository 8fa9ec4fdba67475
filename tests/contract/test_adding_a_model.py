"""The models printed in the pages on adding one keep every promise, with a line in the registry."""

from __future__ import annotations

import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from genomix_cli.cli.main import app
from genomix_cli.registry import COHORT_MODELS, SEQUENCE_CLASSIFIERS, VARIANT_MODELS, Registry
from tests.contract import test_cohort_models, test_models, test_sequence_models

DOCS = Path(__file__).parents[2] / "docs"


class Page(NamedTuple):
    """A page, its domain, the registry that it adds a line to, and the contract of those models."""

    name: str
    domain: str
    registry: Registry
    contract: ModuleType


PAGES = (
    Page("adding-a-model.md", "variants", VARIANT_MODELS, test_models),
    Page("adding-a-cohort-model.md", "cohort", COHORT_MODELS, test_cohort_models),
    Page("adding-a-sequence-model.md", "sequences", SEQUENCE_CLASSIFIERS, test_sequence_models),
)


@pytest.fixture
def added(page: Page, monkeypatch: pytest.MonkeyPatch) -> str:
    """Do what the page says; return the name of its model."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page.name).read_text(), re.DOTALL)
    code, line = (textwrap.dedent(re.sub(r"^   ", "", block, flags=re.M)) for block in blocks)
    name, target = re.findall(r'"([^"]+)"', line)
    module = ModuleType(target.split(":")[0])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, page.name, "exec"), module.__dict__)
    monkeypatch.setitem(page.registry._entries, name, target)
    return name


def cases() -> Iterator[Any]:
    """Every test of every contract, with its parameters."""
    for page in PAGES:
        for name, test in vars(page.contract).items():
            if not name.startswith("test_"):
                continue
            marks = getattr(test, "pytestmark", ())
            values = {m.args[0]: m.args[1] for m in marks if m.name == "parametrize"}
            if "kind" in inspect.signature(test).parameters:
                values["kind"] = page.contract.KINDS
            for chosen in itertools.product(*values.values()):
                known = dict(zip(values, chosen, strict=True))
                label = "-".join([page.name.removesuffix(".md"), name, *map(str, chosen)])
                slow = [mark for mark in marks if mark.name == "slow"]
                yield pytest.param(page, test, known, id=label, marks=slow)


@pytest.mark.parametrize(("page", "test", "known"), cases())
@pytest.mark.filterwarnings("ignore:The total space of parameters")
def test_it_keeps(page: Page, test: Any, known: dict[str, Any], added: str, tmp_path: Path) -> None:
    asked = inspect.signature(test).parameters
    given = {"name": added, "tmp_path": tmp_path, **known}
    test(**{name: given[name] for name in asked})


@pytest.mark.parametrize("page", PAGES, ids=[page.domain for page in PAGES])
def test_it_shows_in_help(page: Page, added: str) -> None:
    """Help breaks names only at hyphens."""
    result = CliRunner().invoke(app, ["train", page.domain, "--help"])
    assert result.exit_code == 0
    assert added in re.sub(r"-\s+", "-", result.output)
