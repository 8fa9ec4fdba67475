"""Pages, figures, model cards and files for MultiQC."""
