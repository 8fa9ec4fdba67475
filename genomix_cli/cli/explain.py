"""``genomix explain``: why variants, samples or sequences score as they do."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Sequence
from math import isnan
from typing import Any

from genomix_cli.cli.domains import COHORTS, SEQUENCES, VARIANTS, Verb
from genomix_cli.cli.output import print_table, show
from genomix_cli.cohorts.requests import ExplainRequest as CohortRequest
from genomix_cli.sequences.requests.explain import ExplainRequest as SequenceRequest
from genomix_cli.variants.requests.explain import ExplainRequest as VariantRequest

log = logging.getLogger("genomix")


def explain_variants(request: VariantRequest) -> None:
    """Attribute scores to bases and track bins by Integrated Gradients.

    Attributions are in log-odds and sum to the change from baseline to variant; if the
    sum is off by more than 1 %, the exit code is 3. With --ism, all SNVs around each allele, or
    in --region, are scored instead.
    """
    if request.saturation.asked:
        _explain_regions(request)
        return
    from genomix_cli.variants.explain.alleles import explain_variants as explain

    header = ("variant", "p", "baseline", "change", "completeness error", "motif")
    rows = [
        (
            s.variant,
            "." if isnan(s.probability) else f"{s.probability:.4f}",
            s.baseline,
            f"{s.change:+.3f}",
            f"{s.error:.2%}",
            s.motif or ".",
        )
        for s in explain(request)
    ]
    # A column of motifs without a motif is an answer, if motifs were requested.
    optional = {"p"} if request.motifs.source else {"p", "motif"}
    print_table(*_without_empty(header, rows, optional))


def _explain_regions(request: VariantRequest) -> None:
    from genomix_cli.variants.explain.region import explain_regions

    header = ("region", "score", "substitutions", "measured", "pearson", "spearman")
    rows = [
        (
            s.region,
            s.field,
            str(s.substitutions),
            str(s.measured) if request.saturation.measured else ".",
            *("." if isnan(r) else f"{r:.3f}" for r in (s.pearson, s.spearman)),
        )
        for s in explain_regions(request)
    ]
    optional = () if request.saturation.measured else header[3:]
    print_table(*_without_empty(header, rows, optional))


def _without_empty(
    header: Sequence[str], rows: Sequence[Sequence[str]], optional: Container[str]
) -> tuple[list[str], list[list[str]]]:
    """Return a table without the optional columns in which every cell is a dot."""
    kept = [
        i for i, name in enumerate(header) if name not in optional or any(r[i] != "." for r in rows)
    ]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def explain_samples(request: CohortRequest) -> None:
    """Attribute the logit of a sample's class to its features by Integrated Gradients.

    Attributions sum to the change from the baseline, the mean of the training samples; if
    the sum is off by more than 1 %, the exit code is 3. For simulated cohorts, genomix also
    reports how well the features that drive the classes are recovered.
    """
    from genomix_cli.cohorts.explain.samples import explain_cohort

    summary = explain_cohort(request)
    _print_classes("sample", summary.samples)
    if summary.driver_auprc and log.isEnabledFor(logging.INFO):
        show(
            (f"drivers of {name}", f"AUPRC {auprc:.3f}", f"{share:.3f} by chance")
            for name, (auprc, share) in summary.driver_auprc.items()
        )


def explain_sequences(request: SequenceRequest) -> None:
    """Attribute the logit of a sequence's class to its bases by Integrated Gradients.

    Writes one row per base, in genome coordinates (1-based) if the file has them. Attributions
    sum to the change from the baseline: uniform bases or, for aligned sequences, the mean of
    the column. If the sum is off by more than 1 %, the exit code is 3.
    """
    from genomix_cli.sequences.explain.sequences import explain_sequences as explain

    _print_classes("sequence", explain(request))


def _print_classes(unit: str, explained: Iterable[Any]) -> None:
    header = (unit, "class", "p", "change", "completeness error")
    rows = [
        (s.sample, s.of_class, f"{s.probability:.4f}", f"{s.change:+.3f}", f"{s.error:.2%}")
        for s in explained
    ]
    print_table(header, rows)


VERB = Verb(
    "explain",
    "Explain the scores of variants, the samples of a cohort, or sequences.",
    {
        "variants": VARIANTS.runs(
            explain_variants,
            "genomix score test_data/variants.vcf.gz --config test_data/genomix.toml "
            "--regions chr1:1-60000 -o scored.vcf",
            "genomix explain scored.vcf --config test_data/genomix.toml --top 2 -o why.tsv",
            "genomix explain variants --region chr1:5001-5120 -f test_data/genome.fa.gz "
            "--plots heat -o saturation.vcf",
        ),
        "cohort": COHORTS.runs(explain_samples, "genomix explain cohort.h5mu -m run -o why.tsv"),
        "sequences": SEQUENCES.runs(
            explain_sequences, "genomix explain sequences.h5 -m run -o why.tsv"
        ),
    },
    (
        "genomix explain scored.vcf -f test_data/genome.fa.gz --top 2 -o why.tsv",
        "genomix explain cohort.h5mu -m run -o why.tsv",
        "genomix explain sequences.h5 -m run -o why.tsv",
    ),
)
