"""Simulate a genome with known truth: sequence, tracks, contacts, and labelled variants.

The full model is described in :mod:`genomix_cli.variants.simulate.generative`. In one line,

    p = 0.02 + 0.94 * (motif broken) * (site open) * (1 if an active promoter touches it, else 0.25)

and the label of each allele is drawn with that probability, which makes the AUROC and AUPRC of p
the ceiling of any model.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genomix_cli.comparison.metrics.binary import auprc, auroc, without_ties
from genomix_cli.errors import DataError, DiskError, UsageError
from genomix_cli.genome.motifs import (
    MIN_THRESHOLD_BITS,
    Motif,
    check_widths,
    default_motifs,
    read_meme,
)
from genomix_cli.outputs import atomic_path, check_folder
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.variants.requests.simulate import SimulationRequest
from genomix_cli.variants.simulate import files
from genomix_cli.variants.simulate.causal import PLACEMENTS, draw_labelled
from genomix_cli.variants.simulate.generative import (
    CONTACT_BIN,
    RULES,
    Domains,
    Stage,
    draw_contacts,
    draw_contig,
    stream,
)

log = logging.getLogger("genomix")

MIN_CONTIG = 100_000
MAX_VARIANTS_PER_KB = 20.0
MAX_MOTIF_WIDTH = 50
# A safe upper estimate: the files take about 0.8, half of it for the sequence.
BYTES_PER_BASE = 2
FORMAT, MANIFEST = "genomix-simulated-genome", "manifest.json"


@dataclass(frozen=True)
class SimulationSummary:
    """Summary of a simulated genome.

    Attributes
    ----------
    out_dir : Path
    counts : dict of str to int
        Numbers of bases, domains, elements, motif sites, records, alleles and positives.
    prevalence : float
        Fraction of alleles with label 1.
    auroc, auprc : float
        Metrics of the true probability, the ceiling of any model; NaN with a single class.
    auroc_by_contig : dict of str to float
    """

    out_dir: Path
    counts: dict[str, int]
    prevalence: float
    auroc: float
    auprc: float
    auroc_by_contig: dict[str, float]


def simulate_genome(request: SimulationRequest) -> SimulationSummary:
    """Simulate a genome into ``request.out_dir``.

    Raises
    ------
    UsageError
        If an option is out of range, the parent folder does not exist, or the folder exists and
        `force` is not set (or it contains something else).
    DataError
        If the motif file cannot be read.
    MissingExtraError
        If cooler is not installed (extra ``hic``).
    """
    _check(request)
    motifs = _motifs(request)
    files.require_cooler()
    with atomic_path(request.out_dir, force=request.force) as folder:
        folder.mkdir()
        domains: list[Domains] = []
        contigs = track(request.lengths.items(), "simulating contigs", request.contigs)
        rule = RULES[request.rule]
        with files.GenomeFiles(folder, request.lengths, motifs, rule) as out:
            for index, (name, length) in enumerate(contigs):
                contig = draw_contig(name, length, motifs, request.seed, index, rule)
                rng = stream(request.seed, index, Stage.VARIANTS)
                variants = draw_labelled(
                    rng, contig, request.variants_per_kb, motifs, rule, request.placement
                )
                out.write(contig, variants)
                domains.append(contig.domains)
        out.index()
        bins = -(-request.contig_length // CONTACT_BIN)
        pixels = (
            draw_contacts(stream(request.seed, i, Stage.CONTACTS), of_contig, i * bins)
            for i, of_contig in enumerate(domains)
        )
        files.write_contacts(folder / "contacts.cool", request.lengths, pixels)
        files.write_settings(folder, motifs)
        summary = _summarise(request, out)
        _write_manifest(folder / MANIFEST, request, motifs, summary)
    return summary


def _check(request: SimulationRequest) -> None:
    for option, value, low, high in (
        ("--contigs", request.contigs, 1, 10_000),
        ("--contig-length", request.contig_length, MIN_CONTIG, 500_000_000),
        ("--variants-per-kb", request.variants_per_kb, 0.01, MAX_VARIANTS_PER_KB),
    ):
        if not low <= value <= high:
            raise UsageError(
                "out of range", where=option, expected=f"{low:,} to {high:,}", found=f"{value:,}"
            )
    for option, name, known in (
        ("--rule", request.rule, RULES),
        ("--placement", request.placement, PLACEMENTS),
    ):
        if name not in known:
            raise UsageError(
                f"no such {option[2:]}", where=option, expected=" or ".join(known), found=name
            )
    what = "a simulated genome"
    check_folder(request.out_dir, MANIFEST, FORMAT, what, force=request.force)
    # Check early: the library that writes bigWigs never returns on a full disk.
    _check_room(request.out_dir, BYTES_PER_BASE * request.contigs * request.contig_length)


def _check_room(target: Path, size: int) -> None:
    """Refuse an output of about `size` bytes if the disk has less space."""
    free = shutil.disk_usage(target.resolve().parent).free
    if free < size:
        expected, found = f"{size / 1e6:,.1f} MB", f"{free / 1e6:,.1f} MB"
        raise DiskError(
            "not enough space on the disk", where=target, expected=expected, found=found
        )


def _motifs(request: SimulationRequest) -> tuple[Motif, ...]:
    if request.motifs is None:
        return default_motifs()
    motifs = read_meme(request.motifs)
    check_widths(motifs, MAX_MOTIF_WIDTH, request.motifs)
    strong = tuple(motif for motif in motifs if motif.max_score >= motif.threshold)
    if len(strong) < len(motifs):
        log.info(
            "left out %d motifs whose best site does not reach %g bits",
            len(motifs) - len(strong),
            MIN_THRESHOLD_BITS,
        )
    if not strong:
        raise DataError(
            "no motif is informative enough to be planted",
            where=request.motifs,
            expected=f"a best site of {MIN_THRESHOLD_BITS:g} bits or more",
        )
    return strong


def _summarise(request: SimulationRequest, out: files.GenomeFiles) -> SimulationSummary:
    label = np.concatenate(list(out.labels.values()))
    score = np.concatenate(list(out.probabilities.values()))
    return SimulationSummary(
        out_dir=request.out_dir,
        counts=dict(out.counts) | {"alleles": len(label), "positives": int(label.sum())},
        prevalence=float(label.mean()),
        auroc=auroc(label, score),
        auprc=auprc(label, without_ties(score, stream(request.seed, 0, Stage.TIES))),
        auroc_by_contig={
            name: auroc(out.labels[name], out.probabilities[name]) for name in out.labels
        },
    )


def _write_manifest(
    path: Path, request: SimulationRequest, motifs: tuple[Motif, ...], summary: SimulationSummary
) -> None:
    config = {
        "contigs": request.contigs,
        "contig_length": request.contig_length,
        "variants_per_kb": request.variants_per_kb,
        "rule": request.rule,
        "placement": request.placement,
        "motifs": [motif.name for motif in motifs],
    }
    manifest = {
        "format": FORMAT,
        "format_version": 1,
        "provenance": Provenance.of(config, {"motifs": request.motifs}, request.seed).to_dict(),
        "contigs": request.lengths,
        "tracks": list(files.track_names(motifs)),
        "counts": summary.counts,
        "prevalence": _rounded(summary.prevalence),
        "bayes": {
            "auroc": _rounded(summary.auroc),
            "auprc": _rounded(summary.auprc),
            "auroc_by_contig": {k: _rounded(v) for k, v in summary.auroc_by_contig.items()},
        },
    }
    path.write_text(json.dumps(manifest, indent=2) + "\n")


def _rounded(value: float) -> float | None:
    """Round to six decimals; NaN becomes None, since JSON has no NaN."""
    return None if np.isnan(value) else round(value, 6)
