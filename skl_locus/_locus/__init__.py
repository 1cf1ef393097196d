"""The LOCUS estimators."""
