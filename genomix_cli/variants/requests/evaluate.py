"""Requests to evaluate scored variants, and models on a shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from genomix_cli.comparison.rules import HELD_OUT
from genomix_cli.errors import UsageError
from genomix_cli.options import RARE, Option, check_options, option, parse_names, parse_words
from genomix_cli.registry import VARIANT_BASELINES
from genomix_cli.shared_options import Device, Draws, Force, Seed, WhatIsSeen
from genomix_cli.variants.requests.train import Shard
from genomix_cli.variants.score.tags import PROBABILITY


@dataclass(frozen=True)
class EvaluateRequest:
    """Request to evaluate scored variants against their labels."""

    scored: Annotated[Path, Option("Scored VCF", argument=True, metavar="VCF")]
    score_info: str = option(PROBABILITY, "INFO key of the scores, one per ALT")
    label_info: str = option("LABEL", "INFO key of the labels: 0 or 1, or quantities")
    labels: Path | None = option(
        None, "Take labels from a table: contig, pos, ref, alt, label or effect", metavar="TSV"
    )
    probability_info: str | None = option(
        None, "INFO key of the true probability of each label, for the Bayes ceiling"
    )
    contigs: tuple[str, ...] = option((), "Use only these contigs", commas=True, parse=parse_words)
    threshold: float | None = option(
        None, "Labels are quantities; those above X count as positive", rare=True
    )
    versus: Path | None = option(
        None, "Another scored VCF, for paired differences", "--vs", metavar="VCF"
    )
    seen: WhatIsSeen = "refuse"
    draws: Annotated[Draws, RARE] = 1000
    seed: Seed = 0


def parse_suite_baselines(text: str) -> tuple[str, ...]:
    """Return comma-separated baselines, or those of ``all`` or ``none``."""
    chosen = {"all": tuple(VARIANT_BASELINES), "none": ()}
    return chosen.get(text, parse_names(text))


@dataclass(frozen=True)
class SuiteRequest:
    """Request to evaluate variant models and baselines on a shard."""

    shard: Shard
    output: Annotated[Path, Option("Folder of the report", "-o --output", writes=True)]
    models: tuple[str, ...] = option(
        (),
        "Run folder, or name of a bundled model; repeatable",
        "--model -m",
        metavar="MODEL",
        model=True,
    )
    test_contigs: tuple[str, ...] = option(
        (), "Contigs to test on", commas=True, shown="as in the first run", panel=HELD_OUT
    )
    test_regions: Path | None = option(None, "Regions to test on", metavar="BED")
    variants: int = option(
        0, "Maximum number of test variants, in whole stretches; 0: all", min=0, rare=True
    )
    seen: WhatIsSeen = "refuse"
    trust_runs: bool = option(
        False, "Do not assume that contigs of the same name are the same contig", rare=True
    )
    baselines: tuple[str, ...] = option(
        tuple(VARIANT_BASELINES),
        "Baselines to include; all or none",
        commas=True,
        choices=VARIANT_BASELINES,
        parse=parse_suite_baselines,
        shown="all",
        panel="Comparison",
    )
    train_variants: int = option(
        60_000, "Maximum number of variants to train the baselines on", min=100, rare=True
    )
    peaks: Path | None = option(
        None,
        "Peaks for the nearest-peak baseline",
        metavar="BED",
        shown="the strongest bins of a track",
        rare=True,
    )
    vcf: Path | None = option(None, "VCF with other tools' scores of these variants in INFO")
    info: tuple[str, ...] = option(
        (),
        "INFO key of such a score, e.g. CADD_PHRED, SpliceAI:DS_AG,DS_AL or SIFT=down; repeatable",
        metavar="KEY",
    )
    table: Path | None = option(
        None,
        "Table (TSV, CSV or Parquet) of other tools' scores: contig, pos (1-based), ref, alt, ...",
        metavar="FILE",
    )
    columns: tuple[str, ...] = option(
        (),
        "Column of such a score, e.g. phyloP, SIFT=down or EVE=learn; repeatable",
        "--column",
        metavar="NAME",
    )
    stack: bool = option(
        False,
        "Add an entrant that combines the first model with these scores, fitted "
        "on the validation part",
        rare=True,
    )
    effect: Literal["absolute", "signed"] = option(
        "absolute",
        "Compare scores with the magnitude of quantitative labels, or with their signed values",
        rare=True,
    )
    draws: int = option(
        1000, "Bootstrap draws for the intervals; 0: none", "--bootstrap", min=0, rare=True
    )
    device: Device = "auto"
    seed: Seed = 0
    force: Force = False

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        UsageError
        """
        if not self.models:
            raise UsageError("no model", where="--model", expected="a run folder or a name")
        if len(set(self.models)) < len(self.models):
            raise UsageError("the same model is given twice", where="--model")
        if self.test_contigs and self.test_regions:
            raise UsageError("--test-contigs and --test-regions: give one of them")
        if bool(self.vcf) != bool(self.info):
            raise UsageError("--vcf and --info must be given together")
        if bool(self.table) != bool(self.columns):
            raise UsageError("--table and --column must be given together")
        names = [name.partition("=")[0] for name in (*self.info, *self.columns)]
        if len(set(names)) < len(names):
            raise UsageError("the same score is given twice", where="--info, --column")
        others = {"stack", *self.baselines, *(Path(name).name for name in self.models)}
        taken = [name for name in names if name in others]
        if taken:
            raise UsageError(f"a score and an entrant are both called {taken[0]}", where="--column")
        if self.stack and not names:
            raise UsageError("--stack needs scores of other tools: --info or --column")
        check_options(self)


@dataclass(frozen=True)
class LeaderboardRequest:
    """Request to join evaluations of the same variants in one table per shard."""

    reports: Annotated[
        tuple[Path, ...],
        Option("Reports of `genomix evaluate` on shards", argument=True, metavar="REPORT..."),
    ]
    output: Annotated[Path, Option("Folder of the leaderboard", "-o --output", writes=True)]
    reference: str = option(
        "",
        "Entrant to compare the others with",
        metavar="NAME",
        shown="the leader of each table",
    )
    draws: Draws = 1000
    seed: Seed = 0
    force: Force = False

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        UsageError
        """
        if len({path.resolve() for path in self.reports}) < len(self.reports):
            raise UsageError("the same evaluation is given twice", where="REPORT")
        check_options(self)
