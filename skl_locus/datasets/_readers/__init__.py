"""Readers of evaluation logs: one format per file, one way into the long table."""
