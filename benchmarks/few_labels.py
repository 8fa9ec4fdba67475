"""Make a VCF with few labelled variants of a simulated genome, like an assay of a few loci.

    python benchmarks/few_labels.py SIMULATED OUT.vcf [--labels 1000] [--per-locus 8]

SIMULATED is a folder of `genomix simulate genome`. The VCF keeps the first megabase of the last two
contigs (for validation and testing), and evenly spaced runs of neighbours on the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pysam

HELD = 1_000_000


def main() -> None:
    """Write the VCF."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("simulated", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--per-locus", type=int, default=8)
    options = parser.parse_args()
    with pysam.VariantFile(str(options.simulated / "variants.vcf.gz")) as vcf:
        contigs = list(vcf.header.contigs)
        train = [str(record) for name in contigs[:-2] for record in vcf.fetch(name)]
        rest = [str(record) for name in contigs[-2:] for record in vcf.fetch(name, 0, HELD)]
        header = str(vcf.header)
    loci = options.labels // options.per_locus
    starts = [i * (len(train) - options.per_locus) // loci for i in range(loci)]
    kept = [line for start in starts for line in train[start : start + options.per_locus]]
    options.output.write_text("".join([header, *kept, *rest]))


if __name__ == "__main__":
    main()
