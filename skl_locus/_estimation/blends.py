"""Averages of models' values over clusters of queries."""

from __future__ import annotations

import numpy as np


def weighted_sums(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Add up values of clusters, as a matrix product whose columns are independent.

    Parameters
    ----------
    weights : ndarray of shape (n_queries, n_clusters)
        Weight of each cluster for each query.
    values : ndarray of shape (n_clusters, n_models)
        Value of each model in each cluster.

    Returns
    -------
    ndarray of shape (n_queries, n_models), float64
        ``weights @ values``.
    """
    # A product of BLAS rounds a column in another way when there are more columns.
    # Added cluster by cluster, a model's sums do not depend on the other models.
    sums = np.zeros((len(weights), values.shape[1]))
    for weight, value in zip(weights.T, values, strict=True):
        sums += np.multiply.outer(weight, value)
    return sums
