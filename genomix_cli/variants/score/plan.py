"""Checks of a `score` request, and the decisions made before the first record is scored."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from genomix_cli.errors import UsageError
from genomix_cli.formats.detect import PRETRAINED
from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.genome.tracks import require_cell, rows_in_cell
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.regions import Regions
from genomix_cli.genome.vcf.writer import Format, format_of, warn_of_suffix
from genomix_cli.learning.activity import EVERY
from genomix_cli.learning.calibration import Platt
from genomix_cli.learning.devices import resolve_devices
from genomix_cli.options import check_options
from genomix_cli.outputs import check_notes
from genomix_cli.provenance import sha256
from genomix_cli.variants import trained
from genomix_cli.variants.conditions import Conditions, holding
from genomix_cli.variants.records.cutting import suited_mode
from genomix_cli.variants.records.inputs import BIN_SIZE, Mode
from genomix_cli.variants.requests.explain import ExplainRequest
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score.background import LOGITS, Background, load_backgrounds
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.score.engine import Precision, chosen_precision

#: Bases of a core for a model without windows, large enough to fill batches of sparse variants.
CORE = 250_000


class Plan(NamedTuple):
    """Everything decided before the first record is scored.

    Attributes
    ----------
    folder : Path
        Run folder of the model.
    config : ModelConfig
    digest : str
        SHA-256 of the weights.
    conditions : Conditions
        Inputs and settings that the scores depend on.
    absent : tuple of str
        Tracks of the model for which no file was given.
    calibration : Platt or None
        Calibration fitted under these conditions.
    backgrounds : tuple of Background
        All stored backgrounds.
    devices : list of torch.device
    mode : str or None
        None for a model that reads no window.
    precision : str
    format : Format
    regions : Regions or None
    stride : int
        Bases of a core, the middle of a shared window.
    contigs : tuple of str
        Contigs of the first records.
    differences : Differences
        Differences in activity that the model predicts, if any.
    ignored : tuple of str
        Given options that do not apply to the model.
    """

    folder: Path
    config: trained.ModelConfig
    digest: str
    conditions: Conditions
    absent: tuple[str, ...]
    calibration: Platt | None
    backgrounds: tuple[Background, ...]
    devices: list[torch.device]
    mode: Mode | None
    precision: Precision
    format: Format
    regions: Regions | None
    stride: int
    contigs: tuple[str, ...]
    differences: Differences
    ignored: tuple[str, ...]

    @property
    def reads_window(self) -> bool:
        """False for a model that reads only haplotypes, and so has no logits."""
        return self.mode is not None

    @property
    def statistic(self) -> str:
        """Name of the statistic that ranks alleles."""
        return LOGITS if self.reads_window else self.differences.statistic

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.folder.resolve().name

    @property
    def background(self) -> Background | None:
        """Background made under these conditions; None if there is none."""
        own = (b for b in self.backgrounds if b.statistic == self.statistic)
        return holding(own, self.conditions)


def check_choices(request: ScoreRequest) -> None:
    """Refuse a request with invalid or contradictory options.

    Raises
    ------
    UsageError
        If an option is invalid; the message names it.
    """
    check_options(request)
    check_notes(request.stats, request.multiqc)
    warn_of_suffix(request.output, request.output_type)
    if request.vcf is None and not request.all_snvs:
        raise UsageError("VCF is missing", hint="give a VCF, or --all-snvs")
    if request.vcf is not None and request.all_snvs:
        raise UsageError(
            "replaces the VCF: give one of them", where="--all-snvs", found=str(request.vcf)
        )
    if request.all_snvs and request.shard:
        hint = "give each part its own --regions"
        raise UsageError("needs a VCF to split", where="--shard", hint=hint)
    if request.regions and request.regions_file:
        raise UsageError("give --regions or --regions-file, not both")
    if request.is_read_once and (request.shard or request.resume):
        option = "--shard" if request.shard else "--resume"
        raise UsageError("a pipe can be read only once", where=option, hint="give a file")
    if request.bigwig is not None and request.resume:
        raise UsageError("cannot be used with --resume", where="--bigwig")
    if request.save_background and (request.resume or request.shard):
        raise UsageError("needs all scores of one run", where="--save-background")
    if request.save_background and request.lookup:
        raise UsageError("needs all scores to be computed", where="--save-background")
    if request.save_background and request.background:
        raise UsageError("give --save-background or --background, not both")
    raw = {
        "--track": request.genome.tracks,
        "--contacts": request.genome.contacts,
        "--uncovered": request.genome.uncovered,
        "--fasta": request.genome.fasta,
    }
    given = [option for option, value in raw.items() if value]
    if request.genome.shard is not None and given:
        raise UsageError(f"{given[0]} is already in the shard of --genome", hint="give one of them")
    if request.save_background:
        _check_may_change(trained.model_folder(request.model))


def _check_may_change(folder: Path) -> None:
    """Refuse a model beside which no background can be saved, before hours of scoring."""
    if folder.parent == PRETRAINED:
        problem, where = "a bundled model cannot be changed", "--save-background"
    elif os.access(folder, os.W_OK | os.X_OK):
        return
    else:
        problem, where = "cannot be written to", f"--save-background {folder}"
    raise UsageError(problem, where=where, hint="copy the model, and use the copy")


def heeded(request: ScoreRequest) -> tuple[ScoreRequest, tuple[str, ...]]:
    """Return the request adapted to the model, and the given options that do not apply to it.

    A model that reads only haplotypes always uses both strands and fp32, and no window.

    Raises
    ------
    UsageError
        If a cell type is named for a model with windows but no shard is given.
    """
    config = trained.read_config(trained.model_folder(request.model))
    if config.reads_window:
        if request.genome.cell and request.genome.shard is None:
            raise UsageError("selects a cell type of a shard: give --genome", where="--cell")
        return request, ()
    files, for_genes = request.genome, request.genes is not None
    without = {
        **unread(files, for_genes),
        "--mode": request.mode != "auto",
        "--precision": request.precision == "bf16",
        "--both-strands": request.both_strands,
    }
    contacts = files.contacts if for_genes else None
    bare = replace(files, tracks={}, contacts=contacts, uncovered=None)
    ignored = tuple(option for option, given in without.items() if given)
    return replace(request, genome=bare, precision="fp32", both_strands=True), ignored


def unread(files: GenomeFiles | ExplainRequest, for_genes: bool = False) -> dict[str, bool]:
    """Return whether each file option that a haplotype-only model ignores was given.

    Contacts are not among them if they are needed `for_genes`.
    """
    return {
        "--track": bool(files.tracks),
        "--contacts": files.contacts is not None and not for_genes,
        "--uncovered": files.uncovered is not None,
    }


def ignoring(name: str, options: Iterable[str]) -> str:
    """Return a warning that lists the options ignored by a haplotype-only model."""
    reads = f"{name} reads both strands of the sequence alone, in fp32"
    return f"{reads}: {', '.join(options)} ignored"


def make_plan(
    request: ScoreRequest,
    regions: Regions | None,
    first: Lines,
    ignored: tuple[str, ...] = (),
) -> Plan:
    """Decide everything that the request leaves open.

    Parameters
    ----------
    request : ScoreRequest
    regions : Regions, optional
    first : Lines
        First lines of the whole file, used to choose the mode.
    ignored : tuple of str
        See :func:`heeded`.

    Raises
    ------
    UsageError
        If the model, the device or the output type does not exist.
    DataError
        If the model's files are damaged or do not belong together.
    """
    format = format_of(request.output, request.output_type)
    folder = trained.model_folder(request.model)
    config, digest = trained.read_config(folder), sha256(RunFolder(folder).weights)
    trained.refuse_unable(config, folder)
    devices = resolve_devices(request.device, request.devices)
    stride, mode = CORE, None
    if config.reads_window:
        stride = config.core_bins(folder) * BIN_SIZE
        mode = suited_mode(first, stride) if request.mode == "auto" else request.mode
    precision = chosen_precision(request.precision, devices[0])
    inputs = given_inputs(request.genome) if config.reads_window else Given((), False)
    conditions = config.conditions(
        inputs.tracks,
        contacts=inputs.contacts,
        uncovered=request.genome.uncovered,
        both_strands=request.both_strands,
        mode=mode,
        precision=precision,
    )
    return Plan(
        folder,
        config,
        digest,
        conditions,
        tuple(spec.name for spec in config.tracks if spec.name not in inputs.tracks),
        config.calibration(conditions),
        _backgrounds(request, folder, config, digest),
        devices,
        mode,
        precision,
        format,
        regions,
        stride,
        tuple(dict.fromkeys(run.contig for run in first.runs)),
        _differences(request, config),
        ignored,
    )


def _differences(request: ScoreRequest, config: trained.ModelConfig) -> Differences:
    cell = "" if config.reads_window else request.genome.cell
    if request.fields not in ("", EVERY) and config.activity is None:
        name = trained.model_folder(request.model).name
        raise UsageError(
            f"selects outputs of an activity model, and {name} is none", where="--fields"
        )
    found = Differences.of(
        config.activity, quantiles=request.quantiles, cell=cell, fields=request.fields
    )
    if request.quantiles and len(found.written) < 2:
        raise UsageError(
            "nothing to rank among",
            where="--quantiles",
            expected="tracks of several cell types, or several outputs to write",
        )
    return found


def _backgrounds(
    request: ScoreRequest, folder: Path, config: trained.ModelConfig, digest: str
) -> tuple[Background, ...]:
    if request.save_background:
        return ()
    stored = load_backgrounds(folder, digest, config.conditions())
    asked = tuple(each for each in stored if request.background in each.name)
    if request.background and not asked:
        raise UsageError(
            "no stored background has this name",
            where="--background",
            expected=" or ".join(dict.fromkeys(each.name for each in stored)) or "none is stored",
            found=request.background,
        )
    return asked


class Given(NamedTuple):
    """Tracks and contacts for which files were given."""

    tracks: Collection[str]
    contacts: bool


def given_inputs(files: GenomeFiles) -> Given:
    """Return the tracks and contacts in the files, for the selected cell type."""
    if files.shard is None:
        return Given(files.tracks, files.contacts is not None)
    shard = open_shard(files.shard)
    return Given(
        rows_in_cell(shard.measured, require_cell(shard.cells, files.cell)), shard.has_contacts
    )


def device_name(devices: list[torch.device]) -> str:
    """Return ``cpu``, or ``cuda`` and the name of the GPU."""
    kind = devices[0].type
    return f"{kind} {torch.cuda.get_device_name(devices[0])}" if kind == "cuda" else kind
