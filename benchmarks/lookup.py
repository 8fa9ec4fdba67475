"""Measure the rate at which `genomix score --lookup` finds alleles, as a Markdown table.

    python benchmarks/lookup.py [--rows 600000]

The file is an indexed VCF.gz of made-up scores, three SNVs per base; queries are some of these SNVs
at a fixed spacing. Times are CPU seconds of one core for the look-up only. Reading and checking the
input, and writing, are in `benchmarks/scale.py`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import pysam
from scale import HEADER, write_genome, write_model

from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.provenance import Provenance, facts_of
from genomix_cli.variants.records.checks import check_lines
from genomix_cli.variants.records.cutting import BLOCK_RECORDS, blocks
from genomix_cli.variants.records.reference import open_reference
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score.lookup import Lookup
from genomix_cli.variants.score.vcf import _few_collections, score_variants

KEYS = ("GENOMIX_P", "GENOMIX_DL")
SCORES = ";".join(f"{key}=-0.12345" for key in KEYS)
#: Bases between rows of the file, and between queries.
SPACINGS = ((1, 1), (1, 10), (1, 100), (1, 1000), (30, 30), (300, 300))


def alleles(bases: str, length: int, spacing: int, info: str) -> str:
    """Return all three SNVs at every `spacing` bases, as lines of a VCF."""
    return "".join(
        f"chr1\t{pos}\t.\t{bases[pos - 1]}\t{alt}\t.\t.\t{info}\n"
        for pos in range(1, length + 1, spacing)
        for alt in "ACGT"
        if alt != bases[pos - 1]
    )


def main() -> None:
    """Measure each pair of spacings and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=600_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _few_collections():
        work = Path(name)
        bases = write_genome(work / "genome.fa")
        write_model(work / "model")
        few = work / "few.vcf"
        few.write_text(HEADER + alleles(bases, 1, 1, "."))
        genome = GenomeFiles(work / "genome.fa")
        request = ScoreRequest(few, genome, work / "o.vcf", model=str(work / "model"), device="cpu")
        score_variants(request)
        with VcfReader(work / "o.vcf") as reader:
            header = str(reader.header)
            facts = facts_of(reader.header.meta)
        made = Provenance("", json.loads(facts["Config"][0]), model=facts["Model"][0])
        said = {name: texts[0] for name, texts in facts.items()}
        reference = open_reference(genome.fasta, None)
        print("| rows every | queries every | queries | found/s |\n|---|---|---|---|")
        for rows, queries in SPACINGS:
            length = min(options.rows * rows // 3, len(bases))
            known = work / f"known{rows}.vcf"
            known.write_text(header + alleles(bases, length, rows, SCORES))
            path = Path(pysam.tabix_index(str(known), preset="vcf", force=True))
            (work / "q.vcf").write_text(HEADER + alleles(bases, length, queries, "."))
            count, seconds = 0, 0.0
            with (
                Lookup([path], KEYS, made, reference, facts=said) as lookup,
                VcfReader(work / "q.vcf") as q,
            ):
                for block in blocks(q.lines(), BLOCK_RECORDS):
                    checked = list(check_lines(block, reference))
                    start = time.process_time()
                    found = lookup.find(checked)
                    seconds += time.process_time() - start
                    assert None not in found
                    count += len(found)
            print(f"| {rows} bp | {queries} bp | {count:,} | {count / seconds:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
