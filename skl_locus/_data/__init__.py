"""The one door: tables of evaluations and queries, read into arrays."""
