"""What an interrupted comparison keeps of each model and fold, so that it can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli.comparison.study import FoldFit
from genomix_cli.learning.task import Epoch
from genomix_cli.provenance import atomic_path


def save_kept(
    path: Path, fit: FoldFit, plain: Mapping[str, Any], arrays: Mapping[str, Any]
) -> None:
    """Write a fit, plain data and arrays; those that are None are left out."""
    data = json.dumps({"fit": asdict(fit), **plain}).encode()
    there: dict[str, Any] = {name: array for name, array in arrays.items() if array is not None}
    with atomic_path(path) as draft, open(draft, "wb") as handle:
        np.savez(handle, plain=np.frombuffer(data, np.uint8), **there)


def load_kept(path: Path) -> dict[str, Any]:
    """What :func:`save_kept` wrote: ``fit``, plain data and arrays by name."""
    with np.load(path, allow_pickle=False) as arrays:
        plain = json.loads(arrays["plain"].tobytes())
        found = {name: arrays[name] for name in arrays.files if name != "plain"}
    fit = plain.pop("fit")
    curve = tuple(Epoch(**epoch) for epoch in fit.pop("curve"))
    return {"fit": FoldFit(**fit, curve=curve), **plain, **found}
