"""The atlas of a pool of models, as frames, a page or a table for other tools."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skl_locus._utils.files import new_file
from skl_locus._utils.validation import check_at_least
from skl_locus.inspection._atlas.frames import (
    cost_curve,
    families_or_clusters,
    mean_costs,
    nearest,
    portfolio_path,
    read_subject,
    scores_by_task,
)
from skl_locus.inspection._atlas.page import page_of
from skl_locus.inspection._atlas.table import parquet_of
from skl_locus.inspection._projection import project

MAX_MODELS = 100_000
"""Models of a page at most; browsers become slow beyond."""


@dataclass(frozen=True, repr=False, eq=False)
class ModelAtlas:
    """Map of a pool of models with scores by task, neighbours, families and curves.

    Made by `model_atlas`; written by `to_html` as a page to look at, or by `to_parquet`
    as a table for other tools.

    Parameters
    ----------
    models : DataFrame of n_models rows
        Indexed by model: the place on the map (x, y), family (None where unknown),
        mean_score (NaN for models without evaluations in the log), n_evaluations and,
        where costs are known, cost per query.
    tasks : DataFrame of shape (n_models, n_tasks)
        Mean score of each model on each task, NaN where the log has none.
    neighbors : DataFrame of shape (n_models, n_neighbors)
        Labels of the nearest models, nearest first.
    distances : DataFrame of shape (n_models, n_neighbors)
        Their distances.
    portfolio : DataFrame
        Models chosen one by one by `skl_locus.KCenterPortfolio`: columns size, model
        (the one added), coverage (the mean similarity of a model to the nearest of the
        portfolio) and, where costs are known, total_cost. ``attrs["n_models"]`` is the
        number of models chosen from.
    cost_curve : DataFrame or None
        Cost and quality of the router on the log, by the weight of cost, as of
        `skl_locus.metrics.cost_quality_curve`; None without costs, router or log.
    axes : tuple of two str
        Names of the axes of the map.
    unit : str or None
        Unit of the costs.
    """

    models: pd.DataFrame
    tasks: pd.DataFrame
    neighbors: pd.DataFrame
    distances: pd.DataFrame
    portfolio: pd.DataFrame
    cost_curve: pd.DataFrame | None
    axes: tuple[str, str]
    unit: str | None = None

    def __repr__(self) -> str:
        """Return the size of the atlas."""
        return (
            f"<{type(self).__name__}: {len(self.models)} models, "
            f"{self.tasks.shape[1]} tasks>"
        )

    def to_html(self, path: str | os.PathLike, *, title: str = "Model atlas") -> Path:
        """Write a page that shows the atlas in any browser, without a network.

        Parameters
        ----------
        path : str or path
            Place of the file, in a folder that exists.
        title : str, default="Model atlas"
            Title of the page.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ValueError
            If there are more than 100,000 models.
        ModuleNotFoundError
            If plotly (extra ``atlas``) is not installed.
        OSError
            If the file cannot be written.
        """
        if len(self.models) > MAX_MODELS:
            raise ValueError(
                f"A page can show {MAX_MODELS:,} models, and the atlas has "
                f"{len(self.models):,}; write them by to_parquet, for Embedding Atlas."
            )
        if not isinstance(title, str):
            raise TypeError(f"title must be a str, got {type(title).__name__}.")
        return _write(path, lambda: page_of(self, title).encode("utf-8", "replace"))

    def to_parquet(self, path: str | os.PathLike) -> Path:
        """Write a table that Embedding Atlas opens, for pools of any size.

        Its columns are model, x, y, family, mean_score, n_evaluations, cost (where
        costs are known), "score on ..." for each task, and neighbors with row numbers
        and distances. Open it by ``embedding-atlas FILE --x x --y y --neighbors
        neighbors --text model``.

        Parameters
        ----------
        path : str or path
            Place of the file, in a folder that exists.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ModuleNotFoundError
            If pyarrow (extra ``scale``) is not installed.
        OSError
            If the file cannot be written.
        """
        return _write(path, lambda: parquet_of(self))


def _write(path: Any, content: Any) -> Path:
    """Write a file in one step; an error names the file that was asked for."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or a path, got {type(path).__name__}.")
    place = Path(path)
    written = content()
    try:
        if place.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        with new_file(place) as file:
            file.write(written)
    except OSError as error:
        # The error of the system would name a draft, which nobody has asked for.
        raise OSError(f"Cannot write {str(place)!r}: {error.strerror}.") from error
    return place


def model_atlas(
    router: Any,
    log: Any = None,
    y: ArrayLike | None = None,
    *,
    families: Any = None,
    costs: Any = None,
    unit: str | None = None,
    method: str | None = None,
    n_neighbors: int = 10,
    score_col: str = "score",
    task_col: str | None = "task",
    random_state: int | None = 0,
) -> ModelAtlas:
    """Collect what there is to see in a pool of models.

    Parameters
    ----------
    router : LocusRouter, RouterPolicy, or dataframe or array of shape \
            (n_models, n_components)
        Fitted; a policy brings its costs. Embeddings have one row per model, and the
        index of a dataframe names the models.
    log : dataframe of n_rows rows, default=None
        Evaluations of models of the router, in a column named as for the router's fit;
        not all of them must have some. None leaves all scores unknown.
    y : array-like of shape (n_rows,), default=None
        Scores in [0, 1]; None reads ``score_col``.
    families : mapping or Series by model label, default=None
        Families; None or NaN for those unknown. Without it, models are coloured by
        clusters of their embeddings.
    costs : mapping, Series or CostModel, default=None
        Cost of each model per query; None takes those of a policy, if there are any.
    unit : str, default=None
        Unit of the costs, such as "$".
    method : {"pca", "mds", "tsne", "umap"}, default=None
        As for `EmbeddingMapDisplay.project`.
    n_neighbors : int, default=10
        Nearest models of each one; all others if there are fewer.
    score_col : str, default="score"
        Column of the scores, if ``y`` is not given.
    task_col : str or None, default="task"
        Column of the tasks. Without it, or for None, there is nothing by task.
    random_state : int or None, default=0
        Determines clusters, the map (but for "pca") and the sample that the portfolio
        of a large pool is chosen from.

    Returns
    -------
    ModelAtlas
        The frames, with `ModelAtlas.to_html` and `ModelAtlas.to_parquet`.

    Raises
    ------
    TypeError
        If the router has no embeddings, or the log is no dataframe.
    ValueError
        If there are fewer than two models, the log has a model that the router does
        not have, or a parameter cannot be used.

    Notes
    -----
    Neighbours are those of `LocusRouter.neighbors`. From 20,000 models on they are
    found by an approximate index if faiss (extra ``scale``) is installed, and the
    portfolio is chosen from a sample of 2,000 models wherever there are more. The cost
    curve routes the queries of the log: on queries that the router was fitted on, it
    is optimistic. Scores are means over the rows of the log.

    See Also
    --------
    EmbeddingMapDisplay : The map alone, as a picture.
    savings_report : Costs and quality of a policy, with intervals.

    Examples
    --------
    >>> from skl_locus import LocusRouter
    >>> from skl_locus.datasets import make_evaluations
    >>> from skl_locus.inspection import model_atlas
    >>> log = make_evaluations(n_models=6, n_queries=60, random_state=0).evaluations
    >>> router = LocusRouter(n_components=16, max_iter=20, random_state=0)
    >>> atlas = model_atlas(router.fit(log, log["score"]), log)
    >>> atlas
    <ModelAtlas: 6 models, 4 tasks>
    >>> atlas.neighbors.shape
    (6, 5)
    """
    check_at_least(n_neighbors, "n_neighbors")
    if not (unit is None or isinstance(unit, str)):
        raise TypeError(f"unit must be a str or None, got {type(unit).__name__}.")
    subject = read_subject(router)
    means, tasks = scores_by_task(subject, log, y, score_col, task_col)
    prices = mean_costs(subject, costs, log)
    coordinates, explained = project(subject.embeddings, method, random_state)
    models = pd.DataFrame(coordinates.to_numpy(), coordinates.index, ["x", "y"])
    models["family"] = families_or_clusters(subject, families, random_state)
    models = models.join(means)
    if prices is not None:
        models["cost"] = prices
    near, distances = nearest(subject, n_neighbors)
    labels = models.index.to_numpy(object)
    ranks = pd.RangeIndex(1, near.shape[1] + 1, name="neighbor")
    return ModelAtlas(
        models=models,
        tasks=tasks,
        neighbors=pd.DataFrame(labels[near], models.index, ranks),
        distances=pd.DataFrame(distances, models.index, ranks),
        portfolio=portfolio_path(subject, prices, random_state),
        cost_curve=cost_curve(subject, log, y, score_col, prices),
        axes=_axis_names(coordinates, explained),
        unit=unit,
    )


def _axis_names(
    coordinates: pd.DataFrame, explained: np.ndarray | None
) -> tuple[str, str]:
    if explained is None:
        first, second = map(str, coordinates.columns)
        return first, second
    # Models that are all equal have no variance to share.
    shares = [
        f" ({share:.0%} of variance)" if share == share else "" for share in explained
    ]
    return f"Principal component 1{shares[0]}", f"Principal component 2{shares[1]}"
