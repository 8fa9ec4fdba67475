"""Figures of a cohort, one file per kind of data; :func:`draw_cohorts` draws them all."""

from genomix_cli.cohorts.figures.page import called, check_folder, draw_cohorts

__all__ = ["called", "check_folder", "draw_cohorts"]
