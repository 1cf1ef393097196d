"""Warnings that the package raises."""


class ConstantScoreWarning(UserWarning):
    """All scores of a table are equal, so nothing distinguishes the queries."""
