"""The data home, its cache files, and the long table, for all data sets."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._utils.files import new_file, open_regular

_ENVIRONMENT_VARIABLE = "SKL_LOCUS_DATA"
_DEFAULT_HOME = Path("~") / "skl_locus_data"

# Name of the array in a cache file, a zip archive, whose checksum exposes damage.
_CONTENT = "content"


def get_data_home(data_home: str | os.PathLike | None = None) -> str:
    """Return the folder in which skl_locus caches data sets.

    The folder is created if it does not exist.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. `None` means the environment variable ``SKL_LOCUS_DATA``
        or, where that is not set, ``~/skl_locus_data``.

    Returns
    -------
    data_home : str
        Path of the folder.

    Examples
    --------
    >>> import os, tempfile
    >>> from skl_locus.datasets import get_data_home
    >>> folder = tempfile.mkdtemp()
    >>> get_data_home(folder) == folder
    True
    >>> os.rmdir(folder)
    """
    folder = _resolve(data_home)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def clear_data_home(data_home: str | os.PathLike | None = None) -> None:
    """Delete the folder in which skl_locus caches data sets, with its content.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder, with the same default as in :func:`get_data_home`.

    Examples
    --------
    >>> import os, tempfile
    >>> from skl_locus.datasets import clear_data_home
    >>> folder = tempfile.mkdtemp()
    >>> clear_data_home(folder)
    >>> os.path.exists(folder)
    False
    """
    folder = _resolve(data_home)
    if folder.exists():
        shutil.rmtree(folder)


def cached(
    file_name: str,
    compute: Callable[[], np.ndarray],
    is_valid: Callable[[Any], bool],
    data_home: str | os.PathLike | None = None,
) -> np.ndarray:
    """Return the content of a cache file, computed anew unless it is valid.

    Parameters
    ----------
    file_name : str
        Name inside the data home; it must change with whatever the content
        depends on, such as versions.
    compute : callable
        Function that makes the content.
    is_valid : callable
        Whether a loaded object is such a content.
    data_home : str or path-like, default=None
        As in :func:`get_data_home`.

    Returns
    -------
    content : ndarray
        What `compute` returns, or returned in an earlier call.
    """
    path = Path(get_data_home(data_home)) / file_name
    content = _load_or_none(path)
    if content is None or not is_valid(content):
        content = compute()
        _dump(content, path)
    return content


def query_cells(encodings: np.ndarray) -> np.ndarray:
    """Return the rows of a matrix as cells of a query column.

    Indexing the result repeats references, so that all rows of a table with the
    same query share one array object.

    Parameters
    ----------
    encodings : ndarray of shape (n_queries, n_features)
        One vector per query.

    Returns
    -------
    cells : ndarray of shape (n_queries,) and dtype object
        One 1-D array per query.
    """
    return np.fromiter(encodings, dtype=object, count=len(encodings))


def long_table(
    models: pd.Index, queries: pd.DataFrame, encodings: np.ndarray, scores: np.ndarray
) -> pd.DataFrame:
    """Return a matrix of scores as one row per evaluation, model by model.

    Parameters
    ----------
    models : Index of length n_models
        Labels.
    queries : DataFrame of n_queries rows
        With the columns query_id and task.
    encodings : ndarray of shape (n_queries, n_features)
        Vectors of the queries.
    scores : ndarray of shape (n_queries, n_models)
        Score of every model on every query.

    Returns
    -------
    evaluations : DataFrame of n_models * n_queries rows
        With the columns model, query, query_id, task and score.
    """
    n_queries, n_models = scores.shape
    query = np.tile(np.arange(n_queries), n_models)
    return pd.DataFrame(
        {
            "model": models.repeat(n_queries),
            "query": query_cells(encodings)[query],
            "query_id": queries["query_id"].to_numpy()[query],
            "task": queries["task"].to_numpy()[query],
            "score": scores.T.ravel().astype(float),
        }
    )


def _resolve(data_home: str | os.PathLike | None) -> Path:
    if data_home is None:
        data_home = os.environ.get(_ENVIRONMENT_VARIABLE) or _DEFAULT_HOME
    return Path(data_home).expanduser()


def _load_or_none(path: Path) -> np.ndarray | None:
    """Return the array in a cache file; None if there is none that is whole.

    A data home may be shared: nothing in it is unpickled, whoever has put it there.
    """
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as content:
            return content[_CONTENT]
    except Exception:  # a damaged file can raise anything; it is replaced
        return None


def _dump(content: np.ndarray, path: Path) -> None:
    """Write a cache file in one step, so that nobody ever reads half of it."""
    with new_file(path) as file:
        np.savez_compressed(file, allow_pickle=False, **{_CONTENT: content})
