"""Simple predictors that a model has to beat; each is a line of `VARIANT_BASELINES`."""
