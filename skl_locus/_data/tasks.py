"""The task of each row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from skl_locus._data.columns import as_frame, factorize_labels, read_column


def task_codes(X: Any, task_col: str | None, n_rows: int) -> tuple[np.ndarray, list]:
    """Code the rows by task, -1 where they have none: (codes, sorted tasks)."""
    frame = as_frame(X)
    if task_col is None or frame is None or task_col not in frame.columns:
        return np.full(n_rows, -1), []
    column = np.asarray(read_column(frame, task_col), dtype=object)
    known = np.array([task is not None and task == task for task in column])
    codes = np.full(n_rows, -1)
    if not known.any():
        return codes, []
    codes[known], labels = factorize_labels(column[known], task_col)
    return codes, labels
