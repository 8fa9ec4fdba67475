"""Write data as JSON and rows as TSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from genomix_cli.outputs import atomic_path
from genomix_cli.provenance import Provenance

_NOTHING: Mapping[str, Sequence[str]] = {}


def plain(value: Any) -> Any:
    """Return JSON-compatible data, with fields in order; NaN and infinity become None."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def restored(hint: Any, value: Any) -> Any:
    """Return a value of type `hint` from what :func:`plain` made of it; None becomes NaN.

    Fields that are missing take their defaults, and a float without one is NaN.
    """
    kind, args = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return None if value is None else restored(args[0], value)
    if is_dataclass(hint) or hasattr(hint, "_fields"):
        hints = get_type_hints(hint)
        missing = {name: math.nan for name, own in hints.items() if own is float}
        return hint(**missing | {name: restored(hints[name], own) for name, own in value.items()})
    if kind is tuple:
        return tuple(restored(args[0], each) for each in value)
    if kind is dict:
        return {name: restored(args[1], each) for name, each in value.items()}
    if kind is np.ndarray:
        return np.array(value)
    return math.nan if hint is float and value is None else value


def request_provenance(
    request: Any, files: Sequence[str], scored: Mapping[str, Sequence[str]] = _NOTHING
) -> Provenance:
    """Return the provenance of a result.

    Parameters
    ----------
    request : dataclass
        Request with a field ``seed``.
    files : sequence of str
        Names of the request's fields that are input files; a field may be None.
    scored : mapping of str to sequence of str, optional
        Provenance lines of the file of scores; its model and warnings are passed on to the result.
    """
    settings = asdict(request)
    inputs = {name: settings.pop(name) for name in files}
    model, warnings = "; ".join(scored.get("Model", ())), scored.get("Warning", ())
    return Provenance.of(settings, inputs, request.seed, model=model, warnings=warnings)


def write_json(data: Any, path: Path, *, force: bool = False) -> None:
    """Write data as JSON; see :func:`plain`."""
    with atomic_path(path, force=force) as draft:
        draft.write_text(json.dumps(plain(data), indent=1) + "\n")


def write_rows(
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    made: Provenance | None = None,
    *,
    force: bool = True,
) -> None:
    """Write rows as TSV: floats with six significant digits, empty cells for missing values."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path, force=force) as draft, draft.open("w", newline="") as handle:
        handle.writelines(f"{line}\n" for line in (made.lines() if made else ()))
        table = csv.writer(handle, delimiter="\t", lineterminator="\n")
        table.writerow(names)
        table.writerows([_text(row.get(name)) for name in names] for row in rows)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
