"""Simple predictors that a model should beat; each is registered in `VARIANT_BASELINES`."""
