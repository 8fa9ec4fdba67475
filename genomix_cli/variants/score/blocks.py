"""Pass blocks of records through the model, and summarise the run."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genomix_cli.errors import UsageError, first_few
from genomix_cli.genome.vcf.input import STANDARD_STREAM, expected_records
from genomix_cli.genome.vcf.lines import Lines, between
from genomix_cli.genome.vcf.reader import Header
from genomix_cli.genome.vcf.writer import Output
from genomix_cli.progress import Progress
from genomix_cli.provenance import LINE
from genomix_cli.variants.records.alleles import CONTIG_ABSENT, REASONS
from genomix_cli.variants.records.audit import CheckedVariants
from genomix_cli.variants.records.checks import Checked, CheckedLines
from genomix_cli.variants.records.cutting import cut_blocks
from genomix_cli.variants.records.every_snv import EverySnv, Records
from genomix_cli.variants.records.matching import Row
from genomix_cli.variants.records.reference import Reference
from genomix_cli.variants.requests.score import ScoreRequest
from genomix_cli.variants.score.annotate import Annotator
from genomix_cli.variants.score.clock import Clock
from genomix_cli.variants.score.engine import Scores
from genomix_cli.variants.score.histogram import Histogram
from genomix_cli.variants.score.lookup import Lookup
from genomix_cli.variants.score.plan import Plan, device_name
from genomix_cli.variants.score.reading import Target
from genomix_cli.variants.score.tags import SEEN
from genomix_cli.variants.score.workers import Workers

log = logging.getLogger("genomix")

#: Looked-up rows of the scorable alleles of a block; None if the run looks nothing up.
Found = list[Row | None] | None

#: Blocks that may wait for each device.
WAITING = 2
#: Least seconds between two commits, since each waits for the disk.
COMMIT_SECONDS = 1.0

#: Stages of the work, in order; all but the first and the last overlap.
STAGES = {
    "variants": "reading and checking variants",
    "lookup": "looking scores up",
    "genome": "reading sequence, tracks and contacts",
    "trunk": "windows through the model",
    "alleles": "alleles through the model",
    "writing": "writing",
    "all": "from the first record to the last",
}


@dataclass(frozen=True)
class ScoreSummary:
    """Summary of a scoring run.

    Attributes
    ----------
    records, alleles, scored : int
    not_scored : dict of str to int
        Alleles that were not scored, by reason, in the order of `REASONS`.
    ref_mismatches : int
        Records whose REF differs from the FASTA.
    excluded : int
        Number of mismatched records left out on request.
    first_mismatch : str or None
        Position of the first mismatched record.
    n_in_window : int
        Alleles scored in a window that contains N.
    windows : int
        Windows that went through the model.
    mode : str or None
        None for a model that reads no window.
    precision, device : str
    tracks_absent : tuple of str
        Tracks of the model for which no file was given.
    observed : dict of str to float
        Fraction of the windows' bins in which each given track had a value; for the contact map,
        fraction of windows in which it has any data.
    model : str
    demonstration : bool
        True if the weights are for demonstration only.
    looked_up : int or None
        Scored alleles whose scores come from a file; None if the run looks nothing up.
    seen_in_training : int or None
        Alleles that the model has seen in training; None if that is not recorded.
    resumed : int
        Records scored by an earlier, interrupted run.
    seconds : dict of str to float
        Seconds spent in each stage of this run, see `STAGES`.
    variants_per_second : float
        Alleles scored per second in this run.
    histograms : dict of str to Histogram
        Histogram of scores for each cell type ("" for a single one), if MultiQC is to show them.
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
    mode: str | None
    precision: str
    device: str
    tracks_absent: tuple[str, ...]
    observed: dict[str, float]
    model: str
    demonstration: bool
    looked_up: int | None
    seen_in_training: int | None
    resumed: int
    seconds: dict[str, float]
    variants_per_second: float
    histograms: dict[str, Histogram] = field(default_factory=dict)


@dataclass
class Run:
    """Pipeline that passes blocks of records through the model to the output, in order.

    Several blocks are in progress at a time.
    """

    request: ScoreRequest
    plan: Plan
    reader: Records
    reference: Reference
    annotator: Annotator
    workers: Workers
    output: Output
    lookup: Lookup | None = None

    def __post_init__(self) -> None:
        self.before: Mapping[str, Any] = self.output.resumed or {}
        self.windows: int = self.before.get("windows", 0)
        self.n_in_window: int = self.before.get("n_in_window", 0)
        n_inputs = len(self.plan.config.tracks) + 1
        self.usable = np.array(self.before.get("usable", [0] * n_inputs), np.float64)
        self.looked_up: int = self.before.get("looked_up", 0)
        self._seen_before: int = self.before.get("seen", 0)
        self._restore_histogram()
        self.clock = Clock(s for s in STAGES if s != "lookup" or self.lookup)
        self.seconds = self.clock.seconds
        self.ranked: list[np.ndarray] = []
        self._started = time.perf_counter()
        self._committed = 0.0
        self._handed_over = 0  # alleles given to the workers
        self._counts_before: Counter[str] = Counter(self.before.get("counts"))
        self._done_before = self._counts_before["records"]
        self._progress = Progress(
            "scoring", self._expected(), "records", done=self._done_before, shown=self._may_show()
        )

    def _restore_histogram(self) -> None:
        """Continue the histogram of an interrupted run; give it up if that run kept none."""
        if self.annotator.histogram is None or not self.before:
            return
        if "histogram" in self.before:
            self.annotator.histogram.restore(self.before["histogram"])
        else:
            log.warning("no histogram of scores, since the interrupted run had no --multiqc")
            self.annotator.histogram = None

    def _expected(self) -> float | None:
        """Return the approximate number of records to score; None if unknown."""
        if isinstance(self.reader, EverySnv):
            return self.reader.bases
        if self.request.is_read_once or self.plan.regions is not None:
            return None
        records = expected_records(self.reader.path)
        part = self.request.shard
        return records if records is None or part is None else records / part.total

    def _may_show(self) -> bool:
        """Return False if the records themselves are printed to the terminal."""
        return str(self.request.output) != STANDARD_STREAM or not sys.stdout.isatty()

    def score(self, lines: Iterator[Lines], header: Header) -> None:
        """Score all records, skipping those that an interrupted run has already written."""
        if self._done_before:
            log.info("resuming after %s records", f"{self._done_before:,}")
            lines = between(lines, self._done_before)
        self.variants = CheckedVariants(
            self.reader,
            self.reference,
            cut_blocks(lines, self.plan.stride),
            check_ref=self.request.check_ref,
            knows_contigs=True,
            state=self.before,
        )
        waiting: deque[tuple[CheckedLines, Found, Mapping[str, Any], Future[Scores]]] = deque()
        # Write nothing until the first block has passed its checks.
        block = self._next_block()
        if self.output.resumed is None:
            columns = "\t".join(column.name for column in self.annotator.columns)
            self.output.lines(
                [*header.only(LINE), columns] if self.plan.format.is_table else header.lines
            )
        try:
            while block is not None:
                found = self._look_up(block)
                future = self.workers.submit(self._targets(block, found))
                waiting.append((block, found, self.variants.state(), future))
                if len(waiting) > WAITING * self.workers.count:
                    self._finish(*waiting.popleft())
                block = self._next_block()
            while waiting:
                self._finish(*waiting.popleft())
        finally:
            self._progress.close()
        self.seconds["all"] = time.perf_counter() - self._started

    def _next_block(self) -> CheckedLines | None:
        with self.clock("variants"):
            block = next(self.variants, None)
        option = "--bigwig" if self.request.bigwig else "--write-index"
        ordered = self.request.write_index or self.request.bigwig
        if block is not None and ordered and self.variants.first_unsorted:
            raise UsageError(
                f"is not sorted, which {option} needs",
                where=self.variants.first_unsorted,
                hint=f"run bcftools sort first, or remove {option}",
            )
        return block

    def _look_up(self, block: Sequence[Checked]) -> Found:
        """Look up the scorable alleles in the files of scores."""
        if self.lookup is None:
            return None
        with self.clock("lookup"):
            return self.lookup.find(block)

    def _targets(self, block: CheckedLines, found: Found) -> list[Target]:
        """Return the alleles to compute."""
        stride, new = self.plan.stride, tuple.__new__
        targets = [
            new(Target, (contig, allele, (pos - 1) // stride))
            for contig, allele, pos in block.placed()
        ]
        if found is not None:
            rows = zip(targets, found, strict=True)
            targets = [target for target, row in rows if row is None]
        self._handed_over += len(targets)
        return targets

    def _finish(
        self, block: CheckedLines, found: Found, state: Mapping[str, Any], future: Future[Scores]
    ) -> None:
        scores = self.workers.result(future, self._tell)
        if found is not None:
            self.looked_up += len(found) - found.count(None)
        self.windows += scores.windows
        self.usable = self.usable + scores.usable
        self.n_in_window += int(scores.unknown.sum())
        for stage, spent in scores.seconds.items():
            self.seconds[stage] += spent
        if self.request.save_background:
            self.ranked.append(self.annotator.ranked(scores))
        records = state["counts"]["records"]
        with self.clock("writing"):
            self.output.text(self.annotator.text(block, scores, found))
            if time.monotonic() - self._committed < COMMIT_SECONDS:
                self.output.end_block()
            else:
                tallies: dict[str, Any] = {"windows": self.windows, "n_in_window": self.n_in_window}
                tallies |= {"usable": self.usable.tolist(), "seen": self.seen}
                tallies |= {"looked_up": self.looked_up}
                if self.annotator.histogram is not None:
                    tallies |= {"histogram": dict(self.annotator.histogram.counts)}
                self.output.commit({**state, **tallies, "records": records})
                self._committed = time.monotonic()
        last = block.lines[-1]
        self._progress.note = f"up to {last.chrom}:{last.pos:,}"
        self._tell()

    def _tell(self) -> None:
        """Show progress: the records read so far, scaled by the fraction of alleles scored."""
        read, alleles = self.variants.counts["records"], self._handed_over
        share = self.workers.done / alleles if alleles else 1.0
        self._progress.reach(self._done_before + share * (read - self._done_before))

    @property
    def seen(self) -> int:
        """Number of alleles that the model has seen in training."""
        return self._seen_before + (self.annotator.seen.count if self.annotator.seen else 0)

    def warn(self, header: Header) -> None:
        """Log each problem found while reading the records, once."""
        if self.seen:
            count, most = f"{self.seen:,}", f"{self.variants.counts['alleles']:,}"
            log.warning("%s of %s alleles were seen in training (%s)", count, most, SEEN)
        mismatches = self.variants.counts["ref_mismatch_records"]
        if mismatches:
            where = self.variants.first_mismatch
            fate = "left out" if self.request.check_ref == "x" else "not scored"
            what = f"first of {mismatches:,} records whose REF differs from the FASTA"
            log.warning("%s: %s: %s", where, what, fate)
        self._warn_of_unscored()
        declared = set(header.contigs)
        late = [name for name in self.variants.contigs if name not in declared]
        if late and not self.plan.format.is_table:
            log.warning(
                "the header does not declare contig %s: bcftools will complain", ", ".join(late)
            )

    def _warn_of_unscored(self) -> None:
        """Log the contigs that the reference lacks, or that nothing at all was scored."""
        counts, find = self.variants.counts, self.variants.reference.names.find
        if counts["alleles"] and not counts["scored"]:
            reasons = (f"{REASONS[name]} ({counts[name]:,})" for name in REASONS if counts[name])
            log.warning("no allele was scored: %s", "; ".join(reasons))
        elif counts[CONTIG_ABSENT]:
            lacking = [name for name in self.variants.contigs if find(name) is None]
            what = "%s alleles on contigs that the FASTA lacks (%s): not scored"
            log.warning(what, f"{counts[CONTIG_ABSENT]:,}", first_few(lacking))

    def observed(self) -> dict[str, float]:
        """Return the fraction of each input that the windows used; warn of inputs without data.

        The result is empty if no window was computed, as when all scores are looked up.
        """
        if not self.windows:
            return {}
        names = [*(spec.name for spec in self.plan.config.tracks), "contacts"]
        shares = dict(zip(names, (self.usable / self.windows).round(4), strict=True))
        reads_contacts = self.request.genome.contacts and self.plan.reads_window
        lacking = () if reads_contacts else ("contacts",)
        given = {*names} - {*self.plan.absent, *lacking}
        shares = {name: float(x) for name, x in shares.items() if x or name in given}
        for name in (name for name, share in shares.items() if not share):
            log.warning("%s: no data near the variants; treated as not measured", name)
        return shares

    def summary(self) -> ScoreSummary:
        """Summarise everything in the output, including what an earlier run wrote."""
        counts, plan = self.variants.counts, self.plan
        scored_now = counts["scored"] - self._counts_before["scored"]
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
            tracks_absent=self.plan.absent,
            observed=self.observed(),
            model=plan.name,
            demonstration=plan.config.demonstration,
            looked_up=self.looked_up if self.lookup else None,
            seen_in_training=self.seen if self.annotator.seen else None,
            resumed=self._done_before,
            seconds={stage: round(spent, 6) for stage, spent in self.seconds.items()},
            variants_per_second=round(scored_now / max(self.seconds["all"], 1e-9), 3),
            histograms={} if self.annotator.histogram is None else {"": self.annotator.histogram},
        )
