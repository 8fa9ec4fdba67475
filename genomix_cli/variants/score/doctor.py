"""Check a device: score a synthetic genome and compare with reference scores of the model.

The same software can give different numbers on different GPUs. The scores of the synthetic genome
are therefore stored with a model's weights, to be compared before a new device is used.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.errors import DataError, guarded
from genomix_cli.genome.alphabet import encode
from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.signal import BIN_SIZE, Signal
from genomix_cli.learning.devices import resolve_device
from genomix_cli.outputs import atomic_path
from genomix_cli.variants.records.inputs import WINDOW, Allele
from genomix_cli.variants.score.engine import Engine, Precision, Scores, chosen_precision
from genomix_cli.variants.score.reading import Target
from genomix_cli.variants.trained import LoadedModel, load_model, model_folder, read_config

Rows = Mapping[str, NDArray[Any]]

FILE = "reference.json"
ALLELES = 96
#: Largest logit difference that rounding can explain, in standard deviations of the logits.
TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "bf16": 0.2}
#: Lowest rank correlation that rounding of this size can explain.
LEAST_CORRELATION: dict[Precision, float] = {"fp32": 0.9999, "bf16": 0.985}


class MadeUpGenome:
    """Synthetic genome of one contig with random bases, tracks and contacts, same on all machines.

    Parameters
    ----------
    tracks : tuple of str
    window : int
        Bases of the model's window; the contig is two windows long.
    """

    def __init__(self, tracks: tuple[str, ...], window: int) -> None:
        # NumPy guarantees a stable stream for this legacy generator, but not for newer ones.
        rng = np.random.RandomState(20261121)
        length = 2 * window
        self.tracks = tracks
        self.contigs: Mapping[str, int] = {"made-up": length}
        self._codes = rng.randint(0, 4, length).astype(np.uint8)
        self._signal = rng.standard_normal((len(tracks), length // BIN_SIZE)).astype(np.float32)
        n = length // CONTACT_BIN
        contacts = rng.standard_normal((n, n)).astype(np.float32)
        self._contacts = (contacts + contacts.T) / 2

    def codes(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return base codes; bases beyond the contig are unknown."""
        return _cut(self._codes, start, end, 4)

    def signal(self, contig: str, first_bin: int, last_bin: int) -> Signal:
        """Return the tracks, which are measured on the whole contig."""
        value = _cut(self._signal, first_bin, last_bin, 0)
        state = _cut(np.ones_like(self._signal, np.uint8), first_bin, last_bin, 0)
        return Signal(value, state)

    def contacts(self, contig: str, start: int, n_bins: int) -> NDArray[np.float32]:
        """Return contacts, 0 beyond the contig."""
        first = start // CONTACT_BIN
        rows = _cut(self._contacts.T, first, first + n_bins, 0)
        return np.ascontiguousarray(_cut(rows.T, first, first + n_bins, 0))

    def close(self) -> None:
        """Do nothing; there is nothing to release."""

    def targets(self) -> list[Target]:
        """Return substitutions, insertions and deletions in several windows."""
        rng = np.random.RandomState(1)
        length = self.contigs["made-up"]
        alleles = []
        for pos in np.sort(rng.randint(length // 8, length // 2, ALLELES)).tolist():
            ref, alt = rng.randint(1, 5, 2) if rng.rand() < 0.25 else (1, 1)
            ref_codes = self._codes[pos : pos + ref].copy()
            alt_codes = encode("".join("ACGT"[i] for i in rng.randint(0, 4, alt)))
            alt_codes[0] = (ref_codes[0] + 1) % 4
            alleles.append(Allele(pos, ref_codes, alt_codes))
        return [Target("made-up", allele, 0) for allele in alleles]


def _cut(array: NDArray[Any], start: int, end: int, fill: int) -> NDArray[Any]:
    """Return ``array[..., start:end]``, with `fill` beyond its ends."""
    out = np.full((*array.shape[:-1], end - start), fill, array.dtype)
    low, high = max(start, 0), min(end, array.shape[-1])
    if low < high:
        out[..., low - start : high - start] = array[..., low:high]
    return out


class Check(NamedTuple):
    """One comparison of answers.

    Attributes
    ----------
    name : str
    found, limit : str
        Texts for display; the limit is the largest effect of rounding.
    problem : str
        Reason not to trust the device; empty if the comparison holds.
    """

    name: str
    found: str
    limit: str
    problem: str


@dataclass(frozen=True)
class Diagnosis:
    """Result of examining a device.

    Attributes
    ----------
    sound : bool
        True if scores from this device can be trusted.
    problems : tuple of str
        Reasons not to trust the device.
    model, device : str
    precision : {'fp32', 'bf16'}
    versions : dict of str to str
    difference : float
        Largest difference between a score and its stored value, in standard deviations of the
        scores. Scores are logits, or differences in activity for a model without logits.
    correlation : float
        Lowest rank correlation with the stored scores.
    repeated, alone : float
        Largest difference, in the same units, between two runs, and between an allele scored
        alone and among others.
    ms_per_window, ms_per_allele : float
        Milliseconds; an allele includes its null. None for a model without windows.
    """

    sound: bool
    problems: tuple[str, ...]
    model: str
    device: str
    precision: Precision
    versions: dict[str, str]
    difference: float
    correlation: float
    repeated: float
    alone: float
    ms_per_window: float | None
    ms_per_allele: float

    @property
    def checks(self) -> list[Check]:
        """Comparisons behind `problems`."""
        differences = {name: getattr(self, name) for name in _DIFFERENCES}
        return _checks(differences, self.correlation, self.precision)


def write_reference(model: str | Path) -> None:
    """Store a model's reference scores, computed on a CPU in float32, beside its weights."""
    loaded = load_model(model, "cpu")
    scores = _answers(loaded, torch.device("cpu"), "fp32")
    data: dict[str, Any] = {"model": loaded.sha256, "torch": torch.__version__}
    data |= {name: [float(f"{v:.7g}") for v in row.tolist()] for name, row in _rows(scores).items()}
    with atomic_path(loaded.path / FILE, shared=True) as draft:
        draft.write_text(json.dumps(data) + "\n")


def examine(model: str, device: str, precision: str) -> Diagnosis:
    """Run a model on a device and compare its scores with the stored reference scores.

    Parameters
    ----------
    model : str
        Run folder, or name of a model that ships with genomix.
    device : str
    precision : str
        ``fp32``, ``bf16``, or ``auto`` as for `score`.

    Raises
    ------
    UsageError
        If the model or the device does not exist.
    DataError
        If no reference scores are stored, or they belong to other weights.
    """
    where = resolve_device(device)
    chosen = chosen_precision(precision, where)
    folder = model_folder(model)
    read_config(folder)  # raises for a model of another domain
    reference = _stored(folder)
    loaded = load_model(model, where)
    if reference["model"] != loaded.sha256:
        raise _remake("the stored answers belong to other weights", folder)
    _answers(loaded, where, chosen)  # the first run chooses kernels
    timed = _answers(loaded, where, chosen)
    actual = _rows(timed)
    if actual.keys() - reference.keys():
        raise _remake("the stored answers are of another kind of model", folder)
    expected = {name: reference[name] for name in actual}
    again = _rows(_answers(loaded, where, chosen))
    alone = _rows(_answers(loaded, where, chosen, slice(0, 1)))
    differences = {
        "difference": _largest(actual, expected, expected),
        "repeated": _largest(actual, again, expected),
        "alone": _largest({name: row[:1] for name, row in actual.items()}, alone, expected),
    }
    correlation = min(
        _rank_correlation(row, expected[name]) for name, row in actual.items() if name != "null"
    )
    checks = _checks(differences, correlation, chosen)
    problems = tuple(check.problem for check in checks if check.problem)
    return Diagnosis(
        sound=not problems,
        problems=problems,
        model=folder.resolve().name,
        device=torch.cuda.get_device_name(where) if where.type == "cuda" else str(where),
        precision=chosen,
        versions={"torch": torch.__version__, "stored answers": f"torch {reference['torch']}"},
        correlation=correlation,
        ms_per_window=1e3 * timed.seconds["trunk"] / timed.windows if timed.windows else None,
        ms_per_allele=1e3 * timed.seconds["alleles"] / ALLELES,
        **differences,
    )


def _rows(scores: Scores) -> Rows:
    """Return the scores to compare, ``[G]`` each, by name."""
    rows = {} if scores.logit is None else {"logit": scores.logit, "null": scores.null}
    return rows | {f"difference {k}": row for k, row in enumerate(scores.differences.T)}


def _largest(one: Rows, two: Rows, expected: Rows) -> float:
    """Return the largest difference of scores, in standard deviations of the expected scores."""
    scale = {name: max(float(row.std()), 1e-6) for name, row in expected.items()}
    if "null" in scale:
        scale["null"] = scale["logit"]
    # np.max propagates NaN; Python's max may drop it.
    return float(np.max([np.abs(row - two[name]).max() / scale[name] for name, row in one.items()]))


def _rank_correlation(one: NDArray[Any], two: NDArray[Any]) -> float:
    ranks = np.argsort(np.argsort([one, two]))
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


# Name and problem text of each comparison of largest differences.
_DIFFERENCES = {
    "difference": ("from the stored answers", "scores differ from the stored ones"),
    "repeated": ("between two runs", "two runs differ"),
    "alone": (
        "alone and among others",
        "an allele scored alone differs from the same allele among others",
    ),
}


def _checks(
    differences: Mapping[str, float], correlation: float, precision: Precision
) -> list[Check]:
    """Compare with the limits of rounding; comparisons are negated so that NaN fails."""
    tolerance, least = TOLERANCE[precision], LEAST_CORRELATION[precision]
    found = []
    for name, (title, problem) in _DIFFERENCES.items():
        value = differences[name]
        problem += f" by {value:.2g} standard deviations, more than {tolerance:g}"
        failed = not value <= tolerance
        found.append(Check(title, f"{value:.1e}", f"at most {tolerance:g}", problem * failed))
    problem = f"ranks correlate by {correlation:.5f}, less than {least:g}"
    failed = not correlation >= least
    ranks = Check("rank correlation", f"{correlation:.6f}", f"at least {least:g}", problem * failed)
    return [*found, ranks]


def _answers(
    loaded: LoadedModel,
    device: torch.device,
    precision: Precision,
    part: slice = slice(None),
) -> Scores:
    names = tuple(spec.name for spec in loaded.config.tracks)
    genome = MadeUpGenome(names, loaded.module.n_bins * BIN_SIZE or WINDOW)
    engine = Engine(loaded.module, genome, device, precision=precision, stop=threading.Event())
    return engine.score(genome.targets()[part])


def _stored(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    if not path.is_file():
        raise _remake("no answers are stored beside the weights", folder)
    with guarded(path):
        data: dict[str, Any] = json.loads(path.read_text())
        said = {name: str(data.pop(name)) for name in ("torch", "model")}
        rows = {name: np.array(row, np.float64) for name, row in data.items()}
        if any(row.shape != (ALLELES,) or not np.isfinite(row).all() for row in rows.values()):
            raise ValueError(f"no numbers of {ALLELES} alleles")
        return said | rows


def _remake(what: str, folder: Path) -> DataError:
    return DataError(
        what,
        where=folder / FILE,
        hint="where the model was trained, run: genomix doctor --store -m " + str(folder),
    )


def described(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return the names and values of the diagnosis for display."""
    return [
        ("model", f"{diagnosis.model}, {diagnosis.precision}"),
        ("device", diagnosis.device),
        *diagnosis.versions.items(),
    ]


def times(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return the names and values of the timings for display."""
    per_window = diagnosis.ms_per_window
    return [
        *([] if per_window is None else [("a window", f"{per_window:.2f} ms")]),
        ("an allele", f"{diagnosis.ms_per_allele:.3f} ms"),
    ]
