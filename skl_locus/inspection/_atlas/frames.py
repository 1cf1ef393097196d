"""Frames of the model atlas: places, scores by task, neighbours, families, curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skl_locus._costs.tables import cost_matrix, costs_by_label
from skl_locus._data.columns import as_frame, model_groups, read_column
from skl_locus._data.pairs import pair_up
from skl_locus._data.scores import read_scores
from skl_locus._data.tasks import task_codes
from skl_locus._routing.access import fitted_pool, read_log
from skl_locus._routing.cost_curve import swept_curve
from skl_locus._routing.embedding_base import nearest_models
from skl_locus._routing.unwrap import fitted_router
from skl_locus.inspection._geometry import as_embeddings
from skl_locus.inspection._plot.axes import values_by_model
from skl_locus.portfolio._k_center import KCenterPortfolio

MAX_CLUSTERS = 7
"""Clusters at most, so that each has a colour and a shape of its own."""

SMALL_POOL = 10_000
"""Models up to which clusters are those of k-means over all of them at once."""

PORTFOLIO_POOL = 2_000
"""Models that a portfolio is chosen from; of larger pools, a sample of them."""

PORTFOLIO_SIZE = 20
"""Models of the largest portfolio."""

PRICED_ROWS = 1_000
"""Rows of the log that a model of costs is asked about; they give means per model."""

CURVE_CELLS = 20_000_000
"""Pairs of a query and a model at most in the cost curve, which bounds its memory."""

CURVE_POINTS = 100
"""Operating points of the cost curve; more cannot be seen in a picture."""

DISTANCE_ROWS = 4_096
"""Models whose distances to their neighbours are computed at a time."""


@dataclass(frozen=True)
class Subject:
    """The models of an atlas, as a router, a policy or a table of embeddings has them.

    Parameters
    ----------
    embeddings : DataFrame of shape (n_models, n_components)
        Indexed by model.
    rows, columns : ndarray of shape (n_models, n_columns)
        Both sides of the distances between models.
    router : router or None
        None for a table of embeddings.
    costs : CostModel, mapping, Series or None
        Of a policy.
    model_col : str
        Column of the models in a log.
    """

    embeddings: pd.DataFrame
    rows: np.ndarray
    columns: np.ndarray
    router: Any
    costs: Any
    model_col: str


def read_subject(models: Any) -> Subject:
    """Read the models of a router, of a policy or of a table of embeddings."""
    costs = getattr(models, "cost_model_", None)
    if hasattr(models, "cost_model"):
        models = models.router
    if isinstance(models, (pd.DataFrame, np.ndarray)):
        embeddings = as_embeddings(models)
        sides, router = (embeddings.to_numpy(np.float64),) * 2, None
    else:
        router = fitted_router(models)
        if not hasattr(router, "embeddings_"):
            raise TypeError(
                f"router must have embeddings of its models, as a LocusRouter has; "
                f"{type(router).__name__} has none."
            )
        embeddings = as_embeddings(router)
        sides = fitted_pool(router).compared_embeddings("euclidean")  # type: ignore[attr-defined]
    _check_embeddings(embeddings)
    model_col = "model" if router is None else router.model_col
    return Subject(embeddings, *sides, router, costs, model_col)


def _check_embeddings(embeddings: pd.DataFrame) -> None:
    n_models, n_components = embeddings.shape
    if n_models < 2 or n_components < 2:
        raise ValueError(
            "An atlas needs at least two models, and embeddings of at least two "
            f"components; got {n_models} and {n_components}."
        )
    if not np.isfinite(embeddings.to_numpy(np.float64)).all():
        raise ValueError("The embeddings have values that are not finite numbers.")


def scores_by_task(
    subject: Subject, log: Any, y: Any, score_col: str, task_col: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Average the scores of each model over a log, and over each task of it.

    Returns
    -------
    means : DataFrame of shape (n_models, 2)
        Columns mean_score, NaN where the log has none, and n_evaluations.
    tasks : DataFrame of shape (n_models, n_tasks)
        Mean scores, NaN where the log has none.
    """
    index = subject.embeddings.index
    if log is None:
        empty = pd.DataFrame({"mean_score": np.nan, "n_evaluations": 0}, index)
        return empty, pd.DataFrame(index=index)
    models, scores = _read_rows(subject, log, y, score_col)
    codes, labels = task_codes(log, task_col, len(scores))
    sums, counts = _totals(models, scores, len(index))
    means = pd.DataFrame({"mean_score": _ratio(sums, counts)}, index)
    means["n_evaluations"] = counts
    # One cell for each pair of a model and a task, so that one pass is enough.
    known = codes >= 0
    shape = len(index), len(labels)
    cells = models[known] * len(labels) + codes[known]
    sums, counts = _totals(cells, scores[known], shape[0] * shape[1])
    table = _ratio(sums, counts).reshape(shape)
    return means, pd.DataFrame(table, index, pd.Index(labels, tupleize_cols=False))


def _read_rows(
    subject: Subject, log: Any, y: Any, score_col: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the position of the model, and the score, of each row of a log."""
    frame = as_frame(log)
    if frame is None:
        raise TypeError(
            f"log must be a dataframe with the columns {subject.model_col!r} and "
            f"{score_col!r}, got {type(log).__name__}."
        )
    if not len(frame):
        raise ValueError("log has no rows.")
    codes, labels = model_groups(frame, subject.model_col)
    scores = read_column(frame, score_col) if y is None else y
    positions = subject.embeddings.index.get_indexer(pd.Index(labels, dtype=object))
    if (positions < 0).any():
        strange = labels[int(np.argmax(positions < 0))]
        raise ValueError(
            f"log has the model {strange!r}, which is none of the {len(subject.rows)} "
            "models of the atlas; leave its rows out, or onboard it with add_models."
        )
    return positions[codes], read_scores(scores, len(frame), "the scores of log")


def _totals(
    codes: np.ndarray, values: np.ndarray, n_codes: int
) -> tuple[np.ndarray, np.ndarray]:
    sums = np.bincount(codes, values.astype(np.float64), minlength=n_codes)
    return sums, np.bincount(codes, minlength=n_codes)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


def nearest(subject: Subject, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and distances of the k nearest models: (n_models, k) each."""
    near = nearest_models(subject.rows, subject.columns, k, "euclidean")
    distances = np.empty(near.shape)
    # All at once would hold k copies of the embeddings.
    for start in range(0, len(near), DISTANCE_ROWS):
        part = slice(start, start + DISTANCE_ROWS)
        steps = subject.rows[part, None, :] - subject.columns[near[part]]
        distances[part] = np.sqrt(np.square(steps, dtype=np.float64).sum(axis=2))
    return near, distances


def families_or_clusters(
    subject: Subject, families: Any, random_state: Any
) -> pd.Series:
    """Return the given family of each model, or its cluster where none are given."""
    index = subject.embeddings.index
    if families is not None:
        given = values_by_model(families, index, "families")
        return pd.Series(
            [None if pd.isna(name) else str(name) for name in given],
            index,
            dtype=object,
            name="family",
        )
    codes = _clusters(subject.embeddings.to_numpy(np.float64), random_state)
    # The largest one is the first, so that names do not turn with the seed.
    ranks = np.argsort(np.argsort(-np.bincount(codes), kind="stable"))
    names = [f"cluster {rank + 1}" for rank in ranks[codes]]
    return pd.Series(names, index, dtype=object, name="family")


def _clusters(values: np.ndarray, random_state: Any) -> np.ndarray:
    from sklearn.cluster import KMeans, MiniBatchKMeans

    # Half as many models in a cluster as clusters would be, up to a few that the eye
    # can hold apart; equal embeddings cannot be in different clusters.
    wanted = min(MAX_CLUSTERS, round(np.sqrt(len(values) / 2)))
    n_clusters = max(1, min(wanted, len(np.unique(values[:SMALL_POOL], axis=0))))
    method = KMeans if len(values) <= SMALL_POOL else MiniBatchKMeans
    model = method(n_clusters, n_init=3, random_state=random_state)
    return np.unique(model.fit_predict(values), return_inverse=True)[1]


def mean_costs(subject: Subject, costs: Any, log: Any) -> pd.Series | None:
    """Return what each model costs per query on average, None where nobody knows."""
    index = subject.embeddings.index
    costs = subject.costs if costs is None else costs
    if costs is None:
        return None
    if not hasattr(costs, "matrix"):
        known = costs_by_label(costs, index)
        return pd.Series(list(known.values()), index, name="cost")
    frame = as_frame(log)
    if frame is None:
        raise ValueError("A model of costs needs a log with queries; pass log.")
    step = -(-len(frame) // PRICED_ROWS)
    rows = frame[::step]
    matrix = cost_matrix(costs, rows.to_native(), len(rows), index.to_numpy(object))
    return pd.Series(matrix.mean(axis=0), index, name="cost")


def portfolio_path(
    subject: Subject, costs: pd.Series | None, random_state: Any
) -> pd.DataFrame:
    """Choose models one by one so that the worst covered model is covered well.

    Returns
    -------
    DataFrame
        One row per choice with the columns size, model, coverage (the share of the
        pool, from 0 to 1) and, with costs, total_cost. ``attrs["n_models"]`` is the
        number of models chosen from.
    """
    pool = subject.embeddings
    if len(pool) > PORTFOLIO_POOL:
        # Similarities of all pairs would take hours for the largest pools.
        pool = pool.sample(PORTFOLIO_POOL, random_state=random_state)
    if len(np.unique(pool.to_numpy(), axis=0)) < 2:
        # The similarity has no scale where all models are equal.
        pool = pool.iloc[:0]
        return _path_frame([], np.array([]), costs, 0)
    size = min(PORTFOLIO_SIZE, len(pool))
    # Columns of some tables have names that scikit-learn does not take.
    values = pd.DataFrame(pool.to_numpy(np.float64), pool.index)
    fitted = KCenterPortfolio(size).fit(values)
    chosen = pool.index[fitted.selected_indices_]
    return _path_frame(chosen, fitted.coverage_path_, costs, len(pool))


def _path_frame(
    chosen: Any, coverage: np.ndarray, costs: pd.Series | None, n_models: int
) -> pd.DataFrame:
    path = pd.DataFrame({"size": np.arange(1, len(chosen) + 1), "model": list(chosen)})
    path["coverage"] = coverage / max(n_models, 1)
    if costs is not None:
        path["total_cost"] = costs.loc[list(chosen)].cumsum().to_numpy()
    path.attrs["n_models"] = n_models
    return path


def cost_curve(
    subject: Subject, log: Any, y: Any, score_col: str, costs: pd.Series | None
) -> pd.DataFrame | None:
    """Return cost and quality of the router on a log, by the weight of cost."""
    if costs is None or subject.router is None or log is None:
        return None
    scores = read_column(as_frame(log), score_col) if y is None else y  # type: ignore[arg-type]
    evaluations = read_log(subject.router, log, scores)
    most = max(1, CURVE_CELLS // len(costs))
    if len(evaluations.queries) > most:
        # Queries are in the order of their digests: the first ones are any ones.
        evaluations = evaluations.take(np.flatnonzero(evaluations.query_codes < most))
    pool = fitted_pool(subject.router)
    columns = pool.columns_of(evaluations.model_names)
    decisions = pool.decision_scores(evaluations.queries.vectors(), columns)
    models, queries = evaluations.model_codes, evaluations.query_codes
    known = {
        "score": evaluations.scores.astype(np.float64),
        "y_score": decisions[queries, models].astype(np.float64),
        "costs": costs.to_numpy()[columns][models],
    }
    labels = evaluations.model_names.tolist()
    return swept_curve(pair_up(queries, models, labels, known), CURVE_POINTS)
