"""A model trained on a labelled shard with ``genomix train``."""

# ruff: noqa: F821 - Snakemake defines `snakemake` ahead of this file.

__author__ = "genomix authors"
__license__ = "MIT"

import shlex

from snakemake.shell import shell


def option(flag, value):
    """The words of an option; none without a value."""
    return [flag, str(value)] if value else []


params = snakemake.params
words = [
    snakemake.input.shard,
    *option("--output", snakemake.output[0]),
    *option("--valid-contigs", params.valid_contigs),
    *option("--test-contigs", params.get("test_contigs")),
    *option("--threads", snakemake.threads),
]
arguments = shlex.join(words)
extra = params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)

shell("genomix train {arguments} {extra} {log}")
