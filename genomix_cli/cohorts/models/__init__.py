"""Models of cohorts: three published designs, and the baselines they have to beat."""
