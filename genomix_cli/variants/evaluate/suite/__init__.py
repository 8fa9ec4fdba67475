"""The evaluation of models of variants: held-out variants, baselines, strata and controls."""
