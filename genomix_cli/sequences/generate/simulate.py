"""Generation of new sequences, or restoration of damaged ones, with a diffusion model.

Letters in shapes: n sequences, L bases, C conditions.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import UsageError
from genomix_cli.formats.run_folder import WEIGHTS
from genomix_cli.formats.sequences import Phenotype, Sequences, open_sequences, write_sequences
from genomix_cli.genome import iupac
from genomix_cli.learning.devices import resolve_device
from genomix_cli.outputs import atomic_path, check_output
from genomix_cli.provenance import Provenance, settings_of
from genomix_cli.sequences.generate import conditions
from genomix_cli.sequences.generate.chain import BASES
from genomix_cli.sequences.generate.checkpoint import Diffusion, columns_of, load_diffusion
from genomix_cli.sequences.generate.likelihood import GROUPS, evidence_of
from genomix_cli.sequences.generate.process import allowed, fill, guided, posterior
from genomix_cli.sequences.requests.simulate import SimulateRequest
from genomix_cli.sequences.runs import check_fits

log = logging.getLogger("genomix")

# Bases per line of FASTA.
LINE = 60


@dataclass(frozen=True)
class SimulateSummary:
    """Summary of the written sequences.

    Attributes
    ----------
    output : Path
    n : int
        Number of sequences.
    length : int
    changed : int
        Number of bases that were filled in or changed, when denoising.
    counts : dict of str to int
        Number of generated sequences in each category of the label.
    """

    output: Path
    n: int
    length: int
    changed: int
    counts: dict[str, int]


def simulate_sequences(request: SimulateRequest) -> SimulateSummary:
    """Generate sequences, or restore those of a file, and write them.

    Raises
    ------
    UsageError
        If the model or condition does not exist, the file to restore already has the condition, or
        an output exists and may not be replaced.
    DataError
        If the file to restore does not fit the model.
    """
    for path in filter(None, (request.output, request.fasta)):
        check_output(path, force=request.force)
    model = load_diffusion(request.model, str(resolve_device(request.device)))
    sequences, changed = (_restored if request.denoise else _generated)(model, request)
    write_sequences(request.output, sequences, _provenance(request), force=request.force)
    if request.fasta:
        write_fasta(request.fasta, sequences, force=request.force)
    return SimulateSummary(
        request.output, len(sequences), sequences.length, changed, _counts(sequences)
    )


def draw(
    model: Diffusion, values: NDArray[np.float32], guidance: float, steps: int, seed: int
) -> NDArray[np.uint8]:
    """Draw a sequence for each row of conditions ``[n, C]``; return sets uint8 ``[n, L]``."""
    length = model.config.length
    predict = guided(model.denoiser, guidance if model.conditions else 1.0)
    empty = np.zeros((len(values), length), np.uint8)
    return fill(predict, empty, values, steps or length, seed, model.device)


def _generated(model: Diffusion, request: SimulateRequest) -> tuple[Sequences, int]:
    wanted = conditions.parse_conditions(model.conditions, request.conditions)
    values = conditions.wanted_values(model.conditions, wanted, model.mix, request.n, request.seed)
    codes = draw(model, values, request.guidance, request.steps, request.seed)
    width = len(str(len(codes)))
    sequences = Sequences(
        names=np.array([f"generated{i + 1:0{width}}" for i in range(len(codes))]),
        codes=codes,
        group=np.arange(len(codes)),
        split=np.full(len(codes), ""),
        phenotypes=conditions.phenotypes_of(model.conditions, values),
        default_label=model.config.label,
        **columns_of(model.config.facts),
    )
    return sequences, 0


def _restored(model: Diffusion, request: SimulateRequest) -> tuple[Sequences, int]:
    """Replace each uncertain base by the most probable one; return how many changed."""
    assert request.denoise is not None
    sequences = open_sequences(request.denoise)
    check_fits(model.config, sequences, request.denoise)
    values = _conditions_of(sequences, model, request)
    evidence = allowed(sequences.codes).astype(np.float64)
    groups = 1
    if request.error_rate:
        bases = iupac.to_bases(sequences.codes)
        single = bases < BASES
        evidence[single] = evidence_of(bases[single], request.error_rate)
        groups = GROUPS
    p = posterior(model.denoiser, evidence, values, groups, request.seed, model.device)
    codes = iupac.from_bases(p.argmax(-1))
    changed = int((codes != sequences.codes).sum())
    return replace(sequences, codes=codes), changed


def _conditions_of(
    sequences: Sequences, model: Diffusion, request: SimulateRequest
) -> NDArray[np.float32]:
    """Return the conditions of sequences to restore: those of the file, then those asked for.

    Raises
    ------
    UsageError
        If the file already has a condition that is asked for.
    """
    values = conditions.values_of(model.conditions, sequences)
    wanted = conditions.parse_conditions(model.conditions, request.conditions)
    (asked,) = conditions.wanted_values(model.conditions, wanted, model.mix, 1, request.seed)
    for i, condition in enumerate(model.conditions):
        known = np.isfinite(values[:, i]).any()
        if condition.name in wanted:
            if known:
                raise UsageError(
                    f"{request.denoise} already has {condition.name}",
                    where="--condition",
                    hint="leave it out",
                )
            values[:, i] = asked[i]
        elif not known:
            log.warning(
                "%s has no %s, so its sequences are restored without it (--condition)",
                *(request.denoise, condition.name),
            )
    return values


def _provenance(request: SimulateRequest) -> Provenance:
    inputs = {"model": request.model / WEIGHTS, "denoise": request.denoise}
    return Provenance.of(settings_of(request, ("force", "device")), inputs, request.seed)


def _counts(sequences: Sequences) -> dict[str, int]:
    if not sequences.default_label:
        return {}
    classes, label = sequences.label()
    counts = {name: int((label == k).sum()) for k, name in enumerate(classes)}
    return counts | ({"open": int((label < 0).sum())} if (label < 0).any() else {})


def write_fasta(path: Path, sequences: Sequences, *, force: bool = True) -> None:
    """Write sequences as FASTA, with their phenotypes after the name."""
    with atomic_path(path, force=force) as draft, draft.open("w") as handle:
        for i, name in enumerate(sequences.names):
            known = "".join(_phenotype_text(phenotype, i) for phenotype in sequences.phenotypes)
            handle.write(f">{name}{known}\n")
            text = iupac.decode(sequences.codes[i]).replace("-", "N")
            for low in range(0, len(text), LINE):
                handle.write(f"{text[low : low + LINE]}\n")


def _phenotype_text(phenotype: Phenotype, row: int) -> str:
    value = phenotype.values[row]
    if phenotype.categories is None:
        return "" if np.isnan(value) else f" {phenotype.name}={value:g}"
    return "" if value < 0 else f" {phenotype.name}={phenotype.categories[value]}"
