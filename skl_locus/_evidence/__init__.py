"""Stacked evidence: predictions from a model's own scores."""
