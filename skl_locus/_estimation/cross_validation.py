"""Choice among settings by query-wise cross-validation within fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from sklearn.utils._param_validation import StrOptions

from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.pairs import score_matrix
from skl_locus._utils.blas_threads import map_tasks

N_FOLDS = 5
"""Folds of the queries, or as many as there are distinct encodings."""

TUNE_FOR: list[Any] = [StrOptions({"log_loss", "routing_accuracy"})]
"""What a choice may be made for, as a constraint of a parameter."""

Setting = TypeVar("Setting")

Predict = Callable[[EvaluationSet, np.ndarray, Sequence[Setting]], Iterable[np.ndarray]]
"""From a training set, encodings of other queries (n_queries, n_features) and some
settings to one matrix of P(correct), (n_queries, n_models), for each setting."""


def choose_setting(
    settings: Sequence[Setting],
    evaluations: EvaluationSet,
    predict: Predict[Setting],
    tune_for: str,
) -> Setting:
    """Return the setting that predicts held-out queries best.

    Parameters
    ----------
    settings : sequence
        Candidates from the simplest to the most flexible; the first of equally good
        ones is chosen, and the very first where nothing can be held out.
    evaluations : EvaluationSet
        What there is to learn from.
    predict : callable
        ``predict(training, encodings, settings)`` gives a matrix for each setting,
        so that the settings can share work.
    tune_for : {"log_loss", "routing_accuracy"}
        The log loss of all held-out evaluations, or the mean score of the models
        chosen, on each query among those observed.

    Returns
    -------
    setting
        One of ``settings``.
    """
    if len(settings) == 1:
        return settings[0]
    cost = {"log_loss": _log_loss, "routing_accuracy": _routing_cost}[tune_for]

    # One pass over the folds for all settings: training sets are made once, and what
    # settings share is computed once.
    def costs_of(fold: tuple[EvaluationSet, EvaluationSet]) -> list[float]:
        training, held_out = fold
        columns = training.index_of(held_out.model_names)[held_out.model_codes]
        return [
            cost(held_out, matrix[held_out.query_codes, columns])
            for matrix in predict(training, held_out.queries.vectors(), settings)
        ]

    costs = map_tasks(
        costs_of, query_folds(evaluations), name="choose settings", unit="fold"
    )
    if not costs:
        return settings[0]
    return settings[int(np.sum(costs, axis=0).argmin())]


def query_folds(
    evaluations: EvaluationSet,
) -> Iterator[tuple[EvaluationSet, EvaluationSet]]:
    """Split evaluations by query into (training, held-out) sets, fold by fold."""
    for training, held_out in fold_rows(evaluations):
        yield evaluations.take(training), evaluations.take(held_out)


def fold_rows(evaluations: EvaluationSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split rows by query into (training, held-out) rows, fold by fold.

    Queries are dealt to the folds in the order of their keys, those of equal
    encodings to the same one. Of the held-out evaluations only those of models with
    training evaluations are kept, and folds without any are left out.
    """
    # Keys are digests: dealing queries in their order is a random split that does not
    # depend on the order of the table. Queries of one encoding are the same to a
    # router; in two folds one would give away the other.
    vectors = evaluations.queries.rows[evaluations.query_codes]
    n_folds = min(N_FOLDS, len(evaluations.queries.encodings))
    for fold in range(n_folds):
        held_out = vectors % n_folds == fold
        trained = np.unique(evaluations.model_codes[~held_out])
        held_out_rows = held_out & np.isin(evaluations.model_codes, trained)
        if held_out_rows.any():
            yield np.flatnonzero(~held_out), np.flatnonzero(held_out_rows)


def _log_loss(held_out: EvaluationSet, probabilities: np.ndarray) -> float:
    # Loaded late, with sklearn.metrics, which takes as long as all of this package.
    from skl_locus.metrics import soft_log_loss

    return len(held_out) * soft_log_loss(held_out.scores, probabilities)


def _routing_cost(held_out: EvaluationSet, probabilities: np.ndarray) -> float:
    # As in `routing_accuracy_score`: the first of equal models, among the observed.
    shape = len(held_out.queries), held_out.n_models
    decisions, scores = (
        score_matrix(held_out.query_codes, held_out.model_codes, values, shape)
        for values in (probabilities, held_out.scores)
    )
    chosen = np.nan_to_num(decisions, nan=-1.0).argmax(axis=1)
    return -float(scores[np.arange(len(scores)), chosen].sum())
