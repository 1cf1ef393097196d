"""Clusters, regressions and cross-validation of per-model scores."""
