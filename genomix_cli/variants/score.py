"""Score the alleles of a VCF and give the same VCF back with ``GENOMIX_*`` INFO fields."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import cast

import torch

from genomix_cli import __version__
from genomix_cli.config import to_dict
from genomix_cli.errors import UsageError
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import ContigNames, canonical
from genomix_cli.genome.signal import UNCOVERED, Uncovered
from genomix_cli.genome.source import RawGenome
from genomix_cli.genome.vcf import (
    STANDARD_STREAM,
    Header,
    VcfReader,
    contig_line,
    info_line,
    vcf_writer,
)
from genomix_cli.provenance import Provenance, atomic_path
from genomix_cli.training.checkpoints import LoadedModel, load_model, resolve_device
from genomix_cli.variants.alleles import REASONS
from genomix_cli.variants.checks import CHECK_REF, Checked, CheckedVariants, CheckRef
from genomix_cli.variants.engine import Clock, Engine, Target

log = logging.getLogger("genomix")

DEFAULT_MODEL = "gmt-mini-sim"
PREFIX = "GENOMIX_"
PROBABILITY = PREFIX + "P"
REASON = PREFIX + "REASON"
HEADER_PREFIX = "##genomix"
DEMONSTRATION = (
    "demonstration weights, trained on simulated genomes: not for conclusions about real variants"
)

#: Where the time goes, in the order of the work.
STAGES = {
    "variants": "reading and checking variants",
    "genome": "reading sequence, tracks and contacts",
    "trunk": "windows through the model",
    "alleles": "alleles through the model",
    "writing": "writing",
}


@dataclass(frozen=True)
class ScoreRequest:
    """What ``genomix score`` was asked for.

    Attributes
    ----------
    vcf : Path
        VCF or VCF.gz; ``-`` is standard input.
    fasta : Path
        The reference that the variants were called against.
    output : Path
        VCF, or VCF.gz by its name; ``-`` is standard output.
    model : str
        Run folder, or the name of a model that ships.
    tracks : mapping of str to Path
        bigWig files by the model's track names; a track not given is masked.
    contacts : Path, optional
        .cool or .mcool.
    uncovered : {"missing", "zero"}, optional
        What bases without signal mean in these files, where not the same as in training.
    check_ref : {"w", "e"}
        REF that differs from the FASTA: a warning, or an error.
    device : str
    threads : int
        CPU threads of the model; 0: as many as PyTorch chooses.
    block : int
        Records held in memory at most.
    stats : Path, optional
        JSON file for the summary.
    """

    vcf: Path
    fasta: Path
    output: Path = Path(STANDARD_STREAM)
    model: str = DEFAULT_MODEL
    tracks: Mapping[str, Path] = field(default_factory=dict)
    contacts: Path | None = None
    uncovered: Uncovered | None = None
    check_ref: CheckRef = "w"
    device: str = "auto"
    threads: int = 0
    block: int = 20_000
    stats: Path | None = None


@dataclass(frozen=True)
class ScoreSummary:
    """What came of it.

    Attributes
    ----------
    records, alleles, scored : int
    not_scored : dict of str to int
        Alleles by reason, in the order of `REASONS`.
    ref_mismatches : int
        Records whose REF differs from the FASTA.
    first_mismatch : int or None
        Line of the first of them.
    windows : int
        Windows that went through the model.
    tracks_absent : tuple of str
        Tracks of the model that were not given.
    model, device : str
    demonstration : bool
        Whether the weights are for demonstration.
    seconds : dict of str to float
        By stage, see `STAGES`.
    """

    records: int
    alleles: int
    scored: int
    not_scored: dict[str, int]
    ref_mismatches: int
    first_mismatch: int | None
    windows: int
    tracks_absent: tuple[str, ...]
    model: str
    device: str
    demonstration: bool
    seconds: dict[str, float]

    @property
    def variants_per_second(self) -> float:
        """Alleles scored per second of all stages together."""
        return self.scored / max(sum(self.seconds.values()), 1e-9)


def score_variants(request: ScoreRequest) -> ScoreSummary:
    """Score every allele that can be scored; every record comes out, in order.

    Memory does not grow with the number of variants. The first records are checked against the
    FASTA before the model is loaded.

    Raises
    ------
    UsageError
        If there is no such model or device, or a track is not one of the model's.
    DataError
        If a file cannot be read or is of another genome.
    CheckError
        If most REFs differ from the FASTA, or any does and `check_ref` is ``"e"``.
    """
    _check_choices(request)
    device = resolve_device(request.device)
    clock = Clock(tuple(STAGES))
    with (
        VcfReader(request.vcf) as reader,
        Fasta(request.fasta) as fasta,
        _threads(request.threads),
    ):
        variants = CheckedVariants(reader, fasta, block=request.block, check_ref=request.check_ref)
        with clock("variants"):
            first = next(variants, [])
        model = load_model(request.model, device)
        with closing(_open_genome(request, model, clock)) as source:
            absent = tuple(name for name in source.tracks if name in source.missing)
            for text in _warnings(model, absent):
                log.warning("%s", text)
            engine = Engine(model, source, device, clock)
            with clock("variants"):
                seen = _contigs(request.vcf, reader.header, variants.contigs, fasta)
            contigs = missing_contigs(reader.header, seen, fasta.lengths)
            header = scored_header(reader.header, contigs, request, engine, absent)
            with vcf_writer(request.output) as writer:
                writer.header(header)
                for block in chain([first], _timed(variants, clock)):
                    lines = _scored_lines(block, engine)
                    with clock("writing"):
                        writer.lines(lines)
            _warn_of_records(variants, header)
            summary = _summary(variants, engine, absent)
    if request.stats is not None:
        write_stats(summary, request.stats)
    return summary


def _check_choices(request: ScoreRequest) -> None:
    for option, value, choices in (
        ("--check-ref", request.check_ref, CHECK_REF),
        ("--uncovered", request.uncovered or UNCOVERED[0], UNCOVERED),
    ):
        if value not in choices:
            raise UsageError(
                "not a choice", where=option, expected=" or ".join(choices), found=value
            )


def _timed(variants: CheckedVariants, clock: Clock) -> Iterator[list[Checked]]:
    while True:
        with clock("variants"):
            block = next(variants, None)
        if block is None:
            return
        yield block


def _open_genome(request: ScoreRequest, model: LoadedModel, clock: Clock) -> RawGenome:
    config = model.config
    with clock("genome"):
        return RawGenome(
            request.fasta,
            request.tracks,
            config.tracks,
            request.contacts,
            uncovered=request.uncovered or cast(Uncovered, config.uncovered),
            max_gap_bins=config.max_gap_bins,
        )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch's threads for a while; 0 leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _scored_lines(block: Sequence[Checked], engine: Engine) -> list[str]:
    """The records of a block with their scores."""
    targets = [
        Target(checked.contig, allele)
        for checked in block
        for allele in checked.alleles
        if allele is not None
    ]
    values = iter(engine.probabilities(targets).tolist())
    return [_annotate(checked, values) for checked in block]


def _annotate(checked: Checked, values: Iterator[float]) -> str:
    """The record's line; takes as many of `values` as it has alleles to score."""
    scores = ("." if allele is None else f"{next(values):.6g}" for allele in checked.alleles)
    info = {PROBABILITY: ",".join(scores)}
    if any(checked.reasons):
        info[REASON] = ",".join(reason or "." for reason in checked.reasons)
    return checked.record.with_info(info, replacing=PREFIX)


def scored_header(
    header: Header,
    contigs: Iterable[str],
    request: ScoreRequest,
    engine: Engine,
    absent: Sequence[str],
) -> Header:
    """The input's header, plus what the scores mean and how they were made.

    Lines of an earlier scoring are replaced.
    """
    model = engine.model
    kept = header.without(HEADER_PREFIX, f"##INFO=<ID={PREFIX}")
    made = Provenance.of(_settings(request, model), _inputs(request))
    name = model.path.name
    reasons = ", ".join(f"{reason}: {meaning}" for reason, meaning in REASONS.items())
    lines = [
        *contigs,
        _info_line(PROBABILITY, "Float", f"Calibrated probability of an effect, by {name}"),
        _info_line(REASON, "String", f"Why the allele was not scored ({reasons})"),
        f"##genomixVersion={__version__}",
        f"##genomixCommand={made.command}",
        f"##genomixConfig={json.dumps(made.config)}",
        f"##genomixModel={name} sha256:{model.sha256}",
        *(f"##genomixInput={role} sha256:{digest}" for role, digest in made.inputs.items()),
        f"##genomixDevice={engine.device}",
    ]
    if absent:
        lines.append(f"##genomixTracksAbsent={','.join(absent)}")
    lines += [f"##genomixWarning={text}" for text in _warnings(model, absent)]
    return kept.plus(lines)


def _info_line(key: str, kind: str, text: str) -> str:
    return info_line(key, "A", kind, text, source="genomix", version=__version__)


def _settings(request: ScoreRequest, model: LoadedModel) -> dict[str, object]:
    """What the scores depend on besides the inputs."""
    return {
        "uncovered": request.uncovered or model.config.uncovered,
        "max_gap_bins": model.config.max_gap_bins,
        "check_ref": request.check_ref,
    }


def _inputs(request: ScoreRequest) -> dict[str, Path]:
    """Role to file, of everything that was read."""
    inputs = {"vcf": request.vcf, "fasta": request.fasta}
    inputs |= {f"track {name}": path for name, path in request.tracks.items()}
    if request.contacts is not None:
        inputs["contacts"] = Path(str(request.contacts).partition("::")[0])
    # A pipe can be read only once.
    return {role: path for role, path in inputs.items() if path.is_file()}


def _contigs(vcf: Path, header: Header, seen: Iterable[str], fasta: Fasta) -> Iterable[str]:
    """Contigs of the records; read ahead unless the header seems complete."""
    declared = ContigNames(header.contigs, "")
    complete = all(declared.find(name) for name in fasta.names) and set(seen) <= set(declared)
    if complete or not vcf.is_file():
        return seen
    with VcfReader(vcf) as reader:
        return dict.fromkeys(record.chrom for record in reader)


def missing_contigs(
    header: Header, seen: Iterable[str], lengths: Mapping[str, int]
) -> Iterator[str]:
    """``##contig`` lines of contigs that were seen, or that the FASTA has, and the header lacks.

    Parameters
    ----------
    header : Header
    seen : iterable of str
        Names in the records, as far as they are known: standard input cannot be read ahead. So
        all of the FASTA's are added, because a header cannot grow.
    lengths : mapping of str to int
        Of the FASTA's contigs; they are added as the VCF would spell them.
    """
    declared = set(header.contigs)
    known = [*header.contigs, *(name for name in seen if name not in declared)]
    added = known[len(header.contigs) :]
    names = ContigNames(known, "")
    added += [_spelling(name, known, lengths) for name in lengths if names.find(name) is None]
    fasta = ContigNames(lengths, "")
    for name in added:
        own = fasta.find(name)
        yield contig_line(name, None if own is None else lengths[own])


def _spelling(name: str, known: Sequence[str], lengths: Mapping[str, int]) -> str:
    """A contig of the FASTA as a VCF with the contigs `known` would spell it."""
    if not known or any(contig in lengths for contig in known):
        return name
    bare = canonical(name)
    if not known[0].startswith("chr"):
        return bare
    return "chrM" if bare == "MT" else f"chr{bare}"


def _warnings(model: LoadedModel, absent: Sequence[str]) -> list[str]:
    """What a reader of the scores must know."""
    texts = [DEMONSTRATION] if model.config.demonstration else []
    if absent and len(absent) == len(model.config.tracks):
        texts.append("no tracks were given: scored from sequence alone")
    elif absent:
        texts.append(f"{', '.join(absent)} not given: scored as if not measured")
    return texts


def _summary(variants: CheckedVariants, engine: Engine, absent: Sequence[str]) -> ScoreSummary:
    counts, model = variants.counts, engine.model
    return ScoreSummary(
        records=counts["records"],
        alleles=counts["alleles"],
        scored=counts["scored"],
        not_scored={reason: counts[reason] for reason in REASONS if counts[reason]},
        ref_mismatches=counts["ref_mismatch_records"],
        first_mismatch=variants.first_mismatch,
        windows=engine.windows,
        tracks_absent=tuple(absent),
        model=model.path.name,
        device=str(engine.device),
        demonstration=model.config.demonstration,
        seconds={stage: round(spent, 6) for stage, spent in engine.clock.seconds.items()},
    )


def _warn_of_records(variants: CheckedVariants, header: Header) -> None:
    """What came to light record by record, each said once."""
    mismatches = variants.counts["ref_mismatch_records"]
    if variants.first_mismatch is not None:
        where = variants.reader.where(variants.first_mismatch)
        log.warning("%s: first of %s records whose REF is not the FASTA's", where, mismatches)
    declared = set(header.contigs)
    late = [name for name in variants.contigs if name not in declared]
    if late:
        log.warning("the header declares no contig %s: bcftools will complain", ", ".join(late))


def write_stats(summary: ScoreSummary, path: Path) -> None:
    """The summary as JSON."""
    data = to_dict(summary) | {"variants_per_second": round(summary.variants_per_second, 3)}
    with atomic_path(path) as draft:
        draft.write_text(json.dumps(data, indent=2) + "\n")
