"""``genomix prepare``: raw files to shards, cohorts and sequences."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from genomix_cli.cli.domains import COHORTS, SEQUENCES, VARIANTS, Verb
from genomix_cli.cohorts.requests import PrepareRequest as CohortRequest
from genomix_cli.errors import first_few
from genomix_cli.sequences.requests.prepare import PrepareRequest as SequenceRequest
from genomix_cli.variants.requests.prepare import PrepareGenomeRequest, PrepareRequest

if TYPE_CHECKING:
    from genomix_cli.cohorts.prepare.cohort import PrepareSummary as CohortSummary
    from genomix_cli.sequences.prepare.summary import PrepareSummary as SequenceSummary
    from genomix_cli.variants.prepare.summary import PrepareSummary as ShardSummary

# Largest number of classes to list.
SHOWN = 12

log = logging.getLogger("genomix")


def prepare_variants(request: PrepareRequest) -> None:
    """Prepare variants, with surrounding sequence, tracks and contacts, for training."""
    from genomix_cli.variants.prepare.shard import prepare_variants as prepare

    _variants_told(prepare(request))


def prepare_genome(request: PrepareGenomeRequest) -> None:
    """Prepare a genome, with tracks and contacts, for `genomix train --task pretrain`."""
    from genomix_cli.variants.prepare.genome import prepare_genome as prepare

    summary = prepare(request)
    bases = f"{sum(summary.contigs.values()):,} bases of {len(summary.contigs):,} contigs"
    log.info(f"{summary.output}: {bases}; {summary.gaps:,} bases of assembly gaps left out")
    log.info("bins measured: %s", _shares(summary.observed))


def prepare_cohort(request: CohortRequest) -> None:
    """Join omics and clinical tables in one file that mudata and scanpy can open."""
    from genomix_cli.cohorts.prepare.cohort import prepare_cohort as prepare

    _cohort_told(prepare(request))


def prepare_sequences(request: SequenceRequest) -> None:
    """Prepare sequences of one length with phenotypes: records, windows, or people's SNVs.

    With --track, windows are labelled by the bigWig signal in them.
    """
    from genomix_cli.sequences.prepare.sequences import prepare_sequences as prepare

    _sequences_told(prepare(request))


def _shares(observed: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in observed.items()) or "no tracks"


def _variants_told(summary: ShardSummary) -> None:
    counts = f"{summary.records:,} records, {summary.alleles:,} alleles, {summary.used:,} used"
    log.info(f"{summary.output}: {counts}")
    for reason, count in summary.skipped.items():
        log.info("  not used: %s %s, e.g. %s", reason, f"{count:,}", summary.examples[reason][0])
    if summary.labelled or summary.labels_unused:
        log.info(
            "labels: %s alleles with a label, %s without; %s rows of the table match no allele",
            *(f"{n:,}" for n in (summary.labelled, summary.unlabelled, summary.labels_unused)),
        )
    log.info("%s bases stored; bins measured: %s", f"{summary.bases:,}", _shares(summary.observed))


def _cohort_told(summary: CohortSummary) -> None:
    log.info("%s: %s samples, matched by %s", summary.output, f"{summary.samples:,}", summary.by)
    for name, found in summary.modalities.items():
        size = f"{found.samples:,} samples x {found.features:,} features"
        share = found.missing / max(found.samples * found.features, 1)
        missing = f"{found.missing:,} values missing ({share:.1%})" if found.missing else "complete"
        log.info("  %s (%s): %s, %s", name, found.kind, size, missing)
        for what, note in found.notes.items():
            log.info("    %s: %s", what, _note(note))
    for row in summary.overlap:
        log.info("  %s with %s", f"{row['samples']:,}", " + ".join(row["modalities"]))
    if summary.labels:
        classes = ", ".join(f"{name} {n:,}" for name, n in summary.labels.items())
        log.info("labels: %s; %s unknown", classes, f"{summary.unlabelled:,}")
    if summary.without_clinical_row:
        log.info("%s samples have no clinical row", f"{summary.without_clinical_row:,}")
    for reason, n in summary.left_out.items():
        log.info(f"left out: {reason}: {n:,}, e.g. {', '.join(summary.examples[reason])}")


def _note(note: Any) -> str:
    if isinstance(note, dict):
        return ", ".join(f"{name} {n:,}" for name, n in note.items()) or "none"
    if isinstance(note, list):
        return ", ".join(note)
    return f"{note:,}" if isinstance(note, int) else str(note)


def _sequences_told(summary: SequenceSummary) -> None:
    sequences = f"{summary.sequences:,} sequences ({summary.rows})"
    log.info(f"{summary.output}: {sequences} of {summary.length:,} bases")
    for name, fact in summary.facts.items():
        log.info("  %s: %s", name, f"{fact:,}" if type(fact) is int else fact)
    for reason, count in summary.left_out.items():
        log.info("left out: %s %s, the first: %s", f"{count:,}", reason, summary.examples[reason])
    for name, what in summary.phenotypes.items():
        log.info("  %s: %s", name, what)
    for name, why in summary.not_used.items():
        log.info("  %s is not kept: %s", name, why)
    if summary.label:
        classes = [f"{name} {count:,}" for name, count in summary.classes.items()]
        listed = first_few(classes, SHOWN)
        log.info("label %s: %s; %s unlabelled", summary.label, listed, f"{summary.unlabelled:,}")
    if summary.splits:
        log.info("splits: %s", ", ".join(f"{s} {c:,}" for s, c in summary.splits.items()))
    if summary.groups < summary.sequences:
        log.info("groups: %s", f"{summary.groups:,}")
    for warning in summary.warnings:
        log.warning("%s", warning)


VERB = Verb(
    "prepare",
    "Turn raw files into shards, cohorts and sequences.",
    {
        "variants": VARIANTS.runs(
            prepare_variants,
            "genomix prepare variants --vcf test_data/variants.vcf.gz --label-info LABEL "
            "-f test_data/genome.fa.gz -t ATAC=test_data/ATAC.bw -o shard.h5",
            "genomix prepare variants --vcf test_data/variants.vcf.gz "
            "--config test_data/genomix.toml -o unlabelled.h5",
        ),
        "genome": VARIANTS.runs(
            prepare_genome,
            "genomix prepare genome -f test_data/genome.fa.gz -t ATAC=test_data/ATAC.bw "
            "--contacts test_data/contacts.cool -o genome.h5",
        ),
        "cohort": COHORTS.runs(
            prepare_cohort,
            "genomix prepare cohort -m rna=rna.tsv -m meth=beta.tsv "
            "--clinical clinical.tsv --label SUBTYPE -o cohort.h5mu",
            "genomix prepare cohort --study brca --label CLAUDIN_SUBTYPE -o brca.h5mu",
        ),
        "sequences": SEQUENCES.runs(
            prepare_sequences,
            "genomix prepare sequences test_data/genome.fa.gz --window 1000 -o windows.h5",
            "genomix prepare sequences test_data/genome.fa.gz --window 200 "
            "-t ATAC@liver=test_data/ATAC.bw -o tracks.h5",
            "genomix prepare sequences people.vcf.gz --table people.tsv "
            "--label population -o people.h5",
            threads=False,
        ),
    },
    (
        "genomix prepare variants --vcf test_data/variants.vcf.gz --label-info LABEL "
        "-f test_data/genome.fa.gz -t ATAC=test_data/ATAC.bw -o shard.h5",
        "genomix prepare cohort -m rna=rna.tsv --clinical clinical.tsv --label SUBTYPE -o c.h5mu",
        "genomix prepare sequences people.vcf.gz --table people.tsv --label population -o p.h5",
    ),
    by_input=False,
)
