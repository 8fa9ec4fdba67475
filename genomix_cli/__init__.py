"""genomix: a command-line toolkit for genomics pipelines."""

__version__ = "0.1.0"
