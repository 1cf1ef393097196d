"""Errors and warnings of this package."""

from __future__ import annotations

import os


class ConstantScoreWarning(UserWarning):
    """Warning that all scores of a table are equal, so there is nothing to learn."""


class OutlyingEncodingWarning(UserWarning):
    """Warning that encodings lie far from all others and were moved towards them."""


class IgnoredModelWarning(UserWarning):
    """Warning that a request is answered without a model that cannot be judged."""


class CollapsedRoutingWarning(UserWarning):
    """Warning that a router sends nearly all queries to one model."""


class NarrowCoverageWarning(UserWarning):
    """Warning that a new model was evaluated on a narrow part of the known queries."""


class SkippedRecordsWarning(UserWarning):
    """Warning that a reader skipped evaluations that it could not use."""


class AmbiguousLogWarning(UserWarning):
    """Warning that a log could be read in several ways, and which one was taken."""


class FetchError(OSError):
    """Error if a file of a data set cannot be fetched or has unexpected content."""


class ServiceWarning(UserWarning):
    """Warning that a service goes on without something, such as a file it cannot load.

    It is given once for each thing, in whatever thread noticed it.
    """


class UnreachedTargetWarning(UserWarning):
    """Warning that a policy does not reach its target on the held-out queries."""


class SavedFileError(ValueError):
    """Error if a file of :func:`skl_locus.save` cannot be loaded.

    Parameters
    ----------
    problem : str
        Description of the problem.
    path : str or path-like, default=None
        The file.

    Attributes
    ----------
    path : str or None
        The file.

    Examples
    --------
    >>> from skl_locus.exceptions import SavedFileError
    >>> print(SavedFileError("the file is damaged", path="router.locus"))
    router.locus: the file is damaged
    """

    def __init__(self, problem: str, path: str | os.PathLike | None = None) -> None:
        # Copies and pickles call the class with the arguments of the base class.
        super().__init__(problem, path)
        self.path = None if path is None else os.fspath(path)

    def __str__(self) -> str:
        """Return the problem, with the file in front."""
        problem = self.args[0]
        return problem if self.path is None else f"{self.path}: {problem}"


class LogFormatError(ValueError):
    """Error if a log of evaluations does not have the format that its reader expects.

    Parameters
    ----------
    problem : str
        Description of the problem.
    path : str or path-like, default=None
        File or folder.
    line : int, default=None
        Line of the file, counted from 1, or the row if the format has no lines.

    Attributes
    ----------
    path : str or None
        File or folder.
    line : int or None
        Line or row.

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
        # Copies and pickles call the class with the arguments of the base class.
        super().__init__(problem, path, line)
        self.path = None if path is None else os.fspath(path)
        self.line = line

    def __str__(self) -> str:
        """Return the problem, with its place in front."""
        problem, place = self.args[0], self.path
        if place is None:
            return problem
        if self.line is not None:
            place = f"{place}, line {self.line}"
        return f"{place}: {problem}"
