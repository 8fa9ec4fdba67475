"""Score the alleles of a VCF and give the same VCF back with ``GENOMIX_*`` INFO fields."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import shlex
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from genomix_cli.config import to_dict
from genomix_cli.errors import UsageError
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.outputs import Format, Output, format_of, open_output
from genomix_cli.genome.regions import Regions
from genomix_cli.genome.signal import UNCOVERED
from genomix_cli.genome.vcf import STANDARD_STREAM, Header, Record, VcfReader
from genomix_cli.progress import Ticker
from genomix_cli.provenance import Provenance, atomic_path, sha256
from genomix_cli.training.checkpoints import (
    PRETRAINED,
    ModelConfig,
    model_folder,
    read_config,
    resolve_devices,
    weights_file,
)
from genomix_cli.variants.alleles import REASONS
from genomix_cli.variants.annotate import (
    Annotator,
    Made,
    missing_contigs,
    place_of,
    scored_header,
    undeclared,
)
from genomix_cli.variants.background import Background, load_background
from genomix_cli.variants.checks import (
    CHECK_REF,
    Checked,
    CheckedVariants,
    CheckRef,
    ReferenceAudit,
    check_contigs,
    check_records,
)
from genomix_cli.variants.cutting import Part, cut_blocks, head, part_bounds, suited_mode
from genomix_cli.variants.engine import MODES, PRECISIONS, Mode, Precision, Scores, Target
from genomix_cli.variants.inputs import BIN_SIZE
from genomix_cli.variants.reference import ShardReference, open_reference
from genomix_cli.variants.tags import DEMONSTRATION, PERCENTILE, PHRED
from genomix_cli.variants.workers import EngineSpec, GenomeFiles, Workers

log = logging.getLogger("genomix")

DEFAULT_MODEL = "gmt-mini-sim"
#: Blocks that wait for each device.
WAITING = 2
#: Between two commits: each waits for the disk.
COMMIT_SECONDS = 0.25

#: Where the time goes, in the order of the work; all but the first and last beside one another.
STAGES = {
    "variants": "reading and checking variants",
    "genome": "reading sequence, tracks and contacts",
    "trunk": "windows through the model",
    "alleles": "alleles through the model",
    "writing": "writing",
    "all": "from the first record to the last",
}


@dataclass(frozen=True)
class ScoreRequest:
    """What ``genomix score`` was asked for.

    Attributes
    ----------
    vcf : Path
        VCF, VCF.gz or BCF; ``-`` is standard input.
    genome : GenomeFiles
        The reference that the variants were called against, tracks and contacts.
    output : Path
        ``-`` is standard output.
    output_type : str, optional
        ``v``, ``z``, ``u``, ``b`` or ``t``; by default the suffix of `output` tells.
    write_index : bool
        Index the output too.
    model : str
        Run folder, or the name of a model that ships.
    check_ref : {"w", "e", "x"}
        REF that differs from the FASTA: a warning, an error, or the record is left out.
    regions : str, optional
        As bcftools takes them.
    regions_file : Path, optional
    shard : Part, optional
        Score this part of the input only.
    resume : bool
        Go on where an interrupted run to the same output was.
    mode : {"auto", "shared", "centred"}
    precision : {"auto", "fp32", "bf16"}
        ``auto``: bf16 on a GPU, fp32 on a CPU.
    both_strands : bool
        Average over both strands.
    save_background : bool
        Keep the scores as the model's background.
    device : str
    devices : str
        Number of GPUs, or their indices: they share the work. Empty: `device` alone.
    threads : int
        CPU threads of the model; 0: as many as PyTorch chooses.
    stats : Path, optional
        JSON file for the summary.
    """

    vcf: Path
    genome: GenomeFiles
    output: Path = Path(STANDARD_STREAM)
    output_type: str | None = None
    write_index: bool = False
    model: str = DEFAULT_MODEL
    check_ref: CheckRef = "w"
    regions: str | None = None
    regions_file: Path | None = None
    shard: Part | None = None
    resume: bool = False
    mode: Literal["auto"] | Mode = "auto"
    precision: Literal["auto"] | Precision = "auto"
    both_strands: bool = False
    save_background: bool = False
    device: str = "auto"
    devices: str = ""
    threads: int = 0
    stats: Path | None = None

    @property
    def from_stdin(self) -> bool:
        """Whether the input can be read only once."""
        return str(self.vcf) == STANDARD_STREAM


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
    excluded : int
        Of these, left out on request.
    first_mismatch : str or None
        Where the first of them stands.
    n_in_window : int
        Alleles scored in a window with bases that are not known.
    windows : int
        Windows that went through the model.
    mode, precision, device : str
    tracks_absent : tuple of str
        Tracks of the model that were not given.
    model : str
    demonstration : bool
        Whether the weights are for demonstration.
    resumed : int
        Records that an earlier run had done.
    seconds : dict of str to float
        By stage, see `STAGES`; of this run.
    variants_per_second : float
        Alleles scored in this run per second of it.
    """

    records: int
    alleles: int
    scored: int
    not_scored: dict[str, int]
    ref_mismatches: int
    excluded: int
    first_mismatch: str | None
    n_in_window: int
    windows: int
    mode: str
    precision: str
    device: str
    tracks_absent: tuple[str, ...]
    model: str
    demonstration: bool
    resumed: int
    seconds: dict[str, float]
    variants_per_second: float


class Plan(NamedTuple):
    """Everything that is decided before the first record is scored.

    Attributes
    ----------
    folder : Path
        Of the model.
    config : ModelConfig
    digest : str
        Of the weights.
    background : Background or None
    devices : list of torch.device
    mode, precision : str
    format : Format
    regions : Regions or None
    stride : int
        Bases of a core, the central half of a window.
    contigs : tuple of str
        Of the first records.
    """

    folder: Path
    config: ModelConfig
    digest: str
    background: Background | None
    devices: list[torch.device]
    mode: Mode
    precision: Precision
    format: Format
    regions: Regions | None
    stride: int
    contigs: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the model."""
        return self.folder.resolve().name


def score_variants(request: ScoreRequest) -> ScoreSummary:
    """Score every allele that can be scored; every record comes out, in order.

    Memory does not grow with the number of variants. The first records are checked against the
    FASTA before the model is loaded.

    Raises
    ------
    UsageError
        If there is no such model or device, a track is not one of the model's, or options
        contradict each other.
    DataError
        If a file cannot be read or is of another genome.
    CheckError
        If most REFs differ from the FASTA, or any does and `check_ref` is ``"e"``.
    """
    _check_choices(request)
    regions = _regions(request)
    with (
        VcfReader(request.vcf, regions) as reader,
        open_reference(request.genome.fasta, request.genome.shard) as reference,
        _threads(request.threads),
        _few_collections(),
    ):
        records = iter(reader)
        first = _first_records(request, records)
        if request.from_stdin:
            records = chain(first, records)
        names = [*reader.header.contigs, *(record.chrom for record in first)]
        if first:
            check_contigs(names, reference, reader)
        ReferenceAudit(reader, reference).look_at(check_records(first, reference))
        plan = _plan(request, regions, first)
        summary = _score(request, plan, reader, records, reference)
    if request.stats is not None:
        _write_stats(summary, request.stats)
    return summary


def _check_choices(request: ScoreRequest) -> None:
    for option, value, choices in (
        ("--check-ref", request.check_ref, CHECK_REF),
        ("--uncovered", request.genome.uncovered or UNCOVERED[0], UNCOVERED),
        ("--mode", request.mode, ("auto", *MODES)),
        ("--precision", request.precision, ("auto", *PRECISIONS)),
    ):
        if value not in choices:
            raise UsageError(
                "not a choice", where=option, expected=" or ".join(choices), found=str(value)
            )
    if request.regions and request.regions_file:
        raise UsageError("give --regions or --regions-file, not both")
    if request.from_stdin and (request.shard or request.resume):
        option = "--shard" if request.shard else "--resume"
        raise UsageError("standard input can be read only once", where=option, hint="give a file")
    if request.save_background and (request.resume or request.shard):
        raise UsageError("needs the scores of one whole run", where="--save-background")
    raw: dict[str, object] = {
        "--track": request.genome.tracks,
        "--contacts": request.genome.contacts,
    }
    raw |= {"--uncovered": request.genome.uncovered, "--fasta": request.genome.fasta}
    given = [option for option, value in raw.items() if value]
    if request.genome.shard is not None and given:
        raise UsageError(f"{given[0]} is in the shard of --genome already", hint="give one of them")
    if request.save_background and model_folder(request.model).parent == PRETRAINED:
        raise UsageError(
            "a model that ships keeps its background", where="--save-background", hint="copy it"
        )


def _regions(request: ScoreRequest) -> Regions | None:
    if request.regions is not None:
        return Regions.parse(request.regions)
    return None if request.regions_file is None else Regions.read(request.regions_file)


def _first_records(request: ScoreRequest, records: Iterator[Record]) -> list[Record]:
    """The first records of the whole file, whichever of them are asked for."""
    if request.from_stdin:
        return head(records)
    with VcfReader(request.vcf) as whole:
        return head(iter(whole))


def _plan(request: ScoreRequest, regions: Regions | None, first: list[Record]) -> Plan:
    format = format_of(request.output, request.output_type)
    folder = model_folder(request.model)
    config, digest = read_config(folder), sha256(weights_file(folder))
    devices = resolve_devices(request.device, request.devices)
    on_gpu = devices[0].type == "cuda"
    stride = int(config.arch["n_bins"]) * BIN_SIZE // 2
    mode = suited_mode(first, stride) if request.mode == "auto" else request.mode
    precision: Any = request.precision
    if precision == "auto":
        precision = "bf16" if on_gpu else "fp32"
    background = None if request.save_background else load_background(folder, digest)
    return Plan(
        folder,
        config,
        digest,
        background,
        devices,
        mode,
        precision,
        format,
        regions,
        stride,
        tuple(dict.fromkeys(record.chrom for record in first)),
    )


@contextmanager
def _few_collections() -> Iterator[None]:
    """Python looks for cycles in garbage rarely: records make none, and are many."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch's threads for a while; 0 leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _score(
    request: ScoreRequest,
    plan: Plan,
    reader: VcfReader,
    records: Iterator[Record],
    reference: Fasta | ShardReference,
) -> ScoreSummary:
    annotator = Annotator(
        plan.config.calibration,
        plan.background,
        table=plan.format.is_table,
        exclude_mismatches=request.check_ref == "x",
    )
    absent = _absent_tracks(request, plan)
    header = _header(request, plan, reader, reference, annotator, absent)
    for text in _warnings(plan, absent):
        log.warning("%s", text)
    spec = EngineSpec(
        request.model, request.genome, plan.mode, plan.precision, request.both_strands
    )
    if request.shard is not None:
        with VcfReader(request.vcf, plan.regions) as again:
            bounds = part_bounds(again, request.shard, again, plan.stride)
        records = islice(records, bounds.start, bounds.stop)
    with ExitStack() as stack:
        output = stack.enter_context(
            open_output(
                request.output,
                plan.format,
                columns=annotator.columns if plan.format.is_table else None,
                index=request.write_index,
                resume=request.resume,
                identity=_identity(request, plan, header),
            )
        )
        workers = stack.enter_context(Workers(spec, plan.devices))
        run = Run(request, plan, reader, reference, annotator, workers, output)
        run.score(records, header)
    run.warn(header)
    if request.save_background:
        _save_background(request, plan, run)
    return run.summary(absent)


class Run:
    """Blocks on their way from the reader to the output, several at a time, in order.

    Parameters
    ----------
    request : ScoreRequest
    plan : Plan
    reader : VcfReader
    reference : Fasta or ShardReference
    annotator : Annotator
    workers : Workers
    output : Output
    """

    def __init__(
        self,
        request: ScoreRequest,
        plan: Plan,
        reader: VcfReader,
        reference: Fasta | ShardReference,
        annotator: Annotator,
        workers: Workers,
        output: Output,
    ) -> None:
        self.request = request
        self.plan = plan
        self.reader = reader
        self.reference = reference
        self.annotator = annotator
        self.workers = workers
        self.output = output
        self.before: Mapping[str, Any] = output.resumed or {}
        self.windows: int = self.before.get("windows", 0)
        self.n_in_window: int = self.before.get("n_in_window", 0)
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.logits: list[np.ndarray] = []
        self._started = time.perf_counter()
        self._ticker = Ticker()
        self._committed = 0.0

    @property
    def _done_before(self) -> int:
        return int(self.before.get("counts", {}).get("records", 0))

    def score(self, records: Iterator[Record], header: Header) -> None:
        """Take the records through, after those that an interrupted run had done."""
        if self._done_before:
            log.info("going on after %s records", f"{self._done_before:,}")
            next(islice(records, self._done_before - 1, None), None)
        self.variants = CheckedVariants(
            self.reader,
            self.reference,
            cut_blocks(records, self.plan.stride),
            check_ref=self.request.check_ref,
            knows_contigs=True,
            state=self.before,
        )
        waiting: deque[tuple[list[Checked], Mapping[str, Any], Future[Scores]]] = deque()
        # The header comes once the first block is found to be in order.
        block = self._next_block()
        if self.output.resumed is None:
            self.output.lines(self._first_lines(header))
        try:
            while block is not None:
                future = self.workers.submit(self._targets(block))
                waiting.append((block, self.variants.state(), future))
                if len(waiting) > WAITING * self.workers.count:
                    self._finish(*waiting.popleft())
                block = self._next_block()
            while waiting:
                self._finish(*waiting.popleft())
        finally:
            self._ticker.close()
        self.seconds["all"] = time.perf_counter() - self._started

    def _first_lines(self, header: Header) -> list[str]:
        if not self.plan.format.is_table:
            return header.lines
        return ["\t".join(column.name for column in self.annotator.columns)]

    def _next_block(self) -> list[Checked] | None:
        start = time.perf_counter()
        block = next(self.variants, None)
        self.seconds["variants"] += time.perf_counter() - start
        if block is not None and self.request.write_index and self.variants.first_unsorted:
            raise UsageError(
                "is not sorted and cannot be indexed",
                where=self.variants.first_unsorted,
                hint="run bcftools sort first, or leave --write-index out",
            )
        return block

    def _targets(self, block: Iterable[Checked]) -> list[Target]:
        stride = self.plan.stride
        return [
            Target(checked.contig, allele, (checked.record.pos - 1) // stride)
            for checked in block
            for allele in checked.alleles
            if allele is not None
        ]

    def _finish(
        self, block: list[Checked], state: Mapping[str, Any], future: Future[Scores]
    ) -> None:
        scores = future.result()
        start = time.perf_counter()
        self.windows += scores.windows
        self.n_in_window += int(scores.unknown.sum())
        for stage, spent in scores.seconds.items():
            self.seconds[stage] += spent
        if self.request.save_background:
            self.logits.append(scores.logit)
        self.output.lines(self.annotator.lines(block, scores))
        more = {"windows": self.windows, "n_in_window": self.n_in_window}
        records = state["counts"]["records"]
        if time.monotonic() - self._committed < COMMIT_SECONDS:
            self.output.end_block()
        else:
            self.output.commit({**state, **more, "records": records})
            self._committed = time.monotonic()
        self.seconds["writing"] += time.perf_counter() - start
        rate = (records - self._done_before) / (time.perf_counter() - self._started)
        place = place_of(block[-1].record)
        self._ticker.tell(f"scored {records:,} records, up to {place}, {rate:,.0f} a second")

    def warn(self, header: Header) -> None:
        """What came to light record by record, each said once."""
        mismatches = self.variants.counts["ref_mismatch_records"]
        if mismatches:
            where = self.variants.first_mismatch
            fate = "left out" if self.request.check_ref == "x" else "not scored"
            what = f"first of {mismatches:,} records whose REF is not the FASTA's"
            log.warning("%s: %s: %s", where, what, fate)
        late = undeclared(self.variants.contigs, header)
        if late and not self.plan.format.is_table:
            log.warning("the header declares no contig %s: bcftools will complain", ", ".join(late))

    def summary(self, absent: tuple[str, ...]) -> ScoreSummary:
        """Of everything that is in the output."""
        counts, plan = self.variants.counts, self.plan
        scored_now = counts["scored"] - self.before.get("counts", {}).get("scored", 0)
        mismatches = counts["ref_mismatch_records"]
        return ScoreSummary(
            records=counts["records"],
            alleles=counts["alleles"],
            scored=counts["scored"],
            not_scored={reason: counts[reason] for reason in REASONS if counts[reason]},
            ref_mismatches=mismatches,
            excluded=mismatches if self.request.check_ref == "x" else 0,
            first_mismatch=self.variants.first_mismatch,
            n_in_window=self.n_in_window,
            windows=self.windows,
            mode=plan.mode,
            precision=plan.precision,
            device=device_name(plan.devices),
            tracks_absent=absent,
            model=plan.name,
            demonstration=plan.config.demonstration,
            resumed=self._done_before,
            seconds={stage: round(spent, 6) for stage, spent in self.seconds.items()},
            variants_per_second=round(scored_now / max(self.seconds["all"], 1e-9), 3),
        )


def _absent_tracks(request: ScoreRequest, plan: Plan) -> tuple[str, ...]:
    names = tuple(spec.name for spec in plan.config.tracks)
    if request.genome.shard is None:
        return tuple(name for name in names if name not in request.genome.tracks)
    from genomix_cli.shards.reader import open_shard

    roles = open_shard(request.genome.shard).provenance["inputs"]
    return tuple(n for n in names if not any(role.startswith(f"track {n} ") for role in roles))


def device_name(devices: list[torch.device]) -> str:
    """What the scores were computed on: ``cpu``, or ``cuda`` and the name of the card."""
    kind = devices[0].type
    return f"{kind} {torch.cuda.get_device_name(devices[0])}" if kind == "cuda" else kind


def _header(
    request: ScoreRequest,
    plan: Plan,
    reader: VcfReader,
    reference: Fasta | ShardReference,
    annotator: Annotator,
    absent: tuple[str, ...],
) -> Header:
    seen = _contigs(request, plan, reader, reference)
    contigs = missing_contigs(reader.header, seen, reference.lengths)
    made = Provenance.of(_settings(request, plan), _inputs(request))
    facts = {
        "Mode": plan.mode,
        "Precision": plan.precision,
        "Strands": "both" if request.both_strands else "forward",
        "Device": device_name(plan.devices),
    }
    if plan.background is not None:
        facts["Background"] = f"{plan.background.source}, {plan.background.count} variants"
    if absent:
        facts["TracksAbsent"] = ",".join(absent)
    how = Made(
        command(request, plan),
        json.dumps(made.config),
        f"{plan.name} sha256:{plan.digest}",
        made.inputs,
        facts,
        _warnings(plan, absent),
    )
    return scored_header(reader.header, contigs, annotator, plan.name, how)


def command(request: ScoreRequest, plan: Plan) -> str:
    """The command that gives these scores, with what came from a settings file spelled out.

    Where the output went, and which part of the input this run was about, is left out: the parts
    of a file have the header of the whole.
    """
    genome = request.genome
    words: list[object] = ["genomix", "score", request.vcf, "--model", request.model]
    if genome.shard is not None:
        words += ["--genome", genome.shard]
    if genome.fasta is not None:
        words += ["--fasta", genome.fasta]
    for name, path in genome.tracks.items():
        words += ["--track", f"{name}={path}"]
    for option, value in (
        ("--contacts", genome.contacts),
        ("--uncovered", genome.uncovered),
        ("--check-ref", request.check_ref),
        ("--mode", plan.mode),
        ("--precision", plan.precision),
    ):
        words += [option, value] if value is not None else []
    words += ["--both-strands"] if request.both_strands else []
    return shlex.join(map(str, words))


def _settings(request: ScoreRequest, plan: Plan) -> dict[str, object]:
    """What the scores depend on besides the inputs."""
    return {
        "uncovered": request.genome.uncovered or plan.config.uncovered,
        "max_gap_bins": plan.config.max_gap_bins,
        "check_ref": request.check_ref,
        "mode": plan.mode,
        "precision": plan.precision,
        "both_strands": request.both_strands,
    }


def _inputs(request: ScoreRequest) -> dict[str, Path]:
    """Role to file, of everything that was read."""
    genome = request.genome
    inputs = {"vcf": request.vcf}
    inputs |= {
        role: path
        for role, path in (("fasta", genome.fasta), ("shard", genome.shard))
        if path is not None
    }
    inputs |= {f"track {name}": path for name, path in genome.tracks.items()}
    if genome.contacts is not None:
        inputs["contacts"] = Path(str(genome.contacts).partition("::")[0])
    # A pipe can be read only once.
    return {role: path for role, path in inputs.items() if path.is_file()}


def _contigs(
    request: ScoreRequest, plan: Plan, reader: VcfReader, reference: Fasta | ShardReference
) -> Iterable[str]:
    """Contigs of the records, read ahead unless the header declares all that are likely."""
    declared = ContigNames(reader.header.contigs, "")
    complete = all(declared.find(name) for name in reference.names)
    if request.from_stdin or (complete and set(plan.contigs) <= set(declared)):
        return plan.contigs
    with VcfReader(request.vcf) as whole:
        return dict.fromkeys(record.chrom for record in whole)


def _warnings(plan: Plan, absent: tuple[str, ...]) -> list[str]:
    """What a reader of the scores must know."""
    texts = [DEMONSTRATION] if plan.config.demonstration else []
    if absent and len(absent) == len(plan.config.tracks):
        texts.append("no tracks were given: scored from sequence alone")
    elif absent:
        texts.append(f"{', '.join(absent)} not given: scored as if not measured")
    if plan.background is None:
        texts.append(
            f"{plan.name} has no background of common variants: no {PERCENTILE}, no {PHRED}"
        )
    return texts


def _identity(request: ScoreRequest, plan: Plan, header: Header) -> str:
    """A digest of everything that the bytes of the output depend on."""
    parts = (header, plan.format, request.shard, request.regions, request.regions_file)
    if request.regions_file is not None:
        parts = (*parts, sha256(request.regions_file))  # type: ignore[assignment]
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()


def _save_background(request: ScoreRequest, plan: Plan, run: Run) -> None:
    logits = np.concatenate([np.empty(0, np.float32), *run.logits])
    if not len(logits):
        raise UsageError("no allele was scored", where="--save-background")
    source = f"the variants of {Path(request.vcf).name}"
    Background.of(logits, source, plan.digest).save(plan.folder)


def _write_stats(summary: ScoreSummary, path: Path) -> None:
    with atomic_path(path) as draft:
        draft.write_text(json.dumps(to_dict(summary), indent=2) + "\n")
