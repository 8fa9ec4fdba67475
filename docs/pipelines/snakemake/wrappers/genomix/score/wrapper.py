"""A VCF with scores, or one contig of it, with ``genomix score``."""

# ruff: noqa: F821 - Snakemake defines `snakemake` ahead of this file.

__author__ = "genomix authors"
__license__ = "MIT"

import shlex

from snakemake.shell import shell


def option(flag, value):
    """The words of an option; none without a value."""
    return [flag, str(value)] if value else []


def as_list(value):
    """One file and several alike."""
    return [value] if isinstance(value, str) else list(value)


files, params = snakemake.input, snakemake.params
names, tracks = as_list(params.get("tracks", [])), as_list(files.get("tracks", []))
# In braces any name is one name, HLA-A*01:01 too.
contig = params.get("contig") and f"{{{params.contig}}}"
words = [
    files.vcf,
    *option("--genome", files.get("genome")),
    *option("--fasta", files.get("fasta")),
    *(f"--track={name}={path}" for name, path in zip(names, tracks, strict=True)),
    # A resolution of an .mcool is no part of the name of the file.
    *option("--contacts", params.get("contacts") or files.get("contacts")),
    *option("--model", files.get("model") or params.get("model")),
    *option("--regions", contig or params.get("regions")),
    *option("--stats", snakemake.output.get("stats")),
    *option("--output", snakemake.output[0]),
    *option("--threads", snakemake.threads),
    # What an interrupted job had done lies beside the output, where Snakemake leaves it.
    *(["--resume"] if params.get("resume", True) else []),
]
arguments = shlex.join(words)
extra = params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)

shell("genomix score {arguments} {extra} {log}")
