"""Validation, estimator helpers and statistics that every room may use."""
