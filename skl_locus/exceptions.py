"""Errors and warnings of the package's own."""

from __future__ import annotations

import os


class ConstantScoreWarning(UserWarning):
    """All scores of a table are equal, so nothing distinguishes the queries."""


class SkippedRecordsWarning(UserWarning):
    """A reader left out evaluations that it could not use."""


class UnreachedTargetWarning(UserWarning):
    """Held-out queries do not show that a policy reaches what is asked of it."""


class LogFormatError(ValueError):
    """A log of evaluations is not what its reader expects.

    Parameters
    ----------
    problem : str
        What is wrong.
    path : str or path-like, default=None
        The file or folder.
    line : int, default=None
        Line of the file, counted from 1; the row, where a format has no lines.

    Attributes
    ----------
    path : str or None
        The file or folder.
    line : int or None
        The line.

    Examples
    --------
    >>> from skl_locus.exceptions import LogFormatError
    >>> print(LogFormatError("the score is missing", path="log.csv", line=7))
    log.csv, line 7: the score is missing
    """

    def __init__(
        self,
        problem: str,
        path: str | os.PathLike | None = None,
        line: int | None = None,
    ) -> None:
        # All arguments go to the base class, which is what makes a copy.
        super().__init__(problem, path, line)
        self.path = None if path is None else os.fspath(path)
        self.line = line

    def __str__(self) -> str:
        """Return the place and the problem."""
        problem, place = self.args[0], self.path
        if place is None:
            return problem
        if self.line is not None:
            place = f"{place}, line {self.line}"
        return f"{place}: {problem}"
