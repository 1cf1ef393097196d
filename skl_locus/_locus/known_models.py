"""Models of a pool as the factor model sees them, for their recognition."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skl_locus._data.codes import find_sorted
from skl_locus._data.evaluations import EvaluationSet
from skl_locus._data.queries import QuerySet
from skl_locus._estimation.factors import (
    FactorModel,
    leading_loadings,
    sample_of,
)


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
        """Return how scores on queries bear on ability, discrimination and factors.

        Discrimination is how much more often a model is right on queries that are easy
        for the others. The factors are those that the other models have in common.

        Parameters
        ----------
        queries : QuerySet
            Queries.
        but_for : collection of labels
            Models whose evaluations have no part in the result.

        Returns
        -------
        ndarray of shape (n_queries, 2 + n_factors)
            Gradients of the expected standardised score, each for a step of one
            standard deviation in the pool; that of discrimination is as large as that
            of ability on average. All but ability's are zero for queries that no other
            model was evaluated on.
        """
        others, loadings = self._others(but_for)
        is_other = np.isin(self.evaluations.model_codes, others)
        is_asked = find_sorted(queries.keys, self.evaluations.queries.keys) >= 0
        rows = np.flatnonzero(is_other & is_asked[self.evaluations.query_codes])
        answers = self.evaluations.take(rows)
        columns = self.evaluations.index_of(answers.model_names)
        easiness = np.zeros(len(queries))
        factors = np.zeros((len(queries), loadings.shape[1]))
        if len(answers):
            places = find_sorted(queries.keys, answers.queries.keys)
            abilities = self.abilities[columns]
            of_answers = self.model.easiness_from(answers, abilities)
            easiness[places] = _standardised(of_answers)
            factors[places] = self.model.factors_from(
                answers,
                abilities,
                loadings[np.searchsorted(others, columns)],
                of_answers,
            )
        variances = np.square(loadings).sum(axis=0) / max(1, len(loadings))
        of_ability = 1 / self.model.precision
        steps = np.sqrt([of_ability, of_ability, *variances])
        return np.column_stack([np.ones(len(queries)), easiness, factors]) * steps

    def _others(self, but_for: Collection) -> tuple[np.ndarray, np.ndarray]:
        """Return the other models, ascending, and their loadings on common factors.

        The frozen factor model will not do: where a factor has much of a compared model
        in it, the loadings of others follow the chance in that model's answers, and
        unchanged models seem to have changed.
        """
        judges, covariance = self._covariance
        is_other = ~np.isin(judges, self.evaluations.index_of(but_for))
        if not is_other.any():
            return judges[is_other], np.zeros((0, 1))
        loadings = leading_loadings(covariance[np.ix_(is_other, is_other)])
        return judges[is_other], loadings

    @cached_property
    def _covariance(self) -> tuple[np.ndarray, np.ndarray]:
        """Models, ascending, that factors are made of, and their residuals' covariance.

        They are all models unless there are very many.
        """
        sample = sample_of(self.evaluations)
        judges = self.evaluations.index_of(sample.model_names)
        return judges, self.model.residual_covariance(sample, self.abilities[judges])


def _standardised(values: np.ndarray) -> np.ndarray:
    """Bring values to mean zero and variance one; equal ones become zero."""
    deviations = values - values.mean()
    scale = np.sqrt(np.mean(np.square(deviations)))
    return deviations / scale if scale > 0 else deviations
