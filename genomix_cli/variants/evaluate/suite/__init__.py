"""Evaluation of variant models: held-out variants, baselines, strata and controls."""
