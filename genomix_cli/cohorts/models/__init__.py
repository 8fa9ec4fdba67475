"""Models of cohorts: three published designs, and the baselines that they should beat."""
