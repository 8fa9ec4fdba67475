"""Results of a comparison of models: a page, a model card, and files for MultiQC."""

from genomix_cli.report.card import card
from genomix_cli.report.multiqc import write_multiqc
from genomix_cli.report.page import write_report

__all__ = ["card", "write_multiqc", "write_report"]
