"""Header of a scored VCF: inputs and settings of the scores, and the command to reproduce them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from genomix_cli import __version__
from genomix_cli.formats.seen import MEANING, TRAIN, VALID
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.tracks import contact_file
from genomix_cli.genome.vcf.indexed import find_index
from genomix_cli.genome.vcf.reader import Header, VcfReader, info_line
from genomix_cli.provenance import LINE, Provenance, named
from genomix_cli.variants.conditions import Conditions, holding
from genomix_cli.variants.records.alleles import REASONS
from genomix_cli.variants.records.every_snv import Records
from genomix_cli.variants.records.reference import Reference
from genomix_cli.variants.requests.score import ScoreRequest
from genomix_cli.variants.score import tags
from genomix_cli.variants.score.annotate import Annotator, missing_contigs
from genomix_cli.variants.score.plan import Plan, device_name, ignoring

_SEEN = "Part of training in which the model has seen the allele ({})".format(
    ", ".join(f"{part}: {MEANING[part]}" for part in (TRAIN, VALID))
)


def make_header(
    request: ScoreRequest,
    plan: Plan,
    reader: Records,
    reference: Reference,
    annotator: Annotator,
) -> Header:
    """Return the input's header with field definitions, provenance and warnings added.

    Parameters
    ----------
    request : ScoreRequest
    plan : Plan
    reader : VcfReader or EverySnv
        Reader of the input.
    reference : Reference
    annotator : Annotator
    """
    seen = _contigs(request, plan, reader, reference)
    contigs = missing_contigs(reader.header, seen, reference.lengths)
    background = plan.background.source if plan.background else "a background (there is none)"
    reasons = ", ".join(f"{reason}: {meaning}" for reason, meaning in REASONS.items())
    ranked = tags.PROBABILITY if plan.reads_window else f"|{tags.ACTIVITY}|"
    named_in_tags = {"model": plan.name, "background": background, "ranked": ranked}
    made = provenance(request, plan)
    return reader.header.without(LINE, f"##INFO=<ID={tags.PREFIX}").plus(
        [
            *contigs,
            *(
                score_line(tag.key, tag.kind, tag.text.format(**named_in_tags))
                for tag in annotator.tags
            ),
            score_line(tags.REASON, "String", f"Why the allele was not scored ({reasons})"),
            *([score_line(tags.SEEN, "String", _SEEN)] if annotator.seen else []),
            *(score_line(*tag) for each in annotator.beside for tag in each.tags),
            *made.lines(*facts_of_run(request, plan)),
        ]
    )


def facts_of_run(request: ScoreRequest, plan: Plan) -> list[tuple[str, str]]:
    """Return facts about the run that are neither settings nor inputs."""
    facts: list[tuple[str, str]] = [
        *([("Mode", plan.mode)] if plan.mode else []),
        ("Precision", plan.precision),
        ("Strands", "both" if request.both_strands else "forward"),
        ("Device", device_name(plan.devices)),
    ]
    calibration = holding(plan.config.usable_calibrations, plan.conditions)
    if calibration is not None:
        slope, intercept = calibration.platt
        fitted = f"fitted to {calibration.conditions}: slope {slope:.6g}, intercept {intercept:.6g}"
        facts.append(("Calibration", fitted))
    if plan.background is not None:
        facts.append(("Background", str(plan.background)))
    if plan.absent:
        facts.append(("TracksAbsent", ",".join(plan.absent)))
    return facts


def score_line(key: str, kind: str, text: str) -> str:
    """Return the header line of an INFO field with one value per ALT."""
    return info_line(key, "A", kind, text, source="genomix", version=__version__)


def provenance(request: ScoreRequest, plan: Plan) -> Provenance:
    """Return the provenance of the scores."""
    return Provenance.of(
        _settings(request, plan),
        _inputs(request),
        command=command(request, plan),
        model=named(plan.folder, plan.digest),
        warnings=warnings_of(plan),
    )


def command(request: ScoreRequest, plan: Plan) -> list[object]:
    """Return the words of the command that reproduces these scores.

    Options from a settings file are included. The output and the selected part of the input are
    left out, so that all parts of a file have the same header as the whole.
    """
    genome = request.genome
    options: list[tuple[str, object]] = [
        ("--genome", genome.shard),
        ("--cell", genome.cell),
        ("--fasta", genome.fasta),
        *(("--track", f"{name}={path}") for name, path in genome.tracks.items()),
        ("--contacts", genome.contacts),
        ("--uncovered", genome.uncovered),
        ("--check-ref", request.check_ref),
        ("--mode", plan.mode),
        ("--precision", plan.precision),
        ("--background", request.background),
        *(("--lookup", path) for path in request.lookup),
        ("--genes", request.genes),
        *(("--known", path) for path in request.known),
        ("--fields", request.fields),
    ]
    given = ["--all-snvs"] if request.vcf is None else [request.vcf]
    words: list[object] = ["genomix", "score", *given, "--model", request.model]
    words += [word for option in options if option[1] for word in option]
    words += ["--both-strands"] if request.both_strands and plan.reads_window else []
    words += ["--quantiles"] if request.quantiles else []
    return words


def _settings(request: ScoreRequest, plan: Plan) -> dict[str, object]:
    """Return the settings that the scores depend on, besides the inputs."""
    scoring: dict[str, object] = {
        "check_ref": request.check_ref,
        "mode": plan.mode,
        "precision": plan.precision,
        "both_strands": request.both_strands,
    }
    cell = {"cell": request.genome.cell} if request.genome.cell else {}
    if not plan.reads_window:
        return {**cell, **scoring}
    return {
        **cell,
        "uncovered": request.genome.uncovered or plan.config.uncovered,
        "max_gap_bins": plan.config.max_gap_bins,
        **scoring,
    }


def _inputs(request: ScoreRequest) -> dict[str, Path | None]:
    """Return the input files by role."""
    genome = request.genome
    inputs = {"vcf": request.vcf, "fasta": genome.fasta, "shard": genome.shard}
    inputs["genes"] = request.genes
    inputs |= {f"track {name}": path for name, path in genome.tracks.items()}
    inputs["contacts"] = genome.contacts and contact_file(genome.contacts)
    # The index stands in for its file, which may be too large to read for a digest.
    for role, paths in {"lookup": request.lookup, "known": request.known}.items():
        inputs |= {f"{role} {n}": find_index(path) or path for n, path in enumerate(paths, 1)}
    return inputs


def _contigs(
    request: ScoreRequest, plan: Plan, reader: Records, reference: Reference
) -> Iterable[str]:
    """Return the contigs of the records, reading ahead unless the header declares them all."""
    declared = ContigNames(reader.header.contigs, "")
    complete = all(declared.find(name) for name in reference.names)
    if request.vcf is None:
        return reader.header.contigs
    if request.is_read_once or (complete and set(plan.contigs) <= set(declared)):
        return plan.contigs
    with VcfReader(request.vcf, again=True) as whole:
        return dict.fromkeys(run.contig for lines in whole.lines() for run in lines.runs)


def warnings_of(plan: Plan, *, ranks: bool = True) -> list[str]:
    """Return the warnings for readers of the scores; warnings on ranks only with `ranks`."""
    texts = [tags.DEMONSTRATION] if plan.config.demonstration else []
    absent = plan.absent
    if absent and len(absent) == len(plan.config.tracks):
        what = "sequence and contacts" if plan.conditions.contacts else "sequence alone"
        texts.append(f"no tracks were given: scored from {what}")
    elif absent:
        texts.append(f"{', '.join(absent)} not given: scored as if not measured")
    if plan.ignored:
        texts.append(ignoring(plan.name, plan.ignored))
    if not plan.reads_window:
        texts.append(
            f"{plan.name} predicts activity, not whether a change of it matters: "
            f"no {tags.PROBABILITY}, no {tags.DIFFERENCE}"
        )
    elif plan.calibration is None:
        fitted = [c.conditions for c in plan.config.usable_calibrations]
        texts.append(_lacks("calibration", tags.PROBABILITY, plan, fitted))
    if not ranks:
        return texts
    empty = f"{tags.PERCENTILE}, no {tags.PHRED}"
    if not plan.backgrounds:
        texts.append(f"{plan.name} has no background to rank among: no {empty}")
    elif not (own := [b for b in plan.backgrounds if b.statistic == plan.statistic]):
        others = " or ".join(dict.fromkeys(b.statistic for b in plan.backgrounds))
        texts.append(
            f"no {empty}: {plan.name} has no background of {plan.statistic} (stored: {others})"
        )
    elif plan.background is None:
        texts.append(_lacks("background", empty, plan, [b.conditions for b in own]))
    return texts


def _lacks(what: str, empty: str, plan: Plan, stored: Sequence[Conditions]) -> str:
    """Return a warning that values are missing, with the conditions for which they are stored."""
    others = " | ".join(map(str, stored)) or "none"
    return f"no {empty}: {plan.name} has no {what} for {plan.conditions} (stored: {others})"
