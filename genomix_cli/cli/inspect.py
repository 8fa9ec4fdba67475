"""``genomix inspect``: describe any file that genomix reads or writes."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.cli.command import command
from genomix_cli.cli.output import echo, print_report
from genomix_cli.options import Option, option
from genomix_cli.shared_options import Force

log = logging.getLogger("genomix")


@dataclass(frozen=True)
class InspectRequest:
    """A file or folder to inspect."""

    path: Annotated[
        Path, Option("File or folder; -: standard input", argument=True, metavar="FILE")
    ]
    top: int = option(10, "Alleles of a scored VCF to show", min=0)
    as_json: bool = option(False, "Print JSON", "--json")
    plots: Path | None = option(
        None,
        "Folder for figures of a cohort",
        "--plots",
        old="--plot-dir",
        metavar="DIR",
        writes=True,
    )
    beside: Path | None = option(None, "Another cohort to compare with", metavar="COHORT.h5mu")
    force: Force = False


def inspect(request: InspectRequest) -> None:
    """Describe a file: a VCF and its scores, a model, a shard, sequences, a cohort, a FASTA."""
    from genomix_cli.inspection import inspect as describe
    from genomix_cli.inspection import look_closer

    report = describe(request.path, request.top)
    if request.plots is not None or request.beside is not None:
        report = look_closer(report, request.beside, request.plots, force=request.force)
    if request.plots is not None:
        page = request.plots / "index.html"
        log.info("wrote %s figures; open %s to see them", report.facts["pictures"], page)
    if request.as_json:
        echo(json.dumps(asdict(report), indent=2, default=str))
    else:
        print_report(report)


COMMAND = command(
    inspect,
    "genomix inspect test_data/variants.vcf.gz",
    "genomix inspect cohort.h5mu --plots pictures",
    "genomix inspect run --json",
    threads=False,
)
