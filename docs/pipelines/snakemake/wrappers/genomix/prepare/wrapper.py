"""A shard of variants, sequence, tracks and contacts with ``genomix prepare variants``."""

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
words = [
    *option("--vcf", files.vcf),
    *option("--fasta", files.fasta),
    *(f"--track={name}={path}" for name, path in zip(names, tracks, strict=True)),
    # A resolution of an .mcool is no part of the name of the file.
    *option("--contacts", params.get("contacts") or files.get("contacts")),
    *option("--labels", files.get("labels")),
    *option("--label-info", params.get("label_info")),
    *option("--normalise-like", files.get("model") or params.get("normalise_like")),
    *option("--output", snakemake.output[0]),
    *option("--threads", snakemake.threads),
]
arguments = shlex.join(words)
extra = params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)

shell("genomix prepare variants {arguments} {extra} {log}")
