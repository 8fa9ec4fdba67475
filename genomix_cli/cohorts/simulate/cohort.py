"""Simulate a cohort: several omics of many samples, and the Bayes-optimal performance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.cohorts.requests import CohortRequest
from genomix_cli.cohorts.simulate.ceiling import Ceiling, ceilings
from genomix_cli.cohorts.simulate.joint_model import JointModel, Observed, Subset
from genomix_cli.cohorts.simulate.shared import Floats, Samples, draw_samples, joined
from genomix_cli.config import to_dict
from genomix_cli.formats import cohort_writer
from genomix_cli.formats.cohort import BATCH, LABEL, TRUTH, bayes_key
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance

if TYPE_CHECKING:
    import h5py
    from anndata import AnnData

# Samples per piece. Each has its own generator, so the number of threads changes nothing.
PIECE = 1000


@dataclass(frozen=True)
class CohortSummary:
    """Summary of a simulated cohort.

    Attributes
    ----------
    output : Path
    samples : int
    features : dict of str to int
        Number of features of each modality.
    classes : dict of str to int
        Number of samples of each class.
    ceilings : tuple of Ceiling
        Best performance possible with each set of modalities.
    """

    output: Path
    samples: int
    features: dict[str, int]
    classes: dict[str, int]
    ceilings: tuple[Ceiling, ...]


# What is observed of some consecutive samples, and their posteriors ``[n, K]``.
Piece = tuple[dict[str, Observed], dict[Subset, Floats]]


def simulate_cohort(request: CohortRequest) -> CohortSummary:
    """Simulate a cohort into a ``.h5mu`` file.

    Raises
    ------
    UsageError
        If the output exists and `force` is false, or parameters contradict each other.
    """
    model = request.parameters.build()
    rng = np.random.default_rng([request.seed, 0])
    samples, absent = draw_present(model, request.parameters.samples, rng)
    obs = _obs(model, samples)
    called = request.parameters.called
    modalities = {
        called(name): _empty(model, name, obs[~absent[name]]) for name in model.modalities
    }
    settings = {"preset": request.preset, **to_dict(request.parameters)}
    made = Provenance.of(settings, {}, seed=request.seed)
    draft = cohort_writer.draft_cohort(request.output, modalities, obs, made, force=request.force)
    with draft as file:
        latents, posteriors = _fill(file, model, samples, absent, request)
        posteriors = {tuple(map(called, subset)): p for subset, p in posteriors.items()}
        table = ceilings(model.shared.prior, posteriors, samples.label)
        arrays = {bayes_key(s): p.astype(np.float32) for s, p in posteriors.items()}
        cohort_writer.add_samples(file, {TRUTH: np.column_stack(list(latents.values())), **arrays})
        cohort_writer.add_truth(file, _truth(request, model, latents, table))
    return CohortSummary(
        request.output,
        len(samples),
        {name: modality.n_vars for name, modality in modalities.items()},
        {name: int((samples.label == k).sum()) for k, name in enumerate(model.shared.classes)},
        table,
    )


def draw_present(
    model: JointModel, n: int, rng: np.random.Generator
) -> tuple[Samples, dict[str, NDArray[np.bool_]]]:
    """Draw samples and their missing modalities; redraw those that lack all."""
    present: list[Samples] = []
    lacks: list[NDArray[np.bool_]] = []
    while sum(map(len, present)) < n:
        samples = draw_samples(model.shared, n, rng)
        each = [model.missing.draw_modality(name, samples, rng) for name in model.modalities]
        absent = np.stack(each, axis=1)
        some: NDArray[np.bool_] = ~np.all(absent, axis=1)
        present.append(samples[some])
        lacks.append(absent[some])
    samples, absent = joined(present)[:n], np.concatenate(lacks)[:n]
    return samples, dict(zip(model.modalities, absent.T, strict=True))


def _obs(model: JointModel, samples: Samples) -> pd.DataFrame:
    """Return the table of samples."""
    width = max(len(str(len(samples))), 5)
    frame = pd.DataFrame(index=[f"S{i:0{width}d}" for i in range(1, len(samples) + 1)])
    classes = pd.Index(model.shared.classes)
    frame[LABEL] = pd.Categorical.from_codes(samples.label.tolist(), classes)
    if (batches := model.shared.shape[2]) > 1:
        names = pd.Index([f"batch{b + 1}" for b in range(batches)])
        frame[BATCH] = pd.Categorical.from_codes(samples.batch.tolist(), names)
    return frame


def _empty(model: JointModel, name: str, obs: pd.DataFrame) -> AnnData:
    """Return a modality without its values."""
    from anndata import AnnData

    process = model.processes[name]
    own = {"genomix": {"kind": process.kind}}
    return AnnData(obs=obs[[]], var=process.features(), uns=own)


def _fill(
    file: h5py.File,
    model: JointModel,
    samples: Samples,
    absent: dict[str, NDArray[np.bool_]],
    request: CohortRequest,
) -> tuple[dict[str, Floats], dict[Subset, Floats]]:
    """Write the matrices piece by piece; return all latent variables and posteriors."""
    shared, n = model.shared, len(samples)
    latents: dict[str, Floats] = {"purity": shared.purity.values[samples.purity]}
    for i in range(len(shared.interactions)):
        latents[f"interaction{i}"] = samples.bits[:, i].astype(float)
    posteriors = {s: np.empty((n, len(shared.classes))) for s in model.subsets()}
    starts = range(0, n, PIECE)
    pieces = track(_pieces(model, samples, absent, request), "simulating", len(starts))
    for start, (observed, given) in zip(starts, pieces, strict=True):
        here = slice(start, start + PIECE)
        for subset, values in given.items():
            posteriors[subset][here] = values
        for name, each in observed.items():
            before, rows = np.sum(~absent[name][:start]), np.sum(~absent[name])
            _write(file, request.parameters.called(name), each, int(before), int(rows))
            for latent, values in each.drawn.latents.items():
                latents.setdefault(latent, np.empty(n))[here] = values
    return latents, posteriors


def _pieces(
    model: JointModel,
    samples: Samples,
    absent: dict[str, NDArray[np.bool_]],
    request: CohortRequest,
) -> Iterator[Piece]:
    """Yield pieces in order, several being made at a time (NumPy releases the GIL)."""

    def piece(start: int) -> Piece:
        rows = slice(start, start + PIECE)
        rng = np.random.default_rng([request.seed, 1, start])
        here = {name: lacks[rows] for name, lacks in absent.items()}
        observed = model.draw(samples[rows], here, rng)
        return observed, model.posteriors(observed)

    threads = request.threads or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(threads)
    try:
        # Only a few pieces ahead, so that memory stays bounded.
        ahead = []
        for start in range(0, len(samples), PIECE):
            ahead.append(pool.submit(piece, start))
            if len(ahead) > threads:
                yield ahead.pop(0).result()
        yield from (future.result() for future in ahead)
    finally:
        pool.shutdown(cancel_futures=True)


def _write(file: h5py.File, name: str, observed: Observed, start: int, rows: int) -> None:
    """Write a piece of a modality from row `start` of `rows`."""
    here = ~observed.absent
    layers = {f"layers/{layer}": values for layer, values in observed.drawn.layers.items()}
    for where, values in {"X": observed.values.astype(np.float32), **layers}.items():
        if not start:
            cohort_writer.add_matrix(file, name, where, (rows, values.shape[1]), str(values.dtype))
        file[f"mod/{name}/{where}"][start : start + here.sum()] = values[here]


def _truth(
    request: CohortRequest,
    model: JointModel,
    latents: dict[str, Floats],
    table: tuple[Ceiling, ...],
) -> dict[str, Any]:
    """Return the record of how the cohort was made."""
    return {
        "latents": list(latents),
        "bayes": [asdict(ceiling) for ceiling in table],
        "interactions": [
            {
                "modalities": [request.parameters.called(m) for m in (pair.first, pair.second)],
                "code": dict(zip(model.shared.classes, pair.code, strict=True)),
            }
            for pair in model.shared.interactions
        ],
        "mask": asdict(request.parameters.missing),
        "preset": request.preset,
        "parameters": to_dict(request.parameters),
        "seed": request.seed,
    }
