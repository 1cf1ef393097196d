"""Headroom of routing: what choosing a model per task, cluster or query could win."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state

from skl_locus._data.evaluations import EvaluationSet, label_array
from skl_locus._data.pairs import MIN_COVERAGE, best_covered, score_matrix
from skl_locus._data.reader import COLUMN_CONSTRAINTS, TableReaderMixin
from skl_locus._data.scores import read_scores
from skl_locus._data.tasks import task_codes
from skl_locus._utils.forks import survives_fork
from skl_locus._utils.validation import check_at_least

SINGLE, BY_TASK, BY_CLUSTER, ORACLE = (
    "best single",
    "best by task",
    "best by cluster",
    "oracle",
)
"""Ways of choosing, in the order of the table."""

N_CLUSTERS, N_FOLDS = 16, 5
"""Default numbers of clusters and of folds of the queries."""

QUERIES_PER_CLUSTER = 8
"""Minimum mean number of queries per cluster."""

N_STARTS = 4
"""K-means runs from different starts; the tightest is kept."""

CLEAR = 2.0
"""Standard errors that a gain is above 0 if chance alone would rarely explain it."""

POINTS = 100
"""Points in a score of 1."""


@dataclass(frozen=True, repr=False)
class RoutingHeadroom:
    """What the choice of a model per task, cluster or query could win on a log.

    Made by `routing_headroom`; ``str(headroom)`` says it in a sentence.

    Parameters
    ----------
    table : DataFrame
        The ways of choosing, see `routing_headroom`.
    n_queries, n_models : int
        Size of the log.
    min_coverage : float
        Share of the queries on which the best single model must have been evaluated.
    """

    table: pd.DataFrame
    n_queries: int
    n_models: int
    min_coverage: float

    def __str__(self) -> str:
        """Return what routing can win, in points of the score."""
        scores = self.table["score"]
        others = [
            f"of each {what} {scores[name]:.3f}"
            for name, what in ((BY_TASK, "task"), (BY_CLUSTER, "cluster of queries"))
            if name in scores
        ]
        sentence = (
            f"{self._single()}; the best model {', '.join(others)}, of each query "
            f"{scores[ORACLE]:.3f} ({self.n_queries} queries, {self.n_models} models): "
            f"{self._verdict()}."
        )
        coverage = self.table.loc[BY_CLUSTER, "coverage"]
        if coverage == 1:
            return sentence
        return (
            f"{sentence} The log has the best model of the cluster for {coverage:.1%} "
            "of the queries; for the others the best observed one counts."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def _single(self) -> str:
        row = self.table.loc[SINGLE]
        name, score = f"{row['model']!r}", f"{row['score']:.3f}"
        if row["model"] is None:
            return f"No model was evaluated on {self.min_coverage:.0%} of the queries"
        if f"{row['in_sample']:.3f}" == score:
            return f"Always the best single model, {name}, scores {score}"
        # Folds have chosen different models: none of them was surely the best.
        return (
            f"Always one model scores {score}, chosen on other queries ({name} has "
            f"{row['in_sample']:.3f} on all)"
        )

    def _verdict(self) -> str:
        ways = [name for name in (BY_TASK, BY_CLUSTER) if name in self.table.index]
        best = self.table.loc[ways, "gain"].astype(float)
        if best.isna().any():
            return "there is no single model to compare with"
        name = str(best.idxmax())
        gain, error = self.table.loc[name, ["gain", "gain_error"]]
        way = name.removeprefix("best ")
        points = f"{POINTS * gain:.1f} points"
        if gain > CLEAR * error:
            return f"there are {points} to win {way}"
        if gain > 0:
            return f"the {points} to win {way} are within chance"
        return "there is nothing to win " + " or ".join(
            way.removeprefix("best ") for way in ways
        )


def routing_headroom(
    X: Any,
    y: ArrayLike,
    *,
    task_col: str | None = "task",
    n_clusters: int = N_CLUSTERS,
    cv: int = N_FOLDS,
    min_coverage: float = MIN_COVERAGE,
    encoder: Any = None,
    model_col: str = "model",
    query_col: str = "query",
    query_id_col: str = "query_id",
    encoding_cols: Sequence[str] | None = None,
    duplicates: str = "mean",
    random_state: int | np.random.RandomState | None = None,
) -> RoutingHeadroom:
    """Measure what choosing a model per task, cluster or query could win.

    Before a router is fitted, this says whether there is anything to win: where one
    model is the best for all kinds of queries, no router is better than that model.

    Parameters
    ----------
    X : dataframe of n_rows rows
        Evaluations of named models, as for ``fit`` of the routers.
    y : array-like of shape (n_rows,)
        Scores in [0, 1].
    task_col : str or None, default="task"
        Column of the tasks. Without it, for None, or with one task, nothing is chosen
        by task.
    n_clusters : int, default=16
        Number of clusters of queries, at most one for eight queries.
    cv : int, default=5
        Number of folds of the queries.
    min_coverage : float, default=0.8
        Share of the queries on which the best single model must have been evaluated.
    encoder : str, QueryEncoder or scikit-learn text transformer, default=None
        Encoder of text queries; None if the queries are vectors.
    model_col, query_col, query_id_col : str, default="model", "query", "query_id"
        Names of the columns with the model, the query and (optionally) the identity
        of the query.
    encoding_cols : list of str, default=None
        Names of the columns with the query encoding, in a table without a query
        column. None means all numeric columns except model, query id, score, task,
        cost, tokens and latency.
    duplicates : {"mean", "max", "last", "first", "raise"}, default="mean"
        Combination of repeated rows of a (model, query) pair; "raise" makes them an
        error.
    random_state : int, RandomState instance or None, default=None
        Determines the folds and the clusters.

    Returns
    -------
    RoutingHeadroom
        Its ``table`` has the rows

        - "best single": always the same model;
        - "best by task": the best model of each task, if there are several tasks;
        - "best by cluster": the best model of each cluster of similar queries;
        - "oracle": the best model of each query, which no router can know;

        and the columns

        - model: the best single model by all scores;
        - score: mean over queries, cross-validated: models are chosen by the scores of
          the training folds and scored on the held-out fold (not for "oracle");
        - gain: the score less that of "best single", on the same queries;
        - gain_error: its standard error over queries;
        - in_sample: the score if models are chosen by the very scores that count,
          without shrinkage: an upper figure;
        - coverage: how often what would be chosen among all models was observed; for
          "oracle", the mean share of models that were.

    Raises
    ------
    ValueError
        If the table, the scores or a parameter cannot be used.

    Notes
    -----
    Clusters are those of k-means on the unit-length encodings of all queries; they do
    not depend on scores. Within a task or cluster, a model's mean is shrunk to its mean
    over all queries, by as much as chance explains of the differences between groups
    (empirical Bayes). In a partial log, the best of
    the models that were observed for a query counts. A query without a task is in a
    group of those without, and one with several is in the first of them. Queries of one
    encoding are in the same fold. The order of the rows never matters.

    Routers combine more than a cluster and may win more than "best by cluster"; the
    oracle profits from every lucky answer, so that much of its lead cannot be won.

    See Also
    --------
    skl_locus.metrics.oracle_score : The score of the best model per query.
    savings_report : What a fitted policy wins and saves.

    Examples
    --------
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import routing_headroom
    >>> log = make_evaluations(n_models=6, n_queries=300, random_state=0).evaluations
    >>> headroom = routing_headroom(log, log["score"], random_state=0)
    >>> headroom.table[["score", "gain", "in_sample"]].round(2)
                     score  gain  in_sample
    choice
    best single       0.54  0.00       0.57
    best by task      0.83  0.30       0.84
    best by cluster   0.79  0.25       0.84
    oracle            0.96  0.42       0.96
    >>> print(headroom)
    Always one model scores 0...: there are 29... points to win by task.
    """
    check_at_least(n_clusters, "n_clusters")
    check_at_least(cv, "cv", least=2)
    if not 0 <= min_coverage <= 1:
        raise ValueError(f"min_coverage must be in [0, 1], got {min_coverage!r}.")
    reader = LogReader(
        encoder=encoder,
        model_col=model_col,
        query_col=query_col,
        query_id_col=query_id_col,
        encoding_cols=encoding_cols,
        duplicates=duplicates,
    )
    evaluations, tasks = reader.read(X, y, task_col)
    queries = evaluations.queries
    return headroom_of(
        _scores_of(evaluations),
        evaluations.model_names,
        tasks,
        queries.encodings,
        queries.rows,
        n_clusters=n_clusters,
        cv=cv,
        min_coverage=min_coverage,
        rng=check_random_state(random_state),
    )


def headroom_of(
    scores: np.ndarray,
    labels: np.ndarray,
    tasks: np.ndarray,
    encodings: np.ndarray,
    rows: np.ndarray,
    *,
    n_clusters: int = N_CLUSTERS,
    cv: int = N_FOLDS,
    min_coverage: float = MIN_COVERAGE,
    rng: np.random.RandomState,
) -> RoutingHeadroom:
    """Measure the headroom of a log that has been read.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_models)
        Scores, NaN where not evaluated.
    labels : ndarray of shape (n_models,)
        Sorted labels of the models.
    tasks : ndarray of shape (n_queries,)
        Code of each query's task, from 0 on.
    encodings : ndarray of shape (n_encodings, n_features)
        Distinct encodings.
    rows : ndarray of shape (n_queries,)
        Encoding of each query.
    n_clusters, cv, min_coverage
        As for `routing_headroom`.
    rng : RandomState
        Determines the folds and the clusters.

    Returns
    -------
    RoutingHeadroom
        As of `routing_headroom`.
    """
    folds = _folds(encodings, cv, rng)[rows]
    log = HeadroomLog(scores, labels, folds, min_coverage)
    clusters = _clusters(encodings, len(rows), n_clusters, rng)[rows]
    groups = {BY_TASK: tasks, BY_CLUSTER: clusters}
    if tasks.max() == tasks.min():
        del groups[BY_TASK]
    n_queries, n_models = scores.shape
    return RoutingHeadroom(_table(log, groups), n_queries, n_models, min_coverage)


class LogReader(TableReaderMixin):
    """Reader of a log that no estimator has been fitted to.

    Parameters
    ----------
    encoder, model_col, query_col, query_id_col, encoding_cols, duplicates
        As for routers.
    """

    _parameter_constraints: dict = COLUMN_CONSTRAINTS

    def __init__(
        self,
        *,
        encoder: Any,
        model_col: str,
        query_col: str,
        query_id_col: str,
        encoding_cols: Sequence[str] | None,
        duplicates: str,
    ) -> None:
        self.encoder = encoder
        self.model_col = model_col
        self.query_col = query_col
        self.query_id_col = query_id_col
        self.encoding_cols = encoding_cols
        self.duplicates = duplicates

    def read(
        self, X: Any, y: Any, task_col: str | None
    ) -> tuple[EvaluationSet, np.ndarray]:
        """Read evaluations and the task of each query, 0 where it has none."""
        self._validate_params()
        rows = self._read_rows(X, reset=True, y=y)
        if rows.labels is None:
            raise ValueError(
                f"The column {self.model_col!r} is missing: name the model of each row."
            )
        evaluations = self._evaluations_of(rows, read_scores(y, len(rows)))
        codes, labels = task_codes(X, task_col, len(rows))
        tasks = np.full(len(rows.queries), len(labels))
        known = codes >= 0
        np.minimum.at(tasks, rows.query_codes[known], codes[known])
        return evaluations, (tasks + 1) % (len(labels) + 1)


@dataclass(frozen=True)
class HeadroomLog:
    """A log as a matrix, with the folds of its queries.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_models)
        Scores, NaN where not evaluated.
    labels : ndarray of shape (n_models,)
        Sorted labels of the models.
    folds : ndarray of shape (n_queries,)
        Fold of each query.
    min_coverage : float
        Share of the queries on which a single model must have been evaluated.
    """

    scores: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    min_coverage: float

    @property
    def observed(self) -> np.ndarray:
        """Which models were evaluated on which queries: (n_queries, n_models)."""
        return np.isfinite(self.scores)

    def splits(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield which queries are for training and for the test, fold by fold."""
        for fold in np.unique(self.folds):
            held_out = self.folds == fold
            yield ~held_out, held_out

    def single(self, training: np.ndarray) -> int | None:
        """Return the best model by some queries; None if none has the coverage."""
        # Whether a model was evaluated tells nothing of its scores, so the coverage may
        # be that of all queries.
        counts = self.observed.sum(axis=0)
        means = _comparable(_means(self.scores[training]))
        return best_covered(means, counts, self.min_coverage * len(self.scores))


@dataclass(frozen=True)
class Choices:
    """The outcome of a way of choosing on each query.

    Parameters
    ----------
    scores : ndarray of shape (n_queries,)
        Score of the chosen model; NaN where it is not known.
    coverage : ndarray of shape (n_queries,)
        Whether what would be chosen among all models was observed, or the share of the
        models that was.
    """

    scores: np.ndarray
    coverage: np.ndarray


def _scores_of(evaluations: EvaluationSet) -> np.ndarray:
    return score_matrix(
        evaluations.query_codes,
        evaluations.model_codes,
        evaluations.scores,
        (len(evaluations.queries), evaluations.n_models),
    )


def _folds(encodings: np.ndarray, cv: int, rng: np.random.RandomState) -> np.ndarray:
    """Deal distinct encodings to folds, so that equal ones are in the same."""
    n_vectors = len(encodings)
    if n_vectors < cv:
        raise ValueError(
            f"cv={cv} is larger than the number of distinct queries, {n_vectors}."
        )
    return rng.permutation(n_vectors) % cv


@survives_fork
def _clusters(
    encodings: np.ndarray,
    n_queries: int,
    n_clusters: int,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Cluster encodings by direction: (n_encodings,)."""
    # Loading sklearn.cluster takes as long as all of this package.
    from sklearn.cluster import KMeans

    directions = normalize(encodings)
    n_distinct = len(np.unique(directions, axis=0))
    largest = max(1, n_queries // QUERIES_PER_CLUSTER)
    k_means = KMeans(
        min(n_clusters, largest, n_distinct),
        n_init=N_STARTS,
        random_state=rng.randint(2**31 - 1),
    )
    return k_means.fit(directions).labels_


def _table(log: HeadroomLog, groups: dict[str, np.ndarray]) -> pd.DataFrame:
    oracle = _oracle(log)
    held_out = {SINGLE: _single_held_out(log)}
    in_sample = {SINGLE: _single_in_sample(log)}
    everything = np.ones(len(log.scores), dtype=bool)
    for name, codes in groups.items():
        held_out[name] = _by_group_held_out(log, codes)
        in_sample[name] = _by_group(log, codes, everything, everything, shrink=False)
    held_out[ORACLE] = in_sample[ORACLE] = oracle
    best = log.single(everything)
    rows = [
        {
            "score": _mean(choices.scores),
            **_gain(choices.scores, held_out[SINGLE].scores),
            "in_sample": _mean(in_sample[name].scores),
            "coverage": float(choices.coverage.mean()),
        }
        for name, choices in held_out.items()
    ]
    table = pd.DataFrame(rows, pd.Index(held_out, name="choice"))
    chosen = None if best is None else log.labels[best]
    labels = label_array([chosen, *[None] * (len(table) - 1)])
    table.insert(0, "model", pd.Series(labels, table.index, dtype=object))
    return table


def _single_held_out(log: HeadroomLog) -> Choices:
    scores = np.full(len(log.scores), np.nan)
    for training, test in log.splits():
        best = log.single(training)
        if best is not None:
            scores[test] = log.scores[test, best]
    return Choices(scores, np.isfinite(scores))


def _single_in_sample(log: HeadroomLog) -> Choices:
    best = log.single(np.ones(len(log.scores), dtype=bool))
    scores = np.full(len(log.scores), np.nan) if best is None else log.scores[:, best]
    return Choices(scores, np.isfinite(scores))


def _by_group_held_out(log: HeadroomLog, groups: np.ndarray) -> Choices:
    scores = np.full(len(log.scores), np.nan)
    coverage = np.zeros(len(log.scores))
    for training, test in log.splits():
        choices = _by_group(log, groups, training, test)
        scores[test], coverage[test] = choices.scores, choices.coverage
    return Choices(scores, coverage)


def _by_group(
    log: HeadroomLog,
    groups: np.ndarray,
    training: np.ndarray,
    test: np.ndarray,
    *,
    shrink: bool = True,
) -> Choices:
    """Choose the best observed model of a query's group, by the training queries."""
    preferences = _preferences(
        log.scores[training], groups[training], groups.max() + 1, shrink
    )[groups[test]]
    observed = log.observed[test]
    queries = np.arange(len(preferences))
    chosen = np.where(observed, preferences, -np.inf).argmax(axis=1)
    free = preferences.argmax(axis=1)
    return Choices(log.scores[test][queries, chosen], observed[queries, free])


def _preferences(
    scores: np.ndarray, groups: np.ndarray, n_groups: int, shrink: bool
) -> np.ndarray:
    """Return how good each model is in each group, by its scores.

    Returns
    -------
    ndarray of shape (n_groups, n_models)
        The model's mean over all queries and its strength in the group, up to a number
        that is the same for all models of a group.
    """
    overall = _comparable(_means(scores))
    strengths = scores - overall
    # Hard queries are hard for all models: without their common part less is left to
    # chance, and it does not matter which queries of a group a model was evaluated on.
    strengths -= _means(strengths.T)[:, None]
    members = (np.arange(n_groups)[:, None] == groups).astype(np.float64)
    counts = members @ np.isfinite(strengths)
    sums = members @ np.nan_to_num(strengths)
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    if shrink:
        means *= _reliability(strengths, means, counts, groups)
    return overall + means


def _reliability(
    strengths: np.ndarray, means: np.ndarray, counts: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Return what share of each mean strength is no chance: (n_groups, n_models).

    The variances within and between the cells of a group and a model are estimated by
    their moments. Without shrinkage the best model of a small group is the luckiest.
    """
    n_cells, n_scores = int((counts > 0).sum()), counts.sum()
    if n_scores <= n_cells:
        return np.zeros_like(means)  # chance cannot be told from strength
    within = np.nansum((strengths - means[groups]) ** 2) / (n_scores - n_cells)
    between = max(0.0, ((counts * means**2).sum() - n_cells * within) / n_scores)
    # Without any variance there is nothing to shrink, nor to choose by.
    variance = counts * between + within
    share = np.zeros_like(means)
    return np.divide(counts * between, variance, out=share, where=variance > 0)


def _means(scores: np.ndarray) -> np.ndarray:
    """Return each model's mean observed score, NaN without any: (n_models,)."""
    counts = np.isfinite(scores).sum(axis=0)
    sums = np.nan_to_num(scores).sum(axis=0)
    means = np.full(len(counts), np.nan)
    return np.divide(sums, counts, out=means, where=counts > 0)


def _comparable(means: np.ndarray) -> np.ndarray:
    """Put models without a mean behind all others."""
    return np.nan_to_num(means, nan=-1.0)


def _oracle(log: HeadroomLog) -> Choices:
    best = np.where(log.observed, log.scores, -np.inf).max(axis=1)
    return Choices(best, log.observed.mean(axis=1))


def _mean(scores: np.ndarray) -> float:
    known = np.isfinite(scores)
    return float(scores[known].mean()) if known.any() else np.nan


def _gain(scores: np.ndarray, single: np.ndarray) -> dict[str, float]:
    """Return the mean difference from the single model and its standard error."""
    differences = scores - single
    differences = differences[np.isfinite(differences)]
    n = len(differences)
    if n < 2:
        return {"gain": np.nan, "gain_error": np.nan}
    error = float(differences.std(ddof=1)) / n**0.5
    return {"gain": float(differences.mean()), "gain_error": error}
