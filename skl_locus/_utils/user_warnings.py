"""Warnings shown at the line of the user's code that they are about."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from types import FrameType

import sklearn

PACKAGES = tuple(
    str(folder) + os.sep
    for folder in (Path(__file__).parents[1], Path(sklearn.__file__).parent)
)
"""Folders of this package and of scikit-learn, whose mixins and searches call it."""


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the first line outside of `PACKAGES` among the calls that led here.

    A fixed ``stacklevel`` would be wrong after every helper or decorator that comes in
    between. A warning that the user has made an error is raised here.
    """
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGES):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
