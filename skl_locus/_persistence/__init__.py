"""Estimators in files that hold no code."""
