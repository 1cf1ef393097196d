"""Search for models by the accuracies wished for on tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances
from sklearn.utils import check_random_state

from skl_locus._data.columns import as_frame, read_column
from skl_locus._data.queries import QuerySet
from skl_locus._routing.access import (
    embed_by_network,
    network_embeddings,
    read_query_rows,
)
from skl_locus._routing.unwrap import known_evaluations
from skl_locus._utils.model_frames import model_index
from skl_locus._utils.validation import check_at_least
from skl_locus.inspection._matched_pairs import pseudo_models

RECALL_AT = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class TaskQueries:
    """Distinct queries and the task of each: (n_queries,)."""

    queries: QuerySet
    tasks: np.ndarray


def profile_search(
    router: Any,
    profile: Mapping[Any, float],
    *,
    tasks: Any,
    task_col: str = "task",
    k: int = 10,
    n_evaluations: int | None = None,
    n_draws: int = 10,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Find the models that are nearest to wished accuracies on tasks.

    Paper section E.1: queries of the tasks are drawn and scored at random, 1 with
    the probability that the profile gives their task, and the set is embedded as
    if it were a model's. Distances are averaged over several such sets. They are those
    of the network's own embeddings, whatever the ``geometry`` of the router.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    profile : mapping of task to float in [0, 1]
        Wished accuracy on each task. Tasks that are not named have no part.
    tasks : dataframe of n_rows rows
        Queries in the form that the router takes, with their tasks: a table of
        queries, or a log of evaluations (its models and scores are not used).
    task_col : str, default="task"
        Column of the tasks.
    k : int, default=10
        Number of models to return; fewer where the router has fewer.
    n_evaluations : int, default=None
        Queries drawn for each set, without replacement; None means all.
    n_draws : int, default=10
        Number of sets.
    random_state : int, RandomState instance or None, default=None
        Determines the draws.

    Returns
    -------
    DataFrame of shape (k, 2)
        Indexed by model, nearest first: distance (Euclidean, mean over the draws)
        and spread (standard deviation over the draws; NaN for a single one).

    Raises
    ------
    ValueError
        If the profile is empty, has an unknown task or an accuracy outside [0, 1],
        or a number is out of range.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import profile_search
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> wish = {"task-0": 0.9, "task-1": 0.2}
    >>> profile_search(router, wish, tasks=log, k=3, random_state=0).shape
    (3, 2)
    """
    check_at_least(k, "k")
    check_at_least(n_draws, "n_draws")
    known = _read_tasks(router, tasks, task_col)
    rng = check_random_state(random_state)
    rates = _rates(profile, known.tasks)
    embeddings = _hypothetical(router, known, rates, n_evaluations, n_draws, rng)
    distances = pairwise_distances(embeddings, network_embeddings(router))
    spread = np.full(distances.shape[1], np.nan)
    if n_draws > 1:
        spread = distances.std(axis=0, ddof=1)
    index = model_index(router.models_.tolist(), router.model_col)
    table = pd.DataFrame({"distance": distances.mean(axis=0), "spread": spread}, index)
    return table.sort_values("distance", kind="stable").head(k)


def profile_recall(
    router: Any,
    *,
    tasks: Any,
    task_col: str = "task",
    k: Sequence[int] = RECALL_AT,
    n_evaluations: int | None = None,
    n_draws: int = 1,
    random_state: int | np.random.RandomState | None = None,
) -> pd.Series:
    """Measure how often the search for a model's own profile finds the model.

    Paper section E.1 and Figure 11: the profile of each model is its mean score on
    each task, from the evaluations that the router keeps.

    Parameters
    ----------
    router : LocusRouter
        Fitted on named models.
    tasks : dataframe of n_rows rows
        Queries with their tasks, as in `profile_search`.
    task_col : str, default="task"
        Column of the tasks.
    k : sequence of int, default=(1, 2, 3, 5, 10)
        Numbers of models to look among.
    n_evaluations : int, default=None
        Queries drawn for each set; None means all.
    n_draws : int, default=1
        Sets per model that distances are averaged over; 1 is the paper's.
    random_state : int, RandomState instance or None, default=None
        Determines the draws.

    Returns
    -------
    Series
        Recall indexed by k: fraction of models that are among the k nearest to the
        embedding of their own profile.

    Raises
    ------
    ValueError
        If no model was evaluated on the queries of the tasks, or a number is out
        of range.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import profile_recall
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> router = router.fit(log, log["score"])
    >>> float(profile_recall(router, tasks=log, k=[6], random_state=0)[6])
    1.0
    """
    check_at_least(n_draws, "n_draws")
    for i, limit in enumerate(k):
        check_at_least(limit, f"k[{i}]")
    known = _read_tasks(router, tasks, task_col)
    rng = check_random_state(random_state)
    ranks = []
    for column, name in enumerate(router.models_):
        profile = _own_profile(router, name, known)
        if not profile:
            continue
        rates = _rates(profile, known.tasks)
        embeddings = _hypothetical(router, known, rates, n_evaluations, n_draws, rng)
        distances = pairwise_distances(embeddings, network_embeddings(router))
        distances = distances.mean(axis=0)
        ranks.append(1 + (distances < distances[column]).sum())
    if not ranks:
        raise ValueError("No model was evaluated on any of the queries of tasks.")
    recall = [float(np.mean(np.array(ranks) <= limit)) for limit in k]
    return pd.Series(recall, pd.Index(list(k), name="k"), name="recall")


def _read_tasks(router: Any, tasks: Any, task_col: str) -> TaskQueries:
    frame = as_frame(tasks)
    if frame is None:
        raise TypeError("tasks must be a dataframe of queries with their tasks.")
    column = np.asarray(read_column(frame, task_col), dtype=object)
    if pd.isna(column).any():
        row = int(np.argmax(pd.isna(column)))
        raise ValueError(f"The column {task_col!r} has a missing value in row {row}.")
    others = [name for name in frame.columns if name != task_col]
    codes, queries = read_query_rows(router, frame.select(others))
    # The last assignment of a query counts: backwards, that is its first row.
    of_query = np.empty(len(queries), dtype=object)
    of_query[codes[::-1]] = column[::-1]
    return TaskQueries(queries, of_query)


def _rates(profile: Mapping[Any, float], tasks: np.ndarray) -> np.ndarray:
    """Return the wished accuracy of each query, NaN where its task is not named."""
    if not profile:
        raise ValueError("profile is empty; give the accuracy of at least one task.")
    unknown = [task for task in profile if task not in set(tasks)]
    if unknown:
        raise ValueError(
            f"profile has the task {unknown[0]!r}, of which tasks has no query."
        )
    for task, accuracy in profile.items():
        if not 0 <= accuracy <= 1:
            raise ValueError(
                f"The accuracy of {task!r} is {accuracy!r}, not in [0, 1]."
            )
    return np.array([profile.get(task, np.nan) for task in tasks], dtype=np.float64)


def _hypothetical(
    router: Any,
    known: TaskQueries,
    rates: np.ndarray,
    n_evaluations: int | None,
    n_draws: int,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Embed sets of queries scored at random: (n_draws, n_components)."""
    wanted = np.flatnonzero(~np.isnan(rates))
    size = len(wanted) if n_evaluations is None else n_evaluations
    if not isinstance(size, Integral) or not 1 <= size <= len(wanted):
        raise ValueError(
            f"n_evaluations={size!r}, but the tasks of the profile have "
            f"{len(wanted)} queries."
        )
    codes = np.stack([rng.permutation(wanted)[:size] for _ in range(n_draws)])
    scores = rng.uniform(size=codes.shape) < rates[codes]
    # Scores drawn at random have the wanted accuracies and agree with nobody query by
    # query: the network's embeddings follow the former, completed scores the latter.
    return embed_by_network(router, pseudo_models(known.queries, codes, scores))


def _own_profile(router: Any, name: Any, known: TaskQueries) -> dict[Any, float]:
    """Return a model's mean score on each task that it was evaluated on."""
    own = known_evaluations(router, name)
    keys = own.queries.keys[own.query_codes]
    used = np.isin(keys, known.queries.keys)
    position = np.searchsorted(known.queries.keys, keys[used])
    scores = pd.Series(own.scores[used].astype(np.float64))
    return scores.groupby(known.tasks[position]).mean().to_dict()
