"""A shard of a small simulated genome for tests of the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.requests.prepare import PrepareRequest


def prepare(genome: Path, output: Path, **changes: Any) -> Shard:
    settings: dict[str, Any] = {
        "vcf": genome / "variants.vcf.gz",
        "fasta": genome / "genome.fa.gz",
        "output": output,
        "tracks": {"ATAC": genome / "ATAC.bw", "CTCF": genome / "CTCF.bw"},
        "contacts": genome / "contacts.cool",
        "label_info": "LABEL",
        "probability_info": "PROB",
    }
    prepare_variants(PrepareRequest(**(settings | changes)))
    return open_shard(output)


def rows_of(shard: Shard, contig: str) -> np.ndarray:
    return np.flatnonzero(shard.variants.contig == list(shard.contigs).index(contig))
