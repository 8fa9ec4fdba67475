"""``genomix score``: a VCF with scores, classes of samples, or classes of sequences."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from genomix_cli.cli.domains import COHORTS, SEQUENCES, VARIANTS, Verb
from genomix_cli.cli.output import show
from genomix_cli.cohorts.requests import ScoreRequest as CohortRequest
from genomix_cli.sequences.requests.score import ScoreRequest as SequenceRequest
from genomix_cli.variants.requests.score import ScoreRequest as VariantRequest

if TYPE_CHECKING:
    from genomix_cli.cohorts.score import ScoreSummary as CohortSummary
    from genomix_cli.sequences.score.sequences import ScoreSummary as SequenceSummary
    from genomix_cli.variants.score.blocks import ScoreSummary

log = logging.getLogger("genomix")


def score_variants(request: VariantRequest) -> None:
    """Score the variants of a VCF.

    Records keep their order and gain GENOMIX_* INFO fields. Alleles that cannot be scored get
    '.' and a GENOMIX_REASON.
    """
    request.genome.check()
    from genomix_cli.variants.score.cells import score_cells as score

    _show(_variant_rows(score(request)))


def score_samples(request: CohortRequest) -> None:
    """Classify the samples of a cohort.

    Writes one row per sample, in order: the calibrated probability of each class, and the
    prediction set, which contains the true class at the rate the model was calibrated to.
    `abstain` is 1 unless the set is a single class; `calibrated` is 0 where the model was not
    calibrated for the sample's modalities. Cells of a sample without any data are empty.
    """
    from genomix_cli.cohorts.score import score_cohort

    summary = score_cohort(request)
    nothing = "nothing that the model knows was measured"
    more = summary.lacking, summary.uncalibrated
    _show(_class_rows(summary, "samples", summary.samples, nothing, *more))


def score_sequences(request: SequenceRequest) -> None:
    """Classify or embed sequences, or retrieve their phenotypes.

    Writes one row per sequence, in order. The columns depend on the task of the run. classify:
    calibrated probability of each class, the prediction set, and `abstain`, which is 1 unless
    the set is a single class; contrast: embeddings; align: retrieved phenotypes. Cells of a
    sequence of only N are empty.
    """
    from genomix_cli.sequences.score.sequences import score_sequences as score

    summary = score(request)
    _show(_class_rows(summary, "sequences", summary.sequences, "no base is known"))


def _show(rows: Iterable[tuple[str, str, str]]) -> None:
    if log.isEnabledFor(logging.INFO):
        show(rows)


def _variant_rows(summary: ScoreSummary) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and note."""
    from genomix_cli.variants.records.alleles import REASONS
    from genomix_cli.variants.score.blocks import STAGES

    again = f"{summary.resumed:,} by an earlier run" if summary.resumed else ""
    yield "records", f"{summary.records:,}", again
    rate = f"{summary.variants_per_second:,.0f} a second"
    yield "alleles scored", f"{summary.scored:,}", f"of {summary.alleles:,}, {rate}"
    if summary.looked_up is not None:
        computed = summary.scored - summary.looked_up
        yield "looked up", f"{summary.looked_up:,}", f"of these; {computed:,} computed"
    if summary.n_in_window:
        yield "N in window", f"{summary.n_in_window:,}", "scored all the same"
    for reason, count in summary.not_scored.items():
        yield f"not scored: {reason}", f"{count:,}", REASONS[reason]
    if summary.excluded:
        yield "records left out", f"{summary.excluded:,}", "--check-ref x"
    where = f"{summary.model} on {summary.device}, {summary.precision}"
    if summary.mode is None:
        yield "windows", "none", where
    else:
        yield "windows", f"{summary.windows:,}", f"{summary.mode}; {where}"
    for name, share in summary.observed.items():
        yield f"usable: {name}", f"{share:.0%}", "of windows" if name == "contacts" else "of bins"
    for stage, seconds in summary.seconds.items():
        yield f"seconds: {stage}", f"{seconds:.2f}", STAGES[stage]


def _class_rows(
    summary: CohortSummary | SequenceSummary,
    unit: str,
    count: int,
    nothing: str,
    lacking: Mapping[str, int] | None = None,
    uncalibrated: int = 0,
) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and note; `nothing` says why a unit is not scored."""
    yield unit, f"{count:,}", f"{summary.model} on {summary.device}"
    for name, predicted in summary.predicted.items():
        yield f"predicted {name}", f"{predicted:,}", ""
    if summary.predicted:
        sets = f"no single class in the {summary.level:.0%} prediction set"
        yield "abstained", f"{summary.abstained:,}", sets
    if summary.scored < count:
        yield "not scored", f"{count - summary.scored:,}", nothing
    if uncalibrated:
        yield (
            "not calibrated",
            f"{uncalibrated:,}",
            "no calibration for their modalities",
        )
    for name, without in (lacking or {}).items():
        yield f"without {name}", f"{without:,}", ""
    yield "seconds", f"{summary.seconds:.2f}", "computing alone"


VERB = Verb(
    "score",
    "Score variants, the samples of a cohort, or sequences, depending on the input.",
    {
        "variants": VARIANTS.runs(
            score_variants,
            "genomix score test_data/variants.vcf.gz -f test_data/genome.fa.gz -o out.vcf",
            "genomix score test_data/variants.vcf.gz --config test_data/genomix.toml "
            "--regions chr1:1-60000 -o scored.tsv.gz",
        ),
        "cohort": COHORTS.runs(score_samples, "genomix score cohort.h5mu -m run -o scores.tsv"),
        "sequences": SEQUENCES.runs(
            score_sequences,
            "genomix score sequences.h5 -m run -o scores.tsv --embeddings embeddings.tsv",
        ),
    },
    (
        "genomix score test_data/variants.vcf.gz -f test_data/genome.fa.gz -o scored.vcf",
        "genomix score cohort.h5mu -m run -o scores.tsv",
        "genomix score sequences.h5 -m run -o scores.tsv",
    ),
)
