"""Models of a pool as the factor model sees them, for their recognition."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from skl_locus._data.codes import find_sorted
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.factors import FactorModel


@dataclass(frozen=True)
class KnownModels:
    """Stored evaluations of models beside their abilities and factor scores.

    Parameters
    ----------
    model : FactorModel
        Of the pool.
    evaluations : EvaluationSet
        Stored evaluations of all models.
    abilities : ndarray of shape (n_models,)
        In the order of ``evaluations.model_names``.
    factor_scores : ndarray of shape (n_models, n_factors)
        In the same order.
    """

    model: FactorModel
    evaluations: EvaluationSet
    abilities: np.ndarray
    factor_scores: np.ndarray

    @classmethod
    def of(cls, model: FactorModel, evaluations: EvaluationSet) -> KnownModels:
        """Estimate the scores of the models from their evaluations."""
        abilities, factor_scores, _ = model.scores(evaluations)
        return cls(model, evaluations, abilities, factor_scores)

    def expected_scores(self, names: Collection, queries: QuerySet) -> np.ndarray:
        """Return what models are expected to score on any queries.

        Parameters
        ----------
        names : collection of labels
            Models.
        queries : QuerySet
            Queries.

        Returns
        -------
        ndarray of shape (n_names, n_queries)
            Expected scores in [0, 1], in the order of ``names``.
        """
        places = self.evaluations.index_of(names)
        return self.model.expected_scores(
            self.abilities[places], self.factor_scores[places], queries
        )

    def directions(self, queries: QuerySet, but_for: Collection) -> np.ndarray:
        """Return how scores on queries bear on ability and on each factor score.

        Parameters
        ----------
        queries : QuerySet
            Queries.
        but_for : collection of labels
            Models whose evaluations have no part in the result.

        Returns
        -------
        ndarray of shape (n_queries, 1 + n_factors)
            Gradients of the expected standardised score, each for a step of one
            standard deviation in the pool. Those of factors are zero for queries that
            no other model was evaluated on.
        """
        others, codes = self._others(queries, but_for)
        scales = np.sqrt([1 / self.model.precision, *self.model.scales])
        factors = np.zeros((len(queries), len(self.model.scales)))
        if len(others):
            columns = self.evaluations.index_of(others.model_names)
            estimated = self.model.factors_from(
                others, self.abilities[columns], self.factor_scores[columns]
            )
            factors[codes] = estimated
        return np.column_stack([np.ones(len(queries)), factors]) * scales

    def _others(
        self, queries: QuerySet, but_for: Collection
    ) -> tuple[EvaluationSet, np.ndarray]:
        """Return other models' evaluations of queries, and the places of the queries.

        Places are positions in ``queries`` of those of the returned set.
        """
        stored = self.evaluations
        is_other = ~np.isin(np.arange(stored.n_models), stored.index_of(but_for))
        is_asked = find_sorted(queries.keys, stored.queries.keys) >= 0
        rows = is_other[stored.model_codes] & is_asked[stored.query_codes]
        others = stored.take(np.flatnonzero(rows))
        return others, find_sorted(queries.keys, others.queries.keys)
