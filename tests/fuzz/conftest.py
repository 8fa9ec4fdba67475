"""The corpus, built once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus; what is in it, every command reads before anything is damaged."""
    from tests.fuzz import corpus

    corpus.preload()
    return corpus.build(tmp_path_factory.mktemp("corpus"))
