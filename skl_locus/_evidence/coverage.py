"""Coverage of the known queries by the evaluations of new models."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._estimation.clusters import QueryClusters

MIN_EVALUATIONS = 8
"""Evaluations of a model from which on their spread is looked at: fewer are spread
over few clusters by chance."""

NARROW = 0.5
"""Coverage below this share of what as many random queries would cover is narrow."""


def narrow_coverage(
    clusters: QueryClusters,
    known: EvaluationSet,
    new: EvaluationSet,
    models: Collection,
) -> dict:
    """Find models whose queries are from a narrow part of the known ones.

    A model's coverage is the share of the known queries that are in a cluster with a
    query of the model.

    Parameters
    ----------
    clusters : QueryClusters
        Clusters of the known queries.
    known : EvaluationSet
        Evaluations of the pool.
    new : EvaluationSet
        Evaluations with those of the models.
    models : collection of labels
        New models.

    Returns
    -------
    dict of label to (float, float)
        The coverage of each model for which it is narrow, and that of as many queries
        drawn at random.
    """
    shares = np.bincount(clusters.groups_of(known.queries), minlength=len(clusters))
    shares = shares / shares.sum()
    # Once for all models: a search of the table for each would grow with its square.
    groups, offsets = clusters.groups_of(new.queries), new.offsets
    narrow = {}
    for model, code in zip(models, new.index_of(models), strict=True):
        own = new.query_codes[slice(*offsets[code : code + 2])]
        if len(own) < MIN_EVALUATIONS:
            continue
        covered = float(shares[np.unique(groups[own])].sum())
        expected = float((shares * (1 - (1 - shares) ** len(own))).sum())
        if covered < NARROW * expected:
            narrow[model] = covered, expected
    return narrow
